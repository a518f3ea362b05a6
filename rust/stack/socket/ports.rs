// SPDX-License-Identifier: GPL-2.0
//! Who may bind where, and in which order free ports are tried: pure rules, no tables.
//!
//! Mirrors [`inet_bind_conflict`, `inet_csk_find_open_port`](srctree/net/ipv4/inet_connection_sock.c),
//! [`udp_lib_lport_inuse`](srctree/net/ipv4/udp.c)

use crate::stack::wire::ipv4::Addr;

/// The ephemeral ports, both ends included (`net.ipv4.ip_local_port_range`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// The lowest.
    pub low: u16,
    /// The highest; not below the lowest.
    pub high: u16,
}

impl Default for PortRange {
    /// Linux's: 32768 to 60999.
    fn default() -> Self {
        PortRange {
            low: 32_768,
            high: 60_999,
        }
    }
}

impl PortRange {
    /// How many ports there are.
    const fn len(self) -> u32 {
        (self.high as u32)
            .saturating_sub(self.low as u32)
            .saturating_add(1)
    }
}

/// What counts of a bound socket when another wants the same port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The address it is bound to; [`Addr::ANY`] for every one.
    pub rcv_saddr: Addr,
    /// The device it is bound to (`SO_BINDTODEVICE`); 0 for every one.
    pub bound_dev_if: i32,
    /// `SO_REUSEADDR`.
    pub reuse: bool,
    /// `SO_REUSEPORT`.
    pub reuseport: bool,
    /// The user that made it.
    pub uid: u32,
    /// TCP only: it listens.
    pub listening: bool,
    /// TCP only: it is a TIME_WAIT, whose user does not matter any more.
    pub time_wait: bool,
}

impl Bound {
    /// Whether packets could be for both of them: same device and same address, or any.
    #[inline]
    const fn overlaps(&self, other: &Bound) -> bool {
        (self.bound_dev_if == 0
            || other.bound_dev_if == 0
            || self.bound_dev_if == other.bound_dev_if)
            && (self.rcv_saddr.is_any()
                || other.rcv_saddr.is_any()
                || self.rcv_saddr.to_u32() == other.rcv_saddr.to_u32())
    }

    /// Whether both asked to share the port as one group.
    #[inline]
    const fn share(&self, other: &Bound) -> bool {
        self.reuseport && other.reuseport && (other.time_wait || self.uid == other.uid)
    }

    /// Whether a TCP socket that wants this cannot have it because `other` has it.
    ///
    /// Mirrors [`inet_bind_conflict`](srctree/net/ipv4/inet_connection_sock.c)
    ///
    /// `SO_REUSEADDR` on both lets them share as long as the other does not listen. `explicit` is
    /// whether the user named the port: one picked for him is shared by `SO_REUSEADDR` only when no
    /// other is left (`relax`), and never by `SO_REUSEPORT`.
    #[inline]
    pub const fn conflicts_tcp(&self, other: &Bound, explicit: bool, relax: bool) -> bool {
        if !self.overlaps(other) {
            return false;
        }
        if self.reuse && other.reuse && !other.listening {
            return !explicit && (!relax || self.share(other));
        }
        !(explicit && self.share(other))
    }

    /// Whether a UDP socket that wants this cannot have it because `other` has it.
    ///
    /// Mirrors [`udp_lib_lport_inuse`](srctree/net/ipv4/udp.c)
    #[inline]
    pub const fn conflicts_udp(&self, other: &Bound) -> bool {
        self.overlaps(other) && !(self.reuse && other.reuse) && !self.share(other)
    }
}

/// The ports of a range in the order in which they are tried.
///
/// Ports of one parity come first, then the others: connections take those of the parity of the
/// range's low end, binds to port 0 the rest, so that long-lived binds do not thin out the
/// connections' half.
#[derive(Clone, Debug)]
pub struct Candidates {
    range: PortRange,
    /// Where in the range the walk began, and of which parity.
    offset: u32,
    /// Ports that came out.
    tried: u32,
}

impl Candidates {
    /// For an active open: `offset` is RFC 6056's.
    #[inline]
    pub const fn for_connect(range: PortRange, offset: u32) -> Self {
        Candidates {
            range,
            offset: (offset % range.len()) & !1,
            tried: 0,
        }
    }

    /// For a bind to port 0, or a UDP socket's first send: `random` is fresh.
    #[inline]
    pub const fn for_bind(range: PortRange, random: u32) -> Self {
        Candidates {
            range,
            offset: (random % range.len()) | 1,
            tried: 0,
        }
    }

    /// How many ports came out so far.
    #[inline]
    pub const fn tried(&self) -> u32 {
        self.tried
    }

    /// How many ports of the range have the parity `odd` as their offset.
    const fn of_parity(&self, odd: u32) -> u32 {
        // ceil(len / 2) offsets are even, floor(len / 2) are odd.
        (self.range.len() + 1 - odd) / 2
    }
}

impl Iterator for Candidates {
    type Item = u16;

    #[inline]
    fn next(&mut self) -> Option<u16> {
        let first = self.offset & 1;
        let (parity, nth) = match self.tried.checked_sub(self.of_parity(first)) {
            None => (first, self.tried),
            Some(n) => (first ^ 1, n),
        };
        let count = self.of_parity(parity);
        if nth >= count {
            return None;
        }
        self.tried += 1;
        // The walk begins at the offset and wraps within its parity.
        let at = (self.offset / 2 + nth) % count * 2 + parity;
        u16::try_from(u32::from(self.range.low) + at).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Vec;
    use proptest::prelude::*;

    const ANY: Bound = Bound {
        rcv_saddr: Addr::ANY,
        bound_dev_if: 0,
        reuse: false,
        reuseport: false,
        uid: 0,
        listening: false,
        time_wait: false,
    };
    const ONE: Bound = Bound {
        rcv_saddr: Addr::new(10, 0, 0, 1),
        ..ANY
    };
    const TWO: Bound = Bound {
        rcv_saddr: Addr::new(10, 0, 0, 2),
        ..ANY
    };

    #[test]
    fn conflicts_tcp__addresses() {
        assert!(ANY.conflicts_tcp(&ANY, true, false));
        assert!(ANY.conflicts_tcp(&ONE, true, false));
        assert!(ONE.conflicts_tcp(&ANY, true, false));
        assert!(ONE.conflicts_tcp(&ONE, true, false));
        assert!(!ONE.conflicts_tcp(&TWO, true, false));
    }

    #[test]
    fn conflicts_tcp__devices() {
        let dev = |n| Bound {
            bound_dev_if: n,
            ..ANY
        };
        assert!(dev(1).conflicts_tcp(&dev(0), true, false));
        assert!(dev(1).conflicts_tcp(&dev(1), true, false));
        assert!(!dev(1).conflicts_tcp(&dev(2), true, false));
    }

    #[test]
    fn conflicts_tcp__reuseaddr() {
        let reuse = Bound { reuse: true, ..ANY };
        let listening = Bound {
            listening: true,
            ..reuse
        };
        // Both must ask, and the other must not listen.
        assert!(!reuse.conflicts_tcp(&reuse, true, false));
        assert!(reuse.conflicts_tcp(&ANY, true, false));
        assert!(ANY.conflicts_tcp(&reuse, true, false));
        assert!(reuse.conflicts_tcp(&listening, true, false));
        // A port that was picked is shared only as the last resort.
        assert!(reuse.conflicts_tcp(&reuse, false, false));
        assert!(!reuse.conflicts_tcp(&reuse, false, true));
        let both = Bound {
            reuseport: true,
            ..reuse
        };
        assert!(both.conflicts_tcp(&both, false, true));
    }

    #[test]
    fn conflicts_tcp__reuseport() {
        let group = Bound {
            reuseport: true,
            uid: 7,
            ..ANY
        };
        let listening = Bound {
            listening: true,
            ..group
        };
        assert!(!group.conflicts_tcp(&listening, true, false));
        assert!(group.conflicts_tcp(&listening, false, false));
        let other_user = Bound {
            uid: 8,
            ..listening
        };
        assert!(group.conflicts_tcp(&other_user, true, false));
        let old = Bound {
            time_wait: true,
            ..other_user
        };
        assert!(!group.conflicts_tcp(&old, true, false));
    }

    #[test]
    fn conflicts_udp__reuse() {
        let reuse = Bound { reuse: true, ..ANY };
        let group = Bound {
            reuseport: true,
            ..ANY
        };
        assert!(ANY.conflicts_udp(&ANY));
        assert!(!ONE.conflicts_udp(&TWO));
        assert!(!reuse.conflicts_udp(&reuse));
        assert!(reuse.conflicts_udp(&ANY));
        assert!(!group.conflicts_udp(&group));
        assert!(group.conflicts_udp(&reuse));
        assert!(group.conflicts_udp(&Bound { uid: 1, ..group }));
    }

    #[test]
    fn candidates__parity() {
        let range = PortRange {
            low: 1000,
            high: 1003,
        };
        let connect: Vec<u16> = Candidates::for_connect(range, 2).collect();
        assert_eq!(connect, [1002, 1000, 1003, 1001]);
        let bind: Vec<u16> = Candidates::for_bind(range, 2).collect();
        assert_eq!(bind, [1003, 1001, 1002, 1000]);
    }

    proptest! {
        #[test]
        fn candidates__every_port_once(low in 1u16.., n in 0u16..300, random in any::<u32>(), bind in any::<bool>()) {
            let range = PortRange { low, high: low.saturating_add(n) };
            let it = if bind {
                Candidates::for_bind(range, random)
            } else {
                Candidates::for_connect(range, random)
            };
            let mut ports: Vec<u16> = it.collect();
            ports.sort_unstable();
            let all: Vec<u16> = (range.low..=range.high).collect();
            prop_assert_eq!(ports, all);
        }
    }
}
