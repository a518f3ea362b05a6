// SPDX-License-Identifier: GPL-2.0
//! Small things are small: what stands in a look-up table for a connection without being a socket.
//!
//! A [`Mini`] begins with `struct sock_common`, so that the table finds it like a socket, and has a
//! reference count, a timer and a locked value of its own. Half-open connections and TIME_WAIT are such
//! objects (`struct request_sock`, `struct inet_timewait_sock`).
//!
//! C header: [`include/net/inet_timewait_sock.h`](srctree/include/net/inet_timewait_sock.h)

use super::{
    ehash::Key,
    lock::{
        Lock,
        LockGuard, //
    },
    module_cell::{
        Guard,
        ModuleCell, //
    },
    netns::Net, //
};
use crate::bindings;
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    mem::{
        offset_of,
        size_of, //
    },
    ops::Deref,
    ptr::{
        self,
        NonNull, //
    },
    sync::atomic::{
        fence,
        AtomicI32,
        Ordering, //
    },
};
use kernel::{
    error::{
        code::*,
        Result, //
    },
    ffi::c_int,
    str::CStr, //
};

/// A kind of small object: the type of its value.
pub trait MiniKind: Send + Sized + 'static {
    /// The name of the slab.
    const NAME: &'static CStr;
    /// The state that `/proc` shows, and that tells the kinds apart in the table.
    const STATE: u8;

    /// The slab, which is made before the first object and destroyed after the last.
    fn cache() -> &'static MiniCache<Self>;

    /// The object's timer fired. In softirq, no lock held.
    fn on_timer(mini: &MiniRef<Self>);
}

/// A kind that does not occur.
pub enum Never {}

impl MiniKind for Never {
    const NAME: &'static CStr = c"rustnet_never";
    const STATE: u8 = 0;

    fn cache() -> &'static MiniCache<Self> {
        static CACHE: MiniCache<Never> = MiniCache::new();
        &CACHE
    }

    fn on_timer(mini: &MiniRef<Self>) {
        match *mini.lock() {}
    }
}

/// A slab, from its creation to its destruction.
struct Slab(NonNull<bindings::kmem_cache>);

// SAFETY: A slab locks for itself.
unsafe impl Send for Slab {}
// SAFETY: As above.
unsafe impl Sync for Slab {}

impl Drop for Slab {
    fn drop(&mut self) {
        // SAFETY: No object is left by the contract of [`MiniCache::create`]; the function itself waits for
        // RCU.
        unsafe { bindings::kmem_cache_destroy(self.0.as_ptr()) };
    }
}

/// The slab of one kind.
pub struct MiniCache<T: MiniKind> {
    slab: ModuleCell<Slab>,
    _p: PhantomData<fn() -> T>,
}

impl<T: MiniKind> MiniCache<T> {
    /// A slab that does not exist yet.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        MiniCache {
            slab: ModuleCell::new(),
            _p: PhantomData,
        }
    }

    /// Makes the slab. From the module's init, once; the guard must outlive every object.
    ///
    /// # Errors
    ///
    /// ENOMEM; EBUSY if it exists.
    pub fn create(&'static self) -> Result<MiniCacheGuard> {
        // SAFETY: All zeroes is a value of this C type.
        let mut args: bindings::kmem_cache_args = unsafe { core::mem::zeroed() };
        // The allocator's pointer in a free object: lock-free readers look at nothing but the first part.
        args.freeptr_offset = offset_of!(Mini<T>, value).next_multiple_of(8) as u32;
        args.use_freeptr_offset = true;
        // SAFETY: The name is static.
        let slab = unsafe {
            bindings::__kmem_cache_create_args(
                T::NAME.as_ptr().cast(),
                size_of::<Mini<T>>() as u32,
                &mut args,
                bindings::SLAB_TYPESAFE_BY_RCU,
            )
        };
        let slab = Slab(NonNull::new(slab).ok_or(ENOMEM)?);
        Ok(MiniCacheGuard(self.slab.set(slab)?))
    }

    #[inline]
    fn as_ptr(&self) -> Option<*mut bindings::kmem_cache> {
        self.slab.get().map(|s| s.0.as_ptr())
    }
}

/// The slab exists as long as this lives; dropped after every object is gone.
pub struct MiniCacheGuard(#[expect(dead_code)] Guard<Slab>);

/// A small object.
///
/// # Invariants
///
/// A `&Mini<T>` points to an initialised object from `T`'s slab on which a reference is held.
#[repr(C)]
pub struct Mini<T: MiniKind> {
    common: UnsafeCell<bindings::sock_common>,
    timer: UnsafeCell<bindings::timer_list>,
    value: Lock<T>,
}

// SAFETY: The value is behind a lock; the rest is accessed atomically, or by C functions that lock.
unsafe impl<T: MiniKind> Sync for Mini<T> {}
// SAFETY: As above.
unsafe impl<T: MiniKind> Send for Mini<T> {}

impl<T: MiniKind> Mini<T> {
    #[inline]
    pub(super) fn common(&self) -> *mut bindings::sock_common {
        self.common.get()
    }

    /// Locks the value.
    #[inline]
    pub fn lock(&self) -> LockGuard<'_, T> {
        self.value.lock()
    }

    #[inline]
    fn refcnt(&self) -> &AtomicI32 {
        // SAFETY: A `refcount_t` of a live object, only accessed atomically.
        unsafe { AtomicI32::from_ptr(&raw mut (*self.common.get()).skc_refcnt.refs.counter) }
    }

    /// The local port.
    #[inline]
    pub fn num(&self) -> u16 {
        // SAFETY: Alive by the caller's reference; the ports do not change while the object lives.
        unsafe {
            (*self.common.get())
                .__bindgen_anon_3
                .__bindgen_anon_1
                .skc_num
        }
    }

    /// Both ends in host order: our address, the peer's, our port, the peer's.
    pub fn ends(&self) -> (u32, u32, u16, u16) {
        let c = self.common.get();
        // SAFETY: Alive by the caller's reference; the name does not change while the object lives.
        unsafe {
            let addrs = (*c).__bindgen_anon_1.__bindgen_anon_1;
            let ports = (*c).__bindgen_anon_3.__bindgen_anon_1;
            (
                u32::from_be(addrs.skc_rcv_saddr),
                u32::from_be(addrs.skc_daddr),
                ports.skc_num,
                u16::from_be(ports.skc_dport),
            )
        }
    }

    /// The namespace, which takes the objects out of the table before it goes.
    #[inline]
    pub fn net(&self) -> &Net {
        // SAFETY: Set once at creation, and alive by the contract above.
        unsafe { Net::from_ptr((*self.common.get()).skc_net.net) }
    }

    /// Whether the object stands in the look-up table.
    #[inline]
    pub fn hashed(&self) -> bool {
        // SAFETY: A live object's pointer, read once.
        unsafe {
            !(&raw const (*self.common.get()).__bindgen_anon_6.skc_nulls_node.pprev)
                .read_volatile()
                .is_null()
        }
    }

    /// When the timer fires, in jiffies from now; 0 if it is not armed. For `/proc`.
    pub fn timer_left(&self) -> usize {
        // SAFETY: A live object's timer, whose fields are read once each.
        unsafe {
            let t = self.timer.get();
            if (&raw const (*t).entry.pprev).read_volatile().is_null() {
                return 0;
            }
            let left = (&raw const (*t).expires)
                .read_volatile()
                .wrapping_sub((&raw const bindings::jiffies).read_volatile());
            if (left as isize) < 0 {
                0
            } else {
                left as usize
            }
        }
    }

    /// A reference of one's own.
    #[inline]
    pub fn hold(&self) -> MiniRef<T> {
        self.refcnt().fetch_add(1, Ordering::Relaxed);
        // INVARIANT: Just counted.
        MiniRef(NonNull::from(self))
    }

    /// Arms the timer for `delay` jiffies from now, or moves it there.
    ///
    /// Mirrors [`inet_twsk_reschedule`](srctree/include/net/inet_timewait_sock.h)
    pub fn mod_timer(&self, delay: usize) {
        // SAFETY: A live object's timer.
        let pending = unsafe {
            let at = (&raw const bindings::jiffies)
                .read_volatile()
                .wrapping_add(delay as _);
            bindings::mod_timer(self.timer.get(), at)
        };
        if pending == 0 {
            // The timer's own reference; a pending one has it already.
            core::mem::forget(self.hold());
        }
    }

    /// Arms the timer of an object that stands in the look-up table. Whoever takes it out meanwhile finds no timer
    /// to disarm yet: then it is disarmed here, and keeps nothing alive.
    pub fn mod_timer_hashed(&self, delay: usize) {
        self.mod_timer(delay);
        // Pairs with the fence in `del_timer`: either it is seen here that the object is out, or there that the
        // timer is armed.
        fence(Ordering::SeqCst);
        if !self.hashed() {
            self.del_timer();
        }
    }

    /// Disarms the timer; its handler may still be running elsewhere.
    pub fn del_timer(&self) {
        fence(Ordering::SeqCst);
        // SAFETY: A live object's timer.
        if unsafe { bindings::timer_delete(self.timer.get()) } != 0 {
            // INVARIANT: The timer's reference is ours now; it goes with this value.
            drop(MiniRef::<T>(NonNull::from(self)));
        }
    }

    /// Disarms the timer and waits for its handler. Process context.
    pub fn del_timer_sync(&self) {
        // SAFETY: As above; process context may wait.
        if unsafe { bindings::timer_delete_sync(self.timer.get()) } != 0 {
            // INVARIANT: As above.
            drop(MiniRef::<T>(NonNull::from(self)));
        }
    }
}

/// A counted reference to a small object; the last one frees it.
///
/// # Invariants
///
/// One count of the object is this value's own.
pub struct MiniRef<T: MiniKind>(NonNull<Mini<T>>);

// SAFETY: The count is atomic, the object Sync and Send.
unsafe impl<T: MiniKind> Send for MiniRef<T> {}
// SAFETY: As above.
unsafe impl<T: MiniKind> Sync for MiniRef<T> {}

impl<T: MiniKind> MiniRef<T> {
    /// Makes an object for `key`, in no table. `None` when there is no memory. Atomic.
    pub fn new(key: &Key, family: u16, bound_dev_if: c_int, value: T) -> Option<Self> {
        let slab = T::cache().as_ptr()?;
        // SAFETY: The slab exists, for its guard outlives every object.
        let p = unsafe { bindings::kmem_cache_alloc_noprof(slab, bindings::GFP_ATOMIC) };
        let mini = NonNull::new(p.cast::<Mini<T>>())?;
        let m = mini.as_ptr();
        // SAFETY: The object is ours alone, though a reader that lost its way may be looking at its first
        // part: the count is 0 until everything is written, and the link `next` is left as it is for that
        // reader (`sk_prot_clear_nulls`).
        unsafe {
            let c = (*m).common.get();
            (*c).skc_family = family as _;
            (*c).skc_state = T::STATE;
            (*c).skc_bound_dev_if = bound_dev_if;
            (*c).skc_prot = ptr::null_mut();
            (*c).__bindgen_anon_6.skc_nulls_node.pprev = ptr::null_mut();
            key.write(c);
            ptr::write(
                m.cast::<u8>().add(offset_of!(Mini<T>, value)).cast(),
                Lock::new(value),
            );
            bindings::timer_setup_flags0((*m).timer.get(), Some(timer::<T>));
            AtomicI32::from_ptr(&raw mut (*c).skc_refcnt.refs.counter).store(1, Ordering::Release);
        }
        // INVARIANT: The count just set.
        Some(MiniRef(mini))
    }

    /// Takes over a counted reference.
    ///
    /// # Safety
    ///
    /// `ptr` is the first part of a live object of kind `T`, with a count that the caller gives away.
    #[inline]
    pub(super) unsafe fn from_raw(ptr: NonNull<bindings::sock_common>) -> Self {
        // INVARIANT: The caller's promise.
        MiniRef(ptr.cast())
    }

    /// Gives the reference away as a pointer.
    #[inline]
    pub(super) fn into_raw(self) -> NonNull<bindings::sock_common> {
        let ptr = self.0.cast();
        core::mem::forget(self);
        ptr
    }
}

impl<T: MiniKind> Deref for MiniRef<T> {
    type Target = Mini<T>;

    #[inline]
    fn deref(&self) -> &Mini<T> {
        // SAFETY: Our count keeps the object alive.
        unsafe { self.0.as_ref() }
    }
}

impl<T: MiniKind> Drop for MiniRef<T> {
    #[inline]
    fn drop(&mut self) {
        if self.refcnt().fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            let m = self.0.as_ptr();
            // SAFETY: That was the last count. The value is dropped, and the memory goes back to the slab
            // that it came from; readers that lost their way tell by the count.
            unsafe {
                ptr::drop_in_place(&raw mut (*m).value);
                if let Some(slab) = T::cache().as_ptr() {
                    bindings::kmem_cache_free(slab, m.cast());
                }
            }
        }
    }
}

/// # Safety
///
/// Called by the timer wheel with the reference that arming took.
unsafe extern "C" fn timer<T: MiniKind>(t: *mut bindings::timer_list) {
    // SAFETY: The timer is the one of a `Mini<T>`; the pending timer's count is ours now.
    let mini = unsafe {
        let m = t.byte_sub(offset_of!(Mini<T>, timer)).cast();
        MiniRef::<T>::from_raw(NonNull::new_unchecked(m))
    };
    T::on_timer(&mini);
}
