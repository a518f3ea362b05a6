// SPDX-License-Identifier: GPL-2.0
//! RACK: a segment is lost if one that was sent enough later has arrived (RFC 8985).
//!
//! The queue is looked at in the order of sending, and only as far as the youngest delivered segment: what
//! is marked lost leaves that order until it is sent again.

use super::{
    seq::SeqNum,
    skb::{Cb, Marks},
    sock::Sock,
    state::{CaState, Pending},
    told::{sent_after, Ack}, //
};
use crate::stack::{
    env::Env,
    time::{Duration, Instant}, //
};

/// For so many recoveries a grown reordering window is kept (`TCP_RACK_RECOVERY_THRESH`).
pub(super) const RECOVERY_THRESH: u8 = 16;
/// No timer is shorter than this (`TCP_TIMEOUT_MIN_US`).
pub(super) const TIMEOUT_MIN: Duration = Duration::from_millis(2);

/// Bits of `tcp_recovery`: the reordering window does not grow, and three duplicates do not close it.
const STATIC_REO_WND: u8 = 2;
const NO_DUPTHRESH: u8 = 4;

/// RACK's variables (RFC 8985, 5.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct Rack {
    /// When the youngest delivered segment was sent (RACK.xmit_ts).
    pub(super) xmit_ts: Instant,
    /// Where it ends (RACK.end_seq).
    pub(super) end_seq: SeqNum,
    /// Its round-trip time, in microseconds (RACK.rtt).
    pub(super) rtt_us: u32,
    /// Segments delivered when the reordering window last grew.
    pub(super) last_delivered: u32,
    /// The reordering window in quarters of the shortest round trip (RACK.reo_wnd_mult).
    pub(super) reo_wnd_steps: u8,
    /// Recoveries for which it is kept (RACK.reo_wnd_persist).
    pub(super) reo_wnd_persist: u8,
    /// A D-SACK came since it last grew.
    pub(super) dsack_seen: bool,
    /// A segment was delivered since losses were last looked for.
    pub(super) advanced: bool,
}

impl Rack {
    /// RFC 8985, 5.4.
    pub(super) const fn new() -> Rack {
        Rack {
            xmit_ts: Instant::ZERO,
            end_seq: SeqNum::new(0),
            rtt_us: 0,
            last_delivered: 0,
            reo_wnd_steps: 1,
            reo_wnd_persist: 0,
            dsack_seen: false,
            advanced: false,
        }
    }
}

impl Sock {
    /// A segment was delivered: RFC 8985, 6.2, steps 1 and 2.
    ///
    /// Mirrors [`tcp_rack_advance`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    pub(super) fn rack_advance(&mut self, now: Instant, cb: &Cb) {
        let sent = Instant::from_nanos(cb.sent_at);
        let rtt_us = now.since(sent).as_micros().min(1 << 30) as u32;
        // Sooner than anything ever was: it was the original that arrived, not the retransmission.
        if rtt_us < self.min_rtt.get() && cb.marks.has(Marks::RETRANS_ONCE) {
            return;
        }
        let rack = &mut self.rack;
        rack.advanced = true;
        rack.rtt_us = rtt_us;
        if sent_after(sent, rack.xmit_ts, cb.end_seq, rack.end_seq) {
            rack.xmit_ts = sent;
            rack.end_seq = cb.end_seq;
        }
    }

    /// How much later than expected a segment may arrive before it is lost, in microseconds.
    ///
    /// RFC 8985, 6.2, step 4. Mirrors [`tcp_rack_reo_wnd`](srctree/net/ipv4/tcp_recovery.c).
    fn rack_reo_wnd<E: Env>(&self, env: &E) -> u32 {
        if self.reord_seen == 0
            && (self.ca_state as u8 >= CaState::Recovery as u8
                || (self.sacked_out >= self.reordering
                    && env.sysctl().tcp_recovery() & NO_DUPTHRESH == 0))
        {
            return 0;
        }
        (self.min_rtt.get() >> 2)
            .saturating_mul(u32::from(self.rack.reo_wnd_steps))
            .min(self.srtt_us >> 3)
    }

    /// Microseconds until a segment sent at `sent` counts as lost; none if it does now.
    ///
    /// Mirrors [`tcp_rack_skb_timeout`](srctree/net/ipv4/tcp_recovery.c).
    pub(super) fn rack_skb_timeout(
        &self,
        now: Instant,
        sent: Instant,
        reo_wnd: u32,
    ) -> Option<u32> {
        let waited = now.since(sent).as_micros().min(u64::from(u32::MAX)) as u32;
        let left = self
            .rack
            .rtt_us
            .saturating_add(reo_wnd)
            .saturating_sub(waited);
        (left != 0).then_some(left)
    }

    /// Marks as lost what was sent long enough before the youngest delivered segment. Returns when
    /// to look again, if anything may become lost by mere waiting.
    ///
    /// RFC 8985, 6.2, step 5. Mirrors [`tcp_rack_detect_loss`](srctree/net/ipv4/tcp_recovery.c).
    fn rack_detect_loss<E: Env>(&mut self, env: &mut E) -> Option<Duration> {
        let now = env.now();
        let reo_wnd = self.rack_reo_wnd(env);
        let mut wait = 0;
        let mut queue = core::mem::take(&mut self.rtx_queue);
        let mut walk = queue.sent_order();
        while let Some(skb) = walk.advance() {
            let cb = skb.tcp_cb_mut();
            if cb.marks.has(Marks::LOST) && !cb.marks.has(Marks::RETRANS) {
                continue;
            }
            let sent = Instant::from_nanos(cb.sent_at);
            if !sent_after(self.rack.xmit_ts, sent, self.rack.end_seq, cb.end_seq) {
                break;
            }
            match self.rack_skb_timeout(now, sent, reo_wnd) {
                Some(left) => wait = wait.max(left),
                None => {
                    self.mark_skb_lost(env, cb);
                    walk.forget();
                }
            }
        }
        self.rtx_queue = queue;
        (wait != 0).then_some(Duration::from_micros(u64::from(wait)))
    }

    /// Looks for losses after an acknowledgement. Returns whether a timer was armed to look again.
    ///
    /// Mirrors [`tcp_rack_mark_lost`](srctree/net/ipv4/tcp_recovery.c).
    pub(super) fn rack_mark_lost<E: Env>(&mut self, env: &mut E) -> bool {
        if !self.rack.advanced {
            return false;
        }
        self.rack.advanced = false;
        let Some(wait) = self.rack_detect_loss(env) else {
            return false;
        };
        let wait = wait.plus(TIMEOUT_MIN);
        let rto = self.backed_off_rto();
        self.pending = Pending::ReoTimeout;
        self.rto_at = Some(env.now().plus(if wait < rto { wait } else { rto }));
        true
    }

    /// Late segments have had their time: what is still missing is lost.
    ///
    /// Mirrors [`tcp_rack_reo_timeout`](srctree/net/ipv4/tcp_recovery.c).
    pub(super) fn rack_reo_timeout<E: Env>(&mut self, env: &mut E) {
        let prior_inflight = self.packets_in_flight();
        let lost = self.stats.lost;
        let _ = self.rack_detect_loss(env);
        if prior_inflight != self.packets_in_flight() {
            if self.ca_state != CaState::Recovery {
                self.enter_recovery(env, false);
                let newly_lost = self.stats.lost.wrapping_sub(lost);
                self.cwnd_reduction(1, newly_lost, false);
            }
            self.xmit_retransmit_queue(env);
        }
        if self.pending != Pending::Retrans || self.rto_at.is_none() {
            self.rearm_rto(env.now());
        }
    }

    /// Grows the reordering window if a D-SACK showed that a retransmission was needless, and lets it
    /// shrink after enough recoveries without one.
    ///
    /// RFC 8985, 6.2, step 4. Mirrors [`tcp_rack_update_reo_wnd`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    pub(super) fn rack_update_reo_wnd<E: Env>(&mut self, env: &E, ack: &Ack) {
        if ack.prior_delivered == 0 || env.sysctl().tcp_recovery() & STATIC_REO_WND != 0 {
            return;
        }
        let rack = &mut self.rack;
        // Not more than once in a round trip.
        if (ack.prior_delivered.wrapping_sub(rack.last_delivered) as i32) < 0 {
            rack.dsack_seen = false;
        }
        if rack.dsack_seen {
            rack.reo_wnd_steps = rack.reo_wnd_steps.saturating_add(1);
            rack.dsack_seen = false;
            rack.last_delivered = self.stats.delivered;
            rack.reo_wnd_persist = RECOVERY_THRESH;
        } else if rack.reo_wnd_persist == 0 {
            rack.reo_wnd_steps = 1;
        }
    }
}
