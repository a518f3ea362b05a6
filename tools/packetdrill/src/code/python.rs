// SPDX-License-Identifier: GPL-2.0
//! Code blocks that need the whole of Python: a `python3` runs them.

use std::io::Write;
use std::process::Command;
use std::process::Stdio;

use anyhow::bail;
use anyhow::Context;
use anyhow::Result;

use super::info::Names;

/// The program that runs a block: assignments, then the block as it is.
fn program(text: &str, names: &Names) -> String {
    let mut lines: Vec<_> = names.iter().map(|(n, v)| format!("{n} = {v}")).collect();
    lines.sort();
    lines.push(text.to_string());
    lines.join("\n")
}

/// Runs a block. What it assigns is forgotten.
///
/// # Errors
///
/// The last line that Python said, which names the exception.
pub fn run(text: &str, names: &Names) -> Result<()> {
    let mut child = Command::new("python3")
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("python3, which this code block needs")?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(program(text, names).as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    bail!("{}", said.lines().last().unwrap_or("python3 failed"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program__assignments_come_first() {
        let names = Names::from([("b".to_string(), 2), ("a".to_string(), -1)]);
        assert_eq!(program("print(a)", &names), "a = -1\nb = 2\nprint(a)");
    }
}
