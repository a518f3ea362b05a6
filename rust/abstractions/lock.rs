// SPDX-License-Identifier: GPL-2.0
//! A spinlock that keeps softirqs out.
//!
//! C header: [`include/linux/spinlock.h`](srctree/include/linux/spinlock.h)

use crate::bindings;
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ops::{
    Deref,
    DerefMut, //
};

/// A spinlock that keeps softirqs out (`spin_lock_bh`). Nothing under it may sleep.
///
/// lockdep sees one class per type of value, so that the order of two kinds of locks is checked.
pub struct Lock<T> {
    raw: UnsafeCell<bindings::spinlock_t>,
    value: UnsafeCell<T>,
}

// SAFETY: The value goes where the lock goes.
unsafe impl<T: Send> Send for Lock<T> {}
// SAFETY: The value is only reached by the one who holds the lock.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    /// An open lock around `value`. May be moved until it is first shared.
    #[inline]
    pub fn new(value: T) -> Self {
        let mut raw = MaybeUninit::<bindings::spinlock_t>::zeroed();
        // lockdep takes the address of something static as the class: that of the type's name is that, and
        // differs from type to type. Nothing is ever written through it.
        let class = core::any::type_name::<T>().as_ptr().cast_mut().cast();
        // SAFETY: Initialises the lock in place. An open lock holds no pointer to itself, so it may be moved
        // while nobody else knows it.
        let raw = unsafe {
            bindings::spin_lock_init(raw.as_mut_ptr(), c"rustnet".as_ptr().cast(), class);
            raw.assume_init()
        };
        Lock {
            raw: UnsafeCell::new(raw),
            value: UnsafeCell::new(value),
        }
    }

    /// Waits for the lock and takes it.
    #[inline]
    pub fn lock(&self) -> LockGuard<'_, T> {
        // SAFETY: The lock is initialised; the guard opens it again.
        unsafe { bindings::spin_lock_bh(self.raw.get()) };
        LockGuard {
            lock: self,
            _not_send: PhantomData,
        }
    }

    /// The value, without the lock: nobody else knows it.
    #[inline]
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T: Default> Default for Lock<T> {
    fn default() -> Self {
        Lock::new(T::default())
    }
}

impl<T> core::fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Lock")
    }
}

/// A [`Lock`] that is held.
///
/// # Invariants
///
/// The lock is held by this CPU, with softirqs off, since the guard was made.
pub struct LockGuard<'a, T> {
    lock: &'a Lock<T>,
    /// A lock is opened where it was taken.
    _not_send: PhantomData<*mut ()>,
}

impl<T> Deref for LockGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: By the type invariant the lock is held.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for LockGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: By the type invariant the lock is held; `self` is borrowed exclusively.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for LockGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant the lock is held.
        unsafe { bindings::spin_unlock_bh(self.lock.raw.get()) };
    }
}
