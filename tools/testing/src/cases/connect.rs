// SPDX-License-Identifier: GPL-2.0
//! `connect(2)`, `listen(2)` and `accept4(2)`.

use std::os::fd::AsRawFd;
use std::time::Duration;

use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::frame::flag;
use netlab::kstate;
use netlab::ktap::want_errno;
use netlab::ktap::Sysc;
use netlab::sock::sockaddr_in;
use netlab::tap::Tap;
use netlab::tap::Way;
use netlab::tap::ETH_P_ALL;
use netlab::wait;

use crate::blocked::gettid;
use crate::blocked::until_blocked;
use crate::case::Case;
use crate::case::Ctx;

const G: &str = "connect";

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::two(G, "closed_port_ECONNREFUSED", refused),
    Case::two(G, "refused_socket_can_try_again", refused_then_again),
    Case::two(G, "nonblocking_EINPROGRESS_then_writable", nonblocking),
    Case::two(
        G,
        "nonblocking_refused_is_told_by_SO_ERROR",
        nonblocking_refused,
    ),
    Case::two(G, "connected_twice_EISCONN", twice),
    Case::two(G, "connect_on_listener_EISCONN", on_listener),
    Case::two(G, "pending_connect_EALREADY", already)
        .veth()
        .fresh(),
    Case::two(G, "no_answer_ETIMEDOUT_by_TCP_USER_TIMEOUT", user_timeout)
        .veth()
        .fresh(),
    Case::two(G, "unreachable_host_EHOSTUNREACH", unreachable)
        .veth()
        .fresh(),
    Case::one(G, "no_route_ENETUNREACH", no_route).veth(),
    Case::two(G, "AF_UNSPEC_disconnects", unspec),
    Case::one(G, "short_address_EINVAL", short),
    Case::one(G, "self_connection_by_simultaneous_open", to_itself),
    Case::two(G, "simultaneous_open_of_two_ends", simultaneous)
        .veth()
        .fresh(),
    Case::one(G, "listen_states", listen_states),
    Case::one(G, "accept_on_nonlistener_EINVAL", accept_nonlistener),
    Case::one(G, "accept_nonblocking_EAGAIN", accept_eagain),
    Case::two(G, "accept4_flags", accept_flags),
    Case::two(G, "accept_blocks_until_a_connection", accept_blocks),
    Case::two(
        G,
        "accept_after_the_peer_has_sent_and_closed",
        accept_after_close,
    ),
    Case::two(G, "accept_after_the_peer_has_reset", accept_after_reset),
    Case::two(G, "accepted_inherits_nodelay_and_buffers", inherits),
    Case::two(
        G,
        "listener_closed_resets_waiting_connections",
        listener_closed,
    ),
    Case::two(G, "backlog_bounds_the_accept_queue", backlog)
        .veth()
        .fresh(),
    Case::two(G, "listener_state_and_queue_in_proc", listener_in_proc),
];

fn refused(ctx: &Ctx) -> Result<()> {
    let s = ctx.lab.a.tcp(ctx.client)?;
    want_errno("connect", s.connect(ctx.closed_port()?), c::ECONNREFUSED)?;
    // The port is given back, but the name still shows it.
    let port = s.local().sys("name")?.port();
    check!(port != 0, "no port after a refused connect");
    Ok(())
}

fn refused_then_again(ctx: &Ctx) -> Result<()> {
    let s = ctx.tcp()?;
    want_errno("connect", s.connect(ctx.closed_port()?), c::ECONNREFUSED)?;
    check_eq!(
        s.take_error().sys("SO_ERROR")?,
        0,
        "SO_ERROR after connect has told it"
    );
    let (l, addr) = ctx.listener(1)?;
    s.connect(addr).sys("second connect")?;
    l.accept().sys("accept")?;
    Ok(())
}

fn nonblocking(ctx: &Ctx) -> Result<()> {
    let (l, addr) = ctx.listener(1)?;
    let s = ctx.tcp()?;
    s.nonblocking(true).sys("FIONBIO")?;
    want_errno("connect", s.connect(addr), c::EINPROGRESS)?;
    let ev = s.await_events(c::POLLOUT).sys("poll")?;
    check!(
        ev & c::POLLOUT != 0 && ev & (c::POLLERR | c::POLLHUP) == 0,
        "events {ev:#x}"
    );
    check_eq!(s.take_error().sys("SO_ERROR")?, 0, "SO_ERROR");
    s.connect(addr).sys("connect once established")?;
    want_errno("connect after that", s.connect(addr), c::EISCONN)?;
    l.accept().sys("accept")?;
    Ok(())
}

fn nonblocking_refused(ctx: &Ctx) -> Result<()> {
    let addr = ctx.closed_port()?;
    let s = ctx.tcp()?;
    s.nonblocking(true).sys("FIONBIO")?;
    want_errno("connect", s.connect(addr), c::EINPROGRESS)?;
    s.await_reset()?;
    check_eq!(s.take_error().sys("SO_ERROR")?, c::ECONNREFUSED, "SO_ERROR");
    check_eq!(s.take_error().sys("SO_ERROR")?, 0, "SO_ERROR once taken");
    Ok(())
}

fn twice(ctx: &Ctx) -> Result<()> {
    let (client, _server) = ctx.connected()?;
    let addr = client.peer().sys("peer")?;
    want_errno("second connect", client.connect(addr), c::EISCONN)
}

fn on_listener(ctx: &Ctx) -> Result<()> {
    let (l, addr) = ctx.listener(1)?;
    want_errno("connect", l.connect(addr), c::EISCONN)
}

/// Makes the server's end deaf, so that SYNs stay without an answer.
fn deafen(ctx: &Ctx) -> Result<()> {
    // The address stays resolvable for the client, the frames are dropped by nobody's stack.
    let mac = mac_text(ctx.lab.b.mac);
    ctx.lab.a.ns.ip(&format!(
        "neigh replace {} lladdr {mac} dev {}",
        ctx.lab.b.ip, ctx.lab.a.dev
    ))?;
    ctx.lab
        .b
        .ns
        .ip(&format!("addr flush dev {}", ctx.lab.b.dev))
}

fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|b| format!("{b:02x}")).join(":")
}

fn already(ctx: &Ctx) -> Result<()> {
    deafen(ctx)?;
    let s = ctx.tcp()?;
    s.nonblocking(true).sys("FIONBIO")?;
    let addr = ctx.lab.b.at(7777);
    want_errno("connect", s.connect(addr), c::EINPROGRESS)?;
    want_errno("connect again", s.connect(addr), c::EALREADY)?;
    check_eq!(
        s.poll(c::POLLOUT, Duration::ZERO).sys("poll")?,
        0,
        "events of a pending connect"
    );
    want_errno("peer of a pending connect", s.peer().map(drop), c::ENOTCONN)?;
    want_errno("send", s.send(b"x", c::MSG_NOSIGNAL), c::EAGAIN)
}

fn user_timeout(ctx: &Ctx) -> Result<()> {
    deafen(ctx)?;
    let s = ctx.tcp()?;
    s.set(c::IPPROTO_TCP, c::TCP_USER_TIMEOUT, 1500)
        .sys("TCP_USER_TIMEOUT")?;
    want_errno("connect", s.connect(ctx.lab.b.at(7777)), c::ETIMEDOUT)
}

fn unreachable(ctx: &Ctx) -> Result<()> {
    // Nobody answers ARP for this neighbour.
    let mut addr = ctx.lab.b.at(7777);
    addr.set_ip([10, 77, 0, 99].into());
    want_errno("connect", ctx.tcp()?.connect(addr), c::EHOSTUNREACH)
}

fn no_route(ctx: &Ctx) -> Result<()> {
    let mut addr = ctx.lab.b.at(7777);
    addr.set_ip([198, 51, 100, 1].into());
    want_errno("tcp connect", ctx.tcp()?.connect(addr), c::ENETUNREACH)?;
    let udp = ctx.lab.a.udp(ctx.family())?;
    want_errno("udp sendto", udp.sendto(b"x", 0, addr), c::ENETUNREACH)
}

fn unspec(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    let nowhere = sockaddr_in(c::AF_UNSPEC, "0.0.0.0:0".parse()?);
    client.connect_raw(&nowhere).sys("connect(AF_UNSPEC)")?;
    want_errno("peer after it", client.peer().map(drop), c::ENOTCONN)?;
    // It is an abort: the peer is told by a reset.
    server.await_events(c::POLLIN).sys("poll")?;
    want_errno(
        "recv at the peer",
        server.recv(&mut [0; 1], 0),
        c::ECONNRESET,
    )?;
    let (l, addr) = ctx.listener(1)?;
    client
        .connect(addr)
        .sys("connecting the same socket again")?;
    l.accept().sys("accept")?;
    Ok(())
}

fn short(ctx: &Ctx) -> Result<()> {
    let mut nl: c::sockaddr_nl = uapi::pod_zeroed();
    nl.nl_family = c::AF_INET as u16;
    want_errno("udp connect", ctx.udp()?.connect_raw(&nl), c::EINVAL)
}

/// RFC 9293, 3.5: a SYN that meets a SYN. A socket that connects to its own port does it alone.
fn to_itself(ctx: &Ctx) -> Result<()> {
    let s = ctx.tcp()?;
    s.bind(ctx.lab.a.at(0)).sys("bind")?;
    let addr = s.local().sys("name")?;
    s.connect(addr).sys("connect to itself")?;
    check_eq!(s.peer().sys("peer")?, addr, "peer");
    s.send_all(b"echo").sys("send")?;
    let mut buf = [0; 4];
    s.recv_exact(&mut buf).sys("recv")?;
    check_eq!(&buf, b"echo", "data");
    Ok(())
}

/// Two ends connect to each other's bound port while neither SYN has arrived: netem holds them back.
fn simultaneous(ctx: &Ctx) -> Result<()> {
    for end in [&ctx.lab.a, &ctx.lab.b] {
        crate::cases::netem(end, "delay 100ms")?;
    }
    let (a, b) = (ctx.tcp()?, ctx.server_tcp()?);
    let (at_a, at_b) = (ctx.lab.a.at(5001), ctx.lab.b.at(5002));
    // Resolve both neighbours first, or ARP's own round trip decides which SYN comes late.
    ctx.lab.a.ns.ip(&format!(
        "neigh replace {} lladdr {} dev va",
        at_b.ip(),
        mac_text(ctx.lab.b.mac)
    ))?;
    ctx.lab.b.ns.ip(&format!(
        "neigh replace {} lladdr {} dev vb",
        at_a.ip(),
        mac_text(ctx.lab.a.mac)
    ))?;
    a.bind(at_a).sys("bind a")?;
    b.bind(at_b).sys("bind b")?;
    let tap = Tap::new(&ctx.lab.a, ETH_P_ALL)?;
    for (s, to) in [(&a, at_b), (&b, at_a)] {
        s.nonblocking(true).sys("FIONBIO")?;
        want_errno("connect", s.connect(to), c::EINPROGRESS)?;
    }
    for s in [&a, &b] {
        let ev = s.await_events(c::POLLOUT).sys("poll")?;
        check!(
            ev & c::POLLERR == 0,
            "connect failed: {}",
            s.take_error().sys("SO_ERROR")?
        );
    }
    a.send_all(b"hi").sys("send")?;
    b.await_events(c::POLLIN).sys("poll")?;
    let mut buf = [0; 2];
    b.recv_exact(&mut buf).sys("recv")?;
    let crossed = |way, want: u8| -> Result<()> {
        tap.find("the crossing SYNs", |w, f| {
            let s = f.tcp()?;
            (w == way && s.flags & (flag::SYN | flag::ACK) == want).then_some(())
        })
    };
    crossed(Way::In, flag::SYN)?;
    Ok(())
}

fn listen_states(ctx: &Ctx) -> Result<()> {
    let s = ctx.tcp()?;
    s.listen(1).sys("listen")?;
    s.listen(5).sys("listen again, with another backlog")?;
    want_errno("listen on udp", ctx.udp()?.listen(1), c::EOPNOTSUPP)?;
    let connected = ctx.connected()?.0;
    want_errno(
        "listen on a connected socket",
        connected.listen(1),
        c::EINVAL,
    )?;
    want_errno(
        "send on a listener",
        s.send(b"x", c::MSG_NOSIGNAL),
        c::EPIPE,
    )?;
    want_errno("recv on a listener", s.recv(&mut [0; 1], 0), c::ENOTCONN)
}

fn accept_nonlistener(ctx: &Ctx) -> Result<()> {
    want_errno("tcp", ctx.tcp()?.accept().map(drop), c::EINVAL)?;
    want_errno("udp", ctx.udp()?.accept().map(drop), c::EOPNOTSUPP)
}

fn accept_eagain(ctx: &Ctx) -> Result<()> {
    let (l, _) = ctx.listener(1)?;
    l.nonblocking(true).sys("FIONBIO")?;
    want_errno("accept", l.accept().map(drop), c::EAGAIN)
}

fn accept_flags(ctx: &Ctx) -> Result<()> {
    let (l, addr) = ctx.listener(2)?;
    let (_one, _two) = (ctx.tcp()?, ctx.tcp()?);
    _one.connect(addr).sys("connect")?;
    _two.connect(addr).sys("connect")?;
    let (s, _) = l.accept4(c::SOCK_NONBLOCK).sys("accept4(SOCK_NONBLOCK)")?;
    want_errno("recv", s.recv(&mut [0; 1], 0), c::EAGAIN)?;
    let (s, _) = l.accept4(0).sys("accept4(0)")?;
    let fl = uapi::fcntl_getfl(s.as_raw_fd()).sys("F_GETFL")?;
    check!(
        fl & c::O_NONBLOCK == 0,
        "accepted socket is non-blocking without being asked"
    );
    want_errno(
        "accept4 with an unknown flag",
        l.accept4(0x100).map(drop),
        c::EINVAL,
    )
}

fn accept_blocks(ctx: &Ctx) -> Result<()> {
    let (l, addr) = ctx.listener(1)?;
    let l = l.with_patience()?;
    std::thread::scope(|s| {
        let (tx, rx) = std::sync::mpsc::channel();
        let t = s.spawn(move || {
            tx.send(gettid()).expect("receiver lives");
            l.accept().map(drop)
        });
        let ready = until_blocked(rx.recv()?, &[c::SYS_accept4, c::SYS_accept]);
        let c = ctx.tcp()?;
        c.connect(addr).sys("connect")?;
        t.join().expect("no panic").sys("accept")?;
        ready
    })
}

fn accept_after_close(ctx: &Ctx) -> Result<()> {
    let (l, addr) = ctx.listener(1)?;
    let client = ctx.tcp()?;
    client.connect(addr).sys("connect")?;
    client.send_all(b"last words").sys("send")?;
    drop(client);
    let s = l.accept().sys("accept")?;
    check_eq!(
        s.recv_to_end().sys("recv")?,
        b"last words",
        "data that came before accept"
    );
    Ok(())
}

/// POSIX would let accept fail; Linux hands the dead connection over, and the first read tells.
fn accept_after_reset(ctx: &Ctx) -> Result<()> {
    let (l, addr) = ctx.listener(1)?;
    let client = ctx.tcp()?;
    client.connect(addr).sys("connect")?;
    l.await_events(c::POLLIN).sys("poll")?;
    client.linger(true, 0).sys("SO_LINGER")?;
    drop(client);
    let s = l.accept().sys("accept")?;
    s.await_events(c::POLLIN).sys("poll")?;
    want_errno("recv", s.recv(&mut [0; 1], 0), c::ECONNRESET)
}

fn inherits(ctx: &Ctx) -> Result<()> {
    let l = ctx.server_tcp()?;
    l.nodelay(true).sys("TCP_NODELAY")?;
    l.set(c::SOL_SOCKET, c::SO_RCVBUF, 50_000)
        .sys("SO_RCVBUF")?;
    l.set(c::SOL_SOCKET, c::SO_KEEPALIVE, 1)
        .sys("SO_KEEPALIVE")?;
    l.bind(ctx.lab.b.at(0)).sys("bind")?;
    l.listen(1).sys("listen")?;
    let (_c, s) = ctx.connect_to(&l, l.local().sys("name")?)?;
    check_eq!(
        s.get(c::IPPROTO_TCP, c::TCP_NODELAY).sys("get")?,
        1,
        "TCP_NODELAY"
    );
    check_eq!(
        s.get(c::SOL_SOCKET, c::SO_RCVBUF).sys("get")?,
        100_000,
        "SO_RCVBUF"
    );
    check_eq!(
        s.get(c::SOL_SOCKET, c::SO_KEEPALIVE).sys("get")?,
        1,
        "SO_KEEPALIVE"
    );
    Ok(())
}

fn listener_closed(ctx: &Ctx) -> Result<()> {
    let (l, addr) = ctx.listener(4)?;
    let client = ctx.tcp()?;
    client.connect(addr).sys("connect")?;
    l.await_events(c::POLLIN).sys("poll")?;
    drop(l);
    client.await_events(c::POLLIN).sys("poll")?;
    want_errno("recv", client.recv(&mut [0; 1], 0), c::ECONNRESET)
}

/// listen(1): two connections fit (Linux lets the queue exceed the backlog by one), the third SYN is
/// dropped, and is answered when accept has made room.
fn backlog(ctx: &Ctx) -> Result<()> {
    ctx.lab
        .b
        .ns
        .sysctl_if_there("net/ipv4/tcp_syncookies", "0")?;
    let (l, addr) = ctx.listener(1)?;
    let (one, two, three) = (ctx.tcp()?, ctx.tcp()?, ctx.tcp()?);
    one.connect(addr).sys("first connect")?;
    two.connect(addr).sys("second connect")?;
    three.nonblocking(true).sys("FIONBIO")?;
    let tap = Tap::new(&ctx.lab.b, ETH_P_ALL)?;
    want_errno("third connect", three.connect(addr), c::EINPROGRESS)?;
    let mut syns = 0;
    tap.find("the third SYN sent again", |way, f| {
        let s = f.tcp()?;
        syns += usize::from(way == Way::In && s.flags == flag::SYN);
        (syns == 2).then_some(())
    })?;
    check_eq!(
        three.poll(c::POLLOUT, Duration::ZERO).sys("poll")?,
        0,
        "third connect's events"
    );
    l.accept().sys("accept")?;
    let ev = three.await_events(c::POLLOUT).sys("poll")?;
    check!(
        ev & c::POLLERR == 0,
        "the third connect failed: events {ev:#x}"
    );
    Ok(())
}

fn listener_in_proc(ctx: &Ctx) -> Result<()> {
    let (l, addr) = ctx.listener(7)?;
    let (one, two) = (ctx.tcp()?, ctx.tcp()?);
    one.connect(addr).sys("connect")?;
    two.connect(addr).sys("connect")?;
    l.await_events(c::POLLIN).sys("poll")?;
    let (ns, family) = (&ctx.lab.b.ns, ctx.server);
    wait::until("a listener with two waiting connections in /proc", || {
        let all = kstate::sockets(ns, family, "tcp").ok()?;
        all.iter()
            .any(|s| s.local == addr && s.state == 10 && s.rx_queue == 2)
            .then_some(())
    })?;
    let all = kstate::sockets(ns, family, "tcp")?;
    let established = all
        .iter()
        .filter(|s| s.local == addr && s.state == 1)
        .count();
    check_eq!(
        established,
        2,
        "established connections of the listener in /proc"
    );
    Ok(())
}
