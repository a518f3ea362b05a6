// SPDX-License-Identifier: GPL-2.0
//! QEMU's monitor, from within the guest (`MONITOR=1`): plugs and unplugs cards, injects errors.

use std::fs::File;
use std::fs::OpenOptions;
use std::io::Read;
use std::io::Write;

use anyhow::bail;
use anyhow::Context;
use anyhow::Result;
use uapi::c;

use crate::ktap::skip;
use crate::wait;

/// The port that leads there.
const PORT: &str = "/dev/vport0p5";

/// A connection to the monitor; one at a time.
#[derive(Debug)]
pub struct Monitor {
    port: File,
    asked: u32,
}

impl Monitor {
    /// Opens it. Skips the test where there is none.
    pub fn open() -> Result<Monitor> {
        let port = OpenOptions::new().read(true).write(true).open(PORT);
        let port = match port {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(skip("needs QEMU's monitor: MONITOR=1"));
            }
            other => other.context(PORT)?,
        };
        let mut new = Monitor { port, asked: 0 };
        // Whoever was here before has said so already; that is answered by an error, and no harm.
        new.request("{\"execute\":\"qmp_capabilities\",\"id\":ID}")?;
        Ok(new)
    }

    /// Gives one command of the human monitor, without quotes in it; the line that answers.
    pub fn ask(&mut self, command: &str) -> Result<String> {
        self.request(&format!(
            "{{\"execute\":\"human-monitor-command\",\
             \"arguments\":{{\"command-line\":\"{command}\"}},\"id\":ID}}"
        ))
    }

    /// Gives a command that says nothing when it works.
    ///
    /// # Errors
    ///
    /// What it said.
    pub fn say(&mut self, command: &str) -> Result<()> {
        let answer = self.ask(command)?;
        if !answer.contains("\"return\": \"\"") {
            bail!("{command}: {answer}");
        }
        Ok(())
    }

    /// The line that answers; events that come between are passed over.
    fn request(&mut self, text: &str) -> Result<String> {
        self.asked += 1;
        let text = text.replace("ID", &self.asked.to_string());
        writeln!(self.port, "{text}").context("writing to the monitor")?;
        let mark = format!("\"id\": {}", self.asked);
        let mut heard = Vec::new();
        let mut buf = [0; 4096];
        loop {
            for line in String::from_utf8_lossy(&heard).lines() {
                if line.contains(&mark) && line.ends_with('}') {
                    return Ok(line.to_string());
                }
            }
            if wait::poll_fd(&self.port, c::POLLIN, wait::PATIENCE)? == 0 {
                bail!("the monitor does not answer {text}");
            }
            let n = self.port.read(&mut buf).context("reading the monitor")?;
            heard.extend_from_slice(&buf[..n]);
        }
    }
}
