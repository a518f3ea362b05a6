// SPDX-License-Identifier: GPL-2.0
//! The small objects of the connected part: a socket takes the place of a half-open connection, and TIME_WAIT that of
//! a socket, so that no look-up misses both.

use super::{
    Protocol,
    Table,
    CONNECTED,
    UNLINKED, //
};
use crate::abstractions::{
    chains::{
        common_of,
        is_mark,
        Chains,
        Common,
        Key, //
    },
    minisock::{
        Mini,
        MiniRef, //
    },
    sock::{
        Sock,
        SockRef, //
    },
};
use core::{
    ptr::NonNull,
    sync::atomic::Ordering, //
};

impl<P: Protocol> Table<P> {
    /// Puts a half-open connection into the table, unless something of that name is there.
    ///
    /// Mirrors [`reqsk_queue_hash_req`](srctree/net/ipv4/inet_connection_sock.c)
    pub fn insert_half_open(&self, req: &MiniRef<P::HalfOpen>, key: &Key) -> bool {
        let Some((chains, _)) = self.chains() else {
            return false;
        };
        let _lock = chains.lock(key.hash).lock();
        let mut n = chains.head(key.hash).load(Ordering::Relaxed);
        while !is_mark(n) {
            // SAFETY: The chain's lock is held: everything in it is alive.
            unsafe {
                if key.matches(common_of(n), 0) {
                    return false;
                }
                n = (&raw const (*n).next).read_volatile();
            }
        }
        if req.hashed() {
            return false;
        }
        // SAFETY: Small objects are linked only here and in `replace_by_time_wait`, under the lock of the
        // chain of their name, which never changes; this one is in no chain.
        unsafe { chains.link(key.hash, req.common()) };
        core::mem::forget(req.hold());
        true
    }

    /// Puts the socket that a half-open connection became in its place. `false` if the half-open
    /// connection is not in the table any more: another CPU was faster, or it was given up.
    ///
    /// Mirrors [`inet_ehash_nolisten`](srctree/net/ipv4/inet_hashtables.c)
    pub fn replace_half_open(&self, req: &MiniRef<P::HalfOpen>, so: &Sock<P>, key: &Key) -> bool {
        let old = req.common();
        // SAFETY: A live object's name, which never changes.
        let same = unsafe { (*old).__bindgen_anon_2.skc_hash } == key.hash;
        if !same
            || !self.insert_with(so, key, |_| {
                // SAFETY: Both have the same hash, so this chain's lock is held.
                unsafe { Chains::unlink(old) }
            })
        {
            return false;
        }
        // SAFETY: The table's reference to what was unlinked.
        drop(unsafe { Self::found(old) });
        true
    }

    /// Takes a half-open connection out. `false` if it was not in.
    pub fn remove_half_open(&self, req: &Mini<P::HalfOpen>) -> bool {
        self.remove_mini(req.common())
    }

    /// Takes a TIME_WAIT out. `false` if it was not in.
    pub fn remove_time_wait(&self, tw: &Mini<P::TimeWait>) -> bool {
        self.remove_mini(tw.common())
    }

    fn remove_mini(&self, c: *mut Common) -> bool {
        let Some((chains, _)) = self.chains() else {
            return false;
        };
        // SAFETY: The callers have a reference; the name never changes.
        let hash = unsafe { (*c).__bindgen_anon_2.skc_hash };
        let out = {
            let _lock = chains.lock(hash).lock();
            // SAFETY: The lock of the only chain that the object is ever in.
            unsafe { Chains::unlink(c) }
        };
        if out {
            // SAFETY: The table's reference.
            drop(unsafe { Self::found(c) });
        }
        out
    }

    /// Puts a TIME_WAIT in the place of the connection it is left of; the socket is then in no table.
    ///
    /// Mirrors [`inet_twsk_hashdance_schedule`](srctree/net/ipv4/inet_timewait_sock.c)
    pub fn replace_by_time_wait(&self, so: &Sock<P>, tw: &MiniRef<P::TimeWait>, key: &Key) -> bool {
        let Some((chains, _)) = self.chains() else {
            return false;
        };
        if so.linked.load(Ordering::Acquire) != CONNECTED || so.hash() != key.hash {
            return false;
        }
        {
            let _lock = chains.lock(key.hash).lock();
            if so.linked.load(Ordering::Relaxed) != CONNECTED || tw.hashed() {
                return false;
            }
            // SAFETY: The lock of the chain that both belong to is held; the new object is in no chain, and
            // stands in it before the old one goes, so that no reader misses both.
            unsafe {
                chains.link(key.hash, tw.common());
                Chains::unlink(so.as_ptr().cast());
            }
            so.linked.store(UNLINKED, Ordering::Release);
            // The table's reference, before anybody can take it out.
            core::mem::forget(tw.hold());
        }
        // SAFETY: The table's reference.
        drop(unsafe { SockRef::<P>::from_raw(NonNull::new_unchecked(so.as_ptr())) });
        true
    }
}
