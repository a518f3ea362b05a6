// SPDX-License-Identifier: GPL-2.0
//! Tests of what is learned of single destinations.

use super::*;
use crate::stack::time::Duration;
use proptest::prelude::*;
use std::collections::HashMap;

const D: Addr = Addr::new(10, 0, 0, 9);
const VIA: Via = Via {
    oif: 2,
    gateway: Addr::new(10, 0, 1, 1),
};
const LIFE: Duration = Duration::from_nanos(600_000_000_000);

fn at(secs: u64) -> Instant {
    Instant::from_nanos(secs * 1_000_000_000)
}

fn pmtu(mtu: u32, secs: u64) -> Pmtu {
    Pmtu {
        mtu,
        locked: false,
        expires: at(secs),
    }
}

#[test]
fn find__nothing_learned() {
    assert_eq!(
        Exceptions::new(1).find(D, &VIA, 0, || at(1)),
        Found::default()
    );
}

#[test]
fn find__until_it_expires() {
    let x = Exceptions::new(1);
    x.set_pmtu(D, &VIA, 0, pmtu(1400, 10), 0, at(1)).unwrap();
    assert_eq!(x.find(D, &VIA, 0, || at(9)).pmtu, Some(pmtu(1400, 10)));
    assert_eq!(x.find(D, &VIA, 0, || at(10)).pmtu, None);
}

#[test]
fn find__only_by_its_next_hop_and_in_its_era() {
    let x = Exceptions::new(1);
    x.set_pmtu(D, &VIA, 0, pmtu(1400, 10), 0, at(1)).unwrap();
    let other = Via { oif: 3, ..VIA };
    assert_eq!(x.find(D, &other, 0, || at(2)), Found::default());
    assert_eq!(x.find(D, &VIA, 1, || at(2)), Found::default());
    assert_eq!(
        x.find(Addr::new(10, 0, 0, 8), &VIA, 0, || at(2)),
        Found::default()
    );
}

#[test]
fn set__mtu_and_redirect_stand_beside_each_other() {
    let x = Exceptions::new(1);
    let gw = Addr::new(10, 0, 1, 2);
    x.set_pmtu(D, &VIA, 0, pmtu(1400, 10), 0, at(1)).unwrap();
    x.set_redirect(D, &VIA, 0, (gw, at(5)), 0, at(2)).unwrap();
    let found = x.find(D, &VIA, 0, || at(3));
    assert_eq!(
        (found.pmtu, found.gateway),
        (Some(pmtu(1400, 10)), Some(gw))
    );
    assert_eq!(x.find(D, &VIA, 0, || at(6)).gateway, None);
}

#[test]
fn set__no_memory_changes_nothing() {
    let x = Exceptions::new(1);
    x.set_pmtu(D, &VIA, 0, pmtu(1400, 10), 0, at(1)).unwrap();
    crate::platform::fail_alloc(Some(1));
    assert_eq!(
        x.set_pmtu(D, &VIA, 0, pmtu(1300, 10), 0, at(1)),
        Err(AllocError)
    );
    assert_eq!(x.find(D, &VIA, 0, || at(2)).pmtu, Some(pmtu(1400, 10)));
}

#[test]
fn set__a_flood_is_bounded_and_the_last_is_there() {
    let x = Exceptions::new(7);
    for n in 0..30_000u32 {
        x.set_pmtu(Addr::from_u32(n), &VIA, 0, pmtu(1400, 10), n, at(1))
            .unwrap();
        assert!(x.find(Addr::from_u32(n), &VIA, 0, || at(2)).pmtu.is_some());
    }
    let left = (0..30_000u32)
        .filter(|n| x.find(Addr::from_u32(*n), &VIA, 0, || at(2)).pmtu.is_some())
        .count();
    assert!(left <= BUCKETS * 2 * RECLAIM_DEPTH, "{left}");
}

#[test]
fn forget__the_destinations_of_a_prefix() {
    let x = Exceptions::new(1);
    let other = Addr::new(10, 1, 0, 9);
    x.set_pmtu(D, &VIA, 0, pmtu(1400, 10), 0, at(1)).unwrap();
    x.set_pmtu(other, &VIA, 0, pmtu(1400, 10), 0, at(1))
        .unwrap();
    x.forget(Addr::new(10, 0, 0, 0), 16);
    assert_eq!(x.find(D, &VIA, 0, || at(2)).pmtu, None);
    assert!(x.find(other, &VIA, 0, || at(2)).pmtu.is_some());
    x.forget(Addr::ANY, 0);
    assert_eq!(x.find(other, &VIA, 0, || at(2)).pmtu, None);
}

#[test]
fn sync_mtu__narrower_and_wider_devices() {
    let x = Exceptions::new(1);
    let mtu = |x: &Exceptions| x.find(D, &VIA, 0, || at(2)).pmtu.map(|p| (p.mtu, p.locked));
    x.set_pmtu(D, &VIA, 0, pmtu(1400, 10), 0, at(1)).unwrap();
    x.sync_mtu(2, 1600, 1500);
    assert_eq!(
        mtu(&x),
        Some((1400, false)),
        "the narrow place is elsewhere"
    );
    x.sync_mtu(2, 1300, 1600);
    assert_eq!(mtu(&x), Some((1300, false)));
    x.sync_mtu(2, 1500, 1300);
    assert_eq!(mtu(&x), Some((1500, false)), "it was the device itself");
    x.sync_mtu(3, 1000, 1500);
    assert_eq!(mtu(&x), Some((1500, false)), "another device");
    let locked = Pmtu {
        locked: true,
        ..pmtu(552, 10)
    };
    x.set_pmtu(D, &VIA, 0, locked, 0, at(1)).unwrap();
    x.sync_mtu(2, 1400, 1500);
    assert_eq!(mtu(&x), Some((552, true)));
    x.sync_mtu(2, 500, 1400);
    assert_eq!(mtu(&x), Some((500, false)));
}

#[test]
fn lowered__only_ever_down() {
    let new = |old, mtu| lowered(old, None, mtu, 552, LIFE, at(0)).map(|p| (p.mtu, p.locked));
    assert_eq!(new(1500, 1400), Some((1400, false)));
    assert_eq!(new(1500, 1501), None);
    assert_eq!(new(1400, 1500), None);
}

#[test]
fn lowered__never_below_the_floor() {
    // R21: a forged "fragmentation needed" of 68 bytes, and an old router's of none.
    for mtu in [0, 68, 551] {
        let p = lowered(1500, None, mtu, 552, LIFE, at(0)).unwrap();
        assert_eq!((p.mtu, p.locked), (552, true));
        assert_eq!(lowered(p.mtu, Some(p), 68, 552, LIFE, at(1)), None);
    }
    // A device that is narrower than the floor stays what it is.
    let p = lowered(500, None, 68, 552, LIFE, at(0)).unwrap();
    assert_eq!((p.mtu, p.locked), (500, true));
}

#[test]
fn lowered__the_same_again_only_renews_what_is_old() {
    let p = pmtu(1400, 600);
    assert_eq!(lowered(1400, Some(p), 1400, 552, LIFE, at(1)), None);
    assert_eq!(
        lowered(1400, Some(p), 1400, 552, LIFE, at(400)).map(|p| p.expires),
        Some(at(1000))
    );
}

proptest! {
    /// Against a map: what was set last and has not been pushed out is what is found.
    #[test]
    fn find__like_a_map(ops in proptest::collection::vec((0u32..12, 68u32..1500, any::<bool>(), any::<u32>()), 0..60)) {
        let x = Exceptions::new(3);
        let mut map = HashMap::new();
        for (n, mtu, forget, random) in ops {
            let d = Addr::from_u32(n << 8);
            if forget {
                x.forget(d, 24);
                map.remove(&d);
            } else {
                x.set_pmtu(d, &VIA, 0, pmtu(mtu, 10), random, at(1)).unwrap();
                map.insert(d, mtu);
            }
            // Twelve destinations in a thousand buckets: none is pushed out unless six share one.
            for (d, mtu) in &map {
                if let Some(p) = x.find(*d, &VIA, 0, || at(2)).pmtu {
                    prop_assert_eq!(p.mtu, *mtu);
                }
            }
            prop_assert_eq!(x.find(d, &VIA, 0, || at(2)).pmtu.is_some(), map.contains_key(&d));
        }
    }
}
