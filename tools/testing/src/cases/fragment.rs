// SPDX-License-Identifier: GPL-2.0
//! Fragments: what is too long goes in pieces, and what comes in pieces comes together, unless somebody plays
//! tricks with them.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::frame::ethernet;
use netlab::frame::Ipv4;
use netlab::ktap::Sysc;
use netlab::payload::Stream;
use netlab::tap::Tap;
use netlab::tap::Way;
use netlab::tap::ETH_P_ALL;
use netlab::tap::ETH_P_IP;
use netlab::Sock;

use crate::case::Case;
use crate::case::Ctx;

const G: &str = "fragment";
const MF: u16 = 0x2000;

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::two(G, "long_datagrams_there_and_back", there_and_back),
    Case::two(G, "pieces_on_the_wire", on_the_wire).veth(),
    Case::two(
        G,
        "identifications_of_several_sockets_differ",
        identifications,
    )
    .veth(),
    Case::two(G, "last_piece_first", reversed).veth(),
    Case::two(G, "a_double_is_no_harm", doubled).veth(),
    Case::two(G, "overlap_spoils_the_datagram", overlap).veth(),
    Case::two(G, "malformed_pieces_are_dropped", malformed).veth(),
    Case::two(G, "longer_than_a_packet_can_be", ping_of_death).veth(),
    Case::two(G, "the_sender_hears_that_time_is_over", time_exceeded)
        .veth()
        .fresh(),
    Case::two(G, "memory_has_a_ceiling", ceiling).veth().fresh(),
];

fn there_and_back(ctx: &Ctx) -> Result<()> {
    let (a, b) = (ctx.udp()?, ctx.server_udp()?);
    let (at_a, at_b) = (a.local().sys("name")?, b.local().sys("name")?);
    let mut buf = vec![0; 65_536];
    for size in [1473, 1480, 1481, 3000, 9000, 40_000, 65_507] {
        let data = Stream::new(1).bytes(size);
        a.sendto(&data, 0, at_b).sys("sendto")?;
        let n = b.recv(&mut buf, 0).sys("recv")?;
        check!(buf[..n] == data, "{size} bytes came as {n}, or changed");
        b.sendto(&data, 0, at_a).sys("sendto")?;
        let n = a.recv(&mut buf, 0).sys("recv")?;
        check!(
            buf[..n] == data,
            "{size} bytes came back as {n}, or changed"
        );
    }
    Ok(())
}

fn on_the_wire(ctx: &Ctx) -> Result<()> {
    let (a, b) = (ctx.udp()?, ctx.server_udp()?);
    let tap = Tap::new(&ctx.lab.b, ETH_P_ALL)?;
    let data = Stream::new(2).bytes(3000);
    a.sendto(&data, 0, b.local().sys("name")?).sys("sendto")?;
    let n = b.recv(&mut vec![0; 4000], 0).sys("recv")?;
    check_eq!(n, 3000, "length");
    let (mut seen, mut ids) = (Vec::new(), Vec::new());
    for (way, f) in tap.drain()? {
        let Some((header, payload)) = f.ipv4().filter(|_| way == Way::In) else {
            continue;
        };
        if header[9] != 17 {
            continue;
        }
        ids.push([header[4], header[5]]);
        seen.push((u16::from_be_bytes([header[6], header[7]]), payload.len()));
    }
    check_eq!(
        seen,
        [(MF, 1480), (MF | 185, 1480), (370, 48)],
        "flags and offset, and length, of each piece"
    );
    check!(
        ids.windows(2).all(|w| w[0] == w[1]),
        "identifications {ids:?}"
    );
    Ok(())
}

/// A socket at the server's end, and the means to send pieces of datagrams to it.
struct Sender {
    tap: Tap,
    b: Sock,
    /// A datagram, from its UDP header on.
    datagram: Vec<u8>,
    header: Ipv4,
    macs: ([u8; 6], [u8; 6]),
}

impl Sender {
    fn new(ctx: &Ctx, len: usize) -> Result<Sender> {
        let b = ctx.server_udp()?;
        let (from, to) = (ctx.lab.a.at(4444), b.local().sys("name")?);
        let data = Stream::new(3).bytes(len);
        Ok(Sender {
            tap: Tap::new(&ctx.lab.a, ETH_P_ALL)?,
            b,
            datagram: netlab::frame::udp(from, to, &data, None, None),
            header: Ipv4::new(from.ip().octets(), to.ip().octets(), 17),
            macs: (ctx.lab.b.mac, ctx.lab.a.mac),
        })
    }

    /// Sends bytes at an offset, in bytes, of the datagram `id`.
    fn piece(&self, id: u16, offset: usize, bytes: &[u8], more: bool) -> Result<()> {
        let mut header = self.header.clone();
        header.id = id;
        header.frag = (offset / 8) as u16 | if more { MF } else { 0 };
        let packet = header.build(bytes);
        let frame = ethernet(self.macs.0, self.macs.1, ETH_P_IP, &packet);
        self.tap.send(&frame).sys("send(AF_PACKET)")
    }

    /// Sends a part of the datagram.
    fn part(&self, id: u16, from: usize, to: usize) -> Result<()> {
        let more = to < self.datagram.len();
        self.piece(id, from, &self.datagram[from..to], more)
    }

    /// The next datagram that comes is this one, whole.
    fn comes(&self) -> Result<()> {
        let mut buf = vec![0; 65_536];
        let n = self.b.recv(&mut buf, 0).sys("recv")?;
        check!(
            buf[..n] == self.datagram[8..],
            "{n} bytes came, or were changed"
        );
        Ok(())
    }

    /// None of what was sent so far comes: the next one that does is a datagram sent now.
    fn nothing_came(&self) -> Result<()> {
        self.part(0x7777, 0, 16)?;
        self.part(0x7777, 16, self.datagram.len())?;
        self.comes()?;
        let more = self
            .b
            .poll(c::POLLIN, Duration::from_millis(50))
            .sys("poll")?;
        check_eq!(more, 0, "events when nothing should be there");
        Ok(())
    }
}

/// RFC 6864, 4.3: pieces of two sockets' datagrams must not be taken for those of one.
fn identifications(ctx: &Ctx) -> Result<()> {
    const SOCKETS: usize = 8;
    let b = ctx.server_udp()?;
    let at_b = b.local().sys("name")?;
    let tap = Tap::new(&ctx.lab.b, ETH_P_ALL)?;
    let data = Stream::new(3).bytes(3000);
    for connected in [false, true] {
        for _ in 0..SOCKETS {
            let a = ctx.udp()?;
            if connected {
                a.connect(at_b).sys("connect")?;
                a.send(&data, 0).sys("send")?;
            } else {
                a.sendto(&data, 0, at_b).sys("sendto")?;
            }
            b.recv(&mut vec![0; 4000], 0).sys("recv")?;
        }
        let mut ids = HashSet::new();
        for (way, f) in tap.drain()? {
            if let Some((header, _)) = f.ipv4().filter(|_| way == Way::In) {
                let first = u16::from_be_bytes([header[6], header[7]]) == MF;
                if header[9] == 17 && first {
                    ids.insert([header[4], header[5]]);
                }
            }
        }
        // A connected socket of Linux's has a counter of its own, which begins at random.
        let least = if connected { 2 } else { SOCKETS };
        check!(
            ids.len() >= least,
            "{SOCKETS} sockets (connected: {connected}) sent {ids:?}"
        );
    }
    Ok(())
}

fn reversed(ctx: &Ctx) -> Result<()> {
    let s = Sender::new(ctx, 100)?;
    s.part(1, 80, 108)?;
    s.part(1, 40, 80)?;
    s.part(1, 0, 40)?;
    s.comes()
}

fn doubled(ctx: &Ctx) -> Result<()> {
    let s = Sender::new(ctx, 100)?;
    s.part(1, 0, 40)?;
    s.part(1, 0, 40)?;
    s.part(1, 80, 108)?;
    s.part(1, 80, 108)?;
    s.part(1, 40, 80)?;
    s.comes()
}

fn overlap(ctx: &Ctx) -> Result<()> {
    let s = Sender::new(ctx, 100)?;
    // Teardrop's kind, then one that covers another, in both orders.
    s.part(1, 0, 40)?;
    s.part(1, 32, 80)?;
    s.part(1, 80, 108)?;
    s.part(2, 40, 80)?;
    s.part(2, 0, 88)?;
    s.part(3, 32, 64)?;
    s.part(3, 24, 72)?;
    s.part(3, 0, 24)?;
    s.part(3, 72, 108)?;
    s.nothing_came()
}

fn malformed(ctx: &Ctx) -> Result<()> {
    let s = Sender::new(ctx, 100)?;
    // Nothing, less than eight bytes, an end within what is there, what lies behind the end.
    s.piece(1, 0, b"", true)?;
    s.piece(2, 8, b"seven..", true)?;
    s.part(3, 0, 80)?;
    s.piece(3, 40, b"the end", false)?;
    s.part(4, 80, 108)?;
    s.piece(4, 160, &[1; 8], true)?;
    s.nothing_came()
}

fn ping_of_death(ctx: &Ctx) -> Result<()> {
    let s = Sender::new(ctx, 100)?;
    for at in (0..65_528).step_by(1024) {
        let len = (65_528 - at).min(1024);
        s.piece(1, at, &vec![0; len], true)?;
    }
    s.piece(1, 65_528, &[0; 400], false)?;
    s.nothing_came()
}

fn time_exceeded(ctx: &Ctx) -> Result<()> {
    ctx.lab.b.ns.sysctl("net/ipv4/ipfrag_time", "1")?;
    let s = Sender::new(ctx, 100)?;
    // Of the second one the first piece is missing: nobody can be told.
    s.part(1, 0, 40)?;
    s.part(2, 40, 80)?;
    s.tap.find("time exceeded for fragments", |_, f| {
        let (kind, code, _) = f.icmp()?;
        (kind == 11 && code == 1).then_some(())
    })?;
    s.nothing_came()
}

/// A counter of the server's end.
fn counter(ctx: &Ctx, name: &str) -> Result<u64> {
    let text = ctx.lab.b.ns.proc_net("snmp")?;
    let mut lines = text.lines().filter(|l| l.starts_with("Ip:"));
    let (names, values) = (lines.next(), lines.next());
    let all = names
        .into_iter()
        .flat_map(str::split_whitespace)
        .zip(values.into_iter().flat_map(str::split_whitespace));
    let found = all.into_iter().find(|(n, _)| *n == name);
    Ok(found.map_or(0, |(_, v)| v.parse().unwrap_or(0)))
}

fn ceiling(ctx: &Ctx) -> Result<()> {
    let ns = &ctx.lab.b.ns;
    ns.sysctl("net/ipv4/ipfrag_low_thresh", "10000")?;
    ns.sysctl("net/ipv4/ipfrag_high_thresh", "20000")?;
    let s = Sender::new(ctx, 100)?;
    let before = counter(ctx, "ReasmFails")?;
    for id in 0..200 {
        s.part(id, 0, 40)?;
    }
    // What is no fragment passes.
    let from = ctx.udp()?;
    from.sendto(b"whole", 0, s.b.local().sys("name")?)
        .sys("sendto")?;
    let mut buf = [0; 200];
    let n = s.b.recv(&mut buf, 0).sys("recv")?;
    check_eq!(&buf[..n], b"whole", "what came");
    let failed = counter(ctx, "ReasmFails")? - before;
    check!(failed >= 100, "{failed} of 200 fragments were refused");
    Ok(())
}
