// SPDX-License-Identifier: GPL-2.0
//! Registers of a card, in memory.
//!
//! C header: [`include/linux/io.h`](srctree/include/linux/io.h)

use super::pci;
use crate::bindings;
use core::ptr::NonNull;
use kernel::error::{
    code::{
        ENODEV,
        ENOMEM, //
    },
    Result, //
};

/// Bytes of the window in which every [`Offset`] lies.
pub(crate) const WINDOW: usize = 128 << 10;

/// The place of a register of 32 bits, in bytes from the start of the window.
///
/// # Invariants
///
/// A multiple of four, and less than [`WINDOW`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offset(u32);

impl Offset {
    /// The offset `n`; for constants, of which a wrong one does not compile.
    ///
    /// # Panics
    ///
    /// If `n` is outside the window or not aligned.
    pub(crate) const fn at(n: u32) -> Offset {
        assert!((n as usize) < WINDOW && n % 4 == 0);
        // INVARIANT: Just seen.
        Offset(n)
    }

    /// The register `i` places behind this one, of an array of `len`; the array's last for a greater `i`.
    #[inline]
    pub(crate) const fn index(self, i: usize, len: usize) -> Offset {
        let last = if len == 0 { 0 } else { len.wrapping_sub(1) };
        let i = if i > last { last } else { i };
        let n = (self.0 as usize).wrapping_add(i.wrapping_mul(4)) & (WINDOW - 4);
        // INVARIANT: The mask keeps it in the window and aligned.
        Offset(n as u32)
    }

    /// The number.
    #[inline]
    pub(crate) const fn get(self) -> u32 {
        self.0
    }
}

/// A register with a place and a meaning: its value is a type of its own.
pub(crate) trait Register: Copy {
    /// Where it is.
    const OFFSET: Offset;

    /// The value that the bits say.
    fn from_bits(bits: u32) -> Self;

    /// The value's bits.
    fn bits(self) -> u32;
}

/// The registers of a card, mapped; unmapped when dropped.
///
/// # Invariants
///
/// The pointer is a mapping of at least [`WINDOW`] bytes of device memory, ours alone to unmap.
pub(crate) struct Bar(NonNull<u8>);

// SAFETY: The mapping belongs to no CPU and no task, and each access is one bus transaction.
unsafe impl Send for Bar {}
// SAFETY: As above.
unsafe impl Sync for Bar {}

impl Bar {
    /// Maps base address register number `bar` of a card whose regions are ours.
    ///
    /// # Errors
    ///
    /// ENODEV if the region is too small, ENOMEM if it cannot be mapped.
    pub(crate) fn map(dev: &pci::Device, bar: i32) -> Result<Bar> {
        // SAFETY: The device is bound, as its type says.
        let len = unsafe { bindings::pci_resource_len(dev.as_ptr(), bar) };
        if len < WINDOW as u64 {
            return Err(ENODEV);
        }
        // SAFETY: As above.
        let ptr = unsafe { bindings::pci_ioremap_bar(dev.as_ptr(), bar) };
        // INVARIANT: The whole region was mapped, and it is long enough.
        NonNull::new(ptr.cast()).map(Bar).ok_or(ENOMEM)
    }

    /// The bits at `at`. All ones if the card is gone.
    #[inline]
    pub(crate) fn read_at(&self, at: Offset) -> u32 {
        // SAFETY: By the invariants of both types the address is in the mapping, and aligned.
        unsafe { bindings::readl(self.0.as_ptr().add(at.0 as usize).cast()) }
    }

    /// Writes the bits at `at`, behind everything that this CPU wrote to coherent memory before.
    #[inline]
    pub(crate) fn write_at(&self, at: Offset, bits: u32) {
        // SAFETY: As above.
        unsafe { bindings::writel(bits, self.0.as_ptr().add(at.0 as usize).cast()) }
    }

    /// The value of a register.
    #[inline]
    pub(crate) fn read<R: Register>(&self) -> R {
        R::from_bits(self.read_at(R::OFFSET))
    }

    /// Sets a register.
    #[inline]
    pub(crate) fn write<R: Register>(&self, value: R) {
        self.write_at(R::OFFSET, value.bits());
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::iounmap(self.0.as_ptr().cast()) };
    }
}

/// Sleeps for about `usecs` microseconds. Process context.
pub(crate) fn sleep(usecs: usize) {
    // SAFETY: No requirements but the context.
    unsafe { bindings::fsleep(usecs) };
}
