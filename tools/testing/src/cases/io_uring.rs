// SPDX-License-Identifier: GPL-2.0
//! Sockets through io_uring: what waits, is woken, cancelled or ended must complete with the right result.
//!
//! The ring itself is driven by `io_uring.py`, for its system calls have no safe form in Rust.

use anyhow::bail;
use anyhow::Result;
use netlab::ktap::skip;

use crate::case::Case;
use crate::case::Ctx;

const G: &str = "io_uring";

/// The cases of this file; each has a function of its name in `io_uring.py`.
pub const CASES: &[Case] = &[
    Case::two(G, "connect_and_accept", |c| run(c, "connect_and_accept")).lo(),
    Case::two(G, "connect_refused", |c| run(c, "connect_refused")).lo(),
    Case::two(G, "send_and_receive", |c| run(c, "send_and_receive")).lo(),
    Case::two(G, "messages", |c| run(c, "messages")).lo(),
    Case::two(G, "datagrams", |c| run(c, "datagrams")).lo(),
    Case::two(G, "poll", |c| run(c, "poll")).lo(),
    Case::two(G, "cancel", |c| run(c, "cancel")).lo(),
    Case::two(G, "end_of_stream_and_reset", |c| {
        run(c, "end_of_stream_and_reset")
    })
    .lo(),
    Case::two(G, "ring_closed_with_operations", |c| {
        run(c, "ring_closed_with_operations")
    })
    .lo(),
];

fn run(ctx: &Ctx, case: &str) -> Result<()> {
    // Debian leaves it to the administrator; who is root here may use it either way.
    let _ = std::fs::write("/proc/sys/kernel/io_uring_disabled", "0");
    let (client, server) = (ctx.client.0.to_string(), ctx.server.0.to_string());
    let out = ctx.lab.a.ns.enter(|| {
        std::process::Command::new("io_uring.py")
            .args([&client, &server, case])
            .output()
    });
    let Ok(out) = out else {
        return Err(skip("needs io_uring.py and python3"));
    };
    match out.status.code() {
        Some(0) => Ok(()),
        Some(4) => Err(skip("this kernel has no io_uring")),
        _ => bail!("{}", String::from_utf8_lossy(&out.stderr).trim()),
    }
}
