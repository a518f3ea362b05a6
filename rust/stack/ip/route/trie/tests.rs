// SPDX-License-Identifier: GPL-2.0
//! Tests of the trie against a list of prefixes that is searched from end to end.

use super::*;
use crate::platform::{
    fail_alloc,
    fail_pending,
    Vec, //
};
use proptest::prelude::*;
use proptest::test_runner::{
    Config,
    TestRunner, //
};
use std::cell::Cell;
use std::collections::BTreeMap;

type Prefix = (u32, u8);
type Reference = BTreeMap<Prefix, u32>;

fn longest(reference: &Reference, addr: u32, max_len: u8) -> Option<(u8, u32)> {
    reference
        .iter()
        .filter(|((key, len), _)| *len <= max_len && (addr ^ key) & Addr::mask(*len) == 0)
        .max_by_key(|((_, len), _)| *len)
        .map(|((_, len), v)| (*len, *v))
}

fn contents(trie: &Trie<u32>) -> Vec<((u32, u8), u32)> {
    let mut all = Vec::new();
    trie.walk((Addr::ANY, 0), |prefix, len, v| {
        all.push(((prefix.to_u32(), len), *v));
        true
    });
    all
}

/// What a trie is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Shape {
    /// Wide nodes.
    wide: usize,
    /// The most of them below one another.
    nested: usize,
    /// Wide nodes with prefixes that end within their stride.
    short: usize,
}

/// Every fork has two children or a value, every child lies within its parent and on its own way, keys are masked, and
/// wide nodes are where they may be and have what belongs to them.
fn check_link(link: &Link<u32>, at_least: u8, shape: &mut Shape) {
    let Some(node) = link else {
        return;
    };
    assert!(node.len >= at_least);
    assert_eq!(node.key & !Addr::mask(node.len), 0);
    let check_child = |way: usize, child: &Link<u32>, at_least: u8, shape: &mut Shape| {
        if let Some(c) = child {
            assert!(node.covers(c.key, c.len));
            assert_eq!(node.way(c.key, c.len), way);
        }
        check_link(child, at_least, shape);
    };
    match &node.below {
        Below::Two(child) => {
            assert!(node.value.is_some() || child.iter().flatten().count() == 2);
            assert!(!node.is_dense());
            for (way, c) in child.iter().enumerate() {
                check_child(way, c, node.len + 1, shape);
            }
        }
        Below::Wide(wide) => {
            assert_eq!(node.len % 4, 0);
            assert!(wide.slots().iter().flatten().count() > 4);
            let mut short = Shape::default();
            check_link(wide.short(), node.len, &mut short);
            assert_eq!(short, Shape::default());
            let mut deepest = 0;
            for (way, c) in wide.slots().iter().enumerate() {
                let mut below = Shape::default();
                check_child(way, c, node.len + 4, &mut below);
                shape.wide += below.wide;
                shape.short += below.short;
                deepest = deepest.max(below.nested);
            }
            shape.wide += 1;
            shape.short += usize::from(wide.short().is_some());
            shape.nested = shape.nested.max(deepest + 1);
            let ends_within = |k: u32, l: u8| {
                assert!(node.covers(k, l) && l > node.len && l < node.len + 4);
            };
            let short = Trie {
                root: wide.short().clone(),
            };
            short.walk((Addr::ANY, 0), |k, l, _| {
                ends_within(k.to_u32(), l);
                true
            });
        }
    }
}

fn check(trie: &Trie<u32>) -> Shape {
    let mut shape = Shape::default();
    check_link(&trie.root, 0, &mut shape);
    shape
}

/// A trie of those prefixes, each with its place in the list as the value.
fn trie_of(prefixes: impl IntoIterator<Item = (u32, u8)>) -> Trie<u32> {
    let mut t = Trie::default();
    for (i, (key, len)) in prefixes.into_iter().enumerate() {
        t = t.insert(Addr::from_u32(key), len, i as u32).unwrap();
    }
    t
}

/// The first `n` of the sixteen prefixes of `len` bits that differ from `key` in the last four of them.
fn slots(key: u32, len: u8, n: u32) -> impl Iterator<Item = (u32, u8)> {
    let key = key & Addr::mask(len - 4);
    (0..n).map(move |i| (key | (i << (32 - len)), len))
}

/// Does what `change` does with each of its allocations failing in turn, then without a failure. Returns how many
/// failed, and the new version.
fn with_failures(
    old: &Trie<u32>,
    change: impl Fn(&Trie<u32>) -> Result<Trie<u32>, AllocError>,
) -> (usize, Trie<u32>) {
    let (before, shape) = (contents(old), check(old));
    for n in 0.. {
        fail_alloc(Some(n));
        let new = change(old);
        let pending = fail_pending();
        fail_alloc(None);
        assert_eq!(contents(old), before);
        assert_eq!(check(old), shape);
        if pending {
            return (n as usize, new.unwrap());
        }
        assert!(new.is_err());
    }
    unreachable!()
}

#[test]
fn longest__default_route_and_hosts() {
    let t = Trie::default();
    let t = t.insert(Addr::ANY, 0, 1).unwrap();
    let t = t.insert(Addr::new(10, 0, 0, 0), 8, 2).unwrap();
    let t = t.insert(Addr::new(10, 0, 0, 1), 32, 3).unwrap();
    assert_eq!(t.longest(Addr::new(8, 8, 8, 8)), Some((0, &1)));
    assert_eq!(t.longest(Addr::new(10, 1, 1, 1)), Some((8, &2)));
    assert_eq!(t.longest(Addr::new(10, 0, 0, 1)), Some((32, &3)));
    assert_eq!(t.longest_within(Addr::new(10, 0, 0, 1), 31), Some((8, &2)));
    assert_eq!(t.longest_within(Addr::new(10, 0, 0, 1), 7), Some((0, &1)));
    assert_eq!(Trie::<u32>::default().longest(Addr::LOOPBACK), None);
}

#[test]
fn insert__leaves_the_old_version_alone() {
    let one = Trie::default()
        .insert(Addr::new(10, 0, 0, 0), 8, 1)
        .unwrap();
    let two = one.insert(Addr::new(10, 0, 0, 0), 8, 2).unwrap();
    assert_eq!(one.get(Addr::new(10, 0, 0, 0), 8), Some(&1));
    assert_eq!(two.get(Addr::new(10, 0, 0, 0), 8), Some(&2));
}

#[test]
fn insert__the_deepest_trie() {
    // All lengths along one address: 33 nodes, one below the other.
    let mut t = Trie::default();
    for len in (0..=32).rev() {
        t = t.insert(Addr::BROADCAST, len, u32::from(len)).unwrap();
        check(&t);
    }
    assert_eq!(t.longest(Addr::BROADCAST), Some((32, &32)));
    assert_eq!(contents(&t).len(), 33);
    for len in 0..=32 {
        t = t.remove(Addr::BROADCAST, len).unwrap();
        check(&t);
    }
    assert!(t.is_empty());
}

#[test]
fn insert__many_side_by_side_make_a_node_wide() {
    let t = trie_of(slots(0x1400_0000, 12, 7));
    assert_eq!(check(&t), Shape::default());
    let t = trie_of(slots(0x1400_0000, 12, 8));
    // The first eight hang below a bit that is no nibble's first: nothing is above it yet.
    assert_eq!(check(&t), Shape::default());
    let t = trie_of(slots(0x1400_0000, 12, 9));
    assert_eq!(
        check(&t),
        Shape {
            wide: 1,
            nested: 1,
            short: 0
        }
    );
    // Not where the stride would begin between two nibbles.
    let t = trie_of(slots(0x1400_0000, 13, 16));
    assert_eq!(check(&t).wide, 0);
}

#[test]
fn insert__hosts_side_by_side_make_wide_nodes_below_one_another() {
    let hosts = 4096u32;
    // In order, and scattered.
    for step in [1u32, 1237] {
        let t = trie_of((0..hosts).map(|i| (0x1400_0000 | (i.wrapping_mul(step) % hosts), 32)));
        let want = Shape {
            wide: 1 + 16 + 256,
            nested: 3,
            short: 0,
        };
        assert_eq!(check(&t), want);
        for i in 0..hosts {
            let addr = Addr::from_u32(0x1400_0000 | i);
            assert_eq!(t.longest(addr).map(|(len, _)| len), Some(32));
            assert_eq!(t.longest_within(addr, 31), None);
        }
        assert_eq!(contents(&t).len(), 4096);
    }
}

#[test]
fn insert__prefixes_within_the_stride_of_a_wide_node() {
    // All that may be: those of one to three bits more, before and after the node becomes wide.
    let within =
        || (9..12).flat_map(|len| (0..1u32 << (len - 8)).map(move |i| (i << (32 - len), len)));
    let key = 0x1400_0000;
    let within = || within().map(|(k, len)| (key | k, len));
    let own = [(key, 8)];
    for order in [0, 1] {
        let t = match order {
            0 => trie_of(own.into_iter().chain(within()).chain(slots(key, 12, 16))),
            _ => trie_of(slots(key, 12, 16).chain(within()).chain(own)),
        };
        let want = Shape {
            wide: 1,
            nested: 1,
            short: 1,
        };
        assert_eq!(check(&t), want);
        for addr in (0..16).map(|i| Addr::from_u32(key | (i << 20) | 5)) {
            for len in 0..=32 {
                let want = (len >= 8).then_some(len.min(12));
                assert_eq!(t.longest_within(addr, len).map(|(l, _)| l), want);
            }
        }
        let mut want: Vec<_> = within().chain(slots(key, 12, 16)).chain(own).collect();
        want.sort_unstable();
        let got: Vec<_> = contents(&t).iter().map(|(p, _)| *p).collect();
        assert_eq!(got, want);
        for (key, len) in want {
            assert!(t.get(Addr::from_u32(key), len).is_some());
        }
    }
}

#[test]
fn insert__nth_allocation_fails() {
    let t = trie_of([(1, 8), (2, 16), (3, 24), (4, 32)].map(|(i, len)| (i << 20, len)));
    let (failures, _) = with_failures(&t, |t| t.insert(Addr::from_u32((3 << 20) | 5), 30, 9));
    assert!(failures >= 2);
}

#[test]
fn insert__nth_allocation_fails_while_a_node_becomes_wide() {
    let key = 0x1400_0000;
    let within = [(key, 8), (key, 9), (key | (1 << 22), 10), (key, 11)];
    let t = trie_of(
        within
            .into_iter()
            .chain((0..7).map(|i| (key | (i << 21), 12))),
    );
    assert_eq!(check(&t).wide, 0);
    let (failures, t) = with_failures(&t, |t| t.insert(Addr::from_u32(key | (7 << 21)), 12, 9));
    assert_eq!(check(&t).short, 1);
    assert!(failures > 6);
    // What is copied then, and what is below it.
    for (k, len) in [(key | (1 << 23), 11), (key | (1 << 20), 12), (key, 32)] {
        let (failures, t) = with_failures(&t, |t| t.insert(Addr::from_u32(k), len, 9));
        assert_eq!(check(&t).short, 1);
        assert!(failures > 2);
    }
}

#[test]
fn remove__nth_allocation_fails() {
    let t = trie_of([(0u32, 8u8), (0, 16), (1, 24), (0, 24)].map(|(i, len)| (i << 20, len)));
    let (_, t) = with_failures(&t, |t| t.remove(Addr::from_u32(0), 16));
    assert_eq!(contents(&t).len(), 3);
}

#[test]
fn remove__nth_allocation_fails_while_a_node_becomes_narrow() {
    let key = 0x1400_0000;
    for within in [&[][..], &[(key, 8), (key, 9), (key | (1 << 22), 10)]] {
        let mut t = trie_of(within.iter().copied().chain(slots(key, 12, 16)));
        for (k, len) in slots(key, 12, 16).step_by(3).chain(slots(key, 12, 11)) {
            if check(&t).wide == 0 {
                break;
            }
            let narrow = check(&t).wide == 1 && contents(&t).len() == within.len() + 5;
            let removed = |t: &Trie<u32>| t.remove(Addr::from_u32(k), len);
            if t.get(Addr::from_u32(k), len).is_none() {
                continue;
            }
            let (failures, new) = with_failures(&t, removed);
            assert_eq!(check(&new).wide == 0, narrow);
            assert!(failures >= 2);
            t = new;
        }
        assert_eq!(contents(&t).len(), within.len() + 4);
    }
}

#[test]
fn remove__all_in_any_order() {
    let all: Vec<_> = (0..1024u32).map(|i| (0x1400_0000 | i, 32)).collect();
    for step in [1u32, 3, 331] {
        let mut t = trie_of(all.iter().copied());
        assert_eq!(check(&t).nested, 2);
        for i in 0..1024u32 {
            let key = 0x1400_0000 | (i.wrapping_mul(step) % 1024);
            t = t.remove(Addr::from_u32(key), 32).unwrap();
            if i % 16 == 0 {
                check(&t);
            }
        }
        assert!(t.is_empty());
    }
}

#[test]
fn remove__what_is_not_there() {
    let t = Trie::default()
        .insert(Addr::new(10, 0, 0, 0), 8, 1)
        .unwrap();
    for (addr, len) in [
        (Addr::new(10, 0, 0, 0), 9),
        (Addr::new(10, 0, 0, 0), 7),
        (Addr::ANY, 8),
    ] {
        assert_eq!(contents(&t.remove(addr, len).unwrap()), contents(&t));
    }
}

#[derive(Clone, Debug)]
enum Op {
    Insert(u32, u8),
    /// Some of the sixteen prefixes that share all but the last four of their bits.
    Fill(u32, u8, u16),
    Remove(usize),
    /// Those of a prefix's sixteen.
    Clear(usize, u16),
}

/// An address from which others differ in a nibble or two.
const HUB: u32 = 0x0a2b_3c4d;

/// Prefixes that share many bits, so that forks, chains and collapses all happen.
fn prefix() -> impl Strategy<Value = (u32, u8)> {
    (any::<u32>(), 0u8..=32, 0u32..6).prop_map(|(r, len, shape)| {
        let key = match shape {
            0 => r,
            1 => 0x0a00_0000 | r & 0xff,
            2 => 0xc0a8_0000 | r & 0x0101_0101,
            3 => r & 0x8000_0001,
            _ => HUB ^ ((r & 0xf) << ((r >> 8) & 31)),
        };
        (key & Addr::mask(len), len)
    })
}

fn op() -> impl Strategy<Value = Op> {
    let some = || any::<u16>().prop_map(|m| m | m.rotate_left(5));
    prop_oneof![
        3 => prefix().prop_map(|(k, l)| Op::Insert(k, l)),
        // Most often where nodes may become wide.
        3 => (0u8..=29, 0u32..3, some()).prop_map(|(len, near, mask)| {
            let len = if near == 0 { len + 3 } else { (len / 4 + 1) * 4 };
            Op::Fill(HUB ^ (near.saturating_sub(1) << 16), len.max(4), mask)
        }),
        2 => any::<usize>().prop_map(Op::Remove),
        1 => (any::<usize>(), some()).prop_map(|(n, mask)| Op::Clear(n, mask)),
    ]
}

/// The prefixes that an operation is about.
fn prefixes_of(op: &Op, reference: &Reference) -> Vec<(u32, u8)> {
    let some = |key: u32, len: u8, mask: u16| {
        slots(key, len, 16)
            .enumerate()
            .filter(move |(i, _)| (mask >> i) & 1 != 0)
            .map(|(_, p)| p)
            .collect()
    };
    let nth = |n: usize| reference.keys().nth(n % reference.len().max(1)).copied();
    match *op {
        Op::Insert(key, len) => vec![(key, len)],
        Op::Fill(key, len, mask) => some(key, len, mask),
        Op::Remove(n) => nth(n).into_iter().collect(),
        Op::Clear(n, mask) => match nth(n) {
            Some((key, len)) if len >= 4 => some(key, len, mask),
            other => other.into_iter().collect(),
        },
    }
}

/// What `change` makes after its allocation number `n` failed, if it has so many.
fn unlucky(n: u32, change: impl Fn() -> Result<Trie<u32>, AllocError>) -> Trie<u32> {
    fail_alloc(Some(n));
    let first = change();
    let pending = fail_pending();
    fail_alloc(None);
    assert_eq!(first.is_ok(), pending);
    first.or_else(|_| change()).unwrap()
}

#[test]
fn trie__equals_the_list() {
    let widest = Cell::new(Shape::default());
    let narrowed = Cell::new(0);
    let strategy = (
        proptest::collection::vec((op(), 0u32..40), 0..60),
        proptest::collection::vec((any::<u32>(), 0u8..=32), 20),
        prefix(),
    );
    let run = |(ops, probes, from): (Vec<(Op, u32)>, Vec<Prefix>, Prefix)| {
        let mut t = Trie::default();
        let mut reference = Reference::new();
        let mut old = (t.clone(), contents(&t));
        let mut wide = 0;
        for (value, (op, failing)) in ops.iter().enumerate() {
            let value = value as u32;
            for (key, len) in prefixes_of(op, &reference) {
                let addr = Addr::from_u32(key);
                if let Op::Insert(..) | Op::Fill(..) = op {
                    t = unlucky(*failing, || t.insert(addr, len, value));
                    reference.insert((key, len), value);
                } else {
                    t = unlucky(*failing, || t.remove(addr, len));
                    reference.remove(&(key, len));
                }
            }
            let shape = check(&t);
            narrowed.set(narrowed.get() + usize::from(shape.wide < wide));
            wide = shape.wide;
            let w = widest.get();
            widest.set(Shape {
                wide: w.wide.max(shape.wide),
                nested: w.nested.max(shape.nested),
                short: w.short.max(shape.short),
            });
            if value as usize == ops.len() / 2 {
                old = (t.clone(), contents(&t));
            }
        }
        prop_assert_eq!(contents(&old.0), old.1);
        prop_assert_eq!(
            contents(&t),
            reference.iter().map(|(k, v)| (*k, *v)).collect::<Vec<_>>()
        );
        for (&(key, len), v) in &reference {
            prop_assert_eq!(t.get(Addr::from_u32(key), len), Some(v));
        }
        let known: Vec<u32> = reference.keys().map(|(k, _)| *k).collect();
        for (i, (r, max_len)) in probes.iter().enumerate() {
            // Half of the probes lie near a prefix that is there.
            let addr = match known.len() {
                0 => *r,
                n if i % 2 == 0 => known[*r as usize % n] ^ (r & 3),
                _ => *r,
            };
            let got = t
                .longest_within(Addr::from_u32(addr), *max_len)
                .map(|(l, v)| (l, *v));
            prop_assert_eq!(got, longest(&reference, addr, *max_len));
            let got = t.longest(Addr::from_u32(addr)).map(|(l, v)| (l, *v));
            prop_assert_eq!(got, longest(&reference, addr, 32));
            let (key, len) = (addr & Addr::mask(*max_len), *max_len);
            prop_assert_eq!(t.get(Addr::from_u32(key), len), reference.get(&(key, len)));
        }
        let mut seen = Vec::new();
        t.walk((Addr::from_u32(from.0), from.1), |p, l, _| {
            seen.push((p.to_u32(), l));
            seen.len() < 50
        });
        let want: Vec<_> = reference.range(from..).map(|(k, _)| *k).take(50).collect();
        prop_assert_eq!(seen, want);
        Ok(())
    };
    let mut runner = TestRunner::new(Config::with_cases(512));
    runner.run(&strategy, run).unwrap();
    // That there was something to test.
    let widest = widest.get();
    assert!(
        widest.wide > 4 && widest.nested > 2 && widest.short > 2,
        "{widest:?}"
    );
    assert!(narrowed.get() > 100, "{}", narrowed.get());
}
