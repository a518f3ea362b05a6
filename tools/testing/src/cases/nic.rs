// SPDX-License-Identifier: GPL-2.0
//! The network cards and whichever driver they have. Only run when the group is named, for it takes the
//! cards away; over two e1000s of the guest, and sockets only to see whether data pass.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::Context as _;
use anyhow::Result;
use netlab::c;
use netlab::card::Card;
use netlab::check;
use netlab::check_eq;
use netlab::ktap::skip;
use netlab::ktap::Sysc;
use netlab::lab::End;
use netlab::payload;
use netlab::wait;

use crate::case::Case;
use crate::case::Ctx;

const G: &str = "nic";

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::nic(G, "ring_sizes_with_traffic", ring_sizes),
    Case::nic(G, "mtu_up_to_16110_with_traffic", mtu),
    Case::nic(G, "offloads_off_and_on_with_traffic", offloads),
    Case::nic(G, "vlan_with_and_without_hardware", vlan),
    Case::nic(G, "flood_into_the_smallest_ring", exhaustion),
    Case::nic(G, "interrupt_rates", coalesce),
    Case::nic(G, "counters_count", counters),
    Case::nic(G, "memory_of_a_frame", memory_of_a_frame),
    Case::nic(G, "other_address", address),
    Case::nic(G, "address_filter", filter),
    Case::nic(G, "negotiate_anew", nway),
    Case::nic(G, "self_test_offline_and_online", self_test).secs(400),
    Case::nic(G, "up_and_down_under_traffic", up_and_down).secs(400),
    Case::nic(G, "unbind_and_bind_under_traffic", unbind).secs(400),
    Case::nic(G, "transfer_both_ways", transfer).secs(900),
];

/// Bytes of a transfer that is to fill rings several times.
const SOME: usize = 3 << 20;

/// As much, or less where `--nic-bytes` says so: on a kernel that looks at every access a byte is dear.
fn some(ctx: &Ctx) -> usize {
    SOME.min(ctx.args.nic_bytes)
}

/// Sends data both ways and compares them.
pub(super) fn exchange(ctx: &Ctx, bytes: usize) -> Result<()> {
    let (a, b) = ctx.connected()?;
    payload::exchange(&a, &b, 7, bytes)
}

fn ethtool(end: &End, words: &str) -> Result<String> {
    let argv: Vec<&str> = ["ethtool"].into_iter().chain(words.split(' ')).collect();
    end.ns.run(&argv)
}

/// Waits until the far end answers.
pub(super) fn reachable(ctx: &Ctx) -> Result<()> {
    let to = ctx.lab.b.ip.to_string();
    wait::until("an answer over the wire", || {
        let ping = ["ping", "-c", "1", "-W", "1", &to];
        ctx.lab.a.ns.run(&ping).ok().map(drop)
    })
}

/// The number behind `name:` in what a program said.
fn value(text: &str, name: &str) -> Result<u64> {
    let line = text
        .lines()
        .map(str::trim)
        .rfind(|l| l.starts_with(&format!("{name}:")))
        .with_context(|| format!("no {name} in {text}"))?;
    let word = line.split_whitespace().nth(1).context("no value")?;
    word.parse().with_context(|| format!("{line:?}"))
}

pub(super) fn counter(end: &End, name: &str) -> Result<u64> {
    value(&ethtool(end, &format!("-S {}", end.dev))?, name)
}

fn ring_sizes(ctx: &Ctx) -> Result<()> {
    for n in [80, 4096, 256] {
        for end in [&ctx.lab.a, &ctx.lab.b] {
            ethtool(end, &format!("-G {} rx {n} tx {n}", end.dev))?;
            let text = ethtool(end, &format!("-g {}", end.dev))?;
            check_eq!(value(&text, "RX")?, n, "RX");
            check_eq!(value(&text, "TX")?, n, "TX");
        }
        reachable(ctx)?;
        exchange(ctx, some(ctx))?;
    }
    let end = &ctx.lab.a;
    check!(
        ethtool(end, &format!("-G {} rx 5000", end.dev)).is_err(),
        "a ring larger than the card can do was taken"
    );
    Ok(())
}

fn mtu(ctx: &Ctx) -> Result<()> {
    let set = |mtu: u32| -> Result<()> {
        for end in [&ctx.lab.a, &ctx.lab.b] {
            end.ns.ip(&format!("link set {} mtu {mtu}", end.dev))?;
        }
        Ok(())
    };
    for mtu in [9000, 16110, 576, 1500] {
        set(mtu)?;
        reachable(ctx)?;
        // As large as a packet gets without fragments.
        let (to, size) = (ctx.lab.b.ip.to_string(), (mtu - 28).to_string());
        let ping = ["ping", "-M", "do", "-c", "2", "-W", "5", "-s", &size, &to];
        ctx.lab.a.ns.run(&ping)?;
        exchange(ctx, some(ctx))?;
    }
    check!(set(16111).is_err(), "an MTU of 16111 was taken");
    check!(set(45).is_err(), "an MTU of 45 was taken");
    Ok(())
}

fn offloads(ctx: &Ctx) -> Result<()> {
    for features in [
        "tso off",
        "sg off",
        "tx off",
        "gro off",
        "sg on tx on",
        "tso on gro on",
        "rx on",
        "rx off",
    ] {
        for end in [&ctx.lab.a, &ctx.lab.b] {
            ethtool(end, &format!("-K {} {features}", end.dev))?;
        }
        reachable(ctx)?;
        exchange(ctx, some(ctx)).with_context(|| features.to_string())?;
    }
    Ok(())
}

fn vlan(ctx: &Ctx) -> Result<()> {
    for (end, n) in [(&ctx.lab.a, 1), (&ctx.lab.b, 2)] {
        let dev = &end.dev;
        end.ns.ip(&format!(
            "link add link {dev} name tagged type vlan id 1234\n\
             addr add 10.79.0.{n}/24 dev tagged\n\
             link set tagged up"
        ))?;
    }
    let answered = |what: &str| {
        wait::until(&format!("an answer over the VLAN, {what}"), || {
            let ping = ["ping", "-c", "1", "-W", "1", "-s", "1400", "10.79.0.2"];
            ctx.lab.a.ns.run(&ping).ok().map(drop)
        })
    };
    for features in ["rxvlan on", "rxvlan off", "rxvlan on"] {
        for end in [&ctx.lab.a, &ctx.lab.b] {
            ethtool(end, &format!("-K {} {features}", end.dev))?;
        }
        answered(features)?;
    }
    // Large packets with a tag: segmented by the card, if the device of the VLAN says that it can.
    let l = ctx.lab.b.tcp(ctx.server)?;
    l.bind("10.79.0.2:0".parse()?).sys("bind")?;
    l.listen(1).sys("listen")?;
    let c = ctx.tcp()?;
    c.connect(l.local().sys("getsockname")?).sys("connect")?;
    payload::exchange(&c, &l.accept().sys("accept")?, 3, some(ctx))
}

fn exhaustion(ctx: &Ctx) -> Result<()> {
    for end in [&ctx.lab.a, &ctx.lab.b] {
        ethtool(end, &format!("-G {} rx 80 tx 80", end.dev))?;
    }
    reachable(ctx)?;
    let (from, to) = (ctx.udp()?, ctx.server_udp()?);
    let addr = to.local().sys("getsockname")?;
    for i in 0..ctx.args.frames.min(20_000) {
        let size = [1, 100, 1472][i as usize % 3];
        from.sendto(&vec![0x55; size], 0, addr).sys("sendto")?;
    }
    drop((from, to));
    // Whatever was lost, the rings still turn.
    reachable(ctx)?;
    exchange(ctx, some(ctx))
}

fn coalesce(ctx: &Ctx) -> Result<()> {
    let end = &ctx.lab.a;
    // The C driver sets rates from the 82545 on; QEMU's card is an 82540.
    if ethtool(end, &format!("-i {}", end.dev))?.contains("driver: e1000") {
        let refused = ethtool(end, &format!("-C {} rx-usecs 3", end.dev));
        check!(refused.is_err(), "the C driver took a rate");
        return Err(skip("the C driver sets no rates on this card"));
    }
    for usecs in [0, 1, 3, 4, 100, 3] {
        ethtool(end, &format!("-C {} rx-usecs {usecs}", end.dev))?;
        let text = ethtool(end, &format!("-c {}", end.dev))?;
        check_eq!(value(&text, "rx-usecs")?, usecs, "rx-usecs");
        reachable(ctx)?;
        exchange(ctx, some(ctx) / 4)?;
    }
    check!(
        ethtool(end, &format!("-C {} rx-usecs 20000", end.dev)).is_err(),
        "a rate that the card cannot do was taken"
    );
    Ok(())
}

fn counters(ctx: &Ctx) -> Result<()> {
    let (a, b) = (&ctx.lab.a, &ctx.lab.b);
    reachable(ctx)?;
    let before = (counter(a, "tx_packets")?, counter(b, "rx_packets")?);
    exchange(ctx, some(ctx))?;
    let after = (counter(a, "tx_packets")?, counter(b, "rx_packets")?);
    let least = some(ctx) as u64 / 1500;
    check!(after.0 - before.0 > least, "sent {before:?} {after:?}");
    check!(after.1 - before.1 > least, "received {before:?} {after:?}");
    // No frame of these was damaged or lost by the driver.
    for name in ["rx_errors", "tx_errors", "rx_crc_errors"] {
        check_eq!(counter(b, name)?, 0, "{name}");
    }
    let text =
        b.ns.run(&["ip", "-s", "-s", "link", "show", "dev", &b.dev])?;
    check!(text.contains("RX:"), "no counters in {text}");
    Ok(())
}

/// A whole frame is charged to its socket with what it keeps in memory. With a page for each, a small
/// receive buffer is full before it holds one, and TCP crawls.
fn memory_of_a_frame(ctx: &Ctx) -> Result<()> {
    const SO_MEMINFO: i32 = 55;
    reachable(ctx)?;
    let (from, to) = (ctx.udp()?, ctx.server_udp()?);
    from.sendto(&[0; 1472], 0, to.local().sys("getsockname")?)
        .sys("sendto")?;
    to.poll(c::POLLIN, wait::PATIENCE).sys("poll")?;
    let info = to
        .getsockopt(c::SOL_SOCKET, SO_MEMINFO, 4)
        .sys("SO_MEMINFO")?;
    let rmem_alloc = u32::from_ne_bytes(info[..].try_into()?);
    check!((1472..3000).contains(&rmem_alloc), "{rmem_alloc} bytes");
    Ok(())
}

fn address(ctx: &Ctx) -> Result<()> {
    let (a, b) = (&ctx.lab.a, &ctx.lab.b);
    a.ns.ip(&format!("link set {} address 02:00:00:00:77:01", a.dev))?;
    b.ns.ip(&format!("neigh flush dev {}", b.dev))?;
    reachable(ctx)?;
    exchange(ctx, some(ctx) / 4)?;
    check!(
        a.ns.ip(&format!("link set {} address 01:00:5e:00:00:01", a.dev))
            .is_err(),
        "a group's address was taken for the device's own"
    );
    Ok(())
}

fn filter(ctx: &Ctx) -> Result<()> {
    let b = &ctx.lab.b;
    // More addresses than the card compares exactly: the others are hashed, or all come in.
    let groups: Vec<String> = (0..40)
        .map(|i| format!("maddr add 01:00:5e:00:01:{i:02x} dev {}", b.dev))
        .collect();
    b.ns.ip(&groups.join("\n"))?;
    reachable(ctx)?;
    for how in [
        "promisc on",
        "allmulticast on",
        "promisc off",
        "allmulticast off",
    ] {
        b.ns.ip(&format!("link set {} {how}", b.dev))?;
        reachable(ctx)?;
    }
    let other = b.ns.ip(&format!(
        "link add link {} name other type macvlan mode bridge",
        b.dev
    ));
    match other {
        Err(e) if format!("{e:#}").contains("Unknown device type") => {
            return Err(skip("a kernel without macvlan"))
        }
        other => other?,
    }
    b.ns.ip("link set other up")?;
    exchange(ctx, some(ctx) / 4)
}

fn nway(ctx: &Ctx) -> Result<()> {
    let end = &ctx.lab.a;
    ethtool(end, &format!("-r {}", end.dev))?;
    reachable(ctx)?;
    let text = ethtool(end, &end.dev)?;
    check!(text.contains("1000Mb/s"), "another speed: {text}");
    check!(text.contains("Link detected: yes"), "no link: {text}");
    Ok(())
}

fn self_test(ctx: &Ctx) -> Result<()> {
    let end = &ctx.lab.a;
    let text = ethtool(end, &format!("-t {} online", end.dev))?;
    check!(text.contains("result is PASS"), "online: {text}");
    exchange(ctx, some(ctx) / 4)?;
    // QEMU's card does not keep the flow-control registers and does not loop back: the C driver tells 40
    // and 13 of them, and that the test failed. What the card does have must be found good.
    let text = match ethtool(end, &format!("-t {} offline", end.dev)) {
        Ok(text) => text,
        Err(e) => e.to_string(),
    };
    for test in ["Eeprom test", "Interrupt test", "Link test"] {
        let line = text.lines().find(|l| l.trim().starts_with(test));
        let result = line.and_then(|l| l.split_whitespace().last());
        check_eq!(result, Some("0"), "{test} of {text}");
    }
    reachable(ctx)?;
    exchange(ctx, some(ctx) / 4)
}

/// Packets that are sent at a time under [`under_traffic`]: they fill a ring.
const BURST: u32 = 256;

/// Keeps packets going from one end to the other while `f` runs.
pub(super) fn under_traffic(ctx: &Ctx, f: impl FnOnce() -> Result<()>) -> Result<()> {
    let from = ctx.udp()?;
    let to = ctx.lab.b.at(9);
    let stop = AtomicBool::new(false);
    std::thread::scope(|s| {
        s.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let since = Instant::now();
                // The device goes and comes; that packets get lost is the point.
                for _ in 0..BURST {
                    let _ = from.sendto(&[0x55; 1400], 0, to);
                }
                // Whoever disturbs them needs the CPU as well.
                std::thread::sleep(since.elapsed());
            }
        });
        let result = f();
        stop.store(true, Ordering::Relaxed);
        result
    })
}

/// Bytes of memory in use, without what the kernel would give up for others.
fn memory() -> Result<u64> {
    std::fs::write("/proc/sys/vm/drop_caches", "3")?;
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let field = |name| value(&text, name).map(|kib| kib << 10);
    let free = field("MemFree")? + field("Buffers")? + field("Cached")? + field("SReclaimable")?;
    Ok(field("MemTotal")? - free)
}

/// Does something again and again; whatever a round of it keeps is found in the end.
fn rounds(n: u32, mut f: impl FnMut(u32) -> Result<()>) -> Result<()> {
    // Caches of the kernel fill in the first rounds.
    let warm = (n / 10).max(4);
    for i in 0..warm {
        f(i)?;
    }
    let before = memory()?;
    for i in 0..n {
        f(i)?;
    }
    // A ring with its pages is a megabyte; of the smallest object there would be one a round.
    let most = (4 << 20) + u64::from(n) * 32;
    wait::until("memory as it was before", || {
        (memory().ok()? < before + most).then_some(())
    })
    .with_context(|| format!("{before} bytes before, {:?} after {n} rounds", memory()))
}

fn up_and_down(ctx: &Ctx) -> Result<()> {
    let (a, b) = (&ctx.lab.a, &ctx.lab.b);
    under_traffic(ctx, || {
        rounds(ctx.args.rounds, |i| {
            let end = if i % 2 == 0 { a } else { b };
            end.ns.ip(&format!(
                "link set {dev} down\nlink set {dev} up",
                dev = end.dev
            ))
        })
    })?;
    reachable(ctx)?;
    exchange(ctx, some(ctx))
}

fn unbind(ctx: &Ctx) -> Result<()> {
    let cards = Card::all();
    let [.., card] = cards.as_slice() else {
        return Err(skip("needs an e1000"));
    };
    let driver = card.driver().context("a card without a driver")?;
    let host = netlab::ns::Namespace::current()?;
    under_traffic(ctx, || {
        rounds(ctx.args.rounds.div_ceil(4), |_| {
            // Its device comes back in the first namespace.
            card.unbind()?;
            card.bind(&driver)?;
            let name = card.netdev().context("no device")?;
            host.ip(&format!("link set {name} up"))
        })
    })
}

fn transfer(ctx: &Ctx) -> Result<()> {
    let (a, b) = ctx.connected()?;
    payload::transfer(&a, &b, 1, ctx.args.nic_bytes)?;
    payload::transfer(&b, &a, 2, ctx.args.nic_bytes)
}
