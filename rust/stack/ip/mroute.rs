// SPDX-License-Identifier: GPL-2.0
//! Packets to a group, on their way through a router: RFC 1112, 7; RFC 5110.
//!
//! A routing daemon numbers the devices that take part (*vifs*) and says for a source and a group by which of them
//! packets come and by which they go on ([`mfc`]). What nobody has said yet waits while the daemon is asked
//! ([`unresolved`], [`upcall`]).
//!
//! | file | holds | C |
//! |---|---|---|
//! | [`ctl`] | what the daemon says, as it stands in its memory | mroute.h |
//! | [`vif`] | the devices that take part | ipmr.c |
//! | [`mfc`] | where packets of a source to a group go | ipmr.c, ipmr_base.c |
//! | [`unresolved`] | packets that wait for an answer | ipmr.c |
//! | [`upcall`] | the question | ipmr.c |
//!
//! Context: softirq, under the read lock of RCU; what changes the tables comes from process context.

pub mod ctl;

pub mod vif;

pub mod mfc;

pub mod unresolved;

pub mod upcall;

use crate::stack::time::Instant;
use mfc::{
    Mfc,
    Table, //
};
use vif::Vifs;

/// Devices that a router can number.
pub const MAXVIFS: usize = 32;

/// A packet that has come in by a vif.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The vif.
    pub vif: u8,
    /// The packet's time to live.
    pub ttl: u8,
    /// Bytes, IP header included.
    pub len: usize,
    /// This host sent it: the copy that it hears itself.
    pub own: bool,
}

/// What becomes of a packet, beside what this host itself hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes out by the vifs whose bits are set, which may be none.
    Forward(u32),
    /// It came by another vif than it should. `tell`: the daemon wants to know, and was not told lately.
    WrongVif {
        /// See above.
        tell: bool,
    },
    /// One of this host's that left by another vif than the group's packets come in by.
    Own,
}

/// Decides on a packet that `c` is about, and counts it. `assert`: the daemon wants to hear of wrong vifs; then the time
/// is asked for.
///
/// Mirrors [`ip_mr_forward`](srctree/net/ipv4/ipmr.c)
pub fn forward(
    table: &Table,
    vifs: &Vifs,
    c: &Mfc,
    packet: &Arrival,
    assert: bool,
    now: impl FnOnce() -> Instant,
) -> Verdict {
    let parent = c.parent();
    let any_source = c.origin().is_any();
    c.count(packet.len);
    // Of (*,G) any vif of the static tree will do.
    let in_tree = any_source && table.leads_to(parent, packet.vif);
    if !in_tree && vifs.ifindex(parent) != vifs.ifindex(packet.vif) {
        if packet.own {
            return Verdict::Own;
        }
        let tell = c.count_wrong(packet.vif, assert, now());
        return Verdict::WrongVif { tell };
    }
    vifs.count_in(parent, packet.len);
    let mut out = match any_source {
        // Never back to where it came from.
        true => c.oifs(packet.ttl) & !(1 << packet.vif),
        false => c.oifs(packet.ttl),
    };
    if any_source && c.group().is_any() {
        // (*,*): towards the root alone.
        out &= 1 << parent;
    }
    Verdict::Forward(out)
}

#[cfg(test)]
mod tests;
