// SPDX-License-Identifier: GPL-2.0
//! `struct tcp_info`.

use super::{sock::Sock, state::State};
use crate::stack::{
    env::Env,
    time::Instant, //
};

/// Length of `struct tcp_info` in Linux 7.3, in bytes.
pub const INFO_LEN: usize = 280;

const OPT_TIMESTAMPS: u8 = 1;
const OPT_SACK: u8 = 2;
const OPT_WSCALE: u8 = 4;
const OPT_ECN: u8 = 8;
const OPT_ECN_SEEN: u8 = 16;
/// The place of `tcpi_delivery_rate_app_limited` in its byte.
const APP_LIMITED_BIT: u8 = if cfg!(target_endian = "little") { 0 } else { 7 };
/// `TCPI_ECN_MODE_RFC3168`.
const MODE_RFC3168: u32 = 1;
/// Where `tcpi_ecn_mode` stands, in bytes.
const ECN_MODE_AT: usize = 276;

/// The bytes of a `struct tcp_info`, in the machine's byte order.
pub struct Info(pub [u8; INFO_LEN]);

/// Writes the fields one behind the other, as the struct lays them out.
struct Writer {
    bytes: [u8; INFO_LEN],
    at: usize,
}

impl Writer {
    fn put(&mut self, field: &[u8]) {
        let end = self.at.saturating_add(field.len());
        if let Some(slot) = self.bytes.get_mut(self.at..end) {
            slot.copy_from_slice(field);
        }
        self.at = end;
    }

    fn u32s(&mut self, fields: &[u32]) {
        for f in fields {
            self.put(&f.to_ne_bytes());
        }
    }

    fn u64s(&mut self, fields: &[u64]) {
        for f in fields {
            self.put(&f.to_ne_bytes());
        }
    }
}

impl Sock {
    /// What TCP_INFO tells of this connection. Fields that have no meaning here are zero.
    ///
    /// Mirrors [`tcp_get_info`](srctree/net/ipv4/tcp.c).
    pub fn info<E: Env>(&self, env: &E) -> Info {
        let now = env.now();
        let ms = |at: Instant| now.since(at).as_millis().min(u64::from(u32::MAX)) as u32;
        let us = |us: u64| us.min(u64::from(u32::MAX)) as u32;
        let mut options = 0;
        if self.ts_ok {
            options |= OPT_TIMESTAMPS;
        }
        if self.sack_ok {
            options |= OPT_SACK;
        }
        if self.wscale_ok {
            options |= OPT_WSCALE;
        }
        if self.ecn.ok {
            options |= OPT_ECN;
        }
        if self.ecn.seen {
            options |= OPT_ECN_SEEN;
        }
        let times = self.chrono.times(now);
        let mut w = Writer {
            bytes: [0; INFO_LEN],
            at: 0,
        };
        w.put(&[
            self.state as u8,
            self.ca_state as u8,
            self.retransmits,
            self.probes_out,
            self.backoff,
            options,
            // Bit fields: the first one is the low half on a little-endian machine.
            if cfg!(target_endian = "little") {
                self.snd_wscale | (self.rcv_wscale << 4)
            } else {
                self.rcv_wscale | (self.snd_wscale << 4)
            },
            u8::from(self.rate.is_app_limited) << APP_LIMITED_BIT,
        ]);
        let connecting = matches!(self.state, State::SynSent | State::SynRecv);
        let notsent = if connecting {
            0
        } else {
            self.write_seq.since(self.snd_nxt)
        };
        w.u32s(&[
            us(self.backed_off_rto().as_micros()),
            us(self.ack.ato.as_micros()),
            u32::from(self.mss_cache),
            u32::from(self.ack.rcv_mss),
            self.packets_out,
            self.sacked_out,
            self.lost_out,
            self.retrans_out,
            0,
            ms(self.lsndtime),
            0,
            ms(self.ack.lrcvtime),
            ms(self.rcv_tstamp),
            self.pmtu,
            self.rcv_ssthresh,
            self.srtt_us >> 3,
            self.mdev_us >> 2,
            self.snd_ssthresh,
            self.snd_cwnd,
            u32::from(self.advmss),
            self.reordering,
            self.rcv_rtt_us >> 3,
            self.rcvq_space.space,
            self.stats.total_retrans,
        ]);
        w.u64s(&[
            env.pacing_rate(),
            env.max_pacing_rate(),
            self.stats.bytes_acked,
            self.stats.bytes_received,
        ]);
        w.u32s(&[
            self.stats.segs_out,
            self.stats.segs_in,
            notsent,
            self.min_rtt.get(),
            self.stats.data_segs_in,
            self.stats.data_segs_out,
        ]);
        w.u64s(&[
            self.delivery_rate(),
            times.busy,
            times.rwnd_limited,
            times.sndbuf_limited,
        ]);
        w.u32s(&[self.stats.delivered, self.stats.delivered_ce]);
        w.u64s(&[self.stats.bytes_sent, self.stats.bytes_retrans]);
        w.u32s(&[
            self.stats.dsack_dups,
            self.reord_seen,
            self.stats.rcv_ooopack,
            self.snd_wnd,
            self.rcv_wnd,
            0,
        ]);
        if self.ecn.ok {
            w.at = ECN_MODE_AT;
            w.u32s(&[MODE_RFC3168]);
        }
        Info(w.bytes)
    }
}
