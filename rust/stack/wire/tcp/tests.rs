// SPDX-License-Identifier: GPL-2.0
//! Tests of the TCP header: total on any bytes, and inverse to itself.

use super::*;
use crate::platform::Vec;
use proptest::prelude::*;

fn options(bytes: &[u8]) -> Vec<TcpOption<'_>> {
    Options::new(bytes).collect()
}

#[test]
fn new_checked__data_offset() {
    let mut bytes = [0u8; 24];
    for (offset, want) in [
        (0, Err(DropReason::TcpHdr)),
        (4, Err(DropReason::TcpHdr)),
        (5, Ok(4)),
        (6, Ok(0)),
        (7, Err(DropReason::TcpHdr)),
        (15, Err(DropReason::TcpHdr)),
    ] {
        bytes[12] = offset << 4;
        assert_eq!(
            Packet::new_checked(&bytes).map(|p| p.payload().len()),
            want,
            "offset {offset}"
        );
    }
    assert_eq!(
        Packet::new_checked(&bytes[..19]).err(),
        Some(DropReason::PktTooSmall)
    );
}

#[test]
fn emit__then_parse() {
    let repr = Repr {
        source: 80,
        dest: 40_000,
        seq: 0xffff_fffe,
        ack_seq: 7,
        flags: Flags::SYN.and(Flags::ACK),
        window: 0x1234,
        urg_ptr: 3,
        options_len: 4,
    };
    let mut bytes = [0u8; 24];
    assert!(repr.emit(&mut bytes, 0));
    assert!(!repr.emit(&mut bytes[..19], 0));
    let packet = Packet::new_checked(&bytes).unwrap();
    assert_eq!(Repr::parse(&packet), repr);
}

#[test]
fn options__those_of_a_linux_syn() {
    let bytes = [
        2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7,
    ];
    assert_eq!(
        options(&bytes),
        [
            TcpOption::Mss(1460),
            TcpOption::SackPermitted,
            TcpOption::Timestamps { tsval: 1, tsecr: 2 },
            TcpOption::WindowScale(7),
        ]
    );
}

#[test]
fn options__length_zero_or_one_ends_the_list() {
    assert_eq!(options(&[2, 0, 2, 4, 1, 1]), []);
    assert_eq!(options(&[2, 1, 2, 4, 1, 1]), []);
}

#[test]
fn options__overrun_ends_the_list() {
    assert_eq!(options(&[1, 1, 8, 10, 0, 0]), []);
    assert_eq!(options(&[8]), []);
}

#[test]
fn options__end_of_list_ends_the_list() {
    assert_eq!(options(&[0, 2, 4, 1, 1]), []);
}

#[test]
fn options__wrong_length_of_a_known_kind_is_skipped() {
    assert_eq!(
        options(&[2, 3, 9, 4, 2]),
        [TcpOption::Unknown(2, &[9]), TcpOption::SackPermitted]
    );
    assert_eq!(
        options(&[5, 6, 1, 2, 3, 4]),
        [TcpOption::Unknown(5, &[1, 2, 3, 4])]
    );
    assert_eq!(options(&[5, 2]), [TcpOption::Unknown(5, &[])]);
}

#[test]
fn options__window_scale_above_14_is_14() {
    assert_eq!(options(&[3, 3, 255]), [TcpOption::WindowScale(14)]);
}

#[test]
fn options__sack_blocks() {
    let mut bytes = [0u8; 18];
    bytes[0] = 5;
    bytes[1] = 18;
    bytes[5] = 1;
    bytes[9] = 2;
    bytes[13] = 3;
    bytes[17] = 4;
    match options(&bytes)[..] {
        [TcpOption::Sack(blocks)] => assert_eq!(blocks.collect::<Vec<_>>(), [(1, 2), (3, 4)]),
        ref other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn new_checked__any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        if let Ok(p) = Packet::new_checked(&bytes) {
            let total = HEADER_LEN + p.options.len() + p.payload().len();
            prop_assert_eq!(total, bytes.len());
            prop_assert!(p.options().count() <= MAX_OPTIONS_LEN);
        }
    }

    #[test]
    fn options__any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..=40)) {
        let mut consumed = 0;
        for o in Options::new(&bytes) {
            consumed += match o {
                TcpOption::Mss(_) => 4,
                TcpOption::WindowScale(s) => { prop_assert!(s <= 14); 3 }
                TcpOption::SackPermitted => 2,
                TcpOption::Timestamps { .. } => 10,
                TcpOption::Sack(b) => 2 + 8 * b.count(),
                TcpOption::Unknown(_, d) => 2 + d.len(),
            };
        }
        prop_assert!(consumed <= bytes.len());
    }
}
