// SPDX-License-Identifier: GPL-2.0
//! From the user's bytes to datagrams.
//!
//! Usually a message is a datagram: it is copied into a packet without the socket's lock, which is then taken
//! for the look-up of its way. A corked socket (MSG_MORE, UDP_CORK) gathers several messages in its
//! [`Cork`] first, with the lock held.
//!
//! Mirrors [`udp.c`](srctree/net/ipv4/udp.c), [`ip_output.c`](srctree/net/ipv4/ip_output.c)

use super::{
    cork::Gathered,
    datagram,
    inet_sock::{
        self,
        error, //
    },
    net::State,
    route::Route,
    sockopt::{
        self,
        Ipcm, //
    },
    tx,
    udp::{
        self,
        Private,
        Udp, //
    },
};
use crate::{
    abstractions::{
        dgram,
        skbuff::Skb,
        sock::{
            flag,
            Sock, //
        },
        sock_lock::UserLock,
        socket::{
            Cookie,
            Msg, //
        },
    },
    bindings,
    stack::{
        self,
        counters::Counter,
        errno::Errno,
        ip::route::Kind,
        socket::FourTuple,
        udp::output::MAX_DATA,
        wire::{
            ipv4::{
                self,
                Addr, //
            },
            udp::HEADER_LEN, //
        },
    },
};
use core::sync::atomic::Ordering;
use kernel::{
    error::{
        code::*,
        Error,
        Result, //
    },
    prelude::*, //
};

/// Bytes of both headers.
const HEADERS: usize = ipv4::HEADER_LEN + HEADER_LEN;

/// What belongs to one message and not to its socket.
struct Params {
    ipc: Ipcm,
    cookie: Cookie,
    /// Bytes of each of the datagrams that the message is cut into; 0: it is one.
    gso_size: u16,
}

impl Params {
    /// # Errors
    ///
    /// EINVAL for a control message that is not known or malformed, EPERM.
    ///
    /// Mirrors [`udp_cmsg_send`](srctree/net/ipv4/udp.c)
    #[inline]
    fn of(so: &Sock<Udp>, msg: &mut Msg<'_>) -> Result<Params> {
        let mut p = Params {
            ipc: Ipcm::default(),
            cookie: Cookie {
                mark: so.mark(),
                priority: so.priority(),
                transmit_time: 0,
                tsflags: 0,
            },
            gso_size: so.shared().gso_size.load(Ordering::Relaxed),
        };
        if msg.has_control() {
            p.cookie = msg.socket_control(so)?;
            msg.control(bindings::SOL_UDP, |ty, data| match ty {
                bindings::UDP_SEGMENT => {
                    p.gso_size = u16::from_ne_bytes(data.try_into().map_err(|_| EINVAL)?);
                    Ok(())
                }
                _ => Err(EINVAL),
            })?;
            p.ipc = sockopt::cmsg_send(msg)?;
        }
        Ok(p)
    }
}

/// Messages that will be one datagram.
///
/// Mirrors [`struct inet_cork`](srctree/include/net/inet_sock.h)
pub(super) struct Cork {
    bytes: Gathered,
    route: Route,
    id: FourTuple,
    params: Params,
}

/// Where a message goes: the address that the user named, or the socket's peer.
///
/// # Errors
///
/// EINVAL, EAFNOSUPPORT, EDESTADDRREQ.
#[inline]
fn destination(so: &Sock<Udp>, msg: &Msg<'_>) -> Result<Option<(Addr, u16)>> {
    let to = datagram::destination(so, msg)?;
    if to.is_some_and(|(_, port)| port == 0) {
        return Err(EINVAL);
    }
    Ok(to)
}

/// The way of a message, and both of its ends. `other` keeps a way that is not the socket's.
///
/// # Errors
///
/// EACCES for a broadcast without SO_BROADCAST; those of the look-up.
#[inline]
fn resolve<'r>(
    state: &State,
    so: &Sock<Udp>,
    own: &'r mut Private,
    other: &'r mut Option<Route>,
    to: Option<(Addr, u16)>,
    params: &Params,
    flags: u32,
) -> Result<(&'r Route, FourTuple)> {
    let (daddr, dport) = to.unwrap_or((Addr::from_u32(so.daddr()), so.dport()));
    let (ipc, mark) = (&params.ipc, params.cookie.mark);
    let dont_route = flags & bindings::MSG_DONTROUTE != 0;
    let way = if ipc.turns() || mark != so.mark() || dont_route {
        let found = datagram::route(state, so, daddr, ipc, mark, dont_route)?;
        &*other.insert(found)
    } else {
        udp::route(state, so, own, daddr)?
    };
    if way.kind() == Kind::Broadcast && !so.flag(flag::BROADCAST) {
        return Err(EACCES);
    }
    if flags & bindings::MSG_CONFIRM != 0 {
        way.confirm(inet_sock::now());
    }
    let saddr = match ipc.saddr.unwrap_or(Addr::from_u32(so.saddr())) {
        Addr::ANY => way.saddr(),
        a => a,
    };
    let id = FourTuple {
        saddr,
        daddr: if daddr.is_any() { saddr } else { daddr },
        sport: so.num(),
        dport,
    };
    Ok((way, id))
}

/// Mirrors [`udp_sendmsg`](srctree/net/ipv4/udp.c)
///
/// # Errors
///
/// EMSGSIZE, EOPNOTSUPP, EINVAL, EDESTADDRREQ, EAFNOSUPPORT, EACCES, EAGAIN, ENOBUFS, EFAULT, EPIPE, EINTR, the
/// socket's error, those of routes and filters.
pub(super) fn sendmsg(so: &Sock<Udp>, msg: &mut Msg<'_>, len: usize) -> Result<usize> {
    if len > 0xffff {
        return Err(EMSGSIZE);
    }
    let flags = msg.flags();
    if flags & bindings::MSG_OOB != 0 {
        return Err(EOPNOTSUPP);
    }
    let shared = so.shared();
    let more = flags & bindings::MSG_MORE != 0 || shared.corks.load(Ordering::Relaxed);
    if more || shared.pending.load(Ordering::Relaxed) {
        return gather(so, msg, len, more);
    }
    let to = destination(so, msg)?;
    let params = Params::of(so, msg)?;
    let noblock = flags & bindings::MSG_DONTWAIT != 0;
    let skb = match len <= MAX_DATA {
        true => Some(so.make_skb(&mut msg.iter(), len, noblock)?),
        false => None,
    };
    let state = State::of(so.net()).ok_or(ENETUNREACH)?;
    let mut lock = UserLock::new(so);
    udp::autobind(&mut lock)?;
    let mut other = None;
    let (way, id) = resolve(state, so, lock.private(), &mut other, to, &params, flags)?;
    // Only the neighbour was to be confirmed.
    if len == 0 && flags & bindings::MSG_CONFIRM != 0 && flags & bindings::MSG_PROBE != 0 {
        return Ok(0);
    }
    let skb = skb.ok_or_else(|| too_long(so, way, &id))?;
    send(state, so, way, skb, id, &params)?;
    Ok(len)
}

/// Puts a message behind those that wait to be a datagram, and sends them unless there is `more` to come.
#[cold]
fn gather(so: &Sock<Udp>, msg: &mut Msg<'_>, len: usize, more: bool) -> Result<usize> {
    let state = State::of(so.net()).ok_or(ENETUNREACH)?;
    let mut lock = UserLock::new(so);
    if lock.private().cork.is_none() {
        let flags = msg.flags();
        let to = destination(so, msg)?;
        let params = Params::of(so, msg)?;
        udp::autobind(&mut lock)?;
        let mut route = None;
        // A way of its own: the socket's may become another one while this waits.
        let daddr = to.map_or(Addr::from_u32(so.daddr()), |(addr, _)| addr);
        let dont_route = flags & bindings::MSG_DONTROUTE != 0;
        let (_, id) = resolve(state, so, lock.private(), &mut route, to, &params, flags)?;
        let route = match route {
            Some(r) => r,
            None => datagram::route(
                state,
                so,
                daddr,
                &params.ipc,
                params.cookie.mark,
                dont_route,
            )?,
        };
        let cork = Cork {
            bytes: Gathered::new(),
            route,
            id,
            params,
        };
        lock.private().cork = Some(KBox::new(cork, GFP_KERNEL)?);
        so.shared().pending.store(true, Ordering::Relaxed);
    }
    // What was begun goes where it was begun, whatever address stands in later messages.
    let appended = match &mut lock.private().cork {
        Some(cork) => append(so, cork, msg, len),
        None => Err(EINVAL),
    };
    if let Err(e) = appended {
        flush_pending(&mut lock);
        return Err(e);
    }
    if !more {
        push_pending(&mut lock)?;
    }
    Ok(len)
}

/// Mirrors [`ip_append_data`](srctree/net/ipv4/ip_output.c)
fn append(so: &Sock<Udp>, cork: &mut Cork, msg: &mut Msg<'_>, len: usize) -> Result {
    let total = cork.bytes.len().saturating_add(len);
    let cut = cork.params.gso_size != 0 || inet_sock::ignores_df(so.pmtudisc().into());
    let most = match cut {
        true => ipv4::MAX_LEN,
        false => cork.route.sock_mtu(so.pmtudisc()) as usize,
    };
    if total > most.saturating_sub(HEADERS) {
        return Err(too_long(so, &cork.route, &cork.id));
    }
    cork.bytes.append(so, msg, len)
}

/// Sends what waits.
///
/// # Errors
///
/// As [`sendmsg`].
///
/// Mirrors [`udp_push_pending_frames`](srctree/net/ipv4/udp.c)
pub(super) fn push_pending(lock: &mut UserLock<'_, Udp>) -> Result {
    let so = lock.sock();
    let Some(cork) = lock.private().cork.take() else {
        return Ok(());
    };
    so.shared().pending.store(false, Ordering::Relaxed);
    let cork = KBox::into_inner(cork);
    // Cut where messages do not end, what lies in one piece is cut right by everybody.
    let Some(skb) = cork.bytes.join(cork.params.gso_size != 0)? else {
        return Ok(());
    };
    let state = State::of(so.net()).ok_or(ENETUNREACH)?;
    send(state, so, &cork.route, skb, cork.id, &cork.params)
}

/// Throws away what waits.
///
/// Mirrors [`udp_flush_pending_frames`](srctree/net/ipv4/udp.c)
pub(super) fn flush_pending(lock: &mut UserLock<'_, Udp>) {
    lock.private().cork = None;
    lock.sock().shared().pending.store(false, Ordering::Relaxed);
}

/// A message is longer than its way lets pass: whoever asked for it reads how much that is.
#[cold]
fn too_long(so: &Sock<Udp>, way: &Route, id: &FourTuple) -> Error {
    let mtu = way.sock_mtu(so.pmtudisc());
    so.local_error(Errno::EMSGSIZE.get(), id.daddr.to_u32(), so.dport(), mtu);
    EMSGSIZE
}

/// Sends a packet of the user's bytes.
///
/// Mirrors [`udp_send_skb`](srctree/net/ipv4/udp.c)
#[inline]
fn send(
    state: &State,
    so: &Sock<Udp>,
    way: &Route,
    mut skb: Skb,
    id: FourTuple,
    params: &Params,
) -> Result {
    let mut x = inet_sock::xmit(so, &id, ipv4::Protocol::UDP, way);
    let mode = u32::from(so.pmtudisc());
    let mtu = way.sock_mtu(so.pmtudisc());
    let (len, room) = (skb.len(), (mtu as usize).saturating_sub(HEADERS));
    let mut segs = 1;
    if params.gso_size != 0 {
        segs = gso_segs(so, len, params.gso_size, room)?;
    } else if len > room {
        if !inet_sock::ignores_df(mode) {
            return Err(too_long(so, way, &id));
        }
        x.dont_fragment = false;
    }
    // Probes have it whatever is known of the path.
    x.dont_fragment |= mode == bindings::IP_PMTUDISC_PROBE;
    stack::udp::output::send_skb(&mut skb, id, !so.no_check_tx()).map_err(error)?;
    if segs > 1 {
        skb.set_gso_udp_l4(params.gso_size, segs);
    }
    skb.set_mark(params.cookie.mark);
    skb.set_priority(params.cookie.priority);
    if params.cookie.transmit_time != 0 {
        dgram::set_delivery_time(so, &mut skb, params.cookie.transmit_time);
    }
    if id.daddr.is_multicast() {
        x.ttl = so.mc_ttl();
    }
    x.tos = params.ipc.tos.unwrap_or(x.tos);
    x.ttl = params.ipc.ttl.unwrap_or(x.ttl);
    // Not the socket's own: pieces of two sockets' datagrams would be taken for those of one (RFC 6864, 4.3).
    x.id = state.idents.select(&x, segs);
    let sent = tx::queue_xmit(state, way, skb, &x, mtu, so.as_ptr(), inet_sock::now());
    match sent {
        Ok(()) => {
            state.counts.event(Counter::UdpOutDatagrams);
            Ok(())
        }
        // Without IP_RECVERR a full queue is the network's way of losing packets.
        Err(Errno::ENOBUFS) if !so.inet_flag(bindings::INET_FLAGS_RECVERR) => {
            state.counts.event(Counter::UdpSndbufErrors);
            Ok(())
        }
        Err(e) => Err(error(e)),
    }
}

/// How many datagrams of `size` bytes `len` bytes make, where a way has room for `room` bytes in each.
///
/// # Errors
///
/// EMSGSIZE when one is too long; EINVAL for too many, or without checksums.
fn gso_segs(so: &Sock<Udp>, len: usize, size: u16, room: usize) -> Result<u16> {
    let size = usize::from(size);
    if len.min(size) > room {
        return Err(EMSGSIZE);
    }
    let segs = len.div_ceil(size);
    if segs > bindings::UDP_MAX_SEGMENTS as usize || so.no_check_tx() {
        return Err(EINVAL);
    }
    Ok(segs as u16)
}
