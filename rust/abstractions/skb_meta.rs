// SPDX-License-Identifier: GPL-2.0
//! What a packet says of itself to the layers below the transports: its device, route and marks.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)

use super::netdevice::NetDevice;
use super::skbuff::{
    SkBuff,
    Skb, //
};
use crate::bindings;
use crate::stack::time::Instant;
use core::ptr::{
    addr_of_mut,
    null_mut, //
};
use core::sync::atomic::{
    AtomicI32,
    Ordering, //
};

/// The frame was addressed to this device.
pub(crate) const PACKET_HOST: u8 = bindings::PACKET_HOST as u8;
/// To everybody on the link.
pub(crate) const PACKET_BROADCAST: u8 = bindings::PACKET_BROADCAST as u8;
/// To a group.
pub(crate) const PACKET_MULTICAST: u8 = bindings::PACKET_MULTICAST as u8;
/// A copy of what this host sent to everybody or to a group.
pub(crate) const PACKET_LOOPBACK: u8 = bindings::PACKET_LOOPBACK as u8;
/// To somebody else.
pub(crate) const PACKET_OTHERHOST: u8 = bindings::PACKET_OTHERHOST as u8;

impl SkBuff {
    /// Whether the frame was not for this device alone.
    #[inline]
    pub(crate) fn is_for_many(&self) -> bool {
        matches!(
            self.pkt_type(),
            PACKET_BROADCAST | PACKET_MULTICAST | PACKET_LOOPBACK
        )
    }

    /// Whether somebody else holds a reference to the same buffer.
    ///
    /// Mirrors [`skb_shared`](srctree/include/linux/skbuff.h)
    #[inline]
    pub(crate) fn shared(&self) -> bool {
        // SAFETY: Alive by the type invariant; C too only touches this field with atomic operations.
        let users =
            unsafe { AtomicI32::from_ptr(addr_of_mut!((*self.as_ptr()).users.refs.counter)) };
        users.load(Ordering::Relaxed) != 1
    }

    /// To whom the link layer addressed the frame: `PACKET_HOST` and so on.
    #[inline]
    pub(crate) fn pkt_type(&self) -> u8 {
        // SAFETY: Alive by the type invariant.
        unsafe { (*self.headers()).pkt_type() }
    }

    /// Sets [`SkBuff::pkt_type`].
    #[inline]
    pub(crate) fn set_pkt_type(&mut self, pkt_type: u8) {
        // SAFETY: Alive by the type invariant and exclusively ours.
        unsafe { (*self.headers()).set_pkt_type(pkt_type) }
    }

    /// The protocol of the data, such as 0x0800, in host order.
    #[inline]
    pub(crate) fn protocol(&self) -> u16 {
        // SAFETY: Alive by the type invariant.
        u16::from_be(unsafe { (*self.headers()).protocol })
    }

    /// Sets [`SkBuff::protocol`].
    #[inline]
    pub(crate) fn set_protocol(&mut self, protocol: u16) {
        // SAFETY: Alive by the type invariant and exclusively ours.
        unsafe { (*self.headers()).protocol = protocol.to_be() }
    }

    /// Whether the device took a VLAN tag off the frame.
    #[inline]
    pub(crate) fn vlan_tag_present(&self) -> bool {
        // SAFETY: Alive by the type invariant; all values of the union are integers.
        unsafe { (*self.headers()).__bindgen_anon_2.vlan_all != 0 }
    }

    /// The device that the packet came in by, or is to leave by.
    #[inline]
    pub(crate) fn dev(&self) -> Option<&NetDevice> {
        // SAFETY: Alive by the type invariant. A packet in flight has a device that RCU keeps, or none.
        unsafe {
            let dev = (*self.as_ptr())
                .__bindgen_anon_1
                .__bindgen_anon_1
                .__bindgen_anon_1
                .dev;
            (!dev.is_null()).then(|| NetDevice::from_ptr(dev))
        }
    }

    /// Sets [`SkBuff::dev`]. Under RCU until the packet is handed on.
    #[inline]
    pub(crate) fn set_dev(&mut self, dev: &NetDevice) {
        // SAFETY: Alive by the type invariant and exclusively ours.
        unsafe {
            (*self.as_ptr())
                .__bindgen_anon_1
                .__bindgen_anon_1
                .__bindgen_anon_1
                .dev = dev.as_ptr()
        }
    }

    /// The number of the device that the packet came in by; 0 for one of this host.
    #[inline]
    pub(crate) fn iif(&self) -> u32 {
        // SAFETY: Alive by the type invariant.
        unsafe { (*self.headers()).skb_iif as u32 }
    }

    /// True size without the head, in bytes, where the head holds no data: what is left of the packet when it
    /// is joined to another. Else [`SkBuff::truesize`].
    ///
    /// Mirrors [`truesize_adjust`](srctree/net/ipv4/tcp_input.c)
    #[inline]
    pub fn frag_truesize(&self) -> usize {
        if self.headlen() != 0 {
            return self.truesize();
        }
        // `SKB_TRUESIZE`, each part of it in cache lines of its own.
        const LINE: usize = 64;
        let end = {
            // SAFETY: The buffer is live; on 64-bit machines the end is kept as an offset.
            unsafe { (*self.as_ptr()).end as usize }
        };
        let head = end
            .wrapping_add(size_of::<bindings::sk_buff>().next_multiple_of(LINE))
            .wrapping_add(size_of::<bindings::skb_shared_info>().next_multiple_of(LINE));
        self.truesize().saturating_sub(head)
    }

    /// One byte of the data, wherever it lies.
    pub fn byte_at(&self, offset: usize) -> Option<u8> {
        let offset = i32::try_from(offset).ok()?;
        let mut byte = 0u8;
        // SAFETY: The buffer is live; the function checks the bounds and writes one byte.
        let err =
            unsafe { bindings::skb_copy_bits(self.as_ptr(), offset, (&raw mut byte).cast(), 1) };
        if err == 0 {
            Some(byte)
        } else {
            None
        }
    }

    /// Copies bytes of the data, wherever they lie. `false` if there are not so many.
    pub fn copy_bits(&self, offset: usize, to: &mut [u8]) -> bool {
        let (Ok(offset), Ok(len)) = (i32::try_from(offset), i32::try_from(to.len())) else {
            return false;
        };
        // SAFETY: The buffer is live; the function checks the bounds and writes `len` bytes.
        unsafe { bindings::skb_copy_bits(self.as_ptr(), offset, to.as_mut_ptr().cast(), len) == 0 }
    }

    /// Makes the checksum that was left to the device. `false` when there is no memory.
    ///
    /// Mirrors [`skb_checksum_help`](srctree/net/core/dev.c)
    pub(crate) fn checksum_help(&mut self) -> bool {
        // SAFETY: Alive by the type invariant and exclusively ours.
        unsafe { bindings::skb_checksum_help(self.as_ptr()) == 0 }
    }

    /// The mark that routing rules and filters look at.
    #[inline]
    pub(crate) fn mark(&self) -> u32 {
        // SAFETY: Alive by the type invariant; all values of the union are integers.
        unsafe { (*self.headers()).__bindgen_anon_4.mark }
    }

    /// Sets [`SkBuff::mark`].
    #[inline]
    pub(crate) fn set_mark(&mut self, mark: u32) {
        // SAFETY: Alive by the type invariant and exclusively ours.
        unsafe { (*self.headers()).__bindgen_anon_4.mark = mark }
    }

    /// When the packet may leave, in nanoseconds of the monotonic clock: fq keeps it until then.
    ///
    /// Mirrors [`skb_set_delivery_time`](srctree/include/linux/skbuff.h)
    #[inline]
    pub(crate) fn set_delivery_time(&mut self, at: Instant) {
        // SAFETY: Alive by the type invariant and exclusively ours.
        unsafe {
            (*self.as_ptr()).__bindgen_anon_2.tstamp = at.as_nanos() as bindings::ktime_t;
            (*self.headers()).set_tstamp_type(bindings::skb_tstamp_type_SKB_CLOCK_MONOTONIC as u8);
        }
    }

    /// The packet has arrived: when its sender let it leave is of no interest any more, and the field is the
    /// receiver's, who may want to know the time.
    ///
    /// Mirrors [`skb_clear_delivery_time`](srctree/include/linux/skbuff.h)
    #[inline]
    pub fn clear_delivery_time(&mut self) {
        // SAFETY: Alive by the type invariant and exclusively ours.
        unsafe {
            if u32::from((*self.headers()).tstamp_type())
                != bindings::skb_tstamp_type_SKB_CLOCK_REALTIME
            {
                bindings::skb_clear_delivery_time(self.as_ptr());
            }
        }
    }

    /// Sets the priority that queueing disciplines look at.
    #[inline]
    pub(crate) fn set_priority(&mut self, priority: u32) {
        // SAFETY: Alive by the type invariant and exclusively ours.
        unsafe { (*self.headers()).priority = priority }
    }

    /// The flow's hash, 0 if nobody computed one; `l4` says that it covers the ports.
    #[inline]
    pub(crate) fn set_hash(&mut self, hash: u32) {
        // SAFETY: Alive by the type invariant and exclusively ours.
        unsafe {
            (*self.headers()).hash = hash;
            (*self.headers()).set_l4_hash((hash != 0).into());
        }
    }

    /// Whether the bytes behind the transport header wait for a checksum.
    #[inline]
    pub(crate) fn csum_is_partial(&self) -> bool {
        // SAFETY: Alive by the type invariant.
        u32::from(unsafe { (*self.headers()).ip_summed() }) == bindings::CHECKSUM_PARTIAL
    }

    /// Whether a device vouches for the checksum.
    pub(crate) fn csum_is_good(&self) -> bool {
        // SAFETY: Alive by the type invariant.
        u32::from(unsafe { (*self.headers()).ip_summed() }) == bindings::CHECKSUM_UNNECESSARY
    }

    /// Forgets what vouches for the checksum: the bytes change.
    #[inline]
    pub(crate) fn set_csum_none(&mut self) {
        // SAFETY: Alive by the type invariant and exclusively ours.
        unsafe {
            (*self.headers()).set_ip_summed(bindings::CHECKSUM_NONE as u8);
            (*self.headers()).set_csum_valid(0);
        }
    }

    /// The sum of a packet that never left this host is still to be made.
    #[inline]
    pub(crate) fn set_csum_still_partial(&mut self) {
        // SAFETY: Alive by the type invariant and exclusively ours.
        unsafe { (*self.headers()).set_ip_summed(bindings::CHECKSUM_PARTIAL as u8) };
    }

    /// The packet is sent on: what a device summed when it came in says nothing when it leaves.
    ///
    /// Mirrors [`skb_forward_csum`](srctree/include/linux/skbuff.h)
    #[inline]
    pub(crate) fn forward_csum(&mut self) {
        // SAFETY: Alive by the type invariant and exclusively ours.
        unsafe {
            if u32::from((*self.headers()).ip_summed()) == bindings::CHECKSUM_COMPLETE {
                (*self.headers()).set_ip_summed(bindings::CHECKSUM_NONE as u8);
            }
        }
    }

    /// Makes at least `n` bytes of headroom that no clone shares. `false` when there is no memory.
    ///
    /// Mirrors [`skb_cow`](srctree/include/linux/skbuff.h)
    pub(crate) fn cow(&mut self, n: usize) -> bool {
        let missing = n.saturating_sub(self.headroom());
        if missing == 0 && !self.cloned() {
            return true;
        }
        let missing = missing.next_multiple_of(bindings::SMP_CACHE_BYTES) as i32;
        // SAFETY: Alive by the type invariant and exclusively ours.
        unsafe { bindings::pskb_expand_head(self.as_ptr(), missing, 0, bindings::GFP_ATOMIC) == 0 }
    }

    /// Lets go of the socket that the packet was charged to.
    ///
    /// Mirrors [`skb_orphan`](srctree/include/linux/skbuff.h)
    #[inline]
    pub(crate) fn orphan(&mut self) {
        let p = self.as_ptr();
        // SAFETY: Alive by the type invariant and exclusively ours; a destructor is called once, for it is
        // forgotten.
        unsafe {
            let d = addr_of_mut!((*p).__bindgen_anon_3.__bindgen_anon_1.destructor);
            if let Some(f) = (*d).take() {
                f(p);
            }
            (*p).sk = null_mut();
        }
    }

    /// Forgets the route.
    ///
    /// Mirrors [`skb_dst_drop`](srctree/include/net/dst.h)
    #[inline]
    pub(crate) fn dst_drop(&mut self) {
        let p = self.as_ptr();
        // SAFETY: Alive by the type invariant and exclusively ours. The lowest bit says that the packet has
        // no reference of its own.
        unsafe {
            let refdst = addr_of_mut!((*p).__bindgen_anon_3.__bindgen_anon_1._skb_refdst);
            let old = refdst.replace(0);
            if old != 0 && old as u32 & bindings::SKB_DST_NOREF == 0 {
                bindings::dst_release(old as *mut bindings::dst_entry);
            }
        }
    }

    /// The route, null if there is none.
    #[inline]
    pub(crate) fn dst(&self) -> *mut bindings::dst_entry {
        // SAFETY: Alive by the type invariant.
        let refdst = unsafe {
            (*self.as_ptr())
                .__bindgen_anon_3
                .__bindgen_anon_1
                ._skb_refdst
        };
        (refdst & !(bindings::SKB_DST_NOREF as usize)) as *mut bindings::dst_entry
    }

    /// Sets the route without a reference.
    ///
    /// Mirrors [`skb_dst_set_noref`](srctree/include/linux/skbuff.h)
    ///
    /// # Safety
    ///
    /// The packet has no route yet, and `dst` stays alive until the packet has left this read-side critical
    /// section of RCU; who queues it longer takes a reference then (`skb_dst_force`).
    #[inline]
    pub(super) unsafe fn dst_set_noref(&mut self, dst: *mut bindings::dst_entry) {
        // SAFETY: Alive by the type invariant and exclusively ours.
        unsafe {
            (*self.as_ptr())
                .__bindgen_anon_3
                .__bindgen_anon_1
                ._skb_refdst = dst as usize | bindings::SKB_DST_NOREF as usize;
        }
    }

    /// Has the host's output leave POST_ROUTING out: the packet has been there. The control block is the host's.
    ///
    /// Mirrors [`IPSKB_REROUTED`](srctree/include/net/ip.h)
    pub(crate) fn set_rerouted(&mut self) {
        const IPSKB_REROUTED: u16 = 1 << 4;
        // SAFETY: The packet is ours alone; the control block is large enough and aligned for it.
        unsafe {
            let parm = (&raw mut (*self.as_ptr()).cb).cast::<bindings::inet_skb_parm>();
            (*parm).flags |= IPSKB_REROUTED;
        }
    }

    /// Forgets what the control block holds, as every layer does with what the one before left there.
    #[inline]
    pub(crate) fn cb_clear(&mut self) {
        // SAFETY: Alive by the type invariant and exclusively ours.
        unsafe { (*self.as_ptr()).cb = [0; 48] }
    }

    /// Forgets what connection tracking knows of the packet.
    ///
    /// Mirrors [`nf_reset_ct`](srctree/include/linux/skbuff.h)
    #[inline]
    pub(crate) fn nf_reset_ct(&mut self) {
        // SAFETY: Alive by the type invariant and exclusively ours.
        unsafe {
            if (*self.as_ptr())._nfct != 0 {
                bindings::nf_reset_ct(self.as_ptr());
            }
        }
    }
}

impl Skb {
    /// Takes over from `from`, of which this new packet is a part, what it says of itself: device and route, mark,
    /// priority, connection tracking, and the socket that it is charged to. The headers stay, and no checksum
    /// is left to be made.
    ///
    /// Mirrors [`ip_copy_metadata`](srctree/net/ipv4/ip_output.c)
    pub(crate) fn copy_metadata(&mut self, from: &SkBuff) {
        let (p, h) = (self.as_ptr(), self.headers());
        // SAFETY: Both packets are alive, and this one is ours alone, with nothing yet of what is copied. The route is
        // copied with a reference of its own, or as one that lasts as long as the caller's read-side section.
        unsafe {
            let (network, transport) = ((*h).network_header, (*h).transport_header);
            bindings::skb_copy_header(p, from.as_ptr());
            (*h).network_header = network;
            (*h).transport_header = transport;
            // `skb_mac_header_was_set`: not yet.
            (*h).mac_header = u16::MAX;
            (*h).set_ip_summed(bindings::CHECKSUM_NONE as u8);
            (*h).set_csum_valid(0);
            let sk = (*from.as_ptr()).sk;
            if !sk.is_null() {
                bindings::skb_set_owner_w(p, sk);
            }
        }
    }

    /// Makes a buffer that others share the caller's own. `None` when there is no memory; the reference
    /// is then given up.
    ///
    /// Mirrors [`skb_share_check`](srctree/include/linux/skbuff.h)
    #[inline]
    pub(crate) fn share_check(self) -> Option<Skb> {
        if !self.shared() {
            return Some(self);
        }
        let copy = self.dup();
        match copy.is_some() {
            true => self.consume(),
            false => drop(self),
        }
        copy
    }

    /// Another buffer with the same data. `None` when there is no memory.
    ///
    /// Mirrors [`skb_clone`](srctree/net/core/skbuff.c)
    #[inline]
    pub(crate) fn dup(&self) -> Option<Skb> {
        // SAFETY: Alive by the type invariant; a new buffer has one reference, and it is ours.
        unsafe { Skb::from_raw_or_null(bindings::skb_clone(self.as_ptr(), bindings::GFP_ATOMIC)) }
    }
}
