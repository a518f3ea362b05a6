// SPDX-License-Identifier: GPL-2.0
//! Opening: active, passive, at once, refused.

use super::*;

#[test]
fn connect__sends_syn_with_options() {
    let mut h = Host::new();
    h.sock
        .connect(&mut h.world, client_id(), 1000, 0)
        .expect("connect");
    assert_eq!(h.world.state, State::SynSent);
    let sent = h.sent();
    assert_eq!(sent.len(), 1);
    let seg = &sent[0].0;
    assert_eq!(seg.flags, Flags::SYN);
    assert_eq!(seg.seq, SeqNum::new(1000));
    assert_eq!(seg.opts.mss, 1460);
    assert!(seg.opts.saw_tstamp);
    assert!(seg.opts.wscale.is_some());
    h.sock.abort(&mut h.world);
    h.world.assert_clean();
}

#[test]
fn connect__three_way() {
    let p = Pair::established(Wire::clean(), 1);
    assert_eq!(p.a.sock.rcv_nxt, p.b.sock.snd_nxt);
    assert_eq!(p.b.sock.rcv_nxt, p.a.sock.snd_nxt);
    assert!(p.a.sock.ts_ok && p.b.sock.ts_ok);
    assert_eq!(p.a.sock.mss_cache, 1448);
    p.finish();
}

#[test]
fn connect__survives_loss() {
    let wire = Wire {
        loss: 200,
        ..Wire::clean()
    };
    for seed in 0..50 {
        let mut p = Pair::established(wire, seed);
        p.net.wire.loss = 0;
        p.finish();
    }
}

#[test]
fn connect__both_at_once() {
    let mut p = Pair::new(Wire::clean(), 1);
    p.a.sock
        .connect(&mut p.a.world, client_id(), 100, 0)
        .expect("connect");
    p.b.sock
        .connect(&mut p.b.world, client_id().reversed(), 900, 0)
        .expect("connect");
    for _ in 0..20 {
        if p.a.sock.state == State::Established && p.b.sock.state == State::Established {
            break;
        }
        assert!(p.step());
    }
    assert_eq!(p.a.sock.state, State::Established);
    assert_eq!(p.b.sock.state, State::Established);
    let data = pattern(10_000);
    p.transfer(true, &data);
    p.transfer(false, &data);
    p.finish();
}

#[test]
fn connect__refused() {
    let mut h = Host::new();
    h.sock
        .connect(&mut h.world, client_id(), 1000, 0)
        .expect("connect");
    let syn = h.sent().remove(0).0;
    let rst = send_reset(&syn, client_id().reversed()).expect("memory");
    let _ = h.deliver(rst.bytes());
    assert_eq!(h.world.error, Some(Errno::ECONNREFUSED));
    assert_eq!(h.sock.state, State::Close);
    assert_eq!(h.next_deadline(), None);
    h.world.assert_clean();
}

#[test]
fn connect__times_out() {
    let mut h = Host::new();
    h.sock
        .connect(&mut h.world, client_id(), 1000, 0)
        .expect("connect");
    let start = h.world.now;
    let mut syns = 1;
    while let Some(at) = h.next_deadline() {
        h.world.now = at;
        h.sock.on_timer(&mut h.world);
        syns += h.sent().len();
    }
    // Four times at one second (tcp_syn_linear_timeouts), then 1 + 2 + … + 64 s (tcp_syn_retries = 6).
    assert_eq!(h.world.now.since(start).as_secs(), 131);
    assert_eq!(syns, 12);
    assert_eq!(h.world.error, Some(Errno::ETIMEDOUT));
    h.world.assert_clean();
}
