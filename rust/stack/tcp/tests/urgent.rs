// SPDX-License-Identifier: GPL-2.0
//! Urgent data.

use super::{
    script::*,
    *, //
};

/// A segment with URG and its pointer.
fn urgent(h: &mut Host, seq: u32, ptr: u16, data: &'static [u8]) {
    let mut bytes = Seg {
        seq,
        ack: ISS + 1,
        data,
        ..Seg::new("A")
    }
    .bytes();
    bytes[13] |= Flags::URG.bits();
    bytes[18..20].copy_from_slice(&ptr.to_be_bytes());
    h.deliver(&bytes).expect("in window");
}

#[test]
fn recv_urg__byte_apart_and_reads_stop_at_the_mark() {
    let mut h = established();
    urgent(&mut h, IRS + 1, 3, b"abcde");
    assert_eq!(h.world.sigurg, 1);
    assert!(h.sock.urg_valid());
    assert_eq!(h.sock.inq(&h.world), 2);
    assert_eq!(h.read(10).0, b"ab");
    assert!(h.sock.at_mark());
    assert_eq!(h.sock.recv_urg(&h.world, true), Ok(Some(b'c')));
    assert_eq!(h.sock.recv_urg(&h.world, false), Ok(Some(b'c')));
    assert_eq!(h.sock.recv_urg(&h.world, false), Err(Errno::EINVAL));
    // What is behind it comes without it.
    assert_eq!(h.read(10).0, b"de");
    assert!(!h.sock.at_mark());
}

#[test]
fn recv_urg__inline_byte_stays_in_the_stream() {
    let mut h = established();
    h.world.urg_inline = true;
    urgent(&mut h, IRS + 1, 3, b"abcde");
    assert_eq!(h.sock.recv_urg(&h.world, false), Err(Errno::EINVAL));
    assert_eq!(h.read(10).0, b"ab");
    assert_eq!(h.read(10).0, b"cde");
}

#[test]
fn check_urg__announced_byte_comes_later() {
    let mut h = established();
    urgent(&mut h, IRS + 1, 4, b"ab");
    assert!(!h.sock.urg_valid());
    assert_eq!(h.sock.recv_urg(&h.world, false), Err(Errno::EAGAIN));
    send!(h, A, seq IRS + 3, ack ISS + 1, data b"cdef").unwrap();
    assert_eq!(h.sock.recv_urg(&h.world, false), Ok(Some(b'd')));
    assert_eq!(h.read(10).0, b"abc");
    assert_eq!(h.read(10).0, b"ef");
}

#[test]
fn check_urg__old_data_cannot_be_marked() {
    let mut h = established();
    send!(h, A, seq IRS + 1, ack ISS + 1, data b"abcd").unwrap();
    urgent(&mut h, IRS + 1, 2, b"abcd");
    assert_eq!(h.sock.recv_urg(&h.world, false), Err(Errno::EINVAL));
    assert_eq!(h.read(10).0, b"abcd");
}

#[test]
fn sendmsg__oob_sets_the_pointer_until_it_is_acknowledged() {
    let mut h = established();
    let mut copied = 0;
    let mut msg = MsgIter::Source(b"hello", 0);
    let flags = SendFlags {
        oob: true,
        ..SendFlags::default()
    };
    let step = h.sock.sendmsg(&mut h.world, &mut msg, flags, &mut copied);
    assert_eq!((step, copied), (SendStep::Done, 5));
    let sent = h.sent();
    let [(seg, data)] = &sent[..] else {
        panic!("{sent:?}")
    };
    assert!(seg.flags.has(Flags::URG));
    assert_eq!((seg.urg_ptr, &data[..]), (5, &b"hello"[..]));
    send!(h, A, seq IRS + 1, ack ISS + 6).unwrap();
    h.write(b"more");
    let sent = h.sent();
    assert!(!sent[0].0.flags.has(Flags::URG));
}
