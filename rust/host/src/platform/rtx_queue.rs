// SPDX-License-Identifier: GPL-2.0
//! The retransmission queue of the host build: a tree by number, and the order of sending as a list of
//! the packets' identities.

use super::{
    SkBuff,
    Skb,
    SkbTree, //
};
use crate::stack::tcp::SeqNum;

/// What was sent and is not acknowledged: see the kernel's `RtxQueue`.
#[derive(Debug, Default)]
pub struct RtxQueue {
    tree: SkbTree,
    /// The identities of the packets in the order of sending.
    order: Vec<u64>,
}

impl RtxQueue {
    /// An empty queue.
    pub const fn new() -> Self {
        RtxQueue {
            tree: SkbTree::new(),
            order: Vec::new(),
        }
    }

    /// Whether there are no packets.
    pub fn is_empty(&self) -> bool {
        self.tree.is_empty()
    }

    /// The packet with the lowest sequence number.
    pub fn first(&self) -> Option<&SkBuff> {
        self.tree.first()
    }

    /// The packet with the lowest sequence number, to be changed: not its `Cb::seq` beyond its neighbours'.
    pub fn first_mut(&mut self) -> Option<&mut SkBuff> {
        self.tree.first_mut().map(|s| &mut **s)
    }

    /// The packet with the highest sequence number.
    pub fn last(&self) -> Option<&SkBuff> {
        self.tree.last()
    }

    /// The packet with the highest sequence number, to be changed.
    pub fn last_mut(&mut self) -> Option<&mut SkBuff> {
        self.tree.last_mut().map(|s| &mut **s)
    }

    /// The last packet that begins at or before `seq`.
    pub fn at_or_before(&mut self, seq: SeqNum) -> Option<&mut SkBuff> {
        self.tree.at_or_before(seq)
    }

    /// The first packet that begins after `seq`.
    pub fn after(&mut self, seq: SeqNum) -> Option<&mut SkBuff> {
        self.tree.after(seq)
    }

    /// Calls `f` on every packet in the order of numbers, without changing that order.
    pub fn for_each_mut(&mut self, f: impl FnMut(&mut SkBuff)) {
        self.tree.for_each_mut(f)
    }

    /// Adds a packet that was sent just now. Gives it back if one with the same first number is there.
    pub fn insert(&mut self, skb: Skb) -> Result<(), Skb> {
        let id = skb.id;
        self.tree.insert(skb)?;
        self.order.push(id);
        Ok(())
    }

    /// Adds the rest of a packet that was cut in two, whose first part begins at `seq`. It was sent when
    /// that was. Gives it back if one with the same first number is there.
    pub fn insert_rest(&mut self, rest: Skb, seq: SeqNum) -> Result<(), Skb> {
        let id = rest.id;
        self.tree.insert(rest)?;
        let front = self.exactly(seq);
        if let Some(at) = self.order.iter().position(|i| Some(*i) == front) {
            self.order.insert(at + 1, id);
        }
        Ok(())
    }

    fn exactly(&mut self, seq: SeqNum) -> Option<u64> {
        let skb = self.tree.at_or_before(seq)?;
        (skb.tcp_cb().seq == seq).then_some(skb.id)
    }

    /// The packet that begins at `seq` was sent again: it is the last one sent now.
    pub fn resent(&mut self, seq: SeqNum) {
        if let Some(id) = self.exactly(seq) {
            self.order.retain(|i| *i != id);
            self.order.push(id);
        }
    }

    /// Takes the packet that begins at `seq` out of the order of sending.
    pub fn forget_sent(&mut self, seq: SeqNum) {
        if let Some(id) = self.exactly(seq) {
            self.order.retain(|i| *i != id);
        }
    }

    /// Walks in the order of sending, the longest ago first.
    pub fn sent_order(&mut self) -> SentOrder<'_> {
        SentOrder {
            queue: self,
            next: 0,
        }
    }

    /// Takes the packet with the lowest sequence number.
    pub fn pop_first(&mut self) -> Option<Skb> {
        let skb = self.tree.pop_first()?;
        self.order.retain(|i| *i != skb.id);
        Some(skb)
    }

    /// Takes the packet that begins exactly at `seq`.
    pub fn remove(&mut self, seq: SeqNum) -> Option<Skb> {
        let skb = self.tree.remove(seq)?;
        self.order.retain(|i| *i != skb.id);
        Some(skb)
    }

    /// Frees everything.
    pub fn clear(&mut self) {
        self.tree.clear();
        self.order.clear();
    }
}

/// A walk over a [`RtxQueue`] in the order of sending.
#[derive(Debug)]
pub struct SentOrder<'a> {
    queue: &'a mut RtxQueue,
    /// Index of the packet that comes next.
    next: usize,
}

impl SentOrder<'_> {
    /// The next packet.
    pub fn advance(&mut self) -> Option<&mut SkBuff> {
        let id = *self.queue.order.get(self.next)?;
        self.next += 1;
        self.queue.tree.find(id)
    }

    /// Takes the packet that [`SentOrder::advance`] returned last out of the order of sending.
    pub fn forget(&mut self) {
        if let Some(at) = self.next.checked_sub(1) {
            self.queue.order.remove(at);
            self.next = at;
        }
    }
}
