// SPDX-License-Identifier: GPL-2.0
//! How old what is known of routes and paths may be, and which sockets want to know of paths.
//!
//! C header: [`include/net/netns/ipv4.h`](srctree/include/net/netns/ipv4.h)

use super::netns::Net;
use crate::bindings;

impl Net {
    /// A number that changes with every route, rule, address and link of the host's.
    ///
    /// Mirrors [`rt_genid_ipv4`](srctree/include/net/net_namespace.h)
    #[inline]
    pub(crate) fn rt_genid(&self) -> u32 {
        // SAFETY: A live namespace's word, read once; C counts it up atomically.
        unsafe { (&raw const (*self.as_ptr()).ipv4.rt_genid.counter).read_volatile() as u32 }
    }

    /// A number that changes when everything that was learned of paths is to be forgotten
    /// (`net.ipv4.route.flush`).
    ///
    /// Mirrors [`fnhe_genid`](srctree/include/net/net_namespace.h)
    pub(crate) fn fnhe_genid(&self) -> u32 {
        // SAFETY: As above.
        unsafe { (&raw const (*self.as_ptr()).fnhe_genid.counter).read_volatile() as u32 }
    }
}

/// `IP_PMTUDISC_DONT` and its like: whether a socket with it listens to messages about path MTUs.
///
/// Mirrors [`ip_sk_accept_pmtu`](srctree/include/net/ip.h)
pub(crate) fn accepts_pmtu(pmtudisc: u8) -> bool {
    let mode = u32::from(pmtudisc);
    mode != bindings::IP_PMTUDISC_INTERFACE && mode != bindings::IP_PMTUDISC_OMIT
}

/// Whether its packets keep to what was learned, or to the device's MTU alone.
///
/// Mirrors [`ip_sk_use_pmtu`](srctree/include/net/ip.h)
pub(crate) fn uses_pmtu(pmtudisc: u8) -> bool {
    u32::from(pmtudisc) < bindings::IP_PMTUDISC_PROBE
}
