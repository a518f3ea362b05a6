// SPDX-License-Identifier: GPL-2.0
//! Cutting a packet that is longer than its way allows.
//!
//! C header: [`include/net/ip.h`](srctree/include/net/ip.h)

use super::netns::Net;
use super::skbuff::Skb;
use crate::bindings;

/// Cuts a packet, which begins with its IP header and carries its route and device, into fragments of at
/// most `mtu` bytes and hands each to [`tx::fragment_output`](crate::glue::tx::fragment_output). Under RCU. The error is
/// negative.
///
/// Mirrors [`ip_fragment`](srctree/net/ipv4/ip_output.c)
pub(crate) fn do_fragment(net: &Net, mut skb: Skb, mtu: u32) -> i32 {
    // The callee looks for notes of the receive path there.
    skb.cb_clear();
    // SAFETY: The packet is ours and carries a live route; the callee consumes it.
    unsafe {
        let ptr = skb.into_raw();
        // What was learned of the path is not in the route, but the callee heeds this, too.
        let notes = (&raw mut (*ptr).cb).cast::<bindings::inet_skb_parm>();
        (*notes).frag_max_size = mtu.min(u32::from(u16::MAX)) as u16;
        bindings::ip_do_fragment(net.as_ptr(), (*ptr).sk, ptr, Some(output))
    }
}

/// # Safety
///
/// Called by C with a reference to `skb`, which it passes on, under RCU.
unsafe extern "C" fn output(
    net: *mut bindings::net,
    _sk: *mut bindings::sock,
    skb: *mut bindings::sk_buff,
) -> i32 {
    // SAFETY: The function's own requirement.
    let (net, skb) = unsafe { (Net::from_ptr(net), Skb::from_raw(skb)) };
    match crate::glue::tx::fragment_output(net, skb) {
        Ok(()) => 0,
        Err(e) => -e.get(),
    }
}
