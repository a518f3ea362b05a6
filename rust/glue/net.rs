// SPDX-License-Identifier: GPL-2.0
//! What a network namespace has of RustNet: its mode, its routes, its neighbours, its counters.
//!
//! [`State`] is made with the namespace and dropped with it; everything that refers to it (hooks,
//! notifiers, files) is registered in `start` and taken back in `stop`, a grace period before.

use super::drop::Counts;
use super::fib;
use super::frag;
use super::igmp;
use super::mroute;
use super::neigh;
use super::proc;
use super::route::Hops;
use super::rx;
use super::sysctl;
use crate::abstractions::fib_notifier;
use crate::abstractions::inet::random_u32;
use crate::abstractions::lock::Lock;
use crate::abstractions::memory::{
    Arc,
    Array, //
};
use crate::abstractions::netdevice::{
    Event,
    Listener,
    NetDevice, //
};
use crate::abstractions::netns::{
    self,
    Net,
    PerNet,
    Slot, //
};
use crate::abstractions::nf_hook;
use crate::abstractions::rcu::{
    self,
    ReadGuard, //
};
use crate::abstractions::rtnl::Rtnl;
use crate::abstractions::timer;
use crate::stack::icmp::limit::{
    self,
    Limiter, //
};
use crate::stack::ip::output::Idents;
use crate::stack::ip::route::exception::Exceptions;
use crate::stack::ip::route::{
    Fib,
    Kind, //
};
use crate::stack::socket::ports::PortRange;
use crate::stack::socket::siphash::Key;
use crate::stack::wire::icmp::Type;
use crate::stack::wire::ipv4::Addr;
use core::sync::atomic::{
    AtomicBool,
    AtomicU32,
    Ordering, //
};
use kernel::prelude::*;
use kernel::sync::{
    new_mutex,
    Mutex, //
};
use kernel::xarray::{
    AllocKind,
    XArray, //
};

/// Who owns the packets of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// RustNet owns the flows of its own sockets, the host stack everything else.
    Coexist,
    /// RustNet owns all IPv4 and ARP.
    Replace,
}

/// The bit of [`State::active`] that says [`Mode::Replace`]; the rest counts sockets.
const REPLACE: u32 = 1 << 31;

/// So many ports, a power of two, share a number in [`State::port_users`]: neighbours do, for the ports that this stack and
/// the host pick are neighbours among themselves.
const PORTS_SHIFT: u32 = 6;

/// RustNet's part of a namespace.
pub(crate) struct State {
    /// The namespace.
    pub(crate) net: &'static Net,
    /// Mode and number of sockets in one word, for the one question that every packet of the host asks:
    /// is there anything of RustNet's here?
    active: AtomicU32,
    /// How many users the ports have that begin with the same bits: answers most packets of the host with two loads.
    port_users: Array<AtomicU32>,
    /// The ports that are picked in [`Mode::Coexist`]: the lowest in the lower half, the highest in the
    /// upper. The host's own range begins below and ends before it, so that neither stack picks what the
    /// other may have picked.
    port_range: AtomicU32,
    /// How many raw sockets there are.
    raw: AtomicU32,
    /// Events and drops.
    pub(crate) counts: Counts,
    /// How many TIME_WAITs it has.
    pub(super) time_waits: Arc<AtomicU32>,
    /// The host's routes.
    pub(crate) fib: Fib,
    /// How far the mirror of them can be trusted.
    pub(crate) fib_state: fib::Mirror,
    /// Keeps others from steering flows to one of several next hops.
    pub(super) multipath_secret: u32,
    /// What was learned of single destinations.
    pub(super) exceptions: Exceptions,
    /// What packets carry as their route.
    pub(super) hops: Hops,
    /// Neighbours.
    pub(super) neigh: neigh::Table,
    /// The groups of its sockets, in [`Mode::Replace`].
    pub(super) igmp: igmp::Table,
    /// The multicast router, in [`Mode::Replace`].
    pub(super) mroute: mroute::Slot,
    /// Fragments, in [`Mode::Replace`].
    pub(super) frags: frag::Table,
    /// Identifications of packets without a connected socket.
    pub(crate) idents: Idents,
    /// How many ICMP errors may be sent.
    icmp: Limiter,
    /// What keeps the host quiet, in [`Mode::Replace`].
    silence: Pin<KBox<Mutex<Option<rx::Silence>>>>,
    /// What `start` registered.
    registered: Lock<Option<Registered>>,
    /// What claims packets. It costs every packet of the host a little, so it is not there in a namespace
    /// where nobody ever asked for a socket of ours.
    claims: Pin<KBox<Mutex<Option<rx::Claims>>>>,
    /// Whether there is.
    claiming: AtomicBool,
    /// The ingress hooks by the number of their device.
    ingress: Pin<KBox<XArray<KBox<nf_hook::Registration>>>>,
}

/// What a namespace registers, in the order in which it is taken back.
struct Registered {
    _fib: fib::Registration,
    _sysctl: sysctl::Registration,
    _proc: proc::Registration,
}

static SLOT: Slot<State> = Slot::new();

impl PerNet for State {
    fn slot() -> &'static Slot<Self> {
        &SLOT
    }

    fn new(net: &'static Net) -> Result<Self> {
        Ok(State {
            net,
            active: AtomicU32::new(0),
            port_users: Array::try_from_fn(1 << (u16::BITS - PORTS_SHIFT), |_| AtomicU32::new(0))?,
            port_range: AtomicU32::new(61_000 | 65_535 << 16),
            raw: AtomicU32::new(0),
            counts: Counts::new(net)?,
            time_waits: Arc::try_new(AtomicU32::new(0))?,
            fib: Fib::try_new()?,
            fib_state: fib::Mirror::new(),
            multipath_secret: random_u32(),
            exceptions: Exceptions::new(random_u32()),
            hops: Hops::new(),
            neigh: neigh::Table::try_new(random_u32())?,
            igmp: igmp::Table::new(),
            mroute: mroute::Slot::new(),
            frags: frag::Table::new(net)?,
            idents: Idents::try_new(8, random_key())?,
            icmp: Limiter::try_new(8, random_key())?,
            silence: KBox::pin_init(new_mutex!(None), GFP_KERNEL)?,
            registered: Lock::new(None),
            claims: KBox::pin_init(new_mutex!(None), GFP_KERNEL)?,
            claiming: AtomicBool::new(false),
            ingress: KBox::pin_init(XArray::new(AllocKind::Alloc), GFP_KERNEL)?,
        })
    }

    fn start(&'static self) -> Result {
        let all = Registered {
            _proc: proc::register(self)?,
            _sysctl: sysctl::register(self)?,
            _fib: fib::register(self)?,
        };
        *self.registered.lock() = Some(all);
        Ok(())
    }

    fn stop(&'static self) {
        // Taken back outside of the lock: unregistering sleeps.
        let all = self.registered.lock().take();
        drop(all);
        *self.silence.lock() = None;
        *self.claims.lock() = None;
        mroute::stop(self);
        self.igmp.clear();
        neigh::flush(self, 0);
        self.hops.clear();
        super::tcp_timewait::purge(Some(self.net));
    }
}

impl State {
    /// RustNet's part of `net`: see [`netns::get`] for when there is none.
    #[inline]
    pub(crate) fn of(net: &Net) -> Option<&State> {
        netns::get(net)
    }

    /// The number that a kept route must still have to be good: it changes with what we know, and with
    /// everything of the host's that its own routes are kept by.
    #[inline]
    pub(crate) fn genid(&self) -> u32 {
        self.fib.genid().wrapping_add(self.net.rt_genid())
    }

    /// Whether no packet of the namespace can be RustNet's.
    #[inline]
    pub(crate) fn idle(&self) -> bool {
        self.active.load(Ordering::Relaxed) == 0
    }

    /// Who owns the namespace's packets.
    #[inline]
    pub(crate) fn mode(&self) -> Mode {
        match self.active.load(Ordering::Relaxed) & REPLACE {
            0 => Mode::Coexist,
            _ => Mode::Replace,
        }
    }

    /// Changes the mode. What is cached of the way of packets is outdated. Process context; sleeps.
    pub(crate) fn set_mode(&self, mode: Mode) -> Result {
        let mut silence = self.silence.lock();
        match mode {
            Mode::Replace => {
                if silence.is_none() {
                    *silence = Some(rx::Silence::new(self.net)?);
                }
                self.active.fetch_or(REPLACE, Ordering::Relaxed);
                if let Some(claims) = &mut *self.claims.lock() {
                    claims.end_early();
                }
            }
            Mode::Coexist => {
                self.active.fetch_and(!REPLACE, Ordering::Relaxed);
                *silence = None;
                if let Some(claims) = &mut *self.claims.lock() {
                    claims.begin_early(self);
                }
            }
        }
        igmp::set_mode(self, mode);
        self.fib.bump();
        Ok(())
    }

    /// Begins to claim packets, if that was not done before: called before there is a socket that packets
    /// may be for. Process context, without the RTNL and without a socket's lock; sleeps the first time.
    #[inline]
    pub(crate) fn activate(&self) -> Result {
        match self.claiming.load(Ordering::Acquire) {
            true => Ok(()),
            false => self.begin_claims(),
        }
    }

    #[cold]
    fn begin_claims(&self) -> Result {
        let mut claims = self.claims.lock();
        if claims.is_none() {
            *claims = Some(rx::Claims::new(self)?);
            self.claiming.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Something that packets to the local port `port` may be for has come into the namespace.
    #[inline]
    pub(crate) fn add_user(&self, port: u16) {
        if let Some(n) = self.port_users(port) {
            n.fetch_add(1, Ordering::Relaxed);
        }
        self.active.fetch_add(1, Ordering::Relaxed);
    }

    /// It has gone.
    #[inline]
    pub(crate) fn remove_user(&self, port: u16) {
        if let Some(n) = self.port_users(port) {
            n.fetch_sub(1, Ordering::Relaxed);
        }
        self.active.fetch_sub(1, Ordering::Relaxed);
    }

    /// A raw socket has come into the namespace.
    pub(super) fn add_raw(&self) {
        self.raw.fetch_add(1, Ordering::Relaxed);
        self.active.fetch_add(1, Ordering::Relaxed);
    }

    /// It has gone.
    pub(super) fn remove_raw(&self) {
        self.raw.fetch_sub(1, Ordering::Relaxed);
        self.active.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether there is a raw socket.
    #[inline]
    pub(super) fn has_raw(&self) -> bool {
        self.raw.load(Ordering::Relaxed) != 0
    }

    #[inline]
    fn port_users(&self, port: u16) -> Option<&AtomicU32> {
        self.port_users.get(usize::from(port >> PORTS_SHIFT))
    }

    /// Whether packets to the local port `port` may be for one of ours. Ports share answers, so a yes says
    /// little; a no is for sure.
    #[inline]
    pub(super) fn may_have_port(&self, port: u16) -> bool {
        self.port_users(port)
            .is_some_and(|n| n.load(Ordering::Relaxed) != 0)
    }

    /// The ports that are picked in [`Mode::Coexist`].
    pub(crate) fn port_range(&self) -> PortRange {
        let range = self.port_range.load(Ordering::Relaxed);
        PortRange {
            low: range as u16,
            high: (range >> 16) as u16,
        }
    }

    /// Sets them.
    pub(super) fn set_port_range(&self, range: PortRange) {
        let range = u32::from(range.low) | u32::from(range.high) << 16;
        self.port_range.store(range, Ordering::Relaxed);
    }

    /// What an address is to this host.
    #[inline]
    pub(crate) fn addr_type(&self, addr: Addr) -> Kind {
        self.addr_type_in(&rcu::read_lock(), addr)
    }

    /// The same for who is in a read-side critical section already.
    #[inline]
    pub(super) fn addr_type_in(&self, rcu: &ReadGuard, addr: Addr) -> Kind {
        if self.fib_state.is_lossy() {
            let rtn = fib_notifier::addr_type(self.net, addr.to_u32());
            return Kind::from_rtn(rtn).unwrap_or(Kind::Unicast);
        }
        self.fib.addr_type_in(rcu, addr)
    }

    /// Whether an ICMP error may be sent to `daddr` now.
    pub(crate) fn icmp_allow(&self, kind: Type, code: u8, daddr: Addr) -> bool {
        let sysctl = self.net.sysctl();
        if !limit::is_limited(sysctl, kind, code) {
            return true;
        }
        let (local, now) = (daddr.is_loopback(), timer::now());
        match self.icmp.allow(sysctl, daddr, local, random_u32(), now) {
            Ok(()) => true,
            Err(counter) => {
                self.counts.event(counter);
                false
            }
        }
    }

    /// Whether `peer`, which has sent a packet the wrong way, may be told so now.
    pub(crate) fn icmp_allow_redirect(&self, peer: Addr) -> bool {
        self.icmp.allow_redirect(peer, timer::now())
    }

    /// Registers the early claim on a device. Process context; sleeps.
    fn add_ingress(&self, dev: &NetDevice) -> Result {
        let hook = nf_hook::Registration::ingress::<rx::Ingress>(self.net, dev)?;
        let hook = KBox::new(hook, GFP_KERNEL)?;
        let stored = self
            .ingress
            .lock()
            .store(dev.ifindex() as usize, hook, GFP_KERNEL);
        // Whatever is dropped here is dropped with the array's lock open: unregistering sleeps.
        match stored {
            Ok(_none) => Ok(()),
            Err(e) => Err(e.error),
        }
    }

    /// How many there are.
    pub(crate) fn users(&self) -> u32 {
        self.active.load(Ordering::Relaxed) & !REPLACE
    }
}

/// A secret of siphash.
fn random_key() -> Key {
    let half = || u64::from(random_u32()) << 32 | u64::from(random_u32());
    Key([half(), half()])
}

/// Follows the devices of a namespace in [`Mode::Replace`].
pub(super) struct Ports;

impl Listener for Ports {
    fn event(dev: &NetDevice, event: Event, _rtnl: &Rtnl) {
        let Some(state) = State::of(dev.net()) else {
            return;
        };
        let at = dev.ifindex() as usize;
        match event {
            Event::Register => {
                if state.add_ingress(dev).is_err() {
                    // Its packets are then heard as those of a bridge are.
                    pr_warn!("no ingress hook on device {}\n", at);
                }
            }
            Event::Unregister => {
                let hook = state.ingress.lock().remove(at);
                drop(hook);
            }
            Event::Up | Event::Down | Event::Change | Event::Mtu(_) => (),
        }
    }
}

/// Follows the devices of all namespaces.
pub(crate) struct Devices;

impl Listener for Devices {
    fn event(dev: &NetDevice, event: Event, rtnl: &Rtnl) {
        let Some(state) = State::of(dev.net()) else {
            return;
        };
        match event {
            Event::Unregister => {
                mroute::device_gone(state, dev.ifindex(), rtnl);
                igmp::device_gone(state, dev.ifindex());
                neigh::flush(state, dev.ifindex());
                state.hops.flush(dev.ifindex());
            }
            Event::Up => igmp::device_up(state, dev, rtnl),
            Event::Down => {
                igmp::device_down(state, dev.ifindex(), rtnl);
                neigh::flush(state, dev.ifindex());
            }
            Event::Mtu(old) => state
                .exceptions
                .sync_mtu(dev.ifindex() as i32, dev.mtu(), old),
            Event::Register | Event::Change => (),
        }
        state.fib.bump();
    }
}
