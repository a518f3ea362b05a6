// SPDX-License-Identifier: GPL-2.0
//! UDP: datagrams of every size, connected and not, and what ICMP says about them.

use std::net::Ipv4Addr;
use std::net::SocketAddrV4;
use std::time::Duration;

use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::frame::ethernet;
use netlab::frame::Ipv4;
use netlab::ktap::want_errno;
use netlab::ktap::Sysc;
use netlab::lab::Link;
use netlab::payload::Stream;
use netlab::tap::Tap;
use netlab::tap::Way;
use netlab::tap::ETH_P_ALL;
use netlab::tap::ETH_P_IP;
use netlab::Sock;

use crate::case::Case;
use crate::case::Ctx;

const G: &str = "udp";

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::two(G, "request_and_answer", there_and_back),
    Case::two(G, "sizes_from_0_to_the_MTU", sizes),
    Case::two(G, "too_long_EMSGSIZE", too_long),
    Case::two(G, "MSG_PEEK_and_MSG_TRUNC", peek_trunc),
    Case::two(G, "recvmsg_flags_a_cut_datagram", cut),
    Case::two(G, "connected_takes_only_its_peer", filter),
    Case::two(G, "connected_send_and_names", connected),
    Case::two(G, "reconnect_and_disconnect", reconnect),
    Case::two(G, "closed_port_ECONNREFUSED", refused),
    Case::two(G, "unconnected_hears_of_no_closed_port", unconnected_closed),
    Case::one(G, "broadcast_without_permission_EACCES", broadcast).veth(),
    Case::two(G, "broadcast_with_SO_BROADCAST_arrives", broadcast_arrives).veth(),
    Case::two(G, "checksum_on_the_wire_is_right", checksum_out)
        .veth()
        .fresh(),
    Case::two(G, "wrong_checksum_is_dropped", checksum_in).veth(),
    Case::two(G, "zero_checksum_is_accepted", checksum_none).veth(),
    Case::two(G, "full_receive_buffer_drops_and_counts", overflow),
    Case::two(G, "FIONREAD_is_the_next_datagrams_length", fionread),
    Case::two(G, "boundaries_and_order_are_kept", order),
    Case::one(G, "wildcard_receives_with_the_right_names", wildcard),
    Case::two(G, "shutdown_read_ends_a_blocked_recv", shutdown),
    Case::two(G, "IP_PKTINFO_IP_RECVTTL_IP_RECVTOS", ancillary).veth(),
];

fn names(a: &Sock, b: &Sock) -> Result<(SocketAddrV4, SocketAddrV4)> {
    Ok((a.local().sys("name")?, b.local().sys("name")?))
}

fn there_and_back(ctx: &Ctx) -> Result<()> {
    let (a, b) = (ctx.udp()?, ctx.server_udp()?);
    let (at_a, at_b) = names(&a, &b)?;
    check_eq!(a.sendto(b"ping", 0, at_b).sys("sendto")?, 4, "length sent");
    let mut buf = [0; 100];
    let (n, from) = b.recvfrom(&mut buf, 0).sys("recvfrom")?;
    check_eq!((&buf[..n], from), (&b"ping"[..], at_a), "request");
    b.sendto(b"pong!", 0, from).sys("sendto")?;
    let (n, from) = a.recvfrom(&mut buf, 0).sys("recvfrom")?;
    check_eq!((&buf[..n], from), (&b"pong!"[..], at_b), "answer");
    Ok(())
}

fn sizes(ctx: &Ctx) -> Result<()> {
    let (a, b) = (ctx.udp()?, ctx.server_udp()?);
    let (_, at_b) = names(&a, &b)?;
    let mut stream = Stream::new(1);
    let mut buf = vec![0; 2000];
    for size in (0..20).chain((20..1472).step_by(97)).chain([1471, 1472]) {
        let data = stream.bytes(size);
        a.sendto(&data, 0, at_b).sys("sendto")?;
        let n = b.recv(&mut buf, 0).sys("recv")?;
        check!(
            buf[..n] == data,
            "a datagram of {size} bytes came as {n}, or changed"
        );
    }
    Ok(())
}

fn too_long(ctx: &Ctx) -> Result<()> {
    let (a, b) = (ctx.udp()?, ctx.server_udp()?);
    let (_, at_b) = names(&a, &b)?;
    want_errno("65508 bytes", a.sendto(&[0; 65508], 0, at_b), c::EMSGSIZE)
}

fn peek_trunc(ctx: &Ctx) -> Result<()> {
    let (a, b) = (ctx.udp()?, ctx.server_udp()?);
    let (_, at_b) = names(&a, &b)?;
    a.sendto(b"0123456789", 0, at_b).sys("sendto")?;
    let mut buf = [0; 4];
    check_eq!(b.recv(&mut buf, c::MSG_PEEK).sys("peek")?, 4, "peek");
    check_eq!(
        b.recv(&mut buf, c::MSG_PEEK | c::MSG_TRUNC).sys("peek")?,
        10,
        "peek with TRUNC"
    );
    check_eq!(
        b.recv(&mut buf, c::MSG_TRUNC).sys("recv")?,
        10,
        "recv with TRUNC"
    );
    check_eq!(&buf, b"0123", "data");
    want_errno("the rest", b.recv(&mut buf, c::MSG_DONTWAIT), c::EAGAIN)
}

fn cut(ctx: &Ctx) -> Result<()> {
    let (a, b) = (ctx.udp()?, ctx.server_udp()?);
    let (at_a, at_b) = names(&a, &b)?;
    a.sendto(b"0123456789", 0, at_b).sys("sendto")?;
    let m = b.recvmsg(&mut [0; 4], 0).sys("recvmsg")?;
    check_eq!(
        (m.len, m.from, m.namelen),
        (4, at_a, 16),
        "length, sender, its length"
    );
    check!(
        m.flags & c::MSG_TRUNC != 0,
        "msg_flags {:#x} without MSG_TRUNC",
        m.flags
    );
    a.sendto(b"0123", 0, at_b).sys("sendto")?;
    let m = b.recvmsg(&mut [0; 4], 0).sys("recvmsg")?;
    check_eq!(
        m.flags & c::MSG_TRUNC,
        0,
        "MSG_TRUNC of a datagram that fits"
    );
    Ok(())
}

fn filter(ctx: &Ctx) -> Result<()> {
    let (a, stranger, b) = (ctx.udp()?, ctx.udp()?, ctx.server_udp()?);
    let (at_a, at_b) = names(&a, &b)?;
    b.connect(at_a).sys("connect")?;
    stranger.sendto(b"from a stranger", 0, at_b).sys("sendto")?;
    a.sendto(b"from the peer", 0, at_b).sys("sendto")?;
    let mut buf = [0; 50];
    let n = b.recv(&mut buf, 0).sys("recv")?;
    check_eq!(&buf[..n], b"from the peer", "first datagram");
    Ok(())
}

fn connected(ctx: &Ctx) -> Result<()> {
    let b = ctx.server_udp()?;
    let at_b = b.local().sys("name")?;
    let a = ctx.lab.a.udp(ctx.client)?.with_patience()?;
    a.connect(at_b).sys("connect")?;
    check_eq!(a.peer().sys("peer")?, at_b, "peer");
    check_eq!(
        *a.local().sys("name")?.ip(),
        ctx.lab.a.ip,
        "source chosen by connect"
    );
    a.send(b"x", 0).sys("send")?;
    let (_, from) = b.recvfrom(&mut [0; 1], 0).sys("recvfrom")?;
    check_eq!(from, a.local().sys("name")?, "sender");
    Ok(())
}

fn reconnect(ctx: &Ctx) -> Result<()> {
    let (one, two) = (ctx.server_udp()?, ctx.server_udp()?);
    let a = ctx.udp()?;
    a.connect(one.local().sys("name")?).sys("connect")?;
    a.connect(two.local().sys("name")?)
        .sys("connect elsewhere")?;
    a.send(b"x", 0).sys("send")?;
    two.recv(&mut [0; 1], 0).sys("recv at the second")?;
    let nowhere = netlab::sock::sockaddr_in(c::AF_UNSPEC, "0.0.0.0:0".parse()?);
    a.connect_raw(&nowhere).sys("connect(AF_UNSPEC)")?;
    want_errno("peer after it", a.peer(), c::ENOTCONN)?;
    want_errno("send after it", a.send(b"x", 0), c::EDESTADDRREQ)
}

fn refused(ctx: &Ctx) -> Result<()> {
    let to = {
        let gone = ctx.server_udp()?;
        gone.local().sys("name")?
    };
    let a = ctx.udp()?;
    a.connect(to).sys("connect")?;
    a.send(b"x", 0).sys("send")?;
    let ev = a.await_events(c::POLLIN).sys("poll")?;
    check!(ev & c::POLLERR != 0, "events {ev:#x}");
    want_errno(
        "recv",
        a.recv(&mut [0; 1], c::MSG_DONTWAIT),
        c::ECONNREFUSED,
    )?;
    want_errno(
        "recv once told",
        a.recv(&mut [0; 1], c::MSG_DONTWAIT),
        c::EAGAIN,
    )
}

fn unconnected_closed(ctx: &Ctx) -> Result<()> {
    let to = {
        let gone = ctx.server_udp()?;
        gone.local().sys("name")?
    };
    let (a, b) = (ctx.udp()?, ctx.server_udp()?);
    a.sendto(b"x", 0, to).sys("sendto")?;
    // What comes after shows that the answer to the first was dealt with.
    a.sendto(b"y", 0, b.local().sys("name")?).sys("sendto")?;
    b.recv(&mut [0; 1], 0).sys("recv")?;
    want_errno("recv", a.recv(&mut [0; 1], c::MSG_DONTWAIT), c::EAGAIN)?;
    check_eq!(a.take_error().sys("SO_ERROR")?, 0, "SO_ERROR");
    Ok(())
}

const EVERYONE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 255);

fn broadcast(ctx: &Ctx) -> Result<()> {
    let a = ctx.udp()?;
    want_errno(
        "sendto",
        a.sendto(b"x", 0, SocketAddrV4::new(EVERYONE, 9)),
        c::EACCES,
    )?;
    want_errno(
        "connect",
        a.connect(SocketAddrV4::new(EVERYONE, 9)),
        c::EACCES,
    )
}

fn broadcast_arrives(ctx: &Ctx) -> Result<()> {
    let b = ctx.lab.b.udp(ctx.server)?.with_patience()?;
    b.bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0))
        .sys("bind")?;
    let port = b.local().sys("name")?.port();
    let a = ctx.udp()?;
    a.set(c::SOL_SOCKET, c::SO_BROADCAST, 1)
        .sys("SO_BROADCAST")?;
    a.sendto(b"all", 0, SocketAddrV4::new(EVERYONE, port))
        .sys("sendto")?;
    let (n, from) = b.recvfrom(&mut [0; 9], 0).sys("recvfrom")?;
    check_eq!((n, from), (3, a.local().sys("name")?), "length and sender");
    Ok(())
}

fn checksum_out(ctx: &Ctx) -> Result<()> {
    for end in [&ctx.lab.a, &ctx.lab.b] {
        end.ns
            .run(&["ethtool", "-K", &end.dev, "tx", "off"])
            .map_err(|e| netlab::ktap::skip(format!("needs ethtool: {e:#}")))?;
    }
    let (a, b) = (ctx.udp()?, ctx.server_udp()?);
    let tap = Tap::new(&ctx.lab.b, ETH_P_ALL)?;
    a.sendto(b"odd length", 0, b.local().sys("name")?)
        .sys("sendto")?;
    let right = tap.find("the datagram", |way, f| {
        let (src, dst, d) = f.transport(17)?;
        let len = (d.len() as u16).to_be_bytes();
        let sum = netlab::frame::checksum(&[&src, &dst, &[0, 17, len[0], len[1]], d]);
        (way == Way::In).then_some((sum == 0, d[6..8] != [0, 0]))
    })?;
    check_eq!(right, (true, true), "checksum right, and present");
    Ok(())
}

/// A datagram from the client's end, written by hand.
fn inject(ctx: &Ctx, to: SocketAddrV4, data: &[u8], check: Option<u16>) -> Result<()> {
    let tap = Tap::new(&ctx.lab.a, ETH_P_ALL)?;
    let src = ctx.lab.a.at(4444);
    let d = netlab::frame::udp(src, to, data, None, check);
    let p = Ipv4::new(src.ip().octets(), to.ip().octets(), 17).build(&d);
    tap.send(&ethernet(ctx.lab.b.mac, ctx.lab.a.mac, ETH_P_IP, &p))
        .sys("send(AF_PACKET)")
}

fn checksum_in(ctx: &Ctx) -> Result<()> {
    let b = ctx.server_udp()?;
    let at_b = b.local().sys("name")?;
    inject(ctx, at_b, b"wrong", Some(0x1234))?;
    inject(ctx, at_b, b"right", None)?;
    let mut buf = [0; 9];
    let n = b.recv(&mut buf, 0).sys("recv")?;
    check_eq!(&buf[..n], b"right", "first datagram delivered");
    Ok(())
}

fn checksum_none(ctx: &Ctx) -> Result<()> {
    let b = ctx.server_udp()?;
    inject(ctx, b.local().sys("name")?, b"unsummed", Some(0))?;
    let mut buf = [0; 9];
    let n = b.recv(&mut buf, 0).sys("recv")?;
    check_eq!(&buf[..n], b"unsummed", "datagram without checksum");
    Ok(())
}

fn overflow(ctx: &Ctx) -> Result<()> {
    let (a, b) = (ctx.udp()?, ctx.server_udp()?);
    b.set(c::SOL_SOCKET, c::SO_RCVBUF, 4096).sys("SO_RCVBUF")?;
    b.set(c::SOL_SOCKET, c::SO_RXQ_OVFL, 1).sys("SO_RXQ_OVFL")?;
    let at_b = b.local().sys("name")?;
    for i in 0..100u8 {
        a.sendto(&[i; 1000], 0, at_b).sys("sendto")?;
    }
    let (mut got, mut last) = (0, None);
    let mut buf = [0; 1000];
    while b.poll(c::POLLIN, Duration::from_millis(50)).sys("poll")? != 0 {
        b.recv(&mut buf, 0).sys("recv")?;
        check!(last < Some(buf[0]), "order: {} after {last:?}", buf[0]);
        last = Some(buf[0]);
        got += 1;
    }
    check!(
        (1..50).contains(&got),
        "{got} datagrams of 1000 bytes fit into 8192"
    );
    a.sendto(&[0; 10], 0, at_b).sys("sendto")?;
    let m = b.recvmsg(&mut buf, 0).sys("recvmsg")?;
    let lost = m
        .control
        .iter()
        .find(|(l, t, _)| (*l, *t) == (c::SOL_SOCKET, c::SO_RXQ_OVFL));
    let lost = lost.map(|(_, _, d)| u32::from_ne_bytes([d[0], d[1], d[2], d[3]]));
    check_eq!(lost, Some(100 - got), "drops that SO_RXQ_OVFL reports");
    Ok(())
}

fn fionread(ctx: &Ctx) -> Result<()> {
    let (a, b) = (ctx.udp()?, ctx.server_udp()?);
    let at_b = b.local().sys("name")?;
    check_eq!(b.inq().sys("FIONREAD")?, 0, "nothing there");
    a.sendto(&[0; 123], 0, at_b).sys("sendto")?;
    a.sendto(&[0; 77], 0, at_b).sys("sendto")?;
    b.await_events(c::POLLIN).sys("poll")?;
    check_eq!(b.inq().sys("FIONREAD")?, 123, "the first datagram");
    b.recv(&mut [0; 1], 0).sys("recv")?;
    b.await_events(c::POLLIN).sys("poll")?;
    check_eq!(b.inq().sys("FIONREAD")?, 77, "the second datagram");
    Ok(())
}

fn order(ctx: &Ctx) -> Result<()> {
    let (a, b) = (ctx.udp()?, ctx.server_udp()?);
    let at_b = b.local().sys("name")?;
    for round in 0..20u32 {
        for i in 0..20 {
            a.sendto(&vec![i as u8; 1 + i], 0, at_b).sys("sendto")?;
        }
        for i in 0..20 {
            let mut buf = [0; 100];
            let n = b.recv(&mut buf, 0).sys("recv")?;
            check_eq!(
                (n, buf[0]),
                (1 + i, i as u8),
                "datagram {i} of round {round}"
            );
        }
    }
    Ok(())
}

fn wildcard(ctx: &Ctx) -> Result<()> {
    let b = ctx.lab.a.udp(ctx.family())?.with_patience()?;
    b.bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0))
        .sys("bind")?;
    let port = b.local().sys("name")?.port();
    let a = ctx.udp()?;
    // Every address of 127/8 is local on lo.
    let odd = SocketAddrV4::new(Ipv4Addr::new(127, 1, 2, 3), port);
    a.sendto(b"x", 0, odd).sys("sendto")?;
    let (_, from) = b.recvfrom(&mut [0; 1], 0).sys("recvfrom")?;
    check_eq!(from, a.local().sys("name")?, "sender");
    Ok(())
}

fn shutdown(ctx: &Ctx) -> Result<()> {
    let (a, b) = (ctx.udp()?, ctx.server_udp()?);
    a.connect(b.local().sys("name")?).sys("connect")?;
    std::thread::scope(|s| {
        let (tx, rx) = std::sync::mpsc::channel();
        let a = &a;
        let t = s.spawn(move || {
            tx.send(crate::blocked::gettid()).expect("receiver lives");
            a.recv(&mut [0; 1], 0)
        });
        let asleep = crate::blocked::until_blocked(rx.recv()?, &[c::SYS_recvfrom]);
        a.shutdown(c::SHUT_RD).sys("SHUT_RD")?;
        let got = t.join().expect("no panic").sys("recv")?;
        asleep?;
        check_eq!(got, 0, "what the woken reader got");
        Ok(())
    })
}

fn ancillary(ctx: &Ctx) -> Result<()> {
    check_eq!(ctx.lab.link, Link::Veth, "link");
    let (a, b) = (ctx.udp()?, ctx.server_udp()?);
    for option in [c::IP_PKTINFO, c::IP_RECVTTL, c::IP_RECVTOS] {
        b.set(c::IPPROTO_IP, option, 1)
            .sys("asking for ancillary data")?;
    }
    a.set(c::IPPROTO_IP, c::IP_TTL, 33).sys("IP_TTL")?;
    a.set(c::IPPROTO_IP, c::IP_TOS, 0x10).sys("IP_TOS")?;
    a.sendto(b"x", 0, b.local().sys("name")?).sys("sendto")?;
    let m = b.recvmsg(&mut [0; 1], 0).sys("recvmsg")?;
    let find = |ty: i32| {
        m.control
            .iter()
            .find(|(l, t, _)| (*l, *t) == (c::IPPROTO_IP, ty))
    };
    let data = |ty: i32| find(ty).map(|(_, _, d)| d.clone());
    check_eq!(data(c::IP_TTL).map(|d| d[0]), Some(33), "TTL");
    check_eq!(data(c::IP_TOS).map(|d| d[0]), Some(0x10), "TOS");
    let dst = data(c::IP_PKTINFO).map(|d| d[8..12].to_vec());
    check_eq!(
        dst,
        Some(ctx.lab.b.ip.octets().to_vec()),
        "destination in in_pktinfo"
    );
    Ok(())
}
