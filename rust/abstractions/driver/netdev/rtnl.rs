// SPDX-License-Identifier: GPL-2.0
//! What may be done to a device by who holds the RTNL.

use super::{
    ops,
    Admin,
    Device,
    Driver, //
};
use crate::bindings;
use core::ops::Deref;
use core::ptr::addr_of_mut;
use kernel::error::{
    to_result,
    Result, //
};
use kernel::ffi::c_ulong;

/// The RTNL is held, and with it the device's administration.
///
/// Nothing here calls back into the driver, so that there is never a second one.
pub(crate) struct Rtnl<'a, T: Driver> {
    dev: &'a Device<T>,
}

impl<T: Driver> Deref for Rtnl<'_, T> {
    type Target = Device<T>;

    #[inline]
    fn deref(&self) -> &Device<T> {
        self.dev
    }
}

impl<'a, T: Driver> Rtnl<'a, T> {
    /// # Safety
    ///
    /// The RTNL must be held during `'a`, and no other value of this type be in use for this device.
    pub(in crate::abstractions) unsafe fn assume(dev: &'a Device<T>) -> Self {
        Rtnl { dev }
    }

    fn state(&mut self) -> &mut Admin<T> {
        // SAFETY: The RTNL is held, and `self` is the only one by the contract of `assume`.
        unsafe { &mut *(*self.dev.private()).admin.get() }
    }

    /// What the driver keeps under the RTNL.
    pub(crate) fn admin(&mut self) -> &mut T::Admin {
        &mut self.state().driver
    }

    /// Whether the device is between [`Rtnl::start`] and [`Rtnl::stop`].
    pub(crate) fn is_running(&mut self) -> bool {
        self.state().running
    }

    /// Whether the device is up as far as the user is concerned.
    pub(crate) fn is_up(&self) -> bool {
        // SAFETY: Live by the type invariant, and the RTNL guards the flags.
        unsafe { (*self.as_ptr()).flags & bindings::net_device_flags_IFF_UP != 0 }
    }

    /// Asks for interrupt `irq`, which others may share. From now on [`Driver::interrupt`] is called.
    pub(crate) fn request_irq(&mut self, irq: u32) -> Result {
        let dev = self.as_ptr();
        // SAFETY: The name lives as long as the device, which gives the interrupt back before it goes.
        to_result(unsafe {
            bindings::request_threaded_irq(
                irq,
                Some(ops::interrupt::<T>),
                None,
                bindings::IRQF_SHARED as c_ulong,
                addr_of_mut!((*dev).name).cast(),
                dev.cast(),
            )
        })?;
        self.state().irq = Some(irq);
        Ok(())
    }

    /// Gives the interrupt back. When it returns, [`Driver::interrupt`] has returned, too.
    pub(crate) fn free_irq(&mut self) {
        let dev = self.as_ptr();
        if let Some(irq) = self.state().irq.take() {
            // SAFETY: Asked for by `request_irq`, with the same device.
            unsafe { bindings::free_irq(irq, dev.cast()) };
        }
    }

    /// Waits until [`Driver::interrupt`] has returned.
    pub(crate) fn synchronize_irq(&mut self) {
        if let Some(irq) = self.state().irq {
            // SAFETY: No requirements but process context.
            unsafe { bindings::synchronize_irq(irq) };
        }
    }

    /// Hands over what sending and polling need, and lets NAPI run. The transmit queue stays stopped until
    /// [`Device::start_queue`] or [`Device::wake_queue`].
    pub(crate) fn start(&mut self, xmit: T::Xmit, poll: T::Poll) {
        drop(self.stop());
        let (dev, private) = (self.as_ptr(), self.private());
        // SAFETY: The transmit lock is taken for its value. NAPI does not run (it starts disabled, and `stop`
        // disables it), so that nobody else touches the poll function's.
        unsafe {
            bindings::netif_tx_lock_bh(dev);
            *(*private).xmit.get() = Some(xmit);
            bindings::netif_tx_unlock_bh(dev);
            *(*private).poll.get() = Some(poll);
            bindings::napi_enable(self.napi());
            for kind in QUEUES {
                bindings::netif_queue_set_napi(dev, 0, kind, self.napi());
            }
        }
        self.state().running = true;
    }

    /// Stops the transmit queue and NAPI, waits until neither runs, and takes back what they had. `None` if
    /// they did not run.
    pub(crate) fn stop(&mut self) -> Option<(T::Xmit, T::Poll)> {
        if !core::mem::replace(&mut self.state().running, false) {
            return None;
        }
        let (dev, private) = (self.as_ptr(), self.private());
        // SAFETY: `napi_disable` returns when the poll function does not run and will not; the transmit lock
        // is taken for its value.
        unsafe {
            bindings::netif_tx_disable(dev);
            for kind in QUEUES {
                bindings::netif_queue_set_napi(dev, 0, kind, core::ptr::null_mut());
            }
            bindings::napi_disable(self.napi());
            bindings::netif_tx_lock_bh(dev);
            let xmit = (*(*private).xmit.get()).take();
            bindings::netif_tx_unlock_bh(dev);
            bindings::netdev_reset_queue(dev);
            xmit.zip((*(*private).poll.get()).take())
        }
    }

    /// Waits until [`Driver::watchdog`] has returned; it is not called again until it is called for.
    pub(crate) fn cancel_watchdog(&mut self) {
        // SAFETY: Initialised with the device. The watchdog does not take the RTNL, as its contract says.
        unsafe { bindings::cancel_delayed_work_sync((*self.private()).watchdog.get()) };
    }

    /// Calls [`Driver::set_rx_mode`] with the lists as they are.
    pub(crate) fn refresh_rx_mode(&mut self) {
        let dev = self.as_ptr();
        // SAFETY: Live by the type invariant; the lock guards the lists.
        unsafe {
            bindings::netif_addr_lock_bh(dev);
            ops::call_set_rx_mode::<T>(dev);
            bindings::netif_addr_unlock_bh(dev);
        }
    }

    /// Sets the largest packet, IP header included, in bytes.
    pub(crate) fn set_mtu(&mut self, mtu: u32) {
        // SAFETY: Live by the type invariant, and the RTNL guards writing.
        unsafe { addr_of_mut!((*self.as_ptr()).mtu).write_volatile(mtu) };
    }

    /// Takes the device away from the stack, for the card cannot be used for a while.
    pub(crate) fn detach(&mut self) {
        // SAFETY: Live by the type invariant.
        unsafe { bindings::netif_device_detach(self.as_ptr()) };
    }

    /// Gives the device back to the stack.
    pub(crate) fn attach(&mut self) {
        // SAFETY: Live by the type invariant.
        unsafe { bindings::netif_device_attach(self.as_ptr()) };
    }
}

const QUEUES: [bindings::netdev_queue_type; 2] = [
    bindings::netdev_queue_type_NETDEV_QUEUE_TYPE_RX,
    bindings::netdev_queue_type_NETDEV_QUEUE_TYPE_TX,
];
