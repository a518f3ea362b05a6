// SPDX-License-Identifier: GPL-2.0
//! Watching the kernel through tracefs: probes whose every hit keeps its call stack.

use std::fs;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;

use crate::steps;
use crate::steps::Way;

const TRACING: &str = "/sys/kernel/tracing";
const GROUP: &str = "rustnetdemo";

/// One hit of a probe.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Index into [`steps::probes`].
    pub probe: usize,
    /// Thread that ran (whatever ran when the packet came, on the way up).
    pub tid: i32,
    /// Seconds since boot.
    pub at: f64,
    /// The call stack, innermost function first.
    pub stack: Vec<String>,
}

/// The probes, armed until dropped.
#[derive(Debug)]
pub struct Probes(());

/// What was seen.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The hits in time order.
    pub hits: Vec<Hit>,
    /// The thread that made the system calls.
    pub tid: i32,
}

impl Trace {
    /// The hits of one way.
    pub fn of(&self, way: Way) -> impl Iterator<Item = &Hit> {
        let probes = steps::probes();
        self.hits
            .iter()
            .filter(move |h| probes.get(h.probe).is_some_and(|p| p.way == way))
    }
}

fn write(file: &str, text: &str) -> Result<()> {
    let path = Path::new(TRACING).join(file);
    fs::write(&path, text).with_context(|| format!("{}: {text}", path.display()))
}

fn append(file: &str, text: &str) -> Result<()> {
    use std::io::Write;
    let path = Path::new(TRACING).join(file);
    let mut f = fs::OpenOptions::new().append(true).open(&path)?;
    f.write_all(text.as_bytes())
        .with_context(|| text.trim().to_string())
}

impl Probes {
    /// Sets the probes and starts recording.
    pub fn arm() -> Result<Probes> {
        write("tracing_on", "0")?;
        write("trace", "")?;
        for (i, probe) in steps::probes().iter().enumerate() {
            // The card has one driver or another.
            let mut armed = Ok(());
            for symbol in probe.symbol.split_whitespace() {
                armed = append("kprobe_events", &format!("p:{GROUP}/s{i} {symbol}\n"));
                if armed.is_ok() {
                    break;
                }
            }
            armed?;
        }
        let armed = Probes(());
        write("options/stacktrace", "1")?;
        write(&format!("events/{GROUP}/enable"), "1")?;
        write("tracing_on", "1")?;
        Ok(armed)
    }

    /// Stops recording and reads what there is.
    pub fn read(self) -> Result<Trace> {
        write("tracing_on", "0")?;
        let text = fs::read_to_string(Path::new(TRACING).join("trace")).context("trace")?;
        Ok(Trace {
            hits: parse(&text),
            tid: uapi::gettid(),
        })
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        let _ = write(&format!("events/{GROUP}/enable"), "0");
        let _ = write("options/stacktrace", "0");
        for i in 0..steps::probes().len() {
            let _ = append("kprobe_events", &format!("-:{GROUP}/s{i}\n"));
        }
    }
}

/// Hits, each followed by its stack on lines that begin with an arrow.
fn parse(text: &str) -> Vec<Hit> {
    let mut hits: Vec<Hit> = Vec::new();
    for line in text.lines() {
        if let Some(symbol) = line.trim_start().strip_prefix("=> ") {
            if let Some(hit) = hits.last_mut() {
                let name = symbol.split(['+', ' ']).next().unwrap_or(symbol);
                hit.stack.push(name.to_string());
            }
        } else {
            hits.extend(parse_hit(line));
        }
    }
    hits
}

/// `    rustnet-demo-123     [000] d..1.    12.345678: s4: (symbol+0x0/0x10)`
fn parse_hit(line: &str) -> Option<Hit> {
    if line.starts_with('#') {
        return None;
    }
    let (head, rest) = line.split_once('[')?;
    let tid = head.trim().rsplit('-').next()?.parse().ok()?;
    let mut words = rest.split_whitespace();
    let at = words.find(|w| w.ends_with(':') && w.starts_with(|ch: char| ch.is_ascii_digit()))?;
    let at = at.trim_end_matches(':').parse().ok()?;
    let event = words.next()?.trim_end_matches(':');
    let probe = event.strip_prefix('s')?.parse().ok()?;
    Some(Hit {
        probe,
        tid,
        at,
        stack: Vec::new(),
    })
}

#[cfg(test)]
#[allow(non_snake_case)]
mod tests {
    use super::*;

    #[test]
    fn parse__reads_hits_with_their_stacks() {
        let text = "\
# tracer: nop
    rustnet-demo-123     [000] d..1.    12.345678: s1: (f+0x0/0x10)
    rustnet-demo-123     [000] d..1.    12.345680: <stack trace>
 => f
 => _RNvC1a1b
          <idle>-0       [001] ..s2.    12.345690: s0: (g+0x0/0x10)
";
        let hits = parse(text);
        assert_eq!(hits.len(), 2);
        assert_eq!((hits[0].probe, hits[0].tid), (1, 123));
        assert_eq!(hits[0].stack, ["f", "_RNvC1a1b"]);
        assert!((hits[0].at - 12.345678).abs() < 1e-9);
        assert_eq!((hits[1].probe, hits[1].tid), (0, 0));
    }
}
