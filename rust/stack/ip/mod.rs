// SPDX-License-Identifier: GPL-2.0
//! IPv4 (RFC 791, RFC 1122).
//!
//! In: a packet from a device ([`input::rcv`]), or a segment from a transport ([`output::queue_xmit`]).
//! Out: the same packet, for a transport here or a neighbour there. The files in packet order:
//!
//! | file | holds | C |
//! |---|---|---|
//! | [`output`] | the header of a packet of ours, its identification | ip_output.c |
//! | [`fragment`] | what is too long becomes fragments | ip_output.c |
//! | [`route`] | where a packet goes: rules, tables, the longest prefix | fib_trie.c, fib_rules.c, route.c |
//! | [`input`] | every check of a received header; martian addresses | ip_input.c, route.c |
//! | [`reassembly`] | fragments become datagrams | ip_fragment.c, inet_fragment.c |
//! | [`forward`] | what a router does to a packet | ip_forward.c |
//! | [`mroute`] | packets to groups, through a router | ipmr.c |
//! | [`igmp`] | which groups this host is in, and telling routers | igmp.c |
//! | [`options`] | what the options of a received packet ask for | ip_options.c |

pub mod output;

pub mod fragment;

pub mod route;

pub mod input;

pub mod reassembly;

pub mod forward;

pub mod mroute;

pub mod igmp;

pub mod options;

pub use input::{
    rcv,
    Header, //
};
pub use output::queue_xmit;
