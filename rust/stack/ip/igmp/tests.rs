// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::platform::{
    fail_alloc,
    fail_pending,
    Vec, //
};
use crate::stack::wire::igmp::{
    Message,
    Record, //
};
use std::collections::{
    BTreeMap,
    BTreeSet, //
};

const G: Addr = Addr::new(239, 1, 2, 3);
const H: Addr = Addr::new(239, 1, 2, 4);

fn a(n: u32) -> Addr {
    Addr::from_u32(0x0a00_0000 + n)
}

/// A message as the routers of the link read it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard {
    Records(Vec<(u8, Addr, Vec<Addr>)>),
    Word(u8, Addr),
}
use Heard::{
    Records,
    Word as W, //
};

fn read(m: &[u8]) -> Heard {
    assert!(Message::parse(m).is_ok(), "{m:x?}");
    let word = |at: usize| Addr::from_octets(m[at..at + 4].try_into().unwrap());
    if m[0] != 0x22 {
        return W(m[0], word(4));
    }
    let mut at = 8;
    let mut records = Vec::new();
    for _ in 0..u16::from_be_bytes([m[6], m[7]]) {
        let n = usize::from(u16::from_be_bytes([m[at + 2], m[at + 3]]));
        let sources = (0..n).map(|i| word(at + 8 + 4 * i)).collect();
        records.push((m[at], word(at + 4), sources));
        at += 8 + 4 * n;
    }
    assert_eq!(at, m.len());
    Records(records)
}

/// A device, with a clock and sockets.
struct Bench {
    interface: Interface,
    now: Instant,
    next: Option<Instant>,
    settings: Settings,
    random: u32,
    most: usize,
}

impl Bench {
    fn new() -> Bench {
        let b = Bench {
            interface: Interface::default(),
            now: Instant::from_nanos(1_000_000),
            next: None,
            settings: Settings::DEFAULT,
            random: 0x8000_0000,
            most: 1400,
        };
        let mut b = b;
        b.next = b.with(|i, ctx| i.up(ctx));
        b
    }

    fn with<R>(&mut self, f: impl FnOnce(&Interface, &mut Ctx<'_>) -> R) -> R {
        let random = self.random;
        let mut ctx = Ctx {
            now: self.now,
            settings: &self.settings,
            random: &mut || random,
        };
        f(&self.interface, &mut ctx)
    }

    fn change(&mut self, group: Addr, old: Option<&Filter>, new: Option<&Filter>) -> Changed {
        let changed = self.with(|i, ctx| i.change(group, old, new, ctx)).unwrap();
        self.next = earlier(self.next, changed.next);
        changed
    }

    /// What is sent until nothing is to be done before `until`, and when in milliseconds.
    fn run(&mut self, until: Duration) -> Vec<(u64, Heard)> {
        let (start, end) = (self.now, self.now.plus(until));
        let mut all = Vec::new();
        while let Some(at) = self.next.filter(|at| *at <= end) {
            self.now = self.now.max(at);
            let most = self.most;
            let (mut sent, next) = self.with(|i, ctx| i.expire(most, ctx));
            while let Some(skb) = sent.pop_front() {
                assert!(skb.len() <= most);
                all.push((self.now.since(start).as_millis(), read(skb.bytes())));
            }
            assert!(
                next.is_none_or(|n| n > self.now),
                "a timer that does not rest"
            );
            self.next = next;
        }
        self.now = end;
        all
    }

    fn hear(&mut self, m: Message<'_>) {
        let next = self.with(|i, ctx| i.heard(&m, ctx));
        self.next = earlier(self.next, next);
    }

    fn hear_bytes(&mut self, mut m: Vec<u8>) {
        let sum = crate::stack::wire::checksum::partial(&m, 0);
        let sum = crate::stack::wire::checksum::finish(sum);
        m[2..4].copy_from_slice(&sum.to_be_bytes());
        self.hear(Message::parse(&m).unwrap());
    }

    fn query_v3(&mut self, group: Addr, qrv: u8, sources: &[Addr]) {
        let mut m = vec![0x11, 20, 0, 0];
        m.extend(group.octets());
        m.extend([qrv, 125]);
        m.extend((sources.len() as u16).to_be_bytes());
        sources.iter().for_each(|s| m.extend(s.octets()));
        self.hear_bytes(m);
    }

    fn query_v2(&mut self, group: Addr, tenths: u8) {
        let mut m = vec![0x11, tenths, 0, 0];
        m.extend(group.octets());
        self.hear_bytes(m);
    }
}

fn include(sources: &[Addr]) -> Filter {
    Filter::new(false, sources).unwrap()
}

fn exclude(sources: &[Addr]) -> Filter {
    Filter::new(true, sources).unwrap()
}

fn record(kind: Record, group: Addr, sources: &[Addr]) -> (u8, Addr, Vec<Addr>) {
    (kind as u8, group, sources.to_vec())
}

fn one(kind: Record, group: Addr, sources: &[Addr]) -> Heard {
    Records(vec![record(kind, group, sources)])
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn change__join_and_leave_are_told_twice() {
    let mut b = Bench::new();
    let all = exclude(&[]);
    let changed = b.change(G, None, Some(&all));
    assert!(changed.first && !changed.last && b.interface.is_in(G));
    let join = one(Record::ToExclude, G, &[]);
    assert_eq!(b.run(LONG), [(0, join.clone()), (500, join)]);
    // A second socket with the same wish changes nothing.
    assert!(!b.change(G, None, Some(&all)).first);
    assert!(!b.change(G, Some(&all), None).last && b.interface.is_in(G));
    assert_eq!(b.run(LONG), []);
    assert!(b.change(G, Some(&all), None).last && !b.interface.is_in(G));
    let leave = one(Record::ToInclude, G, &[]);
    assert_eq!(b.run(LONG), [(0, leave.clone()), (500, leave)]);
    assert!(b.interface.is_empty() && b.next.is_none());
    assert!(b.interface.control.lock().changed.is_empty());
}

#[test]
fn change__rejoined_before_the_leave_was_told() {
    let mut b = Bench::new();
    let all = exclude(&[]);
    b.change(G, None, Some(&all));
    b.run(LONG);
    b.change(G, Some(&all), None);
    b.change(G, None, Some(&all));
    let join = one(Record::ToExclude, G, &[]);
    assert_eq!(b.run(LONG), [(0, join.clone()), (500, join)]);
    assert!(b.interface.is_in(G));
}

#[test]
fn change__sources_by_allow_and_block() {
    let mut b = Bench::new();
    let (f1, f12) = (include(&[a(1)]), include(&[a(1), a(2)]));
    b.change(G, None, Some(&f1));
    let allow = one(Record::Allow, G, &[a(1)]);
    assert_eq!(b.run(LONG), [(0, allow.clone()), (500, allow)]);
    b.change(G, Some(&f1), Some(&f12));
    assert_eq!(b.run(Duration::ZERO), [(0, one(Record::Allow, G, &[a(2)]))]);
    b.change(G, Some(&f12), Some(&include(&[a(2)])));
    // One is still to be told for the second time, the other for the first.
    let both = Records(vec![
        record(Record::Allow, G, &[a(2)]),
        record(Record::Block, G, &[a(1)]),
    ]);
    let block = one(Record::Block, G, &[a(1)]);
    assert_eq!(b.run(LONG), [(0, both), (500, block)]);
    // RFC 3376, 5.1: one socket that wants all but some, beside one that wants one of those.
    let f = exclude(&[a(2), a(3)]);
    b.change(G, None, Some(&f));
    let ex = one(Record::ToExclude, G, &[a(3)]);
    assert_eq!(b.run(LONG), [(0, ex.clone()), (500, ex)]);
    b.change(G, Some(&f), None);
    let to_in = one(Record::ToInclude, G, &[a(2)]);
    assert_eq!(b.run(LONG), [(0, to_in.clone()), (500, to_in)]);
}

#[test]
fn query__general_tells_everything_in_one_report() {
    let mut b = Bench::new();
    b.change(G, None, Some(&exclude(&[a(9)])));
    b.change(H, None, Some(&include(&[a(1)])));
    b.change(ALL_HOSTS, None, Some(&exclude(&[])));
    b.run(LONG);
    b.query_v3(Addr::ANY, 3, &[]);
    b.query_v3(Addr::ANY, 3, &[]);
    let report = Records(vec![
        record(Record::IsExclude, G, &[a(9)]),
        record(Record::IsInclude, H, &[a(1)]),
    ]);
    // Half of two seconds.
    assert_eq!(b.run(LONG), [(1000, report)]);
    // What the router said of robustness holds for changes from now on.
    b.change(H, Some(&include(&[a(1)])), None);
    assert_eq!(b.run(LONG).len(), 3);
}

#[test]
fn query__of_a_group_and_of_sources() {
    let mut b = Bench::new();
    b.change(G, None, Some(&include(&[a(1), a(2)])));
    b.change(H, None, Some(&exclude(&[a(1)])));
    b.run(LONG);
    b.query_v3(G, 2, &[]);
    let whole = one(Record::IsInclude, G, &[a(1), a(2)]);
    assert_eq!(b.run(LONG), [(1000, whole)]);
    b.query_v3(G, 2, &[a(2), a(7)]);
    assert_eq!(b.run(LONG), [(1000, one(Record::IsInclude, G, &[a(2)]))]);
    b.query_v3(G, 2, &[a(7)]);
    b.query_v3(H, 2, &[a(1)]);
    b.query_v3(Addr::new(239, 9, 9, 9), 2, &[]);
    assert_eq!(b.run(LONG), []);
    b.query_v3(H, 2, &[a(1), a(7)]);
    assert_eq!(b.run(LONG), [(1000, one(Record::IsExclude, H, &[a(1)]))]);
    // A question for the whole group swallows one for sources.
    b.query_v3(G, 2, &[a(2)]);
    b.query_v3(G, 2, &[]);
    let whole = one(Record::IsInclude, G, &[a(1), a(2)]);
    assert_eq!(b.run(LONG), [(1000, whole)]);
    // What was asked for before is not asked for for ever.
    b.query_v3(G, 2, &[a(1)]);
    assert_eq!(b.run(LONG), [(1000, one(Record::IsInclude, G, &[a(1)]))]);
}

#[test]
fn query__an_old_router_gets_old_reports() {
    let mut b = Bench::new();
    b.change(G, None, Some(&exclude(&[])));
    b.change(H, None, Some(&exclude(&[])));
    b.run(LONG);
    b.query_v2(Addr::ANY, 100);
    assert_eq!(b.run(LONG), [(5000, W(0x16, G)), (5000, W(0x16, H))]);
    // Somebody else answers first: silence, and no word when the group is left.
    b.query_v2(G, 100);
    b.run(Duration::from_secs(1));
    b.hear(Message::Report(G));
    assert_eq!(b.run(LONG), []);
    b.change(G, Some(&exclude(&[])), None);
    assert_eq!(b.run(LONG), []);
    b.change(H, Some(&exclude(&[])), None);
    assert_eq!(b.run(LONG), [(0, W(0x17, H))]);
    // A new group, twice; a silent router of version 2 is forgotten after 2 * 125 + 10 s.
    b.change(G, None, Some(&exclude(&[])));
    assert_eq!(b.run(LONG), [(0, W(0x16, G)), (5000, W(0x16, G))]);
    b.run(Duration::from_secs(260));
    b.change(H, None, Some(&exclude(&[])));
    let join = one(Record::ToExclude, H, &[]);
    assert_eq!(b.run(LONG), [(0, join.clone()), (500, join)]);
    b.query_v2(Addr::ANY, 0);
    assert_eq!(b.run(LONG), [(5000, W(0x12, G)), (5000, W(0x12, H))]);
    // Version 1 knows no leaving.
    b.change(H, Some(&exclude(&[])), None);
    assert_eq!(b.run(LONG), []);
}

#[test]
fn query__however_many_groups_answer_the_timer_is_not_due_for_each() {
    let mut b = Bench::new();
    b.settings.force = Some(Version::V2);
    for n in 0..3000 {
        let group = Addr::from_u32(0xef00_0000 + n);
        b.change(group, None, Some(&exclude(&[])));
    }
    b.run(LONG);
    let mut random = 1u32;
    let mut ctx = Ctx {
        now: b.now,
        settings: &b.settings,
        random: &mut || {
            random = random.wrapping_mul(0x9e37_79b1).wrapping_add(12_345);
            random
        },
    };
    let mut m = [0x11, 100, 0, 0, 0, 0, 0, 0];
    m[2..4].copy_from_slice(&(!0x1164u16).to_be_bytes());
    let message = Message::parse(&m).unwrap();
    let mut next = b.interface.heard(&message, &mut ctx);
    let (mut fired, mut sent) = (0, 0);
    while let Some(at) = next {
        ctx.now = ctx.now.max(at);
        let (queue, then) = b.interface.expire(1400, &mut ctx);
        (fired, sent, next) = (fired + 1, sent + queue.len(), then);
    }
    assert_eq!(sent, 3000);
    assert!(fired <= 65, "{fired}");
}

#[test]
fn settings__a_version_may_be_forced_and_groups_of_the_link_be_silent() {
    let mut b = Bench::new();
    b.settings.force = Some(Version::V2);
    b.change(G, None, Some(&exclude(&[])));
    assert_eq!(b.run(LONG).first(), Some(&(0, W(0x16, G))));
    let mut b = Bench::new();
    b.settings.link_local = false;
    let local = Addr::new(224, 0, 0, 251);
    b.change(local, None, Some(&exclude(&[])));
    b.query_v3(Addr::ANY, 2, &[]);
    assert!(b.interface.is_in(local));
    assert_eq!(b.run(LONG), []);
    b.settings.link_local = true;
    b.query_v3(local, 2, &[]);
    assert_eq!(b.run(LONG), [(1000, one(Record::IsExclude, local, &[]))]);
}

#[test]
fn down__silence_and_up__everything_anew() {
    let mut b = Bench::new();
    b.change(G, None, Some(&exclude(&[])));
    b.change(H, None, Some(&include(&[a(1)])));
    b.query_v3(Addr::ANY, 2, &[]);
    b.interface.down();
    assert_eq!(b.run(LONG), []);
    b.change(G, Some(&exclude(&[])), None);
    b.change(G, None, Some(&exclude(&[])));
    b.query_v2(Addr::ANY, 10);
    assert_eq!(b.run(LONG), []);
    b.next = b.with(|i, ctx| i.up(ctx));
    let all = Records(vec![
        record(Record::ToExclude, G, &[]),
        record(Record::Allow, H, &[a(1)]),
    ]);
    assert_eq!(b.run(LONG), [(0, all.clone()), (500, all)]);
}

#[test]
fn report__long_lists_in_several_messages() {
    let mut b = Bench::new();
    b.most = 8 + 8 + 4 * 10;
    let many: Vec<_> = (0..25).map(a).collect();
    b.change(G, None, Some(&include(&many)));
    let told = b.run(Duration::ZERO);
    let parts: Vec<_> = told.into_iter().map(|(_, m)| m).collect();
    let part = |range: core::ops::Range<usize>| one(Record::Allow, G, &many[range]);
    assert_eq!(parts, [part(0..10), part(10..20), part(20..25)]);
    // A list of those that are not wanted is cut.
    let mut b = Bench::new();
    b.most = 8 + 8 + 4 * 10;
    b.change(G, None, Some(&exclude(&many)));
    let told = b.run(Duration::ZERO);
    assert_eq!(told, [(0, one(Record::ToExclude, G, &many[..10]))]);
    // Short records share a message as long as they fit.
    let mut b = Bench::new();
    b.most = 8 + 3 * 8;
    (0..7).for_each(|n| {
        b.change(Addr::new(239, 0, 0, n), None, Some(&exclude(&[])));
    });
    let told = b.run(Duration::ZERO);
    let sizes = told.iter().map(|(_, m)| match m {
        Records(r) => r.len(),
        W(..) => 0,
    });
    assert_eq!(sizes.collect::<Vec<_>>(), [3, 3, 1]);
}

#[test]
fn left__no_more_is_remembered_than_may_be() {
    let mut b = Bench::new();
    for n in 0..5000u32 {
        let group = Addr::from_u32(0xef00_0000 + n);
        b.change(group, None, Some(&exclude(&[])));
        b.change(group, Some(&exclude(&[])), None);
    }
    let mut n = 0u32;
    each(&b.interface.control.lock().changed, |_| n += 1);
    assert!(n <= 2 * MOST_LEFT, "{n}");
    b.run(LONG);
    assert!(b.interface.control.lock().changed.is_empty());
    assert!(b.interface.is_empty());
}

/// What a router believes that this host wants, by what it was told (RFC 3376, 6.4).
#[derive(Default)]
struct Router(BTreeMap<Addr, (bool, BTreeSet<Addr>)>);

impl Router {
    fn hear(&mut self, m: &Heard) {
        let Records(records) = m else { panic!("{m:?}") };
        for (kind, group, sources) in records {
            let (excludes, list) = self.0.entry(*group).or_default();
            match kind {
                1 | 3 => (*excludes, *list) = (false, sources.iter().copied().collect()),
                2 | 4 => (*excludes, *list) = (true, sources.iter().copied().collect()),
                _ => {
                    for s in sources {
                        match (*kind == 5) != *excludes {
                            true => list.insert(*s),
                            false => list.remove(s),
                        };
                    }
                }
            }
        }
    }
}

/// Sockets come, change and go at random, now and then without memory: the router always knows what they want together, as
/// a merge of their plain lists says (RFC 3376, 3.2), and each filter that failed to change is what it was.
#[test]
fn change__as_a_merge_of_plain_lists() {
    for seed in 1..200u64 {
        let mut random = seed;
        let mut below = |n: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % n
        };
        let mut b = Bench::new();
        let mut router = Router::default();
        let mut sockets: Vec<Option<(bool, BTreeSet<Addr>)>> = vec![None; 5];
        for step in 0..60 {
            let who = below(5) as usize;
            let wish = (below(4) != 0).then(|| {
                let list: BTreeSet<_> = (0..below(4)).map(|_| a(below(6) as u32)).collect();
                let excludes = below(2) != 0 || list.is_empty();
                (excludes, list)
            });
            let filter = |w: &Option<(bool, BTreeSet<Addr>)>| {
                let (excludes, list) = w.as_ref()?;
                let list: Vec<_> = list.iter().copied().collect();
                Some(Filter::new(*excludes, &list).unwrap())
            };
            let (old, new) = (filter(&sockets[who]), filter(&wish));
            fail_alloc(if below(4) == 0 && new.is_some() {
                Some(below(12) as u32)
            } else {
                None
            });
            let result = b.with(|i, ctx| i.change(G, old.as_ref(), new.as_ref(), ctx));
            fail_pending();
            fail_alloc(None);
            match result {
                Ok(changed) => {
                    b.next = earlier(b.next, changed.next);
                    sockets[who] = wish;
                }
                Err(_) => assert!(new.is_some()),
            }
            let there = sockets.iter().flatten();
            assert_eq!(b.interface.is_in(G), there.clone().count() != 0);
            // Often more changes come before all are told.
            let pause = Duration::from_millis(below(700));
            b.run(if step == 59 { LONG } else { pause })
                .iter()
                .for_each(|(_, m)| router.hear(m));
            if b.next.is_some() {
                continue;
            }
            let excluding = there.clone().filter(|(excludes, _)| *excludes);
            let wanted: BTreeSet<Addr> = there
                .clone()
                .filter(|(excludes, _)| !excludes)
                .flat_map(|(_, list)| list.clone())
                .collect();
            let merged = match excluding.clone().next() {
                None => (false, wanted),
                Some((_, first)) => {
                    let all = |s: &Addr| excluding.clone().all(|(_, list)| list.contains(s));
                    let list = first.iter().copied();
                    (
                        true,
                        list.filter(|s| all(s) && !wanted.contains(s)).collect(),
                    )
                }
            };
            let known = router.0.get(&G).cloned().unwrap_or_default();
            assert_eq!(known, merged, "seed {seed}, step {step}");
        }
    }
}
