// SPDX-License-Identifier: GPL-2.0
//! poll, select and epoll, level and edge.

use std::os::fd::AsRawFd;
use std::time::Duration;

use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::ktap::Sysc;
use netlab::wait::PATIENCE;
use netlab::Sock;
use uapi::OwnedFd;

use crate::case::Case;
use crate::case::Ctx;

const G: &str = "readiness";

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::one(G, "new_socket_HUP_and_OUT", new_socket),
    Case::two(G, "established_OUT_only", established),
    Case::two(G, "data_IN_and_none_after_reading", data),
    Case::two(G, "SO_RCVLOWAT_holds_IN_back", rcvlowat),
    Case::two(G, "FIN_IN_and_RDHUP", fin),
    Case::two(G, "both_FINs_HUP", both_fins),
    Case::two(G, "listener_IN_when_acceptable", listener),
    Case::two(G, "select_sees_data", select),
    Case::two(G, "epoll_level_repeats", epoll_level),
    Case::two(G, "epoll_edge_once_per_arrival", epoll_edge),
    Case::two(G, "epoll_edge_OUT_after_EAGAIN", epoll_out_edge),
    Case::two(G, "epoll_edge_RDHUP", epoll_rdhup),
    Case::two(G, "epoll_oneshot", epoll_oneshot),
    Case::two(G, "epoll_wakes_a_sleeper", epoll_wakes),
    Case::one(G, "udp_IN_and_OUT", udp),
];

const ALL: i16 = c::POLLIN | c::POLLOUT | c::POLLPRI | c::POLLRDHUP;

fn now(s: &Sock) -> Result<i16> {
    s.poll(ALL, Duration::ZERO).sys("poll")
}

fn new_socket(ctx: &Ctx) -> Result<()> {
    check_eq!(
        now(&ctx.tcp()?)?,
        c::POLLOUT | c::POLLHUP,
        "events of an unconnected socket"
    );
    Ok(())
}

fn established(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    check_eq!(now(&client)?, c::POLLOUT, "client's events");
    check_eq!(now(&server)?, c::POLLOUT, "server's events");
    Ok(())
}

fn data(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    client.send_all(b"abc").sys("send")?;
    check_eq!(
        server.await_events(c::POLLIN).sys("poll")?,
        c::POLLIN,
        "with data"
    );
    server.recv_exact(&mut [0; 2]).sys("recv")?;
    check_eq!(now(&server)?, c::POLLIN | c::POLLOUT, "with one byte left");
    server.recv_exact(&mut [0; 1]).sys("recv")?;
    check_eq!(now(&server)?, c::POLLOUT, "with nothing left");
    Ok(())
}

fn rcvlowat(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    server
        .set(c::SOL_SOCKET, c::SO_RCVLOWAT, 10)
        .sys("SO_RCVLOWAT")?;
    client.send_all(&[0; 9]).sys("send")?;
    netlab::wait::until("nine bytes", || (server.inq().ok()? == 9).then_some(()))?;
    check_eq!(now(&server)? & c::POLLIN, 0, "POLLIN below the mark");
    client.send_all(&[0; 1]).sys("send")?;
    check!(
        server.await_events(c::POLLIN).sys("poll")? & c::POLLIN != 0,
        "no POLLIN at the mark"
    );
    Ok(())
}

fn fin(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    client.shutdown(c::SHUT_WR).sys("SHUT_WR")?;
    server.await_events(c::POLLRDHUP).sys("poll")?;
    check_eq!(
        now(&server)?,
        c::POLLIN | c::POLLOUT | c::POLLRDHUP,
        "after FIN"
    );
    Ok(())
}

fn both_fins(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    client.shutdown(c::SHUT_WR).sys("SHUT_WR")?;
    server.await_events(c::POLLRDHUP).sys("poll")?;
    server.shutdown(c::SHUT_WR).sys("SHUT_WR")?;
    let ev = server.await_events(c::POLLHUP).sys("poll")?;
    check!(ev & c::POLLHUP != 0, "server's events {ev:#x}");
    client.await_events(c::POLLHUP).sys("poll at the client")?;
    check!(
        now(&client)? & c::POLLHUP != 0,
        "client's events {:#x}",
        now(&client)?
    );
    Ok(())
}

fn listener(ctx: &Ctx) -> Result<()> {
    let (l, addr) = ctx.listener(1)?;
    check_eq!(now(&l)?, 0, "an idle listener");
    let client = ctx.tcp()?;
    client.connect(addr).sys("connect")?;
    check_eq!(
        l.await_events(ALL).sys("poll")?,
        c::POLLIN,
        "a connection waits"
    );
    l.accept().sys("accept")?;
    check_eq!(now(&l)?, 0, "after accept");
    Ok(())
}

fn select(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    client.send_all(b"x").sys("send")?;
    server.await_events(c::POLLIN).sys("poll")?;
    // rustix's select is not a safe function.
    let ask = "import select; r, w, x = select.select([0], [0], [0], 5); print(r, w, x)";
    check_eq!(
        crate::cases::python(&server, ask)?,
        "[0] [0] []",
        "select's sets"
    );
    Ok(())
}

struct Epoll(OwnedFd);

impl Epoll {
    fn new() -> Result<Epoll> {
        Ok(Epoll(
            uapi::epoll_create1(c::EPOLL_CLOEXEC).sys("epoll_create1")?,
        ))
    }

    fn control(&self, op: i32, s: &Sock, events: i32) -> Result<()> {
        let ev = c::epoll_event {
            events: events as u32,
            u64: s.as_raw_fd() as u64,
        };
        uapi::epoll_ctl(*self.0, op, s.as_raw_fd(), Some(&ev)).sys("epoll_ctl")
    }

    fn add(&self, s: &Sock, events: i32) -> Result<()> {
        self.control(c::EPOLL_CTL_ADD, s, events)
    }

    /// The events of the one socket in it; 0 when `timeout` passes.
    fn wait(&self, timeout: Duration) -> Result<i32> {
        let mut evs = [c::epoll_event { events: 0, u64: 0 }];
        let n =
            uapi::epoll_wait(*self.0, &mut evs, timeout.as_millis() as i32).sys("epoll_wait")?;
        Ok(if n == 0 { 0 } else { evs[0].events as i32 })
    }
}

fn epoll_level(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    let ep = Epoll::new()?;
    ep.add(&server, c::EPOLLIN)?;
    client.send_all(b"x").sys("send")?;
    check_eq!(ep.wait(PATIENCE)?, c::EPOLLIN, "first");
    check_eq!(
        ep.wait(Duration::ZERO)?,
        c::EPOLLIN,
        "again, for nothing was read"
    );
    server.recv_exact(&mut [0; 1]).sys("recv")?;
    check_eq!(ep.wait(Duration::ZERO)?, 0, "after reading");
    Ok(())
}

fn epoll_edge(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    let ep = Epoll::new()?;
    ep.add(&server, c::EPOLLIN | c::EPOLLET)?;
    check_eq!(ep.wait(Duration::ZERO)?, 0, "nothing yet");
    client.send_all(b"x").sys("send")?;
    check_eq!(ep.wait(PATIENCE)?, c::EPOLLIN, "first arrival");
    check_eq!(
        ep.wait(Duration::ZERO)?,
        0,
        "no second event for the same data"
    );
    client.send_all(b"y").sys("send")?;
    check_eq!(ep.wait(PATIENCE)?, c::EPOLLIN, "second arrival");
    Ok(())
}

/// The rule that edge-triggered programs live by: after EAGAIN, and only then, EPOLLOUT will come.
fn epoll_out_edge(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    let ep = Epoll::new()?;
    ep.add(&client, c::EPOLLOUT | c::EPOLLET)?;
    check_eq!(ep.wait(Duration::ZERO)?, c::EPOLLOUT, "writable at first");
    client.nonblocking(true).sys("FIONBIO")?;
    let mut sent = 0;
    loop {
        match client.send(&[0; 65536], c::MSG_NOSIGNAL) {
            Ok(n) => sent += n,
            Err(netlab::Errno(c::EAGAIN)) => break,
            Err(e) => return Err(e).sys("send"),
        }
    }
    std::thread::scope(|s| {
        let reader = s.spawn(|| {
            let (mut left, mut buf) = (sent, vec![0; 65536]);
            while left > 0 {
                left -= server.recv(&mut buf, 0)?;
            }
            Ok::<_, netlab::Errno>(())
        });
        // The edge may come early, while the buffer is still being tuned; one must come.
        let ev = ep.wait(PATIENCE);
        reader.join().expect("no panic").sys("recv")?;
        check_eq!(ev?, c::EPOLLOUT, "writable again");
        Ok(())
    })
}

fn epoll_rdhup(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    let ep = Epoll::new()?;
    ep.add(&server, c::EPOLLIN | c::EPOLLRDHUP | c::EPOLLET)?;
    client.shutdown(c::SHUT_WR).sys("SHUT_WR")?;
    check_eq!(
        ep.wait(PATIENCE)?,
        c::EPOLLIN | c::EPOLLRDHUP,
        "events of FIN"
    );
    Ok(())
}

fn epoll_oneshot(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    let ep = Epoll::new()?;
    ep.add(&server, c::EPOLLIN | c::EPOLLONESHOT)?;
    client.send_all(b"x").sys("send")?;
    check_eq!(ep.wait(PATIENCE)?, c::EPOLLIN, "the one shot");
    check_eq!(ep.wait(Duration::ZERO)?, 0, "no other before it is armed");
    ep.control(c::EPOLL_CTL_MOD, &server, c::EPOLLIN | c::EPOLLONESHOT)?;
    check_eq!(ep.wait(PATIENCE)?, c::EPOLLIN, "armed again");
    Ok(())
}

fn epoll_wakes(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    let ep = Epoll::new()?;
    ep.add(&server, c::EPOLLIN)?;
    std::thread::scope(|s| {
        let (tx, rx) = std::sync::mpsc::channel();
        let ep = &ep;
        let t = s.spawn(move || {
            tx.send(crate::blocked::gettid()).expect("receiver lives");
            ep.wait(PATIENCE)
        });
        let asleep =
            crate::blocked::until_blocked(rx.recv()?, &[c::SYS_epoll_wait, c::SYS_epoll_pwait]);
        client.send_all(b"x").sys("send")?;
        let ev = t.join().expect("no panic")?;
        asleep?;
        check_eq!(ev, c::EPOLLIN, "events that woke the sleeper");
        Ok(())
    })
}

fn udp(ctx: &Ctx) -> Result<()> {
    let (a, b) = (ctx.udp()?, ctx.udp()?);
    check_eq!(now(&b)?, c::POLLOUT, "idle");
    a.sendto(b"x", 0, b.local().sys("name")?).sys("sendto")?;
    check_eq!(
        b.await_events(c::POLLIN).sys("poll")?,
        c::POLLIN,
        "with a datagram"
    );
    b.recv(&mut [0; 1], 0).sys("recv")?;
    check_eq!(now(&b)?, c::POLLOUT, "read");
    Ok(())
}
