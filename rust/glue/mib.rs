// SPDX-License-Identifier: GPL-2.0
//! Where an event is counted: in the namespace's own MIBs, next to what the host's stack counts, so that
//! `nstat` and `netstat -s` show the sum of both.
//!
//! What the host has counted already when RustNet takes a packet from it is not counted again: in
//! `coexist` a claimed packet is one of the host's `IpInReceives`, and of RustNet's `IpInDelivers`.

use super::net::State;
use crate::abstractions::{
    mib::Mib,
    netns::Net, //
};
use crate::bindings::*;
use crate::stack::counters::Counter;

/// Where an event is counted.
pub(super) enum Place {
    /// In a MIB.
    In(Mib, u32),
    /// By the type of an ICMP message.
    IcmpMsg(u16),
    /// The host has no such counter: in `/proc/net/rustnet/stat`.
    Own,
}

/// What is added to a message's type if it was sent.
const OUT: u16 = 256;

/// Where `counter` is counted. In a MIB wherever Linux has one that means the same.
///
/// Mirrors [`snmp4_tcp_list`, `snmp4_net_list`](srctree/net/ipv4/proc.c)
#[inline]
pub(super) const fn place(counter: Counter) -> Place {
    use Counter as C;
    use Place::*;
    match counter {
        C::IpInReceives => In(Mib::Ip, IPSTATS_MIB_INPKTS),
        C::IpInHdrErrors => In(Mib::Ip, IPSTATS_MIB_INHDRERRORS),
        C::IpInCsumErrors => In(Mib::Ip, IPSTATS_MIB_CSUMERRORS),
        C::IpInTruncatedPkts => In(Mib::Ip, IPSTATS_MIB_INTRUNCATEDPKTS),
        C::IpInAddrErrors => In(Mib::Ip, IPSTATS_MIB_INADDRERRORS),
        C::IpInNoRoutes => In(Mib::Ip, IPSTATS_MIB_INNOROUTES),
        C::IpInUnknownProtos => In(Mib::Ip, IPSTATS_MIB_INUNKNOWNPROTOS),
        C::IpInDiscards => In(Mib::Ip, IPSTATS_MIB_INDISCARDS),
        C::IpInDelivers => In(Mib::Ip, IPSTATS_MIB_INDELIVERS),
        C::IpOutRequests => In(Mib::Ip, IPSTATS_MIB_OUTREQUESTS),
        C::IpOutDiscards => In(Mib::Ip, IPSTATS_MIB_OUTDISCARDS),
        C::IpOutNoRoutes => In(Mib::Ip, IPSTATS_MIB_OUTNOROUTES),
        C::IpOutTransmits => In(Mib::Ip, IPSTATS_MIB_OUTPKTS),
        C::IpForwDatagrams => In(Mib::Ip, IPSTATS_MIB_OUTFORWDATAGRAMS),
        C::IpReasmTimeout => In(Mib::Ip, IPSTATS_MIB_REASMTIMEOUT),
        C::IpReasmReqds => In(Mib::Ip, IPSTATS_MIB_REASMREQDS),
        C::IpReasmOks => In(Mib::Ip, IPSTATS_MIB_REASMOKS),
        C::IpReasmFails => In(Mib::Ip, IPSTATS_MIB_REASMFAILS),
        C::IpReasmOverlaps => In(Mib::Ip, IPSTATS_MIB_REASM_OVERLAPS),
        C::IpFragOks => In(Mib::Ip, IPSTATS_MIB_FRAGOKS),
        C::IpFragFails => In(Mib::Ip, IPSTATS_MIB_FRAGFAILS),
        C::IpFragCreates => In(Mib::Ip, IPSTATS_MIB_FRAGCREATES),
        C::IpInOctets => In(Mib::Ip, IPSTATS_MIB_INOCTETS),
        C::IpOutOctets => In(Mib::Ip, IPSTATS_MIB_OUTOCTETS),
        C::IpInMcastPkts => In(Mib::Ip, IPSTATS_MIB_INMCASTPKTS),
        C::IpInMcastOctets => In(Mib::Ip, IPSTATS_MIB_INMCASTOCTETS),
        C::IpInBcastPkts => In(Mib::Ip, IPSTATS_MIB_INBCASTPKTS),
        C::IpInBcastOctets => In(Mib::Ip, IPSTATS_MIB_INBCASTOCTETS),
        C::IpOutMcastPkts => In(Mib::Ip, IPSTATS_MIB_OUTMCASTPKTS),
        C::IpOutMcastOctets => In(Mib::Ip, IPSTATS_MIB_OUTMCASTOCTETS),
        C::IpOutBcastPkts => In(Mib::Ip, IPSTATS_MIB_OUTBCASTPKTS),
        C::IpOutBcastOctets => In(Mib::Ip, IPSTATS_MIB_OUTBCASTOCTETS),
        C::IpInNoEctPkts => In(Mib::Ip, IPSTATS_MIB_NOECTPKTS),
        C::IpInEct1Pkts => In(Mib::Ip, IPSTATS_MIB_ECT1PKTS),
        C::IpInEct0Pkts => In(Mib::Ip, IPSTATS_MIB_ECT0PKTS),
        C::IpInCePkts => In(Mib::Ip, IPSTATS_MIB_CEPKTS),
        C::IcmpInMsgs => In(Mib::Icmp, ICMP_MIB_INMSGS),
        C::IcmpInErrors => In(Mib::Icmp, ICMP_MIB_INERRORS),
        C::IcmpInCsumErrors => In(Mib::Icmp, ICMP_MIB_CSUMERRORS),
        C::IcmpInDestUnreachs => IcmpMsg(3),
        C::IcmpInTimeExcds => IcmpMsg(11),
        C::IcmpInRedirects => IcmpMsg(5),
        C::IcmpInParmProbs => IcmpMsg(12),
        C::IcmpInEchos => IcmpMsg(8),
        C::IcmpInEchoReps => IcmpMsg(0),
        C::IcmpOutMsgs => In(Mib::Icmp, ICMP_MIB_OUTMSGS),
        C::IcmpOutRedirects => IcmpMsg(OUT + 5),
        C::IcmpOutDestUnreachs => IcmpMsg(OUT + 3),
        C::IcmpOutTimeExcds => IcmpMsg(OUT + 11),
        C::IcmpOutEchoReps => IcmpMsg(OUT + 0),
        C::IcmpOutRateLimitGlobal => In(Mib::Icmp, ICMP_MIB_RATELIMITGLOBAL),
        C::IcmpOutRateLimitHost => In(Mib::Icmp, ICMP_MIB_RATELIMITHOST),
        C::UdpInDatagrams => In(Mib::Udp, UDP_MIB_INDATAGRAMS),
        C::UdpNoPorts => In(Mib::Udp, UDP_MIB_NOPORTS),
        C::UdpInErrors => In(Mib::Udp, UDP_MIB_INERRORS),
        C::UdpOutDatagrams => In(Mib::Udp, UDP_MIB_OUTDATAGRAMS),
        C::UdpRcvbufErrors => In(Mib::Udp, UDP_MIB_RCVBUFERRORS),
        C::UdpSndbufErrors => In(Mib::Udp, UDP_MIB_SNDBUFERRORS),
        C::UdpInCsumErrors => In(Mib::Udp, UDP_MIB_CSUMERRORS),
        C::UdpIgnoredMulti => In(Mib::Udp, UDP_MIB_IGNOREDMULTI),
        C::UdpMemErrors => In(Mib::Udp, UDP_MIB_MEMERRORS),
        C::ActiveOpens => In(Mib::Tcp, TCP_MIB_ACTIVEOPENS),
        C::PassiveOpens => In(Mib::Tcp, TCP_MIB_PASSIVEOPENS),
        C::AttemptFails => In(Mib::Tcp, TCP_MIB_ATTEMPTFAILS),
        C::EstabResets => In(Mib::Tcp, TCP_MIB_ESTABRESETS),
        C::CurrEstab => In(Mib::Tcp, TCP_MIB_CURRESTAB),
        C::InSegs => In(Mib::Tcp, TCP_MIB_INSEGS),
        C::OutSegs => In(Mib::Tcp, TCP_MIB_OUTSEGS),
        C::RetransSegs => In(Mib::Tcp, TCP_MIB_RETRANSSEGS),
        C::InErrs => In(Mib::Tcp, TCP_MIB_INERRS),
        C::OutRsts => In(Mib::Tcp, TCP_MIB_OUTRSTS),
        C::TcpInCsumErrors => In(Mib::Tcp, TCP_MIB_CSUMERRORS),
        C::IpReversePathFilter => In(Mib::Net, LINUX_MIB_IPRPFILTER),
        C::SyncookiesSent => In(Mib::Net, LINUX_MIB_SYNCOOKIESSENT),
        C::SyncookiesRecv => In(Mib::Net, LINUX_MIB_SYNCOOKIESRECV),
        C::SyncookiesFailed => In(Mib::Net, LINUX_MIB_SYNCOOKIESFAILED),
        C::EmbryonicRsts => In(Mib::Net, LINUX_MIB_EMBRYONICRSTS),
        C::PruneCalled => In(Mib::Net, LINUX_MIB_PRUNECALLED),
        C::RcvPruned => In(Mib::Net, LINUX_MIB_RCVPRUNED),
        C::OfoPruned => In(Mib::Net, LINUX_MIB_OFOPRUNED),
        C::OutOfWindowIcmps => In(Mib::Net, LINUX_MIB_OUTOFWINDOWICMPS),
        C::LockDroppedIcmps => In(Mib::Net, LINUX_MIB_LOCKDROPPEDICMPS),
        C::TimeWaited => In(Mib::Net, LINUX_MIB_TIMEWAITED),
        C::TimeWaitRecycled => In(Mib::Net, LINUX_MIB_TIMEWAITRECYCLED),
        C::PawsActive => In(Mib::Net, LINUX_MIB_PAWSACTIVEREJECTED),
        C::PawsEstab => In(Mib::Net, LINUX_MIB_PAWSESTABREJECTED),
        C::PawsOldAck => In(Mib::Net, LINUX_MIB_PAWS_OLD_ACK),
        C::PawsTimewait => In(Mib::Net, LINUX_MIB_PAWS_TW_REJECTED),
        C::BeyondWindow => In(Mib::Net, LINUX_MIB_BEYOND_WINDOW),
        C::TsEcrRejected => In(Mib::Net, LINUX_MIB_TSECRREJECTED),
        C::DelayedAcks => In(Mib::Net, LINUX_MIB_DELAYEDACKS),
        C::DelayedAckLocked => In(Mib::Net, LINUX_MIB_DELAYEDACKLOCKED),
        C::DelayedAckLost => In(Mib::Net, LINUX_MIB_DELAYEDACKLOST),
        C::ListenOverflows => In(Mib::Net, LINUX_MIB_LISTENOVERFLOWS),
        C::ListenDrops => In(Mib::Net, LINUX_MIB_LISTENDROPS),
        C::TcpReqQFullDrop => In(Mib::Net, LINUX_MIB_TCPREQQFULLDROP),
        C::TcpReqQFullDoCookies => In(Mib::Net, LINUX_MIB_TCPREQQFULLDOCOOKIES),
        C::TcpHpHits => In(Mib::Net, LINUX_MIB_TCPHPHITS),
        C::TcpPureAcks => In(Mib::Net, LINUX_MIB_TCPPUREACKS),
        C::TcpHpAcks => In(Mib::Net, LINUX_MIB_TCPHPACKS),
        C::TcpRenoRecovery => In(Mib::Net, LINUX_MIB_TCPRENORECOVERY),
        C::TcpSackRecovery => In(Mib::Net, LINUX_MIB_TCPSACKRECOVERY),
        C::TcpSackReneging => In(Mib::Net, LINUX_MIB_TCPSACKRENEGING),
        C::TcpSackReorder => In(Mib::Net, LINUX_MIB_TCPSACKREORDER),
        C::TcpRenoReorder => In(Mib::Net, LINUX_MIB_TCPRENOREORDER),
        C::TcpTsReorder => In(Mib::Net, LINUX_MIB_TCPTSREORDER),
        C::TcpFullUndo => In(Mib::Net, LINUX_MIB_TCPFULLUNDO),
        C::TcpPartialUndo => In(Mib::Net, LINUX_MIB_TCPPARTIALUNDO),
        C::TcpDsackUndo => In(Mib::Net, LINUX_MIB_TCPDSACKUNDO),
        C::TcpLossUndo => In(Mib::Net, LINUX_MIB_TCPLOSSUNDO),
        C::TcpLostRetransmit => In(Mib::Net, LINUX_MIB_TCPLOSTRETRANSMIT),
        C::TcpRenoFailures => In(Mib::Net, LINUX_MIB_TCPRENOFAILURES),
        C::TcpSackFailures => In(Mib::Net, LINUX_MIB_TCPSACKFAILURES),
        C::TcpLossFailures => In(Mib::Net, LINUX_MIB_TCPLOSSFAILURES),
        C::TcpFastRetrans => In(Mib::Net, LINUX_MIB_TCPFASTRETRANS),
        C::TcpSlowStartRetrans => In(Mib::Net, LINUX_MIB_TCPSLOWSTARTRETRANS),
        C::TcpTimeouts => In(Mib::Net, LINUX_MIB_TCPTIMEOUTS),
        C::TcpSpuriousRtos => In(Mib::Net, LINUX_MIB_TCPSPURIOUSRTOS),
        C::TcpLossProbes => In(Mib::Net, LINUX_MIB_TCPLOSSPROBES),
        C::TcpLossProbeRecovery => In(Mib::Net, LINUX_MIB_TCPLOSSPROBERECOVERY),
        C::TcpRcvCollapsed => In(Mib::Net, LINUX_MIB_TCPRCVCOLLAPSED),
        C::TcpBacklogCoalesce => In(Mib::Net, LINUX_MIB_TCPBACKLOGCOALESCE),
        C::TcpAckCompressed => In(Mib::Net, LINUX_MIB_TCPACKCOMPRESSED),
        C::TcpBacklogDrop => In(Mib::Net, LINUX_MIB_TCPBACKLOGDROP),
        C::TcpDsackOldSent => In(Mib::Net, LINUX_MIB_TCPDSACKOLDSENT),
        C::TcpDsackOfoSent => In(Mib::Net, LINUX_MIB_TCPDSACKOFOSENT),
        C::TcpDsackRecv => In(Mib::Net, LINUX_MIB_TCPDSACKRECV),
        C::TcpDsackOfoRecv => In(Mib::Net, LINUX_MIB_TCPDSACKOFORECV),
        C::TcpDsackRecvSegs => In(Mib::Net, LINUX_MIB_TCPDSACKRECVSEGS),
        C::TcpDsackIgnoredDubious => In(Mib::Net, LINUX_MIB_TCPDSACKIGNOREDDUBIOUS),
        C::TcpDsackIgnoredOld => In(Mib::Net, LINUX_MIB_TCPDSACKIGNOREDOLD),
        C::TcpDsackIgnoredNoUndo => In(Mib::Net, LINUX_MIB_TCPDSACKIGNOREDNOUNDO),
        C::TcpRenoRecoveryFail => In(Mib::Net, LINUX_MIB_TCPRENORECOVERYFAIL),
        C::TcpSackRecoveryFail => In(Mib::Net, LINUX_MIB_TCPSACKRECOVERYFAIL),
        C::TcpSackDiscard => In(Mib::Net, LINUX_MIB_TCPSACKDISCARD),
        C::TcpAbortOnData => In(Mib::Net, LINUX_MIB_TCPABORTONDATA),
        C::TcpAbortOnClose => In(Mib::Net, LINUX_MIB_TCPABORTONCLOSE),
        C::TcpAbortOnMemory => In(Mib::Net, LINUX_MIB_TCPABORTONMEMORY),
        C::TcpAbortOnTimeout => In(Mib::Net, LINUX_MIB_TCPABORTONTIMEOUT),
        C::TcpAbortOnLinger => In(Mib::Net, LINUX_MIB_TCPABORTONLINGER),
        C::TcpAbortFailed => In(Mib::Net, LINUX_MIB_TCPABORTFAILED),
        C::TcpMemoryPressures => In(Mib::Net, LINUX_MIB_TCPMEMORYPRESSURES),
        C::TcpMemoryPressuresChrono => In(Mib::Net, LINUX_MIB_TCPMEMORYPRESSURESCHRONO),
        C::TcpTimeWaitOverflow => In(Mib::Net, LINUX_MIB_TCPTIMEWAITOVERFLOW),
        C::TcpRetransFail => In(Mib::Net, LINUX_MIB_TCPRETRANSFAIL),
        C::TcpRcvCoalesce => In(Mib::Net, LINUX_MIB_TCPRCVCOALESCE),
        C::TcpOfoQueue => In(Mib::Net, LINUX_MIB_TCPOFOQUEUE),
        C::TcpOfoDrop => In(Mib::Net, LINUX_MIB_TCPOFODROP),
        C::TcpOfoMerge => In(Mib::Net, LINUX_MIB_TCPOFOMERGE),
        C::TcpChallengeAck => In(Mib::Net, LINUX_MIB_TCPCHALLENGEACK),
        C::TcpSynChallenge => In(Mib::Net, LINUX_MIB_TCPSYNCHALLENGE),
        C::TcpFromZeroWindowAdv => In(Mib::Net, LINUX_MIB_TCPFROMZEROWINDOWADV),
        C::TcpToZeroWindowAdv => In(Mib::Net, LINUX_MIB_TCPTOZEROWINDOWADV),
        C::TcpWantZeroWindowAdv => In(Mib::Net, LINUX_MIB_TCPWANTZEROWINDOWADV),
        C::TcpSynRetrans => In(Mib::Net, LINUX_MIB_TCPSYNRETRANS),
        C::TcpOrigDataSent => In(Mib::Net, LINUX_MIB_TCPORIGDATASENT),
        C::TcpAckSkippedSynRecv => In(Mib::Net, LINUX_MIB_TCPACKSKIPPEDSYNRECV),
        C::TcpAckSkippedPaws => In(Mib::Net, LINUX_MIB_TCPACKSKIPPEDPAWS),
        C::TcpAckSkippedSeq => In(Mib::Net, LINUX_MIB_TCPACKSKIPPEDSEQ),
        C::TcpAckSkippedFinWait2 => In(Mib::Net, LINUX_MIB_TCPACKSKIPPEDFINWAIT2),
        C::TcpAckSkippedTimeWait => In(Mib::Net, LINUX_MIB_TCPACKSKIPPEDTIMEWAIT),
        C::TcpAckSkippedChallenge => In(Mib::Net, LINUX_MIB_TCPACKSKIPPEDCHALLENGE),
        C::TcpWinProbe => In(Mib::Net, LINUX_MIB_TCPWINPROBE),
        C::TcpKeepAlive => In(Mib::Net, LINUX_MIB_TCPKEEPALIVE),
        C::TcpDelivered => In(Mib::Net, LINUX_MIB_TCPDELIVERED),
        C::TcpDeliveredCe => In(Mib::Net, LINUX_MIB_TCPDELIVEREDCE),
        C::TcpZeroWindowDrop => In(Mib::Net, LINUX_MIB_TCPZEROWINDOWDROP),
        C::TcpRcvQDrop => In(Mib::Net, LINUX_MIB_TCPRCVQDROP),
        C::TcpWqueueTooBig => In(Mib::Net, LINUX_MIB_TCPWQUEUETOOBIG),
        C::TcpMinTtlDrop => In(Mib::Net, LINUX_MIB_TCPMINTTLDROP),
        C::TcpDeferAcceptDrop => In(Mib::Net, LINUX_MIB_TCPDEFERACCEPTDROP),
        C::TcpAutoCorking => In(Mib::Net, LINUX_MIB_TCPAUTOCORKING),
        C::TcpSpuriousRtxHostQueues => In(Mib::Net, LINUX_MIB_TCPSPURIOUS_RTX_HOSTQUEUES),
        C::TcpHystartTrainDetect => In(Mib::Net, LINUX_MIB_TCPHYSTARTTRAINDETECT),
        C::TcpHystartTrainCwnd => In(Mib::Net, LINUX_MIB_TCPHYSTARTTRAINCWND),
        C::TcpHystartDelayDetect => In(Mib::Net, LINUX_MIB_TCPHYSTARTDELAYDETECT),
        C::TcpHystartDelayCwnd => In(Mib::Net, LINUX_MIB_TCPHYSTARTDELAYCWND),
        C::ArpInPackets
        | C::ArpInErrors
        | C::ArpOutRequests
        | C::ArpOutReplies
        | C::NeighFailures
        | C::NeighUnresDiscards
        | C::NeighTableFulls => Own,
    }
}

/// Something happened `n` times in `net`. Any context.
#[inline]
pub(super) fn events(net: &Net, counter: Counter, n: u64) {
    match place(counter) {
        Place::In(mib, field) => net.mib_add(mib, field, n),
        Place::IcmpMsg(place) => net.icmpmsg_inc(place),
        Place::Own => own(net, counter, n),
    }
}

#[cold]
fn own(net: &Net, counter: Counter, n: u64) {
    if let Some(state) = State::of(net) {
        state.counts.own(counter, n);
    }
}
