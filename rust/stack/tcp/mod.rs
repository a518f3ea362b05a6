// SPDX-License-Identifier: GPL-2.0
//! TCP (RFC 9293).
//!
//! What enters: a system call ([`Sock::sendmsg`], [`Sock::recvmsg`], [`Sock::connect`],
//! [`Sock::close`] …), a segment ([`Sock::v4_do_rcv`]) or a due timer ([`Sock::on_timer`]). What
//! leaves goes through [`Env`](super::env::Env): segments to the IP layer, wake-ups, charges to the
//! socket's memory; and the next deadlines, [`Sock::next_expiry`] and [`Sock::next_fine_expiry`].
//!
//! The files in the order in which a byte meets them on its way down, then up:
//!
//! | file | holds | C |
//! |---|---|---|
//! | `sendmsg` | user data into the write queue; when to push | tcp.c |
//! | `output`, `header` | the write queue onto the wire: windows, Nagle, segmentation, headers | tcp_output.c |
//! | `mss` | how large a segment may be | tcp_output.c |
//! | `sndbuf` | the send buffer, and who waits for room in it | tcp_input.c |
//! | `ack_output` | segments without data: ACK, SYN, FIN, RST, probes | tcp_output.c |
//! | `gather` | segments and ACKs that come in bursts | tcp_ipv4.c, tcp_input.c |
//! | `window` | the window we offer | tcp_output.c |
//! | `rcvbuf` | the receive buffer behind it; the peer's segment size | tcp_input.c |
//! | `segment`, `options` | a segment's header, parsed once | tcp_input.c |
//! | `listen` | half-open connections | tcp_minisocks.c, tcp_input.c |
//! | `cookie` | connections that nothing is kept of | syncookies.c |
//! | `input` | which state takes a segment how | tcp_input.c |
//! | `validate` | is the segment acceptable: PAWS, window, RFC 5961 | tcp_input.c |
//! | `ack`, `told` | acknowledgements: in what order one is worked off, and what it told | tcp_input.c |
//! | `clean` | the retransmission queue shrinks | tcp_input.c |
//! | `sacktag` | what SACK tells of the retransmission queue | tcp_input.c |
//! | `recovery`, `undo` | loss recovery, and taking it back | tcp_input.c |
//! | `rack`, `tlp` | what is lost by the time it was sent; probing for losses at the end | tcp_recovery.c, tcp_output.c |
//! | `retransmit` | sending again | tcp_output.c |
//! | `ecn` | explicit congestion notification | tcp_ecn.h, tcp_input.c |
//! | `pacing` | when segments leave, and how large packets are | tcp_output.c |
//! | `small_queue` | what waits for this host's queues, or for its time | tcp_output.c |
//! | `chrono` | what held the sender back | tcp_output.c |
//! | `mtu` | the path has become narrower | tcp_ipv4.c |
//! | `cwnd`, `cong` | the congestion window and its algorithms | tcp_output.c, tcp_cong.c, tcp_cubic.c |
//! | `rtt` | round-trip time | tcp_input.c |
//! | `sack` | what we tell of data beyond a gap | tcp_input.c |
//! | `data` | payload into the receive queue; out-of-order data | tcp_input.c |
//! | `collapse` | small packets of a full receive queue copied together | tcp_input.c |
//! | `urgent` | the urgent mark, either way | tcp_input.c, tcp.c |
//! | `recvmsg` | the receive queue to the user | tcp.c |
//! | `timer` | retransmission, delayed ACK, probes, keepalive | tcp_timer.c |
//! | `close` | shutdown, close, abort | tcp.c |
//! | `timewait` | what is left of a closed connection | tcp_minisocks.c |
//! | `sockopt`, `info` | options and `struct tcp_info` | tcp.c |
//!
//! RFC numbers in comments without a name are sections of RFC 9293.

mod sendmsg;

mod output;

mod header;

mod mss;

mod sndbuf;

mod ack_output;

mod gather;

mod window;

mod rcvbuf;

mod segment;

mod oow;

mod options;

pub mod listen;

pub mod cookie;

mod input;

mod validate;

mod ack;

mod told;

mod clean;

mod sacktag;

mod recovery;

mod undo;

mod rack;

mod tlp;

mod retransmit;

pub mod cong;

mod cwnd;

mod pacing;

mod small_queue;

mod ecn;

mod chrono;

mod rate;

mod rtt;

mod mtu;

mod sack;

mod data;

mod collapse;

mod urgent;

mod recvmsg;

mod timer;

mod close;

mod timewait;

mod sockopt;

mod info;

mod seq;
mod skb;
mod sock;

mod inq;

mod state;

pub use ack_output::send_reset;
pub use close::{
    Close,
    Linger, //
};
pub use gather::coalesce;
pub use info::{
    Info,
    INFO_LEN, //
};
pub use input::IcmpError;
pub use oow::Surroundings;
pub use options::Options;
pub use pacing::Pacing;
pub use recvmsg::{
    RecvFlags,
    RecvState,
    RecvStep, //
};
pub use sack::{
    SackBlock,
    SackList, //
};
pub use segment::Segment;
pub use sendmsg::{
    SendFlags,
    SendStep, //
};
pub use seq::SeqNum;
pub use skb::{
    Cb,
    Flags,
    Marks, //
};
pub use sock::Sock;
pub use sockopt::Opt;
pub use state::{
    CaState,
    State, //
};
pub use timewait::{
    TimeWait,
    TwAction,
    TwVerdict, //
};

use super::time::Duration;

/// The initial retransmission timeout: RFC 6298, 2.1.
pub const TIMEOUT_INIT: Duration = Duration::from_secs(1);
/// The smallest retransmission timeout. RFC 6298, 2.4 wants a second; Linux, and we, take 200 ms so
/// that one lost segment on a local network does not stall it (`TCP_RTO_MIN`).
pub const RTO_MIN: Duration = Duration::from_millis(200);
/// The largest retransmission timeout (`TCP_RTO_MAX`).
pub const RTO_MAX: Duration = Duration::from_secs(120);
/// The longest that an ACK is delayed; 3.8.6.3 allows less than 0.5 s (`TCP_DELACK_MAX`).
pub const DELACK_MAX: Duration = Duration::from_millis(200);
/// The shortest that an ACK is delayed (`TCP_DELACK_MIN`, `TCP_ATO_MIN`).
pub const ATO_MIN: Duration = Duration::from_millis(40);
/// TIME_WAIT lasts 2 MSL; Linux has always taken 60 s for it (`TCP_TIMEWAIT_LEN`).
pub const TIMEWAIT_LEN: Duration = Duration::from_secs(60);
/// The initial congestion window, in segments: RFC 6928.
pub const INIT_CWND: u32 = 10;
/// The threshold of slow start while nothing is known of the path (`TCP_INFINITE_SSTHRESH`).
pub(crate) const INFINITE_SSTHRESH: u32 = 0x7fff_ffff;
/// Duplicate ACKs that stand for a loss: RFC 5681, 3.2.
pub const DUPTHRESH: u32 = 3;
/// The MSS where the peer names none: 3.7.1.
pub const MSS_DEFAULT: u16 = 536;
/// The smallest MSS that a peer is taken to use (`TCP_MIN_MSS`).
pub const MIN_MSS: u16 = 88;
/// The largest scale of a window: RFC 7323, 2.3.
pub const MAX_WSCALE: u8 = 14;
/// The largest window: one byte below 2^30 keeps old and new data apart (RFC 7323, 2.3).
pub const MAX_WINDOW: u32 = (1 << 30) - 1;
/// The ports' part of the header, without options, in bytes.
pub const HEADER_LEN: usize = 20;
/// The timestamp option with its padding, in bytes.
pub const TSTAMP_ALIGNED: usize = 12;

#[cfg(test)]
mod tests;
