// SPDX-License-Identifier: GPL-2.0
//! The C driver and the Rust driver of two e1000s of one guest on one hub, in turn, in one boot.
//!
//! Under ICOUNT these are counted instructions of everything that an operation causes: both ends' system
//! calls, stacks and drivers. QEMU's card holds interrupts back by the clock, so that most of the time
//! nothing is to be done; an [`Absorber`] takes that time and says how much it was.

use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use anyhow::ensure;
use anyhow::Result;
use netlab::card;
use netlab::card::Card;
use netlab::lab::Lab;
use netlab::lab::Link;
use netlab::module;
use netlab::Family;

use crate::median;
use crate::ops::Effort;
use crate::ops::Op;
use crate::Args;

/// What is measured of each driver and family. The floor is frames over AF_PACKET: the driver and little
/// else.
const OPS: [Op; 5] = [Op::Floor, Op::UdpRr1, Op::TcpRr1, Op::TcpRr1k, Op::TcpBulk];
/// Bytes of a bulk run, unless the command line says less.
const BULK: usize = 16 << 20;
/// The most that the Rust driver may cost, over the C driver. Round trips repeat to three per mille, bulk to
/// a few per cent.
const LIMIT: f64 = 1.005;
const LIMIT_BULK: f64 = 1.03;

/// Measures both, prints the table, and with `--check` judges it.
pub fn run(args: &Args) -> Result<bool> {
    let cards = Card::all();
    ensure!(cards.len() >= 2, "needs two e1000s on one hub: NIC=pair");
    if !module::loaded(card::RUST) {
        module::insmod("/modules/rust_e1000.ko")?;
    }
    if args.subject.is_rustnet() && !module::loaded("rustnet") {
        module::insmod(&args.module)?;
    }
    let families = if args.subject == Family::INET {
        vec![Family::INET]
    } else {
        vec![Family::INET, args.subject]
    };
    let rows: Vec<(Op, Family)> = OPS
        .into_iter()
        .flat_map(|op| families.iter().map(move |f| (op, *f)))
        .filter(|(op, f)| *op != Op::Floor || *f == Family::INET)
        .filter(|(op, _)| op.name().contains(&args.only))
        .collect();
    let effort = Effort {
        ops: args.ops,
        bulk: args.bulk.min(BULK),
    };
    let mut figures = vec![[Vec::new(), Vec::new()]; rows.len()];
    for round in 0..args.runs.max(1) {
        for (d, driver) in [card::C, card::RUST].into_iter().enumerate() {
            // Both at once, or the names of the devices would change places.
            cards.iter().try_for_each(Card::unbind)?;
            cards.iter().try_for_each(|c| c.bind(driver))?;
            let lab = Lab::new(Link::Nic)?;
            crate::quiesce()?;
            let absorber = Absorber::start()?;
            for ((op, family), figure) in rows.iter().zip(&mut figures) {
                eprintln!("# round {round}, {driver}, {} {family}", op.name());
                figure[d].push(busy(&absorber, *op, effort, || {
                    op.measure(&lab, *family, effort).map(drop)
                })?);
            }
        }
    }
    println!(
        "{:<22}{:<10}{:>12}{:>12}{:>8}",
        "per operation", "family", "C driver", "Rust", "ratio"
    );
    let mut held = true;
    for (n, ((op, family), [c, rust])) in rows.iter().zip(figures).enumerate() {
        let (c, rust) = (median(c), median(rust));
        let (ratio, digits) = (rust / c, if *op == Op::TcpBulk { 3 } else { 0 });
        let family = family.to_string();
        let name = op.name();
        println!("{name:<22}{family:<10}{c:>12.digits$}{rust:>12.digits$}{ratio:>8.3}");
        if args.check {
            let limit = if *op == Op::TcpBulk {
                LIMIT_BULK
            } else {
                LIMIT
            };
            let word = if ratio <= limit { "ok" } else { "not ok" };
            println!(
                "{word} {} {name} {family}: Rust / C {ratio:.3} (limit {limit})",
                n + 1
            );
            held &= ratio <= limit;
        }
    }
    Ok(held)
}

/// Nanoseconds of work for one operation, without the time when there was nothing to do. Laying the
/// connection counts, too; that is the same for both drivers.
fn busy(
    absorber: &Absorber,
    op: Op,
    effort: Effort,
    f: impl FnOnce() -> Result<()>,
) -> Result<f64> {
    let (start, turns) = (Instant::now(), absorber.turns());
    f()?;
    let idle = (absorber.turns() - turns) as f64 * absorber.ns_per_turn;
    let work = start.elapsed().as_nanos() as f64 - idle;
    Ok(work / effort.total(op) as f64)
}

/// A thread that only runs when nothing else wants to, and counts its turns.
struct Absorber {
    turns: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    ns_per_turn: f64,
}

impl Absorber {
    fn start() -> Result<Absorber> {
        let (turns, stop) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (tell, tid) = mpsc::channel();
        let thread = std::thread::spawn({
            let (turns, stop) = (turns.clone(), stop.clone());
            move || {
                let _ = tell.send(uapi::gettid());
                while !stop.load(Ordering::Relaxed) {
                    turns.store(turns.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                }
            }
        });
        let mut new = Absorber {
            turns,
            stop,
            thread: Some(thread),
            ns_per_turn: 0.0,
        };
        let how = format!(
            "import os; os.sched_setscheduler({}, os.SCHED_IDLE, os.sched_param(0))",
            tid.recv()?
        );
        let done = Command::new("python3").args(["-c", &how]).status()?;
        ensure!(done.success(), "SCHED_IDLE was refused");
        // What a turn takes, with the clock's own interrupts in it.
        let (start, turns) = (Instant::now(), new.turns());
        std::thread::sleep(Duration::from_millis(100));
        let taken = new.turns() - turns;
        ensure!(taken > 0, "nothing was left for the absorber");
        new.ns_per_turn = start.elapsed().as_nanos() as f64 / taken as f64;
        Ok(new)
    }

    fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }
}

impl Drop for Absorber {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
