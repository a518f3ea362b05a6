// SPDX-License-Identifier: GPL-2.0
//! Groups that sockets and devices are in by the host's word.
//!
//! In `coexist` a socket's memberships are the host's own objects, made by its `ip_setsockopt` and kept in
//! `struct inet_sock`: so one IGMP speaks for this host, whichever family joined. In `replace` they are RustNet's, and a
//! device only learns which frames to take.
//!
//! C header: [`include/linux/igmp.h`](srctree/include/linux/igmp.h)

use super::{
    netdevice::{
        NetDevice,
        ETH_ALEN, //
    },
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
use kernel::error::{
    to_result,
    Result, //
};

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
    /// if the host does not have it in the group.
    ///
    /// Mirrors [`ip_mc_gsfget`](srctree/net/ipv4/igmp.c)
    pub(crate) fn source_filter(
        &self,
        group: u32,
        ifindex: i32,
        mut each: impl FnMut(u32),
        _rtnl: &Rtnl,
    ) -> Option<(u32, usize)> {
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

/// What the administrator says of IGMP on a device.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IgmpConf {
    /// `net.ipv4.conf.DEV.force_igmp_version`, or that of `all`; 0 for what routers speak.
    pub(crate) force_version: i32,
    /// `net.ipv4.conf.DEV.igmpv2_unsolicited_report_interval`, in milliseconds.
    pub(crate) v2_interval: i32,
    /// `net.ipv4.conf.DEV.igmpv3_unsolicited_report_interval`, in milliseconds.
    pub(crate) v3_interval: i32,
}

impl NetDevice {
    /// What the administrator says of IGMP. Under RCU.
    ///
    /// Mirrors [`IGMP_V1_SEEN`, `unsolicited_report_interval`](srctree/net/ipv4/igmp.c)
    pub(crate) fn igmp_conf(&self) -> IgmpConf {
        let own = |which| self.devconf(which).0;
        let (force, all) = self.devconf(bindings::IPV4_DEVCONF_FORCE_IGMP_VERSION);
        IgmpConf {
            force_version: if all != 0 { all } else { force },
            v2_interval: own(bindings::IPV4_DEVCONF_IGMPV2_UNSOLICITED_REPORT_INTERVAL),
            v3_interval: own(bindings::IPV4_DEVCONF_IGMPV3_UNSOLICITED_REPORT_INTERVAL),
        }
    }

    /// Has the device take frames to a group address, or takes one such wish back: wishes are counted. Process context.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    ///
    /// Mirrors [`ip_mc_filter_add`, `ip_mc_filter_del`](srctree/net/ipv4/igmp.c)
    pub(crate) fn want_group(&self, ha: [u8; ETH_ALEN], on: bool, _rtnl: &Rtnl) -> Result {
        // SAFETY: Alive by the type invariant; the address has the length that the caller's devices have, Ethernet's.
        to_result(unsafe {
            match on {
                true => bindings::dev_mc_add(self.as_ptr(), ha.as_ptr()),
                false => bindings::dev_mc_del(self.as_ptr(), ha.as_ptr()),
            }
        })
    }

    /// Has the host be in a group for our sake, with packets of all sources, or takes one such wish back: wishes are
    /// counted.
    ///
    /// Mirrors [`ip_mc_inc_group`, `ip_mc_dec_group`](srctree/net/ipv4/igmp.c)
    pub(crate) fn host_group(&self, group: u32, on: bool, _rtnl: &Rtnl) {
        // SAFETY: Alive by the type invariant; the RTNL, under which the structure is made and destroyed, is held.
        unsafe {
            let in_dev = (&raw const (*self.as_ptr()).ip_ptr).read_volatile();
            match on {
                _ if in_dev.is_null() => (),
                true => bindings::ip_mc_inc_group(in_dev, group.to_be()),
                false => bindings::__ip_mc_dec_group(in_dev, group.to_be(), bindings::GFP_KERNEL),
            }
        }
    }

    /// Whether the host has this host in the group `group`, in host order, on this device. Under RCU.
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
