// SPDX-License-Identifier: GPL-2.0
//! Values of arguments.

use std::net::SocketAddrV4;

use anyhow::bail;
use anyhow::Result;
use uapi::c;

use crate::script::Expr;
use crate::symbols;
use crate::sys::Arg;

/// Bytes of a `struct sockaddr_in`.
pub(super) const SOCKADDR_IN: usize = 16;

/// An integer: a number, a constant, or several with `|`.
pub(super) fn int(expr: &Expr) -> Result<i64> {
    match expr {
        Expr::Int(n) => Ok(*n),
        Expr::Word(word) => match symbols::value(word) {
            Some(v) => Ok(v),
            None => bail!("`{word}` is no known constant"),
        },
        Expr::Or(all) => all.iter().try_fold(0, |sum, e| Ok(sum | int(e)?)),
        // A pointer to one.
        Expr::List(items) if items.len() == 1 => int(&items[0]),
        other => bail!("an integer expected instead of {other:?}"),
    }
}

/// Whether a pointer is NULL.
pub(super) fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Int(0)) || matches!(expr, Expr::Word(w) if w == "NULL")
}

/// Bytes of what a pointer leads to: integers are 4 bytes.
pub(super) fn bytes(expr: &Expr) -> Result<Vec<u8>> {
    Ok(match expr {
        Expr::Str(s) => s.clone(),
        Expr::List(items) => {
            let parts: Result<Vec<_>> = items.iter().map(bytes).collect();
            parts?.concat()
        }
        Expr::Struct(fields) => {
            let parts: Result<Vec<_>> = fields.iter().map(|f| bytes(&f.value)).collect();
            parts?.concat()
        }
        other => (int(other)? as i32).to_ne_bytes().to_vec(),
    })
}

/// A buffer of `len` bytes: zeros for `...`.
pub(super) fn buffer(expr: &Expr, len: i64) -> Result<Arg> {
    if is_null(expr) {
        return Ok(Arg::Null);
    }
    let len = usize::try_from(len).unwrap_or(0);
    let mut bytes = match expr {
        Expr::Ellipsis => vec![0; len],
        other => bytes(other)?,
    };
    if bytes.len() < len {
        bytes.resize(len, 0);
    }
    Ok(Arg::Bytes(bytes))
}

/// A `struct sockaddr_in`. Its family is AF_INET whatever the socket's.
pub(super) fn sockaddr(address: SocketAddrV4) -> Vec<u8> {
    let mut bytes = vec![0; SOCKADDR_IN];
    bytes[..2].copy_from_slice(&(c::AF_INET as u16).to_ne_bytes());
    bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
    bytes[4..8].copy_from_slice(&address.ip().octets());
    bytes
}

/// The other way round.
pub(super) fn address(bytes: &[u8]) -> Result<SocketAddrV4> {
    let Some(head) = bytes.get(..8) else {
        bail!("an address of {} bytes", bytes.len());
    };
    let family = u16::from_ne_bytes([head[0], head[1]]);
    if i32::from(family) != c::AF_INET {
        bail!("an address of family {family} instead of AF_INET");
    }
    let ip = [head[4], head[5], head[6], head[7]];
    Ok(SocketAddrV4::new(
        ip.into(),
        u16::from_be_bytes([head[2], head[3]]),
    ))
}
