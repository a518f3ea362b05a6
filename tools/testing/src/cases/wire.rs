// SPDX-License-Identifier: GPL-2.0
//! What the segments on the wire look like: Nagle, cork, options of the handshake.

use std::time::Duration;

use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::frame::checksum;
use netlab::frame::flag;
use netlab::frame::Frame;
use netlab::frame::Segment;
use netlab::ktap::Sysc;
use netlab::tap::Tap;
use netlab::tap::Way;
use netlab::tap::ETH_P_ALL;
use netlab::Sock;

use crate::case::Case;
use crate::case::Ctx;

const G: &str = "wire";

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::two(G, "SYN_offers_MSS_scale_SACK_timestamps", syn_options).veth(),
    Case::two(G, "SYN_ACK_answers_the_options", syn_ack_options).veth(),
    Case::two(G, "segments_carry_timestamps_that_echo", timestamps).veth(),
    Case::two(G, "TCP_MAXSEG_bounds_segments", maxseg).veth(),
    Case::two(G, "nodelay_sends_each_write", nodelay).veth(),
    Case::two(G, "nagle_joins_small_writes", nagle)
        .veth()
        .fresh(),
    Case::two(G, "cork_holds_until_uncorked", cork).veth(),
    Case::two(G, "MSG_MORE_holds_until_the_next_write", more).veth(),
    Case::two(G, "cork_lets_go_after_200_ms", cork_timeout).veth(),
    Case::two(G, "checksums_on_the_wire_are_right", checksums)
        .veth()
        .fresh(),
    Case::two(G, "IP_TOS_and_IP_TTL_are_in_the_header", tos_ttl).veth(),
    Case::two(G, "initial_sequence_numbers_differ", isn).veth(),
    Case::two(G, "keepalive_probes_an_idle_connection", keepalive).veth(),
    Case::two(G, "ACK_is_delayed_but_not_for_long", delayed_ack).veth(),
];

/// Data segments that the client sends, as they pass its device, until `total` bytes have gone by.
fn data_segments(tap: &Tap, client: &Sock, total: usize) -> Result<Vec<usize>> {
    let me = client.local().sys("name")?;
    let (mut sizes, mut sum) = (Vec::new(), 0);
    let mut next = None;
    tap.find("the data", |way, f| {
        let s = f.tcp()?;
        // What was sent before is a retransmission, which says nothing about how data is cut.
        let new = next.is_none_or(|n| s.seq == n);
        if way == Way::Out && s.src == me && s.len > 0 && new {
            next = Some(s.seq.wrapping_add(s.len as u32));
            sizes.push(s.len);
            sum += s.len;
        }
        (sum >= total).then_some(())
    })?;
    Ok(sizes)
}

fn tapped(ctx: &Ctx) -> Result<(Sock, Sock, Tap)> {
    let (client, server) = ctx.connected()?;
    // After the handshake, so that the tap begins with data.
    Ok((client, server, Tap::new(&ctx.lab.a, ETH_P_ALL)?))
}

fn handshake(ctx: &Ctx) -> Result<(Segment, Segment)> {
    let tap = Tap::new(&ctx.lab.a, ETH_P_ALL)?;
    let (client, _server) = ctx.connected()?;
    let (me, peer) = (client.local().sys("name")?, client.peer().sys("peer")?);
    let mut syn = None;
    tap.find("SYN and SYN-ACK", |_, f| {
        let s = f.tcp()?;
        if s.src == me && s.flags & (flag::SYN | flag::ACK) == flag::SYN {
            syn = Some(s);
            return None;
        }
        let answer = s.src == peer && s.dst == me && s.has(flag::SYN | flag::ACK);
        answer.then(|| (syn.clone(), s))
    })
    .and_then(|(syn, ack)| {
        Ok((
            syn.ok_or_else(|| anyhow::anyhow!("SYN-ACK before SYN"))?,
            ack,
        ))
    })
}

fn syn_options(ctx: &Ctx) -> Result<()> {
    let (syn, _) = handshake(ctx)?;
    check_eq!(syn.option(2), Some(&1460u16.to_be_bytes()[..]), "MSS");
    check!(
        syn.option(3).is_some_and(|w| w.len() == 1 && w[0] <= 14),
        "no window scale"
    );
    if !ctx.client.is_rustnet() {
        check_eq!(syn.option(4), Some(&[][..]), "SACK permitted");
    }
    check!(
        syn.option(8)
            .is_some_and(|t| t.len() == 8 && t[4..] == [0; 4]),
        "no timestamps"
    );
    check_eq!(syn.ack, 0, "acknowledgment number of a SYN");
    Ok(())
}

fn syn_ack_options(ctx: &Ctx) -> Result<()> {
    let (syn, ack) = handshake(ctx)?;
    check_eq!(ack.ack, syn.seq.wrapping_add(1), "acknowledgment number");
    check_eq!(ack.option(2), Some(&1460u16.to_be_bytes()[..]), "MSS");
    check!(ack.option(3).is_some(), "no window scale");
    if ctx.offers_sack() {
        check!(ack.option(4).is_some(), "no SACK permitted");
    }
    let sent = syn.option(8).map(|t| t[..4].to_vec());
    check_eq!(
        ack.option(8).map(|t| t[4..].to_vec()),
        sent,
        "echoed timestamp"
    );
    Ok(())
}

fn timestamps(ctx: &Ctx) -> Result<()> {
    let (client, server, tap) = tapped(ctx)?;
    client.send_all(b"x").sys("send")?;
    server.recv_exact(&mut [0; 1]).sys("recv")?;
    let me = client.local().sys("name")?;
    let mut sent = None;
    tap.find("an ACK that echoes the segment's timestamp", |_, f| {
        let s = f.tcp()?;
        let ts = s.option(8)?.to_vec();
        if s.src == me && s.len == 1 {
            sent = Some(ts[..4].to_vec());
        }
        (s.dst == me && sent.as_deref() == Some(&ts[4..])).then_some(())
    })
}

fn maxseg(ctx: &Ctx) -> Result<()> {
    let l = ctx.server_tcp()?;
    l.set(c::IPPROTO_TCP, c::TCP_MAXSEG, 500)
        .sys("TCP_MAXSEG")?;
    l.bind(ctx.lab.b.at(0)).sys("bind")?;
    l.listen(1).sys("listen")?;
    let tap = Tap::new(&ctx.lab.b, ETH_P_ALL)?;
    let (client, server) = ctx.connect_to(&l, l.local().sys("name")?)?;
    let me = server.local().sys("name")?;
    let offered = tap.find("the SYN-ACK", |_, f| {
        let s = f.tcp()?;
        (s.src == me && s.has(flag::SYN)).then(|| s.option(2).map(<[u8]>::to_vec))
    })?;
    check_eq!(offered, Some(500u16.to_be_bytes().to_vec()), "MSS offered");
    let mss = netlab::tcpinfo::TcpInfo::of(&client)
        .sys("TCP_INFO")?
        .snd_mss();
    check!(
        mss.is_some_and(|m| m <= 500),
        "the client's snd_mss is {mss:?}"
    );
    netlab::payload::transfer(&client, &server, 1, 20_000)
}

fn nodelay(ctx: &Ctx) -> Result<()> {
    let (client, _server, tap) = tapped(ctx)?;
    client.nodelay(true).sys("TCP_NODELAY")?;
    for i in 0..5 {
        client.send_all(&vec![i; 10 + usize::from(i)]).sys("send")?;
    }
    check_eq!(
        data_segments(&tap, &client, 60)?,
        [10, 11, 12, 13, 14],
        "segments"
    );
    Ok(())
}

/// The ACK of the first write is held back by the link; what is written meanwhile leaves as one.
fn nagle(ctx: &Ctx) -> Result<()> {
    let (client, _server, tap) = tapped(ctx)?;
    crate::cases::netem(&ctx.lab.b, "delay 150ms")?;
    for _ in 0..10 {
        client.send_all(&[1; 7]).sys("send")?;
    }
    check_eq!(data_segments(&tap, &client, 70)?, [7, 63], "segments");
    Ok(())
}

fn cork(ctx: &Ctx) -> Result<()> {
    let (client, server, tap) = tapped(ctx)?;
    client.set(c::IPPROTO_TCP, c::TCP_CORK, 1).sys("TCP_CORK")?;
    client.send_all(&[1; 100]).sys("send")?;
    client.send_all(&[2; 200]).sys("send")?;
    check_eq!(
        server
            .poll(c::POLLIN, Duration::from_millis(20))
            .sys("poll")?,
        0,
        "corked data"
    );
    client.set(c::IPPROTO_TCP, c::TCP_CORK, 0).sys("TCP_CORK")?;
    check_eq!(data_segments(&tap, &client, 300)?, [300], "segments");
    Ok(())
}

fn more(ctx: &Ctx) -> Result<()> {
    let (client, _server, tap) = tapped(ctx)?;
    client.nodelay(true).sys("TCP_NODELAY")?;
    client
        .send(&[1; 100], c::MSG_MORE | c::MSG_NOSIGNAL)
        .sys("send")?;
    client.send(&[2; 50], c::MSG_NOSIGNAL).sys("send")?;
    check_eq!(data_segments(&tap, &client, 150)?, [150], "segments");
    Ok(())
}

fn cork_timeout(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    client.set(c::IPPROTO_TCP, c::TCP_CORK, 1).sys("TCP_CORK")?;
    client.send_all(b"stuck").sys("send")?;
    let mut buf = [0; 5];
    server.recv_exact(&mut buf).sys("recv")?;
    check_eq!(&buf, b"stuck", "data");
    Ok(())
}

/// Without checksum offload every frame must be right as it stands.
fn checksums(ctx: &Ctx) -> Result<()> {
    for end in [&ctx.lab.a, &ctx.lab.b] {
        end.ns
            .run(&[
                "ethtool", "-K", &end.dev, "tx", "off", "tso", "off", "gso", "off",
            ])
            .map_err(|e| netlab::ktap::skip(format!("needs ethtool: {e:#}")))?;
    }
    let tap = Tap::new(&ctx.lab.b, ETH_P_ALL)?;
    let (client, server) = ctx.connected()?;
    netlab::payload::exchange(&client, &server, 2, 100_000)?;
    let mut seen = 0;
    for (_, f) in tap.drain()?.into_iter().filter(|(way, _)| *way == Way::In) {
        let Some((src, dst, segment)) = f.transport(6) else {
            continue;
        };
        let len = (segment.len() as u16).to_be_bytes();
        let (header, _) = f.ipv4().expect("it is one");
        check_eq!(checksum(&[header]), 0, "IPv4 header checksum");
        let sum = checksum(&[&src, &dst, &[0, 6, len[0], len[1]], segment]);
        check_eq!(sum, 0, "TCP checksum of {:?}", f.tcp());
        seen += 1;
    }
    check!(seen > 30, "only {seen} segments seen");
    Ok(())
}

fn tos_ttl(ctx: &Ctx) -> Result<()> {
    let (client, _server, tap) = tapped(ctx)?;
    client.set(c::IPPROTO_IP, c::IP_TOS, 0x48).sys("IP_TOS")?;
    client.set(c::IPPROTO_IP, c::IP_TTL, 17).sys("IP_TTL")?;
    client.send_all(b"x").sys("send")?;
    let me = client.local().sys("name")?;
    let seen = tap.find("the data", |_, f: &Frame| {
        let s = f.tcp()?;
        (s.src == me && s.len == 1).then(|| f.ipv4().map(|(h, _)| (h[1] & 0xfc, h[8])))
    })?;
    check_eq!(seen, Some((0x48, 17)), "TOS and TTL");
    Ok(())
}

/// RFC 6528: different connections, unrelated numbers.
fn isn(ctx: &Ctx) -> Result<()> {
    let mut all = Vec::new();
    for _ in 0..8 {
        let (syn, ack) = handshake(ctx)?;
        all.push(syn.seq);
        all.push(ack.seq);
    }
    all.sort_unstable();
    for pair in all.windows(2) {
        check!(pair[1] - pair[0] > 1000, "numbers too close: {all:?}");
    }
    Ok(())
}

fn keepalive(ctx: &Ctx) -> Result<()> {
    let (client, _server, tap) = tapped(ctx)?;
    client
        .set(c::IPPROTO_TCP, c::TCP_KEEPIDLE, 1)
        .sys("TCP_KEEPIDLE")?;
    client
        .set(c::IPPROTO_TCP, c::TCP_KEEPINTVL, 1)
        .sys("TCP_KEEPINTVL")?;
    client
        .set(c::SOL_SOCKET, c::SO_KEEPALIVE, 1)
        .sys("SO_KEEPALIVE")?;
    let me = client.local().sys("name")?;
    let mut probe = None;
    tap.find("a probe and its answer", |_, f| {
        let s = f.tcp()?;
        if s.src == me && s.len == 0 {
            probe = Some(s.seq);
        }
        // A probe repeats the last acknowledged byte: the answer asks for the one after it.
        (s.dst == me && probe.is_some_and(|p| s.ack == p.wrapping_add(1))).then_some(())
    })
}

/// RFC 1122, 4.2.3.2: less than half a second.
fn delayed_ack(ctx: &Ctx) -> Result<()> {
    let (client, server, tap) = tapped(ctx)?;
    for _ in 0..20 {
        client.send_all(b"x").sys("send")?;
        server.recv_exact(&mut [0; 1]).sys("recv")?;
        server.send_all(b"y").sys("send")?;
        client.recv_exact(&mut [0; 1]).sys("recv")?;
    }
    drop(tap.drain()?);
    let start = std::time::Instant::now();
    client.send_all(b"z").sys("send")?;
    let me = client.local().sys("name")?;
    let mut last = None;
    tap.find("the ACK", |_, f| {
        let s = f.tcp()?;
        if s.src == me && s.len == 1 {
            last = Some(s.seq.wrapping_add(1));
        }
        (s.dst == me && Some(s.ack) == last).then_some(())
    })?;
    let took = start.elapsed();
    check!(
        took < Duration::from_millis(700),
        "acknowledged after {took:?}"
    );
    Ok(())
}
