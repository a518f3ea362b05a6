// SPDX-License-Identifier: GPL-2.0
//! `librustnet_preload.so`: programs that know only `AF_INET` use `AF_RUSTNET`.
//!
//! ```text
//! LD_PRELOAD=librustnet_preload.so RUSTNET_PRELOAD=all PROGRAM…     or     rustnet-run PROGRAM…
//! ```
//!
//! Two calls of the C library are taken over:
//!
//! * `socket(AF_INET, SOCK_STREAM or SOCK_DGRAM, protocol)` makes a socket of RustNet's family if it is one
//!   of those that were asked for; the address structures are `sockaddr_in` in both families, so nothing
//!   else changes. `AF_INET6` and everything that is not TCP or UDP stay the host's; so do raw sockets
//!   unless they are asked for, too: in `coexist` the host answers most of what they are used for.
//! * `getsockopt(SOL_SOCKET, SO_DOMAIN)` answers `AF_INET` for such a socket, wherever it came from
//!   (accept, a parent, another process).
//!
//! What is read from the environment, once, at the first call:
//!
//! | variable | value | meaning |
//! |---|---|---|
//! | `RUSTNET_PRELOAD` | `all` | every TCP and UDP socket |
//! | | `raw` | those and every raw socket |
//! | | anything else, or unset | only those whose protocol is named: `protocol` is not 0 |
//! | `RUSTNET_PRELOAD_CHILDREN` | `no` | programs that this one starts are left alone: the shim takes itself out of their environment |
//! | `RUSTNET_PRELOAD_FAMILY` | a number | the family, if the module was loaded with another than 19 |
//!
//! A family that is not there is the caller's error (`EAFNOSUPPORT`): falling back to the host's stack
//! would hide that the module is not loaded. Programs that make system calls without the C library are
//! not reached, nor are those with more rights than their user (the loader ignores `LD_PRELOAD` then).

use std::ffi::{
    c_int,
    c_void,
    CStr, //
};
use std::sync::OnceLock;

/// RustNet's family: `include/uapi/linux/rustnet.h`.
const AF_RUSTNET: c_int = 19;
/// The flags that may be joined to a socket's type.
const TYPE_FLAGS: c_int = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;

/// What the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Settings {
    /// Sockets whose protocol is 0, too.
    all: bool,
    /// Raw sockets, too.
    raw: bool,
    /// The family to use.
    family: c_int,
}

impl Settings {
    /// From the values of the variables.
    fn new(which: Option<&[u8]>, family: Option<&[u8]>) -> Settings {
        let number = |s: &[u8]| std::str::from_utf8(s).ok()?.parse().ok();
        Settings {
            all: matches!(which, Some(b"all" | b"raw")),
            raw: which == Some(b"raw"),
            family: family.and_then(number).unwrap_or(AF_RUSTNET),
        }
    }

    /// The family of the socket that is made for `socket(domain, ty, protocol)`.
    fn domain(self, domain: c_int, ty: c_int, protocol: c_int) -> c_int {
        let taken = match (ty & !TYPE_FLAGS, protocol) {
            (libc::SOCK_STREAM | libc::SOCK_DGRAM, 0) => self.all,
            (libc::SOCK_RAW, _) => self.raw,
            (libc::SOCK_STREAM, libc::IPPROTO_TCP) | (libc::SOCK_DGRAM, libc::IPPROTO_UDP) => true,
            _ => false,
        };
        if domain == libc::AF_INET && taken {
            self.family
        } else {
            domain
        }
    }
}

/// The value of a variable. Not through `std::env`, whose lock a `fork` may have left taken: C programs
/// call these functions in children of programs with threads.
fn variable(name: &CStr) -> Option<&'static [u8]> {
    // SAFETY: `name` ends with a zero; what is returned, if anything, is a string in the environment, which
    // is read at once by those who call this.
    unsafe {
        let value = libc::getenv(name.as_ptr());
        (!value.is_null()).then(|| CStr::from_ptr(value).to_bytes())
    }
}

/// Reads the environment once.
fn settings() -> Settings {
    static SETTINGS: OnceLock<Settings> = OnceLock::new();
    *SETTINGS.get_or_init(|| {
        Settings::new(
            variable(c"RUSTNET_PRELOAD"),
            variable(c"RUSTNET_PRELOAD_FAMILY"),
        )
    })
}

/// Runs when the library is loaded, before the program's `main` and thus before any thread of it.
extern "C" fn loaded() {
    settings();
    if variable(c"RUSTNET_PRELOAD_CHILDREN") == Some(b"no") {
        // SAFETY: A string that ends with a zero, and nobody else who could read the environment now.
        unsafe { libc::unsetenv(c"LD_PRELOAD".as_ptr()) };
    }
}

/// What the loader calls.
#[used]
#[link_section = ".init_array"]
static LOADED: extern "C" fn() = loaded;

/// socket(2).
#[no_mangle]
pub extern "C" fn socket(domain: c_int, ty: c_int, protocol: c_int) -> c_int {
    let domain = settings().domain(domain, ty, protocol);
    // SAFETY: The call takes numbers only. It sets errno as the C library's function does, of which it is
    // all that there is.
    unsafe { libc::syscall(libc::SYS_socket, domain, ty, protocol) as c_int }
}

/// getsockopt(2).
///
/// # Safety
///
/// As for the C library's: `value` has room for `*len` bytes.
#[no_mangle]
pub unsafe extern "C" fn getsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut libc::socklen_t,
) -> c_int {
    // SAFETY: The caller's promises are handed on; the kernel checks the pointers itself.
    let status =
        unsafe { libc::syscall(libc::SYS_getsockopt, fd, level, name, value, len) as c_int };
    if status == 0 && level == libc::SOL_SOCKET && name == libc::SO_DOMAIN {
        // SAFETY: The call succeeded, so `len` could be read and written, and `*len` bytes of the value
        // were written, which need not be aligned.
        unsafe {
            let int = value.cast::<c_int>();
            if len.read_unaligned() as usize >= size_of::<c_int>()
                && int.read_unaligned() == settings().family
            {
                int.write_unaligned(libc::AF_INET);
            }
        }
    }
    status
}

#[cfg(test)]
#[allow(non_snake_case)]
mod tests {
    use super::*;
    use libc::*;

    const NAMED: Settings = Settings {
        all: false,
        raw: false,
        family: 19,
    };
    const ALL: Settings = Settings { all: true, ..NAMED };
    const RAW: Settings = Settings { raw: true, ..ALL };

    #[test]
    fn domain__a_named_protocol_is_taken() {
        for ty in [SOCK_STREAM, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC] {
            assert_eq!(NAMED.domain(AF_INET, ty, IPPROTO_TCP), 19);
            assert_eq!(NAMED.domain(AF_INET, ty, 0), AF_INET);
        }
        assert_eq!(NAMED.domain(AF_INET, SOCK_DGRAM, IPPROTO_UDP), 19);
    }

    #[test]
    fn domain__all_takes_those_without() {
        assert_eq!(ALL.domain(AF_INET, SOCK_STREAM, 0), 19);
        assert_eq!(ALL.domain(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), 19);
    }

    #[test]
    fn domain__raw_takes_those_and_raw_ones() {
        for ty in [SOCK_RAW, SOCK_RAW | SOCK_CLOEXEC] {
            for protocol in [IPPROTO_ICMP, IPPROTO_IGMP, IPPROTO_RAW] {
                assert_eq!(RAW.domain(AF_INET, ty, protocol), 19);
                assert_eq!(ALL.domain(AF_INET, ty, protocol), AF_INET);
            }
        }
        assert_eq!(RAW.domain(AF_INET, SOCK_DGRAM, 0), 19);
        assert_eq!(RAW.domain(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6), AF_INET6);
        assert_eq!(RAW.domain(AF_PACKET, SOCK_RAW, 0), AF_PACKET);
    }

    #[test]
    fn domain__the_rest_is_the_hosts() {
        for (domain, ty, protocol) in [
            (AF_INET6, SOCK_STREAM, IPPROTO_TCP),
            (AF_UNIX, SOCK_STREAM, 0),
            (AF_INET, SOCK_RAW, IPPROTO_ICMP),
            (AF_INET, SOCK_DGRAM, IPPROTO_ICMP),
            (AF_INET, SOCK_STREAM, IPPROTO_SCTP),
            (AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE),
            (AF_NETLINK, SOCK_RAW, 0),
        ] {
            assert_eq!(ALL.domain(domain, ty, protocol), domain);
        }
    }

    #[test]
    fn new__reads_the_variables() {
        assert_eq!(Settings::new(None, None), NAMED);
        assert_eq!(Settings::new(Some(b"named"), Some(b"x")), NAMED);
        let other = Settings::new(Some(b"all"), Some(b"27"));
        assert_eq!(other, Settings { family: 27, ..ALL });
        assert_eq!(Settings::new(Some(b"raw"), None), RAW);
    }
}
