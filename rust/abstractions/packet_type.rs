// SPDX-License-Identifier: GPL-2.0
//! Handlers of received frames, by their protocol.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)

use super::netdevice::NetDevice;
use super::netns::Net;
use super::skbuff::Skb;
use crate::bindings;
use core::cell::UnsafeCell;
use core::ptr::null_mut;
use kernel::alloc::{
    flags::GFP_KERNEL,
    KBox, //
};
use kernel::error::Result;

/// What a handler does with the frames of its protocol.
pub(crate) trait Handler: 'static {
    /// The frame's protocol, such as 0x0800, in host order.
    const PROTOCOL: u16;

    /// Looks at a frame before it is copied for the handler, which other handlers of the same protocol
    /// share: `false` leaves it to them, at no cost. Softirq, under RCU.
    fn wants(dev: &NetDevice, pkt_type: u8) -> bool;

    /// Takes a frame whose data begin with the network header. Softirq, under RCU.
    fn rcv(dev: &NetDevice, skb: Skb);
}

/// A registered handler; taken back when dropped, after which no call is under way.
pub(crate) struct PacketType(KBox<UnsafeCell<bindings::packet_type>>);

// SAFETY: The structure is only touched by C, under its own locks.
unsafe impl Send for PacketType {}
// SAFETY: As above.
unsafe impl Sync for PacketType {}

impl PacketType {
    /// Registers `H` in every namespace.
    pub(crate) fn new<H: Handler>() -> Result<Self> {
        Self::register::<H>(null_mut())
    }

    /// Registers `H` in one namespace, which must outlive the registration.
    pub(crate) fn in_net<H: Handler>(net: &'static Net) -> Result<Self> {
        Self::register::<H>(net.as_ptr())
    }

    /// Mirrors [`dev_add_pack`](srctree/net/core/dev.c)
    fn register<H: Handler>(net: *mut bindings::net) -> Result<Self> {
        // SAFETY: All zeroes is a value of this C structure: no device, no namespace, every frame.
        let mut pt: bindings::packet_type = unsafe { core::mem::zeroed() };
        pt.type_ = H::PROTOCOL.to_be();
        pt.func = Some(func::<H>);
        pt.af_packet_net = net;
        let pt = KBox::new(UnsafeCell::new(pt), GFP_KERNEL)?;
        // SAFETY: The structure stays where it is until `drop` takes it back.
        unsafe { bindings::dev_add_pack(pt.get()) };
        Ok(PacketType(pt))
    }
}

impl Drop for PacketType {
    fn drop(&mut self) {
        // SAFETY: Registered by `new`, once. Waits until no CPU is in the handler.
        unsafe { bindings::dev_remove_pack(self.0.get()) };
    }
}

/// # Safety
///
/// Called by C with a reference to `skb`, which it passes on, in softirq under RCU.
unsafe extern "C" fn func<H: Handler>(
    skb: *mut bindings::sk_buff,
    dev: *mut bindings::net_device,
    _pt: *mut bindings::packet_type,
    _orig_dev: *mut bindings::net_device,
) -> kernel::ffi::c_int {
    // SAFETY: The device is kept by RCU; the type of the packet is not changed by those who share it.
    unsafe {
        let dev = NetDevice::from_ptr(dev);
        let skb = Skb::from_raw(skb);
        if !H::wants(dev, skb.pkt_type()) {
            skb.consume();
        } else if let Some(skb) = skb.share_check() {
            H::rcv(dev, skb);
        }
    }
    bindings::NET_RX_SUCCESS as kernel::ffi::c_int
}
