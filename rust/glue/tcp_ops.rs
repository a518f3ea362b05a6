// SPDX-License-Identifier: GPL-2.0
//! System calls on TCP sockets.
//!
//! The stack never sleeps: it says what it waits for, this side lets go of it, sleeps, and calls again.
//!
//! Mirrors [`tcp.c`](srctree/net/ipv4/tcp.c)

use super::{
    inet_sock,
    sockopt,
    tcp::{
        self as glue_tcp,
        Tcp, //
    },
    tcp_connect,
    tcp_listen,
    tcp_sockopt, //
};
use crate::{
    abstractions::{
        iov::{
            OptIn,
            OptOut, //
        },
        rx_stamp::RxStamp,
        sock::{
            flag,
            Sock,
            SockRef, //
        },
        sock_lock::{
            self,
            UserLock, //
        },
        socket::{
            self,
            End,
            IoctlArg,
            Msg,
            Pipe,
            RawAddr,
            Socket,
            SocketOps, //
        },
    },
    bindings,
    stack::tcp::{
        RecvFlags,
        RecvState,
        RecvStep,
        SendFlags,
        SendStep, //
    },
};
use kernel::{
    error::{
        code::*,
        Error,
        Result, //
    },
    ffi::c_int, //
};

/// Bytes after which a writer lets the backlog be worked off: ACKs open the window that he fills.
const SEND_CHUNK: usize = 512 * 1024;

/// The largest SO_RCVLOWAT that poll(2) waits for, in bytes: more cannot be told without the lock.
const MAX_TARGET: u32 = (1 << 29) - 1;

impl SocketOps for Tcp {
    fn release(so: SockRef<Self>) {
        tcp_connect::release(so);
    }

    fn bind(so: &Sock<Self>, addr: RawAddr<'_>) -> Result {
        let mut lock = UserLock::new(so);
        inet_sock::bind(&mut lock, &addr, |l, port| inet_sock::get_port(l, port))
    }

    fn connect(sock: &Socket<'_, Self>, addr: RawAddr<'_>, nonblock: bool) -> Result {
        tcp_connect::connect(sock, addr, nonblock)
    }

    fn accept(so: &Sock<Self>, nonblock: bool) -> Result<(SockRef<Self>, bool)> {
        tcp_listen::accept(so, nonblock)
    }

    fn getname(so: &Sock<Self>, end: End) -> Result<(u32, u16)> {
        sockopt::getname(so, end)
    }

    /// Mirrors [`tcp_poll`](srctree/net/ipv4/tcp.c)
    fn poll(so: &Sock<Self>) -> u32 {
        let state = u32::from(so.state());
        if state == bindings::TCP_LISTEN {
            let ready = so.shared().listener.as_ref().is_some_and(|l| l.ready());
            return if ready {
                bindings::EPOLLIN | bindings::EPOLLRDNORM
            } else {
                0
            };
        }
        let mut mask = 0;
        let shut = u32::from(so.shutdown());
        if shut == bindings::SHUTDOWN_MASK || state == bindings::TCP_CLOSE {
            mask |= bindings::EPOLLHUP;
        }
        if shut & bindings::RCV_SHUTDOWN != 0 {
            mask |= bindings::EPOLLIN | bindings::EPOLLRDNORM | bindings::EPOLLRDHUP;
        }
        if !tcp_connect::is_opening(so) {
            // A buffer that can never hold so much is full enough at half.
            let target = (so.rcvlowat().max(1) as u32)
                .min((so.rcvbuf() >> 1).max(1))
                .min(MAX_TARGET);
            let (inq, urg) = so.shared().readable();
            if inq >= target {
                mask |= bindings::EPOLLIN | bindings::EPOLLRDNORM;
            }
            if urg {
                mask |= bindings::EPOLLPRI;
            }
            let mut space = shut & bindings::SEND_SHUTDOWN != 0 || so.stream_is_writeable();
            if !space {
                so.set_async_nospace();
                so.set_nospace();
                // Room that was made before the flag was set has told nobody.
                space = so.stream_is_writeable();
            }
            if space {
                mask |= bindings::EPOLLOUT | bindings::EPOLLWRNORM;
            }
        }
        if so.err() != 0 || so.has_errors() {
            mask |= bindings::EPOLLERR;
        }
        mask
    }

    /// Mirrors [`tcp_ioctl`](srctree/net/ipv4/tcp.c)
    fn ioctl(so: &Sock<Self>, cmd: u32, arg: IoctlArg<'_>) -> Result<c_int> {
        let listening = so.state() == bindings::TCP_LISTEN as u8;
        let mut lock;
        let value = match cmd {
            bindings::SIOCINQ | bindings::SIOCOUTQ | bindings::SIOCOUTQNSD if listening => {
                return Err(EINVAL);
            }
            bindings::SIOCINQ => {
                lock = UserLock::new(so);
                glue_tcp::look(&mut lock, |tp, env| tp.inq(env))
            }
            bindings::SIOCOUTQ => {
                lock = UserLock::new(so);
                lock.private().tp.outq()
            }
            bindings::SIOCOUTQNSD => {
                lock = UserLock::new(so);
                lock.private().tp.outq_nsd()
            }
            bindings::SIOCATMARK => {
                lock = UserLock::new(so);
                u32::from(lock.private().tp.at_mark())
            }
            _ => return Ok(arg.host()),
        };
        drop(lock);
        arg.put_int(value as c_int)
    }

    fn listen(sock: &Socket<'_, Self>, backlog: c_int) -> Result {
        tcp_listen::listen(sock, backlog)
    }

    fn shutdown(sock: &Socket<'_, Self>, how: c_int) -> Result {
        tcp_connect::shutdown(sock, how)
    }

    fn setsockopt(so: &Sock<Self>, level: c_int, name: c_int, val: OptIn<'_>) -> Result {
        tcp_sockopt::set(so, level, name, val)
    }

    fn getsockopt(so: &Sock<Self>, level: c_int, name: c_int, out: &mut OptOut<'_>) -> Result {
        tcp_sockopt::get(so, level, name, out)
    }

    /// Mirrors [`tcp_sendmsg`](srctree/net/ipv4/tcp.c)
    fn sendmsg(so: &Sock<Self>, msg: &mut Msg<'_>, _len: usize) -> Result<usize> {
        let flags = msg.flags();
        if flags & bindings::MSG_FASTOPEN != 0 {
            return Err(EOPNOTSUPP);
        }
        let tsflags = if msg.has_control() {
            msg.socket_control(so)?.tsflags
        } else {
            so.tsflags()
        };
        let mut lock = UserLock::new(so);
        let mut copied = 0;
        match send(&mut lock, msg, flags, tsflags, &mut copied) {
            Err(e) if copied == 0 => {
                let e = socket::stream_error(so, flags, e);
                if e == EAGAIN && so.wmem_queued() == 0 {
                    // Whoever waits for the edge must see one.
                    so.stream_write_space();
                }
                Err(e)
            }
            _ => Ok(copied),
        }
    }

    /// Mirrors [`tcp_recvmsg`](srctree/net/ipv4/tcp.c)
    fn recvmsg(so: &Sock<Self>, msg: &mut Msg<'_>, len: usize, flags: u32) -> Result<usize> {
        if flags & bindings::MSG_ERRQUEUE != 0 {
            return msg.recv_error(so, len);
        }
        let mut lock = UserLock::new(so);
        if flags & bindings::MSG_OOB != 0 {
            return recv_urg(&mut lock, msg, len, flags);
        }
        recv(&mut lock, msg, len, flags)
    }

    /// Mirrors [`tcp_splice_read`](srctree/net/ipv4/tcp.c)
    fn splice_read(so: &Sock<Self>, pipe: &mut Pipe<'_>, len: usize) -> Result<usize> {
        let mut lock = UserLock::new(so);
        let mut timeo = so.rcvtimeo(pipe.nonblock());
        let mut spliced = 0;
        while spliced < len {
            let mut failed = Ok(());
            let n = glue_tcp::enter(&mut lock, |tp, env| {
                tp.read_sock(env, len - spliced, |skb, offset, len| {
                    pipe.splice(so, skb, offset, len).unwrap_or_else(|e| {
                        failed = Err(e);
                        0
                    })
                })
            });
            let n = n.map_err(inet_sock::error)?;
            spliced += n;
            if n != 0 {
                if timeo == 0 || so.err() != 0 {
                    break;
                }
                // Packets that came meanwhile, and whoever else wants the socket.
                lock.flush_backlog();
                continue;
            }
            if spliced != 0 {
                break;
            }
            failed?;
            if so.flag(flag::DONE) {
                break;
            }
            match so.take_err() {
                0 => {}
                e => return Err(Error::from_errno(-e)),
            }
            if u32::from(so.shutdown()) & bindings::RCV_SHUTDOWN != 0 {
                break;
            }
            if so.state() == bindings::TCP_CLOSE as u8 {
                return Err(ENOTCONN);
            }
            if timeo == 0 {
                return Err(EAGAIN);
            }
            if lock.private().tp.has_queued() {
                // At the urgent mark: nothing comes past it.
                break;
            }
            lock.wait_data(&mut timeo);
            if let Some(e) = sock_lock::signal(timeo) {
                return Err(e);
            }
        }
        Ok(spliced)
    }

    /// Mirrors [`sock_set_timestamping`](srctree/net/core/sock.c)
    fn timestamping(so: &Sock<Self>, flags: u32, set: impl FnOnce() -> Result) -> Result {
        let begins = flags & bindings::SOF_TIMESTAMPING_OPT_ID != 0
            && so.tsflags() & bindings::SOF_TIMESTAMPING_OPT_ID == 0;
        let state = u32::from(so.state());
        if begins && matches!(state, bindings::TCP_CLOSE | bindings::TCP_LISTEN) {
            return Err(EINVAL);
        }
        if flags & bindings::SOF_TIMESTAMPING_OPT_STATS != 0 {
            // The kernel fills them in for its own TCP alone.
            return Err(EOPNOTSUPP);
        }
        set()?;
        if begins {
            let mut lock = UserLock::new(so);
            let from_now = flags & bindings::SOF_TIMESTAMPING_OPT_ID_TCP != 0;
            lock.private().tp.number_timestamps(from_now);
        }
        Ok(())
    }

    /// Mirrors [`tcp_splice_eof`](srctree/net/ipv4/tcp.c)
    fn splice_eof(so: &Sock<Self>) {
        let mut lock = UserLock::new(so);
        glue_tcp::enter(&mut lock, |tp, env| tp.push_pending_frames(env, false));
    }
}

/// Queues all of the message, as far as it goes.
fn send(
    lock: &mut UserLock<'_, Tcp>,
    msg: &mut Msg<'_>,
    flags: u32,
    tsflags: u32,
    copied: &mut usize,
) -> Result {
    let so = lock.sock();
    let mut timeo = so.sndtimeo(flags & bindings::MSG_DONTWAIT != 0);
    let more = flags & bindings::MSG_MORE != 0;
    let eor = flags & bindings::MSG_EOR != 0;
    let oob = flags & bindings::MSG_OOB != 0;
    if !matches!(
        u32::from(so.state()),
        bindings::TCP_ESTABLISHED | bindings::TCP_CLOSE_WAIT
    ) {
        lock.wait_connect(&mut timeo)?;
    }
    loop {
        if so.err() != 0 || u32::from(so.shutdown()) & bindings::SEND_SHUTDOWN != 0 {
            return Err(EPIPE);
        }
        let (step, rest) = msg.iter().limited(SEND_CHUNK, |iter, rest| {
            let flags = SendFlags {
                more: more || rest != 0,
                eor: eor && rest == 0,
                oob: oob && rest == 0,
                tsflags: if rest == 0 { tsflags } else { 0 },
            };
            let step = glue_tcp::enter(lock, |tp, env| tp.sendmsg(env, iter, flags, copied));
            (step, rest)
        });
        match step {
            SendStep::Done if rest == 0 => return Ok(()),
            SendStep::Done => lock.flush_backlog(),
            SendStep::WaitMemory => {
                so.set_nospace();
                if let Err(e) = lock.wait_memory(&mut timeo) {
                    if tsflags != 0 && *copied != 0 {
                        // What was taken is all there will be.
                        glue_tcp::enter(lock, |tp, env| tp.tx_timestamp(env, tsflags));
                    }
                    return Err(e);
                }
            }
            SendStep::WaitConnect => lock.wait_connect(&mut timeo)?,
            SendStep::Error(e) => return Err(inet_sock::error(e)),
        }
    }
}

/// Receives the urgent byte.
///
/// Mirrors [`tcp_recv_urg`](srctree/net/ipv4/tcp.c)
#[cold]
fn recv_urg(
    lock: &mut UserLock<'_, Tcp>,
    msg: &mut Msg<'_>,
    len: usize,
    flags: u32,
) -> Result<usize> {
    if lock.sock().state() == bindings::TCP_LISTEN as u8 {
        return Err(ENOTCONN);
    }
    let peek = flags & bindings::MSG_PEEK != 0;
    let byte = glue_tcp::enter(lock, |tp, env| tp.recv_urg(env, peek)).map_err(inet_sock::error)?;
    let Some(byte) = byte else { return Ok(0) };
    msg.add_flags(bindings::MSG_OOB);
    if len == 0 {
        msg.add_flags(bindings::MSG_TRUNC);
        return Ok(0);
    }
    if flags & bindings::MSG_TRUNC == 0 {
        msg.iter().copy_to(&[byte])?;
    }
    Ok(1)
}

/// Receives until the target is reached or nothing more can come.
fn recv(lock: &mut UserLock<'_, Tcp>, msg: &mut Msg<'_>, len: usize, flags: u32) -> Result<usize> {
    let so = lock.sock();
    let mut timeo = so.rcvtimeo(flags & bindings::MSG_DONTWAIT != 0);
    // `sock_rcvlowat`.
    let target = if flags & bindings::MSG_WAITALL != 0 {
        len
    } else {
        (so.rcvlowat().max(1) as usize).min(len)
    };
    let how = RecvFlags {
        peek: flags & bindings::MSG_PEEK != 0,
        trunc: flags & bindings::MSG_TRUNC != 0,
    };
    let mut st = RecvState::new(target);
    let mut stamp = RxStamp::default();
    let n = recv_loop(lock, msg, len, how, &mut st, &mut timeo, &mut stamp)?;
    if stamp != RxStamp::default() {
        msg.put_rx_stamp(so, stamp);
    }
    if lock.private().tp.inq_wanted() {
        let inq = glue_tcp::look(lock, |tp, env| tp.inq_hint(env));
        msg.put_cmsg(bindings::SOL_TCP, bindings::TCP_CM_INQ, &inq.to_ne_bytes());
    }
    Ok(n)
}

fn recv_loop(
    lock: &mut UserLock<'_, Tcp>,
    msg: &mut Msg<'_>,
    len: usize,
    how: RecvFlags,
    st: &mut RecvState,
    timeo: &mut isize,
    stamp: &mut RxStamp,
) -> Result<usize> {
    let so = lock.sock();
    loop {
        // Most readers come before their data: nothing happens to the connection then.
        let step = match glue_tcp::look(lock, |tp, env| tp.recv_idle(env, len, st)) {
            Some(step) => step,
            None => glue_tcp::enter(lock, |tp, env| {
                let step = tp.recvmsg(env, &mut msg.iter(), len, how, st);
                if env.rx_stamp() != RxStamp::default() {
                    *stamp = env.rx_stamp();
                }
                step
            }),
        };
        if st.copied != 0 {
            if step != RecvStep::WaitData || so.err() != 0 || *timeo == 0 {
                return Ok(st.copied);
            }
            if sock_lock::signal(*timeo).is_some() {
                return Ok(st.copied);
            }
        } else {
            if so.flag(flag::DONE) || (len == 0 && step == RecvStep::Done) {
                return Ok(0);
            }
            // Why there is nothing to read goes before that there is nothing.
            match so.take_err() {
                0 => {}
                e => return Err(Error::from_errno(-e)),
            }
            match step {
                RecvStep::Done => return Ok(0),
                RecvStep::Error(e) => return Err(inet_sock::error(e)),
                RecvStep::WaitData if *timeo == 0 => return Err(EAGAIN),
                RecvStep::WaitData => {}
            }
            if let Some(e) = sock_lock::signal(*timeo) {
                return Err(e);
            }
        }
        lock.wait_data(timeo);
    }
}
