// SPDX-License-Identifier: GPL-2.0
//! Packets for somebody else, in `replace`: sent on if the host would send them on.
//!
//! Mirrors [`ip_forward`](srctree/net/ipv4/ip_forward.c)

use super::ip_input::{
    send_error,
    spec_dst, //
};
use super::net::State;
use super::route::Route;
use super::tx;
use crate::abstractions::netdevice::NetDevice;
use crate::abstractions::nf_hook::{
    self,
    Place,
    Point, //
};
use crate::abstractions::rcu;
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

/// Takes a packet that is not for this host and whose data begin with the IP header. Softirq, under RCU;
/// consumes the packet.
pub(super) fn forward(state: &State, dev: &NetDevice, header: &Header, mut skb: Skb) {
    if skb.pkt_type() != PACKET_HOST || !dev.forwards_ipv4() {
        state.counts.event(Counter::IpInAddrErrors);
        return state.counts.drop(skb, DropReason::IpInAddrErrors);
    }
    let flow = Flow {
        saddr: header.saddr,
        daddr: header.daddr,
        tos: header.tos,
        iif: dev.ifindex() as i32,
        mark: skb.mark(),
        ..Flow::default()
    };
    let route = match Route::output(state, &flow) {
        Ok(route) if route.kind() == Kind::Unicast => route,
        Ok(_) => {
            state.counts.event(Counter::IpInAddrErrors);
            return state.counts.drop(skb, DropReason::IpInAddrErrors);
        }
        Err(e) => {
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
            return state.counts.drop(skb, DropReason::IpInNoRoutes);
        }
    };
    let mtu = route.forward_mtu(state);
    if let Err(refused) = forward::forward(&mut skb, header, mtu as usize) {
        match refused {
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
        return state.counts.drop(skb, refused.reason());
    }
    if usize::from(header.header_len) > HEADER_LEN {
        if let Err(reason) = self::options(state, &flow, &route, header, &mut skb) {
            return state.counts.drop(skb, reason);
        }
    }
    if route.is_detour(state, dev, header.saddr) && state.icmp_allow_redirect(header.saddr) {
        let rest = route.next_hop().octets();
        send_error(
            state,
            &mut skb,
            header,
            Type::REDIRECT,
            redirect::HOST,
            rest,
        );
    }
    finish(state, dev, &route, skb);
}

/// Shows the filters a packet that came in by `dev` and is ready to go on, and sends it. Softirq, under RCU.
///
/// Mirrors the end of [`ip_forward`](srctree/net/ipv4/ip_forward.c)
pub(super) fn finish(state: &State, dev: &NetDevice, route: &Route, mut skb: Skb) {
    let rcu = rcu::read_lock();
    // Filters look at the packet's route, and what a program had in its queue goes on by it.
    route.dst.attach(&mut skb, &rcu);
    let at = Place {
        net: state.net,
        point: Point::Forward,
        input: Some(dev),
        output: Some(route.dst.dev(&rcu)),
        sk: null_mut(),
    };
    // Nobody waits for an answer.
    if let Ok(Some(skb)) = nf_hook::walk_under(skb, &at, &rcu) {
        state.counts.event(Counter::IpForwDatagrams);
        tx::forward_output(state, route, skb);
    }
}

/// Writes this host, by the address that it has on the way out, into the options that ask for it.
///
/// Mirrors [`ip_forward_options`](srctree/net/ipv4/ip_options.c), [`ip_rt_get_source`](srctree/net/ipv4/route.c)
#[cold]
pub(super) fn options(
    state: &State,
    flow: &Flow,
    route: &Route,
    header: &Header,
    skb: &mut Skb,
) -> Result<(), DropReason> {
    let own = Flow {
        saddr: Addr::ANY,
        oif: route.oif() as i32,
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
