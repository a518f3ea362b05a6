// SPDX-License-Identifier: GPL-2.0
//! The kernel's C interfaces as this module needs them: declarations only, made by bindgen.
//!
//! To add one: a line in `allowlist` (exported functions, types, constants), or a helper in
//! `../helpers/helpers.c` (inline functions and macros; it appears here without its `rust_helper_`).
//! Headers are in `bindings_helper.h`.
//!
//! Why not the kernel crate's own bindings: they leave `net_device`, `sock` and `napi_struct` opaque
//! and lack `proto`, `packet_type` and `nf_hook_ops`. The two sets are different types of the same
//! layout; a pointer passes between them with a cast.

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
    "/rust/bindings/bindings_generated.rs"
));
