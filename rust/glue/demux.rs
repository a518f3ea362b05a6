// SPDX-License-Identifier: GPL-2.0
//! Which of our sockets is a packet for?
//!
//! The question is asked in two strengths. [`connected`] finds what has both ends of a packet: enough
//! for most packets, and cheap. [`any`] finds, failing that, the listener or the unconnected socket that
//! has its destination. What is found comes with a reference and takes the packet with [`Found::rcv`],
//! so that nothing is looked up twice.

use super::{
    datagram,
    inet_sock,
    net::State,
    tcp::Tcp,
    tcp_ipv4,
    udp::Udp,
    udp_input, //
};
use crate::{
    abstractions::{
        ehash,
        proto::Protocol as _,
        rx_way::RxWay,
        sk::Sk,
        skbuff::{
            SkBuff,
            Skb, //
        },
        sock::SockRef, //
    },
    stack::{
        drop_reason::DropReason,
        icmp::input::{
            Quoted,
            Redirect, //
        },
        ip::Header,
        socket::FourTuple,
        udp::lookup::{
            compute_score,
            Receiver, //
        },
        wire::ipv4::{
            Addr,
            Protocol, //
        },
    },
};

/// Both ends of a packet as it stands on the wire: the source is the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// TCP or UDP; nothing is found for another.
    pub(crate) protocol: Protocol,
    /// The peer's address.
    pub(crate) saddr: Addr,
    /// Our address.
    pub(crate) daddr: Addr,
    /// The peer's port.
    pub(crate) sport: u16,
    /// Our port.
    pub(crate) dport: u16,
    /// The device that the packet came in by.
    pub(crate) ifindex: u32,
}

impl Key {
    /// Of what the peer would answer to a packet of ours, whose flow is `id` as seen from here.
    fn answering(protocol: Protocol, id: &FourTuple, ifindex: u32) -> Key {
        Key {
            protocol,
            saddr: id.daddr,
            daddr: id.saddr,
            sport: id.dport,
            dport: id.sport,
            ifindex,
        }
    }

    /// Of a packet whose data begin with the transport header; `None` if that is cut short.
    pub(crate) fn of(header: &Header, skb: &mut Skb, ifindex: u32) -> Option<Key> {
        let [s0, s1, d0, d1] = *skb.may_pull(4)?.first_chunk::<4>()?;
        Some(Key {
            protocol: header.protocol,
            saddr: header.saddr,
            daddr: header.daddr,
            sport: u16::from_be_bytes([s0, s1]),
            dport: u16::from_be_bytes([d0, d1]),
            ifindex,
        })
    }

    /// The flow as we see it.
    #[inline]
    pub(crate) fn id(&self) -> FourTuple {
        FourTuple {
            saddr: self.daddr,
            daddr: self.saddr,
            sport: self.dport,
            dport: self.sport,
        }
    }
}

/// Who takes a packet.
enum Taker {
    Tcp(ehash::Found<Tcp>),
    Listener(SockRef<Tcp>),
    Udp(SockRef<Udp>),
}

/// The socket, or what stands for one, that a packet is for.
pub(crate) struct Found {
    taker: Taker,
    way: RxWay,
}

impl Found {
    /// Hands over a packet whose data begin with the transport header. Softirq, or process context with
    /// bottom halves off; consumes the packet.
    #[inline]
    pub(crate) fn rcv(self, state: &State, header: &Header, skb: Skb) {
        match self.taker {
            Taker::Tcp(found) => tcp_ipv4::rcv(state, header, skb, found, self.way),
            Taker::Listener(so) => tcp_ipv4::rcv_listen(state, header, skb, so),
            Taker::Udp(so) => udp_input::rcv(state, header, skb, &so),
        }
    }
}

impl Found {
    /// The socket, if it has both ends of the packet.
    #[inline]
    fn connection(&self) -> Option<&Sk> {
        match &self.taker {
            Taker::Tcp(ehash::Found::Sock(so)) => Some(so),
            Taker::Udp(so) if so.daddr() != 0 => Some(so),
            _ => None,
        }
    }

    /// Whether the host has let packets of this connection in by `way`.
    #[inline]
    pub(super) fn came_by(&self, way: RxWay) -> bool {
        self.connection().is_some_and(|sk| sk.came_by(way))
    }

    /// The host has let this packet, whose ends are `key`, in by `way`.
    #[inline]
    pub(super) fn note_way(&mut self, state: &State, key: &Key, way: RxWay) {
        self.way = way;
        if let Some(sk) = self.connection() {
            let name = inet_sock::name(state.net, &key.id());
            sk.note_way(&name, key.ifindex as i32, way);
        }
    }

    /// Whether only a listener has the packet, by its destination.
    #[inline]
    pub(crate) fn is_listener(&self) -> bool {
        matches!(self.taker, Taker::Listener(_))
    }
}

/// What has both ends of the packet.
#[inline]
pub(crate) fn connected(state: &State, key: &Key) -> Option<Found> {
    let id = key.id();
    let name = inet_sock::name(state.net, &id);
    let taker = match key.protocol {
        Protocol::TCP => Taker::Tcp(Tcp::table().lookup(&name, key.ifindex as i32)?),
        Protocol::UDP => match Udp::table().lookup(&name, key.ifindex as i32)? {
            ehash::Found::Sock(so) => Taker::Udp(so),
            _ => return None,
        },
        _ => return None,
    };
    Some(Found {
        taker,
        way: RxWay::unasked(key.ifindex),
    })
}

/// What has both ends of the packet, else what has its destination.
#[inline]
pub(crate) fn any(state: &State, key: &Key) -> Option<Found> {
    if let Some(found) = connected(state, key) {
        return Some(found);
    }
    let taker = match key.protocol {
        Protocol::TCP => Taker::Listener(listener(state, key)?),
        Protocol::UDP => Taker::Udp(bound::<Udp>(state, key)?),
        _ => return None,
    };
    Some(Found {
        taker,
        way: RxWay::unasked(key.ifindex),
    })
}

/// Whether any socket of ours has the packet, and be it only by its destination.
pub(crate) fn owns(state: &State, key: &Key) -> bool {
    any(state, key).is_some()
}

/// The socket in the bound part that fits best.
///
/// Mirrors [`__inet_lookup_listener`](srctree/net/ipv4/inet_hashtables.c), [`__udp4_lib_lookup`](srctree/net/ipv4/udp.c)
#[inline]
pub(super) fn bound<P: crate::abstractions::proto::Protocol>(
    state: &State,
    key: &Key,
) -> Option<SockRef<P>> {
    let hash = inet_sock::bound_hash(state.net, key.dport);
    let net = state.net.as_ptr();
    let id = key.id();
    let flow = inet_sock::name(state.net, &id).hash;
    P::table().lookup_bound(hash, flow, |sk| {
        if sk.net_ptr() != net {
            return None;
        }
        let sk = Receiver {
            rcv_saddr: Addr::from_u32(sk.rcv_saddr()),
            num: sk.num(),
            daddr: Addr::ANY,
            dport: 0,
            bound_dev_if: sk.bound_dev_if(),
        };
        compute_score(&sk, id, key.ifindex as i32)
    })
}

/// The listener for a SYN.
#[inline]
pub(super) fn listener(state: &State, key: &Key) -> Option<SockRef<Tcp>> {
    bound::<Tcp>(state, key)
}

/// A packet that nobody has, where RustNet answers for the host: a reset, or an ICMP message.
#[cold]
pub(crate) fn no_socket(state: &State, key: &Key, header: &Header, mut skb: Skb) {
    match key.protocol {
        Protocol::TCP => tcp_ipv4::no_socket(state, header, skb),
        Protocol::UDP => udp_input::no_socket(state, header, skb),
        _ => {
            skb.orphan();
            state.counts.drop(skb, DropReason::IpNoProto);
        }
    }
}

/// Whether a socket of ours wants a datagram that went to everybody or to a group.
pub(crate) fn wants_group(state: &State, key: &Key) -> bool {
    udp_input::wants_group(state, key)
}

/// Gives such a datagram to each of our sockets that wants it.
pub(crate) fn rcv_group(state: &State, key: &Key, header: &Header, skb: Skb) {
    udp_input::rcv_group(state, key, header, skb);
}

/// An ICMP message quotes a packet that may be ours. The data of `message` begin with its header, and it has
/// its IP header before them; `None` where there was no memory for one. Softirq.
pub(crate) fn icmp_error(
    state: &State,
    quoted: &Quoted,
    ifindex: u32,
    message: Option<&mut SkBuff>,
) {
    let key = Key::answering(quoted.protocol, &quoted.id, ifindex);
    match any(state, &key).map(|f| f.taker) {
        Some(Taker::Tcp(found)) => tcp_ipv4::err(state, quoted, found, message),
        Some(Taker::Udp(so)) => udp_input::err(state, quoted, &so, message),
        // A listener has sent nothing.
        Some(Taker::Listener(_)) | None => (),
    }
}

/// The router `old` knows a better gateway for a packet that may be ours. Softirq.
pub(crate) fn redirect(state: &State, redirect: &Redirect, old: Addr, ifindex: u32) {
    let key = Key::answering(redirect.protocol, &redirect.id, ifindex);
    match any(state, &key).map(|f| f.taker) {
        Some(Taker::Tcp(found)) => tcp_ipv4::redirect(state, redirect, old, found),
        Some(Taker::Udp(so)) => datagram::redirect(state, redirect, old, &so),
        Some(Taker::Listener(_)) | None => (),
    }
}
