// SPDX-License-Identifier: GPL-2.0
//! Following the host's routes.
//!
//! The chain of FIB news replays what exists and tells of changes at once, but only of the first route
//! of each prefix, of none with a type of service, and not of what a rule selects. So the mirror
//! answers where that is all there is, and the host's own `__fib_lookup` where it is not: see
//! [`Mirror::exact`].

use super::net::State;
use crate::abstractions::fib_notifier::{
    self,
    Event,
    Listener, //
};
use crate::abstractions::netns::Net;
use crate::stack::ip::route::{
    Alias,
    Flow,
    Kind,
    Scope, //
};
use crate::stack::wire::ipv4::Addr;
use core::sync::atomic::{
    AtomicBool,
    Ordering, //
};
use kernel::error::Result;

/// The registration of a namespace.
pub(crate) type Registration = fib_notifier::Registration;

/// Follows the routes of the namespace from now on.
pub(crate) fn register(state: &'static State) -> Result<Registration> {
    Registration::new::<Routes>(state.net)
}

/// How far the mirror can be trusted.
pub(crate) struct Mirror {
    /// A route came that an [`Alias`] cannot say (several next hops), that hides others (for one type of
    /// service), or that could not be kept for want of memory. Stays set: whether all of them are gone is not known.
    lossy: AtomicBool,
}

impl Mirror {
    pub(super) fn new() -> Self {
        Mirror {
            lossy: AtomicBool::new(false),
        }
    }

    /// Whether something was lost on the way into the mirror.
    #[inline]
    pub(crate) fn is_lossy(&self) -> bool {
        self.lossy.load(Ordering::Relaxed)
    }

    /// Whether the mirror says of a packet what the host would say. It has only the first route of each
    /// prefix, which need not be the one for a device that was named.
    #[inline]
    pub(crate) fn exact(&self, net: &Net, flow: &Flow) -> bool {
        flow.tos & 0xfc == 0
            && flow.oif == 0
            && !self.is_lossy()
            && !fib_notifier::has_custom_rules(net)
    }
}

struct Routes;

impl Listener for Routes {
    fn event(net: &Net, event: Event) {
        let Some(state) = State::of(net) else {
            return;
        };
        if let Event::Replace(r) | Event::Delete(r) = &event {
            state.exceptions.forget(Addr::from_u32(r.dst), r.dst_len);
        }
        let result = match event {
            Event::Replace(r) => {
                if r.complex {
                    state.fib_state.lossy.store(true, Ordering::Relaxed);
                }
                match alias(&r) {
                    Some(a) => state
                        .fib
                        .replace(r.table, Addr::from_u32(r.dst), r.dst_len, a),
                    None => Ok(()),
                }
            }
            Event::Delete(r) => state
                .fib
                .remove_prefix(r.table, Addr::from_u32(r.dst), r.dst_len),
            Event::Other => {
                state.fib.bump();
                Ok(())
            }
        };
        if result.is_err() {
            state.fib_state.lossy.store(true, Ordering::Relaxed);
            state.fib.bump();
        }
    }

    fn restart(net: &Net) {
        if let Some(state) = State::of(net) {
            if state.fib.clear().is_err() {
                state.fib_state.lossy.store(true, Ordering::Relaxed);
            }
        }
    }
}

/// A route in the stack's words; `None` for a kind that it does not know.
pub(super) fn alias(r: &fib_notifier::Route) -> Option<Alias> {
    Some(Alias {
        tos: r.tos,
        priority: r.priority,
        kind: Kind::from_rtn(r.kind)?,
        scope: Scope(r.scope),
        oif: r.oif as i32,
        gateway: Addr::from_u32(r.gateway),
        prefsrc: Addr::from_u32(r.prefsrc),
        mtu: r.mtu,
        mtu_locked: r.mtu_locked,
        has_metrics: !r.metrics.is_none(),
        dead: false,
    })
}
