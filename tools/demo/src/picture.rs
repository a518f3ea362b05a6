// SPDX-License-Identifier: GPL-2.0
//! The picture: the functions that the first packets passed, in the order in which they called.

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use netlab::Family;

use crate::observe::Hit;
use crate::observe::Trace;
use crate::steps;
use crate::steps::Step;
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
    let has = |hit: &&Hit, name: &str| hit.stack.iter().any(|s| s.contains(name));
    let down = trace
        .of(Way::Down)
        .find(|h| h.tid == trace.tid && has(h, "sys_sendto"))
        .context("the request was not seen to reach the card")?;
    let up = trace
        .of(Way::Up)
        .find(|h| h.at > down.at && has(h, "e1000_"))
        .context("no data was seen to come up from the card")?;
    let reader = trace
        .of(Way::Reader)
        .find(|h| h.at > up.at && h.tid == trace.tid && has(h, "sys_recvfrom"))
        .context("the reader was not seen to take the data")?;

    let mut text = String::new();
    let mut counts = Vec::new();
    let parts = [
        (
            "The first request, from the system call down to the card",
            down,
            "the wire",
        ),
        (
            "The first data, from the card up to the socket",
            up,
            "the reader sleeps no longer",
        ),
        (
            "The first data, from the socket to the reader",
            reader,
            "the reader's buffer",
        ),
    ];
    for (title, hit, end) in parts {
        let steps = calls(hit);
        let ours = steps.iter().filter(|s| s.who == "RustNet").count();
        if family.is_rustnet() {
            ensure!(ours > 0, "{title}: no function of RustNet was seen");
        }
        counts.push(format!("{} ({ours} of RustNet)", steps.len()));
        let since = (hit.at - down.at) * 1e3;
        text += &format!("\n  {title} (at {since:+.2} ms)\n\n");
        text += &column(&steps);
        text += &format!("           ▼  {end}\n");
    }
    let summary = format!(
        "functions seen: {} down, {} up, {} to the reader",
        counts[0], counts[1], counts[2]
    );
    Ok(Drawing { text, summary })
}

/// The call stack, outermost first, without what only led there.
fn calls(hit: &Hit) -> Vec<Step> {
    let mut all: Vec<Step> = hit
        .stack
        .iter()
        .rev()
        .filter_map(|s| steps::step(s))
        .collect();
    all.dedup();
    all
}

fn column(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        let twin = step.twin.map_or(String::new(), |t| format!("for {t}"));
        let mark = if step.ours { '┃' } else { '│' };
        let line = format!("  {:>16} {mark} {:<48} {twin}", step.who, step.name);
        text += line.trim_end();
        text.push('\n');
    }
    text
}
