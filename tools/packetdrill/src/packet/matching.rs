// SPDX-License-Identifier: GPL-2.0
//! Whether what was seen is what was expected.
//!
//! Both packets hold the script's numbers. What a script does not say is not compared; of options the
//! whole list is: an expectation without `<…>` demands that there be none.

use super::Body;
use super::Ecn;
use super::Flags;
use super::Packet;
use super::Tcp;
use super::TcpOption;

/// What differs, in words; empty if nothing does. Times are the caller's, timestamps too.
pub fn differences(expected: &Packet, seen: &Packet) -> Vec<String> {
    let mut out = Vec::new();
    ip(expected, seen, &mut out);
    match (&expected.body, &seen.body) {
        (Body::Tcp(e), Body::Tcp(s)) => tcp(e, s, &mut out),
        (Body::Icmp(e), Body::Icmp(s)) if e == s => {}
        _ => out.push("the protocol".to_string()),
    }
    out
}

fn ip(expected: &Packet, seen: &Packet, out: &mut Vec<String>) {
    let (e, s) = (&expected.ip, &seen.ip);
    let same = match (e.ecn, s.ecn) {
        (None, _) => true,
        (Some(Ecn::Ect01), Some(Ecn::Ect0 | Ecn::Ect1)) => true,
        (a, b) => a == b,
    };
    if !same {
        out.push("the ECN field".to_string());
    }
    if e.tos.is_some() && e.tos != s.tos {
        out.push("the TOS byte".to_string());
    }
    if e.ttl.is_some() && e.ttl != s.ttl {
        out.push("the TTL".to_string());
    }
}

fn tcp(e: &Tcp, s: &Tcp, out: &mut Vec<String>) {
    let mut check = |same: bool, what: &str| {
        if !same {
            out.push(what.to_string());
        }
    };
    check(e.flags == s.flags, "the flags");
    check(e.seq == s.seq, "the sequence number");
    check(e.len == s.len, "the length");
    check(
        e.ack.unwrap_or(0) == s.ack.unwrap_or(0),
        "the acknowledgement number",
    );
    check(e.win.is_none() || e.win == s.win, "the window");
    check(
        e.urg.unwrap_or(0) == s.urg.unwrap_or(0),
        "the urgent pointer",
    );
    if let (Some(e), Some(s)) = (&e.options, &s.options) {
        let same = e.len() == s.len() && e.iter().zip(s).all(|(e, s)| same_option(e, s));
        check(same, "the options");
    }
}

/// Timestamps are only compared in kind.
fn same_option(e: &TcpOption, s: &TcpOption) -> bool {
    match (e, s) {
        (TcpOption::Ts { .. }, TcpOption::Ts { .. }) => true,
        _ => e == s,
    }
}

/// The timestamp option of a segment.
pub fn timestamp(packet: &Packet) -> Option<(u32, u32)> {
    packet
        .tcp()?
        .options
        .as_ref()?
        .iter()
        .find_map(|o| match o {
            TcpOption::Ts { val, ecr } => Some((*val, *ecr)),
            _ => None,
        })
}

/// Joins a segment to the ones before it, as if the stack had sent them as one: the last says whether
/// FIN and PSH are set, the first whether CWR is.
///
/// `unit` is the length of the first one. False, and nothing joined, if `next` does not follow:
/// another kind of header, a hole, or a segment after a short one.
pub fn join(whole: &mut Packet, next: &Packet, unit: u32) -> bool {
    let (Body::Tcp(whole), Body::Tcp(next)) = (&mut whole.body, &next.body) else {
        return false;
    };
    let per_segment = Flags::FIN.with(Flags::PSH).with(Flags::CWR);
    let fits = next.len > 0
        && next.len <= unit
        && whole.len % unit == 0
        && next.seq == whole.seq.wrapping_add(whole.len)
        && next.flags.without(per_segment) == whole.flags.without(per_segment)
        && !whole.flags.has(Flags::FIN);
    if !fits {
        return false;
    }
    let last = Flags::FIN.with(Flags::PSH);
    whole.flags = whole.flags.without(last).with(next.flags.only(last));
    whole.len += next.len;
    true
}

#[cfg(test)]
mod tests;
