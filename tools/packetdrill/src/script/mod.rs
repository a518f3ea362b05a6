// SPDX-License-Identifier: GPL-2.0
//! A script, as written: options, an init command, timed events, a cleanup command.
//!
//! [`scanner`] knows characters, blanks and comments; [`parser`] knows the grammar and makes what is
//! declared here. Nothing here knows a running script: names are still words, times are still as written.

pub mod parser;
pub mod scanner;

use crate::packet::Packet;

/// Microseconds, of script time or of the clock.
pub type Usec = i64;

/// A whole script.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    /// `--name` and `--name=value` lines, without the dashes.
    pub options: Vec<(String, Option<String>)>,
    /// Runs before time 0.
    pub init: Option<String>,
    /// What happens, in order.
    pub events: Vec<Event>,
    /// Runs at the end, whatever happened.
    pub cleanup: Option<String>,
}

/// Something at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Line of the script, from 1.
    pub line: usize,
    /// When.
    pub time: Time,
    /// What.
    pub what: What,
}

/// When an event happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// `T`: since the start of the script.
    Absolute(Usec),
    /// `+T`: since the event before.
    Relative(Usec),
    /// `T1~T2`.
    AbsoluteRange(Usec, Usec),
    /// `+T1~+T2`.
    RelativeRange(Usec, Usec),
    /// `*`.
    Any,
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// `<`: a packet comes from the remote host.
    Inject(Packet),
    /// `>`: the stack under test must send this.
    Expect(Packet),
    /// A system call.
    Call(Call),
    /// Text between backquotes, for the shell.
    Command(String),
    /// Text between `%{` and `}%`.
    Code(String),
}

/// A system call and what it must return.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub args: Vec<Expr>,
    /// `T...T2`: it blocks, and returns at this time, on the same base as the event's own.
    pub end: Option<Usec>,
    /// What it returns; `None` when the script does not care.
    pub result: Option<Expr>,
    /// The errno's name after a result of -1, where the script gives one.
    pub errno: Option<String>,
}

/// An argument.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A number.
    Int(i64),
    /// A symbolic constant.
    Word(String),
    /// `...`: whatever is right here.
    Ellipsis,
    /// A string; any bytes.
    Str(Vec<u8>),
    /// `a|b|c`.
    Or(Vec<Expr>),
    /// `[a, b]`: a pointer to what is inside, or an array.
    List(Vec<Expr>),
    /// `{a, name=b, name(arg)=c}`.
    Struct(Vec<Field>),
}

/// A member of a structure.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name, if it is given.
    pub name: Option<String>,
    /// What stands in parentheses after the name: a length or a count.
    pub arg: Option<Expr>,
    /// Its value.
    pub value: Expr,
}

impl Expr {
    /// The value of a structure's member.
    pub fn field(&self, name: &str) -> Option<&Expr> {
        match self {
            Expr::Struct(fields) => fields
                .iter()
                .find(|f| f.name.as_deref() == Some(name))
                .map(|f| &f.value),
            _ => None,
        }
    }
}

/// The directory of the kernel's own scripts, where its source is unpacked: RUSTNET_KERNEL_SRC, or where
/// the set-up puts it in the toolchain root.
#[cfg(test)]
pub fn kernel_scripts() -> Option<std::path::PathBuf> {
    let src = std::env::var_os("RUSTNET_KERNEL_SRC").unwrap_or_else(|| "/cache/kernel/src".into());
    let dir = std::path::Path::new(&src).join("tools/testing/selftests/net/packetdrill");
    dir.is_dir().then_some(dir)
}
