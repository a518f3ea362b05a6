// SPDX-License-Identifier: GPL-2.0
//! ARP packets (RFC 826), in and out.
//!
//! Mirrors [`arp_rcv`, `arp_process`, `arp_solicit`](srctree/net/ipv4/arp.c)

use super::entry::{
    Effects,
    How,
    Neigh,
    Nud,
    Solicit, //
};
use super::table::{
    Key,
    Table, //
};
use super::Params;
use crate::platform::{
    Arc,
    Skb,
    SkbQueue,
    MAX_HEADER, //
};
use crate::stack::dev::{
    Link,
    PacketType, //
};
use crate::stack::drop_reason::DropReason;
use crate::stack::time::Instant;
use crate::stack::wire::arp::{
    Operation,
    Packet,
    Repr, //
};
use crate::stack::wire::{
    ethernet,
    ipv4, //
};

/// What an ARP packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The packet.
    pub repr: Repr,
    /// It was sent to this host alone.
    pub unicast: bool,
}

/// Checks an ARP packet that came in by `link`.
///
/// Mirrors [`arp_rcv`](srctree/net/ipv4/arp.c)
pub fn check(bytes: &[u8], link: &Link, packet_type: PacketType) -> Result<Heard, DropReason> {
    match packet_type {
        PacketType::Otherhost | PacketType::Outgoing => return Err(DropReason::Otherhost),
        PacketType::Host | PacketType::Broadcast | PacketType::Multicast => (),
    }
    if link.noarp || !link.has_header {
        return Err(DropReason::ArpHdr);
    }
    let repr = Repr::parse(&Packet::new_checked(bytes)?);
    let known = matches!(repr.operation, Operation::REQUEST | Operation::REPLY);
    // A station cannot have a group's address (RFC 1812, 3.3.2), and nobody asks for a group's or for
    // an address inside of a host.
    if !known
        || !repr.sha.is_valid()
        || repr.tip.is_multicast()
        || repr.tip.is_loopback()
        || repr.sip.is_multicast()
        || repr.sip.is_loopback()
        || repr.sip.is_broadcast()
    {
        return Err(DropReason::ArpHdr);
    }
    Ok(Heard {
        repr,
        unicast: packet_type == PacketType::Host,
    })
}

/// What an ARP packet leads to.
#[derive(Debug)]
#[must_use]
pub struct Learned<T> {
    /// The neighbour that is known better now, and what that leads to.
    pub neigh: Option<(Arc<Neigh<T>>, Effects)>,
    /// The answer to be sent.
    pub reply: Option<Repr>,
}

/// Where an ARP packet is processed.
#[derive(Debug)]
pub struct Context<'a> {
    /// The device it came in by.
    pub link: &'a Link,
    /// Whether the address that is asked for is this host's.
    pub tip_is_local: bool,
    /// Whether it is for us to answer: not where the host does (mode `coexist`).
    pub answer: bool,
    /// Timing and limits.
    pub params: &'a Params,
    /// The time.
    pub now: Instant,
}

/// Learns from an ARP packet, and answers it.
///
/// Mirrors [`arp_process`](srctree/net/ipv4/arp.c)
///
/// RFC 826 tells to learn from whoever speaks to us. From others we learn only what they announce of
/// neighbours that are in use: nobody can fill the table by talking (`arp_accept` 0).
pub fn rcv<T: Send + Sync + 'static>(
    table: &Table<T>,
    heard: Heard,
    ctx: &Context<'_>,
    attach: impl FnOnce() -> T,
    dead: &mut SkbQueue,
) -> Learned<T> {
    let repr = heard.repr;
    let request = repr.operation == Operation::REQUEST;
    let reply = (request && ctx.tip_is_local && ctx.answer).then_some(Repr {
        operation: Operation::REPLY,
        sha: ctx.link.addr,
        sip: repr.tip,
        tha: repr.sha,
        tip: repr.sip,
    });
    // RFC 5227, 1.1: a probe has no sender address, there is nothing to learn from it.
    if repr.sip.is_any() {
        return Learned { neigh: None, reply };
    }
    let key = Key {
        ifindex: ctx.link.ifindex,
        addr: repr.sip,
    };
    let neigh = if reply.is_some() {
        // Who asks for us is about to speak to us.
        table
            .lookup_or_create(key, None, attach, ctx.params, ctx.now, dead)
            .ok()
    } else {
        table.lookup(key)
    };
    let announced = repr.sip == repr.tip;
    let how = if announced {
        How::Announced
    } else {
        How::Learned
    };
    // Requests, and replies to many, do not show that the way there works.
    let state = if !request && heard.unicast {
        Nud::Reachable
    } else {
        Nud::Stale
    };
    let neigh = neigh.map(|n| {
        let effects = n.update(repr.sha, state, how, ctx.params, ctx.now);
        (n, effects)
    });
    Learned { neigh, reply }
}

/// The address by which a question is asked: the source of the packet that waits, if it is ours; else
/// `select` chooses one of the device's for the target.
///
/// Mirrors [`arp_solicit`](srctree/net/ipv4/arp.c) with `arp_announce` 0
pub fn source(
    s: &Solicit,
    is_local: impl FnOnce(ipv4::Addr) -> bool,
    select: impl FnOnce(ipv4::Addr) -> ipv4::Addr,
) -> ipv4::Addr {
    match s.hint {
        Some(addr) if !addr.is_any() && is_local(addr) => addr,
        _ => select(s.target),
    }
}

/// The question, and the station it goes to.
pub fn request(s: &Solicit, link: &Link, source: ipv4::Addr) -> (Repr, ethernet::Addr) {
    let repr = Repr {
        operation: Operation::REQUEST,
        sha: link.addr,
        sip: source,
        tha: s.to.unwrap_or(ethernet::Addr::ZERO),
        tip: s.target,
    };
    (repr, s.to.unwrap_or(link.broadcast))
}

/// A packet whose data are the ARP packet; headroom is left for the link header. `None` when there is
/// no memory.
///
/// Mirrors [`arp_create`](srctree/net/ipv4/arp.c)
pub fn create(repr: &Repr) -> Option<Skb> {
    let mut skb = Skb::alloc(MAX_HEADER, repr.buffer_len())?;
    repr.emit(skb.put(repr.buffer_len())?);
    skb.reset_network_header();
    Some(skb)
}

#[cfg(test)]
mod tests;
