// SPDX-License-Identifier: GPL-2.0
//! Faults on purpose: proof that the debug kernel finds what this module must not do.
//!
//! Only a build for a kernel with KASAN has this file and the parameter `plant` that reaches it. Each fault
//! is made once, when the module is loaded, and `make test-debug` expects the run to fail by it.

use crate::abstractions::lock::Lock;
use core::hint::black_box;
use kernel::prelude::*;

/// Makes the fault of that number: 1 reads freed memory, 2 loses an object, 3 takes two locks in both orders,
/// 4 adds without a check. Process context.
pub(crate) fn plant(which: u8) -> Result {
    match which {
        0 => Ok(()),
        1 => use_after_free(),
        2 => leak(),
        3 => inversion(),
        4 => addition(which),
        _ => Err(EINVAL),
    }
}

#[inline(never)]
fn use_after_free() -> Result {
    let object = KBox::new([0x5au8; 64], GFP_KERNEL)?;
    let stale: *const u8 = object.as_ptr();
    drop(object);
    // SAFETY: Broken on purpose: the object is gone. Its page is still mapped, so that nothing but KASAN minds.
    black_box(unsafe { stale.read_volatile() });
    Ok(())
}

#[inline(never)]
fn leak() -> Result {
    core::mem::forget(KBox::new([0xa5u8; 96], GFP_KERNEL)?);
    Ok(())
}

/// Two types, for lockdep has a class for each.
struct Left(u8);
struct Right(u8);

#[inline(never)]
fn inversion() -> Result {
    let left = KBox::new(Lock::new(Left(1)), GFP_KERNEL)?;
    let right = KBox::new(Lock::new(Right(2)), GFP_KERNEL)?;
    {
        let l = left.lock();
        let r = right.lock();
        black_box((l.0, r.0));
    }
    let r = right.lock();
    let l = left.lock();
    black_box((l.0, r.0));
    Ok(())
}

#[inline(never)]
fn addition(which: u8) -> Result {
    let full = black_box(u8::MAX);
    black_box(full + which);
    Ok(())
}
