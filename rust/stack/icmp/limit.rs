// SPDX-License-Identifier: GPL-2.0
//! How many ICMP errors leave: a limit on all of them, and one on each destination.
//!
//! Mirrors [`icmp_global_allow`, `icmpv4_xrlim_allow`](srctree/net/ipv4/icmp.c)
//!
//! RFC 1812, 4.3.2.8 wants a limit; a limit whose level can be probed from outside betrays which
//! ports are open (SAD DNS, CVE-2020-25705), so the price of a message is random.

use crate::platform::{
    AllocError,
    Array, //
};
use crate::stack::counters::Counter;
use crate::stack::socket::siphash::{
    siphash24_u64,
    Key, //
};
use crate::stack::time::{
    Duration,
    Instant, //
};
use crate::stack::wire::icmp::Type;
use crate::stack::wire::ipv4::Addr;
use core::sync::atomic::{
    AtomicU64,
    Ordering, //
};

/// All messages: 1000 a second (`icmp_msgs_per_sec`),
const GLOBAL_PERIOD: Duration = Duration::from_millis(1);
/// 50 at once (`icmp_msgs_burst`).
const GLOBAL_BURST: u64 = 50;
/// To one destination: one a second (`icmp_ratelimit`),
const PEER_PERIOD: Duration = Duration::from_secs(1);
/// six at once (`XRLIM_BURST_FACTOR`).
const PEER_BURST: u64 = 6;

/// A leaky bucket in one word: the time at which it will be empty, in nanoseconds. (The ATM Forum's
/// generic cell rate algorithm.)
#[derive(Debug, Default)]
struct Bucket(AtomicU64);

impl Bucket {
    /// Puts one message of the price `cost` in, if the bucket has not more than `limit` in it.
    fn take(&self, now: Instant, cost: Duration, limit: Duration) -> bool {
        let now = now.as_nanos();
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |empty_at| {
                let level = empty_at.saturating_sub(now).saturating_add(cost.as_nanos());
                (level <= limit.as_nanos()).then(|| now.saturating_add(level))
            })
            .is_ok()
    }
}

/// The limits of a namespace.
#[derive(Debug)]
pub struct Limiter {
    key: Key,
    global: Bucket,
    /// Destinations share buckets by a keyed hash: a collision makes the limit stricter, never laxer.
    peers: Array<Bucket>,
}

impl Limiter {
    /// A limiter with 2^`order` buckets for destinations. Process context, may sleep.
    pub fn try_new(order: u32, key: Key) -> Result<Self, AllocError> {
        let len = 1usize.checked_shl(order.min(20)).unwrap_or(1);
        let peers = Array::try_from_fn_sleeping(len, |_| Bucket::default())?;
        Ok(Limiter {
            key,
            global: Bucket::default(),
            peers,
        })
    }

    /// Whether a message of type `kind` may go to `daddr` now; the error says which limit it met.
    /// `random` is fresh; `loopback`: the message stays in this host, where only the destination's
    /// limit holds.
    pub fn allow(
        &self,
        kind: Type,
        daddr: Addr,
        loopback: bool,
        random: u32,
        now: Instant,
    ) -> Result<(), Counter> {
        // `icmp_ratemask`: destination unreachable, source quench, time exceeded, parameter problem.
        // Answers to echo requests are not limited.
        if !kind.is_error() || kind == Type::REDIRECT {
            return Ok(());
        }
        // 0, 1 or 2 tokens: one on average.
        let cost = GLOBAL_PERIOD.times(u64::from(random % 3));
        if !loopback
            && !self
                .global
                .take(now, cost, GLOBAL_PERIOD.times(GLOBAL_BURST))
        {
            return Err(Counter::IcmpOutRateLimitGlobal);
        }
        let hash = siphash24_u64(u64::from(daddr.to_u32()), &self.key);
        let index = hash as usize & self.peers.len().wrapping_sub(1);
        let limit = PEER_PERIOD.times(PEER_BURST);
        match self.peers.get(index) {
            Some(b) if !b.take(now, PEER_PERIOD, limit) => Err(Counter::IcmpOutRateLimitHost),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter() -> Limiter {
        Limiter::try_new(8, Key([5, 6])).unwrap()
    }

    fn at(ms: u64) -> Instant {
        Instant::ZERO.plus(Duration::from_millis(ms))
    }

    #[test]
    fn allow__six_at_once_then_one_a_second() {
        let l = limiter();
        let d = Addr::new(10, 0, 0, 1);
        let try_at = |ms| l.allow(Type::DEST_UNREACH, d, false, 1, at(ms));
        for _ in 0..6 {
            assert_eq!(try_at(1000), Ok(()));
        }
        assert_eq!(try_at(1000), Err(Counter::IcmpOutRateLimitHost));
        assert_eq!(try_at(1999), Err(Counter::IcmpOutRateLimitHost));
        assert_eq!(try_at(2000), Ok(()));
        assert_eq!(try_at(2000), Err(Counter::IcmpOutRateLimitHost));
    }

    #[test]
    fn allow__fifty_at_once_to_all() {
        let l = limiter();
        let n = (0..200)
            .filter(|i| {
                let d = Addr::from_u32(i * 0x0101_0101);
                l.allow(Type::TIME_EXCEEDED, d, false, 1, at(1))
                    != Err(Counter::IcmpOutRateLimitGlobal)
            })
            .count();
        assert_eq!(n, 50);
        // Nothing of that holds inside of the host.
        assert_eq!(
            l.allow(Type::DEST_UNREACH, Addr::LOOPBACK, true, 1, at(1)),
            Ok(())
        );
    }

    #[test]
    fn allow__echo_replies_are_free() {
        let l = limiter();
        for _ in 0..1000 {
            assert_eq!(
                l.allow(Type::ECHO_REPLY, Addr::LOOPBACK, false, 2, at(1)),
                Ok(())
            );
        }
    }
}
