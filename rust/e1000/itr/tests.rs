// SPDX-License-Identifier: GPL-2.0
//! The rate of interrupts: classes, limits, steps.

use super::{
    interval,
    Latency,
    Load,
    Mode,
    Throttle, //
};
use proptest::prelude::*;

fn load(packets: u32, bytes: u32) -> Load {
    Load { packets, bytes }
}

#[test]
fn after__an_empty_interval_changes_nothing() {
    for class in [Latency::Lowest, Latency::Low, Latency::Bulk] {
        assert_eq!(class.after(Load::default()), class);
    }
}

#[test]
fn after__few_small_packets_want_the_lowest_latency() {
    assert_eq!(Latency::Bulk.after(load(1, 60)), Latency::Low);
    assert_eq!(Latency::Low.after(load(1, 60)), Latency::Lowest);
    assert_eq!(Latency::Lowest.after(load(1, 60)), Latency::Lowest);
}

#[test]
fn after__many_full_packets_are_bulk() {
    assert_eq!(Latency::Lowest.after(load(4, 6000)), Latency::Low);
    assert_eq!(Latency::Low.after(load(20, 30_000)), Latency::Bulk);
    assert_eq!(Latency::Bulk.after(load(20, 30_000)), Latency::Bulk);
    assert_eq!(Latency::Lowest.after(load(2, 18_000)), Latency::Bulk);
}

#[test]
fn after__many_small_packets_leave_bulk() {
    assert_eq!(Latency::Bulk.after(load(400, 26_000)), Latency::Low);
    assert_eq!(Latency::Low.after(load(400, 26_000)), Latency::Lowest);
}

#[test]
fn mode__what_ethtool_says_comes_back() {
    for usecs in [0, 1, 3, 4, 10, 50, 250, 10_000] {
        assert_eq!(Mode::from_usecs(usecs).unwrap().usecs(), usecs);
    }
    for usecs in [2, 5, 9, 10_001, u32::MAX] {
        assert_eq!(Mode::from_usecs(usecs), None);
    }
}

#[test]
fn interval__of_a_rate() {
    assert_eq!(interval(0), 0);
    assert_eq!(interval(8000), 488);
    assert_eq!(interval(20_000), 195);
    assert_eq!(interval(1), 0xffff);
}

#[test]
fn update__up_in_steps_down_at_once() {
    let mut t = Throttle::new(Mode::Conservative);
    assert_eq!(t.rate(), 20_000);
    let (none, bulk, few) = (Load::default(), load(20, 30_000), load(1, 60));
    assert_eq!(t.update(none, bulk, true), Some(4000));
    assert_eq!(t.update(none, few, true), Some(9000));
    assert_eq!(t.update(none, few, true), Some(14_000));
    assert_eq!(t.update(none, few, true), Some(19_000));
    assert_eq!(t.update(none, few, true), Some(20_000));
    assert_eq!(t.update(none, few, true), None);
}

#[test]
fn update__the_calmer_direction_counts() {
    let mut t = Throttle::new(Mode::Adaptive);
    assert_eq!(t.update(load(1, 60), load(20, 30_000), true), Some(4000));
}

#[test]
fn update__fixed_rates_and_none_stay() {
    for mode in [Mode::Off, Mode::Fixed(8000)] {
        let mut t = Throttle::new(mode);
        assert_eq!(t.update(load(100, 9000), load(100, 150_000), true), None);
    }
}

proptest! {
    #[test]
    fn update__stays_within_the_rates(
        loads in proptest::collection::vec((any::<u32>(), any::<u32>(), any::<bool>()), 0..200),
        conservative in any::<bool>(),
    ) {
        let (mode, most) = if conservative {
            (Mode::Conservative, 20_000)
        } else {
            (Mode::Adaptive, 70_000)
        };
        let mut t = Throttle::new(mode);
        for (packets, bytes, gigabit) in loads {
            let before = t.rate();
            let update = t.update(load(packets, bytes), load(bytes, packets), gigabit);
            prop_assert!((4000..=most).contains(&t.rate()));
            prop_assert_eq!(update.is_some(), t.rate() != before);
        }
    }
}
