// SPDX-License-Identifier: GPL-2.0
//! Received frames: which of them are RustNet's, and taking them from the host.
//!
//! In `coexist` packets are claimed where the host delivers to itself ([`LocalIn`]), behind its filters. By
//! then the host has put fragments together, undone NAT, and found that the packet is for this host and
//! comes from where it claims to be: a claim needs to ask about the socket alone. The hook is passed by every packet of the host, so it first asks a small table whether
//! anybody here has the packet's port at all.
//!
//! A claim at the device's ingress hook would spare our packets the host's IP layer, but every packet of
//! the host would pay for two hooks instead of one: more than the two per cent that it may cost it.
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
use super::raw;
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
use crate::abstractions::skbuff::{
    SkBuff,
    Skb, //
};
use crate::stack::counters::Counter;
use crate::stack::ip;
use crate::stack::wire::ethernet::EtherType;
use crate::stack::wire::ipv4::{
    Fields,
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
    fn call(net: &Net, packet: &mut Passing<'_>, rcu: &ReadGuard) {
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
        let Some(state) = State::of(net).filter(|s| s.mode() == Mode::Replace) else {
            return;
        };
        if let Some(mut skb) = packet.take() {
            prepare(&mut skb);
            ip_input::rcv(state, dev, skb, rcu);
        }
    }
}

/// Whether a packet, whose data begin with the IP header, speaks of the members of groups. Memberships are the host's own
/// objects, whichever family joined, so it is the host that answers for them in `replace`, too; RustNet's raw sockets
/// get their copy by [`Ipv4`].
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
    fn call(_net: &Net, packet: &mut Passing<'_>, _rcu: &ReadGuard) {
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
    fn call(_net: &Net, packet: &mut Passing<'_>, _rcu: &ReadGuard) {
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
    #[inline]
    fn call(net: &Net, packet: &mut Passing<'_>, _rcu: &ReadGuard) {
        let Some(state) = State::of(net) else {
            return;
        };
        if state.has_raw() {
            bh::held_off(|| copy_to_raw(state, packet));
        }
        let linear = packet.skb().linear();
        let Some(header) = linear.first_chunk::<HEADER_LEN>() else {
            return;
        };
        // The host has checked the header. The port is where it says, unless the packet's headers are
        // still in fragments, or it is ICMP.
        let at = usize::from(header[0] & 0xf).wrapping_mul(4).wrapping_add(2);
        if let Some([p0, p1]) = linear.get(at..).and_then(|b| b.first_chunk::<2>()) {
            let known = state.may_have_port(u16::from_be_bytes([*p0, *p1]));
            if !known && header[9] != Protocol::ICMP.0 {
                return;
            }
        }
        bh::held_off(|| claim(state, packet));
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
            raw::deliver(state, &header, &skb, ifindex);
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
    let Some(key) = key(packet.skb_mut(), ifindex) else {
        return;
    };
    if packet.skb().is_for_many() {
        return demux_group(state, packet, &key);
    }
    let Some(found) = demux::any(state, &key) else {
        return;
    };
    // A connection of the host's may end at an address and port where one of our sockets listens: its
    // segments are the host's, and a listener of ours would reset it.
    if found.is_listener() && host_has(state, &key) {
        return;
    }
    let Some(mut skb) = packet.take_through_rest::<LocalIn>(Point::LocalIn) else {
        return;
    };
    match ip::input::checked(&mut skb) {
        Ok(header) => {
            prepare(&mut skb);
            state.counts.event(Counter::IpInDelivers);
            ip::input::deliver_finish(&mut skb, &header);
            found.rcv(state, &header, skb);
        }
        Err(reason) => state.counts.drop(skb, reason),
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

/// The ends of a packet of a transport, which begins with its IP header; `None` for anything else.
#[inline]
fn key(skb: &mut SkBuff, ifindex: u32) -> Option<demux::Key> {
    let fields =
        Fields::new_checked(skb.may_pull(HEADER_LEN)?.first_chunk::<HEADER_LEN>()?).ok()?;
    let protocol = fields.protocol();
    if fields.is_fragment() || !(protocol == Protocol::TCP || protocol == Protocol::UDP) {
        return None;
    }
    let at = fields.header_len();
    let ports = skb
        .may_pull(at.wrapping_add(4))?
        .get(at..)?
        .first_chunk::<4>()?;
    Some(demux::Key {
        protocol,
        saddr: fields.saddr(),
        daddr: fields.daddr(),
        sport: u16::from_be_bytes([ports[0], ports[1]]),
        dport: u16::from_be_bytes([ports[2], ports[3]]),
        ifindex,
    })
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

/// Registers the claim of a namespace: behind the last step of NAT (NF_IP_PRI_NAT_SRC), which turns the
/// replies to a flow that was redirected on its way out into what our socket waits for; but before
/// connection tracking confirms the packet, which is walked by us.
pub(crate) fn register(state: &State) -> Result<nf_hook::Registration> {
    nf_hook::Registration::ipv4::<LocalIn>(state.net, Point::LocalIn, i32::MAX - 1)
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
