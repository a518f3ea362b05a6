// SPDX-License-Identifier: GPL-2.0
//! User data into the write queue.

use super::{
    chrono::Kind,
    output::Burst,
    skb::{Cb, Flags},
    sock::Sock,
    state::State, //
};
use crate::platform::MsgIter;
use crate::stack::{
    env::{Append, Env},
    errno::Errno, //
};

/// What the caller wants of one sendmsg (`MSG_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendFlags {
    /// MSG_MORE: more follows, a small segment may wait for it.
    pub more: bool,
    /// MSG_EOR: nothing may be joined to the last byte's segment.
    pub eor: bool,
    /// MSG_OOB: the last byte is urgent.
    pub oob: bool,
    /// The time stamps that are wanted of the last byte (`SOF_TIMESTAMPING_*`).
    pub tsflags: u32,
}

/// How far a sendmsg has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendStep {
    /// All of the caller's data are queued.
    Done,
    /// The send buffer is full: wait until `wmem_queued` falls, then call again.
    WaitMemory,
    /// The handshake is not over: wait, then call again.
    WaitConnect,
    /// It cannot go on. Bytes queued before count all the same.
    Error(Errno),
}

impl Sock {
    /// Queues the caller's data and sends what may go. `copied` counts the bytes taken, over all
    /// calls of one sendmsg.
    ///
    /// Context: process, the socket's lock held. Pending errors of the socket are the caller's to look at.
    ///
    /// Mirrors [`tcp_sendmsg_locked`](srctree/net/ipv4/tcp.c).
    pub fn sendmsg<E: Env>(
        &mut self,
        env: &mut E,
        msg: &mut MsgIter<'_>,
        flags: SendFlags,
        copied: &mut usize,
    ) -> SendStep {
        match self.state {
            State::Established | State::CloseWait => {}
            State::SynSent | State::SynRecv => {
                self.write_pending = true;
                return SendStep::WaitConnect;
            }
            _ => return SendStep::Error(Errno::EPIPE),
        }
        self.write_pending = false;
        if env.shutdown().send() {
            return SendStep::Error(Errno::EPIPE);
        }
        self.rate_check_app_limited(env);
        let (_, mut goal) = self.send_mss(env);
        let step = loop {
            if msg.remaining() == 0 {
                break SendStep::Done;
            }
            let room = match self.write_queue.back() {
                Some(tail) if tail.tcp_cb().eor == 0 => (goal as usize).saturating_sub(tail.len()),
                _ => 0,
            };
            if room == 0 && !self.new_segment(env) {
                break SendStep::WaitMemory;
            }
            let room = if room == 0 { goal as usize } else { room };
            let Some(tail) = self.write_queue.back_mut() else {
                break SendStep::WaitMemory;
            };
            let n = match env.append(tail, msg, room) {
                Append::Bytes(n) => n,
                Append::Full => {
                    self.mark_push();
                    if !self.new_segment(env) {
                        break SendStep::WaitMemory;
                    }
                    continue;
                }
                Append::NoMemory => break SendStep::WaitMemory,
                Append::Fault => break SendStep::Error(Errno::EFAULT),
            };
            *copied = copied.saturating_add(n);
            self.write_seq = self.write_seq.add(n as u32);
            let len = tail.len();
            let cb = tail.tcp_cb_mut();
            cb.end_seq = cb.end_seq.add(n as u32);
            if msg.remaining() == 0 {
                if flags.eor {
                    cb.eor = 1;
                }
                break SendStep::Done;
            }
            if len < goal as usize {
                continue;
            }
            // A full packet: send while the rest is copied.
            if self.forced_push() {
                self.mark_push();
                self.push_frames(env, true);
            } else if self.write_queue.len() == 1 {
                self.push_one(env);
            }
            goal = self.send_mss(env).1;
        };
        self.drop_empty_tail(env);
        match step {
            SendStep::WaitMemory => {
                // What is queued must leave, or no memory will ever come back.
                self.mark_push();
                self.push_frames(env, true);
            }
            _ if *copied != 0 => self.push(env, flags, goal),
            _ => {}
        }
        step
    }

    /// Appends an empty segment to the write queue. `false` if the socket's limit or the machine's
    /// memory forbids it.
    ///
    /// Mirrors [`tcp_stream_alloc_skb`, `tcp_skb_entail`](srctree/net/ipv4/tcp.c).
    fn new_segment<E: Env>(&mut self, env: &mut E) -> bool {
        if env.wmem_queued() >= env.sndbuf() || self.notsent_full(env).0 {
            return false;
        }
        let Some(mut skb) = env.alloc_stream() else {
            return false;
        };
        *skb.tcp_cb_mut() = Cb {
            seq: self.write_seq,
            end_seq: self.write_seq,
            flags: Flags::ACK,
            ..Cb::default()
        };
        env.wmem_charge(skb.truesize());
        self.write_queue.push_back(skb);
        if self.write_queue.len() == 1 {
            self.chrono_start(env.now(), Kind::Busy);
        }
        self.slow_start_after_idle_check(env);
        true
    }

    /// Asks for the time stamps of what was written last; what was sent already gets that of its
    /// acknowledgement at least.
    ///
    /// Mirrors [`tcp_tx_timestamp`](srctree/net/ipv4/tcp.c).
    pub fn tx_timestamp<E: Env>(&mut self, env: &mut E, tsflags: u32) {
        if tsflags == 0 {
            return;
        }
        let base = self.tskey_base;
        // All of it may be on its way already.
        let tail = match self.write_queue.back_mut() {
            Some(skb) => skb,
            None => match self.rtx_queue.last_mut() {
                Some(skb) => skb,
                None => return,
            },
        };
        let key = tail.tcp_cb().seq.add(tail.len() as u32).sub(1);
        let ack = env.tx_timestamp(tail, tsflags, key.since(base));
        let cb = tail.tcp_cb_mut();
        cb.ack_seq = key;
        cb.tstamp = if ack { 2 } else { 1 };
    }

    /// Time stamps count bytes from now on: from what is written next with `from_now`, else from what is
    /// not acknowledged yet (SOF_TIMESTAMPING_OPT_ID_TCP, SOF_TIMESTAMPING_OPT_ID).
    pub fn number_timestamps(&mut self, from_now: bool) {
        self.tskey_base = if from_now {
            self.write_seq
        } else {
            self.snd_una
        };
    }

    /// Removes a segment that was made for data which then could not be copied.
    ///
    /// Mirrors [`tcp_remove_empty_skb`](srctree/net/ipv4/tcp.c).
    fn drop_empty_tail<E: Env>(&mut self, env: &mut E) {
        let empty = match self.write_queue.back() {
            Some(tail) => tail.is_empty() && tail.tcp_cb().seq == tail.tcp_cb().end_seq,
            None => false,
        };
        if empty {
            if let Some(skb) = self.write_queue.pop_back() {
                env.wmem_uncharge(skb.truesize());
                self.chrono_stop(env.now(), Kind::Busy);
            }
        }
    }

    /// Whether half the peer's window has been written since the last push.
    ///
    /// Mirrors [`forced_push`](srctree/include/net/tcp.h).
    fn forced_push(&self) -> bool {
        self.write_seq
            .after(self.pushed_seq.add(self.max_window >> 1))
    }

    /// Sets PSH on the last segment: 3.9.1.2, "when an application issues a series of SEND calls
    /// without setting the PUSH flag, the TCP implementation MAY aggregate the data internally".
    ///
    /// Mirrors [`tcp_mark_push`](srctree/include/net/tcp.h).
    fn mark_push(&mut self) {
        if let Some(tail) = self.write_queue.back_mut() {
            let cb = tail.tcp_cb_mut();
            cb.flags = cb.flags.and(Flags::PSH);
            self.pushed_seq = self.write_seq;
        }
    }

    /// Sends the packet at the head of the queue.
    ///
    /// Mirrors [`tcp_push_one`](srctree/net/ipv4/tcp_output.c).
    fn push_one<E: Env>(&mut self, env: &mut E) {
        let _ = self.write_xmit(env, false, Burst::One);
    }

    /// The end of a sendmsg: sends what is queued, as Nagle, TCP_CORK and MSG_MORE allow; `goal` bytes fill a
    /// packet.
    ///
    /// Mirrors [`tcp_push`](srctree/net/ipv4/tcp.c).
    fn push<E: Env>(&mut self, env: &mut E, flags: SendFlags, goal: u32) {
        self.tx_timestamp(env, flags.tsflags);
        if self.write_queue.is_empty() {
            return;
        }
        if !flags.more || self.forced_push() {
            self.mark_push();
        }
        if flags.oob {
            self.snd_up = self.write_seq;
        }
        if self.should_autocork(env, goal) {
            return;
        }
        if flags.more {
            // As if corked for this one call.
            let cork = self.nonagle.cork;
            self.nonagle.cork = true;
            self.push_frames(env, false);
            self.nonagle.cork = cork;
        } else {
            self.push_frames(env, false);
        }
    }
}
