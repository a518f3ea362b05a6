// SPDX-License-Identifier: GPL-2.0

use std::collections::HashMap;

use super::*;

fn read(text: &str) -> Result<Packet, String> {
    let defines = HashMap::new();
    let mut s = Scanner::new(text, &defines);
    packet(&mut s).map_err(|e| format!("{e:#}"))
}

#[test]
fn packet__prints_what_was_read() {
    for text in [
        ". 1:1(0) ack 1",
        "S. 0:0(0) ack 1 win 65535 <mss 1460,nop,nop,sackOK,nop,wscale 8>",
        "SEWA 0:0(0) <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 8>",
        "[ect0] EAP. 1:1001(1000) ack 1 <ECN e1b 1 ceb 0 e0b 1,nop>",
        "[ce] W. 1:1(0) ack 1 win 264 <ECN e0b 1 ceb 5 e1b 16777215,nop>",
        "[tos 0x1c,ttl 64] FP. 1:101(100) ack 1 urg 7",
        ". 1:1(0) ack 1 win 257 <sack 1:2 5:7 9:10,nop,nop>",
        "S 0:10(10) win 32792 <mss 1460,sackOK,FO 0123456789abcdef,nop,nop>",
        "S 0:0(0) <FOEXP>",
        ". 1:1(0) <md5 000102030405060708090a0b0c0d0e0f,nop,nop>",
        "- 1:1(0) win 3",
        "R 4294967295:0(1) <...>",
        "icmp unreachable frag_needed mtu 1400 [1:1461(1460)]",
    ] {
        assert_eq!(read(text).unwrap().to_string(), text);
    }
}

#[test]
fn flags__digit_is_the_ace_field() {
    let flags = |text: &str| read(text).unwrap().tcp().unwrap().flags;
    assert_eq!(flags(".5 1:1(0)"), flags("EA. 1:1(0)"));
    assert_eq!(flags("P.2 1:1(0)"), flags("W.P 1:1(0)"));
    assert_eq!(flags("F.0 1:1(0)"), flags("F. 1:1(0)"));
}

#[test]
fn packet__options_unsaid_and_unchecked() {
    assert_eq!(
        read(". 1:1(0)").unwrap().tcp().unwrap().options,
        Some(vec![])
    );
    assert_eq!(read(". 1:1(0) <...>").unwrap().tcp().unwrap().options, None);
}

#[test]
fn packet__refusals() {
    for text in [
        ". 1:3(1)",
        ". 1:1(0) win 65536",
        ". 1:1(0) <mss>",
        "[x] . 1:1(0)",
        "icmp what",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}
