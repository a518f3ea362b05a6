// SPDX-License-Identifier: GPL-2.0
//! Packets in and out.

use anyhow::bail;
use anyhow::Context;
use anyhow::Result;
use uapi::c;

use super::Due;
use super::Run;
use crate::clock;
use crate::connection::Connection;
use crate::connection::Role;
use crate::packet::matching;
use crate::packet::wire;
use crate::packet::wire::Seen;
use crate::packet::Ecn;
use crate::packet::Flags;
use crate::packet::Packet;
use crate::script::Event;
use crate::script::Usec;

/// How much longer than expected a packet is waited for.
const PATIENCE: Usec = 2_000_000;
/// How long a packet is waited for whose time does not matter.
const ANY_TIME: Usec = 10_000_000;

impl Run<'_> {
    /// Lets a packet come in.
    pub(super) fn inject(&mut self, event: &Event, packet: &Packet) -> Result<()> {
        let current = self.target(packet)?;
        let connection = &mut self.connections[current];
        let live = connection.live(packet, self.settings.tcp_ts_ecr_scaled)?;
        let (src, dst) = (connection.remote, connection.local);
        let bytes = wire::build(&live, src, dst)?;
        self.exchange
            .note(event.line, clock::now(), format!("< {packet}"));
        self.net.tun.inject(&bytes, self.settings.mss)?;
        if self.blocked.is_some() {
            // Who waits for this packet may go first.
            let _ = uapi::sched_yield();
        }
        Ok(())
    }

    /// The connection that an injected packet is for; a SYN to a listener makes a new one.
    fn target(&mut self, packet: &Packet) -> Result<usize> {
        let current = self.current.context("there is no socket for this packet")?;
        let connection = &self.connections[current];
        if connection.role != Role::Listener {
            return Ok(current);
        }
        let is_syn = packet
            .tcp()
            .is_some_and(|t| t.flags.has(Flags::SYN) && !t.flags.has(Flags::ACK));
        if !is_syn {
            bail!("the listening socket has no connection for this packet");
        }
        let mut remote = self.remote;
        remote.set_port(self.next_port);
        self.next_port = self
            .next_port
            .checked_add(1)
            .context("too many connections")?;
        Ok(self.add(Connection::new(Role::Passive, connection.local, remote)))
    }

    /// Makes a connection the one under test.
    pub(super) fn add(&mut self, connection: Connection) -> usize {
        self.connections.push(connection);
        let index = self.connections.len() - 1;
        self.current = Some(index);
        index
    }

    /// Writes a packet with live numbers that ends a connection.
    pub(super) fn put(&mut self, live: &Packet, connection: &Connection) -> Result<()> {
        let bytes = wire::build(live, connection.remote, connection.local)?;
        self.net.tun.inject(&bytes, None)
    }

    /// Waits for a packet and compares it.
    pub(super) fn expect(&mut self, event: &Event, expected: &Packet, due: &Due) -> Result<()> {
        let current = self
            .current
            .context("there is no socket that could send this")?;
        let until = match due.window {
            Some((_, to)) => to.max(clock::now()) + PATIENCE,
            None => clock::now() + ANY_TIME,
        };
        let want = |seconds: &str| format!("\n  expected: > {expected}{seconds}");
        let Some((time, mut seen)) = self.next(until)? else {
            bail!(
                "no packet within {} s{}",
                clock::seconds(until - due.base),
                want("")
            );
        };
        self.connections[current].learn(expected, &seen);
        self.join(expected, &mut seen)?;
        let connection = &self.connections[current];
        let actual = connection.script(&seen.packet);
        let shown = self.show(&seen);
        let mut wrong = seen.flaws.clone();
        let differences = matching::differences(expected, &actual);
        if !differences.is_empty() {
            wrong.push(format!("it differs in {}", differences.join(", ")));
        }
        self.exchange.note(event.line, time, shown.clone());
        let tolerance = self.settings.tolerance();
        let tick = self.settings.tcp_ts_tick_usecs;
        if wrong.is_empty() {
            let connection = &mut self.connections[current];
            let learned = connection.learn_timestamp(expected, &seen.packet, tick, tolerance);
            wrong.extend(learned.err().map(|e| e.to_string()));
        }
        wrong.extend(self.on_time(due, time).err().map(|e| e.to_string()));
        if wrong.is_empty() {
            return Ok(());
        }
        let at = format!("   at {}", clock::seconds(time - self.start));
        bail!("{}{}\n  seen:     {shown}{at}", wrong.join("; "), want(""));
    }

    /// A packet that was sent, in the script's notation.
    pub(super) fn show(&self, seen: &Seen) -> String {
        let connection = self.current.map(|at| &self.connections[at]);
        let mut packet = match connection {
            Some(connection) => connection.script(&seen.packet),
            None => seen.packet.clone(),
        };
        packet.ip.tos = None;
        packet.ip.ttl = None;
        packet.ip.ecn = packet.ip.ecn.filter(|e| *e != Ecn::NotEct);
        format!("> {packet}")
    }

    /// Joins segments to the first one, as long as more is expected.
    fn join(&mut self, expected: &Packet, seen: &mut Seen) -> Result<()> {
        let lengths = |seen: &Seen| {
            (
                expected.tcp().map(|t| t.len),
                seen.packet.tcp().map(|t| t.len),
            )
        };
        let (Some(wanted), Some(unit)) = lengths(seen) else {
            return Ok(());
        };
        if self.settings.strict_segments || unit == 0 {
            return Ok(());
        }
        while seen.packet.tcp().is_some_and(|t| t.len < wanted) {
            let Some((time, next)) = self.next(clock::now() + self.settings.tolerance())? else {
                break;
            };
            if !matching::join(&mut seen.packet, &next.packet, unit) {
                self.captured.push_front((time, next));
                break;
            }
            seen.flaws.extend(next.flaws);
        }
        Ok(())
    }

    /// The next packet of the connection under test.
    fn next(&mut self, until: Usec) -> Result<Option<(Usec, Seen)>> {
        loop {
            if self.captured.is_empty() {
                self.capture()?;
            }
            while let Some((time, seen)) = self.captured.pop_front() {
                // It may have been captured when another connection was the one under test.
                if self.is_ours(&seen) {
                    return Ok(Some((time, seen)));
                }
            }
            let left = until - clock::now();
            if left <= 0 {
                return Ok(None);
            }
            let mut fds = [c::pollfd {
                fd: self.net.sniffer.fd(),
                events: c::POLLIN,
                revents: 0,
            }];
            let ms = left.div_euclid(1000) + 1;
            let _ = uapi::poll(&mut fds, ms.try_into().unwrap_or(i32::MAX));
        }
    }

    /// Whether a packet is of the connection under test.
    fn is_ours(&self, seen: &Seen) -> bool {
        self.current
            .is_some_and(|at| self.connections[at].sent(seen))
    }

    /// Takes what was captured meanwhile, and forgets what other connections have sent.
    pub(super) fn capture(&mut self) -> Result<()> {
        self.net.tun.drain();
        while let Some((time, bytes)) = self.net.sniffer.next()? {
            let Some(seen) = wire::parse(&bytes) else {
                continue;
            };
            let ours = self
                .current
                .is_some_and(|at| self.connections[at].sent(&seen));
            if ours {
                self.captured.push_back((time, seen));
            }
        }
        Ok(())
    }
}
