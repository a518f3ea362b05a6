// SPDX-License-Identifier: GPL-2.0
//! Tests of the checks of a received header.

use super::*;
use crate::platform::{
    Skb,
    Vec, //
};
use crate::stack::wire::ipv4::{
    Repr,
    DF,
    MF, //
};
use proptest::prelude::*;

fn packet(payload: &[u8]) -> Vec<u8> {
    let repr = Repr {
        saddr: Addr::new(10, 0, 0, 1),
        daddr: Addr::new(10, 0, 0, 2),
        protocol: Protocol::TCP,
        tos: 2,
        ttl: 64,
        id: 7,
        frag_off: DF,
        payload_len: payload.len(),
    };
    let mut bytes = vec![0; 20];
    assert!(repr.emit(&mut bytes));
    bytes.extend_from_slice(payload);
    bytes
}

/// A packet with `options`, a multiple of four bytes, and four bytes of payload.
fn with_options(options: &[u8]) -> Vec<u8> {
    let mut bytes = packet(&[0; 4]);
    bytes.truncate(20);
    bytes.extend_from_slice(options);
    bytes.extend_from_slice(b"data");
    bytes[0] = 0x45 + (options.len() / 4) as u8;
    bytes[3] = bytes.len() as u8;
    fix(&mut bytes);
    bytes
}

fn fix(bytes: &mut [u8]) {
    bytes[10..12].fill(0);
    let n = (usize::from(bytes[0] & 0xf) * 4).clamp(20, bytes.len());
    let c = checksum::finish(checksum::partial(&bytes[..n], 0));
    bytes[10..12].copy_from_slice(&c.to_be_bytes());
}

fn run(bytes: &[u8]) -> (Result<Header, DropReason>, Vec<Counter>, Skb) {
    let mut skb = Skb::from_bytes(bytes);
    let mut counted = Vec::new();
    let result = rcv(&mut skb, |c| counted.push(c));
    (result, counted, skb)
}

#[test]
fn rcv__good() {
    let (h, counted, mut skb) = run(&packet(b"hello"));
    let h = h.unwrap();
    assert_eq!(
        (h.saddr, h.daddr),
        (Addr::new(10, 0, 0, 1), Addr::new(10, 0, 0, 2))
    );
    assert_eq!((h.protocol, h.tos, h.ttl, h.id), (Protocol::TCP, 2, 64, 7));
    assert_eq!((h.header_len, h.len, h.payload_len()), (20, 25, 5));
    assert!(!h.is_fragment());
    assert_eq!(counted, []);
    deliver_finish(&mut skb, &h);
    assert_eq!(skb.bytes(), b"hello");
    assert_eq!(skb.transport_header(), b"hello");
    assert_eq!(skb.network_header().len(), 25);
}

#[test]
fn rcv__trims_padding() {
    let mut bytes = packet(b"hello");
    bytes.extend_from_slice(&[0; 21]);
    let (h, _, mut skb) = run(&bytes);
    deliver_finish(&mut skb, &h.unwrap());
    assert_eq!(skb.bytes(), b"hello");
}

#[test]
fn rcv__truncated() {
    let bytes = packet(b"hello");
    for len in 0..25 {
        let (h, counted, _) = run(&bytes[..len]);
        let (reason, counter) = if len < 20 {
            (DropReason::IpInHdr, Counter::IpInHdrErrors)
        } else {
            (DropReason::PktTooSmall, Counter::IpInTruncatedPkts)
        };
        assert_eq!(h, Err(reason), "length {len}");
        assert_eq!(counted, [counter]);
    }
}

#[test]
fn rcv__bad_checksum() {
    let mut bytes = packet(b"hello");
    bytes[8] ^= 1;
    let (h, counted, _) = run(&bytes);
    assert_eq!(h, Err(DropReason::IpCsum));
    assert_eq!(counted, [Counter::IpInHdrErrors, Counter::IpInCsumErrors]);
}

#[test]
fn rcv__version_and_header_length() {
    for first in [0x00, 0x40, 0x44, 0x55, 0x65, 0xf5] {
        let mut bytes = packet(b"hello");
        bytes[0] = first;
        fix(&mut bytes);
        assert_eq!(
            run(&bytes).0,
            Err(DropReason::IpInHdr),
            "first byte {first:#x}"
        );
    }
}

#[test]
fn rcv__header_longer_than_the_packet() {
    let mut bytes = packet(b"hello");
    bytes[0] = 0x4f;
    fix(&mut bytes);
    assert_eq!(run(&bytes).0, Err(DropReason::IpInHdr));
}

#[test]
fn rcv__total_length_below_the_header() {
    let mut bytes = packet(b"hello");
    bytes[3] = 19;
    fix(&mut bytes);
    assert_eq!(run(&bytes).0, Err(DropReason::IpInHdr));
}

#[test]
fn rcv__options() {
    let (h, _, mut skb) = run(&with_options(&[1, 1, 1, 0]));
    let h = h.unwrap();
    assert_eq!(h.header_len, 24);
    deliver_finish(&mut skb, &h);
    assert_eq!(skb.bytes(), b"data");
    // A checksum over twenty bytes only would not notice.
    let mut bytes = with_options(&[1, 1, 1, 0]);
    bytes[21] ^= 0xff;
    assert_eq!(run(&bytes).0, Err(DropReason::IpCsum));
}

#[test]
fn rcv__source_route_is_refused() {
    for kind in [131, 137] {
        let bytes = with_options(&[kind, 7, 4, 10, 0, 0, 9, 0]);
        assert_eq!(run(&bytes).0, Err(DropReason::IpSourceRoute));
    }
}

#[test]
fn rcv__malformed_option() {
    assert_eq!(
        run(&with_options(&[7, 0, 0, 0])).0,
        Err(DropReason::IpInHdr)
    );
}

#[test]
fn rcv__fragments_are_recognized() {
    for (word, fragment) in [
        (0, false),
        (DF, false),
        (MF, true),
        (1, true),
        (MF | 5, true),
    ] {
        let mut bytes = packet(b"hello");
        bytes[6..8].copy_from_slice(&word.to_be_bytes());
        fix(&mut bytes);
        assert_eq!(run(&bytes).0.unwrap().is_fragment(), fragment);
    }
}

#[test]
fn check_martian__table() {
    let ok = Addr::new(10, 0, 0, 1);
    let cases = [
        (ok, ok, Ok(())),
        (
            Addr::new(224, 0, 0, 1),
            ok,
            Err(DropReason::IpInvalidSource),
        ),
        (Addr::BROADCAST, ok, Err(DropReason::IpInvalidSource)),
        (Addr::ANY, ok, Err(DropReason::IpInvalidSource)),
        (Addr::new(0, 1, 2, 3), ok, Err(DropReason::IpInvalidSource)),
        (Addr::ANY, Addr::BROADCAST, Ok(())),
        (Addr::ANY, Addr::ANY, Ok(())),
        (ok, Addr::ANY, Err(DropReason::IpInvalidDest)),
        (ok, Addr::LOOPBACK, Err(DropReason::IpLocalnet)),
        (Addr::LOOPBACK, ok, Err(DropReason::IpLocalnet)),
        (ok, Addr::new(224, 0, 0, 1), Ok(())),
    ];
    for (s, d, want) in cases {
        assert_eq!(check_martian(s, d), want, "{s} to {d}");
    }
}

proptest! {
    #[test]
    fn rcv__any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..120), sound in any::<bool>()) {
        let mut bytes: Vec<u8> = bytes;
        if sound && bytes.len() >= 20 {
            bytes[0] = 0x40 | bytes[0] & 0xf;
            bytes[2] = 0;
            fix(&mut bytes);
        }
        let (h, counted, mut skb) = run(&bytes);
        match h {
            Ok(h) => {
                prop_assert_eq!(skb.len(), usize::from(h.len));
                deliver_finish(&mut skb, &h);
                prop_assert_eq!(skb.len(), usize::from(h.payload_len()));
            }
            Err(_) => prop_assert!(!counted.is_empty()),
        }
    }
}
