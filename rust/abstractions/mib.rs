// SPDX-License-Identifier: GPL-2.0
//! The SNMP counters of a namespace: what `nstat` and `netstat -s` show.
//!
//! C headers: [`include/net/snmp.h`](srctree/include/net/snmp.h), [`include/net/netns/mib.h`](srctree/include/net/netns/mib.h)

use super::netns::Net;
use crate::bindings;
use core::mem::size_of;
use core::sync::atomic::{
    AtomicI64,
    Ordering, //
};
use kernel::ffi::c_ulong;

/// A table of counters that each CPU adds to on its own.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mib {
    /// `Ip` and `IpExt`: `IPSTATS_MIB_*`.
    Ip,
    /// `Icmp`: `ICMP_MIB_*`, but for those of single types: see [`Net::icmpmsg_inc`].
    Icmp,
    /// `Tcp`: `TCP_MIB_*`.
    Tcp,
    /// `TcpExt`: `LINUX_MIB_*`.
    Net,
    /// `Udp`: `UDP_MIB_*`.
    Udp,
}

/// The tables hold `unsigned long`, but that of IP, which holds `u64` and on machines of 32 bits a lock
/// besides.
const _: () = assert!(size_of::<c_ulong>() == size_of::<u64>());

impl Net {
    /// Adds `n`, modulo 2^64, to the counter `field` of a table; nothing if there is none. Any context.
    ///
    /// Mirrors [`SNMP_ADD_STATS`](srctree/include/net/snmp.h)
    #[inline]
    pub(crate) fn mib_add(&self, mib: Mib, field: u32, n: u64) {
        // SAFETY: A live namespace; the pointers to its tables are set before anything of it is visible
        // and are not changed until the namespace's IPv4 goes, after all that is registered here.
        let (table, size) = unsafe {
            let all = &raw const (*self.as_ptr()).mib;
            match mib {
                Mib::Ip => (
                    (*all).ip_statistics.cast::<u64>(),
                    size_of::<bindings::ipstats_mib>(),
                ),
                Mib::Icmp => (
                    (*all).icmp_statistics.cast(),
                    size_of::<bindings::icmp_mib>(),
                ),
                Mib::Tcp => ((*all).tcp_statistics.cast(), size_of::<bindings::tcp_mib>()),
                Mib::Net => (
                    (*all).net_statistics.cast(),
                    size_of::<bindings::linux_mib>(),
                ),
                Mib::Udp => ((*all).udp_statistics.cast(), size_of::<bindings::udp_mib>()),
            }
        };
        let field = field as usize;
        if field < size / size_of::<u64>() {
            // SAFETY: A table of every CPU's begins with its counters, of which there is one with that
            // number; the addition is atomic on the CPU.
            unsafe { bindings::this_cpu_add_u64(table.wrapping_add(field), n) }
        }
    }

    /// Counts an ICMP message by its type; those that are sent stand 256 places behind those received.
    ///
    /// Mirrors [`ICMPMSGIN_INC_STATS`, `ICMPMSGOUT_INC_STATS`](srctree/include/net/icmp.h)
    #[inline]
    pub(crate) fn icmpmsg_inc(&self, place: u16) {
        // SAFETY: As above; there is one table for all CPUs, of words that are only changed atomically.
        let counter = unsafe {
            let table = (*self.as_ptr()).mib.icmpmsg_statistics;
            (*table)
                .mibs
                .get(usize::from(place))
                .map(|c| AtomicI64::from_ptr(core::ptr::from_ref(&c.counter).cast_mut()))
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}
