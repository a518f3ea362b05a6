// SPDX-License-Identifier: GPL-2.0
//! Routes as packets carry them.
//!
//! C header: [`include/net/route.h`](srctree/include/net/route.h)
//!
//! Every route on a packet is a real `struct rtable`: filters, NAT and `icmp_send` cast it unasked, and
//! on the loopback device the host delivers by it.

use super::netdevice::NetDevice;
use super::netns::Net;
use super::rcu::ReadGuard;
use super::skbuff::{
    SkBuff,
    Skb, //
};
use crate::bindings;
use core::ptr::{
    addr_of_mut,
    NonNull, //
};

/// Owns a reference to a `struct rtable`.
///
/// # Invariants
///
/// The pointer owns one reference. A route whose last reference is given up is freed a grace period
/// later.
pub(crate) struct Dst(NonNull<bindings::rtable>);

// SAFETY: References are counted atomically; the fields do not change after [`Dst::alloc`] but by C.
unsafe impl Send for Dst {}
// SAFETY: As above.
unsafe impl Sync for Dst {}

/// What a route is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// `RTN_UNICAST` and so on.
    pub(crate) rtn: u8,
    /// `RTCF_LOCAL` and so on.
    pub(crate) flags: u32,
    /// The gateway, in host order; 0 if destinations are on the link.
    pub(crate) gateway: u32,
}

/// The flag of routes to this host.
pub(crate) const RTCF_LOCAL: u32 = bindings::RTCF_LOCAL;
/// The flag of routes to everybody on a link.
pub(crate) const RTCF_BROADCAST: u32 = bindings::RTCF_BROADCAST;
/// The flag of routes to a group.
pub(crate) const RTCF_MULTICAST: u32 = bindings::RTCF_MULTICAST;

impl Dst {
    /// A route for packets that leave by `dev`, to which it keeps a reference. Atomic. `None` when there
    /// is no memory.
    ///
    /// Mirrors [`__mkroute_output`](srctree/net/ipv4/route.c)
    pub(crate) fn alloc(dev: &NetDevice, kind: Kind) -> Option<Dst> {
        // SAFETY: The device is alive.
        let rt = unsafe { bindings::rt_dst_alloc(dev.as_ptr(), kind.flags, kind.rtn.into(), true) };
        let rt = NonNull::new(rt)?;
        if kind.gateway != 0 {
            // SAFETY: The route is ours alone.
            unsafe {
                (*rt.as_ptr()).rt_uses_gateway = 1;
                (*rt.as_ptr()).rt_gw_family = bindings::AF_INET as u8;
                (*rt.as_ptr()).__bindgen_anon_1.rt_gw4 = kind.gateway.to_be();
            }
        }
        // INVARIANT: A new route has one reference, and it is ours.
        Some(Dst(rt))
    }

    fn dst(&self) -> *mut bindings::dst_entry {
        // SAFETY: Alive by the type invariant.
        unsafe { addr_of_mut!((*self.0.as_ptr()).dst) }
    }

    /// The device, or the one that takes its place after [`Dst::dev_put`].
    #[inline]
    pub(crate) fn dev<'a>(&'a self, _rcu: &'a ReadGuard) -> &'a NetDevice {
        // SAFETY: Alive by the type invariant; the device is published by RCU.
        unsafe {
            let dev = addr_of_mut!((*self.dst()).__bindgen_anon_1.dev).read_volatile();
            NetDevice::from_ptr(dev)
        }
    }

    /// Gives the reference to the device back, because it goes away; packets that still carry the route
    /// are dropped.
    ///
    /// Mirrors [`dst_dev_put`](srctree/net/core/dst.c)
    pub(crate) fn dev_put(&self) {
        // SAFETY: Alive by the type invariant. To be called once: a second time would only give back the
        // reference to the device that took the first one's place, and take it again.
        unsafe { bindings::dst_dev_put(self.dst()) };
    }

    /// Whether [`Dst::dev_put`] has been called.
    #[inline]
    pub(crate) fn is_dead(&self) -> bool {
        // SAFETY: Alive by the type invariant.
        let obsolete = unsafe { addr_of_mut!((*self.dst()).obsolete).read_volatile() };
        i32::from(obsolete) == bindings::DST_OBSOLETE_DEAD as i32
    }

    /// Sets the packet's route, without a reference: who queues the packet takes one.
    #[inline]
    pub(crate) fn attach(&self, skb: &mut SkBuff, _rcu: &ReadGuard) {
        skb.dst_drop();
        // SAFETY: The packet has no route now, and this one lives at least as long as the read-side critical
        // section, by the type invariant.
        unsafe { skb.dst_set_noref(self.dst()) };
    }

    /// Whether the packet still has this route.
    #[inline]
    pub(crate) fn is_on(&self, skb: &SkBuff) -> bool {
        core::ptr::eq(skb.dst(), self.dst())
    }
}

impl Clone for Dst {
    #[inline]
    fn clone(&self) -> Self {
        // SAFETY: Alive by the type invariant.
        unsafe { bindings::dst_hold(self.dst()) };
        // INVARIANT: The new reference is ours.
        Dst(self.0)
    }
}

impl Drop for Dst {
    fn drop(&mut self) {
        // SAFETY: The reference is ours by the type invariant.
        unsafe { bindings::dst_release(self.dst()) };
    }
}

/// Sends a packet on by the route that it carries: the host's, which a filter gave it. The error is
/// negative.
///
/// Mirrors [`dst_output`](srctree/include/net/dst.h)
pub(crate) fn output(net: &Net, skb: Skb) -> i32 {
    // SAFETY: The packet carries a live route, whose method consumes it; without a route it is dropped.
    unsafe {
        let p = skb.into_raw();
        let dst = SkBuff::from_ptr(p).dst();
        match dst.as_ref().and_then(|d| d.output) {
            Some(f) => f(net.as_ptr(), (*p).sk, p),
            None => {
                drop(Skb::from_raw(p));
                -(bindings::EHOSTUNREACH as i32)
            }
        }
    }
}
