// SPDX-License-Identifier: GPL-2.0
//! A message to this host: what it says, and whose packet it quotes.
//!
//! Context: softirq or process, under the read lock of RCU.

use super::error::{
    err_convert,
    SockError, //
};
use crate::platform::{
    SkBuff,
    Sysctl, //
};
use crate::stack::counters::Counter;
use crate::stack::drop_reason::DropReason;
use crate::stack::socket::FourTuple;
use crate::stack::wire::icmp::{
    redirect,
    unreach,
    Packet,
    Repr,
    Type,
    HEADER_LEN, //
};
use crate::stack::wire::ipv4::{
    self,
    Addr,
    Protocol, //
};

/// Bytes of a message that are looked at: its header, the longest quoted IP header, and the eight
/// bytes of the transport's that RFC 792 promises.
const PULL: usize = HEADER_LEN + ipv4::MAX_HEADER_LEN + 8;

/// What a message wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Someone wants an answer: [`output::echo_reply`](super::output::echo_reply).
    Echo,
    /// An answer to somebody's echo request.
    EchoReply,
    /// A packet of ours failed.
    Error(Quoted),
    /// A packet of ours took a detour.
    Redirect(Redirect),
}

/// The advice to send a flow's packets to another gateway on the same link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The transport of the quoted packet.
    pub protocol: Protocol,
    /// Its flow, seen from here.
    pub id: FourTuple,
    /// What follows the ports: TCP's sequence number.
    pub seq: u32,
    /// The better gateway.
    pub gateway: Addr,
}

/// A packet of ours that an error message quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// What it means to the socket.
    pub error: SockError,
    /// Type and code of the message.
    pub kind: Type,
    /// Its code.
    pub code: u8,
    /// The transport of the quoted packet.
    pub protocol: Protocol,
    /// Its flow, seen from here.
    pub id: FourTuple,
    /// Bytes of the quoted IP header, options included: 20 to 60.
    pub header_len: u8,
    /// TCP's sequence number: an error whose number is not in flight is forged or late (RFC 5927, 4).
    pub seq: u32,
    /// The MTU of the next hop in bytes if the message is "fragmentation needed", else 0. Zero there,
    /// too, where an old router did not say (RFC 1191, 5).
    pub mtu: u16,
}

impl Quoted {
    /// Whether a router had to cut the packet and was forbidden to.
    #[inline]
    pub fn is_frag_needed(&self) -> bool {
        self.kind == Type::DEST_UNREACH && self.code == unreach::FRAG_NEEDED
    }
}

/// Takes a message whose data begin with the ICMP header. `to_many`: it was sent to a broadcast or
/// multicast address.
///
/// Mirrors [`icmp_rcv`, `icmp_unreach`](srctree/net/ipv4/icmp.c)
pub fn rcv(
    skb: &mut SkBuff,
    sysctl: &Sysctl,
    to_many: bool,
    mut count: impl FnMut(Counter),
) -> Result<Message, DropReason> {
    count(Counter::IcmpInMsgs);
    let result = rcv_core(skb, sysctl, to_many, &mut count);
    if let Err(reason) = result {
        if reason == DropReason::IcmpCsum {
            count(Counter::IcmpInCsumErrors);
        }
        count(Counter::IcmpInErrors);
    }
    result
}

fn rcv_core(
    skb: &mut SkBuff,
    sysctl: &Sysctl,
    to_many: bool,
    count: &mut impl FnMut(Counter),
) -> Result<Message, DropReason> {
    if skb.len() < HEADER_LEN {
        return Err(DropReason::PktTooSmall);
    }
    // There is no pseudo-header in ICMP over IPv4.
    if !skb.csum_valid(0) {
        return Err(DropReason::IcmpCsum);
    }
    let len = skb.len().min(PULL);
    let bytes = skb.may_pull(len).ok_or(DropReason::HdrTrunc)?;
    let packet = Packet::new_checked(bytes)?;
    let repr = Repr::parse(&packet);
    // RFC 1122, 3.2.2.6 and 3.2.2.8: an echo request to many may be ignored, and is unless the user wants it
    // otherwise, or one forged source address turns a network into an amplifier; errors are never sent
    // to many.
    if to_many && (repr.kind != Type::ECHO || sysctl.icmp_echo_ignore_broadcasts() != 0) {
        return Err(DropReason::InvalidProto);
    }
    match repr.kind {
        Type::ECHO => {
            count(Counter::IcmpInEchos);
            Ok(Message::Echo)
        }
        Type::ECHO_REPLY => {
            count(Counter::IcmpInEchoReps);
            Ok(Message::EchoReply)
        }
        Type::DEST_UNREACH | Type::TIME_EXCEEDED | Type::PARAMETER_PROB => {
            count(match repr.kind {
                Type::DEST_UNREACH => Counter::IcmpInDestUnreachs,
                Type::TIME_EXCEEDED => Counter::IcmpInTimeExcds,
                _ => Counter::IcmpInParmProbs,
            });
            quoted(&repr, packet.payload()).map(Message::Error)
        }
        Type::REDIRECT if repr.code <= redirect::MAX => {
            count(Counter::IcmpInRedirects);
            let (_, id, seq, protocol) = flow(packet.payload())?;
            Ok(Message::Redirect(Redirect {
                protocol,
                id,
                seq: u32::from_be_bytes(seq),
                gateway: Addr::from_octets(repr.rest),
            }))
        }
        // Source quench is dead (RFC 6633, 3). RFC 1122, 3.2.2: unknown types are silently discarded.
        _ => Err(DropReason::UnhandledProto),
    }
}

/// The packet quoted in the data of an error.
///
/// Mirrors [`icmp_unreach`, `icmp_socket_deliver`](srctree/net/ipv4/icmp.c)
fn quoted(repr: &Repr, data: &[u8]) -> Result<Quoted, DropReason> {
    let error = err_convert(repr.kind, repr.code).ok_or(DropReason::UnhandledProto)?;
    let (header_len, id, seq, protocol) = flow(data)?;
    let is_frag_needed = repr.kind == Type::DEST_UNREACH && repr.code == unreach::FRAG_NEEDED;
    Ok(Quoted {
        error,
        kind: repr.kind,
        code: repr.code,
        protocol,
        id,
        header_len,
        seq: u32::from_be_bytes(seq),
        mtu: if is_frag_needed { repr.mtu() } else { 0 },
    })
}

/// Whose packet is quoted: the bytes of its IP header, its flow, what follows the ports, its transport.
fn flow(data: &[u8]) -> Result<(u8, FourTuple, [u8; 4], Protocol), DropReason> {
    let inner = ipv4::Packet::new_quoted(data)?;
    let f = inner.fields();
    // RFC 1122, 3.2.2: no error is sent about a fragment other than the first, which has no ports.
    if f.is_later_fragment() {
        return Err(DropReason::IcmpStale);
    }
    let ports = inner
        .payload()
        .first_chunk::<8>()
        .ok_or(DropReason::PktTooSmall)?;
    let [s0, s1, d0, d1, rest @ ..] = *ports;
    let id = FourTuple {
        saddr: f.saddr(),
        daddr: f.daddr(),
        sport: u16::from_be_bytes([s0, s1]),
        dport: u16::from_be_bytes([d0, d1]),
    };
    Ok((f.header_len() as u8, id, rest, f.protocol()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::{
        Skb,
        Vec, //
    };
    use proptest::prelude::*;

    /// A message of the given type and code, quoting a TCP segment from 10.0.0.1:1000 to 10.0.0.2:80.
    fn error(kind: Type, code: u8, rest: [u8; 4]) -> Vec<u8> {
        let quoted = ipv4::Repr {
            saddr: Addr::new(10, 0, 0, 1),
            daddr: Addr::new(10, 0, 0, 2),
            protocol: Protocol::TCP,
            tos: 0,
            ttl: 1,
            id: 0,
            frag_off: ipv4::DF,
            payload_len: 8,
        };
        let mut bytes = vec![0; 36];
        quoted.emit(&mut bytes[8..]);
        bytes[28..36].copy_from_slice(&[0x03, 0xe8, 0, 80, 1, 2, 3, 4]);
        Repr { kind, code, rest }.emit(&mut bytes);
        bytes
    }

    fn run(bytes: &[u8]) -> Result<Message, DropReason> {
        rcv(
            &mut Skb::from_bytes(bytes),
            &Sysctl::default(),
            false,
            |_| (),
        )
    }

    #[test]
    fn rcv__port_unreachable() {
        let Ok(Message::Error(q)) = run(&error(Type::DEST_UNREACH, unreach::PORT, [0; 4])) else {
            panic!("not an error");
        };
        assert_eq!(q.error.errno, crate::stack::errno::Errno::ECONNREFUSED);
        assert_eq!(
            (q.id.saddr, q.id.daddr),
            (Addr::new(10, 0, 0, 1), Addr::new(10, 0, 0, 2))
        );
        assert_eq!((q.id.sport, q.id.dport, q.seq), (1000, 80, 0x0102_0304));
        assert_eq!((q.protocol, q.mtu), (Protocol::TCP, 0));
    }

    #[test]
    fn rcv__fragmentation_needed() {
        let bytes = error(Type::DEST_UNREACH, unreach::FRAG_NEEDED, [0, 0, 0x05, 0x78]);
        assert!(matches!(
            run(&bytes),
            Ok(Message::Error(Quoted { mtu: 1400, .. }))
        ));
    }

    #[test]
    fn rcv__redirect() {
        for code in 0..=redirect::MAX {
            let Ok(Message::Redirect(r)) = run(&error(Type::REDIRECT, code, [10, 0, 0, 254]))
            else {
                panic!("no redirect: code {code}");
            };
            assert_eq!(r.gateway, Addr::new(10, 0, 0, 254));
            assert_eq!((r.id.daddr, r.id.dport), (Addr::new(10, 0, 0, 2), 80));
            assert_eq!((r.protocol, r.seq), (Protocol::TCP, 0x0102_0304));
        }
        assert_eq!(
            run(&error(Type::REDIRECT, 4, [10, 0, 0, 254])),
            Err(DropReason::UnhandledProto)
        );
    }

    #[test]
    fn rcv__bad_checksum() {
        let mut bytes = error(Type::DEST_UNREACH, unreach::PORT, [0; 4]);
        bytes[35] ^= 1;
        let mut counted = Vec::new();
        let sysctl = Sysctl::default();
        let result = rcv(&mut Skb::from_bytes(&bytes), &sysctl, false, |c| {
            counted.push(c)
        });
        assert_eq!(result, Err(DropReason::IcmpCsum));
        assert_eq!(
            counted,
            [
                Counter::IcmpInMsgs,
                Counter::IcmpInCsumErrors,
                Counter::IcmpInErrors
            ]
        );
    }

    #[test]
    fn rcv__truncated_quotation() {
        let whole = error(Type::DEST_UNREACH, unreach::PORT, [0; 4]);
        for len in 8..36 {
            let mut bytes = whole[..len].to_vec();
            Repr {
                kind: Type::DEST_UNREACH,
                code: unreach::PORT,
                rest: [0; 4],
            }
            .emit(&mut bytes);
            assert_eq!(run(&bytes), Err(DropReason::PktTooSmall), "length {len}");
        }
        for len in 0..8 {
            assert_eq!(run(&whole[..len]), Err(DropReason::PktTooSmall));
        }
    }

    #[test]
    fn rcv__quoted_later_fragment() {
        let mut bytes = error(Type::DEST_UNREACH, unreach::PORT, [0; 4]);
        bytes[15] = 1;
        Repr {
            kind: Type::DEST_UNREACH,
            code: unreach::PORT,
            rest: [0; 4],
        }
        .emit(&mut bytes);
        assert_eq!(run(&bytes), Err(DropReason::IcmpStale));
    }

    #[test]
    fn rcv__unknown_and_obsolete_types() {
        for kind in [Type::SOURCE_QUENCH, Type::TIMESTAMP, Type(42), Type(255)] {
            assert_eq!(
                run(&error(kind, 0, [0; 4])),
                Err(DropReason::UnhandledProto)
            );
        }
        assert_eq!(
            run(&error(Type::DEST_UNREACH, 16, [0; 4])),
            Err(DropReason::UnhandledProto)
        );
    }

    #[test]
    fn rcv__echo_to_many_is_ignored() {
        let bytes = error(Type::ECHO, 0, [0, 1, 0, 2]);
        assert_eq!(run(&bytes), Ok(Message::Echo));
        let mut sysctl = Sysctl::default();
        let result = rcv(&mut Skb::from_bytes(&bytes), &sysctl, true, |_| ());
        assert_eq!(result, Err(DropReason::InvalidProto));
        // Unless the user wants to be an amplifier. Errors to many are never taken.
        sysctl.icmp_echo_ignore_broadcasts = 0;
        let result = rcv(&mut Skb::from_bytes(&bytes), &sysctl, true, |_| ());
        assert_eq!(result, Ok(Message::Echo));
        let bytes = error(Type::DEST_UNREACH, unreach::PORT, [0; 4]);
        let result = rcv(&mut Skb::from_bytes(&bytes), &sysctl, true, |_| ());
        assert_eq!(result, Err(DropReason::InvalidProto));
    }

    proptest! {
        #[test]
        fn rcv__any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..120), fix in any::<bool>()) {
            let mut bytes: Vec<u8> = bytes;
            if fix && bytes.len() >= 8 {
                let rest = [bytes[4], bytes[5], bytes[6], bytes[7]];
                Repr { kind: Type(bytes[0] & 15), code: bytes[1] & 15, rest }.emit(&mut bytes);
            }
            let _ = run(&bytes);
        }
    }
}
