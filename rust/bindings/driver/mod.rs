// SPDX-License-Identifier: GPL-2.0
//! The kernel's C interfaces as the driver needs them: declarations only, made by bindgen.
//!
//! As `../mod.rs` for the other module: two crates cannot share one, and each sees only what it asks for.

#![allow(
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn
)]
#![cfg_attr(CONFIG_RUSTC_HAS_UNNECESSARY_TRANSMUTES, allow(unnecessary_transmutes))]

use kernel::ffi;

// Manual definitions of what `bindgen_parameters` blocks, as in `rust/bindings/lib.rs`.
type __kernel_size_t = usize;
type __kernel_ssize_t = isize;
type __kernel_ptrdiff_t = isize;

include!(concat!(
    env!("RUSTNET_OBJ"),
    "/rust/bindings/driver/bindings_generated.rs"
));
