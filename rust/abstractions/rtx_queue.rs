// SPDX-License-Identifier: GPL-2.0
//! What was sent and is not acknowledged: ordered by sequence number, and by the time it was last sent.
//!
//! C headers: [`include/net/tcp.h`](srctree/include/net/tcp.h) (`tcp_rtx_queue`,
//! `tsorted_sent_queue`)

use super::{
    skb_tree::SkbTree,
    skbuff::{
        SkBuff,
        Skb, //
    }, //
};
use crate::{
    bindings,
    stack::tcp::SeqNum, //
};
use core::ptr::{
    addr_of_mut,
    null_mut, //
};

/// The retransmission queue of a connection (`sk->tcp_rtx_queue`), and the order in which its packets
/// were last sent (`tp->tsorted_sent_queue`). A packet may be missing in the latter: it reached the
/// peer, or is taken for lost and not yet sent again.
///
/// # Invariants
///
/// `oldest` and `newest` are the ends of a list, both null if it is empty, through the
/// `tcp_tsorted_anchor`s of packets that `tree` owns: `next` and `prev` of an anchor point to the packets
/// sent next and before, null at the ends. The anchors of packets of the tree outside the list are
/// null. An anchor lies where a packet's route and destructor do: both are null outside the tree, and
/// a packet in a tree has neither. Nothing refers to the value itself: it may move.
pub struct RtxQueue {
    tree: SkbTree,
    oldest: *mut bindings::sk_buff,
    newest: *mut bindings::sk_buff,
}

// SAFETY: The list links packets that the tree owns exclusively (type invariant).
unsafe impl Send for RtxQueue {}
// SAFETY: Through `&RtxQueue` packets and links are only read.
unsafe impl Sync for RtxQueue {}

impl Default for RtxQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for RtxQueue {
    #[inline]
    fn drop(&mut self) {
        if !self.is_empty() {
            self.clear();
        }
    }
}

/// The links of the packet at `p` in the order of sending.
///
/// # Safety
///
/// `p` must be a live packet that is exclusively the caller's, without a route and a destructor.
#[inline]
unsafe fn anchor(p: *mut bindings::sk_buff) -> *mut bindings::list_head {
    // SAFETY: By the contract the union holds the anchor, or is null in each of its shapes.
    unsafe { addr_of_mut!((*p).__bindgen_anon_3.tcp_tsorted_anchor) }
}

impl RtxQueue {
    /// An empty queue.
    #[inline]
    pub const fn new() -> Self {
        RtxQueue {
            tree: SkbTree::new(),
            oldest: null_mut(),
            newest: null_mut(),
        }
    }

    /// Whether there are no packets.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.tree.is_empty()
    }

    /// The packet with the lowest sequence number.
    #[inline]
    pub fn first(&self) -> Option<&SkBuff> {
        self.tree.first()
    }

    /// The packet with the lowest sequence number, to be changed: not its `Cb::seq` beyond its neighbours'.
    #[inline]
    pub fn first_mut(&mut self) -> Option<&mut SkBuff> {
        self.tree.first_mut()
    }

    /// The packet with the highest sequence number.
    #[inline]
    pub fn last(&self) -> Option<&SkBuff> {
        self.tree.last()
    }

    /// The packet with the highest sequence number, to be changed.
    #[inline]
    pub fn last_mut(&mut self) -> Option<&mut SkBuff> {
        self.tree.last_mut()
    }

    /// The last packet that begins at or before `seq`.
    #[inline]
    pub fn at_or_before(&mut self, seq: SeqNum) -> Option<&mut SkBuff> {
        self.tree.at_or_before(seq)
    }

    /// The first packet that begins after `seq`.
    #[inline]
    pub fn after(&mut self, seq: SeqNum) -> Option<&mut SkBuff> {
        self.tree.after(seq)
    }

    /// Calls `f` on every packet in the order of numbers, without changing that order.
    pub fn for_each_mut(&mut self, f: impl FnMut(&mut SkBuff)) {
        self.tree.for_each_mut(f)
    }

    /// Adds a packet that was sent just now. Gives it back if one with the same first number is there.
    pub fn insert(&mut self, skb: Skb) -> Result<(), Skb> {
        let p = skb.as_ptr();
        self.tree.insert(skb)?;
        let after = self.newest;
        // SAFETY: The tree owns the packet now; it stands nowhere in the list.
        unsafe { self.link(p, after) };
        Ok(())
    }

    /// Adds the rest of a packet that was cut in two, whose first part begins at `seq`. It was sent when
    /// that was. Gives it back if one with the same first number is there.
    pub fn insert_rest(&mut self, rest: Skb, seq: SeqNum) -> Result<(), Skb> {
        let p = rest.as_ptr();
        self.tree.insert(rest)?;
        if let Some(front) = self.tree.at_or_before(seq) {
            let front = front.as_ptr();
            if self.listed(front) {
                // SAFETY: The tree owns both; the new one stands nowhere in the list.
                unsafe { self.link(p, front) };
            }
        }
        Ok(())
    }

    /// The packet that begins exactly at `seq`.
    #[inline]
    fn exactly(&mut self, seq: SeqNum) -> Option<*mut bindings::sk_buff> {
        let skb = self.tree.at_or_before(seq)?;
        (skb.tcp_cb().seq == seq).then(|| skb.as_ptr())
    }

    /// The packet that begins at `seq` was sent again: it is the last one sent now.
    ///
    /// Mirrors [`tcp_update_skb_after_send`](srctree/net/ipv4/tcp_output.c)
    pub fn resent(&mut self, seq: SeqNum) {
        if let Some(p) = self.exactly(seq) {
            self.unlink(p);
            let after = self.newest;
            // SAFETY: The tree owns the packet, which stands nowhere in the list.
            unsafe { self.link(p, after) };
        }
    }

    /// Takes the packet that begins at `seq` out of the order of sending: when it was sent tells nothing
    /// any more.
    pub fn forget_sent(&mut self, seq: SeqNum) {
        if let Some(p) = self.exactly(seq) {
            self.unlink(p);
        }
    }

    /// Walks in the order of sending, the longest ago first.
    #[inline]
    pub fn sent_order(&mut self) -> SentOrder<'_> {
        SentOrder {
            next: self.oldest,
            cur: null_mut(),
            queue: self,
        }
    }

    /// Takes the packet with the lowest sequence number.
    #[inline]
    pub fn pop_first(&mut self) -> Option<Skb> {
        let p = self.tree.first_mut()?.as_ptr();
        self.unlink(p);
        self.tree.pop_first()
    }

    /// Takes the packet that begins exactly at `seq`.
    pub fn remove(&mut self, seq: SeqNum) -> Option<Skb> {
        let p = self.exactly(seq)?;
        self.unlink(p);
        self.tree.remove(seq)
    }

    /// Frees everything.
    pub fn clear(&mut self) {
        while let Some(skb) = self.pop_first() {
            drop(skb);
        }
    }

    /// Whether a packet of the tree stands in the list.
    #[inline]
    fn listed(&self, p: *mut bindings::sk_buff) -> bool {
        // SAFETY: The tree owns the packet (the callers' `p` comes from it).
        p == self.oldest || unsafe { !(*anchor(p)).prev.is_null() }
    }

    /// Puts `p` into the list behind `after`, or in front if that is null.
    ///
    /// # Safety
    ///
    /// Both are packets of the tree, `p` outside the list and `after`, unless null, in it.
    #[inline]
    unsafe fn link(&mut self, p: *mut bindings::sk_buff, after: *mut bindings::sk_buff) {
        // SAFETY: By the contract, and the list's links lead to packets of the tree.
        unsafe {
            let next = if after.is_null() {
                self.oldest
            } else {
                (*anchor(after)).next.cast()
            };
            // INVARIANT: Both neighbours and the ends are made to agree.
            anchor(p).write(bindings::list_head {
                next: next.cast(),
                prev: after.cast(),
            });
            if after.is_null() {
                self.oldest = p;
            } else {
                (*anchor(after)).next = p.cast();
            }
            if next.is_null() {
                self.newest = p;
            } else {
                (*anchor(next)).prev = p.cast();
            }
        }
    }

    /// Takes `p`, a packet of the tree, out of the list if it is in it.
    #[inline]
    fn unlink(&mut self, p: *mut bindings::sk_buff) {
        if !self.listed(p) {
            return;
        }
        // SAFETY: `p` and what its links lead to are packets of the tree (type invariant).
        unsafe {
            let next: *mut bindings::sk_buff = (*anchor(p)).next.cast();
            let prev: *mut bindings::sk_buff = (*anchor(p)).prev.cast();
            // INVARIANT: Both neighbours and the ends are made to agree, and the anchor is null again.
            if prev.is_null() {
                self.oldest = next;
            } else {
                (*anchor(prev)).next = next.cast();
            }
            if next.is_null() {
                self.newest = prev;
            } else {
                (*anchor(next)).prev = prev.cast();
            }
            anchor(p).write(bindings::list_head {
                next: null_mut(),
                prev: null_mut(),
            });
        }
    }
}

/// A walk over a [`RtxQueue`] in the order of sending.
///
/// # Invariants
///
/// `next` and `cur` are null or packets of the queue's list; the queue is borrowed exclusively.
pub struct SentOrder<'a> {
    queue: &'a mut RtxQueue,
    next: *mut bindings::sk_buff,
    cur: *mut bindings::sk_buff,
}

impl SentOrder<'_> {
    /// The next packet.
    #[inline]
    pub fn advance(&mut self) -> Option<&mut SkBuff> {
        let p = self.next;
        self.cur = p;
        if p.is_null() {
            return None;
        }
        // SAFETY: A packet of the list (type invariant), which the queue owns and is borrowed exclusively.
        unsafe {
            self.next = (*anchor(p)).next.cast();
            Some(SkBuff::from_ptr_mut(p))
        }
    }

    /// Takes the packet that [`SentOrder::next`] returned last out of the order of sending.
    #[inline]
    pub fn forget(&mut self) {
        let p = core::mem::replace(&mut self.cur, null_mut());
        if !p.is_null() {
            self.queue.unlink(p);
        }
    }
}
