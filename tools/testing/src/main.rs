// SPDX-License-Identifier: GPL-2.0
//! `rustnet-test`: what AF_RUSTNET does, seen from userspace, in KTAP.
//!
//! Every case takes the family as a parameter, and is first proven on AF_INET: a case that fails
//! there tests a wish, not Linux. For RustNet each two-ended case runs three times: RustNet as the
//! client of the host's stack, as its server, and against itself.
//!
//! * [`case`] says what a case is and where it runs;
//! * [`runner`] runs them in a child process under a watchdog;
//! * [`cases`] holds them, one file a subject;
//! * [`faults`] lets allocations fail while they run, [`sweep`] each in its turn;
//! * [`options`] is the table of socket options, which the documentation shows too.

mod blocked;
mod case;
mod cases;
mod faults;
mod options;
mod runner;
mod sweep;

use std::process::ExitCode;

use clap::Parser;
use clap::Subcommand;
use netlab::lab::Link;
use netlab::Family;

/// Tests of a socket family, in KTAP. Needs root; makes its own network namespaces.
#[derive(Clone, Debug, Parser)]
pub struct Args {
    /// The family under test: inet, rustnet or a number.
    #[arg(long, default_value = "rustnet")]
    pub family: Family,
    /// Only these groups; see --list.
    #[arg(long, value_delimiter = ',')]
    pub group: Vec<String>,
    /// Only cases whose name contains this.
    #[arg(long, default_value = "")]
    pub case: String,
    /// Only those behind the first whose name contains this: the rest of a sweep that was interrupted.
    #[arg(long)]
    pub after: Option<String>,
    /// Only over these links: lo, veth, nic.
    #[arg(long, value_delimiter = ',', default_value = "lo,veth")]
    pub link: Vec<Link>,
    /// Put the namespaces of RustNet's sockets in this mode.
    #[arg(long, default_value = "coexist")]
    pub mode: String,
    /// Multiplies every time limit.
    #[arg(long, default_value_t = 1.0)]
    pub patience: f64,
    /// The module that the group `module` loads and unloads.
    #[arg(long, default_value = netlab::module::RUSTNET_KO)]
    pub module: String,
    /// Run every case again and again, failing one more allocation of this allocator: slab or page.
    #[arg(long)]
    pub faults: Option<faults::Which>,
    /// The first allocation to fail with --faults.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub from: u64,
    /// The last one; who made it is in the kernel's log.
    #[arg(long, default_value_t = 100_000)]
    pub upto: u64,
    /// How often the group `nic` brings a card down and up; a quarter as often it takes the driver away, and the
    /// group `teardown` addresses and routes.
    #[arg(long, default_value_t = 40)]
    pub rounds: u32,
    /// Bytes that the group `nic` transfers each way.
    #[arg(long, default_value_t = 64 << 20)]
    pub nic_bytes: usize,
    /// The groups `transfer` and `modes` move one part in so many of their data.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub part: u32,
    /// Frames of a fuzz or a flood at the most: where the kernel looks at every access they are dear.
    #[arg(long, default_value_t = 100_000)]
    pub frames: u32,
    /// Print the names and stop.
    #[arg(long)]
    pub list: bool,
    /// Internal: run the cases named on standard input and report each in a line.
    #[arg(long, hide = true)]
    pub child: bool,
    /// Something else than testing.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the program can do besides testing.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Print the table of socket options as reStructuredText.
    OptionTable,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(Command::OptionTable) = args.command {
        print!("{}", options::rst());
        return ExitCode::SUCCESS;
    }
    let plan = case::plan(&args);
    if args.list {
        for one in &plan {
            println!("{}", one.name);
        }
        return ExitCode::SUCCESS;
    }
    if args.child {
        runner::child(&args, &plan);
        return ExitCode::SUCCESS;
    }
    if runner::parent(&args, &plan) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
