// SPDX-License-Identifier: GPL-2.0
//! Faults on purpose: proof that the debug kernel finds what this module must not do.
//!
//! Only a build for a kernel with KASAN or KCSAN has this file and the parameter `plant` that reaches it. Each
//! fault is made once, when the module is loaded, and `make test-debug` (the last: `make test-kcsan`) expects the
//! run to fail by it.

use crate::abstractions::lock::Lock;
use core::cell::UnsafeCell;
use core::hint::black_box;
use core::sync::atomic::{
    AtomicBool,
    Ordering, //
};
use kernel::prelude::*;
use kernel::sync::Arc;
use kernel::workqueue;

/// Makes the fault of that number: 1 reads freed memory, 2 loses an object, 3 takes two locks in both orders,
/// 4 adds without a check, 5 writes on two processors what nothing protects. Process context.
pub(crate) fn plant(which: u8) -> Result {
    match which {
        0 => Ok(()),
        1 => use_after_free(),
        2 => leak(),
        3 => inversion(),
        4 => addition(which),
        5 => race(),
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

/// A number, and whether the other side is through.
struct Unprotected {
    number: UnsafeCell<u64>,
    through: AtomicBool,
}

// SAFETY: Broken on purpose: `number` has no owner. It is a plain integer, of which any value will do.
unsafe impl Sync for Unprotected {}

impl Unprotected {
    fn step(&self) {
        let number = black_box(self.number.get());
        // SAFETY: Broken on purpose, see above; the pointer is that of a cell that `self` keeps.
        unsafe { *number = (*number).wrapping_add(1) };
    }
}

#[inline(never)]
fn race() -> Result {
    const STEPS: usize = 10_000_000;
    let ours = Arc::new(
        Unprotected {
            number: UnsafeCell::new(0),
            through: AtomicBool::new(false),
        },
        GFP_KERNEL,
    )?;
    let theirs = ours.clone();
    workqueue::system_unbound().try_spawn(GFP_KERNEL, move || {
        (0..STEPS).for_each(|_| theirs.step());
        theirs.through.store(true, Ordering::Release);
    })?;
    while !ours.through.load(Ordering::Acquire) {
        ours.step();
    }
    Ok(())
}
