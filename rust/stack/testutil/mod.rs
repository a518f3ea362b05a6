// SPDX-License-Identifier: GPL-2.0
//! What tests stand on: chance that can be repeated, an unkind network, a socket's surroundings made
//! of plain numbers, and a host that puts the layers together.
//!
//! Only the host build mounts this directory. Nothing in it sleeps or reads a clock: time moves from
//! event to event, and a seed repeats everything that happened.
//!
//! * [`net`]: [`Net`], packets on their way, and [`Wire`], what may happen to them there;
//! * [`world`]: [`World`], the [`Env`](crate::stack::env::Env) of one connection;
//! * [`host`]: [`FakeHost`], an IPv4 host with TCP: listeners, connections, TIME_WAITs, resets;
//! * [`two`]: [`Two`], a pair of them and the network between.

pub mod net;

pub mod world;

pub mod host;

pub mod two;

pub use host::FakeHost;
pub use net::{
    Net,
    Rng,
    Wire, //
};
pub use two::Two;
pub use world::{
    next_deadline,
    World, //
};

/// Bytes that tell where they belong.
pub fn pattern(n: usize) -> Vec<u8> {
    (0..n)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8)
        .collect()
}
