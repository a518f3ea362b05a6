// SPDX-License-Identifier: GPL-2.0
//! A socket's memory, the packets charged to it, and its sleepers.
//!
//! What is queued is charged by its true size, twice: to the socket's own limits (`sk_wmem_queued`,
//! `sk_rmem_alloc`), and to the protocol's and the cgroup's account, from which the socket draws
//! pages in advance (`sk_forward_alloc`). The advance is a plain number that only the holder of the
//! lock changes; where a charge must not fail it goes below zero, and the next charge that may fail
//! makes up for it.
//!
//! C header: [`include/net/sock.h`](srctree/include/net/sock.h)

use super::{
    iov::MsgIter,
    proto::Protocol,
    rcu,
    skbuff::{
        SkBuff,
        Skb, //
    },
    sock::Sk,
    sock_lock::Owned,
};
use crate::bindings;
use core::sync::atomic::{
    AtomicI32,
    AtomicUsize,
    Ordering, //
};
use kernel::ffi::c_int;

/// Why appending user data stopped short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// All the packet's fragments are in use.
    Full,
    /// No page, or no charge.
    NoMemory,
    /// The user's memory cannot be read.
    Fault,
}

/// The advance may shrink when this much of it is unused: a page.
const RECLAIM: c_int = kernel::page::PAGE_SIZE as c_int;

impl Sk {
    /// `SO_SNDBUF` as the kernel keeps it, in bytes of true size.
    #[inline]
    pub fn sndbuf(&self) -> u32 {
        // SAFETY: A live socket's word, read once.
        unsafe { (&raw const (*self.as_ptr()).sk_sndbuf).read_volatile() as u32 }
    }

    /// Sets [`Sk::sndbuf`].
    #[inline]
    pub fn set_sndbuf(&self, bytes: u32) {
        // SAFETY: As above, written once.
        unsafe {
            (&raw mut (*self.as_ptr()).sk_sndbuf)
                .write_volatile(bytes.min(i32::MAX as u32) as c_int)
        };
    }

    /// `SO_RCVBUF` as the kernel keeps it, in bytes of true size.
    #[inline]
    pub fn rcvbuf(&self) -> u32 {
        // SAFETY: A live socket's word, read once.
        unsafe { (&raw const (*self.as_ptr()).sk_rcvbuf).read_volatile() as u32 }
    }

    /// Sets [`Sk::rcvbuf`].
    #[inline]
    pub fn set_rcvbuf(&self, bytes: u32) {
        // SAFETY: As above, written once.
        unsafe {
            (&raw mut (*self.as_ptr()).sk_rcvbuf)
                .write_volatile(bytes.min(i32::MAX as u32) as c_int)
        };
    }

    /// Whether the user fixed the receive buffer's size.
    #[inline]
    pub fn rcvbuf_locked(&self) -> bool {
        u32::from(self.userlocks()) & bindings::SOCK_RCVBUF_LOCK != 0
    }

    /// True size of the packets in the backlog, in bytes.
    #[inline]
    pub fn backlog_len(&self) -> u32 {
        // SAFETY: A live socket's word, read once.
        unsafe { (&raw const (*self.as_ptr()).sk_backlog.len).read_volatile() as u32 }
    }

    /// Whether a user owns the socket, not softirq.
    ///
    /// Mirrors [`sock_owned_by_user_nocheck`](srctree/include/net/sock.h)
    #[inline]
    pub fn owned_by_user(&self) -> bool {
        // SAFETY: A live socket's word, read once; it is constant as long as the lock is held. The union begins
        // with `owned`, which bindgen does not see (a named structure without a name of the member).
        unsafe {
            let lock = &raw const (*self.as_ptr()).sk_lock.__bindgen_anon_1;
            lock.cast::<kernel::ffi::c_int>().read_volatile() != 0
        }
    }

    /// Whether the socket is tied to a file: not before accept(2), not after close(2).
    #[inline]
    pub fn is_held(&self) -> bool {
        // SAFETY: A live socket's pointer, read once and only compared.
        unsafe {
            !(&raw const (*self.as_ptr()).sk_socket)
                .read_volatile()
                .is_null()
        }
    }

    /// Tells the file's owner that urgent data are coming (SIGURG).
    pub fn send_sigurg(&self) {
        // SAFETY: A live socket; the function looks whether there is a file, under its lock.
        unsafe { bindings::sk_send_sigurg(self.as_ptr()) };
    }

    /// True size of everything queued for sending, in bytes.
    #[inline]
    pub fn wmem_queued(&self) -> u32 {
        // SAFETY: A live socket's word, read once.
        unsafe { (&raw const (*self.as_ptr()).sk_wmem_queued).read_volatile() as u32 }
    }

    /// True size of the packets on their way out that are charged to the socket, plus one.
    #[inline]
    pub fn wmem_alloc(&self) -> u32 {
        self.wmem_alloc_atomic().load(Ordering::Relaxed) as u32
    }

    #[inline]
    fn wmem_alloc_atomic(&self) -> &AtomicI32 {
        // SAFETY: A `refcount_t` of a live object.
        unsafe { AtomicI32::from_ptr(&raw mut (*self.as_ptr()).sk_wmem_alloc.refs.counter) }
    }

    /// True size of everything received and not yet freed, in bytes, the backlog left out.
    #[inline]
    pub fn rmem_alloc(&self) -> u32 {
        self.rmem_alloc_atomic().load(Ordering::Relaxed) as u32
    }

    #[inline]
    fn rmem_alloc_atomic(&self) -> &AtomicI32 {
        // SAFETY: An `atomic_t` of a live object.
        unsafe { AtomicI32::from_ptr(&raw mut (*self.as_ptr()).sk_backlog.rmem_alloc.counter) }
    }

    /// Whether a writer would find room worth waking up for: a third of the buffer.
    ///
    /// Mirrors [`__sk_stream_is_writeable`](srctree/include/net/sock.h)
    #[inline]
    pub fn stream_is_writeable(&self) -> bool {
        let queued = self.wmem_queued() as i32;
        let sndbuf = self.sndbuf() as i32;
        sndbuf.wrapping_sub(queued) >= queued >> 1 && queued < sndbuf && self.stream_may_write()
    }

    /// What the protocol says beside the size of the buffer (`sk_prot->stream_memory_free`).
    #[inline]
    fn stream_may_write(&self) -> bool {
        // SAFETY: A live socket and its protocol, whose callback reads the socket without a lock.
        unsafe {
            let proto = (&raw const (*self.as_ptr()).__sk_common.skc_prot).read_volatile();
            match (*proto).stream_memory_free {
                Some(f) => f(self.as_ptr(), 1),
                None => true,
            }
        }
    }

    /// Whether anything may be queued at all.
    ///
    /// Mirrors [`sk_stream_memory_free`](srctree/include/net/sock.h)
    #[inline]
    pub fn stream_memory_free(&self) -> bool {
        (self.wmem_queued() as i32) < self.sndbuf() as i32
    }

    #[inline]
    fn socket_flags(&self) -> Option<&AtomicUsize> {
        // SAFETY: A live socket's pointer. The `struct socket` lives as long as the socket is not an orphan;
        // callers hold the socket's lock, under which it becomes one, or come from a system call on the file.
        unsafe {
            let sock = (&raw const (*self.as_ptr()).sk_socket).read_volatile();
            if sock.is_null() {
                None
            } else {
                Some(AtomicUsize::from_ptr((&raw mut (*sock).flags).cast()))
            }
        }
    }

    /// Remembers that a writer found no room (SOCK_NOSPACE), so that the next room is told.
    #[inline]
    pub fn set_nospace(&self) {
        if let Some(f) = self.socket_flags() {
            f.fetch_or(1 << bindings::SOCK_NOSPACE, Ordering::SeqCst);
        }
    }

    /// Remembers that whoever waits by SIGIO wants to know of the next room.
    pub fn set_async_nospace(&self) {
        // SAFETY: A live socket whose wait queue its file keeps.
        unsafe { bindings::sk_set_async_nospace(self.as_ptr()) };
    }

    /// Whether a writer found no room since the last wake-up.
    #[inline]
    pub fn nospace(&self) -> bool {
        self.socket_flags()
            .is_some_and(|f| f.load(Ordering::Relaxed) & (1 << bindings::SOCK_NOSPACE) != 0)
    }

    /// Wakes writers of a stream if there is room enough.
    ///
    /// Mirrors [`sk_stream_write_space`](srctree/net/core/stream.c)
    pub fn stream_write_space(&self) {
        if !self.stream_is_writeable() {
            return;
        }
        let Some(f) = self.socket_flags() else {
            return;
        };
        f.fetch_and(!(1 << bindings::SOCK_NOSPACE), Ordering::SeqCst);
        let sk = self.as_ptr();
        let _rcu = rcu::read_lock();
        // SAFETY: A live socket; under RCU its wait queue, if it has one, stays in memory.
        unsafe {
            let wq = (&raw const (*sk).__bindgen_anon_1.sk_wq).read_volatile();
            if bindings::skwq_has_sleeper(wq) {
                bindings::__wake_up(
                    &raw mut (*wq).wait,
                    bindings::TASK_INTERRUPTIBLE,
                    1,
                    bindings::poll_to_key(
                        bindings::EPOLLOUT | bindings::EPOLLWRNORM | bindings::EPOLLWRBAND,
                    ),
                );
            }
            if !wq.is_null()
                && !(*wq).fasync_list.is_null()
                && u32::from(self.shutdown()) & bindings::SEND_SHUTDOWN == 0
            {
                bindings::sock_wake_async(
                    wq,
                    bindings::SOCK_WAKE_SPACE as c_int,
                    bindings::POLL_OUT as c_int,
                );
            }
        }
    }

    /// Something can be read, or reading ends: wakes readers.
    #[inline]
    pub fn data_ready(&self) {
        let sk = self.as_ptr();
        // SAFETY: A live socket; the callback is always set and may be called in any context.
        unsafe {
            if let Some(f) = (&raw const (*sk).sk_data_ready).read_volatile() {
                f(sk);
            }
        }
    }

    /// The state changed: wakes everybody.
    #[inline]
    pub fn state_change(&self) {
        let sk = self.as_ptr();
        // SAFETY: As in `data_ready`.
        unsafe {
            if let Some(f) = (&raw const (*sk).sk_state_change).read_volatile() {
                f(sk);
            }
        }
    }

    /// The pending error was set: wakes everybody.
    #[inline]
    pub fn error_report(&self) {
        // SAFETY: A live socket, any context.
        unsafe { bindings::sk_error_report(self.as_ptr()) };
    }

    /// Tells those who wait by SIGIO (`sk_wake_async`): `how` is `SOCK_WAKE_*`, `band` `POLL_*`.
    pub fn wake_async(&self, how: u32, band: u32) {
        // SAFETY: A live socket; the function takes the RCU lock itself.
        unsafe { bindings::sk_wake_async(self.as_ptr(), how as c_int, band as c_int) };
    }

    /// Charges a packet on its way out to the socket: it keeps the socket's object alive, and when it is freed
    /// [`Protocol::sent`] is called. A `pure_ack` weighs next to nothing, and nobody waits for it.
    ///
    /// Mirrors [`skb_set_owner_w`](srctree/net/core/sock.c), [`__tcp_transmit_skb`](srctree/net/ipv4/tcp_output.c)
    #[inline]
    pub fn set_owner_w(&self, skb: &mut SkBuff, pure_ack: bool) {
        /// By this netem and others know one (`__skb_set_tcp_pure_ack`).
        const PURE_ACK_TRUESIZE: u32 = 2;
        let p = skb.as_ptr();
        // Both are the kernel's own: who drops the last reference to the socket, and with it to the module, must
        // not return into the module. `sock_wfree` calls `sk_write_space`, which is ours, while it still holds
        // a count; queueing disciplines and GSO know it.
        let destructor: unsafe extern "C" fn(*mut bindings::sk_buff) = match pure_ack {
            true => bindings::__sock_wfree,
            false => bindings::sock_wfree,
        };
        // SAFETY: The packet is ours alone and has no owner; the count that is taken is what the destructor
        // gives back.
        unsafe {
            if pure_ack {
                (*p).truesize = PURE_ACK_TRUESIZE;
            }
            self.wmem_alloc_atomic()
                .fetch_add((*p).truesize as c_int, Ordering::Relaxed);
            (*p).sk = self.as_ptr();
            (*p).__bindgen_anon_3.__bindgen_anon_1.destructor = Some(destructor);
        }
    }

    /// Queues a received packet for `recvmsg`, if the receive buffer has room.
    ///
    /// # Errors
    ///
    /// Gives the packet back when there is no room.
    ///
    /// Mirrors [`__sock_queue_rcv_skb`](srctree/net/core/sock.c)
    pub fn queue_rcv_skb(&self, skb: Skb) -> Result<(), Skb> {
        let raw = skb.into_raw();
        // SAFETY: A live socket and a packet that is handed over if the function says so.
        if unsafe { bindings::__sock_queue_rcv_skb(self.as_ptr(), raw) } == 0 {
            Ok(())
        } else {
            // SAFETY: Refused, so still ours.
            Err(unsafe { Skb::from_raw(raw) })
        }
    }

    /// Runs the filter that the user attached, and the LSM's. `true`: the packet may pass. It may have been
    /// cut, but not below `cap` bytes.
    ///
    /// Mirrors [`tcp_filter`](srctree/net/ipv4/tcp_ipv4.c)
    #[inline]
    pub fn filter(&self, skb: &mut SkBuff, cap: u32) -> bool {
        // SAFETY: Both are live, and the packet is ours alone.
        unsafe { bindings::sk_filter_trim_cap(self.as_ptr(), skb.as_ptr(), cap) == 0 }
    }
}

impl<P: Protocol> Owned<'_, P> {
    #[inline]
    fn forward_alloc(&self) -> c_int {
        // SAFETY: A live socket's word, read once.
        unsafe { (&raw const (*self.as_ptr()).sk_forward_alloc).read_volatile() }
    }

    #[inline]
    fn forward_add(&self, n: c_int) {
        let v = self.forward_alloc().wrapping_add(n);
        // SAFETY: A live socket's word that only the lock's holder writes.
        unsafe { (&raw mut (*self.as_ptr()).sk_forward_alloc).write_volatile(v) };
    }

    #[inline]
    fn schedule(&self, size: usize, kind: u32) -> bool {
        let delta = (size as c_int).wrapping_sub(self.forward_alloc());
        // SAFETY: A live socket, its lock held.
        delta <= 0
            || unsafe { bindings::__sk_mem_schedule(self.as_ptr(), delta, kind as c_int) != 0 }
    }

    /// Whether `size` more bytes may be charged for sending, which then must be.
    ///
    /// Mirrors [`sk_wmem_schedule`](srctree/include/net/sock.h)
    #[inline]
    pub fn wmem_schedule(&self, size: usize) -> bool {
        self.schedule(size, bindings::SK_MEM_SEND)
    }

    /// Charges `bytes` to the send queue, whatever the limits say.
    ///
    /// Mirrors [`sk_wmem_queued_add`](srctree/include/net/sock.h)
    #[inline]
    pub fn wmem_charge(&self, bytes: usize) {
        self.wmem_queued_add(bytes as c_int);
        self.forward_add((bytes as c_int).wrapping_neg());
    }

    /// Returns `bytes` from the send queue. They stay in the socket's advance until [`Owned::reclaim`]: what
    /// an acknowledgement frees, the data that came with it may take.
    #[inline]
    pub fn wmem_uncharge(&self, bytes: usize) {
        self.wmem_queued_add((bytes as c_int).wrapping_neg());
        self.forward_add(bytes as c_int);
    }

    #[inline]
    fn wmem_queued_add(&self, n: c_int) {
        let v = (self.wmem_queued() as c_int).wrapping_add(n);
        // SAFETY: A live socket's word that only the lock's holder writes.
        unsafe { (&raw mut (*self.as_ptr()).sk_wmem_queued).write_volatile(v) };
    }

    /// Gives back an advance that is not needed.
    ///
    /// Mirrors [`sk_mem_reclaim`](srctree/include/net/sock.h)
    #[inline]
    pub fn reclaim(&self) {
        // SAFETY: A live socket's word, read once.
        let reserved = unsafe { (&raw const (*self.as_ptr()).sk_reserved_mem).read_volatile() };
        let unused = self.forward_alloc().wrapping_sub(reserved as c_int);
        if unused >= RECLAIM {
            // SAFETY: A live socket, its lock held.
            unsafe { bindings::__sk_mem_reclaim(self.as_ptr(), unused) };
        }
    }

    /// Charges a received packet to the receive buffer; it is returned when the packet is freed, which the
    /// lock's holder does. `false` when the limits refuse it; `force` charges regardless.
    ///
    /// Mirrors [`tcp_try_rmem_schedule`](srctree/net/ipv4/tcp_input.c), [`skb_set_owner_r`](srctree/include/net/sock.h)
    #[inline]
    pub fn set_owner_r(&self, skb: &mut SkBuff, force: bool) -> bool {
        let size = skb.truesize();
        let full = self.rmem_alloc() > self.rcvbuf();
        if (full || !self.schedule(size, bindings::SK_MEM_RECV)) && !force {
            return false;
        }
        let p = skb.as_ptr();
        // SAFETY: The packet is ours alone; a previous owner is told first (`skb_orphan`). What is charged
        // here is what `sock_rfree` returns.
        unsafe {
            if let Some(destructor) = (*p).__bindgen_anon_3.__bindgen_anon_1.destructor {
                destructor(p);
            }
            (*p).sk = self.as_ptr();
            (*p).__bindgen_anon_3.__bindgen_anon_1.destructor = Some(bindings::sock_rfree);
        }
        self.rmem_alloc_atomic()
            .fetch_add(size as c_int, Ordering::Relaxed);
        self.forward_add((size as c_int).wrapping_neg());
        true
    }

    /// Charges the growth of a packet that is charged to the receive buffer already.
    #[inline]
    pub fn rmem_grow(&self, bytes: usize) {
        self.rmem_alloc_atomic()
            .fetch_add(bytes as c_int, Ordering::Relaxed);
        self.forward_add((bytes as c_int).wrapping_neg());
    }

    /// Copies up to `max` bytes of the caller's data behind the packet's payload, into page fragments, and
    /// charges them. Process context.
    ///
    /// # Errors
    ///
    /// See [`AppendError`].
    ///
    /// Mirrors [`tcp_sendmsg_locked`](srctree/net/ipv4/tcp.c)
    pub fn append(
        &self,
        skb: &mut SkBuff,
        msg: &mut MsgIter<'_>,
        max: usize,
    ) -> Result<usize, AppendError> {
        let sk = self.as_ptr();
        // SAFETY: A live socket; the fragment is the task's or the socket's, and this context may use it
        // because it owns the socket (`sk_page_frag`).
        let frag = unsafe { &mut *bindings::sk_page_frag(sk) };
        // SAFETY: As above.
        if !unsafe { bindings::sk_page_frag_refill(sk, frag) } {
            return Err(AppendError::NoMemory);
        }
        let n = {
            // SAFETY: The packet is ours alone; its shared info is read.
            let shinfo = unsafe { &*skb.shinfo() };
            usize::from(shinfo.nr_frags)
        };
        let merge = {
            // SAFETY: As above.
            let frags = unsafe { &(*skb.shinfo()).frags };
            match n.checked_sub(1).and_then(|i| frags.get(i)) {
                Some(last) => {
                    last.netmem == frag.page as bindings::netmem_ref
                        && last.offset.wrapping_add(last.len) == frag.offset
                }
                None => false,
            }
        };
        if !merge && n >= bindings::MAX_SKB_FRAGS {
            return Err(AppendError::Full);
        }
        let room = frag.size.saturating_sub(frag.offset) as usize;
        let len = max.min(room).min(msg.remaining());
        if !self.wmem_schedule(len) {
            return Err(AppendError::NoMemory);
        }
        // SAFETY: The page has `frag.size` bytes, of which those from `frag.offset` on are free, and `len`
        // was cut to them.
        unsafe {
            let to = bindings::page_address(frag.page).cast::<u8>();
            let to = core::slice::from_raw_parts_mut(to.add(frag.offset as usize), len);
            if msg.copy_from(to).is_err() {
                return Err(AppendError::Fault);
            }
        }
        let p = skb.as_ptr();
        // SAFETY: The packet is ours alone. Either its last fragment ends where the new bytes begin, or a
        // slot is free, and the fragment gets a reference to the page of its own.
        unsafe {
            let shinfo = skb.shinfo();
            if merge {
                let last = &raw mut (*shinfo).frags[n - 1];
                (*last).len += len as u32;
            } else {
                bindings::skb_fill_page_desc(
                    p,
                    n as c_int,
                    frag.page,
                    frag.offset as c_int,
                    len as c_int,
                );
                bindings::get_page(frag.page);
            }
            (*p).len += len as u32;
            (*p).data_len += len as u32;
            (*p).truesize += len as u32;
        }
        frag.offset = frag.offset.wrapping_add(len as u32);
        self.wmem_charge(len);
        Ok(len)
    }
}
