// SPDX-License-Identifier: GPL-2.0
//! Reno: RFC 5681, with appropriate byte counting (RFC 3465) in whole segments.

use super::{
    CongestionControl,
    Ctx, //
};

/// Reno keeps nothing of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reno;

impl CongestionControl for Reno {
    fn name(&self) -> &'static str {
        "reno"
    }

    /// RFC 5681, equation 4: `ssthresh = max (FlightSize / 2, 2*SMSS)`.
    ///
    /// Mirrors [`tcp_reno_ssthresh`](srctree/net/ipv4/tcp_cong.c).
    fn ssthresh(&mut self, ctx: &Ctx) -> u32 {
        (ctx.cwnd >> 1).max(2)
    }

    /// Mirrors [`tcp_reno_cong_avoid`](srctree/net/ipv4/tcp_cong.c).
    #[inline]
    fn cong_avoid(&mut self, ctx: &mut Ctx, acked: u32) {
        let left = if ctx.in_slow_start() {
            ctx.slow_start(acked)
        } else {
            acked
        };
        if left != 0 {
            ctx.cong_avoid_ai(ctx.cwnd, left);
        }
    }
}
