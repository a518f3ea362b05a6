// SPDX-License-Identifier: GPL-2.0
//! A received segment's header, read once.

use super::{
    options::Options,
    seq::SeqNum,
    skb::Flags,
    HEADER_LEN, //
};
use crate::platform::SkBuff;
use crate::stack::drop_reason::DropReason;

/// The header of a received segment as values. The packet's data still begins with the header, of
/// which [`Segment::doff`] bytes precede the payload.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// The sender's port.
    pub source: u16,
    /// Our port.
    pub dest: u16,
    /// First sequence number (SEG.SEQ).
    pub seq: SeqNum,
    /// The number after the last, SYN and FIN counted.
    pub end_seq: SeqNum,
    /// The acknowledgement (SEG.ACK); only meaningful with the flag.
    pub ack_seq: SeqNum,
    /// The control bits.
    pub flags: Flags,
    /// Length of the header, 20 to 60 bytes.
    pub doff: u8,
    /// The window field, unscaled.
    pub window: u16,
    /// The urgent pointer; only meaningful with the flag.
    pub urg_ptr: u16,
    /// Bytes of payload.
    pub len: u32,
    /// The DS and ECN bits of the IP header.
    pub dsfield: u8,
    /// The options.
    pub opts: Options,
}

impl Segment {
    /// Whether an ACK in answer to it may be part of an endless exchange of them. Data without a SYN are unlikely
    /// to be.
    ///
    /// Mirrors [`tcp_oow_rate_limited`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    pub(super) fn may_loop(&self) -> bool {
        self.seq == self.end_seq || self.flags.has(Flags::SYN)
    }

    /// Reads the header at the front of `skb`'s data and notes the sequence numbers in its control
    /// block, where the caller has left [`Segment::dsfield`]. The checksum is not looked at.
    ///
    /// # Errors
    ///
    /// [`DropReason::PktTooSmall`] when the header is cut short, [`DropReason::TcpHdr`] when its length
    /// field is below 20.
    ///
    /// Mirrors [`tcp_v4_rcv`, `tcp_v4_fill_cb`](srctree/net/ipv4/tcp_ipv4.c).
    #[inline]
    pub fn parse(skb: &mut SkBuff) -> Result<Segment, DropReason> {
        let len = skb.len();
        let hdr = skb.may_pull(HEADER_LEN).ok_or(DropReason::PktTooSmall)?;
        let Some((h, _)) = hdr.split_first_chunk::<HEADER_LEN>() else {
            return Err(DropReason::PktTooSmall);
        };
        let [s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, off, flags, w0, w1, _, _, u0, u1] = *h;
        let doff = (off >> 4) as usize * 4;
        if doff < HEADER_LEN {
            return Err(DropReason::TcpHdr);
        }
        let flags = Flags::from_bits(flags);
        let opts = if doff > HEADER_LEN {
            let bytes = skb.may_pull(doff).ok_or(DropReason::PktTooSmall)?;
            Options::parse(
                bytes.get(HEADER_LEN..doff).unwrap_or(&[]),
                flags.has(Flags::SYN),
            )
        } else {
            Options::default()
        };
        let payload = len.saturating_sub(doff) as u32;
        let seq = SeqNum::new(u32::from_be_bytes([q0, q1, q2, q3]));
        let end_seq = seq.add(payload).add(flags.seq_len());
        let ack_seq = SeqNum::new(u32::from_be_bytes([a0, a1, a2, a3]));
        let cb = skb.tcp_cb_mut();
        cb.seq = seq;
        cb.end_seq = end_seq;
        cb.ack_seq = ack_seq;
        cb.flags = flags;
        let dsfield = cb.dsfield;
        Ok(Segment {
            source: u16::from_be_bytes([s0, s1]),
            dest: u16::from_be_bytes([d0, d1]),
            seq,
            end_seq,
            ack_seq,
            flags,
            doff: doff as u8,
            window: u16::from_be_bytes([w0, w1]),
            urg_ptr: u16::from_be_bytes([u0, u1]),
            len: payload,
            dsfield,
            opts,
        })
    }
}
