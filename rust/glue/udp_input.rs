// SPDX-License-Identifier: GPL-2.0
//! Datagrams from IPv4 into sockets' queues. Softirq.
//!
//! Mirrors [`udp.c`](srctree/net/ipv4/udp.c)

use super::{
    datagram,
    demux,
    igmp,
    inet_sock,
    ip_input,
    net::State,
    udp::Udp, //
};
use crate::{
    abstractions::{
        dgram,
        ehash::Found,
        proto::Protocol as _,
        skbuff::{
            SkBuff,
            Skb, //
        },
        sock::{
            Sock,
            SockRef, //
        },
    },
    bindings,
    stack::{
        counters::Counter,
        drop_reason::DropReason,
        errno::Errno,
        icmp::input::Quoted,
        ip::Header,
        udp,
        wire::{
            icmp::unreach,
            udp::HEADER_LEN, //
        },
    },
};
use core::sync::atomic::Ordering;

/// Sockets that are looked for at a time, when a datagram is for several.
const BATCH: usize = 16;

/// A datagram for `so`, whose data begin with the UDP header. Softirq.
///
/// Mirrors [`udp_unicast_rcv_skb`](srctree/net/ipv4/udp.c)
pub(super) fn rcv(state: &State, header: &Header, mut skb: Skb, so: &Sock<Udp>) {
    skb.reset_transport_header();
    match udp::input::rcv(&mut skb, header.saddr, header.daddr, |c| {
        state.counts.event(c)
    }) {
        Ok(_) => queue_rcv(state, header, skb, so),
        Err(reason) => {
            so.count_drop();
            state.counts.drop(skb, reason);
        }
    }
}

/// Puts a checked datagram, or what stands for several, into the socket's queue.
///
/// Mirrors [`udp_queue_rcv_skb`](srctree/net/ipv4/udp.c)
#[inline]
fn queue_rcv(state: &State, header: &Header, skb: Skb, so: &Sock<Udp>) {
    if skb.gso_size() != 0 && !(skb.is_gso_udp_l4() && so.shared().gro.load(Ordering::Relaxed)) {
        return queue_segments(state, header, skb, so);
    }
    queue_one(state, header, skb, so);
}

/// Puts what one packet stands for into the socket's queue: it came over a device that leaves the cutting to
/// the next, and there is none.
#[cold]
fn queue_segments(state: &State, header: &Header, mut skb: Skb, so: &Sock<Udp>) {
    let segs = u64::from(skb.gso_segs().max(1));
    if skb.push(usize::from(header.header_len)).is_none() {
        return state.counts.drop(skb, DropReason::Nomem);
    }
    match skb.udp_segments() {
        Ok(all) => {
            for mut skb in all {
                skb.pull(usize::from(header.header_len));
                skb.reset_transport_header();
                queue_one(state, header, skb, so);
            }
        }
        Err(skb) => {
            so.count_drop();
            state.counts.events(Counter::UdpInErrors, segs);
            state.counts.drop(skb, DropReason::Nomem);
        }
    }
}

/// Puts a checked datagram into the socket's queue.
///
/// Mirrors [`udp_queue_rcv_one_skb`](srctree/net/ipv4/udp.c)
#[inline]
fn queue_one(state: &State, header: &Header, mut skb: Skb, so: &Sock<Udp>) {
    let drop = |skb: Skb, reason| {
        state.counts.event(Counter::UdpInErrors);
        so.count_drop();
        state.counts.drop(skb, reason);
    };
    if header.ttl < so.min_ttl() {
        return drop(skb, DropReason::NotSpecified);
    }
    if !so.filter(&mut skb, HEADER_LEN as u32) {
        return drop(skb, DropReason::SocketFilter);
    }
    skb.pull(HEADER_LEN);
    let iif = skb.iif();
    dgram::set_pktinfo(&mut skb, iif, header.daddr.to_u32());
    if let Err(skb) = so.queue_rcv_skb(skb) {
        // The socket has counted it already.
        state.counts.event(Counter::UdpRcvbufErrors);
        state.counts.event(Counter::UdpInErrors);
        state.counts.drop(skb, DropReason::SocketRcvbuff);
    }
}

/// A datagram for a port that nobody has, where RustNet answers for the host.
pub(super) fn no_socket(state: &State, header: &Header, mut skb: Skb) {
    match udp::input::rcv(&mut skb, header.saddr, header.daddr, |c| {
        state.counts.event(c)
    }) {
        Ok(_) => {
            state.counts.event(Counter::UdpNoPorts);
            ip_input::send_unreach(state, &mut skb, header, unreach::PORT);
            state.counts.drop(skb, DropReason::NoSocket);
        }
        Err(reason) => state.counts.drop(skb, reason),
    }
}

/// Whether an unconnected socket wants what was sent to everybody or to a group.
fn wants(state: &State, key: &demux::Key, sk: &Sock<Udp>) -> bool {
    sk.net_ptr() == state.net.as_ptr()
        && sk.num() == key.dport
        && (sk.rcv_saddr() == 0 || sk.rcv_saddr() == key.daddr.to_u32())
        && (sk.bound_dev_if() == 0 || sk.bound_dev_if() == key.ifindex as i32)
        && igmp::sf_allow(sk, key.daddr, key.saddr, key.ifindex)
}

/// The socket that is connected to the sender, and whose own address is everybody's or a group's.
fn connected(state: &State, key: &demux::Key) -> Option<SockRef<Udp>> {
    let name = inet_sock::name(state.net, &key.id());
    match Udp::table().lookup(&name, key.ifindex as i32)? {
        Found::Sock(so) if igmp::sf_allow(&so, key.daddr, key.saddr, key.ifindex) => Some(so),
        _ => None,
    }
}

/// See [`demux::wants_group`].
pub(super) fn wants_group(state: &State, key: &demux::Key) -> bool {
    let hash = inet_sock::bound_hash(state.net, key.dport);
    let mut first = [None];
    Udp::table().some_bound(hash, 0, &mut first, |sk| wants(state, key, sk)) != 0
        || connected(state, key).is_some()
}

/// See [`demux::rcv_group`].
///
/// Mirrors [`__udp4_lib_mcast_deliver`](srctree/net/ipv4/udp.c)
pub(super) fn rcv_group(state: &State, key: &demux::Key, header: &Header, mut skb: Skb) {
    skb.reset_transport_header();
    if let Err(reason) = udp::input::rcv(&mut skb, header.saddr, header.daddr, |c| {
        state.counts.event(c)
    }) {
        return state.counts.drop(skb, reason);
    }
    let hash = inet_sock::bound_hash(state.net, key.dport);
    let mut last = connected(state, key);
    let mut heard = 0usize;
    loop {
        let mut some = [const { None }; BATCH];
        let n = Udp::table().some_bound(hash, heard, &mut some, |sk| wants(state, key, sk));
        for so in some.into_iter().flatten() {
            // The last one gets the packet itself.
            if let Some(so) = last.replace(so) {
                match skb.dup() {
                    Some(copy) => queue_rcv(state, header, copy, &so),
                    None => so.count_drop(),
                }
            }
        }
        heard = heard.wrapping_add(n);
        if n < BATCH {
            break;
        }
    }
    match last {
        Some(so) => queue_rcv(state, header, skb, &so),
        None => {
            state.counts.event(Counter::UdpIgnoredMulti);
            skb.consume();
        }
    }
}

/// An ICMP message about a datagram of the socket's.
///
/// Mirrors [`__udp4_lib_err`](srctree/net/ipv4/udp.c): without IP_RECVERR only hard errors are told, and
/// only to connected sockets (RFC 1122, 4.1.3.3).
pub(super) fn err(state: &State, quoted: &Quoted, so: &Sock<Udp>, message: Option<&mut SkBuff>) {
    let (mut errno, mut fatal) = (quoted.error.errno, quoted.error.fatal);
    if quoted.is_frag_needed() {
        datagram::update_pmtu(state, quoted, so);
        if u32::from(so.pmtudisc()) == bindings::IP_PMTUDISC_DONT {
            return;
        }
        (errno, fatal) = (Errno::EMSGSIZE, true);
    }
    if so.inet_flag(bindings::INET_FLAGS_RECVERR) {
        datagram::queue_error(so, quoted, errno, message, HEADER_LEN);
    } else if !fatal || so.state() != bindings::TCP_ESTABLISHED as u8 {
        return;
    }
    so.set_err(errno.get());
    so.error_report();
}
