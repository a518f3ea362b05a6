// SPDX-License-Identifier: GPL-2.0
//! Selective acknowledgements as values, and as the receiver makes them (RFC 2018, RFC 2883).

use super::{seq::SeqNum, sock::Sock};
use crate::stack::{counters::Counter, env::Env};

/// Bytes `[start, end)` of the sequence space that lie beyond a gap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SackBlock {
    /// The first byte's number.
    pub start: SeqNum,
    /// The number after the last byte's.
    pub end: SeqNum,
}

impl SackBlock {
    fn touches(&self, other: SackBlock) -> bool {
        !other.start.after(self.end) && !self.start.after(other.end)
    }

    /// Takes `other` in if the two touch or overlap. Returns whether they did.
    ///
    /// Mirrors [`tcp_sack_extend`](srctree/net/ipv4/tcp_input.c).
    fn extend(&mut self, other: SackBlock) -> bool {
        if !self.touches(other) {
            return false;
        }
        if other.start.before(self.start) {
            self.start = other.start;
        }
        self.end = self.end.later(other.end);
        true
    }
}

/// Blocks that fit into the 40 bytes of options (`TCP_NUM_SACKS`).
pub(super) const NUM_SACKS: usize = 4;

/// So many blocks fit into every acknowledgement, time stamps or not, with one to spare for what is lost
/// (`TCP_SACK_BLOCKS_EXPECTED`).
const SACK_BLOCKS_EXPECTED: usize = 2;

/// Up to [`NUM_SACKS`] blocks, the most recently changed one first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SackList {
    blocks: [SackBlock; NUM_SACKS],
    len: u8,
}

impl SackList {
    /// The blocks.
    #[inline]
    pub fn blocks(&self) -> &[SackBlock] {
        self.blocks.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Number of blocks.
    #[inline]
    pub fn len(&self) -> u8 {
        self.len
    }

    /// Whether there are no blocks.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets all blocks.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// Appends a block; one too many is left out.
    #[inline]
    pub(super) fn push(&mut self, block: SackBlock) {
        if let Some(slot) = self.blocks.get_mut(usize::from(self.len)) {
            *slot = block;
            self.len = self.len.saturating_add(1);
        }
    }

    /// Puts a block at place `at`; if there is no room, the last one is forgotten.
    fn insert(&mut self, at: usize, block: SackBlock) {
        if usize::from(self.len) < NUM_SACKS {
            self.len = self.len.saturating_add(1);
        }
        if let Some(tail @ [_, ..]) = self.blocks.get_mut(at..) {
            tail.rotate_right(1);
            if let Some(slot) = tail.first_mut() {
                *slot = block;
            }
        }
    }

    /// The blocks in the order of their distance from `una`.
    pub(super) fn sorted(&self, una: SeqNum) -> SackList {
        let mut out = SackList::default();
        for block in self.blocks() {
            let key = block.start.since(una);
            let at = out
                .blocks()
                .iter()
                .filter(|b| b.start.since(una) <= key)
                .count();
            out.insert(at, *block);
        }
        out
    }

    /// The place of the block that touches `block`, or of a further one.
    fn place(&self, block: SackBlock) -> usize {
        let blocks = self.blocks();
        let at = blocks.iter().position(|b| b.touches(block));
        at.unwrap_or(blocks.len())
    }

    /// Keeps the blocks for which `keep` holds, in their order.
    fn retain(&mut self, mut keep: impl FnMut(&SackBlock) -> bool) {
        let mut out = SackList::default();
        for block in self.blocks() {
            if keep(block) {
                out.push(*block);
            }
        }
        *self = out;
    }

    /// `[start, end)` arrived out of order: its block comes first, and takes in what it touches.
    ///
    /// RFC 2018, 4: "the first SACK block [...] MUST specify the contiguous block of data containing the
    /// segment which triggered this ACK". Mirrors
    /// [`tcp_sack_new_ofo_skb`, `tcp_sack_maybe_coalesce`](srctree/net/ipv4/tcp_input.c).
    fn new_ofo(&mut self, block: SackBlock) {
        let at = self
            .blocks
            .iter_mut()
            .take(usize::from(self.len))
            .position(|b| b.extend(block));
        let Some(at) = at else {
            self.insert(0, block);
            return;
        };
        if let Some(upto @ [_, ..]) = self.blocks.get_mut(..=at) {
            upto.rotate_right(1);
        }
        let Some((first, rest)) = self.blocks().split_first() else {
            return;
        };
        let mut first = *first;
        let mut out = SackList::default();
        out.push(first);
        for block in rest {
            if !first.extend(*block) {
                out.push(*block);
            }
        }
        if let Some(slot) = out.blocks.first_mut() {
            *slot = first;
        }
        *self = out;
    }
}

impl Sock {
    /// A segment beyond a gap was queued.
    ///
    /// Mirrors [`tcp_sack_new_ofo_skb`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn sack_new_ofo<E: Env>(&mut self, env: &mut E, start: SeqNum, end: SeqNum) {
        if !self.sack_ok {
            return;
        }
        let block = SackBlock { start, end };
        // An acknowledgement has room for few blocks, and may be lost: what waits to be told must be told before the
        // newest ones hide it.
        if self.compressed_ack != 0 && self.selective_acks.place(block) >= SACK_BLOCKS_EXPECTED {
            self.compress_send_ack(env);
        }
        self.selective_acks.new_ofo(block);
    }

    /// RCV.NXT has advanced: blocks that it covers are told no more.
    ///
    /// Mirrors [`tcp_sack_remove`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn sack_remove(&mut self) {
        if self.selective_acks.is_empty() {
            return;
        }
        let rcv_nxt = self.rcv_nxt;
        if self.ooo.is_empty() {
            self.selective_acks.clear();
        } else {
            self.selective_acks.retain(|b| b.start.after(rcv_nxt));
        }
    }

    /// `[start, end)` came twice: the next ACK says so.
    ///
    /// RFC 2883, 4. Mirrors [`tcp_dsack_set`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn dsack_set<E: Env>(&mut self, env: &mut E, start: SeqNum, end: SeqNum) {
        if !self.sack_ok || env.sysctl().tcp_dsack() == 0 {
            return;
        }
        env.count(if start.before(self.rcv_nxt) {
            Counter::TcpDsackOldSent
        } else {
            Counter::TcpDsackOfoSent
        });
        self.dsack = Some(SackBlock { start, end });
    }

    /// The same for one more piece of the segment that came twice.
    ///
    /// Mirrors [`tcp_dsack_extend`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn dsack_extend<E: Env>(&mut self, env: &mut E, start: SeqNum, end: SeqNum) {
        match &mut self.dsack {
            Some(block) => {
                let _ = block.extend(SackBlock { start, end });
            }
            None => self.dsack_set(env, start, end),
        }
    }

    /// Whether the next ACK has blocks to tell of.
    #[inline]
    pub(super) fn has_sacks(&self) -> bool {
        !self.selective_acks.is_empty() || self.dsack.is_some()
    }

    /// Blocks that the next ACK has to tell, and how many of them fit behind `used` bytes of options.
    ///
    /// Mirrors [`tcp_established_options`](srctree/net/ipv4/tcp_output.c).
    #[inline]
    pub(super) fn eff_sacks(&self, used: usize) -> SackList {
        let mut out = SackList::default();
        if !self.has_sacks() {
            return out;
        }
        let room = 40usize.saturating_sub(used).saturating_sub(4) / 8;
        for block in self.dsack.iter().chain(self.selective_acks.blocks()) {
            if usize::from(out.len()) < room {
                out.push(*block);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(start: u32, end: u32) -> SackBlock {
        SackBlock {
            start: SeqNum::new(start),
            end: SeqNum::new(end),
        }
    }

    fn list(blocks: &[(u32, u32)]) -> SackList {
        let mut l = SackList::default();
        for (s, e) in blocks {
            l.push(block(*s, *e));
        }
        l
    }

    fn pairs(l: &SackList) -> Vec<(u32, u32)> {
        l.blocks()
            .iter()
            .map(|b| (b.start.get(), b.end.get()))
            .collect()
    }

    #[test]
    fn push__one_too_many_is_left_out() {
        let l = list(&[(1, 2), (3, 4), (5, 6), (7, 8), (9, 10)]);
        assert_eq!(pairs(&l), [(1, 2), (3, 4), (5, 6), (7, 8)]);
    }

    #[test]
    fn new_ofo__the_newest_is_first() {
        let mut l = SackList::default();
        l.new_ofo(block(10, 20));
        l.new_ofo(block(30, 40));
        assert_eq!(pairs(&l), [(30, 40), (10, 20)]);
        l.new_ofo(block(20, 25));
        assert_eq!(pairs(&l), [(10, 25), (30, 40)]);
    }

    #[test]
    fn new_ofo__what_it_touches_is_taken_in() {
        let mut l = list(&[(50, 60), (30, 40), (10, 20)]);
        l.new_ofo(block(20, 30));
        assert_eq!(pairs(&l), [(10, 40), (50, 60)]);
    }

    #[test]
    fn new_ofo__the_fifth_pushes_out_the_oldest() {
        let mut l = list(&[(70, 80), (50, 60), (30, 40), (10, 20)]);
        l.new_ofo(block(90, 95));
        assert_eq!(pairs(&l), [(90, 95), (70, 80), (50, 60), (30, 40)]);
    }

    #[test]
    fn new_ofo__across_the_wrap() {
        let mut l = list(&[(u32::MAX - 9, u32::MAX)]);
        l.new_ofo(block(u32::MAX, 5));
        assert_eq!(pairs(&l), [(u32::MAX - 9, 5)]);
    }

    #[test]
    fn sorted__by_distance_and_across_the_wrap() {
        let l = list(&[(5, 8), (u32::MAX - 3, u32::MAX), (1, 2)]);
        assert_eq!(
            pairs(&l.sorted(SeqNum::new(u32::MAX - 50))),
            [(u32::MAX - 3, u32::MAX), (1, 2), (5, 8)]
        );
    }

    #[test]
    fn retain__keeps_the_order() {
        let mut l = list(&[(70, 80), (10, 20), (30, 40)]);
        l.retain(|b| b.start.after(SeqNum::new(20)));
        assert_eq!(pairs(&l), [(70, 80), (30, 40)]);
    }
}
