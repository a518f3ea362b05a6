// SPDX-License-Identifier: GPL-2.0
//! Neighbours: whose link-layer address a packet needs, and how that is found out (RFC 826; the states
//! are RFC 4861, 7.3's).
//!
//! In: a packet for a neighbour ([`Neigh::output`]), an ARP packet ([`arp::rcv`]), a due timer
//! ([`Neigh::on_timer`]). Out: [`Effects`]: packets to send or to drop, a question to ask, the next
//! deadline. A packet for a neighbour that is known costs one atomic load.
//!
//! | file | holds | C |
//! |---|---|---|
//! | [`entry`] | one neighbour: its state machine and the packets that wait for it | neighbour.c |
//! | [`table`] | all neighbours: look-up, growth, garbage collection | neighbour.c |
//! | [`arp`] | ARP packets, in and out | arp.c |
//!
//! ```text
//!          output                reply                 30 s           output         5 s
//!  None ──────────► Incomplete ────────► Reachable ──────────► Stale ────────► Delay ────► Probe
//!   ▲                   │ 3 s                ▲ ▲                 ▲ request        │ confirmed │ reply
//!   └──── Failed ◄──────┘                    │ └─────────────────│────────────────┘           │
//!           ▲                                └───────────────────│────────────────────────────┤
//!           └────────────────────────────────────────────────────│──── 3 s ──────────────────┘
//! ```
//!
//! Locks: a table's writer lock, then a neighbour's.

pub mod entry;

pub mod table;

pub mod arp;

pub use entry::{
    Effects,
    Neigh,
    Nud,
    Output,
    Solicit, //
};
pub use table::{
    Key,
    Table, //
};

use crate::stack::dev::Link;
use crate::stack::ip::route::Kind;
use crate::stack::time::Duration;
use crate::stack::wire::{
    ethernet,
    ipv4, //
};

/// The timing and the limits of neighbours: `net.ipv4.neigh.*`.
#[derive(Clone, Copy, Debug)]
pub struct Params {
    /// A confirmation holds that long, half as long, or half as long again.
    pub base_reachable_time: Duration,
    /// Between two questions.
    pub retrans_time: Duration,
    /// Between the first packet to a stale neighbour and the first question.
    pub delay_probe_time: Duration,
    /// An unused stale neighbour is kept that long.
    pub gc_staletime: Duration,
    /// An address that was just learned is not overridden that long.
    pub locktime: Duration,
    /// Questions to the known address before it is given up.
    pub ucast_probes: u8,
    /// Questions to all before the neighbour is given up.
    pub mcast_probes: u8,
    /// Bytes of true size that may wait for one neighbour.
    pub queue_len_bytes: usize,
    /// Neighbours below which garbage is let be.
    pub gc_thresh1: usize,
    /// Neighbours above which garbage goes after five seconds.
    pub gc_thresh2: usize,
    /// Neighbours at the most.
    pub gc_thresh3: usize,
}

impl Params {
    /// Linux's.
    ///
    /// Mirrors [`arp_tbl`](srctree/net/ipv4/arp.c)
    pub const DEFAULT: Params = Params {
        base_reachable_time: Duration::from_secs(30),
        retrans_time: Duration::from_secs(1),
        delay_probe_time: Duration::from_secs(5),
        gc_staletime: Duration::from_secs(60),
        locktime: Duration::from_secs(1),
        ucast_probes: 3,
        mcast_probes: 3,
        queue_len_bytes: 212_992,
        gc_thresh1: 128,
        gc_thresh2: 512,
        gc_thresh3: 1024,
    };
}

/// The link-layer address of a destination for which nobody is asked; `None` if somebody must be.
/// Meaningless, and not used, on a device without link headers.
///
/// Mirrors [`arp_constructor`](srctree/net/ipv4/arp.c)
#[inline]
pub fn static_addr(link: &Link, kind: Kind, next_hop: ipv4::Addr) -> Option<ethernet::Addr> {
    if !link.has_header {
        return Some(ethernet::Addr::ZERO);
    }
    if next_hop.is_multicast() {
        return Some(ethernet::Addr::from_multicast(next_hop));
    }
    if link.noarp {
        return Some(link.addr);
    }
    if kind == Kind::Broadcast || next_hop.is_broadcast() {
        return Some(link.broadcast);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn static_addr__table() {
        let eth = Link {
            ifindex: 2,
            mtu: 1500,
            addr: ethernet::Addr([2, 0, 0, 0, 0, 1]),
            broadcast: ethernet::Addr::BROADCAST,
            has_header: true,
            noarp: false,
        };
        let host = ipv4::Addr::new(10, 0, 0, 2);
        let group = ipv4::Addr::new(224, 0, 0, 5);
        assert_eq!(static_addr(&eth, Kind::Unicast, host), None);
        assert_eq!(
            static_addr(&eth, Kind::Broadcast, host),
            Some(eth.broadcast)
        );
        assert_eq!(
            static_addr(&eth, Kind::Multicast, group),
            Some(ethernet::Addr([1, 0, 0x5e, 0, 0, 5]))
        );
        let lo = Link {
            noarp: true,
            addr: ethernet::Addr::ZERO,
            ..eth
        };
        assert_eq!(
            static_addr(&lo, Kind::Local, host),
            Some(ethernet::Addr::ZERO)
        );
        let tun = Link {
            has_header: false,
            ..eth
        };
        assert_eq!(
            static_addr(&tun, Kind::Unicast, host),
            Some(ethernet::Addr::ZERO)
        );
    }
}
