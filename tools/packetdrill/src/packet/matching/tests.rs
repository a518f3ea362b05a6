// SPDX-License-Identifier: GPL-2.0

use std::collections::HashMap;

use super::*;
use crate::packet::notation;
use crate::script::scanner::Scanner;

fn packet(text: &str) -> Packet {
    let defines = HashMap::new();
    notation::packet(&mut Scanner::new(text, &defines)).unwrap()
}

fn differ(expected: &str, seen: &str) -> String {
    differences(&packet(expected), &packet(seen)).join(", ")
}

#[test]
fn differences__what_is_unsaid_is_not_compared() {
    assert_eq!(
        differ(". 1:1(0) ack 1", "[ce,ttl 3] . 1:1(0) ack 1 win 9"),
        ""
    );
    assert_eq!(differ(". 1:1(0) ack 1 <...>", ". 1:1(0) ack 1 <nop>"), "");
    assert_eq!(differ("[ect01] . 1:1(0)", "[ect1] . 1:1(0)"), "");
}

#[test]
fn differences__what_is_said_is() {
    let seen = "[noecn] P. 1:2(1) ack 1 win 5 <nop,nop,TS val 1 ecr 2>";
    let ts = "<nop,nop,TS val 9 ecr 9>";
    assert_eq!(differ(&format!("P. 1:2(1) ack 1 {ts}"), seen), "");
    assert_eq!(differ(&format!(". 1:2(1) ack 1 {ts}"), seen), "the flags");
    assert_eq!(
        differ(&format!("P. 2:3(1) ack 1 {ts}"), seen),
        "the sequence number"
    );
    assert_eq!(differ(&format!("P. 1:3(2) ack 1 {ts}"), seen), "the length");
    assert_eq!(
        differ(&format!("P. 1:2(1) {ts}"), seen),
        "the acknowledgement number"
    );
    assert_eq!(
        differ(&format!("P. 1:2(1) ack 1 win 6 {ts}"), seen),
        "the window"
    );
    assert_eq!(
        differ(&format!("[ect0] P. 1:2(1) ack 1 {ts}"), seen),
        "the ECN field"
    );
    assert_eq!(differ("P. 1:2(1) ack 1", seen), "the options");
    assert_eq!(
        differ("P. 1:2(1) ack 1 <TS val 1 ecr 2,nop,nop>", seen),
        "the options"
    );
    assert_eq!(
        differ("P. 1:2(1) ack 1 urg 1 <...>", seen),
        "the urgent pointer"
    );
}

#[test]
fn join__equal_segments_and_a_short_last_one() {
    let mut whole = packet("W. 1:101(100) ack 1");
    assert!(join(&mut whole, &packet(". 101:201(100) ack 1"), 100));
    assert!(join(&mut whole, &packet("FP. 201:231(30) ack 1"), 100));
    assert_eq!(whole.to_string(), "WFP. 1:231(230) ack 1");
    // After a short one nothing follows.
    assert!(!join(&mut whole, &packet(". 231:331(100) ack 1"), 100));
}

#[test]
fn join__what_does_not_follow() {
    for next in [
        ". 201:301(100) ack 1",
        ". 101:301(200) ack 1",
        ". 101:101(0) ack 1",
        "R. 101:201(100) ack 1",
        "icmp unreachable",
    ] {
        let mut whole = packet(". 1:101(100) ack 1");
        assert!(!join(&mut whole, &packet(next), 100), "{next}");
        assert_eq!(whole.to_string(), ". 1:101(100) ack 1");
    }
}
