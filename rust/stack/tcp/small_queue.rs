// SPDX-License-Identifier: GPL-2.0
//! What keeps a connection from sending though both windows are open: its own packets that still lie in
//! this host's queues, and the rate at which they shall leave.
//!
//! A packet in a queue of this host cannot be taken back, delays what others send, and makes round trips look
//! long: two packets or a millisecond's worth are enough for a device to be busy. When one of them has left, the
//! world calls [`Sock::tsq_handler`]. Where a rate is asked for and no queueing discipline keeps it, the fine
//! timer does ([`Sock::next_fine_expiry`]).
//!
//! Mirrors [`tcp_small_queue_check`, `tcp_pacing_check`](srctree/net/ipv4/tcp_output.c)

use super::{
    output::Burst,
    pacing::Pacing,
    sock::Sock,
    state::State, //
};
use crate::platform::{
    SkBuff,
    Sysctl, //
};
use crate::stack::{
    counters::Counter,
    env::Env,
    time::{
        Duration,
        Instant, //
    },
};

impl Sock {
    /// Whether a packet of `truesize` bytes must wait until others have left this host. Retransmissions
    /// may have twice as much there: `factor` 1.
    #[inline]
    pub(super) fn small_queue_check<E: Env>(
        &self,
        env: &mut E,
        truesize: usize,
        factor: u32,
    ) -> bool {
        let share = env
            .pacing_rate()
            .checked_shr(env.pacing_shift())
            .unwrap_or(0);
        let most = env.sysctl().tcp_limit_output_bytes().max(0).unsigned_abs();
        let two = (truesize as u64).saturating_mul(2);
        let limit = two.max(share).min(u64::from(most)) << factor;
        u64::from(env.queued_below()) > limit && self.throttle(env, limit)
    }

    /// As it says, once more than `limit` bytes lie there.
    #[cold]
    fn throttle<E: Env>(&self, env: &mut E, limit: u64) -> bool {
        // Nothing but this could then make the acknowledgements that send more: devices may be slow to tell that a
        // packet has left.
        let seq = |skb: Option<&SkBuff>| skb.map(|skb| skb.tcp_cb().seq);
        if seq(self.rtx_queue.first()) == seq(self.rtx_queue.last()) {
            return false;
        }
        env.throttle(limit.min(u64::from(u32::MAX)) as u32)
    }

    /// Whether the last packet, not a full one, had better wait for more data, because earlier ones have not left
    /// this host: they would wait there.
    ///
    /// Mirrors [`tcp_should_autocork`](srctree/net/ipv4/tcp.c)
    #[inline]
    pub(super) fn should_autocork<E: Env>(&self, env: &mut E, goal: u32) -> bool {
        let Some(tail) = self.write_queue.back() else {
            return false;
        };
        let truesize = tail.truesize().min(u32::MAX as usize) as u32;
        if tail.len() >= goal as usize
            || env.queued_below() <= truesize
            || self.rtx_queue.is_empty()
            || tail.tcp_cb().eor != 0
            || env.sysctl().tcp_autocorking() == 0
        {
            return false;
        }
        if !env.is_throttled() {
            env.count(Counter::TcpAutoCorking);
        }
        env.throttle(truesize)
    }

    /// Whether the next packet must wait for its time. The fine timer sends it.
    #[inline]
    pub(super) fn pacing_check<E: Env>(&mut self, env: &E) -> bool {
        if env.pacing() != Pacing::Needed || self.wstamp <= env.now() {
            return false;
        }
        self.paced = true;
        true
    }

    /// How long the next packet must wait for its time: timers that wait for what answers it wait longer.
    ///
    /// Mirrors [`tcp_pacing_delay`](srctree/include/net/tcp.h)
    #[inline]
    pub(super) fn pacing_delay(&self, now: Instant) -> Duration {
        self.wstamp.since(now)
    }

    /// When [`Sock::on_timer`] must be called as precisely as the clock can, and how much later will do; `None`
    /// if there is no need.
    #[inline]
    pub fn next_fine_expiry(&self, sysctl: &Sysctl) -> Option<(Instant, Duration)> {
        match (self.compressed_at, self.paced) {
            (None, false) => None,
            (Some(at), paced) if !paced || at <= self.wstamp => {
                Some((at, sysctl.tcp_comp_sack_slack_ns()))
            }
            _ => Some((self.wstamp, Duration::ZERO)),
        }
    }

    /// The next packet may have its time now.
    ///
    /// Mirrors [`tcp_pace_kick`](srctree/net/ipv4/tcp_output.c)
    pub(super) fn pace_kick<E: Env>(&mut self, env: &mut E) {
        if self.paced && self.wstamp <= env.now() {
            self.paced = false;
            self.tsq_handler(env);
        }
    }

    /// A packet has left this host, or has its time: sends what waited for that.
    ///
    /// Context: the socket's lock is held; softirq, or process context letting go of it.
    ///
    /// Mirrors [`tcp_tsq_write`](srctree/net/ipv4/tcp_output.c)
    pub fn tsq_handler<E: Env>(&mut self, env: &mut E) {
        let sends = matches!(
            self.state,
            State::Established
                | State::FinWait1
                | State::Closing
                | State::CloseWait
                | State::LastAck
        );
        if !sends {
            return;
        }
        if self.lost_out > self.retrans_out && self.snd_cwnd > self.packets_in_flight() {
            self.xmit_retransmit_queue(env);
        }
        self.sync_mss(env);
        let _ = self.write_xmit(env, false, Burst::All);
        // Less is unsent than before: who waits for that (TCP_NOTSENT_LOWAT) may go on.
        self.check_space = true;
        self.check_space(env);
    }
}
