// SPDX-License-Identifier: GPL-2.0
//! The host's routes: the news of them, and the host's own answer.
//!
//! C headers: [`include/net/fib_notifier.h`](srctree/include/net/fib_notifier.h),
//! [`include/net/ip_fib.h`](srctree/include/net/ip_fib.h)

use super::netdevice::NetDevice;
use super::netns::Net;
use super::rcu::{
    self,
    ReadGuard, //
};
use crate::bindings;
use crate::stack::ip::route::metrics::Metrics;
use crate::stack::time::Duration;
use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::ptr::{
    addr_of_mut,
    null_mut, //
};
use kernel::alloc::{
    flags::GFP_KERNEL,
    KBox, //
};
use kernel::error::{
    to_result,
    Result, //
};

/// A route as the host tells of it. Addresses and ports in host order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    /// The table that it is in.
    pub(crate) table: u32,
    /// The prefix,
    pub(crate) dst: u32,
    /// of so many bits.
    pub(crate) dst_len: u8,
    /// DSCP bits of the type of service that it is for.
    pub(crate) tos: u8,
    /// The metric.
    pub(crate) priority: u32,
    /// `RTN_UNICAST` and so on.
    pub(crate) kind: u8,
    /// `RT_SCOPE_UNIVERSE` and so on.
    pub(crate) scope: u8,
    /// The preferred source, 0 if there is none.
    pub(crate) prefsrc: u32,
    /// The MTU metric in bytes, 0 if there is none.
    pub(crate) mtu: u32,
    /// Whether the MTU is locked.
    pub(crate) mtu_locked: bool,
    /// The other metrics.
    pub(crate) metrics: Metrics,
    /// The device, 0 if there is none.
    pub(crate) oif: u32,
    /// The IPv4 gateway, 0 if the destination is on the link.
    pub(crate) gateway: u32,
    /// There is more to the route than this says: several next hops, a next-hop object, a gateway of
    /// another family, an encapsulation; or it is for one type of service only, and hides the prefix's
    /// others.
    pub(crate) complex: bool,
}

/// News of the routes of a namespace.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// This is now the first route of its prefix.
    Replace(Route),
    /// This route was the prefix's last.
    Delete(Route),
    /// A rule or a next hop changed.
    Other,
}

/// Who wants to hear of routes. Atomic context, under RCU; the answer cannot be an error, which would
/// fail the user's command.
pub(crate) trait Listener: 'static {
    /// Something changed in `net`.
    fn event(net: &Net, event: Event);

    /// The replay was interrupted by a change and begins again: forget everything. Process context.
    fn restart(net: &Net);
}

/// What the chain calls, and for which namespace.
#[repr(C)]
struct Block {
    nb: bindings::notifier_block,
    net: &'static Net,
}

/// A registration for the routes of a namespace: told first of those there are.
pub(crate) struct Registration(KBox<UnsafeCell<Block>>);

// SAFETY: The block is only touched by C, under its own locks.
unsafe impl Send for Registration {}
// SAFETY: As above.
unsafe impl Sync for Registration {}

impl Registration {
    /// Registers `L` for `net`, which must outlive it. Process context; sleeps.
    pub(crate) fn new<L: Listener>(net: &'static Net) -> Result<Self> {
        // SAFETY: All zeroes is a value of this C structure.
        let mut nb: bindings::notifier_block = unsafe { core::mem::zeroed() };
        nb.notifier_call = Some(notify::<L>);
        let block = KBox::new(UnsafeCell::new(Block { nb, net }), GFP_KERNEL)?;
        // SAFETY: The block stays where it is until `drop` takes it back; the namespace is alive.
        to_result(unsafe {
            bindings::register_fib_notifier(
                net.as_ptr(),
                addr_of_mut!((*block.get()).nb),
                Some(restart::<L>),
                null_mut(),
            )
        })?;
        Ok(Registration(block))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: Registered by `new`, once. The callee waits for calls under way.
        unsafe {
            let block = self.0.get();
            let net = (*block).net.as_ptr();
            bindings::unregister_fib_notifier(net, addr_of_mut!((*block).nb));
        }
    }
}

/// The namespace that a block was registered for.
///
/// # Safety
///
/// `nb` must be the block of a [`Registration`].
unsafe fn net_of<'a>(nb: *mut bindings::notifier_block) -> &'a Net {
    const {
        assert!(offset_of!(Block, nb) == 0);
    }
    // SAFETY: The block is the first field of a `Block`, by the function's requirement.
    unsafe { (*nb.cast::<Block>()).net }
}

/// # Safety
///
/// Called by C with the block of a [`Registration`].
unsafe extern "C" fn restart<L: Listener>(nb: *mut bindings::notifier_block) {
    // SAFETY: The function's own requirement.
    L::restart(unsafe { net_of(nb) });
}

/// # Safety
///
/// Called by C with the block of a [`Registration`] and a `struct fib_notifier_info`, in atomic context.
unsafe extern "C" fn notify<L: Listener>(
    nb: *mut bindings::notifier_block,
    event: kernel::ffi::c_ulong,
    info: *mut kernel::ffi::c_void,
) -> kernel::ffi::c_int {
    // SAFETY: The function's own requirement; every info begins with the family, and that of a route of
    // IPv4 is a `struct fib_entry_notifier_info`.
    unsafe {
        let family = (*info.cast::<bindings::fib_notifier_info>()).family;
        if family == bindings::AF_INET as i32 {
            let event = match event as bindings::fib_event_type {
                bindings::fib_event_type_FIB_EVENT_ENTRY_REPLACE
                | bindings::fib_event_type_FIB_EVENT_ENTRY_APPEND
                | bindings::fib_event_type_FIB_EVENT_ENTRY_ADD => Event::Replace(entry(info)),
                bindings::fib_event_type_FIB_EVENT_ENTRY_DEL => Event::Delete(entry(info)),
                _ => Event::Other,
            };
            L::event(net_of(nb), event);
        }
    }
    bindings::NOTIFY_DONE as kernel::ffi::c_int
}

/// Reads what the host tells of a route.
///
/// # Safety
///
/// `info` must be a `struct fib_entry_notifier_info`, under RCU.
unsafe fn entry(info: *mut kernel::ffi::c_void) -> Route {
    // SAFETY: The info and the `fib_info` it names are alive during the call; a route without a next-hop
    // object has `fib_nhs` next hops behind it, and one with an object has none.
    unsafe {
        let e = &*info.cast::<bindings::fib_entry_notifier_info>();
        let fi = &*e.fi;
        let (mtu, mtu_locked) = mtu(fi);
        let mut route = Route {
            table: e.tb_id,
            dst: e.dst,
            dst_len: e.dst_len as u8,
            tos: e.dscp & 0xfc,
            priority: fi.fib_priority,
            kind: e.type_,
            scope: fi.fib_scope,
            prefsrc: u32::from_be(fi.fib_prefsrc),
            mtu,
            mtu_locked,
            metrics: metrics(fi),
            oif: 0,
            gateway: 0,
            complex: !fi.nh.is_null() || fi.fib_nhs > 1 || e.dscp & 0xfc != 0,
        };
        if fi.nh.is_null() && fi.fib_nhs > 0 {
            let nhc = &(*fi.fib_nh.as_ptr()).nh_common;
            let v4 = u32::from(nhc.nhc_gw_family) == bindings::AF_INET;
            route.oif = nhc.nhc_oif as u32;
            if v4 {
                route.gateway = u32::from_be(nhc.nhc_gw.ipv4);
            }
            route.complex |= (nhc.nhc_gw_family != 0 && !v4) || !nhc.nhc_lwtstate.is_null();
        }
        route
    }
}

/// The MTU metric of a route, and whether it is locked.
///
/// # Safety
///
/// `fi` must be alive.
unsafe fn mtu(fi: &bindings::fib_info) -> (u32, bool) {
    // SAFETY: The metrics live as long as the route, by the function's requirement.
    match unsafe { fi.fib_metrics.as_ref() } {
        None => (0, false),
        Some(m) => (
            m.metrics[bindings::RTAX_MTU as usize - 1],
            m.metrics[bindings::RTAX_LOCK as usize - 1] & 1 << bindings::RTAX_MTU != 0,
        ),
    }
}

/// The other metrics of a route that RustNet follows.
///
/// # Safety
///
/// `fi` must be alive.
unsafe fn metrics(fi: &bindings::fib_info) -> Metrics {
    // SAFETY: The metrics live as long as the route, by the function's requirement.
    let Some(m) = (unsafe { fi.fib_metrics.as_ref() }) else {
        return Metrics::default();
    };
    let get = |which: u32| m.metrics.get(which as usize - 1).copied().unwrap_or(0);
    let locked = get(bindings::RTAX_LOCK) & 1 << bindings::RTAX_RTO_MIN != 0;
    Metrics {
        advmss: get(bindings::RTAX_ADVMSS),
        initcwnd: get(bindings::RTAX_INITCWND),
        initrwnd: get(bindings::RTAX_INITRWND),
        window: get(bindings::RTAX_WINDOW),
        rto_min: match locked {
            true => Duration::from_millis(get(bindings::RTAX_RTO_MIN).into()),
            false => Duration::ZERO,
        },
        hoplimit: get(bindings::RTAX_HOPLIMIT).min(255) as u8,
    }
}

/// Whether rules beside the default ones were ever made in `net`, so that its routes alone do not say
/// where a packet goes.
#[inline]
pub(crate) fn has_custom_rules(net: &Net) -> bool {
    // SAFETY: Alive by its type invariant; C too reads the flag without a lock.
    unsafe { addr_of_mut!((*net.as_ptr()).ipv4.fib_has_custom_rules).read_volatile() }
}

/// A packet whose way is asked for. Addresses in host order.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flow {
    /// Source, 0 if not chosen yet.
    pub(crate) saddr: u32,
    /// Destination.
    pub(crate) daddr: u32,
    /// Type of service.
    pub(crate) tos: u8,
    /// Protocol.
    pub(crate) proto: u8,
    /// The device it must leave by, 0 for any.
    pub(crate) oif: u32,
    /// The device it came in by.
    pub(crate) iif: u32,
    /// Its mark.
    pub(crate) mark: u32,
    /// Only routes that lead at most so far.
    pub(crate) scope: u8,
    /// The user whose packet it is.
    pub(crate) uid: u32,
    /// Which of several next hops it takes: below 2^31, the same for the packets of a flow.
    pub(crate) hash: u32,
}

/// Asks the host's own tables and rules, without a cache. The error is positive.
///
/// Mirrors [`fib_lookup`](srctree/include/net/ip_fib.h)
pub(crate) fn lookup(net: &Net, flow: &Flow) -> Result<Route, i32> {
    // SAFETY: All zeroes is a value of these C structures.
    let (mut fl, mut res): (bindings::flowi4, bindings::fib_result) =
        unsafe { (core::mem::zeroed(), core::mem::zeroed()) };
    fl.saddr = flow.saddr.to_be();
    fl.daddr = flow.daddr.to_be();
    let c = &mut fl.__fl_common;
    c.flowic_oif = flow.oif as i32;
    c.flowic_iif = flow.iif as i32;
    c.flowic_mark = flow.mark;
    c.flowic_dscp = flow.tos & 0xfc;
    c.flowic_proto = flow.proto;
    c.flowic_scope = flow.scope;
    c.flowic_uid.val = flow.uid;
    let _rcu = super::rcu::read_lock();
    // SAFETY: The namespace is alive; under RCU, which keeps what the result points to.
    unsafe {
        let flags = bindings::FIB_LOOKUP_NOREF;
        let err = bindings::__fib_lookup(net.as_ptr(), &mut fl, &mut res, flags);
        if err != 0 {
            return Err(-err);
        }
        let fi = &*res.fi;
        let (mtu, mtu_locked) = mtu(fi);
        let mut route = Route {
            table: fi.fib_tb_id,
            dst: u32::from_be(res.prefix),
            dst_len: res.prefixlen,
            tos: res.dscp & 0xfc,
            priority: fi.fib_priority,
            kind: res.type_,
            scope: res.scope,
            prefsrc: u32::from_be(fi.fib_prefsrc),
            mtu,
            mtu_locked,
            metrics: metrics(fi),
            oif: 0,
            gateway: 0,
            complex: false,
        };
        // A device that was named has chosen already.
        let nhc = match flow.oif {
            0 => select(&res, flow.hash),
            _ => res.nhc,
        };
        if !nhc.is_null() {
            let nhc = &*nhc;
            route.oif = nhc.nhc_oif as u32;
            if u32::from(nhc.nhc_gw_family) == bindings::AF_INET {
                route.gateway = u32::from_be(nhc.nhc_gw.ipv4);
            }
        }
        Ok(route)
    }
}

/// The next hop that packets with this hash take, where a route has several.
///
/// Mirrors [`fib_select_multipath`](srctree/net/ipv4/fib_semantics.c)
///
/// # Safety
///
/// `res` must be the result of a look-up, under RCU.
unsafe fn select(res: &bindings::fib_result, hash: u32) -> *const bindings::fib_nh_common {
    // SAFETY: The route stays during the grace period, and its next hops with it. A route without an object
    // has `fib_nhs` next hops behind it, and whether an object is a group does not change; the bounds are
    // read once each, for C rebalances them.
    unsafe {
        let fi = &*res.fi;
        if !fi.nh.is_null() {
            if (*fi.nh).is_group {
                let nh = bindings::nexthop_select_path(fi.nh, hash as i32);
                if !nh.is_null() {
                    let info = (*nh).__bindgen_anon_1.nh_info;
                    return &raw const (*info).__bindgen_anon_1.fib_nhc;
                }
            }
            return res.nhc;
        }
        for i in 0..fi.fib_nhs.max(0) as usize {
            let nhc = &raw const (*fi.fib_nh.as_ptr().wrapping_add(i)).nh_common;
            let bound = (&raw const (*nhc).nhc_upper_bound.counter).read_volatile();
            // Below zero: its link is down.
            if fi.fib_nhs > 1 && bound >= 0 && hash <= bound as u32 {
                return nhc;
            }
        }
        res.nhc
    }
}

/// An address of the device `ifindex` from which `dst` can be reached; 0 if there is none. In host order.
///
/// Mirrors [`inet_select_addr`](srctree/net/ipv4/devinet.c)
pub(crate) fn select_addr(net: &Net, ifindex: u32, dst: u32, scope: u8) -> u32 {
    let rcu = rcu::read_lock();
    NetDevice::by_index(net, ifindex, &rcu).map_or(0, |dev| select_addr_of(dev, dst, scope, &rcu))
}

/// The same where the device is at hand.
pub(crate) fn select_addr_of(dev: &NetDevice, dst: u32, scope: u8, _rcu: &ReadGuard) -> u32 {
    // SAFETY: The device is alive, under RCU.
    u32::from_be(unsafe { bindings::inet_select_addr(dev.as_ptr(), dst.to_be(), scope.into()) })
}

/// What an address is to the host: `RTN_LOCAL` and so on.
///
/// Mirrors [`inet_addr_type`](srctree/net/ipv4/fib_frontend.c)
pub(crate) fn addr_type(net: &Net, addr: u32) -> u8 {
    // SAFETY: The namespace is alive; the callee enters RCU itself.
    unsafe {
        bindings::inet_addr_type_table(
            net.as_ptr(),
            addr.to_be(),
            bindings::rt_class_t_RT_TABLE_LOCAL,
        ) as u8
    }
}
