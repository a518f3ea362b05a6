// SPDX-License-Identifier: GPL-2.0
//! Packets as a driver meets them: one to send, one received.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)

use super::dma::{
    Device as DmaDevice,
    Mapping, //
};
use super::page_pool::Page;
use crate::bindings;
use core::mem::ManuallyDrop;
use core::ptr::{
    addr_of_mut,
    NonNull, //
};

/// The fields that are copied with the headers.
type Headers = bindings::sk_buff__bindgen_ty_4__bindgen_ty_2;

/// # Safety
///
/// `skb` must be live.
#[inline]
unsafe fn headers(skb: NonNull<bindings::sk_buff>) -> *mut Headers {
    // SAFETY: Only computes the address of a field of a live buffer.
    unsafe { addr_of_mut!((*skb.as_ptr()).__bindgen_anon_4).cast() }
}

/// # Safety
///
/// `skb` must be live.
#[inline]
unsafe fn shinfo(skb: NonNull<bindings::sk_buff>) -> *mut bindings::skb_shared_info {
    // SAFETY: `end` is the offset from `head` of the shared info, in the same allocation.
    unsafe {
        (*skb.as_ptr())
            .head
            .add((*skb.as_ptr()).end as usize)
            .cast()
    }
}

/// A packet that the stack gave to the driver to send; dropped, it counts as lost.
///
/// # Invariants
///
/// The pointer owns one reference to a live `struct sk_buff`. Its data stay as they are until it is freed:
/// the stack does not write to a packet that it has given away.
#[repr(transparent)]
pub(crate) struct TxSkb(NonNull<bindings::sk_buff>);

// SAFETY: A packet is bound to no CPU and no task.
unsafe impl Send for TxSkb {}

/// What the stack left to the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offload {
    /// Nothing.
    None,
    /// A checksum over everything from `start` on, to be stored at `start + offset`.
    Checksum {
        /// Bytes from the beginning of the frame.
        start: usize,
        /// Bytes from there.
        offset: usize,
    },
    /// To be cut into TCP segments.
    Segment {
        /// Payload bytes of a segment.
        mss: u16,
        /// How many there will be.
        segs: u16,
        /// IPv4, or IPv6.
        ipv4: bool,
        /// Start of the IP header, in bytes from the beginning of the frame.
        network: usize,
        /// Start of the TCP header.
        transport: usize,
    },
}

impl TxSkb {
    /// Takes over the stack's reference.
    ///
    /// # Safety
    ///
    /// `skb` must be live, and the caller must give its reference away.
    #[inline]
    pub(super) unsafe fn from_raw(skb: *mut bindings::sk_buff) -> Self {
        // INVARIANT: By the contract.
        // SAFETY: A live packet has an address.
        TxSkb(unsafe { NonNull::new_unchecked(skb) })
    }

    /// Gives the reference back.
    #[inline]
    pub(super) fn into_raw(self) -> *mut bindings::sk_buff {
        ManuallyDrop::new(self).0.as_ptr()
    }

    /// Bytes of the frame.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        // SAFETY: Live by the type invariant.
        unsafe { (*self.0.as_ptr()).len as usize }
    }

    /// Bytes of it in the linear part.
    #[inline]
    pub(crate) fn headlen(&self) -> usize {
        let p = self.0.as_ptr();
        // SAFETY: Live by the type invariant; `data_len` is at most `len`.
        unsafe { (*p).len.wrapping_sub((*p).data_len) as usize }
    }

    /// How many fragments it has.
    #[inline]
    pub(crate) fn fragments(&self) -> usize {
        // SAFETY: Live by the type invariant. At most the array's size.
        usize::from(unsafe { (*shinfo(self.0)).nr_frags }).min(bindings::MAX_SKB_FRAGS)
    }

    /// Bytes of fragment `i`.
    #[inline]
    pub(crate) fn fragment_len(&self, i: usize) -> usize {
        // SAFETY: Live by the type invariant; the array has as many as the index may name.
        unsafe { (*shinfo(self.0)).frags.get(i).map_or(0, |f| f.len as usize) }
    }

    /// Lengthens a frame to the least that Ethernet carries, without its check sequence. `None` if there
    /// is no memory.
    ///
    /// Mirrors [`eth_skb_pad`](srctree/include/linux/etherdevice.h)
    #[inline]
    pub(crate) fn pad(self) -> Option<Self> {
        if self.len() >= bindings::ETH_ZLEN as usize {
            return Some(self);
        }
        let skb = self.into_raw();
        // SAFETY: The packet is ours; on an error the callee has freed it.
        (unsafe { bindings::eth_skb_pad(skb) } == 0).then(|| unsafe { TxSkb::from_raw(skb) })
    }

    /// What the card is to do.
    #[inline]
    pub(crate) fn offload(&self) -> Offload {
        let p = self.0.as_ptr();
        // SAFETY: Live by the type invariant; the offsets are what the stack set for a packet like this.
        unsafe {
            let h = headers(self.0);
            if (*h).ip_summed() != bindings::CHECKSUM_PARTIAL as u8 {
                return Offload::None;
            }
            let headroom = (*p).data.offset_from((*p).head) as usize;
            let info = shinfo(self.0);
            if (*info).gso_size == 0 {
                let csum = (*h).__bindgen_anon_1.__bindgen_anon_1;
                return Offload::Checksum {
                    start: usize::from(csum.csum_start).wrapping_sub(headroom),
                    offset: usize::from(csum.csum_offset),
                };
            }
            Offload::Segment {
                mss: (*info).gso_size,
                segs: (*info).gso_segs.max(1),
                ipv4: (*info).gso_type & bindings::SKB_GSO_TCPV4 as u32 != 0,
                network: usize::from((*h).network_header).wrapping_sub(headroom),
                transport: usize::from((*h).transport_header).wrapping_sub(headroom),
            }
        }
    }

    /// The VLAN tag to insert.
    #[inline]
    pub(crate) fn vlan_tag(&self) -> Option<u16> {
        // SAFETY: Live by the type invariant; both views of the field are the same bytes.
        unsafe {
            let vlan = (*headers(self.0)).__bindgen_anon_2;
            (vlan.vlan_all != 0).then(|| vlan.__bindgen_anon_1.vlan_tci)
        }
    }

    /// The first `n` bytes, to be changed: linear, and no other packet's. `None` if the linear part is
    /// shorter or there is no memory.
    ///
    /// Mirrors [`skb_cow_head`](srctree/include/linux/skbuff.h)
    pub(crate) fn headers_mut(&mut self, n: usize) -> Option<&mut [u8]> {
        // SAFETY: The packet is ours.
        if n > self.headlen() || unsafe { bindings::skb_cow_head(self.0.as_ptr(), 0) } != 0 {
            return None;
        }
        // SAFETY: As many bytes are linear, and only this packet has these headers now.
        Some(unsafe { core::slice::from_raw_parts_mut((*self.0.as_ptr()).data, n) })
    }

    /// The first `n` bytes; `None` if the linear part is shorter.
    pub(crate) fn headers(&self, n: usize) -> Option<&[u8]> {
        // SAFETY: As many bytes are linear, and the stack does not write to them any more.
        (n <= self.headlen())
            .then(|| unsafe { core::slice::from_raw_parts((*self.0.as_ptr()).data, n) })
    }

    /// Makes the linear part readable for the card. It must outlive the mapping: keep both in one place.
    #[inline]
    pub(crate) fn map_head(&self, dma: DmaDevice) -> Option<Mapping> {
        let len = self.headlen();
        // SAFETY: The device is bound; as many bytes are linear, and in the kernel's mapping of memory.
        unsafe {
            let ptr = (*self.0.as_ptr()).data.cast();
            Mapping::new(dma, bindings::dma_map_single(dma.as_ptr(), ptr, len), len)
        }
    }

    /// Makes fragment `i` readable for the card; `None` for one that is not there, too.
    #[inline]
    pub(crate) fn map_fragment(&self, dma: DmaDevice, i: usize) -> Option<Mapping> {
        let len = self.fragment_len(i);
        // SAFETY: The device is bound; the fragment is the packet's.
        unsafe {
            let frag: *const _ = (*shinfo(self.0)).frags.get(i)?;
            let addr = bindings::skb_frag_dma_map(dma.as_ptr(), frag, len);
            Mapping::new(dma, addr, len)
        }
    }

    /// Tells whoever wants to know when the packet left.
    ///
    /// Mirrors [`skb_tx_timestamp`](srctree/include/linux/skbuff.h)
    #[inline]
    pub(crate) fn timestamp(&self) {
        // SAFETY: Live by the type invariant, and with a device: that is how the stack gave it.
        if unsafe { (*shinfo(self.0)).tx_flags } != 0 {
            // SAFETY: As above.
            unsafe { bindings::skb_tx_timestamp(self.0.as_ptr()) };
        }
    }

    /// Frees a packet that was sent. `budget` is that of NAPI's poll function, 0 elsewhere.
    ///
    /// Mirrors [`napi_consume_skb`](srctree/net/core/skbuff.c)
    #[inline]
    pub(crate) fn consume(self, budget: i32) {
        // SAFETY: Gives up the reference that `self` owns; a budget is only had in softirq context.
        unsafe { bindings::napi_consume_skb(self.into_raw(), budget) };
    }
}

impl Drop for TxSkb {
    fn drop(&mut self) {
        // SAFETY: The reference is ours by the type invariant and is given up here.
        unsafe {
            bindings::dev_kfree_skb_any_reason(
                self.0.as_ptr(),
                bindings::skb_drop_reason_SKB_DROP_REASON_NOT_SPECIFIED,
            )
        };
    }
}

/// A received packet, not yet given to the stack; dropped, it counts as lost.
///
/// # Invariants
///
/// The pointer owns the only reference to a live `struct sk_buff`.
pub(crate) struct RxSkb(NonNull<bindings::sk_buff>);

// SAFETY: A packet is bound to no CPU and no task.
unsafe impl Send for RxSkb {}

impl RxSkb {
    /// Takes over a new packet, leaves `headroom` bytes free and lets the data be the `len` bytes behind.
    ///
    /// # Safety
    ///
    /// `skb` must be new, empty and the caller's alone, with room for as many bytes.
    #[inline]
    pub(super) unsafe fn new(skb: NonNull<bindings::sk_buff>, headroom: usize, len: usize) -> Self {
        let p = skb.as_ptr();
        // SAFETY: By the contract there is room (`skb_reserve`, `__skb_put`).
        unsafe {
            (*p).data = (*p).data.add(headroom);
            (*p).tail = (*p).tail.wrapping_add(headroom.wrapping_add(len) as u32);
            (*p).len = len as u32;
        }
        // INVARIANT: By the contract.
        RxSkb(skb)
    }

    /// A copy of the first `len` bytes of a page. `None` if there is no memory.
    ///
    /// # Safety
    ///
    /// `napi` must be the instance whose poll function is running here.
    #[inline]
    pub(super) unsafe fn copy(
        napi: *mut bindings::napi_struct,
        page: &Page,
        len: usize,
    ) -> Option<Self> {
        let (from, len) = page.frame(len);
        // SAFETY: By the contract. The new packet has room for `len` bytes behind a headroom of its own.
        unsafe {
            let skb = NonNull::new(bindings::napi_alloc_skb(napi, len as u32))?;
            let to = (*skb.as_ptr()).data;
            core::ptr::copy_nonoverlapping(from, to, len);
            Some(RxSkb::new(skb, 0, len))
        }
    }

    /// The C structure, for abstractions.
    #[inline]
    pub(super) fn as_ptr(&self) -> *mut bindings::sk_buff {
        self.0.as_ptr()
    }

    /// Gives the packet to C.
    #[inline]
    pub(super) fn into_raw(self) -> *mut bindings::sk_buff {
        ManuallyDrop::new(self).0.as_ptr()
    }

    /// Bytes of the frame.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        // SAFETY: Live by the type invariant.
        unsafe { (*self.0.as_ptr()).len as usize }
    }

    /// How many fragments it has.
    #[inline]
    pub(super) fn fragments(&self) -> usize {
        // SAFETY: Live by the type invariant.
        usize::from(unsafe { (*shinfo(self.0)).nr_frags })
    }

    /// The card has seen that the transport checksum is right.
    #[inline]
    pub(crate) fn set_checksum_good(&mut self) {
        // SAFETY: Live and ours alone by the type invariant.
        unsafe { (*headers(self.0)).set_ip_summed(bindings::CHECKSUM_UNNECESSARY as u8) };
    }

    /// The tag that the card took out of the frame.
    ///
    /// Mirrors [`__vlan_hwaccel_put_tag`](srctree/include/linux/if_vlan.h)
    #[inline]
    pub(crate) fn set_vlan_tag(&mut self, tci: u16) {
        const PROTO: u16 = (bindings::ETH_P_8021Q as u16).to_be();
        // SAFETY: Live and ours alone by the type invariant.
        unsafe {
            let vlan = &mut (*headers(self.0)).__bindgen_anon_2.__bindgen_anon_1;
            vlan.vlan_proto = PROTO;
            vlan.vlan_tci = tci;
        }
    }
}

impl Drop for RxSkb {
    fn drop(&mut self) {
        // SAFETY: The reference is ours by the type invariant and is given up here.
        unsafe {
            bindings::dev_kfree_skb_any_reason(
                self.0.as_ptr(),
                bindings::skb_drop_reason_SKB_DROP_REASON_NOT_SPECIFIED,
            )
        };
    }
}
