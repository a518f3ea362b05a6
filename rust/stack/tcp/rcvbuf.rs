// SPDX-License-Identifier: GPL-2.0
//! The receive buffer: how large it must be for the window to be no limit, how much window it can hold, and
//! what is learnt of the peer's segments for that.

use super::{
    segment::Segment,
    skb::Flags,
    sock::Sock,
    HEADER_LEN,
    INIT_CWND,
    MAX_WINDOW,
    MIN_MSS,
    MSS_DEFAULT,
    TSTAMP_ALIGNED, //
};
use crate::platform::SkBuff;
use crate::stack::{
    env::Env,
    time::Duration, //
};

/// The largest receive buffer that autotuning asks for, in bytes.
#[inline]
pub(super) fn tcp_rmem_max<E: Env>(env: &E) -> u32 {
    let [_, _, max] = env.sysctl().tcp_rmem();
    max
}

/// A received packet as the estimates of window and segment size see it, taken before it is joined to others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    /// Bytes of payload.
    pub(super) len: u32,
    /// The memory it occupies, in bytes.
    pub(super) truesize: u32,
    /// The same without its head, if that holds no payload.
    pub(super) frag_truesize: u32,
    /// Payload of each of the segments that it was made of; 0 if it is one.
    pub(super) gso_size: u16,
}

impl Arrived {
    /// Of a packet whose data begin with the payload.
    #[inline]
    pub(super) fn new(skb: &SkBuff) -> Arrived {
        Arrived {
            len: skb.len() as u32,
            truesize: skb.truesize() as u32,
            frag_truesize: skb.frag_truesize() as u32,
            gso_size: skb.gso_size(),
        }
    }
}

impl Sock {
    /// The receive buffer that a window of `win` bytes needs.
    ///
    /// Mirrors [`tcp_space_from_win`](srctree/include/net/tcp.h).
    fn space_from_win(&self, win: u32) -> u32 {
        let space = u64::from(win) << super::window::RMEM_TO_WIN_SCALE;
        let space = space.checked_div(u64::from(self.scaling_ratio));
        space.unwrap_or(0).min(i32::MAX as u64) as u32
    }

    /// The receive buffer was overrun: makes it as large as what is in it, if it may grow, or else closes the
    /// window.
    ///
    /// Mirrors [`tcp_clamp_window`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn clamp_window<E: Env>(&mut self, env: &mut E) {
        self.ack.quick = 0;
        let used = env.rmem_alloc();
        if env.buffers_may_grow() {
            env.set_rcvbuf(used);
        }
        if used > env.rcvbuf() {
            self.rcv_ssthresh = self.window_clamp.min(2 * u32::from(self.advmss));
        }
    }

    /// A first guess at the peer's segment size, too small rather than too large.
    ///
    /// Mirrors [`tcp_initialize_rcv_mss`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn initialize_rcv_mss(&mut self) {
        let hint = u32::from(self.advmss.min(self.mss_cache)).min(self.rcv_wnd >> 1);
        self.ack.rcv_mss = hint.min(u32::from(MSS_DEFAULT)).max(u32::from(MIN_MSS)) as u16;
    }

    /// A packet came: lets the window grow if the peer's packets fill their buffers well. With `adjust` a head
    /// without payload does not count, for it goes when packets are joined; `charged` bytes of what is charged to
    /// the buffer are left out of account.
    ///
    /// Mirrors [`tcp_grow_window`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn grow_window<E: Env>(
        &mut self,
        env: &E,
        skb: &Arrived,
        adjust: bool,
        charged: u32,
    ) {
        let space = self.space_less(env, charged);
        let room = i64::from(self.window_clamp)
            .min(i64::from(space))
            .wrapping_sub(i64::from(self.rcv_ssthresh));
        if room <= 0 {
            return;
        }
        if env.under_memory_pressure() {
            self.adjust_rcv_ssthresh();
            return;
        }
        let truesize = if adjust && skb.frag_truesize >= skb.len {
            skb.frag_truesize
        } else {
            skb.truesize
        };
        let len = skb.len as i32;
        let mut truesize = self.win_from_space(truesize as i32);
        let incr = if truesize <= len {
            2 * u32::from(self.advmss)
        } else {
            // Small packets in big buffers: only as far as they would fit at this rate.
            let mut window = self.win_from_space(tcp_rmem_max(env) as i32) >> 1;
            let mut incr = 0;
            truesize >>= 1;
            while i64::from(self.rcv_ssthresh) <= i64::from(window) {
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
            let incr = incr.max(skb.len.saturating_mul(2));
            let room = room.min(i64::from(u32::MAX)) as u32;
            self.rcv_ssthresh = self.rcv_ssthresh.saturating_add(room.min(incr));
            self.ack.quick |= 1;
        }
    }

    /// Estimates the peer's segment size, which decides when an ACK is owed, and how well its packets fill
    /// their buffers, which decides how much window a buffer can hold.
    ///
    /// Mirrors [`tcp_measure_rcv_mss`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn measure_rcv_mss<E: Env>(&mut self, env: &E, seg: &Segment, skb: &Arrived) {
        let lss = self.ack.last_seg_size;
        self.ack.last_seg_size = 0;
        // The size may jitter with the options although the peer's segments are full.
        let len = match skb.gso_size {
            0 => skb.len,
            size => u32::from(size),
        };
        if len >= u32::from(self.ack.rcv_mss) {
            if len != u32::from(self.ack.rcv_mss) {
                self.measure_ratio(env, skb);
            }
            self.ack.rcv_mss = len.min(u32::from(self.advmss)) as u16;
            // Exactly one segment with PSH ends what the peer wrote: more may not come soon, and it may wait
            // for the ACK.
            if seg.flags.has(Flags::PSH) {
                self.ack.pushed = true;
            }
            return;
        }
        let header = u32::from(seg.doff);
        let with_header = len.saturating_add(header);
        let remnant = Flags::FIN.and(Flags::URG).and(Flags::SYN).and(Flags::PSH);
        if with_header >= u32::from(MSS_DEFAULT) + HEADER_LEN as u32
            || (with_header >= u32::from(MIN_MSS) + HEADER_LEN as u32 && !seg.flags.has(remnant))
        {
            // Without the options that every segment has, SACK blocks left out of account.
            let options = if self.ts_ok { TSTAMP_ALIGNED } else { 0 };
            let size = with_header.saturating_sub((HEADER_LEN + options) as u32);
            self.ack.last_seg_size = size.min(u32::from(u16::MAX)) as u16;
            if size == u32::from(lss) {
                self.ack.rcv_mss = lss;
                return;
            }
        }
        if self.ack.pushed {
            self.ack.pushed2 = true;
        }
        self.ack.pushed = true;
    }

    #[cold]
    fn measure_ratio<E: Env>(&mut self, env: &E, skb: &Arrived) {
        let ratio = (u64::from(skb.len) << super::window::RMEM_TO_WIN_SCALE)
            .checked_div(u64::from(skb.truesize))
            .unwrap_or(0);
        // The kernel's, too, is a `u8`; a packet is never larger than its memory.
        let ratio = ratio.clamp(1, 255) as u8;
        if ratio != self.scaling_ratio {
            self.scaling_ratio = ratio;
            self.window_clamp = self.full_space(env).max(0) as u32;
            self.rcvq_space.space = self.rcvq_space.space.min(self.window_clamp);
        }
    }

    /// Grows the receive buffer with what the user reads in a round trip, so that the window never is
    /// the limit of a fast reader.
    ///
    /// Mirrors [`tcp_rcv_space_adjust`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn rcv_space_adjust<E: Env>(&mut self, env: &mut E) {
        if self.rcv_rtt_us == 0 {
            return;
        }
        let now = env.now();
        let rtt = Duration::from_micros(u64::from(self.rcv_rtt_us >> 3));
        if now.since(self.rcvq_space.time) < rtt {
            return;
        }
        let copied = self.copied_seq.diff(self.rcvq_space.seq);
        let inq = self.rcv_nxt.diff(self.copied_seq);
        let copied = copied.saturating_sub(inq).max(0) as u32;
        if copied > self.rcvq_space.space {
            self.rcvbuf_grow(env, copied);
        }
        self.rcvq_space.seq = self.copied_seq;
        self.rcvq_space.time = now;
    }

    /// Grows the receive buffer for a reader who takes `space` bytes in a round trip.
    ///
    /// Mirrors [`tcp_rcvbuf_grow`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn rcvbuf_grow<E: Env>(&mut self, env: &mut E, space: u32) {
        let old = self.rcvq_space.space;
        self.rcvq_space.space = space;
        if env.rcvbuf_locked() || env.sysctl().tcp_moderate_rcvbuf() == 0 {
            return;
        }
        // The measurement is a round trip late.
        let mut window = u64::from(space) << 1;
        let rtt_us = self.rcv_rtt_us >> 3;
        let low = env
            .sysctl()
            .tcp_rcvbuf_low_rtt()
            .as_micros()
            .min(u64::from(u32::MAX)) as u32;
        let grow = if rtt_us < low {
            // Where the round trip is short a buffer is filled soon whatever its size; a small one stays in
            // the caches.
            window
                .saturating_mul(u64::from(rtt_us))
                .checked_div(u64::from(low))
        } else {
            // Slow start: the sender may double its rate.
            (window << 1)
                .saturating_mul(u64::from(space.saturating_sub(old)))
                .checked_div(u64::from(old))
        };
        window = window.saturating_add(grow.unwrap_or(0));
        if let Some(last) = self.ooo.last() {
            window = window.saturating_add(u64::from(last.tcp_cb().end_seq.since(self.rcv_nxt)));
        }
        let window = window.min(u64::from(MAX_WINDOW)) as u32;
        let rcvbuf = self.space_from_win(window).min(tcp_rmem_max(env));
        if rcvbuf > env.rcvbuf() {
            env.set_rcvbuf(rcvbuf);
            self.window_clamp = self.win_from_space(rcvbuf as i32).max(0) as u32;
        }
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
            self.rcv_rtt_update(us, true);
        }
        self.rcv_rtt_seq = self.rcv_nxt.add(self.rcv_wnd);
        self.rcv_rtt_time = now;
    }

    /// Takes a sample of the receiver's round trip, which is kept eight times scaled. One that depends on the
    /// window (`win_dep`) counts only if it is the smallest, for the application may have caused it.
    ///
    /// Mirrors [`tcp_rcv_rtt_update`](srctree/net/ipv4/tcp_input.c).
    fn rcv_rtt_update(&mut self, us: u32, win_dep: bool) {
        let old = self.rcv_rtt_us;
        let scaled = us.saturating_mul(8);
        self.rcv_rtt_us = if old == 0 || scaled < old {
            scaled
        } else if win_dep || self.rcv_nxt != self.copied_seq {
            return;
        } else {
            old.wrapping_sub(old >> 3).saturating_add(us)
        };
    }

    /// The same from the echo of our timestamp on a full data segment.
    ///
    /// Mirrors [`tcp_rcv_rtt_measure_ts`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    pub(super) fn rcv_rtt_measure_ts<E: Env>(&mut self, env: &E, seg: &Segment) {
        let tsecr = seg.opts.tsecr;
        if tsecr == self.rcv_rtt_last_tsecr {
            return;
        }
        self.rcv_rtt_last_tsecr = tsecr;
        if seg.end_seq.since(seg.seq) < u32::from(self.ack.rcv_mss) {
            return;
        }
        let ms = self.tsval(env.now()).wrapping_sub(tsecr);
        // Half the clock's range away is a lie or a very old echo.
        if ms != 0 && ms < (i32::MAX as u32) / 1000 {
            self.rcv_rtt_update(ms.wrapping_mul(1000), false);
        }
    }

    /// The connection is established: what the buffers allow from now on.
    ///
    /// Mirrors [`tcp_init_buffer_space`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn init_buffer_space<E: Env>(&mut self, env: &mut E) {
        self.sndbuf_expand(env);
        self.rcvq_space.seq = self.copied_seq;
        self.rcvq_space.time = env.now();
        let mss = u32::from(self.advmss);
        let max = self.full_space(env).max(0) as u32;
        let app_win = u32::from(env.sysctl().tcp_app_win());
        if self.window_clamp >= max {
            self.window_clamp = max;
            if app_win != 0 && max > 4 * mss {
                let reserve = max.checked_shr(app_win).unwrap_or(0);
                self.window_clamp = max.wrapping_sub(reserve).max(4 * mss);
            }
        }
        // One segment is kept in reserve.
        if app_win != 0
            && self.window_clamp > 2 * mss
            && self.window_clamp.saturating_add(mss) > max
        {
            self.window_clamp = max.saturating_sub(mss).max(2 * mss);
        }
        self.rcv_ssthresh = self.rcv_ssthresh.min(self.window_clamp);
        self.rcvq_space.space = self
            .rcv_ssthresh
            .min(self.rcv_wnd)
            .min(INIT_CWND.saturating_mul(mss));
    }
}
