// SPDX-License-Identifier: GPL-2.0
//! The table of socket types: what socket(2) makes of a type and a protocol.
//!
//! Mirrors [`inetsw_array`](srctree/net/ipv4/af_inet.c)

use super::{
    net::State,
    tcp::Tcp,
    udp::Udp, //
};
use crate::{
    abstractions::socket::{
        Create,
        SocketOps, //
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
    make: fn(Create<'_>) -> Result,
}

const fn row<P: SocketOps>() -> ProtoSw {
    ProtoSw {
        ty: P::TYPE,
        protocol: P::PROTOCOL,
        make: |new| new.make::<P>(),
    }
}

static INETSW: [ProtoSw; 2] = [row::<Tcp>(), row::<Udp>()];

/// Makes a socket of the type `ty` and the protocol `protocol`; 0 is the type's usual one.
///
/// # Errors
///
/// EINVAL for a protocol out of range, ESOCKTNOSUPPORT for a type that is not there, EPROTONOSUPPORT for
/// a protocol that the type does not have, ENOMEM.
///
/// Mirrors [`inet_create`](srctree/net/ipv4/af_inet.c)
pub(super) fn create(new: Create<'_>, ty: u16, protocol: c_int) -> Result {
    if protocol < 0 || protocol >= bindings::IPPROTO_MAX as c_int {
        return Err(EINVAL);
    }
    let mut none = ESOCKTNOSUPPORT;
    for row in INETSW.iter().filter(|row| row.ty == ty) {
        if protocol == 0 || protocol == c_int::from(row.protocol) {
            // From the first socket on packets are claimed.
            State::of(new.net()).ok_or(ENETDOWN)?.activate()?;
            return (row.make)(new);
        }
        none = EPROTONOSUPPORT;
    }
    Err(none)
}
