// SPDX-License-Identifier: GPL-2.0
//! What the kernel tells about itself under /proc and /sys.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::net::SocketAddrV4;

use anyhow::Context;
use anyhow::Result;

use crate::family::Family;
use crate::ns::Namespace;

/// One line of /proc/net/tcp, /proc/net/udp, or their twins under /proc/net/rustnet.
#[derive(Clone, Debug)]
pub struct ProcSock {
    /// Local address.
    pub local: SocketAddrV4,
    /// Remote address.
    pub remote: SocketAddrV4,
    /// State number.
    pub state: u8,
    /// Send queue, bytes (the accept queue's limit for listeners).
    pub tx_queue: u32,
    /// Receive queue, bytes (the accept queue's length for listeners).
    pub rx_queue: u32,
}

/// The path below /proc/net of a family's table, `proto` being `tcp` or `udp`.
pub fn table(family: Family, proto: &str) -> String {
    if family.is_rustnet() {
        format!("rustnet/{proto}")
    } else {
        proto.to_string()
    }
}

/// The sockets of a family in a namespace.
pub fn sockets(ns: &Namespace, family: Family, proto: &str) -> Result<Vec<ProcSock>> {
    let name = table(family, proto);
    let text = ns
        .proc_net(&name)
        .with_context(|| format!("/proc/net/{name}"))?;
    Ok(text.lines().skip(1).filter_map(parse_line).collect())
}

fn parse_line(line: &str) -> Option<ProcSock> {
    let mut words = line.split_whitespace().skip(1);
    let local = parse_addr(words.next()?)?;
    let remote = parse_addr(words.next()?)?;
    let state = u8::from_str_radix(words.next()?, 16).ok()?;
    let (tx, rx) = words.next()?.split_once(':')?;
    let (tx_queue, rx_queue) = (
        u32::from_str_radix(tx, 16).ok()?,
        u32::from_str_radix(rx, 16).ok()?,
    );
    Some(ProcSock {
        local,
        remote,
        state,
        tx_queue,
        rx_queue,
    })
}

fn parse_addr(word: &str) -> Option<SocketAddrV4> {
    let (ip, port) = word.split_once(':')?;
    let ip = u32::from_str_radix(ip, 16).ok()?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(SocketAddrV4::new(Ipv4Addr::from(ip.to_ne_bytes()), port))
}

/// RustNet's counters: every `name value` line of /proc/net/rustnet/stat, and table forms too.
pub fn rustnet_stat(ns: &Namespace) -> Result<BTreeMap<String, u64>> {
    let text = ns
        .proc_net("rustnet/stat")
        .context("/proc/net/rustnet/stat")?;
    Ok(text.lines().filter_map(stat_line).collect())
}

/// A counter's name is everything before its value, so that "drop ip_csum 3" and "ip_csum: 3" both read.
fn stat_line(line: &str) -> Option<(String, u64)> {
    let line = line.trim();
    let (name, value) =
        line.rsplit_once(|ch: char| ch.is_whitespace() || ch == ':' || ch == '=')?;
    let name = name.trim_end_matches([':', '=', ' ', '\t']).trim();
    Some((name.to_string(), value.trim().parse().ok()?))
}

/// A counter of /proc/net/snmp, such as `("Tcp", "OutRsts")`.
pub fn snmp(ns: &Namespace, proto: &str, counter: &str) -> Result<u64> {
    named_columns(&ns.proc_net("snmp")?, proto, counter)
}

/// A counter of /proc/net/netstat, such as `("TcpExt", "ListenDrops")`.
pub fn netstat(ns: &Namespace, proto: &str, counter: &str) -> Result<u64> {
    named_columns(&ns.proc_net("netstat")?, proto, counter)
}

/// Every counter of a protocol in /proc/net/netstat.
pub fn netstat_all(ns: &Namespace, proto: &str) -> Result<BTreeMap<String, u64>> {
    let text = ns.proc_net("netstat")?;
    let prefix = format!("{proto}:");
    let mut lines = text.lines().filter_map(|l| l.strip_prefix(&prefix));
    let (names, values) = (
        lines.next().context("no such line")?,
        lines.next().context("cut")?,
    );
    names
        .split_whitespace()
        .zip(values.split_whitespace())
        .map(|(name, value)| Ok((name.to_string(), value.parse()?)))
        .collect()
}

fn named_columns(text: &str, proto: &str, counter: &str) -> Result<u64> {
    let prefix = format!("{proto}:");
    let mut lines = text.lines().filter(|l| l.starts_with(&prefix));
    let (names, values) = (
        lines.next().context("no such line")?,
        lines.next().context("cut")?,
    );
    let at = names
        .split_whitespace()
        .position(|w| w == counter)
        .context("no such counter")?;
    Ok(values.split_whitespace().nth(at).context("cut")?.parse()?)
}

/// One cache of /proc/slabinfo.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slab {
    /// Objects in use.
    pub active: u64,
    /// Bytes of one object.
    pub size: u64,
    /// Bytes of memory that one object takes, its share of the slab's waste included.
    pub share: u64,
}

/// /proc/slabinfo by cache name.
pub fn slabinfo() -> Result<BTreeMap<String, Slab>> {
    let text = std::fs::read_to_string("/proc/slabinfo").context("/proc/slabinfo")?;
    Ok(text
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let num = |i: usize| words.get(i)?.parse::<u64>().ok();
            let (active, size, per_slab, pages) = (num(1)?, num(3)?, num(4)?, num(5)?);
            let share = pages * 4096 / per_slab.max(1);
            Some((
                words[0].to_string(),
                Slab {
                    active,
                    size,
                    share,
                },
            ))
        })
        .collect())
}

#[cfg(test)]
#[allow(non_snake_case)]
mod tests {
    use super::*;

    #[test]
    fn parse_line__reads_a_listener() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000 0";
        let s = parse_line(line).unwrap();
        assert_eq!(s.local, "127.0.0.1:8080".parse().unwrap());
        assert_eq!((s.state, s.tx_queue, s.rx_queue), (10, 0, 3));
    }

    #[test]
    fn stat_line__takes_every_spelling() {
        for line in ["ip_csum 3", "ip_csum: 3", "ip_csum=3", "  ip_csum\t3"] {
            assert_eq!(stat_line(line), Some(("ip_csum".into(), 3)), "{line}");
        }
        assert_eq!(stat_line("heading:"), None);
    }
}
