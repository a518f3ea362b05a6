// SPDX-License-Identifier: GPL-2.0
//! Segment arrives (RFC 9293, 3.10.7), state by state.

use super::script::*;
use super::*;
use crate::stack::drop_reason::DropReason;

#[test]
fn closed__segment_is_dropped() {
    let mut h = closed();
    assert_eq!(dropped(send!(h, A, seq 1, ack 1)), DropReason::TcpClose);
    recv!(h,);
    done(h);
}

#[test]
fn syn_sent__syn_ack_opens() {
    let h = established();
    assert_eq!(h.sock.mss_cache, 1460);
    assert_eq!(h.sock.rto_at, None);
    done(h);
}

#[test]
fn syn_sent__ack_outside_is_reset() {
    // First: "If SEG.ACK =< ISS or SEG.ACK > SND.NXT, send a reset".
    for ack in [ISS, ISS + 2, ISS - 1] {
        let mut h = syn_sent();
        let result = send!(h, SA, seq IRS, ack ack, mss 1460);
        assert_eq!(dropped(result), DropReason::TcpInvalidAckSequence);
        recv!(h, [R, seq ack]);
        assert_eq!(h.sock.state, State::SynSent);
        done(h);
    }
}

#[test]
fn syn_sent__reset_with_good_ack_refuses() {
    let mut h = syn_sent();
    assert_eq!(
        dropped(send!(h, RA, seq 0, ack ISS + 1)),
        DropReason::TcpReset
    );
    assert_eq!(
        (h.sock.state, h.world.error),
        (State::Close, Some(Errno::ECONNREFUSED))
    );
    done(h);
}

#[test]
fn syn_sent__reset_without_ack_is_ignored() {
    let mut h = syn_sent();
    assert!(send!(h, R, seq 0).is_err());
    assert_eq!(h.sock.state, State::SynSent);
    recv!(h,);
    done(h);
}

#[test]
fn syn_sent__ack_without_syn_is_ignored() {
    let mut h = syn_sent();
    assert!(send!(h, A, seq IRS, ack ISS + 1).is_err());
    assert_eq!(h.sock.state, State::SynSent);
    done(h);
}

#[test]
fn syn_recv__ack_opens() {
    let mut h = syn_recv();
    send!(h, A, seq IRS + 1, ack ISS + 1).unwrap();
    assert_eq!(h.sock.state, State::Established);
    done(h);
}

#[test]
fn syn_recv__crossed_syn_ack_opens() {
    let mut h = syn_recv();
    send!(h, SA, seq IRS, ack ISS + 1, mss 1460).unwrap();
    assert_eq!(h.sock.state, State::Established);
    done(h);
}

#[test]
fn syn_recv__ack_outside_is_reset() {
    let mut h = syn_recv();
    assert!(send!(h, A, seq IRS + 1, ack ISS + 9).is_err());
    recv!(h, [R, seq ISS + 9]);
    assert_eq!(h.sock.state, State::SynRecv);
    done(h);
}

#[test]
fn syn_recv__reset_refuses() {
    let mut h = syn_recv();
    let _ = send!(h, R, seq IRS + 1);
    assert_eq!(h.sock.state, State::Close);
    // Linux says "refused" in SYN-SENT only (tcp_reset).
    assert_eq!(h.world.error, Some(Errno::ECONNRESET));
    done(h);
}

#[test]
fn syn_recv__data_come_with_the_ack() {
    let mut h = syn_recv();
    send!(h, PA, seq IRS + 1, ack ISS + 1, data b"hello").unwrap();
    assert_eq!(h.sock.state, State::Established);
    assert_eq!(h.read(10).0, b"hello");
    done(h);
}

#[test]
fn synchronized__exact_reset_ends() {
    for (mut h, state, _, rcv_nxt) in synchronized() {
        let _ = send!(h, R, seq rcv_nxt);
        assert_eq!(h.sock.state, State::Close, "{state:?}");
        recv!(h,);
        let error = match state {
            State::CloseWait => Errno::EPIPE,
            _ => Errno::ECONNRESET,
        };
        assert_eq!(h.world.error, Some(error), "{state:?}");
        assert_eq!(h.next_deadline(), None);
        done(h);
    }
}

#[test]
fn synchronized__reset_in_window_is_challenged() {
    // RFC 5961, 3.2: "If the RST bit is set and the sequence number does not exactly match the next
    // expected sequence value, yet is within the current receive window, TCP MUST send an ACK".
    for (mut h, state, snd_nxt, rcv_nxt) in synchronized() {
        let _ = send!(h, R, seq rcv_nxt + 100);
        recv!(h, [A, seq snd_nxt, ack rcv_nxt]);
        assert_eq!(
            (h.sock.state, h.world.counted(Counter::TcpChallengeAck)),
            (state, 1)
        );
        done(h);
    }
}

#[test]
fn synchronized__reset_outside_is_ignored() {
    for (mut h, state, _, rcv_nxt) in synchronized() {
        let _ = send!(h, R, seq rcv_nxt.wrapping_sub(100_000));
        let _ = send!(h, R, seq rcv_nxt + 1_000_000);
        recv!(h,);
        assert_eq!(h.sock.state, state);
        done(h);
    }
}

#[test]
fn synchronized__syn_is_challenged() {
    // RFC 5961, 4.2: "irrespective of the sequence number, TCP MUST send an ACK".
    for offset in [0, 100, 1_000_000] {
        for (mut h, state, snd_nxt, rcv_nxt) in synchronized() {
            let _ = send!(h, S, seq rcv_nxt + offset, mss 1460);
            recv!(h, [A, seq snd_nxt, ack rcv_nxt]);
            assert_eq!(h.sock.state, state, "{offset}");
            done(h);
        }
    }
}

#[test]
fn synchronized__without_ack_is_dropped() {
    for (mut h, state, _, rcv_nxt) in synchronized() {
        assert!(send!(h, N, seq rcv_nxt, data b"x").is_err());
        recv!(h,);
        assert_eq!((h.sock.state, h.sock.rcv_nxt.get()), (state, rcv_nxt));
        done(h);
    }
}

#[test]
fn synchronized__ack_of_unsent_data_is_answered() {
    // RFC 5961, 5.2, and 3.10.7.4: "If the ACK acks something not yet sent, then send an ACK".
    for (mut h, state, snd_nxt, rcv_nxt) in synchronized() {
        let result = send!(h, A, seq rcv_nxt, ack snd_nxt + 1);
        assert_eq!(dropped(result), DropReason::TcpAckUnsentData, "{state:?}");
        recv!(h, [A, seq snd_nxt, ack rcv_nxt]);
        assert_eq!(h.sock.state, state);
        done(h);
    }
}

#[test]
fn synchronized__data_outside_the_window_are_answered() {
    for (mut h, state, snd_nxt, rcv_nxt) in synchronized() {
        let una = h.sock.snd_una.get();
        assert!(send!(h, PA, seq rcv_nxt + 10_000_000, ack una, data b"x").is_err());
        recv!(h, [A, seq snd_nxt, ack rcv_nxt]);
        assert_eq!((h.sock.state, h.sock.rcv_nxt.get()), (state, rcv_nxt));
        // Without data the same is answered twice a second at the most: two stacks that find each
        // other's ACKs unacceptable must not talk for ever.
        for _ in 0..10 {
            let _ = send!(h, A, seq rcv_nxt + 10_000_000, ack una);
        }
        recv!(h, [A, seq snd_nxt, ack rcv_nxt]);
        done(h);
    }
}

#[test]
fn established__fin_closes_the_peers_side() {
    let mut h = close_wait();
    assert_eq!(h.read(10), (vec![], RecvStep::Done));
    // The same FIN again, for our ACK may have been lost.
    let _ = send!(h, FA, seq IRS + 1, ack ISS + 1);
    recv!(h, [A, seq ISS + 1, ack IRS + 2]);
    assert_eq!(h.sock.state, State::CloseWait);
    done(h);
}

#[test]
fn established__data_with_fin() {
    let mut h = established();
    send!(h, FA, seq IRS + 1, ack ISS + 1, data b"bye").unwrap();
    due_ack(&mut h);
    recv!(h, [A, seq ISS + 1, ack IRS + 5]);
    assert_eq!(h.sock.state, State::CloseWait);
    assert_eq!(h.read(10), (b"bye".to_vec(), RecvStep::Done));
    done(h);
}

#[test]
fn established__fin_out_of_order_waits() {
    let mut h = established();
    send!(h, FA, seq IRS + 4, ack ISS + 1, data b"bye").unwrap();
    recv!(h, [A, seq ISS + 1, ack IRS + 1]);
    assert_eq!(h.sock.state, State::Established);
    send!(h, PA, seq IRS + 1, ack ISS + 1, data b"abc").unwrap();
    assert_eq!(h.sock.state, State::CloseWait);
    due_ack(&mut h);
    recv!(h, [A, seq ISS + 1, ack IRS + 8]);
    assert_eq!(h.read(10).0, b"abcbye");
    done(h);
}

#[test]
fn established__every_second_segment_is_acknowledged_at_once() {
    let mut h = established();
    static FULL: [u8; 1460] = [7; 1460];
    // The first sixteen or so are all acknowledged at once; let the peer leave slow start.
    let mut seq = IRS + 1;
    for _ in 0..100 {
        send!(h, A, seq seq, ack ISS + 1, data &FULL).unwrap();
        seq += 1460;
        h.read(2000);
    }
    h.sent();
    let mut acks = 0;
    for _ in 0..20 {
        send!(h, A, seq seq, ack ISS + 1, data &FULL).unwrap();
        seq += 1460;
        h.read(2000);
        acks += h.sent().len();
    }
    assert!((10..=11).contains(&acks), "{acks}");
    done(h);
}

#[test]
fn established__single_segment_is_acknowledged_within_200_ms() {
    let mut h = established();
    // Use up the quick ACKs of the beginning.
    let mut seq = IRS + 1;
    for _ in 0..40 {
        send!(h, PA, seq seq, ack ISS + 1, data b"x").unwrap();
        seq += 1;
        h.world.now = h.world.now.plus(Duration::from_millis(5));
    }
    if let Some(at) = h.next_deadline() {
        h.world.now = at;
        h.sock.on_timer(&mut h.world);
    }
    h.sent();
    let start = h.world.now;
    send!(h, PA, seq seq, ack ISS + 1, data b"y").unwrap();
    if h.world.out.is_empty() {
        let at = h.next_deadline().expect("a delayed ACK");
        assert!(at.since(start) <= DELACK_MAX);
        h.world.now = at;
        h.sock.on_timer(&mut h.world);
    }
    recv!(h, [A, seq ISS + 1, ack seq + 1]);
    done(h);
}

#[test]
fn established__half_old_data_are_trimmed() {
    let mut h = established();
    send!(h, PA, seq IRS + 1, ack ISS + 1, data b"abcd").unwrap();
    send!(h, PA, seq IRS + 3, ack ISS + 1, data b"cdef").unwrap();
    assert_eq!(h.read(10).0, b"abcdef");
    assert_eq!(h.sock.rcv_nxt.get(), IRS + 7);
    done(h);
}

#[test]
fn fin_wait1__ack_of_fin() {
    let h = fin_wait2();
    assert_eq!(h.next_deadline(), None);
    done(h);
}

#[test]
fn fin_wait1__fin_with_ack_of_ours() {
    let mut h = fin_wait1();
    send!(h, FA, seq IRS + 1, ack ISS + 2).unwrap();
    recv!(h, [A, seq ISS + 2, ack IRS + 2]);
    assert_eq!(
        h.world.tw.map(|(tw, t)| (tw.substate, t)),
        Some((State::TimeWait, TIMEWAIT_LEN))
    );
    assert_eq!(h.sock.state, State::Close);
    done(h);
}

#[test]
fn fin_wait1__fin_is_sent_again() {
    let mut h = fin_wait1();
    for _ in 0..3 {
        h.world.now = h.next_deadline().expect("a timer");
        h.sock.on_timer(&mut h.world);
        recv!(h, [FA, seq ISS + 1, ack IRS + 1]);
    }
    done(h);
}

#[test]
fn fin_wait2__takes_data_then_fin() {
    let mut h = fin_wait2();
    send!(h, PA, seq IRS + 1, ack ISS + 2, data b"late").unwrap();
    assert_eq!(h.read(10).0, b"late");
    h.sent();
    send!(h, FA, seq IRS + 5, ack ISS + 2).unwrap();
    recv!(h, [A, seq ISS + 2, ack IRS + 6]);
    assert!(h.world.tw.is_some());
    done(h);
}

#[test]
fn fin_wait2__data_that_nobody_will_read_are_reset() {
    let mut h = fin_wait2();
    h.world.dead = true;
    h.world.shut = Shutdown::BOTH;
    let result = send!(h, PA, seq IRS + 1, ack ISS + 2, data b"late");
    assert_eq!(dropped(result), DropReason::TcpAbortOnData);
    recv!(h, [R, seq ISS + 2]);
    assert_eq!(h.sock.state, State::Close);
    done(h);
}

#[test]
fn fin_wait2__orphan_waits_sixty_seconds() {
    let mut h = fin_wait2();
    h.world.dead = true;
    h.sock.orphan(&mut h.world);
    assert_eq!(
        h.world.tw.map(|(tw, t)| (tw.substate, t)),
        Some((State::FinWait2, Duration::from_secs(60)))
    );
    done(h);
}

#[test]
fn closing__ack_of_fin_ends_in_time_wait() {
    let mut h = closing();
    send!(h, A, seq IRS + 2, ack ISS + 2).unwrap();
    assert!(h.world.tw.is_some());
    assert_eq!(h.sock.state, State::Close);
    done(h);
}

#[test]
fn close_wait__still_sends() {
    let mut h = close_wait();
    assert_eq!(h.write(b"answer").0, 6);
    recv!(h, [A, seq ISS + 1, ack IRS + 2, data b"answer"]);
    done(h);
}

#[test]
fn last_ack__ack_of_fin_ends() {
    let mut h = last_ack();
    send!(h, A, seq IRS + 2, ack ISS + 2).unwrap();
    assert_eq!(h.sock.state, State::Close);
    assert!(h.world.tw.is_none());
    done(h);
}

#[test]
fn last_ack__fin_is_sent_again() {
    let mut h = last_ack();
    h.world.now = h.next_deadline().expect("a timer");
    h.sock.on_timer(&mut h.world);
    recv!(h, [FA, seq ISS + 1, ack IRS + 2]);
    done(h);
}

#[test]
fn established__data_over_the_windows_edge() {
    let mut h = established();
    static BIG: [u8; 40_000] = [1; 40_000];
    // Into an empty queue it is taken, as Linux does.
    send!(h, A, seq IRS + 1, ack ISS + 1, data &BIG).unwrap();
    let nxt = h.sock.rcv_nxt.get();
    // Behind something that nobody has read yet it is not.
    let mut result = Ok(());
    for _ in 0..8 {
        let seq = h.sock.rcv_nxt.get();
        result = send!(h, A, seq seq, ack ISS + 1, data &BIG);
    }
    assert_eq!(dropped(result), DropReason::TcpInvalidEndSequence);
    assert!(h.sock.rcv_nxt.get() - nxt <= h.world.rcvbuf);
    assert!(h.world.counted(Counter::BeyondWindow) > 0);
    done(h);
}

#[test]
fn close_wait__reset_with_the_number_of_the_fin() {
    for mut h in [close_wait(), last_ack(), closing()] {
        let _ = send!(h, R, seq IRS + 1);
        assert_eq!(h.sock.state, State::Close);
        done(h);
    }
}
