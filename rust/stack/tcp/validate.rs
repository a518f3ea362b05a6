// SPDX-License-Identifier: GPL-2.0
//! Is a segment acceptable: 3.10.7.4's first to fourth check, RFC 7323's PAWS, RFC 5961.

use super::{
    segment::Segment,
    skb::Flags,
    sock::{Sock, State}, //
};
use crate::stack::{
    counters::Counter,
    drop_reason::DropReason,
    env::Env,
    errno::Errno,
    time::Duration, //
};

/// A timestamp this old says nothing any more: RFC 7323, 5.5, outdated timestamps.
const PAWS_24DAYS: Duration = Duration::from_secs(24 * 86_400);

impl Sock {
    /// Checks the sequence numbers, RST and SYN of a segment in a synchronised state (or SYN-RECEIVED).
    /// What must be answered has been answered.
    ///
    /// Mirrors [`tcp_validate_incoming`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    pub(super) fn validate_incoming<E: Env>(
        &mut self,
        env: &mut E,
        seg: &Segment,
    ) -> Result<(), DropReason> {
        // The common case: the next segment in order, nothing unusual about it.
        let plain = !seg.flags.has(Flags::RST.and(Flags::SYN));
        let fresh = !seg.opts.saw_tstamp || seg.opts.tsval.wrapping_sub(self.ts_recent) as i32 >= 0;
        if plain && fresh && seg.seq == self.rcv_nxt && seg.len <= self.receive_window() {
            return Ok(());
        }
        self.validate_slow(env, seg)
    }

    fn validate_slow<E: Env>(&mut self, env: &mut E, seg: &Segment) -> Result<(), DropReason> {
        let rst = seg.flags.has(Flags::RST);
        if self.ts_ok && seg.opts.saw_tstamp && self.paws_discard(env, seg) && !rst {
            // RFC 7323, 5.3, R1: not acceptable, answered with an ACK. A reset is never discarded.
            env.count(Counter::PawsEstab);
            self.send_dupack(env, seg);
            return Err(DropReason::TcpRfc7323Paws);
        }
        // First, the sequence number.
        if let Err(reason) = self.sequence(seg) {
            if rst && self.reset_after_fin(seg) {
                self.reset(env);
                return Err(DropReason::TcpReset);
            }
            if !rst && reason != DropReason::TcpOldSequence {
                env.count(Counter::BeyondWindow);
            }
            self.out_of_window(env, seg);
            return Err(reason);
        }
        // Second, RST. RFC 5961, 3.2: only an exact match resets.
        if rst {
            if seg.seq == self.rcv_nxt || self.reset_after_fin(seg) {
                self.reset(env);
            } else {
                self.send_challenge_ack(env);
            }
            return Err(DropReason::TcpReset);
        }
        // Fourth, SYN. RFC 5961, 4.2: challenged, whatever its sequence number.
        if seg.flags.has(Flags::SYN) {
            env.count(Counter::TcpSynChallenge);
            self.send_challenge_ack(env);
            return Err(DropReason::TcpInvalidSyn);
        }
        Ok(())
    }

    /// Whether the segment lies in the receive window.
    ///
    /// Mirrors [`tcp_sequence`](srctree/net/ipv4/tcp_input.c).
    fn sequence(&self, seg: &Segment) -> Result<(), DropReason> {
        if seg.end_seq.before(self.rcv_wup) {
            return Err(DropReason::TcpOldSequence);
        }
        let limit = self.rcv_nxt.add(self.receive_window());
        // Some stacks let their FIN stand behind the window: data_queue decides on it.
        let end = if seg.flags.has(Flags::FIN) {
            seg.end_seq.sub(1)
        } else {
            seg.end_seq
        };
        if !end.after(limit) {
            return Ok(());
        }
        if seg.seq.after(limit) {
            return Err(DropReason::TcpInvalidSequence);
        }
        // A segment that runs over the window is taken only by a reader who has nothing else: a sender
        // that ignores windows shall not fill the buffer, nor stall for ever.
        if self.receive_queue.is_empty() {
            Ok(())
        } else {
            Err(DropReason::TcpInvalidEndSequence)
        }
    }

    /// Whether a reset with the number of the peer's FIN is meant for now: some send it so after they
    /// closed.
    ///
    /// Mirrors [`tcp_reset_check`](srctree/net/ipv4/tcp_input.c).
    fn reset_after_fin(&self, seg: &Segment) -> bool {
        seg.seq == self.rcv_nxt.sub(1)
            && matches!(
                self.state,
                State::CloseWait | State::LastAck | State::Closing
            )
    }

    fn out_of_window<E: Env>(&mut self, env: &mut E, seg: &Segment) {
        if seg.flags.has(Flags::RST) {
            return;
        }
        if seg.flags.has(Flags::SYN) {
            env.count(Counter::TcpSynChallenge);
            self.send_challenge_ack(env);
        } else {
            self.send_dupack(env, seg);
        }
    }

    /// Whether a segment is older than one already accepted.
    ///
    /// RFC 7323, 5. Mirrors [`tcp_paws_discard`, `tcp_disordered_ack`](srctree/net/ipv4/tcp_input.c).
    fn paws_discard<E: Env>(&self, env: &E, seg: &Segment) -> bool {
        let behind = self.ts_recent.wrapping_sub(seg.opts.tsval) as i32;
        if behind <= 0 {
            return false;
        }
        if env.now().since(self.ts_recent_stamp) > PAWS_24DAYS {
            return false;
        }
        // A pure duplicate ACK that was overtaken within one timeout does no harm and is evidence of
        // loss: let it through.
        let disordered = seg.len == 0
            && seg.seq == self.rcv_nxt
            && seg.ack_seq == self.snd_una
            && u64::from(behind.unsigned_abs()) <= self.rto.as_millis().max(250);
        !disordered
    }

    /// Remembers the timestamp of a segment that covers the last acknowledged number.
    ///
    /// RFC 7323, 4.3, (2). Mirrors [`tcp_replace_ts_recent`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    pub(super) fn replace_ts_recent<E: Env>(&mut self, env: &E, seg: &Segment) {
        if seg.opts.saw_tstamp
            && self.ts_ok
            && !seg.seq.after(self.rcv_wup)
            && seg.opts.tsval.wrapping_sub(self.ts_recent) as i32 >= 0
        {
            self.ts_recent = seg.opts.tsval;
            self.ts_recent_stamp = env.now();
        }
    }

    /// The peer reset the connection.
    ///
    /// Mirrors [`tcp_reset`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn reset<E: Env>(&mut self, env: &mut E) {
        let error = match self.state {
            State::SynSent => Errno::ECONNREFUSED,
            State::CloseWait => Errno::EPIPE,
            State::Close => return,
            _ => Errno::ECONNRESET,
        };
        env.count(Counter::EstabResets);
        self.fail(env, error);
    }
}
