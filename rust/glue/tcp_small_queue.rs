// SPDX-License-Identifier: GPL-2.0
//! Small queues: a connection that waits for its packets to leave this host before it sends more.
//!
//! ```text
//!   write_xmit ── too much lies in the queues ──▶ throttle        THROTTLED
//!   a packet is freed ──▶ sent ── was throttled ──▶ kick          QUEUED
//!   softirq ──▶ kicked ──▶ tsq_handler ──▶ write_xmit
//! ```
//!
//! Whoever frees a packet may hold the lock of a queueing discipline: nothing can be sent from there.
//!
//! Mirrors [`tcp_wfree`](srctree/net/ipv4/tcp_output.c)

use core::sync::atomic::{
    fence,
    AtomicU8,
    Ordering, //
};

/// More was to be sent than may lie in the queues (`TSQ_THROTTLED`).
const THROTTLED: u8 = 1;
/// Softirq has been asked to send it (`TSQ_QUEUED`).
const QUEUED: u8 = 2;

/// What a connection and those who free its packets tell each other.
#[derive(Default)]
pub(super) struct SmallQueue(AtomicU8);

impl SmallQueue {
    /// The next packet that leaves shall be told of. The caller looks then once more whether enough have left. With
    /// the socket's lock held.
    pub(super) fn throttle(&self) {
        self.0.fetch_or(THROTTLED, Ordering::Relaxed);
        // Pairs with the decrement of the charge in `sock_wfree`, a full barrier: whoever frees the last packet sees
        // the bit, or we see that it is gone.
        fence(Ordering::SeqCst);
    }

    /// Whether a packet that leaves will be told of.
    #[inline]
    pub(super) fn is_throttled(&self) -> bool {
        self.0.load(Ordering::Relaxed) & THROTTLED != 0
    }

    /// A packet has left. Returns whether softirq must be asked to send more. Any context.
    #[inline]
    pub(super) fn sent(&self) -> bool {
        self.is_throttled()
            && self
                .0
                .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |bits| {
                    (bits == THROTTLED).then_some(QUEUED)
                })
                .is_ok()
    }

    /// Softirq is there.
    #[inline]
    pub(super) fn kicked(&self) {
        self.0.fetch_and(!QUEUED, Ordering::AcqRel);
    }
}
