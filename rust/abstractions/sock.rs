// SPDX-License-Identifier: GPL-2.0
//! Sockets of the transport layer: [`Sk`], what every one of them has, and [`Sock`], one of ours.
//!
//! The object that the kernel calls `struct sock` is the first part of a [`Sock<P>`]: poll, cgroups,
//! `SO_*` options and packet owners see that part, and it is where [`Sk`] reads and writes. Behind it
//! lie two parts of the protocol `P`: [`Protocol::Shared`], which anyone with a reference may read,
//! and [`Protocol::Private`], which belongs to whoever holds the socket's lock
//! ([`Locked`](super::sock_lock::Locked)).
//!
//! C header: [`include/net/sock.h`](srctree/include/net/sock.h)

use super::proto::Protocol;
pub use super::sk::{
    flag,
    Sk, //
};
use crate::bindings;
use core::{
    cell::UnsafeCell,
    mem::MaybeUninit,
    ops::Deref,
    ptr::NonNull,
    sync::atomic::{
        fence,
        AtomicU8,
        Ordering, //
    },
};

/// A socket of the protocol `P`.
///
/// # Invariants
///
/// A `&Sock<P>` points to an object from `P`'s slab whose `shared` and `private` parts are initialised,
/// and on which a reference is held for as long.
#[repr(C)]
pub struct Sock<P: Protocol> {
    sk: Sk,
    /// In which part of the look-up table the object is linked: see [`super::ehash`].
    pub(super) linked: AtomicU8,
    pub(super) shared: MaybeUninit<P::Shared>,
    pub(super) private: UnsafeCell<MaybeUninit<P::Private>>,
}

// SAFETY: `shared` is Sync by the trait's bound, `private` is reached only by the lock's holder and is
// Send, and `Sk` is Sync.
unsafe impl<P: Protocol> Sync for Sock<P> {}
// SAFETY: As above.
unsafe impl<P: Protocol> Send for Sock<P> {}

impl<P: Protocol> Sock<P> {
    /// The socket that a C pointer stands for.
    ///
    /// # Safety
    ///
    /// `ptr` is a socket of the protocol `P` that fulfils the type's invariants for `'a`.
    #[inline]
    pub(super) unsafe fn from_raw<'a>(ptr: *mut bindings::sock) -> &'a Sock<P> {
        // SAFETY: The caller's promise; the object begins with `struct sock`.
        unsafe { &*ptr.cast() }
    }

    /// What may be read without the lock.
    #[inline]
    pub fn shared(&self) -> &P::Shared {
        // SAFETY: Initialised by the type's invariants.
        unsafe { self.shared.assume_init_ref() }
    }

    /// Takes a reference of one's own.
    ///
    /// Mirrors [`sock_hold`](srctree/include/net/sock.h)
    #[inline]
    pub fn hold(&self) -> SockRef<P> {
        self.refcnt().fetch_add(1, Ordering::Relaxed);
        // INVARIANT: The reference was just taken; the object lives, for we have a `&self`.
        SockRef(NonNull::from(self))
    }
}

impl<P: Protocol> Deref for Sock<P> {
    type Target = Sk;

    #[inline]
    fn deref(&self) -> &Sk {
        &self.sk
    }
}

/// A counted reference to a socket; dropping it may free the socket, in any context.
///
/// # Invariants
///
/// One count of the object's `sk_refcnt` is this value's own.
pub struct SockRef<P: Protocol>(NonNull<Sock<P>>);

// SAFETY: `Sock<P>` is Send and Sync, and the count is atomic.
unsafe impl<P: Protocol> Send for SockRef<P> {}
// SAFETY: As above.
unsafe impl<P: Protocol> Sync for SockRef<P> {}

impl<P: Protocol> SockRef<P> {
    /// Takes over a reference that C code, or [`SockRef::into_raw`], counted.
    ///
    /// # Safety
    ///
    /// `ptr` is a socket of the protocol `P` with a count that the caller gives away.
    #[inline]
    pub(super) unsafe fn from_raw(ptr: NonNull<bindings::sock>) -> Self {
        // INVARIANT: The caller's promise.
        SockRef(ptr.cast())
    }

    /// Gives the reference away as a pointer.
    #[inline]
    pub(super) fn into_raw(self) -> NonNull<bindings::sock> {
        let ptr = self.0.cast();
        core::mem::forget(self);
        ptr
    }
}

impl<P: Protocol> Deref for SockRef<P> {
    type Target = Sock<P>;

    #[inline]
    fn deref(&self) -> &Sock<P> {
        // SAFETY: Our count keeps the object alive.
        unsafe { self.0.as_ref() }
    }
}

impl<P: Protocol> Drop for SockRef<P> {
    /// Mirrors [`sock_put`](srctree/include/net/sock.h)
    #[inline]
    fn drop(&mut self) {
        if self.refcnt().fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            // SAFETY: That was the last count: nobody else can reach the object by reference.
            unsafe { bindings::sk_free(self.as_ptr()) };
        }
    }
}
