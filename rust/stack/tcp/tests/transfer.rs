// SPDX-License-Identifier: GPL-2.0
//! Data: all of them, in order, whatever the wire does.

use super::*;

#[test]
fn transfer__clean_wire_both_ways() {
    let mut p = Pair::established(Wire::clean(), 1);
    let data = pattern(3_000_000);
    p.transfer(true, &data);
    p.transfer(false, &data);
    assert_eq!(p.a.sock.stats.total_retrans, 0);
    assert_eq!(p.b.sock.stats.total_retrans, 0);
    p.finish();
}

#[test]
fn transfer__gso_packets_arrive_whole() {
    let wire = Wire {
        segment: false,
        ..Wire::clean()
    };
    let mut p = Pair::established(wire, 1);
    let data = pattern(3_000_000);
    p.transfer(true, &data);
    p.transfer(false, &data);
    p.finish();
}

#[test]
fn transfer__grid_of_troubles() {
    for loss in [0, 10, 50, 150] {
        for reorder in [0, 100] {
            for duplicate in [0, 50] {
                for seed in 0..4 {
                    let wire = Wire {
                        loss,
                        reorder,
                        duplicate,
                        ..Wire::clean()
                    };
                    let mut p = Pair::established(wire, seed);
                    let data = pattern(150_000);
                    p.transfer(true, &data);
                    p.transfer(false, &data);
                    p.net.wire = Wire::clean();
                    p.finish();
                }
            }
        }
    }
}

#[test]
fn transfer__one_loss_is_repaired_without_timeout() {
    let mut p = Pair::established(Wire::clean(), 1);
    // Open the window first.
    let data = pattern(500_000);
    p.transfer(true, &data);
    let before = p.a.world.counted(Counter::TcpTimeouts);
    let (n, _) = p.a.write(&data[..60_000]);
    assert_eq!(n, 60_000);
    let lost = p.a.world.out.pop_front().expect("a segment");
    let rest: Vec<Skb> = p.a.world.out.drain(..).collect();
    let cut = p.cut(&lost);
    // Lose the first segment of the first packet only.
    for bytes in cut.into_iter().skip(1) {
        p.net.send(true, bytes);
    }
    for skb in rest {
        p.a.world.out.push_back(skb);
    }
    let mut got = Vec::new();
    while got.len() < n {
        assert!(p.step());
        got.extend(p.b.read(1 << 20).0);
    }
    assert_eq!(got, data[..60_000]);
    assert_eq!(p.a.world.counted(Counter::TcpTimeouts), before);
    assert_eq!(p.a.world.counted(Counter::TcpFastRetrans), 1);
    p.finish();
}

#[test]
fn transfer__half_a_window_lost_costs_a_timeout_and_not_a_round_trip_for_each() {
    //= https://www.rfc-editor.org/rfc/rfc6582#section-4
    let far = Wire {
        delay: Duration::from_millis(20),
        ..Wire::clean()
    };
    let mut p = Pair::established(far, 1);
    let data = pattern(500_000);
    p.transfer(true, &data);
    let start = p.net.now;
    let (n, _) = p.a.write(&data[..200_000]);
    let flight: Vec<Skb> = p.a.world.out.drain(..).collect();
    let segs: Vec<Vec<u8>> = flight.iter().flat_map(|skb| p.cut(skb)).collect();
    assert!(segs.len() > 60, "{} segments in flight", segs.len());
    // Every other one.
    for (i, bytes) in segs.into_iter().enumerate() {
        if i % 2 == 1 {
            p.net.send(true, bytes);
        }
    }
    let mut got = Vec::new();
    while got.len() < n {
        assert!(p.step());
        got.extend(p.b.read(1 << 20).0);
    }
    assert_eq!(got, data[..n]);
    let took = p.net.now.since(start);
    assert!(took < Duration::from_millis(1500), "{took:?}");
    p.finish();
}

#[test]
fn transfer__slow_reader_closes_and_opens_the_window() {
    let mut p = Pair::established(Wire::clean(), 1);
    let data = pattern(1_000_000);
    let mut written = 0;
    let mut got = Vec::new();
    let mut rounds = 0;
    while got.len() < data.len() {
        let (n, _) = p.a.write(&data[written..]);
        written += n;
        // Lets everything run dry before each read.
        for _ in 0..200 {
            if !p.step() {
                break;
            }
        }
        got.extend(p.b.read(20_000).0);
        rounds += 1;
        assert!(rounds < 10_000, "no progress at {}", got.len());
    }
    assert_eq!(got, data);
    p.finish();
}

#[test]
fn sendmsg__nagle_holds_the_second_small_segment() {
    let mut p = Pair::established(Wire::clean(), 1);
    p.a.write(b"a");
    p.a.write(b"b");
    p.a.write(b"c");
    assert_eq!(p.a.world.out.len(), 1);
    p.step();
    for _ in 0..10 {
        p.step();
    }
    let (bytes, _) = p.b.read(10);
    assert_eq!(bytes, b"abc");
    p.finish();
}

#[test]
fn sendmsg__nodelay_sends_each() {
    let mut p = Pair::established(Wire::clean(), 1);
    p.a.sock
        .set_option(&mut p.a.world, Opt::NoDelay, 1)
        .expect("option");
    p.a.write(b"a");
    p.a.write(b"b");
    assert_eq!(p.a.world.out.len(), 2);
    p.finish();
}

#[test]
fn sendmsg__cork_holds_until_uncorked() {
    let mut p = Pair::established(Wire::clean(), 1);
    p.a.sock
        .set_option(&mut p.a.world, Opt::Cork, 1)
        .expect("option");
    p.a.write(b"a");
    assert_eq!(p.a.world.out.len(), 0);
    p.a.sock
        .set_option(&mut p.a.world, Opt::Cork, 0)
        .expect("option");
    assert_eq!(p.a.world.out.len(), 1);
    p.finish();
}
