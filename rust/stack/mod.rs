// SPDX-License-Identifier: GPL-2.0
//! The portable stack: protocol logic without `unsafe`, without a kernel, without a clock.
//!
//! Into it come a packet, a system call or a timer; out of it go packets, wake-ups and timers
//! ([`env`]). Time is an argument ([`time`]). Both the module and the host tests mount this
//! directory, so nothing in it may name the kernel.
//!
//! Where each function of Linux's path lives:
//!
//! | send, in packet order | here | receive, in packet order | here |
//! |---|---|---|---|
//! | `tcp_sendmsg` | [`tcp`] `sendmsg` | `netif_receive_skb` | [`dev`] |
//! | `tcp_write_xmit`, `__tcp_transmit_skb` | [`tcp`] `output` | `arp_rcv` | [`neigh::arp`] |
//! | `udp_sendmsg` | [`udp::output`] | `ip_rcv` | [`ip::input`] |
//! | `ip_queue_xmit` | [`ip::output`] | `ip_route_input` | [`ip::route`] |
//! | route lookup | [`ip::route`] | `tcp_v4_rcv` | [`tcp`] `input` |
//! | `neigh_output`, `arp_solicit` | [`neigh`] | `udp_rcv` | [`udp::input`] |
//! | `dev_queue_xmit` | [`dev`] | `icmp_rcv` | [`icmp`] |
//!
//! Beside the path stand [`wire`] (bytes and values), [`socket`] (tuples, ports, secrets),
//! [`drop_reason`], [`counters`] and [`sysctl`].

pub mod wire;

mod chains;

pub mod errno;

pub mod time;

pub mod env;

pub mod drop_reason;

pub mod counters;

pub mod sysctl;

pub mod socket;

pub mod ip;

pub mod icmp;

pub mod udp;

pub mod neigh;

pub mod dev;

pub mod tcp;
