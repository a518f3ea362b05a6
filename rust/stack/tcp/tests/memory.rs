// SPDX-License-Identifier: GPL-2.0
//! The n-th allocation fails, for every n there is: nothing is lost, nothing stays charged, and the
//! connection goes on as soon as there is memory again.

use super::script::{
    done,
    established,
    send,
    Seg, //
};
use super::*;
use crate::platform::{
    fail_alloc,
    fail_pending, //
};

/// Opens, sends `n` bytes each way, closes, and looks for what is left. `failing` says when to plan
/// the next failure.
fn life(wire: Wire, n: usize, mut failing: impl FnMut()) -> bool {
    let mut p = Pair::new(wire, 1);
    failing();
    if p.a
        .sock
        .connect(&mut p.a.world, client_id(), 0xffff_fff0, 5)
        .is_err()
    {
        assert_eq!(p.a.sock.state, State::Close);
        assert_eq!(p.a.next_deadline(), None);
        p.a.world.assert_clean();
        return false;
    }
    let data = pattern(n);
    let (mut up, mut down) = (Vec::new(), Vec::new());
    let (mut up_written, mut down_written) = (0, 0);
    let mut idle = 0;
    while up.len() < n || down.len() < n {
        failing();
        for (host, written) in [(&mut p.a, &mut up_written), (&mut p.b, &mut down_written)] {
            if host.sock.state == State::Established && *written < n {
                let (k, step) = host.write(&data[*written..]);
                *written += k;
                assert!(!matches!(step, SendStep::Error(_)), "{step:?}");
            }
        }
        down.extend(p.a.read(1 << 20).0);
        up.extend(p.b.read(1 << 20).0);
        // Writers that wait for memory try again by themselves (sk_stream_wait_memory).
        idle = if p.step() { 0 } else { idle + 1 };
        assert!(
            idle < 100,
            "stuck at {} and {} of {n}",
            up.len(),
            down.len()
        );
    }
    assert!(up == data && down == data);
    fail_alloc(None);
    p.finish();
    true
}

#[test]
fn alloc__nth_fails_once() {
    let mut survived = 0;
    for n in 0..2000 {
        let mut planned = false;
        let ended = life(Wire::clean(), 40_000, || {
            if !planned {
                fail_alloc(Some(n));
                planned = true;
            }
        });
        if fail_pending() {
            fail_alloc(None);
            break;
        }
        fail_alloc(None);
        survived += u32::from(ended);
    }
    // Every allocation but the SYN's was made to fail, and the connection lived on.
    assert!(survived > 50, "{survived}");
}

#[test]
fn alloc__often_fails() {
    for seed in 0..40u32 {
        let mut n = seed;
        let wire = Wire {
            loss: 30,
            reorder: 50,
            ..Wire::clean()
        };
        life(wire, 30_000, || {
            if !fail_pending() {
                n = n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                fail_alloc(Some(n >> 28));
            }
        });
        fail_alloc(None);
    }
}

/// Shuts A down with the `n`-th allocation from now failing: B hears of it, and both end in peace.
fn shutdown_without_memory(mut p: Pair, n: u32) {
    fail_alloc(Some(n));
    let done = p.a.sock.shutdown(&mut p.a.world, Shutdown::SEND);
    fail_alloc(None);
    assert_eq!(done, Ok(()));
    while p.b.sock.state != State::CloseWait {
        assert!(p.step(), "A is in {:?} for ever", p.a.sock.state);
    }
    while p.a.sock.state != State::FinWait2 {
        assert!(p.step(), "A is in {:?} for ever", p.a.sock.state);
    }
    assert_eq!(p.a.world.error, None);
    p.b.read(10);
    p.finish();
}

#[test]
fn fin__without_memory_is_sent_later() {
    for n in 0..3 {
        shutdown_without_memory(Pair::established(Wire::clean(), 1), n);
    }
}

#[test]
fn fin__without_memory_rides_on_data_in_flight() {
    for n in 0..3 {
        let mut p = Pair::established(Wire::clean(), 1);
        assert_eq!(p.a.write(b"hello").0, 5);
        shutdown_without_memory(p, n);
    }
}

#[test]
fn fin__crosses_one_that_waits_for_memory() {
    let mut p = Pair::established(Wire::clean(), 1);
    fail_alloc(Some(0));
    p.a.sock
        .shutdown(&mut p.a.world, Shutdown::SEND)
        .expect("shutdown");
    fail_alloc(None);
    p.b.sock
        .shutdown(&mut p.b.world, Shutdown::SEND)
        .expect("shutdown");
    // B's FIN is acknowledged, its data would be; A's own is not sent yet.
    while p.b.sock.state != State::FinWait2 {
        assert!(p.step());
        assert_ne!(p.a.sock.state, State::Close);
    }
    assert_eq!(p.a.sock.state, State::Closing);
    while p.b.sock.state != State::Close {
        assert!(p.step());
    }
    p.finish();
}

#[test]
fn fin__orphan_without_memory_gives_up() {
    let mut p = Pair::established(Wire::clean(), 1);
    p.a.world.dead = true;
    fail_alloc(Some(0));
    let closing = p.a.sock.close(&mut p.a.world, Linger::default());
    assert_eq!(closing, Close::Closing);
    let mut tries = 0;
    while let Some(at) = p.a.next_deadline() {
        tries += 1;
        assert!(tries < 20, "for ever");
        p.a.world.now = at;
        fail_alloc(Some(0));
        p.a.sock.on_timer(&mut p.a.world);
    }
    fail_alloc(None);
    // As often as tcp_orphan_retries says, 8 if it says nothing.
    assert_eq!(tries, 9);
    assert_eq!(p.a.sock.state, State::Close);
    p.a.world.assert_clean();
}

#[test]
fn sendmsg__no_memory_at_all() {
    let mut h = established();
    fail_alloc(Some(0));
    let (n, step) = h.write(b"hello");
    fail_alloc(None);
    assert_eq!((n, step), (0, SendStep::WaitMemory));
    assert_eq!(h.world.wmem, 0);
    assert_eq!(h.write(b"hello").0, 5);
    done(h);
}

#[test]
fn sendmsg__full_buffer_waits() {
    let mut h = established();
    let data = pattern(1 << 20);
    let (n, step) = h.write(&data);
    assert_eq!(step, SendStep::WaitMemory);
    assert!(n > 10_000 && n < data.len());
    // Charged by true size, and not much beyond the limit.
    assert!(h.world.wmem >= h.world.sndbuf as usize);
    assert!(h.world.wmem <= h.world.sndbuf as usize + 100_000);
    done(h);
}

/// Sends `segs` segments with somebody waiting to send more, and has one acknowledged: what the send buffer of
/// 16 kB is then.
fn sndbuf_after(segs: usize, pressure: bool) -> u32 {
    let mut h = established();
    let n = segs * 1460;
    assert_eq!(h.write(&pattern(n)).0, n);
    h.world.sndbuf = 16_384;
    h.world.pressure = pressure;
    h.world.nospace = true;
    send!(h, A, seq script::IRS + 1, ack script::ISS + 1 + 1460).expect("an ACK");
    let sndbuf = h.world.sndbuf;
    done(h);
    sndbuf
}

#[test]
fn sndbuf__grows_while_the_window_has_room_and_there_is_memory() {
    // Eleven segments at 2 * (roundup_pow_of_two(1460 + headers) + struct sk_buff).
    assert_eq!(sndbuf_after(10, false), 2 * 11 * (4096 + 256));
    assert_eq!(sndbuf_after(10, true), 16_384);
    // What waits fills the window of eleven again.
    assert_eq!(sndbuf_after(12, false), 16_384);
}

#[test]
fn rmem__small_segments_cannot_fill_the_machine() {
    // One byte in a buffer of its own true size: the limit counts true sizes.
    let mut h = established();
    for i in 0..10_000u32 {
        let seg = script::Seg {
            // Every second byte: nothing joins, nothing is in order.
            seq: script::IRS + 2 + 2 * i,
            ack: script::ISS + 1,
            data: b"x",
            ..script::Seg::new("PA")
        };
        let _ = h.deliver(&seg.bytes());
        h.world.out.clear();
        assert!(h.world.rmem.get() <= h.world.rcvbuf as usize + 2048);
    }
    done(h);
}
