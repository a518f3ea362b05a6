// SPDX-License-Identifier: GPL-2.0
//! The receive queue to the user.

use super::{
    seq::SeqNum,
    skb::Flags,
    sock::Sock,
    state::State, //
};
use crate::platform::{MsgIter, SkBuff};
use crate::stack::{
    env::Env,
    errno::Errno, //
};

/// What the caller wants of one recvmsg (`MSG_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecvFlags {
    /// MSG_PEEK: leave the data in the queue.
    pub peek: bool,
    /// MSG_TRUNC: drop the data instead of copying them.
    pub trunc: bool,
}

/// How far a recvmsg has come, over all its calls.
#[derive(Clone, Copy, Debug)]
pub struct RecvState {
    /// Bytes given to the caller.
    pub copied: usize,
    /// Bytes after which the caller is content: SO_RCVLOWAT, or all of the buffer with MSG_WAITALL.
    pub target: usize,
    /// Where peeking has got to.
    peek_seq: Option<SeqNum>,
}

impl RecvState {
    /// A recvmsg that will return when `target` bytes have come.
    pub fn new(target: usize) -> Self {
        RecvState {
            copied: 0,
            target,
            peek_seq: None,
        }
    }
}

/// What a recvmsg can do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvStep {
    /// Return `copied` bytes; none means the end of the stream.
    Done,
    /// Wait for data, then call again; if waiting is not possible, return `copied` or `EAGAIN`.
    WaitData,
    /// Return this, unless bytes were copied.
    Error(Errno),
}

/// Why copying stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// The queue has no more.
    Drained,
    /// The caller's buffer is full, or this is a place to stop: the FIN, the urgent mark.
    Here,
    /// The caller's buffer cannot be written.
    Fault,
}

impl Sock {
    /// Copies what has been received to the caller, up to the end of the caller's buffer.
    ///
    /// Context: process, the socket's lock held. A pending error of the socket (`sk_err`) is the
    /// caller's to return when this says [`RecvStep::WaitData`] and nothing was copied.
    ///
    /// Mirrors [`tcp_recvmsg_locked`](srctree/net/ipv4/tcp.c).
    pub fn recvmsg<E: Env>(
        &mut self,
        env: &mut E,
        msg: &mut MsgIter<'_>,
        len: usize,
        flags: RecvFlags,
        st: &mut RecvState,
    ) -> RecvStep {
        if self.state == State::Listen {
            return RecvStep::Error(Errno::ENOTCONN);
        }
        let before = st.copied;
        let ended = if flags.peek {
            self.peek(env, msg, len, flags.trunc, st)
        } else {
            self.take(env, msg, len, flags.trunc, st)
        };
        match ended {
            Ended::Fault if st.copied == 0 => return RecvStep::Error(Errno::EFAULT),
            Ended::Fault | Ended::Here => {}
            Ended::Drained if st.copied >= st.target.min(len) && (st.copied != 0 || len == 0) => {}
            Ended::Drained => {
                if !flags.peek && st.copied != before {
                    self.cleanup_rbuf(env, st.copied);
                }
                return self.no_data(env, st);
            }
        }
        if !flags.peek {
            self.cleanup_rbuf(env, st.copied);
        }
        RecvStep::Done
    }

    /// What [`Sock::recvmsg`] would say, if that is plain without touching anything: nothing has been
    /// received that was not read. `None` where it must be called.
    #[inline]
    pub fn recv_idle<E: Env>(&self, env: &E, len: usize, st: &RecvState) -> Option<RecvStep> {
        if self.has_queued() || st.copied != 0 || len == 0 || self.state == State::Listen {
            return None;
        }
        Some(self.no_data(env, st))
    }

    /// Copies from the queue, which keeps the data.
    fn peek<E: Env>(
        &mut self,
        env: &mut E,
        msg: &mut MsgIter<'_>,
        len: usize,
        trunc: bool,
        st: &mut RecvState,
    ) -> Ended {
        let mut at = st.peek_seq.unwrap_or(self.copied_seq);
        let mut ended = Ended::Drained;
        for skb in self.receive_queue.iter() {
            let cb = skb.tcp_cb();
            loop {
                let offset = at.since(cb.seq) as usize;
                let have = skb.len().saturating_sub(offset);
                if st.copied >= len || have == 0 {
                    break;
                }
                let mut used = have.min(len.saturating_sub(st.copied));
                match self.urg_offset(at) {
                    Some(0) if st.copied != 0 => {
                        ended = Ended::Here;
                        break;
                    }
                    Some(0) if !env.urg_inline() => {
                        at = at.add(1);
                        continue;
                    }
                    Some(ahead) if ahead != 0 => used = used.min(ahead),
                    _ => {}
                }
                if !trunc && env.copy_out(skb, offset, msg, used).is_err() {
                    ended = Ended::Fault;
                    break;
                }
                at = at.add(used as u32);
                st.copied = st.copied.saturating_add(used);
            }
            if st.copied >= len || cb.flags.has(Flags::FIN) {
                ended = if ended == Ended::Fault {
                    ended
                } else {
                    Ended::Here
                };
            }
            if ended != Ended::Drained {
                break;
            }
        }
        st.peek_seq = Some(at);
        ended
    }

    /// Moves data from the queue to the caller.
    fn take<E: Env>(
        &mut self,
        env: &mut E,
        msg: &mut MsgIter<'_>,
        len: usize,
        trunc: bool,
        st: &mut RecvState,
    ) -> Ended {
        while let Some(skb) = self.receive_queue.front() {
            let cb = *skb.tcp_cb();
            let mut offset = self.copied_seq.since(cb.seq) as usize;
            let mut have = skb.len().saturating_sub(offset);
            let mut used = have.min(len.saturating_sub(st.copied));
            if have != 0 {
                if used == 0 {
                    return Ended::Here;
                }
                match self.urg_offset(self.copied_seq) {
                    // What was read before the mark is returned before what comes behind it.
                    Some(0) if st.copied != 0 => return Ended::Here,
                    Some(0) if !env.urg_inline() => {
                        self.copied_seq = self.copied_seq.add(1);
                        offset = offset.wrapping_add(1);
                        have = have.wrapping_sub(1);
                        used = used.min(have);
                    }
                    Some(ahead) if ahead != 0 => used = used.min(ahead),
                    _ => {}
                }
            }
            if used != 0 {
                if !trunc && env.copy_out(skb, offset, msg, used).is_err() {
                    return Ended::Fault;
                }
                self.copied_seq = self.copied_seq.add(used as u32);
                st.copied = st.copied.saturating_add(used);
                self.rcv_space_adjust(env);
            }
            self.urg_passed();
            if used < have {
                if st.copied >= len {
                    return Ended::Here;
                }
                continue;
            }
            let fin = cb.flags.has(Flags::FIN);
            if fin {
                // The FIN is consumed with the last byte before it.
                self.copied_seq = self.copied_seq.add(1);
            }
            if let Some(skb) = self.receive_queue.pop_front() {
                skb.consume();
            }
            if fin || st.copied >= len {
                return Ended::Here;
            }
        }
        Ended::Drained
    }

    /// Gives up to `len` bytes of the queue to `f`, packet by packet (the packet, where to begin, how much), up
    /// to the urgent mark or until `f` takes nothing. Returns the bytes taken.
    ///
    /// # Errors
    ///
    /// ENOTCONN of a listener.
    ///
    /// Mirrors [`__tcp_read_sock`](srctree/net/ipv4/tcp.c).
    pub fn read_sock<E: Env>(
        &mut self,
        env: &mut E,
        len: usize,
        mut f: impl FnMut(&SkBuff, usize, usize) -> usize,
    ) -> Result<usize, Errno> {
        if self.state == State::Listen {
            return Err(Errno::ENOTCONN);
        }
        let mut copied = 0usize;
        while let Some(skb) = self.receive_queue.front() {
            let cb = *skb.tcp_cb();
            let offset = self.copied_seq.since(cb.seq) as usize;
            let have = skb.len().saturating_sub(offset);
            if have != 0 {
                let mut want = have.min(len.saturating_sub(copied));
                if let Some(ahead) = self.urg_offset(self.copied_seq) {
                    want = want.min(ahead);
                }
                if want == 0 {
                    break;
                }
                let used = f(skb, offset, want).min(want);
                self.copied_seq = self.copied_seq.add(used as u32);
                copied = copied.saturating_add(used);
                if used < want {
                    break;
                }
                if used < have {
                    continue;
                }
            }
            let fin = cb.flags.has(Flags::FIN);
            if fin {
                self.copied_seq = self.copied_seq.add(1);
            }
            if let Some(skb) = self.receive_queue.pop_front() {
                skb.consume();
            }
            if fin {
                break;
            }
        }
        self.rcv_space_adjust(env);
        if copied != 0 {
            self.cleanup_rbuf(env, copied);
        }
        Ok(copied)
    }

    /// The queue is empty and the caller is not content yet.
    fn no_data<E: Env>(&self, env: &E, st: &RecvState) -> RecvStep {
        let ended = env.shutdown().rcv() || self.state == State::Close;
        if st.copied != 0 {
            return if ended {
                RecvStep::Done
            } else {
                RecvStep::WaitData
            };
        }
        if env.shutdown().rcv() {
            return RecvStep::Done;
        }
        if self.state == State::Close {
            // Never connected: a closed connection has its receive side shut.
            return RecvStep::Error(Errno::ENOTCONN);
        }
        RecvStep::WaitData
    }

    /// The user has read `copied` bytes: tells the peer of the room, if that is worth a segment.
    ///
    /// 3.8.6.2.2 (receiver's silly window avoidance). Mirrors
    /// [`__tcp_cleanup_rbuf`](srctree/net/ipv4/tcp.c).
    pub(super) fn cleanup_rbuf<E: Env>(&mut self, env: &mut E, copied: usize) {
        let mut now = false;
        if self.ack.scheduled {
            let unacked = self.rcv_nxt.since(self.rcv_wup);
            // The once-per-two-segments ACK that could not be sent when they came; or the reader has drained
            // the buffer, where a small segment ended what the peer had to say.
            now = unacked > u32::from(self.ack.rcv_mss)
                || (copied > 0
                    && (self.ack.pushed2 || (self.ack.pushed && !self.in_pingpong_mode(env)))
                    && env.rmem_alloc() == 0);
        }
        if copied > 0 && !now && !env.shutdown().rcv() {
            let left = self.receive_window();
            // Only a window twice as large is news.
            if left.saturating_mul(2) <= self.window_clamp {
                let new = self.choose_window(env);
                now = new != 0 && new >= left.saturating_mul(2);
            }
        }
        if now {
            self.send_ack(env);
        }
    }
}
