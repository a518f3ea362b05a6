// SPDX-License-Identifier: GPL-2.0
//! Messages and addresses as the user hands them over.
//!
//! C header: [`include/linux/socket.h`](srctree/include/linux/socket.h)

use crate::abstractions::{
    iov::MsgIter,
    proto::Protocol,
    skbuff::SkBuff,
    sock::Sock, //
};
use crate::bindings;
use core::{
    marker::PhantomData,
    mem::size_of,
    ptr::{
        self,
        NonNull, //
    },
};
use kernel::{
    error::{
        code::*,
        to_result,
        Result, //
    },
    ffi::{
        c_int,
        c_void, //
    },
};

/// An address that the user gave: `len` bytes in kernel memory.
#[derive(Clone, Copy)]
pub struct RawAddr<'a> {
    ptr: *const c_void,
    len: usize,
    _p: PhantomData<&'a ()>,
}

impl RawAddr<'_> {
    /// # Safety
    ///
    /// `ptr` is an address in kernel memory, `len` bytes long and aligned for every family, for the lifetime
    /// of the result.
    pub(in crate::abstractions) unsafe fn from_raw(ptr: *const c_void, len: usize) -> Self {
        RawAddr {
            ptr,
            len,
            _p: PhantomData,
        }
    }

    /// Its family.
    ///
    /// # Errors
    ///
    /// EINVAL when it is too short to have one.
    pub fn family(&self) -> Result<u16> {
        if self.len < size_of::<u16>() {
            return Err(EINVAL);
        }
        // SAFETY: There are two bytes, in a buffer aligned for every address.
        Ok(unsafe { self.ptr.cast::<u16>().read() })
    }

    /// Address and port in host order, as `struct sockaddr_in` has them, whatever the family.
    ///
    /// # Errors
    ///
    /// EINVAL when it is too short.
    pub fn inet(&self) -> Result<(u32, u16)> {
        if self.len < size_of::<bindings::sockaddr_in>() {
            return Err(EINVAL);
        }
        // SAFETY: Long enough, and aligned for every address.
        let sin = unsafe { &*self.ptr.cast::<bindings::sockaddr_in>() };
        Ok((
            u32::from_be(sin.sin_addr.s_addr),
            u16::from_be(sin.sin_port),
        ))
    }
}

/// The message of one sendmsg or recvmsg (`struct msghdr`).
///
/// # Invariants
///
/// The pointer is to a live `struct msghdr` that is this value's alone for `'a`.
pub struct Msg<'a> {
    msg: NonNull<bindings::msghdr>,
    _p: PhantomData<&'a mut bindings::msghdr>,
}

impl Msg<'_> {
    /// # Safety
    ///
    /// `msg` is a live `struct msghdr` that is the result's alone for its lifetime.
    #[inline]
    pub(in crate::abstractions) unsafe fn from_raw(msg: NonNull<bindings::msghdr>) -> Self {
        // INVARIANT: The caller's promise.
        Msg {
            msg,
            _p: PhantomData,
        }
    }

    #[inline]
    pub(in crate::abstractions) fn as_ptr(&self) -> *mut bindings::msghdr {
        self.msg.as_ptr()
    }

    /// The flags that the user gave to sendmsg (`MSG_*`).
    #[inline]
    pub fn flags(&self) -> u32 {
        // SAFETY: A live `struct msghdr`.
        unsafe { self.msg.as_ref().msg_flags }
    }

    /// Adds to the flags that recvmsg tells the user.
    #[inline]
    pub fn add_flags(&mut self, flags: u32) {
        // SAFETY: As above.
        unsafe { self.msg.as_mut().msg_flags |= flags };
    }

    /// The user's buffers.
    #[inline]
    pub fn iter(&mut self) -> MsgIter<'_> {
        // SAFETY: The iterator is part of the message, and borrowed with it.
        unsafe { MsgIter::from_raw(NonNull::from(&mut self.msg.as_mut().msg_iter)) }
    }

    /// Where to send to, if the user said so.
    #[inline]
    pub fn name(&self) -> Option<RawAddr<'_>> {
        // SAFETY: A live `struct msghdr`; the socket core copied the address into kernel memory.
        let m = unsafe { self.msg.as_ref() };
        if m.msg_name.is_null() {
            return None;
        }
        Some(RawAddr {
            ptr: m.msg_name,
            len: usize::try_from(m.msg_namelen).unwrap_or(0),
            _p: PhantomData,
        })
    }

    /// Tells the user where the message came from, if he wants to know. Address and port in host order.
    pub fn set_name(&mut self, addr: u32, port: u16) {
        // SAFETY: A live `struct msghdr`; its name, if any, has room for every address.
        unsafe {
            let m = self.msg.as_mut();
            if m.msg_name.is_null() {
                return;
            }
            put_addr(m.msg_name.cast(), addr, port);
            m.msg_namelen = size_of::<bindings::sockaddr_in>() as c_int;
        }
    }

    /// Tells the user something in a control message, if he left room for it.
    pub fn put_cmsg(&mut self, level: u32, ty: u32, data: &[u8]) {
        // SAFETY: A live `struct msghdr`; `data` is read for its length. What does not fit is cut, which the
        // function notes in the message's flags.
        unsafe {
            bindings::put_cmsg(
                self.msg.as_ptr(),
                level as c_int,
                ty as c_int,
                data.len() as c_int,
                data.as_ptr().cast_mut().cast(),
            )
        };
    }

    /// Whether the user sent control messages along.
    #[inline]
    pub fn has_control(&self) -> bool {
        // SAFETY: A live `struct msghdr`.
        unsafe { self.msg.as_ref().msg_controllen != 0 }
    }

    /// Takes the control messages of level SOL_SOCKET (SO_MARK, SO_PRIORITY, SO_TIMESTAMPING …).
    ///
    /// # Errors
    ///
    /// EINVAL for a malformed or unknown one, EPERM.
    ///
    /// Mirrors [`sock_cmsg_send`](srctree/net/core/sock.c)
    pub fn socket_control<P: Protocol>(&mut self, so: &Sock<P>) -> Result<Cookie> {
        // SAFETY: All zeroes is a value of this C type.
        let mut c: bindings::sockcm_cookie = unsafe { core::mem::zeroed() };
        c.mark = so.mark();
        c.priority = so.priority();
        c.tsflags = so.tsflags();
        // SAFETY: All three live during the call.
        to_result(unsafe { bindings::sock_cmsg_send(so.as_ptr(), self.msg.as_ptr(), &mut c) })?;
        Ok(Cookie {
            mark: c.mark,
            priority: c.priority,
            transmit_time: c.transmit_time,
            tsflags: c.tsflags,
        })
    }

    /// Calls `f` for each control message of level `level` with its type and its bytes, until one fails.
    ///
    /// # Errors
    ///
    /// EINVAL for a malformed one, and what `f` returns.
    pub fn control(&self, level: u32, mut f: impl FnMut(u32, &[u8]) -> Result) -> Result {
        // SAFETY: A live `struct msghdr`; the socket core copied the control messages into kernel memory,
        // `msg_controllen` bytes of them.
        let bytes = unsafe {
            let m = self.msg.as_ref();
            if m.msg_controllen == 0 {
                return Ok(());
            }
            core::slice::from_raw_parts(
                m.__bindgen_anon_1.msg_control.cast::<u8>(),
                m.msg_controllen as usize,
            )
        };
        const HDR: usize = size_of::<bindings::cmsghdr>();
        let mut rest = bytes;
        while rest.len() >= HDR {
            let word = |at: usize| -> u32 {
                rest.get(at..at + 4)
                    .and_then(|b| b.try_into().ok())
                    .map_or(0, u32::from_ne_bytes)
            };
            // `struct cmsghdr`: a length of the word size, then level and type.
            let len = rest
                .first_chunk()
                .map_or(0, |b: &[u8; size_of::<usize>()]| usize::from_ne_bytes(*b));
            let data = rest.get(HDR..len).ok_or(EINVAL)?;
            if word(HDR - 8) == level {
                f(word(HDR - 4), data)?;
            }
            let step = len
                .checked_next_multiple_of(size_of::<usize>())
                .ok_or(EINVAL)?;
            rest = rest.get(step..).unwrap_or(&[]);
        }
        Ok(())
    }

    /// Tells the user what he asked for about a received packet: SO_TIMESTAMP and the like, and of the
    /// IP level what `offset` bytes of transport header stand before.
    ///
    /// Mirrors [`sock_recv_cmsgs`](srctree/include/net/sock.h)
    pub fn recv_control<P: Protocol>(&mut self, so: &Sock<P>, skb: &SkBuff, offset: usize) {
        // SAFETY: All live during the call.
        unsafe {
            let (m, sk, p) = (self.msg.as_ptr(), so.as_ptr(), skb.as_ptr());
            bindings::sock_recv_cmsgs(m, sk, p);
        }
        self.recv_ip_control(so, skb, offset);
    }

    /// The IP level's part of [`Msg::recv_control`].
    ///
    /// Mirrors [`ip_cmsg_recv_offset`](srctree/net/ipv4/ip_sockglue.c)
    pub(in crate::abstractions) fn recv_ip_control<P: Protocol>(
        &mut self,
        so: &Sock<P>,
        skb: &SkBuff,
        offset: usize,
    ) {
        // SAFETY: All live during the call; the packet has its headers set.
        unsafe {
            if bindings::inet_cmsg_flags(so.as_inet()) != 0 {
                let (m, sk, p) = (self.msg.as_ptr(), so.as_ptr(), skb.as_ptr());
                bindings::ip_cmsg_recv_offset(m, sk, p, offset as c_int, 0);
            }
        }
    }
}

/// What control messages of level SOL_SOCKET say.
#[derive(Clone, Copy)]
pub struct Cookie {
    /// The mark of the packet.
    pub mark: u32,
    /// The priority of the packet.
    pub priority: u32,
    /// When it should leave, by the clock of SO_TXTIME; 0 for at once.
    pub transmit_time: u64,
    /// The time stamps that are wanted of it (`SOF_TIMESTAMPING_*`).
    pub tsflags: u32,
}

/// Writes a `struct sockaddr_in`; the family told is always AF_INET.
///
/// # Safety
///
/// `to` has room for one.
pub(in crate::abstractions) unsafe fn put_addr(
    to: *mut bindings::sockaddr_in,
    addr: u32,
    port: u16,
) {
    // SAFETY: The caller's promise.
    unsafe {
        ptr::write_bytes(to, 0, 1);
        (*to).sin_family = bindings::AF_INET as _;
        (*to).sin_port = port.to_be();
        (*to).sin_addr.s_addr = addr.to_be();
    }
}
