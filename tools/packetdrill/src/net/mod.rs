// SPDX-License-Identifier: GPL-2.0
//! The network around a script: a fresh namespace with one device, `tun0`, which stands for the whole
//! path to the remote host.
//!
//! * [`rtnetlink`] gives the device its address and the route;
//! * [`tun`] is where injected packets enter;
//! * [`sniffer`] sees what the stack sends, with the kernel's time stamps.

pub mod rtnetlink;
pub mod sniffer;
pub mod tun;

use std::net::Ipv4Addr;

use anyhow::Context;
use anyhow::Result;
use netlab::Family;
use uapi::c;

use self::sniffer::Sniffer;
use self::tun::Tun;

/// Addresses of the script's two hosts.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The stack under test.
    pub local: Ipv4Addr,
    /// Bits of its network's prefix.
    pub prefix: u8,
    /// What leads to the remote host; may be the local host itself, as the device has no neighbours.
    pub gateway: Ipv4Addr,
    /// The host that is played.
    pub remote: Ipv4Addr,
}

/// Bits of the remote network's prefix.
const REMOTE_PREFIX: u8 = 24;

/// The namespace's one device.
pub struct Net {
    /// Where packets enter.
    pub tun: Tun,
    /// Where they are seen leaving.
    pub sniffer: Sniffer,
}

impl Net {
    /// Takes the calling thread into a namespace of its own and builds it.
    ///
    /// With another family than `AF_INET` its stack takes over all IPv4 of the namespace.
    pub fn new(addresses: &Addresses, mtu: Option<u32>, family: Family) -> Result<Net> {
        uapi::unshare(c::CLONE_NEWNET).context("unshare(CLONE_NEWNET); are you root?")?;
        // What IPv6 sends by itself would only be noise.
        let _ = std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
        if family.is_rustnet() {
            std::fs::write("/proc/sys/net/rustnet/mode", "replace")
                .context("net.rustnet.mode=replace; is rustnet.ko loaded?")?;
        }
        let tun = Tun::new()?;
        let mut link = rtnetlink::Socket::new()?;
        let index = link.index(&tun.name)?;
        link.up(index, mtu).context("setting tun0 up")?;
        link.add_address(index, addresses.local, addresses.prefix)
            .context("giving tun0 its address")?;
        link.add_route(index, addresses.remote, REMOTE_PREFIX, addresses.gateway)
            .context("adding the route to the remote host")?;
        let sniffer = Sniffer::new(index)?;
        Ok(Net { tun, sniffer })
    }
}
