// SPDX-License-Identifier: GPL-2.0
//! `socket(2)`, descriptors and their lifetime.

use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::ktap::skip;
use netlab::ktap::want_errno;
use netlab::ktap::Sysc;
use netlab::Sock;

use crate::case::Case;
use crate::case::Ctx;

const G: &str = "socket";

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::one(G, "stream_default_and_tcp_protocol", stream_protocols),
    Case::one(G, "dgram_default_and_udp_protocol", dgram_protocols),
    Case::one(G, "wrong_protocol_EPROTONOSUPPORT", wrong_protocol),
    Case::one(G, "unknown_type_ESOCKTNOSUPPORT", unknown_type),
    Case::one(G, "type_out_of_range_EINVAL", type_out_of_range),
    Case::one(G, "protocol_out_of_range_EINVAL", protocol_out_of_range),
    Case::one(G, "raw_needs_capability_EPERM", raw_needs_capability),
    Case::one(G, "flags_nonblock_and_cloexec", socket_flags),
    Case::one(G, "SO_TYPE_and_SO_PROTOCOL", type_and_protocol),
    Case::one(G, "SO_DOMAIN_is_the_family", domain),
    Case::one(G, "SO_ACCEPTCONN_follows_listen", acceptconn),
    Case::one(G, "socketpair_EOPNOTSUPP", socketpair),
    Case::two(G, "dup_keeps_the_connection_open", dup),
    Case::two(G, "a_child_process_keeps_it_open", child_process),
    Case::one(G, "close_frees_the_port", close_frees_port),
];

fn open(ctx: &Ctx, ty: i32, protocol: i32) -> Result<Sock, netlab::Errno> {
    ctx.lab.a.ns.enter(|| Sock::new(ctx.family(), ty, protocol))
}

fn stream_protocols(ctx: &Ctx) -> Result<()> {
    open(ctx, c::SOCK_STREAM, 0).sys("SOCK_STREAM, 0")?;
    open(ctx, c::SOCK_STREAM, c::IPPROTO_TCP).sys("SOCK_STREAM, IPPROTO_TCP")?;
    Ok(())
}

fn dgram_protocols(ctx: &Ctx) -> Result<()> {
    open(ctx, c::SOCK_DGRAM, 0).sys("SOCK_DGRAM, 0")?;
    open(ctx, c::SOCK_DGRAM, c::IPPROTO_UDP).sys("SOCK_DGRAM, IPPROTO_UDP")?;
    Ok(())
}

fn wrong_protocol(ctx: &Ctx) -> Result<()> {
    let tries = [
        ("STREAM with UDP", c::SOCK_STREAM, c::IPPROTO_UDP),
        ("DGRAM with TCP", c::SOCK_DGRAM, c::IPPROTO_TCP),
        ("STREAM with 253", c::SOCK_STREAM, 253),
    ];
    for (what, ty, protocol) in tries {
        want_errno(what, open(ctx, ty, protocol), c::EPROTONOSUPPORT)?;
    }
    Ok(())
}

fn unknown_type(ctx: &Ctx) -> Result<()> {
    want_errno("SOCK_RDM", open(ctx, c::SOCK_RDM, 0), c::ESOCKTNOSUPPORT)?;
    want_errno(
        "SOCK_SEQPACKET",
        open(ctx, c::SOCK_SEQPACKET, 0),
        c::ESOCKTNOSUPPORT,
    )
}

fn type_out_of_range(ctx: &Ctx) -> Result<()> {
    want_errno("type 15", open(ctx, 15, 0), c::EINVAL)?;
    want_errno(
        "unknown flag",
        open(ctx, c::SOCK_STREAM | 0x100, 0),
        c::EINVAL,
    )
}

fn protocol_out_of_range(ctx: &Ctx) -> Result<()> {
    want_errno("protocol -1", open(ctx, c::SOCK_STREAM, -1), c::EINVAL)?;
    want_errno("protocol 4096", open(ctx, c::SOCK_RAW, 4096), c::EINVAL)
}

fn raw_needs_capability(ctx: &Ctx) -> Result<()> {
    match open(ctx, c::SOCK_RAW, c::IPPROTO_ICMP) {
        Ok(_) => {}
        Err(netlab::Errno(c::ESOCKTNOSUPPORT)) => {
            return Err(skip("the family has no raw sockets"))
        }
        Err(e) => return Err(e).sys("SOCK_RAW as root"),
    }
    // Entering the namespace needs the capability that is given up.
    let family = ctx.family();
    let raw = || Sock::new(family, c::SOCK_RAW, c::IPPROTO_ICMP);
    let as_nobody = ctx.lab.a.ns.enter(|| crate::cases::as_nobody(raw))?;
    want_errno("SOCK_RAW as nobody", as_nobody, c::EPERM)
}

fn socket_flags(ctx: &Ctx) -> Result<()> {
    let s = open(ctx, c::SOCK_STREAM | c::SOCK_NONBLOCK, 0).sys("socket")?;
    let fl = uapi::fcntl_getfl(std::os::fd::AsRawFd::as_raw_fd(&s)).sys("F_GETFL")?;
    check!(
        fl & c::O_NONBLOCK != 0,
        "SOCK_NONBLOCK did not set O_NONBLOCK"
    );
    let fd = uapi::fcntl_getfd(std::os::fd::AsRawFd::as_raw_fd(&s)).sys("F_GETFD")?;
    check!(
        fd & c::FD_CLOEXEC != 0,
        "SOCK_CLOEXEC did not set FD_CLOEXEC"
    );
    Ok(())
}

fn type_and_protocol(ctx: &Ctx) -> Result<()> {
    for (ty, protocol) in [
        (c::SOCK_STREAM, c::IPPROTO_TCP),
        (c::SOCK_DGRAM, c::IPPROTO_UDP),
    ] {
        let s = open(ctx, ty, 0).sys("socket")?;
        check_eq!(
            s.get(c::SOL_SOCKET, c::SO_TYPE).sys("SO_TYPE")?,
            ty,
            "SO_TYPE"
        );
        check_eq!(
            s.get(c::SOL_SOCKET, c::SO_PROTOCOL).sys("SO_PROTOCOL")?,
            protocol,
            "SO_PROTOCOL"
        );
    }
    Ok(())
}

fn domain(ctx: &Ctx) -> Result<()> {
    let s = ctx.tcp()?;
    check_eq!(
        s.get(c::SOL_SOCKET, c::SO_DOMAIN).sys("SO_DOMAIN")?,
        ctx.family().0,
        "SO_DOMAIN"
    );
    Ok(())
}

fn acceptconn(ctx: &Ctx) -> Result<()> {
    let s = ctx.tcp()?;
    check_eq!(
        s.get(c::SOL_SOCKET, c::SO_ACCEPTCONN)
            .sys("SO_ACCEPTCONN")?,
        0,
        "before listen"
    );
    s.listen(1).sys("listen")?;
    check_eq!(
        s.get(c::SOL_SOCKET, c::SO_ACCEPTCONN)
            .sys("SO_ACCEPTCONN")?,
        1,
        "after listen"
    );
    Ok(())
}

fn socketpair(ctx: &Ctx) -> Result<()> {
    let pair = ctx
        .lab
        .a
        .ns
        .enter(|| uapi::socketpair(ctx.family().0, c::SOCK_STREAM, 0));
    want_errno("socketpair", pair, c::EOPNOTSUPP)
}

fn dup(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    let twin = client.dup().sys("dup")?;
    drop(client);
    twin.send_all(b"still here")
        .sys("send through the duplicate")?;
    let mut buf = [0; 10];
    server.recv_exact(&mut buf).sys("recv")?;
    check_eq!(&buf, b"still here", "data");
    drop(twin);
    check_eq!(
        server.recv(&mut buf, 0).sys("recv")?,
        0,
        "FIN only with the last descriptor"
    );
    Ok(())
}

/// `sh` holds a copy of the socket as its standard input; the connection ends when it does.
fn child_process(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    let copy = std::os::fd::OwnedFd::from(client.dup().sys("dup")?.into_fd());
    let mut sh = std::process::Command::new("cat")
        .stdin(std::process::Stdio::from(copy))
        .stdout(std::process::Stdio::null())
        .spawn()?;
    drop(client);
    // The child reads from the socket: what the server sends arrives nowhere else, and the
    // connection stays open in both directions.
    server.send_all(b"hello").sys("send to the child")?;
    let early = server
        .poll(c::POLLIN, std::time::Duration::ZERO)
        .sys("poll")?;
    check_eq!(early, 0, "FIN although a child process holds the socket");
    server.shutdown(c::SHUT_WR).sys("shutdown")?;
    check!(sh.wait()?.success(), "cat failed to read the socket");
    let mut buf = [0; 1];
    check_eq!(
        server.recv(&mut buf, 0).sys("recv")?,
        0,
        "FIN when the child has ended"
    );
    Ok(())
}

fn close_frees_port(ctx: &Ctx) -> Result<()> {
    let first = ctx.tcp()?;
    first.bind(ctx.lab.a.at(0)).sys("bind")?;
    let addr = first.local().sys("getsockname")?;
    let second = ctx.tcp()?;
    want_errno("bind while in use", second.bind(addr), c::EADDRINUSE)?;
    drop(first);
    second.bind(addr).sys("bind after the close")
}
