// SPDX-License-Identifier: GPL-2.0
//! Many routes: what one of them costs to add and to keep, and what finding it costs.
//!
//! The mirror follows the host's table, so a route of RustNet's costs what it costs beyond the host's own. A look-up is
//! connect(2) of a UDP socket to another address each time; what that costs more than with a single route is the
//! table's.

use std::net::Ipv4Addr;
use std::net::SocketAddrV4;

use anyhow::Result;
use netlab::kstate;
use netlab::ktap::Sysc;
use netlab::lab::Lab;
use netlab::lab::Link;
use netlab::module;
use netlab::payload::Stream;
use netlab::Family;
use netlab::Sock;

use crate::ops;
use crate::work;

/// The destination of the route number `n`: scattered, and no two alike.
fn prefix(n: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x1400_0000 | ((n.wrapping_mul(0x9e37_79b1) >> 8) & 0x00ff_ffff))
}

/// Bytes in slab objects.
fn slab() -> Result<f64> {
    let all = kstate::slabinfo()?;
    Ok(all.values().map(|s| (s.active * s.size) as f64).sum())
}

/// One namespace with `n` routes.
struct Table {
    lab: Lab,
    /// Nanoseconds, and bytes of slab, for each.
    add: f64,
    bytes: f64,
}

impl Table {
    fn new(n: u32) -> Result<Table> {
        let lab = Lab::new(Link::Veth)?;
        let lines: Vec<String> = (0..n)
            .map(|i| format!("route replace {}/32 via 10.77.0.2", prefix(i)))
            .collect();
        let lines = lines.join("\n");
        let (before, start) = (slab()?, work::now());
        lab.a.ns.ip(&lines)?;
        let add = ops::per_op(work::now() - start, n);
        Ok(Table {
            lab,
            add,
            bytes: (slab()? - before) / f64::from(n),
        })
    }

    /// Nanoseconds of one connect(2) to one of the first `among` destinations.
    fn connect(&self, family: Family, among: u32) -> Result<f64> {
        const CONNECTS: u32 = 20_000;
        let s: Sock = self.lab.a.udp(family)?;
        let mut random = Stream::new(7);
        let mut start = work::now();
        for i in 0..CONNECTS + 1000 {
            if i == 1000 {
                start = work::now();
            }
            let to = prefix(random.below(u64::from(among)) as u32);
            s.connect(SocketAddrV4::new(to, 9)).sys("connect")?;
        }
        Ok(ops::per_op(work::now() - start, CONNECTS))
    }
}

/// Measures with `n` routes, loads the module on the way, and prints a table.
pub fn run(subject: Family, ko: &str, n: u32) -> Result<bool> {
    let host = Table::new(n)?;
    let few = Table::new(1)?;
    println!("{n} routes                        inet  {subject}");
    let inet = (
        few.connect(Family::INET, 1)?,
        host.connect(Family::INET, n)?,
    );
    if !module::loaded("rustnet") {
        module::insmod(ko)?;
    }
    let ours = Table::new(n)?;
    let few = Table::new(1)?;
    let both = (few.connect(subject, 1)?, ours.connect(subject, n)?);
    for (what, a, b) in [
        ("ns to add one", host.add, ours.add - host.add),
        ("bytes of slab for one", host.bytes, ours.bytes - host.bytes),
        ("connect, one route", inet.0, both.0),
        ("connect, all routes", inet.1, both.1),
        ("the table's part", inet.1 - inet.0, both.1 - both.0),
    ] {
        println!("{what:<28}{a:>12.0}{b:>12.0}");
    }
    Ok(true)
}
