// SPDX-License-Identifier: GPL-2.0
//! Safe types over the kernel's C interfaces: the only hand-written `unsafe` of this module.
//!
//! Each file wraps one C concept and could move to `rust/kernel/net/` as it is. Types state
//! `# Invariants`, and the context in which a function may be called (softirq, process, a lock) is
//! part of its contract.

pub(crate) mod bh;
pub(crate) mod chains;
pub(crate) mod dgram;
pub(crate) mod dst;
pub(crate) mod ehash;
pub(crate) mod errqueue;
pub(crate) mod family;
pub(crate) mod fib_notifier;
pub(crate) mod host_port;
pub(crate) mod inet;
pub(crate) mod iov;
pub(crate) mod lock;
pub(crate) mod memory;
pub(crate) mod mib;
pub(crate) mod minisock;
pub(crate) mod module_cell;
pub(crate) mod multicast;
pub(crate) mod netdevice;
pub(crate) mod netevent;
pub(crate) mod netns;
pub(crate) mod netns_ipv4;
pub(crate) mod nf_hook;
pub(crate) mod packet_type;
pub(crate) mod percpu;
#[cfg(any(CONFIG_KASAN, CONFIG_KCSAN))]
pub(crate) mod planted;
pub(crate) mod proc_fs;
pub(crate) mod proto;
pub(crate) mod proto_ops;
pub(crate) mod rcu;
pub(crate) mod redirects;
pub(crate) mod request;
pub(crate) mod route_config;
pub(crate) mod rp_filter;
pub(crate) mod rtnl;
pub(crate) mod rtx_queue;
pub(crate) mod rx_stamp;
pub(crate) mod rx_way;
pub(crate) mod sk;
pub(crate) mod skb_meta;
pub(crate) mod skb_queue;
pub(crate) mod skb_tree;
pub(crate) mod skbuff;
pub(crate) mod sock;
pub(crate) mod sock_lock;
pub(crate) mod sock_mem;
pub(crate) mod sock_soft;
pub(crate) mod socket;
pub(crate) mod sysctl;
pub(crate) mod timer;
