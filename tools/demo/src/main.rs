// SPDX-License-Identifier: GPL-2.0
//! `rustnet-demo`: the guest's half of `make run`.
//!
//! Real programs stand at the other end: an HTTP server and an HTTP client on the machine that runs the
//! guest, neither written here. The order is that of a visitor's questions: does it fetch, does it
//! serve, does it do datagrams, does it answer ping, and which way did the packets go.

mod observe;
mod picture;
mod steps;
mod talk;

use std::net::SocketAddrV4;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use netlab::Family;

/// Moves real bytes through AF_RUSTNET and draws the way they took.
#[derive(Debug, Parser)]
pub struct Args {
    /// The family of every socket: rustnet, inet or a number.
    #[arg(long, default_value = "rustnet")]
    pub family: Family,
    /// The HTTP server to fetch from.
    #[arg(long)]
    pub http: SocketAddrV4,
    /// The UDP echo server.
    #[arg(long)]
    pub udp: SocketAddrV4,
    /// The SHA-256 of the file on the server.
    #[arg(long)]
    pub sha: String,
    /// The port on which to serve HTTP.
    #[arg(long, default_value_t = 8080)]
    pub serve: u16,
    /// How many bytes to serve.
    #[arg(long, default_value_t = 16 << 20)]
    pub size: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut held = true;
    let mut say = |what: &str, result: Result<String>| match result {
        Ok(text) => println!("  ok    {what}: {text}"),
        Err(e) => {
            held = false;
            println!("  FAIL  {what}: {e:#}");
        }
    };
    println!(
        "In the guest, over AF_{}:",
        args.family.to_string().to_uppercase()
    );
    let mut trace = None;
    say(
        "fetch from the host's HTTP server",
        talk::fetch(&args, &mut trace),
    );
    say("serve to the host's HTTP client", talk::serve(&args));
    say("UDP with the host", talk::datagrams(&args));
    say(
        "ping, answered in a namespace in replace mode",
        talk::ping(&args),
    );
    let drawn = trace.ok_or_else(|| anyhow::anyhow!("nothing was observed"));
    let drawn = drawn.and_then(|t| picture::draw(&t, args.family));
    let picture = drawn.as_ref().map(|d| d.text.clone()).unwrap_or_default();
    say(
        "the way was observed from the system call to the card and back",
        drawn.map(|d| d.summary),
    );
    println!("{picture}");
    if held {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
