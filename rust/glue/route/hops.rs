// SPDX-License-Identifier: GPL-2.0
//! The next hops of a namespace that are in use, and what packets carry of them.

use crate::{
    abstractions::{
        dst::{
            self,
            Dst, //
        },
        lock::Lock,
        memory::{
            Arc,
            Array, //
        },
        netdevice::NetDevice,
        netns::Net,
        rcu::{
            Rcu,
            RcuBox,
            ReadGuard, //
        },
    },
    stack::{
        errno::Errno,
        ip::route, //
    },
};

/// What tells one next hop from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    oif: u32,
    gateway: u32,
    rtn: u8,
}

/// A route that packets carry, shared.
struct Hop {
    key: Key,
    dst: Dst,
}

/// The next hops of a namespace that are in use, in the order of their keys: read without a lock,
/// copied to be changed. There are few: one for each gateway, and one for each device's own link.
pub(crate) struct Hops {
    current: Rcu<Array<Arc<Hop>>>,
    /// Held by writers.
    writer: Lock<()>,
}

impl Hops {
    pub(in crate::glue) fn new() -> Self {
        Hops {
            current: Rcu::null(),
            writer: Lock::new(()),
        }
    }

    #[inline]
    fn find<'a>(hops: Option<&'a Array<Arc<Hop>>>, key: &Key) -> Result<&'a Dst, usize> {
        let hops = hops.map_or(&[][..], |a| a);
        let at = hops.binary_search_by_key(key, |h| h.key)?;
        match hops.get(at) {
            Some(hop) if !hop.dst.is_dead() => Ok(&hop.dst),
            _ => Err(at),
        }
    }

    /// Calls `f` with the route of a next hop, made if it is not there. Atomic.
    ///
    /// Errors: ENODEV and ENETUNREACH for a device that is not there or down; ENOBUFS when there is no memory.
    #[inline]
    pub(super) fn with<R>(
        &self,
        net: &Net,
        key: Key,
        flags: u32,
        rcu: &ReadGuard,
        f: impl FnOnce(Result<&Dst, Errno>) -> R,
    ) -> R {
        self.current.read_in(rcu, |hops| {
            let made;
            f(match Self::find(hops, &key) {
                // The route keeps its device: none is looked up.
                Ok(dst) if dst.dev(rcu).is_up() => Ok(dst),
                Ok(_) => Err(Errno::ENETUNREACH),
                Err(_) => {
                    made = self.create(net, key, flags, rcu);
                    made.as_ref().map_err(|e| *e)
                }
            })
        })
    }

    #[cold]
    fn create(&self, net: &Net, key: Key, flags: u32, rcu: &ReadGuard) -> Result<Dst, Errno> {
        let dev = NetDevice::by_index(net, key.oif, rcu).ok_or(Errno::ENODEV)?;
        match dev.is_up() {
            true => self.add(dev, key, flags).ok_or(Errno::ENOBUFS),
            false => Err(Errno::ENETUNREACH),
        }
    }

    /// `None` when there is no memory.
    fn add(&self, dev: &NetDevice, key: Key, flags: u32) -> Option<Dst> {
        let guard = self.writer.lock();
        // Somebody may have been faster.
        let at = match self.current.read(|hops| Self::find(hops, &key).cloned()) {
            Ok(dst) => return Some(dst),
            Err(at) => at,
        };
        let kind = dst::Kind {
            rtn: key.rtn,
            flags,
            gateway: key.gateway,
        };
        let dst = Dst::alloc(dev, kind)?;
        let hop = Arc::try_new(Hop {
            key,
            dst: dst.clone(),
        })
        .ok()?;
        let new = self.current.read(|hops| {
            let (before, after) = hops.map_or(&[][..], |a| a).split_at_checked(at)?;
            let replaces = after.first().is_some_and(|h| h.key == key);
            let after = after.get(usize::from(replaces)..)?;
            Array::try_concat(&[before, &[hop], after]).ok()
        })?;
        self.current.replace(Some(RcuBox::try_new(new).ok()?));
        drop(guard);
        Some(dst)
    }

    /// The device goes away: its next hops let go of it. Process context.
    pub(in crate::glue) fn flush(&self, ifindex: u32) {
        let _guard = self.writer.lock();
        self.current.read(|hops| {
            let hops = hops.map_or(&[][..], |a| a);
            let from = hops.partition_point(|h| h.key.oif < ifindex);
            for hop in hops.iter().skip(from).take_while(|h| h.key.oif == ifindex) {
                if !hop.dst.is_dead() {
                    hop.dst.dev_put();
                }
            }
        });
    }

    /// Forgets everything: the namespace goes away.
    pub(in crate::glue) fn clear(&self) {
        let _guard = self.writer.lock();
        self.current.replace(None);
    }
}

impl Key {
    /// The next hop that a route leads to.
    #[inline]
    pub(super) fn of(info: &route::Dst) -> Key {
        Key {
            oif: info.oif as u32,
            gateway: match info.via_gateway {
                true => info.next_hop.to_u32(),
                false => 0,
            },
            rtn: info.kind as u8,
        }
    }
}
