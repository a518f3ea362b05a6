// SPDX-License-Identifier: GPL-2.0
//! Congestion control: how the window grows, and what a loss costs.
//!
//! An algorithm is a value inside the connection. It sees the window in segments and never touches
//! the queues: detecting losses and retransmitting are `recovery`'s.

mod hystart;
mod reno;

pub use hystart::{HyStart, LOW_WINDOW};
pub use reno::Reno;

/// What an algorithm may know and change of the connection (`struct tcp_sock`'s part).
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The congestion window, in segments.
    pub cwnd: u32,
    /// The slow-start threshold, in segments.
    pub ssthresh: u32,
    /// The window never grows above this, in segments.
    pub clamp: u32,
}

/// A congestion-control algorithm (`struct tcp_congestion_ops`).
pub trait CongestionControl {
    /// The name that TCP_CONGESTION knows it by.
    fn name(&self) -> &'static str;

    /// The threshold after a loss with `cwnd` segments in the window.
    fn ssthresh(&mut self, cwnd: u32) -> u32;

    /// `acked` segments were acknowledged while the window was in use.
    fn cong_avoid(&mut self, w: &mut Window, acked: u32);
}

/// The algorithm of a connection.
#[derive(Clone, Copy, Debug)]
pub enum Algorithm {
    /// RFC 5681.
    Reno(Reno),
}

impl Default for Algorithm {
    fn default() -> Self {
        Algorithm::Reno(Reno::default())
    }
}

impl CongestionControl for Algorithm {
    fn name(&self) -> &'static str {
        match self {
            Algorithm::Reno(a) => a.name(),
        }
    }

    fn ssthresh(&mut self, cwnd: u32) -> u32 {
        match self {
            Algorithm::Reno(a) => a.ssthresh(cwnd),
        }
    }

    fn cong_avoid(&mut self, w: &mut Window, acked: u32) {
        match self {
            Algorithm::Reno(a) => a.cong_avoid(w, acked),
        }
    }
}
