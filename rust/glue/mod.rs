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
//! | [`forward`] | packets for somebody else |
//! | [`igmp`] | the groups that sockets are in, and telling routers |
//! | [`mroute`] | packets to groups, sent on as a daemon says |
//! | [`ip_input`] | IPv4 and ICMP of packets that are ours |
//! | [`demux`] | whose packet is it |
//! | [`route`], [`fib`] | where packets go, and following the host's routes |
//! | [`tx`], [`neigh`] | out: headers, filters, neighbours, the device's queue |
//! | [`filter`] | packets that come back from a program |
//! | [`af_rustnet`], [`inetsw`] | the family, and what socket(2) makes |
//! | [`inet_sock`], [`ports`], [`sockopt`] | what all sockets have: names, ports, options |
//! | [`tcp`] and `tcp_*`, [`udp`] | the transports' sockets |
//! | [`raw`] and `raw_*`, [`ping`], [`datagram`], [`cork`] | raw and ping sockets, and what they share with UDP's |
//! | [`drop`], [`proc`], [`proc_net`], [`sysctl`] | what is counted, shown, set |

pub(crate) mod af_rustnet;
pub(crate) mod cork;
pub(crate) mod datagram;
pub(crate) mod demux;
pub(crate) mod drop;
pub(crate) mod fib;
pub(crate) mod filter;
pub(crate) mod forward;
pub(crate) mod frag;
pub(crate) mod igmp;
pub(crate) mod inet_sock;
pub(crate) mod inetsw;
pub(crate) mod ip_input;
pub(crate) mod mib;
pub(crate) mod mroute;
pub(crate) mod neigh;
pub(crate) mod net;
pub(crate) mod ping;
pub(crate) mod ports;
pub(crate) mod proc;
pub(crate) mod proc_net;
pub(crate) mod raw;
pub(crate) mod raw_input;
mod raw_send;
pub(crate) mod route;
pub(crate) mod rx;
pub(crate) mod sockopt;
pub(crate) mod sysctl;
pub(crate) mod tcp;
mod tcp_check_req;
pub(crate) mod tcp_connect;
pub(crate) mod tcp_env;
pub(crate) mod tcp_ipv4;
pub(crate) mod tcp_listen;
pub(crate) mod tcp_ops;
pub(crate) mod tcp_request;
pub(crate) mod tcp_small_queue;
mod tcp_sockopt;
pub(crate) mod tcp_timewait;
pub(crate) mod tx;
pub(crate) mod udp;
pub(crate) mod udp_input;
pub(crate) mod udp_send;
