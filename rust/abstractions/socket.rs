// SPDX-License-Identifier: GPL-2.0
//! The socket layer's side: families, and what system calls on a socket call (`struct proto_ops`).
//!
//! A protocol that implements [`SocketOps`] gets a `struct proto_ops` made for it; [`Family`] is what
//! `socket(2)` calls. Results are the C ones: a number, or a negative errno.
//!
//! C header: [`include/linux/net.h`](srctree/include/linux/net.h)

use super::{
    iov::{
        MsgIter,
        OptIn,
        OptOut, //
    },
    netns::Net,
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
    cell::UnsafeCell,
    marker::PhantomData,
    mem::size_of,
    ptr::{
        self,
        NonNull, //
    },
    sync::atomic::{
        AtomicUsize,
        Ordering, //
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
    ThisModule, //
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

    /// Whether the user sent control messages along.
    #[inline]
    pub fn has_control(&self) -> bool {
        // SAFETY: A live `struct msghdr`.
        unsafe { self.msg.as_ref().msg_controllen != 0 }
    }

    /// Takes the control messages of level SOL_SOCKET (SO_MARK, SO_PRIORITY …).
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
        // SAFETY: All three live during the call.
        to_result(unsafe { bindings::sock_cmsg_send(so.as_ptr(), self.msg.as_ptr(), &mut c) })?;
        Ok(Cookie {
            mark: c.mark,
            priority: c.priority,
            transmit_time: c.transmit_time,
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
    /// Mirrors [`sock_recv_cmsgs`](srctree/include/net/sock.h), [`ip_cmsg_recv_offset`](srctree/net/ipv4/ip_sockglue.c)
    pub fn recv_control<P: Protocol>(&mut self, so: &Sock<P>, skb: &SkBuff, offset: usize) {
        // SAFETY: All live during the call.
        unsafe {
            let (m, sk, p) = (self.msg.as_ptr(), so.as_ptr(), skb.as_ptr());
            bindings::sock_recv_cmsgs(m, sk, p);
            if bindings::inet_cmsg_flags(so.as_inet()) != 0 {
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
}

/// Writes a `struct sockaddr_in`; the family told is always AF_INET.
///
/// # Safety
///
/// `to` has room for one.
unsafe fn put_addr(to: *mut bindings::sockaddr_in, addr: u32, port: u16) {
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
    /// Writes an `int` there.
    ///
    /// # Errors
    ///
    /// EFAULT.
    pub fn put_int(&self, value: c_int) -> Result<c_int> {
        // SAFETY: The function checks the user's address.
        let left = unsafe {
            bindings::copy_to_user(
                self.arg as *mut c_void,
                ptr::from_ref(&value).cast(),
                size_of::<c_int>() as _,
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
    /// A splice into the socket came to its end short of what was announced: nothing more follows soon.
    fn splice_eof(so: &Sock<Self>);
}

/// Makes the `struct proto_ops` of a protocol.
pub(super) fn ops<P: SocketOps>(family: c_int, module: &'static ThisModule) -> bindings::proto_ops {
    // SAFETY: All zeroes is a value of this C type: nothing is set.
    let mut o: bindings::proto_ops = unsafe { core::mem::zeroed() };
    o.family = family;
    o.owner = module.as_ptr().cast();
    o.release = Some(release::<P>);
    o.bind = Some(bind::<P>);
    o.connect = Some(connect::<P>);
    o.socketpair = Some(bindings::sock_no_socketpair);
    o.accept = Some(accept::<P>);
    o.getname = Some(getname::<P>);
    o.poll = Some(poll::<P>);
    o.ioctl = Some(ioctl::<P>);
    o.gettstamp = Some(bindings::sock_gettstamp);
    o.listen = Some(listen::<P>);
    o.shutdown = Some(shutdown::<P>);
    o.setsockopt = Some(setsockopt::<P>);
    o.getsockopt_iter = Some(getsockopt::<P>);
    o.sendmsg = Some(sendmsg::<P>);
    o.recvmsg = Some(recvmsg::<P>);
    o.mmap = Some(bindings::sock_no_mmap);
    o.splice_eof = Some(splice_eof::<P>);
    if u32::from(P::TYPE) == bindings::sock_type_SOCK_DGRAM {
        o.set_peek_off = Some(bindings::sk_set_peek_off);
    }
    o
}

fn result(r: Result) -> c_int {
    match r {
        Ok(()) => 0,
        Err(e) => e.to_errno(),
    }
}

fn count(r: Result<usize>) -> c_int {
    match r {
        Ok(n) => n.min(c_int::MAX as usize) as c_int,
        Err(e) => e.to_errno(),
    }
}

/// # Safety
///
/// `sock` is a live socket of `P`'s that the socket core called an operation on.
#[inline]
unsafe fn socket<'a, P: Protocol>(sock: *mut bindings::socket) -> Socket<'a, P> {
    // INVARIANT: The caller's promise.
    Socket {
        // SAFETY: A live object's address is not null.
        sock: unsafe { NonNull::new_unchecked(sock) },
        _p: PhantomData,
    }
}

/// # Safety
///
/// Called by the socket core on the last close: no other operation is running or will.
unsafe extern "C" fn release<P: SocketOps>(sock: *mut bindings::socket) -> c_int {
    // SAFETY: The caller's promise. The file's reference was counted when the socket was made or grafted.
    unsafe {
        if let Some(sk) = NonNull::new((*sock).sk) {
            P::release(SockRef::from_raw(sk));
            (*sock).sk = ptr::null_mut();
        }
    }
    0
}

/// # Safety
///
/// Called by the socket core with a checked address in kernel memory.
unsafe extern "C" fn bind<P: SocketOps>(
    sock: *mut bindings::socket,
    addr: *mut bindings::sockaddr_unsized,
    len: c_int,
) -> c_int {
    // SAFETY: The caller's promise.
    let sock = unsafe { socket::<P>(sock) };
    result(P::bind(sock.sk(), raw_addr(addr, len)))
}

fn raw_addr<'a>(addr: *mut bindings::sockaddr_unsized, len: c_int) -> RawAddr<'a> {
    RawAddr {
        ptr: addr.cast(),
        len: usize::try_from(len).unwrap_or(0),
        _p: PhantomData,
    }
}

/// # Safety
///
/// As [`bind`].
unsafe extern "C" fn connect<P: SocketOps>(
    sock: *mut bindings::socket,
    addr: *mut bindings::sockaddr_unsized,
    len: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: The caller's promise.
    let sock = unsafe { socket::<P>(sock) };
    result(P::connect(
        &sock,
        raw_addr(addr, len),
        flags as u32 & bindings::O_NONBLOCK != 0,
    ))
}

/// # Safety
///
/// Called by the socket core with a new `struct socket` that has no socket yet.
unsafe extern "C" fn accept<P: SocketOps>(
    sock: *mut bindings::socket,
    newsock: *mut bindings::socket,
    arg: *mut bindings::proto_accept_arg,
) -> c_int {
    // SAFETY: The caller's promise.
    let so = unsafe { socket::<P>(sock) };
    // SAFETY: As above.
    let nonblock = unsafe { (*arg).flags } as u32 & bindings::O_NONBLOCK != 0;
    match P::accept(so.sk(), nonblock) {
        Ok((child, more)) => {
            let lock = UserLock::nested(&child);
            // SAFETY: The new socket is tied to its file, which takes over the reference given away here; the
            // function charges the socket to the accepting task's memory cgroup.
            unsafe {
                (*arg).is_empty = c_int::from(!more);
                bindings::__inet_accept(sock, newsock, child.as_ptr());
                custom_sockopt(newsock);
            }
            drop(lock);
            child.into_raw();
            0
        }
        Err(e) => e.to_errno(),
    }
}

/// # Safety
///
/// Called by the socket core; `addr` has room for every address.
unsafe extern "C" fn getname<P: SocketOps>(
    sock: *mut bindings::socket,
    addr: *mut bindings::sockaddr,
    peer: c_int,
) -> c_int {
    // SAFETY: The caller's promise.
    let sock = unsafe { socket::<P>(sock) };
    let end = match peer {
        0 => End::Local,
        1 => End::Peer,
        _ => End::Accepted,
    };
    match P::getname(sock.sk(), end) {
        Ok((a, port)) => {
            // SAFETY: The caller's promise.
            unsafe { put_addr(addr.cast(), a, port) };
            size_of::<bindings::sockaddr_in>() as c_int
        }
        Err(e) => e.to_errno(),
    }
}

/// # Safety
///
/// Called by the socket core.
unsafe extern "C" fn poll<P: SocketOps>(
    file: *mut bindings::file,
    sock: *mut bindings::socket,
    wait: *mut bindings::poll_table_struct,
) -> bindings::__poll_t {
    // SAFETY: The caller's promise: all three are alive.
    unsafe { bindings::sock_poll_wait(file, sock, wait) };
    // SAFETY: As above.
    P::poll(unsafe { socket::<P>(sock) }.sk()) as bindings::__poll_t
}

/// # Safety
///
/// Called by the socket core.
unsafe extern "C" fn ioctl<P: SocketOps>(
    sock: *mut bindings::socket,
    cmd: c_uint,
    arg: c_ulong,
) -> c_int {
    // SAFETY: The caller's promise.
    let s = unsafe { socket::<P>(sock) };
    let arg = IoctlArg {
        sock: s.sock,
        cmd,
        arg,
        _p: PhantomData,
    };
    match P::ioctl(s.sk(), cmd, arg) {
        Ok(n) => n,
        Err(e) => e.to_errno(),
    }
}

/// # Safety
///
/// Called by the socket core.
unsafe extern "C" fn listen<P: SocketOps>(sock: *mut bindings::socket, backlog: c_int) -> c_int {
    // SAFETY: The caller's promise.
    result(P::listen(&unsafe { socket::<P>(sock) }, backlog))
}

/// # Safety
///
/// Called by the socket core.
unsafe extern "C" fn shutdown<P: SocketOps>(sock: *mut bindings::socket, how: c_int) -> c_int {
    // SAFETY: The caller's promise.
    result(P::shutdown(&unsafe { socket::<P>(sock) }, how))
}

/// # Safety
///
/// Called by the socket core.
unsafe extern "C" fn setsockopt<P: SocketOps>(
    sock: *mut bindings::socket,
    level: c_int,
    name: c_int,
    val: bindings::sockptr_t,
    len: c_uint,
) -> c_int {
    // SAFETY: The caller's promise.
    let (s, opt) = unsafe { (socket::<P>(sock), OptIn::from_raw(val, len as usize)) };
    if level as u32 != bindings::SOL_SOCKET {
        return result(P::setsockopt(s.sk(), level, name, opt));
    }
    if name as u32 == bindings::SO_REUSEPORT {
        // The socket core takes it for the families only that it knows itself.
        return result(opt.get::<c_int>().map(|on| {
            let _lock = UserLock::new(s.sk());
            s.sk().set_reuseport(on != 0);
        }));
    }
    // SAFETY: The arguments of the same call handed on.
    unsafe { bindings::sock_setsockopt(sock, level, name, val, len) }
}

/// # Safety
///
/// Called by the socket core.
unsafe extern "C" fn getsockopt<P: SocketOps>(
    sock: *mut bindings::socket,
    level: c_int,
    name: c_int,
    opt: *mut bindings::sockopt_t,
) -> c_int {
    // SAFETY: The caller's promise.
    let (s, mut out) = unsafe {
        (
            socket::<P>(sock),
            OptOut::from_raw(NonNull::new_unchecked(opt)),
        )
    };
    result(P::getsockopt(s.sk(), level, name, &mut out))
}

/// # Safety
///
/// Called by the socket core.
unsafe extern "C" fn sendmsg<P: SocketOps>(
    sock: *mut bindings::socket,
    msg: *mut bindings::msghdr,
    len: usize,
) -> c_int {
    // SAFETY: The caller's promise.
    let (s, mut msg) = unsafe { (socket::<P>(sock), msg_of(msg)) };
    count(P::sendmsg(s.sk(), &mut msg, len))
}

/// # Safety
///
/// `msg` is a live `struct msghdr` of this call.
unsafe fn msg_of<'a>(msg: *mut bindings::msghdr) -> Msg<'a> {
    // INVARIANT: The caller's promise.
    Msg {
        // SAFETY: A live object's address is not null.
        msg: unsafe { NonNull::new_unchecked(msg) },
        _p: PhantomData,
    }
}

/// # Safety
///
/// Called by the socket core.
unsafe extern "C" fn recvmsg<P: SocketOps>(
    sock: *mut bindings::socket,
    msg: *mut bindings::msghdr,
    len: usize,
    flags: c_int,
) -> c_int {
    // SAFETY: The caller's promise.
    let (s, mut msg) = unsafe { (socket::<P>(sock), msg_of(msg)) };
    count(P::recvmsg(s.sk(), &mut msg, len, flags as u32))
}

/// # Safety
///
/// Called by the socket core.
unsafe extern "C" fn splice_eof<P: SocketOps>(sock: *mut bindings::socket) {
    // SAFETY: The caller's promise.
    P::splice_eof(unsafe { socket::<P>(sock) }.sk());
}

/// The errno by which a write to a broken stream ends, after SIGPIPE if the user did not forbid it.
///
/// Mirrors [`sk_stream_error`](srctree/net/core/stream.c)
pub fn stream_error<P: Protocol>(so: &Sock<P>, flags: u32, e: Error) -> Error {
    // SAFETY: A live socket, process context.
    let ret = unsafe { bindings::sk_stream_error(so.as_ptr(), flags as c_int, e.to_errno()) };
    Error::from_errno(ret)
}

/// Options of level SOL_SOCKET come to us first.
///
/// # Safety
///
/// `sock` is a live `struct socket`.
unsafe fn custom_sockopt(sock: *mut bindings::socket) {
    // SAFETY: The caller's promise; others change bits of the word atomically too.
    let flags = unsafe { AtomicUsize::from_ptr((&raw mut (*sock).flags).cast()) };
    flags.fetch_or(1 << bindings::SOCK_CUSTOM_SOCKOPT, Ordering::Relaxed);
}

/// A new socket in the making: what a family's `create` works on.
pub struct Create<'a> {
    net: *mut bindings::net,
    sock: *mut bindings::socket,
    kern: c_int,
    family: c_int,
    _p: PhantomData<&'a ()>,
}

impl Create<'_> {
    /// The namespace it is made in.
    pub fn net(&self) -> &Net {
        // SAFETY: The caller of `create` keeps it alive.
        unsafe { Net::from_ptr(self.net) }
    }

    /// Makes it a socket of the protocol `P`.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub fn make<P: SocketOps>(self) -> Result {
        // SAFETY: `create`'s arguments; the ops are set before anybody can call one.
        unsafe {
            (*self.sock).state = bindings::socket_state_SS_UNCONNECTED;
            (*self.sock).ops = P::proto().ops();
            P::proto().create(self.net, self.sock, self.family, self.kern)?;
            custom_sockopt(self.sock);
        }
        Ok(())
    }
}

/// A family of sockets.
pub trait Family: 'static {
    /// socket(2): makes a socket of the type `ty` and the protocol `protocol`, 0 for the type's usual one.
    ///
    /// # Errors
    ///
    /// As `inet_create`.
    fn create(new: Create<'_>, ty: u16, protocol: c_int) -> Result;
}

/// The registration of a family: no new socket once it is dropped.
pub struct FamilyRegistration {
    ops: kernel::alloc::KBox<UnsafeCell<bindings::net_proto_family>>,
}

// SAFETY: Only C touches the cell, under its own locks.
unsafe impl Send for FamilyRegistration {}
// SAFETY: As above.
unsafe impl Sync for FamilyRegistration {}

impl FamilyRegistration {
    /// Registers `F` under the number `family`.
    ///
    /// # Errors
    ///
    /// EEXIST when somebody has the number, ENOBUFS when it is out of range, ENOMEM.
    ///
    /// Mirrors [`sock_register`](srctree/net/socket.c)
    pub fn new<F: Family>(family: c_int, module: &'static ThisModule) -> Result<Self> {
        let ops = kernel::alloc::KBox::new(
            UnsafeCell::new(bindings::net_proto_family {
                family,
                create: Some(create::<F>),
                owner: module.as_ptr().cast(),
            }),
            kernel::alloc::flags::GFP_KERNEL,
        )?;
        // SAFETY: The object stays where it is until `drop` takes it back.
        to_result(unsafe { bindings::sock_register(ops.get()) })?;
        Ok(FamilyRegistration { ops })
    }
}

impl Drop for FamilyRegistration {
    fn drop(&mut self) {
        // SAFETY: Registered; the function waits for those who are in `create`.
        unsafe { bindings::sock_unregister((*self.ops.get()).family) };
    }
}

/// # Safety
///
/// Called by the socket core with a new `struct socket` and a live namespace.
unsafe extern "C" fn create<F: Family>(
    net: *mut bindings::net,
    sock: *mut bindings::socket,
    protocol: c_int,
    kern: c_int,
) -> c_int {
    // SAFETY: The caller's promise; the core has set type and file already, and the family is the one that the
    // user named.
    let ty = unsafe { (*sock).type_ };
    let new = Create {
        net,
        sock,
        kern,
        family: super::proto::family(),
        _p: PhantomData,
    };
    result(F::create(new, ty as u16, protocol))
}
