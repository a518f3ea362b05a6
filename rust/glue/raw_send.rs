// SPDX-License-Identifier: GPL-2.0
//! From the user's bytes to packets of one IP protocol, with a header of ours or of the user's.
//!
//! Mirrors [`raw.c`](srctree/net/ipv4/raw.c)

use super::{
    cork::Gathered,
    datagram,
    inet_sock::{
        self,
        error, //
    },
    net::State,
    raw::Raw,
    route::Route,
    sockopt::{
        self,
        Ipcm, //
    },
    tx, //
};
use crate::{
    abstractions::{
        skbuff::Skb,
        sock::{
            flag,
            Sock, //
        },
        sock_lock::UserLock,
        socket::Msg,
    },
    bindings,
    stack::{
        errno::Errno,
        ip::{
            self,
            output::Xmit,
            route::Kind, //
        },
        socket::FourTuple,
        wire::ipv4::{
            self,
            Addr, //
        },
    },
};
use core::sync::atomic::Ordering;
use kernel::{
    error::{
        code::*,
        Result, //
    },
    prelude::*, //
};

/// Where a message goes, and as what.
struct Head {
    route: Route,
    daddr: Addr,
    ipc: Ipcm,
    mark: u32,
    priority: u32,
}

/// Messages that will be one packet, which goes where the first of them was to go.
pub(crate) struct Cork {
    bytes: Gathered,
    head: Head,
}

/// Sends one message, or puts it with others that will be one packet. Process context.
///
/// Mirrors [`raw_sendmsg`](srctree/net/ipv4/raw.c)
pub(super) fn sendmsg(so: &Sock<Raw>, msg: &mut Msg<'_>, len: usize) -> Result<usize> {
    if len > 0xffff {
        return Err(EMSGSIZE);
    }
    let flags = msg.flags();
    if flags & bindings::MSG_OOB != 0 {
        return Err(EOPNOTSUPP);
    }
    let daddr = match datagram::destination(so, msg)? {
        Some((addr, _)) => addr,
        None => Addr::from_u32(so.daddr()),
    };
    let (mut mark, mut priority, mut ipc) = (so.mark(), so.priority(), Ipcm::default());
    if msg.has_control() {
        let cookie = msg.socket_control(so)?;
        (mark, priority) = (cookie.mark, cookie.priority);
        ipc = sockopt::cmsg_send(msg)?;
    }
    let state = State::of(so.net()).ok_or(ENETUNREACH)?;
    let dont_route = flags & bindings::MSG_DONTROUTE != 0;
    let route = datagram::route(state, so, daddr, &ipc, mark, dont_route)?;
    if route.kind() == Kind::Broadcast && !so.flag(flag::BROADCAST) {
        return Err(EACCES);
    }
    let head = Head {
        route,
        daddr,
        ipc,
        mark,
        priority,
    };
    if so.inet_flag(bindings::INET_FLAGS_HDRINCL) {
        let skb = send_hdrinc(state, so, &head.route, daddr, msg, len)?;
        let (now, mtu) = (inet_sock::now(), head.route.sock_mtu(so.pmtudisc()));
        let skb = head.mark(skb);
        sent(
            so,
            tx::local_out(state, &head.route, skb, mtu, so.as_ptr(), now),
        )?;
        return Ok(len);
    }
    let more = flags & bindings::MSG_MORE != 0;
    if more || so.shared().pending.load(Ordering::Relaxed) {
        return gather(state, so, head, msg, len, more);
    }
    let noblock = flags & bindings::MSG_DONTWAIT != 0;
    let skb = so.make_skb(&mut msg.iter(), len, noblock)?;
    push(state, so, &head, skb)?;
    Ok(len)
}

/// Sends a packet whose header the user wrote.
///
/// Mirrors [`raw_send_hdrinc`](srctree/net/ipv4/raw.c)
fn send_hdrinc(
    state: &State,
    so: &Sock<Raw>,
    route: &Route,
    daddr: Addr,
    msg: &mut Msg<'_>,
    len: usize,
) -> Result<Skb> {
    let most = route.sock_mtu(bindings::IP_PMTUDISC_INTERFACE as u8);
    if len > most as usize {
        so.local_error(Errno::EMSGSIZE.get(), daddr.to_u32(), so.dport(), most);
        return Err(EMSGSIZE);
    }
    let noblock = msg.flags() & bindings::MSG_DONTWAIT != 0;
    let mut skb = so.make_skb(&mut msg.iter(), len, noblock)?;
    let x = Xmit {
        saddr: route.saddr(),
        daddr: Addr::ANY,
        protocol: ipv4::Protocol(so.protocol() as u8),
        tos: 0,
        ttl: 0,
        dont_fragment: false,
        id: 0,
    };
    let id = state.idents.select(&x, 1);
    ip::output::complete(&mut skb, route.saddr(), id).map_err(|_| EINVAL)?;
    Ok(skb)
}

impl Head {
    /// What filters and queueing disciplines see of the packet.
    fn mark(&self, mut skb: Skb) -> Skb {
        skb.set_mark(self.mark);
        skb.set_priority(self.priority);
        skb
    }
}

/// Sends the user's bytes behind an IP header of ours.
///
/// Mirrors [`ip_push_pending_frames`](srctree/net/ipv4/ip_output.c)
fn push(state: &State, so: &Sock<Raw>, head: &Head, skb: Skb) -> Result {
    let mut skb = head.mark(skb);
    skb.reset_transport_header();
    let (route, ipc) = (&head.route, &head.ipc);
    let saddr = match ipc.saddr.unwrap_or(Addr::from_u32(so.saddr())) {
        Addr::ANY => route.saddr(),
        a => a,
    };
    let id = FourTuple {
        saddr,
        daddr: match head.daddr {
            Addr::ANY => saddr,
            a => a,
        },
        sport: 0,
        dport: 0,
    };
    let protocol = ipv4::Protocol(so.protocol() as u8);
    let x = datagram::xmit(state, so, route, &id, protocol, ipc, skb.len())?;
    let (now, mtu) = (inet_sock::now(), route.sock_mtu(so.pmtudisc()));
    sent(
        so,
        tx::queue_xmit(state, route, skb, &x, mtu, so.as_ptr(), now),
    )
}

/// What the user hears of it: without IP_RECVERR a full queue is the network's way of losing packets.
fn sent(so: &Sock<Raw>, result: Result<(), Errno>) -> Result {
    match result {
        Err(Errno::ENOBUFS) if !so.inet_flag(bindings::INET_FLAGS_RECVERR) => Ok(()),
        other => other.map_err(error),
    }
}

/// Puts a message behind those that wait to be a packet, and sends them unless there is `more` to come. Where they
/// go was said with the first.
#[cold]
fn gather(
    state: &State,
    so: &Sock<Raw>,
    head: Head,
    msg: &mut Msg<'_>,
    len: usize,
    more: bool,
) -> Result<usize> {
    let mut lock = UserLock::new(so);
    let waiting = lock.private().take();
    so.shared().pending.store(false, Ordering::Relaxed);
    let mut cork = match waiting {
        Some(cork) => cork,
        None => KBox::new(
            Cork {
                bytes: Gathered::new(),
                head,
            },
            GFP_KERNEL,
        )?,
    };
    let mtu = cork.head.route.sock_mtu(so.pmtudisc());
    let most = match inet_sock::ignores_df(so.pmtudisc().into()) {
        true => ipv4::MAX_LEN,
        false => mtu as usize,
    };
    if cork.bytes.len().saturating_add(len) > most.saturating_sub(ipv4::HEADER_LEN) {
        let daddr = cork.head.daddr.to_u32();
        so.local_error(Errno::EMSGSIZE.get(), daddr, so.dport(), mtu);
        return Err(EMSGSIZE);
    }
    cork.bytes.append(so, msg, len)?;
    if more {
        *lock.private() = Some(cork);
        so.shared().pending.store(true, Ordering::Relaxed);
        return Ok(len);
    }
    let Cork { bytes, head } = KBox::into_inner(cork);
    if let Some(skb) = bytes.join(false)? {
        push(state, so, &head, skb)?;
    }
    Ok(len)
}
