// SPDX-License-Identifier: GPL-2.0
//! Why a packet was dropped.
//!
//! Every packet that enters the stack and does not reach its end is given one of these names, which
//! glue counts (`/proc/net/rustnet/stat`) and hands to `kfree_skb_reason`. The names are those of
//! Linux's `enum skb_drop_reason` wherever the case is the same; where RustNet tells apart what Linux
//! lumps together, the name is our own and [`DropReason::name`] says so by its `RUSTNET_` prefix.
//!
//! Mirrors [`enum skb_drop_reason`](srctree/include/net/dropreason-core.h)

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// The name of one way for a packet to end early.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum DropReason {
            $($(#[$doc])* $variant,)*
        }

        impl DropReason {
            /// Every reason, in the order of [`DropReason::index`].
            pub const ALL: &'static [DropReason] = &[$(DropReason::$variant,)*];

            /// The name under which the drop is counted: Linux's, less `SKB_DROP_REASON_`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(DropReason::$variant => $name,)*
                }
            }
        }
    };
}

drop_reasons! {
    /// No reason was given.
    NotSpecified = "NOT_SPECIFIED",
    /// Nobody listens at, or owns, the packet's address and port.
    NoSocket = "NO_SOCKET",
    /// The socket was closed while the packet was on its way.
    SocketClose = "SOCKET_CLOSE",
    /// A filter attached to the socket refused it.
    SocketFilter = "SOCKET_FILTER",
    /// The socket's receive buffer is full.
    SocketRcvbuff = "SOCKET_RCVBUFF",
    /// The queue of packets that wait for the socket's owner is full.
    SocketBacklog = "SOCKET_BACKLOG",
    /// The packet is shorter than the headers it must have.
    PktTooSmall = "PKT_TOO_SMALL",
    /// The TCP checksum is wrong.
    TcpCsum = "TCP_CSUM",
    /// The UDP checksum is wrong.
    UdpCsum = "UDP_CSUM",
    /// The ICMP checksum is wrong.
    IcmpCsum = "ICMP_CSUM",
    /// The checksum of an IGMP message is wrong.
    SkbCsum = "SKB_CSUM",
    /// A netfilter hook dropped it.
    NetfilterDrop = "NETFILTER_DROP",
    /// The frame is addressed to another host.
    Otherhost = "OTHERHOST",
    /// The IPv4 header checksum is wrong.
    IpCsum = "IP_CSUM",
    /// The IPv4 header contradicts itself or the frame's length.
    IpInHdr = "IP_INHDR",
    /// The packet carries a source route, which is refused (RFC 7126, 4.3 and 4.4).
    IpSourceRoute = "RUSTNET_IP_SOURCE_ROUTE",
    /// The reverse path leads elsewhere.
    IpRpfilter = "IP_RPFILTER",
    /// A unicast packet in a multicast or broadcast frame.
    UnicastInL2Multicast = "UNICAST_IN_L2_MULTICAST",
    /// The IP protocol is not known here.
    IpNoProto = "IP_NOPROTO",
    /// The memory limit of the protocol is reached.
    ProtoMem = "PROTO_MEM",
    /// The destination is neither ours nor to be forwarded.
    IpInAddrErrors = "IP_INADDRERRORS",
    /// No route for a received packet.
    IpInNoRoutes = "IP_INNOROUTES",
    /// No route for a packet of ours.
    IpOutNoRoutes = "IP_OUTNOROUTES",
    /// The source address is one of this host's.
    IpLocalSource = "IP_LOCAL_SOURCE",
    /// The source address cannot be a source: multicast, broadcast or zero.
    IpInvalidSource = "IP_INVALID_SOURCE",
    /// A loopback address came from outside.
    IpLocalnet = "IP_LOCALNET",
    /// The destination address cannot be a destination.
    IpInvalidDest = "IP_INVALID_DEST",
    /// To a group that nobody here has joined.
    IpMcNotJoined = "RUSTNET_IP_MC_NOT_JOINED",
    /// To a group that leads nowhere from here.
    IpMcNoOif = "RUSTNET_IP_MC_NO_OIF",
    /// To a group whose packets come by another device.
    IpMcWrongVif = "RUSTNET_IP_MC_WRONG_VIF",
    /// To a group of which the routing daemon has not said in time where it leads.
    IpMcUnresolved = "RUSTNET_IP_MC_UNRESOLVED",
    /// The time to live ran out on the way through.
    IpTtlExceeded = "RUSTNET_IP_TTL_EXCEEDED",
    /// The packet is larger than the path takes and may not be fragmented.
    PktTooBig = "PKT_TOO_BIG",
    /// A fragment that is there already.
    DupFrag = "DUP_FRAG",
    /// Fragments overlap: the whole datagram goes (RFC 5722's rule).
    FragOverlap = "RUSTNET_FRAG_OVERLAP",
    /// Fragments that nobody completed in time.
    FragReasmTimeout = "FRAG_REASM_TIMEOUT",
    /// A fragment of a datagram that would be longer than a datagram can be, or that is malformed.
    FragInvalid = "RUSTNET_FRAG_INVALID",
    /// The ICMP message is of a kind, or in a place, that RFC 1122 tells to ignore.
    InvalidProto = "INVALID_PROTO",
    /// An ICMP error that quotes no flow of ours, or a sequence number never sent.
    IcmpStale = "RUSTNET_ICMP_STALE",
    /// A limiter allowed no answer.
    RateLimited = "RUSTNET_RATE_LIMITED",
    /// The ARP packet is malformed or of a kind that must be ignored (RFC 826, RFC 5227).
    ArpHdr = "RUSTNET_ARP_HDR",
    /// The neighbour's entry could not be made.
    NeighCreatefail = "NEIGH_CREATEFAIL",
    /// The neighbour does not answer.
    NeighFailed = "NEIGH_FAILED",
    /// Too many bytes wait for the neighbour's address.
    NeighQueuefull = "NEIGH_QUEUEFULL",
    /// The neighbour's entry went away.
    NeighDead = "NEIGH_DEAD",
    /// The link header could not be built.
    NeighHhFillfail = "NEIGH_HH_FILLFAIL",
    /// The device is not ready.
    DevReady = "DEV_READY",
    /// The link header is malformed.
    DevHdr = "DEV_HDR",
    /// The frame's protocol is not known here.
    UnhandledProto = "UNHANDLED_PROTO",
    /// No memory.
    Nomem = "NOMEM",
    /// A header could not be made readable in one piece.
    HdrTrunc = "HDR_TRUNC",
    /// A security module refused it.
    SecurityHook = "SECURITY_HOOK",
    /// A queueing discipline refused it.
    QdiscDrop = "QDISC_DROP",
    /// The queue was emptied because its owner goes away.
    QueuePurge = "QUEUE_PURGE",
    /// The TCP header is malformed: its length contradicts the packet's.
    TcpHdr = "RUSTNET_TCP_HDR",
    /// A combination of flags that no state accepts.
    TcpFlags = "TCP_FLAGS",
    /// Data for a connection whose reader is gone.
    TcpAbortOnData = "TCP_ABORT_ON_DATA",
    /// Data while the receive window is zero.
    TcpZeroWindow = "TCP_ZEROWINDOW",
    /// Data that was received before.
    TcpOldData = "TCP_OLD_DATA",
    /// Data beyond the right edge of the receive window.
    TcpOverwindow = "TCP_OVERWINDOW",
    /// Data that the out-of-order queue has already.
    TcpOfoMerge = "TCP_OFOMERGE",
    /// The timestamp is older than the last one (RFC 7323, 5).
    TcpRfc7323Paws = "TCP_RFC7323_PAWS",
    /// The same of a pure acknowledgement that is merely old.
    TcpRfc7323PawsAck = "TCP_RFC7323_PAWS_ACK",
    /// The same in TIME_WAIT.
    TcpRfc7323TwPaws = "TCP_RFC7323_TW_PAWS",
    /// The timestamp echo is one we never sent.
    TcpRfc7323Tsecr = "TCP_RFC7323_TSECR",
    /// The listener's queue is full.
    TcpListenOverflow = "TCP_LISTEN_OVERFLOW",
    /// The whole segment lies before the receive window.
    TcpOldSequence = "TCP_OLD_SEQUENCE",
    /// The segment lies outside the receive window.
    TcpInvalidSequence = "TCP_INVALID_SEQUENCE",
    /// The segment ends beyond the receive window.
    TcpInvalidEndSequence = "TCP_INVALID_END_SEQUENCE",
    /// The acknowledgement is for something never sent (SYN_SENT, SYN_RECV).
    TcpInvalidAckSequence = "TCP_INVALID_ACK_SEQUENCE",
    /// A reset that did what it says, or one that may not (RFC 5961, 3).
    TcpReset = "TCP_RESET",
    /// A SYN in the middle of a connection (RFC 5961, 4).
    TcpInvalidSyn = "TCP_INVALID_SYN",
    /// The connection is closed.
    TcpClose = "TCP_CLOSE",
    /// An old acknowledgement within the window.
    TcpOldAck = "TCP_OLD_ACK",
    /// An acknowledgement from before the window (RFC 5961, 5).
    TcpTooOldAck = "TCP_TOO_OLD_ACK",
    /// An acknowledgement of data never sent (RFC 5961, 5).
    TcpAckUnsentData = "TCP_ACK_UNSENT_DATA",
    /// Thrown out of the out-of-order queue for want of memory.
    TcpOfoQueuePrune = "TCP_OFO_QUEUE_PRUNE",
    /// Out-of-order data that the receive queue has already.
    TcpOfoDrop = "TCP_OFO_DROP",
    /// The time to live is below the socket's minimum (RFC 5082).
    TcpMinttl = "TCP_MINTTL",
}

impl DropReason {
    /// How many reasons there are: the length of a table of counters.
    pub const COUNT: usize = Self::ALL.len();

    /// The place of this reason in a table of [`DropReason::COUNT`] counters.
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl core::fmt::Display for DropReason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}
