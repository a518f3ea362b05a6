// SPDX-License-Identifier: GPL-2.0
//! The functions that C calls, each of which proves what it lends to the driver.

use super::{
    Addresses,
    Device,
    Driver,
    Napi,
    Private,
    Rtnl,
    Stats, //
};
use crate::abstractions::skb::TxSkb;
use crate::bindings;
use core::marker::PhantomData;
use core::mem::{
    offset_of,
    size_of, //
};
use kernel::error::{
    code::EADDRNOTAVAIL,
    Error,
    Result, //
};
use kernel::ffi::{
    c_int,
    c_uint,
    c_void, //
};

/// The table of functions of a driver's devices.
pub(super) struct Table<T>(PhantomData<T>);

impl<T: Driver> Table<T> {
    /// It.
    pub(super) const OPS: &'static bindings::net_device_ops = &bindings::net_device_ops {
        ndo_open: Some(open::<T>),
        ndo_stop: Some(stop::<T>),
        ndo_start_xmit: Some(start_xmit::<T>),
        ndo_set_rx_mode: Some(set_rx_mode::<T>),
        ndo_set_mac_address: Some(set_mac_address::<T>),
        ndo_validate_addr: Some(bindings::eth_validate_addr),
        ndo_change_mtu: Some(change_mtu::<T>),
        ndo_tx_timeout: Some(tx_timeout::<T>),
        ndo_get_stats64: Some(get_stats64::<T>),
        ndo_vlan_rx_add_vid: Some(vlan_rx_add_vid::<T>),
        ndo_vlan_rx_kill_vid: Some(vlan_rx_kill_vid::<T>),
        ndo_fix_features: Some(fix_features::<T>),
        ndo_set_features: Some(set_features::<T>),
        // SAFETY: All zeroes is a value of this C structure: no function.
        ..unsafe { core::mem::zeroed() }
    };
}

/// Calls `f` with the RTNL's evidence and turns its result into C's.
///
/// # Safety
///
/// Called by C under the RTNL, with a device of driver `T`, and not from within another such call.
pub(in crate::abstractions) unsafe fn under_rtnl<T: Driver>(
    dev: *mut bindings::net_device,
    f: impl FnOnce(&mut Rtnl<'_, T>) -> Result,
) -> c_int {
    // SAFETY: By the contract.
    let mut ctx = unsafe { Rtnl::assume(Device::<T>::from_ptr(dev)) };
    f(&mut ctx).map_or_else(Error::to_errno, |()| 0)
}

/// # Safety
///
/// As [`under_rtnl`].
unsafe extern "C" fn open<T: Driver>(dev: *mut bindings::net_device) -> c_int {
    // SAFETY: By the contract.
    unsafe { under_rtnl(dev, T::open) }
}

/// # Safety
///
/// As [`under_rtnl`].
unsafe extern "C" fn stop<T: Driver>(dev: *mut bindings::net_device) -> c_int {
    // SAFETY: By the contract.
    unsafe {
        under_rtnl::<T>(dev, |ctx| {
            T::stop(ctx);
            Ok(())
        })
    }
}

/// # Safety
///
/// Called by C with the transmit lock held, and with a packet that it gives away unless the result is
/// `NETDEV_TX_BUSY`.
unsafe extern "C" fn start_xmit<T: Driver>(
    skb: *mut bindings::sk_buff,
    dev: *mut bindings::net_device,
) -> bindings::netdev_tx_t {
    // SAFETY: By the contract; the driver's value is only touched under the transmit lock, which is held.
    let (dev, queue, skb) = unsafe {
        let dev = Device::<T>::from_ptr(dev);
        let queue = &mut *(*dev.private()).xmit.get();
        (dev, queue, TxSkb::from_raw(skb))
    };
    // The queue is stopped while there is none; a packet that was on its way then is lost.
    let Some(queue) = queue else {
        return bindings::netdev_tx_NETDEV_TX_OK;
    };
    // SAFETY: No requirements but this context.
    let more = unsafe { bindings::netdev_xmit_more() };
    match T::xmit(dev, queue, skb, more) {
        Ok(()) => bindings::netdev_tx_NETDEV_TX_OK,
        Err(skb) => {
            skb.into_raw();
            bindings::netdev_tx_NETDEV_TX_BUSY
        }
    }
}

/// # Safety
///
/// Called by C with the instance of a device of driver `T`, one call at a time, and only between
/// `napi_enable` and `napi_disable`.
pub(super) unsafe extern "C" fn poll<T: Driver>(
    napi: *mut bindings::napi_struct,
    budget: c_int,
) -> c_int {
    // SAFETY: The instance is part of the private part.
    let (dev, queue) = unsafe {
        let private = napi
            .byte_sub(offset_of!(Private<T>, napi))
            .cast::<Private<T>>();
        let dev = Device::<T>::from_ptr((*private).dev);
        (dev, &mut *(*private).poll.get())
    };
    let Some(queue) = queue else {
        return 0;
    };
    let this = Napi {
        napi,
        dev: dev.as_ptr(),
        budget,
    };
    let (work, more) = T::poll(dev, queue, &this);
    if more {
        return budget;
    }
    // SAFETY: The instance is polling. From here on another CPU may poll: only the shared part is touched.
    if work < budget && unsafe { bindings::napi_complete_done(napi, work) } {
        T::poll_done(dev);
    }
    work
}

/// # Safety
///
/// Called by C, in hard interrupt context, with the device that asked for the interrupt.
pub(super) unsafe extern "C" fn interrupt<T: Driver>(
    _irq: c_int,
    dev: *mut c_void,
) -> bindings::irqreturn {
    // SAFETY: By the contract.
    if T::interrupt(unsafe { Device::from_ptr(dev.cast()) }) {
        bindings::irqreturn_IRQ_HANDLED
    } else {
        bindings::irqreturn_IRQ_NONE
    }
}

/// # Safety
///
/// Called with the address lock held.
pub(super) unsafe fn call_set_rx_mode<T: Driver>(dev: *mut bindings::net_device) {
    let addresses = Addresses {
        dev,
        _lock: PhantomData,
    };
    // SAFETY: By the contract.
    T::set_rx_mode(unsafe { Device::from_ptr(dev) }, &addresses);
}

/// # Safety
///
/// Called by C with the address lock held.
unsafe extern "C" fn set_rx_mode<T: Driver>(dev: *mut bindings::net_device) {
    // SAFETY: By the contract.
    unsafe { call_set_rx_mode::<T>(dev) };
}

/// # Safety
///
/// As [`under_rtnl`], with a `struct sockaddr`.
unsafe extern "C" fn set_mac_address<T: Driver>(
    dev: *mut bindings::net_device,
    addr: *mut c_void,
) -> c_int {
    // SAFETY: By the contract; the bytes behind the family are the address.
    let mac = unsafe {
        addr.cast::<u8>()
            .add(size_of::<bindings::sa_family_t>())
            .cast::<[u8; super::ETH_ALEN]>()
            .read()
    };
    if mac[0] & 1 != 0 || mac == [0; super::ETH_ALEN] {
        return EADDRNOTAVAIL.to_errno();
    }
    // SAFETY: By the contract.
    unsafe {
        bindings::eth_hw_addr_set(dev, mac.as_ptr());
        under_rtnl::<T>(dev, |ctx| {
            T::address_changed(ctx);
            Ok(())
        })
    }
}

/// # Safety
///
/// As [`under_rtnl`].
unsafe extern "C" fn change_mtu<T: Driver>(dev: *mut bindings::net_device, mtu: c_int) -> c_int {
    // SAFETY: By the contract; C has compared it with the device's limits.
    unsafe { under_rtnl::<T>(dev, |ctx| T::change_mtu(ctx, mtu.unsigned_abs())) }
}

/// # Safety
///
/// Called by C with a device of driver `T`.
unsafe extern "C" fn tx_timeout<T: Driver>(dev: *mut bindings::net_device, _queue: c_uint) {
    // SAFETY: By the contract.
    T::tx_timeout(unsafe { Device::from_ptr(dev) });
}

/// # Safety
///
/// Called by C with a device of driver `T` and a structure to fill.
unsafe extern "C" fn get_stats64<T: Driver>(
    dev: *mut bindings::net_device,
    out: *mut bindings::rtnl_link_stats64,
) {
    // SAFETY: By the contract.
    let (s, out) = unsafe { (T::stats(Device::from_ptr(dev)), &mut *out) };
    let Stats {
        rx_packets,
        tx_packets,
        rx_bytes,
        tx_bytes,
        rx_errors,
        tx_errors,
        rx_dropped,
        tx_dropped,
        multicast,
        collisions,
        rx_length_errors,
        rx_crc_errors,
        rx_frame_errors,
        rx_missed_errors,
        tx_aborted_errors,
        tx_carrier_errors,
        tx_window_errors,
    } = s;
    out.rx_packets = rx_packets;
    out.tx_packets = tx_packets;
    out.rx_bytes = rx_bytes;
    out.tx_bytes = tx_bytes;
    out.rx_errors = rx_errors;
    out.tx_errors = tx_errors;
    out.rx_dropped = rx_dropped;
    out.tx_dropped = tx_dropped;
    out.multicast = multicast;
    out.collisions = collisions;
    out.rx_length_errors = rx_length_errors;
    out.rx_crc_errors = rx_crc_errors;
    out.rx_frame_errors = rx_frame_errors;
    out.rx_missed_errors = rx_missed_errors;
    out.tx_aborted_errors = tx_aborted_errors;
    out.tx_carrier_errors = tx_carrier_errors;
    out.tx_window_errors = tx_window_errors;
}

/// # Safety
///
/// As [`under_rtnl`].
unsafe extern "C" fn vlan_rx_add_vid<T: Driver>(
    dev: *mut bindings::net_device,
    _proto: u16,
    id: u16,
) -> c_int {
    // SAFETY: By the contract.
    unsafe {
        under_rtnl::<T>(dev, |ctx| {
            T::set_vlan(ctx, id, true);
            Ok(())
        })
    }
}

/// # Safety
///
/// As [`under_rtnl`].
unsafe extern "C" fn vlan_rx_kill_vid<T: Driver>(
    dev: *mut bindings::net_device,
    _proto: u16,
    id: u16,
) -> c_int {
    // SAFETY: By the contract.
    unsafe {
        under_rtnl::<T>(dev, |ctx| {
            T::set_vlan(ctx, id, false);
            Ok(())
        })
    }
}

/// # Safety
///
/// Called by C.
unsafe extern "C" fn fix_features<T: Driver>(
    _dev: *mut bindings::net_device,
    features: bindings::netdev_features_t,
) -> bindings::netdev_features_t {
    T::fix_features(features)
}

/// # Safety
///
/// As [`under_rtnl`].
unsafe extern "C" fn set_features<T: Driver>(
    dev: *mut bindings::net_device,
    features: bindings::netdev_features_t,
) -> c_int {
    // SAFETY: By the contract.
    unsafe { under_rtnl::<T>(dev, |ctx| T::set_features(ctx, features)) }
}

/// # Safety
///
/// Called by C with the work of a device of driver `T`, one call at a time.
pub(super) unsafe extern "C" fn watchdog<T: Driver>(work: *mut bindings::work_struct) {
    let offset =
        offset_of!(Private<T>, watchdog).wrapping_add(offset_of!(bindings::delayed_work, work));
    // SAFETY: The work is part of the private part, and cancelled before that goes.
    let dev = unsafe { Device::<T>::from_ptr((*work.byte_sub(offset).cast::<Private<T>>()).dev) };
    T::watchdog(dev);
}

/// # Safety
///
/// As [`watchdog`].
pub(super) unsafe extern "C" fn reset<T: Driver>(work: *mut bindings::work_struct) {
    // SAFETY: The work is part of the private part, and cancelled before that goes.
    let dev = unsafe {
        let private = work.byte_sub(offset_of!(Private<T>, reset));
        Device::<T>::from_ptr((*private.cast::<Private<T>>()).dev)
    };
    dev.rtnl(|ctx| {
        if ctx.is_running() {
            T::reset(ctx);
        }
    });
}
