// SPDX-License-Identifier: GPL-2.0
//! Code blocks: `%{ assert tcpi_snd_cwnd == 10, tcpi_snd_cwnd }%`.
//!
//! The language is Python; what scripts use of it is assertions about integers, and that is what
//! [`eval`] knows. The rest is [`python`]'s. [`info`] gives the names their values.

mod eval;
pub mod info;
mod python;

use anyhow::Result;

use self::info::Names;

/// Runs a block. Names that it assigns are added to `names`, unless Python itself was needed.
pub fn run(text: &str, names: &mut Names) -> Result<()> {
    match eval::check(text) {
        Ok(()) => eval::run(text, names),
        Err(_) => python::run(text, names),
    }
}

/// Whether a block needs no Python.
#[cfg(test)]
pub fn is_simple(text: &str) -> Result<()> {
    eval::check(text)
}
