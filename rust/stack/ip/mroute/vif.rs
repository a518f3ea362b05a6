// SPDX-License-Identifier: GPL-2.0
//! The devices by which a router takes packets to groups in, and sends them on.
//!
//! Read without a lock; whoever changes them is alone by a lock of the caller's.
//!
//! Mirrors [`struct vif_device`](srctree/include/linux/mroute_base.h)

use super::MAXVIFS;
use core::sync::atomic::{
    AtomicU32,
    AtomicU64,
    Ordering, //
};

/// One of them.
#[derive(Debug, Default)]
struct Vif {
    /// The number of its device; 0: there is no such vif.
    ifindex: AtomicU32,
    /// Packets in and out, bytes in and out.
    counts: [AtomicU64; 4],
}

impl Vif {
    fn count(&self, direction: usize, len: usize) {
        let add = |at: usize, n: u64| {
            if let Some(c) = self.counts.get(at) {
                c.fetch_add(n, Ordering::Relaxed);
            }
        };
        add(direction, 1);
        add(direction.wrapping_add(2), len as u64);
    }
}

/// All of them, by their numbers.
#[derive(Debug, Default)]
pub struct Vifs {
    vifs: [Vif; MAXVIFS],
    /// Which there are, a bit for each.
    there: AtomicU32,
}

impl Vifs {
    fn get(&self, n: u8) -> Option<&Vif> {
        self.vifs.get(usize::from(n))
    }

    /// The number of the device of a vif; `None` if there is no such vif.
    #[inline]
    pub fn ifindex(&self, n: u8) -> Option<u32> {
        match self.get(n)?.ifindex.load(Ordering::Relaxed) {
            0 => None,
            ifindex => Some(ifindex),
        }
    }

    /// Which vifs there are, a bit for each.
    pub fn there(&self) -> u32 {
        self.there.load(Ordering::Relaxed)
    }

    /// The vif of a device, the last one if it has several.
    ///
    /// Mirrors [`ipmr_find_vif`](srctree/net/ipv4/ipmr.c)
    #[inline]
    pub fn find(&self, ifindex: u32) -> Option<u8> {
        let mut left = self.there();
        while let Some(n) = left.checked_ilog2() {
            if self.ifindex(n as u8) == Some(ifindex) {
                return Some(n as u8);
            }
            left &= !(1 << n);
        }
        None
    }

    /// Makes a vif of a device; its counters begin anew. `false` if there is one with this number, or none can be.
    ///
    /// Mirrors the end of [`vif_add`](srctree/net/ipv4/ipmr.c)
    pub fn add(&self, n: u8, ifindex: u32) -> bool {
        let Some(vif) = self.get(n).filter(|_| self.ifindex(n).is_none()) else {
            return false;
        };
        for c in &vif.counts {
            c.store(0, Ordering::Relaxed);
        }
        vif.ifindex.store(ifindex, Ordering::Relaxed);
        self.there.fetch_or(1 << n, Ordering::Release);
        true
    }

    /// Takes a vif away. `false` if there is none with this number.
    ///
    /// Mirrors the beginning of [`vif_delete`](srctree/net/ipv4/ipmr.c)
    pub fn remove(&self, n: u8) -> bool {
        if self.ifindex(n).is_none() {
            return false;
        }
        self.there.fetch_and(!(1 << n), Ordering::Relaxed);
        if let Some(vif) = self.get(n) {
            vif.ifindex.store(0, Ordering::Relaxed);
        }
        true
    }

    /// A packet of `len` bytes has come in.
    pub fn count_in(&self, n: u8, len: usize) {
        if let Some(vif) = self.get(n) {
            vif.count(0, len);
        }
    }

    /// A packet of `len` bytes goes out.
    pub fn count_out(&self, n: u8, len: usize) {
        if let Some(vif) = self.get(n) {
            vif.count(1, len);
        }
    }

    /// Packets in, packets out, bytes in, bytes out; `None` if there is no such vif.
    pub fn counts(&self, n: u8) -> Option<[u64; 4]> {
        self.ifindex(n)?;
        let vif = self.get(n)?;
        Some(core::array::from_fn(|i| {
            vif.counts.get(i).map_or(0, |c| c.load(Ordering::Relaxed))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn find__what_was_added() {
        let v = Vifs::default();
        assert_eq!(v.find(5), None);
        assert!(v.add(0, 5) && v.add(31, 6) && v.add(3, 5));
        assert!(!v.add(0, 9) && !v.add(32, 9));
        assert_eq!((v.find(5), v.find(6), v.find(7)), (Some(3), Some(31), None));
        assert_eq!(v.there(), 0x8000_0009);
        assert!(v.remove(3) && !v.remove(3) && !v.remove(200));
        assert_eq!(v.find(5), Some(0));
        assert_eq!(v.ifindex(3), None);
    }

    #[test]
    fn counts__begin_anew() {
        let v = Vifs::default();
        assert_eq!(v.counts(1), None);
        assert!(v.add(1, 5));
        v.count_in(1, 100);
        v.count_out(1, 20);
        v.count_out(1, 30);
        v.count_out(77, 30);
        assert_eq!(v.counts(1), Some([1, 2, 100, 50]));
        assert!(v.remove(1));
        assert_eq!(v.counts(1), None);
        assert!(v.add(1, 5));
        assert_eq!(v.counts(1), Some([0; 4]));
    }
}
