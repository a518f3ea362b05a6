// SPDX-License-Identifier: GPL-2.0
//! What an acknowledgement tells, gathered while it is worked off.

use super::{
    rate::Sample,
    segment::Segment,
    seq::SeqNum,
    skb::Cb,
    sock::Sock, //
};
use crate::stack::time::Instant;

/// What one acknowledgement told (`FLAG_*` of tcp_input.c).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told(u32);

impl Told {
    /// The segment carried data.
    pub(super) const DATA: Told = Told(0x01);
    /// It updated the window, changed or not.
    pub(super) const WIN_UPDATE: Told = Told(0x02);
    /// It acknowledged new data.
    pub(super) const DATA_ACKED: Told = Told(0x04);
    /// It acknowledged data that had been retransmitted.
    pub(super) const RETRANS_DATA_ACKED: Told = Told(0x08);
    /// It acknowledged our SYN.
    pub(super) const SYN_ACKED: Told = Told(0x10);
    /// A SACK block told something new.
    pub(super) const DATA_SACKED: Told = Told(0x20);
    /// A mark of congestion was echoed (RFC 3168).
    pub(super) const ECE: Told = Told(0x40);
    /// A retransmission was found to be lost.
    pub(super) const LOST_RETRANS: Told = Told(0x80);
    /// Data below `high_seq` arrived that were never retransmitted.
    pub(super) const ORIG_SACK_ACKED: Told = Told(0x200);
    /// SND.UNA advanced.
    pub(super) const SND_UNA_ADVANCED: Told = Told(0x400);
    /// It carries a D-SACK.
    pub(super) const DSACKING_ACK: Told = Told(0x800);
    /// The retransmission timer starts anew.
    pub(super) const SET_XMIT_TIMER: Told = Told(0x1000);
    /// The peer acknowledges up to data that it had told to have.
    pub(super) const SACK_RENEGING: Told = Told(0x2000);
    /// The D-SACK is for the tail loss probe.
    pub(super) const DSACK_TLP: Told = Told(0x8000);
    /// The peer may have put the acknowledgement off: its round-trip time says little.
    pub(super) const ACK_MAYBE_DELAYED: Told = Told(0x1_0000);

    /// It acknowledged something new.
    pub(super) const ACKED: Told = Told(0x14);
    /// It cannot be a duplicate.
    pub(super) const NOT_DUP: Told = Told(0x17);
    /// It is not one of the duplicates that are counted: those of a D-SACK are none either.
    pub(super) const NO_DUPACK: Told = Told(0xc17);
    /// Congestion control must look at it.
    pub(super) const CA_ALERT: Told = Told(0x860);
    /// Something reached the peer.
    pub(super) const FORWARD_PROGRESS: Told = Told(0x34);

    /// Whether any of `other` holds.
    #[inline]
    pub(super) const fn has(self, other: Told) -> bool {
        self.0 & other.0 != 0
    }

    #[inline]
    pub(super) fn set(&mut self, other: Told) {
        self.0 |= other.0;
    }

    #[inline]
    pub(super) fn clear(&mut self, other: Told) {
        self.0 &= !other.0;
    }
}

/// An acknowledgement while it is worked off (`struct tcp_sacktag_state`, `struct rate_sample`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Ack {
    pub(super) told: Told,
    pub(super) now: Instant,
    /// SEG.ACK.
    pub(super) seq: SeqNum,
    /// SND.UNA before it.
    pub(super) prior_una: SeqNum,
    /// How far SACK had told before it.
    pub(super) prior_fack: SeqNum,
    /// The echo of our clock, if there is one.
    pub(super) tsecr: Option<u32>,
    /// The lowest number that was told of late and never retransmitted: reordering.
    pub(super) reord: SeqNum,
    /// When the first and the last segment that SACK newly told of were sent, if never retransmitted.
    pub(super) first_sackt: Option<Instant>,
    pub(super) last_sackt: Instant,
    /// Segments that SACK newly told of, those of D-SACK included.
    pub(super) sack_delivered: u32,
    /// Segments that had been delivered when the youngest delivered segment was sent; 0 if unknown.
    pub(super) prior_delivered: u32,
    /// When that one was sent, and where it ends.
    pub(super) last_sent: (Instant, SeqNum),
    /// Round-trip time of the youngest segment, in microseconds.
    pub(super) rtt_us: Option<u32>,
    /// What was measured of the rate of delivery.
    pub(super) rate: Sample,
}

impl Ack {
    pub(super) fn new(now: Instant, seg: &Segment, sock: &Sock) -> Ack {
        Ack {
            told: Told::default(),
            now,
            seq: seg.ack_seq,
            prior_una: sock.snd_una,
            prior_fack: sock.snd_una,
            tsecr: if seg.opts.saw_tstamp && seg.opts.tsecr != 0 {
                Some(seg.opts.tsecr)
            } else {
                None
            },
            reord: sock.snd_nxt,
            first_sackt: None,
            last_sackt: Instant::ZERO,
            sack_delivered: 0,
            prior_delivered: 0,
            last_sent: (Instant::ZERO, SeqNum::default()),
            rtt_us: None,
            rate: Sample::default(),
        }
    }

    /// A segment reached the peer: what it tells of the rate of delivery.
    ///
    /// Mirrors [`tcp_rate_skb_delivered`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    pub(super) fn delivered(&mut self, cb: &Cb) {
        if cb.delivered_us == 0 {
            // SACK has told of it before.
            return;
        }
        let sent = Instant::from_nanos(cb.sent_at);
        let (last, end) = self.last_sent;
        if self.prior_delivered == 0 || sent_after(sent, last, cb.end_seq, end) {
            self.prior_delivered = cb.delivered;
            self.last_sent = (sent, cb.end_seq);
            self.rate.take(cb);
        }
    }
}

/// Whether one segment was sent after another; of two sent at the same moment the later numbers.
///
/// Mirrors [`tcp_skb_sent_after`](srctree/include/net/tcp.h).
#[inline]
pub(super) fn sent_after(t1: Instant, t2: Instant, end1: SeqNum, end2: SeqNum) -> bool {
    t1 > t2 || (t1 == t2 && end1.after(end2))
}
