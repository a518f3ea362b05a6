// SPDX-License-Identifier: GPL-2.0
//! Bulk transfers over a path that loses, delays and reorders: goodput of both families.
//!
//! Under ICOUNT the guest's clock counts instructions, so that a run repeats exactly and that waiting for
//! the far end takes no time of the machine's. Where the path is slow, this compares what both stacks
//! make of losses; without a delay, it compares what recovery costs.

mod path;
mod table;

use std::collections::BTreeMap;

use anyhow::Context;
use anyhow::Result;
use netlab::kstate;
use netlab::ktap::Sysc;
use netlab::lab::End;
use netlab::module;
use netlab::tcpinfo::TcpInfo;
use netlab::Family;

use crate::median;
use crate::ops::bulk;
use crate::ops::connected;
use crate::Args;

use self::path::Path;

/// Per thousand, either way: of the segments and of the acknowledgements.
const LOSSES: [u32; 4] = [0, 1, 10, 30];
/// Milliseconds.
const RTTS: [u32; 3] = [0, 20, 100];
/// The least share of AF_INET's goodput.
const SHARE: f64 = 0.9;

/// What the path does to packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Conditions {
    /// Of a thousand packets, how many are lost.
    loss: u32,
    /// The round-trip time that the path adds, ms.
    rtt: u32,
    /// Whether one segment in fifty arrives [`path::LATE_MS`] late, behind those sent after it.
    reorder: bool,
}

impl Conditions {
    fn all() -> impl Iterator<Item = Conditions> {
        [false, true].into_iter().flat_map(|reorder| {
            LOSSES.into_iter().flat_map(move |loss| {
                RTTS.into_iter()
                    .map(move |rtt| Conditions { loss, rtt, reorder })
            })
        })
    }

    /// The name by which `--only` picks it.
    fn name(self) -> String {
        let order = if self.reorder { "/reorder" } else { "" };
        format!("{}/{}ms{order}", self.loss_percent(), self.rtt)
    }

    fn loss_percent(self) -> String {
        format!("{}%", f64::from(self.loss) / 10.0)
    }

    /// Bytes of one transfer. Without a delay one timeout decides, so there is need for more.
    fn bytes(self) -> usize {
        match (self.loss, self.rtt) {
            (_, 0) => 16 << 20,
            (0 | 1, _) => 8 << 20,
            (10, _) => 4 << 20,
            _ => 2 << 20,
        }
    }
}

/// What one transfer showed.
#[derive(Clone, Copy, Debug)]
struct Transfer {
    /// MB/s of user data.
    goodput: f64,
    /// Segments sent again, of a hundred sent.
    again: f64,
}

/// One line of the table: medians.
struct Row {
    at: Conditions,
    inet: Transfer,
    subject: Transfer,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.subject.goodput / self.inet.goodput
    }
}

/// Measures all, prints the table, writes it to the file of `--rst`, and with `--check` judges it.
pub fn run(args: &Args) -> Result<bool> {
    if args.subject.is_rustnet() && !module::loaded("rustnet") {
        module::insmod(&args.module)?;
    }
    let mut path = Path::new()?;
    crate::quiesce()?;
    let mut rows = Vec::new();
    let picked = |c: &Conditions| args.only.split(',').any(|o| c.name().starts_with(o));
    for at in Conditions::all().filter(picked) {
        let (mut inet, mut ours) = (Vec::new(), Vec::new());
        for seed in 1..=args.seeds.max(1) {
            // In turn, so that neither is always the first.
            let ours_first = seed % 2 == 0;
            for is_ours in [ours_first, !ours_first] {
                let family = if is_ours { args.subject } else { Family::INET };
                let name = at.name();
                path.impair(at, seed)?;
                let before = args.explain.then(|| counters(&path)).transpose()?;
                let got = transfer(&path, family, at.bytes(), args.explain)
                    .with_context(|| format!("{name}, seed {seed}, {family}"))?;
                eprintln!(
                    "# {name} seed {seed} {family}: {:.3} MB/s, {:.2}% sent again",
                    got.goodput, got.again
                );
                if let Some(before) = before {
                    explain(&before, &counters(&path)?);
                }
                if is_ours {
                    ours.push(got);
                } else {
                    inet.push(got);
                }
            }
        }
        rows.push(Row {
            at,
            inet: middle(&inet),
            subject: middle(&ours),
        });
    }
    print!("{}", table::text(&rows, args.subject));
    if let Some(file) = &args.rst {
        std::fs::write(file, table::rst(&rows, args.subject, args.seeds))
            .with_context(|| file.clone())?;
    }
    if !args.check {
        return Ok(true);
    }
    for (n, row) in rows.iter().enumerate() {
        let word = if row.ratio() >= SHARE { "ok" } else { "not ok" };
        println!(
            "{word} {} {}: {} / inet {:.3} (least {SHARE})",
            n + 1,
            row.at.name(),
            args.subject,
            row.ratio()
        );
    }
    Ok(rows.iter().all(|r| r.ratio() >= SHARE))
}

fn middle(all: &[Transfer]) -> Transfer {
    Transfer {
        goodput: median(all.iter().map(|t| t.goodput).collect()),
        again: median(all.iter().map(|t| t.again).collect()),
    }
}

fn transfer(path: &Path, family: Family, bytes: usize, explain: bool) -> Result<Transfer> {
    let (client, server) = connected(&path.lab, family)?;
    let took = bulk(&client, &server, bytes)?;
    let info = TcpInfo::of(&client).sys("TCP_INFO")?;
    if explain {
        for (who, end) in [("sender", &client), ("receiver", &server)] {
            let all: Vec<String> = TcpInfo::of(end)
                .sys("TCP_INFO")?
                .all()
                .into_iter()
                .filter_map(|(name, value)| Some(format!("{name} {}", value?)))
                .collect();
            eprintln!("#   {who}: {}", all.join(", "));
        }
    }
    let sent = info.data_segs_out().unwrap_or(0).max(1);
    // A reset: nothing is left that could send while the next one is measured.
    client.linger(true, 0).sys("SO_LINGER")?;
    server.linger(true, 0).sys("SO_LINGER")?;
    Ok(Transfer {
        goodput: bytes as f64 / 1e6 / took.as_secs_f64(),
        again: 100.0 * f64::from(info.total_retrans().unwrap_or(0)) / f64::from(sent),
    })
}

/// TCP's counters at both ends.
fn counters(path: &Path) -> Result<[BTreeMap<String, u64>; 2]> {
    let of = |end: &End| -> Result<BTreeMap<String, u64>> {
        let mut all = kstate::netstat_all(&end.ns, "TcpExt")?;
        for name in ["InSegs", "OutSegs"] {
            all.insert(name.into(), kstate::snmp(&end.ns, "Tcp", name)?);
        }
        Ok(all)
    };
    Ok([of(&path.lab.a)?, of(&path.lab.b)?])
}

/// Prints which of them have moved.
fn explain(before: &[BTreeMap<String, u64>; 2], after: &[BTreeMap<String, u64>; 2]) {
    for (who, (before, after)) in ["sender", "receiver"].iter().zip(before.iter().zip(after)) {
        let moved: Vec<String> = after
            .iter()
            .filter_map(|(name, n)| {
                let by = n.wrapping_sub(*before.get(name)?);
                (by != 0).then(|| format!("{name} {by}"))
            })
            .collect();
        eprintln!("#   {who}: {}", moved.join(", "));
    }
}
