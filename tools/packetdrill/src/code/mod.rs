// SPDX-License-Identifier: GPL-2.0
//! Code blocks: `%{ assert tcpi_snd_cwnd == 10, tcpi_snd_cwnd }%`.
//!
//! The language is Python; what scripts use of it is assertions about integers, and that is what
//! [`eval`] knows. [`info`] gives the names their values.

pub mod eval;
pub mod info;
