// SPDX-License-Identifier: GPL-2.0
//! Round-trip time and the retransmission timeout: RFC 6298, in Linux's fixed point.
//!
//! `srtt_us` is eight times the smoothed round-trip time, `mdev_us` four times its mean deviation.
//! `rttvar_us` is the largest deviation of the last round trip and falls slowly, so that one quiet
//! moment does not make the timeout too short.

use super::sock::Sock;
use crate::stack::{
    env::Env,
    ip::route::metrics::Metrics,
    time::{Duration, Instant}, //
};

/// The shortest round trip of the last minutes, in microseconds: the three best samples of parts
/// of that time, so that none has to be kept but those (Kathleen Nichols' windowed minimum).
///
/// Mirrors [`struct minmax`](srctree/lib/win_minmax.c)
#[derive(Clone, Copy, Debug)]
pub(super) struct MinRtt {
    /// When, in milliseconds, and how short; the best one first.
    best: (u32, u32),
    second: (u32, u32),
    third: (u32, u32),
}

impl MinRtt {
    /// No sample yet.
    pub(super) const fn new() -> MinRtt {
        MinRtt {
            best: (0, u32::MAX),
            second: (0, u32::MAX),
            third: (0, u32::MAX),
        }
    }

    /// The shortest round trip in microseconds; `u32::MAX` if there is none.
    #[inline]
    pub(super) fn get(&self) -> u32 {
        self.best.1
    }

    /// Takes a sample of `us` microseconds; older ones count for `wlen` milliseconds.
    ///
    /// Mirrors [`minmax_running_min`](srctree/lib/win_minmax.c)
    pub(super) fn update(&mut self, now: Instant, us: u32, wlen: u32) {
        let val = (now.as_millis_u32(), us);
        let since = |s: (u32, u32)| val.0.wrapping_sub(s.0);
        if us <= self.best.1 || since(self.third) > wlen {
            *self = MinRtt {
                best: val,
                second: val,
                third: val,
            };
            return;
        }
        if us <= self.second.1 {
            self.second = val;
            self.third = val;
        } else if us <= self.third.1 {
            self.third = val;
        }
        let age = since(self.best);
        if age > wlen {
            // The best one is too old: the next ones move up.
            self.best = self.second;
            self.second = self.third;
            self.third = val;
            if since(self.best) > wlen {
                self.best = self.second;
                self.second = self.third;
            }
        } else if self.second.0 == self.best.0 && age > wlen / 4 {
            self.second = val;
            self.third = val;
        } else if self.third.0 == self.second.0 && age > wlen / 2 {
            self.third = val;
        }
    }
}

impl Sock {
    /// The route's shortest retransmission timeout, if it has one, goes before the user's.
    ///
    /// Mirrors [`tcp_rto_min`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn follow_rto_min(&mut self, metrics: Metrics) {
        if !metrics.rto_min.is_zero() {
            self.rto_min = metrics.rto_min;
        }
    }

    /// Takes a sample for the shortest round trip. One whose acknowledgement may have been put off counts
    /// only if it is shorter.
    ///
    /// Mirrors [`tcp_update_rtt_min`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    pub(super) fn update_rtt_min<E: Env>(&mut self, env: &E, us: u32, delayed: bool) {
        if delayed && us > self.min_rtt.get() {
            return;
        }
        let wlen = env.sysctl().tcp_min_rtt_wlen().unsigned_abs().min(86_400);
        self.min_rtt
            .update(env.now(), us.max(1), wlen.saturating_mul(1000));
    }

    /// Takes a sample of `us` microseconds. Karn's rule is the caller's: no sample of a retransmitted
    /// segment without a timestamp.
    ///
    /// RFC 6298, 2.2 and 2.3. Mirrors [`tcp_rtt_estimator`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn rtt_estimator(&mut self, us: u32) {
        let sample = us.clamp(1, 1 << 27);
        let rto_min = self.rto_min.as_micros() as u32;
        if self.srtt_us == 0 {
            // 2.2: SRTT <- R, RTTVAR <- R/2.
            self.srtt_us = sample << 3;
            self.mdev_us = sample << 1;
            self.rttvar_us = self.mdev_us.max(rto_min);
            self.mdev_max_us = self.rttvar_us;
            self.rtt_seq = self.snd_nxt;
        } else {
            let mut err = sample as i32 - (self.srtt_us >> 3) as i32;
            // 2.3: SRTT <- 7/8 SRTT + 1/8 R.
            self.srtt_us = self.srtt_us.saturating_add_signed(err).max(1);
            if err < 0 {
                err = err.wrapping_neg() - (self.mdev_us >> 2) as i32;
                // A sudden fall of the round-trip time must not raise the timeout.
                if err > 0 {
                    err >>= 3;
                }
            } else {
                err -= (self.mdev_us >> 2) as i32;
            }
            // RTTVAR <- 3/4 RTTVAR + 1/4 |SRTT - R|.
            self.mdev_us = self.mdev_us.saturating_add_signed(err);
            if self.mdev_us > self.mdev_max_us {
                self.mdev_max_us = self.mdev_us;
                self.rttvar_us = self.rttvar_us.max(self.mdev_max_us);
            }
            if self.snd_una.after(self.rtt_seq) {
                if self.mdev_max_us < self.rttvar_us {
                    let fall = (self.rttvar_us - self.mdev_max_us) >> 2;
                    self.rttvar_us = self.rttvar_us.saturating_sub(fall);
                }
                self.rtt_seq = self.snd_nxt;
                self.mdev_max_us = rto_min;
            }
        }
        self.set_rto();
    }

    /// The timeout from the estimates: RFC 6298, 2.3, `RTO <- SRTT + max(G, K*RTTVAR)`.
    ///
    /// Mirrors [`tcp_set_rto`, `tcp_bound_rto`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn set_rto(&mut self) {
        let us = u64::from(self.srtt_us >> 3) + u64::from(self.rttvar_us);
        let rto = Duration::from_micros(us);
        self.rto = rto.min(self.rto_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::ZERO.plus(Duration::from_millis(ms))
    }

    #[test]
    fn update__the_shortest_counts() {
        let mut m = MinRtt::new();
        for (ms, us) in [(1, 500), (2, 300), (3, 900)] {
            m.update(at(ms), us, 300_000);
        }
        assert_eq!(m.get(), 300);
    }

    #[test]
    fn update__forgets_after_five_minutes() {
        let mut m = MinRtt::new();
        m.update(at(1000), 100, 300_000);
        for s in 1..=300 {
            m.update(at(1000 + s * 1000), 400, 300_000);
        }
        assert_eq!(m.get(), 100);
        m.update(at(302_000), 400, 300_000);
        assert_eq!(m.get(), 400);
    }

    #[test]
    fn update__after_a_long_silence_the_new_one_counts() {
        let mut m = MinRtt::new();
        m.update(at(1000), 100, 300_000);
        m.update(at(10_000_000), 700, 300_000);
        assert_eq!(m.get(), 700);
    }
}
