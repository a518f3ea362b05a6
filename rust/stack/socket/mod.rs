// SPDX-License-Identifier: GPL-2.0
//! What the transports have in common: who is who.
//!
//! * [`key`]: the four-tuple that names a connection, and its hash;
//! * [`siphash`]: the keyed hash under everything that must not be guessed;
//! * [`secure_seq`]: initial sequence numbers, timestamp offsets and ephemeral ports;
//! * [`ports`]: who may bind where, and in which order free ports are tried.
//!
//! Nothing here holds state of its own but keys: the tables live in glue, where sockets are kernel
//! objects that lock-free readers find.

pub mod key;

pub mod siphash;

pub mod secure_seq;

pub mod ports;

pub use key::FourTuple;
