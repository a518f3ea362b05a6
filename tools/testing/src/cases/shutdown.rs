// SPDX-License-Identifier: GPL-2.0
//! Ending a connection: both halves, FIN and RST, SIGPIPE, lingering.

use std::time::Duration;

use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::kstate;
use netlab::ktap::want_errno;
use netlab::ktap::Sysc;
use netlab::tcpinfo::TcpInfo;
use netlab::wait;

use crate::blocked::gettid;
use crate::blocked::until_blocked;
use crate::case::Case;
use crate::case::Ctx;

const G: &str = "shutdown";

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::two(G, "write_half_is_FIN_and_the_other_half_lives", half_close),
    Case::two(G, "read_half_ends_reads", read_half),
    Case::two(G, "both_halves", both),
    Case::one(G, "unconnected_ENOTCONN", unconnected),
    Case::two(G, "bad_argument_EINVAL", bad_argument),
    Case::two(G, "send_after_write_half_EPIPE", epipe),
    Case::two(G, "SIGPIPE_unless_MSG_NOSIGNAL", sigpipe),
    Case::one(G, "send_unconnected_EPIPE_recv_ENOTCONN", send_unconnected),
    Case::two(G, "linger_0_resets", linger_zero),
    Case::two(G, "unread_data_at_close_resets", unread_resets),
    Case::two(G, "data_before_a_reset_is_still_an_error", reset_error_once),
    Case::two(G, "linger_waits_for_the_peer", linger_waits).veth(),
    Case::two(G, "shutdown_wakes_a_blocked_reader", wakes_reader),
    Case::two(G, "closing_end_passes_FIN_WAIT2_and_TIME_WAIT", states),
    Case::two(G, "passive_end_passes_CLOSE_WAIT", close_wait),
    Case::two(G, "both_close_at_once", both_close),
];

fn half_close(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    client.send_all(b"question").sys("send")?;
    client.shutdown(c::SHUT_WR).sys("SHUT_WR")?;
    check_eq!(
        server.recv_to_end().sys("recv")?,
        b"question",
        "what the server read until FIN"
    );
    server.send_all(b"answer").sys("send against the stream")?;
    drop(server);
    check_eq!(
        client.recv_to_end().sys("recv")?,
        b"answer",
        "what the half-closed client read"
    );
    Ok(())
}

fn read_half(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    client.shutdown(c::SHUT_RD).sys("SHUT_RD")?;
    check_eq!(
        client.recv(&mut [0; 1], 0).sys("recv")?,
        0,
        "recv after SHUT_RD"
    );
    // Linux goes on accepting data; nothing is told to the peer.
    server.send_all(b"x").sys("the peer's send")?;
    client.send_all(b"y").sys("send after SHUT_RD")?;
    let mut buf = [0; 1];
    server.recv_exact(&mut buf).sys("the peer's recv")?;
    check_eq!(&buf, b"y", "data");
    Ok(())
}

fn both(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    client.shutdown(c::SHUT_RDWR).sys("SHUT_RDWR")?;
    check_eq!(client.recv(&mut [0; 1], 0).sys("recv")?, 0, "recv");
    want_errno("send", client.send(b"x", c::MSG_NOSIGNAL), c::EPIPE)?;
    check_eq!(
        server.recv(&mut [0; 1], 0).sys("peer's recv")?,
        0,
        "peer's recv"
    );
    let ev = client
        .poll(c::POLLIN | c::POLLOUT, Duration::ZERO)
        .sys("poll")?;
    check!(ev & c::POLLHUP != 0, "no POLLHUP after SHUT_RDWR: {ev:#x}");
    Ok(())
}

fn unconnected(ctx: &Ctx) -> Result<()> {
    want_errno("tcp", ctx.tcp()?.shutdown(c::SHUT_WR), c::ENOTCONN)?;
    want_errno("udp", ctx.udp()?.shutdown(c::SHUT_RD), c::ENOTCONN)
}

fn bad_argument(ctx: &Ctx) -> Result<()> {
    let (client, _server) = ctx.connected()?;
    want_errno("how = 3", client.shutdown(3), c::EINVAL)?;
    want_errno("how = -1", client.shutdown(-1), c::EINVAL)
}

fn epipe(ctx: &Ctx) -> Result<()> {
    let (client, _server) = ctx.connected()?;
    client.shutdown(c::SHUT_WR).sys("SHUT_WR")?;
    want_errno("send", client.send(b"x", c::MSG_NOSIGNAL), c::EPIPE)
}

/// The signal is blocked, so that it stays pending and can be taken without a handler.
fn sigpipe(ctx: &Ctx) -> Result<()> {
    let mut set = uapi::empty_sig_set().sys("sigset")?;
    uapi::sigaddset(&mut set, c::SIGPIPE).sys("sigset")?;
    let (client, _server) = ctx.connected()?;
    client.shutdown(c::SHUT_WR).sys("SHUT_WR")?;
    let (with, without) = std::thread::scope(|s| {
        let t = s.spawn(|| -> Result<_> {
            uapi::pthread_sigmask(c::SIG_BLOCK, Some(&set), None).sys("sigmask")?;
            let now = c::timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            want_errno(
                "send with MSG_NOSIGNAL",
                client.send(b"x", c::MSG_NOSIGNAL),
                c::EPIPE,
            )?;
            let with = uapi::sigtimedwait(&set, None, &now).is_ok();
            want_errno("send without it", client.send(b"x", 0), c::EPIPE)?;
            let without = uapi::sigtimedwait(&set, None, &now).is_ok();
            Ok((with, without))
        });
        t.join().expect("no panic")
    })?;
    check!(!with, "SIGPIPE in spite of MSG_NOSIGNAL");
    check!(without, "no SIGPIPE");
    Ok(())
}

fn send_unconnected(ctx: &Ctx) -> Result<()> {
    want_errno("send", ctx.tcp()?.send(b"x", c::MSG_NOSIGNAL), c::EPIPE)?;
    want_errno("recv", ctx.tcp()?.recv(&mut [0; 1], 0), c::ENOTCONN)?;
    want_errno(
        "udp send without address",
        ctx.udp()?.send(b"x", 0),
        c::EDESTADDRREQ,
    )
}

fn linger_zero(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    client.linger(true, 0).sys("SO_LINGER")?;
    drop(client);
    server.await_reset()?;
    want_errno("recv", server.recv(&mut [0; 1], 0), c::ECONNRESET)
}

/// RFC 2525, 2.17: closing with unread data must not look like a clean end.
fn unread_resets(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    server.send_all(b"never read").sys("send")?;
    client.await_events(c::POLLIN).sys("poll")?;
    drop(client);
    server.await_events(c::POLLIN).sys("poll")?;
    want_errno("recv", server.recv(&mut [0; 1], 0), c::ECONNRESET)
}

fn reset_error_once(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    client.linger(true, 0).sys("SO_LINGER")?;
    drop(client);
    server.await_events(c::POLLIN).sys("poll")?;
    want_errno("send", server.send(b"x", c::MSG_NOSIGNAL), c::ECONNRESET)?;
    want_errno("second send", server.send(b"x", c::MSG_NOSIGNAL), c::EPIPE)?;
    check_eq!(
        server.recv(&mut [0; 1], 0).sys("recv")?,
        0,
        "recv after the error was told"
    );
    Ok(())
}

/// With SO_LINGER the close sleeps until the peer has everything: here it has to read first.
fn linger_waits(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    server
        .set(c::SOL_SOCKET, c::SO_RCVBUF, 4096)
        .sys("SO_RCVBUF")?;
    client.linger(true, 30).sys("SO_LINGER")?;
    client.nonblocking(true).sys("FIONBIO")?;
    let mut sent = 0;
    while let Ok(n) = client.send(&[7; 65536], c::MSG_NOSIGNAL) {
        sent += n;
    }
    client.nonblocking(false).sys("FIONBIO")?;
    std::thread::scope(|s| {
        let (tx, rx) = std::sync::mpsc::channel();
        let closer = s.spawn(move || {
            tx.send(gettid()).expect("receiver lives");
            drop(client);
        });
        let asleep = until_blocked(rx.recv()?, &[c::SYS_close]);
        let got = server.recv_to_end().sys("recv")?.len();
        closer.join().expect("no panic");
        asleep?;
        check_eq!(got, sent, "bytes that arrived");
        Ok(())
    })
}

fn wakes_reader(ctx: &Ctx) -> Result<()> {
    let (client, _server) = ctx.connected()?;
    std::thread::scope(|s| {
        let (tx, rx) = std::sync::mpsc::channel();
        let client = &client;
        let t = s.spawn(move || {
            tx.send(gettid()).expect("receiver lives");
            client.recv(&mut [0; 1], 0)
        });
        let asleep = until_blocked(rx.recv()?, &[c::SYS_recvfrom]);
        client.shutdown(c::SHUT_RD).sys("SHUT_RD")?;
        let got = t.join().expect("no panic").sys("recv")?;
        asleep?;
        check_eq!(got, 0, "what the woken reader got");
        Ok(())
    })
}

fn in_state(ctx: &Ctx, at_client: bool, local: std::net::SocketAddrV4, state: u8) -> Result<()> {
    let (ns, family) = if at_client {
        (&ctx.lab.a.ns, ctx.client)
    } else {
        (&ctx.lab.b.ns, ctx.server)
    };
    let name = netlab::tcpinfo::STATES[usize::from(state)];
    wait::until(&format!("{local} in {name}"), || {
        let all = kstate::sockets(ns, family, "tcp").ok()?;
        all.iter()
            .any(|s| s.local == local && s.state == state)
            .then_some(())
    })
}

fn states(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    let local = client.local().sys("name")?;
    client.shutdown(c::SHUT_WR).sys("SHUT_WR")?;
    check_eq!(
        server.recv(&mut [0; 1], 0).sys("recv")?,
        0,
        "FIN at the server"
    );
    wait::until("FIN_WAIT2 in TCP_INFO", || {
        (TcpInfo::of(&client).ok()?.state()? == 5).then_some(())
    })?;
    drop(server);
    in_state(ctx, true, local, 6)?;
    Ok(())
}

fn close_wait(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    drop(client);
    check_eq!(
        server.recv(&mut [0; 1], 0).sys("recv")?,
        0,
        "FIN at the server"
    );
    check_eq!(
        TcpInfo::of(&server).sys("TCP_INFO")?.state_name(),
        "CLOSE_WAIT",
        "state"
    );
    server.shutdown(c::SHUT_WR).sys("SHUT_WR")?;
    wait::until("CLOSE after LAST_ACK", || {
        (TcpInfo::of(&server).ok()?.state()? == 7).then_some(())
    })
}

/// RFC 9293, figure 13: both FINs cross; both ends pass CLOSING or TIME_WAIT, and nothing is lost.
fn both_close(ctx: &Ctx) -> Result<()> {
    for _ in 0..20 {
        let (client, server) = ctx.connected()?;
        let gate = std::sync::Barrier::new(2);
        std::thread::scope(|s| {
            let other = s.spawn(|| {
                gate.wait();
                client.shutdown(c::SHUT_WR)
            });
            gate.wait();
            let mine = server.shutdown(c::SHUT_WR);
            other.join().expect("no panic").and(mine)
        })
        .sys("SHUT_WR on both")?;
        check_eq!(
            client.recv(&mut [0; 1], 0).sys("recv")?,
            0,
            "FIN at the client"
        );
        check_eq!(
            server.recv(&mut [0; 1], 0).sys("recv")?,
            0,
            "FIN at the server"
        );
    }
    Ok(())
}
