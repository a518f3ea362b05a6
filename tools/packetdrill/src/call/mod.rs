// SPDX-License-Identifier: GPL-2.0
//! System calls of a script: its arguments made into the kernel's, and what comes back compared.
//!
//! [`prepare`] does the first, so that a blocking call can be made by another thread; [`Prepared::verify`]
//! the second. [`cmsg`] reads control messages.

pub mod cmsg;
mod prepare;
mod values;
mod verify;

use std::collections::HashMap;
use std::net::SocketAddrV4;

use netlab::Family;
use uapi::c;
use uapi::Errno;

use crate::script::Call;
use crate::script::Expr;
use crate::script::Usec;
use crate::sys::Arg;

pub use self::prepare::prepare;

/// What the script's arguments are read against.
pub struct Context<'a> {
    /// Live descriptors by the script's.
    pub fds: &'a HashMap<i32, i32>,
    /// The domain for socket().
    pub family: Family,
    /// Where `...` is bound.
    pub local: SocketAddrV4,
    /// Where `...` connects and sends to.
    pub remote: SocketAddrV4,
}

/// A descriptor of the script that does not exist, or not yet.
#[derive(Debug)]
pub struct NoSuchFd(pub i32);

impl std::fmt::Display for NoSuchFd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the script has no descriptor {}", self.0)
    }
}

impl std::error::Error for NoSuchFd {}

/// What has to be looked at after the call, beside its result.
#[derive(Clone, Debug)]
pub enum Check {
    /// Nothing.
    Nothing,
    /// An address that accept() filled in.
    Accept,
    /// The value and length that getsockopt() filled in.
    Sockopt(Expr, Expr),
    /// An integer at this argument.
    Int(usize, Expr),
    /// The message at argument 1.
    Message(Expr),
    /// Events at argument 1.
    Epoll(Expr),
    /// Events at argument 0.
    Poll(Expr),
    /// Two descriptors.
    Pipe(Expr),
}

/// A call that is ready to be made.
#[derive(Debug)]
pub struct Prepared {
    /// Its number.
    pub nr: c::c_long,
    /// Its arguments.
    pub args: Vec<Arg>,
    /// What to look at afterwards.
    pub check: Check,
    /// Whether it returns a descriptor.
    pub makes_fd: bool,
}

/// What a call has come to.
#[derive(Debug)]
pub struct Outcome {
    /// What it returned.
    pub result: Result<i64, Errno>,
    /// Its arguments, as the kernel left them.
    pub args: Vec<Arg>,
    /// When it was made and when it returned, by the clock.
    pub times: (Usec, Usec),
}

/// What a verified call has changed for the script.
#[derive(Debug, Default)]
pub struct Effects {
    /// New descriptors: the script's and the live one.
    pub fds: Vec<(i32, i32)>,
    /// Who was accepted.
    pub peer: Option<SocketAddrV4>,
}

/// Whether the call gives a connection up (connect to AF_UNSPEC).
pub fn disconnects(call: &Call) -> bool {
    call.name == "connect" && call.args.get(1) == Some(&Expr::Word("AF_UNSPEC".to_string()))
}
