// SPDX-License-Identifier: GPL-2.0
//! What becomes of a card in its life: which driver it gets, sleep, a transmitter that hangs, loss. Only run
//! when the group is named, for it takes the cards away.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::ensure;
use anyhow::Context as _;
use anyhow::Result;
use netlab::c;
use netlab::card;
use netlab::card::Card;
use netlab::check;
use netlab::check_eq;
use netlab::ktap::skip;
use netlab::ktap::Sysc;
use netlab::lab::End;
use netlab::lab::Lab;
use netlab::lab::Link;
use netlab::module;
use netlab::monitor::Monitor;
use netlab::ns::Namespace;
use netlab::payload;
use netlab::tap::Tap;
use netlab::tap::Way;
use netlab::tap::ETH_P_IP;
use netlab::wait;

use super::nic::counter;
use super::nic::exchange;
use super::nic::reachable;
use super::nic::under_traffic;
use crate::case::Case;
use crate::case::Ctx;

pub const G: &str = "card";

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::nic(G, "two_drivers_side_by_side", choose),
    Case::nic(G, "driver_found_by_the_alias", alias),
    Case::nic(G, "sleep_of_devices_under_a_connection", sleep_of_devices),
    Case::nic(
        G,
        "sleep_of_the_machine_under_a_connection",
        sleep_of_the_machine,
    ),
    Case::nic(G, "transmitter_that_hangs", hang),
    Case::nic(G, "bus_errors_under_a_connection", bus_errors),
    Case::nic(G, "netconsole", netconsole),
    Case::nic(G, "unplugged_and_plugged_under_traffic", unplug),
    Case::nic(G, "card_without_an_address_is_refused", no_address),
];

/// Bytes of a transfer that is to show that the way is open.
const SOME: usize = 1 << 20;

/// The cards of the two ends.
pub fn cards() -> Result<[Card; 2]> {
    let mut cards = Card::all();
    let two = cards.pop().zip(cards.pop());
    let (b, a) = two.context("needs two e1000s on one hub")?;
    Ok([a, b])
}

/// The driver that both have.
pub fn driver(cards: &[Card; 2]) -> Result<String> {
    let [a, b] = cards.each_ref().map(Card::driver);
    check_eq!(a, b, "the drivers of the two cards");
    a.context("a card without a driver")
}

/// Lays the link anew and sends data both ways over it.
pub fn exchange_anew(ctx: &Ctx) -> Result<()> {
    let lab = Lab::new(Link::Nic)?;
    let l = lab.b.tcp(ctx.server)?;
    l.bind(lab.b.at(0)).sys("bind")?;
    l.listen(1).sys("listen")?;
    let c = lab.a.tcp(ctx.client)?;
    c.connect(l.local().sys("getsockname")?).sys("connect")?;
    payload::exchange(&c, &l.accept().sys("accept")?, 5, SOME)
}

/// Loads the driver, as its own users would.
fn load(driver: &str) -> Result<()> {
    match driver {
        _ if module::loaded(driver) => Ok(()),
        card::RUST => module::insmod("/modules/rust_e1000.ko"),
        _ => run("modprobe", &[driver]),
    }
}

fn run(program: &str, args: &[&str]) -> Result<()> {
    let out = Command::new(program).args(args).output()?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{program} {args:?}: {}", said.trim());
    Ok(())
}

/// What the kernel has said so far.
fn kernel_log() -> Result<String> {
    let log = Command::new("dmesg").output()?;
    Ok(String::from_utf8_lossy(&log.stdout).into_owned())
}

fn choose(ctx: &Ctx) -> Result<()> {
    let cards = cards()?;
    let before = driver(&cards)?;
    load(card::C)?;
    load(card::RUST)?;
    // The one that is loaded later takes nothing away from the other.
    check_eq!(driver(&cards)?, before, "after both are loaded");
    let pairs = [[card::C, card::RUST], [card::RUST, card::C]];
    let held = pairs.into_iter().try_for_each(|pair| {
        give(&cards, pair)?;
        exchange_anew(ctx).with_context(|| format!("{pair:?}"))
    });
    give(&cards, [&before; 2]).and(held)?;
    leave_only(&before)
}

/// Unloads the driver that is not this one.
fn leave_only(driver: &str) -> Result<()> {
    let other = if driver == card::C {
        card::RUST
    } else {
        card::C
    };
    if module::loaded(other) {
        module::rmmod(other)?;
    }
    Ok(())
}

/// Takes both cards from where they are and gives them these drivers; their devices are in the first
/// namespace then.
pub fn give(cards: &[Card; 2], drivers: [&str; 2]) -> Result<()> {
    cards.iter().try_for_each(Card::unbind)?;
    let mut both = cards.iter().zip(drivers);
    both.try_for_each(|(card, driver)| card.bind(driver))
}

fn alias(ctx: &Ctx) -> Result<()> {
    let cards = cards()?;
    let driver = driver(&cards)?;
    // As after `make modules_install`: the alias names both modules.
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let updates = format!("/lib/modules/{}/updates", release.trim());
    fs::create_dir_all(&updates)?;
    fs::copy("/modules/rust_e1000.ko", format!("{updates}/rust_e1000.ko"))?;
    run("depmod", &[])?;

    for card in &cards {
        card.unbind()?;
        fs::write(card.path().join("driver_override"), &driver)?;
    }
    for name in [card::C, card::RUST] {
        if module::loaded(name) {
            module::rmmod(name)?;
        }
    }
    let alias = fs::read_to_string(cards[0].path().join("modalias"))?;
    run("modprobe", &[alias.trim()])?;
    check!(
        module::loaded(card::RUST),
        "{alias} does not lead to rust_e1000"
    );
    for card in &cards {
        wait::until("a driver for the card", || card.driver())?;
        check_eq!(
            card.driver().as_deref(),
            Some(&driver[..]),
            "driver_override"
        );
    }
    fs::remove_dir_all(&updates)?;
    run("depmod", &[])?;
    leave_only(&driver)?;
    exchange_anew(ctx)
}

/// Lets the system sleep while a connection is open, and looks whether it survives.
fn sleep(ctx: &Ctx, prepare: impl FnOnce() -> Result<()>) -> Result<()> {
    if Path::new("/dev/vport0p1").exists() {
        return Err(skip(
            "virtio ports do not come back from sleep: PORTS=serial",
        ));
    }
    let (a, b) = ctx.connected()?;
    payload::exchange(&a, &b, 1, SOME)?;
    let woken = || fs::read_to_string("/sys/power/suspend_stats/success").unwrap_or_default();
    let before = woken();
    prepare()?;
    fs::write("/sys/power/state", "mem").context("/sys/power/state")?;
    check!(woken() != before, "the system has not slept");
    reachable(ctx)?;
    payload::exchange(&a, &b, 2, SOME)?;
    exchange(ctx, SOME)
}

/// The same down to a certain depth and back at once: the kernel's own test of it.
fn sleep_down_to(ctx: &Ctx, level: &str) -> Result<()> {
    const TEST: &str = "/sys/power/pm_test";
    if !Path::new(TEST).exists() {
        return Err(skip("the kernel has no /sys/power/pm_test"));
    }
    let result = sleep(ctx, || {
        fs::write("/sys/module/suspend/parameters/pm_test_delay", "0")?;
        fs::write(TEST, level).context(TEST)
    });
    fs::write(TEST, "none")?;
    result
}

fn sleep_of_devices(ctx: &Ctx) -> Result<()> {
    sleep_down_to(ctx, "devices")
}

fn sleep_of_the_machine(ctx: &Ctx) -> Result<()> {
    // Interrupts off, one processor left: what remains is to cut the power.
    sleep_down_to(ctx, "core")
}

/// Lets a card's interrupt reach nobody, or somebody again: the bit of the command register that takes the
/// line away.
fn silence(card: &Card, on: bool) -> Result<()> {
    use std::os::unix::fs::FileExt;
    const COMMAND: u64 = 4;
    const INTX_DISABLE: u16 = 1 << 10;
    let config = fs::File::options()
        .read(true)
        .write(true)
        .open(card.path().join("config"))?;
    let mut word = [0; 2];
    config.read_exact_at(&mut word, COMMAND)?;
    let old = u16::from_le_bytes(word);
    let new = if on {
        old | INTX_DISABLE
    } else {
        old & !INTX_DISABLE
    };
    config.write_all_at(&new.to_le_bytes(), COMMAND)?;
    Ok(())
}

fn hang(ctx: &Ctx) -> Result<()> {
    let (a, b) = (&ctx.lab.a, &ctx.lab.b);
    let [card, _] = cards()?;
    reachable(ctx)?;
    a.ns.ip(&format!(
        "neigh replace {} lladdr {} dev {} nud permanent",
        b.ip,
        mac_of(b),
        a.dev
    ))?;
    // Its interrupts would wake the other card's driver, too: they may share a line.
    b.ns.ip(&format!("link set {} down", b.dev))?;
    let before = counter(a, "tx_timeout_count")?;
    silence(&card, true)?;
    let from = ctx.udp()?;
    let seen = wait::until_for(wait::PATIENCE * 3, "a reset of the transmitter", || {
        for _ in 0..400 {
            let _ = from.sendto(&[0x55; 1400], c::MSG_DONTWAIT, b.at(9));
        }
        (counter(a, "tx_timeout_count").ok()? > before).then_some(())
    });
    silence(&card, false)?;
    b.ns.ip(&format!("link set {} up", b.dev))?;
    seen?;
    reachable(ctx)?;
    exchange(ctx, SOME)
}

/// The port above the card tells of an error: one after which the bus still works, then one after which it does
/// not. The driver stops, the slot is reset, and the connection goes on.
fn bus_errors(ctx: &Ctx) -> Result<()> {
    let both = cards()?;
    if driver(&both)? != card::RUST {
        return Err(skip(
            "the C driver does not give the card its configuration back",
        ));
    }
    let [card, _] = both;
    let place = fs::canonicalize(card.path())?;
    let port = place.parent().context("no bus")?;
    if !port.join("aer_rootport_total_err_fatal").exists() {
        return Err(skip("no port that tells of bus errors: NICBUS=pcie"));
    }
    let recovered = || -> Result<usize> {
        let log = kernel_log()?;
        let done = |l: &&str| l.contains("AER: device recovery successful");
        Ok(log.lines().filter(done).count())
    };
    let mut monitor = Monitor::open()?;
    let (a, b) = ctx.connected()?;
    payload::exchange(&a, &b, 1, SOME)?;
    for (round, error) in ["COMP_TIME", "MALF_TLP"].into_iter().enumerate() {
        let before = recovered()?;
        let said = monitor.ask(&format!("pcie_aer_inject_error port0 {error}"))?;
        check!(said.contains("OK id"), "{said}");
        wait::until(&format!("recovery from {error}"), || {
            recovered().ok().filter(|n| *n > before).map(drop)
        })?;
        reachable(ctx)?;
        payload::exchange(&a, &b, 2 + round as u64, SOME).context(error)?;
    }
    exchange(ctx, SOME)
}

fn netconsole(ctx: &Ctx) -> Result<()> {
    let (a, b) = (&ctx.lab.a, &ctx.lab.b);
    // It sends in the first namespace only.
    let host = Namespace::current()?;
    a.ns.ip(&format!("link set {} netns {}", a.dev, host.path()))?;
    host.ip(&format!(
        "addr add {}/24 dev {dev}\nlink set {dev} up",
        a.ip,
        dev = a.dev
    ))?;
    wait::until("an answer over the wire", || {
        let ping = ["ping", "-c", "1", "-W", "1", &b.ip.to_string()];
        host.run(&ping).ok().map(drop)
    })?;
    let tap = Tap::new(b, ETH_P_IP)?;
    let to = format!("6665@{}/{},6666@{}/{}", a.ip, a.dev, b.ip, mac_of(b));
    run("modprobe", &["netconsole", &format!("netconsole={to}")])?;
    const WORD: &str = "said without an interrupt";
    fs::write("/dev/kmsg", format!("<3>{WORD}\n"))?;
    let seen = tap.find("what the kernel said", |way, frame| {
        let text = String::from_utf8_lossy(&frame.0);
        (way == Way::In && text.contains(WORD)).then_some(())
    });
    module::rmmod("netconsole")?;
    seen
}

/// What QEMU is told to plug this card in with.
fn plug(id: &str, net: &str, mac: &str, place: &str) -> String {
    let slot = place.rsplit(':').next().and_then(|s| s.split('.').next());
    format!(
        "device_add e1000,id={id},netdev={net},mac={mac},romfile=,addr={}",
        slot.unwrap_or("")
    )
}

fn mac_of(end: &End) -> String {
    let hex: Vec<String> = end.mac.iter().map(|b| format!("{b:02x}")).collect();
    hex.join(":")
}

fn unplug(ctx: &Ctx) -> Result<()> {
    let mut monitor = Monitor::open()?;
    let [_, card] = cards()?;
    let before = card.driver().context("a card without a driver")?;
    for _ in 0..3 {
        under_traffic(ctx, || {
            monitor.say("device_del nic1")?;
            wait::until("the card to be gone", || {
                (!card.path().exists()).then_some(())
            })?;
            // The emulator lets go of it later than the kernel.
            let again = plug("nic1", "net1", &mac_of(&ctx.lab.b), &card.place);
            wait::until("the card to be plugged", || monitor.say(&again).ok())?;
            wait::until("a driver for the card", || card.driver())?;
            Ok(())
        })?;
        check_eq!(
            card.driver().as_ref(),
            Some(&before),
            "the new card's driver"
        );
    }
    // The other card's device is in a namespace of this case still.
    give(&cards()?, [&before; 2])?;
    exchange_anew(ctx)
}

fn no_address(_: &Ctx) -> Result<()> {
    if driver(&cards()?)? != card::RUST {
        return Err(skip("the C driver takes such a card"));
    }
    let mut monitor = Monitor::open()?;
    let card = Card {
        place: "0000:00:1e.0".into(),
    };
    monitor.say("netdev_add hubport,id=net9,hubid=9")?;
    monitor.say(&plug("nic9", "net9", "01:00:5e:00:00:01", &card.place))?;
    let said = || -> Result<Vec<String>> {
        let log = kernel_log()?;
        let mine = |l: &&str| {
            // What the bus itself says of it.
            let others = l.contains("enabling device") || l.contains("probe with driver");
            l.contains(&card.place) && l.contains("rust_e1000") && !others
        };
        Ok(log.lines().filter(mine).map(str::to_string).collect())
    };
    let lines = wait::until("a line of the log", || {
        said().ok().filter(|l| !l.is_empty())
    })?;
    check_eq!(lines.len(), 1, "lines of the log: {lines:?}");
    check!(lines[0].contains("no station address"), "{lines:?}");
    // Asked for again, it says so, and nothing of it was kept.
    fs::write(card.path().join("driver_override"), card::RUST)?;
    let bind = fs::write("/sys/bus/pci/drivers/rust_e1000/bind", &card.place);
    check_eq!(
        bind.err().and_then(|e| e.raw_os_error()),
        Some(c::EIO),
        "bind"
    );
    check_eq!(
        card.driver(),
        None,
        "the driver of a card without an address"
    );
    let memory = fs::read_to_string("/proc/iomem")?;
    let mine = memory
        .lines()
        .skip_while(|l| !l.contains(&card.place))
        .nth(1);
    check!(
        !mine.is_some_and(|l| l.contains("rust_e1000")),
        "its memory is still taken: {mine:?}"
    );
    monitor.say("device_del nic9")?;
    wait::until("the card to be gone", || {
        (!card.path().exists()).then_some(())
    })?;
    wait::until("the wire to be gone", || {
        monitor.say("netdev_del net9").ok()
    })
}
