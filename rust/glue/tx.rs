// SPDX-License-Identifier: GPL-2.0
//! Transmission: from a packet with its transport header to the device's queue.
//!
//! ```text
//! queue_xmit      the IP header                       ip_queue_xmit
//!   local_out     LOCAL_OUT                           __ip_local_out
//!   output        POST_ROUTING                        ip_output
//!   finish        the link header                     ip_finish_output2, neigh_output
//!   dev::queue_xmit  the device's queue               dev_queue_xmit
//! ```
//!
//! A hook may give the packet another route, which is then a route of the host: the packet goes on by the
//! host's own output from there.

use super::igmp;
use super::neigh;
use super::net::State;
use super::route::{
    NextHop,
    Route,
    Way, //
};
use crate::abstractions::dst;
use crate::abstractions::netdevice::NetDevice;
use crate::abstractions::nf_hook::{
    self,
    Place,
    Point, //
};
use crate::abstractions::rcu::{
    self,
    ReadGuard, //
};
use crate::abstractions::skbuff::Skb;
use crate::abstractions::timer;
use crate::bindings;
use crate::stack::counters::Counter;
use crate::stack::drop_reason::DropReason;
use crate::stack::errno::Errno;
use crate::stack::ip;
use crate::stack::ip::forward::network_seglen;
use crate::stack::ip::fragment::Fragments;
use crate::stack::ip::output::Xmit;
use crate::stack::ip::route::Kind;
use crate::stack::time::Instant;
use crate::stack::wire::ethernet::{
    self,
    EtherType, //
};
use crate::stack::wire::ipv4::{
    self,
    DF, //
};
use crate::stack::wire::put;

/// Sends a packet whose data begin with the transport header, in pieces if it is longer than `mtu`. `sk` is
/// the socket that filters see as the sender; null for none. Process or softirq; consumes the packet.
///
/// Errors: ENOBUFS when the device's queue or a neighbour's is full, EPERM when a filter refuses,
/// EMSGSIZE when the packet is longer than IP's length field can say.
///
/// Mirrors [`__ip_queue_xmit`](srctree/net/ipv4/ip_output.c)
#[inline]
pub(crate) fn queue_xmit(
    state: &State,
    route: &Route,
    mut skb: Skb,
    x: &Xmit,
    mtu: u32,
    sk: *mut bindings::sock,
    now: Instant,
) -> Result<(), Errno> {
    if let Err(reason) = ip::queue_xmit(&mut skb, x) {
        state.counts.drop(skb, reason);
        return Err(match reason {
            DropReason::PktTooBig => Errno::EMSGSIZE,
            _ => Errno::ENOBUFS,
        });
    }
    local_out(state, route, skb, mtu, sk, now)
}

/// Sends a packet whose data begin with its IP header, as [`queue_xmit`] does.
///
/// Mirrors [`ip_local_out`](srctree/net/ipv4/ip_output.c)
#[inline]
pub(super) fn local_out(
    state: &State,
    route: &Route,
    mut skb: Skb,
    mtu: u32,
    sk: *mut bindings::sock,
    now: Instant,
) -> Result<(), Errno> {
    state.counts.event(Counter::IpOutRequests);
    let rcu = rcu::read_lock();
    skb.set_protocol(EtherType::IPV4.0);
    let dev = route.dst.dev(&rcu);
    skb.set_dev(dev);
    route.dst.attach(&mut skb, &rcu);
    let Some(skb) = walk(state, route, dev, skb, sk, Point::LocalOut, &rcu)? else {
        return Ok(());
    };
    let Some(mut skb) = walk(state, route, dev, skb, sk, Point::PostRouting, &rcu)? else {
        return Ok(());
    };
    if matches!(route.kind(), Kind::Multicast | Kind::Broadcast) {
        match mc_output(state, route, dev, skb, true) {
            Some(s) => skb = s,
            None => return Ok(()),
        }
    }
    output(state, route, dev, skb, mtu, || now)
}

/// Lets this host hear a packet to a group or to everybody, its `own` also if it sends packets to groups on. `None`: it
/// was not to go further.
///
/// Mirrors [`ip_mc_output`](srctree/net/ipv4/ip_output.c)
#[cold]
fn mc_output(state: &State, route: &impl Way, dev: &NetDevice, skb: Skb, own: bool) -> Option<Skb> {
    let Ok(fields) = ipv4::Packet::new_quoted(skb.linear()).map(|p| p.fields()) else {
        return Some(skb);
    };
    let group = route.kind() == Kind::Multicast;
    // What the loopback device sends comes back by itself.
    let daddr = fields.daddr();
    let wanted =
        || igmp::has_group(state, dev, daddr) || (own && state.mroute.takes(dev.ifindex(), daddr));
    let heard = !group || (skb.mc_loop() && wanted());
    if heard && !dev.is_loopback() {
        skb.loop_back(state.net);
    }
    if group && fields.ttl() == 0 {
        skb.consume();
        return None;
    }
    Some(skb)
}

/// Sends a packet on that is somebody else's, and that begins with its IP header, by a way on which `mtu` bytes fit.
///
/// Mirrors [`ip_forward_finish`](srctree/net/ipv4/ip_forward.c), [`ip_output`](srctree/net/ipv4/ip_output.c)
#[inline]
pub(super) fn forward_output(
    state: &State,
    route: &impl Way,
    mut skb: Skb,
    mtu: u32,
    rcu: &ReadGuard,
) {
    let dev = route.dst().dev(rcu);
    if !skb.cow(dev.reserved_space()) {
        state.counts.event(Counter::IpOutDiscards);
        return state.counts.drop(skb, DropReason::Nomem);
    }
    skb.forward_csum();
    skb.set_dev(dev);
    // A filter may have changed that.
    if !route.dst().is_on(&skb) {
        route.dst().attach(&mut skb, rcu);
    }
    let sk = core::ptr::null_mut();
    // Nobody waits for an answer: whoever dropped the packet has counted it.
    if let Ok(Some(mut skb)) = walk(state, route, dev, skb, sk, Point::PostRouting, rcu) {
        if route.kind() == Kind::Multicast {
            match mc_output(state, route, dev, skb, false) {
                Some(s) => skb = s,
                None => return,
            }
        }
        let _ = output(state, route, dev, skb, mtu, timer::now);
    }
}

/// Walks a packet through the hooks of a place on its way out. `None`: it has gone another way.
#[inline]
fn walk(
    state: &State,
    route: &impl Way,
    dev: &NetDevice,
    mut skb: Skb,
    sk: *mut bindings::sock,
    point: Point,
    rcu: &ReadGuard,
) -> Result<Option<Skb>, Errno> {
    if nf_hook::count(state.net, point) == 0 {
        return Ok(Some(skb));
    }
    // Filters look for the host's notes there.
    skb.cb_clear();
    let at = Place {
        net: state.net,
        point,
        input: None,
        output: Some(dev),
        sk,
    };
    let walked = nf_hook::walk(skb, &at, rcu);
    let Some(skb) = walked.map_err(|e| Errno::from_positive(e).unwrap_or(Errno::EPERM))? else {
        return Ok(None);
    };
    if !route.dst().is_on(&skb) {
        return by_host(state, skb).map(|()| None);
    }
    Ok(Some(skb))
}

/// Cuts the packet if it is too long, and sends it.
///
/// Mirrors [`ip_finish_output`](srctree/net/ipv4/ip_output.c)
#[inline]
fn output(
    state: &State,
    route: &impl Way,
    dev: &NetDevice,
    skb: Skb,
    mtu: u32,
    now: impl FnOnce() -> Instant,
) -> Result<(), Errno> {
    if skb.len() > mtu as usize && network_seglen(&skb) > mtu as usize {
        return match skb.gso_size() {
            0 => fragment(state, route, dev, skb, mtu, now()),
            _ => segment(state, route, dev, skb, mtu, now()),
        };
    }
    finish(state, route, dev, skb, now)
}

/// Cuts a GSO packet into those that it stands for, and them, for they are too long for the way.
///
/// Mirrors [`ip_finish_output_gso`](srctree/net/ipv4/ip_output.c)
#[cold]
fn segment(
    state: &State,
    route: &impl Way,
    dev: &NetDevice,
    skb: Skb,
    mtu: u32,
    now: Instant,
) -> Result<(), Errno> {
    let segments = match skb.segments() {
        Ok(segments) => segments,
        Err(skb) => {
            state.counts.event(Counter::IpOutDiscards);
            state.counts.drop(skb, DropReason::Nomem);
            return Err(Errno::ENOMEM);
        }
    };
    let mut result = Ok(());
    for skb in segments {
        // What the first failed by; the others are sent all the same.
        result = result.and(output(state, route, dev, skb, mtu, || now));
    }
    result
}

/// Cuts a packet that is too long for its way; who forbade that is told.
///
/// Mirrors [`ip_fragment`, `ip_do_fragment`](srctree/net/ipv4/ip_output.c)
#[cold]
fn fragment(
    state: &State,
    route: &impl Way,
    dev: &NetDevice,
    mut skb: Skb,
    mtu: u32,
    now: Instant,
) -> Result<(), Errno> {
    let fail = |skb: Skb, reason, errno| {
        state.counts.event(Counter::IpFragFails);
        state.counts.drop(skb, reason);
        Err(errno)
    };
    let df = ipv4::Packet::new_quoted(skb.linear()).is_ok_and(|p| p.fields().frag_off() & DF != 0);
    if df {
        return fail(skb, DropReason::PktTooBig, Errno::EMSGSIZE);
    }
    // The sum is over all fragments: nobody behind us can make it.
    if skb.csum_is_partial() && !skb.checksum_help() {
        return fail(skb, DropReason::Nomem, Errno::ENOBUFS);
    }
    match send_fragments(state, route, dev, &skb, mtu, now) {
        Ok(()) => {
            state.counts.event(Counter::IpFragOks);
            skb.consume();
            Ok(())
        }
        Err((reason, errno)) => fail(skb, reason, errno),
    }
}

/// Sends a packet in fragments, up to the first that fails: without one the others are of no use.
fn send_fragments(
    state: &State,
    route: &impl Way,
    dev: &NetDevice,
    skb: &Skb,
    mtu: u32,
    now: Instant,
) -> Result<(), (DropReason, Errno)> {
    let fragments = Fragments::new(skb, mtu, dev.reserved_space())
        .ok_or((DropReason::PktTooBig, Errno::EMSGSIZE))?;
    for fragment in fragments {
        let mut fragment = fragment.map_err(|_| (DropReason::Nomem, Errno::ENOBUFS))?;
        fragment.copy_metadata(skb);
        state.counts.event(Counter::IpFragCreates);
        finish(state, route, dev, fragment, || now).map_err(|e| (DropReason::NotSpecified, e))?;
    }
    Ok(())
}

/// Goes on by the route that a filter gave the packet.
#[cold]
fn by_host(state: &State, skb: Skb) -> Result<(), Errno> {
    xmit_errno(dst::output(state.net, skb))
}

/// Counts a packet that is on its way to a device.
#[inline]
fn count_transmit(state: &State, kind: Kind, skb: &Skb) {
    let len = skb.len() as u64;
    match kind {
        Kind::Multicast => {
            state.counts.event(Counter::IpOutMcastPkts);
            state.counts.events(Counter::IpOutMcastOctets, len);
        }
        Kind::Broadcast => {
            state.counts.event(Counter::IpOutBcastPkts);
            state.counts.events(Counter::IpOutBcastOctets, len);
        }
        _ => (),
    }
    state.counts.event(Counter::IpOutTransmits);
    state.counts.events(Counter::IpOutOctets, len);
}

/// Finds the link-layer address of the next hop.
///
/// Mirrors [`ip_finish_output2`](srctree/net/ipv4/ip_output.c)
#[inline]
fn finish(
    state: &State,
    route: &impl Way,
    dev: &NetDevice,
    skb: Skb,
    now: impl FnOnce() -> Instant,
) -> Result<(), Errno> {
    count_transmit(state, route.kind(), &skb);
    match route.hop() {
        NextHop::Neigh(n) => neigh::output(state, n, dev, skb, now),
        NextHop::Static(ha) => xmit(state, dev, skb, ha),
    }
}

/// Puts the link header in front and hands the packet to the device.
#[inline]
pub(super) fn xmit(
    state: &State,
    dev: &NetDevice,
    mut skb: Skb,
    ha: ethernet::Addr,
) -> Result<(), Errno> {
    if !dev.has_ethernet_header() {
        skb.reset_mac_header();
    } else if !push_ethernet(&mut skb, dev, ha) {
        state.counts.drop(skb, DropReason::NeighHhFillfail);
        return Err(Errno::ENOBUFS);
    }
    xmit_errno(NetDevice::queue_xmit(skb))
}

/// Puts an Ethernet header in front; `false` when there is no room.
///
/// Mirrors [`eth_header`](srctree/net/ethernet/eth.c)
#[inline]
pub(super) fn push_ethernet(skb: &mut Skb, dev: &NetDevice, dest: ethernet::Addr) -> bool {
    let protocol = skb.protocol();
    let header = skb
        .push(ethernet::HEADER_LEN)
        .and_then(|h| h.first_chunk_mut::<{ ethernet::HEADER_LEN }>());
    let Some(header) = header else {
        return false;
    };
    let rest = put(header, dest.0);
    let rest = put(rest, dev.addr());
    put(rest, protocol.to_be_bytes());
    skb.reset_mac_header();
    true
}

/// The answer of the device's queue as an error.
///
/// Mirrors [`net_xmit_errno`](srctree/include/linux/netdevice.h)
#[inline]
pub(super) fn xmit_errno(ret: i32) -> Result<(), Errno> {
    match ret {
        0 => Ok(()),
        // Congestion: the packet itself was taken.
        r if r == bindings::NET_XMIT_CN as i32 => Ok(()),
        r if r < 0 => Err(Errno::from_positive(-r).unwrap_or(Errno::ENOBUFS)),
        _ => Err(Errno::ENOBUFS),
    }
}
