// SPDX-License-Identifier: GPL-2.0
//! The same few connections opened, used and closed by many at once, for what process and softirq contexts
//! of two processors do to each other. Worth most on the debug kernels, with `CPUS=2`.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::bail;
use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::ktap::errno_name;
use netlab::ktap::Sysc;
use netlab::payload;
use netlab::Errno;
use netlab::Sock;

use crate::case::Case;
use crate::case::Ctx;

const G: &str = "race";
/// Ports of the clients: so few that every thread meets the others on each.
const PORTS: [u16; 3] = [41001, 41002, 41003];
/// Attempts of each client's thread.
const ROUNDS: usize = 150;

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::two(G, "storm_on_the_same_four_tuples", storm).secs(180),
    Case::two(G, "listener_comes_and_goes", listener).secs(180),
    Case::two(G, "one_socket_closed_by_another_thread", closed).secs(180),
    Case::two(G, "datagrams_to_a_socket_that_comes_and_goes", datagrams).secs(180),
];

/// One short life on a port that others want, too; whether it came about.
fn attempt(ctx: &Ctx, port: u16, to: std::net::SocketAddrV4, round: usize) -> Result<bool> {
    let s = ctx.tcp()?;
    s.set(c::SOL_SOCKET, c::SO_REUSEADDR, 1)
        .sys("SO_REUSEADDR")?;
    // The others' connection, its TIME_WAIT, or nobody listens; or the server has reset it already.
    let busy = [
        c::EADDRINUSE,
        c::EADDRNOTAVAIL,
        c::ECONNREFUSED,
        c::ECONNRESET,
        c::ENOTCONN,
        c::EPIPE,
    ];
    let life = || -> Result<(), Errno> {
        s.bind(ctx.lab.a.at(port))?;
        s.connect(to)?;
        s.send(&[round as u8; 100], c::MSG_NOSIGNAL)?;
        match round % 4 {
            // Half-closed first, closed by both, reset, closed at once.
            0 => {
                s.shutdown(c::SHUT_WR)?;
                s.recv(&mut [0; 200], 0)?;
            }
            1 => s.linger(true, 0)?,
            2 => {
                s.recv(&mut [0; 200], 0)?;
                s.linger(true, 0)?;
            }
            _ => {}
        }
        Ok(())
    };
    match life() {
        Ok(()) => Ok(true),
        Err(Errno(e)) if busy.contains(&e) => Ok(false),
        Err(Errno(e)) => bail!("round {round}: {}", errno_name(e)),
    }
}

/// Answers every connection with what it sent.
fn serve(l: &Sock) {
    while let Ok(conn) = l.accept() {
        let mut buf = [0; 200];
        if let Ok(n) = conn.recv(&mut buf, 0) {
            let _ = conn.send(&buf[..n], c::MSG_NOSIGNAL);
        }
        let _ = conn.linger(true, 0);
    }
}

fn storm(ctx: &Ctx) -> Result<()> {
    let (l, addr) = ctx.listener(16)?;
    let done = AtomicUsize::new(0);
    std::thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| serve(&l));
        }
        let clients: Vec<_> = (0..4)
            .map(|t| {
                let done = &done;
                s.spawn(move || -> Result<()> {
                    for round in 0..ROUNDS {
                        let port = PORTS[(round + t) % PORTS.len()];
                        let came = attempt(ctx, port, addr, round)?;
                        done.fetch_add(usize::from(came), Ordering::Relaxed);
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
    let done = done.into_inner();
    check!(done >= 20, "only {done} connections came about");
    let (client, server) = ctx.connected()?;
    payload::exchange(&client, &server, 1, 50_000)
}

/// Clients connect while the listener is closed and made again on the same port.
fn listener(ctx: &Ctx) -> Result<()> {
    let port = 41010;
    let stop = AtomicBool::new(false);
    let done = AtomicUsize::new(0);
    std::thread::scope(|s| {
        let clients: Vec<_> = (0..2)
            .map(|_| {
                s.spawn(|| -> Result<()> {
                    let mut round = 0;
                    while !stop.load(Ordering::Relaxed) {
                        round += 1;
                        let came = attempt(ctx, 0, ctx.lab.b.at(port), round)?;
                        done.fetch_add(usize::from(came), Ordering::Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        let server = (0..30).try_for_each(|i| -> Result<()> {
            let l = ctx.server_tcp()?;
            l.set(c::SOL_SOCKET, c::SO_REUSEADDR, 1)
                .sys("SO_REUSEADDR")?;
            l.bind(ctx.lab.b.at(port)).sys("bind")?;
            l.listen(4).sys("listen")?;
            // Sometimes with children that were never accepted.
            for _ in 0..i % 3 {
                // Both clients may be waiting for the time to send their SYN again.
                if l.poll(c::POLLIN, Duration::from_millis(500)).sys("poll")? == 0 {
                    break;
                }
                let conn = l.accept().sys("accept")?;
                let _ = conn.send(b"x", c::MSG_NOSIGNAL);
                let _ = conn.linger(true, 0);
            }
            Ok(())
        });
        stop.store(true, Ordering::Relaxed);
        // A client may wait for an answer from a listener that has gone.
        let clients: Result<()> = clients
            .into_iter()
            .try_for_each(|t| t.join().expect("no panic"));
        server.and(clients)
    })?;
    check!(done.into_inner() > 0, "no connection came about");
    let (client, server) = ctx.connected()?;
    payload::exchange(&client, &server, 1, 50_000)
}

/// One thread sends and another receives on a socket while a third shuts it down and the peer resets it.
fn closed(ctx: &Ctx) -> Result<()> {
    let (l, addr) = ctx.listener(16)?;
    for round in 0..60 {
        let (client, server) = ctx.connect_to(&l, addr)?;
        std::thread::scope(|s| {
            s.spawn(|| while matches!(client.send(&[3; 3000], c::MSG_NOSIGNAL), Ok(n) if n > 0) {});
            s.spawn(|| while matches!(client.recv(&mut [0; 3000], 0), Ok(n) if n > 0) {});
            s.spawn(|| {
                let mut buf = [0; 2000];
                for _ in 0..5 {
                    if let Ok(n) = server.recv(&mut buf, 0) {
                        let _ = server.send(&buf[..n], c::MSG_NOSIGNAL);
                    }
                }
                if round % 2 == 0 {
                    let _ = server.linger(true, 0);
                }
                drop(server);
            });
            let _ = client.poll(c::POLLIN, netlab::wait::PATIENCE);
            let _ = client.shutdown(c::SHUT_RDWR);
        });
    }
    let (client, server) = ctx.connect_to(&l, addr)?;
    payload::exchange(&client, &server, 1, 50_000)
}

fn datagrams(ctx: &Ctx) -> Result<()> {
    let port = 41020;
    let stop = AtomicBool::new(false);
    let a = ctx.udp()?;
    a.connect(ctx.lab.b.at(port)).sys("connect")?;
    std::thread::scope(|s| {
        s.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // ECONNREFUSED between two sockets.
                let _ = a.send(&[1; 500], c::MSG_NOSIGNAL);
            }
        });
        let result = (0..300).try_for_each(|_| -> Result<()> {
            let b = ctx.lab.b.udp(ctx.server)?;
            b.bind(ctx.lab.b.at(port)).sys("bind")?;
            b.await_events(c::POLLIN).sys("poll")?;
            b.recv(&mut [0; 600], 0).sys("recv")?;
            Ok(())
        });
        stop.store(true, Ordering::Relaxed);
        result
    })
}
