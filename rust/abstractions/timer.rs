// SPDX-License-Identifier: GPL-2.0
//! Timers in softirq.
//!
//! C header: [`include/linux/timer.h`](srctree/include/linux/timer.h)

use super::memory::AllocError;
use crate::bindings;
use crate::stack::time::Instant;
use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::ptr::{
    addr_of_mut,
    NonNull, //
};
use kernel::alloc::{
    flags::GFP_ATOMIC,
    KBox, //
};

/// Nanoseconds of a jiffy.
const NS_PER_JIFFY: u64 = 1_000_000_000 / bindings::HZ as u64;

/// What happens when a timer is due.
pub(crate) trait Expire: Send + Sync + Sized + 'static {
    /// The timer is due. Softirq. It may be armed again from here, and even dropped.
    fn expire(&self);
}

/// What C knows of a timer.
#[repr(C)]
struct Node<T> {
    timer: UnsafeCell<bindings::timer_list>,
    rcu: UnsafeCell<bindings::callback_head>,
    data: T,
}

/// A timer. Dropping it disarms it for good, in any context.
///
/// # Invariants
///
/// The pointer is from [`KBox::into_raw`], and the node's timer has been set up.
pub(crate) struct Timer<T: Expire>(NonNull<Node<T>>);

// SAFETY: Arming is serialised by C; the data are shared with the handler, and so `Sync`.
unsafe impl<T: Expire> Send for Timer<T> {}
// SAFETY: As above.
unsafe impl<T: Expire> Sync for Timer<T> {}

impl<T: Expire> Timer<T> {
    /// A timer that is not armed. Atomic.
    pub(crate) fn new(data: T) -> Result<Self, AllocError> {
        // SAFETY: All zeroes is a value of these C structures.
        let node = unsafe {
            Node {
                timer: UnsafeCell::new(core::mem::zeroed()),
                rcu: UnsafeCell::new(core::mem::zeroed()),
                data,
            }
        };
        let node = KBox::into_raw(KBox::new(node, GFP_ATOMIC)?);
        // SAFETY: The node stays where it is from now on; the callee sets the timer up in place. lockdep takes
        // the address of something static as the class: that of the type's name is that.
        unsafe {
            bindings::timer_init_key(
                (*node).timer.get(),
                Some(expire::<T>),
                0,
                c"rustnet".as_ptr().cast(),
                core::any::type_name::<T>().as_ptr().cast_mut().cast(),
            );
            Ok(Timer(NonNull::new_unchecked(node)))
        }
    }

    /// Has the timer due at `at`, or earlier if it was armed for an earlier time. Any context; does
    /// nothing once the timer is being dropped.
    pub(crate) fn arm(&self, at: Instant, now: Instant) {
        let ticks = at.since(now).as_nanos().div_ceil(NS_PER_JIFFY);
        let ticks = ticks.min(u64::from(u32::MAX / 2));
        // SAFETY: The timer is set up by the type invariant. `jiffies` only grows, and a value that is a
        // little old makes the timer a little early, of which handlers take no harm.
        unsafe {
            let at = addr_of_mut!(bindings::jiffies)
                .read_volatile()
                .wrapping_add(ticks as usize)
                .wrapping_add(1);
            bindings::timer_reduce((*self.0.as_ptr()).timer.get(), at);
        }
    }
}

impl<T: Expire> Drop for Timer<T> {
    fn drop(&mut self) {
        // A handler that is under way on another CPU is in softirq, which a grace period waits for; the timer
        // cannot be armed any more.
        // SAFETY: The node is ours by the type invariant, and its head is queued once.
        unsafe {
            let node = self.0.as_ptr();
            bindings::timer_shutdown((*node).timer.get());
            bindings::call_rcu((*node).rcu.get(), Some(release::<T>));
        }
    }
}

/// # Safety
///
/// Called by C with the timer of a live `Node<T>`, in softirq.
unsafe extern "C" fn expire<T: Expire>(timer: *mut bindings::timer_list) {
    const {
        assert!(offset_of!(Node<T>, timer) == 0);
    }
    // SAFETY: The timer is the node's first field; the node lives for a grace period beyond its disarming.
    unsafe { &*timer.cast::<Node<T>>() }.data.expire();
}

/// # Safety
///
/// `head` must be the head of a `Node<T>` that nobody can reach any more.
unsafe extern "C" fn release<T: Expire>(head: *mut bindings::callback_head) {
    // SAFETY: The node is from `KBox::into_raw`, and this is the only call for it.
    drop(unsafe { KBox::from_raw(head.byte_sub(offset_of!(Node<T>, rcu)).cast::<Node<T>>()) });
}

/// Milliseconds since midnight, Universal Time.
///
/// Mirrors [`inet_current_timestamp`](srctree/net/ipv4/af_inet.c)
pub(crate) fn ms_of_day() -> u32 {
    let mut ts = bindings::timespec64 {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: The structure is ours.
    unsafe { bindings::ktime_get_real_ts64(&mut ts) };
    let seconds = ts.tv_sec.rem_euclid(86_400);
    let ms = ts.tv_nsec as i64 / 1_000_000;
    seconds.wrapping_mul(1000).wrapping_add(ms) as u32
}

/// The time now, on the clock that the stack is handed.
#[inline]
pub(crate) fn now() -> Instant {
    // SAFETY: No requirements.
    Instant::from_nanos(unsafe { bindings::ktime_get() } as u64)
}
