// SPDX-License-Identifier: GPL-2.0
//! `net.ipv4.*` of a namespace, read where the host keeps it.
//!
//! C header: [`include/net/netns/ipv4.h`](srctree/include/net/netns/ipv4.h)

use super::{
    inet::JIFFY_NS,
    netns::Net,
    rcu, //
};
use crate::{
    bindings,
    stack::{
        sysctl::{
            sysctl_value,
            sysctls, //
        },
        time::Duration, //
    },
};
use core::marker::{
    PhantomData,
    PhantomPinned, //
};

/// Length of an algorithm's name, with its end (`TCP_CA_NAME_MAX`).
const CA_NAME_LEN: usize = 16;

/// The settings of a namespace (`struct netns_ipv4`), only ever seen behind a reference.
///
/// # Invariants
///
/// A `&Sysctl` is the address of the `ipv4` of a live `struct net`.
#[repr(C)]
pub struct Sysctl {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut bindings::netns_ipv4, PhantomPinned)>,
}

impl Net {
    /// The namespace's settings.
    #[inline]
    pub fn sysctl(&self) -> &Sysctl {
        // SAFETY: A live namespace, which has them inside of itself; the type has no size, so only the
        // address matters.
        unsafe { &*(&raw const (*self.as_ptr()).ipv4).cast() }
    }
}

impl Sysctl {
    /// The name of new sockets' congestion control, filled up with zeroes (`tcp_congestion_control`).
    pub fn tcp_congestion_control(&self) -> [u8; CA_NAME_LEN] {
        let ipv4 = core::ptr::from_ref(self).cast::<bindings::netns_ipv4>();
        let _rcu = rcu::read_lock();
        // SAFETY: By the type invariant the structure is alive. It always points to an algorithm, whose
        // module waits for RCU readers before it goes; the name never changes.
        unsafe {
            let ca = (&raw const (*ipv4).tcp_congestion_control).read_volatile();
            (*ca).name.map(|c| c as u8)
        }
    }

    /// Bytes that the fragments of the namespace may take (`ipfrag_high_thresh`).
    pub fn ipfrag_high_thresh(&self) -> usize {
        let ipv4 = core::ptr::from_ref(self).cast::<bindings::netns_ipv4>();
        // SAFETY: By the type invariant the structure is alive, and with it what it has of fragments; a word that
        // is read once.
        let n = unsafe { (&raw const (*(*ipv4).fqdir).high_thresh).read_volatile() };
        usize::try_from(n).unwrap_or(0)
    }

    /// How long fragments wait for each other (`ipfrag_time`).
    pub fn ipfrag_time(&self) -> Duration {
        let ipv4 = core::ptr::from_ref(self).cast::<bindings::netns_ipv4>();
        // SAFETY: As above.
        let ticks = unsafe { (&raw const (*(*ipv4).fqdir).timeout).read_volatile() };
        Duration::from_nanos((ticks.max(0) as u64).saturating_mul(JIFFY_NS))
    }

    /// The largest receive buffer that a user may ask for (`net.core.rmem_max`), in bytes.
    #[inline]
    pub fn rmem_max(&self) -> u32 {
        // SAFETY: A variable of the kernel's, read once.
        unsafe { (&raw const bindings::sysctl_rmem_max).read_volatile() }
    }
}

/// A field of a kind as the value of its accessor.
macro_rules! value_of {
    (sizes, $raw:expr) => {
        $raw.map(|n: i32| n.max(0) as u32)
    };
    (ticks, $raw:expr) => {
        Duration::from_nanos(($raw.max(0) as u64).saturating_mul(JIFFY_NS))
    };
    (millis, $raw:expr) => {
        Duration::from_millis($raw.max(0) as u64)
    };
    (micros, $raw:expr) => {
        Duration::from_micros($raw.max(0) as u64)
    };
    (nanos, $raw:expr) => {
        Duration::from_nanos($raw as u64)
    };
    ($number:ident, $raw:expr) => {
        $raw as $number
    };
}

macro_rules! accessors {
    ($($(#[$doc:meta])* $name:ident: $kind:ident = $default:expr, $($field:ident).+;)*) => {
        impl Sysctl {
            $(
                $(#[$doc])*
                #[inline]
                pub fn $name(&self) -> sysctl_value!($kind) {
                    let ipv4 = core::ptr::from_ref(self).cast::<bindings::netns_ipv4>();
                    // SAFETY: By the type invariant the structure is alive. A write to the file in
                    // `/proc/sys` may change the field at any time, as one word or, of three, each by
                    // itself; it is read once (`READ_ONCE`), and every value is as good as another.
                    let raw = unsafe { (&raw const (*ipv4).$($field).+).read_volatile() };
                    value_of!($kind, raw)
                }
            )*
        }
    };
}

sysctls!(accessors);
