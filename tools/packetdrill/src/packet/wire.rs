// SPDX-License-Identifier: GPL-2.0
//! Bytes of packets: IPv4 with TCP (RFC 791, RFC 9293) or with an ICMP error (RFC 792).

use std::net::Ipv4Addr;
use std::net::SocketAddrV4;

use anyhow::bail;
use anyhow::Context;
use anyhow::Result;
use netlab::frame::checksum;

use super::Body;
use super::Ecn;
use super::Flags;
use super::Icmp;
use super::Ip;
use super::Packet;
use super::Tcp;
use super::TcpOption;

/// Bytes of an IPv4 header without options, and of a TCP header without.
pub const HEADER_LEN: usize = 20;

const IPPROTO_ICMP: u8 = 1;
const IPPROTO_TCP: u8 = 6;
/// What an injected packet has that says nothing of it.
const DEFAULT_TTL: u8 = 255;
/// How much of a datagram's payload an ICMP error quotes at least (RFC 792).
const QUOTED: usize = 8;

/// Option kinds (IANA's TCP parameters).
mod kind {
    pub(super) const EOL: u8 = 0;
    pub(super) const NOP: u8 = 1;
    pub(super) const MSS: u8 = 2;
    pub(super) const WSCALE: u8 = 3;
    pub(super) const SACK_OK: u8 = 4;
    pub(super) const SACK: u8 = 5;
    pub(super) const TS: u8 = 8;
    pub(super) const MD5: u8 = 19;
    pub(super) const FAST_OPEN: u8 = 34;
    pub(super) const ACCECN0: u8 = 172;
    pub(super) const ACCECN1: u8 = 174;
    pub(super) const EXPERIMENT: u8 = 254;
}
/// The identifier of Fast Open in an experimental option (RFC 6994).
const FASTOPEN_EXID: [u8; 2] = [0xf9, 0x89];

/// A packet as it was seen, with what the notation does not show.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Where it came from; port 0 if it is no TCP.
    pub src: SocketAddrV4,
    /// Where it went.
    pub dst: SocketAddrV4,
    /// The packet; live numbers.
    pub packet: Packet,
    /// What is wrong with its headers.
    pub flaws: Vec<String>,
}

/// The pseudo header of TCP's checksum.
pub fn pseudo(src: Ipv4Addr, dst: Ipv4Addr, len: usize) -> [u8; 12] {
    let mut p = [0; 12];
    p[..4].copy_from_slice(&src.octets());
    p[4..8].copy_from_slice(&dst.octets());
    p[9] = IPPROTO_TCP;
    p[10..].copy_from_slice(&(len as u16).to_be_bytes());
    p
}

/// An IPv4 header for `len` bytes of payload.
fn ip_header(ip: &Ip, protocol: u8, src: Ipv4Addr, dst: Ipv4Addr, len: usize) -> Result<Vec<u8>> {
    let total = u16::try_from(HEADER_LEN + len).context("longer than an IPv4 packet can be")?;
    let ecn = match ip.ecn {
        None | Some(Ecn::NotEct) => 0,
        Some(Ecn::Ect1) => 1,
        Some(Ecn::Ect0) => 2,
        Some(Ecn::Ce) => 3,
        Some(Ecn::Ect01) => bail!("ect01 can only be expected"),
    };
    let mut h = vec![0u8; HEADER_LEN];
    h[0] = 0x45;
    h[1] = ip.tos.unwrap_or(0) | ecn;
    h[2..4].copy_from_slice(&total.to_be_bytes());
    h[8] = ip.ttl.unwrap_or(DEFAULT_TTL);
    h[9] = protocol;
    h[12..16].copy_from_slice(&src.octets());
    h[16..20].copy_from_slice(&dst.octets());
    let sum = checksum(&[&h]);
    h[10..12].copy_from_slice(&sum.to_be_bytes());
    Ok(h)
}

/// Makes the IP packet. `packet` holds live numbers.
///
/// # Errors
///
/// Options that do not fill whole words of 4 bytes, or too much of anything.
pub fn build(packet: &Packet, src: SocketAddrV4, dst: SocketAddrV4) -> Result<Vec<u8>> {
    let (protocol, body) = match &packet.body {
        Body::Tcp(tcp) => {
            let mut segment = tcp_header(tcp, src.port(), dst.port())?;
            segment.resize(segment.len() + tcp.len as usize, 0);
            let pseudo = pseudo(*src.ip(), *dst.ip(), segment.len());
            let sum = checksum(&[&pseudo, &segment]);
            segment[16..18].copy_from_slice(&sum.to_be_bytes());
            (IPPROTO_TCP, segment)
        }
        // It quotes what went the other way.
        Body::Icmp(icmp) => (IPPROTO_ICMP, icmp_message(icmp, dst, src)?),
    };
    let mut bytes = ip_header(&packet.ip, protocol, *src.ip(), *dst.ip(), body.len())?;
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

fn tcp_header(tcp: &Tcp, sport: u16, dport: u16) -> Result<Vec<u8>> {
    let options = build_options(tcp.options.as_deref().unwrap_or_default())?;
    let doff = (HEADER_LEN + options.len()) / 4;
    if options.len() % 4 != 0 {
        bail!(
            "the options take {} bytes, which 4 does not divide",
            options.len()
        );
    }
    if doff > 15 {
        bail!(
            "the options take {} bytes, and 40 is the most",
            options.len()
        );
    }
    let mut h = Vec::with_capacity(HEADER_LEN + options.len());
    h.extend_from_slice(&sport.to_be_bytes());
    h.extend_from_slice(&dport.to_be_bytes());
    h.extend_from_slice(&tcp.seq.to_be_bytes());
    h.extend_from_slice(&tcp.ack.unwrap_or(0).to_be_bytes());
    h.extend_from_slice(&(((doff as u16) << 12) | tcp.flags.0).to_be_bytes());
    h.extend_from_slice(&tcp.win.unwrap_or(0).to_be_bytes());
    h.extend_from_slice(&[0, 0]);
    h.extend_from_slice(&tcp.urg.unwrap_or(0).to_be_bytes());
    h.extend_from_slice(&options);
    Ok(h)
}

fn build_options(list: &[TcpOption]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for option in list {
        let (kind, data) = match option {
            TcpOption::Eol => {
                out.push(kind::EOL);
                continue;
            }
            TcpOption::Nop => {
                out.push(kind::NOP);
                continue;
            }
            TcpOption::Mss(mss) => (kind::MSS, mss.to_be_bytes().to_vec()),
            TcpOption::Wscale(shift) => (kind::WSCALE, vec![*shift]),
            TcpOption::SackOk => (kind::SACK_OK, Vec::new()),
            TcpOption::Ts { val, ecr } => {
                (kind::TS, [val.to_be_bytes(), ecr.to_be_bytes()].concat())
            }
            TcpOption::Sack(blocks) => {
                let edges = blocks.iter().flat_map(|(l, r)| [*l, *r]);
                (kind::SACK, edges.flat_map(u32::to_be_bytes).collect())
            }
            TcpOption::FastOpen(cookie) => (kind::FAST_OPEN, cookie.clone()),
            TcpOption::FastOpenExp(cookie) => {
                (kind::EXPERIMENT, [&FASTOPEN_EXID[..], cookie].concat())
            }
            TcpOption::Md5(digest) => (kind::MD5, digest.clone()),
            TcpOption::AccEcn {
                one_first,
                counters,
            } => {
                let kind = match one_first {
                    true => kind::ACCECN1,
                    false => kind::ACCECN0,
                };
                let bytes = counters.iter().flat_map(|n| n.to_be_bytes()[1..].to_vec());
                (kind, bytes.collect())
            }
            TcpOption::Other { kind, data } => (*kind, data.clone()),
        };
        out.push(kind);
        out.push(u8::try_from(data.len() + 2).context("an option is too long")?);
        out.extend_from_slice(&data);
    }
    Ok(out)
}

/// An ICMP error that quotes a segment from `src` to `dst`.
fn icmp_message(icmp: &Icmp, src: SocketAddrV4, dst: SocketAddrV4) -> Result<Vec<u8>> {
    let (seq, len) = icmp.quoted.unwrap_or((0, 0));
    let segment = tcp_header(
        &Tcp {
            seq,
            ..Tcp::default()
        },
        src.port(),
        dst.port(),
    )?;
    let quoted_len = segment.len() + len as usize;
    let ip = Ip::default();
    let mut m = vec![icmp.kind, icmp.code, 0, 0, 0, 0];
    m.extend_from_slice(&icmp.mtu.unwrap_or(0).to_be_bytes());
    m.extend(ip_header(
        &ip,
        IPPROTO_TCP,
        *src.ip(),
        *dst.ip(),
        quoted_len,
    )?);
    m.extend_from_slice(&segment[..QUOTED]);
    let sum = checksum(&[&m]);
    m[2..4].copy_from_slice(&sum.to_be_bytes());
    Ok(m)
}

fn be16(b: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([b[at], b[at + 1]])
}

fn be32(b: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]])
}

/// Reads an IP packet that was seen; `None` if it is not IPv4 with TCP.
pub fn parse(bytes: &[u8]) -> Option<Seen> {
    if bytes.len() < HEADER_LEN || bytes[0] >> 4 != 4 || bytes[9] != IPPROTO_TCP {
        return None;
    }
    let mut flaws = Vec::new();
    let ihl = usize::from(bytes[0] & 15) * 4;
    if ihl < HEADER_LEN || bytes.len() < ihl + HEADER_LEN {
        return None;
    }
    if ihl != HEADER_LEN {
        flaws.push(format!("the IP header has {ihl} bytes"));
    }
    let total = usize::from(be16(bytes, 2));
    if total != bytes.len() {
        flaws.push(format!(
            "the IP total length is {total} in a packet of {}",
            bytes.len()
        ));
    }
    if checksum(&[&bytes[..ihl]]) != 0 {
        flaws.push("the IP header's checksum is wrong".to_string());
    }
    let addr = |at: usize| Ipv4Addr::from(be32(bytes, at));
    let ecn = match bytes[1] & 3 {
        0 => Ecn::NotEct,
        1 => Ecn::Ect1,
        2 => Ecn::Ect0,
        _ => Ecn::Ce,
    };
    let t = &bytes[ihl..];
    let word = be16(t, 12);
    let doff = usize::from(word >> 12) * 4;
    if doff < HEADER_LEN || doff > t.len() {
        flaws.push(format!("the TCP header has {doff} bytes"));
        return Some(Seen {
            src: SocketAddrV4::new(addr(12), be16(t, 0)),
            dst: SocketAddrV4::new(addr(16), be16(t, 2)),
            packet: Packet {
                ip: Ip::default(),
                body: Body::Tcp(Tcp::default()),
            },
            flaws,
        });
    }
    let payload = &t[doff..];
    if payload.iter().any(|b| *b != 0) {
        flaws.push("the payload is not all zeros".to_string());
    }
    let flags = Flags(word & 0xfff);
    let options = parse_options(&t[HEADER_LEN..doff]).unwrap_or_else(|flaw| {
        flaws.push(flaw);
        Vec::new()
    });
    let ack = be32(t, 8);
    let urg = be16(t, 18);
    Some(Seen {
        src: SocketAddrV4::new(addr(12), be16(t, 0)),
        dst: SocketAddrV4::new(addr(16), be16(t, 2)),
        packet: Packet {
            ip: Ip {
                ecn: Some(ecn),
                tos: Some(bytes[1]),
                ttl: Some(bytes[8]),
            },
            body: Body::Tcp(Tcp {
                flags,
                seq: be32(t, 4),
                len: payload.len() as u32,
                ack: (flags.has(Flags::ACK) || ack != 0).then_some(ack),
                win: Some(be16(t, 14)),
                urg: (flags.has(Flags::URG) || urg != 0).then_some(urg),
                options: Some(options),
            }),
        },
        flaws,
    })
}

fn parse_options(mut rest: &[u8]) -> Result<Vec<TcpOption>, String> {
    let mut list = Vec::new();
    while let [kind, tail @ ..] = rest {
        match *kind {
            kind::EOL => {
                list.push(TcpOption::Eol);
                rest = tail;
                continue;
            }
            kind::NOP => {
                list.push(TcpOption::Nop);
                rest = tail;
                continue;
            }
            _ => {}
        }
        let len = usize::from(*tail.first().ok_or("a TCP option has no length")?);
        let data = rest
            .get(2..len)
            .ok_or_else(|| format!("a TCP option of kind {kind} has length {len}"))?;
        rest = &rest[len..];
        list.push(match (*kind, data) {
            (kind::MSS, [a, b]) => TcpOption::Mss(u16::from_be_bytes([*a, *b])),
            (kind::WSCALE, [shift]) => TcpOption::Wscale(*shift),
            (kind::SACK_OK, []) => TcpOption::SackOk,
            (kind::TS, d) if d.len() == 8 => TcpOption::Ts {
                val: be32(d, 0),
                ecr: be32(d, 4),
            },
            (kind::SACK, d) if d.len() % 8 == 0 => {
                TcpOption::Sack(d.chunks(8).map(|b| (be32(b, 0), be32(b, 4))).collect())
            }
            (kind::FAST_OPEN, d) => TcpOption::FastOpen(d.to_vec()),
            (kind::EXPERIMENT, d) if d.starts_with(&FASTOPEN_EXID) => {
                TcpOption::FastOpenExp(d[2..].to_vec())
            }
            (kind::MD5, d) => TcpOption::Md5(d.to_vec()),
            (kind @ (kind::ACCECN0 | kind::ACCECN1), d) if d.len() % 3 == 0 && d.len() <= 9 => {
                TcpOption::AccEcn {
                    one_first: kind == kind::ACCECN1,
                    counters: d
                        .chunks(3)
                        .map(|n| u32::from_be_bytes([0, n[0], n[1], n[2]]))
                        .collect(),
                }
            }
            (kind, d) => TcpOption::Other {
                kind,
                data: d.to_vec(),
            },
        });
    }
    Ok(list)
}

#[cfg(test)]
mod tests;
