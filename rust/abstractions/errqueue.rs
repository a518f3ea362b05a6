// SPDX-License-Identifier: GPL-2.0
//! The error queue of a socket (MSG_ERRQUEUE): what ICMP said of packets, and when packets were sent
//! (SO_TIMESTAMPING).
//!
//! C header: [`include/linux/errqueue.h`](srctree/include/linux/errqueue.h)

use super::{
    proto::Protocol,
    skbuff::{
        SkBuff,
        Skb, //
    },
    sock::{
        Sk,
        Sock, //
    },
    socket::Msg,
};
use crate::bindings;
use core::{
    mem::size_of,
    ptr, //
};
use kernel::{
    error::{
        code::*,
        Result, //
    },
    ffi::c_int, //
};

/// Bits of `shinfo->tx_flags` that ask for a time stamp (`SKBTX_ANY_TSTAMP`, but for BPF's).
const ANY_TSTAMP: u8 = (bindings::SKBTX_HW_TSTAMP_NOBPF
    | bindings::SKBTX_SW_TSTAMP
    | bindings::SKBTX_SCHED_TSTAMP
    | bindings::SKBTX_COMPLETION_TSTAMP) as u8;

impl Sk {
    /// What the user wants of time stamps (`SOF_TIMESTAMPING_*`).
    #[inline]
    pub fn tsflags(&self) -> u32 {
        // SAFETY: A live socket's word, read once.
        unsafe { (&raw const (*self.as_ptr()).sk_tsflags).read_volatile() }
    }

    /// Whether the error queue holds anything.
    #[inline]
    pub fn has_errors(&self) -> bool {
        // SAFETY: A live socket's list head, compared with itself (`skb_queue_empty_lockless`).
        unsafe {
            let list = &raw mut (*self.as_ptr()).sk_error_queue;
            let next = (&raw const (*list).__bindgen_anon_1.__bindgen_anon_1.next).read_volatile();
            next != list.cast()
        }
    }

    /// Puts a message of ICMP's, whose data begin with its header, into the error queue, if the user asked for
    /// that (`IP_RECVERR`). `payload` bytes stand before what the user sent; `port` is the one that he sent it
    /// to, and `info` the second word of the message. Softirq.
    ///
    /// Mirrors [`ip_icmp_error`](srctree/net/ipv4/ip_sockglue.c)
    pub fn icmp_error(&self, skb: &mut SkBuff, errno: c_int, port: u16, info: u32, payload: usize) {
        if !self.inet_flag(bindings::INET_FLAGS_RECVERR) || skb.may_pull(payload).is_none() {
            return;
        }
        skb.reset_transport_header();
        // SAFETY: A live socket, and a packet of ours with both headers set, of which the function makes a clone.
        // So many bytes lie in one piece.
        unsafe {
            let p = skb.as_ptr();
            let at = (*p).data.add(payload);
            bindings::ip_icmp_error(self.as_ptr(), p, errno, port.to_be(), info, at);
        }
    }

    /// Puts an error that was found here into the error queue, if the user asked for that: what he sent to
    /// `daddr` and `port` could not leave. Any context.
    ///
    /// Mirrors [`ip_local_error`](srctree/net/ipv4/ip_sockglue.c)
    pub fn local_error(&self, errno: c_int, daddr: u32, port: u16, info: u32) {
        if !self.inet_flag(bindings::INET_FLAGS_RECVERR) {
            return;
        }
        // A header of which only the destination is ever read.
        const HEADER: usize = 20;
        const DADDR: usize = 16;
        let Some(mut skb) = Skb::alloc(0, HEADER) else {
            return;
        };
        let Some(header) = skb.put(HEADER) else {
            return;
        };
        header.fill(0);
        if let Some(to) = header.get_mut(DADDR..) {
            to.copy_from_slice(&daddr.to_be_bytes());
        }
        skb.reset_network_header();
        skb.pull(HEADER);
        skb.reset_transport_header();
        let p = skb.into_raw();
        // SAFETY: A live socket; the packet is ours alone, and its control block large enough and aligned for
        // this. Refused, it is still ours.
        unsafe {
            let serr = (&raw mut (*p).cb).cast::<bindings::sock_exterr_skb>();
            (*serr).ee.ee_errno = errno as u32;
            (*serr).ee.ee_origin = bindings::SO_EE_ORIGIN_LOCAL as u8;
            (*serr).ee.ee_info = info;
            (*serr).addr_offset = DADDR as u16;
            (*serr).port = port.to_be();
            if bindings::sock_queue_err_skb(self.as_ptr(), p) != 0 {
                drop(Skb::from_raw(p));
            }
        }
    }

    /// Puts a copy of `skb` with the present time and the number `key` into the error queue: it was
    /// acknowledged. The packet's control block is lost.
    ///
    /// Mirrors [`__skb_tstamp_tx`](srctree/net/core/skbuff.c)
    pub fn tstamp_ack(&self, skb: &mut Skb, key: u32) {
        let p = skb.as_ptr();
        // SAFETY: A live socket. The packet is exclusively ours; its control block is large enough and aligned
        // for TCP's, where the function looks whether this time stamp is wanted; else it is only read and cloned.
        unsafe {
            (*skb.shinfo()).tskey = key;
            let cb = (*p).cb.as_mut_ptr().cast::<bindings::tcp_skb_cb>();
            (*cb).set_txstamp_ack(bindings::TSTAMP_ACK_SK as u8);
            bindings::__skb_tstamp_tx(
                p,
                ptr::null(),
                ptr::null_mut(),
                self.as_ptr(),
                bindings::SCM_TSTAMP_ACK as c_int,
            );
        }
    }
}

impl SkBuff {
    /// Asks whoever sends the packet for the time stamps of `tsflags` (`SOF_TIMESTAMPING_TX_*`), which will
    /// have the number `key`.
    ///
    /// Mirrors [`tcp_tx_timestamp`](srctree/net/ipv4/tcp.c), [`__sock_tx_timestamp`](srctree/net/socket.c)
    pub fn set_tx_timestamp(&mut self, tsflags: u32, key: u32) {
        // SAFETY: The packet is ours alone, and its shared info lives as long as its head.
        unsafe {
            let info = self.shinfo();
            bindings::__sock_tx_timestamp(tsflags, &raw mut (*info).tx_flags);
            (*info).tskey = key;
        }
    }

    /// Hands the wish for time stamps on to the packet that now has the last byte of the write.
    ///
    /// Mirrors [`tcp_fragment_tstamp`](srctree/net/ipv4/tcp_output.c)
    pub fn move_tx_timestamp(&mut self, to: &mut SkBuff) {
        // SAFETY: Both packets are exclusively ours.
        unsafe {
            let (from, to) = (self.shinfo(), to.shinfo());
            (*to).tx_flags |= (*from).tx_flags & ANY_TSTAMP;
            (*from).tx_flags &= !ANY_TSTAMP;
            (*to).tskey = (*from).tskey;
        }
    }
}

impl Msg<'_> {
    /// recvmsg(2) with MSG_ERRQUEUE: the oldest entry of the error queue. Process context.
    ///
    /// # Errors
    ///
    /// EAGAIN when the queue is empty; EFAULT.
    ///
    /// Mirrors [`ip_recv_error`](srctree/net/ipv4/ip_sockglue.c)
    pub fn recv_error<P: Protocol>(&mut self, so: &Sock<P>, len: usize) -> Result<usize> {
        // SAFETY: A live socket; the packet, if there is one, is ours from now on.
        let skb = unsafe { Skb::from_raw_or_null(bindings::sock_dequeue_err_skb(so.as_ptr())) };
        let skb = skb.ok_or(EAGAIN)?;
        let copied = skb.len().min(len);
        if copied < skb.len() {
            self.add_flags(bindings::MSG_TRUNC);
        }
        self.iter().copy_datagram(&skb, 0, copied)?;
        // SAFETY: All live during the call.
        unsafe { bindings::sock_recv_timestamp(self.as_ptr(), so.as_ptr(), skb.as_ptr()) };
        // SAFETY: Whatever stands in an error queue has this in its control block.
        let serr = unsafe {
            &*(*skb.as_ptr())
                .cb
                .as_ptr()
                .cast::<bindings::sock_exterr_skb>()
        };
        let origin = u32::from(serr.ee.ee_origin);
        let icmp = origin == bindings::SO_EE_ORIGIN_ICMP;
        let local = origin == bindings::SO_EE_ORIGIN_LOCAL;
        if icmp || local || serr.port != 0 {
            let at = usize::from(serr.addr_offset);
            if let Some(a) = skb.network_header().get(at..).and_then(|b| b.first_chunk()) {
                self.set_name(u32::from_be_bytes(*a), u16::from_be(serr.port));
            }
        }
        // `struct sock_extended_err`, then the `struct sockaddr_in` of who told of it.
        const ERR: usize = size_of::<bindings::sock_extended_err>();
        const ADDR: usize = size_of::<bindings::sockaddr_in>();
        let mut data = [0u8; ERR + ADDR];
        // SAFETY: Plain numbers without padding, copied to memory of that size.
        unsafe {
            ptr::copy_nonoverlapping((&raw const serr.ee).cast::<u8>(), data.as_mut_ptr(), ERR)
        };
        if icmp {
            // The source of the IPv4 header, twelve bytes into it.
            let source = skb.network_header().get(12..16);
            if let (Some(to), Some(from)) = (data.get_mut(ERR..), source) {
                let family = (bindings::AF_INET as u16).to_ne_bytes();
                for (to, from) in to.iter_mut().zip(family) {
                    *to = from;
                }
                for (to, from) in to.iter_mut().skip(4).zip(from) {
                    *to = *from;
                }
            }
            self.recv_ip_control(so, &skb, 0);
        }
        self.put_cmsg(bindings::SOL_IP, bindings::IP_RECVERR, &data);
        self.add_flags(bindings::MSG_ERRQUEUE);
        skb.consume();
        Ok(copied)
    }
}
