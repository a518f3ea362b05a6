// SPDX-License-Identifier: GPL-2.0
//! How much there is for the user: bytes to be read, bytes not yet sent or acknowledged. What poll(2), the
//! SIOC*Q ioctls and TCP_INQ tell.

use super::{
    skb::Flags,
    sock::Sock,
    state::State,
    urgent::Urgent, //
};
use crate::stack::env::Env;

impl Sock {
    /// Bytes in flight or waiting that the user wrote and the peer has not acknowledged (SIOCOUTQ).
    pub fn outq(&self) -> u32 {
        if matches!(self.state, State::SynSent | State::SynRecv) {
            return 0;
        }
        self.write_seq.since(self.snd_una)
    }

    /// Bytes not sent even once (SIOCOUTQNSD).
    pub fn outq_nsd(&self) -> u32 {
        if matches!(self.state, State::SynSent | State::SynRecv) {
            return 0;
        }
        self.write_seq.since(self.snd_nxt)
    }

    /// Bytes that can be read without waiting, up to the urgent mark (SIOCINQ).
    ///
    /// Mirrors [`tcp_inq`](srctree/include/net/tcp.h).
    pub fn inq<E: Env>(&self, env: &E) -> u32 {
        if matches!(self.state, State::SynSent | State::SynRecv) {
            return 0;
        }
        if self.urgent != Urgent::None
            && !env.urg_inline()
            && !self.urg_seq.before(self.copied_seq)
            && self.urg_seq.before(self.rcv_nxt)
        {
            return self.urg_seq.since(self.copied_seq);
        }
        self.unread()
    }

    /// Bytes that were received and not read.
    pub fn unread(&self) -> u32 {
        let n = self.rcv_nxt.since(self.copied_seq);
        // The FIN has a sequence number, and no byte.
        match self.receive_queue.back() {
            Some(skb) if n > 0 && skb.tcp_cb().flags.has(Flags::FIN) => n.saturating_sub(1),
            _ => n,
        }
    }

    /// Whether recvmsg(2) shall tell [`Sock::inq_hint`] (TCP_INQ).
    #[inline]
    pub fn inq_wanted(&self) -> bool {
        self.recvmsg_inq
    }

    /// What TCP_CM_INQ tells: bytes that a further recvmsg would find, and 1 rather than 0 where it would find
    /// the end of the stream.
    ///
    /// Mirrors [`tcp_inq_hint`](srctree/net/ipv4/tcp.c).
    pub fn inq_hint<E: Env>(&self, env: &E) -> u32 {
        match self.rcv_nxt.since(self.copied_seq) {
            0 if env.shutdown().rcv() => 1,
            n => n,
        }
    }

    /// Whether anything stands in the receive queue.
    #[inline]
    pub fn has_queued(&self) -> bool {
        !self.receive_queue.is_empty()
    }

    /// Whether as much is written and not sent as TCP_NOTSENT_LOWAT allows, and whether half as much is.
    ///
    /// Mirrors [`tcp_stream_memory_free`](srctree/net/ipv4/tcp.c).
    #[inline]
    pub fn notsent_full<E: Env>(&self, env: &E) -> (bool, bool) {
        let lowat = match self.notsent_lowat {
            0 => env.sysctl().tcp_notsent_lowat(),
            n => n,
        };
        let notsent = self.write_seq.since(self.snd_nxt);
        (notsent >= lowat, notsent >= lowat.div_ceil(2))
    }

    /// What poll(2) compares with SO_RCVLOWAT: bytes that can be read, many more than there are where
    /// nothing more can come before they are.
    ///
    /// Mirrors [`tcp_stream_is_readable`, `tcp_epollin_ready`](srctree/include/net/tcp.h).
    #[inline]
    pub fn poll_in<E: Env>(&self, env: &E) -> u32 {
        let avail = self.rcv_nxt.since(self.copied_seq);
        if avail == 0 {
            return 0;
        }
        // A mark that is read apart counts for nothing when the reader stands at it.
        let hole = u32::from(self.at_mark() && !env.urg_inline());
        if avail > hole && self.is_crowded(env) {
            return i32::MAX as u32;
        }
        avail.saturating_sub(hole)
    }

    /// Whether the sender will stop before much more has come.
    #[inline]
    fn is_crowded<E: Env>(&self, env: &E) -> bool {
        let rcvbuf = env.rcvbuf();
        self.receive_window() <= u32::from(self.ack.rcv_mss)
            || env.rmem_alloc() > rcvbuf.wrapping_sub(rcvbuf >> 3)
            || env.under_memory_pressure()
    }

    /// Whether `target` bytes can be read, or as many as there will be.
    ///
    /// Mirrors [`tcp_epollin_ready`](srctree/include/net/tcp.h).
    #[inline]
    pub(super) fn readable<E: Env>(&self, env: &E, target: u32) -> bool {
        let avail = self.rcv_nxt.since(self.copied_seq);
        avail != 0 && (avail >= target || self.is_crowded(env))
    }
}
