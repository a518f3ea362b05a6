// SPDX-License-Identifier: GPL-2.0
//! What the administrator says of ICMP redirects, and which addresses share a device's link.
//!
//! C header: [`include/linux/inetdevice.h`](srctree/include/linux/inetdevice.h)

use super::netdevice::NetDevice;
use crate::bindings;

impl NetDevice {
    /// Whether a setting is on for the device or for all.
    ///
    /// Mirrors [`IN_DEV_ORCONF`](srctree/include/linux/inetdevice.h)
    fn orconf(&self, which: u32) -> bool {
        let (own, all) = self.devconf(which);
        own != 0 || all != 0
    }

    /// Whether redirects that come by it are heeded. A router hears them only if told so twice. Under RCU.
    ///
    /// Mirrors [`IN_DEV_RX_REDIRECTS`](srctree/include/linux/inetdevice.h)
    pub(crate) fn rx_redirects(&self) -> bool {
        let (own, all) = self.devconf(bindings::IPV4_DEVCONF_ACCEPT_REDIRECTS);
        match self.forwards_ipv4() {
            true => own != 0 && all != 0,
            false => own != 0 || all != 0,
        }
    }

    /// Whether redirects are sent by it. Under RCU.
    ///
    /// Mirrors [`IN_DEV_TX_REDIRECTS`](srctree/include/linux/inetdevice.h)
    pub(crate) fn tx_redirects(&self) -> bool {
        self.orconf(bindings::IPV4_DEVCONF_SEND_REDIRECTS)
    }

    /// Whether several networks may share its link. Under RCU.
    ///
    /// Mirrors [`IN_DEV_SHARED_MEDIA`](srctree/include/linux/inetdevice.h)
    pub(crate) fn shared_media(&self) -> bool {
        self.orconf(bindings::IPV4_DEVCONF_SHARED_MEDIA)
    }

    /// Whether redirects are heeded only if they lead to a gateway that is one already. Under RCU.
    ///
    /// Mirrors [`IN_DEV_SEC_REDIRECTS`](srctree/include/linux/inetdevice.h)
    pub(crate) fn secure_redirects(&self) -> bool {
        self.orconf(bindings::IPV4_DEVCONF_SECURE_REDIRECTS)
    }

    /// Whether one network of the device's has both addresses, in host order. Under RCU.
    ///
    /// Mirrors [`inet_addr_onlink`](srctree/net/ipv4/devinet.c)
    pub(crate) fn addr_onlink(&self, a: u32, b: u32) -> bool {
        // SAFETY: Alive by the type invariant; what its pointers lead to is published and freed by RCU, under which
        // the caller is.
        unsafe {
            let in_dev = (&raw const (*self.as_ptr()).ip_ptr).read_volatile();
            if in_dev.is_null() {
                return false;
            }
            let mut next = (&raw const (*in_dev).ifa_list).read_volatile();
            while let Some(ifa) = next.as_ref() {
                let near = |addr: u32| (addr.to_be() ^ ifa.ifa_address) & ifa.ifa_mask == 0;
                if near(a) && near(b) {
                    return true;
                }
                next = (&raw const ifa.ifa_next).read_volatile();
            }
        }
        false
    }
}
