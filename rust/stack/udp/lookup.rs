// SPDX-License-Identifier: GPL-2.0
//! Which of several sockets a packet is for: pure scores, the tables are glue's.

use crate::stack::socket::FourTuple;
use crate::stack::wire::ipv4::Addr;

/// What counts of a socket when a packet looks for one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receiver {
    /// The address it is bound to; [`Addr::ANY`] for every one.
    pub rcv_saddr: Addr,
    /// Its port.
    pub num: u16,
    /// The peer it is connected to; [`Addr::ANY`] for none.
    pub daddr: Addr,
    /// The peer's port; 0 for none.
    pub dport: u16,
    /// The device it is bound to; 0 for every one.
    pub bound_dev_if: i32,
}

/// How well a packet that belongs to the flow `id` (seen from here) and came in by the device `dif`
/// fits the socket: the higher the better; `None` if it is not for it.
///
/// Mirrors [`compute_score`, `__udp4_lib_lookup`](srctree/net/ipv4/udp.c)
///
/// Linux asks the sockets of the packet's address first and those of every address then, so the
/// address weighs more than all else together; peer, peer's port and device weigh the same.
#[inline]
pub fn compute_score(sk: &Receiver, id: FourTuple, dif: i32) -> Option<u32> {
    if sk.num != id.sport {
        return None;
    }
    let mut score = 0;
    for (wanted, fits, weight) in [
        (!sk.rcv_saddr.is_any(), sk.rcv_saddr == id.saddr, 16),
        (!sk.daddr.is_any(), sk.daddr == id.daddr, 4),
        (sk.dport != 0, sk.dport == id.dport, 4),
        (sk.bound_dev_if != 0, sk.bound_dev_if == dif, 4),
    ] {
        if wanted {
            if !fits {
                return None;
            }
            score += weight;
        }
    }
    Some(score)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: FourTuple = FourTuple {
        saddr: Addr::new(10, 0, 0, 1),
        daddr: Addr::new(10, 0, 0, 2),
        sport: 53,
        dport: 4000,
    };
    const ANY: Receiver = Receiver {
        rcv_saddr: Addr::ANY,
        num: 53,
        daddr: Addr::ANY,
        dport: 0,
        bound_dev_if: 0,
    };

    #[test]
    fn compute_score__order() {
        let dev = Receiver {
            bound_dev_if: 2,
            ..ANY
        };
        let addr = Receiver {
            rcv_saddr: ID.saddr,
            ..ANY
        };
        let addr_dev = Receiver {
            bound_dev_if: 2,
            ..addr
        };
        let connected = Receiver {
            daddr: ID.daddr,
            dport: ID.dport,
            ..addr
        };
        let scores: Vec<_> = [ANY, dev, addr, addr_dev, connected]
            .iter()
            .map(|r| compute_score(r, ID, 2).unwrap())
            .collect();
        assert!(scores.windows(2).all(|w| w[0] < w[1]), "{scores:?}");
    }

    #[test]
    fn compute_score__not_for_it() {
        let other = Addr::new(10, 0, 0, 9);
        for r in [
            Receiver { num: 54, ..ANY },
            Receiver {
                rcv_saddr: other,
                ..ANY
            },
            Receiver {
                daddr: other,
                ..ANY
            },
            Receiver { dport: 1, ..ANY },
            Receiver {
                bound_dev_if: 3,
                ..ANY
            },
        ] {
            assert_eq!(compute_score(&r, ID, 2), None, "{r:?}");
        }
    }
}
