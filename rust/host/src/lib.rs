// SPDX-License-Identifier: GPL-2.0
//! The host build of RustNet's protocol logic.
//!
//! [`stack`] is the directory that the module compiles too; [`platform`] is what the kernel gives it
//! there, made of `std` here. Nothing else belongs into this crate but tests and [`testutil`], which
//! they stand on.

#![forbid(unsafe_code)]

pub mod platform;
#[path = "../../stack/mod.rs"]
pub mod stack;
#[path = "../../stack/testutil/mod.rs"]
pub mod testutil;
