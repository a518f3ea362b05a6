// SPDX-License-Identifier: GPL-2.0
//! When a packet was received, for the reader of a stream (SO_TIMESTAMP, SO_TIMESTAMPING).
//!
//! The device layer stamps packets as soon as any socket asks for it. A reader of a stream is told of the last
//! packet that he was given a byte of.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)

use super::{
    skbuff::SkBuff,
    sock::{
        flag,
        Sk, //
    },
    socket::Msg,
};
use crate::bindings;
use core::ptr::addr_of_mut;
use kernel::ffi::c_long;

/// Nanoseconds of a second.
const NANOS: i64 = 1_000_000_000;
/// Nanoseconds of a microsecond.
const MICRO: i64 = 1000;

/// When a packet was received, in nanoseconds since 1970; 0 where nobody looked at the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RxStamp {
    /// By the host.
    software: i64,
    /// By the device.
    hardware: i64,
}

impl SkBuff {
    /// When the packet was received.
    ///
    /// Mirrors [`tcp_update_recv_tstamps`](srctree/include/net/tcp.h)
    #[inline]
    pub fn rx_stamp(&self) -> RxStamp {
        // SAFETY: The buffer and its shared info are live; both unions hold times in a received packet.
        unsafe {
            RxStamp {
                software: (*self.as_ptr()).__bindgen_anon_2.tstamp,
                hardware: (*self.shinfo())
                    .__bindgen_anon_1
                    .hwtstamps
                    .__bindgen_anon_1
                    .hwtstamp,
            }
        }
    }

    /// The packet has taken in a later one, which was received at `stamp`, if anybody looked.
    ///
    /// Mirrors [`tcp_try_coalesce`](srctree/net/ipv4/tcp_input.c)
    #[inline]
    pub(super) fn join_rx_stamp(&mut self, stamp: RxStamp) {
        if stamp == RxStamp::default() {
            return;
        }
        // SAFETY: As in `rx_stamp`; the packet is exclusively ours.
        unsafe {
            (*self.as_ptr()).__bindgen_anon_2.tstamp = stamp.software;
            let hw = addr_of_mut!((*self.shinfo()).__bindgen_anon_1.hwtstamps.__bindgen_anon_1);
            (*hw).hwtstamp = stamp.hardware;
        }
    }
}

impl Sk {
    /// Whether the user wants to know when data were received.
    #[inline]
    pub fn wants_rx_stamp(&self) -> bool {
        let any = bindings::SOF_TIMESTAMPING_SOFTWARE | bindings::SOF_TIMESTAMPING_RAW_HARDWARE;
        self.flag(flag::RCVTSTAMP) || self.tsflags() & any != 0
    }
}

/// Seconds and a part of a second as the user's 64-bit structures hold them.
fn pair(sec: i64, part: i64) -> [u8; 16] {
    let mut b = [0; 16];
    let (s, p) = b.split_at_mut(8);
    s.copy_from_slice(&sec.to_ne_bytes());
    p.copy_from_slice(&part.to_ne_bytes());
    b
}

// What is called old has `long`s, which is the same here.
const _: () = assert!(size_of::<c_long>() == 8);

impl Msg<'_> {
    /// Tells the user when the data were received that he is given, as `sk`'s options ask for it.
    ///
    /// Mirrors [`tcp_recv_timestamp`](srctree/net/ipv4/tcp.c)
    pub fn put_rx_stamp(&mut self, sk: &Sk, stamp: RxStamp) {
        let new = sk.flag(flag::TSTAMP_NEW);
        let (sec, nsec) = (stamp.software / NANOS, stamp.software % NANOS);
        if stamp.software != 0 && sk.flag(flag::RCVTSTAMP) {
            let (ty, part) = match (sk.flag(flag::RCVTSTAMPNS), new) {
                (true, true) => (bindings::SO_TIMESTAMPNS_NEW, nsec),
                (true, false) => (bindings::SO_TIMESTAMPNS_OLD, nsec),
                (false, true) => (bindings::SO_TIMESTAMP_NEW, nsec / MICRO),
                (false, false) => (bindings::SO_TIMESTAMP_OLD, nsec / MICRO),
            };
            self.put_cmsg(bindings::SOL_SOCKET, ty, &pair(sec, part));
        }
        // Who has filtered for what he asked for gets nothing that another socket asked for.
        let tsflags = sk.tsflags();
        let wants = |report: u32, asked: u32| {
            tsflags & report != 0
                && (tsflags & asked != 0 || tsflags & bindings::SOF_TIMESTAMPING_OPT_RX_FILTER == 0)
        };
        let software = match wants(
            bindings::SOF_TIMESTAMPING_SOFTWARE,
            bindings::SOF_TIMESTAMPING_RX_SOFTWARE,
        ) {
            true => stamp.software,
            false => 0,
        };
        let hardware = match wants(
            bindings::SOF_TIMESTAMPING_RAW_HARDWARE,
            bindings::SOF_TIMESTAMPING_RX_HARDWARE,
        ) {
            true => stamp.hardware,
            false => 0,
        };
        if software == 0 && hardware == 0 {
            return;
        }
        // `struct scm_timestamping`: by the host, unused, by the device.
        let mut times = [0; 48];
        for (to, at) in times.chunks_exact_mut(16).zip([software, 0, hardware]) {
            to.copy_from_slice(&pair(at / NANOS, at % NANOS));
        }
        let ty = match new {
            true => bindings::SO_TIMESTAMPING_NEW,
            false => bindings::SO_TIMESTAMPING_OLD,
        };
        self.put_cmsg(bindings::SOL_SOCKET, ty, &times);
    }
}
