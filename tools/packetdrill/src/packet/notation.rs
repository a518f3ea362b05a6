// SPDX-License-Identifier: GPL-2.0
//! The script's notation of packets: `[ect0] P. 1:1001(1000) ack 1 win 257 <nop,nop,TS val 1 ecr 2>`.

use std::fmt;
use std::fmt::Display;

use anyhow::bail;
use anyhow::Result;

use super::Body;
use super::Ecn;
use super::Flags;
use super::Icmp;
use super::Ip;
use super::Packet;
use super::Tcp;
use super::TcpOption;
use crate::script::scanner::Scanner;

/// Letters of flags, in the order in which they are printed.
const LETTERS: [(char, Flags); 9] = [
    ('S', Flags::SYN),
    ('E', Flags::ECE),
    ('W', Flags::CWR),
    ('A', Flags::AE),
    ('F', Flags::FIN),
    ('R', Flags::RST),
    ('P', Flags::PSH),
    ('U', Flags::URG),
    ('.', Flags::ACK),
];

/// Names of ICMP's "destination unreachable" codes (RFC 792, RFC 1122, RFC 1812).
const UNREACHABLE: [(&str, u8); 14] = [
    ("net_unreachable", 0),
    ("host_unreachable", 1),
    ("protocol_unreachable", 2),
    ("port_unreachable", 3),
    ("frag_needed", 4),
    ("source_route_failed", 5),
    ("net_unknown", 6),
    ("host_unknown", 7),
    ("source_host_isolated", 8),
    ("net_prohibited", 9),
    ("host_prohibited", 10),
    ("net_unreachable_for_tos", 11),
    ("host_unreachable_for_tos", 12),
    ("packet_filtered", 13),
];

/// Destination unreachable.
const ICMP_UNREACHABLE: u8 = 3;

/// Reads a packet; the direction has been read.
pub fn packet(s: &mut Scanner<'_>) -> Result<Packet> {
    let ip = ip(s)?;
    let body = match s.eat_word("icmp")? {
        true => Body::Icmp(icmp(s)?),
        false => Body::Tcp(tcp(s)?),
    };
    Ok(Packet { ip, body })
}

fn ip(s: &mut Scanner<'_>) -> Result<Ip> {
    let mut ip = Ip::default();
    let close = match s.peek()? {
        Some('[') => "]",
        Some('(') => ")",
        _ => return Ok(ip),
    };
    s.run(|c| c == '[' || c == '(');
    while !s.eat(close)? {
        match s.word()?.as_str() {
            "noecn" => ip.ecn = Some(Ecn::NotEct),
            "ect0" => ip.ecn = Some(Ecn::Ect0),
            "ect1" => ip.ecn = Some(Ecn::Ect1),
            "ect01" => ip.ecn = Some(Ecn::Ect01),
            "ce" => ip.ecn = Some(Ecn::Ce),
            "tos" => ip.tos = Some(u8::try_from(s.integer()?)?),
            "ttl" => ip.ttl = Some(s.number(255)? as u8),
            other => bail!("`{other}` says nothing about an IP header"),
        }
        s.eat(",")?;
    }
    Ok(ip)
}

/// `1:1001(1000)`: the first number and the length.
fn range(s: &mut Scanner<'_>) -> Result<(u32, u32)> {
    let max = u64::from(u32::MAX);
    let seq = s.number(max)? as u32;
    s.expect(":")?;
    let end = s.number(max)? as u32;
    s.expect("(")?;
    let len = s.number(65535)? as u32;
    s.expect(")")?;
    if end != seq.wrapping_add(len) {
        bail!("{seq}:{end}({len}): the end is not the start plus the length");
    }
    Ok((seq, len))
}

fn tcp(s: &mut Scanner<'_>) -> Result<Tcp> {
    s.blanks()?;
    let letters = s.run(|c| !c.is_whitespace());
    let flags = flags(letters)?;
    let (seq, len) = range(s)?;
    let mut tcp = Tcp {
        flags,
        seq,
        len,
        ..Tcp::default()
    };
    if s.eat_word("ack")? {
        tcp.ack = Some(s.number(u64::from(u32::MAX))? as u32);
    }
    if s.eat_word("win")? {
        tcp.win = Some(s.number(65535)? as u16);
    }
    if s.eat_word("urg")? {
        tcp.urg = Some(s.number(65535)? as u16);
    }
    tcp.options = options(s)?;
    Ok(tcp)
}

/// Flags of a segment: letters, `.`, one digit for the ACE field, or `-` for none.
fn flags(letters: &str) -> Result<Flags> {
    let mut flags = Flags::default();
    for c in letters.chars() {
        match LETTERS.iter().find(|(letter, _)| *letter == c) {
            Some((_, flag)) => flags = flags.with(*flag),
            None => match c.to_digit(8) {
                Some(ace) => {
                    for (bit, flag) in [(4, Flags::AE), (2, Flags::CWR), (1, Flags::ECE)] {
                        if ace & bit != 0 {
                            flags = flags.with(flag);
                        }
                    }
                }
                None if letters == "-" => {}
                None => bail!("`{letters}` are no TCP flags"),
            },
        }
    }
    Ok(flags)
}

/// `<...>` is `None`; nothing at all is an empty list.
fn options(s: &mut Scanner<'_>) -> Result<Option<Vec<TcpOption>>> {
    let mut list = Vec::new();
    if !s.eat("<")? {
        return Ok(Some(list));
    }
    if s.eat("...")? {
        s.expect(">")?;
        return Ok(None);
    }
    while !s.eat(">")? {
        list.push(option(s)?);
        if !s.eat(",")? {
            s.expect(">")?;
            break;
        }
    }
    Ok(Some(list))
}

fn option(s: &mut Scanner<'_>) -> Result<TcpOption> {
    let u32max = u64::from(u32::MAX);
    Ok(match s.word()?.as_str() {
        "eol" => TcpOption::Eol,
        "nop" => TcpOption::Nop,
        "mss" => TcpOption::Mss(s.number(65535)? as u16),
        "wscale" => TcpOption::Wscale(s.number(255)? as u8),
        "sackOK" => TcpOption::SackOk,
        "TS" => {
            if !s.eat_word("val")? {
                bail!("`TS val` expected before {}", s.here());
            }
            let val = s.number(u32max)? as u32;
            if !s.eat_word("ecr")? {
                bail!("`ecr` expected before {}", s.here());
            }
            TcpOption::Ts {
                val,
                ecr: s.number(u32max)? as u32,
            }
        }
        "sack" => {
            let mut blocks = Vec::new();
            while s.peek()?.is_some_and(|c| c.is_ascii_digit()) {
                let left = s.number(u32max)? as u32;
                s.expect(":")?;
                blocks.push((left, s.number(u32max)? as u32));
            }
            TcpOption::Sack(blocks)
        }
        "FO" => TcpOption::FastOpen(hex(s)?),
        "FOEXP" => TcpOption::FastOpenExp(hex(s)?),
        "md5" => TcpOption::Md5(hex(s)?),
        "ECN" => accecn(s)?,
        other => bail!("`{other}` is no TCP option"),
    })
}

/// A possibly empty row of hexadecimal digits.
fn hex(s: &mut Scanner<'_>) -> Result<Vec<u8>> {
    if s.peek_word()?.is_empty() {
        return Ok(Vec::new());
    }
    let word = s.word()?;
    if word.len() % 2 != 0 || !word.bytes().all(|b| b.is_ascii_hexdigit()) {
        bail!("`{word}` are no bytes in hexadecimal");
    }
    let pairs = (0..word.len()).step_by(2);
    Ok(pairs
        .map(|at| u8::from_str_radix(&word[at..at + 2], 16))
        .collect::<Result<_, _>>()?)
}

/// Names of the counters of the AccECN option, in its order.
fn accecn_names(one_first: bool) -> [&'static str; 3] {
    match one_first {
        true => ["e1b", "ceb", "e0b"],
        false => ["e0b", "ceb", "e1b"],
    }
}

fn accecn(s: &mut Scanner<'_>) -> Result<TcpOption> {
    let one_first = s.peek_word()? == "e1b";
    let mut counters = Vec::new();
    for name in accecn_names(one_first) {
        if !s.eat_word(name)? {
            break;
        }
        counters.push(s.number(0xff_ffff)? as u32);
    }
    Ok(TcpOption::AccEcn {
        one_first,
        counters,
    })
}

fn icmp(s: &mut Scanner<'_>) -> Result<Icmp> {
    let kind = match s.word()?.as_str() {
        "unreachable" => ICMP_UNREACHABLE,
        "source_quench" => 4,
        "time_exceeded" => 11,
        "parameter_problem" => 12,
        // ICMPv6's only; read, so that such a script can be named as one.
        "packet_too_big" => 2,
        other => match other.parse() {
            Ok(n) => n,
            Err(_) => bail!("`{other}` is no ICMP type"),
        },
    };
    let mut icmp = Icmp {
        kind,
        code: 0,
        mtu: None,
        quoted: None,
    };
    if s.peek()?.is_some_and(|c| c.is_ascii_alphanumeric()) && s.peek_word()? != "mtu" {
        let word = s.word()?;
        icmp.code = match UNREACHABLE.iter().find(|(name, _)| *name == word) {
            Some((_, code)) => *code,
            None => match word.parse() {
                Ok(n) => n,
                Err(_) => bail!("`{word}` is no ICMP code"),
            },
        };
    }
    if s.eat_word("mtu")? {
        icmp.mtu = Some(s.number(65535)? as u16);
    }
    if s.eat("[")? {
        icmp.quoted = Some(range(s)?);
        s.expect("]")?;
    }
    Ok(icmp)
}

impl Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.ip)?;
        match &self.body {
            Body::Tcp(tcp) => tcp.fmt(f),
            Body::Icmp(icmp) => icmp.fmt(f),
        }
    }
}

impl Display for Ip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        if let Some(ecn) = self.ecn {
            words.push(
                match ecn {
                    Ecn::NotEct => "noecn",
                    Ecn::Ect0 => "ect0",
                    Ecn::Ect1 => "ect1",
                    Ecn::Ect01 => "ect01",
                    Ecn::Ce => "ce",
                }
                .to_string(),
            );
        }
        if let Some(tos) = self.tos {
            words.push(format!("tos {tos:#04x}"));
        }
        if let Some(ttl) = self.ttl {
            words.push(format!("ttl {ttl}"));
        }
        if words.is_empty() {
            return Ok(());
        }
        write!(f, "[{}] ", words.join(","))
    }
}

impl Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("-");
        }
        let mut known = Flags::default();
        for (letter, flag) in LETTERS {
            known = known.with(flag);
            if self.has(flag) {
                write!(f, "{letter}")?;
            }
        }
        match self.without(known).0 {
            0 => Ok(()),
            reserved => write!(f, "[reserved {reserved:#x}]"),
        }
    }
}

impl Display for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.seq.wrapping_add(self.len);
        write!(f, "{} {}:{end}({})", self.flags, self.seq, self.len)?;
        if let Some(ack) = self.ack {
            write!(f, " ack {ack}")?;
        }
        if let Some(win) = self.win {
            write!(f, " win {win}")?;
        }
        if let Some(urg) = self.urg {
            write!(f, " urg {urg}")?;
        }
        match &self.options {
            None => f.write_str(" <...>"),
            Some(list) if list.is_empty() => Ok(()),
            Some(list) => {
                let list: Vec<_> = list.iter().map(TcpOption::to_string).collect();
                write!(f, " <{}>", list.join(","))
            }
        }
    }
}

impl Display for TcpOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = |f: &mut fmt::Formatter<'_>, name: &str, data: &[u8]| {
            f.write_str(name)?;
            if !data.is_empty() {
                f.write_str(" ")?;
            }
            data.iter().try_for_each(|b| write!(f, "{b:02x}"))
        };
        match self {
            TcpOption::Eol => f.write_str("eol"),
            TcpOption::Nop => f.write_str("nop"),
            TcpOption::Mss(mss) => write!(f, "mss {mss}"),
            TcpOption::Wscale(shift) => write!(f, "wscale {shift}"),
            TcpOption::SackOk => f.write_str("sackOK"),
            TcpOption::Ts { val, ecr } => write!(f, "TS val {val} ecr {ecr}"),
            TcpOption::Sack(blocks) => {
                f.write_str("sack")?;
                blocks.iter().try_for_each(|(l, r)| write!(f, " {l}:{r}"))
            }
            TcpOption::FastOpen(cookie) => bytes(f, "FO", cookie),
            TcpOption::FastOpenExp(cookie) => bytes(f, "FOEXP", cookie),
            TcpOption::Md5(digest) => bytes(f, "md5", digest),
            TcpOption::AccEcn {
                one_first,
                counters,
            } => {
                f.write_str("ECN")?;
                let names = accecn_names(*one_first);
                names
                    .iter()
                    .zip(counters)
                    .try_for_each(|(name, n)| write!(f, " {name} {n}"))
            }
            TcpOption::Other { kind, data } => bytes(f, &format!("kind {kind}"), data),
        }
    }
}

impl Display for Icmp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ICMP_UNREACHABLE => f.write_str("icmp unreachable")?,
            kind => write!(f, "icmp {kind}")?,
        }
        match UNREACHABLE.iter().find(|(_, code)| *code == self.code) {
            Some((name, _)) if self.kind == ICMP_UNREACHABLE => write!(f, " {name}")?,
            _ => write!(f, " {}", self.code)?,
        }
        if let Some(mtu) = self.mtu {
            write!(f, " mtu {mtu}")?;
        }
        if let Some((seq, len)) = self.quoted {
            write!(f, " [{seq}:{}({len})]", seq.wrapping_add(len))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
