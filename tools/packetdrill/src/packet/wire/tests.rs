// SPDX-License-Identifier: GPL-2.0

use std::collections::HashMap;

use super::*;
use crate::packet::notation;
use crate::script::scanner::Scanner;

fn ends() -> (SocketAddrV4, SocketAddrV4) {
    let at = |s: &str| s.parse().unwrap();
    (at("192.0.2.1:49152"), at("192.168.0.1:8080"))
}

fn packet(text: &str) -> Packet {
    let defines = HashMap::new();
    notation::packet(&mut Scanner::new(text, &defines)).unwrap()
}

#[test]
fn parse__reads_what_was_built() {
    let (src, dst) = ends();
    for text in [
        "[ect1] S 7:7(0) win 5 <mss 1460,sackOK,TS val 1 ecr 2,nop,wscale 3>",
        "[noecn] .5 1:1001(1000) ack 9 win 257 <nop,nop,sack 1:2 3:4>",
        "[ce] PU. 1:2(1) ack 9 win 257 urg 1 <ECN e1b 1 ceb 16777215 e0b 3,nop>",
        "[ect0] S. 1:1(0) ack 9 win 0 <FO 0102,FOEXP 01020304>",
        "[noecn] R 1:1(0) win 0",
    ] {
        let bytes = build(&packet(text), src, dst).unwrap();
        let mut seen = parse(&bytes).unwrap();
        assert_eq!(seen.flaws, [""; 0]);
        assert_eq!((seen.src, seen.dst), (src, dst));
        seen.packet.ip.tos = None;
        seen.packet.ip.ttl = None;
        assert_eq!(seen.packet, packet(text));
        // The sum over everything, its own field included, is zero.
        let pseudo = pseudo(*src.ip(), *dst.ip(), bytes.len() - HEADER_LEN);
        assert_eq!(checksum(&[&pseudo, &bytes[HEADER_LEN..]]), 0);
    }
}

#[test]
fn build__options_fill_words() {
    let (src, dst) = ends();
    let error = build(&packet(". 1:1(0) <nop>"), src, dst).unwrap_err();
    assert!(error.to_string().contains("4 does not divide"), "{error}");
    assert!(build(&packet(". 1:65536(65535)"), src, dst).is_err());
}

#[test]
fn build__icmp_quotes_the_other_direction() {
    let (src, dst) = ends();
    let error = packet("icmp unreachable frag_needed mtu 1400 [100:1100(1000)]");
    let bytes = build(&error, src, dst).unwrap();
    assert_eq!(bytes.len(), 20 + 8 + 20 + 8);
    assert_eq!(checksum(&[&bytes[20..]]), 0);
    assert_eq!(bytes[20..22], [3, 4]);
    assert_eq!(bytes[26..28], 1400u16.to_be_bytes());
    let quoted = &bytes[28..];
    assert_eq!(quoted[2..4], 1040u16.to_be_bytes());
    assert_eq!(quoted[12..16], dst.ip().octets());
    assert_eq!(quoted[20..22], dst.port().to_be_bytes());
    assert_eq!(quoted[24..28], 100u32.to_be_bytes());
}

#[test]
fn parse__flaws_are_named() {
    let (src, dst) = ends();
    let good = build(&packet(". 1:3(2) ack 1 win 1"), src, dst).unwrap();
    let flaws = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        parse(&bytes).unwrap().flaws.join(";")
    };
    assert!(flaws(41, 1).contains("not all zeros"));
    assert!(flaws(8, 1).contains("checksum"));
    assert!(flaws(32, 0x40).contains("TCP header has 16"));
    assert!(flaws(32, 0xf0).contains("TCP header has 60"));
    assert!(parse(&good[..30]).is_none());
}
