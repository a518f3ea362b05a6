// SPDX-License-Identifier: GPL-2.0
//! The options of a received IPv4 header: judged, and obeyed where they ask for a record.
//!
//! [`compile`] finds out which options there are without trusting any length in them; [`record`] writes
//! address and time where a packet asks for them. Nobody is told by a packet where to send it (RFC 7126, 4.3
//! and 4.4: packets with a source route are dropped by default).
//!
//! Mirrors [`ip_options.c`](srctree/net/ipv4/ip_options.c)

use crate::stack::drop_reason::DropReason;
use crate::stack::wire::ipv4::{
    Addr,
    HEADER_LEN, //
};

/// End of options list.
const END: u8 = 0;
/// No operation.
const NOOP: u8 = 1;
/// Record route.
const RR: u8 = 7;
/// Timestamp.
const TIMESTAMP: u8 = 68;
/// Its flags: times alone,
const TS_TSONLY: u8 = 0;
/// with the addresses of those who wrote them,
const TS_TSANDADDR: u8 = 1;
/// of those alone whose addresses are there.
const TS_PRESPEC: u8 = 3;
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

/// The options that ask for a record, one after another, in a header's options that [`compile`] found good.
struct Records<'a>(&'a mut [u8]);

impl<'a> Records<'a> {
    fn next(&mut self) -> Option<(u8, &'a mut [u8])> {
        loop {
            let rest = core::mem::take(&mut self.0);
            let (kind, len) = match *rest {
                [] | [END, ..] | [_] => return None,
                [NOOP, ..] => (NOOP, 1),
                [kind, len, ..] => (kind, usize::from(len).max(2)),
            };
            let (option, tail) = rest.split_at_mut_checked(len)?;
            self.0 = tail;
            if kind == RR || kind == TIMESTAMP {
                return Some((kind, option));
            }
        }
    }
}

/// What is written into options.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// This host's address where the packet goes on: for record route.
    pub out: Addr,
    /// This host's address to who sent the packet: for time stamps.
    pub here: Addr,
    /// Milliseconds of the day, Universal Time.
    pub time: u32,
}

/// Writes into the options of a packet on its way what they ask every host for. `is_ours` says whether a time stamp
/// that names an address means this host. Whether anything was written.
///
/// RFC 791, 3.1; RFC 1812, 5.3.13.3 and 5.3.13.4. Mirrors
/// [`__ip_options_compile`, `ip_forward_options`](srctree/net/ipv4/ip_options.c)
pub fn record(options: &mut [u8], with: &Stamp, is_ours: impl Fn(Addr) -> bool) -> bool {
    let mut written = false;
    let mut records = Records(options);
    while let Some((kind, option)) = records.next() {
        written |= match kind {
            RR => append(option, &[&with.out.octets()]),
            _ => stamp(option, with, &is_ours),
        };
    }
    written
}

/// A time stamp, with what its flags want beside it. Where there is no room, that is counted.
fn stamp(option: &mut [u8], with: &Stamp, is_ours: impl Fn(Addr) -> bool) -> bool {
    let [_, len, pointer, flags, ..] = *option else {
        return false;
    };
    let time = with.time.to_be_bytes();
    let full = pointer > len;
    match flags & 0xf {
        TS_PRESPEC if full => false,
        _ if full => {
            // Four bits: beyond the fifteenth nobody is counted.
            if let Some(f) = option.get_mut(3).filter(|f| **f < 0xf0) {
                *f = f.wrapping_add(0x10);
                return true;
            }
            false
        }
        TS_TSONLY => append(option, &[&time]),
        TS_TSANDADDR => append(option, &[&with.here.octets(), &time]),
        TS_PRESPEC => {
            let at = usize::from(pointer).wrapping_sub(1);
            let named = option.get(at..).and_then(|b| b.first_chunk::<4>());
            match named.map(|o| Addr::from_octets(*o)) {
                Some(named) if is_ours(named) => append(option, &[&named.octets(), &time]),
                _ => false,
            }
        }
        _ => false,
    }
}

/// Writes at the option's pointer, if there is room, and moves it on.
fn append(option: &mut [u8], parts: &[&[u8]]) -> bool {
    let Some(pointer) = option.get(2).copied() else {
        return false;
    };
    let start = usize::from(pointer).wrapping_sub(1);
    let len: usize = parts.iter().map(|p| p.len()).sum();
    let Some(mut room) = option.get_mut(start..).and_then(|b| b.get_mut(..len)) else {
        return false;
    };
    for part in parts {
        let Some((to, rest)) = core::mem::take(&mut room).split_at_mut_checked(part.len()) else {
            return false;
        };
        to.copy_from_slice(part);
        room = rest;
    }
    if let Some(p) = option.get_mut(2) {
        *p = pointer.wrapping_add(len as u8);
    }
    true
}

/// The most bytes of options that a header has.
pub const MAX_LEN: usize = 40;

/// The options of an answer to a packet with these options: its records go on. They are written to `to`; the bytes
/// used, a multiple of four.
///
/// RFC 1122, 3.2.2.6. Mirrors [`__ip_options_echo`](srctree/net/ipv4/ip_options.c)
pub fn echo(options: &[u8], to: &mut [u8; MAX_LEN]) -> usize {
    let mut copy = [END; MAX_LEN];
    for (to, from) in copy.iter_mut().zip(options) {
        *to = *from;
    }
    let mut used = 0usize;
    let mut records = Records(&mut copy);
    while let Some((_, option)) = records.next() {
        let end = used.wrapping_add(option.len());
        if let Some(room) = to.get_mut(used..end) {
            room.copy_from_slice(option);
            used = end;
        }
    }
    let padded = used.next_multiple_of(4).min(MAX_LEN);
    if let Some(rest) = to.get_mut(used..padded) {
        rest.fill(END);
    }
    padded
}

/// Writes records into the header of a packet whose data begin with it, of `header_len` bytes, and mends its
/// checksum; see [`record`].
///
/// # Errors
///
/// [`DropReason::Nomem`].
pub fn record_in(
    skb: &mut crate::platform::SkBuff,
    header_len: u8,
    with: &Stamp,
    is_ours: impl Fn(Addr) -> bool,
) -> Result<(), DropReason> {
    let header_len = usize::from(header_len);
    let header = skb
        .writable(header_len)
        .and_then(|b| b.get_mut(..header_len))
        .ok_or(DropReason::Nomem)?;
    let Some((_, options)) = header.split_at_mut_checked(HEADER_LEN) else {
        return Ok(());
    };
    if record(options, with, is_ours) {
        crate::stack::ip::output::send_check(header);
    }
    Ok(())
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

    const ME: Addr = Addr::new(10, 0, 0, 1);
    const WITH: Stamp = Stamp {
        out: ME,
        here: Addr::new(10, 0, 0, 3),
        time: 0x0102_0304,
    };

    fn recorded(options: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = options.to_vec();
        record(&mut bytes, &WITH, |a| a == ME).then_some(bytes)
    }

    #[test]
    fn record__route() {
        assert_eq!(
            recorded(&[NOOP, RR, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0]),
            Some(vec![NOOP, RR, 11, 8, 10, 0, 0, 1, 0, 0, 0, 0])
        );
        assert_eq!(
            recorded(&[RR, 11, 8, 9, 9, 9, 9, 0, 0, 0, 0, END]),
            Some(vec![RR, 11, 12, 9, 9, 9, 9, 10, 0, 0, 1, END])
        );
        assert_eq!(recorded(&[RR, 7, 8, 9, 9, 9, 9, END]), None);
    }

    #[test]
    fn record__times() {
        let t = TIMESTAMP;
        assert_eq!(
            recorded(&[t, 8, 5, 0, 0, 0, 0, 0]),
            Some(vec![t, 8, 9, 0, 1, 2, 3, 4])
        );
        assert_eq!(
            recorded(&[t, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
            Some(vec![t, 12, 13, 1, 10, 0, 0, 3, 1, 2, 3, 4])
        );
        assert_eq!(
            recorded(&[t, 12, 5, 3, 10, 0, 0, 1, 0, 0, 0, 0]),
            Some(vec![t, 12, 13, 3, 10, 0, 0, 1, 1, 2, 3, 4])
        );
        // Another host is meant.
        assert_eq!(recorded(&[t, 12, 5, 3, 10, 0, 0, 2, 0, 0, 0, 0]), None);
        // No room: counted, fifteen times.
        assert_eq!(
            recorded(&[t, 8, 9, 0xe0, 1, 1, 1, 1]),
            Some(vec![t, 8, 9, 0xf0, 1, 1, 1, 1])
        );
        assert_eq!(recorded(&[t, 8, 9, 0xf0, 1, 1, 1, 1]), None);
        assert_eq!(recorded(&[t, 12, 13, 3, 9, 9, 9, 9, 1, 1, 1, 1]), None);
    }

    #[test]
    fn echo__records_alone_padded() {
        let mut to = [0xff; MAX_LEN];
        let n = echo(&[RA, 4, 0, 0, RR, 7, 8, 9, 9, 9, 9, END], &mut to);
        assert_eq!(to[..n], [RR, 7, 8, 9, 9, 9, 9, END]);
        assert_eq!(echo(&[RA, 4, 0, 0], &mut to), 0);
    }

    proptest! {
        #[test]
        fn echo__of_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..=40)) {
            if compile(&bytes).is_ok() {
                record(&mut bytes.clone(), &WITH, |_| true);
                let mut to = [0; MAX_LEN];
                let n = echo(&bytes, &mut to);
                prop_assert!(n % 4 == 0 && compile(&to[..n]).is_ok());
            }
        }

        #[test]
        fn compile__any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..=40)) {
            if let Err(p) = compile(&bytes) {
                prop_assert!(usize::from(p.pointer) < 20 + bytes.len() + 2);
            }
        }
    }
}
