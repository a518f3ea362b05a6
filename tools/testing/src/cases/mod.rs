// SPDX-License-Identifier: GPL-2.0
//! The cases, one file a subject, in the order in which they run: from one socket's errnos to a
//! hostile network.

mod address;
mod card;
mod card_memory;
mod connect;
mod datagram;
mod device;
mod flags;
mod fragment;
mod hostile;
mod igmp;
mod info;
mod io_uring;
mod known;
mod load;
mod memory;
mod modes;
mod module;
mod mroute;
mod namespace;
mod netem;
mod netfilter;
mod nic;
mod options;
mod path;
mod preload;
mod queue;
mod race;
mod raw;
mod readiness;
mod route;
mod router;
mod shutdown;
mod socket;
mod teardown;
mod timeout;
mod transfer;
mod udp;
mod wire;

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
        io_uring::CASES,
        options::CASES,
        info::CASES,
        namespace::CASES,
        udp::CASES,
        datagram::CASES,
        fragment::CASES,
        igmp::CASES,
        load::CASES,
        netem::CASES,
        queue::CASES,
        nic::CASES,
        card::CASES,
        card_memory::CASES,
        path::CASES,
        raw::CASES,
        route::CASES,
        known::CASES,
        netfilter::CASES,
        router::CASES,
        mroute::CASES,
        device::CASES,
        &hostile::cases(),
        race::CASES,
        memory::CASES,
        teardown::CASES,
        modes::CASES,
        module::CASES,
        preload::CASES,
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

/// Runs a few lines of python3 with a copy of the socket as its standard input, and returns what it
/// printed: for the calls that have no safe form in Rust.
pub fn python(sock: &Sock, program: &str) -> Result<String> {
    let copy = std::os::fd::OwnedFd::from(sock.dup().sys("dup")?.into_fd());
    let out = std::process::Command::new("python3")
        .args(["-ISc", program])
        .stdin(copy)
        .output();
    let Ok(out) = out else {
        return Err(skip("needs python3"));
    };
    if !out.status.success() {
        anyhow::bail!("python3: {}", String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_string())
}

/// SIOCOUTQ: how much is sent and not acknowledged.
pub fn outq(sock: &Sock) -> Result<i32> {
    let ask = "import fcntl, struct\n\
               print(struct.unpack('i', fcntl.ioctl(0, 0x5411, bytes(4)))[0])";
    Ok(python(sock, ask)?.parse()?)
}

/// Puts netem on an end's device, for what it sends.
pub fn netem(end: &netlab::lab::End, how: &str) -> Result<()> {
    let dev = &end.dev;
    match end
        .ns
        .tc(&format!("qdisc replace dev {dev} root netem {how}"))
    {
        Err(e) if format!("{e:#}").contains("unknown") => Err(skip("the kernel has no netem")),
        other => other,
    }
}
