// SPDX-License-Identifier: GPL-2.0
//! A receive buffer that is full of small packets.

use super::script::*;
use super::*;
use crate::platform::fail_alloc;
use crate::stack::env::Env;

/// Bytes of the peer's stream by their numbers.
fn byte(seq: u32) -> u8 {
    (seq % 251) as u8
}

/// A packet with `len` bytes from `seq` on, charged to the receive buffer.
fn packet(h: &mut Host, seq: u32, len: u32) -> Skb {
    let bytes: Vec<u8> = (seq..seq + len).map(byte).collect();
    let mut skb = Skb::from_bytes(&bytes);
    let cb = skb.tcp_cb_mut();
    cb.seq = SeqNum::new(seq);
    cb.end_seq = SeqNum::new(seq + len);
    cb.flags = Flags::ACK;
    assert!(h.world.rmem_charge(&mut skb, true));
    skb
}

/// `n` packets of ten bytes each in the receive queue, which could not be joined.
fn small_ones(n: u32) -> Host {
    let mut h = established();
    for i in 0..n {
        let skb = packet(&mut h, IRS + 1 + 10 * i, 10);
        h.sock.receive_queue.push_back(skb);
        h.sock.rcv_nxt = SeqNum::new(IRS + 11 + 10 * i);
    }
    h
}

/// Reads everything and compares.
fn read_all(h: &mut Host, from: u32, to: u32) {
    let got = h.read(1 << 20).0;
    let want: Vec<u8> = (from..to).map(byte).collect();
    assert!(got == want, "{} of {} bytes", got.len(), want.len());
}

#[test]
fn collapse__small_packets_into_pages() {
    let mut h = small_ones(1000);
    let before = h.world.rmem.get();
    // A part of the first one has been read.
    assert_eq!(h.read(3).0.len(), 3);
    h.sock.collapse(&mut h.world);
    assert_eq!(h.sock.receive_queue.len(), 3);
    assert!(h.world.rmem.get() < before / 20, "{}", h.world.rmem.get());
    assert_eq!(h.world.counted(Counter::TcpRcvCollapsed), 1000);
    read_all(&mut h, IRS + 4, IRS + 10_001);
    done(h);
}

#[test]
fn collapse__what_is_full_and_what_ends_the_stream_stays() {
    let mut h = small_ones(3);
    let large = packet(&mut h, IRS + 31, 30_000);
    h.sock.receive_queue.push_back(large);
    for i in 0..2 {
        let mut skb = packet(&mut h, IRS + 30_031 + 5 * i, 5);
        if i == 1 {
            skb.tcp_cb_mut().flags = Flags::ACK.and(Flags::FIN);
        }
        h.sock.receive_queue.push_back(skb);
    }
    h.sock.rcv_nxt = SeqNum::new(IRS + 30_041);
    h.sock.collapse(&mut h.world);
    let lens: Vec<usize> = h.sock.receive_queue.iter().map(|skb| skb.len()).collect();
    assert_eq!(lens, [30, 30_000, 5, 5]);
    read_all(&mut h, IRS + 1, IRS + 30_041);
    h.sock.drop_queues(&mut h.world);
    done(h);
}

#[test]
fn collapse__overlaps_are_told_once() {
    let mut h = small_ones(2);
    // Begins where the second one did, and holds nothing new; then one that is new in part.
    for (seq, len) in [(IRS + 11, 10), (IRS + 16, 20)] {
        let skb = packet(&mut h, seq, len);
        h.sock.receive_queue.push_back(skb);
    }
    h.sock.rcv_nxt = SeqNum::new(IRS + 36);
    h.sock.collapse(&mut h.world);
    assert_eq!(h.sock.receive_queue.len(), 1);
    read_all(&mut h, IRS + 1, IRS + 36);
    done(h);
}

#[test]
fn collapse__without_memory_nothing_is_lost() {
    for n in 0..4 {
        let mut h = small_ones(1000);
        fail_alloc(Some(n));
        h.sock.collapse(&mut h.world);
        fail_alloc(None);
        read_all(&mut h, IRS + 1, IRS + 10_001);
        done(h);
    }
}

#[test]
fn collapse__runs_beyond_gaps() {
    let mut h = established();
    // Two runs, one small packet alone, and one run that is full as it is.
    for (start, n, len) in [
        (100, 300, 10),
        (5000, 2, 10),
        (6000, 1, 10),
        (7000, 2, 20_000),
    ] {
        for i in 0..n {
            let skb = packet(&mut h, IRS + start + len * i, len);
            h.sock.ooo.insert(skb).expect("a place");
        }
    }
    h.sock.collapse(&mut h.world);
    let mut left = Vec::new();
    while let Some(skb) = h.sock.ooo.pop_first() {
        let cb = *skb.tcp_cb();
        assert!(skb
            .bytes()
            .iter()
            .zip(cb.seq.get()..)
            .all(|(b, seq)| *b == byte(seq)));
        left.push((cb.seq.get() - IRS, cb.end_seq.since(cb.seq)));
    }
    assert_eq!(
        left,
        [
            (100, 3000),
            (5000, 20),
            (6000, 10),
            (7000, 20_000),
            (27_000, 20_000)
        ]
    );
    h.sock.drop_queues(&mut h.world);
    done(h);
}

#[test]
fn collapse__a_full_buffer_of_small_packets_takes_the_next() {
    let mut h = established();
    h.world.rcvbuf_locked = true;
    let mut n = 0;
    while h.world.rmem.get() <= h.world.rcvbuf as usize {
        let skb = packet(&mut h, IRS + 1 + n, 1);
        h.sock.receive_queue.push_back(skb);
        n += 1;
        h.sock.rcv_nxt = SeqNum::new(IRS + 1 + n);
    }
    send!(h, A, seq IRS + 1 + n, ack ISS + 1, data b"more").unwrap();
    assert_eq!(h.sock.rcv_nxt.get(), IRS + 5 + n);
    assert_eq!(h.world.counted(Counter::TcpRcvQDrop), 0);
    assert_eq!(h.world.counted(Counter::PruneCalled), 1);
    assert_eq!(h.read(1 << 20).0.len(), n as usize + 4);
    h.world.out.clear();
    done(h);
}
