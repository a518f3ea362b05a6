// SPDX-License-Identifier: GPL-2.0
//! What connections stand on is taken away while 200 of them carry data: addresses, routes, the device,
//! the namespace, the mode, the module. Data that arrive are right, and what can go on goes on.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use anyhow::bail;
use anyhow::Context;
use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::ktap::errno_name;
use netlab::ktap::want_errno;
use netlab::ktap::Sysc;
use netlab::lab::Lab;
use netlab::lab::Link;
use netlab::payload;
use netlab::wait;
use netlab::Errno;
use netlab::Sock;
use nix::kmod::delete_module;
use nix::kmod::DeleteModuleFlags;

use crate::case::Case;
use crate::case::Ctx;

const G: &str = "teardown";
/// Connections under way.
const MANY: usize = 200;
/// What each sends at a time, in bytes.
const CHUNK: usize = 2048;

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::two(G, "addresses_come_and_go", addresses)
        .veth()
        .fresh()
        .secs(240),
    Case::two(G, "routes_are_flushed", routes)
        .veth()
        .fresh()
        .secs(240),
    Case::two(G, "interface_goes_down_and_up", down_and_up)
        .veth()
        .fresh()
        .secs(240),
    Case::two(G, "interface_is_deleted", device)
        .veth()
        .fresh()
        .secs(240),
    Case::two(G, "namespaces_go_with_their_sockets", namespaces)
        .veth()
        .fresh()
        .secs(240),
    Case::own(G, "mode_switches", modes).fresh().secs(240),
    Case::own(G, "module_stays", module).fresh().secs(240),
];

/// Connections with data on their way, from clients to servers.
struct Load {
    pairs: Vec<(Sock, Sock)>,
    /// Bytes that each server has received.
    received: Vec<AtomicU64>,
    stop: AtomicBool,
}

/// Byte `at` of the stream of connection `i`.
fn byte(i: usize, at: u64) -> u8 {
    (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8 ^ i as u8
}

impl Load {
    fn new(ctx: &Ctx) -> Result<Load> {
        // What nobody holds any more shall not send into the void for minutes.
        for end in [&ctx.lab.a, &ctx.lab.b] {
            end.ns.sysctl("net/ipv4/tcp_orphan_retries", "2")?;
        }
        let (l, addr) = ctx.listener(256)?;
        let mut pairs = Vec::new();
        for i in 0..MANY {
            let pair = ctx
                .connect_to(&l, addr)
                .with_context(|| format!("connection {i}"))?;
            pair.0.nonblocking(true).sys("O_NONBLOCK")?;
            pair.1.nonblocking(true).sys("O_NONBLOCK")?;
            pairs.push(pair);
        }
        let received = pairs.iter().map(|_| AtomicU64::new(0)).collect();
        Ok(Load {
            pairs,
            received,
            stop: AtomicBool::new(false),
        })
    }

    /// Sends on the connections whose number modulo `of` is `part`, until told to stop.
    fn send(&self, part: usize, of: usize) {
        let mut sent = vec![0u64; MANY];
        let mut buf = [0; CHUNK];
        self.rounds(part, of, Duration::from_millis(100), |i| {
            let client = &self.pairs[i].0;
            for (k, b) in buf.iter_mut().enumerate() {
                *b = byte(i, sent[i] + k as u64);
            }
            // Any error will do: the ground is being taken away. What matters is what arrives.
            let n = client.send(&buf, c::MSG_NOSIGNAL).unwrap_or(0);
            sent[i] += n as u64;
            Ok(())
        })
        .expect("sending reports no error");
    }

    /// Receives likewise, and compares every byte.
    fn receive(&self, part: usize, of: usize) -> Result<()> {
        let mut buf = [0; 4 * CHUNK];
        self.rounds(part, of, Duration::from_millis(20), |i| {
            let n = self.pairs[i].1.recv(&mut buf, 0).unwrap_or(0);
            let at = self.received[i].load(Ordering::Relaxed);
            for (k, b) in buf[..n].iter().enumerate() {
                if *b != byte(i, at + k as u64) {
                    bail!("connection {i}: byte {} is wrong", at + k as u64);
                }
            }
            self.received[i].store(at + n as u64, Ordering::Relaxed);
            Ok(())
        })
    }

    /// Does `one` for each connection of the part, again and again. With a pause between, of thrice what it
    /// took if that is longer: the load is there to be disturbed, not to keep whoever disturbs it from the CPU.
    fn rounds(
        &self,
        part: usize,
        of: usize,
        pause: Duration,
        mut one: impl FnMut(usize) -> Result<()>,
    ) -> Result<()> {
        while !self.stop.load(Ordering::Relaxed) {
            let since = Instant::now();
            (part..MANY).step_by(of).try_for_each(&mut one)?;
            std::thread::park_timeout(pause.max(3 * since.elapsed()));
        }
        Ok(())
    }

    /// Every connection has received more than now.
    fn all_move(&self, what: &str) -> Result<()> {
        let before: Vec<u64> = self.count();
        wait::until_for(Duration::from_secs(90), what, || {
            self.count()
                .iter()
                .zip(&before)
                .all(|(now, then)| now > then)
                .then_some(())
        })
    }

    fn count(&self) -> Vec<u64> {
        let count = |n: &AtomicU64| n.load(Ordering::Relaxed);
        self.received.iter().map(count).collect()
    }

    /// Runs `disturb` while data flow, and says what was wrong with either.
    fn during(&self, disturb: impl FnOnce(&Load) -> Result<()>) -> Result<()> {
        std::thread::scope(|s| {
            for part in 0..2 {
                s.spawn(move || self.send(part, 2));
            }
            let readers: Vec<_> = (0..2)
                .map(|part| s.spawn(move || self.receive(part, 2)))
                .collect();
            let result = self
                .all_move("data on every connection")
                .and_then(|()| disturb(self));
            self.stop.store(true, Ordering::Relaxed);
            for reader in readers {
                reader.join().expect("no panic")?;
            }
            result
        })
    }
}

/// How often something is taken away and comes back.
fn times(ctx: &Ctx) -> u32 {
    ctx.args.rounds.div_ceil(4)
}

/// A connection made afterwards carries data.
fn afterwards(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected().context("a connection afterwards")?;
    payload::exchange(&client, &server, 5, 50_000)
}

fn addresses(ctx: &Ctx) -> Result<()> {
    let load = Load::new(ctx)?;
    let (a, b) = (&ctx.lab.a, &ctx.lab.b);
    load.during(|load| {
        for _ in 0..times(ctx) {
            for end in [a, b] {
                end.ns
                    .ip(&format!("addr del {}/24 dev {}", end.ip, end.dev))?;
                end.ns
                    .ip(&format!("addr add {}/24 dev {}", end.ip, end.dev))?;
            }
        }
        load.all_move("data after the addresses came back")
    })?;
    afterwards(ctx)
}

fn routes(ctx: &Ctx) -> Result<()> {
    let load = Load::new(ctx)?;
    load.during(|load| {
        for _ in 0..times(ctx) {
            for end in [&ctx.lab.a, &ctx.lab.b] {
                end.ns.ip("route flush table main")?;
                end.ns.ip(&format!(
                    "route add 10.77.0.0/24 dev {} src {}",
                    end.dev, end.ip
                ))?;
                // ip gives up after ten rounds in which the traffic made the entries anew.
                let _ = end.ns.ip(&format!("neigh flush dev {}", end.dev));
            }
        }
        load.all_move("data after the routes came back")
    })?;
    afterwards(ctx)
}

fn down_and_up(ctx: &Ctx) -> Result<()> {
    let load = Load::new(ctx)?;
    load.during(|load| {
        for _ in 0..times(ctx) {
            for end in [&ctx.lab.a, &ctx.lab.b] {
                end.ns.ip(&format!("link set {} down", end.dev))?;
                end.ns.ip(&format!("link set {} up", end.dev))?;
            }
        }
        load.all_move("data after the link came back")
    })?;
    afterwards(ctx)
}

fn device(ctx: &Ctx) -> Result<()> {
    let load = Load::new(ctx)?;
    load.during(|_| ctx.lab.a.ns.ip(&format!("link del {}", ctx.lab.a.dev)))?;
    // What is sent now has nowhere to go; the sockets can still be closed.
    let (client, server) = &load.pairs[0];
    for sock in [client, server] {
        if let Err(Errno(e)) = sock.send(b"x", c::MSG_NOSIGNAL) {
            let fits = [c::EAGAIN, c::ENETUNREACH, c::EHOSTUNREACH, c::ENETDOWN];
            check!(
                fits.contains(&e),
                "send without a device: {}",
                errno_name(e)
            );
        }
    }
    drop(load);
    let ctx = Ctx {
        lab: Lab::new(Link::Veth)?,
        args: ctx.args.clone(),
        ..*ctx
    };
    afterwards(&ctx)
}

/// Sockets with unread and unacknowledged data are closed, and nothing holds their namespaces any more.
fn namespaces(ctx: &Ctx) -> Result<()> {
    for _ in 0..times(ctx).min(3) {
        let ctx = Ctx {
            lab: Lab::new(Link::Veth)?,
            args: ctx.args.clone(),
            ..*ctx
        };
        let load = Load::new(&ctx)?;
        load.during(|_| Ok(()))?;
        // In this order the devices go first: nothing closes in an orderly way.
        for end in [&ctx.lab.a, &ctx.lab.b] {
            let _ = end.ns.ip(&format!("link del {}", end.dev));
        }
        drop(ctx);
        drop(load);
    }
    afterwards(ctx)
}

fn modes(ctx: &Ctx) -> Result<()> {
    let both = Ctx {
        server: ctx.client,
        lab: ctx.lab.clone(),
        args: ctx.args.clone(),
        ..*ctx
    };
    let load = Load::new(&both)?;
    load.during(|load| {
        for _ in 0..2 * times(ctx) {
            for end in [&ctx.lab.a, &ctx.lab.b] {
                end.ns.sysctl("net/rustnet/mode", "replace")?;
            }
            for end in [&ctx.lab.a, &ctx.lab.b] {
                end.ns.sysctl("net/rustnet/mode", "coexist")?;
            }
        }
        load.all_move("data after the modes were switched")
    })?;
    afterwards(&both)
}

fn module(ctx: &Ctx) -> Result<()> {
    let both = Ctx {
        server: ctx.client,
        lab: ctx.lab.clone(),
        args: ctx.args.clone(),
        ..*ctx
    };
    let load = Load::new(&both)?;
    load.during(|load| {
        for _ in 0..5 * times(ctx) {
            let got = delete_module(c"rustnet", DeleteModuleFlags::O_NONBLOCK);
            want_errno(
                "delete_module",
                got.map_err(|e| Errno(e as i32)),
                c::EWOULDBLOCK,
            )?;
        }
        load.all_move("data after attempts to unload")
    })?;
    afterwards(&both)
}
