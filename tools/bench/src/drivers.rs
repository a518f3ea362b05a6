// SPDX-License-Identifier: GPL-2.0
//! The C driver and the Rust driver of two e1000s of one guest on one hub, in turn, in one boot.
//!
//! Under ICOUNT these are counted instructions of everything that an operation causes: both ends' system
//! calls, stacks and drivers. QEMU's card holds interrupts back by the clock, at least 128 µs from one to the
//! next, so that most of the time nothing is to be done; [`work`] leaves that out.
//!
//! With `--clock` it is throughput and rate of small packets in real time.

use std::fmt;
use std::time::Duration;
use std::time::Instant;

use anyhow::bail;
use anyhow::ensure;
use anyhow::Result;
use netlab::card;
use netlab::card::Card;
use netlab::ktap::Sysc;
use netlab::lab::Lab;
use netlab::lab::Link;
use netlab::module;
use netlab::wait;
use netlab::Family;

use crate::median;
use crate::nic;
use crate::ops::Effort;
use crate::ops::Op;
use crate::work::Absorber;
use crate::Args;

/// Which end has the driver that is measured; the other one has the C driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Both,
    Sends,
    Receives,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Part::Both => "both ends",
            Part::Sends => "sent",
            Part::Receives => "received",
        })
    }
}

impl Part {
    const ALL: [Part; 3] = [Part::Both, Part::Sends, Part::Receives];

    /// The drivers of the sending and the receiving end.
    fn drivers(self) -> [&'static str; 2] {
        match self {
            Part::Both => [card::RUST, card::RUST],
            Part::Sends => [card::RUST, card::C],
            Part::Receives => [card::C, card::RUST],
        }
    }

    /// What is measured of it. A frame over AF_PACKET is the driver and little else.
    fn ops(self) -> &'static [Op] {
        match self {
            Part::Both => &[Op::Floor, Op::UdpRr1, Op::TcpRr1, Op::TcpRr1k],
            _ => &[Op::Frames, Op::LongFrames, Op::TcpBulk],
        }
    }
}

/// A line of the table.
struct Row {
    part: Part,
    op: Op,
    family: Family,
    /// Of the C driver at both ends, and with the Rust driver.
    figures: [Vec<f64>; 2],
}

/// Bytes of a bulk run, unless the command line says less.
const BULK: usize = 16 << 20;
/// The most that the Rust driver may cost, over the C driver, at one end or both. Round trips repeat to three
/// per mille, bulk to a few per cent.
const LIMIT: f64 = 1.005;
const LIMIT_BULK: f64 = 1.03;
/// The least share of the C driver's throughput and rate, by the clock.
const SHARE: f64 = 0.95;

/// Measures both, prints the table, and with `--check` judges it.
pub fn run(args: &Args) -> Result<bool> {
    let cards = Card::all();
    let [.., one, two] = cards.as_slice() else {
        bail!("needs two e1000s on one hub: NIC=pair");
    };
    let cards = [one, two];
    for (name, path) in [
        (card::RUST, "/modules/rust_e1000.ko"),
        ("rustnet", &args.module),
    ] {
        if !module::loaded(name) && (name == card::RUST || args.subject.is_rustnet()) {
            module::insmod(path)?;
        }
    }
    let mut families = vec![Family::INET];
    if args.subject != Family::INET {
        families.push(args.subject);
    }
    if args.clock {
        return by_the_clock(args, cards, &families);
    }
    let mut rows = rows(&families, &args.only);
    ensure!(!rows.is_empty(), "no operation is called {}", args.only);
    let effort = Effort {
        ops: args.ops,
        bulk: args.bulk.min(BULK),
    };
    let settings = [[card::C; 2]]
        .into_iter()
        .chain(Part::ALL.map(Part::drivers));
    for round in 0..args.runs.max(1) {
        for drivers in settings.clone() {
            let n = usize::from(drivers != [card::C; 2]);
            let wanted = |row: &Row| n == 0 || row.part.drivers() == drivers;
            if !rows.iter().any(wanted) {
                continue;
            }
            let lab = lab(cards, drivers)?;
            let _idle = Absorber::start()?;
            for i in 0..rows.len() {
                let Row {
                    part, op, family, ..
                } = rows[i];
                if !wanted(&rows[i]) {
                    continue;
                }
                // What is the same with the C driver at both ends is measured once.
                let same = |r: &Row| r.op == op && r.family == family;
                if n == 0 && rows[..i].iter().any(same) {
                    continue;
                }
                let figure = op.measure(&lab, None, family, effort)?;
                eprintln!(
                    "# round {round}, {} to {}: {} {family} {figure:.3}",
                    drivers[0],
                    drivers[1],
                    op.name()
                );
                for row in rows.iter_mut().filter(|r| same(r)) {
                    if n == 0 || row.part == part {
                        row.figures[n].push(figure);
                    }
                }
            }
        }
    }
    Ok(report(rows, args.check))
}

/// Both ends, the cards with these drivers.
fn lab(cards: [&Card; 2], drivers: [&str; 2]) -> Result<Lab> {
    for card in cards {
        card.unbind()?;
    }
    for (card, driver) in cards.into_iter().zip(drivers) {
        card.bind(driver)?;
    }
    let lab = Lab::new(Link::Nic)?;
    crate::quiesce()?;
    Ok(lab)
}

fn rows(families: &[Family], only: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for part in Part::ALL {
        for &op in part.ops() {
            for &family in families {
                let wanted = op.has_family() || family == Family::INET;
                if wanted && op.name().contains(only) {
                    rows.push(Row {
                        part,
                        op,
                        family,
                        figures: [Vec::new(), Vec::new()],
                    });
                }
            }
        }
    }
    rows
}

fn report(rows: Vec<Row>, check: bool) -> bool {
    println!(
        "{:<20}{:<11}{:<9}{:>10}{:>10}{:>8}",
        "per operation", "", "family", "C driver", "Rust", "ratio"
    );
    let mut held = true;
    for (n, row) in rows.into_iter().enumerate() {
        let Row {
            part,
            op,
            family,
            figures: [c, rust],
        } = row;
        let (c, rust) = (median(c), median(rust));
        let ratio = rust / c;
        let (digits, limit) = match op {
            Op::TcpBulk => (3, LIMIT_BULK),
            _ => (0, LIMIT),
        };
        let (name, family) = (
            op.name(),
            if op.has_family() {
                family.to_string()
            } else {
                "packet".into()
            },
        );
        println!("{name:<20}{part:<11}{family:<9}{c:>10.digits$}{rust:>10.digits$}{ratio:>8.3}");
        if check {
            let word = if ratio <= limit { "ok" } else { "not ok" };
            println!(
                "{word} {} {name} {part} {family}: Rust / C {ratio:.3} (limit {limit})",
                n + 1
            );
            held &= ratio <= limit;
        }
    }
    held
}

/// What is measured by the clock: a name, its unit, and how.
type Pace = (&'static str, fn(&Lab, Family) -> Result<f64>);
const PACES: [Pace; 2] = [("MB/s", nic::throughput), ("small packets/s", rate)];
/// Runs by the clock, the drivers in turn.
const RUNS: usize = 7;

fn by_the_clock(args: &Args, cards: [&Card; 2], families: &[Family]) -> Result<bool> {
    let lines: Vec<(Pace, Family)> = PACES
        .into_iter()
        .flat_map(|p| families.iter().map(move |f| (p, *f)))
        .collect();
    let mut figures = vec![[Vec::new(), Vec::new()]; lines.len()];
    for _ in 0..RUNS {
        for (n, driver) in [card::C, card::RUST].into_iter().enumerate() {
            let lab = lab(cards, [driver; 2])?;
            for (((name, pace), family), figure) in lines.iter().zip(&mut figures) {
                let value = pace(&lab, *family)?;
                eprintln!("# {driver}: {name} {family} {value:.1}");
                figure[n].push(value);
            }
        }
    }
    println!(
        "{:<20}{:<9}{:>10}{:>10}{:>8}",
        "", "family", "C driver", "Rust", "ratio"
    );
    let mut held = true;
    for (n, (((name, _), family), [c, rust])) in lines.into_iter().zip(figures).enumerate() {
        let (c, rust, family) = (median(c), median(rust), family.to_string());
        let ratio = rust / c;
        println!("{name:<20}{family:<9}{c:>10.1}{rust:>10.1}{ratio:>8.3}");
        if args.check {
            let word = if ratio >= SHARE { "ok" } else { "not ok" };
            println!(
                "{word} {} {name} {family}: Rust / C {ratio:.3} (least {SHARE})",
                n + 1
            );
            held &= ratio >= SHARE;
        }
    }
    Ok(held)
}

/// Datagrams of one byte that arrive in a second, sent as fast as they are taken.
fn rate(lab: &Lab, family: Family) -> Result<f64> {
    const DATAGRAMS: u32 = 50_000;
    let (a, b) = (lab.a.udp(family)?, lab.b.udp(family)?);
    b.bind(lab.b.at(0)).sys("bind")?;
    a.connect(b.local().sys("getsockname")?).sys("connect")?;
    std::thread::scope(|s| {
        let start = Instant::now();
        let sender = s.spawn(|| -> Result<()> {
            for _ in 0..DATAGRAMS {
                a.send(&[0], 0).sys("send")?;
            }
            Ok(())
        });
        let (mut came, mut last) = (0u32, start);
        // What the sender is too fast for is lost; the end is when nothing comes any more.
        while wait::poll_fd(&b, netlab::c::POLLIN, Duration::from_millis(300))? != 0 {
            b.recv(&mut [0; 1], 0).sys("recv")?;
            came += 1;
            last = Instant::now();
        }
        sender.join().expect("no panic")?;
        Ok(f64::from(came) / (last - start).as_secs_f64())
    })
}
