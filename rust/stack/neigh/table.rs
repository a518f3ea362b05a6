// SPDX-License-Identifier: GPL-2.0
//! All neighbours of a namespace.
//!
//! A hash table that readers walk without a lock ([`chains`]); writers exclude each other by another.
//!
//! Mirrors [`struct neigh_table`](srctree/include/net/neighbour.h)

use super::entry::{
    Neigh,
    Nud, //
};
use super::Params;
use crate::platform::{
    read_lock,
    AllocError,
    Arc,
    Array,
    Lock,
    Rcu,
    RcuBox,
    ReadGuard,
    SkbQueue, //
};
use crate::stack::chains;
use crate::stack::socket::key::jhash_3words;
use crate::stack::time::{
    Duration,
    Instant, //
};
use crate::stack::wire::ethernet;
use crate::stack::wire::ipv4;

/// Slots of an empty table: a power of two.
const MIN_SLOTS: usize = 8;
/// Slots that one new neighbour makes the garbage collection look at, at the most.
const SWEEP: usize = 64;

/// Who a neighbour is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The device it is behind.
    pub ifindex: i32,
    /// Its address.
    pub addr: ipv4::Addr,
}

impl Key {
    #[inline]
    pub(super) const fn hash(self, secret: u32) -> u32 {
        jhash_3words(self.addr.to_u32(), self.ifindex as u32, 0, secret)
    }
}

/// Why there is no neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateError {
    /// No memory.
    Nomem,
    /// As many neighbours as there may be, and none of them is garbage.
    TableFull,
}

impl From<AllocError> for CreateError {
    fn from(_: AllocError) -> Self {
        CreateError::Nomem
    }
}

type Chain<T> = chains::Chain<Neigh<T>>;

/// The table.
#[derive(Debug)]
pub struct Table<T> {
    slots: Rcu<chains::Slots<Neigh<T>>>,
    /// A random number: nobody can make neighbours collide on purpose.
    secret: u32,
    writer: Lock<Writer>,
}

/// What only writers need.
#[derive(Debug)]
struct Writer {
    entries: usize,
    /// Where the garbage collection goes on.
    hand: usize,
}

impl<T: Send + Sync + 'static> Table<T> {
    /// An empty table. `secret` is random.
    pub fn try_new(secret: u32) -> Result<Self, AllocError> {
        let slots = Array::try_from_fn(MIN_SLOTS, |_| Rcu::null())?;
        Ok(Table {
            slots: Rcu::new(RcuBox::try_new(slots)?),
            secret,
            writer: Lock::new(Writer {
                entries: 0,
                hand: 0,
            }),
        })
    }

    /// Finds a neighbour. Lock-free.
    ///
    /// Mirrors [`__ipv4_neigh_lookup`](srctree/include/net/arp.h)
    #[inline]
    pub fn lookup(&self, key: Key) -> Option<Arc<Neigh<T>>> {
        self.with(&read_lock(), key, |n| n.cloned())
    }

    /// Calls `f` with a neighbour, for who is in a read-side critical section already. Lock-free.
    ///
    /// Mirrors [`__ipv4_neigh_lookup_noref`](srctree/include/net/arp.h)
    #[inline]
    pub fn with<R>(
        &self,
        rcu: &ReadGuard,
        key: Key,
        f: impl FnOnce(Option<&Arc<Neigh<T>>>) -> R,
    ) -> R {
        let hash = key.hash(self.secret) as usize;
        self.slots.read_in(rcu, |slots| {
            let slot = slots.and_then(|s| s.get(hash & s.len().wrapping_sub(1)));
            let Some(slot) = slot else {
                return f(None);
            };
            slot.read_in(rcu, |chain| {
                let chain = chain.map_or(&[][..], |c| c);
                f(chain.iter().find(|n| n.key() == key && !n.is_dead()))
            })
        })
    }

    /// How many neighbours there are.
    pub fn len(&self) -> usize {
        self.writer.lock().entries
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Finds a neighbour or makes one. `ha` is the address of one that is never asked (see
    /// [`static_addr`](super::static_addr)), `attach` what glue attaches to a new one. `dead` gets the
    /// effects of neighbours that made room.
    ///
    /// Mirrors [`___neigh_create`](srctree/net/core/neighbour.c)
    pub fn lookup_or_create(
        &self,
        key: Key,
        ha: Option<ethernet::Addr>,
        attach: impl FnOnce() -> T,
        params: &Params,
        now: Instant,
        dead: &mut SkbQueue,
    ) -> Result<Arc<Neigh<T>>, CreateError> {
        if let Some(n) = self.lookup(key) {
            return Ok(n);
        }
        let mut writer = self.writer.lock();
        if let Some(n) = self.lookup(key) {
            return Ok(n);
        }
        if writer.entries >= params.gc_thresh2 {
            self.sweep(&mut writer, SWEEP, true, params, now, dead);
        }
        if writer.entries >= params.gc_thresh3 {
            return Err(CreateError::TableFull);
        }
        let neigh = Arc::try_new(Neigh::new(key, ha, attach(), now))?;
        self.with_slot(key, |slot| {
            let new = slot.read(|chain| {
                let old = chain.map_or(&[][..], |c| c);
                RcuBox::try_new(Array::try_concat(&[core::slice::from_ref(&neigh), old])?)
            })?;
            slot.replace(Some(new));
            Ok::<(), AllocError>(())
        })
        .unwrap_or(Err(AllocError))?;
        writer.entries += 1;
        let hash = |n: &Neigh<T>| Some(n.key().hash(self.secret) as usize);
        if let Some(new) = chains::grown(&self.slots, writer.entries, hash) {
            self.slots.replace(Some(new));
        }
        Ok(neigh)
    }

    /// Calls `f` with the slot of `key`.
    fn with_slot<R>(&self, key: Key, f: impl FnOnce(&Rcu<Chain<T>>) -> R) -> Option<R> {
        let hash = key.hash(self.secret) as usize;
        self.slots.read(|slots| {
            let slots = slots?;
            slots.get(hash & slots.len().wrapping_sub(1)).map(f)
        })
    }

    /// Kills the neighbours of a slot that are `doomed`, which gets the state and the time of its last
    /// change, and takes the dead out. Returns how many went. Without memory the dead stay for another
    /// time; nobody finds them any more.
    fn weed(
        &self,
        slot: &Rcu<Chain<T>>,
        doomed: impl Fn(&Neigh<T>, Nud, Instant) -> bool,
        dead: &mut SkbQueue,
    ) -> usize {
        let left = slot.read(|chain| {
            let chain = chain?;
            let mut gone = 0;
            for n in chain.iter() {
                if let Some(mut effects) = n.kill(|state, updated| doomed(n, state, updated)) {
                    while let Some(skb) = effects.drop.pop_front() {
                        dead.push_back(skb);
                    }
                }
                gone += usize::from(n.is_dead());
            }
            if gone == 0 {
                return None;
            }
            chains::filtered(chain, |n| !n.is_dead())
                .ok()
                .map(|kept| (kept, gone))
        });
        match left {
            Some((kept, gone)) => {
                slot.replace(kept);
                gone
            }
            None => 0,
        }
    }

    /// Looks at the next `slots` slots for garbage. The writer's lock is held.
    ///
    /// Mirrors [`neigh_forced_gc`, `neigh_periodic_work`](srctree/net/core/neighbour.c)
    fn sweep(
        &self,
        writer: &mut Writer,
        slots: usize,
        forced: bool,
        params: &Params,
        now: Instant,
        dead: &mut SkbQueue,
    ) {
        let doomed = |n: &Neigh<T>, state: Nud, updated: Instant| match state {
            Nud::Permanent => false,
            Nud::Failed => true,
            // Room is needed: whatever has not changed for a while goes.
            _ if forced => now.since(updated) >= Duration::from_secs(5),
            _ if state.in_timer() => false,
            _ => now.since(n.used()) >= params.gc_staletime,
        };
        self.slots.read(|all| {
            let Some(all) = all else {
                return;
            };
            for _ in 0..slots.min(all.len()) {
                writer.hand = writer.hand.wrapping_add(1) & all.len().wrapping_sub(1);
                if let Some(slot) = all.get(writer.hand) {
                    let gone = self.weed(slot, doomed, dead);
                    writer.entries = writer.entries.saturating_sub(gone);
                }
            }
        });
    }

    /// The periodic garbage collection: looks at a part of the table. To be called now and then, say
    /// every few seconds; `dead` gets the packets that waited.
    ///
    /// Mirrors [`neigh_periodic_work`](srctree/net/core/neighbour.c)
    pub fn gc(&self, params: &Params, now: Instant, dead: &mut SkbQueue) {
        let mut writer = self.writer.lock();
        if writer.entries >= params.gc_thresh1 {
            self.sweep(&mut writer, SWEEP, false, params, now, dead);
        }
    }

    /// Removes the neighbours behind a device that goes away or goes down, or all of them (0); permanent
    /// ones, too, if `all`.
    ///
    /// Mirrors [`neigh_ifdown`, `neigh_flush_dev`](srctree/net/core/neighbour.c)
    pub fn flush(&self, ifindex: i32, all: bool, dead: &mut SkbQueue) {
        let mut writer = self.writer.lock();
        self.slots.read(|slots| {
            for slot in slots.into_iter().flat_map(|s| s.iter()) {
                let doomed = |n: &Neigh<T>, state, _| {
                    (ifindex == 0 || n.key().ifindex == ifindex) && (all || state != Nud::Permanent)
                };
                let gone = self.weed(slot, doomed, dead);
                writer.entries = writer.entries.saturating_sub(gone);
            }
        });
    }

    /// Calls `f` with each neighbour, in no order, until it says `false`. Lock-free; neighbours that
    /// come or go meanwhile may be missed or met.
    pub fn for_each(&self, mut f: impl FnMut(&Arc<Neigh<T>>) -> bool) {
        self.slots.read(|slots| {
            for slot in slots.into_iter().flat_map(|s| s.iter()) {
                let more = slot.read(|chain| {
                    chain
                        .into_iter()
                        .flat_map(|c| c.iter())
                        .all(|n| n.is_dead() || f(n))
                });
                if !more {
                    return;
                }
            }
        });
    }
}

#[cfg(test)]
mod tests;
