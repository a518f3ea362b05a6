// SPDX-License-Identifier: GPL-2.0
//! Softirqs, held off on this processor.
//!
//! C header: [`include/linux/bottom_half.h`](srctree/include/linux/bottom_half.h)

use crate::bindings;

/// Calls `f` with softirqs held off, as they are wherever the device layer delivers a packet. A packet that a program
/// had in its queue (NFQUEUE) comes through the hooks behind that in process context instead.
#[inline]
pub(crate) fn held_off<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: No requirements.
    let held = unsafe { bindings::softirq_count() } != 0;
    if !held {
        // SAFETY: No requirements; undone below.
        unsafe { bindings::local_bh_disable() };
    }
    let result = f();
    if !held {
        // SAFETY: Undoes what was done above; in process context.
        unsafe { bindings::local_bh_enable() };
    }
    result
}
