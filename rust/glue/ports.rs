// SPDX-License-Identifier: GPL-2.0
//! Who has which port.
//!
//! For every local port in use there are *claims*: one for each different way of having it (address,
//! device, options, listening or not), with a count of the sockets that have it so. A thousand
//! connections of one listener are one claim; whether another socket may have the port is decided
//! claim by claim, by the rules of [`stack::socket::ports`](crate::stack::socket::ports), and never by
//! walking over sockets.
//!
//! A socket, or a TIME_WAIT, holds a [`Binding`]: its share of a claim.
//!
//! Mirrors [`struct inet_bind_bucket`, `struct inet_bind2_bucket`](srctree/include/net/inet_hashtables.h)

use crate::{
    abstractions::{
        inet::random_u32,
        lock::Lock,
        memory::Array,
        netns::Net, //
    },
    stack::{
        errno::Errno,
        socket::{
            key::jhash_3words,
            ports::{
                Bound,
                Candidates,
                PortRange, //
            },
        },
    },
};
use kernel::{
    alloc::{
        flags::GFP_ATOMIC,
        KBox, //
    },
    prelude::*,
};

/// Which protocol's rules decide.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    /// `inet_bind_conflict`.
    Tcp,
    /// `udp_lib_lport_inuse`.
    Udp,
}

/// One way of having one port.
struct Claim {
    next: Option<KBox<Claim>>,
    net: usize,
    port: u16,
    /// The port was picked by connect(2): others may share it, each to another peer.
    auto: bool,
    bound: Bound,
    count: u32,
}

/// The claims whose ports have the same hash.
struct Bucket(Option<KBox<Claim>>);

/// The ports of one protocol, in all namespaces.
pub(crate) struct PortTable {
    buckets: Array<Lock<Bucket>>,
    rules: Rules,
}

/// A share in a claim: it must be given back by [`PortTable::release`].
#[derive(Clone, Copy)]
pub(crate) struct Binding {
    net: usize,
    port: u16,
    auto: bool,
    bound: Bound,
}

impl Binding {
    /// The port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Whether this is a share of `c`.
    fn is_of(&self, c: &Claim) -> bool {
        c.net == self.net && c.port == self.port && c.auto == self.auto && c.bound == self.bound
    }
}

impl Bucket {
    fn claims(&self, net: usize, port: u16) -> impl Iterator<Item = &Claim> {
        core::iter::successors(self.0.as_deref(), |c| c.next.as_deref())
            .filter(move |c| c.net == net && c.port == port)
    }

    /// The claim that `b` is a share of.
    fn find(&mut self, b: &Binding) -> Option<&mut Claim> {
        let mut at = self.0.as_deref_mut();
        while let Some(c) = at {
            if b.is_of(c) {
                return Some(c);
            }
            at = c.next.as_deref_mut();
        }
        None
    }

    /// Turns a share into another of the same port. Allocates only if there are others of the old one.
    fn exchange(&mut self, old: &Binding, new: &Binding) -> Result<(), Errno> {
        if self.find(new).is_none() {
            if let Some(c) = self.find(old).filter(|c| c.count == 1) {
                c.bound = new.bound;
                return Ok(());
            }
        }
        self.add(new)?;
        self.remove(old);
        Ok(())
    }

    /// Adds a share; allocates if it is a new claim.
    fn add(&mut self, b: &Binding) -> Result<(), Errno> {
        if let Some(c) = self.find(b) {
            c.count = c.count.saturating_add(1);
            return Ok(());
        }
        let mut claim = KBox::new(
            Claim {
                next: None,
                net: b.net,
                port: b.port,
                auto: b.auto,
                bound: b.bound,
                count: 1,
            },
            GFP_ATOMIC,
        )
        .map_err(|_| Errno::ENOMEM)?;
        claim.next = self.0.take();
        self.0 = Some(claim);
        Ok(())
    }

    /// Takes a share back, and the claim with the last one.
    fn remove(&mut self, b: &Binding) {
        let mut link = &mut self.0;
        loop {
            let Some(c) = link else {
                return;
            };
            if b.is_of(c) {
                c.count = c.count.saturating_sub(1);
                if c.count == 0 {
                    let next = c.next.take();
                    *link = next;
                }
                return;
            }
            match link {
                Some(c) => link = &mut c.next,
                None => return,
            }
        }
    }
}

impl PortTable {
    /// A table of `len` buckets, a power of two.
    pub(crate) fn new(len: usize, rules: Rules) -> Result<Self> {
        Ok(PortTable {
            buckets: Array::try_from_fn_sleeping(len, |_| Lock::new(Bucket(None)))?,
            rules,
        })
    }

    fn bucket(&self, net: usize, port: u16) -> Option<&Lock<Bucket>> {
        let hash = jhash_3words(net as u32, u32::from(port), 0, 0);
        self.buckets
            .get(hash as usize & self.buckets.len().wrapping_sub(1))
    }

    fn conflicts(&self, bucket: &Bucket, b: &Binding, explicit: bool, relax: bool) -> bool {
        bucket.claims(b.net, b.port).any(|c| match self.rules {
            Rules::Tcp => b.bound.conflicts_tcp(&c.bound, explicit, relax),
            Rules::Udp => b.bound.conflicts_udp(&c.bound),
        })
    }

    fn try_bind(&self, b: &Binding, explicit: bool, relax: bool) -> Result<(), Errno> {
        let bucket = self.bucket(b.net, b.port).ok_or(Errno::ENOMEM)?;
        let mut bucket = bucket.lock();
        if self.conflicts(&bucket, b, explicit, relax) {
            return Err(Errno::EADDRINUSE);
        }
        bucket.add(b)
    }

    /// Takes `port`, or one of `range` if it is 0: one that is free here, and otherwise if `free` says so.
    ///
    /// # Errors
    ///
    /// EADDRINUSE, ENOMEM.
    ///
    /// Mirrors [`inet_csk_get_port`](srctree/net/ipv4/inet_connection_sock.c), [`udp_lib_get_port`](srctree/net/ipv4/udp.c)
    pub(crate) fn bind(
        &self,
        net: &Net,
        port: u16,
        bound: Bound,
        range: PortRange,
        free: impl Fn(u16) -> bool,
    ) -> Result<Binding, Errno> {
        let mut b = Binding {
            net: net.as_ptr().addr(),
            port,
            auto: false,
            bound,
        };
        if port != 0 {
            self.try_bind(&b, true, false)?;
            return Ok(b);
        }
        for relax in [false, true] {
            for port in Candidates::for_bind(range, random_u32()) {
                if !free(port) {
                    continue;
                }
                b.port = port;
                match self.try_bind(&b, false, relax) {
                    Ok(()) => return Ok(b),
                    Err(Errno::EADDRINUSE) => (),
                    Err(e) => return Err(e),
                }
            }
            if self.rules == Rules::Udp || !bound.reuse {
                break;
            }
        }
        Err(Errno::EADDRINUSE)
    }

    /// Takes `port` for a connection if nobody has it but connections whose port was picked as well.
    ///
    /// # Errors
    ///
    /// EADDRINUSE, ENOMEM.
    ///
    /// Mirrors [`__inet_hash_connect`](srctree/net/ipv4/inet_hashtables.c)
    pub(crate) fn share_auto(&self, net: &Net, port: u16, bound: Bound) -> Result<Binding, Errno> {
        let b = Binding {
            net: net.as_ptr().addr(),
            port,
            auto: true,
            bound,
        };
        let bucket = self.bucket(b.net, port).ok_or(Errno::ENOMEM)?;
        let mut bucket = bucket.lock();
        if bucket.claims(b.net, port).any(|c| !c.auto) {
            return Err(Errno::EADDRINUSE);
        }
        bucket.add(&b)?;
        Ok(b)
    }

    /// Another share of the same port in the way `bound`, without asking anyone: a connection has the port of
    /// its listener.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    ///
    /// Mirrors [`__inet_inherit_port`](srctree/net/ipv4/inet_hashtables.c)
    pub(crate) fn inherit(&self, from: &Binding, bound: Bound) -> Result<Binding, Errno> {
        let b = Binding { bound, ..*from };
        self.bucket(b.net, b.port)
            .ok_or(Errno::ENOMEM)?
            .lock()
            .add(&b)?;
        Ok(b)
    }

    /// Exchanges a share for one in the way `bound`, without asking anyone: what a connection leaves behind has its port.
    ///
    /// # Errors
    ///
    /// ENOMEM; the old share is then given back.
    pub(crate) fn exchange(&self, b: Binding, bound: Bound) -> Result<Binding, Errno> {
        let new = Binding { bound, ..b };
        let mut bucket = self.bucket(b.net, b.port).ok_or(Errno::ENOMEM)?.lock();
        let done = bucket.exchange(&b, &new);
        if done.is_err() {
            bucket.remove(&b);
        }
        done.map(|()| new)
    }

    /// Exchanges a share for one in the way `bound`, if the others with the port agree.
    ///
    /// # Errors
    ///
    /// EADDRINUSE, ENOMEM; the old share is then still held.
    pub(crate) fn rebind(&self, b: &mut Binding, bound: Bound) -> Result<(), Errno> {
        let new = Binding { bound, ..*b };
        let mut bucket = self.bucket(b.net, b.port).ok_or(Errno::ENOMEM)?.lock();
        bucket.remove(b);
        let ret = if self.conflicts(&bucket, &new, true, false) {
            Err(Errno::EADDRINUSE)
        } else {
            bucket.add(&new)
        };
        match ret {
            Ok(()) => {
                *b = new;
                Ok(())
            }
            Err(e) => {
                // Its claim may just have gone; without memory for it the port counts as free a little early.
                let _ = bucket.add(b);
                Err(e)
            }
        }
    }

    /// Gives a share back.
    ///
    /// Mirrors [`inet_put_port`](srctree/net/ipv4/inet_hashtables.c)
    pub(crate) fn release(&self, b: Binding) {
        if let Some(bucket) = self.bucket(b.net, b.port) {
            bucket.lock().remove(&b);
        }
    }
}
