// SPDX-License-Identifier: GPL-2.0
//! What comes while a user owns the socket: segments joined, acknowledgements gathered.

use super::script::*;
use super::*;

/// A segment as it waits in the backlog: its header parsed, at the front of the data.
fn waiting(seq: u32, ack: u32, flags: Flags, options: &[u8], payload: &[u8]) -> Skb {
    let doff = 20 + options.len();
    let mut b = vec![0; 20];
    b[4..8].copy_from_slice(&seq.to_be_bytes());
    b[8..12].copy_from_slice(&ack.to_be_bytes());
    b[12] = (doff as u8 / 4) << 4;
    b[13] = flags.bits();
    b[14..16].copy_from_slice(&(ack as u16).to_be_bytes());
    b.extend_from_slice(options);
    b.extend_from_slice(payload);
    let mut skb = Skb::from_bytes(&b);
    Segment::parse(&mut skb).expect("a segment");
    skb
}

const DATA: Flags = Flags::ACK;
const TS: [u8; 12] = [1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9];

#[test]
fn coalesce__the_next_segment() {
    let mut tail = waiting(100, 50, DATA, &TS, &[1; 10]);
    let grown = coalesce(
        &mut tail,
        waiting(110, 60, DATA.and(Flags::PSH), &TS, &[2; 30]),
    );
    assert!(grown.is_ok());
    assert!(coalesce(&mut tail, waiting(140, 60, DATA, &TS, &[3; 5])).is_ok());
    assert_eq!((tail.gso_size(), tail.gso_segs()), (30, 3));
    // It reads as one segment with the newest acknowledgement and window.
    let seg = Segment::parse(&mut tail).expect("a segment");
    assert_eq!((seg.seq.get(), seg.end_seq.get(), seg.len), (100, 145, 45));
    assert_eq!((seg.ack_seq.get(), seg.window), (60, 60));
    assert_eq!(seg.opts.tsval, 7);
    let payload = [[1; 10].as_slice(), &[2; 30], &[3; 5]].concat();
    assert_eq!(&tail.bytes()[32..], payload);
}

#[test]
fn coalesce__an_older_acknowledgement_changes_nothing() {
    let mut tail = waiting(100, 50, DATA, &[], &[1; 10]);
    assert!(coalesce(&mut tail, waiting(110, 40, DATA, &[], &[2; 10])).is_ok());
    let seg = Segment::parse(&mut tail).expect("a segment");
    assert_eq!((seg.ack_seq.get(), seg.window, seg.len), (50, 50, 20));
}

#[test]
fn coalesce__refuses_what_differs() {
    let later: [u8; 12] = [1, 1, 8, 10, 0, 0, 0, 8, 0, 0, 0, 9];
    for (why, other) in [
        ("a gap", waiting(111, 50, DATA, &TS, &[2; 10])),
        ("it overlaps", waiting(109, 50, DATA, &TS, &[2; 10])),
        (
            "another timestamp",
            waiting(110, 50, DATA, &later, &[2; 10]),
        ),
        ("no timestamp", waiting(110, 50, DATA, &[], &[2; 10])),
        ("no ACK", waiting(110, 50, Flags::PSH, &TS, &[2; 10])),
        ("FIN", waiting(110, 50, DATA.and(Flags::FIN), &TS, &[2; 10])),
        ("RST", waiting(110, 50, DATA.and(Flags::RST), &TS, &[2; 10])),
        ("URG", waiting(110, 50, DATA.and(Flags::URG), &TS, &[2; 10])),
        ("ECE", waiting(110, 50, DATA.and(Flags::ECE), &TS, &[2; 10])),
        ("CWR", waiting(110, 50, DATA.and(Flags::CWR), &TS, &[2; 10])),
    ] {
        let mut tail = waiting(100, 50, DATA, &TS, &[1; 10]);
        let before = other.bytes().to_vec();
        let back = coalesce(&mut tail, other).expect_err(why);
        assert_eq!(back.bytes(), before, "{why}: it comes back as it was");
        assert_eq!(tail.bytes().len(), 42, "{why}");
    }
    let mut marked = waiting(110, 50, DATA, &TS, &[2; 10]);
    marked.tcp_cb_mut().dsfield = 3;
    let mut tail = waiting(100, 50, DATA, &TS, &[1; 10]);
    assert!(coalesce(&mut tail, marked).is_err(), "another mark");
}

#[test]
fn release_cb__one_acknowledgement_for_all_that_waited() {
    let mut h = established_sack();
    h.world.owned = true;
    for i in 0..6 {
        send!(h, A, seq IRS + 1 + 10 * i, ack ISS + 1, data b"0123456789").unwrap();
    }
    assert!(h.sent().is_empty());
    assert!(h.sock.ack_deferred());
    h.sock.release_cb(&mut h.world);
    h.world.owned = false;
    let acks = h.sent();
    assert_eq!(acks.len(), 1);
    assert_eq!(acks[0].0.ack_seq.get(), IRS + 61);
    assert!(!h.sock.ack_deferred());
    assert_eq!(h.read(100).0.len(), 60);
    done(h);
}

#[test]
fn release_cb__nothing_if_data_carried_the_acknowledgement() {
    let mut h = established_sack();
    h.world.owned = true;
    send!(h, A, seq IRS + 1, ack ISS + 1, data b"0123456789").unwrap();
    assert_eq!(h.write(b"answer").0, 6);
    assert_eq!(h.sent().len(), 1);
    h.sock.release_cb(&mut h.world);
    assert!(h.sent().is_empty());
    h.read(100);
    done(h);
}

#[test]
fn release_cb__not_if_the_namespace_says_so() {
    let mut h = established_sack();
    h.world.sysctl.tcp_backlog_ack_defer = 0;
    h.world.owned = true;
    send!(h, A, seq IRS + 1, ack ISS + 1, data b"0123456789").unwrap();
    assert_eq!(h.sent().len(), 1);
    h.read(100);
    done(h);
}

/// Lets the fine timer fire.
fn fine(h: &mut Host) {
    let (at, _) = h.sock.next_fine_expiry(&h.world.sysctl).expect("a timer");
    h.world.now = at.max(h.world.now);
    h.sock.on_timer(&mut h.world);
}

/// Out of quick-ACK mode, with the first ten bytes missing.
fn gapped() -> Host {
    let mut h = established_sack();
    h.sock.ack.quick = 0;
    h.world.owned = true;
    h
}

#[test]
fn ack_gap__three_at_once_then_together() {
    let mut h = gapped();
    for i in 1..=20 {
        send!(h, A, seq IRS + 1 + 10 * i, ack ISS + 1, data b"0123456789").unwrap();
    }
    assert_eq!(h.sent().len(), 3);
    h.sock.release_cb(&mut h.world);
    assert!(h.sent().is_empty());
    fine(&mut h);
    let acks = h.sent();
    // Seventeen came after those three, of which one was acknowledged.
    assert_eq!(h.world.counted(Counter::TcpAckCompressed), 16);
    assert_eq!(acks.len(), 1);
    let told = acks[0].0.opts.sacks.blocks()[0];
    assert_eq!((told.start.get(), told.end.get()), (IRS + 11, IRS + 211));
    send!(h, A, seq IRS + 1, ack ISS + 1, data b"0123456789").unwrap();
    h.sock.release_cb(&mut h.world);
    assert_eq!(h.sent()[0].0.ack_seq.get(), IRS + 211);
    h.read(1000);
    done(h);
}

#[test]
fn ack_gap__no_more_than_the_namespace_allows() {
    let mut h = gapped();
    h.world.sysctl.tcp_comp_sack_nr = 4;
    for i in 1..=12 {
        send!(h, A, seq IRS + 1 + 10 * i, ack ISS + 1, data b"0123456789").unwrap();
    }
    // Three at once; four more go with the eighth; the last four wait.
    assert_eq!(h.sent().len(), 4);
    fine(&mut h);
    assert_eq!(h.sent().len(), 1);
    h.sock.drop_queues(&mut h.world);
    done(h);
}

#[test]
fn ack_gap__all_at_once_without_sack() {
    let mut h = gapped();
    h.sock.sack_ok = false;
    for i in 1..=8 {
        send!(h, A, seq IRS + 1 + 10 * i, ack ISS + 1, data b"0123456789").unwrap();
    }
    assert_eq!(h.sent().len(), 8);
    h.sock.drop_queues(&mut h.world);
    done(h);
}

#[test]
fn ack_gap__waits_for_a_third_of_a_round_trip() {
    // Round trips in microseconds as the sender and the receiver see them; what is waited for, in nanoseconds.
    for (srtt, rcv_rtt, ns) in [
        (0, 100, 33_000),
        (50, 100, 16_500),
        (100, 0, 0),
        (100_000, 100_000, 1_000_000),
    ] {
        let mut h = gapped();
        h.sock.srtt_us = srtt << 3;
        h.sock.rcv_rtt_us = rcv_rtt << 3;
        let start = h.world.now;
        for i in 1..=8 {
            send!(h, A, seq IRS + 1 + 10 * i, ack ISS + 1, data b"0123456789").unwrap();
        }
        assert_eq!(h.sent().len(), 3);
        let (at, slack) = h
            .sock
            .next_fine_expiry(&h.world.sysctl)
            .expect("an acknowledgement");
        assert_eq!(at.since(start).as_nanos(), ns, "{srtt} {rcv_rtt}");
        assert_eq!(slack.as_nanos(), 10_000);
        h.sock.drop_queues(&mut h.world);
    }
}

#[test]
fn ack_gap__a_third_block_is_not_kept_from_the_peer() {
    let mut h = gapped();
    for i in 1..=6 {
        send!(h, A, seq IRS + 1 + 10 * i, ack ISS + 1, data b"0123456789").unwrap();
    }
    h.sent();
    // A second gap: its block still fits into any acknowledgement beside the first.
    send!(h, A, seq IRS + 101, ack ISS + 1, data b"0123456789").unwrap();
    assert!(h.sent().is_empty());
    // A third: what waited is told before.
    send!(h, A, seq IRS + 201, ack ISS + 1, data b"0123456789").unwrap();
    let acks = h.sent();
    assert_eq!(acks.len(), 1);
    let told: Vec<u32> = acks[0]
        .0
        .opts
        .sacks
        .blocks()
        .iter()
        .map(|b| b.start.get())
        .collect();
    assert_eq!(told, [IRS + 101, IRS + 11]);
    h.sock.drop_queues(&mut h.world);
    done(h);
}

#[test]
fn ack_gap__data_carry_what_waits() {
    let mut h = gapped();
    for i in 1..=8 {
        send!(h, A, seq IRS + 1 + 10 * i, ack ISS + 1, data b"0123456789").unwrap();
    }
    h.sent();
    assert_eq!(h.write(b"answer").0, 6);
    assert_eq!(h.sent().len(), 1);
    assert_eq!(h.world.counted(Counter::TcpAckCompressed), 5);
    assert_eq!(h.sock.next_fine_expiry(&h.world.sysctl), None);
    h.sock.drop_queues(&mut h.world);
    done(h);
}
