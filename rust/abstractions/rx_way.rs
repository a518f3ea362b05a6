// SPDX-License-Identifier: GPL-2.0
//! Where the host last let packets of a connection in.
//!
//! A host that has found once that packets of a connection are for it, and that they come from where they claim to, need
//! not look for each of them until something of its routes changes. `struct sock` has two words for that; of the
//! kernel's code only the protocols themselves touch them, for a socket of ours nobody but this file.
//!
//! C header: [`include/net/sock.h`](srctree/include/net/sock.h)

use super::{
    chains::Key,
    netdevice::NetDevice,
    sk::Sk,
    skbuff::SkBuff, //
};
use crate::bindings;
use core::{
    mem::offset_of,
    sync::atomic::{
        fence,
        AtomicU64,
        Ordering, //
    },
};

/// A device that packets come in by, and the state of the host's routes under which they may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RxWay(u64);

impl RxWay {
    /// No way: there is no device 0.
    const NONE: RxWay = RxWay(0);
    /// The numbers of devices are positive.
    const UNASKED: u64 = 1 << 31;

    /// By the device `ifindex`, under the routes of the number `genid` ([`Net::rt_genid`](super::netns::Net::rt_genid)).
    #[inline]
    pub fn new(ifindex: u32, genid: u32) -> RxWay {
        RxWay(u64::from(ifindex) | u64::from(genid) << 32)
    }

    /// By the device `ifindex`; whether the host lets it in was not asked. Equals none that was.
    #[inline]
    pub fn unasked(ifindex: u32) -> RxWay {
        RxWay(u64::from(ifindex) | Self::UNASKED)
    }

    /// The device.
    #[inline]
    pub fn ifindex(self) -> u32 {
        (self.0 & (Self::UNASKED - 1)) as u32
    }
}

// The two words are one.
const _: () = {
    let first = offset_of!(bindings::sock, sk_rx_dst_ifindex);
    assert!(first + 4 == offset_of!(bindings::sock, sk_rx_dst_cookie));
    assert!(first % align_of::<AtomicU64>() == 0);
};

impl Sk {
    #[inline]
    fn rx_way(&self) -> &AtomicU64 {
        // SAFETY: The object is alive by the type invariant. Both words lie in it, side by side and aligned as one (above),
        // and are accessed by nothing but this.
        unsafe { AtomicU64::from_ptr((&raw mut (*self.as_ptr()).sk_rx_dst_ifindex).cast()) }
    }

    /// Whether the host has let packets of this connection in by `way`.
    #[inline]
    pub fn came_by(&self, way: RxWay) -> bool {
        self.rx_way().load(Ordering::Relaxed) == way.0
    }

    /// The host has let a packet of the connection `key` in by `way`. Any context, without the socket's lock.
    pub fn note_way(&self, key: &Key, dif: i32, way: RxWay) {
        self.rx_way().store(way.0, Ordering::Relaxed);
        // The socket may have got another peer by now. Who gives it one does that first and then forgets the way
        // (`forget_way`); so either this sees the peer, or the other's store comes later.
        fence(Ordering::SeqCst);
        // SAFETY: The object is alive by the type invariant, and begins with `struct sock_common`.
        if !unsafe { key.matches(self.as_ptr().cast(), dif) } {
            self.forget_way();
        }
    }

    /// The first packet of the connection came in by `way`. Nobody else knows the socket yet.
    #[inline]
    pub fn set_way(&self, way: RxWay) {
        self.rx_way().store(way.0, Ordering::Relaxed);
    }

    /// What is known of the way is of no use for the peer that the socket has now.
    #[inline]
    pub(super) fn forget_way(&self) {
        fence(Ordering::Release);
        self.rx_way().store(RxWay::NONE.0, Ordering::Relaxed);
    }
}

impl SkBuff {
    /// Asks the host's routes whether the packet, which came in by `dev`, is for this host and may come from where it says,
    /// unless they were asked before. The answer stays with the packet. Under RCU, for as long as the packet has it.
    ///
    /// Mirrors [`ip_rcv_finish_core`](srctree/net/ipv4/ip_input.c)
    #[inline]
    pub(crate) fn route_input(&mut self, dev: &NetDevice, saddr: u32, daddr: u32, tos: u8) -> bool {
        if self.dst().is_null() {
            // SAFETY: A packet of ours alone, with its network header, and a live device. RCU keeps the route.
            let refused = unsafe {
                bindings::ip_route_input_noref(
                    self.as_ptr(),
                    daddr.to_be(),
                    saddr.to_be(),
                    tos & bindings::INET_DSCP_MASK as u8,
                    dev.as_ptr(),
                )
            };
            if refused != 0 || self.dst().is_null() {
                return false;
            }
        }
        // SAFETY: Every route on an IPv4 packet is a `struct rtable`, which lives as long as the packet has it.
        let kind = unsafe { (&raw const (*self.dst().cast::<bindings::rtable>()).rt_type).read() };
        u32::from(kind) == bindings::RTN_LOCAL
    }

    /// The number of the host's routes by which it knows the packet's way; `None` if it has not asked for that.
    #[inline]
    pub(crate) fn rt_genid(&self) -> Option<u32> {
        let rt = self.dst().cast::<bindings::rtable>();
        // SAFETY: As above.
        (!rt.is_null()).then(|| unsafe { (&raw const (*rt).rt_genid).read() as u32 })
    }
}
