// SPDX-License-Identifier: GPL-2.0
//! RustNet: a TCP/IP protocol family.
//!
//! [`stack`] is the protocol logic, [`abstractions`] the kernel in safe types, [`glue`] what lies
//! between. This file registers, in the order of the path of a packet, and nothing else.

use kernel::prelude::*;

#[deny(unsafe_code)]
mod glue;
// The stack is a library: what the host's tests use of it, the module need not.
#[allow(dead_code, unreachable_pub, unused_imports)]
#[forbid(unsafe_code)]
mod stack;

#[allow(dead_code, unreachable_pub)]
mod abstractions;
mod bindings;
#[allow(unused_imports)]
mod platform;

use abstractions::netdevice::Notifier;
use abstractions::netevent;
use abstractions::netns;
use abstractions::packet_type::PacketType;
use abstractions::socket::FamilyRegistration;
use glue::af_rustnet::{
    self,
    Protocols, //
};
use glue::neigh;
use glue::net::{
    Devices,
    State, //
};
use glue::rx;

/// The module with its parameters and those that only some kernel's build has.
macro_rules! declare {
    ($($more:tt)*) => {
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
                $($more)*
            },
        }
    };
}

#[cfg(not(any(CONFIG_KASAN, CONFIG_KCSAN)))]
declare! {}

#[cfg(any(CONFIG_KASAN, CONFIG_KCSAN))]
declare! {
    plant: u8 {
        default: 0,
        description: "Test of the tests: a fault to make on purpose",
    },
}

/// What the module has registered. Fields are dropped in this order when it goes: first no new sockets,
/// then no more packets, then no more namespaces, then what sockets are made of, and at last what was put off until readers are gone.
struct RustNet {
    _family: FamilyRegistration,
    _arp: PacketType,
    _neighbours: netevent::Notifier,
    _devices: Notifier,
    _namespaces: netns::Registration<State>,
    _protocols: Protocols,
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
    fn init(module: &'static ThisModule) -> Result<Self> {
        #[cfg(any(CONFIG_KASAN, CONFIG_KCSAN))]
        abstractions::planted::plant(module_parameters::plant.value())?;
        let family = i32::from(module_parameters::family.value());
        // One after the other, so that a step that fails takes those before it back from the last to the first: none of
        // them outlives what it refers to. The fields of a structure would go in another order than they are dropped in.
        let deferred = Deferred;
        let protocols = Protocols::new(family, module)?;
        let namespaces = netns::Registration::new()?;
        let devices = Notifier::new::<Devices>()?;
        let neighbours = netevent::Notifier::new::<neigh::Admin>()?;
        let arp = PacketType::new::<rx::Arp>()?;
        let family = af_rustnet::register(family, module)?;
        Ok(RustNet {
            _family: family,
            _arp: arp,
            _neighbours: neighbours,
            _devices: devices,
            _namespaces: namespaces,
            _protocols: protocols,
            _deferred: deferred,
        })
    }
}
