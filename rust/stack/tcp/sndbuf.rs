// SPDX-License-Identifier: GPL-2.0
//! The send buffer: how large it is, and when a writer learns of room in it.

use super::{
    chrono::Kind,
    sock::Sock, //
};
use crate::stack::env::Env;

impl Sock {
    /// Lets writers know of room that acknowledgements made.
    ///
    /// Mirrors [`tcp_check_space`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn check_space<E: Env>(&mut self, env: &mut E) {
        if self.check_space {
            self.check_space = false;
            if env.writer_waits() {
                self.sndbuf_expand(env);
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
        // A full segment's true size: payload, headers, and the buffer's own structures.
        let per_mss = u32::from(self.mss_clamp.max(self.mss_cache))
            .min(65_000)
            .saturating_add(320 + 768)
            .next_power_of_two();
        let segs = self.snd_cwnd.max(super::INIT_CWND);
        let bytes = per_mss.saturating_mul(segs).saturating_mul(2);
        if bytes > env.sndbuf() {
            env.set_sndbuf(bytes);
        }
    }
}
