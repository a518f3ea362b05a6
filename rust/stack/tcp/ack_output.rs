// SPDX-License-Identifier: GPL-2.0
//! Segments that carry no user data: ACK, SYN, SYN-ACK, FIN, RST and probes.

use super::{
    cong::Event,
    ecn,
    header::Header,
    options::OutOptions,
    output::Burst,
    segment::Segment,
    seq::SeqNum,
    skb::{Cb, Flags},
    sock::Sock,
    state::State,
    ATO_MIN,
    DELACK_MAX, //
};
use crate::platform::{Skb, MAX_HEADER};
use crate::stack::{
    counters::Counter,
    env::Env,
    errno::Errno,
    socket::FourTuple,
    time::{Duration, Instant}, //
};

/// The flags of a FIN without data.
const FIN_ACK: Flags = Flags::FIN.and(Flags::ACK);

/// A buffer for a segment without payload.
fn alloc_control(seq: SeqNum, flags: Flags) -> Option<Skb> {
    let mut skb = Skb::alloc(MAX_HEADER, 0)?;
    *skb.tcp_cb_mut() = Cb {
        seq,
        end_seq: seq.add(flags.seq_len()),
        flags,
        pcount: 1,
        ..Cb::default()
    };
    Some(skb)
}

impl Sock {
    /// A sequence number for a segment without payload: within the window, even if that shrank.
    ///
    /// Mirrors [`tcp_acceptable_seq`](srctree/net/ipv4/tcp_output.c).
    fn acceptable_seq(&self) -> SeqNum {
        let end = self.wnd_end();
        if end.before(self.snd_nxt) {
            end
        } else {
            self.snd_nxt
        }
    }

    /// Acknowledges what has been received, now.
    ///
    /// Mirrors [`tcp_send_ack`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn send_ack<E: Env>(&mut self, env: &mut E) {
        if self.state == State::Close {
            return;
        }
        let Some(skb) = alloc_control(self.acceptable_seq(), Flags::ACK) else {
            // No memory: try again when the delayed-ACK timer fires.
            self.ack.scheduled = true;
            self.delack_at = Some(env.now().plus(DELACK_MAX));
            return;
        };
        let _ = self.transmit(env, skb);
    }

    /// Owes the peer an ACK, at a time that answers the traffic: data of ours may carry it.
    ///
    /// 3.8.6.3: less than 0.5 s. Mirrors [`tcp_send_delayed_ack`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn send_delayed_ack<E: Env>(&mut self, env: &mut E) {
        let now = env.now();
        let mut ato = self.ack.ato;
        if ato > ATO_MIN {
            let mut max = Duration::from_millis(500);
            if self.in_pingpong_mode(env) || self.ack.pushed {
                max = DELACK_MAX;
            }
            if self.srtt_us != 0 {
                // A round trip is what the peer is used to waiting.
                let rtt = Duration::from_micros(u64::from(self.srtt_us >> 3));
                let rtt = if rtt < ATO_MIN { ATO_MIN } else { rtt };
                if rtt < max {
                    max = rtt;
                }
            }
            if max < ato {
                ato = max;
            }
        }
        // An ACK must come before the peer's timer, which is not below ours.
        ato = ato.min(self.delack_max).min(self.rto_min);
        let at = now.plus(ato);
        self.ack.scheduled = true;
        if let Some(old) = self.delack_at {
            // Due already, or soon: no second chance.
            if old <= now.plus(Duration::from_nanos(ato.as_nanos() >> 2)) {
                self.send_ack(env);
                return;
            }
            if old < at {
                return;
            }
        }
        self.delack_at = Some(at);
    }

    /// An ACK is on its way, alone or with data: none is owed any more.
    ///
    /// Mirrors [`tcp_event_ack_sent`](srctree/net/ipv4/tcp_output.c).
    #[inline]
    pub(super) fn event_ack_sent<E: Env>(&mut self, env: &mut E) {
        if self.ack.quick != 0 && self.ack.scheduled {
            self.ack.quick = self.ack.quick.wrapping_sub(1);
            if self.ack.quick == 0 {
                // Leaving quick-ACK mode, the delay begins small.
                self.ack.ato = ATO_MIN;
            }
        }
        self.ack.scheduled = false;
        self.ack.pushed = false;
        self.ack.pushed2 = false;
        self.ack.nomem = false;
        self.ack_now = false;
        if self.compressed_ack != 0 {
            env.count_n(Counter::TcpAckCompressed, u32::from(self.compressed_ack));
            self.compressed_ack = 0;
            self.compressed_at = None;
        }
        self.delack_at = None;
    }

    /// Data leave: answers within the delayed-ACK time make the connection interactive.
    ///
    /// Mirrors [`tcp_event_data_sent`](srctree/net/ipv4/tcp_output.c).
    #[inline]
    pub(super) fn event_data_sent<E: Env>(&mut self, env: &mut E) {
        let now = env.now();
        if self.packets_in_flight() == 0 {
            self.ca_event(now, Event::TxStart);
        }
        self.lsndtime = now;
        if now.since(self.ack.lrcvtime) < self.ack.ato {
            self.ack.pingpong = self.ack.pingpong.saturating_add(1);
        }
    }

    /// Sends SYN and begins waiting for its answer.
    ///
    /// 3.5, active open. Mirrors [`tcp_connect`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn send_syn<E: Env>(&mut self, env: &mut E) -> Result<(), Errno> {
        let flags = Flags::SYN.and(ecn::syn_flags(env.sysctl()));
        self.ecn.ok = flags.has(Flags::ECE);
        let mut skb = alloc_control(self.snd_isn, flags).ok_or(Errno::ENOBUFS)?;
        env.wmem_charge(skb.truesize());
        let cb = skb.tcp_cb_mut();
        cb.sent_at = env.now().as_nanos();
        cb.rate_sent(&mut self.rate, 0, env.now());
        let cb = *cb;
        let Some(clone) = skb.clone_for_xmit() else {
            env.wmem_uncharge(skb.truesize());
            return Err(Errno::ENOBUFS);
        };
        self.write_seq = cb.end_seq;
        self.pushed_seq = cb.end_seq;
        let inserted = self.rtx_queue.insert(skb);
        debug_assert!(inserted.is_ok());
        self.packets_out = 1;
        self.snd_nxt = cb.end_seq;
        self.retrans_stamp = Some(env.now());
        let sent = self.transmit(env, clone);
        if sent == Err(Errno::ECONNREFUSED) {
            return sent;
        }
        env.count(Counter::ActiveOpens);
        self.rearm_rto(env.now());
        Ok(())
    }

    /// Answers a SYN that crossed ours: our own SYN is acknowledged nowhere yet, so it is sent again
    /// with the ACK bit.
    ///
    /// 3.5, figure 8. Mirrors [`tcp_send_synack`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn send_synack<E: Env>(&mut self, env: &mut E) -> Result<(), Errno> {
        let now = env.now();
        let ecn = self.ecn_synack_flags();
        let Some(skb) = self.rtx_queue.first_mut() else {
            return Err(Errno::EFAULT);
        };
        let cb = skb.tcp_cb_mut();
        if !cb.flags.has(Flags::SYN) {
            return Err(Errno::EFAULT);
        }
        cb.flags = cb
            .flags
            .without(Flags::ECE.and(Flags::CWR))
            .and(Flags::ACK)
            .and(ecn);
        cb.sent_at = now.as_nanos();
        let clone = skb.clone_for_xmit().ok_or(Errno::ENOMEM)?;
        self.transmit(env, clone)
    }

    /// Queues FIN behind everything the user wrote and sends what may go.
    ///
    /// Without memory for a segment of its own it rides on the last one that is in flight, when that is
    /// retransmitted; Linux does so too. If there is none it is sent as soon as there is memory, where Linux
    /// forgets it and the peer waits for ever.
    ///
    /// Mirrors [`tcp_send_fin`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn send_fin<E: Env>(&mut self, env: &mut E) {
        let seq = self.write_seq;
        // From now on it counts: an ACK of everything before it is none of it.
        self.write_seq = seq.add(1);
        if let Some(tail) = self.write_queue.back_mut() {
            tail.tcp_cb_mut().append_fin();
            self.push_fin(env);
        } else if let Some(fin) = alloc_control(seq, FIN_ACK) {
            self.queue_fin(env, fin);
        } else if let Some(last) = self.rtx_queue.last_mut() {
            last.tcp_cb_mut().append_fin();
            self.snd_nxt = self.snd_nxt.add(1);
        } else {
            self.arm_fin(env.now());
        }
    }

    /// Sends the FIN for which [`Sock::send_fin`] had no memory. Returns whether there was some now.
    pub(super) fn send_owed_fin<E: Env>(&mut self, env: &mut E) -> bool {
        let fin = alloc_control(self.write_seq.sub(1), FIN_ACK);
        fin.map(|fin| self.queue_fin(env, fin)).is_some()
    }

    fn queue_fin<E: Env>(&mut self, env: &mut E, mut fin: Skb) {
        fin.tcp_cb_mut().pcount = 0;
        env.wmem_charge(fin.truesize());
        self.write_queue.push_back(fin);
        self.push_fin(env);
    }

    fn push_fin<E: Env>(&mut self, env: &mut E) {
        self.sync_mss(env);
        if self.write_xmit(env, true, Burst::All) {
            self.check_probe_timer(env.now());
        }
    }

    /// Resets the peer: data were lost by a close, or a timer gave the connection up.
    ///
    /// Mirrors [`tcp_send_active_reset`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn send_active_reset<E: Env>(&mut self, env: &mut E) {
        let seq = self.acceptable_seq();
        env.count(Counter::OutRsts);
        let sent = match alloc_control(seq, Flags::ACK.and(Flags::RST)) {
            Some(skb) => self.transmit(env, skb),
            None => Err(Errno::ENOMEM),
        };
        if sent.is_err() {
            env.count(Counter::TcpAbortFailed);
        }
    }

    /// Probes the peer without data: an acknowledged sequence number makes it answer with its window.
    ///
    /// Mirrors [`tcp_xmit_probe_skb`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn xmit_probe<E: Env>(&mut self, env: &mut E) -> Result<(), Errno> {
        self.xmit_probe_at(env, self.snd_una.sub(1))
    }

    fn xmit_probe_at<E: Env>(&mut self, env: &mut E, seq: SeqNum) -> Result<(), Errno> {
        let skb = alloc_control(seq, Flags::ACK).ok_or(Errno::ENOMEM)?;
        self.transmit(env, skb)
    }

    /// Probes a closed window: with new data if a byte fits, else without.
    ///
    /// 3.8.6.1. Mirrors [`tcp_write_wakeup`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn write_wakeup<E: Env>(&mut self, env: &mut E) -> Result<(), Errno> {
        let fits = match self.write_queue.front() {
            Some(skb) => skb.tcp_cb().seq.before(self.wnd_end()),
            None => false,
        };
        if !fits {
            if self.urg_mode() && self.snd_up.since(self.snd_una) <= 0xffff {
                // The peer shall learn of urgent data although they do not fit.
                let _ = self.xmit_probe_at(env, self.snd_una);
            }
            return self.xmit_probe(env);
        }
        let Some(mut skb) = self.write_queue.pop_front() else {
            return self.xmit_probe(env);
        };
        let room = self.wnd_end().since(skb.tcp_cb().seq);
        let mss = u32::from(self.mss_cache);
        if skb.len() as u32 > room.min(mss) {
            match Self::fragment(env, &mut skb, room.min(mss), mss) {
                Some(rest) => self.write_queue.push_front(rest),
                None => {
                    self.write_queue.push_front(skb);
                    return Err(Errno::ENOMEM);
                }
            }
        }
        let cb = skb.tcp_cb_mut();
        cb.flags = cb.flags.and(Flags::PSH);
        match self.send_new(env, skb, mss) {
            Ok(_) => Ok(()),
            Err((skb, e)) => {
                self.write_queue.push_front(skb);
                Err(e)
            }
        }
    }

    /// Answers a segment that may be forged, so that a real peer corrects itself (RFC 5961). At most
    /// one in `tcp_invalid_ratelimit` per connection: a limit that all share would be a side channel
    /// (CVE-2016-5696).
    ///
    /// Mirrors [`tcp_send_challenge_ack`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn send_challenge_ack<E: Env>(&mut self, env: &mut E) {
        let now = env.now();
        if recently(env, self.last_oow_ack) {
            env.count(Counter::TcpAckSkippedChallenge);
            return;
        }
        self.last_oow_ack = Some(now);
        env.count(Counter::TcpChallengeAck);
        self.send_ack(env);
    }

    /// Tells the sender of an unacceptable segment where we are (3.10.7.4), rate-limited unless the
    /// segment carried data; `skipped` counts what the limit held back.
    ///
    /// Mirrors [`tcp_send_dupack`, `tcp_oow_rate_limited`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn send_dupack<E: Env>(&mut self, env: &mut E, seg: &Segment, skipped: Counter) {
        let now = env.now();
        if seg.may_loop() {
            if recently(env, self.last_oow_ack) {
                env.count(skipped);
                return;
            }
            self.last_oow_ack = Some(now);
        }
        if seg.end_seq != seg.seq && seg.seq.before(self.rcv_nxt) {
            env.count(Counter::DelayedAckLost);
            self.enter_quickack_mode();
            let end = if seg.end_seq.after(self.rcv_nxt) {
                self.rcv_nxt
            } else {
                seg.end_seq
            };
            self.dsack_set(env, seg.seq, end);
        }
        self.send_ack(env);
    }
}

/// Whether the last answer of this kind was sent too short a time ago to send another.
fn recently<E: Env>(env: &E, last: Option<Instant>) -> bool {
    match last {
        Some(at) => env.now().since(at) < env.sysctl().tcp_invalid_ratelimit(),
        None => false,
    }
}

/// The reset that answers a segment for which there is no connection, ready for the IP layer; `id` is
/// our view of the segment's addresses. `None` for a reset (3.5.2: never answer one) or without memory.
///
/// Mirrors [`tcp_v4_send_reset`](srctree/net/ipv4/tcp_ipv4.c).
pub fn send_reset(seg: &Segment, id: FourTuple) -> Option<Skb> {
    if seg.flags.has(Flags::RST) {
        return None;
    }
    // 3.5.2, group 1: "If the incoming segment has an ACK field, the reset takes its sequence number
    // from the ACK field of the segment; otherwise, the reset has sequence number zero and the ACK
    // field is set to the sum of the sequence number and segment length".
    let header = if seg.flags.has(Flags::ACK) {
        Header {
            seq: seg.ack_seq,
            ack: SeqNum::new(0),
            flags: Flags::RST,
            window: 0,
            urg_ptr: 0,
        }
    } else {
        Header {
            seq: SeqNum::new(0),
            ack: seg.end_seq,
            flags: Flags::RST.and(Flags::ACK),
            window: 0,
            urg_ptr: 0,
        }
    };
    let mut skb = Skb::alloc(MAX_HEADER, 0)?;
    header.push(&mut skb, id, &OutOptions::default())?;
    Some(skb)
}
