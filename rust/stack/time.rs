// SPDX-License-Identifier: GPL-2.0
//! Time as an argument.
//!
//! The stack never reads a clock. Every entry point is handed an [`Instant`], and a component that
//! wants to be called again reports the [`Instant`] of its next deadline. All arithmetic saturates:
//! an uptime of 584 years is the end of time here, not a panic.

/// A point on the monotonic clock, in nanoseconds since an arbitrary origin (boot, in the kernel).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(u64);

/// A non-negative span of time, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(u64);

impl Instant {
    /// The origin of the clock.
    pub const ZERO: Instant = Instant(0);

    /// Later than anything that is to happen.
    pub const MAX: Instant = Instant(u64::MAX);

    /// Makes an instant from nanoseconds since the origin.
    #[inline]
    pub const fn from_nanos(ns: u64) -> Self {
        Instant(ns)
    }

    /// Nanoseconds since the origin.
    #[inline]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Microseconds since the origin.
    #[inline]
    pub const fn as_micros(self) -> u64 {
        self.0 / 1_000
    }

    /// Milliseconds since the origin, modulo 2^32: the unit of the timestamp option.
    #[inline]
    pub const fn as_millis_u32(self) -> u32 {
        (self.0 / 1_000_000) as u32
    }

    /// The time that has passed since `earlier`; zero if `earlier` is later.
    #[inline]
    pub const fn since(self, earlier: Instant) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }

    /// This instant plus `d`.
    #[inline]
    pub const fn plus(self, d: Duration) -> Instant {
        Instant(self.0.saturating_add(d.0))
    }
}

impl Duration {
    /// No time at all.
    pub const ZERO: Duration = Duration(0);

    /// Makes a span of `ns` nanoseconds.
    #[inline]
    pub const fn from_nanos(ns: u64) -> Self {
        Duration(ns)
    }

    /// Makes a span of `us` microseconds.
    #[inline]
    pub const fn from_micros(us: u64) -> Self {
        Duration(us.saturating_mul(1_000))
    }

    /// Makes a span of `ms` milliseconds.
    #[inline]
    pub const fn from_millis(ms: u64) -> Self {
        Duration(ms.saturating_mul(1_000_000))
    }

    /// Makes a span of `s` seconds.
    #[inline]
    pub const fn from_secs(s: u64) -> Self {
        Duration(s.saturating_mul(1_000_000_000))
    }

    /// The span in nanoseconds.
    #[inline]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The span in whole microseconds.
    #[inline]
    pub const fn as_micros(self) -> u64 {
        self.0 / 1_000
    }

    /// The span in whole milliseconds.
    #[inline]
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The span in whole seconds.
    #[inline]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// Whether the span is empty.
    #[inline]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum of two spans.
    #[inline]
    pub const fn plus(self, d: Duration) -> Duration {
        Duration(self.0.saturating_add(d.0))
    }

    /// The span less `d`; zero if `d` is longer.
    #[inline]
    pub const fn minus(self, d: Duration) -> Duration {
        Duration(self.0.saturating_sub(d.0))
    }

    /// The span `n` times over.
    #[inline]
    pub const fn times(self, n: u64) -> Duration {
        Duration(self.0.saturating_mul(n))
    }

    /// The span doubled `n` times: exponential backoff.
    #[inline]
    pub const fn backoff(self, n: u32) -> Duration {
        let n = if n > 32 { 32 } else { n };
        Duration(self.0.saturating_mul(1 << n))
    }
}
