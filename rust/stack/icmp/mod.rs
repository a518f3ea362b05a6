// SPDX-License-Identifier: GPL-2.0
//! ICMP (RFC 792, RFC 1122, 3.2.2).
//!
//! In: a message to this host ([`input::rcv`]), or a packet that cannot be delivered
//! ([`output::error`]). Out: an answer, or an error for the socket whose packet is quoted.
//!
//! | file | holds | C |
//! |---|---|---|
//! | [`output`] | echo replies and errors of ours; who may be sent one | icmp.c |
//! | [`limit`] | how many | icmp.c, inetpeer.c |
//! | [`input`] | what a message says, and to which flow | icmp.c |
//! | [`error`] | messages as error numbers | icmp.c |

pub mod output;

pub mod limit;

pub mod input;

pub mod error;

pub use error::err_convert;
pub use input::rcv;
