// SPDX-License-Identifier: GPL-2.0
//! Counters: what the driver counts, and what the card does.

use crate::abstractions::lock::Lock;
use crate::abstractions::netdev::Stats;
use crate::hw::Hw;
use crate::regs::counter::{
    names::*,
    ALL,
    COUNT,
    OCTETS, //
};
use core::ffi::CStr;
use core::sync::atomic::{
    AtomicU64,
    Ordering, //
};

/// A counter with one writer at a time.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`; by whoever holds what guards the counter's writing.
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        let sum = self.0.load(Ordering::Relaxed).wrapping_add(n);
        self.0.store(sum, Ordering::Relaxed);
    }

    /// The count.
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the driver counts.
#[derive(Default)]
#[allow(missing_docs)]
pub(crate) struct Soft {
    /// Written by NAPI.
    pub(crate) rx_packets: Counter,
    pub(crate) rx_bytes: Counter,
    pub(crate) tx_packets: Counter,
    pub(crate) tx_bytes: Counter,
    /// Frames for which there was no memory.
    pub(crate) rx_dropped: Counter,
    /// Frames that the card called damaged.
    pub(crate) rx_bad_frames: Counter,
    /// Descriptors that claimed a length that cannot be.
    pub(crate) rx_bad_lengths: Counter,
    /// Frames that did not end.
    pub(crate) rx_endless: Counter,
    pub(crate) rx_csum_good: Counter,
    pub(crate) rx_csum_bad: Counter,
    /// Times when a place of the ring could not be filled.
    pub(crate) rx_no_page: Counter,
    /// Times when the card had no place left.
    pub(crate) rx_starved: Counter,
    /// Written under the transmit lock, but for the restarts by NAPI, which are rare enough to lose one.
    pub(crate) tx_dropped: Counter,
    pub(crate) tx_restart: Counter,
    /// Written by the kernel's own watchdog.
    pub(crate) tx_timeouts: Counter,
}

/// What the card counts, gathered before its registers run over.
pub(crate) struct Hard(Lock<[u64; COUNT]>);

impl Default for Hard {
    fn default() -> Self {
        Hard(Lock::new([0; COUNT]))
    }
}

impl Hard {
    /// Adds what the card has counted since the last time.
    ///
    /// Mirrors [`e1000_update_stats`](srctree/drivers/net/ethernet/intel/e1000/e1000_main.c)
    pub(crate) fn gather(&self, hw: &Hw) {
        let mut sums = self.0.lock();
        let (words, octets) = sums.split_at_mut(ALL.len());
        for (sum, at) in words.iter_mut().zip(ALL) {
            let n = hw.read_at(at);
            // A card that is gone reads as all ones.
            if n != !0 {
                *sum = sum.wrapping_add(n.into());
            }
        }
        for (sum, low) in octets.iter_mut().zip(OCTETS) {
            let (l, h) = (hw.read_at(low), hw.read_at(low.index(1, 2)));
            if h != !0 {
                *sum = sum.wrapping_add(u64::from(h) << 32 | u64::from(l));
            }
        }
    }

    fn snapshot(&self) -> [u64; COUNT] {
        *self.0.lock()
    }
}

/// What `ip -s link` shows.
pub(crate) fn link(soft: &Soft, hard: &Hard) -> Stats {
    let h = hard.snapshot();
    let n = |i: usize| h.get(i).copied().unwrap_or(0);
    let bad = soft
        .rx_bad_lengths
        .get()
        .wrapping_add(soft.rx_endless.get());
    let lengths = n(RUC).wrapping_add(n(ROC)).wrapping_add(bad);
    Stats {
        rx_packets: soft.rx_packets.get(),
        tx_packets: soft.tx_packets.get(),
        rx_bytes: soft.rx_bytes.get(),
        tx_bytes: soft.tx_bytes.get(),
        rx_errors: [RXERRC, CRCERRS, ALGNERRC, CEXTERR]
            .into_iter()
            .fold(lengths, |sum, i| sum.wrapping_add(n(i))),
        tx_errors: n(ECOL).wrapping_add(n(LATECOL)),
        rx_dropped: soft.rx_dropped.get(),
        tx_dropped: soft.tx_dropped.get(),
        multicast: n(MPRC),
        collisions: n(COLC),
        rx_length_errors: lengths,
        rx_crc_errors: n(CRCERRS),
        rx_frame_errors: n(ALGNERRC),
        rx_missed_errors: n(MPC),
        tx_aborted_errors: n(ECOL),
        tx_carrier_errors: n(TNCRS),
        tx_window_errors: n(LATECOL),
    }
}

/// Names of what `ethtool -S` shows, in the order of [`ethtool`]: those of the C driver, and behind them
/// what only this one counts.
pub(crate) const NAMES: &[&CStr] = &[
    c"rx_packets",
    c"tx_packets",
    c"rx_bytes",
    c"tx_bytes",
    c"rx_broadcast",
    c"tx_broadcast",
    c"rx_multicast",
    c"tx_multicast",
    c"rx_errors",
    c"tx_errors",
    c"tx_dropped",
    c"multicast",
    c"collisions",
    c"rx_length_errors",
    c"rx_crc_errors",
    c"rx_frame_errors",
    c"rx_no_buffer_count",
    c"rx_missed_errors",
    c"tx_aborted_errors",
    c"tx_carrier_errors",
    c"tx_window_errors",
    c"tx_deferred_ok",
    c"tx_single_coll_ok",
    c"tx_multi_coll_ok",
    c"tx_timeout_count",
    c"tx_restart_queue",
    c"rx_long_length_errors",
    c"rx_short_length_errors",
    c"rx_jabber_errors",
    c"rx_align_errors",
    c"tx_tcp_seg_good",
    c"tx_tcp_seg_failed",
    c"rx_flow_control_xon",
    c"rx_flow_control_xoff",
    c"tx_flow_control_xon",
    c"tx_flow_control_xoff",
    c"rx_csum_offload_good",
    c"rx_csum_offload_errors",
    c"alloc_rx_buff_failed",
    c"rx_ring_empty",
    c"rx_bad_frames",
    c"rx_bad_descriptor_length",
    c"rx_endless_frames",
];

/// The values for [`NAMES`], through `put`.
pub(crate) fn ethtool(soft: &Soft, hard: &Hard, put: &mut dyn FnMut(u64)) {
    let h = hard.snapshot();
    let n = |i: usize| h.get(i).copied().unwrap_or(0);
    let link = link(soft, hard);
    for value in [
        n(GPRC),
        n(GPTC),
        n(GORC),
        n(GOTC),
        n(BPRC),
        n(BPTC),
        n(MPRC),
        n(MPTC),
        link.rx_errors,
        link.tx_errors,
        link.tx_dropped,
        n(MPRC),
        n(COLC),
        n(RLEC),
        n(CRCERRS),
        n(ALGNERRC),
        n(RNBC),
        n(MPC),
        n(ECOL),
        n(TNCRS),
        n(LATECOL),
        n(DC),
        n(SCC),
        n(MCC),
        soft.tx_timeouts.get(),
        soft.tx_restart.get(),
        n(ROC),
        n(RUC),
        n(RJC),
        n(ALGNERRC),
        n(TSCTC),
        n(TSCTFC),
        n(XONRXC),
        n(XOFFRXC),
        n(XONTXC),
        n(XOFFTXC),
        soft.rx_csum_good.get(),
        soft.rx_csum_bad.get(),
        soft.rx_no_page.get(),
        soft.rx_starved.get(),
        soft.rx_bad_frames.get(),
        soft.rx_bad_lengths.get(),
        soft.rx_endless.get(),
    ] {
        put(value);
    }
}
