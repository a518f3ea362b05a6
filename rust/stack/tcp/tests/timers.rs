// SPDX-License-Identifier: GPL-2.0
//! What happens when nothing comes.

use super::script::*;
use super::*;

/// Fires timers until there is none or `until` has come; what was sent, with the time since the start
/// in milliseconds.
fn run(h: &mut Host, until: Duration) -> Vec<(u64, Segment, usize)> {
    let start = h.world.now;
    let mut sent = Vec::new();
    while let Some(at) = h.next_deadline() {
        if at.since(start) > until {
            break;
        }
        h.world.now = at;
        h.sock.on_timer(&mut h.world);
        let ms = h.world.now.since(start).as_millis();
        sent.extend(h.sent().into_iter().map(|(s, data)| (ms, s, data.len())));
    }
    sent
}

#[test]
fn rto__doubles_and_starts_at_200_ms() {
    let mut h = established();
    h.write(b"data");
    h.sent();
    let sent = run(&mut h, Duration::from_secs(30));
    let times: Vec<u64> = sent.iter().map(|s| s.0).collect();
    // The handshake took no time: RTO is its minimum (RFC 6298, 2.4, less Linux's shortcut).
    assert_eq!(
        times[..6],
        [200, 600, 1400, 3000, 6200, 12_600],
        "{times:?}"
    );
    assert!(sent
        .iter()
        .all(|(_, s, len)| s.seq.get() == ISS + 1 && *len == 4));
    assert_eq!(h.sock.snd_cwnd, 1);
    // What TCP_INFO tells as sent is everything that was, as Linux counts it.
    let times = sent.len() as u32 + 1;
    assert_eq!(h.sock.stats.data_segs_out, times);
    assert_eq!(h.sock.stats.bytes_sent, 4 * u64::from(times));
    done(h);
}

#[test]
fn rto__is_bounded_by_120_s_and_gives_up() {
    let mut h = established();
    h.write(b"data");
    h.sent();
    let sent = run(&mut h, Duration::from_secs(10_000));
    let gaps: Vec<u64> = sent.windows(2).map(|w| w[1].0 - w[0].0).collect();
    assert!(gaps.iter().all(|g| *g <= 120_000));
    assert_eq!(h.world.error, Some(Errno::ETIMEDOUT));
    assert_eq!(h.sock.state, State::Close);
    done(h);
}

#[test]
fn rto__is_restored_by_an_answer() {
    let mut h = established();
    h.write(b"data");
    h.sent();
    run(&mut h, Duration::from_secs(5));
    send!(h, A, seq IRS + 1, ack ISS + 5).unwrap();
    assert_eq!(h.sock.retransmits, 0);
    assert_eq!(h.next_deadline(), None);
    // Karn: what was retransmitted gives no sample, and without one the doubled timeout holds.
    assert_ne!(h.sock.backoff, 0);
    h.write(b"more");
    h.sent();
    send!(h, A, seq IRS + 1, ack ISS + 9).unwrap();
    assert_eq!(h.sock.backoff, 0);
    done(h);
}

#[test]
fn user_timeout__ends_earlier() {
    let mut h = established();
    h.sock
        .set_option(&mut h.world, Opt::UserTimeout, 3000)
        .unwrap();
    h.write(b"data");
    h.sent();
    let start = h.world.now;
    run(&mut h, Duration::from_secs(100));
    assert_eq!(h.world.error, Some(Errno::ETIMEDOUT));
    let took = h.world.now.since(start).as_millis();
    assert!((3000..=7000).contains(&took), "{took}");
    done(h);
}

#[test]
fn probe0__asks_a_closed_window_for_ever() {
    let mut h = established();
    // The peer shuts its window.
    send!(h, A, seq IRS + 1, ack ISS + 1, win 0).unwrap();
    h.write(b"data");
    recv!(h,);
    let mut last = 0;
    for _ in 0..40 {
        h.world.now = h.next_deadline().expect("a probe timer");
        h.sock.on_timer(&mut h.world);
        let sent = h.sent();
        assert_eq!(sent.len(), 1, "one probe at a time");
        // An old byte, or none: nothing that the window forbids.
        assert!(sent[0].1.is_empty());
        last = h.world.now.as_micros();
        // The peer answers: still closed.
        send!(h, A, seq IRS + 1, ack ISS + 1, win 0).unwrap();
    }
    assert!(last > 0);
    assert_eq!(h.sock.state, State::Established);
    send!(h, A, seq IRS + 1, ack ISS + 1, win 1000).unwrap();
    recv!(h, [A, seq ISS + 1, ack IRS + 1, data b"data"]);
    done(h);
}

#[test]
fn probe0__gives_up_when_nobody_answers() {
    let mut h = established();
    send!(h, A, seq IRS + 1, ack ISS + 1, win 0).unwrap();
    h.write(b"data");
    run(&mut h, Duration::from_secs(10_000));
    assert_eq!(h.world.error, Some(Errno::ETIMEDOUT));
    done(h);
}

#[test]
fn keepalive__probes_then_gives_up() {
    let mut h = established();
    h.sock.set_option(&mut h.world, Opt::KeepIdle, 60).unwrap();
    h.sock.set_option(&mut h.world, Opt::KeepIntvl, 10).unwrap();
    h.sock.set_option(&mut h.world, Opt::KeepCnt, 3).unwrap();
    h.sock.set_keepalive(&mut h.world, true);
    let sent = run(&mut h, Duration::from_secs(1000));
    let times: Vec<u64> = sent.iter().map(|s| s.0 / 1000).collect();
    // Three probes, then a reset.
    assert_eq!(times, [60, 70, 80, 90]);
    let probe = &sent[0].1;
    // RFC 1122, 4.2.3.6: SEG.SEQ = SND.NXT - 1, no data.
    assert_eq!((probe.seq.get(), sent[0].2), (ISS, 0));
    assert!(sent[3].1.flags.has(Flags::RST));
    assert_eq!(h.world.error, Some(Errno::ETIMEDOUT));
    done(h);
}

#[test]
fn keepalive__an_answer_is_enough() {
    let mut h = established();
    h.sock.set_option(&mut h.world, Opt::KeepIdle, 60).unwrap();
    h.sock.set_keepalive(&mut h.world, true);
    for _ in 0..5 {
        let sent = run(&mut h, Duration::from_secs(76));
        assert_eq!(sent.len(), 1);
        send!(h, A, seq IRS + 1, ack ISS + 1).unwrap();
    }
    assert_eq!(h.sock.state, State::Established);
    h.sock.set_keepalive(&mut h.world, false);
    assert_eq!(h.next_deadline(), None);
    done(h);
}

#[test]
fn fin_wait1__gives_up_on_a_dead_peer() {
    let mut h = fin_wait1();
    h.world.dead = true;
    let sent = run(&mut h, Duration::from_secs(10_000));
    // tcp_orphan_retries: about eight.
    assert!((6..=10).contains(&sent.len()), "{}", sent.len());
    assert_eq!(h.sock.state, State::Close);
    assert!(h.world.done);
    done(h);
}

#[test]
fn clock__wraps_like_everything_else() {
    // The timestamp clock passes zero in the middle of a transfer.
    let mut p = Pair::new(Wire::clean(), 1);
    let before = Instant::from_nanos((u64::from(u32::MAX) - 3) * 1_000_000);
    p.net.now = before;
    p.a.world.now = before;
    p.b.world.now = before;
    p.a.sock
        .connect(&mut p.a.world, client_id(), u32::MAX - 5, 0)
        .unwrap();
    while p.b.sock.state != State::Established {
        assert!(p.step());
    }
    let data = pattern(600_000);
    p.transfer(true, &data);
    p.transfer(false, &data);
    assert!(
        p.net.now.as_millis_u32() < 1_000_000,
        "the clock did not wrap"
    );
    assert_eq!(p.a.sock.stats.total_retrans, 0);
    p.finish();
}

/// A clock of ticks fires up to one tick early. What is sent then was not sent later: else the acknowledgement
/// that comes before that time would tell of a round trip that took none.
#[test]
fn on_timer_until__segments_are_sent_now() {
    let mut h = established();
    h.world.now = h.world.now.plus(Duration::from_millis(10));
    h.write(b"data");
    h.sent();
    let at = h.sock.next_expiry().expect("a timeout");
    h.world.now = Instant::from_nanos(at.as_nanos() - 3_000_000);
    h.sock.on_timer(&mut h.world);
    assert!(h.sent().is_empty());
    h.sock.on_timer_until(&mut h.world, at);
    assert_eq!(h.sent().len(), 1);
    let head = h.sock.rtx_queue.first().expect("a segment");
    assert_eq!(head.tcp_cb().sent_at, h.world.now.as_nanos());
    h.sock.drop_queues(&mut h.world);
    done(h);
}
