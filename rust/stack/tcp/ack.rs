// SPDX-License-Identifier: GPL-2.0
//! Acknowledgements: what the peer has received, and how much more it will take.
//!
//! An acknowledgement is worked off in this order, as in [`tcp_ack`](srctree/net/ipv4/tcp_input.c):
//! window, SACK blocks (`sacktag`), the retransmission queue and round-trip time (`clean`), a tail loss
//! probe's answer (`tlp`), the state of recovery (`recovery`), timers, the congestion window; and only then is
//! something sent.

use super::{
    recovery::Rexmit,
    segment::Segment,
    skb::Flags,
    sock::Sock,
    state::{CaState, Pending, State},
    told::{Ack, Told}, //
};
use crate::stack::{
    counters::Counter,
    drop_reason::DropReason,
    env::Env,
    time::{Duration, Instant}, //
};

impl Sock {
    /// Processes the acknowledgement of an acceptable segment; `expected` if that brings nothing else but data.
    ///
    /// # Errors
    ///
    /// An acknowledgement outside `[SND.UNA - MAX.SND.WND, SND.NXT]` (RFC 5961, 5.2): the segment must
    /// be dropped, and a challenge ACK was sent.
    ///
    /// 3.10.7.4, fifth check. Mirrors [`tcp_ack`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn ack<E: Env>(
        &mut self,
        env: &mut E,
        seg: &Segment,
        expected: bool,
    ) -> Result<(), DropReason> {
        let now = env.now();
        let mut ack = Ack::new(now, seg, self);
        let prior_una = ack.prior_una;
        if ack.seq.before(prior_una) {
            // Never accept an acknowledgement of bytes that were never sent.
            let most = u64::from(self.max_window).min(self.stats.bytes_acked) as u32;
            if ack.seq.before(prior_una.sub(most)) {
                self.send_challenge_ack(env);
                return Err(DropReason::TcpTooOldAck);
            }
            self.old_ack(env, seg, &mut ack);
            return Ok(());
        }
        if ack.seq.after(self.snd_nxt) {
            self.send_challenge_ack(env);
            return Err(DropReason::TcpAckUnsentData);
        }
        if ack.seq != prior_una {
            ack.told.set(Told::SND_UNA_ADVANCED);
            self.retransmits = 0;
        }
        ack.prior_fack = if self.sack_ok {
            self.highest_sack_seq()
        } else {
            prior_una
        };
        let advanced = ack.told.has(Told::SND_UNA_ADVANCED);
        if seg.seq != seg.end_seq {
            ack.told.set(Told::DATA);
        }
        if expected && advanced {
            env.count(Counter::TcpHpAcks);
        } else if !ack.told.has(Told::DATA) {
            env.count(Counter::TcpPureAcks);
        }
        if self.update_window(env, seg) {
            ack.told.set(Told::WIN_UPDATE);
        }
        if self.ecn_rcv_echo(seg) {
            ack.told.set(Told::ECE);
        }
        self.ecn_accept_cwr(seg);
        self.stats.bytes_acked = self
            .stats
            .bytes_acked
            .wrapping_add(u64::from(ack.seq.since(prior_una)));
        self.snd_una = ack.seq;
        self.urg_acked(prior_una);
        let prior_delivered = self.stats.delivered;
        let prior_lost = self.stats.lost;
        if !seg.opts.sacks.is_empty() && self.sack_ok {
            self.sacktag_write_queue(env, seg, &mut ack);
            self.count_delivered(ack.sack_delivered);
        }
        self.rcv_tstamp = now;
        self.probes_out = 0;
        let mut rexmit = Rexmit::None;
        if self.packets_out == 0 {
            // A D-SACK may still undo the last reduction.
            if ack.told.has(Told::DSACKING_ACK) {
                self.fastretrans_alert(env, &mut ack, 0, &mut rexmit);
                self.newly_delivered(env, prior_delivered, &ack);
            }
            self.ack_probe(now);
            self.process_tlp_ack(env, &ack);
            return Ok(());
        }
        self.clean_rtx_queue(env, &mut ack);
        self.rack_update_reo_wnd(env, &ack);
        self.process_tlp_ack(env, &ack);
        // Nothing unusual about it: the recovery machine has nothing to do.
        let dubious = !ack.told.has(Told::NOT_DUP)
            || ack.told.has(Told::CA_ALERT)
            || self.ca_state != CaState::Open;
        if dubious {
            // RFC 5681, 2: a duplicate acknowledges nothing new, carries nothing, and changes nothing.
            let dup = !ack.told.has(Told::NO_DUPACK);
            self.fastretrans_alert(env, &mut ack, u32::from(dup), &mut rexmit);
        }
        if ack.told.has(Told::SET_XMIT_TIMER) {
            self.set_xmit_timer(env);
        }
        if ack.told.has(Told::FORWARD_PROGRESS) || !ack.told.has(Told::NOT_DUP) {
            env.confirm_neigh();
        }
        if ack.told.has(Told::SND_UNA_ADVANCED) {
            self.check_space = true;
        }
        let delivered = self.newly_delivered(env, prior_delivered, &ack);
        let lost = self.stats.lost.wrapping_sub(prior_lost);
        self.rate_gen(&ack, delivered);
        self.cong_control(env, &ack, delivered, lost);
        self.xmit_recovery(env, rexmit);
        Ok(())
    }

    /// An acknowledgement that a later one overtook: its SACK blocks may still be news.
    fn old_ack<E: Env>(&mut self, env: &mut E, seg: &Segment, ack: &mut Ack) {
        if seg.opts.sacks.is_empty() || !self.sack_ok {
            return;
        }
        let mut rexmit = Rexmit::None;
        let prior_delivered = self.stats.delivered;
        self.sacktag_write_queue(env, seg, ack);
        self.count_delivered(ack.sack_delivered);
        self.fastretrans_alert(env, ack, 0, &mut rexmit);
        self.newly_delivered(env, prior_delivered, ack);
        self.xmit_recovery(env, rexmit);
    }

    /// So many more segments have reached the peer.
    ///
    /// Mirrors [`tcp_count_delivered`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    pub(super) fn count_delivered(&mut self, segs: u32) {
        self.stats.delivered = self.stats.delivered.wrapping_add(segs);
    }

    /// How many segments have reached the peer since `prior`, counted.
    ///
    /// Mirrors [`tcp_newly_delivered`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    fn newly_delivered<E: Env>(&mut self, env: &mut E, prior: u32, ack: &Ack) -> u32 {
        let delivered = self.stats.delivered.wrapping_sub(prior);
        if delivered != 0 {
            env.count_n(Counter::TcpDelivered, delivered);
        }
        if ack.told.has(Told::ECE) {
            self.stats.delivered_ce = self.stats.delivered_ce.wrapping_add(delivered);
            env.count_n(Counter::TcpDeliveredCe, delivered);
        }
        delivered
    }

    /// Sends again, or sends new data, as the recovery machine decided; the congestion window is up to
    /// date now.
    ///
    /// Mirrors [`tcp_xmit_recovery`](srctree/net/ipv4/tcp_input.c).
    fn xmit_recovery<E: Env>(&mut self, env: &mut E, rexmit: Rexmit) {
        if rexmit == Rexmit::None || self.state == State::SynSent {
            return;
        }
        if rexmit == Rexmit::New {
            self.push_pending_frames(env, true);
            if self.snd_nxt.after(self.high_seq) {
                return;
            }
            self.frto = false;
        }
        self.xmit_retransmit_queue(env);
    }

    /// Takes over the window of an acceptable segment. Returns whether it may have been an update.
    ///
    /// 3.10.7.4: "If SND.WL1 < SEG.SEQ or (SND.WL1 = SEG.SEQ and SND.WL2 =< SEG.ACK)"; SND.WL2 is not
    /// kept, as `tcp_may_update_window` explains.
    /// Mirrors [`tcp_ack_update_window`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    fn update_window<E: Env>(&mut self, env: &mut E, seg: &Segment) -> bool {
        let mut window = u32::from(seg.window);
        if !seg.flags.has(Flags::SYN) {
            window <<= self.snd_wscale;
        }
        let newer = seg.ack_seq.after(self.snd_una)
            || seg.seq.after(self.snd_wl1)
            || (seg.seq == self.snd_wl1 && (window > self.snd_wnd || window == 0));
        if !newer {
            return false;
        }
        self.snd_wl1 = seg.seq;
        if self.snd_wnd == window {
            return true;
        }
        self.snd_wnd = window;
        if !self.write_queue.is_empty() {
            self.slow_start_after_idle_check(env);
        }
        if window > self.max_window {
            let was_small = self.max_window >> 1 < u32::from(self.mss_cache);
            self.max_window = window;
            if was_small {
                // The MSS was bound to half of the window: compute it anew.
                self.pmtu = 0;
                self.sync_mss(env);
            }
        }
        true
    }

    /// Restarts the retransmission timer, or stops it when nothing is in flight.
    ///
    /// RFC 6298, 5.2 and 5.3. Mirrors [`tcp_rearm_rto`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    pub(super) fn rearm_rto(&mut self, now: Instant) {
        if self.packets_out == 0 {
            self.pending = Pending::Retrans;
            self.rto_at = None;
            return;
        }
        let mut rto = self.backed_off_rto();
        if matches!(self.pending, Pending::ReoTimeout | Pending::LossProbe) {
            // The timeout counts from the head's transmission, not from the end of the earlier timer.
            rto = self.rto_delta(now).unwrap_or(Duration::from_micros(1));
        }
        self.pending = Pending::Retrans;
        self.rto_at = Some(now.plus(rto).plus(self.pacing_delay(now)));
    }

    /// How far off the timeout of the first unacknowledged segment is; `None` if it is over.
    ///
    /// Mirrors [`tcp_rto_delta_us`](srctree/include/net/tcp.h).
    pub(super) fn rto_delta(&self, now: Instant) -> Option<Duration> {
        let head = self.rtx_queue.first()?;
        let at = Instant::from_nanos(head.tcp_cb().sent_at).plus(self.backed_off_rto());
        let left = at.since(now);
        (!left.is_zero()).then_some(left)
    }

    /// Arms the timer after progress: a tail loss probe if one may be sent, else the timeout.
    ///
    /// Mirrors [`tcp_set_xmit_timer`](srctree/net/ipv4/tcp_input.c).
    fn set_xmit_timer<E: Env>(&mut self, env: &mut E) {
        if self.packets_out == 0 || !self.schedule_loss_probe(env, true) {
            self.rearm_rto(env.now());
        }
    }

    /// The peer answered while nothing was in flight: the window may have opened.
    ///
    /// Mirrors [`tcp_ack_probe`](srctree/net/ipv4/tcp_input.c).
    fn ack_probe(&mut self, now: Instant) {
        let Some(skb) = self.write_queue.front() else {
            return;
        };
        if !skb.tcp_cb().end_seq.after(self.wnd_end()) {
            self.backoff = 0;
            self.rto_at = None;
        } else {
            self.arm_probe0(now);
        }
    }

    /// Whether the echoed timestamp was sent before `when`: RFC 3522, the Eifel detection.
    ///
    /// Mirrors [`tcp_tsopt_ecr_before`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    pub(super) fn tsecr_before(&self, ack: &Ack, when: Instant) -> bool {
        match ack.tsecr {
            Some(ecr) => (ecr.wrapping_sub(self.tsval(when)) as i32) < 0,
            None => false,
        }
    }
}
