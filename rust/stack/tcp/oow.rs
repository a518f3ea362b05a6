// SPDX-License-Identifier: GPL-2.0
//! ACKs that nothing called for, of what stands for a connection without being a socket: a
//! [`Request`](super::listen::Request), a [`TimeWait`](super::timewait::TimeWait).

use super::segment::Segment;
use crate::platform::Sysctl;
use crate::stack::{
    counters::Counter,
    time::Instant, //
};

/// What such an object is told of the world around it.
pub struct Surroundings<'a> {
    /// The namespace's settings.
    pub sysctl: &'a Sysctl,
    /// The time.
    pub now: Instant,
    /// Counts an event of the namespace.
    pub count: &'a mut dyn FnMut(Counter),
}

/// When the last such ACK was sent, in milliseconds modulo 2^32; 0 for never.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LastOowAck(u32);

impl LastOowAck {
    /// Whether one was sent so lately (`tcp_invalid_ratelimit`) that an endless exchange of them must be feared:
    /// then `skipped` is counted. If not, one is sent now.
    ///
    /// Mirrors [`__tcp_oow_rate_limited`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn limited(&mut self, around: &mut Surroundings<'_>, skipped: Counter) -> bool {
        let ms = around.now.as_millis_u32().max(1);
        let since = u64::from(ms.wrapping_sub(self.0));
        if self.0 != 0 && since < around.sysctl.tcp_invalid_ratelimit().as_millis() {
            (around.count)(skipped);
            return true;
        }
        self.0 = ms;
        false
    }

    /// The same of the answer to `seg`, if that is one to limit.
    ///
    /// Mirrors [`tcp_oow_rate_limited`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn limited_for(
        &mut self,
        around: &mut Surroundings<'_>,
        seg: &Segment,
        skipped: Counter,
    ) -> bool {
        seg.may_loop() && self.limited(around, skipped)
    }
}
