// SPDX-License-Identifier: GPL-2.0
//! A pointer that is read without a lock and replaced behind its readers' backs.
//!
//! C header: [`include/linux/rcupdate.h`](srctree/include/linux/rcupdate.h)

use super::memory::AllocError;
use crate::bindings;
use core::ops::{
    Deref,
    DerefMut, //
};
use core::ptr::null_mut;
use core::sync::atomic::{
    AtomicPtr,
    Ordering, //
};
use kernel::alloc::flags::GFP_ATOMIC;
use kernel::alloc::KBox;

/// A value and what RCU needs to free it later.
#[repr(C)]
struct Node<T> {
    rcu: bindings::callback_head,
    value: T,
}

/// A value that can be published through an [`Rcu`], before it is: owned, and changeable.
pub struct RcuBox<T>(KBox<Node<T>>);

// SAFETY: The value is owned, and nobody looks at the head before it is published.
unsafe impl<T: Send> Send for RcuBox<T> {}
// SAFETY: As above: through `&RcuBox` there is only `&T`.
unsafe impl<T: Sync> Sync for RcuBox<T> {}

impl<T> RcuBox<T> {
    /// Moves `value` to memory of its own. Atomic: never sleeps.
    pub fn try_new(value: T) -> Result<Self, AllocError> {
        let rcu = bindings::callback_head {
            next: null_mut(),
            func: None,
        };
        Ok(RcuBox(KBox::new(Node { rcu, value }, GFP_ATOMIC)?))
    }
}

impl<T> Deref for RcuBox<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T> DerefMut for RcuBox<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0.value
    }
}

impl<T: core::fmt::Debug> core::fmt::Debug for RcuBox<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        (**self).fmt(f)
    }
}

/// A published pointer: readers never wait, writers never wait for readers.
///
/// What is dropped later is dropped in softirq or by a kernel thread with softirqs off, and before the
/// module goes away ([`barrier`]).
///
/// # Invariants
///
/// The pointer is null or from [`KBox::into_raw`], and this is the only owner of the node: a node comes
/// from an [`RcuBox`], which nobody can clone, and leaves by a swap, which only one writer can win.
pub struct Rcu<T>(AtomicPtr<Node<T>>);

// SAFETY: Publishing gives `&T` to every CPU and drops `T` on another one.
unsafe impl<T: Send + Sync> Send for Rcu<T> {}
// SAFETY: As above.
unsafe impl<T: Send + Sync> Sync for Rcu<T> {}

impl<T> Default for Rcu<T> {
    fn default() -> Self {
        Rcu::null()
    }
}

impl<T> Rcu<T> {
    /// Publishes nothing yet.
    #[inline]
    pub const fn null() -> Self {
        Rcu(AtomicPtr::new(null_mut()))
    }

    /// Publishes `value`.
    #[inline]
    pub fn new(value: RcuBox<T>) -> Self {
        Rcu(AtomicPtr::new(KBox::into_raw(value.0)))
    }

    /// Reads what is published now. It stays in memory, unchanged, until `f` returns. Lock-free, in any
    /// context; `f` may not sleep.
    #[inline]
    pub fn read<R>(&self, f: impl FnOnce(Option<&T>) -> R) -> R {
        self.read_in(&read_lock(), f)
    }

    /// The same for who is in a read-side critical section already: entering another one is a call into C.
    #[inline]
    pub fn read_in<R>(&self, _rcu: &ReadGuard, f: impl FnOnce(Option<&T>) -> R) -> R {
        // Acquire is `rcu_dereference`, and free on the machines that need no barrier for it.
        let node = self.0.load(Ordering::Acquire);
        // SAFETY: A published node is freed a grace period after it was replaced, and this read-side
        // critical section began before that or saw the new one.
        f(unsafe { node.as_ref() }.map(|n| &n.value))
    }
}

impl<T: Send + Sync + 'static> Rcu<T> {
    /// Publishes `value` instead. What was there is dropped once no reader can see it any more: later, in
    /// softirq, and before the module goes away. Never sleeps, never allocates.
    pub fn replace(&self, value: Option<RcuBox<T>>) {
        let new = value.map_or(null_mut(), |v| KBox::into_raw(v.0));
        // INVARIANT: The new node has no other owner, and the swap made us the old one's only owner.
        let old = self.0.swap(new, Ordering::AcqRel);
        if !old.is_null() {
            // SAFETY: The node is ours and no longer published, so that its head is free to be queued, once;
            // `release` knows its type.
            unsafe { bindings::call_rcu(&mut (*old).rcu, Some(release::<T>)) };
        }
    }
}

/// Frees a node whose grace period is over.
///
/// # Safety
///
/// `head` must be the head of a `Node<T>` from `KBox::into_raw` that nobody can reach any more.
unsafe extern "C" fn release<T>(head: *mut bindings::callback_head) {
    // SAFETY: The head is the node's first field (`repr(C)`); the rest is the function's requirement.
    drop(unsafe { KBox::from_raw(head.cast::<Node<T>>()) });
}

impl<T> Drop for Rcu<T> {
    fn drop(&mut self) {
        let node = *self.0.get_mut();
        if !node.is_null() {
            // SAFETY: `&mut self`: no reader borrows this pointer, and one that could have found the structure
            // it stands in through RCU has kept that structure, and so this pointer, from being dropped.
            drop(unsafe { KBox::from_raw(node) });
        }
    }
}

impl<T: core::fmt::Debug> core::fmt::Debug for Rcu<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.read(|v| v.fmt(f))
    }
}

/// A read-side critical section, until it is dropped.
pub struct ReadGuard(());

impl ReadGuard {
    /// The read-side critical section that C is in when it calls us.
    ///
    /// # Safety
    ///
    /// It lasts at least during `'a`.
    #[inline]
    pub(super) unsafe fn held<'a>() -> &'a ReadGuard {
        static HELD: ReadGuard = ReadGuard(());
        &HELD
    }
}

/// Enters a read-side critical section. They nest.
#[inline]
pub fn read_lock() -> ReadGuard {
    // SAFETY: No requirements; the guard leaves it again.
    unsafe { bindings::rcu_read_lock() };
    ReadGuard(())
}

impl Drop for ReadGuard {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: Entered by [`read_lock`], the only maker of guards.
        unsafe { bindings::rcu_read_unlock() };
    }
}

/// Waits until everything that [`Rcu::replace`] put off has been dropped. Sleeps. Called once, when the
/// module goes away and nothing publishes any more: the callbacks are code of this module.
pub(crate) fn barrier() {
    // SAFETY: Process context, by the function's contract.
    unsafe { bindings::rcu_barrier() };
}
