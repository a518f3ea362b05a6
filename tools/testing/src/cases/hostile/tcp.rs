// SPDX-License-Identifier: GPL-2.0
//! Malformed and unwanted TCP segments.

use anyhow::Context;
use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::frame::flag;
use netlab::frame::spoil_tcp;
use netlab::frame::Ipv4;
use netlab::frame::Tcp;
use netlab::kstate::netstat;
use netlab::ktap::want_errno;
use netlab::ktap::Sysc;
use netlab::payload::Stream;
use netlab::tap::Way;
use netlab::wait;

use super::Attack;
use super::G;
use crate::case::Case;
use crate::case::Ctx;
use crate::cases::netfilter::chain;

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::two(G, "tcp_bad_checksum", checksum).veth(),
    Case::two(G, "tcp_bad_data_offset", data_offset).veth(),
    Case::two(G, "tcp_header_cut_short", cut).veth(),
    Case::two(G, "tcp_options_of_every_shape", options).veth(),
    Case::two(G, "tcp_odd_options_in_SYN", syn_options).veth(),
    Case::two(G, "tcp_every_flag_combination", flags).veth(),
    Case::two(G, "tcp_LAND", land).veth(),
    Case::two(G, "tcp_SYN_flood_beside_a_transfer", syn_flood)
        .veth()
        .fresh()
        .secs(120),
    Case::two(G, "tcp_SYN_flood_and_an_honest_client", syn_flood_honest)
        .veth()
        .fresh()
        .secs(120),
    Case::two(G, "tcp_one_byte_segments_out_of_order", smack)
        .veth()
        .secs(120),
    Case::two(G, "tcp_urgent_pointers", urgent).veth(),
    Case::two(G, "tcp_MSS_of_one_in_SYN", tiny_mss).veth(),
    Case::two(G, "tcp_handshake_echoes_what_was_never_sent", false_echo)
        .veth()
        .fresh(),
];

fn checksum(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    let mut t = attack.forged()?;
    t.data = vec![0xbb; 20];
    for off in 0..50 {
        let mut bad = t.packet();
        spoil_tcp(&mut bad, off);
        attack.shoot(&bad)?;
    }
    attack.survived(&["TCP_CSUM"], 50)
}

fn data_offset(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    let t = attack.forged()?;
    for doff in [0, 1, 2, 3, 4] {
        let mut bad = t.clone();
        bad.doff = Some(doff);
        attack.shoot(&bad.packet())?;
    }
    for doff in [14, 15] {
        let mut bad = t.clone();
        bad.options.clear();
        bad.doff = Some(doff);
        attack.shoot(&bad.packet())?;
    }
    attack.survived(&["RUSTNET_TCP_HDR", "PKT_TOO_SMALL", "HDR_TRUNC"], 7)
}

fn cut(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    let t = attack.forged()?;
    let whole = t.build();
    // The ports are still there, so that the flow can be told.
    for len in 4..20 {
        attack.shoot(&attack.wrap(&t).build(&whole[..len]))?;
    }
    let least = if ctx.args.mode == "replace" { 16 } else { 0 };
    attack.survived(&["RUSTNET_TCP_HDR", "PKT_TOO_SMALL", "HDR_TRUNC"], least)
}

fn options(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    let t = attack.forged()?;
    let mut stream = Stream::new(77);
    for round in 0..3000 {
        let mut bad = t.clone();
        bad.options = stream.bytes(1 + round % 40);
        let shapes: [&[u8]; 12] = [
            &[8, 0],
            &[8, 1],
            &[5, 3, 1],
            &[5, 9, 1, 2, 3, 4, 5, 6, 7],
            &[3, 3, 15],
            &[2, 4, 0, 0],
            &[2, 40, 1],
            &[8, 10, 255, 255, 255, 255, 255, 255, 255, 255],
            &[255, 255],
            &[1, 1, 1, 1, 8],
            &[0, 8, 10],
            &[4, 2, 4, 2],
        ];
        if let Some(shape) = shapes.get(round % 16) {
            bad.options.splice(..0, shape.iter().copied());
            bad.options.truncate(40);
        }
        // Old data, and too old for its timestamp to count: however the options are read, neither
        // the stream nor PAWS can change.
        bad.seq = bad.seq.wrapping_sub(5000);
        bad.data = vec![b'!'];
        attack.shoot(&bad.packet())?;
    }
    attack.survived(&[], 0)
}

/// RFC 7323: a scale above 14 counts as 14. A connection with each odd SYN must be answered or
/// ignored, never crash, and the listener must live.
fn syn_options(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    let (l, addr) = ctx.listener(64)?;
    let odd: [&[u8]; 10] = [
        &[3, 3, 15],
        &[3, 3, 255],
        &[2, 4, 0, 0],
        &[2, 3, 5],
        &[8, 10, 0, 0, 0, 0, 0, 0, 0, 0],
        &[4, 2, 4, 2, 3, 3, 7, 3, 3, 9],
        &[5, 10, 0, 0, 0, 1, 0, 0, 0, 2],
        &[34, 2],
        &[254, 4, 0xf9, 0x89],
        &[30, 12, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8],
    ];
    for (i, options) in odd.iter().enumerate() {
        let mut syn = Tcp::new(ctx.lab.a.at(20_000 + i as u16), addr, flag::SYN);
        syn.seq = 77;
        syn.options = options.to_vec();
        attack.shoot(&syn.packet())?;
        let answer = attack.tap.find("SYN-ACK for an odd SYN", |way, f| {
            f.tcp().filter(|s| way == Way::In && s.dst == syn.src)
        })?;
        check!(
            answer.has(flag::SYN | flag::ACK),
            "{options:?} answered with {:#x}",
            answer.flags
        );
        check_eq!(answer.ack, 78, "acknowledgment number for {options:?}");
    }
    ctx.connect_to(&l, addr)?;
    attack.survived(&[], 0)
}

/// RFC 7323: an ACK that echoes a time stamp that no SYN-ACK had does not end a handshake, however well it guessed the
/// number; the one with the right echo does.
fn false_echo(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    let (l, addr) = ctx.listener(4)?;
    // The sender's host knows nothing of this connection, and would reset it.
    chain(
        &ctx.lab.a.ns,
        "mute",
        "filter hook output priority 0",
        "tcp flags & rst == rst drop",
    )?;
    let stamps = |val: u32, ecr: u32| {
        let mut options = vec![1, 1, 8, 10];
        options.extend(val.to_be_bytes());
        options.extend(ecr.to_be_bytes());
        options
    };
    let mut t = Tcp::new(ctx.lab.a.at(20_000), addr, flag::SYN);
    t.seq = 77;
    t.options = stamps(500, 0);
    attack.shoot(&t.packet())?;
    let answer = attack.tap.find("SYN-ACK", |way, f| {
        f.tcp()
            .filter(|s| way == Way::In && s.dst == t.src && s.has(flag::SYN | flag::ACK))
    })?;
    let sent = answer.option(8).context("no time stamp in the SYN-ACK")?;
    let sent = u32::from_be_bytes(sent[..4].try_into()?);
    t.flags = flag::ACK;
    t.seq = 78;
    t.ack = answer.seq.wrapping_add(1);
    let rejected = || netstat(&ctx.lab.b.ns, "TcpExt", "TSEcrRejected");
    let before = rejected()?;
    for wrong in [sent.wrapping_add(1_000_000), sent.wrapping_sub(1_000_000)] {
        t.options = stamps(501, wrong);
        attack.shoot(&t.packet())?;
    }
    wait::until("two echoes rejected", || {
        (rejected().ok()? - before == 2).then_some(())
    })?;
    l.nonblocking(true).sys("O_NONBLOCK")?;
    want_errno("accept", l.accept().map(drop), c::EAGAIN)?;
    l.nonblocking(false).sys("O_NONBLOCK")?;
    t.options = stamps(502, sent);
    attack.shoot(&t.packet())?;
    let server = l.accept().sys("accept")?;
    check_eq!(server.peer().sys("peer")?, t.src, "who was let in");
    attack.survived(&["TCP_RFC7323_TSECR"], 1)
}

fn flags(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    let (l, addr) = ctx.listener(64)?;
    let t = attack.forged()?;
    for flags in 0..=255u8 {
        let mut to_listener = Tcp::new(ctx.lab.a.at(30_000 + u16::from(flags)), addr, flags);
        to_listener.seq = 5;
        to_listener.ack = 9;
        attack.shoot(&to_listener.packet())?;
        // Old, so that not even a RST or a FIN may act.
        let mut to_connection = t.clone();
        to_connection.flags = flags;
        to_connection.seq = to_connection.seq.wrapping_sub(5000);
        attack.shoot(&to_connection.packet())?;
    }
    ctx.connect_to(&l, addr)?;
    attack.survived(&[], 0)
}

fn land(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    let (l, addr) = ctx.listener(4)?;
    for _ in 0..100 {
        let syn = Tcp::new(addr, addr, flag::SYN);
        attack.shoot(&syn.packet())?;
    }
    ctx.connect_to(&l, addr)?;
    attack.survived(&[], 0)
}

/// Half-open connections from addresses that never answer: more than any queue holds.
fn flood(ctx: &Ctx, attack: &Attack<'_>, to: std::net::SocketAddrV4) -> Result<()> {
    let mut stream = Stream::new(99);
    for _ in 0..5000.min(ctx.args.frames) {
        let from = [10, 77, 0, 3 + stream.below(250) as u8];
        let port = 1024 + stream.below(60_000) as u16;
        let mut syn = Tcp::new(
            std::net::SocketAddrV4::new(from.into(), port),
            to,
            flag::SYN,
        );
        syn.seq = stream.next_u64() as u32;
        syn.options = vec![2, 4, 5, 0xb4];
        attack.shoot(&Ipv4::new(from, ctx.lab.b.ip.octets(), 6).build(&syn.build()))?;
    }
    Ok(())
}

fn syn_flood(ctx: &Ctx) -> Result<()> {
    // Without cookies the queue of half-open connections bounds what a flood costs.
    ctx.lab
        .b
        .ns
        .sysctl_if_there("net/ipv4/tcp_syncookies", "0")?;
    let attack = Attack::new(ctx)?;
    let (_l, addr) = ctx.listener(128)?;
    std::thread::scope(|s| {
        let carried =
            s.spawn(|| netlab::payload::exchange(&attack.client, &attack.server, 8, 500_000));
        let shot = flood(ctx, &attack, addr);
        carried.join().expect("no panic").and(shot)
    })?;
    attack.survived(&["TCP_LISTEN_OVERFLOW"], 1000)
}

/// A client that does what it should still gets in: by SYN cookies (RFC 4987, 3.6).
fn syn_flood_honest(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    let (l, addr) = ctx.listener(128)?;
    flood(ctx, &attack, addr)?;
    let (c, s) = ctx.connect_to(&l, addr)?;
    netlab::payload::transfer(&c, &s, 1, 100_000)?;
    attack.survived(&[], 0)
}

/// CVE-2018-5390: thousands of single bytes that do not join. The peer's own data still arrives.
fn smack(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    let t = attack.forged()?;
    for i in 0..5000.min(ctx.args.frames) {
        let mut bit = t.clone();
        // Well within the first flight: past it, the victim would acknowledge what its peer has
        // not sent, which no honest peer can accept.
        bit.seq = t.seq.wrapping_add(1_000 + 2 * (i % 1500));
        // What the stream will say there, or the connection would not survive by right.
        bit.data = vec![0];
        attack.shoot(&bit.packet())?;
    }
    let zeros = vec![0; 20_000];
    attack.client.send_all(&zeros).sys("send")?;
    let mut got = vec![1; zeros.len()];
    let limit = std::time::Duration::from_secs(15);
    attack
        .server
        .timeo(netlab::c::SO_RCVTIMEO, limit)
        .sys("SO_RCVTIMEO")?;
    if let Err(e) = attack.server.recv_exact(&mut got) {
        anyhow::bail!("recv: {}; the wire's last:\n{}", e.0, attack.last_seen(30)?);
    }
    check!(got == zeros, "data differs");
    attack.survived(&[], 0)
}

fn urgent(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    // Or Linux takes the urgent byte out of the stream, as it should.
    attack
        .server
        .set(netlab::c::SOL_SOCKET, netlab::c::SO_OOBINLINE, 1)
        .sys("SO_OOBINLINE")?;
    let t = attack.forged()?;
    for pointer in [0, 1, 2, 100, 32767, 32768, 65535] {
        let mut bad = t.clone();
        bad.flags |= 0x20;
        bad.urgent = pointer;
        // Old data, so that the stream itself stays as it is.
        bad.seq = bad.seq.wrapping_sub(1);
        bad.data = vec![b'!'];
        attack.shoot(&bad.packet())?;
    }
    attack.survived(&[], 0)
}

/// CVE-2019-11479: the offer is raised to a sane least.
fn tiny_mss(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    let (l, addr) = ctx.listener(4)?;
    let me = ctx.lab.a.at(20_999);
    // Nobody owns this port at `a`, whose stack would reset the connection: drop what comes.
    let guard = ctx.lab.a.ns.run(&["nft", "-v"]);
    if guard.is_err() {
        return Err(netlab::ktap::skip("needs nft"));
    }
    ctx.lab.a.ns.run(&[
        "nft",
        "add table ip tiny; add chain ip tiny in { type filter hook input \
        priority 0; }; add rule ip tiny in tcp dport 20999 drop",
    ])?;
    let mut syn = Tcp::new(me, addr, flag::SYN);
    syn.seq = 1;
    syn.options = vec![2, 4, 0, 1];
    attack.shoot(&syn.packet())?;
    let answer = attack.tap.find("SYN-ACK", |way, f| {
        f.tcp()
            .filter(|s| way == Way::In && s.dst == me && s.has(flag::SYN | flag::ACK))
    })?;
    let mut ack = Tcp::new(me, addr, flag::ACK);
    ack.seq = 2;
    ack.ack = answer.seq.wrapping_add(1);
    attack.shoot(&ack.packet())?;
    let server = l.accept().sys("accept")?;
    server.send_all(&[7; 500]).sys("send")?;
    let first = attack.tap.find("data", |way, f| {
        f.tcp()
            .filter(|s| way == Way::In && s.dst == me && s.len > 0)
    })?;
    let _ = ctx.lab.a.ns.run(&["nft", "delete table ip tiny"]);
    check!(
        first.len >= 28,
        "segments of {} bytes for an MSS of 1",
        first.len
    );
    attack.survived(&[], 0)
}
