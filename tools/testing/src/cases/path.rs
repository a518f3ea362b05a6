// SPDX-License-Identifier: GPL-2.0
//! Paths that are narrower than the device: what a router says is heard.
//!
//! ```text
//!   A 10.77.0.1 va ═══ vb 10.77.0.2 B (routes) w ═══ x 10.79.0.2 far end
//!              1500            MTU of the case  1500
//! ```
//!
//! The far end and the router are the host's own stack; the family under test is at A.

use std::net::Ipv4Addr;
use std::net::SocketAddrV4;

use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::ktap::want_errno;
use netlab::ktap::Sysc;
use netlab::ns::Namespace;
use netlab::payload;
use netlab::wait;
use netlab::Family;
use netlab::Sock;

use crate::case::Case;
use crate::case::Ctx;

const G: &str = "path";
const FAR: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 2);
const IP_MTU: i32 = 14;
const IP_PMTUDISC_DONT: i32 = 0;
const IP_PMTUDISC_WANT: i32 = 1;
const IP_PMTUDISC_DO: i32 = 2;
const IP_PMTUDISC_PROBE: i32 = 3;

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::one(G, "TCP_gets_through_a_narrow_hop", tcp)
        .veth()
        .fresh()
        .secs(90),
    Case::one(G, "TCP_starts_small_where_the_path_is_known", tcp_known)
        .veth()
        .fresh()
        .secs(90),
    Case::one(G, "TCP_IP_RECVERR_tells_and_goes_on", tcp_recverr)
        .veth()
        .fresh(),
    Case::one(G, "UDP_learns_and_says_EMSGSIZE", udp)
        .veth()
        .fresh(),
    Case::one(G, "UDP_IP_PMTUDISC_DONT_is_cut_by_the_router", udp_dont)
        .veth()
        .fresh(),
    Case::one(G, "UDP_IP_PMTUDISC_WANT_is_cut_to_the_path", udp_want)
        .veth()
        .fresh(),
    Case::one(G, "what_was_learned_expires", expiry)
        .veth()
        .fresh(),
    Case::one(G, "what_was_learned_can_be_flushed", flush)
        .veth()
        .fresh(),
    Case::one(G, "never_below_min_pmtu", floor).veth().fresh(),
    Case::one(G, "a_locked_route_is_not_talked_down", locked)
        .veth()
        .fresh(),
    Case::one(G, "ip_no_pmtu_disc_2_does_not_listen", deaf)
        .veth()
        .fresh(),
    Case::one(G, "a_narrower_device_narrows_what_was_learned", device)
        .veth()
        .fresh(),
];

/// Lays the way behind B, `mtu` bytes wide, and returns the namespace at its end.
fn behind(ctx: &Ctx, mtu: u32) -> Result<Namespace> {
    let far = Namespace::new()?;
    let b = &ctx.lab.b.ns;
    b.sysctl("net/ipv4/ip_forward", "1")?;
    b.ip(&format!(
        "link add w mtu {mtu} type veth peer name x mtu 1500 netns {}\n\
         addr add 10.79.0.1/24 dev w\n\
         link set w up",
        far.path()
    ))?;
    far.ip("addr add 10.79.0.2/24 dev x\n\
         link set x up\n\
         route add 10.77.0.0/24 via 10.79.0.1")?;
    ctx.lab.a.ns.ip("route add 10.79.0.0/24 via 10.77.0.2")?;
    Ok(far)
}

/// A UDP socket at A, connected to the far end, and the one there.
fn udp_pair(ctx: &Ctx, far: &Namespace, discover: i32) -> Result<(Sock, Sock)> {
    let there = far.enter(|| Sock::udp(Family::INET)).sys("socket")?;
    there.bind(SocketAddrV4::new(FAR, 0)).sys("bind")?;
    let here = ctx.lab.a.udp(ctx.family())?;
    here.set(c::SOL_IP, c::IP_MTU_DISCOVER, discover)
        .sys("IP_MTU_DISCOVER")?;
    here.connect(there.local().sys("name")?).sys("connect")?;
    Ok((here, there))
}

fn mtu(s: &Sock) -> Result<i32> {
    s.get(c::SOL_IP, IP_MTU).sys("IP_MTU")
}

/// Sends what is too long until the path's answer is known.
fn learn(s: &Sock, len: usize, mtu_then: i32) -> Result<()> {
    check_eq!(mtu(s)?, 1500, "the MTU before");
    s.send(&vec![0; len], 0).sys("a long datagram")?;
    wait::until("the path's MTU", || {
        (mtu(s).ok()? == mtu_then).then_some(())
    })
}

/// The far end's device is wide, so that it announces long segments; the hop between is not.
fn tcp(ctx: &Ctx) -> Result<()> {
    let far = behind(ctx, 1300)?;
    let l = far.enter(|| Sock::tcp(Family::INET)).sys("socket")?;
    l.bind(SocketAddrV4::new(FAR, 0)).sys("bind")?;
    l.listen(8).sys("listen")?;
    let s = ctx.tcp()?;
    s.connect(l.local().sys("name")?).sys("connect")?;
    let there = l.accept().sys("accept")?;
    payload::transfer(&s, &there, 1, 1 << 20)?;
    check_eq!(mtu(&s)?, 1300, "IP_MTU afterwards");
    Ok(())
}

fn tcp_known(ctx: &Ctx) -> Result<()> {
    let far = behind(ctx, 1500)?;
    ctx.lab
        .b
        .ns
        .ip("route replace 10.79.0.2/32 dev w mtu lock 1200")?;
    let l = far.enter(|| Sock::tcp(Family::INET)).sys("socket")?;
    l.bind(SocketAddrV4::new(FAR, 0)).sys("bind")?;
    l.listen(8).sys("listen")?;
    let at = l.local().sys("name")?;
    for round in 0..2u64 {
        let s = ctx.tcp()?;
        s.connect(at).sys("connect")?;
        let there = l.accept().sys("accept")?;
        check_eq!(
            mtu(&s)?,
            if round == 0 { 1500 } else { 1200 },
            "IP_MTU at the start of connection {round}"
        );
        payload::transfer(&s, &there, round, 1 << 19)?;
        check_eq!(mtu(&s)?, 1200, "IP_MTU at its end");
    }
    Ok(())
}

/// A router says for a while that the far end cannot be reached.
fn tcp_recverr(ctx: &Ctx) -> Result<()> {
    let far = behind(ctx, 1500)?;
    let b = &ctx.lab.b.ns;
    b.sysctl("net/ipv4/icmp_ratelimit", "0")?;
    let l = far.enter(|| Sock::tcp(Family::INET)).sys("socket")?;
    l.bind(SocketAddrV4::new(FAR, 0)).sys("bind")?;
    l.listen(8).sys("listen")?;
    let at = l.local().sys("name")?;
    let s = ctx.tcp()?;
    s.set(c::SOL_IP, c::IP_RECVERR, 1).sys("IP_RECVERR")?;
    s.connect(at).sys("connect")?;
    let there = l.accept().sys("accept")?;
    b.ip("route add unreachable 10.79.0.2/32")?;
    s.send(b"news", 0).sys("send")?;
    s.await_events(c::POLLERR).sys("poll")?;
    check_eq!(s.take_error().sys("SO_ERROR")?, c::EHOSTUNREACH, "SO_ERROR");
    b.ip("route del unreachable 10.79.0.2/32")?;
    let mut buf = [0; 4];
    there.recv_exact(&mut buf).sys("recv")?;
    check_eq!(&buf, b"news", "what arrived");
    Ok(())
}

fn udp(ctx: &Ctx) -> Result<()> {
    let far = behind(ctx, 1300)?;
    let (s, there) = udp_pair(ctx, &far, IP_PMTUDISC_DO)?;
    learn(&s, 1400, 1300)?;
    check_eq!(s.take_error().sys("SO_ERROR")?, c::EMSGSIZE, "SO_ERROR");
    want_errno(
        "a datagram of 1273 bytes",
        s.send(&[0; 1273], 0),
        c::EMSGSIZE,
    )?;
    s.send(&[7; 1272], 0).sys("a datagram that fits")?;
    let mut buf = [0; 2000];
    check_eq!(there.recv(&mut buf, 0).sys("recv")?, 1272, "what arrived");
    // Who probes is not held back by what is known.
    s.set(c::SOL_IP, c::IP_MTU_DISCOVER, IP_PMTUDISC_PROBE)
        .sys("IP_PMTUDISC_PROBE")?;
    s.send(&[0; 1472], 0).sys("a probe")?;
    want_errno("a probe of 1473 bytes", s.send(&[0; 1473], 0), c::EMSGSIZE)
}

fn udp_dont(ctx: &Ctx) -> Result<()> {
    let far = behind(ctx, 1300)?;
    let (s, there) = udp_pair(ctx, &far, IP_PMTUDISC_DONT)?;
    s.send(&[7; 1472], 0).sys("send")?;
    let mut buf = [0; 2000];
    check_eq!(there.recv(&mut buf, 0).sys("recv")?, 1472, "what arrived");
    check_eq!(mtu(&s)?, 1500, "nobody said anything");
    Ok(())
}

fn udp_want(ctx: &Ctx) -> Result<()> {
    let far = behind(ctx, 1300)?;
    let (s, there) = udp_pair(ctx, &far, IP_PMTUDISC_WANT)?;
    learn(&s, 1400, 1300)?;
    let _ = s.take_error();
    for len in [1400, 1272, 1273, 5000] {
        s.send(&vec![7; len], 0).sys("send")?;
        let mut buf = [0; 6000];
        check_eq!(there.recv(&mut buf, 0).sys("recv")?, len, "what arrived");
    }
    Ok(())
}

fn expiry(ctx: &Ctx) -> Result<()> {
    let far = behind(ctx, 1300)?;
    ctx.lab.a.ns.sysctl("net/ipv4/route/mtu_expires", "2")?;
    let (s, _there) = udp_pair(ctx, &far, IP_PMTUDISC_DO)?;
    learn(&s, 1400, 1300)?;
    wait::until("the end of what was learned", || {
        (mtu(&s).ok()? == 1500).then_some(())
    })
}

fn flush(ctx: &Ctx) -> Result<()> {
    let far = behind(ctx, 1300)?;
    let (s, _there) = udp_pair(ctx, &far, IP_PMTUDISC_DO)?;
    learn(&s, 1400, 1300)?;
    ctx.lab.a.ns.sysctl("net/ipv4/route/flush", "1")?;
    let _ = s.take_error();
    s.send(&[0; 10], 0).sys("send")?;
    check_eq!(mtu(&s)?, 1500, "IP_MTU after the flush");
    Ok(())
}

fn floor(ctx: &Ctx) -> Result<()> {
    let far = behind(ctx, 400)?;
    let (s, there) = udp_pair(ctx, &far, IP_PMTUDISC_WANT)?;
    learn(&s, 1400, 552)?;
    let _ = s.take_error();
    // Without DF now: the router may cut it.
    s.send(&[7; 500], 0).sys("send")?;
    let mut buf = [0; 2000];
    check_eq!(there.recv(&mut buf, 0).sys("recv")?, 500, "what arrived");
    Ok(())
}

fn locked(ctx: &Ctx) -> Result<()> {
    let far = behind(ctx, 1300)?;
    let a = &ctx.lab.a.ns;
    a.ip("route replace 10.79.0.0/24 via 10.77.0.2 mtu lock 1400")?;
    let (s, there) = udp_pair(ctx, &far, IP_PMTUDISC_WANT)?;
    check_eq!(mtu(&s)?, 1400, "IP_MTU");
    s.send(&[7; 1372], 0).sys("send")?;
    let mut buf = [0; 2000];
    check_eq!(there.recv(&mut buf, 0).sys("recv")?, 1372, "what arrived");
    check_eq!(mtu(&s)?, 1400, "IP_MTU afterwards");
    Ok(())
}

fn deaf(ctx: &Ctx) -> Result<()> {
    let far = behind(ctx, 1300)?;
    ctx.lab.a.ns.sysctl("net/ipv4/ip_no_pmtu_disc", "2")?;
    let (s, there) = udp_pair(ctx, &far, IP_PMTUDISC_DO)?;
    s.send(&[0; 1400], 0).sys("a long datagram")?;
    // The answer to the long one comes before the short one arrives.
    s.send(&[0; 10], 0).sys("a short one")?;
    let mut buf = [0; 2000];
    check_eq!(there.recv(&mut buf, 0).sys("recv")?, 10, "what arrived");
    check_eq!(mtu(&s)?, 1500, "IP_MTU");
    Ok(())
}

fn device(ctx: &Ctx) -> Result<()> {
    let far = behind(ctx, 1300)?;
    let (s, _there) = udp_pair(ctx, &far, IP_PMTUDISC_DO)?;
    learn(&s, 1400, 1300)?;
    let _ = s.take_error();
    let a = &ctx.lab.a;
    for (set, want) in [(1400, 1300), (1200, 1200), (1500, 1500)] {
        a.ns.ip(&format!("link set {} mtu {set}", a.dev))?;
        s.send(&[0; 10], 0).sys("send")?;
        check!(
            mtu(&s)? == want,
            "IP_MTU {} with a device of {set}",
            mtu(&s)?
        );
    }
    Ok(())
}
