// SPDX-License-Identifier: GPL-2.0
//! The options by which a socket joins groups, leaves them, and says whose packets it wants (RFC 3678).
//!
//! Mirrors [`ip_mc_join_group`, `ip_mc_leave_group`, `ip_mc_source`, `ip_mc_msfilter`](srctree/net/ipv4/igmp.c)

use super::{
    Device,
    Groups,
    Member, //
};
use crate::{
    abstractions::{
        iov::OptIn,
        memory::Arc,
        netdevice::NetDevice,
        rtnl::Rtnl,
        sock::Sock, //
    },
    bindings,
    glue::{
        inet_sock::error,
        net::{
            Mode,
            State, //
        },
        route::{
            self,
            Route, //
        },
    },
    stack::{
        ip::{
            igmp::membership::{
                Filter,
                Joined, //
            },
            route::{
                Flow,
                LOOPBACK_IFINDEX, //
            },
        },
        wire::ipv4::Addr,
    },
};
use kernel::{
    error::{
        code::*,
        Result, //
    },
    ffi::c_int,
    prelude::*, //
};

/// `struct sockaddr_storage`.
pub(super) const STORAGE: usize = 128;
/// `struct group_req`: the device's number, the group.
const GROUP_REQ: usize = 8 + STORAGE;
/// `struct group_source_req`: the same, and the source.
const GROUP_SOURCE_REQ: usize = GROUP_REQ + STORAGE;
/// `struct ip_msfilter` without its addresses: group, interface, mode, number.
pub(super) const MSFILTER: usize = 16;
/// `struct group_filter` without its addresses: device, group, mode, number.
pub(super) const GROUP_FILTER: usize = GROUP_REQ + 8;

/// Which group on which device: the number counts, else the address, else the way to the group.
#[derive(Clone, Copy, Debug)]
pub(in crate::glue) struct Which {
    pub(in crate::glue) group: Addr,
    pub(in crate::glue) address: Addr,
    pub(in crate::glue) ifindex: i32,
}

impl Which {
    /// Finds the device, which may be none.
    ///
    /// Mirrors [`ip_mc_find_dev`](srctree/net/ipv4/igmp.c)
    pub(in crate::glue) fn find_dev(&mut self, state: &State) -> bool {
        if self.ifindex == 0 {
            self.ifindex = match self.address {
                Addr::ANY => {
                    let flow = Flow {
                        daddr: self.group,
                        iif: LOOPBACK_IFINDEX,
                        ..Flow::default()
                    };
                    Route::output(state, &flow).map_or(0, |r| r.oif() as i32)
                }
                address => route::device_of(state, address),
            };
        }
        self.ifindex > 0
            && NetDevice::with(state.net, self.ifindex as u32, |dev| dev.has_ipv4()) == Some(true)
    }
}

/// What is to be done.
enum Op {
    Join,
    Leave,
    /// A source is, or is no longer, one of those that the filter of this mode names; `join`: in the group as well.
    Source {
        add: bool,
        excludes: bool,
        join: bool,
        source: Addr,
    },
    /// The filter is this one.
    Filter(Filter),
}

fn word(bytes: &[u8], at: usize) -> [u8; 4] {
    let found = bytes.get(at..).and_then(|b| b.first_chunk());
    found.copied().unwrap_or_default()
}

pub(super) fn addr(bytes: &[u8], at: usize) -> Addr {
    Addr::from_octets(word(bytes, at))
}

pub(super) fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(word(bytes, at))
}

/// The address of a `struct sockaddr_storage`; `None` if it is none of IPv4.
pub(super) fn storage(bytes: &[u8], at: usize) -> Option<Addr> {
    let [f0, f1, ..] = word(bytes, at);
    let family = u32::from(u16::from_ne_bytes([f0, f1]));
    (family == bindings::AF_INET).then(|| addr(bytes, at.saturating_add(4)))
}

/// The `n` sources that a filter names behind `head` bytes, each of `size` bytes, read by `read`.
fn list(
    val: &OptIn<'_>,
    (n, most): (u32, i32),
    (head, size): (usize, usize),
    read: impl Fn(&[u8], usize) -> Option<Addr>,
) -> Result<KVec<Addr>> {
    if n > most.max(0) as u32 {
        return Err(ENOBUFS);
    }
    let len = (n as usize)
        .checked_mul(size)
        .and_then(|l| l.checked_add(head));
    let len = len.filter(|len| *len <= val.len()).ok_or(EINVAL)?;
    let mut all = KVec::from_elem(0u8, len, GFP_KERNEL)?;
    val.get_bytes(&mut all)?;
    let mut sources = KVec::with_capacity(n as usize, GFP_KERNEL)?;
    for one in all.get(head..).unwrap_or_default().chunks_exact(size) {
        sources.push(read(one, 0).ok_or(EADDRNOTAVAIL)?, GFP_KERNEL)?;
    }
    Ok(sources)
}

/// The filter of a mode.
fn filter(mode: u32, sources: &[Addr]) -> Result<Filter> {
    let excludes = match mode {
        bindings::MCAST_EXCLUDE => true,
        bindings::MCAST_INCLUDE => false,
        _ => return Err(EINVAL),
    };
    Ok(Filter::new(excludes, sources)?)
}

/// What an option wants of one source, in the words of either kind of option.
fn source_op(name: u32, source: Addr) -> Op {
    let block = matches!(
        name,
        bindings::IP_BLOCK_SOURCE | bindings::MCAST_BLOCK_SOURCE
    );
    let unblock = matches!(
        name,
        bindings::IP_UNBLOCK_SOURCE | bindings::MCAST_UNBLOCK_SOURCE
    );
    let join = matches!(
        name,
        bindings::IP_ADD_SOURCE_MEMBERSHIP | bindings::MCAST_JOIN_SOURCE_GROUP
    );
    Op::Source {
        add: block || join,
        excludes: block || unblock,
        join,
        source,
    }
}

/// Reads what the user wants.
///
/// Mirrors [`do_ip_setsockopt`](srctree/net/ipv4/ip_sockglue.c)
fn parse(name: u32, val: &OptIn<'_>, max_msf: i32) -> Result<(Which, Op)> {
    let which = |group, address, ifindex| Which {
        group,
        address,
        ifindex,
    };
    Ok(match name {
        bindings::IP_ADD_MEMBERSHIP | bindings::IP_DROP_MEMBERSHIP => {
            // struct ip_mreq, or the longer struct ip_mreqn.
            let mut m = [0; 12];
            let short = m.first_chunk_mut::<8>().ok_or(EINVAL)?;
            match val.len() {
                0..8 => return Err(EINVAL),
                8..12 => *short = val.bytes()?,
                _ => m = val.bytes()?,
            }
            let op = match name {
                bindings::IP_ADD_MEMBERSHIP => Op::Join,
                _ => Op::Leave,
            };
            (which(addr(&m, 0), addr(&m, 4), number(&m, 8) as i32), op)
        }
        bindings::MCAST_JOIN_GROUP | bindings::MCAST_LEAVE_GROUP => {
            let m: [u8; GROUP_REQ] = val.bytes()?;
            let group = storage(&m, 8).ok_or(EINVAL)?;
            let op = match name {
                bindings::MCAST_JOIN_GROUP => Op::Join,
                _ => Op::Leave,
            };
            (which(group, Addr::ANY, number(&m, 0) as i32), op)
        }
        bindings::IP_BLOCK_SOURCE
        | bindings::IP_UNBLOCK_SOURCE
        | bindings::IP_ADD_SOURCE_MEMBERSHIP
        | bindings::IP_DROP_SOURCE_MEMBERSHIP => {
            let m: [u8; 12] = val.exactly()?;
            let op = source_op(name, addr(&m, 8));
            (which(addr(&m, 0), addr(&m, 4), 0), op)
        }
        bindings::MCAST_BLOCK_SOURCE
        | bindings::MCAST_UNBLOCK_SOURCE
        | bindings::MCAST_JOIN_SOURCE_GROUP
        | bindings::MCAST_LEAVE_SOURCE_GROUP => {
            let m: [u8; GROUP_SOURCE_REQ] = val.exactly()?;
            let group = storage(&m, 8).ok_or(EADDRNOTAVAIL)?;
            let source = storage(&m, GROUP_REQ).ok_or(EADDRNOTAVAIL)?;
            let op = source_op(name, source);
            (which(group, Addr::ANY, number(&m, 0) as i32), op)
        }
        bindings::IP_MSFILTER => {
            let m: [u8; MSFILTER] = val.bytes()?;
            let (most, shape) = ((number(&m, 12), max_msf), (MSFILTER, 4));
            let sources = list(val, most, shape, |b, at| Some(addr(b, at)))?;
            let op = Op::Filter(filter(number(&m, 8), &sources)?);
            (which(addr(&m, 0), addr(&m, 4), 0), op)
        }
        bindings::MCAST_MSFILTER => {
            let m: [u8; GROUP_FILTER] = val.bytes()?;
            let (most, shape) = ((number(&m, 140), max_msf), (GROUP_FILTER, STORAGE));
            let sources = list(val, most, shape, storage)?;
            let group = storage(&m, 8).ok_or(EADDRNOTAVAIL)?;
            let op = Op::Filter(filter(number(&m, GROUP_REQ), &sources)?);
            (which(group, Addr::ANY, number(&m, 0) as i32), op)
        }
        _ => return Err(ENOPROTOOPT),
    })
}

/// setsockopt(2) of these options. Process context, without the socket's lock; sleeps.
///
/// # Errors
///
/// As the host.
pub(in crate::glue) fn set<P: Member>(so: &Sock<P>, name: c_int, val: &OptIn<'_>) -> Result {
    let state = State::of(so.net()).ok_or(ENODEV)?;
    let groups = P::groups(so.shared());
    if state.mode() == Mode::Coexist && groups.is_empty() {
        return so.ip_setsockopt(name, val);
    }
    let (mut which, op) = parse(name as u32, val, state.net.sysctl().igmp_max_msf())?;
    let rtnl = Rtnl::lock();
    let there = which.find_dev(state);
    let ours = groups.find(|j| j.group == which.group && which.is(j));
    let by_host = || {
        so.source_filter(which.group.to_u32(), which.ifindex, |_| (), &rtnl)
            .is_some()
    };
    // Whoever holds the membership that is meant; if nobody does, who speaks.
    if ours.is_none() && (state.mode() == Mode::Coexist || by_host()) {
        drop(rtnl);
        return so.ip_setsockopt(name, val);
    }
    let socket = Membership {
        state,
        groups,
        which,
        ours,
        rtnl: &rtnl,
    };
    match op {
        // Of a group that was joined on a device that is gone, too.
        Op::Leave => socket.leave(there),
        _ if !which.group.is_multicast() => Err(EINVAL),
        _ if !there => Err(ENODEV),
        Op::Join => socket.join(),
        Op::Source {
            add,
            excludes,
            join,
            source,
        } => socket.source(add, excludes, join, source),
        Op::Filter(filter) => socket.filter(filter, there),
    }
}

impl Which {
    /// Whether an entry of the group is the one that is meant.
    fn is(&self, j: &Joined<Arc<Device>>) -> bool {
        match self.ifindex {
            0 => self.address.is_any() || self.address == j.address,
            n => n == j.ifindex,
        }
    }
}

/// What a socket has, or is to have, of a group on a device. Under the RTNL.
struct Membership<'a> {
    state: &'a State,
    groups: &'a Groups,
    which: Which,
    ours: Option<Arc<Joined<Arc<Device>>>>,
    rtnl: &'a Rtnl,
}

impl Membership<'_> {
    /// The socket wants this of the group from now on; nothing any more if it is `None`.
    fn set(&self, filter: Option<Filter>) -> Result {
        let old = self.ours.as_ref();
        let device = match old {
            Some(joined) => joined.device.clone(),
            None => {
                let made = NetDevice::with(self.state.net, self.which.ifindex as u32, |dev| {
                    self.state.igmp.get_or_new(self.state, dev)
                });
                made.ok_or(ENODEV)??
            }
        };
        let new = filter.map(|filter| {
            Arc::try_new(Joined {
                group: self.which.group,
                ifindex: self.which.ifindex,
                address: old.map_or(self.which.address, |o| o.address),
                filter,
                device: device.clone(),
            })
        });
        let new = new.transpose()?;
        let list = self.groups.prepare(old, new.clone())?;
        device.change(
            self.which.group,
            old.map(|j| &j.filter),
            new.as_ref().map(|j| &j.filter),
            self.rtnl,
        )?;
        self.groups.publish(list);
        Ok(())
    }

    fn may_join(&self) -> Result {
        let most = self.state.net.sysctl().igmp_max_memberships();
        match self.groups.len() < most.max(0) as usize {
            true => Ok(()),
            false => Err(ENOBUFS),
        }
    }

    fn join(&self) -> Result {
        if self.ours.is_some() {
            return Err(EADDRINUSE);
        }
        self.may_join()?;
        self.set(Some(Filter::new(true, &[])?))
    }

    fn leave(&self, there: bool) -> Result {
        if self.ours.is_some() {
            return self.set(None);
        }
        match there || self.which.ifindex != 0 || !self.which.address.is_any() {
            true => Err(EADDRNOTAVAIL),
            false => Err(ENODEV),
        }
    }

    fn source(&self, add: bool, excludes: bool, join: bool, source: Addr) -> Result {
        let most = self.state.net.sysctl().igmp_max_msf().max(0) as usize;
        let Some(joined) = &self.ours else {
            if !join {
                return Err(EINVAL);
            }
            self.may_join()?;
            let none = Filter::new(excludes, &[])?;
            return self.set(Some(none.adding(source, most).map_err(error)?));
        };
        let mut switched = None;
        if joined.filter.excludes() != excludes {
            // A filter that names nobody may change its mode.
            if !joined.filter.sources().is_empty() {
                return Err(EINVAL);
            }
            switched = Some(Filter::new(excludes, &[])?);
        }
        let now = switched.as_ref().unwrap_or(&joined.filter);
        let new = match add {
            true => now.adding(source, most),
            false => now.without(source),
        };
        let new = new.map_err(error)?;
        // Who wants nobody's packets is not in the group.
        let none = !new.excludes() && new.sources().is_empty();
        self.set((!none).then_some(new))
    }

    fn filter(&self, filter: Filter, there: bool) -> Result {
        if !filter.excludes() && filter.sources().is_empty() {
            return self.leave(there);
        }
        match self.ours {
            Some(_) => self.set(Some(filter)),
            None => Err(EINVAL),
        }
    }
}
