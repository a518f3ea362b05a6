// SPDX-License-Identifier: GPL-2.0
//! Where a socket's packets go: the answer of the routes, with everything that transmission needs.
//!
//! A [`Route`] is looked up once and kept by its socket as long as [`Route::is_valid`] says. The
//! `struct rtable` that its packets carry is shared by all routes over the same next hop, so that a
//! socket pays a reference for it and not an object.

use super::fib;
use super::neigh::{
    self,
    Neigh, //
};
use super::net::State;
use crate::abstractions::dst::{
    self,
    Dst, //
};
use crate::abstractions::fib_notifier;
use crate::abstractions::lock::Lock;
use crate::abstractions::memory::{
    Arc,
    Array, //
};
use crate::abstractions::netdevice::NetDevice;
use crate::abstractions::rcu::{
    self,
    Rcu,
    RcuBox, //
};
use crate::stack;
use crate::stack::errno::Errno;
use crate::stack::ip::route::{
    self,
    Flow,
    Kind, //
};
use crate::stack::time::Instant;
use crate::stack::wire::ethernet;
use crate::stack::wire::ipv4::{
    Addr,
    HEADER_LEN, //
};

/// What tells one next hop from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
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
    pub(super) fn new() -> Self {
        Hops {
            current: Rcu::null(),
            writer: Lock::new(()),
        }
    }

    fn find(hops: Option<&Array<Arc<Hop>>>, key: &Key) -> Result<Dst, usize> {
        let hops = hops.map_or(&[][..], |a| a);
        let at = hops.binary_search_by_key(key, |h| h.key)?;
        match hops.get(at) {
            Some(hop) if !hop.dst.is_dead() => Ok(hop.dst.clone()),
            _ => Err(at),
        }
    }

    /// The route of a next hop, made if it is not there. Atomic. `None` when there is no memory.
    fn get(&self, dev: &NetDevice, key: Key, flags: u32) -> Option<Dst> {
        if let Ok(dst) = self.current.read(|hops| Self::find(hops, &key)) {
            return Some(dst);
        }
        let guard = self.writer.lock();
        // Somebody may have been faster.
        let at = match self.current.read(|hops| Self::find(hops, &key)) {
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
    pub(super) fn flush(&self, ifindex: u32) {
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
    pub(super) fn clear(&self) {
        let _guard = self.writer.lock();
        self.current.replace(None);
    }
}

/// Who gets a packet on the link.
pub(super) enum NextHop {
    /// A neighbour whose address has to be asked for.
    Neigh(Arc<Neigh>),
    /// An address that is known: a group's, everybody's, the only one there is.
    Static(ethernet::Addr),
}

/// The way of a socket's packets.
pub(crate) struct Route {
    /// What its packets carry.
    pub(super) dst: Dst,
    /// Who gets its packets.
    pub(super) hop: NextHop,
    /// What the look-up said, the source chosen.
    info: route::Dst,
}

impl Route {
    /// Looks up the way of a packet. Any context; does not sleep.
    ///
    /// Errors: ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL as the host's routes say; ENODEV and ENETDOWN for
    /// a device that is not there or down; ENOBUFS when there is no memory.
    ///
    /// Mirrors [`ip_route_output_key`](srctree/net/ipv4/route.c)
    pub(crate) fn output(state: &State, flow: &Flow) -> Result<Route, Errno> {
        let mut info = look_up(state, flow)?;
        NetDevice::with(state.net, info.oif as u32, |dev| {
            if !dev.is_up() {
                return Err(Errno::ENETUNREACH);
            }
            if info.src.is_any() {
                info.src = select_source(state, &info);
            }
            let flags = match info.kind {
                Kind::Local => dst::RTCF_LOCAL,
                Kind::Broadcast => dst::RTCF_BROADCAST,
                Kind::Multicast => dst::RTCF_MULTICAST,
                _ => 0,
            };
            let key = Key {
                oif: dev.ifindex(),
                gateway: match info.via_gateway {
                    true => info.next_hop.to_u32(),
                    false => 0,
                },
                rtn: info.kind as u8,
            };
            let dst = state.hops.get(dev, key, flags).ok_or(Errno::ENOBUFS)?;
            let link = neigh::link(dev);
            let hop = match stack::neigh::static_addr(&link, info.kind, info.next_hop) {
                Some(ha) => NextHop::Static(ha),
                None => {
                    NextHop::Neigh(neigh::lookup(state, dev, info.next_hop).ok_or(Errno::ENOBUFS)?)
                }
            };
            Ok(Route { dst, hop, info })
        })
        .unwrap_or(Err(Errno::ENODEV))
    }

    /// Whether the routes still say the same, as far as anybody knows.
    #[inline]
    pub(crate) fn is_valid(&self, state: &State) -> bool {
        self.info.genid == state.fib.genid()
    }

    /// The source address of its packets.
    #[inline]
    pub(crate) fn saddr(&self) -> Addr {
        self.info.src
    }

    /// The number of the device that its packets leave by.
    #[inline]
    pub(super) fn oif(&self) -> u32 {
        self.info.oif as u32
    }

    /// What is done with its packets.
    #[inline]
    pub(crate) fn kind(&self) -> Kind {
        self.info.kind
    }

    /// The largest packet, IP header included, in bytes; at least 68 (RFC 791).
    ///
    /// Mirrors [`ipv4_mtu`](srctree/net/ipv4/route.c)
    #[inline]
    pub(crate) fn mtu(&self) -> u32 {
        let rcu = rcu::read_lock();
        let dev = self.dst.dev(&rcu).mtu();
        match self.info.mtu {
            0 => dev,
            mtu => mtu.min(dev),
        }
        .clamp(68, 65_535)
    }

    /// The sizes of the GSO packets that the device takes: bytes without headers, segments.
    ///
    /// Mirrors [`sk_setup_caps`](srctree/net/core/sock.c)
    pub(crate) fn gso(&self) -> (u32, u16) {
        let rcu = rcu::read_lock();
        let dev = self.dst.dev(&rcu);
        let size = dev.gso_max_size().min(65_535);
        // Room for the largest headers, as MAX_TCP_HEADER keeps it.
        let size = size.saturating_sub(HEADER_LEN as u32 + 60 + 1);
        (size, dev.gso_max_segs())
    }

    /// The upper layer saw progress: the neighbour is there.
    #[inline]
    pub(crate) fn confirm(&self, now: Instant) {
        if let NextHop::Neigh(n) = &self.hop {
            n.confirm(now);
        }
    }
}

/// Asks the mirror where it is exact, else the host.
fn look_up(state: &State, flow: &Flow) -> Result<route::Dst, Errno> {
    if state.fib_state.exact(state.net, flow.tos) {
        return state.fib.route_output(flow);
    }
    state.fib.route_output_with(flow, |flow| {
        let asked = fib_notifier::Flow {
            saddr: flow.saddr.to_u32(),
            daddr: flow.daddr.to_u32(),
            tos: flow.tos,
            proto: 0,
            oif: flow.oif as u32,
            iif: route::LOOPBACK_IFINDEX as u32,
            mark: flow.mark,
            scope: flow.scope.0,
        };
        match fib_notifier::lookup(state.net, &asked) {
            Ok(route) => fib::alias(&route).ok_or(Errno::EINVAL),
            Err(e) => Err(Errno::from_positive(e).unwrap_or(Errno::ENETUNREACH)),
        }
    })
}

/// A source address for packets whose socket and route name none.
///
/// Mirrors [`fib_info_update_nhc_saddr`](srctree/net/ipv4/fib_semantics.c)
fn select_source(state: &State, info: &route::Dst) -> Addr {
    Addr::from_u32(fib_notifier::select_addr(
        state.net,
        info.oif as u32,
        info.next_hop.to_u32(),
        info.scope.0,
    ))
}
