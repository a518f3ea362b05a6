// SPDX-License-Identifier: GPL-2.0
//! Tail loss probes: if the last segments of a flight are lost, no acknowledgement tells (RFC 8985, 7).
//!
//! Well before the timeout the last segment, or a new one, is sent to provoke an acknowledgement that
//! lets RACK see the loss.

use super::{
    output::Burst,
    rack::TIMEOUT_MIN,
    sock::Sock,
    state::{CaState, Pending},
    told::{Ack, Told}, //
    TIMEOUT_INIT,
};
use crate::stack::{
    counters::Counter,
    env::Env,
    time::Duration, //
};

impl Sock {
    /// Arms the probe's timer if a probe may help. With `advancing`, the timeout itself would start
    /// anew now. Returns whether it did.
    ///
    /// RFC 8985, 7.2. Mirrors [`tcp_schedule_loss_probe`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn schedule_loss_probe<E: Env>(&mut self, env: &mut E, advancing: bool) -> bool {
        if !self.sack_ok
            || !matches!(self.ca_state, CaState::Open | CaState::Cwr)
            || !matches!(env.sysctl().tcp_early_retrans(), 3 | 4)
        {
            return false;
        }
        let now = env.now();
        let mut timeout = if self.srtt_us == 0 {
            TIMEOUT_INIT
        } else {
            // Two round trips; alone, the segment's acknowledgement may be put off.
            let extra = if self.packets_out == 1 {
                self.rto_min
            } else {
                TIMEOUT_MIN
            };
            Duration::from_micros(u64::from(self.srtt_us >> 2)).plus(extra)
        };
        let rto = if advancing {
            Some(self.backed_off_rto())
        } else {
            self.rto_delta(now)
        };
        if let Some(rto) = rto {
            if rto < timeout {
                timeout = rto;
            }
        }
        self.pending = Pending::LossProbe;
        self.rto_at = Some(now.plus(timeout).plus(self.pacing_delay(now)));
        true
    }

    /// The probe: new data if there are any and the window allows, else the last segment again.
    ///
    /// RFC 8985, 7.3. Mirrors [`tcp_send_loss_probe`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn send_loss_probe<E: Env>(&mut self, env: &mut E) {
        if self.packets_out == 0 {
            return;
        }
        if self.tlp_high_seq.is_none() && self.xmit_loss_probe(env) {
            self.tlp_high_seq = Some(self.snd_nxt);
            env.count(Counter::TcpLossProbes);
            // The timeout counts from now.
            self.pending = Pending::Retrans;
        }
        self.rearm_rto(env.now());
    }

    fn xmit_loss_probe<E: Env>(&mut self, env: &mut E) -> bool {
        self.tlp_retrans = false;
        self.sync_mss(env);
        if self.send_head_fits() {
            let prior = self.packets_out;
            let _ = self.write_xmit(env, true, Burst::Probe);
            return self.packets_out > prior;
        }
        let mss = self.current_mss();
        let Some(skb) = self.rtx_queue.last() else {
            return false;
        };
        let cb = *skb.tcp_cb();
        let whole = cb.pcount().saturating_sub(1).saturating_mul(mss);
        let mut seq = cb.seq;
        if cb.pcount() > 1 && skb.len() as u32 > whole {
            let mut queue = core::mem::take(&mut self.rtx_queue);
            let cut = self.fragment_sent(env, &mut queue, cb.seq, whole, mss);
            self.rtx_queue = queue;
            if cut.is_err() {
                return false;
            }
            seq = cb.seq.add(whole);
        }
        if self.retransmit(env, seq, 1).is_err() {
            return false;
        }
        self.tlp_retrans = true;
        true
    }

    /// What an acknowledgement tells of the probe: RFC 8985, 7.4.2.
    ///
    /// Mirrors [`tcp_process_tlp_ack`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    pub(super) fn process_tlp_ack<E: Env>(&mut self, env: &mut E, ack: &Ack) {
        let Some(high) = self.tlp_high_seq else {
            return;
        };
        if ack.seq.before(high) {
            return;
        }
        if !self.tlp_retrans || ack.told.has(Told::DSACK_TLP) {
            // New data were acknowledged, or original and probe both arrived: nothing was lost.
            self.tlp_high_seq = None;
        } else if ack.seq.after(high) {
            // The probe repaired a loss: pay for it.
            self.init_cwnd_reduction(ack.now);
            self.set_ca_state(ack.now, CaState::Cwr);
            self.end_cwnd_reduction(env);
            self.try_keep_open(env);
            env.count(Counter::TcpLossProbeRecovery);
        } else if !ack.told.has(Told::SND_UNA_ADVANCED)
            && !ack.told.has(Told::NOT_DUP)
            && !ack.told.has(Told::DATA_SACKED)
        {
            // A plain duplicate: both arrived.
            self.tlp_high_seq = None;
        }
    }
}
