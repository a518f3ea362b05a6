// SPDX-License-Identifier: GPL-2.0
//! How large a segment may be: the path, the peer, and what the options take.

use super::{
    sock::Sock,
    HEADER_LEN,
    TSTAMP_ALIGNED, //
};
use crate::stack::env::Env;

/// Length of an IPv4 header without options, in bytes.
const IP_HEADER_LEN: u32 = 20;

impl Sock {
    /// Takes a new path MTU or GSO limit into account.
    ///
    /// Mirrors [`tcp_sync_mss`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn sync_mss<E: Env>(&mut self, env: &mut E) {
        let Some(path) = env.path() else { return };
        if path.mtu == self.pmtu && path.gso_max_size == self.gso_max_size {
            return;
        }
        self.pmtu = path.mtu;
        self.gso_max_size = path.gso_max_size;
        let options = if self.ts_ok { TSTAMP_ALIGNED } else { 0 } as u32;
        // 3.7.1: Eff.snd.MSS = min(SendMSS + 20, MMS_S) - TCPhdrsize - IPoptionsize.
        let mss = path
            .mtu
            .saturating_sub(IP_HEADER_LEN + HEADER_LEN as u32)
            .min(u32::from(self.mss_clamp))
            .max(env.sysctl().tcp_min_snd_mss())
            .saturating_sub(options)
            .max(8);
        // A window that never exceeds half the peer's largest keeps the pipe from stalling on one segment.
        let mss = self.bound_to_half_wnd(mss).min(65_000);
        self.mss_cache = mss as u16;
        let segs = path.gso_max_size.checked_div(mss).unwrap_or(1);
        self.gso_segs = segs.clamp(1, u32::from(path.gso_max_segs.max(1))) as u16;
    }

    /// Payload of a full segment that leaves now: SACK blocks that are to be told take room.
    ///
    /// Mirrors [`tcp_current_mss`](srctree/net/ipv4/tcp_output.c).
    #[inline]
    pub(super) fn current_mss(&self) -> u32 {
        let mss = u32::from(self.mss_cache);
        if !self.has_sacks() {
            return mss;
        }
        let blocks = u32::from(self.eff_sacks(self.tstamp_len()).len());
        mss.saturating_sub(4 + 8 * blocks).max(8)
    }

    /// Bytes that the timestamp option takes in every segment.
    #[inline]
    pub(super) fn tstamp_len(&self) -> usize {
        if self.ts_ok {
            TSTAMP_ALIGNED
        } else {
            0
        }
    }

    /// At most half of the largest window that the peer has offered, if that is small.
    ///
    /// Mirrors [`tcp_bound_to_half_wnd`](srctree/include/net/tcp.h).
    fn bound_to_half_wnd(&self, size: u32) -> u32 {
        let cutoff = if self.max_window > 536 {
            self.max_window >> 1
        } else {
            self.max_window
        };
        if cutoff != 0 && size > cutoff {
            cutoff.max(68 - IP_HEADER_LEN - HEADER_LEN as u32)
        } else {
            size
        }
    }

    /// Payload of a full segment on the present path, and how much to gather for one GSO packet.
    ///
    /// Mirrors [`tcp_send_mss`](srctree/net/ipv4/tcp.c).
    #[inline]
    pub(super) fn send_mss<E: Env>(&mut self, env: &mut E) -> (u32, u32) {
        self.sync_mss(env);
        let mss = self.current_mss();
        let goal = mss.saturating_mul(u32::from(self.gso_segs));
        let bound = self.bound_to_half_wnd(goal);
        if bound < goal {
            // Whole segments only.
            let segs = bound.checked_div(mss).unwrap_or(0).max(1);
            return (mss, mss.saturating_mul(segs));
        }
        (mss, goal)
    }
}
