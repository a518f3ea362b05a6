// SPDX-License-Identifier: GPL-2.0
//! `net.ipv4.*`: the settings of a namespace that the protocols follow.
//!
//! The host keeps them, in `struct netns_ipv4`; RustNet has no second knob for anything that both
//! stacks have. [`Env::sysctl`](super::env::Env::sysctl) lends them as a
//! [`Sysctl`](crate::platform::Sysctl), whose accessors have the names of the files in `/proc/sys`.
//! Each is one load of the field, so ask for a setting where it matters and keep no copy.
//!
//! To follow one more, add it to the list below, sorted by name:
//!
//! ```text
//! /// What it means.
//! tcp_name: KIND = LINUX'S DEFAULT, FIELD OF STRUCT NETNS_IPV4;
//! ```
//!
//! and a row to `Documentation/sysctls.rst`. Both platforms make their accessors of this list, and the
//! host build's values begin as the defaults, to be changed by tests (`world.sysctl.tcp_name = …`).
//!
//! | kind | the field is | the accessor returns |
//! |---|---|---|
//! | `u8`, `i32`, `u32` | a number | the number |
//! | `sizes` | `int[3]`: least, initial, largest | `[u32; 3]` |
//! | `ticks` | jiffies | [`Duration`](super::time::Duration) |
//! | `millis`, `micros`, `nanos` | that unit | [`Duration`](super::time::Duration) |

/// Calls the macro `$with` with the list of settings.
macro_rules! sysctls {
    ($with:ident) => {
        $with! {
            /// What decides between several next hops. 1: the transport's flow; else the addresses.
            fib_multipath_hash_policy: u8 = 0, sysctl_fib_multipath_hash_policy;
            /// 1: echo requests are not answered.
            icmp_echo_ignore_all: u8 = 0, sysctl_icmp_echo_ignore_all;
            /// 1: echo requests to a broadcast or a group are not answered.
            icmp_echo_ignore_broadcasts: u8 = 1, sysctl_icmp_echo_ignore_broadcasts;
            /// Of limited ICMP messages, so many may be sent at once,
            icmp_msgs_burst: u32 = 10_000, sysctl_icmp_msgs_burst;
            /// and so many a second.
            icmp_msgs_per_sec: u32 = 10_000, sysctl_icmp_msgs_per_sec;
            /// To one destination, the time between two errors that are limited.
            icmp_ratelimit: ticks = Duration::from_secs(1), sysctl_icmp_ratelimit;
            /// Types of ICMP messages that are limited, as bits.
            icmp_ratemask: u32 = 0x1818, sysctl_icmp_ratemask;
            /// 0: groups that no router sends on (224.0.0.0/24) are not reported.
            igmp_link_local_mcast_reports: u8 = 1, sysctl_igmp_llm_reports;
            /// So many groups a socket may join,
            igmp_max_memberships: i32 = 20, sysctl_igmp_max_memberships;
            /// and name so many sources of each.
            igmp_max_msf: i32 = 10, sysctl_igmp_max_msf;
            /// Changes are told so often, unless a router says how often.
            igmp_qrv: i32 = 2, sysctl_igmp_qrv;
            /// The TTL of packets whose socket has none of its own.
            ip_default_ttl: u8 = 64, sysctl_ip_default_ttl;
            /// 0: every packet is asked where it belongs before it is asked for its socket.
            ip_early_demux: u8 = 1, sysctl_ip_early_demux;
            /// 1: packets of others are held against what was learned of the path.
            ip_forward_use_pmtu: u8 = 0, sysctl_ip_fwd_use_pmtu;
            /// 0: paths are asked for their MTU. 1: what they answer only says that it is small. 2: not
            /// listened to. 3: only by protocols that check what is quoted.
            /// Not 0: sockets begin without path MTU discovery.
            ip_no_pmtu_disc: u8 = 0, sysctl_ip_no_pmtu_disc;
            /// The smallest MSS that is announced for want of MTU, in bytes.
            min_adv_mss: u32 = 256, ip_rt_min_advmss;
            /// The smallest path MTU that a message is believed to the letter, in bytes.
            min_pmtu: u32 = 552, ip_rt_min_pmtu;
            /// How long what was learned of a path's MTU is believed.
            mtu_expires: ticks = Duration::from_secs(600), ip_rt_mtu_expires;
            /// 1: a connection for which the accept queue has no room is reset.
            tcp_abort_on_overflow: u8 = 0, sysctl_tcp_abort_on_overflow;
            /// Which part of the receive buffer is kept from the window: one half to the power of this; 0 for
            /// none, 31 for next to none.
            tcp_app_win: u8 = 31, sysctl_tcp_app_win;
            /// 1: a small packet waits for more data while earlier ones have not left this host.
            tcp_autocorking: u8 = 1, sysctl_tcp_autocorking;
            /// 1: what a user works off when he lets a socket go is acknowledged at once.
            tcp_backlog_ack_defer: u8 = 1, sysctl_tcp_backlog_ack_defer;
            /// The longest time that an acknowledgement beyond a gap waits for others,
            tcp_comp_sack_delay_ns: nanos = Duration::from_millis(1), sysctl_tcp_comp_sack_delay_ns;
            /// The most segments that it waits for,
            tcp_comp_sack_nr: u8 = 44, sysctl_tcp_comp_sack_nr;
            /// that time as a part of a round trip, in per cent,
            tcp_comp_sack_rtt_percent: i32 = 33, sysctl_tcp_comp_sack_rtt_percent;
            /// and how much later it may come if that saves waking the processor.
            tcp_comp_sack_slack_ns: nanos = Duration::from_micros(10), sysctl_tcp_comp_sack_slack_ns;
            /// 0: D-SACKs are not sent.
            tcp_dsack: u8 = 1, sysctl_tcp_dsack;
            /// 0: every segment is.
            tcp_early_demux: u8 = 1, sysctl_tcp_early_demux;
            /// 3 or 4: tail loss probes are sent.
            tcp_early_retrans: u8 = 3, sysctl_tcp_early_retrans;
            /// 0: no ECN. 1: asked for and given. 2: given. 3 to 5: the same with accurate ECN.
            tcp_ecn: u8 = 2, sysctl_tcp_ecn;
            /// 1: a SYN that is sent again asks for no ECN.
            tcp_ecn_fallback: u8 = 1, sysctl_tcp_ecn_fallback;
            /// An orphan waits that long for the peer's FIN.
            tcp_fin_timeout: ticks = Duration::from_secs(60), sysctl_tcp_fin_timeout;
            /// 0: a timeout is never taken for spurious by F-RTO.
            tcp_frto: u8 = 2, sysctl_tcp_frto;
            /// The least time between two answers to segments that may be forged; none if zero.
            tcp_invalid_ratelimit: ticks = Duration::from_millis(500), sysctl_tcp_invalid_ratelimit;
            /// Time between keepalive probes.
            tcp_keepalive_intvl: ticks = Duration::from_secs(75), sysctl_tcp_keepalive_intvl;
            /// Unanswered keepalive probes after which the connection is given up.
            tcp_keepalive_probes: u8 = 9, sysctl_tcp_keepalive_probes;
            /// Idle time before the first keepalive probe: RFC 9293, 3.8.4 wants at least two hours.
            tcp_keepalive_time: ticks = Duration::from_secs(7200), sysctl_tcp_keepalive_time;
            /// The most bytes of a connection, in true size, that wait in this host's queues.
            tcp_limit_output_bytes: i32 = 4 << 20, sysctl_tcp_limit_output_bytes;
            /// The largest degree of reordering that is believed, in segments.
            tcp_max_reordering: i32 = 300, sysctl_tcp_max_reordering;
            /// Half-open connections of a listener of which, without SYN cookies, a quarter is kept free.
            tcp_max_syn_backlog: u32 = 1024, sysctl_max_syn_backlog;
            /// The most TIME-WAITs that are kept.
            tcp_max_tw_buckets: u32 = 65_536, tcp_death_row.sysctl_max_tw_buckets;
            /// How long the shortest round trip counts, in seconds.
            tcp_min_rtt_wlen: i32 = 300, sysctl_tcp_min_rtt_wlen;
            /// The smallest MSS we send by, options included, whatever the peer says: CVE-2019-11479.
            tcp_min_snd_mss: u32 = 48, sysctl_tcp_min_snd_mss;
            /// The least number of segments to make one packet of.
            tcp_min_tso_segs: u8 = 2, sysctl_tcp_min_tso_segs;
            /// 0: receive buffers do not grow by themselves.
            tcp_moderate_rcvbuf: u8 = 1, sysctl_tcp_moderate_rcvbuf;
            /// Bytes that may be written and not sent.
            tcp_notsent_lowat: u32 = u32::MAX, sysctl_tcp_notsent_lowat;
            /// Retransmissions after which an orphan is given up; 0 means 8.
            tcp_orphan_retries: u8 = 0, sysctl_tcp_orphan_retries;
            /// The pacing rate in congestion avoidance, in per cent of a window in a round trip.
            tcp_pacing_ca_ratio: u32 = 120, sysctl_tcp_pacing_ca_ratio;
            /// The same in slow start.
            tcp_pacing_ss_ratio: u32 = 200, sysctl_tcp_pacing_ss_ratio;
            /// How often answers must have followed the peer's data at once for ACKs to wait for answers.
            tcp_pingpong_thresh: u8 = 1, sysctl_tcp_pingpong_thresh;
            /// Where round trips are shorter than that, receive buffers grow less.
            tcp_rcvbuf_low_rtt: micros = Duration::from_millis(1), sysctl_tcp_rcvbuf_low_rtt;
            /// Bits: 2, RACK's reordering window does not grow; 4, three duplicates do not close it.
            tcp_recovery: u8 = 1, sysctl_tcp_recovery;
            /// Segments out of order that stand for a loss, at first.
            tcp_reordering: i32 = 3, sysctl_tcp_reordering;
            /// Retransmissions after which the route is looked up anew (RFC 1122's R1).
            tcp_retries1: u8 = 3, sysctl_tcp_retries1;
            /// Retransmissions after which the connection is given up (RFC 1122's R2).
            tcp_retries2: u8 = 15, sysctl_tcp_retries2;
            /// 1: a reset does not end TIME-WAIT.
            tcp_rfc1337: u8 = 0, sysctl_tcp_rfc1337;
            /// Sizes of the receive buffer, in bytes of true size.
            tcp_rmem: sizes = [4096, 131_072, 32 << 20], sysctl_tcp_rmem;
            /// The largest retransmission timeout.
            tcp_rto_max_ms: millis = crate::stack::tcp::RTO_MAX, sysctl_tcp_rto_max_ms;
            /// The smallest retransmission timeout.
            tcp_rto_min_us: micros = crate::stack::tcp::RTO_MIN, sysctl_tcp_rto_min_us;
            /// 1: a window that was offered may be taken back.
            tcp_shrink_window: u8 = 0, sysctl_tcp_shrink_window;
            /// 0: no selective acknowledgements.
            tcp_sack: u8 = 1, sysctl_tcp_sack;
            /// 1: the congestion window decays while nothing is sent.
            tcp_slow_start_after_idle: u8 = 1, sysctl_tcp_slow_start_after_idle;
            /// 1: the urgent pointer names the last urgent byte, not the one behind it.
            tcp_stdurg: u8 = 0, sysctl_tcp_stdurg;
            /// Retransmissions of a SYN at the same pace, before the timeout doubles.
            tcp_syn_linear_timeouts: u8 = 4, sysctl_tcp_syn_linear_timeouts;
            /// Retransmissions of a SYN.
            tcp_syn_retries: u8 = 6, sysctl_tcp_syn_retries;
            /// Retransmissions of a SYN-ACK.
            tcp_synack_retries: u8 = 5, sysctl_tcp_synack_retries;
            /// 0: no SYN cookies. 1: when the queue of half-open connections is full. 2: always.
            tcp_syncookies: u8 = 1, sysctl_tcp_syncookies;
            /// 1: the timeouts of thin streams do not grow at first.
            tcp_thin_linear_timeouts: u8 = 0, sysctl_tcp_thin_linear_timeouts;
            /// 0: no timestamps.
            tcp_timestamps: u8 = 1, sysctl_tcp_timestamps;
            /// Paths shorter than so many microseconds, as a power of two, may have larger packets.
            tcp_tso_rtt_log: u8 = 9, sysctl_tcp_tso_rtt_log;
            /// Which part of the window one GSO packet may take: one of so many; 0 for any.
            tcp_tso_win_divisor: u8 = 3, sysctl_tcp_tso_win_divisor;
            /// Whether a new connection may take the place of a TIME-WAIT: 1 yes, 2 inside of this host.
            tcp_tw_reuse: u8 = 2, sysctl_tcp_tw_reuse;
            /// For that long after its last segment it may not.
            tcp_tw_reuse_delay: millis = Duration::from_secs(1), sysctl_tcp_tw_reuse_delay;
            /// 0: no scaled windows.
            tcp_window_scaling: u8 = 1, sysctl_tcp_window_scaling;
            /// Sizes of the send buffer, in bytes of true size.
            tcp_wmem: sizes = [4096, 16_384, 4 << 20], sysctl_tcp_wmem;
            /// 0: every datagram is asked where it belongs before it is asked for its socket.
            udp_early_demux: u8 = 1, sysctl_udp_early_demux;
        }
    };
}

/// What an accessor of a kind returns.
macro_rules! sysctl_value {
    (u8) => {
        u8
    };
    (i32) => {
        i32
    };
    (u32) => {
        u32
    };
    (sizes) => {
        [u32; 3]
    };
    ($unit:ident) => {
        Duration
    };
}

pub(crate) use {
    sysctl_value,
    sysctls, //
};
