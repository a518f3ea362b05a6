// SPDX-License-Identifier: GPL-2.0
//! Round-trip time and the retransmission timeout: RFC 6298, in Linux's fixed point.
//!
//! `srtt_us` is eight times the smoothed round-trip time, `mdev_us` four times its mean deviation.
//! `rttvar_us` is the largest deviation of the last round trip and falls slowly, so that one quiet
//! moment does not make the timeout too short.

use super::sock::Sock;
use crate::stack::time::Duration;

impl Sock {
    /// Takes a sample of `us` microseconds. Karn's rule is the caller's: no sample of a retransmitted
    /// segment without a timestamp.
    ///
    /// RFC 6298, 2.2 and 2.3. Mirrors [`tcp_rtt_estimator`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn rtt_estimator(&mut self, us: u32) {
        let sample = us.clamp(1, 1 << 27);
        self.min_rtt_us = self.min_rtt_us.min(sample);
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
