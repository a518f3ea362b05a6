// SPDX-License-Identifier: GPL-2.0
//! The way of one packet that is sent on.

use super::{
    super::{
        neigh::{
            self,
            Neigh, //
        },
        net::State,
    },
    forward_mtu,
    hops::Key,
    learn,
    lookup::look_up,
    NextHop,
    Way, //
};
use crate::{
    abstractions::{
        dst::Dst,
        memory::Arc,
        netdevice::NetDevice,
        rcu::{
            self,
            ReadGuard, //
        },
    },
    stack::{
        self,
        errno::Errno,
        ip::route::{
            self,
            exception::{
                Pmtu,
                Via, //
            },
            Flow,
            Kind, //
        },
        wire::ipv4::Addr,
    },
};

/// The way of one packet that is sent on. Nobody keeps it, so that it needs no references of its own.
pub(in crate::glue) struct Onward<'a> {
    dst: &'a Dst,
    hop: NextHop<&'a Arc<Neigh>>,
    info: &'a route::Dst,
    pmtu: Option<Pmtu>,
}

impl Way for Onward<'_> {
    #[inline]
    fn dst(&self) -> &Dst {
        self.dst
    }

    #[inline]
    fn hop(&self) -> NextHop<&Arc<Neigh>> {
        self.hop
    }

    #[inline]
    fn kind(&self) -> Kind {
        self.info.kind
    }
}

impl<'a> Onward<'a> {
    /// Calls `f` with the way of a packet to `daddr`, which is for one destination, as the routes say it ([`input`](super::input)).
    ///
    /// Errors: as [`Route::output`](super::Route::output).
    ///
    /// Mirrors [`__mkroute_input`](srctree/net/ipv4/route.c)
    #[inline]
    pub(in crate::glue) fn with<R>(
        state: &State,
        daddr: Addr,
        info: &route::Dst,
        rcu: &ReadGuard,
        f: impl FnOnce(Result<Onward<'_>, Errno>) -> R,
    ) -> R {
        let mut info = *info;
        let pmtu = learn(state, daddr, &Via::of(&info), &mut info);
        let key = Key::of(&info);
        state.hops.with(state.net, key, 0, rcu, |dst| {
            let dst = match dst {
                Ok(dst) => dst,
                Err(e) => return f(Err(e)),
            };
            let dev = dst.dev(rcu);
            let info = &info;
            match stack::neigh::static_addr(&neigh::link(dev), info.kind, info.next_hop) {
                Some(ha) => f(Ok(Onward {
                    dst,
                    hop: NextHop::Static(ha),
                    info,
                    pmtu,
                })),
                None => neigh::with(state, dev, info.next_hop, rcu, |n| {
                    f(match n {
                        Some(n) => Ok(Onward {
                            dst,
                            hop: NextHop::Neigh(n),
                            info,
                            pmtu,
                        }),
                        None => Err(Errno::ENOBUFS),
                    })
                }),
            }
        })
    }

    /// The number of the device that the packet leaves by.
    #[inline]
    pub(in crate::glue) fn oif(&self) -> i32 {
        self.info.oif
    }

    /// The largest packet that goes this way, in bytes.
    #[inline]
    pub(in crate::glue) fn mtu(&self, state: &State, rcu: &ReadGuard) -> u32 {
        forward_mtu(state, self.info, self.pmtu, self.dst.dev(rcu))
    }

    /// Where the packet goes next: the gateway, or the destination itself.
    ///
    /// Mirrors [`rt_nexthop`](srctree/include/net/route.h)
    pub(in crate::glue) fn next_hop(&self) -> Addr {
        self.info.next_hop
    }

    /// Whether a packet of `saddr`'s, which came in by `dev`, need not have come: its sender and its next hop are on
    /// the same link.
    ///
    /// Mirrors [`__mkroute_input`](srctree/net/ipv4/route.c)
    #[inline]
    pub(in crate::glue) fn is_detour(&self, state: &State, dev: &NetDevice, saddr: Addr) -> bool {
        self.oif() as u32 == dev.ifindex() && self.is_detour_on(state, dev, saddr)
    }

    #[cold]
    fn is_detour_on(&self, state: &State, dev: &NetDevice, saddr: Addr) -> bool {
        if !dev.tx_redirects() {
            return false;
        }
        let near = dev.shared_media()
            || dev.addr_onlink(
                saddr.to_u32(),
                match self.info.via_gateway {
                    true => self.info.next_hop.to_u32(),
                    false => saddr.to_u32(),
                },
            );
        let back = Flow {
            daddr: saddr,
            iif: route::LOOPBACK_IFINDEX,
            ..Flow::default()
        };
        near && look_up(state, &back, &rcu::read_lock()).is_ok_and(|(way, _)| {
            way.kind == Kind::Unicast && !way.via_gateway && way.oif as u32 == dev.ifindex()
        })
    }
}
