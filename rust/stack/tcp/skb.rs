// SPDX-License-Identifier: GPL-2.0
//! TCP's private notes on a packet buffer.

use super::seq::SeqNum;

pub use crate::stack::wire::tcp::Flags;

/// The life of a sent segment as the sender knows it (`TCP_SKB_CB(skb)->sacked`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Marks(u8);

impl Marks {
    /// The peer has told by SACK that it has it (`TCPCB_SACKED_ACKED`).
    pub const SACKED: Marks = Marks(0x01);
    /// A retransmission of it is in flight (`TCPCB_SACKED_RETRANS`).
    pub const RETRANS: Marks = Marks(0x02);
    /// It is taken to be lost.
    pub const LOST: Marks = Marks(0x04);
    /// It was retransmitted at least once (Karn: gives no RTT sample).
    pub const EVER_RETRANS: Marks = Marks(0x80);
    /// It was retransmitted, whether that is still in flight or not (`TCPCB_RETRANS`).
    pub const RETRANS_ONCE: Marks = Marks(0x82);

    /// Whether any of `other`'s marks is set.
    #[inline]
    pub const fn has(self, other: Marks) -> bool {
        self.0 & other.0 != 0
    }

    /// Sets the marks of `other`.
    #[inline]
    pub fn set(&mut self, other: Marks) {
        self.0 |= other.0;
    }

    /// Clears the marks of `other`.
    #[inline]
    pub fn clear(&mut self, other: Marks) {
        self.0 &= !other.0;
    }
}

/// TCP's control block in a packet buffer (`struct tcp_skb_cb`): plain numbers, any bit pattern is a
/// value, at most 48 bytes.
///
/// On a received segment `seq` and `end_seq` are the peer's; on one of ours they are our own. The
/// payload of the buffer is `[seq, end_seq)` less the numbers that SYN (first) and FIN (last) occupy.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Cb {
    /// First sequence number.
    pub seq: SeqNum,
    /// The sequence number after the last.
    pub end_seq: SeqNum,
    /// Received: the acknowledgement number. Sent: with `tstamp`, the byte whose time stamps are wanted.
    pub ack_seq: SeqNum,
    /// Sent: number of segments on the wire that this buffer stands for; at least 1 once sent.
    pub pcount: u16,
    /// Sent: payload bytes of each of those segments; 0 if there is one.
    pub gso_size: u16,
    /// When it was last sent, in nanoseconds of the stack's clock.
    pub sent_at: u64,
    /// The control bits.
    pub flags: Flags,
    /// Sent: what became of it.
    pub marks: Marks,
    /// Sent: 1 if no later data may be joined to it (MSG_EOR).
    pub eor: u8,
    /// Sent: time stamps of `ack_seq` are wanted; 2 if that of its acknowledgement is one.
    pub tstamp: u8,
    /// Sent: segments that had been delivered when it was sent (`tx.delivered`).
    pub delivered: u32,
    /// Received: the IP header's DS and ECN bits. Sent: the ECN bits that it is to have.
    pub dsfield: u8,
    /// Sent: 1 if the application had not filled the flight then (`tx.is_app_limited`).
    pub app_limited: u8,
    /// Keeps the layout free of implicit padding.
    pub reserved: [u8; 2],
    /// Sent: when the packet that had been delivered last was sent, in microseconds modulo 2^32
    /// (`tx.first_tx_mstamp`).
    pub first_tx_us: u32,
    /// Sent: when it was delivered; 0 once this one was (`tx.delivered_mstamp`).
    pub delivered_us: u32,
    /// Keeps the layout free of implicit padding.
    pub reserved2: [u8; 4],
}

impl Cb {
    /// Segments that the buffer counts as; an unsent one counts as one.
    #[inline]
    pub fn pcount(&self) -> u32 {
        if self.pcount == 0 {
            1
        } else {
            self.pcount as u32
        }
    }

    /// The sender's end: a FIN is the last that the segment carries.
    pub(super) fn append_fin(&mut self) {
        self.flags = self.flags.and(Flags::FIN);
        self.end_seq = self.end_seq.add(1);
    }
}
