// SPDX-License-Identifier: GPL-2.0
//! The connection's deadlines.
//!
//! | deadline | meaning | set by |
//! |---|---|---|
//! | `rto_at`, `Pending::Retrans` | sent data must have been acknowledged (RFC 6298) | sending, ACKs |
//! | `rto_at`, `Pending::Probe0` | a closed window must be asked about (3.8.6.1) | a stalled write queue |
//! | `delack_at` | an owed ACK must leave (3.8.6.3) | data |
//! | `keep_at` | keepalive (3.8.4) | SO_KEEPALIVE |
//!
//! Whoever calls [`Sock::on_timer`] may be late or early: only what is due happens.

use super::{
    sock::{Pending, Sock, State},
    ATO_MIN,
    ORPHAN_RETRIES,
    RETRIES1,
    RETRIES2,
    RTO_MAX,
    RTO_MIN, //
};
use crate::stack::{
    counters::Counter,
    env::Env,
    errno::Errno,
    time::{Duration, Instant}, //
};

impl Sock {
    /// Does what is due at `env.now()`.
    ///
    /// Mirrors [`tcp_write_timer`, `tcp_delack_timer`, `tcp_keepalive_timer`](srctree/net/ipv4/tcp_timer.c).
    pub fn on_timer<E: Env>(&mut self, env: &mut E) {
        let now = env.now();
        let due = |at: Option<Instant>| matches!(at, Some(at) if at <= now);
        if due(self.delack_at) {
            self.delack_timer(env);
        }
        if due(self.rto_at) {
            self.rto_at = None;
            match self.pending {
                Pending::Retrans => self.retransmit_timer(env),
                Pending::Probe0 => self.probe_timer(env),
            }
        }
        if due(self.keep_at) {
            self.keep_at = None;
            self.keepalive_timer(env);
        }
    }

    /// The retransmission timeout after the present number of doublings: RFC 6298, 5.5.
    #[inline]
    pub(super) fn backed_off_rto(&self) -> Duration {
        if self.backoff == 0 {
            return self.rto;
        }
        let rto = self.rto.backoff(u32::from(self.backoff));
        if rto > RTO_MAX {
            RTO_MAX
        } else {
            rto
        }
    }

    /// The owed ACK leaves.
    ///
    /// Mirrors [`tcp_delack_timer_handler`](srctree/net/ipv4/tcp_timer.c).
    fn delack_timer<E: Env>(&mut self, env: &mut E) {
        self.delack_at = None;
        if self.state == State::Close || !self.ack.scheduled {
            return;
        }
        if self.ack.pingpong {
            // No answer of ours came in time: not so interactive after all.
            self.ack.pingpong = false;
            self.ack.ato = ATO_MIN;
        } else {
            // The delay was too short to catch a second segment.
            let ato = self.ack.ato.times(2);
            self.ack.ato = if ato > self.rto { self.rto } else { ato };
        }
        env.count(Counter::DelayedAcks);
        self.send_ack(env);
    }

    /// Sent data were not acknowledged in time.
    ///
    /// RFC 6298, 5.4 to 5.7. Mirrors [`tcp_retransmit_timer`](srctree/net/ipv4/tcp_timer.c).
    fn retransmit_timer<E: Env>(&mut self, env: &mut E) {
        if self.packets_out == 0 || self.rtx_queue.is_empty() {
            return;
        }
        let now = env.now();
        let syn = matches!(self.state, State::SynSent | State::SynRecv);
        if self.snd_wnd == 0 && !env.is_dead() && !syn {
            // The peer shrank its window to nothing: it is alive as long as it answers.
            if now.since(self.rcv_tstamp) > RTO_MAX {
                self.timed_out(env);
                return;
            }
        } else if self.write_timeout(env) {
            return;
        }
        self.enter_loss(env);
        self.retransmits = self.retransmits.saturating_add(1);
        if self.retransmit_skb(env, self.snd_una, 1).is_ok() {
            if let Some(skb) = self.rtx_queue.first() {
                self.retransmit_nxt = skb.tcp_cb().end_seq;
            }
            // 5.5: "The host MUST set RTO <- RTO * 2".
            self.backoff = self.backoff.saturating_add(1);
        }
        // 5.6. A local failure is tried again after the same time, without backing off.
        self.pending = Pending::Retrans;
        self.rto_at = Some(now.plus(self.backed_off_rto()));
    }

    /// Gives the connection up if it has been retransmitting for too long. Returns whether it did.
    ///
    /// 3.8.3. Mirrors [`tcp_write_timeout`](srctree/net/ipv4/tcp_timer.c).
    fn write_timeout<E: Env>(&mut self, env: &mut E) -> bool {
        let limit = match self.state {
            State::SynSent | State::SynRecv => {
                if self.retransmits != 0 {
                    env.negative_advice();
                }
                if self.user_timeout.is_zero() {
                    if self.retransmits >= self.syn_retries {
                        self.timed_out(env);
                        return true;
                    }
                    return false;
                }
                self.syn_retries
            }
            _ => {
                if self.retransmits == RETRIES1 {
                    // R1: perhaps the route is to blame.
                    env.negative_advice();
                    self.pmtu = 0;
                }
                if env.is_dead() {
                    ORPHAN_RETRIES
                } else {
                    RETRIES2
                }
            }
        };
        if self.retransmits_timed_out(env.now(), limit) {
            self.timed_out(env);
            return true;
        }
        false
    }

    /// Whether `limit` exponentially backed-off retransmissions would have taken as long as this
    /// trouble has lasted; time, not their number, decides (RFC 1122, 4.2.3.5: R2 in seconds).
    ///
    /// Mirrors [`retransmits_timed_out`](srctree/net/ipv4/tcp_timer.c).
    fn retransmits_timed_out(&self, now: Instant, limit: u8) -> bool {
        let Some(start) = self.retrans_stamp else {
            return false;
        };
        if self.retransmits == 0 {
            return false;
        }
        let timeout = if self.user_timeout.is_zero() {
            let base = if self.state.synchronised() {
                RTO_MIN
            } else {
                super::TIMEOUT_INIT
            };
            model_timeout(u32::from(limit), base)
        } else {
            self.user_timeout
        };
        now.since(start) >= timeout
    }

    fn timed_out<E: Env>(&mut self, env: &mut E) {
        env.count(Counter::TcpAbortOnTimeout);
        let error = env.soft_error().unwrap_or(Errno::ETIMEDOUT);
        self.fail(env, error);
    }

    /// Arms the probe timer if nothing else will move a stalled write queue.
    ///
    /// Mirrors [`tcp_check_probe_timer`](srctree/include/net/tcp.h).
    pub(super) fn check_probe_timer(&mut self, now: Instant) {
        if self.packets_out == 0 && self.rto_at.is_none() {
            self.arm_probe0(now);
        }
    }

    /// Mirrors [`tcp_reset_xmit_timer(ICSK_TIME_PROBE0)`, `tcp_probe0_when`](srctree/include/net/tcp.h).
    pub(super) fn arm_probe0(&mut self, now: Instant) {
        self.pending = Pending::Probe0;
        let base = if self.rto < RTO_MIN {
            RTO_MIN
        } else {
            self.rto
        };
        let when = base.backoff(u32::from(self.backoff));
        self.rto_at = Some(now.plus(if when > RTO_MAX { RTO_MAX } else { when }));
    }

    /// Asks a peer whose window is closed.
    ///
    /// 3.8.6.1: "The sending TCP peer must regularly transmit at least one octet of new data (if
    /// available), or retransmit to the receiving TCP peer even if the send window is zero".
    /// Mirrors [`tcp_probe_timer`, `tcp_send_probe0`](srctree/net/ipv4/tcp_timer.c).
    fn probe_timer<E: Env>(&mut self, env: &mut E) {
        if self.packets_out != 0 || self.write_queue.is_empty() {
            self.probes_out = 0;
            return;
        }
        let now = env.now();
        let dead = env.is_dead();
        // A peer that answers keeps the connection for ever (3.8.6.1), unless nobody is left to care.
        let limit = if dead { ORPHAN_RETRIES } else { RETRIES2 };
        let silent = now.since(self.rcv_tstamp);
        if (!self.user_timeout.is_zero() && self.probes_out > 0 && silent >= self.user_timeout)
            || (dead && self.backed_off_rto() >= RTO_MAX)
            || self.probes_out >= limit
        {
            self.timed_out(env);
            return;
        }
        env.count(Counter::TcpWinProbe);
        let sent = self.write_wakeup(env);
        if self.state == State::Close || self.packets_out != 0 || self.write_queue.is_empty() {
            // The probe carried data: the retransmission timer has taken over.
            return;
        }
        if sent.is_ok() {
            self.probes_out = self.probes_out.saturating_add(1);
            self.backoff = self.backoff.saturating_add(1).min(RETRIES2);
        }
        self.arm_probe0(now);
    }

    /// Switches SO_KEEPALIVE.
    ///
    /// Mirrors [`tcp_set_keepalive`](srctree/net/ipv4/tcp_timer.c).
    pub fn set_keepalive(&mut self, now: Instant, on: bool) {
        self.keepalive = on;
        let idle_state = matches!(self.state, State::Close | State::Listen);
        self.keep_at = if on && !idle_state {
            Some(now.plus(self.keepalive_time))
        } else {
            None
        };
    }

    /// Whether the peer is still there, after a long silence.
    ///
    /// 3.8.4. Mirrors [`tcp_keepalive_timer`](srctree/net/ipv4/tcp_timer.c).
    fn keepalive_timer<E: Env>(&mut self, env: &mut E) {
        if !self.keepalive || matches!(self.state, State::Close | State::SynSent) {
            return;
        }
        let now = env.now();
        if self.packets_out != 0 || !self.write_queue.is_empty() {
            // Data are asking already.
            self.keep_at = Some(now.plus(self.keepalive_time));
            return;
        }
        let last = if self.ack.lrcvtime > self.rcv_tstamp {
            self.ack.lrcvtime
        } else {
            self.rcv_tstamp
        };
        let elapsed = now.since(last);
        if elapsed < self.keepalive_time {
            self.keep_at = Some(last.plus(self.keepalive_time));
            return;
        }
        let given_up = if self.user_timeout.is_zero() {
            self.probes_out >= self.keepalive_probes
        } else {
            self.probes_out > 0 && elapsed >= self.user_timeout
        };
        if given_up {
            self.send_active_reset(env);
            self.timed_out(env);
            return;
        }
        env.count(Counter::TcpKeepAlive);
        if self.write_wakeup(env).is_ok() {
            self.probes_out = self.probes_out.saturating_add(1);
            self.keep_at = Some(now.plus(self.keepalive_intvl));
        } else {
            // No memory here says nothing about the peer.
            self.keep_at = Some(now.plus(Duration::from_millis(500)));
        }
    }
}

/// How long `n` retransmissions take that begin `base` apart and double up to [`RTO_MAX`].
///
/// Mirrors [`tcp_model_timeout`](srctree/net/ipv4/tcp_timer.c).
fn model_timeout(n: u32, base: Duration) -> Duration {
    let mut total = Duration::ZERO;
    let mut step = base;
    for _ in 0..=n {
        total = total.plus(step);
        step = step.times(2);
        if step > RTO_MAX {
            step = RTO_MAX;
        }
    }
    total
}
