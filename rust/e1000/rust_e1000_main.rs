// SPDX-License-Identifier: GPL-2.0
//! A driver of Intel's 8254x network cards, as QEMU emulates them.
//!
//! C twin: [`drivers/net/ethernet/intel/e1000`](srctree/drivers/net/ethernet/intel/e1000/e1000_main.c)
//!
//! In comes what the kernel calls ([`netdev`], [`ethtool`]) and what the card does ([`irq`]); out go writes
//! to its registers ([`regs`]) and descriptors ([`ring`]). In the order in which a frame meets them: [`tx`]
//! down; [`irq`], [`itr`], [`rx`] up.

use kernel::prelude::*;

#[allow(dead_code, unreachable_pub)]
#[path = "../abstractions/driver/mod.rs"]
mod abstractions;
#[path = "../bindings/driver/mod.rs"]
mod bindings;

#[deny(unsafe_code)]
mod card;
#[deny(unsafe_code)]
mod eeprom;
#[deny(unsafe_code)]
mod ethtool;
#[deny(unsafe_code)]
mod filter;
#[deny(unsafe_code)]
mod hw;
#[deny(unsafe_code)]
mod irq;
#[deny(unsafe_code)]
mod itr;
#[deny(unsafe_code)]
mod netdev;
#[deny(unsafe_code)]
mod regs;
#[deny(unsafe_code)]
mod ring;
#[deny(unsafe_code)]
mod rx;
#[deny(unsafe_code)]
mod selftest;
#[deny(unsafe_code)]
mod stats;
#[deny(unsafe_code)]
mod tx;

use abstractions::pci::Registration;
use card::Card;

module! {
    type: Driver,
    name: "rust_e1000",
    authors: ["The RustNet authors"],
    description: "Intel 8254x network driver in Rust",
    license: "GPL",
    alias: [
        "pci:v00008086d00001008sv*sd*bc*sc*i*",
        "pci:v00008086d0000100Esv*sd*bc*sc*i*",
        "pci:v00008086d0000100Fsv*sd*bc*sc*i*",
    ],
}

/// What the module has registered.
struct Driver {
    _cards: Registration<Card>,
}

impl kernel::Module for Driver {
    fn init(module: &'static ThisModule) -> Result<Self> {
        Ok(Driver {
            _cards: Registration::new(module)?,
        })
    }
}
