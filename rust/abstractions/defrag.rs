// SPDX-License-Identifier: GPL-2.0
//! Putting fragments together.
//!
//! C header: [`include/net/ip.h`](srctree/include/net/ip.h)

use super::netns::Net;
use super::skbuff::Skb;
use crate::bindings;

/// Takes a fragment for this host, whose data begin with the IP header; gives the whole packet back
/// once it is complete. Softirq, under RCU.
///
/// Mirrors [`ip_local_deliver`](srctree/net/ipv4/ip_input.c)
pub(crate) fn local_deliver(net: &Net, skb: Skb) -> Option<Skb> {
    let ptr = skb.into_raw();
    // SAFETY: The packet is ours; the answer 0 gives it back, and every other one means that it is gone.
    unsafe {
        let user = bindings::ip_defrag_users_IP_DEFRAG_LOCAL_DELIVER;
        (bindings::ip_defrag(net.as_ptr(), ptr, user) == 0).then(|| Skb::from_raw(ptr))
    }
}
