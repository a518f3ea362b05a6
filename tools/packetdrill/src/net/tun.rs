// SPDX-License-Identifier: GPL-2.0
//! The tun device: what is written to it comes in from the network.

use std::fs::File;
use std::fs::OpenOptions;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use anyhow::Context;
use anyhow::Result;
use uapi::c;

use crate::packet::wire;
use crate::sys;
use crate::sys::Arg;

/// Bytes of a `struct virtio_net_hdr`, which precedes each packet.
const VNET_HDR: usize = 10;
const VIRTIO_NET_HDR_GSO_TCPV4: u8 = 1;
/// Checksums and segmentation that the device does, so that the stack hands over large packets.
const TUN_F_CSUM: i64 = 1;
const TUN_F_TSO4: i64 = 2;
const TUN_F_TSO6: i64 = 4;
const TUN_F_TSO_ECN: i64 = 8;

/// A tun device of this process.
pub struct Tun {
    file: File,
    /// Its name.
    pub name: String,
}

impl Tun {
    /// Makes `tun0`.
    pub fn new() -> Result<Tun> {
        let name = "tun0";
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(c::O_NONBLOCK)
            .open("/dev/net/tun")
            .context("/dev/net/tun; is the module tun loaded?")?;
        let mut ifreq = vec![0u8; sys::IFREQ];
        ifreq[..name.len()].copy_from_slice(name.as_bytes());
        let flags = c::IFF_TUN | c::IFF_NO_PI | c::IFF_VNET_HDR;
        ifreq[16..18].copy_from_slice(&(flags as u16).to_ne_bytes());
        let fd = Arg::Int(file.as_raw_fd().into());
        let request = Arg::Int(sys::TUNSETIFF.into());
        sys::call(c::SYS_ioctl, &mut [fd, request, Arg::Bytes(ifreq)])
            .context("ioctl(TUNSETIFF)")?;
        let fd = Arg::Int(file.as_raw_fd().into());
        let request = Arg::Int(sys::TUNSETOFFLOAD.into());
        let offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
        sys::call(c::SYS_ioctl, &mut [fd, request, Arg::Int(offloads)])
            .context("ioctl(TUNSETOFFLOAD)")?;
        Ok(Tun {
            file,
            name: name.to_string(),
        })
    }

    /// Lets an IP packet come in. One with more payload than `mss` is marked as what receive offload makes
    /// of several.
    pub fn inject(&mut self, packet: &[u8], mss: Option<u16>) -> Result<()> {
        let mut frame = vec![0u8; VNET_HDR];
        frame.extend_from_slice(packet);
        if let Some(mss) = mss {
            mark_gso(&mut frame, mss);
        }
        self.file.write_all(&frame).context("writing to tun0")?;
        Ok(())
    }

    /// Reads and forgets what the stack has sent, so that the packets are over for it.
    pub fn drain(&mut self) {
        let mut buf = [0u8; 256];
        // A packet is gone when it is read, however little of it.
        while self.file.read(&mut buf).is_ok_and(|n| n > 0) {}
    }
}

impl AsRawFd for Tun {
    fn as_raw_fd(&self) -> i32 {
        self.file.as_raw_fd()
    }
}

/// Fills the header in if `frame` holds a TCP segment with more payload than `mss`.
///
/// Nothing is said of the headers' length nor of a checksum to be made: the kernel would then lay the
/// packet out in memory in another way, and a receive window depends on how much memory packets take.
fn mark_gso(frame: &mut [u8], mss: u16) {
    let segment = wire::parse(&frame[VNET_HDR..]);
    let payload = segment.and_then(|seen| seen.packet.tcp().map(|tcp| tcp.len));
    if payload.is_some_and(|len| len > u32::from(mss)) {
        frame[1] = VIRTIO_NET_HDR_GSO_TCPV4;
        frame[4..6].copy_from_slice(&mss.to_ne_bytes());
    }
}
