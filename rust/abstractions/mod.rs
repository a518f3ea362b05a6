// SPDX-License-Identifier: GPL-2.0
//! Safe types over the kernel's C interfaces: the only hand-written `unsafe` of this module.
//!
//! Each file wraps one C concept and could move to `rust/kernel/net/` as it is. Types state
//! `# Invariants`, and the context in which a function may be called (softirq, process, a lock) is
//! part of its contract.

pub(crate) mod lock;
pub(crate) mod memory;
pub(crate) mod rcu;
pub(crate) mod skb_queue;
pub(crate) mod skb_tree;
pub(crate) mod skbuff;
