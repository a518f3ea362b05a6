// SPDX-License-Identifier: GPL-2.0
//! An owning queue of packets, linked through the packets themselves.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)
//!
//! `struct sk_buff_head` is a ring through its own address, which a value that moves cannot be; this
//! queue ends in null at both ends instead, and costs the same.

use super::skbuff::{
    SkBuff,
    Skb, //
};
use crate::bindings;
use core::marker::PhantomData;
use core::ptr::null_mut;

/// An owning queue of packets in order (`struct sk_buff_head` without its lock).
///
/// # Invariants
///
/// `head` and `tail` are both null, or the ends of a list of `len` packets linked through `next` and
/// `prev` with null at both ends. The queue owns one reference to each, and nobody else moves them.
pub struct SkbQueue {
    head: *mut bindings::sk_buff,
    tail: *mut bindings::sk_buff,
    len: usize,
}

// SAFETY: The packets are owned exclusively, and a packet may go to another CPU (`Skb: Send`).
unsafe impl Send for SkbQueue {}
// SAFETY: Through `&SkbQueue` packets and links are only read.
unsafe impl Sync for SkbQueue {}

impl core::fmt::Debug for SkbQueue {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "SkbQueue(len {})", self.len)
    }
}

impl Default for SkbQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for SkbQueue {
    #[inline]
    fn drop(&mut self) {
        if !self.head.is_null() {
            self.clear();
        }
    }
}

/// The link to the packet behind `p`.
///
/// # Safety
///
/// `p` must be a live packet that the caller owns.
#[inline]
unsafe fn next<'a>(p: *mut bindings::sk_buff) -> &'a mut *mut bindings::sk_buff {
    // SAFETY: The function's own requirement.
    unsafe { &mut (*p).__bindgen_anon_1.__bindgen_anon_1.next }
}

/// The link to the packet before `p`.
///
/// # Safety
///
/// `p` must be a live packet that the caller owns.
#[inline]
unsafe fn prev<'a>(p: *mut bindings::sk_buff) -> &'a mut *mut bindings::sk_buff {
    // SAFETY: The function's own requirement.
    unsafe { &mut (*p).__bindgen_anon_1.__bindgen_anon_1.prev }
}

/// A packet of a queue, or nothing.
///
/// # Safety
///
/// `p` is null or a live packet that stays so for `'a` and that nobody moves meanwhile.
#[inline]
unsafe fn lend<'a>(p: *mut bindings::sk_buff) -> Option<&'a SkBuff> {
    // SAFETY: The function's own requirement.
    (!p.is_null()).then(|| unsafe { SkBuff::from_ptr(p) })
}

/// A packet of a queue to be changed, or nothing.
///
/// # Safety
///
/// As [`lend`], and nobody else may look at it for `'a`.
#[inline]
unsafe fn lend_mut<'a>(p: *mut bindings::sk_buff) -> Option<&'a mut SkBuff> {
    // SAFETY: The function's own requirement.
    (!p.is_null()).then(|| unsafe { SkBuff::from_ptr_mut(p) })
}

impl SkbQueue {
    /// An empty queue.
    #[inline]
    pub const fn new() -> Self {
        SkbQueue {
            head: null_mut(),
            tail: null_mut(),
            len: 0,
        }
    }

    /// Number of packets.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no packets.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// Links `skb` between `before` and `after`, each null at an end.
    ///
    /// # Safety
    ///
    /// `before` and `after` must be neighbours in this queue, or its ends.
    #[inline]
    unsafe fn link(
        &mut self,
        skb: Skb,
        before: *mut bindings::sk_buff,
        after: *mut bindings::sk_buff,
    ) {
        let p = skb.into_raw();
        // INVARIANT: The packet's reference passes to the queue; both neighbours (or ends) and the packet
        // point at one another afterwards.
        // SAFETY: All of them are live and owned by the queue.
        unsafe {
            *next(p) = after;
            *prev(p) = before;
            match before.is_null() {
                true => self.head = p,
                false => *next(before) = p,
            }
            match after.is_null() {
                true => self.tail = p,
                false => *prev(after) = p,
            }
        }
        self.len = self.len.wrapping_add(1);
    }

    /// Takes `p` out of the queue.
    ///
    /// # Safety
    ///
    /// `p` must be a packet of this queue.
    #[inline]
    unsafe fn unlink(&mut self, p: *mut bindings::sk_buff) -> Skb {
        // INVARIANT: The neighbours (or ends) point at one another afterwards.
        // SAFETY: The packet and its neighbours are live and owned by the queue; the packet's reference
        // passes to the result, and it stands in no list once its links are null.
        unsafe {
            let (before, after) = (*prev(p), *next(p));
            match before.is_null() {
                true => self.head = after,
                false => *next(before) = after,
            }
            match after.is_null() {
                true => self.tail = before,
                false => *prev(after) = before,
            }
            *next(p) = null_mut();
            *prev(p) = null_mut();
            self.len = self.len.wrapping_sub(1);
            Skb::from_raw(p)
        }
    }

    /// Appends a packet. O(1), never fails: the links are in the packet.
    #[inline]
    pub fn push_back(&mut self, skb: Skb) {
        // SAFETY: The tail and null are the end of this queue.
        unsafe { self.link(skb, self.tail, null_mut()) }
    }

    /// Prepends a packet.
    #[inline]
    pub fn push_front(&mut self, skb: Skb) {
        // SAFETY: Null and the head are the beginning of this queue.
        unsafe { self.link(skb, null_mut(), self.head) }
    }

    /// Takes the first packet.
    #[inline]
    pub fn pop_front(&mut self) -> Option<Skb> {
        // SAFETY: The head, unless null, is a packet of this queue.
        (!self.head.is_null()).then(|| unsafe { self.unlink(self.head) })
    }

    /// Takes the last packet.
    #[inline]
    pub fn pop_back(&mut self) -> Option<Skb> {
        // SAFETY: The tail, unless null, is a packet of this queue.
        (!self.tail.is_null()).then(|| unsafe { self.unlink(self.tail) })
    }

    /// The first packet.
    #[inline]
    pub fn front(&self) -> Option<&SkBuff> {
        // SAFETY: The queue owns the packet, and is borrowed for as long as the result.
        unsafe { lend(self.head) }
    }

    /// The first packet, to be changed.
    #[inline]
    pub fn front_mut(&mut self) -> Option<&mut SkBuff> {
        // SAFETY: The queue owns the packet, and is borrowed exclusively for as long as the result.
        unsafe { lend_mut(self.head) }
    }

    /// The last packet.
    #[inline]
    pub fn back(&self) -> Option<&SkBuff> {
        // SAFETY: The queue owns the packet, and is borrowed for as long as the result.
        unsafe { lend(self.tail) }
    }

    /// The last packet, to be changed.
    #[inline]
    pub fn back_mut(&mut self) -> Option<&mut SkBuff> {
        // SAFETY: The queue owns the packet, and is borrowed exclusively for as long as the result.
        unsafe { lend_mut(self.tail) }
    }

    /// The packets in order.
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            at: self.head,
            _queue: PhantomData,
        }
    }

    /// A cursor on the first packet.
    #[inline]
    pub fn cursor_front(&mut self) -> Cursor<'_> {
        Cursor {
            at: self.head,
            q: self,
        }
    }

    /// Frees everything.
    pub fn clear(&mut self) {
        while let Some(skb) = self.pop_front() {
            drop(skb);
        }
    }
}

/// The packets of a queue in order.
pub struct Iter<'a> {
    at: *mut bindings::sk_buff,
    _queue: PhantomData<&'a SkbQueue>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a SkBuff;

    #[inline]
    fn next(&mut self) -> Option<&'a SkBuff> {
        let at = self.at;
        if at.is_null() {
            return None;
        }
        // SAFETY: A packet of the queue, which is borrowed for `'a` and so keeps it.
        unsafe {
            self.at = *next(at);
            lend(at)
        }
    }
}

/// A position in a queue at which packets can be changed, inserted and removed in O(1).
///
/// # Invariants
///
/// `at` is null (past the end) or a packet of `q`.
pub struct Cursor<'a> {
    q: &'a mut SkbQueue,
    at: *mut bindings::sk_buff,
}

impl Cursor<'_> {
    /// The packet here; `None` past the end.
    #[inline]
    pub fn current(&mut self) -> Option<&mut SkBuff> {
        // SAFETY: By the type invariant a packet of the queue, which is borrowed exclusively.
        unsafe { lend_mut(self.at) }
    }

    /// Goes to the next packet.
    #[inline]
    pub fn move_next(&mut self) {
        if !self.at.is_null() {
            // INVARIANT: The link of a packet of the queue is another one, or null.
            // SAFETY: By the type invariant a packet of the queue.
            self.at = unsafe { *next(self.at) };
        }
    }

    /// Takes the packet here out of the queue; the cursor is then on the one behind it.
    pub fn remove(&mut self) -> Option<Skb> {
        let at = self.at;
        if at.is_null() {
            return None;
        }
        self.move_next();
        // SAFETY: By the type invariant a packet of the queue.
        Some(unsafe { self.q.unlink(at) })
    }

    /// Inserts `skb` behind the packet here; at the end if the cursor is past it.
    pub fn insert_after(&mut self, skb: Skb) {
        if self.at.is_null() {
            return self.q.push_back(skb);
        }
        // SAFETY: By the type invariant a packet of the queue, and the one behind it is its neighbour.
        unsafe {
            let after = *next(self.at);
            self.q.link(skb, self.at, after);
        }
    }
}
