// SPDX-License-Identifier: GPL-2.0
//! The rate of delivery.

use super::script::*;
use super::*;

#[test]
fn delivery_rate__a_flight_in_a_round_trip() {
    let mut h = established();
    static DATA: [u8; 5840] = [1; 5840];
    // Four segments in 100 ms: 58,400 bytes a second, and the user has no more to send.
    assert_eq!(h.sock.delivery_rate(), 0);
    assert_eq!(h.write(&DATA).0, DATA.len());
    h.world.out.clear();
    h.world.now = h.world.now.plus(Duration::from_millis(100));
    send!(h, A, seq IRS + 1, ack ISS + 1 + 5840).unwrap();
    assert_eq!(h.sock.delivery_rate(), 58_400);
    assert!(h.sock.rate.is_app_limited);
    // Half as much in the same time says nothing new of a path that nobody fills …
    assert_eq!(h.write(&DATA[..2920]).0, 2920);
    h.world.out.clear();
    h.world.now = h.world.now.plus(Duration::from_millis(100));
    send!(h, A, seq IRS + 1, ack ISS + 1 + 8760).unwrap();
    assert_eq!(h.sock.delivery_rate(), 58_400);
    // … and what the window limits counts, fast or slow: ten segments in 400 ms.
    static MORE: [u8; 14_600] = [2; 14_600];
    h.sock.snd_cwnd = 5;
    assert_eq!(h.write(&MORE).0, MORE.len());
    h.world.out.clear();
    h.world.now = h.world.now.plus(Duration::from_millis(400));
    let half = h.sock.snd_nxt.get();
    send!(h, A, seq IRS + 1, ack half).unwrap();
    h.world.out.clear();
    h.world.now = h.world.now.plus(Duration::from_millis(400));
    let end = h.sock.snd_nxt.get();
    send!(h, A, seq IRS + 1, ack end).unwrap();
    assert!(
        h.sock.delivery_rate() < 58_400,
        "{}",
        h.sock.delivery_rate()
    );
    assert!(!h.sock.rate.is_app_limited);
}
