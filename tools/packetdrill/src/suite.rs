// SPDX-License-Identifier: GPL-2.0
//! All scripts of a command line, one after the other.
//!
//! Each gets a process of its own, this program again: a namespace ends with its process, and whatever
//! a script does to its process, a crash or a hang, costs that script alone.

use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::ExitCode;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use netlab::ktap;
use netlab::ktap::Outcome;
use netlab::ktap::Report;
use uapi::c;

use crate::run;
use crate::script::parser;
use crate::settings;
use crate::settings::Settings;
use crate::sys;
use crate::sys::Arg;
use crate::Cli;

/// Exit status of a script that could not be run here, as kselftest has it.
const SKIPPED: u8 = 4;

/// How long a process may take to die.
const DYING: Duration = Duration::from_secs(10);
/// How long to sleep between two looks at whether it has.
const GLANCE: Duration = Duration::from_micros(200);

/// A `sysctl` for the scripts' bash, which need not be started 25 times for each script.
const BASH_ENV: &str = include_str!("sysctl.bash");

/// Runs the script with this number, from 0, and prints why it failed.
pub fn one(cli: &Cli, number: usize) -> ExitCode {
    let Some(path) = cli.scripts.get(number) else {
        return ExitCode::FAILURE;
    };
    // Both in one stream, in order.
    let _ = uapi::dup2(1, 2);
    // Die with the parent; wake when a sleep is over, not 50 µs later.
    for (option, value) in [(c::PR_SET_PDEATHSIG, c::SIGKILL), (c::PR_SET_TIMERSLACK, 1)] {
        let mut args = [Arg::Int(option.into()), Arg::Int(value.into())];
        let _ = sys::call(c::SYS_prctl, &mut args);
    }
    match Outcome::of(script(cli, path)) {
        Outcome::Pass => ExitCode::SUCCESS,
        Outcome::Skip(why) => {
            print!("{why}");
            ExitCode::from(SKIPPED)
        }
        Outcome::Fail(why) => {
            println!("{}: {why}", path.display());
            ExitCode::FAILURE
        }
    }
}

fn script(cli: &Cli, path: &Path) -> Result<()> {
    let text = std::fs::read_to_string(path).context("reading the script")?;
    let script = parser::parse(&text, &settings::defines(&cli.define)?)?;
    if let Some(version) = Settings::foreign_version(&script) {
        return Err(ktap::skip(format!("for {version} only")));
    }
    let settings = cli.settings.with_script(&script)?;
    if cli.dry_run {
        return Ok(());
    }
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    run::run(&script, &settings, cli.family, dir)
}

/// Runs all scripts and prints KTAP; fails if one does.
pub fn all(cli: &Cli) -> ExitCode {
    let bash_env = bash_env();
    let mut report = Report::start(cli.scripts.len());
    for (number, path) in cli.scripts.iter().enumerate() {
        let outcome = match child(cli, number, bash_env.as_ref()) {
            Ok(outcome) => outcome,
            Err(e) => Outcome::Fail(format!("{e:#}")),
        };
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        report.case(&name, &outcome);
    }
    match report.finish() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// A file in memory for BASH_ENV; `None` if the user has one of his own.
fn bash_env() -> Option<File> {
    if std::env::var_os("BASH_ENV").is_some() {
        return None;
    }
    let fd = uapi::memfd_create("sysctl.bash", c::MFD_CLOEXEC).ok()?;
    let mut file = File::from(std::os::fd::OwnedFd::from(fd));
    file.write_all(BASH_ENV.as_bytes()).ok()?;
    Some(file)
}

/// Runs one script in a child and waits, but not for ever.
fn child(cli: &Cli, number: usize, bash_env: Option<&File>) -> Result<Outcome> {
    let mut command = Command::new("/proc/self/exe");
    command
        .args(std::env::args_os().skip(1))
        .arg(format!("--only={number}"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0);
    if let Some(file) = bash_env {
        let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        command.env("BASH_ENV", path);
    }
    let mut child = command.spawn().context("starting a child")?;
    let mut output = child.stdout.take().context("its output")?;
    let (done, said) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = output.read_to_end(&mut text);
        let _ = done.send(String::from_utf8_lossy(&text).into_owned());
    });
    let timeout = Duration::from_secs(cli.timeout);
    let in_time = said.recv_timeout(timeout);
    // Its commands too, which are of its process group; none may be left.
    let _ = uapi::kill(-(child.id() as i32), c::SIGKILL);
    let text = match &in_time {
        Ok(text) => text.clone(),
        Err(_) => said.recv_timeout(DYING).unwrap_or_default(),
    };
    let Some(status) = wait(&mut child)? else {
        return Ok(Outcome::Fail(format!(
            "{text}\nit cannot be killed: it is in a system call that does not end"
        )));
    };
    if in_time.is_err() {
        return Ok(Outcome::Fail(format!(
            "{text}\nit was not done after {} s",
            cli.timeout
        )));
    }
    Ok(match status.code() {
        Some(0) => Outcome::Pass,
        Some(code) if code == i32::from(SKIPPED) => Outcome::Skip(text),
        Some(_) => Outcome::Fail(text),
        None => Outcome::Fail(format!("{text}\nit died: {status}")),
    })
}

/// Waits for a child that ends by itself or has been killed; `None` if it does not end.
fn wait(child: &mut Child) -> Result<Option<ExitStatus>> {
    let end = Instant::now() + DYING;
    loop {
        match child.try_wait()? {
            None if Instant::now() < end => std::thread::sleep(GLANCE),
            status => return Ok(status),
        }
    }
}
