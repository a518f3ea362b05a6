// SPDX-License-Identifier: GPL-2.0
//! A packet through a router, by the host's stack or by RustNet in `replace`.
//!
//! ```text
//!   A 10.77.0.1 va ═══ vb 10.77.0.2 B 10.79.0.1 w ═══ x
//! ```
//!
//! A sends frames as they are; behind B they are addressed to nobody who is there, so that the far end costs
//! next to nothing. On one processor a send returns when the frame has gone all the way.

use anyhow::ensure;
use anyhow::Result;
use netlab::frame::ethernet;
use netlab::frame::udp;
use netlab::frame::Ipv4;
use netlab::kstate;
use netlab::ktap::Sysc;
use netlab::lab::Lab;
use netlab::lab::Link;
use netlab::ns::Namespace;
use netlab::tap::Tap;
use netlab::tap::ETH_P_IP;
use netlab::tap::ETH_P_LOCAL;
use netlab::Family;

use crate::ops;
use crate::work;

/// The address behind the router.
const FAR: [u8; 4] = [10, 79, 0, 2];

/// A router with both its links.
#[derive(Debug)]
pub struct Router {
    lab: Lab,
    _far: Namespace,
}

impl Router {
    /// Lays it.
    pub fn new() -> Result<Router> {
        let lab = Lab::new(Link::Veth)?;
        let far = Namespace::new()?;
        let b = &lab.b.ns;
        b.sysctl("net/ipv4/ip_forward", "1")?;
        b.ip(&format!(
            "link add w type veth peer name x netns {}\n\
             addr add 10.79.0.1/24 dev w\n\
             link set w up\n\
             neigh replace 10.79.0.2 lladdr 02:00:00:00:00:99 dev w nud permanent",
            far.path()
        ))?;
        far.ip("link set x up")?;
        Ok(Router { lab, _far: far })
    }

    /// Sends UDP packets of `len` bytes, IP header included, through the router: nanoseconds for each.
    pub fn forward(&self, family: Family, len: usize, packets: u32) -> Result<f64> {
        let (a, b) = (&self.lab.a, &self.lab.b);
        let mode = match family.is_rustnet() {
            true => "replace",
            false => "coexist",
        };
        b.ns.sysctl_if_there("net/rustnet/mode", mode)?;
        let ends = (a.at(4444), std::net::SocketAddrV4::new(FAR.into(), 9));
        let d = udp(ends.0, ends.1, &vec![7; len.saturating_sub(28)], None, None);
        let p = Ipv4::new(a.ip.octets(), FAR, 17).build(&d);
        let frame = ethernet(b.mac, a.mac, ETH_P_IP, &p);
        let tap = Tap::new(a, ETH_P_LOCAL)?;
        let count = || kstate::snmp(&b.ns, "Ip", "ForwDatagrams");
        let all = ops::warm_up(packets) + packets;
        let before = count()?;
        let mut start = work::now();
        for i in 0..all {
            if i == all - packets {
                start = work::now();
            }
            tap.send(&frame).sys("send(AF_PACKET)")?;
        }
        let took = work::now() - start;
        let forwarded = count()? - before;
        ensure!(
            forwarded == u64::from(all),
            "{forwarded} of {all} packets were forwarded"
        );
        Ok(ops::per_op(took, packets))
    }
}
