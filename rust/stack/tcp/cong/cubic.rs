// SPDX-License-Identifier: GPL-2.0
//! CUBIC: RFC 9438, in whole numbers.
//!
//! After a reduction the window climbs along `W_cubic(t) = C*(t - K)^3 + W_max`: fast towards the
//! window at which the last loss happened, slowly around it, and ever faster beyond. Time is counted
//! in 1024ths of a second and `C` in 1024ths, so that a cube of time needs a shift by 40 bits.
//!
//! Mirrors [`tcp_cubic.c`](srctree/net/ipv4/tcp_cubic.c)

use super::{
    hystart::{
        Exit,
        HyStart, //
    },
    AckSample,
    CongestionControl,
    Ctx,
    Event, //
};
use crate::stack::tcp::state::CaState;

/// One, where fractions are 1024ths (`BICTCP_BETA_SCALE`).
const ONE: u32 = 1024;
/// RFC 9438, 4.6: `beta_cubic = 0.7`.
const BETA: u32 = 717;
/// RFC 9438, 5.1: `C = 0.4`, in 1024ths.
const C: u64 = 410;
/// Bits behind the point of a time.
const TIME_BITS: u32 = 10;
/// Bits behind the point of `C * t^3`.
const CUBE_BITS: u32 = 10 + 3 * TIME_BITS;
/// `1 / C` for the cube of a time.
const CUBE_FACTOR: u64 = (1 << CUBE_BITS) / C;
/// Eight times the segments that Reno with CUBIC's beta needs acknowledged, per segment of window, for
/// one step: `8 * (1 + beta) / (3 * (1 - beta))`, RFC 9438, 4.3's alpha_cubic.
const BETA_SCALE: u32 = 8 * (ONE + BETA) / 3 / (ONE - BETA);
/// Before the first loss the window grows by a twentieth each round trip at the least.
const MAX_CNT_BLIND: u32 = 20;
/// The curve is followed in steps of this, in milliseconds: the tick of Debian's kernel, on which the in-tree CUBIC moves.
/// Within one, `cnt` stays and the window climbs by the same share each round trip. That counts where round trips are far
/// shorter, as within a rack: with finer steps a flow there had two thirds of the window of an in-tree one beside it.
const TICK_MS: u32 = 4;
/// How long the target is kept while the window does not change, in milliseconds.
const KEEP_MS: u32 = 1000 / 32;
/// For so long after a reduction round-trip times still tell of the old queue, in milliseconds.
const SETTLE_MS: u32 = 1000;

/// The state of CUBIC. Times are in milliseconds modulo 2^32.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cubic {
    /// Segments to be acknowledged for each segment by which the window grows.
    cnt: u32,
    /// The window at the last loss, W_max.
    last_max_cwnd: u32,
    /// The window at the last update.
    last_cwnd: u32,
    /// When that was.
    last_time: u32,
    /// Where the curve is flat.
    origin_point: u32,
    /// How long the climb to there takes (K), in 1024ths of a second.
    k: u32,
    /// The shortest round-trip time, in microseconds; 0 if there is none.
    delay_min: u32,
    /// When the present climb began.
    epoch_start: Option<u32>,
    /// Segments acknowledged that have not yet moved `tcp_cwnd`.
    ack_cnt: u32,
    /// The window that Reno would have (W_est).
    tcp_cwnd: u32,
    hystart: HyStart,
}

impl Cubic {
    /// Forgets everything but the present round of HyStart.
    ///
    /// Mirrors [`bictcp_reset`](srctree/net/ipv4/tcp_cubic.c).
    fn reset(&mut self, ctx: &Ctx) {
        *self = Cubic::default();
        self.hystart.reset(ctx);
    }

    /// Computes `cnt` from where the window should be.
    ///
    /// Mirrors [`bictcp_update`](srctree/net/ipv4/tcp_cubic.c).
    fn update(&mut self, ctx: &Ctx, acked: u32) {
        let cwnd = ctx.cwnd;
        let now = ctx.now.as_millis_u32();
        self.ack_cnt = self.ack_cnt.saturating_add(acked);
        if self.last_cwnd == cwnd && now.wrapping_sub(self.last_time) <= KEEP_MS {
            return;
        }
        if self.epoch_start.is_none() || now.wrapping_sub(self.last_time) >= TICK_MS {
            self.last_cwnd = cwnd;
            self.last_time = now;
            self.cnt = self.follow_curve(cwnd, now, acked);
        }
        self.cnt = self.friendly(cwnd).max(2);
    }

    /// How many segments a step costs on the way along the cubic curve (RFC 9438, 4.2, 4.4, 4.5).
    fn follow_curve(&mut self, cwnd: u32, now: u32, acked: u32) -> u32 {
        let epoch_start = match self.epoch_start {
            Some(start) => start,
            None => {
                self.epoch_start = Some(now);
                self.ack_cnt = acked;
                self.tcp_cwnd = cwnd;
                let missing = self.last_max_cwnd.saturating_sub(cwnd);
                // RFC 9438, equation 2: K = cubic_root((W_max - cwnd_epoch) / C).
                self.k = cubic_root(CUBE_FACTOR.saturating_mul(u64::from(missing)));
                self.origin_point = self.last_max_cwnd.max(cwnd);
                now
            }
        };
        // The target is where the curve will be one round trip from now, in whole steps.
        let rtt = u64::from(self.delay_min.div_ceil(TICK_MS * 1000)) * u64::from(TICK_MS);
        let ms = u64::from(now.wrapping_sub(epoch_start)).saturating_add(rtt);
        let t = (ms << TIME_BITS) / 1000;
        let k = u64::from(self.k);
        let offs = t.abs_diff(k);
        let cube = offs.saturating_mul(offs).saturating_mul(offs);
        let delta = (cube.saturating_mul(C) >> CUBE_BITS).min(u64::from(u32::MAX)) as u32;
        let target = if t < k {
            self.origin_point.saturating_sub(delta)
        } else {
            self.origin_point.saturating_add(delta)
        };
        let cnt = match cwnd.checked_div(target.saturating_sub(cwnd)) {
            Some(cnt) => cnt,
            // At the target or beyond: hardly at all.
            None => cwnd.saturating_mul(100),
        };
        if self.last_max_cwnd == 0 {
            cnt.min(MAX_CNT_BLIND)
        } else {
            cnt
        }
    }

    /// The same, but never slower than Reno would be (RFC 9438, 4.3).
    fn friendly(&mut self, cwnd: u32) -> u32 {
        let step = (u64::from(cwnd).saturating_mul(u64::from(BETA_SCALE)) >> 3)
            .min(u64::from(u32::MAX)) as u32;
        if self.ack_cnt > step {
            let n = self
                .ack_cnt
                .saturating_sub(1)
                .checked_div(step)
                .unwrap_or(0);
            self.ack_cnt = self.ack_cnt.saturating_sub(n.saturating_mul(step));
            self.tcp_cwnd = self.tcp_cwnd.saturating_add(n);
        }
        match cwnd.checked_div(self.tcp_cwnd.saturating_sub(cwnd)) {
            Some(max_cnt) => self.cnt.min(max_cnt),
            None => self.cnt,
        }
    }
}

impl CongestionControl for Cubic {
    fn name(&self) -> &'static str {
        "cubic"
    }

    fn init(&mut self, ctx: &Ctx) {
        self.reset(ctx);
    }

    /// RFC 9438, 4.6, with fast convergence, 4.7.
    ///
    /// Mirrors [`cubictcp_recalc_ssthresh`](srctree/net/ipv4/tcp_cubic.c).
    fn ssthresh(&mut self, ctx: &Ctx) -> u32 {
        self.epoch_start = None;
        let part = |n: u32, d: u32| {
            (u64::from(ctx.cwnd).saturating_mul(u64::from(n)) / u64::from(d)) as u32
        };
        self.last_max_cwnd = if ctx.cwnd < self.last_max_cwnd {
            // Below the last maximum: somebody new is on the path, make room for him.
            part(ONE + BETA, 2 * ONE)
        } else {
            ctx.cwnd
        };
        part(BETA, ONE).max(2)
    }

    /// Mirrors [`cubictcp_cong_avoid`](srctree/net/ipv4/tcp_cubic.c).
    #[inline]
    fn cong_avoid(&mut self, ctx: &mut Ctx, acked: u32) {
        let left = if ctx.in_slow_start() {
            ctx.slow_start(acked)
        } else {
            acked
        };
        if left != 0 {
            self.update(ctx, left);
            ctx.cong_avoid_ai(self.cnt, left);
        }
    }

    /// Mirrors [`cubictcp_state`](srctree/net/ipv4/tcp_cubic.c).
    fn set_state(&mut self, ctx: &Ctx, state: CaState) {
        if state == CaState::Loss {
            self.reset(ctx);
        }
    }

    /// RFC 9438, 5.8: time without data to send is no time on the curve.
    ///
    /// Mirrors [`cubictcp_cwnd_event_tx_start`](srctree/net/ipv4/tcp_cubic.c).
    #[inline]
    fn cwnd_event(&mut self, ctx: &Ctx, event: Event) {
        if event != Event::TxStart {
            return;
        }
        if let Some(start) = self.epoch_start {
            let now = ctx.now.as_millis_u32();
            let idle = ctx.now.since(ctx.lsndtime).as_millis() as u32;
            let age = now.wrapping_sub(start);
            self.epoch_start = Some(start.wrapping_add(idle.min(age)));
        }
    }

    /// Mirrors [`cubictcp_acked`](srctree/net/ipv4/tcp_cubic.c).
    #[inline]
    fn pkts_acked(&mut self, ctx: &mut Ctx, sample: &AckSample) -> Option<Exit> {
        let rtt_us = sample.rtt_us?.max(1);
        let now = ctx.now.as_millis_u32();
        if matches!(self.epoch_start, Some(start) if now.wrapping_sub(start) < SETTLE_MS) {
            return None;
        }
        if self.delay_min == 0 || self.delay_min > rtt_us {
            self.delay_min = rtt_us;
        }
        if self.hystart.found || !ctx.in_slow_start() {
            return None;
        }
        let exit = self.hystart.update(ctx, rtt_us, self.delay_min)?;
        ctx.ssthresh = ctx.cwnd;
        Some(exit)
    }
}

/// The whole part of the cubic root, below 2^22.
fn cubic_root(a: u64) -> u32 {
    let mut root = 0u64;
    let mut bit = 1u64 << 21;
    while bit != 0 {
        let next = root | bit;
        if matches!((next * next).checked_mul(next), Some(cube) if cube <= a) {
            root = next;
        }
        bit >>= 1;
    }
    root as u32
}

#[cfg(test)]
mod tests;
