// SPDX-License-Identifier: GPL-2.0
//! What is asked of the routes, and what they answer (`struct flowi4`, `struct rtable`).

use super::{
    alias::{
        Alias,
        Kind,
        Scope, //
    },
    LOOPBACK_IFINDEX, //
};
use crate::stack::{
    errno::Errno,
    socket::key::jhash_3words,
    wire::ipv4::Addr, //
};

/// What is known of a packet when its way is looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Source; [`Addr::ANY`] if it is not chosen yet.
    pub saddr: Addr,
    /// Destination.
    pub daddr: Addr,
    /// Type of service.
    pub tos: u8,
    /// The device it must leave by; 0 for any.
    pub oif: i32,
    /// The device it came in by; [`LOOPBACK_IFINDEX`] for packets of ours.
    pub iif: i32,
    /// Its mark.
    pub mark: u32,
    /// Only routes that lead at most so far ([`Scope::LINK`] with `SO_DONTROUTE`).
    pub scope: Scope,
    /// The user whose packet it is; 0 for the kernel's own.
    pub uid: u32,
    /// Its protocol and ports, ours first: 0 where they are not known yet.
    pub protocol: u8,
    /// See above.
    pub sport: u16,
    /// See above.
    pub dport: u16,
}

impl Flow {
    /// A number below 2^31 that decides between several next hops: of the addresses alone, or, with
    /// `ports`, of the transport's flow, too (`fib_multipath_hash_policy`).
    ///
    /// RFC 2992: a flow keeps its way, so that its packets stay in order. Mirrors
    /// [`fib_multipath_hash`](srctree/net/ipv4/route.c)
    pub fn multipath_hash(&self, ports: bool, secret: u32) -> u32 {
        let transport = match ports {
            true => {
                let both = (u32::from(self.sport) << 16) | u32::from(self.dport);
                both ^ u32::from(self.protocol).rotate_right(8)
            }
            false => 0,
        };
        let (saddr, daddr) = (self.saddr.to_u32(), self.daddr.to_u32());
        jhash_3words(saddr, daddr, transport, secret) >> 1
    }
}

/// Where a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dst {
    /// What is done with it.
    pub kind: Kind,
    /// The device it leaves by; the loopback device if it stays here.
    pub oif: i32,
    /// The device that the route names, which differs from `oif` for local destinations.
    pub route_oif: i32,
    /// Whose link-layer address is needed: the gateway, or the destination itself.
    pub next_hop: Addr,
    /// Whether `next_hop` is a gateway.
    pub via_gateway: bool,
    /// The source: the flow's own, the route's, or [`Addr::ANY`]; glue then picks an address of the
    /// device with `inet_select_addr(oif, next_hop, scope)`.
    pub src: Addr,
    /// How far it goes.
    pub scope: Scope,
    /// The route's own MTU in bytes; 0 for the device's.
    pub mtu: u32,
    /// Whether messages from the path leave that alone.
    pub mtu_locked: bool,
    /// Whether the route has other [`metrics`].
    pub has_metrics: bool,
    /// The version of the base that said so.
    pub genid: u32,
}

impl Dst {
    /// What a route means for the packets of a flow.
    #[inline]
    pub(super) fn new(flow: &Flow, alias: &Alias, genid: u32) -> Dst {
        Dst {
            kind: alias.kind,
            oif: alias.oif,
            route_oif: alias.oif,
            next_hop: if alias.gateway.is_any() {
                flow.daddr
            } else {
                alias.gateway
            },
            via_gateway: !alias.gateway.is_any(),
            src: if flow.saddr.is_any() {
                alias.prefsrc
            } else {
                flow.saddr
            },
            scope: alias.scope,
            mtu: alias.mtu,
            mtu_locked: alias.mtu_locked,
            has_metrics: alias.has_metrics,
            genid,
        }
    }

    /// What a route means for a packet that came in.
    ///
    /// Errors: EINVAL for a source that must not leave the host.
    ///
    /// Mirrors [`ip_mkroute_input`](srctree/net/ipv4/route.c)
    #[inline]
    pub fn input(flow: &Flow, alias: &Alias, genid: u32) -> Result<Dst, Errno> {
        let stays = matches!(alias.kind, Kind::Local | Kind::Broadcast);
        // RFC 1122, 3.2.1.3 (g): a loopback source stays inside.
        if flow.saddr.is_loopback() && !stays && alias.oif != LOOPBACK_IFINDEX {
            return Err(Errno::EINVAL);
        }
        Ok(Dst::new(flow, alias, genid))
    }
}
