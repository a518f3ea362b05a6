// SPDX-License-Identifier: GPL-2.0
//! The retransmission queue shrinks: what an acknowledgement frees, and the round-trip time that it tells.

use super::{
    chrono::Kind,
    seq::SeqNum,
    skb::{Cb, Flags, Marks},
    sock::Sock,
    told::{Ack, Told}, //
};
use crate::stack::{
    env::Env,
    time::Instant, //
};

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
    /// Frees what has been acknowledged, and learns from it.
    ///
    /// Mirrors [`tcp_clean_rtx_queue`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn clean_rtx_queue<E: Env>(&mut self, env: &mut E, ack: &mut Ack) {
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

    /// Whether the acknowledgement of a retransmitted segment was for its first transmission.
    ///
    /// Mirrors [`tcp_skb_spurious_retrans`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    fn spurious_retrans(&self, ack: &Ack, cb: &Cb) -> bool {
        // The echo is older than the retransmission: it was the original that arrived.
        cb.marks.has(Marks::RETRANS_ONCE) && self.tsecr_before(ack, Instant::from_nanos(cb.sent_at))
    }
}
