// SPDX-License-Identifier: GPL-2.0
//! A datagram from IP: every check before a socket is looked for.

use crate::platform::SkBuff;
use crate::stack::counters::Counter;
use crate::stack::drop_reason::DropReason;
use crate::stack::wire::checksum;
use crate::stack::wire::ipv4::{
    Addr,
    Protocol, //
};
use crate::stack::wire::udp::{
    Fields,
    HEADER_LEN, //
};

/// Takes a datagram whose data begin with the UDP header: checks its length, cuts off what lies behind
/// it, and verifies its checksum. The data still begin with the header afterwards.
///
/// Mirrors [`udp_rcv`](srctree/net/ipv4/udp.c)
///
/// Context: softirq or process.
#[inline]
pub fn rcv(
    skb: &mut SkBuff,
    saddr: Addr,
    daddr: Addr,
    mut count: impl FnMut(Counter),
) -> Result<Fields, DropReason> {
    let result = rcv_core(skb, saddr, daddr);
    if let Err(reason) = result {
        if reason == DropReason::UdpCsum {
            count(Counter::UdpInCsumErrors);
        }
        count(Counter::UdpInErrors);
    }
    result
}

#[inline]
fn rcv_core(skb: &mut SkBuff, saddr: Addr, daddr: Addr) -> Result<Fields, DropReason> {
    let have = skb.len();
    let header = skb
        .may_pull(HEADER_LEN)
        .and_then(|b| b.first_chunk::<HEADER_LEN>())
        .ok_or(DropReason::PktTooSmall)?;
    let fields = Fields(*header);
    let len = usize::from(fields.len());
    if len < HEADER_LEN || len > have {
        return Err(DropReason::PktTooSmall);
    }
    if len < have && !skb.trim(len) {
        return Err(DropReason::Nomem);
    }
    // RFC 768: zero means that the sender made none.
    if fields.check() != 0 {
        let pseudo =
            checksum::pseudo_header(saddr, daddr, Protocol::UDP.0, u32::from(fields.len()));
        if !skb.csum_valid(pseudo) {
            return Err(DropReason::UdpCsum);
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::{
        Skb,
        Vec, //
    };
    use crate::stack::wire::udp::{
        finish_checksum,
        Repr, //
    };
    use proptest::prelude::*;

    const S: Addr = Addr::new(10, 0, 0, 1);
    const D: Addr = Addr::new(10, 0, 0, 2);

    fn datagram(data: &[u8]) -> Vec<u8> {
        let repr = Repr {
            source: 7,
            dest: 9,
            payload_len: data.len() as u16,
        };
        let mut bytes = vec![0; 8];
        bytes.extend_from_slice(data);
        repr.emit(&mut bytes, 0);
        let len = bytes.len() as u32;
        let sum = checksum::partial(&bytes, checksum::pseudo_header(S, D, 17, len));
        repr.emit(&mut bytes, finish_checksum(sum));
        bytes
    }

    fn run(bytes: &[u8]) -> (Result<Fields, DropReason>, Vec<Counter>, Skb) {
        let mut skb = Skb::from_bytes(bytes);
        let mut counted = Vec::new();
        let result = rcv(&mut skb, S, D, |c| counted.push(c));
        (result, counted, skb)
    }

    #[test]
    fn rcv__good() {
        let (f, counted, skb) = run(&datagram(b"hello"));
        let f = f.unwrap();
        assert_eq!((f.source(), f.dest(), skb.len()), (7, 9, 13));
        assert!(counted.is_empty());
    }

    #[test]
    fn rcv__trims_what_lies_behind() {
        let mut bytes = datagram(b"hello");
        bytes.extend_from_slice(b"junk");
        let (f, _, skb) = run(&bytes);
        assert!(f.is_ok());
        assert_eq!(skb.len(), 13);
    }

    #[test]
    fn rcv__lengths() {
        let bytes = datagram(b"hello");
        for len in 0..13 {
            let (f, counted, _) = run(&bytes[..len]);
            assert_eq!(f.err(), Some(DropReason::PktTooSmall));
            assert_eq!(counted, [Counter::UdpInErrors]);
        }
        for len in [0u16, 7] {
            let mut bytes = datagram(b"hello");
            bytes[4..6].copy_from_slice(&len.to_be_bytes());
            assert_eq!(run(&bytes).0.err(), Some(DropReason::PktTooSmall));
        }
    }

    #[test]
    fn rcv__checksum() {
        let mut bytes = datagram(b"hello");
        bytes[12] ^= 1;
        let (f, counted, _) = run(&bytes);
        assert_eq!(f.err(), Some(DropReason::UdpCsum));
        assert_eq!(counted, [Counter::UdpInCsumErrors, Counter::UdpInErrors]);
        bytes[6] = 0;
        bytes[7] = 0;
        assert!(run(&bytes).0.is_ok());
    }

    proptest! {
        #[test]
        fn rcv__any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let (f, _, skb) = run(&bytes);
            if let Ok(f) = f {
                prop_assert_eq!(skb.len(), usize::from(f.len()));
            }
        }
    }
}
