// SPDX-License-Identifier: GPL-2.0
//! `rustnet-run PROGRAM ARGUMENTS…`: runs a program that knows only `AF_INET` on RustNet's sockets, all of
//! its TCP and UDP ones, and those of the programs that it starts; with `RUSTNET_PRELOAD=raw` its raw ones, too.
//!
//! `librustnet_preload.so` is expected beside this program. Exit status: the program's own, 127 if it
//! cannot be run.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{
    Command,
    ExitCode, //
};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let Some(program) = args.next() else {
        eprintln!("usage: rustnet-run PROGRAM ARGUMENTS…");
        return ExitCode::from(127);
    };
    let library = match std::env::current_exe() {
        Ok(exe) => exe.with_file_name("librustnet_preload.so"),
        Err(e) => {
            eprintln!("rustnet-run: where am I? {e}");
            return ExitCode::from(127);
        }
    };
    let mut preload = OsString::from(library);
    if let Some(others) = std::env::var_os("LD_PRELOAD") {
        preload.push(":");
        preload.push(others);
    }
    let which = match std::env::var_os("RUSTNET_PRELOAD") {
        Some(which) if which == "raw" => which,
        _ => "all".into(),
    };
    // Only comes back if the program could not be run.
    let error = Command::new(&program)
        .args(args)
        .env("LD_PRELOAD", preload)
        .env("RUSTNET_PRELOAD", which)
        .exec();
    eprintln!("rustnet-run: {}: {error}", program.to_string_lossy());
    ExitCode::from(127)
}
