// SPDX-License-Identifier: GPL-2.0
//! RustNet: a TCP/IP protocol family.
//!
//! [`stack`] is the protocol logic, [`abstractions`] the kernel in safe types, [`glue`] what lies
//! between. This file registers, in the order of the path of a packet, and nothing else.

// What the stack offers is used by the host's tests too, and not all of it by the module.
#![allow(dead_code)]

use kernel::prelude::*;

#[deny(unsafe_code)]
mod glue;
#[forbid(unsafe_code)]
mod stack;

mod abstractions;
mod bindings;
mod platform;

use abstractions::netdevice::Notifier;
use abstractions::netns;
use abstractions::packet_type::PacketType;
use glue::net::{Devices, State};
use glue::rx;

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

/// What the module has registered. Fields are dropped in this order when it goes: first no new sockets,
/// then no more packets, then no more namespaces, and at last what was put off until readers are gone.
struct RustNet {
    _arp: PacketType,
    _ipv4: PacketType,
    _devices: Notifier,
    _namespaces: netns::Registration<State>,
    _deferred: Deferred,
}

/// Waits, when it is dropped, for everything that waits for a grace period: that is code of this module.
struct Deferred;

impl Drop for Deferred {
    fn drop(&mut self) {
        abstractions::rcu::barrier();
    }
}

impl kernel::Module for RustNet {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let deferred = Deferred;
        let namespaces = netns::Registration::new()?;
        let devices = Notifier::new::<Devices>()?;
        Ok(RustNet {
            _arp: PacketType::new::<rx::Arp>()?,
            _ipv4: PacketType::new::<rx::Ipv4>()?,
            _devices: devices,
            _namespaces: namespaces,
            _deferred: deferred,
        })
    }
}
