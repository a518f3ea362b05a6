// SPDX-License-Identifier: GPL-2.0
//! IPv4 packets that are RustNet's from the start, and ICMP.
//!
//! In `replace` every packet comes this way: header checks, PRE_ROUTING, is it for us, put together
//! if it came in pieces, LOCAL_IN, transport. ICMP comes here in both modes, once it is known to be ours.

use super::demux;
use super::forward;
use super::frag;
use super::igmp;
use super::mroute;
use super::net::{
    Mode,
    State, //
};
use super::raw_input;
use super::route::{
    self,
    Route, //
};
use super::rx;
use super::tx;
use crate::abstractions::netdevice::NetDevice;
use crate::abstractions::nf_hook::{
    self,
    Place,
    Point, //
};
use crate::abstractions::rcu::ReadGuard;
use crate::abstractions::rp_filter::{
    self,
    Spoofed, //
};
use crate::abstractions::skb_meta::{
    PACKET_LOOPBACK,
    PACKET_OTHERHOST, //
};
use crate::abstractions::skbuff::Skb;
use crate::abstractions::timer;
use crate::stack::counters::Counter;
use crate::stack::drop_reason::DropReason;
use crate::stack::icmp;
use crate::stack::icmp::input::Quoted;
use crate::stack::ip::options;
use crate::stack::ip::output::Xmit;
use crate::stack::ip::route::{
    Flow,
    Kind, //
};
use crate::stack::ip::{
    self,
    Header, //
};
use crate::stack::socket::FourTuple;
use crate::stack::wire::icmp::{
    unreach,
    Type, //
};
use crate::stack::wire::ipv4::{
    self,
    Addr,
    Protocol, //
};
use core::ptr::null_mut;

/// Takes a packet whose data begin with the IP header. Softirq, under RCU; consumes the packet.
///
/// Mirrors [`ip_rcv`](srctree/net/ipv4/ip_input.c)
#[inline]
pub(super) fn rcv(state: &State, dev: &NetDevice, mut skb: Skb, rcu: &ReadGuard) {
    if skb.pkt_type() == PACKET_OTHERHOST {
        return state.counts.drop(skb, DropReason::Otherhost);
    }
    state.counts.event(Counter::IpInReceives);
    state.counts.events(Counter::IpInOctets, skb.len() as u64);
    let header = match ip::rcv(&mut skb, |c| state.counts.event(c)) {
        Ok(header) => header,
        Err(reason) => return state.counts.drop(skb, reason),
    };
    count_ecn(state, header.tos, u64::from(skb.gso_segs().max(1)));
    skb.cb_clear();
    // Our own hook there is for what the host walks.
    if nf_hook::is_only::<rx::PreRouting>(state.net, Point::PreRouting, rcu) {
        return rcv_finish_core(state, dev, &header, skb, rcu);
    }
    let at = Place {
        net: state.net,
        point: Point::PreRouting,
        input: Some(dev),
        output: None,
        sk: null_mut(),
    };
    if let Ok(Some(skb)) = nf_hook::walk(skb, &at, rcu) {
        rcv_finish(state, dev, skb, rcu);
    }
}

/// Counts packets by what they say of congestion: RFC 3168, 5.
#[inline]
fn count_ecn(state: &State, tos: u8, segs: u64) {
    match tos & 3 {
        0 => state.counts.events(Counter::IpInNoEctPkts, segs),
        1 => state.counts.events(Counter::IpInEct1Pkts, segs),
        2 => state.counts.events(Counter::IpInEct0Pkts, segs),
        _ => state.counts.events(Counter::IpInCePkts, segs),
    }
}

/// Counts a packet to a group.
pub(super) fn count_mcast(state: &State, skb: &Skb) {
    state.counts.event(Counter::IpInMcastPkts);
    state
        .counts
        .events(Counter::IpInMcastOctets, skb.len() as u64);
}

/// Counts a packet to everybody on the link.
#[cold]
fn count_bcast(state: &State, skb: &Skb) {
    state.counts.event(Counter::IpInBcastPkts);
    state
        .counts
        .events(Counter::IpInBcastOctets, skb.len() as u64);
}

/// Reads a header that was found good once, and that filters may have rewritten.
fn header(skb: &mut Skb) -> Result<Header, DropReason> {
    ip::rcv(skb, |_| ())
}

/// Goes on with a packet that has passed PRE_ROUTING, where filters may have rewritten it.
///
/// Mirrors [`ip_rcv_finish`](srctree/net/ipv4/ip_input.c)
pub(super) fn rcv_finish(state: &State, dev: &NetDevice, mut skb: Skb, rcu: &ReadGuard) {
    match header(&mut skb) {
        Ok(header) => rcv_finish_core(state, dev, &header, skb, rcu),
        Err(reason) => state.counts.drop(skb, reason),
    }
}

/// Where to? Mirrors [`ip_rcv_finish_core`](srctree/net/ipv4/ip_input.c),
/// [`ip_route_input_rcu`](srctree/net/ipv4/route.c)
#[inline]
fn rcv_finish_core(state: &State, dev: &NetDevice, header: &Header, skb: Skb, rcu: &ReadGuard) {
    let on_lo = skb.dev().is_some_and(|d| d.is_loopback());
    if !on_lo {
        let sound = ip::input::check_martian(header.saddr, header.daddr)
            .and_then(|()| validate_source(state, dev, header, &skb, rcu));
        if let Err(reason) = sound {
            return state.counts.drop(skb, reason);
        }
    }
    let daddr = header.daddr;
    if daddr.is_multicast() && !on_lo {
        if let Some(skb) = mroute::input(state, dev.ifindex(), header, skb) {
            local_deliver(state, dev, header, skb, rcu);
        }
        return;
    }
    // What goes to groups on the loopback device is this host's own, and for itself.
    if daddr.is_multicast() || daddr.is_broadcast() || daddr.is_zeronet() {
        match daddr.is_multicast() {
            true => count_mcast(state, &skb),
            false => count_bcast(state, &skb),
        }
        return local_deliver(state, dev, header, skb, rcu);
    }
    let flow = Flow {
        saddr: header.saddr,
        daddr,
        tos: header.tos,
        iif: dev.ifindex() as i32,
        mark: skb.mark(),
        ..Flow::default()
    };
    let found = route::input(state, &flow, rcu);
    if found.is_ok_and(|d| matches!(d.kind, Kind::Local | Kind::Broadcast)) {
        if found.is_ok_and(|d| d.kind == Kind::Broadcast) {
            count_bcast(state, &skb);
        }
        return local_deliver(state, dev, header, skb, rcu);
    }
    forward::forward(state, dev, header, &found, skb, rcu);
}

/// Drops what claims to be from this host, or from where nothing comes this way: RFC 1122, 3.2.1.3; RFC 3704.
///
/// Mirrors [`fib_validate_source`](srctree/net/ipv4/fib_frontend.c)
#[inline]
fn validate_source(
    state: &State,
    dev: &NetDevice,
    header: &Header,
    skb: &Skb,
    rcu: &ReadGuard,
) -> Result<(), DropReason> {
    // Who has no address yet has no way back, and what this host sent to a group is its own.
    if header.saddr.is_any() || skb.pkt_type() == PACKET_LOOPBACK {
        return Ok(());
    }
    let strict = dev.rp_filter();
    let checked = if strict != 0 {
        let ends = (header.saddr.to_u32(), header.daddr.to_u32(), header.tos);
        rp_filter::validate_source(state.net, dev, ends, strict)
    } else if state.addr_type_in(rcu, header.saddr) == Kind::Local && !dev.accept_local() {
        Err(Spoofed::Local)
    } else {
        Ok(())
    };
    match checked {
        Ok(()) => Ok(()),
        Err(Spoofed::Local) => Err(DropReason::IpLocalSource),
        Err(Spoofed::Invalid) => Err(DropReason::IpInvalidSource),
        Err(Spoofed::Path) => {
            state.counts.event(Counter::IpReversePathFilter);
            Err(DropReason::IpRpfilter)
        }
    }
}

/// Mirrors [`ip_local_deliver`](srctree/net/ipv4/ip_input.c)
fn local_deliver(state: &State, dev: &NetDevice, header: &Header, skb: Skb, rcu: &ReadGuard) {
    let skb = match header.is_fragment() {
        true => frag::defrag(state, dev.ifindex(), header, skb),
        false => Some(skb),
    };
    let Some(skb) = skb else {
        return;
    };
    let at = Place {
        net: state.net,
        point: Point::LocalIn,
        input: Some(dev),
        output: None,
        sk: null_mut(),
    };
    if let Ok(Some(skb)) = nf_hook::walk(skb, &at, rcu) {
        local_deliver_finish(state, dev.ifindex(), skb);
    }
}

/// Writes this host into the options of a packet that has arrived, if they ask for that.
#[cold]
fn record(state: &State, header: &Header, skb: &mut Skb) -> Result<(), DropReason> {
    let here = match state.addr_type(header.daddr) {
        Kind::Local => header.daddr,
        _ => spec_dst(state, header.saddr),
    };
    let with = options::Stamp {
        out: here,
        here,
        time: timer::ms_of_day(),
    };
    let ours = |a| state.addr_type(a) != Kind::Unicast;
    options::record_in(skb, header.header_len, &with, ours)
}

/// This host's address to somebody who has sent it something.
///
/// Mirrors [`fib_compute_spec_dst`](srctree/net/ipv4/fib_frontend.c)
pub(super) fn spec_dst(state: &State, saddr: Addr) -> Addr {
    let back = Flow {
        daddr: saddr,
        iif: crate::stack::ip::route::LOOPBACK_IFINDEX,
        ..Flow::default()
    };
    Route::output(state, &back).map_or(Addr::ANY, |r| r.saddr())
}

/// Whose is it? Mirrors [`ip_protocol_deliver_rcu`](srctree/net/ipv4/ip_input.c)
pub(super) fn local_deliver_finish(state: &State, ifindex: u32, mut skb: Skb) {
    let header = match header(&mut skb) {
        Ok(h) => h,
        Err(reason) => return state.counts.drop(skb, reason),
    };
    skb.nf_reset_ct();
    if usize::from(header.header_len) > ipv4::HEADER_LEN {
        if let Err(reason) = record(state, &header, &mut skb) {
            return state.counts.drop(skb, reason);
        }
    }
    state.counts.event(Counter::IpInDelivers);
    let heard = state.has_raw() && raw_input::deliver(state, &header, &skb, ifindex);
    ip::input::deliver_finish(&mut skb, &header);
    match header.protocol {
        Protocol::ICMP => icmp_rcv(state, &header, ifindex, skb),
        Protocol::TCP | Protocol::UDP => {
            let Some(key) = demux::Key::of(&header, &mut skb, ifindex) else {
                return state.counts.drop(skb, DropReason::PktTooSmall);
            };
            if header.protocol == Protocol::UDP && state.addr_type(header.daddr) != Kind::Local {
                return demux::rcv_group(state, &key, &header, skb);
            }
            match demux::any(state, &key) {
                Some(found) => found.rcv(state, &header, skb),
                None => demux::no_socket(state, &key, &header, skb),
            }
        }
        Protocol::IGMP => igmp::rcv(state, ifindex, skb),
        _ if heard => skb.consume(),
        _ => {
            state.counts.event(Counter::IpInUnknownProtos);
            send_unreach(state, &mut skb, &header, unreach::PROTOCOL);
            state.counts.drop(skb, DropReason::IpNoProto);
        }
    }
}

/// Whether an ICMP message, given with its IP header, is an error about a flow of ours.
pub(super) fn icmp_error_owner(state: &State, bytes: &[u8], ifindex: u32) -> bool {
    let Ok(outer) = ipv4::Packet::new_quoted(bytes) else {
        return false;
    };
    let Some((message, quoted)) = outer.payload().split_at_checked(8) else {
        return false;
    };
    let errors = [
        Type::DEST_UNREACH,
        Type::REDIRECT,
        Type::TIME_EXCEEDED,
        Type::PARAMETER_PROB,
    ];
    if !message.first().is_some_and(|t| errors.contains(&Type(*t))) {
        return false;
    }
    let Ok(inner) = ipv4::Packet::new_quoted(quoted) else {
        return false;
    };
    let f = inner.fields();
    let Some([s0, s1, d0, d1]) = inner.payload().first_chunk::<4>().copied() else {
        return false;
    };
    let key = demux::Key {
        protocol: f.protocol(),
        // Seen from here: the quoted packet's destination is the peer.
        saddr: f.daddr(),
        daddr: f.saddr(),
        sport: u16::from_be_bytes([d0, d1]),
        dport: u16::from_be_bytes([s0, s1]),
        ifindex,
    };
    demux::owns(state, &key)
}

/// Takes a message whose data begin with the ICMP header. Mirrors [`icmp_rcv`](srctree/net/ipv4/icmp.c)
pub(super) fn icmp_rcv(state: &State, header: &Header, ifindex: u32, mut skb: Skb) {
    let to_many = state.addr_type(header.daddr) != Kind::Local;
    let sysctl = state.net.sysctl();
    match icmp::input::rcv(&mut skb, sysctl, to_many, |c| state.counts.event(c)) {
        Ok(icmp::input::Message::Error(mut quoted)) => {
            if quoted.is_frag_needed() {
                match sysctl.ip_no_pmtu_disc() {
                    // Believed as it is. TCP and UDP look whether the quoted packet is theirs.
                    0 => (),
                    3 if quoted.protocol == Protocol::TCP => (),
                    // Not listened to.
                    2 | 3 => return skb.consume(),
                    // Believed only in so far as the path is narrow.
                    _ => quoted.mtu = 0,
                }
            }
            demux::icmp_error(state, &quoted, ifindex, Some(&mut skb));
            skb.consume();
        }
        Ok(icmp::input::Message::Redirect(redirect)) => {
            demux::redirect(state, &redirect, header.saddr, ifindex);
            skb.consume();
        }
        Ok(icmp::input::Message::Echo)
            if state.mode() == Mode::Replace && sysctl.icmp_echo_ignore_all() == 0 =>
        {
            if let Some(reply) = icmp::output::echo_reply(&mut skb) {
                state.counts.event(Counter::IcmpOutEchoReps);
                let mut records = [0; options::MAX_LEN];
                let asked = skb.network_header();
                let asked = asked.get(ipv4::HEADER_LEN..usize::from(header.header_len));
                let n = options::echo(asked.unwrap_or(&[]), &mut records);
                reply_with(state, header, reply, false, records.get_mut(..n));
            }
            skb.consume();
        }
        Ok(_) => skb.consume(),
        Err(reason) => state.counts.drop(skb, reason),
    }
}

/// Tells the sender of a packet for this host, whose data begin with the transport header, that it did
/// not arrive. Only where RustNet answers for the host.
pub(crate) fn send_unreach(state: &State, skb: &mut Skb, header: &Header, code: u8) {
    if state.mode() == Mode::Replace && state.addr_type(header.daddr) == Kind::Local {
        send_error(state, skb, header, Type::DEST_UNREACH, code, [0; 4]);
    }
}

/// Tells the sender of a packet what became of it. `rest` is the second word of the message.
///
/// Mirrors [`__icmp_send`](srctree/net/ipv4/icmp.c)
pub(super) fn send_error(
    state: &State,
    skb: &mut Skb,
    header: &Header,
    kind: Type,
    code: u8,
    rest: [u8; 4],
) {
    // RFC 1122, 3.2.2: never about an error, a broadcast or a later fragment.
    let payload = skb.network_header().get(usize::from(header.header_len)..);
    if !icmp::output::may_send_error(header, payload.unwrap_or(&[]))
        || skb.is_for_many()
        || !state.icmp_allow(kind, code, header.saddr)
    {
        return;
    }
    if let Some(message) = icmp::output::error(skb, kind, code, rest) {
        state.counts.event(match kind {
            Type::TIME_EXCEEDED => Counter::IcmpOutTimeExcds,
            Type::REDIRECT => Counter::IcmpOutRedirects,
            _ => Counter::IcmpOutDestUnreachs,
        });
        reply_with(state, header, message, true, None);
    }
}

/// Sends an ICMP message back to where `header` came from, with options in which this host is to be recorded.
///
/// Mirrors [`icmp_push_reply`](srctree/net/ipv4/icmp.c)
fn reply_with(
    state: &State,
    header: &Header,
    mut skb: Skb,
    is_error: bool,
    records: Option<&mut [u8]>,
) {
    // About a packet that was not for this host: from the address of the device that the answer leaves by.
    let saddr = match state.addr_type(header.daddr) {
        Kind::Local => header.daddr,
        _ => Addr::ANY,
    };
    let flow = Flow {
        saddr,
        daddr: header.saddr,
        iif: crate::stack::ip::route::LOOPBACK_IFINDEX,
        ..Flow::default()
    };
    let Ok(route) = Route::output(state, &flow) else {
        return;
    };
    state.counts.event(Counter::IcmpOutMsgs);
    let mut x = Xmit {
        saddr: route.saddr(),
        daddr: header.saddr,
        protocol: Protocol::ICMP,
        tos: match is_error {
            true => icmp::output::error_tos(header.tos),
            false => header.tos & 0x1e,
        },
        ttl: route.hoplimit(state.net),
        dont_fragment: false,
        id: 0,
    };
    x.id = state.idents.select(&x, 1);
    let (mtu, now) = (route.mtu(), timer::now());
    let _ = match records.filter(|o| !o.is_empty()) {
        None => tx::queue_xmit(state, &route, skb, &x, mtu, null_mut(), now),
        Some(asked) => {
            let ours = |a| state.addr_type(a) != Kind::Unicast;
            let with = options::Stamp {
                out: x.saddr,
                here: x.saddr,
                time: timer::ms_of_day(),
            };
            options::record(asked, &with, ours);
            match ip::output::queue_xmit_options(&mut skb, &x, asked) {
                Ok(()) => tx::local_out(state, &route, skb, mtu, null_mut(), now),
                Err(reason) => return state.counts.drop(skb, reason),
            }
        }
    };
}

/// The next hop of a packet, whose data begin with the IP header, does not answer: who sent it is told, and if that is
/// this host, as by a message of this host's to itself.
///
/// Mirrors [`ipv4_link_failure`](srctree/net/ipv4/route.c)
#[cold]
pub(super) fn link_failure(state: &State, skb: &mut Skb) {
    let (kind, code) = (Type::DEST_UNREACH, unreach::HOST);
    if let Ok(header) = ip::input::checked(skb) {
        if state.addr_type(header.saddr) != Kind::Local {
            return send_error(state, skb, &header, kind, code, [0; 4]);
        }
    }
    let Some(quoted) = quote(skb.linear(), kind, code) else {
        return;
    };
    let mut message = icmp::output::error(skb, kind, code, [0; 4]);
    if let Some(m) = &mut message {
        let own = quoted.id.saddr;
        let x = Xmit {
            saddr: own,
            daddr: own,
            protocol: Protocol::ICMP,
            tos: 0,
            ttl: ip::output::DEFAULT_TTL,
            dont_fragment: false,
            id: 0,
        };
        if ip::queue_xmit(m, &x).is_err() {
            return;
        }
        m.pull(ipv4::HEADER_LEN);
    }
    demux::icmp_error(state, &quoted, 0, message.as_deref_mut());
}

/// A packet of ours that failed before it left, given from its IP header on, as an error would quote it.
fn quote(bytes: &[u8], kind: Type, code: u8) -> Option<Quoted> {
    let error = icmp::error::err_convert(kind, code)?;
    let packet = ipv4::Packet::new_quoted(bytes).ok()?;
    let f = packet.fields();
    let [s0, s1, d0, d1, q0, q1, q2, q3] = *packet.payload().first_chunk::<8>()?;
    Some(Quoted {
        error,
        kind,
        code,
        protocol: f.protocol(),
        id: FourTuple {
            saddr: f.saddr(),
            daddr: f.daddr(),
            sport: u16::from_be_bytes([s0, s1]),
            dport: u16::from_be_bytes([d0, d1]),
        },
        header_len: f.header_len() as u8,
        seq: u32::from_be_bytes([q0, q1, q2, q3]),
        mtu: 0,
    })
}
