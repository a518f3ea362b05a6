// SPDX-License-Identifier: GPL-2.0
//! Packets for somebody else, in `replace`: sent on if the host would send them on.
//!
//! Mirrors [`ip_forward`](srctree/net/ipv4/ip_forward.c)

use super::ip_input::{
    send_error,
    spec_dst, //
};
use super::net::State;
use super::route::{
    Onward,
    Route,
    Way, //
};
use super::tx;
use crate::abstractions::netdevice::NetDevice;
use crate::abstractions::nf_hook::{
    self,
    Place,
    Point, //
};
use crate::abstractions::rcu::ReadGuard;
use crate::abstractions::skb_meta::PACKET_HOST;
use crate::abstractions::skbuff::Skb;
use crate::abstractions::timer;
use crate::stack::counters::Counter;
use crate::stack::drop_reason::DropReason;
use crate::stack::errno::Errno;
use crate::stack::ip::forward::{
    self,
    Refused, //
};
use crate::stack::ip::options::{
    record_in,
    Stamp, //
};
use crate::stack::ip::route::{
    Dst,
    Flow,
    Kind,
    LOOPBACK_IFINDEX, //
};
use crate::stack::ip::Header;
use crate::stack::wire::icmp::{
    redirect,
    unreach,
    Type, //
};
use crate::stack::wire::ipv4::{
    Addr,
    HEADER_LEN, //
};
use core::ptr::null_mut;

/// Takes a packet that is not for this host and whose data begin with the IP header, with what the routes say of it
/// ([`input`](super::route::input)). Softirq; consumes the packet.
#[inline]
pub(super) fn forward(
    state: &State,
    dev: &NetDevice,
    header: &Header,
    found: &Result<Dst, Errno>,
    skb: Skb,
    rcu: &ReadGuard,
) {
    if skb.pkt_type() != PACKET_HOST || !dev.forwards_ipv4() {
        state.counts.event(Counter::IpInAddrErrors);
        return state.counts.drop(skb, DropReason::IpInAddrErrors);
    }
    match found {
        Ok(info) if info.kind != Kind::Unicast => {
            state.counts.event(Counter::IpInAddrErrors);
            state.counts.drop(skb, DropReason::IpInAddrErrors);
        }
        Ok(info) => Onward::with(state, header.daddr, info, rcu, |way| match way {
            Ok(way) => forward_by(state, dev, header, &way, skb, rcu),
            Err(e) => no_route(state, header, skb, e),
        }),
        Err(e) => no_route(state, header, skb, *e),
    }
}

/// Sends the packet on by this way.
fn forward_by(
    state: &State,
    dev: &NetDevice,
    header: &Header,
    way: &Onward<'_>,
    mut skb: Skb,
    rcu: &ReadGuard,
) {
    let mtu = way.mtu(state, rcu);
    if let Err(why) = forward::forward(&mut skb, header, mtu as usize) {
        return refused(state, header, skb, why, mtu);
    }
    if usize::from(header.header_len) > HEADER_LEN {
        let flow = Flow {
            saddr: header.saddr,
            daddr: header.daddr,
            tos: header.tos,
            mark: skb.mark(),
            ..Flow::default()
        };
        if let Err(reason) = self::options(state, &flow, way.oif(), header, &mut skb) {
            return state.counts.drop(skb, reason);
        }
    }
    if way.is_detour(state, dev, header.saddr) && state.icmp_allow_redirect(header.saddr) {
        let rest = way.next_hop().octets();
        let code = redirect::HOST;
        send_error(state, &mut skb, header, Type::REDIRECT, code, rest);
    }
    finish(state, dev, way, skb, mtu, rcu);
}

/// The routes do not say where the packet should go.
///
/// Mirrors [`ip_error`](srctree/net/ipv4/route.c)
#[cold]
fn no_route(state: &State, header: &Header, mut skb: Skb, e: Errno) {
    let code = match e {
        Errno::EHOSTUNREACH => Some(unreach::HOST),
        Errno::EACCES => Some(unreach::PKT_FILTERED),
        Errno::ENETUNREACH => Some(unreach::NET),
        _ => None,
    };
    if let Some(code) = code {
        send_error(state, &mut skb, header, Type::DEST_UNREACH, code, [0; 4]);
    }
    state.counts.event(Counter::IpInNoRoutes);
    state.counts.drop(skb, DropReason::IpInNoRoutes);
}

/// The packet does not go on by a way on which `mtu` bytes fit.
#[cold]
fn refused(state: &State, header: &Header, mut skb: Skb, why: Refused, mtu: u32) {
    match why {
        Refused::Ttl => {
            state.counts.event(Counter::IpInHdrErrors);
            send_error(state, &mut skb, header, Type::TIME_EXCEEDED, 0, [0; 4]);
        }
        Refused::TooBig => {
            let [_, _, m0, m1] = mtu.to_be_bytes();
            let code = unreach::FRAG_NEEDED;
            let rest = [0, 0, m0, m1];
            send_error(state, &mut skb, header, Type::DEST_UNREACH, code, rest);
        }
        Refused::Nomem => (),
    }
    state.counts.drop(skb, why.reason());
}

/// Shows the filters a packet that came in by `dev` and is ready to go on by a way on which `mtu` bytes fit, and sends
/// it. Softirq.
///
/// Mirrors the end of [`ip_forward`](srctree/net/ipv4/ip_forward.c)
#[inline]
pub(super) fn finish(
    state: &State,
    dev: &NetDevice,
    route: &impl Way,
    mut skb: Skb,
    mtu: u32,
    rcu: &ReadGuard,
) {
    // Filters look at the packet's route, and what a program had in its queue goes on by it.
    route.dst().attach(&mut skb, rcu);
    let at = Place {
        net: state.net,
        point: Point::Forward,
        input: Some(dev),
        output: Some(route.dst().dev(rcu)),
        sk: null_mut(),
    };
    // Nobody waits for an answer.
    if let Ok(Some(skb)) = nf_hook::walk(skb, &at, rcu) {
        state.counts.event(Counter::IpForwDatagrams);
        tx::forward_output(state, route, skb, mtu, rcu);
    }
}

/// Writes this host, by the address that it has on the way out, into the options that ask for it.
///
/// Mirrors [`ip_forward_options`](srctree/net/ipv4/ip_options.c), [`ip_rt_get_source`](srctree/net/ipv4/route.c)
#[cold]
pub(super) fn options(
    state: &State,
    flow: &Flow,
    oif: i32,
    header: &Header,
    skb: &mut Skb,
) -> Result<(), DropReason> {
    let own = Flow {
        saddr: Addr::ANY,
        oif,
        iif: LOOPBACK_IFINDEX,
        ..*flow
    };
    let with = Stamp {
        out: Route::output(state, &own).map_or(Addr::ANY, |r| r.saddr()),
        here: spec_dst(state, header.saddr),
        time: timer::ms_of_day(),
    };
    let ours = |a| state.addr_type(a) != Kind::Unicast;
    record_in(skb, header.header_len, &with, ours)
}
