// SPDX-License-Identifier: GPL-2.0
//! Packets for raw sockets, and what ICMP says of theirs.
//!
//! A raw socket gets a copy of what is for others, too. In `coexist` it is made where packets are claimed,
//! in `replace` where they are delivered. [`ping`] sockets get theirs on the way.
//!
//! Mirrors [`raw.c`](srctree/net/ipv4/raw.c)

use super::{datagram, igmp, inet_sock, net::State, ping, raw::Raw};
use crate::{
    abstractions::{
        proto::Protocol as _,
        skbuff::{
            SkBuff,
            Skb, //
        },
        sock::Sock,
    },
    bindings,
    stack::{
        errno::Errno,
        icmp::{
            self,
            input::{
                Quoted,
                Redirect, //
            }, //
        },
        ip::{
            self,
            route::Kind,
            Header, //
        },
        socket::FourTuple,
        wire::{
            self,
            ipv4::{
                self,
                Addr, //
            },
        },
    },
};
use core::sync::atomic::Ordering;

/// Sockets that are looked for at a time.
const BATCH: usize = 16;

/// Gives a copy of a packet, whose data begin with the IP header, to every raw socket that wants it. Says
/// whether there was one. Softirq.
///
/// Mirrors [`raw_v4_input`](srctree/net/ipv4/raw.c)
pub(super) fn deliver(state: &State, header: &Header, skb: &Skb, ifindex: u32) -> bool {
    let protocol = u16::from(header.protocol.0);
    let hash = inet_sock::bound_hash(state.net, protocol);
    let (saddr, daddr) = (header.saddr.to_u32(), header.daddr.to_u32());
    let wants = |sk: &Sock<Raw>| {
        sk.net_ptr() == state.net.as_ptr()
            && sk.num() == protocol
            && (sk.daddr() == 0 || sk.daddr() == saddr)
            && (sk.rcv_saddr() == 0 || sk.rcv_saddr() == daddr)
            && (sk.bound_dev_if() == 0 || sk.bound_dev_if() == ifindex as i32)
            && igmp::sf_allow(sk, header.daddr, header.saddr, ifindex)
    };
    let mut heard = 0usize;
    loop {
        let mut some = [const { None }; BATCH];
        let n = Raw::table().some_bound(hash, heard, &mut some, wants);
        for so in some.iter().flatten() {
            if header.protocol == ipv4::Protocol::ICMP && is_filtered(so, header, skb) {
                continue;
            }
            match skb.dup() {
                Some(copy) => datagram::queue_rcv(state, header, copy, so, ifindex, 1),
                None => so.count_drop(),
            }
        }
        heard = heard.wrapping_add(n);
        if n < BATCH {
            break;
        }
    }
    if header.protocol == ipv4::Protocol::ICMP {
        icmp_rcv(state, header, skb, ifindex);
    }
    heard != 0
}

/// An ICMP message, whose data begin with the IP header, may be an answer for a ping socket, or about a packet
/// of one or of a raw socket.
///
/// Mirrors [`raw_icmp_error`](srctree/net/ipv4/raw.c)
fn icmp_rcv(state: &State, header: &Header, skb: &Skb, ifindex: u32) {
    let Some(mut message) = skb.dup() else {
        return;
    };
    ip::input::deliver_finish(&mut message, header);
    let to_many = state.addr_type(header.daddr) != Kind::Local;
    // Whoever it is for in the end counts it.
    let found = icmp::input::rcv(&mut message, state.net.sysctl(), to_many, |_| ());
    if let Ok(icmp::input::Message::EchoReply) = found {
        return ping::rcv(state, header, message, ifindex);
    }
    if let Ok(icmp::input::Message::Redirect(r)) = found {
        redirect(state, &r, header.saddr, ifindex);
    }
    if let Ok(icmp::input::Message::Error(quoted)) = found {
        let protocol = u16::from(quoted.protocol.0);
        let hash = inet_sock::bound_hash(state.net, protocol);
        let wants = sender(state, protocol, &quoted.id, ifindex);
        let mut told = 0usize;
        if quoted.protocol == ipv4::Protocol::ICMP {
            ping::err(state, &quoted, &mut message, ifindex);
        }
        loop {
            let mut some = [const { None }; BATCH];
            let n = Raw::table().some_bound(hash, told, &mut some, &wants);
            for so in some.iter().flatten() {
                err(state, &quoted, so, &mut message);
            }
            told = told.wrapping_add(n);
            if n < BATCH {
                break;
            }
        }
    }
    message.consume();
}

/// Whether a socket may have sent a packet of this flow that an ICMP message quotes.
fn sender<'a>(
    state: &'a State,
    protocol: u16,
    id: &FourTuple,
    ifindex: u32,
) -> impl Fn(&Sock<Raw>) -> bool + 'a {
    let (saddr, daddr) = (id.saddr.to_u32(), id.daddr.to_u32());
    move |sk| {
        sk.net_ptr() == state.net.as_ptr()
            && sk.num() == protocol
            && (sk.daddr() == 0 || sk.daddr() == daddr)
            && (sk.rcv_saddr() == 0 || sk.rcv_saddr() == saddr)
            && (sk.bound_dev_if() == 0 || sk.bound_dev_if() == ifindex as i32)
    }
}

/// The router `old` knows a better gateway for a packet that a raw or a ping socket may have sent.
#[cold]
fn redirect(state: &State, r: &Redirect, old: Addr, ifindex: u32) {
    if r.protocol == ipv4::Protocol::ICMP {
        ping::redirect(state, r, old, ifindex);
    }
    let protocol = u16::from(r.protocol.0);
    let hash = inet_sock::bound_hash(state.net, protocol);
    let mut some = [const { None }; BATCH];
    Raw::table().some_bound(hash, 0, &mut some, sender(state, protocol, &r.id, ifindex));
    // What is learned of a way holds for all who take it: those of the first batch speak for the others.
    for so in some.iter().flatten() {
        datagram::redirect(state, r, old, so);
    }
}

/// An ICMP message about a packet of the socket's.
///
/// Mirrors [`raw_err`](srctree/net/ipv4/raw.c)
fn err(state: &State, quoted: &Quoted, so: &Sock<Raw>, message: &mut SkBuff) {
    let (mut errno, mut fatal) = (quoted.error.errno, quoted.error.fatal);
    if quoted.is_frag_needed() {
        datagram::update_pmtu(state, quoted, so);
        fatal = u32::from(so.pmtudisc()) != bindings::IP_PMTUDISC_DONT;
        errno = Errno::EMSGSIZE;
    }
    let recverr = so.inet_flag(bindings::INET_FLAGS_RECVERR);
    if !recverr && (!fatal || so.state() != bindings::TCP_ESTABLISHED as u8) {
        return;
    }
    if recverr {
        // Who writes the IP header reads it, too.
        let own = so.inet_flag(bindings::INET_FLAGS_HDRINCL);
        let header_len = if own {
            0
        } else {
            usize::from(quoted.header_len)
        };
        let payload = wire::icmp::HEADER_LEN.wrapping_add(header_len);
        so.icmp_error(message, errno.get(), 0, quoted.mtu.into(), payload);
    }
    so.set_err(errno.get());
    so.error_report();
}

/// Mirrors [`icmp_filter`](srctree/net/ipv4/raw.c)
fn is_filtered(so: &Sock<Raw>, header: &Header, skb: &Skb) -> bool {
    match skb.linear().get(usize::from(header.header_len)) {
        Some(t @ 0..=31) => so.shared().filter.load(Ordering::Relaxed) & 1 << t != 0,
        Some(_) => false,
        None => true,
    }
}
