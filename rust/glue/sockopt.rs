// SPDX-License-Identifier: GPL-2.0
//! What is the same for every type of socket: names, shutdown's bits, options of level SOL_IP.
//!
//! An option is either taken, and does what it does on AF_INET, or refused with ENOPROTOOPT; none is
//! taken and ignored.
//!
//! Mirrors [`ip_sockglue.c`](srctree/net/ipv4/ip_sockglue.c)

use super::igmp;
use crate::{
    abstractions::{
        iov::{
            OptIn,
            OptOut, //
        },
        proto::Protocol,
        sock::{
            Sk,
            Sock, //
        },
        socket::{
            End,
            Msg, //
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

/// getsockname(2) and getpeername(2).
///
/// # Errors
///
/// ENOTCONN.
///
/// Mirrors [`inet_getname`](srctree/net/ipv4/af_inet.c)
pub(super) fn getname<P: Protocol>(so: &Sock<P>, end: End) -> Result<(u32, u16)> {
    if end == End::Local {
        let addr = match so.rcv_saddr() {
            0 => so.saddr(),
            a => a,
        };
        return Ok((addr, so.sport()));
    }
    let state = u32::from(so.state());
    let unconnected = state == bindings::TCP_CLOSE
        || (state == bindings::TCP_SYN_SENT && P::TYPE as u32 == bindings::sock_type_SOCK_STREAM);
    if so.dport() == 0 || (unconnected && end == End::Peer) {
        return Err(ENOTCONN);
    }
    Ok((so.daddr(), so.dport()))
}

/// The bits of shutdown(2)'s argument.
///
/// # Errors
///
/// EINVAL.
pub(super) fn shutdown_bits(how: c_int) -> Result<u8> {
    match how {
        // SHUT_RD, SHUT_WR, SHUT_RDWR.
        0 => Ok(bindings::RCV_SHUTDOWN as u8),
        1 => Ok(bindings::SEND_SHUTDOWN as u8),
        2 => Ok(bindings::SHUTDOWN_MASK as u8),
        _ => Err(EINVAL),
    }
}

/// setsockopt(2) of level SOL_IP. Without the socket's lock.
///
/// # Errors
///
/// ENOPROTOOPT for what RustNet does not do; else as the host.
pub(super) fn set_ip(sk: &Sk, name: c_int, val: &OptIn<'_>) -> Result {
    match name as u32 {
        // All of these are numbers and flags in `struct inet_sock`, which is where we read them.
        bindings::IP_TOS
        | bindings::IP_TTL
        | bindings::IP_MINTTL
        | bindings::IP_MTU_DISCOVER
        | bindings::IP_PKTINFO
        | bindings::IP_RECVERR
        | bindings::IP_RECVTTL
        | bindings::IP_RECVTOS
        | bindings::IP_FREEBIND
        | bindings::IP_MULTICAST_TTL
        | bindings::IP_BIND_ADDRESS_NO_PORT
        | bindings::IP_LOCAL_PORT_RANGE => sk.ip_setsockopt(name, val),
        _ => Err(ENOPROTOOPT),
    }
}

/// setsockopt(2) of level SOL_IP for sockets whose messages are packets. Without the socket's lock.
///
/// # Errors
///
/// As [`set_ip`].
pub(super) fn set_ip_datagram<P: igmp::Member>(
    so: &Sock<P>,
    name: c_int,
    val: &OptIn<'_>,
) -> Result {
    match name as u32 {
        bindings::IP_RECVERR_RFC4884
        | bindings::IP_RECVORIGDSTADDR
        | bindings::IP_UNICAST_IF
        | bindings::IP_MULTICAST_IF
        | bindings::IP_MULTICAST_LOOP
        | bindings::IP_MULTICAST_ALL => so.ip_setsockopt(name, val),
        bindings::IP_ADD_MEMBERSHIP
        | bindings::IP_DROP_MEMBERSHIP
        | bindings::IP_ADD_SOURCE_MEMBERSHIP
        | bindings::IP_DROP_SOURCE_MEMBERSHIP
        | bindings::IP_BLOCK_SOURCE
        | bindings::IP_UNBLOCK_SOURCE
        | bindings::IP_MSFILTER
        | bindings::MCAST_JOIN_GROUP
        | bindings::MCAST_LEAVE_GROUP
        | bindings::MCAST_JOIN_SOURCE_GROUP
        | bindings::MCAST_LEAVE_SOURCE_GROUP
        | bindings::MCAST_BLOCK_SOURCE
        | bindings::MCAST_UNBLOCK_SOURCE
        | bindings::MCAST_MSFILTER => igmp::options::set(so, name, val),
        _ => set_ip(so, name, val),
    }
}

/// getsockopt(2) of level SOL_IP for sockets whose messages are packets. Without the socket's lock.
///
/// # Errors
///
/// As [`get_ip`].
pub(super) fn get_ip_datagram<P: igmp::Member>(
    sk: &Sock<P>,
    name: c_int,
    out: &mut OptOut<'_>,
    mtu: impl FnOnce() -> Option<u32>,
) -> Result {
    let bit = match name as u32 {
        bindings::IP_RECVERR_RFC4884 => bindings::INET_FLAGS_RECVERR_RFC4884,
        bindings::IP_RECVORIGDSTADDR => bindings::INET_FLAGS_ORIGDSTADDR,
        bindings::IP_MULTICAST_LOOP => bindings::INET_FLAGS_MC_LOOP,
        bindings::IP_MULTICAST_ALL => bindings::INET_FLAGS_MC_ALL,
        bindings::IP_UNICAST_IF => return put(out, (sk.uc_index() as u32).to_be() as c_int),
        bindings::IP_MSFILTER => return igmp::filter::msfilter(sk, out),
        bindings::MCAST_MSFILTER => return igmp::filter::group_filter(sk, out),
        // An address, in any length that the user has room for.
        bindings::IP_MULTICAST_IF => {
            let addr = sk.mc_addr().to_be_bytes();
            let n = addr.len().min(out.len().max(0) as usize);
            return out.put_bytes(addr.get(..n).ok_or(EINVAL)?);
        }
        _ => return get_ip(sk, name, out, mtu),
    };
    put(out, sk.inet_flag(bit).into())
}

/// getsockopt(2) of level SOL_IP. `mtu` tells the MTU of the socket's route, if it has one. Without the
/// socket's lock.
///
/// # Errors
///
/// ENOPROTOOPT; ENOTCONN for IP_MTU without a route; EINVAL, EFAULT.
pub(super) fn get_ip(
    sk: &Sk,
    name: c_int,
    out: &mut OptOut<'_>,
    mtu: impl FnOnce() -> Option<u32>,
) -> Result {
    let flag = |bit| c_int::from(sk.inet_flag(bit));
    let value = match name as u32 {
        bindings::IP_TOS => c_int::from(sk.tos()),
        bindings::IP_TTL => c_int::from(super::inet_sock::ttl(sk)),
        bindings::IP_MINTTL => c_int::from(sk.min_ttl()),
        bindings::IP_MTU_DISCOVER => c_int::from(sk.pmtudisc()),
        bindings::IP_MTU => mtu().ok_or(ENOTCONN)? as c_int,
        bindings::IP_MULTICAST_TTL => c_int::from(sk.mc_ttl()),
        bindings::IP_PKTINFO => flag(bindings::INET_FLAGS_PKTINFO),
        bindings::IP_RECVERR => flag(bindings::INET_FLAGS_RECVERR),
        bindings::IP_RECVTTL => flag(bindings::INET_FLAGS_TTL),
        bindings::IP_RECVTOS => flag(bindings::INET_FLAGS_TOS),
        bindings::IP_FREEBIND => flag(bindings::INET_FLAGS_FREEBIND),
        bindings::IP_BIND_ADDRESS_NO_PORT => flag(bindings::INET_FLAGS_BIND_ADDRESS_NO_PORT),
        bindings::IP_LOCAL_PORT_RANGE => sk.own_port_range() as c_int,
        _ => return Err(ENOPROTOOPT),
    };
    put(out, value)
}

/// An answer that is a number: programs that grew up with one-byte options get one byte.
fn put(out: &mut OptOut<'_>, value: c_int) -> Result {
    match u8::try_from(value) {
        Ok(byte) if (1..4).contains(&out.len()) => out.put_bytes(&[byte]),
        _ => out.put_int(value),
    }
}

/// What control messages of level SOL_IP say of the one message they came with.
///
/// Mirrors [`struct ipcm_cookie`](srctree/include/net/ip.h)
#[derive(Clone, Copy, Default)]
pub(super) struct Ipcm {
    /// Type of service.
    pub(super) tos: Option<u8>,
    /// Time to live.
    pub(super) ttl: Option<u8>,
    /// The device to leave by, 0 for the socket's.
    pub(super) oif: i32,
    /// The source; [`Addr::ANY`] for the route's, whatever the socket is bound to.
    pub(super) saddr: Option<Addr>,
}

impl Ipcm {
    /// Whether the way may be another one than that of the socket's other messages.
    #[inline]
    pub(super) fn turns(&self) -> bool {
        self.oif != 0 || self.saddr.is_some() || self.tos.is_some()
    }
}

/// Takes the control messages of level SOL_IP.
///
/// # Errors
///
/// EINVAL for one that is not known, or a value out of its range.
///
/// Mirrors [`ip_cmsg_send`](srctree/net/ipv4/ip_sockglue.c)
pub(super) fn cmsg_send(msg: &Msg<'_>) -> Result<Ipcm> {
    let mut ipc = Ipcm::default();
    msg.control(bindings::SOL_IP, |ty, data| {
        let int = || data.first_chunk().map(|b: &[u8; 4]| i32::from_ne_bytes(*b));
        match ty {
            bindings::IP_TTL => {
                let v = int().ok_or(EINVAL)?;
                if !(1..=255).contains(&v) {
                    return Err(EINVAL);
                }
                ipc.ttl = Some(v as u8);
            }
            bindings::IP_TOS => {
                let v = match data {
                    [b] => i32::from(*b),
                    _ => int().ok_or(EINVAL)?,
                };
                if !(0..=255).contains(&v) {
                    return Err(EINVAL);
                }
                ipc.tos = Some(v as u8);
            }
            // `struct in_pktinfo`: the device, the source, the destination, which is not looked at.
            bindings::IP_PKTINFO => {
                let [i0, i1, i2, i3, a0, a1, a2, a3, _, _, _, _] =
                    *<&[u8; 12]>::try_from(data).map_err(|_| EINVAL)?;
                match i32::from_ne_bytes([i0, i1, i2, i3]) {
                    0 => (),
                    oif => ipc.oif = oif,
                }
                ipc.saddr = Some(Addr::from_octets([a0, a1, a2, a3]));
            }
            _ => return Err(EINVAL),
        }
        Ok(())
    })?;
    Ok(ipc)
}
