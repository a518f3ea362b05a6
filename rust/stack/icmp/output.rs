// SPDX-License-Identifier: GPL-2.0
//! Messages of ours: echo replies, and errors about packets that cannot be delivered.
//!
//! Both come back as a packet whose data begin with the ICMP header, for
//! [`ip::queue_xmit`](crate::stack::ip::queue_xmit). Context: softirq or process, nothing sleeps.

use crate::platform::{
    SkBuff,
    Skb,
    MAX_HEADER, //
};
use crate::stack::ip::Header;
use crate::stack::wire::checksum;
use crate::stack::wire::icmp::{
    Packet,
    Repr,
    Type,
    HEADER_LEN, //
};
use crate::stack::wire::ipv4::{
    self,
    Protocol, //
};

/// An ICMP error, IP header included, is not longer than this: RFC 1812, 4.3.2.3.
const MAX_ERROR_LEN: usize = 576;

/// The answer to the echo request in `skb`, whose data begin with its ICMP header: the same data, the
/// type changed. `None` when there is no memory.
///
/// Mirrors [`icmp_echo`](srctree/net/ipv4/icmp.c)
pub fn echo_reply(skb: &mut SkBuff) -> Option<Skb> {
    let len = skb.len();
    let request = skb.may_pull(len)?.get(..len)?;
    let mut reply = Skb::alloc(MAX_HEADER, len)?;
    let bytes = reply.put(len)?;
    if bytes.len() != request.len() {
        return None;
    }
    bytes.copy_from_slice(request);
    if let [kind, code, c0, c1, ..] = bytes {
        // The checksum was right: only what changed is added up.
        let old = u16::from_be_bytes([*kind, *code]);
        let new = u16::from_be_bytes([Type::ECHO_REPLY.0, *code]);
        let check = checksum::replace2(u16::from_be_bytes([*c0, *c1]), old, new);
        *kind = Type::ECHO_REPLY.0;
        [*c0, *c1] = check.to_be_bytes();
    }
    reply.reset_transport_header();
    Some(reply)
}

/// Completes an echo request that a user wrote: its identifier, and the checksum over all of it. `false` for
/// anything else.
///
/// Mirrors [`ping_supported`, `ping_v4_sendmsg`](srctree/net/ipv4/ping.c)
pub fn complete_echo(bytes: &mut [u8], ident: u16) -> bool {
    let [kind, 0, c0, c1, i0, i1, ..] = bytes else {
        return false;
    };
    if Type(*kind) != Type::ECHO {
        return false;
    }
    [*c0, *c1] = [0, 0];
    [*i0, *i1] = ident.to_be_bytes();
    let sum = checksum::finish(checksum::partial(bytes, 0)).to_be_bytes();
    if let Some(field) = bytes.get_mut(2..4) {
        field.copy_from_slice(&sum);
    }
    true
}

/// Whether an error may be sent about a packet with this header, whose payload is `payload` as far as
/// it is at hand. The caller knows that the frame was for this host alone and so was its route.
///
/// Mirrors [`__icmp_send`](srctree/net/ipv4/icmp.c)
///
/// RFC 1122, 3.2.2: never about an ICMP error, about a packet to or from many, or about a fragment
/// other than the first.
pub fn may_send_error(header: &Header, payload: &[u8]) -> bool {
    let many = |a: ipv4::Addr| a.is_multicast() || a.is_broadcast();
    if many(header.saddr) || many(header.daddr) || header.saddr.is_zeronet() {
        return false;
    }
    if header.frag_off & ipv4::OFFSET != 0 {
        return false;
    }
    if header.protocol != Protocol::ICMP {
        return true;
    }
    // An unknown type may be an error of a kind to come.
    match Packet::new_checked(payload) {
        Ok(p) => {
            let kind = Repr::parse(&p).kind;
            kind.0 <= 18 && !kind.is_error()
        }
        Err(_) => false,
    }
}

/// An error about `skb`, of which the bytes from the network header on are quoted as far as they are
/// at hand, but not beyond 576 bytes for the whole packet. `rest` is the second word of the header: an
/// MTU or a pointer. `None` when there is no memory.
///
/// Mirrors [`__icmp_send`](srctree/net/ipv4/icmp.c)
pub fn error(skb: &SkBuff, kind: Type, code: u8, rest: [u8; 4]) -> Option<Skb> {
    let quoted = skb.network_header();
    let room = MAX_ERROR_LEN - ipv4::HEADER_LEN - HEADER_LEN;
    let quoted = quoted.get(..room).unwrap_or(quoted);
    let len = HEADER_LEN.saturating_add(quoted.len());
    let mut message = Skb::alloc(MAX_HEADER, len)?;
    let bytes = message.put(len)?;
    let (_, data) = bytes.split_at_mut_checked(HEADER_LEN)?;
    if data.len() != quoted.len() {
        return None;
    }
    data.copy_from_slice(quoted);
    Repr { kind, code, rest }.emit(bytes);
    message.reset_transport_header();
    Some(message)
}

/// The type of service of an error about a packet with the type of service `tos`: its own, with the
/// precedence "internetwork control" (RFC 1812, 4.3.2.5).
#[inline]
pub const fn error_tos(tos: u8) -> u8 {
    tos & 0x1e | 0xc0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::fail_alloc;
    use crate::stack::ip;
    use crate::stack::wire::icmp::unreach;

    fn header(protocol: Protocol, frag_off: u16) -> Header {
        Header {
            saddr: ipv4::Addr::new(10, 0, 0, 2),
            daddr: ipv4::Addr::new(10, 0, 0, 1),
            protocol,
            tos: 0,
            ttl: 1,
            header_len: 20,
            len: 28,
            id: 0,
            frag_off,
        }
    }

    #[test]
    fn complete_echo__own_identifier_right_checksum() {
        let mut bytes = *b"\x08\0\x12\x34\xff\xff\0\x07odd";
        assert!(complete_echo(&mut bytes, 0xbeef));
        let p = Packet::new_checked(&bytes).unwrap();
        assert!(p.verify_checksum());
        assert_eq!(Repr::parse(&p).rest, [0xbe, 0xef, 0, 7]);
        for other in [*b"\0\0______", *b"\x08\x01______", *b"\x0d\0______"] {
            assert!(!complete_echo(&mut other.clone(), 1), "{other:?}");
        }
        assert!(!complete_echo(&mut [8, 0, 0], 1));
    }

    #[test]
    fn echo_reply__same_data_right_checksum() {
        let mut bytes = *b"........some data";
        Repr {
            kind: Type::ECHO,
            code: 0,
            rest: [0x12, 0x34, 0, 1],
        }
        .emit(&mut bytes);
        let reply = echo_reply(&mut Skb::from_bytes(&bytes)).unwrap();
        let p = Packet::new_checked(reply.bytes()).unwrap();
        assert!(p.verify_checksum());
        let want = Repr {
            kind: Type::ECHO_REPLY,
            code: 0,
            rest: [0x12, 0x34, 0, 1],
        };
        assert_eq!(Repr::parse(&p), want);
        assert_eq!(p.payload(), b"some data");
    }

    #[test]
    fn echo_reply__no_memory() {
        let mut skb = Skb::from_bytes(&[8, 0, 0xf7, 0xff, 0, 0, 0, 0]);
        fail_alloc(Some(0));
        assert!(echo_reply(&mut skb).is_none());
    }

    #[test]
    fn may_send_error__not_about_errors_fragments_or_many() {
        let udp = header(Protocol::UDP, 0);
        assert!(may_send_error(&udp, &[]));
        assert!(may_send_error(&header(Protocol::UDP, ipv4::MF), &[]));
        assert!(!may_send_error(&header(Protocol::UDP, ipv4::MF | 1), &[]));
        let many = ipv4::Addr::new(224, 0, 0, 1);
        assert!(!may_send_error(&Header { daddr: many, ..udp }, &[]));
        assert!(!may_send_error(&Header { saddr: many, ..udp }, &[]));
        assert!(!may_send_error(
            &Header {
                saddr: ipv4::Addr::ANY,
                ..udp
            },
            &[]
        ));
        let icmp = header(Protocol::ICMP, 0);
        for (kind, may) in [
            (8, true),
            (0, true),
            (3, false),
            (11, false),
            (19, false),
            (255, false),
        ] {
            assert_eq!(
                may_send_error(&icmp, &[kind, 0, 0, 0, 0, 0, 0, 0]),
                may,
                "type {kind}"
            );
        }
        assert!(!may_send_error(&icmp, &[8]));
    }

    #[test]
    fn error__quotes_and_is_understood() {
        let mut skb = Skb::alloc(64, 2000).unwrap();
        skb.put(2000).unwrap().fill(7);
        let x = ip::output::Xmit {
            saddr: ipv4::Addr::new(10, 0, 0, 2),
            daddr: ipv4::Addr::new(10, 0, 0, 1),
            protocol: Protocol::UDP,
            tos: 0,
            ttl: 64,
            dont_fragment: true,
            id: 0,
        };
        ip::queue_xmit(&mut skb, &x).unwrap();
        let mut message = error(&skb, Type::DEST_UNREACH, unreach::PORT, [0; 4]).unwrap();
        assert_eq!(message.len(), 556);
        // The other side finds its flow in it.
        match super::super::rcv(&mut message, &Default::default(), false, |_| ()) {
            Ok(super::super::input::Message::Error(q)) => {
                assert_eq!((q.id.saddr, q.id.sport), (x.saddr, 0x0707));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn error_tos__keeps_the_service_drops_ecn() {
        assert_eq!(error_tos(0x03), 0xc2);
        assert_eq!(error_tos(0x10), 0xd0);
    }
}
