// SPDX-License-Identifier: GPL-2.0
//! The host's neighbours: those that there are, and the news of them.
//!
//! C headers: [`include/net/netevent.h`](srctree/include/net/netevent.h),
//! [`include/net/neighbour.h`](srctree/include/net/neighbour.h)

use super::netdevice::{
    NetDevice,
    ETH_ALEN, //
};
use crate::bindings;
use core::cell::UnsafeCell;
use core::ptr::{
    addr_of,
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
use kernel::ffi::{
    c_int,
    c_ulong,
    c_void, //
};

/// What the host knows of a neighbour.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// Its IPv4 address, in host order.
    pub(crate) addr: u32,
    /// Its hardware address.
    pub(crate) ha: [u8; ETH_ALEN],
    /// The administrator said so.
    pub(crate) permanent: bool,
}

/// Who wants to hear of the host's neighbours. Atomic context.
pub(crate) trait Listener: 'static {
    /// The host's knowledge of a neighbour behind `dev` changed.
    fn event(dev: &NetDevice, known: Known);
}

/// A registration for the news; [`Notifier::new`] tells of the neighbours there are, too.
pub(crate) struct Notifier(KBox<UnsafeCell<bindings::notifier_block>>);

// SAFETY: The block is only touched by C, under its own locks.
unsafe impl Send for Notifier {}
// SAFETY: As above.
unsafe impl Sync for Notifier {}

impl Notifier {
    /// Registers `L` for all namespaces. Process context; sleeps.
    pub(crate) fn new<L: Listener>() -> Result<Self> {
        // SAFETY: All zeroes is a value of this C structure.
        let mut nb: bindings::notifier_block = unsafe { core::mem::zeroed() };
        nb.notifier_call = Some(notify::<L>);
        let nb = KBox::new(UnsafeCell::new(nb), GFP_KERNEL)?;
        // SAFETY: The block stays where it is until `drop` takes it back. The table is a static of the kernel.
        unsafe {
            to_result(bindings::register_netevent_notifier(nb.get()))?;
            bindings::neigh_for_each(addr_of_mut!(bindings::arp_tbl), Some(each::<L>), null_mut());
        }
        Ok(Notifier(nb))
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        // SAFETY: Registered by `new`, once. The callee waits for calls under way.
        unsafe { bindings::unregister_netevent_notifier(self.0.get()) };
    }
}

/// # Safety
///
/// Called by C with a live neighbour of the ARP table.
unsafe extern "C" fn each<L: Listener>(n: *mut bindings::neighbour, _cookie: *mut c_void) {
    // SAFETY: The function's own requirement. Behind the structure stands the key, of four bytes in this
    // table; the hardware address has room for the longest there is. A neighbour keeps its device.
    unsafe {
        let state = u32::from(addr_of!((*n).nud_state).read_volatile());
        let known = Known {
            addr: u32::from_be((*n).primary_key.as_ptr().cast::<u32>().read_unaligned()),
            ha: addr_of!((*n).ha).cast::<[u8; ETH_ALEN]>().read(),
            permanent: state & bindings::NUD_PERMANENT != 0,
        };
        L::event(NetDevice::from_ptr((*n).dev), known);
    }
}

/// # Safety
///
/// Called by C with what the event says that it brings.
unsafe extern "C" fn notify<L: Listener>(
    _nb: *mut bindings::notifier_block,
    event: c_ulong,
    info: *mut c_void,
) -> c_int {
    let event = event as bindings::netevent_notif_type;
    if event == bindings::netevent_notif_type_NETEVENT_NEIGH_UPDATE {
        let n = info.cast::<bindings::neighbour>();
        // SAFETY: This event brings a live neighbour, of any table.
        unsafe {
            if core::ptr::eq((*n).tbl, addr_of!(bindings::arp_tbl)) {
                each::<L>(n, null_mut());
            }
        }
    }
    bindings::NOTIFY_DONE as c_int
}
