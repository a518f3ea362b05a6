// SPDX-License-Identifier: GPL-2.0
//! A connection as the script sees it, and the translation between its numbers and the live ones.
//!
//! The stack under test chooses its initial sequence number and its timestamps; the script wrote down
//! others. The first SYN or SYN-ACK that is expected ties the two together. The remote host's numbers
//! need no translation, for the runner plays it by the script.

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
    /// The end at the stack under test; port 0 until its first packet shows it.
    pub local: SocketAddrV4,
    /// The end that the runner plays.
    pub remote: SocketAddrV4,
    /// Live minus script sequence numbers of the local end.
    shift: Option<u32>,
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
            local,
            remote,
            shift: None,
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

    /// Forgets what packets have told: the socket was disconnected.
    pub fn disconnect(&mut self) {
        let mut local = self.local;
        local.set_port(0);
        let fd = self.fd;
        *self = Connection::new(Role::Active, local, self.remote);
        self.fd = fd;
    }

    /// Learns from the first packets, before they are compared.
    pub fn learn(&mut self, expected: &Packet, seen: &Seen) {
        self.local = seen.src;
        let (Some(e), Some(s)) = (expected.tcp(), seen.packet.tcp()) else {
            return;
        };
        if e.flags.has(Flags::SYN) && s.flags.has(Flags::SYN) && self.shift.is_none() {
            self.shift = Some(s.seq.wrapping_sub(e.seq));
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

    fn to_live(&self, script: u32) -> u32 {
        script.wrapping_add(self.shift.unwrap_or(0))
    }

    fn to_script(&self, live: u32) -> u32 {
        live.wrapping_sub(self.shift.unwrap_or(0))
    }

    /// The script's packet, with live numbers, for injection.
    ///
    /// # Errors
    ///
    /// It echoes a timestamp that the script never expected, unless `any_ecr`.
    pub fn live(&mut self, packet: &Packet, any_ecr: bool) -> Result<Packet> {
        let body = match &packet.body {
            Body::Icmp(icmp) => Body::Icmp(Icmp {
                quoted: icmp.quoted.map(|(seq, len)| (self.to_live(seq), len)),
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
        let syn_fin = u32::from(tcp.flags.has(Flags::SYN)) + u32::from(tcp.flags.has(Flags::FIN));
        self.last_injected = Some(tcp.seq.wrapping_add(tcp.len).wrapping_add(syn_fin));
        let acks = tcp.flags.has(Flags::ACK);
        if acks || tcp.ack.is_some() {
            tcp.ack = Some(self.to_live(tcp.ack.unwrap_or(0)));
        }
        for option in tcp.options.iter_mut().flatten() {
            match option {
                TcpOption::Sack(blocks) => {
                    for (left, right) in blocks {
                        *left = self.to_live(*left);
                        *right = self.to_live(*right);
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
            tcp.seq = self.to_script(tcp.seq);
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
