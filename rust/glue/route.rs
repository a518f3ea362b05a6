// SPDX-License-Identifier: GPL-2.0
//! Where a socket's packets go: the answer of the routes, with everything that transmission needs.
//!
//! A [`Route`] is looked up once and kept by its socket as long as [`Route::is_valid`] says. The
//! `struct rtable` that its packets carry is shared by all routes over the same next hop, so that a
//! socket pays a reference for it and not an object.

mod hops;
mod lookup;
mod onward;

pub(crate) use self::hops::Hops;
pub(super) use self::lookup::{
    device_of,
    input, //
};
pub(super) use self::onward::Onward;

use self::hops::Key;
use self::lookup::{
    is_default_gateway,
    look_up,
    select_source, //
};
use super::neigh::{
    self,
    Neigh, //
};
use super::net::State;
use crate::abstractions::dst::{
    self,
    Dst, //
};
use crate::abstractions::inet::random_u32;
use crate::abstractions::memory::Arc;
use crate::abstractions::netdevice::NetDevice;
use crate::abstractions::netns::Net;
use crate::abstractions::rcu::{
    self,
    ReadGuard, //
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
use crate::stack::ip::route::metrics::Metrics;
use crate::stack::ip::route::{
    self,
    Flow,
    Kind, //
};
use crate::stack::time::{
    Duration,
    Instant, //
};
use crate::stack::wire::ethernet;
use crate::stack::wire::ipv4::{
    Addr,
    HEADER_LEN, //
};

/// Bytes of both headers of a TCP segment without options.
const TCP_HEADERS: u32 = 40;

/// How long a redirect is believed (`ip_rt_gc_timeout`).
const REDIRECT_LIFETIME: Duration = Duration::from_secs(300);

/// What transmission needs to know of the way of a packet.
pub(super) trait Way {
    /// What the packet carries.
    fn dst(&self) -> &Dst;

    /// Who gets it.
    fn hop(&self) -> NextHop<&Arc<Neigh>>;

    /// What is done with it.
    fn kind(&self) -> Kind;
}

/// Who gets a packet on the link.
#[derive(Clone, Copy)]
pub(super) enum NextHop<N = Arc<Neigh>> {
    /// A neighbour whose address has to be asked for.
    Neigh(N),
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
    /// The metrics of a route that has some.
    metrics: Option<Arc<Metrics>>,
}

impl Way for Route {
    #[inline]
    fn dst(&self) -> &Dst {
        &self.dst
    }

    #[inline]
    fn hop(&self) -> NextHop<&Arc<Neigh>> {
        match &self.hop {
            NextHop::Neigh(n) => NextHop::Neigh(n),
            NextHop::Static(ha) => NextHop::Static(*ha),
        }
    }

    #[inline]
    fn kind(&self) -> Kind {
        self.info.kind
    }
}

/// What was learned of the way to `daddr` by the next hop `via`: a better gateway changes `info`, the path's MTU is
/// returned.
#[inline]
fn learn(state: &State, daddr: Addr, via: &Via, info: &mut route::Dst) -> Option<Pmtu> {
    let era = state.net.fnhe_genid();
    let known = state.exceptions.find(daddr, via, era, timer::now);
    if let Some(gateway) = known.gateway {
        info.next_hop = gateway;
        info.via_gateway = true;
    }
    known.pmtu
}

/// What was learned of a way, while it is believed.
#[inline]
fn believed(learned: Option<Pmtu>) -> Option<Pmtu> {
    // Most ways have nothing: the clock is not asked.
    learned.filter(|p| p.expires > timer::now())
}

/// The MTU of a way, of which the path's may have been learned.
#[inline]
fn path_mtu(info: &route::Dst, learned: Option<Pmtu>, dev: &NetDevice) -> u32 {
    match believed(learned) {
        Some(p) => p.mtu,
        None => raw_mtu(info, dev),
    }
    .clamp(68, 65_535)
}

/// The route's MTU, or the device's.
#[inline]
fn raw_mtu(info: &route::Dst, dev: &NetDevice) -> u32 {
    match info.mtu {
        0 => dev.mtu(),
        mtu => mtu,
    }
}

/// The MTU that a packet to be sent on is held against: what was learned is for our own packets.
///
/// Mirrors [`ip_dst_mtu_maybe_forward`](srctree/include/net/ip.h)
#[inline]
fn forward_mtu(state: &State, info: &route::Dst, learned: Option<Pmtu>, dev: &NetDevice) -> u32 {
    if info.mtu_locked || state.net.sysctl().ip_forward_use_pmtu() != 0 {
        return path_mtu(info, learned, dev);
    }
    raw_mtu(info, dev).clamp(68, 65_535)
}

impl Route {
    /// Looks up the way of a packet. Any context; does not sleep.
    ///
    /// Errors: ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL as the host's routes say; ENODEV and ENETDOWN for
    /// a device that is not there or down; ENOBUFS when there is no memory.
    ///
    /// Mirrors [`ip_route_output_key`](srctree/net/ipv4/route.c)
    pub(crate) fn output(state: &State, flow: &Flow) -> Result<Route, Errno> {
        let rcu = rcu::read_lock();
        // Before the tables are read, so that a change in between outdates the answer.
        let genid = state.genid();
        let (mut info, metrics) = look_up(state, flow, &rcu)?;
        info.genid = genid;
        let daddr = match info.kind {
            Kind::Local => info.next_hop,
            _ => flow.daddr,
        };
        let via = Via::of(&info);
        let pmtu = learn(state, daddr, &via, &mut info);
        let flags = match info.kind {
            Kind::Local => dst::RTCF_LOCAL,
            // For the copy that comes back to this host.
            Kind::Broadcast => dst::RTCF_BROADCAST | dst::RTCF_LOCAL,
            Kind::Multicast => dst::RTCF_MULTICAST | dst::RTCF_LOCAL,
            _ => 0,
        };
        let key = Key::of(&info);
        let dst = state
            .hops
            .with(state.net, key, flags, &rcu, |dst| dst.cloned())?;
        let dev = dst.dev(&rcu);
        if info.src.is_any() {
            info.src = select_source(dev, &info, &rcu);
        }
        let link = neigh::link(dev);
        let hop = match stack::neigh::static_addr(&link, info.kind, info.next_hop) {
            Some(ha) => NextHop::Static(ha),
            None => {
                let n = neigh::with(state, dev, info.next_hop, &rcu, |n| n.cloned());
                NextHop::Neigh(n.ok_or(Errno::ENOBUFS)?)
            }
        };
        Ok(Route {
            dst,
            hop,
            info,
            daddr,
            via,
            pmtu,
            metrics,
        })
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
        path_mtu(&self.info, self.pmtu, dev)
    }

    /// The MTU that a packet to be sent on is held against.
    pub(super) fn forward_mtu(&self, state: &State, rcu: &ReadGuard) -> u32 {
        forward_mtu(state, &self.info, self.pmtu, self.dst.dev(rcu))
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

    /// What the route says beside its MTU.
    #[inline]
    pub(crate) fn metrics(&self) -> Metrics {
        self.metrics.as_ref().map_or(Metrics::default(), |m| **m)
    }

    /// The time to live of packets whose socket has none of its own.
    ///
    /// Mirrors [`ip4_dst_hoplimit`](srctree/include/net/route.h)
    #[inline]
    pub(crate) fn hoplimit(&self, net: &Net) -> u8 {
        match &self.metrics {
            Some(m) if m.hoplimit != 0 => m.hoplimit,
            _ => net.sysctl().ip_default_ttl(),
        }
    }

    /// The MTU that a peer is told of, which is that of the segment that the route names; else the route's or the
    /// device's, never what was learned.
    ///
    /// Mirrors [`dst_metric_advmss`](srctree/include/net/dst.h), [`ipv4_default_advmss`](srctree/net/ipv4/route.c)
    pub(crate) fn adv_mtu(&self) -> u32 {
        match &self.metrics {
            Some(m) if m.advmss != 0 => m.advmss.saturating_add(TCP_HEADERS),
            _ => raw_mtu(&self.info, self.dst.dev(&rcu::read_lock())).clamp(68, 65_535),
        }
    }

    /// Whether packets of the largest size go without DF: the path is said to be narrower than can be, or
    /// the user has fixed the MTU.
    ///
    /// Mirrors [`ip_mtu_locked`](srctree/include/net/ip.h)
    #[inline]
    pub(crate) fn mtu_locked(&self) -> bool {
        self.info.mtu_locked || believed(self.pmtu).is_some_and(|p| p.locked)
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
        let known = believed(self.pmtu);
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

    /// The router `old`, which had a packet of this way, says that the next ones had better go to `gateway`.
    /// If it may say so, every kept route is outdated. Any context that does not sleep.
    ///
    /// RFC 1122, 3.2.2.2: only the gateway in use may say it, and only of one on the same link. Mirrors
    /// [`__ip_do_redirect`](srctree/net/ipv4/route.c)
    pub(crate) fn redirect(&self, state: &State, old: Addr, gateway: Addr) {
        let odd = gateway.is_multicast() || gateway.is_broadcast() || gateway.is_zeronet();
        if !self.info.via_gateway || self.info.next_hop != old || gateway == old || odd {
            return;
        }
        let rcu = rcu::read_lock();
        let dev = self.dst.dev(&rcu);
        let near = match dev.shared_media() {
            true => state.addr_type(gateway) == Kind::Unicast,
            false => {
                dev.addr_onlink(gateway.to_u32(), old.to_u32())
                    && (!dev.secure_redirects() || is_default_gateway(state, gateway))
            }
        };
        // A gateway that does not answer is no gateway; when it has, the next redirect is heeded.
        if !dev.rx_redirects() || !near || !neigh::is_resolved(state, dev, gateway) {
            return;
        }
        let (era, now) = (state.net.fnhe_genid(), timer::now());
        let until = (gateway, now.plus(REDIRECT_LIFETIME));
        let random = random_u32();
        let set = state
            .exceptions
            .set_redirect(self.daddr, &self.via, era, until, random, now);
        // Without memory for it the old gateway goes on as it did.
        if set.is_ok() {
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
