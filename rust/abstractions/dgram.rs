// SPDX-License-Identifier: GPL-2.0
//! Datagrams between a socket and its user: the receive queue, and packets made of a message.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)

use super::{
    iov::{
        Fault,
        MsgIter, //
    },
    skb_meta::PACKET_LOOPBACK,
    skb_queue::SkbQueue,
    skbuff::{
        SkBuff,
        Skb,
        MAX_HEADER, //
    },
    sock::Sk,
};
use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    error::{
        Error,
        Result, //
    },
    ffi::c_int, //
};

/// Bytes of a datagram that are kept in one piece behind the headers; the rest lies in pages.
const LINEAR: usize = 4096;

impl Sk {
    /// Waits for a datagram, as `flags` (`MSG_*`) and the socket's timeout allow, and hands it to `f`. With
    /// MSG_PEEK it stays in the queue, and SO_PEEK_OFF says from where in it to read.
    ///
    /// # Errors
    ///
    /// The socket's error, EAGAIN, EINTR or ERESTARTSYS, and what `f` returns. With receiving shut an empty
    /// queue is `Ok(None)`.
    ///
    /// Mirrors [`__skb_recv_datagram`](srctree/net/core/datagram.c)
    pub fn recv_datagram<R>(
        &self,
        flags: u32,
        f: impl FnOnce(&SkBuff, usize) -> Result<R>,
    ) -> Result<Option<R>> {
        let sk = self.as_ptr();
        let mut err: c_int = 0;
        // SAFETY: A live socket.
        let mut off = unsafe { bindings::sk_peek_offset(sk, flags as c_int) };
        // SAFETY: A live socket, process context; the queue is the socket's.
        let skb = unsafe {
            bindings::__skb_recv_datagram(
                sk,
                &raw mut (*sk).sk_receive_queue,
                flags,
                &mut off,
                &mut err,
            )
        };
        let Some(skb) = NonNull::new(skb) else {
            return if err == 0 {
                Ok(None)
            } else {
                Err(Error::from_errno(err))
            };
        };
        // SAFETY: The function gave us a reference; a packet that stays in the queue is not changed by anybody
        // who has one.
        let r = f(
            unsafe { SkBuff::from_ptr(skb.as_ptr()) },
            off.max(0) as usize,
        );
        // SAFETY: Our reference goes back.
        unsafe { bindings::skb_free_datagram(sk, skb.as_ptr()) };
        r.map(Some)
    }

    /// Moves the place of SO_PEEK_OFF by `n` bytes that were read with `flags`: on if they stay in the queue,
    /// back if they left it.
    ///
    /// Mirrors [`sk_peek_offset_fwd`, `sk_peek_offset_bwd`](srctree/include/net/sock.h)
    #[inline]
    pub fn move_peek_off(&self, flags: u32, n: usize) {
        let sk = self.as_ptr();
        // SAFETY: A live socket's word, read and written once; readers that race misread only their own data.
        unsafe {
            let off = &raw mut (*sk).sk_peek_off;
            let at = off.read_volatile();
            if at < 0 {
                return;
            }
            let n = n as i32;
            off.write_volatile(if flags & bindings::MSG_PEEK != 0 {
                at.wrapping_add(n)
            } else {
                at.wrapping_sub(n).max(0)
            });
        }
    }

    /// Whether nothing waits to be received.
    #[inline]
    pub fn receive_queue_empty(&self) -> bool {
        let sk = self.as_ptr();
        // SAFETY: A live socket; the list's first pointer is read once (`skb_queue_empty_lockless`).
        unsafe {
            let head = &raw const (*sk).sk_receive_queue;
            (&raw const (*head).__bindgen_anon_1.__bindgen_anon_1.next)
                .read_volatile()
                .cast_const()
                == head.cast()
        }
    }

    /// Bytes of the first datagram in the receive queue; 0 if there is none.
    pub fn first_len(&self) -> usize {
        // SAFETY: A live socket; the function takes the queue's lock.
        unsafe {
            bindings::skb_queue_first_len(&raw mut (*self.as_ptr()).sk_receive_queue) as usize
        }
    }

    /// Whether a datagram socket has room to send worth waking up for: half the buffer.
    ///
    /// Mirrors [`sock_writeable`](srctree/include/net/sock.h)
    #[inline]
    pub fn dgram_is_writeable(&self) -> bool {
        self.wmem_alloc() < self.sndbuf() >> 1
    }

    /// Makes a packet of `len` bytes of the user's data, with headroom for every header, charged to the
    /// socket's send buffer; waits for room unless `noblock`. Process context, without the socket's lock.
    ///
    /// # Errors
    ///
    /// EFAULT, EAGAIN, ENOBUFS, EINTR or ERESTARTSYS, EPIPE when sending is shut, the socket's error.
    ///
    /// Mirrors [`ip_make_skb`](srctree/net/ipv4/ip_output.c)
    pub fn make_skb(&self, msg: &mut MsgIter<'_>, len: usize, noblock: bool) -> Result<Skb> {
        self.make_skb_with_room(msg, len, 0, noblock)
    }

    /// As [`Sk::make_skb`], with `room` bytes behind the headers in one piece even if `len` is less: for
    /// [`Sk::append_data`].
    ///
    /// # Errors
    ///
    /// As [`Sk::make_skb`].
    pub fn make_skb_with_room(
        &self,
        msg: &mut MsgIter<'_>,
        len: usize,
        room: usize,
        noblock: bool,
    ) -> Result<Skb> {
        let linear = len.min(LINEAR);
        let data_len = len.wrapping_sub(linear);
        let header_len = MAX_HEADER.wrapping_add(linear.max(room));
        let mut err: c_int = 0;
        // SAFETY: A live socket, process context.
        let raw = unsafe {
            bindings::sock_alloc_send_pskb(
                self.as_ptr(),
                header_len as _,
                data_len as _,
                c_int::from(noblock),
                &mut err,
                3,
            )
        };
        if raw.is_null() {
            return Err(Error::from_errno(err));
        }
        // SAFETY: A new packet, ours alone, with room for what is reserved.
        let mut skb = unsafe {
            (*raw).data = (*raw).data.add(MAX_HEADER);
            (*raw).tail = (*raw).tail.wrapping_add(MAX_HEADER as u32);
            Skb::from_raw(raw)
        };
        if let Some(b) = skb.put(linear) {
            msg.copy_from(b)?;
        }
        if data_len != 0 {
            // SAFETY: The packet's pages hold `data_len` bytes, which the function fills.
            let ret = unsafe {
                (*raw).data_len = data_len as u32;
                (*raw).len = (*raw).len.wrapping_add(data_len as u32);
                bindings::skb_copy_datagram_from_iter(
                    raw,
                    linear as c_int,
                    msg.as_ptr(),
                    data_len as c_int,
                )
            };
            if ret != 0 {
                return Err(Fault.into());
            }
        }
        Ok(skb)
    }
}

impl Skb {
    /// Puts `packets`, whose data are bytes of the user's and nothing else, behind this one's data as its
    /// fragment list. They stay charged to the socket as a whole.
    ///
    /// Mirrors [`__ip_make_skb`](srctree/net/ipv4/ip_output.c)
    pub fn join(&mut self, packets: &mut SkbQueue) {
        let head = self.as_ptr();
        // SAFETY: All are exclusively ours and charged to the same socket by the same destructor, which gives
        // back the true size of the packet that it is called for: the first, from now on, for all. It has no
        // list yet: only packets that were just made come here.
        unsafe {
            let mut link = &raw mut (*self.shinfo()).frag_list;
            while let Some(next) = packets.pop_front() {
                let p = next.into_raw();
                *link = p;
                link = &raw mut (*p).__bindgen_anon_1.__bindgen_anon_1.next;
                *link = core::ptr::null_mut();
                (*head).len = (*head).len.wrapping_add((*p).len);
                (*head).data_len = (*head).data_len.wrapping_add((*p).len);
                (*head).truesize = (*head).truesize.wrapping_add((*p).truesize);
                (*p).__bindgen_anon_3.__bindgen_anon_1.destructor = None;
                (*p).sk = core::ptr::null_mut();
            }
        }
    }

    /// Puts fragments' payloads behind this one's, which is then the datagram's. `false` when there is no memory.
    ///
    /// Mirrors [`inet_frag_reasm_finish`](srctree/net/ipv4/inet_fragment.c)
    pub fn join_fragments(&mut self, rest: &mut SkbQueue) -> bool {
        // SAFETY: Exclusively ours.
        let listed = unsafe { !(*self.shinfo()).frag_list.is_null() };
        let len = self.len();
        // Its list must be free, and its head nobody else's.
        if (listed && !self.ensure_linear(len)) || !self.cow(0) {
            return false;
        }
        // The sum is right only if somebody vouches for every part.
        if !(self.csum_is_good() && rest.iter().all(SkBuff::csum_is_good)) {
            self.set_csum_none();
        }
        self.join(rest);
        true
    }

    /// Cuts a datagram that stands for several ([`SkBuff::gso_size`]), whose data begin with the IP header, into
    /// those. Softirq.
    ///
    /// # Errors
    ///
    /// Gives the packet back when there is no memory, or when it is not what it says.
    ///
    /// Mirrors [`udp_rcv_segment`](srctree/include/net/udp.h)
    pub fn udp_segments(mut self) -> Result<Segments, Skb> {
        // Looped back, its sum was said to be good; but it is still to be made for each.
        if self.pkt_type() == PACKET_LOOPBACK {
            self.set_csum_still_partial();
        }
        self.gso_segment(false)
    }

    /// Cuts a packet on its way out that stands for several ([`SkBuff::gso_size`]), and whose data begin with the IP header,
    /// into those. Any context.
    ///
    /// # Errors
    ///
    /// As [`Skb::udp_segments`].
    ///
    /// Mirrors [`skb_gso_segment`](srctree/include/net/gso.h)
    pub fn segments(self) -> Result<Segments, Skb> {
        self.gso_segment(true)
    }

    fn gso_segment(self, tx_path: bool) -> Result<Segments, Skb> {
        const FEATURES: u64 = bindings::NETIF_F_SG as u64 | bindings::NETIF_F_IP_CSUM as u64;
        // SAFETY: Exclusively ours. The function makes new packets and leaves this one as it is, but for where
        // its link header is said to be.
        let segs = unsafe { bindings::__skb_gso_segment(self.as_ptr(), FEATURES, tx_path) };
        // `IS_ERR_OR_NULL`.
        const MAX_ERRNO: usize = 4095;
        if segs.is_null() || segs.addr() >= MAX_ERRNO.wrapping_neg() {
            return Err(self);
        }
        self.consume();
        Ok(Segments(segs))
    }
}

/// What one packet was cut into, in order.
///
/// # Invariants
///
/// The pointer is null or to the first of a list of packets that are exclusively ours, linked by `next`.
pub struct Segments(*mut bindings::sk_buff);

impl Iterator for Segments {
    type Item = Skb;

    /// The next one, whose data begin with the IP header.
    fn next(&mut self) -> Option<Skb> {
        let p = NonNull::new(self.0)?.as_ptr();
        // SAFETY: By the type invariant, which holds of the rest, too.
        unsafe {
            let link = &raw mut (*p).__bindgen_anon_1.__bindgen_anon_1.next;
            self.0 = *link;
            *link = core::ptr::null_mut();
            Some(Skb::from_raw(p))
        }
    }
}

impl Drop for Segments {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

/// Leaves in a received packet what IP_PKTINFO tells: the device it came in by, and our address that it was
/// sent to, in host order.
///
/// Mirrors [`ipv4_pktinfo_prepare`](srctree/net/ipv4/ip_sockglue.c)
pub fn set_pktinfo(skb: &mut SkBuff, ifindex: u32, spec_dst: u32) {
    // SAFETY: The packet is ours alone; the control block is large enough and aligned for it.
    unsafe {
        let info = (&raw mut (*skb.as_ptr()).cb).cast::<bindings::in_pktinfo>();
        (*info).ipi_ifindex = ifindex as c_int;
        (*info).ipi_spec_dst.s_addr = spec_dst.to_be();
    }
}

/// Says when the packet should leave, by the clock that the socket was given with SO_TXTIME.
///
/// Mirrors [`skb_set_delivery_type_by_clockid`](srctree/include/linux/skbuff.h)
pub fn set_delivery_time(sk: &Sk, skb: &mut SkBuff, at: u64) {
    // SAFETY: Both are alive, and the packet is ours alone.
    unsafe {
        let clock = c_int::from((&raw const (*sk.as_ptr()).sk_clockid).read_volatile());
        bindings::skb_set_delivery_type_by_clockid(skb.as_ptr(), at as i64, clock);
    }
}
