// SPDX-License-Identifier: GPL-2.0
//! What a route is (`struct fib_alias`, `struct fib_info`).

use super::dst::Flow;
use crate::stack::{
    errno::Errno,
    wire::ipv4::Addr, //
};

/// What a route does with its packets. The numbers are those of rtnetlink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Sends them to a gateway or a neighbour.
    Unicast = 1,
    /// Delivers them here.
    Local = 2,
    /// Delivers them here and to the whole link.
    Broadcast = 3,
    /// Like a broadcast when received, like a unicast when sent.
    Anycast = 4,
    /// Sends them to a group.
    Multicast = 5,
    /// Drops them in silence.
    Blackhole = 6,
    /// Answers that the host is unreachable.
    Unreachable = 7,
    /// Answers that it is forbidden.
    Prohibit = 8,
    /// Is as if it were not there: the next rule is asked.
    Throw = 9,
}

impl Kind {
    /// The kind with rtnetlink's number `n`.
    pub const fn from_rtn(n: u8) -> Option<Kind> {
        Some(match n {
            1 => Kind::Unicast,
            2 => Kind::Local,
            3 => Kind::Broadcast,
            4 => Kind::Anycast,
            5 => Kind::Multicast,
            6 => Kind::Blackhole,
            7 => Kind::Unreachable,
            8 => Kind::Prohibit,
            9 => Kind::Throw,
            _ => return None,
        })
    }

    /// Why packets do not go this way; `None` if they do.
    ///
    /// Mirrors [`fib_props`](srctree/net/ipv4/fib_semantics.c)
    pub(super) const fn error(self) -> Option<Errno> {
        match self {
            Kind::Blackhole => Some(Errno::EINVAL),
            Kind::Unreachable => Some(Errno::EHOSTUNREACH),
            Kind::Prohibit => Some(Errno::EACCES),
            Kind::Throw => Some(Errno::EAGAIN),
            _ => None,
        }
    }
}

/// How far the destination is: rtnetlink's numbers, smaller is farther. 0 universe, 253 link, 254 host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Scope(pub u8);

impl Scope {
    /// Anywhere.
    pub const UNIVERSE: Scope = Scope(0);
    /// On this link.
    pub const LINK: Scope = Scope(253);
    /// In this host.
    pub const HOST: Scope = Scope(254);
}

/// One route of a prefix. A prefix may have several, told apart by type of service and priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alias {
    /// Only for packets of this type of service (DSCP bits); 0 for all.
    pub tos: u8,
    /// The route's metric: the lowest is taken.
    pub priority: u32,
    /// What it does.
    pub kind: Kind,
    /// How far its destination is.
    pub scope: Scope,
    /// The device; 0 where there is none.
    pub oif: i32,
    /// The gateway; [`Addr::ANY`] if the destination is itself on the link.
    pub gateway: Addr,
    /// The source that packets should have; [`Addr::ANY`] to choose by device and scope.
    pub prefsrc: Addr,
    /// The route's own MTU in bytes; 0 for the device's.
    pub mtu: u32,
    /// The route's MTU is the user's last word: no message from the path changes it.
    pub mtu_locked: bool,
    /// It has other [`metrics`], which are few routes': the host is asked for them.
    pub has_metrics: bool,
    /// The device or its link is down: the route is passed over.
    pub dead: bool,
}

impl Alias {
    /// The order within a prefix: the more special type of service first, then the lower metric.
    pub(super) const fn rank(&self) -> (u8, u32) {
        (!self.tos, self.priority)
    }

    /// Whether the route is for packets of `flow`.
    ///
    /// Mirrors the loop over aliases of [`fib_table_lookup`](srctree/net/ipv4/fib_trie.c)
    #[inline]
    pub(super) fn matches(&self, flow: &Flow) -> bool {
        (self.tos == 0 || self.tos == flow.tos & DSCP_MASK)
            && self.scope >= flow.scope
            && (self.kind.error().is_some()
                || (!self.dead && (flow.oif == 0 || flow.oif == self.oif)))
    }
}

/// The bits of the type of service that routes look at: all but ECN's.
const DSCP_MASK: u8 = 0xfc;
