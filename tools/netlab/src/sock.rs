// SPDX-License-Identifier: GPL-2.0
//! A socket of any family, with the system calls spelled as in the manual pages.
//!
//! `std::net` cannot make sockets of a family it does not know, so this is the raw interface: every
//! call returns the errno untouched, because the errno is what the tests are about.

use std::io::IoSliceMut;
use std::net::Ipv4Addr;
use std::net::SocketAddrV4;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use uapi::c;
use uapi::Errno;
use uapi::OwnedFd;

use crate::family::Family;
use crate::ktap::Sysc;
use crate::wait;

/// The result of a system call.
pub type Sys<T> = Result<T, Errno>;

/// A socket; closed when dropped.
#[derive(Debug)]
pub struct Sock {
    fd: OwnedFd,
}

/// What one `recvmsg` returned.
#[derive(Debug)]
pub struct Message {
    /// The call's return value: with MSG_TRUNC the datagram's whole length.
    pub len: usize,
    /// `msg_flags`.
    pub flags: i32,
    /// The sender.
    pub from: SocketAddrV4,
    /// Length of the address that the kernel reported.
    pub namelen: usize,
    /// Control messages: level, type and data.
    pub control: Vec<(i32, i32, Vec<u8>)>,
}

/// `struct sockaddr_in` with the `sin_family` given: AF_RUSTNET takes AF_INET there too.
pub fn sockaddr_in(sin_family: i32, addr: SocketAddrV4) -> c::sockaddr_in {
    let mut sa: c::sockaddr_in = uapi::pod_zeroed();
    sa.sin_family = sin_family as u16;
    sa.sin_port = addr.port().to_be();
    sa.sin_addr.s_addr = u32::from_ne_bytes(addr.ip().octets());
    sa
}

fn from_sockaddr(sa: &c::sockaddr_in) -> SocketAddrV4 {
    let ip = Ipv4Addr::from(sa.sin_addr.s_addr.to_ne_bytes());
    SocketAddrV4::new(ip, u16::from_be(sa.sin_port))
}

impl Sock {
    /// `socket(2)`, close-on-exec.
    pub fn new(family: Family, ty: i32, protocol: i32) -> Sys<Sock> {
        uapi::socket(family.0, ty | c::SOCK_CLOEXEC, protocol).map(|fd| Sock { fd })
    }

    /// A TCP socket.
    pub fn tcp(family: Family) -> Sys<Sock> {
        Sock::new(family, c::SOCK_STREAM, 0)
    }

    /// A UDP socket.
    pub fn udp(family: Family) -> Sys<Sock> {
        Sock::new(family, c::SOCK_DGRAM, 0)
    }

    /// Takes over a descriptor that came from elsewhere (inherited, duplicated).
    pub fn from_fd(fd: OwnedFd) -> Sock {
        Sock { fd }
    }

    /// `dup(2)`.
    pub fn dup(&self) -> Sys<Sock> {
        uapi::fcntl_dupfd_cloexec(*self.fd, 3).map(|fd| Sock { fd })
    }

    /// The descriptor, without closing it.
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// `bind(2)` with `sin_family` = AF_INET.
    pub fn bind(&self, addr: SocketAddrV4) -> Sys<()> {
        uapi::bind(*self.fd, &sockaddr_in(c::AF_INET, addr))
    }

    /// `bind(2)` with any address structure.
    pub fn bind_raw<T: uapi::SockAddr>(&self, addr: &T) -> Sys<()> {
        uapi::bind(*self.fd, addr)
    }

    /// `connect(2)` with `sin_family` = AF_INET.
    pub fn connect(&self, addr: SocketAddrV4) -> Sys<()> {
        uapi::connect(*self.fd, &sockaddr_in(c::AF_INET, addr))
    }

    /// `connect(2)` with any address structure.
    pub fn connect_raw<T: uapi::SockAddr>(&self, addr: &T) -> Sys<()> {
        uapi::connect(*self.fd, addr)
    }

    /// `listen(2)`.
    pub fn listen(&self, backlog: i32) -> Sys<()> {
        uapi::listen(*self.fd, backlog)
    }

    /// `accept4(2)`: the new socket and its peer. SOCK_CLOEXEC is added.
    pub fn accept4(&self, flags: i32) -> Sys<(Sock, SocketAddrV4)> {
        let mut sa: c::sockaddr_in = uapi::pod_zeroed();
        let (fd, _) = uapi::accept4(*self.fd, Some(&mut sa), flags | c::SOCK_CLOEXEC)?;
        Ok((Sock { fd }, from_sockaddr(&sa)))
    }

    /// `accept4(2)`, blocking or not as the listener is.
    pub fn accept(&self) -> Sys<Sock> {
        self.accept4(0).map(|(s, _)| s)
    }

    /// `getsockname(2)`: the whole structure and its length.
    pub fn getsockname(&self) -> Sys<(c::sockaddr_in, usize)> {
        let mut sa: c::sockaddr_in = uapi::pod_zeroed();
        let len = uapi::getsockname(*self.fd, &mut sa)?;
        Ok((sa, len as usize))
    }

    /// `getpeername(2)`: the whole structure and its length.
    pub fn getpeername(&self) -> Sys<(c::sockaddr_in, usize)> {
        let mut sa: c::sockaddr_in = uapi::pod_zeroed();
        let len = uapi::getpeername(*self.fd, &mut sa)?;
        Ok((sa, len))
    }

    /// The local address.
    pub fn local(&self) -> Sys<SocketAddrV4> {
        Ok(from_sockaddr(&self.getsockname()?.0))
    }

    /// The peer's address.
    pub fn peer(&self) -> Sys<SocketAddrV4> {
        Ok(from_sockaddr(&self.getpeername()?.0))
    }

    /// `send(2)`. MSG_NOSIGNAL is the caller's to add; Rust programs ignore SIGPIPE anyway.
    pub fn send(&self, buf: &[u8], flags: i32) -> Sys<usize> {
        uapi::send(*self.fd, buf, flags)
    }

    /// Sends all of it, or fails.
    pub fn send_all(&self, mut buf: &[u8]) -> Sys<()> {
        while !buf.is_empty() {
            let n = self.send(buf, c::MSG_NOSIGNAL)?;
            buf = &buf[n..];
        }
        Ok(())
    }

    /// `sendto(2)`.
    pub fn sendto(&self, buf: &[u8], flags: i32, to: SocketAddrV4) -> Sys<usize> {
        uapi::sendto(*self.fd, buf, flags, &sockaddr_in(c::AF_INET, to))
    }

    /// `recv(2)`.
    pub fn recv(&self, buf: &mut [u8], flags: i32) -> Sys<usize> {
        // Not uapi::recv: with MSG_TRUNC the length may exceed the buffer, which it slices.
        if flags & c::MSG_TRUNC != 0 {
            return self.recvmsg(buf, flags).map(|m| m.len);
        }
        uapi::recv(*self.fd, buf, flags).map(|got| got.len())
    }

    /// Fills the buffer, or fails; an early end of the stream is EPIPE.
    pub fn recv_exact(&self, buf: &mut [u8]) -> Sys<()> {
        let mut done = 0;
        while done < buf.len() {
            match self.recv(&mut buf[done..], 0)? {
                0 => return Err(Errno(c::EPIPE)),
                n => done += n,
            }
        }
        Ok(())
    }

    /// Reads until the peer has finished.
    pub fn recv_to_end(&self) -> Sys<Vec<u8>> {
        let (mut all, mut buf) = (Vec::new(), [0; 16384]);
        loop {
            match self.recv(&mut buf, 0)? {
                0 => return Ok(all),
                n => all.extend_from_slice(&buf[..n]),
            }
        }
    }

    /// `recvfrom(2)`.
    pub fn recvfrom(&self, buf: &mut [u8], flags: i32) -> Sys<(usize, SocketAddrV4)> {
        self.recvmsg(buf, flags).map(|m| (m.len, m.from))
    }

    /// `recvmsg(2)` with room for 256 bytes of control messages.
    pub fn recvmsg(&self, buf: &mut [u8], flags: i32) -> Sys<Message> {
        use rustix::net::RecvFlags;
        if flags & c::MSG_TRUNC != 0 {
            // rustix keeps the reported length apart from the bytes received.
            let f = RecvFlags::from_bits_retain(flags as u32);
            let (_, len, from) = rustix::net::recvfrom(self, &mut *buf, f).map_err(errno)?;
            let from = from.and_then(|a| SocketAddrV4::try_from(a).ok());
            let namelen = if from.is_some() { 16 } else { 0 };
            let from = from.unwrap_or(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));
            return Ok(Message {
                len,
                flags: 0,
                from,
                namelen,
                control: Vec::new(),
            });
        }
        let mut sa: c::sockaddr_in = uapi::pod_zeroed();
        let mut control = [0u64; 32];
        let iov = &mut [IoSliceMut::new(buf)][..];
        let mut hdr = uapi::MsghdrMut {
            iov,
            control: Some(&mut control),
            name: Some(&mut sa),
            flags: 0,
        };
        let (data, namelen, mut cmsgs) = uapi::recvmsg(*self.fd, &mut hdr, flags)?;
        let len = data.iter().map(|part| part.len()).sum();
        let mut control = Vec::new();
        while !cmsgs.is_empty() {
            let (_, h, data) = uapi::cmsg_read(&mut cmsgs)?;
            control.push((h.cmsg_level, h.cmsg_type, data.to_vec()));
        }
        let flags = hdr.flags;
        Ok(Message {
            len,
            flags,
            from: from_sockaddr(&sa),
            namelen,
            control,
        })
    }

    /// `shutdown(2)`.
    pub fn shutdown(&self, how: i32) -> Sys<()> {
        uapi::shutdown(*self.fd, how)
    }

    /// `setsockopt(2)` with raw bytes.
    pub fn setsockopt(&self, level: i32, name: i32, value: &[u8]) -> Sys<()> {
        uapi::setsockopt(*self.fd, level, name, value)
    }

    /// `getsockopt(2)` with room for `room` bytes; what came back.
    pub fn getsockopt(&self, level: i32, name: i32, room: usize) -> Sys<Vec<u8>> {
        let mut value = vec![0u8; room];
        let len = uapi::getsockopt(*self.fd, level, name, &mut value[..])?;
        value.truncate(len);
        Ok(value)
    }

    /// `getsockopt(2)` of what is asked with `value`, which is also the room for the answer; what came back.
    pub fn ask(&self, level: i32, name: i32, value: &[u8]) -> Sys<Vec<u8>> {
        let mut value = value.to_vec();
        let len = uapi::getsockopt(*self.fd, level, name, &mut value[..])?;
        value.truncate(len);
        Ok(value)
    }

    /// `setsockopt(2)` with an int.
    pub fn set(&self, level: i32, name: i32, value: i32) -> Sys<()> {
        self.setsockopt(level, name, &value.to_ne_bytes())
    }

    /// `getsockopt(2)` of an int.
    pub fn get(&self, level: i32, name: i32) -> Sys<i32> {
        let v = self.getsockopt(level, name, 4)?;
        let mut word = [0; 4];
        word[..v.len()].copy_from_slice(&v);
        Ok(i32::from_ne_bytes(word))
    }

    /// Takes and clears SO_ERROR.
    pub fn take_error(&self) -> Sys<i32> {
        self.get(c::SOL_SOCKET, c::SO_ERROR)
    }

    /// SO_LINGER.
    pub fn linger(&self, on: bool, seconds: i32) -> Sys<()> {
        let l = c::linger {
            l_onoff: i32::from(on),
            l_linger: seconds,
        };
        uapi::setsockopt(*self.fd, c::SOL_SOCKET, c::SO_LINGER, &l)
    }

    /// With SO_RCVTIMEO at [`wait::PATIENCE`]: a datagram may be lost, for want of memory if nothing else, and who
    /// waits for it has to say so.
    pub fn with_patience(self) -> anyhow::Result<Sock> {
        self.timeo(c::SO_RCVTIMEO, wait::PATIENCE)
            .sys("SO_RCVTIMEO")?;
        Ok(self)
    }

    /// SO_RCVTIMEO or SO_SNDTIMEO.
    pub fn timeo(&self, name: i32, after: Duration) -> Sys<()> {
        let tv = c::timeval {
            tv_sec: after.as_secs() as i64,
            tv_usec: i64::from(after.subsec_micros()),
        };
        uapi::setsockopt(*self.fd, c::SOL_SOCKET, name, &tv)
    }

    /// TCP_NODELAY.
    pub fn nodelay(&self, on: bool) -> Sys<()> {
        self.set(c::IPPROTO_TCP, c::TCP_NODELAY, i32::from(on))
    }

    /// O_NONBLOCK.
    pub fn nonblocking(&self, on: bool) -> Sys<()> {
        rustix::io::ioctl_fionbio(self, on).map_err(errno)
    }

    /// FIONREAD, which is SIOCINQ.
    pub fn inq(&self) -> Sys<u64> {
        rustix::io::ioctl_fionread(self).map_err(errno)
    }

    /// Polls for `events`; 0 when the time is up.
    pub fn poll(&self, events: i16, timeout: Duration) -> Sys<i16> {
        wait::poll_fd(self, events, timeout)
    }

    /// Polls for `events` and fails with ETIMEDOUT when they do not come.
    pub fn await_events(&self, events: i16) -> Sys<i16> {
        match self.poll(events, wait::PATIENCE)? {
            0 => Err(Errno(c::ETIMEDOUT)),
            got => Ok(got),
        }
    }

    /// Waits until poll tells of a reset, by both ERR and HUP: `tcp_reset` sets the error a moment before the state.
    pub fn await_reset(&self) -> anyhow::Result<()> {
        let both = c::POLLERR | c::POLLHUP;
        wait::until("ERR and HUP", || {
            let ev = self.poll(both, Duration::ZERO).ok()?;
            (ev & both == both).then_some(())
        })
    }
}

/// rustix's errno as ours.
fn errno(e: rustix::io::Errno) -> Errno {
    Errno(e.raw_os_error())
}

impl AsRawFd for Sock {
    fn as_raw_fd(&self) -> i32 {
        *self.fd
    }
}

impl AsFd for Sock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
