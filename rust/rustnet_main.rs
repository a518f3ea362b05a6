// SPDX-License-Identifier: GPL-2.0
//! RustNet: a TCP/IP protocol family.

use kernel::prelude::*;

#[allow(unreachable_pub, missing_docs)]
mod bindings;

module! {
    type: RustNet,
    name: "rustnet",
    authors: ["The RustNet authors"],
    description: "TCP/IP protocol family in Rust",
    license: "GPL",
    alias: ["net-pf-19"],
    params: {
        family: u8 {
            default: 19,
            description: "Number of the socket family to take",
        },
    },
}

struct RustNet {}

impl kernel::Module for RustNet {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        pr_info!("loaded {}\n", core::mem::size_of::<bindings::sk_buff>());
        Ok(RustNet {})
    }
}
