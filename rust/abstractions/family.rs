// SPDX-License-Identifier: GPL-2.0
//! Families of sockets: what socket(2) calls (`struct net_proto_family`).
//!
//! C header: [`include/linux/net.h`](srctree/include/linux/net.h)

use super::{
    netns::Net,
    proto_ops::{
        custom_sockopt,
        result, //
    },
    sock::Sock,
    socket::SocketOps, //
};
use crate::bindings;
use core::{
    cell::UnsafeCell,
    marker::PhantomData, //
};
use kernel::{
    error::{
        to_result,
        Result, //
    },
    ffi::c_int,
    ThisModule, //
};

/// A new socket in the making: what a family's `create` works on.
pub struct Create<'a> {
    net: *mut bindings::net,
    sock: *mut bindings::socket,
    kern: c_int,
    family: c_int,
    _p: PhantomData<&'a ()>,
}

impl Create<'_> {
    /// The namespace it is made in.
    pub fn net(&self) -> &Net {
        // SAFETY: The caller of `create` keeps it alive.
        unsafe { Net::from_ptr(self.net) }
    }

    /// Whether whoever makes it may see packets of others: the kernel may, and who has CAP_NET_RAW.
    pub fn may_raw(&self) -> bool {
        // SAFETY: A live namespace with its user namespace.
        self.kern != 0
            || unsafe { bindings::ns_capable((*self.net).user_ns, bindings::CAP_NET_RAW as c_int) }
    }

    /// Whether whoever makes it may send echo requests: one of its groups is in `net.ipv4.ping_group_range`.
    ///
    /// Mirrors [`ping_init_sock`](srctree/net/ipv4/ping.c)
    pub fn may_ping(&self) -> bool {
        // SAFETY: A live namespace with its range, of which each end is read once; a change that comes between
        // is as one a moment later.
        let (low, high) = unsafe {
            let range = &raw const (*self.net).ipv4.ping_group_range.range;
            let [low, high] = range.read_volatile();
            (low.val, high.val)
        };
        let has = |gid: bindings::kgid_t| (low..=high).contains(&gid.val);
        // SAFETY: Process context. A task alone changes its groups, and there are `ngroups` of them.
        unsafe {
            if has(bindings::current_egid()) {
                return true;
            }
            let groups = bindings::current_groups();
            let n = (*groups).ngroups.max(0) as usize;
            let first = (&raw const (*groups).gid).cast::<bindings::kgid_t>();
            core::slice::from_raw_parts(first, n)
                .iter()
                .any(|g| has(*g))
        }
    }

    /// Makes it a socket of the protocol `P` for packets of the IP protocol `protocol`, and calls `then`.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub fn make<P: SocketOps>(self, protocol: u16, then: impl FnOnce(&Sock<P>)) -> Result {
        // SAFETY: `create`'s arguments; the ops are set before anybody can call one.
        unsafe {
            (*self.sock).state = bindings::socket_state_SS_UNCONNECTED;
            (*self.sock).ops = P::proto().ops();
            let so = P::proto().create(self.net, self.sock, self.family, self.kern)?;
            (*so.as_ptr().cast::<bindings::sock>()).sk_protocol = protocol;
            custom_sockopt(self.sock);
            then(so.as_ref());
        }
        Ok(())
    }
}

/// A family of sockets.
pub trait Family: 'static {
    /// socket(2): makes a socket of the type `ty` and the protocol `protocol`, 0 for the type's usual one.
    ///
    /// # Errors
    ///
    /// As `inet_create`.
    fn create(new: Create<'_>, ty: u16, protocol: c_int) -> Result;
}

/// The registration of a family: no new socket once it is dropped.
pub struct FamilyRegistration {
    ops: kernel::alloc::KBox<UnsafeCell<bindings::net_proto_family>>,
}

// SAFETY: Only C touches the cell, under its own locks.
unsafe impl Send for FamilyRegistration {}
// SAFETY: As above.
unsafe impl Sync for FamilyRegistration {}

impl FamilyRegistration {
    /// Registers `F` under the number `family`.
    ///
    /// # Errors
    ///
    /// EEXIST when somebody has the number, ENOBUFS when it is out of range, ENOMEM.
    ///
    /// Mirrors [`sock_register`](srctree/net/socket.c)
    pub fn new<F: Family>(family: c_int, module: &'static ThisModule) -> Result<Self> {
        let ops = kernel::alloc::KBox::new(
            UnsafeCell::new(bindings::net_proto_family {
                family,
                create: Some(create::<F>),
                owner: module.as_ptr().cast(),
            }),
            kernel::alloc::flags::GFP_KERNEL,
        )?;
        // SAFETY: The object stays where it is until `drop` takes it back.
        to_result(unsafe { bindings::sock_register(ops.get()) })?;
        Ok(FamilyRegistration { ops })
    }
}

impl Drop for FamilyRegistration {
    fn drop(&mut self) {
        // SAFETY: Registered; the function waits for those who are in `create`.
        unsafe { bindings::sock_unregister((*self.ops.get()).family) };
    }
}

/// # Safety
///
/// Called by the socket core with a new `struct socket` and a live namespace.
unsafe extern "C" fn create<F: Family>(
    net: *mut bindings::net,
    sock: *mut bindings::socket,
    protocol: c_int,
    kern: c_int,
) -> c_int {
    // SAFETY: The caller's promise; the core has set type and file already, and the family is the one that the
    // user named.
    let ty = unsafe { (*sock).type_ };
    let new = Create {
        net,
        sock,
        kern,
        family: super::proto::family(),
        _p: PhantomData,
    };
    result(F::create(new, ty as u16, protocol))
}
