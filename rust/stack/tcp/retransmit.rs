// SPDX-License-Identifier: GPL-2.0
//! Sending again what was sent before: one segment, or all that is marked lost.

use super::{
    ecn,
    output::set_segs,
    seq::SeqNum,
    skb::Marks,
    sock::Sock,
    state::{CaState, Pending}, //
};
use crate::platform::RtxQueue;
use crate::stack::{
    counters::Counter,
    env::Env,
    errno::Errno, //
};

impl Sock {
    /// Sends the segment at `seq` once more, at most `segs` full segments of it. Returns how many went.
    ///
    /// # Errors
    ///
    /// `EBUSY` while an earlier copy has not left this host, `EAGAIN` if it lies outside the window,
    /// `ENOMEM`, or what the layers below say.
    ///
    /// Mirrors [`__tcp_retransmit_skb`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn retransmit<E: Env>(
        &mut self,
        env: &mut E,
        seq: SeqNum,
        segs: u32,
    ) -> Result<u32, Errno> {
        let seq = seq.later(self.snd_una);
        if self.still_in_host_queue(env, seq) {
            return Err(Errno::EBUSY);
        }
        let skb = self.rtx_queue.at_or_before(seq).ok_or(Errno::EINVAL)?;
        if skb.tcp_cb().seq.before(self.snd_una) {
            self.trim_acked(env)?;
        }
        self.sync_mss(env);
        let mss = self.current_mss();
        // The urgent pointer counts from each segment's own number.
        let segs = if self.urg_mode() { 1 } else { segs.max(1) };
        let (una, wnd_end) = (self.snd_una, self.wnd_end());
        let skb = self.rtx_queue.at_or_before(seq).ok_or(Errno::EINVAL)?;
        let cb = *skb.tcp_cb();
        let mut avail = wnd_end.diff(cb.seq);
        if avail <= 0 {
            // A window that shrank: only the segment at its left edge may go, as a probe.
            if cb.seq != una {
                return Err(Errno::EAGAIN);
            }
            avail = mss as i32;
        }
        let avail = avail.unsigned_abs();
        let mut limit = mss.saturating_mul(segs);
        if limit > avail {
            limit = avail.saturating_sub(avail.checked_rem(mss).unwrap_or(0));
            if limit == 0 {
                limit = avail;
            }
        }
        let len = skb.len() as u32;
        if len > limit {
            let mut queue = core::mem::take(&mut self.rtx_queue);
            let cut = self.fragment_sent(env, &mut queue, cb.seq, limit, mss);
            self.rtx_queue = queue;
            cut?;
        } else if len > mss || cb.pcount > 1 {
            set_segs(skb.tcp_cb_mut(), len, mss);
            let new = skb.tcp_cb().pcount();
            self.adjust_pcount(cb.pcount(), new, cb.marks);
            self.adjust_reno(cb.pcount(), new);
        }
        let now = env.now();
        let delivered = self.stats.delivered;
        let skb = self.rtx_queue.at_or_before(seq).ok_or(Errno::EINVAL)?;
        let len = skb.len() as u32;
        // Whatever comes of it: an acknowledgement gives no clean sample of the round trip any more.
        let cb = skb.tcp_cb_mut();
        cb.marks.set(Marks::EVER_RETRANS);
        cb.flags = ecn::clear_syn(env, cb.flags);
        let cb = *skb.tcp_cb();
        let segs = cb.pcount();
        let clone = skb.clone_for_xmit().ok_or(Errno::ENOMEM)?;
        self.stats.total_retrans = self.stats.total_retrans.wrapping_add(segs);
        self.stats.bytes_retrans = self.stats.bytes_retrans.wrapping_add(u64::from(len));
        env.count_n(Counter::RetransSegs, segs);
        if cb.flags.has(super::Flags::SYN) {
            env.count(Counter::TcpSynRetrans);
        }
        if let Err(e) = self.transmit(env, clone) {
            env.count(Counter::TcpRetransFail);
            return Err(e);
        }
        if len != 0 {
            self.stats.data_sent(segs, len);
        }
        if let Some(skb) = self.rtx_queue.at_or_before(cb.seq) {
            let cb = skb.tcp_cb_mut();
            cb.sent_at = now.as_nanos();
            cb.delivered = delivered;
            cb.rate_sent(&mut self.rate, self.packets_out, now);
        }
        self.rtx_queue.resent(cb.seq);
        Ok(segs)
    }

    /// Whether the last copy of the segment at `seq` has not left this host yet: sending it again would be in
    /// vain. When it has, [`Sock::tsq_handler`] is called.
    ///
    /// Mirrors [`skb_still_in_host_queue`](srctree/net/ipv4/tcp_output.c).
    fn still_in_host_queue<E: Env>(&mut self, env: &mut E, seq: SeqNum) -> bool {
        let mut is_busy = || {
            let skb = self.rtx_queue.at_or_before(seq);
            skb.is_some_and(|skb| skb.fclone_busy())
        };
        if !is_busy() {
            return false;
        }
        // It may leave before anybody can see that this is waited for.
        let _ = env.throttle(0);
        if !is_busy() {
            return false;
        }
        env.count(Counter::TcpSpuriousRtxHostQueues);
        true
    }

    /// The same as a part of recovery: counted as in flight once more.
    ///
    /// Mirrors [`tcp_retransmit_skb`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn retransmit_skb<E: Env>(
        &mut self,
        env: &mut E,
        seq: SeqNum,
        segs: u32,
    ) -> Result<u32, Errno> {
        let sent = self.retransmit(env, seq, segs);
        let seq = seq.later(self.snd_una);
        let mut pcount = 1;
        if let Some(skb) = self.rtx_queue.at_or_before(seq) {
            let cb = skb.tcp_cb_mut();
            pcount = cb.pcount();
            if sent.is_ok() && !cb.marks.has(Marks::RETRANS) {
                cb.marks.set(Marks::RETRANS);
                self.retrans_out = self.retrans_out.saturating_add(pcount);
            }
        }
        if self.retrans_stamp.is_none() {
            self.retrans_stamp = Some(env.now());
        }
        self.undo_retrans = self.undo_retrans.max(0).saturating_add(pcount as i32);
        sent
    }

    /// Sends again what is marked lost, the lowest numbers first, as the congestion window allows.
    ///
    /// Mirrors [`tcp_xmit_retransmit_queue`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn xmit_retransmit_queue<E: Env>(&mut self, env: &mut E) {
        let mut rearm = false;
        let head = self.rtx_queue.first().map(|skb| skb.tcp_cb().seq);
        let mut at = self.retransmit_hint.unwrap_or(self.snd_una);
        while self.retrans_out < self.lost_out {
            let quota = self.snd_cwnd.saturating_sub(self.packets_in_flight());
            if quota == 0 {
                break;
            }
            if self.pacing_check(env) {
                break;
            }
            let Some((cb, truesize)) = self.next_in_queue(at) else {
                break;
            };
            self.retransmit_hint = Some(cb.seq);
            if cb.marks.has(Marks::LOST) && !cb.marks.has(Marks::RETRANS) {
                if self.small_queue_check(env, truesize, 1) {
                    break;
                }
                let segs = quota.min(u32::from(self.gso_segs).max(1));
                let Ok(sent) = self.retransmit_skb(env, cb.seq, segs) else {
                    break;
                };
                env.count(if self.ca_state == CaState::Loss {
                    Counter::TcpSlowStartRetrans
                } else {
                    Counter::TcpFastRetrans
                });
                if self.in_cwnd_reduction() {
                    self.prr_out = self.prr_out.saturating_add(sent);
                }
                if Some(cb.seq) == head && self.pending != Pending::ReoTimeout {
                    rearm = true;
                }
            }
            // It may have been cut: what follows begins where it ends now.
            at = match self.rtx_queue.at_or_before(cb.seq) {
                Some(skb) => skb.tcp_cb().end_seq,
                None => cb.end_seq,
            };
            self.retransmit_hint = Some(at);
        }
        if rearm {
            self.pending = Pending::Retrans;
            let rto = self.backed_off_rto().plus(self.pacing_delay(env.now()));
            self.rto_at = Some(env.now().plus(rto));
        }
    }

    /// The packet of the retransmission queue that holds `at`, or the first behind it, and its true size.
    fn next_in_queue(&mut self, at: SeqNum) -> Option<(super::Cb, usize)> {
        if let Some(skb) = self.rtx_queue.at_or_before(at) {
            let cb = *skb.tcp_cb();
            if cb.end_seq.after(at) {
                return Some((cb, skb.truesize()));
            }
        }
        self.rtx_queue
            .after(at)
            .map(|skb| (*skb.tcp_cb(), skb.truesize()))
    }

    /// Cuts off what is acknowledged of the first sent segment: the peer took a part of it, and what
    /// it has must not come again (a FIN behind old data is lost on some).
    ///
    /// Mirrors [`tcp_trim_head`](srctree/net/ipv4/tcp_output.c).
    fn trim_acked<E: Env>(&mut self, env: &mut E) -> Result<(), Errno> {
        let una = self.snd_una;
        let mss = u32::from(self.mss_cache);
        let Some(skb) = self.rtx_queue.first_mut() else {
            return Ok(());
        };
        let old = *skb.tcp_cb();
        if !old.seq.before(una) || !una.before(old.end_seq) {
            return Ok(());
        }
        let freed = skb
            .trim_head(una.since(old.seq) as usize)
            .ok_or(Errno::ENOMEM)?;
        let len = skb.len() as u32;
        let cb = skb.tcp_cb_mut();
        // Still the first of the queue: nothing before `una` is in it.
        cb.seq = una;
        if old.pcount() > 1 {
            set_segs(cb, len, mss);
        }
        let (new, marks) = (cb.pcount(), cb.marks);
        self.adjust_pcount(old.pcount(), new, marks);
        env.wmem_uncharge(freed);
        Ok(())
    }

    /// Cuts the sent segment that begins at `seq` behind its first `len` bytes, into segments of `mss` bytes.
    /// `queue` is this connection's retransmission queue, taken out of it for the time.
    ///
    /// Mirrors [`tcp_fragment`](srctree/net/ipv4/tcp_output.c) with `TCP_FRAG_IN_RTX_QUEUE`.
    pub(super) fn fragment_sent<E: Env>(
        &mut self,
        env: &mut E,
        queue: &mut RtxQueue,
        seq: SeqNum,
        len: u32,
        mss: u32,
    ) -> Result<(), Errno> {
        // CVE-2019-11478: SACKs and small windows must not cut the queue into dust.
        let limit = env.sndbuf().saturating_add(2 * 65_536);
        let at_end =
            |skb: Option<&crate::platform::SkBuff>| skb.is_some_and(|skb| skb.tcp_cb().seq == seq);
        if env.wmem_queued() >> 1 > limit && !at_end(queue.first()) && !at_end(queue.last()) {
            env.count(Counter::TcpWqueueTooBig);
            return Err(Errno::ENOMEM);
        }
        let skb = queue.at_or_before(seq).ok_or(Errno::EINVAL)?;
        let old = *skb.tcp_cb();
        let rest = Self::fragment(env, skb, len, mss).ok_or(Errno::ENOMEM)?;
        let new = *skb.tcp_cb();
        let sum = new.pcount().saturating_add(rest.tcp_cb().pcount());
        self.adjust_pcount(old.pcount(), sum, old.marks);
        self.adjust_reno(old.pcount(), sum);
        if let Err(dup) = queue.insert_rest(rest, new.seq) {
            // Two segments cannot begin at one number; the charge goes with the packet.
            env.wmem_uncharge(dup.truesize());
        }
        Ok(())
    }

    /// A sent segment counts as `new` segments instead of `old`.
    ///
    /// Mirrors [`tcp_adjust_pcount`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn adjust_pcount(&mut self, old: u32, new: u32, marks: Marks) {
        let adjust = |n: &mut u32| *n = n.saturating_add(new).saturating_sub(old);
        if old == new {
            return;
        }
        adjust(&mut self.packets_out);
        if marks.has(Marks::SACKED) {
            adjust(&mut self.sacked_out);
        }
        if marks.has(Marks::RETRANS) {
            adjust(&mut self.retrans_out);
        }
        if marks.has(Marks::LOST) {
            adjust(&mut self.lost_out);
        }
    }

    /// Without SACK, segments that are cut anew into fewer were counted by duplicates in their old size.
    fn adjust_reno(&mut self, old: u32, new: u32) {
        if !self.sack_ok {
            self.sacked_out = self.sacked_out.saturating_sub(old.saturating_sub(new));
        }
    }
}
