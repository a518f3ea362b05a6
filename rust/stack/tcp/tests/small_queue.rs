// SPDX-License-Identifier: GPL-2.0
//! What waits for this host: its queues, and the time of a packet.

use super::script::*;
use super::*;

static DATA: [u8; 14_600] = [7; 14_600];

/// A connection with two packets of a segment each in flight, which lie in the queues of this host.
fn throttled() -> Host {
    let mut h = established();
    h.world.pacing_rate = 1_000_000;
    h.world.max_pacing_rate = 1_000_000;
    h.world.gso_max_size = 1;
    h.sock.nonagle.off = true;
    assert_eq!(h.write(&DATA[..2920]).0, 2920);
    assert_eq!(h.sent().len(), 2);
    h
}

#[test]
fn small_queue__no_more_than_two_packets() {
    let mut h = throttled();
    let truesize = h.sock.rtx_queue.last().map_or(0, |skb| skb.truesize()) as u32;
    h.world.below = 2 * truesize;
    assert_eq!(h.write(&DATA[..1460]).0, 1460);
    assert_eq!(h.sent().len(), 1);
    assert!(!h.world.throttled);
    h.world.below = 3 * truesize;
    assert_eq!(h.write(&DATA[..1460]).0, 1460);
    assert!(h.sent().is_empty());
    assert!(h.world.throttled);
    // Acknowledgements do not help as long as the packets lie there …
    send!(h, A, seq IRS + 1, ack ISS + 1 + 1460).unwrap();
    assert!(h.sent().is_empty());
    // … but their leaving does.
    h.world.below = 0;
    h.sock.tsq_handler(&mut h.world);
    assert_eq!(h.sent().len(), 1);
    h.sock.drop_queues(&mut h.world);
    done(h);
}

#[test]
fn small_queue__a_millisecond_of_the_rate_and_no_more_than_the_namespace_allows() {
    let mut h = throttled();
    h.world.pacing_rate = 1 << 30;
    h.world.below = 1 << 20;
    assert_eq!(h.write(&DATA[..1460]).0, 1460);
    assert_eq!(h.sent().len(), 1);
    h.world.sysctl.tcp_limit_output_bytes = (1 << 20) - 1;
    assert_eq!(h.write(&DATA[..1460]).0, 1460);
    assert!(h.sent().is_empty());
    h.sock.drop_queues(&mut h.world);
    done(h);
}

#[test]
fn small_queue__one_packet_in_flight_does_not_hold_the_next_back() {
    let mut h = throttled();
    send!(h, A, seq IRS + 1, ack ISS + 1 + 2920).unwrap();
    h.world.below = 1 << 20;
    assert_eq!(h.write(&DATA[..4380]).0, 4380);
    // One into the empty queue, one more behind it, and no third.
    assert_eq!(h.sent().len(), 2);
    h.sock.drop_queues(&mut h.world);
    done(h);
}

#[test]
fn small_queue__the_handler_sends_again_first_and_twice_as_much() {
    let mut h = throttled();
    let truesize = h.sock.rtx_queue.last().map_or(0, |skb| skb.truesize()) as u32;
    assert_eq!(h.write(&DATA[..1460]).0, 1460);
    h.sent();
    h.world.below = 1 << 20;
    h.sock.enter_loss(&mut h.world);
    h.sock.xmit_retransmit_queue(&mut h.world);
    assert!(h.sent().is_empty());
    h.world.below = 4 * truesize;
    h.sock.tsq_handler(&mut h.world);
    let sent = h.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].0.seq.get(), ISS + 1);
    h.sock.drop_queues(&mut h.world);
    done(h);
}

#[test]
fn retransmit__waits_for_the_first_copy_to_leave_this_host() {
    let mut h = throttled();
    h.sock
        .rtx_queue
        .first_mut()
        .expect("a segment")
        .set_fclone_busy(true);
    h.sock.enter_loss(&mut h.world);
    h.sock.xmit_retransmit_queue(&mut h.world);
    assert!(h.sent().is_empty());
    assert_eq!(h.world.counted(Counter::TcpSpuriousRtxHostQueues), 1);
    assert!(h.world.throttled);
    h.sock
        .rtx_queue
        .first_mut()
        .expect("a segment")
        .set_fclone_busy(false);
    h.sock.tsq_handler(&mut h.world);
    assert_eq!(h.sent().len(), 1);
    h.sock.drop_queues(&mut h.world);
    done(h);
}

#[test]
fn autocork__small_writes_wait_for_packets_to_leave() {
    let mut h = throttled();
    h.world.gso_max_size = 65_000;
    h.world.below = 1 << 20;
    for _ in 0..3 {
        assert_eq!(h.write(b"small").0, 5);
    }
    assert!(h.sent().is_empty());
    assert_eq!(h.world.counted(Counter::TcpAutoCorking), 1);
    h.world.below = 0;
    h.sock.tsq_handler(&mut h.world);
    let sent = h.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].1, b"smallsmallsmall");
    h.world.sysctl.tcp_autocorking = 0;
    h.world.throttled = false;
    h.world.below = h.sock.rtx_queue.last().map_or(0, |skb| skb.truesize()) as u32 + 1;
    assert_eq!(h.write(b"small").0, 5);
    assert_eq!(h.sent().len(), 1);
    assert!(!h.world.throttled);
    h.sock.drop_queues(&mut h.world);
    done(h);
}

/// Paced by nobody else, a megabyte a second.
fn paced() -> Host {
    let mut h = established();
    h.world.pacing = Pacing::Needed;
    h.world.max_pacing_rate = 1_000_000;
    h.world.pacing_rate = 1_000_000;
    h.world.gso_max_size = 1;
    // The first ten are free.
    h.sock.stats.data_segs_out = 10;
    h
}

#[test]
fn pacing__one_packet_at_a_time() {
    let mut h = paced();
    let start = h.world.now;
    assert_eq!(h.write(&DATA[..5840]).0, 5840);
    let mut times = vec![h.sent().len() as u64];
    // With its headers of 20 bytes each is 1480 bytes long. The timeout waits for the next one's time, too.
    let rto = h.sock.next_expiry().expect("a timeout").since(start);
    assert_eq!(rto, h.sock.rto.plus(Duration::from_micros(1480)));
    while let Some((at, slack)) = h.sock.next_fine_expiry(&h.world.sysctl) {
        assert_eq!(slack, Duration::ZERO);
        h.world.now = at;
        h.sock.on_timer(&mut h.world);
        if !h.sent().is_empty() {
            times.push(at.since(start).as_nanos() / 1000);
        }
    }
    assert_eq!(times, [1, 1480, 2960, 4440]);
    h.sock.drop_queues(&mut h.world);
    done(h);
}

#[test]
fn pacing__nothing_is_sent_early() {
    let mut h = paced();
    assert_eq!(h.write(&DATA[..2920]).0, 2920);
    assert_eq!(h.sent().len(), 1);
    send!(h, A, seq IRS + 1, ack ISS + 1 + 1460).unwrap();
    h.sock.on_timer(&mut h.world);
    h.sock.tsq_handler(&mut h.world);
    assert!(h.sent().is_empty());
    // Whose window is open needs no probe; it would come long after the packet's time in any case.
    let (at, _) = h.sock.next_fine_expiry(&h.world.sysctl).expect("a time");
    assert!(h.sock.next_expiry().is_none_or(|probe| probe > at));
    h.world.now = at;
    h.sock.on_timer(&mut h.world);
    assert_eq!(h.sent().len(), 1);
    h.sock.drop_queues(&mut h.world);
    done(h);
}

#[test]
fn pacing__fq_needs_no_timer() {
    let mut h = paced();
    h.world.pacing = Pacing::Fq;
    assert_eq!(h.write(&DATA[..5840]).0, 5840);
    assert_eq!(h.sent().len(), 4);
    assert_eq!(h.sock.next_fine_expiry(&h.world.sysctl), None);
    h.sock.drop_queues(&mut h.world);
    done(h);
}
