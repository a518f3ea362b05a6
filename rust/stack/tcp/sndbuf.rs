// SPDX-License-Identifier: GPL-2.0
//! The send buffer: how large it is, and when a writer learns of room in it.

use super::{
    chrono::Kind,
    sock::Sock, //
};
use crate::platform::{MAX_HEADER, SHARED_INFO_SIZE, SK_BUFF_SIZE};
use crate::stack::env::Env;

impl Sock {
    /// Lets writers know of room that acknowledgements made.
    ///
    /// Mirrors [`tcp_check_space`, `tcp_should_expand_sndbuf`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn check_space<E: Env>(&mut self, env: &mut E) {
        if self.check_space {
            self.check_space = false;
            if env.writer_waits() {
                // If the window is full, it is the window that limits, not the buffer.
                if self.packets_in_flight() < self.snd_cwnd && env.buffers_may_grow() {
                    self.sndbuf_expand(env);
                }
                env.write_space();
                // As many bytes free as half of what is queued: the writer goes on.
                let queued = env.wmem_queued();
                if env.sndbuf().saturating_sub(queued) >= queued >> 1 {
                    self.chrono_stop(env.now(), Kind::SndbufLimited);
                }
            }
        }
    }

    /// Grows the send buffer with the congestion window, so that the writer never is the limit: two
    /// windows, one in flight and one to be written while it is.
    ///
    /// Mirrors [`tcp_sndbuf_expand`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn sndbuf_expand<E: Env>(&mut self, env: &mut E) {
        // A full segment's true size, where no packet holds two: its memory comes in powers of two.
        let per_mss = u32::from(self.mss_clamp.max(self.mss_cache))
            .saturating_add((MAX_HEADER + SHARED_INFO_SIZE) as u32)
            .next_power_of_two()
            .saturating_add(SK_BUFF_SIZE as u32);
        let segs = self
            .snd_cwnd
            .max(super::INIT_CWND)
            .max(self.reordering.saturating_add(1));
        let bytes = per_mss.saturating_mul(segs).saturating_mul(2);
        if bytes > env.sndbuf() {
            env.set_sndbuf(bytes);
        }
    }
}
