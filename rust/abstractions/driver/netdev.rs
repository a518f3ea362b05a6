// SPDX-License-Identifier: GPL-2.0
//! A network device and the driver behind it.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)
//!
//! The kernel calls a driver from many sides at once, each time under a lock of its own. A driver says what
//! it keeps under each ([`Driver::Xmit`], [`Driver::Poll`], [`Driver::Admin`]), and gets exactly that as
//! `&mut` when it is called there; the rest of it is shared and made of atomics and locks.
//!
//! | value | guarded by | context |
//! |---|---|---|
//! | `Xmit` | the transmit queue's lock | softirq or process, softirqs off |
//! | `Poll` | NAPI: one poll function at a time | softirq |
//! | `Admin` | the RTNL | process |
//!
//! Transmit queue and NAPI only run between [`Rtnl::start`] and [`Rtnl::stop`], which hand both values over
//! and take them back.

pub(super) mod ops;
mod registration;
mod rtnl;

pub(crate) use registration::{
    Config,
    Registration, //
};
pub(crate) use rtnl::Rtnl;

use super::page_pool::Page;
use super::skb::{
    RxSkb,
    TxSkb, //
};
use crate::bindings;
use core::cell::UnsafeCell;
use core::marker::{
    PhantomData,
    PhantomPinned, //
};
use core::mem::offset_of;
use core::ops::Deref;
use core::ptr::addr_of_mut;
use core::sync::atomic::{
    AtomicUsize,
    Ordering, //
};
use kernel::error::Result;
use kernel::ffi::c_ulong;

/// Bytes of a hardware address.
pub(crate) const ETH_ALEN: usize = bindings::ETH_ALEN as usize;

/// What a device can do, and may be told not to: the bits of `ethtool -k`.
pub(crate) mod feature {
    use crate::bindings;

    /// Frames in pieces.
    pub(crate) const SG: u64 = bindings::NETIF_F_SG;
    /// Any transport checksum.
    pub(crate) const HW_CSUM: u64 = bindings::NETIF_F_HW_CSUM;
    /// TCP segments over IPv4.
    pub(crate) const TSO: u64 = bindings::NETIF_F_TSO;
    /// TCP segments over IPv6.
    pub(crate) const TSO6: u64 = bindings::NETIF_F_TSO6;
    /// Checks the checksums of received frames.
    pub(crate) const RXCSUM: u64 = bindings::NETIF_F_RXCSUM;
    /// Lets damaged frames pass.
    pub(crate) const RXALL: u64 = bindings::NETIF_F_RXALL;
    /// Keeps the frame check sequence.
    pub(crate) const RXFCS: u64 = bindings::NETIF_F_RXFCS;
    /// Reaches all memory.
    pub(crate) const HIGHDMA: u64 = bindings::NETIF_F_HIGHDMA;
    /// Inserts VLAN tags.
    pub(crate) const VLAN_TX: u64 = bindings::NETIF_F_HW_VLAN_CTAG_TX;
    /// Takes VLAN tags out.
    pub(crate) const VLAN_RX: u64 = bindings::NETIF_F_HW_VLAN_CTAG_RX;
    /// Lets only known VLANs in.
    pub(crate) const VLAN_FILTER: u64 = bindings::NETIF_F_HW_VLAN_CTAG_FILTER;
}

/// Counters of a device since it appeared, as `ip -s -s link` shows them.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub(crate) struct Stats {
    pub(crate) rx_packets: u64,
    pub(crate) tx_packets: u64,
    pub(crate) rx_bytes: u64,
    pub(crate) tx_bytes: u64,
    pub(crate) rx_errors: u64,
    pub(crate) tx_errors: u64,
    pub(crate) rx_dropped: u64,
    pub(crate) tx_dropped: u64,
    pub(crate) multicast: u64,
    pub(crate) collisions: u64,
    pub(crate) rx_length_errors: u64,
    pub(crate) rx_crc_errors: u64,
    pub(crate) rx_frame_errors: u64,
    pub(crate) rx_missed_errors: u64,
    pub(crate) tx_aborted_errors: u64,
    pub(crate) tx_carrier_errors: u64,
    pub(crate) tx_window_errors: u64,
}

/// A driver of network devices.
pub(crate) trait Driver: Send + Sync + Sized + 'static {
    /// What sending needs, under the transmit queue's lock.
    type Xmit: Send;
    /// What NAPI's poll function needs.
    type Poll: Send;
    /// What administration needs, under the RTNL.
    type Admin: Send;

    /// The device is brought up: gets what it needs and calls [`Rtnl::start`]. Process context.
    fn open(ctx: &mut Rtnl<'_, Self>) -> Result;

    /// The device is brought down; undoes [`Driver::open`]. Process context.
    fn stop(ctx: &mut Rtnl<'_, Self>);

    /// Sends a packet. `more` says that another follows at once, so that the card need not be told yet.
    ///
    /// # Errors
    ///
    /// The packet, if there is no room for it; the queue is stopped then.
    fn xmit(
        dev: &Device<Self>,
        queue: &mut Self::Xmit,
        skb: TxSkb,
        more: bool,
    ) -> Result<(), TxSkb>;

    /// Cleans up what was sent and takes in at most [`Napi::budget`] packets, none if that is 0 (netpoll).
    /// How many it took in, and whether there is more to do. Softirq context.
    fn poll(dev: &Device<Self>, queue: &mut Self::Poll, napi: &Napi) -> (i32, bool);

    /// NAPI has done all there was: interrupts are wanted again. Softirq context.
    fn poll_done(dev: &Device<Self>);

    /// An interrupt, perhaps another device's; whether it was ours. Hard interrupt context.
    fn interrupt(dev: &Device<Self>) -> bool;

    /// The lists of addresses or the flags that say which frames to let in have changed. Softirqs off.
    fn set_rx_mode(dev: &Device<Self>, addresses: &Addresses<'_>);

    /// The device has another hardware address.
    fn address_changed(ctx: &mut Rtnl<'_, Self>);

    /// Another largest packet, within the device's limits. On an error the old one stays.
    fn change_mtu(ctx: &mut Rtnl<'_, Self>, mtu: u32) -> Result;

    /// What can be had of the features somebody wishes.
    fn fix_features(features: u64) -> u64;

    /// Other features are in force.
    fn set_features(ctx: &mut Rtnl<'_, Self>, features: u64) -> Result;

    /// Lets a VLAN in, or no longer.
    fn set_vlan(ctx: &mut Rtnl<'_, Self>, id: u16, on: bool);

    /// The queue has been stopped for longer than can be. Softirq context.
    fn tx_timeout(dev: &Device<Self>);

    /// Fills in the counters. Any context that may take a lock with softirqs off.
    fn stats(dev: &Device<Self>) -> Stats;

    /// What [`Device::watchdog_in`] asked for. Process context; must not take the RTNL.
    fn watchdog(dev: &Device<Self>);

    /// What [`Device::schedule_reset`] asked for, if the device still runs. Process context.
    fn reset(ctx: &mut Rtnl<'_, Self>);
}

/// What lies in the device's private part.
#[repr(C)]
struct Private<T: Driver> {
    data: T,
    xmit: UnsafeCell<Option<T::Xmit>>,
    poll: UnsafeCell<Option<T::Poll>>,
    admin: UnsafeCell<Admin<T>>,
    napi: UnsafeCell<bindings::napi_struct>,
    watchdog: UnsafeCell<bindings::delayed_work>,
    reset: UnsafeCell<bindings::work_struct>,
    dev: *mut bindings::net_device,
    parent: *mut bindings::device,
}

/// What the RTNL guards.
struct Admin<T: Driver> {
    driver: T::Admin,
    running: bool,
    irq: Option<u32>,
}

/// A network device of driver `T`, only ever seen behind a reference. Dereferences to the driver's shared
/// part.
///
/// # Invariants
///
/// A `&Device` is the address of a live `struct net_device` whose private part is a [`Private<T>`].
#[repr(C)]
pub(crate) struct Device<T: Driver> {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut bindings::net_device, T, PhantomPinned)>,
}

impl<T: Driver> Deref for Device<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: Written before the device was shared, and dropped when nobody knows it any more.
        unsafe { &(*self.private()).data }
    }
}

impl<T: Driver> kernel::fmt::Display for Device<T> {
    fn fmt(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        // A device may be renamed at any time: a copy is read, whatever it then says.
        let mut name = [0u8; 17];
        // SAFETY: Live by the type invariant.
        for (to, from) in name.iter_mut().zip(unsafe { (*self.as_ptr()).name }) {
            *to = from as u8;
        }
        let name = core::ffi::CStr::from_bytes_until_nul(&name).unwrap_or(c"?");
        f.write_str(name.to_str().unwrap_or("?"))
    }
}

impl<T: Driver> Device<T> {
    /// # Safety
    ///
    /// `ptr` must be a device of this driver that stays alive during `'a`.
    #[inline]
    pub(super) unsafe fn from_ptr<'a>(ptr: *mut bindings::net_device) -> &'a Self {
        // SAFETY: The type has no size, so only the address matters, and that is not null.
        unsafe { &*ptr.cast() }
    }

    /// The C structure, for abstractions.
    #[inline]
    pub(super) fn as_ptr(&self) -> *mut bindings::net_device {
        core::ptr::from_ref(self).cast_mut().cast()
    }

    #[inline]
    fn private(&self) -> *mut Private<T> {
        // SAFETY: Only computes an address within the allocation (`netdev_priv`).
        unsafe { addr_of_mut!((*self.as_ptr()).priv_).cast() }
    }

    /// The NAPI instance, for abstractions.
    #[inline]
    pub(super) fn napi(&self) -> *mut bindings::napi_struct {
        // SAFETY: Only computes the address of a field.
        unsafe { (*self.private()).napi.get() }
    }

    /// The card behind it.
    pub(crate) fn parent(&self) -> &kernel::device::Device {
        // SAFETY: The card is there as long as its network device.
        unsafe { &*(*self.private()).parent.cast() }
    }

    /// The device's hardware address.
    pub(crate) fn addr(&self) -> [u8; ETH_ALEN] {
        // SAFETY: The address has room for MAX_ADDR_LEN bytes.
        unsafe { (*self.as_ptr()).dev_addr.cast::<[u8; ETH_ALEN]>().read() }
    }

    /// The largest packet, IP header included, in bytes.
    pub(crate) fn mtu(&self) -> u32 {
        // SAFETY: Live by the type invariant; C too reads it without a lock.
        unsafe { core::ptr::addr_of!((*self.as_ptr()).mtu).read_volatile() }
    }

    /// Calls `f` with the RTNL held. Process context; sleeps.
    pub(crate) fn rtnl<R>(&self, f: impl FnOnce(&mut Rtnl<'_, T>) -> R) -> R {
        // SAFETY: Process context is the caller's part; unlocked below.
        unsafe { bindings::rtnl_lock() };
        // SAFETY: The RTNL is held.
        let result = f(&mut unsafe { Rtnl::assume(self) });
        // SAFETY: Taken above.
        unsafe { bindings::rtnl_unlock() };
        result
    }

    /// Says that there is a link. Any context.
    pub(crate) fn carrier_on(&self) {
        // SAFETY: Live by the type invariant.
        unsafe { bindings::netif_carrier_on(self.as_ptr()) };
    }

    /// Says that there is no link. Any context.
    pub(crate) fn carrier_off(&self) {
        // SAFETY: Live by the type invariant.
        unsafe { bindings::netif_carrier_off(self.as_ptr()) };
    }

    /// Whether the transmit queue was stopped by the driver.
    #[inline]
    pub(crate) fn queue_stopped(&self) -> bool {
        // SAFETY: Live by the type invariant; C too only touches the word by atomic operations.
        let state = unsafe { AtomicUsize::from_ptr(addr_of_mut!((*(*self.as_ptr())._tx).state)) };
        state.load(Ordering::Relaxed) & 1 != 0
    }

    /// Stops the transmit queue: no more packets come.
    pub(crate) fn stop_queue(&self) {
        // SAFETY: Live by the type invariant.
        unsafe { bindings::netif_stop_queue(self.as_ptr()) };
    }

    /// Lets packets come again, from within [`Driver::xmit`].
    pub(crate) fn start_queue(&self) {
        // SAFETY: Live by the type invariant.
        unsafe { bindings::netif_start_queue(self.as_ptr()) };
    }

    /// Lets packets come again, and calls for those that wait.
    pub(crate) fn wake_queue(&self) {
        // SAFETY: Live by the type invariant.
        unsafe { bindings::netif_wake_queue(self.as_ptr()) };
    }

    /// `bytes` more lie in the ring; whether the card must be told of them now. From [`Driver::xmit`].
    ///
    /// Mirrors [`__netdev_sent_queue`](srctree/include/linux/netdevice.h)
    #[inline]
    pub(crate) fn sent_queue(&self, bytes: u32, more: bool) -> bool {
        // SAFETY: Live by the type invariant.
        unsafe { bindings::netdev_sent_queue(self.as_ptr(), bytes, more) }
    }

    /// As much has left the ring. From [`Driver::poll`].
    ///
    /// Mirrors [`netdev_completed_queue`](srctree/include/linux/netdevice.h)
    #[inline]
    pub(crate) fn completed_queue(&self, packets: u32, bytes: u32) {
        // SAFETY: Live by the type invariant.
        unsafe { bindings::netdev_completed_queue(self.as_ptr(), packets, bytes) };
    }

    /// Calls for [`Driver::poll`]. Any context.
    #[inline]
    pub(crate) fn schedule_poll(&self) {
        // SAFETY: The instance was initialised with the device.
        unsafe {
            if bindings::napi_schedule_prep(self.napi()) {
                bindings::__napi_schedule(self.napi());
            }
        }
    }

    /// Calls for [`Driver::watchdog`] in `ticks` of the clock, instead of whenever it was called for.
    pub(crate) fn watchdog_in(&self, ticks: c_ulong) {
        // SAFETY: Initialised with the device, and cancelled before it goes.
        unsafe { bindings::mod_delayed_work((*self.private()).watchdog.get(), ticks) };
    }

    /// Calls for [`Driver::reset`].
    pub(crate) fn schedule_reset(&self) {
        // SAFETY: Initialised with the device, and cancelled before it goes.
        unsafe { bindings::schedule_work((*self.private()).reset.get()) };
    }
}

/// NAPI's poll function is running here.
///
/// # Invariants
///
/// The instance whose poll function has been called and has not returned.
pub(crate) struct Napi {
    napi: *mut bindings::napi_struct,
    dev: *mut bindings::net_device,
    budget: i32,
}

impl Napi {
    /// How many packets may be taken in.
    #[inline]
    pub(crate) fn budget(&self) -> i32 {
        self.budget
    }

    /// A packet of a copy of the first `len` bytes that the card wrote to `page`, which stays. `None` if
    /// there is no memory.
    #[inline]
    pub(crate) fn copy(&self, page: &Page, len: usize) -> Option<RxSkb> {
        // SAFETY: By the type invariant.
        unsafe { RxSkb::copy(self.napi, page, len) }
    }

    /// Hands a frame to the stack.
    ///
    /// Mirrors [`napi_gro_receive`](srctree/include/linux/netdevice.h)
    #[inline]
    pub(crate) fn receive(&self, skb: RxSkb) {
        let skb = skb.into_raw();
        // SAFETY: The packet is ours and has at least an Ethernet header's room of data: the callee pulls what
        // is there. The instance is polling, by the type invariant.
        unsafe {
            let headers: *mut bindings::sk_buff__bindgen_ty_4__bindgen_ty_2 =
                addr_of_mut!((*skb).__bindgen_anon_4).cast();
            (*headers).protocol = bindings::eth_type_trans(skb, self.dev);
            bindings::gro_receive_skb(addr_of_mut!((*self.napi).gro), skb);
        }
    }
}

/// The addresses and flags that say which frames to let in; the address lock is held.
pub(crate) struct Addresses<'a> {
    dev: *mut bindings::net_device,
    _lock: PhantomData<&'a ()>,
}

impl Addresses<'_> {
    fn flags(&self) -> u32 {
        // SAFETY: Alive while the lock is held.
        unsafe { (*self.dev).flags }
    }

    /// Whether all frames are wanted.
    pub(crate) fn promiscuous(&self) -> bool {
        self.flags() & bindings::net_device_flags_IFF_PROMISC != 0
    }

    /// Whether all multicast frames are wanted.
    pub(crate) fn all_multicast(&self) -> bool {
        self.flags() & bindings::net_device_flags_IFF_ALLMULTI != 0
    }

    /// How many unicast addresses there are beside the device's own.
    pub(crate) fn unicast_count(&self) -> usize {
        // SAFETY: Alive while the lock is held.
        usize::try_from(unsafe { (*self.dev).uc.count }).unwrap_or(0)
    }

    /// Calls `f` with each unicast address beside the device's own.
    pub(crate) fn unicast(&self, f: impl FnMut([u8; ETH_ALEN])) {
        // SAFETY: Alive while the lock is held, which guards the list.
        unsafe { Self::each(addr_of_mut!((*self.dev).uc.list), f) }
    }

    /// Calls `f` with each multicast address.
    pub(crate) fn multicast(&self, f: impl FnMut([u8; ETH_ALEN])) {
        // SAFETY: As above.
        unsafe { Self::each(addr_of_mut!((*self.dev).mc.list), f) }
    }

    /// # Safety
    ///
    /// `head` must be a list of addresses that nobody changes.
    unsafe fn each(head: *mut bindings::list_head, mut f: impl FnMut([u8; ETH_ALEN])) {
        // SAFETY: By the contract; each entry is a member of a `struct netdev_hw_addr`, whose address has
        // room for MAX_ADDR_LEN bytes.
        unsafe {
            let mut entry = (*head).next;
            while entry != head {
                let ha = entry
                    .byte_sub(offset_of!(bindings::netdev_hw_addr, list))
                    .cast::<bindings::netdev_hw_addr>();
                f(addr_of_mut!((*ha).addr).cast::<[u8; ETH_ALEN]>().read());
                entry = (*entry).next;
            }
        }
    }
}
