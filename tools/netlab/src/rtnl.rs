// SPDX-License-Identifier: GPL-2.0
//! What every laboratory asks of the kernel: a pair of devices, an address, "up". By rtnetlink, for to start a process
//! of `ip` costs an emulated kernel as much as a namespace does. Everything else goes by [`Namespace::ip`].

use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

use anyhow::bail;
use anyhow::Context;
use anyhow::Result;
use netlink_packet_core::NetlinkMessage;
use netlink_packet_core::NetlinkPayload;
use netlink_packet_core::NLM_F_ACK;
use netlink_packet_core::NLM_F_CREATE;
use netlink_packet_core::NLM_F_EXCL;
use netlink_packet_core::NLM_F_REQUEST;
use netlink_packet_route::address::AddressAttribute;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::InfoData;
use netlink_packet_route::link::InfoKind;
use netlink_packet_route::link::InfoVeth;
use netlink_packet_route::link::LinkAttribute;
use netlink_packet_route::link::LinkFlags;
use netlink_packet_route::link::LinkInfo;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::link::State;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::Socket;
use netlink_sys::SocketAddr;

use crate::ns::Namespace;
use crate::wait;

/// One end of a veth pair.
pub struct Veth<'a> {
    /// The device's name.
    pub dev: &'a str,
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// Where it shall be.
    pub ns: &'a Namespace,
}

type Answer = NetlinkPayload<RouteNetlinkMessage>;

/// A conversation with the kernel about one namespace.
pub struct Rtnl(Socket);

impl Rtnl {
    /// About this namespace.
    pub fn of(ns: &Namespace) -> Result<Rtnl> {
        let mut socket = ns.enter(|| Socket::new(NETLINK_ROUTE))?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Rtnl(socket))
    }

    /// Sends a request and returns the first message that answers it.
    fn talk(&self, message: RouteNetlinkMessage, flags: u16) -> Result<Answer> {
        let mut message = NetlinkMessage::from(message);
        message.header.flags = NLM_F_REQUEST | flags;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.0.send(&bytes, 0)?;
        let (answer, _) = self.0.recv_from_full()?;
        match NetlinkMessage::deserialize(&answer)?.payload {
            NetlinkPayload::Error(said) if said.code.is_some() => Err(said.to_io().into()),
            payload => Ok(payload),
        }
    }

    /// Asks and hears whether it was done.
    fn ask(&self, message: RouteNetlinkMessage, flags: u16) -> Result<()> {
        match self.talk(message, NLM_F_ACK | flags)? {
            NetlinkPayload::Error(_) => Ok(()),
            other => bail!("rtnetlink answers {other:?}"),
        }
    }

    /// Makes a pair of devices.
    pub fn veth(&self, one: &Veth<'_>, other: &Veth<'_>) -> Result<()> {
        let end = |veth: &Veth<'_>| {
            let mut link = LinkMessage::default();
            link.attributes = vec![
                LinkAttribute::IfName(veth.dev.into()),
                LinkAttribute::Address(veth.mac.to_vec()),
                LinkAttribute::NetNsFd(veth.ns.as_raw_fd()),
            ];
            link
        };
        let mut link = end(one);
        link.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(end(other)))),
        ]));
        self.ask(
            RouteNetlinkMessage::NewLink(link),
            NLM_F_CREATE | NLM_F_EXCL,
        )
        .with_context(|| format!("a pair of veth, {} and {}", one.dev, other.dev))
    }

    fn index(&self, dev: &str) -> Result<u32> {
        rustix::net::netdevice::name_to_index(&self.0, dev).with_context(|| dev.to_owned())
    }

    /// Gives a device an address of a network of 24 bits, and sets it up.
    pub fn up_with(&self, dev: &str, ip: Ipv4Addr) -> Result<()> {
        let mut address = AddressMessage::default();
        address.header.family = AddressFamily::Inet;
        address.header.prefix_len = 24;
        address.header.index = self.index(dev)?;
        address.attributes = vec![
            AddressAttribute::Local(ip.into()),
            AddressAttribute::Address(ip.into()),
        ];
        self.ask(
            RouteNetlinkMessage::NewAddress(address),
            NLM_F_CREATE | NLM_F_EXCL,
        )
        .with_context(|| format!("{ip}/24 for {dev}"))?;
        self.up(dev)
    }

    /// Sets a device up.
    pub fn up(&self, dev: &str) -> Result<()> {
        let mut link = LinkMessage::default();
        link.header.index = self.index(dev)?;
        link.header.flags = LinkFlags::Up;
        link.header.change_mask = LinkFlags::Up;
        self.ask(RouteNetlinkMessage::SetLink(link), 0)
            .with_context(|| format!("{dev} up"))
    }

    /// Waits until a device that is up, and whose other end is, carries packets. The first end of a veth pair has no
    /// carrier when it is set up; it comes with the second, and a worker of the kernel's (`linkwatch_do_dev`) lets
    /// packets in later. What is sent before is lost without a word.
    pub fn carries(&self, dev: &str) -> Result<()> {
        let mut link = LinkMessage::default();
        link.header.index = self.index(dev)?;
        let up = LinkAttribute::OperState(State::Up);
        wait::until(&format!("{dev} to carry"), || {
            match self.talk(RouteNetlinkMessage::GetLink(link.clone()), 0) {
                Ok(Answer::InnerMessage(RouteNetlinkMessage::NewLink(link))) => {
                    link.attributes.contains(&up).then_some(())
                }
                _ => None,
            }
        })?;
        // The worker says so a moment too soon, but within the lock that this takes.
        self.up(dev)
    }
}
