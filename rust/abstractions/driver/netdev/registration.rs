// SPDX-License-Identifier: GPL-2.0
//! A device's coming and going.

use super::{
    ops,
    Admin,
    Device,
    Driver,
    Private,
    ETH_ALEN, //
};
use crate::abstractions::{
    ethtool,
    pci, //
};
use crate::bindings;
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::mem::{
    align_of,
    size_of, //
};
use core::ops::Deref;
use core::ptr::NonNull;
use kernel::error::{
    code::ENOMEM,
    to_result,
    Result, //
};
use kernel::ffi::{
    c_int,
    c_ulong, //
};

/// What a new device is like.
pub(crate) struct Config {
    /// Its hardware address.
    pub(crate) addr: [u8; ETH_ALEN],
    /// What it does at first ([`super::feature`]).
    pub(crate) features: u64,
    /// What it may be told to do or not to do.
    pub(crate) hw_features: u64,
    /// What it does for devices of its VLANs.
    pub(crate) vlan_features: u64,
    /// Limits of its MTU, in bytes.
    pub(crate) mtu: core::ops::RangeInclusive<u32>,
    /// How long its transmit queue may be stopped, in ticks.
    pub(crate) tx_timeout: c_int,
    /// Whether it keeps a list of unicast addresses of others.
    pub(crate) unicast_filter: bool,
}

/// A device that the system knows; dropped, it is brought down and goes.
pub(crate) struct Registration<T: Driver + ethtool::Ops> {
    dev: NonNull<bindings::net_device>,
    registered: bool,
    _driver: PhantomData<T>,
}

// SAFETY: What is reached through it is shared, and `Sync`.
unsafe impl<T: Driver + ethtool::Ops> Send for Registration<T> {}
// SAFETY: As above.
unsafe impl<T: Driver + ethtool::Ops> Sync for Registration<T> {}

impl<T: Driver + ethtool::Ops> Registration<T> {
    /// Makes a device for a card and lets the system know it. Process context without the RTNL; sleeps.
    pub(crate) fn new(card: &pci::Device, data: T, admin: T::Admin, conf: &Config) -> Result<Self> {
        const {
            assert!(align_of::<Private<T>>() <= 64);
        }
        // SAFETY: No requirements. The private part is aligned to a cache line.
        let dev = unsafe { bindings::alloc_etherdev_mqs(size_of::<Private<T>>() as c_int, 1, 1) };
        let dev = NonNull::new(dev).ok_or(ENOMEM)?;
        let ptr = dev.as_ptr();
        // SAFETY: A new device is ours alone. The works and the instance stay where they are until it goes.
        unsafe {
            let private = Device::<T>::from_ptr(ptr).private();
            private.write(Private {
                data,
                xmit: UnsafeCell::new(None),
                poll: UnsafeCell::new(None),
                admin: UnsafeCell::new(Admin {
                    driver: admin,
                    running: false,
                    irq: None,
                }),
                napi: core::mem::zeroed(),
                watchdog: core::mem::zeroed(),
                reset: core::mem::zeroed(),
                dev: ptr,
                parent: card.as_dev_ptr(),
            });
            bindings::init_delayed_work((*private).watchdog.get(), Some(ops::watchdog::<T>));
            bindings::init_work((*private).reset.get(), Some(ops::reset::<T>));
            bindings::set_netdev_dev(ptr, card.as_dev_ptr());
            bindings::netif_napi_add(ptr, (*private).napi.get(), Some(ops::poll::<T>));
            bindings::netif_napi_set_irq((*private).napi.get(), card.irq() as c_int);
            bindings::eth_hw_addr_set(ptr, conf.addr.as_ptr());
            let net = &mut *ptr;
            net.netdev_ops = ops::Table::<T>::OPS;
            net.ethtool_ops = ethtool::Table::<T>::OPS;
            net.features |= conf.features;
            net.hw_features |= conf.hw_features;
            net.vlan_features |= conf.vlan_features;
            net.min_mtu = *conf.mtu.start();
            net.max_mtu = *conf.mtu.end();
            net.watchdog_timeo = conf.tx_timeout;
            if conf.unicast_filter {
                let fast = &mut net.__bindgen_anon_1.__bindgen_anon_1;
                fast.set_priv_flags(
                    fast.priv_flags() | bindings::netdev_priv_flags_IFF_UNICAST_FLT as c_ulong,
                );
            }
            net.perm_addr[..ETH_ALEN].copy_from_slice(&conf.addr);
        }
        let mut new: Registration<T> = Registration {
            dev,
            registered: false,
            _driver: PhantomData,
        };
        // SAFETY: Initialised above.
        to_result(unsafe { bindings::register_netdev(ptr) })?;
        new.registered = true;
        // No link is known before the device is up, and ethtool shows it before.
        new.carrier_off();
        Ok(new)
    }
}

impl<T: Driver + ethtool::Ops> Deref for Registration<T> {
    type Target = Device<T>;

    fn deref(&self) -> &Device<T> {
        // SAFETY: The device lives until `self` is dropped.
        unsafe { Device::from_ptr(self.dev.as_ptr()) }
    }
}

impl<T: Driver + ethtool::Ops> Drop for Registration<T> {
    fn drop(&mut self) {
        let ptr = self.dev.as_ptr();
        // SAFETY: The device is ours. Unregistering stops it; after that and after the works are cancelled
        // nobody knows the private part any more.
        unsafe {
            if self.registered {
                bindings::unregister_netdev(ptr);
            }
            let private = self.private();
            bindings::cancel_delayed_work_sync((*private).watchdog.get());
            bindings::cancel_work_sync((*private).reset.get());
            bindings::netif_napi_del((*private).napi.get());
            core::ptr::drop_in_place(private);
            bindings::free_netdev(ptr);
        }
    }
}
