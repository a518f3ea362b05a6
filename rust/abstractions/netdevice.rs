// SPDX-License-Identifier: GPL-2.0
//! Network devices, and the news of them.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)

use super::netns::Net;
use super::rcu::{
    self,
    ReadGuard, //
};
use super::rtnl::Rtnl;
use super::skbuff::Skb;
use crate::bindings;
use core::cell::UnsafeCell;
use core::marker::{
    PhantomData,
    PhantomPinned, //
};
use core::ops::Deref;
use core::ptr::{
    addr_of,
    NonNull, //
};
use kernel::alloc::{
    flags::GFP_KERNEL,
    KBox, //
};
use kernel::error::{
    to_result,
    Result, //
};

/// A network device, only ever seen behind a reference.
///
/// # Invariants
///
/// A `&NetDevice` is the address of a live `struct net_device`: whoever lends it holds a reference, a
/// read-side critical section of RCU, or the RTNL.
#[repr(C)]
pub(crate) struct NetDevice {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut bindings::net_device, PhantomPinned)>,
}

/// How long hardware addresses of the kind that ARP speaks of here are, in bytes.
pub(crate) const ETH_ALEN: usize = bindings::ETH_ALEN as usize;

impl NetDevice {
    /// # Safety
    ///
    /// `ptr` must be a device that stays alive during `'a`.
    #[inline]
    pub(crate) unsafe fn from_ptr<'a>(ptr: *mut bindings::net_device) -> &'a NetDevice {
        // SAFETY: The type has no size, so only the address matters, and that is not null.
        unsafe { &*ptr.cast() }
    }

    /// The C structure, for abstractions.
    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut bindings::net_device {
        core::ptr::from_ref(self).cast_mut().cast()
    }

    /// The structure's fields. What is read of them are single words that C too reads without a lock.
    #[inline]
    fn raw(&self) -> &bindings::net_device {
        // SAFETY: Alive by the type invariant.
        unsafe { &*self.as_ptr() }
    }

    /// The number of the device in its namespace; positive.
    #[inline]
    pub(crate) fn ifindex(&self) -> u32 {
        self.raw().ifindex as u32
    }

    /// The largest packet, IP header included, in bytes.
    #[inline]
    pub(crate) fn mtu(&self) -> u32 {
        self.raw().mtu
    }

    /// `IFF_UP` and so on.
    #[inline]
    pub(crate) fn flags(&self) -> u32 {
        self.raw().flags
    }

    /// Whether it is up.
    #[inline]
    pub(crate) fn is_up(&self) -> bool {
        self.flags() & bindings::net_device_flags_IFF_UP != 0
    }

    /// Whether it is a loopback device.
    #[inline]
    pub(crate) fn is_loopback(&self) -> bool {
        self.flags() & bindings::net_device_flags_IFF_LOOPBACK != 0
    }

    /// Whether the next hop's hardware address has to be found by ARP before a packet may leave.
    ///
    /// Mirrors the choice in [`arp_constructor`](srctree/net/ipv4/arp.c)
    #[inline]
    pub(crate) fn needs_arp(&self) -> bool {
        const NO: u32 = bindings::net_device_flags_IFF_NOARP
            | bindings::net_device_flags_IFF_LOOPBACK
            | bindings::net_device_flags_IFF_POINTOPOINT;
        self.has_ethernet_header() && self.flags() & NO == 0
    }

    /// Whether its frames begin with an Ethernet header.
    #[inline]
    pub(crate) fn has_ethernet_header(&self) -> bool {
        let dev = self.raw();
        !dev.header_ops.is_null() && usize::from(dev.addr_len) == ETH_ALEN
    }

    /// Whether the host sends on what comes in by this device and is not for it
    /// (`net.ipv4.conf.DEV.forwarding`). Under RCU.
    ///
    /// Mirrors [`IN_DEV_FORWARD`](srctree/include/linux/inetdevice.h)
    pub(crate) fn forwards_ipv4(&self) -> bool {
        // SAFETY: Alive by the type invariant; the pointer is published by RCU, and the settings are read
        // without a lock by C, too.
        unsafe {
            let in_dev = addr_of!(self.raw().ip_ptr).read_volatile();
            !in_dev.is_null()
                && addr_of!((*in_dev).cnf.data)
                    .cast::<i32>()
                    .add(bindings::IPV4_DEVCONF_FORWARDING as usize - 1)
                    .read_volatile()
                    != 0
        }
    }

    /// Whether the host speaks IPv4 on the device. Under RCU.
    ///
    /// Mirrors [`__in_dev_get_rcu`](srctree/include/linux/inetdevice.h)
    pub(crate) fn has_ipv4(&self) -> bool {
        // SAFETY: Alive by the type invariant; the pointer is published by RCU and only compared.
        unsafe { !addr_of!(self.raw().ip_ptr).read_volatile().is_null() }
    }

    /// Has the device take packets to all groups, or takes one such wish back. Process context; sleeps.
    ///
    /// # Errors
    ///
    /// EOVERFLOW after too many wishes.
    ///
    /// Mirrors [`dev_set_allmulti`](srctree/net/core/dev_api.c)
    pub(crate) fn set_allmulti(&self, on: bool, _rtnl: &Rtnl) -> Result {
        // SAFETY: Alive by the type invariant; the RTNL is held.
        to_result(unsafe { bindings::dev_set_allmulti(self.as_ptr(), if on { 1 } else { -1 }) })
    }

    /// Room that a packet needs in front for this device's headers, in bytes.
    ///
    /// Mirrors [`LL_RESERVED_SPACE`](srctree/include/linux/netdevice.h)
    #[inline]
    pub(crate) fn reserved_space(&self) -> usize {
        let dev = self.raw();
        let need = usize::from(dev.hard_header_len).wrapping_add(usize::from(dev.needed_headroom));
        (need & !15).wrapping_add(16)
    }

    /// The largest IPv4 GSO packet it takes, in bytes.
    #[inline]
    pub(crate) fn gso_max_size(&self) -> u32 {
        self.raw().gso_ipv4_max_size
    }

    /// The largest number of segments in a GSO packet that it takes.
    #[inline]
    pub(crate) fn gso_max_segs(&self) -> u16 {
        self.raw().gso_max_segs
    }

    /// Whether something stands between the device and the protocols: a bridge, a bond, a team.
    #[inline]
    pub(crate) fn has_rx_handler(&self) -> bool {
        self.raw().rx_handler.is_some()
    }

    /// Whether packets that come in by it are those of another device, a VRF.
    ///
    /// Mirrors [`netif_is_l3_slave`](srctree/include/linux/netdevice.h)
    #[inline]
    pub(crate) fn is_l3_slave(&self) -> bool {
        let slave = bindings::netdev_priv_flags_IFF_L3MDEV_SLAVE;
        // SAFETY: The field is the first 32 bits of the union, of which every pattern is a value. What bindgen makes of a
        // bit field reads it bit by bit.
        let flags = unsafe {
            (&raw const self.raw().__bindgen_anon_1)
                .cast::<u32>()
                .read()
        };
        flags & slave != 0
    }

    /// The namespace that the device is in.
    #[inline]
    pub(crate) fn net(&self) -> &Net {
        // SAFETY: A device keeps its namespace until it leaves it, and a namespace outlives its devices.
        unsafe { Net::from_ptr(self.raw().nd_net.net) }
    }

    /// The device's own hardware address, if it is an Ethernet address.
    #[inline]
    pub(crate) fn addr(&self) -> [u8; ETH_ALEN] {
        // SAFETY: The address has room for MAX_ADDR_LEN bytes, whatever its length.
        unsafe { self.raw().dev_addr.cast::<[u8; ETH_ALEN]>().read() }
    }

    /// The hardware address of everybody on the link.
    #[inline]
    pub(crate) fn broadcast(&self) -> [u8; ETH_ALEN] {
        let b = &self.raw().broadcast;
        core::array::from_fn(|i| b.get(i).copied().unwrap_or(0xff))
    }

    /// The device number `ifindex` of `net`, handed to `f`. The device stays while `f` runs, which must
    /// not sleep.
    #[inline]
    pub(crate) fn with<R>(net: &Net, ifindex: u32, f: impl FnOnce(&NetDevice) -> R) -> Option<R> {
        Self::by_index(net, ifindex, &rcu::read_lock()).map(f)
    }

    /// The device number `ifindex` of `net`.
    ///
    /// Mirrors [`dev_get_by_index_rcu`](srctree/net/core/dev.c)
    #[inline]
    pub(crate) fn by_index<'a>(net: &Net, ifindex: u32, _rcu: &'a ReadGuard) -> Option<&'a Self> {
        // SAFETY: The namespace is alive, and this is a read-side critical section, which keeps the device.
        unsafe {
            let dev = bindings::dev_get_by_index_rcu(net.as_ptr(), ifindex as i32);
            (!dev.is_null()).then(|| NetDevice::from_ptr(dev))
        }
    }

    /// Calls `f` with the name of the device.
    pub(crate) fn with_name<R>(&self, f: impl FnOnce(&core::ffi::CStr) -> R) -> R {
        // A device may be renamed at any time: a copy is read, whatever it then says.
        let mut name = [0u8; 17];
        for (to, from) in name.iter_mut().zip(self.raw().name.iter()) {
            *to = *from as u8;
        }
        f(core::ffi::CStr::from_bytes_until_nul(&name).unwrap_or(c"?"))
    }

    /// Sends an ARP frame, past the host's filters for ARP.
    ///
    /// Mirrors [`arp_xmit`](srctree/net/ipv4/arp.c)
    pub(crate) fn arp_xmit(skb: Skb) {
        // SAFETY: The packet is ours and has a device; the callee consumes it.
        unsafe { bindings::arp_xmit(skb.into_raw()) }
    }

    /// Hands a frame whose data begin with the link header to the device's queue. The error is negative,
    /// or a positive `NET_XMIT_` code.
    ///
    /// Mirrors [`dev_queue_xmit`](srctree/include/linux/netdevice.h)
    #[inline]
    pub(crate) fn queue_xmit(skb: Skb) -> i32 {
        // SAFETY: The packet is ours and has a device; the callee consumes it whatever it returns.
        unsafe { bindings::__dev_queue_xmit(skb.into_raw(), core::ptr::null_mut()) }
    }
}

/// A reference to a device, which keeps it from going away. Given back on `Unregister`.
pub(crate) struct DevRef(NonNull<bindings::net_device>);

// SAFETY: The count is per CPU and atomic; the device is guarded by C.
unsafe impl Send for DevRef {}
// SAFETY: As above.
unsafe impl Sync for DevRef {}

impl From<&NetDevice> for DevRef {
    fn from(dev: &NetDevice) -> Self {
        // SAFETY: The device is alive by its type invariant.
        unsafe {
            bindings::dev_hold(dev.as_ptr());
            DevRef(NonNull::new_unchecked(dev.as_ptr()))
        }
    }
}

impl Deref for DevRef {
    type Target = NetDevice;

    #[inline]
    fn deref(&self) -> &NetDevice {
        // SAFETY: The reference keeps the device alive.
        unsafe { NetDevice::from_ptr(self.0.as_ptr()) }
    }
}

impl Drop for DevRef {
    fn drop(&mut self) {
        // SAFETY: The reference is ours.
        unsafe { bindings::dev_put(self.0.as_ptr()) };
    }
}

/// What happened to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It appeared in its namespace.
    Register,
    /// It went up.
    Up,
    /// It went down.
    Down,
    /// It leaves its namespace; whoever holds a reference gives it back.
    Unregister,
    /// Its MTU changed from so many bytes.
    Mtu(u32),
    /// Its hardware address, flags or features changed.
    Change,
}

/// Who wants to hear of devices. Called in process context with the RTNL held.
pub(crate) trait Listener: 'static {
    /// Something happened to `dev`.
    fn event(dev: &NetDevice, event: Event, rtnl: &Rtnl);
}

/// A registration with the chain of device news: told of the devices there are, and, when it is
/// dropped, as if they all went.
pub(crate) struct Notifier {
    nb: KBox<UnsafeCell<bindings::notifier_block>>,
    /// The namespace whose devices are followed; all if `None`.
    net: Option<&'static Net>,
}

// SAFETY: The block is only touched by C, under its own locks.
unsafe impl Send for Notifier {}
// SAFETY: As above.
unsafe impl Sync for Notifier {}

impl Notifier {
    /// Registers `L` for the devices of all namespaces. Process context without the RTNL; sleeps.
    pub(crate) fn new<L: Listener>() -> Result<Self> {
        Self::register::<L>(None)
    }

    /// Registers `L` for the devices of one namespace, which must outlive the registration. Process
    /// context without the RTNL; sleeps.
    pub(crate) fn in_net<L: Listener>(net: &'static Net) -> Result<Self> {
        Self::register::<L>(Some(net))
    }

    fn register<L: Listener>(net: Option<&'static Net>) -> Result<Self> {
        // SAFETY: All zeroes is a value of this C structure.
        let mut nb: bindings::notifier_block = unsafe { core::mem::zeroed() };
        nb.notifier_call = Some(notify::<L>);
        let nb = KBox::new(UnsafeCell::new(nb), GFP_KERNEL)?;
        // SAFETY: The block stays where it is until `drop` takes it back; the namespace is alive.
        to_result(unsafe {
            match net {
                Some(net) => bindings::register_netdevice_notifier_net(net.as_ptr(), nb.get()),
                None => bindings::register_netdevice_notifier(nb.get()),
            }
        })?;
        Ok(Notifier { nb, net })
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        // SAFETY: Registered by `register`, once, and there. Cannot fail for a registered block.
        unsafe {
            match self.net {
                Some(net) => {
                    bindings::unregister_netdevice_notifier_net(net.as_ptr(), self.nb.get())
                }
                None => bindings::unregister_netdevice_notifier(self.nb.get()),
            }
        };
    }
}

/// # Safety
///
/// Called by C with a `struct netdev_notifier_info`, under the RTNL.
unsafe extern "C" fn notify<L: Listener>(
    _nb: *mut bindings::notifier_block,
    event: kernel::ffi::c_ulong,
    info: *mut kernel::ffi::c_void,
) -> kernel::ffi::c_int {
    let event = match event as bindings::netdev_cmd {
        bindings::netdev_cmd_NETDEV_REGISTER => Event::Register,
        bindings::netdev_cmd_NETDEV_UP => Event::Up,
        bindings::netdev_cmd_NETDEV_DOWN => Event::Down,
        bindings::netdev_cmd_NETDEV_UNREGISTER => Event::Unregister,
        // SAFETY: This piece of news comes with the MTU before.
        bindings::netdev_cmd_NETDEV_CHANGEMTU => {
            Event::Mtu(unsafe { (*info.cast::<bindings::netdev_notifier_info_ext>()).ext.mtu })
        }
        bindings::netdev_cmd_NETDEV_CHANGEADDR
        | bindings::netdev_cmd_NETDEV_CHANGE
        | bindings::netdev_cmd_NETDEV_FEAT_CHANGE => Event::Change,
        _ => return bindings::NOTIFY_DONE as kernel::ffi::c_int,
    };
    // SAFETY: The chain hands over the device's info, and the RTNL keeps the device.
    let dev = unsafe { NetDevice::from_ptr((*info.cast::<bindings::netdev_notifier_info>()).dev) };
    // SAFETY: The chain is called under it.
    L::event(dev, event, unsafe { Rtnl::held() });
    bindings::NOTIFY_DONE as kernel::ffi::c_int
}
