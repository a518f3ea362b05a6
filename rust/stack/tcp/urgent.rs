// SPDX-License-Identifier: GPL-2.0
//! Urgent data (3.8.5): a mark in the stream, and the one byte at it that is read apart from the rest.
//!
//! The urgent pointer means two things, and ever did: RFC 9293 lets it name the last urgent byte, BSD and all
//! that followed it the byte behind. Linux, and we, do as BSD (RFC 6093, 3.1) unless
//! `net.ipv4.tcp_stdurg` is set.

use super::{
    segment::Segment,
    seq::SeqNum,
    skb::Flags,
    sock::Sock,
    state::State, //
};
use crate::platform::SkBuff;
use crate::stack::{
    env::Env,
    errno::Errno, //
};

/// What has become of the urgent byte (`tp->urg_data`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Urgent {
    /// There is no mark.
    #[default]
    None,
    /// The peer has announced it; it has not come.
    NotYet,
    /// It is here.
    Valid(u8),
    /// The user has read it; its place in the stream is still ahead.
    Read,
}

impl Sock {
    /// Looks for urgent data in an acceptable segment whose data still begin with the header.
    ///
    /// Mirrors [`tcp_urg`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    pub(super) fn urg<E: Env>(&mut self, env: &mut E, skb: &SkBuff, seg: &Segment) {
        if seg.flags.has(Flags::URG) {
            self.check_urg(env, seg);
        }
        if self.urgent == Urgent::NotYet {
            self.fetch_urg(env, skb, seg);
        }
    }

    /// A new urgent pointer, perhaps.
    ///
    /// Mirrors [`tcp_check_urg`](srctree/net/ipv4/tcp_input.c).
    #[cold]
    fn check_urg<E: Env>(&mut self, env: &mut E, seg: &Segment) {
        let mut ptr = u32::from(seg.urg_ptr);
        if ptr != 0 && env.sysctl().tcp_stdurg() == 0 {
            ptr = ptr.wrapping_sub(1);
        }
        let ptr = seg.seq.add(ptr);
        // Seen and read, or received before anybody knew that it was urgent: an attacker must not be able to
        // mark old data.
        if self.copied_seq.after(ptr) || ptr.before(self.rcv_nxt) {
            return;
        }
        if self.urgent != Urgent::None && !ptr.after(self.urg_seq) {
            return;
        }
        env.send_sigurg();
        // An urgent byte that was read apart is no part of the stream, also when the next one follows before
        // the reader has come to its place.
        if self.urg_seq == self.copied_seq
            && self.urgent != Urgent::None
            && !env.urg_inline()
            && self.copied_seq != self.rcv_nxt
        {
            self.copied_seq = self.copied_seq.add(1);
            let eaten = self
                .receive_queue
                .front()
                .is_some_and(|skb| !self.copied_seq.before(skb.tcp_cb().end_seq));
            if eaten {
                if let Some(skb) = self.receive_queue.pop_front() {
                    skb.consume();
                }
            }
        }
        self.urgent = Urgent::NotYet;
        self.urg_seq = ptr;
    }

    #[cold]
    fn fetch_urg<E: Env>(&mut self, env: &mut E, skb: &SkBuff, seg: &Segment) {
        // A SYN stands before the first byte.
        let syn = u32::from(seg.flags.has(Flags::SYN));
        let offset = self.urg_seq.since(seg.seq).wrapping_sub(syn);
        if offset >= seg.len {
            return;
        }
        let Some(byte) = skb.byte_at(usize::from(seg.doff).saturating_add(offset as usize)) else {
            return;
        };
        self.urgent = Urgent::Valid(byte);
        if !env.is_dead() {
            env.data_ready();
        }
    }

    /// recv(2) with MSG_OOB: the urgent byte, or `None` where the stream has ended; with `peek` it can be read
    /// again.
    ///
    /// # Errors
    ///
    /// EINVAL without urgent data, EAGAIN when they are announced and not here, ENOTCONN.
    ///
    /// Mirrors [`tcp_recv_urg`](srctree/net/ipv4/tcp.c).
    pub fn recv_urg<E: Env>(&mut self, env: &E, peek: bool) -> Result<Option<u8>, Errno> {
        if env.urg_inline() || matches!(self.urgent, Urgent::None | Urgent::Read) {
            return Err(Errno::EINVAL);
        }
        if self.state == State::Close && !env.shutdown().rcv() {
            return Err(Errno::ENOTCONN);
        }
        if let Urgent::Valid(byte) = self.urgent {
            if !peek {
                self.urgent = Urgent::Read;
            }
            return Ok(Some(byte));
        }
        if self.state == State::Close || env.shutdown().rcv() {
            return Ok(None);
        }
        // Never waits, whatever the socket does otherwise.
        Err(Errno::EAGAIN)
    }

    /// Whether the next byte to be read is the urgent one (SIOCATMARK).
    pub fn at_mark(&self) -> bool {
        self.urgent != Urgent::None && self.urg_seq == self.copied_seq
    }

    /// Whether the urgent byte can be read (EPOLLPRI).
    #[inline]
    pub fn urg_valid(&self) -> bool {
        matches!(self.urgent, Urgent::Valid(_))
    }

    /// How far the mark lies ahead of `at`; `None` without one.
    #[inline]
    pub(super) fn urg_offset(&self, at: SeqNum) -> Option<usize> {
        if self.urgent == Urgent::None {
            None
        } else {
            Some(self.urg_seq.since(at) as usize)
        }
    }

    /// The reader has come to `copied_seq`: a mark behind him is none any more.
    #[inline]
    pub(super) fn urg_passed(&mut self) {
        if self.urgent != Urgent::None && self.copied_seq.after(self.urg_seq) {
            self.urgent = Urgent::None;
        }
    }

    /// SND.UNA has moved on from `prior`: the mark moves along when nothing urgent lies ahead.
    ///
    /// Mirrors [`tcp_clean_rtx_queue`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    pub(super) fn urg_acked(&mut self, prior: SeqNum) {
        if self.snd_up.between(prior, self.snd_una) {
            self.snd_up = self.snd_una;
        }
    }

    /// Whether we have announced urgent data that the peer has not acknowledged.
    ///
    /// Mirrors [`tcp_urg_mode`](srctree/include/net/tcp.h).
    #[inline]
    pub(super) fn urg_mode(&self) -> bool {
        self.snd_una != self.snd_up
    }

    /// The urgent pointer of a segment of ours that begins at `seq`; `None` if it carries none.
    ///
    /// Mirrors [`__tcp_transmit_skb`](srctree/net/ipv4/tcp_output.c).
    #[inline]
    pub(super) fn urg_ptr(&self, seq: SeqNum) -> Option<u16> {
        // A probe below SND.UNA must not look urgent.
        if !self.urg_mode() || !seq.before(self.snd_up) {
            return None;
        }
        let ahead = self.snd_up.since(seq);
        if let Ok(ptr) = u16::try_from(ahead) {
            Some(ptr)
        } else if seq.add(0xffff).after(self.snd_nxt) {
            Some(u16::MAX)
        } else {
            None
        }
    }
}
