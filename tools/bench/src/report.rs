// SPDX-License-Identifier: GPL-2.0
//! The table, the JSON and the verdicts.

use netlab::Family;

use crate::memory::Memory;
use crate::ops::Op;

/// What was measured of one operation: medians, in nanoseconds per operation.
#[derive(Clone, Debug)]
pub struct Row {
    /// The operation.
    pub op: Op,
    /// AF_INET before the module was loaded.
    pub before: Option<f64>,
    /// AF_INET beside the subject.
    pub inet: Option<f64>,
    /// The subject.
    pub subject: Option<f64>,
}

/// Everything that one boot showed.
#[derive(Debug)]
pub struct Figures {
    /// The family compared with AF_INET.
    pub subject: Family,
    /// One per operation.
    pub rows: Vec<Row>,
    /// AF_INET's memory.
    pub inet_memory: Option<Memory>,
    /// The subject's memory.
    pub subject_memory: Option<Memory>,
}

/// One limit and how it was kept.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What is limited.
    pub name: String,
    /// The figure.
    pub value: f64,
    /// Its limit.
    pub limit: f64,
}

impl Verdict {
    /// Whether the limit is kept.
    pub fn held(&self) -> bool {
        self.value <= self.limit
    }
}

/// The speed limit of the design: subject over AF_INET.
const SPEED: f64 = 1.2;
/// How much slower AF_INET may become by the module's presence, as a ratio.
const HOST_TAX: f64 = 1.02;
/// Memory: no more than AF_INET; the half per cent is what the same family differs from itself.
const MEMORY: f64 = 1.005;

fn ratio(x: Option<f64>, y: Option<f64>) -> Option<f64> {
    Some(x? / y?)
}

impl Figures {
    fn floor(&self) -> Option<f64> {
        let row = self.rows.iter().find(|r| r.op == Op::Floor)?;
        row.inet.or(row.before)
    }

    fn memory_rows(&self) -> Vec<(&'static str, Option<f64>, Option<f64>)> {
        let (i, s) = (self.inet_memory.as_ref(), self.subject_memory.as_ref());
        let established = |m: &Memory| m.established.bytes;
        let time_wait = |m: &Memory| m.time_wait.bytes;
        vec![
            (
                "slab_per_established",
                i.map(established),
                s.map(established),
            ),
            ("slab_per_time_wait", i.map(time_wait), s.map(time_wait)),
        ]
    }

    /// Every limit that the figures allow to be judged.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let mut all = Vec::new();
        let mut judge = |name: String, value: Option<f64>, limit| {
            if let Some(value) = value {
                all.push(Verdict { name, value, limit });
            }
        };
        for row in self.rows.iter().filter(|r| r.op != Op::Floor) {
            let name = row.op.name();
            judge(
                format!("{name}: {} / inet", self.subject),
                ratio(row.subject, row.inet),
                SPEED,
            );
            judge(
                format!("{name}: host tax"),
                ratio(row.inet, row.before),
                HOST_TAX,
            );
        }
        for (name, inet, subject) in self.memory_rows() {
            judge(
                format!("{name}: {} / inet", self.subject),
                ratio(subject, inet),
                MEMORY,
            );
        }
        all
    }

    /// The table for people.
    pub fn table(&self) -> String {
        let mut t = format!(
            "{:<22}{:>12}{:>12}{:>12}{:>8}{:>10}{:>10}\n",
            "per operation",
            "inet before",
            "inet after",
            self.subject.to_string(),
            "ratio",
            "host tax",
            "floor"
        );
        let floor = self.floor();
        if let Some(floor) = floor {
            t += &format!("{:<68}{:>20}\n", Op::Floor.name(), figure(Some(floor)));
        }
        for row in self.rows.iter().filter(|r| r.op != Op::Floor) {
            let floor = floor.filter(|_| row.op.has_floor());
            let tax = ratio(row.inet, row.before).map(|r| (r - 1.0) * 100.0);
            t += &format!(
                "{:<22}{:>12}{:>12}{:>12}{:>8}{:>10}{:>10}\n",
                row.op.name(),
                figure(row.before),
                figure(row.inet),
                figure(row.subject),
                ratio(row.subject, row.inet).map_or("-".into(), |r| format!("{r:.3}")),
                tax.map_or("-".into(), |p| format!("{p:+.2}%")),
                figure(floor),
            );
        }
        for (name, inet, subject) in self.memory_rows() {
            t += &format!(
                "{:<22}{:>12}{:>12}{:>12}{:>8}\n",
                name,
                "-",
                figure(inet),
                figure(subject),
                ratio(subject, inet).map_or("-".into(), |r| format!("{r:.3}")),
            );
        }
        t += "units: ns of the guest's clock (under ICOUNT=1: instructions); slab: bytes\n";
        t + &self.breakdown()
    }

    /// What an established socket and a TIME_WAIT are made of.
    fn breakdown(&self) -> String {
        let mut t = String::new();
        let both = [
            (Family::INET, self.inet_memory.as_ref()),
            (self.subject, self.subject_memory.as_ref()),
        ];
        for (family, memory) in both {
            let Some(memory) = memory else { continue };
            for (what, cost) in [
                ("established", &memory.established),
                ("TIME_WAIT", &memory.time_wait),
            ] {
                let parts: Vec<String> = cost
                    .caches
                    .iter()
                    .take(8)
                    .map(|(name, count, share)| format!("{name} {count:.2}×{share}"))
                    .collect();
                t += &format!("  {family} {what}: {}\n", parts.join(", "));
            }
        }
        t
    }

    /// The same for machines.
    pub fn json(&self) -> String {
        let num = |v: Option<f64>| v.map_or("null".to_string(), |v| format!("{v:.3}"));
        let mut rows: Vec<String> = self
            .rows
            .iter()
            .map(|r| {
                format!(
                    "    {{\"name\": \"{}\", \"inet_before\": {}, \"inet\": {}, \"subject\": {}}}",
                    r.op.name(),
                    num(r.before),
                    num(r.inet),
                    num(r.subject)
                )
            })
            .collect();
        for (name, inet, subject) in self.memory_rows() {
            rows.push(format!(
                "    {{\"name\": \"{name}\", \"inet_before\": null, \"inet\": {}, \"subject\": {}}}",
                num(inet),
                num(subject)
            ));
        }
        let verdicts: Vec<String> = self
            .verdicts()
            .iter()
            .map(|v| {
                format!(
                    "    {{\"name\": \"{}\", \"value\": {:.4}, \"limit\": {}, \"held\": {}}}",
                    v.name,
                    v.value,
                    v.limit,
                    v.held()
                )
            })
            .collect();
        format!(
            "{{\n  \"subject\": \"{}\",\n  \"rows\": [\n{}\n  ],\n  \"verdicts\": [\n{}\n  ]\n}}\n",
            self.subject,
            rows.join(",\n"),
            verdicts.join(",\n")
        )
    }
}

/// A figure with as many digits as mean something.
fn figure(v: Option<f64>) -> String {
    match v {
        None => "-".into(),
        Some(v) if v < 100.0 => format!("{v:.3}"),
        Some(v) => format!("{v:.0}"),
    }
}
