// SPDX-License-Identifier: GPL-2.0
//! The lock of a socket, and sleeping with it.
//!
//! A socket has one lock of two layers. In process context a user *owns* the socket
//! ([`UserLock`], `lock_sock`) and may sleep; what softirq brings for it meanwhile is put on the
//! backlog, which is worked off when the user lets go. In softirq the spinlock below is held
//! ([`BhLock`], `bh_lock_sock`), and the socket may only be touched if no user owns it
//! ([`BhLock::unowned`]). Either way the result is a [`Locked`]: the proof of being alone with the
//! private part.
//!
//! C header: [`include/net/sock.h`](srctree/include/net/sock.h)

use super::{
    proto::Protocol,
    sock::{
        Sk,
        Sock, //
    },
};
use crate::{
    bindings,
    platform::{
        SkBuff,
        Skb, //
    },
};
use core::{
    ops::{
        Deref,
        DerefMut, //
    },
    ptr,
};
use kernel::{
    error::{
        code::*,
        to_result,
        Error,
        Result, //
    },
    ffi::{
        c_long, //
    },
    types::NotThreadSafe, //
};

/// The socket is this context's alone.
///
/// # Invariants
///
/// As long as this lives no other context reads or writes the private part, and no other `Locked` of the
/// same socket is used while a reference derived from this one is.
pub struct Locked<'a, P: Protocol> {
    so: &'a Sock<P>,
    _not_send: NotThreadSafe,
}

impl<'a, P: Protocol> Locked<'a, P> {
    /// The proof for a callback of the socket core.
    ///
    /// # Safety
    ///
    /// `sk` is a live socket of the protocol `P`, and its owner in the sense of `lock_sock` is this context,
    /// which makes no other use of its own `Locked` for `'a`.
    #[inline]
    pub(super) unsafe fn from_raw(sk: *mut bindings::sock) -> Self {
        // INVARIANT: The caller's promise.
        Locked {
            // SAFETY: The caller's promise.
            so: unsafe { Sock::from_raw(sk) },
            _not_send: NotThreadSafe,
        }
    }

    /// The socket.
    #[inline]
    pub fn sock(&self) -> &'a Sock<P> {
        self.so
    }

    /// The private part.
    #[inline]
    pub fn private(&mut self) -> &mut P::Private {
        // SAFETY: Initialised by the invariants of `Sock`, ours alone by those of this type; the borrow
        // of `self` keeps a second reference from being made.
        unsafe { (*self.so.private.get()).assume_init_mut() }
    }

    /// The private part, and the right to charge memory and the like meanwhile.
    #[inline]
    pub fn split(&mut self) -> (&mut P::Private, Owned<'a, P>) {
        let so = self.so;
        (
            self.private(),
            Owned {
                so,
                _not_send: NotThreadSafe,
            },
        )
    }

    /// The right to charge memory and the like.
    #[inline]
    pub fn owned(&mut self) -> Owned<'a, P> {
        Owned {
            so: self.so,
            _not_send: NotThreadSafe,
        }
    }
}

impl<P: Protocol> Deref for Locked<'_, P> {
    type Target = Sock<P>;

    #[inline]
    fn deref(&self) -> &Sock<P> {
        self.so
    }
}

/// The fields of `struct sock` that the lock protects, apart from the private part: made by
/// [`Locked::split`], and only used while the lock is held.
pub struct Owned<'a, P: Protocol> {
    so: &'a Sock<P>,
    _not_send: NotThreadSafe,
}

impl<P: Protocol> Deref for Owned<'_, P> {
    type Target = Sock<P>;

    #[inline]
    fn deref(&self) -> &Sock<P> {
        self.so
    }
}

impl<'a, P: Protocol> Owned<'a, P> {
    /// Arms the socket's timer for `delay` jiffies from now, or moves it there.
    ///
    /// Mirrors [`sk_reset_timer`](srctree/net/core/sock.c)
    pub fn reset_timer(&self, delay: usize) {
        let sk = self.so.as_ptr();
        let at = super::inet::jiffies().wrapping_add(delay);
        // SAFETY: A live socket; a pending timer holds a reference of its own.
        unsafe { bindings::sk_reset_timer(sk, &raw mut (*sk).__bindgen_anon_3.sk_timer, at as _) };
    }

    /// Disarms the socket's timer.
    ///
    /// Mirrors [`sk_stop_timer`](srctree/net/core/sock.c)
    pub fn stop_timer(&self) {
        let sk = self.so.as_ptr();
        // SAFETY: A live socket, on which the caller's reference is not the timer's.
        unsafe { bindings::sk_stop_timer(sk, &raw mut (*sk).__bindgen_anon_3.sk_timer) };
    }

    /// The socket, for as long as the lock's holder knows it.
    #[inline]
    pub fn sock(&self) -> &'a Sock<P> {
        self.so
    }
}

/// A user owns the socket: process context, may sleep. Dropping it works off the backlog.
pub struct UserLock<'a, P: Protocol>(Locked<'a, P>);

impl<'a, P: Protocol> UserLock<'a, P> {
    /// Waits until the socket is free, and owns it.
    ///
    /// Mirrors [`lock_sock`](srctree/include/net/sock.h)
    #[inline]
    pub fn new(so: &'a Sock<P>) -> Self {
        // SAFETY: A live socket; the function may sleep, which process context may.
        unsafe { bindings::lock_sock_nested(so.as_ptr(), 0) };
        // INVARIANT: The owner is this context until `release_sock`.
        UserLock(Locked {
            so,
            _not_send: NotThreadSafe,
        })
    }

    /// As [`UserLock::new`] for a socket that is taken while another one is owned (a child's).
    #[inline]
    pub fn nested(so: &'a Sock<P>) -> Self {
        // SAFETY: As in `new`; 1 is SINGLE_DEPTH_NESTING.
        unsafe { bindings::lock_sock_nested(so.as_ptr(), 1) };
        // INVARIANT: As in `new`.
        UserLock(Locked {
            so,
            _not_send: NotThreadSafe,
        })
    }

    /// Works off what came while the socket was owned, if anything.
    ///
    /// Mirrors [`sk_flush_backlog`](srctree/include/net/sock.h)
    #[inline]
    pub fn flush_backlog(&mut self) {
        let sk = self.as_ptr();
        // SAFETY: A live socket's word, read once; the function is called by the owner, and `&mut self`
        // says that no reference to the private part is alive.
        unsafe {
            if !(&raw const (*sk).sk_backlog.tail).read_volatile().is_null() {
                bindings::__sk_flush_backlog(sk);
            }
        }
    }

    /// Sleeps until there may be something to read, or `timeo` jiffies are over, which are counted down.
    ///
    /// Mirrors [`sk_wait_data`](srctree/net/core/sock.c)
    pub fn wait_data(&mut self, timeo: &mut isize) {
        let mut t = *timeo as c_long;
        // SAFETY: The owner calls; the lock is released and taken again inside.
        unsafe { bindings::sk_wait_data(self.as_ptr(), &mut t, ptr::null()) };
        *timeo = t as isize;
    }

    /// Sleeps until there is send memory.
    ///
    /// # Errors
    ///
    /// EPIPE when sending is shut or the socket has an error, EAGAIN when `timeo` is over, EINTR or
    /// ERESTARTSYS.
    ///
    /// Mirrors [`sk_stream_wait_memory`](srctree/net/core/stream.c)
    pub fn wait_memory(&mut self, timeo: &mut isize) -> Result {
        let mut t = *timeo as c_long;
        // SAFETY: As in `wait_data`.
        let ret = unsafe { bindings::sk_stream_wait_memory(self.as_ptr(), &mut t) };
        *timeo = t as isize;
        to_result(ret)
    }

    /// Sleeps until the connection is established.
    ///
    /// # Errors
    ///
    /// The socket's error, EPIPE when it will never be, EAGAIN, EINTR or ERESTARTSYS.
    ///
    /// Mirrors [`sk_stream_wait_connect`](srctree/net/core/stream.c)
    pub fn wait_connect(&mut self, timeo: &mut isize) -> Result {
        let mut t = *timeo as c_long;
        // SAFETY: As in `wait_data`.
        let ret = unsafe { bindings::sk_stream_wait_connect(self.as_ptr(), &mut t) };
        *timeo = t as isize;
        to_result(ret)
    }

    /// Sleeps until anybody wakes the socket, `timeo` is over, or a signal comes. `exclusive` sleepers
    /// are woken one at a time. What changes without the socket's lock `ready` looks at once more when
    /// nothing can be missed any longer; the caller looks again at everything that it waits for.
    ///
    /// Mirrors [`sk_wait_event`](srctree/include/net/sock.h)
    pub fn wait(&mut self, timeo: &mut isize, exclusive: bool, ready: impl FnOnce() -> bool) {
        let sk = self.as_ptr();
        // SAFETY: All zeroes is a value of this C type.
        let mut entry: bindings::wait_queue_entry = unsafe { core::mem::zeroed() };
        // SAFETY: Always callable.
        entry.private = unsafe { bindings::get_current() }.cast();
        entry.func = Some(bindings::woken_wake_function);
        let e = ptr::addr_of_mut!(entry);
        // SAFETY: The socket has a wait queue as long as the user has it open. The entry stays where it is
        // until it is removed below. The lock is released in between by its owner, and `&mut self` says
        // that no reference to the private part is alive.
        unsafe {
            (*e).entry.next = ptr::addr_of_mut!((*e).entry);
            (*e).entry.prev = ptr::addr_of_mut!((*e).entry);
            let wq = bindings::sk_sleep(sk);
            if exclusive {
                bindings::add_wait_queue_exclusive(wq, e);
            } else {
                bindings::add_wait_queue(wq, e);
            }
            bindings::release_sock(sk);
            if !ready() {
                *timeo = bindings::wait_woken(e, bindings::TASK_INTERRUPTIBLE, *timeo as c_long)
                    as isize;
            }
            bindings::lock_sock_nested(sk, 0);
            bindings::remove_wait_queue(bindings::sk_sleep(sk), e);
        }
    }
}

impl<'a, P: Protocol> Deref for UserLock<'a, P> {
    type Target = Locked<'a, P>;

    #[inline]
    fn deref(&self) -> &Locked<'a, P> {
        &self.0
    }
}

impl<P: Protocol> DerefMut for UserLock<'_, P> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<P: Protocol> Drop for UserLock<'_, P> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: This context is the owner. What the function runs makes its own `Locked`, and this one
        // is not used again.
        unsafe { bindings::release_sock(self.0.so.as_ptr()) };
    }
}

/// Whether a signal is pending for the caller, and how a call interrupted by it ends: with
/// ERESTARTSYS, or EINTR if it had a time limit that a restart would forget.
///
/// Mirrors [`sock_intr_errno`](srctree/include/net/sock.h)
pub fn signal(timeo: isize) -> Option<Error> {
    // SAFETY: Always callable in process context.
    if unsafe { bindings::signal_pending_current() } {
        Some(if timeo as c_long == bindings::MAX_SCHEDULE_TIMEOUT {
            ERESTARTSYS
        } else {
            EINTR
        })
    } else {
        None
    }
}

/// The socket's spinlock, in softirq (or with bottom halves off).
pub struct BhLock<'a, P: Protocol> {
    so: &'a Sock<P>,
    _not_send: NotThreadSafe,
}

impl<'a, P: Protocol> BhLock<'a, P> {
    /// Takes the spinlock.
    ///
    /// Mirrors [`bh_lock_sock`](srctree/include/net/sock.h)
    #[inline]
    pub fn new(so: &'a Sock<P>) -> Self {
        // SAFETY: A live socket; bottom halves are off by this function's contract.
        unsafe { bindings::bh_lock_sock(so.as_ptr()) };
        BhLock {
            so,
            _not_send: NotThreadSafe,
        }
    }

    /// As [`BhLock::new`] while the lock of another socket is held (a listener's, for its child).
    #[inline]
    pub fn nested(so: &'a Sock<P>) -> Self {
        // SAFETY: As in `new`.
        unsafe { bindings::bh_lock_sock_nested(so.as_ptr()) };
        BhLock {
            so,
            _not_send: NotThreadSafe,
        }
    }

    /// The socket, unless a user owns it.
    ///
    /// Mirrors [`sock_owned_by_user`](srctree/include/net/sock.h)
    #[inline]
    pub fn unowned(&mut self) -> Option<Locked<'_, P>> {
        // SAFETY: A live socket, its spinlock held.
        if unsafe { bindings::sock_owned_by_user(self.so.as_ptr()) } {
            return None;
        }
        // INVARIANT: No user owns the socket, and none can become the owner while the spinlock is held;
        // `&mut self` keeps a second `Locked` from being made of it.
        Some(Locked {
            so: self.so,
            _not_send: NotThreadSafe,
        })
    }

    /// Lets `join` put `skb` into the packet that waits last for the user who owns the socket. It returns by
    /// how much that packet's true size grew.
    ///
    /// # Errors
    ///
    /// Gives the packet back if nothing waits, or `join` refused it.
    pub fn join_backlog(
        &mut self,
        skb: Skb,
        join: impl FnOnce(&mut SkBuff, Skb) -> Result<usize, Skb>,
    ) -> Result<(), Skb> {
        let sk = self.so.as_ptr();
        // SAFETY: The spinlock is held, under which packets are added to the backlog and the whole of it is
        // taken away: what is its last packet belongs to it, and nobody else looks at it meanwhile.
        let tail = unsafe {
            match (*sk).sk_backlog.tail {
                tail if tail.is_null() => return Err(skb),
                tail => SkBuff::from_ptr_mut(tail),
            }
        };
        let delta = join(tail, skb)?;
        // SAFETY: As above.
        unsafe {
            let len = &raw mut (*sk).sk_backlog.len;
            len.write_volatile(len.read_volatile().wrapping_add(delta as _));
        }
        Ok(())
    }

    /// Leaves `skb` for the user who owns the socket, unless more than `limit` bytes wait already.
    ///
    /// # Errors
    ///
    /// Gives the packet back when it must be dropped.
    ///
    /// Mirrors [`sk_add_backlog`](srctree/include/net/sock.h)
    pub fn add_backlog(&mut self, skb: Skb, limit: u32) -> Result<(), Skb> {
        let raw = skb.into_raw();
        // SAFETY: The spinlock is held; the packet is handed over if the function says so.
        let ret = unsafe { bindings::sk_add_backlog(self.so.as_ptr(), raw, limit) };
        if ret != 0 {
            // SAFETY: It was refused, so it is still ours.
            return Err(unsafe { Skb::from_raw(raw) });
        }
        Ok(())
    }
}

impl<P: Protocol> Drop for BhLock<'_, P> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: Taken in the constructor.
        unsafe { bindings::bh_unlock_sock(self.so.as_ptr()) };
    }
}

/// Detaches a socket from its file and its sleepers: it is an orphan now.
///
/// Mirrors [`sock_orphan`](srctree/include/net/sock.h)
pub fn orphan(sk: &Sk) {
    // SAFETY: A live socket; the function takes the callback lock itself.
    unsafe { bindings::sock_orphan(sk.as_ptr()) };
}
