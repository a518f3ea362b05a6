// SPDX-License-Identifier: GPL-2.0
//! Packets of ours that a filter had handed to a program (NFQUEUE) and the program let go on.

use super::ip_input;
use super::net::State;
use crate::abstractions::dst;
use crate::abstractions::netdevice::NetDevice;
use crate::abstractions::netns::Net;
use crate::abstractions::nf_hook::Point;
use crate::abstractions::rcu;
use crate::abstractions::skbuff::Skb;
use crate::bindings;
use crate::stack::drop_reason::DropReason;

/// Goes on behind `point`. Process or softirq, under RCU.
pub(crate) fn reinject(net: &Net, point: Point, _sk: *mut bindings::sock, mut skb: Skb) {
    let Some(state) = State::of(net) else {
        return;
    };
    let dev = skb.dev().map(|d| d.ifindex());
    match (point, dev) {
        (Point::PreRouting, Some(ifindex)) => {
            let rcu = rcu::read_lock();
            match NetDevice::by_index(net, ifindex, &rcu) {
                Some(dev) => ip_input::rcv_finish(state, dev, skb, &rcu),
                None => state.counts.drop(skb, DropReason::DevReady),
            }
        }
        (Point::LocalIn, Some(ifindex)) => ip_input::local_deliver_finish(state, ifindex, skb),
        // The packet carries its route, and the host's output knows what to do with it.
        (Point::LocalOut | Point::PostRouting | Point::Forward, _) if !skb.dst().is_null() => {
            if point == Point::PostRouting {
                skb.set_rerouted();
            }
            let _ = dst::output(net, skb);
        }
        _ => state.counts.drop(skb, DropReason::NetfilterDrop),
    }
}
