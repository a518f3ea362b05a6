// SPDX-License-Identifier: GPL-2.0
//! Received frames: which of them are RustNet's, and taking them from the host.
//!
//! In: frames at a device's ingress hook ([`Ingress`]), packets that the host is about to deliver
//! ([`LocalIn`]), frames of protocols that RustNet speaks ([`Ipv4`], [`Arp`]). Out: packets for a socket
//! ([`demux`]) or for the neighbour table.
//!
//! In `coexist` a packet is claimed in one of two places. *Early*, before any host protocol sees it: an
//! unfragmented packet of one of our connections, found by all four numbers. Nothing has to be asked
//! about its way, for the connection proves it. This is only done where no hook of netfilter could have
//! had a say. *Late*, where the host delivers to itself: everything else, after the host has put
//! fragments together, undone NAT, run its filters, and found that the packet is for this host and
//! from where it claims to be.
//!
//! In `replace` every IPv4 and ARP frame is taken early.

use super::demux;
use super::filter;
use super::ip_input;
use super::neigh;
use super::net::{Mode, State};
use crate::abstractions::netdevice::NetDevice;
use crate::abstractions::netns::Net;
use crate::abstractions::nf_hook::{self, Hook, Passing, Point};
use crate::abstractions::packet_type::{Handler, PacketType};
use crate::abstractions::skb_meta::{PACKET_BROADCAST, PACKET_HOST, PACKET_MULTICAST};
use crate::abstractions::skbuff::{SkBuff, Skb};
use crate::stack::counters::Counter;
use crate::stack::ip;
use crate::stack::wire::ethernet::EtherType;
use crate::stack::wire::ipv4::{Fields, Protocol, HEADER_LEN};
use kernel::error::Result;

const ETH_P_IP: u16 = EtherType::IPV4.0;
const ETH_P_ARP: u16 = EtherType::ARP.0;

/// Where frames of a device enter.
pub(crate) struct Ingress;

impl Hook for Ingress {
    #[inline]
    fn call(net: &Net, packet: &mut Passing<'_>) {
        let Some(state) = State::of(net) else {
            return;
        };
        if state.idle() {
            return;
        }
        match state.mode() {
            Mode::Coexist => claim_early(state, packet),
            Mode::Replace => take_all(state, packet),
        }
    }
}

/// Takes a frame of one of our connections.
#[inline]
fn claim_early(state: &State, packet: &mut Passing<'_>) {
    let skb = packet.skb();
    if skb.protocol() != ETH_P_IP
        || skb.pkt_type() != PACKET_HOST
        || skb.vlan_tag_present()
        || packet.shared()
    {
        return;
    }
    let Some(dev) = packet.input() else {
        return;
    };
    // A hook before the host's delivery may change or refuse the packet: leave it to run first. Ours is
    // the one hook where the host delivers.
    if dev.has_rx_handler()
        || nf_hook::count(state.net, Point::PreRouting) != 0
        || nf_hook::count(state.net, Point::LocalIn) > 1
    {
        return;
    }
    let Some(key) = key(skb, dev.ifindex()) else {
        return;
    };
    let Some(found) = demux::connected(state, &key) else {
        return;
    };
    let Some(mut skb) = packet.take() else {
        return;
    };
    match ip::rcv(&mut skb, |c| state.counts.event(c)) {
        Ok(header) => {
            prepare(&mut skb);
            state.counts.event(Counter::IpInDelivers);
            ip::input::deliver_finish(&mut skb, &header);
            found.rcv(state, &header, skb);
        }
        Err(reason) => state.counts.drop(skb, reason),
    }
}

/// The ends of an unfragmented packet of a transport; `None` for anything that is not one for sure.
#[inline]
fn key(skb: &SkBuff, ifindex: u32) -> Option<demux::Key> {
    let linear = skb.linear();
    let fields = Fields::new_checked(linear.first_chunk::<HEADER_LEN>()?).ok()?;
    let protocol = fields.protocol();
    if fields.is_fragment() || !(protocol == Protocol::TCP || protocol == Protocol::UDP) {
        return None;
    }
    let ports = linear.get(fields.header_len()..)?.first_chunk::<4>()?;
    Some(demux::Key {
        protocol,
        saddr: fields.saddr(),
        daddr: fields.daddr(),
        sport: u16::from_be_bytes([ports[0], ports[1]]),
        dport: u16::from_be_bytes([ports[2], ports[3]]),
        ifindex,
    })
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

/// Takes every IPv4 frame, in `replace`. What a device above this one is to see first is left to that
/// device's own hook; ARP is taken where the host takes it in ([`ArpIn`]).
fn take_all(state: &State, packet: &mut Passing<'_>) {
    if packet.skb().protocol() != ETH_P_IP || packet.skb().vlan_tag_present() {
        return;
    }
    let Some(dev) = packet.input().filter(|d| !d.has_rx_handler()) else {
        return;
    };
    if let Some(mut skb) = packet.take() {
        prepare(&mut skb);
        ip_input::rcv(state, dev, skb);
    }
}

/// Keeps the host's IPv4 from packets of a namespace in `replace` that came another way: those that a
/// bridge or its like let pass.
pub(super) struct PreRouting;

impl Hook for PreRouting {
    fn call(_net: &Net, packet: &mut Passing<'_>) {
        // Ours, on their walk through the hooks, and those that only cross a bridge, go on.
        if !packet.is_ours() && !packet.is_bridged() {
            if let Some(skb) = packet.take() {
                skb.consume();
            }
        }
    }
}

/// Keeps the host's ARP from frames of a namespace in `replace`: RustNet answers.
pub(super) struct ArpIn;

impl Hook for ArpIn {
    fn call(_net: &Net, packet: &mut Passing<'_>) {
        if let Some(skb) = packet.take() {
            skb.consume();
        }
    }
}

/// What keeps the host quiet in `replace`.
pub(super) struct Silence {
    _ipv4: PacketType,
    _pre_routing: nf_hook::Registration,
    _arp_in: nf_hook::Registration,
}

impl Silence {
    /// Process context; sleeps.
    pub(super) fn new(net: &'static Net) -> Result<Self> {
        Ok(Silence {
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

/// The late claim: where the host delivers to itself.
pub(crate) struct LocalIn;

impl Hook for LocalIn {
    #[inline]
    fn call(net: &Net, packet: &mut Passing<'_>) {
        let Some(state) = State::of(net) else {
            return;
        };
        // A packet that RustNet walks through the hooks is its own already.
        if state.idle() || packet.is_ours() {
            return;
        }
        let ifindex = packet.input().map_or(0, NetDevice::ifindex);
        let skb = packet.skb();
        let pkt_type = skb.pkt_type();
        if pkt_type == PACKET_BROADCAST || pkt_type == PACKET_MULTICAST {
            return demux_group(state, packet, ifindex);
        }
        let linear = skb.linear();
        let is_icmp = linear.get(9).is_some_and(|p| *p == Protocol::ICMP.0);
        if is_icmp {
            return claim_icmp(state, packet, ifindex);
        }
        let Some(key) = key(skb, ifindex) else {
            return;
        };
        let Some(found) = demux::any(state, &key) else {
            return;
        };
        let Some(mut skb) = packet.take_through_rest::<LocalIn>(Point::LocalIn) else {
            return;
        };
        match ip::rcv(&mut skb, |c| state.counts.event(c)) {
            Ok(header) => {
                prepare(&mut skb);
                state.counts.event(Counter::IpInDelivers);
                ip::input::deliver_finish(&mut skb, &header);
                found.rcv(state, &header, skb);
            }
            Err(reason) => state.counts.drop(skb, reason),
        }
    }
}

/// A datagram to everybody or to a group: each of our sockets that wants it gets a copy, and so do the
/// host's.
#[cold]
fn demux_group(state: &State, packet: &Passing<'_>, ifindex: u32) {
    let Some(key) = key(packet.skb(), ifindex) else {
        return;
    };
    if key.protocol != Protocol::UDP || !demux::wants_group(state, &key) {
        return;
    }
    let Some(mut skb) = packet.copy() else {
        return;
    };
    match ip::rcv(&mut skb, |c| state.counts.event(c)) {
        Ok(header) => {
            prepare(&mut skb);
            state.counts.event(Counter::IpInDelivers);
            ip::input::deliver_finish(&mut skb, &header);
            demux::rcv_group(state, &key, &header, skb);
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
            ip::input::deliver_finish(&mut skb, &header);
            ip_input::icmp_rcv(state, &header, ifindex, skb);
        }
        Err(reason) => state.counts.drop(skb, reason),
    }
}

/// Registers the late claim of a namespace, before every hook of the host's filters: they are walked
/// afterwards, by us.
pub(crate) fn register(state: &State) -> Result<nf_hook::Registration> {
    nf_hook::Registration::ipv4::<LocalIn>(state.net, Point::LocalIn, i32::MIN)
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
                ip_input::rcv(state, dev, skb);
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
