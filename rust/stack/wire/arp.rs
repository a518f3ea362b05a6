// SPDX-License-Identifier: GPL-2.0
//! ARP for IPv4 over Ethernet (RFC 826).
//!
//! What the check covers: 28 bytes are there, hardware and protocol are Ethernet (or IEEE 802, which
//! some stations say) and IPv4 with their address lengths. Operation and addresses are not judged
//! here; [`neigh::arp`](super::super::neigh::arp) does.
//!
//! Mirrors [`struct arphdr`](srctree/include/uapi/linux/if_arp.h)

use super::super::drop_reason::DropReason;
use super::{
    ethernet,
    ipv4, //
};

/// Bytes of an ARP packet for IPv4 over Ethernet.
pub const PACKET_LEN: usize = 28;

/// What an ARP packet wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Operation(pub u16);

impl Operation {
    /// Who has that address?
    pub const REQUEST: Operation = Operation(1);
    /// I have.
    pub const REPLY: Operation = Operation(2);
}

/// A view of an ARP packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a>(&'a [u8; PACKET_LEN]);

impl<'a> Packet<'a> {
    /// Checks length, hardware and protocol.
    ///
    /// Mirrors [`arp_rcv`, `arp_process`](srctree/net/ipv4/arp.c)
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, DropReason> {
        let p = bytes
            .first_chunk::<PACKET_LEN>()
            .ok_or(DropReason::ArpHdr)?;
        // Hardware 1 (Ethernet) or 6 (IEEE 802), protocol 0x0800, lengths 6 and 4.
        match *p {
            [0, 1 | 6, 0x08, 0x00, 6, 4, ..] => Ok(Packet(p)),
            _ => Err(DropReason::ArpHdr),
        }
    }
}

/// An ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// What it wants.
    pub operation: Operation,
    /// Hardware address of the sender.
    pub sha: ethernet::Addr,
    /// Protocol address of the sender; zero in a probe (RFC 5227).
    pub sip: ipv4::Addr,
    /// Hardware address of the target; meaningless in a request.
    pub tha: ethernet::Addr,
    /// Protocol address of the target.
    pub tip: ipv4::Addr,
}

impl Repr {
    /// Reads the packet.
    pub fn parse(packet: &Packet<'_>) -> Repr {
        let [_, _, _, _, _, _, o0, o1, s0, s1, s2, s3, s4, s5, a0, a1, a2, a3, t0, t1, t2, t3, t4, t5, b0, b1, b2, b3] =
            *packet.0;
        Repr {
            operation: Operation(u16::from_be_bytes([o0, o1])),
            sha: ethernet::Addr([s0, s1, s2, s3, s4, s5]),
            sip: ipv4::Addr::new(a0, a1, a2, a3),
            tha: ethernet::Addr([t0, t1, t2, t3, t4, t5]),
            tip: ipv4::Addr::new(b0, b1, b2, b3),
        }
    }

    /// Bytes that [`Repr::emit`] fills.
    pub const fn buffer_len(&self) -> usize {
        PACKET_LEN
    }

    /// Writes the packet to the front of `bytes`.
    pub fn emit(&self, bytes: &mut [u8]) -> bool {
        let Some(p) = bytes.first_chunk_mut::<PACKET_LEN>() else {
            return false;
        };
        let [o0, o1] = self.operation.0.to_be_bytes();
        let [s0, s1, s2, s3, s4, s5] = self.sha.0;
        let [a0, a1, a2, a3] = self.sip.octets();
        let [t0, t1, t2, t3, t4, t5] = self.tha.0;
        let [b0, b1, b2, b3] = self.tip.octets();
        *p = [
            0, 1, 8, 0, 6, 4, o0, o1, s0, s1, s2, s3, s4, s5, a0, a1, a2, a3, t0, t1, t2, t3, t4,
            t5, b0, b1, b2, b3,
        ];
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repr() -> Repr {
        Repr {
            operation: Operation::REQUEST,
            sha: ethernet::Addr([2, 0, 0, 0, 0, 1]),
            sip: ipv4::Addr::new(10, 0, 0, 1),
            tha: ethernet::Addr::ZERO,
            tip: ipv4::Addr::new(10, 0, 0, 2),
        }
    }

    #[test]
    fn emit__then_parse() {
        let mut bytes = [0; 46];
        assert!(repr().emit(&mut bytes));
        assert_eq!(Repr::parse(&Packet::new_checked(&bytes).unwrap()), repr());
        assert!(!repr().emit(&mut bytes[..27]));
    }

    #[test]
    fn new_checked__refuses_what_is_not_ipv4_over_ethernet() {
        let mut good = [0; 28];
        repr().emit(&mut good);
        for (at, bad) in [(0, 1), (1, 2), (2, 0x86), (3, 1), (4, 8), (5, 16)] {
            let mut bytes = good;
            bytes[at] = bad;
            assert_eq!(
                Packet::new_checked(&bytes).err(),
                Some(DropReason::ArpHdr),
                "byte {at}"
            );
        }
        for len in 0..28 {
            assert_eq!(
                Packet::new_checked(&good[..len]).err(),
                Some(DropReason::ArpHdr)
            );
        }
    }
}
