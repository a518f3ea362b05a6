// SPDX-License-Identifier: GPL-2.0
//! Many connections, and many in a short time.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use anyhow::Context;
use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::ktap::Sysc;
use netlab::payload::Stream;
use netlab::Sock;

use crate::case::Case;
use crate::case::Ctx;

const G: &str = "load";

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::two(G, "1000_connections_with_data", thousand).secs(180),
    Case::two(G, "connect_and_close_storm", storm).secs(180),
    Case::two(G, "four_threads_accept_from_one_listener", four_accept).secs(120),
    Case::two(G, "reset_storm", reset_storm).secs(120),
    Case::one(G, "five_thousand_idle_sockets", idle).secs(120),
];

fn room_for(files: u64) -> Result<()> {
    let now = uapi::getrlimit(c::RLIMIT_NOFILE as i32).sys("RLIMIT_NOFILE")?;
    if now.rlim_cur >= files {
        return Ok(());
    }
    let limit = c::rlimit {
        rlim_cur: files,
        rlim_max: now.rlim_max.max(files),
    };
    uapi::setrlimit(c::RLIMIT_NOFILE as i32, &limit).sys("RLIMIT_NOFILE")
}

/// All open at once; each carries its own bytes there and back.
fn thousand(ctx: &Ctx) -> Result<()> {
    room_for(5000)?;
    let (l, addr) = ctx.listener(1024)?;
    let mut pairs = Vec::new();
    for i in 0..1000 {
        pairs.push(
            ctx.connect_to(&l, addr)
                .with_context(|| format!("connection {i}"))?,
        );
    }
    let len = 2000;
    for (i, (client, _)) in pairs.iter().enumerate() {
        client
            .send_all(&Stream::new(i as u64).bytes(len))
            .sys("send")?;
    }
    let mut buf = vec![0; len];
    for (i, (_, server)) in pairs.iter().enumerate() {
        server.recv_exact(&mut buf).sys("recv")?;
        check!(
            buf == Stream::new(i as u64).bytes(len),
            "connection {i} has another's data"
        );
        server.send_all(&buf).sys("send back")?;
    }
    for (i, (client, _)) in pairs.iter().enumerate() {
        client.recv_exact(&mut buf).sys("recv")?;
        check!(buf == Stream::new(i as u64).bytes(len), "echo {i} differs");
    }
    Ok(())
}

fn storm(ctx: &Ctx) -> Result<()> {
    let rounds = 2000;
    let (l, addr) = ctx.listener(128)?;
    std::thread::scope(|s| {
        let server = s.spawn(|| -> Result<()> {
            for _ in 0..rounds {
                let conn = l.accept().sys("accept")?;
                let mut b = [0; 4];
                conn.recv_exact(&mut b).sys("recv")?;
                conn.send_all(&b).sys("send")?;
            }
            Ok(())
        });
        let client = (0..rounds as u32).try_for_each(|i| -> Result<()> {
            let conn = ctx.tcp()?;
            conn.connect(addr)
                .sys("connect")
                .with_context(|| format!("round {i}"))?;
            conn.send_all(&i.to_be_bytes()).sys("send")?;
            let mut b = [0; 4];
            conn.recv_exact(&mut b).sys("recv")?;
            check_eq!(u32::from_be_bytes(b), i, "echo");
            Ok(())
        });
        if client.is_err() {
            let _ = l.shutdown(c::SHUT_RDWR);
        }
        let server = server.join().expect("no panic");
        client.and(server)
    })
}

fn four_accept(ctx: &Ctx) -> Result<()> {
    let (l, addr) = ctx.listener(128)?;
    let (accepted, total) = (AtomicUsize::new(0), 400);
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                // Ends with EINVAL when the listener is shut down.
                while let Ok(conn) = l.accept() {
                    let mut b = [0; 1];
                    if conn.recv_exact(&mut b).is_ok() && conn.send_all(&b).is_ok() {
                        accepted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let clients: Vec<_> = (0..4)
            .map(|_| {
                s.spawn(|| -> Result<()> {
                    for i in 0..total / 4 {
                        let conn = ctx.tcp()?;
                        conn.connect(addr).sys("connect")?;
                        conn.send_all(&[i as u8]).sys("send")?;
                        let mut b = [0; 1];
                        conn.recv_exact(&mut b).sys("recv")?;
                        check_eq!(b[0], i as u8, "echo");
                    }
                    Ok(())
                })
            })
            .collect();
        let results: Vec<Result<()>> = clients
            .into_iter()
            .map(|t| t.join().expect("no panic"))
            .collect();
        l.shutdown(c::SHUT_RDWR).sys("shutdown of the listener")?;
        results.into_iter().collect::<Result<()>>()
    })?;
    check_eq!(accepted.into_inner(), total, "connections served");
    Ok(())
}

fn reset_storm(ctx: &Ctx) -> Result<()> {
    let (l, addr) = ctx.listener(128)?;
    for i in 0..500 {
        let (client, server) = ctx
            .connect_to(&l, addr)
            .with_context(|| format!("round {i}"))?;
        client.send_all(&[1; 100]).sys("send")?;
        let first: &Sock = if i % 2 == 0 { &client } else { &server };
        first.linger(true, 0).sys("SO_LINGER")?;
        if i % 2 == 0 {
            drop(client);
        } else {
            drop(server);
        }
    }
    let (client, server) = ctx.connect_to(&l, addr)?;
    netlab::payload::transfer(&client, &server, 11, 1 << 16)
}

fn idle(ctx: &Ctx) -> Result<()> {
    room_for(6000)?;
    let mut all = Vec::new();
    for _ in 0..5000 {
        all.push(ctx.tcp()?);
    }
    let (l, addr) = ctx.listener(1)?;
    let (client, server) = ctx.connect_to(&l, addr)?;
    netlab::payload::transfer(&client, &server, 12, 1 << 16)
}
