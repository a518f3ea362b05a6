// SPDX-License-Identifier: GPL-2.0
//! The host build of RustNet's protocol logic, and of what the driver can work out without a card.
//!
//! [`stack`] is the directory that the module compiles too; [`platform`] is what the kernel gives it
//! there, made of `std` here. Nothing else belongs into this crate but tests and [`testutil`], which
//! they stand on.

#![forbid(unsafe_code)]

pub mod platform;
#[path = "../../stack/mod.rs"]
pub mod stack;
// What the driver computes, and only its tests use here.
#[cfg(test)]
#[path = "../../e1000/eeprom.rs"]
mod eeprom;
#[cfg(test)]
#[path = "../../e1000/filter.rs"]
mod filter;
#[cfg(test)]
#[path = "../../e1000/itr/mod.rs"]
mod itr;
#[cfg(test)]
#[path = "../../e1000/ring/mod.rs"]
mod ring;
#[path = "../../stack/testutil/mod.rs"]
pub mod testutil;
