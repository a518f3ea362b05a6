// SPDX-License-Identifier: GPL-2.0
//! What has happened so far, for the message of a failure.

use crate::clock;
use crate::script::Usec;

/// One line of the story.
#[derive(Debug)]
struct Entry {
    line: usize,
    time: Usec,
    text: String,
}

/// The story of a script.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    entries: Vec<Entry>,
}

impl Exchange {
    /// Adds what happened.
    pub(super) fn note(&mut self, line: usize, time: Usec, text: String) {
        self.entries.push(Entry { line, time, text });
    }

    /// Tells it, times since `start`; `rest` are packets that no line has asked for yet.
    pub(super) fn show(&self, start: Usec, rest: &[(Usec, String)]) -> String {
        let mut out = String::from("the exchange so far (line, seconds, what happened):");
        for e in &self.entries {
            let text = e.text.replace('\n', " ");
            out.push_str(&format!(
                "\n{:>5} {:>12}  {text}",
                e.line,
                clock::seconds(e.time - start)
            ));
        }
        for (time, text) in rest {
            out.push_str(&format!(
                "\n    - {:>12}  {text}",
                clock::seconds(*time - start)
            ));
        }
        out
    }
}
