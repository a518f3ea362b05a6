// SPDX-License-Identifier: GPL-2.0
//! Acknowledgements: what the peer has received, and how much more it will take.

use super::{
    cong::AckSample,
    recovery::AckResult,
    segment::Segment,
    skb::{Flags, Marks},
    sock::{CaState, Pending, Sock}, //
};
use crate::stack::{
    drop_reason::DropReason,
    env::Env,
    time::Instant, //
};

/// What the retransmission queue lost to one acknowledgement.
#[derive(Clone, Copy, Debug, Default)]
struct Cleaned {
    /// Segments newly acknowledged.
    acked: u32,
    /// Send time of the oldest of them, if none was ever retransmitted (Karn's rule).
    first_sent: Option<Instant>,
    /// Send time of the youngest of them that was never retransmitted.
    last_sent: Option<Instant>,
    /// A retransmitted segment was among them.
    retrans: bool,
}

impl Sock {
    /// Processes the acknowledgement of an acceptable segment.
    ///
    /// # Errors
    ///
    /// An acknowledgement outside `[SND.UNA - MAX.SND.WND, SND.NXT]` (RFC 5961, 5.2): the segment must
    /// be dropped, and a challenge ACK was sent.
    ///
    /// 3.10.7.4, fifth check. Mirrors [`tcp_ack`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn ack<E: Env>(&mut self, env: &mut E, seg: &Segment) -> Result<(), DropReason> {
        let ack = seg.ack_seq;
        let prior_una = self.snd_una;
        if ack.before(prior_una) {
            let sent = self.stats.bytes_acked.min(u64::from(self.max_window)) as u32;
            if ack.before(prior_una.sub(sent)) {
                self.send_challenge_ack(env);
                return Err(DropReason::TcpTooOldAck);
            }
            // Overtaken by a later one: nothing new in it but, perhaps, data.
            return Ok(());
        }
        if ack.after(self.snd_nxt) {
            self.send_challenge_ack(env);
            return Err(DropReason::TcpAckUnsentData);
        }
        let advanced = ack != prior_una;
        let window_changed = self.update_window(env, seg);
        let prior_packets = self.packets_out;
        let now = env.now();
        self.rcv_tstamp = now;
        self.probes_out = 0;
        if advanced {
            let bytes = ack.since(prior_una);
            self.snd_una = ack;
            self.urg_acked(prior_una);
            self.stats.bytes_acked = self.stats.bytes_acked.wrapping_add(u64::from(bytes));
            self.retransmits = 0;
            self.backoff = 0;
        }
        if prior_packets == 0 {
            if !self.write_queue.is_empty() {
                self.ack_probe(now);
            }
            return Ok(());
        }
        let mut acked = 0;
        if advanced {
            let cleaned = self.clean_rtx_queue(env);
            acked = cleaned.acked;
            let rtt_us = self.update_rtt(now, seg, &cleaned);
            self.ca_pkts_acked(
                env,
                &AckSample {
                    rtt_us,
                    pkts_acked: acked,
                    in_flight: prior_packets.saturating_mul(u32::from(self.mss_cache)),
                },
            );
            self.retrans_stamp = if self.packets_out == 0 {
                None
            } else {
                self.retrans_stamp
            };
            // RFC 6298, 5.2 and 5.3.
            if self.may_rearm(ack) {
                self.rearm_rto(now);
            }
            self.cong_avoid_on_ack(now, acked);
        }
        // RFC 5681, 2: a duplicate acknowledges nothing new, carries nothing, and changes nothing,
        // while data are outstanding.
        let is_dupack = !advanced
            && !window_changed
            && seg.len == 0
            && !seg.flags.has(Flags::SYN.and(Flags::FIN))
            && self.packets_out != 0;
        if is_dupack || self.ca_state != CaState::Open {
            let res = AckResult {
                prior_una,
                acked,
                is_dupack,
            };
            self.fastretrans_alert(env, res);
        }
        if advanced {
            env.confirm_neigh();
            self.check_space = true;
        }
        Ok(())
    }

    #[inline]
    fn cong_avoid_on_ack(&mut self, now: Instant, acked: u32) {
        self.stats.delivered = self.stats.delivered.wrapping_add(acked);
        self.cong_avoid(now, acked);
    }

    /// Takes over the window of an acceptable segment. Returns whether it changed.
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
            return false;
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

    /// Frees what has been acknowledged.
    ///
    /// Mirrors [`tcp_clean_rtx_queue`](srctree/net/ipv4/tcp_input.c).
    fn clean_rtx_queue<E: Env>(&mut self, env: &mut E) -> Cleaned {
        let una = self.snd_una;
        let mut out = Cleaned::default();
        while let Some(skb) = self.rtx_queue.first_mut() {
            let cb = *skb.tcp_cb();
            if cb.end_seq.after(una) {
                if cb.seq.before(una) && cb.pcount() > 1 {
                    // Part of a GSO packet: whole segments of it are done with.
                    let bytes = una.since(cb.seq);
                    let mss = u32::from(cb.gso_size).max(1);
                    let segs = bytes / mss;
                    let whole = segs.saturating_mul(mss);
                    // Without memory the whole packet stays until all of it is acknowledged.
                    if whole != 0 {
                        let Some(freed) = skb.trim_head(whole as usize) else {
                            break;
                        };
                        let len = skb.len() as u32;
                        let cb = skb.tcp_cb_mut();
                        let old = cb.pcount();
                        cb.seq = cb.seq.add(whole);
                        super::output::set_segs(cb, len, mss);
                        let (new, marks, sent_at) = (cb.pcount(), cb.marks, cb.sent_at);
                        self.adjust_pcount(old, new, marks);
                        env.wmem_uncharge(freed);
                        out.acked = out.acked.saturating_add(old.saturating_sub(new));
                        note_sample(&mut out, Instant::from_nanos(sent_at), marks);
                    }
                }
                break;
            }
            let Some(skb) = self.rtx_queue.pop_first() else {
                break;
            };
            let pcount = cb.pcount();
            out.acked = out.acked.saturating_add(pcount);
            self.packets_out = self.packets_out.saturating_sub(pcount);
            if cb.marks.has(Marks::RETRANS) {
                self.retrans_out = self.retrans_out.saturating_sub(pcount);
            }
            if cb.marks.has(Marks::LOST) {
                self.lost_out = self.lost_out.saturating_sub(pcount);
            }
            note_sample(&mut out, Instant::from_nanos(cb.sent_at), cb.marks);
            env.wmem_uncharge(skb.truesize());
            skb.consume();
        }
        if self.packets_out == 0 {
            self.sacked_out = 0;
        }
        out
    }

    /// Feeds the estimator with what the acknowledgement tells of the round trip. Returns the sample for
    /// congestion control, in microseconds: that of the youngest segment, which waited least for the peer
    /// to acknowledge it.
    ///
    /// RFC 6298, 3 (Karn) and RFC 7323, 4. Mirrors [`tcp_ack_update_rtt`](srctree/net/ipv4/tcp_input.c).
    fn update_rtt(&mut self, now: Instant, seg: &Segment, cleaned: &Cleaned) -> Option<u32> {
        if let (Some(sent), false) = (cleaned.first_sent, cleaned.retrans) {
            let us = now.since(sent).as_micros().min(u64::from(u32::MAX)) as u32;
            self.rtt_estimator(us);
            let sent = cleaned.last_sent?;
            return Some(now.since(sent).as_micros().clamp(1, 1 << 27) as u32);
        } else if seg.opts.saw_tstamp && seg.opts.tsecr != 0 {
            let ms = self.tsval(now).wrapping_sub(seg.opts.tsecr);
            // Half the clock's range away is a lie or a very old echo.
            if ms < 1 << 17 {
                let us = ms.max(1).saturating_mul(1000);
                self.rtt_estimator(us);
                return Some(us);
            }
        }
        None
    }

    /// Restarts the retransmission timer, or stops it when nothing is in flight.
    ///
    /// Mirrors [`tcp_rearm_rto`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    pub(super) fn rearm_rto(&mut self, now: Instant) {
        if self.packets_out == 0 {
            self.rto_at = None;
        } else {
            self.pending = Pending::Retrans;
            self.rto_at = Some(now.plus(self.backed_off_rto()));
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
}

/// Remembers the send times of the oldest and the youngest acknowledged segment.
#[inline]
fn note_sample(out: &mut Cleaned, sent: Instant, marks: Marks) {
    if marks.has(Marks::EVER_RETRANS) {
        out.retrans = true;
    } else {
        out.first_sent = out.first_sent.or(Some(sent));
        out.last_sent = Some(sent);
    }
}
