// SPDX-License-Identifier: GPL-2.0
//! packetdrill: runs scripts that say what a TCP must do, packet by packet.
//!
//! A script lets packets come in, makes system calls, and says which packets must go out, and when. The
//! stack is the running kernel's: `AF_INET`, or any family that takes its place. From the outside in:
//!
//! * [`suite`] runs each script in a process of its own and prints KTAP;
//! * [`settings`] are the options of the command line and of the script;
//! * [`script`] is the language, [`packet`] its packets, [`symbols`] its constants;
//! * [`run`] goes through the events, [`clock`] says when;
//! * [`net`] is the network around, [`connection`] what is known of each connection;
//! * [`call`] makes system calls, through [`sys`]; [`code`] runs code blocks.

// Cases are named function__case.
#![cfg_attr(test, allow(non_snake_case))]

mod call;
mod clock;
mod code;
mod connection;
mod net;
mod packet;
mod run;
mod script;
mod settings;
mod suite;
mod symbols;
#[allow(unsafe_code)]
mod sys;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use netlab::Family;

use crate::settings::Settings;

/// Runs packetdrill scripts, each in a network namespace of its own, and prints KTAP.
#[derive(Debug, Parser)]
#[command(name = "packetdrill")]
struct Cli {
    /// Family of the sockets under test: inet, rustnet, or a number.
    #[arg(long, default_value = "inet")]
    family: Family,
    /// Let the word NAME read as VALUE in the scripts.
    #[arg(short = 'D', value_name = "NAME=VALUE")]
    define: Vec<String>,
    /// Options that the script may hold too; those given here win.
    #[command(flatten)]
    settings: Settings,
    /// Kill a script after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
    /// Only read the scripts.
    #[arg(long = "dry_run")]
    dry_run: bool,
    /// Run the script with this number in this process; how the program calls itself.
    #[arg(long, hide = true)]
    only: Option<usize>,
    /// The scripts.
    #[arg(required = true)]
    scripts: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.only {
        Some(number) => suite::one(&cli, number),
        None => suite::all(&cli),
    }
}
