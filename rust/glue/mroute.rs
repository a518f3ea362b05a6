// SPDX-License-Identifier: GPL-2.0
//! Packets to groups, in `replace`: sent on as a routing daemon says.
//!
//! The daemon is whoever has said `MRT_INIT` on a raw socket for IGMP ([`ctl`]). What it says stands in tables that
//! packets read without a lock; it is all gone when the socket is. [`proc`] shows it.
//!
//! Mirrors [`ipmr.c`](srctree/net/ipv4/ipmr.c)

use super::{
    datagram,
    forward,
    igmp,
    ip_input::count_mcast,
    net::State,
    raw::Raw,
    route::Route, //
};
use crate::{
    abstractions::{
        dgram,
        inet::random_u32,
        lock::Lock,
        memory::Arc,
        netdevice::{
            DevRef,
            NetDevice, //
        },
        netns::Net,
        rcu::{
            self,
            Rcu,
            RcuBox, //
        },
        rtnl::Rtnl,
        skb_meta::PACKET_LOOPBACK,
        skb_queue::SkbQueue,
        skbuff::{
            SkBuff,
            Skb, //
        },
        sock::{
            Sock,
            SockRef, //
        },
        timer::{
            self,
            Expire,
            Timer, //
        },
    },
    stack::{
        counters::Counter,
        drop_reason::DropReason,
        ip::{
            self,
            forward::Refused,
            mroute::{
                self,
                mfc::Table,
                unresolved::{
                    Queued,
                    Unresolved, //
                },
                upcall::{
                    self,
                    Msg, //
                },
                vif::Vifs,
                Arrival,
                Verdict,
                MAXVIFS, //
            },
            route::{
                Flow,
                Kind,
                LOOPBACK_IFINDEX, //
            },
            Header, //
        },
        wire::ipv4::{
            Addr,
            Protocol,
            HEADER_LEN, //
        },
    },
};
use core::sync::atomic::{
    AtomicI32,
    Ordering, //
};
use kernel::error::Result;

pub(super) mod ctl;
pub(super) mod proc;

/// Where a namespace has its multicast router, if it has one: changed under the RTNL alone.
pub(crate) struct Slot(Rcu<Arc<Router>>);

/// A multicast router.
struct Router {
    /// The daemon's socket; without one nothing is sent on.
    daemon: Rcu<SockRef<Raw>>,
    vifs: Vifs,
    /// The devices of the vifs, by their numbers.
    held: Lock<[Option<Held>; MAXVIFS]>,
    mfc: Table,
    unresolved: Lock<Unresolved>,
    /// Whether the daemon wants to hear of wrong vifs, as it said it.
    assert: AtomicI32,
    expiry: Timer<Expiry>,
}

/// The device of a vif. It takes packets to all groups.
struct Held {
    dev: DevRef,
    /// The vif outlives the daemon: somebody else has made it.
    fixed: bool,
}

/// What waits has waited long enough.
struct Expiry(&'static Net);

impl Expire for Expiry {
    fn expire(&self) {
        if let Some((state, router)) = State::of(self.0).and_then(|s| Some((s, s.mroute.get()?))) {
            router.expire(state);
        }
    }
}

impl Slot {
    pub(super) const fn new() -> Self {
        Slot(Rcu::null())
    }

    fn get(&self) -> Option<Arc<Router>> {
        self.0.read(|r| r.cloned())
    }

    /// The router, made if there is none. Under the RTNL.
    fn get_or_new(&self, net: &'static Net, _rtnl: &Rtnl) -> Result<Arc<Router>> {
        if let Some(router) = self.get() {
            return Ok(router);
        }
        let router = Arc::try_new(Router {
            daemon: Rcu::null(),
            vifs: Vifs::default(),
            held: Lock::new([const { None }; MAXVIFS]),
            mfc: Table::try_new(random_u32())?,
            unresolved: Lock::new(Unresolved::try_new(random_u32())?),
            assert: AtomicI32::new(0),
            expiry: Timer::new(Expiry(net))?,
        })?;
        self.0.replace(Some(RcuBox::try_new(router.clone())?));
        Ok(router)
    }

    /// Calls `f` with the router and the vif that a device is, if packets to `group` are sent on between it and others.
    ///
    /// Mirrors [`IN_DEV_MFORWARD`](srctree/include/linux/inetdevice.h)
    #[inline]
    fn with_vif<R>(
        &self,
        ifindex: u32,
        group: Addr,
        f: impl FnOnce(Option<(&Router, u8)>) -> R,
    ) -> R {
        self.0.read(|router| {
            f(router
                .filter(|r| !group.is_local_multicast() && r.daemon.read(|d| d.is_some()))
                .and_then(|r| Some((&**r, r.vifs.find(ifindex)?))))
        })
    }

    /// Whether packets to `group` are sent on between the device and others.
    pub(super) fn takes(&self, ifindex: u32, group: Addr) -> bool {
        self.with_vif(ifindex, group, |found| found.is_some())
    }
}

/// Takes a packet to a group, whose data begin with the IP header and which has come in by a device, sends it on, and
/// gives it back if this host is in the group. Softirq, under RCU.
///
/// Mirrors [`ip_mr_input`](srctree/net/ipv4/ipmr.c), the part for groups of
/// [`ip_route_input_rcu`](srctree/net/ipv4/route.c)
pub(super) fn input(state: &State, ifindex: u32, header: &Header, skb: Skb) -> Option<Skb> {
    let group = header.daddr;
    let ours = NetDevice::with(state.net, ifindex, |dev| igmp::has_group(state, dev, group));
    let ours = ours.unwrap_or(false);
    let for_us = |skb| match ours {
        true => Some(skb),
        false => {
            state.counts.drop(skb, DropReason::IpMcNotJoined);
            None
        }
    };
    state.mroute.with_vif(ifindex, group, |found| {
        if ours || found.is_some() {
            count_mcast(state, &skb);
        }
        let Some((router, vif)) = found else {
            return for_us(skb);
        };
        let own = skb.pkt_type() == PACKET_LOOPBACK;
        // The copy of what was sent on already is for this host alone.
        if own && state.addr_type(header.saddr) != Kind::Local {
            return for_us(skb);
        }
        // What hosts say of a group is for the routers of their link.
        if !ours && header.protocol == Protocol::IGMP {
            router.hear(state, header, ifindex, skb);
            return None;
        }
        let from = (ifindex, vif);
        router
            .forward(state, from, header, skb, ours)
            .unwrap_or_else(|skb| {
                let copy = if ours { skb.dup() } else { None };
                match (ours, copy) {
                    (true, None) => Some(skb),
                    (true, Some(copy)) => {
                        router.wait(state, from, header, copy);
                        Some(skb)
                    }
                    (false, _) => {
                        router.wait(state, from, header, skb);
                        None
                    }
                }
            })
    })
}

impl Router {
    fn is_daemon(&self, so: &Sock<Raw>) -> bool {
        self.daemon
            .read(|d| d.is_some_and(|d| core::ptr::eq(d.as_ptr(), so.as_ptr())))
    }

    /// Gives the daemon a packet of IGMP's.
    #[cold]
    fn hear(&self, state: &State, header: &Header, ifindex: u32, skb: Skb) {
        self.daemon.read(|d| match d {
            Some(so) => datagram::queue_rcv(state, header, skb, so, ifindex, 1),
            None => state.counts.drop(skb, DropReason::IpMcUnresolved),
        });
    }

    /// Sends a packet on that has come in by a device, which is a vif. Gives it back if it is `ours`, too; as an error
    /// if nobody has said where it goes.
    ///
    /// Mirrors [`ip_mr_forward`](srctree/net/ipv4/ipmr.c)
    fn forward(
        &self,
        state: &State,
        (ifindex, vif): (u32, u8),
        header: &Header,
        skb: Skb,
        ours: bool,
    ) -> Result<Option<Skb>, Skb> {
        let packet = Arrival {
            vif,
            ttl: header.ttl,
            len: skb.len(),
            own: skb.pkt_type() == PACKET_LOOPBACK,
        };
        let assert = self.assert.load(Ordering::Relaxed) != 0;
        let verdict = self.mfc.lookup(header.saddr, header.daddr, vif, |c| {
            mroute::forward(&self.mfc, &self.vifs, c, &packet, assert, timer::now)
        });
        let reason = match verdict {
            None => return Err(skb),
            Some(Verdict::Forward(0)) => DropReason::IpMcNoOif,
            Some(Verdict::Forward(out)) => {
                return Ok(self.send(state, ifindex, header, skb, out, ours))
            }
            Some(Verdict::WrongVif { tell }) => {
                if tell {
                    if let Some(q) = question(&skb, header, vif, Msg::Wrongvif) {
                        self.ask(state, header, ifindex, q);
                    }
                }
                DropReason::IpMcWrongVif
            }
            Some(Verdict::Own) => DropReason::IpMcWrongVif,
        };
        if ours {
            return Ok(Some(skb));
        }
        state.counts.drop(skb, reason);
        Ok(None)
    }

    /// Sends a packet on by the vifs whose bits are set; gives it back if it is `ours`, too.
    fn send(
        &self,
        state: &State,
        ifindex: u32,
        header: &Header,
        skb: Skb,
        out: u32,
        ours: bool,
    ) -> Option<Skb> {
        let mut left = out;
        while let Some(n) = left.checked_ilog2() {
            left &= !(1 << n);
            if left == 0 && !ours {
                self.xmit(state, ifindex, header, skb, n as u8);
                return None;
            }
            // Without memory the copy is lost as it might be on a wire.
            if let Some(copy) = skb.dup() {
                self.xmit(state, ifindex, header, copy, n as u8);
            }
        }
        Some(skb)
    }

    /// Sends a packet on by a vif.
    ///
    /// Mirrors [`ipmr_queue_fwd_xmit`, `ipmr_prepare_xmit`](srctree/net/ipv4/ipmr.c)
    fn xmit(&self, state: &State, ifindex: u32, header: &Header, mut skb: Skb, vif: u8) {
        let Some(oif) = self.vifs.ifindex(vif) else {
            return state.counts.drop(skb, DropReason::IpMcNoOif);
        };
        let flow = Flow {
            daddr: header.daddr,
            tos: header.tos,
            oif: oif as i32,
            iif: LOOPBACK_IFINDEX,
            ..Flow::default()
        };
        let Ok(route) = Route::output(state, &flow) else {
            return state.counts.drop(skb, DropReason::IpOutNoRoutes);
        };
        if let Err(refused) = ip::forward::forward(&mut skb, header, route.mtu() as usize) {
            // Nobody is told of a packet to many (RFC 1122, 3.2.2).
            if refused == Refused::TooBig {
                state.counts.event(Counter::IpFragFails);
            }
            return state.counts.drop(skb, refused.reason());
        }
        if usize::from(header.header_len) > HEADER_LEN {
            let oif = route.oif() as i32;
            if let Err(reason) = forward::options(state, &flow, oif, header, &mut skb) {
                return state.counts.drop(skb, reason);
            }
        }
        self.vifs.count_out(vif, skb.len());
        let rcu = rcu::read_lock();
        if let Some(dev) = NetDevice::by_index(state.net, ifindex, &rcu) {
            let mtu = route.forward_mtu(state, &rcu);
            forward::finish(state, dev, &route, skb, mtu, &rcu);
        }
    }

    /// Has a packet wait until the daemon has said where it goes, and asks if it is the first.
    ///
    /// Mirrors [`ipmr_cache_unresolved`](srctree/net/ipv4/ipmr.c)
    #[cold]
    fn wait(&self, state: &State, (ifindex, vif): (u32, u8), header: &Header, skb: Skb) {
        // What waits here takes as much memory as what waits in the socket may.
        let most = self.daemon.read(|d| d.map_or(0, |so| so.rcvbuf() as usize));
        let (saddr, daddr) = (header.saddr, header.daddr);
        // The device may go while the packet waits; it is known by its number.
        skb.clear_dev();
        let queued = {
            let mut unresolved = self.unresolved.lock();
            let ask = |skb: &SkBuff| question(skb, header, vif, Msg::Nocache);
            unresolved.push(saddr, daddr, skb, most, timer::now(), ask)
        };
        match queued {
            Queued::More => (),
            Queued::Full(skb) => state.counts.drop(skb, DropReason::IpMcUnresolved),
            Queued::First(expires, question) => {
                self.expiry.arm(expires, timer::now());
                if !self.ask(state, header, ifindex, question) {
                    let gone = self.unresolved.lock().take(saddr, daddr);
                    give_up(state, gone);
                }
                // The daemon may have said it before anybody waited.
                if self.mfc.find(saddr, daddr, |_| ()).is_some() {
                    self.resolve(state, saddr, daddr);
                }
            }
        }
    }

    /// Gives the daemon a question about a packet that has come in by a device; whether it took it.
    ///
    /// Mirrors the end of [`ipmr_cache_report`](srctree/net/ipv4/ipmr.c)
    #[cold]
    fn ask(&self, state: &State, header: &Header, ifindex: u32, mut question: Skb) -> bool {
        self.daemon.read(|d| {
            let Some(so) = d else {
                return false;
            };
            if !so.filter(&mut question, 1) {
                so.count_drop();
                state.counts.drop(question, DropReason::SocketFilter);
                return false;
            }
            dgram::set_pktinfo(&mut question, ifindex, header.daddr.to_u32());
            match so.queue_rcv_skb(question) {
                Ok(()) => true,
                Err(skb) => {
                    state.counts.drop(skb, DropReason::SocketRcvbuff);
                    false
                }
            }
        })
    }

    /// The daemon has said where packets of a source to a group go: those that waited are sent on. Bottom halves off.
    ///
    /// Mirrors [`ipmr_cache_resolve`](srctree/net/ipv4/ipmr.c)
    #[cold]
    fn resolve(&self, state: &State, origin: Addr, group: Addr) {
        let mut waited = self.unresolved.lock().take(origin, group);
        while let Some(mut skb) = waited.pop_front() {
            let ifindex = skb.iif();
            let there = NetDevice::with(state.net, ifindex, |dev| skb.set_dev(dev)).is_some();
            let header = ip::input::checked(&mut skb).ok().filter(|_| there);
            let Some((header, vif)) = header.zip(self.vifs.find(ifindex)) else {
                state.counts.drop(skb, DropReason::IpMcUnresolved);
                continue;
            };
            // Whoever is in the group here heard it when it came.
            match self.forward(state, (ifindex, vif), &header, skb, false) {
                Ok(Some(skb)) | Err(skb) => state.counts.drop(skb, DropReason::IpMcUnresolved),
                Ok(None) => (),
            }
        }
    }

    /// Gives up what has waited too long. Softirq.
    ///
    /// Mirrors [`ipmr_expire_process`](srctree/net/ipv4/ipmr.c)
    fn expire(&self, state: &State) {
        let now = timer::now();
        let (gone, next) = self.unresolved.lock().expire(now);
        if let Some(at) = next {
            self.expiry.arm(at, now);
        }
        give_up(state, gone);
    }

    /// Takes a vif away; whether there was one.
    ///
    /// Mirrors [`vif_delete`](srctree/net/ipv4/ipmr.c)
    fn vif_delete(&self, n: u8, rtnl: &Rtnl) -> bool {
        let there = self.vifs.remove(n);
        let held = {
            let mut held = self.held.lock();
            held.get_mut(usize::from(n)).and_then(Option::take)
        };
        if let Some(held) = held {
            // Taking a wish back cannot fail.
            let _ = held.dev.set_allmulti(false, rtnl);
        }
        there
    }
}

/// The question about a packet that has come in by a vif.
fn question(skb: &SkBuff, header: &Header, vif: u8, msg: Msg) -> Option<Skb> {
    upcall::report(skb, header.header_len, vif, msg)
}

/// Drops what waited in vain.
fn give_up(state: &State, mut gone: SkbQueue) {
    while let Some(skb) = gone.pop_front() {
        state.counts.drop(skb, DropReason::IpMcUnresolved);
    }
}

/// A device leaves the namespace, and is no vif any more.
///
/// Mirrors [`ipmr_device_event`](srctree/net/ipv4/ipmr.c)
pub(super) fn device_gone(state: &State, ifindex: u32, rtnl: &Rtnl) {
    let Some(router) = state.mroute.get() else {
        return;
    };
    while let Some(n) = router.vifs.find(ifindex) {
        router.vif_delete(n, rtnl);
    }
}

/// The namespace goes away. Process context, without the RTNL; sleeps.
pub(super) fn stop(state: &State) {
    if state.mroute.get().is_none() {
        return;
    }
    let rtnl = Rtnl::lock();
    if let Some(router) = state.mroute.get() {
        (0..MAXVIFS as u8).for_each(|n| {
            router.vif_delete(n, &rtnl);
        });
        state.mroute.0.replace(None);
    }
}
