// SPDX-License-Identifier: GPL-2.0
//! Packets ordered by sequence number, in a red-black tree through the packets themselves.
//!
//! C header: [`include/linux/rbtree.h`](srctree/include/linux/rbtree.h)

use super::skbuff::{
    SkBuff,
    Skb, //
};
use crate::{
    bindings,
    stack::tcp::SeqNum, //
};
use core::ptr::{
    addr_of_mut,
    null_mut, //
};

/// Packets ordered by the first sequence number in their control block (`Cb::seq`), all within half the
/// sequence space (`sk->tcp_rtx_queue`, `tp->out_of_order_queue`). Every operation is O(log n).
///
/// # Invariants
///
/// The tree's nodes are the `rbnode`s of packets to each of which the tree owns one reference, in the
/// order of the signed distance of their `seq`. A node's `rb_left` lies where `skb->dev` does, so the
/// device is unknown while a packet is in a tree and null afterwards. The root is not referred to by
/// any node: the value may move.
pub struct SkbTree {
    root: bindings::rb_root,
}

// SAFETY: The packets are owned exclusively, and a packet may go to another CPU (`Skb: Send`).
unsafe impl Send for SkbTree {}
// SAFETY: Through `&SkbTree` packets and links are only read.
unsafe impl Sync for SkbTree {}

impl core::fmt::Debug for SkbTree {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "SkbTree(empty {})", self.is_empty())
    }
}

impl Default for SkbTree {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for SkbTree {
    #[inline]
    fn drop(&mut self) {
        if !self.is_empty() {
            self.clear();
        }
    }
}

/// The packet whose node `n` is: the node is the structure's first field.
#[inline]
fn packet(n: *mut bindings::rb_node) -> *mut bindings::sk_buff {
    const {
        assert!(core::mem::offset_of!(bindings::sk_buff, __bindgen_anon_1) == 0);
    }
    n.cast()
}

/// By how much `seq` is behind the first sequence number of the packet at `n`; negative if before.
///
/// # Safety
///
/// `n` must be a node of a tree that the caller holds.
#[inline]
unsafe fn distance(seq: SeqNum, n: *mut bindings::rb_node) -> i32 {
    // SAFETY: A node of the tree is a live packet (type invariant of `SkbTree`).
    seq.diff(unsafe { SkBuff::from_ptr(packet(n)) }.tcp_cb().seq)
}

impl SkbTree {
    /// An empty tree.
    #[inline]
    pub const fn new() -> Self {
        SkbTree {
            root: bindings::rb_root {
                rb_node: null_mut(),
            },
        }
    }

    /// Whether there are no packets.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.root.rb_node.is_null()
    }

    /// Inserts a packet. Gives it back if one with the same first sequence number is there.
    pub fn insert(&mut self, skb: Skb) -> Result<(), Skb> {
        let seq = skb.tcp_cb().seq;
        let mut parent: *mut bindings::rb_node = null_mut();
        let mut link = addr_of_mut!(self.root.rb_node);
        // SAFETY: `link` is the root's or a node's link, and what it leads to is a node of the tree.
        unsafe {
            while !(*link).is_null() {
                parent = *link;
                link = match distance(seq, parent) {
                    0 => return Err(skb),
                    d if d < 0 => addr_of_mut!((*parent).rb_left),
                    _ => addr_of_mut!((*parent).rb_right),
                };
            }
            // INVARIANT: The packet's reference passes to the tree, at the place of its number.
            let node = skb.into_raw().cast::<bindings::rb_node>();
            node.write(bindings::rb_node {
                __rb_parent_color: parent as _,
                rb_right: null_mut(),
                rb_left: null_mut(),
            });
            *link = node;
            bindings::rb_insert_color(node, &mut self.root);
        }
        Ok(())
    }

    /// The node with the lowest number; null in an empty tree.
    #[inline]
    fn first_node(&self) -> *mut bindings::rb_node {
        let mut n = self.root.rb_node;
        // SAFETY: What a link leads to is a node of the tree.
        unsafe {
            while !n.is_null() && !(*n).rb_left.is_null() {
                n = (*n).rb_left;
            }
        }
        n
    }

    /// The node with the highest number; null in an empty tree.
    #[inline]
    fn last_node(&self) -> *mut bindings::rb_node {
        let mut n = self.root.rb_node;
        // SAFETY: What a link leads to is a node of the tree.
        unsafe {
            while !n.is_null() && !(*n).rb_right.is_null() {
                n = (*n).rb_right;
            }
        }
        n
    }

    /// The packet with the lowest sequence number.
    #[inline]
    pub fn first(&self) -> Option<&SkBuff> {
        let n = self.first_node();
        // SAFETY: The tree owns the packet, and is borrowed for as long as the result.
        (!n.is_null()).then(|| unsafe { SkBuff::from_ptr(packet(n)) })
    }

    /// The packet with the highest sequence number.
    #[inline]
    pub fn last(&self) -> Option<&SkBuff> {
        let n = self.last_node();
        // SAFETY: The tree owns the packet, and is borrowed for as long as the result.
        (!n.is_null()).then(|| unsafe { SkBuff::from_ptr(packet(n)) })
    }

    /// The packet with the lowest sequence number, to be changed: not its `Cb::seq` beyond its neighbours'.
    #[inline]
    pub fn first_mut(&mut self) -> Option<&mut SkBuff> {
        let n = self.first_node();
        // SAFETY: The tree owns the packet, and is borrowed exclusively for as long as the result.
        (!n.is_null()).then(|| unsafe { SkBuff::from_ptr_mut(packet(n)) })
    }

    /// The packet with the highest sequence number, to be changed.
    #[inline]
    pub fn last_mut(&mut self) -> Option<&mut SkBuff> {
        let n = self.last_node();
        // SAFETY: The tree owns the packet, and is borrowed exclusively for as long as the result.
        (!n.is_null()).then(|| unsafe { SkBuff::from_ptr_mut(packet(n)) })
    }

    /// Calls `f` on every packet in order, without changing that order.
    pub fn for_each_mut(&mut self, mut f: impl FnMut(&mut SkBuff)) {
        let mut n = self.first_node();
        while !n.is_null() {
            // SAFETY: The tree owns the packet and is borrowed exclusively.
            f(unsafe { SkBuff::from_ptr_mut(packet(n)) });
            // SAFETY: A node of this tree.
            n = unsafe { bindings::rb_next(n) };
        }
    }

    /// Takes a packet out of the tree.
    ///
    /// # Safety
    ///
    /// `n` must be a node of this tree.
    #[inline]
    unsafe fn erase(&mut self, n: *mut bindings::rb_node) -> Skb {
        // SAFETY: A node of this tree; the packet's reference passes to the result, and it stands in no
        // list once its links, which also are where the device was, are null.
        unsafe {
            bindings::rb_erase(n, &mut self.root);
            n.write(bindings::rb_node {
                __rb_parent_color: 0,
                rb_right: null_mut(),
                rb_left: null_mut(),
            });
            Skb::from_raw(packet(n))
        }
    }

    /// Takes the packet with the lowest sequence number.
    #[inline]
    pub fn pop_first(&mut self) -> Option<Skb> {
        let n = self.first_node();
        // SAFETY: Unless null, a node of this tree.
        (!n.is_null()).then(|| unsafe { self.erase(n) })
    }

    /// Takes the packet with the highest sequence number.
    #[inline]
    pub fn pop_last(&mut self) -> Option<Skb> {
        let n = self.last_node();
        // SAFETY: Unless null, a node of this tree.
        (!n.is_null()).then(|| unsafe { self.erase(n) })
    }

    /// The last node whose number is at or before `seq`, and the first whose number is after it.
    fn around(&self, seq: SeqNum) -> (*mut bindings::rb_node, *mut bindings::rb_node) {
        let (mut before, mut after) = (null_mut(), null_mut());
        let mut n = self.root.rb_node;
        // SAFETY: What a link leads to is a node of the tree.
        unsafe {
            while !n.is_null() {
                if distance(seq, n) < 0 {
                    after = n;
                    n = (*n).rb_left;
                } else {
                    before = n;
                    n = (*n).rb_right;
                }
            }
        }
        (before, after)
    }

    /// The last packet that begins at or before `seq`.
    pub fn at_or_before(&mut self, seq: SeqNum) -> Option<&mut SkBuff> {
        let (n, _) = self.around(seq);
        // SAFETY: The tree owns the packet, and is borrowed exclusively for as long as the result.
        (!n.is_null()).then(|| unsafe { SkBuff::from_ptr_mut(packet(n)) })
    }

    /// The first packet that begins after `seq`.
    pub fn after(&mut self, seq: SeqNum) -> Option<&mut SkBuff> {
        let (_, n) = self.around(seq);
        // SAFETY: The tree owns the packet, and is borrowed exclusively for as long as the result.
        (!n.is_null()).then(|| unsafe { SkBuff::from_ptr_mut(packet(n)) })
    }

    /// Takes the packet that begins exactly at `seq`.
    pub fn remove(&mut self, seq: SeqNum) -> Option<Skb> {
        let (n, _) = self.around(seq);
        // SAFETY: Unless null, a node of this tree.
        unsafe { (!n.is_null() && distance(seq, n) == 0).then(|| self.erase(n)) }
    }

    /// Frees everything.
    pub fn clear(&mut self) {
        while let Some(skb) = self.pop_first() {
            drop(skb);
        }
    }
}
