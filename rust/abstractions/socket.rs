// SPDX-License-Identifier: GPL-2.0
//! The socket layer's side: families, and what system calls on a socket call (`struct proto_ops`).
//!
//! A protocol that implements [`SocketOps`] gets a `struct proto_ops` made for it; [`Family`] is what
//! `socket(2)` calls. Results are the C ones: a number, or a negative errno.
//!
//! C header: [`include/linux/net.h`](srctree/include/linux/net.h)

mod msg;

pub use super::family::{
    Create,
    Family,
    FamilyRegistration, //
};
pub(super) use msg::put_addr;
pub use msg::{
    Cookie,
    Msg,
    RawAddr, //
};

use super::{
    iov::{
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
    ptr::NonNull, //
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
