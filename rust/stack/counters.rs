// SPDX-License-Identifier: GPL-2.0
//! The events that are counted, by the names of the MIBs and of `/proc/net/snmp` and `netstat`.
//!
//! The stack says *that* something happened (`Env::count`); where the number lives, and that it is
//! per CPU, is glue's business. Drops are counted by [`DropReason`](super::drop_reason::DropReason)
//! as well: a counter here and a reason there answer different questions.
//!
//! Mirrors [`snmp4_tcp_list`, `snmp4_net_list`](srctree/net/ipv4/proc.c)

macro_rules! counters {
    ($($(#[$doc:meta])* $variant:ident = $group:literal, $name:literal;)*) => {
        /// One countable event of a namespace.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Counter {
            $($(#[$doc])* $variant,)*
        }

        impl Counter {
            /// Every counter, in the order of [`Counter::index`].
            pub const ALL: &'static [Counter] = &[$(Counter::$variant,)*];

            /// Group and name in one word, as `nstat` prints it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Counter::$variant => concat!($group, $name),)*
                }
            }
        }
    };
}

counters! {
    /// IPv4 packets received, errors included.
    IpInReceives = "Ip", "InReceives";
    /// Packets dropped for their header.
    IpInHdrErrors = "Ip", "InHdrErrors";
    /// Packets whose header checksum is wrong.
    IpInCsumErrors = "Ip", "InCsumErrors";
    /// Packets shorter than they claim.
    IpInTruncatedPkts = "Ip", "InTruncatedPkts";
    /// Packets for an address that is not ours.
    IpInAddrErrors = "Ip", "InAddrErrors";
    /// Packets without a route back or on.
    IpInNoRoutes = "Ip", "InNoRoutes";
    /// Packets of a protocol that is not known.
    IpInUnknownProtos = "Ip", "InUnknownProtos";
    /// Good packets dropped for want of memory and the like.
    IpInDiscards = "Ip", "InDiscards";
    /// Packets delivered to a protocol.
    IpInDelivers = "Ip", "InDelivers";
    /// Packets that a local protocol asked to send.
    IpOutRequests = "Ip", "OutRequests";
    /// Good packets not sent for want of memory and the like.
    IpOutDiscards = "Ip", "OutDiscards";
    /// Packets not sent for want of a route.
    IpOutNoRoutes = "Ip", "OutNoRoutes";
    /// Packets handed to a device.
    IpOutTransmits = "Ip", "OutTransmits";
    /// Packets forwarded.
    IpForwDatagrams = "Ip", "ForwDatagrams";
    /// Datagrams whose fragments did not all arrive in time.
    IpReasmTimeout = "Ip", "ReasmTimeout";
    /// Fragments received.
    IpReasmReqds = "Ip", "ReasmReqds";
    /// Datagrams put together.
    IpReasmOks = "Ip", "ReasmOKs";
    /// Datagrams that could not be put together.
    IpReasmFails = "Ip", "ReasmFails";
    /// Datagrams cut into fragments.
    IpFragOks = "Ip", "FragOKs";
    /// Datagrams that could not be cut.
    IpFragFails = "Ip", "FragFails";
    /// Fragments made.
    IpFragCreates = "Ip", "FragCreates";

    /// Bytes of IPv4 packets received, errors included.
    IpInOctets = "IpExt", "InOctets";
    /// Bytes of packets handed to a device.
    IpOutOctets = "IpExt", "OutOctets";
    /// Packets to groups received.
    IpInMcastPkts = "IpExt", "InMcastPkts";
    /// Their bytes.
    IpInMcastOctets = "IpExt", "InMcastOctets";
    /// Packets to groups handed to a device.
    IpOutMcastPkts = "IpExt", "OutMcastPkts";
    /// Their bytes.
    IpOutMcastOctets = "IpExt", "OutMcastOctets";
    /// Packets to everybody received.
    IpInBcastPkts = "IpExt", "InBcastPkts";
    /// Their bytes.
    IpInBcastOctets = "IpExt", "InBcastOctets";
    /// Packets to everybody handed to a device.
    IpOutBcastPkts = "IpExt", "OutBcastPkts";
    /// Their bytes.
    IpOutBcastOctets = "IpExt", "OutBcastOctets";
    /// Packets received of senders that do not do ECN.
    IpInNoEctPkts = "IpExt", "InNoECTPkts";
    /// Packets received with ECT(1).
    IpInEct1Pkts = "IpExt", "InECT1Pkts";
    /// Packets received with ECT(0).
    IpInEct0Pkts = "IpExt", "InECT0Pkts";
    /// Packets received with a congestion mark.
    IpInCePkts = "IpExt", "InCEPkts";
    /// Datagrams whose fragments overlap.
    IpReasmOverlaps = "IpExt", "ReasmOverlaps";

    /// ICMP messages received.
    IcmpInMsgs = "Icmp", "InMsgs";
    /// ICMP messages received with errors.
    IcmpInErrors = "Icmp", "InErrors";
    /// ICMP messages with a wrong checksum.
    IcmpInCsumErrors = "Icmp", "InCsumErrors";
    /// Destination-unreachable messages received.
    IcmpInDestUnreachs = "Icmp", "InDestUnreachs";
    /// Time-exceeded messages received.
    IcmpInTimeExcds = "Icmp", "InTimeExcds";
    /// Redirects received.
    IcmpInRedirects = "Icmp", "InRedirects";
    /// Parameter-problem messages received.
    IcmpInParmProbs = "Icmp", "InParmProbs";
    /// Echo requests received.
    IcmpInEchos = "Icmp", "InEchos";
    /// Echo replies received.
    IcmpInEchoReps = "Icmp", "InEchoReps";
    /// ICMP messages sent.
    IcmpOutMsgs = "Icmp", "OutMsgs";
    /// Redirects sent.
    IcmpOutRedirects = "Icmp", "OutRedirects";
    /// Destination-unreachable messages sent.
    IcmpOutDestUnreachs = "Icmp", "OutDestUnreachs";
    /// Time-exceeded messages sent.
    IcmpOutTimeExcds = "Icmp", "OutTimeExcds";
    /// Echo replies sent.
    IcmpOutEchoReps = "Icmp", "OutEchoReps";
    /// ICMP messages not sent because of the limit on all of them.
    IcmpOutRateLimitGlobal = "Icmp", "OutRateLimitGlobal";
    /// ICMP messages not sent because of the limit on their destination.
    IcmpOutRateLimitHost = "Icmp", "OutRateLimitHost";

    /// ARP packets received.
    ArpInPackets = "Arp", "InPackets";
    /// ARP packets that are malformed.
    ArpInErrors = "Arp", "InErrors";
    /// ARP requests sent.
    ArpOutRequests = "Arp", "OutRequests";
    /// ARP replies sent.
    ArpOutReplies = "Arp", "OutReplies";
    /// Neighbours that were given up.
    NeighFailures = "Arp", "ResolveFailures";
    /// Packets dropped while they waited for a neighbour.
    NeighUnresDiscards = "Arp", "UnresolvedDiscards";
    /// Neighbours refused because the table is full.
    NeighTableFulls = "Arp", "TableFulls";

    /// Datagrams delivered to sockets.
    UdpInDatagrams = "Udp", "InDatagrams";
    /// Datagrams for ports that nobody has.
    UdpNoPorts = "Udp", "NoPorts";
    /// Datagrams not delivered for any other reason.
    UdpInErrors = "Udp", "InErrors";
    /// Datagrams sent.
    UdpOutDatagrams = "Udp", "OutDatagrams";
    /// Datagrams dropped because the receive buffer is full.
    UdpRcvbufErrors = "Udp", "RcvbufErrors";
    /// Datagrams not sent because the send buffer is full.
    UdpSndbufErrors = "Udp", "SndbufErrors";
    /// Datagrams with a wrong checksum.
    UdpInCsumErrors = "Udp", "InCsumErrors";
    /// Broadcasts and multicasts that nobody wants.
    UdpIgnoredMulti = "Udp", "IgnoredMulti";
    /// Datagrams dropped for the protocol's memory limit.
    UdpMemErrors = "Udp", "MemErrors";

    /// Connections opened from CLOSE to SYN_SENT.
    ActiveOpens = "Tcp", "ActiveOpens";
    /// Connections opened from LISTEN.
    PassiveOpens = "Tcp", "PassiveOpens";
    /// Connections that failed before they were established.
    AttemptFails = "Tcp", "AttemptFails";
    /// Established connections that were reset.
    EstabResets = "Tcp", "EstabResets";
    /// Connections that are established or in CLOSE_WAIT now; counted up and down by glue.
    CurrEstab = "Tcp", "CurrEstab";
    /// Segments received, errors included.
    InSegs = "Tcp", "InSegs";
    /// Segments sent, retransmissions excluded.
    OutSegs = "Tcp", "OutSegs";
    /// Segments retransmitted.
    RetransSegs = "Tcp", "RetransSegs";
    /// Segments received in error.
    InErrs = "Tcp", "InErrs";
    /// Resets sent.
    OutRsts = "Tcp", "OutRsts";
    /// Segments with a wrong checksum.
    TcpInCsumErrors = "Tcp", "InCsumErrors";

    /// Packets dropped because what is sent to their source leaves another way.
    IpReversePathFilter = "TcpExt", "IPReversePathFilter";
    /// SYN cookies sent.
    SyncookiesSent = "TcpExt", "SyncookiesSent";
    /// SYN cookies that came back good.
    SyncookiesRecv = "TcpExt", "SyncookiesRecv";
    /// SYN cookies that came back bad.
    SyncookiesFailed = "TcpExt", "SyncookiesFailed";
    /// Half-open connections that were reset.
    EmbryonicRsts = "TcpExt", "EmbryonicRsts";
    /// Times the receive queues were pruned.
    PruneCalled = "TcpExt", "PruneCalled";
    /// Segments pruned from the receive queue.
    RcvPruned = "TcpExt", "RcvPruned";
    /// Segments pruned from the out-of-order queue.
    OfoPruned = "TcpExt", "OfoPruned";
    /// ICMP errors that quote a sequence number outside the window.
    OutOfWindowIcmps = "TcpExt", "OutOfWindowIcmps";
    /// ICMP errors that came while the user held the socket.
    LockDroppedIcmps = "TcpExt", "LockDroppedIcmps";
    /// Connections that ended in TIME_WAIT.
    TimeWaited = "TcpExt", "TW";
    /// TIME_WAITs ended early by a new connection.
    TimeWaitRecycled = "TcpExt", "TWRecycled";
    /// SYN-ACKs rejected in SYN_SENT by their timestamp.
    PawsActive = "TcpExt", "PAWSActive";
    /// Segments rejected by their timestamp.
    PawsEstab = "TcpExt", "PAWSEstab";
    /// Old acknowledgements rejected by their timestamp.
    PawsOldAck = "TcpExt", "PAWSOldAck";
    /// Segments rejected by their timestamp in TIME_WAIT.
    PawsTimewait = "TcpExt", "PAWSTimewait";
    /// Segments that end beyond the window.
    BeyondWindow = "TcpExt", "BeyondWindow";
    /// Segments whose timestamp echo is one never sent.
    TsEcrRejected = "TcpExt", "TSEcrRejected";
    /// Acknowledgements sent late on purpose.
    DelayedAcks = "TcpExt", "DelayedACKs";
    /// Delayed acknowledgements put off because the user held the socket.
    DelayedAckLocked = "TcpExt", "DelayedACKLocked";
    /// Data received again because our acknowledgement was lost or late.
    DelayedAckLost = "TcpExt", "DelayedACKLost";
    /// Connections dropped because the accept queue is full.
    ListenOverflows = "TcpExt", "ListenOverflows";
    /// SYNs dropped by a listener for any reason.
    ListenDrops = "TcpExt", "ListenDrops";
    /// Half-open connections refused because the SYN queue is full.
    TcpReqQFullDrop = "TcpExt", "TCPReqQFullDrop";
    /// Cookies sent because the SYN queue is full.
    TcpReqQFullDoCookies = "TcpExt", "TCPReqQFullDoCookies";
    /// Data segments taken by the fast path.
    TcpHpHits = "TcpExt", "TCPHPHits";
    /// Pure acknowledgements of the slow path.
    TcpPureAcks = "TcpExt", "TCPPureAcks";
    /// Pure acknowledgements of the fast path.
    TcpHpAcks = "TcpExt", "TCPHPAcks";
    /// Fast recoveries without SACK.
    TcpRenoRecovery = "TcpExt", "TCPRenoRecovery";
    /// Fast recoveries with SACK.
    TcpSackRecovery = "TcpExt", "TCPSackRecovery";
    /// Peers that took back what they had selectively acknowledged.
    TcpSackReneging = "TcpExt", "TCPSACKReneging";
    /// Reordering found through SACK.
    TcpSackReorder = "TcpExt", "TCPSACKReorder";
    /// Reordering found without SACK.
    TcpRenoReorder = "TcpExt", "TCPRenoReorder";
    /// Reordering found through timestamps.
    TcpTsReorder = "TcpExt", "TCPTSReorder";
    /// Recoveries undone in full.
    TcpFullUndo = "TcpExt", "TCPFullUndo";
    /// Recoveries undone in part.
    TcpPartialUndo = "TcpExt", "TCPPartialUndo";
    /// Recoveries undone by D-SACK.
    TcpDsackUndo = "TcpExt", "TCPDSACKUndo";
    /// Timeouts undone.
    TcpLossUndo = "TcpExt", "TCPLossUndo";
    /// Retransmissions that were lost in turn.
    TcpLostRetransmit = "TcpExt", "TCPLostRetransmit";
    /// Timeouts after fast recovery without SACK.
    TcpRenoFailures = "TcpExt", "TCPRenoFailures";
    /// Timeouts after fast recovery with SACK.
    TcpSackFailures = "TcpExt", "TCPSackFailures";
    /// Timeouts in loss recovery.
    TcpLossFailures = "TcpExt", "TCPLossFailures";
    /// Segments retransmitted in fast recovery.
    TcpFastRetrans = "TcpExt", "TCPFastRetrans";
    /// Segments retransmitted in slow start.
    TcpSlowStartRetrans = "TcpExt", "TCPSlowStartRetrans";
    /// Retransmission timeouts.
    TcpTimeouts = "TcpExt", "TCPTimeouts";
    /// Timeouts that turned out to be spurious.
    TcpSpuriousRtos = "TcpExt", "TCPSpuriousRTOs";
    /// Tail loss probes sent.
    TcpLossProbes = "TcpExt", "TCPLossProbes";
    /// Losses that a tail loss probe repaired.
    TcpLossProbeRecovery = "TcpExt", "TCPLossProbeRecovery";
    /// Receive queues collapsed for want of memory.
    TcpRcvCollapsed = "TcpExt", "TCPRcvCollapsed";
    /// Segments beyond a gap whose acknowledgement waited for others.
    TcpAckCompressed = "TcpExt", "TCPAckCompressed";
    /// Segments joined to the one before in the backlog.
    TcpBacklogCoalesce = "TcpExt", "TCPBacklogCoalesce";
    /// Segments dropped because the backlog is full.
    TcpBacklogDrop = "TcpExt", "TCPBacklogDrop";
    /// D-SACKs sent for old data.
    TcpDsackOldSent = "TcpExt", "TCPDSACKOldSent";
    /// D-SACKs sent for out-of-order data.
    TcpDsackOfoSent = "TcpExt", "TCPDSACKOfoSent";
    /// D-SACKs received for old data.
    TcpDsackRecv = "TcpExt", "TCPDSACKRecv";
    /// D-SACKs received for out-of-order data.
    TcpDsackOfoRecv = "TcpExt", "TCPDSACKOfoRecv";
    /// Segments that D-SACKs told of.
    TcpDsackRecvSegs = "TcpExt", "TCPDSACKRecvSegs";
    /// D-SACKs that this side's retransmissions cannot have caused.
    TcpDsackIgnoredDubious = "TcpExt", "TCPDSACKIgnoredDubious";
    /// D-SACKs for data from before the present recovery.
    TcpDsackIgnoredOld = "TcpExt", "TCPDSACKIgnoredOld";
    /// D-SACKs while no recovery could be undone.
    TcpDsackIgnoredNoUndo = "TcpExt", "TCPDSACKIgnoredNoUndo";
    /// Fast recoveries without SACK that ended in a timeout.
    TcpRenoRecoveryFail = "TcpExt", "TCPRenoRecoveryFail";
    /// Fast recoveries with SACK that ended in a timeout.
    TcpSackRecoveryFail = "TcpExt", "TCPSackRecoveryFail";
    /// Blocks of SACK options that are not plausible.
    TcpSackDiscard = "TcpExt", "TCPSACKDiscard";
    /// Connections aborted because data came after the user closed.
    TcpAbortOnData = "TcpExt", "TCPAbortOnData";
    /// Connections aborted because the user closed with data unread.
    TcpAbortOnClose = "TcpExt", "TCPAbortOnClose";
    /// Connections aborted for want of memory.
    TcpAbortOnMemory = "TcpExt", "TCPAbortOnMemory";
    /// Connections aborted because a timer gave up.
    TcpAbortOnTimeout = "TcpExt", "TCPAbortOnTimeout";
    /// Connections aborted because they lingered in FIN_WAIT2 too long.
    TcpAbortOnLinger = "TcpExt", "TCPAbortOnLinger";
    /// Resets that could not be sent on abort.
    TcpAbortFailed = "TcpExt", "TCPAbortFailed";
    /// Times TCP ran short of memory.
    TcpMemoryPressures = "TcpExt", "TCPMemoryPressures";
    /// For how long, in milliseconds.
    TcpMemoryPressuresChrono = "TcpExt", "TCPMemoryPressuresChrono";
    /// TIME_WAITs not kept for want of memory.
    TcpTimeWaitOverflow = "TcpExt", "TCPTimeWaitOverflow";
    /// Retransmissions that could not be sent.
    TcpRetransFail = "TcpExt", "TCPRetransFail";
    /// Segments joined to the one before on the receive queue.
    TcpRcvCoalesce = "TcpExt", "TCPRcvCoalesce";
    /// Segments put into the out-of-order queue.
    TcpOfoQueue = "TcpExt", "TCPOFOQueue";
    /// Out-of-order segments dropped.
    TcpOfoDrop = "TcpExt", "TCPOFODrop";
    /// Out-of-order segments that overlapped others.
    TcpOfoMerge = "TcpExt", "TCPOFOMerge";
    /// Challenge acknowledgements sent (RFC 5961).
    TcpChallengeAck = "TcpExt", "TCPChallengeACK";
    /// Those of them that answered a SYN.
    TcpSynChallenge = "TcpExt", "TCPSYNChallenge";
    /// Times the receive window opened again.
    TcpFromZeroWindowAdv = "TcpExt", "TCPFromZeroWindowAdv";
    /// Times the receive window closed.
    TcpToZeroWindowAdv = "TcpExt", "TCPToZeroWindowAdv";
    /// Times a zero window was wanted but not announced, so as not to shrink the window.
    TcpWantZeroWindowAdv = "TcpExt", "TCPWantZeroWindowAdv";
    /// SYNs and SYN-ACKs retransmitted.
    TcpSynRetrans = "TcpExt", "TCPSynRetrans";
    /// Data segments sent for the first time.
    TcpOrigDataSent = "TcpExt", "TCPOrigDataSent";
    /// Acknowledgements not sent because of their rate, in SYN_RECV.
    TcpAckSkippedSynRecv = "TcpExt", "TCPACKSkippedSynRecv";
    /// The same after a failed timestamp check.
    TcpAckSkippedPaws = "TcpExt", "TCPACKSkippedPAWS";
    /// The same after a failed sequence check.
    TcpAckSkippedSeq = "TcpExt", "TCPACKSkippedSeq";
    /// The same in FIN_WAIT2.
    TcpAckSkippedFinWait2 = "TcpExt", "TCPACKSkippedFinWait2";
    /// The same in TIME_WAIT.
    TcpAckSkippedTimeWait = "TcpExt", "TCPACKSkippedTimeWait";
    /// Challenge acknowledgements not sent because of their rate.
    TcpAckSkippedChallenge = "TcpExt", "TCPACKSkippedChallenge";
    /// Window probes sent.
    TcpWinProbe = "TcpExt", "TCPWinProbe";
    /// Keepalive probes sent.
    TcpKeepAlive = "TcpExt", "TCPKeepAlive";
    /// Segments delivered to the peer.
    TcpDelivered = "TcpExt", "TCPDelivered";
    /// Segments delivered to the peer with a congestion mark.
    TcpDeliveredCe = "TcpExt", "TCPDeliveredCE";
    /// Data dropped because the receive window is zero.
    TcpZeroWindowDrop = "TcpExt", "TCPZeroWindowDrop";
    /// Data dropped because the receive buffer is full.
    TcpRcvQDrop = "TcpExt", "TCPRcvQDrop";
    /// Splits refused because the send queue is too big (CVE-2019-11478).
    TcpWqueueTooBig = "TcpExt", "TCPWqueueTooBig";
    /// Segments dropped for their time to live.
    TcpMinTtlDrop = "TcpExt", "TCPMinTTLDrop";
    /// Connections put off until data came.
    TcpDeferAcceptDrop = "TcpExt", "TCPDeferAcceptDrop";
    /// Small writes held back to make full segments.
    TcpAutoCorking = "TcpExt", "TCPAutoCorking";
    /// Retransmissions put off because the first copy has not left the host.
    TcpSpuriousRtxHostQueues = "TcpExt", "TCPSpuriousRtxHostQueues";
    /// Slow start left because of a train of acknowledgements (HyStart).
    TcpHystartTrainDetect = "TcpExt", "TCPHystartTrainDetect";
    /// Sum of the congestion windows at those exits.
    TcpHystartTrainCwnd = "TcpExt", "TCPHystartTrainCwnd";
    /// Slow start left because of growing delay (HyStart).
    TcpHystartDelayDetect = "TcpExt", "TCPHystartDelayDetect";
    /// Sum of the congestion windows at those exits.
    TcpHystartDelayCwnd = "TcpExt", "TCPHystartDelayCwnd";
}

impl Counter {
    /// How many counters there are: the length of a table of them.
    pub const COUNT: usize = Self::ALL.len();

    /// The place of this counter in a table of [`Counter::COUNT`] numbers.
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }
}
