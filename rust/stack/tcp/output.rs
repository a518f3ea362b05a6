// SPDX-License-Identifier: GPL-2.0
//! The write queue onto the wire: what may be sent now, in which pieces, with which header.

use super::{
    chrono::Kind,
    header::Header,
    options::OutOptions,
    pacing::{Defer, Pacing},
    seq::SeqNum,
    skb::{Cb, Flags, Marks},
    sock::Sock,
    state::{Pending, State}, //
};
use crate::platform::{SkBuff, Skb};
use crate::stack::{
    counters::Counter,
    env::Env,
    errno::Errno, //
};

/// How much one call of [`Sock::write_xmit`] may send (`push_one`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Burst {
    /// As much as the windows allow.
    All,
    /// One packet.
    One,
    /// One packet, whatever the congestion window says: a tail loss probe.
    Probe,
}

impl Sock {
    /// The right edge of the peer's window.
    #[inline]
    pub(super) fn wnd_end(&self) -> SeqNum {
        self.snd_una.add(self.snd_wnd)
    }

    /// Segments that the congestion window allows now.
    ///
    /// Mirrors [`tcp_cwnd_test`](srctree/net/ipv4/tcp_output.c).
    #[inline]
    fn cwnd_quota(&self) -> u32 {
        let in_flight = self.packets_in_flight();
        let left = self.snd_cwnd.saturating_sub(in_flight);
        // Never more than half the window in one packet, so that ACKs keep coming.
        left.min((self.snd_cwnd >> 1).max(1))
    }

    /// Whether Nagle's algorithm, with Minshall's change, holds a `partial` segment back.
    ///
    /// RFC 896 and 3.7.4, SHLD-7; Minshall: only while an earlier *small* segment is unacknowledged.
    /// Mirrors [`tcp_nagle_check`](srctree/net/ipv4/tcp_output.c).
    #[inline]
    fn nagle_holds(&self, partial: bool, push: bool) -> bool {
        partial
            && !push
            && (self.nonagle.cork
                || (!self.nonagle.off
                    && self.packets_out != 0
                    && self.snd_sml.after(self.snd_una)
                    && !self.snd_sml.after(self.snd_nxt)))
    }

    /// Whether the first segment of the write queue lies in the peer's window.
    ///
    /// Mirrors [`tcp_snd_wnd_test`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn send_head_fits(&self) -> bool {
        let Some(skb) = self.write_queue.front() else {
            return false;
        };
        let cb = skb.tcp_cb();
        let mss = self.current_mss();
        let end = if skb.len() as u32 > mss {
            cb.seq.add(mss)
        } else {
            cb.end_seq
        };
        !end.after(self.wnd_end())
    }

    /// Sends what may be sent of the write queue. With `push`, Nagle is not asked. Returns whether data wait and nothing is in flight, so that nothing will
    /// clock them out: the peer's window must then be probed.
    ///
    /// Mirrors [`tcp_write_xmit`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn write_xmit<E: Env>(&mut self, env: &mut E, push: bool, burst: Burst) -> bool {
        let mss = self.current_mss();
        let one = burst != Burst::All;
        let mut sent = 0u32;
        let max_segs = self.tso_segs(env, mss, self.min_rtt.get());
        let mut cwnd_limited = false;
        let mut rwnd_limited = false;
        loop {
            if self.write_queue.is_empty() || self.pacing_check(env) {
                break;
            }
            let is_tail = self.write_queue.len() == 1;
            let Some(skb) = self.write_queue.front() else {
                break;
            };
            let mut quota = self.cwnd_quota().min(max_segs);
            if quota == 0 {
                if burst != Burst::Probe {
                    cwnd_limited = true;
                    break;
                }
                quota = 1;
            }
            let cb = *skb.tcp_cb();
            let len = skb.len() as u32;
            let first_end = if len > mss {
                cb.seq.add(mss)
            } else {
                cb.end_seq
            };
            if first_end.after(self.wnd_end()) {
                rwnd_limited = true;
                break;
            }
            let partial_tail = len < mss && is_tail;
            if len <= mss {
                if partial_tail
                    && !cb.flags.has(Flags::FIN)
                    && self.nagle_holds(true, push || self.nonagle.push)
                {
                    break;
                }
            } else if !one {
                match self.tso_should_defer(env, &cb, len, is_tail, max_segs) {
                    Defer::SendNow => {}
                    Defer::Cwnd => {
                        cwnd_limited = true;
                        break;
                    }
                    Defer::Rwnd => {
                        rwnd_limited = true;
                        break;
                    }
                    Defer::App => break,
                }
            }
            let limit = self.split_point(&cb, len, mss, quota, is_tail, push);
            let Some(mut skb) = self.write_queue.pop_front() else {
                break;
            };
            if len > limit {
                match Self::fragment(env, &mut skb, limit, mss) {
                    Some(rest) => self.write_queue.push_front(rest),
                    None => {
                        self.write_queue.push_front(skb);
                        break;
                    }
                }
            }
            if self.small_queue_check(env, skb.truesize(), 0) {
                self.write_queue.push_front(skb);
                break;
            }
            match self.send_new(env, skb, mss) {
                Ok(segs) => sent = sent.saturating_add(segs),
                Err((skb, _)) => {
                    self.write_queue.push_front(skb);
                    break;
                }
            }
            if one {
                break;
            }
        }
        if rwnd_limited {
            self.chrono_start(env.now(), Kind::RwndLimited);
        } else {
            self.chrono_stop(env.now(), Kind::RwndLimited);
        }
        cwnd_limited |= self.packets_in_flight() >= self.snd_cwnd;
        if sent != 0 || cwnd_limited {
            self.cwnd_validate(env, cwnd_limited);
        }
        if sent != 0 {
            if self.in_cwnd_reduction() {
                self.prr_out = self.prr_out.saturating_add(sent);
            }
            // One loss probe for each tail.
            if burst != Burst::Probe {
                let _ = self.schedule_loss_probe(env, false);
            }
            return false;
        }
        self.packets_out == 0 && !self.write_queue.is_empty()
    }

    /// How much of a segment of `len` bytes may leave in one packet: whole segments only, unless the
    /// rest is allowed out as well.
    ///
    /// Mirrors [`tcp_mss_split_point`](srctree/net/ipv4/tcp_output.c).
    #[inline]
    fn split_point(
        &self,
        cb: &Cb,
        len: u32,
        mss: u32,
        quota: u32,
        is_tail: bool,
        push: bool,
    ) -> u32 {
        if len <= mss {
            return len;
        }
        if self.urg_mode() {
            // Every segment has an urgent pointer of its own.
            return mss;
        }
        let window = self.wnd_end().since(cb.seq);
        let max = mss.saturating_mul(quota);
        if max <= window && !is_tail && max <= len {
            return max;
        }
        let needed = len.min(window);
        if max <= needed {
            return max;
        }
        let partial = needed.checked_rem(mss).unwrap_or(0);
        // The remainder follows the rules of a small segment of its own.
        if partial != 0
            && needed > partial
            && (needed < len || self.nagle_holds(true, push || self.nonagle.push))
        {
            return needed.wrapping_sub(partial);
        }
        needed
    }

    /// Sends one new segment (or GSO packet) and moves it to the retransmission queue. Returns how many
    /// segments it is.
    ///
    /// # Errors
    ///
    /// The segment comes back, and is not sent, when there is no memory for the clone or the layers below
    /// refuse it.
    pub(super) fn send_new<E: Env>(
        &mut self,
        env: &mut E,
        mut skb: Skb,
        mss: u32,
    ) -> Result<u32, (Skb, Errno)> {
        let len = skb.len() as u32;
        let now = env.now();
        let cb = skb.tcp_cb_mut();
        set_segs(cb, len, mss);
        cb.delivered = self.stats.delivered;
        cb.sent_at = now.as_nanos();
        cb.rate_sent(&mut self.rate, self.packets_out, now);
        let cb = *cb;
        let Some(clone) = skb.clone_for_xmit() else {
            return Err((skb, Errno::ENOMEM));
        };
        if let Err(e) = self.transmit(env, clone) {
            return Err((skb, e));
        }
        self.event_new_data_sent(env, &cb);
        if len < cb.pcount().saturating_mul(mss) {
            // Minshall: a small segment is now in flight.
            self.snd_sml = cb.end_seq;
        }
        self.stats.data_sent(cb.pcount(), len);
        if let Err(dup) = self.rtx_queue.insert(skb) {
            // Two segments cannot begin at one number; if they did, the newer one must not be lost.
            env.wmem_uncharge(dup.truesize());
        }
        Ok(cb.pcount())
    }

    /// Books a first transmission.
    ///
    /// Mirrors [`tcp_event_new_data_sent`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn event_new_data_sent<E: Env>(&mut self, env: &mut E, cb: &Cb) {
        let prior = self.packets_out;
        self.snd_nxt = cb.end_seq;
        self.packets_out = self.packets_out.saturating_add(cb.pcount());
        env.count_n(Counter::TcpOrigDataSent, cb.pcount());
        if prior == 0 || matches!(self.pending, Pending::Probe0 | Pending::LossProbe) {
            self.rearm_rto(env.now());
        }
        self.lsndtime = env.now();
    }

    /// Cuts `skb` behind its first `len` bytes; the rest is returned, charged, and stands nowhere yet. If it
    /// was sent, both parts count as so many segments of `mss` bytes.
    ///
    /// Mirrors [`tcp_fragment`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn fragment<E: Env>(
        env: &mut E,
        skb: &mut SkBuff,
        len: u32,
        mss: u32,
    ) -> Option<Skb> {
        let before = skb.truesize();
        let mut rest = skb.split(len as usize)?;
        let cb = skb.tcp_cb_mut();
        let cut = cb.seq.add(len);
        let old = *cb;
        cb.end_seq = cut;
        cb.flags = old.flags.without(Flags::FIN.and(Flags::PSH));
        cb.eor = 0;
        let rcb = rest.tcp_cb_mut();
        *rcb = old;
        rcb.seq = cut;
        rcb.flags = old.flags.without(Flags::SYN);
        if old.tstamp != 0 {
            // The time stamps are those of one byte.
            if old.ack_seq.before(cut) {
                rcb.tstamp = 0;
            } else {
                skb.tcp_cb_mut().tstamp = 0;
                skb.move_tx_timestamp(&mut rest);
            }
        }
        if old.pcount != 0 {
            let total = old.end_seq.since(old.seq);
            set_segs(skb.tcp_cb_mut(), len, mss);
            set_segs(rest.tcp_cb_mut(), total.saturating_sub(len), mss);
        }
        let after = skb.truesize().saturating_add(rest.truesize());
        if after > before {
            env.wmem_charge(after.wrapping_sub(before));
        } else {
            env.wmem_uncharge(before.wrapping_sub(after));
        }
        Some(rest)
    }

    /// The options of a segment with `flags`.
    ///
    /// Mirrors [`tcp_established_options`, `tcp_syn_options`](srctree/net/ipv4/tcp_output.c).
    #[inline]
    fn out_options<E: Env>(&self, env: &E, flags: Flags) -> OutOptions {
        let tstamp = if self.ts_ok {
            Some((self.tsval(env.now()), self.ts_recent))
        } else {
            None
        };
        if flags.has(Flags::SYN) {
            OutOptions {
                mss: self.advmss,
                wscale: if self.wscale_ok {
                    Some(self.rcv_wscale)
                } else {
                    None
                },
                tstamp,
                sack_perm: self.sack_ok,
                ..OutOptions::default()
            }
        } else {
            OutOptions {
                tstamp,
                sacks: self.eff_sacks(self.tstamp_len()),
                ..OutOptions::default()
            }
        }
    }

    /// Gives a segment its header and hands it to the IP layer. `skb` holds the payload and is ours to
    /// give away; its control block says sequence numbers and flags.
    ///
    /// Mirrors [`__tcp_transmit_skb`](srctree/net/ipv4/tcp_output.c).
    pub(super) fn transmit<E: Env>(&mut self, env: &mut E, mut skb: Skb) -> Result<(), Errno> {
        let cb = *skb.tcp_cb();
        let opts = self.out_options(env, cb.flags);
        let window = if cb.flags.has(Flags::SYN) {
            // RFC 7323, 2.2: the window of a SYN is not scaled.
            self.rcv_wnd.min(65_535) as u16
        } else {
            self.select_window(env)
        };
        let ack = cb.flags.has(Flags::ACK);
        let urg_ptr = self.urg_ptr(cb.seq);
        let mut flags = cb.flags;
        if urg_ptr.is_some() {
            flags = flags.and(Flags::URG);
        }
        if cb.pcount > 1 {
            // The receiver's GRO shall hand it on at once.
            flags = flags.and(Flags::PSH);
        }
        let header = Header {
            seq: cb.seq,
            ack: if ack { self.rcv_nxt } else { SeqNum::new(0) },
            flags,
            window,
            urg_ptr: urg_ptr.unwrap_or(0),
        };
        let payload = skb.len();
        let new_data = payload != 0 && !cb.seq.before(self.snd_nxt);
        let (ecn, flags) = self.ecn_send(header.flags, new_data);
        skb.tcp_cb_mut().dsfield = ecn;
        let header = Header { flags, ..header };
        header
            .push(&mut skb, self.id, &opts)
            .ok_or(Errno::ENOBUFS)?;
        if !opts.sacks.is_empty() {
            // RFC 2883, 4: a D-SACK is told once.
            self.dsack = None;
        }
        // Also for one segment: the payload's memory may still say what an earlier, longer copy was.
        skb.set_gso_tcpv4(cb.gso_size, cb.pcount);
        if flags.has(Flags::CWR) {
            skb.set_gso_tcp_ecn();
        }
        let at = self.departure(env, skb.len() as u32);
        if env.pacing() != Pacing::None {
            skb.set_delivery_time(at);
        }
        if ack {
            self.event_ack_sent(env);
        }
        if payload != 0 {
            self.event_data_sent(env);
        }
        self.stats.segs_out = self.stats.segs_out.wrapping_add(cb.pcount());
        if !cb.marks.has(Marks::EVER_RETRANS) {
            env.count_n(Counter::OutSegs, cb.pcount().max(1));
        }
        let sent = env.queue_xmit(skb);
        if sent.is_err() && self.snd_cwnd > super::INIT_CWND {
            self.enter_cwr(env.now());
        }
        sent
    }

    /// Sends what waits, as far as it may go, and arms the probe timer if nothing went.
    ///
    /// Mirrors [`__tcp_push_pending_frames`](srctree/net/ipv4/tcp_output.c).
    #[inline]
    pub fn push_pending_frames<E: Env>(&mut self, env: &mut E, push: bool) {
        if self.write_queue.is_empty() || self.state == State::Close {
            return;
        }
        self.sync_mss(env);
        self.push_frames(env, push);
    }

    /// The same where [`Sock::sync_mss`] has just been called.
    #[inline]
    pub(super) fn push_frames<E: Env>(&mut self, env: &mut E, push: bool) {
        if !self.write_queue.is_empty()
            && self.state != State::Close
            && self.write_xmit(env, push, Burst::All)
        {
            self.check_probe_timer(env.now());
        }
    }

    /// Sends new data if the window allows it now: after an ACK.
    ///
    /// Mirrors [`tcp_data_snd_check`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    pub(super) fn data_snd_check<E: Env>(&mut self, env: &mut E) {
        self.push_pending_frames(env, false);
        self.check_space(env);
    }
}

/// Notes how many segments of `mss` bytes `len` bytes make.
///
/// Mirrors [`tcp_set_skb_tso_segs`](srctree/net/ipv4/tcp_output.c).
#[inline]
pub(super) fn set_segs(cb: &mut Cb, len: u32, mss: u32) {
    if len <= mss {
        cb.pcount = 1;
        cb.gso_size = 0;
    } else {
        let segs = len.checked_add(mss.wrapping_sub(1)).unwrap_or(len) / mss.max(1);
        cb.pcount = segs.min(u32::from(u16::MAX)) as u16;
        cb.gso_size = mss.min(u32::from(u16::MAX)) as u16;
    }
}
