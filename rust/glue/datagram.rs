// SPDX-License-Identifier: GPL-2.0
//! What sockets have in common whose messages are packets: poll, ioctl, shutdown, the destination of a
//! message.
//!
//! Mirrors [`datagram.c`](srctree/net/core/datagram.c), [`net/ipv4/datagram.c`](srctree/net/ipv4/datagram.c)

use super::{
    inet_sock,
    sockopt, //
};
use crate::{
    abstractions::{
        proto::Protocol,
        sock::Sock,
        sock_lock::UserLock,
        socket::{
            IoctlArg,
            Msg,
            Socket, //
        },
    },
    bindings,
    stack::wire::ipv4::Addr,
};
use kernel::{
    error::{
        code::*,
        Result, //
    },
    ffi::c_int, //
};

/// Mirrors [`datagram_poll`](srctree/net/core/datagram.c)
pub(super) fn poll<P: Protocol>(so: &Sock<P>) -> u32 {
    let mut mask = 0;
    if so.err() != 0 {
        mask |= bindings::EPOLLERR;
    }
    let shut = u32::from(so.shutdown());
    if shut & bindings::RCV_SHUTDOWN != 0 {
        mask |= bindings::EPOLLRDHUP | bindings::EPOLLIN | bindings::EPOLLRDNORM;
    }
    if shut == bindings::SHUTDOWN_MASK {
        mask |= bindings::EPOLLHUP;
    }
    if !so.receive_queue_empty() {
        mask |= bindings::EPOLLIN | bindings::EPOLLRDNORM;
    }
    if so.dgram_is_writeable() {
        mask |= bindings::EPOLLOUT | bindings::EPOLLWRNORM | bindings::EPOLLWRBAND;
    } else {
        so.set_async_nospace();
    }
    mask
}

/// Mirrors [`udp_ioctl`](srctree/net/ipv4/udp.c)
pub(super) fn ioctl<P: Protocol>(so: &Sock<P>, cmd: u32, arg: IoctlArg<'_>) -> Result<c_int> {
    match cmd {
        bindings::SIOCOUTQ => arg.put_int(so.wmem_alloc().saturating_sub(1) as c_int),
        bindings::SIOCINQ => arg.put_int(so.first_len() as c_int),
        _ => Ok(arg.host()),
    }
}

/// Mirrors [`inet_shutdown`](srctree/net/ipv4/af_inet.c)
///
/// # Errors
///
/// EINVAL; ENOTCONN, and it is shut all the same.
pub(super) fn shutdown<P: Protocol>(sock: &Socket<'_, P>, how: c_int) -> Result {
    let how = sockopt::shutdown_bits(how)?;
    let so = sock.sk();
    let _lock = UserLock::new(so);
    so.set_shutdown(so.shutdown() | how);
    let ret = if so.state() == bindings::TCP_CLOSE as u8 {
        Err(ENOTCONN)
    } else {
        Ok(())
    };
    so.state_change();
    ret
}

/// Where the user wants the message to go: address and port; `None` for the peer of a connected socket.
///
/// # Errors
///
/// EINVAL, EAFNOSUPPORT; EDESTADDRREQ for a socket without a peer.
pub(super) fn destination<P: Protocol>(so: &Sock<P>, msg: &Msg<'_>) -> Result<Option<(Addr, u16)>> {
    match msg.name() {
        Some(addr) => {
            let (a, port) = addr.inet()?;
            let family = addr.family()?;
            if !inet_sock::is_inet(family) && u32::from(family) != bindings::AF_UNSPEC {
                return Err(EAFNOSUPPORT);
            }
            Ok(Some((Addr::from_u32(a), port)))
        }
        None if so.state() != bindings::TCP_ESTABLISHED as u8 => Err(EDESTADDRREQ),
        None => Ok(None),
    }
}
