// SPDX-License-Identifier: GPL-2.0
//! ICMP errors as the error numbers that a socket reports.

use crate::stack::errno::Errno;
use crate::stack::wire::icmp::{
    unreach,
    Type, //
};

/// What an error message means to the socket whose packet it quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SockError {
    /// The error number.
    pub errno: Errno,
    /// It will not pass: an unconnected UDP socket, or a TCP socket that is being opened, fails. Soft
    /// errors may pass and only explain a later timeout (RFC 1122, 4.2.3.9; RFC 5461).
    pub fatal: bool,
}

/// The error number of a message of type `kind` and code `code`; `None` if it is not for sockets.
///
/// Mirrors [`icmp_err_convert`](srctree/net/ipv4/icmp.c) and the switch of
/// [`tcp_v4_err`](srctree/net/ipv4/tcp_ipv4.c)
pub const fn err_convert(kind: Type, code: u8) -> Option<SockError> {
    let (errno, fatal) = match kind {
        Type::DEST_UNREACH => match code {
            unreach::NET => (Errno::ENETUNREACH, false),
            unreach::HOST => (Errno::EHOSTUNREACH, false),
            unreach::PROTOCOL => (Errno::ENOPROTOOPT, true),
            unreach::PORT => (Errno::ECONNREFUSED, true),
            unreach::FRAG_NEEDED => (Errno::EMSGSIZE, false),
            unreach::SR_FAILED => (Errno::EOPNOTSUPP, false),
            // Network unknown; host unknown; source host isolated; network prohibited; host
            // prohibited; network, and host, unreachable for this type of service.
            6 => (Errno::ENETUNREACH, true),
            7 => (Errno::EHOSTDOWN, true),
            8 => (Errno::ENONET, true),
            9 => (Errno::ENETUNREACH, true),
            10 => (Errno::EHOSTUNREACH, true),
            11 => (Errno::ENETUNREACH, false),
            12 => (Errno::EHOSTUNREACH, false),
            // Administratively prohibited; precedence violated, and cut off.
            unreach::PKT_FILTERED | 14 | 15 => (Errno::EHOSTUNREACH, true),
            _ => return None,
        },
        Type::PARAMETER_PROB => (Errno::EPROTO, true),
        // Code 1 is about reassembly at the destination, which is not the socket's business.
        Type::TIME_EXCEEDED if code == 0 => (Errno::EHOSTUNREACH, false),
        _ => return None,
    };
    Some(SockError { errno, fatal })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn err_convert__linux_table() {
        // errno and fatal of icmp_err_convert[], in order.
        let table = [
            (101, false),
            (113, false),
            (92, true),
            (111, true),
            (90, false),
            (95, false),
            (101, true),
            (112, true),
            (64, true),
            (101, true),
            (113, true),
            (101, false),
            (113, false),
            (113, true),
            (113, true),
            (113, true),
        ];
        for (code, (errno, fatal)) in table.into_iter().enumerate() {
            let e = err_convert(Type::DEST_UNREACH, code as u8).unwrap();
            assert_eq!((e.errno.get(), e.fatal), (errno, fatal), "code {code}");
        }
        assert_eq!(err_convert(Type::DEST_UNREACH, 16), None);
    }

    #[test]
    fn err_convert__other_types() {
        assert_eq!(
            err_convert(Type::PARAMETER_PROB, 0).map(|e| e.errno),
            Some(Errno::EPROTO)
        );
        assert_eq!(
            err_convert(Type::TIME_EXCEEDED, 0).map(|e| e.errno),
            Some(Errno::EHOSTUNREACH)
        );
        assert_eq!(err_convert(Type::TIME_EXCEEDED, 1), None);
        for t in [Type::ECHO, Type::SOURCE_QUENCH, Type::REDIRECT, Type(200)] {
            assert_eq!(err_convert(t, 0), None);
        }
    }
}
