// SPDX-License-Identifier: GPL-2.0
//! What was learned of single destinations: a narrower path (RFC 1191), a better first hop (a redirect).
//!
//! An exception belongs to a destination *by a next hop*: another route to the same destination knows
//! nothing of it. Whoever can quote a packet of ours can make one, so there are never more than a
//! bucket's depth times the buckets; the one that was touched longest ago goes, and how deep a bucket is
//! allowed to be is drawn by lot, so that nobody learns from a missing exception what else is there.
//!
//! Readers take no lock. The memory comes with the first exception.
//!
//! Mirrors [`struct fib_nh_exception`, `update_or_create_fnhe`](srctree/net/ipv4/route.c)

use super::Dst;
use crate::platform::{
    AllocError,
    Array,
    Lock,
    Rcu,
    RcuBox, //
};
use crate::stack::socket::key::jhash_3words;
use crate::stack::time::Instant;
use crate::stack::wire::ipv4::Addr;
use core::sync::atomic::{
    AtomicBool,
    Ordering, //
};

/// Buckets, a power of two.
const BUCKETS: usize = 1 << 10;
/// Exceptions that a bucket holds before the oldest may go.
const RECLAIM_DEPTH: usize = 5;

/// The next hop that an exception belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via {
    /// The device that the route names.
    pub oif: i32,
    /// The route's gateway, [`Addr::ANY`] if there is none.
    pub gateway: Addr,
}

impl Via {
    /// The next hop of a route as the tables say it.
    #[inline]
    pub fn of(dst: &Dst) -> Via {
        Via {
            oif: dst.route_oif,
            gateway: if dst.via_gateway {
                dst.next_hop
            } else {
                Addr::ANY
            },
        }
    }
}

/// The MTU of a path, learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pmtu {
    /// The largest packet, IP header included, in bytes.
    pub mtu: u32,
    /// The path is narrower than anybody may make us believe: packets of `mtu` bytes go without DF
    /// (`min_pmtu`).
    pub locked: bool,
    /// Until when it is believed.
    pub expires: Instant,
}

/// What is known of one destination.
#[derive(Clone, Copy, Debug)]
struct Exception {
    daddr: Addr,
    via: Via,
    /// The era in which it was learned; it ends when somebody flushes everything.
    era: u32,
    pmtu: Option<Pmtu>,
    /// The better gateway, and until when.
    redirect: Option<(Addr, Instant)>,
    /// When it was last touched.
    stamp: Instant,
}

impl Exception {
    fn is_for(&self, daddr: Addr, via: &Via) -> bool {
        self.daddr == daddr && self.via == *via
    }
}

/// What applies to the packets of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The path's MTU.
    pub pmtu: Option<Pmtu>,
    /// The gateway to use in place of the route's.
    pub gateway: Option<Addr>,
}

type Bucket = Rcu<Array<Exception>>;

/// The exceptions of a namespace.
#[derive(Debug)]
pub struct Exceptions {
    buckets: Rcu<Array<Bucket>>,
    /// Whether there may be any: saves most look-ups.
    any: AtomicBool,
    /// Held by writers.
    writer: Lock<()>,
    secret: u32,
}

impl Exceptions {
    /// None yet. `secret` keeps others from filling one bucket.
    pub fn new(secret: u32) -> Exceptions {
        Exceptions {
            buckets: Rcu::null(),
            any: AtomicBool::new(false),
            writer: Lock::new(()),
            secret,
        }
    }

    fn index(&self, daddr: Addr) -> usize {
        jhash_3words(daddr.to_u32(), 0, 0, self.secret) as usize & (BUCKETS - 1)
    }

    /// What was learned of `daddr` by the next hop `via`, in this `era`, and is still believed. The clock is asked only
    /// if there is anything at all.
    ///
    /// Context: any, lock-free. Mirrors [`find_exception`](srctree/net/ipv4/route.c)
    #[inline]
    pub fn find(&self, daddr: Addr, via: &Via, era: u32, now: impl FnOnce() -> Instant) -> Found {
        if !self.any.load(Ordering::Relaxed) {
            return Found::default();
        }
        self.find_slow(daddr, via, era, now())
    }

    #[cold]
    fn find_slow(&self, daddr: Addr, via: &Via, era: u32, now: Instant) -> Found {
        self.read(daddr, |list| {
            let Some(e) = list.iter().find(|e| e.is_for(daddr, via) && e.era == era) else {
                return Found::default();
            };
            Found {
                pmtu: e.pmtu.filter(|p| p.expires > now),
                gateway: e.redirect.and_then(|(gw, till)| (till > now).then_some(gw)),
            }
        })
    }

    fn read<R>(&self, daddr: Addr, f: impl FnOnce(&[Exception]) -> R) -> R {
        let index = self.index(daddr);
        self.buckets.read(|b| match b.and_then(|b| b.get(index)) {
            Some(bucket) => bucket.read(|list| f(list.map_or(&[][..], |l| l))),
            None => f(&[]),
        })
    }

    /// The path to `daddr` is narrower by this next hop. `random` decides how many may stand beside it.
    ///
    /// Context: any that does not sleep. Mirrors [`update_or_create_fnhe`](srctree/net/ipv4/route.c)
    pub fn set_pmtu(
        &self,
        daddr: Addr,
        via: &Via,
        era: u32,
        pmtu: Pmtu,
        random: u32,
        now: Instant,
    ) -> Result<(), AllocError> {
        self.update(daddr, via, era, random, now, |e| e.pmtu = Some(pmtu))
    }

    /// Packets to `daddr` had better go to `gateway` than to this next hop, until `expires`.
    ///
    /// Context: any that does not sleep.
    pub fn set_redirect(
        &self,
        daddr: Addr,
        via: &Via,
        era: u32,
        redirect: (Addr, Instant),
        random: u32,
        now: Instant,
    ) -> Result<(), AllocError> {
        self.update(daddr, via, era, random, now, |e| {
            e.redirect = Some(redirect);
        })
    }

    fn update(
        &self,
        daddr: Addr,
        via: &Via,
        era: u32,
        random: u32,
        now: Instant,
        change: impl FnOnce(&mut Exception),
    ) -> Result<(), AllocError> {
        let guard = self.writer.lock();
        if self.buckets.read(|b| b.is_none()) {
            let buckets = Array::try_from_fn(BUCKETS, |_| Bucket::null())?;
            self.buckets.replace(Some(RcuBox::try_new(buckets)?));
        }
        let index = self.index(daddr);
        let depth = RECLAIM_DEPTH + random as usize % RECLAIM_DEPTH;
        let done = self.buckets.read(|b| {
            let bucket = b.and_then(|b| b.get(index)).ok_or(AllocError)?;
            let new = bucket.read(|list| {
                let list = list.map_or(&[][..], |l| l);
                let old = list.iter().find(|e| e.is_for(daddr, via));
                let mut new = match old.filter(|e| e.era == era) {
                    Some(e) => *e,
                    None => Exception {
                        daddr,
                        via: *via,
                        era,
                        pmtu: None,
                        redirect: None,
                        stamp: now,
                    },
                };
                change(&mut new);
                new.stamp = now;
                // The youngest first: whoever is too deep is the oldest.
                let rest = list.iter().filter(|e| !e.is_for(daddr, via)).take(depth);
                Array::try_collect(depth + 1, core::iter::once(new).chain(rest.copied()))
            })?;
            bucket.replace(Some(RcuBox::try_new(new)?));
            Ok(())
        });
        if done.is_ok() {
            self.any.store(true, Ordering::Relaxed);
        }
        drop(guard);
        done
    }

    /// Rewrites every exception for which `keep` says so, and forgets the others.
    fn retain(&self, mut keep: impl FnMut(&mut Exception) -> bool) {
        if !self.any.load(Ordering::Relaxed) {
            return;
        }
        let guard = self.writer.lock();
        let mut left = false;
        self.buckets.read(|b| {
            for bucket in b.into_iter().flat_map(|b| b.iter()) {
                let new = bucket.read(|list| {
                    let list = list?;
                    let kept = list.iter().filter_map(|e| {
                        let mut e = *e;
                        keep(&mut e).then_some(e)
                    });
                    Some(Array::try_collect(list.len(), kept).and_then(RcuBox::try_new))
                });
                match new {
                    Some(Ok(new)) if !new.is_empty() => {
                        left = true;
                        bucket.replace(Some(new));
                    }
                    // Without memory for what would stay nothing stays: it is learned again.
                    Some(_) => bucket.replace(None),
                    None => (),
                }
            }
        });
        self.any.store(left, Ordering::Relaxed);
        drop(guard);
    }

    /// The route to `prefix` changed: what was learned of its destinations belongs to the old one.
    pub fn forget(&self, prefix: Addr, len: u8) {
        let mask = match len {
            0 => 0,
            n => u32::MAX << (32 - u32::from(n.min(32))),
        };
        self.retain(|e| (e.daddr.to_u32() ^ prefix.to_u32()) & mask != 0);
    }

    /// The MTU of the device `oif` went from `old` to `new` bytes. A narrower device narrows what was
    /// learned; where the device itself was the narrowest place, a wider one widens it.
    ///
    /// Mirrors [`fnhe_update_pmtu`](srctree/net/ipv4/fib_semantics.c)
    pub fn sync_mtu(&self, oif: i32, new: u32, old: u32) {
        self.retain(|e| {
            if let Some(p) = e.pmtu.as_mut().filter(|_| e.via.oif == oif) {
                if p.locked {
                    if new <= p.mtu {
                        p.mtu = new;
                        p.locked = false;
                    }
                } else if new < p.mtu || old == p.mtu {
                    p.mtu = new;
                }
            }
            true
        });
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.retain(|_| false);
    }
}

/// What to believe when somebody says that the path's MTU is `mtu` where `old` was believed until now;
/// `None` if nothing changes. `min_pmtu` is the smallest MTU that a stranger may talk us into.
///
/// RFC 1191, 3: an MTU is only ever lowered by a message. Mirrors
/// [`__ip_rt_update_pmtu`](srctree/net/ipv4/route.c)
pub fn lowered(
    old: u32,
    known: Option<Pmtu>,
    mtu: u32,
    min_pmtu: u32,
    lifetime: crate::stack::time::Duration,
    now: Instant,
) -> Option<Pmtu> {
    if known.is_some_and(|p| p.locked) || old < mtu {
        return None;
    }
    let locked = mtu < min_pmtu;
    let mtu = if locked { old.min(min_pmtu) } else { mtu };
    let half = crate::stack::time::Duration::from_nanos(lifetime.as_nanos() / 2);
    if !locked && known.is_some_and(|p| p.mtu == mtu && p.expires.since(now) > half) {
        return None;
    }
    Some(Pmtu {
        mtu,
        locked,
        expires: now.plus(lifetime),
    })
}

#[cfg(test)]
mod tests;
