// SPDX-License-Identifier: GPL-2.0
//! Loading and unloading kernel modules with the tools that users type.

use std::path::Path;
use std::process::Command;

use anyhow::bail;
use anyhow::Result;

/// Where the guest keeps the modules that were built.
pub const RUSTNET_KO: &str = "/modules/rustnet.ko";

/// Whether a module is loaded.
pub fn loaded(name: &str) -> bool {
    Path::new("/sys/module")
        .join(name)
        .join("initstate")
        .exists()
}

/// `insmod PATH`.
pub fn insmod(path: &str) -> Result<()> {
    run("insmod", path)
}

/// `rmmod NAME`; the error holds the tool's words ("Resource temporarily unavailable", …).
pub fn rmmod(name: &str) -> Result<()> {
    run("rmmod", name)
}

fn run(tool: &str, arg: &str) -> Result<()> {
    let out = Command::new(tool).arg(arg).output()?;
    if !out.status.success() {
        let why = String::from_utf8_lossy(&out.stderr).trim().to_string();
        bail!("{tool} {arg}: {why}");
    }
    Ok(())
}

/// The counter of a module's users.
pub fn users(name: &str) -> Option<u32> {
    let path = Path::new("/sys/module").join(name).join("refcnt");
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}
