// SPDX-License-Identifier: GPL-2.0
//! The options of a received IPv4 header, judged and not obeyed.
//!
//! RustNet is an end host: it records no route and no time in packets that end here, and it refuses
//! to be told by a packet where to send it (RFC 7126, 4.3 and 4.4: packets with a source route are
//! dropped by default). What remains is to find out which options there are without trusting any
//! length in them.
//!
//! Mirrors [`__ip_options_compile`](srctree/net/ipv4/ip_options.c)

use crate::stack::drop_reason::DropReason;

/// End of options list.
const END: u8 = 0;
/// No operation.
const NOOP: u8 = 1;
/// Record route.
const RR: u8 = 7;
/// Timestamp.
const TIMESTAMP: u8 = 68;
/// Loose source route.
const LSRR: u8 = 131;
/// Strict source route.
const SSRR: u8 = 137;
/// Router alert (RFC 2113).
const RA: u8 = 148;

/// What the options of a packet ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// A source route, loose or strict.
    pub source_route: bool,
    /// The route is to be recorded.
    pub record_route: bool,
    /// Times are to be recorded.
    pub timestamp: bool,
    /// Routers should look at the packet.
    pub router_alert: bool,
}

/// Options that contradict themselves, and the byte of the header that does: the pointer of an ICMP
/// parameter problem (RFC 792).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterProblem {
    /// Offset from the start of the IP header, in bytes: 20 to 59.
    pub pointer: u8,
}

impl Found {
    /// Whether a packet with these options may be delivered.
    #[inline]
    pub fn check(&self) -> Result<(), DropReason> {
        if self.source_route {
            Err(DropReason::IpSourceRoute)
        } else {
            Ok(())
        }
    }
}

/// Reads the options in `bytes`, which follow the first twenty bytes of a header and may be anything.
///
/// Mirrors [`__ip_options_compile`](srctree/net/ipv4/ip_options.c)
pub fn compile(bytes: &[u8]) -> Result<Found, ParameterProblem> {
    let mut found = Found::default();
    let mut rest = bytes;
    loop {
        // Where in the header the byte `n` behind the start of this option is.
        let at = bytes.len().saturating_sub(rest.len()).saturating_add(20);
        let problem = |n: usize| ParameterProblem {
            pointer: u8::try_from(at.saturating_add(n)).unwrap_or(u8::MAX),
        };
        let (kind, len) = match *rest {
            [] | [END, ..] => return Ok(found),
            [NOOP, ref tail @ ..] => {
                rest = tail;
                continue;
            }
            [_] => return Err(problem(0)),
            [kind, len, ..] => (kind, usize::from(len)),
        };
        let Some((option, tail)) = rest.split_at_checked(len).filter(|_| len >= 2) else {
            return Err(problem(0));
        };
        match kind {
            LSRR | SSRR => {
                // RFC 1812, 5.2.4.1: a second source route is an error.
                check_pointer(option, 3, 4, 4, found.source_route).map_err(problem)?;
                found.source_route = true;
            }
            RR => {
                check_pointer(option, 3, 4, 4, found.record_route).map_err(problem)?;
                found.record_route = true;
            }
            TIMESTAMP => {
                // Flags 1 and 3 record an address beside the time.
                let entry = match option.get(3).map(|f| f & 0xf) {
                    Some(1 | 3) => 8,
                    _ => 4,
                };
                check_pointer(option, 4, 5, entry, found.timestamp).map_err(problem)?;
                found.timestamp = true;
            }
            RA => match option {
                [_, _, 0, 0, ..] => found.router_alert = true,
                [_, _, _, _, ..] => (),
                _ => return Err(problem(1)),
            },
            // RFC 1122, 3.2.1.8: unknown options are ignored.
            _ => (),
        }
        rest = tail;
    }
}

/// Checks an option that has a pointer to its next free entry: it is at least `min_len` long, the
/// pointer is not below `first`, and an entry it points to, of `entry` bytes, fits. The error is the
/// offset of the byte at fault.
fn check_pointer(
    option: &[u8],
    min_len: usize,
    first: u8,
    entry: usize,
    twice: bool,
) -> Result<(), usize> {
    if twice {
        return Err(0);
    }
    if option.len() < min_len {
        return Err(1);
    }
    match option.get(2) {
        Some(pointer) if *pointer >= first => {
            let pointer = usize::from(*pointer);
            // Pointers count from one. One behind the end says that the option is full.
            if pointer <= option.len() && pointer.saturating_add(entry - 1) > option.len() {
                return Err(2);
            }
            Ok(())
        }
        _ => Err(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn problem(pointer: u8) -> Result<Found, ParameterProblem> {
        Err(ParameterProblem { pointer })
    }

    #[test]
    fn compile__none_and_padding() {
        assert_eq!(compile(&[]), Ok(Found::default()));
        assert_eq!(compile(&[NOOP, NOOP, NOOP, END]), Ok(Found::default()));
        assert_eq!(compile(&[END, 0xff, 0xff, 0xff]), Ok(Found::default()));
    }

    #[test]
    fn compile__source_routes_are_refused() {
        for kind in [LSRR, SSRR] {
            let found = compile(&[kind, 7, 4, 10, 0, 0, 1, END]).unwrap();
            assert!(found.source_route);
            assert_eq!(found.check(), Err(DropReason::IpSourceRoute));
        }
        // Twice is an error at the second.
        assert_eq!(compile(&[LSRR, 3, 4, SSRR, 3, 4]), problem(23));
    }

    #[test]
    fn compile__lengths() {
        assert_eq!(compile(&[NOOP, RR]), problem(21));
        assert_eq!(compile(&[RR, 0, 4]), problem(20));
        assert_eq!(compile(&[RR, 1, 4]), problem(20));
        assert_eq!(compile(&[RR, 2, 4]), problem(21));
        assert_eq!(compile(&[RR, 200, 4]), problem(20));
        assert_eq!(compile(&[TIMESTAMP, 3, 5]), problem(21));
        assert_eq!(compile(&[RA, 3, 0]), problem(21));
    }

    #[test]
    fn compile__pointers() {
        assert_eq!(compile(&[RR, 7, 3, 0, 0, 0, 0]), problem(22));
        assert_eq!(compile(&[RR, 7, 5, 0, 0, 0, 0]), problem(22));
        assert!(compile(&[RR, 7, 8, 0, 0, 0, 0]).unwrap().record_route);
        assert_eq!(compile(&[TIMESTAMP, 8, 5, 1, 0, 0, 0, 0]), problem(22));
        assert!(
            compile(&[TIMESTAMP, 8, 5, 0, 0, 0, 0, 0])
                .unwrap()
                .timestamp
        );
    }

    #[test]
    fn compile__router_alert() {
        assert!(compile(&[RA, 4, 0, 0]).unwrap().router_alert);
        assert!(!compile(&[RA, 4, 0, 1]).unwrap().router_alert);
    }

    proptest! {
        #[test]
        fn compile__any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..=40)) {
            if let Err(p) = compile(&bytes) {
                prop_assert!(usize::from(p.pointer) < 20 + bytes.len() + 2);
            }
        }
    }
}
