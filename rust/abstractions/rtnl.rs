// SPDX-License-Identifier: GPL-2.0
//! The mutex under which devices, addresses and routes are changed.
//!
//! C header: [`include/linux/rtnetlink.h`](srctree/include/linux/rtnetlink.h)

use crate::bindings;
use core::marker::PhantomData;

/// The mutex is held.
///
/// # Invariants
///
/// The RTNL is held by this task for as long as the value lives.
pub(crate) struct Rtnl(PhantomData<*mut ()>);

impl Rtnl {
    /// Takes it, until the guard is dropped. Process context, without it and without a lock that is taken under it;
    /// sleeps.
    pub(crate) fn lock() -> Guard {
        // SAFETY: Process context, by the function's contract.
        unsafe { bindings::rtnl_lock() };
        // INVARIANT: Taken just now; the guard gives it back when the value goes.
        Guard(Rtnl(PhantomData))
    }

    /// # Safety
    ///
    /// The caller of this call holds the mutex during `'a`.
    pub(super) unsafe fn held<'a>() -> &'a Rtnl {
        // INVARIANT: The caller's promise.
        &Rtnl(PhantomData)
    }
}

/// Gives the mutex back when it is dropped.
pub(crate) struct Guard(Rtnl);

impl core::ops::Deref for Guard {
    type Target = Rtnl;

    fn deref(&self) -> &Rtnl {
        &self.0
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // SAFETY: Taken by [`Rtnl::lock`], the only maker of guards.
        unsafe { bindings::rtnl_unlock() };
    }
}
