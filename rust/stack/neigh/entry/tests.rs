// SPDX-License-Identifier: GPL-2.0
//! Scripts of the neighbour machine, with times in milliseconds.

use super::*;
use crate::stack::neigh::Output;
use proptest::prelude::*;

const P: Params = Params::DEFAULT;
const MAC: Addr = Addr([2, 0, 0, 0, 0, 1]);
const MAC2: Addr = Addr([2, 0, 0, 0, 0, 2]);
const KEY: Key = Key {
    ifindex: 2,
    addr: ipv4::Addr::new(10, 0, 0, 1),
};
/// Half of the longest time for which a confirmation can hold.
const HALF: u64 = 15_000;

fn at(ms: u64) -> Instant {
    // Far from zero, where nothing was ever confirmed.
    Instant::ZERO
        .plus(Duration::from_secs(1000))
        .plus(Duration::from_millis(ms))
}

fn neigh() -> Neigh<()> {
    Neigh::new(KEY, None, (), at(0))
}

fn skb(len: usize) -> Skb {
    Skb::from_bytes(&vec![0; len])
}

fn then(o: Output) -> Effects {
    match o {
        Output::Then(e) => e,
        other => panic!("{other:?}"),
    }
}

fn sent(o: Output) -> Addr {
    match o {
        Output::Send(_, a) => a,
        other => panic!("{other:?}"),
    }
}

/// A neighbour that answered at time 0.
fn reachable() -> Neigh<()> {
    let n = neigh();
    let _ = n.output(skb(1), &P, at(0));
    let e = n.update(MAC, Nud::Reachable, How::Learned, &P, at(0));
    assert_eq!((e.send.len(), e.ha), (1, MAC));
    n
}

/// When a neighbour that was confirmed at time 0 stops to be reachable.
fn end_of_reachable(n: &Neigh<()>) -> u64 {
    let until = n.on_timer(&P, at(0)).timer.unwrap();
    let ms = until.since(at(0)).as_millis();
    assert!((HALF..=3 * HALF).contains(&ms), "{ms}");
    ms
}

#[test]
fn output__unknown_asks_and_waits() {
    let n = neigh();
    let e = then(n.output(skb(100), &P, at(0)));
    assert_eq!(
        e.solicit,
        Some(Solicit {
            target: KEY.addr,
            to: None,
            hint: None
        })
    );
    assert_eq!(e.timer, Some(at(1000)));
    assert_eq!(n.state(), Nud::Incomplete);
    // The second packet asks nothing.
    let e = then(n.output(skb(100), &P, at(10)));
    assert_eq!((e.solicit, e.timer), (None, Some(at(1000))));
    assert_eq!(n.addr(), None);
}

#[test]
fn output__reachable_sends() {
    assert_eq!(sent(reachable().output(skb(1), &P, at(1))), MAC);
}

#[test]
fn connected__only_while_the_machine_need_not_know() {
    assert_eq!(neigh().connected(), None);
    let n = reachable();
    assert_eq!(n.connected(), Some(MAC));
    let _ = n.kill(|_, _| true);
    assert_eq!(n.connected(), None);
    let n = neigh();
    let _ = n.update(MAC, Nud::Stale, How::Learned, &P, at(0));
    assert_eq!((n.addr(), n.connected()), (Some(MAC), None));
}

#[test]
fn output__static_neighbour_never_asks() {
    let n = Neigh::new(KEY, Some(MAC2), (), at(0));
    assert_eq!(sent(n.output(skb(1), &P, at(0))), MAC2);
    let _ = n.update(MAC, Nud::Reachable, How::Learned, &P, at(0));
    assert_eq!((n.addr(), n.state()), (Some(MAC2), Nud::Noarp));
    assert_eq!(n.on_timer(&P, at(1_000_000)).timer, None);
}

#[test]
fn output__stale_sends_at_once_then_verifies() {
    let n = neigh();
    let _ = n.update(MAC, Nud::Stale, How::Learned, &P, at(0));
    let e = then(n.output(skb(1), &P, at(100)));
    assert_eq!((e.send.len(), e.ha, e.solicit), (1, MAC, None));
    assert_eq!((n.state(), e.timer), (Nud::Delay, Some(at(5100))));
    // Meanwhile packets go without a word.
    assert_eq!(sent(n.output(skb(1), &P, at(200))), MAC);
    // Nobody confirmed: ask it, and only it.
    for i in 0..3 {
        let e = n.on_timer(&P, at(5100 + i * 1000));
        assert_eq!(e.solicit.unwrap().to, Some(MAC), "probe {i}");
        assert_eq!(n.state(), Nud::Probe);
        assert_eq!(sent(n.output(skb(1), &P, at(5100 + i * 1000))), MAC);
    }
    let e = n.on_timer(&P, at(8100));
    assert_eq!((e.solicit, n.state(), n.addr()), (None, Nud::Failed, None));
    assert_eq!(e.timer, None);
}

#[test]
fn on_timer__three_questions_then_failed() {
    let n = neigh();
    let mut asked = 1;
    let mut e = then(n.output(skb(100), &P, at(0)));
    let mut now = at(0);
    while let Some(next) = e.timer {
        now = next;
        e = n.on_timer(&P, now);
        asked += usize::from(e.solicit.is_some());
    }
    assert_eq!((asked, now), (3, at(3000)));
    assert_eq!((e.drop.len(), e.reason), (1, Some(DropReason::NeighFailed)));
    assert_eq!(e.count, Some(Counter::NeighFailures));
    assert_eq!(n.state(), Nud::Failed);
    // The next packet begins anew.
    assert!(then(n.output(skb(1), &P, at(9000))).solicit.is_some());
    assert_eq!(n.state(), Nud::Incomplete);
}

#[test]
fn on_timer__too_early_changes_nothing() {
    let n = neigh();
    let _ = n.output(skb(1), &P, at(0));
    let e = n.on_timer(&P, at(999));
    assert_eq!((e.timer, e.solicit), (Some(at(1000)), None));
}

#[test]
fn on_timer__unused_becomes_stale() {
    let n = reachable();
    let end = end_of_reachable(&n);
    let e = n.on_timer(&P, at(end + 1));
    assert_eq!((n.state(), e.timer), (Nud::Stale, None));
    assert_eq!(n.addr(), Some(MAC));
}

#[test]
fn on_timer__confirmed_from_above_stays_reachable() {
    let n = reachable();
    let end = end_of_reachable(&n);
    n.confirm(at(end - 1));
    let e = n.on_timer(&P, at(end + 1));
    assert_eq!(n.state(), Nud::Reachable);
    assert_eq!(e.timer.unwrap().since(at(end - 1)).as_millis(), end);
}

#[test]
fn on_timer__delay_confirmed_from_above() {
    let n = neigh();
    let _ = n.update(MAC, Nud::Stale, How::Learned, &P, at(0));
    let _ = n.output(skb(1), &P, at(0));
    n.confirm(at(3000));
    let e = n.on_timer(&P, at(5000));
    assert_eq!((n.state(), e.solicit), (Nud::Reachable, None));
    assert!(e.timer.is_some());
}

#[test]
fn enqueue__bounded_by_bytes_drops_the_oldest() {
    let n = neigh();
    let size = skb(1000).truesize();
    let fit = P.queue_len_bytes / size;
    for i in 0..fit {
        let e = then(n.output(skb(1000), &P, at(0)));
        assert!(e.drop.is_empty(), "packet {i}");
    }
    for _ in 0..10 {
        let e = then(n.output(skb(1000), &P, at(0)));
        assert_eq!(
            (e.drop.len(), e.reason),
            (1, Some(DropReason::NeighQueuefull))
        );
    }
    let e = n.update(MAC, Nud::Reachable, How::Learned, &P, at(1));
    assert_eq!(e.send.len(), fit);
    assert_eq!(n.inner.lock().queue_bytes, 0);
}

#[test]
fn update__stale_says_nothing_of_a_known_address() {
    let n = reachable();
    let _ = n.update(MAC, Nud::Stale, How::Learned, &P, at(5000));
    assert_eq!(n.state(), Nud::Reachable);
}

#[test]
fn update__new_address_goes_stale() {
    let n = reachable();
    let _ = n.update(MAC2, Nud::Stale, How::Learned, &P, at(5000));
    assert_eq!((n.addr(), n.state()), (Some(MAC2), Nud::Stale));
    // It is verified as soon as it is used, whatever was confirmed of the old one.
    let e = then(n.output(skb(1), &P, at(5001)));
    assert_eq!(e.ha, MAC2);
    let _ = n.on_timer(&P, at(10_001));
    assert_eq!(n.state(), Nud::Probe);
}

#[test]
fn update__permanent_is_the_administrators() {
    let n = reachable();
    let _ = n.update(MAC2, Nud::Permanent, How::Admin, &P, at(1));
    let _ = n.update(MAC, Nud::Reachable, How::Announced, &P, at(60_000));
    assert_eq!((n.addr(), n.state()), (Some(MAC2), Nud::Permanent));
    let _ = n.update(MAC, Nud::Failed, How::Admin, &P, at(60_001));
    assert_eq!((n.addr(), n.state()), (None, Nud::Failed));
}

#[test]
fn kill__frees_what_waits() {
    let n = neigh();
    let _ = n.output(skb(1), &P, at(0));
    assert!(n.kill(|_, _| false).is_none());
    let e = n.kill(|_, _| true).unwrap();
    assert_eq!((e.drop.len(), e.reason), (1, Some(DropReason::NeighDead)));
    assert!(n.kill(|_, _| true).is_none());
    assert!(matches!(n.output(skb(1), &P, at(1)), Output::Dead(_)));
    let e = n.update(MAC, Nud::Reachable, How::Learned, &P, at(1));
    assert_eq!((e.timer, n.addr()), (None, None));
}

#[derive(Clone, Debug)]
enum Event {
    Output,
    Update(bool, u8, u8),
    Confirm,
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => Just(Event::Output),
        2 => (any::<bool>(), 0u8..5, 0u8..3).prop_map(|(m, s, h)| Event::Update(m, s, h)),
        1 => Just(Event::Confirm),
        3 => (0u64..40_000).prop_map(Event::Wait),
    ]
}

proptest! {
    /// Whatever happens: no packet is lost or doubled, whoever waits has a deadline, and the transmit
    /// path sees an address exactly when the state has one.
    #[test]
    fn neigh__any_script(events in proptest::collection::vec(event(), 0..60)) {
        let n = neigh();
        let mut now = at(0);
        let mut timer = None;
        let (mut given, mut out) = (0, 0);
        for e in events {
            let effects = match e {
                Event::Output => {
                    given += 1;
                    match n.output(skb(1), &P, now) {
                        Output::Send(..) => { out += 1; None }
                        Output::Then(e) => Some(e),
                        Output::Dead(_) => unreachable!(),
                    }
                }
                Event::Update(mac, state, how) => {
                    let state = [Nud::Reachable, Nud::Stale, Nud::Permanent, Nud::Failed, Nud::Noarp]
                        [usize::from(state)];
                    let how = [How::Learned, How::Announced, How::Admin][usize::from(how)];
                    Some(n.update(if mac { MAC } else { MAC2 }, state, how, &P, now))
                }
                Event::Confirm => { n.confirm(now); None }
                Event::Wait(ms) => {
                    now = now.plus(Duration::from_millis(ms));
                    match timer {
                        Some(t) if t <= now => Some(n.on_timer(&P, now)),
                        _ => None,
                    }
                }
            };
            if let Some(e) = effects {
                out += e.send.len() + e.drop.len();
                prop_assert!(e.drop.is_empty() || e.reason.is_some());
                timer = e.timer;
            }
            let state = n.state();
            prop_assert_eq!(n.addr().is_some(), state.is_valid());
            prop_assert!(!state.in_timer() || timer.is_some(), "{:?}", state);
            let waiting = n.inner.lock().queue.len();
            prop_assert!(waiting == 0 || state == Nud::Incomplete);
            prop_assert_eq!(given, out + waiting);
        }
    }
}
