// SPDX-License-Identifier: GPL-2.0
//! Rings and descriptors, in the order of the files; at the end, whatever a card may write.

use super::desc::{
    Checksum,
    Context,
    RxWriteback,
    TxFlags,
    CMD_EOP,
    CMD_RS,
    TX_DONE, //
};
use super::offload::{
    checksum,
    pseudo_header,
    segmentation,
    Segmented, //
};
use super::receive::{
    Fault,
    Receiver,
    Verdict, //
};
use super::{
    Size,
    MAX,
    MAX_DATA,
    MAX_TX_DESCRIPTORS,
    MIN,
    MULTIPLE, //
};
use proptest::prelude::*;

#[test]
fn rounded__stays_within_the_limits() {
    assert_eq!(Size::rounded(0).get(), MIN);
    assert_eq!(Size::rounded(u32::MAX).get(), MAX);
    assert_eq!(Size::rounded(MAX).get(), MAX);
    assert_eq!(Size::rounded(MIN + 1).get(), MIN + MULTIPLE);
    assert_eq!(Size::rounded(256).get(), 256);
}

#[test]
fn next__wraps_at_the_end() {
    let size = Size::rounded(48);
    assert_eq!(size.next(46), 47);
    assert_eq!(size.next(47), 0);
    assert_eq!(size.next(u32::MAX), 0);
}

#[test]
fn add__is_as_many_steps() {
    let size = Size::rounded(48);
    for i in 0..48 {
        let mut j = i;
        for n in 0..48 {
            assert_eq!(size.add(i, n), j);
            j = size.next(j);
        }
    }
}

#[test]
fn max_tx_descriptors__holds_for_the_worst_split() {
    // 64 KiB whose every piece ends one byte behind a boundary, and a context.
    let whole = 65536usize.div_ceil(MAX_DATA) as u32;
    assert!(1 + whole + 18 <= MAX_TX_DESCRIPTORS);
    const { assert!(MAX_TX_DESCRIPTORS < MIN) };
}

#[test]
fn tx_flags__plain_is_a_legacy_descriptor() {
    let [addr, word] = TxFlags::plain().data(0x1234_5678_9abc, 60);
    assert_eq!(addr, 0x1234_5678_9abc);
    // Length, command IFCS.
    assert_eq!(word, 60 | (0x02 << 24));
    assert_eq!(((word | CMD_EOP | CMD_RS) >> 24) & 0xff, 0x0b);
}

#[test]
fn tx_flags__checksum_vlan_and_segments_set_their_fields() {
    let word = TxFlags::plain().checksum().vlan(0xabcd).data(0, 100)[1];
    // DEXT, type data, IFCS, VLE; POPTS TXSM; the tag.
    assert_eq!(word as u32, 100 | (1 << 20) | (0x62 << 24));
    assert_eq!(word >> 32, 0xabcd_0200);
    let word = TxFlags::plain().segment(true).data(0, MAX_DATA)[1];
    assert_eq!(word as u32, 8192 | (1 << 20) | (0x26 << 24));
    assert_eq!(word >> 32, 0x0300);
    let word = TxFlags::plain().segment(false).data(0, 1)[1];
    assert_eq!(word >> 32, 0x0200);
}

#[test]
fn tx_flags__a_new_descriptor_is_never_done() {
    let flags = TxFlags::plain().segment(true).vlan(u16::MAX);
    assert_eq!(flags.data(u64::MAX, MAX_DATA)[1] & TX_DONE, 0);
}

#[test]
fn context__segments_of_ipv4() {
    let c = segmentation(&Segmented {
        network: 14,
        transport: 34,
        headers: 66,
        len: 66 + 5000,
        mss: 1448,
        ipv4: true,
    })
    .unwrap();
    let [first, second] = c.words();
    assert_eq!(first, 14 | (24 << 8) | (33 << 16) | (34 << 32) | (50 << 40));
    // Payload; TCP, IP, TSE, DEXT; header length and segment size.
    assert_eq!(second as u32, 5000 | (0x27 << 24));
    assert_eq!(second >> 32, (66 << 8) | (1448 << 16));
}

#[test]
fn context__segments_of_ipv6_have_no_header_sum() {
    let c = segmentation(&Segmented {
        network: 14,
        transport: 54,
        headers: 86,
        len: 10_000,
        mss: 1428,
        ipv4: false,
    })
    .unwrap();
    let [first, second] = c.words();
    assert_eq!((first >> 16) & 0xffff, 0);
    assert_eq!((second >> 24) & 0xff, 0x25);
}

#[test]
fn context__checksum_only() {
    let [first, second] = checksum(34, 16).unwrap().words();
    assert_eq!(first, (34 << 32) | (50 << 40));
    assert_eq!(second, 1 << 29);
}

#[test]
fn offload__places_out_of_reach_are_refused() {
    assert_eq!(checksum(200, 60), None);
    assert_eq!(checksum(usize::MAX, 2), None);
    let good = Segmented {
        network: 14,
        transport: 34,
        headers: 54,
        len: 3000,
        mss: 1000,
        ipv4: true,
    };
    assert!(segmentation(&good).is_some());
    for bad in [
        Segmented { mss: 0, ..good },
        Segmented { len: 53, ..good },
        Segmented {
            network: 40,
            ..good
        },
        Segmented {
            headers: 300,
            ..good
        },
        Segmented {
            transport: 54,
            ..good
        },
        Segmented {
            len: 54 + (1 << 20),
            ..good
        },
    ] {
        assert_eq!(segmentation(&bad), None, "{bad:?}");
    }
}

#[test]
fn pseudo_header__is_the_sum_less_the_length() {
    // RFC 1071, by hand: 10.0.0.1, 10.0.0.2, protocol 6.
    let sum: u32 = 0x0a00 + 0x0001 + 0x0a00 + 0x0002 + 6;
    assert_eq!(
        pseudo_header(&[10, 0, 0, 1, 10, 0, 0, 2], 6),
        (sum as u16).to_be_bytes()
    );
    assert_eq!(pseudo_header(&[0xff; 32], 6), [0, 6]);
}

/// A descriptor as the card writes it: done, with a length and more bits.
fn written(len: u16, end: bool) -> RxWriteback {
    RxWriteback(u64::from(len) | (1 << 32) | (u64::from(end) << 33))
}

#[test]
fn rx_writeback__fields() {
    let d = RxWriteback(0x0123_0008_0000_0000 | (1 << 32) | 60);
    assert!(d.done() && !d.end_of_packet() && !d.frame_error());
    assert_eq!((d.len(), d.vlan()), (60, Some(0x0123)));
    assert_eq!(written(60, true).vlan(), None);
    assert!(RxWriteback(1 << 40).frame_error());
    assert_eq!(RxWriteback(0).checksum(), Checksum::Unknown);
    assert_eq!(RxWriteback(1 << 37).checksum(), Checksum::Good);
    assert_eq!(RxWriteback((1 << 37) | (1 << 45)).checksum(), Checksum::Bad);
    assert_eq!(
        RxWriteback((1 << 37) | (1 << 34)).checksum(),
        Checksum::Unknown
    );
}

const BUFFER: usize = 2048;
const JUMBO: usize = 16384;

fn step(r: &mut Receiver, d: RxWriteback) -> Verdict {
    r.step(d, BUFFER, JUMBO, false)
}

#[test]
fn receiver__a_frame_in_one_buffer() {
    let mut r = Receiver::default();
    for len in [1, 60, 1514, 2048] {
        assert_eq!(
            step(&mut r, written(len, true)),
            Verdict::Whole { len: len.into() }
        );
    }
}

#[test]
fn receiver__a_frame_in_three_buffers() {
    let mut r = Receiver::default();
    let part = |len, first, last| Verdict::Part { len, first, last };
    assert_eq!(step(&mut r, written(2048, false)), part(2048, true, false));
    assert_eq!(step(&mut r, written(2048, false)), part(2048, false, false));
    assert_eq!(step(&mut r, written(100, true)), part(100, false, true));
    assert_eq!(step(&mut r, written(60, true)), Verdict::Whole { len: 60 });
}

#[test]
fn receiver__impossible_lengths() {
    let mut r = Receiver::default();
    let bad = Verdict::Discard(Some(Fault::Length));
    assert_eq!(step(&mut r, written(0, true)), bad);
    assert_eq!(step(&mut r, written(2049, true)), bad);
    assert_eq!(step(&mut r, written(u16::MAX, true)), bad);
    // Without an end, what follows belongs to it and goes with it; told once.
    assert_eq!(step(&mut r, written(4000, false)), bad);
    assert_eq!(step(&mut r, written(60, false)), Verdict::Discard(None));
    assert_eq!(step(&mut r, written(60, true)), Verdict::Discard(None));
    assert_eq!(step(&mut r, written(60, true)), Verdict::Whole { len: 60 });
}

#[test]
fn receiver__a_frame_that_does_not_end() {
    let mut r = Receiver::default();
    let mut parts = 0;
    let verdict = loop {
        match step(&mut r, written(1, false)) {
            Verdict::Part { .. } => parts += 1,
            v => break v,
        }
    };
    assert_eq!(
        (verdict, parts),
        (Verdict::Discard(Some(Fault::Endless)), 17)
    );
    assert_eq!(step(&mut r, written(9, true)), Verdict::Discard(None));
    assert_eq!(step(&mut r, written(9, true)), Verdict::Whole { len: 9 });
}

#[test]
fn receiver__damaged_frames_pass_only_if_wanted() {
    let bad = RxWriteback(written(60, true).0 | (1 << 40));
    let mut r = Receiver::default();
    assert_eq!(step(&mut r, bad), Verdict::Discard(Some(Fault::Frame)));
    assert_eq!(r.step(bad, BUFFER, JUMBO, true), Verdict::Whole { len: 60 });
}

proptest! {
    /// Whatever the card writes: no verdict lets more bytes be read than a buffer has, no frame has more
    /// parts or bytes than a packet can take, parts come in order, and each fault ends the frame.
    #[test]
    fn receiver__survives_any_card(
        words in proptest::collection::vec(
            prop_oneof![
                any::<u64>(),
                (0u64..3000, any::<bool>()).prop_map(|(n, e)| n | (1 << 32) | (u64::from(e) << 33)),
            ],
            0..400,
        ),
        max in prop_oneof![Just(1522usize), Just(JUMBO)],
        keep in any::<bool>(),
    ) {
        let mut r = Receiver::default();
        // Parts and bytes of the frame that is being put together.
        let mut open: Option<(usize, usize)> = None;
        for word in words {
            match r.step(RxWriteback(word), BUFFER, max, keep) {
                Verdict::Whole { len } => {
                    prop_assert!(len > 0 && len <= BUFFER && len <= max);
                    prop_assert_eq!(open, None);
                }
                Verdict::Part { len, first, last } => {
                    prop_assert!(len > 0 && len <= BUFFER);
                    prop_assert_eq!(first, open.is_none());
                    let (parts, bytes) = open.unwrap_or((0, 0));
                    let (parts, bytes) = (parts + 1, bytes + len);
                    // The first is the linear part, 17 fragments are the most.
                    prop_assert!(parts <= 18 && bytes <= max);
                    open = (!last).then_some((parts, bytes));
                }
                Verdict::Discard(Some(_)) => open = None,
                Verdict::Discard(None) => prop_assert_eq!(open, None),
            }
        }
    }

    /// A context says what went into it, whatever that was.
    #[test]
    fn context__fields_do_not_run_into_each_other(
        ip in any::<(u8, u8, u16)>(),
        l4 in any::<(u8, u8, u16)>(),
        payload in 0u32..1 << 20,
        cut in proptest::option::of(any::<(u8, u16)>()),
        tcp in any::<bool>(),
        ipv4 in any::<bool>(),
    ) {
        let [first, second] = Context { ip, l4, payload, cut, tcp, ipv4 }.words();
        prop_assert_eq!((first as u8, (first >> 8) as u8, (first >> 16) as u16), ip);
        prop_assert_eq!(((first >> 32) as u8, (first >> 40) as u8, (first >> 48) as u16), l4);
        prop_assert_eq!(second as u32 & 0xf_ffff, payload);
        prop_assert_eq!((second >> 20) & 15, 0);
        prop_assert_eq!((second >> 32) & 0xff, 0);
        prop_assert_eq!(((second >> 40) as u8, (second >> 48) as u16), cut.unwrap_or_default());
    }
}
