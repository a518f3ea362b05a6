// SPDX-License-Identifier: GPL-2.0
//! Memory that a card reads and writes by itself.
//!
//! C header: [`include/linux/dma-mapping.h`](srctree/include/linux/dma-mapping.h)

use super::pci;
use crate::bindings;
use core::ptr::NonNull;
use core::sync::atomic::{
    AtomicU64,
    Ordering, //
};
use kernel::error::{
    code::ENOMEM,
    Result, //
};

/// On whose behalf memory is mapped.
///
/// # Invariants
///
/// A device that is bound to its driver. Whoever keeps a copy is part of the driver's data, which goes
/// before the device is unbound.
#[derive(Clone, Copy)]
pub(crate) struct Device(NonNull<bindings::device>);

// SAFETY: The mapping functions may be called from anywhere.
unsafe impl Send for Device {}
// SAFETY: As above.
unsafe impl Sync for Device {}

impl From<&pci::Device> for Device {
    fn from(dev: &pci::Device) -> Self {
        // INVARIANT: The reference says that the card is bound.
        // SAFETY: The field of a live structure has an address.
        Device(unsafe { NonNull::new_unchecked(dev.as_dev_ptr()) })
    }
}

impl Device {
    /// The C structure, for abstractions.
    #[inline]
    pub(super) fn as_ptr(self) -> *mut bindings::device {
        self.0.as_ptr()
    }
}

/// A mapping for the card to read from; taken back when dropped.
///
/// # Invariants
///
/// `len` bytes at bus address `addr` are mapped for `dev`, for reading, and nobody else unmaps them.
pub(crate) struct Mapping {
    dev: Device,
    addr: u64,
    len: usize,
}

impl Mapping {
    /// Takes over what one of C's mapping functions returned; `None` if that was an error.
    ///
    /// # Safety
    ///
    /// `addr` must be the result of mapping `len` bytes to `dev` for reading.
    #[inline]
    pub(super) unsafe fn new(dev: Device, addr: u64, len: usize) -> Option<Self> {
        // SAFETY: The device is bound by its type's invariant.
        if unsafe { bindings::dma_mapping_error(dev.as_ptr(), addr) } != 0 {
            return None;
        }
        // INVARIANT: By the contract.
        Some(Mapping { dev, addr, len })
    }

    /// Where the card finds it.
    #[inline]
    pub(crate) fn addr(&self) -> u64 {
        self.addr
    }

    /// Bytes.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Mapping {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: Mapped by the type invariant.
        unsafe {
            bindings::dma_unmap_page_attrs(
                self.dev.as_ptr(),
                self.addr,
                self.len,
                bindings::dma_data_direction_DMA_TO_DEVICE,
                0,
            )
        };
    }
}

/// A ring of descriptors that card and driver see at the same time: pairs of little-endian words.
///
/// The words are atomics, because the card writes when it pleases. They are read and written singly; what
/// the card makes of a half-written pair is kept from it by the tail register.
///
/// # Invariants
///
/// `ptr` is coherent memory for `len` pairs, at `addr` for the card, ours until the drop.
pub(crate) struct Descriptors {
    dev: Device,
    ptr: NonNull<[AtomicU64; 2]>,
    len: usize,
    addr: u64,
}

// SAFETY: Atomics, and bound to no CPU and no task.
unsafe impl Send for Descriptors {}
// SAFETY: As above.
unsafe impl Sync for Descriptors {}

impl Descriptors {
    /// Memory for `len` descriptors, zeroed. Process context: may sleep.
    pub(crate) fn new(dev: Device, len: usize) -> Result<Self> {
        let mut addr = 0;
        let bytes = len.checked_mul(16).ok_or(ENOMEM)?;
        // SAFETY: The device is bound by its type's invariant. The memory is aligned to a page and zeroed.
        let ptr = unsafe {
            bindings::dma_alloc_attrs(
                dev.as_ptr(),
                bytes,
                &mut addr,
                bindings::GFP_KERNEL | bindings::__GFP_ZERO | bindings::__GFP_NOWARN,
                0,
            )
        };
        let ptr = NonNull::new(ptr.cast()).ok_or(ENOMEM)?;
        // INVARIANT: Just allocated.
        Ok(Descriptors {
            dev,
            ptr,
            len,
            addr,
        })
    }

    /// How many there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Where the card finds the first one.
    #[inline]
    pub(crate) fn addr(&self) -> u64 {
        self.addr
    }

    #[inline]
    fn get(&self, i: u32) -> Option<&[AtomicU64; 2]> {
        // SAFETY: By the type invariant the memory holds `len` pairs as long as `self` lives.
        ((i as usize) < self.len).then(|| unsafe { &*self.ptr.as_ptr().add(i as usize) })
    }

    /// Writes descriptor `i`; nothing for an `i` that is none.
    #[inline]
    pub(crate) fn set(&self, i: u32, words: [u64; 2]) {
        if let Some([first, second]) = self.get(i) {
            first.store(words[0].to_le(), Ordering::Relaxed);
            second.store(words[1].to_le(), Ordering::Relaxed);
        }
    }

    /// Writes the second word of descriptor `i`; nothing for an `i` that is none.
    #[inline]
    pub(crate) fn set_second(&self, i: u32, word: u64) {
        if let Some([_, second]) = self.get(i) {
            second.store(word.to_le(), Ordering::Relaxed);
        }
    }

    /// The second word of descriptor `i`, where the card reports; 0 for an `i` that is none. What is read
    /// of the card's writing after this is at least as new (`dma_rmb`).
    #[inline]
    pub(crate) fn second(&self, i: u32) -> u64 {
        self.get(i).map_or(0, |[_, second]| {
            u64::from_le(second.load(Ordering::Acquire))
        })
    }
}

impl Drop for Descriptors {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; the size is that of the allocation.
        unsafe {
            bindings::dma_free_attrs(
                self.dev.as_ptr(),
                self.len.wrapping_mul(16),
                self.ptr.as_ptr().cast(),
                self.addr,
                0,
            )
        };
    }
}
