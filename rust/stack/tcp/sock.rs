// SPDX-License-Identifier: GPL-2.0
//! The state of one connection.

use super::{
    chrono::Chrono,
    cong::Algorithm,
    ecn::Ecn,
    rack::Rack,
    rate::Rate,
    rtt::MinRtt,
    sack::{SackBlock, SackList},
    seq::SeqNum,
    state::{CaState, Pending, State},
    urgent::Urgent,
    window::DEFAULT_SCALING_RATIO, //
};
use crate::platform::{RtxQueue, SkbQueue, SkbTree, Sysctl};
use crate::stack::{
    env::Env,
    errno::Errno,
    socket::FourTuple,
    time::{Duration, Instant},
};

/// The receiver's delayed-ACK machine (`icsk_ack`).
#[derive(Clone, Copy, Debug)]
pub(super) struct AckState {
    /// An ACK is owed.
    pub(super) scheduled: bool,
    /// A segment came that ended what the peer had to say: a reader who drains the buffer sends the ACK
    /// (`ICSK_ACK_PUSHED`).
    pub(super) pushed: bool,
    /// A second one came: the ACK is sent even in interactive traffic (`ICSK_ACK_PUSHED2`).
    pub(super) pushed2: bool,
    /// What was offered could not be taken for want of memory: the next ACK offers nothing
    /// (`ICSK_ACK_NOMEM`).
    pub(super) nomem: bool,
    /// Segments to be acknowledged at once.
    pub(super) quick: u8,
    /// How often answers of ours followed the peer's data at once: with `tcp_pingpong_thresh` the traffic is
    /// interactive, and ACKs ride on answers.
    pub(super) pingpong: u8,
    /// How long an ACK is delayed at the moment; zero before the first data segment.
    pub(super) ato: Duration,
    /// When the last data segment came.
    pub(super) lrcvtime: Instant,
    /// The peer's segment size as seen, in bytes: estimates when two full segments are owed an ACK.
    pub(super) rcv_mss: u16,
    /// Length of the last segment.
    pub(super) last_seg_size: u16,
}

/// Receive-buffer autotuning (`tcp_rcv_space_adjust`).
#[derive(Clone, Copy, Debug)]
pub(super) struct RcvSpace {
    /// Bytes that the user read in the best round trip so far.
    pub(super) space: u32,
    /// `copied_seq` at the start of this round trip.
    pub(super) seq: SeqNum,
    /// When this round trip began.
    pub(super) time: Instant,
}

/// Counts for `struct tcp_info`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stats {
    pub(super) segs_out: u32,
    pub(super) segs_in: u32,
    pub(super) data_segs_out: u32,
    pub(super) data_segs_in: u32,
    pub(super) bytes_acked: u64,
    pub(super) bytes_received: u64,
    pub(super) bytes_sent: u64,
    pub(super) bytes_retrans: u64,
    pub(super) total_retrans: u32,
    pub(super) delivered: u32,
    /// Of those, how many an echo of a mark came with.
    pub(super) delivered_ce: u32,
    pub(super) rcv_ooopack: u32,
    /// Segments ever taken for lost.
    pub(super) lost: u32,
    /// Segments that D-SACKs told of.
    pub(super) dsack_dups: u32,
}

impl Stats {
    /// `segs` segments with `len` bytes of data went out, for the first time or once more.
    #[inline]
    pub(super) fn data_sent(&mut self, segs: u32, len: u32) {
        self.data_segs_out = self.data_segs_out.wrapping_add(segs);
        self.bytes_sent = self.bytes_sent.wrapping_add(u64::from(len));
    }
}

/// A connection: everything that RFC 9293 calls the TCB, and the queues.
///
/// A plain value. Whoever holds the socket's lock holds it by `&mut`; nothing here is read without
/// that lock. The fields stand in the order in which a data segment and its ACK touch them.
pub struct Sock {
    /// Both ends.
    pub id: FourTuple,
    /// The state.
    pub state: State,
    pub(super) ca_state: CaState,
    pub(super) ts_ok: bool,
    pub(super) sack_ok: bool,
    pub(super) wscale_ok: bool,
    pub(super) ecn: Ecn,
    pub(super) snd_wscale: u8,
    pub(super) rcv_wscale: u8,

    // Receiving.
    pub(super) rcv_nxt: SeqNum,
    pub(super) copied_seq: SeqNum,
    /// `rcv_nxt` when the last window was sent.
    pub(super) rcv_wup: SeqNum,
    pub(super) rcv_wnd: u32,
    pub(super) rcv_ssthresh: u32,
    /// The largest window to offer; 0 until the handshake unless the user set it (TCP_WINDOW_CLAMP).
    pub(super) window_clamp: u32,
    /// The right edge of the farthest window that was ever offered.
    pub(super) rcv_mwnd_seq: SeqNum,
    /// How much of a buffer is payload, in 256ths.
    pub(super) scaling_ratio: u8,
    pub(super) urgent: Urgent,
    /// The urgent byte's number.
    pub(super) urg_seq: SeqNum,
    pub(super) ts_recent: u32,
    /// When `ts_recent` was taken.
    pub(super) ts_recent_stamp: Instant,
    pub(super) rcv_tstamp: Instant,
    pub(super) ack: AckState,
    /// The owed ACK must not be delayed.
    pub(super) ack_now: bool,
    /// It waits until the user who owns the socket lets go.
    pub(super) ack_deferred: bool,
    /// Acknowledgements sent at once since `compressed_ack_rcv_nxt` was RCV.NXT.
    pub(super) dup_ack_counter: u8,
    /// Segments beyond a gap since the last ACK.
    pub(super) compressed_ack: u8,
    pub(super) compressed_ack_rcv_nxt: SeqNum,
    /// When they are acknowledged at the latest.
    pub(super) compressed_at: Option<Instant>,
    pub(super) delack_at: Option<Instant>,
    pub(super) receive_queue: SkbQueue,
    pub(super) ooo: SkbTree,
    /// What lies beyond gaps, as the next ACK tells it.
    pub(super) selective_acks: SackList,
    /// What came twice, for the next ACK.
    pub(super) dsack: Option<SackBlock>,

    // Sending.
    pub(super) snd_una: SeqNum,
    pub(super) snd_nxt: SeqNum,
    pub(super) write_seq: SeqNum,
    pub(super) pushed_seq: SeqNum,
    /// End of the last small segment sent: Minshall's variant of Nagle.
    pub(super) snd_sml: SeqNum,
    /// The number behind the last urgent byte that we sent.
    pub(super) snd_up: SeqNum,
    /// SEG.SEQ of the segment that set `snd_wnd` (SND.WL1).
    pub(super) snd_wl1: SeqNum,
    pub(super) snd_wnd: u32,
    /// The largest window the peer ever offered.
    pub(super) max_window: u32,
    /// Payload of a full segment now, options taken off, in bytes.
    pub(super) mss_cache: u16,
    pub(super) mss_clamp: u16,
    pub(super) user_mss: u16,
    pub(super) advmss: u16,
    /// The path MTU that `mss_cache` was computed from.
    pub(super) pmtu: u32,
    /// The path's limit of a GSO packet, as `gso_segs` was computed from it.
    pub(super) gso_max_size: u32,
    /// Full segments to gather into one GSO packet.
    pub(super) gso_segs: u16,
    pub(super) nonagle: Nagle,
    pub(super) packets_out: u32,
    pub(super) retrans_out: u32,
    pub(super) lost_out: u32,
    /// Segments that the peer has beyond a gap; without SACK every duplicate ACK stands for one
    /// (RFC 5681's inflation).
    pub(super) sacked_out: u32,
    pub(super) rtx_queue: RtxQueue,
    pub(super) write_queue: SkbQueue,
    pub(super) rto_at: Option<Instant>,
    pub(super) pending: Pending,
    pub(super) lsndtime: Instant,
    pub(super) ts_offset: u32,

    // Congestion and round trips.
    pub(super) snd_cwnd: u32,
    pub(super) snd_ssthresh: u32,
    pub(super) snd_cwnd_clamp: u32,
    /// Whether the window, not the application, limited the last flight (RFC 2861's spirit).
    pub(super) cwnd_limited: bool,
    pub(super) max_packets_out: u32,
    /// Where the flight that `max_packets_out` describes ends.
    pub(super) cwnd_usage_seq: SeqNum,
    /// The user waits to write: data will follow the handshake.
    pub(super) write_pending: bool,
    /// Acknowledged data were freed: writers may have room.
    pub(super) check_space: bool,
    pub(super) cong: Algorithm,
    /// The user chose the algorithm (`icsk_ca_setsockopt`).
    pub(super) ca_setsockopt: bool,
    pub(super) rate: Rate,
    /// Segments acknowledged towards the next step of congestion avoidance.
    pub(super) snd_cwnd_cnt: u32,
    /// The most segments in flight since `snd_cwnd_stamp`, while the application limits them.
    pub(super) snd_cwnd_used: u32,
    /// When the window was last used in full, or judged for not being so.
    pub(super) snd_cwnd_stamp: Instant,
    /// When the next packet may leave (`tcp_wstamp_ns`); in the past if nobody paces.
    pub(super) wstamp: Instant,
    /// Something waits for that.
    pub(super) paced: bool,
    pub(super) chrono: Chrono,
    /// SND.NXT when the present state of recovery began (RFC 6582's `recover`).
    pub(super) high_seq: SeqNum,
    /// Where to look for the next segment to send again.
    pub(super) retransmit_hint: Option<SeqNum>,
    /// The number after the highest byte that SACK told of; meaningful while `sacked_out` is not 0.
    pub(super) highest_sack: SeqNum,
    /// The blocks that the last SACK told.
    pub(super) recv_sack_cache: SackList,
    pub(super) rack: Rack,
    /// How many segments late the network has been seen to deliver.
    pub(super) reordering: u32,
    /// How often.
    pub(super) reord_seen: u32,
    /// SND.NXT when a tail loss probe was sent; `None` if none is outstanding.
    pub(super) tlp_high_seq: Option<SeqNum>,
    /// That probe was a retransmission.
    pub(super) tlp_retrans: bool,
    /// Whether the last timeout may have been spurious (RFC 5682).
    pub(super) frto: bool,
    /// The peer took back what SACK had told.
    pub(super) is_sack_reneg: bool,
    /// SND.UNA when the reduction began that can be undone.
    pub(super) undo_marker: Option<SeqNum>,
    /// Retransmissions that D-SACK has not told of; below 0 before the first.
    pub(super) undo_retrans: i32,
    /// The threshold before the reduction; 0 if it must not be undone.
    pub(super) prior_ssthresh: u32,
    /// The window before it.
    pub(super) prior_cwnd: u32,
    /// Segments delivered and sent since it began (RFC 6937).
    pub(super) prr_delivered: u32,
    pub(super) prr_out: u32,
    pub(super) srtt_us: u32,
    pub(super) mdev_us: u32,
    pub(super) mdev_max_us: u32,
    pub(super) rttvar_us: u32,
    pub(super) rtt_seq: SeqNum,
    pub(super) min_rtt: MinRtt,
    pub(super) rto: Duration,
    /// The bounds of `rto`, as the namespace had them when the socket was made.
    pub(super) rto_min: Duration,
    pub(super) rto_max: Duration,
    pub(super) retransmits: u8,
    pub(super) backoff: u8,
    pub(super) probes_out: u8,
    /// When the first retransmission of the present trouble was sent.
    pub(super) retrans_stamp: Option<Instant>,
    pub(super) rcv_rtt_us: u32,
    pub(super) rcv_rtt_seq: SeqNum,
    pub(super) rcv_rtt_time: Instant,
    /// The last echo that was looked at.
    pub(super) rcv_rtt_last_tsecr: u32,
    pub(super) rcvq_space: RcvSpace,

    // Rarely.
    pub(super) last_oow_ack: Option<Instant>,
    pub(super) keep_at: Option<Instant>,
    pub(super) keepalive: bool,
    // What the user has set; `None` for the namespace's.
    pub(super) keepalive_time: Option<Duration>,
    pub(super) keepalive_intvl: Option<Duration>,
    pub(super) keepalive_probes: Option<u8>,
    pub(super) syn_retries: Option<u8>,
    pub(super) user_timeout: Duration,
    pub(super) linger2: Duration,
    /// The user said so with TCP_LINGER2 < 0: no FIN_WAIT_2 at all.
    pub(super) no_fin_wait2: bool,
    /// TCP_DEFER_ACCEPT, in SYN-ACKs: a handshake without data is not over before so many were sent.
    pub(super) defer_accept: u8,
    /// TCP_SAVE_SYN.
    pub(super) save_syn: u8,
    /// TCP_INQ.
    pub(super) recvmsg_inq: bool,
    /// TCP_THIN_LINEAR_TIMEOUTS.
    pub(super) thin_lto: bool,
    /// TCP_NOTSENT_LOWAT, in bytes; 0 for the namespace's.
    pub(super) notsent_lowat: u32,
    /// The longest delay of an ACK (TCP_DELACK_MAX_US).
    pub(super) delack_max: Duration,
    /// The byte that has the number 0 in time stamps.
    pub(super) tskey_base: SeqNum,
    /// When the window was first probed; `None` while it is not.
    pub(super) probes_tstamp: Option<Instant>,
    pub(super) snd_isn: SeqNum,
    pub(super) irs: SeqNum,
    pub(super) stats: Stats,
}

/// Which small segments may be sent (`tp->nonagle`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Nagle {
    /// TCP_NODELAY.
    pub(super) off: bool,
    /// TCP_CORK.
    pub(super) cork: bool,
    /// The next push goes out whatever Nagle says (`TCP_NAGLE_PUSH`).
    pub(super) push: bool,
}

impl Sock {
    /// A connection that has not begun.
    // Made where it will stand: it is more than a kilobyte.
    #[inline]
    pub fn new() -> Sock {
        Sock {
            id: FourTuple::default(),
            state: State::Close,
            ca_state: CaState::Open,
            ts_ok: false,
            sack_ok: false,
            wscale_ok: false,
            ecn: Ecn::default(),
            snd_wscale: 0,
            rcv_wscale: 0,
            rcv_nxt: SeqNum::default(),
            copied_seq: SeqNum::default(),
            rcv_wup: SeqNum::default(),
            rcv_wnd: 0,
            rcv_ssthresh: 0,
            window_clamp: 0,
            rcv_mwnd_seq: SeqNum::default(),
            scaling_ratio: DEFAULT_SCALING_RATIO,
            urgent: Urgent::None,
            urg_seq: SeqNum::default(),
            ts_recent: 0,
            ts_recent_stamp: Instant::ZERO,
            rcv_tstamp: Instant::ZERO,
            ack: AckState {
                scheduled: false,
                pushed: false,
                pushed2: false,
                nomem: false,
                quick: 0,
                pingpong: 0,
                ato: Duration::ZERO,
                lrcvtime: Instant::ZERO,
                rcv_mss: super::MSS_DEFAULT,
                last_seg_size: 0,
            },
            ack_now: false,
            ack_deferred: false,
            dup_ack_counter: 0,
            compressed_ack: 0,
            compressed_ack_rcv_nxt: SeqNum::default(),
            compressed_at: None,
            delack_at: None,
            receive_queue: SkbQueue::new(),
            ooo: SkbTree::new(),
            selective_acks: SackList::default(),
            dsack: None,
            snd_una: SeqNum::default(),
            snd_nxt: SeqNum::default(),
            write_seq: SeqNum::default(),
            pushed_seq: SeqNum::default(),
            snd_sml: SeqNum::default(),
            snd_up: SeqNum::default(),
            snd_wl1: SeqNum::default(),
            snd_wnd: 0,
            max_window: 0,
            mss_cache: super::MSS_DEFAULT,
            mss_clamp: u16::MAX,
            user_mss: 0,
            advmss: super::MSS_DEFAULT,
            pmtu: 0,
            gso_max_size: 0,
            gso_segs: 1,
            nonagle: Nagle::default(),
            packets_out: 0,
            retrans_out: 0,
            lost_out: 0,
            sacked_out: 0,
            rtx_queue: RtxQueue::new(),
            write_queue: SkbQueue::new(),
            rto_at: None,
            pending: Pending::Retrans,
            lsndtime: Instant::ZERO,
            ts_offset: 0,
            snd_cwnd: super::INIT_CWND,
            snd_ssthresh: super::INFINITE_SSTHRESH,
            snd_cwnd_clamp: u32::MAX,
            cwnd_limited: false,
            max_packets_out: 0,
            cwnd_usage_seq: SeqNum::default(),
            write_pending: false,
            check_space: false,
            cong: Algorithm::default(),
            ca_setsockopt: false,
            rate: Rate::default(),
            snd_cwnd_cnt: 0,
            snd_cwnd_used: 0,
            snd_cwnd_stamp: Instant::ZERO,
            wstamp: Instant::ZERO,
            paced: false,
            chrono: Chrono::default(),
            high_seq: SeqNum::default(),
            retransmit_hint: None,
            highest_sack: SeqNum::default(),
            recv_sack_cache: SackList::default(),
            rack: Rack::new(),
            reordering: super::DUPTHRESH,
            reord_seen: 0,
            tlp_high_seq: None,
            tlp_retrans: false,
            frto: false,
            is_sack_reneg: false,
            undo_marker: None,
            undo_retrans: -1,
            prior_ssthresh: 0,
            prior_cwnd: 0,
            prr_delivered: 0,
            prr_out: 0,
            srtt_us: 0,
            mdev_us: 1_000_000,
            mdev_max_us: 0,
            rttvar_us: 0,
            rtt_seq: SeqNum::default(),
            min_rtt: MinRtt::new(),
            rto: super::TIMEOUT_INIT,
            rto_min: super::RTO_MIN,
            rto_max: super::RTO_MAX,
            retransmits: 0,
            backoff: 0,
            probes_out: 0,
            retrans_stamp: None,
            rcv_rtt_us: 0,
            rcv_rtt_seq: SeqNum::default(),
            rcv_rtt_time: Instant::ZERO,
            rcv_rtt_last_tsecr: 0,
            rcvq_space: RcvSpace {
                space: 0,
                seq: SeqNum::default(),
                time: Instant::ZERO,
            },
            last_oow_ack: None,
            keep_at: None,
            keepalive: false,
            keepalive_time: None,
            keepalive_intvl: None,
            keepalive_probes: None,
            syn_retries: None,
            user_timeout: Duration::ZERO,
            linger2: Duration::ZERO,
            no_fin_wait2: false,
            defer_accept: 0,
            save_syn: 0,
            recvmsg_inq: false,
            thin_lto: false,
            notsent_lowat: 0,
            delack_max: super::DELACK_MAX,
            tskey_base: SeqNum::default(),
            probes_tstamp: None,
            snd_isn: SeqNum::default(),
            irs: SeqNum::default(),
            stats: Stats::default(),
        }
    }

    /// Takes over what a new socket has from its namespace for good.
    ///
    /// Mirrors [`tcp_init_sock`](srctree/net/ipv4/tcp.c).
    pub fn init(&mut self, sysctl: &Sysctl) {
        self.reordering = sysctl.tcp_reordering().max(1).unsigned_abs();
        self.rto_min = sysctl.tcp_rto_min_us();
        self.rto_max = sysctl.tcp_rto_max_ms();
        self.cong = Algorithm::of_namespace(sysctl);
    }

    /// Goes to `state` and lets the tables and lock-free readers know.
    ///
    /// Mirrors [`tcp_set_state`](srctree/net/ipv4/tcp.c).
    pub(super) fn set_state<E: Env>(&mut self, env: &mut E, state: State) {
        self.state = state;
        env.set_state(state);
    }

    /// Ends the connection with `error` as the answer to the user's next call.
    ///
    /// Mirrors [`tcp_write_err`, `tcp_reset`](srctree/net/ipv4/tcp_timer.c).
    pub(super) fn fail<E: Env>(&mut self, env: &mut E, error: Errno) {
        self.purge_send(env);
        env.report_error(error);
        self.done(env);
    }

    /// Segments that are in the network by our reckoning.
    ///
    /// Mirrors [`tcp_packets_in_flight`](srctree/include/net/tcp.h).
    #[inline]
    pub(super) fn packets_in_flight(&self) -> u32 {
        self.packets_out
            .saturating_sub(self.sacked_out.saturating_add(self.lost_out))
            .saturating_add(self.retrans_out)
    }

    /// Our clock as the timestamp option carries it.
    #[inline]
    pub(super) fn tsval(&self, now: Instant) -> u32 {
        now.as_millis_u32().wrapping_add(self.ts_offset)
    }

    /// When [`Sock::on_timer`] must be called, a tick of the clock more or less; `None` if nothing is pending.
    #[inline]
    pub fn next_expiry(&self) -> Option<Instant> {
        // Every entry into the stack asks: no branches.
        let at = |deadline: Option<Instant>| deadline.unwrap_or(Instant::MAX);
        let first = at(self.rto_at)
            .min(at(self.delack_at))
            .min(at(self.keep_at));
        (first != Instant::MAX).then_some(first)
    }
}

impl Default for Sock {
    fn default() -> Self {
        Sock::new()
    }
}
