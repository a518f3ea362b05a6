// SPDX-License-Identifier: GPL-2.0
//! Tests of the forwarding cache and of what it says of packets.

use super::ctl::Mfcctl;
use super::mfc::Added;
use super::*;
use crate::platform::{
    fail_alloc,
    fail_pending,
    Vec, //
};
use crate::stack::time::Duration;
use crate::stack::wire::ipv4::Addr;
use proptest::prelude::*;

const S: Addr = Addr::new(10, 0, 0, 1);
const G: Addr = Addr::new(239, 0, 0, 1);

fn at(ms: u64) -> Instant {
    Instant::ZERO.plus(Duration::from_millis(ms))
}

fn ctl(origin: Addr, group: Addr, parent: u16, out: &[(usize, u8)]) -> Mfcctl {
    let mut ttls = [0; MAXVIFS];
    for (vif, ttl) in out {
        ttls[*vif] = *ttl;
    }
    Mfcctl {
        origin,
        group,
        parent,
        ttls,
    }
}

/// Eight vifs, 0 to 7, of the devices 10 to 17.
fn vifs() -> Vifs {
    let v = Vifs::default();
    for n in 0..8 {
        assert!(v.add(n, 10 + u32::from(n)));
    }
    v
}

fn table(entries: &[Mfcctl]) -> Table {
    let t = Table::try_new(5).unwrap();
    for m in entries {
        t.add(m, true, 0xff, false).unwrap();
    }
    t
}

fn verdict(t: &Table, v: &Vifs, saddr: Addr, daddr: Addr, vif: u8, ttl: u8) -> Option<Verdict> {
    let packet = Arrival {
        vif,
        ttl,
        len: 100,
        own: false,
    };
    t.lookup(saddr, daddr, vif, |c| {
        forward(t, v, c, &packet, true, || at(5000))
    })
}

#[test]
fn forward__by_thresholds() {
    let (t, v) = (
        table(&[ctl(S, G, 0, &[(1, 1), (2, 16), (3, 255), (4, 0), (9, 1)])]),
        vifs(),
    );
    for (ttl, want) in [(0, 0), (1, 0), (2, 2), (16, 2), (17, 6), (255, 6)] {
        let got = verdict(&t, &v, S, G, 0, ttl);
        assert_eq!(got, Some(Verdict::Forward(want)), "ttl {ttl}");
    }
    assert_eq!(v.counts(0), Some([6, 0, 600, 0]));
    assert_eq!(t.find(S, G, |c| c.counts()), Some([6, 600, 0]));
    assert_eq!(verdict(&t, &v, S, Addr::new(239, 0, 0, 2), 0, 9), None);
    assert_eq!(verdict(&t, &v, Addr::new(10, 0, 0, 2), G, 0, 9), None);
}

#[test]
fn forward__by_the_wrong_vif() {
    let (t, v) = (table(&[ctl(S, G, 0, &[(1, 1)])]), vifs());
    let send = |vif, own, assert, ms| {
        let packet = Arrival {
            vif,
            ttl: 9,
            len: 50,
            own,
        };
        t.lookup(S, G, vif, |c| {
            forward(&t, &v, c, &packet, assert, || at(ms))
        })
        .unwrap()
    };
    let wrong = |tell| Verdict::WrongVif { tell };
    // By a vif that leads nowhere nobody is told.
    assert_eq!(send(2, false, true, 5000), wrong(false));
    assert_eq!(send(1, false, false, 5000), wrong(false));
    assert_eq!(send(1, false, true, 5000), wrong(true));
    assert_eq!(send(1, false, true, 7999), wrong(false));
    assert_eq!(send(1, false, true, 8000), wrong(true));
    // What this host sent does not count.
    assert_eq!(send(1, true, true, 99_000), Verdict::Own);
    assert_eq!(send(0, true, true, 99_000), Verdict::Forward(2));
    assert_eq!(t.find(S, G, |c| c.counts()), Some([7, 350, 5]));
    // Another number of the same device will do.
    assert!(v.remove(5) && v.add(5, 10));
    assert_eq!(send(5, false, true, 99_000), Verdict::Forward(2));
}

#[test]
fn forward__any_source() {
    let any = Addr::ANY;
    // A tree of vifs 1, 2 and 3 with its root at 1.
    let tree = ctl(any, any, 1, &[(1, 1), (2, 1), (3, 1)]);
    let (t, v) = (table(&[tree, ctl(any, G, 1, &[(1, 1), (4, 1)])]), vifs());
    // (*,G): to all but where it came from.
    assert_eq!(verdict(&t, &v, S, G, 1, 9), Some(Verdict::Forward(1 << 4)));
    assert_eq!(verdict(&t, &v, S, G, 2, 9), Some(Verdict::Forward(0x12)));
    // Leads there, but is not of the tree.
    assert!(matches!(
        verdict(&t, &v, S, G, 4, 9),
        Some(Verdict::WrongVif { .. })
    ));
    assert_eq!(verdict(&t, &v, S, G, 5, 9), None);
    // (*,*): towards the root.
    let other = Addr::new(239, 9, 9, 9);
    assert_eq!(verdict(&t, &v, S, other, 2, 9), Some(Verdict::Forward(2)));
    assert_eq!(verdict(&t, &v, S, other, 2, 1), Some(Verdict::Forward(0)));
    assert_eq!(verdict(&t, &v, S, other, 1, 9), Some(Verdict::Forward(0)));
    assert_eq!(verdict(&t, &v, S, other, 4, 9), None);
}

#[test]
fn add__changes_what_is_there() {
    let (t, v) = (Table::try_new(5).unwrap(), vifs());
    let add = |m: &Mfcctl, by_parent| t.add(m, by_parent, 0xff, false);
    assert_eq!(add(&ctl(S, G, 0, &[(1, 1)]), false), Ok(Added::New));
    verdict(&t, &v, S, G, 0, 9);
    assert_eq!(add(&ctl(S, G, 2, &[(3, 1)]), false), Ok(Added::Changed));
    assert_eq!(verdict(&t, &v, S, G, 2, 9), Some(Verdict::Forward(8)));
    // The counters go on.
    assert_eq!(t.find(S, G, |c| c.counts()), Some([2, 200, 0]));
    assert_eq!(add(&ctl(S, G, 4, &[(5, 1)]), true), Ok(Added::New));
    assert_eq!(t.len(), 2);
    assert!(t.remove(&ctl(S, G, 4, &[]), true));
    assert!(!t.remove(&ctl(S, G, 4, &[]), true));
    assert!(t.remove(&ctl(S, G, 4, &[]), false));
    assert!(t.is_empty());
    t.for_each(|c| panic!("{c:?} is there"));
    assert_eq!(verdict(&t, &v, S, G, 2, 9), None);
}

#[test]
fn flush__keeps_what_others_made() {
    let t = Table::try_new(5).unwrap();
    for n in 0..1000 {
        let m = ctl(Addr::from_u32(n), G, 0, &[]);
        t.add(&m, false, 0xff, n % 4 == 0).unwrap();
    }
    t.flush(|c| !c.is_fixed());
    assert_eq!(t.len(), 250);
    for n in 0..1000 {
        let there = t.find(Addr::from_u32(n), G, |_| ()).is_some();
        assert_eq!(there, n % 4 == 0);
    }
    let mut met = Vec::new();
    t.for_each(|c| met.push(c.origin().to_u32()));
    met.sort_unstable();
    let want: Vec<u32> = (0..1000).step_by(4).collect();
    assert_eq!(met, want);
    t.flush(|_| true);
    assert!(t.is_empty());
}

#[test]
fn add__without_memory() {
    let t = Table::try_new(5).unwrap();
    let mut failures = 0;
    for n in 0..200 {
        let m = ctl(Addr::from_u32(n), G, 0, &[(1, 1)]);
        for budget in 0.. {
            fail_alloc(Some(budget));
            let added = t.add(&m, false, 0xff, false);
            let failed = !fail_pending();
            fail_alloc(None);
            match added {
                // Growing may fail; the entry is there all the same.
                Ok(_) => break,
                Err(_) => {
                    assert!(failed);
                    assert_eq!(t.find(m.origin, G, |_| ()), None);
                    failures += 1;
                }
            }
        }
    }
    assert!(failures >= 200);
    assert_eq!(t.len(), 200);
    // What cannot be taken out is not found.
    for n in 0..200 {
        let m = ctl(Addr::from_u32(n), G, 0, &[]);
        fail_alloc(Some(0));
        assert!(t.remove(&m, false));
        fail_alloc(None);
        assert_eq!(t.find(m.origin, G, |_| ()), None);
    }
    assert!(t.is_empty());
}

/// What is done to a table.
#[derive(Clone, Debug)]
enum Op {
    Add(Mfcctl, bool),
    Remove(Mfcctl, bool),
    Packet(Addr, Addr, u8, u8),
}

fn ops() -> impl Strategy<Value = Op> {
    let some =
        |base: u32| (0u32..4).prop_map(move |n| Addr::from_u32(if n == 0 { 0 } else { base + n }));
    let m = (
        some(0x0a00_0000),
        some(0xef00_0000),
        0u16..8,
        proptest::collection::vec(prop_oneof![Just(0u8), Just(255), 1..5u8], 8),
    )
        .prop_map(|(s, g, parent, ttls)| {
            let out: Vec<_> = ttls.into_iter().enumerate().collect();
            ctl(s, g, parent, &out)
        });
    prop_oneof![
        (m.clone(), any::<bool>()).prop_map(|(m, p)| Op::Add(m, p)),
        (m, any::<bool>()).prop_map(|(m, p)| Op::Remove(m, p)),
        (1u32..4, 1u32..4, 0u8..8, 0u8..6).prop_map(|(s, g, vif, ttl)| Op::Packet(
            Addr::from_u32(0x0a00_0000 + s),
            Addr::from_u32(0xef00_0000 + g),
            vif,
            ttl
        )),
    ]
}

/// A list, the newest first, and a search from its beginning.
#[derive(Default)]
struct Reference(Vec<Mfcctl>);

impl Reference {
    fn position(&self, m: &Mfcctl, by_parent: bool) -> Option<usize> {
        self.0.iter().position(|c| {
            (c.origin, c.group) == (m.origin, m.group) && (!by_parent || c.parent == m.parent)
        })
    }

    fn leads(c: &Mfcctl, vif: u8) -> bool {
        !matches!(c.ttls[usize::from(vif)], 0 | 255)
    }

    fn root(&self, vif: u8) -> Option<&Mfcctl> {
        let all = |c: &&Mfcctl| c.origin.is_any() && c.group.is_any() && Self::leads(c, vif);
        self.0.iter().find(all)
    }

    fn lookup(&self, s: Addr, g: Addr, vif: u8) -> Option<&Mfcctl> {
        let in_tree = |c: &Mfcctl| {
            self.root(c.parent as u8)
                .is_some_and(|r| Self::leads(r, vif))
        };
        self.0
            .iter()
            .find(|c| (c.origin, c.group) == (s, g))
            .or_else(|| {
                self.0.iter().find(|c| {
                    (c.origin, c.group) == (Addr::ANY, g) && (Self::leads(c, vif) || in_tree(c))
                })
            })
            .or_else(|| self.root(vif))
    }

    fn verdict(&self, s: Addr, g: Addr, vif: u8, ttl: u8) -> Option<Option<u32>> {
        let c = self.lookup(s, g, vif)?;
        let parent = c.parent as u8;
        let tree = c.origin.is_any() && self.root(parent).is_some_and(|r| Self::leads(r, vif));
        if !tree && parent != vif {
            return Some(None);
        }
        let mut out = 0;
        for n in 0..8 {
            let back = c.origin.is_any() && n == vif;
            let aside = c.origin.is_any() && c.group.is_any() && n != parent;
            if Self::leads(c, n) && ttl > c.ttls[usize::from(n)] && !back && !aside {
                out |= 1 << n;
            }
        }
        Some(Some(out))
    }
}

proptest! {
    /// The table says what a list says that is searched from its beginning.
    #[test]
    fn forward__as_a_list_would(ops in proptest::collection::vec(ops(), 1..200)) {
        let (t, v, mut list) = (Table::try_new(7).unwrap(), vifs(), Reference::default());
        for op in ops {
            match op {
                Op::Add(m, by_parent) => {
                    let added = t.add(&m, by_parent, 0xff, false);
                    match list.position(&m, by_parent) {
                        Some(i) => {
                            list.0[i] = m;
                            prop_assert_eq!(added, Ok(Added::Changed));
                        }
                        None => {
                            list.0.insert(0, m);
                            prop_assert_eq!(added, Ok(Added::New));
                        }
                    }
                }
                Op::Remove(m, by_parent) => {
                    let at = list.position(&m, by_parent);
                    prop_assert_eq!(t.remove(&m, by_parent), at.is_some());
                    if let Some(i) = at {
                        list.0.remove(i);
                    }
                }
                Op::Packet(s, g, vif, ttl) => {
                    let got = verdict(&t, &v, s, g, vif, ttl).map(|v| match v {
                        Verdict::Forward(out) => Some(out),
                        Verdict::WrongVif { .. } | Verdict::Own => None,
                    });
                    prop_assert_eq!(got, list.verdict(s, g, vif, ttl));
                }
            }
            prop_assert_eq!(t.len(), list.0.len());
        }
    }
}
