// SPDX-License-Identifier: GPL-2.0
//! What is counted, where nothing else shows it.

use super::script::*;
use super::*;

/// How often each of `what` was counted.
fn counted<const N: usize>(h: &Host, what: [Counter; N]) -> [u32; N] {
    what.map(|c| h.world.counted(c))
}

#[test]
fn acknowledgements__expected_ones_and_others() {
    use Counter::*;
    let all = [
        TcpHpAcks,
        TcpPureAcks,
        TcpHpHits,
        TcpDelivered,
        TcpOrigDataSent,
    ];
    let mut h = established();
    // The SYN-ACK acknowledged the SYN.
    assert_eq!(counted(&h, all), [0, 0, 0, 1, 0]);
    h.sock.nonagle.off = true;
    h.write(b"one");
    h.write(b"two");
    assert_eq!(counted(&h, all), [0, 0, 0, 1, 2]);
    // Nothing but an acknowledgement.
    send!(h, A, seq IRS + 1, ack ISS + 4).unwrap();
    assert_eq!(counted(&h, all), [1, 0, 0, 2, 2]);
    // One with data, as expected.
    send!(h, A, seq IRS + 1, ack ISS + 7, data b"data").unwrap();
    assert_eq!(counted(&h, all), [2, 0, 1, 3, 2]);
    // The same data again: nothing that was expected.
    send!(h, A, seq IRS + 1, ack ISS + 7, data b"data").unwrap();
    assert_eq!(counted(&h, all), [2, 0, 1, 3, 2]);
    // Another window, and nothing new.
    send!(h, A, seq IRS + 5, ack ISS + 7, win 1000).unwrap();
    assert_eq!(counted(&h, all), [2, 1, 1, 3, 2]);
    h.read(100);
    done(h);
}

#[test]
fn dsack__as_many_segments_as_it_tells_of() {
    let mut h = established_sack();
    h.write(&[1; 4000]);
    h.sent();
    let una = ISS + 1;
    h.world.now = h.world.now.plus(Duration::from_millis(300));
    h.sock.on_timer(&mut h.world);
    h.world.now = h.world.now.plus(Duration::from_millis(600));
    h.sock.on_timer(&mut h.world);
    h.sent();
    send!(h, A, seq IRS + 1, ack una + 4000, sack vec![(una, una + 2000)]).unwrap();
    assert_eq!(
        counted(&h, [Counter::TcpDsackRecv, Counter::TcpDsackRecvSegs]),
        [1, 2]
    );
    h.sock.drop_queues(&mut h.world);
    done(h);
}

#[test]
fn syn_sent__an_echo_of_a_time_stamp_that_was_never_sent() {
    let mut h = Host::new();
    h.sock
        .connect(&mut h.world, client_id(), ISS, 77)
        .expect("connect");
    let sent = h.sent();
    let tsval = sent[0].0.opts.tsval;
    h.world.now = h.world.now.plus(Duration::from_millis(50));
    let mut syn_ack = Seg {
        seq: IRS,
        ack: ISS + 1,
        mss: 1460,
        ..Seg::new("SA")
    }
    .bytes();
    // Options: MSS, two NOPs, a time stamp.
    syn_ack[12] = 9 << 4;
    syn_ack.extend_from_slice(&[1, 1, 8, 10, 0, 0, 0, 9]);
    let echo = |tsecr: u32| [&syn_ack[..], &tsecr.to_be_bytes()].concat();
    for wrong in [tsval.wrapping_sub(1), tsval.wrapping_add(51)] {
        assert!(h.deliver(&echo(wrong)).is_err());
        assert_eq!(h.sock.state, State::SynSent);
        let rst = h.sent();
        assert_eq!((rst.len(), rst[0].0.flags), (1, Flags::RST));
    }
    assert_eq!(h.world.counted(Counter::PawsActive), 2);
    assert!(h.deliver(&echo(tsval.wrapping_add(50))).is_ok());
    assert_eq!(h.sock.state, State::Established);
    h.sent();
    done(h);
}
