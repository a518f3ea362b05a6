// SPDX-License-Identifier: GPL-2.0
//! Messages that will be one packet (MSG_MORE): the user's bytes, waiting for more.
//!
//! Mirrors [`ip_append_data`, `__ip_make_skb`](srctree/net/ipv4/ip_output.c)

use crate::abstractions::{
    skb_queue::SkbQueue,
    skbuff::Skb,
    sock::Sk,
    socket::Msg, //
};
use crate::bindings;
use kernel::error::{
    code::*,
    Result, //
};

/// Room in a packet that waits, so that small messages share it.
const ROOM: usize = 1024;

/// What waits.
///
/// Its packets hold the socket: it must be dropped before the socket can go.
pub(super) struct Gathered {
    packets: SkbQueue,
    len: usize,
}

impl Gathered {
    /// Nothing.
    pub(super) fn new() -> Gathered {
        Gathered {
            packets: SkbQueue::new(),
            len: 0,
        }
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Puts a message of `len` bytes behind the others. The socket's lock is held.
    ///
    /// # Errors
    ///
    /// EFAULT, EAGAIN, ENOBUFS, EINTR, EPIPE, the socket's error. What waits is then of no use any more.
    pub(super) fn append(&mut self, so: &Sk, msg: &mut Msg<'_>, len: usize) -> Result {
        let mut left = len;
        if let Some(last) = self.packets.back_mut() {
            let n = left.min(last.tailroom());
            if let Some(room) = last.put(n) {
                msg.iter().copy_from(room)?;
                left = left.wrapping_sub(n);
            }
        }
        let first = self.packets.is_empty();
        if left != 0 || first {
            // Room that only these messages could give back is not waited for.
            let noblock = !first || msg.flags() & bindings::MSG_DONTWAIT != 0;
            let made = so.make_skb_with_room(&mut msg.iter(), left, ROOM, noblock);
            self.packets
                .push_back(made.map_err(|e| match e == EAGAIN && !first {
                    true => ENOBUFS,
                    false => e,
                })?);
        }
        self.len = self.len.saturating_add(len);
        Ok(())
    }

    /// All of it as one packet; in one piece if `linear`. `Ok(None)`: nothing waited.
    ///
    /// # Errors
    ///
    /// ENOBUFS.
    pub(super) fn join(mut self, linear: bool) -> Result<Option<Skb>> {
        let Some(mut skb) = self.packets.pop_front() else {
            return Ok(None);
        };
        if !self.packets.is_empty() {
            skb.join(&mut self.packets);
            let len = skb.len();
            if linear && !skb.ensure_linear(len) {
                return Err(ENOBUFS);
            }
        }
        Ok(Some(skb))
    }
}
