// SPDX-License-Identifier: GPL-2.0
//! Closing: one after the other, both at once, by reset.

use super::*;

#[test]
fn close__active_then_passive() {
    let mut p = Pair::established(Wire::clean(), 1);
    p.a.sock
        .shutdown(&mut p.a.world, Shutdown::SEND)
        .expect("shutdown");
    assert_eq!(p.a.sock.state, State::FinWait1);
    while p.a.sock.state != State::FinWait2 {
        assert!(p.step());
    }
    assert_eq!(p.b.sock.state, State::CloseWait);
    assert_eq!(p.b.read(10), (vec![], RecvStep::Done));
    // Half closed: data still flow the other way.
    let data = pattern(100_000);
    p.transfer(false, &data);
    p.b.sock
        .shutdown(&mut p.b.world, Shutdown::SEND)
        .expect("shutdown");
    assert_eq!(p.b.sock.state, State::LastAck);
    while p.b.sock.state != State::Close {
        assert!(p.step());
    }
    let (tw, timeout) = p.a.world.tw.expect("a TIME_WAIT");
    assert_eq!(tw.substate, State::TimeWait);
    assert_eq!(timeout, TIMEWAIT_LEN);
    p.finish();
}

#[test]
fn close__both_at_once() {
    let mut p = Pair::established(Wire::clean(), 1);
    p.a.sock
        .shutdown(&mut p.a.world, Shutdown::SEND)
        .expect("shutdown");
    p.b.sock
        .shutdown(&mut p.b.world, Shutdown::SEND)
        .expect("shutdown");
    let mut closing = false;
    while p.a.sock.state != State::Close || p.b.sock.state != State::Close {
        assert!(p.step());
        closing |= p.a.sock.state == State::Closing;
    }
    assert!(closing);
    assert!(p.a.world.tw.is_some() && p.b.world.tw.is_some());
    p.finish();
}

#[test]
fn close__unread_data_reset_the_peer() {
    let mut p = Pair::established(Wire::clean(), 1);
    p.a.write(b"hello");
    while p.b.sock.unread() == 0 {
        assert!(p.step());
    }
    p.b.world.dead = true;
    assert_eq!(
        p.b.sock.close(&mut p.b.world, Linger::default()),
        Close::Gone
    );
    while p.a.sock.state != State::Close {
        assert!(p.step());
    }
    assert_eq!(p.a.world.error, Some(Errno::ECONNRESET));
    p.finish();
}

#[test]
fn close__fin_survives_loss() {
    for seed in 0..40 {
        let mut p = Pair::established(Wire::clean(), seed);
        p.net.wire.loss = 300;
        let data = pattern(20_000);
        p.transfer(true, &data);
        for h in [&mut p.a, &mut p.b] {
            h.world.dead = true;
            h.sock.close(&mut h.world, Linger::default());
            h.sock.orphan(&mut h.world);
        }
        for _ in 0..5000 {
            if !p.step() {
                break;
            }
        }
        assert_eq!(p.a.sock.state, State::Close);
        assert_eq!(p.b.sock.state, State::Close);
        assert!(p.a.world.done && p.b.world.done);
        p.finish();
    }
}

#[test]
fn close__reset_in_window_is_challenged() {
    let mut p = Pair::established(Wire::clean(), 1);
    let id = client_id().reversed();
    let exact = p.a.sock.rcv_nxt;
    for (seq, dies) in [(exact.add(1), false), (exact, true)] {
        let fake = Segment {
            source: 80,
            dest: 40_000,
            seq: SeqNum::new(0),
            end_seq: SeqNum::new(0),
            ack_seq: seq,
            flags: Flags::ACK,
            doff: 20,
            window: 0,
            urg_ptr: 0,
            len: 0,
            dsfield: 0,
            opts: Options::default(),
        };
        let rst = send_reset(&fake, id).expect("memory");
        let _ = p.a.deliver(rst.bytes());
        assert_eq!(p.a.sock.state == State::Close, dies);
    }
    assert_eq!(p.a.world.counted(Counter::TcpChallengeAck), 1);
    p.b.sock.abort(&mut p.b.world);
    p.finish();
}
