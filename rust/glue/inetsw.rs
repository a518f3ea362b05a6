// SPDX-License-Identifier: GPL-2.0
//! The table of socket types: what socket(2) makes of a type and a protocol.
//!
//! Mirrors [`inetsw_array`](srctree/net/ipv4/af_inet.c)

use super::{
    net::State,
    ping::Ping,
    raw::{
        self,
        Raw, //
    },
    tcp::Tcp,
    udp::Udp, //
};
use crate::{
    abstractions::{
        proto::Protocol as _,
        socket::{
            Create,
            SocketOps, //
        },
    },
    bindings,
};
use kernel::{
    error::{
        code::*,
        Result, //
    },
    ffi::c_int, //
};

/// One row of the table.
struct ProtoSw {
    ty: u16,
    protocol: u16,
    make: fn(Create<'_>, u16) -> Result,
}

const fn row<P: SocketOps>() -> ProtoSw {
    ProtoSw {
        ty: P::TYPE,
        protocol: P::PROTOCOL,
        make: |new, protocol| new.make::<P>(protocol, |_| ()),
    }
}

/// The protocol of a row for every protocol.
const ANY: u16 = bindings::IPPROTO_IP as u16;

static INETSW: [ProtoSw; 4] = [
    row::<Tcp>(),
    row::<Udp>(),
    row::<Ping>(),
    ProtoSw {
        ty: Raw::TYPE,
        protocol: ANY,
        make: |new, protocol| new.make::<Raw>(protocol, |so| raw::start(so, protocol)),
    },
];

/// Makes a socket of the type `ty` and the protocol `protocol`; 0 is the type's usual one.
///
/// # Errors
///
/// EINVAL for a protocol out of range, ESOCKTNOSUPPORT for a type that is not there, EPROTONOSUPPORT for
/// a protocol that the type does not have, EPERM for a raw socket without CAP_NET_RAW, EACCES for a ping socket
/// of a group that `net.ipv4.ping_group_range` does not have, ENOMEM.
///
/// Mirrors [`inet_create`](srctree/net/ipv4/af_inet.c)
pub(super) fn create(new: Create<'_>, ty: u16, protocol: c_int) -> Result {
    if protocol < 0 || protocol >= bindings::IPPROTO_MAX as c_int {
        return Err(EINVAL);
    }
    let mut none = ESOCKTNOSUPPORT;
    for row in INETSW.iter().filter(|row| row.ty == ty) {
        let protocol = match (protocol, row.protocol) {
            (0, ANY) => 0,
            (0, usual) => usual,
            (p, ANY) => p as u16,
            (p, q) if p == c_int::from(q) => q,
            _ => 0,
        };
        if protocol != 0 {
            if ty == Raw::TYPE && !new.may_raw() {
                return Err(EPERM);
            }
            if ty == Ping::TYPE && protocol == Ping::PROTOCOL && !new.may_ping() {
                return Err(EACCES);
            }
            // From the first socket on packets are claimed.
            State::of(new.net()).ok_or(ENETDOWN)?.activate()?;
            return (row.make)(new, protocol);
        }
        none = EPROTONOSUPPORT;
    }
    Err(none)
}
