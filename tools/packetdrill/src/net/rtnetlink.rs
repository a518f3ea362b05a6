// SPDX-License-Identifier: GPL-2.0
//! As much of rtnetlink as one device needs: no `ip` has to be started for each script.

use std::net::Ipv4Addr;

use anyhow::bail;
use anyhow::Context;
use anyhow::Result;
use uapi::c;
use uapi::Errno;
use uapi::OwnedFd;

/// A rtnetlink socket.
pub struct Socket {
    fd: OwnedFd,
    seq: u32,
}

/// A request: header, fixed part, attributes.
struct Request(Vec<u8>);

impl Request {
    fn new(kind: u16, flags: c::c_int, fixed: &[u8]) -> Request {
        let flags = (c::NLM_F_REQUEST | c::NLM_F_ACK | flags) as u16;
        let mut bytes = vec![0; 4];
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(fixed);
        Request(bytes)
    }

    fn attribute(mut self, kind: u16, data: &[u8]) -> Request {
        self.0
            .extend_from_slice(&(4 + data.len() as u16).to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(data);
        // Every attribute begins on a word.
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }
}

impl Socket {
    /// Opens one in the calling thread's namespace.
    pub fn new() -> Result<Socket> {
        let fd = uapi::socket(
            c::AF_NETLINK,
            c::SOCK_RAW | c::SOCK_CLOEXEC,
            c::NETLINK_ROUTE,
        )
        .context("socket(AF_NETLINK)")?;
        Ok(Socket { fd, seq: 0 })
    }

    /// The index of a device of this namespace.
    pub fn index(&self, name: &str) -> Result<u32> {
        rustix::net::netdevice::name_to_index(&self.fd, name)
            .with_context(|| format!("no device {name}"))
    }

    /// Sends a request and waits for its acknowledgement.
    fn ask(&mut self, request: Request) -> Result<()> {
        let mut bytes = request.0;
        self.seq += 1;
        let len = bytes.len() as u32;
        bytes[..4].copy_from_slice(&len.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.seq.to_ne_bytes());
        uapi::send(*self.fd, &bytes[..], 0)?;
        let mut answer = [0u8; 4096];
        let got = uapi::recv(*self.fd, &mut answer[..], 0)?;
        match got.get(16..20) {
            Some(&[a, b, c, d]) => match i32::from_ne_bytes([a, b, c, d]) {
                0 => Ok(()),
                e => Err(Errno(-e).into()),
            },
            _ => bail!("a short answer from rtnetlink"),
        }
    }

    /// Sets a device up, and its MTU.
    pub fn up(&mut self, index: u32, mtu: Option<u32>) -> Result<()> {
        // struct ifinfomsg: family, pad, type, index, flags, change.
        let up = c::IFF_UP as u32;
        let fixed = [0, index, up, up].map(u32::to_ne_bytes).concat();
        let mut request = Request::new(c::RTM_NEWLINK, 0, &fixed);
        if let Some(mtu) = mtu {
            request = request.attribute(c::IFLA_MTU, &mtu.to_ne_bytes());
        }
        self.ask(request)
    }

    /// Gives a device an address.
    pub fn add_address(&mut self, index: u32, address: Ipv4Addr, prefix: u8) -> Result<()> {
        // struct ifaddrmsg: family, prefixlen, flags, scope, index.
        let mut fixed = vec![c::AF_INET as u8, prefix, 0, c::RT_SCOPE_UNIVERSE];
        fixed.extend_from_slice(&index.to_ne_bytes());
        let request = Request::new(c::RTM_NEWADDR, c::NLM_F_CREATE | c::NLM_F_EXCL, &fixed)
            .attribute(c::IFA_LOCAL, &address.octets())
            .attribute(c::IFA_ADDRESS, &address.octets());
        self.ask(request)
    }

    /// Adds the route to a host's network.
    pub fn add_route(
        &mut self,
        index: u32,
        host: Ipv4Addr,
        prefix: u8,
        gateway: Ipv4Addr,
    ) -> Result<()> {
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        let network = u32::from(host) & mask;
        // struct rtmsg: family, both prefix lengths, tos, table, protocol, scope, type, flags.
        let fixed = [
            c::AF_INET as u8,
            prefix,
            0,
            0,
            c::RT_TABLE_MAIN,
            c::RTPROT_BOOT,
            c::RT_SCOPE_UNIVERSE,
            c::RTN_UNICAST,
            0,
            0,
            0,
            0,
        ];
        let request = Request::new(c::RTM_NEWROUTE, c::NLM_F_CREATE | c::NLM_F_EXCL, &fixed)
            .attribute(c::RTA_DST, &network.to_be_bytes())
            .attribute(c::RTA_GATEWAY, &gateway.octets())
            .attribute(c::RTA_OIF, &index.to_ne_bytes());
        self.ask(request)
    }
}
