// SPDX-License-Identifier: GPL-2.0
//! The picture: the functions that the first packets passed, in the order in which they were seen.

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use netlab::Family;

use crate::observe::Hit;
use crate::observe::Trace;
use crate::steps::Way;

/// The picture and one line about it.
#[derive(Debug)]
pub struct Drawing {
    /// The picture.
    pub text: String,
    /// What it shows, in a line.
    pub summary: String,
}

/// Draws the way of the first request down and of the first data up.
pub fn draw(trace: &Trace, family: Family) -> Result<Drawing> {
    let down = down(trace)?;
    let last = down.last().context("nothing went down")?.at;
    let up = up(trace, last)?;
    let ours = |hits: &[Hit]| {
        hits.iter()
            .filter(|h| trace.steps[h.step].who.starts_with("RustNet"))
            .count()
    };
    let (d, u) = (ours(&down), ours(&up));
    if family.is_rustnet() {
        ensure!(d > 0, "no function of RustNet was seen on the way down");
        ensure!(u > 0, "no function of RustNet was seen on the way up");
    }
    let mut text = String::new();
    text += "\n  The first request, on its way down          (µs since the system call)\n\n";
    text += &column(trace, &down);
    text += "           │\n           ▼  the wire\n           ▲\n           │\n";
    text += &column(trace, &up);
    text += "\n  The first data, on its way up (read downwards: the card first, the reader last)\n";
    let unseen: Vec<&str> = trace
        .steps
        .iter()
        .filter(|s| s.symbols.is_empty() && (family.is_rustnet() || !s.who.starts_with("RustNet")))
        .map(|s| s.matcher.trim_start_matches("rust:"))
        .collect();
    if !unseen.is_empty() {
        text += &format!(
            "  Without a symbol of their own (inlined): {}\n",
            unseen.join(", ")
        );
    }
    let summary = format!(
        "{} functions down ({d} of RustNet), {} up ({u} of RustNet)",
        down.len(),
        up.len()
    );
    Ok(Drawing { text, summary })
}

fn step_named(trace: &Trace, symbol: &str) -> Option<usize> {
    trace.steps.iter().position(|s| s.matcher == symbol)
}

/// From our thread's first send to the driver.
fn down(trace: &Trace) -> Result<Vec<Hit>> {
    let send = step_named(trace, "__sys_sendto").context("no such step")?;
    let xmit = step_named(trace, "e1000_xmit_frame").context("no such step")?;
    let first = trace
        .hits
        .iter()
        .position(|h| h.step == send && h.tid == trace.tid);
    let rest = &trace.hits[first.context("the request's system call was not seen")?..];
    // A packet may leave in a softirq that another thread runs, so no thread is asked for here.
    let end = rest
        .iter()
        .position(|h| h.step == xmit)
        .context("the card was not seen to send")?;
    Ok(once(trace, &rest[..=end], Way::Down))
}

/// From the interrupt that brought the first data to the reader.
fn up(trace: &Trace, after: f64) -> Result<Vec<Hit>> {
    let clean = step_named(trace, "e1000_clean").context("no such step")?;
    let wake = step_named(trace, "sock_def_readable").context("no such step")?;
    let hits: Vec<Hit> = trace
        .hits
        .iter()
        .filter(|h| h.at > after)
        .cloned()
        .collect();
    // The first wake-up that follows a poll of the card: an ACK alone wakes nobody.
    let mut start = None;
    for (i, h) in hits.iter().enumerate() {
        if h.step == clean {
            start = Some(i);
        } else if h.step == wake {
            if let Some(start) = start {
                // What the reader does once awake belongs to the picture as well.
                let end = (i + 40).min(hits.len());
                return Ok(once(trace, &hits[start..end], Way::Up));
            }
        }
    }
    // Nobody slept: then there is no wake-up, but there is a poll.
    let start = start.context("the card was not seen to receive")?;
    Ok(once(trace, &hits[start..], Way::Up))
}

/// The first hit of each step of one way, in order of time.
fn once(trace: &Trace, hits: &[Hit], way: Way) -> Vec<Hit> {
    let mut seen = std::collections::HashSet::new();
    hits.iter()
        .filter(|h| trace.steps[h.step].way == way && seen.insert(h.step))
        .cloned()
        .collect()
}

fn column(trace: &Trace, hits: &[Hit]) -> String {
    let mut text = String::new();
    let start = hits.first().map_or(0.0, |h| h.at);
    for h in hits {
        let step = &trace.steps[h.step];
        let twin = match step.twin.as_str() {
            "-" => String::new(),
            twin => format!("in place of {twin}"),
        };
        let at = (h.at - start) * 1e6;
        let name = &step.name;
        text += &format!("  {at:>7.0}  │ {:<17} {name:<44} {twin}\n", step.who);
    }
    text
}
