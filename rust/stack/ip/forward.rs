// SPDX-License-Identifier: GPL-2.0
//! A packet on its way to somebody else: what a router does to it.
//!
//! Context: softirq, under the read lock of RCU. Nothing sleeps.
//!
//! Mirrors [`ip_forward`](srctree/net/ipv4/ip_forward.c)

use super::input::Header;
use crate::platform::SkBuff;
use crate::stack::drop_reason::DropReason;
use crate::stack::wire::checksum;
use crate::stack::wire::ipv4::{
    Protocol,
    DF,
    HEADER_LEN, //
};

/// Where TCP's header says how long it is.
const DOFF: usize = 12;

/// The length of a packet, whose data begin with its IP header; of a GSO packet, that of each packet it stands for.
///
/// Mirrors [`skb_gso_network_seglen`](srctree/net/core/gso.c)
#[inline]
pub fn network_seglen(skb: &SkBuff) -> usize {
    let size = match skb.gso_size() {
        0 => return skb.len(),
        size => usize::from(size),
    };
    let linear = skb.linear();
    let network = linear
        .first()
        .map_or(HEADER_LEN, |b| usize::from(b & 0xf) * 4);
    let transport = match linear.get(9) {
        Some(&p) if p == Protocol::UDP.0 => 8,
        _ => linear
            .get(network + DOFF)
            .map_or(20, |b| usize::from(b >> 4) * 4),
    };
    network + transport + size
}

/// Why a packet goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It has been on its way too long: time exceeded.
    Ttl,
    /// It is too long for the next link and must not be cut: fragmentation needed.
    TooBig,
    /// It cannot be written.
    Nomem,
}

impl Refused {
    /// The name under which the drop is counted.
    pub const fn reason(self) -> DropReason {
        match self {
            Refused::Ttl => DropReason::IpTtlExceeded,
            Refused::TooBig => DropReason::PktTooBig,
            Refused::Nomem => DropReason::Nomem,
        }
    }
}

/// Makes a packet, whose data begin with the IP header `header`, ready for a link on which `mtu` bytes
/// fit: counts its time to live down and mends the checksum.
///
/// RFC 1812, 5.3.1: a packet whose time to live would become zero is discarded. 5.2.7.2 and RFC 1191, 4:
/// one that is too long and says "don't fragment" is answered with the MTU.
pub fn forward(skb: &mut SkBuff, header: &Header, mtu: usize) -> Result<(), Refused> {
    if header.ttl <= 1 {
        return Err(Refused::Ttl);
    }
    if skb.len() > mtu && header.frag_off & DF != 0 && network_seglen(skb) > mtu {
        return Err(Refused::TooBig);
    }
    let bytes = skb.writable(HEADER_LEN).ok_or(Refused::Nomem)?;
    let Some([ttl, protocol, c0, c1]) = bytes.get_mut(8..12) else {
        return Err(Refused::Nomem);
    };
    let old = u16::from_be_bytes([*ttl, *protocol]);
    *ttl = header.ttl.wrapping_sub(1);
    let new = u16::from_be_bytes([*ttl, *protocol]);
    let check = checksum::replace2(u16::from_be_bytes([*c0, *c1]), old, new);
    [*c0, *c1] = check.to_be_bytes();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Skb;
    use crate::stack::ip::output::{
        queue_xmit,
        Xmit, //
    };
    use crate::stack::wire::ipv4::Addr;

    fn packet(ttl: u8, dont_fragment: bool, payload: usize) -> (Skb, Header) {
        packet_of(Protocol::UDP, ttl, dont_fragment, payload)
    }

    fn packet_of(
        protocol: Protocol,
        ttl: u8,
        dont_fragment: bool,
        payload: usize,
    ) -> (Skb, Header) {
        let mut skb = Skb::alloc(64, payload).unwrap();
        // To TCP, a header of 32 bytes: with time stamps.
        skb.put(payload).unwrap().fill(0x80);
        let x = Xmit {
            saddr: Addr::new(10, 0, 0, 1),
            daddr: Addr::new(10, 1, 0, 1),
            protocol,
            tos: 0,
            ttl,
            dont_fragment,
            id: 1,
        };
        queue_xmit(&mut skb, &x).unwrap();
        let header = crate::stack::ip::rcv(&mut skb, |_| ()).unwrap();
        (skb, header)
    }

    #[test]
    fn forward__counts_down_and_keeps_the_checksum_right() {
        for ttl in 2..=255 {
            let (mut skb, header) = packet(ttl, true, 100);
            assert_eq!(forward(&mut skb, &header, 1500), Ok(()));
            let after = crate::stack::ip::rcv(&mut skb, |_| ()).unwrap();
            assert_eq!(
                after,
                Header {
                    ttl: ttl - 1,
                    ..header
                }
            );
        }
    }

    #[test]
    fn forward__the_end_of_its_time() {
        for ttl in [0, 1] {
            let (mut skb, header) = packet(ttl, true, 100);
            let before = skb.bytes().to_vec();
            assert_eq!(forward(&mut skb, &header, 1500), Err(Refused::Ttl));
            assert_eq!(skb.bytes(), &before[..]);
        }
    }

    #[test]
    fn forward__too_big() {
        let (mut skb, header) = packet(64, true, 1481);
        assert_eq!(forward(&mut skb, &header, 1500), Err(Refused::TooBig));
        let (mut skb, header) = packet(64, true, 1480);
        assert_eq!(forward(&mut skb, &header, 1500), Ok(()));
        // May be cut: that is the next step's business.
        let (mut skb, header) = packet(64, false, 3000);
        assert_eq!(forward(&mut skb, &header, 1500), Ok(()));
    }

    #[test]
    fn forward__gso_by_its_segments() {
        for (protocol, size, want) in [
            (Protocol::TCP, 1448, Ok(())),
            (Protocol::TCP, 1449, Err(Refused::TooBig)),
            (Protocol::UDP, 1472, Ok(())),
            (Protocol::UDP, 1473, Err(Refused::TooBig)),
        ] {
            let (mut skb, header) = packet_of(protocol, 64, true, 3000);
            skb.set_gso_tcpv4(size, 3);
            let got = forward(&mut skb, &header, 1500);
            assert_eq!(got, want, "{protocol:?} {size}");
            // May be cut.
            let (mut skb, header) = packet_of(protocol, 64, false, 3000);
            skb.set_gso_tcpv4(size, 3);
            assert_eq!(forward(&mut skb, &header, 1500), Ok(()));
        }
    }
}
