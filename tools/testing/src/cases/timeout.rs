// SPDX-License-Identifier: GPL-2.0
//! Time limits of blocking calls, and signals that interrupt them.

use std::time::Duration;

use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::ktap::want_errno;
use netlab::ktap::Sysc;
use netlab::wait;
use netlab::Errno;

use crate::blocked::gettid;
use crate::blocked::until_blocked;
use crate::case::Case;
use crate::case::Ctx;

const G: &str = "timeout";

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::two(G, "SO_RCVTIMEO_recv_EAGAIN", recv),
    Case::one(G, "SO_RCVTIMEO_accept_EAGAIN", accept),
    Case::one(G, "SO_RCVTIMEO_udp_EAGAIN", udp_recv),
    Case::two(G, "SO_SNDTIMEO_send_EAGAIN", send),
    Case::two(G, "SO_SNDTIMEO_connect_EINPROGRESS", connect)
        .veth()
        .fresh(),
    Case::one(G, "timeouts_read_back", read_back),
    Case::one(G, "bad_timeout_EDOM", bad),
    Case::two(G, "signal_with_timeout_EINTR", eintr),
    Case::two(G, "signal_with_SA_RESTART_goes_on", restart),
    Case::two(G, "partial_data_before_the_timeout_is_returned", partial),
];

const LIMIT: Duration = Duration::from_millis(150);

/// The time by the clock that goes with the ticks, in which the kernel counts these limits. A guest that was kept from
/// running has ticks to make up for, and then a limit ends before other clocks say so.
fn ticks() -> Duration {
    wait::clock(c::CLOCK_MONOTONIC_COARSE)
}

/// Requires that the limit was kept since then, but for the tick that had begun (4 ms), and one of rounding.
fn kept(start: Duration) -> Result<()> {
    let took = ticks() - start;
    check!(
        took >= LIMIT - Duration::from_millis(8),
        "gave up after {took:?}"
    );
    Ok(())
}

/// Requires the errno, and that it did not come before its time.
fn on_time<T: std::fmt::Debug>(errno: i32, call: impl FnOnce() -> Result<T, Errno>) -> Result<()> {
    let start = ticks();
    want_errno("the call", call(), errno)?;
    kept(start)
}

fn recv(ctx: &Ctx) -> Result<()> {
    let (client, _server) = ctx.connected()?;
    client.timeo(c::SO_RCVTIMEO, LIMIT).sys("SO_RCVTIMEO")?;
    on_time(c::EAGAIN, || client.recv(&mut [0; 1], 0))
}

fn accept(ctx: &Ctx) -> Result<()> {
    let (l, _) = ctx.listener(1)?;
    l.timeo(c::SO_RCVTIMEO, LIMIT).sys("SO_RCVTIMEO")?;
    on_time(c::EAGAIN, || l.accept())
}

fn udp_recv(ctx: &Ctx) -> Result<()> {
    let s = ctx.udp()?;
    s.timeo(c::SO_RCVTIMEO, LIMIT).sys("SO_RCVTIMEO")?;
    on_time(c::EAGAIN, || s.recv(&mut [0; 1], 0))
}

/// A send that finds some room takes part of it, so only a send that finds none may say EAGAIN.
fn send(ctx: &Ctx) -> Result<()> {
    let (client, _server) = ctx.connected()?;
    client.timeo(c::SO_SNDTIMEO, LIMIT).sys("SO_SNDTIMEO")?;
    for _ in 0..10_000 {
        let start = ticks();
        let sent = client.send(&[0; 65536], c::MSG_NOSIGNAL);
        if sent.is_err() {
            want_errno("send", sent, c::EAGAIN)?;
            return kept(start);
        }
    }
    anyhow::bail!("the peer reads nothing, yet there is always room")
}

fn connect(ctx: &Ctx) -> Result<()> {
    ctx.lab
        .b
        .ns
        .ip(&format!("addr flush dev {}", ctx.lab.b.dev))?;
    let s = ctx.tcp()?;
    s.timeo(c::SO_SNDTIMEO, LIMIT).sys("SO_SNDTIMEO")?;
    on_time(c::EINPROGRESS, || s.connect(ctx.lab.b.at(7)))
}

fn read_back(ctx: &Ctx) -> Result<()> {
    let s = ctx.tcp()?;
    for name in [c::SO_RCVTIMEO, c::SO_SNDTIMEO] {
        s.timeo(name, Duration::from_millis(1500)).sys("set")?;
        let v = s.getsockopt(c::SOL_SOCKET, name, 16).sys("get")?;
        check_eq!(v[..8], 1i64.to_ne_bytes(), "seconds");
        check_eq!(v[8..], 500_000i64.to_ne_bytes(), "microseconds");
    }
    Ok(())
}

fn bad(ctx: &Ctx) -> Result<()> {
    let s = ctx.tcp()?;
    let mut tv = [0u8; 16];
    tv[8..].copy_from_slice(&2_000_000i64.to_ne_bytes());
    want_errno(
        "two million µs",
        s.setsockopt(c::SOL_SOCKET, c::SO_RCVTIMEO, &tv),
        c::EDOM,
    )?;
    want_errno(
        "short",
        s.setsockopt(c::SOL_SOCKET, c::SO_RCVTIMEO, &tv[..8]),
        c::EINVAL,
    )
}

/// Catches SIGUSR1 (with SA_RESTART) and blocks it in the calling thread, so that only the thread that
/// unblocks it gets it.
fn catch_usr1() -> Result<c::sigset_t> {
    let flag = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    signal_hook::flag::register(c::SIGUSR1, flag)?;
    let mut set = uapi::empty_sig_set().sys("sigset")?;
    uapi::sigaddset(&mut set, c::SIGUSR1).sys("sigset")?;
    uapi::pthread_sigmask(c::SIG_BLOCK, Some(&set), None).sys("sigmask")?;
    Ok(set)
}

/// A call with a time limit does not start again, whatever SA_RESTART says: the limit would start
/// again with it.
fn eintr(ctx: &Ctx) -> Result<()> {
    let set = catch_usr1()?;
    let (client, _server) = ctx.connected()?;
    client
        .timeo(c::SO_RCVTIMEO, Duration::from_secs(60))
        .sys("SO_RCVTIMEO")?;
    std::thread::scope(|s| {
        let (tx, rx) = std::sync::mpsc::channel();
        let client = &client;
        let t = s.spawn(move || {
            uapi::pthread_sigmask(c::SIG_UNBLOCK, Some(&set), None).expect("sigmask");
            tx.send(gettid()).expect("receiver lives");
            client.recv(&mut [0; 1], 0)
        });
        let asleep = until_blocked(rx.recv()?, &[c::SYS_recvfrom]);
        uapi::kill(uapi::getpid(), c::SIGUSR1).sys("kill")?;
        let got = t.join().expect("no panic");
        asleep?;
        want_errno("recv", got, c::EINTR)
    })
}

fn restart(ctx: &Ctx) -> Result<()> {
    let set = catch_usr1()?;
    let (client, server) = ctx.connected()?;
    std::thread::scope(|s| {
        let (tx, rx) = std::sync::mpsc::channel();
        let client = &client;
        let t = s.spawn(move || {
            uapi::pthread_sigmask(c::SIG_UNBLOCK, Some(&set), None).expect("sigmask");
            tx.send(gettid()).expect("receiver lives");
            let mut buf = [0; 4];
            client.recv(&mut buf, 0).map(|n| buf[..n].to_vec())
        });
        let tid = rx.recv()?;
        let asleep = until_blocked(tid, &[c::SYS_recvfrom]);
        uapi::kill(uapi::getpid(), c::SIGUSR1).sys("kill")?;
        // Asleep again, in the same call, with the signal taken.
        let again = netlab::wait::until("the signal taken and the thread asleep again", || {
            let status = std::fs::read_to_string(format!("/proc/self/task/{tid}/status")).ok()?;
            let none = |name: &str| {
                let line = status.lines().find(|l| l.starts_with(name));
                line.is_some_and(|l| l.trim_end().ends_with("0000000000000000"))
            };
            (none("SigPnd:") && none("ShdPnd:")).then_some(())
        });
        let again = again.and_then(|()| until_blocked(tid, &[c::SYS_recvfrom]));
        server.send_all(b"late").sys("send")?;
        let got = t.join().expect("no panic").sys("recv")?;
        asleep.and(again)?;
        check_eq!(got, b"late", "what the restarted call received");
        Ok(())
    })
}

fn partial(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    server.send_all(b"some").sys("send")?;
    client.timeo(c::SO_RCVTIMEO, LIMIT).sys("SO_RCVTIMEO")?;
    let mut buf = [0; 100];
    check_eq!(
        client.recv(&mut buf, c::MSG_WAITALL).sys("recv")?,
        4,
        "MSG_WAITALL cut short"
    );
    Ok(())
}
