// SPDX-License-Identifier: GPL-2.0
//! Payload into the receive queue; out-of-order data; when to acknowledge.

use super::{
    rcvbuf::Arrived,
    segment::Segment,
    seq::SeqNum,
    skb::Flags,
    sock::Sock,
    state::State,
    ATO_MIN,
    DELACK_MAX,
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

/// What became of a segment beyond a gap.
enum Kept {
    /// It was joined to the one before it.
    Joined,
    /// It has a buffer of its own.
    Alone,
    /// All of it was there already.
    Not,
}

impl Sock {
    /// Takes the payload (and FIN) of an acceptable segment. `skb`'s data still begin with the header.
    ///
    /// 3.10.7.4, seventh. Mirrors [`tcp_data_queue`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn data_queue<E: Env>(&mut self, env: &mut E, mut skb: Skb, seg: &Segment) {
        if seg.seq == seg.end_seq {
            return;
        }
        skb.pull(usize::from(seg.doff));
        self.data_ecn_check(seg);
        if seg.seq == self.rcv_nxt {
            // A bare FIN costs nothing, and who sends it against a closed window may do so for ever.
            if self.receive_window() == 0 && seg.len != 0 {
                env.count(Counter::TcpZeroWindowDrop);
                self.out_of_window();
                return;
            }
            self.queue_in_order(env, skb, seg);
            return;
        }
        if !seg.end_seq.after(self.rcv_nxt) {
            // A duplicate: the sender missed our ACK (3.10.7.4: "send an ACK").
            env.count(Counter::DelayedAckLost);
            self.dsack_set(env, seg.seq, seg.end_seq);
            self.out_of_window();
            return;
        }
        let window = self.receive_window();
        if !seg.seq.before(self.rcv_nxt.add(window)) {
            // Such as the probe of a closed window.
            env.count(Counter::BeyondWindow);
            self.out_of_window();
            return;
        }
        if seg.seq.before(self.rcv_nxt) {
            // The front is old, the rest is new: the reader skips what it has.
            self.dsack_set(env, seg.seq, self.rcv_nxt);
            if window == 0 {
                env.count(Counter::TcpZeroWindowDrop);
                self.out_of_window();
                return;
            }
            self.queue_in_order(env, skb, seg);
            return;
        }
        self.data_queue_ofo(env, skb, seg);
    }

    /// What came cannot be taken: the sender shall learn soon where we are.
    fn out_of_window(&mut self) {
        self.enter_quickack_mode();
        self.ack.scheduled = true;
    }

    fn queue_in_order<E: Env>(&mut self, env: &mut E, mut skb: Skb, seg: &Segment) {
        if !self.try_rmem_schedule(env, &mut skb, seg.seq) {
            // What was offered could not be kept: the next ACK closes the window.
            self.ack.nomem = true;
            self.ack.scheduled = true;
            self.ack_now = true;
            if !env.is_dead() {
                env.data_ready();
            }
            // A reader whose queue is empty always gets one packet, or a small buffer could never move.
            if !self.receive_queue.is_empty() && seg.len != 0 {
                env.count(Counter::TcpRcvQDrop);
                return;
            }
            env.rmem_charge(&mut skb, true);
        }
        let arrived = Arrived::new(&skb);
        self.queue_rcv(env, skb);
        self.rcv_nxt_update(seg.end_seq);
        if seg.len != 0 {
            self.event_data_recv(env, seg, &arrived);
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
            self.sack_remove();
        }
        self.data_ready(env);
    }

    /// Wakes readers, if there is enough for them or the end has come.
    ///
    /// Mirrors [`tcp_data_ready`, `tcp_epollin_ready`](srctree/net/ipv4/tcp_input.c).
    fn data_ready<E: Env>(&self, env: &mut E) {
        if !env.is_dead() && (self.readable(env, env.rcvlowat()) || env.shutdown().rcv()) {
            env.data_ready();
        }
    }

    /// Charges a packet to the receive buffer, making room if that must be. `seq` is its first number.
    ///
    /// Mirrors [`tcp_try_rmem_schedule`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    fn try_rmem_schedule<E: Env>(&mut self, env: &mut E, skb: &mut Skb, seq: SeqNum) -> bool {
        env.rmem_charge(skb, false)
            || (self.prune_queue(env, seq) && self.rmem_charge_pruning(env, skb, seq))
    }

    #[cold]
    fn rmem_charge_pruning<E: Env>(&mut self, env: &mut E, skb: &mut Skb, seq: SeqNum) -> bool {
        while !env.rmem_charge(skb, false) {
            if !self.prune_ofo(env, seq) {
                return false;
            }
        }
        true
    }

    /// Brings the socket within its limits. `false`: nothing can be taken until the user has read.
    ///
    /// Mirrors [`tcp_prune_queue`](srctree/net/ipv4/tcp_input.c).
    #[cold]
    fn prune_queue<E: Env>(&mut self, env: &mut E, seq: SeqNum) -> bool {
        if env.rmem_alloc() == 0 {
            return false;
        }
        env.count(Counter::PruneCalled);
        if env.rmem_alloc() > env.rcvbuf() {
            self.clamp_window(env);
        } else if env.under_memory_pressure() {
            self.adjust_rcv_ssthresh();
        }
        if env.rmem_alloc() > env.rcvbuf() {
            self.collapse(env);
        }
        if env.rmem_alloc() > env.rcvbuf() {
            self.prune_ofo(env, seq);
        }
        if env.rmem_alloc() > env.rcvbuf() {
            env.count(Counter::RcvPruned);
            return false;
        }
        true
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
                        env.count(Counter::TcpRcvCoalesce);
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
        if !self.try_rmem_schedule(env, &mut skb, seg.seq) {
            env.count(Counter::TcpOfoDrop);
            if !env.is_dead() {
                env.data_ready();
            }
            return;
        }
        let arrived = Arrived::new(&skb);
        self.measure_rcv_mss(env, seg, &arrived);
        self.ack.scheduled = true;
        env.count(Counter::TcpOfoQueue);
        self.stats.rcv_ooopack = self
            .stats
            .rcv_ooopack
            .wrapping_add(u32::from(skb.gso_segs().max(1)));
        let kept = self.insert_ofo(env, skb, seg);
        // Without SACK the window must not change: the ACK is to be a duplicate (RFC 5681, 2).
        if self.sack_ok {
            match kept {
                Kept::Joined => self.grow_window(env, &arrived, true, 0),
                // It counts among what is received only from now on.
                Kept::Alone => self.grow_window(env, &arrived, false, arrived.truesize),
                Kept::Not => {}
            }
        }
        if env.is_held() {
            self.rcvbuf_grow(env, self.rcvq_space.space);
        }
    }

    /// Puts a segment in its place among those beyond the gap.
    fn insert_ofo<E: Env>(&mut self, env: &mut E, mut skb: Skb, seg: &Segment) -> Kept {
        let (seq, mut end) = (seg.seq, seg.end_seq);
        let fin = seg.flags.has(Flags::FIN);
        if let Some(before) = self.ooo.at_or_before(seq) {
            let bcb = *before.tcp_cb();
            if !end.after(bcb.end_seq) {
                // All of it is there already.
                env.count(Counter::TcpOfoMerge);
                self.dsack_set(env, seq, end);
                self.sack_new_ofo(env, seq, end);
                return Kept::Not;
            }
            if bcb.seq == seq {
                // Covers the older one wholly, which began at the same number.
                env.count(Counter::TcpOfoMerge);
                self.dsack_extend(env, bcb.seq, bcb.end_seq);
                let _ = self.ooo.remove(seq);
            } else if seq.before(bcb.end_seq) {
                self.dsack_set(env, seq, bcb.end_seq);
            } else if bcb.end_seq == seq && !fin && !bcb.flags.has(Flags::FIN) {
                // Follows it: one buffer instead of two.
                match before.try_coalesce(skb) {
                    Ok(delta) => {
                        env.rmem_grow(delta);
                        before.tcp_cb_mut().end_seq = end;
                        self.drop_covered(env, bcb.seq, end);
                        self.sack_new_ofo(env, seq, end);
                        return Kept::Joined;
                    }
                    Err(back) => skb = back,
                }
            }
        }
        if let Err(dup) = self.ooo.insert(skb) {
            // The number was freed above; nothing else can hold it.
            end = dup.tcp_cb().end_seq;
        }
        self.drop_covered(env, seq, end);
        self.sack_new_ofo(env, seq, end);
        Kept::Alone
    }

    /// Drops what lies wholly inside `[seq, end)` behind the segment at `seq`.
    fn drop_covered<E: Env>(&mut self, env: &mut E, seq: SeqNum, end: SeqNum) {
        loop {
            let Some(next) = self.ooo.after(seq) else {
                return;
            };
            let cb = *next.tcp_cb();
            if !end.after(cb.seq) {
                return;
            }
            if end.before(cb.end_seq) {
                self.dsack_extend(env, cb.seq, end);
                return;
            }
            self.dsack_extend(env, cb.seq, cb.end_seq);
            env.count(Counter::TcpOfoMerge);
            let _ = self.ooo.remove(cb.seq);
        }
    }

    /// A gap closed: moves what is in order now to the receive queue.
    ///
    /// Mirrors [`tcp_ofo_queue`](srctree/net/ipv4/tcp_input.c).
    fn ofo_queue<E: Env>(&mut self, env: &mut E) {
        let dsack_high = self.rcv_nxt;
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
            if cb.seq.before(dsack_high) {
                let end = if cb.end_seq.before(dsack_high) {
                    cb.end_seq
                } else {
                    dsack_high
                };
                self.dsack_extend(env, cb.seq, end);
            }
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
    /// `seq`: an eighth of the buffer at a time (SegmentSmack, CVE-2018-5390: never one by one). Returns
    /// whether anything went.
    ///
    /// Mirrors [`tcp_prune_ofo_queue`](srctree/net/ipv4/tcp_input.c).
    fn prune_ofo<E: Env>(&mut self, env: &mut E, seq: SeqNum) -> bool {
        let portion = (env.rcvbuf() >> 3) as usize;
        let mut goal = portion;
        let mut pruned = false;
        while let Some(last) = self.ooo.last() {
            if seq.after(last.tcp_cb().seq) {
                break;
            }
            goal = goal.saturating_sub(last.truesize());
            drop(self.ooo.pop_last());
            pruned = true;
            if goal == 0 {
                if env.rmem_alloc() <= env.rcvbuf() && !env.under_memory_pressure() {
                    break;
                }
                goal = portion;
            }
        }
        if pruned {
            env.count(Counter::OfoPruned);
            // The peer will see that what it was told of is missing (RFC 2018, 8): tell of nothing that
            // may be gone.
            self.selective_acks.clear();
        }
        pruned
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
                self.ack.pingpong = env.sysctl().tcp_pingpong_thresh();
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
        // Nothing can follow a FIN, and there is nothing to tell of what did.
        self.ooo.clear();
        self.selective_acks.clear();
        self.dsack = None;
        if !env.is_dead() {
            env.state_change();
        }
    }

    /// Data arrived: tunes the delay of ACKs and the window.
    ///
    /// Mirrors [`tcp_event_data_recv`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    fn event_data_recv<E: Env>(&mut self, env: &mut E, seg: &Segment, skb: &Arrived) {
        let now = env.now();
        self.ack.scheduled = true;
        self.measure_rcv_mss(env, seg, skb);
        self.rcv_rtt_measure(env);
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
                self.ack.ato = half.plus(gap).min(self.rto).min(DELACK_MAX);
            } else if gap > self.rto {
                // The sender went idle and starts slowly again.
                self.incr_quickack(MAX_QUICKACKS);
            }
        }
        self.ack.lrcvtime = now;
        if skb.len >= 128 {
            self.grow_window(env, skb, true, 0);
        }
    }

    /// Acknowledges the next segments at once.
    ///
    /// Mirrors [`tcp_incr_quickack`](srctree/net/ipv4/tcp_input.c).
    fn incr_quickack(&mut self, max: u32) {
        let two = u32::from(self.ack.rcv_mss).saturating_mul(2);
        let quick = match self.rcv_wnd.checked_div(two).unwrap_or(0) {
            0 => 2,
            n => n.min(max),
        };
        self.ack.quick = self.ack.quick.max(quick as u8);
    }

    /// Something went wrong that the peer should learn of quickly.
    ///
    /// Mirrors [`tcp_enter_quickack_mode`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn enter_quickack_mode(&mut self) {
        self.incr_quickack(MAX_QUICKACKS);
        self.ack.pingpong = 0;
        self.ack.ato = ATO_MIN;
    }

    /// Whether the traffic goes to and fro, so that ACKs may ride on answers.
    ///
    /// Mirrors [`inet_csk_in_pingpong_mode`](srctree/include/net/inet_connection_sock.h).
    #[inline]
    pub(super) fn in_pingpong_mode<E: Env>(&self, env: &E) -> bool {
        self.ack.pingpong >= env.sysctl().tcp_pingpong_thresh()
    }

    #[inline]
    fn in_quickack_mode<E: Env>(&self, env: &E) -> bool {
        self.ack.quick != 0 && !self.in_pingpong_mode(env)
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
        // Where the window cannot move yet, the reader's progress sends the ACK; one who waits for more than
        // there is makes none.
        let two_full = unacked > u32::from(self.ack.rcv_mss)
            && (self.rcv_nxt.since(self.copied_seq) < env.rcvlowat()
                || self.choose_window(env) >= self.rcv_wnd);
        if two_full || self.in_quickack_mode(env) || self.ack_now {
            self.send_or_gather_ack(env);
        } else if !self.ooo.is_empty() {
            // RFC 5681, 4.2: "A TCP receiver SHOULD send an immediate duplicate ACK when an out-of-order
            // segment arrives".
            self.ack_gap(env);
        } else {
            self.send_delayed_ack(env);
        }
    }
}
