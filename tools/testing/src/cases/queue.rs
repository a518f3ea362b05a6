// SPDX-License-Identifier: GPL-2.0
//! What a connection may have in the queues of its own host, and when its packets leave.

use std::time::Duration;
use std::time::Instant;

use anyhow::Result;
use netlab::check;
use netlab::ktap::skip;
use netlab::ktap::Sysc;
use netlab::payload;
use netlab::Sock;
use uapi::c;

use crate::case::Case;
use crate::case::Ctx;

const G: &str = "queue";

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::two(G, "limit_output_bytes", limit_output)
        .veth()
        .fresh()
        .secs(120),
    Case::two(G, "max_pacing_rate_without_fq", max_pacing_rate)
        .veth()
        .secs(120),
    Case::two(G, "max_pacing_rate_with_fq", max_pacing_rate_fq)
        .veth()
        .fresh()
        .secs(120),
    Case::two(G, "reset_while_paced", reset_while_paced),
];

/// Bytes of packets that are on their way out of this host (SK_MEMINFO_WMEM_ALLOC).
fn on_their_way(sock: &Sock) -> Result<u32> {
    let all = sock
        .getsockopt(c::SOL_SOCKET, c::SO_MEMINFO, 36)
        .sys("SO_MEMINFO")?;
    Ok(u32::from_ne_bytes(all[8..12].try_into()?))
}

/// A slow device with a long queue: whatever the window allows, no more lies there than the namespace says,
/// and one packet.
fn limit_output(ctx: &Ctx) -> Result<()> {
    const TOTAL: usize = 2 << 20;
    let end = &ctx.lab.a;
    let dev = &end.dev;
    end.ns.sysctl("net/ipv4/tcp_limit_output_bytes", "65536")?;
    let (client, server) = ctx.connected()?;
    // Slow start until something is lost, and nothing is.
    client
        .setsockopt(c::IPPROTO_TCP, c::TCP_CONGESTION, b"reno")
        .sys("TCP_CONGESTION")?;
    let tbf = format!("qdisc replace dev {dev} root tbf rate 20mbit burst 100kb limit 8mb");
    match end.ns.tc(&tbf) {
        Err(e) if format!("{e:#}").contains("unknown") => {
            return Err(skip("the kernel has no tbf"))
        }
        other => other?,
    }
    let data = payload::Stream::new(1).bytes(TOTAL);
    let mut most = 0;
    std::thread::scope(|s| -> Result<()> {
        let reader = s.spawn(|| -> Result<bool> {
            let mut got = vec![0; TOTAL];
            server.recv_exact(&mut got).sys("recv")?;
            Ok(got == data)
        });
        for chunk in data.chunks(16_384) {
            client.send_all(chunk).sys("send")?;
            most = most.max(on_their_way(&client)?);
        }
        check!(reader.join().expect("no panic")?, "data differ");
        Ok(())
    })?;
    check!(
        (16_384..200_000).contains(&most),
        "{most} bytes were on their way"
    );
    Ok(())
}

/// Two megabytes at two megabytes a second take a second, less what may go at once: ten segments, and the
/// packets that are on their way when it begins.
fn paced_transfer(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    client
        .set(c::SOL_SOCKET, c::SO_MAX_PACING_RATE, 2_000_000)
        .sys("SO_MAX_PACING_RATE")?;
    let start = Instant::now();
    payload::transfer(&client, &server, 2, 2_000_000)?;
    let took = start.elapsed();
    check!(took > Duration::from_millis(850), "took {took:?}");
    Ok(())
}

fn max_pacing_rate(ctx: &Ctx) -> Result<()> {
    paced_transfer(ctx)
}

fn max_pacing_rate_fq(ctx: &Ctx) -> Result<()> {
    let dev = &ctx.lab.a.dev;
    match ctx.lab.a.ns.tc(&format!("qdisc replace dev {dev} root fq")) {
        Err(e) if format!("{e:#}").contains("unknown") => return Err(skip("the kernel has no fq")),
        other => other?,
    }
    paced_transfer(ctx)
}

/// At a byte a second the packet behind the eleventh has its time in minutes: a reset does not wait for it,
/// and nothing of the socket stays until then.
fn reset_while_paced(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    client
        .set(c::SOL_SOCKET, c::SO_MAX_PACING_RATE, 1)
        .sys("SO_MAX_PACING_RATE")?;
    client.nodelay(true).sys("TCP_NODELAY")?;
    for _ in 0..30 {
        client.send_all(&[7; 100]).sys("send")?;
    }
    server.recv_exact(&mut [0; 1000]).sys("recv")?;
    client.linger(true, 0).sys("SO_LINGER")?;
    drop(client);
    server.await_events(c::POLLHUP).sys("poll")?;
    check!(
        server.take_error().sys("SO_ERROR")? == c::ECONNRESET,
        "no reset"
    );
    Ok(())
}
