// SPDX-License-Identifier: GPL-2.0
//! Where a socket's ends are, and who else may be there.
//!
//! C headers: [`include/net/inet_sock.h`](srctree/include/net/inet_sock.h),
//! [`include/net/inet_hashtables.h`](srctree/include/net/inet_hashtables.h)

use super::Sk;

impl Sk {
    /// The local port in host order; 0 for none.
    #[inline]
    pub fn num(&self) -> u16 {
        read!(
            self,
            sk.__sk_common.__bindgen_anon_3.__bindgen_anon_1.skc_num
        )
    }

    /// Sets the local port, in both places where it is kept.
    #[inline]
    pub fn set_num(&self, port: u16) {
        write!(
            self,
            sk.__sk_common.__bindgen_anon_3.__bindgen_anon_1.skc_num,
            port
        );
        write!(self, inet_sport, port.to_be());
    }

    /// The socket has no local port any more, though getsockname(2) shows the one that it had.
    ///
    /// Mirrors [`__inet_put_port`](srctree/net/ipv4/inet_hashtables.c)
    pub fn forget_num(&self) {
        write!(
            self,
            sk.__sk_common.__bindgen_anon_3.__bindgen_anon_1.skc_num,
            0
        );
    }

    /// The local port that getsockname(2) shows, in host order.
    #[inline]
    pub fn sport(&self) -> u16 {
        u16::from_be(read!(self, inet_sport))
    }

    /// The peer's port in host order; 0 for none.
    #[inline]
    pub fn dport(&self) -> u16 {
        u16::from_be(read!(
            self,
            sk.__sk_common.__bindgen_anon_3.__bindgen_anon_1.skc_dport
        ))
    }

    /// Sets the peer's port.
    #[inline]
    pub fn set_dport(&self, port: u16) {
        write!(
            self,
            sk.__sk_common.__bindgen_anon_3.__bindgen_anon_1.skc_dport,
            port.to_be()
        );
    }

    /// The peer's address in host order; 0 for none.
    #[inline]
    pub fn daddr(&self) -> u32 {
        u32::from_be(read!(
            self,
            sk.__sk_common.__bindgen_anon_1.__bindgen_anon_1.skc_daddr
        ))
    }

    /// Sets the peer's address, when the local one is known. What was known of the way of the peer's packets is forgotten.
    #[inline]
    pub fn set_daddr(&self, addr: u32) {
        write!(
            self,
            sk.__sk_common.__bindgen_anon_1.__bindgen_anon_1.skc_daddr,
            addr.to_be()
        );
        self.forget_way();
    }

    /// The local address packets must be for, in host order; 0 for any.
    #[inline]
    pub fn rcv_saddr(&self) -> u32 {
        u32::from_be(read!(
            self,
            sk.__sk_common
                .__bindgen_anon_1
                .__bindgen_anon_1
                .skc_rcv_saddr
        ))
    }

    /// Sets the local address packets must be for.
    #[inline]
    pub fn set_rcv_saddr(&self, addr: u32) {
        write!(
            self,
            sk.__sk_common
                .__bindgen_anon_1
                .__bindgen_anon_1
                .skc_rcv_saddr,
            addr.to_be()
        );
    }

    /// The source address of what is sent, in host order; 0: the route's.
    #[inline]
    pub fn saddr(&self) -> u32 {
        u32::from_be(read!(self, inet_saddr))
    }

    /// Sets the source address of what is sent.
    #[inline]
    pub fn set_saddr(&self, addr: u32) {
        write!(self, inet_saddr, addr.to_be());
    }

    /// The device that the user bound the socket to; 0 for any.
    #[inline]
    pub fn bound_dev_if(&self) -> i32 {
        read!(self, sk.__sk_common.skc_bound_dev_if)
    }

    /// The hash under which the socket stands in the look-up table.
    #[inline]
    pub fn hash(&self) -> u32 {
        read!(self, sk.__sk_common.__bindgen_anon_2.skc_hash)
    }

    /// Sets the hash, before the socket is put into the table.
    #[inline]
    pub(in crate::abstractions) fn set_hash(&self, hash: u32) {
        write!(self, sk.__sk_common.__bindgen_anon_2.skc_hash, hash);
    }

    /// `SO_REUSEADDR`.
    #[inline]
    pub fn reuse(&self) -> bool {
        // Four bits, the lowest ones: skc_reuse:4.
        let unit = read!(self, sk.__sk_common._bitfield_1);
        unit.get(0, 4) != 0
    }

    /// `SO_REUSEPORT`.
    #[inline]
    pub fn reuseport(&self) -> bool {
        // skc_reuseport:1 follows skc_reuse:4.
        read!(self, sk.__sk_common._bitfield_1).get(4, 1) != 0
    }

    /// Sets `SO_REUSEADDR`. With the socket's lock held.
    pub fn set_reuse(&self, on: bool) {
        let mut unit = read!(self, sk.__sk_common._bitfield_1);
        unit.set(0, 4, u64::from(on));
        write!(self, sk.__sk_common._bitfield_1, unit);
    }

    /// Sets `SO_REUSEPORT`. With the socket's lock held.
    pub(in crate::abstractions) fn set_reuseport(&self, on: bool) {
        let mut unit = read!(self, sk.__sk_common._bitfield_1);
        unit.set(4, 1, u64::from(on));
        write!(self, sk.__sk_common._bitfield_1, unit);
    }
}
