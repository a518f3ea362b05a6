// SPDX-License-Identifier: GPL-2.0
//! Transfers over a link that loses, doubles, reorders and delays.

use anyhow::Context;
use anyhow::Result;
use netlab::check;
use netlab::ktap::Sysc;
use netlab::lab::End;
use netlab::payload;
use netlab::tcpinfo::TcpInfo;

use crate::case::Case;
use crate::case::Ctx;
use crate::cases::netem;

const G: &str = "netem";
const MIB: usize = 1 << 20;

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::two(G, "loss_5_percent_to_the_server", loss_up)
        .veth()
        .fresh()
        .secs(180),
    Case::two(G, "loss_5_percent_to_the_client", loss_down)
        .veth()
        .fresh()
        .secs(180),
    Case::two(G, "loss_of_acknowledgments_only", loss_acks)
        .veth()
        .fresh()
        .secs(180),
    Case::two(G, "loss_of_10_percent_both_ways", loss_heavy)
        .veth()
        .fresh()
        .secs(240),
    Case::two(G, "reordering", reorder).veth().fresh().secs(180),
    Case::two(G, "duplication", duplicate)
        .veth()
        .fresh()
        .secs(180),
    Case::two(G, "corruption_is_caught_by_the_checksum", corrupt)
        .veth()
        .fresh()
        .secs(240),
    Case::two(G, "delay_50_ms", delay).veth().fresh().secs(180),
    Case::two(G, "everything_at_once", everything)
        .veth()
        .fresh()
        .secs(240),
    Case::two(G, "handshake_and_close_under_loss", handshakes)
        .veth()
        .fresh()
        .secs(240),
];

/// Puts netem on ends that know each other. An unknown neighbour is given up after three requests without an
/// answer (`mcast_solicit`), which one connection in a hundred would meet at a loss of 20 percent.
fn impair<const N: usize>(ctx: &Ctx, ends: [&End; N], how: &str) -> Result<()> {
    let _ = ctx.connected().context("before any loss")?;
    ends.into_iter().try_for_each(|end| netem(end, how))
}

fn loss_up(ctx: &Ctx) -> Result<()> {
    impair(ctx, [&ctx.lab.a, &ctx.lab.b], "loss 5% limit 10000")?;
    let (client, server) = ctx.connected()?;
    payload::transfer(&client, &server, 1, 4 * MIB)?;
    let again = TcpInfo::of(&client).sys("TCP_INFO")?.total_retrans();
    check!(
        again.is_some_and(|n| n > 20),
        "total_retrans {again:?} in spite of the loss"
    );
    Ok(())
}

fn loss_down(ctx: &Ctx) -> Result<()> {
    impair(ctx, [&ctx.lab.a, &ctx.lab.b], "loss 5% limit 10000")?;
    let (client, server) = ctx.connected()?;
    payload::transfer(&server, &client, 2, 4 * MIB)
}

fn loss_acks(ctx: &Ctx) -> Result<()> {
    impair(ctx, [&ctx.lab.b], "loss 20% limit 10000")?;
    let (client, server) = ctx.connected()?;
    payload::transfer(&client, &server, 3, 4 * MIB)
}

fn loss_heavy(ctx: &Ctx) -> Result<()> {
    impair(ctx, [&ctx.lab.a, &ctx.lab.b], "loss 10% limit 10000")?;
    let (client, server) = ctx.connected()?;
    payload::transfer(&client, &server, 4, MIB / 16)
}

fn reorder(ctx: &Ctx) -> Result<()> {
    impair(
        ctx,
        [&ctx.lab.a, &ctx.lab.b],
        "delay 5ms reorder 75% 50% limit 10000",
    )?;
    let (client, server) = ctx.connected()?;
    payload::exchange(&client, &server, 5, 2 * MIB)
}

fn duplicate(ctx: &Ctx) -> Result<()> {
    impair(ctx, [&ctx.lab.a], "duplicate 20% limit 10000")?;
    let (client, server) = ctx.connected()?;
    payload::exchange(&client, &server, 6, 2 * MIB)
}

/// netem flips one bit after the checksum has been put in.
fn corrupt(ctx: &Ctx) -> Result<()> {
    impair(ctx, [&ctx.lab.a, &ctx.lab.b], "corrupt 3% limit 10000")?;
    let (client, server) = ctx.connected()?;
    payload::exchange(&client, &server, 7, MIB)
}

fn delay(ctx: &Ctx) -> Result<()> {
    impair(ctx, [&ctx.lab.a, &ctx.lab.b], "delay 25ms limit 10000")?;
    let (client, server) = ctx.connected()?;
    payload::exchange(&client, &server, 8, 2 * MIB)?;
    let info = TcpInfo::of(&client).sys("TCP_INFO")?;
    check!(
        info.min_rtt().is_some_and(|t| t >= 45_000),
        "min_rtt {:?} µs",
        info.min_rtt()
    );
    Ok(())
}

fn everything(ctx: &Ctx) -> Result<()> {
    impair(
        ctx,
        [&ctx.lab.a, &ctx.lab.b],
        "delay 5ms 2ms loss 2% duplicate 2% reorder 10% corrupt 0.5% limit 10000",
    )?;
    let (client, server) = ctx.connected()?;
    payload::exchange(&client, &server, 9, MIB)
}

/// Every segment of the handshake and of the end is lost now and then; no connection may hang.
fn handshakes(ctx: &Ctx) -> Result<()> {
    impair(ctx, [&ctx.lab.a, &ctx.lab.b], "loss 10% limit 10000")?;
    let (l, addr) = ctx.listener(64)?;
    std::thread::scope(|s| {
        // Side by side: a lost SYN costs a second.
        let clients: Vec<_> = (0..24u64)
            .map(|seed| {
                s.spawn(move || -> Result<()> {
                    let c = ctx.tcp()?;
                    c.connect(addr).sys("connect")?;
                    c.send_all(&payload::Stream::new(seed).bytes(100))
                        .sys("send")?;
                    c.shutdown(netlab::c::SHUT_WR).sys("SHUT_WR")?;
                    let back = c.recv_to_end().sys("recv")?;
                    check!(
                        back == payload::Stream::new(seed).bytes(100),
                        "echo differs"
                    );
                    Ok(())
                })
            })
            .collect();
        let servers: Vec<_> = (0..24)
            .map(|_| {
                s.spawn(|| -> Result<()> {
                    let conn = l.accept().sys("accept")?;
                    let data = conn.recv_to_end().sys("recv")?;
                    conn.send_all(&data).sys("send")
                })
            })
            .collect();
        let mut all = Ok(());
        for t in clients.into_iter().chain(servers) {
            all = all.and(t.join().expect("no panic"));
        }
        all
    })
}
