// SPDX-License-Identifier: GPL-2.0
//! Peers that lie, and strangers that guess.

use super::script::*;
use super::*;
use crate::stack::drop_reason::DropReason;
use proptest::prelude::*;

/// A connection with `n` bytes of ours in flight.
fn in_flight(n: usize) -> Host {
    let mut h = established();
    let data = pattern(n);
    assert_eq!(h.write(&data).0, n);
    h.sent();
    h
}

#[test]
fn ack__optimistic_is_ignored() {
    let mut h = in_flight(5000);
    let cwnd = h.sock.snd_cwnd;
    let result = send!(h, A, seq IRS + 1, ack ISS + 1 + 5001);
    assert_eq!(dropped(result), DropReason::TcpAckUnsentData);
    assert_eq!((h.sock.snd_una.get(), h.sock.snd_cwnd), (ISS + 1, cwnd));
    done(h);
}

#[test]
fn ack__splitting_gains_nothing() {
    // Savage's attack: a thousand ACKs of one byte each for one segment.
    let mut h = in_flight(1460);
    let cwnd = h.sock.snd_cwnd;
    for i in 1..=1460u32 {
        let _ = send!(h, A, seq IRS + 1, ack ISS + 1 + i);
    }
    assert!(
        h.sock.snd_cwnd <= cwnd + 1,
        "{} from {cwnd}",
        h.sock.snd_cwnd
    );
    done(h);
}

#[test]
fn ack__forged_duplicates_do_not_inflate() {
    let mut h = in_flight(14_600);
    for _ in 0..1000 {
        let _ = send!(h, A, seq IRS + 1, ack ISS + 1);
    }
    // At most what fast retransmit and limited transmit allow: nothing new was written, so one
    // retransmission of the first segment.
    let sent = h.sent();
    assert!(sent.len() <= 2, "{}", sent.len());
    assert!(h.sock.sacked_out < h.sock.packets_out);
    done(h);
}

#[test]
fn ack__too_old_is_challenged() {
    let mut h = established();
    let result = send!(h, A, seq IRS + 1, ack (ISS + 1).wrapping_sub(10_000_000));
    assert_eq!(dropped(result), DropReason::TcpTooOldAck);
    recv!(h, [A, seq ISS + 1, ack IRS + 1]);
    done(h);
}

#[test]
fn mss__below_48_is_48() {
    // CVE-2019-11479: tiny segments multiply work and memory.
    for mss in [1, 8, 47] {
        let mut h = syn_sent();
        send!(h, SA, seq IRS, ack ISS + 1, mss mss).unwrap();
        assert!(h.sock.mss_cache >= 48, "{}", h.sock.mss_cache);
        h.sent();
        h.write(&pattern(10_000));
        for (s, data) in h.sent() {
            assert!(data.len() >= 40 || s.flags.has(Flags::PSH));
        }
        done(h);
    }
}

#[test]
fn window__tiny_ones_are_not_filled_with_crumbs() {
    // Sender's silly window avoidance: a window that opens by one byte moves nothing.
    let mut h = established();
    send!(h, A, seq IRS + 1, ack ISS + 1, win 0).unwrap();
    h.write(&pattern(5000));
    recv!(h,);
    send!(h, A, seq IRS + 1, ack ISS + 1, win 1).unwrap();
    recv!(h,);
    send!(h, A, seq IRS + 1, ack ISS + 1, win 1460).unwrap();
    assert_eq!(h.sent().len(), 1);
    done(h);
}

#[test]
fn window__taken_back_while_in_flight() {
    let mut h = in_flight(5000);
    send!(h, A, seq IRS + 1, ack ISS + 1, win 0).unwrap();
    for _ in 0..5 {
        if let Some(at) = h.next_deadline() {
            h.world.now = at;
            h.sock.on_timer(&mut h.world);
        }
        h.sent();
    }
    send!(h, A, seq IRS + 1, ack ISS + 5001, win 1000).unwrap();
    assert_eq!(h.sock.packets_out, 0);
    done(h);
}

#[test]
fn paws__old_segment_is_answered_and_dropped() {
    let mut p = Pair::established(Wire::clean(), 1);
    p.a.write(b"hello");
    while p.b.sock.unread() == 0 {
        assert!(p.step());
    }
    while p.step() && p.net.in_flight() > 0 {}
    // The next segment, with a clock of an hour ago.
    let b = &mut p.b;
    let mut bytes = vec![0u8; 32];
    bytes[..2].copy_from_slice(&40_000u16.to_be_bytes());
    bytes[2..4].copy_from_slice(&80u16.to_be_bytes());
    bytes[4..8].copy_from_slice(&b.sock.rcv_nxt.get().to_be_bytes());
    bytes[8..12].copy_from_slice(&b.sock.snd_una.get().to_be_bytes());
    bytes[12] = 8 << 4;
    bytes[13] = Flags::ACK.bits();
    bytes[20..24].copy_from_slice(&[1, 1, 8, 10]);
    bytes[24..28].copy_from_slice(&b.sock.ts_recent.wrapping_sub(3_600_000).to_be_bytes());
    bytes.extend_from_slice(b"evil");
    b.world.out.clear();
    assert_eq!(b.deliver(&bytes), Err(DropReason::TcpRfc7323Paws));
    assert_eq!(b.world.counted(Counter::PawsEstab), 1);
    assert_eq!(b.world.out.len(), 1);
    assert_eq!(p.b.read(100).0, b"hello");
    p.finish();
}

#[test]
fn icmp__must_quote_what_is_in_flight() {
    let hard = IcmpError {
        errno: Errno::ECONNREFUSED,
        hard: true,
    };
    let mut h = syn_sent();
    assert!(h
        .sock
        .icmp_error(&mut h.world, SeqNum::new(ISS + 77), hard)
        .is_err());
    assert_eq!(
        (h.sock.state, h.world.counted(Counter::OutOfWindowIcmps)),
        (State::SynSent, 1)
    );
    h.sock
        .icmp_error(&mut h.world, SeqNum::new(ISS), hard)
        .unwrap();
    assert_eq!(
        (h.sock.state, h.world.error),
        (State::Close, Some(Errno::ECONNREFUSED))
    );
    done(h);
}

#[test]
fn icmp__never_ends_an_open_connection() {
    // RFC 5461; CVE-2004-0790.
    let hard = IcmpError {
        errno: Errno::ECONNREFUSED,
        hard: true,
    };
    let mut h = in_flight(100);
    h.sock
        .icmp_error(&mut h.world, SeqNum::new(ISS + 1), hard)
        .unwrap();
    assert_eq!((h.sock.state, h.world.error), (State::Established, None));
    assert_eq!(h.world.soft, Some(Errno::ECONNREFUSED));
    done(h);
}

#[test]
fn icmp__is_told_at_once_to_who_asked() {
    let unreachable = IcmpError {
        errno: Errno::EHOSTUNREACH,
        hard: true,
    };
    let mut h = in_flight(100);
    h.world.recverr = true;
    let seq = SeqNum::new(ISS + 1);
    h.sock.icmp_error(&mut h.world, seq, unreachable).unwrap();
    assert_eq!(h.sock.state, State::Established);
    assert_eq!(
        (h.world.error, h.world.soft),
        (Some(Errno::EHOSTUNREACH), None)
    );
    done(h);
}

#[test]
fn ooo__thousands_of_segments_stay_cheap() {
    // SegmentSmack, CVE-2018-5390: holes everywhere, filled from the back.
    let mut h = established();
    h.world.rcvbuf = 6 << 20;
    let n = 400u32;
    for i in (0..n).rev() {
        let seg = Seg {
            seq: IRS + 2 + 3 * i,
            ack: ISS + 1,
            data: b"x",
            ..Seg::new("A")
        };
        let _ = h.deliver(&seg.bytes());
    }
    h.world.out.clear();
    for i in 0..n {
        let seg = Seg {
            seq: IRS + 1 + 3 * i,
            ack: ISS + 1,
            data: b"abc",
            ..Seg::new("A")
        };
        let _ = h.deliver(&seg.bytes());
        h.world.out.clear();
    }
    assert_eq!(h.sock.rcv_nxt.get(), IRS + 1 + 3 * n);
    assert_eq!(h.read(10_000).0.len(), 3 * n as usize);
    assert!(h.sock.ooo.is_empty());
    done(h);
}

#[derive(Clone, Debug)]
enum Event {
    Segment {
        seq: i32,
        ack: i32,
        flags: u8,
        win: u16,
        len: usize,
        sack: Vec<(i32, i32)>,
    },
    Write(usize),
    Read(usize),
    Timer,
    Shutdown,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (
            -3000i32..70_000,
            -3000i32..5000,
            any::<u8>(),
            any::<u16>(),
            0usize..1500,
            proptest::collection::vec((-2000i32..20_000, -10i32..8000), 0..4),
        )
            .prop_map(|(seq, ack, flags, win, len, sack)| Event::Segment {
                // Often exactly in place.
                seq: if seq % 3 == 0 { 0 } else { seq },
                ack: if ack % 3 == 0 { 0 } else { ack },
                // Seldom anything but ACK.
                flags: if flags < 180 { 0x10 } else { flags & 0x3f },
                win,
                len,
                sack,
            }),
        2 => (1usize..20_000).prop_map(Event::Write),
        2 => (1usize..20_000).prop_map(Event::Read),
        2 => Just(Event::Timer),
        1 => Just(Event::Shutdown),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Any script of segments near the windows, calls and timers: no panic, and nothing stays charged.
    #[test]
    fn sock__any_script(events in proptest::collection::vec(event(), 0..80), start in 0usize..9) {
        let mut h = [
            syn_sent, syn_recv, established, fin_wait1, fin_wait2, closing, close_wait, last_ack,
            established_sack,
        ][start]();
        static ZEROS: [u8; 1500] = [0; 1500];
        for e in events {
            match e {
                Event::Segment { seq, ack, flags, win, len, sack } => {
                    let una = h.sock.snd_una.get();
                    let seg = Seg {
                        flags: Flags::from_bits(flags),
                        seq: h.sock.rcv_nxt.get().wrapping_add(seq as u32),
                        ack: h.sock.snd_una.get().wrapping_add(ack as u32),
                        win,
                        data: &ZEROS[..len],
                        sack: sack
                            .iter()
                            .map(|(at, len)| {
                                let start = una.wrapping_add(*at as u32);
                                (start, start.wrapping_add(*len as u32))
                            })
                            .collect(),
                        ..Seg::new("N")
                    };
                    let _ = h.deliver(&seg.bytes());
                }
                Event::Write(n) => {
                    h.write(&vec![0; n]);
                }
                Event::Read(n) => {
                    h.read(n);
                }
                Event::Timer => {
                    if let Some(at) = h.next_deadline() {
                        h.world.now = at.max(h.world.now);
                        h.sock.on_timer(&mut h.world);
                    }
                }
                Event::Shutdown => {
                    let _ = h.sock.shutdown(&mut h.world, Shutdown::SEND);
                }
            }
            h.world.out.clear();
            let s = &h.sock;
            prop_assert!(!s.snd_una.after(s.snd_nxt) && !s.snd_nxt.after(s.write_seq.add(1)));
            prop_assert!(!s.copied_seq.after(s.rcv_nxt));
            prop_assert!(s.sacked_out <= s.packets_out && s.lost_out <= s.packets_out);
            prop_assert!(s.retrans_out <= s.packets_out);
            prop_assert!(s.sacked_out + s.lost_out <= s.packets_out);
            prop_assert_eq!(s.packets_out == 0, s.rtx_queue.is_empty());
            prop_assert!(s.snd_cwnd >= 1);
            // What is in flight and not acknowledged has somebody who watches over it.
            if s.packets_out > 0 {
                prop_assert!(s.rto_at.is_some());
            }
        }
        done(h);
    }
}
