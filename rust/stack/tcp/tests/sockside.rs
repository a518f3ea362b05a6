// SPDX-License-Identifier: GPL-2.0
//! What the socket's user sees beside the stream: time stamps, limits of what is not sent, splicing.

use super::{
    script::*,
    *, //
};

/// Writes with a wish for time stamps.
fn write_stamped(h: &mut Host, data: &'static [u8]) {
    let mut copied = 0;
    let mut msg = MsgIter::Source(data, 0);
    let flags = SendFlags {
        tsflags: 1,
        ..SendFlags::default()
    };
    let step = h.sock.sendmsg(&mut h.world, &mut msg, flags, &mut copied);
    assert_eq!((step, copied), (SendStep::Done, data.len()));
}

#[test]
fn tx_timestamp__last_byte_of_each_write_once_acknowledged() {
    let mut h = established();
    h.sock.number_timestamps(false);
    static BIG: [u8; 4000] = [7; 4000];
    write_stamped(&mut h, &BIG);
    write_stamped(&mut h, b"tail");
    h.sent();
    send!(h, A, seq IRS + 1, ack ISS + 1 + 2000).unwrap();
    assert!(h.world.ack_stamps.is_empty());
    send!(h, A, seq IRS + 1, ack ISS + 1 + 4000).unwrap();
    assert_eq!(h.world.ack_stamps, [3999]);
    h.sent();
    send!(h, A, seq IRS + 1, ack ISS + 1 + 4004).unwrap();
    assert_eq!(h.world.ack_stamps, [3999, 4003]);
}

#[test]
fn tx_timestamp__of_what_is_sent_already() {
    let mut h = established();
    h.sock.number_timestamps(false);
    h.write(b"gone");
    h.sent();
    h.sock.tx_timestamp(&mut h.world, 1);
    send!(h, A, seq IRS + 1, ack ISS + 1 + 4).unwrap();
    assert_eq!(h.world.ack_stamps, [3]);
}

#[test]
fn new_segment__notsent_lowat_stops_the_writer() {
    let mut h = established();
    h.sock
        .set_option(&mut h.world, Opt::NotsentLowat, 1000)
        .unwrap();
    // The first write may be cut into what is sent at once and one full packet that is not.
    static BIG: [u8; 60_000] = [7; 60_000];
    let mut total = 0;
    loop {
        let (n, step) = h.write(&BIG);
        total += n;
        if step == SendStep::WaitMemory {
            break;
        }
    }
    assert!(h.sock.outq_nsd() >= 1000, "{}", h.sock.outq_nsd());
    assert!(h.sock.notsent_full(&h.world).0);
    assert!(total < 140_000, "{total}");
}

#[test]
fn read_sock__takes_what_the_reader_takes() {
    let mut h = established();
    send!(h, A, seq IRS + 1, ack ISS + 1, data b"abcdef").unwrap();
    let mut got = Vec::new();
    let n = h.sock.read_sock(&mut h.world, 4, |skb, offset, len| {
        got.extend_from_slice(&skb.bytes()[offset..offset + len]);
        len
    });
    assert_eq!((n, &got[..]), (Ok(4), &b"abcd"[..]));
    assert_eq!(h.sock.read_sock(&mut h.world, 10, |_, _, _| 0), Ok(0));
    assert_eq!(h.read(10).0, b"ef");
}
