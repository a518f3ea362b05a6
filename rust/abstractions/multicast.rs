// SPDX-License-Identifier: GPL-2.0
//! Groups that sockets and devices are in.
//!
//! A socket's memberships are the host's own objects, made by its `ip_setsockopt` and kept in
//! `struct inet_sock`: so one IGMP speaks for this host, whichever family joined.
//!
//! C header: [`include/linux/igmp.h`](srctree/include/linux/igmp.h)

use super::{
    netdevice::NetDevice,
    netns::Net,
    rcu,
    rtnl::Rtnl,
    skbuff::{
        SkBuff,
        Skb, //
    },
    sock::Sk, //
};
use crate::bindings;

impl Sk {
    /// Leaves every group, before the socket goes. Process context, without the socket's lock; sleeps.
    ///
    /// Mirrors [`ip_mc_drop_socket`](srctree/net/ipv4/igmp.c)
    pub fn leave_groups(&self) {
        let list = {
            // SAFETY: A live socket.
            unsafe { &raw mut (*self.as_inet()).mc_list }
        };
        // SAFETY: A live socket's pointer, read once: nobody is left to join.
        if unsafe { list.read_volatile() }.is_null() {
            return;
        }
        let _rtnl = Rtnl::lock();
        // SAFETY: The list changes under the RTNL alone, and the function takes the entry out and frees it.
        unsafe {
            while let Some(iml) = list.read_volatile().as_ref() {
                let mut which = iml.multi;
                if bindings::ip_mc_leave_group(self.as_ptr(), &mut which) != 0 {
                    break;
                }
            }
        }
    }

    /// The socket's filter of who may send to `group`, in host order, by the device `ifindex`: whether it names those
    /// that may (`MCAST_INCLUDE`, else those that may not), and how many; `each` is told of them, in host order. `None`
    /// if the socket is not in the group. Process context; sleeps.
    ///
    /// Mirrors [`ip_mc_gsfget`](srctree/net/ipv4/igmp.c)
    pub fn source_filter(
        &self,
        group: u32,
        ifindex: i32,
        mut each: impl FnMut(u32),
    ) -> Option<(u32, usize)> {
        let _rtnl = Rtnl::lock();
        // SAFETY: Under the RTNL nobody changes the list.
        unsafe {
            let mut found = None;
            let mut next = (&raw const (*self.as_inet()).mc_list).read_volatile();
            while let Some(pmc) = next.as_ref() {
                if pmc.multi.imr_multiaddr.s_addr == group.to_be()
                    && pmc.multi.imr_ifindex == ifindex
                {
                    let n = pmc.sflist.as_ref().map_or(0, |psl| {
                        let first = psl.sl_addr.as_ptr();
                        let n = psl.sl_count as usize;
                        (0..n).for_each(|i| each(u32::from_be(first.add(i).read())));
                        n
                    });
                    found = Some((pmc.sfmode, n));
                    break;
                }
                next = (&raw const pmc.next_rcu).read_volatile();
            }
            found
        }
    }

    /// Whether the socket wants what `saddr` sent to `daddr`, in host order, and what came in by the device
    /// `dif`: not if `daddr` is a group that it has not joined there and `IP_MULTICAST_ALL` is off, or if it
    /// wants others' packets only. Any context.
    ///
    /// Mirrors [`ip_mc_sf_allow`](srctree/net/ipv4/igmp.c)
    pub fn mc_sf_allow(&self, daddr: u32, saddr: u32, dif: i32) -> bool {
        if daddr >> 28 != 0xe {
            return true;
        }
        let _rcu = rcu::read_lock();
        // SAFETY: A live socket; list entries and source lists are published and freed by RCU.
        unsafe {
            let mut next = (&raw const (*self.as_inet()).mc_list).read_volatile();
            while let Some(pmc) = next.as_ref() {
                if pmc.multi.imr_multiaddr.s_addr == daddr.to_be() && pmc.multi.imr_ifindex == dif {
                    let excludes = pmc.sfmode == bindings::MCAST_EXCLUDE;
                    let Some(psl) = (&raw const pmc.sflist).read_volatile().as_ref() else {
                        return excludes;
                    };
                    // Never more than the array holds; the elements may move meanwhile, as for C.
                    let n = (&raw const psl.sl_count).read_volatile() as usize;
                    let first = psl.sl_addr.as_ptr();
                    let listed = (0..n).any(|i| first.add(i).read_volatile() == saddr.to_be());
                    return listed != excludes;
                }
                next = (&raw const pmc.next_rcu).read_volatile();
            }
        }
        self.inet_flag(bindings::INET_FLAGS_MC_ALL)
    }
}

impl NetDevice {
    /// Whether this host is in the group `group`, in host order, on this device. Under RCU.
    ///
    /// Mirrors [`ip_check_mc_rcu`](srctree/net/ipv4/igmp.c)
    pub(crate) fn has_group(&self, group: u32) -> bool {
        // SAFETY: A live device, under RCU, which keeps what its pointers lead to.
        unsafe {
            let dev = self.as_ptr();
            let Some(in_dev) = (&raw const (*dev).ip_ptr).read_volatile().as_ref() else {
                return false;
            };
            // With few groups there is no table of them, and the list has all of them in any case.
            let mut next = (&raw const in_dev.mc_list).read_volatile();
            while let Some(im) = next.as_ref() {
                if im.multiaddr == group.to_be() {
                    return true;
                }
                next = (&raw const im.__bindgen_anon_1.next_rcu).read_volatile();
            }
        }
        false
    }
}

impl SkBuff {
    /// Whether who sent the packet wants this host to hear it, too (`IP_MULTICAST_LOOP`).
    ///
    /// Mirrors [`sk_mc_loop`](srctree/net/core/sock.c)
    pub(crate) fn mc_loop(&self) -> bool {
        // SAFETY: The packet is alive, and with it the socket that it is charged to: one of ours, each of which
        // is a `struct inet_sock`.
        unsafe {
            match (*self.as_ptr()).sk {
                sk if sk.is_null() => true,
                sk => Sk::from_raw(sk).inet_flag(bindings::INET_FLAGS_MC_LOOP),
            }
        }
    }
}

impl Skb {
    /// Lets this host hear a packet that is about to leave, whose data begin with the IP header and which has
    /// its route and device. Under RCU; without memory the copy is lost as it might be on a wire.
    ///
    /// Mirrors [`ip_mc_output`](srctree/net/ipv4/ip_output.c)
    pub(crate) fn loop_back(&self, net: &Net) {
        if let Some(copy) = self.dup() {
            // SAFETY: The copy is ours and consumed; its route stays until the function takes a reference, for
            // we are under RCU.
            unsafe {
                bindings::dev_loopback_xmit(net.as_ptr(), core::ptr::null_mut(), copy.into_raw())
            };
        }
    }
}
