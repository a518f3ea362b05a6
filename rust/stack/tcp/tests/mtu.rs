// SPDX-License-Identifier: GPL-2.0
//! The path becomes narrower.

use super::script::*;
use super::*;
use crate::stack::drop_reason::DropReason;

/// ESTABLISHED, with `n` bytes in flight.
fn in_flight(n: usize) -> Host {
    let mut h = established();
    h.write(&vec![b'x'; n]);
    assert!(!h.sent().is_empty(), "nothing sent");
    h
}

/// Where the segments that were sent begin, counted from the first byte, and how long they are.
fn lengths(h: &mut Host) -> Vec<(u32, usize)> {
    let mut v = Vec::new();
    for mut skb in h.world.out.drain(..) {
        let seg = Segment::parse(&mut skb).expect("our own segment");
        let mut at = seg.seq.get() - ISS - 1;
        let mut left = skb.len() - usize::from(seg.doff);
        while left > 0 {
            let n = match skb.gso_size() {
                0 => left,
                size => left.min(usize::from(size)),
            };
            v.push((at, n));
            at += n as u32;
            left -= n;
        }
    }
    v
}

#[test]
fn mtu_reduced__what_is_in_flight_goes_again_in_shorter_segments() {
    let mut h = in_flight(1460);
    let cwnd = h.sock.snd_cwnd;
    let done = h.sock.mtu_reduced(&mut h.world, SeqNum::new(ISS + 1), 1200);
    assert_eq!(done, Ok(()));
    assert_eq!(lengths(&mut h), [(0, 1160), (1160, 300)]);
    assert_eq!(h.sock.snd_cwnd, cwnd, "that was no congestion");
    send!(h, A, seq IRS + 1, ack ISS + 1461).expect("an ACK");
    assert_eq!(h.sock.packets_in_flight(), 0);
}

#[test]
fn mtu_reduced__only_for_what_is_in_flight() {
    // R21: RFC 5927, 7.
    for seq in [
        ISS,
        ISS + 1 + 1460,
        ISS.wrapping_sub(100_000),
        ISS + 100_000,
    ] {
        let mut h = in_flight(1460);
        let refused = h.sock.mtu_reduced(&mut h.world, SeqNum::new(seq), 1200);
        assert_eq!(refused, Err(DropReason::TcpInvalidSequence), "{seq}");
        assert_eq!(h.world.counted(Counter::OutOfWindowIcmps), 1);
        assert_eq!(h.world.mtu, 1500);
        assert!(h.sent().is_empty());
    }
}

#[test]
fn mtu_reduced__a_wider_path_is_no_news() {
    let mut h = in_flight(1460);
    let done = h.sock.mtu_reduced(&mut h.world, SeqNum::new(ISS + 1), 1500);
    assert_eq!(done, Ok(()));
    assert!(h.sent().is_empty());
}

#[test]
fn mtu_reduced__below_the_floor_is_remembered_as_the_reason() {
    let mut h = in_flight(1460);
    let done = h.sock.mtu_reduced(&mut h.world, SeqNum::new(ISS + 1), 68);
    assert_eq!(done, Ok(()));
    assert_eq!(h.world.soft, Some(Errno::EMSGSIZE));
    assert_eq!(lengths(&mut h), [(0, 512), (512, 512), (1024, 436)]);
}

#[test]
fn mtu_reduced__nothing_to_tell_without_a_connection() {
    let mut h = closed();
    let refused = h.sock.mtu_reduced(&mut h.world, SeqNum::new(ISS), 1200);
    assert_eq!(refused, Err(DropReason::TcpClose));
}

#[test]
fn mtu_reduced__small_segments_stay_where_they_are() {
    let mut h = in_flight(1460);
    h.sock.nonagle.off = true;
    h.write(&[b'y'; 100]);
    h.sent();
    let done = h.sock.mtu_reduced(&mut h.world, SeqNum::new(ISS + 1), 1200);
    assert_eq!(done, Ok(()));
    assert_eq!(
        lengths(&mut h),
        [(0, 1160), (1160, 300)],
        "not the 100 bytes"
    );
}

#[test]
fn connect__the_announced_mss_is_the_devices() {
    let mut h = closed();
    (h.world.mtu, h.world.dev_mtu) = (1200, 1500);
    h.sock
        .connect(&mut h.world, client_id(), ISS, 0)
        .expect("connect");
    let syn = h.sent().remove(0).0;
    assert_eq!(syn.opts.mss, 1460);
}
