// SPDX-License-Identifier: GPL-2.0
//! Loss recovery: the state machine between "all is well" and "the timer expired".
//!
//! ```text
//!   OPEN ──SACK, duplicate──▶ DISORDER ──a segment is lost──▶ RECOVERY ──high_seq acked──▶ OPEN
//!    │                                                            ▲
//!    ├──ECN, a full queue of this host──▶ CWR ──above high_seq────┴─────────────────────▶ OPEN
//!    └──timeout, from any state──▶ LOSS ──high_seq acked, or undone──▶ OPEN
//! ```
//!
//! With SACK, RACK says what is lost (`rack`); without, three duplicate ACKs and then every partial
//! acknowledgement do (RFC 6582). Duplicate ACKs count as segments that arrived (`sacked_out`), so that
//! limited transmit (RFC 3042) follows from [`Sock::packets_in_flight`]. In CWR and RECOVERY the window
//! falls proportionally (RFC 6937); what turns out to have been for nothing is undone (`undo`).

use super::{
    cong::{AckSample, Event},
    sacktag::max_reordering,
    skb::Marks,
    sock::Sock,
    state::CaState,
    told::{Ack, Told}, //
};
use crate::stack::{
    counters::Counter,
    env::Env,
    time::{Duration, Instant}, //
};

/// What is to be sent once the window is up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rexmit {
    /// Nothing but what the window allows anyway.
    None,
    /// What is marked lost.
    Lost,
    /// New data first: F-RTO asks the peer (RFC 5682, 2.1, step 2b).
    New,
}

impl Sock {
    /// Moves recovery on after an acknowledgement that was not plain; `num_dupack` duplicates are in it.
    /// It marks losses and changes the state; the window is `cong_control`'s, sending `xmit_recovery`'s.
    ///
    /// Mirrors [`tcp_fastretrans_alert`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn fastretrans_alert<E: Env>(
        &mut self,
        env: &mut E,
        ack: &mut Ack,
        num_dupack: u32,
        rexmit: &mut Rexmit,
    ) {
        let ece = ack.told.has(Told::ECE);
        let advanced = ack.told.has(Told::SND_UNA_ADVANCED);
        if self.packets_out == 0 {
            self.sacked_out = 0;
        }
        // A. Congestion that the network itself marked is never undone.
        if ece {
            self.prior_ssthresh = 0;
        }
        // B. Is the peer taking back what it told to have?
        if self.check_sack_reneging(ack) {
            return;
        }
        // D. What ends the state: everything up to `high_seq` is acknowledged.
        if self.ca_state == CaState::Open {
            self.retrans_stamp = None;
        } else if !self.snd_una.before(self.high_seq) {
            match self.ca_state {
                CaState::Cwr if self.snd_una != self.high_seq => {
                    // Something above it: the mark has reached the peer.
                    self.end_cwnd_reduction(env);
                    self.set_ca_state(env.now(), CaState::Open);
                }
                CaState::Recovery => {
                    if !self.sack_ok {
                        self.sacked_out = 0;
                    }
                    if self.try_undo_recovery(env, ack) {
                        return;
                    }
                    self.end_cwnd_reduction(env);
                }
                _ => {}
            }
        }
        // E. The state's own.
        match self.ca_state {
            CaState::Recovery => {
                if !advanced {
                    if !self.sack_ok {
                        self.add_reno_sack(env, num_dupack);
                    }
                } else if self.try_undo_partial(env, ack) {
                    return;
                }
                if self.try_undo_dsack(env) {
                    self.try_to_open(env, ece);
                }
                self.identify_packet_loss(env, ack);
                if self.ca_state != CaState::Recovery {
                    // Undone; but if a loss is evident all the same, a new recovery begins.
                    if self.lost_out == 0 {
                        return;
                    }
                    self.enter_recovery(env, ece);
                }
                *rexmit = Rexmit::Lost;
                return;
            }
            CaState::Loss => {
                self.process_loss(env, ack, num_dupack, rexmit);
                self.identify_packet_loss(env, ack);
                if self.ca_state != CaState::Open && !ack.told.has(Told::LOST_RETRANS) {
                    return;
                }
            }
            CaState::Open | CaState::Disorder | CaState::Cwr => {}
        }
        if !self.sack_ok {
            if advanced {
                self.sacked_out = 0;
            }
            self.add_reno_sack(env, num_dupack);
        }
        if matches!(self.ca_state, CaState::Open | CaState::Disorder) {
            let _ = self.try_undo_dsack(env);
        }
        self.identify_packet_loss(env, ack);
        if self.lost_out == 0 {
            self.try_to_open(env, ece);
            return;
        }
        self.enter_recovery(env, ece);
        *rexmit = Rexmit::Lost;
    }

    /// Looks for losses.
    ///
    /// Mirrors [`tcp_identify_packet_loss`](srctree/net/ipv4/tcp_input.c).
    fn identify_packet_loss<E: Env>(&mut self, env: &mut E, ack: &mut Ack) {
        if self.rtx_queue.is_empty() {
            return;
        }
        if !self.sack_ok {
            self.newreno_mark_lost(env, ack.told.has(Told::SND_UNA_ADVANCED));
            return;
        }
        let prior_retrans = self.retrans_out;
        if self.rack_mark_lost(env) {
            ack.told.clear(Told::SET_XMIT_TIMER);
        }
        if prior_retrans > self.retrans_out {
            ack.told.set(Told::LOST_RETRANS);
        }
    }

    /// Without SACK: the first segment is lost after three duplicates, and after a partial
    /// acknowledgement.
    ///
    /// RFC 6582, 3.2. Mirrors [`tcp_newreno_mark_lost`](srctree/net/ipv4/tcp_recovery.c).
    fn newreno_mark_lost<E: Env>(&mut self, env: &mut E, advanced: bool) {
        let begin =
            (self.ca_state as u8) < CaState::Recovery as u8 && self.sacked_out >= self.reordering;
        let partial = self.ca_state == CaState::Recovery && advanced;
        if !begin && !partial {
            return;
        }
        let mut queue = core::mem::take(&mut self.rtx_queue);
        if let Some(cb) = queue.first().map(|skb| *skb.tcp_cb()) {
            if !cb.marks.has(Marks::LOST) {
                // One segment of it, not a whole GSO packet.
                if cb.pcount() > 1 {
                    let mss = u32::from(cb.gso_size);
                    let _ = self.fragment_sent(env, &mut queue, cb.seq, mss, mss);
                }
                if let Some(skb) = queue.first_mut() {
                    self.mark_skb_lost(env, skb.tcp_cb_mut());
                }
            }
        }
        self.rtx_queue = queue;
    }

    /// Duplicates stand for segments that arrived out of order.
    ///
    /// Mirrors [`tcp_add_reno_sack`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn add_reno_sack<E: Env>(&mut self, env: &mut E, num_dupack: u32) {
        if num_dupack == 0 {
            return;
        }
        let prior = self.sacked_out;
        self.sacked_out = self.sacked_out.saturating_add(num_dupack);
        if self.limit_reno_sacked() {
            // More duplicates than segments: the network reorders, or the peer invents them.
            self.reordering = self.packets_out.min(max_reordering(env));
            self.reord_seen = self.reord_seen.saturating_add(1);
            env.count(Counter::TcpRenoReorder);
        }
        self.count_delivered(self.sacked_out.saturating_sub(prior));
    }

    /// At least one segment must be missing, or nothing would be out of order: forged duplicates
    /// (Savage's spoofing) cannot count more than that. Returns whether there were too many.
    ///
    /// Mirrors [`tcp_limit_reno_sacked`](srctree/net/ipv4/tcp_input.c).
    fn limit_reno_sacked(&mut self) -> bool {
        let holes = self.lost_out.max(1).min(self.packets_out);
        let most = self.packets_out.saturating_sub(holes);
        let over = self.sacked_out > most;
        self.sacked_out = self.sacked_out.min(most);
        over
    }

    /// An acknowledgement took `acked` segments: the first filled the hole, the others had been counted by
    /// duplicates.
    ///
    /// Mirrors [`tcp_remove_reno_sacks`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn remove_reno_sacks(&mut self, acked: u32) {
        if acked > 0 {
            self.count_delivered(acked.saturating_sub(self.sacked_out).max(1));
            self.sacked_out = self.sacked_out.saturating_sub(acked.saturating_sub(1));
        }
        let _ = self.limit_reno_sacked();
    }

    /// A peer that acknowledges up to what it told to have, but not that, has thrown it away. It gets a
    /// little time to change its mind; then all is sent again.
    ///
    /// RFC 2018, 8. Mirrors [`tcp_check_sack_reneging`](srctree/net/ipv4/tcp_input.c).
    fn check_sack_reneging(&mut self, ack: &mut Ack) -> bool {
        if !ack.told.has(Told::SACK_RENEGING) || !ack.told.has(Told::SND_UNA_ADVANCED) {
            return false;
        }
        let half_rtt = Duration::from_micros(u64::from(self.srtt_us >> 4));
        let least = Duration::from_millis(10);
        self.pending = super::state::Pending::Retrans;
        self.rto_at = Some(
            ack.now
                .plus(if half_rtt > least { half_rtt } else { least }),
        );
        ack.told.clear(Told::SET_XMIT_TIMER);
        true
    }

    /// Enters fast recovery.
    ///
    /// Mirrors [`tcp_enter_recovery`](srctree/net/ipv4/tcp_recovery.c).
    pub(super) fn enter_recovery<E: Env>(&mut self, env: &mut E, ece: bool) {
        if !self.any_retrans_done() {
            self.retrans_stamp = None;
        }
        env.count(if self.sack_ok {
            Counter::TcpSackRecovery
        } else {
            Counter::TcpRenoRecovery
        });
        self.prior_ssthresh = 0;
        self.init_undo();
        if !self.in_cwnd_reduction() {
            if !ece {
                self.prior_ssthresh = self.current_ssthresh();
            }
            self.init_cwnd_reduction(env.now());
        }
        self.set_ca_state(env.now(), CaState::Recovery);
    }

    /// Begins to reduce the window: RFC 6937, 3.
    ///
    /// Mirrors [`tcp_init_cwnd_reduction`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn init_cwnd_reduction(&mut self, now: Instant) {
        self.high_seq = self.snd_nxt;
        self.tlp_high_seq = None;
        self.snd_cwnd_cnt = 0;
        self.prior_cwnd = self.snd_cwnd;
        self.prr_delivered = 0;
        self.prr_out = 0;
        self.snd_ssthresh = self.ca_ssthresh(now);
        self.ecn_queue_cwr();
    }

    /// Sets the window so that as much may be sent as RFC 6937 allows for what was delivered: spread
    /// over the round trip while more than the threshold is in flight, then as much as arrives, and
    /// one more while nothing more is lost.
    ///
    /// Mirrors [`tcp_cwnd_reduction`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn cwnd_reduction(&mut self, newly_delivered: u32, newly_lost: u32, advanced: bool) {
        if newly_delivered == 0 || self.prior_cwnd == 0 {
            return;
        }
        let in_flight = self.packets_in_flight();
        self.prr_delivered = self.prr_delivered.saturating_add(newly_delivered);
        let mut sndcnt = if in_flight > self.snd_ssthresh {
            let share = u64::from(self.snd_ssthresh)
                .saturating_mul(u64::from(self.prr_delivered))
                .div_ceil(u64::from(self.prior_cwnd));
            share.saturating_sub(u64::from(self.prr_out)) as u32
        } else {
            let mut n = self
                .prr_delivered
                .saturating_sub(self.prr_out)
                .max(newly_delivered);
            if advanced && newly_lost == 0 {
                n = n.saturating_add(1);
            }
            n.min(self.snd_ssthresh.saturating_sub(in_flight))
        };
        // The first retransmission goes whatever the window says.
        if self.prr_out == 0 {
            sndcnt = sndcnt.max(1);
        }
        self.snd_cwnd = in_flight.saturating_add(sndcnt).max(1);
    }

    /// The reduction is over.
    ///
    /// Mirrors [`tcp_end_cwnd_reduction`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn end_cwnd_reduction<E: Env>(&mut self, env: &mut E) {
        let now = env.now();
        if self.snd_ssthresh < super::INFINITE_SSTHRESH
            && (self.ca_state == CaState::Cwr || self.undo_marker.is_some())
        {
            self.snd_cwnd = self.snd_ssthresh.max(1);
            self.snd_cwnd_stamp = now;
        }
        self.ca_event(now, Event::CompleteCwr);
    }

    /// Reduces the window for another reason than a loss: a queue of this host refused a segment, or
    /// the network marked one. That is not undone.
    ///
    /// Mirrors [`tcp_enter_cwr`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn enter_cwr(&mut self, now: Instant) {
        self.prior_ssthresh = 0;
        if (self.ca_state as u8) < CaState::Cwr as u8 {
            self.undo_marker = None;
            self.init_cwnd_reduction(now);
            self.set_ca_state(now, CaState::Cwr);
        }
    }

    /// Back to OPEN, or to DISORDER while segments are missing.
    ///
    /// Mirrors [`tcp_try_keep_open`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn try_keep_open<E: Env>(&mut self, env: &mut E) {
        let left_out = self.sacked_out != 0 || self.lost_out != 0;
        let state = if left_out || self.any_retrans_done() {
            CaState::Disorder
        } else {
            CaState::Open
        };
        if self.ca_state != state {
            self.set_ca_state(env.now(), state);
            self.high_seq = self.snd_nxt;
        }
    }

    /// Mirrors [`tcp_try_to_open`](srctree/net/ipv4/tcp_input.c).
    fn try_to_open<E: Env>(&mut self, env: &mut E, ece: bool) {
        if !self.any_retrans_done() {
            self.retrans_stamp = None;
        }
        if ece {
            self.enter_cwr(env.now());
        }
        if self.ca_state != CaState::Cwr {
            self.try_keep_open(env);
        }
    }

    /// Whether something was retransmitted of what is outstanding.
    ///
    /// Mirrors [`tcp_any_retrans_done`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn any_retrans_done(&self) -> bool {
        self.retrans_out != 0
            || self
                .rtx_queue
                .first()
                .is_some_and(|skb| skb.tcp_cb().marks.has(Marks::EVER_RETRANS))
    }

    /// The retransmission timer expired: what is in flight is lost, but for what was sent of late.
    ///
    /// RFC 5681, 3.1, and RFC 6298, 5.4 to 5.6. Mirrors [`tcp_enter_loss`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn enter_loss<E: Env>(&mut self, env: &mut E) {
        let now = env.now();
        let new_recovery = (self.ca_state as u8) < CaState::Recovery as u8;
        self.timeout_mark_lost(env);
        // Once for each window.
        let disorder = self.ca_state as u8 <= CaState::Disorder as u8;
        if disorder
            || !self.high_seq.after(self.snd_una)
            || (self.ca_state == CaState::Loss && self.retransmits == 0)
        {
            self.prior_ssthresh = self.current_ssthresh();
            self.prior_cwnd = self.snd_cwnd;
            self.snd_ssthresh = self.ca_ssthresh(now);
            self.ca_event(now, Event::Loss);
            self.init_undo();
        }
        self.snd_cwnd = self.packets_in_flight().saturating_add(1);
        self.snd_cwnd_cnt = 0;
        self.snd_cwnd_stamp = now;
        // A timeout after many duplicates: reordering was thought to be greater than it is.
        let reordering = initial_reordering(env);
        if disorder && self.sacked_out >= reordering {
            self.reordering = self.reordering.min(reordering);
        }
        self.set_ca_state(now, CaState::Loss);
        self.high_seq = self.snd_nxt;
        self.ecn_queue_cwr();
        self.tlp_high_seq = None;
        // RFC 5682, 2.1, step 1, and 3.2: not if recovery was under way already.
        self.frto = (new_recovery || self.retransmits != 0) && env.sysctl().tcp_frto() != 0;
    }

    /// Mirrors [`tcp_timeout_mark_lost`](srctree/net/ipv4/tcp_input.c).
    fn timeout_mark_lost<E: Env>(&mut self, env: &mut E) {
        let now = env.now();
        let mut queue = core::mem::take(&mut self.rtx_queue);
        let head = queue.first().map(|skb| *skb.tcp_cb());
        let reneg = head.is_some_and(|cb| cb.marks.has(Marks::SACKED));
        if reneg {
            env.count(Counter::TcpSackReneging);
            self.is_sack_reneg = true;
        }
        if reneg || !self.sack_ok {
            self.sacked_out = 0;
        }
        let first = head.map(|cb| cb.seq);
        queue.for_each_mut(|skb| {
            let cb = skb.tcp_cb_mut();
            if reneg {
                cb.marks.clear(Marks::SACKED);
            } else if Some(cb.seq) != first
                && self
                    .rack_skb_timeout(now, Instant::from_nanos(cb.sent_at), 0)
                    .is_some()
            {
                // Sent less than a round trip ago: not lost yet.
                return;
            }
            self.mark_skb_lost(env, cb);
        });
        self.rtx_queue = queue;
        self.retransmit_hint = None;
    }

    /// The path's MTU shrank: what is too large is lost, whatever became of it. The window stays.
    ///
    /// Mirrors [`tcp_simple_retransmit`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn simple_retransmit<E: Env>(&mut self, env: &mut E) {
        let mss = self.current_mss();
        let mut queue = core::mem::take(&mut self.rtx_queue);
        queue.for_each_mut(|skb| {
            let len = skb.len() as u32;
            let cb = skb.tcp_cb_mut();
            let seglen = if cb.pcount() == 1 {
                len
            } else {
                u32::from(cb.gso_size)
            };
            if seglen > mss {
                self.mark_skb_lost(env, cb);
            }
        });
        self.rtx_queue = queue;
        if self.lost_out == 0 {
            return;
        }
        if !self.sack_ok {
            let _ = self.limit_reno_sacked();
        }
        if self.ca_state != CaState::Loss {
            self.high_seq = self.snd_nxt;
            self.snd_ssthresh = self.current_ssthresh();
            self.prior_ssthresh = 0;
            self.undo_marker = None;
            self.set_ca_state(env.now(), CaState::Loss);
        }
        self.xmit_retransmit_queue(env);
    }

    /// Lets the window follow what an acknowledgement delivered.
    ///
    /// Mirrors [`tcp_cong_control`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    pub(super) fn cong_control<E: Env>(
        &mut self,
        env: &mut E,
        ack: &Ack,
        delivered: u32,
        lost: u32,
    ) {
        if self.in_cwnd_reduction() {
            self.cwnd_reduction(delivered, lost, ack.told.has(Told::SND_UNA_ADVANCED));
        } else if self.may_raise_cwnd(env, ack) {
            self.ca_cong_avoid(ack.now, delivered);
        }
        self.update_pacing_rate(env);
    }

    /// Mirrors [`tcp_may_raise_cwnd`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    fn may_raise_cwnd<E: Env>(&self, env: &E, ack: &Ack) -> bool {
        // Where the network reorders much, whatever arrives counts.
        if self.reordering > initial_reordering(env) {
            ack.told.has(Told::FORWARD_PROGRESS)
        } else {
            ack.told.has(Told::DATA_ACKED)
        }
    }

    /// Tells congestion control what an acknowledgement measured.
    #[inline]
    pub(super) fn pkts_acked<E: Env>(&mut self, env: &mut E, ack: &Ack, acked: u32) {
        let flight = self.stats.delivered.wrapping_sub(ack.prior_delivered);
        self.ca_pkts_acked(
            env,
            &AckSample {
                rtt_us: ack.rtt_us,
                pkts_acked: acked,
                in_flight: flight.saturating_mul(u32::from(self.mss_cache)),
            },
        );
    }
}

/// Segments out of order that stand for a loss while nothing is known of the path (RFC 5681, 3.2).
pub(super) fn initial_reordering<E: Env>(env: &E) -> u32 {
    env.sysctl().tcp_reordering().max(1).unsigned_abs()
}
