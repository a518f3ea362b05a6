// SPDX-License-Identifier: GPL-2.0
//! Groups that RustNet's sockets are in, and IGMP, in `replace`.
//!
//! What is to be told, and when, says [`stack::ip::igmp`](crate::stack::ip::igmp); here it meets devices, sockets, timers
//! and packets. A device has an entry from the first group that a socket joins on it, or the first question that is
//! heard by it, until it goes. In `coexist` memberships are the host's, and it speaks. Those that were made in `replace`
//! stay with RustNet if the mode changes, but the host is then in the group for their sake; those that were made before
//! stay the host's. What sockets of `AF_INET` join is the host's in `replace`, too: both
//! speak, each of its own, and nobody of both, for neither has an entry for the other's (RFC 3376, 6.4.2, lets a router
//! that hears that somebody has left a group ask whether others are still there).
//!
//! Mirrors [`igmp.c`](srctree/net/ipv4/igmp.c)

use super::{
    net::{
        Mode,
        State, //
    },
    route::{
        self,
        Route, //
    },
    tx, //
};
use crate::{
    abstractions::{
        inet::random_u32,
        lock::Lock,
        memory::{
            AllocError,
            Arc, //
        },
        netdevice::{
            DevRef,
            NetDevice, //
        },
        netns::Net,
        proto::Protocol,
        rcu::{
            Rcu,
            RcuBox, //
        },
        rtnl::Rtnl,
        skb_meta::PACKET_LOOPBACK,
        skbuff::Skb,
        sock::Sock,
        timer::{
            self,
            Expire,
            Timer, //
        },
    },
    stack::{
        drop_reason::DropReason,
        ip::{
            igmp::{
                membership::{
                    Filter,
                    Memberships, //
                },
                Ctx,
                Interface,
                Settings, //
            },
            output::{
                self,
                Xmit, //
            },
            route::{
                trie::Trie,
                Flow,
                LOOPBACK_IFINDEX, //
            }, //
        },
        time::{
            Duration,
            Instant, //
        },
        wire::{
            ethernet,
            igmp::{
                self as wire,
                Message,
                Version, //
            },
            ipv4::{
                self,
                Addr, //
            },
        },
    },
};
use core::{
    ptr::null_mut,
    sync::atomic::{
        AtomicBool,
        Ordering, //
    },
};

pub(super) mod filter;
pub(super) mod options;
pub(super) mod proc;

/// The option that has routers look at a packet that is not for them (RFC 2113).
const ROUTER_ALERT: [u8; 4] = [0x94, 4, 0, 0];
/// Internetwork control.
const TOS: u8 = 0xc0;

/// The groups of a socket.
pub(super) type Groups = Memberships<Arc<Device>>;

/// A protocol whose sockets may be in groups.
pub(super) trait Member: Protocol {
    /// Those that a socket has joined in `replace`.
    fn groups(shared: &Self::Shared) -> &Groups;
}

/// A device.
pub(crate) struct Device {
    net: &'static Net,
    ifindex: u32,
    interface: Interface,
    timer: Timer<Expiry>,
    /// The host is in the groups for our sake, and speaks. Changed under the RTNL.
    by_host: AtomicBool,
}

/// A device has something to do.
struct Expiry {
    net: &'static Net,
    ifindex: u32,
}

impl Expire for Expiry {
    fn expire(&self) {
        if let Some(state) = State::of(self.net) {
            if let Some(device) = state.igmp.get(self.ifindex) {
                device.expire(state);
            }
        }
    }
}

/// The devices of a namespace, each under its number, of which all 32 bits count.
pub(crate) struct Table {
    devices: Rcu<Trie<Arc<Device>>>,
    /// Held by who changes them.
    writer: Lock<Writer>,
}

/// Who holds the lock of a table. lockdep knows locks by such types.
struct Writer;

impl Table {
    pub(super) fn new() -> Self {
        Table {
            devices: Rcu::null(),
            writer: Lock::new(Writer),
        }
    }

    fn with<R>(&self, ifindex: u32, f: impl FnOnce(Option<&Arc<Device>>) -> R) -> R {
        self.devices
            .read(|all| f(all.and_then(|d| d.get(Addr::from_u32(ifindex), 32))))
    }

    fn get(&self, ifindex: u32) -> Option<Arc<Device>> {
        self.with(ifindex, |d| d.cloned())
    }

    fn all(&self) -> Trie<Arc<Device>> {
        self.devices.read(|d| d.cloned()).unwrap_or_default()
    }

    /// The device's entry, made if there is none. Atomic.
    fn get_or_new(&self, state: &State, dev: &NetDevice) -> Result<Arc<Device>, AllocError> {
        let ifindex = dev.ifindex();
        if let Some(device) = self.get(ifindex) {
            return Ok(device);
        }
        let net = state.net;
        let new = Arc::try_new(Device {
            net,
            ifindex,
            interface: Interface::default(),
            timer: Timer::new(Expiry { net, ifindex })?,
            by_host: AtomicBool::new(false),
        })?;
        let _writer = self.writer.lock();
        if let Some(device) = self.get(ifindex) {
            return Ok(device);
        }
        let with = self
            .all()
            .insert(Addr::from_u32(ifindex), 32, new.clone())?;
        let with = RcuBox::try_new(with)?;
        if dev.is_up() {
            new.up(dev);
        }
        self.devices.replace(Some(with));
        Ok(new)
    }

    /// A device goes. Under the RTNL.
    fn remove(&self, ifindex: u32) -> Option<Arc<Device>> {
        let gone = self.get(ifindex)?;
        let _writer = self.writer.lock();
        // Without memory the entry stays, quiet, until the namespace goes.
        if let Ok(without) = self.all().remove(Addr::from_u32(ifindex), 32) {
            if let Ok(without) = RcuBox::try_new(without) {
                self.devices.replace(Some(without));
            }
        }
        Some(gone)
    }

    /// The namespace goes.
    pub(super) fn clear(&self) {
        self.devices.replace(None);
    }
}

/// What the administrator says of a device.
fn settings(dev: &NetDevice) -> Settings {
    let sysctl = dev.net().sysctl();
    let conf = dev.igmp_conf();
    let ms = |n: i32| Duration::from_millis(n.max(1) as u64);
    Settings {
        qrv: sysctl.igmp_qrv().clamp(1, 255) as u8,
        force: match conf.force_version {
            1 => Some(Version::V1),
            2 => Some(Version::V2),
            3 => Some(Version::V3),
            _ => None,
        },
        link_local: sysctl.igmp_link_local_mcast_reports() != 0,
        unsolicited_v2: ms(conf.v2_interval),
        unsolicited_v3: ms(conf.v3_interval),
    }
}

/// Calls `f` with what the interface must know of the world.
fn with_ctx<R>(settings: &Settings, f: impl FnOnce(&mut Ctx<'_>) -> R) -> R {
    f(&mut Ctx {
        now: timer::now(),
        settings,
        random: &mut random_u32,
    })
}

impl Device {
    /// Calls `f` with the interface's device, if it is still there.
    fn with_dev<R>(&self, f: impl FnOnce(&NetDevice) -> R) -> Option<R> {
        NetDevice::with(self.net, self.ifindex, f)
    }

    fn arm(&self, next: Option<Instant>) {
        if let Some(at) = next {
            self.timer.arm(at, timer::now());
        }
    }

    /// A socket wants `new` of a group instead of `old`. Without `new` it does not fail.
    pub(super) fn change(
        &self,
        group: Addr,
        old: Option<&Filter>,
        new: Option<&Filter>,
        rtnl: &Rtnl,
    ) -> Result<(), AllocError> {
        let known = self.with_dev(settings).unwrap_or(Settings::DEFAULT);
        let changed = with_ctx(&known, |ctx| self.interface.change(group, old, new, ctx))?;
        if (changed.first || changed.last) && (changed.up || self.is_by_host()) {
            self.hear(group, changed.first, rtnl);
        }
        self.arm(changed.next);
        Ok(())
    }

    fn is_by_host(&self) -> bool {
        self.by_host.load(Ordering::Relaxed)
    }

    /// Has the device take frames to a group, or not. Under the RTNL, which keeps the device there.
    fn hear(&self, group: Addr, on: bool, rtnl: &Rtnl) {
        let Some(dev) = self.with_dev(|dev| DevRef::from(dev)) else {
            return;
        };
        if self.is_by_host() {
            dev.host_group(group.to_u32(), on, rtnl);
        } else if dev.has_ethernet_header() {
            // Without memory the group's packets are not heard, as on the host.
            let _ = dev.want_group(ethernet::Addr::from_multicast(group).0, on, rtnl);
        }
    }

    fn hear_all(&self, on: bool, rtnl: &Rtnl) {
        self.interface.for_each(|g| self.hear(g.addr(), on, rtnl));
    }

    /// The host speaks from now on, or RustNet does.
    fn set_by_host(&self, by_host: bool, rtnl: &Rtnl) {
        if by_host == self.is_by_host() {
            return;
        }
        let up = self.with_dev(|dev| dev.is_up()).unwrap_or(false);
        if up || !by_host {
            self.hear_all(false, rtnl);
        }
        self.by_host.store(by_host, Ordering::Relaxed);
        if by_host {
            self.interface.down();
            self.hear_all(true, rtnl);
        } else if up {
            self.hear_all(true, rtnl);
            self.with_dev(|dev| self.up(dev));
        }
    }

    fn up(&self, dev: &NetDevice) {
        self.arm(with_ctx(&settings(dev), |ctx| self.interface.up(ctx)));
    }

    /// Something is due. Softirq.
    fn expire(&self, state: &State) {
        const HEADERS: usize = ipv4::HEADER_LEN + ROUTER_ALERT.len();
        let known = self.with_dev(|dev| (settings(dev), dev.mtu()));
        let Some((settings, mtu)) = known else {
            return;
        };
        let most = (mtu as usize).saturating_sub(HEADERS);
        let (mut sent, next) = with_ctx(&settings, |ctx| self.interface.expire(most, ctx));
        self.arm(next);
        while let Some(skb) = sent.pop_front() {
            self.send(state, skb);
        }
    }

    /// Sends a message.
    ///
    /// Mirrors [`igmpv3_sendpack`, `igmp_send_report`](srctree/net/ipv4/igmp.c)
    fn send(&self, state: &State, mut skb: Skb) {
        let Some(daddr) = wire::destination(skb.linear()) else {
            return state.counts.drop(skb, DropReason::NotSpecified);
        };
        let flow = Flow {
            daddr,
            oif: self.ifindex as i32,
            iif: LOOPBACK_IFINDEX,
            ..Flow::default()
        };
        let Ok(route) = Route::output(state, &flow) else {
            return state.counts.drop(skb, DropReason::IpOutNoRoutes);
        };
        // From nowhere rather than from another link's address (RFC 3376, 4.2.13).
        let own = route::device_of(state, route.saddr()) == self.ifindex as i32;
        let mut x = Xmit {
            saddr: if own { route.saddr() } else { Addr::ANY },
            daddr,
            protocol: ipv4::Protocol::IGMP,
            tos: TOS,
            ttl: 1,
            dont_fragment: true,
            id: 0,
        };
        x.id = state.idents.select(&x, 1);
        if let Err(reason) = output::queue_xmit_options(&mut skb, &x, &ROUTER_ALERT) {
            return state.counts.drop(skb, reason);
        }
        // What is lost is told again.
        let _ = tx::local_out(state, &route, skb, route.mtu(), null_mut(), timer::now());
    }
}

/// Whether this host is in the group on the device. Any context.
#[inline]
pub(super) fn has_group(state: &State, dev: &NetDevice, group: Addr) -> bool {
    let ours = |d: Option<&Arc<Device>>| d.is_some_and(|d| d.interface.is_in(group));
    dev.has_group(group.to_u32()) || state.igmp.with(dev.ifindex(), ours)
}

/// Whether the socket wants what `saddr` sent to `daddr` and what came in by the device: not if `daddr` is a group that it
/// has not joined there and `IP_MULTICAST_ALL` is off, or if it wants others' packets only. Any context.
///
/// Mirrors [`ip_mc_sf_allow`](srctree/net/ipv4/igmp.c)
#[inline]
pub(super) fn sf_allow<P: Member>(so: &Sock<P>, daddr: Addr, saddr: Addr, ifindex: u32) -> bool {
    if !daddr.is_multicast() {
        return true;
    }
    let dif = ifindex as i32;
    P::groups(so.shared())
        .allows(daddr, saddr, dif)
        .unwrap_or_else(|| so.mc_sf_allow(daddr.to_u32(), saddr.to_u32(), dif))
}

/// Leaves every group, before the socket goes. Process context, without the socket's lock; sleeps.
///
/// Mirrors [`ip_mc_drop_socket`](srctree/net/ipv4/igmp.c)
pub(super) fn drop_socket<P: Member>(so: &Sock<P>) {
    so.leave_groups();
    let groups = P::groups(so.shared());
    if groups.is_empty() {
        return;
    }
    let rtnl = Rtnl::lock();
    for joined in (0..).map_while(|n| groups.nth(n)) {
        // Leaving does not fail.
        let _ = joined
            .device
            .change(joined.group, Some(&joined.filter), None, &rtnl);
    }
    groups.clear();
}

/// Takes a message whose data begin with its first byte. Softirq; consumes the packet.
///
/// Mirrors [`igmp_rcv`](srctree/net/ipv4/igmp.c)
#[cold]
pub(super) fn rcv(state: &State, ifindex: u32, mut skb: Skb) {
    // Our own are no news.
    if state.mode() != Mode::Replace || skb.pkt_type() == PACKET_LOOPBACK {
        return skb.consume();
    }
    let len = skb.len();
    let Some(bytes) = skb.may_pull(len) else {
        return state.counts.drop(skb, DropReason::PktTooSmall);
    };
    let message = match Message::parse(bytes) {
        Ok(message) => message,
        Err(reason) => return state.counts.drop(skb, reason),
    };
    // Only who asks is news on a device where nobody of ours is in a group.
    NetDevice::with(state.net, ifindex, |dev| {
        let device = match message {
            Message::Query(_) => state.igmp.get_or_new(state, dev).ok(),
            _ => state.igmp.get(ifindex),
        };
        if let Some(device) = device {
            let next = with_ctx(&settings(dev), |ctx| device.interface.heard(&message, ctx));
            device.arm(next);
        }
    });
    skb.consume();
}

/// A device has come up. Under the RTNL.
pub(super) fn device_up(state: &State, dev: &NetDevice, rtnl: &Rtnl) {
    let device = state.igmp.get(dev.ifindex());
    if let Some(device) = device.filter(|d| !d.is_by_host()) {
        device.hear_all(true, rtnl);
        device.up(dev);
    }
}

/// A device has gone down. Under the RTNL.
pub(super) fn device_down(state: &State, ifindex: u32, rtnl: &Rtnl) {
    let device = state.igmp.get(ifindex);
    if let Some(device) = device.filter(|d| !d.is_by_host()) {
        device.hear_all(false, rtnl);
        device.interface.down();
    }
}

/// The mode has changed: who speaks is now another. Process context, without the RTNL; sleeps.
pub(super) fn set_mode(state: &State, mode: Mode) {
    let rtnl = Rtnl::lock();
    state.igmp.all().walk((Addr::ANY, 0), |_, _, device| {
        device.set_by_host(mode == Mode::Coexist, &rtnl);
        true
    });
}

/// A device leaves the namespace. Its sockets keep what they have of it, and it tells nobody anything any more.
pub(super) fn device_gone(state: &State, ifindex: u32) {
    if let Some(device) = state.igmp.remove(ifindex) {
        device.by_host.store(false, Ordering::Relaxed);
        device.interface.down();
    }
}
