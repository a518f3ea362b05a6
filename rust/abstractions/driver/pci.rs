// SPDX-License-Identifier: GPL-2.0
//! Drivers of PCI cards, with every callback that a card on a real machine needs.
//!
//! C header: [`include/linux/pci.h`](srctree/include/linux/pci.h)
//!
//! The kernel crate's `pci::Adapter` knows only probe and remove; sleep, shutdown and recovery from bus
//! errors are here, too.

use crate::bindings;
use core::ffi::CStr;
use core::marker::{
    PhantomData,
    PhantomPinned, //
};
use kernel::alloc::{
    flags::GFP_KERNEL,
    KBox, //
};
use kernel::error::{
    to_result,
    Error,
    Result, //
};
use kernel::ffi::{
    c_int,
    c_ulong, //
};
use kernel::ThisModule;

/// A card that is bound to its driver, only ever seen behind a reference.
///
/// # Invariants
///
/// A `&Device` is the address of a live `struct pci_dev` that stays bound as long as the reference lives.
#[repr(C)]
pub(crate) struct Device {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut bindings::pci_dev, PhantomPinned)>,
}

impl Device {
    /// # Safety
    ///
    /// `ptr` must be a device bound to this driver during `'a`, or being bound or unbound.
    #[inline]
    unsafe fn from_ptr<'a>(ptr: *mut bindings::pci_dev) -> &'a Device {
        // SAFETY: The type has no size, so only the address matters, and that is not null.
        unsafe { &*ptr.cast() }
    }

    /// The C structure, for abstractions.
    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut bindings::pci_dev {
        core::ptr::from_ref(self).cast_mut().cast()
    }

    /// The generic device within, for abstractions.
    #[inline]
    pub(crate) fn as_dev_ptr(&self) -> *mut bindings::device {
        // SAFETY: Only computes the address of a field of a live structure.
        unsafe { core::ptr::addr_of_mut!((*self.as_ptr()).dev) }
    }

    /// The number of its interrupt.
    pub(crate) fn irq(&self) -> u32 {
        // SAFETY: Alive by the type invariant; set before probe.
        unsafe { (*self.as_ptr()).irq }
    }

    /// Says that the card can reach `bits` bits of addresses with its own accesses to memory.
    ///
    /// # Errors
    ///
    /// EIO if the machine has no memory there.
    pub(crate) fn set_dma_mask(&self, bits: u32) -> Result {
        let mask = u64::MAX >> 64u32.saturating_sub(bits).min(63);
        // SAFETY: Alive by the type invariant, and being bound: nothing is mapped yet.
        to_result(unsafe { bindings::dma_set_mask_and_coherent(self.as_dev_ptr(), mask) })
    }

    /// Lets the card access memory by itself.
    pub(crate) fn set_master(&self) {
        // SAFETY: Alive by the type invariant.
        unsafe { bindings::pci_set_master(self.as_ptr()) };
    }

    /// Saves the configuration for a reset behind the driver's back ([`Driver::slot_reset`]).
    pub(crate) fn save_state(&self) {
        // SAFETY: Alive by the type invariant.
        unsafe { bindings::pci_save_state(self.as_ptr()) };
    }

    /// Restores what [`Device::save_state`] saved, and saves it again.
    pub(crate) fn restore_state(&self) {
        // SAFETY: Alive by the type invariant.
        unsafe { bindings::pci_restore_state(self.as_ptr()) };
        self.save_state();
    }
}

impl AsRef<kernel::device::Device> for Device {
    fn as_ref(&self) -> &kernel::device::Device {
        // SAFETY: The kernel crate's type is a transparent wrapper of the same structure, which is alive.
        unsafe { &*self.as_dev_ptr().cast() }
    }
}

/// A card that is switched on, with its memory regions reserved for this driver; both are given back when
/// it is dropped.
pub(crate) struct Enabled {
    dev: *mut bindings::pci_dev,
    bars: c_int,
}

// SAFETY: The device is guarded by C.
unsafe impl Send for Enabled {}
// SAFETY: As above.
unsafe impl Sync for Enabled {}

impl Enabled {
    /// Switches the card's memory on and reserves its regions for `name`.
    ///
    /// # Errors
    ///
    /// What the bus says; EBUSY if somebody else uses the regions.
    pub(crate) fn new(dev: &Device, name: &'static CStr) -> Result<Self> {
        let ptr = dev.as_ptr();
        // SAFETY: Alive by the type invariant.
        to_result(unsafe { bindings::pci_enable_device_mem(ptr) })?;
        // SAFETY: As above.
        let bars = unsafe { bindings::pci_select_bars(ptr, bindings::IORESOURCE_MEM as usize) };
        // SAFETY: As above; the name is static.
        let err =
            unsafe { bindings::pci_request_selected_regions(ptr, bars, name.as_ptr().cast()) };
        to_result(err).inspect_err(|_| {
            // SAFETY: Enabled above.
            unsafe { bindings::pci_disable_device(ptr) }
        })?;
        Ok(Enabled { dev: ptr, bars })
    }
}

impl Drop for Enabled {
    fn drop(&mut self) {
        // SAFETY: Part of the driver's data, which goes before the device is unbound; reserved and enabled
        // by `new`.
        unsafe {
            bindings::pci_release_selected_regions(self.dev, self.bars);
            bindings::pci_clear_master(self.dev);
            bindings::pci_disable_device(self.dev);
        }
    }
}

/// What the bus is to do with a card after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recovery {
    /// Reset the slot, then call [`Driver::slot_reset`].
    NeedReset,
    /// The card is lost.
    Disconnect,
    /// The card works again.
    Recovered,
}

/// A driver of PCI cards. All is called in process context by the driver core, one call a card at a time,
/// but [`Driver::error_detected`] may come beside others.
pub(crate) trait Driver: Sized + Send + Sync + 'static {
    /// The driver's name.
    const NAME: &'static CStr;
    /// Vendor and device of the cards it drives.
    const IDS: &'static [(u16, u16)];

    /// A card appeared. What is returned lives until the card goes, and its drop undoes all.
    fn probe(dev: &Device) -> Result<Self>;

    /// The machine goes down: the card must become quiet.
    fn shutdown(&self, dev: &Device);

    /// The machine goes to sleep.
    fn suspend(&self, dev: &Device) -> Result;

    /// The machine woke up; configuration space is restored.
    fn resume(&self, dev: &Device) -> Result;

    /// The bus found an error; `permanent` if the card will not come back.
    fn error_detected(&self, dev: &Device, permanent: bool) -> Recovery;

    /// The slot was reset.
    fn slot_reset(&self, dev: &Device) -> Recovery;

    /// All is well again.
    fn error_resume(&self, dev: &Device);
}

/// The C structures of a driver's registration.
struct Tables {
    driver: bindings::pci_driver,
    errors: bindings::pci_error_handlers,
    pm: bindings::dev_pm_ops,
    ids: kernel::alloc::KVec<bindings::pci_device_id>,
}

/// A registration with the bus; dropped, it takes the driver from all its cards.
pub(crate) struct Registration<T: Driver> {
    tables: KBox<Tables>,
    _driver: PhantomData<T>,
}

// SAFETY: The structures are C's from the registration to its end.
unsafe impl<T: Driver> Send for Registration<T> {}
// SAFETY: Nothing can be done with a shared one.
unsafe impl<T: Driver> Sync for Registration<T> {}

impl<T: Driver> Registration<T> {
    /// Registers `T`. Cards that are there are probed before this returns.
    pub(crate) fn new(module: &'static ThisModule) -> Result<Self> {
        // SAFETY: All zeroes is a value of this C structure, and the end of a table of it.
        let zero: bindings::pci_device_id = unsafe { core::mem::zeroed() };
        let mut ids = kernel::alloc::KVec::with_capacity(T::IDS.len().wrapping_add(1), GFP_KERNEL)?;
        for (vendor, device) in T::IDS {
            let id = bindings::pci_device_id {
                vendor: u32::from(*vendor),
                device: u32::from(*device),
                subvendor: u32::MAX,
                subdevice: u32::MAX,
                ..zero
            };
            ids.push(id, GFP_KERNEL)?;
        }
        ids.push(zero, GFP_KERNEL)?;

        // SAFETY: All zeroes is a value of these C structures.
        let mut tables = KBox::new(
            Tables {
                driver: unsafe { core::mem::zeroed() },
                errors: unsafe { core::mem::zeroed() },
                pm: unsafe { core::mem::zeroed() },
                ids,
            },
            GFP_KERNEL,
        )?;
        tables.errors.error_detected = Some(error_detected::<T>);
        tables.errors.slot_reset = Some(slot_reset::<T>);
        tables.errors.resume = Some(error_resume::<T>);
        tables.pm.suspend = Some(suspend::<T>);
        tables.pm.resume = Some(resume::<T>);
        tables.pm.freeze = Some(suspend::<T>);
        tables.pm.thaw = Some(resume::<T>);
        tables.pm.poweroff = Some(suspend::<T>);
        tables.pm.restore = Some(resume::<T>);
        let (errors, pm) = (&raw const tables.errors, &raw const tables.pm);
        let table = tables.ids.as_ptr();
        let driver = &mut tables.driver;
        driver.name = T::NAME.as_ptr().cast();
        driver.id_table = table;
        driver.probe = Some(probe::<T>);
        driver.remove = Some(remove::<T>);
        driver.shutdown = Some(shutdown::<T>);
        driver.err_handler = errors;
        driver.driver.pm = pm;
        // SAFETY: The structures stay where they are until `drop` takes them back; the names are static.
        to_result(unsafe {
            bindings::__pci_register_driver(driver, module.as_ptr().cast(), T::NAME.as_ptr().cast())
        })?;
        Ok(Registration {
            tables,
            _driver: PhantomData,
        })
    }
}

impl<T: Driver> Drop for Registration<T> {
    fn drop(&mut self) {
        // SAFETY: Registered by `new`. Returns when no callback runs any more.
        unsafe { bindings::pci_unregister_driver(&mut self.tables.driver) };
    }
}

/// # Safety
///
/// Called by C with a device that is being bound.
unsafe extern "C" fn probe<T: Driver>(
    pdev: *mut bindings::pci_dev,
    _id: *const bindings::pci_device_id,
) -> c_int {
    // SAFETY: By the contract.
    let dev = unsafe { Device::from_ptr(pdev) };
    match T::probe(dev).and_then(|data| Ok(KBox::new(data, GFP_KERNEL)?)) {
        Ok(data) => {
            // SAFETY: The driver's data of a device are the driver's to set, from probe to remove.
            unsafe { bindings::dev_set_drvdata(dev.as_dev_ptr(), KBox::into_raw(data).cast()) };
            0
        }
        Err(e) => e.to_errno(),
    }
}

/// The driver's data of a device between probe and remove.
///
/// # Safety
///
/// `pdev` must be bound to `T`, and stay so during `'a`.
unsafe fn data<'a, T: Driver>(pdev: *mut bindings::pci_dev) -> (&'a T, &'a Device) {
    // SAFETY: `probe` set the pointer, and `remove` has not taken it back by the contract.
    unsafe {
        let dev = Device::from_ptr(pdev);
        (
            &*bindings::dev_get_drvdata(dev.as_dev_ptr()).cast::<T>(),
            dev,
        )
    }
}

/// # Safety
///
/// Called by C, once, with a device that `probe` has bound.
unsafe extern "C" fn remove<T: Driver>(pdev: *mut bindings::pci_dev) {
    // SAFETY: `probe` left a box there, and the driver core calls nothing else for this device from here on.
    unsafe {
        let dev = Device::from_ptr(pdev).as_dev_ptr();
        drop(KBox::from_raw(bindings::dev_get_drvdata(dev).cast::<T>()));
        bindings::dev_set_drvdata(dev, core::ptr::null_mut());
    }
}

/// # Safety
///
/// Called by C with a device that `probe` has bound.
unsafe extern "C" fn shutdown<T: Driver>(pdev: *mut bindings::pci_dev) {
    // SAFETY: By the contract.
    let (data, dev) = unsafe { data::<T>(pdev) };
    data.shutdown(dev);
}

fn status(result: Result) -> c_int {
    result.map_or_else(Error::to_errno, |()| 0)
}

/// # Safety
///
/// Called by C with the generic device of a card that `probe` has bound.
unsafe extern "C" fn suspend<T: Driver>(dev: *mut bindings::device) -> c_int {
    // SAFETY: By the contract the device is that of a card.
    let (data, dev) = unsafe { data::<T>(kernel::container_of!(dev, bindings::pci_dev, dev)) };
    status(data.suspend(dev))
}

/// # Safety
///
/// As [`suspend`].
unsafe extern "C" fn resume<T: Driver>(dev: *mut bindings::device) -> c_int {
    // SAFETY: By the contract the device is that of a card.
    let (data, dev) = unsafe { data::<T>(kernel::container_of!(dev, bindings::pci_dev, dev)) };
    status(data.resume(dev))
}

fn result(recovery: Recovery) -> bindings::pci_ers_result_t {
    match recovery {
        Recovery::NeedReset => bindings::pci_ers_result_PCI_ERS_RESULT_NEED_RESET as _,
        Recovery::Disconnect => bindings::pci_ers_result_PCI_ERS_RESULT_DISCONNECT as _,
        Recovery::Recovered => bindings::pci_ers_result_PCI_ERS_RESULT_RECOVERED as _,
    }
}

/// # Safety
///
/// Called by C with a device that `probe` has bound, and with its lock held.
unsafe extern "C" fn error_detected<T: Driver>(
    pdev: *mut bindings::pci_dev,
    state: bindings::pci_channel_state_t,
) -> bindings::pci_ers_result_t {
    // SAFETY: By the contract.
    let (data, dev) = unsafe { data::<T>(pdev) };
    let permanent = state == bindings::pci_channel_io_perm_failure as _;
    result(data.error_detected(dev, permanent))
}

/// # Safety
///
/// As [`error_detected`].
unsafe extern "C" fn slot_reset<T: Driver>(
    pdev: *mut bindings::pci_dev,
) -> bindings::pci_ers_result_t {
    // SAFETY: By the contract.
    let (data, dev) = unsafe { data::<T>(pdev) };
    result(data.slot_reset(dev))
}

/// # Safety
///
/// As [`error_detected`].
unsafe extern "C" fn error_resume<T: Driver>(pdev: *mut bindings::pci_dev) {
    // SAFETY: By the contract.
    let (data, dev) = unsafe { data::<T>(pdev) };
    data.error_resume(dev);
}

/// Ticks of the kernel's clock in a second.
pub(crate) const HZ: c_ulong = bindings::HZ;
