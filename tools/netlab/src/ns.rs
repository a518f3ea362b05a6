// SPDX-License-Identifier: GPL-2.0
//! Network namespaces.
//!
//! A namespace is held by a descriptor and is gone with the process, however that ends: nothing is
//! left under /run/netns for the next test to trip over.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::process::Stdio;

use anyhow::bail;
use anyhow::Context;
use anyhow::Result;
use uapi::c;

use crate::ktap::Sysc;
use crate::rtnl::Rtnl;

/// A network namespace.
#[derive(Debug)]
pub struct Namespace {
    file: File,
}

impl Namespace {
    /// Makes an empty namespace whose loopback is up, without IPv6 (its multicast chatter would be
    /// seen in captures and counted in measurements).
    pub fn new() -> Result<Self> {
        let made = std::thread::spawn(|| -> Result<File> {
            uapi::unshare(c::CLONE_NEWNET).sys("unshare(CLONE_NEWNET)")?;
            Ok(File::open("/proc/thread-self/ns/net")?)
        });
        let ns = Namespace {
            file: made.join().expect("the thread does not panic")?,
        };
        ns.sysctl_if_there("net/ipv6/conf/all/disable_ipv6", "1")?;
        ns.sysctl_if_there("net/ipv6/conf/default/disable_ipv6", "1")?;
        Rtnl::of(&ns)?.up("lo")?;
        Ok(ns)
    }

    /// The namespace that the calling thread is in.
    pub fn current() -> Result<Self> {
        Ok(Namespace {
            file: File::open("/proc/thread-self/ns/net")?,
        })
    }

    /// A path by which `ip` and others can name this namespace while the process lives.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    /// Runs `f` on the calling thread inside the namespace. Sockets made there stay there.
    pub fn enter<T>(&self, f: impl FnOnce() -> T) -> T {
        /// Goes back even when `f` panics, or the thread's next test would run in the wrong place.
        struct Back(File);
        impl Drop for Back {
            fn drop(&mut self) {
                uapi::setns(self.0.as_raw_fd(), c::CLONE_NEWNET).expect("setns back");
            }
        }
        let here = File::open("/proc/thread-self/ns/net").expect("own namespace");
        uapi::setns(self.file.as_raw_fd(), c::CLONE_NEWNET).expect("setns");
        let _back = Back(here);
        f()
    }

    /// Feeds lines to `ip -batch` inside the namespace.
    pub fn ip(&self, lines: &str) -> Result<()> {
        self.batch("ip", lines)
    }

    /// Feeds lines to `tc -batch` inside the namespace.
    pub fn tc(&self, lines: &str) -> Result<()> {
        self.batch("tc", lines)
    }

    fn batch(&self, tool: &str, lines: &str) -> Result<()> {
        let mut child = self
            .enter(|| {
                Command::new(tool)
                    .args(["-batch", "-"])
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
            })
            .with_context(|| format!("{tool} -batch"))?;
        let mut input = child.stdin.take().expect("piped");
        // A broken pipe means that the tool has already refused; its status tells why.
        let _ = input.write_all(format!("{lines}\n").as_bytes());
        drop(input);
        let out = child.wait_with_output()?;
        if !out.status.success() {
            let why = String::from_utf8_lossy(&out.stderr);
            bail!(
                "{tool} refused {lines:?}: {}",
                why.trim().replace('\n', "; ")
            );
        }
        Ok(())
    }

    /// Runs a program inside the namespace and returns its standard output; an error holds the rest.
    pub fn run(&self, argv: &[&str]) -> Result<String> {
        let out = self
            .enter(|| {
                Command::new(argv[0])
                    .args(&argv[1..])
                    .stdin(Stdio::null())
                    .output()
            })
            .with_context(|| format!("running {argv:?}"))?;
        let stdout = String::from_utf8_lossy(&out.stdout).into_owned();
        if !out.status.success() {
            let why = String::from_utf8_lossy(&out.stderr);
            bail!("{argv:?}: {}: {} {}", out.status, stdout.trim(), why.trim());
        }
        Ok(stdout)
    }

    /// Writes `/proc/sys/NAME`, slashes as in the path.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        self.enter(|| std::fs::write(format!("/proc/sys/{name}"), value))
            .with_context(|| format!("sysctl {name}={value}"))
    }

    /// [`Namespace::sysctl`] where the kernel may lack the name.
    pub fn sysctl_if_there(&self, name: &str, value: &str) -> Result<()> {
        match self.enter(|| std::fs::write(format!("/proc/sys/{name}"), value)) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other.with_context(|| format!("sysctl {name}={value}")),
        }
    }

    /// Reads `/proc/net/NAME` of this namespace.
    pub fn proc_net(&self, name: &str) -> std::io::Result<String> {
        // Not /proc/net: that is the main thread's.
        self.enter(|| std::fs::read_to_string(format!("/proc/thread-self/net/{name}")))
    }
}

impl AsRawFd for Namespace {
    fn as_raw_fd(&self) -> i32 {
        self.file.as_raw_fd()
    }
}
