// SPDX-License-Identifier: GPL-2.0
//! The congestion window between the connection and its algorithm: what the algorithm is told, and
//! when a window counts as used.
//!
//! A window that is not used says nothing of the path: it does not grow (RFC 9293, 3.8.2), shrinks
//! slowly while the application sends less (RFC 2861, 3.2), and starts anew after idleness (RFC 5681, 4.1).

use super::{
    chrono::Kind,
    cong::{
        AckSample,
        Algorithm,
        CongestionControl,
        Ctx,
        Event,
        Exit, //
    },
    pacing::Pacing,
    sock::Sock,
    state::{
        CaState,
        State, //
    },
    INIT_CWND, //
};
use crate::stack::{
    counters::Counter,
    env::Env,
    errno::Errno,
    time::Instant, //
};

/// The window that a connection begins with, in segments: the route's, or that of RFC 6928.
///
/// Mirrors [`tcp_init_cwnd`](srctree/net/ipv4/tcp_input.c).
pub(super) fn initial<E: Env>(env: &E) -> u32 {
    match env.metrics().initcwnd {
        0 => INIT_CWND,
        n => n,
    }
}

impl Sock {
    /// The connection as its algorithm sees it.
    #[inline]
    fn ca_ctx(&self, now: Instant) -> Ctx {
        Ctx {
            cwnd: self.snd_cwnd,
            ssthresh: self.snd_ssthresh,
            cwnd_cnt: self.snd_cwnd_cnt,
            clamp: self.snd_cwnd_clamp,
            prior_cwnd: self.prior_cwnd,
            now,
            lsndtime: self.lsndtime,
            snd_una: self.snd_una,
            snd_nxt: self.snd_nxt,
            pacing_rate: u64::MAX,
            paced: false,
            gso_max_size: self.gso_max_size,
        }
    }

    /// Takes over what the algorithm changed.
    #[inline]
    fn ca_apply(&mut self, ctx: &Ctx) {
        self.snd_cwnd = ctx.cwnd;
        self.snd_ssthresh = ctx.ssthresh;
        self.snd_cwnd_cnt = ctx.cwnd_cnt;
    }

    /// The name of the congestion-control algorithm.
    pub fn congestion(&self) -> &'static str {
        self.cong.name()
    }

    /// Changes the algorithm (TCP_CONGESTION).
    ///
    /// # Errors
    ///
    /// `ENOENT` for a name that is not known.
    ///
    /// Mirrors [`tcp_set_congestion_control`](srctree/net/ipv4/tcp_cong.c).
    pub fn set_congestion<E: Env>(&mut self, env: &E, name: &[u8]) -> Result<(), Errno> {
        let cong = Algorithm::find(name).ok_or(Errno::ENOENT)?;
        self.ca_setsockopt = true;
        if cong.name() != self.cong.name() {
            self.cong = cong;
            if !matches!(self.state, State::Close | State::Listen) {
                self.ca_init(env.now());
            }
        }
        Ok(())
    }

    /// Data may flow: the algorithm begins.
    ///
    /// Mirrors [`tcp_init_congestion_control`](srctree/net/ipv4/tcp_cong.c).
    pub(super) fn ca_init(&mut self, now: Instant) {
        let ctx = self.ca_ctx(now);
        self.cong.init(&ctx);
        self.snd_cwnd_stamp = now;
    }

    /// The slow-start threshold after a loss with the window as it is; the window is not changed.
    pub(super) fn ca_ssthresh(&mut self, now: Instant) -> u32 {
        let ctx = self.ca_ctx(now);
        self.cong.ssthresh(&ctx)
    }

    /// The window after it turned out that the last reduction was for nothing.
    pub(super) fn ca_undo_cwnd(&mut self, now: Instant) -> u32 {
        let ctx = self.ca_ctx(now);
        self.cong.undo_cwnd(&ctx)
    }

    /// Tells the algorithm of an event.
    ///
    /// Mirrors [`tcp_ca_event`](srctree/include/net/tcp.h).
    #[inline]
    pub(super) fn ca_event(&mut self, now: Instant, event: Event) {
        let ctx = self.ca_ctx(now);
        self.cong.cwnd_event(&ctx, event);
    }

    /// Goes to another state of loss recovery.
    ///
    /// Mirrors [`tcp_set_ca_state`](srctree/net/ipv4/tcp_cong.c).
    pub(super) fn set_ca_state(&mut self, now: Instant, state: CaState) {
        let ctx = self.ca_ctx(now);
        self.cong.set_state(&ctx, state);
        self.ca_state = state;
    }

    /// Tells the algorithm what an acknowledgement measured; slow start may end.
    #[inline]
    pub(super) fn ca_pkts_acked<E: Env>(&mut self, env: &mut E, sample: &AckSample) {
        let mut ctx = self.ca_ctx(env.now());
        ctx.pacing_rate = env.pacing_rate();
        ctx.paced = env.pacing() != Pacing::None;
        let Some(exit) = self.cong.pkts_acked(&mut ctx, sample) else {
            return;
        };
        self.ca_apply(&ctx);
        let (detect, cwnd) = match exit {
            Exit::Train => (Counter::TcpHystartTrainDetect, Counter::TcpHystartTrainCwnd),
            Exit::Delay => (Counter::TcpHystartDelayDetect, Counter::TcpHystartDelayCwnd),
        };
        env.count(detect);
        env.count_n(cwnd, self.snd_cwnd);
    }

    /// Lets the window grow with `acked` segments, if it was in use.
    ///
    /// Mirrors [`tcp_cong_avoid`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    pub(super) fn ca_cong_avoid(&mut self, now: Instant, acked: u32) {
        if !self.is_cwnd_limited() {
            return;
        }
        let mut ctx = self.ca_ctx(now);
        self.cong.cong_avoid(&mut ctx, acked);
        self.ca_apply(&ctx);
        self.snd_cwnd_stamp = now;
    }

    /// Whether the window doubles with every round trip.
    ///
    /// Mirrors [`tcp_in_slow_start`](srctree/include/net/tcp.h).
    #[inline]
    pub(super) fn in_slow_start(&self) -> bool {
        self.snd_cwnd < self.snd_ssthresh
    }

    /// Whether the window is being reduced.
    ///
    /// Mirrors [`tcp_in_cwnd_reduction`](srctree/include/net/tcp.h).
    #[inline]
    pub(super) fn in_cwnd_reduction(&self) -> bool {
        matches!(self.ca_state, CaState::Cwr | CaState::Recovery)
    }

    /// The threshold that the present window proves: what was sent in it got through.
    ///
    /// Mirrors [`tcp_current_ssthresh`](srctree/include/net/tcp.h).
    pub(super) fn current_ssthresh(&self) -> u32 {
        if self.in_cwnd_reduction() {
            return self.snd_ssthresh;
        }
        let proven = (self.snd_cwnd >> 1).saturating_add(self.snd_cwnd >> 2);
        self.snd_ssthresh.max(proven)
    }

    /// Whether the window, not the application, limits the flight. In slow start half of it is
    /// enough: it may grow to twice what was acknowledged.
    ///
    /// Mirrors [`tcp_is_cwnd_limited`](srctree/include/net/tcp.h).
    #[inline]
    pub(super) fn is_cwnd_limited(&self) -> bool {
        self.cwnd_limited
            || (self.in_slow_start() && self.snd_cwnd < self.max_packets_out.saturating_mul(2))
    }

    /// Notes how far the flight used the window; `limited` says that more would have been sent but
    /// for it.
    ///
    /// Mirrors [`tcp_cwnd_validate`](srctree/net/ipv4/tcp_output.c).
    #[inline]
    pub(super) fn cwnd_validate<E: Env>(&mut self, env: &mut E, limited: bool) {
        // The strongest sign of a whole flight counts.
        if !self.snd_una.before(self.cwnd_usage_seq)
            || limited
            || (!self.cwnd_limited && self.packets_out > self.max_packets_out)
        {
            self.cwnd_limited = limited;
            self.max_packets_out = self.packets_out;
            self.cwnd_usage_seq = self.snd_nxt;
        }
        let now = env.now();
        if self.is_cwnd_limited() {
            self.snd_cwnd_used = 0;
            self.snd_cwnd_stamp = now;
            return;
        }
        self.snd_cwnd_used = self.snd_cwnd_used.max(self.packets_out);
        if now.since(self.snd_cwnd_stamp) >= self.rto
            && env.sysctl().tcp_slow_start_after_idle() != 0
        {
            self.cwnd_application_limited(env);
        }
        // What was written has left, and the writer waits: the buffer is too small for the window.
        if self.write_queue.is_empty() && self.state.can_send() && env.writer_waits() {
            self.chrono_start(now, Kind::SndbufLimited);
        }
    }

    /// The application has sent less than the window for a whole timeout: the window goes half the
    /// way to what was used.
    ///
    /// RFC 2861, 3.2. Mirrors [`tcp_cwnd_application_limited`](srctree/net/ipv4/tcp_output.c).
    #[cold]
    fn cwnd_application_limited<E: Env>(&mut self, env: &mut E) {
        if self.ca_state == CaState::Open && !env.is_dead() && !env.writer_waits() {
            let used = self.snd_cwnd_used.max(INIT_CWND);
            if used < self.snd_cwnd {
                self.snd_ssthresh = self.current_ssthresh();
                self.snd_cwnd = self.snd_cwnd.saturating_add(used) >> 1;
            }
            self.snd_cwnd_used = 0;
        }
        self.snd_cwnd_stamp = env.now();
    }

    /// Data are about to be queued: if nothing was sent for longer than the timeout, the clock of
    /// ACKs is gone and the window starts anew.
    ///
    /// RFC 5681, 4.1. Mirrors [`tcp_slow_start_after_idle_check`](srctree/include/net/tcp.h).
    #[inline]
    pub(super) fn slow_start_after_idle_check<E: Env>(&mut self, env: &E) {
        let now = env.now();
        if self.packets_out == 0
            && now.since(self.lsndtime) > self.rto
            && env.sysctl().tcp_slow_start_after_idle() != 0
        {
            self.cwnd_restart(env);
        }
    }

    /// Halves the window for every timeout of idleness, down to the initial window. What the
    /// connection knew of the path is kept in the threshold (RFC 2861, 3.1).
    ///
    /// Mirrors [`tcp_cwnd_restart`](srctree/net/ipv4/tcp_output.c).
    #[cold]
    fn cwnd_restart<E: Env>(&mut self, env: &E) {
        let now = env.now();
        self.ca_event(now, Event::CwndRestart);
        self.snd_ssthresh = self.current_ssthresh();
        let restart = initial(env).min(self.snd_cwnd);
        let idle = now.since(self.lsndtime);
        let mut cwnd = self.snd_cwnd;
        let mut left = idle.minus(self.rto);
        while !left.is_zero() && cwnd > restart {
            cwnd >>= 1;
            left = left.minus(self.rto);
        }
        self.snd_cwnd = cwnd.max(restart);
        self.snd_cwnd_stamp = now;
        self.snd_cwnd_used = 0;
    }
}
