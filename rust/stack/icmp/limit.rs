// SPDX-License-Identifier: GPL-2.0
//! How many ICMP errors leave: a limit on all of them, and one on each destination.
//!
//! Mirrors [`icmp_global_allow`, `icmpv4_xrlim_allow`](srctree/net/ipv4/icmp.c)
//!
//! RFC 1812, 4.3.2.8 wants a limit; a limit whose level can be probed from outside betrays which
//! ports are open (SAD DNS, CVE-2020-25705), so the price of a message is random.

use crate::platform::{
    AllocError,
    Array,
    Sysctl, //
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
use crate::stack::wire::icmp::{
    unreach,
    Type, //
};
use crate::stack::wire::ipv4::Addr;
use core::sync::atomic::{
    AtomicU64,
    Ordering, //
};

/// To one destination, at once: so many times what a moment allows (`XRLIM_BURST_FACTOR`).
const PEER_BURST: u64 = 6;

/// So many redirects are sent to a host that does not heed them (`ip_rt_redirect_number`),
const REDIRECTS: u64 = 9;
/// the second that many milliseconds after the first, each next one after twice the time
/// (`ip_rt_redirect_load`),
const REDIRECT_LOAD: u64 = 20;
/// and then none until it has sent nothing the wrong way for so long (`ip_rt_redirect_silence`).
const REDIRECT_SILENCE: u64 = REDIRECT_LOAD << (REDIRECTS + 1);

/// A leaky bucket in one word: the time at which it will be empty, in nanoseconds. (The ATM Forum's
/// generic cell rate algorithm.)
#[derive(Debug, Default)]
struct Bucket(AtomicU64);

impl Bucket {
    /// Puts one message of the price `cost` in, if the bucket has not more than `limit` in it.
    fn take(&self, now: Instant, cost: Duration, limit: Duration) -> bool {
        let (now, cost, limit) = (now.as_nanos(), cost.as_nanos(), limit.as_nanos());
        let level = |empty_at: u64| empty_at.saturating_sub(now);
        let fits = |empty_at| level(empty_at).min(limit).saturating_add(cost) <= limit;
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |empty_at| {
                if fits(empty_at) {
                    let level = level(empty_at).min(limit).saturating_add(cost);
                    return Some(now.saturating_add(level));
                }
                // More than the limit is in it if that was higher before: it runs over.
                (level(empty_at) > limit).then(|| now.saturating_add(limit))
            })
            .is_ok_and(fits)
    }
}

/// The limits of a namespace.
#[derive(Debug)]
pub struct Limiter {
    key: Key,
    global: Bucket,
    /// Destinations share buckets by a keyed hash: a collision makes the limit stricter, never laxer.
    peers: Array<Bucket>,
    /// Of redirects: the last one's time in milliseconds, above four bits for their number.
    redirects: Array<AtomicU64>,
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
            redirects: Array::try_from_fn_sleeping(len, |_| AtomicU64::new(0))?,
        })
    }

    /// Where in the arrays a peer is.
    fn index(&self, peer: Addr) -> usize {
        let hash = siphash24_u64(u64::from(peer.to_u32()), &self.key);
        hash as usize & self.peers.len().wrapping_sub(1)
    }

    /// Whether `peer`, which has just sent a packet the wrong way, may be told so now.
    ///
    /// RFC 1812, 5.2.7.2: the number of redirects is limited. Mirrors
    /// [`ip_rt_send_redirect`](srctree/net/ipv4/route.c)
    pub fn allow_redirect(&self, peer: Addr, now: Instant) -> bool {
        let Some(word) = self.redirects.get(self.index(peer)) else {
            return false;
        };
        let now = now.as_nanos() / 1_000_000;
        let mut told = false;
        // Who changes the word at the same time speaks of the same peer: whichever is later holds.
        let _ = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            let (last, mut n) = (word >> 4, word & 0xf);
            let since = now.saturating_sub(last);
            if since > REDIRECT_SILENCE {
                n = 0;
            }
            told = n == 0 || (n < REDIRECTS && since > (REDIRECT_LOAD << n));
            // Beyond the last one every packet begins the time of silence anew.
            match told {
                true => Some((now << 4) | n.saturating_add(1)),
                false if n >= REDIRECTS => Some((now << 4) | n),
                false => None,
            }
        });
        told
    }

    /// Whether one more message of the kind that is limited may go to `daddr` now; the error says which limit
    /// it met. `random` is fresh; `loopback`: the message stays in this host, which needs no protection from
    /// itself.
    pub fn allow(
        &self,
        sysctl: &Sysctl,
        daddr: Addr,
        loopback: bool,
        random: u32,
        now: Instant,
    ) -> Result<(), Counter> {
        if loopback {
            return Ok(());
        }
        let second = Duration::from_secs(1).as_nanos();
        let Some(ns) = second.checked_div(u64::from(sysctl.icmp_msgs_per_sec())) else {
            return Err(Counter::IcmpOutRateLimitGlobal);
        };
        let period = Duration::from_nanos(ns);
        // 0, 1 or 2 tokens: one on average.
        let cost = period.times(u64::from(random % 3));
        let burst = period.times(u64::from(sysctl.icmp_msgs_burst()));
        if !self.global.take(now, cost, burst) {
            return Err(Counter::IcmpOutRateLimitGlobal);
        }
        let period = sysctl.icmp_ratelimit();
        match self.peers.get(self.index(daddr)) {
            Some(b) if !b.take(now, period, period.times(PEER_BURST)) => {
                Err(Counter::IcmpOutRateLimitHost)
            }
            _ => Ok(()),
        }
    }
}

/// Whether messages of this type and code are limited at all. Without "fragmentation needed" nobody could
/// find the path's MTU (RFC 1191); the rest is the user's choice.
///
/// Mirrors [`icmpv4_mask_allow`](srctree/net/ipv4/icmp.c)
pub fn is_limited(sysctl: &Sysctl, kind: Type, code: u8) -> bool {
    let bit = 1u32.checked_shl(u32::from(kind.0)).unwrap_or(0);
    sysctl.icmp_ratemask() & bit != 0
        && !(kind == Type::DEST_UNREACH && code == unreach::FRAG_NEEDED)
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

    fn sysctl() -> Sysctl {
        Sysctl::default()
    }

    #[test]
    fn allow__six_at_once_then_one_a_second() {
        let l = limiter();
        let d = Addr::new(10, 0, 0, 1);
        let try_at = |ms| l.allow(&sysctl(), d, false, 1, at(ms));
        for _ in 0..6 {
            assert_eq!(try_at(1000), Ok(()));
        }
        assert_eq!(try_at(1000), Err(Counter::IcmpOutRateLimitHost));
        assert_eq!(try_at(1999), Err(Counter::IcmpOutRateLimitHost));
        assert_eq!(try_at(2000), Ok(()));
        assert_eq!(try_at(2000), Err(Counter::IcmpOutRateLimitHost));
    }

    #[test]
    fn allow__a_limit_that_is_lowered_or_lifted_holds_at_once() {
        let l = limiter();
        let mut sysctl = sysctl();
        let d = Addr::new(10, 0, 0, 1);
        while l.allow(&sysctl, d, false, 1, at(1)).is_ok() {}
        sysctl.icmp_ratelimit = Duration::from_millis(100);
        assert!(l.allow(&sysctl, d, false, 1, at(50)).is_err());
        assert_eq!(l.allow(&sysctl, d, false, 1, at(150)), Ok(()));
        sysctl.icmp_ratelimit = Duration::ZERO;
        for _ in 0..100 {
            assert_eq!(l.allow(&sysctl, d, false, 1, at(150)), Ok(()));
        }
    }

    #[test]
    fn allow__so_many_at_once_to_all() {
        let l = limiter();
        let mut sysctl = sysctl();
        sysctl.icmp_msgs_per_sec = 1000;
        sysctl.icmp_msgs_burst = 50;
        let n = (0..200)
            .filter(|i| {
                let d = Addr::from_u32(i * 0x0101_0101);
                l.allow(&sysctl, d, false, 1, at(1)) != Err(Counter::IcmpOutRateLimitGlobal)
            })
            .count();
        assert_eq!(n, 50);
        // Nothing of that holds inside of the host.
        assert_eq!(l.allow(&sysctl, Addr::LOOPBACK, true, 1, at(1)), Ok(()));
        sysctl.icmp_msgs_per_sec = 0;
        assert_eq!(
            l.allow(&sysctl, Addr::new(10, 0, 0, 1), false, 0, at(5000)),
            Err(Counter::IcmpOutRateLimitGlobal)
        );
    }

    #[test]
    fn allow_redirect__ever_more_slowly_then_silence() {
        let l = limiter();
        let d = Addr::new(10, 0, 0, 1);
        // A packet every ten milliseconds for a minute.
        let told: Vec<u64> = (100..6100)
            .map(|n| n * 10)
            .filter(|ms| l.allow_redirect(d, at(*ms)))
            .collect();
        assert_eq!(
            told,
            [1000, 1050, 1140, 1310, 1640, 2290, 3580, 6150, 11_280]
        );
        // The last packet was at 60.99 s.
        assert!(!l.allow_redirect(d, at(81_000)));
        assert!(l.allow_redirect(d, at(102_000)));
        assert!(l.allow_redirect(Addr::new(10, 0, 0, 2), at(102_000)));
    }

    #[test]
    fn is_limited__errors_are_but_for_the_paths_mtu() {
        let s = sysctl();
        assert!(is_limited(&s, Type::DEST_UNREACH, unreach::PORT));
        assert!(is_limited(&s, Type::TIME_EXCEEDED, 0));
        assert!(!is_limited(&s, Type::DEST_UNREACH, unreach::FRAG_NEEDED));
        assert!(!is_limited(&s, Type::ECHO_REPLY, 0));
        assert!(!is_limited(&s, Type::REDIRECT, 0));
        assert!(!is_limited(&s, Type(200), 0));
    }
}
