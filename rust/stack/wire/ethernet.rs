// SPDX-License-Identifier: GPL-2.0
//! Ethernet II headers and addresses.
//!
//! What the check covers: fourteen bytes are there. Nothing else can be wrong with such a header;
//! frames of IEEE 802.3 (a length instead of a type) show up as an [`EtherType`] below 0x600.
//!
//! Mirrors [`struct ethhdr`](srctree/include/uapi/linux/if_ether.h)

use super::super::drop_reason::DropReason;
use super::ipv4;

/// Bytes of an Ethernet header.
pub const HEADER_LEN: usize = 14;

/// An Ethernet address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Addr(pub [u8; 6]);

impl Addr {
    /// The address of every station.
    pub const BROADCAST: Addr = Addr([0xff; 6]);
    /// No address.
    pub const ZERO: Addr = Addr([0; 6]);

    /// Whether frames to it reach more than one station (the group bit; broadcast included).
    #[inline]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Whether it is [`Addr::BROADCAST`].
    #[inline]
    pub fn is_broadcast(self) -> bool {
        self == Self::BROADCAST
    }

    /// Whether it can be the source of a frame: neither a group nor zero.
    ///
    /// Mirrors [`is_valid_ether_addr`](srctree/include/linux/etherdevice.h)
    #[inline]
    pub fn is_valid(self) -> bool {
        !self.is_multicast() && self != Self::ZERO
    }

    /// The group address that an IPv4 multicast group maps to.
    ///
    /// Mirrors [`ip_eth_mc_map`](srctree/include/net/ip.h)
    ///
    /// RFC 1112, 6.4: the low 23 bits of the group behind 01-00-5e.
    #[inline]
    pub const fn from_multicast(group: ipv4::Addr) -> Addr {
        let [_, b, c, d] = group.octets();
        Addr([0x01, 0x00, 0x5e, b & 0x7f, c, d])
    }

    /// The address as the low 48 bits of a number, for a word that is read in one piece.
    #[inline]
    pub const fn to_u64(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }

    /// The address in the low 48 bits of `v`.
    #[inline]
    pub const fn from_u64(v: u64) -> Addr {
        let [_, _, a, b, c, d, e, f] = v.to_be_bytes();
        Addr([a, b, c, d, e, f])
    }
}

impl core::fmt::Display for Addr {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// The protocol of a frame's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4.
    pub const IPV4: EtherType = EtherType(0x0800);
    /// ARP.
    pub const ARP: EtherType = EtherType(0x0806);
}

/// A view of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    header: &'a [u8; HEADER_LEN],
    payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Checks that the header is whole.
    #[inline]
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, DropReason> {
        match bytes.split_first_chunk() {
            Some((header, payload)) => Ok(Packet { header, payload }),
            None => Err(DropReason::DevHdr),
        }
    }

    /// The bytes behind the header.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// An Ethernet header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Destination.
    pub dst: Addr,
    /// Source.
    pub src: Addr,
    /// Protocol of the payload.
    pub ethertype: EtherType,
}

impl Repr {
    /// Reads the header.
    #[inline]
    pub fn parse(packet: &Packet<'_>) -> Repr {
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = *packet.header;
        Repr {
            dst: Addr([d0, d1, d2, d3, d4, d5]),
            src: Addr([s0, s1, s2, s3, s4, s5]),
            ethertype: EtherType(u16::from_be_bytes([t0, t1])),
        }
    }

    /// Bytes that [`Repr::emit`] fills.
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header to the front of `bytes`.
    #[inline]
    pub fn emit(&self, bytes: &mut [u8]) -> bool {
        let Some(h) = bytes.first_chunk_mut::<HEADER_LEN>() else {
            return false;
        };
        let [d0, d1, d2, d3, d4, d5] = self.dst.0;
        let [s0, s1, s2, s3, s4, s5] = self.src.0;
        let [t0, t1] = self.ethertype.0.to_be_bytes();
        *h = [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1];
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_checked__short_frame() {
        assert_eq!(
            Packet::new_checked(&[0; 13]).err(),
            Some(DropReason::DevHdr)
        );
    }

    #[test]
    fn emit__then_parse() {
        let repr = Repr {
            dst: Addr([1, 2, 3, 4, 5, 6]),
            src: Addr([7, 8, 9, 10, 11, 12]),
            ethertype: EtherType::ARP,
        };
        let mut bytes = [0; 16];
        assert!(repr.emit(&mut bytes));
        assert!(!repr.emit(&mut bytes[..13]));
        let packet = Packet::new_checked(&bytes).unwrap();
        assert_eq!(Repr::parse(&packet), repr);
        assert_eq!(packet.payload(), [0, 0]);
    }

    #[test]
    fn from_multicast__drops_the_upper_bits() {
        let a = Addr::from_multicast(ipv4::Addr::new(239, 255, 1, 2));
        assert_eq!(a, Addr([0x01, 0x00, 0x5e, 0x7f, 1, 2]));
        assert!(a.is_multicast() && !a.is_broadcast() && !a.is_valid());
    }

    #[test]
    fn to_u64__round_trip() {
        let a = Addr([1, 2, 3, 4, 5, 6]);
        assert_eq!(Addr::from_u64(a.to_u64()), a);
    }
}
