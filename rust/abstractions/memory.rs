// SPDX-License-Identifier: GPL-2.0
//! Shared ownership and arrays, allocated without sleeping.
//!
//! What the stack allocates it allocates in softirq or under a spinlock, so every constructor may
//! fail and none sleeps unless its name says so.

use crate::bindings;
use core::mem::{
    align_of,
    size_of, //
};
use core::ops::{
    Deref,
    DerefMut, //
};
use core::ptr::NonNull;
use kernel::alloc::flags::GFP_ATOMIC;

/// Flags of an allocation that must not sleep and whose failure is handled.
const ATOMIC: bindings::gfp_t = bindings::GFP_ATOMIC | bindings::__GFP_NOWARN;

/// There was no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocError;

impl From<kernel::alloc::AllocError> for AllocError {
    fn from(_: kernel::alloc::AllocError) -> Self {
        AllocError
    }
}

impl From<AllocError> for kernel::error::Error {
    fn from(_: AllocError) -> Self {
        kernel::error::code::ENOMEM
    }
}

/// Shared ownership of a value that does not change, or changes only through atomics and locks.
pub struct Arc<T>(kernel::sync::Arc<T>);

impl<T> Arc<T> {
    /// Moves `value` to memory of its own. Atomic: never sleeps.
    pub fn try_new(value: T) -> Result<Self, AllocError> {
        Ok(Arc(kernel::sync::Arc::new(value, GFP_ATOMIC)?))
    }

    /// Whether both are the same object.
    #[inline]
    pub fn ptr_eq(a: &Self, b: &Self) -> bool {
        kernel::sync::Arc::ptr_eq(&a.0, &b.0)
    }
}

impl<T> Clone for Arc<T> {
    #[inline]
    fn clone(&self) -> Self {
        Arc(self.0.clone())
    }
}

impl<T> Deref for Arc<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: core::fmt::Debug> core::fmt::Debug for Arc<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        (**self).fmt(f)
    }
}

/// A fixed number of values in one piece of memory.
///
/// # Invariants
///
/// `ptr` is from `kvmalloc`, with room for `cap` values, and holds `len` initialised ones, all of them
/// this array's own; or `cap` values take no bytes and `ptr` is dangling.
pub struct Array<T> {
    ptr: NonNull<T>,
    len: usize,
    cap: usize,
}

// SAFETY: The values are owned exclusively.
unsafe impl<T: Send> Send for Array<T> {}
// SAFETY: Through `&Array` there are only `&T`s.
unsafe impl<T: Sync> Sync for Array<T> {}

impl<T> Array<T> {
    /// Makes an array of `f(0)` to `f(len - 1)`. Atomic: never sleeps.
    pub fn try_from_fn(len: usize, mut f: impl FnMut(usize) -> T) -> Result<Self, AllocError> {
        Self::with_flags(len, ATOMIC, |i| Some(f(i)))
    }

    /// The same for a large array, in process context: may sleep, need not be contiguous memory.
    pub fn try_from_fn_sleeping(
        len: usize,
        mut f: impl FnMut(usize) -> T,
    ) -> Result<Self, AllocError> {
        Self::with_flags(len, bindings::GFP_KERNEL, |i| Some(f(i)))
    }

    /// An array of the values of an iterator, of the first `most` of them. Atomic: never sleeps.
    pub fn try_collect(
        most: usize,
        mut values: impl Iterator<Item = T>,
    ) -> Result<Self, AllocError> {
        Self::with_flags(most, ATOMIC, |_| values.next())
    }

    /// Room for `len` values, filled with what `f` gives until it gives nothing.
    fn with_flags(
        len: usize,
        gfp: bindings::gfp_t,
        mut f: impl FnMut(usize) -> Option<T>,
    ) -> Result<Self, AllocError> {
        const {
            // What kmalloc guarantees for every size.
            assert!(align_of::<T>() <= 8);
        }
        let ptr = if size_of::<T>() == 0 || len == 0 {
            NonNull::dangling()
        } else {
            // SAFETY: No requirements; the product is checked by the callee, and atomic flags keep it from
            // vmalloc.
            let ptr = unsafe { bindings::kvmalloc_array(len, size_of::<T>(), gfp) };
            NonNull::new(ptr.cast::<T>()).ok_or(AllocError)?
        };
        // INVARIANT: `filled` counts the values written.
        let mut filled = 0;
        while let Some(value) = (filled < len).then(|| f(filled)).flatten() {
            // SAFETY: There is room for `len` values, and this place holds none yet.
            unsafe { ptr.as_ptr().add(filled).write(value) };
            filled = filled.wrapping_add(1);
        }
        Ok(Array {
            ptr,
            len: filled,
            cap: len,
        })
    }
}

impl<T: Clone> Array<T> {
    /// An array of copies of the values of `parts`, one part behind the other. Atomic: never sleeps.
    pub fn try_concat(parts: &[&[T]]) -> Result<Self, AllocError> {
        let len = parts.iter().fold(0usize, |n, p| n.saturating_add(p.len()));
        let mut values = parts.iter().flat_map(|p| p.iter());
        Self::with_flags(len, ATOMIC, |_| values.next().cloned())
    }
}

impl<T> Deref for Array<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: By the type invariant.
        unsafe { core::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for Array<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: By the type invariant; `self` is borrowed exclusively.
        unsafe { core::slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
    }
}

impl<T> Drop for Array<T> {
    fn drop(&mut self) {
        let values: *mut [T] = &mut **self;
        // SAFETY: The values are ours and are not looked at again; the memory is from `kvmalloc` if it
        // takes any bytes.
        unsafe {
            core::ptr::drop_in_place(values);
            if size_of::<T>() != 0 && self.cap != 0 {
                bindings::kvfree(self.ptr.as_ptr().cast());
            }
        }
    }
}

impl<T: core::fmt::Debug> core::fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        (**self).fmt(f)
    }
}
