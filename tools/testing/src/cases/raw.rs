// SPDX-License-Identifier: GPL-2.0
//! Raw sockets.

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
];

fn raw(ctx: &Ctx, protocol: i32) -> Result<Sock> {
    ctx.lab
        .a
        .ns
        .enter(|| Sock::new(ctx.family(), c::SOCK_RAW, protocol))
        .sys("socket(RAW)")
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
