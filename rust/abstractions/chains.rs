// SPDX-License-Identifier: GPL-2.0
//! Chains of objects that are found without a lock: what a look-up table is made of.
//!
//! Objects are freed without waiting for readers (SLAB_TYPESAFE_BY_RCU), so a reader may walk over one
//! that was freed, or even moved to another chain. Therefore a reader takes a reference first and
//! compares the key again, and each chain ends in its own mark (hlist_nulls): whoever ends up at
//! another chain's mark begins again.
//!
//! C header: [`include/linux/rculist_nulls.h`](srctree/include/linux/rculist_nulls.h)

use super::{
    lock::Lock,
    memory::Array, //
};
use crate::bindings;
use core::{
    mem::offset_of,
    ptr,
    sync::atomic::{
        AtomicI32,
        AtomicPtr,
        Ordering, //
    },
};
use kernel::{
    error::Result,
    ffi::c_int, //
};

pub(super) type Common = bindings::sock_common;
pub(super) type Node = bindings::hlist_nulls_node;

/// The name of a connection, as the objects in the table hold it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key {
    net: *mut bindings::net,
    addrs: u64,
    ports: u32,
    /// The hash of all that.
    pub hash: u32,
}

impl Key {
    /// Of the connection in `net` between `saddr`:`sport`, ours, and `daddr`:`dport`, all in host order.
    #[inline]
    pub fn new(
        net: *mut bindings::net,
        saddr: u32,
        daddr: u32,
        sport: u16,
        dport: u16,
        hash: u32,
    ) -> Key {
        // The two halves of `skc_addrpair` and `skc_portpair` in the order in which they lie in memory.
        let a = (u64::from(daddr.to_be()), u64::from(saddr.to_be()));
        let p = (u32::from(dport.to_be()), u32::from(sport));
        let (addrs, ports) = if cfg!(target_endian = "little") {
            (a.0 | a.1 << 32, p.0 | p.1 << 16)
        } else {
            (a.0 << 32 | a.1, p.0 << 16 | p.1)
        };
        Key {
            net,
            addrs,
            ports,
            hash,
        }
    }

    /// Writes the key into an object.
    ///
    /// # Safety
    ///
    /// `c` is the caller's alone, but for lost readers.
    pub(super) unsafe fn write(&self, c: *mut Common) {
        // SAFETY: The caller's promise.
        unsafe {
            (&raw mut (*c).__bindgen_anon_1.skc_addrpair).write_volatile(self.addrs);
            (&raw mut (*c).__bindgen_anon_3.skc_portpair).write_volatile(self.ports);
            (&raw mut (*c).__bindgen_anon_2.skc_hash).write_volatile(self.hash);
            (&raw mut (*c).skc_net.net).write_volatile(self.net);
        }
    }

    /// Mirrors [`inet_match`](srctree/include/net/inet_hashtables.h)
    ///
    /// # Safety
    ///
    /// `c` points into a slab whose objects begin with `struct sock_common`.
    #[inline]
    pub(super) unsafe fn matches(&self, c: *mut Common, dif: c_int) -> bool {
        // SAFETY: The caller's promise: memory of that type, live or not.
        unsafe {
            if (&raw const (*c).__bindgen_anon_2.skc_hash).read_volatile() != self.hash
                || (&raw const (*c).__bindgen_anon_3.skc_portpair).read_volatile() != self.ports
                || (&raw const (*c).__bindgen_anon_1.skc_addrpair).read_volatile() != self.addrs
                || (&raw const (*c).skc_net.net).read_volatile() != self.net
            {
                return false;
            }
            let bound = (&raw const (*c).skc_bound_dev_if).read_volatile();
            bound == 0 || dif == 0 || bound == dif
        }
    }
}

/// The lock of a group of chains.
pub(super) struct ChainLock;

/// One part of a table.
pub(super) struct Chains {
    /// A power of two of heads: nodes, or the chain's mark.
    pub(super) heads: Array<AtomicPtr<Node>>,
    /// A power of two of locks, not more than heads.
    pub(super) locks: Array<Lock<ChainLock>>,
    pub(super) base: usize,
}

/// A chain's mark (`NULLS_MARKER`).
#[inline]
pub(super) fn mark(value: usize) -> *mut Node {
    ptr::without_provenance_mut(value << 1 | 1)
}

#[inline]
pub(super) fn is_mark(n: *mut Node) -> bool {
    n.addr() & 1 != 0
}

#[inline]
pub(super) fn common_of(n: *mut Node) -> *mut Common {
    n.wrapping_byte_sub(offset_of!(Common, __bindgen_anon_6))
        .cast()
}

#[inline]
pub(super) fn node_of(c: *mut Common) -> *mut Node {
    c.wrapping_byte_add(offset_of!(Common, __bindgen_anon_6))
        .cast()
}

impl Chains {
    pub(super) fn new(len: usize, base: usize) -> Result<Self> {
        let locks = len.min(1024);
        Ok(Chains {
            heads: Array::try_from_fn_sleeping(len, |i| {
                AtomicPtr::new(mark(base.wrapping_add(i)))
            })?,
            locks: Array::try_from_fn_sleeping(locks, |_| Lock::new(ChainLock))?,
            base,
        })
    }

    #[inline]
    pub(super) fn slot(&self, hash: u32) -> usize {
        hash as usize & self.heads.len().wrapping_sub(1)
    }

    #[inline]
    pub(super) fn head(&self, hash: u32) -> &AtomicPtr<Node> {
        &self.heads[self.slot(hash)]
    }

    #[inline]
    pub(super) fn lock(&self, hash: u32) -> &Lock<ChainLock> {
        &self.locks[hash as usize & self.locks.len().wrapping_sub(1)]
    }

    /// Mirrors [`hlist_nulls_add_head_rcu`](srctree/include/linux/rculist_nulls.h)
    ///
    /// # Safety
    ///
    /// The chain's lock is held, and `c` is in no chain.
    pub(super) unsafe fn link(&self, hash: u32, c: *mut Common) {
        let head = self.head(hash);
        let n = node_of(c);
        let first = head.load(Ordering::Relaxed);
        // SAFETY: The node is the caller's, and the first one is in the chain whose lock is held.
        unsafe {
            (&raw mut (*n).next).write_volatile(first);
            (&raw mut (*n).pprev).write_volatile(head.as_ptr());
            head.store(n, Ordering::Release);
            if !is_mark(first) {
                (&raw mut (*first).pprev).write_volatile(&raw mut (*n).next);
            }
        }
    }

    /// Takes an object out of its chain, if it is in one. Its `next` stays for readers that stand on it.
    ///
    /// Mirrors [`hlist_nulls_del_init_rcu`](srctree/include/linux/rculist_nulls.h)
    ///
    /// # Safety
    ///
    /// The lock of the chain that `c` is in, or was, is held.
    pub(super) unsafe fn unlink(c: *mut Common) -> bool {
        let n = node_of(c);
        // SAFETY: Neighbours are in the same chain, whose lock is held.
        unsafe {
            let pprev = (&raw const (*n).pprev).read_volatile();
            if pprev.is_null() {
                return false;
            }
            let next = (&raw const (*n).next).read_volatile();
            pprev.write_volatile(next);
            if !is_mark(next) {
                (&raw mut (*next).pprev).write_volatile(pprev);
            }
            (&raw mut (*n).pprev).write_volatile(ptr::null_mut());
        }
        true
    }
}

/// Takes a reference unless the count is zero already.
///
/// # Safety
///
/// `c` points into a slab whose objects begin with `struct sock_common`, under RCU.
#[inline]
pub(super) unsafe fn try_hold(c: *mut Common) -> bool {
    // SAFETY: The caller's promise; the count is only accessed atomically.
    let r = unsafe { AtomicI32::from_ptr(&raw mut (*c).skc_refcnt.refs.counter) };
    let mut n = r.load(Ordering::Relaxed);
    while n > 0 {
        match r.compare_exchange_weak(n, n.wrapping_add(1), Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => return true,
            Err(now) => n = now,
        }
    }
    false
}
