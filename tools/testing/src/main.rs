// SPDX-License-Identifier: GPL-2.0
//! The guest tests; written below.

fn main() {}
