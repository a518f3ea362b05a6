// SPDX-License-Identifier: GPL-2.0
//! Tests of the IPv4 header: each check alone, then any bytes at all.

use super::*;
use crate::platform::Vec;
use proptest::prelude::*;

fn repr() -> Repr {
    Repr {
        saddr: Addr::new(10, 0, 0, 1),
        daddr: Addr::new(10, 0, 0, 2),
        protocol: Protocol::UDP,
        tos: 0x10,
        ttl: 64,
        id: 0x1234,
        frag_off: DF,
        payload_len: 4,
    }
}

/// A packet with `payload_len` 4, behind it two bytes of padding.
fn packet() -> [u8; 26] {
    let mut bytes = [0; 26];
    assert!(repr().emit(&mut bytes));
    bytes
}

/// Fixes the checksum after a change of the header.
fn fix(bytes: &mut [u8]) {
    bytes[10..12].fill(0);
    let n = usize::from(bytes[0] & 0xf) * 4;
    let n = n.clamp(20, bytes.len());
    let c = checksum::finish(checksum::partial(&bytes[..n], 0));
    bytes[10..12].copy_from_slice(&c.to_be_bytes());
}

#[test]
fn emit__then_parse() {
    let bytes = packet();
    let p = Packet::new_checked(&bytes).unwrap();
    assert_eq!(Repr::parse(&p), repr());
    assert_eq!(p.payload().len(), 4);
    assert!(!repr().emit(&mut [0; 19]));
}

#[test]
fn emit__longer_than_a_packet_has_length_zero() {
    let mut bytes = [0; 20];
    assert!(Repr {
        payload_len: 65_516,
        ..repr()
    }
    .emit(&mut bytes));
    assert_eq!(bytes[2..4], [0, 0]);
}

#[test]
fn new_checked__version_and_header_length() {
    for b in 0..=255u8 {
        let mut bytes = packet();
        bytes[0] = b;
        fix(&mut bytes);
        let want = match b {
            0x45 | 0x46 => None,
            // The total length of 24 is below the header's, or the header ends behind the bytes.
            _ => Some(DropReason::IpInHdr),
        };
        assert_eq!(Packet::new_checked(&bytes).err(), want, "first byte {b:#x}");
    }
}

#[test]
fn new_checked__checksum() {
    for byte in 1..20 {
        let mut bytes = packet();
        bytes[byte] ^= 0x20;
        assert_eq!(
            Packet::new_checked(&bytes).err(),
            Some(DropReason::IpCsum),
            "byte {byte}"
        );
    }
}

#[test]
fn new_checked__total_length() {
    for (len, want) in [
        (0u16, Some(DropReason::IpInHdr)),
        (19, Some(DropReason::IpInHdr)),
        (20, None),
        (26, None),
        (27, Some(DropReason::PktTooSmall)),
        (65_535, Some(DropReason::PktTooSmall)),
    ] {
        let mut bytes = packet();
        bytes[2..4].copy_from_slice(&len.to_be_bytes());
        fix(&mut bytes);
        assert_eq!(Packet::new_checked(&bytes).err(), want, "length {len}");
    }
}

#[test]
fn new_checked__truncated() {
    let bytes = packet();
    for len in 0..20 {
        assert_eq!(
            Packet::new_checked(&bytes[..len]).err(),
            Some(DropReason::PktTooSmall)
        );
    }
    for len in 20..24 {
        assert_eq!(
            Packet::new_checked(&bytes[..len]).err(),
            Some(DropReason::PktTooSmall)
        );
    }
}

#[test]
fn new_quoted__needs_no_payload() {
    let mut bytes = packet();
    bytes[10] ^= 1;
    let p = Packet::new_quoted(&bytes[..20]).unwrap();
    assert_eq!(p.payload().len(), 0);
    assert_eq!(p.fields().daddr(), Addr::new(10, 0, 0, 2));
}

#[test]
fn mask__every_length() {
    assert_eq!(Addr::mask(0), 0);
    assert_eq!(Addr::mask(1), 0x8000_0000);
    assert_eq!(Addr::mask(24), 0xffff_ff00);
    assert_eq!(Addr::mask(32), u32::MAX);
    assert_eq!(Addr::mask(33), u32::MAX);
}

#[test]
fn addr__classes() {
    assert!(Addr::new(127, 9, 9, 9).is_loopback());
    assert!(Addr::new(224, 0, 0, 1).is_multicast() && Addr::new(239, 9, 9, 9).is_multicast());
    assert!(!Addr::new(240, 0, 0, 1).is_multicast() && Addr::new(240, 0, 0, 1).is_reserved());
    assert!(Addr::BROADCAST.is_broadcast() && !Addr::BROADCAST.is_reserved());
    assert!(Addr::new(0, 1, 2, 3).is_zeronet() && !Addr::new(0, 1, 2, 3).is_any());
    assert!(Addr::new(169, 254, 0, 1).is_link_local());
}

proptest! {
    #[test]
    fn new_checked__any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let mut bytes: Vec<u8> = bytes;
        let _ = Packet::new_checked(&bytes);
        let _ = Packet::new_quoted(&bytes);
        // And with those checks out of the way that random bytes never pass.
        if bytes.len() >= 20 {
            bytes[0] = 0x40 | (bytes[0] & 0xf);
            fix(&mut bytes);
            if let Ok(p) = Packet::new_checked(&bytes) {
                prop_assert!(p.fields().header_len() + p.payload().len() <= bytes.len());
                prop_assert_eq!(p.options().len(), p.fields().options_len());
            }
        }
    }
}
