// SPDX-License-Identifier: GPL-2.0
//! `bind(2)`, automatic ports, `getsockname(2)` and `getpeername(2)`.

use std::net::Ipv4Addr;
use std::net::SocketAddrV4;

use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::ktap::want_errno;
use netlab::ktap::Sysc;
use netlab::sock::sockaddr_in;

use crate::case::Case;
use crate::case::Ctx;

const G: &str = "address";

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::one(G, "bind_port_in_use_EADDRINUSE", in_use),
    Case::one(G, "bind_in_use_by_wildcard_EADDRINUSE", in_use_by_wildcard),
    Case::one(G, "bind_foreign_address_EADDRNOTAVAIL", foreign),
    Case::one(G, "bind_low_port_without_capability_EACCES", low_port),
    Case::one(G, "bind_short_address_EINVAL", short),
    Case::one(G, "bind_wrong_family_EAFNOSUPPORT", wrong_family),
    Case::one(G, "bind_twice_EINVAL", twice),
    Case::one(G, "bind_unspec_family_only_with_any_address", unspec),
    Case::one(G, "tcp_and_udp_ports_are_separate", separate),
    Case::one(G, "reuseaddr_lets_a_listener_return", reuseaddr),
    Case::one(G, "getsockname_before_bind_is_zero", before_bind),
    Case::one(G, "getsockname_after_bind_port_0", port_zero),
    Case::one(G, "getsockname_is_an_AF_INET_address", inet_name),
    Case::one(G, "getpeername_unconnected_ENOTCONN", no_peer),
    Case::one(G, "listen_autobinds", listen_autobinds),
    Case::one(G, "automatic_ports_stay_in_range_and_differ", range),
    Case::two(G, "connect_chooses_source_and_names_agree", names_agree),
    Case::two(G, "bound_source_address_and_port_are_used", bound_source),
];

fn in_use(ctx: &Ctx) -> Result<()> {
    let (one, two) = (ctx.tcp()?, ctx.tcp()?);
    one.bind(ctx.lab.a.at(0)).sys("bind")?;
    one.listen(1).sys("listen")?;
    want_errno(
        "second bind",
        two.bind(one.local().sys("name")?),
        c::EADDRINUSE,
    )
}

fn in_use_by_wildcard(ctx: &Ctx) -> Result<()> {
    let (one, two) = (ctx.tcp()?, ctx.tcp()?);
    one.bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0))
        .sys("bind 0.0.0.0")?;
    one.listen(1).sys("listen")?;
    let port = one.local().sys("name")?.port();
    want_errno(
        "bind below the wildcard",
        two.bind(ctx.lab.a.at(port)),
        c::EADDRINUSE,
    )
}

fn foreign(ctx: &Ctx) -> Result<()> {
    let elsewhere = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 77), 0);
    want_errno("tcp", ctx.tcp()?.bind(elsewhere), c::EADDRNOTAVAIL)?;
    want_errno(
        "udp",
        ctx.lab.a.udp(ctx.family())?.bind(elsewhere),
        c::EADDRNOTAVAIL,
    )
}

fn low_port(ctx: &Ctx) -> Result<()> {
    let (tcp, udp) = (ctx.tcp()?, ctx.lab.a.udp(ctx.family())?);
    let to = ctx.lab.a.at(80);
    let (t, u) = crate::cases::as_nobody(|| (tcp.bind(to), udp.bind(to)))?;
    want_errno("tcp port 80 as nobody", t, c::EACCES)?;
    want_errno("udp port 80 as nobody", u, c::EACCES)?;
    tcp.bind(to).sys("port 80 as root")
}

fn short(ctx: &Ctx) -> Result<()> {
    // sockaddr_nl is four bytes shorter than sockaddr_in.
    let mut nl: c::sockaddr_nl = uapi::pod_zeroed();
    nl.nl_family = c::AF_INET as u16;
    want_errno("tcp bind", ctx.tcp()?.bind_raw(&nl), c::EINVAL)?;
    want_errno("tcp connect", ctx.tcp()?.connect_raw(&nl), c::EINVAL)?;
    want_errno(
        "udp bind",
        ctx.lab.a.udp(ctx.family())?.bind_raw(&nl),
        c::EINVAL,
    )
}

fn wrong_family(ctx: &Ctx) -> Result<()> {
    let odd = sockaddr_in(c::AF_UNIX, ctx.lab.a.at(0));
    want_errno("tcp", ctx.tcp()?.bind_raw(&odd), c::EAFNOSUPPORT)?;
    want_errno(
        "udp",
        ctx.lab.a.udp(ctx.family())?.bind_raw(&odd),
        c::EAFNOSUPPORT,
    )?;
    want_errno("connect", ctx.tcp()?.connect_raw(&odd), c::EAFNOSUPPORT)?;
    // The family's own number is an address family too.
    let own = sockaddr_in(ctx.family().0, ctx.lab.a.at(0));
    ctx.tcp()?
        .bind_raw(&own)
        .sys("bind with the family's own number")
}

fn twice(ctx: &Ctx) -> Result<()> {
    let s = ctx.tcp()?;
    s.bind(ctx.lab.a.at(0)).sys("bind")?;
    want_errno("second bind", s.bind(ctx.lab.a.at(0)), c::EINVAL)
}

fn unspec(ctx: &Ctx) -> Result<()> {
    let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
    ctx.tcp()?
        .bind_raw(&sockaddr_in(c::AF_UNSPEC, any))
        .sys("AF_UNSPEC with 0.0.0.0")?;
    let named = sockaddr_in(c::AF_UNSPEC, ctx.lab.a.at(0));
    want_errno(
        "AF_UNSPEC with an address",
        ctx.tcp()?.bind_raw(&named),
        c::EAFNOSUPPORT,
    )
}

fn separate(ctx: &Ctx) -> Result<()> {
    let tcp = ctx.tcp()?;
    tcp.bind(ctx.lab.a.at(0)).sys("tcp bind")?;
    let udp = ctx.lab.a.udp(ctx.family())?;
    udp.bind(tcp.local().sys("name")?)
        .sys("udp bind of the same port")
}

/// The accepted socket of an old listener keeps the port busy; SO_REUSEADDR lets a new listener in.
fn reuseaddr(ctx: &Ctx) -> Result<()> {
    let (old, addr) = {
        let l = ctx.tcp()?;
        l.set(c::SOL_SOCKET, c::SO_REUSEADDR, 1)
            .sys("SO_REUSEADDR")?;
        l.bind(ctx.lab.a.at(0)).sys("bind")?;
        l.listen(1).sys("listen")?;
        let addr = l.local().sys("name")?;
        (l, addr)
    };
    let client = ctx.tcp()?;
    client.connect(addr).sys("connect")?;
    let accepted = old.accept().sys("accept")?;
    drop(old);
    let plain = ctx.tcp()?;
    want_errno("bind without SO_REUSEADDR", plain.bind(addr), c::EADDRINUSE)?;
    let reusing = ctx.tcp()?;
    reusing
        .set(c::SOL_SOCKET, c::SO_REUSEADDR, 1)
        .sys("SO_REUSEADDR")?;
    reusing.bind(addr).sys("bind with SO_REUSEADDR")?;
    reusing.listen(1).sys("listen")?;
    drop(accepted);
    Ok(())
}

fn before_bind(ctx: &Ctx) -> Result<()> {
    let name = ctx.tcp()?.local().sys("getsockname")?;
    check_eq!(
        name,
        SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0),
        "name of a new socket"
    );
    Ok(())
}

fn port_zero(ctx: &Ctx) -> Result<()> {
    for s in [ctx.tcp()?, ctx.lab.a.udp(ctx.family())?] {
        s.bind(ctx.lab.a.at(0)).sys("bind")?;
        let name = s.local().sys("getsockname")?;
        check!(name.port() != 0, "port 0 after bind");
        check_eq!(*name.ip(), ctx.lab.a.ip, "address after bind");
    }
    Ok(())
}

fn inet_name(ctx: &Ctx) -> Result<()> {
    let s = ctx.tcp()?;
    s.bind(ctx.lab.a.at(0)).sys("bind")?;
    let (sa, len) = s.getsockname().sys("getsockname")?;
    check_eq!(i32::from(sa.sin_family), c::AF_INET, "sin_family");
    check_eq!(len, 16, "address length");
    check_eq!(sa.sin_zero, [0; 8], "sin_zero");
    Ok(())
}

fn no_peer(ctx: &Ctx) -> Result<()> {
    want_errno("tcp", ctx.tcp()?.peer(), c::ENOTCONN)?;
    want_errno("udp", ctx.udp()?.peer(), c::ENOTCONN)?;
    let l = ctx.tcp()?;
    l.listen(1).sys("listen")?;
    want_errno("listener", l.peer(), c::ENOTCONN)
}

fn listen_autobinds(ctx: &Ctx) -> Result<()> {
    let l = ctx.tcp()?;
    l.listen(1).sys("listen")?;
    let name = l.local().sys("getsockname")?;
    check!(name.port() != 0, "no port after listen without bind");
    check_eq!(
        *name.ip(),
        Ipv4Addr::UNSPECIFIED,
        "address after listen without bind"
    );
    Ok(())
}

fn range(ctx: &Ctx) -> Result<()> {
    // Beside the host RustNet picks from a range of its own.
    let own = ctx.family().is_rustnet() && ctx.args.mode == "coexist";
    let whose = if own { "rustnet" } else { "ipv4" };
    let text =
        ctx.lab.a.ns.enter(|| {
            std::fs::read_to_string(format!("/proc/sys/net/{whose}/ip_local_port_range"))
        })?;
    let bounds: Vec<u16> = text
        .split_whitespace()
        .filter_map(|w| w.parse().ok())
        .collect();
    let mut ports = Vec::new();
    let mut held = Vec::new();
    for _ in 0..32 {
        let s = ctx.tcp()?;
        s.bind(ctx.lab.a.at(0)).sys("bind")?;
        ports.push(s.local().sys("name")?.port());
        held.push(s);
    }
    for p in &ports {
        check!(
            (bounds[0]..=bounds[1]).contains(p),
            "port {p} is outside {bounds:?}"
        );
    }
    let in_a_row = ports.windows(2).filter(|w| w[1] == w[0] + 1).count();
    check!(in_a_row < 16, "automatic ports are predictable: {ports:?}");
    ports.sort_unstable();
    ports.dedup();
    check_eq!(ports.len(), 32, "distinct ports");
    Ok(())
}

fn names_agree(ctx: &Ctx) -> Result<()> {
    let (l, addr) = ctx.listener(1)?;
    let c = ctx.tcp()?;
    c.connect(addr).sys("connect")?;
    let (s, from) = l.accept4(0).sys("accept4")?;
    check_eq!(c.peer().sys("peer")?, addr, "the client's peer");
    check_eq!(s.local().sys("local")?, addr, "the server's own address");
    check_eq!(
        c.local().sys("local")?,
        s.peer().sys("peer")?,
        "the two names of the client"
    );
    check_eq!(
        from,
        s.peer().sys("peer")?,
        "the address that accept4 returned"
    );
    check_eq!(
        *c.local().sys("local")?.ip(),
        ctx.lab.a.ip,
        "the source address chosen"
    );
    let (sa, len) = s.getpeername().sys("getpeername")?;
    check_eq!(
        (i32::from(sa.sin_family), len),
        (c::AF_INET, 16),
        "peer's family and length"
    );
    Ok(())
}

fn bound_source(ctx: &Ctx) -> Result<()> {
    let (l, addr) = ctx.listener(1)?;
    let c = ctx.tcp()?;
    c.bind(ctx.lab.a.at(0)).sys("bind")?;
    let source = c.local().sys("name")?;
    c.connect(addr).sys("connect")?;
    let (_s, from) = l.accept4(0).sys("accept4")?;
    check_eq!(from, source, "the source that the server sees");
    Ok(())
}
