// SPDX-License-Identifier: GPL-2.0
//! A segment arrives: which state takes it how (3.10.7).

use super::{
    ack_output::send_reset,
    segment::Segment,
    skb::Flags,
    sock::Sock,
    state::State,
    timewait::TimeWait,
    urgent::Urgent,
    TIMEWAIT_LEN, //
};
use crate::platform::{Skb, Sysctl};
use crate::stack::{
    counters::Counter,
    drop_reason::DropReason,
    env::{Env, Shutdown},
    errno::Errno,
    time::Duration, //
};

/// What an ICMP message says of a segment we sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// The error for the user.
    pub errno: Errno,
    /// It ends a connection that is being opened; else it only explains a later timeout (RFC 5461).
    pub hard: bool,
}

impl Sock {
    /// Takes a segment for this connection, in any state but LISTEN and TIME-WAIT. `skb`'s data begin
    /// with the TCP header that `seg` was parsed from, its checksum verified.
    ///
    /// Context: the socket's lock is held; softirq, or process context working off the backlog.
    ///
    /// # Errors
    ///
    /// Why the segment was dropped. What had to be answered has been answered.
    ///
    /// Mirrors [`tcp_v4_do_rcv`](srctree/net/ipv4/tcp_ipv4.c).
    pub fn v4_do_rcv<E: Env>(
        &mut self,
        env: &mut E,
        skb: Skb,
        seg: &Segment,
    ) -> Result<(), DropReason> {
        let segs = u32::from(skb.gso_segs().max(1));
        self.stats.segs_in = self.stats.segs_in.wrapping_add(segs);
        if seg.len != 0 {
            self.stats.data_segs_in = self.stats.data_segs_in.wrapping_add(segs);
        }
        match self.state {
            State::Established => self.rcv_established(env, skb, seg),
            State::SynSent => self.rcv_synsent(env, skb, seg),
            State::Close | State::Listen | State::TimeWait => Err(DropReason::TcpClose),
            _ => self.rcv_state_process(env, skb, seg),
        }
    }

    /// ESTABLISHED.
    ///
    /// Mirrors [`tcp_rcv_established`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    fn rcv_established<E: Env>(
        &mut self,
        env: &mut E,
        skb: Skb,
        seg: &Segment,
    ) -> Result<(), DropReason> {
        let expected = self.is_expected(seg);
        self.validate_incoming(env, seg)?;
        // Fifth, ACK: "if the ACK bit is off, drop the segment and return".
        if !seg.flags.has(Flags::ACK) {
            return Err(DropReason::TcpFlags);
        }
        self.ack(env, seg, expected)?;
        if expected && seg.len != 0 {
            env.count(Counter::TcpHpHits);
        }
        self.replace_ts_recent(env, seg);
        self.rcv_rtt_measure_ts(env, seg);
        self.urg(env, &skb, seg);
        if seg.len != 0 || seg.flags.has(Flags::FIN) {
            self.data_queue(env, skb, seg);
            if self.state == State::Close {
                return Ok(());
            }
            self.data_snd_check(env);
            self.ack_snd_check(env);
        } else {
            skb.consume();
            self.data_snd_check(env);
        }
        Ok(())
    }

    /// Whether the segment is the one that was to be expected: the next data, or an acknowledgement, with
    /// nothing else to tell. Linux takes those by a shorter way, and counts them.
    #[inline]
    fn is_expected(&self, seg: &Segment) -> bool {
        seg.seq == self.rcv_nxt
            && seg.flags.without(Flags::PSH) == Flags::ACK
            && u32::from(seg.window) << self.snd_wscale == self.snd_wnd
            && seg.window != 0
            && self.ooo.is_empty()
            && seg.opts.sacks.is_empty()
            && self.urgent == Urgent::None
            && !seg.ack_seq.after(self.snd_nxt)
    }

    /// SYN-SENT: 3.10.7.3.
    ///
    /// Mirrors [`tcp_rcv_synsent_state_process`](srctree/net/ipv4/tcp_input.c).
    fn rcv_synsent<E: Env>(
        &mut self,
        env: &mut E,
        skb: Skb,
        seg: &Segment,
    ) -> Result<(), DropReason> {
        let now = env.now();
        if seg.flags.has(Flags::ACK) {
            // First: "If SEG.ACK =< ISS or SEG.ACK > SND.NXT, send a reset".
            if !seg.ack_seq.after(self.snd_una) || seg.ack_seq.after(self.snd_nxt) {
                self.answer_reset(env, seg);
                return Err(DropReason::TcpInvalidAckSequence);
            }
            // RFC 7323, 5.8's echo: of a time stamp that was never sent, or before the first SYN.
            if let (true, Some(first)) = (seg.opts.saw_tstamp, self.retrans_stamp) {
                let since = |t: u32| t.wrapping_sub(self.tsval(first));
                if seg.opts.tsecr != 0 && since(seg.opts.tsecr) > since(self.tsval(now)) {
                    env.count(Counter::PawsActive);
                    self.answer_reset(env, seg);
                    return Err(DropReason::TcpRfc7323Paws);
                }
            }
            // Second: RST.
            if seg.flags.has(Flags::RST) {
                self.reset(env);
                return Err(DropReason::TcpReset);
            }
        } else if seg.flags.has(Flags::RST) {
            return Err(DropReason::TcpReset);
        }
        // Fourth: SYN.
        if !seg.flags.has(Flags::SYN) {
            return Err(DropReason::TcpFlags);
        }
        self.snd_wl1 = seg.seq;
        if !seg.flags.has(Flags::ACK) {
            // Both ends opened at once: 3.5, figure 8.
            self.take_syn(seg);
            self.ecn_rcv_syn(seg);
            self.replace_ts_first(env, seg);
            self.snd_wnd = u32::from(seg.window);
            self.max_window = self.snd_wnd;
            self.set_state(env, State::SynRecv);
            let sent = self.send_synack(env);
            self.init_mss(env);
            return sent.map_err(|_| DropReason::Nomem);
        }
        self.snd_wnd = u32::from(seg.window);
        self.max_window = self.snd_wnd;
        self.try_undo_spurious_syn(seg);
        self.ack(env, seg, false)?;
        self.take_syn(seg);
        self.ecn_rcv_synack(seg);
        self.replace_ts_first(env, seg);
        self.init_mss(env);
        self.finish_connect(env);
        if self.write_pending || self.defer_accept != 0 {
            // The user's data will carry the ACK.
            self.ack.scheduled = true;
            self.ack.lrcvtime = now;
            self.delack_at = Some(now.plus(super::DELACK_MAX));
        } else {
            self.send_ack(env);
        }
        skb.consume();
        Ok(())
    }

    /// The SYN-ACK answers our first SYN, though we sent more: none was lost.
    ///
    /// Mirrors [`tcp_try_undo_spurious_syn`](srctree/net/ipv4/tcp_input.c).
    fn try_undo_spurious_syn(&mut self, seg: &Segment) {
        if let (Some(first), true) = (self.retrans_stamp, seg.opts.saw_tstamp) {
            if self.undo_marker.is_some() && seg.opts.tsecr == self.tsval(first) {
                self.undo_marker = None;
            }
        }
    }

    /// Takes over what the peer's SYN says.
    pub(super) fn take_syn(&mut self, seg: &Segment) {
        self.irs = seg.seq;
        self.rcv_nxt = seg.seq.add(1);
        self.rcv_wup = self.rcv_nxt;
        self.rcv_mwnd_seq = self.rcv_nxt.add(self.rcv_wnd);
        self.copied_seq = self.rcv_nxt;
        // RFC 7323, 2.2 and 3.2: an option counts only if both SYNs carried it.
        match seg.opts.wscale {
            Some(scale) if self.wscale_ok => self.snd_wscale = scale,
            _ => {
                self.wscale_ok = false;
                self.snd_wscale = 0;
                self.rcv_wscale = 0;
                self.window_clamp = self.window_clamp.min(65_535);
            }
        }
        self.ts_ok = self.ts_ok && seg.opts.saw_tstamp;
        self.sack_ok = self.sack_ok && seg.opts.sack_perm;
        let mss = if seg.opts.mss == 0 {
            super::MSS_DEFAULT
        } else {
            seg.opts.mss
        };
        let user = if self.user_mss != 0 {
            self.user_mss
        } else {
            u16::MAX
        };
        self.mss_clamp = mss.min(user);
        self.pmtu = 0;
    }

    fn replace_ts_first<E: Env>(&mut self, env: &E, seg: &Segment) {
        if self.ts_ok {
            self.ts_recent = seg.opts.tsval;
            self.ts_recent_stamp = env.now();
        }
    }

    /// Both SYNs are known: how large segments are from now on, either way.
    pub(super) fn init_mss<E: Env>(&mut self, env: &mut E) {
        if self.ts_ok {
            // What we announced counts the options that every segment of the peer will carry.
            self.advmss = self.advmss.saturating_sub(super::TSTAMP_ALIGNED as u16);
        }
        self.sync_mss(env);
        self.initialize_rcv_mss();
    }

    /// The handshake is done on the active side.
    ///
    /// Mirrors [`tcp_finish_connect`](srctree/net/ipv4/tcp_input.c).
    fn finish_connect<E: Env>(&mut self, env: &mut E) {
        self.set_state(env, State::Established);
        self.init_transfer(env);
        env.state_change();
    }

    /// Data may flow from now on.
    ///
    /// Mirrors [`tcp_init_transfer`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn init_transfer<E: Env>(&mut self, env: &mut E) {
        let now = env.now();
        // RFC 6298, 5.7, and RFC 6928, 2: more than one lost SYN is a sign of congestion.
        self.snd_cwnd = if self.stats.total_retrans > 1 && self.undo_marker.is_some() {
            1
        } else {
            super::cwnd::initial(env)
        };
        self.ack.lrcvtime = now;
        self.lsndtime = now;
        self.retrans_stamp = None;
        self.ca_init(now);
        self.init_buffer_space(env);
        if self.keepalive {
            self.keep_at = Some(now.plus(self.keepalive_time(env.sysctl())));
        }
    }

    /// Every synchronised state but ESTABLISHED, and SYN-RECEIVED: 3.10.7.4.
    ///
    /// Mirrors [`tcp_rcv_state_process`](srctree/net/ipv4/tcp_input.c).
    fn rcv_state_process<E: Env>(
        &mut self,
        env: &mut E,
        skb: Skb,
        seg: &Segment,
    ) -> Result<(), DropReason> {
        if self.state == State::SynRecv && self.is_crossed_syn(seg) {
            // The SYN-ACK that answers our SYN of a simultaneous open: its SYN is old news, its ACK
            // is what we wait for.
            return self.synrecv_ack(env, seg);
        }
        self.validate_incoming(env, seg)?;
        if !seg.flags.has(Flags::ACK) {
            return Err(DropReason::TcpFlags);
        }
        if self.state == State::SynRecv {
            // Fifth: "If SND.UNA < SEG.ACK =< SND.NXT, then enter ESTABLISHED state […]. If the segment
            // acknowledgment is not acceptable, form a reset segment".
            self.synrecv_ack(env, seg)?;
        } else {
            self.ack(env, seg, false)?;
        }
        self.replace_ts_recent(env, seg);
        if self.fin_acked(env, seg) {
            skb.consume();
            return Ok(());
        }
        // Sixth, URG.
        self.urg(env, &skb, seg);
        // Seventh, the segment text.
        match self.state {
            State::Established | State::FinWait1 | State::FinWait2 => {
                if seg.len != 0
                    && env.shutdown().rcv()
                    && env.is_dead()
                    && seg.seq.add(seg.len).after(self.rcv_nxt)
                {
                    // 3.6.1: nobody will ever read this; say so.
                    env.count(Counter::TcpAbortOnData);
                    self.answer_reset(env, seg);
                    self.reset(env);
                    return Err(DropReason::TcpAbortOnData);
                }
                self.data_queue(env, skb, seg);
            }
            _ => {
                // The peer has sent FIN: "This should not occur […]. Ignore the segment text", but a
                // retransmitted FIN wants its ACK again.
                if seg.seq.before(self.rcv_nxt) && seg.end_seq != seg.seq {
                    self.enter_quickack_mode();
                    self.ack.scheduled = true;
                }
                drop(skb);
            }
        }
        if self.state != State::Close {
            self.data_snd_check(env);
            self.ack_snd_check(env);
        }
        Ok(())
    }

    fn is_crossed_syn(&self, seg: &Segment) -> bool {
        seg.flags.has(Flags::SYN)
            && seg.flags.has(Flags::ACK)
            && !seg.flags.has(Flags::RST)
            && seg.seq == self.irs
    }

    /// SYN-RECEIVED gets its ACK.
    fn synrecv_ack<E: Env>(&mut self, env: &mut E, seg: &Segment) -> Result<(), DropReason> {
        if !seg.ack_seq.after(self.snd_una) || seg.ack_seq.after(self.snd_nxt) {
            self.answer_reset(env, seg);
            return Err(DropReason::TcpInvalidAckSequence);
        }
        self.set_state(env, State::Established);
        self.snd_wnd = if seg.flags.has(Flags::SYN) {
            u32::from(seg.window)
        } else {
            u32::from(seg.window) << self.snd_wscale
        };
        self.snd_wl1 = seg.seq;
        self.max_window = self.snd_wnd;
        // The SYN-ACK has arrived; no acknowledgement of a queued segment tells of it.
        self.count_delivered(1);
        self.ack(env, seg, false)?;
        self.init_transfer(env);
        self.update_pacing_rate(env);
        env.state_change();
        Ok(())
    }

    /// Handles the acknowledgement of our FIN, if that is what the segment brought. Returns whether
    /// the connection is over for this socket.
    fn fin_acked<E: Env>(&mut self, env: &mut E, seg: &Segment) -> bool {
        if self.snd_una != self.write_seq {
            return false;
        }
        match self.state {
            State::FinWait1 => {
                self.set_state(env, State::FinWait2);
                env.add_shutdown(Shutdown::SEND);
                env.confirm_neigh();
                if !env.is_dead() {
                    env.state_change();
                    return false;
                }
                if self.no_fin_wait2 {
                    self.done(env);
                    env.count(Counter::TcpAbortOnLinger);
                    return true;
                }
                if seg.flags.has(Flags::FIN) || seg.len != 0 {
                    return false;
                }
                let timeout = self.fin_time(env.sysctl());
                self.time_wait(env, State::FinWait2, timeout);
                true
            }
            State::Closing => {
                self.time_wait(env, State::TimeWait, TIMEWAIT_LEN);
                true
            }
            State::LastAck => {
                self.done(env);
                true
            }
            _ => false,
        }
    }

    /// How long a closed connection waits for the peer's FIN.
    ///
    /// Mirrors [`tcp_fin_time`](srctree/include/net/tcp.h).
    pub(super) fn fin_time(&self, sysctl: &Sysctl) -> Duration {
        let base = if self.linger2.is_zero() {
            sysctl.tcp_fin_timeout()
        } else {
            self.linger2
        };
        let rto = self.rto;
        let least = Duration::from_nanos((rto.as_nanos() << 2).wrapping_sub(rto.as_nanos() >> 1));
        if base < least {
            least
        } else {
            base
        }
    }

    /// Leaves a TIME-WAIT (or an orphan's FIN-WAIT-2) behind and ends.
    ///
    /// Mirrors [`tcp_time_wait`](srctree/net/ipv4/tcp_minisocks.c).
    pub(super) fn time_wait<E: Env>(&mut self, env: &mut E, substate: State, timeout: Duration) {
        let tw = TimeWait::new(self, substate);
        env.time_wait(tw, timeout);
        self.done(env);
    }

    /// The connection is over.
    ///
    /// Mirrors [`tcp_done`](srctree/net/ipv4/tcp.c).
    pub(super) fn done<E: Env>(&mut self, env: &mut E) {
        if self.state == State::Close {
            return;
        }
        if matches!(self.state, State::SynSent | State::SynRecv) {
            env.count(Counter::AttemptFails);
        }
        self.set_state(env, State::Close);
        self.rto_at = None;
        self.delack_at = None;
        self.compressed_ack = 0;
        self.compressed_at = None;
        self.paced = false;
        self.keep_at = None;
        env.add_shutdown(Shutdown::BOTH);
        if env.is_dead() {
            env.done();
        } else {
            env.state_change();
        }
    }

    /// Sends the reset that a segment deserves.
    pub(super) fn answer_reset<E: Env>(&mut self, env: &mut E, seg: &Segment) {
        if let Some(skb) = send_reset(seg, self.id) {
            env.count(Counter::OutRsts);
            let _ = env.queue_xmit(skb);
        }
    }

    /// Whether a segment of ours that begins at `seq` may be on its way.
    pub fn is_in_flight(&self, seq: super::SeqNum) -> bool {
        seq.between(self.snd_una, self.snd_nxt)
    }

    /// Whether a segment that began at `quoted_seq` may be on its way, so that an ICMP message that quotes it
    /// can be true (RFC 5927, 4.1).
    pub fn check_quoted<E: Env>(
        &self,
        env: &mut E,
        quoted_seq: super::SeqNum,
    ) -> Result<(), DropReason> {
        if self.state == State::Close || self.state == State::Listen {
            return Err(DropReason::TcpClose);
        }
        if !self.is_in_flight(quoted_seq) {
            env.count(Counter::OutOfWindowIcmps);
            return Err(DropReason::TcpInvalidSequence);
        }
        Ok(())
    }

    /// An ICMP message quoted a segment of ours that began at `quoted_seq`.
    ///
    /// RFC 5927: believed only if that segment is in flight. RFC 5461: a hard error ends only a
    /// connection that is being opened; else it explains a later timeout, or is told to who asked for it. Mirrors [`tcp_v4_err`](srctree/net/ipv4/tcp_ipv4.c).
    pub fn icmp_error<E: Env>(
        &mut self,
        env: &mut E,
        quoted_seq: super::SeqNum,
        error: IcmpError,
    ) -> Result<(), DropReason> {
        self.check_quoted(env, quoted_seq)?;
        if error.hard && matches!(self.state, State::SynSent | State::SynRecv) {
            self.fail(env, error.errno);
        } else if env.wants_errors() {
            // The connection goes on all the same.
            env.report_error(error.errno);
        } else {
            env.set_soft_error(error.errno);
        }
        Ok(())
    }
}
