// SPDX-License-Identifier: GPL-2.0
//! The write queue onto the wire: what may be sent now, in which pieces, with which header.

use super::{
    options::OutOptions,
    seq::SeqNum,
    skb::{Cb, Flags, Marks},
    sock::{Pending, Sock, State},
    HEADER_LEN,
    TSTAMP_ALIGNED, //
};
use crate::platform::Skb;
use crate::stack::{
    counters::Counter,
    env::Env,
    errno::Errno,
    wire::checksum, //
};

/// Offset of the checksum in the header, in bytes.
const CHECK_OFFSET: u16 = 16;
/// Length of an IPv4 header without options, in bytes.
const IP_HEADER_LEN: u32 = 20;
/// With more segments than that at hand, sending is not put off (`tcp_max_tso_deferred_mss`).
const MAX_DEFERRED_SEGS: u32 = 3;

impl Sock {
    /// Takes a new path MTU or GSO limit into account.
    ///
    /// Mirrors [`tcp_sync_mss`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn sync_mss<E: Env>(&mut self, env: &mut E) {
        let Some(path) = env.path() else { return };
        if path.mtu == self.pmtu && path.gso_max_size == self.gso_max_size {
            return;
        }
        self.pmtu = path.mtu;
        self.gso_max_size = path.gso_max_size;
        let options = if self.ts_ok { TSTAMP_ALIGNED } else { 0 } as u32;
        // 3.7.1: Eff.snd.MSS = min(SendMSS + 20, MMS_S) - TCPhdrsize - IPoptionsize.
        let mss = path
            .mtu
            .saturating_sub(IP_HEADER_LEN + HEADER_LEN as u32)
            .min(u32::from(self.mss_clamp))
            .max(env.sysctl().tcp_min_snd_mss())
            .saturating_sub(options)
            .max(8);
        // A window that never exceeds half the peer's largest keeps the pipe from stalling on one segment.
        let mss = self.bound_to_half_wnd(mss).min(65_000);
        self.mss_cache = mss as u16;
        let segs = path.gso_max_size.checked_div(mss).unwrap_or(1);
        self.gso_segs = segs.clamp(1, u32::from(path.gso_max_segs.max(1))) as u16;
    }

    /// At most half of the largest window that the peer has offered, if that is small.
    ///
    /// Mirrors [`tcp_bound_to_half_wnd`](srctree/include/net/tcp.h).
    fn bound_to_half_wnd(&self, size: u32) -> u32 {
        let cutoff = if self.max_window > 536 {
            self.max_window >> 1
        } else {
            self.max_window
        };
        if cutoff != 0 && size > cutoff {
            cutoff.max(68 - IP_HEADER_LEN - HEADER_LEN as u32)
        } else {
            size
        }
    }

    /// Payload of a full segment on the present path, and how much to gather for one GSO packet.
    ///
    /// Mirrors [`tcp_send_mss`](srctree/net/ipv4/tcp.c).
    #[inline]
    pub(super) fn send_mss<E: Env>(&mut self, env: &mut E) -> (u32, u32) {
        self.sync_mss(env);
        let mss = u32::from(self.mss_cache);
        let goal = mss.saturating_mul(u32::from(self.gso_segs));
        let bound = self.bound_to_half_wnd(goal);
        (mss, if bound < goal { bound.max(mss) } else { goal })
    }

    /// The right edge of the peer's window.
    #[inline]
    pub(super) fn wnd_end(&self) -> SeqNum {
        self.snd_una.add(self.snd_wnd)
    }

    /// Segments that the congestion window allows now.
    ///
    /// Mirrors [`tcp_cwnd_test`](srctree/net/ipv4/tcp_output.c).
    #[inline]
    fn cwnd_quota(&self) -> u32 {
        let in_flight = self.packets_in_flight();
        let left = self.snd_cwnd.saturating_sub(in_flight);
        // Never more than half the window in one packet, so that ACKs keep coming.
        left.min((self.snd_cwnd >> 1).max(1))
    }

    /// Whether Nagle's algorithm, with Minshall's change, holds a `partial` segment back.
    ///
    /// RFC 896 and 3.7.4, SHLD-7; Minshall: only while an earlier *small* segment is unacknowledged.
    /// Mirrors [`tcp_nagle_check`](srctree/net/ipv4/tcp_output.c).
    #[inline]
    fn nagle_holds(&self, partial: bool, push: bool) -> bool {
        partial
            && !push
            && (self.nonagle.cork
                || (!self.nonagle.off
                    && self.packets_out != 0
                    && self.snd_sml.after(self.snd_una)
                    && !self.snd_sml.after(self.snd_nxt)))
    }

    /// Whether a packet that is not full is better kept until more data or window come, because more
    /// ACKs are on their way.
    ///
    /// Mirrors [`tcp_tso_should_defer`](srctree/net/ipv4/tcp_output.c).
    fn tso_should_defer<E: Env>(
        &self,
        env: &E,
        cb: &Cb,
        len: u32,
        is_tail: bool,
        quota: u32,
    ) -> bool {
        if cb.flags.has(Flags::FIN) || self.ca_state as u8 >= super::CaState::Recovery as u8 {
            return false;
        }
        let in_flight = self.packets_in_flight();
        if in_flight == 0 {
            return false;
        }
        let mss = u32::from(self.mss_cache);
        let send_win = self.wnd_end().since(cb.seq);
        let cong_win = self.snd_cwnd.saturating_sub(in_flight).saturating_mul(mss);
        let limit = send_win.min(cong_win);
        let full = u32::from(self.gso_segs).saturating_mul(mss);
        if limit >= full || (!is_tail && limit >= len) {
            return false;
        }
        let window = self.snd_wnd.min(self.snd_cwnd.saturating_mul(mss));
        let enough = match u32::from(env.sysctl().tcp_tso_win_divisor()) {
            0 => limit > MAX_DEFERRED_SEGS.saturating_mul(mss),
            n => limit >= window.checked_div(n).unwrap_or(0),
        };
        if enough {
            return false;
        }
        // What holds us back is a window that an ACK will open, not want of data.
        len > limit.min(quota.saturating_mul(mss))
    }

    /// Sends what may be sent of the write queue. With `push`, Nagle is not asked; with `one`, a
    /// single packet goes. Returns whether data wait and nothing is in flight, so that nothing will
    /// clock them out: the peer's window must then be probed.
    ///
    /// Mirrors [`tcp_write_xmit`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn write_xmit<E: Env>(&mut self, env: &mut E, push: bool, one: bool) -> bool {
        let mss = u32::from(self.mss_cache);
        let mut sent = false;
        let mut cwnd_limited = false;
        loop {
            let is_tail = self.write_queue.len() == 1;
            let Some(skb) = self.write_queue.front() else {
                break;
            };
            let quota = self.cwnd_quota();
            if quota == 0 {
                cwnd_limited = true;
                break;
            }
            let cb = *skb.tcp_cb();
            let len = skb.len() as u32;
            let first_end = if len > mss {
                cb.seq.add(mss)
            } else {
                cb.end_seq
            };
            if first_end.after(self.wnd_end()) {
                break;
            }
            let partial_tail = len < mss && is_tail;
            if len <= mss {
                if partial_tail
                    && !cb.flags.has(Flags::FIN)
                    && self.nagle_holds(true, push || self.nonagle.push)
                {
                    break;
                }
            } else if !one && !push && self.tso_should_defer(env, &cb, len, is_tail, quota) {
                break;
            }
            let limit = self.split_point(&cb, len, mss, quota, is_tail, push);
            let Some(mut skb) = self.write_queue.pop_front() else {
                break;
            };
            if len > limit {
                match self.fragment(env, &mut skb, limit) {
                    Some(rest) => self.write_queue.push_front(rest),
                    None => {
                        self.write_queue.push_front(skb);
                        break;
                    }
                }
            }
            if let Err(skb) = self.send_new(env, skb, mss) {
                self.write_queue.push_front(skb);
                break;
            }
            sent = true;
            if one {
                break;
            }
        }
        cwnd_limited |= self.packets_in_flight() >= self.snd_cwnd;
        if sent || cwnd_limited {
            self.cwnd_validate(env, cwnd_limited);
        }
        if sent {
            return false;
        }
        self.packets_out == 0 && !self.write_queue.is_empty()
    }

    /// How much of a segment of `len` bytes may leave in one packet: whole segments only, unless the
    /// rest is allowed out as well.
    ///
    /// Mirrors [`tcp_mss_split_point`](srctree/net/ipv4/tcp_output.c).
    #[inline]
    fn split_point(
        &self,
        cb: &Cb,
        len: u32,
        mss: u32,
        quota: u32,
        is_tail: bool,
        push: bool,
    ) -> u32 {
        if len <= mss {
            return len;
        }
        if self.urg_mode() {
            // Every segment has an urgent pointer of its own.
            return mss;
        }
        let window = self.wnd_end().since(cb.seq);
        let max = mss.saturating_mul(quota.min(u32::from(self.gso_segs)));
        if max <= window && !is_tail && max <= len {
            return max;
        }
        let needed = len.min(window);
        if max <= needed {
            return max;
        }
        let partial = needed.checked_rem(mss).unwrap_or(0);
        // The remainder follows the rules of a small segment of its own.
        if partial != 0
            && needed > partial
            && (needed < len || self.nagle_holds(true, push || self.nonagle.push))
        {
            return needed.wrapping_sub(partial);
        }
        needed
    }

    /// Sends one new segment (or GSO packet) and moves it to the retransmission queue. The segment
    /// comes back when there is no memory for the clone.
    pub(super) fn send_new<E: Env>(
        &mut self,
        env: &mut E,
        mut skb: Skb,
        mss: u32,
    ) -> Result<(), Skb> {
        let len = skb.len() as u32;
        let now = env.now();
        let cb = skb.tcp_cb_mut();
        set_segs(cb, len, mss);
        cb.sent_at = now.as_nanos();
        let cb = *cb;
        let Some(clone) = skb.clone_for_xmit() else {
            return Err(skb);
        };
        // A refusal by a queue below is congestion, not an error of the connection: the segment
        // counts as sent and its timer brings it back.
        let _ = self.transmit(env, clone);
        self.event_new_data_sent(env, &cb);
        if len < cb.pcount().saturating_mul(mss) {
            // Minshall: a small segment is now in flight.
            self.snd_sml = cb.end_seq;
        }
        self.stats.data_segs_out = self.stats.data_segs_out.wrapping_add(cb.pcount());
        self.stats.bytes_sent = self.stats.bytes_sent.wrapping_add(u64::from(len));
        if let Err(dup) = self.rtx_queue.insert(skb) {
            // Two segments cannot begin at one number; if they did, the newer one must not be lost.
            env.wmem_uncharge(dup.truesize());
        }
        Ok(())
    }

    /// Books a first transmission.
    ///
    /// Mirrors [`tcp_event_new_data_sent`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn event_new_data_sent<E: Env>(&mut self, env: &mut E, cb: &Cb) {
        let prior = self.packets_out;
        self.snd_nxt = cb.end_seq;
        self.packets_out = self.packets_out.saturating_add(cb.pcount());
        if prior == 0 || self.pending == Pending::Probe0 {
            self.rearm_rto(env.now());
        }
        self.lsndtime = env.now();
    }

    /// Cuts `skb` behind its first `len` bytes; the rest is returned, charged, and stands nowhere yet.
    ///
    /// Mirrors [`tcp_fragment`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn fragment<E: Env>(&mut self, env: &mut E, skb: &mut Skb, len: u32) -> Option<Skb> {
        let before = skb.truesize();
        let mut rest = skb.split(len as usize)?;
        let cb = skb.tcp_cb_mut();
        let cut = cb.seq.add(len);
        let old = *cb;
        cb.end_seq = cut;
        cb.flags = old.flags.without(Flags::FIN.and(Flags::PSH));
        cb.eor = 0;
        let rcb = rest.tcp_cb_mut();
        *rcb = old;
        rcb.seq = cut;
        rcb.flags = old.flags.without(Flags::SYN);
        if old.pcount != 0 {
            let mss = u32::from(old.gso_size).max(1);
            let total = old.end_seq.since(old.seq);
            set_segs(skb.tcp_cb_mut(), len, mss);
            set_segs(rest.tcp_cb_mut(), total.saturating_sub(len), mss);
        }
        let after = skb.truesize().saturating_add(rest.truesize());
        if after > before {
            env.wmem_charge(after.wrapping_sub(before));
        } else {
            env.wmem_uncharge(before.wrapping_sub(after));
        }
        Some(rest)
    }

    /// The options of a segment with `flags`.
    ///
    /// Mirrors [`tcp_established_options`, `tcp_syn_options`](srctree/net/ipv4/tcp_output.c).
    #[inline]
    fn out_options<E: Env>(&self, env: &E, flags: Flags) -> OutOptions {
        let tstamp = if self.ts_ok {
            Some((self.tsval(env.now()), self.ts_recent))
        } else {
            None
        };
        if flags.has(Flags::SYN) {
            OutOptions {
                mss: self.advmss,
                wscale: if self.wscale_ok {
                    Some(self.rcv_wscale)
                } else {
                    None
                },
                tstamp,
            }
        } else {
            OutOptions {
                tstamp,
                ..OutOptions::default()
            }
        }
    }

    /// Gives a segment its header and hands it to the IP layer. `skb` holds the payload and is ours to
    /// give away; its control block says sequence numbers and flags.
    ///
    /// Mirrors [`__tcp_transmit_skb`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn transmit<E: Env>(&mut self, env: &mut E, mut skb: Skb) -> Result<(), Errno> {
        let cb = *skb.tcp_cb();
        let opts = self.out_options(env, cb.flags);
        let window = if cb.flags.has(Flags::SYN) {
            // RFC 7323, 2.2: the window of a SYN is not scaled.
            self.rcv_wnd.min(65_535) as u16
        } else {
            self.select_window(env)
        };
        let ack = cb.flags.has(Flags::ACK);
        let urg_ptr = self.urg_ptr(cb.seq);
        let header = Header {
            seq: cb.seq,
            ack: if ack { self.rcv_nxt } else { SeqNum::new(0) },
            flags: if urg_ptr.is_some() {
                cb.flags.and(Flags::URG)
            } else {
                cb.flags
            },
            window,
            urg_ptr: urg_ptr.unwrap_or(0),
        };
        let payload = skb.len();
        header
            .push(&mut skb, self.id, &opts)
            .ok_or(Errno::ENOBUFS)?;
        // Also for one segment: the payload's memory may still say what an earlier, longer copy was.
        skb.set_gso_tcpv4(cb.gso_size, cb.pcount);
        if ack {
            self.event_ack_sent();
        }
        if payload != 0 {
            self.event_data_sent(env);
        }
        self.stats.segs_out = self.stats.segs_out.wrapping_add(cb.pcount());
        env.count(Counter::OutSegs);
        let sent = env.queue_xmit(skb);
        if sent.is_err() {
            self.enter_cwr(env.now());
        }
        sent
    }

    /// Retransmits the segment that begins at `seq`, at most `segs` full segments of it.
    ///
    /// # Errors
    ///
    /// `EAGAIN` while an earlier copy has not left this host, `ENOMEM`, or what the layers below say.
    ///
    /// Mirrors [`__tcp_retransmit_skb`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn retransmit_skb<E: Env>(
        &mut self,
        env: &mut E,
        seq: SeqNum,
        segs: u32,
    ) -> Result<(), Errno> {
        self.sync_mss(env);
        let mss = u32::from(self.mss_cache);
        let wnd_end = self.wnd_end();
        let snd_una = self.snd_una;
        let seq = seq.later(snd_una);
        let Some(skb) = self.rtx_queue.at_or_before(seq) else {
            return Err(Errno::EINVAL);
        };
        if skb.fclone_busy() {
            return Err(Errno::EBUSY);
        }
        if skb.tcp_cb().seq.before(snd_una) {
            self.trim_acked(env)?;
        }
        let Some(skb) = self.rtx_queue.at_or_before(seq) else {
            return Err(Errno::EINVAL);
        };
        let cb = *skb.tcp_cb();
        // A window that shrank: only the segment at its left edge may go, as a probe.
        if !cb.seq.before(wnd_end) && cb.seq != snd_una {
            return Err(Errno::EAGAIN);
        }
        let avail = if cb.seq.before(wnd_end) {
            wnd_end.since(cb.seq)
        } else {
            mss
        };
        let limit = mss.saturating_mul(segs.max(1)).min(avail.max(1));
        let len = skb.len() as u32;
        if len > limit {
            self.fragment_sent(env, cb.seq, limit)?;
        }
        let Some(skb) = self.rtx_queue.at_or_before(seq) else {
            return Err(Errno::EINVAL);
        };
        let now = env.now();
        let len = skb.len() as u32;
        let cb = skb.tcp_cb_mut();
        let old_pcount = cb.pcount();
        if len > mss || cb.pcount > 1 {
            set_segs(cb, len, mss);
        }
        let new = *cb;
        let clone = skb.clone_for_xmit().ok_or(Errno::ENOMEM)?;
        let cb = skb.tcp_cb_mut();
        let first_time = !cb.marks.has(Marks::RETRANS);
        cb.marks.set(Marks::RETRANS);
        cb.marks.set(Marks::EVER_RETRANS);
        cb.sent_at = now.as_nanos();
        self.adjust_pcount(old_pcount, new.pcount(), new.marks);
        if first_time {
            self.retrans_out = self.retrans_out.saturating_add(new.pcount());
        }
        if self.retrans_stamp.is_none() {
            self.retrans_stamp = Some(now);
        }
        self.stats.total_retrans = self.stats.total_retrans.wrapping_add(new.pcount());
        self.stats.bytes_retrans = self.stats.bytes_retrans.wrapping_add(u64::from(len));
        env.count(Counter::RetransSegs);
        self.transmit(env, clone)
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

    /// Cuts a sent segment in the retransmission queue in two.
    pub(super) fn fragment_sent<E: Env>(
        &mut self,
        env: &mut E,
        seq: SeqNum,
        len: u32,
    ) -> Result<(), Errno> {
        // Take it out, so that the queue and the counts may both be changed.
        let Some(mut skb) = self.rtx_queue.remove(seq) else {
            return Err(Errno::EINVAL);
        };
        let old = *skb.tcp_cb();
        let rest = self.fragment(env, &mut skb, len);
        let new = *skb.tcp_cb();
        let reinsert = self.rtx_queue.insert(skb);
        debug_assert!(reinsert.is_ok());
        let Some(rest) = rest else {
            return Err(Errno::ENOMEM);
        };
        let sum = new.pcount().saturating_add(rest.tcp_cb().pcount());
        self.adjust_pcount(old.pcount(), sum, old.marks);
        let reinsert = self.rtx_queue.insert(rest);
        debug_assert!(reinsert.is_ok());
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
        if marks.has(Marks::RETRANS) {
            adjust(&mut self.retrans_out);
        }
        if marks.has(Marks::LOST) {
            adjust(&mut self.lost_out);
        }
    }

    /// Sends what waits, as far as it may go, and arms the probe timer if nothing went.
    ///
    /// Mirrors [`__tcp_push_pending_frames`](srctree/net/ipv4/tcp_output.c).
    #[inline]
    pub fn push_pending_frames<E: Env>(&mut self, env: &mut E, push: bool) {
        if self.write_queue.is_empty() || self.state == State::Close {
            return;
        }
        self.sync_mss(env);
        if self.write_xmit(env, push, false) {
            self.check_probe_timer(env.now());
        }
    }

    /// Sends new data if the window allows it now: after an ACK.
    ///
    /// Mirrors [`tcp_data_snd_check`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    pub(super) fn data_snd_check<E: Env>(&mut self, env: &mut E) {
        self.push_pending_frames(env, false);
        self.check_space(env);
    }

    /// Lets writers know of room that acknowledgements made.
    ///
    /// Mirrors [`tcp_check_space`](srctree/net/ipv4/tcp_input.c).
    fn check_space<E: Env>(&mut self, env: &mut E) {
        if self.check_space {
            self.check_space = false;
            if env.writer_waits() {
                self.sndbuf_expand(env);
                env.write_space();
            }
        }
    }

    /// Grows the send buffer with the congestion window, so that the writer never is the limit: two
    /// windows, one in flight and one to be written while it is.
    ///
    /// Mirrors [`tcp_sndbuf_expand`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn sndbuf_expand<E: Env>(&mut self, env: &mut E) {
        // A full segment's true size: payload, headers, and the buffer's own structures.
        let per_mss = u32::from(self.mss_clamp.max(self.mss_cache))
            .min(65_000)
            .saturating_add(320 + 768)
            .next_power_of_two();
        let segs = self.snd_cwnd.max(super::INIT_CWND);
        let bytes = per_mss.saturating_mul(segs).saturating_mul(2);
        if bytes > env.sndbuf() {
            env.set_sndbuf(bytes);
        }
    }
}

/// Notes how many segments of `mss` bytes `len` bytes make.
///
/// Mirrors [`tcp_set_skb_tso_segs`](srctree/net/ipv4/tcp_output.c).
#[inline]
pub(super) fn set_segs(cb: &mut Cb, len: u32, mss: u32) {
    if len <= mss {
        cb.pcount = 1;
        cb.gso_size = 0;
    } else {
        let segs = len.checked_add(mss.wrapping_sub(1)).unwrap_or(len) / mss.max(1);
        cb.pcount = segs.min(u32::from(u16::MAX)) as u16;
        cb.gso_size = mss.min(u32::from(u16::MAX)) as u16;
    }
}

/// The fixed part of a header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) seq: SeqNum,
    pub(super) ack: SeqNum,
    pub(super) flags: Flags,
    pub(super) window: u16,
    pub(super) urg_ptr: u16,
}

impl Header {
    /// Puts the header and `opts` before `skb`'s payload, the checksum left to the device.
    /// `None` when the headroom is too small.
    #[inline]
    pub(super) fn push(
        &self,
        skb: &mut Skb,
        id: crate::stack::socket::FourTuple,
        opts: &OutOptions,
    ) -> Option<()> {
        let hlen = HEADER_LEN.wrapping_add(opts.len());
        let total = skb.len().checked_add(hlen)? as u32;
        let pseudo = checksum::pseudo_header(id.saddr, id.daddr, 6, total);
        let (h, rest) = skb.push(hlen)?.split_first_chunk_mut::<HEADER_LEN>()?;
        let [s0, s1] = id.sport.to_be_bytes();
        let [d0, d1] = id.dport.to_be_bytes();
        let [q0, q1, q2, q3] = self.seq.get().to_be_bytes();
        let [a0, a1, a2, a3] = self.ack.get().to_be_bytes();
        let [w0, w1] = self.window.to_be_bytes();
        let [u0, u1] = self.urg_ptr.to_be_bytes();
        let [c0, c1] = (checksum::fold(pseudo) as u16).to_be_bytes();
        let off = (hlen as u8 >> 2) << 4;
        *h = [
            s0,
            s1,
            d0,
            d1,
            q0,
            q1,
            q2,
            q3,
            a0,
            a1,
            a2,
            a3,
            off,
            self.flags.bits(),
            w0,
            w1,
            c0,
            c1,
            u0,
            u1,
        ];
        opts.emit(rest);
        skb.reset_transport_header();
        skb.set_csum_partial(CHECK_OFFSET);
        Some(())
    }
}
