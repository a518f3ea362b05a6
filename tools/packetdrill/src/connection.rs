// SPDX-License-Identifier: GPL-2.0
//! A connection as the script sees it, and the translation between its numbers and the live ones.
//!
//! The stack under test chooses its initial sequence number and its timestamps; the script wrote down
//! others. The first SYN or SYN-ACK that is expected ties the two together. The remote host's initial
//! number is the script's, for the runner plays that host. In packets with SYN a script writes whole
//! sequence numbers, in all others it counts from the initial one.

use std::collections::HashMap;
use std::net::SocketAddrV4;

use anyhow::bail;
use anyhow::Result;

use crate::packet::matching;
use crate::packet::wire::Seen;
use crate::packet::Body;
use crate::packet::Flags;
use crate::packet::Icmp;
use crate::packet::Ip;
use crate::packet::Packet;
use crate::packet::Tcp;
use crate::packet::TcpOption;

/// What a socket has become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Made by socket(), and perhaps connected since.
    Active,
    /// Made by socket(), and listening.
    Listener,
    /// Made by a SYN that was injected.
    Passive,
}

/// One socket of the script, or one connection that has not been accepted yet.
#[derive(Debug)]
pub struct Connection {
    /// What it is.
    pub role: Role,
    /// The script's descriptor, if it has one.
    pub fd: Option<i32>,
    /// It was connected to AF_UNSPEC; packets may still tell so.
    pub disconnected: bool,
    /// The end at the stack under test; port 0 until its first packet shows it.
    pub local: SocketAddrV4,
    /// The end that the runner plays.
    pub remote: SocketAddrV4,
    /// Initial sequence numbers of the local end: the live one and the script's.
    local_isn: Option<(u32, u32)>,
    /// The remote end's.
    remote_isn: Option<u32>,
    /// Live timestamps by the script's.
    timestamps: HashMap<u32, u32>,
    /// The script's first timestamp, and the live one.
    first_timestamp: Option<(u32, u32)>,
    /// Live numbers after the last segment sent, and what it acknowledged.
    last_sent: Option<(u32, u32)>,
    /// The number after the last segment injected.
    last_injected: Option<u32>,
}

impl Connection {
    /// One of which no packet has been seen.
    pub fn new(role: Role, local: SocketAddrV4, remote: SocketAddrV4) -> Connection {
        Connection {
            role,
            fd: None,
            disconnected: false,
            local,
            remote,
            local_isn: None,
            remote_isn: None,
            timestamps: HashMap::new(),
            first_timestamp: None,
            last_sent: None,
            last_injected: None,
        }
    }

    /// Whether a packet that was sent belongs to it.
    pub fn sent(&self, seen: &Seen) -> bool {
        let local = match self.local.port() {
            0 => self.local.ip() == seen.src.ip(),
            _ => self.local == seen.src,
        };
        local && self.remote == seen.dst
    }

    /// Begins again, with a connect() to `remote` after one to AF_UNSPEC.
    pub fn reconnect(&mut self, remote: SocketAddrV4) {
        let mut local = self.local;
        local.set_port(0);
        let fd = self.fd;
        *self = Connection::new(Role::Active, local, remote);
        self.fd = fd;
    }

    /// Learns from the first packets, before they are compared.
    pub fn learn(&mut self, expected: &Packet, seen: &Seen) {
        self.local = seen.src;
        let (Some(e), Some(s)) = (expected.tcp(), seen.packet.tcp()) else {
            return;
        };
        if e.flags.has(Flags::SYN) && s.flags.has(Flags::SYN) && self.local_isn.is_none() {
            self.local_isn = Some((s.seq, e.seq));
        }
        let syn_fin = u32::from(s.flags.has(Flags::SYN)) + u32::from(s.flags.has(Flags::FIN));
        let next = s.seq.wrapping_add(s.len).wrapping_add(syn_fin);
        self.last_sent = Some((next, s.ack.unwrap_or(0)));
    }

    /// Keeps the timestamp of a packet that matched. `tick` is the script's unit in microseconds; then
    /// the stack's clock must have run as the script's did, within `tolerance`.
    pub fn learn_timestamp(
        &mut self,
        expected: &Packet,
        seen: &Packet,
        tick: Option<u32>,
        tolerance: i64,
    ) -> Result<()> {
        let (Some((script, _)), Some((live, _))) =
            (matching::timestamp(expected), matching::timestamp(seen))
        else {
            return Ok(());
        };
        let (script0, live0) = *self.first_timestamp.get_or_insert((script, live));
        self.timestamps.insert(script, live);
        if let Some(tick) = tick {
            let wanted = live0.wrapping_add(script.wrapping_sub(script0));
            let off = i64::from(live.wrapping_sub(wanted) as i32) * i64::from(tick);
            if off.abs() > tolerance {
                bail!("TS val is {off} µs away from what it should be");
            }
        }
        Ok(())
    }

    /// Live minus script sequence numbers of the local end, in a packet with or without SYN.
    fn local_shift(&self, syn: bool) -> u32 {
        match self.local_isn {
            None => 0,
            Some((live, script)) if syn => live.wrapping_sub(script),
            Some((live, _)) => live,
        }
    }

    /// The same for the remote end.
    fn remote_shift(&self, syn: bool) -> u32 {
        match syn {
            true => 0,
            false => self.remote_isn.unwrap_or(0),
        }
    }

    /// The script's packet, with live numbers, for injection.
    ///
    /// # Errors
    ///
    /// It echoes a timestamp that the script never expected, unless `any_ecr`.
    pub fn live(&mut self, packet: &Packet, any_ecr: bool) -> Result<Packet> {
        let body = match &packet.body {
            Body::Icmp(icmp) => Body::Icmp(Icmp {
                quoted: icmp
                    .quoted
                    .map(|(seq, len)| (seq.wrapping_add(self.local_shift(false)), len)),
                ..icmp.clone()
            }),
            Body::Tcp(tcp) => Body::Tcp(self.live_tcp(tcp, any_ecr)?),
        };
        Ok(Packet {
            ip: packet.ip,
            body,
        })
    }

    fn live_tcp(&mut self, tcp: &Tcp, any_ecr: bool) -> Result<Tcp> {
        let mut tcp = tcp.clone();
        let syn = tcp.flags.has(Flags::SYN);
        if syn && self.remote_isn.is_none() {
            self.remote_isn = Some(tcp.seq);
        }
        let local = self.local_shift(syn);
        tcp.seq = tcp.seq.wrapping_add(self.remote_shift(syn));
        let syn_fin = u32::from(syn) + u32::from(tcp.flags.has(Flags::FIN));
        self.last_injected = Some(tcp.seq.wrapping_add(tcp.len).wrapping_add(syn_fin));
        let acks = tcp.flags.has(Flags::ACK);
        if acks || tcp.ack.is_some() {
            tcp.ack = Some(tcp.ack.unwrap_or(0).wrapping_add(local));
        }
        for option in tcp.options.iter_mut().flatten() {
            match option {
                TcpOption::Sack(blocks) => {
                    for (left, right) in blocks {
                        *left = left.wrapping_add(local);
                        *right = right.wrapping_add(local);
                    }
                }
                TcpOption::Ts { ecr, .. } if acks => match self.timestamps.get(ecr) {
                    Some(live) => *ecr = *live,
                    None if any_ecr => {
                        let (script0, live0) = self.first_timestamp.unwrap_or((0, 0));
                        *ecr = live0.wrapping_add(ecr.wrapping_sub(script0));
                    }
                    None => bail!("no packet with TS val {ecr} has been expected"),
                },
                _ => {}
            }
        }
        Ok(tcp)
    }

    /// A packet that was sent, with the script's numbers.
    pub fn script(&self, seen: &Packet) -> Packet {
        let mut packet = seen.clone();
        if let Body::Tcp(tcp) = &mut packet.body {
            let syn = tcp.flags.has(Flags::SYN);
            let remote = self.remote_shift(syn);
            tcp.seq = tcp.seq.wrapping_sub(self.local_shift(syn));
            if tcp.flags.has(Flags::ACK) {
                tcp.ack = tcp.ack.map(|ack| ack.wrapping_sub(remote));
            }
            for option in tcp.options.iter_mut().flatten() {
                if let TcpOption::Sack(blocks) = option {
                    for (left, right) in blocks {
                        *left = left.wrapping_sub(remote);
                        *right = right.wrapping_sub(remote);
                    }
                }
            }
        }
        packet
    }

    /// The RST that ends it, if anything was ever sent or injected.
    pub fn reset(&self) -> Option<Packet> {
        if self.role == Role::Listener || self.local.port() == 0 {
            return None;
        }
        let (next, acked) = self.last_sent?;
        let seq = match acked {
            0 => self.last_injected.unwrap_or(0),
            acked => acked,
        };
        Some(Packet {
            ip: Ip::default(),
            body: Body::Tcp(Tcp {
                flags: Flags::RST.with(Flags::ACK),
                seq,
                ack: Some(next),
                options: Some(Vec::new()),
                ..Tcp::default()
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::packet::notation;
    use crate::packet::wire;
    use crate::script::scanner::Scanner;

    fn packet(text: &str) -> Packet {
        let defines = HashMap::new();
        notation::packet(&mut Scanner::new(text, &defines)).unwrap()
    }

    fn passive() -> Connection {
        let at = |s: &str| s.parse().unwrap();
        Connection::new(Role::Passive, at("10.0.0.1:8080"), at("10.0.0.2:49152"))
    }

    /// What the stack sends, as it is seen.
    fn sent(connection: &Connection, text: &str) -> Seen {
        let bytes = wire::build(&packet(text), connection.local, connection.remote).unwrap();
        wire::parse(&bytes).unwrap()
    }

    #[test]
    fn live__numbers_count_from_the_initial_ones_except_in_a_syn() {
        let mut c = passive();
        let syn = c.live(&packet("S 999000:999040(40) win 9"), false).unwrap();
        assert_eq!(syn.tcp().unwrap().seq, 999_000);
        let seen = sent(&c, "S. 4294967290:4294967290(0) ack 999001 win 9");
        let expected = packet("S. 1234:1234(0) ack 999001");
        c.learn(&expected, &seen);
        let shown = c.script(&seen.packet);
        assert_eq!(shown.tcp().unwrap().seq, 1234);
        assert_eq!(shown.tcp().unwrap().ack, Some(999_001));
        let ack = c.live(&packet(". 1:1(0) ack 11 win 9 <sack 21:31,nop,nop>"), false);
        let ack = ack.unwrap();
        assert_eq!(
            ack.to_string(),
            ". 999001:999001(0) ack 5 win 9 <sack 15:25,nop,nop>"
        );
        let data = sent(
            &c,
            ". 4294967291:4(9) ack 999002 win 7 <nop,nop,sack 999011:999021>",
        );
        let data = c.script(&data.packet).tcp().unwrap().to_string();
        assert_eq!(data, ". 1:10(9) ack 2 win 7 <nop,nop,sack 11:21>");
        let icmp = c.live(&packet("icmp unreachable [7:8(1)]"), false).unwrap();
        assert_eq!(
            icmp.to_string(),
            "icmp unreachable net_unreachable [1:2(1)]"
        );
    }

    #[test]
    fn live__echoes_only_timestamps_that_were_expected() {
        let mut c = passive();
        let expected = packet("S. 0:0(0) ack 1 <TS val 100 ecr 1,nop,nop>");
        let seen = sent(&c, "S. 5:5(0) ack 1 win 1 <TS val 7000 ecr 1,nop,nop>");
        c.learn(&expected, &seen);
        c.learn_timestamp(&expected, &seen.packet, None, 0).unwrap();
        let echo = |c: &mut Connection, ecr: u32, any| {
            let text = format!(". 1:1(0) ack 1 win 1 <TS val 3 ecr {ecr},nop,nop>");
            c.live(&packet(&text), any).map(|p| matching::timestamp(&p))
        };
        assert_eq!(echo(&mut c, 100, false).unwrap(), Some((3, 7000)));
        assert!(echo(&mut c, 101, false).is_err());
        assert_eq!(echo(&mut c, 101, true).unwrap(), Some((3, 7001)));
        // A SYN may echo what it likes: it comes before there is anything to echo.
        let syn = c.live(&packet("S 0:0(0) win 1 <TS val 3 ecr 5,nop,nop>"), false);
        assert_eq!(matching::timestamp(&syn.unwrap()), Some((3, 5)));
    }

    #[test]
    fn learn_timestamp__clock_is_compared_when_the_tick_is_known() {
        let mut c = passive();
        let mut learn = |script: u32, live: u32| {
            let expected = packet(&format!(". 1:1(0) <TS val {script} ecr 0>"));
            let seen = packet(&format!(". 1:1(0) <TS val {live} ecr 0>"));
            c.learn_timestamp(&expected, &seen, Some(1000), 2000)
        };
        learn(100, 50_000).unwrap();
        learn(150, 50_052).unwrap();
        assert!(learn(200, 50_103)
            .unwrap_err()
            .to_string()
            .contains("3000 µs"));
    }
}
