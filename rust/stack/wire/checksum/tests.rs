// SPDX-License-Identifier: GPL-2.0
//! Tests of the checksum against RFC 1071's own arithmetic.

use super::*;
use crate::platform::Vec;
use proptest::prelude::*;

/// RFC 1071, 4.1: the C code of the RFC, in Rust. Not complemented.
fn rfc1071(data: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    let mut rest = data;
    while let [a, b, tail @ ..] = rest {
        sum += (u32::from(*a) << 8) | u32::from(*b);
        rest = tail;
    }
    if let [a] = rest {
        sum += u32::from(*a) << 8;
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[test]
fn partial__rfc1071_example() {
    // RFC 1071, 3.
    let data = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
    assert_eq!(fold(partial(&data, 0)), 0xddf2);
}

#[test]
fn partial__all_ones_stays_all_ones() {
    // The worst case for carries: negative zero must not turn into zero.
    let data = [0xff; 65_535];
    assert_eq!(fold(partial(&data, 0)) as u16, rfc1071(&data));
}

#[test]
fn ip_fast_csum__known_header() {
    // The example header of RFC 1071's many explanations: 192.168.0.1 to 192.168.0.199.
    let mut h = [
        0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0x00, 0x00, 0xc0, 0xa8, 0x00,
        0x01, 0xc0, 0xa8, 0x00, 0xc7,
    ];
    assert_eq!(ip_fast_csum(&h), 0xb861);
    h[10..12].copy_from_slice(&0xb861u16.to_be_bytes());
    assert_eq!(ip_fast_csum(&h), 0);
}

proptest! {
    #[test]
    fn partial__equals_rfc1071(data in proptest::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert_eq!(fold(partial(&data, 0)) as u16, rfc1071(&data));
    }

    #[test]
    fn partial__chains_over_even_pieces(
        data in proptest::collection::vec(any::<u8>(), 0..200),
        cut in 0usize..200,
        seed in any::<u16>(),
    ) {
        let cut = cut.min(data.len()) & !1;
        let (a, b) = data.split_at(cut);
        let whole = partial(&data, u32::from(seed));
        let pieces = partial(b, partial(a, u32::from(seed)));
        // Both zeros of one's complement are the same number.
        prop_assert_eq!(fold(whole) % 0xffff, fold(pieces) % 0xffff);
    }

    #[test]
    fn pseudo_header__equals_its_bytes(s in any::<u32>(), d in any::<u32>(), proto in any::<u8>(), len in any::<u16>()) {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&s.to_be_bytes());
        bytes.extend_from_slice(&d.to_be_bytes());
        bytes.extend_from_slice(&[0, proto]);
        bytes.extend_from_slice(&len.to_be_bytes());
        let sum = pseudo_header(Addr::from_u32(s), Addr::from_u32(d), proto, u32::from(len));
        prop_assert_eq!(fold(sum) as u16, rfc1071(&bytes));
    }

    #[test]
    fn ip_fast_csum__equals_the_general_one(h in any::<[u8; 20]>()) {
        prop_assert_eq!(ip_fast_csum(&h), finish(partial(&h, 0)));
    }

    #[test]
    fn replace__equals_summing_anew(h in any::<[u8; 20]>(), word in 0usize..4, new in any::<u32>()) {
        let mut h = h;
        h[10] = 0;
        h[11] = 0;
        let at = [0, 4, 12, 16][word];
        let old = u32::from_be_bytes([h[at], h[at + 1], h[at + 2], h[at + 3]]);
        let before = ip_fast_csum(&h);
        h[at..at + 4].copy_from_slice(&new.to_be_bytes());
        let after = ip_fast_csum(&h);
        // RFC 1624 avoids the one case (0x0000 against 0xffff) that RFC 1141 had wrong.
        prop_assert_eq!(replace4(before, old, new) % 0xffff, after % 0xffff);
    }
}
