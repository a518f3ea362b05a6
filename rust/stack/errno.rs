// SPDX-License-Identifier: GPL-2.0
//! The error numbers that the stack returns to a system call.
//!
//! The values are those of Linux's `errno` on every architecture RustNet builds for
//! (`include/uapi/asm-generic/errno*.h`); glue turns an [`Errno`] into the kernel's error type.

/// A positive Linux error number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(u16);

macro_rules! errnos {
    ($($name:ident = $value:expr, $text:expr;)*) => {
        impl Errno {
            $(#[doc = $text] pub const $name: Errno = Errno($value);)*

            /// The symbol of this error number, for logs and test failures.
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $($value => stringify!($name),)*
                    _ => "E?",
                }
            }
        }
    };
}

errnos! {
    EPERM = 1, "Operation not permitted.";
    ENOENT = 2, "No such object.";
    EINTR = 4, "Interrupted system call.";
    ENXIO = 6, "No such device or address.";
    EAGAIN = 11, "Try again.";
    ENOMEM = 12, "Out of memory.";
    EACCES = 13, "Permission denied.";
    EFAULT = 14, "Bad address.";
    EBUSY = 16, "Busy.";
    EEXIST = 17, "Exists already.";
    ENODEV = 19, "No such device.";
    EINVAL = 22, "Invalid argument.";
    EPIPE = 32, "Broken pipe.";
    EDOM = 33, "Argument out of domain.";
    ENONET = 64, "Machine is not on the network.";
    EPROTO = 71, "Protocol error.";
    EDESTADDRREQ = 89, "Destination address required.";
    EMSGSIZE = 90, "Message too long.";
    ENOPROTOOPT = 92, "Protocol not available.";
    EPROTONOSUPPORT = 93, "Protocol not supported.";
    ESOCKTNOSUPPORT = 94, "Socket type not supported.";
    EOPNOTSUPP = 95, "Operation not supported.";
    EAFNOSUPPORT = 97, "Address family not supported.";
    EADDRINUSE = 98, "Address already in use.";
    EADDRNOTAVAIL = 99, "Cannot assign requested address.";
    ENETDOWN = 100, "Network is down.";
    ENETUNREACH = 101, "Network is unreachable.";
    ECONNABORTED = 103, "Software caused connection abort.";
    ECONNRESET = 104, "Connection reset by peer.";
    ENOBUFS = 105, "No buffer space available.";
    EISCONN = 106, "Already connected.";
    ENOTCONN = 107, "Not connected.";
    ETIMEDOUT = 110, "Connection timed out.";
    ECONNREFUSED = 111, "Connection refused.";
    EHOSTDOWN = 112, "Host is down.";
    EHOSTUNREACH = 113, "No route to host.";
    EALREADY = 114, "Operation already in progress.";
    EINPROGRESS = 115, "Operation now in progress.";
}

impl Errno {
    /// The positive number, as `errno` holds it.
    #[inline]
    pub const fn get(self) -> i32 {
        self.0 as i32
    }

    /// The error with the positive number `n`; `None` if `n` is not an error number.
    pub const fn from_positive(n: i32) -> Option<Errno> {
        if n > 0 && n < 4096 {
            Some(Errno(n as u16))
        } else {
            None
        }
    }
}
