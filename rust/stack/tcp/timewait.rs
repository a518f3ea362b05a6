// SPDX-License-Identifier: GPL-2.0
//! What is left of a closed connection: TIME-WAIT, and FIN-WAIT-2 after close(2).

use super::{
    ack_output,
    header::Header,
    oow::{LastOowAck, Surroundings},
    options::OutOptions,
    segment::Segment,
    seq::SeqNum,
    skb::Flags,
    sock::Sock,
    state::State, //
};
use crate::platform::{Skb, Sysctl, MAX_HEADER};
use crate::stack::{
    counters::Counter,
    drop_reason::DropReason,
    socket::FourTuple,
    time::Instant, //
};

/// The memory of a connection that nobody holds any more. A plain value.
#[derive(Clone, Copy, Debug)]
pub struct TimeWait {
    /// TIME-WAIT, or FIN-WAIT-2 while the peer's FIN is still to come.
    pub substate: State,
    rcv_nxt: SeqNum,
    snd_nxt: SeqNum,
    rcv_wnd: u32,
    pub(super) ts_recent: u32,
    /// When `ts_recent` was taken, in milliseconds modulo 2^32: it lives for a minute.
    ts_recent_stamp: u32,
    ts_offset: u32,
    rcv_wscale: u8,
    pub(super) ts_ok: bool,
    last_oow_ack: LastOowAck,
}

/// What a segment for a [`TimeWait`] calls for.
#[derive(Debug)]
pub struct TwVerdict {
    /// The 2 MSL begin anew.
    pub restart: bool,
    /// What is to be done.
    pub action: TwAction,
}

/// See [`TwVerdict`].
#[derive(Debug)]
pub enum TwAction {
    /// Nothing.
    Drop(DropReason),
    /// Send this.
    Ack(Skb),
    /// The peer opens a new connection with numbers above the old ones (3.6.1; RFC 6191): drop the
    /// TIME-WAIT and give the segment to a listener, whose own numbers must begin above this one.
    Syn(SeqNum),
    /// Send this reset, if there is one, and drop the TIME-WAIT.
    Reset(Option<Skb>),
    /// The TIME-WAIT is over (a reset ended it).
    Kill,
}

impl TwAction {
    fn once(self) -> TwVerdict {
        TwVerdict {
            restart: false,
            action: self,
        }
    }

    fn restart(self) -> TwVerdict {
        TwVerdict {
            restart: true,
            action: self,
        }
    }
}

impl TimeWait {
    /// What `sock` leaves behind in `substate`.
    pub(super) fn new(sock: &Sock, substate: State) -> TimeWait {
        TimeWait {
            substate,
            rcv_nxt: sock.rcv_nxt,
            snd_nxt: sock.snd_nxt,
            rcv_wnd: sock.receive_window(),
            ts_recent: sock.ts_recent,
            ts_recent_stamp: sock.ts_recent_stamp.as_millis_u32(),
            ts_offset: sock.ts_offset,
            rcv_wscale: sock.rcv_wscale,
            ts_ok: sock.ts_ok,
            last_oow_ack: LastOowAck::default(),
        }
    }

    /// A segment of the old connection, or of a new one between the same ends `id`.
    ///
    /// 3.10.7.4 for TIME-WAIT. Mirrors
    /// [`tcp_timewait_state_process`](srctree/net/ipv4/tcp_minisocks.c).
    pub fn rcv(
        &mut self,
        around: &mut Surroundings<'_>,
        seg: &Segment,
        id: FourTuple,
    ) -> TwVerdict {
        let now = around.now;
        let paws_reject = self.ts_ok
            && seg.opts.saw_tstamp
            && (self.ts_recent.wrapping_sub(seg.opts.tsval) as i32) > 0
            && !seg.flags.has(Flags::RST);
        if self.substate == State::FinWait2 {
            return self.rcv_fin_wait2(around, seg, id, paws_reject);
        }
        if !paws_reject
            && seg.seq == self.rcv_nxt
            && (seg.seq == seg.end_seq || seg.flags.has(Flags::RST))
        {
            // RFC 1337 would have a reset ignored; unless the user wants that, it ends TIME-WAIT when it is
            // exactly in place.
            if seg.flags.has(Flags::RST) && around.sysctl.tcp_rfc1337() == 0 {
                return TwAction::Kill.once();
            }
            self.note_timestamp(seg, now);
            return TwVerdict {
                restart: !seg.flags.has(Flags::RST),
                action: TwAction::Drop(DropReason::TcpClose),
            };
        }
        // 3.6.1: a SYN may reopen the connection if its numbers, or its clock, are beyond the old ones.
        if seg.flags.has(Flags::SYN)
            && !seg.flags.has(Flags::RST)
            && !seg.flags.has(Flags::ACK)
            && !paws_reject
            && (seg.seq.after(self.rcv_nxt)
                || (self.ts_ok
                    && seg.opts.saw_tstamp
                    && (self.ts_recent.wrapping_sub(seg.opts.tsval) as i32) < 0))
        {
            return TwAction::Syn(self.snd_nxt.add(65_535).add(2)).once();
        }
        if paws_reject {
            (around.count)(Counter::PawsTimewait);
        }
        if seg.flags.has(Flags::RST) {
            return TwAction::Drop(DropReason::TcpClose).once();
        }
        let reason = if paws_reject {
            DropReason::TcpRfc7323TwPaws
        } else {
            DropReason::TcpClose
        };
        let action = self.ack(around, seg, id, reason, Counter::TcpAckSkippedTimeWait);
        // A SYN without ACK may be an old one as well as a new one with a number that chance put below: of
        // the second kind the next one is welcome.
        TwVerdict {
            restart: paws_reject || seg.flags.has(Flags::ACK),
            action,
        }
    }

    /// Still waiting for the peer's FIN.
    fn rcv_fin_wait2(
        &mut self,
        around: &mut Surroundings<'_>,
        seg: &Segment,
        id: FourTuple,
        paws_reject: bool,
    ) -> TwVerdict {
        let in_window = (seg.seq == self.rcv_nxt && seg.seq == seg.end_seq)
            || seg
                .seq
                .between(self.rcv_nxt, self.rcv_nxt.add(self.rcv_wnd))
            || (seg.seq == seg.end_seq && seg.seq == self.rcv_nxt.add(self.rcv_wnd))
            || (seg.end_seq.after(self.rcv_nxt) && seg.seq.before(self.rcv_nxt.add(self.rcv_wnd)));
        if paws_reject || !in_window {
            let (reason, skipped) = (DropReason::TcpClose, Counter::TcpAckSkippedFinWait2);
            return self.ack(around, seg, id, reason, skipped).once();
        }
        if seg.flags.has(Flags::RST) {
            return TwAction::Kill.once();
        }
        // No old duplicate: 3.10.7.4, fourth.
        if seg.flags.has(Flags::SYN) && !seg.seq.before(self.rcv_nxt) {
            return TwAction::Reset(ack_output::send_reset(seg, id)).once();
        }
        // A duplicate, or an ACK without anything new.
        if !seg.flags.has(Flags::ACK) || !seg.end_seq.after(self.rcv_nxt) || seg.end_seq == seg.seq
        {
            return TwAction::Drop(DropReason::TcpClose).once();
        }
        // Data after close(2), or a FIN beyond data that were lost: nobody can take them.
        if !seg.flags.has(Flags::FIN) || seg.end_seq != self.rcv_nxt.add(1) {
            return TwAction::Reset(ack_output::send_reset(seg, id)).once();
        }
        self.substate = State::TimeWait;
        self.rcv_nxt = seg.end_seq;
        self.note_timestamp(seg, around.now);
        match self.make_ack(id, around.now) {
            Some(skb) => TwAction::Ack(skb),
            None => TwAction::Drop(DropReason::Nomem),
        }
        .restart()
    }

    /// The answer to a segment that does not fit, if one may be given now; else it is dropped for `reason` and
    /// `skipped` counted.
    ///
    /// Mirrors [`tcp_timewait_check_oow_rate_limit`](srctree/net/ipv4/tcp_minisocks.c).
    fn ack(
        &mut self,
        around: &mut Surroundings<'_>,
        seg: &Segment,
        id: FourTuple,
        reason: DropReason,
        skipped: Counter,
    ) -> TwAction {
        if self.last_oow_ack.limited_for(around, seg, skipped) {
            return TwAction::Drop(reason);
        }
        match self.make_ack(id, around.now) {
            Some(skb) => TwAction::Ack(skb),
            None => TwAction::Drop(DropReason::Nomem),
        }
    }

    fn note_timestamp(&mut self, seg: &Segment, now: Instant) {
        if seg.opts.saw_tstamp {
            self.ts_recent = seg.opts.tsval;
            self.ts_recent_stamp = now.as_millis_u32();
        }
    }

    /// Mirrors [`tcp_v4_timewait_ack`](srctree/net/ipv4/tcp_ipv4.c).
    fn make_ack(&self, id: FourTuple, now: Instant) -> Option<Skb> {
        let mut skb = Skb::alloc(MAX_HEADER, 0)?;
        let opts = OutOptions {
            tstamp: if self.ts_ok {
                Some((
                    now.as_millis_u32().wrapping_add(self.ts_offset),
                    self.ts_recent,
                ))
            } else {
                None
            },
            ..OutOptions::default()
        };
        Header {
            seq: self.snd_nxt,
            ack: self.rcv_nxt,
            flags: Flags::ACK,
            window: (self.rcv_wnd >> self.rcv_wscale).min(65_535) as u16,
            urg_ptr: 0,
        }
        .push(&mut skb, id, &opts)?;
        Some(skb)
    }

    /// Whether a new connection of ours between the same ends may take its place now, because our
    /// clock keeps old and new segments apart (RFC 6191), and with which first number. `local`: both ends
    /// are in this host.
    ///
    /// Mirrors [`tcp_twsk_unique`](srctree/net/ipv4/tcp_ipv4.c).
    pub fn reusable(&self, sysctl: &Sysctl, local: bool, now: Instant) -> Option<SeqNum> {
        let allowed = match sysctl.tcp_tw_reuse() {
            0 => false,
            2 => local,
            _ => true,
        };
        let age = now.as_millis_u32().wrapping_sub(self.ts_recent_stamp);
        if allowed
            && self.substate == State::TimeWait
            && self.ts_ok
            && u64::from(age) > sysctl.tcp_tw_reuse_delay().as_millis()
        {
            Some(self.snd_nxt.add(65_535).add(2))
        } else {
            None
        }
    }
}
