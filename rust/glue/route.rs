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
use crate::abstractions::inet::random_u32;
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
use crate::abstractions::route_config::uses_pmtu;
use crate::abstractions::timer;
use crate::stack;
use crate::stack::errno::Errno;
use crate::stack::ip::route::exception::{
    lowered,
    Pmtu,
    Via, //
};
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
    /// Whose packets these are, for what is learned of the way.
    daddr: Addr,
    /// The next hop as the tables say it.
    via: Via,
    /// What was learned.
    pmtu: Option<Pmtu>,
}

impl Route {
    /// Looks up the way of a packet. Any context; does not sleep.
    ///
    /// Errors: ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL as the host's routes say; ENODEV and ENETDOWN for
    /// a device that is not there or down; ENOBUFS when there is no memory.
    ///
    /// Mirrors [`ip_route_output_key`](srctree/net/ipv4/route.c)
    pub(crate) fn output(state: &State, flow: &Flow) -> Result<Route, Errno> {
        // Before the tables are read, so that a change in between outdates the answer.
        let genid = state.genid();
        let mut info = look_up(state, flow)?;
        info.genid = genid;
        let daddr = match info.kind {
            Kind::Local => info.next_hop,
            _ => flow.daddr,
        };
        let via = Via::of(&info);
        let era = state.net.fnhe_genid();
        let known = state.exceptions.find(daddr, &via, era, timer::now());
        if let Some(gateway) = known.gateway {
            info.next_hop = gateway;
            info.via_gateway = true;
        }
        NetDevice::with(state.net, info.oif as u32, |dev| {
            if !dev.is_up() {
                return Err(Errno::ENETUNREACH);
            }
            if info.src.is_any() {
                info.src = select_source(state, &info);
            }
            let flags = match info.kind {
                Kind::Local => dst::RTCF_LOCAL,
                // For the copy that comes back to this host.
                Kind::Broadcast => dst::RTCF_BROADCAST | dst::RTCF_LOCAL,
                Kind::Multicast => dst::RTCF_MULTICAST | dst::RTCF_LOCAL,
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
            Ok(Route {
                dst,
                hop,
                info,
                daddr,
                via,
                pmtu: known.pmtu,
            })
        })
        .unwrap_or(Err(Errno::ENODEV))
    }

    /// Whether the routes still say the same, as far as anybody knows.
    #[inline]
    pub(crate) fn is_valid(&self, state: &State) -> bool {
        self.info.genid == state.genid()
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
        self.mtu_at(self.dst.dev(&rcu::read_lock()))
    }

    /// The same where the device is at hand.
    #[inline]
    pub(super) fn mtu_at(&self, dev: &NetDevice) -> u32 {
        match self.learned() {
            Some(p) => p.mtu,
            None => self.raw_mtu(dev),
        }
        .clamp(68, 65_535)
    }

    /// What was learned of the way, while it is believed.
    #[inline]
    fn learned(&self) -> Option<Pmtu> {
        // Most ways have nothing: the clock is not asked.
        self.pmtu.filter(|p| p.expires > timer::now())
    }

    /// The route's MTU, or the device's.
    #[inline]
    fn raw_mtu(&self, dev: &NetDevice) -> u32 {
        match self.info.mtu {
            0 => dev.mtu(),
            mtu => mtu,
        }
    }

    /// The MTU that a packet to be sent on is held against: what was learned is for our own packets.
    ///
    /// Mirrors [`ip_dst_mtu_maybe_forward`](srctree/include/net/ip.h)
    pub(super) fn forward_mtu(&self, state: &State) -> u32 {
        if self.info.mtu_locked || state.net.sysctl().ip_forward_use_pmtu() != 0 {
            return self.mtu();
        }
        self.adv_mtu()
    }

    /// The MTU for a socket with this `IP_MTU_DISCOVER`: some want to hear of no path.
    ///
    /// Mirrors [`ip_skb_dst_mtu`](srctree/include/net/ip.h)
    #[inline]
    pub(crate) fn sock_mtu(&self, pmtudisc: u8) -> u32 {
        if uses_pmtu(pmtudisc) {
            return self.mtu();
        }
        let rcu = rcu::read_lock();
        self.dst.dev(&rcu).mtu().clamp(68, 65_535)
    }

    /// The MTU that a peer is told of: the route's or the device's, never what was learned.
    ///
    /// Mirrors [`ipv4_default_advmss`](srctree/net/ipv4/route.c)
    pub(crate) fn adv_mtu(&self) -> u32 {
        self.raw_mtu(self.dst.dev(&rcu::read_lock()))
            .clamp(68, 65_535)
    }

    /// Whether packets of the largest size go without DF: the path is said to be narrower than can be, or
    /// the user has fixed the MTU.
    ///
    /// Mirrors [`ip_mtu_locked`](srctree/include/net/ip.h)
    #[inline]
    pub(crate) fn mtu_locked(&self) -> bool {
        self.info.mtu_locked || self.learned().is_some_and(|p| p.locked)
    }

    /// A message says that packets of more than `mtu` bytes do not pass. If that is news, every kept route
    /// is outdated. Any context that does not sleep.
    ///
    /// Mirrors [`__ip_rt_update_pmtu`](srctree/net/ipv4/route.c)
    pub(crate) fn update_pmtu(&self, state: &State, mtu: u32) {
        if self.info.mtu_locked {
            return;
        }
        let sysctl = state.net.sysctl();
        let lifetime = sysctl.mtu_expires();
        let now = timer::now();
        let known = self.learned();
        let Some(new) = lowered(self.mtu(), known, mtu, sysctl.min_pmtu(), lifetime, now) else {
            return;
        };
        let era = state.net.fnhe_genid();
        let random = random_u32();
        // Without memory for it the next packet meets the same hop, which says it again.
        if state
            .exceptions
            .set_pmtu(self.daddr, &self.via, era, new, random, now)
            .is_ok()
        {
            state.fib.bump();
        }
    }

    /// The MTU, and the sizes of the GSO packets that the device takes: bytes without headers, segments.
    ///
    /// Mirrors [`sk_setup_caps`](srctree/net/core/sock.c)
    #[inline]
    pub(crate) fn limits(&self) -> (u32, u32, u16) {
        let rcu = rcu::read_lock();
        let dev = self.dst.dev(&rcu);
        let size = dev.gso_max_size().min(65_535);
        // Room for the largest headers, as MAX_TCP_HEADER keeps it.
        let size = size.saturating_sub(HEADER_LEN as u32 + 60 + 1);
        (self.mtu_at(dev), size, dev.gso_max_segs())
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
    if state.fib_state.exact(state.net, flow) {
        return state.fib.route_output(flow);
    }
    state.fib.route_output_with(flow, |flow| {
        let ports = state.net.sysctl().fib_multipath_hash_policy() == 1;
        let asked = fib_notifier::Flow {
            saddr: flow.saddr.to_u32(),
            daddr: flow.daddr.to_u32(),
            tos: flow.tos,
            proto: flow.protocol,
            oif: flow.oif as u32,
            iif: match flow.iif {
                0 => route::LOOPBACK_IFINDEX as u32,
                iif => iif as u32,
            },
            mark: flow.mark,
            scope: flow.scope.0,
            uid: flow.uid,
            hash: flow.multipath_hash(ports, state.multipath_secret),
        };
        match fib_notifier::lookup(state.net, &asked) {
            Ok(route) => fib::alias(&route).ok_or(Errno::EINVAL),
            Err(e) => Err(Errno::from_positive(e).unwrap_or(Errno::ENETUNREACH)),
        }
    })
}

/// The device that the host has an address on; 0 if it is not the host's.
///
/// Mirrors [`__ip_dev_find`](srctree/net/ipv4/devinet.c)
pub(super) fn device_of(state: &State, addr: Addr) -> i32 {
    let asked = fib_notifier::Flow {
        daddr: addr.to_u32(),
        iif: route::LOOPBACK_IFINDEX as u32,
        ..fib_notifier::Flow::default()
    };
    match fib_notifier::lookup(state.net, &asked) {
        Ok(r) if Kind::from_rtn(r.kind) == Some(Kind::Local) => r.oif as i32,
        _ => 0,
    }
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
