// SPDX-License-Identifier: GPL-2.0
//! What TCP does to the buffers of a stream: cutting, joining, sending a clone while the payload waits
//! for its acknowledgement.

use super::{
    SkBuff,
    Skb,
    MAX_HEADER, //
};
use crate::bindings;
use core::ptr::addr_of_mut;
use core::sync::atomic::{
    AtomicI32,
    Ordering, //
};

impl Skb {
    /// A buffer for stream data that will be cloned for transmission.
    ///
    /// Mirrors [`tcp_stream_alloc_skb`](srctree/net/ipv4/tcp.c)
    pub fn alloc_stream() -> Option<Skb> {
        Skb::alloc_stream_gfp(bindings::GFP_ATOMIC)
    }

    /// As [`Skb::alloc_stream`] with the caller's allocation flags, which may allow to sleep.
    pub(crate) fn alloc_stream_gfp(gfp: bindings::gfp_t) -> Option<Skb> {
        Skb::alloc_stream_sized(0, gfp)
    }

    /// A stream buffer with room for `linear` bytes in front of the fragments.
    fn alloc_stream_sized(linear: usize, gfp: bindings::gfp_t) -> Option<Skb> {
        let size = MAX_HEADER.checked_add(linear)?;
        let skb = Skb::alloc_with(MAX_HEADER, size, gfp, bindings::SKB_ALLOC_FCLONE)?;
        let p = skb.as_ptr();
        // The headroom is the clones' to write, one at a time (`__skb_header_release`); the checksum
        // of what the buffer will carry is always left to the device or the layer above it.
        // SAFETY: The buffer is ours alone.
        unsafe {
            (*p).set_nohdr(1);
            skb.dataref()
                .store(1 + (1 << bindings::SKB_DATAREF_SHIFT), Ordering::Relaxed);
            (*skb.headers()).set_ip_summed(bindings::CHECKSUM_PARTIAL as u8);
        }
        Some(skb)
    }
}

impl SkBuff {
    /// Gets rid of the fragments of a received packet if the head has room for them, and makes the true size
    /// what it occupies: a bare ACK of this host comes with next to none. Not for a packet that is charged
    /// to a socket.
    ///
    /// Mirrors [`skb_condense`](srctree/net/core/skbuff.c)
    pub fn condense(&mut self) {
        // SAFETY: The buffer is live and exclusively ours.
        unsafe { bindings::skb_condense(self.as_ptr()) };
    }

    /// A buffer that shares this one's payload and may be given its own headers and be handed to the
    /// IP layer.
    ///
    /// While an earlier clone is still in flight the headroom is that one's: then the headers are copied
    /// and the fragments shared.
    ///
    /// Mirrors the choice in [`__tcp_transmit_skb`](srctree/net/ipv4/tcp_output.c)
    #[inline]
    pub fn clone_for_xmit(&mut self) -> Option<Skb> {
        let p = self.as_ptr();
        // A packet that waits for its acknowledgement has links where its clone has route and destructor.
        // SAFETY: The buffer is live and exclusively ours; what the union holds is kept as it is and put
        // back below. Null in its place is "no route, no destructor".
        let links = unsafe {
            core::mem::replace(
                &mut (*p).__bindgen_anon_3.tcp_tsorted_anchor,
                bindings::list_head {
                    next: core::ptr::null_mut(),
                    prev: core::ptr::null_mut(),
                },
            )
        };
        let ptr = if self.cloned() {
            let headroom = self.headroom() as i32;
            // SAFETY: The buffer is live and keeps its pointers during the call.
            unsafe { bindings::__pskb_copy_fclone(p, headroom, bindings::GFP_ATOMIC, false) }
        } else {
            // SAFETY: As above.
            unsafe { bindings::skb_clone(p, bindings::GFP_ATOMIC) }
        };
        // SAFETY: As above: what was there before.
        unsafe { (*p).__bindgen_anon_3.tcp_tsorted_anchor = links };
        // SAFETY: A new buffer has one reference, and it is ours; it stands in no list.
        let clone = unsafe { Skb::from_raw_or_null(ptr) }?;
        // A buffer in a tree has a link where the device stands, and it was copied.
        clone.clear_dev();
        Some(clone)
    }

    /// Cuts the payload at `len`: this buffer keeps the first `len` bytes, the returned one has the
    /// rest and a copy of the control block. True sizes follow the bytes. `None`, and nothing changed,
    /// when there is no memory.
    ///
    /// Mirrors [`tcp_fragment`](srctree/net/ipv4/tcp_output.c)
    pub fn split(&mut self, len: usize) -> Option<Skb> {
        let linear = self.headlen().saturating_sub(len);
        let rest = Skb::alloc_stream_sized(linear, bindings::GFP_ATOMIC)?;
        // The list of fragments is about to change: it must not be a clone's too.
        if !self.unclone() {
            return None;
        }
        let moved = self.len().saturating_sub(len);
        if moved != 0 {
            // SAFETY: Both are live and exclusively ours, `rest` is empty with tailroom for what is
            // linear behind `len`, and `len` is less than the length.
            unsafe { bindings::skb_split(self.as_ptr(), rest.as_ptr(), len as u32) };
        }
        let moved = moved.saturating_sub(linear) as u32;
        // SAFETY: Both are live and exclusively ours.
        unsafe {
            (*rest.as_ptr()).truesize = (*rest.as_ptr()).truesize.saturating_add(moved);
            (*self.as_ptr()).truesize = (*self.as_ptr()).truesize.saturating_sub(moved);
            (*rest.as_ptr()).cb = (*self.as_ptr()).cb;
        }
        Some(rest)
    }

    /// Removes `n` bytes of payload from the front of a segment that waits for acknowledgement, and
    /// returns by how much the true size shrank. `None`, and nothing changed, when there is no memory: a
    /// clone in flight shares the list of fragments, which then has to be copied.
    ///
    /// Mirrors [`tcp_trim_head`](srctree/net/ipv4/tcp_output.c)
    pub fn trim_head(&mut self, n: usize) -> Option<usize> {
        if !self.unclone() {
            return None;
        }
        let n = n.min(self.len());
        let linear = n.min(self.headlen());
        self.pull(linear);
        let eaten = (n - linear) as u32;
        self.eat_frags(eaten);
        let p = self.as_ptr();
        // SAFETY: The buffer is live and exclusively ours; `eat_frags` took `eaten` bytes of fragments.
        unsafe {
            (*p).data_len = (*p).data_len.wrapping_sub(eaten);
            (*p).len = (*p).len.wrapping_sub(eaten);
            let freed = eaten.min((*p).truesize);
            (*p).truesize = (*p).truesize.wrapping_sub(freed);
            Some(freed as usize)
        }
    }

    /// Takes `eat` bytes from the front of the page fragments. The lengths are the caller's to mend.
    fn eat_frags(&mut self, mut eat: u32) {
        let sh = self.shinfo();
        // SAFETY: The shared info is this buffer's alone (the caller made it so); `nr_frags` entries of
        // `frags` are in use, and each holds a reference to its page, which is given up with the entry.
        unsafe {
            let nr = (*sh).nr_frags;
            let frags = addr_of_mut!((*sh).frags).cast::<bindings::skb_frag_t>();
            let mut kept = 0u8;
            for i in 0..nr {
                let frag = frags.add(i.into());
                let size = (*frag).len;
                if size <= eat {
                    bindings::skb_frag_unref(self.as_ptr(), i.into());
                    eat -= size;
                    continue;
                }
                let to = frags.add(kept.into());
                if kept != i {
                    core::ptr::copy(frag, to, 1);
                }
                (*to).offset = (*to).offset.wrapping_add(eat);
                (*to).len = size.wrapping_sub(eat);
                eat = 0;
                kept = kept.wrapping_add(1);
            }
            (*sh).nr_frags = kept;
        }
    }

    /// Whether a clone of this segment has not left the host yet.
    ///
    /// Mirrors [`skb_fclone_busy`](srctree/include/linux/skbuff.h)
    pub fn fclone_busy(&self) -> bool {
        let p = self.as_ptr();
        // SAFETY: A buffer marked SKB_FCLONE_ORIG is the first member of a `struct sk_buff_fclones`. Of
        // the second one only the owner is read, as a hint, without an ordering.
        unsafe {
            if u32::from((*p).fclone()) != bindings::SKB_FCLONE_ORIG {
                return false;
            }
            let f = p.cast::<bindings::sk_buff_fclones>();
            let refs = AtomicI32::from_ptr(addr_of_mut!((*f).fclone_ref.refs.counter));
            refs.load(Ordering::Relaxed) > 1
                && !addr_of_mut!((*f).skb2.sk).read_volatile().is_null()
        }
    }

    /// Moves the payload of `from`, which follows this packet's, behind this packet's payload without
    /// copying and returns by how much this packet's true size grew. `Err` gives `from` back untouched
    /// when it cannot be done.
    ///
    /// Mirrors [`tcp_try_coalesce`](srctree/net/ipv4/tcp_input.c)
    pub fn try_coalesce(&mut self, from: Skb) -> Result<usize, Skb> {
        let mut stolen = false;
        let mut delta: i32 = 0;
        let stamp = from.rx_stamp();
        // SAFETY: Both are live and exclusively ours.
        let done = unsafe {
            bindings::skb_try_coalesce(self.as_ptr(), from.as_ptr(), &mut stolen, &mut delta)
        };
        if !done {
            return Err(from);
        }
        self.join_rx_stamp(stamp);
        // SAFETY: `stolen` says how much of `from` is left to be freed; our reference ends here.
        unsafe { bindings::kfree_skb_partial(from.into_raw(), stolen) };
        Ok(delta.max(0) as usize)
    }
}
