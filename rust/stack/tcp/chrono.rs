// SPDX-License-Identifier: GPL-2.0
//! How long the connection was busy, and what held it back: for `struct tcp_info`.
//!
//! At any moment one of the kinds runs, the highest that holds.
//!
//! Mirrors [`tcp_chrono_start`](srctree/include/net/tcp.h)

use super::sock::Sock;
use crate::stack::time::{
    Duration,
    Instant, //
};

/// What time is spent on (`enum tcp_chrono`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Nothing: there is nothing to send.
    #[default]
    Idle,
    /// Data are written or in flight.
    Busy,
    /// The peer's window holds them back.
    RwndLimited,
    /// The send buffer is full, and too small.
    SndbufLimited,
}

/// The clocks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chrono {
    kind: Kind,
    since: Instant,
    /// What ran before `since`, by kind, `Idle` left out.
    spent: [Duration; 3],
}

/// Times for `struct tcp_info`, in microseconds; the two limits are parts of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) busy: u64,
    pub(super) rwnd_limited: u64,
    pub(super) sndbuf_limited: u64,
}

impl Chrono {
    fn set(&mut self, now: Instant, kind: Kind) {
        self.spent = self.spent_at(now);
        self.since = now;
        self.kind = kind;
    }

    fn spent_at(&self, now: Instant) -> [Duration; 3] {
        let mut spent = self.spent;
        let running = (self.kind as usize).wrapping_sub(1);
        if let Some(n) = spent.get_mut(running) {
            *n = n.plus(now.since(self.since));
        }
        spent
    }

    /// What `struct tcp_info` tells.
    ///
    /// Mirrors [`tcp_get_info_chrono_stats`](srctree/net/ipv4/tcp.c).
    pub(super) fn times(&self, now: Instant) -> Times {
        let [busy, rwnd, sndbuf] = self.spent_at(now);
        Times {
            busy: busy.plus(rwnd).plus(sndbuf).as_micros(),
            rwnd_limited: rwnd.as_micros(),
            sndbuf_limited: sndbuf.as_micros(),
        }
    }
}

impl Sock {
    /// `kind` holds from now on.
    ///
    /// Mirrors [`tcp_chrono_start`](srctree/net/ipv4/tcp_output.c).
    #[inline]
    pub(super) fn chrono_start(&mut self, now: Instant, kind: Kind) {
        if kind > self.chrono.kind {
            self.chrono.set(now, kind);
        }
    }

    /// `kind` holds no more.
    ///
    /// Mirrors [`tcp_chrono_stop`](srctree/net/ipv4/tcp_output.c).
    #[inline]
    pub(super) fn chrono_stop(&mut self, now: Instant, kind: Kind) {
        if self.chrono.kind == Kind::Idle {
            return;
        }
        if self.packets_out == 0 && self.write_queue.is_empty() {
            self.chrono.set(now, Kind::Idle);
        } else if kind == self.chrono.kind {
            self.chrono.set(now, Kind::Busy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chrono__the_highest_kind_runs() {
        let mut s = Sock::new();
        let at = |ms: u64| Instant::from_nanos(ms * 1_000_000);
        s.chrono_stop(at(1), Kind::Busy);
        s.packets_out = 1;
        s.chrono_start(at(10), Kind::Busy);
        s.chrono_start(at(20), Kind::RwndLimited);
        s.chrono_start(at(25), Kind::Busy);
        s.chrono_stop(at(30), Kind::SndbufLimited);
        s.chrono_stop(at(40), Kind::RwndLimited);
        s.chrono_start(at(45), Kind::SndbufLimited);
        s.packets_out = 0;
        let times = Times {
            busy: 40_000,
            rwnd_limited: 20_000,
            sndbuf_limited: 5_000,
        };
        assert_eq!(s.chrono.times(at(50)), times);
        // Nothing is left to send: all stop.
        s.chrono_stop(at(50), Kind::Busy);
        assert_eq!(s.chrono.times(at(99)), times);
    }
}
