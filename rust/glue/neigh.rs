// SPDX-License-Identifier: GPL-2.0
//! Neighbours: what the stack's state machine wants done.
//!
//! Locks: none is held while a packet is sent or a question asked; the state machine hands out what is
//! to be done ([`Effects`]) and is done with its own lock by then.

use super::ip_input;
use super::net::{
    Mode,
    State, //
};
use super::tx;
use crate::abstractions::fib_notifier;
use crate::abstractions::lock::Lock;
use crate::abstractions::memory::Arc;
use crate::abstractions::netdevice::NetDevice;
use crate::abstractions::netevent;
use crate::abstractions::netns::Net;
use crate::abstractions::rcu::{
    self,
    ReadGuard, //
};
use crate::abstractions::skb_queue::SkbQueue;
use crate::abstractions::skbuff::Skb;
use crate::abstractions::timer::{
    self,
    Expire,
    Timer, //
};
use crate::stack::dev::{
    Link,
    PacketType, //
};
use crate::stack::drop_reason::DropReason;
use crate::stack::errno::Errno;
use crate::stack::ip::route::{
    Kind,
    Scope, //
};
use crate::stack::neigh::entry::How;
use crate::stack::neigh::{
    self,
    arp,
    Effects,
    Key,
    Nud,
    Output,
    Params,
    Solicit, //
};
use crate::stack::time::Instant;
use crate::stack::wire::arp::Repr;
use crate::stack::wire::ethernet::{
    self,
    EtherType, //
};
use crate::stack::wire::ipv4::Addr;

/// A neighbour and its timer.
pub(crate) type Neigh = neigh::Neigh<Clock>;
/// All neighbours of a namespace.
pub(super) type Table = neigh::Table<Clock>;

/// Timing and limits.
const PARAMS: &Params = &Params::DEFAULT;

/// A neighbour's timer, made when it is first needed: most of the time it is not there at all.
pub(crate) struct Clock {
    net: &'static Net,
    timer: Lock<Option<Timer<Due>>>,
}

/// Whose timer it is. The neighbour is looked up when it is due: by then it may be gone.
struct Due {
    net: &'static Net,
    key: Key,
}

impl Clock {
    /// Has the neighbour's time come at `at`. Without memory for a timer the next packet tries again.
    fn arm(&self, key: Key, at: Instant, now: Instant) {
        let mut timer = self.timer.lock();
        if timer.is_none() {
            *timer = Timer::new(Due { net: self.net, key }).ok();
        }
        if let Some(timer) = &*timer {
            timer.arm(at, now);
        }
    }
}

impl Expire for Due {
    fn expire(&self) {
        let Some(state) = State::of(self.net) else {
            return;
        };
        let Some(n) = state.neigh.lookup(self.key) else {
            return;
        };
        let now = timer::now();
        let effects = n.on_timer(PARAMS, now);
        apply(state, &n, effects, now);
        let mut dead = SkbQueue::new();
        state.neigh.gc(PARAMS, now, &mut dead);
        purge(state, dead, DropReason::NeighDead);
    }
}

/// A device as the stack sees it.
#[inline]
pub(super) fn link(dev: &NetDevice) -> Link {
    Link {
        ifindex: dev.ifindex() as i32,
        mtu: dev.mtu(),
        addr: ethernet::Addr(dev.addr()),
        broadcast: ethernet::Addr(dev.broadcast()),
        has_header: dev.has_ethernet_header(),
        noarp: !dev.needs_arp(),
    }
}

fn clock(state: &State) -> Clock {
    Clock {
        net: state.net,
        timer: Lock::new(None),
    }
}

/// Calls `f` with the neighbour `addr` behind `dev`, made if it is not there. Atomic. `None` when there is no memory,
/// or no room in the table.
///
/// Mirrors [`ip_neigh_gw4`](srctree/include/net/route.h)
#[inline]
pub(super) fn with<R>(
    state: &State,
    dev: &NetDevice,
    addr: Addr,
    rcu: &ReadGuard,
    f: impl FnOnce(Option<&Arc<Neigh>>) -> R,
) -> R {
    let key = Key {
        ifindex: dev.ifindex() as i32,
        addr,
    };
    state.neigh.with(rcu, key, |n| {
        let made;
        f(match n {
            Some(n) => Some(n),
            None => {
                made = create(state, key);
                made.as_ref()
            }
        })
    })
}

/// The neighbour `addr` behind `dev`, as [`with`] finds it.
fn lookup(state: &State, dev: &NetDevice, addr: Addr) -> Option<Arc<Neigh>> {
    with(state, dev, addr, &rcu::read_lock(), |n| n.cloned())
}

/// The neighbour, made if it is not there.
#[cold]
fn create(state: &State, key: Key) -> Option<Arc<Neigh>> {
    let mut dead = SkbQueue::new();
    let now = timer::now();
    let found = state
        .neigh
        .lookup_or_create(key, None, || clock(state), PARAMS, now, &mut dead);
    purge(state, dead, DropReason::NeighDead);
    match found {
        Ok(n) => Some(n),
        Err(_) => {
            state.counts.dropped(DropReason::NeighCreatefail);
            None
        }
    }
}

/// Whether the address of the neighbour `addr` behind `dev` is known. If not, it is asked for.
pub(super) fn is_resolved(state: &State, dev: &NetDevice, addr: Addr) -> bool {
    let Some(n) = lookup(state, dev, addr) else {
        return false;
    };
    if n.addr().is_some() {
        return true;
    }
    let now = timer::now();
    let effects = n.resolve(PARAMS, now);
    apply(state, &n, effects, now);
    false
}

/// Sends a packet, whose data begin with the IP header, to a neighbour; it waits if the address is not
/// known yet. The clock is asked only if the state machine is. Errors: those of the device's queue.
#[inline]
pub(super) fn output(
    state: &State,
    n: &Arc<Neigh>,
    dev: &NetDevice,
    skb: Skb,
    now: impl FnOnce() -> Instant,
) -> Result<(), Errno> {
    match n.connected() {
        Some(ha) => tx::xmit(state, dev, skb, ha),
        None => event_send(state, n, dev, skb, now()),
    }
}

/// The same, when the state machine has to be asked.
#[cold]
fn event_send(
    state: &State,
    n: &Arc<Neigh>,
    dev: &NetDevice,
    skb: Skb,
    now: Instant,
) -> Result<(), Errno> {
    match n.output(skb, PARAMS, now) {
        Output::Send(skb, ha) => tx::xmit(state, dev, skb, ha),
        Output::Then(effects) => {
            apply(state, n, effects, now);
            Ok(())
        }
        Output::Dead(skb) => output_anew(state, n.key().addr, dev, skb, now),
    }
}

/// The neighbour that a route knew is gone: asks for another one, once.
#[cold]
fn output_anew(
    state: &State,
    addr: Addr,
    dev: &NetDevice,
    skb: Skb,
    now: Instant,
) -> Result<(), Errno> {
    let Some(n) = lookup(state, dev, addr) else {
        state.counts.drop(skb, DropReason::NeighCreatefail);
        return Err(Errno::ENOBUFS);
    };
    match n.output(skb, PARAMS, now) {
        Output::Send(skb, ha) => tx::xmit(state, dev, skb, ha),
        Output::Then(effects) => {
            apply(state, &n, effects, now);
            Ok(())
        }
        Output::Dead(skb) => {
            state.counts.drop(skb, DropReason::NeighDead);
            Err(Errno::ENOBUFS)
        }
    }
}

/// Does what the state machine wants done.
#[cold]
fn apply(state: &State, n: &Neigh, mut effects: Effects, now: Instant) {
    let key = n.key();
    if let Some(at) = effects.timer {
        n.attached.arm(key, at, now);
    }
    let found = NetDevice::with(state.net, key.ifindex as u32, |dev| {
        while let Some(skb) = effects.send.pop_front() {
            // Errors are the device's: it has counted them.
            let _ = tx::xmit(state, dev, skb, effects.ha);
        }
        if let Some(s) = &effects.solicit {
            solicit(state, dev, s);
        }
    });
    if found.is_none() {
        purge(
            state,
            core::mem::take(&mut effects.send),
            DropReason::DevReady,
        );
    }
    if let Some(counter) = effects.count {
        state
            .counts
            .events(counter, effects.drop.len().max(1) as u64);
    }
    let reason = effects.reason.unwrap_or(DropReason::NeighFailed);
    purge(state, effects.drop, reason);
}

/// Drops packets that waited; the senders of those whose neighbour did not answer are told.
///
/// Mirrors [`arp_error_report`](srctree/net/ipv4/arp.c)
#[cold]
fn purge(state: &State, mut packets: SkbQueue, reason: DropReason) {
    while let Some(mut skb) = packets.pop_front() {
        if reason == DropReason::NeighFailed {
            ip_input::link_failure(state, &mut skb);
        }
        state.counts.drop(skb, reason);
    }
}

/// Asks for an address.
///
/// Mirrors [`arp_solicit`](srctree/net/ipv4/arp.c)
fn solicit(state: &State, dev: &NetDevice, s: &Solicit) {
    let source = arp::source(
        s,
        |addr| state.addr_type(addr) == Kind::Local,
        |target| {
            Addr::from_u32(fib_notifier::select_addr(
                state.net,
                dev.ifindex(),
                target.to_u32(),
                Scope::LINK.0,
            ))
        },
    );
    let (repr, to) = arp::request(s, &link(dev), source);
    send(state, dev, &repr, to);
}

/// Sends an ARP packet.
fn send(state: &State, dev: &NetDevice, repr: &Repr, to: ethernet::Addr) {
    let Some(mut skb) = arp::create(repr) else {
        return state.counts.dropped(DropReason::Nomem);
    };
    skb.set_protocol(EtherType::ARP.0);
    skb.set_dev(dev);
    if !tx::push_ethernet(&mut skb, dev, to) {
        return state.counts.drop(skb, DropReason::NeighHhFillfail);
    }
    NetDevice::arp_xmit(skb);
}

/// Takes an ARP frame whose data begin with the ARP packet. Softirq, under RCU.
///
/// Mirrors [`arp_rcv`](srctree/net/ipv4/arp.c)
pub(super) fn rcv(state: &State, dev: &NetDevice, mut skb: Skb) {
    let packet_type = PacketType::from_bits(skb.pkt_type());
    let link = link(dev);
    let len = skb.len().min(28);
    let heard = match skb.may_pull(len) {
        Some(bytes) => arp::check(bytes, &link, packet_type),
        None => Err(DropReason::Nomem),
    };
    let heard = match heard {
        Ok(heard) => heard,
        // Frames that the host hears too are not dropped by us.
        Err(_) if state.mode() == Mode::Coexist => return skb.consume(),
        Err(reason) => return state.counts.drop(skb, reason),
    };
    let now = timer::now();
    let ctx = arp::Context {
        link: &link,
        tip_is_local: state.addr_type(heard.repr.tip) == Kind::Local,
        answer: state.mode() == Mode::Replace,
        params: PARAMS,
        now,
    };
    let mut dead = SkbQueue::new();
    let learned = arp::rcv(&state.neigh, heard, &ctx, || clock(state), &mut dead);
    purge(state, dead, DropReason::NeighDead);
    if let Some((n, effects)) = learned.neigh {
        apply(state, &n, effects, now);
    }
    if let Some(reply) = learned.reply {
        send(state, dev, &reply, reply.tha);
    }
    skb.consume();
}

/// The device is down or goes away: forgets its neighbours. Process context, under the RTNL.
///
/// Mirrors [`neigh_ifdown`](srctree/net/core/neighbour.c)
pub(super) fn flush(state: &State, ifindex: u32) {
    let mut dead = SkbQueue::new();
    state.neigh.flush(ifindex as i32, true, &mut dead);
    purge(state, dead, DropReason::NeighDead);
}

/// Follows what the administrator says of neighbours (`ip neigh`).
pub(crate) struct Admin;

impl netevent::Listener for Admin {
    fn event(dev: &NetDevice, known: netevent::Known) {
        let Some(state) = State::of(dev.net()) else {
            return;
        };
        let addr = Addr::from_u32(known.addr);
        let key = Key {
            ifindex: dev.ifindex() as i32,
            addr,
        };
        let (n, nud) = match known.permanent {
            true => (lookup(state, dev, addr), Nud::Permanent),
            // The entry was deleted, or is an ordinary one now: to be asked for again.
            false => (
                state
                    .neigh
                    .lookup(key)
                    .filter(|n| n.state() == Nud::Permanent),
                Nud::None,
            ),
        };
        if let Some(n) = n {
            let now = timer::now();
            let effects = n.update(ethernet::Addr(known.ha), nud, How::Admin, PARAMS, now);
            apply(state, &n, effects, now);
        }
    }
}
