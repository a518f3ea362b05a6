// SPDX-License-Identifier: GPL-2.0
//! The platform of the module: what the stack is made of, in the kernel.
//!
//! `rust/host/src/platform.rs` offers the same names with the same meaning, made of `std`; the stack
//! compiles against either.

pub(crate) use crate::abstractions::iov::{
    Fault,
    MsgIter, //
};
pub(crate) use crate::abstractions::lock::{
    Lock,
    LockGuard, //
};
pub(crate) use crate::abstractions::memory::{
    AllocError,
    Arc,
    Array, //
};
pub(crate) use crate::abstractions::netns_ipv4::Sysctl;
pub(crate) use crate::abstractions::rcu::{
    read_lock,
    Rcu,
    RcuBox,
    ReadGuard, //
};
pub(crate) use crate::abstractions::rtx_queue::RtxQueue;
pub(crate) use crate::abstractions::skb_queue::{
    Cursor,
    SkbQueue, //
};
pub(crate) use crate::abstractions::skb_tree::SkbTree;
pub(crate) use crate::abstractions::skbuff::{
    SkBuff,
    Skb,
    MAX_FRAG_BYTES,
    MAX_HEADER,
    SHARED_INFO_SIZE,
    SK_BUFF_SIZE, //
};
