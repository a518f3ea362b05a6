// SPDX-License-Identifier: GPL-2.0
//! Loss recovery without SACK: fast retransmit and NewReno (RFC 5681, 6582), limited transmit
//! (RFC 3042), and recovery after a timeout.
//!
//! The network's contents are counted as Linux does: every duplicate ACK stands for one segment that
//! arrived out of order (`sacked_out`), a segment taken for lost is not in flight (`lost_out`) until
//! it is retransmitted (`retrans_out`). Fast recovery's inflation of the window and limited transmit
//! both follow from [`Sock::packets_in_flight`].

use super::{
    cong::Event,
    seq::SeqNum,
    skb::Marks,
    sock::{CaState, Sock},
    DUPTHRESH, //
};
use crate::stack::{
    counters::Counter,
    env::Env,
    time::Instant, //
};

/// What one acknowledgement told, for the recovery machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct AckResult {
    /// SND.UNA before it.
    pub(super) prior_una: SeqNum,
    /// Segments it newly acknowledged.
    pub(super) acked: u32,
    /// It is a duplicate by RFC 5681, 2.
    pub(super) is_dupack: bool,
}

impl Sock {
    /// Moves recovery on after an acknowledgement and sends what it asks for.
    ///
    /// Mirrors [`tcp_fastretrans_alert`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn fastretrans_alert<E: Env>(&mut self, env: &mut E, res: AckResult) {
        let advanced = self.snd_una != res.prior_una;
        // Leaving: everything that was in flight when the trouble began is acknowledged.
        if advanced && self.ca_state != CaState::Open {
            match self.ca_state {
                CaState::Recovery if !self.snd_una.before(self.high_seq) => {
                    self.end_recovery(env.now())
                }
                CaState::Loss if !self.snd_una.before(self.high_seq) => self.end_loss(env.now()),
                CaState::Disorder => {
                    self.sacked_out = 0;
                    self.ca_state = CaState::Open;
                }
                _ => {}
            }
        }
        match self.ca_state {
            CaState::Recovery => {
                if advanced {
                    // RFC 6582, 3.2, step 3, partial acknowledgement: the next hole is lost too.
                    self.sacked_out = self.sacked_out.saturating_sub(res.acked.saturating_sub(1));
                    self.mark_head_lost(env);
                } else if res.is_dupack {
                    self.add_dupack();
                }
            }
            CaState::Loss => {
                if res.is_dupack {
                    self.add_dupack();
                }
            }
            CaState::Open | CaState::Disorder | CaState::Cwr => {
                if !res.is_dupack {
                    return;
                }
                self.add_dupack();
                self.ca_state = CaState::Disorder;
                // RFC 6582, 3.2, step 2: not for duplicates of an old flight's retransmissions.
                if self.sacked_out < DUPTHRESH || self.snd_una.before(self.recover_guard()) {
                    return;
                }
                self.enter_recovery(env);
            }
        }
        self.xmit_retransmit_queue(env);
    }

    /// Where duplicate ACKs become evidence again after a timeout's retransmissions.
    fn recover_guard(&self) -> SeqNum {
        if self.recover_valid {
            self.high_seq
        } else {
            self.snd_una
        }
    }

    /// One more segment has arrived at the peer, out of order.
    ///
    /// Mirrors [`tcp_add_reno_sack`](srctree/net/ipv4/tcp_input.c).
    fn add_dupack(&mut self) {
        // At least one segment must be missing, or nothing would be out of order: forged duplicates
        // (Savage's spoofing) cannot count more than that. Linux's `tcp_limit_reno_sacked`.
        let holes = self.lost_out.max(1).min(self.packets_out);
        let most = self.packets_out.saturating_sub(holes);
        self.sacked_out = self.sacked_out.saturating_add(1).min(most);
    }

    /// Enters fast recovery.
    ///
    /// RFC 6582, 3.2, step 2. Mirrors [`tcp_enter_recovery`](srctree/net/ipv4/tcp_input.c).
    fn enter_recovery<E: Env>(&mut self, env: &mut E) {
        env.count(Counter::TcpRenoRecovery);
        self.prior_cwnd = self.snd_cwnd;
        self.snd_ssthresh = self.ca_ssthresh(env.now());
        self.snd_cwnd = self.snd_ssthresh;
        self.high_seq = self.snd_nxt;
        self.recover_valid = true;
        self.snd_cwnd_cnt = 0;
        self.set_ca_state(env.now(), CaState::Recovery);
        self.retransmit_nxt = self.snd_una;
        self.impatient = false;
        self.mark_head_lost(env);
    }

    /// Whether the acknowledgement of everything before `ack` starts the retransmission timer anew.
    ///
    /// RFC 6582, 4, the impatient variant: in fast recovery only the first partial acknowledgement does.
    /// Each one mends a single segment; when half a window is gone, the timeout's slow start is done
    /// sooner.
    pub(super) fn may_rearm(&mut self, ack: SeqNum) -> bool {
        let partial = self.ca_state == CaState::Recovery && ack.before(self.high_seq);
        let first = !self.impatient;
        self.impatient = partial;
        first || !partial
    }

    /// The first unacknowledged segment is lost.
    fn mark_head_lost<E: Env>(&mut self, env: &mut E) {
        let mss = u32::from(self.mss_cache);
        let Some(skb) = self.rtx_queue.first() else {
            return;
        };
        let cb = *skb.tcp_cb();
        // One segment of it, not a whole GSO packet.
        if cb.pcount() > 1 && self.fragment_sent(env, cb.seq, mss).is_err() {
            return;
        }
        let Some(skb) = self.rtx_queue.first_mut() else {
            return;
        };
        let cb = skb.tcp_cb_mut();
        let pcount = cb.pcount();
        if cb.marks.has(Marks::RETRANS) {
            // Its retransmission was overtaken by the partial acknowledgement's news.
            return;
        }
        if !cb.marks.has(Marks::LOST) {
            cb.marks.set(Marks::LOST);
            let seq = cb.seq;
            self.lost_out = self.lost_out.saturating_add(pcount);
            self.retransmit_nxt = seq;
            let rest = self.packets_out.saturating_sub(self.lost_out);
            self.sacked_out = self.sacked_out.min(rest);
        }
    }

    /// Retransmits what is marked lost, as the congestion window allows.
    ///
    /// Mirrors [`tcp_xmit_retransmit_queue`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn xmit_retransmit_queue<E: Env>(&mut self, env: &mut E) {
        while self.lost_out > self.retrans_out {
            let quota = self.snd_cwnd.saturating_sub(self.packets_in_flight());
            // The first segment goes whatever the window says: it is what the peer waits for.
            if quota == 0 && self.retrans_out != 0 {
                return;
            }
            let from = self.retransmit_nxt.later(self.snd_una);
            let Some(seq) = self.next_lost(from) else {
                return;
            };
            if self.retransmit_skb(env, seq, quota.max(1)).is_err() {
                return;
            }
            if let Some(skb) = self.rtx_queue.at_or_before(seq) {
                self.retransmit_nxt = skb.tcp_cb().end_seq;
            }
            if self.ca_state == CaState::Recovery {
                env.count(Counter::TcpFastRetrans);
            } else {
                env.count(Counter::TcpSlowStartRetrans);
            }
            if seq == self.snd_una && !self.impatient {
                self.rearm_rto(env.now());
            }
        }
    }

    /// The first segment from `from` on that is lost and not yet retransmitted.
    fn next_lost(&mut self, from: SeqNum) -> Option<SeqNum> {
        let mut at = from;
        // After a timeout all are lost and go in order, so this looks at one segment, or at two
        // where `from` lies inside one.
        if let Some(skb) = self.rtx_queue.at_or_before(at) {
            let cb = skb.tcp_cb();
            if cb.end_seq.after(at) {
                if cb.marks.has(Marks::LOST) && !cb.marks.has(Marks::RETRANS) {
                    return Some(cb.seq);
                }
                at = cb.seq;
            }
        }
        let skb = self.rtx_queue.after(at)?;
        let cb = skb.tcp_cb();
        if cb.marks.has(Marks::LOST) && !cb.marks.has(Marks::RETRANS) {
            Some(cb.seq)
        } else {
            None
        }
    }

    /// Everything up to the recovery point is acknowledged: RFC 6582, 3.2, step 3, full acknowledgement.
    ///
    /// Mirrors [`tcp_end_cwnd_reduction`](srctree/net/ipv4/tcp_input.c).
    fn end_recovery(&mut self, now: Instant) {
        let flight = self.packets_out.max(1).saturating_add(1);
        self.snd_cwnd = self.snd_ssthresh.min(flight.max(2)).max(1);
        self.clear_retrans();
        self.ca_event(now, Event::CompleteCwr);
        self.set_ca_state(now, CaState::Open);
    }

    fn end_loss(&mut self, now: Instant) {
        self.clear_retrans();
        self.set_ca_state(now, CaState::Open);
    }

    /// Nothing is lost or retransmitted any more.
    fn clear_retrans(&mut self) {
        self.sacked_out = 0;
        self.lost_out = 0;
        self.retrans_out = 0;
        self.recover_valid = false;
        self.retrans_stamp = None;
        // Segments above the recovery point were sent after it began and carry no marks.
    }

    /// The retransmission timer expired: everything in flight is lost, the window is one segment.
    ///
    /// RFC 5681, 3.1, and RFC 6298, 5.4 to 5.6. Mirrors [`tcp_enter_loss`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn enter_loss<E: Env>(&mut self, env: &mut E) {
        if self.ca_state != CaState::Loss || !self.snd_una.before(self.high_seq) {
            self.prior_cwnd = self.snd_cwnd;
            self.snd_ssthresh = self.ca_ssthresh(env.now());
        }
        env.count(Counter::TcpTimeouts);
        self.snd_cwnd = 1;
        self.sacked_out = 0;
        self.retrans_out = 0;
        self.lost_out = 0;
        let mut lost = 0u32;
        self.rtx_queue.for_each_mut(|skb| {
            let cb = skb.tcp_cb_mut();
            cb.marks.clear(Marks::RETRANS);
            cb.marks.set(Marks::LOST);
            lost = lost.saturating_add(cb.pcount());
        });
        self.lost_out = lost;
        self.high_seq = self.snd_nxt;
        self.recover_valid = true;
        self.retransmit_nxt = self.snd_una;
        self.impatient = false;
        self.snd_cwnd_cnt = 0;
        self.set_ca_state(env.now(), CaState::Loss);
        self.ca_event(env.now(), Event::Loss);
    }

    /// A queue of this host refused a segment: the window does not grow on what was not sent.
    ///
    /// Mirrors [`tcp_enter_cwr`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn enter_cwr(&mut self, now: Instant) {
        if self.ca_state == CaState::Open && self.snd_cwnd > super::INIT_CWND {
            self.snd_ssthresh = self.ca_ssthresh(now);
            self.snd_cwnd = self.snd_ssthresh.max(super::INIT_CWND);
        }
    }

    /// Lets the window grow with `acked` segments, if it was in use and nothing is wrong.
    ///
    /// Mirrors [`tcp_cong_control`, `tcp_cong_avoid`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn cong_avoid(&mut self, now: Instant, acked: u32) {
        if acked != 0 && !self.in_cwnd_reduction() && self.ca_state != CaState::Disorder {
            self.ca_cong_avoid(now, acked);
        }
    }
}
