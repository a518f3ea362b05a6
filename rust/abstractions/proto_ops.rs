// SPDX-License-Identifier: GPL-2.0
//! From the socket layer's calls to a protocol's methods (`struct proto_ops`).
//!
//! Results are the C ones: a number, or a negative errno.
//!
//! C header: [`include/linux/net.h`](srctree/include/linux/net.h)

use super::{
    iov::{
        OptIn,
        OptOut, //
    },
    proto::Protocol,
    sock::SockRef,
    sock_lock::UserLock,
    socket::{
        put_addr,
        End,
        IoctlArg,
        Msg,
        Pipe,
        RawAddr,
        Socket,
        SocketOps, //
    },
};
use crate::bindings;
use core::{
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
        code::ESPIPE,
        Result, //
    },
    ffi::{
        c_int,
        c_uint,
        c_ulong, //
    },
    ThisModule, //
};

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
    if u32::from(P::TYPE) == bindings::sock_type_SOCK_STREAM {
        o.splice_read = Some(splice_read::<P>);
    }
    if u32::from(P::TYPE) == bindings::sock_type_SOCK_DGRAM {
        o.set_peek_off = Some(bindings::sk_set_peek_off);
    }
    o
}

pub(super) fn result(r: Result) -> c_int {
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
    // SAFETY: The caller's promise; a live object's address is not null.
    unsafe { Socket::from_raw(NonNull::new_unchecked(sock)) }
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
    // SAFETY: The socket core's own address for this call, `len` bytes long.
    unsafe { RawAddr::from_raw(addr.cast(), usize::try_from(len).unwrap_or(0)) }
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
    // SAFETY: The arguments of this call.
    let arg = unsafe { IoctlArg::from_raw(NonNull::new_unchecked(sock), cmd, arg) };
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
    let set = || unsafe { bindings::sock_setsockopt(sock, level, name, val, len) };
    if matches!(
        name as u32,
        bindings::SO_TIMESTAMPING_OLD | bindings::SO_TIMESTAMPING_NEW
    ) {
        return result(opt.get::<c_int>().and_then(|flags| {
            P::timestamping(s.sk(), flags as u32, || kernel::error::to_result(set()))
        }));
    }
    let ret = set();
    if matches!(name as u32, bindings::SO_SNDBUF | bindings::SO_SNDBUFFORCE)
        && ret == 0
        && u32::from(P::TYPE) == bindings::sock_type_SOCK_STREAM
    {
        // What the socket core calls then is a stream's callback for packets that were sent.
        s.sk().stream_write_space();
    }
    ret
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
    // SAFETY: The caller's promise; a live object's address is not null.
    unsafe { Msg::from_raw(NonNull::new_unchecked(msg)) }
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

/// # Safety
///
/// Called by the socket core with the pipe locked.
unsafe extern "C" fn splice_read<P: SocketOps>(
    sock: *mut bindings::socket,
    ppos: *mut bindings::loff_t,
    pipe: *mut bindings::pipe_inode_info,
    len: usize,
    flags: c_uint,
) -> isize {
    // SAFETY: The caller's promise. A socket that is spliced from has a file.
    unsafe {
        if *ppos != 0 {
            return ESPIPE.to_errno() as isize;
        }
        let nonblock = (*(*sock).file).f_flags & bindings::O_NONBLOCK != 0;
        let mut pipe = Pipe::from_raw(NonNull::new_unchecked(pipe), flags, nonblock);
        match P::splice_read(socket::<P>(sock).sk(), &mut pipe, len) {
            Ok(n) => n as isize,
            Err(e) => e.to_errno() as isize,
        }
    }
}

/// Options of level SOL_SOCKET come to us first.
///
/// # Safety
///
/// `sock` is a live `struct socket`.
pub(super) unsafe fn custom_sockopt(sock: *mut bindings::socket) {
    // SAFETY: The caller's promise; others change bits of the word atomically too.
    let flags = unsafe { AtomicUsize::from_ptr((&raw mut (*sock).flags).cast()) };
    flags.fetch_or(1 << bindings::SOCK_CUSTOM_SOCKOPT, Ordering::Relaxed);
}
