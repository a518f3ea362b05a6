// SPDX-License-Identifier: GPL-2.0
//! Acknowledgements: what the peer has received, and how much more it will take.
//!
//! An acknowledgement is worked off in this order, as in [`tcp_ack`](srctree/net/ipv4/tcp_input.c):
//! window, SACK blocks (`sacktag`), the retransmission queue, round-trip time, a tail loss probe's answer
//! (`tlp`), the state of recovery (`recovery`), timers, the congestion window; and only then is
//! something sent.

use super::{
    chrono::Kind,
    rate::Sample,
    recovery::Rexmit,
    segment::Segment,
    seq::SeqNum,
    skb::{Cb, Flags, Marks},
    sock::Sock,
    state::{CaState, Pending, State}, //
};
use crate::stack::{
    counters::Counter,
    drop_reason::DropReason,
    env::Env,
    time::{Duration, Instant}, //
};

/// What one acknowledgement told (`FLAG_*` of tcp_input.c).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told(u32);

impl Told {
    /// The segment carried data.
    pub(super) const DATA: Told = Told(0x01);
    /// It updated the window, changed or not.
    pub(super) const WIN_UPDATE: Told = Told(0x02);
    /// It acknowledged new data.
    pub(super) const DATA_ACKED: Told = Told(0x04);
    /// It acknowledged data that had been retransmitted.
    pub(super) const RETRANS_DATA_ACKED: Told = Told(0x08);
    /// It acknowledged our SYN.
    pub(super) const SYN_ACKED: Told = Told(0x10);
    /// A SACK block told something new.
    pub(super) const DATA_SACKED: Told = Told(0x20);
    /// A mark of congestion was echoed (RFC 3168).
    pub(super) const ECE: Told = Told(0x40);
    /// A retransmission was found to be lost.
    pub(super) const LOST_RETRANS: Told = Told(0x80);
    /// Data below `high_seq` arrived that were never retransmitted.
    pub(super) const ORIG_SACK_ACKED: Told = Told(0x200);
    /// SND.UNA advanced.
    pub(super) const SND_UNA_ADVANCED: Told = Told(0x400);
    /// It carries a D-SACK.
    pub(super) const DSACKING_ACK: Told = Told(0x800);
    /// The retransmission timer starts anew.
    pub(super) const SET_XMIT_TIMER: Told = Told(0x1000);
    /// The peer acknowledges up to data that it had told to have.
    pub(super) const SACK_RENEGING: Told = Told(0x2000);
    /// The D-SACK is for the tail loss probe.
    pub(super) const DSACK_TLP: Told = Told(0x8000);
    /// The peer may have put the acknowledgement off: its round-trip time says little.
    pub(super) const ACK_MAYBE_DELAYED: Told = Told(0x1_0000);

    /// It acknowledged something new.
    pub(super) const ACKED: Told = Told(0x14);
    /// It cannot be a duplicate.
    pub(super) const NOT_DUP: Told = Told(0x17);
    /// Congestion control must look at it.
    pub(super) const CA_ALERT: Told = Told(0x860);
    /// Something reached the peer.
    pub(super) const FORWARD_PROGRESS: Told = Told(0x34);

    /// Whether any of `other` holds.
    #[inline]
    pub(super) const fn has(self, other: Told) -> bool {
        self.0 & other.0 != 0
    }

    #[inline]
    pub(super) fn set(&mut self, other: Told) {
        self.0 |= other.0;
    }

    #[inline]
    pub(super) fn clear(&mut self, other: Told) {
        self.0 &= !other.0;
    }
}

/// An acknowledgement while it is worked off (`struct tcp_sacktag_state`, `struct rate_sample`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Ack {
    pub(super) told: Told,
    pub(super) now: Instant,
    /// SEG.ACK.
    pub(super) seq: SeqNum,
    /// SND.UNA before it.
    pub(super) prior_una: SeqNum,
    /// How far SACK had told before it.
    pub(super) prior_fack: SeqNum,
    /// The echo of our clock, if there is one.
    pub(super) tsecr: Option<u32>,
    /// The lowest number that was told of late and never retransmitted: reordering.
    pub(super) reord: SeqNum,
    /// When the first and the last segment that SACK newly told of were sent, if never retransmitted.
    pub(super) first_sackt: Option<Instant>,
    pub(super) last_sackt: Instant,
    /// Segments that SACK newly told of, those of D-SACK included.
    pub(super) sack_delivered: u32,
    /// Segments that had been delivered when the youngest delivered segment was sent; 0 if unknown.
    pub(super) prior_delivered: u32,
    /// When that one was sent, and where it ends.
    pub(super) last_sent: (Instant, SeqNum),
    /// Round-trip time of the youngest segment, in microseconds.
    pub(super) rtt_us: Option<u32>,
    /// What was measured of the rate of delivery.
    pub(super) rate: Sample,
}

impl Ack {
    fn new(now: Instant, seg: &Segment, sock: &Sock) -> Ack {
        Ack {
            told: Told::default(),
            now,
            seq: seg.ack_seq,
            prior_una: sock.snd_una,
            prior_fack: sock.snd_una,
            tsecr: if seg.opts.saw_tstamp && seg.opts.tsecr != 0 {
                Some(seg.opts.tsecr)
            } else {
                None
            },
            reord: sock.snd_nxt,
            first_sackt: None,
            last_sackt: Instant::ZERO,
            sack_delivered: 0,
            prior_delivered: 0,
            last_sent: (Instant::ZERO, SeqNum::default()),
            rtt_us: None,
            rate: Sample::default(),
        }
    }

    /// A segment reached the peer: what it tells of the rate of delivery.
    ///
    /// Mirrors [`tcp_rate_skb_delivered`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    pub(super) fn delivered(&mut self, cb: &Cb) {
        if cb.delivered_us == 0 {
            // SACK has told of it before.
            return;
        }
        let sent = Instant::from_nanos(cb.sent_at);
        let (last, end) = self.last_sent;
        if self.prior_delivered == 0 || sent_after(sent, last, cb.end_seq, end) {
            self.prior_delivered = cb.delivered;
            self.last_sent = (sent, cb.end_seq);
            self.rate.take(cb);
        }
    }
}

/// Whether one segment was sent after another; of two sent at the same moment the later numbers.
///
/// Mirrors [`tcp_skb_sent_after`](srctree/include/net/tcp.h).
#[inline]
pub(super) fn sent_after(t1: Instant, t2: Instant, end1: SeqNum, end2: SeqNum) -> bool {
    t1 > t2 || (t1 == t2 && end1.after(end2))
}

/// What the retransmission queue lost to one acknowledgement.
#[derive(Clone, Copy, Debug, Default)]
struct Cleaned {
    /// Segments newly acknowledged.
    acked: u32,
    /// Send times of the oldest and the youngest of them that were neither retransmitted nor told of
    /// by SACK before.
    first: Option<Instant>,
    last: Instant,
    /// The last packet went as a whole.
    fully: bool,
    /// The lowest such number.
    reord: Option<SeqNum>,
}

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
            let dup = !ack.told.has(Told(
                Told::SND_UNA_ADVANCED.0 | Told::NOT_DUP.0 | Told::DSACKING_ACK.0,
            ));
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

    /// Frees what has been acknowledged, and learns from it.
    ///
    /// Mirrors [`tcp_clean_rtx_queue`](srctree/net/ipv4/tcp_input.c).
    fn clean_rtx_queue<E: Env>(&mut self, env: &mut E, ack: &mut Ack) {
        let una = self.snd_una;
        let prior_sacked = self.sacked_out;
        let mut out = Cleaned {
            fully: true,
            ..Cleaned::default()
        };
        while let Some(skb) = self.rtx_queue.first_mut() {
            let cb = *skb.tcp_cb();
            if cb.end_seq.after(una) {
                let Some(segs) = self.tso_acked(env, &cb) else {
                    break;
                };
                out.fully = false;
                self.segment_acked(ack, &mut out, &cb, segs);
                break;
            }
            let Some(mut skb) = self.rtx_queue.pop_first() else {
                break;
            };
            let segs = cb.pcount();
            self.packets_out = self.packets_out.saturating_sub(segs);
            if cb.marks.has(Marks::RETRANS) {
                self.retrans_out = self.retrans_out.saturating_sub(segs);
            }
            if cb.marks.has(Marks::SACKED) {
                self.sacked_out = self.sacked_out.saturating_sub(segs);
            }
            if cb.marks.has(Marks::LOST) {
                self.lost_out = self.lost_out.saturating_sub(segs);
            }
            self.segment_acked(ack, &mut out, &cb, segs);
            if cb.tstamp == 2 {
                env.ack_timestamp(&mut skb, cb.ack_seq.since(self.tskey_base));
            }
            env.wmem_uncharge(skb.truesize());
            skb.consume();
        }
        let head = self.rtx_queue.first().map(|skb| *skb.tcp_cb());
        if head.is_none() {
            self.chrono_stop(env.now(), Kind::Busy);
        }
        if let Some(head) = head {
            if head.marks.has(Marks::SACKED) {
                ack.told.set(Told::SACK_RENEGING);
            }
        }
        self.update_rtt(env, ack, &out, prior_sacked, head.as_ref());
        if ack.told.has(Told::ACKED) {
            ack.told.set(Told::SET_XMIT_TIMER);
            if !self.sack_ok {
                self.remove_reno_sacks(out.acked);
                if ack.told.has(Told::RETRANS_DATA_ACKED) {
                    ack.told.clear(Told::ORIG_SACK_ACKED);
                }
            } else if let Some(reord) = out.reord {
                // A hole was filled by what was never retransmitted: reordering.
                if reord.before(ack.prior_fack) {
                    self.check_sack_reordering(env, reord, false);
                }
            }
        }
        self.pkts_acked(env, ack, out.acked);
    }

    /// `segs` segments of a packet are acknowledged: what that tells.
    #[inline]
    fn segment_acked(&mut self, ack: &mut Ack, out: &mut Cleaned, cb: &Cb, segs: u32) {
        let sent = Instant::from_nanos(cb.sent_at);
        if cb.marks.has(Marks::RETRANS_ONCE) {
            ack.told.set(Told::RETRANS_DATA_ACKED);
        } else if !cb.marks.has(Marks::SACKED) {
            out.first = out.first.or(Some(sent));
            out.last = sent;
            out.reord = out.reord.or(Some(cb.seq));
            if !cb.end_seq.after(self.high_seq) {
                ack.told.set(Told::ORIG_SACK_ACKED);
            }
        }
        if !cb.marks.has(Marks::SACKED) && self.sack_ok {
            self.count_delivered(segs);
            if !self.spurious_retrans(ack, cb) {
                self.rack_advance(ack.now, cb);
            }
        }
        out.acked = out.acked.saturating_add(segs);
        ack.delivered(cb);
        if cb.flags.has(Flags::SYN) {
            ack.told.set(Told::SYN_ACKED);
            self.retrans_stamp = None;
        } else {
            ack.told.set(Told::DATA_ACKED);
        }
    }

    /// Takes the acknowledged segments off the front of a GSO packet. `None` if there is no whole one,
    /// or no memory: then the packet stays until all of it is acknowledged.
    ///
    /// Mirrors [`tcp_tso_acked`](srctree/net/ipv4/tcp_input.c).
    fn tso_acked<E: Env>(&mut self, env: &mut E, cb: &Cb) -> Option<u32> {
        let una = self.snd_una;
        if !cb.seq.before(una) || cb.pcount() == 1 {
            return None;
        }
        let mss = u32::from(cb.gso_size).max(1);
        let whole = (una.since(cb.seq) / mss).saturating_mul(mss);
        if whole == 0 {
            return None;
        }
        let skb = self.rtx_queue.first_mut()?;
        let freed = skb.trim_head(whole as usize)?;
        let len = skb.len() as u32;
        let new = skb.tcp_cb_mut();
        new.seq = new.seq.add(whole);
        super::output::set_segs(new, len, mss);
        let (pcount, marks) = (new.pcount(), new.marks);
        self.adjust_pcount(cb.pcount(), pcount, marks);
        env.wmem_uncharge(freed);
        Some(cb.pcount().saturating_sub(pcount))
    }

    /// Feeds the estimator with what the acknowledgement tells of the round trip.
    ///
    /// RFC 6298, 3 (Karn), and RFC 7323, 4: the time of a segment that was never retransmitted, else of
    /// what SACK told, else the echoed timestamp. Mirrors
    /// [`tcp_ack_update_rtt`](srctree/net/ipv4/tcp_input.c).
    fn update_rtt<E: Env>(
        &mut self,
        env: &E,
        ack: &mut Ack,
        cleaned: &Cleaned,
        prior_sacked: u32,
        head: Option<&Cb>,
    ) {
        let us = |sent: Instant| ack.now.since(sent).as_micros().clamp(1, 1 << 27) as u32;
        let mut seq_rtt = None;
        let mut ca_rtt = None;
        if let (Some(first), false) = (cleaned.first, ack.told.has(Told::RETRANS_DATA_ACKED)) {
            seq_rtt = Some(us(first));
            ca_rtt = Some(us(cleaned.last));
            if cleaned.acked == 1
                && cleaned.fully
                && prior_sacked == 0
                && ack.seq.since(ack.prior_una) < u32::from(self.mss_cache)
                && ack.prior_delivered.wrapping_add(1) == self.stats.delivered
                && !ack.told.has(Told::CA_ALERT)
                && !ack.told.has(Told::SYN_ACKED)
            {
                ack.told.set(Told::ACK_MAYBE_DELAYED);
            }
        }
        let sack_rtt = ack.first_sackt.map(us);
        if sack_rtt.is_some() {
            ca_rtt = Some(us(ack.last_sackt));
        }
        let mut rtt = seq_rtt.or(sack_rtt);
        if rtt.is_none() && ack.told.has(Told::ACKED) {
            if let Some(tsecr) = ack.tsecr {
                let ms = self.tsval(ack.now).wrapping_sub(tsecr);
                // Half the clock's range away is a lie or a very old echo.
                if ms < 1 << 17 {
                    rtt = Some(ms.max(1).saturating_mul(1000));
                    ca_rtt = rtt;
                }
            }
        }
        ack.rtt_us = ca_rtt;
        if let (Some(rtt), Some(ca_rtt)) = (rtt, ca_rtt) {
            self.update_rtt_min(env, ca_rtt, ack.told.has(Told::ACK_MAYBE_DELAYED));
            self.rtt_estimator(rtt);
            // RFC 6298, 5.7: the doubled timeout holds until a new sample.
            self.backoff = 0;
        }
        // A SACK of what was sent before the head's last (re)transmission does not push its timeout
        // back, or the timeout would run away in recovery.
        if !ack.told.has(Told::ACKED) && rtt.is_some() {
            if let (Some(sack_rtt), Some(head)) = (sack_rtt, head) {
                if sack_rtt > us(Instant::from_nanos(head.sent_at)) {
                    ack.told.set(Told::SET_XMIT_TIMER);
                }
            }
        }
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

    /// Whether the acknowledgement of a retransmitted segment was for its first transmission.
    ///
    /// Mirrors [`tcp_skb_spurious_retrans`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    fn spurious_retrans(&self, ack: &Ack, cb: &Cb) -> bool {
        // The echo is older than the retransmission: it was the original that arrived.
        cb.marks.has(Marks::RETRANS_ONCE) && self.tsecr_before(ack, Instant::from_nanos(cb.sent_at))
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
