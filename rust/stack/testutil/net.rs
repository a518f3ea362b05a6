// SPDX-License-Identifier: GPL-2.0
//! An unkind network: packets that are late, lost, doubled, out of order, and changed.

use crate::stack::time::{
    Duration,
    Instant, //
};
use std::collections::BTreeMap;

/// Chance that a seed repeats (Marsaglia's xorshift).
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The chance of `seed`.
    pub fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) as u32) % n
    }

    /// Any number.
    pub fn next_u32(&mut self) -> u32 {
        self.below(u32::MAX)
    }

    /// True in `n` of a thousand cases.
    pub fn per_mille(&mut self, n: u32) -> bool {
        self.below(1000) < n
    }
}

/// What a wire does to a packet.
#[derive(Clone, Copy, Debug)]
pub struct Wire {
    /// How long the way is.
    pub delay: Duration,
    /// Per mille of packets that vanish.
    pub loss: u32,
    /// Per mille that take twice as long.
    pub reorder: u32,
    /// Per mille that arrive twice.
    pub duplicate: u32,
    /// Per mille in which one bit is changed.
    pub corrupt: u32,
    /// Cut GSO packets into segments, as a device would.
    pub segment: bool,
}

impl Wire {
    /// A wire on which nothing happens.
    pub const fn clean() -> Wire {
        Wire {
            delay: Duration::from_micros(500),
            loss: 0,
            reorder: 0,
            duplicate: 0,
            corrupt: 0,
            segment: true,
        }
    }
}

/// Packets on their way to one of several ends, which a `D` names.
#[derive(Debug)]
pub struct Net<D> {
    /// The time.
    pub now: Instant,
    /// What may happen to packets that are sent from now on.
    pub wire: Wire,
    /// Chance.
    pub rng: Rng,
    in_flight: BTreeMap<(Instant, u64), (D, Vec<u8>)>,
    serial: u64,
}

impl<D: Copy> Net<D> {
    /// A network without packets, one second after the origin of time.
    pub fn new(wire: Wire, seed: u64) -> Net<D> {
        Net {
            now: Instant::from_nanos(1_000_000_000),
            wire,
            rng: Rng::new(seed),
            in_flight: BTreeMap::new(),
            serial: 0,
        }
    }

    /// Sends a packet to `to`.
    pub fn send(&mut self, to: D, mut bytes: Vec<u8>) {
        if self.rng.per_mille(self.wire.loss) {
            return;
        }
        let copies = 1 + u32::from(self.rng.per_mille(self.wire.duplicate));
        for _ in 0..copies {
            if self.rng.per_mille(self.wire.corrupt) {
                let bit = self.rng.below(bytes.len() as u32 * 8) as usize;
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            let mut at = self.now.plus(self.wire.delay);
            if self.rng.per_mille(self.wire.reorder) {
                at = at.plus(self.wire.delay);
            }
            self.serial += 1;
            self.in_flight
                .insert((at, self.serial), (to, bytes.clone()));
        }
    }

    /// When the next packet arrives.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.in_flight.keys().next().map(|k| k.0)
    }

    /// The next packet that has arrived by now.
    pub fn arrived(&mut self) -> Option<(D, Vec<u8>)> {
        match self.next_arrival() {
            Some(at) if at <= self.now => self.in_flight.pop_first().map(|(_, p)| p),
            _ => None,
        }
    }

    /// How many packets are on their way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }
}
