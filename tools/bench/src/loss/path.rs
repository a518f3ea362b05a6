// SPDX-License-Identifier: GPL-2.0
//! The path: a router between the two ends, with netem on both its devices.
//!
//! ```text
//!   A 10.79.1.2 va ═══ ra  router  rb ═══ vb 10.79.2.2 B
//!        segments:  ──────────────▶ loss, lateness
//!        acknowledgements:  loss, delay ◀──────────────
//! ```
//!
//! A router, because netem on the sender's own device gets packets of up to 64 KiB and loses them whole;
//! here each is one segment, as on a wire. The sender's device cuts them up (no TSO, no GSO).
//! The whole delay lies on the way back, so that a late segment is late against its neighbours only.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Context;
use anyhow::Result;
use netlab::lab::End;
use netlab::lab::Lab;
use netlab::lab::Link;
use netlab::ns::Namespace;

use super::Conditions;

/// How late a late segment is, ms.
pub const LATE_MS: u32 = 2;

/// Two ends and the router between them.
pub struct Path {
    /// The ends: the sender is `a`.
    pub lab: Lab,
    router: Namespace,
    impaired: bool,
}

impl Path {
    /// Lays it, without any impairment.
    pub fn new() -> Result<Path> {
        let (a, b, router) = (Namespace::new()?, Namespace::new()?, Namespace::new()?);
        for (end, net, side) in [(&a, 1, "a"), (&b, 2, "b")] {
            // Permanent neighbours: netem would lose ARP, too.
            end.ip(&format!(
                "link add v{side} address 02:00:00:00:00:0{side} type veth \
                 peer name r{side} address 02:00:00:00:01:0{side} netns {}\n\
                 addr add 10.79.{net}.2/24 dev v{side}\n\
                 link set v{side} up\n\
                 neigh add 10.79.{net}.1 lladdr 02:00:00:00:01:0{side} dev v{side} nud permanent",
                router.path()
            ))?;
            router.ip(&format!(
                "addr add 10.79.{net}.1/24 dev r{side}\n\
                 link set r{side} up\n\
                 neigh add 10.79.{net}.2 lladdr 02:00:00:00:00:0{side} dev r{side} nud permanent"
            ))?;
            // Not before the far device is up.
            end.ip(&format!("route add default via 10.79.{net}.1"))?;
            let dev = format!("v{side}");
            end.run(&["ethtool", "-K", &dev, "tso", "off", "gso", "off"])?;
            // Nothing of one connection may help the next one.
            end.sysctl("net/ipv4/tcp_no_metrics_save", "1")?;
        }
        router.sysctl("net/ipv4/ip_forward", "1")?;
        // Nobody but netem may lose packets.
        std::fs::write("/proc/sys/net/core/netdev_max_backlog", "1000000")
            .context("net.core.netdev_max_backlog")?;
        let end = |ns, ip, dev: &str, mac| End {
            ns: Arc::new(ns),
            ip,
            dev: dev.into(),
            mac,
        };
        Ok(Path {
            lab: Lab {
                link: Link::Veth,
                a: end(a, Ipv4Addr::new(10, 79, 1, 2), "va", [2, 0, 0, 0, 0, 0x0a]),
                b: end(b, Ipv4Addr::new(10, 79, 2, 2), "vb", [2, 0, 0, 0, 0, 0x0b]),
            },
            router,
            impaired: false,
        })
    }

    /// New netems. The seed makes them lose the same packets, counted from now, whoever sends them.
    pub fn impair(&mut self, at: Conditions, seed: u32) -> Result<()> {
        let loss = at.loss_percent();
        let late = if at.reorder {
            format!("delay {LATE_MS}ms reorder 98%")
        } else {
            String::new()
        };
        let mut lines = String::new();
        if self.impaired {
            lines += "qdisc del dev rb root\nqdisc del dev ra root\n";
        }
        lines += &format!(
            "qdisc add dev rb root netem limit 1000000 {late} loss {loss} seed {seed}\n\
             qdisc add dev ra root netem limit 1000000 delay {}ms loss {loss} seed {}",
            at.rtt,
            seed + 1000
        );
        self.router.tc(&lines)?;
        self.impaired = true;
        Ok(())
    }
}
