// SPDX-License-Identifier: GPL-2.0
//! Kernel memory of idle sockets, counted in slab objects.
//!
//! Objects, not pages: how full a cache's pages are depends on what ran before, and would make the
//! second family measured look cheaper than the first.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use netlab::c;
use netlab::kstate;
use netlab::kstate::slabinfo;
use netlab::kstate::Slab;
use netlab::ktap::Sysc;
use netlab::lab::Lab;
use netlab::lab::Link;
use netlab::Family;
use netlab::Sock;

use crate::ops::listener;

/// Bytes per object kind of a family.
#[derive(Clone, Debug)]
pub struct Memory {
    /// Of one idle established socket, its share of files and inodes included.
    pub established: Cost,
    /// Of one connection in TIME_WAIT.
    pub time_wait: Cost,
}

/// What one thing costs, and of what that is made.
#[derive(Clone, Debug)]
pub struct Cost {
    /// Bytes of slab.
    pub bytes: f64,
    /// Caches that grew, largest share first: name, objects per thing, bytes per object.
    pub caches: Vec<(String, f64, u64)>,
}

/// The state's number in /proc/net/tcp.
const TIME_WAIT: u8 = 6;

/// Opens `n` connections between two namespaces, both ends of the family, and weighs them; then
/// closes them all and weighs what is left.
pub fn weigh(family: Family, n: usize) -> Result<Memory> {
    let room = (2 * n + 1000) as u64;
    let limit = c::rlimit {
        rlim_cur: room,
        rlim_max: room,
    };
    uapi::setrlimit(c::RLIMIT_NOFILE as i32, &limit).sys("RLIMIT_NOFILE")?;

    let lab = Lab::new(Link::Veth)?;
    for end in [&lab.a, &lab.b] {
        // The default may be smaller than `n` on a small guest.
        end.ns.sysctl("net/ipv4/tcp_max_tw_buckets", "262144")?;
        end.ns
            .sysctl("net/ipv4/ip_local_port_range", "1024 65535")?;
        end.ns
            .sysctl_if_there("net/rustnet/ip_local_port_range", "1024 65535")?;
    }
    // One connection first: caches that exist once per namespace or route are not a socket's cost.
    let (listener, addr) = listener(&lab, family)?;
    drop(pair(&lab, family, &listener, addr)?);
    let before = settled()?;

    let mut pairs = Vec::with_capacity(n);
    for i in 0..n {
        pairs.push(pair(&lab, family, &listener, addr).with_context(|| format!("pair {i}"))?);
    }
    let established = Cost::between(&before, &settled()?, 2 * n);

    for (client, server) in pairs {
        drop(client);
        let mut buf = [0; 1];
        server.recv(&mut buf, 0).sys("the client's FIN")?;
    }
    // A stack may keep fewer than it was given: what counts is what one costs.
    let kept = kstate::sockets(&lab.a.ns, family, "tcp")?;
    let kept = kept.iter().filter(|s| s.state == TIME_WAIT).count();
    ensure!(
        kept > n / 4,
        "only {kept} of {n} connections are in TIME_WAIT"
    );
    let time_wait = Cost::between(&before, &settled()?, kept);
    Ok(Memory {
        established,
        time_wait,
    })
}

fn pair(
    lab: &Lab,
    family: Family,
    listener: &Sock,
    addr: std::net::SocketAddrV4,
) -> Result<(Sock, Sock)> {
    let client = lab.a.tcp(family)?;
    client.connect(addr).sys("connect")?;
    Ok((client, listener.accept().sys("accept")?))
}

type Caches = BTreeMap<String, Slab>;

/// /proc/slabinfo once nothing moves any more: what RCU and work queues still hold is freed, and
/// each CPU's private stock of free objects, which counts as in use, is given back.
fn settled() -> Result<Caches> {
    let mut last = 0;
    for _ in 0..50 {
        std::thread::sleep(Duration::from_millis(60));
        for cache in std::fs::read_dir("/sys/kernel/slab")
            .context("/sys/kernel/slab")?
            .flatten()
        {
            // Refused for caches that cannot shrink.
            let _ = std::fs::write(cache.path().join("shrink"), "1");
        }
        let now = slabinfo()?;
        let sum: u64 = now.values().map(|s| s.active * s.share).sum();
        if sum.abs_diff(last) < 64 * 1024 {
            return Ok(now);
        }
        last = sum;
    }
    slabinfo()
}

impl Cost {
    fn between(before: &Caches, after: &Caches, n: usize) -> Cost {
        let mut caches: Vec<(String, f64, u64)> = after
            .iter()
            .map(|(name, slab)| {
                let old = before.get(name).copied().unwrap_or_default();
                let grown = slab.active as f64 - old.active as f64;
                (name.clone(), grown / n as f64, slab.share)
            })
            .collect();
        let bytes = caches
            .iter()
            .map(|(_, count, share)| count * *share as f64)
            .sum();
        // Below one in fifty it is noise of the rest of the system: shown nowhere, but counted.
        caches.retain(|(_, count, _)| *count > 0.02);
        caches.sort_by(|x, y| (y.1 * y.2 as f64).total_cmp(&(x.1 * x.2 as f64)));
        Cost { bytes, caches }
    }
}
