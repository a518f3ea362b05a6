// SPDX-License-Identifier: GPL-2.0
//! Pacing: the rate at which segments should leave, when each may, and how large a packet may be.
//!
//! The rate follows the window: twice what a round trip delivers in slow start, 120 % beyond. It sizes
//! GSO packets, about a millisecond's worth each. Where the queueing discipline is fq, each packet
//! carries its earliest departure time (EDT) and fq keeps it until then.
//!
//! Mirrors [`tcp_update_pacing_rate`](srctree/net/ipv4/tcp_input.c), [`tcp_update_skb_after_send`](srctree/net/ipv4/tcp_output.c)

use super::{
    skb::{
        Cb,
        Flags, //
    },
    sock::Sock,
    state::CaState, //
};
use crate::stack::{
    env::Env,
    time::{
        Duration,
        Instant, //
    }, //
};

/// Segments at the start of a connection that are not paced.
const UNPACED_SEGS: u32 = 10;
/// The rate's share that makes one packet: `rate >> SHIFT`, about a millisecond (`sk_pacing_shift`).
const SHIFT: u32 = 10;

/// How recently the last packet must have left for the next one to wait.
const RECENT: Duration = Duration::from_millis(1);
/// Without a divisor, more than so many segments do not wait (`tcp_max_tso_deferred_mss`).
const MAX_DEFERRED_SEGS: u32 = 3;

/// Who paces (`enum sk_pacing`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pacing {
    /// Nobody.
    #[default]
    None,
    /// The user wants it (SO_MAX_PACING_RATE) and no queueing discipline does it.
    Needed,
    /// The fq queueing discipline.
    Fq,
}

/// Whether to send a packet that could be larger, or what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Defer {
    /// Send it.
    SendNow,
    /// An ACK will open the congestion window soon.
    Cwnd,
    /// An ACK will open the peer's window soon.
    Rwnd,
    /// The user will write more soon.
    App,
}

impl Sock {
    /// Computes the rate anew: `ratio` per cent of a window in a round trip.
    ///
    /// Mirrors [`tcp_update_pacing_rate`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    pub(super) fn update_pacing_rate<E: Env>(&mut self, env: &mut E) {
        let ratio = if self.snd_cwnd < self.snd_ssthresh >> 1 {
            env.sysctl().tcp_pacing_ss_ratio()
        } else {
            env.sysctl().tcp_pacing_ca_ratio()
        };
        let window = self.snd_cwnd.max(self.packets_out);
        env.set_pacing_rate(rate(self.mss_cache, window, ratio, self.srtt_us));
    }

    /// When a packet of `len` bytes may leave. The next one may not before this one has had its time.
    ///
    /// Mirrors [`tcp_update_skb_after_send`](srctree/net/ipv4/tcp_output.c).
    #[inline]
    pub(super) fn departure<E: Env>(&mut self, env: &E, len: u32) -> Instant {
        let prior = self.wstamp;
        let at = prior.max(env.now());
        self.wstamp = at;
        if env.pacing() != Pacing::None && self.stats.data_segs_out >= UNPACED_SEGS {
            self.wstamp = at.plus(spacing(len, env.pacing_rate(), at.since(prior)));
        }
        at
    }

    /// Whether a packet of several segments, but of fewer than `max_segs`, is better kept until the next
    /// ACK: it is near, and a larger packet is cheaper.
    ///
    /// Mirrors [`tcp_tso_should_defer`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn tso_should_defer<E: Env>(
        &self,
        env: &E,
        cb: &Cb,
        len: u32,
        is_tail: bool,
        max_segs: u32,
    ) -> Defer {
        if self.ca_state >= CaState::Recovery {
            return Defer::SendNow;
        }
        // Only in the midst of sending: the last packet left a millisecond ago at the most.
        let now = env.now();
        if now.since(self.wstamp) > RECENT {
            return Defer::SendNow;
        }
        let in_flight = self.packets_in_flight();
        let mss = u32::from(self.mss_cache);
        let send_win = self.wnd_end().since(cb.seq);
        let cong_win = self.snd_cwnd.saturating_sub(in_flight).saturating_mul(mss);
        let limit = send_win.min(cong_win);
        if limit >= max_segs.saturating_mul(mss) || (!is_tail && limit >= len) {
            return Defer::SendNow;
        }
        // A fair part of the window is worth a packet.
        let window = self.snd_wnd.min(self.snd_cwnd.saturating_mul(mss));
        let enough = match window.checked_div(u32::from(env.sysctl().tcp_tso_win_divisor())) {
            Some(part) => limit >= part,
            None => limit > MAX_DEFERRED_SEGS.saturating_mul(mss),
        };
        if enough {
            return Defer::SendNow;
        }
        let Some(head) = self.rtx_queue.first() else {
            return Defer::SendNow;
        };
        let srtt = Duration::from_nanos(u64::from(self.srtt_us).saturating_mul(1000 >> 3));
        let expected = Instant::from_nanos(head.tcp_cb().sent_at).plus(srtt);
        let patience = Duration::from_nanos(srtt.as_nanos() >> 1).min(RECENT);
        if expected.since(now) > patience {
            return Defer::SendNow;
        }
        if cong_win < send_win {
            if cong_win <= len {
                return Defer::Cwnd;
            }
        } else if send_win <= len {
            return Defer::Rwnd;
        }
        if cb.flags.has(Flags::FIN) || cb.eor != 0 {
            // It will not grow.
            return Defer::SendNow;
        }
        Defer::App
    }

    /// How many segments of `mss` bytes should make one packet.
    ///
    /// Mirrors [`tcp_tso_autosize`, `tcp_tso_segs`](srctree/net/ipv4/tcp_output.c).
    #[inline]
    pub(super) fn tso_segs<E: Env>(&self, env: &E, mss: u32, min_rtt_us: u32) -> u32 {
        let sysctl = env.sysctl();
        let most = self.gso_max_size;
        // A short path can have large packets: its ACKs come soon all the same.
        let short = most
            .checked_shr(
                min_rtt_us
                    .checked_shr(u32::from(sysctl.tcp_tso_rtt_log()))
                    .unwrap_or(0),
            )
            .unwrap_or(0);
        let bytes = (env.pacing_rate() >> SHIFT)
            .saturating_add(u64::from(short))
            .min(u64::from(most)) as u32;
        bytes
            .checked_div(mss)
            .unwrap_or(1)
            .max(u32::from(sysctl.tcp_min_tso_segs()))
            .min(u32::from(self.gso_segs))
            .max(1)
    }
}

/// `ratio` per cent of `window` segments of `mss` bytes in a round trip of `srtt_us` eighths of a
/// microsecond, in bytes per second.
fn rate(mss: u16, window: u32, ratio: u32, srtt_us: u32) -> u64 {
    let bytes = u64::from(mss)
        .saturating_mul((1_000_000 / 100) << 3)
        .saturating_mul(u64::from(ratio))
        .saturating_mul(u64::from(window));
    bytes.checked_div(u64::from(srtt_us)).unwrap_or(bytes)
}

/// The time that `len` bytes take at `rate` bytes per second. Up to half of it is taken from
/// `credit`, by how much the packet is late: clocks and schedulers jitter.
fn spacing(len: u32, rate: u64, credit: Duration) -> Duration {
    if rate == u64::MAX {
        return Duration::ZERO;
    }
    let ns = u64::from(len)
        .saturating_mul(1_000_000_000)
        .checked_div(rate)
        .unwrap_or(0);
    Duration::from_nanos(ns.saturating_sub(credit.as_nanos().min(ns / 2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate__a_window_in_a_round_trip() {
        // 10 segments of 1000 bytes in 100 ms are 100 kB/s.
        assert_eq!(rate(1000, 10, 100, 800_000), 100_000);
        assert_eq!(rate(1000, 10, 200, 800_000), 200_000);
        // No round trip is known yet: a microsecond's eighth.
        assert_eq!(rate(1000, 10, 200, 0), rate(1000, 10, 200, 1));
        assert!(rate(u16::MAX, u32::MAX, 1000, 1) > 1 << 62);
    }

    #[test]
    fn spacing__half_of_it_at_the_most_is_made_up() {
        let ms = Duration::from_millis;
        assert_eq!(spacing(1000, 1_000_000, Duration::ZERO), ms(1));
        assert_eq!(spacing(2000, 1_000_000, ms(1)), ms(1));
        assert_eq!(spacing(2000, 1_000_000, ms(100)), ms(1));
        assert_eq!(spacing(2000, u64::MAX, ms(100)), Duration::ZERO);
        assert_eq!(spacing(2000, 0, Duration::ZERO), Duration::ZERO);
    }
}
