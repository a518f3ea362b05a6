// SPDX-License-Identifier: GPL-2.0
//! Taking a reduction of the window back when it turns out that nothing was lost.
//!
//! Three kinds of evidence: the echoed timestamp is older than the first retransmission (Eifel, RFC 3522
//! and 4015), D-SACKs tell that everything retransmitted arrived twice (RFC 3708), and, after a
//! timeout, data arrive that were never retransmitted (F-RTO, RFC 5682).

use super::{
    rack::RECOVERY_THRESH,
    recovery::Rexmit,
    skb::Marks,
    sock::Sock,
    state::{CaState, State},
    told::{Ack, Told}, //
};
use crate::stack::{
    counters::Counter,
    env::Env, //
};

impl Sock {
    /// Remembers what is needed to undo the reduction that begins now.
    ///
    /// Mirrors [`tcp_init_undo`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn init_undo(&mut self) {
        self.undo_marker = Some(self.snd_una);
        let mut retrans = self.retrans_out as i32;
        if self.tlp_high_seq.is_some() && self.tlp_retrans {
            retrans = retrans.saturating_add(1);
        }
        // Zero would mean that everything retransmitted came twice already.
        self.undo_retrans = if retrans == 0 { -1 } else { retrans };
    }

    /// Whether the acknowledgement answers something sent before the first retransmission.
    ///
    /// Mirrors [`tcp_packet_delayed`](srctree/net/ipv4/tcp_input.c).
    fn packet_delayed(&self, ack: &Ack) -> bool {
        if let Some(stamp) = self.retrans_stamp {
            return self.tsecr_before(ack, stamp);
        }
        // Nothing was retransmitted yet: it was merely late; but for those who forget the stamp.
        if !self.sack_ok && !self.snd_una.before(self.high_seq) {
            return false;
        }
        self.state != State::SynSent
    }

    /// Mirrors [`tcp_may_undo`](srctree/net/ipv4/tcp_input.c).
    fn may_undo(&self, ack: &Ack) -> bool {
        self.undo_marker.is_some() && (self.undo_retrans == 0 || self.packet_delayed(ack))
    }

    /// Gives the window back. With `unmark`, nothing counts as lost any more.
    ///
    /// Mirrors [`tcp_undo_cwnd_reduction`](srctree/net/ipv4/tcp_input.c).
    fn undo_cwnd_reduction<E: Env>(&mut self, env: &mut E, unmark: bool) {
        if unmark {
            self.rtx_queue
                .for_each_mut(|skb| skb.tcp_cb_mut().marks.clear(Marks::LOST));
            self.lost_out = 0;
            self.retransmit_hint = None;
        }
        let now = env.now();
        if self.prior_ssthresh != 0 {
            self.snd_cwnd = self.ca_undo_cwnd(now).max(1);
            if self.prior_ssthresh > self.snd_ssthresh {
                self.snd_ssthresh = self.prior_ssthresh;
                self.ecn_withdraw_cwr();
            }
        }
        self.snd_cwnd_stamp = now;
        self.undo_marker = None;
        // Look for losses anew.
        self.rack.advanced = true;
    }

    /// Without SACK the state is kept until something above `high_seq` is acknowledged: duplicates of
    /// the old flight must not begin a new recovery (RFC 6582, 3.2, step 1).
    ///
    /// Mirrors [`tcp_is_non_sack_preventing_reopen`](srctree/net/ipv4/tcp_input.c).
    fn non_sack_preventing_reopen(&mut self) -> bool {
        if self.sack_ok || self.snd_una != self.high_seq {
            return false;
        }
        if !self.any_retrans_done() {
            self.retrans_stamp = None;
        }
        true
    }

    /// Everything up to `high_seq` is acknowledged. Returns whether the state is kept all the same.
    ///
    /// Mirrors [`tcp_try_undo_recovery`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn try_undo_recovery<E: Env>(&mut self, env: &mut E, ack: &Ack) -> bool {
        if self.may_undo(ack) {
            let loss = self.ca_state == CaState::Loss;
            self.undo_cwnd_reduction(env, false);
            env.count(if loss {
                Counter::TcpLossUndo
            } else {
                Counter::TcpFullUndo
            });
        } else {
            self.rack.reo_wnd_persist = self.rack.reo_wnd_persist.saturating_sub(1);
        }
        if self.non_sack_preventing_reopen() {
            return true;
        }
        self.set_ca_state(env.now(), CaState::Open);
        self.is_sack_reneg = false;
        false
    }

    /// D-SACKs have told that everything retransmitted came twice.
    ///
    /// Mirrors [`tcp_try_undo_dsack`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn try_undo_dsack<E: Env>(&mut self, env: &mut E) -> bool {
        if self.undo_marker.is_none() || self.undo_retrans != 0 {
            return false;
        }
        let persist = self.rack.reo_wnd_persist.saturating_add(1);
        self.rack.reo_wnd_persist = persist.min(RECOVERY_THRESH);
        self.undo_cwnd_reduction(env, false);
        env.count(Counter::TcpDsackUndo);
        true
    }

    /// A partial acknowledgement in RECOVERY: if it answers the original, the hole was mere delay.
    /// Returns whether to wait for more evidence.
    ///
    /// Mirrors [`tcp_try_undo_partial`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn try_undo_partial<E: Env>(&mut self, env: &mut E, ack: &Ack) -> bool {
        if self.undo_marker.is_none() || !self.packet_delayed(ack) {
            return false;
        }
        self.check_sack_reordering(env, ack.prior_una, true);
        if self.retrans_out != 0 {
            return true;
        }
        if !self.any_retrans_done() {
            self.retrans_stamp = None;
        }
        self.undo_cwnd_reduction(env, true);
        env.count(Counter::TcpPartialUndo);
        self.try_keep_open(env);
        false
    }

    /// Undoes a timeout. `frto`: F-RTO found it spurious.
    ///
    /// Mirrors [`tcp_try_undo_loss`](srctree/net/ipv4/tcp_input.c).
    fn try_undo_loss<E: Env>(&mut self, env: &mut E, ack: &Ack, frto: bool) -> bool {
        if !frto && !self.may_undo(ack) {
            return false;
        }
        self.undo_cwnd_reduction(env, true);
        env.count(Counter::TcpLossUndo);
        if frto {
            env.count(Counter::TcpSpuriousRtos);
        }
        self.retransmits = 0;
        if self.non_sack_preventing_reopen() {
            return true;
        }
        if frto || self.sack_ok {
            self.set_ca_state(env.now(), CaState::Open);
            self.is_sack_reneg = false;
        }
        true
    }

    /// An acknowledgement after a timeout.
    ///
    /// RFC 5682, 3.1, the SACK-enhanced variant. Mirrors
    /// [`tcp_process_loss`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn process_loss<E: Env>(
        &mut self,
        env: &mut E,
        ack: &Ack,
        num_dupack: u32,
        rexmit: &mut Rexmit,
    ) {
        let recovered = !self.snd_una.before(self.high_seq);
        let advanced = ack.told.has(Told::SND_UNA_ADVANCED);
        if advanced && self.try_undo_loss(env, ack, false) {
            return;
        }
        if self.frto {
            // Step 3b: data arrived that were never retransmitted.
            if ack.told.has(Told::ORIG_SACK_ACKED) && self.try_undo_loss(env, ack, true) {
                return;
            }
            if self.snd_nxt.after(self.high_seq) {
                if ack.told.has(Told::DATA_SACKED) || num_dupack != 0 {
                    // Step 3a: the loss was real.
                    self.frto = false;
                }
            } else if advanced && !recovered {
                self.high_seq = self.snd_nxt;
                // Step 2b: new data, if there are any and the window allows.
                if !self.write_queue.is_empty() && self.wnd_end().after(self.snd_nxt) {
                    *rexmit = Rexmit::New;
                    return;
                }
                self.frto = false;
            }
        }
        if recovered {
            // Step 2a, and the first part of 3a.
            let _ = self.try_undo_recovery(env, ack);
            return;
        }
        if !self.sack_ok {
            // A duplicate means that the new data of step 2b arrived.
            if self.snd_nxt.after(self.high_seq) && num_dupack != 0 {
                self.add_reno_sack(env, num_dupack);
            } else if advanced {
                self.sacked_out = 0;
            }
        }
        *rexmit = Rexmit::Lost;
    }
}
