// SPDX-License-Identifier: GPL-2.0
//! What a route says to the transports, beside its MTU.

use crate::stack::time::Duration;

/// The metrics of a route (`ip route … initcwnd 20`); 0 where it says nothing.
///
/// Mirrors [`RTAX_ADVMSS` and so on](srctree/include/uapi/linux/rtnetlink.h)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// The largest segment that the peer is told of, in bytes of data.
    pub advmss: u32,
    /// The congestion window that a connection begins with, in segments.
    pub initcwnd: u32,
    /// The receive window that it begins with, in segments.
    pub initrwnd: u32,
    /// The largest receive window, in bytes.
    pub window: u32,
    /// The shortest retransmission timeout.
    pub rto_min: Duration,
    /// The time to live of packets.
    pub hoplimit: u8,
}

impl Metrics {
    /// Whether none is set.
    pub fn is_none(&self) -> bool {
        *self == Metrics::default()
    }
}
