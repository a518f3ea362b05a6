// SPDX-License-Identifier: GPL-2.0
//! The table: on the terminal, and as Documentation/ includes it.

use netlab::Family;

use super::Conditions;
use super::Row;

/// Width of each column; the last two are what was sent again.
const WIDTHS: [usize; 8] = [6, 8, 7, 12, 12, 6, 10, 13];

/// For people at a terminal.
pub fn text(rows: &[Row], subject: Family) -> String {
    let mut t = line(&head(subject));
    for row in rows {
        t += &line(&cells(row));
    }
    t
}

/// In reStructuredText; medians of so many seeds.
pub fn rst(rows: &[Row], subject: Family, seeds: u32) -> String {
    let rule = line(&WIDTHS.map(|w| "=".repeat(w)));
    let mut t = format!(
        ".. SPDX-License-Identifier: GPL-2.0\n\
         .. Made by `make bench-loss`.\n\n\
         Median of {seeds} seed(s).\n\n{rule}{}{rule}",
        line(&head(subject))
    );
    for row in rows {
        t += &line(&cells(row));
    }
    t + &rule
}

fn head(subject: Family) -> [String; 8] {
    [
        "loss".into(),
        "RTT".into(),
        "order".into(),
        "inet, MB/s".into(),
        format!("{subject}"),
        "ratio".into(),
        "again, %".into(),
        format!("{subject}, %"),
    ]
}

fn cells(row: &Row) -> [String; 8] {
    let Conditions { rtt, reorder, .. } = row.at;
    [
        row.at.loss_percent(),
        format!("{rtt} ms"),
        if reorder { "late" } else { "kept" }.into(),
        format!("{:.3}", row.inet.goodput),
        format!("{:.3}", row.subject.goodput),
        format!("{:.3}", row.ratio()),
        format!("{:.2}", row.inet.again),
        format!("{:.2}", row.subject.again),
    ]
}

/// Columns that a simple table of reStructuredText may have: two blanks apart.
fn line(cells: &[String; 8]) -> String {
    let mut t = String::new();
    for (cell, width) in cells.iter().zip(WIDTHS) {
        t += &format!("{cell:<width$}  ");
    }
    t.trim_end().to_string() + "\n"
}
