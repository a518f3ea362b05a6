// SPDX-License-Identifier: GPL-2.0
//! Frames at random, always the same ones.

use anyhow::Result;
use netlab::check;
use netlab::frame::ethernet;
use netlab::frame::spoil_tcp;
use netlab::ktap::Sysc;
use netlab::payload;
use netlab::payload::Stream;
use netlab::tap::ETH_P_IP;

use super::Attack;
use super::G;
use crate::case::Case;
use crate::case::Ctx;

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::two(G, "fuzz_frames_beside_a_transfer", frames)
        .veth()
        .secs(240),
    Case::two(G, "fuzz_arp", arp).veth(),
    Case::two(G, "fuzz_icmp_about_the_connection", icmp).veth(),
];

/// A right segment of the connection with a few bytes changed, or nothing right at all; meanwhile the
/// connection carries a megabyte.
///
/// Changed segments keep a wrong checksum nine times in ten. The tenth has it right: it may then do
/// what a peer may do, so it goes to another port and cannot harm the connection.
fn frames(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    let (l, addr) = ctx.listener(64)?;
    let t = attack.forged()?;
    let template = t.packet();
    let mut stream = Stream::new(0x5eed);
    std::thread::scope(|s| {
        let carried = s.spawn(|| payload::exchange(&attack.client, &attack.server, 3, 1 << 20));
        for i in 0..100_000.min(ctx.args.frames) {
            let packet = match i % 10 {
                0 => {
                    let mut seg = t.clone();
                    seg.dst = addr;
                    seg.src.set_port(1024 + stream.below(60_000) as u16);
                    seg.flags = stream.next_u64() as u8;
                    seg.seq = stream.next_u64() as u32;
                    seg.ack = stream.next_u64() as u32;
                    let n = stream.below(41) as usize;
                    seg.options = stream.bytes(n);
                    seg.packet()
                }
                1 | 2 => {
                    let n = stream.below(1500) as usize;
                    stream.bytes(n)
                }
                _ => {
                    let mut p = template.clone();
                    // Beyond the ports, so that it is still the connection's.
                    for _ in 0..1 + stream.below(6) {
                        let at = 24 + stream.below(p.len() as u64 - 24) as usize;
                        p[at] ^= 1 + stream.below(255) as u8;
                    }
                    // Several changes may cancel out.
                    spoil_tcp(&mut p, i as u16);
                    p
                }
            };
            attack.shoot(&packet)?;
        }
        carried.join().expect("no panic")
    })?;
    ctx.connect_to(&l, addr)?;
    attack.survived(&["TCP_CSUM"], 1000)
}

fn arp(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    let lab = &ctx.lab;
    let mut stream = Stream::new(0xa4b);
    let asked = (lab.b.mac, lab.b.ip.octets());
    let right = netlab::frame::arp(1, (lab.a.mac, lab.a.ip.octets()), asked);
    for i in 0..5000.min(ctx.args.frames as usize) {
        let mut a = right.clone();
        // Not the sender's address: a lie about that is believed by design.
        let at = [0, 1, 2, 3, 4, 5, 6, 7][i % 8];
        a[at] = stream.next_u64() as u8;
        if i % 3 == 0 {
            a.truncate(stream.below(28) as usize);
        }
        attack
            .tap
            .send(&ethernet(lab.b.mac, lab.a.mac, 0x0806, &a))
            .sys("send(AF_PACKET)")?;
    }
    attack.survived(&[], 0)
}

/// RFC 5927: errors that quote the connection, with sequence numbers that it never used, are ignored.
fn icmp(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    let (me, peer) = attack.names()?;
    // Quoted is what the attacked end would have sent.
    let mut quoted = netlab::frame::Tcp::new(peer, me, 16);
    for i in 0..2000.min(ctx.args.frames) {
        quoted.seq = 0x1234_5678u32.wrapping_add(i << 16);
        let inner = quoted.packet();
        let (ty, code) = [
            (3, 0),
            (3, 1),
            (3, 2),
            (3, 3),
            (3, 4),
            (11, 0),
            (12, 0),
            (4, 0),
        ][i as usize % 8];
        let cut = 1 + (i as usize * 7) % inner.len();
        let m = netlab::frame::icmp(ty, code, [0, 0, 0, 68], &inner[..cut]);
        let src = ctx.lab.a.ip.octets();
        let p = netlab::frame::Ipv4::new(src, ctx.lab.b.ip.octets(), 1).build(&m);
        attack
            .tap
            .send(&ethernet(ctx.lab.b.mac, ctx.lab.a.mac, ETH_P_IP, &p))
            .sys("send")?;
    }
    let mss = netlab::tcpinfo::TcpInfo::of(&attack.server)
        .sys("TCP_INFO")?
        .snd_mss();
    check!(mss.is_some_and(|m| m >= 500), "snd_mss fell to {mss:?}");
    attack.survived(&[], 0)
}
