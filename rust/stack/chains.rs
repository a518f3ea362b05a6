// SPDX-License-Identifier: GPL-2.0
//! Hash tables that readers walk without a lock: what those who change them have in common.
//!
//! The table, and each chain of it, is an array that never changes once it is published through RCU. A
//! writer makes a new chain, or a table of twice the size, and publishes that; writers exclude each other
//! by a lock of their own. Chains hold two entries on average, so a new one is small.

use crate::platform::{
    AllocError,
    Arc,
    Array,
    Rcu,
    RcuBox, //
};

/// The entries whose hashes lead to the same slot.
pub(super) type Chain<T> = Array<Arc<T>>;

/// The table: a power of two of slots.
pub(super) type Slots<T> = Array<Rcu<Chain<T>>>;

/// The table of twice the size, if there are two of its `entries` for each slot. Those that have no `hash` are
/// left behind. `None` without memory, too: the old one goes on. The writer's lock is held.
///
/// Mirrors [`neigh_hash_grow`](srctree/net/core/neighbour.c)
pub(super) fn grown<T>(
    slots: &Rcu<Slots<T>>,
    entries: usize,
    hash: impl Fn(&T) -> Option<usize>,
) -> Option<RcuBox<Slots<T>>> {
    slots.read(|slots| {
        let old = slots?;
        let len = old.len().checked_mul(2)?;
        if entries <= len {
            return None;
        }
        let mut failed = false;
        let new = Array::try_from_fn(len, |i| {
            // Slot i of the new table takes its share of slot i mod len/2 of the old one.
            let from = old.get(i & old.len().wrapping_sub(1));
            let share = |e: &T| hash(e).is_some_and(|h| h & len.wrapping_sub(1) == i);
            let chain = from.map_or(Ok(None), |slot| {
                slot.read(|c| c.map_or(Ok(None), |c| filtered(c, share)))
            });
            failed |= chain.is_err();
            chain.ok().flatten().map_or(Rcu::null(), Rcu::new)
        });
        match new {
            Ok(new) if !failed => RcuBox::try_new(new).ok(),
            _ => None,
        }
    })
}

/// The chain of those entries that `keep` says, `None` if there are none.
pub(super) fn filtered<T>(
    chain: &Chain<T>,
    keep: impl Fn(&T) -> bool,
) -> Result<Option<RcuBox<Chain<T>>>, AllocError> {
    match chain.iter().filter(|e| keep(e)).count() {
        0 => Ok(None),
        n => {
            let kept = Array::try_collect(n, chain.iter().filter(|e| keep(e)).cloned())?;
            Ok(Some(RcuBox::try_new(kept)?))
        }
    }
}
