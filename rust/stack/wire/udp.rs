// SPDX-License-Identifier: GPL-2.0
//! UDP headers (RFC 768).
//!
//! What the check covers: eight bytes are there and the length field lies between the header's and
//! what the packet holds. The checksum is a separate step, for a device may have done it already.
//!
//! Mirrors [`struct udphdr`](srctree/include/uapi/linux/udp.h)

use super::super::drop_reason::DropReason;
use super::checksum;
use super::ipv4;

/// Bytes of a UDP header.
pub const HEADER_LEN: usize = 8;

/// A view of a datagram.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    header: &'a [u8; HEADER_LEN],
    payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Checks the length; bytes behind it are not part of the payload.
    ///
    /// RFC 768 lets a length of zero mean "the rest" only in jumbograms of IPv6.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, DropReason> {
        let (header, rest) = bytes
            .split_first_chunk::<HEADER_LEN>()
            .ok_or(DropReason::PktTooSmall)?;
        let len = usize::from(Fields(*header).len());
        let payload = len.checked_sub(HEADER_LEN).and_then(|n| rest.get(..n));
        match payload {
            Some(payload) => Ok(Packet { header, payload }),
            None => Err(DropReason::PktTooSmall),
        }
    }

    /// The fields of the header.
    #[inline]
    pub fn fields(&self) -> Fields {
        Fields(*self.header)
    }

    /// The bytes between header and length.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Whether the checksum is right, or was not used (zero).
    pub fn verify_checksum(&self, saddr: ipv4::Addr, daddr: ipv4::Addr) -> bool {
        let f = self.fields();
        if f.check() == 0 {
            return true;
        }
        let pseudo =
            checksum::pseudo_header(saddr, daddr, ipv4::Protocol::UDP.0, u32::from(f.len()));
        let sum = checksum::partial(self.payload, checksum::partial(self.header, pseudo));
        checksum::fold(sum) == 0xffff
    }
}

/// The eight bytes of a header, by field: every accessor is total.
#[derive(Clone, Copy, Debug)]
pub struct Fields(pub [u8; HEADER_LEN]);

impl Fields {
    /// Source port; zero when no reply is wanted.
    #[inline]
    pub const fn source(&self) -> u16 {
        u16::from_be_bytes([self.0[0], self.0[1]])
    }

    /// Destination port.
    #[inline]
    pub const fn dest(&self) -> u16 {
        u16::from_be_bytes([self.0[2], self.0[3]])
    }

    /// Length of header and data as stated, in bytes.
    #[inline]
    pub const fn len(&self) -> u16 {
        u16::from_be_bytes([self.0[4], self.0[5]])
    }

    /// Whether there are no data.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len() as usize <= HEADER_LEN
    }

    /// Checksum; zero when the sender made none.
    #[inline]
    pub const fn check(&self) -> u16 {
        u16::from_be_bytes([self.0[6], self.0[7]])
    }
}

/// A UDP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub dest: u16,
    /// Bytes of data: at most 65,507 over IPv4.
    pub payload_len: u16,
}

impl Repr {
    /// Reads the header.
    pub fn parse(packet: &Packet<'_>) -> Repr {
        let f = packet.fields();
        Repr {
            source: f.source(),
            dest: f.dest(),
            payload_len: f.len().saturating_sub(HEADER_LEN as u16),
        }
    }

    /// Bytes that [`Repr::emit`] fills.
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header to the front of `bytes` with `check` as its checksum field.
    #[inline]
    pub fn emit(&self, bytes: &mut [u8], check: u16) -> bool {
        let Some(h) = bytes.first_chunk_mut::<HEADER_LEN>() else {
            return false;
        };
        let [s0, s1] = self.source.to_be_bytes();
        let [d0, d1] = self.dest.to_be_bytes();
        let [l0, l1] = self
            .payload_len
            .saturating_add(HEADER_LEN as u16)
            .to_be_bytes();
        let [c0, c1] = check.to_be_bytes();
        *h = [s0, s1, d0, d1, l0, l1, c0, c1];
        true
    }
}

/// The checksum field for a finished sum: a sum that comes out as zero is sent as all ones, for zero
/// means "none" (RFC 768).
#[inline]
pub const fn finish_checksum(sum: u32) -> u16 {
    match checksum::finish(sum) {
        0 => 0xffff,
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: ipv4::Addr = ipv4::Addr::new(10, 0, 0, 1);
    const D: ipv4::Addr = ipv4::Addr::new(10, 0, 0, 2);

    fn datagram() -> [u8; 13] {
        let repr = Repr {
            source: 1000,
            dest: 53,
            payload_len: 5,
        };
        let mut bytes = *b"........hello";
        assert!(repr.emit(&mut bytes, 0));
        let sum = checksum::partial(&bytes, checksum::pseudo_header(S, D, 17, 13));
        assert!(repr.emit(&mut bytes, finish_checksum(sum)));
        bytes
    }

    #[test]
    fn emit__then_parse() {
        let bytes = datagram();
        let packet = Packet::new_checked(&bytes).unwrap();
        assert_eq!(
            Repr::parse(&packet),
            Repr {
                source: 1000,
                dest: 53,
                payload_len: 5
            }
        );
        assert_eq!(packet.payload(), b"hello");
        assert!(packet.verify_checksum(S, D));
    }

    #[test]
    fn verify_checksum__one_flipped_bit() {
        for byte in 0..13 {
            // The length field has a check of its own.
            if byte == 4 || byte == 5 {
                continue;
            }
            let mut bytes = datagram();
            bytes[byte] ^= 4;
            assert!(
                !Packet::new_checked(&bytes).unwrap().verify_checksum(S, D),
                "byte {byte}"
            );
        }
    }

    #[test]
    fn verify_checksum__zero_means_none() {
        let mut bytes = datagram();
        bytes[6] = 0;
        bytes[7] = 0;
        assert!(Packet::new_checked(&bytes).unwrap().verify_checksum(S, D));
    }

    #[test]
    fn new_checked__length_against_bytes() {
        let mut bytes = datagram();
        for (len, ok) in [
            (0u16, false),
            (7, false),
            (8, true),
            (13, true),
            (14, false),
            (65_535, false),
        ] {
            bytes[4..6].copy_from_slice(&len.to_be_bytes());
            let got = Packet::new_checked(&bytes);
            match got {
                Ok(p) => assert!(ok && p.payload().len() == usize::from(len) - 8),
                Err(r) => assert!(!ok && r == DropReason::PktTooSmall),
            }
        }
        assert!(Packet::new_checked(&bytes[..7]).is_err());
    }

    #[test]
    fn finish_checksum__never_zero() {
        assert_eq!(finish_checksum(0xffff), 0xffff);
        assert_eq!(finish_checksum(0), 0xffff);
    }
}
