// SPDX-License-Identifier: GPL-2.0
//! The cases, one file a subject, in the order in which they run: from one socket's errnos to a
//! hostile network.

mod address;
mod connect;
mod flags;
mod load;
mod readiness;
mod shutdown;
mod info;
mod socket;
mod udp;
mod wire;
mod timeout;
mod transfer;

use anyhow::Result;
use netlab::ktap::skip;
use netlab::ktap::Sysc;
use netlab::Sock;

use crate::case::Case;

/// Every case.
pub fn all() -> Vec<Case> {
    [
        socket::CASES,
        address::CASES,
        connect::CASES,
        shutdown::CASES,
        flags::CASES,
        timeout::CASES,
        readiness::CASES,
        transfer::CASES,
        wire::CASES,
        info::CASES,
        udp::CASES,
        load::CASES,
    ]
    .concat()
}

/// Runs `f` without any capability.
pub fn as_nobody<T>(f: impl FnOnce() -> T) -> Result<T> {
    /// Becomes root again even if `f` panics.
    struct Back;
    impl Drop for Back {
        fn drop(&mut self) {
            uapi::seteuid(0).expect("root again");
        }
    }
    uapi::seteuid(65534).sys("seteuid(nobody)")?;
    let _back = Back;
    Ok(f())
}

/// SIOCOUTQ: how much is sent and not acknowledged. Asked by perl, on a copy of the descriptor: Rust
/// has no safe call for an arbitrary ioctl, perl has had one for ever.
pub fn outq(sock: &Sock) -> Result<Result<i32, netlab::Errno>> {
    let copy = std::os::fd::OwnedFd::from(sock.dup().sys("dup")?.into_fd());
    let ask = r#"my $n = pack("i", -1);
        if (ioctl(STDIN, 0x5411, $n)) { print unpack("i", $n) } else { print "errno ", $! + 0 }"#;
    let out = std::process::Command::new("perl").args(["-e", ask]).stdin(copy).output();
    let Ok(out) = out else { return Err(skip("needs perl")) };
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    Ok(match text.strip_prefix("errno ") {
        Some(errno) => Err(netlab::Errno(errno.parse()?)),
        None => Ok(text.parse()?),
    })
}

/// Puts netem on an end's device, for what it sends.
pub fn netem(end: &netlab::lab::End, how: &str) -> Result<()> {
    let dev = &end.dev;
    match end.ns.tc(&format!("qdisc replace dev {dev} root netem {how}")) {
        Err(e) if format!("{e:#}").contains("unknown") => Err(skip("the kernel has no netem")),
        other => other,
    }
}
