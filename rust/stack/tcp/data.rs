// SPDX-License-Identifier: GPL-2.0
//! Payload into the receive queue; out-of-order data; when to acknowledge.

use super::{
    segment::Segment,
    seq::SeqNum,
    skb::Flags,
    sock::{Sock, State},
    ATO_MIN,
    TIMEWAIT_LEN, //
};
use crate::platform::Skb;
use crate::stack::{
    counters::Counter,
    env::{Env, Shutdown},
    time::Duration, //
};

/// How many segments at the start of a connection, or after trouble, are acknowledged at once
/// (`TCP_MAX_QUICKACKS`): the sender's slow start needs the ACKs.
const MAX_QUICKACKS: u32 = 16;

impl Sock {
    /// Takes the payload (and FIN) of an acceptable segment. `skb`'s data still begin with the header.
    ///
    /// 3.10.7.4, seventh. Mirrors [`tcp_data_queue`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn data_queue<E: Env>(&mut self, env: &mut E, mut skb: Skb, seg: &Segment) {
        if seg.seq == seg.end_seq {
            return;
        }
        skb.pull(usize::from(seg.doff));
        if seg.seq == self.rcv_nxt {
            if self.receive_window() == 0 {
                self.out_of_space(env);
                return;
            }
            self.queue_in_order(env, skb, seg);
            return;
        }
        if !seg.end_seq.after(self.rcv_nxt) {
            // A duplicate: the sender missed our ACK (3.10.7.4: "send an ACK").
            env.count(Counter::DelayedAckLost);
            self.enter_quickack_mode();
            self.ack.scheduled = true;
            return;
        }
        if !seg.seq.before(self.rcv_nxt.add(self.receive_window())) {
            self.out_of_space(env);
            return;
        }
        if seg.seq.before(self.rcv_nxt) {
            // The front is old, the rest is new: the reader skips what it has.
            if self.receive_window() == 0 {
                self.out_of_space(env);
                return;
            }
            self.queue_in_order(env, skb, seg);
            return;
        }
        self.data_queue_ofo(env, skb, seg);
    }

    /// Nothing fits: tell the sender where the window ends.
    fn out_of_space<E: Env>(&mut self, env: &mut E) {
        env.count(Counter::TcpZeroWindowDrop);
        self.enter_quickack_mode();
        self.ack.scheduled = true;
    }

    fn queue_in_order<E: Env>(&mut self, env: &mut E, mut skb: Skb, seg: &Segment) {
        // A reader whose queue is empty always gets one segment, or a small buffer could never move.
        let force = self.receive_queue.is_empty();
        if !env.rmem_charge(&mut skb, false) {
            self.prune_ofo(env, seg.seq);
            if !env.rmem_charge(&mut skb, force) {
                env.count(Counter::TcpRcvQDrop);
                self.enter_quickack_mode();
                self.ack.scheduled = true;
                return;
            }
        }
        let truesize = skb.truesize() as u32;
        self.queue_rcv(env, skb);
        self.rcv_nxt_update(seg.end_seq);
        if seg.len != 0 {
            self.event_data_recv(env, seg, truesize);
        }
        if seg.flags.has(Flags::FIN) {
            self.fin(env);
            if self.state == State::Close {
                return;
            }
        }
        if !self.ooo.is_empty() {
            self.ofo_queue(env);
            if self.state == State::Close {
                return;
            }
            if self.ooo.is_empty() {
                // RFC 5681, 4.2: "an immediate ACK when it receives a data segment that fills […] a gap".
                self.ack.quick = self.ack.quick.max(1);
                self.ack_now = true;
            }
        }
        if !env.is_dead() {
            env.data_ready();
        }
    }

    /// Appends a segment to the receive queue, to the last buffer if it has room.
    ///
    /// Mirrors [`tcp_queue_rcv`, `tcp_try_coalesce`](srctree/net/ipv4/tcp_input.c).
    fn queue_rcv<E: Env>(&mut self, env: &mut E, skb: Skb) {
        let cb = *skb.tcp_cb();
        if let Some(tail) = self.receive_queue.back_mut() {
            let tcb = *tail.tcp_cb();
            // The bytes of a buffer and its numbers must keep step.
            let fits = tcb.end_seq == cb.seq
                && !tcb.flags.has(Flags::FIN.and(Flags::SYN))
                && !cb.flags.has(Flags::SYN);
            if fits {
                match tail.try_coalesce(skb) {
                    Ok(delta) => {
                        env.rmem_grow(delta);
                        let tcb = tail.tcp_cb_mut();
                        tcb.end_seq = cb.end_seq;
                        tcb.ack_seq = cb.ack_seq;
                        tcb.flags = tcb.flags.and(cb.flags);
                    }
                    Err(skb) => self.receive_queue.push_back(skb),
                }
                return;
            }
        }
        self.receive_queue.push_back(skb);
    }

    fn rcv_nxt_update(&mut self, seq: SeqNum) {
        let bytes = seq.since(self.rcv_nxt);
        self.stats.bytes_received = self.stats.bytes_received.wrapping_add(u64::from(bytes));
        self.rcv_nxt = seq;
    }

    /// A segment beyond a gap: kept in order of its number until the gap closes.
    ///
    /// Mirrors [`tcp_data_queue_ofo`](srctree/net/ipv4/tcp_input.c).
    fn data_queue_ofo<E: Env>(&mut self, env: &mut E, mut skb: Skb, seg: &Segment) {
        // RFC 5681, 4.2: "A TCP receiver SHOULD send an immediate duplicate ACK when an out-of-order
        // segment arrives".
        self.ack_now = true;
        self.ack.scheduled = true;
        if !env.rmem_charge(&mut skb, false) {
            self.prune_ofo(env, seg.seq);
            if !env.rmem_charge(&mut skb, false) {
                env.count(Counter::TcpOfoDrop);
                return;
            }
        }
        env.count(Counter::TcpOfoQueue);
        self.stats.rcv_ooopack = self.stats.rcv_ooopack.wrapping_add(1);
        let (seq, mut end) = (seg.seq, seg.end_seq);
        let fin = seg.flags.has(Flags::FIN);
        if let Some(before) = self.ooo.at_or_before(seq) {
            let bcb = *before.tcp_cb();
            if !end.after(bcb.end_seq) {
                // All of it is there already.
                env.count(Counter::TcpOfoMerge);
                return;
            }
            if bcb.seq == seq {
                // Covers the older one wholly, which began at the same number.
                let _ = self.ooo.remove(seq);
            } else if bcb.end_seq == seq && !fin && !bcb.flags.has(Flags::FIN) {
                // Follows it: one buffer instead of two.
                match before.try_coalesce(skb) {
                    Ok(delta) => {
                        env.rmem_grow(delta);
                        before.tcp_cb_mut().end_seq = end;
                        self.drop_covered(bcb.seq, end);
                        return;
                    }
                    Err(back) => skb = back,
                }
            }
        }
        if let Err(dup) = self.ooo.insert(skb) {
            // The number was freed above; nothing else can hold it.
            end = dup.tcp_cb().end_seq;
        }
        self.drop_covered(seq, end);
    }

    /// Drops what lies wholly inside `[seq, end)` behind the segment at `seq`.
    fn drop_covered(&mut self, seq: SeqNum, end: SeqNum) {
        loop {
            let Some(next) = self.ooo.after(seq) else {
                return;
            };
            let cb = *next.tcp_cb();
            if cb.end_seq.after(end) {
                return;
            }
            let _ = self.ooo.remove(cb.seq);
        }
    }

    /// A gap closed: moves what is in order now to the receive queue.
    ///
    /// Mirrors [`tcp_ofo_queue`](srctree/net/ipv4/tcp_input.c).
    fn ofo_queue<E: Env>(&mut self, env: &mut E) {
        loop {
            let Some(first) = self.ooo.first() else {
                return;
            };
            let cb = *first.tcp_cb();
            if cb.seq.after(self.rcv_nxt) {
                return;
            }
            let Some(skb) = self.ooo.pop_first() else {
                return;
            };
            if !cb.end_seq.after(self.rcv_nxt) {
                continue;
            }
            self.queue_rcv(env, skb);
            self.rcv_nxt_update(cb.end_seq);
            if cb.flags.has(Flags::FIN) {
                self.fin(env);
                return;
            }
        }
    }

    /// Makes room by dropping out-of-order data, the farthest first, as long as they lie behind
    /// `seq`: an eighth of the buffer at a time (SegmentSmack, CVE-2018-5390: never one by one).
    ///
    /// Mirrors [`tcp_prune_ofo_queue`](srctree/net/ipv4/tcp_input.c).
    fn prune_ofo<E: Env>(&mut self, env: &mut E, seq: SeqNum) {
        let mut goal = (env.rcvbuf() >> 3) as usize;
        let mut pruned = false;
        while let Some(last) = self.ooo.last() {
            if !last.tcp_cb().seq.after(seq) {
                break;
            }
            let size = last.truesize();
            drop(self.ooo.pop_last());
            pruned = true;
            goal = goal.saturating_sub(size);
            if goal == 0 && env.rmem_alloc() <= env.rcvbuf() {
                break;
            }
        }
        if pruned {
            env.count(Counter::OfoPruned);
        }
    }

    /// The peer will send no more.
    ///
    /// 3.10.7.4, eighth. Mirrors [`tcp_fin`](srctree/net/ipv4/tcp_input.c).
    fn fin<E: Env>(&mut self, env: &mut E) {
        self.ack.scheduled = true;
        env.add_shutdown(Shutdown::RCV);
        match self.state {
            State::SynRecv | State::Established => {
                self.set_state(env, State::CloseWait);
                self.ack.pingpong = true;
            }
            State::FinWait1 => {
                // Both closed at once: figure 13.
                self.send_ack(env);
                self.set_state(env, State::Closing);
            }
            State::FinWait2 => {
                self.send_ack(env);
                self.ooo.clear();
                self.time_wait(env, State::TimeWait, TIMEWAIT_LEN);
                return;
            }
            _ => {}
        }
        // Nothing can follow a FIN.
        self.ooo.clear();
        if !env.is_dead() {
            env.state_change();
        }
    }

    /// Data arrived: tunes the delay of ACKs and the window.
    ///
    /// Mirrors [`tcp_event_data_recv`](srctree/net/ipv4/tcp_input.c).
    fn event_data_recv<E: Env>(&mut self, env: &mut E, seg: &Segment, truesize: u32) {
        let now = env.now();
        self.ack.scheduled = true;
        self.measure_rcv_mss(seg);
        self.rcv_rtt_measure(env);
        self.rcv_rtt_measure_ts(env, seg.opts.tsecr, seg.len);
        if self.ack.ato.is_zero() {
            // The first data segment: the peer is in slow start.
            self.incr_quickack(MAX_QUICKACKS);
            self.ack.ato = ATO_MIN;
        } else {
            let gap = now.since(self.ack.lrcvtime);
            let half = Duration::from_nanos(self.ack.ato.as_nanos() >> 1);
            let half_min = Duration::from_nanos(ATO_MIN.as_nanos() >> 1);
            if gap <= half_min {
                self.ack.ato = half.plus(half_min);
            } else if gap < self.ack.ato {
                let ato = half.plus(gap);
                self.ack.ato = if ato > self.rto { self.rto } else { ato };
            } else if gap > self.rto {
                // The sender went idle and starts slowly again.
                self.incr_quickack(MAX_QUICKACKS);
            }
        }
        self.ack.lrcvtime = now;
        if seg.len >= 128 {
            self.grow_window(env, seg.len, truesize);
        }
    }

    /// Estimates the peer's segment size, which decides when two full segments are owed an ACK.
    ///
    /// Mirrors [`tcp_measure_rcv_mss`](srctree/net/ipv4/tcp_input.c).
    fn measure_rcv_mss(&mut self, seg: &Segment) {
        let len = seg.len.min(u32::from(u16::MAX)) as u16;
        let last = self.ack.last_seg_size;
        self.ack.last_seg_size = 0;
        if len >= self.ack.rcv_mss {
            // A GRO packet is many segments: never estimate more than we allow the peer to send.
            self.ack.rcv_mss = len.min(self.advmss);
        } else if len > 0 {
            self.ack.last_seg_size = len;
            if len == last && len >= 88 {
                self.ack.rcv_mss = len;
            }
        }
    }

    /// Acknowledges the next segments at once.
    ///
    /// Mirrors [`tcp_incr_quickack`](srctree/net/ipv4/tcp_input.c).
    fn incr_quickack(&mut self, max: u32) {
        let mss = u32::from(self.ack.rcv_mss).max(1);
        let quick = (self.rcv_wnd / mss.saturating_mul(2)).max(2).min(max) as u8;
        self.ack.quick = self.ack.quick.max(quick);
    }

    /// Something went wrong that the peer should learn of quickly.
    ///
    /// Mirrors [`tcp_enter_quickack_mode`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn enter_quickack_mode(&mut self) {
        self.incr_quickack(MAX_QUICKACKS);
        self.ack.pingpong = false;
        self.ack.ato = ATO_MIN;
    }

    #[inline]
    fn in_quickack_mode(&self) -> bool {
        self.ack.quick != 0 && !self.ack.pingpong
    }

    /// Sends an owed ACK now or lets it wait.
    ///
    /// 3.8.6.3: at least every second full segment. Mirrors
    /// [`__tcp_ack_snd_check`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    pub(super) fn ack_snd_check<E: Env>(&mut self, env: &mut E) {
        if !self.ack.scheduled {
            return;
        }
        let unacked = self.rcv_nxt.since(self.rcv_wup);
        let two_full =
            unacked > u32::from(self.ack.rcv_mss) && self.choose_window(env) >= self.rcv_wnd;
        if two_full || self.in_quickack_mode() || self.ack_now {
            self.ack_now = false;
            self.send_ack(env);
        } else {
            self.send_delayed_ack(env);
        }
    }
}
