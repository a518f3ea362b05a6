// SPDX-License-Identifier: GPL-2.0
//! Explicit congestion notification: RFC 3168.
//!
//! A router that is about to drop marks instead (CE). The receiver echoes the mark on every segment
//! (ECE) until the sender says that it has reduced its window (CWR).
//!
//! ```text
//!   sender                                 receiver
//!     │── SYN ECE CWR ─────────────────────▶│   wants ECN
//!     │◀───────────────────── SYN ACK ECE ──│   agrees
//!     │── ECT data ──▶ router ── CE data ──▶│   demand_cwr
//!     │◀─────────────────────────── ACK ECE │   on every ACK
//!     │── CWR data ────────────────────────▶│   demand_cwr ends
//! ```
//!
//! Accurate ECN (RFC 9768) is not spoken: who asks for it is answered, and answers, as RFC 3168 says.
//!
//! Mirrors [`tcp_ecn.h`](srctree/include/net/tcp_ecn.h)

use super::{
    segment::Segment,
    skb::Flags,
    sock::Sock, //
};
use crate::platform::Sysctl;
use crate::stack::env::Env;

/// The two bits of the IP header (RFC 3168, 5).
const MASK: u8 = 3;
/// The sender understands ECN.
pub(super) const ECT_0: u8 = 2;
/// Congestion experienced.
const CE: u8 = 3;

/// What a connection knows of ECN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ecn {
    /// Both ends speak it, or we have asked.
    pub(super) ok: bool,
    /// The window was reduced: the next new data say so.
    queue_cwr: bool,
    /// A mark came and the sender has not yet said that it knows.
    demand_cwr: bool,
    /// The peer's data carry ECT.
    pub(super) seen: bool,
}

impl Ecn {
    /// A connection whose handshake is over.
    pub(super) fn new(ok: bool) -> Ecn {
        Ecn {
            ok,
            ..Ecn::default()
        }
    }
}

/// The control bits of a SYN, by `net.ipv4.tcp_ecn`: 1 asks for ECN, and so do 3, which would ask for
/// accurate ECN first, and 4.
///
/// RFC 3168, 6.1.1. Mirrors [`tcp_ecn_send_syn`](srctree/include/net/tcp_ecn.h).
pub(super) fn syn_flags(sysctl: &Sysctl) -> Flags {
    if matches!(sysctl.tcp_ecn(), 1 | 3 | 4) {
        Flags::ECE.and(Flags::CWR)
    } else {
        Flags::NONE
    }
}

/// Whether a SYN asks for ECN and gets it. A SYN must not be ECN-capable itself (RFC 3168, 6.1.1).
///
/// Mirrors [`tcp_ecn_create_request`](srctree/net/ipv4/tcp_input.c).
pub(super) fn requested(sysctl: &Sysctl, seg: &Segment) -> bool {
    seg.flags.has(Flags::ECE)
        && seg.flags.has(Flags::CWR)
        && seg.dsfield & MASK == 0
        && sysctl.tcp_ecn() != 0
}

impl Sock {
    /// The answer to our SYN agrees to ECN, or not. One that reflects all our bits is broken (RFC 3168,
    /// 6.1.1.1).
    ///
    /// Mirrors [`tcp_ecn_rcv_synack`](srctree/include/net/tcp_ecn.h).
    pub(super) fn ecn_rcv_synack(&mut self, seg: &Segment) {
        self.ecn.ok &= seg.flags.has(Flags::ECE) && !seg.flags.has(Flags::CWR);
    }

    /// The same for the peer's own SYN, of a simultaneous open.
    ///
    /// Mirrors [`tcp_ecn_rcv_syn`](srctree/include/net/tcp_ecn.h).
    pub(super) fn ecn_rcv_syn(&mut self, seg: &Segment) {
        self.ecn.ok &= seg.flags.has(Flags::ECE) && seg.flags.has(Flags::CWR);
    }

    /// The bits of our SYN-ACK.
    pub(super) fn ecn_synack_flags(&self) -> Flags {
        if self.ecn.ok {
            Flags::ECE
        } else {
            Flags::NONE
        }
    }

    /// The window has been reduced: the peer may stop echoing.
    ///
    /// Mirrors [`tcp_ecn_queue_cwr`](srctree/include/net/tcp_ecn.h).
    #[inline]
    pub(super) fn ecn_queue_cwr(&mut self) {
        self.ecn.queue_cwr = self.ecn.ok;
    }

    /// The reduction was undone before it was told of.
    ///
    /// Mirrors [`tcp_ecn_withdraw_cwr`](srctree/include/net/tcp_ecn.h).
    #[inline]
    pub(super) fn ecn_withdraw_cwr(&mut self) {
        self.ecn.queue_cwr = false;
    }

    /// Whether an acknowledgement echoes a mark.
    ///
    /// Mirrors [`tcp_ecn_rcv_ecn_echo`](srctree/include/net/tcp_ecn.h).
    #[inline]
    pub(super) fn ecn_rcv_echo(&self, seg: &Segment) -> bool {
        self.ecn.ok && seg.flags.has(Flags::ECE) && !seg.flags.has(Flags::SYN)
    }

    /// The peer has reduced its window. That may be a single segment now: do not let it wait.
    ///
    /// RFC 3168, 6.1.3. Mirrors [`tcp_ecn_accept_cwr`](srctree/include/net/tcp_ecn.h).
    #[inline]
    pub(super) fn ecn_accept_cwr(&mut self, seg: &Segment) {
        if self.ecn.ok && seg.flags.has(Flags::CWR) {
            self.ecn.demand_cwr = false;
            if seg.seq != seg.end_seq {
                self.ack_now = true;
            }
        }
    }

    /// Looks at the mark of data that came.
    ///
    /// RFC 3168, 6.1.3. Mirrors [`tcp_data_ecn_check`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    pub(super) fn data_ecn_check(&mut self, seg: &Segment) {
        if !self.ecn.ok {
            return;
        }
        match seg.dsfield & MASK {
            0 => {
                // Retransmissions are not ECT (RFC 3168, 6.1.5): something was lost, the sender waits.
                if self.ecn.seen {
                    self.enter_quickack_mode();
                }
            }
            CE => {
                if !self.ecn.demand_cwr {
                    self.enter_quickack_mode();
                    self.ecn.demand_cwr = true;
                }
                self.ecn.seen = true;
            }
            _ => self.ecn.seen = true,
        }
    }

    /// The ECN bits of a segment that leaves, in the IP header and beside `flags`: ECT only on new
    /// data (RFC 3168, 6.1.4 and 6.1.5), CWR on the first of them after a reduction, ECE as long as
    /// the peer has not heard of its mark.
    ///
    /// Mirrors [`tcp_ecn_send`](srctree/net/ipv4/tcp_output.c).
    #[inline]
    pub(super) fn ecn_send(&mut self, flags: Flags, new_data: bool) -> (u8, Flags) {
        // A SYN's bits are the negotiation's; a reset has none.
        if !self.ecn.ok || flags.has(Flags::SYN.and(Flags::RST)) {
            return (0, flags);
        }
        let mut flags = flags;
        let mut bits = 0;
        if new_data {
            bits = ECT_0;
            if core::mem::take(&mut self.ecn.queue_cwr) {
                flags = flags.and(Flags::CWR);
            }
        }
        if self.ecn.demand_cwr {
            flags = flags.and(Flags::ECE);
        }
        (bits, flags)
    }
}

/// A SYN that is sent again asks for no ECN, if `net.ipv4.tcp_ecn_fallback` allows that: something on
/// the way may drop such SYNs (RFC 3168, 6.1.1.1).
///
/// Mirrors [`tcp_ecn_clear_syn`](srctree/include/net/tcp_ecn.h).
pub(super) fn clear_syn<E: Env>(env: &E, flags: Flags) -> Flags {
    let asks = flags.has(Flags::SYN) && flags.has(Flags::ECE) && flags.has(Flags::CWR);
    if asks && env.sysctl().tcp_ecn_fallback() != 0 {
        flags.without(Flags::ECE.and(Flags::CWR))
    } else {
        flags
    }
}
