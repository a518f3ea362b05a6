// SPDX-License-Identifier: GPL-2.0
//! The header of a segment that leaves.

use super::{
    options::OutOptions,
    seq::SeqNum,
    skb::Flags,
    HEADER_LEN, //
};
use crate::platform::Skb;
use crate::stack::{
    socket::FourTuple,
    wire::{checksum, put}, //
};

/// Offset of the checksum in the header, in bytes.
const CHECK_OFFSET: u16 = 16;

/// The fixed part of a header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) seq: SeqNum,
    pub(super) ack: SeqNum,
    pub(super) flags: Flags,
    pub(super) window: u16,
    pub(super) urg_ptr: u16,
}

impl Header {
    /// Puts the header and `opts` before `skb`'s payload, the checksum left to the device.
    /// `None` when the headroom is too small.
    #[inline]
    pub(super) fn push(&self, skb: &mut Skb, id: FourTuple, opts: &OutOptions) -> Option<()> {
        let hlen = HEADER_LEN.wrapping_add(opts.len());
        let total = skb.len().checked_add(hlen)? as u32;
        let pseudo = checksum::pseudo_header(id.saddr, id.daddr, 6, total);
        let (h, rest) = skb.push(hlen)?.split_first_chunk_mut::<HEADER_LEN>()?;
        let off = (hlen as u8 >> 2) << 4;
        let h = put(h, id.ports().to_be_bytes());
        let h = put(h, self.seq.get().to_be_bytes());
        let h = put(h, self.ack.get().to_be_bytes());
        let h = put(h, [off, self.flags.bits()]);
        let h = put(h, self.window.to_be_bytes());
        let h = put(h, (checksum::fold(pseudo) as u16).to_be_bytes());
        put(h, self.urg_ptr.to_be_bytes());
        opts.emit(rest);
        skb.reset_transport_header();
        skb.set_csum_partial(CHECK_OFFSET);
        Some(())
    }
}
