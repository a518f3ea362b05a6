// SPDX-License-Identifier: GPL-2.0
//! Is a segment acceptable: 3.10.7.4's first to fourth check, RFC 7323's PAWS, RFC 5961.

use super::{
    segment::Segment,
    seq::SeqNum,
    skb::Flags,
    sock::Sock,
    state::State, //
};
use crate::stack::{
    counters::Counter,
    drop_reason::DropReason,
    env::Env,
    errno::Errno,
    time::Duration, //
};

/// Timestamps older than that say nothing any more, whatever the tick of the peer's clock: RFC 7323, 5.5
/// (`TCP_PAWS_WRAP`).
const PAWS_WRAP: Duration = Duration::from_secs(2147);
/// A clock may be so many ticks behind without being old (`TCP_PAWS_WINDOW`).
const PAWS_WINDOW: i32 = 1;

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
        let syn = seg.flags.has(Flags::SYN);
        if self.ts_ok && seg.opts.saw_tstamp && !self.paws_check(env, seg, PAWS_WINDOW) {
            // RFC 7323, 5.3, R1: not acceptable, answered with an ACK. A reset is never discarded.
            match self.disordered_ack_check(seg) {
                Ok(()) => {}
                Err(_) if rst => {}
                Err(_) if syn => return self.syn_challenge(env),
                Err(DropReason::TcpRfc7323PawsAck) => {
                    // Overtaken ACKs are common and call for no answer.
                    env.count(Counter::PawsOldAck);
                    return Err(DropReason::TcpRfc7323PawsAck);
                }
                Err(reason) => {
                    env.count(Counter::PawsEstab);
                    self.send_dupack(env, seg, Counter::TcpAckSkippedPaws);
                    return Err(reason);
                }
            }
        }
        // First, the sequence number.
        if let Err(reason) = self.sequence(seg) {
            if rst {
                if self.reset_after_fin(seg) {
                    self.reset(env);
                    return Err(DropReason::TcpReset);
                }
                return Err(reason);
            }
            if syn {
                return self.syn_challenge(env);
            }
            if reason != DropReason::TcpOldSequence {
                env.count(Counter::BeyondWindow);
            }
            self.send_dupack(env, seg, Counter::TcpAckSkippedSeq);
            return Err(reason);
        }
        // Second, RST. RFC 5961, 3.2: only an exact match resets.
        if rst {
            if seg.seq == self.rcv_nxt || self.reset_after_fin(seg) || self.reset_after_sack(seg) {
                self.reset(env);
            } else {
                self.send_challenge_ack(env);
            }
            return Err(DropReason::TcpReset);
        }
        // Fourth, SYN. RFC 5961, 4.2: challenged, whatever its sequence number.
        if syn {
            return self.syn_challenge(env);
        }
        Ok(())
    }

    fn syn_challenge<E: Env>(&mut self, env: &mut E) -> Result<(), DropReason> {
        env.count(Counter::TcpSynChallenge);
        self.send_challenge_ack(env);
        Err(DropReason::TcpInvalidSyn)
    }

    /// Whether the segment lies in the farthest receive window that we ever offered.
    ///
    /// Mirrors [`tcp_sequence`](srctree/net/ipv4/tcp_input.c).
    fn sequence(&self, seg: &Segment) -> Result<(), DropReason> {
        if seg.end_seq.before(self.rcv_wup) {
            return Err(DropReason::TcpOldSequence);
        }
        let limit = self.rcv_nxt.add(self.max_receive_window());
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

    /// Whether a reset stands right behind what we have acknowledged selectively: such a peer, too, knows where
    /// we are.
    ///
    /// Mirrors [`tcp_validate_incoming`](srctree/net/ipv4/tcp_input.c).
    fn reset_after_sack(&self, seg: &Segment) -> bool {
        let ends = self.selective_acks.blocks().iter().map(|b| b.end);
        self.sack_ok && ends.reduce(SeqNum::later) == Some(seg.seq)
    }

    /// Whether a segment's timestamp is not older, by more than `window` ticks, than one already accepted.
    ///
    /// RFC 7323, 5. Mirrors [`tcp_paws_check`](srctree/include/net/tcp.h).
    fn paws_check<E: Env>(&self, env: &E, seg: &Segment, window: i32) -> bool {
        self.ts_recent.wrapping_sub(seg.opts.tsval) as i32 <= window
            || env.now().since(self.ts_recent_stamp) >= PAWS_WRAP
            // Some send zero in their SYN and true values only later.
            || self.ts_recent == 0
    }

    /// Whether a segment with an old timestamp is a mere duplicate ACK that was overtaken: it does no harm
    /// and is evidence of loss.
    ///
    /// Mirrors [`tcp_disordered_ack_check`](srctree/net/ipv4/tcp_input.c).
    fn disordered_ack_check(&self, seg: &Segment) -> Result<(), DropReason> {
        let paws = Err(DropReason::TcpRfc7323Paws);
        if !seg.flags.has(Flags::ACK) || seg.seq != seg.end_seq {
            return paws;
        }
        if seg.seq != self.rcv_nxt {
            return if seg.seq.before(self.rcv_nxt) {
                Err(DropReason::TcpRfc7323PawsAck)
            } else {
                paws
            };
        }
        let window = u32::from(seg.window) << self.snd_wscale;
        if seg.ack_seq != self.snd_una || self.may_update_window(seg.ack_seq, seg.seq, window) {
            return paws;
        }
        // One timeout's worth of the fastest clock that is seen, 1200 Hz, is left to disorder.
        let replay = self.rto.as_millis().saturating_mul(1200).checked_div(1000);
        let behind = self.ts_recent.wrapping_sub(seg.opts.tsval) as i32;
        if i64::from(behind) > replay.unwrap_or(0).min(i32::MAX as u64) as i64 {
            return paws;
        }
        Ok(())
    }

    /// Whether a window field is newer than the one in use. SND.WL2 is not kept.
    ///
    /// 3.10.7.4: "If SND.WL1 < SEG.SEQ or (SND.WL1 = SEG.SEQ and SND.WL2 =< SEG.ACK)".
    /// Mirrors [`tcp_may_update_window`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    pub(super) fn may_update_window(&self, ack: SeqNum, seq: SeqNum, window: u32) -> bool {
        ack.after(self.snd_una)
            || seq.after(self.snd_wl1)
            || (seq == self.snd_wl1 && (window > self.snd_wnd || window == 0))
    }

    /// Remembers the timestamp of a segment that covers the last acknowledged number.
    ///
    /// RFC 7323, 4.3, (2). Mirrors [`tcp_replace_ts_recent`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    pub(super) fn replace_ts_recent<E: Env>(&mut self, env: &E, seg: &Segment) {
        if seg.opts.saw_tstamp
            && self.ts_ok
            && !seg.seq.after(self.rcv_wup)
            && self.paws_check(env, seg, 0)
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
        self.fail(env, error);
    }
}
