// SPDX-License-Identifier: GPL-2.0
//! The sender's scoreboard: SACK blocks mark the retransmission queue (RFC 2018, 6675, 2883).
//!
//! A sent segment is in one of these states, and three counters sum them up, in segments:
//!
//! | marks | in flight | meaning |
//! |---|---|---|
//! | none | 1 | sent once |
//! | SACKED | 0 | the peer has it |
//! | LOST | 0 | taken for lost |
//! | RETRANS | 2 | original and retransmission are both on their way |
//! | LOST, RETRANS | 1 | the original is lost, the retransmission on its way |
//! | SACKED, RETRANS | 1 | the original arrived, the retransmission is on its way |
//!
//! What a block told before is not looked at again (`recv_sack_cache`), and the queue is searched, not
//! walked, for where a block begins: a peer that sends SACKs costs what is new in them (CVE-2019-11478).

use super::{
    sack::{SackBlock, SackList},
    segment::Segment,
    seq::SeqNum,
    skb::{Cb, Marks},
    sock::Sock,
    state::CaState,
    told::{Ack, Told}, //
};
use crate::platform::RtxQueue;
use crate::stack::{
    counters::Counter,
    env::Env,
    time::Instant, //
};

impl Sock {
    /// How far SACK has told: the number after the highest byte that the peer has.
    ///
    /// Mirrors [`tcp_highest_sack_seq`](srctree/include/net/tcp.h).
    #[inline]
    pub(super) fn highest_sack_seq(&self) -> SeqNum {
        if self.sacked_out == 0 {
            self.snd_una
        } else {
            self.highest_sack.later(self.snd_una)
        }
    }

    /// Marks what the blocks of `seg` tell of.
    ///
    /// Mirrors [`tcp_sacktag_write_queue`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn sacktag_write_queue<E: Env>(
        &mut self,
        env: &mut E,
        seg: &Segment,
        ack: &mut Ack,
    ) {
        let blocks = seg.opts.sacks.blocks();
        let dsack = self.check_dsack(env, blocks, ack);
        if self.packets_out == 0 {
            return;
        }
        ack.reord = self.snd_nxt;
        // In the order of their numbers; the one that is a D-SACK is known by its place.
        let mut used = SackList::default();
        let mut dup: Option<SackBlock> = None;
        for (i, block) in blocks.iter().enumerate() {
            let is_dup = i == 0 && dsack;
            if !self.sackblock_valid(is_dup, *block) {
                self.count_invalid(env, is_dup, *block, ack);
                continue;
            }
            if !block.end.after(ack.prior_una) {
                continue;
            }
            if is_dup {
                dup = Some(*block);
            } else {
                used.push(*block);
            }
        }
        let una = self.snd_una;
        used = used.sorted(una);
        let cache = if self.sacked_out == 0 {
            SackList::default()
        } else {
            self.recv_sack_cache
        };
        let mut queue = core::mem::take(&mut self.rtx_queue);
        if let Some(block) = dup {
            self.sacktag_walk(env, &mut queue, ack, block, true);
        }
        for block in used.blocks() {
            self.sacktag_block(env, &mut queue, ack, *block, &cache);
        }
        self.rtx_queue = queue;
        if let Some(block) = dup {
            used.push(block);
            used = used.sorted(una);
        }
        self.recv_sack_cache = used;
        if self.ca_state != CaState::Loss || self.undo_marker.is_some() {
            self.check_sack_reordering(env, ack.reord, false);
        }
    }

    /// Walks the parts of `block` that the cached blocks did not tell before.
    fn sacktag_block<E: Env>(
        &mut self,
        env: &mut E,
        queue: &mut RtxQueue,
        ack: &mut Ack,
        block: SackBlock,
        cache: &SackList,
    ) {
        let mut start = block.start;
        for old in cache.blocks() {
            if !start.before(old.end) {
                continue;
            }
            if !block.end.after(old.start) {
                break;
            }
            if start.before(old.start) {
                let head = SackBlock {
                    start,
                    end: old.start,
                };
                self.sacktag_walk(env, queue, ack, head, false);
            }
            start = old.end;
        }
        if start.before(block.end) {
            let tail = SackBlock {
                start,
                end: block.end,
            };
            self.sacktag_walk(env, queue, ack, tail, false);
        }
    }

    /// Marks the segments within `block`.
    ///
    /// Mirrors [`tcp_sacktag_walk`](srctree/net/ipv4/tcp_input.c).
    fn sacktag_walk<E: Env>(
        &mut self,
        env: &mut E,
        queue: &mut RtxQueue,
        ack: &mut Ack,
        block: SackBlock,
        dup: bool,
    ) {
        let mut at = block.start.later(self.snd_una);
        while at.before(block.end) {
            let Some(skb) = queue.at_or_before(at) else {
                return;
            };
            let cb = *skb.tcp_cb();
            if !cb.end_seq.after(at) {
                return;
            }
            let Some(cb) = self.match_skb_to_sack(env, queue, &cb, block) else {
                // It lies across an edge of the block, and cannot be cut there.
                at = cb.end_seq;
                continue;
            };
            self.sacktag_one(queue, ack, &cb, dup);
            at = cb.end_seq;
        }
    }

    /// The packet `cb`, or the part of it at its front, that lies in `block`; cut, if need be, at the edge
    /// of a segment. `None` if no whole segment of it does, or there is no memory to cut it.
    ///
    /// Mirrors [`tcp_match_skb_to_sack`](srctree/net/ipv4/tcp_input.c).
    fn match_skb_to_sack<E: Env>(
        &mut self,
        env: &mut E,
        queue: &mut RtxQueue,
        cb: &Cb,
        block: SackBlock,
    ) -> Option<Cb> {
        let begins = !block.start.after(cb.seq);
        let ends = !block.end.before(cb.end_seq);
        if begins && ends {
            return Some(*cb);
        }
        if cb.pcount() == 1 {
            return None;
        }
        let mss = u32::from(cb.gso_size).max(1);
        let mut seq = cb.seq;
        if !begins {
            // The block begins inside: the first whole segment of it.
            let skip = block.start.since(cb.seq).div_ceil(mss).saturating_mul(mss);
            if skip >= cb.end_seq.since(cb.seq) {
                return None;
            }
            self.fragment_sent(env, queue, cb.seq, skip, mss).ok()?;
            seq = cb.seq.add(skip);
        }
        let cb = *queue.at_or_before(seq)?.tcp_cb();
        if block.end.before(cb.end_seq) {
            // It ends inside: the last whole segment.
            let keep = (block.end.since(cb.seq) / mss).saturating_mul(mss);
            if keep == 0 || block.end.before(cb.seq) {
                return None;
            }
            if keep < cb.end_seq.since(cb.seq) {
                self.fragment_sent(env, queue, cb.seq, keep, mss).ok()?;
            }
        }
        Some(*queue.at_or_before(seq)?.tcp_cb())
    }

    /// The peer has the segment `cb`.
    ///
    /// Mirrors [`tcp_sacktag_one`](srctree/net/ipv4/tcp_input.c).
    fn sacktag_one(&mut self, queue: &mut RtxQueue, ack: &mut Ack, cb: &Cb, dup: bool) {
        let mut marks = cb.marks;
        let segs = cb.pcount();
        if dup && marks.has(Marks::RETRANS_ONCE) {
            if self.undo_marker.is_some_and(|m| cb.end_seq.after(m)) && self.undo_retrans > 0 {
                self.undo_retrans = self.undo_retrans.saturating_sub(segs as i32).max(0);
            }
            if marks.has(Marks::SACKED) && cb.seq.before(ack.reord) {
                ack.reord = cb.seq;
            }
        }
        if !cb.end_seq.after(self.snd_una) {
            return;
        }
        if !marks.has(Marks::SACKED) {
            self.rack_advance(ack.now, cb);
            if marks.has(Marks::RETRANS) {
                // If the original was not lost, the retransmission is still on its way.
                if marks.has(Marks::LOST) {
                    marks.clear(Marks::LOST);
                    marks.clear(Marks::RETRANS);
                    self.lost_out = self.lost_out.saturating_sub(segs);
                    self.retrans_out = self.retrans_out.saturating_sub(segs);
                }
            } else {
                if !marks.has(Marks::RETRANS_ONCE) {
                    if cb.seq.before(self.highest_sack_seq()) && cb.seq.before(ack.reord) {
                        // A hole that was never retransmitted was filled: reordering.
                        ack.reord = cb.seq;
                    }
                    if !cb.end_seq.after(self.high_seq) {
                        ack.told.set(Told::ORIG_SACK_ACKED);
                    }
                    let sent = Instant::from_nanos(cb.sent_at);
                    ack.first_sackt = ack.first_sackt.or(Some(sent));
                    ack.last_sackt = sent;
                }
                if marks.has(Marks::LOST) {
                    marks.clear(Marks::LOST);
                    self.lost_out = self.lost_out.saturating_sub(segs);
                }
            }
            marks.set(Marks::SACKED);
            ack.told.set(Told::DATA_SACKED);
            if self.sacked_out == 0 {
                self.highest_sack = self.snd_una;
            }
            self.sacked_out = self.sacked_out.saturating_add(segs);
            ack.sack_delivered = ack.sack_delivered.saturating_add(segs);
            ack.delivered(cb);
        }
        if dup && marks.has(Marks::RETRANS) {
            marks.clear(Marks::RETRANS);
            self.retrans_out = self.retrans_out.saturating_sub(segs);
        }
        if let Some(skb) = queue.at_or_before(cb.seq) {
            let cb = skb.tcp_cb_mut();
            cb.marks = marks;
            if marks.has(Marks::SACKED) {
                // The acknowledgement to come measures nothing any more.
                cb.delivered_us = 0;
            }
        }
        if marks.has(Marks::SACKED) {
            queue.forget_sent(cb.seq);
        }
        if cb.end_seq.after(self.highest_sack) {
            self.highest_sack = cb.end_seq;
        }
    }

    /// Whether a block can be believed.
    ///
    /// Mirrors [`tcp_is_sackblock_valid`](srctree/net/ipv4/tcp_input.c).
    fn sackblock_valid(&self, dsack: bool, block: SackBlock) -> bool {
        let SackBlock { start, end } = block;
        if end.after(self.snd_nxt) || !start.before(end) || !start.before(self.snd_nxt) {
            return false;
        }
        // RFC 2018, 8, allows a block at SND.UNA only to a receiver that contradicts itself.
        if start.after(self.snd_una) {
            return true;
        }
        let (true, Some(undo)) = (dsack, self.undo_marker) else {
            return false;
        };
        if end.after(self.snd_una) {
            return false;
        }
        if !start.before(undo) {
            return true;
        }
        end.after(undo) && !start.before(end.sub(self.max_window))
    }

    fn count_invalid<E: Env>(&self, env: &mut E, dsack: bool, block: SackBlock, ack: &Ack) {
        let counter = match (dsack, self.undo_marker) {
            (true, None) => Counter::TcpDsackIgnoredNoUndo,
            (true, Some(_)) => Counter::TcpDsackIgnoredOld,
            // What an overtaken acknowledgement tells is merely old.
            _ if ack.seq != self.snd_una && !block.end.after(self.snd_una) => return,
            _ => Counter::TcpSackDiscard,
        };
        env.count(counter);
    }

    /// Whether the first block is a D-SACK: below the acknowledgement, or inside the second block.
    ///
    /// RFC 2883, 4. Mirrors [`tcp_check_dsack`](srctree/net/ipv4/tcp_input.c).
    fn check_dsack<E: Env>(&mut self, env: &mut E, blocks: &[SackBlock], ack: &mut Ack) -> bool {
        let Some(first) = blocks.first() else {
            return false;
        };
        if first.start.before(ack.seq) {
            env.count(Counter::TcpDsackRecv);
        } else if let Some(second) = blocks.get(1) {
            if first.end.after(second.end) || first.start.before(second.start) {
                return false;
            }
            env.count(Counter::TcpDsackOfoRecv);
        } else {
            return false;
        }
        let segs = self.dsack_seen(*first, ack);
        if segs == 0 {
            env.count(Counter::TcpDsackIgnoredDubious);
            return false;
        }
        env.count_n(Counter::TcpDsackRecvSegs, segs);
        if self.undo_retrans > 0
            && !first.end.after(ack.prior_una)
            && self.undo_marker.is_some_and(|m| first.end.after(m))
        {
            self.undo_retrans = self.undo_retrans.saturating_sub(segs as i32).max(0);
        }
        true
    }

    /// The peer received something twice. Returns how many segments; none if our retransmissions cannot
    /// be the reason.
    ///
    /// RFC 3708's cautions. Mirrors [`tcp_dsack_seen`](srctree/net/ipv4/tcp_input.c).
    fn dsack_seen(&mut self, block: SackBlock, ack: &mut Ack) -> u32 {
        if !block.start.before(block.end) {
            return 0;
        }
        let len = block.end.since(block.start);
        if len > self.max_window {
            return 0;
        }
        let mss = u32::from(self.mss_cache).max(1);
        let mut segs = 1;
        if len > mss {
            segs = len.div_ceil(mss);
        } else if self.tlp_high_seq == Some(block.end) {
            ack.told.set(Told::DSACK_TLP);
        }
        self.stats.dsack_dups = self.stats.dsack_dups.wrapping_add(segs);
        if self.stats.dsack_dups > self.stats.total_retrans {
            return 0;
        }
        // Loss probes are sent by a timer: they say nothing of the reordering window.
        if self.reord_seen != 0 && !ack.told.has(Told::DSACK_TLP) {
            self.rack.dsack_seen = true;
        }
        ack.told.set(Told::DSACKING_ACK);
        ack.sack_delivered = ack.sack_delivered.saturating_add(segs);
        segs
    }

    /// A segment at `low` arrived after later ones, and was never retransmitted: the network reorders,
    /// by that many segments at least.
    ///
    /// Mirrors [`tcp_check_sack_reordering`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn check_sack_reordering<E: Env>(&mut self, env: &mut E, low: SeqNum, ts: bool) {
        let fack = self.highest_sack_seq();
        if !low.before(fack) {
            return;
        }
        let mss = u32::from(self.mss_cache).max(1);
        let metric = fack.since(low);
        if metric > self.reordering.saturating_mul(mss) {
            self.reordering = metric.div_ceil(mss).min(max_reordering(env));
        }
        self.reord_seen = self.reord_seen.saturating_add(1);
        env.count(if ts {
            Counter::TcpTsReorder
        } else {
            Counter::TcpSackReorder
        });
    }

    /// A segment is taken for lost, or its retransmission is.
    ///
    /// Mirrors [`tcp_mark_skb_lost`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn mark_skb_lost<E: Env>(&mut self, env: &mut E, cb: &mut Cb) {
        if cb.marks.has(Marks::SACKED) {
            return;
        }
        let segs = cb.pcount();
        // Before the counts change: is it the next one to be sent again?
        let earlier = match self.retransmit_hint {
            Some(hint) => cb.seq.before(hint),
            None => self.retrans_out >= self.lost_out,
        };
        if earlier {
            self.retransmit_hint = Some(cb.seq);
        }
        if !cb.marks.has(Marks::LOST) {
            cb.marks.set(Marks::LOST);
            self.lost_out = self.lost_out.saturating_add(segs);
        } else if cb.marks.has(Marks::RETRANS) {
            cb.marks.clear(Marks::RETRANS);
            self.retrans_out = self.retrans_out.saturating_sub(segs);
            env.count(Counter::TcpLostRetransmit);
        } else {
            return;
        }
        self.stats.lost = self.stats.lost.wrapping_add(segs);
    }
}

/// The largest degree of reordering that is believed.
pub(super) fn max_reordering<E: Env>(env: &E) -> u32 {
    env.sysctl().tcp_max_reordering().max(1).unsigned_abs()
}
