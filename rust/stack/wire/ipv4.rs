// SPDX-License-Identifier: GPL-2.0
//! IPv4 headers, addresses and options (RFC 791).
//!
//! What the check covers, in the order of `ip_rcv_core`: twenty bytes are there, the version is 4,
//! the header length is at least five words and not more than the bytes at hand, the header's
//! checksum is right, and the total length lies between the header's and what the frame holds.
//! Bytes behind the total length (Ethernet's padding) are not part of the payload.
//!
//! Mirrors [`struct iphdr`](srctree/include/uapi/linux/ip.h),
//! [`ip_rcv_core`](srctree/net/ipv4/ip_input.c)

use super::super::drop_reason::DropReason;
use super::checksum;

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;
/// Bytes of the longest header: fifteen words.
pub const MAX_HEADER_LEN: usize = 60;
/// The largest packet, in bytes.
pub const MAX_LEN: usize = 65_535;
/// The smallest MTU a link may have (RFC 791, 3.2), in bytes.
pub const MIN_MTU: u32 = 68;

/// An IPv4 address, held as a number in host order: 127.0.0.1 is 0x7f000001.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Addr(u32);

impl Addr {
    /// 0.0.0.0: no address, or any.
    pub const ANY: Addr = Addr(0);
    /// 127.0.0.1.
    pub const LOOPBACK: Addr = Addr(0x7f00_0001);
    /// 255.255.255.255: every host of the link.
    pub const BROADCAST: Addr = Addr(0xffff_ffff);

    /// The address `a.b.c.d`.
    #[inline]
    pub const fn new(a: u8, b: u8, c: u8, d: u8) -> Addr {
        Addr(u32::from_be_bytes([a, b, c, d]))
    }

    /// From the four bytes in the order of the wire.
    #[inline]
    pub const fn from_octets(o: [u8; 4]) -> Addr {
        Addr(u32::from_be_bytes(o))
    }

    /// The four bytes in the order of the wire.
    #[inline]
    pub const fn octets(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }

    /// From a number in host order.
    #[inline]
    pub const fn from_u32(v: u32) -> Addr {
        Addr(v)
    }

    /// The number in host order.
    #[inline]
    pub const fn to_u32(self) -> u32 {
        self.0
    }

    /// From a `__be32`.
    #[inline]
    pub const fn from_be(v: u32) -> Addr {
        Addr(u32::from_be(v))
    }

    /// The address as a `__be32`.
    #[inline]
    pub const fn to_be(self) -> u32 {
        self.0.to_be()
    }

    /// Whether it is 0.0.0.0.
    #[inline]
    pub const fn is_any(self) -> bool {
        self.0 == 0
    }

    /// Whether it is 255.255.255.255.
    #[inline]
    pub const fn is_broadcast(self) -> bool {
        self.0 == u32::MAX
    }

    /// Whether it lies in 127.0.0.0/8 (RFC 1122, 3.2.1.3 (g): never outside a host).
    #[inline]
    pub const fn is_loopback(self) -> bool {
        self.0 >> 24 == 127
    }

    /// Whether it is a group: 224.0.0.0/4.
    #[inline]
    pub const fn is_multicast(self) -> bool {
        self.0 >> 28 == 0xe
    }

    /// Whether it is a group that no router knows: 224.0.0.0/24 (RFC 5771, 4).
    #[inline]
    pub const fn is_local_multicast(self) -> bool {
        self.0 >> 8 == 0x00e0_0000
    }

    /// Whether it lies in 240.0.0.0/4 and is not the broadcast address.
    #[inline]
    pub const fn is_reserved(self) -> bool {
        self.0 >> 28 == 0xf && !self.is_broadcast()
    }

    /// Whether it lies in 0.0.0.0/8, "this network".
    #[inline]
    pub const fn is_zeronet(self) -> bool {
        self.0 >> 24 == 0
    }

    /// Whether it lies in 169.254.0.0/16.
    #[inline]
    pub const fn is_link_local(self) -> bool {
        self.0 >> 16 == 0xa9fe
    }

    /// The netmask of `len` bits; more than 32 count as 32.
    #[inline]
    pub const fn mask(len: u8) -> u32 {
        match len {
            0 => 0,
            1..=31 => u32::MAX << (32 - len as u32),
            _ => u32::MAX,
        }
    }
}

impl core::fmt::Display for Addr {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let [a, b, c, d] = self.octets();
        write!(f, "{a}.{b}.{c}.{d}")
    }
}

impl core::fmt::Debug for Addr {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

/// The protocol of a packet's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Protocol(pub u8);

impl Protocol {
    /// ICMP.
    pub const ICMP: Protocol = Protocol(1);
    /// IGMP.
    pub const IGMP: Protocol = Protocol(2);
    /// TCP.
    pub const TCP: Protocol = Protocol(6);
    /// UDP.
    pub const UDP: Protocol = Protocol(17);
}

/// The reserved bit of the fragment word.
pub const CE: u16 = 0x8000;
/// Don't fragment.
pub const DF: u16 = 0x4000;
/// More fragments.
pub const MF: u16 = 0x2000;
/// The fragment offset, in units of eight bytes.
pub const OFFSET: u16 = 0x1fff;

/// A view of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    header: &'a [u8; HEADER_LEN],
    options: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Checks the header of a packet whose bytes, padding included, are all in `bytes`.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, DropReason> {
        let (header, rest) = bytes
            .split_first_chunk::<HEADER_LEN>()
            .ok_or(DropReason::PktTooSmall)?;
        let fields = Fields::new_checked(header)?;
        let (options, _) = rest
            .split_at_checked(fields.options_len())
            .ok_or(DropReason::IpInHdr)?;
        if checksum::fold(checksum::partial(options, checksum::partial(header, 0))) != 0xffff {
            return Err(DropReason::IpCsum);
        }
        let len = fields.check_total_len(bytes.len())?;
        let payload = bytes
            .get(fields.header_len()..len)
            .ok_or(DropReason::IpInHdr)?;
        Ok(Packet {
            header,
            options,
            payload,
        })
    }

    /// Checks a header whose packet may be cut off behind it, and whose own checksum may be old:
    /// the quotation in an ICMP error. The payload is what is there of it.
    pub fn new_quoted(bytes: &'a [u8]) -> Result<Self, DropReason> {
        let (header, rest) = bytes
            .split_first_chunk::<HEADER_LEN>()
            .ok_or(DropReason::PktTooSmall)?;
        let fields = Fields::new_checked(header)?;
        let (options, payload) = rest
            .split_at_checked(fields.options_len())
            .ok_or(DropReason::IpInHdr)?;
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

    /// The option bytes: none in all but one packet of a million.
    #[inline]
    pub fn options(&self) -> &'a [u8] {
        self.options
    }

    /// The bytes between header and total length.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// The first twenty bytes of a header, by field: every accessor is total.
#[derive(Clone, Copy, Debug)]
pub struct Fields([u8; HEADER_LEN]);

impl Fields {
    /// Takes a header whose version is 4 and whose length is at least five words.
    #[inline]
    pub fn new_checked(header: &[u8; HEADER_LEN]) -> Result<Fields, DropReason> {
        // RFC 1122, 3.2.1.1: a packet of another version is silently discarded.
        if header[0] < 0x45 || header[0] > 0x4f {
            return Err(DropReason::IpInHdr);
        }
        Ok(Fields(*header))
    }

    /// The total length, if it fits between this header and the `have` bytes that came.
    #[inline]
    pub fn check_total_len(&self, have: usize) -> Result<usize, DropReason> {
        let len = usize::from(self.total_len());
        if have < len {
            return Err(DropReason::PktTooSmall);
        }
        if len < self.header_len() {
            return Err(DropReason::IpInHdr);
        }
        Ok(len)
    }

    /// Bytes of the header, options included: 20 to 60.
    #[inline]
    pub const fn header_len(&self) -> usize {
        ((self.0[0] & 0xf) as usize) * 4
    }

    /// Bytes of options: 0 to 40.
    #[inline]
    pub const fn options_len(&self) -> usize {
        self.header_len().saturating_sub(HEADER_LEN)
    }

    /// Type of service: DSCP and ECN.
    #[inline]
    pub const fn tos(&self) -> u8 {
        self.0[1]
    }

    /// Total length as stated, in bytes.
    #[inline]
    pub const fn total_len(&self) -> u16 {
        u16::from_be_bytes([self.0[2], self.0[3]])
    }

    /// Identification.
    #[inline]
    pub const fn id(&self) -> u16 {
        u16::from_be_bytes([self.0[4], self.0[5]])
    }

    /// The fragment word: [`CE`], [`DF`], [`MF`] and [`OFFSET`].
    #[inline]
    pub const fn frag_off(&self) -> u16 {
        u16::from_be_bytes([self.0[6], self.0[7]])
    }

    /// Whether the packet is a piece of a datagram.
    ///
    /// Mirrors [`ip_is_fragment`](srctree/include/net/ip.h)
    #[inline]
    pub const fn is_fragment(&self) -> bool {
        self.frag_off() & (MF | OFFSET) != 0
    }

    /// Whether the packet does not begin its datagram: no transport header is to be found in it.
    #[inline]
    pub const fn is_later_fragment(&self) -> bool {
        self.frag_off() & OFFSET != 0
    }

    /// Time to live.
    #[inline]
    pub const fn ttl(&self) -> u8 {
        self.0[8]
    }

    /// Protocol of the payload.
    #[inline]
    pub const fn protocol(&self) -> Protocol {
        Protocol(self.0[9])
    }

    /// Source address.
    #[inline]
    pub const fn saddr(&self) -> Addr {
        Addr::from_octets([self.0[12], self.0[13], self.0[14], self.0[15]])
    }

    /// Destination address.
    #[inline]
    pub const fn daddr(&self) -> Addr {
        Addr::from_octets([self.0[16], self.0[17], self.0[18], self.0[19]])
    }
}

/// An IPv4 header without options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Source address.
    pub saddr: Addr,
    /// Destination address.
    pub daddr: Addr,
    /// Protocol of the payload.
    pub protocol: Protocol,
    /// Type of service: DSCP and ECN.
    pub tos: u8,
    /// Time to live.
    pub ttl: u8,
    /// Identification.
    pub id: u16,
    /// The fragment word: flags and offset.
    pub frag_off: u16,
    /// Bytes behind the header.
    pub payload_len: usize,
}

impl Repr {
    /// Reads the header.
    pub fn parse(packet: &Packet<'_>) -> Repr {
        let f = packet.fields();
        Repr {
            saddr: f.saddr(),
            daddr: f.daddr(),
            protocol: f.protocol(),
            tos: f.tos(),
            ttl: f.ttl(),
            id: f.id(),
            frag_off: f.frag_off(),
            payload_len: packet.payload.len(),
        }
    }

    /// Bytes that [`Repr::emit`] fills.
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header, checksum included, to the front of `bytes`.
    ///
    /// A packet longer than [`MAX_LEN`], which only one that will be segmented may be, gets the total
    /// length 0, as `skb_set_network_header`'s users do with BIG TCP.
    #[inline]
    pub fn emit(&self, bytes: &mut [u8]) -> bool {
        let Some(h) = bytes.first_chunk_mut::<HEADER_LEN>() else {
            return false;
        };
        let len = u16::try_from(self.payload_len.saturating_add(HEADER_LEN)).unwrap_or(0);
        let [l0, l1] = len.to_be_bytes();
        let [i0, i1] = self.id.to_be_bytes();
        let [f0, f1] = self.frag_off.to_be_bytes();
        let [s0, s1, s2, s3] = self.saddr.octets();
        let [d0, d1, d2, d3] = self.daddr.octets();
        *h = [
            0x45,
            self.tos,
            l0,
            l1,
            i0,
            i1,
            f0,
            f1,
            self.ttl,
            self.protocol.0,
            0,
            0,
            s0,
            s1,
            s2,
            s3,
            d0,
            d1,
            d2,
            d3,
        ];
        let [c0, c1] = checksum::ip_fast_csum(h).to_be_bytes();
        h[10] = c0;
        h[11] = c1;
        true
    }
}

#[cfg(test)]
mod tests;
