// SPDX-License-Identifier: GPL-2.0
//! What every socket of the transport layer has (`struct inet_sock`): here what is of `struct sock`.
//!
//! Fields of `struct sock` are read and written by single volatile accesses, the `READ_ONCE` and
//! `WRITE_ONCE` of C: another CPU may do the same at the same time, and sees either value.
//!
//! C header: [`include/net/sock.h`](srctree/include/net/sock.h)

use crate::bindings;
use core::sync::atomic::{
    AtomicI32,
    Ordering, //
};
use kernel::{
    ffi::c_int,
    types::Opaque, //
};

/// The protocol-independent part of a socket (`struct inet_sock`, which begins with `struct sock`).
///
/// # Invariants
///
/// A `&Sk` points to an initialised `struct inet_sock` that lives as long as the reference.
#[repr(transparent)]
pub struct Sk(Opaque<bindings::inet_sock>);

// SAFETY: Every access through `&Sk` is a single volatile or atomic one, or is made by C functions
// that serialise themselves; the object has no thread of its own.
unsafe impl Sync for Sk {}
// SAFETY: As above.
unsafe impl Send for Sk {}

/// Reads one field of `struct inet_sock`.
macro_rules! read {
    ($self:ident, $($field:ident).+) => {
        // SAFETY: The object is alive by the type invariant, the field is plain data of which every
        // bit pattern is a value, and a volatile read of it may race with other such accesses.
        unsafe { (&raw const (*$self.0.get()).$($field).+).read_volatile() }
    };
}

/// Writes one field of `struct inet_sock`.
macro_rules! write {
    ($self:ident, $($field:ident).+, $value:expr) => {{
        let value = $value;
        // SAFETY: As in `read!`; writing a plain number can confuse nobody's memory safety.
        unsafe { (&raw mut (*$self.0.get()).$($field).+).write_volatile(value) }
    }};
}

// Behind the macros, which they use.
mod ends;
mod ip;

/// Bits of `sk_flags` (`enum sock_flags`).
pub mod flag {
    /// The user has closed the socket: nobody is left to wake.
    pub const DEAD: u32 = crate::bindings::sock_flags_SOCK_DEAD;
    /// The end of the stream was read.
    pub const DONE: u32 = crate::bindings::sock_flags_SOCK_DONE;
    /// `SO_KEEPALIVE`.
    pub const KEEPOPEN: u32 = crate::bindings::sock_flags_SOCK_KEEPOPEN;
    /// `SO_LINGER`.
    pub const LINGER: u32 = crate::bindings::sock_flags_SOCK_LINGER;
    /// `SO_BROADCAST`.
    pub const BROADCAST: u32 = crate::bindings::sock_flags_SOCK_BROADCAST;
    /// No local end yet.
    pub const ZAPPED: u32 = crate::bindings::sock_flags_SOCK_ZAPPED;
    /// `SO_OOBINLINE`.
    pub const URGINLINE: u32 = crate::bindings::sock_flags_SOCK_URGINLINE;
    /// `SO_TIMESTAMP`, `SO_TIMESTAMPNS`.
    pub const RCVTSTAMP: u32 = crate::bindings::sock_flags_SOCK_RCVTSTAMP;
    /// `SO_TIMESTAMPNS`.
    pub const RCVTSTAMPNS: u32 = crate::bindings::sock_flags_SOCK_RCVTSTAMPNS;
    /// Time stamps are told in 64 bits (`SO_TIMESTAMP_NEW` and the like).
    pub const TSTAMP_NEW: u32 = crate::bindings::sock_flags_SOCK_TSTAMP_NEW;
    /// `SO_SELECT_ERR_QUEUE`.
    pub const SELECT_ERR_QUEUE: u32 = crate::bindings::sock_flags_SOCK_SELECT_ERR_QUEUE;
    /// `SO_DONTROUTE`.
    pub const LOCALROUTE: u32 = crate::bindings::sock_flags_SOCK_LOCALROUTE;
}

impl Sk {
    /// The `Sk` that a C pointer stands for.
    ///
    /// # Safety
    ///
    /// `ptr` points to the `struct sock` of a `struct inet_sock` that stays alive for `'a`.
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *mut bindings::sock) -> &'a Sk {
        // SAFETY: The caller's promise; `struct inet_sock` begins with `struct sock`.
        unsafe { &*ptr.cast() }
    }

    /// The object as C sees it.
    #[inline]
    pub fn as_ptr(&self) -> *mut bindings::sock {
        self.0.get().cast()
    }

    /// The object as `inet_sk()` sees it.
    #[inline]
    pub fn as_inet(&self) -> *mut bindings::inet_sock {
        self.0.get()
    }

    /// The namespace: a socket keeps it alive.
    #[inline]
    pub fn net_ptr(&self) -> *mut bindings::net {
        read!(self, sk.__sk_common.skc_net.net)
    }

    /// The state (`TCP_CLOSE` …), one value for every reader at every time.
    #[inline]
    pub fn state(&self) -> u8 {
        // SAFETY: The field is an aligned byte inside a live object that all sides access atomically
        // or by single instructions.
        let state = unsafe { &raw mut (*self.0.get()).sk.__sk_common.skc_state };
        // SAFETY: As above. Acquire pairs with the release in `set_state`: who sees a listener or an
        // established socket sees what was set up before (`inet_sk_state_load`).
        unsafe { core::sync::atomic::AtomicU8::from_ptr(state) }.load(Ordering::Acquire)
    }

    /// Sets the state, and lets the tracepoint `inet_sock_set_state` know.
    ///
    /// Mirrors [`inet_sk_set_state`](srctree/net/ipv4/af_inet.c)
    #[inline]
    pub fn set_state(&self, state: u8) {
        // SAFETY: A live `struct inet_sock`; the function stores with release.
        unsafe { bindings::inet_sk_set_state(self.as_ptr(), c_int::from(state)) };
    }

    /// Whether bit `f` of [`flag`] is set.
    #[inline]
    pub fn flag(&self, f: u32) -> bool {
        self.flags() & (1 << f) != 0
    }

    /// All bits of [`flag`].
    #[inline]
    pub fn flags(&self) -> usize {
        read!(self, sk.__sk_common.__bindgen_anon_5.skc_flags) as usize
    }

    /// Sets bit `f`. With the socket's lock held.
    #[inline]
    pub fn set_flag(&self, f: u32) {
        let flags = self.flags() | (1 << f);
        write!(self, sk.__sk_common.__bindgen_anon_5.skc_flags, flags as _);
    }

    /// Clears bit `f`. With the socket's lock held.
    #[inline]
    pub fn reset_flag(&self, f: u32) {
        let flags = self.flags() & !(1 << f);
        write!(self, sk.__sk_common.__bindgen_anon_5.skc_flags, flags as _);
    }

    /// `SOCK_STREAM`, `SOCK_DGRAM` ….
    #[inline]
    pub fn sk_type(&self) -> u16 {
        read!(self, sk.sk_type)
    }

    /// The IP protocol's number.
    #[inline]
    pub fn protocol(&self) -> u16 {
        read!(self, sk.sk_protocol)
    }

    /// Bits of what is locked by the user (`SOCK_SNDBUF_LOCK` …).
    #[inline]
    pub fn userlocks(&self) -> u8 {
        read!(self, sk.sk_userlocks)
    }

    /// Sets [`Sk::userlocks`]. With the socket's lock held.
    #[inline]
    pub fn set_userlocks(&self, bits: u8) {
        write!(self, sk.sk_userlocks, bits);
    }

    /// Which directions are shut (`RCV_SHUTDOWN`, `SEND_SHUTDOWN`).
    #[inline]
    pub fn shutdown(&self) -> u8 {
        read!(self, sk.sk_shutdown)
    }

    /// Sets [`Sk::shutdown`]. With the socket's lock held.
    #[inline]
    pub fn set_shutdown(&self, bits: u8) {
        write!(self, sk.sk_shutdown, bits);
    }

    /// The pending error, positive; 0 for none.
    #[inline]
    pub fn err(&self) -> c_int {
        read!(self, sk.sk_err)
    }

    /// Sets the pending error without waking anyone.
    #[inline]
    pub fn set_err(&self, err: c_int) {
        write!(self, sk.sk_err, err);
    }

    /// Takes the pending error: positive, 0 for none.
    ///
    /// Mirrors [`sock_error`](srctree/include/net/sock.h)
    #[inline]
    pub fn take_err(&self) -> c_int {
        if self.err() == 0 {
            return 0;
        }
        // SAFETY: An aligned `int` of a live object, which C exchanges atomically too (`xchg`).
        let field = unsafe { AtomicI32::from_ptr(&raw mut (*self.0.get()).sk.sk_err) };
        field.swap(0, Ordering::AcqRel)
    }

    /// The soft error: the reason of a later timeout. Positive, 0 for none.
    #[inline]
    pub fn err_soft(&self) -> c_int {
        read!(self, sk.sk_err_soft)
    }

    /// Sets the soft error.
    #[inline]
    pub fn set_err_soft(&self, err: c_int) {
        write!(self, sk.sk_err_soft, err);
    }

    /// `SO_RCVLOWAT`, at least 1.
    #[inline]
    pub fn rcvlowat(&self) -> c_int {
        read!(self, sk.sk_rcvlowat)
    }

    /// How long a reader waits, in jiffies.
    ///
    /// Mirrors [`sock_rcvtimeo`](srctree/include/net/sock.h)
    #[inline]
    pub fn rcvtimeo(&self, noblock: bool) -> isize {
        if noblock {
            0
        } else {
            read!(self, sk.sk_rcvtimeo) as isize
        }
    }

    /// How long a writer waits, in jiffies.
    ///
    /// Mirrors [`sock_sndtimeo`](srctree/include/net/sock.h)
    #[inline]
    pub fn sndtimeo(&self, noblock: bool) -> isize {
        if noblock {
            0
        } else {
            read!(self, sk.sk_sndtimeo) as isize
        }
    }

    /// How long close lingers, in jiffies; meaningful with [`flag::LINGER`].
    #[inline]
    pub fn lingertime(&self) -> usize {
        read!(self, sk.sk_lingertime) as usize
    }

    /// `SO_PRIORITY`.
    #[inline]
    pub fn priority(&self) -> u32 {
        read!(self, sk.sk_priority)
    }

    /// Sets `SO_PRIORITY`.
    #[inline]
    pub fn set_priority(&self, priority: u32) {
        write!(self, sk.sk_priority, priority);
    }

    /// The rate at which packets should leave, in bytes per second; [`u64::MAX`] for any.
    #[inline]
    pub fn pacing_rate(&self) -> u64 {
        read!(self, sk.sk_pacing_rate) as u64
    }

    /// Sets [`Sk::pacing_rate`]: fq looks at it.
    #[inline]
    pub fn set_pacing_rate(&self, rate: u64) {
        write!(
            self,
            sk.sk_pacing_rate,
            usize::try_from(rate).unwrap_or(usize::MAX)
        );
    }

    /// `SO_MAX_PACING_RATE`, in bytes per second.
    #[inline]
    pub fn max_pacing_rate(&self) -> u64 {
        read!(self, sk.sk_max_pacing_rate) as u64
    }

    /// Who paces: a value of `enum sk_pacing`.
    #[inline]
    pub fn pacing_status(&self) -> u32 {
        read!(self, sk.sk_pacing_status)
    }

    /// Which part of the rate may lie in this host's queues, as a power of two: drivers that join much into one
    /// transmission make it larger.
    #[inline]
    pub fn pacing_shift(&self) -> u32 {
        u32::from(read!(self, sk.sk_pacing_shift)).min(63)
    }

    /// `SO_MARK`.
    #[inline]
    pub fn mark(&self) -> u32 {
        read!(self, sk.sk_mark)
    }

    /// The owner, for the route look-up.
    #[inline]
    pub fn uid(&self) -> bindings::kuid_t {
        read!(self, sk.sk_uid)
    }

    /// Connections that wait to be accepted.
    #[inline]
    pub fn ack_backlog(&self) -> u32 {
        read!(self, sk.sk_ack_backlog)
    }

    /// Sets [`Sk::ack_backlog`]. With the lock of the accept queue held.
    #[inline]
    pub fn set_ack_backlog(&self, n: u32) {
        write!(self, sk.sk_ack_backlog, n);
    }

    /// The backlog that listen() was given.
    #[inline]
    pub fn max_ack_backlog(&self) -> u32 {
        read!(self, sk.sk_max_ack_backlog)
    }

    /// Sets [`Sk::max_ack_backlog`].
    #[inline]
    pub fn set_max_ack_backlog(&self, n: u32) {
        write!(self, sk.sk_max_ack_backlog, n);
    }

    /// How often the socket was disconnected: sleepers compare.
    #[inline]
    pub fn disconnects(&self) -> c_int {
        read!(self, sk.sk_disconnects)
    }

    /// Counts a disconnection. With the socket's lock held.
    #[inline]
    pub fn count_disconnect(&self) {
        write!(self, sk.sk_disconnects, self.disconnects().wrapping_add(1));
    }

    /// Writers that wait inside sendmsg: a FIN or a pure ACK may be put off for their data.
    #[inline]
    pub fn write_pending(&self) -> c_int {
        read!(self, sk.sk_write_pending)
    }

    /// Adds to [`Sk::write_pending`]. With the socket's lock held.
    #[inline]
    pub fn add_write_pending(&self, n: c_int) {
        write!(
            self,
            sk.sk_write_pending,
            self.write_pending().wrapping_add(n)
        );
    }

    /// The inode of the socket's file, for `/proc`; 0 for none.
    pub fn ino(&self) -> u64 {
        read!(self, sk.sk_ino)
    }

    /// The user's id in the initial user namespace, for `/proc`.
    pub fn uid_val(&self) -> u32 {
        read!(self, sk.sk_uid.val)
    }

    /// References to the object now, for `/proc`.
    pub fn refs(&self) -> i32 {
        self.refcnt().load(Ordering::Relaxed)
    }

    /// Packets dropped at this socket, for `/proc`.
    pub fn drops(&self) -> i32 {
        read!(self, sk.sk_drops.counter)
    }

    /// Counts a packet dropped at this socket.
    #[inline]
    pub fn count_drop(&self) {
        // SAFETY: An `atomic_t` of a live object.
        unsafe { AtomicI32::from_ptr(&raw mut (*self.0.get()).sk.sk_drops.counter) }
            .fetch_add(1, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn refcnt(&self) -> &AtomicI32 {
        // SAFETY: A `refcount_t` of a live object, only accessed atomically.
        unsafe {
            AtomicI32::from_ptr(&raw mut (*self.0.get()).sk.__sk_common.skc_refcnt.refs.counter)
        }
    }
}
