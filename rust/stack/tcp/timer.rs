// SPDX-License-Identifier: GPL-2.0
//! The connection's deadlines.
//!
//! | deadline | meaning | set by |
//! |---|---|---|
//! | `rto_at`, `Pending::Retrans` | sent data must have been acknowledged (RFC 6298) | sending, ACKs |
//! | `rto_at`, `Pending::LossProbe` | the tail of a flight may be lost (RFC 8985, 7) | sending, ACKs |
//! | `rto_at`, `Pending::ReoTimeout` | what is late is lost (RFC 8985, 6.3) | ACKs with SACK |
//! | `rto_at`, `Pending::Probe0` | a closed window must be asked about (3.8.6.1) | a stalled write queue |
//! | `rto_at`, `Pending::Fin` | there may be memory for a FIN now | shutdown(2), close(2) |
//! | `delack_at` | an owed ACK must leave (3.8.6.3) | data |
//! | `keep_at` | keepalive (3.8.4) | SO_KEEPALIVE |
//! | `compressed_at`, fine | segments beyond a gap must be acknowledged | data |
//! | `wstamp` if `paced`, fine | the next packet has its time | sending |
//!
//! Whoever calls [`Sock::on_timer`] may be late or early: only what is due happens.

use super::{
    sock::Sock,
    state::{CaState, Pending, State},
    ATO_MIN,
    DELACK_MAX, //
};
use crate::platform::Sysctl;
use crate::stack::{
    counters::Counter,
    env::Env,
    errno::Errno,
    time::{Duration, Instant}, //
};

/// How soon a retransmission is tried again that a queue of this host refused
/// (`TCP_RESOURCE_PROBE_INTERVAL`).
const RESOURCE_PROBE_INTERVAL: Duration = Duration::from_millis(500);

/// The shortest time to wait for what may happen at any time (`TCP_TIMEOUT_MIN`).
const TIMEOUT_MIN: Duration = Duration::from_millis(8);
/// Fewer segments in flight are a thin stream (`tcp_stream_is_thin`).
const THIN_PACKETS: u32 = 4;
/// Timeouts of a thin stream that do not grow (`TCP_THIN_LINEAR_RETRIES`).
const THIN_LINEAR_RETRIES: u8 = 6;

impl Sock {
    /// Does what is due at `env.now()`.
    ///
    /// Mirrors [`tcp_write_timer`, `tcp_delack_timer`, `tcp_keepalive_timer`,
    /// `tcp_compressed_ack_kick`](srctree/net/ipv4/tcp_timer.c).
    #[inline]
    pub fn on_timer<E: Env>(&mut self, env: &mut E) {
        let now = env.now();
        self.on_timer_until(env, now);
    }

    /// Does what is due until `until`, which a coarse clock that cannot be armed for a time between two ticks says
    /// instead of `env.now()`. It is `env.now()` all the same that segments are sent at: round trips are measured
    /// by that.
    pub fn on_timer_until<E: Env>(&mut self, env: &mut E, until: Instant) {
        let due = |at: Option<Instant>| matches!(at, Some(at) if at <= until);
        self.pace_kick(env);
        if due(self.compressed_at) {
            self.compressed_ack_kick(env);
        }
        if due(self.delack_at) {
            self.delack_timer(env);
        }
        if due(self.rto_at) {
            self.rto_at = None;
            match self.pending {
                Pending::Retrans => self.retransmit_timer(env),
                Pending::Probe0 => self.probe_timer(env),
                Pending::ReoTimeout => self.rack_reo_timeout(env),
                Pending::LossProbe => self.send_loss_probe(env),
                Pending::Fin => self.fin_timer(env),
            }
        }
        if due(self.keep_at) {
            self.keep_at = None;
            self.keepalive_timer(env);
        }
    }

    /// A timer fired while a user owned the socket, and is heard only now that he lets go.
    ///
    /// Mirrors the end of [`tcp_delack_timer`](srctree/net/ipv4/tcp_timer.c).
    pub fn timer_was_locked<E: Env>(&self, env: &mut E) {
        if self.compressed_ack == 0 && matches!(self.delack_at, Some(at) if at <= env.now()) {
            env.count(Counter::DelayedAckLocked);
        }
    }

    /// The retransmission timeout after the present number of doublings: RFC 6298, 5.5.
    #[inline]
    pub(super) fn backed_off_rto(&self) -> Duration {
        if self.backoff == 0 {
            return self.rto;
        }
        self.rto.backoff(u32::from(self.backoff)).min(self.rto_max)
    }

    /// The owed ACK leaves.
    ///
    /// Mirrors [`tcp_delack_timer_handler`](srctree/net/ipv4/tcp_timer.c).
    fn delack_timer<E: Env>(&mut self, env: &mut E) {
        self.delack_at = None;
        if self.compressed_ack != 0 {
            return self.compress_send_ack(env);
        }
        if self.state == State::Close || !self.ack.scheduled {
            return;
        }
        if self.in_pingpong_mode(env) {
            // No answer of ours came in time: not so interactive after all.
            self.ack.pingpong = 0;
            self.ack.ato = ATO_MIN;
        } else {
            // The delay was too short to catch a second segment.
            self.ack.ato = self.ack.ato.times(2).min(self.rto).min(DELACK_MAX);
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
            if self.rtx_probe0_timed_out(now) {
                self.timed_out(env);
                return;
            }
        } else if self.write_timeout(env) {
            return;
        }
        env.count(Counter::TcpTimeouts);
        if self.retransmits == 0 {
            self.count_failure(env);
        }
        self.enter_loss(env);
        self.retransmits = self.retransmits.saturating_add(1);
        let sent = self.retransmit_skb(env, self.snd_una, 1);
        self.pending = Pending::Retrans;
        if matches!(sent, Err(Errno::ENOBUFS | Errno::EBUSY)) {
            // This host's own queues are full: try again soon, without backing off.
            self.rto_at = Some(now.plus(RESOURCE_PROBE_INTERVAL));
            return;
        }
        self.back_off(env);
        // 5.6.
        let rto = self.backed_off_rto();
        self.rto_at = Some(now.plus(self.clamp_rto_to_user_timeout(now, rto)));
    }

    /// A recovery ends in a timeout: which.
    fn count_failure<E: Env>(&self, env: &mut E) {
        env.count(match (self.ca_state, self.sack_ok) {
            (CaState::Recovery, true) => Counter::TcpSackRecoveryFail,
            (CaState::Recovery, false) => Counter::TcpRenoRecoveryFail,
            (CaState::Loss, _) => Counter::TcpLossFailures,
            (CaState::Disorder, true) => Counter::TcpSackFailures,
            (CaState::Disorder, false) => Counter::TcpRenoFailures,
            _ => return,
        });
    }

    /// Makes the next timeout longer: RFC 6298, 5.5: "The host MUST set RTO <- RTO * 2". A thin stream may try a
    /// few times at the same pace, and so may a SYN.
    fn back_off<E: Env>(&mut self, env: &E) {
        let thin = self.state == State::Established
            && (self.thin_lto || env.sysctl().tcp_thin_linear_timeouts() != 0)
            && self.packets_out < THIN_PACKETS
            && !self.in_initial_slowstart()
            && self.retransmits <= THIN_LINEAR_RETRIES;
        if thin {
            self.backoff = 0;
        } else if self.state != State::SynSent
            || self.retransmits > env.sysctl().tcp_syn_linear_timeouts()
        {
            self.backoff = self.backoff.saturating_add(1);
        }
    }

    /// Whether the window has never been reduced.
    ///
    /// Mirrors [`tcp_in_initial_slowstart`](srctree/include/net/tcp.h).
    fn in_initial_slowstart(&self) -> bool {
        self.snd_ssthresh >= super::INFINITE_SSTHRESH
    }

    /// Whether a peer that closed its window below what is in flight has been silent for too long, or let us
    /// try for longer than the user wants.
    ///
    /// Mirrors [`tcp_rtx_probe0_timed_out`](srctree/net/ipv4/tcp_timer.c).
    fn rtx_probe0_timed_out(&self, now: Instant) -> bool {
        let first = self.rtx_queue.first().map(|skb| skb.tcp_cb().sent_at);
        let start = self.retrans_stamp.or(first.map(Instant::from_nanos));
        let tried = now.since(start.unwrap_or(now));
        let mut timeout = self.rto_max.times(2);
        if !self.user_timeout.is_zero() {
            if tried > self.user_timeout {
                return true;
            }
            timeout = timeout.min(self.user_timeout);
        }
        now.since(self.rcv_tstamp) > timeout && tried > timeout
    }

    /// The next timeout, but no later than TCP_USER_TIMEOUT wants the connection given up.
    ///
    /// Mirrors [`tcp_clamp_rto_to_user_timeout`](srctree/net/ipv4/tcp_timer.c).
    fn clamp_rto_to_user_timeout(&self, now: Instant, rto: Duration) -> Duration {
        match self.retrans_stamp {
            Some(start) if !self.user_timeout.is_zero() => {
                let left = self.user_timeout.minus(now.since(start));
                rto.min(left.max(Duration::from_millis(1)))
            }
            _ => rto,
        }
    }

    /// The same for the next probe of the window.
    ///
    /// Mirrors [`tcp_clamp_probe0_to_user_timeout`](srctree/net/ipv4/tcp_timer.c).
    pub(super) fn clamp_probe0_to_user_timeout(&self, now: Instant, when: Duration) -> Duration {
        match self.probes_tstamp {
            Some(start) if !self.user_timeout.is_zero() => {
                let left = self.user_timeout.minus(now.since(start));
                when.min(left.max(TIMEOUT_MIN))
            }
            _ => when,
        }
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
                let retries = self.syn_retries(env.sysctl());
                let linear = if self.state == State::SynSent {
                    env.sysctl().tcp_syn_linear_timeouts()
                } else {
                    0
                };
                if self.retransmits >= retries.saturating_add(linear) {
                    self.timed_out(env);
                    return true;
                }
                retries
            }
            _ => {
                if self.retransmits == env.sysctl().tcp_retries1() {
                    // R1: perhaps the route is to blame.
                    env.negative_advice();
                    self.pmtu = 0;
                }
                if env.is_dead() {
                    orphan_retries(env, self.rto < self.rto_max)
                } else {
                    env.sysctl().tcp_retries2()
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
                self.rto_min
            } else {
                super::TIMEOUT_INIT
            };
            model_timeout(u32::from(limit), base, self.rto_max)
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
        let base = self.rto.max(self.rto_min);
        let when = base.backoff(u32::from(self.backoff)).min(self.rto_max);
        let when = self.clamp_probe0_to_user_timeout(now, when);
        self.rto_at = Some(now.plus(when).plus(self.pacing_delay(now)));
    }

    /// Asks a peer whose window is closed.
    ///
    /// 3.8.6.1: "The sending TCP peer must regularly transmit at least one octet of new data (if
    /// available), or retransmit to the receiving TCP peer even if the send window is zero".
    /// Mirrors [`tcp_probe_timer`, `tcp_send_probe0`](srctree/net/ipv4/tcp_timer.c).
    fn probe_timer<E: Env>(&mut self, env: &mut E) {
        if self.packets_out != 0 || self.write_queue.is_empty() {
            self.probes_out = 0;
            self.probes_tstamp = None;
            return;
        }
        let now = env.now();
        let dead = env.is_dead();
        let start = *self.probes_tstamp.get_or_insert(now);
        // A peer that answers keeps the connection for ever (3.8.6.1), unless nobody is left to care.
        let alive = self.backed_off_rto() < self.rto_max;
        let limit = if dead {
            orphan_retries(env, alive)
        } else {
            env.sysctl().tcp_retries2()
        };
        if (!self.user_timeout.is_zero() && start != now && now.since(start) >= self.user_timeout)
            || (dead && !alive && self.backoff >= limit)
            || self.probes_out >= limit
        {
            self.timed_out(env);
            return;
        }
        env.count(Counter::TcpWinProbe);
        let sent = self.write_wakeup(env);
        if self.state == State::Close || self.packets_out != 0 || self.write_queue.is_empty() {
            // The probe carried data: the retransmission timer has taken over.
            self.probes_out = 0;
            self.backoff = 0;
            self.probes_tstamp = None;
            return;
        }
        self.probes_out = self.probes_out.saturating_add(1);
        if sent == Err(Errno::ENOBUFS) {
            // A queue of this host's refused it: others want to send too.
            self.pending = Pending::Probe0;
            let when = self.clamp_probe0_to_user_timeout(now, RESOURCE_PROBE_INTERVAL);
            self.rto_at = Some(now.plus(when));
            return;
        }
        if self.backoff < env.sysctl().tcp_retries2() {
            self.backoff = self.backoff.saturating_add(1);
        }
        self.arm_probe0(now);
    }

    /// A FIN waits for memory: later, since now there is none.
    pub(super) fn arm_fin(&mut self, now: Instant) {
        self.pending = Pending::Fin;
        self.rto_at = Some(now.plus(RESOURCE_PROBE_INTERVAL));
    }

    /// Tries again to send a FIN for which there was no memory. An orphan does not try for ever.
    fn fin_timer<E: Env>(&mut self, env: &mut E) {
        if self.send_owed_fin(env) {
            self.probes_out = 0;
            return;
        }
        if env.is_dead() {
            if self.probes_out >= orphan_retries(env, true) {
                self.timed_out(env);
                return;
            }
            self.probes_out = self.probes_out.saturating_add(1);
        }
        self.arm_fin(env.now());
    }

    /// Switches SO_KEEPALIVE.
    ///
    /// Mirrors [`tcp_set_keepalive`](srctree/net/ipv4/tcp_timer.c).
    pub fn set_keepalive<E: Env>(&mut self, env: &mut E, on: bool) {
        self.keepalive = on;
        let idle_state = matches!(self.state, State::Close | State::Listen);
        self.keep_at = if on && !idle_state {
            Some(env.now().plus(self.keepalive_time(env.sysctl())))
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
        let idle = self.keepalive_time(env.sysctl());
        if self.packets_out != 0 || !self.write_queue.is_empty() {
            // Data are asking already.
            self.keep_at = Some(now.plus(idle));
            return;
        }
        let last = if self.ack.lrcvtime > self.rcv_tstamp {
            self.ack.lrcvtime
        } else {
            self.rcv_tstamp
        };
        let elapsed = now.since(last);
        if elapsed < idle {
            self.keep_at = Some(last.plus(idle));
            return;
        }
        let given_up = if self.user_timeout.is_zero() {
            self.probes_out >= self.keepalive_probes(env.sysctl())
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
            self.keep_at = Some(now.plus(self.keepalive_intvl(env.sysctl())));
        } else {
            // No memory here says nothing about the peer.
            self.keep_at = Some(now.plus(RESOURCE_PROBE_INTERVAL));
        }
    }
}

/// How often a connection that nobody holds any more tries. `alive`: its timeout has not grown to the
/// limit yet.
///
/// Mirrors [`tcp_orphan_retries`](srctree/net/ipv4/tcp_timer.c).
fn orphan_retries<E: Env>(env: &E, alive: bool) -> u8 {
    // What an ICMP error says is believed once there is no other sign of life.
    let retries = if alive || env.soft_error().is_none() {
        env.sysctl().tcp_orphan_retries()
    } else {
        0
    };
    if retries == 0 && alive {
        8
    } else {
        retries
    }
}

impl Sock {
    /// Idle time before the first keepalive probe: TCP_KEEPIDLE, or the namespace's.
    ///
    /// Mirrors [`keepalive_time_when`](srctree/include/net/tcp.h).
    pub(super) fn keepalive_time(&self, sysctl: &Sysctl) -> Duration {
        self.keepalive_time
            .unwrap_or_else(|| sysctl.tcp_keepalive_time())
    }

    /// Time between keepalive probes: TCP_KEEPINTVL, or the namespace's.
    ///
    /// Mirrors [`keepalive_intvl_when`](srctree/include/net/tcp.h).
    pub(super) fn keepalive_intvl(&self, sysctl: &Sysctl) -> Duration {
        self.keepalive_intvl
            .unwrap_or_else(|| sysctl.tcp_keepalive_intvl())
    }

    /// Unanswered probes that end the connection: TCP_KEEPCNT, or the namespace's.
    ///
    /// Mirrors [`keepalive_probes`](srctree/include/net/tcp.h).
    pub(super) fn keepalive_probes(&self, sysctl: &Sysctl) -> u8 {
        self.keepalive_probes
            .unwrap_or_else(|| sysctl.tcp_keepalive_probes())
    }

    /// Retransmissions of a SYN: TCP_SYNCNT, or the namespace's.
    pub(super) fn syn_retries(&self, sysctl: &Sysctl) -> u8 {
        self.syn_retries.unwrap_or_else(|| sysctl.tcp_syn_retries())
    }
}

/// How long `n` retransmissions take that begin `base` apart and double up to `most`.
///
/// Mirrors [`tcp_model_timeout`](srctree/net/ipv4/tcp_timer.c).
fn model_timeout(n: u32, base: Duration, most: Duration) -> Duration {
    let mut total = Duration::ZERO;
    let mut step = base;
    for _ in 0..=n {
        total = total.plus(step);
        step = step.times(2).min(most);
    }
    total
}
