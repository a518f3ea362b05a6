// SPDX-License-Identifier: GPL-2.0
//! The platform of the host build: what `rust/platform.rs` gives the stack in the kernel, made of
//! `std`, for tests. The two files offer the same names with the same meaning; the stack compiles
//! against either. Here is the memory of a test, which fails when it is told to, and the user's buffers.

use std::cell::RefCell;

mod rtx_queue;
mod shared;
mod skb;
mod skb_queue;
mod sysctl;

pub use rtx_queue::{RtxQueue, SentOrder};
pub use shared::{
    read_lock,
    AllocError,
    Arc,
    Array,
    Lock,
    LockGuard,
    Rcu,
    RcuBox,
    ReadGuard, //
};
pub use skb::{SkBuff, Skb};
pub use skb_queue::{Cursor, SkbQueue, SkbTree};
pub use std::boxed::Box;
pub use std::vec::Vec;
pub use sysctl::Sysctl;

/// The user's buffer could not be read or written (EFAULT).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault;

/// What a `struct sk_buff` is charged as, in bytes.
pub const SK_BUFF_SIZE: usize = 256;
/// What the shared info behind a packet's data is charged as, in bytes.
pub const SHARED_INFO_SIZE: usize = 320;
/// True size of an empty buffer, as charged to a socket, in bytes.
const SKB_OVERHEAD: usize = SK_BUFF_SIZE + SHARED_INFO_SIZE;
/// Room for every header below the transport, in bytes (`MAX_TCP_HEADER`).
pub const MAX_HEADER: usize = 320;
/// What one buffer's fragments hold at the most, in bytes.
pub const MAX_FRAG_BYTES: usize = 17 * 32768;

thread_local! {
    /// `Some(n)`: the allocation after `n` more successful ones fails, once.
    static FAIL_AFTER: RefCell<Option<u32>> = const { RefCell::new(None) };
}

/// Makes the `n`-th allocation from now fail on this thread (0: the next one).
pub fn fail_alloc(n: Option<u32>) {
    FAIL_AFTER.with(|f| *f.borrow_mut() = n);
}

/// Whether a planned failure has not happened yet.
pub fn fail_pending() -> bool {
    FAIL_AFTER.with(|f| f.borrow().is_some())
}

/// One allocation: `false` if it is the one that must fail.
pub fn may_alloc() -> bool {
    FAIL_AFTER.with(|f| {
        let mut f = f.borrow_mut();
        match *f {
            None => true,
            Some(0) => {
                *f = None;
                false
            }
            Some(n) => {
                *f = Some(n - 1);
                true
            }
        }
    })
}

/// The caller's buffer of one sendmsg or recvmsg (`struct iov_iter`).
#[derive(Debug)]
pub enum MsgIter<'a> {
    /// Data to send, and how much of it was taken.
    Source(&'a [u8], usize),
    /// Where received data goes, and how much was given.
    Dest(&'a mut Vec<u8>, usize),
}

impl MsgIter<'_> {
    /// Bytes that can still be taken or given.
    pub fn remaining(&self) -> usize {
        match self {
            MsgIter::Source(b, pos) => b.len() - pos,
            MsgIter::Dest(b, max) => max - b.len(),
        }
    }

    /// Takes up to `n` bytes from a source.
    pub fn take(&mut self, n: usize) -> &[u8] {
        match self {
            MsgIter::Source(b, pos) => {
                let start = *pos;
                *pos = (start + n).min(b.len());
                &b[start..*pos]
            }
            MsgIter::Dest(..) => &[],
        }
    }

    /// Gives bytes to a destination.
    pub fn give(&mut self, bytes: &[u8]) {
        if let MsgIter::Dest(b, _) = self {
            b.extend_from_slice(bytes);
        }
    }
}
