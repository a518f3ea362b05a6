// SPDX-License-Identifier: GPL-2.0
//! Packet buffers.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)
//!
//! [`SkBuff`] is the buffer and [`Skb`] owns one. What the fast path reads and moves (length, data
//! pointer, headers, control block) is field arithmetic here, without a call into C.

mod offload;
mod segment;

use crate::bindings;
use crate::stack::tcp::Cb;
use core::marker::PhantomData;
use core::marker::PhantomPinned;
use core::mem::ManuallyDrop;
use core::mem::{
    align_of,
    offset_of,
    size_of, //
};
use core::ops::{
    Deref,
    DerefMut, //
};
use core::ptr::{
    addr_of_mut,
    NonNull, //
};
use core::sync::atomic::{
    AtomicI32,
    Ordering, //
};

pub(super) type Headers = bindings::sk_buff__bindgen_ty_4__bindgen_ty_2;

/// What a `struct sk_buff` is charged as, in bytes.
pub const SK_BUFF_SIZE: usize =
    size_of::<bindings::sk_buff>().next_multiple_of(bindings::SMP_CACHE_BYTES);
/// What the shared info behind a packet's data is charged as, in bytes.
pub const SHARED_INFO_SIZE: usize =
    size_of::<bindings::skb_shared_info>().next_multiple_of(bindings::SMP_CACHE_BYTES);
/// Room for every header below the transport, in bytes (`MAX_TCP_HEADER`).
pub const MAX_HEADER: usize = bindings::MAX_TCP_HEADER;
/// What one buffer's fragments hold at the most, in bytes.
pub const MAX_FRAG_BYTES: usize = bindings::MAX_SKB_FRAGS * 32768;

/// A protocol's private notes in `skb->cb`.
///
/// # Safety
///
/// Every bit pattern of the type's size must be a value of it: the previous owner of the packet
/// leaves its own notes behind.
pub unsafe trait ControlBlock: Copy {}

// SAFETY: `Cb` is `repr(C)` and made of integers and transparent wrappers around integers.
unsafe impl ControlBlock for Cb {}

/// A packet buffer (`struct sk_buff`), only ever seen behind a reference.
///
/// The type has no size, so that safe code cannot exchange the contents of two buffers in place: their
/// links and reference counts belong to where they stand.
///
/// # Invariants
///
/// A `&SkBuff` or `&mut SkBuff` is the address of a live `struct sk_buff` that whoever lends it owns
/// a reference to. Nobody else moves its pointers (`data`, `len`, headers) during that time; its bytes
/// may be shared with clones, and are then only read.
#[repr(C)]
pub struct SkBuff {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut bindings::sk_buff, PhantomPinned)>,
}

/// Owns a packet buffer; dropping it frees the packet as a drop without a reason.
///
/// # Invariants
///
/// The pointer owns one reference to a live `struct sk_buff`, and the buffer stands in no list or tree.
#[repr(transparent)]
pub struct Skb(NonNull<bindings::sk_buff>);

// SAFETY: A packet buffer is bound to no CPU and no task; `&mut` and ownership are exclusive by the
// type's invariant.
unsafe impl Send for Skb {}
// SAFETY: Through `&Skb` only fields are read that change through `&mut` alone.
unsafe impl Sync for Skb {}

impl core::fmt::Debug for Skb {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Skb(len {})", self.len())
    }
}

impl Deref for Skb {
    type Target = SkBuff;

    #[inline]
    fn deref(&self) -> &SkBuff {
        // SAFETY: By the type invariant the pointer owns a reference; the borrow of `self` bounds the use.
        unsafe { SkBuff::from_ptr(self.0.as_ptr()) }
    }
}

impl DerefMut for Skb {
    #[inline]
    fn deref_mut(&mut self) -> &mut SkBuff {
        // SAFETY: As above, and `self` is borrowed exclusively.
        unsafe { SkBuff::from_ptr_mut(self.0.as_ptr()) }
    }
}

impl Drop for Skb {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: The reference is ours by the type invariant and is given up here.
        unsafe {
            bindings::sk_skb_reason_drop(
                core::ptr::null_mut(),
                self.0.as_ptr(),
                bindings::skb_drop_reason_SKB_DROP_REASON_NOT_SPECIFIED,
            )
        }
    }
}

impl Skb {
    /// Takes over the caller's reference to `ptr`.
    ///
    /// # Safety
    ///
    /// `ptr` must point to a live packet buffer that stands in no list; the caller must own one
    /// reference to it, which passes to the result, and nobody else may be moving its pointers.
    #[inline]
    pub(crate) unsafe fn from_raw(ptr: *mut bindings::sk_buff) -> Skb {
        // INVARIANT: The caller gives its reference away.
        // SAFETY: A live buffer's address is not null.
        Skb(unsafe { NonNull::new_unchecked(ptr) })
    }

    /// As [`Skb::from_raw`], of what a C function returned that may have found no memory.
    ///
    /// # Safety
    ///
    /// `ptr` is null or as for [`Skb::from_raw`].
    #[inline]
    pub(crate) unsafe fn from_raw_or_null(ptr: *mut bindings::sk_buff) -> Option<Skb> {
        // INVARIANT: The caller gives its reference away.
        NonNull::new(ptr).map(Skb)
    }

    /// Gives the reference to C.
    #[inline]
    pub(crate) fn into_raw(self) -> *mut bindings::sk_buff {
        ManuallyDrop::new(self).0.as_ptr()
    }

    /// Allocates a buffer with room for `size` bytes, `headroom` of it in front.
    fn alloc_with(headroom: usize, size: usize, gfp: bindings::gfp_t, flags: u32) -> Option<Skb> {
        let size = u32::try_from(size).ok()?;
        // SAFETY: No requirements; `gfp` says whether it may sleep.
        let ptr = unsafe { bindings::__alloc_skb(size, gfp, flags as _, bindings::NUMA_NO_NODE) };
        // SAFETY: A new buffer has one reference, and it is ours.
        let skb = unsafe { Skb::from_raw_or_null(ptr) }?;
        let p = skb.as_ptr();
        // SAFETY: `p` is ours alone and empty, and `headroom` is at most the `size` it has room for
        // (`skb_reserve`).
        unsafe {
            (*p).data = (*p).data.add(headroom);
            (*p).tail = (*p).tail.wrapping_add(headroom as u32);
        }
        Some(skb)
    }

    /// An empty buffer with `headroom` and room for `tailroom` bytes of linear data. Atomic: never
    /// sleeps. `None` when there is no memory.
    ///
    /// Mirrors [`alloc_skb`](srctree/include/linux/skbuff.h)
    pub fn alloc(headroom: usize, tailroom: usize) -> Option<Skb> {
        let size = headroom.checked_add(tailroom)?;
        Skb::alloc_with(headroom, size, bindings::GFP_ATOMIC, 0)
    }

    /// As [`Skb::alloc`] with the caller's allocation flags, which may allow to sleep.
    pub(crate) fn alloc_gfp(headroom: usize, tailroom: usize, gfp: bindings::gfp_t) -> Option<Skb> {
        let size = headroom.checked_add(tailroom)?;
        Skb::alloc_with(headroom, size, gfp, 0)
    }

    /// Frees a packet that did what it was made for (`consume_skb`), unlike a drop.
    #[inline]
    pub fn consume(self) {
        // SAFETY: Gives up the reference that `self` owns.
        unsafe { bindings::consume_skb(self.into_raw()) }
    }

    /// Frees the packet as dropped for `reason`, an `enum skb_drop_reason`.
    #[inline]
    pub(crate) fn drop_reason(self, reason: bindings::skb_drop_reason) {
        // SAFETY: Gives up the reference that `self` owns.
        unsafe { bindings::sk_skb_reason_drop(core::ptr::null_mut(), self.into_raw(), reason) }
    }
}

impl SkBuff {
    /// A buffer lent by somebody else.
    ///
    /// # Safety
    ///
    /// `ptr` must be a live packet buffer, and nobody may free it or move its pointers during `'a`.
    #[inline]
    pub(crate) unsafe fn from_ptr<'a>(ptr: *mut bindings::sk_buff) -> &'a SkBuff {
        // SAFETY: The type has no size, so only the address matters, and that is not null.
        unsafe { &*ptr.cast() }
    }

    /// A buffer lent by somebody else, to be changed.
    ///
    /// # Safety
    ///
    /// As [`SkBuff::from_ptr`], and nobody else may read its pointers during `'a` either.
    #[inline]
    pub(crate) unsafe fn from_ptr_mut<'a>(ptr: *mut bindings::sk_buff) -> &'a mut SkBuff {
        // SAFETY: As above.
        unsafe { &mut *ptr.cast() }
    }

    /// The C structure, for abstractions.
    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut bindings::sk_buff {
        core::ptr::from_ref(self).cast_mut().cast()
    }

    /// The fields that are copied with the headers.
    #[inline]
    pub(super) fn headers(&self) -> *mut Headers {
        // SAFETY: Only computes the address of a field of a live buffer.
        unsafe { addr_of_mut!((*self.as_ptr()).__bindgen_anon_4).cast() }
    }

    /// The shared info behind the linear part.
    #[inline]
    pub(super) fn shinfo(&self) -> *mut bindings::skb_shared_info {
        let p = self.as_ptr();
        // SAFETY: `end` is the offset from `head` of the shared info, in the same allocation
        // (`skb_end_pointer`).
        unsafe { (*p).head.add((*p).end as usize).cast() }
    }

    #[inline]
    fn dataref(&self) -> &AtomicI32 {
        // SAFETY: The shared info lives as long as the buffer, and C too only touches this field with
        // atomic operations.
        unsafe { AtomicI32::from_ptr(addr_of_mut!((*self.shinfo()).dataref.counter)) }
    }

    /// Whether the bytes are shared with another buffer.
    ///
    /// Mirrors [`skb_cloned`](srctree/include/linux/skbuff.h)
    #[inline]
    pub(crate) fn cloned(&self) -> bool {
        // SAFETY: The buffer is live by the type invariant.
        let cloned = unsafe { (*self.as_ptr()).cloned() };
        let mask = bindings::SKB_DATAREF_MASK as i32;
        cloned != 0 && (self.dataref().load(Ordering::Acquire) & mask) != 1
    }

    /// Makes the bytes and the list of fragments this buffer's own. `false` when there is no memory.
    ///
    /// Mirrors [`skb_unclone_keeptruesize`](srctree/include/linux/skbuff.h)
    fn unclone(&mut self) -> bool {
        if !self.cloned() {
            return true;
        }
        let p = self.as_ptr();
        // The allocator may round the same request differently under its debugging options; what was
        // charged to a socket must not change behind its back.
        // SAFETY: The buffer is live, and not shared: `&mut` is exclusive.
        unsafe {
            let truesize = (*p).truesize;
            let err = bindings::pskb_expand_head(p, 0, 0, bindings::GFP_ATOMIC);
            (*p).truesize = truesize;
            err == 0
        }
    }

    /// Bytes of data, linear part and fragments.
    #[inline]
    pub fn len(&self) -> usize {
        // SAFETY: The buffer is live by the type invariant.
        unsafe { (*self.as_ptr()).len as usize }
    }

    /// Whether there are no data.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of data in the linear part.
    #[inline]
    pub(crate) fn headlen(&self) -> usize {
        let p = self.as_ptr();
        // SAFETY: The buffer is live by the type invariant. `data_len` never exceeds `len`.
        unsafe { (*p).len.wrapping_sub((*p).data_len) as usize }
    }

    /// Bytes in front of the data.
    #[inline]
    pub(crate) fn headroom(&self) -> usize {
        let p = self.as_ptr();
        // SAFETY: Both point into the same allocation.
        unsafe { (*p).data.offset_from((*p).head) as usize }
    }

    /// Bytes of memory that this packet stands for, as charged to sockets.
    #[inline]
    pub fn truesize(&self) -> usize {
        // SAFETY: The buffer is live by the type invariant.
        unsafe { (*self.as_ptr()).truesize as usize }
    }

    /// Makes the first `n` bytes linear.
    #[inline]
    pub(crate) fn ensure_linear(&mut self, n: usize) -> bool {
        n <= self.headlen() || self.pull_tail(n)
    }

    #[cold]
    fn pull_tail(&mut self, n: usize) -> bool {
        if n > self.len() {
            return false;
        }
        let missing = n - self.headlen();
        // SAFETY: The buffer is live and exclusively ours; `missing` bytes are in the fragments.
        !unsafe { bindings::__pskb_pull_tail(self.as_ptr(), missing as i32) }.is_null()
    }

    /// Makes the first `n` bytes readable in one piece, moving them out of fragments if need be.
    /// `None` if the packet is shorter or there is no memory.
    ///
    /// Mirrors [`pskb_may_pull`](srctree/include/linux/skbuff.h)
    #[inline]
    pub fn may_pull(&mut self, n: usize) -> Option<&[u8]> {
        if !self.ensure_linear(n) {
            return None;
        }
        // SAFETY: `n` bytes from `data` on are linear now, and initialised: they were received or written.
        Some(unsafe { core::slice::from_raw_parts((*self.as_ptr()).data, n) })
    }

    /// Like [`SkBuff::may_pull`], and the bytes may be written (`skb_ensure_writable`).
    pub fn writable(&mut self, n: usize) -> Option<&mut [u8]> {
        // A clone that only reads the headers does not matter (`skb_clone_writable` is for that case),
        // but received packets are rarely cloned: taps take a clone, and then a copy is due.
        if !self.ensure_linear(n) || !self.unclone() {
            return None;
        }
        // SAFETY: As above, and no other buffer shares the bytes.
        Some(unsafe { core::slice::from_raw_parts_mut((*self.as_ptr()).data, n) })
    }

    /// The linear part of the data: at least what the last [`SkBuff::may_pull`] asked for.
    #[inline]
    pub fn linear(&self) -> &[u8] {
        // SAFETY: `headlen` bytes from `data` on are linear.
        unsafe { core::slice::from_raw_parts((*self.as_ptr()).data, self.headlen()) }
    }

    /// Removes `n` bytes from the front; all of them if there are fewer. They are linear after a
    /// [`SkBuff::may_pull`]; if they are not and there is no memory, the packet is left empty.
    ///
    /// Mirrors [`pskb_pull`](srctree/include/linux/skbuff.h)
    #[inline]
    pub fn pull(&mut self, n: usize) {
        let n = n.min(self.len());
        if !self.ensure_linear(n) {
            self.trim(0);
            return;
        }
        let p = self.as_ptr();
        // SAFETY: `n` bytes from `data` on are linear.
        unsafe {
            (*p).data = (*p).data.add(n);
            (*p).len = (*p).len.wrapping_sub(n as u32);
        }
    }

    /// Prepends `n` bytes and returns them to be filled. `None` if the headroom is too small.
    ///
    /// Headroom belongs to the one buffer that is on its way down the stack: see
    /// [`SkBuff::clone_for_xmit`].
    ///
    /// Mirrors [`skb_push`](srctree/include/linux/skbuff.h)
    #[inline]
    pub fn push(&mut self, n: usize) -> Option<&mut [u8]> {
        if n > self.headroom() {
            return None;
        }
        let p = self.as_ptr();
        // SAFETY: There are `n` bytes between `head` and `data`.
        unsafe {
            (*p).data = (*p).data.sub(n);
            (*p).len = (*p).len.wrapping_add(n as u32);
            Some(core::slice::from_raw_parts_mut((*p).data, n))
        }
    }

    /// How much [`SkBuff::put`] can append.
    pub(crate) fn tailroom(&self) -> usize {
        let p = self.as_ptr();
        // SAFETY: As in `put`.
        unsafe {
            match (*p).data_len == 0 && !self.cloned() {
                true => (*p).end.wrapping_sub((*p).tail) as usize,
                false => 0,
            }
        }
    }

    /// Appends `n` bytes of linear data and returns them to be filled. `None` without tailroom, behind
    /// fragments, or while a clone shares the bytes.
    ///
    /// Mirrors [`skb_put`](srctree/include/linux/skbuff.h)
    pub fn put(&mut self, n: usize) -> Option<&mut [u8]> {
        let p = self.as_ptr();
        // SAFETY: The buffer is live; `tail` and `end` are offsets from `head`, `tail` at most `end`.
        unsafe {
            let room = (*p).end.wrapping_sub((*p).tail) as usize;
            if (*p).data_len != 0 || n > room || self.cloned() {
                return None;
            }
            let at = (*p).head.add((*p).tail as usize);
            (*p).tail = (*p).tail.wrapping_add(n as u32);
            (*p).len = (*p).len.wrapping_add(n as u32);
            Some(core::slice::from_raw_parts_mut(at, n))
        }
    }

    /// Cuts the data to `len` bytes if it is longer. `false` when there is no memory.
    ///
    /// Mirrors [`pskb_trim_rcsum`](srctree/include/linux/skbuff.h)
    #[inline]
    pub fn trim(&mut self, len: usize) -> bool {
        if len >= self.len() {
            return true;
        }
        // SAFETY: The buffer is live, exclusively ours, and longer than `len`.
        unsafe { bindings::pskb_trim_rcsum_slow(self.as_ptr(), len as u32) == 0 }
    }

    /// The data begins with the MAC header.
    #[inline]
    pub(crate) fn reset_mac_header(&mut self) {
        let at = self.headroom() as u16;
        // SAFETY: The buffer is live and exclusively ours.
        unsafe { (*self.headers()).mac_header = at }
    }

    /// The data begins with the network header (`skb_reset_network_header`).
    #[inline]
    pub fn reset_network_header(&mut self) {
        let at = self.headroom() as u16;
        // SAFETY: The buffer is live and exclusively ours.
        unsafe { (*self.headers()).network_header = at }
    }

    /// The data begins with the transport header (`skb_reset_transport_header`).
    #[inline]
    pub fn reset_transport_header(&mut self) {
        let at = self.headroom() as u16;
        // SAFETY: The buffer is live and exclusively ours.
        unsafe { (*self.headers()).transport_header = at }
    }

    /// The linear bytes from `offset` behind `head` on; none if that is behind the linear part.
    #[inline]
    fn linear_from(&self, offset: u16) -> &[u8] {
        let p = self.as_ptr();
        // SAFETY: `tail` is the offset from `head` of the linear part's end, and everything before it
        // was written when it was received or pushed.
        unsafe {
            let len = ((*p).tail as usize).saturating_sub(offset.into());
            if len == 0 {
                return &[];
            }
            core::slice::from_raw_parts((*p).head.add(offset.into()), len)
        }
    }

    /// The linear bytes from the link's header on.
    #[inline]
    pub(crate) fn mac_header(&self) -> &[u8] {
        // SAFETY: The buffer is live by the type invariant.
        self.linear_from(unsafe { (*self.headers()).mac_header })
    }

    /// The linear bytes from the network header on.
    #[inline]
    pub fn network_header(&self) -> &[u8] {
        // SAFETY: The buffer is live by the type invariant.
        self.linear_from(unsafe { (*self.headers()).network_header })
    }

    /// The linear bytes from the transport header on.
    #[inline]
    pub fn transport_header(&self) -> &[u8] {
        // SAFETY: The buffer is live by the type invariant.
        self.linear_from(unsafe { (*self.headers()).transport_header })
    }

    /// Where a protocol's control block lies.
    #[inline]
    fn cb_ptr<T: ControlBlock>(&self) -> *mut T {
        const {
            assert!(size_of::<T>() <= 48);
            assert!(align_of::<T>() <= 8);
            assert!(offset_of!(bindings::sk_buff, cb) % 8 == 0);
        }
        // SAFETY: Only computes the address of a field of a live buffer.
        unsafe { addr_of_mut!((*self.as_ptr()).cb).cast() }
    }

    /// A protocol's control block. Its contents mean something only while that protocol owns the packet.
    #[inline]
    pub(crate) fn cb<T: ControlBlock>(&self) -> &T {
        // SAFETY: The type fits in size and alignment, and any bytes are a value of it.
        unsafe { &*self.cb_ptr() }
    }

    /// A protocol's control block, to be written.
    #[inline]
    pub(crate) fn cb_mut<T: ControlBlock>(&mut self) -> &mut T {
        // SAFETY: As above; `self` is borrowed exclusively for as long as the result.
        unsafe { &mut *self.cb_ptr() }
    }

    /// TCP's control block. Only meaningful while TCP owns the packet.
    #[inline]
    pub fn tcp_cb(&self) -> &Cb {
        self.cb()
    }

    /// TCP's control block, to be written.
    #[inline]
    pub fn tcp_cb_mut(&mut self) -> &mut Cb {
        self.cb_mut()
    }

    /// Forgets the device: the packet is about to be routed, or stood in a tree.
    #[inline]
    pub(crate) fn clear_dev(&self) {
        // SAFETY: The buffer is live; nobody but its owner looks at the field.
        unsafe {
            (*self.as_ptr())
                .__bindgen_anon_1
                .__bindgen_anon_1
                .__bindgen_anon_1
                .dev = core::ptr::null_mut()
        }
    }
}
