// SPDX-License-Identifier: GPL-2.0
//! The rows, level by level in the order of their numbers (`include/uapi/asm-generic/socket.h`,
//! `include/uapi/linux/in.h`, `include/uapi/linux/tcp.h` of Linux 7.3).

use netlab::c;

use super::Get;
use super::On;
use super::Row;
use super::Set;
use super::Stand::Differs;
use super::Stand::Done;
use super::Stand::Refused;

const SOL: i32 = c::SOL_SOCKET;
const IP: i32 = c::IPPROTO_IP;
const TCP: i32 = c::IPPROTO_TCP;

macro_rules! rows {
    ($($level:ident $number:literal $name:literal $on:ident $value:expr, $set:expr, $get:expr,
       $rustnet:expr, $remark:literal;)*) => {
        &[$(Row {
            level: $level,
            number: $number,
            name: $name,
            on: On::$on,
            value: $value,
            set: $set,
            get: $get,
            rustnet: $rustnet,
            remark: $remark,
        },)*]
    };
}

macro_rules! int {
    ($n:literal) => {
        &i32::to_ne_bytes($n)
    };
}

/// Every option of the three levels.
#[rustfmt::skip]
pub const TABLE: &[Row] = rows! {
    SOL 1 "SO_DEBUG" Tcp int!(1), Set::Ok, Get::Is(1), Done, "";
    SOL 2 "SO_REUSEADDR" Tcp int!(1), Set::Ok, Get::Is(1), Done, "";
    SOL 3 "SO_TYPE" Tcp int!(1), Set::Err(c::ENOPROTOOPT), Get::Is(1), Done, "";
    SOL 4 "SO_ERROR" Tcp int!(1), Set::Err(c::ENOPROTOOPT), Get::Is(0), Done, "";
    SOL 5 "SO_DONTROUTE" Tcp int!(1), Set::Ok, Get::Is(1), Done, "";
    SOL 6 "SO_BROADCAST" Udp int!(1), Set::Ok, Get::Is(1), Done, "";
    SOL 7 "SO_SNDBUF" Tcp int!(50000), Set::Ok, Get::Is(100000), Done, "doubled, as on AF_INET";
    SOL 8 "SO_RCVBUF" Tcp int!(50000), Set::Ok, Get::Is(100000), Done, "doubled, as on AF_INET";
    SOL 9 "SO_KEEPALIVE" Tcp int!(1), Set::Ok, Get::Is(1), Done, "";
    SOL 10 "SO_OOBINLINE" Tcp int!(1), Set::Ok, Get::Is(1), Done, "";
    SOL 11 "SO_NO_CHECK" Udp int!(1), Set::Ok, Get::Is(1), Done, "";
    SOL 12 "SO_PRIORITY" Tcp int!(4), Set::Ok, Get::Is(4), Done, "";
    SOL 13 "SO_LINGER" Tcp &[1, 0, 0, 0, 5, 0, 0, 0], Set::Ok, Get::Ok, Done, "";
    SOL 14 "SO_BSDCOMPAT" Tcp int!(1), Set::Ok, Get::Is(0), Done, "obsolete: taken and ignored by the host too";
    SOL 15 "SO_REUSEPORT" Tcp int!(1), Set::Ok, Get::Is(1), Done, "";
    SOL 16 "SO_PASSCRED" Tcp int!(1), Set::Err(c::EOPNOTSUPP), Get::Err(c::EOPNOTSUPP), Done, "";
    SOL 17 "SO_PEERCRED" Tcp int!(1), Set::Err(c::ENOPROTOOPT), Get::Ok, Done, "";
    SOL 18 "SO_RCVLOWAT" Tcp int!(10), Set::Ok, Get::Is(10), Done, "";
    SOL 19 "SO_SNDLOWAT" Tcp int!(10), Set::Err(c::ENOPROTOOPT), Get::Is(1), Done, "";
    SOL 20 "SO_RCVTIMEO" Tcp &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Set::Ok, Get::Ok, Done, "";
    SOL 21 "SO_SNDTIMEO" Tcp &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Set::Ok, Get::Ok, Done, "";
    SOL 25 "SO_BINDTODEVICE" Tcp &[108, 111, 0], Set::Ok, Get::Ok, Done, "";
    SOL 26 "SO_ATTACH_FILTER" Tcp int!(0), Set::Err(c::EINVAL), Get::Ok, Done, "the filter runs before the segment is queued; SO_GET_FILTER is the same number";
    SOL 27 "SO_DETACH_FILTER" Tcp int!(0), Set::Err(c::ENOENT), Get::Err(c::ENOPROTOOPT), Done, "";
    SOL 28 "SO_PEERNAME" Tcp int!(0), Set::Err(c::ENOPROTOOPT), Get::Err(c::ENOTCONN), Done, "";
    SOL 29 "SO_TIMESTAMP_OLD" Udp int!(1), Set::Ok, Get::Is(1), Done, "";
    SOL 30 "SO_ACCEPTCONN" Tcp int!(1), Set::Err(c::ENOPROTOOPT), Get::Is(0), Done, "";
    SOL 31 "SO_PEERSEC" Tcp int!(0), Set::Err(c::ENOPROTOOPT), Get::Err(c::ENOPROTOOPT), Done, "";
    SOL 32 "SO_SNDBUFFORCE" Tcp int!(50000), Set::Ok, Get::Err(c::ENOPROTOOPT), Done, "";
    SOL 33 "SO_RCVBUFFORCE" Tcp int!(50000), Set::Ok, Get::Err(c::ENOPROTOOPT), Done, "";
    SOL 34 "SO_PASSSEC" Tcp int!(1), Set::Err(c::EOPNOTSUPP), Get::Err(c::EOPNOTSUPP), Done, "";
    SOL 35 "SO_TIMESTAMPNS_OLD" Udp int!(1), Set::Ok, Get::Is(1), Done, "";
    SOL 36 "SO_MARK" Tcp int!(7), Set::Ok, Get::Is(7), Done, "";
    SOL 37 "SO_TIMESTAMPING_OLD" Udp int!(8), Set::Ok, Get::Is(8), Done, "";
    SOL 38 "SO_PROTOCOL" Tcp int!(0), Set::Err(c::ENOPROTOOPT), Get::Is(6), Done, "";
    SOL 39 "SO_DOMAIN" Tcp int!(0), Set::Err(c::ENOPROTOOPT), Get::Is(2), Differs(Set::Err(c::ENOPROTOOPT), Get::Is(19)), "the family is its own";
    SOL 40 "SO_RXQ_OVFL" Udp int!(1), Set::Ok, Get::Is(1), Done, "";
    SOL 41 "SO_WIFI_STATUS" Tcp int!(1), Set::Ok, Get::Is(1), Done, "";
    SOL 42 "SO_PEEK_OFF" Udp int!(0), Set::Ok, Get::Is(0), Done, "";
    SOL 43 "SO_NOFCS" Tcp int!(1), Set::Ok, Get::Is(1), Done, "";
    SOL 44 "SO_LOCK_FILTER" Tcp int!(0), Set::Ok, Get::Is(0), Done, "";
    SOL 45 "SO_SELECT_ERR_QUEUE" Tcp int!(1), Set::Ok, Get::Is(1), Done, "";
    SOL 46 "SO_BUSY_POLL" Tcp int!(0), Set::Ok, Get::Is(0), Done, "";
    SOL 47 "SO_MAX_PACING_RATE" Tcp int!(1000000), Set::Ok, Get::Is(1000000), Done, "";
    SOL 48 "SO_BPF_EXTENSIONS" Tcp int!(0), Set::Err(c::ENOPROTOOPT), Get::Ok, Done, "";
    SOL 49 "SO_INCOMING_CPU" Tcp int!(0), Set::Ok, Get::Is(0), Done, "";
    SOL 50 "SO_ATTACH_BPF" Tcp int!(-1), Set::Err(c::EBADF), Get::Err(c::ENOPROTOOPT), Done, "";
    SOL 51 "SO_ATTACH_REUSEPORT_CBPF" Tcp int!(0), Set::Err(c::EINVAL), Get::Err(c::ENOPROTOOPT), Done, "";
    SOL 52 "SO_ATTACH_REUSEPORT_EBPF" Tcp int!(-1), Set::Err(c::EBADF), Get::Err(c::ENOPROTOOPT), Done, "";
    SOL 53 "SO_CNX_ADVICE" Tcp int!(1), Set::Ok, Get::Err(c::ENOPROTOOPT), Done, "";
    SOL 55 "SO_MEMINFO" Tcp int!(0), Set::Err(c::ENOPROTOOPT), Get::Ok, Done, "";
    SOL 56 "SO_INCOMING_NAPI_ID" Tcp int!(0), Set::Err(c::ENOPROTOOPT), Get::Is(0), Done, "";
    SOL 57 "SO_COOKIE" Tcp int!(0), Set::Err(c::ENOPROTOOPT), Get::Err(c::EINVAL), Done, "needs eight bytes of room";
    SOL 59 "SO_PEERGROUPS" Tcp int!(0), Set::Err(c::ENOPROTOOPT), Get::Err(c::ENODATA), Done, "";
    SOL 60 "SO_ZEROCOPY" Tcp int!(1), Set::Ok, Get::Is(1), Differs(Set::Err(c::EOPNOTSUPP), Get::Is(0)), "the socket core allows it to families it knows";
    SOL 61 "SO_TXTIME" Udp &[1, 0, 0, 0, 0, 0, 0, 0], Set::Ok, Get::Ok, Done, "";
    SOL 62 "SO_BINDTOIFINDEX" Tcp int!(1), Set::Ok, Get::Is(1), Done, "";
    SOL 63 "SO_TIMESTAMP_NEW" Udp int!(1), Set::Ok, Get::Is(1), Done, "";
    SOL 64 "SO_TIMESTAMPNS_NEW" Udp int!(1), Set::Ok, Get::Is(1), Done, "";
    SOL 65 "SO_TIMESTAMPING_NEW" Udp int!(8), Set::Ok, Get::Is(8), Done, "";
    SOL 66 "SO_RCVTIMEO_NEW" Tcp &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Set::Ok, Get::Ok, Done, "";
    SOL 67 "SO_SNDTIMEO_NEW" Tcp &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Set::Ok, Get::Ok, Done, "";
    SOL 68 "SO_DETACH_REUSEPORT_BPF" Tcp int!(0), Set::Err(c::EINVAL), Get::Err(c::ENOPROTOOPT), Done, "";
    SOL 69 "SO_PREFER_BUSY_POLL" Tcp int!(1), Set::Ok, Get::Is(1), Done, "";
    SOL 70 "SO_BUSY_POLL_BUDGET" Tcp int!(8), Set::Ok, Get::Err(c::ENOPROTOOPT), Done, "";
    SOL 71 "SO_NETNS_COOKIE" Tcp int!(0), Set::Err(c::ENOPROTOOPT), Get::Err(c::EINVAL), Done, "needs eight bytes of room";
    SOL 72 "SO_BUF_LOCK" Tcp int!(1), Set::Ok, Get::Is(1), Done, "";
    SOL 73 "SO_RESERVE_MEM" Tcp int!(0), Set::Err(c::EOPNOTSUPP), Get::Is(0), Done, "needs memory accounting by a cgroup";
    SOL 74 "SO_TXREHASH" Tcp int!(0), Set::Ok, Get::Is(0), Refused(c::EOPNOTSUPP), "the socket core allows it to AF_INET and AF_INET6";
    SOL 75 "SO_RCVMARK" Udp int!(1), Set::Ok, Get::Is(1), Done, "";
    SOL 76 "SO_PASSPIDFD" Tcp int!(1), Set::Err(c::EOPNOTSUPP), Get::Err(c::EOPNOTSUPP), Done, "";
    SOL 77 "SO_PEERPIDFD" Tcp int!(1), Set::Err(c::ENOPROTOOPT), Get::Err(c::ENODATA), Done, "";
    SOL 82 "SO_RCVPRIORITY" Udp int!(1), Set::Ok, Get::Is(1), Done, "";
    SOL 83 "SO_PASSRIGHTS" Tcp int!(1), Set::Err(c::EOPNOTSUPP), Get::Err(c::EOPNOTSUPP), Done, "";
    IP 1 "IP_TOS" Udp int!(16), Set::Ok, Get::Is(16), Done, "";
    IP 2 "IP_TTL" Udp int!(33), Set::Ok, Get::Is(33), Done, "";
    IP 3 "IP_HDRINCL" Udp int!(1), Set::Err(c::ENOPROTOOPT), Get::Is(0), Refused(c::ENOPROTOOPT), "raw sockets only";
    IP 4 "IP_OPTIONS" Udp &[], Set::Ok, Get::Ok, Refused(c::ENOPROTOOPT), "";
    IP 5 "IP_ROUTER_ALERT" Udp int!(1), Set::Err(c::EINVAL), Get::Is(0), Refused(c::ENOPROTOOPT), "raw sockets only";
    IP 6 "IP_RECVOPTS" Udp int!(1), Set::Ok, Get::Is(1), Refused(c::ENOPROTOOPT), "";
    IP 7 "IP_RETOPTS" Udp int!(1), Set::Ok, Get::Is(1), Refused(c::ENOPROTOOPT), "";
    IP 8 "IP_PKTINFO" Udp int!(1), Set::Ok, Get::Is(1), Done, "";
    IP 9 "IP_PKTOPTIONS" Tcp int!(0), Set::Err(c::ENOPROTOOPT), Get::Ok, Refused(c::ENOPROTOOPT), "";
    IP 10 "IP_MTU_DISCOVER" Udp int!(0), Set::Ok, Get::Is(0), Done, "";
    IP 11 "IP_RECVERR" Udp int!(1), Set::Ok, Get::Is(1), Done, "";
    IP 11 "IP_RECVERR" Tcp int!(1), Set::Ok, Get::Is(1), Done, "";
    IP 12 "IP_RECVTTL" Udp int!(1), Set::Ok, Get::Is(1), Done, "";
    IP 13 "IP_RECVTOS" Udp int!(1), Set::Ok, Get::Is(1), Done, "";
    IP 14 "IP_MTU" Udp int!(0), Set::Err(c::ENOPROTOOPT), Get::Err(c::ENOTCONN), Done, "";
    IP 15 "IP_FREEBIND" Udp int!(1), Set::Ok, Get::Is(1), Done, "";
    IP 16 "IP_IPSEC_POLICY" Udp int!(0), Set::Err(c::EINVAL), Get::Err(c::ENOPROTOOPT), Refused(c::ENOPROTOOPT), "";
    IP 17 "IP_XFRM_POLICY" Udp int!(0), Set::Err(c::EINVAL), Get::Err(c::ENOPROTOOPT), Refused(c::ENOPROTOOPT), "";
    IP 18 "IP_PASSSEC" Udp int!(1), Set::Ok, Get::Is(1), Refused(c::ENOPROTOOPT), "";
    IP 19 "IP_TRANSPARENT" Udp int!(1), Set::Ok, Get::Is(1), Refused(c::ENOPROTOOPT), "";
    IP 20 "IP_RECVORIGDSTADDR" Udp int!(1), Set::Ok, Get::Is(1), Done, "";
    IP 21 "IP_MINTTL" Udp int!(5), Set::Ok, Get::Is(5), Done, "";
    IP 22 "IP_NODEFRAG" Udp int!(1), Set::Err(c::ENOPROTOOPT), Get::Is(0), Refused(c::ENOPROTOOPT), "raw sockets only";
    IP 23 "IP_CHECKSUM" Udp int!(1), Set::Ok, Get::Is(1), Refused(c::ENOPROTOOPT), "";
    IP 24 "IP_BIND_ADDRESS_NO_PORT" Udp int!(1), Set::Ok, Get::Is(1), Done, "";
    IP 25 "IP_RECVFRAGSIZE" Udp int!(1), Set::Ok, Get::Is(1), Refused(c::ENOPROTOOPT), "not on streams";
    IP 26 "IP_RECVERR_RFC4884" Udp int!(1), Set::Ok, Get::Is(1), Done, "";
    IP 32 "IP_MULTICAST_IF" Udp int!(0), Set::Ok, Get::Ok, Done, "";
    IP 33 "IP_MULTICAST_TTL" Udp int!(3), Set::Ok, Get::Is(3), Done, "";
    IP 34 "IP_MULTICAST_LOOP" Udp int!(0), Set::Ok, Get::Is(0), Done, "";
    IP 35 "IP_ADD_MEMBERSHIP" Udp int!(0), Set::Err(c::EINVAL), Get::Err(c::ENOPROTOOPT), Done, "";
    IP 36 "IP_DROP_MEMBERSHIP" Udp int!(0), Set::Err(c::EINVAL), Get::Err(c::ENOPROTOOPT), Done, "";
    IP 37 "IP_UNBLOCK_SOURCE" Udp int!(0), Set::Err(c::EINVAL), Get::Err(c::ENOPROTOOPT), Done, "";
    IP 38 "IP_BLOCK_SOURCE" Udp int!(0), Set::Err(c::EINVAL), Get::Err(c::ENOPROTOOPT), Done, "";
    IP 39 "IP_ADD_SOURCE_MEMBERSHIP" Udp int!(0), Set::Err(c::EINVAL), Get::Err(c::ENOPROTOOPT), Done, "";
    IP 40 "IP_DROP_SOURCE_MEMBERSHIP" Udp int!(0), Set::Err(c::EINVAL), Get::Err(c::ENOPROTOOPT), Done, "";
    IP 41 "IP_MSFILTER" Udp int!(0), Set::Err(c::EINVAL), Get::Err(c::EINVAL), Done, "";
    IP 42 "MCAST_JOIN_GROUP" Udp int!(0), Set::Err(c::EINVAL), Get::Err(c::ENOPROTOOPT), Done, "";
    IP 43 "MCAST_BLOCK_SOURCE" Udp int!(0), Set::Err(c::EINVAL), Get::Err(c::ENOPROTOOPT), Done, "";
    IP 44 "MCAST_UNBLOCK_SOURCE" Udp int!(0), Set::Err(c::EINVAL), Get::Err(c::ENOPROTOOPT), Done, "";
    IP 45 "MCAST_LEAVE_GROUP" Udp int!(0), Set::Err(c::EINVAL), Get::Err(c::ENOPROTOOPT), Done, "";
    IP 46 "MCAST_JOIN_SOURCE_GROUP" Udp int!(0), Set::Err(c::EINVAL), Get::Err(c::ENOPROTOOPT), Done, "";
    IP 47 "MCAST_LEAVE_SOURCE_GROUP" Udp int!(0), Set::Err(c::EINVAL), Get::Err(c::ENOPROTOOPT), Done, "";
    IP 48 "MCAST_MSFILTER" Udp int!(0), Set::Err(c::EINVAL), Get::Err(c::EINVAL), Done, "";
    IP 49 "IP_MULTICAST_ALL" Udp int!(0), Set::Ok, Get::Is(0), Done, "";
    IP 50 "IP_UNICAST_IF" Udp int!(0), Set::Ok, Get::Is(0), Done, "";
    IP 51 "IP_LOCAL_PORT_RANGE" Udp int!(0), Set::Ok, Get::Is(0), Done, "";
    IP 52 "IP_PROTOCOL" Udp int!(0), Set::Err(c::ENOPROTOOPT), Get::Is(0), Refused(c::ENOPROTOOPT), "";
    TCP 1 "TCP_NODELAY" Tcp int!(1), Set::Ok, Get::Is(1), Done, "";
    TCP 2 "TCP_MAXSEG" Tcp int!(500), Set::Ok, Get::Is(500), Done, "";
    TCP 3 "TCP_CORK" Tcp int!(1), Set::Ok, Get::Is(1), Done, "";
    TCP 4 "TCP_KEEPIDLE" Tcp int!(100), Set::Ok, Get::Is(100), Done, "";
    TCP 5 "TCP_KEEPINTVL" Tcp int!(10), Set::Ok, Get::Is(10), Done, "";
    TCP 6 "TCP_KEEPCNT" Tcp int!(3), Set::Ok, Get::Is(3), Done, "";
    TCP 7 "TCP_SYNCNT" Tcp int!(3), Set::Ok, Get::Is(3), Done, "";
    TCP 8 "TCP_LINGER2" Tcp int!(10), Set::Ok, Get::Is(10), Done, "";
    TCP 9 "TCP_DEFER_ACCEPT" Tcp int!(10), Set::Ok, Get::Ok, Done, "";
    TCP 10 "TCP_WINDOW_CLAMP" Tcp int!(20000), Set::Ok, Get::Is(20000), Done, "";
    TCP 11 "TCP_INFO" Tcp int!(0), Set::Err(c::ENOPROTOOPT), Get::Ok, Done, "";
    TCP 12 "TCP_QUICKACK" Tcp int!(1), Set::Ok, Get::Is(1), Done, "";
    TCP 13 "TCP_CONGESTION" Tcp &[114, 101, 110, 111], Set::Ok, Get::Ok, Done, "";
    TCP 14 "TCP_MD5SIG" Tcp int!(0), Set::Err(c::EINVAL), Get::Err(c::ENOPROTOOPT), Refused(c::ENOPROTOOPT), "";
    TCP 16 "TCP_THIN_LINEAR_TIMEOUTS" Tcp int!(1), Set::Ok, Get::Is(1), Done, "";
    TCP 17 "TCP_THIN_DUPACK" Tcp int!(1), Set::Ok, Get::Is(0), Refused(c::ENOPROTOOPT), "";
    TCP 18 "TCP_USER_TIMEOUT" Tcp int!(5000), Set::Ok, Get::Is(5000), Done, "";
    TCP 19 "TCP_REPAIR" Tcp int!(0), Set::Ok, Get::Is(0), Refused(c::ENOPROTOOPT), "";
    TCP 20 "TCP_REPAIR_QUEUE" Tcp int!(1), Set::Err(c::EPERM), Get::Err(c::EINVAL), Refused(c::ENOPROTOOPT), "";
    TCP 21 "TCP_QUEUE_SEQ" Tcp int!(1), Set::Err(c::EINVAL), Get::Err(c::EINVAL), Refused(c::ENOPROTOOPT), "";
    TCP 22 "TCP_REPAIR_OPTIONS" Tcp int!(1), Set::Err(c::EINVAL), Get::Err(c::ENOPROTOOPT), Refused(c::ENOPROTOOPT), "";
    TCP 23 "TCP_FASTOPEN" Tcp int!(5), Set::Ok, Get::Is(5), Refused(c::ENOPROTOOPT), "";
    TCP 24 "TCP_TIMESTAMP" Tcp int!(5), Set::Err(c::EPERM), Get::Ok, Refused(c::ENOPROTOOPT), "";
    TCP 25 "TCP_NOTSENT_LOWAT" Tcp int!(5000), Set::Ok, Get::Is(5000), Done, "";
    TCP 26 "TCP_CC_INFO" Tcp int!(0), Set::Err(c::ENOPROTOOPT), Get::Ok, Done, "";
    TCP 27 "TCP_SAVE_SYN" Tcp int!(1), Set::Ok, Get::Is(1), Done, "";
    TCP 28 "TCP_SAVED_SYN" Tcp int!(0), Set::Err(c::ENOPROTOOPT), Get::Ok, Done, "";
    TCP 29 "TCP_REPAIR_WINDOW" Tcp int!(0), Set::Err(c::EPERM), Get::Err(c::EINVAL), Refused(c::ENOPROTOOPT), "";
    TCP 30 "TCP_FASTOPEN_CONNECT" Tcp int!(1), Set::Ok, Get::Is(1), Refused(c::ENOPROTOOPT), "";
    TCP 31 "TCP_ULP" Tcp &[110, 111, 115, 117, 99, 104], Set::Err(c::ENOENT), Get::Ok, Refused(c::ENOPROTOOPT), "";
    TCP 32 "TCP_MD5SIG_EXT" Tcp int!(0), Set::Err(c::EINVAL), Get::Err(c::ENOPROTOOPT), Refused(c::ENOPROTOOPT), "";
    TCP 33 "TCP_FASTOPEN_KEY" Tcp int!(0), Set::Err(c::EINVAL), Get::Ok, Refused(c::ENOPROTOOPT), "";
    TCP 34 "TCP_FASTOPEN_NO_COOKIE" Tcp int!(1), Set::Ok, Get::Is(1), Refused(c::ENOPROTOOPT), "";
    TCP 35 "TCP_ZEROCOPY_RECEIVE" Tcp int!(0), Set::Err(c::ENOPROTOOPT), Get::Err(c::EINVAL), Refused(c::ENOPROTOOPT), "";
    TCP 36 "TCP_INQ" Tcp int!(1), Set::Ok, Get::Is(1), Done, "";
    TCP 37 "TCP_TX_DELAY" Tcp int!(0), Set::Ok, Get::Is(0), Refused(c::ENOPROTOOPT), "";
    TCP 38 "TCP_AO_ADD_KEY" Tcp int!(0), Set::Err(c::EINVAL), Get::Err(c::ENOPROTOOPT), Refused(c::ENOPROTOOPT), "";
    TCP 39 "TCP_AO_DEL_KEY" Tcp int!(0), Set::Err(c::EINVAL), Get::Err(c::ENOPROTOOPT), Refused(c::ENOPROTOOPT), "";
    TCP 40 "TCP_AO_INFO" Tcp int!(0), Set::Err(c::EINVAL), Get::Err(c::ENOENT), Refused(c::ENOPROTOOPT), "";
    TCP 41 "TCP_AO_GET_KEYS" Tcp int!(0), Set::Err(c::ENOPROTOOPT), Get::Err(c::ENOENT), Refused(c::ENOPROTOOPT), "";
    TCP 42 "TCP_AO_REPAIR" Tcp int!(0), Set::Err(c::EINVAL), Get::Err(c::EPERM), Refused(c::ENOPROTOOPT), "";
    TCP 43 "TCP_IS_MPTCP" Tcp int!(0), Set::Err(c::ENOPROTOOPT), Get::Is(0), Refused(c::ENOPROTOOPT), "";
    TCP 44 "TCP_RTO_MAX_MS" Tcp int!(10000), Set::Ok, Get::Is(10000), Done, "";
    TCP 45 "TCP_RTO_MIN_US" Tcp int!(100000), Set::Ok, Get::Is(100000), Done, "";
    TCP 46 "TCP_DELACK_MAX_US" Tcp int!(40000), Set::Ok, Get::Is(40000), Done, "";
};
