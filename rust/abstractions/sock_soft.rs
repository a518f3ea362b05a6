// SPDX-License-Identifier: GPL-2.0
//! What has a stream's socket worked at in softirq, apart from packets and from the coarse timer of
//! `struct sock`: a timer of nanoseconds, and a call at the next opportunity.
//!
//! Each that is pending holds a reference to the socket, and with it to the module. When its time comes the
//! socket's spinlock is taken, and if a user owns the socket the event is left to him
//! ([`Protocol::defer`]).
//!
//! C headers: [`include/linux/hrtimer.h`](srctree/include/linux/hrtimer.h),
//! [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use super::{
    proto::Protocol,
    sock::{
        Sock,
        SockRef, //
    },
    sock_lock::{
        BhLock,
        Owned, //
    },
};
use crate::bindings;
use crate::stack::time::{
    Duration,
    Instant, //
};
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    mem::{
        offset_of,
        zeroed, //
    },
    ptr::{
        self,
        NonNull, //
    },
    sync::atomic::Ordering,
};

/// What happens to a socket in softirq by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Event {
    /// The coarse timer is due (`sk_timer`).
    Timer,
    /// The fine timer is due.
    FineTimer,
    /// [`Sock::kick`] was called.
    Kick,
}

impl Event {
    /// All of them.
    pub const ALL: [Event; 3] = [Event::Kick, Event::Timer, Event::FineTimer];

    /// The event as one bit of a set.
    #[inline]
    pub const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// The fine timer and the call: a part of [`Protocol::Shared`], told of by [`Protocol::soft`].
///
/// # Invariants
///
/// After `set_up` the value stays where it is, inside of the socket that `sk` points to, until that is freed.
pub struct Soft<P: Protocol> {
    timer: UnsafeCell<bindings::hrtimer>,
    work: UnsafeCell<bindings::work_struct>,
    sk: UnsafeCell<*mut bindings::sock>,
    _p: PhantomData<fn(P)>,
}

// SAFETY: Timer and work are serialised by C; the pointer is written before anybody else can see it.
unsafe impl<P: Protocol> Send for Soft<P> {}
// SAFETY: As above.
unsafe impl<P: Protocol> Sync for Soft<P> {}

impl<P: Protocol> Default for Soft<P> {
    #[inline]
    fn default() -> Self {
        // SAFETY: All zeroes is a value of these C structures; nobody uses them before `set_up`.
        unsafe {
            Soft {
                timer: UnsafeCell::new(zeroed()),
                work: UnsafeCell::new(zeroed()),
                sk: UnsafeCell::new(ptr::null_mut()),
                _p: PhantomData,
            }
        }
    }
}

/// The clock of [`Instant`], at an absolute time, on the CPU that arms it, in softirq.
const MODE: bindings::hrtimer_mode = bindings::hrtimer_mode_HRTIMER_MODE_ABS_PINNED_SOFT;

impl<P: Protocol> Soft<P> {
    /// Ties the value to its socket.
    ///
    /// # Safety
    ///
    /// The value is a part of the socket `sk`, of the protocol `P`, that nobody else can find yet.
    pub(super) unsafe fn set_up(&self, sk: *mut bindings::sock) {
        // INVARIANT: The caller's promise.
        // SAFETY: Nobody else sees the value yet.
        unsafe {
            *self.sk.get() = sk;
            bindings::hrtimer_setup(
                self.timer.get(),
                Some(fine_timer::<P>),
                bindings::CLOCK_MONOTONIC as _,
                MODE,
            );
            bindings::init_work(self.work.get(), Some(kick::<P>));
        }
    }

    /// The reference that a timer or a call that is under way held.
    ///
    /// # Safety
    ///
    /// Called once for each reference that was taken for one.
    unsafe fn take(&self) -> SockRef<P> {
        // SAFETY: The caller's promise; the socket is the one that this is a part of.
        unsafe { SockRef::from_raw(NonNull::new_unchecked(*self.sk.get())) }
    }
}

impl<P: Protocol> Sock<P> {
    /// Has [`Event::Kick`] delivered soon, unless nobody has a reference to the socket any more. Any context.
    pub fn kick(&self) {
        let Some(soft) = P::soft(self.shared()) else {
            return;
        };
        // Packets on their way keep the object, but not the socket: once the count is 0 it stays so.
        let held = self
            .refcnt()
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, |n| {
                (n != 0).then(|| n.wrapping_add(1))
            });
        if held.is_err() {
            return;
        }
        // SAFETY: Set up by the type's invariants. The reference just taken is the call's.
        let queued = unsafe {
            bindings::queue_work_on(
                bindings::wq_misc_consts_WORK_CPU_UNBOUND as _,
                bindings::system_bh_wq,
                soft.work.get(),
            )
        };
        if !queued {
            // SAFETY: It is pending already with a reference of its own, so the one just taken is ours to drop; it
            // may be the last by now.
            drop(unsafe { soft.take() });
        }
    }
}

impl<P: Protocol> Owned<'_, P> {
    /// Has [`Event::FineTimer`] delivered at `at`, or up to `slack` later if that saves a wake-up; an earlier
    /// time that was set is forgotten.
    ///
    /// Mirrors [`tcp_pacing_check`](srctree/net/ipv4/tcp_output.c)
    pub fn reset_fine_timer(&self, at: Instant, slack: Duration) {
        let Some(soft) = P::soft(self.shared()) else {
            return;
        };
        let timer = soft.timer.get();
        // SAFETY: Set up by the type's invariants; armed and disarmed only by the lock's holder. A timer that was
        // pending had a reference, which goes on to be the timer's.
        unsafe {
            if bindings::hrtimer_try_to_cancel(timer) != 1 {
                self.refcnt().fetch_add(1, Ordering::Relaxed);
            }
            bindings::hrtimer_start_range_ns(
                timer,
                at.as_nanos().min(i64::MAX as u64) as i64,
                slack.as_nanos(),
                MODE,
            );
        }
    }

    /// Disarms the fine timer.
    pub fn stop_fine_timer(&self) {
        let Some(soft) = P::soft(self.shared()) else {
            return;
        };
        // SAFETY: As above. What was the timer's reference is not the last: the caller has one.
        unsafe {
            if bindings::hrtimer_try_to_cancel(soft.timer.get()) == 1 {
                self.refcnt().fetch_sub(1, Ordering::Release);
            }
        }
    }
}

/// Delivers `event`. Softirq.
pub(super) fn deliver<P: Protocol>(so: &Sock<P>, event: Event) {
    let mut lock = BhLock::new(so);
    match lock.unowned() {
        Some(mut locked) => P::on_event(&mut locked, event),
        // The owner has a reference of his own.
        None => P::defer(so, event),
    };
}

/// # Safety
///
/// Called by C with the timer of a live `Soft<P>`, in softirq.
unsafe extern "C" fn fine_timer<P: Protocol>(
    timer: *mut bindings::hrtimer,
) -> bindings::hrtimer_restart {
    // SAFETY: The timer is the field of a `Soft<P>` in a socket that the timer's reference keeps alive.
    let so = unsafe {
        let soft = timer.byte_sub(offset_of!(Soft<P>, timer)).cast::<Soft<P>>();
        (*soft).take()
    };
    deliver(&so, Event::FineTimer);
    bindings::hrtimer_restart_HRTIMER_NORESTART
}

/// # Safety
///
/// Called by C with the work of a live `Soft<P>`, in softirq.
unsafe extern "C" fn kick<P: Protocol>(work: *mut bindings::work_struct) {
    // SAFETY: As in `fine_timer`.
    let so = unsafe {
        let soft = work.byte_sub(offset_of!(Soft<P>, work)).cast::<Soft<P>>();
        (*soft).take()
    };
    deliver(&so, Event::Kick);
}
