// SPDX-License-Identifier: GPL-2.0
//! Datagrams from IPv4 into sockets' queues. Softirq.
//!
//! Mirrors [`udp.c`](srctree/net/ipv4/udp.c)

use super::{
    demux,
    inet_sock,
    ip_input,
    net::State,
    route::Route,
    udp::Udp, //
};
use crate::{
    abstractions::{
        dgram,
        ehash::Candidate,
        proto::Protocol as _,
        route_config::accepts_pmtu,
        skbuff::Skb,
        sock::Sock, //
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

/// A datagram for `so`, whose data begin with the UDP header. Softirq.
///
/// Mirrors [`udp_queue_rcv_one_skb`](srctree/net/ipv4/udp.c)
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

/// Puts a checked datagram into the socket's queue.
fn queue_rcv(state: &State, header: &Header, mut skb: Skb, so: &Sock<Udp>) {
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
fn wants(state: &State, key: &demux::Key, sk: &Candidate<'_>) -> bool {
    sk.net_ptr() == state.net.as_ptr()
        && sk.num() == key.dport
        && (sk.rcv_saddr() == 0 || sk.rcv_saddr() == key.daddr.to_u32())
        && (sk.bound_dev_if() == 0 || sk.bound_dev_if() == key.ifindex as i32)
}

/// See [`demux::wants_group`].
pub(super) fn wants_group(state: &State, key: &demux::Key) -> bool {
    let hash = inet_sock::bound_hash(state.net, key.dport);
    Udp::table()
        .nth_bound(hash, 0, |sk| wants(state, key, sk))
        .is_some()
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
    let nth = |n| Udp::table().nth_bound(hash, n, |sk| wants(state, key, sk));
    let Some(mut so) = nth(0) else {
        state.counts.event(Counter::UdpIgnoredMulti);
        return skb.consume();
    };
    let mut n = 1;
    while let Some(next) = nth(n) {
        if let Some(copy) = skb.dup() {
            queue_rcv(state, header, copy, &so);
        }
        so = next;
        n += 1;
    }
    queue_rcv(state, header, skb, &so);
}

/// An ICMP message about a datagram of the socket's.
///
/// Mirrors [`__udp4_lib_err`](srctree/net/ipv4/udp.c): without IP_RECVERR only hard errors are told, and
/// only to connected sockets (RFC 1122, 4.1.3.3).
pub(super) fn err(state: &State, quoted: &Quoted, so: &Sock<Udp>) {
    let (mut errno, mut fatal) = (quoted.error.errno, quoted.error.fatal);
    if quoted.is_frag_needed() {
        update_pmtu(state, quoted, so);
        if u32::from(so.pmtudisc()) == bindings::IP_PMTUDISC_DONT {
            return;
        }
        (errno, fatal) = (Errno::EMSGSIZE, true);
    }
    if !fatal || so.state() != bindings::TCP_ESTABLISHED as u8 {
        return;
    }
    so.set_err(errno.get());
    so.error_report();
}

/// The way of a quoted datagram is narrower than was thought.
///
/// Mirrors [`ipv4_sk_update_pmtu`](srctree/net/ipv4/route.c)
fn update_pmtu(state: &State, quoted: &Quoted, so: &Sock<Udp>) {
    if !accepts_pmtu(so.pmtudisc()) {
        return;
    }
    let mut flow = inet_sock::flow(so, quoted.id.daddr);
    flow.saddr = quoted.id.saddr;
    if let Ok(route) = Route::output(state, &flow) {
        route.update_pmtu(state, quoted.mtu.into());
    }
}
