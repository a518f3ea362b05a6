// SPDX-License-Identifier: GPL-2.0
//! Between the kernel and the stack.
//!
//! Here the kernel's events (a frame, a system call, a timer, news of a device or a route) become calls of
//! the stack, and what the stack wants becomes calls of the kernel. There is no `unsafe` here: that is
//! [`abstractions`](crate::abstractions)' business.
//!
//! | file | holds |
//! |---|---|
//! | [`net`] | what a namespace has of RustNet |
//! | [`rx`] | which received frames are ours, and taking them |
//! | [`ip_input`] | IPv4 and ICMP of packets that are ours |
//! | [`demux`] | whose packet is it |
//! | [`route`], [`fib`] | where packets go, and following the host's routes |
//! | [`tx`], [`neigh`] | out: headers, filters, neighbours, the device's queue |
//! | [`filter`] | packets that come back from a program |
//! | [`drop`], [`proc`], [`sysctl`] | what is counted, shown, set |

pub(crate) mod demux;
pub(crate) mod drop;
pub(crate) mod fib;
pub(crate) mod filter;
pub(crate) mod ip_input;
pub(crate) mod neigh;
pub(crate) mod net;
pub(crate) mod proc;
pub(crate) mod route;
pub(crate) mod rx;
pub(crate) mod sysctl;
pub(crate) mod tx;
