// SPDX-License-Identifier: GPL-2.0
//! Explicit congestion notification: who speaks it, and what a mark does.

use super::*;

/// The ECN bits of the IP header.
const NOT_ECT: u8 = 0;
const ECT_0: u8 = 2;
const CE: u8 = 3;

/// A connection whose ends have `net.ipv4.tcp_ecn` as given.
fn established(a: u8, b: u8) -> Pair {
    let mut p = Pair::new(Wire::clean(), 1);
    p.a.world.sysctl.tcp_ecn = a;
    p.b.world.sysctl.tcp_ecn = b;
    p.a.sock
        .connect(&mut p.a.world, client_id(), 0xffff_ff00, 5)
        .expect("connect");
    while p.b.sock.state != State::Established {
        assert!(p.step());
    }
    p
}

/// Takes what `h` has sent: flags, ECN bits, the bytes.
fn sent(h: &mut Host) -> Vec<(Flags, u8, Vec<u8>)> {
    let mut v = Vec::new();
    while let Some(mut skb) = h.world.out.pop_front() {
        let dsfield = skb.tcp_cb().dsfield;
        let seg = Segment::parse(&mut skb).expect("our own segment");
        v.push((seg.flags, dsfield, skb.bytes().to_vec()));
    }
    v
}

/// Delivers bytes with the ECN bits `dsfield`.
fn deliver(h: &mut Host, bytes: &[u8], dsfield: u8) {
    let mut skb = Skb::from_bytes(bytes);
    skb.tcp_cb_mut().dsfield = dsfield;
    let seg = Segment::parse(&mut skb).expect("a segment");
    h.sock.v4_do_rcv(&mut h.world, skb, &seg).expect("accepted");
}

#[test]
fn ecn__who_speaks_it() {
    let table = [
        (0, 0, false),
        (0, 1, false),
        (1, 0, false),
        (1, 1, true),
        (1, 2, true),
        (2, 1, false),
        (2, 2, false),
        (3, 2, true),
        (4, 5, true),
        (5, 5, false),
    ];
    for (a, b, ok) in table {
        let p = established(a, b);
        assert_eq!((p.a.sock.ecn.ok, p.b.sock.ecn.ok), (ok, ok), "{a} {b}");
        p.finish();
    }
}

#[test]
fn ecn__answers_to_a_syn() {
    // RFC 3168, 6.1.1: ECE without CWR agrees; the reflection of both is a broken peer.
    let ece = Flags::ECE;
    let both = ece.and(Flags::CWR);
    for (extra, ok) in [
        (Flags::NONE, false),
        (ece, true),
        (both, false),
        (Flags::CWR, false),
    ] {
        let mut h = Host::new();
        h.world.sysctl.tcp_ecn = 1;
        h.sock
            .connect(&mut h.world, client_id(), 100, 0)
            .expect("connect");
        let (syn, ds, mut bytes) = sent(&mut h).remove(0);
        assert_eq!(
            (syn, ds),
            (Flags::SYN.and(both), NOT_ECT),
            "a SYN is not ECT"
        );
        bytes.truncate(20);
        bytes.swap(0, 2);
        bytes.swap(1, 3);
        bytes[4..8].copy_from_slice(&7u32.to_be_bytes());
        bytes[8..12].copy_from_slice(&101u32.to_be_bytes());
        bytes[12] = 5 << 4;
        bytes[13] = Flags::SYN.and(Flags::ACK).and(extra).bits();
        deliver(&mut h, &bytes, NOT_ECT);
        assert_eq!(h.sock.state, State::Established);
        assert_eq!(h.sock.ecn.ok, ok, "{extra:?}");
        h.sock.drop_queues(&mut h.world);
    }
}

#[test]
fn ecn__a_syn_sent_again_does_not_ask() {
    for (fallback, asks) in [(1, false), (0, true)] {
        let mut h = Host::new();
        h.world.sysctl.tcp_ecn = 1;
        h.world.sysctl.tcp_ecn_fallback = fallback;
        h.sock
            .connect(&mut h.world, client_id(), 100, 0)
            .expect("connect");
        h.world.out.clear();
        h.world.now = h.next_deadline().expect("a timer");
        h.sock.on_timer(&mut h.world);
        let (flags, ..) = sent(&mut h).remove(0);
        assert_eq!(flags.has(Flags::ECE), asks);
        assert_eq!(flags.has(Flags::CWR), asks);
        h.sock.drop_queues(&mut h.world);
    }
}

#[test]
fn ecn__a_mark_is_echoed_until_the_window_is_reduced() {
    let mut p = established(1, 1);
    let (n, _) = p.a.write(&[1; 20_000]);
    assert_eq!(n, 20_000);
    let cwnd = p.a.sock.snd_cwnd;
    let data = sent(&mut p.a);
    assert!(data.len() > 1);
    for (i, (flags, ds, bytes)) in data.iter().enumerate() {
        assert_eq!(*ds, ECT_0, "new data are ECT");
        assert!(!flags.has(Flags::CWR));
        deliver(&mut p.b, bytes, if i == 0 { CE } else { ECT_0 });
    }
    let acks = sent(&mut p.b);
    assert!(!acks.is_empty());
    for (flags, ds, bytes) in &acks {
        assert!(flags.has(Flags::ECE), "every ACK echoes the mark");
        assert_eq!(*ds, NOT_ECT, "an ACK is not ECT");
        deliver(&mut p.a, bytes, NOT_ECT);
    }
    // One reduction, whatever the number of echoes: to 0.7 of the window (RFC 9438, 4.6).
    assert_eq!(p.a.sock.snd_ssthresh, cwnd * 7 / 10);
    assert!(p.a.sock.stats.delivered_ce > 0);
    let (_, _) = p.a.write(&[2; 3000]);
    let more = sent(&mut p.a);
    let told: Vec<bool> = more.iter().map(|(f, ..)| f.has(Flags::CWR)).collect();
    assert_eq!(told.iter().filter(|t| **t).count(), 1, "told once");
    assert!(told[0]);
    for (_, _, bytes) in &more {
        deliver(&mut p.b, bytes, ECT_0);
    }
    let acks = sent(&mut p.b);
    assert!(!acks.is_empty(), "CWR is acknowledged at once");
    for (flags, _, bytes) in &acks {
        assert!(!flags.has(Flags::ECE), "the echo ends");
        deliver(&mut p.a, bytes, NOT_ECT);
    }
    while !p.b.read(1 << 16).0.is_empty() {}
    p.finish();
}

#[test]
fn ecn__retransmissions_are_not_ect() {
    let mut p = established(1, 1);
    p.a.write(&[1; 500]);
    assert_eq!(sent(&mut p.a)[0].1, ECT_0);
    p.a.world.now = p.a.next_deadline().expect("a timer");
    p.net.now = p.a.world.now;
    p.b.world.now = p.a.world.now;
    p.a.sock.on_timer(&mut p.a.world);
    let again = sent(&mut p.a);
    assert_eq!(again[0].1, NOT_ECT);
    for (_, _, bytes) in &again {
        deliver(&mut p.b, bytes, NOT_ECT);
    }
    p.b.read(1000);
    p.finish();
}

#[test]
fn ecn__without_it_marks_mean_nothing() {
    let mut p = established(0, 1);
    p.a.write(&[1; 3000]);
    for (_, ds, bytes) in sent(&mut p.a) {
        assert_eq!(ds, NOT_ECT);
        deliver(&mut p.b, &bytes, CE);
    }
    for (flags, _, bytes) in sent(&mut p.b) {
        assert!(!flags.has(Flags::ECE));
        deliver(&mut p.a, &bytes, NOT_ECT);
    }
    p.b.read(10_000);
    p.finish();
}
