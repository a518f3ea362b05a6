// SPDX-License-Identifier: GPL-2.0
//! Received frames: which of them are RustNet's, and taking them from the host.
//!
//! In `coexist` packets are claimed where the host delivers to itself ([`LocalIn`]), behind its filters. By
//! then the host has put fragments together, undone NAT, and found that the packet is for this host and
//! comes from where it claims to be: a claim needs to ask about the socket alone. Both hooks are passed by every packet
//! of the host, so they first ask a small table whether anybody here has the packet's port at all.
//!
//! Where nobody else wants to see what is delivered, and there is nothing to put together, they are claimed a step earlier
//! ([`Early`]), and the host's routes are asked by us. They are not asked again for a connection as long as nothing of
//! them has changed: the host does the same for its own ([`ip_rcv_finish_core`](srctree/net/ipv4/ip_input.c)), and the
//! same settings (`net.ipv4.ip_early_demux` and its like) switch it off.
//!
//! In `replace` every IPv4 frame is taken at the device's ingress hook ([`Ingress`]) and the host's
//! own handlers are silenced ([`Silence`]). ARP is heard in both modes ([`Arp`]).

use super::demux;
use super::ip_input;
use super::neigh;
use super::net::{
    Mode,
    Ports,
    State, //
};
use super::raw_input;
use crate::abstractions::bh;
use crate::abstractions::netdevice::{
    NetDevice,
    Notifier, //
};
use crate::abstractions::netns::Net;
use crate::abstractions::nf_hook::{
    self,
    Hook,
    Passing,
    Point, //
};
use crate::abstractions::packet_type::{
    Handler,
    PacketType, //
};
use crate::abstractions::rcu::{
    self,
    ReadGuard, //
};
use crate::abstractions::rx_way::RxWay;
use crate::abstractions::skb_meta::PACKET_HOST;
use crate::abstractions::skbuff::{
    SkBuff,
    Skb, //
};
use crate::stack::counters::Counter;
use crate::stack::ip;
use crate::stack::wire::ethernet::EtherType;
use crate::stack::wire::ipv4::{
    Protocol,
    HEADER_LEN, //
};
use kernel::error::Result;

const ETH_P_IP: u16 = EtherType::IPV4.0;
const ETH_P_ARP: u16 = EtherType::ARP.0;
/// The operation of an ARP packet that answers, as it stands on the wire.
const ARP_REPLY: [u8; 2] = [0, 2];

/// Where frames of a device enter, in `replace`. What a device above this one is to see first is left to
/// that device's own hook.
pub(crate) struct Ingress;

impl Hook for Ingress {
    type Owner = State;

    fn call(state: &State, packet: &mut Passing<'_>, rcu: &ReadGuard) {
        if packet.skb().protocol() != ETH_P_IP || packet.skb().vlan_tag_present() {
            return;
        }
        // Both hear it: see `is_igmp`.
        if is_igmp(packet.skb()) {
            return;
        }
        let Some(dev) = packet.input().filter(|d| !d.has_rx_handler()) else {
            return;
        };
        if state.mode() != Mode::Replace {
            return;
        }
        if let Some(mut skb) = packet.take() {
            prepare(&mut skb);
            ip_input::rcv(state, dev, skb, rcu);
        }
    }
}

/// Whether a packet, whose data begin with the IP header, speaks of the members of groups. What sockets of `AF_INET` have
/// joined is the host's own in `replace`, too, and the host answers for it; RustNet gets its copy by [`Ipv4`].
#[inline]
fn is_igmp(skb: &SkBuff) -> bool {
    skb.linear().get(9) == Some(&Protocol::IGMP.0)
}

/// Makes a packet forget whom it was with before: the sender's socket and route (on a device that
/// loops back), the layers below, connection tracking.
///
/// Mirrors the end of [`ip_rcv_core`](srctree/net/ipv4/ip_input.c)
#[inline]
fn prepare(skb: &mut SkBuff) {
    skb.orphan();
    skb.dst_drop();
    skb.nf_reset_ct();
}

/// Keeps the host's IPv4 from packets of a namespace in `replace` that came another way: those that a
/// bridge or its like let pass.
pub(super) struct PreRouting;

impl Hook for PreRouting {
    type Owner = State;

    fn call(_state: &State, packet: &mut Passing<'_>, _rcu: &ReadGuard) {
        // Ours, on their walk through the hooks, and those that only cross a bridge, go on.
        if !packet.is_ours() && !packet.is_bridged() && !is_igmp(packet.skb()) {
            if let Some(skb) = packet.take() {
                skb.consume();
            }
        }
    }
}

/// Keeps the host's ARP from questions in a namespace in `replace`: RustNet answers. Answers pass: what a filter sends
/// by itself (REJECT), or on another way than ours, leaves by the host's own output, which must know the neighbour.
pub(super) struct ArpIn;

impl Hook for ArpIn {
    type Owner = State;

    fn call(_state: &State, packet: &mut Passing<'_>, _rcu: &ReadGuard) {
        if packet.skb().linear().get(6..8) == Some(&ARP_REPLY) {
            return;
        }
        if let Some(skb) = packet.take() {
            skb.consume();
        }
    }
}

/// What keeps the host quiet in `replace`.
pub(super) struct Silence {
    _devices: Notifier,
    _ipv4: PacketType,
    _pre_routing: nf_hook::Registration,
    _arp_in: nf_hook::Registration,
}

impl Silence {
    /// Process context; sleeps.
    pub(super) fn new(net: &'static Net) -> Result<Self> {
        Ok(Silence {
            _devices: Notifier::in_net::<Ports>(net)?,
            _pre_routing: nf_hook::Registration::ipv4::<PreRouting>(
                net,
                Point::PreRouting,
                i32::MIN,
            )?,
            _arp_in: nf_hook::Registration::arp_in::<ArpIn>(net)?,
            _ipv4: PacketType::in_net::<Ipv4>(net)?,
        })
    }
}

/// Where the host delivers to itself.
pub(crate) struct LocalIn;

impl Hook for LocalIn {
    type Owner = State;

    #[inline]
    fn wants(state: &State, skb: &SkBuff) -> bool {
        let linear = skb.linear();
        let Some(header) = linear.first_chunk::<HEADER_LEN>() else {
            return false;
        };
        // The host has checked the header. The port is where it says, unless the packet's headers are
        // still in fragments, or it is ICMP.
        let at = usize::from(header[0] & 0xf).wrapping_mul(4).wrapping_add(2);
        let port = linear.get(at..).and_then(|b| b.first_chunk::<2>());
        port.is_none_or(|p| state.may_have_port(u16::from_be_bytes(*p)))
            || header[9] == Protocol::ICMP.0
            || state.has_raw()
    }

    #[inline]
    fn call(state: &State, packet: &mut Passing<'_>, _rcu: &ReadGuard) {
        bh::held_off(|| {
            if state.has_raw() {
                copy_to_raw(state, packet);
            }
            claim(state, packet);
        });
    }
}

/// Gives raw sockets their copies.
#[cold]
fn copy_to_raw(state: &State, packet: &Passing<'_>) {
    // What RustNet walks through the hooks is given to them where it is delivered.
    if packet.is_ours() {
        return;
    }
    let ifindex = packet.input().map_or(0, NetDevice::ifindex);
    if let Some(mut skb) = packet.copy() {
        if let Ok(header) = ip::rcv(&mut skb, |_| ()) {
            raw_input::deliver(state, &header, &skb, ifindex);
        }
        skb.consume();
    }
}

/// Takes a packet that is for one of our sockets.
fn claim(state: &State, packet: &mut Passing<'_>) {
    // A packet that RustNet walks through the hooks is its own already.
    if state.idle() || packet.is_ours() || packet.shared() {
        return;
    }
    let ifindex = packet.input().map_or(0, NetDevice::ifindex);
    let Some(linear) = packet.skb_mut().may_pull(HEADER_LEN) else {
        return;
    };
    if linear.get(9) == Some(&Protocol::ICMP.0) {
        return claim_icmp(state, packet, ifindex);
    }
    let Some((_, key)) = key(packet.skb_mut(), ifindex) else {
        return;
    };
    if packet.skb().is_for_many() {
        return demux_group(state, packet, &key);
    }
    let Some(mut found) = demux::any(state, &key) else {
        return;
    };
    // A connection of the host's may end at an address and port where one of our sockets listens: its
    // segments are the host's, and a listener of ours would reset it.
    if found.is_listener() && host_has(state, &key) {
        return;
    }
    let way = packet.skb().rt_genid().map(|g| RxWay::new(ifindex, g));
    if let Some(way) = way.filter(|w| !found.came_by(*w)) {
        found.note_way(state, &key, way);
    }
    let Some(mut skb) = packet.take_through_rest::<LocalIn>(Point::LocalIn) else {
        return;
    };
    // Who stands there may have changed it.
    match ip::input::checked(&mut skb) {
        Ok(header) => deliver(state, found, &header, skb),
        Err(reason) => state.counts.drop(skb, reason),
    }
}

/// Gives a packet that was claimed, and begins with its IP header, to who has it.
#[inline]
fn deliver(state: &State, found: demux::Found, header: &ip::Header, mut skb: Skb) {
    prepare(&mut skb);
    state.counts.event(Counter::IpInDelivers);
    ip::input::deliver_finish(&mut skb, header);
    found.rcv(state, header, skb);
}

/// Where the host knows that a packet's header is sound, and nothing more.
pub(crate) struct Early;

/// A header of IPv4 without options, and the ports.
const EARLY_LEN: usize = HEADER_LEN + 4;

impl Hook for Early {
    type Owner = State;

    #[inline]
    fn wants(state: &State, skb: &SkBuff) -> bool {
        skb.linear().first_chunk::<EARLY_LEN>().is_some_and(|b| {
            state.may_have_port(u16::from_be_bytes([b[EARLY_LEN - 2], b[EARLY_LEN - 1]]))
        })
    }

    #[inline]
    fn call(state: &State, packet: &mut Passing<'_>, rcu: &ReadGuard) {
        bh::held_off(|| claim_early(state, packet, rcu));
    }
}

/// Takes a packet of ours without asking the host what it found for the last one of its connection.
///
/// Mirrors [`ip_rcv_finish_core`](srctree/net/ipv4/ip_input.c)
fn claim_early(state: &State, packet: &mut Passing<'_>, rcu: &ReadGuard) {
    let sysctl = state.net.sysctl();
    // Filters, connection tracking and raw sockets see it where it is delivered, so there it is to be claimed.
    if !nf_hook::is_only::<LocalIn>(state.net, Point::LocalIn, rcu)
        || state.mode() == Mode::Replace
        || state.has_raw()
        || sysctl.ip_early_demux() == 0
        || packet.skb().pkt_type() != PACKET_HOST
        || packet.shared()
        || packet.is_bridged()
    {
        return;
    }
    // Packets of a VRF come by once more.
    let Some(dev) = packet.input().filter(|d| !d.is_l3_slave()) else {
        return;
    };
    let Some((header, key)) = key(packet.skb_mut(), dev.ifindex()) else {
        return;
    };
    // Options are for the host to look at.
    if usize::from(header.header_len) != HEADER_LEN {
        return;
    }
    let wanted = match key.protocol {
        Protocol::TCP => sysctl.tcp_early_demux(),
        _ => sysctl.udp_early_demux(),
    };
    if wanted == 0 {
        return;
    }
    let Some(mut found) = demux::any(state, &key) else {
        return;
    };
    let way = RxWay::new(key.ifindex, state.net.rt_genid());
    if !found.came_by(way) {
        let (saddr, daddr) = (key.saddr.to_u32(), key.daddr.to_u32());
        if found.is_listener() && host_has(state, &key)
            || !packet.skb_mut().route_input(dev, saddr, daddr, header.tos)
        {
            return;
        }
        found.note_way(state, &key, way);
    }
    if let Some(skb) = packet.take() {
        deliver(state, found, &header, skb);
    }
}

/// Whether the host has a connection with both ends of the packet.
#[cold]
fn host_has(state: &State, key: &demux::Key) -> bool {
    let (daddr, saddr) = (key.saddr.to_u32(), key.daddr.to_u32());
    let dif = key.ifindex as i32;
    state
        .net
        .host_has_tcp(daddr, key.sport, saddr, key.dport, dif)
}

/// The header and the ends of a whole packet of a transport, which begins with its IP header; `None` for anything else.
#[inline]
fn key(skb: &mut SkBuff, ifindex: u32) -> Option<(ip::Header, demux::Key)> {
    let header = ip::input::checked(skb).ok()?;
    let protocol = header.protocol;
    if header.is_fragment() || !(protocol == Protocol::TCP || protocol == Protocol::UDP) {
        return None;
    }
    let at = usize::from(header.header_len);
    let ports = skb
        .may_pull(at.wrapping_add(4))?
        .get(at..)?
        .first_chunk::<4>()?;
    let key = demux::Key {
        protocol,
        saddr: header.saddr,
        daddr: header.daddr,
        sport: u16::from_be_bytes([ports[0], ports[1]]),
        dport: u16::from_be_bytes([ports[2], ports[3]]),
        ifindex,
    };
    Some((header, key))
}

/// A datagram to everybody or to a group: each of our sockets that wants it gets a copy, and so do the
/// host's.
#[cold]
fn demux_group(state: &State, packet: &Passing<'_>, key: &demux::Key) {
    if key.protocol != Protocol::UDP || !demux::wants_group(state, key) {
        return;
    }
    let Some(mut skb) = packet.copy() else {
        return;
    };
    match ip::rcv(&mut skb, |c| state.counts.event(c)) {
        Ok(header) => {
            prepare(&mut skb);
            // The host delivers the same packet, and counts that.
            ip::input::deliver_finish(&mut skb, &header);
            demux::rcv_group(state, key, &header, skb);
        }
        Err(reason) => state.counts.drop(skb, reason),
    }
}

/// An error about a packet of ours is ours; the rest of ICMP is the host's.
#[cold]
fn claim_icmp(state: &State, packet: &mut Passing<'_>, ifindex: u32) {
    let owned = {
        let linear = packet.skb().linear();
        ip_input::icmp_error_owner(state, linear, ifindex)
    };
    if !owned {
        return;
    }
    let Some(mut skb) = packet.take_through_rest::<LocalIn>(Point::LocalIn) else {
        return;
    };
    match ip::rcv(&mut skb, |c| state.counts.event(c)) {
        Ok(header) => {
            prepare(&mut skb);
            state.counts.event(Counter::IpInDelivers);
            ip::input::deliver_finish(&mut skb, &header);
            ip_input::icmp_rcv(state, &header, ifindex, skb);
        }
        Err(reason) => state.counts.drop(skb, reason),
    }
}

/// What claims the packets of a namespace.
pub(super) struct Claims {
    early: Option<nf_hook::Registration>,
    _late: nf_hook::Registration,
}

impl Claims {
    /// Behind the last step of NAT (NF_IP_PRI_NAT_SRC), which turns the replies to a flow that was redirected on its way
    /// out into what our socket waits for; but before connection tracking confirms the packet, which is walked by us.
    /// Process context; sleeps.
    pub(super) fn new(state: &State) -> Result<Claims> {
        let mut claims = Claims {
            _late: nf_hook::Registration::ipv4::<LocalIn>(state.net, Point::LocalIn, i32::MAX - 1)?,
            early: None,
        };
        if state.mode() == Mode::Coexist {
            claims.begin_early(state);
        }
        Ok(claims)
    }

    /// Claims early, too, behind everybody else at that place; without memory for that, late as ever. Process context;
    /// sleeps.
    pub(super) fn begin_early(&mut self, state: &State) {
        if self.early.is_none() {
            self.early =
                nf_hook::Registration::ipv4::<Early>(state.net, Point::PreRouting, i32::MAX).ok();
        }
    }

    /// No longer, for in `replace` all is RustNet's before. Process context; sleeps.
    pub(super) fn end_early(&mut self) {
        self.early = None;
    }
}

/// IPv4 frames that no ingress hook took, in `replace`: those that a bridge or its like let pass. In
/// `coexist` it is not registered, for it would cost every packet of the host.
pub(super) struct Ipv4;

impl Handler for Ipv4 {
    const PROTOCOL: u16 = ETH_P_IP;

    #[inline]
    fn wants(dev: &NetDevice, _pkt_type: u8) -> bool {
        State::of(dev.net()).is_some_and(|s| s.mode() == Mode::Replace)
    }

    fn rcv(dev: &NetDevice, mut skb: Skb) {
        match State::of(dev.net()) {
            Some(state) => {
                prepare(&mut skb);
                ip_input::rcv(state, dev, skb, &rcu::read_lock());
            }
            None => skb.consume(),
        }
    }
}

/// ARP frames: what they tell is learnt in both modes, answers are given in `replace` alone.
pub(crate) struct Arp;

impl Handler for Arp {
    const PROTOCOL: u16 = ETH_P_ARP;

    #[inline]
    fn wants(dev: &NetDevice, _pkt_type: u8) -> bool {
        State::of(dev.net()).is_some()
    }

    fn rcv(dev: &NetDevice, skb: Skb) {
        match State::of(dev.net()) {
            Some(state) => neigh::rcv(state, dev, skb),
            None => skb.consume(),
        }
    }
}
