// SPDX-License-Identifier: GPL-2.0
//! Raw sockets, and ping sockets.

use std::net::SocketAddrV4;

use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::frame::checksum;
use netlab::ktap::want_errno;
use netlab::ktap::Sysc;
use netlab::Sock;

use crate::case::Case;
use crate::case::Ctx;

const G: &str = "raw";
const SOL_RAW: i32 = 255;
const ICMP_FILTER: i32 = 1;
const ECHO: u8 = 8;
const ECHO_REPLY: u8 = 0;

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::one(G, "protocol_0_EPROTONOSUPPORT", protocol_0),
    Case::one(G, "ICMP_echo_is_answered_header_and_all", echo).veth(),
    Case::one(G, "ICMP_FILTER_keeps_types_away", filter).veth(),
    Case::one(G, "connected_hears_its_peer_alone", connected).veth(),
    Case::one(G, "IP_HDRINCL_is_completed_and_sent", hdrincl).veth(),
    Case::one(G, "hears_what_UDP_hears", copies).veth(),
    Case::one(G, "MSG_MORE_gathers_one_packet", more)
        .veth()
        .fresh(),
    Case::one(G, "ping_socket_of_a_group_that_may_not_EACCES", ping_group)
        .veth()
        .fresh(),
    Case::one(G, "ping_socket_hears_its_own_answers", ping_echo).veth(),
    Case::one(G, "ping_socket_errnos", ping_errnos).veth(),
    Case::one(G, "ping_socket_hears_of_errors", ping_unreachable)
        .veth()
        .fresh(),
];

fn raw(ctx: &Ctx, protocol: i32) -> Result<Sock> {
    ctx.lab
        .a
        .ns
        .enter(|| Sock::new(ctx.family(), c::SOCK_RAW, protocol))
        .sys("socket(RAW)")?
        .with_patience()
}

/// An echo request with this identifier.
fn request(id: u16) -> Vec<u8> {
    let mut m = vec![ECHO, 0, 0, 0];
    m.extend_from_slice(&id.to_be_bytes());
    m.extend_from_slice(b"\0\x01raw socket");
    let sum = checksum(&[&m]);
    m[2..4].copy_from_slice(&sum.to_be_bytes());
    m
}

fn protocol_0(ctx: &Ctx) -> Result<()> {
    let none = Sock::new(ctx.family(), c::SOCK_RAW, 0);
    want_errno("SOCK_RAW, 0", none, c::EPROTONOSUPPORT)
}

fn echo(ctx: &Ctx) -> Result<()> {
    let s = raw(ctx, c::IPPROTO_ICMP)?;
    let (a, b) = (&ctx.lab.a, &ctx.lab.b);
    s.sendto(&request(0x1234), 0, b.at(0)).sys("sendto")?;
    let mut buf = [0; 200];
    let (n, from) = s.recvfrom(&mut buf, 0).sys("recvfrom")?;
    check_eq!(from, SocketAddrV4::new(b.ip, 0), "who answered");
    check_eq!(n, 20 + request(0).len(), "length, with the IP header");
    check_eq!(
        (buf[0], buf[9]),
        (0x45, 1),
        "the header's first byte and protocol"
    );
    check_eq!(&buf[16..20], &a.ip.octets(), "the header's destination");
    check_eq!(
        (buf[20], &buf[24..26]),
        (ECHO_REPLY, &[0x12, 0x34][..]),
        "type and identifier"
    );
    Ok(())
}

fn filter(ctx: &Ctx) -> Result<()> {
    let (deaf, hears) = (raw(ctx, c::IPPROTO_ICMP)?, raw(ctx, c::IPPROTO_ICMP)?);
    deaf.set(SOL_RAW, ICMP_FILTER, 1 << ECHO_REPLY)
        .sys("ICMP_FILTER")?;
    check_eq!(
        deaf.get(SOL_RAW, ICMP_FILTER).sys("ICMP_FILTER")?,
        1,
        "read back"
    );
    deaf.sendto(&request(1), 0, ctx.lab.b.at(0)).sys("sendto")?;
    let mut buf = [0; 200];
    // Both would hear it at the same moment.
    hears.recv(&mut buf, 0).sys("recv")?;
    want_errno(
        "the filtered",
        deaf.recv(&mut buf, c::MSG_DONTWAIT),
        c::EAGAIN,
    )
}

fn connected(ctx: &Ctx) -> Result<()> {
    let (s, other) = (raw(ctx, c::IPPROTO_ICMP)?, raw(ctx, c::IPPROTO_ICMP)?);
    want_errno(
        "send without a peer",
        s.send(&request(2), 0),
        c::EDESTADDRREQ,
    )?;
    s.connect(ctx.lab.b.at(0)).sys("connect")?;
    let elsewhere = SocketAddrV4::new([10, 77, 0, 77].into(), 0);
    other.connect(elsewhere).sys("connect elsewhere")?;
    s.send(&request(2), 0).sys("send")?;
    let mut buf = [0; 200];
    s.recv(&mut buf, 0).sys("recv")?;
    want_errno(
        "the other",
        other.recv(&mut buf, c::MSG_DONTWAIT),
        c::EAGAIN,
    )
}

fn hdrincl(ctx: &Ctx) -> Result<()> {
    let (a, b) = (&ctx.lab.a, &ctx.lab.b);
    let there = ctx.server_udp()?;
    let port = there.local().sys("name")?.port();
    let s = raw(ctx, c::IPPROTO_RAW)?;
    let mut p = vec![0u8; 20];
    (p[0], p[8], p[9]) = (0x45, 7, c::IPPROTO_UDP as u8);
    p[16..20].copy_from_slice(&b.ip.octets());
    // A datagram of three bytes without a checksum.
    p.extend_from_slice(&4321u16.to_be_bytes());
    p.extend_from_slice(&port.to_be_bytes());
    p.extend_from_slice(&[0, 11, 0, 0]);
    p.extend_from_slice(b"raw");
    s.sendto(&p, 0, b.at(0)).sys("sendto")?;
    let mut buf = [0; 100];
    let (n, from) = there.recvfrom(&mut buf, 0).sys("recvfrom")?;
    check_eq!(
        (&buf[..n], from),
        (&b"raw"[..], SocketAddrV4::new(a.ip, 4321)),
        "what came"
    );
    p[0] = 0x4f;
    want_errno(
        "a header longer than the packet",
        s.sendto(&p, 0, b.at(0)),
        c::EINVAL,
    )?;
    want_errno("half a header", s.sendto(&p[..10], 0, b.at(0)), c::EINVAL)?;
    want_errno(
        "more than the device takes",
        s.sendto(&[0x45; 1501], 0, b.at(0)),
        c::EMSGSIZE,
    )
}

fn copies(ctx: &Ctx) -> Result<()> {
    let s = raw(ctx, c::IPPROTO_UDP)?;
    let (here, there) = (ctx.udp()?, ctx.server_udp()?);
    let at_here = here.local().sys("name")?;
    there.sendto(b"both", 0, at_here).sys("sendto")?;
    let mut buf = [0; 100];
    check_eq!(
        here.recv(&mut buf, 0).sys("recv of UDP")?,
        4,
        "what UDP heard"
    );
    let n = s.recv(&mut buf, 0).sys("recv of RAW")?;
    check_eq!(n, 20 + 8 + 4, "length, with both headers");
    check!(&buf[28..n] == b"both", "the datagram changed");
    Ok(())
}

/// A ping socket, which this user's group may have.
fn ping(ctx: &Ctx) -> Result<Sock> {
    let ns = &ctx.lab.a.ns;
    ns.sysctl("net/ipv4/ping_group_range", "0 0")?;
    ns.enter(|| Sock::new(ctx.family(), c::SOCK_DGRAM, c::IPPROTO_ICMP))
        .sys("socket(DGRAM, ICMP)")?
        .with_patience()
}

fn ping_group(ctx: &Ctx) -> Result<()> {
    let ns = &ctx.lab.a.ns;
    ns.sysctl("net/ipv4/ping_group_range", "1 0")?;
    let none = ns.enter(|| Sock::new(ctx.family(), c::SOCK_DGRAM, c::IPPROTO_ICMP));
    want_errno("socket(DGRAM, ICMP)", none, c::EACCES)?;
    ping(ctx).map(|_| ())
}

fn ping_echo(ctx: &Ctx) -> Result<()> {
    let (s, b) = (ping(ctx)?, &ctx.lab.b);
    let other = ping(ctx)?;
    s.sendto(&request(0x1234), 0, b.at(0)).sys("sendto")?;
    let ident = s.local().sys("name")?.port();
    let mut buf = [0; 200];
    let (n, from) = s.recvfrom(&mut buf, 0).sys("recvfrom")?;
    check_eq!(from, SocketAddrV4::new(b.ip, 0), "who answered");
    check_eq!(n, request(0).len(), "length, without the IP header");
    let mut want = request(ident);
    // The answer's checksum is its own.
    want[0] = ECHO_REPLY;
    want[2..4].copy_from_slice(&buf[2..4]);
    check_eq!(&buf[..n], &want[..], "the answer");
    // Connected, and by another socket, which hears nothing of the first.
    other.connect(b.at(0)).sys("connect")?;
    want_errno(
        "the other",
        other.recv(&mut buf, c::MSG_DONTWAIT),
        c::EAGAIN,
    )?;
    other.send(&request(1), 0).sys("send")?;
    let n = other.recv(&mut buf, 0).sys("recv")?;
    check_eq!(
        &buf[4..6],
        &other.local().sys("name")?.port().to_be_bytes(),
        "its identifier, of {n} bytes"
    );
    Ok(())
}

fn ping_errnos(ctx: &Ctx) -> Result<()> {
    let (s, b) = (ping(ctx)?, &ctx.lab.b);
    want_errno("7 bytes", s.sendto(&[8; 7], 0, b.at(0)), c::EINVAL)?;
    let mut answer = request(1);
    answer[0] = ECHO_REPLY;
    want_errno("an answer", s.sendto(&answer, 0, b.at(0)), c::EINVAL)?;
    want_errno("no address", s.send(&request(1), 0), c::EDESTADDRREQ)?;
    let first = ping(ctx)?;
    first.bind(ctx.lab.a.at(77)).sys("bind")?;
    // As a user of SO_REUSEADDR may; who was not born with it may not.
    let second = ping(ctx)?;
    second
        .bind(ctx.lab.a.at(77))
        .sys("bind of the same identifier")?;
    let third = ping(ctx)?;
    third
        .set(c::SOL_SOCKET, c::SO_REUSEADDR, 0)
        .sys("SO_REUSEADDR")?;
    want_errno(
        "the same identifier without SO_REUSEADDR",
        third.bind(ctx.lab.a.at(77)),
        c::EADDRINUSE,
    )?;
    let elsewhere = SocketAddrV4::new([192, 0, 2, 1].into(), 0);
    want_errno(
        "a foreign address",
        ping(ctx)?.bind(elsewhere),
        c::EADDRNOTAVAIL,
    )
}

fn ping_unreachable(ctx: &Ctx) -> Result<()> {
    let s = ping(ctx)?;
    s.set(c::IPPROTO_IP, c::IP_RECVERR, 1).sys("IP_RECVERR")?;
    ctx.lab.a.ns.ip("route add 192.0.2.0/24 via 10.77.0.2")?;
    ctx.lab.b.ns.sysctl("net/ipv4/ip_forward", "1")?;
    ctx.lab.b.ns.ip("route add unreachable 192.0.2.0/24")?;
    let to = SocketAddrV4::new([192, 0, 2, 1].into(), 0);
    s.sendto(&request(1), 0, to).sys("sendto")?;
    s.await_events(c::POLLIN).sys("poll")?;
    let m = s
        .recvmsg(&mut [0; 50], c::MSG_ERRQUEUE)
        .sys("recvmsg(ERRQUEUE)")?;
    check_eq!((m.len, m.from), (request(1).len(), to), "of which request");
    let told = m.control.iter().find(|(_, t, _)| *t == c::IP_RECVERR);
    let told = told.map(|(_, _, d)| (d[0], d[4], d[5], d[6]));
    // EHOSTUNREACH, by ICMP: destination unreachable, host.
    check_eq!(told, Some((c::EHOSTUNREACH as u8, 2, 3, 1)), "the error");
    Ok(())
}

fn more(ctx: &Ctx) -> Result<()> {
    let (s, b) = (raw(ctx, c::IPPROTO_ICMP)?, &ctx.lab.b);
    let whole = request(0x5678);
    let (one, rest) = whole.split_at(3);
    let (two, three) = rest.split_at(6);
    s.sendto(one, c::MSG_MORE, b.at(0)).sys("sendto")?;
    s.sendto(two, c::MSG_MORE, b.at(0)).sys("sendto")?;
    s.sendto(three, 0, b.at(0)).sys("sendto")?;
    let mut buf = [0; 3000];
    let (n, from) = s.recvfrom(&mut buf, 0).sys("recvfrom")?;
    check_eq!(from.ip(), &b.ip, "who answered");
    check_eq!(&buf[28..n], &whole[8..], "what came back");
    // Longer than the link: in fragments, if it may be cut.
    let mut long = request(0x5679);
    long.resize(2500, 0);
    long[2..4].copy_from_slice(&[0, 0]);
    let sum = checksum(&[&long]);
    long[2..4].copy_from_slice(&sum.to_be_bytes());
    s.sendto(&long[..1000], c::MSG_MORE, b.at(0))
        .sys("sendto")?;
    s.sendto(&long[1000..], 0, b.at(0)).sys("sendto")?;
    let (n, _) = s.recvfrom(&mut buf, 0).sys("recvfrom")?;
    check!(
        buf[28..n] == long[8..],
        "{n} bytes came back, or were changed"
    );
    s.set(c::SOL_IP, c::IP_MTU_DISCOVER, 2)
        .sys("IP_PMTUDISC_DO")?;
    s.sendto(&long[..1000], c::MSG_MORE, b.at(0))
        .sys("sendto")?;
    want_errno("what is too long", s.sendto(&long, 0, b.at(0)), c::EMSGSIZE)?;
    // And it begins anew.
    s.sendto(&whole, 0, b.at(0)).sys("sendto")?;
    let (n, _) = s.recvfrom(&mut buf, 0).sys("recvfrom")?;
    check_eq!(&buf[28..n], &whole[8..], "what came back");
    // What waits when the socket is closed is gone with it.
    s.sendto(one, c::MSG_MORE, b.at(0)).sys("sendto")?;
    let ping = ctx
        .lab
        .a
        .ns
        .enter(|| Sock::new(ctx.family(), c::SOCK_DGRAM, c::IPPROTO_ICMP));
    if let Ok(ping) = ping {
        ping.sendto(&whole, c::MSG_MORE, b.at(0)).sys("sendto")?;
        ping.await_events(c::POLLIN).sys("poll")?;
    }
    Ok(())
}
