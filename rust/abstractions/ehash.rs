// SPDX-License-Identifier: GPL-2.0
//! The look-up table of a transport protocol: which socket is a packet for?
//!
//! A table has two parts, each an array of chains. In the *connected* part stand the objects with two
//! ends (established sockets, half-open connections, TIME_WAIT), found by all four numbers; in the
//! *bound* part the sockets with one end (listeners, unconnected datagram sockets), found by the local
//! port and chosen by a score. Look-ups take no lock. Changes take the lock of the chain, or of the
//! group of chains, which is the innermost lock of all: nothing is locked under it.
//!
//! How readers and writers get along is told in [`super::chains`]. The table owns a reference to everything in it.
//!
//! C header: [`include/net/inet_hashtables.h`](srctree/include/net/inet_hashtables.h)

mod mini;

pub use super::chains::Key;
use super::{
    chains::{
        common_of,
        is_mark,
        mark,
        try_hold,
        Chains,
        Common,
        Node, //
    },
    minisock::{
        Mini,
        MiniKind,
        MiniRef, //
    },
    module_cell::{
        Guard,
        ModuleCell, //
    },
    proto::Protocol,
    rcu,
    sock::{
        Sk,
        Sock,
        SockRef, //
    },
};
use crate::bindings;
use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    },
    sync::atomic::{
        AtomicPtr,
        AtomicU8,
        Ordering, //
    },
};
use kernel::{
    error::Result,
    ffi::c_int, //
};

/// Not in the table.
const UNLINKED: u8 = 0;
/// On the way into the table.
const LINKING: u8 = 1;
/// In the connected part.
const CONNECTED: u8 = 2;
/// In the bound part.
const BOUND: u8 = 3;

/// Added to the mark of a chain of the bound part, so that no two chains share one.
const BOUND_BASE: usize = 1 << 29;

/// What a look-up found.
pub enum Found<P: Protocol> {
    /// A socket.
    Sock(SockRef<P>),
    /// A connection that is not yet one.
    HalfOpen(MiniRef<P::HalfOpen>),
    /// A connection that is no more.
    TimeWait(MiniRef<P::TimeWait>),
}

/// A socket in the bound part as a lock-free reader sees it: it may be gone by now.
pub struct Candidate<'a>(&'a Sk);

impl Candidate<'_> {
    /// The namespace's address.
    #[inline]
    pub fn net_ptr(&self) -> *mut bindings::net {
        self.0.net_ptr()
    }

    /// The local port in host order.
    #[inline]
    pub fn num(&self) -> u16 {
        self.0.num()
    }

    /// The local address in host order; 0 for any.
    #[inline]
    pub fn rcv_saddr(&self) -> u32 {
        self.0.rcv_saddr()
    }

    /// The peer's address in host order; 0 if it is not connected.
    #[inline]
    pub fn daddr(&self) -> u32 {
        self.0.daddr()
    }

    /// The device it is bound to; 0 for any.
    #[inline]
    pub fn bound_dev_if(&self) -> i32 {
        self.0.bound_dev_if()
    }

    /// Whether it shares its port as one of a group (`SO_REUSEPORT`).
    #[inline]
    pub fn reuseport(&self) -> bool {
        self.0.reuseport()
    }
}

/// The table of one protocol.
///
/// # Invariants
///
/// What stands in the chains are objects of `P`'s three slabs, each with a reference of the table's own.
/// A socket's `linked` says in which part it is.
pub struct Table<P: Protocol> {
    chains: ModuleCell<(Chains, Chains)>,
    _p: PhantomData<fn() -> P>,
}

/// The table's memory, as long as this lives; dropped after everything in it is gone.
pub struct TableGuard(#[expect(dead_code)] Guard<(Chains, Chains)>);

impl<P: Protocol> Table<P> {
    /// A table without memory.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Table {
            chains: ModuleCell::new(),
            _p: PhantomData,
        }
    }

    /// Gives the table its chains: `connected` and `bound` of them, powers of two. From the module's init,
    /// once.
    ///
    /// # Errors
    ///
    /// ENOMEM; EBUSY if it has them.
    pub fn create(&'static self, connected: usize, bound: usize) -> Result<TableGuard> {
        let connected = Chains::new(connected.next_power_of_two(), 0)?;
        let bound = Chains::new(bound.next_power_of_two(), BOUND_BASE)?;
        Ok(TableGuard(self.chains.set((connected, bound))?))
    }

    #[inline]
    fn chains(&self) -> Option<&(Chains, Chains)> {
        self.chains.get()
    }

    /// Finds the connection `key` on a packet that came in by the device `dif`. Any context.
    ///
    /// Mirrors [`__inet_lookup_established`](srctree/net/ipv4/inet_hashtables.c)
    #[inline]
    pub fn lookup(&self, key: &Key, dif: c_int) -> Option<Found<P>> {
        let chains = &self.chains()?.0;
        let _rcu = rcu::read_lock();
        let head = chains.head(key.hash);
        loop {
            let mut n = head.load(Ordering::Acquire);
            while !is_mark(n) {
                let c = common_of(n);
                // SAFETY: Under RCU nodes are memory of our slabs, by the table's invariant.
                unsafe {
                    if key.matches(c, dif) && try_hold(c) {
                        if key.matches(c, dif) {
                            return Some(Self::found(c));
                        }
                        drop(Self::found(c));
                        break;
                    }
                    n = (&raw const (*n).next).read_volatile();
                }
            }
            if n == mark(chains.base.wrapping_add(chains.slot(key.hash))) {
                return None;
            }
        }
    }

    /// Gives a counted reference its type.
    ///
    /// # Safety
    ///
    /// `c` is an object of the table's with a count that the caller gives away.
    #[inline]
    unsafe fn found(c: *mut Common) -> Found<P> {
        // SAFETY: A node's address is not null. Only sockets have a `skc_prot`; the states of the others
        // never change.
        unsafe {
            let nn = NonNull::new_unchecked(c);
            if !(&raw const (*c).skc_prot).read_volatile().is_null() {
                Found::Sock(SockRef::from_raw(nn.cast()))
            } else if (&raw const (*c).skc_state).read_volatile()
                == <P::TimeWait as MiniKind>::STATE
            {
                Found::TimeWait(MiniRef::from_raw(nn))
            } else {
                Found::HalfOpen(MiniRef::from_raw(nn))
            }
        }
    }

    /// Finds the socket in the bound part with the highest score; sockets that `score` gives none are not
    /// meant. Of a group that shares the port (`SO_REUSEPORT`) `flow`, a hash of the packet's ends, picks
    /// one. Any context.
    ///
    /// Mirrors [`inet_lhash2_lookup`](srctree/net/ipv4/inet_hashtables.c), [`reuseport_select_sock`](srctree/net/core/sock_reuseport.c)
    #[inline]
    pub fn lookup_bound(
        &self,
        hash: u32,
        flow: u32,
        score: impl Fn(&Candidate<'_>) -> Option<u32>,
    ) -> Option<SockRef<P>> {
        let chains = &self.chains()?.1;
        let _rcu = rcu::read_lock();
        // The group is counted in a first walk; a second one finds the member.
        let mut skip = 0u32;
        loop {
            let (best, high, group) = Self::walk_bound(chains, hash, skip, &score);
            if best.is_null() {
                // The group shrank between the walks, or nobody is there.
                if skip == 0 {
                    return None;
                }
                skip = 0;
                continue;
            }
            if skip == 0 && group > 1 {
                skip = ((u64::from(flow) * u64::from(group)) >> 32) as u32;
                if skip != 0 {
                    continue;
                }
            }
            // SAFETY: Under RCU nodes of the bound part are memory of `P`'s slab; if the count is taken, the
            // object is a socket of `P`'s.
            unsafe {
                if !try_hold(best) {
                    continue;
                }
                let so = SockRef::<P>::from_raw(NonNull::new_unchecked(best.cast()));
                if score(&Candidate(&so)) == Some(high) {
                    return Some(so);
                }
            }
        }
    }

    /// Walks a chain of the bound part once: the best socket, or behind it the `skip`th of its group; its
    /// score; and the size of the group. Under RCU.
    #[inline]
    fn walk_bound(
        chains: &Chains,
        hash: u32,
        skip: u32,
        score: &impl Fn(&Candidate<'_>) -> Option<u32>,
    ) -> (*mut Common, u32, u32) {
        let head = chains.head(hash);
        loop {
            let mut best: *mut Common = ptr::null_mut();
            let (mut high, mut group, mut in_group) = (0, 0u32, false);
            let mut n = head.load(Ordering::Acquire);
            while !is_mark(n) {
                let c = common_of(n);
                // SAFETY: The bound part holds sockets only; under RCU their memory is of that type.
                let sk = Candidate(unsafe { Sk::from_raw(c.cast()) });
                if let Some(s) = score(&sk) {
                    if best.is_null() || s > high {
                        (best, high, group, in_group) = (c, s, 1, sk.reuseport());
                    } else if s == high && in_group && sk.reuseport() {
                        if group <= skip {
                            best = c;
                        }
                        group = group.wrapping_add(1);
                    }
                }
                // SAFETY: As above.
                n = unsafe { (&raw const (*n).next).read_volatile() };
            }
            if n == mark(chains.base.wrapping_add(chains.slot(hash))) {
                return (best, high, group);
            }
        }
    }

    /// Puts a socket into the connected part under `key`, which becomes its name. `false` if it stands in
    /// the table already.
    ///
    /// Mirrors [`inet_ehash_insert`](srctree/net/ipv4/inet_hashtables.c)
    pub fn insert(&self, so: &Sock<P>, key: &Key) -> bool {
        self.insert_with(so, key, |_| true)
    }

    /// Puts a socket into the connected part if no other object has the same name, or the only one is a
    /// TIME_WAIT that `replace` agrees to give up, which is then taken out. `false` if the name is taken.
    ///
    /// Mirrors [`__inet_check_established`](srctree/net/ipv4/inet_hashtables.c)
    pub fn insert_unique(
        &self,
        so: &Sock<P>,
        key: &Key,
        replace: impl Fn(&Mini<P::TimeWait>) -> bool,
    ) -> bool {
        let mut replaced = None;
        let dif = so.bound_dev_if();
        let done = self.insert_with(so, key, |head| {
            let mut n = head.load(Ordering::Relaxed);
            while !is_mark(n) {
                let c = common_of(n);
                // SAFETY: The chain's lock is held: everything in it is alive by the table's reference.
                unsafe {
                    if key.matches(c, dif) {
                        if !try_hold(c) {
                            return false;
                        }
                        let Found::TimeWait(tw) = Self::found(c) else {
                            return false;
                        };
                        if !replace(&tw) {
                            return false;
                        }
                        Chains::unlink(c);
                        replaced = Some(tw);
                        return true;
                    }
                    n = (&raw const (*n).next).read_volatile();
                }
            }
            true
        });
        if let Some(tw) = replaced {
            // The table's reference, and the timer's.
            // SAFETY: It was unlinked above.
            drop(unsafe { Self::found(tw.common()) });
            tw.del_timer();
        }
        done
    }

    /// Whether [`Table::insert_unique`] would find the name taken; a moment later it may be otherwise. Any
    /// context.
    ///
    /// Mirrors [`__inet_check_established`](srctree/net/ipv4/inet_hashtables.c), with `rcu_lookup`
    pub fn is_taken(
        &self,
        key: &Key,
        dif: c_int,
        replace: impl Fn(&Mini<P::TimeWait>) -> bool,
    ) -> bool {
        match self.lookup(key, dif) {
            Some(Found::TimeWait(tw)) => !replace(&tw),
            Some(_) => true,
            None => false,
        }
    }

    fn insert_with(
        &self,
        so: &Sock<P>,
        key: &Key,
        may: impl FnOnce(&AtomicPtr<Node>) -> bool,
    ) -> bool {
        let Some((chains, _)) = self.chains() else {
            return false;
        };
        if !Self::begin_link(&so.linked) {
            return false;
        }
        let c: *mut Common = so.as_ptr().cast();
        {
            let _lock = chains.lock(key.hash).lock();
            if !may(chains.head(key.hash)) {
                so.linked.store(UNLINKED, Ordering::Release);
                return false;
            }
            // SAFETY: `linked` says that the object is in no chain, and that we are the one to change that.
            unsafe {
                key.write(c);
                chains.link(key.hash, c);
            }
            so.linked.store(CONNECTED, Ordering::Release);
            // The table's reference, before anybody can take it out.
            core::mem::forget(so.hold());
        }
        true
    }

    #[inline]
    fn begin_link(linked: &AtomicU8) -> bool {
        linked
            .compare_exchange(UNLINKED, LINKING, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// Puts a socket into the bound part under `hash`. `false` if it stands in the table already.
    ///
    /// Mirrors [`__inet_hash`](srctree/net/ipv4/inet_hashtables.c)
    pub fn insert_bound(&self, so: &Sock<P>, hash: u32) -> bool {
        let Some((_, chains)) = self.chains() else {
            return false;
        };
        if !Self::begin_link(&so.linked) {
            return false;
        }
        so.set_hash(hash);
        {
            let _lock = chains.lock(hash).lock();
            // SAFETY: `linked` says that the object is in no chain, and that we are the one to change that.
            unsafe { chains.link(hash, so.as_ptr().cast()) };
            so.linked.store(BOUND, Ordering::Release);
            // The table's reference, before anybody can take it out.
            core::mem::forget(so.hold());
        }
        true
    }

    /// Takes a socket out of the table, whichever part it is in. `false` if it was in neither. The name it had
    /// there must not have been changed since.
    ///
    /// Mirrors [`inet_unhash`](srctree/net/ipv4/inet_hashtables.c)
    pub fn remove(&self, so: &Sock<P>) -> bool {
        let Some((connected, bound)) = self.chains() else {
            return false;
        };
        let part = so.linked.load(Ordering::Acquire);
        let chains = match part {
            CONNECTED => connected,
            BOUND => bound,
            _ => return false,
        };
        let hash = so.hash();
        {
            let _lock = chains.lock(hash).lock();
            if so.linked.load(Ordering::Relaxed) != part {
                return false;
            }
            // SAFETY: The object is in this part, and its hash is the one it was put in under.
            unsafe { Chains::unlink(so.as_ptr().cast()) };
            so.linked.store(UNLINKED, Ordering::Release);
        }
        // SAFETY: The table's reference.
        drop(unsafe { SockRef::<P>::from_raw(NonNull::new_unchecked(so.as_ptr())) });
        true
    }

    /// Fills `to` with references to sockets in the bound part that `wants`, after the first `skip` of them, and
    /// says how many it found. For packets that go to several: who needs more than there is room for asks
    /// again, and the chain is walked anew.
    pub fn some_bound(
        &self,
        hash: u32,
        skip: usize,
        to: &mut [Option<SockRef<P>>],
        wants: impl Fn(&Sock<P>) -> bool,
    ) -> usize {
        let Some((_, chains)) = self.chains() else {
            return 0;
        };
        let _lock = chains.lock(hash).lock();
        let mut n = chains.head(hash).load(Ordering::Relaxed);
        let (mut left, mut found) = (skip, 0usize);
        while !is_mark(n) && found < to.len() {
            let c = common_of(n);
            // SAFETY: The chain's lock is held: everything in it is a socket of `P`'s, and alive by the table's reference.
            unsafe {
                if wants(Sock::<P>::from_raw(c.cast())) {
                    if left != 0 {
                        left -= 1;
                    } else if try_hold(c) {
                        if let Some(place) = to.get_mut(found) {
                            *place = Some(SockRef::from_raw(NonNull::new_unchecked(c.cast())));
                        }
                        found = found.wrapping_add(1);
                    }
                }
                n = (&raw const (*n).next).read_volatile();
            }
        }
        found
    }

    /// Number of chains of the connected part, then of the bound part: for `/proc`.
    pub fn len(&self) -> (usize, usize) {
        self.chains()
            .map_or((0, 0), |(c, b)| (c.heads.len(), b.heads.len()))
    }

    /// The `nth` object of one chain, in whatever order; chains are numbered bound part first. For `/proc`
    /// and for cleaning up: it walks the chain anew each time.
    pub fn nth(&self, chain: usize, nth: usize) -> Option<Found<P>> {
        let (connected, bound) = self.chains()?;
        let (chains, slot) = match chain.checked_sub(bound.heads.len()) {
            None => (bound, chain),
            Some(i) => (connected, i),
        };
        let head = chains.heads.get(slot)?;
        let _lock = chains.lock(slot as u32).lock();
        let mut n = head.load(Ordering::Relaxed);
        let mut i = 0usize;
        while !is_mark(n) {
            // SAFETY: The chain's lock is held: everything in it is alive.
            unsafe {
                if i == nth {
                    let c = common_of(n);
                    return if try_hold(c) {
                        Some(Self::found(c))
                    } else {
                        None
                    };
                }
                n = (&raw const (*n).next).read_volatile();
            }
            i = i.wrapping_add(1);
        }
        None
    }
}
