// SPDX-License-Identifier: GPL-2.0
//! Ethernet frames by hand: builders that produce right frames, to be spoilt one field at a time, and
//! total readers for what was captured.

use std::net::SocketAddrV4;

/// TCP flag bits.
pub mod flag {
    /// No more data from the sender.
    pub const FIN: u8 = 1;
    /// Synchronise.
    pub const SYN: u8 = 2;
    /// Reset.
    pub const RST: u8 = 4;
    /// Push.
    pub const PSH: u8 = 8;
    /// The acknowledgment field counts.
    pub const ACK: u8 = 16;
}

/// The Internet checksum of the parts, as if they followed one another (all but the last even).
pub fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for part in parts {
        for pair in part.chunks(2) {
            let word = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
            sum += u32::from(word);
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// An Ethernet header and what follows.
pub fn ethernet(to: [u8; 6], from: [u8; 6], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut f = Vec::with_capacity(14 + payload.len());
    f.extend_from_slice(&to);
    f.extend_from_slice(&from);
    f.extend_from_slice(&ethertype.to_be_bytes());
    f.extend_from_slice(payload);
    f
}

/// An IPv4 packet, built field by field so that a test can spoil any of them.
#[derive(Clone, Debug)]
pub struct Ipv4 {
    /// Source address.
    pub src: [u8; 4],
    /// Destination address.
    pub dst: [u8; 4],
    /// Protocol number.
    pub protocol: u8,
    /// Time to live.
    pub ttl: u8,
    /// Version (4).
    pub version: u8,
    /// Header length in words; `None` computes it.
    pub ihl: Option<u8>,
    /// Total length; `None` computes it.
    pub total: Option<u16>,
    /// Identification.
    pub id: u16,
    /// Flags and fragment offset.
    pub frag: u16,
    /// Options, a multiple of four bytes.
    pub options: Vec<u8>,
    /// Header checksum; `None` computes it.
    pub check: Option<u16>,
}

impl Ipv4 {
    /// A header that is right in every field.
    pub fn new(src: [u8; 4], dst: [u8; 4], protocol: u8) -> Self {
        Ipv4 {
            src,
            dst,
            protocol,
            ttl: 64,
            version: 4,
            ihl: None,
            total: None,
            id: 1,
            frag: 0x4000,
            options: Vec::new(),
            check: None,
        }
    }

    /// The packet's bytes.
    pub fn build(&self, payload: &[u8]) -> Vec<u8> {
        let header = 20 + self.options.len();
        let ihl = self.ihl.unwrap_or((header / 4) as u8);
        let total = self.total.unwrap_or((header + payload.len()) as u16);
        let mut p = vec![(self.version << 4) | (ihl & 15), 0];
        p.extend_from_slice(&total.to_be_bytes());
        p.extend_from_slice(&self.id.to_be_bytes());
        p.extend_from_slice(&self.frag.to_be_bytes());
        p.extend_from_slice(&[self.ttl, self.protocol, 0, 0]);
        p.extend_from_slice(&self.src);
        p.extend_from_slice(&self.dst);
        p.extend_from_slice(&self.options);
        let check = self.check.unwrap_or_else(|| checksum(&[&p]));
        p[10..12].copy_from_slice(&check.to_be_bytes());
        p.extend_from_slice(payload);
        p
    }
}

/// A TCP segment, built field by field.
#[derive(Clone, Debug)]
pub struct Tcp {
    /// Where it claims to come from.
    pub src: SocketAddrV4,
    /// Where it goes.
    pub dst: SocketAddrV4,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgment number.
    pub ack: u32,
    /// Flag bits, see [`flag`].
    pub flags: u8,
    /// Window field.
    pub window: u16,
    /// Data offset in words; `None` computes it.
    pub doff: Option<u8>,
    /// Urgent pointer.
    pub urgent: u16,
    /// Options; padded with zeros to a multiple of four.
    pub options: Vec<u8>,
    /// Checksum; `None` computes it.
    pub check: Option<u16>,
    /// Data.
    pub data: Vec<u8>,
}

impl Tcp {
    /// A segment with the given flags and nothing else.
    pub fn new(src: SocketAddrV4, dst: SocketAddrV4, flags: u8) -> Self {
        Tcp {
            src,
            dst,
            seq: 0,
            ack: 0,
            flags,
            window: 0xffff,
            doff: None,
            urgent: 0,
            options: Vec::new(),
            check: None,
            data: Vec::new(),
        }
    }

    /// The segment's bytes.
    pub fn build(&self) -> Vec<u8> {
        let mut options = self.options.clone();
        options.resize(options.len().next_multiple_of(4), 0);
        let doff = self.doff.unwrap_or(5 + (options.len() / 4) as u8);
        let mut s = Vec::new();
        s.extend_from_slice(&self.src.port().to_be_bytes());
        s.extend_from_slice(&self.dst.port().to_be_bytes());
        s.extend_from_slice(&self.seq.to_be_bytes());
        s.extend_from_slice(&self.ack.to_be_bytes());
        s.extend_from_slice(&[doff << 4, self.flags]);
        s.extend_from_slice(&self.window.to_be_bytes());
        s.extend_from_slice(&[0, 0]);
        s.extend_from_slice(&self.urgent.to_be_bytes());
        s.extend_from_slice(&options);
        s.extend_from_slice(&self.data);
        let check = self
            .check
            .unwrap_or_else(|| transport_checksum(&self.src, &self.dst, 6, &s));
        s[16..18].copy_from_slice(&check.to_be_bytes());
        s
    }

    /// The IPv4 packet around it.
    pub fn packet(&self) -> Vec<u8> {
        Ipv4::new(self.src.ip().octets(), self.dst.ip().octets(), 6).build(&self.build())
    }
}

/// Gives a packet (IPv4 without options) of TCP a checksum that is wrong for certain, whichever `by` is.
pub fn spoil_tcp(packet: &mut [u8], by: u16) {
    packet[36..38].fill(0);
    let address = |at: usize| [packet[at], packet[at + 1], packet[at + 2], packet[at + 3]];
    let (src, dst) = (address(12), address(16));
    let len = (packet.len() as u16 - 20).to_be_bytes();
    let right = checksum(&[&src, &dst, &[0, 6, len[0], len[1]], &packet[20..]]);
    // In this arithmetic 0xffff and 0 are one number (RFC 1071), so the next one may be right as well.
    let wrong = right.wrapping_add(2 + by % 0xfff0);
    packet[36..38].copy_from_slice(&wrong.to_be_bytes());
}

/// A UDP datagram; `check` `None` computes the checksum, `len` `None` the length.
pub fn udp(
    src: SocketAddrV4,
    dst: SocketAddrV4,
    data: &[u8],
    len: Option<u16>,
    check: Option<u16>,
) -> Vec<u8> {
    let mut d = Vec::new();
    d.extend_from_slice(&src.port().to_be_bytes());
    d.extend_from_slice(&dst.port().to_be_bytes());
    d.extend_from_slice(&len.unwrap_or(8 + data.len() as u16).to_be_bytes());
    d.extend_from_slice(&[0, 0]);
    d.extend_from_slice(data);
    let check = check.unwrap_or_else(|| match transport_checksum(&src, &dst, 17, &d) {
        0 => 0xffff,
        sum => sum,
    });
    d[6..8].copy_from_slice(&check.to_be_bytes());
    d
}

/// An ICMP message with its checksum.
pub fn icmp(ty: u8, code: u8, rest: [u8; 4], data: &[u8]) -> Vec<u8> {
    let mut m = vec![ty, code, 0, 0];
    m.extend_from_slice(&rest);
    m.extend_from_slice(data);
    let check = checksum(&[&m]);
    m[2..4].copy_from_slice(&check.to_be_bytes());
    m
}

/// An ARP packet for IPv4 over Ethernet: operation 1 asks, 2 answers.
pub fn arp(op: u16, from: ([u8; 6], [u8; 4]), to: ([u8; 6], [u8; 4])) -> Vec<u8> {
    let mut a = vec![0, 1, 8, 0, 6, 4];
    a.extend_from_slice(&op.to_be_bytes());
    a.extend_from_slice(&from.0);
    a.extend_from_slice(&from.1);
    a.extend_from_slice(&to.0);
    a.extend_from_slice(&to.1);
    a
}

fn transport_checksum(src: &SocketAddrV4, dst: &SocketAddrV4, protocol: u8, bytes: &[u8]) -> u16 {
    let len = (bytes.len() as u16).to_be_bytes();
    let pseudo = [0, protocol, len[0], len[1]];
    checksum(&[&src.ip().octets(), &dst.ip().octets(), &pseudo, bytes])
}

/// A captured Ethernet frame.
#[derive(Clone, Debug)]
pub struct Frame(pub Vec<u8>);

/// What a captured TCP segment says.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Sender.
    pub src: SocketAddrV4,
    /// Receiver.
    pub dst: SocketAddrV4,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgment number.
    pub ack: u32,
    /// Flag bits.
    pub flags: u8,
    /// Window field, unscaled.
    pub window: u16,
    /// Option bytes.
    pub options: Vec<u8>,
    /// Bytes of data.
    pub len: usize,
}

impl Segment {
    /// Whether all of these flags are set.
    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// The data of the first option of this kind.
    pub fn option(&self, kind: u8) -> Option<&[u8]> {
        let mut rest = &self.options[..];
        loop {
            match *rest.first()? {
                0 => return None,
                1 => rest = &rest[1..],
                k => {
                    let len = usize::from(*rest.get(1)?);
                    let data = rest.get(2..len)?;
                    if k == kind {
                        return Some(data);
                    }
                    rest = &rest[len..];
                }
            }
        }
    }
}

impl Frame {
    /// The EtherType.
    pub fn ethertype(&self) -> Option<u16> {
        Some(u16::from_be_bytes(self.0.get(12..14)?.try_into().ok()?))
    }

    /// The IPv4 packet: header and payload.
    pub fn ipv4(&self) -> Option<(&[u8], &[u8])> {
        if self.ethertype()? != 0x0800 {
            return None;
        }
        let packet = self.0.get(14..)?;
        let header = usize::from(packet.first()? & 15) * 4;
        let total = usize::from(u16::from_be_bytes(packet.get(2..4)?.try_into().ok()?));
        // A GSO packet of 64 KiB has total length 0.
        let end = if total == 0 { packet.len() } else { total };
        Some((packet.get(..header.max(20))?, packet.get(header..end)?))
    }

    /// The payload of an IPv4 packet of this protocol, with its addresses.
    pub fn transport(&self, protocol: u8) -> Option<([u8; 4], [u8; 4], &[u8])> {
        let (header, payload) = self.ipv4()?;
        if header[9] != protocol {
            return None;
        }
        Some((
            header[12..16].try_into().ok()?,
            header[16..20].try_into().ok()?,
            payload,
        ))
    }

    /// The TCP segment inside.
    pub fn tcp(&self) -> Option<Segment> {
        let (src, dst, s) = self.transport(6)?;
        let word = |at: usize| Some(u16::from_be_bytes(s.get(at..at + 2)?.try_into().ok()?));
        let long = |at: usize| Some(u32::from_be_bytes(s.get(at..at + 4)?.try_into().ok()?));
        let header = usize::from(s.get(12)? >> 4) * 4;
        Some(Segment {
            src: SocketAddrV4::new(src.into(), word(0)?),
            dst: SocketAddrV4::new(dst.into(), word(2)?),
            seq: long(4)?,
            ack: long(8)?,
            flags: *s.get(13)?,
            window: word(14)?,
            options: s.get(20..header)?.to_vec(),
            len: s.len() - header,
        })
    }

    /// The ICMP message inside: type, code and the rest.
    pub fn icmp(&self) -> Option<(u8, u8, &[u8])> {
        let (_, _, m) = self.transport(1)?;
        Some((*m.first()?, *m.get(1)?, m.get(4..)?))
    }

    /// The ARP packet inside: operation, sender's and target's protocol address.
    pub fn arp(&self) -> Option<(u16, [u8; 4], [u8; 4])> {
        if self.ethertype()? != 0x0806 {
            return None;
        }
        let a = self.0.get(14..42)?;
        Some((
            u16::from_be_bytes([a[6], a[7]]),
            a[14..18].try_into().ok()?,
            a[24..28].try_into().ok()?,
        ))
    }
}

#[cfg(test)]
#[allow(non_snake_case)]
mod tests {
    use super::*;

    #[test]
    fn checksum__of_rfc1071_example() {
        assert_eq!(
            checksum(&[&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]]),
            !0xddf2
        );
    }

    #[test]
    fn tcp__built_segment_reads_back() {
        let (a, b) = ("10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap());
        let mut t = Tcp::new(a, b, flag::SYN);
        t.options = vec![2, 4, 5, 0xb4, 1, 3, 3, 7];
        t.data = b"hey".to_vec();
        let f = Frame(ethernet([0; 6], [1; 6], 0x0800, &t.packet()));
        let s = f.tcp().unwrap();
        assert_eq!((s.src, s.dst, s.len, s.flags), (a, b, 3, flag::SYN));
        assert_eq!(s.option(3), Some(&[7][..]));
        assert_eq!(s.option(8), None);
        let (src, dst, seg) = f.transport(6).unwrap();
        let len = (seg.len() as u16).to_be_bytes();
        assert_eq!(checksum(&[&src, &dst, &[0, 6, len[0], len[1]], seg]), 0);
    }

    #[test]
    fn spoil_tcp__never_leaves_a_right_checksum() {
        let (a, b) = ("10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap());
        for seq in [0, 0x7777, 0xfffe_0000] {
            let mut t = Tcp::new(a, b, flag::ACK);
            t.seq = seq;
            for by in 0..=u16::MAX {
                let mut p = t.packet();
                spoil_tcp(&mut p, by);
                let sum = checksum(&[&p[12..20], &[0, 6, 0, 20], &p[20..]]);
                assert!(sum != 0 && sum != 0xffff, "{seq} {by}");
            }
        }
    }
}
