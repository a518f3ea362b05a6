// SPDX-License-Identifier: GPL-2.0
//! The algorithms, fed by hand.

use super::*;
use crate::stack::time::Duration;

/// A connection in congestion avoidance.
pub(super) fn ctx(cwnd: u32, ssthresh: u32) -> Ctx {
    Ctx {
        cwnd,
        ssthresh,
        cwnd_cnt: 0,
        clamp: u32::MAX,
        prior_cwnd: 0,
        now: Instant::from_nanos(5_000_000_000),
        lsndtime: Instant::from_nanos(5_000_000_000),
        snd_una: SeqNum::new(u32::MAX - 5),
        snd_nxt: SeqNum::new(u32::MAX - 5),
        pacing_rate: u64::MAX,
        paced: false,
        gso_max_size: 65_536,
    }
}

/// Gives HyStart rounds of `n` acknowledgements each, `gap` microseconds apart, with the round-trip
/// times in milliseconds of `rtts`. Returns round and reason of the exit.
fn rounds(cwnd: u32, n: u32, gap: u64, rtts: &[u32]) -> Option<(usize, Exit)> {
    let mut a = Algorithm::default();
    let mut c = ctx(cwnd, u32::MAX);
    a.init(&c);
    for (round, ms) in rtts.iter().enumerate() {
        c.now = c.now.plus(Duration::from_millis(u64::from(*ms)));
        c.snd_nxt = c.snd_una.add(n);
        for _ in 0..n {
            c.now = c.now.plus(Duration::from_micros(gap));
            c.snd_una = c.snd_una.add(1);
            let sample = AckSample {
                rtt_us: Some(ms * 1000),
                pkts_acked: 1,
                in_flight: 0,
            };
            if let Some(exit) = a.pkts_acked(&mut c, &sample) {
                assert_eq!(c.ssthresh, c.cwnd, "slow start is over");
                assert_eq!(a.pkts_acked(&mut c, &sample), None, "once");
                return Some((round, exit));
            }
        }
    }
    None
}

#[test]
fn find__by_name() {
    for name in ["reno", "cubic"] {
        assert_eq!(
            Algorithm::find(name.as_bytes()).map(|a| a.name()),
            Some(name)
        );
    }
    assert!(Algorithm::find(b"bbr").is_none());
    assert!(Algorithm::find(b"").is_none());
    assert_eq!(Algorithm::default().name(), "cubic");
}

#[test]
fn of_namespace__what_it_has_or_cubic() {
    let mut sysctl = Sysctl::default();
    for (set, have) in [("reno", "reno"), ("cubic", "cubic"), ("bbr", "cubic")] {
        sysctl.tcp_congestion_control = set;
        assert_eq!(Algorithm::of_namespace(&sysctl).name(), have);
    }
}

#[test]
fn hystart__a_steady_path_goes_on() {
    assert_eq!(rounds(20, 20, 100, &[100; 50]), None);
}

#[test]
fn hystart__a_queue_that_fills_ends_it() {
    let rtts = [10, 10, 12, 13, 15, 19];
    assert_eq!(rounds(20, 20, 10, &rtts), Some((4, Exit::Delay)));
}

#[test]
fn hystart__an_eighth_counts_on_a_long_path() {
    let rtts = [100, 111, 112, 114];
    assert_eq!(rounds(20, 20, 10, &rtts), Some((3, Exit::Delay)));
}

#[test]
fn hystart__too_few_samples_say_nothing() {
    assert_eq!(rounds(20, 4, 10, &[1, 50, 50]), None);
}

#[test]
fn hystart__a_train_as_long_as_half_the_path_ends_it() {
    // 20 ms of path and 60 acknowledgements 200 us apart: 10 ms have passed at the 51st.
    assert_eq!(
        rounds(60, 60, 200, &[20; 3]).map(|(_, e)| e),
        Some(Exit::Train)
    );
    // Beyond 2 ms it is no train.
    assert_eq!(rounds(60, 60, 2_001, &[20; 3]), None);
}

#[test]
fn hystart__small_windows_overrun_nothing() {
    assert_eq!(rounds(15, 20, 100, &[10, 50, 50, 50]), None);
}

#[test]
fn slow_start__a_segment_for_each_up_to_the_threshold() {
    for mut a in [
        Algorithm::Reno(Reno),
        Algorithm::Cubic(Cubic::default()), //
    ] {
        let mut c = ctx(10, 100);
        a.cong_avoid(&mut c, 10);
        assert_eq!(c.cwnd, 20, "{}", a.name());
        // A stretch ACK may not jump over it: what is left counts as congestion avoidance.
        a.cong_avoid(&mut c, 81);
        assert_eq!(c.cwnd, 100, "{}", a.name());
        c.clamp = 15;
        c.cwnd = 10;
        a.cong_avoid(&mut c, 50);
        assert_eq!(c.cwnd, 15, "{}", a.name());
    }
}

#[test]
fn reno__a_segment_a_window() {
    let mut a = Algorithm::Reno(Reno);
    let mut c = ctx(10, 10);
    for _ in 0..9 {
        a.cong_avoid(&mut c, 1);
    }
    assert_eq!(c.cwnd, 10);
    a.cong_avoid(&mut c, 1);
    assert_eq!(c.cwnd, 11);
    a.cong_avoid(&mut c, 110);
    assert_eq!(c.cwnd, 21);
}

#[test]
fn reno__halves_and_undoes() {
    let mut a = Algorithm::Reno(Reno);
    let mut c = ctx(21, u32::MAX);
    assert_eq!(a.ssthresh(&c), 10);
    c.cwnd = 1;
    c.prior_cwnd = 21;
    assert_eq!(a.undo_cwnd(&c), 21);
    assert_eq!(a.ssthresh(&c), 2);
}
