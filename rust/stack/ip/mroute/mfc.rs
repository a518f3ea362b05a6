// SPDX-License-Identifier: GPL-2.0
//! Where packets of a source to a group go: the multicast forwarding cache.
//!
//! A hash table that readers walk without a lock ([`chains`]); what an entry says changes in place, word by word, as in
//! Linux. Writers exclude each other by another.
//!
//! Mirrors [`struct mr_mfc`, `struct mr_table`](srctree/include/linux/mroute_base.h)

use super::ctl::Mfcctl;
use super::MAXVIFS;
use crate::platform::{
    AllocError,
    Arc,
    Array,
    Lock,
    Rcu,
    RcuBox, //
};
use crate::stack::chains;
use crate::stack::socket::key::jhash_3words;
use crate::stack::time::{
    Duration,
    Instant, //
};
use crate::stack::wire::ipv4::Addr;
use core::sync::atomic::{
    AtomicBool,
    AtomicU32,
    AtomicU64,
    AtomicU8,
    Ordering, //
};

/// Slots of an empty table: a power of two.
const MIN_SLOTS: usize = 8;
/// A daemon is told so often of wrong vifs, for each entry (`MFC_ASSERT_THRESH`).
const ASSERT_INTERVAL: Duration = Duration::from_secs(3);

/// An entry.
#[derive(Debug)]
pub struct Mfc {
    origin: Addr,
    group: Addr,
    /// The vif that packets come in by.
    parent: AtomicU8,
    /// What a packet's time to live must exceed, for each vif; 255 if none goes out by it.
    ttls: [AtomicU8; MAXVIFS],
    /// By which vifs packets may go out, a bit for each.
    oifs: AtomicU32,
    /// It outlives the daemon: somebody else has made it.
    fixed: AtomicBool,
    /// It is out of the table, though there may have been no memory to take it out.
    dead: AtomicBool,
    packets: AtomicU64,
    bytes: AtomicU64,
    wrong: AtomicU64,
    /// From when on the daemon may be told of a wrong vif, in nanoseconds.
    next_assert: AtomicU64,
}

impl Mfc {
    fn new(m: &Mfcctl, there: u32, fixed: bool) -> Mfc {
        let c = Mfc {
            origin: m.origin,
            group: m.group,
            parent: AtomicU8::new(0),
            ttls: [const { AtomicU8::new(255) }; MAXVIFS],
            oifs: AtomicU32::new(0),
            fixed: AtomicBool::new(false),
            dead: AtomicBool::new(false),
            packets: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            wrong: AtomicU64::new(0),
            next_assert: AtomicU64::new(0),
        };
        c.update(m, there, fixed);
        c
    }

    /// Takes over what the daemon says now; of the vifs those count that are `there`.
    ///
    /// Mirrors [`ipmr_update_thresholds`](srctree/net/ipv4/ipmr.c)
    fn update(&self, m: &Mfcctl, there: u32, fixed: bool) {
        let mut oifs = 0;
        for (i, (to, ttl)) in self.ttls.iter().zip(m.ttls).enumerate() {
            let out = (there >> i) & 1 != 0 && ttl != 0 && ttl != 255;
            to.store(if out { ttl } else { 255 }, Ordering::Relaxed);
            oifs |= u32::from(out) << i;
        }
        self.parent.store(m.parent as u8, Ordering::Relaxed);
        self.oifs.store(oifs, Ordering::Relaxed);
        if fixed {
            self.fixed.store(true, Ordering::Relaxed);
        }
    }

    /// The source, [`Addr::ANY`] for all.
    #[inline]
    pub fn origin(&self) -> Addr {
        self.origin
    }

    /// The group, [`Addr::ANY`] for all.
    #[inline]
    pub fn group(&self) -> Addr {
        self.group
    }

    /// The vif that packets come in by.
    #[inline]
    pub fn parent(&self) -> u8 {
        self.parent.load(Ordering::Relaxed)
    }

    /// Whether it was made by somebody else than the daemon.
    pub fn is_fixed(&self) -> bool {
        self.fixed.load(Ordering::Relaxed)
    }

    #[inline]
    fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Whether packets may go out by a vif.
    #[inline]
    fn leads_to(&self, vif: u8) -> bool {
        (self.oifs.load(Ordering::Relaxed) >> (vif & 31)) & 1 != 0
    }

    /// What a packet's time to live must exceed for it to go out by a vif; `None` if none does.
    pub fn threshold(&self, vif: u8) -> Option<u8> {
        let ttl = self.ttls.get(usize::from(vif))?.load(Ordering::Relaxed);
        Some(ttl).filter(|t| *t != 255)
    }

    /// By which vifs a packet with this time to live goes out, a bit for each.
    #[inline]
    pub fn oifs(&self, ttl: u8) -> u32 {
        let mut left = self.oifs.load(Ordering::Relaxed);
        let mut out = 0;
        while left != 0 {
            let i = left.trailing_zeros();
            left &= left.wrapping_sub(1);
            let threshold = self.ttls.get(i as usize);
            if threshold.is_some_and(|t| ttl > t.load(Ordering::Relaxed)) {
                out |= 1 << i;
            }
        }
        out
    }

    /// A packet of `len` bytes is the entry's.
    #[inline]
    pub(super) fn count(&self, len: usize) {
        self.packets.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(len as u64, Ordering::Relaxed);
    }

    /// One has come by the wrong vif. Whether the daemon is to be told: if it is one that packets go out by, for then
    /// another router is on that link, too; `assert`: if it wants that at all.
    #[cold]
    pub(super) fn count_wrong(&self, vif: u8, assert: bool, now: Instant) -> bool {
        self.wrong.fetch_add(1, Ordering::Relaxed);
        if !assert || !self.leads_to(vif) {
            return false;
        }
        let next = self.next_assert.load(Ordering::Relaxed);
        let until = now.plus(ASSERT_INTERVAL).as_nanos();
        now.as_nanos() >= next
            && self
                .next_assert
                .compare_exchange(next, until, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Packets, bytes, and packets that came by a wrong vif.
    pub fn counts(&self) -> [u64; 3] {
        [&self.packets, &self.bytes, &self.wrong].map(|n| n.load(Ordering::Relaxed))
    }
}

type Chain = chains::Chain<Mfc>;

/// What became of a new entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// There was none for this source and group.
    New,
    /// There was one, which says something else now.
    Changed,
}

/// The entries.
#[derive(Debug)]
pub struct Table {
    slots: Rcu<chains::Slots<Mfc>>,
    /// A random number: nobody can make entries collide on purpose.
    secret: u32,
    /// How many there are; held by writers.
    writer: Lock<usize>,
}

impl Table {
    /// An empty table. `secret` is random.
    pub fn try_new(secret: u32) -> Result<Self, AllocError> {
        let slots = Array::try_from_fn(MIN_SLOTS, |_| Rcu::null())?;
        Ok(Table {
            slots: Rcu::new(RcuBox::try_new(slots)?),
            secret,
            writer: Lock::new(0),
        })
    }

    #[inline]
    fn hash(&self, origin: Addr, group: Addr) -> usize {
        jhash_3words(origin.to_u32(), group.to_u32(), 0, self.secret) as usize
    }

    /// Calls `f` with the slot of a source and a group.
    #[inline]
    fn with_slot<R>(
        &self,
        origin: Addr,
        group: Addr,
        f: impl FnOnce(&Rcu<Chain>) -> R,
    ) -> Option<R> {
        let hash = self.hash(origin, group);
        self.slots.read(|slots| {
            let slots = slots?;
            slots.get(hash & slots.len().wrapping_sub(1)).map(f)
        })
    }

    /// Calls `f` with the last entry made for just this source and group that is `good`.
    #[inline]
    fn first<R>(
        &self,
        (origin, group): (Addr, Addr),
        good: impl Fn(&Mfc) -> bool,
        f: impl FnOnce(&Mfc) -> R,
    ) -> Option<R> {
        self.with_slot(origin, group, |slot| {
            slot.read(|chain| {
                let is = |c: &&Arc<Mfc>| {
                    c.origin == origin && c.group == group && !c.is_dead() && good(c)
                };
                chain?.iter().find(is).map(|c| f(c))
            })
        })?
    }

    /// Calls `f` with the entry for just this source and group. Lock-free.
    ///
    /// Mirrors [`ipmr_cache_find`](srctree/net/ipv4/ipmr.c)
    #[inline]
    pub fn find<R>(&self, origin: Addr, group: Addr, f: impl FnOnce(&Mfc) -> R) -> Option<R> {
        self.first((origin, group), |_| true, f)
    }

    /// Calls `f` with what says where a packet goes that has come in by `vif`: the entry of its source and group, else
    /// one of its group that leads to the vif, else one of all groups that does. Lock-free.
    ///
    /// Mirrors [`mr_mfc_find_any`](srctree/net/ipv4/ipmr_base.c)
    #[inline]
    pub fn lookup<R>(
        &self,
        origin: Addr,
        group: Addr,
        vif: u8,
        f: impl FnOnce(&Mfc) -> R,
    ) -> Option<R> {
        let mut f = Some(f);
        let mut found = |c: &Mfc| f.take().map(|f| f(c));
        if let Some(r) = self.find(origin, group, &mut found) {
            return r;
        }
        let near = |c: &Mfc| c.leads_to(vif) || self.leads_to(c.parent(), vif);
        if let Some(r) = self.first((Addr::ANY, group), near, &mut found) {
            return r;
        }
        self.first((Addr::ANY, Addr::ANY), |c| c.leads_to(vif), found)?
    }

    /// Whether the entry of all sources and groups that leads to `root` leads to `vif`, too.
    pub(super) fn leads_to(&self, root: u8, vif: u8) -> bool {
        let any = (Addr::ANY, Addr::ANY);
        self.first(any, |c| c.leads_to(root), |c| c.leads_to(vif)) == Some(true)
    }

    /// Makes an entry, or changes the one there is. With `by_parent` entries of different parents stand beside each
    /// other. Of the vifs those count that are `there`. Atomic.
    ///
    /// Mirrors [`ipmr_mfc_add`](srctree/net/ipv4/ipmr.c)
    pub fn add(
        &self,
        m: &Mfcctl,
        by_parent: bool,
        there: u32,
        fixed: bool,
    ) -> Result<Added, AllocError> {
        let mut entries = self.writer.lock();
        let same = |c: &Mfc| !by_parent || u16::from(c.parent()) == m.parent;
        let changed = self.first((m.origin, m.group), same, |c| c.update(m, there, fixed));
        if changed.is_some() {
            return Ok(Added::Changed);
        }
        let new = Arc::try_new(Mfc::new(m, there, fixed))?;
        self.with_slot(m.origin, m.group, |slot| {
            let chain = slot.read(|chain| {
                let old = chain.map_or(&[][..], |c| c);
                RcuBox::try_new(Array::try_concat(&[core::slice::from_ref(&new), old])?)
            })?;
            slot.replace(Some(chain));
            Ok::<(), AllocError>(())
        })
        .unwrap_or(Err(AllocError))?;
        *entries = entries.saturating_add(1);
        let hash = |c: &Mfc| (!c.is_dead()).then(|| self.hash(c.origin, c.group));
        if let Some(new) = chains::grown(&self.slots, *entries, hash) {
            self.slots.replace(Some(new));
        }
        Ok(Added::New)
    }

    /// Takes an entry away. `false` if there is none.
    ///
    /// Mirrors [`ipmr_mfc_delete`](srctree/net/ipv4/ipmr.c)
    pub fn remove(&self, m: &Mfcctl, by_parent: bool) -> bool {
        let mut entries = self.writer.lock();
        let same = |c: &Mfc| !by_parent || u16::from(c.parent()) == m.parent;
        let kill = |c: &Mfc| c.dead.store(true, Ordering::Relaxed);
        if self.first((m.origin, m.group), same, kill).is_none() {
            return false;
        }
        *entries = entries.saturating_sub(1);
        self.with_slot(m.origin, m.group, |slot| self.weed(slot));
        true
    }

    /// Takes away the entries that are `doomed`.
    ///
    /// Mirrors the middle of [`mroute_clean_tables`](srctree/net/ipv4/ipmr.c)
    pub fn flush(&self, doomed: impl Fn(&Mfc) -> bool) {
        let mut entries = self.writer.lock();
        self.slots.read(|slots| {
            for slot in slots.into_iter().flat_map(|s| s.iter()) {
                slot.read(|chain| {
                    for c in chain.into_iter().flat_map(|c| c.iter()) {
                        if !c.is_dead() && doomed(c) {
                            c.dead.store(true, Ordering::Relaxed);
                            *entries = entries.saturating_sub(1);
                        }
                    }
                });
                self.weed(slot);
            }
        });
    }

    /// Calls `f` with each entry, in no order. Lock-free; entries that come or go meanwhile may be missed or met.
    pub fn for_each(&self, mut f: impl FnMut(&Mfc)) {
        self.slots.read(|slots| {
            for slot in slots.into_iter().flat_map(|s| s.iter()) {
                slot.read(|chain| {
                    let all = chain.into_iter().flat_map(|c| c.iter());
                    all.filter(|c| !c.is_dead()).for_each(|c| f(c));
                });
            }
        });
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        *self.writer.lock()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the dead out of a chain. Without memory they stay for another time; nobody finds them any more.
    fn weed(&self, slot: &Rcu<Chain>) {
        let left = slot.read(|chain| {
            let chain = chain?;
            if chain.iter().any(|c| c.is_dead()) {
                return chains::filtered(chain, |c| !c.is_dead()).ok();
            }
            None
        });
        if let Some(left) = left {
            slot.replace(left);
        }
    }
}
