// SPDX-License-Identifier: GPL-2.0
//! One neighbour: its state machine and the packets that wait for its address.
//!
//! Context: any but hard interrupts. The lock inside is taken by everything but the fast path of
//! [`Neigh::output`] and [`Neigh::confirm`].

use super::table::Key;
use super::Params;
use crate::platform::{
    Lock,
    LockGuard,
    SkBuff,
    Skb,
    SkbQueue, //
};
use crate::stack::counters::Counter;
use crate::stack::drop_reason::DropReason;
use crate::stack::time::{
    Duration,
    Instant, //
};
use crate::stack::wire::ethernet::Addr;
use crate::stack::wire::ipv4;
use core::sync::atomic::{
    AtomicU64,
    Ordering, //
};

/// What is known of a neighbour (RFC 4861, 7.3.2). The numbers are those of `NUD_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Nud {
    /// Nothing, and nobody wanted to know.
    None = 0,
    /// It is being asked for its address.
    Incomplete = 0x01,
    /// Its address is known, and was confirmed lately.
    Reachable = 0x02,
    /// Its address is known, but old: to be verified once it is used.
    Stale = 0x04,
    /// It is used; perhaps somebody above confirms it.
    Delay = 0x08,
    /// It is being asked whether it is still there.
    Probe = 0x10,
    /// It did not answer.
    Failed = 0x20,
    /// It is never asked: broadcasts, groups, devices without ARP.
    Noarp = 0x40,
    /// The administrator says so.
    Permanent = 0x80,
}

impl Nud {
    /// Whether the address is known and may be used without a second thought.
    ///
    /// Mirrors `NUD_CONNECTED`.
    const fn is_connected(self) -> bool {
        matches!(self, Nud::Permanent | Nud::Noarp | Nud::Reachable)
    }

    /// Whether the address is known.
    ///
    /// Mirrors `NUD_VALID`.
    const fn is_valid(self) -> bool {
        self.is_connected() || matches!(self, Nud::Probe | Nud::Stale | Nud::Delay)
    }

    /// Whether time changes the state.
    ///
    /// Mirrors `NUD_IN_TIMER`.
    pub(super) const fn in_timer(self) -> bool {
        matches!(
            self,
            Nud::Incomplete | Nud::Reachable | Nud::Delay | Nud::Probe
        )
    }
}

/// A question to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Solicit {
    /// Whose address is wanted.
    pub target: ipv4::Addr,
    /// Where to ask: the known address, or everybody.
    pub to: Option<Addr>,
    /// The source address of the packet that waits longest, if one does: the best address to ask by,
    /// if it is ours.
    pub hint: Option<ipv4::Addr>,
}

/// What an event leads to. Everything in it is the caller's to do, without the lock.
#[derive(Debug, Default)]
#[must_use]
pub struct Effects {
    /// Packets to be sent to [`Effects::ha`] now.
    pub send: SkbQueue,
    /// The neighbour's address, when there are packets to send.
    pub ha: Addr,
    /// Packets to be dropped. Reason [`DropReason::NeighFailed`] tells their senders, too.
    pub drop: SkbQueue,
    /// Why.
    pub reason: Option<DropReason>,
    /// A question to be asked.
    pub solicit: Option<Solicit>,
    /// When to call [`Neigh::on_timer`]; a call before that does no harm. `None`: not needed.
    pub timer: Option<Instant>,
    /// Something to be counted, once for each packet dropped.
    pub count: Option<Counter>,
}

/// What becomes of a packet for a neighbour.
#[derive(Debug)]
#[must_use]
pub enum Output {
    /// It goes to that address.
    Send(Skb, Addr),
    /// It waits, or goes and something else is to be done.
    Then(Effects),
    /// This neighbour is no more: look it up anew.
    Dead(Skb),
}

/// The address may be used.
const VALID: u64 = 1 << 48;
/// The address may be used without telling the state machine.
const CONNECTED: u64 = 1 << 49;
/// The entry was taken out of its table.
const DEAD: u64 = 1 << 50;

/// A neighbour, with what glue attaches to it: its timer.
#[derive(Debug)]
pub struct Neigh<T> {
    key: Key,
    /// The address in the low 48 bits, [`VALID`], [`CONNECTED`], [`DEAD`]: all that the transmit path
    /// reads, in one word, so that it is never seen half-changed.
    ha: AtomicU64,
    /// When a packet last asked the state machine, in nanoseconds.
    used: AtomicU64,
    /// When the neighbour last showed that it is there, in nanoseconds.
    confirmed: AtomicU64,
    inner: Lock<Inner>,
    /// Glue's.
    pub attached: T,
}

/// What the lock protects.
#[derive(Debug)]
struct Inner {
    state: Nud,
    updated: Instant,
    /// Questions asked in this state.
    probes: u8,
    /// Packets that wait, the oldest first.
    queue: SkbQueue,
    /// Their true sizes.
    queue_bytes: usize,
    expires: Option<Instant>,
}

impl<T> Neigh<T> {
    /// A neighbour of which nothing is known; or one that is never asked, of which `ha` is known.
    pub fn new(key: Key, ha: Option<Addr>, attached: T, now: Instant) -> Self {
        let (state, word) = match ha {
            Some(a) => (Nud::Noarp, a.to_u64() | VALID | CONNECTED),
            None => (Nud::None, 0),
        };
        Neigh {
            key,
            ha: AtomicU64::new(word),
            used: AtomicU64::new(now.as_nanos()),
            confirmed: AtomicU64::new(0),
            inner: Lock::new(Inner {
                state,
                updated: now,
                probes: 0,
                queue: SkbQueue::new(),
                queue_bytes: 0,
                expires: None,
            }),
            attached,
        }
    }

    /// Who it is.
    #[inline]
    pub fn key(&self) -> Key {
        self.key
    }

    /// The address, if it is known. Lock-free.
    #[inline]
    pub fn addr(&self) -> Option<Addr> {
        let word = self.ha.load(Ordering::Relaxed);
        (word & VALID != 0).then(|| Addr::from_u64(word))
    }

    /// The address, if packets may go there without telling the state machine. Lock-free.
    ///
    /// Mirrors the fast path of [`neigh_output`](srctree/include/net/neighbour.h)
    #[inline]
    pub fn connected(&self) -> Option<Addr> {
        let word = self.ha.load(Ordering::Relaxed);
        (word & (CONNECTED | DEAD) == CONNECTED).then(|| Addr::from_u64(word))
    }

    /// Whether the entry was taken out of its table.
    #[inline]
    pub fn is_dead(&self) -> bool {
        self.ha.load(Ordering::Relaxed) & DEAD != 0
    }

    /// What is known.
    pub fn state(&self) -> Nud {
        self.inner.lock().state
    }

    /// When a packet last needed it.
    pub(super) fn used(&self) -> Instant {
        let confirmed = self.confirmed.load(Ordering::Relaxed);
        Instant::from_nanos(self.used.load(Ordering::Relaxed).max(confirmed))
    }

    /// A layer above has heard from the neighbour (RFC 4861, 7.3.1). Lock-free.
    ///
    /// Mirrors [`neigh_confirm`](srctree/include/net/neighbour.h)
    #[inline]
    pub fn confirm(&self, now: Instant) {
        // Written only when it changes: the line is shared by all who send to this neighbour.
        if self.confirmed.load(Ordering::Relaxed) != now.as_nanos() {
            self.confirmed.store(now.as_nanos(), Ordering::Relaxed);
        }
    }

    /// A packet for this neighbour, whose data begin with the network header.
    ///
    /// Mirrors [`neigh_output`](srctree/include/net/neighbour.h),
    /// [`neigh_resolve_output`, `__neigh_event_send`](srctree/net/core/neighbour.c)
    #[inline]
    pub fn output(&self, skb: Skb, params: &Params, now: Instant) -> Output {
        match self.connected() {
            Some(ha) => Output::Send(skb, ha),
            None => self.event_send(skb, params, now),
        }
    }

    /// The same, when the state machine has to be asked.
    #[cold]
    fn event_send(&self, skb: Skb, params: &Params, now: Instant) -> Output {
        let mut inner = self.inner.lock();
        let word = self.ha.load(Ordering::Relaxed);
        if word & DEAD != 0 {
            return Output::Dead(skb);
        }
        self.used.store(now.as_nanos(), Ordering::Relaxed);
        let mut effects = Effects::default();
        match inner.state {
            Nud::Permanent | Nud::Noarp | Nud::Reachable | Nud::Delay | Nud::Probe => {
                return Output::Send(skb, Addr::from_u64(word));
            }
            Nud::Stale => {
                self.enter(&mut inner, Nud::Delay, now);
                inner.expires = Some(now.plus(params.delay_probe_time));
                effects.ha = Addr::from_u64(word);
                effects.send.push_back(skb);
            }
            Nud::None | Nud::Failed => {
                self.enter(&mut inner, Nud::Incomplete, now);
                inner.enqueue(skb, params, &mut effects);
                inner.expires = Some(now.plus(params.retrans_time));
                inner.probes = 1;
                effects.solicit = Some(inner.solicit(self.key.addr, None));
            }
            Nud::Incomplete => inner.enqueue(skb, params, &mut effects),
        }
        effects.timer = inner.expires;
        Output::Then(effects)
    }

    /// The address will be needed: begins to ask for it where nothing is known.
    ///
    /// Mirrors [`neigh_event_send`](srctree/include/net/neighbour.h)
    pub fn resolve(&self, params: &Params, now: Instant) -> Effects {
        let mut effects = Effects::default();
        let mut inner = self.inner.lock();
        if self.is_dead() || !matches!(inner.state, Nud::None | Nud::Failed) {
            return effects;
        }
        self.used.store(now.as_nanos(), Ordering::Relaxed);
        self.enter(&mut inner, Nud::Incomplete, now);
        inner.expires = Some(now.plus(params.retrans_time));
        inner.probes = 1;
        effects.solicit = Some(inner.solicit(self.key.addr, None));
        effects.timer = inner.expires;
        effects
    }

    /// Time has passed.
    ///
    /// Mirrors [`neigh_timer_handler`](srctree/net/core/neighbour.c)
    pub fn on_timer(&self, params: &Params, now: Instant) -> Effects {
        let mut effects = Effects::default();
        let mut inner = self.inner.lock();
        match inner.expires {
            Some(at) if at <= now => (),
            other => {
                effects.timer = other;
                return effects;
            }
        }
        inner.expires = None;
        let confirmed = Instant::from_nanos(self.confirmed.load(Ordering::Relaxed));
        let reachable_until = confirmed.plus(self.reachable_time(params));
        match inner.state {
            Nud::Reachable if now <= reachable_until => inner.expires = Some(reachable_until),
            Nud::Reachable => {
                let used = Instant::from_nanos(self.used.load(Ordering::Relaxed));
                if now <= used.plus(params.delay_probe_time) {
                    self.enter(&mut inner, Nud::Delay, now);
                    inner.expires = Some(now.plus(params.delay_probe_time));
                } else {
                    self.enter(&mut inner, Nud::Stale, now);
                }
            }
            Nud::Delay if now <= confirmed.plus(params.delay_probe_time) => {
                self.enter(&mut inner, Nud::Reachable, now);
                inner.expires = Some(reachable_until);
            }
            Nud::Delay => {
                self.enter(&mut inner, Nud::Probe, now);
                inner.probes = 0;
                self.ask(&mut inner, params, &mut effects, now);
            }
            Nud::Probe | Nud::Incomplete => self.ask(&mut inner, params, &mut effects, now),
            Nud::None | Nud::Stale | Nud::Failed | Nud::Noarp | Nud::Permanent => (),
        }
        // A deadline that was already over would make the timer spin.
        effects.timer = inner
            .expires
            .map(|at| at.max(now.plus(Duration::from_millis(10))));
        effects
    }

    /// Asks once more, or gives up.
    fn ask(
        &self,
        inner: &mut LockGuard<'_, Inner>,
        params: &Params,
        effects: &mut Effects,
        now: Instant,
    ) {
        let (most, to) = match inner.state {
            Nud::Probe => (params.ucast_probes, self.addr()),
            _ => (params.mcast_probes, None),
        };
        if inner.probes >= most {
            self.enter(inner, Nud::Failed, now);
            inner.purge(effects, DropReason::NeighFailed);
            return;
        }
        inner.probes = inner.probes.saturating_add(1);
        inner.expires = Some(now.plus(params.retrans_time));
        effects.solicit = Some(inner.solicit(self.key.addr, to));
    }

    /// An ARP packet or the administrator says that the neighbour has the address `ha` and is in state
    /// `new`: [`Nud::Reachable`], [`Nud::Stale`], [`Nud::Permanent`], [`Nud::Noarp`], or
    /// [`Nud::Failed`] to forget it. `how` says who may contradict what is known.
    ///
    /// Mirrors [`__neigh_update`](srctree/net/core/neighbour.c)
    pub fn update(&self, ha: Addr, new: Nud, how: How, params: &Params, now: Instant) -> Effects {
        let mut effects = Effects::default();
        let mut inner = self.inner.lock();
        effects.timer = inner.expires;
        let word = self.ha.load(Ordering::Relaxed);
        let old = inner.state;
        let admin = how == How::Admin;
        if word & DEAD != 0 || (!admin && matches!(old, Nud::Noarp | Nud::Permanent)) {
            return effects;
        }
        if !new.is_valid() {
            self.enter(&mut inner, new, now);
            inner.purge(&mut effects, DropReason::NeighFailed);
            effects.timer = None;
            return effects;
        }
        if new.is_connected() {
            self.confirm(now);
        }
        let same = old.is_valid() && Addr::from_u64(word) == ha;
        if old.is_valid() {
            let locked = how == How::Learned && now < inner.updated.plus(params.locktime);
            if !same && locked {
                return effects;
            }
            // That somebody else asks says nothing new about one whose address stays the same.
            if same && new == Nud::Stale && !admin {
                return effects;
            }
        }
        // The new address must be there before the state that lets it be used.
        self.ha
            .store(word & !0xffff_ffff_ffff | ha.to_u64(), Ordering::Relaxed);
        if new != old {
            self.enter(&mut inner, new, now);
        } else if !same {
            inner.updated = now;
        }
        inner.expires = match new {
            Nud::Reachable => Some(now.plus(self.reachable_time(params))),
            _ => None,
        };
        if !same && !new.is_connected() {
            // An address that nobody confirmed is to be verified as soon as it is used.
            self.confirmed.store(0, Ordering::Relaxed);
        }
        if !old.is_valid() {
            effects.ha = ha;
            inner.queue_bytes = 0;
            effects.send = core::mem::take(&mut inner.queue);
        }
        effects.timer = inner.expires;
        effects
    }

    /// Marks the entry as taken out of its table, if `may` agrees to its state: what waits goes.
    pub(super) fn kill(&self, may: impl FnOnce(Nud, Instant) -> bool) -> Option<Effects> {
        let mut effects = Effects::default();
        let mut inner = self.inner.lock();
        if self.is_dead() || !may(inner.state, inner.updated) {
            return None;
        }
        self.ha.fetch_or(DEAD, Ordering::Relaxed);
        inner.expires = None;
        inner.purge(&mut effects, DropReason::NeighDead);
        Some(effects)
    }

    /// Changes the state, and what the transmit path may do without asking.
    fn enter(&self, inner: &mut LockGuard<'_, Inner>, state: Nud, now: Instant) {
        inner.state = state;
        inner.updated = now;
        inner.expires = None;
        let mut word = self.ha.load(Ordering::Relaxed) & !(VALID | CONNECTED);
        if state.is_valid() {
            word |= VALID;
        }
        if state.is_connected() {
            word |= CONNECTED;
        }
        // Only holders of the lock write it.
        self.ha.store(word, Ordering::Relaxed);
    }

    /// How long a confirmation of this neighbour holds: between half and one and a half of the base,
    /// so that a network that was switched on at once does not ask at once (RFC 4861, 6.3.2).
    ///
    /// Mirrors [`neigh_rand_reach_time`](srctree/net/core/neighbour.c)
    fn reachable_time(&self, params: &Params) -> Duration {
        let base = params.base_reachable_time.as_nanos();
        let jitter = u64::from(self.key.hash(0x9e37_79b9) >> 16);
        // `jitter` is a fraction of 2^16.
        Duration::from_nanos((base >> 1).saturating_add((base >> 16).saturating_mul(jitter)))
    }
}

/// By what right an address is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It was heard: the first answer wins for a while, so that two who answer do not alternate.
    Learned,
    /// The neighbour announced it to all (gratuitous ARP).
    Announced,
    /// The administrator set it.
    Admin,
}

impl Inner {
    /// Lets a packet wait. The oldest ones make room, for whoever sent them has waited longest and may
    /// have sent them again.
    fn enqueue(&mut self, skb: Skb, params: &Params, effects: &mut Effects) {
        let size = skb.truesize();
        while self.queue_bytes.saturating_add(size) > params.queue_len_bytes {
            let Some(old) = self.queue.pop_front() else {
                break;
            };
            self.queue_bytes = self.queue_bytes.saturating_sub(old.truesize());
            effects.drop.push_back(old);
            effects.reason = Some(DropReason::NeighQueuefull);
            effects.count = Some(Counter::NeighUnresDiscards);
        }
        self.queue_bytes = self.queue_bytes.saturating_add(size);
        self.queue.push_back(skb);
    }

    /// Drops everything that waits.
    fn purge(&mut self, effects: &mut Effects, reason: DropReason) {
        self.queue_bytes = 0;
        effects.drop = core::mem::take(&mut self.queue);
        effects.reason = Some(reason);
        effects.count = (reason == DropReason::NeighFailed).then_some(Counter::NeighFailures);
    }

    fn solicit(&self, target: ipv4::Addr, to: Option<Addr>) -> Solicit {
        let source = |skb: &SkBuff| match *skb.linear() {
            [0x45..=0x4f, _, _, _, _, _, _, _, _, _, _, _, a, b, c, d, ..] => {
                Some(ipv4::Addr::new(a, b, c, d))
            }
            _ => None,
        };
        Solicit {
            target,
            to,
            hint: self.queue.front().and_then(source),
        }
    }
}

#[cfg(test)]
mod tests;
