// SPDX-License-Identifier: GPL-2.0
//! Network namespaces, and a value of ours in each of them.
//!
//! C header: [`include/net/net_namespace.h`](srctree/include/net/net_namespace.h)

use crate::bindings;
use core::cell::UnsafeCell;
use core::marker::{
    PhantomData,
    PhantomPinned, //
};
use core::ptr::NonNull;
use core::sync::atomic::{
    AtomicPtr,
    AtomicU32,
    Ordering, //
};
use kernel::error::{
    from_result,
    to_result,
    Error,
    Result, //
};

/// A network namespace (`struct net`), only ever seen behind a reference.
///
/// # Invariants
///
/// A `&Net` is the address of a live `struct net`.
#[repr(C)]
pub struct Net {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut bindings::net, PhantomPinned)>,
}

// SAFETY: A namespace belongs to no CPU, and what is reached through `&Net` is constant, atomic or
// guarded by C.
unsafe impl Sync for Net {}
// SAFETY: As above.
unsafe impl Send for Net {}

impl Net {
    /// # Safety
    ///
    /// `ptr` must be a namespace that stays alive during `'a`.
    #[inline]
    pub(crate) unsafe fn from_ptr<'a>(ptr: *mut bindings::net) -> &'a Net {
        // SAFETY: The type has no size, so only the address matters, and that is not null.
        unsafe { &*ptr.cast() }
    }

    /// The C structure, for abstractions.
    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut bindings::net {
        core::ptr::from_ref(self).cast_mut().cast()
    }

    /// Whether both are the same namespace.
    #[inline]
    pub(crate) fn eq(&self, other: &Net) -> bool {
        core::ptr::eq(self.as_ptr(), other.as_ptr())
    }

    /// What [`register`] gave the module as its place in every namespace. `None` before the namespace's
    /// value was made and after it was taken away.
    ///
    /// Mirrors [`net_generic`](srctree/include/net/netns/generic.h)
    #[inline]
    fn generic(&self, id: u32) -> *mut kernel::ffi::c_void {
        // SAFETY: The array is published before any namespace is and only ever grows, its old versions freed
        // by RCU; whoever has a reference to a namespace in which `id` is valid reads an array with that
        // entry, whose contents do not change. The read needs no more than the address dependency.
        unsafe {
            let net = self.as_ptr();
            let gen =
                AtomicPtr::from_ptr(core::ptr::addr_of_mut!((*net).gen)).load(Ordering::Acquire);
            let slots =
                core::ptr::addr_of_mut!((*gen).__bindgen_anon_1).cast::<*mut kernel::ffi::c_void>();
            slots.add(id as usize).read()
        }
    }
}

/// A value that exists once in every network namespace.
pub(crate) trait PerNet: Send + Sync + Sized + 'static {
    /// Where the value's number is kept: a static of the implementor.
    fn slot() -> &'static Slot<Self>;

    /// Makes the value. Process context; sleeps.
    fn new(net: &'static Net) -> Result<Self>;

    /// The value stands where it will stay: what refers to its address is registered here. Process
    /// context; sleeps. On an error [`PerNet::stop`] follows.
    fn start(&'static self) -> Result;

    /// Takes back what [`PerNet::start`] did. What runs under RCU may still see the value until the
    /// grace period that follows; it is dropped after that. Process context; sleeps.
    fn stop(&'static self);
}

/// Where a [`PerNet`] is found.
pub(crate) struct Slot<T> {
    id: AtomicU32,
    _value: PhantomData<fn() -> T>,
}

impl<T> Slot<T> {
    pub(crate) const fn new() -> Self {
        Slot {
            id: AtomicU32::new(0),
            _value: PhantomData,
        }
    }
}

/// The memory that the kernel sets aside for a value in each namespace. Zeroed at first.
#[repr(C)]
struct Place<T> {
    value: UnsafeCell<core::mem::MaybeUninit<T>>,
}

/// The namespace's value of `T`.
///
/// `None` only while the namespace is being set up or torn down, where the module's own set-up of it failed, or when the
/// registration is gone: sockets and registered handlers never meet that.
#[inline]
pub(crate) fn get<T: PerNet>(net: &Net) -> Option<&T> {
    let id = T::slot().id.load(Ordering::Relaxed);
    if id == 0 {
        return None;
    }
    let place = NonNull::new(net.generic(id).cast::<T>())?;
    // SAFETY: The place holds a value from before anything that leads here is registered until after it is
    // gone ([`PerNet`]'s contract), so during the caller's borrow of a live namespace.
    Some(unsafe { place.as_ref() })
}

/// The registration of a [`PerNet`]: dropping it takes the value out of every namespace.
pub(crate) struct Registration<T: PerNet> {
    ops: kernel::alloc::KBox<UnsafeCell<bindings::pernet_operations>>,
    _value: PhantomData<T>,
}

// SAFETY: The operations are only touched by C, under its own locks.
unsafe impl<T: PerNet> Send for Registration<T> {}
// SAFETY: As above.
unsafe impl<T: PerNet> Sync for Registration<T> {}

impl<T: PerNet> Registration<T> {
    /// Makes the value in every namespace there is and will be.
    ///
    /// Mirrors [`register_pernet_subsys`](srctree/net/core/net_namespace.c)
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: All zeroes is a value of this C structure: an entry that does nothing.
        let mut ops: bindings::pernet_operations = unsafe { core::mem::zeroed() };
        ops.init = Some(init::<T>);
        ops.pre_exit = Some(pre_exit::<T>);
        ops.exit = Some(exit::<T>);
        ops.id = T::slot().id.as_ptr();
        ops.size = core::mem::size_of::<Place<T>>();
        let ops = kernel::alloc::KBox::new(UnsafeCell::new(ops), kernel::alloc::flags::GFP_KERNEL)?;
        // SAFETY: The operations stay where they are until `drop` takes them back.
        to_result(unsafe { bindings::register_pernet_subsys(ops.get()) })?;
        Ok(Registration {
            ops,
            _value: PhantomData,
        })
    }
}

impl<T: PerNet> Drop for Registration<T> {
    fn drop(&mut self) {
        // SAFETY: Registered by `new`, once.
        unsafe { bindings::unregister_pernet_subsys(self.ops.get()) };
        // The namespaces go on pointing to where the values were (`ops_free_list` leaves that to whoever gets the number
        // next), so nobody may look there any more.
        T::slot().id.store(0, Ordering::Relaxed);
    }
}

/// # Safety
///
/// Called by C with a namespace that is being set up, whose place for `T` is zeroed.
unsafe extern "C" fn init<T: PerNet>(net: *mut bindings::net) -> i32 {
    from_result(|| {
        // SAFETY: The namespace outlives the value in it.
        let net: &'static Net = unsafe { Net::from_ptr(net) };
        let place = net
            .generic(T::slot().id.load(Ordering::Relaxed))
            .cast::<Place<T>>();
        let value = T::new(net)?;
        // SAFETY: The place is large enough, ours, and holds no value yet. It stays until after `exit`.
        let value: &'static T = unsafe { (*(*place).value.get()).write(value) };
        value.start().inspect_err(|_: &Error| {
            value.stop();
            // SAFETY: `start` failed and `stop` took back what it did, so that nobody refers to the value;
            // `exit` is not called for a namespace whose `init` failed.
            unsafe { core::ptr::drop_in_place(core::ptr::from_ref(value).cast_mut()) }
        })?;
        Ok(0)
    })
}

/// # Safety
///
/// Called by C with a namespace whose `init` succeeded.
unsafe extern "C" fn pre_exit<T: PerNet>(net: *mut bindings::net) {
    // SAFETY: The namespace is alive during the call, and its value until `exit`.
    if let Some(value) = get::<T>(unsafe { Net::from_ptr(net) }) {
        value.stop();
    }
}

/// # Safety
///
/// Called by C with a namespace whose `init` succeeded, a grace period after `pre_exit`, once.
unsafe extern "C" fn exit<T: PerNet>(net: *mut bindings::net) {
    // SAFETY: The namespace is alive during the call.
    let net: &'static Net = unsafe { Net::from_ptr(net) };
    if let Some(value) = get::<T>(net) {
        // SAFETY: Nothing registered refers to the value since `stop`, and who saw it under RCU is gone.
        unsafe { core::ptr::drop_in_place(core::ptr::from_ref(value).cast_mut()) }
    }
}
