// SPDX-License-Identifier: GPL-2.0
//! HyStart: leaving slow start before it overruns the path.
//!
//! Slow start doubles the window until something is lost, and what is lost then is as much as half a
//! window. Two things tell earlier that the path is full: acknowledgements that still arrive back to
//! back when half a round trip has passed (the flight is as long as the path), and a round-trip time
//! that grows (a queue fills). RFC 9406 keeps only the second; Linux's CUBIC looks at both, and stops
//! doubling at once.
//!
//! Mirrors [`hystart_update`](srctree/net/ipv4/tcp_cubic.c)

use super::Ctx;
use crate::stack::tcp::seq::SeqNum;

/// Samples that a round trip gives before its delay is judged (RFC 9406, 4.3, N_RTT_SAMPLE).
const MIN_SAMPLES: u8 = 8;
/// By how much a round trip must have grown at the least, in microseconds (MIN_RTT_THRESH).
const DELAY_MIN_US: u32 = 4_000;
/// By how much it must have grown at the most (MAX_RTT_THRESH).
const DELAY_MAX_US: u32 = 16_000;
/// Windows below this, in segments, are too small to overrun anything (`hystart_low_window`).
const LOW_WINDOW: u32 = 16;
/// Acknowledgements no further apart than this, in microseconds, are one train (`hystart_ack_delta_us`).
const ACK_DELTA_US: u32 = 2_000;
/// The most that aggregation is allowed to stretch a train, in microseconds.
const ACK_DELAY_MAX_US: u64 = 1_000;

/// What ended slow start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The train of acknowledgements was as long as half a round trip.
    Train,
    /// The round-trip time grew.
    Delay,
}

/// What is known of the present round trip. Times are in microseconds modulo 2^32.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HyStart {
    /// When the round began.
    round_start: u32,
    /// The round ends when this is acknowledged: what was sent when it began.
    end_seq: SeqNum,
    /// When the last acknowledgement of the train came.
    last_ack: u32,
    /// The shortest round-trip time of this round, in microseconds.
    curr_rtt_us: u32,
    samples: u8,
    /// The exit has been found: there is nothing more to look for.
    pub(super) found: bool,
}

impl HyStart {
    /// A new round begins now.
    ///
    /// Mirrors [`bictcp_hystart_reset`](srctree/net/ipv4/tcp_cubic.c).
    pub(super) fn reset(&mut self, ctx: &Ctx) {
        let now = ctx.now.as_micros() as u32;
        *self = HyStart {
            round_start: now,
            end_seq: ctx.snd_nxt,
            last_ack: now,
            curr_rtt_us: u32::MAX,
            samples: 0,
            found: self.found,
        };
    }

    /// Takes the round-trip time of a segment. `delay_min` is the connection's shortest one, in
    /// microseconds. Returns why slow start should end, if it should.
    pub(super) fn update(&mut self, ctx: &Ctx, rtt_us: u32, delay_min: u32) -> Option<Exit> {
        if ctx.snd_una.after(self.end_seq) {
            self.reset(ctx);
        }
        if ctx.cwnd < LOW_WINDOW {
            return None;
        }
        let mut exit = None;
        let now = ctx.now.as_micros() as u32;
        if now.wrapping_sub(self.last_ack) <= ACK_DELTA_US {
            self.last_ack = now;
            let mut threshold = delay_min.saturating_add(ack_delay_us(ctx));
            if !ctx.paced {
                // Pacing alone may stretch a flight over half a round trip.
                threshold >>= 1;
            }
            if now.wrapping_sub(self.round_start) > threshold {
                exit = Some(Exit::Train);
            }
        }
        self.curr_rtt_us = self.curr_rtt_us.min(rtt_us);
        if self.samples < MIN_SAMPLES {
            self.samples = self.samples.saturating_add(1);
        } else {
            let thresh = (delay_min >> 3).clamp(DELAY_MIN_US, DELAY_MAX_US);
            if self.curr_rtt_us > delay_min.saturating_add(thresh) {
                exit = exit.or(Some(Exit::Delay));
            }
        }
        self.found |= exit.is_some();
        exit
    }
}

/// By how much GSO and GRO may stretch a train without the path having anything to do with it, in
/// microseconds: four of the largest packets at the present rate.
///
/// Mirrors [`hystart_ack_delay`](srctree/net/ipv4/tcp_cubic.c).
fn ack_delay_us(ctx: &Ctx) -> u32 {
    u64::from(ctx.gso_max_size)
        .saturating_mul(4 * 1_000_000)
        .checked_div(ctx.pacing_rate)
        .unwrap_or(0)
        .min(ACK_DELAY_MAX_US) as u32
}
