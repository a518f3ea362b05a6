// SPDX-License-Identifier: GPL-2.0
//! Lives of sockets whose every error is checked, for `--faults`: what fails for want of memory says ENOMEM
//! or ENOBUFS, and a packet that is lost by it is sent again.

use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::ktap::Sysc;
use netlab::lab::Lab;
use netlab::lab::Link;
use netlab::payload;

use crate::case::Case;
use crate::case::Ctx;

const G: &str = "memory";

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::two(G, "life_of_a_connection", connection).secs(120),
    Case::two(G, "life_of_a_connection_that_is_reset", reset).secs(120),
    Case::two(G, "data_in_bulk", bulk).secs(120),
    Case::two(G, "datagrams", datagrams).secs(120),
    Case::one(G, "options", options).secs(120),
    Case::one(G, "explicit_ports", explicit_ports).secs(120),
    Case::own(G, "namespaces", namespaces).secs(120),
    Case::own(G, "modes", modes).fresh().secs(120),
];

fn connection(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    for (from, to) in [(&client, &server), (&server, &client)] {
        from.send_all(b"hello").sys("send")?;
        let mut buf = [0; 5];
        to.recv_exact(&mut buf).sys("recv")?;
        check_eq!(&buf, b"hello", "data");
    }
    client.shutdown(c::SHUT_WR).sys("shutdown")?;
    check_eq!(server.recv(&mut [0; 1], 0).sys("recv")?, 0, "end");
    server.shutdown(c::SHUT_WR).sys("shutdown")?;
    check_eq!(client.recv(&mut [0; 1], 0).sys("recv")?, 0, "end");
    Ok(())
}

fn reset(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    client.send_all(&[1; 1000]).sys("send")?;
    server.linger(true, 0).sys("SO_LINGER")?;
    drop(server);
    // The RST may be lost; what is sent then is answered by another.
    netlab::wait::until("the reset", || {
        let ended = !matches!(
            client.recv(&mut [0; 1], c::MSG_DONTWAIT),
            Err(netlab::Errno(c::EAGAIN))
        );
        let _ = client.send(b"x", c::MSG_NOSIGNAL | c::MSG_DONTWAIT);
        ended.then_some(())
    })
}

fn bulk(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    payload::transfer(&client, &server, 1, 300_000)?;
    payload::transfer(&server, &client, 2, 300_000)
}

fn datagrams(ctx: &Ctx) -> Result<()> {
    let (a, b) = (ctx.udp()?, ctx.server_udp()?);
    let to = b.local().sys("getsockname")?;
    for n in [0, 1, 1400] {
        // A datagram that found no memory on its way is lost and nobody is told.
        netlab::wait::until("a datagram", || {
            let sent = a.sendto(&vec![7; n], 0, to).sys("sendto");
            if sent.is_err() {
                return Some(sent.map(drop));
            }
            let got = b.poll(c::POLLIN, std::time::Duration::from_millis(500));
            matches!(got, Ok(e) if e != 0).then_some(Ok(()))
        })??;
        let mut buf = [0; 2000];
        check_eq!(b.recv(&mut buf, 0).sys("recv")?, n, "length");
        check!(buf[..n].iter().all(|b| *b == 7), "data");
    }
    Ok(())
}

fn options(ctx: &Ctx) -> Result<()> {
    let s = ctx.tcp()?;
    s.set(c::SOL_SOCKET, c::SO_SNDBUF, 100_000)
        .sys("SO_SNDBUF")?;
    s.set(c::SOL_SOCKET, c::SO_RCVBUF, 100_000)
        .sys("SO_RCVBUF")?;
    s.set(c::SOL_SOCKET, c::SO_REUSEADDR, 1)
        .sys("SO_REUSEADDR")?;
    s.set(c::SOL_SOCKET, c::SO_KEEPALIVE, 1)
        .sys("SO_KEEPALIVE")?;
    s.set(c::IPPROTO_TCP, c::TCP_NODELAY, 1)
        .sys("TCP_NODELAY")?;
    s.set(c::IPPROTO_IP, c::IP_TTL, 9).sys("IP_TTL")?;
    s.bind(ctx.lab.a.at(0)).sys("bind")?;
    s.listen(5).sys("listen")?;
    s.listen(50).sys("listen again")?;
    netlab::tcpinfo::TcpInfo::of(&s).sys("TCP_INFO")?;
    Ok(())
}

/// Ports that are asked for, which in `coexist` the host's stack has to hold, too.
fn explicit_ports(ctx: &Ctx) -> Result<()> {
    for (s, port) in [(ctx.tcp()?, 7), (ctx.lab.a.udp(ctx.client)?, 9)] {
        match s.bind(ctx.lab.a.at(port)) {
            // inet_csk_get_port() says so, too, when it has no memory for the port.
            Err(netlab::Errno(c::EADDRINUSE)) if ctx.args.faults.is_some() => {}
            other => other.sys("bind")?,
        }
    }
    Ok(())
}

/// A namespace is made, used and gone; its failure leaves no half of one.
fn namespaces(ctx: &Ctx) -> Result<()> {
    let ctx = Ctx {
        lab: Lab::new(Link::Veth)?,
        server: ctx.client,
        args: ctx.args.clone(),
        ..*ctx
    };
    connection(&ctx)
}

fn modes(ctx: &Ctx) -> Result<()> {
    for mode in ["replace", "coexist"] {
        ctx.lab.b.ns.sysctl("net/rustnet/mode", mode)?;
    }
    let ctx = Ctx {
        server: ctx.client,
        lab: ctx.lab.clone(),
        args: ctx.args.clone(),
        ..*ctx
    };
    connection(&ctx)
}
