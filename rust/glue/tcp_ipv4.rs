// SPDX-License-Identifier: GPL-2.0
//! TCP segments from IPv4, and segments that no socket sends.
//!
//! Mirrors [`tcp_ipv4.c`](srctree/net/ipv4/tcp_ipv4.c)

use super::{
    datagram,
    demux,
    inet_sock,
    net::{
        Mode,
        State, //
    },
    route::Route,
    tcp::{
        self as glue_tcp,
        Tcp, //
    },
    tcp_check_req::{
        self,
        Checked, //
    },
    tcp_request,
    tcp_timewait::{
        self,
        Verdict, //
    },
    tx, //
};
use crate::{
    abstractions::{
        ehash::Found,
        proto::Protocol as _,
        rx_way::RxWay,
        skbuff::{
            SkBuff,
            Skb, //
        },
        sock::{
            Sock,
            SockRef, //
        },
        sock_lock::BhLock, //
    },
    bindings,
    stack::{
        counters::Counter,
        drop_reason::DropReason,
        icmp::input::{
            Quoted,
            Redirect, //
        },
        ip::{
            output::Xmit,
            route::{
                Flow,
                LOOPBACK_IFINDEX, //
            },
            Header, //
        },
        socket::FourTuple,
        tcp::{
            self,
            Flags,
            IcmpError,
            SeqNum, //
        },
        wire::{
            checksum,
            ipv4::{
                Addr,
                Protocol, //
            },
        },
    },
};
use core::ptr::null_mut;

/// How segments are sent that are no connection's: SYN-ACKs, resets, what a TIME_WAIT answers.
pub(super) struct Sender {
    oif: i32,
    mark: u32,
    tos: u8,
    /// `None` for the route's.
    ttl: Option<u8>,
}

impl Sender {
    /// As the listener's user set it.
    pub(super) fn of(so: &Sock<Tcp>) -> Sender {
        Sender {
            oif: so.bound_dev_if(),
            mark: so.mark(),
            tos: so.tos(),
            ttl: u8::try_from(so.uc_ttl()).ok(),
        }
    }

    /// As nobody's.
    pub(super) fn none() -> Sender {
        Sender {
            oif: 0,
            mark: 0,
            tos: 0,
            ttl: None,
        }
    }

    /// The question to the routes.
    pub(super) fn flow(&self, id: &FourTuple) -> Flow {
        Flow {
            saddr: id.saddr,
            daddr: id.daddr,
            tos: self.tos & 0xfc,
            oif: self.oif,
            iif: LOOPBACK_IFINDEX,
            mark: self.mark,
            ..Flow::default()
        }
    }
}

/// Sends a segment that is no connection's. Softirq.
///
/// Mirrors [`ip_send_unicast_reply`](srctree/net/ipv4/ip_output.c)
pub(super) fn send(state: &State, sender: &Sender, id: &FourTuple, skb: Skb) {
    match Route::output(state, &sender.flow(id)) {
        Ok(route) => send_by(state, sender, &route, id, skb),
        Err(_) => state.counts.drop(skb, DropReason::IpOutNoRoutes),
    }
}

/// The same by a known way.
pub(super) fn send_by(state: &State, sender: &Sender, route: &Route, id: &FourTuple, mut skb: Skb) {
    state.counts.event(Counter::OutSegs);
    skb.set_mark(sender.mark);
    let x = Xmit {
        saddr: id.saddr,
        daddr: id.daddr,
        protocol: Protocol::TCP,
        tos: sender.tos,
        ttl: sender.ttl.unwrap_or_else(|| route.hoplimit(state.net)),
        dont_fragment: !route.mtu_locked(),
        id: 0,
    };
    // What is lost here is lost as on the wire: the peer or a timer asks again.
    let _ = tx::queue_xmit(
        state,
        route,
        skb,
        &x,
        route.mtu(),
        null_mut(),
        inet_sock::now(),
    );
}

/// Reads a segment's header and verifies its checksum.
#[inline]
fn parse(state: &State, header: &Header, skb: &mut Skb) -> Result<tcp::Segment, DropReason> {
    state.counts.event(Counter::InSegs);
    skb.tcp_cb_mut().dsfield = header.tos;
    // One value from here to the connection: a segment is large enough that copies of it would show.
    let mut seg = tcp::Segment::parse(skb);
    if seg.is_ok() {
        let len = skb.len() as u32;
        let pseudo = checksum::pseudo_header(header.saddr, header.daddr, Protocol::TCP.0, len);
        if !skb.csum_valid(pseudo) {
            state.counts.event(Counter::TcpInCsumErrors);
            seg = Err(DropReason::TcpCsum);
        }
    }
    if seg.is_err() {
        state.counts.event(Counter::InErrs);
    }
    seg
}

/// A segment for something that has both its ends; the data begin with the TCP header. Softirq.
///
/// Mirrors [`tcp_v4_rcv`](srctree/net/ipv4/tcp_ipv4.c)
#[inline]
pub(super) fn rcv(state: &State, header: &Header, mut skb: Skb, found: Found<Tcp>, way: RxWay) {
    match &parse(state, header, &mut skb) {
        Ok(seg) => match found {
            Found::Sock(so) => deliver(state, header, skb, seg, &so),
            other => rcv_mini(state, header, skb, seg, other, way),
        },
        Err(reason) => state.counts.drop(skb, *reason),
    }
}

/// A segment for a connection.
#[inline]
fn deliver(state: &State, header: &Header, mut skb: Skb, seg: &tcp::Segment, so: &Sock<Tcp>) {
    if header.ttl < so.min_ttl() {
        so.count_drop();
        state.counts.event(Counter::TcpMinTtlDrop);
        return state.counts.drop(skb, DropReason::TcpMinttl);
    }
    let len = skb.len();
    if !so.filter(&mut skb, u32::from(seg.doff)) {
        so.count_drop();
        return state.counts.drop(skb, DropReason::SocketFilter);
    }
    if skb.len() == len {
        return deliver_filtered(state, skb, seg, so);
    }
    // The filter cut the payload.
    match &tcp::Segment::parse(&mut skb) {
        Ok(seg) => deliver_filtered(state, skb, seg, so),
        Err(reason) => state.counts.drop(skb, *reason),
    }
}

/// A segment that the user's filter has let pass.
#[inline]
fn deliver_filtered(state: &State, mut skb: Skb, seg: &tcp::Segment, so: &Sock<Tcp>) {
    if so.state() == bindings::TCP_SYN_SENT as u8 && seg.flags.has(Flags::SYN) {
        so.security_conn_established(&skb);
    }
    skb.clear_dev();
    let mut lock = BhLock::new(so);
    if let Some(mut l) = lock.unowned() {
        return glue_tcp::do_rcv(&mut l, skb, seg);
    }
    skb.condense();
    let skb = match lock.join_backlog(skb, tcp::coalesce) {
        Ok(()) => return state.counts.event(Counter::TcpBacklogCoalesce),
        Err(skb) => skb,
    };
    // The owner works it off when he lets go. What may wait for him is bounded as in `tcp_add_backlog`:
    // twice the receive buffer, half the send buffer, and some.
    let limit = u64::from(so.rcvbuf()) * 2 + u64::from(so.sndbuf() >> 1) + 64 * 1024;
    if let Err(skb) = lock.add_backlog(skb, limit.min(u64::from(u32::MAX)) as u32) {
        drop(lock);
        so.count_drop();
        state.counts.event(Counter::TcpBacklogDrop);
        state.counts.drop(skb, DropReason::SocketBacklog);
    }
}

/// A segment for a half-open connection or a TIME_WAIT.
#[inline(never)]
fn rcv_mini(
    state: &State,
    header: &Header,
    mut skb: Skb,
    seg: &tcp::Segment,
    mut found: Found<Tcp>,
    way: RxWay,
) {
    let key = demux::Key {
        protocol: Protocol::TCP,
        saddr: header.saddr,
        daddr: header.daddr,
        sport: seg.source,
        dport: seg.dest,
        ifindex: way.ifindex(),
    };
    // An object may turn into another one between look-up and lock. That happens once to each, so this ends;
    // the bound is for the reader's peace of mind.
    for _ in 0..8 {
        match found {
            Found::Sock(so) => return deliver(state, header, skb, seg, &so),
            Found::HalfOpen(mini) => match tcp_check_req::check_req(state, skb, seg, &mini, way) {
                Checked::Done => return,
                Checked::Drop(skb, reason) => return state.counts.drop(skb, reason),
                Checked::Again(back) => skb = back,
            },
            Found::TimeWait(mini) => match tcp_timewait::rcv(state, &mini, seg) {
                Verdict::Drop(reason) => return state.counts.drop(skb, reason),
                Verdict::Done => return skb.consume(),
                Verdict::Syn(floor) => {
                    let Some(so) = demux::listener(state, &key) else {
                        return state.counts.drop(skb, DropReason::TcpClose);
                    };
                    tcp_timewait::remove(state, &mini);
                    return listen(state, header, skb, seg, &so, Some(floor));
                }
            },
        }
        let name = inet_sock::name(state.net, &key.id());
        found = match Tcp::table().lookup(&name, key.ifindex as i32) {
            Some(found) => found,
            None => match demux::listener(state, &key) {
                Some(so) => return listen(state, header, skb, seg, &so, None),
                None => return reset(state, header, skb, seg),
            },
        };
    }
    state.counts.drop(skb, DropReason::NotSpecified);
}

/// A segment for a listener; the data begin with the TCP header. Softirq.
#[inline(never)]
pub(super) fn rcv_listen(state: &State, header: &Header, mut skb: Skb, so: SockRef<Tcp>) {
    match &parse(state, header, &mut skb) {
        Ok(seg) => listen(state, header, skb, seg, &so, None),
        Err(reason) => state.counts.drop(skb, *reason),
    }
}

fn listen(
    state: &State,
    header: &Header,
    mut skb: Skb,
    seg: &tcp::Segment,
    so: &SockRef<Tcp>,
    floor: Option<SeqNum>,
) {
    if header.ttl < so.min_ttl() {
        state.counts.event(Counter::TcpMinTtlDrop);
        return state.counts.drop(skb, DropReason::TcpMinttl);
    }
    if !so.filter(&mut skb, u32::from(seg.doff)) {
        so.count_drop();
        return state.counts.drop(skb, DropReason::SocketFilter);
    }
    let skb = match tcp_check_req::check_cookie(state, header, skb, seg, so) {
        Checked::Done => return,
        Checked::Drop(skb, reason) => {
            so.count_drop();
            return state.counts.drop(skb, reason);
        }
        Checked::Again(skb) => skb,
    };
    match tcp_request::conn_request(state, header, &skb, seg, so, floor) {
        Ok(()) => skb.consume(),
        Err(reason) => {
            so.count_drop();
            state.counts.drop(skb, reason);
        }
    }
}

/// A segment that nobody has, where RustNet answers for the host.
pub(super) fn no_socket(state: &State, header: &Header, mut skb: Skb) {
    match &parse(state, header, &mut skb) {
        Ok(seg) => reset(state, header, skb, seg),
        Err(reason) => state.counts.drop(skb, *reason),
    }
}

fn reset(state: &State, header: &Header, skb: Skb, seg: &tcp::Segment) {
    let id = FourTuple {
        saddr: header.daddr,
        daddr: header.saddr,
        sport: seg.dest,
        dport: seg.source,
    };
    if state.mode() == Mode::Replace {
        if let Some(rst) = tcp::send_reset(seg, id) {
            state.counts.event(Counter::OutRsts);
            send(state, &Sender::none(), &id, rst);
        }
    }
    state.counts.drop(skb, DropReason::NoSocket);
}

/// The router `old` knows a better gateway for a segment of ours. Softirq.
///
/// Mirrors [`tcp_v4_err`, `do_redirect`](srctree/net/ipv4/tcp_ipv4.c)
pub(super) fn redirect(state: &State, redirect: &Redirect, old: Addr, found: Found<Tcp>) {
    let Found::Sock(so) = found else {
        return;
    };
    let mut lock = BhLock::new(&so);
    let Some(mut l) = lock.unowned() else {
        return state.counts.event(Counter::LockDroppedIcmps);
    };
    let seq = SeqNum::new(redirect.seq);
    match glue_tcp::enter(&mut l, |tp, env| tp.check_quoted(env, seq)) {
        Ok(()) => datagram::redirect(state, redirect, old, &so),
        Err(reason) => state.counts.dropped(reason),
    }
}

/// An ICMP message about a segment of ours. Softirq.
///
/// Mirrors [`tcp_v4_err`](srctree/net/ipv4/tcp_ipv4.c)
pub(super) fn err(state: &State, quoted: &Quoted, found: Found<Tcp>, message: Option<&mut SkBuff>) {
    let Found::Sock(so) = found else {
        // Nobody is there yet to be told; the SYN-ACK's timer goes on.
        return;
    };
    let seq = SeqNum::new(quoted.seq);
    let mut lock = BhLock::new(&so);
    let Some(mut l) = lock.unowned() else {
        match quoted.is_frag_needed() {
            true => glue_tcp::defer_mtu(&so, seq, quoted.mtu),
            false => {
                state.counts.event(Counter::LockDroppedIcmps);
                so.set_err_soft(quoted.error.errno.get());
            }
        }
        return;
    };
    let error = IcmpError {
        errno: quoted.error.errno,
        // Linux ends a connection that is being opened by any of them, and so do we: who connects wants to
        // know at once. RFC 5461 would have soft ones wait.
        hard: true,
    };
    let result = match quoted.is_frag_needed() {
        true => glue_tcp::enter(&mut l, |tp, env| {
            tp.mtu_reduced(env, seq, quoted.mtu.into())
        }),
        false => {
            let opening = matches!(
                u32::from(so.state()),
                bindings::TCP_SYN_SENT | bindings::TCP_SYN_RECV
            );
            if opening && glue_tcp::look(&mut l, |tp, _| tp.is_in_flight(seq)) {
                // Nothing was sent yet of what the user gave: what is quoted begins with the header.
                datagram::queue_error(&so, quoted, error.errno, message, 0);
            }
            glue_tcp::enter(&mut l, |tp, env| tp.icmp_error(env, seq, error))
        }
    };
    if let Err(reason) = result {
        state.counts.dropped(reason);
    }
}
