// SPDX-License-Identifier: GPL-2.0
//! Packets that wait until a routing daemon has said where they go.
//!
//! Of a source and a group a few wait, none for longer than ten seconds, and of all together no more bytes than their
//! user says: so nobody can fill this host's memory by sending to many groups.
//!
//! Mirrors [`ipmr_cache_unresolved`](srctree/net/ipv4/ipmr.c)

use crate::platform::{
    AllocError,
    Array,
    RcuBox,
    SkBuff,
    Skb,
    SkbQueue, //
};
use crate::stack::socket::key::jhash_3words;
use crate::stack::time::{
    Duration,
    Instant, //
};
use crate::stack::wire::ipv4::Addr;

/// Chains.
const BUCKETS: usize = 64;
/// Packets of a source to a group that wait at the most.
const MOST: usize = 4;
/// How long they wait for the daemon.
const LIFETIME: Duration = Duration::from_secs(10);

/// The packets of a source to a group.
#[derive(Debug)]
struct Pending {
    origin: Addr,
    group: Addr,
    expires: Instant,
    packets: SkbQueue,
    next: Link,
}

type Link = Option<RcuBox<Pending>>;

/// What became of a packet.
#[derive(Debug)]
pub enum Queued {
    /// It waits, and is the first of its source and group: the daemon is to be asked this, and what is not answered
    /// until then to be given up.
    First(Instant, Skb),
    /// It waits with others.
    More,
    /// Too many wait, or there is no memory.
    Full(Skb),
}

/// All that wait.
#[derive(Debug)]
pub struct Unresolved {
    buckets: Array<Link>,
    secret: u32,
    /// True sizes of all packets, in bytes.
    memory: usize,
}

impl Unresolved {
    /// Nobody waits. `secret` is random.
    pub fn try_new(secret: u32) -> Result<Self, AllocError> {
        Ok(Unresolved {
            buckets: Array::try_from_fn(BUCKETS, |_| None)?,
            secret,
            memory: 0,
        })
    }

    fn bucket(&mut self, origin: Addr, group: Addr) -> Option<&mut Link> {
        let hash = jhash_3words(origin.to_u32(), group.to_u32(), 0, self.secret);
        self.buckets.get_mut(hash as usize % BUCKETS)
    }

    /// Has a packet wait, if no more than `most` bytes do then. Of the first one of a source and a group `question` makes
    /// the question. Atomic.
    pub fn push(
        &mut self,
        origin: Addr,
        group: Addr,
        skb: Skb,
        most: usize,
        now: Instant,
        question: impl FnOnce(&SkBuff) -> Option<Skb>,
    ) -> Queued {
        let size = skb.truesize();
        let memory = self.memory.saturating_add(size);
        if memory > most {
            return Queued::Full(skb);
        }
        let Some(head) = self.bucket(origin, group) else {
            return Queued::Full(skb);
        };
        if let Some(p) = find(head, origin, group) {
            if p.packets.len() >= MOST {
                return Queued::Full(skb);
            }
            p.packets.push_back(skb);
            self.memory = memory;
            return Queued::More;
        }
        let expires = now.plus(LIFETIME);
        let new = RcuBox::try_new(Pending {
            origin,
            group,
            expires,
            packets: SkbQueue::new(),
            next: None,
        });
        let (Ok(mut new), Some(question)) = (new, question(&skb)) else {
            return Queued::Full(skb);
        };
        new.packets.push_back(skb);
        new.next = head.take();
        *head = Some(new);
        self.memory = memory;
        Queued::First(expires, question)
    }

    /// The packets of a source to a group wait no longer.
    pub fn take(&mut self, origin: Addr, group: Addr) -> SkbQueue {
        let mut gone = SkbQueue::new();
        let taken = self.bucket(origin, group).map_or(0, |b| {
            take_if(b, |p| p.origin == origin && p.group == group, &mut gone)
        });
        self.memory = self.memory.saturating_sub(taken);
        gone
    }

    /// Gives up those that have waited too long; and when to look again, if any wait.
    ///
    /// Mirrors [`ipmr_expire_process`](srctree/net/ipv4/ipmr.c)
    pub fn expire(&mut self, now: Instant) -> (SkbQueue, Option<Instant>) {
        let mut gone = SkbQueue::new();
        let mut next: Option<Instant> = None;
        for bucket in self.buckets.iter_mut() {
            let taken = take_if(bucket, |p| p.expires <= now, &mut gone);
            self.memory = self.memory.saturating_sub(taken);
            let mut link = &*bucket;
            while let Some(p) = link {
                next = Some(next.map_or(p.expires, |n| n.min(p.expires)));
                link = &p.next;
            }
        }
        (gone, next)
    }

    /// Calls `f` with each source and group whose packets wait, in no order.
    pub fn for_each(&self, mut f: impl FnMut(Addr, Addr)) {
        for mut link in &*self.buckets {
            while let Some(p) = link {
                f(p.origin, p.group);
                link = &p.next;
            }
        }
    }

    /// Gives all of them up.
    pub fn clear(&mut self) -> SkbQueue {
        let mut gone = SkbQueue::new();
        for bucket in self.buckets.iter_mut() {
            take_if(bucket, |_| true, &mut gone);
        }
        self.memory = 0;
        gone
    }
}

/// The one of a chain that is for a source and a group.
fn find(mut link: &mut Link, origin: Addr, group: Addr) -> Option<&mut Pending> {
    while let Some(p) = link {
        if p.origin == origin && p.group == group {
            return Some(p);
        }
        link = &mut p.next;
    }
    None
}

/// Moves the packets of those of a chain that are `doomed` to `gone`, and says how many bytes that were.
fn take_if(mut link: &mut Link, doomed: impl Fn(&Pending) -> bool, gone: &mut SkbQueue) -> usize {
    let mut bytes = 0usize;
    loop {
        if let Some(mut p) = link.take_if(|p| doomed(p)) {
            while let Some(skb) = p.packets.pop_front() {
                bytes = bytes.saturating_add(skb.truesize());
                gone.push_back(skb);
            }
            *link = p.next.take();
            continue;
        }
        match link {
            Some(p) => link = &mut p.next,
            None => return bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::{
        fail_alloc,
        Vec, //
    };

    const S: Addr = Addr::new(10, 0, 0, 1);
    const LOTS: usize = 1 << 20;

    fn group(n: u32) -> Addr {
        Addr::from_u32(0xef00_0000 + n)
    }

    fn at(ms: u64) -> Instant {
        Instant::ZERO.plus(Duration::from_millis(1000 + ms))
    }

    fn push_most(u: &mut Unresolved, n: u32, data: &[u8], most: usize, ms: u64) -> Queued {
        let question = |skb: &SkBuff| Some(Skb::from_bytes(&skb.bytes()[..1]));
        u.push(S, group(n), Skb::from_bytes(data), most, at(ms), question)
    }

    fn push(u: &mut Unresolved, n: u32, byte: u8, ms: u64) -> Queued {
        push_most(u, n, &[byte; 100], LOTS, ms)
    }

    fn bytes(mut q: SkbQueue) -> Vec<u8> {
        core::iter::from_fn(|| q.pop_front())
            .map(|s| s.bytes()[0])
            .collect()
    }

    #[test]
    fn push__four_of_each_in_order() {
        let mut u = Unresolved::try_new(1).unwrap();
        assert!(matches!(push(&mut u, 1, 0, 0), Queued::First(t, _) if t == at(10_000)));
        for i in 1..4 {
            assert!(matches!(push(&mut u, 1, i, 5), Queued::More));
        }
        assert!(matches!(push(&mut u, 1, 4, 5), Queued::Full(_)));
        assert!(matches!(push(&mut u, 2, 9, 5), Queued::First(..)));
        let mut there = Vec::new();
        u.for_each(|origin, group| there.push((origin, group)));
        there.sort_by_key(|(_, group)| group.to_u32());
        assert_eq!(there, [(S, group(1)), (S, group(2))]);
        assert_eq!(bytes(u.take(S, group(1))), [0, 1, 2, 3]);
        assert_eq!(bytes(u.take(S, group(1))), []);
        assert_eq!(bytes(u.take(S, group(2))), [9]);
        assert_eq!(u.memory, 0);
    }

    #[test]
    fn push__no_more_bytes_than_may_be() {
        let mut u = Unresolved::try_new(1).unwrap();
        let size = Skb::from_bytes(&[0; 100]).truesize();
        let most = 3 * size;
        let mut fits = 0;
        for n in 0..1000 {
            let queued = push_most(&mut u, n, &[0; 100], most, 0);
            fits += usize::from(!matches!(queued, Queued::Full(_)));
        }
        assert_eq!(fits, 3);
        u.take(S, group(0));
        let last = push_most(&mut u, 7, &[0; 100], most, 0);
        assert!(matches!(last, Queued::First(..)));
    }

    #[test]
    fn push__no_memory() {
        let mut u = Unresolved::try_new(1).unwrap();
        let (skb, none) = (Skb::from_bytes(&[1]), |_: &SkBuff| None);
        fail_alloc(Some(0));
        let queued = u.push(S, group(1), skb, LOTS, at(0), none);
        fail_alloc(None);
        assert!(matches!(queued, Queued::Full(_)));
        let queued = u.push(S, group(1), Skb::from_bytes(&[1]), LOTS, at(0), none);
        assert!(matches!(queued, Queued::Full(_)));
        assert_eq!(u.memory, 0);
        assert!(matches!(push(&mut u, 1, 0, 0), Queued::First(..)));
    }

    #[test]
    fn expire__those_whose_time_is_over() {
        let mut u = Unresolved::try_new(1).unwrap();
        for n in 0..500 {
            push(&mut u, n, (n / 250) as u8, u64::from(n / 250) * 100);
        }
        // What comes later does not prolong the first one's time.
        push(&mut u, 0, 7, 50);
        let (gone, next) = u.expire(at(9_999));
        assert_eq!((gone.len(), next), (0, Some(at(10_000))));
        let (gone, next) = u.expire(at(10_000));
        assert_eq!((gone.len(), next), (251, Some(at(10_100))));
        assert_eq!(u.clear().len(), 250);
        assert_eq!((u.expire(at(99_999)).1, u.memory), (None, 0));
    }
}
