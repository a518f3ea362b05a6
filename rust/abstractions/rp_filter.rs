// SPDX-License-Identifier: GPL-2.0
//! Is a packet's source where the packet came from?
//!
//! C header: [`include/linux/inetdevice.h`](srctree/include/linux/inetdevice.h)

use super::netdevice::NetDevice;
use super::netns::Net;
use super::rcu;
use crate::bindings;

/// What is wrong with a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoofed {
    /// It is an address of this host.
    Local,
    /// It is not one of a single host.
    Invalid,
    /// What is sent to it leaves another way (RFC 3704).
    Path,
}

impl NetDevice {
    /// A setting `net.ipv4.conf.DEV.*`, and the same of `all`; zeroes where IPv4 is off. Under RCU.
    pub(super) fn devconf(&self, which: u32) -> (i32, i32) {
        // SAFETY: Alive by the type invariant; `ip_ptr` is published by RCU, the namespace has the settings for
        // all as long as it lives. They are numbered from 1 on, and read without a lock by C, too.
        unsafe {
            let at = which as usize - 1;
            let of = |cnf: *const bindings::ipv4_devconf| {
                (&raw const (*cnf).data)
                    .cast::<i32>()
                    .add(at)
                    .read_volatile()
            };
            let in_dev = (&raw const (*self.as_ptr()).ip_ptr).read_volatile();
            if in_dev.is_null() {
                return (0, 0);
            }
            let all = (*self.net().as_ptr()).ipv4.devconf_all;
            (of(&raw const (*in_dev).cnf), of(all))
        }
    }

    /// How strictly the way back is looked at: 0 not at all, 1 strictly, 2 whether there is one.
    ///
    /// Mirrors [`IN_DEV_RPFILTER`](srctree/include/linux/inetdevice.h)
    pub(crate) fn rp_filter(&self) -> i32 {
        let (own, all) = self.devconf(bindings::IPV4_DEVCONF_RP_FILTER);
        own.max(all)
    }

    /// Whether packets from this host's own addresses may come in by it.
    ///
    /// Mirrors [`IN_DEV_ACCEPT_LOCAL`](srctree/include/linux/inetdevice.h)
    pub(crate) fn accept_local(&self) -> bool {
        let (own, all) = self.devconf(bindings::IPV4_DEVCONF_ACCEPT_LOCAL);
        own != 0 || all != 0
    }
}

/// Asks the host's routes whether what is sent to `saddr` leaves by `dev`, by which a packet to `daddr` with this
/// type of service came in. Addresses in host order; `strict` as [`NetDevice::rp_filter`] says, not 0. Softirq.
///
/// Mirrors [`__fib_validate_source`](srctree/net/ipv4/fib_frontend.c)
pub(crate) fn validate_source(
    net: &Net,
    dev: &NetDevice,
    (saddr, daddr, tos): (u32, u32, u8),
    strict: i32,
) -> Result<(), Spoofed> {
    // SAFETY: All zeroes is a value of these C structures.
    let (mut fl, mut res): (bindings::flowi4, bindings::fib_result) =
        unsafe { (core::mem::zeroed(), core::mem::zeroed()) };
    fl.daddr = saddr.to_be();
    fl.saddr = daddr.to_be();
    fl.__fl_common.flowic_iif = bindings::LOOPBACK_IFINDEX as i32;
    fl.__fl_common.flowic_dscp = tos & 0xfc;
    let _rcu = rcu::read_lock();
    // SAFETY: The namespace and the device are alive; under RCU, which keeps what the result points to.
    unsafe {
        let flags = bindings::FIB_LOOKUP_NOREF;
        if bindings::__fib_lookup(net.as_ptr(), &mut fl, &mut res, flags) != 0 {
            return Err(Spoofed::Path);
        }
        match u32::from(res.type_) {
            bindings::RTN_UNICAST => (),
            bindings::RTN_LOCAL if dev.accept_local() => (),
            bindings::RTN_LOCAL => return Err(Spoofed::Local),
            _ => return Err(Spoofed::Invalid),
        }
        if bindings::fib_info_nh_uses_dev(res.fi, dev.as_ptr()) {
            return Ok(());
        }
        // A device without an address has no way that is its own.
        let in_dev = (&raw const (*dev.as_ptr()).ip_ptr).read_volatile();
        let bare = in_dev.is_null() || (&raw const (*in_dev).ifa_list).read_volatile().is_null();
        match bare || strict == 1 {
            true => Err(Spoofed::Path),
            false => Ok(()),
        }
    }
}
