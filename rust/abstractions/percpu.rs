// SPDX-License-Identifier: GPL-2.0
//! Counters that each CPU adds to on its own.
//!
//! C header: [`include/linux/percpu.h`](srctree/include/linux/percpu.h)

use super::memory::AllocError;
use crate::bindings;
use core::ptr::NonNull;

/// `N` counters of 64 bits.
///
/// # Invariants
///
/// The pointer is from the per-CPU allocator, with room for `N` counters of every CPU.
pub(crate) struct Counters<const N: usize>(NonNull<u64>);

// SAFETY: Each CPU adds to its own counters with operations that are atomic on that CPU; reading a sum
// tolerates being a little old.
unsafe impl<const N: usize> Send for Counters<N> {}
// SAFETY: As above.
unsafe impl<const N: usize> Sync for Counters<N> {}

impl<const N: usize> Counters<N> {
    /// All zero. Process context; sleeps.
    pub(crate) fn new() -> Result<Self, AllocError> {
        // SAFETY: No requirements.
        let ptr = unsafe { bindings::alloc_percpu_u64(N) };
        NonNull::new(ptr).map(Counters).ok_or(AllocError)
    }

    /// Adds `n` to the counter `i`; nothing if there is none. Any context.
    #[inline]
    pub(crate) fn add(&self, i: usize, n: u64) {
        if i < N {
            // SAFETY: By the type invariant there is such a counter for this CPU.
            unsafe { bindings::this_cpu_add_u64(self.0.as_ptr().wrapping_add(i), n) }
        }
    }

    /// The sum of the counter `i` over all CPUs.
    pub(crate) fn sum(&self, i: usize) -> u64 {
        if i >= N {
            return 0;
        }
        // SAFETY: By the type invariant there is such a counter for every CPU.
        unsafe { bindings::percpu_sum_u64(self.0.as_ptr().wrapping_add(i)) }
    }
}

impl<const N: usize> Drop for Counters<N> {
    fn drop(&mut self) {
        // SAFETY: From the per-CPU allocator by the type invariant, and ours.
        unsafe { bindings::free_percpu(self.0.as_ptr().cast()) };
    }
}
