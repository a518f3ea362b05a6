// SPDX-License-Identifier: GPL-2.0
//! The name of a connection.

use super::siphash::{
    siphash24_u64x2,
    Key, //
};
use crate::stack::wire::ipv4::Addr;

/// Both ends of a connection, seen from here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FourTuple {
    /// Our address.
    pub saddr: Addr,
    /// The peer's address.
    pub daddr: Addr,
    /// Our port, in host order.
    pub sport: u16,
    /// The peer's port, in host order.
    pub dport: u16,
}

impl FourTuple {
    /// The same connection seen from the peer.
    #[inline]
    pub const fn reversed(self) -> FourTuple {
        FourTuple {
            saddr: self.daddr,
            daddr: self.saddr,
            sport: self.dport,
            dport: self.sport,
        }
    }

    /// Both addresses in one number.
    #[inline]
    pub const fn addrs(self) -> u64 {
        ((self.saddr.to_u32() as u64) << 32) | self.daddr.to_u32() as u64
    }

    /// Both ports in one number.
    #[inline]
    pub const fn ports(self) -> u32 {
        ((self.sport as u32) << 16) | self.dport as u32
    }

    /// The bucket hash of the connection in the namespace `net` (any number that tells namespaces
    /// apart). Nobody without the key can make connections collide on purpose.
    ///
    /// Mirrors [`inet_ehashfn`](srctree/net/ipv4/inet_hashtables.c), which uses jhash with a secret.
    #[inline]
    pub fn hash(self, net: u32, secret: u32) -> u32 {
        jhash_3words(
            self.saddr.to_u32(),
            self.daddr.to_u32(),
            self.ports(),
            secret.wrapping_add(net),
        )
    }

    /// A hash of the connection that cannot be inverted to find the key.
    #[inline]
    pub fn siphash(self, key: &Key) -> u64 {
        siphash24_u64x2(self.addrs(), u64::from(self.ports()), key)
    }
}

/// Bob Jenkins' hash of three words: cheap, and keyed by `initval`.
///
/// Mirrors [`jhash_3words`](srctree/include/linux/jhash.h)
#[inline]
pub const fn jhash_3words(a: u32, b: u32, c: u32, initval: u32) -> u32 {
    // 0xdeadbeef is JHASH_INITVAL; 3 words are 12 bytes.
    let init = initval.wrapping_add(0xdead_beef + (3 << 2));
    let (mut a, mut b, mut c) = (
        a.wrapping_add(init),
        b.wrapping_add(init),
        c.wrapping_add(init),
    );
    // __jhash_final.
    c = (c ^ b).wrapping_sub(b.rotate_left(14));
    a = (a ^ c).wrapping_sub(c.rotate_left(11));
    b = (b ^ a).wrapping_sub(a.rotate_left(25));
    c = (c ^ b).wrapping_sub(b.rotate_left(16));
    a = (a ^ c).wrapping_sub(c.rotate_left(4));
    b = (b ^ a).wrapping_sub(a.rotate_left(14));
    c = (c ^ b).wrapping_sub(b.rotate_left(24));
    c
}

/// The same of one word.
///
/// Mirrors [`jhash_1word`](srctree/include/linux/jhash.h)
#[inline]
pub const fn jhash_1word(a: u32, initval: u32) -> u32 {
    // One word is 4 bytes: the initial value of Linux differs from three words' by 8.
    jhash_3words(a, 0, 0, initval.wrapping_sub(8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reversed__twice_is_itself() {
        let t = FourTuple {
            saddr: Addr::new(10, 0, 0, 1),
            daddr: Addr::new(10, 0, 0, 2),
            sport: 1,
            dport: 2,
        };
        assert_eq!(t.reversed().reversed(), t);
        assert_ne!(t.reversed(), t);
        assert_ne!(t.hash(0, 1), t.reversed().hash(0, 1));
    }

    #[test]
    fn hash__spreads_neighbouring_ports() {
        // 4096 connections that differ in the port only, over 256 buckets: no bucket may hold more
        // than four times its share.
        let mut buckets = [0u32; 256];
        for sport in 0..4096 {
            let t = FourTuple {
                sport,
                ..FourTuple::default()
            };
            buckets[(t.hash(7, 0x1234_5678) & 255) as usize] += 1;
        }
        assert!(buckets.iter().all(|n| *n < 64), "{buckets:?}");
    }
}
