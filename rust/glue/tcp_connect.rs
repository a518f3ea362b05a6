// SPDX-License-Identifier: GPL-2.0
//! connect(2) and what undoes it: disconnecting, shutting down, closing.
//!
//! Mirrors [`tcp_ipv4.c`](srctree/net/ipv4/tcp_ipv4.c), [`af_inet.c`](srctree/net/ipv4/af_inet.c)

use super::{
    inet_sock::{
        self,
        error,
        Inet, //
    },
    net::State,
    ports::Binding,
    route::Route,
    sockopt,
    tcp::{
        self as glue_tcp,
        Tcp, //
    },
    tcp_env,
    tcp_listen, //
};
use crate::{
    abstractions::{
        inet::random_u32,
        proto::Protocol as _,
        sock::{
            flag,
            Sock,
            SockRef, //
        },
        sock_lock::{
            self,
            UserLock, //
        },
        socket::{
            RawAddr,
            Socket,
            SocketState, //
        },
    },
    bindings,
    stack::{
        counters::Counter,
        env::Shutdown,
        errno::Errno,
        ip::route::Kind,
        socket::{
            secure_seq,
            FourTuple, //
        },
        tcp::{
            self,
            SeqNum, //
        },
        wire::ipv4::Addr, //
    },
};
use core::cell::Cell;
use kernel::{
    error::{
        code::*,
        Error,
        Result, //
    },
    ffi::c_int, //
};

/// Bits of states, as `TCPF_*`.
const fn mask(states: &[u32]) -> u32 {
    let mut m = 0;
    let mut i = 0;
    while i < states.len() {
        m |= 1 << states[i];
        i += 1;
    }
    m
}

/// The handshake is going on.
const OPENING: u32 = mask(&[bindings::TCP_SYN_SENT, bindings::TCP_SYN_RECV]);
/// Something of ours is not yet acknowledged after close(2).
const CLOSING: u32 = mask(&[
    bindings::TCP_FIN_WAIT1,
    bindings::TCP_CLOSING,
    bindings::TCP_LAST_ACK,
]);

fn is_in(so: &Sock<Tcp>, states: u32) -> bool {
    states & (1 << so.state()) != 0
}

/// connect(2).
///
/// # Errors
///
/// EINPROGRESS, EALREADY, EISCONN, EINVAL, EINTR or ERESTARTSYS; ECONNREFUSED, ETIMEDOUT … as the
/// connection ended; those of the route; EADDRNOTAVAIL when no port is free.
///
/// Mirrors [`__inet_stream_connect`](srctree/net/ipv4/af_inet.c)
pub(super) fn connect(sock: &Socket<'_, Tcp>, addr: RawAddr<'_>, nonblock: bool) -> Result {
    let so = sock.sk();
    let mut lock = UserLock::new(so);
    if u32::from(addr.family()?) == bindings::AF_UNSPEC {
        so.count_disconnect();
        disconnect(&mut lock);
        sock.set_state(&lock, SocketState::Unconnected);
        return Ok(());
    }
    let busy = match sock.state(&lock) {
        SocketState::Disconnecting => return Err(EINVAL),
        SocketState::Connected => return Err(EISCONN),
        SocketState::Connecting => EALREADY,
        SocketState::Unconnected => {
            if so.state() != bindings::TCP_CLOSE as u8 {
                return Err(EISCONN);
            }
            v4_connect(&mut lock, &addr)?;
            sock.set_state(&lock, SocketState::Connecting);
            EINPROGRESS
        }
    };
    let mut timeo = so.sndtimeo(nonblock);
    if is_in(so, OPENING) {
        let disconnects = so.disconnects();
        while is_in(so, OPENING) {
            if timeo == 0 {
                return Err(busy);
            }
            lock.wait(&mut timeo, false, || false);
            if let Some(e) = sock_lock::signal(timeo) {
                if is_in(so, OPENING) {
                    return Err(e);
                }
                break;
            }
        }
        if so.disconnects() != disconnects {
            return Err(EPIPE);
        }
    }
    // Closed by a reset, a timeout, an ICMP message, or by another thread.
    if so.state() == bindings::TCP_CLOSE as u8 {
        let e = match so.take_err() {
            0 => ECONNABORTED,
            e => Error::from_errno(-e),
        };
        sock.set_state(&lock, SocketState::Unconnected);
        so.count_disconnect();
        disconnect(&mut lock);
        return Err(e);
    }
    sock.set_state(&lock, SocketState::Connected);
    Ok(())
}

/// Opens a connection: route, source, port, SYN.
///
/// Mirrors [`tcp_v4_connect`](srctree/net/ipv4/tcp_ipv4.c)
fn v4_connect(lock: &mut UserLock<'_, Tcp>, addr: &RawAddr<'_>) -> Result {
    let so = lock.sock();
    let (daddr, dport) = inet_sock::peer(addr)?;
    let state = State::of(so.net()).ok_or(ENETUNREACH)?;
    let route = Route::output(state, &inet_sock::flow(so, daddr)).map_err(|e| {
        if e == Errno::ENETUNREACH {
            state.counts.event(Counter::IpOutNoRoutes);
        }
        error(e)
    })?;
    if matches!(route.kind(), Kind::Multicast | Kind::Broadcast) {
        return Err(ENETUNREACH);
    }
    // Nowhere is here.
    let daddr = if daddr.is_any() { route.saddr() } else { daddr };
    if so.saddr() == 0 {
        so.set_saddr(route.saddr().to_u32());
    }
    // Stays the source whatever the routes say later.
    so.set_rcv_saddr(so.saddr());
    so.set_daddr(daddr.to_u32());
    so.set_dport(dport);
    lock.private().route = Some(route);
    let opened = open(lock, state, daddr, dport);
    if opened.is_err() {
        // As it was before, but for what the user has bound.
        glue_tcp::unhash(so);
        forget(lock);
    }
    opened
}

fn open(lock: &mut UserLock<'_, Tcp>, state: &State, daddr: Addr, dport: u16) -> Result {
    let so = lock.sock();
    let floor = hash_connect(lock, state)?;
    let now = inet_sock::now();
    let id = FourTuple {
        saddr: Addr::from_u32(so.rcv_saddr()),
        daddr,
        sport: so.num(),
        dport,
    };
    let (isn, ts_offset) = match inet_sock::secrets() {
        Some(s) => secure_seq::seq_and_ts_off(id, &s.isn, now),
        None => (random_u32(), random_u32()),
    };
    so.set_ip_id(random_u32() as u16);
    let isn = floor.map_or(isn, SeqNum::get);
    glue_tcp::enter_at(lock, now, |tp, env| tp.connect(env, id, isn, ts_offset)).map_err(error)
}

/// Puts the socket into the look-up table under its name, picking a port if it has none. Gives the
/// number that our sequence numbers must begin at if a TIME_WAIT made room.
///
/// # Errors
///
/// EADDRNOTAVAIL, ENOMEM.
///
/// Mirrors [`inet_hash_connect`](srctree/net/ipv4/inet_hashtables.c)
fn hash_connect(lock: &mut UserLock<'_, Tcp>, state: &State) -> Result<Option<SeqNum>> {
    let so = lock.sock();
    let now = inet_sock::now();
    let floor = Cell::new(None);
    let ends = |port: u16| FourTuple {
        sport: port,
        ..glue_tcp::id(so)
    };
    let insert = |port: u16| {
        let id = ends(port);
        let name = inet_sock::name(so.net(), &id);
        let done = Tcp::table().insert_unique(so, &name, |tw| {
            let isn = super::tcp_timewait::reusable(tw, &id, now);
            if isn.is_some() {
                floor.set(isn);
            }
            isn.is_some()
        });
        if done {
            if floor.get().is_none() {
                state.add_user(port);
            } else {
                state.counts.event(Counter::TimeWaitRecycled);
            }
            so.set_num(port);
        }
        done
    };
    let is_taken = |port: u16| {
        let id = ends(port);
        let name = inet_sock::name(so.net(), &id);
        Tcp::table().is_taken(&name, so.bound_dev_if(), |tw| {
            super::tcp_timewait::reusable(tw, &id, now).is_some()
        })
    };
    if so.num() != 0 {
        return if insert(so.num()) {
            Ok(floor.get())
        } else {
            Err(EADDRNOTAVAIL)
        };
    }
    let ports = Tcp::ports().ok_or(ENOMEM)?;
    let secrets = inet_sock::secrets().ok_or(ENOMEM)?;
    let mut bound = inet_sock::bound_of(so, false);
    bound.rcv_saddr = Addr::from_u32(so.rcv_saddr());
    let range = inet_sock::port_range(so);
    let daddr = Addr::from_u32(so.daddr());
    let mut selection = secrets
        .ports
        .candidates(bound.rcv_saddr, daddr, so.dport(), range, now);
    let mut crowded = false;
    while let Some(port) = selection.next() {
        if so.net().is_reserved_port(port) {
            continue;
        }
        // Where one was taken many may be: a share of the next is not asked for in vain.
        if crowded && is_taken(port) {
            continue;
        }
        let binding: Binding = match ports.share_auto(so.net(), port, bound) {
            Ok(b) => b,
            Err(Errno::EADDRINUSE) => continue,
            Err(e) => return Err(error(e)),
        };
        if insert(port) {
            selection.taken(random_u32());
            lock.private().binding = Some(binding);
            return Ok(floor.get());
        }
        ports.release(binding);
        crowded = true;
    }
    Err(EADDRNOTAVAIL)
}

/// Forgets the connection: port and address go unless the user chose them.
fn forget(lock: &mut UserLock<'_, Tcp>) {
    let so = lock.sock();
    if !inet_sock::port_is_users(so) {
        inet_sock::put_port(lock);
    }
    if !inet_sock::addr_is_users(so) {
        so.set_rcv_saddr(0);
        so.set_saddr(0);
    }
    so.set_daddr(0);
    so.set_dport(0);
    lock.private().route = None;
}

/// Ends whatever is going on, at once: the socket can be used again.
///
/// Mirrors [`tcp_disconnect`](srctree/net/ipv4/tcp.c)
pub(super) fn disconnect(lock: &mut UserLock<'_, Tcp>) {
    let so = lock.sock();
    if so.state() == bindings::TCP_LISTEN as u8 {
        tcp_listen::stop(lock);
    } else {
        if is_in(so, !(1 << bindings::TCP_CLOSE)) && so.state() == bindings::TCP_SYN_SENT as u8 {
            so.set_err(Errno::ECONNRESET.get());
        }
        glue_tcp::enter(lock, |tp, env| tp.abort(env));
    }
    glue_tcp::enter(lock, |tp, env| tp.reset_for_reuse(env));
    forget(lock);
    so.set_shutdown(0);
    so.reset_flag(flag::DONE);
    so.set_err_soft(0);
    so.error_report();
}

/// shutdown(2).
///
/// # Errors
///
/// EINVAL, ENOTCONN.
///
/// Mirrors [`inet_shutdown`](srctree/net/ipv4/af_inet.c)
pub(super) fn shutdown(sock: &Socket<'_, Tcp>, how: c_int) -> Result {
    let how = sockopt::shutdown_bits(how)?;
    let so = sock.sk();
    let mut lock = UserLock::new(so);
    let opening = OPENING | 1 << bindings::TCP_CLOSE;
    if sock.state(&lock) == SocketState::Connecting {
        let next = if is_in(so, opening) {
            SocketState::Disconnecting
        } else {
            SocketState::Connected
        };
        sock.set_state(&lock, next);
    }
    let mut ret = Ok(());
    match u32::from(so.state()) {
        bindings::TCP_LISTEN if u32::from(how) & bindings::RCV_SHUTDOWN == 0 => {}
        bindings::TCP_LISTEN | bindings::TCP_SYN_SENT => {
            disconnect(&mut lock);
            sock.set_state(&lock, SocketState::Unconnected);
        }
        state => {
            if state == bindings::TCP_CLOSE {
                ret = Err(ENOTCONN);
            }
            so.set_shutdown(so.shutdown() | how);
            let bits = Shutdown::from_bits(how);
            let _ = glue_tcp::enter(&mut lock, |tp, env| tp.shutdown(env, bits));
        }
    }
    so.state_change();
    ret
}

/// The last file is closed.
///
/// Mirrors [`tcp_close`](srctree/net/ipv4/tcp.c)
pub(super) fn release(so: SockRef<Tcp>) {
    let mut lock = UserLock::new(&so);
    if so.state() == bindings::TCP_LISTEN as u8 {
        tcp_listen::stop(&mut lock);
    } else {
        let linger = so.flag(flag::LINGER);
        let mut timeo = if linger { so.lingertime() as isize } else { 0 };
        let abort = linger && timeo == 0;
        let left = glue_tcp::enter(&mut lock, |tp, env| tp.close(env, tcp::Linger { abort }));
        if left == tcp::Close::Closing {
            while timeo != 0 && is_in(&so, CLOSING) {
                lock.wait(&mut timeo, false, || false);
                if sock_lock::signal(timeo).is_some() {
                    break;
                }
            }
        }
    }
    so.set_shutdown(bindings::SHUTDOWN_MASK as u8);
    lock.private().reserved = None;
    // From here on nobody is left to wake, and when the connection ends it goes.
    sock_lock::orphan(&so);
    // What came meanwhile may have ended it: looked at before the last question is asked.
    lock.flush_backlog();
    glue_tcp::enter(&mut lock, |tp, env| tp.orphan(env));
    if so.state() != bindings::TCP_CLOSE as u8 && !glue_tcp::count_orphan(&so) {
        if let Some(state) = State::of(so.net()) {
            state.counts.event(Counter::TcpAbortOnMemory);
        }
        glue_tcp::enter(&mut lock, |tp, env| tp.abort(env));
    }
    if so.state() == bindings::TCP_CLOSE as u8 {
        glue_tcp::unhash(&so);
        inet_sock::put_port(&mut lock);
    }
}

/// Whether the socket still waits for its peer to answer the SYN.
pub(super) fn is_opening(so: &Sock<Tcp>) -> bool {
    is_in(so, OPENING)
}

/// The way to the peer, for questions about it.
pub(super) fn route_mtu(so: &Sock<Tcp>) -> Option<u32> {
    let mut lock = UserLock::new(so);
    let state = State::of(so.net())?;
    if so.daddr() == 0 {
        return None;
    }
    let kept = &mut lock.private().route;
    inet_sock::route(state, kept, || tcp_env::flow(so))
        .ok()
        .map(Route::mtu)
}
