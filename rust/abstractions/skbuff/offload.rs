// SPDX-License-Identifier: GPL-2.0
//! What is left to the device or was done by it: checksums and segmentation.

use super::SkBuff;
use crate::bindings;
use crate::stack::wire::checksum;
use core::ptr::addr_of_mut;

impl SkBuff {
    /// Payload bytes of each segment of a GSO packet; 0 for an ordinary packet.
    #[inline]
    pub fn gso_size(&self) -> u16 {
        // SAFETY: The shared info lives as long as the buffer.
        unsafe { (*self.shinfo()).gso_size }
    }

    /// Number of segments in a GSO packet; 0 where nobody counted.
    #[inline]
    pub fn gso_segs(&self) -> u16 {
        // SAFETY: The shared info lives as long as the buffer.
        unsafe { (*self.shinfo()).gso_segs }
    }

    /// Marks the packet as `segs` TCPv4 segments of `size` payload bytes each; `size` 0 makes it an
    /// ordinary one.
    #[inline]
    pub fn set_gso_tcpv4(&mut self, size: u16, segs: u16) {
        let sh = self.shinfo();
        // SAFETY: The shared info lives as long as the buffer. Only the owner of the payload and the one
        // clone it sent look at these fields, and this is called on that clone before it leaves.
        unsafe {
            (*sh).gso_size = size;
            (*sh).gso_segs = segs;
            (*sh).gso_type = if size == 0 {
                0
            } else {
                bindings::SKB_GSO_TCPV4 as u32
            };
        }
    }

    /// Notes that a received packet was made of `segs` segments, the longest with `size` payload bytes.
    #[inline]
    pub fn set_rx_segs(&mut self, size: u16, segs: u16) {
        let sh = self.shinfo();
        // SAFETY: The shared info lives as long as the buffer, of which nobody else has a clone that he
        // would send.
        unsafe {
            (*sh).gso_size = size;
            (*sh).gso_segs = segs;
        }
    }

    /// Marks the packet as `segs` UDP datagrams of `size` payload bytes each, the last one shorter perhaps.
    ///
    /// Mirrors [`udp_send_skb`](srctree/net/ipv4/udp.c)
    pub fn set_gso_udp_l4(&mut self, size: u16, segs: u16) {
        let sh = self.shinfo();
        // SAFETY: The shared info lives as long as the buffer, and nobody else has the packet yet.
        unsafe {
            (*sh).gso_size = size;
            (*sh).gso_segs = segs;
            (*sh).gso_type = bindings::SKB_GSO_UDP_L4 as u32;
        }
    }

    /// Whether the packet stands for several UDP datagrams.
    #[inline]
    pub fn is_gso_udp_l4(&self) -> bool {
        // SAFETY: The shared info lives as long as the buffer.
        unsafe { (*self.shinfo()).gso_type & bindings::SKB_GSO_UDP_L4 as u32 != 0 }
    }

    /// The first of the packet's segments carries CWR, the others must not (RFC 3168, 6.1.2).
    #[inline]
    pub fn set_gso_tcp_ecn(&mut self) {
        let sh = self.shinfo();
        // SAFETY: As in [`SkBuff::set_gso_tcpv4`].
        unsafe {
            if (*sh).gso_size != 0 {
                (*sh).gso_type |= bindings::SKB_GSO_TCP_ECN as u32;
            }
        }
    }

    /// The checksum over pseudo-header and data, both from the transport header on, is left to the
    /// device: the field at `offset` of the data holds the pseudo-header's sum.
    #[inline]
    pub fn set_csum_partial(&mut self, offset: u16) {
        let h = self.headers();
        // SAFETY: The buffer is live and exclusively ours.
        unsafe {
            (*h).set_ip_summed(bindings::CHECKSUM_PARTIAL as u8);
            let at = (*h).transport_header;
            let csum = &mut (*h).__bindgen_anon_1.__bindgen_anon_1;
            csum.csum_start = at;
            csum.csum_offset = offset;
        }
    }

    /// Verifies a received packet's transport checksum, with the data at the transport header: trusts
    /// the device where it vouches for it, else sums. `pseudo` is the partial sum of the pseudo-header.
    ///
    /// Mirrors [`__skb_checksum_validate`](srctree/include/linux/skbuff.h)
    #[inline]
    pub fn csum_valid(&mut self, pseudo: u32) -> bool {
        let h = self.headers();
        // SAFETY: The buffer is live and exclusively ours.
        let (summed, start, known) = unsafe {
            (
                u32::from((*h).ip_summed()),
                usize::from((*h).__bindgen_anon_1.__bindgen_anon_1.csum_start),
                (*h).csum_valid() != 0,
            )
        };
        // A packet of this host whose checksum the device was to fill in was never corrupted on a wire;
        // but only if it covers what lies before us (a tunnel's inner packet may not).
        if known
            || summed == bindings::CHECKSUM_UNNECESSARY
            || (summed == bindings::CHECKSUM_PARTIAL && start >= self.headroom())
        {
            return true;
        }
        self.csum_sum(pseudo, summed == bindings::CHECKSUM_COMPLETE)
    }

    fn csum_sum(&mut self, pseudo: u32, complete: bool) -> bool {
        // The kernel's sums are made of the bytes as they stand in memory.
        let pseudo = u32::from((checksum::fold(pseudo) as u16).to_be());
        let h = self.headers();
        // SAFETY: The buffer is live and exclusively ours; the sum over all of its data stays within it.
        unsafe {
            let csum = addr_of_mut!((*h).__bindgen_anon_1.csum);
            let valid = (complete && checksum::fold(checksum::add(pseudo, *csum)) == 0xffff) || {
                *csum = pseudo;
                bindings::__skb_checksum_complete(self.as_ptr()) == 0
            };
            (*h).set_csum_valid(valid.into());
            valid
        }
    }
}
