// SPDX-License-Identifier: GPL-2.0
//! Watching functions of the kernel with kprobes, through tracefs.
//!
//! kprobes and not the function tracer: Rust code is compiled without its hooks, but a breakpoint can
//! stand on any symbol.

use std::fs;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;

use crate::steps;
use crate::steps::Step;

const TRACING: &str = "/sys/kernel/tracing";

/// One hit of a probe.
#[derive(Clone, Debug)]
pub struct Hit {
    /// Index into the steps.
    pub step: usize,
    /// Thread that ran (whatever ran when the packet came, on the way up).
    pub tid: i32,
    /// Seconds since boot.
    pub at: f64,
}

/// The probes, armed until dropped.
#[derive(Debug)]
pub struct Probes {
    steps: Vec<Step>,
}

/// What was seen.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The table.
    pub steps: Vec<Step>,
    /// The hits in time order.
    pub hits: Vec<Hit>,
    /// The thread that made the system calls.
    pub tid: i32,
}

fn write(file: &str, text: &str) -> Result<()> {
    let path = Path::new(TRACING).join(file);
    fs::write(&path, text).with_context(|| format!("{}: {text}", path.display()))
}

fn append(file: &str, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut f = fs::OpenOptions::new()
        .append(true)
        .open(Path::new(TRACING).join(file))?;
    f.write_all(text.as_bytes())
}

impl Probes {
    /// Sets a probe on every symbol of every step and starts recording.
    pub fn arm() -> Result<Probes> {
        let mut steps = steps::load()?;
        write("tracing_on", "0")?;
        write("trace", "")?;
        let mut set = 0;
        for (i, step) in steps.iter_mut().enumerate() {
            // A function that may not be probed is treated like one that was inlined.
            let mut n = 0;
            step.symbols.retain(|symbol| {
                n += 1;
                append(
                    "kprobe_events",
                    &format!("p:rustnetdemo/s{i}_{n} {symbol}\n"),
                )
                .is_ok()
            });
            set += step.symbols.len();
        }
        anyhow::ensure!(set > 0, "no probe could be set");
        write("events/rustnetdemo/enable", "1")?;
        write("tracing_on", "1")?;
        Ok(Probes { steps })
    }

    /// Stops recording and reads what there is.
    pub fn read(self) -> Result<Trace> {
        write("tracing_on", "0")?;
        let text = fs::read_to_string(Path::new(TRACING).join("trace")).context("trace")?;
        let hits = text.lines().filter_map(parse).collect();
        let steps = self.steps.clone();
        Ok(Trace {
            steps,
            hits,
            tid: uapi::gettid(),
        })
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        let _ = write("events/rustnetdemo/enable", "0");
        for (i, step) in self.steps.iter().enumerate() {
            for n in 1..=step.symbols.len() + 4 {
                let _ = append("kprobe_events", &format!("-:rustnetdemo/s{i}_{n}\n"));
            }
        }
    }
}

/// `    rustnet-demo-123     [000] d..1.    12.345678: s4_1: (symbol+0x0/0x10 [rustnet])`
fn parse(line: &str) -> Option<Hit> {
    if line.starts_with('#') {
        return None;
    }
    let (head, rest) = line.split_once('[')?;
    let tid = head.trim().rsplit('-').next()?.parse().ok()?;
    let mut words = rest.split_whitespace();
    let at = words.find(|w| w.ends_with(':') && w.starts_with(|c: char| c.is_ascii_digit()))?;
    let event = words.next()?.trim_end_matches(':');
    let step = event.strip_prefix('s')?.split('_').next()?.parse().ok()?;
    Some(Hit {
        step,
        tid,
        at: at.trim_end_matches(':').parse().ok()?,
    })
}

#[cfg(test)]
#[allow(non_snake_case)]
mod tests {
    use super::*;

    #[test]
    fn parse__reads_a_hit() {
        let line =
            "    rustnet-demo-123     [000] d..1.    12.345678: s4_1: (f+0x0/0x10 [rustnet])";
        let hit = parse(line).unwrap();
        assert_eq!((hit.step, hit.tid), (4, 123));
        assert!((hit.at - 12.345678).abs() < 1e-9);
        assert!(parse("# tracer: nop").is_none());
    }
}
