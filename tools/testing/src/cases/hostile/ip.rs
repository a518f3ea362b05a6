// SPDX-License-Identifier: GPL-2.0
//! Malformed IPv4 headers (FEATURES R33 to R35), aimed at the connection's own port so that the flow
//! is RustNet's even where everything else is the host's.

use anyhow::Result;
use netlab::frame::ethernet;
use netlab::frame::Ipv4;
use netlab::ktap::Sysc;
use netlab::tap::ETH_P_IP;

use super::Attack;
use super::G;
use crate::case::Case;
use crate::case::Ctx;

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::two(G, "ip_truncated_frames", truncated).veth(),
    Case::two(G, "ip_bad_header_length", header_length).veth(),
    Case::two(G, "ip_bad_version", version).veth(),
    Case::two(G, "ip_bad_total_length", total_length).veth(),
    Case::two(G, "ip_bad_checksum", checksum).veth(),
    Case::two(G, "ip_odd_sources", sources).veth(),
    Case::two(G, "ip_source_route", source_route).veth(),
    Case::two(G, "ip_options_of_every_shape", options).veth(),
    Case::two(G, "ip_fragments_that_overlap", fragments).veth(),
];

/// In coexist mode a packet that cannot be told to be RustNet's stays the host's, so nothing is
/// counted there; in replace mode everything is.
fn names<'a>(ctx: &Ctx, all: &'a [&'a str]) -> &'a [&'a str] {
    if ctx.args.mode == "replace" {
        all
    } else {
        &[]
    }
}

fn truncated(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    let whole = {
        let t = attack.forged()?;
        attack.wrap(&t).build(&t.build())
    };
    for cut in 0..whole.len() {
        attack.shoot(&whole[..cut])?;
    }
    attack.survived(
        names(
            ctx,
            &["IP_INHDR", "PKT_TOO_SMALL", "HDR_TRUNC", "RUSTNET_TCP_HDR"],
        ),
        20,
    )
}

fn header_length(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    let t = attack.forged()?;
    for ihl in [0, 1, 2, 3, 4, 14, 15] {
        let mut ip = attack.wrap(&t);
        ip.ihl = Some(ihl);
        attack.shoot(&ip.build(&t.build()[..20]))?;
    }
    attack.survived(
        names(ctx, &["IP_INHDR", "IP_CSUM", "PKT_TOO_SMALL", "HDR_TRUNC"]),
        5,
    )
}

fn version(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    let t = attack.forged()?;
    for version in (0..16).filter(|v| *v != 4) {
        let mut ip = attack.wrap(&t);
        ip.version = version;
        attack.shoot(&ip.build(&t.build()))?;
    }
    attack.survived(names(ctx, &["IP_INHDR"]), 15)
}

fn total_length(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    let t = attack.forged()?;
    let body = t.build();
    let right = 20 + body.len() as u16;
    for total in [0, 1, 19, 20, right - 1, right + 1, 9999, 65535] {
        let mut ip = attack.wrap(&t);
        ip.total = Some(total);
        attack.shoot(&ip.build(&body))?;
    }
    let all = [
        "IP_INHDR",
        "PKT_TOO_SMALL",
        "HDR_TRUNC",
        "RUSTNET_TCP_HDR",
        "TCP_CSUM",
    ];
    attack.survived(names(ctx, &all), 4)
}

fn checksum(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    let t = attack.forged()?;
    for bit in 0..16 {
        let mut packet = attack.wrap(&t).build(&t.build());
        packet[10 + bit / 8] ^= 1 << (bit % 8);
        attack.shoot(&packet)?;
    }
    attack.survived(names(ctx, &["IP_CSUM"]), 16)
}

fn sources(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    let t = attack.forged()?;
    let dst = ctx.lab.b.ip.octets();
    // Loopback, broadcast, multicast, reserved, zero, and LAND: the victim's own address.
    let odd = [
        [127, 0, 0, 1],
        [255; 4],
        [224, 0, 0, 1],
        [240, 1, 1, 1],
        [0; 4],
        dst,
    ];
    for src in odd {
        let mut forged = t.clone();
        forged.src.set_ip(src.into());
        forged.src.set_port(forged.dst.port());
        forged.flags = netlab::frame::flag::SYN;
        attack.shoot(&Ipv4::new(src, dst, 6).build(&forged.build()))?;
    }
    let all = [
        "IP_INVALID_SOURCE",
        "IP_LOCALNET",
        "IP_LOCAL_SOURCE",
        "IP_RPFILTER",
    ];
    attack.survived(names(ctx, &all), 4)
}

fn source_route(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    let t = attack.forged()?;
    for kind in [131, 137] {
        let mut ip = attack.wrap(&t);
        ip.options = vec![kind, 7, 4, 10, 77, 0, 1, 0];
        attack.shoot(&ip.build(&t.build()))?;
    }
    attack.survived(names(ctx, &["RUSTNET_IP_SOURCE_ROUTE", "IP_INHDR"]), 2)
}

/// Any bytes at all where options may stand.
fn options(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    let t = attack.forged()?;
    let mut stream = netlab::payload::Stream::new(33);
    for round in 0..2000 {
        let mut ip = attack.wrap(&t);
        ip.options = stream.bytes(4 * (1 + round % 10));
        // Half of them begin like a real option.
        if round % 2 == 0 {
            ip.options[0] = [7, 68, 131, 137, 148, 0, 1][round % 7];
        }
        let mut probe = t.clone();
        // Out of window, so that whatever gets through is no data.
        probe.seq = probe.seq.wrapping_sub(100_000);
        attack.shoot(&ip.build(&probe.build()))?;
    }
    attack.survived(&[], 0)
}

/// Fragments with every overlap of RFC 815's drawing, and one that would end past 65,535.
fn fragments(ctx: &Ctx) -> Result<()> {
    let attack = Attack::new(ctx)?;
    let t = attack.forged()?;
    let more = 0x2000;
    let sets: [&[(u16, usize, bool)]; 6] = [
        &[(0, 16, true), (1, 16, false)],
        &[(0, 32, true), (1, 8, true), (4, 8, false)],
        &[(1, 8, false), (0, 16, true)],
        &[(0, 13, true), (2, 8, false)],
        &[(8189, 64, false), (0, 8, true)],
        &[(0, 0, true), (0, 0, false)],
    ];
    for (id, set) in sets.iter().enumerate() {
        for &(offset, len, mf) in *set {
            let mut ip = attack.wrap(&t);
            ip.id = 1000 + id as u16;
            ip.frag = offset | if mf { more } else { 0 };
            attack.shoot(&ip.build(&vec![0x41; len]))?;
        }
    }
    // A broken Ethernet frame ends the list: a header and nothing else.
    let lab = &ctx.lab;
    attack
        .tap
        .send(&ethernet(lab.b.mac, lab.a.mac, ETH_P_IP, &[]))
        .sys("send(AF_PACKET)")?;
    attack.survived(&[], 0)
}
