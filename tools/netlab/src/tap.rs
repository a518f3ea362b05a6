// SPDX-License-Identifier: GPL-2.0
//! A raw AF_PACKET socket on one device: sees every frame of the wire and can put any frame there.

use std::time::Duration;
use std::time::Instant;

use anyhow::bail;
use anyhow::Context;
use anyhow::Result;
use uapi::c;
use uapi::OwnedFd;

use crate::frame::Frame;
use crate::ktap::Sysc;
use crate::lab::End;
use crate::wait;

/// Every protocol.
pub const ETH_P_ALL: u16 = 0x0003;
/// IPv4.
pub const ETH_P_IP: u16 = 0x0800;
/// Set aside for local experiments by IEEE 802: no stack looks at it.
pub const ETH_P_LOCAL: u16 = 0x88b5;

/// A tap on one end's device.
#[derive(Debug)]
pub struct Tap {
    fd: OwnedFd,
    /// The end it hangs on.
    pub end: End,
    ifindex: i32,
}

/// Which way a captured frame went, as seen from the tap's device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It came from the wire.
    In,
    /// This namespace sent it.
    Out,
}

impl Tap {
    /// Opens a tap for one protocol (host byte order).
    pub fn new(end: &End, protocol: u16) -> Result<Tap> {
        let (fd, ifindex) = end.ns.enter(|| -> Result<_> {
            let fd = uapi::socket(
                c::AF_PACKET,
                c::SOCK_RAW | c::SOCK_CLOEXEC,
                i32::from(protocol.to_be()),
            )
            .sys("socket(AF_PACKET)")?;
            let name = format!("/sys/class/net/{}/ifindex", end.dev);
            // /sys shows the namespace of its mount, so ask the socket layer instead.
            let ifindex = rustix::net::netdevice::name_to_index(&fd, &end.dev)
                .with_context(|| format!("no such device: {name}"))?;
            Ok((fd, ifindex as i32))
        })?;
        // SO_RCVBUFFORCE: a flood must not push out the frames that the test looks for.
        let big: i32 = 16 << 20;
        let _ = uapi::setsockopt(*fd, c::SOL_SOCKET, c::SO_RCVBUFFORCE, &big);
        let tap = Tap {
            fd,
            end: end.clone(),
            ifindex,
        };
        uapi::bind(*tap.fd, &tap.sockaddr(protocol)).sys("bind(AF_PACKET)")?;
        Ok(tap)
    }

    fn sockaddr(&self, protocol: u16) -> c::sockaddr_ll {
        let mut sa: c::sockaddr_ll = uapi::pod_zeroed();
        sa.sll_family = c::AF_PACKET as u16;
        sa.sll_protocol = protocol.to_be();
        sa.sll_ifindex = self.ifindex;
        sa
    }

    /// Puts a frame on the wire as it is, however wrong.
    pub fn send(&self, frame: &[u8]) -> Result<(), uapi::Errno> {
        uapi::send(*self.fd, frame, 0).map(drop)
    }

    /// The next frame, or `None` when `timeout` passes first.
    pub fn recv(&self, timeout: Duration) -> Result<Option<(Way, Frame)>> {
        if wait::poll_fd(&self.fd, c::POLLIN, timeout)? == 0 {
            return Ok(None);
        }
        let mut buf = vec![0u8; 65536 + 64];
        let mut from: c::sockaddr_ll = uapi::pod_zeroed();
        let (data, _) = uapi::recvfrom(*self.fd, &mut buf[..], 0, &mut from)?;
        let way = match from.sll_pkttype {
            c::PACKET_OUTGOING => Way::Out,
            _ => Way::In,
        };
        Ok(Some((way, Frame(data.to_vec()))))
    }

    /// Receives into `buf` without looking at it: for measurements.
    pub fn recv_into(&self, buf: &mut [u8]) -> Result<usize, uapi::Errno> {
        uapi::recv(*self.fd, buf, 0).map(|got| got.len())
    }

    /// The first frame that `wanted` maps to a value; an error after [`wait::PATIENCE`].
    pub fn find<T>(
        &self,
        what: &str,
        mut wanted: impl FnMut(Way, &Frame) -> Option<T>,
    ) -> Result<T> {
        let end = Instant::now() + wait::PATIENCE;
        while let Some((way, frame)) = self.recv(end.saturating_duration_since(Instant::now()))? {
            if let Some(found) = wanted(way, &frame) {
                return Ok(found);
            }
        }
        bail!(
            "not seen on {} within {:?}: {what}",
            self.end.dev,
            wait::PATIENCE
        )
    }

    /// Every frame that has been captured so far, without waiting for more.
    pub fn drain(&self) -> Result<Vec<(Way, Frame)>> {
        let mut all = Vec::new();
        while let Some(one) = self.recv(Duration::ZERO)? {
            all.push(one);
        }
        Ok(all)
    }
}
