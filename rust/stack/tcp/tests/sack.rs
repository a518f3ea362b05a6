// SPDX-License-Identifier: GPL-2.0
//! Selective acknowledgements both ways, and what is lost by them: RFC 2018, 2883, 8985, 6937, 5682.

use super::script::*;
use super::*;

/// `n` segments of 1000 bytes in flight, sent at once, on a path whose round trip takes 100 ms.
fn in_flight(n: u32) -> Host {
    let mut h = syn_sent();
    wait(&mut h, 100);
    send!(h, SA, seq IRS, ack ISS + 1, mss 1000, sack_ok true).expect("a SYN-ACK");
    h.sent();
    assert_eq!(h.write(&pattern(1000 * n as usize)).0, 1000 * n as usize);
    h.sent();
    assert_eq!(h.sock.packets_out, n);
    h
}

/// The number of our byte `n` thousands behind the first of the flight.
fn at(n: u32) -> u32 {
    ISS + 1 + 1000 * n
}

/// Lets `ms` pass, timers and all.
fn wait(h: &mut Host, ms: u64) {
    let end = h.world.now.plus(Duration::from_millis(ms));
    while let Some(t) = h.next_deadline().filter(|t| *t <= end) {
        h.world.now = t.max(h.world.now);
        h.sock.on_timer(&mut h.world);
    }
    h.world.now = end;
}

/// First numbers and lengths of the data that were sent since the last look.
fn data_sent(h: &mut Host) -> Vec<(u32, usize)> {
    h.sent()
        .into_iter()
        .filter(|(_, data)| !data.is_empty())
        .map(|(s, data)| (s.seq.get(), data.len()))
        .collect()
}

/// The SACK blocks of the last segment that was sent.
fn blocks_sent(h: &mut Host) -> Vec<(u32, u32)> {
    let sent = h.sent();
    let (last, _) = sent.last().expect("an ACK");
    last.opts
        .sacks
        .blocks()
        .iter()
        .map(|b| (b.start.get(), b.end.get()))
        .collect()
}

#[test]
fn syn__offers_sack() {
    let mut h = Host::new();
    h.sock
        .connect(&mut h.world, client_id(), ISS, 0)
        .expect("connect");
    assert!(h.sent()[0].0.opts.sack_perm);
    done(h);
}

#[test]
fn syn__offers_none_if_the_namespace_says_so() {
    let mut h = Host::new();
    h.world.sysctl.tcp_sack = 0;
    h.sock
        .connect(&mut h.world, client_id(), ISS, 0)
        .expect("connect");
    assert!(!h.sent()[0].0.opts.sack_perm);
    done(h);
}

#[test]
fn data_queue_ofo__the_newest_block_is_first() {
    let mut h = established_sack();
    send!(h, A, seq IRS + 11, ack ISS + 1, data b"0123456789").unwrap();
    assert_eq!(blocks_sent(&mut h), [(IRS + 11, IRS + 21)]);
    send!(h, A, seq IRS + 31, ack ISS + 1, data b"0123456789").unwrap();
    assert_eq!(
        blocks_sent(&mut h),
        [(IRS + 31, IRS + 41), (IRS + 11, IRS + 21)]
    );
    // The gap between them closes: one block.
    send!(h, A, seq IRS + 21, ack ISS + 1, data b"0123456789").unwrap();
    assert_eq!(blocks_sent(&mut h), [(IRS + 11, IRS + 41)]);
    // And the one before: none.
    send!(h, A, seq IRS + 1, ack ISS + 1, data b"0123456789").unwrap();
    due_ack(&mut h);
    assert_eq!(blocks_sent(&mut h), []);
    assert_eq!(h.read(100).0.len(), 40);
    done(h);
}

#[test]
fn dsack__tells_once_what_came_twice() {
    let mut h = established_sack();
    send!(h, A, seq IRS + 1, ack ISS + 1, data b"0123456789").unwrap();
    due_ack(&mut h);
    h.sent();
    send!(h, A, seq IRS + 1, ack ISS + 1, data b"0123456789").unwrap();
    due_ack(&mut h);
    assert_eq!(blocks_sent(&mut h), [(IRS + 1, IRS + 11)]);
    send!(h, A, seq IRS + 21, ack ISS + 1, data b"0123456789").unwrap();
    assert_eq!(blocks_sent(&mut h), [(IRS + 21, IRS + 31)]);
    // Out of order and twice: first the D-SACK, then the block that holds it (RFC 2883, 4).
    send!(h, A, seq IRS + 21, ack ISS + 1, data b"01234").unwrap();
    assert_eq!(
        blocks_sent(&mut h),
        [(IRS + 21, IRS + 26), (IRS + 21, IRS + 31)]
    );
    h.read(100);
    done(h);
}

#[test]
fn rack__three_later_segments_prove_a_loss() {
    let mut h = in_flight(8);
    wait(&mut h, 100);
    for n in 1..=2 {
        send!(h, A, seq IRS + 1, ack at(0), sack vec![(at(1), at(1 + n))]).unwrap();
        assert_eq!(data_sent(&mut h), [], "after {n}");
        assert_eq!(h.sock.ca_state, CaState::Disorder);
    }
    send!(h, A, seq IRS + 1, ack at(0), sack vec![(at(1), at(4))]).unwrap();
    assert_eq!(h.sock.ca_state, CaState::Recovery);
    assert_eq!(data_sent(&mut h), [(at(0), 1000)]);
    // Only the hole is sent again, and the window is the algorithm's share of what it was.
    send!(h, A, seq IRS + 1, ack at(8)).unwrap();
    assert_eq!(data_sent(&mut h), []);
    assert_eq!(h.sock.ca_state, CaState::Open);
    assert_eq!(h.sock.snd_cwnd, h.sock.snd_ssthresh);
    assert!(h.sock.snd_cwnd < 10);
    done(h);
}

#[test]
fn rack__every_hole_in_one_round_trip() {
    let mut h = in_flight(10);
    wait(&mut h, 100);
    // 0, 2, 4 and 6 are lost.
    let blocks = vec![
        (at(7), at(10)),
        (at(5), at(6)),
        (at(3), at(4)),
        (at(1), at(2)),
    ];
    let mut again = Vec::new();
    send!(h, A, seq IRS + 1, ack at(0), sack blocks).unwrap();
    again.extend(data_sent(&mut h));
    wait(&mut h, 1);
    send!(h, A, seq IRS + 1, ack at(2), sack vec![(at(7), at(10)), (at(5), at(6)), (at(3), at(4))])
        .unwrap();
    again.extend(data_sent(&mut h));
    let mut first: Vec<u32> = again.iter().map(|s| s.0).collect();
    first.dedup();
    assert_eq!(first, [at(0), at(2), at(4), at(6)]);
    done(h);
}

#[test]
fn rack__a_late_segment_is_waited_for_where_the_network_reorders() {
    let mut h = in_flight(4);
    wait(&mut h, 100);
    send!(h, A, seq IRS + 1, ack at(0), sack vec![(at(1), at(2))]).unwrap();
    assert_eq!(data_sent(&mut h), []);
    // A quarter of the shortest round trip later it is lost.
    wait(&mut h, 20);
    assert_eq!(data_sent(&mut h), []);
    wait(&mut h, 10);
    assert_eq!(data_sent(&mut h), [(at(0), 1000)]);
    done(h);
}

#[test]
fn sacktag__part_of_a_gso_packet() {
    let mut h = in_flight(4);
    wait(&mut h, 100);
    // Whole segments only count: a block of one and a half is one.
    send!(h, A, seq IRS + 1, ack at(0), sack vec![(at(1), at(2) + 500)]).unwrap();
    assert_eq!((h.sock.packets_out, h.sock.sacked_out), (4, 1));
    assert_eq!(h.sock.highest_sack_seq().get(), at(2));
    done(h);
}

#[test]
fn sacktag__nonsense_is_ignored() {
    for block in [
        (at(3), at(3)),
        (at(3), at(2)),
        (at(5), at(20)),
        (at(0), at(2)),
        (at(0).wrapping_sub(70_000), at(1)),
    ] {
        let mut h = in_flight(8);
        wait(&mut h, 100);
        send!(h, A, seq IRS + 1, ack at(0), sack vec![block]).unwrap();
        assert_eq!(h.sock.sacked_out, 0, "{block:?}");
        done(h);
    }
}

#[test]
fn enter_loss__reneging_forgets_the_blocks() {
    let mut h = in_flight(4);
    wait(&mut h, 100);
    send!(h, A, seq IRS + 1, ack at(0), sack vec![(at(1), at(4))]).unwrap();
    h.sent();
    // The peer has what comes first and nothing of what it told.
    send!(h, A, seq IRS + 1, ack at(1)).unwrap();
    assert_eq!(h.sock.sacked_out, 3);
    wait(&mut h, 60);
    assert_eq!(h.sock.sacked_out, 0);
    assert_eq!(data_sent(&mut h), [(at(1), 1000)]);
    done(h);
}

#[test]
fn tlp__asks_about_the_tail_before_the_timeout() {
    let mut h = in_flight(4);
    // The whole flight is silent: after two round trips the last segment comes again.
    wait(&mut h, 190);
    assert_eq!(data_sent(&mut h), []);
    wait(&mut h, 20);
    assert_eq!(data_sent(&mut h), [(at(3), 1000)]);
    assert_eq!(h.sock.ca_state, CaState::Open);
    // Its answer shows that the others are lost.
    wait(&mut h, 100);
    send!(h, A, seq IRS + 1, ack at(0), sack vec![(at(3), at(4))]).unwrap();
    wait(&mut h, 30);
    assert_eq!(h.sock.ca_state, CaState::Recovery);
    assert_eq!(data_sent(&mut h)[0].0, at(0));
    done(h);
}

#[test]
fn tlp__a_repaired_loss_costs_window() {
    let mut h = in_flight(4);
    let cwnd = h.sock.snd_cwnd;
    wait(&mut h, 210);
    assert_eq!(data_sent(&mut h), [(at(3), 1000)]);
    send!(h, A, seq IRS + 1, ack at(4)).unwrap();
    // Nothing of later was acknowledged yet: it may have been the original.
    h.write(&pattern(1000));
    h.sent();
    wait(&mut h, 100);
    send!(h, A, seq IRS + 1, ack at(5)).unwrap();
    assert!(h.sock.snd_cwnd < cwnd, "{}", h.sock.snd_cwnd);
    done(h);
}

#[test]
fn frto__a_late_flight_undoes_the_timeout() {
    let mut h = in_flight(6);
    let (cwnd, ssthresh) = (h.sock.snd_cwnd, h.sock.snd_ssthresh);
    wait(&mut h, 600);
    h.sent();
    assert_eq!(h.sock.ca_state, CaState::Loss);
    assert_eq!(h.sock.snd_cwnd, 1);
    // The acknowledgements of the original flight arrive after all.
    for n in [2, 4, 6] {
        send!(h, A, seq IRS + 1, ack at(n)).unwrap();
    }
    assert_eq!(h.sock.ca_state, CaState::Open);
    assert!(h.sock.snd_cwnd >= cwnd, "{}", h.sock.snd_cwnd);
    assert_eq!(h.sock.snd_ssthresh, ssthresh);
    done(h);
}

#[test]
fn undo__dsack_of_everything_retransmitted() {
    let mut h = in_flight(8);
    let (cwnd, ssthresh) = (h.sock.snd_cwnd, h.sock.snd_ssthresh);
    wait(&mut h, 100);
    send!(h, A, seq IRS + 1, ack at(0), sack vec![(at(1), at(4))]).unwrap();
    assert_eq!(data_sent(&mut h), [(at(0), 1000)]);
    wait(&mut h, 10);
    // The late original filled the hole, then the retransmission arrived for nothing.
    send!(h, A, seq IRS + 1, ack at(4)).unwrap();
    send!(h, A, seq IRS + 1, ack at(4), sack vec![(at(0), at(1))]).unwrap();
    assert_eq!(h.sock.ca_state, CaState::Open);
    assert!(h.sock.snd_cwnd >= cwnd, "{}", h.sock.snd_cwnd);
    assert_eq!(h.sock.snd_ssthresh, ssthresh);
    done(h);
}

#[test]
fn fragment_sent__a_segment_that_no_longer_fits_is_cut_in_two() {
    // We owe SACK blocks, which take room in every segment: a full one does not fit any more.
    let mut h = in_flight(3);
    send!(h, A, seq IRS + 11, ack at(0), data b"beyond a gap").unwrap();
    h.sent();
    wait(&mut h, 100);
    send!(h, A, seq IRS + 11, ack at(0), sack vec![(at(1), at(3))]).unwrap();
    wait(&mut h, 30);
    let sent = data_sent(&mut h);
    assert_eq!(sent[0], (at(0), 1000 - 12));
    assert!(h.sock.packets_out <= 4, "{}", h.sock.packets_out);
    done(h);
}
