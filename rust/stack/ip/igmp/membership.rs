// SPDX-License-Identifier: GPL-2.0
//! The groups of one socket.
//!
//! A list that never changes once it is published: whoever changes it, under the RTNL, makes a new one; each received
//! packet to a group looks there, without a lock, for whether this socket wants it. A group's entry is known by group
//! and device; its filter names the sources that are wanted, or those that are not.
//!
//! Mirrors [`struct ip_mc_socklist`, `struct ip_sf_socklist`](srctree/include/linux/igmp.h)

use crate::platform::{
    AllocError,
    Arc,
    Array,
    Rcu,
    RcuBox, //
};
use crate::stack::errno::Errno;
use crate::stack::wire::ipv4::Addr;

/// Whose packets to a group a socket wants.
#[derive(Debug)]
pub struct Filter {
    excludes: bool,
    /// In ascending order, no two alike.
    sources: Array<Addr>,
}

impl Filter {
    /// All sources but these, or only these.
    pub fn new(excludes: bool, sources: &[Addr]) -> Result<Filter, AllocError> {
        let mut all = Array::try_concat(&[sources])?;
        all.sort_unstable();
        let each_once = all.chunk_by(|a, b| a == b).filter_map(|c| c.first());
        Ok(Filter {
            excludes,
            sources: Array::try_collect(all.len(), each_once.copied())?,
        })
    }

    /// Whether it names those that are not wanted.
    #[inline]
    pub fn excludes(&self) -> bool {
        self.excludes
    }

    /// Those that it names, in ascending order.
    #[inline]
    pub fn sources(&self) -> &[Addr] {
        &self.sources
    }

    /// Whether packets of a source are wanted.
    #[inline]
    pub fn allows(&self, source: Addr) -> bool {
        self.sources.binary_search(&source).is_ok() != self.excludes
    }

    /// The filter that names `source`, too, but no more than `most`.
    ///
    /// # Errors
    ///
    /// ENOBUFS, EADDRNOTAVAIL if it is named already, ENOMEM.
    pub fn adding(&self, source: Addr, most: usize) -> Result<Filter, Errno> {
        if self.sources.len() >= most {
            return Err(Errno::ENOBUFS);
        }
        let Err(at) = self.sources.binary_search(&source) else {
            return Err(Errno::EADDRNOTAVAIL);
        };
        let (before, after) = self.sources.split_at_checked(at).unwrap_or_default();
        let sources = Array::try_concat(&[before, &[source], after]);
        Ok(Filter {
            excludes: self.excludes,
            sources: sources.map_err(|_| Errno::ENOMEM)?,
        })
    }

    /// The filter that does not name `source`.
    ///
    /// # Errors
    ///
    /// EADDRNOTAVAIL if it is not named, ENOMEM.
    pub fn without(&self, source: Addr) -> Result<Filter, Errno> {
        let at = self.sources.binary_search(&source);
        let at = at.map_err(|_| Errno::EADDRNOTAVAIL)?;
        let (before, after) = self.sources.split_at_checked(at).unwrap_or_default();
        let sources = Array::try_concat(&[before, after.get(1..).unwrap_or_default()]);
        Ok(Filter {
            excludes: self.excludes,
            sources: sources.map_err(|_| Errno::ENOMEM)?,
        })
    }
}

/// A group that a socket has joined by a device, which `D` stands for.
#[derive(Debug)]
pub struct Joined<D> {
    /// The group.
    pub group: Addr,
    /// The number of the device.
    pub ifindex: i32,
    /// The address by which the user named the device, if he did.
    pub address: Addr,
    /// Whose packets are wanted.
    pub filter: Filter,
    /// The device.
    pub device: D,
}

type List<D> = Array<Arc<Joined<D>>>;

/// The groups of a socket. They are changed under the RTNL.
#[derive(Debug)]
pub struct Memberships<D>(Rcu<List<D>>);

impl<D> Default for Memberships<D> {
    fn default() -> Self {
        Memberships(Rcu::null())
    }
}

impl<D: Send + Sync + 'static> Memberships<D> {
    /// Whether the socket wants what `saddr` sent to the group `daddr` and what came in by the device; `None` if it is
    /// not in the group there. Without a lock, in any context.
    ///
    /// Mirrors [`ip_mc_sf_allow`](srctree/net/ipv4/igmp.c)
    #[inline]
    pub fn allows(&self, daddr: Addr, saddr: Addr, ifindex: i32) -> Option<bool> {
        self.0.read(|list| {
            let of = |j: &&Arc<Joined<D>>| j.group == daddr && j.ifindex == ifindex;
            Some(list?.iter().find(of)?.filter.allows(saddr))
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.read(|list| list.map_or(0, |l| l.len()))
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.read(|list| list.is_none())
    }

    /// The first entry that `which` says. Under the RTNL.
    pub fn find(&self, which: impl Fn(&Joined<D>) -> bool) -> Option<Arc<Joined<D>>> {
        self.0.read(|list| list?.iter().find(|j| which(j)).cloned())
    }

    /// One of the entries, as they are now. Under the RTNL.
    pub fn nth(&self, n: usize) -> Option<Arc<Joined<D>>> {
        self.0.read(|list| list?.get(n).cloned())
    }

    /// The socket is in no group any more. Under the RTNL.
    pub fn clear(&self) {
        self.0.replace(None);
    }

    /// What the list will be with `new` instead of `old`. Under the RTNL.
    pub fn prepare(
        &self,
        old: Option<&Arc<Joined<D>>>,
        new: Option<Arc<Joined<D>>>,
    ) -> Result<Prepared<D>, AllocError> {
        self.0.read(|list| {
            let kept = list.map_or(&[][..], |l| l);
            let kept = kept
                .iter()
                .filter(|j| old.is_none_or(|old| !Arc::ptr_eq(j, old)));
            let n = kept.clone().count().saturating_add(new.iter().count());
            if n == 0 {
                return Ok(Prepared(None));
            }
            let list = Array::try_collect(n, new.into_iter().chain(kept.cloned()))?;
            Ok(Prepared(Some(RcuBox::try_new(list)?)))
        })
    }

    /// Publishes the list. Under the RTNL, not left since it was prepared.
    pub fn publish(&self, list: Prepared<D>) {
        self.0.replace(list.0);
    }
}

/// A list that is not published yet.
pub struct Prepared<D>(Option<RcuBox<List<D>>>);

#[cfg(test)]
mod tests {
    use super::*;

    fn a(n: u8) -> Addr {
        Addr::new(10, 0, 0, n)
    }

    #[test]
    fn filter__names_each_once_and_says_whom_it_wants() {
        let f = Filter::new(true, &[a(3), a(1), a(3), a(2), a(1)]).unwrap();
        assert_eq!(f.sources(), [a(1), a(2), a(3)]);
        assert!(!f.allows(a(2)) && f.allows(a(4)));
        let f = Filter::new(false, &[a(2)]).unwrap();
        assert!(f.allows(a(2)) && !f.allows(a(4)));
        let none = Filter::new(false, &[]).unwrap();
        assert!(!none.allows(a(1)));
    }

    #[test]
    fn filter__errors_of_adding_and_taking_away() {
        let f = Filter::new(true, &[a(1), a(3)]).unwrap();
        assert_eq!(f.adding(a(2), 3).unwrap().sources(), [a(1), a(2), a(3)]);
        assert_eq!(f.adding(a(3), 3).unwrap_err(), Errno::EADDRNOTAVAIL);
        assert_eq!(f.adding(a(2), 2).unwrap_err(), Errno::ENOBUFS);
        assert_eq!(f.without(a(1)).unwrap().sources(), [a(3)]);
        assert_eq!(f.without(a(2)).unwrap_err(), Errno::EADDRNOTAVAIL);
        assert_eq!(f.sources(), [a(1), a(3)]);
    }

    #[test]
    fn memberships__by_group_and_device() {
        let m = Memberships::<()>::default();
        let g = Addr::new(239, 0, 0, 1);
        let join = |ifindex, excludes| {
            let new = Joined {
                group: g,
                ifindex,
                address: Addr::ANY,
                filter: Filter::new(excludes, &[a(1)]).unwrap(),
                device: (),
            };
            let new = Arc::try_new(new).unwrap();
            m.publish(m.prepare(None, Some(new.clone())).unwrap());
            new
        };
        assert_eq!((m.allows(g, a(1), 2), m.is_empty()), (None, true));
        let (one, two) = (join(2, true), join(3, false));
        assert_eq!(m.allows(g, a(1), 2), Some(false));
        assert_eq!(m.allows(g, a(1), 3), Some(true));
        assert_eq!(m.allows(g, a(1), 4), None);
        m.publish(m.prepare(Some(&one), None).unwrap());
        assert_eq!((m.allows(g, a(1), 2), m.len()), (None, 1));
        m.publish(m.prepare(Some(&two), None).unwrap());
        assert!(m.is_empty());
    }
}
