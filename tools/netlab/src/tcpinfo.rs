// SPDX-License-Identifier: GPL-2.0
//! Linux's `struct tcp_info`, read by offset.
//!
//! By offset rather than through a C structure: the kernel may return fewer bytes than the newest
//! header knows, and a test must be able to tell "absent" from "zero".

use uapi::c;

use crate::sock::Sock;
use crate::sock::Sys;

/// TCP states, as `tcpi_state` and /proc/net/tcp number them.
pub const STATES: [&str; 13] = [
    "?",
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
    "NEW_SYN_RECV",
];

/// What TCP_INFO returned.
#[derive(Clone, Debug)]
pub struct TcpInfo(pub Vec<u8>);

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident: $ty:ty = $offset:expr;)*) => {
        impl TcpInfo {
            $($(#[$doc])*
            pub fn $name(&self) -> Option<$ty> {
                let at = self.0.get($offset..$offset + size_of::<$ty>())?;
                at.try_into().ok().map(<$ty>::from_ne_bytes)
            })*

            /// Every field by name, for messages and for the table in the documentation.
            pub fn all(&self) -> Vec<(&'static str, Option<u64>)> {
                vec![$((stringify!($name), self.$name().map(u64::from)),)*]
            }
        }
    };
}

fields! {
    /// TCP state by number.
    state: u8 = 0;
    /// Congestion state.
    ca_state: u8 = 1;
    /// Consecutive timeouts.
    retransmits: u8 = 2;
    /// Unanswered probes.
    probes: u8 = 3;
    /// Exponential backoff.
    backoff: u8 = 4;
    /// Negotiated options (TCPI_OPT_*).
    options: u8 = 5;
    /// Both window scales: received in the low half, sent in the high.
    wscale: u8 = 6;
    /// Retransmission timeout, µs.
    rto: u32 = 8;
    /// Delayed-ACK timeout, µs.
    ato: u32 = 12;
    /// Segment size used for sending.
    snd_mss: u32 = 16;
    /// Estimate of the peer's segment size.
    rcv_mss: u32 = 20;
    /// Segments in flight.
    unacked: u32 = 24;
    /// Segments SACKed.
    sacked: u32 = 28;
    /// Segments thought lost.
    lost: u32 = 32;
    /// Segments retransmitted and not acknowledged.
    retrans: u32 = 36;
    /// ms since data was sent.
    last_data_sent: u32 = 44;
    /// ms since data was received.
    last_data_recv: u32 = 52;
    /// ms since an ACK was received.
    last_ack_recv: u32 = 56;
    /// Path MTU.
    pmtu: u32 = 60;
    /// Receive slow-start threshold.
    rcv_ssthresh: u32 = 64;
    /// Smoothed round-trip time, µs.
    rtt: u32 = 68;
    /// Its variation, µs.
    rttvar: u32 = 72;
    /// Slow-start threshold.
    snd_ssthresh: u32 = 76;
    /// Congestion window, segments.
    snd_cwnd: u32 = 80;
    /// Advertised MSS.
    advmss: u32 = 84;
    /// Reordering metric.
    reordering: u32 = 88;
    /// Receive-side RTT, µs.
    rcv_rtt: u32 = 92;
    /// Receive-buffer space.
    rcv_space: u32 = 96;
    /// Retransmissions of the whole life.
    total_retrans: u32 = 100;
    /// Pacing rate, bytes per second.
    pacing_rate: u64 = 104;
    /// Bytes acknowledged (RFC 4898).
    bytes_acked: u64 = 120;
    /// Bytes received (RFC 4898).
    bytes_received: u64 = 128;
    /// Segments sent.
    segs_out: u32 = 136;
    /// Segments received.
    segs_in: u32 = 140;
    /// Bytes not yet sent.
    notsent_bytes: u32 = 144;
    /// Least RTT seen, µs.
    min_rtt: u32 = 148;
    /// Data segments received.
    data_segs_in: u32 = 152;
    /// Data segments sent.
    data_segs_out: u32 = 156;
    /// Delivery rate, bytes per second.
    delivery_rate: u64 = 160;
    /// µs spent sending.
    busy_time: u64 = 168;
    /// Bytes sent, retransmissions included.
    bytes_sent: u64 = 200;
    /// Bytes retransmitted.
    bytes_retrans: u64 = 208;
    /// Peer's window, bytes.
    snd_wnd: u32 = 228;
    /// Own window, bytes.
    rcv_wnd: u32 = 232;
}

impl TcpInfo {
    /// `getsockopt(TCP_INFO)` with more room than any kernel fills.
    pub fn of(sock: &Sock) -> Sys<TcpInfo> {
        sock.getsockopt(c::IPPROTO_TCP, c::TCP_INFO, 512)
            .map(TcpInfo)
    }

    /// The state's name.
    pub fn state_name(&self) -> &'static str {
        self.state()
            .and_then(|s| STATES.get(usize::from(s)))
            .unwrap_or(&"?")
    }
}
