// SPDX-License-Identifier: GPL-2.0
//! The rate of delivery: how fast the path has been seen to carry what we send.
//!
//! Each packet remembers how much had been delivered, and when, at the time it was sent. Its
//! acknowledgement then measures a whole flight: what was delivered since, over the time that took at the
//! sending or at the receiving end, whichever was longer, so that acknowledgements that come in a bunch do not
//! make the path seem fast. A flight that the application has not filled says less of the path, and counts
//! only if it was faster than what is known.
//!
//! Mirrors [`tcp_rate_gen`](srctree/net/ipv4/tcp_input.c), draft-cheng-iccrg-delivery-rate-estimation.

use super::{
    skb::Cb,
    sock::Sock,
    told::Ack, //
};
use crate::stack::{
    env::Env,
    time::Instant, //
};

/// No packet with data is smaller (`SKB_TRUESIZE(1)`), in bytes of true size; acknowledgements weigh next to nothing.
const MIN_TRUESIZE: u32 = 576;

/// What is known of the rate. Times are in microseconds modulo 2^32; 0 is none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rate {
    /// When the packet was sent that was delivered last.
    first_tx_us: u32,
    /// When it was delivered.
    delivered_us: u32,
    /// The number of delivered segments beyond which the application fills the flight again; 0 while it does
    /// (`app_limited`).
    app_limited: u32,
    /// The sample that counts: so many segments in so many microseconds.
    delivered: u32,
    interval_us: u32,
    /// It is of a flight that the application had not filled.
    pub(super) is_app_limited: bool,
}

/// A moment in microseconds modulo 2^32, which is never 0.
#[inline]
fn us(at: Instant) -> u32 {
    (at.as_micros() as u32).max(1)
}

/// What a packet remembers.
impl Cb {
    /// Notes the state of delivery in a packet that is being sent at `now`.
    ///
    /// Mirrors [`tcp_rate_skb_sent`](srctree/net/ipv4/tcp_output.c).
    #[inline]
    pub(super) fn rate_sent(&mut self, rate: &mut Rate, packets_out: u32, now: Instant) {
        if packets_out == 0 {
            // Nothing is in flight: the measurement begins here.
            rate.first_tx_us = us(now);
            rate.delivered_us = rate.first_tx_us;
        }
        self.first_tx_us = rate.first_tx_us;
        self.delivered_us = rate.delivered_us;
        self.app_limited = u8::from(rate.app_limited != 0);
    }
}

/// What one acknowledgement measures (`struct rate_sample`).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    /// When the delivery before the flight was; 0 if nothing was measured.
    prior_us: u32,
    /// How long sending the flight took.
    send_us: u32,
    /// When its last packet was sent.
    tx_us: u32,
    is_app_limited: bool,
}

impl Sample {
    /// Takes the measurement of a delivered packet, which is the last of those so far.
    ///
    /// Mirrors [`tcp_rate_skb_delivered`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    pub(super) fn take(&mut self, cb: &Cb) {
        let tx_us = us(Instant::from_nanos(cb.sent_at));
        *self = Sample {
            prior_us: cb.delivered_us,
            send_us: tx_us.wrapping_sub(cb.first_tx_us),
            tx_us,
            is_app_limited: cb.app_limited != 0,
        };
    }
}

impl Sock {
    /// An acknowledgement told of `delivered` segments: what that says of the rate.
    ///
    /// Mirrors [`tcp_rate_gen`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    pub(super) fn rate_gen(&mut self, ack: &Ack, delivered: u32) {
        let rate = &mut self.rate;
        let total = self.stats.delivered;
        if rate.app_limited != 0 && (total.wrapping_sub(rate.app_limited) as i32) > 0 {
            rate.app_limited = 0;
        }
        let now = us(ack.now);
        if delivered != 0 {
            rate.delivered_us = now;
        }
        let sample = &ack.rate;
        if sample.prior_us == 0 {
            return;
        }
        rate.first_tx_us = sample.tx_us;
        if self.is_sack_reneg {
            // What was told before and taken back would count twice.
            return;
        }
        let count = total.wrapping_sub(ack.prior_delivered);
        let interval = sample.send_us.max(now.wrapping_sub(sample.prior_us));
        if interval < self.min_rtt.get() {
            return;
        }
        if !sample.is_app_limited
            || u64::from(count).wrapping_mul(u64::from(rate.interval_us))
                >= u64::from(rate.delivered).wrapping_mul(u64::from(interval))
        {
            rate.delivered = count;
            rate.interval_us = interval;
            rate.is_app_limited = sample.is_app_limited;
        }
    }

    /// The user writes: if everything before has left and more could, the flight was limited by him.
    ///
    /// Mirrors [`tcp_rate_check_app_limited`](srctree/net/ipv4/tcp.c).
    #[inline]
    pub(super) fn rate_check_app_limited<E: Env>(&mut self, env: &E) {
        let in_flight = self.packets_in_flight();
        if self.write_seq.since(self.snd_nxt) < u32::from(self.mss_cache)
            && env.queued_below() < MIN_TRUESIZE
            && in_flight < self.snd_cwnd
            && self.lost_out <= self.retrans_out
        {
            self.rate.app_limited = self.stats.delivered.wrapping_add(in_flight).max(1);
        }
    }

    /// The rate in bytes per second; 0 if nothing was measured.
    ///
    /// Mirrors [`tcp_compute_delivery_rate`](srctree/net/ipv4/tcp.c).
    pub(super) fn delivery_rate(&self) -> u64 {
        u64::from(self.rate.delivered)
            .saturating_mul(u64::from(self.mss_cache))
            .saturating_mul(1_000_000)
            .checked_div(u64::from(self.rate.interval_us))
            .unwrap_or(0)
    }
}
