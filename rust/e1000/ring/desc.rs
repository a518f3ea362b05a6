// SPDX-License-Identifier: GPL-2.0
//! Descriptors: two little-endian words of 64 bits, and what stands in them.
//!
//! Manual, sections 3.2.3 (receive) and 3.3.3, 3.3.6, 3.3.7 (transmit: legacy, context, data). The words
//! here are in the processor's order; whoever keeps them in memory turns them.

/// The two words of a descriptor.
pub(crate) type Words = [u64; 2];

/// The card is done with the descriptor: bit of the second word of a transmit descriptor.
pub(crate) const TX_DONE: u64 = 1 << 32;
/// The card is done with the descriptor: bit of the second word of a receive descriptor.
pub(crate) const RX_DONE: u64 = 1 << 32;

/// End of packet: the frame's last descriptor.
pub(crate) const CMD_EOP: u64 = 1 << 24;
/// The card appends the frame check sequence.
pub(crate) const CMD_IFCS: u64 = 1 << 25;
/// The card reports when it is done.
pub(crate) const CMD_RS: u64 = 1 << 27;
const CMD_TSE: u64 = 1 << 26;
const CMD_DEXT: u64 = 1 << 29;
const CMD_VLE: u64 = 1 << 30;
const TYPE_DATA: u64 = 1 << 20;
const OPT_IP_SUM: u64 = 1 << 40;
const OPT_L4_SUM: u64 = 1 << 41;
const VLAN_SHIFT: u32 = 48;
const CONTEXT_TCP: u64 = 1 << 24;
const CONTEXT_IP: u64 = 1 << 25;

/// What is the same in all descriptors of a frame: the second word less the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TxFlags(u64);

impl TxFlags {
    /// A frame that the card sends as it is.
    #[inline]
    pub(crate) const fn plain() -> Self {
        TxFlags(CMD_IFCS)
    }

    /// The card fills in the transport checksum that the last context described.
    #[inline]
    pub(crate) const fn checksum(self) -> Self {
        TxFlags(self.0 | CMD_DEXT | TYPE_DATA | OPT_L4_SUM)
    }

    /// The card cuts the frame into segments, by the context in front of it.
    #[inline]
    pub(crate) const fn segment(self, ipv4: bool) -> Self {
        let ip = if ipv4 { OPT_IP_SUM } else { 0 };
        TxFlags(self.0 | CMD_DEXT | TYPE_DATA | CMD_TSE | OPT_L4_SUM | ip)
    }

    /// The card inserts this VLAN tag.
    #[inline]
    pub(crate) const fn vlan(self, tci: u16) -> Self {
        TxFlags(self.0 | CMD_VLE | ((tci as u64) << VLAN_SHIFT))
    }

    /// The descriptor of `len` bytes, at most [`super::MAX_DATA`], at bus address `addr`.
    #[inline]
    pub(crate) const fn data(self, addr: u64, len: usize) -> Words {
        [addr, self.0 | (len as u64 & 0xffff)]
    }
}

/// Where the card is to sum, and, if it cuts, where: the fields of a context descriptor. Offsets are from
/// the beginning of the frame, in bytes; an end of 0 is the packet's end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Context {
    /// Start of the IP header, its checksum field, and its last byte.
    pub(crate) ip: (u8, u8, u16),
    /// Start of what the transport checksum covers, its field, and its last byte.
    pub(crate) l4: (u8, u8, u16),
    /// Bytes of payload to cut, without headers; 0 if nothing is to be cut.
    pub(crate) payload: u32,
    /// Bytes of headers, and payload bytes of a segment.
    pub(crate) cut: Option<(u8, u16)>,
    /// Whether the transport is TCP.
    pub(crate) tcp: bool,
    /// Whether the network header is IPv4, of which each segment needs a length, number and checksum.
    pub(crate) ipv4: bool,
}

impl Context {
    /// The descriptor.
    #[inline]
    pub(crate) const fn words(&self) -> Words {
        let (ipcss, ipcso, ipcse) = self.ip;
        let (tucss, tucso, tucse) = self.l4;
        let first = ipcss as u64
            | ((ipcso as u64) << 8)
            | ((ipcse as u64) << 16)
            | ((tucss as u64) << 32)
            | ((tucso as u64) << 40)
            | ((tucse as u64) << 48);
        let mut second = (self.payload as u64 & 0xf_ffff) | CMD_DEXT;
        if self.tcp {
            second |= CONTEXT_TCP;
        }
        if self.ipv4 {
            second |= CONTEXT_IP;
        }
        if let Some((hdr_len, mss)) = self.cut {
            second |= CMD_TSE | ((hdr_len as u64) << 40) | ((mss as u64) << 48);
        }
        [first, second]
    }
}

/// What the card wrote into the second word of a receive descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RxWriteback(pub(crate) u64);

impl RxWriteback {
    /// The card is done with the descriptor.
    #[inline]
    pub(crate) const fn done(self) -> bool {
        self.0 & RX_DONE != 0
    }

    /// Bytes that the card claims to have written to the buffer.
    #[inline]
    pub(crate) const fn len(self) -> usize {
        (self.0 & 0xffff) as usize
    }

    /// The frame ends in this buffer.
    #[inline]
    pub(crate) const fn end_of_packet(self) -> bool {
        self.0 & (1 << 33) != 0
    }

    /// The tag that the card took out of the frame, if any.
    #[inline]
    pub(crate) const fn vlan(self) -> Option<u16> {
        if self.0 & (1 << 35) != 0 {
            Some((self.0 >> VLAN_SHIFT) as u16)
        } else {
            None
        }
    }

    /// The card found a frame error: CRC, symbol, sequence, carrier extension or receive data error.
    #[inline]
    pub(crate) const fn frame_error(self) -> bool {
        self.0 & (0x97 << 40) != 0
    }

    /// What the card says of the transport checksum.
    ///
    /// Mirrors [`e1000_rx_checksum`](srctree/drivers/net/ethernet/intel/e1000/e1000_main.c)
    #[inline]
    pub(crate) const fn checksum(self) -> Checksum {
        const IGNORE: u64 = 1 << 34;
        const L4_CHECKED: u64 = 1 << 37;
        const L4_ERROR: u64 = 1 << 45;
        if self.0 & IGNORE != 0 || self.0 & L4_CHECKED == 0 {
            Checksum::Unknown
        } else if self.0 & L4_ERROR != 0 {
            Checksum::Bad
        } else {
            Checksum::Good
        }
    }
}

/// A verdict of the card on a transport checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checksum {
    /// It did not look.
    Unknown,
    /// It is right.
    Good,
    /// It is wrong; the stack looks again and counts it.
    Bad,
}
