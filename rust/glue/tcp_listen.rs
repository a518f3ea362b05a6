// SPDX-License-Identifier: GPL-2.0
//! Listeners, and the queue that accept(2) empties.
//!
//! A listener takes no part in the handshakes of its connections ([`super::tcp_request`]): they come to
//! its queue when they are established, without its socket's lock.
//!
//! Mirrors [`inet_connection_sock.c`](srctree/net/ipv4/inet_connection_sock.c)

use super::{
    inet_sock::{
        self,
        error,
        Inet, //
    },
    net::State,
    ports::Binding,
    tcp::{
        self as glue_tcp,
        Tcp, //
    },
    tcp_request::{
        is_listening,
        HalfOpen,
        Stage, //
    },
};
use crate::{
    abstractions::{
        lock::Lock,
        memory::Arc,
        minisock::MiniRef,
        proto::Protocol as _,
        sock::{
            Sock,
            SockRef, //
        },
        sock_lock::{
            self,
            UserLock, //
        },
        socket::{
            Socket,
            SocketState, //
        },
    },
    bindings,
    stack::tcp, //
};
use core::sync::atomic::{
    AtomicU32,
    AtomicU64, //
};
use kernel::{
    error::{
        code::*,
        Result, //
    },
    ffi::c_int,
    sync::SetOnce, //
};

/// Where a socket keeps its listener's part.
pub(crate) type ListenerCell = SetOnce<Arc<Listener>>;

/// What a socket has because it listens, or did.
pub(crate) struct Listener {
    /// Half-open connections.
    pub(super) qlen: AtomicU32,
    /// When a SYN was last answered with a cookie, in milliseconds since boot; 0 for never.
    pub(super) overflow_at: AtomicU64,
    queue: Lock<AcceptQueue>,
    pub(super) template: Lock<Template>,
}

/// Connections that wait to be accepted, in the order in which they were established.
struct AcceptQueue {
    head: Option<MiniRef<HalfOpen>>,
    tail: Option<MiniRef<HalfOpen>>,
    /// The socket listens.
    open: bool,
}

/// What new connections start from.
pub(super) struct Template {
    /// The user's settings.
    pub(super) tp: tcp::Sock,
    /// The listener's port.
    pub(super) binding: Option<Binding>,
}

impl Listener {
    fn new() -> Result<Arc<Listener>> {
        Ok(Arc::try_new(Listener {
            qlen: AtomicU32::new(0),
            overflow_at: AtomicU64::new(0),
            queue: Lock::new(AcceptQueue {
                head: None,
                tail: None,
                open: false,
            }),
            template: Lock::new(Template {
                tp: tcp::Sock::new(),
                binding: None,
            }),
        })?)
    }

    /// The next connection, and whether more are waiting.
    fn pop(&self, so: &Sock<Tcp>) -> Option<(SockRef<Tcp>, bool)> {
        let mut queue = self.queue.lock();
        let head = queue.head.take()?;
        let stage = core::mem::replace(&mut head.lock().stage, Stage::Over);
        let Stage::Queued { child, next } = stage else {
            return None;
        };
        queue.head = next;
        if queue.head.is_none() {
            queue.tail = None;
        }
        so.set_ack_backlog(so.ack_backlog().saturating_sub(1));
        Some((child, queue.head.is_some()))
    }

    /// Puts a connection at the end. `Err` gives it back when nobody listens any more.
    ///
    /// Mirrors [`inet_csk_reqsk_queue_add`](srctree/net/ipv4/inet_connection_sock.c)
    pub(super) fn push(
        &self,
        so: &Sock<Tcp>,
        mini: &MiniRef<HalfOpen>,
        child: SockRef<Tcp>,
    ) -> Result<(), SockRef<Tcp>> {
        let mut queue = self.queue.lock();
        if !queue.open {
            return Err(child);
        }
        mini.lock().stage = Stage::Queued { child, next: None };
        match queue.tail.replace(mini.hold()) {
            None => queue.head = Some(mini.hold()),
            Some(tail) => {
                if let Stage::Queued { next, .. } = &mut tail.lock().stage {
                    *next = Some(mini.hold());
                }
            }
        }
        so.set_ack_backlog(so.ack_backlog().saturating_add(1));
        Ok(())
    }

    /// Whether accept(2) has something to take.
    pub(super) fn ready(&self) -> bool {
        self.queue.lock().head.is_some()
    }

    /// The user's settings changed.
    pub(super) fn update(&self, tp: &tcp::Sock) {
        self.template.lock().tp = tp.fresh();
    }
}

/// listen(2).
///
/// # Errors
///
/// EINVAL in the wrong state, EADDRINUSE, ENOMEM.
///
/// Mirrors [`inet_listen`, `inet_csk_listen_start`](srctree/net/ipv4/af_inet.c)
pub(super) fn listen(sock: &Socket<'_, Tcp>, backlog: c_int) -> Result {
    let so = sock.sk();
    let mut lock = UserLock::new(so);
    let state = u32::from(so.state());
    if sock.state(&lock) != SocketState::Unconnected
        || (state != bindings::TCP_CLOSE && state != bindings::TCP_LISTEN)
    {
        return Err(EINVAL);
    }
    so.set_max_ack_backlog(backlog.max(0) as u32);
    if state == bindings::TCP_LISTEN {
        return Ok(());
    }
    if so.shared().listener.as_ref().is_none() {
        so.shared().listener.populate(Listener::new()?);
    }
    let listener = so.shared().listener.as_ref().ok_or(ENOMEM)?;
    if so.num() == 0 {
        inet_sock::get_port(&mut lock, 0)?;
    }
    let ports = Tcp::ports().ok_or(ENOMEM)?;
    let p = lock.private();
    let binding = p.binding.as_mut().ok_or(EINVAL)?;
    // Whoever shares the port by SO_REUSEADDR shares it only as long as one listens.
    ports
        .rebind(binding, inet_sock::bound_of(so, true))
        .map_err(error)?;
    *listener.template.lock() = Template {
        tp: p.tp.fresh(),
        binding: p.binding,
    };
    listener.queue.lock().open = true;
    so.set_ack_backlog(0);
    p.tp.state = tcp::State::Listen;
    p.route = None;
    so.set_state(bindings::TCP_LISTEN as u8);
    if Tcp::table().insert_bound(so, inet_sock::bound_hash(so.net(), so.num())) {
        if let Some(state) = State::of(so.net()) {
            state.add_user(so.num());
        }
    }
    Ok(())
}

/// Listening ends: those who wait to be accepted are reset. The port is kept.
///
/// Mirrors [`inet_csk_listen_stop`](srctree/net/ipv4/inet_connection_sock.c)
pub(super) fn stop(lock: &mut UserLock<'_, Tcp>) {
    let so = lock.sock();
    lock.private().tp.state = tcp::State::Close;
    so.set_state(bindings::TCP_CLOSE as u8);
    glue_tcp::unhash(so);
    let p = lock.private();
    if let (Some(ports), Some(binding)) = (Tcp::ports(), p.binding.as_mut()) {
        // Asking for less cannot be refused but for want of memory.
        let _ = ports.rebind(binding, inet_sock::bound_of(so, false));
    }
    let Some(listener) = so.shared().listener.as_ref() else {
        return;
    };
    listener.queue.lock().open = false;
    while let Some((child, _)) = listener.pop(so) {
        sock_lock::orphan(&child);
        let mut lock = UserLock::nested(&child);
        glue_tcp::enter(&mut lock, |tp, env| tp.abort(env));
    }
}

/// accept(2), up to the connection; and whether more are waiting.
///
/// # Errors
///
/// EINVAL when the socket does not listen, EAGAIN, EINTR or ERESTARTSYS.
///
/// Mirrors [`inet_csk_accept`](srctree/net/ipv4/inet_connection_sock.c)
pub(super) fn accept(so: &Sock<Tcp>, nonblock: bool) -> Result<(SockRef<Tcp>, bool)> {
    let mut lock = UserLock::new(so);
    if !is_listening(so) {
        return Err(EINVAL);
    }
    let listener = so.shared().listener.as_ref().ok_or(EINVAL)?;
    let mut timeo = so.rcvtimeo(nonblock);
    if let Some(found) = listener.pop(so) {
        return Ok(found);
    }
    if timeo == 0 {
        return Err(EAGAIN);
    }
    loop {
        // Connections come without this lock.
        lock.wait(&mut timeo, true, || listener.ready());
        if let Some(found) = listener.pop(so) {
            return Ok(found);
        }
        if !is_listening(so) {
            return Err(EINVAL);
        }
        if let Some(e) = sock_lock::signal(timeo) {
            return Err(e);
        }
        if timeo == 0 {
            return Err(EAGAIN);
        }
    }
}
