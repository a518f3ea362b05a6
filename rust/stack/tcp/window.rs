// SPDX-License-Identifier: GPL-2.0
//! The window we offer: how much of the receive buffer, and when it may move.

use super::{
    sock::Sock,
    MAX_WINDOW,
    MAX_WSCALE, //
};
use crate::stack::{
    env::Env,
    time::Duration, //
};

/// The part of the receive buffer that is offered as window, the rest being overhead of the buffers
/// that will hold the data: one half (`TCP_DEFAULT_SCALING_RATIO`).
#[inline]
pub(super) fn win_from_space(space: u32) -> u32 {
    space >> 1
}

/// The receive buffer that a window of `win` bytes needs.
#[inline]
fn space_from_win(win: u32) -> u32 {
    win.saturating_mul(2)
}

/// The largest receive buffer that autotuning asks for, in bytes (`tcp_rmem[2]`); glue's limit is the
/// namespace's.
const RMEM_MAX: u32 = 32 << 20;

/// The scale that lets a 16-bit field express a buffer of `space` bytes.
///
/// Mirrors [`tcp_select_initial_window`](srctree/net/ipv4/tcp_output.c).
pub(super) fn select_wscale(space: u32) -> u8 {
    let mut space = win_from_space(space.max(RMEM_MAX));
    let mut scale = 0;
    while space > 65_535 && scale < MAX_WSCALE {
        space >>= 1;
        scale += 1;
    }
    scale
}

/// The window of our SYN or SYN-ACK: a multiple of the MSS, not scaled.
///
/// Mirrors [`tcp_select_initial_window`](srctree/net/ipv4/tcp_output.c).
pub(super) fn initial_window(rcvbuf: u32, mss: u16) -> u32 {
    let mss = u32::from(mss.max(1));
    let space = win_from_space(rcvbuf).min(65_535);
    if space > mss {
        space.wrapping_sub(space.checked_rem(mss).unwrap_or(0))
    } else {
        space
    }
}

impl Sock {
    /// What is left of the window we last offered.
    ///
    /// Mirrors [`tcp_receive_window`](srctree/include/net/tcp.h).
    #[inline]
    pub(super) fn receive_window(&self) -> u32 {
        let win = self.rcv_wup.add(self.rcv_wnd).diff(self.rcv_nxt);
        if win < 0 {
            0
        } else {
            win as u32
        }
    }

    /// The whole receive buffer as window.
    #[inline]
    pub(super) fn full_space<E: Env>(&self, env: &E) -> u32 {
        win_from_space(env.rcvbuf())
    }

    /// The free part of the receive buffer as window.
    #[inline]
    pub(super) fn space<E: Env>(&self, env: &E) -> u32 {
        win_from_space(env.rcvbuf().saturating_sub(env.rmem_alloc()))
    }

    /// The window field of the next segment; remembers what was offered.
    ///
    /// 3.8.6, "shrinking the window" is refused. Mirrors
    /// [`tcp_select_window`](srctree/net/ipv4/tcp_output.c).
    #[inline]
    pub(super) fn select_window<E: Env>(&mut self, env: &mut E) -> u16 {
        let cur = self.receive_window();
        let mut new = self.choose_window(env);
        if new < cur {
            // Never take back what was offered, rounded up to what the scale can say.
            let unit = 1u32 << self.rcv_wscale;
            new = cur.saturating_add(unit.wrapping_sub(1)) & !unit.wrapping_sub(1);
        }
        self.rcv_wnd = new;
        let limit = if self.wscale_ok {
            65_535u32 << self.rcv_wscale
        } else {
            65_535
        };
        (new.min(limit) >> self.rcv_wscale) as u16
    }

    /// The window we would like to offer: free space, in steps worth announcing (receiver's silly
    /// window avoidance, 3.8.6.2.2).
    ///
    /// Mirrors [`__tcp_select_window`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn choose_window<E: Env>(&mut self, env: &E) -> u32 {
        let full = self.full_space(env).min(self.window_clamp);
        let mss = u32::from(self.ack.rcv_mss).min(full);
        let allowed = self.space(env);
        let mut free = allowed;
        if free < (full >> 1) {
            self.ack.quick = 0;
            if env.under_memory_pressure() {
                self.rcv_ssthresh = self.rcv_ssthresh.min(4 * u32::from(self.advmss));
            }
            // Round down to what the scale can express before judging smallness.
            let scale = u32::from(self.rcv_wscale);
            free = (free >> scale) << scale;
            if free < (allowed >> 4) || free < mss {
                return 0;
            }
        }
        free = free.min(self.rcv_ssthresh);
        if self.rcv_wscale != 0 {
            // Round up: the last bytes of the buffer must be offerable.
            let unit = 1u32 << self.rcv_wscale;
            free.saturating_add(unit.wrapping_sub(1)) & !unit.wrapping_sub(1)
        } else {
            let win = self.rcv_wnd;
            if win <= free.saturating_sub(mss) || win > free {
                free.wrapping_sub(free.checked_rem(mss.max(1)).unwrap_or(0))
            } else if mss == full && free > win.saturating_add(full >> 1) {
                free
            } else {
                win
            }
        }
    }

    /// A segment of `len` payload bytes came in a buffer of `truesize` bytes: lets the window grow if
    /// the peer's segments fill their buffers well.
    ///
    /// Mirrors [`tcp_grow_window`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn grow_window<E: Env>(&mut self, env: &E, len: u32, truesize: u32) {
        let room = self
            .window_clamp
            .min(self.space(env))
            .saturating_sub(self.rcv_ssthresh);
        if room == 0 || env.under_memory_pressure() {
            return;
        }
        let incr = if win_from_space(truesize) <= len {
            2 * u32::from(self.advmss)
        } else {
            // Small segments in big buffers: only as far as they would fit at this rate.
            let mut truesize = win_from_space(truesize);
            let mut window = win_from_space(RMEM_MAX) >> 1;
            let mut incr = 0;
            while self.rcv_ssthresh <= window {
                if truesize <= len {
                    incr = 2 * u32::from(self.ack.rcv_mss);
                    break;
                }
                truesize >>= 1;
                window >>= 1;
            }
            incr
        };
        if incr != 0 {
            self.rcv_ssthresh = self
                .rcv_ssthresh
                .saturating_add(room.min(incr.max(2 * len)));
            self.ack.quick |= 1;
        }
    }

    /// Grows the receive buffer with what the user reads in a round trip, so that the window never is
    /// the limit of a fast reader.
    ///
    /// Mirrors [`tcp_rcv_space_adjust`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn rcv_space_adjust<E: Env>(&mut self, env: &mut E) {
        let now = env.now();
        let elapsed = now.since(self.rcvq_space.time);
        if self.rcv_rtt_us == 0 || elapsed < Duration::from_micros(u64::from(self.rcv_rtt_us >> 3))
        {
            return;
        }
        let copied = self.copied_seq.since(self.rcvq_space.seq);
        if copied > self.rcvq_space.space {
            // Twice what was read keeps up with a sender in slow start; some more for what it sends
            // while this is announced.
            let grow = copied.saturating_sub(self.rcvq_space.space);
            let rcvwin = copied
                .saturating_mul(2)
                .saturating_add(16 * u32::from(self.advmss))
                .saturating_add(grow.saturating_mul(2));
            let buf = space_from_win(rcvwin).min(RMEM_MAX);
            if buf > env.rcvbuf() {
                env.set_rcvbuf(buf);
                self.window_clamp = win_from_space(env.rcvbuf()).min(MAX_WINDOW);
            }
            self.rcvq_space.space = copied;
        }
        self.rcvq_space.seq = self.copied_seq;
        self.rcvq_space.time = now;
    }

    /// A round-trip sample of the receiver: a window's worth of data took that long to arrive.
    ///
    /// Mirrors [`tcp_rcv_rtt_measure`, `tcp_rcv_rtt_update`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn rcv_rtt_measure<E: Env>(&mut self, env: &E) {
        let now = env.now();
        if self.rcv_rtt_time.as_nanos() != 0 {
            if self.rcv_nxt.before(self.rcv_rtt_seq) {
                return;
            }
            let us = now.since(self.rcv_rtt_time).as_micros().clamp(1, 1 << 28) as u32;
            self.rcv_rtt_update(us);
        }
        self.rcv_rtt_seq = self.rcv_nxt.add(self.rcv_wnd);
        self.rcv_rtt_time = now;
    }

    /// Keeps the smallest of the receiver's round-trip samples, eight times scaled.
    fn rcv_rtt_update(&mut self, us: u32) {
        let sample = us << 3;
        if self.rcv_rtt_us == 0 || sample < self.rcv_rtt_us {
            self.rcv_rtt_us = sample;
        }
    }

    /// The same from the echo of our timestamp on a full data segment.
    pub(super) fn rcv_rtt_measure_ts<E: Env>(&mut self, env: &E, tsecr: u32, len: u32) {
        if tsecr == 0 || len < u32::from(self.ack.rcv_mss) {
            return;
        }
        let delta = self.tsval(env.now()).wrapping_sub(tsecr);
        if delta < 1 << 18 {
            self.rcv_rtt_update(delta.max(1).saturating_mul(1000));
        }
    }

    /// The connection is established: what the buffers allow from now on.
    ///
    /// Mirrors [`tcp_init_buffer_space`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn init_buffer_space<E: Env>(&mut self, env: &mut E) {
        self.sndbuf_expand(env);
        let full = self.full_space(env);
        let mss = u32::from(self.advmss);
        self.rcvq_space.space = self.rcv_wnd.min(10 * mss);
        self.rcvq_space.seq = self.copied_seq;
        self.rcvq_space.time = env.now();
        self.window_clamp = full.max(mss.saturating_mul(2)).min(MAX_WINDOW);
        self.rcv_ssthresh = self.rcv_ssthresh.max(self.rcv_wnd).min(self.window_clamp);
    }
}
