// SPDX-License-Identifier: GPL-2.0
//! Half-open connections: between the peer's SYN and its ACK.
//!
//! A [`Request`] is a small plain value; no socket exists before the handshake is over, so a flood of
//! SYNs costs little (RFC 4987, 3.3, "SYN cache"). Glue keeps it where look-ups find it and calls
//! [`synack`] when its timer fires.

use super::{
    ack_output,
    cong::Algorithm,
    ecn::{self, Ecn},
    header::Header,
    oow::{LastOowAck, Surroundings},
    options::OutOptions,
    segment::Segment,
    seq::SeqNum,
    skb::Flags,
    sock::Sock,
    state::State,
    window,
    MSS_DEFAULT,
    TIMEOUT_INIT, //
    TSTAMP_ALIGNED,
};
use crate::platform::{Skb, Sysctl, MAX_HEADER};
use crate::stack::{
    counters::Counter,
    drop_reason::DropReason,
    env::Env,
    socket::FourTuple,
    time::{Duration, Instant}, //
};

/// What a listener's socket says about the connections it takes.
#[derive(Clone, Copy)]
pub struct ListenConfig<'a> {
    /// The namespace's settings.
    pub sysctl: &'a Sysctl,
    /// SO_RCVBUF, in bytes of true size.
    pub rcvbuf: u32,
    /// The user fixed it.
    pub rcvbuf_locked: bool,
    /// TCP_WINDOW_CLAMP, or the route's; 0 if not set.
    pub window_clamp: u32,
    /// The window that the route wants to begin with, in segments; 0 if it does not say.
    pub init_rwnd: u32,
    /// The MTU that the announced MSS is made of: the route's or the device's, in bytes.
    pub mtu: u32,
    /// TCP_MAXSEG; 0 if not set.
    pub user_mss: u16,
    /// TCP_DEFER_ACCEPT, in SYN-ACKs; 0 if not set.
    pub defer_accept: u8,
}

/// The scales of both windows (RFC 7323, 2.2), each at most 14: a request has no byte to waste.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scales(u8);

impl Scales {
    fn new(snd: u8, rcv: u8) -> Scales {
        Scales((snd & 0xf) | (rcv << 4))
    }

    /// What the peer's windows are shifted by.
    pub(super) fn snd(self) -> u8 {
        self.0 & 0xf
    }

    /// What ours are.
    fn rcv(self) -> u8 {
        self.0 >> 4
    }
}

/// What both ends have agreed on, a bit for each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agreed(u8);

impl Agreed {
    fn new(wscale: bool, tstamp: bool, sack: bool, ecn: bool) -> Agreed {
        let bits = [wscale, tstamp, sack, ecn];
        Agreed(
            bits.into_iter()
                .rev()
                .fold(0, |all, bit| (all << 1) | u8::from(bit)),
        )
    }

    /// Windows are scaled.
    pub(super) fn wscale(self) -> bool {
        self.0 & 1 != 0
    }

    /// Segments have time stamps.
    pub(super) fn tstamp(self) -> bool {
        self.0 & 2 != 0
    }

    /// SACK is understood.
    pub(super) fn sack(self) -> bool {
        self.0 & 4 != 0
    }

    /// ECN is.
    pub(super) fn ecn(self) -> bool {
        self.0 & 8 != 0
    }
}

/// The unit of [`Request::span`], in milliseconds: 16 bits of it are more than an hour.
const SPAN_MS: u32 = 64;

/// A connection whose SYN we have answered (`struct tcp_request_sock`).
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Both ends.
    pub id: FourTuple,
    pub(super) irs: SeqNum,
    pub(super) isn: SeqNum,
    /// The window that our SYN-ACK offered.
    rcv_wnd: u32,
    window_clamp: u32,
    pub(super) ts_recent: u32,
    ts_offset: u32,
    /// When the last SYN-ACK was sent, in microseconds modulo 2^32; 0 if that is not known.
    pub(super) sent_at: u32,
    last_oow_ack: LastOowAck,
    pub(super) mss: u16,
    advmss: u16,
    pub(super) wscales: Scales,
    pub(super) agreed: Agreed,
    /// From the first SYN-ACK to the last, in units of [`SPAN_MS`], rounded up.
    span: u16,
    /// The peer's ACK was here, without data, and data are waited for.
    acked: bool,
    /// How often the timer has to fire before data are waited for no longer.
    pub(super) defer_accept: u8,
    /// How often the timer has fired.
    pub num_timeout: u8,
}

/// What the timer of a [`Request`] calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Nothing: the peer is there, its data are waited for. The timer fires again after so long.
    Wait(Duration),
    /// Send the SYN-ACK again; the timer fires again after so long.
    Resend(Duration),
    /// Forget the request.
    GiveUp,
}

/// What a segment for a [`Request`] calls for.
#[derive(Debug)]
pub enum CheckReq {
    /// Nothing.
    Drop(DropReason),
    /// The peer sent its SYN again: send the SYN-ACK again, the timer unchanged.
    RetransmitSynAck,
    /// Not acceptable: send this ACK (3.10.7.4).
    Ack(Skb),
    /// The handshake failed: send this reset, if there is one, and forget the request.
    Kill(Option<Skb>, DropReason),
    /// The ACK is good, but something does not fit: send this reset and keep the request.
    Reset(Option<Skb>),
    /// The handshake is over, but there is no connection before there are data: drop the segment.
    Deferred,
    /// The handshake is over: make the child and give it this segment.
    Establish,
}

/// Takes a SYN for a listener. `isn` is our first sequence number (RFC 6528).
///
/// Mirrors [`tcp_conn_request`, `tcp_openreq_init`](srctree/net/ipv4/tcp_input.c).
pub fn conn_request(
    cfg: &ListenConfig<'_>,
    seg: &Segment,
    id: FourTuple,
    isn: u32,
    ts_offset: u32,
    now: Instant,
) -> Request {
    let mut advmss = cfg
        .mtu
        .saturating_sub(40)
        .max(cfg.sysctl.min_adv_mss())
        .min(65_495) as u16;
    if cfg.user_mss != 0 {
        advmss = advmss.min(cfg.user_mss);
    }
    let mut mss = if seg.opts.mss == 0 {
        MSS_DEFAULT
    } else {
        seg.opts.mss
    };
    if cfg.user_mss != 0 {
        mss = mss.min(cfg.user_mss);
    }
    let ts_ok = seg.opts.saw_tstamp && cfg.sysctl.tcp_timestamps() != 0;
    let wscale_ok = seg.opts.wscale.is_some() && cfg.sysctl.tcp_window_scaling() != 0;
    let space = window::win_from_space(window::DEFAULT_SCALING_RATIO, cfg.rcvbuf as i32);
    let space = space.max(0) as u32;
    // A buffer that the user fixed is what he means the window to fit into.
    let locked = cfg.rcvbuf_locked && (cfg.window_clamp > space || cfg.window_clamp == 0);
    let options = if ts_ok { TSTAMP_ALIGNED } else { 0 } as u16;
    let [_, _, rmem_max] = cfg.sysctl.tcp_rmem();
    let initial = window::select_initial(&window::Offer {
        space,
        mss: u32::from(advmss.saturating_sub(options).max(1)),
        window_clamp: if locked { space } else { cfg.window_clamp },
        wscale_ok,
        rmem_max: rmem_max.max(cfg.sysctl.rmem_max()),
        init_rwnd: cfg.init_rwnd,
    });
    Request {
        id,
        irs: seg.seq,
        isn: SeqNum::new(isn),
        rcv_wnd: initial.rcv_wnd,
        window_clamp: initial.window_clamp,
        ts_recent: seg.opts.tsval,
        ts_offset,
        sent_at: now.as_micros() as u32,
        last_oow_ack: LastOowAck::default(),
        mss,
        advmss,
        wscales: Scales::new(
            seg.opts.wscale.filter(|_| wscale_ok).unwrap_or(0),
            initial.rcv_wscale,
        ),
        agreed: Agreed::new(
            wscale_ok,
            ts_ok,
            seg.opts.sack_perm && cfg.sysctl.tcp_sack() != 0,
            ecn::requested(cfg.sysctl, seg),
        ),
        span: 0,
        acked: false,
        defer_accept: cfg.defer_accept,
        num_timeout: 0,
    }
}

/// The SYN-ACK of `req`, ready for the IP layer. `None` without memory: the timer tries again.
///
/// Mirrors [`tcp_make_synack`](srctree/net/ipv4/tcp_output.c).
pub fn synack(req: &mut Request, now: Instant) -> Option<Skb> {
    let mut skb = Skb::alloc(MAX_HEADER, 0)?;
    let opts = OutOptions {
        mss: req.advmss,
        wscale: if req.agreed.wscale() {
            Some(req.wscales.rcv())
        } else {
            None
        },
        tstamp: req.tstamp(now),
        sack_perm: req.agreed.sack(),
        ..OutOptions::default()
    };
    Header {
        seq: req.isn,
        ack: req.irs.add(1),
        flags: Flags::SYN.and(Flags::ACK).and(if req.agreed.ecn() {
            Flags::ECE
        } else {
            Flags::NONE
        }),
        window: req.rcv_wnd.min(65_535) as u16,
        urg_ptr: 0,
    }
    .push(&mut skb, req.id, &opts)?;
    let since = (now.as_micros() as u32).wrapping_sub(req.sent_at);
    let more = since.div_ceil(SPAN_MS * 1000).min(u32::from(u16::MAX)) as u16;
    req.span = req.span.saturating_add(more);
    req.sent_at = now.as_micros() as u32;
    Some(skb)
}

impl Request {
    /// After how long the timer fires next.
    ///
    /// Mirrors [`tcp_reqsk_timeout`](srctree/include/net/tcp.h).
    pub fn timeout(&self) -> Duration {
        TIMEOUT_INIT.backoff(u32::from(self.num_timeout))
    }

    /// The timer has fired. A peer that has acknowledged the SYN-ACK is not asked again while its data are
    /// waited for, but for the last time: its ACK then makes the connection.
    ///
    /// Mirrors [`reqsk_timer_handler`, `syn_ack_recalc`](srctree/net/ipv4/inet_connection_sock.c).
    pub fn on_timeout(&mut self, sysctl: &Sysctl) -> Retry {
        let deferred = |n: u8| self.acked && n < self.defer_accept;
        let n = self.num_timeout;
        if n >= sysctl.tcp_synack_retries() && !deferred(n) {
            return Retry::GiveUp;
        }
        let resend = !deferred(n.saturating_add(1));
        self.num_timeout = n.saturating_add(1);
        if resend {
            Retry::Resend(self.timeout())
        } else {
            Retry::Wait(self.timeout())
        }
    }

    fn tstamp(&self, now: Instant) -> Option<(u32, u32)> {
        self.agreed.tstamp().then(|| {
            (
                now.as_millis_u32().wrapping_add(self.ts_offset),
                self.ts_recent,
            )
        })
    }

    /// Whether the segment echoes a time stamp that no SYN-ACK of ours had: who sent it has seen none of them.
    ///
    /// Mirrors the beginning of [`tcp_check_req`](srctree/net/ipv4/tcp_minisocks.c).
    fn tsecr_reject(&self, seg: &Segment, now: Instant) -> bool {
        let known = self.sent_at != 0 && self.span != u16::MAX;
        if !known || !self.agreed.tstamp() || !seg.opts.saw_tstamp || seg.opts.tsecr == 0 {
            return false;
        }
        let since = (now.as_micros() as u32).wrapping_sub(self.sent_at);
        let sent = now.as_micros().wrapping_sub(since.into());
        let last = ((sent / 1000) as u32).wrapping_add(self.ts_offset);
        last.wrapping_sub(seg.opts.tsecr) > u32::from(self.span).wrapping_mul(SPAN_MS)
    }

    /// The number we have received up to.
    fn rcv_nxt(&self) -> SeqNum {
        self.irs.add(1)
    }

    fn ack(&self, now: Instant) -> Option<Skb> {
        let mut skb = Skb::alloc(MAX_HEADER, 0)?;
        let opts = OutOptions {
            tstamp: self.tstamp(now),
            ..OutOptions::default()
        };
        Header {
            seq: self.isn.add(1),
            ack: self.rcv_nxt(),
            flags: Flags::ACK,
            window: (self.rcv_wnd >> self.wscales.rcv()).min(65_535) as u16,
            urg_ptr: 0,
        }
        .push(&mut skb, self.id, &opts)?;
        Some(skb)
    }
}

/// Judges a segment for a half-open connection.
///
/// 3.10.7.4 for SYN-RECEIVED. Mirrors [`tcp_check_req`](srctree/net/ipv4/tcp_minisocks.c).
pub fn check_req(req: &mut Request, around: &mut Surroundings<'_>, seg: &Segment) -> CheckReq {
    let paws_reject = req.agreed.tstamp()
        && seg.opts.saw_tstamp
        && (req.ts_recent.wrapping_sub(seg.opts.tsval) as i32) > 0
        && !seg.flags.has(Flags::RST);
    let syn_rst_ack = seg.flags.bits() & Flags::SYN.and(Flags::RST).and(Flags::ACK).bits();
    // The SYN once more: our answer was lost.
    if seg.seq == req.irs && syn_rst_ack == Flags::SYN.bits() && !paws_reject {
        let skipped = Counter::TcpAckSkippedSynRecv;
        return if req.last_oow_ack.limited_for(around, seg, skipped) {
            CheckReq::Drop(DropReason::RateLimited)
        } else {
            CheckReq::RetransmitSynAck
        };
    }
    // "If the connection is in any non-synchronized state […] and the incoming segment acknowledges
    // something not yet sent, […] a reset is sent" (3.5.2, group 2).
    if seg.flags.has(Flags::ACK) && !seg.flags.has(Flags::RST) && seg.ack_seq != req.isn.add(1) {
        return CheckReq::Reset(ack_output::send_reset(seg, req.id));
    }
    let start = req.rcv_nxt();
    let end = start.add(req.rcv_wnd);
    let in_window = seg.seq == start
        || (seg.end_seq.after(start) && seg.seq.before(end))
        || (seg.seq == end && seg.seq == seg.end_seq);
    let tsecr_reject = req.tsecr_reject(seg, around.now);
    if paws_reject || tsecr_reject || !in_window {
        let reason = if paws_reject {
            (around.count)(Counter::PawsEstab);
            DropReason::TcpRfc7323Paws
        } else if tsecr_reject {
            (around.count)(Counter::TsEcrRejected);
            DropReason::TcpRfc7323Tsecr
        } else {
            DropReason::TcpOverwindow
        };
        let skipped = Counter::TcpAckSkippedSynRecv;
        if seg.flags.has(Flags::RST) || req.last_oow_ack.limited_for(around, seg, skipped) {
            return CheckReq::Drop(reason);
        }
        return match req.ack(around.now) {
            Some(skb) => CheckReq::Ack(skb),
            None => CheckReq::Drop(DropReason::Nomem),
        };
    }
    if seg.flags.has(Flags::RST) {
        // RFC 5961, 3.2, holds for a half-open connection as well.
        if seg.seq == start {
            return CheckReq::Kill(None, DropReason::TcpReset);
        }
        let skipped = Counter::TcpAckSkippedChallenge;
        if req.last_oow_ack.limited(around, skipped) {
            return CheckReq::Drop(DropReason::TcpReset);
        }
        (around.count)(Counter::TcpChallengeAck);
        return match req.ack(around.now) {
            Some(skb) => CheckReq::Ack(skb),
            None => CheckReq::Drop(DropReason::Nomem),
        };
    }
    if seg.flags.has(Flags::SYN) {
        return CheckReq::Kill(
            ack_output::send_reset(seg, req.id),
            DropReason::TcpInvalidSyn,
        );
    }
    if !seg.flags.has(Flags::ACK) {
        return CheckReq::Drop(DropReason::TcpFlags);
    }
    if seg.opts.saw_tstamp && !seg.seq.after(start) {
        req.ts_recent = seg.opts.tsval;
    }
    // A bare ACK while data are waited for: the peer is there, and will send it again with them.
    if req.num_timeout < req.defer_accept && seg.end_seq == start {
        req.acked = true;
        return CheckReq::Deferred;
    }
    CheckReq::Establish
}

impl Sock {
    /// The handshake is over: makes a connection that has not begun the one in SYN-RECEIVED that `req` stood
    /// for; the ACK that finished it must be given to it next. The user's settings come from `parent`, the
    /// listener.
    ///
    /// Mirrors [`tcp_create_openreq_child`](srctree/net/ipv4/tcp_minisocks.c).
    pub fn open_request<E: Env>(&mut self, env: &mut E, req: &Request, parent: &Sock) {
        let now = env.now();
        let snd_nxt = req.isn.add(1);
        let rcv_nxt = req.rcv_nxt();
        self.id = req.id;
        self.state = State::SynRecv;
        self.ts_ok = req.agreed.tstamp();
        self.sack_ok = req.agreed.sack();
        self.wscale_ok = req.agreed.wscale();
        self.ecn = Ecn::new(req.agreed.ecn());
        self.snd_wscale = req.wscales.snd();
        self.rcv_wscale = req.wscales.rcv();
        self.rcv_nxt = rcv_nxt;
        self.copied_seq = rcv_nxt;
        self.rcv_wup = rcv_nxt;
        self.rcv_wnd = req.rcv_wnd;
        self.rcv_ssthresh = req.rcv_wnd;
        self.window_clamp = if req.agreed.wscale() {
            req.window_clamp
        } else {
            req.window_clamp.min(65_535)
        };
        self.rcv_mwnd_seq = rcv_nxt.add(req.rcv_wnd);
        self.ts_recent = req.ts_recent;
        self.ts_recent_stamp = now;
        self.rcv_tstamp = now;
        self.snd_una = req.isn;
        self.snd_nxt = snd_nxt;
        self.write_seq = snd_nxt;
        self.pushed_seq = snd_nxt;
        self.snd_sml = snd_nxt;
        self.snd_up = snd_nxt;
        self.snd_wl1 = req.irs;
        self.mss_clamp = req.mss;
        self.advmss = req.advmss;
        self.ts_offset = req.ts_offset;
        self.snd_isn = req.isn;
        self.irs = req.irs;
        self.nonagle = parent.nonagle;
        self.user_mss = parent.user_mss;
        self.keepalive = parent.keepalive;
        self.keepalive_time = parent.keepalive_time;
        self.keepalive_intvl = parent.keepalive_intvl;
        self.keepalive_probes = parent.keepalive_probes;
        self.reordering = parent.reordering;
        self.rto_min = parent.rto_min;
        self.rto_max = parent.rto_max;
        self.user_timeout = parent.user_timeout;
        self.defer_accept = parent.defer_accept;
        self.save_syn = parent.save_syn;
        self.recvmsg_inq = parent.recvmsg_inq;
        self.thin_lto = parent.thin_lto;
        self.notsent_lowat = parent.notsent_lowat;
        self.delack_max = parent.delack_max;
        self.scaling_ratio = parent.scaling_ratio;
        self.linger2 = parent.linger2;
        self.no_fin_wait2 = parent.no_fin_wait2;
        self.cong = if parent.ca_setsockopt {
            parent.cong
        } else {
            Algorithm::of_namespace(env.sysctl())
        };
        self.ca_setsockopt = parent.ca_setsockopt;
        self.ack.lrcvtime = now;
        self.init_mss(env);
        // The route is known by now.
        self.follow_rto_min(env.metrics());
        if req.num_timeout == 0 && req.sent_at != 0 {
            // Karn: a SYN-ACK sent twice gives no sample.
            let us = (now.as_micros() as u32).wrapping_sub(req.sent_at);
            self.rtt_estimator(us);
            self.update_rtt_min(env, us, false);
        }
    }
}
