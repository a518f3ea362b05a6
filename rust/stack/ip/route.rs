// SPDX-License-Identifier: GPL-2.0
//! Where a packet goes: the forwarding information base.
//!
//! [`Fib`] holds one version of everything (tables of prefixes, rules) behind an RCU pointer. A
//! look-up reads it without a lock and gives a [`Dst`], a plain value that a socket keeps as long as
//! [`Fib::genid`] stays what it was. A change makes a new version that shares nearly all with the old
//! one (see [`trie`]); writers exclude each other by a lock that no reader knows.
//!
//! The base is a mirror: the host's routes are the truth, and glue copies them here as notifications
//! come. Changes may come in atomic context, so nothing here sleeps; one that fails for want of memory
//! changes nothing, and the mirror must be filled anew.
//!
//! Mirrors [`fib_lookup`](srctree/include/net/ip_fib.h),
//! [`ip_route_output_key_hash_rcu`](srctree/net/ipv4/route.c)

mod alias;
mod dst;

pub mod exception;

pub mod metrics;

pub mod rule;

pub mod trie;

pub use self::alias::{
    Alias,
    Kind,
    Scope, //
};
pub use self::dst::{
    Dst,
    Flow, //
};
use self::rule::{
    Action,
    Rule, //
};
use self::trie::Trie;
use crate::platform::{
    read_lock,
    AllocError,
    Arc,
    Array,
    Lock,
    Rcu,
    RcuBox,
    ReadGuard, //
};
use crate::stack::errno::Errno;
use crate::stack::socket::key::jhash_3words;
use crate::stack::wire::ipv4::Addr;
use core::sync::atomic::{
    AtomicU32,
    Ordering, //
};

/// The table of local addresses and broadcasts.
pub const TABLE_LOCAL: u32 = 255;
/// The table of ordinary routes.
pub const TABLE_MAIN: u32 = 254;
/// The table of last resort.
pub const TABLE_DEFAULT: u32 = 253;
/// The loopback device's number in every namespace.
pub const LOOPBACK_IFINDEX: i32 = 1;

/// The routes of a prefix in the order in which they are asked. Prefixes share them.
type Aliases = Arc<Array<Alias>>;

/// Lists of routes that were made lately. A router has many prefixes and few next hops, so most lists are there already
/// when they are needed: a prefix then costs nodes of the trie alone.
#[derive(Debug, Default)]
struct Recent([Option<Aliases>; 16]);

impl Recent {
    /// The list as one that can be shared.
    fn share(&mut self, list: Array<Alias>) -> Result<Aliases, AllocError> {
        let hash = list.iter().fold(0u32, |h, a| {
            jhash_3words(a.gateway.to_u32(), a.oif as u32, u32::from(a.kind as u8), h)
        });
        let Some(slot) = self.0.get_mut(hash as usize % 16) else {
            return Arc::try_new(list);
        };
        if let Some(known) = slot.as_ref().filter(|known| known[..] == list[..]) {
            return Ok(known.clone());
        }
        let new = Arc::try_new(list)?;
        *slot = Some(new.clone());
        Ok(new)
    }
}

/// A table of prefixes.
#[derive(Clone, Debug)]
struct Table {
    id: u32,
    trie: Trie<Aliases>,
}

/// One version of everything.
#[derive(Debug)]
struct Version {
    /// In the order of their numbers.
    tables: Arc<Array<Table>>,
    /// In the order of their preference.
    rules: Arc<Array<Rule>>,
    /// Whether they are others than those that are there when nobody makes any.
    has_custom_rules: bool,
}

impl Version {
    fn table(&self, id: u32) -> Option<&Table> {
        self.tables
            .binary_search_by_key(&id, |t| t.id)
            .ok()
            .and_then(|i| self.tables.get(i))
    }

    /// Asks the rules, and the tables they name. Where nobody made rules, those are three, and their numbers fall.
    ///
    /// Mirrors [`fib_lookup`](srctree/include/net/ip_fib.h)
    #[inline]
    fn lookup(&self, flow: &Flow) -> Result<(u8, &Alias), Errno> {
        if self.has_custom_rules {
            return self.lookup_rules(flow);
        }
        let end = self.tables.partition_point(|t| t.id <= TABLE_LOCAL);
        let usual = self.tables.get(..end).unwrap_or(&[]);
        for t in usual.iter().rev().take_while(|t| t.id >= TABLE_DEFAULT) {
            match t.lookup(flow) {
                Err(Errno::EAGAIN) => (),
                result => return result,
            }
        }
        Err(Errno::ENETUNREACH)
    }

    /// Mirrors [`__fib_lookup`](srctree/net/ipv4/fib_rules.c)
    fn lookup_rules(&self, flow: &Flow) -> Result<(u8, &Alias), Errno> {
        for rule in self.rules.iter().filter(|r| r.matches(flow)) {
            let Action::Table(id) = rule.action else {
                return Err(rule.action.error().unwrap_or(Errno::ENETUNREACH));
            };
            match self
                .table(id)
                .map_or(Err(Errno::EAGAIN), |t| t.lookup(flow))
            {
                Ok((len, _)) if i16::from(len) <= i16::from(rule.suppress_prefixlen) => (),
                Err(Errno::EAGAIN) => (),
                result => return result,
            }
        }
        Err(Errno::ENETUNREACH)
    }
}

impl Table {
    /// The best route of this table. EAGAIN: none, ask the next rule.
    ///
    /// Mirrors [`fib_table_lookup`](srctree/net/ipv4/fib_trie.c)
    #[inline]
    fn lookup(&self, flow: &Flow) -> Result<(u8, &Alias), Errno> {
        let mut found = self.trie.longest(flow.daddr);
        // Backtracks to shorter prefixes as long as none of the routes of the longer ones will do:
        // 33 rounds at the most, and all but always one.
        while let Some((len, aliases)) = found {
            if let Some(alias) = aliases.iter().find(|a| a.matches(flow)) {
                return match alias.kind.error() {
                    Some(e) => Err(e),
                    None => Ok((len, alias)),
                };
            }
            found = match len.checked_sub(1) {
                Some(shorter) => self.trie.longest_within(flow.daddr, shorter),
                None => None,
            };
        }
        Err(Errno::EAGAIN)
    }
}

/// The forwarding information base of a namespace.
#[derive(Debug)]
pub struct Fib {
    current: Rcu<Version>,
    /// Held by writers; readers never take it.
    writer: Lock<Recent>,
    genid: AtomicU32,
}

/// The rules of a namespace in which nobody made any.
const DEFAULT_RULES: [Rule; 3] = [
    Rule::all(0, TABLE_LOCAL),
    Rule::all(32_766, TABLE_MAIN),
    Rule::all(32_767, TABLE_DEFAULT),
];

impl Fib {
    /// An empty base with the default rules.
    pub fn try_new() -> Result<Fib, AllocError> {
        let version = Version {
            tables: Arc::try_new(Array::try_concat(&[])?)?,
            rules: Arc::try_new(Array::try_concat(&[&DEFAULT_RULES])?)?,
            has_custom_rules: false,
        };
        Ok(Fib {
            current: Rcu::new(RcuBox::try_new(version)?),
            writer: Lock::new(Recent::default()),
            genid: AtomicU32::new(1),
        })
    }

    /// The number of the current version: a [`Dst`] with another one must be looked up again.
    #[inline]
    pub fn genid(&self) -> u32 {
        self.genid.load(Ordering::Acquire)
    }

    /// Outdates every [`Dst`], for something changed that the base does not hold: an address, a link.
    ///
    /// Mirrors [`rt_genid_bump_ipv4`](srctree/include/net/net_namespace.h)
    #[inline]
    pub fn bump(&self) {
        self.genid.fetch_add(1, Ordering::Release);
    }

    /// What rules and tables say of a flow, with nothing added.
    ///
    /// Mirrors [`fib_lookup`](srctree/include/net/ip_fib.h)
    ///
    /// Errors: ENETUNREACH, or those of a rule or route that says no: EHOSTUNREACH, EACCES, EINVAL.
    /// Context: any, lock-free.
    #[inline]
    pub fn lookup(&self, flow: &Flow) -> Result<Dst, Errno> {
        // Read before the version, so that a change in between outdates the answer.
        let genid = self.genid();
        let (_, alias) = self.lookup_alias_in(&read_lock(), flow)?;
        Ok(Dst::new(flow, &alias, genid))
    }

    /// The route that rules and tables choose, and the length of its prefix.
    #[inline]
    fn lookup_alias_in(&self, rcu: &ReadGuard, flow: &Flow) -> Result<(u8, Alias), Errno> {
        self.current.read_in(rcu, |v| match v {
            Some(v) => v.lookup(flow).map(|(len, alias)| (len, *alias)),
            None => Err(Errno::ENETUNREACH),
        })
    }

    /// Where a packet goes that came in: to this host, if the answer's kind says that, or on.
    ///
    /// Mirrors [`ip_route_input_slow`](srctree/net/ipv4/route.c), the part behind the checks of the addresses
    ///
    /// Errors: those of [`Fib::lookup`] and of [`Dst::input`].
    #[inline]
    pub fn route_input(&self, rcu: &ReadGuard, flow: &Flow) -> Result<Dst, Errno> {
        let genid = self.genid();
        self.current.read_in(rcu, |v| match v {
            Some(v) => v
                .lookup(flow)
                .and_then(|(_, alias)| Dst::input(flow, alias, genid)),
            None => Err(Errno::ENETUNREACH),
        })
    }

    /// The way of a packet of ours. The flow's source, if it has one, is known to be an address of
    /// this host, and its device, if it has one, to be up.
    ///
    /// Mirrors [`ip_route_output_key_hash_rcu`, `__mkroute_output`](srctree/net/ipv4/route.c)
    ///
    /// Errors: those of [`Fib::lookup`]; EINVAL for a source or destination that cannot be one.
    pub fn route_output(&self, flow: &Flow) -> Result<Dst, Errno> {
        self.route_output_in(&read_lock(), flow)
    }

    /// The same for who is in a read-side critical section already.
    #[inline]
    pub fn route_output_in(&self, rcu: &ReadGuard, flow: &Flow) -> Result<Dst, Errno> {
        self.route_output_with(flow, |flow| self.lookup_alias_in(rcu, flow))
    }

    /// The same where the mirror does not know enough: `lookup` asks somebody who does, and gives the length
    /// of the route's prefix, too.
    #[inline]
    pub fn route_output_with(
        &self,
        flow: &Flow,
        lookup: impl FnOnce(&Flow) -> Result<(u8, Alias), Errno>,
    ) -> Result<Dst, Errno> {
        let genid = self.genid();
        if flow.saddr.is_multicast() || flow.saddr.is_broadcast() {
            return Err(Errno::EINVAL);
        }
        let mut flow = *flow;
        let on_link = |kind, flow: &Flow| Dst {
            kind,
            oif: flow.oif,
            route_oif: flow.oif,
            next_hop: flow.daddr,
            via_gateway: false,
            src: flow.saddr,
            scope: Scope::LINK,
            mtu: 0,
            mtu_locked: false,
            has_metrics: false,
            genid,
        };
        if flow.oif != 0 {
            // 224.0.0.0/24 never leaves the link (RFC 5771, 4): no route is asked.
            if flow.daddr.is_broadcast() {
                return Ok(on_link(Kind::Broadcast, &flow));
            }
            if flow.daddr.is_local_multicast() {
                return Ok(on_link(Kind::Multicast, &flow));
            }
        }
        if flow.daddr.is_any() {
            // Connecting to "any" connects to this host.
            flow.daddr = if flow.saddr.is_any() {
                Addr::LOOPBACK
            } else {
                flow.saddr
            };
            return Ok(Dst {
                oif: LOOPBACK_IFINDEX,
                route_oif: LOOPBACK_IFINDEX,
                src: flow.daddr,
                scope: Scope::HOST,
                ..on_link(Kind::Local, &flow)
            });
        }
        let (len, mut dst) = match lookup(&flow) {
            Ok((len, alias)) => (len, Dst::new(&flow, &alias, genid)),
            // A device that was named is used even if no route knows it.
            Err(_) if flow.oif != 0 => (0, on_link(Kind::Unicast, &flow)),
            Err(e) => return Err(e),
        };
        if dst.kind == Kind::Local {
            dst.oif = LOOPBACK_IFINDEX;
            dst.next_hop = flow.daddr;
            dst.via_gateway = false;
            if dst.src.is_any() {
                dst.src = flow.daddr;
            }
            return Ok(dst);
        }
        if flow.daddr.is_broadcast() {
            dst.kind = Kind::Broadcast;
        } else if flow.daddr.is_multicast() {
            dst.kind = Kind::Multicast;
            // A route that is not about groups says where their packets leave, but no gateway gets them.
            if len < 4 {
                dst.next_hop = flow.daddr;
                dst.via_gateway = false;
            }
        } else if flow.daddr.is_zeronet() {
            return Err(Errno::EINVAL);
        }
        // RFC 1122, 3.2.1.3 (g): a loopback source stays inside.
        if dst.src.is_loopback() && dst.oif != LOOPBACK_IFINDEX {
            return Err(Errno::EINVAL);
        }
        Ok(dst)
    }

    /// What an address is to this host: the kind of its route in the table of local addresses;
    /// [`Kind::Unicast`] if it has none there.
    ///
    /// Mirrors [`inet_addr_type`](srctree/net/ipv4/fib_frontend.c)
    pub fn addr_type(&self, addr: Addr) -> Kind {
        self.addr_type_in(&read_lock(), addr)
    }

    /// The same for who is in a read-side critical section already.
    pub fn addr_type_in(&self, rcu: &ReadGuard, addr: Addr) -> Kind {
        if addr.is_zeronet() || addr.is_broadcast() {
            return Kind::Broadcast;
        }
        if addr.is_multicast() {
            return Kind::Multicast;
        }
        let flow = Flow {
            daddr: addr,
            ..Flow::default()
        };
        self.current.read_in(rcu, |v| {
            v.and_then(|v| v.table(TABLE_LOCAL))
                .and_then(|t| t.lookup(&flow).ok())
                .map_or(Kind::Unicast, |(_, a)| a.kind)
        })
    }

    /// Makes a new version out of the current one, publishes it and outdates every [`Dst`].
    fn update(
        &self,
        change: impl FnOnce(&Version, &mut Recent) -> Result<Version, AllocError>,
    ) -> Result<(), AllocError> {
        let mut recent = self.writer.lock();
        let new = self.current.read(|v| match v {
            Some(v) => change(v, &mut recent),
            None => Err(AllocError),
        })?;
        self.current.replace(Some(RcuBox::try_new(new)?));
        self.bump();
        drop(recent);
        Ok(())
    }

    /// Changes the routes of one prefix: `change` gets those there are and returns those there should
    /// be; none removes the prefix, and the last prefix its table.
    fn update_prefix(
        &self,
        table: u32,
        prefix: Addr,
        len: u8,
        change: impl FnOnce(&[Alias]) -> Result<Array<Alias>, AllocError>,
    ) -> Result<(), AllocError> {
        self.update(|v, recent| {
            let trie = v.table(table).map(|t| t.trie.clone()).unwrap_or_default();
            let new = change(trie.get(prefix, len).map_or(&[][..], |a| a))?;
            let trie = if new.is_empty() {
                trie.remove(prefix, len)?
            } else {
                trie.insert(prefix, len, recent.share(new)?)?
            };
            v.with_table(table, trie)
        })
    }

    /// Adds a route, in place of one with the same type of service and metric.
    ///
    /// Mirrors [`fib_table_insert`](srctree/net/ipv4/fib_trie.c)
    pub fn insert(
        &self,
        table: u32,
        prefix: Addr,
        len: u8,
        alias: Alias,
    ) -> Result<(), AllocError> {
        self.update_prefix(table, prefix, len, |old| {
            let at = old.partition_point(|a| a.rank() < alias.rank());
            let replaces = old.get(at).is_some_and(|a| a.rank() == alias.rank());
            let (before, after) = old.split_at_checked(at).unwrap_or((old, &[]));
            Array::try_concat(&[
                before,
                &[alias],
                after.get(usize::from(replaces)..).unwrap_or(&[]),
            ])
        })
    }

    /// Makes `alias` the only route of the prefix: what `FIB_EVENT_ENTRY_REPLACE` tells of is the
    /// first route, and it comes again when another becomes the first.
    pub fn replace(
        &self,
        table: u32,
        prefix: Addr,
        len: u8,
        alias: Alias,
    ) -> Result<(), AllocError> {
        self.update_prefix(table, prefix, len, |_| Array::try_concat(&[&[alias]]))
    }

    /// Removes the route with this type of service and metric, if it is there.
    ///
    /// Mirrors [`fib_table_delete`](srctree/net/ipv4/fib_trie.c)
    pub fn remove(
        &self,
        table: u32,
        prefix: Addr,
        len: u8,
        tos: u8,
        priority: u32,
    ) -> Result<(), AllocError> {
        self.update_prefix(table, prefix, len, |old| {
            let at = old.partition_point(|a| a.rank() < (!tos, priority));
            let found = old.get(at).is_some_and(|a| a.rank() == (!tos, priority));
            let (before, after) = old.split_at_checked(at).unwrap_or((old, &[]));
            Array::try_concat(&[before, &[], after.get(usize::from(found)..).unwrap_or(&[])])
        })
    }

    /// Removes every route of the prefix.
    pub fn remove_prefix(&self, table: u32, prefix: Addr, len: u8) -> Result<(), AllocError> {
        self.update_prefix(table, prefix, len, |_| Array::try_concat(&[]))
    }

    /// Makes `rules`, which are in the order of their preference, the only rules.
    pub fn set_rules(&self, rules: &[Rule]) -> Result<(), AllocError> {
        self.update(|v, _| {
            Ok(Version {
                tables: v.tables.clone(),
                rules: Arc::try_new(Array::try_concat(&[rules])?)?,
                has_custom_rules: rules != DEFAULT_RULES,
            })
        })
    }

    /// Forgets every route; the rules stay. Before the mirror is filled anew.
    pub fn clear(&self) -> Result<(), AllocError> {
        self.update(|v, recent| {
            *recent = Recent::default();
            Ok(Version {
                tables: Arc::try_new(Array::try_concat(&[])?)?,
                rules: v.rules.clone(),
                has_custom_rules: v.has_custom_rules,
            })
        })
    }

    /// Calls `f` with each route in the order of tables, prefixes, lengths and ranks, from the prefix
    /// `from` of the table on, until it says `false`. One version is walked, whatever changes.
    pub fn walk(&self, from: (u32, Addr, u8), mut f: impl FnMut(u32, Addr, u8, &Alias) -> bool) {
        self.current.read(|v| {
            let Some(v) = v else {
                return;
            };
            let first = v.tables.partition_point(|t| t.id < from.0);
            let mut more = true;
            for t in v.tables.get(first..).unwrap_or(&[]) {
                let start = if t.id == from.0 {
                    (from.1, from.2)
                } else {
                    (Addr::ANY, 0)
                };
                t.trie.walk(start, |prefix, len, aliases| {
                    more = aliases.iter().all(|a| f(t.id, prefix, len, a));
                    more
                });
                if !more {
                    return;
                }
            }
        });
    }
}

impl Version {
    /// This version with another trie for the table `id`; without the table if the trie is empty.
    fn with_table(&self, id: u32, trie: Trie<Aliases>) -> Result<Version, AllocError> {
        let at = self.tables.partition_point(|t| t.id < id);
        let (before, after) = self
            .tables
            .split_at_checked(at)
            .unwrap_or((&self.tables, &[]));
        let found = after.first().is_some_and(|t| t.id == id);
        let after = after.get(usize::from(found)..).unwrap_or(&[]);
        let new = Table { id, trie };
        let new = if new.trie.is_empty() {
            &[][..]
        } else {
            core::slice::from_ref(&new)
        };
        let tables = Arc::try_new(Array::try_concat(&[before, new, after])?)?;
        Ok(Version {
            tables,
            rules: self.rules.clone(),
            has_custom_rules: self.has_custom_rules,
        })
    }
}

#[cfg(test)]
mod tests;
