// SPDX-License-Identifier: GPL-2.0
//! What a case is, and the plan: every case with every link and pair of families that it runs on.

use std::net::SocketAddrV4;

use anyhow::Context;
use anyhow::Result;
use netlab::ktap::Sysc;
use netlab::lab::Lab;
use netlab::lab::Link;
use netlab::Family;
use netlab::Sock;

use crate::Args;

/// The surroundings of one run of a case.
#[derive(Debug)]
pub struct Ctx {
    /// The link and its two ends; clients sit at `a`, servers at `b`.
    pub lab: Lab,
    /// The family of sockets at `a`.
    pub client: Family,
    /// The family of sockets at `b`.
    pub server: Family,
    /// What was said on the command line.
    pub args: Args,
}

impl Ctx {
    /// The family of a case with only one end.
    pub fn family(&self) -> Family {
        self.client
    }

    /// So many of these bytes, or rounds, as `--part` leaves; one at least.
    pub fn part(&self, of: usize) -> usize {
        (of / self.args.part as usize).max(1)
    }

    /// A TCP socket at the client's end.
    pub fn tcp(&self) -> Result<Sock> {
        self.lab.a.tcp(self.client)
    }

    /// A TCP socket at the server's end.
    pub fn server_tcp(&self) -> Result<Sock> {
        self.lab.b.tcp(self.server)
    }

    /// A UDP socket bound to a free port at the client's end.
    pub fn udp(&self) -> Result<Sock> {
        let s = self.lab.a.udp(self.client)?.with_patience()?;
        s.bind(self.lab.a.at(0)).sys("bind")?;
        Ok(s)
    }

    /// A UDP socket bound to a free port at the server's end.
    pub fn server_udp(&self) -> Result<Sock> {
        let s = self.lab.b.udp(self.server)?.with_patience()?;
        s.bind(self.lab.b.at(0)).sys("bind")?;
        Ok(s)
    }

    /// A listener at the server's end.
    pub fn listener(&self, backlog: i32) -> Result<(Sock, SocketAddrV4)> {
        let l = self.server_tcp()?;
        l.bind(self.lab.b.at(0)).sys("bind of the listener")?;
        l.listen(backlog).sys("listen")?;
        let addr = l.local().sys("getsockname")?;
        Ok((l, addr))
    }

    /// A connection: the client's socket and the server's.
    pub fn connected(&self) -> Result<(Sock, Sock)> {
        let (l, addr) = self.listener(8)?;
        self.connect_to(&l, addr)
    }

    /// One more connection to a listener.
    pub fn connect_to(&self, listener: &Sock, addr: SocketAddrV4) -> Result<(Sock, Sock)> {
        let c = self.tcp()?;
        c.connect(addr).sys("connect")?;
        Ok((c, listener.accept().sys("accept")?))
    }

    /// Whether both ends offer SACK: RustNet does not yet (Documentation/deviations.rst).
    pub fn offers_sack(&self) -> bool {
        !self.client.is_rustnet() && !self.server.is_rustnet()
    }

    /// A port on which nobody listens at the server's end.
    pub fn closed_port(&self) -> Result<SocketAddrV4> {
        let s = self.server_tcp()?;
        s.bind(self.lab.b.at(0)).sys("bind")?;
        s.local().sys("getsockname")
    }
}

/// How many ends a case has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Sockets of the family under test alone: runs once.
    One,
    /// A client and a server: runs for each pair with the family under test in it.
    Two,
    /// RustNet's own features: never on AF_INET.
    Own,
}

/// A behaviour that is asserted.
#[derive(Clone, Copy)]
pub struct Case {
    /// The group, for `--group`.
    pub group: &'static str,
    /// The behaviour.
    pub name: &'static str,
    /// Its ends.
    pub ends: Ends,
    /// Where it makes sense.
    pub links: &'static [Link],
    /// Its own link, because it changes it.
    pub fresh: bool,
    /// Seconds before it counts as hanging.
    pub secs: u64,
    /// The test.
    pub run: fn(&Ctx) -> Result<()>,
}

const EVERYWHERE: &[Link] = &[Link::Lo, Link::Veth, Link::Nic];
const LO: &[Link] = &[Link::Lo];
const VETH: &[Link] = &[Link::Veth];
const NIC: &[Link] = &[Link::Nic];

impl Case {
    const fn new(ends: Ends, group: &'static str, name: &'static str, run: Test) -> Case {
        Case {
            group,
            name,
            ends,
            links: EVERYWHERE,
            fresh: false,
            secs: 40,
            run,
        }
    }

    /// A case about one socket: over loopback.
    pub const fn one(group: &'static str, name: &'static str, run: Test) -> Case {
        let mut c = Case::new(Ends::One, group, name, run);
        c.links = LO;
        c
    }

    /// A case about two ends: over every link.
    pub const fn two(group: &'static str, name: &'static str, run: Test) -> Case {
        Case::new(Ends::Two, group, name, run)
    }

    /// A case about the network cards and their driver.
    pub const fn nic(group: &'static str, name: &'static str, run: Test) -> Case {
        let mut c = Case::new(Ends::One, group, name, run);
        c.links = NIC;
        c.fresh = true;
        c.secs = 180;
        c
    }

    /// A case about what only RustNet has.
    pub const fn own(group: &'static str, name: &'static str, run: Test) -> Case {
        let mut c = Case::new(Ends::Own, group, name, run);
        c.links = VETH;
        c
    }

    /// Over veth only, because the case looks at frames or spoils the link.
    pub const fn veth(mut self) -> Case {
        self.links = VETH;
        self
    }

    /// Over loopback only.
    pub const fn lo(mut self) -> Case {
        self.links = LO;
        self
    }

    /// Over a link of its own.
    pub const fn fresh(mut self) -> Case {
        self.fresh = true;
        self
    }

    /// With another time limit.
    pub const fn secs(mut self, secs: u64) -> Case {
        self.secs = secs;
        self
    }
}

/// The function of a case.
pub type Test = fn(&Ctx) -> Result<()>;

/// One run: a case with its link and families.
#[derive(Clone)]
pub struct Planned {
    /// The whole name, as KTAP shows it.
    pub name: String,
    /// The case.
    pub case: Case,
    /// The link.
    pub link: Link,
    /// The family at `a`.
    pub client: Family,
    /// The family at `b`.
    pub server: Family,
}

/// Everything that the arguments ask for, in order.
pub fn plan(args: &Args) -> Vec<Planned> {
    let subject = args.family;
    let host = Family::INET;
    let mut plan = Vec::new();
    for case in crate::cases::all() {
        let pairs: &[(Family, Family)] = match (case.ends, subject.is_rustnet()) {
            (Ends::Own, false) => &[],
            (Ends::Own, true) => &[(subject, host)],
            (Ends::One, _) => &[(subject, subject)],
            (Ends::Two, false) => &[(host, host)],
            // The host's allocations do not fail.
            (Ends::Two, true) if args.faults.is_some() => &[(subject, subject)],
            (Ends::Two, true) => &[(subject, host), (host, subject), (subject, subject)],
        };
        for &link in case.links.iter().filter(|l| args.link.contains(l)) {
            for &(client, server) in pairs {
                // In replace mode the host's stack sees nothing of that namespace, lo included.
                if args.mode == "replace" && link == Link::Lo && client != server {
                    continue;
                }
                let ends = match case.ends {
                    Ends::Two => format!("{client}>{server}"),
                    _ => client.to_string(),
                };
                let name = format!("{}.{}[{link}:{ends}]", case.group, case.name);
                let in_group = args.group.is_empty() || args.group.iter().any(|g| g == case.group);
                // Tests that take a module or a card away: only when asked for by name.
                let alone =
                    ["module", "nic", "card"].contains(&case.group) && args.group.is_empty();
                if in_group && !alone && name.contains(&args.case) {
                    plan.push(Planned {
                        name,
                        case,
                        link,
                        client,
                        server,
                    });
                }
            }
        }
    }
    // There is but one pair of cards, and the mode of its namespaces differs with the families at their ends: those that
    // share it run one after the other.
    if args.mode != "coexist" {
        plan.sort_by_key(|p| {
            (p.link == Link::Nic).then(|| (p.client.to_string(), p.server.to_string()))
        });
    }
    if let Some(after) = &args.after {
        let found = plan.iter().position(|p| p.name.contains(after));
        plan.drain(..found.map_or(plan.len(), |at| at + 1));
    }
    plan
}

/// Lays the link of a planned case, with its namespaces in the mode that was asked for.
pub fn lay(planned: &Planned, args: &Args) -> Result<Lab> {
    let lab = Lab::new(planned.link)?;
    if args.mode != "coexist" {
        for (end, family) in [(&lab.a, planned.client), (&lab.b, planned.server)] {
            if family.is_rustnet() {
                let set = end.ns.sysctl("net/rustnet/mode", &args.mode);
                set.context("the mode of the namespace")?;
            }
        }
    }
    Ok(lab)
}
