// SPDX-License-Identifier: GPL-2.0
//! Values that stand from the module's init to its exit, in a static.

use core::cell::UnsafeCell;
use kernel::error::{
    code::EBUSY,
    Result, //
};

/// A static that gets its value when the module is loaded and loses it when the module goes.
///
/// # Invariants
///
/// The value is written while nobody reads: before the first user of it is registered, and after the last one
/// is gone. The [`Guard`] is kept in the module's own struct, behind everything that uses the value.
pub struct ModuleCell<T>(UnsafeCell<Option<T>>);

// SAFETY: Shared reading only, by the invariant.
unsafe impl<T: Send + Sync> Sync for ModuleCell<T> {}

impl<T: Send + Sync> ModuleCell<T> {
    /// Without a value.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        ModuleCell(UnsafeCell::new(None))
    }

    /// Sets the value; from the module's init, once.
    ///
    /// # Errors
    ///
    /// EBUSY if there is one.
    pub fn set(&'static self, value: T) -> Result<Guard<T>> {
        // SAFETY: Nobody uses the cell yet, by the type's invariant.
        let cell = unsafe { &mut *self.0.get() };
        if cell.is_some() {
            return Err(EBUSY);
        }
        *cell = Some(value);
        Ok(Guard { cell: self })
    }

    /// The value; `None` only before the module's init and after its exit.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: Not written while anybody reads, by the type's invariant.
        unsafe { (*self.0.get()).as_ref() }
    }
}

/// The value stands as long as this lives.
pub struct Guard<T: 'static> {
    cell: &'static ModuleCell<T>,
}

// SAFETY: It only takes the value away, at the module's exit.
unsafe impl<T: Send + Sync> Send for Guard<T> {}
// SAFETY: Nothing can be done with a shared one.
unsafe impl<T: Send + Sync> Sync for Guard<T> {}

impl<T> Drop for Guard<T> {
    fn drop(&mut self) {
        // SAFETY: Nobody uses the value any more, by the type's invariant.
        unsafe { *self.cell.0.get() = None };
    }
}
