// SPDX-License-Identifier: GPL-2.0
//! What the card is to compute for a frame: from the headers' places to a context descriptor.

use super::desc::Context;

/// Where a frame's headers are that the stack wants cut into segments, in bytes from its beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segmented {
    /// Start of the IP header.
    pub(crate) network: usize,
    /// Start of the TCP header.
    pub(crate) transport: usize,
    /// Start of the payload.
    pub(crate) headers: usize,
    /// Bytes of the frame.
    pub(crate) len: usize,
    /// Payload bytes of a segment.
    pub(crate) mss: u16,
    /// IPv4, or IPv6.
    pub(crate) ipv4: bool,
}

/// The context of a frame to be cut; `None` if its headers lie where the card's fields do not reach, or
/// make no sense.
///
/// Mirrors [`e1000_tso`](srctree/drivers/net/ethernet/intel/e1000/e1000_main.c)
pub(crate) fn segmentation(f: &Segmented) -> Option<Context> {
    const IPV4_CHECK: usize = 10;
    const TCP_CHECK: usize = 16;
    let payload = f.len.checked_sub(f.headers)?;
    if f.network >= f.transport || f.transport >= f.headers || f.mss == 0 || payload > 0xf_ffff {
        return None;
    }
    let ipcso = f.network.checked_add(IPV4_CHECK)?;
    let tucso = f.transport.checked_add(TCP_CHECK)?;
    // Of IPv6 there is no sum, and an end of 0 says so.
    let ipcse = if f.ipv4 {
        f.transport.checked_sub(1)?
    } else {
        0
    };
    Some(Context {
        ip: (
            u8::try_from(f.network).ok()?,
            u8::try_from(ipcso).ok()?,
            u16::try_from(ipcse).ok()?,
        ),
        l4: (
            u8::try_from(f.transport).ok()?,
            u8::try_from(tucso).ok()?,
            0,
        ),
        payload: payload as u32,
        cut: Some((u8::try_from(f.headers).ok()?, f.mss)),
        tcp: true,
        ipv4: f.ipv4,
    })
}

/// The context of a frame of which only the transport checksum is missing: it is summed from `start` on
/// and stored at `start + offset`. `None` if that lies where the card's fields do not reach.
///
/// Mirrors [`e1000_tx_csum`](srctree/drivers/net/ethernet/intel/e1000/e1000_main.c)
#[inline]
pub(crate) fn checksum(start: usize, offset: usize) -> Option<Context> {
    let css = u8::try_from(start).ok()?;
    let cso = u8::try_from(start.checked_add(offset)?).ok()?;
    Some(Context {
        l4: (css, cso, 0),
        ..Context::default()
    })
}

/// The sum over the pseudo-header less the length, which the card adds segment by segment: what stands in
/// the checksum field of a frame to be cut. `addresses` are source and destination as they stand in the
/// packet; 16 bits in the packet's order.
///
/// Mirrors [`tcp_v4_check`](srctree/include/net/tcp.h) with a length of 0
pub(crate) fn pseudo_header(addresses: &[u8], protocol: u8) -> [u8; 2] {
    let mut sum = u32::from(protocol);
    for pair in addresses.chunks_exact(2) {
        if let [a, b] = *pair {
            // At most 16 pairs: far from 2^32.
            sum = sum.wrapping_add(u32::from(u16::from_be_bytes([a, b])));
        }
    }
    sum = (sum & 0xffff).wrapping_add(sum >> 16);
    sum = (sum & 0xffff).wrapping_add(sum >> 16);
    (sum as u16).to_be_bytes()
}
