// SPDX-License-Identifier: GPL-2.0
//! How a socket's packets are made, and which it takes: the fields of `struct inet_sock` of its own.
//!
//! C header: [`include/net/inet_sock.h`](srctree/include/net/inet_sock.h)

use super::Sk;
use core::sync::atomic::{
    AtomicI32,
    Ordering, //
};

impl Sk {
    /// `IP_TOS`.
    #[inline]
    pub fn tos(&self) -> u8 {
        read!(self, tos)
    }

    /// Sets `IP_TOS`.
    #[inline]
    pub fn set_tos(&self, tos: u8) {
        write!(self, tos, tos);
    }

    /// `IP_TTL`; -1: the namespace's default.
    #[inline]
    pub fn uc_ttl(&self) -> i16 {
        read!(self, uc_ttl)
    }

    /// Sets `IP_TTL`, -1 to 255.
    #[inline]
    pub fn set_uc_ttl(&self, ttl: i16) {
        write!(self, uc_ttl, ttl);
    }

    /// `IP_MULTICAST_TTL`.
    #[inline]
    pub fn mc_ttl(&self) -> u8 {
        read!(self, mc_ttl)
    }

    /// Sets `IP_MULTICAST_TTL`.
    #[inline]
    pub fn set_mc_ttl(&self, ttl: u8) {
        write!(self, mc_ttl, ttl);
    }

    /// The device that multicasts leave by (`IP_MULTICAST_IF`); 0 for the route's.
    #[inline]
    pub fn mc_index(&self) -> i32 {
        read!(self, mc_index)
    }

    /// The source of multicasts (`IP_MULTICAST_IF`), in host order; 0 for the route's.
    #[inline]
    pub fn mc_addr(&self) -> u32 {
        u32::from_be(read!(self, mc_addr))
    }

    /// The device that unicasts leave by (`IP_UNICAST_IF`); 0 for the route's.
    #[inline]
    pub fn uc_index(&self) -> i32 {
        read!(self, uc_index) as i32
    }

    /// `SO_NO_CHECK`: datagrams go without a checksum.
    #[inline]
    pub fn no_check_tx(&self) -> bool {
        // SAFETY: A live socket; a bit of a byte, of which others are written at most with the socket's lock held.
        unsafe { (*self.as_ptr()).sk_no_check_tx() != 0 }
    }

    /// `IP_MINTTL`; 0 for none.
    #[inline]
    pub fn min_ttl(&self) -> u8 {
        read!(self, min_ttl)
    }

    /// Sets `IP_MINTTL`.
    #[inline]
    pub fn set_min_ttl(&self, ttl: u8) {
        write!(self, min_ttl, ttl);
    }

    /// `IP_MTU_DISCOVER`.
    #[inline]
    pub fn pmtudisc(&self) -> u8 {
        read!(self, pmtudisc)
    }

    /// Sets `IP_MTU_DISCOVER`.
    #[inline]
    pub fn set_pmtudisc(&self, mode: u8) {
        write!(self, pmtudisc, mode);
    }

    /// The TOS byte of the last segment of the peer's handshake.
    #[inline]
    pub fn rcv_tos(&self) -> u8 {
        read!(self, rcv_tos)
    }

    /// Bits of `inet_flags` (`INET_FLAGS_*`).
    #[inline]
    pub fn inet_flag(&self, bit: u32) -> bool {
        read!(self, inet_flags) & (1 << bit) != 0
    }

    /// Sets or clears a bit of `inet_flags`. With the socket's lock held.
    #[inline]
    pub fn assign_inet_flag(&self, bit: u32, on: bool) {
        let flags = read!(self, inet_flags);
        let flags = if on {
            flags | (1 << bit)
        } else {
            flags & !(1 << bit)
        };
        write!(self, inet_flags, flags);
    }

    /// `IP_LOCAL_PORT_RANGE`: the highest port in the upper half, the lowest in the lower; 0 for the
    /// namespace's.
    pub fn own_port_range(&self) -> u32 {
        read!(self, local_port_range)
    }

    /// Takes the next IP identification of this connection.
    #[inline]
    pub fn next_ip_id(&self, n: u16) -> u16 {
        // SAFETY: An `atomic_t` of a live object.
        let id = unsafe { AtomicI32::from_ptr(&raw mut (*self.0.get()).inet_id.counter) };
        id.fetch_add(i32::from(n), Ordering::Relaxed) as u16
    }

    /// Sets the first IP identification.
    #[inline]
    pub fn set_ip_id(&self, id: u16) {
        // SAFETY: As in `next_ip_id`.
        unsafe { AtomicI32::from_ptr(&raw mut (*self.0.get()).inet_id.counter) }
            .store(i32::from(id), Ordering::Relaxed);
    }
}
