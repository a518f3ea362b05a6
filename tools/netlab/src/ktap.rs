// SPDX-License-Identifier: GPL-2.0
//! KTAP, the kernel's test protocol (`Documentation/dev-tools/ktap.rst`), and the assertions whose
//! messages end up in it.

use std::fmt;
use std::fmt::Debug;
use std::fmt::Display;
use std::io::Write;

use anyhow::bail;
use anyhow::Result;
use uapi::c;
use uapi::Errno;

/// The error by which a case says that it cannot be run here.
#[derive(Debug)]
pub struct Skip(pub String);

impl Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skip {}

/// Makes the error that skips a case.
pub fn skip(why: impl Into<String>) -> anyhow::Error {
    Skip(why.into()).into()
}

/// What became of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It held.
    Pass,
    /// It did not, and why.
    Fail(String),
    /// It could not be tried, and why.
    Skip(String),
}

impl Outcome {
    /// Reads the result of a case.
    pub fn of(result: Result<()>) -> Outcome {
        match result {
            Ok(()) => Outcome::Pass,
            Err(e) => match e.downcast_ref::<Skip>() {
                Some(s) => Outcome::Skip(s.0.clone()),
                None => Outcome::Fail(format!("{e:#}")),
            },
        }
    }
}

/// Prints results as they come and keeps the totals.
#[derive(Debug, Default)]
pub struct Report {
    /// Cases that held.
    pub passed: usize,
    /// Cases that did not.
    pub failed: usize,
    /// Cases not tried.
    pub skipped: usize,
    number: usize,
}

impl Report {
    /// Prints the header.
    pub fn start(plan: usize) -> Report {
        println!("KTAP version 1\n1..{plan}");
        Report::default()
    }

    /// Prints one case.
    pub fn case(&mut self, name: &str, outcome: &Outcome) {
        self.number += 1;
        let n = self.number;
        match outcome {
            Outcome::Pass => {
                self.passed += 1;
                println!("ok {n} {name}");
            }
            Outcome::Skip(why) => {
                self.skipped += 1;
                println!("ok {n} {name} # SKIP {}", why.replace('\n', "; "));
            }
            Outcome::Fail(why) => {
                self.failed += 1;
                for line in why.lines() {
                    println!("# {line}");
                }
                println!("not ok {n} {name}");
            }
        }
        let _ = std::io::stdout().flush();
    }

    /// Prints the totals; true when nothing failed.
    pub fn finish(&self) -> bool {
        println!(
            "# Totals: pass:{} fail:{} xfail:0 xpass:0 skip:{} error:0",
            self.passed, self.failed, self.skipped
        );
        self.failed == 0
    }
}

/// The name of an errno, as the manual pages write it.
pub fn errno_name(e: i32) -> String {
    macro_rules! names {
        ($($name:ident)*) => {
            match e {
                0 => "0",
                $(c::$name => stringify!($name),)*
                _ => return format!("errno {e}"),
            }
        };
    }
    names! {
        EPERM ENOENT EINTR EIO ENXIO E2BIG EBADF EAGAIN ENOMEM EACCES EFAULT EBUSY EEXIST ENODEV
        EINVAL ENFILE EMFILE ENOTTY EFBIG ENOSPC ESPIPE EPIPE EDOM ERANGE ENOSYS ENOTSOCK
        EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP
        EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET
        ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETIMEDOUT ECONNREFUSED EHOSTDOWN
        EHOSTUNREACH EALREADY EINPROGRESS ECANCELED ENOMSG
    }
    .to_string()
}

/// Requires that a call failed with this errno.
pub fn want_errno<T: Debug>(what: &str, got: Result<T, Errno>, errno: i32) -> Result<()> {
    match got {
        Err(Errno(e)) if e == errno => Ok(()),
        Err(Errno(e)) => bail!("{what}: {} instead of {}", errno_name(e), errno_name(errno)),
        Ok(v) => bail!(
            "{what}: succeeded with {v:?} instead of {}",
            errno_name(errno)
        ),
    }
}

/// Gives a call's errno a name and a place.
pub trait Sysc<T> {
    /// The value, or an error that says what failed and with which errno.
    fn sys(self, what: &str) -> Result<T>;
}

impl<T> Sysc<T> for Result<T, Errno> {
    fn sys(self, what: &str) -> Result<T> {
        self.map_err(|Errno(e)| anyhow::anyhow!("{what}: {}", errno_name(e)))
    }
}

/// Requires equality; the message shows both sides.
#[macro_export]
macro_rules! check_eq {
    ($got:expr, $want:expr, $($what:tt)+) => {{
        // A match, so that temporaries of both expressions live long enough.
        match (&$got, &$want) {
            (got, want) if got != want => {
                anyhow::bail!("{}: {:?} instead of {:?}", format!($($what)+), got, want);
            }
            _ => {}
        }
    }};
}

/// Requires a condition.
#[macro_export]
macro_rules! check {
    ($cond:expr, $($what:tt)+) => {
        if !$cond {
            anyhow::bail!($($what)+);
        }
    };
}
