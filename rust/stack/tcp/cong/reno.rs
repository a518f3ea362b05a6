// SPDX-License-Identifier: GPL-2.0
//! Reno: RFC 5681, with appropriate byte counting (RFC 3465) in whole segments.

use super::{
    CongestionControl,
    Window, //
};

/// The state of Reno: segments acknowledged towards the next step of congestion avoidance.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reno {
    cwnd_cnt: u32,
}

impl CongestionControl for Reno {
    fn name(&self) -> &'static str {
        "reno"
    }

    /// RFC 5681, equation 4: `ssthresh = max (FlightSize / 2, 2*SMSS)`.
    fn ssthresh(&mut self, cwnd: u32) -> u32 {
        self.cwnd_cnt = 0;
        (cwnd >> 1).max(2)
    }

    /// Mirrors [`tcp_reno_cong_avoid`](srctree/net/ipv4/tcp_cong.c).
    fn cong_avoid(&mut self, w: &mut Window, mut acked: u32) {
        if w.cwnd < w.ssthresh {
            // Slow start: a segment for every segment acknowledged, up to the threshold.
            let room = w.ssthresh.wrapping_sub(w.cwnd);
            let step = acked.min(room);
            w.cwnd = w.cwnd.saturating_add(step).min(w.clamp);
            acked = acked.saturating_sub(step);
            if acked == 0 {
                return;
            }
        }
        // Congestion avoidance: a segment for every window acknowledged.
        self.cwnd_cnt = self.cwnd_cnt.saturating_add(acked);
        let cwnd = w.cwnd.max(1);
        if self.cwnd_cnt >= cwnd {
            let steps = self.cwnd_cnt / cwnd;
            self.cwnd_cnt = self.cwnd_cnt.saturating_sub(steps.saturating_mul(cwnd));
            w.cwnd = w.cwnd.saturating_add(steps).min(w.clamp);
        }
    }
}
