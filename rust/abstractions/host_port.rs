// SPDX-License-Identifier: GPL-2.0
//! A port of the host's, held by a bound AF_INET socket of the kernel's own.
//!
//! C header: [`include/linux/net.h`](srctree/include/linux/net.h)

use super::{
    netns::Net,
    sock::Sk, //
};
use crate::bindings;
use core::{
    mem::size_of,
    ptr::{
        null_mut,
        NonNull, //
    },
};
use kernel::{
    error::{
        code::{
            ENFILE,
            ENOMEM, //
        },
        to_result,
        Result, //
    },
    ffi::c_int, //
};

/// Holds a port. Dropped in process context: it sleeps.
///
/// # Invariants
///
/// The pointer is to a live `struct socket` that is this value's alone.
pub(crate) struct HostPort(NonNull<bindings::socket>);

// SAFETY: A socket belongs to no task.
unsafe impl Send for HostPort {}
// SAFETY: Through `&HostPort` nothing is done.
unsafe impl Sync for HostPort {}

impl HostPort {
    /// Takes `port` of `addr`, in host order, in the way in which `sk` has it: its type, protocol, device,
    /// SO_REUSEADDR and SO_REUSEPORT. Process context; sleeps.
    ///
    /// # Errors
    ///
    /// EADDRINUSE when the host has it otherwise, or `inet_csk_get_port` no memory for it; ENOMEM.
    ///
    /// Mirrors [`sock_create_kern`, `kernel_bind`](srctree/net/socket.c)
    pub(crate) fn bind(net: &Net, sk: &Sk, addr: u32, port: u16) -> Result<HostPort> {
        let mut sock: *mut bindings::socket = null_mut();
        // SAFETY: A live namespace, which outlives the sockets of ours in it, and those what they hold.
        to_result(unsafe {
            bindings::sock_create_kern(
                net.as_ptr(),
                bindings::AF_INET as c_int,
                sk.sk_type().into(),
                sk.protocol().into(),
                &mut sock,
            )
        })
        // What socket(2) says when it found no inode is no answer to bind(2).
        .map_err(|e| if e == ENFILE { ENOMEM } else { e })?;
        // INVARIANT: Created, and known to nobody else.
        // SAFETY: The function succeeded.
        let port_held = HostPort(unsafe { NonNull::new_unchecked(sock) });
        // SAFETY: All zeroes is a value of this C type.
        let mut sin: bindings::sockaddr_in = unsafe { core::mem::zeroed() };
        sin.sin_family = bindings::AF_INET as _;
        sin.sin_port = port.to_be();
        sin.sin_addr.s_addr = addr.to_be();
        // SAFETY: The socket is ours alone and not bound: nobody reads the fields yet.
        unsafe {
            let s = (*sock).sk;
            (*s).__sk_common.skc_bound_dev_if = sk.bound_dev_if();
            let host = Sk::from_raw(s);
            host.set_reuse(sk.reuse());
            host.set_reuseport(sk.reuseport());
            // Whether the address may be bound was asked before.
            host.assign_inet_flag(bindings::INET_FLAGS_FREEBIND, true);
            // Copies of broadcasts and multicasts would lie there for good.
            (*s).sk_rcvbuf = 0;
        }
        // SAFETY: A live socket and an address of that length.
        to_result(unsafe {
            bindings::kernel_bind(
                sock,
                (&raw mut sin).cast(),
                size_of::<bindings::sockaddr_in>() as c_int,
            )
        })?;
        Ok(port_held)
    }
}

impl Drop for HostPort {
    fn drop(&mut self) {
        // SAFETY: Ours alone by the type invariant, and given up here.
        unsafe { bindings::sock_release(self.0.as_ptr()) };
    }
}

impl Net {
    /// Whether a socket of the host's takes what is sent to `addr`, in host order, and `port` with the
    /// protocol `protocol`: a listener, or a socket of UDP. With `dif`, of those bound to no other device.
    pub(crate) fn host_takes(&self, protocol: u16, addr: u32, port: u16, dif: c_int) -> bool {
        let addr = match addr {
            0 => bindings::INADDR_LOOPBACK,
            a => a,
        };
        let _rcu = super::rcu::read_lock();
        // SAFETY: A live namespace; under RCU, and what is found is only compared with null.
        unsafe {
            let net = self.as_ptr();
            let (any, here) = (0, addr.to_be());
            let sk = match u32::from(protocol) {
                bindings::IPPROTO_TCP => {
                    bindings::__inet_lookup_listener(net, null_mut(), 0, any, 0, here, port, dif, 0)
                }
                bindings::IPPROTO_UDP => {
                    bindings::__udp4_lib_lookup(net, any, 0, here, port.to_be(), dif, 0, null_mut())
                }
                _ => null_mut(),
            };
            !sk.is_null()
        }
    }
}
