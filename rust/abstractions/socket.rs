// SPDX-License-Identifier: GPL-2.0
//! The socket layer's side: families, and what system calls on a socket call (`struct proto_ops`).
//!
//! A protocol that implements [`SocketOps`] gets a `struct proto_ops` made for it; [`Family`] is what
//! `socket(2)` calls. Results are the C ones: a number, or a negative errno.
//!
//! C header: [`include/linux/net.h`](srctree/include/linux/net.h)

pub use super::family::{
    Create,
    Family,
    FamilyRegistration, //
};
use super::{
    iov::{
        MsgIter,
        OptIn,
        OptOut, //
    },
    proto::Protocol,
    skbuff::SkBuff, //
    sock::{
        Sock,
        SockRef, //
    },
    sock_lock::UserLock,
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
        Error,
        Result, //
    },
    ffi::{
        c_int,
        c_uint,
        c_ulong,
        c_void, //
    },
};

/// The socket as the file knows it (`struct socket`).
///
/// # Invariants
///
/// The pointer is to a live `struct socket` whose `sk` is a socket of `P`, for `'a`.
pub struct Socket<'a, P: Protocol> {
    sock: NonNull<bindings::socket>,
    _p: PhantomData<&'a Sock<P>>,
}

/// What connect(2) has come to (`socket_state`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SocketState {
    /// Not connected.
    Unconnected,
    /// A connection is being made.
    Connecting,
    /// Connected.
    Connected,
    /// The end.
    Disconnecting,
}

impl<'a, P: Protocol> Socket<'a, P> {
    /// # Safety
    ///
    /// `sock` is a live `struct socket` whose socket is one of `P`'s, for `'a`.
    #[inline]
    pub(super) unsafe fn from_raw(sock: NonNull<bindings::socket>) -> Self {
        // INVARIANT: The caller's promise.
        Socket {
            sock,
            _p: PhantomData,
        }
    }

    /// The transport's socket.
    #[inline]
    pub fn sk(&self) -> &'a Sock<P> {
        // SAFETY: By the type invariant; the file's reference keeps it alive.
        unsafe { Sock::from_raw((*self.sock.as_ptr()).sk) }
    }

    /// The state of connect(2). With the socket owned.
    pub fn state(&self, _lock: &UserLock<'_, P>) -> SocketState {
        // SAFETY: A live `struct socket`; the lock protects the field.
        match unsafe { (*self.sock.as_ptr()).state } {
            bindings::socket_state_SS_UNCONNECTED => SocketState::Unconnected,
            bindings::socket_state_SS_CONNECTING => SocketState::Connecting,
            bindings::socket_state_SS_CONNECTED => SocketState::Connected,
            _ => SocketState::Disconnecting,
        }
    }

    /// Sets the state of connect(2). With the socket owned.
    pub fn set_state(&self, _lock: &UserLock<'_, P>, state: SocketState) {
        let state = match state {
            SocketState::Unconnected => bindings::socket_state_SS_UNCONNECTED,
            SocketState::Connecting => bindings::socket_state_SS_CONNECTING,
            SocketState::Connected => bindings::socket_state_SS_CONNECTED,
            SocketState::Disconnecting => bindings::socket_state_SS_DISCONNECTING,
        };
        // SAFETY: As in `state`.
        unsafe { (*self.sock.as_ptr()).state = state };
    }
}

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
    pub(super) unsafe fn from_raw(ptr: *const c_void, len: usize) -> Self {
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
    pub(super) unsafe fn from_raw(msg: NonNull<bindings::msghdr>) -> Self {
        // INVARIANT: The caller's promise.
        Msg {
            msg,
            _p: PhantomData,
        }
    }

    #[inline]
    pub(super) fn as_ptr(&self) -> *mut bindings::msghdr {
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
    pub(super) fn recv_ip_control<P: Protocol>(
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
pub(super) unsafe fn put_addr(to: *mut bindings::sockaddr_in, addr: u32, port: u16) {
    // SAFETY: The caller's promise.
    unsafe {
        ptr::write_bytes(to, 0, 1);
        (*to).sin_family = bindings::AF_INET as _;
        (*to).sin_port = port.to_be();
        (*to).sin_addr.s_addr = addr.to_be();
    }
}

/// The argument of an ioctl: an address in the user's memory.
#[derive(Clone, Copy)]
pub struct IoctlArg<'a> {
    sock: NonNull<bindings::socket>,
    cmd: c_uint,
    arg: c_ulong,
    _p: PhantomData<&'a ()>,
}

impl IoctlArg<'_> {
    /// # Safety
    ///
    /// The arguments are those of an ioctl on the live socket `sock` that is going on.
    pub(super) unsafe fn from_raw(
        sock: NonNull<bindings::socket>,
        cmd: c_uint,
        arg: c_ulong,
    ) -> Self {
        IoctlArg {
            sock,
            cmd,
            arg,
            _p: PhantomData,
        }
    }

    /// Writes an `int` there.
    ///
    /// # Errors
    ///
    /// EFAULT.
    pub fn put_int(&self, value: c_int) -> Result<c_int> {
        self.put_bytes(&value.to_ne_bytes())
    }

    /// Reads what the user's memory holds there.
    ///
    /// # Errors
    ///
    /// EFAULT.
    pub fn get_bytes(&self, buf: &mut [u8]) -> Result {
        // SAFETY: The function checks the user's address; `buf` has room for what is copied.
        let left = unsafe {
            bindings::copy_from_user(
                buf.as_mut_ptr().cast(),
                self.arg as *const c_void,
                buf.len() as _,
            )
        };
        if left == 0 {
            Ok(())
        } else {
            Err(EFAULT)
        }
    }

    /// Writes bytes there.
    ///
    /// # Errors
    ///
    /// EFAULT.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<c_int> {
        // SAFETY: The function checks the user's address; `bytes` is readable.
        let left = unsafe {
            bindings::copy_to_user(
                self.arg as *mut c_void,
                bytes.as_ptr().cast(),
                bytes.len() as _,
            )
        };
        if left == 0 {
            Ok(0)
        } else {
            Err(EFAULT)
        }
    }

    /// Leaves the request to the host's IPv4: addresses of interfaces, routes, ARP entries. What is not
    /// known there either is ENOIOCTLCMD, which the socket core takes as its turn.
    pub fn host(&self) -> c_int {
        // SAFETY: The arguments of the same call handed on. The function looks at the socket for its
        // namespace, and for `sk_prot->ioctl`, which we do not have.
        unsafe { bindings::inet_ioctl(self.sock.as_ptr(), self.cmd, self.arg) }
    }
}

/// The pipe that splice(2) moves data to.
///
/// # Invariants
///
/// The pipe is live and locked by the caller of the operation for `'a`.
pub struct Pipe<'a> {
    pipe: NonNull<bindings::pipe_inode_info>,
    flags: c_uint,
    nonblock: bool,
    _p: PhantomData<&'a mut bindings::pipe_inode_info>,
}

impl Pipe<'_> {
    /// # Safety
    ///
    /// As the type's invariants say, for the lifetime of the result.
    pub(super) unsafe fn from_raw(
        pipe: NonNull<bindings::pipe_inode_info>,
        flags: c_uint,
        nonblock: bool,
    ) -> Self {
        // INVARIANT: The caller's promise.
        Pipe {
            pipe,
            flags,
            nonblock,
            _p: PhantomData,
        }
    }

    /// Whether the socket's file must not block.
    pub fn nonblock(&self) -> bool {
        self.nonblock
    }

    /// Moves `len` bytes of the packet's data from `offset` on to the pipe, by reference where they lie in
    /// pages. Gives the bytes moved.
    ///
    /// # Errors
    ///
    /// EAGAIN when the pipe is full, EPIPE without a reader.
    ///
    /// Mirrors [`tcp_splice_data_recv`](srctree/net/ipv4/tcp.c)
    pub fn splice<P: Protocol>(
        &mut self,
        so: &Sock<P>,
        skb: &SkBuff,
        offset: usize,
        len: usize,
    ) -> Result<usize> {
        // SAFETY: All live; the pipe is locked by the type's invariant, and the socket by the owner of the
        // packet's queue. References to pages are counted by the function.
        let n = unsafe {
            bindings::skb_splice_bits(
                skb.as_ptr(),
                so.as_ptr(),
                offset as c_uint,
                self.pipe.as_ptr(),
                len as c_uint,
                self.flags,
            )
        };
        to_result(n)?;
        Ok(n as usize)
    }
}

/// Which end a name is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// getsockname(2): ours.
    Local,
    /// getpeername(2): the peer's, if there is one now.
    Peer,
    /// accept(2): the peer's, even if it has gone already.
    Accepted,
}

/// What the socket layer asks of a protocol. Process context; may sleep.
pub trait SocketOps: Protocol {
    /// The last file is closed; the reference is the file's.
    fn release(so: SockRef<Self>);
    /// bind(2).
    fn bind(so: &Sock<Self>, addr: RawAddr<'_>) -> Result;
    /// connect(2). `nonblock`: O_NONBLOCK.
    fn connect(sock: &Socket<'_, Self>, addr: RawAddr<'_>, nonblock: bool) -> Result;
    /// accept(2), up to the new connection; [`SocketOps`]'s caller ties it to its file. Also says whether more
    /// are waiting.
    fn accept(so: &Sock<Self>, nonblock: bool) -> Result<(SockRef<Self>, bool)>;
    /// An end's name: address and port in host order.
    fn getname(so: &Sock<Self>, end: End) -> Result<(u32, u16)>;
    /// What poll(2) tells (`EPOLL*`); the caller stands in the wait queue already.
    fn poll(so: &Sock<Self>) -> u32;
    /// ioctl(2).
    fn ioctl(so: &Sock<Self>, cmd: u32, arg: IoctlArg<'_>) -> Result<c_int>;
    /// listen(2).
    fn listen(sock: &Socket<'_, Self>, backlog: c_int) -> Result;
    /// shutdown(2); `how` as the user gave it.
    fn shutdown(sock: &Socket<'_, Self>, how: c_int) -> Result;
    /// setsockopt(2), but for SOL_SOCKET.
    fn setsockopt(so: &Sock<Self>, level: c_int, name: c_int, val: OptIn<'_>) -> Result;
    /// getsockopt(2), but for SOL_SOCKET.
    fn getsockopt(so: &Sock<Self>, level: c_int, name: c_int, out: &mut OptOut<'_>) -> Result;
    /// sendmsg(2) of `len` bytes.
    fn sendmsg(so: &Sock<Self>, msg: &mut Msg<'_>, len: usize) -> Result<usize>;
    /// recvmsg(2) of up to `len` bytes.
    fn recvmsg(so: &Sock<Self>, msg: &mut Msg<'_>, len: usize, flags: u32) -> Result<usize>;
    /// splice(2) from the socket of up to `len` bytes.
    fn splice_read(so: &Sock<Self>, pipe: &mut Pipe<'_>, len: usize) -> Result<usize> {
        let _ = (so, pipe, len);
        Err(EINVAL)
    }
    /// Setting SO_TIMESTAMPING to `flags` (`SOF_TIMESTAMPING_*`), which `set` does.
    fn timestamping(so: &Sock<Self>, flags: u32, set: impl FnOnce() -> Result) -> Result {
        let _ = (so, flags);
        set()
    }
    /// A splice into the socket came to its end short of what was announced: nothing more follows soon.
    fn splice_eof(so: &Sock<Self>);
}

/// The errno by which a write to a broken stream ends, after SIGPIPE if the user did not forbid it.
///
/// Mirrors [`sk_stream_error`](srctree/net/core/stream.c)
pub fn stream_error<P: Protocol>(so: &Sock<P>, flags: u32, e: Error) -> Error {
    // SAFETY: A live socket, process context.
    let ret = unsafe { bindings::sk_stream_error(so.as_ptr(), flags as c_int, e.to_errno()) };
    Error::from_errno(ret)
}
