// SPDX-License-Identifier: GPL-2.0
//! Sequence numbers: a circle, not a line.
//!
//! RFC 9293, section 3.4: "all arithmetic dealing with sequence numbers must be performed modulo
//! 2**32". There is no `<` here; two numbers are compared by which half of the circle lies between
//! them, as `before()` and `after()` do in `include/net/tcp.h`.

use core::fmt;

/// A position in one direction's sequence space.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct SeqNum(u32);

impl SeqNum {
    /// The position with the number `n`.
    #[inline]
    pub const fn new(n: u32) -> Self {
        SeqNum(n)
    }

    /// The number as it stands on the wire.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The position `n` further on.
    #[inline]
    pub const fn add(self, n: u32) -> Self {
        SeqNum(self.0.wrapping_add(n))
    }

    /// The position `n` further back.
    #[inline]
    pub const fn sub(self, n: u32) -> Self {
        SeqNum(self.0.wrapping_sub(n))
    }

    /// How far this position is ahead of `earlier`, going forward round the circle.
    #[inline]
    pub const fn since(self, earlier: SeqNum) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// The signed distance from `other`: negative if this position comes before it.
    #[inline]
    pub const fn diff(self, other: SeqNum) -> i32 {
        self.0.wrapping_sub(other.0) as i32
    }

    /// Whether this position comes strictly before `other`.
    #[inline]
    pub const fn before(self, other: SeqNum) -> bool {
        self.diff(other) < 0
    }

    /// Whether this position comes strictly after `other`.
    #[inline]
    pub const fn after(self, other: SeqNum) -> bool {
        other.before(self)
    }

    /// Whether `low <= self <= high` going forward from `low`.
    #[inline]
    pub const fn between(self, low: SeqNum, high: SeqNum) -> bool {
        high.since(low) >= self.since(low)
    }

    /// The later of two positions.
    #[inline]
    pub const fn later(self, other: SeqNum) -> SeqNum {
        if self.before(other) {
            other
        } else {
            self
        }
    }
}

impl fmt::Debug for SeqNum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
