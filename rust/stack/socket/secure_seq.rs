// SPDX-License-Identifier: GPL-2.0
//! Numbers that nobody off the path may guess: initial sequence numbers, timestamp offsets and
//! ephemeral ports.
//!
//! Mirrors [`secure_seq`](srctree/net/core/secure_seq.c) and the port selection of
//! [`__inet_hash_connect`](srctree/net/ipv4/inet_hashtables.c)

use super::key::FourTuple;
use super::ports::{
    Candidates,
    PortRange, //
};
use super::siphash::{
    siphash24_u64,
    siphash24_u64x2,
    Key, //
};
use crate::platform::{
    AllocError,
    Array, //
};
use crate::stack::time::{
    Duration,
    Instant, //
};
use crate::stack::wire::ipv4::Addr;
use core::sync::atomic::{
    AtomicU32,
    Ordering, //
};

/// How long the hash over the destination stays the same (`EPHEMERAL_PORT_SHUFFLE_PERIOD`).
const SHUFFLE_PERIOD: Duration = Duration::from_secs(10);

/// The initial sequence number and the timestamp offset of a connection that opens at `now`.
///
/// Mirrors [`secure_tcp_seq_and_ts_off`](srctree/net/core/secure_seq.c)
///
/// RFC 6528, 3: ISN = M + F(localip, localport, remoteip, remoteport, secretkey). F is SipHash-2-4,
/// M ticks every 64 ns: as fast as 10 Gb/s wants, and 274 s round, longer than a maximum segment
/// lifetime of two minutes. The other half of the same hash offsets the timestamps, per tuple, so
/// that they tell nothing of the host's uptime or of its other connections (RFC 7323, 5.4).
#[inline]
pub fn seq_and_ts_off(id: FourTuple, key: &Key, now: Instant) -> (u32, u32) {
    let hash = id.siphash(key);
    let isn = (hash as u32).wrapping_add((now.as_nanos() >> 6) as u32);
    (isn, (hash >> 32) as u32)
}

/// The port selection of active opens: RFC 6056, 3.3.4, algorithm 4, "double-hash".
///
/// One hash of the destination says where in the range to begin, another which counter to add. The
/// counters move on with each connection by a random step, so that an observer of one destination's
/// ports learns nothing of another's (CVE-2022-1012 came from a table too small).
#[derive(Debug)]
pub struct PortSelector {
    key: Key,
    /// A power of two of counters.
    table: Array<AtomicU32>,
}

impl PortSelector {
    /// A selector with 2^`order` counters (Linux: 16), which start at unpredictable values. Process
    /// context, may sleep.
    pub fn try_new(order: u32, key: Key) -> Result<Self, AllocError> {
        let len = 1usize.checked_shl(order.min(20)).unwrap_or(1);
        let start = |i| AtomicU32::new(siphash24_u64(i as u64, &key) as u32);
        let table = Array::try_from_fn_sleeping(len, start)?;
        Ok(PortSelector { key, table })
    }

    /// The ports of `range` in the order in which to try them for a connection from `saddr` to
    /// `daddr`:`dport`; `random` is fresh.
    ///
    /// Mirrors [`__inet_hash_connect`](srctree/net/ipv4/inet_hashtables.c)
    pub fn candidates(
        &self,
        saddr: Addr,
        daddr: Addr,
        dport: u16,
        range: PortRange,
        now: Instant,
    ) -> Selection<'_> {
        let period = now.as_nanos() / SHUFFLE_PERIOD.as_nanos();
        let addrs = (u64::from(saddr.to_u32()) << 32) | u64::from(daddr.to_u32());
        let hash = siphash24_u64x2(
            addrs,
            (u64::from(dport) << 48) | (period & 0xffff_ffff_ffff),
            &self.key,
        );
        // The mask keeps the index inside of a table whose length is a power of two.
        let counter = self
            .table
            .get(hash as usize & self.table.len().wrapping_sub(1));
        let start = counter.map_or(0, |c| c.load(Ordering::Relaxed));
        Selection {
            counter,
            candidates: Candidates::for_connect(range, start.wrapping_add((hash >> 32) as u32)),
        }
    }
}

/// The ports to try for one connection.
#[derive(Debug)]
pub struct Selection<'a> {
    counter: Option<&'a AtomicU32>,
    candidates: Candidates,
}

impl Selection<'_> {
    /// The last port that came out is in use now: moves the counter past it, and a random bit further
    /// if that was not far.
    pub fn taken(self, random: u32) {
        if let Some(c) = self.counter {
            let step = self.candidates.tried().max(random % 8 * 2);
            // Races lose a step now and then, which harms nobody.
            c.fetch_add(step.wrapping_add(2), Ordering::Relaxed);
        }
    }
}

impl Iterator for Selection<'_> {
    type Item = u16;

    #[inline]
    fn next(&mut self) -> Option<u16> {
        self.candidates.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Vec;

    const KEY: Key = Key([1, 2]);

    fn tuple(sport: u16) -> FourTuple {
        FourTuple {
            saddr: Addr::new(10, 0, 0, 1),
            daddr: Addr::new(10, 0, 0, 2),
            sport,
            dport: 80,
        }
    }

    #[test]
    fn seq_and_ts_off__grows_by_one_every_64_ns() {
        let at = |ns| seq_and_ts_off(tuple(1), &KEY, Instant::from_nanos(ns));
        let (isn, ts) = at(0);
        assert_eq!(at(63), (isn, ts));
        assert_eq!(at(64), (isn.wrapping_add(1), ts));
        assert_eq!(at(64 << 32), (isn, ts));
    }

    #[test]
    fn seq_and_ts_off__differs_by_tuple_and_key() {
        let mut seen = std::collections::HashSet::new();
        for port in 0..1000 {
            for key in [Key([1, 2]), Key([1, 3])] {
                let (isn, ts) = seq_and_ts_off(tuple(port), &key, Instant::ZERO);
                assert!(seen.insert((isn, ts)));
            }
        }
    }

    fn select(s: &PortSelector, daddr: u32) -> Selection<'_> {
        let range = PortRange {
            low: 32_768,
            high: 60_999,
        };
        s.candidates(Addr::ANY, Addr::from_u32(daddr), 80, range, Instant::ZERO)
    }

    #[test]
    fn candidates__every_port_once() {
        let s = PortSelector::try_new(4, KEY).unwrap();
        let mut ports: Vec<u16> = select(&s, 1).collect();
        assert_eq!(ports.len(), 60_999 - 32_768 + 1);
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 60_999 - 32_768 + 1);
    }

    #[test]
    fn candidates__moves_on_after_taken() {
        let s = PortSelector::try_new(4, KEY).unwrap();
        let mut first = select(&s, 1);
        let a = first.next();
        first.taken(0);
        assert_ne!(select(&s, 1).next(), a);
    }

    #[test]
    fn candidates__one_destination_says_nothing_of_another() {
        let s = PortSelector::try_new(16, KEY).unwrap();
        let first: Vec<u16> = (1..200).filter_map(|d| select(&s, d).next()).collect();
        let steps: std::collections::HashSet<i32> = first
            .windows(2)
            .map(|w| i32::from(w[1]) - i32::from(w[0]))
            .collect();
        assert!(steps.len() > 180);
    }

    #[test]
    fn try_new__no_memory() {
        crate::platform::fail_alloc(Some(0));
        assert!(PortSelector::try_new(4, KEY).is_err());
    }
}
