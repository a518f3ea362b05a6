// SPDX-License-Identifier: GPL-2.0
//! Asking where packets go: the mirror of the host's routes, or the host.

use super::super::{
    fib,
    net::State, //
};
use crate::{
    abstractions::{
        fib_notifier,
        memory::Arc,
        netdevice::NetDevice,
        rcu::ReadGuard, //
    },
    stack::{
        errno::Errno,
        ip::route::{
            self,
            metrics::Metrics,
            Flow,
            Kind, //
        },
        wire::ipv4::Addr,
    },
};

/// Whether a default route leads to the gateway.
pub(super) fn is_default_gateway(state: &State, gateway: Addr) -> bool {
    let mut found = false;
    let first = (route::TABLE_MAIN, Addr::ANY, 0);
    state.fib.walk(first, |table, prefix, len, alias| {
        let default = table == route::TABLE_MAIN && prefix.is_any() && len == 0;
        found |= default && alias.gateway == gateway;
        default && !found
    });
    found
}

/// Asks the mirror where it is exact, else the host. Of a route's metrics the mirror knows only whether there are
/// any.
#[inline]
pub(super) fn look_up(
    state: &State,
    flow: &Flow,
    rcu: &ReadGuard,
) -> Result<(route::Dst, Option<Arc<Metrics>>), Errno> {
    if !state.fib_state.exact(state.net, flow) {
        return look_up_at_host(state, flow);
    }
    let dst = state.fib.route_output_in(rcu, flow)?;
    let metrics = match dst.has_metrics {
        true => shared(ask_host(state, flow)?.metrics)?,
        false => None,
    };
    Ok((dst, metrics))
}

/// The metrics of a route that has some.
#[cold]
fn shared(metrics: Metrics) -> Result<Option<Arc<Metrics>>, Errno> {
    match metrics.is_none() {
        true => Ok(None),
        false => Arc::try_new(metrics).map(Some).map_err(|_| Errno::ENOBUFS),
    }
}

#[cold]
fn look_up_at_host(
    state: &State,
    flow: &Flow,
) -> Result<(route::Dst, Option<Arc<Metrics>>), Errno> {
    let mut metrics = Metrics::default();
    let dst = state.fib.route_output_with(flow, |flow| {
        let found = ask_host(state, flow)?;
        metrics = found.metrics;
        let alias = fib::alias(&found).ok_or(Errno::EINVAL)?;
        Ok((found.dst_len, alias))
    })?;
    Ok((dst, shared(metrics)?))
}

/// Where a packet goes that came in and is for one destination: to this host, if the answer's kind says that, or on.
/// Softirq.
///
/// Errors: as [`Route::output`](super::Route::output), but those about the device and memory.
///
/// Mirrors [`ip_route_input_slow`](srctree/net/ipv4/route.c), the part behind the checks of the addresses
#[inline]
pub(in crate::glue) fn input(
    state: &State,
    flow: &Flow,
    rcu: &ReadGuard,
) -> Result<route::Dst, Errno> {
    match state.fib_state.exact(state.net, flow) {
        true => state.fib.route_input(rcu, flow),
        false => input_by_host(state, flow),
    }
}

#[cold]
fn input_by_host(state: &State, flow: &Flow) -> Result<route::Dst, Errno> {
    let found = ask_host(state, flow)?;
    let alias = fib::alias(&found).ok_or(Errno::EINVAL)?;
    route::Dst::input(flow, &alias, state.fib.genid())
}

/// The host's answer.
fn ask_host(state: &State, flow: &Flow) -> Result<fib_notifier::Route, Errno> {
    let ports = state.net.sysctl().fib_multipath_hash_policy() == 1;
    let asked = fib_notifier::Flow {
        saddr: flow.saddr.to_u32(),
        daddr: flow.daddr.to_u32(),
        tos: flow.tos,
        proto: flow.protocol,
        oif: flow.oif as u32,
        iif: match flow.iif {
            0 => route::LOOPBACK_IFINDEX as u32,
            iif => iif as u32,
        },
        mark: flow.mark,
        scope: flow.scope.0,
        uid: flow.uid,
        hash: flow.multipath_hash(ports, state.multipath_secret),
    };
    fib_notifier::lookup(state.net, &asked)
        .map_err(|e| Errno::from_positive(e).unwrap_or(Errno::ENETUNREACH))
}

/// The device that the host has an address on; 0 if it is not the host's.
///
/// Mirrors [`__ip_dev_find`](srctree/net/ipv4/devinet.c)
pub(in crate::glue) fn device_of(state: &State, addr: Addr) -> i32 {
    let asked = fib_notifier::Flow {
        daddr: addr.to_u32(),
        iif: route::LOOPBACK_IFINDEX as u32,
        ..fib_notifier::Flow::default()
    };
    match fib_notifier::lookup(state.net, &asked) {
        Ok(r) if Kind::from_rtn(r.kind) == Some(Kind::Local) => r.oif as i32,
        _ => 0,
    }
}

/// A source address for packets whose socket and route name none.
///
/// Mirrors [`fib_info_update_nhc_saddr`](srctree/net/ipv4/fib_semantics.c)
pub(super) fn select_source(dev: &NetDevice, info: &route::Dst, rcu: &ReadGuard) -> Addr {
    let dst = info.next_hop.to_u32();
    Addr::from_u32(fib_notifier::select_addr_of(dev, dst, info.scope.0, rcu))
}
