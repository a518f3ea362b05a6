// SPDX-License-Identifier: GPL-2.0
//! The router of the cases, the words of hosts and routers, and what sockets say to their host.

use std::net::Ipv4Addr;
use std::net::SocketAddrV4;
use std::time::Duration;
use std::time::Instant;

use anyhow::Result;
use netlab::c;
use netlab::check_eq;
use netlab::frame;
use netlab::frame::Frame;
use netlab::ktap::Sysc;
use netlab::tap::Tap;
use netlab::tap::Way;
use netlab::tap::ETH_P_ALL;
use netlab::tap::ETH_P_IP;
use netlab::wait;
use netlab::Errno;
use netlab::Sock;

use crate::case::Ctx;

pub const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
pub const OTHER: Ipv4Addr = Ipv4Addr::new(239, 4, 5, 6);
pub const ALL_HOSTS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
pub const V3_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
pub const ALL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);
pub const IGMP: u8 = 2;

pub const QUERY: u8 = 0x11;
pub const REPORT_V1: u8 = 0x12;
pub const REPORT_V2: u8 = 0x16;
pub const LEAVE_V2: u8 = 0x17;
pub const REPORT_V3: u8 = 0x22;

pub const IS_IN: u8 = 1;
pub const IS_EX: u8 = 2;
pub const TO_IN: u8 = 3;
pub const TO_EX: u8 = 4;
pub const ALLOW: u8 = 5;
pub const BLOCK: u8 = 6;

pub const MCAST_JOIN_GROUP: i32 = 42;
pub const MCAST_BLOCK_SOURCE: i32 = 43;
pub const MCAST_UNBLOCK_SOURCE: i32 = 44;
pub const MCAST_LEAVE_GROUP: i32 = 45;
pub const MCAST_JOIN_SOURCE_GROUP: i32 = 46;
pub const MCAST_LEAVE_SOURCE_GROUP: i32 = 47;
pub const MCAST_MSFILTER: i32 = 48;

/// One of the sources; nobody sends from it.
pub const fn source(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, 100 + n)
}

/// Record type, group, sources.
pub type Record = (u8, Ipv4Addr, Vec<Ipv4Addr>);

/// What a host said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Records(Vec<Record>),
    Word(u8, Ipv4Addr),
}

pub fn one(kind: u8, group: Ipv4Addr, sources: &[Ipv4Addr]) -> Said {
    Said::Records(vec![(kind, group, sources.to_vec())])
}

pub fn addr(bytes: &[u8]) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(..4)?).ok()?))
}

/// Reads a message of A's, whose packet must be as the RFCs want it.
pub fn said(ctx: &Ctx, f: &Frame) -> Option<Said> {
    let (header, m) = f.ipv4()?;
    if header[9] != IGMP || header[12..16] != ctx.lab.a.ip.octets() {
        return None;
    }
    // From time to live, precedence and option a router knows that it is meant (RFC 3376, 4).
    let right = header[1] == 0xc0 && header[8] == 1 && header[20..] == [0x94, 4, 0, 0];
    let to = addr(&header[16..])?;
    if !right || frame::checksum(&[m]) != 0 {
        return None;
    }
    let group = addr(&m[4..])?;
    if m[0] != REPORT_V3 {
        let wanted = if m[0] == LEAVE_V2 { ALL_ROUTERS } else { group };
        return (to == wanted && m.len() == 8).then_some(Said::Word(m[0], group));
    }
    let mut rest = &m[8..];
    let mut records = Vec::new();
    for _ in 0..u16::from_be_bytes([m[6], m[7]]) {
        let n = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        let mut sources: Vec<_> = rest[8..8 + 4 * n].chunks(4).filter_map(addr).collect();
        sources.sort();
        records.push((rest[0], addr(&rest[4..])?, sources));
        rest = &rest[8 + 4 * n..];
    }
    records.sort();
    (to == V3_ROUTERS && rest.is_empty()).then_some(Said::Records(records))
}

/// The router.
pub struct Router<'a> {
    ctx: &'a Ctx,
    tap: Tap,
}

impl Router<'_> {
    pub fn new(ctx: &Ctx) -> Result<Router<'_>> {
        let tap = Tap::new(&ctx.lab.b, ETH_P_ALL)?;
        // Repeats come within a tenth of a second instead of one. No case waits for those of versions 1 and 2 unless
        // it says so; of those within ten seconds, as usual, one might come at once.
        for (version, ms) in [(3, "100"), (2, "10000000")] {
            let dev = &ctx.lab.a.dev;
            let name = format!("net/ipv4/conf/{dev}/igmpv{version}_unsolicited_report_interval");
            ctx.lab.a.ns.sysctl(&name, ms)?;
        }
        Ok(Router { ctx, tap })
    }

    /// The next message of A's, if it comes within a time.
    pub fn next(&self, within: Duration) -> Result<Option<Said>> {
        let end = Instant::now() + within;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Some((way, f)) = self.tap.recv(left)? else {
                return Ok(None);
            };
            if let Some(said) = said(self.ctx, &f).filter(|_| way == Way::In) {
                return Ok(Some(said));
            }
        }
    }

    /// A says this, and nothing else before it.
    pub fn hears(&self, wanted: &Said) -> Result<()> {
        let got = self.next(wait::PATIENCE)?;
        check_eq!(got, Some(wanted.clone()), "what A said next");
        Ok(())
    }

    /// A says this twice, for the first may be lost (RFC 3376, 5.1).
    pub fn hears_twice(&self, wanted: &Said) -> Result<()> {
        self.hears(wanted)?;
        self.hears(wanted)
    }

    pub fn hears_nothing(&self, during: Duration) -> Result<()> {
        check_eq!(self.next(during)?, None, "what A said more");
        Ok(())
    }

    /// Sends a message from B.
    pub fn say(&self, to: Ipv4Addr, mut m: Vec<u8>) -> Result<()> {
        let sum = frame::checksum(&[&m]);
        m[2..4].copy_from_slice(&sum.to_be_bytes());
        self.say_as_it_is(to, &m)
    }

    pub fn say_as_it_is(&self, to: Ipv4Addr, m: &[u8]) -> Result<()> {
        let b = &self.ctx.lab.b;
        let mut p = frame::Ipv4::new(b.ip.octets(), to.octets(), IGMP);
        (p.ttl, p.options) = (1, vec![0x94, 4, 0, 0]);
        let [_, o1, o2, o3] = to.octets();
        let mac = [1, 0, 0x5e, o1 & 0x7f, o2, o3];
        let frame = frame::ethernet(mac, b.mac, ETH_P_IP, &p.build(m));
        self.tap.send(&frame).sys("send(AF_PACKET)")
    }

    /// Asks in version 3; the answer is to come within tenths of a second.
    pub fn asks(&self, tenths: u8, group: Option<Ipv4Addr>, sources: &[Ipv4Addr]) -> Result<()> {
        let mut m = vec![QUERY, tenths, 0, 0];
        m.extend(group.map_or([0; 4], |g| g.octets()));
        m.extend([2, 125]);
        m.extend((sources.len() as u16).to_be_bytes());
        sources.iter().for_each(|s| m.extend(s.octets()));
        self.say(group.unwrap_or(ALL_HOSTS), m)
    }

    /// Says eight bytes: a question of version 1 or 2, or a report.
    pub fn word(&self, kind: u8, tenths: u8, group: Option<Ipv4Addr>) -> Result<()> {
        let mut m = vec![kind, tenths, 0, 0];
        m.extend(group.map_or([0; 4], |g| g.octets()));
        self.say(group.unwrap_or(ALL_HOSTS), m)
    }
}

/// A's socket.
pub fn member(ctx: &Ctx) -> Result<(Sock, u16)> {
    let s = ctx.lab.a.udp(ctx.client)?;
    let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
    s.bind(any).sys("bind")?;
    let port = s.local().sys("name")?.port();
    Ok((s, port))
}

pub fn set(s: &Sock, name: i32, value: &[u8]) -> Result<(), Errno> {
    s.setsockopt(c::IPPROTO_IP, name, value)
}

/// `struct ip_mreq`: the group, by the device with A's address.
pub fn mreq(ctx: &Ctx, group: Ipv4Addr) -> Vec<u8> {
    [group.octets(), ctx.lab.a.ip.octets()].concat()
}

/// `struct ip_mreq_source`.
pub fn mreq_source(ctx: &Ctx, group: Ipv4Addr, source: Ipv4Addr) -> Vec<u8> {
    [mreq(ctx, group), source.octets().to_vec()].concat()
}

/// `struct ip_msfilter`.
pub fn msfilter(ctx: &Ctx, group: Ipv4Addr, excludes: bool, sources: &[Ipv4Addr]) -> Vec<u8> {
    let mut m = mreq(ctx, group);
    m.extend(u32::from(!excludes).to_ne_bytes());
    m.extend((sources.len() as u32).to_ne_bytes());
    sources.iter().for_each(|s| m.extend(s.octets()));
    m
}

/// `struct sockaddr_storage`.
pub fn storage(a: Ipv4Addr) -> Vec<u8> {
    let mut s = (c::AF_INET as u16).to_ne_bytes().to_vec();
    s.extend([0, 0]);
    s.extend(a.octets());
    s.resize(128, 0);
    s
}

pub fn ifindex(ctx: &Ctx) -> Result<u32> {
    let a = &ctx.lab.a;
    let text = a.ns.run(&["ip", "-o", "link", "show", "dev", &a.dev])?;
    Ok(text.split(':').next().unwrap_or_default().trim().parse()?)
}

/// `struct group_req`, or with a source `struct group_source_req`.
pub fn group_req(ctx: &Ctx, group: Ipv4Addr, source: Option<Ipv4Addr>) -> Result<Vec<u8>> {
    let mut m = u64::from(ifindex(ctx)?).to_ne_bytes().to_vec();
    m.extend(storage(group));
    source.iter().for_each(|s| m.extend(storage(*s)));
    Ok(m)
}
