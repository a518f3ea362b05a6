// SPDX-License-Identifier: GPL-2.0
//! A ring of values between one who puts them in and one who takes them out, without a lock.
//!
//! It stands beside a ring of descriptors and uses the same indices: the value at `i` is what descriptor
//! `i` is about. One place always stays empty, as in the card's ring, where equal indices mean that there
//! is nothing.

use super::memory::{
    Arc,
    Array, //
};
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::sync::atomic::{
    AtomicU32,
    Ordering, //
};
use kernel::error::Result;

/// What both ends share.
///
/// # Invariants
///
/// The places from `head` up to `tail` hold values, which are the consumer's; all others are the producer's.
/// Only the consumer moves `head`, only the producer `tail`, both less than the number of places.
struct Shared<T> {
    places: Array<UnsafeCell<MaybeUninit<T>>>,
    head: AtomicU32,
    tail: AtomicU32,
}

// SAFETY: By the invariant each place belongs to one of two owners, and passes by release and acquire.
unsafe impl<T: Send> Sync for Shared<T> {}
// SAFETY: The values go with it.
unsafe impl<T: Send> Send for Shared<T> {}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        let size = self.places.len() as u32;
        let (mut i, tail) = (*self.head.get_mut(), *self.tail.get_mut());
        while i != tail {
            if let Some(place) = self.places.get_mut(i as usize) {
                // SAFETY: By the invariant there is a value, and nobody looks at it any more.
                unsafe { place.get_mut().assume_init_drop() };
            }
            i = next(i, size);
        }
    }
}

#[inline]
fn next(i: u32, size: u32) -> u32 {
    let n = i.wrapping_add(1);
    if n >= size {
        0
    } else {
        n
    }
}

/// Places between `head` and `tail` that hold values.
#[inline]
fn used(head: u32, tail: u32, size: u32) -> u32 {
    if tail >= head {
        tail.wrapping_sub(head)
    } else {
        tail.wrapping_add(size).wrapping_sub(head)
    }
}

/// The end that puts in.
pub(crate) struct Producer<T> {
    shared: Arc<Shared<T>>,
    places: NonNull<UnsafeCell<MaybeUninit<T>>>,
    size: u32,
    tail: u32,
}

// SAFETY: The places are those of `shared`.
unsafe impl<T: Send> Send for Producer<T> {}

/// The end that takes out.
pub(crate) struct Consumer<T> {
    shared: Arc<Shared<T>>,
    places: NonNull<UnsafeCell<MaybeUninit<T>>>,
    size: u32,
    head: u32,
}

// SAFETY: As above.
unsafe impl<T: Send> Send for Consumer<T> {}

/// Makes a ring of `size` places, at least 2. Process context: may sleep.
pub(crate) fn ring<T>(size: u32) -> Result<(Producer<T>, Consumer<T>)> {
    let size = size.max(2);
    let places =
        Array::try_from_fn_sleeping(size as usize, |_| UnsafeCell::new(MaybeUninit::uninit()))?;
    // SAFETY: The array's memory has an address, and stays where it is when the array is moved.
    let ptr = unsafe { NonNull::new_unchecked(places.as_ptr().cast_mut()) };
    // INVARIANT: Empty.
    let shared = Arc::try_new(Shared {
        places,
        head: AtomicU32::new(0),
        tail: AtomicU32::new(0),
    })?;
    Ok((
        Producer {
            shared: shared.clone(),
            places: ptr,
            size,
            tail: 0,
        },
        Consumer {
            shared,
            places: ptr,
            size,
            head: 0,
        },
    ))
}

impl<T> Producer<T> {
    /// How many values there is room for. Others may only add to it.
    #[inline]
    pub(crate) fn free(&self) -> u32 {
        let head = self.shared.head.load(Ordering::Acquire);
        self.size
            .wrapping_sub(1)
            .wrapping_sub(used(head, self.tail, self.size))
    }

    /// The index of the next value: where the card's tail stands.
    #[inline]
    pub(crate) fn tail(&self) -> u32 {
        self.tail
    }

    /// Begins a batch, which the other end sees as a whole or not at all. At most as many values fit in as
    /// are free now.
    #[inline]
    pub(crate) fn batch(&mut self) -> Batch<'_, T> {
        let (tail, free) = (self.tail, self.free());
        Batch {
            ring: self,
            tail,
            free,
            len: 0,
        }
    }
}

/// Values that are put in but not yet seen by the other end; dropped without [`Batch::commit`], they are
/// dropped.
///
/// # Invariants
///
/// `len` places from the ring's tail up to `tail` hold values; `free` places from `tail` on do not, and are
/// the producer's.
pub(crate) struct Batch<'a, T> {
    ring: &'a mut Producer<T>,
    tail: u32,
    free: u32,
    len: u32,
}

impl<T> Batch<'_, T> {
    /// Adds a value. Its index, or `None` (and the value is gone) if there is no room.
    #[inline]
    pub(crate) fn push(&mut self, value: T) -> Option<u32> {
        self.free = self.free.checked_sub(1)?;
        let i = self.tail;
        // SAFETY: By the invariant the place is the producer's and empty, and less than the size.
        unsafe { (*(*self.ring.places.as_ptr().add(i as usize)).get()).write(value) };
        self.tail = next(i, self.ring.size);
        self.len = self.len.wrapping_add(1);
        Some(i)
    }

    /// How many values there are.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// The batch's first value.
    #[inline]
    pub(crate) fn first_mut(&mut self) -> Option<&mut T> {
        let i = self.ring.tail as usize;
        // SAFETY: By the invariant the first place holds a value if there is any, still the producer's.
        (self.len != 0)
            .then(|| unsafe { (*(*self.ring.places.as_ptr().add(i)).get()).assume_init_mut() })
    }

    /// Hands all values to the other end.
    #[inline]
    pub(crate) fn commit(mut self) {
        self.ring.tail = self.tail;
        self.len = 0;
        // INVARIANT: The values become the consumer's here.
        self.ring.shared.tail.store(self.tail, Ordering::Release);
    }
}

impl<T> Drop for Batch<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let mut i = self.ring.tail;
        for _ in 0..self.len {
            // SAFETY: By the invariant `len` places from the tail on hold values of the producer's.
            unsafe { (*(*self.ring.places.as_ptr().add(i as usize)).get()).assume_init_drop() };
            i = next(i, self.ring.size);
        }
    }
}

impl<T> Consumer<T> {
    /// The index of the next value to take out.
    #[inline]
    pub(crate) fn head(&self) -> u32 {
        self.head
    }

    /// The next value, which stays.
    #[inline]
    pub(crate) fn front(&self) -> Option<&T> {
        let tail = self.shared.tail.load(Ordering::Acquire);
        // SAFETY: By the invariant the place holds a value, and it is the consumer's.
        (tail != self.head).then(|| unsafe {
            (*(*self.places.as_ptr().add(self.head as usize)).get()).assume_init_ref()
        })
    }

    /// Takes the next value out.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<T> {
        let i = self.head;
        if self.shared.tail.load(Ordering::Acquire) == i {
            return None;
        }
        // SAFETY: By the invariant the place holds a value, and it is the consumer's; it becomes the
        // producer's below, after it was read.
        let value = unsafe { (*(*self.places.as_ptr().add(i as usize)).get()).assume_init_read() };
        self.head = next(i, self.size);
        self.shared.head.store(self.head, Ordering::Release);
        Some(value)
    }

    /// How many values the other end has room for. It may only take from it.
    #[inline]
    pub(crate) fn free(&self) -> u32 {
        let tail = self.shared.tail.load(Ordering::Relaxed);
        self.size
            .wrapping_sub(1)
            .wrapping_sub(used(self.head, tail, self.size))
    }
}
