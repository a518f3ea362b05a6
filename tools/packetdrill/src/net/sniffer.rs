// SPDX-License-Identifier: GPL-2.0
//! What the stack sends, with the time at which the kernel handed it to the device.

use anyhow::Context;
use anyhow::Result;
use netlab::tap::ETH_P_IP;
use uapi::c;
use uapi::OwnedFd;

use crate::script::Usec;
use crate::sys;
use crate::sys::Arg;
use crate::sys::Message;

/// Room for what was captured and not looked at yet.
const BUFFER: i32 = 2 << 20;

/// An AF_PACKET socket on one device.
pub struct Sniffer {
    fd: OwnedFd,
}

impl Sniffer {
    /// Opens it.
    pub fn new(index: u32) -> Result<Sniffer> {
        // Protocol 0 until it is bound, or it would hear every device in between.
        let fd = uapi::socket(
            c::AF_PACKET,
            c::SOCK_RAW | c::SOCK_CLOEXEC | c::SOCK_NONBLOCK,
            0,
        )
        .context("socket(AF_PACKET)")?;
        uapi::setsockopt(*fd, c::SOL_SOCKET, c::SO_RCVBUFFORCE, &BUFFER)
            .context("SO_RCVBUFFORCE")?;
        uapi::setsockopt(*fd, c::SOL_SOCKET, c::SO_TIMESTAMPNS, &1i32).context("SO_TIMESTAMPNS")?;
        let mut address: c::sockaddr_ll = uapi::pod_zeroed();
        address.sll_family = c::AF_PACKET as u16;
        // Outgoing packets are only shown to those who ask for every protocol.
        address.sll_protocol = netlab::tap::ETH_P_ALL.to_be();
        address.sll_ifindex = index as i32;
        uapi::bind(*fd, &address).context("bind(AF_PACKET)")?;
        Ok(Sniffer { fd })
    }

    /// The next packet that went out, if there is one, and when it did.
    pub fn next(&mut self) -> Result<Option<(Usec, Vec<u8>)>> {
        loop {
            let message = Message {
                name: vec![0; size_of::<c::sockaddr_ll>()],
                iov: vec![vec![0; 65536 + 64]],
                control: vec![0; 64],
                flags: 0,
            };
            let mut args = [
                Arg::Int((*self.fd).into()),
                Arg::Message(message),
                Arg::Int(0),
            ];
            let len = match sys::call(c::SYS_recvmsg, &mut args) {
                Ok(len) => len as usize,
                Err(e) if e.0 == c::EAGAIN => return Ok(None),
                // The device is gone or down; what was captured has been given.
                Err(e) if e.0 == c::ENETDOWN => return Ok(None),
                Err(e) => return Err(e).context("recvmsg(AF_PACKET)"),
            };
            let [_, Arg::Message(message), _] = &mut args else {
                continue;
            };
            if kind(&message.name) != Some((ETH_P_IP, c::PACKET_OUTGOING)) {
                continue;
            }
            let mut packet = std::mem::take(&mut message.iov[0]);
            packet.truncate(len);
            packet.shrink_to_fit();
            let time =
                time_stamp(&message.control).context("a captured packet has no time stamp")?;
            return Ok(Some((time, packet)));
        }
    }

    /// Its descriptor, to wait for.
    pub fn fd(&self) -> i32 {
        *self.fd
    }
}

/// Protocol and direction, from a `struct sockaddr_ll`.
fn kind(name: &[u8]) -> Option<(u16, u8)> {
    let protocol = name.get(2..4)?;
    Some((
        u16::from_be_bytes([protocol[0], protocol[1]]),
        *name.get(10)?,
    ))
}

/// The time in the first control message, a SCM_TIMESTAMPNS.
fn time_stamp(control: &[u8]) -> Option<Usec> {
    let word = |at: usize| -> Option<i64> {
        Some(i64::from_ne_bytes(
            control.get(at..at + 8)?.try_into().ok()?,
        ))
    };
    Some(word(16)? * 1_000_000 + word(24)? / 1000)
}
