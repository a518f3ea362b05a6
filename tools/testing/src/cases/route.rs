// SPDX-License-Identifier: GPL-2.0
//! Which way a socket's packets go: read off the source address that a connected socket gets.
//!
//! ```text
//!   A 10.77.0.1 va  ═══ vb  10.77.0.2 B
//!     10.88.0.1 va2 ═══ vb2 10.88.0.2
//! ```

use std::net::Ipv4Addr;
use std::net::SocketAddrV4;

use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::frame::ethernet;
use netlab::frame::flag;
use netlab::frame::udp;
use netlab::frame::Ipv4;
use netlab::frame::Segment;
use netlab::ktap::want_errno;
use netlab::ktap::Sysc;
use netlab::lab::End;
use netlab::payload;
use netlab::tap::Tap;
use netlab::tap::Way;
use netlab::tap::ETH_P_ALL;
use netlab::tap::ETH_P_IP;
use netlab::tcpinfo::TcpInfo;
use netlab::Sock;

use crate::case::Case;
use crate::case::Ctx;

const G: &str = "route";
const FAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const ONE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const TWO: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 1);
const IP_MTU: i32 = 14;

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::one(G, "two_default_routes_and_SO_BINDTODEVICE", defaults)
        .veth()
        .fresh(),
    Case::one(G, "a_route_for_a_type_of_service", tos)
        .veth()
        .fresh(),
    Case::one(G, "rules_by_mark_source_and_user", rules)
        .veth()
        .fresh(),
    Case::one(G, "blackhole_unreachable_prohibit_throw", errnos)
        .veth()
        .fresh(),
    Case::one(G, "several_next_hops_are_all_used", multipath)
        .veth()
        .fresh(),
    Case::one(G, "a_group_of_next_hop_objects_is_used", nexthops)
        .veth()
        .fresh(),
    Case::one(G, "a_change_is_heeded_at_once", change)
        .veth()
        .fresh(),
    Case::two(G, "sources_that_cannot_be_are_refused", sources)
        .veth()
        .fresh(),
    Case::two(G, "metrics_of_a_route", metrics).veth().fresh(),
    Case::one(G, "a_redirect_is_heeded", redirect)
        .veth()
        .fresh(),
    Case::one(G, "a_redirect_of_a_connection_is_heeded", redirect_tcp)
        .veth()
        .fresh(),
    Case::one(G, "a_redirect_that_may_not_be_is_not", redirect_refused)
        .veth()
        .fresh(),
];

/// Lays the second link and runs `lines` of `ip` at A.
fn routes(ctx: &Ctx, lines: &str) -> Result<()> {
    let (a, b) = (&ctx.lab.a.ns, &ctx.lab.b.ns);
    a.ip(&format!(
        "link add va2 mtu 1400 type veth peer name vb2 netns {}\n\
         addr add 10.88.0.1/24 dev va2\n\
         link set va2 up",
        b.path()
    ))?;
    b.ip("addr add 10.88.0.2/24 dev vb2\nlink set vb2 up")?;
    a.ip(lines)
}

/// The source of a socket that `set` has prepared, connected to the far address.
fn source(ctx: &Ctx, port: u16, set: impl FnOnce(&Sock) -> Result<()>) -> Result<Ipv4Addr> {
    let s = ctx.lab.a.udp(ctx.family())?;
    set(&s)?;
    s.connect(SocketAddrV4::new(FAR, port)).sys("connect")?;
    Ok(*s.local().sys("name")?.ip())
}

fn plain(_: &Sock) -> Result<()> {
    Ok(())
}

fn defaults(ctx: &Ctx) -> Result<()> {
    routes(
        ctx,
        "route add default via 10.77.0.2 metric 100\n\
         route add default via 10.88.0.2 metric 200",
    )?;
    check_eq!(source(ctx, 1, plain)?, ONE, "without a device");
    let bound = |s: &Sock| {
        s.setsockopt(c::SOL_SOCKET, c::SO_BINDTODEVICE, b"va2\0")
            .sys("SO_BINDTODEVICE")
    };
    check_eq!(source(ctx, 1, bound)?, TWO, "by the second device");
    ctx.lab.a.ns.ip("route del default metric 100")?;
    check_eq!(source(ctx, 1, plain)?, TWO, "with the first route gone");
    Ok(())
}

fn tos(ctx: &Ctx) -> Result<()> {
    routes(
        ctx,
        "route add 192.0.2.0/24 via 10.77.0.2\n\
         route add 192.0.2.0/24 tos 0x10 via 10.88.0.2",
    )?;
    check_eq!(source(ctx, 1, plain)?, ONE, "without a type of service");
    let low = |s: &Sock| s.set(c::SOL_IP, c::IP_TOS, 0x10).sys("IP_TOS");
    check_eq!(source(ctx, 1, low)?, TWO, "with 0x10");
    Ok(())
}

fn rules(ctx: &Ctx) -> Result<()> {
    routes(
        ctx,
        "route add default via 10.77.0.2\n\
         route add default via 10.88.0.2 table 100\n\
         rule add fwmark 7 table 100\n\
         rule add from 10.88.0.1 table 100",
    )?;
    check_eq!(source(ctx, 1, plain)?, ONE, "without a mark");
    let marked = |s: &Sock| s.set(c::SOL_SOCKET, c::SO_MARK, 7).sys("SO_MARK");
    check_eq!(source(ctx, 1, marked)?, TWO, "with the mark");
    let s = ctx.lab.a.udp(ctx.family())?;
    s.bind(SocketAddrV4::new(TWO, 0)).sys("bind")?;
    s.connect(SocketAddrV4::new(FAR, 1)).sys("connect")?;
    check_eq!(
        s.get(c::SOL_IP, IP_MTU).sys("IP_MTU")?,
        1400,
        "from the second address"
    );
    ctx.lab.a.ns.ip("rule add uidrange 0-0 table 100")?;
    check_eq!(source(ctx, 1, plain)?, TWO, "of this user");
    Ok(())
}

fn errnos(ctx: &Ctx) -> Result<()> {
    routes(
        ctx,
        "route add default via 10.77.0.2\n\
         route add blackhole 192.0.2.16/28\n\
         route add unreachable 192.0.2.32/28\n\
         route add prohibit 192.0.2.48/28\n\
         route add throw 192.0.2.64/28",
    )?;
    for (last, errno) in [(17, c::EINVAL), (33, c::EHOSTUNREACH), (49, c::EACCES)] {
        let s = ctx.lab.a.udp(ctx.family())?;
        let to = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, last), 1);
        want_errno("connect", s.connect(to), errno)?;
    }
    let s = ctx.lab.a.udp(ctx.family())?;
    let to = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 65), 1);
    // The main table throws the default route away with it.
    want_errno("connect by throw", s.connect(to), c::ENETUNREACH)
}

/// Both links are used, by about as many flows.
fn both(ctx: &Ctx) -> Result<()> {
    ctx.lab
        .a
        .ns
        .sysctl("net/ipv4/fib_multipath_hash_policy", "1")?;
    let mut by_two = 0;
    for port in 1..=64 {
        let bound = |s: &Sock| s.bind("0.0.0.0:0".parse()?).sys("bind");
        if source(ctx, port, bound)? == TWO {
            by_two += 1;
        }
    }
    check!(
        (8..=56).contains(&by_two),
        "{by_two} of 64 flows by the second"
    );
    Ok(())
}

fn multipath(ctx: &Ctx) -> Result<()> {
    routes(
        ctx,
        "route add 192.0.2.0/24 nexthop via 10.77.0.2 nexthop via 10.88.0.2",
    )?;
    both(ctx)
}

fn nexthops(ctx: &Ctx) -> Result<()> {
    routes(
        ctx,
        "nexthop add id 1 via 10.77.0.2 dev va\n\
         nexthop add id 2 via 10.88.0.2 dev va2\n\
         nexthop add id 10 group 1/2\n\
         route add 192.0.2.0/24 nhid 10",
    )?;
    both(ctx)
}

fn change(ctx: &Ctx) -> Result<()> {
    routes(ctx, "route add 192.0.2.0/24 via 10.77.0.2")?;
    let s = ctx.lab.a.udp(ctx.family())?;
    s.connect(SocketAddrV4::new(FAR, 1)).sys("connect")?;
    let mtu = || s.get(c::SOL_IP, IP_MTU).sys("IP_MTU");
    check_eq!(mtu()?, 1500, "by the first link");
    for (line, want) in [
        ("route replace 192.0.2.0/24 via 10.88.0.2", 1400),
        ("route replace 192.0.2.0/24 via 10.77.0.2 mtu 1200", 1200),
        ("route add 192.0.2.1/32 via 10.88.0.2", 1400),
        ("route del 192.0.2.1/32", 1200),
        (
            "rule add to 192.0.2.0/24 table 100\nroute add default via 10.77.0.2 table 100",
            1500,
        ),
    ] {
        ctx.lab.a.ns.ip(line)?;
        // The answer is the way of the next packet.
        let _ = s.send(b"x", 0);
        check_eq!(mtu()?, want, "after {line:?}");
    }
    ctx.lab
        .a
        .ns
        .ip("rule add to 192.0.2.0/24 prohibit pref 1")?;
    want_errno("send by a prohibiting rule", s.send(b"x", 0), c::EACCES)
}

/// What a datagram from `source`, which comes in at B by `vb` or by the second link, does: whether it arrives.
fn arrives(ctx: &Ctx, s: &Sock, source: [u8; 4], link: &End, mac: [u8; 6]) -> Result<bool> {
    let to = s.local().sys("name")?;
    let from = |ip: [u8; 4]| SocketAddrV4::new(ip.into(), 4444);
    let tap = Tap::new(link, ETH_P_ALL)?;
    let d = udp(from(source), to, b"from there", None, None);
    let p = Ipv4::new(source, to.ip().octets(), 17).build(&d);
    tap.send(&ethernet(mac, link.mac, ETH_P_IP, &p))
        .sys("send(AF_PACKET)")?;
    // What follows shows that it was dealt with.
    let marker = ctx.lab.a.udp(ctx.client)?;
    marker.sendto(b"marker", 0, to).sys("sendto")?;
    let mut buf = [0; 20];
    let n = s.recv(&mut buf, 0).sys("recv")?;
    if &buf[..n] == b"marker" {
        return Ok(false);
    }
    s.recv(&mut buf, 0).sys("recv of the marker")?;
    Ok(true)
}

fn sources(ctx: &Ctx) -> Result<()> {
    let (a, b) = (&ctx.lab.a, &ctx.lab.b);
    let s = ctx.server_udp()?;
    let ask = |source| arrives(ctx, &s, source, a, b.mac);
    let own = b.ip.octets();
    check!(!ask(own)?, "a packet from its destination was taken (LAND)");
    b.ns.sysctl("net/ipv4/conf/all/rp_filter", "0")?;
    b.ns.sysctl("net/ipv4/conf/vb/rp_filter", "0")?;
    b.ns.sysctl("net/ipv4/conf/vb/accept_local", "1")?;
    check!(
        ask(own)?,
        "a packet from here was refused with accept_local"
    );
    b.ns.sysctl("net/ipv4/conf/vb/accept_local", "0")?;
    // Of nobody's network, then of the other link's.
    check!(ask([192, 0, 2, 1])?, "refused without rp_filter");
    b.ns.sysctl("net/ipv4/conf/vb/rp_filter", "2")?;
    check!(!ask([192, 0, 2, 1])?, "taken though there is no way back");
    b.ns.ip("link add other type veth peer name end\n\
             addr add 10.99.0.1/24 dev other\n\
             link set other up\n\
             link set end up")?;
    check!(ask([10, 99, 0, 2])?, "refused by the loose filter");
    b.ns.sysctl("net/ipv4/conf/vb/rp_filter", "1")?;
    check!(!ask([10, 99, 0, 2])?, "taken by the strict filter");
    check!(ask([10, 77, 0, 1])?, "refused though it lies this way");
    Ok(())
}

/// The first segment with SYN that `way` says, and the TTL of its packet.
fn syn(tap: &Tap, wanted: Way) -> Result<(Segment, u8)> {
    tap.find("a SYN", |way, f| {
        let segment = f.tcp().filter(|s| s.has(flag::SYN))?;
        (way == wanted).then(|| (segment, f.0[22]))
    })
}

fn metrics(ctx: &Ctx) -> Result<()> {
    const TCP_WINDOW_CLAMP: i32 = 10;
    let ends = [&ctx.lab.a, &ctx.lab.b];
    let set = |metrics: &str| -> Result<()> {
        for end in ends {
            let (ip, dev) = (end.ip, &end.dev);
            end.ns.ip(&format!(
                "route replace 10.77.0.0/24 dev {dev} proto kernel scope link src {ip} {metrics}"
            ))?;
        }
        Ok(())
    };
    set("advmss 1000 initcwnd 3 initrwnd 4 rto_min 700ms hoplimit 77")?;
    let tap = Tap::new(&ctx.lab.b, ETH_P_ALL)?;
    let (client, server) = ctx.connected()?;
    for (way, who) in [(Way::In, "the client"), (Way::Out, "the server")] {
        let (s, ttl) = syn(&tap, way)?;
        check_eq!(s.option(2), Some(&[0x03, 0xe8][..]), "the MSS of {who}");
        check!(
            (3900..=4000).contains(&s.window),
            "the window of {who}: {}",
            s.window
        );
        check_eq!(ttl, 77, "the TTL of {who}");
    }
    for (s, who) in [(&client, "the client"), (&server, "the server")] {
        let info = TcpInfo::of(s).sys("TCP_INFO")?;
        check_eq!(info.snd_cwnd(), Some(3), "the congestion window of {who}");
        let rto = info.rto().unwrap_or(0);
        check!(
            (700_000..2_000_000).contains(&rto),
            "RTO of {who}: {rto} µs"
        );
    }
    payload::exchange(&client, &server, 1, 300_000)?;
    set("window 20000")?;
    let (client, server) = ctx.connected()?;
    for (s, who) in [(&client, "the client"), (&server, "the server")] {
        let clamp = s
            .get(c::IPPROTO_TCP, TCP_WINDOW_CLAMP)
            .sys("TCP_WINDOW_CLAMP")?;
        check_eq!(clamp, 20_000, "the largest window of {who}");
    }
    payload::exchange(&client, &server, 2, 300_000)?;
    // A datagram's TTL, too, unless its socket has one.
    set("hoplimit 55")?;
    let s = ctx.udp()?;
    let to = ctx.lab.b.at(9);
    let ttl = |tap: &Tap| {
        tap.find("a datagram", |way, f| {
            let found = f.transport(17).is_some() && way == Way::In;
            found.then(|| f.0[22])
        })
    };
    s.sendto(b"x", 0, to).sys("sendto")?;
    check_eq!(ttl(&tap)?, 55, "the TTL");
    s.set(c::SOL_IP, c::IP_TTL, 33).sys("IP_TTL")?;
    s.sendto(b"x", 0, to).sys("sendto")?;
    check_eq!(ttl(&tap)?, 33, "the TTL of who has one");
    Ok(())
}

/// Another router on the link, which is only an address.
const OTHER: [u8; 4] = [10, 77, 0, 3];
const OTHER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x33];

/// A's way to the far address, by B; what it sends is seen there and goes nowhere.
struct Detour<'a> {
    ctx: &'a Ctx,
    tap: Tap,
}

impl<'a> Detour<'a> {
    fn new(ctx: &'a Ctx) -> Result<Detour<'a>> {
        ctx.lab.a.ns.ip("route add default via 10.77.0.2\n\
             neigh replace 10.77.0.3 lladdr 02:00:00:00:00:33 dev va nud permanent")?;
        let tap = Tap::new(&ctx.lab.b, ETH_P_ALL)?;
        Ok(Detour { ctx, tap })
    }

    /// The next packet of a transport to the far address: its link-layer destination, and the packet.
    fn next(&self, protocol: u8) -> Result<([u8; 6], Vec<u8>)> {
        self.tap.find("a packet to the far address", |_, f| {
            let (_, to, _) = f.transport(protocol)?;
            let mac = f.0.get(..6)?.try_into().ok()?;
            (to == FAR.octets()).then(|| (mac, f.0[14..].to_vec()))
        })
    }

    /// Sends to A what the router `from` would say of `packet`.
    fn redirect(&self, from: [u8; 4], gateway: [u8; 4], packet: &[u8]) -> Result<()> {
        let (a, b) = (&self.ctx.lab.a, &self.ctx.lab.b);
        let mut m = vec![5, 1, 0, 0];
        m.extend_from_slice(&gateway);
        m.extend_from_slice(&packet[..packet.len().min(60)]);
        let sum = netlab::frame::checksum(&[&m]);
        m[2..4].copy_from_slice(&sum.to_be_bytes());
        let p = Ipv4::new(from, a.ip.octets(), 1).build(&m);
        let frame = ethernet(a.mac, b.mac, ETH_P_IP, &p);
        self.tap.send(&frame).sys("send(AF_PACKET)")
    }

    /// A datagram that comes to `s` from the far address: everything before it has been dealt with.
    fn answer(&self, s: &Sock) -> Result<()> {
        let (a, b) = (&self.ctx.lab.a, &self.ctx.lab.b);
        let d = udp(
            SocketAddrV4::new(FAR, 1),
            s.local().sys("name")?,
            b"x",
            None,
            None,
        );
        let p = Ipv4::new(FAR.octets(), a.ip.octets(), 17).build(&d);
        let frame = ethernet(a.mac, b.mac, ETH_P_IP, &p);
        self.tap.send(&frame).sys("send(AF_PACKET)")?;
        s.await_events(c::POLLIN).sys("poll")?;
        s.recv(&mut [0; 1], 0).sys("recv").map(drop)
    }

    /// Who gets the next datagram of `s`, and the packet.
    fn gets(&self, s: &Sock) -> Result<([u8; 6], Vec<u8>)> {
        s.send(b"x", 0).sys("send")?;
        self.next(17)
    }
}

fn redirect(ctx: &Ctx) -> Result<()> {
    let way = Detour::new(ctx)?;
    let s = ctx.udp()?;
    s.connect(SocketAddrV4::new(FAR, 1)).sys("connect")?;
    let (mac, packet) = way.gets(&s)?;
    check_eq!(mac, ctx.lab.b.mac, "who gets the first");
    way.redirect(ctx.lab.b.ip.octets(), OTHER, &packet)?;
    way.answer(&s)?;
    check_eq!(way.gets(&s)?.0, OTHER_MAC, "who gets the next");
    // The new one may say so of itself.
    let third = [10, 77, 0, 4];
    ctx.lab
        .a
        .ns
        .ip("neigh replace 10.77.0.4 lladdr 02:00:00:00:00:44 dev va nud permanent")?;
    way.redirect(OTHER, third, &packet)?;
    way.answer(&s)?;
    check_eq!(way.gets(&s)?.0, [2, 0, 0, 0, 0, 0x44], "who gets the third");
    ctx.lab.a.ns.sysctl("net/ipv4/route/flush", "1")?;
    check_eq!(way.gets(&s)?.0, ctx.lab.b.mac, "who gets it after a flush");
    Ok(())
}

fn redirect_tcp(ctx: &Ctx) -> Result<()> {
    let way = Detour::new(ctx)?;
    let s = ctx.tcp()?;
    s.nonblocking(true).sys("FIONBIO")?;
    let started = s.connect(SocketAddrV4::new(FAR, 1));
    want_errno("connect", started, c::EINPROGRESS)?;
    let (mac, syn) = way.next(6)?;
    check_eq!(mac, ctx.lab.b.mac, "who gets the SYN");
    // Of a segment that was never sent nobody can say anything.
    ctx.lab
        .a
        .ns
        .ip("neigh replace 10.77.0.4 lladdr 02:00:00:00:00:44 dev va nud permanent")?;
    let mut forged = syn.clone();
    forged[24] ^= 0x40;
    way.redirect(ctx.lab.b.ip.octets(), [10, 77, 0, 4], &forged)?;
    way.redirect(ctx.lab.b.ip.octets(), OTHER, &syn)?;
    check_eq!(way.next(6)?.0, OTHER_MAC, "who gets the second SYN");
    Ok(())
}

fn redirect_refused(ctx: &Ctx) -> Result<()> {
    let way = Detour::new(ctx)?;
    let a = &ctx.lab.a.ns;
    let s = ctx.udp()?;
    s.connect(SocketAddrV4::new(FAR, 1)).sys("connect")?;
    let (_, packet) = way.gets(&s)?;
    let router = ctx.lab.b.ip.octets();
    let check = |what: &str, from, gateway: [u8; 4]| -> Result<()> {
        way.redirect(from, gateway, &packet)?;
        way.answer(&s)?;
        check_eq!(way.gets(&s)?.0, ctx.lab.b.mac, "who gets it after {what}");
        Ok(())
    };
    check("a stranger's word", [10, 77, 0, 9], OTHER)?;
    check("one to a group", router, [224, 0, 0, 5])?;
    check("one to this host", router, ctx.lab.a.ip.octets())?;
    check("one to who does not answer", router, [10, 77, 0, 88])?;
    for dev in ["all", "va"] {
        a.sysctl(&format!("net/ipv4/conf/{dev}/shared_media"), "0")?;
    }
    check("one that leads off the link", router, [10, 99, 0, 1])?;
    check("one to who is no default gateway", router, OTHER)?;
    for dev in ["all", "va"] {
        a.sysctl(&format!("net/ipv4/conf/{dev}/secure_redirects"), "0")?;
    }
    for dev in ["all", "va"] {
        a.sysctl(&format!("net/ipv4/conf/{dev}/accept_redirects"), "0")?;
    }
    check("one that nobody wants", router, OTHER)?;
    a.sysctl("net/ipv4/conf/va/accept_redirects", "1")?;
    way.redirect(router, OTHER, &packet)?;
    way.answer(&s)?;
    check_eq!(way.gets(&s)?.0, OTHER_MAC, "who gets it when it is wanted");
    Ok(())
}
