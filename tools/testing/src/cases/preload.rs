// SPDX-License-Identifier: GPL-2.0
//! `librustnet_preload.so` and `rustnet-run`: programs that know only `AF_INET`.

use anyhow::Result;
use netlab::check_eq;

use crate::case::Case;
use crate::case::Ctx;

const G: &str = "preload";

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::own(G, "rustnet_run_takes_every_socket", all),
    Case::own(G, "a_named_protocol_is_taken_alone", named),
    Case::own(G, "a_raw_socket_is_taken_when_asked", raw),
    Case::own(G, "children_are_left_alone_when_asked", children),
];

const LIBRARY: &str = "LD_PRELOAD=/usr/local/bin/librustnet_preload.so";

/// Prints for a listener whose protocol is the argument: SO_DOMAIN, and which stack has it.
const LISTENER: &str = "import socket, sys\n\
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, int(sys.argv[1]))\n\
    s.bind(('0.0.0.0', 0))\n\
    s.listen()\n\
    port = ':%04X ' % s.getsockname()[1]\n\
    stacks = ('/proc/net/tcp', '/proc/net/rustnet/tcp')\n\
    print(s.getsockopt(1, 39), *[int(port in open(f).read()) for f in stacks])\n";

/// The program's output in the namespace of the client.
fn run(ctx: &Ctx, argv: &[&str]) -> Result<String> {
    Ok(ctx.lab.a.ns.run(argv)?.trim().to_string())
}

fn all(ctx: &Ctx) -> Result<()> {
    let got = run(ctx, &["rustnet-run", "python3", "-c", LISTENER, "0"])?;
    check_eq!(got, "2 0 1", "SO_DOMAIN, host's, RustNet's");
    Ok(())
}

fn named(ctx: &Ctx) -> Result<()> {
    for (protocol, wanted) in [("0", "2 1 0"), ("6", "2 0 1")] {
        let got = run(ctx, &["env", LIBRARY, "python3", "-c", LISTENER, protocol])?;
        check_eq!(got, wanted, "with protocol {protocol}");
    }
    Ok(())
}

/// Prints for a raw socket: SO_DOMAIN, and whether the host's stack has it.
const RAW: &str = "import socket\n\
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 222)\n\
    print(s.getsockopt(1, 39), int(':00DE ' in open('/proc/net/raw').read()))\n";

fn raw(ctx: &Ctx) -> Result<()> {
    for (asked, wanted) in [("named", "2 1"), ("all", "2 1"), ("raw", "2 0")] {
        let asked = format!("RUSTNET_PRELOAD={asked}");
        let got = run(ctx, &["env", LIBRARY, &asked, "python3", "-c", RAW])?;
        check_eq!(got, wanted, "{asked}");
    }
    let which = "RUSTNET_PRELOAD=raw";
    let got = run(ctx, &["env", which, "rustnet-run", "python3", "-c", RAW])?;
    check_eq!(got, "2 0", "by rustnet-run");
    let got = run(ctx, &["rustnet-run", "python3", "-c", RAW])?;
    check_eq!(got, "2 1", "by rustnet-run without it");
    Ok(())
}

fn children(ctx: &Ctx) -> Result<()> {
    let child = "import subprocess, sys\n\
        print(subprocess.run([sys.executable, '-c'] + sys.argv[1:], stdout=-1).stdout.decode())\n";
    for (asked, wanted) in [("yes", "2 0 1"), ("no", "2 1 0")] {
        let asked = format!("RUSTNET_PRELOAD_CHILDREN={asked}");
        let got = run(
            ctx,
            &[
                "env", LIBRARY, &asked, "python3", "-c", child, LISTENER, "6",
            ],
        )?;
        check_eq!(got, wanted, "{asked}");
    }
    Ok(())
}
