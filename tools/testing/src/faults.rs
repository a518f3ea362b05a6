// SPDX-License-Identifier: GPL-2.0
//! Allocations that fail, each in its turn: `--faults slab` and `--faults page`.
//!
//! A kernel with CONFIG_FAILSLAB and CONFIG_FAIL_PAGE_ALLOC fails allocations on request. Only those count
//! here that have code of the module on their stack, in whichever context: a system call, a softirq that
//! interrupted somebody else, a worker (CONFIG_FAULT_INJECTION_STACKTRACE_FILTER).
//!
//! To fail exactly the n-th from now takes a detour, for the kernel only knows "every `interval`-th", counted
//! since boot. Nothing else uses that counter, so it is known after each failure: an interval of `count + n`
//! divides it for the first time after `n` more. When nothing failed it is known no longer, until sockets have
//! been made for as long as it takes. The last `count + n` lies in a file: it is never below the counter, which is
//! thus known again after a failure, in whichever process the next case runs.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::bail;
use anyhow::Context;
use anyhow::Result;
use netlab::ktap::skip;
use netlab::payload;
use netlab::Family;
use netlab::Sock;

use crate::case::Ctx;

/// Which allocator fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Objects: kmalloc and caches.
    Slab,
    /// Whole pages.
    Page,
}

impl FromStr for Which {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "slab" => Ok(Which::Slab),
            "page" => Ok(Which::Page),
            _ => Err(format!("{s:?} is no allocator: slab or page")),
        }
    }
}

/// How many callers the kernel looks at, at the most (MAX_STACK_TRACE_DEPTH in lib/fault-inject.c).
pub const DEPTH: usize = 32;

/// The kernel's switches for one allocator.
pub struct Faults {
    dir: PathBuf,
    /// How many allocations the kernel has counted, or, while one is to fail, will have then.
    count: u64,
    /// Where `count` lies.
    memory: PathBuf,
}

impl Faults {
    /// Takes the switches and sees to it that only allocations with code of `module` on their stack count, and none of
    /// those with code of `except`.
    pub fn new(
        which: Which,
        module: &Range<u64>,
        except: &Range<u64>,
        family: Family,
    ) -> Result<Faults> {
        let mut faults = Faults::within(which, module, DEPTH)?;
        faults.set("reject-start", &format!("{:#x}", except.start))?;
        faults.set("reject-end", &format!("{:#x}", except.end))?;
        faults.set("task-filter", "0")?;
        if let Ok(count) = fs::read_to_string(&faults.memory) {
            faults.count = count.parse().context("the count of allocations")?;
        }
        faults.arm(64)?;
        faults.settle(family)?;
        Ok(faults)
    }

    /// The switches of one allocator. Only allocations with code at these addresses among the `depth` innermost callers
    /// count.
    fn within(which: Which, code: &Range<u64>, depth: usize) -> Result<Faults> {
        let name = match which {
            Which::Slab => "failslab",
            Which::Page => "fail_page_alloc",
        };
        let dir = PathBuf::from("/sys/kernel/debug").join(name);
        if !dir.join("require-start").exists() {
            return Err(skip("needs the debug kernel"));
        }
        let faults = Faults {
            dir,
            count: 0,
            memory: PathBuf::from(format!("/run/rustnet-test.{name}")),
        };
        // Not only what may not sleep; down to single pages.
        faults.set("ignore-gfp-wait", "0")?;
        if which == Which::Page {
            faults.set("min-order", "0")?;
        }
        faults.set("verbose", "0")?;
        faults.set("stacktrace-depth", &depth.to_string())?;
        faults.set("require-start", &format!("{:#x}", code.start))?;
        faults.set("require-end", &format!("{:#x}", code.end))?;
        Ok(faults)
    }

    fn set(&self, name: &str, value: &str) -> Result<()> {
        let path = self.dir.join(name);
        fs::write(&path, value).with_context(|| format!("{}={value}", path.display()))
    }

    /// From now on the `n`-th allocation fails, and no other.
    pub fn arm(&mut self, n: u64) -> Result<()> {
        self.count += n;
        fs::write(&self.memory, self.count.to_string()).context("the count of allocations")?;
        self.set("interval", &self.count.to_string())?;
        self.set("times", "1")?;
        self.set("probability", "100")
    }

    /// The kernel shall log from now on who made the allocation that fails.
    pub fn tell(&self) -> Result<()> {
        self.set("verbose", "2")
    }

    /// Ends it; whether one has failed.
    pub fn disarm(&mut self, family: Family) -> Result<bool> {
        let fired = self.fired()?;
        self.settle(family)?;
        Ok(fired)
    }

    fn fired(&self) -> Result<bool> {
        Ok(fs::read_to_string(self.dir.join("times"))?.trim() == "0")
    }

    /// Makes the module allocate until one has failed, so that the counter is known again.
    fn settle(&self, family: Family) -> Result<()> {
        for _ in 0..100_000 {
            if self.fired()? {
                return self.set("probability", "0");
            }
            // A socket that is bound takes an object for itself and one for its port.
            if let Ok(s) = Sock::tcp(family) {
                let any = std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0);
                let _ = s.bind(any);
                let _ = s.listen(1);
                let _ = s
                    .local()
                    .map(|at| Sock::udp(family).map(|c| c.sendto(&[0; 9000], 0, at)));
            }
        }
        bail!("nothing the module does makes {} fail", self.dir.display())
    }
}

/// Allocations that fail while a system call of this thread lasts, of either allocator: `fail-nth`, which knows
/// the n-th without detours, but nothing of softirqs and workers.
pub struct Nth(PathBuf);

impl Nth {
    /// Those with code of this module on their stack.
    pub fn of(module: &str) -> Result<Nth> {
        // Not what the interpreter of ACPI's tables takes, a thousand times, to find an interrupt.
        Nth::within(&Symbols::read()?.text_of(module)?, 12)
    }

    /// Those with code of any module on their stack, one that is just being loaded too, given one that is loaded now.
    pub fn of_modules_like(module: &str) -> Result<Nth> {
        let start = Symbols::read()?.text_of(module)?.start;
        Nth::within(&(start & !0xff_ffff..MODULES_END), DEPTH)
    }

    fn within(code: &Range<u64>, depth: usize) -> Result<Nth> {
        for which in [Which::Slab, Which::Page] {
            Faults::within(which, code, depth)?;
        }
        Ok(Nth(PathBuf::from("/proc/thread-self/fail-nth")))
    }

    /// Does `f` with the `n`-th failing; whether there were so many.
    pub fn during<R>(&self, n: u64, f: impl FnOnce() -> R) -> Result<(R, bool)> {
        fs::write(&self.0, n.to_string()).context("fail-nth")?;
        let done = f();
        // 0: it has failed. Otherwise how many were left.
        let left = fs::read_to_string(&self.0).context("fail-nth")?;
        fs::write(&self.0, "0").context("fail-nth")?;
        Ok((done, left.trim() == "0"))
    }
}

/// Where the room for modules ends on x86-64 (`MODULES_END`).
const MODULES_END: u64 = 0xffff_ffff_ff00_0000;

/// What /proc/kallsyms says. To have it printed costs the debug kernel as much as several cases.
pub struct Symbols(String);

impl Symbols {
    pub fn read() -> Result<Symbols> {
        Ok(Symbols(
            fs::read_to_string("/proc/kallsyms").context("/proc/kallsyms")?,
        ))
    }

    /// Address, kind, name, and the module in brackets.
    fn all(&self) -> impl Iterator<Item = (u64, &str, &str, Option<&str>)> {
        self.0.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let at = u64::from_str_radix(words.next()?, 16).ok()?;
            Some((at, words.next()?, words.next()?, words.next()))
        })
    }

    /// Where a module's code lies.
    pub fn text_of(&self, module: &str) -> Result<Range<u64>> {
        let module = format!("[{module}]");
        let code = self
            .all()
            .filter(|&(_, kind, _, of)| of == Some(&module) && matches!(kind, "t" | "T"));
        let (mut start, mut end) = (u64::MAX, 0);
        for (at, ..) in code {
            start = start.min(at);
            end = end.max(at);
        }
        if end == 0 {
            return Err(skip("the module is not loaded"));
        }
        // The last function's own length; nothing else is loaded behind it.
        Ok(start..end + 0x10000)
    }

    /// Where a function of the kernel lies.
    pub fn function(&self, name: &str) -> Result<Range<u64>> {
        let found = self.all().find(|&(_, _, n, of)| n == name && of.is_none());
        let (start, ..) = found.ok_or_else(|| skip(format!("this kernel has no {name}")))?;
        let next = self.all().map(|(at, ..)| at).filter(|&at| at > start).min();
        Ok(start..next.unwrap_or(u64::MAX))
    }
}

/// Whether a case may end so after an allocation failed.
///
/// Where a case asserts what is on the wire or when it comes, a lost packet is a difference. The cases of the
/// group `memory` are written for this: theirs are only the errnos that say so.
pub fn excusable(group: &str, why: &str) -> bool {
    const SAID: [&str; 4] = [
        "ENOMEM",
        "ENOBUFS",
        // By programs and by the standard library.
        "Cannot allocate memory",
        "No buffer space available",
    ];
    group != "memory" || SAID.iter().any(|said| why.contains(said))
}

/// A connection after the failure carries data: nothing is stuck.
pub fn afterwards(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected().context("a connection after the failure")?;
    payload::exchange(&client, &server, 3, 20_000).context("data after the failure")
}
