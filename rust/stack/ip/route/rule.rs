// SPDX-License-Identifier: GPL-2.0
//! Policy rules: which table answers for which packet.
//!
//! Mirrors [`struct fib4_rule`, `fib4_rule_match`](srctree/net/ipv4/fib_rules.c)

use super::Flow;
use crate::stack::errno::Errno;
use crate::stack::wire::ipv4::Addr;

/// What a rule that matches says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask the table with this number; if it has no answer, go on with the next rule.
    Table(u32),
    /// Say that the network is unreachable.
    Unreachable,
    /// Say that it is forbidden.
    Prohibit,
    /// Say nothing: the packet vanishes.
    Blackhole,
}

impl Action {
    /// The error of a rule that ends the look-up; `None` for one that names a table.
    pub(super) const fn error(self) -> Option<Errno> {
        match self {
            Action::Table(_) => None,
            Action::Unreachable => Some(Errno::ENETUNREACH),
            Action::Prohibit => Some(Errno::EACCES),
            Action::Blackhole => Some(Errno::EINVAL),
        }
    }
}

/// A policy rule. A field that is zero does not select.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Rules are asked in the order of these numbers.
    pub pref: u32,
    /// The packet's source lies in this prefix,
    pub src: Addr,
    /// of so many bits: 0 to 32.
    pub src_len: u8,
    /// The packet's destination lies in this prefix,
    pub dst: Addr,
    /// of so many bits: 0 to 32.
    pub dst_len: u8,
    /// The packet's type of service.
    pub tos: u8,
    /// The packet's mark, under the mask,
    pub mark: u32,
    /// which is this.
    pub mark_mask: u32,
    /// The device the packet came in by; the loopback device's number for packets of ours.
    pub iif: i32,
    /// The device the socket is bound to.
    pub oif: i32,
    /// The rule is for all packets that do not match.
    pub invert: bool,
    /// Answers by prefixes of at most so many bits do not count; negative: all count.
    pub suppress_prefixlen: i8,
    /// What the rule says.
    pub action: Action,
}

impl Rule {
    /// The rule that sends everything to `table`.
    pub const fn all(pref: u32, table: u32) -> Rule {
        Rule {
            pref,
            src: Addr::ANY,
            src_len: 0,
            dst: Addr::ANY,
            dst_len: 0,
            tos: 0,
            mark: 0,
            mark_mask: 0,
            iif: 0,
            oif: 0,
            invert: false,
            suppress_prefixlen: -1,
            action: Action::Table(table),
        }
    }

    /// Whether the rule is for a packet of `flow`.
    ///
    /// Mirrors [`fib4_rule_match`](srctree/net/ipv4/fib_rules.c)
    #[inline]
    pub fn matches(&self, flow: &Flow) -> bool {
        let within = |addr: Addr, prefix: Addr, len: u8| {
            (addr.to_u32() ^ prefix.to_u32()) & Addr::mask(len) == 0
        };
        let matches = within(flow.saddr, self.src, self.src_len)
            && within(flow.daddr, self.dst, self.dst_len)
            && (self.tos == 0 || self.tos == flow.tos)
            && (self.mark ^ flow.mark) & self.mark_mask == 0
            && (self.iif == 0 || self.iif == flow.iif)
            && (self.oif == 0 || self.oif == flow.oif);
        matches != self.invert
    }
}
