// SPDX-License-Identifier: GPL-2.0
//! What sockets have in common whose messages are packets: poll, ioctl, shutdown, the destination of a
//! message.
//!
//! Mirrors [`datagram.c`](srctree/net/core/datagram.c), [`net/ipv4/datagram.c`](srctree/net/ipv4/datagram.c)

use super::{
    inet_sock::{
        self,
        error, //
    },
    net::State,
    route::{
        self,
        Route, //
    },
    sockopt::{
        self,
        Ipcm, //
    },
};
use crate::{
    abstractions::{
        proto::Protocol,
        route_config::accepts_pmtu,
        skbuff::SkBuff,
        sock::{
            flag,
            Sk,
            Sock, //
        },
        sock_lock::UserLock,
        socket::{
            IoctlArg,
            Msg,
            Socket, //
        },
    },
    bindings,
    stack::{
        counters::Counter,
        errno::Errno,
        icmp::input::Quoted,
        ip::route::{
            Flow,
            Kind,
            Scope, //
        },
        wire::{
            icmp,
            ipv4::Addr, //
        },
    },
};
use kernel::{
    error::{
        code::*,
        Result, //
    },
    ffi::c_int, //
};

/// Mirrors [`datagram_poll`](srctree/net/core/datagram.c)
pub(super) fn poll<P: Protocol>(so: &Sock<P>) -> u32 {
    let mut mask = 0;
    if so.err() != 0 || so.has_errors() {
        mask |= bindings::EPOLLERR;
        if so.flag(flag::SELECT_ERR_QUEUE) && so.has_errors() {
            mask |= bindings::EPOLLPRI;
        }
    }
    let shut = u32::from(so.shutdown());
    if shut & bindings::RCV_SHUTDOWN != 0 {
        mask |= bindings::EPOLLRDHUP | bindings::EPOLLIN | bindings::EPOLLRDNORM;
    }
    if shut == bindings::SHUTDOWN_MASK {
        mask |= bindings::EPOLLHUP;
    }
    if !so.receive_queue_empty() {
        mask |= bindings::EPOLLIN | bindings::EPOLLRDNORM;
    }
    if so.dgram_is_writeable() {
        mask |= bindings::EPOLLOUT | bindings::EPOLLWRNORM | bindings::EPOLLWRBAND;
    } else {
        so.set_async_nospace();
    }
    mask
}

/// Mirrors [`udp_ioctl`](srctree/net/ipv4/udp.c)
pub(super) fn ioctl<P: Protocol>(so: &Sock<P>, cmd: u32, arg: IoctlArg<'_>) -> Result<c_int> {
    match cmd {
        bindings::SIOCOUTQ => arg.put_int(so.wmem_alloc().saturating_sub(1) as c_int),
        bindings::SIOCINQ => arg.put_int(so.first_len() as c_int),
        _ => Ok(arg.host()),
    }
}

/// Mirrors [`inet_shutdown`](srctree/net/ipv4/af_inet.c)
///
/// # Errors
///
/// EINVAL; ENOTCONN, and it is shut all the same.
pub(super) fn shutdown<P: Protocol>(sock: &Socket<'_, P>, how: c_int) -> Result {
    let how = sockopt::shutdown_bits(how)?;
    let so = sock.sk();
    let _lock = UserLock::new(so);
    so.set_shutdown(so.shutdown() | how);
    let ret = if so.state() == bindings::TCP_CLOSE as u8 {
        Err(ENOTCONN)
    } else {
        Ok(())
    };
    so.state_change();
    ret
}

/// Where the user wants the message to go: address and port; `None` for the peer of a connected socket.
///
/// # Errors
///
/// EINVAL, EAFNOSUPPORT; EDESTADDRREQ for a socket without a peer.
pub(super) fn destination<P: Protocol>(so: &Sock<P>, msg: &Msg<'_>) -> Result<Option<(Addr, u16)>> {
    match msg.name() {
        Some(addr) => {
            let (a, port) = addr.inet()?;
            let family = addr.family()?;
            if !inet_sock::is_inet(family) && u32::from(family) != bindings::AF_UNSPEC {
                return Err(EAFNOSUPPORT);
            }
            Ok(Some((Addr::from_u32(a), port)))
        }
        None if so.state() != bindings::TCP_ESTABLISHED as u8 => Err(EDESTADDRREQ),
        None => Ok(None),
    }
}

/// Puts an ICMP message about a packet of the socket's into its error queue. `header_len` bytes stand between
/// the quoted IP header and what the user sent. Softirq.
pub(super) fn queue_error(
    so: &Sk,
    quoted: &Quoted,
    errno: Errno,
    message: Option<&mut SkBuff>,
    header_len: usize,
) {
    if let Some(message) = message {
        let payload = icmp::HEADER_LEN
            .wrapping_add(usize::from(quoted.header_len))
            .wrapping_add(header_len);
        let info = quoted.mtu.into();
        so.icmp_error(message, errno.get(), quoted.id.dport, info, payload);
    }
}

/// The question to the routes for a message of the socket to `daddr`.
///
/// Mirrors the middle of [`udp_sendmsg`](srctree/net/ipv4/udp.c)
pub(super) fn flow(state: &State, so: &Sk, daddr: Addr, ipc: &Ipcm) -> Flow {
    let mut flow = inet_sock::flow(so, daddr);
    flow.saddr = ipc.saddr.unwrap_or(Addr::from_u32(so.saddr()));
    if ipc.oif != 0 {
        flow.oif = ipc.oif;
    }
    if let Some(tos) = ipc.tos {
        flow.tos = tos & 0xfc;
    }
    if daddr.is_multicast() {
        if flow.oif == 0 {
            flow.oif = so.mc_index();
        }
        if flow.saddr.is_any() {
            flow.saddr = Addr::from_u32(so.mc_addr());
        }
    } else if flow.oif == 0 {
        flow.oif = so.uc_index();
    }
    // A source says by which device, where the destination does not.
    let many = daddr.is_multicast() || daddr.is_broadcast();
    if many && flow.oif == 0 && !flow.saddr.is_any() {
        flow.oif = route::device_of(state, flow.saddr);
    }
    flow
}

/// The way of one message to `daddr`.
///
/// # Errors
///
/// ENETUNREACH for a source that is not of this host; those of the look-up.
pub(super) fn route(
    state: &State,
    so: &Sk,
    daddr: Addr,
    ipc: &Ipcm,
    mark: u32,
    dont_route: bool,
) -> Result<Route> {
    if let Some(saddr) = ipc.saddr.filter(|a| !a.is_any()) {
        if state.addr_type(saddr) != Kind::Local {
            return Err(ENETUNREACH);
        }
    }
    let mut flow = flow(state, so, daddr, ipc);
    flow.mark = mark;
    if dont_route {
        flow.scope = Scope::LINK;
    }
    Route::output(state, &flow).map_err(|e| {
        state.counts.event(Counter::IpOutNoRoutes);
        error(e)
    })
}

/// The way of a quoted packet is narrower than was thought.
///
/// Mirrors [`ipv4_sk_update_pmtu`](srctree/net/ipv4/route.c)
pub(super) fn update_pmtu(state: &State, quoted: &Quoted, so: &Sk) {
    if !accepts_pmtu(so.pmtudisc()) {
        return;
    }
    let mut flow = inet_sock::flow(so, quoted.id.daddr);
    flow.saddr = quoted.id.saddr;
    if let Ok(route) = Route::output(state, &flow) {
        route.update_pmtu(state, quoted.mtu.into());
    }
}
