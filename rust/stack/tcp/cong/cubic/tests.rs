// SPDX-License-Identifier: GPL-2.0
//! CUBIC against RFC 9438's formulas in floating point.

use super::super::tests::ctx;
use super::*;
use crate::stack::time::Duration;

/// Runs congestion avoidance for `secs` seconds with round trips of `rtt_ms`, all of the window
/// acknowledged in each, evenly spread; calls `at` once a round trip with the seconds since the start.
fn run(a: &mut Cubic, c: &mut Ctx, rtt_ms: u64, secs: f64, mut at: impl FnMut(f64, &Ctx)) {
    let start = c.now;
    loop {
        let t = c.now.since(start).as_micros() as f64 / 1e6;
        if t > secs {
            return;
        }
        at(t, c);
        let n = c.cwnd;
        let gap = Duration::from_nanos(rtt_ms * 1_000_000 / u64::from(n));
        for _ in 0..n {
            c.now = c.now.plus(gap);
            c.lsndtime = c.now;
            a.cong_avoid(c, 1);
        }
    }
}

/// After a loss at `w_max`, ready for congestion avoidance.
fn after_loss(w_max: u32, rtt_ms: u64) -> (Cubic, Ctx) {
    let mut a = Cubic::default();
    let mut c = ctx(w_max, 1);
    a.init(&c);
    let _ = a.pkts_acked(
        &mut c,
        &AckSample {
            rtt_us: Some(rtt_ms as u32 * 1000),
            pkts_acked: 1,
            in_flight: 0,
        },
    );
    c.ssthresh = a.ssthresh(&c);
    c.cwnd = c.ssthresh;
    (a, c)
}

#[test]
fn cong_avoid__follows_the_curve() {
    // Long round trips and a large window: far from where Reno would be faster.
    for (w_max, rtt_ms) in [(1000u32, 100u64), (4000, 100), (2000, 200)] {
        let (mut a, mut c) = after_loss(w_max, rtt_ms);
        let cwnd_epoch = f64::from(c.cwnd);
        let k = ((f64::from(w_max) - cwnd_epoch) / 0.4).cbrt();
        run(&mut a, &mut c, rtt_ms, 1.5 * k, |t, c| {
            let ideal = 0.4 * (t - k).powi(3) + f64::from(w_max);
            let off = (f64::from(c.cwnd) - ideal).abs() / ideal;
            assert!(
                off < 0.04,
                "W_max {w_max} t {t:.2} K {k:.2}: {} {ideal:.0}",
                c.cwnd
            );
        });
        // Once around the plateau it has come back to the old maximum, and beyond.
        assert!(c.cwnd >= w_max, "{}", c.cwnd);
    }
}

#[test]
fn cong_avoid__is_never_slower_than_reno() {
    // A short path: equation 4 of RFC 9438, alpha_cubic segments a round trip.
    let (mut a, mut c) = after_loss(50, 10);
    let start = f64::from(c.cwnd);
    let alpha = 3.0 * (1.0 - 0.7) / (1.0 + 0.7);
    run(&mut a, &mut c, 10, 1.0, |t, c| {
        let w_est = start + alpha * t / 0.010;
        assert!(
            f64::from(c.cwnd) >= 0.9 * w_est.min(50.0) - 2.0,
            "t {t:.2}: {} {w_est:.0}",
            c.cwnd
        );
    });
    assert!(c.cwnd > 70, "{}", c.cwnd);
}

#[test]
fn cong_avoid__before_the_first_loss_a_twentieth_a_round_trip() {
    let mut a = Cubic::default();
    let mut c = ctx(1000, 1000);
    a.init(&c);
    run(&mut a, &mut c, 1, 0.0005, |_, _| {});
    assert!((1045..=1055).contains(&c.cwnd), "{}", c.cwnd);
}

#[test]
fn cong_avoid__within_a_step_the_share_of_the_window_stays() {
    // What a round trip adds is decided once in four milliseconds, as in the in-tree stack: there, ten round trips of a
    // hundred microseconds bring six segments to far more than sixteen, which is what one for each would make.
    let (mut a, mut c) = after_loss(9, 1);
    let cwnds = [(); 11].map(|()| {
        let before = c.cwnd;
        a.cong_avoid(&mut c, before);
        c.now = c.now.plus(Duration::from_micros(100));
        before
    });
    assert_eq!(cwnds[..3], [6, 7, 8]);
    assert!(cwnds[10] > 24, "{cwnds:?}");
    // With the next step it is decided anew: beyond the old maximum the curve is flat.
    c.now = c.now.plus(Duration::from_millis(4));
    let before = c.cwnd;
    a.cong_avoid(&mut c, before);
    assert!(c.cwnd <= before + 1, "{before} {}", c.cwnd);
}

#[test]
fn cong_avoid__at_most_half_as_much_again_a_round_trip() {
    let (mut a, mut c) = after_loss(100, 100);
    c.now = c.now.plus(Duration::from_secs(1));
    a.cong_avoid(&mut c, 1);
    // An hour on the curve: the target is out of sight and out of 32 bits.
    c.now = c.now.plus(Duration::from_secs(3600));
    let before = c.cwnd;
    for _ in 0..before {
        a.cong_avoid(&mut c, 1);
    }
    assert!(c.cwnd <= before + before / 2 + 1, "{} {before}", c.cwnd);
    assert!(c.cwnd >= before + before / 3, "{} {before}", c.cwnd);
}

#[test]
fn ssthresh__seven_tenths_and_fast_convergence() {
    let mut a = Cubic::default();
    assert_eq!(a.ssthresh(&ctx(1000, 1)), 700);
    assert_eq!(a.last_max_cwnd, 1000);
    // The next loss comes earlier: W_max = cwnd * (1 + beta) / 2.
    assert_eq!(a.ssthresh(&ctx(900, 1)), 630);
    assert_eq!(a.last_max_cwnd, 765);
    assert_eq!(a.ssthresh(&ctx(2, 1)), 2);
    assert_eq!(a.ssthresh(&ctx(u32::MAX, 1)), 3_007_315_967);
}

#[test]
fn cwnd_event__idleness_is_no_time_on_the_curve() {
    let go = |idle: bool| {
        let (mut a, mut c) = after_loss(1000, 100);
        run(&mut a, &mut c, 100, 3.0, |_, _| {});
        if idle {
            c.lsndtime = c.now;
            c.now = c.now.plus(Duration::from_secs(20));
            a.cwnd_event(&c, Event::TxStart);
        }
        run(&mut a, &mut c, 100, 1.0, |_, _| {});
        c.cwnd
    };
    assert!(
        go(true).abs_diff(go(false)) <= 2,
        "{} {}",
        go(true),
        go(false)
    );
}

#[test]
fn set_state__a_timeout_forgets_the_curve() {
    let (mut a, c) = after_loss(1000, 100);
    a.set_state(&c, CaState::Recovery);
    assert_eq!(a.last_max_cwnd, 1000);
    a.set_state(&c, CaState::Loss);
    assert_eq!(a.last_max_cwnd, 0);
    assert_eq!(a.delay_min, 0);
}

#[test]
fn cubic_root__whole_part() {
    for r in [0u64, 1, 2, 3, 10, 999, 1 << 20, 2_642_244] {
        assert_eq!(u64::from(cubic_root(r * r * r)), r);
        if r > 1 {
            assert_eq!(u64::from(cubic_root(r * r * r - 1)), r - 1);
        }
    }
    assert_eq!(cubic_root(u64::MAX), 2_642_245);
}
