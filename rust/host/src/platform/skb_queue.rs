// SPDX-License-Identifier: GPL-2.0
//! What holds many packets in the host build: a queue, and a tree by sequence number.
//!
//! A queue lends its packets as `&mut SkBuff`, never as `&mut Skb`: an owner that could be exchanged in
//! place would take the links of an intrusive queue with it.

use super::{
    SkBuff,
    Skb, //
};
use crate::stack::tcp::SeqNum;
use std::collections::VecDeque;

/// An owning queue of packets in order (`struct sk_buff_head` without its lock).
#[derive(Debug, Default)]
pub struct SkbQueue(VecDeque<Skb>);

impl SkbQueue {
    /// An empty queue.
    pub const fn new() -> Self {
        SkbQueue(VecDeque::new())
    }

    /// Number of packets.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no packets.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends a packet. O(1), never fails: the links are in the packet.
    pub fn push_back(&mut self, skb: Skb) {
        self.0.push_back(skb);
    }

    /// Prepends a packet.
    pub fn push_front(&mut self, skb: Skb) {
        self.0.push_front(skb);
    }

    /// Takes the first packet.
    pub fn pop_front(&mut self) -> Option<Skb> {
        self.0.pop_front()
    }

    /// Takes the last packet.
    pub fn pop_back(&mut self) -> Option<Skb> {
        self.0.pop_back()
    }

    /// The first packet.
    pub fn front(&self) -> Option<&SkBuff> {
        self.0.front().map(|s| &**s)
    }

    /// The first packet, to be changed.
    pub fn front_mut(&mut self) -> Option<&mut SkBuff> {
        self.0.front_mut().map(|s| &mut **s)
    }

    /// The last packet.
    pub fn back(&self) -> Option<&SkBuff> {
        self.0.back().map(|s| &**s)
    }

    /// The last packet, to be changed.
    pub fn back_mut(&mut self) -> Option<&mut SkBuff> {
        self.0.back_mut().map(|s| &mut **s)
    }

    /// The packets in order.
    pub fn iter(&self) -> impl Iterator<Item = &SkBuff> {
        self.0.iter().map(|s| &**s)
    }

    /// A cursor on the first packet.
    pub fn cursor_front(&mut self) -> Cursor<'_> {
        Cursor { q: self, at: 0 }
    }

    /// Frees everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// A position in a queue at which packets can be changed, inserted and removed in O(1).
#[derive(Debug)]
pub struct Cursor<'a> {
    q: &'a mut SkbQueue,
    at: usize,
}

impl Cursor<'_> {
    /// The packet here; `None` past the end.
    pub fn current(&mut self) -> Option<&mut SkBuff> {
        self.q.0.get_mut(self.at).map(|s| &mut **s)
    }

    /// Goes to the next packet.
    pub fn move_next(&mut self) {
        if self.at < self.q.0.len() {
            self.at += 1;
        }
    }

    /// Takes the packet here out of the queue; the cursor is then on the one behind it.
    pub fn remove(&mut self) -> Option<Skb> {
        self.q.0.remove(self.at)
    }

    /// Inserts `skb` behind the packet here; at the end if the cursor is past it.
    pub fn insert_after(&mut self, skb: Skb) {
        let at = (self.at + 1).min(self.q.0.len());
        self.q.0.insert(at, skb);
    }
}

/// Packets ordered by the first sequence number in their control block (`Cb::seq`), all within half
/// the sequence space (`tp->out_of_order_queue`'s rb-tree). Every operation is O(log n).
#[derive(Debug, Default)]
pub struct SkbTree {
    /// Sorted by the packets' present numbers: those of the first one move as it is trimmed.
    skbs: VecDeque<Skb>,
}

impl SkbTree {
    /// An empty tree.
    pub const fn new() -> Self {
        SkbTree {
            skbs: VecDeque::new(),
        }
    }

    /// Whether there are no packets.
    pub fn is_empty(&self) -> bool {
        self.skbs.is_empty()
    }

    /// How many packets begin at or before `seq`.
    fn upto(&self, seq: SeqNum) -> usize {
        self.skbs.partition_point(|s| !s.tcp_cb().seq.after(seq))
    }

    /// Inserts a packet. Gives it back if one with the same first sequence number is there.
    pub fn insert(&mut self, skb: Skb) -> Result<(), Skb> {
        let seq = skb.tcp_cb().seq;
        let at = self.upto(seq);
        if at > 0 && self.skbs[at - 1].tcp_cb().seq == seq {
            return Err(skb);
        }
        self.skbs.insert(at, skb);
        Ok(())
    }

    /// The packet with the lowest sequence number.
    pub fn first(&self) -> Option<&SkBuff> {
        self.skbs.front().map(|s| &**s)
    }

    /// The packet with the highest sequence number.
    pub fn last(&self) -> Option<&SkBuff> {
        self.skbs.back().map(|s| &**s)
    }

    /// The packet with the lowest sequence number, to be changed: not its `Cb::seq` beyond its neighbours'.
    pub fn first_mut(&mut self) -> Option<&mut Skb> {
        self.skbs.front_mut()
    }

    /// The packet with the highest sequence number, to be changed.
    pub fn last_mut(&mut self) -> Option<&mut Skb> {
        self.skbs.back_mut()
    }

    /// Calls `f` on every packet in order, without changing that order.
    pub fn for_each_mut(&mut self, mut f: impl FnMut(&mut SkBuff)) {
        for skb in &mut self.skbs {
            f(skb);
        }
    }

    /// Takes the packet with the lowest sequence number.
    pub fn pop_first(&mut self) -> Option<Skb> {
        self.skbs.pop_front()
    }

    /// Takes the packet with the highest sequence number.
    pub fn pop_last(&mut self) -> Option<Skb> {
        self.skbs.pop_back()
    }

    /// The last packet that begins at or before `seq`.
    pub fn at_or_before(&mut self, seq: SeqNum) -> Option<&mut SkBuff> {
        let at = self.upto(seq).checked_sub(1)?;
        self.skbs.get_mut(at).map(|s| &mut **s)
    }

    /// The first packet that begins after `seq`.
    pub fn after(&mut self, seq: SeqNum) -> Option<&mut SkBuff> {
        let at = self.upto(seq);
        self.skbs.get_mut(at).map(|s| &mut **s)
    }

    /// Takes the packet that begins exactly at `seq`.
    pub fn remove(&mut self, seq: SeqNum) -> Option<Skb> {
        let at = self.upto(seq).checked_sub(1)?;
        if self.skbs[at].tcp_cb().seq != seq {
            return None;
        }
        self.skbs.remove(at)
    }

    /// Frees everything.
    pub fn clear(&mut self) {
        self.skbs.clear();
    }

    /// The packet with that identity.
    pub(super) fn find(&mut self, id: u64) -> Option<&mut SkBuff> {
        self.skbs.iter_mut().find(|s| s.id == id).map(|s| &mut **s)
    }
}
