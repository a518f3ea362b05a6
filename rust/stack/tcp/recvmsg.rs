// SPDX-License-Identifier: GPL-2.0
//! The receive queue to the user.

use super::{
    seq::SeqNum,
    skb::Flags,
    sock::{Sock, State}, //
};
use crate::platform::MsgIter;
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
        let mut at = st.peek_seq.unwrap_or(self.copied_seq);
        let before = st.copied;
        let mut fault = false;
        let mut fin = false;
        if flags.peek {
            for skb in self.receive_queue.iter() {
                if st.copied >= len {
                    break;
                }
                let cb = skb.tcp_cb();
                let offset = at.since(cb.seq) as usize;
                let used = skb
                    .len()
                    .saturating_sub(offset)
                    .min(len.saturating_sub(st.copied));
                if used != 0 {
                    if !flags.trunc && env.copy_out(skb, offset, msg, used).is_err() {
                        fault = true;
                        break;
                    }
                    at = at.add(used as u32);
                    st.copied = st.copied.saturating_add(used);
                }
                if cb.flags.has(Flags::FIN) {
                    fin = true;
                    break;
                }
            }
            st.peek_seq = Some(at);
        } else {
            while let Some(skb) = self.receive_queue.front() {
                let cb = *skb.tcp_cb();
                let offset = at.since(cb.seq) as usize;
                let have = skb.len().saturating_sub(offset);
                let used = have.min(len.saturating_sub(st.copied));
                if used != 0 {
                    if !flags.trunc && env.copy_out(skb, offset, msg, used).is_err() {
                        fault = true;
                        break;
                    }
                    at = at.add(used as u32);
                    st.copied = st.copied.saturating_add(used);
                }
                if used < have {
                    break;
                }
                if cb.flags.has(Flags::FIN) {
                    // The FIN is consumed with the last byte before it.
                    at = at.add(1);
                    fin = true;
                }
                if let Some(skb) = self.receive_queue.pop_front() {
                    skb.consume();
                }
                if fin || st.copied >= len {
                    break;
                }
            }
            self.copied_seq = at;
            if st.copied != before {
                self.rcv_space_adjust(env);
                self.cleanup_rbuf(env, st.copied.wrapping_sub(before));
            }
        }
        if fault && st.copied == 0 {
            return RecvStep::Error(Errno::EFAULT);
        }
        if fault || fin || st.copied >= st.target.min(len) && (st.copied != 0 || len == 0) {
            return RecvStep::Done;
        }
        self.no_data(env, st)
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
    fn cleanup_rbuf<E: Env>(&mut self, env: &mut E, copied: usize) {
        let mut now = false;
        if self.ack.scheduled {
            let unacked = self.rcv_nxt.since(self.rcv_wup);
            let empty = self.receive_queue.is_empty();
            now = unacked > u32::from(self.ack.rcv_mss)
                || (copied > 0 && empty && !self.ack.pingpong && self.ack.pushed);
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
