// SPDX-License-Identifier: GPL-2.0
//! Counting events and drops, and telling the kernel why a packet ended.
//!
//! An event is counted where the host counts it (see [`mib`]). A dropped packet is also counted by its own
//! name (`/proc/net/rustnet/stat`) and freed with the kernel's
//! nearest reason, so that drop monitors (`kfree_skb`'s tracepoint, `dropwatch`) see RustNet's too.

use super::mib;
use crate::abstractions::netns::Net;
use crate::abstractions::percpu::Counters;
use crate::abstractions::skbuff::Skb;
use crate::bindings;
use crate::stack::counters::Counter;
use crate::stack::drop_reason::DropReason;
use kernel::error::Result;

/// The numbers of a namespace.
pub(crate) struct Counts {
    net: &'static Net,
    /// Events that the host does not count, then drops.
    own: Counters<{ Counter::COUNT + DropReason::COUNT }>,
}

impl Counts {
    /// All zero. Process context; sleeps.
    pub(crate) fn new(net: &'static Net) -> Result<Self> {
        Ok(Counts {
            net,
            own: Counters::new()?,
        })
    }

    /// An event happened. Any context.
    #[inline]
    pub(crate) fn event(&self, counter: Counter) {
        mib::events(self.net, counter, 1);
    }

    /// An event happened `n` times. Any context.
    #[inline]
    pub(crate) fn events(&self, counter: Counter, n: u64) {
        mib::events(self.net, counter, n);
    }

    /// The same for an event that the host does not count.
    pub(super) fn own(&self, counter: Counter, n: u64) {
        self.own.add(counter.index(), n);
    }

    /// A packet is dropped: counts it and frees it. Any context.
    #[cold]
    pub(crate) fn drop(&self, skb: Skb, reason: DropReason) {
        self.dropped(reason);
        skb.drop_reason(kernel_reason(reason));
    }

    /// A packet was dropped that is already freed.
    #[cold]
    pub(crate) fn dropped(&self, reason: DropReason) {
        self.own.add(Counter::COUNT.wrapping_add(reason.index()), 1);
    }

    /// How often an event has happened that the host does not count.
    pub(crate) fn sum_own(&self, counter: Counter) -> u64 {
        self.own.sum(counter.index())
    }

    /// How many packets were dropped for `reason`.
    pub(crate) fn sum_dropped(&self, reason: DropReason) -> u64 {
        self.own.sum(Counter::COUNT.wrapping_add(reason.index()))
    }
}

/// The kernel's reason that is nearest to ours.
fn kernel_reason(reason: DropReason) -> bindings::skb_drop_reason {
    use DropReason as D;
    match reason {
        D::NoSocket => bindings::skb_drop_reason_SKB_DROP_REASON_NO_SOCKET,
        D::SocketFilter => bindings::skb_drop_reason_SKB_DROP_REASON_SOCKET_FILTER,
        D::SocketRcvbuff => bindings::skb_drop_reason_SKB_DROP_REASON_SOCKET_RCVBUFF,
        D::SocketBacklog => bindings::skb_drop_reason_SKB_DROP_REASON_SOCKET_BACKLOG,
        D::PktTooSmall | D::HdrTrunc | D::TcpHdr => {
            bindings::skb_drop_reason_SKB_DROP_REASON_PKT_TOO_SMALL
        }
        D::TcpCsum => bindings::skb_drop_reason_SKB_DROP_REASON_TCP_CSUM,
        D::UdpCsum => bindings::skb_drop_reason_SKB_DROP_REASON_UDP_CSUM,
        D::IcmpCsum => bindings::skb_drop_reason_SKB_DROP_REASON_ICMP_CSUM,
        D::NetfilterDrop => bindings::skb_drop_reason_SKB_DROP_REASON_NETFILTER_DROP,
        D::Otherhost => bindings::skb_drop_reason_SKB_DROP_REASON_OTHERHOST,
        D::IpCsum => bindings::skb_drop_reason_SKB_DROP_REASON_IP_CSUM,
        D::IpInHdr | D::IpSourceRoute => bindings::skb_drop_reason_SKB_DROP_REASON_IP_INHDR,
        D::IpNoProto => bindings::skb_drop_reason_SKB_DROP_REASON_IP_NOPROTO,
        D::ProtoMem => bindings::skb_drop_reason_SKB_DROP_REASON_PROTO_MEM,
        D::IpInAddrErrors => bindings::skb_drop_reason_SKB_DROP_REASON_IP_INADDRERRORS,
        D::IpInNoRoutes => bindings::skb_drop_reason_SKB_DROP_REASON_IP_INNOROUTES,
        D::IpOutNoRoutes => bindings::skb_drop_reason_SKB_DROP_REASON_IP_OUTNOROUTES,
        D::IpInvalidSource => bindings::skb_drop_reason_SKB_DROP_REASON_IP_INVALID_SOURCE,
        D::IpInvalidDest => bindings::skb_drop_reason_SKB_DROP_REASON_IP_INVALID_DEST,
        D::PktTooBig => bindings::skb_drop_reason_SKB_DROP_REASON_PKT_TOO_BIG,
        D::NeighCreatefail => bindings::skb_drop_reason_SKB_DROP_REASON_NEIGH_CREATEFAIL,
        D::NeighFailed => bindings::skb_drop_reason_SKB_DROP_REASON_NEIGH_FAILED,
        D::NeighQueuefull => bindings::skb_drop_reason_SKB_DROP_REASON_NEIGH_QUEUEFULL,
        D::Nomem => bindings::skb_drop_reason_SKB_DROP_REASON_NOMEM,
        D::TcpReset => bindings::skb_drop_reason_SKB_DROP_REASON_TCP_RESET,
        D::TcpClose => bindings::skb_drop_reason_SKB_DROP_REASON_TCP_CLOSE,
        D::TcpOldAck => bindings::skb_drop_reason_SKB_DROP_REASON_TCP_OLD_ACK,
        D::TcpFlags => bindings::skb_drop_reason_SKB_DROP_REASON_TCP_FLAGS,
        D::TcpOldData => bindings::skb_drop_reason_SKB_DROP_REASON_TCP_OLD_DATA,
        D::TcpOverwindow => bindings::skb_drop_reason_SKB_DROP_REASON_TCP_OVERWINDOW,
        D::TcpOfoDrop => bindings::skb_drop_reason_SKB_DROP_REASON_TCP_OFO_DROP,
        D::TcpInvalidSequence => bindings::skb_drop_reason_SKB_DROP_REASON_TCP_INVALID_SEQUENCE,
        D::TcpRfc7323Paws => bindings::skb_drop_reason_SKB_DROP_REASON_TCP_RFC7323_PAWS,
        _ => bindings::skb_drop_reason_SKB_DROP_REASON_NOT_SPECIFIED,
    }
}
