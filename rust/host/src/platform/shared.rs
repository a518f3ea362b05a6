// SPDX-License-Identifier: GPL-2.0
//! Memory and sharing: what `rust/platform.rs` makes of the kernel's allocator, reference counts, RCU
//! and spinlocks.
//!
//! Rules that the kernel flavour relies on and the types enforce: what an [`Rcu`] publishes is an
//! [`RcuBox`], which has one owner, so that a value is published once and retired once; whatever
//! several values share is an [`Arc`] inside of them, dropped with the last of them, after the grace
//! period of that one.

use super::may_alloc;
use std::ops::{
    Deref,
    DerefMut, //
};
use std::sync::{
    Mutex,
    MutexGuard,
    PoisonError, //
};

/// There was no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocError;

/// Shared ownership of a value that does not change, or changes only through atomics and [`Lock`]s.
#[derive(Debug)]
pub struct Arc<T>(std::sync::Arc<T>);

impl<T> Arc<T> {
    /// Moves `value` to memory of its own. Atomic: never sleeps.
    pub fn try_new(value: T) -> Result<Self, AllocError> {
        if may_alloc() {
            Ok(Arc(std::sync::Arc::new(value)))
        } else {
            Err(AllocError)
        }
    }

    /// Whether both are the same object.
    pub fn ptr_eq(a: &Self, b: &Self) -> bool {
        std::sync::Arc::ptr_eq(&a.0, &b.0)
    }
}

impl<T> Clone for Arc<T> {
    fn clone(&self) -> Self {
        Arc(self.0.clone())
    }
}

impl<T> Deref for Arc<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

/// A fixed number of values in one piece of memory.
#[derive(Debug)]
pub struct Array<T>(Box<[T]>);

impl<T> Array<T> {
    /// Makes an array of `f(0)` to `f(len - 1)`. Atomic: never sleeps.
    pub fn try_from_fn(len: usize, f: impl FnMut(usize) -> T) -> Result<Self, AllocError> {
        if may_alloc() {
            Ok(Array((0..len).map(f).collect()))
        } else {
            Err(AllocError)
        }
    }

    /// The same for a large array, in process context: may sleep, need not be contiguous memory.
    pub fn try_from_fn_sleeping(len: usize, f: impl FnMut(usize) -> T) -> Result<Self, AllocError> {
        Self::try_from_fn(len, f)
    }
}

impl<T> Array<T> {
    /// An array of the values of an iterator, of the first `most` of them. Atomic: never sleeps.
    pub fn try_collect(most: usize, values: impl Iterator<Item = T>) -> Result<Self, AllocError> {
        if may_alloc() {
            Ok(Array(values.take(most).collect()))
        } else {
            Err(AllocError)
        }
    }
}

impl<T: Clone> Array<T> {
    /// An array of copies of the values of `parts`, one part behind the other. Atomic: never sleeps.
    pub fn try_concat(parts: &[&[T]]) -> Result<Self, AllocError> {
        if may_alloc() {
            Ok(Array(parts.concat().into()))
        } else {
            Err(AllocError)
        }
    }
}

impl<T> Deref for Array<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> DerefMut for Array<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

/// A value that can be published through an [`Rcu`], before it is: owned, and changeable.
#[derive(Debug)]
pub struct RcuBox<T>(Box<T>);

impl<T> RcuBox<T> {
    /// Moves `value` to memory of its own. Atomic: never sleeps.
    pub fn try_new(value: T) -> Result<Self, AllocError> {
        if may_alloc() {
            Ok(RcuBox(Box::new(value)))
        } else {
            Err(AllocError)
        }
    }
}

impl<T> Deref for RcuBox<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for RcuBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

/// A read-side critical section, until it is dropped.
#[derive(Debug)]
pub struct ReadGuard(());

/// Enters a read-side critical section. They nest.
pub const fn read_lock() -> ReadGuard {
    ReadGuard(())
}

/// A published pointer: readers never wait, writers never wait for readers.
#[derive(Debug, Default)]
pub struct Rcu<T>(Mutex<Option<std::sync::Arc<T>>>);

impl<T> Rcu<T> {
    /// Publishes nothing yet.
    pub const fn null() -> Self {
        Rcu(Mutex::new(None))
    }

    /// Publishes `value`.
    pub fn new(value: RcuBox<T>) -> Self {
        Rcu(Mutex::new(Some(value.0.into())))
    }

    /// Reads what is published now. It stays in memory, unchanged, until `f` returns. Lock-free, in
    /// any context; `f` may not sleep.
    pub fn read<R>(&self, f: impl FnOnce(Option<&T>) -> R) -> R {
        let value = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        f(value.as_deref())
    }

    /// The same for who is in a read-side critical section already.
    pub fn read_in<R>(&self, _rcu: &ReadGuard, f: impl FnOnce(Option<&T>) -> R) -> R {
        self.read(f)
    }

    /// Publishes `value` instead. What was there is dropped once no reader can see it any more:
    /// later, in softirq, and before the module goes away. Never sleeps, never allocates.
    pub fn replace(&self, value: Option<RcuBox<T>>) {
        let old = std::mem::replace(
            &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner),
            value.map(|v| v.0.into()),
        );
        drop(old);
    }
}

/// A spinlock that keeps softirqs out (`spin_lock_bh`). Nothing under it may sleep.
#[derive(Debug, Default)]
pub struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    /// An open lock around `value`. May be moved until it is first shared.
    pub const fn new(value: T) -> Self {
        Lock(Mutex::new(value))
    }

    /// Waits for the lock and takes it.
    pub fn lock(&self) -> LockGuard<'_, T> {
        LockGuard(self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The value, without the lock: nobody else knows it.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A [`Lock`] that is held.
#[derive(Debug)]
pub struct LockGuard<'a, T>(MutexGuard<'a, T>);

impl<T> Deref for LockGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for LockGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}
