// SPDX-License-Identifier: GPL-2.0
//! Fragments for this host, in `replace`: where they wait for each other, how long, and in how much memory.
//!
//! The settings are the host's: `net.ipv4.ipfrag_high_thresh` bounds the memory of a namespace's fragments,
//! whoever sends them, and `ipfrag_time` says when those of a datagram are given up.
//!
//! Mirrors [`ip_fragment.c`](srctree/net/ipv4/ip_fragment.c), [`inet_fragment.c`](srctree/net/ipv4/inet_fragment.c)

use super::{
    ip_input,
    net::State, //
};
use crate::{
    abstractions::{
        inet::random_u32,
        lock::Lock,
        memory::Array,
        netdevice::NetDevice,
        netns::Net,
        skbuff::Skb,
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
            reassembly::{
                Key,
                Outcome,
                Pieces, //
            },
            route::Kind,
            Header, //
        },
        socket::key::jhash_3words,
        time::{
            Duration,
            Instant, //
        },
        wire::icmp::Type,
    },
};
use core::sync::atomic::{
    AtomicUsize,
    Ordering, //
};
use kernel::{
    alloc::{
        flags::GFP_ATOMIC,
        KVec, //
    },
    error::Result, //
};

/// Chains of datagrams. The ceiling lets in a few thousands at most.
const BUCKETS: usize = 256;
/// Datagrams that are to be given up within so short a time are given up together.
const SLACK: Duration = Duration::from_millis(100);
/// The code of "time exceeded" that means the fragments' time (RFC 792).
const FRAGMENTS: u8 = 1;

/// The datagrams of a namespace of which not every fragment has come.
pub(crate) struct Table {
    /// Keeps others from choosing the chain.
    secret: u32,
    buckets: Array<Lock<KVec<Pieces>>>,
    /// True sizes of all fragments, in bytes.
    memory: AtomicUsize,
    timer: Timer<Expiry>,
}

/// The time of the oldest is over.
struct Expiry(&'static Net);

impl Expire for Expiry {
    fn expire(&self) {
        if let Some(state) = State::of(self.0) {
            expire(state, timer::now());
        }
    }
}

impl Table {
    /// An empty table. Process context.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub(super) fn new(net: &'static Net) -> Result<Table> {
        Ok(Table {
            secret: random_u32(),
            buckets: Array::try_from_fn(BUCKETS, |_| Lock::new(KVec::new()))?,
            memory: AtomicUsize::new(0),
            timer: Timer::new(Expiry(net))?,
        })
    }

    fn bucket(&self, key: &Key) -> Option<&Lock<KVec<Pieces>>> {
        let rest = u32::from(key.id) << 16 | u32::from(key.protocol.0);
        let hash = jhash_3words(key.saddr.to_u32(), key.daddr.to_u32(), rest, self.secret);
        self.buckets.get(hash as usize % BUCKETS)
    }

    /// A datagram's fragments have left the table.
    fn uncharge(&self, pieces: &Pieces) {
        self.memory.fetch_sub(pieces.truesize(), Ordering::Relaxed);
    }
}

/// Takes a fragment for this host, whose data begin with the IP header; gives the whole datagram back once it
/// is complete. Softirq, under RCU.
///
/// Mirrors [`ip_defrag`](srctree/net/ipv4/ip_fragment.c)
pub(super) fn defrag(state: &State, ifindex: u32, header: &Header, skb: Skb) -> Option<Skb> {
    state.counts.event(Counter::IpReasmReqds);
    let fail = |skb: Skb, reason| {
        state.counts.event(Counter::IpReasmFails);
        state.counts.drop(skb, reason);
    };
    let table = &state.frags;
    let sysctl = state.net.sysctl();
    if table.memory.load(Ordering::Relaxed) > sysctl.ipfrag_high_thresh() {
        fail(skb, DropReason::Nomem);
        return None;
    }
    let key = Key::of(header);
    let (outcome, taken) = {
        let mut bucket = table.bucket(&key)?.lock();
        let at = match bucket.iter().position(|p| p.key == key) {
            Some(at) => at,
            None => {
                let now = timer::now();
                let expires = now.plus(sysctl.ipfrag_time());
                if bucket.push(Pieces::new(key, expires), GFP_ATOMIC).is_err() {
                    drop(bucket);
                    fail(skb, DropReason::Nomem);
                    return None;
                }
                table.timer.arm(expires, now);
                bucket.len().wrapping_sub(1)
            }
        };
        let pieces = bucket.get_mut(at)?;
        let before = pieces.truesize();
        pieces.ifindex = ifindex;
        let outcome = pieces.insert(skb, header);
        let more = pieces.truesize().saturating_sub(before);
        table.memory.fetch_add(more, Ordering::Relaxed);
        let taken = match outcome {
            Outcome::Whole | Outcome::Spoils(..) => bucket.remove(at).ok(),
            Outcome::Waits | Outcome::Double(_) => None,
        };
        (outcome, taken)
    };
    if let Some(pieces) = &taken {
        table.uncharge(pieces);
    }
    match outcome {
        Outcome::Waits => None,
        Outcome::Whole => join(state, taken?),
        Outcome::Double(skb) => {
            state.counts.drop(skb, DropReason::DupFrag);
            None
        }
        Outcome::Spoils(skb, reason) => {
            if reason == DropReason::FragOverlap {
                state.counts.event(Counter::IpReasmOverlaps);
            }
            fail(skb, reason);
            None
        }
    }
}

/// Puts a datagram together of which every fragment has come.
fn join(state: &State, pieces: Pieces) -> Option<Skb> {
    let ifindex = pieces.ifindex;
    let Ok(mut skb) = pieces.join() else {
        state.counts.event(Counter::IpReasmFails);
        return None;
    };
    // The device was forgotten while the fragment waited.
    NetDevice::with(state.net, ifindex, |dev| skb.set_dev(dev))?;
    state.counts.event(Counter::IpReasmOks);
    Some(skb)
}

/// Gives up the datagrams whose time is over.
fn expire(state: &State, now: Instant) {
    let table = &state.frags;
    let mut next: Option<Instant> = None;
    for bucket in table.buckets.iter() {
        loop {
            let due = {
                let mut bucket = bucket.lock();
                match bucket.iter().position(|p| p.expires <= now) {
                    Some(at) => bucket.remove(at).ok(),
                    None => {
                        let first = bucket.iter().map(|p| p.expires).min();
                        next = next.into_iter().chain(first).min();
                        None
                    }
                }
            };
            match due {
                Some(pieces) => give_up(state, pieces),
                None => break,
            }
        }
    }
    if let Some(at) = next {
        table.timer.arm(at.plus(SLACK), now);
    }
}

/// RFC 1122, 3.3.2: the sender hears of it, if the first fragment has come, which tells whom it concerns.
///
/// Mirrors [`ip_expire`](srctree/net/ipv4/ip_fragment.c)
fn give_up(state: &State, pieces: Pieces) {
    state.frags.uncharge(&pieces);
    state.counts.event(Counter::IpReasmTimeout);
    state.counts.event(Counter::IpReasmFails);
    let Some(mut first) = pieces.into_first() else {
        return;
    };
    if let Ok(header) = ip::rcv(&mut first, |_| ()) {
        if state.addr_type(header.daddr) == Kind::Local {
            let rest = [0; 4];
            ip_input::send_error(
                state,
                &mut first,
                &header,
                Type::TIME_EXCEEDED,
                FRAGMENTS,
                rest,
            );
        }
    }
    state.counts.drop(first, DropReason::FragReasmTimeout);
}
