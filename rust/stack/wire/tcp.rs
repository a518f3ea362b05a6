// SPDX-License-Identifier: GPL-2.0
//! TCP headers (RFC 9293, 3.1) and their options.
//!
//! What the check covers: twenty bytes are there, and the data offset is at least five words and not
//! more than the bytes at hand. Options are parsed totally: [`Options`] ends at the first one that
//! contradicts itself, as RFC 9293, 3.1 (MUST-64, "handle an illegal option length") allows.
//!
//! Mirrors [`struct tcphdr`](srctree/include/uapi/linux/tcp.h),
//! [`tcp_parse_options`](srctree/net/ipv4/tcp_input.c)

use super::super::drop_reason::DropReason;
use super::checksum;
use super::ipv4;

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;
/// Bytes of the longest header: fifteen words.
pub const MAX_HEADER_LEN: usize = 60;
/// Bytes of options at the most.
pub const MAX_OPTIONS_LEN: usize = MAX_HEADER_LEN - HEADER_LEN;
/// Where the checksum field begins, in bytes from the header's start.
pub const CHECK_OFFSET: u16 = 16;
/// The largest shift count of the window scale option (RFC 7323, 2.3).
pub const MAX_WSCALE: u8 = 14;

/// The control bits of a segment (RFC 9293, section 3.1), and ECN's (RFC 3168).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Flags(u8);

impl Flags {
    /// No bit is set.
    pub const NONE: Flags = Flags(0);
    /// No more data from the sender.
    pub const FIN: Flags = Flags(0x01);
    /// Synchronise sequence numbers.
    pub const SYN: Flags = Flags(0x02);
    /// Reset the connection.
    pub const RST: Flags = Flags(0x04);
    /// Push.
    pub const PSH: Flags = Flags(0x08);
    /// The acknowledgement field is significant.
    pub const ACK: Flags = Flags(0x10);
    /// The urgent pointer is significant.
    pub const URG: Flags = Flags(0x20);
    /// ECN echo.
    pub const ECE: Flags = Flags(0x40);
    /// Congestion window reduced.
    pub const CWR: Flags = Flags(0x80);

    /// The bits as they stand on the wire.
    #[inline]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// From the bits on the wire.
    #[inline]
    pub const fn from_bits(bits: u8) -> Self {
        Flags(bits)
    }

    /// The union of both.
    #[inline]
    pub const fn and(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// These bits less those of `other`.
    #[inline]
    pub const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }

    /// Whether any of `other`'s bits is set.
    #[inline]
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }

    /// Sequence numbers that SYN and FIN occupy.
    #[inline]
    pub const fn seq_len(self) -> u32 {
        (self.0 & 1) as u32 + ((self.0 >> 1) & 1) as u32
    }
}

/// The twenty bytes of a header, by field: every accessor is total.
#[derive(Clone, Copy, Debug)]
pub struct Fields(pub [u8; HEADER_LEN]);

impl Fields {
    /// Source port.
    #[inline]
    pub const fn source(&self) -> u16 {
        u16::from_be_bytes([self.0[0], self.0[1]])
    }

    /// Destination port.
    #[inline]
    pub const fn dest(&self) -> u16 {
        u16::from_be_bytes([self.0[2], self.0[3]])
    }

    /// Sequence number of the first byte, or of the SYN.
    #[inline]
    pub const fn seq(&self) -> u32 {
        u32::from_be_bytes([self.0[4], self.0[5], self.0[6], self.0[7]])
    }

    /// Acknowledgement number.
    #[inline]
    pub const fn ack_seq(&self) -> u32 {
        u32::from_be_bytes([self.0[8], self.0[9], self.0[10], self.0[11]])
    }

    /// Bytes of the header as stated, options included: 0 to 60.
    #[inline]
    pub const fn header_len(&self) -> usize {
        ((self.0[12] >> 4) as usize) * 4
    }

    /// The three reserved bits and the former NS bit, in the low four bits.
    #[inline]
    pub const fn reserved(&self) -> u8 {
        self.0[12] & 0xf
    }

    /// The control bits.
    #[inline]
    pub const fn flags(&self) -> Flags {
        Flags::from_bits(self.0[13])
    }

    /// The window, not scaled.
    #[inline]
    pub const fn window(&self) -> u16 {
        u16::from_be_bytes([self.0[14], self.0[15]])
    }

    /// The checksum.
    #[inline]
    pub const fn check(&self) -> u16 {
        u16::from_be_bytes([self.0[16], self.0[17]])
    }

    /// The urgent pointer.
    #[inline]
    pub const fn urg_ptr(&self) -> u16 {
        u16::from_be_bytes([self.0[18], self.0[19]])
    }
}

/// A view of a segment.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    header: &'a [u8; HEADER_LEN],
    options: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Checks the data offset.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, DropReason> {
        let (header, rest) = bytes
            .split_first_chunk::<HEADER_LEN>()
            .ok_or(DropReason::PktTooSmall)?;
        let options_len = Fields(*header)
            .header_len()
            .checked_sub(HEADER_LEN)
            .ok_or(DropReason::TcpHdr)?;
        let (options, payload) = rest
            .split_at_checked(options_len)
            .ok_or(DropReason::TcpHdr)?;
        Ok(Packet {
            header,
            options,
            payload,
        })
    }

    /// The fields of the header.
    #[inline]
    pub fn fields(&self) -> Fields {
        Fields(*self.header)
    }

    /// The options.
    #[inline]
    pub fn options(&self) -> Options<'a> {
        Options(self.options)
    }

    /// The bytes behind the header.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Whether the checksum is right.
    pub fn verify_checksum(&self, saddr: ipv4::Addr, daddr: ipv4::Addr) -> bool {
        let len = HEADER_LEN
            .saturating_add(self.options.len())
            .saturating_add(self.payload.len());
        let Ok(len) = u16::try_from(len) else {
            return false;
        };
        let sum = checksum::pseudo_header(saddr, daddr, ipv4::Protocol::TCP.0, u32::from(len));
        let sum = checksum::partial(self.header, sum);
        let sum = checksum::partial(self.options, sum);
        checksum::fold(checksum::partial(self.payload, sum)) == 0xffff
    }
}

/// One option of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpOption<'a> {
    /// The largest segment the sender of the option receives, in bytes of data (RFC 9293, 3.7.1).
    Mss(u16),
    /// The sender's windows are shifted by so much: 0 to [`MAX_WSCALE`] (RFC 7323, 2.2).
    WindowScale(u8),
    /// Selective acknowledgements may be sent (RFC 2018, 2).
    SackPermitted,
    /// Blocks that were received out of order (RFC 2018, 3).
    Sack(SackBlocks<'a>),
    /// The sender's clock, and ours as it last saw it (RFC 7323, 3.2).
    Timestamps {
        /// TSval.
        tsval: u32,
        /// TSecr.
        tsecr: u32,
    },
    /// Another kind, or a known one of a wrong length, with its data.
    Unknown(u8, &'a [u8]),
}

/// The blocks of a SACK option: one to four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SackBlocks<'a>(&'a [u8]);

impl Iterator for SackBlocks<'_> {
    /// First sequence number of the block, and the one behind its last.
    type Item = (u32, u32);

    #[inline]
    fn next(&mut self) -> Option<(u32, u32)> {
        let ([a, b, c, d, e, f, g, h], rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some((
            u32::from_be_bytes([*a, *b, *c, *d]),
            u32::from_be_bytes([*e, *f, *g, *h]),
        ))
    }
}

/// The options of a segment, in order, without those that only pad.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a>(&'a [u8]);

impl<'a> Options<'a> {
    /// The options in `bytes`, which may be anything.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Options(bytes)
    }

    /// The bytes of the options, padding included.
    #[inline]
    pub const fn bytes(&self) -> &'a [u8] {
        self.0
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = TcpOption<'a>;

    #[inline]
    fn next(&mut self) -> Option<TcpOption<'a>> {
        loop {
            let (kind, rest) = self.0.split_first()?;
            match kind {
                // End of list.
                0 => {
                    self.0 = &[];
                    return None;
                }
                // No operation.
                1 => self.0 = rest,
                kind => {
                    // The length counts kind and length themselves. One that is below two, or runs
                    // over the end, ends the list: what follows cannot be told apart.
                    let (option, tail) = rest
                        .split_first()
                        .and_then(|(len, _)| self.0.split_at_checked(usize::from(*len)))
                        .unwrap_or((&[], &[]));
                    let Some((_, data)) = option.split_first_chunk::<2>() else {
                        self.0 = &[];
                        return None;
                    };
                    self.0 = tail;
                    return Some(TcpOption::new(*kind, data));
                }
            }
        }
    }
}

impl<'a> TcpOption<'a> {
    /// Reads the option of the kind `kind`.
    #[inline]
    fn new(kind: u8, data: &'a [u8]) -> TcpOption<'a> {
        match (kind, data) {
            (2, [a, b]) => TcpOption::Mss(u16::from_be_bytes([*a, *b])),
            // RFC 7323, 2.3: "If a Window Scale option is received with a shift.cnt value larger than
            // 14, the TCP SHOULD log the error but MUST use 14".
            (3, [shift]) => TcpOption::WindowScale((*shift).min(MAX_WSCALE)),
            (4, []) => TcpOption::SackPermitted,
            (5, blocks) if !blocks.is_empty() && blocks.len() % 8 == 0 => {
                TcpOption::Sack(SackBlocks(blocks))
            }
            (8, [a, b, c, d, e, f, g, h]) => TcpOption::Timestamps {
                tsval: u32::from_be_bytes([*a, *b, *c, *d]),
                tsecr: u32::from_be_bytes([*e, *f, *g, *h]),
            },
            _ => TcpOption::Unknown(kind, data),
        }
    }
}

/// A TCP header without options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub dest: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack_seq: u32,
    /// Control bits.
    pub flags: Flags,
    /// Window, already scaled down.
    pub window: u16,
    /// Urgent pointer.
    pub urg_ptr: u16,
    /// Bytes of options that the caller writes behind the header: 0 to 40, a multiple of four.
    pub options_len: usize,
}

impl Repr {
    /// Reads the header.
    pub fn parse(packet: &Packet<'_>) -> Repr {
        let f = packet.fields();
        Repr {
            source: f.source(),
            dest: f.dest(),
            seq: f.seq(),
            ack_seq: f.ack_seq(),
            flags: f.flags(),
            window: f.window(),
            urg_ptr: f.urg_ptr(),
            options_len: packet.options.len(),
        }
    }

    /// Bytes of header and options; [`Repr::emit`] fills the first [`HEADER_LEN`] of them.
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN + self.options_len
    }

    /// Writes the header to the front of `bytes`, with `check` as its checksum field.
    #[inline]
    pub fn emit(&self, bytes: &mut [u8], check: u16) -> bool {
        let Some(h) = bytes.first_chunk_mut::<HEADER_LEN>() else {
            return false;
        };
        let words = self.options_len.min(MAX_OPTIONS_LEN).div_ceil(4) as u8;
        let [s0, s1] = self.source.to_be_bytes();
        let [d0, d1] = self.dest.to_be_bytes();
        let [q0, q1, q2, q3] = self.seq.to_be_bytes();
        let [a0, a1, a2, a3] = self.ack_seq.to_be_bytes();
        let [w0, w1] = self.window.to_be_bytes();
        let [c0, c1] = check.to_be_bytes();
        let [u0, u1] = self.urg_ptr.to_be_bytes();
        *h = [
            s0,
            s1,
            d0,
            d1,
            q0,
            q1,
            q2,
            q3,
            a0,
            a1,
            a2,
            a3,
            words.saturating_add(5) << 4,
            self.flags.bits(),
            w0,
            w1,
            c0,
            c1,
            u0,
            u1,
        ];
        true
    }
}

#[cfg(test)]
mod tests;
