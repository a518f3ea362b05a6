// SPDX-License-Identifier: GPL-2.0
//! The window we offer: how much of the receive buffer, and when it may move.

use super::{
    rcvbuf::tcp_rmem_max,
    sock::Sock,
    MAX_WSCALE, //
};
use crate::stack::{
    counters::Counter,
    env::Env, //
};

/// A window is this many 256ths of the buffer that holds it until the peer's segments show better: one half
/// (`TCP_DEFAULT_SCALING_RATIO`).
pub(super) const DEFAULT_SCALING_RATIO: u8 = 128;
/// The ratio's unit, as a power of two (`TCP_RMEM_TO_WIN_SCALE`).
pub(super) const RMEM_TO_WIN_SCALE: u32 = 8;

/// The part of `space` bytes of receive buffer that may be offered as window, the rest being overhead of the
/// buffers that will hold the data.
///
/// Mirrors [`__tcp_win_from_space`](srctree/include/net/tcp.h).
#[inline]
pub(super) fn win_from_space(scaling_ratio: u8, space: i32) -> i32 {
    // 8 bits more than an `int`, shifted back.
    (i64::from(space).wrapping_mul(i64::from(scaling_ratio)) >> RMEM_TO_WIN_SCALE) as i32
}

/// What the windows of a connection begin with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Initial {
    /// The window to offer, in bytes.
    pub(super) rcv_wnd: u32,
    /// The largest window that will ever be offered.
    pub(super) window_clamp: u32,
    /// The scale to announce; 0 also stands for none.
    pub(super) rcv_wscale: u8,
}

/// What [`select_initial`] must know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    /// The whole receive buffer as window, in bytes.
    pub(super) space: u32,
    /// Payload of the peer's full segments, in bytes; at least 1.
    pub(super) mss: u32,
    /// The largest window that the user wants; 0 if he did not say.
    pub(super) window_clamp: u32,
    /// Whether the window may be scaled.
    pub(super) wscale_ok: bool,
    /// The largest size of a receive buffer (`tcp_rmem[2]`, `rmem_max`), in bytes.
    pub(super) rmem_max: u32,
    /// The window that the route wants to begin with, in segments; 0 if it does not say.
    pub(super) init_rwnd: u32,
}

/// The window of a SYN or SYN-ACK, a multiple of the MSS if it can be, and the scale that lets a 16-bit field
/// express the largest buffer there may be.
///
/// Mirrors [`tcp_select_initial_window`](srctree/net/ipv4/tcp_output.c).
pub(super) fn select_initial(o: &Offer) -> Initial {
    let clamp = if o.window_clamp == 0 {
        65_535 << MAX_WSCALE
    } else {
        o.window_clamp
    };
    let mut rcv_wnd = o.space.min(clamp);
    if rcv_wnd > o.mss {
        rcv_wnd = rcv_wnd.wrapping_sub(rcv_wnd.checked_rem(o.mss).unwrap_or(0));
    }
    let rcv_wscale = if o.wscale_ok {
        let space = rcv_wnd.max(o.rmem_max).min(clamp);
        let scale = space.checked_ilog2().unwrap_or(0).saturating_sub(15);
        scale.min(u32::from(MAX_WSCALE)) as u8
    } else {
        0
    };
    // The scale is for what the window may become.
    if o.init_rwnd != 0 {
        rcv_wnd = rcv_wnd.min(o.init_rwnd.saturating_mul(o.mss));
    }
    Initial {
        rcv_wnd,
        window_clamp: clamp.min(65_535 << rcv_wscale),
        rcv_wscale,
    }
}

impl Sock {
    /// What is left of the window we last offered.
    ///
    /// Mirrors [`tcp_receive_window`](srctree/include/net/tcp.h).
    #[inline]
    pub(super) fn receive_window(&self) -> u32 {
        let win = self.rcv_wup.add(self.rcv_wnd).diff(self.rcv_nxt);
        win.max(0) as u32
    }

    /// What is left of the farthest window that we ever offered: a window that was taken back may still be
    /// used by who heard of it.
    ///
    /// Mirrors [`tcp_max_receive_window`](srctree/include/net/tcp.h).
    #[inline]
    pub(super) fn max_receive_window(&self) -> u32 {
        self.rcv_mwnd_seq.diff(self.rcv_nxt).max(0) as u32
    }

    #[inline]
    fn update_max_rcv_wnd_seq(&mut self) {
        let end = self.rcv_wup.add(self.rcv_wnd);
        if end.after(self.rcv_mwnd_seq) {
            self.rcv_mwnd_seq = end;
        }
    }

    #[inline]
    pub(super) fn win_from_space(&self, space: i32) -> i32 {
        win_from_space(self.scaling_ratio, space)
    }

    /// The whole receive buffer as window.
    #[inline]
    pub(super) fn full_space<E: Env>(&self, env: &E) -> i32 {
        self.win_from_space(env.rcvbuf() as i32)
    }

    /// The free part of the receive buffer as window; negative when more than fits was taken.
    ///
    /// Mirrors [`tcp_space`](srctree/include/net/tcp.h).
    #[inline]
    pub(super) fn space<E: Env>(&self, env: &E) -> i32 {
        self.space_less(env, 0)
    }

    /// The same as if `less` bytes of what is charged to the buffer were not.
    #[inline]
    pub(super) fn space_less<E: Env>(&self, env: &E, less: u32) -> i32 {
        let used = env
            .backlog_len()
            .wrapping_add(env.rmem_alloc())
            .wrapping_sub(less);
        self.win_from_space((env.rcvbuf() as i32).wrapping_sub(used as i32))
    }

    /// The window of our SYN.
    ///
    /// Mirrors [`tcp_connect_init`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn init_window<E: Env>(&mut self, env: &E) {
        let space = self.full_space(env).max(0) as u32;
        let metrics = env.metrics();
        if self.window_clamp == 0 {
            self.window_clamp = metrics.window;
        }
        if env.rcvbuf_locked() && (self.window_clamp > space || self.window_clamp == 0) {
            self.window_clamp = space;
        }
        let initial = select_initial(&Offer {
            space,
            mss: u32::from(self.advmss),
            window_clamp: self.window_clamp,
            wscale_ok: self.wscale_ok,
            rmem_max: tcp_rmem_max(env).max(env.sysctl().rmem_max()),
            init_rwnd: metrics.initrwnd,
        });
        self.rcv_wnd = initial.rcv_wnd;
        self.window_clamp = initial.window_clamp;
        self.rcv_wscale = initial.rcv_wscale;
        self.rcv_ssthresh = self.rcv_wnd;
        self.rcv_mwnd_seq = self.rcv_nxt.add(self.rcv_wnd);
    }

    /// The window field of the next segment; remembers what was offered.
    ///
    /// 3.8.6, "shrinking the window" is refused unless the administrator wants it. Mirrors
    /// [`tcp_select_window`](srctree/net/ipv4/tcp_output.c).
    #[inline]
    pub(super) fn select_window<E: Env>(&mut self, env: &mut E) -> u16 {
        if self.ack.nomem {
            // What was offered could not be kept: say so at once.
            self.rcv_wnd = 0;
            self.rcv_wup = self.rcv_nxt;
            self.update_max_rcv_wnd_seq();
            return 0;
        }
        let old = self.rcv_wnd;
        let cur = self.receive_window();
        let mut new = self.choose_window(env);
        if new < cur && !self.may_shrink(env) {
            // Never take back what was offered, rounded up to what the scale can say.
            if new == 0 {
                env.count(Counter::TcpWantZeroWindowAdv);
            }
            let unit = 1u32 << self.rcv_wscale;
            new = cur.saturating_add(unit.wrapping_sub(1)) & !unit.wrapping_sub(1);
        }
        self.rcv_wnd = new;
        self.rcv_wup = self.rcv_nxt;
        self.update_max_rcv_wnd_seq();
        let field = (new.min(65_535u32 << self.rcv_wscale) >> self.rcv_wscale) as u16;
        if field == 0 {
            if old != 0 {
                env.count(Counter::TcpToZeroWindowAdv);
            }
        } else if old == 0 {
            env.count(Counter::TcpFromZeroWindowAdv);
        }
        field
    }

    /// Whether an offered window may be taken back (`net.ipv4.tcp_shrink_window`).
    #[inline]
    fn may_shrink<E: Env>(&self, env: &E) -> bool {
        self.rcv_wscale != 0 && env.sysctl().tcp_shrink_window() != 0
    }

    /// The window we would like to offer: free space, in steps worth announcing (receiver's silly
    /// window avoidance, 3.8.6.2.2).
    ///
    /// Mirrors [`__tcp_select_window`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn choose_window<E: Env>(&mut self, env: &E) -> u32 {
        let allowed = self.full_space(env);
        let full = allowed.min(self.window_clamp.min(i32::MAX as u32) as i32);
        let mss = i32::from(self.ack.rcv_mss).min(full);
        if mss <= 0 {
            return 0;
        }
        let unit = 1i32 << self.rcv_wscale;
        let up = |n: i32| n.saturating_add(unit.wrapping_sub(1)) & !unit.wrapping_sub(1);
        let down = |n: i32| n & !unit.wrapping_sub(1);
        let shrink = self.may_shrink(env);
        let mut free = self.space(env);
        if shrink {
            free = down(free);
        }
        if free < (full >> 1) {
            self.ack.quick = 0;
            if env.under_memory_pressure() {
                self.adjust_rcv_ssthresh();
            }
            // What is free might become the window: the scale shall not make more of it.
            free = down(free);
            if free < (allowed >> 4) || free < mss || (shrink && free < unit) {
                return 0;
            }
        }
        let ssthresh = self.rcv_ssthresh.min(i32::MAX as u32) as i32;
        if shrink {
            // The threshold is no hard limit, so it may be rounded up.
            return free.min(up(ssthresh)).max(0) as u32;
        }
        free = free.min(ssthresh);
        let win = if self.rcv_wscale != 0 {
            // Round up, or the last bytes of the buffer could never be offered.
            up(free)
        } else {
            let win = self.rcv_wnd.min(i32::MAX as u32) as i32;
            if win <= free.wrapping_sub(mss) || win > free {
                free.wrapping_sub(free.checked_rem(mss).unwrap_or(0))
            } else if mss == full && free > win.saturating_add(full >> 1) {
                free
            } else {
                win
            }
        };
        win.max(0) as u32
    }

    /// Memory is short: the window closes to a few segments.
    ///
    /// Mirrors [`tcp_adjust_rcv_ssthresh`](srctree/include/net/tcp.h).
    pub(super) fn adjust_rcv_ssthresh(&mut self) {
        self.rcv_ssthresh = self.rcv_ssthresh.min(4 * u32::from(self.advmss));
    }
}
