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
        dgram,
        inet::AddrType,
        proto::Protocol,
        route_config::accepts_pmtu,
        skbuff::{
            SkBuff,
            Skb, //
        },
        sock::{
            flag,
            Sk,
            Sock, //
        },
        sock_lock::UserLock,
        socket::{
            IoctlArg,
            Msg,
            RawAddr,
            Socket, //
        },
    },
    bindings,
    stack::{
        counters::Counter,
        drop_reason::DropReason,
        errno::Errno,
        icmp::input::{
            Quoted,
            Redirect, //
        },
        ip::{
            output::Xmit,
            route::{
                Flow,
                Kind,
                Scope, //
            },
            Header, //
        },
        socket::FourTuple,
        wire::{
            icmp,
            ipv4::{
                self,
                Addr, //
            },
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

/// Makes a raw or ping socket known, by its number.
///
/// Mirrors [`raw_hash_sk`](srctree/net/ipv4/raw.c)
pub(super) fn hash<P: Protocol>(so: &Sock<P>) {
    let net = so.net();
    if P::table().insert_bound(so, inet_sock::bound_hash(net, so.num())) {
        if let Some(state) = State::of(net) {
            state.add_raw();
        }
    }
}

/// Takes it out again.
///
/// Mirrors [`raw_unhash_sk`](srctree/net/ipv4/raw.c)
pub(super) fn unhash<P: Protocol>(so: &Sock<P>) {
    if P::table().remove(so) {
        if let Some(state) = State::of(so.net()) {
            state.remove_raw();
        }
    }
}

/// Puts a packet into the queue of a raw or ping socket. Of what its filter passes `cap` bytes are kept at
/// least. Softirq.
///
/// Mirrors [`raw_rcv`](srctree/net/ipv4/raw.c)
pub(super) fn queue_rcv<P: Protocol>(
    state: &State,
    header: &Header,
    mut skb: Skb,
    so: &Sock<P>,
    ifindex: u32,
    cap: u32,
) {
    skb.orphan();
    skb.dst_drop();
    skb.nf_reset_ct();
    if !so.filter(&mut skb, cap) {
        so.count_drop();
        return state.counts.drop(skb, DropReason::SocketFilter);
    }
    dgram::set_pktinfo(&mut skb, ifindex, header.daddr.to_u32());
    if let Err(skb) = so.queue_rcv_skb(skb) {
        state.counts.drop(skb, DropReason::SocketRcvbuff);
    }
}

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

/// The router `old` knows a better gateway for a quoted packet of the socket's.
///
/// Mirrors [`ipv4_sk_redirect`](srctree/net/ipv4/route.c)
pub(super) fn redirect(state: &State, redirect: &Redirect, old: Addr, so: &Sk) {
    let mut flow = inet_sock::flow(so, redirect.id.daddr);
    flow.saddr = redirect.id.saddr;
    if let Ok(route) = Route::output(state, &flow) {
        route.redirect(state, old, redirect.gateway);
    }
}

/// Whether the address may be bound to, and what it is then heard by and sent from.
///
/// # Errors
///
/// EADDRNOTAVAIL.
pub(super) fn bindable(so: &Sk, addr: u32) -> Result<(u32, u32)> {
    let net = so.net();
    let anywhere = net.nonlocal_bind()
        || so.inet_flag(bindings::INET_FLAGS_FREEBIND)
        || so.inet_flag(bindings::INET_FLAGS_TRANSPARENT);
    match net.addr_type(addr, so.bound_dev_if()) {
        AddrType::Multicast | AddrType::Broadcast => Ok((addr, 0)),
        AddrType::Other if addr != 0 && !anywhere => Err(EADDRNOTAVAIL),
        _ => Ok((addr, addr)),
    }
}

/// Makes `addr` the peer of the socket, whose lock is held.
///
/// # Errors
///
/// EINVAL, EAFNOSUPPORT; EACCES for a broadcast without SO_BROADCAST; those of the look-up.
///
/// Mirrors [`__ip4_datagram_connect`](srctree/net/ipv4/datagram.c)
pub(super) fn connect(so: &Sk, addr: &RawAddr<'_>) -> Result {
    let (daddr, dport) = inet_sock::peer(addr)?;
    let state = State::of(so.net()).ok_or(ENETUNREACH)?;
    let flow = flow(state, so, daddr, &Ipcm::default());
    let way = Route::output(state, &flow).map_err(error)?;
    if way.kind() == Kind::Broadcast && !so.flag(flag::BROADCAST) {
        return Err(EACCES);
    }
    let saddr = way.saddr().to_u32();
    if so.saddr() == 0 {
        so.set_saddr(saddr);
    }
    if so.rcv_saddr() == 0 {
        so.set_rcv_saddr(saddr);
    }
    // Nowhere is here.
    so.set_daddr(match daddr {
        Addr::ANY => saddr,
        a => a.to_u32(),
    });
    so.set_dport(dport);
    so.set_state(bindings::TCP_ESTABLISHED as u8);
    Ok(())
}

/// Takes the peer of the socket, whose lock is held, from it.
///
/// Mirrors [`__udp_disconnect`](srctree/net/ipv4/udp.c)
pub(super) fn disconnect(so: &Sk) {
    so.set_state(bindings::TCP_CLOSE as u8);
    so.set_daddr(0);
    so.set_dport(0);
    if !inet_sock::addr_is_users(so) {
        so.set_rcv_saddr(0);
        so.set_saddr(0);
    }
}

/// The MTU of the way to the socket's peer, for IP_MTU.
pub(super) fn mtu(so: &Sk) -> Option<u32> {
    let state = State::of(so.net())?;
    let daddr = Addr::from_u32(so.daddr());
    if daddr.is_any() {
        return None;
    }
    let flow = flow(state, so, daddr, &Ipcm::default());
    Some(Route::output(state, &flow).ok()?.mtu())
}

/// The IP header of a message of `len` bytes, with no transport's header or with its user's.
///
/// # Errors
///
/// EMSGSIZE when it is too long for its way and may not be cut.
pub(super) fn xmit(
    state: &State,
    so: &Sk,
    route: &Route,
    id: &FourTuple,
    protocol: ipv4::Protocol,
    ipc: &Ipcm,
    len: usize,
) -> Result<Xmit> {
    let mut x = inet_sock::xmit(so, id, protocol, route);
    let mtu = route.sock_mtu(so.pmtudisc());
    let mode = u32::from(so.pmtudisc());
    if len > (mtu as usize).saturating_sub(ipv4::HEADER_LEN) {
        if !inet_sock::ignores_df(mode) {
            so.local_error(Errno::EMSGSIZE.get(), id.daddr.to_u32(), so.dport(), mtu);
            return Err(EMSGSIZE);
        }
        x.dont_fragment = false;
    }
    x.dont_fragment |= mode == bindings::IP_PMTUDISC_PROBE;
    if id.daddr.is_multicast() {
        x.ttl = so.mc_ttl();
    }
    x.tos = ipc.tos.unwrap_or(x.tos);
    x.ttl = ipc.ttl.unwrap_or(x.ttl);
    x.id = state.idents.select(&x, 1);
    Ok(x)
}

/// recvmsg(2) of a packet as it lies in the queue, from an address without a port.
///
/// # Errors
///
/// EOPNOTSUPP, EAGAIN, EFAULT, EINTR, the socket's error.
///
/// Mirrors [`raw_recvmsg`](srctree/net/ipv4/raw.c)
pub(super) fn recvmsg<P: Protocol>(
    so: &Sock<P>,
    msg: &mut Msg<'_>,
    len: usize,
    flags: u32,
) -> Result<usize> {
    if flags & bindings::MSG_OOB != 0 {
        return Err(EOPNOTSUPP);
    }
    if flags & bindings::MSG_ERRQUEUE != 0 {
        return msg.recv_error(so, len);
    }
    let got = so.recv_datagram(flags, |skb, off| {
        let whole = skb.len();
        let copied = whole.saturating_sub(off).min(len);
        if copied < whole {
            msg.add_flags(bindings::MSG_TRUNC);
        }
        msg.iter().copy_datagram(skb, off, copied)?;
        let source = skb
            .network_header()
            .get(12..16)
            .and_then(|b| b.first_chunk());
        let source = source.map_or(0, |b| u32::from_be_bytes(*b));
        msg.set_name(source, 0);
        msg.recv_control(so, skb, 0);
        Ok(match flags & bindings::MSG_TRUNC {
            0 => copied,
            _ => whole,
        })
    })?;
    Ok(got.unwrap_or(0))
}
