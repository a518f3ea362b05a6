// SPDX-License-Identifier: GPL-2.0
//! What the LSM is asked about a SYN.
//!
//! C header: [`include/net/request_sock.h`](srctree/include/net/request_sock.h)

use super::{
    proto::Protocol,
    skbuff::SkBuff,
    sock::Sock, //
};
use crate::bindings;
use core::mem::{
    size_of,
    MaybeUninit, //
};

/// Whether the LSM allows the connection that a SYN asks the listener for. Softirq.
///
/// The hook wants a `struct request_sock` to label. Ours are not that, so it gets one that lasts for the
/// call; the label of the connection's socket is then the listener's.
///
/// Mirrors [`security_inet_conn_request`](srctree/security/security.c)
pub fn security_conn_request<P: Protocol>(so: &Sock<P>, skb: &SkBuff) -> bool {
    // SAFETY: All zeroes is a value of these C types. The largest kind of request is taken, for hooks cast.
    let mut req: bindings::tcp_request_sock = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: As above.
    let mut ops: bindings::request_sock_ops = unsafe { MaybeUninit::zeroed().assume_init() };
    ops.family = bindings::AF_INET as _;
    let r: *mut bindings::request_sock = (&raw mut req).cast();
    const _: () =
        assert!(size_of::<bindings::tcp_request_sock>() >= size_of::<bindings::request_sock>());
    // SAFETY: All live during the call; the hook keeps none of them.
    unsafe {
        (*r).rsk_ops = &mut ops;
        bindings::security_inet_conn_request(so.as_ptr(), skb.as_ptr(), r) == 0
    }
}
