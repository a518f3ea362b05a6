// SPDX-License-Identifier: GPL-2.0
//! Frames that no honest peer sends, put on the wire by hand.
//!
//! Every case runs a connection beside the attack and checks at the end that it still carries data
//! unharmed, and, for RustNet, that the drops were counted under their names. The attacked end is
//! always `b`; frames come from `a`'s device.

mod fuzz;
mod ip;
mod rfc5961;
mod tcp;

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use anyhow::bail;
use anyhow::Result;
use netlab::check;
use netlab::frame::ethernet;
use netlab::frame::flag;
use netlab::frame::Ipv4;
use netlab::frame::Segment;
use netlab::frame::Tcp;
use netlab::kstate;
use netlab::ktap::Sysc;
use netlab::payload;
use netlab::tap::Tap;
use netlab::tap::ETH_P_ALL;
use netlab::tap::ETH_P_IP;
use netlab::Sock;

use crate::case::Case;
use crate::case::Ctx;

const G: &str = "hostile";

/// The cases of this directory.
pub fn cases() -> Vec<Case> {
    [ip::CASES, tcp::CASES, rfc5961::CASES, fuzz::CASES].concat()
}

/// An attack in progress: a connection to look after, and a tap to shoot from.
pub struct Attack<'a> {
    ctx: &'a Ctx,
    /// The client's end of the connection that must survive.
    pub client: Sock,
    /// The attacked end of it.
    pub server: Sock,
    /// Where frames are put on the wire.
    pub tap: Tap,
    before: BTreeMap<String, u64>,
}

impl<'a> Attack<'a> {
    /// Opens the connection and the tap.
    pub fn new(ctx: &'a Ctx) -> Result<Self> {
        let (client, server) = ctx.connected()?;
        payload::exchange(&client, &server, 1, 10_000)?;
        let tap = Tap::new(&ctx.lab.a, ETH_P_ALL)?;
        let before = stats(ctx)?;
        Ok(Attack {
            ctx,
            client,
            server,
            tap,
            before,
        })
    }

    /// The client's address and the server's.
    pub fn names(&self) -> Result<(SocketAddrV4, SocketAddrV4)> {
        Ok((
            self.client.local().sys("name")?,
            self.client.peer().sys("name")?,
        ))
    }

    /// Puts an IPv4 packet on the wire, towards `b`.
    pub fn shoot(&self, packet: &[u8]) -> Result<()> {
        let lab = &self.ctx.lab;
        self.tap
            .send(&ethernet(lab.b.mac, lab.a.mac, ETH_P_IP, packet))
            .sys("send(AF_PACKET)")
    }

    /// A TCP segment as IPv4 around it would be.
    pub fn wrap(&self, tcp: &Tcp) -> Ipv4 {
        Ipv4::new(tcp.src.ip().octets(), tcp.dst.ip().octets(), 6)
    }

    /// A segment of the connection, as the client would send it next: learned from the wire.
    pub fn forged(&self) -> Result<Tcp> {
        let (me, peer) = self.names()?;
        drop(self.tap.drain()?);
        self.client.send_all(b"!").sys("send")?;
        self.server.recv_exact(&mut [0; 1]).sys("recv")?;
        let ours: Segment = self.tap.find("a segment of the connection", |_, f| {
            f.tcp()
                .filter(|s| s.src == me && s.dst == peer && s.len == 1)
        })?;
        let mut t = Tcp::new(me, peer, flag::ACK);
        t.seq = ours.seq.wrapping_add(1);
        t.ack = ours.ack;
        t.window = ours.window;
        if let Some(ts) = ours.option(8) {
            t.options = [&[1, 1, 8, 10], ts].concat();
        }
        Ok(t)
    }

    /// The last TCP segments of the wire, for a message.
    pub fn last_seen(&self, n: usize) -> Result<String> {
        let all = self.tap.drain()?;
        let lines: Vec<String> = all
            .iter()
            .filter_map(|(way, f)| Some((way, f.tcp()?)))
            .map(|(way, s)| {
                let Segment {
                    seq,
                    ack,
                    flags,
                    window,
                    len,
                    ..
                } = s;
                format!("{way:?} {flags:#04x} seq {seq} len {len} ack {ack} win {window}")
            })
            .collect();
        Ok(lines[lines.len().saturating_sub(n)..].join("\n"))
    }

    /// The connection must still work; the counters must have grown, in RustNet's namespace.
    ///
    /// `drops` are alternatives, for layers may share the work: at least `least` of their sum.
    pub fn survived(&self, drops: &[&str], least: u64) -> Result<()> {
        payload::exchange(&self.client, &self.server, 2, 100_000)?;
        if !self.ctx.server.is_rustnet() || drops.is_empty() {
            return Ok(());
        }
        let after = stats(self.ctx)?;
        let grown = |name: &str| {
            let get = |m: &BTreeMap<String, u64>| m.get(name).copied().unwrap_or(0);
            get(&after) - get(&self.before)
        };
        let sum: u64 = drops.iter().map(|d| grown(&format!("drop.{d}"))).sum();
        if sum < least {
            let all: Vec<String> = after
                .keys()
                .filter(|k| grown(k) > 0)
                .map(|k| format!("{k} +{}", grown(k)))
                .collect();
            bail!(
                "{drops:?} grew by {sum}, at least {least} expected; grown: {}",
                all.join(", ")
            );
        }
        Ok(())
    }
}

fn stats(ctx: &Ctx) -> Result<BTreeMap<String, u64>> {
    if !ctx.server.is_rustnet() {
        return Ok(BTreeMap::new());
    }
    let stats = kstate::rustnet_stat(&ctx.lab.b.ns)?;
    check!(!stats.is_empty(), "/proc/net/rustnet/stat has no counters");
    Ok(stats)
}
