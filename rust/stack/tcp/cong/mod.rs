// SPDX-License-Identifier: GPL-2.0
//! Congestion control: how the window grows, and what a loss costs.
//!
//! An algorithm is a value inside the connection. It sees the window through a [`Ctx`] and never
//! touches the queues: detecting losses and retransmitting are `recovery`'s, and `cwnd` carries the
//! calls from the connection to here.

mod cubic;
mod hystart;
mod reno;

pub use cubic::Cubic;
pub use hystart::Exit;
pub use reno::Reno;

use super::{
    seq::SeqNum,
    state::CaState, //
};
use crate::platform::Sysctl;
use crate::stack::time::Instant;

/// What an algorithm may know and change of the connection (`struct tcp_sock`'s part).
#[derive(Clone, Copy, Debug)]
pub struct Ctx {
    /// The congestion window, in segments. May be changed.
    pub cwnd: u32,
    /// The slow-start threshold, in segments. May be changed.
    pub ssthresh: u32,
    /// Segments acknowledged towards the next step of congestion avoidance. May be changed.
    pub cwnd_cnt: u32,
    /// The window never grows above this, in segments.
    pub clamp: u32,
    /// The window before the last reduction, in segments.
    pub prior_cwnd: u32,
    /// The time of this entry into the stack.
    pub now: Instant,
    /// When data were last sent.
    pub lsndtime: Instant,
    /// The first unacknowledged number.
    pub snd_una: SeqNum,
    /// The next number to send.
    pub snd_nxt: SeqNum,
    /// The rate at which segments leave, in bytes per second; 0 if it is not known, [`u64::MAX`] if
    /// there is none.
    pub pacing_rate: u64,
    /// Whether somebody paces: the qdisc or this connection's own timer.
    pub paced: bool,
    /// The largest packet that leaves as one, in bytes.
    pub gso_max_size: u32,
}

impl Ctx {
    /// Whether the window doubles with every round trip.
    ///
    /// Mirrors [`tcp_in_slow_start`](srctree/include/net/tcp.h).
    #[inline]
    pub fn in_slow_start(&self) -> bool {
        self.cwnd < self.ssthresh
    }

    /// A segment more for every segment acknowledged, up to the threshold. Returns how many of the
    /// acknowledged segments were not needed for that.
    ///
    /// RFC 5681, 3.1. Mirrors [`tcp_slow_start`](srctree/net/ipv4/tcp_cong.c).
    #[inline]
    pub fn slow_start(&mut self, acked: u32) -> u32 {
        let cwnd = self.cwnd.saturating_add(acked).min(self.ssthresh);
        let left = acked.saturating_sub(cwnd.saturating_sub(self.cwnd));
        self.cwnd = cwnd.min(self.clamp);
        left
    }

    /// A segment more for every `w` segments acknowledged.
    ///
    /// Mirrors [`tcp_cong_avoid_ai`](srctree/net/ipv4/tcp_cong.c).
    #[inline]
    pub fn cong_avoid_ai(&mut self, w: u32, acked: u32) {
        let w = w.max(1);
        // Credit from a time when steps cost more is worth one step, not many.
        if self.cwnd_cnt >= w {
            self.cwnd_cnt = 0;
            self.cwnd = self.cwnd.saturating_add(1);
        }
        self.cwnd_cnt = self.cwnd_cnt.saturating_add(acked);
        if self.cwnd_cnt >= w {
            let steps = self.cwnd_cnt / w;
            self.cwnd_cnt = self.cwnd_cnt.saturating_sub(steps.saturating_mul(w));
            self.cwnd = self.cwnd.saturating_add(steps);
        }
        self.cwnd = self.cwnd.min(self.clamp);
    }
}

/// What one acknowledgement measured (`struct ack_sample`).
#[derive(Clone, Copy, Debug)]
pub struct AckSample {
    /// The round-trip time, in microseconds; `None` where Karn's rule forbids a sample.
    pub rtt_us: Option<u32>,
    /// Segments that it newly acknowledged, cumulatively or selectively.
    pub pkts_acked: u32,
    /// Bytes that were in flight when the youngest of them was sent.
    pub in_flight: u32,
}

/// What happens to the window that an algorithm may want to know (`enum tcp_ca_event`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The first segment leaves, nothing being in flight.
    TxStart,
    /// The window restarts after idleness.
    CwndRestart,
    /// A reduction of the window is over.
    CompleteCwr,
    /// The retransmission timer expired, and it was no mistake.
    Loss,
}

/// A congestion-control algorithm (`struct tcp_congestion_ops`).
pub trait CongestionControl {
    /// The name that TCP_CONGESTION knows it by.
    fn name(&self) -> &'static str;

    /// Data may flow from now on.
    fn init(&mut self, _ctx: &Ctx) {}

    /// The threshold after a loss with the window as it is.
    fn ssthresh(&mut self, ctx: &Ctx) -> u32;

    /// `acked` segments were acknowledged while the window was in use.
    fn cong_avoid(&mut self, ctx: &mut Ctx, acked: u32);

    /// The window after it turned out that the last reduction was for nothing.
    fn undo_cwnd(&mut self, ctx: &Ctx) -> u32 {
        ctx.cwnd.max(ctx.prior_cwnd)
    }

    /// Recovery goes to `state`.
    fn set_state(&mut self, _ctx: &Ctx, _state: CaState) {}

    /// Something happened to the window.
    fn cwnd_event(&mut self, _ctx: &Ctx, _event: Event) {}

    /// Segments were acknowledged. Tells if slow start ended for what was measured.
    fn pkts_acked(&mut self, _ctx: &mut Ctx, _sample: &AckSample) -> Option<Exit> {
        None
    }
}

/// The algorithm of a connection.
#[derive(Clone, Copy, Debug)]
pub enum Algorithm {
    /// RFC 5681.
    Reno(Reno),
    /// RFC 9438.
    Cubic(Cubic),
}

impl Algorithm {
    /// The algorithm of that name; `None` if there is none.
    ///
    /// Mirrors [`tcp_ca_find`](srctree/net/ipv4/tcp_cong.c).
    pub fn find(name: &[u8]) -> Option<Algorithm> {
        match name {
            b"reno" => Some(Algorithm::Reno(Reno)),
            b"cubic" => Some(Algorithm::Cubic(Cubic::default())),
            _ => None,
        }
    }

    /// The algorithm of new sockets, `net.ipv4.tcp_congestion_control`; CUBIC where that is one that
    /// RustNet has not.
    ///
    /// Mirrors [`tcp_assign_congestion_control`](srctree/net/ipv4/tcp_cong.c).
    pub fn of_namespace(sysctl: &Sysctl) -> Algorithm {
        let name = sysctl.tcp_congestion_control();
        let name = name.split(|b| *b == 0).next().unwrap_or(&[]);
        Algorithm::find(name).unwrap_or_default()
    }

    /// The same algorithm for another connection.
    pub fn fresh(&self) -> Algorithm {
        match self {
            Algorithm::Reno(_) => Algorithm::Reno(Reno),
            Algorithm::Cubic(_) => Algorithm::Cubic(Cubic::default()),
        }
    }
}

impl Default for Algorithm {
    fn default() -> Self {
        Algorithm::Cubic(Cubic::default())
    }
}

/// Calls a method of whichever algorithm it is.
macro_rules! dispatch {
    ($self:ident, $a:ident => $call:expr) => {
        match $self {
            Algorithm::Reno($a) => $call,
            Algorithm::Cubic($a) => $call,
        }
    };
}

impl CongestionControl for Algorithm {
    fn name(&self) -> &'static str {
        dispatch!(self, a => a.name())
    }

    fn init(&mut self, ctx: &Ctx) {
        dispatch!(self, a => a.init(ctx))
    }

    fn ssthresh(&mut self, ctx: &Ctx) -> u32 {
        dispatch!(self, a => a.ssthresh(ctx))
    }

    #[inline]
    fn cong_avoid(&mut self, ctx: &mut Ctx, acked: u32) {
        dispatch!(self, a => a.cong_avoid(ctx, acked))
    }

    fn undo_cwnd(&mut self, ctx: &Ctx) -> u32 {
        dispatch!(self, a => a.undo_cwnd(ctx))
    }

    fn set_state(&mut self, ctx: &Ctx, state: CaState) {
        dispatch!(self, a => a.set_state(ctx, state))
    }

    #[inline]
    fn cwnd_event(&mut self, ctx: &Ctx, event: Event) {
        dispatch!(self, a => a.cwnd_event(ctx, event))
    }

    #[inline]
    fn pkts_acked(&mut self, ctx: &mut Ctx, sample: &AckSample) -> Option<Exit> {
        dispatch!(self, a => a.pkts_acked(ctx, sample))
    }
}

#[cfg(test)]
mod tests;
