// SPDX-License-Identifier: GPL-2.0
//! UDP (RFC 768).
//!
//! In: a datagram from IP ([`input::rcv`]) or the user's bytes behind headroom ([`output::send_skb`]).
//! Out: the same packet, checked, for the socket that [`lookup`] scores best; or with its header, for
//! [`ip::queue_xmit`](super::ip::queue_xmit). Queues and their charges are the kernel's own.

pub mod output;

pub mod input;

pub mod lookup;

pub use input::rcv;
pub use output::send_skb;
