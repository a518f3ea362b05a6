// SPDX-License-Identifier: GPL-2.0
//! `rustnet-bench`: AF_RUSTNET beside AF_INET, in one boot.
//!
//! The order matters. AF_INET is measured on a kernel that has never seen the module; then the module
//! is loaded and both families are measured in turn, so that a drift of the machine hits both alike.
//! Every run uses the same two namespaces: taking one down costs instructions at some later time, and
//! that time must not lie inside a measurement.

mod drivers;
mod loss;
mod memory;
mod nic;
mod ops;
mod report;
mod router;
mod routes;
mod work;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use clap::Parser;
use netlab::lab::Lab;
use netlab::lab::Link;
use netlab::module;
use netlab::Family;

use crate::ops::Effort;
use crate::ops::Op;
use crate::report::Figures;
use crate::report::Row;
use crate::router::Router;

/// Measures AF_RUSTNET beside AF_INET over veth, and loads the module at the right moment.
#[derive(Debug, Parser)]
struct Args {
    /// The family to compare with AF_INET: rustnet, inet (a ratio of 1 proves the ruler) or a number.
    #[arg(long, default_value = "rustnet")]
    subject: Family,
    /// The module to load between the two measurements of AF_INET.
    #[arg(long, default_value = module::RUSTNET_KO)]
    module: String,
    /// Round trips or connections in one run.
    #[arg(long, default_value_t = 2000)]
    ops: u32,
    /// Bytes of one bulk run.
    #[arg(long, default_value_t = 100_000_000)]
    bulk: usize,
    /// Runs of each operation; the median counts. Bulk always takes at least five.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Only operations whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Connections for weighing memory; 0 leaves it out.
    #[arg(long, default_value_t = 10_000)]
    sockets: usize,
    /// Leave AF_INET out: for scripts/profile.
    #[arg(long)]
    alone: bool,
    /// Whose idle sockets are there meanwhile; the subject's by default.
    #[arg(long)]
    beside: Option<Family>,
    /// Throughput over two e1000s in real time instead: not for an ICOUNT guest.
    #[arg(long)]
    nic: bool,
    /// The two drivers of two e1000s beside each other instead.
    #[arg(long)]
    drivers: bool,
    /// With --drivers: throughput and rate of small packets in real time, not for an ICOUNT guest.
    #[arg(long)]
    clock: bool,
    /// Goodput over a path that loses, delays and reorders instead.
    #[arg(long)]
    loss: bool,
    /// With --loss: seeds of the losses; the median counts.
    #[arg(long, default_value_t = 15)]
    seeds: u32,
    /// With --loss: say after each transfer which counters of TcpExt have moved.
    #[arg(long)]
    explain: bool,
    /// With --loss: write the table to this file, too, in reStructuredText.
    #[arg(long)]
    rst: Option<String>,
    /// So many routes instead: what they cost to add, to keep and to find.
    #[arg(long)]
    routes: Option<u32>,
    /// Print JSON instead of the table.
    #[arg(long)]
    json: bool,
    /// Judge the figures by the design's limits: one line each, and the exit status.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("rustnet-bench: {e:#}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<bool> {
    if args.nic {
        return nic::run(args.subject, &args.module, args.check);
    }
    if args.drivers {
        return drivers::run(args);
    }
    if let Some(n) = args.routes {
        return routes::run(args.subject, &args.module, n);
    }
    if args.loss {
        return loss::run(args);
    }
    let figures = measure(args)?;
    if args.json {
        print!("{}", figures.json());
    } else {
        print!("{}", figures.table());
    }
    if !args.check {
        return Ok(true);
    }
    let verdicts = figures.verdicts();
    for (i, v) in verdicts.iter().enumerate() {
        let word = if v.held() { "ok" } else { "not ok" };
        println!(
            "{word} {} {} {:.3} (limit {})",
            i + 1,
            v.name,
            v.value,
            v.limit
        );
    }
    Ok(verdicts.iter().all(report::Verdict::held))
}

fn measure(args: &Args) -> Result<Figures> {
    let effort = Effort {
        ops: args.ops,
        bulk: args.bulk,
    };
    let ops: Vec<Op> = Op::ALL
        .into_iter()
        .filter(|op| op.name().contains(&args.only))
        .collect();
    let lab = Lab::new(Link::Veth)?;
    let router = Router::new()?;
    let router = Some(&router);
    for end in [&lab.a, &lab.b] {
        end.ns.sysctl("net/ipv4/tcp_max_tw_buckets", "262144")?;
    }
    let subject = args.subject;
    let mut rows: Vec<Row> = ops
        .iter()
        .map(|&op| Row {
            op,
            before: None,
            inet: None,
            subject: None,
        })
        .collect();

    quiesce()?;
    let fresh = subject.is_rustnet() && !module::loaded("rustnet") && !args.alone;
    if fresh {
        for row in &mut rows {
            step(&format!("{} inet, before the module", row.op.name()));
            row.before = Some(repeat(args.runs_of(row.op), || {
                row.op.measure(&lab, router, Family::INET, effort)
            })?);
        }
        module::insmod(&args.module)?;
        quiesce()?;
    } else if subject.is_rustnet() && !args.alone {
        eprintln!("rustnet-bench: the module is loaded already, so the host tax is not measured");
    }

    // RustNet only looks at packets where it has sockets. The tax is what the host pays beside them.
    let beside = args.beside.unwrap_or(subject);
    let presence = [
        lab.a.tcp(beside)?,
        lab.b.tcp(beside)?,
        lab.a.udp(beside)?,
        lab.b.udp(beside)?,
    ];
    for row in &mut rows {
        if row.op == Op::Floor {
            if row.before.is_none() {
                row.inet = Some(repeat(args.runs, || {
                    row.op.measure(&lab, router, subject, effort)
                })?);
            }
            continue;
        }
        step(&format!("{} inet and {subject} in turn", row.op.name()));
        let (mut inet, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..args.runs_of(row.op) {
            if !args.alone {
                inet.push(row.op.measure(&lab, router, Family::INET, effort)?);
            }
            ours.push(row.op.measure(&lab, router, subject, effort)?);
        }
        row.inet = (!args.alone).then(|| median(inet));
        row.subject = Some(median(ours));
    }
    drop(presence);
    drop(lab);

    let mut figures = Figures {
        subject,
        rows,
        inet_memory: None,
        subject_memory: None,
    };
    if args.sockets > 0 && (args.only.is_empty() || "slab".contains(&args.only)) {
        step("memory, inet");
        figures.inet_memory = Some(memory::weigh(Family::INET, args.sockets)?);
        step(&format!("memory, {subject}"));
        let weighed = memory::weigh(subject, args.sockets).context("weighing the subject");
        figures.subject_memory = Some(weighed?);
    }
    Ok(figures)
}

impl Args {
    /// Bulk repeats to a few per cent only, round trips to three per mille.
    fn runs_of(&self, op: Op) -> usize {
        if op == Op::TcpBulk {
            self.runs.max(5)
        } else {
            self.runs
        }
    }
}

/// Says on standard error what is being done: a run takes minutes under emulation.
fn step(what: &str) {
    eprintln!("# {what}");
}

/// Waits until nobody else wants the CPU: a fresh boot still runs the crypto code's self-tests, whose
/// time slices would be counted as ours.
fn quiesce() -> Result<()> {
    let mut calm = 0;
    netlab::wait::until_for(Duration::from_secs(60), "an otherwise idle machine", || {
        let stat = std::fs::read_to_string("/proc/stat").ok()?;
        let alone = stat.lines().any(|l| l == "procs_running 1");
        calm = if alone { calm + 1 } else { 0 };
        (calm >= 50).then_some(())
    })
}

fn repeat(runs: usize, mut run: impl FnMut() -> Result<f64>) -> Result<f64> {
    Ok(median(
        (0..runs.max(1)).map(|_| run()).collect::<Result<_>>()?,
    ))
}

/// The middle value; of an even number, the mean of the middle two.
pub(crate) fn median(mut v: Vec<f64>) -> f64 {
    v.sort_by(f64::total_cmp);
    let mid = v.len() / 2;
    if v.len() % 2 == 1 {
        v[mid]
    } else {
        (v[mid - 1] + v[mid]) / 2.0
    }
}
