// SPDX-License-Identifier: GPL-2.0
//! Copying together what was received in buffers much larger than itself, before anything is dropped.
//!
//! A buffer is charged as a whole, however little is in it: a peer that sends small segments fills the receive
//! buffer with next to no data. When it is full, such packets are copied into pages. That costs time only where
//! the alternative is to lose data.
//!
//! Mirrors [`tcp_collapse`](srctree/net/ipv4/tcp_input.c)

use super::{
    seq::SeqNum,
    skb::{
        Cb,
        Flags, //
    },
    sock::Sock,
    window::win_from_space, //
};
use crate::platform::{
    SkBuff,
    Skb, //
    SkbQueue,
};
use crate::stack::{
    counters::Counter,
    env::Env, //
};

/// Bytes of payload in a buffer of one page (`SKB_MAX_ORDER(0, 0)`): the rest is what the kernel keeps of it.
const PAGE_PAYLOAD: u32 = 4096 - 320;

/// Whether a packet occupies more than a window of its length may, and can be copied.
fn is_bloated(skb: &SkBuff, scaling_ratio: u8) -> bool {
    let len = skb.len().min(i32::MAX as usize) as i32;
    let space = skb.truesize().min(i32::MAX as usize) as i32;
    win_from_space(scaling_ratio, space) > len
        && !skb.tcp_cb().flags.has(Flags::SYN.and(Flags::FIN))
}

/// Packets that are copied together, in the order of their numbers.
struct Collapse {
    out: SkbQueue,
    /// Where the next packet begins that has something new.
    at: SeqNum,
    /// Where the last one ends.
    end: SeqNum,
    /// Bytes that still fit into the last one of `out`; none if that is as it came.
    room: u32,
}

impl Collapse {
    /// Takes in the next packet.
    fn push<E: Env>(&mut self, env: &mut E, skb: Skb, scaling_ratio: u8) {
        let cb = *skb.tcp_cb();
        if !cb.end_seq.after(self.at) {
            env.count(Counter::TcpRcvCollapsed);
            return skb.consume();
        }
        let from = cb.seq.later(self.at);
        if from != self.at {
            // Beyond a gap.
            self.room = 0;
        }
        self.at = cb.end_seq;
        if is_bloated(&skb, scaling_ratio) && self.copy(env, &skb, &cb, from).is_some() {
            env.count(Counter::TcpRcvCollapsed);
            return skb.consume();
        }
        // Without memory a part of it may have been copied: readers skip what they have.
        self.room = 0;
        self.out.push_back(skb);
    }

    /// Copies what `skb` holds from `from` on. `None` without memory.
    fn copy<E: Env>(&mut self, env: &mut E, skb: &SkBuff, cb: &Cb, from: SeqNum) -> Option<()> {
        let mut from = from;
        while from.before(cb.end_seq) {
            if self.room == 0 {
                self.room = PAGE_PAYLOAD.min(self.end.since(from)).max(1);
                let mut new = Skb::alloc(0, self.room as usize)?;
                *new.tcp_cb_mut() = Cb {
                    seq: from,
                    end_seq: from,
                    ..*cb
                };
                env.rmem_charge(&mut new, true);
                self.out.push_back(new);
            }
            let n = self.room.min(cb.end_seq.since(from));
            let tail = self.out.back_mut()?;
            let to = tail.put(n as usize)?;
            if !skb.copy_bits(from.since(cb.seq) as usize, to) {
                return None;
            }
            from = from.add(n);
            self.room = self.room.saturating_sub(n);
            let tcb = tail.tcp_cb_mut();
            tcb.end_seq = from;
            tcb.ack_seq = cb.ack_seq;
            tcb.flags = tcb.flags.and(cb.flags);
        }
        Some(())
    }
}

impl Sock {
    /// Copies together what is received and takes too much room.
    pub(super) fn collapse<E: Env>(&mut self, env: &mut E) {
        self.collapse_ofo_queue(env);
        let ratio = self.scaling_ratio;
        if !self.receive_queue.iter().any(|skb| is_bloated(skb, ratio)) {
            return;
        }
        let mut queue = core::mem::take(&mut self.receive_queue);
        let mut collapse = Collapse {
            out: SkbQueue::new(),
            at: self.copied_seq,
            end: self.rcv_nxt,
            room: 0,
        };
        while let Some(skb) = queue.pop_front() {
            collapse.push(env, skb, ratio);
        }
        self.receive_queue = collapse.out;
    }

    /// The same of what lies beyond gaps: of each run of packets that follow each other. Runs of one small packet
    /// are left alone, and after many of them the rest, too: they cannot be helped.
    ///
    /// Mirrors [`tcp_collapse_ofo_queue`](srctree/net/ipv4/tcp_input.c)
    fn collapse_ofo_queue<E: Env>(&mut self, env: &mut E) {
        let ratio = self.scaling_ratio;
        let tiny = (env.rcvbuf() >> 3) as usize;
        let mut sum_tiny = 0usize;
        let mut head = self.ooo.first().map(|skb| *skb.tcp_cb());
        while let Some(cb) = head {
            let Some(first) = self.ooo.at_or_before(cb.seq) else {
                return;
            };
            let (start, mut end, mut last) = (cb.seq, cb.end_seq, cb.seq);
            let truesize = first.truesize();
            let mut bloated = is_bloated(first, ratio);
            head = loop {
                let Some(next) = self.ooo.after(last) else {
                    break None;
                };
                let next_cb = *next.tcp_cb();
                if next_cb.seq.after(end) {
                    break Some(next_cb);
                }
                bloated |= is_bloated(next, ratio);
                last = next_cb.seq;
                end = end.later(next_cb.end_seq);
            };
            if last == start && end.since(start) < PAGE_PAYLOAD {
                sum_tiny = sum_tiny.saturating_add(truesize);
                if sum_tiny > tiny {
                    return;
                }
            } else if bloated {
                self.collapse_range(env, start, end, last);
            }
        }
    }

    /// Copies together the packets beyond a gap that hold `[start, end)`; the last one begins at `last`.
    fn collapse_range<E: Env>(&mut self, env: &mut E, start: SeqNum, end: SeqNum, last: SeqNum) {
        let ratio = self.scaling_ratio;
        let mut collapse = Collapse {
            out: SkbQueue::new(),
            at: start,
            end,
            room: 0,
        };
        let mut seq = start;
        loop {
            let next = self.ooo.after(seq).map(|skb| skb.tcp_cb().seq);
            if let Some(skb) = self.ooo.remove(seq) {
                collapse.push(env, skb, ratio);
            }
            match next {
                Some(next) if seq != last => seq = next,
                _ => break,
            }
        }
        while let Some(skb) = collapse.out.pop_front() {
            // They begin one behind the other, in a range that is empty now.
            let inserted = self.ooo.insert(skb);
            debug_assert!(inserted.is_ok());
        }
    }
}
