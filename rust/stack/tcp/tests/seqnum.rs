// SPDX-License-Identifier: GPL-2.0
//! Properties: the arithmetic of sequence numbers, options of any bytes, and the reassembly of data
//! that come in any order, any overlap, any number of times.

use super::script::*;
use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn seqnum__before_and_after(a in any::<u32>(), d in 1u32..0x8000_0000) {
        let (a, b) = (SeqNum::new(a), SeqNum::new(a.wrapping_add(d)));
        prop_assert!(b.after(a) && a.before(b) && !a.after(b) && !b.before(a));
        prop_assert!(!a.before(a) && !a.after(a));
        prop_assert_eq!(b.since(a), d);
        prop_assert_eq!(a.add(d), b);
        prop_assert_eq!(b.sub(d), a);
        prop_assert_eq!(a.later(b), b);
        prop_assert_eq!(b.diff(a), d as i32);
    }

    #[test]
    fn seqnum__between_is_closed(low in any::<u32>(), len in any::<u32>(), at in any::<u32>()) {
        let (l, h) = (SeqNum::new(low), SeqNum::new(low.wrapping_add(len)));
        let x = SeqNum::new(low.wrapping_add(at));
        prop_assert_eq!(x.between(l, h), at <= len);
    }

    #[test]
    fn segment__parse_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let mut skb = Skb::from_bytes(&bytes);
        if let Ok(seg) = Segment::parse(&mut skb) {
            prop_assert!(usize::from(seg.doff) <= bytes.len() && seg.doff >= 20);
            prop_assert_eq!(seg.len as usize + usize::from(seg.doff), bytes.len());
            prop_assert!(seg.opts.wscale.unwrap_or(0) <= MAX_WSCALE);
        }
    }

    /// Pieces of a stream in any order: what is read is the stream, and what is charged is returned.
    #[test]
    fn data__any_order_any_overlap(
        pieces in proptest::collection::vec((0usize..3000, 1usize..600), 1..60),
        reads in any::<bool>(),
        start in any::<u32>(),
    ) {
        let stream = pattern(4000);
        let mut h = syn_sent();
        send!(h, SA, seq start, ack ISS + 1, mss 1460).unwrap();
        let at = |offset: usize| start.wrapping_add(1).wrapping_add(offset as u32);
        let mut have = vec![false; 4000];
        let mut got = Vec::new();
        let deliver = |h: &mut Host, from: usize, to: usize| {
            let seg = Seg { seq: at(from), ack: ISS + 1, ..Seg::new("A") };
            let mut bytes = seg.bytes();
            bytes.extend_from_slice(&stream[from..to]);
            let _ = h.deliver(&bytes);
        };
        for (from, len) in pieces {
            let to = (from + len).min(stream.len());
            deliver(&mut h, from, to);
            have[from..to].fill(true);
            let edge = have.iter().position(|b| !b).unwrap_or(have.len());
            prop_assert_eq!(h.sock.rcv_nxt.get(), at(edge));
            prop_assert!(h.sock.unread() as usize + got.len() == edge);
            if reads {
                got.extend(h.read(10_000).0);
                prop_assert_eq!(got.len(), edge);
            }
        }
        // Then the whole, in segments.
        for from in (0..stream.len()).step_by(1000) {
            deliver(&mut h, from, from + 1000);
        }
        got.extend(h.read(10_000).0);
        prop_assert!(got == stream);
        prop_assert!(h.sock.ooo.is_empty());
        prop_assert_eq!(h.world.rmem.get(), 0);
        done(h);
    }

    /// The window that is offered never shrinks: its right edge does not move left (RFC 9293, 3.8.6).
    #[test]
    fn window__right_edge_never_moves_left(
        steps in proptest::collection::vec((1usize..1460, 0usize..3000), 1..80),
    ) {
        let mut h = established();
        h.sent();
        let mut seq = IRS + 1;
        let mut edge = SeqNum::new(h.sock.rcv_wup.get()).add(h.sock.rcv_wnd);
        let zeros = vec![0u8; 1460];
        for (len, read) in steps {
            let window = h.sock.receive_window();
            let len = len.min(window as usize);
            if len != 0 {
                let mut bytes = Seg { seq, ack: ISS + 1, ..Seg::new("A") }.bytes();
                bytes.extend_from_slice(&zeros[..len]);
                let taken = h.deliver(&bytes).is_ok();
                if taken {
                    seq = h.sock.rcv_nxt.get();
                }
            }
            h.read(read);
            if let Some(at) = h.next_deadline() {
                h.world.now = at;
                h.sock.on_timer(&mut h.world);
            }
            for (s, _) in h.sent() {
                let new = s.ack_seq.add(u32::from(s.window));
                prop_assert!(!new.before(edge), "{new:?} before {edge:?}");
                edge = new;
            }
        }
        done(h);
    }
}
