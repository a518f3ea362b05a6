// SPDX-License-Identifier: GPL-2.0
//! Tests of the trie against a list of prefixes that is searched from end to end.

use super::*;
use crate::platform::{
    fail_alloc,
    fail_pending,
    Vec, //
};
use proptest::prelude::*;
use std::collections::BTreeMap;

type Reference = BTreeMap<(u32, u8), u32>;

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

/// Every fork has two children or a value, every child lies within its parent, keys are masked.
fn check(link: &Link<u32>) {
    if let Some(node) = link {
        assert_eq!(node.key & !Addr::mask(node.len), 0);
        let children = node.child.iter().flatten().count();
        assert!(node.value.is_some() || children == 2);
        for (right, c) in node.child.iter().enumerate() {
            if let Some(child) = c {
                assert!(child.len > node.len && node.covers(child.key, child.len));
                assert_eq!(bit(child.key, node.len), right == 1);
            }
            check(c);
        }
    }
}

#[test]
fn longest__default_route_and_hosts() {
    let t = Trie::default();
    let t = t.insert(Addr::ANY, 0, 1).unwrap();
    let t = t.insert(Addr::new(10, 0, 0, 0), 8, 2).unwrap();
    let t = t.insert(Addr::new(10, 0, 0, 1), 32, 3).unwrap();
    assert_eq!(t.longest(Addr::new(8, 8, 8, 8), 32), Some((0, &1)));
    assert_eq!(t.longest(Addr::new(10, 1, 1, 1), 32), Some((8, &2)));
    assert_eq!(t.longest(Addr::new(10, 0, 0, 1), 32), Some((32, &3)));
    assert_eq!(t.longest(Addr::new(10, 0, 0, 1), 31), Some((8, &2)));
    assert_eq!(t.longest(Addr::new(10, 0, 0, 1), 7), Some((0, &1)));
    assert_eq!(Trie::<u32>::default().longest(Addr::LOOPBACK, 32), None);
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
        check(&t.root);
    }
    assert_eq!(t.longest(Addr::BROADCAST, 32), Some((32, &32)));
    assert_eq!(contents(&t).len(), 33);
    for len in 0..=32 {
        t = t.remove(Addr::BROADCAST, len).unwrap();
        check(&t.root);
    }
    assert!(t.is_empty());
}

#[test]
fn insert__nth_allocation_fails() {
    let mut t = Trie::default();
    for (i, len) in [(1u32, 8u8), (2, 16), (3, 24), (4, 32)] {
        t = t.insert(Addr::from_u32(i << 20), len, i).unwrap();
    }
    let before = contents(&t);
    let mut failures = 0;
    for n in 0.. {
        fail_alloc(Some(n));
        let new = t.insert(Addr::from_u32((3 << 20) | 5), 30, 9);
        if fail_pending() {
            fail_alloc(None);
            assert!(new.is_ok());
            break;
        }
        assert!(new.is_err());
        assert_eq!(contents(&t), before);
        failures += 1;
    }
    assert!(failures >= 2);
}

#[test]
fn remove__nth_allocation_fails() {
    let mut t = Trie::default();
    for (i, len) in [(0u32, 8u8), (0, 16), (1, 24), (0, 24)] {
        t = t.insert(Addr::from_u32(i << 20), len, i).unwrap();
    }
    let before = contents(&t);
    for n in 0.. {
        fail_alloc(Some(n));
        let new = t.remove(Addr::from_u32(0), 16);
        if fail_pending() {
            fail_alloc(None);
            assert_eq!(contents(&new.unwrap()).len(), 3);
            break;
        }
        assert!(new.is_err());
        assert_eq!(contents(&t), before);
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
    Remove(usize),
}

/// Prefixes that share many bits, so that forks, chains and collapses all happen.
fn prefix() -> impl Strategy<Value = (u32, u8)> {
    (any::<u32>(), 0u8..=32, 0u32..4).prop_map(|(r, len, shape)| {
        let key = match shape {
            0 => r,
            1 => 0x0a00_0000 | r & 0xff,
            2 => 0xc0a8_0000 | r & 0x0101_0101,
            _ => r & 0x8000_0001,
        };
        (key & Addr::mask(len), len)
    })
}

proptest! {
    #[test]
    fn trie__equals_the_list(
        ops in proptest::collection::vec(
            prop_oneof![
                3 => prefix().prop_map(|(k, l)| Op::Insert(k, l)),
                1 => any::<usize>().prop_map(Op::Remove),
            ],
            0..80,
        ),
        probes in proptest::collection::vec((any::<u32>(), 0u8..=32), 20),
    ) {
        let mut t = Trie::default();
        let mut reference = Reference::new();
        for (value, op) in ops.iter().enumerate() {
            match *op {
                Op::Insert(key, len) => {
                    t = t.insert(Addr::from_u32(key), len, value as u32).unwrap();
                    reference.insert((key, len), value as u32);
                }
                Op::Remove(n) if !reference.is_empty() => {
                    let (key, len) = *reference.keys().nth(n % reference.len()).unwrap();
                    t = t.remove(Addr::from_u32(key), len).unwrap();
                    reference.remove(&(key, len));
                }
                Op::Remove(_) => (),
            }
            check(&t.root);
        }
        prop_assert_eq!(contents(&t), reference.iter().map(|(k, v)| (*k, *v)).collect::<Vec<_>>());
        let known: Vec<u32> = reference.keys().map(|(k, _)| *k).collect();
        for (i, (r, max_len)) in probes.iter().enumerate() {
            // Half of the probes lie near a prefix that is there.
            let addr = match known.get(i) {
                Some(k) if i % 2 == 0 => k ^ (r & 3),
                _ => *r,
            };
            let got = t.longest(Addr::from_u32(addr), *max_len).map(|(l, v)| (l, *v));
            prop_assert_eq!(got, longest(&reference, addr, *max_len));
        }
    }

    #[test]
    fn walk__resumes_anywhere(
        prefixes in proptest::collection::vec(prefix(), 0..40),
        from in prefix(),
    ) {
        let mut t = Trie::default();
        let mut reference = Reference::new();
        for (key, len) in prefixes {
            t = t.insert(Addr::from_u32(key), len, 0).unwrap();
            reference.insert((key, len), 0);
        }
        let mut seen = Vec::new();
        t.walk((Addr::from_u32(from.0), from.1), |p, l, _| {
            seen.push((p.to_u32(), l));
            seen.len() < 10
        });
        let want: Vec<_> = reference.range(from..).map(|(k, _)| *k).take(10).collect();
        prop_assert_eq!(seen, want);
    }
}
