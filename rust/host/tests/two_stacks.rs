// SPDX-License-Identifier: GPL-2.0
//! Two whole stacks, IP headers and checksums included, over a network that does everything a network
//! may do to packets. Every test ends with nothing left: no connection, no TIME_WAIT, no charged
//! memory, no timer, no packet.

#![allow(non_snake_case)]

use rustnet_stack::stack::counters::Counter;
use rustnet_stack::stack::drop_reason::DropReason;
use rustnet_stack::stack::errno::Errno;
use rustnet_stack::stack::socket::FourTuple;
use rustnet_stack::stack::tcp::{SendStep, State};
use rustnet_stack::stack::time::Duration;
use rustnet_stack::testutil::{pattern, Two, Wire};

/// What one side of a conversation has still to do.
struct Side {
    id: FourTuple,
    to_write: Vec<u8>,
    written: usize,
    got: Vec<u8>,
    expect: usize,
    closed: bool,
}

impl Side {
    fn new(id: FourTuple, to_write: Vec<u8>, expect: usize) -> Side {
        Side {
            id,
            to_write,
            written: 0,
            got: Vec::new(),
            expect,
            closed: false,
        }
    }

    /// Writes, reads, and closes when everything is through.
    fn work(&mut self, host: &mut rustnet_stack::testutil::FakeHost) {
        if self.written < self.to_write.len() {
            let (n, step) = host.write(self.id, &self.to_write[self.written..]);
            self.written += n;
            let bad = matches!(step, SendStep::Error(_));
            assert!(!bad, "{step:?} {:?}", host.error(self.id));
        }
        self.got.extend(host.read(self.id, 1 << 20).0);
        if !self.closed && self.written == self.to_write.len() && self.got.len() == self.expect {
            self.closed = true;
            host.close(self.id);
        }
    }
}

/// Both sides send `n` bytes, read the other's, and close; then everything dies out.
fn converse(wire: Wire, seed: u64, n: usize) -> Two {
    let mut two = Two::new(wire, seed);
    two.b.listen(80, 10);
    let id = two.a.connect(two.b.addr, 80, 40_000);
    let (up, down) = (pattern(n), pattern(n + 1));
    let mut a = Side::new(id, up.clone(), down.len());
    let mut b: Option<Side> = None;
    for i in 0.. {
        assert!(i < 2_000_000, "no end: seed {seed}, {wire:?}");
        a.work(&mut two.a);
        if b.is_none() {
            b = two
                .b
                .accept(80)
                .map(|id| Side::new(id, down.clone(), up.len()));
        }
        if let Some(b) = &mut b {
            b.work(&mut two.b);
            if a.closed && b.closed {
                break;
            }
        }
        assert!(two.step(), "stuck: seed {seed}, {wire:?}");
    }
    assert!(
        a.got == down,
        "seed {seed}: what came down is not what was sent"
    );
    assert!(
        b.is_some_and(|b| b.got == up),
        "seed {seed}: what came up is not what was sent"
    );
    two.finish();
    two
}

#[test]
fn converse__kind_wire() {
    let two = converse(Wire::clean(), 1, 2_000_000);
    assert_eq!(two.a.counted(Counter::RetransSegs), 0);
    assert_eq!(two.b.counted(Counter::RetransSegs), 0);
    assert!(two.a.drops.is_empty() && two.b.drops.is_empty());
}

#[test]
fn converse__grid() {
    for loss in [0, 10, 50, 100] {
        for reorder in [0, 100] {
            for duplicate in [0, 50] {
                for corrupt in [0, 30] {
                    for seed in 0..3 {
                        let wire = Wire {
                            loss,
                            reorder,
                            duplicate,
                            corrupt,
                            ..Wire::clean()
                        };
                        converse(wire, seed, 60_000);
                    }
                }
            }
        }
    }
}

#[test]
fn converse__corruption_is_noticed() {
    let wire = Wire {
        corrupt: 200,
        ..Wire::clean()
    };
    let mut noticed = 0;
    for seed in 0..10 {
        let two = converse(wire, seed, 50_000);
        for host in [&two.a, &two.b] {
            noticed += host.drops.get(&DropReason::TcpCsum).copied().unwrap_or(0);
            noticed += host.drops.get(&DropReason::IpCsum).copied().unwrap_or(0);
        }
    }
    assert!(noticed > 100);
}

#[test]
fn converse__long_thin_path() {
    let wire = Wire {
        delay: Duration::from_millis(300),
        loss: 20,
        ..Wire::clean()
    };
    for seed in 0..5 {
        converse(wire, seed, 200_000);
    }
}

#[test]
fn converse__heavy_reordering() {
    let wire = Wire {
        reorder: 500,
        duplicate: 200,
        ..Wire::clean()
    };
    for seed in 0..20 {
        converse(wire, seed, 100_000);
    }
}

#[test]
fn converse__thousand_connections() {
    let mut two = Two::new(Wire::clean(), 9);
    two.b.listen(80, 2000);
    let ids: Vec<FourTuple> = (0..1000)
        .map(|i| two.a.connect(two.b.addr, 80, 10_000 + i))
        .collect();
    while ids.iter().any(|id| two.a.state(*id) != State::Established) {
        assert!(two.step());
    }
    let mut accepted = Vec::new();
    while accepted.len() < 1000 {
        match two.b.accept(80) {
            Some(id) => accepted.push(id),
            None => assert!(two.step()),
        }
    }
    for id in ids {
        let text = id.sport.to_be_bytes();
        assert_eq!(two.a.write(id, &text).0, 2);
        two.a.close(id);
    }
    let mut heard = std::collections::BTreeSet::new();
    let mut open = accepted;
    while !open.is_empty() {
        assert!(two.step());
        open.retain(|id| {
            let (bytes, _) = two.b.read(*id, 10);
            if let [h, l] = bytes[..] {
                assert_eq!(u16::from_be_bytes([h, l]), id.dport);
                heard.insert(id.dport);
                two.b.close(*id);
                return false;
            }
            true
        });
    }
    assert_eq!(heard.len(), 1000);
    two.finish();
}

#[test]
fn connect__nobody_listens() {
    let mut two = Two::new(Wire::clean(), 1);
    let id = two.a.connect(two.b.addr, 81, 40_000);
    while two.a.state(id) == State::SynSent {
        assert!(two.step());
    }
    assert_eq!(two.a.error(id), Some(Errno::ECONNREFUSED));
    assert_eq!(two.b.drops.get(&DropReason::NoSocket), Some(&1));
    two.a.close(id);
    two.finish();
}

#[test]
fn connect__full_accept_queue_is_filled_again() {
    let mut two = Two::new(Wire::clean(), 1);
    two.b.listen(80, 1);
    let ids: Vec<FourTuple> = (0..5)
        .map(|i| two.a.connect(two.b.addr, 80, 40_000 + i))
        .collect();
    // Nobody accepts for two seconds.
    let start = two.net.now;
    while two.net.now.since(start) < Duration::from_secs(2) {
        assert!(two.step());
    }
    assert_eq!(two.b.conns.len(), 2);
    // The others were not turned away: the handshake's last step is tried again.
    let mut done = 0;
    while done < 5 {
        match two.b.accept(80) {
            Some(id) => {
                two.b.close(id);
                done += 1;
            }
            None => assert!(two.step()),
        }
    }
    for id in ids {
        two.a.close(id);
    }
    two.finish();
}

#[test]
fn close__peer_vanishes() {
    // The wire is cut with data in flight: the sender gives up after its retries.
    let mut two = Two::new(Wire::clean(), 1);
    two.b.listen(80, 1);
    let id = two.a.connect(two.b.addr, 80, 40_000);
    while two.a.state(id) != State::Established {
        assert!(two.step());
    }
    let accepted = loop {
        match two.b.accept(80) {
            Some(id) => break id,
            None => assert!(two.step()),
        }
    };
    two.net.wire.loss = 1000;
    let start = two.net.now;
    two.a.write(id, &pattern(10_000));
    while two.a.state(id) == State::Established {
        assert!(two.step());
    }
    assert_eq!(two.a.error(id), Some(Errno::ETIMEDOUT));
    // RFC 1122, 4.2.3.5: R2 at least 100 s; Linux's 15 retries are about 924 s.
    let gave_up = two.net.now.since(start).as_secs();
    assert!((800..1100).contains(&gave_up), "{gave_up} s");
    two.a.close(id);
    two.b.close(accepted);
    two.finish();
}

#[test]
fn hostile__any_bytes_as_segments() {
    // Noise in a good IP packet with a good checksum, at every state of a connection: nothing panics,
    // and what the user sees is what was sent.
    use rustnet_stack::platform::Skb;
    use rustnet_stack::stack::ip::output::{queue_xmit, Xmit};
    use rustnet_stack::stack::wire::checksum;
    use rustnet_stack::stack::wire::ipv4::Protocol;

    for seed in 0..200 {
        let mut two = Two::new(Wire::clean(), seed);
        two.b.listen(80, 10);
        let id = two.a.connect(two.b.addr, 80, 40_000);
        let mut accepted = None;
        for i in 0..400 {
            if two.a.state(id) == State::Established && i % 50 == 7 {
                two.a.write(id, b"0123456789");
            }
            if i == 300 {
                two.a.close(id);
            }
            accepted = accepted.or_else(|| two.b.accept(80));
            two.step();
            let rng = &mut two.net.rng;
            let len = 20 + rng.below(60) as usize;
            let mut seg: Vec<u8> = (0..len).map(|_| rng.below(256) as u8).collect();
            seg[..4].copy_from_slice(&[40_000u16.to_be_bytes(), 80u16.to_be_bytes()].concat());
            seg[12] = 0x50 + (rng.below(11) as u8) * 16;
            if rng.per_mille(500) {
                // Often near the window.
                let conn = two.b.conns.values().next();
                let base = conn.map_or(0, |c| c.sock.unread());
                seg[4..8].copy_from_slice(&base.to_be_bytes());
            }
            seg[16..18].fill(0);
            let (s, d) = (two.a.addr, two.b.addr);
            let pseudo = checksum::pseudo_header(s, d, 6, len as u32);
            let c = checksum::finish(checksum::partial(&seg, pseudo));
            seg[16..18].copy_from_slice(&c.to_be_bytes());
            let mut skb = Skb::alloc(20, len).unwrap();
            skb.put(len).unwrap().copy_from_slice(&seg);
            let x = Xmit {
                saddr: s,
                daddr: d,
                protocol: Protocol::TCP,
                tos: 0,
                ttl: 64,
                dont_fragment: true,
                id: 0,
            };
            queue_xmit(&mut skb, &x).unwrap();
            two.b.input(skb.bytes());
        }
        two.a.close(id);
        if let Some(id) = accepted.or_else(|| two.b.accept(80)) {
            two.b.close(id);
        }
        // A connection that finished its handshake while the test ended.
        for _ in 0..200_000 {
            if let Some(id) = two.b.accept(80) {
                two.b.close(id);
            }
            if !two.step() {
                break;
            }
        }
        two.finish();
    }
}
