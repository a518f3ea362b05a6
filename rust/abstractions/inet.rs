// SPDX-License-Identifier: GPL-2.0
//! What a namespace says about addresses and ports: the host's configuration, read where it is kept.
//!
//! C headers: [`include/net/ip.h`](srctree/include/net/ip.h), [`include/net/route.h`](srctree/include/net/route.h)

use super::{
    netns::Net,
    sock::Sk, //
};
use crate::bindings;
use kernel::ffi::c_int;

/// What an address means to a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddrType {
    /// One of its own.
    Local,
    /// A broadcast address of one of its networks, or of all.
    Broadcast,
    /// A multicast group.
    Multicast,
    /// Anything else.
    Other,
}

impl Net {
    /// Whether the host has a TCP connection, half-open one or TIME_WAIT with these ends, all in host order:
    /// the peer's address and port, then the local ones. `dif` is the device that a packet of it came in by.
    /// Softirq, or process context with bottom halves off.
    pub fn host_has_tcp(&self, daddr: u32, dport: u16, saddr: u32, sport: u16, dif: c_int) -> bool {
        // SAFETY: A live namespace; what is found comes with a reference, which is given back at once.
        unsafe {
            let sk = bindings::__inet_lookup_established(
                self.as_ptr(),
                daddr.to_be(),
                dport.to_be(),
                saddr.to_be(),
                sport,
                dif,
                0,
            );
            if sk.is_null() {
                return false;
            }
            bindings::sock_gen_put(sk);
        }
        true
    }

    /// What `addr`, in host order, means here; with `oif`, in the routing table of that device's VRF.
    ///
    /// Mirrors [`inet_addr_type_table`](srctree/net/ipv4/fib_frontend.c)
    pub fn addr_type(&self, addr: u32, oif: c_int) -> AddrType {
        let net = self.as_ptr();
        // SAFETY: A live namespace; the functions take the RCU lock themselves.
        let ty = unsafe {
            let table = bindings::l3mdev_fib_table_by_index(net, oif);
            if table == 0 {
                bindings::inet_addr_type(net, addr.to_be())
            } else {
                bindings::inet_addr_type_table(net, addr.to_be(), table)
            }
        };
        match ty {
            bindings::RTN_LOCAL => AddrType::Local,
            bindings::RTN_BROADCAST => AddrType::Broadcast,
            bindings::RTN_MULTICAST => AddrType::Multicast,
            _ => AddrType::Other,
        }
    }

    /// Whether sockets may bind to addresses that are not there (`net.ipv4.ip_nonlocal_bind`).
    pub fn nonlocal_bind(&self) -> bool {
        // SAFETY: A live namespace's byte, read once.
        unsafe { (&raw const (*self.as_ptr()).ipv4.sysctl_ip_nonlocal_bind).read_volatile() != 0 }
    }

    /// Whether the caller may bind to `port`: not below `net.ipv4.ip_unprivileged_port_start` without
    /// CAP_NET_BIND_SERVICE.
    pub fn may_bind(&self, port: u16) -> bool {
        let net = self.as_ptr();
        // SAFETY: A live namespace with its user namespace.
        unsafe {
            c_int::from(port) >= (&raw const (*net).ipv4.sysctl_ip_prot_sock).read_volatile()
                || bindings::ns_capable((*net).user_ns, bindings::CAP_NET_BIND_SERVICE as c_int)
        }
    }

    /// Whether the caller may administer the namespace's network (CAP_NET_ADMIN in its user namespace).
    pub fn may_administer(&self) -> bool {
        // SAFETY: A live namespace with its user namespace.
        unsafe { bindings::ns_capable((*self.as_ptr()).user_ns, bindings::CAP_NET_ADMIN as c_int) }
    }

    /// Whether `port` is kept out of what is picked automatically (`ip_local_reserved_ports`).
    pub fn is_reserved_port(&self, port: u16) -> bool {
        // SAFETY: A live namespace.
        unsafe { bindings::inet_is_local_reserved_port(self.as_ptr(), port) }
    }

    /// The longest queue of connections that listen(2) may ask for (`net.core.somaxconn`).
    pub fn somaxconn(&self) -> u32 {
        // SAFETY: A live namespace's word, read once.
        unsafe { (&raw const (*self.as_ptr()).core.sysctl_somaxconn).read_volatile() as u32 }
    }

    /// A number that tells namespaces apart, for hashes (`net_hash_mix`).
    #[inline]
    pub fn hash_mix(&self) -> u32 {
        // SAFETY: A live namespace's word, set once.
        unsafe { (*self.as_ptr()).hash_mix }
    }
}

impl Sk {
    /// The namespace.
    #[inline]
    pub fn net(&self) -> &Net {
        // SAFETY: A socket keeps its namespace alive.
        unsafe { Net::from_ptr(self.net_ptr()) }
    }

    /// The ports that are picked for this socket, both ends included.
    ///
    /// Mirrors [`inet_sk_get_local_port_range`](srctree/net/ipv4/inet_connection_sock.c)
    pub fn local_port_range(&self) -> (u16, u16) {
        let (mut low, mut high) = (0, 0);
        // SAFETY: A live socket.
        unsafe { bindings::inet_sk_get_local_port_range(self.as_ptr(), &mut low, &mut high) };
        let port = |p: c_int| u16::try_from(p).unwrap_or(u16::MAX);
        (port(low), port(high).max(port(low)))
    }

    /// Hands an option of level IPPROTO_IP that is only a number in `struct inet_sock` to the host's
    /// code for it.
    ///
    /// Mirrors [`ip_setsockopt`](srctree/net/ipv4/ip_sockglue.c)
    pub fn ip_setsockopt(&self, name: c_int, val: &super::iov::OptIn<'_>) -> kernel::error::Result {
        let (ptr, len) = val.raw();
        // SAFETY: A live `struct inet_sock`, process context, the value of the same call handed on.
        kernel::error::to_result(unsafe {
            bindings::ip_setsockopt(
                self.as_ptr(),
                bindings::IPPROTO_IP as c_int,
                name,
                ptr,
                len as u32,
            )
        })
    }

    /// Lets the LSM look at a segment that finished a handshake, whose packet labels the socket.
    ///
    /// Mirrors [`security_inet_conn_established`](srctree/security/security.c)
    pub fn security_conn_established(&self, skb: &super::skbuff::SkBuff) {
        // SAFETY: Both are alive.
        unsafe { bindings::security_inet_conn_established(self.as_ptr(), skb.as_ptr()) };
    }
}

/// A number that nobody can predict.
#[inline]
pub fn random_u32() -> u32 {
    // SAFETY: Any context.
    unsafe { bindings::get_random_u32() }
}

/// Nanoseconds since boot.
#[inline]
pub fn now_ns() -> u64 {
    // SAFETY: Any context.
    unsafe { bindings::ktime_get() as u64 }
}

/// The jiffies counter.
#[inline]
pub fn jiffies() -> usize {
    // SAFETY: A word that changes by itself, read once.
    unsafe { (&raw const bindings::jiffies).read_volatile() as usize }
}

/// Nanoseconds in a jiffy.
pub const JIFFY_NS: u64 = 1_000_000_000 / bindings::HZ as u64;

/// Pages of memory that the kernel may use for buffers (`nr_free_buffer_pages`), or nearly.
pub fn buffer_pages() -> usize {
    // SAFETY: Process context.
    unsafe { bindings::nr_free_buffer_pages() as usize }
}
