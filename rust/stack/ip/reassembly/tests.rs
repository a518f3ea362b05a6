// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::platform::Vec;
use crate::stack::ip;
use crate::stack::wire::ipv4::Packet;
use crate::stack::wire::ipv4::Repr;
use proptest::prelude::*;

const S: Addr = Addr::new(10, 0, 0, 1);
const D: Addr = Addr::new(10, 0, 0, 2);

/// A fragment as it comes in, with its header checked. `offset` in bytes.
fn fragment(offset: usize, payload: &[u8], more: bool, tos: u8) -> (Skb, Header) {
    let repr = Repr {
        saddr: S,
        daddr: D,
        protocol: Protocol::UDP,
        tos,
        ttl: 64,
        id: 7,
        frag_off: (offset / 8) as u16 | if more { MF } else { 0 },
        payload_len: payload.len(),
    };
    let mut bytes = vec![0; 20];
    repr.emit(&mut bytes);
    bytes.extend_from_slice(payload);
    let mut skb = Skb::from_bytes(&bytes);
    let header = ip::rcv(&mut skb, |_| ()).expect("a good header");
    (skb, header)
}

fn pieces() -> Pieces {
    let (_, header) = fragment(0, b"", true, 0);
    Pieces::new(Key::of(&header), Instant::ZERO)
}

fn insert(p: &mut Pieces, offset: usize, payload: &[u8], more: bool) -> Outcome {
    let (skb, header) = fragment(offset, payload, more, 0);
    p.insert(skb, &header)
}

fn spoils(outcome: Outcome) -> Option<DropReason> {
    match outcome {
        Outcome::Spoils(_, reason) => Some(reason),
        _ => None,
    }
}

#[test]
fn insert__in_order_and_in_reverse() {
    let data: Vec<u8> = (0..100).collect();
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut p = pieces();
        for (n, i) in order.into_iter().enumerate() {
            let (at, end) = (i * 40, (i * 40 + 40).min(100));
            let whole = matches!(insert(&mut p, at, &data[at..end], i < 2), Outcome::Whole);
            assert_eq!(whole, n == 2, "{order:?}");
        }
        let mut skb = p.join().expect("complete");
        let packet = Packet::new_checked(skb.bytes()).expect("a good header");
        assert_eq!(packet.payload(), &data[..], "{order:?}");
        let header = ip::rcv(&mut skb, |_| ()).expect("a good checksum");
        assert_eq!((header.len, header.frag_off), (120, 0));
    }
}

#[test]
fn insert__double_is_given_back() {
    let mut p = pieces();
    insert(&mut p, 0, &[1; 16], true);
    assert!(matches!(
        insert(&mut p, 0, &[1; 16], true),
        Outcome::Double(_)
    ));
    assert!(matches!(
        insert(&mut p, 8, &[1; 8], true),
        Outcome::Double(_)
    ));
    assert!(matches!(insert(&mut p, 16, &[2; 3], false), Outcome::Whole));
    assert_eq!(p.join().map(|s| s.len()), Ok(20 + 19));
}

#[test]
fn insert__overlap_spoils() {
    for (offset, len) in [(0, 24), (8, 16), (24, 16), (8, 40), (0, 64)] {
        let mut p = pieces();
        insert(&mut p, 32, &[1; 16], true);
        insert(&mut p, 0, &[1; 16], true);
        let found = spoils(insert(&mut p, offset, &vec![2; len], true));
        assert_eq!(found, Some(DropReason::FragOverlap), "{offset} {len}");
    }
}

#[test]
fn insert__ends_that_contradict_each_other_spoil() {
    let mut p = pieces();
    insert(&mut p, 16, &[1; 5], false);
    let beyond = insert(&mut p, 24, &[1; 8], true);
    assert_eq!(spoils(beyond), Some(DropReason::FragInvalid));
    let other_end = insert(&mut p, 8, &[1; 8], false);
    assert_eq!(spoils(other_end), Some(DropReason::FragInvalid));
    let mut p = pieces();
    insert(&mut p, 16, &[1; 16], true);
    let early_end = insert(&mut p, 0, &[1; 8], false);
    assert_eq!(spoils(early_end), Some(DropReason::FragInvalid));
}

#[test]
fn insert__nothing_and_less_than_eight_bytes() {
    for (payload, more) in [(&b""[..], true), (b"", false), (b"seven..", true)] {
        let found = spoils(insert(&mut pieces(), 8, payload, more));
        assert_eq!(found, Some(DropReason::FragInvalid), "{payload:?}");
    }
    // What goes beyond eights is cut off.
    let mut p = pieces();
    insert(&mut p, 0, &[1; 15], true);
    assert!(matches!(insert(&mut p, 8, &[2; 1], false), Outcome::Whole));
    assert_eq!(p.join().map(|s| s.len()), Ok(20 + 9));
}

#[test]
fn join__ping_of_death() {
    let mut p = pieces();
    let mut at = 0;
    while at < 65_520 {
        insert(&mut p, at, &[0; 8 * 819], true);
        at += 8 * 819;
    }
    let last = insert(&mut p, at, &[0; 100], false);
    assert!(matches!(last, Outcome::Whole), "at {at}");
    assert_eq!(p.join().err(), Some(DropReason::FragInvalid));
}

#[test]
fn join__congestion_of_one_is_that_of_all() {
    let join = |tos: [u8; 2]| {
        let mut p = pieces();
        for (i, tos) in tos.into_iter().enumerate() {
            let (skb, header) = fragment(i * 8, &[0; 8], i == 0, tos);
            p.insert(skb, &header);
        }
        p.join().map(|s| s.bytes()[1])
    };
    assert_eq!(join([2, 2]), Ok(2));
    assert_eq!(join([2, 3]), Ok(3));
    assert_eq!(join([1, 3]), Ok(3));
    assert_eq!(join([0, 0]), Ok(0));
    assert_eq!(join([0, 3]), Err(DropReason::FragInvalid));
    assert_eq!(join([1, 0]), Err(DropReason::FragInvalid));
}

#[test]
fn into_first__only_if_it_has_come() {
    let mut p = pieces();
    insert(&mut p, 8, &[1; 8], true);
    assert!(p.into_first().is_none());
    let mut p = pieces();
    insert(&mut p, 8, &[1; 8], true);
    insert(&mut p, 0, &[2; 8], true);
    let first = p.into_first().expect("it is there");
    assert_eq!((first.len(), first.bytes()[0]), (28, 0x45));
}

/// The same told byte by byte: who is where, and who has ended the datagram.
#[derive(Default)]
struct Reference {
    bytes: Vec<Option<(usize, u8)>>,
    end: Option<usize>,
}

#[derive(Debug, PartialEq, Eq)]
enum Said {
    Waits,
    Whole,
    Double,
    Spoils,
}

impl Reference {
    /// The `nth` fragment.
    fn insert(&mut self, nth: usize, offset: usize, payload: &[u8], more: bool) -> Said {
        let mut end = offset + payload.len();
        if more {
            end -= end % 8;
        }
        let last = self.bytes.len();
        let fits = match more {
            false => end >= last && self.end.is_none_or(|e| e == end),
            true => end <= last || self.end.is_none(),
        };
        if !fits || end <= offset {
            return Said::Spoils;
        }
        self.bytes.resize(last.max(end), None);
        let who: Vec<_> = self.bytes[offset..end]
            .iter()
            .map(|b| b.map(|(who, _)| who))
            .collect();
        if who.iter().any(Option::is_some) {
            // Inside of one, or across a border?
            return match who.iter().all(|w| *w == who[0]) {
                true => Said::Double,
                false => Said::Spoils,
            };
        }
        for (i, b) in payload[..end - offset].iter().enumerate() {
            self.bytes[offset + i] = Some((nth, *b));
        }
        if !more {
            self.end = Some(end);
        }
        let whole = self.end.is_some() && self.bytes.iter().all(Option::is_some);
        match whole {
            true => Said::Whole,
            false => Said::Waits,
        }
    }
}

proptest! {
    /// Cut anywhere, sent in any order, some of it twice: the datagram comes out.
    #[test]
    fn insert__any_cut_in_any_order(
        data in proptest::collection::vec(any::<u8>(), 1..2000),
        cuts in proptest::collection::btree_set(1usize..250, 0..30),
        order in proptest::collection::vec(any::<usize>(), 62),
    ) {
        let mut ends: Vec<usize> = cuts.iter().map(|c| c * 8).filter(|c| *c < data.len()).collect();
        ends.push(data.len());
        let mut parts = Vec::new();
        let mut at = 0;
        for end in ends {
            parts.push((at, end));
            at = end;
        }
        parts.extend_from_within(..parts.len() / 2);
        for (i, r) in order.iter().enumerate().take(parts.len()) {
            let j = i + r % (parts.len() - i);
            parts.swap(i, j);
        }
        let mut p = pieces();
        let mut whole = false;
        for (from, to) in parts {
            match insert(&mut p, from, &data[from..to], to < data.len()) {
                Outcome::Whole => {
                    prop_assert!(!whole);
                    whole = true;
                    break;
                }
                Outcome::Spoils(_, reason) => prop_assert!(false, "{reason:?}"),
                _ => (),
            }
        }
        prop_assert!(whole);
        let skb = p.join().expect("complete");
        prop_assert_eq!(&skb.bytes()[20..], &data[..]);
    }

    /// Any fragments at all: what happens is what happens to an array of bytes.
    #[test]
    fn insert__as_an_array_of_bytes(
        fragments in proptest::collection::vec((0usize..12, 0usize..40, any::<bool>()), 1..20),
    ) {
        let (mut p, mut r) = (pieces(), Reference::default());
        for (nth, (offset, len, more)) in fragments.into_iter().enumerate() {
            let payload: Vec<u8> = (0..len).map(|i| (nth * 41 + i) as u8).collect();
            let want = r.insert(nth, offset * 8, &payload, more);
            let said = match insert(&mut p, offset * 8, &payload, more) {
                Outcome::Waits => Said::Waits,
                Outcome::Whole => Said::Whole,
                Outcome::Double(_) => Said::Double,
                Outcome::Spoils(..) => Said::Spoils,
            };
            prop_assert_eq!(&said, &want);
            match said {
                Said::Spoils => break,
                Said::Whole => {
                    let skb = p.join().expect("complete");
                    let bytes: Vec<u8> = r.bytes.iter().map(|b| b.expect("there").1).collect();
                    prop_assert_eq!(&skb.bytes()[20..], &bytes[..]);
                    break;
                }
                _ => (),
            }
        }
    }
}
