// SPDX-License-Identifier: GPL-2.0
//! Packet buffers of the host build, as `struct sk_buff` has them.
//!
//! [`SkBuff`] is the buffer, [`Skb`] owns one. A buffer has a linear part, where headers live and grow
//! downwards into the headroom, and page fragments behind it, which hold stream data; here both are in one
//! vector, and the boundary is remembered.

use super::{
    may_alloc,
    SkbQueue,
    FAIL_AFTER,
    MAX_HEADER,
    SKB_OVERHEAD, //
};
use crate::stack::tcp::Cb;
use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

thread_local! {
    /// The identity of the packet made last.
    static LAST_ID: Cell<u64> = const { Cell::new(0) };
}

/// An identity that no other packet of this thread has.
fn next_id() -> u64 {
    LAST_ID.set(LAST_ID.get() + 1);
    LAST_ID.get()
}

/// A packet buffer (`struct sk_buff`).
#[derive(Debug)]
pub struct SkBuff {
    /// The whole buffer; what precedes `data` is headroom.
    buf: Vec<u8>,
    data: usize,
    /// Bytes of `buf` from here on stand for page fragments.
    linear_end: usize,
    network: usize,
    transport: usize,
    tcp: Cb,
    gso_size: u16,
    gso_segs: u16,
    truesize: usize,
    csum_ok: bool,
    csum_partial: bool,
    /// Test only: the number of the time stamp that was asked for.
    pub tskey: u32,
    delivery_time: crate::stack::time::Instant,
    /// A clone has not left the host.
    busy: bool,
    /// The receive buffer that this packet is charged to.
    owner: Option<Rc<Cell<usize>>>,
    /// Tells it from every other packet of this thread.
    pub(super) id: u64,
}

impl Drop for SkBuff {
    fn drop(&mut self) {
        if let Some(owner) = &self.owner {
            owner.set(owner.get() - self.truesize);
        }
    }
}

/// Owns a packet buffer; dropping it frees the packet.
#[derive(Debug)]
pub struct Skb(Box<SkBuff>);

impl Deref for Skb {
    type Target = SkBuff;
    fn deref(&self) -> &SkBuff {
        &self.0
    }
}

impl DerefMut for Skb {
    fn deref_mut(&mut self) -> &mut SkBuff {
        &mut self.0
    }
}

impl Skb {
    /// An empty buffer with `headroom` and room for `tailroom` bytes of linear data. Atomic: never
    /// sleeps. `None` when there is no memory.
    pub fn alloc(headroom: usize, tailroom: usize) -> Option<Skb> {
        if !may_alloc() {
            return None;
        }
        let mut buf = Vec::with_capacity(headroom + tailroom);
        buf.resize(headroom, 0);
        Some(Skb(Box::new(SkBuff {
            buf,
            data: headroom,
            linear_end: headroom,
            network: headroom,
            transport: headroom,
            tcp: Cb::default(),
            gso_size: 0,
            gso_segs: 0,
            truesize: SKB_OVERHEAD + headroom + tailroom,
            csum_ok: false,
            csum_partial: false,
            tskey: 0,
            busy: false,
            delivery_time: crate::stack::time::Instant::ZERO,
            owner: None,
            id: next_id(),
        })))
    }

    /// A buffer for stream data that will be cloned for transmission (`tcp_stream_alloc_skb`'s fclone).
    pub fn alloc_stream() -> Option<Skb> {
        Skb::alloc(MAX_HEADER, 0)
    }

    /// Test only: a received packet made of `bytes`. Never fails: the network's memory is not ours.
    pub fn from_bytes(bytes: &[u8]) -> Skb {
        let planned = FAIL_AFTER.take();
        let mut skb = Skb::alloc(0, bytes.len()).expect("test allocation");
        FAIL_AFTER.set(planned);
        if let Some(b) = skb.put(bytes.len()) {
            b.copy_from_slice(bytes);
        }
        skb
    }

    /// Frees a packet that did what it was made for (`consume_skb`), unlike a drop.
    pub fn consume(self) {}
}

impl SkBuff {
    /// A buffer that shares this one's payload and may be given its own headers and be handed to the
    /// IP layer (`skb_clone`, or `__pskb_copy` while an earlier clone is still in flight).
    pub fn clone_for_xmit(&mut self) -> Option<Skb> {
        if !may_alloc() {
            return None;
        }
        let s = &*self;
        Some(Skb(Box::new(SkBuff {
            buf: s.buf.clone(),
            data: s.data,
            linear_end: s.linear_end,
            network: s.network,
            transport: s.transport,
            tcp: s.tcp,
            gso_size: s.gso_size,
            gso_segs: s.gso_segs,
            truesize: s.truesize,
            csum_ok: s.csum_ok,
            csum_partial: s.csum_partial,
            tskey: 0,
            busy: false,
            delivery_time: s.delivery_time,
            owner: None,
            id: next_id(),
        })))
    }

    /// Cuts the payload at `len`: this buffer keeps the first `len` bytes, the returned one has the
    /// rest and a copy of the control block (`tcp_fragment`'s `skb_split`). True sizes follow the
    /// bytes. `None`, and nothing changed, when there is no memory.
    pub fn split(&mut self, len: usize) -> Option<Skb> {
        let mut rest = Skb::alloc_stream()?;
        let cut = (self.data + len).min(self.buf.len());
        let tail = self.buf.split_off(cut);
        self.linear_end = self.linear_end.min(cut);
        self.truesize -= tail.len().min(self.truesize - SKB_OVERHEAD);
        rest.0.truesize += tail.len();
        rest.0.buf.extend_from_slice(&tail);
        rest.0.tcp = self.tcp;
        Some(rest)
    }

    /// Bytes of data, linear part and fragments.
    pub fn len(&self) -> usize {
        self.buf.len() - self.data
    }

    /// Whether there are no data.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory that this packet stands for, as charged to sockets.
    pub fn truesize(&self) -> usize {
        self.truesize
    }

    /// True size without the head where that holds no data, in bytes; here it always holds them.
    pub fn frag_truesize(&self) -> usize {
        self.truesize
    }

    /// Asks for time stamps that will have the number `key`.
    pub fn set_tx_timestamp(&mut self, _tsflags: u32, key: u32) {
        self.tskey = key;
    }

    /// Hands the wish for time stamps on.
    pub fn move_tx_timestamp(&mut self, to: &mut SkBuff) {
        to.tskey = self.tskey;
    }

    /// One byte of the data.
    pub fn byte_at(&self, offset: usize) -> Option<u8> {
        self.buf.get(self.data + offset).copied()
    }

    /// Makes the first `n` bytes readable in one piece, moving them out of fragments if need be
    /// (`pskb_may_pull`). `None` if the packet is shorter or there is no memory.
    pub fn may_pull(&mut self, n: usize) -> Option<&[u8]> {
        self.buf.get(self.data..self.data + n)
    }

    /// Like [`SkBuff::may_pull`], and the bytes may be written (`skb_ensure_writable`).
    pub fn writable(&mut self, n: usize) -> Option<&mut [u8]> {
        self.buf.get_mut(self.data..self.data + n)
    }

    /// The linear part of the data: at least what the last [`SkBuff::may_pull`] asked for.
    pub fn linear(&self) -> &[u8] {
        &self.buf[self.data..]
    }

    /// Removes `n` bytes from the front; all of them if there are fewer.
    pub fn pull(&mut self, n: usize) {
        self.data += n.min(self.len());
    }

    /// Prepends `n` bytes and returns them to be filled. `None` if the headroom is too small.
    pub fn push(&mut self, n: usize) -> Option<&mut [u8]> {
        self.data = self.data.checked_sub(n)?;
        Some(&mut self.buf[self.data..self.data + n])
    }

    /// Appends `n` bytes of linear data and returns them to be filled. `None` without tailroom, or
    /// behind fragments.
    pub fn put(&mut self, n: usize) -> Option<&mut [u8]> {
        let end = self.buf.len();
        if end != self.linear_end {
            return None;
        }
        self.buf.resize(end + n, 0);
        self.linear_end = end + n;
        Some(&mut self.buf[end..])
    }

    /// Cuts the data to `len` bytes if it is longer (`pskb_trim`). `false` when there is no memory.
    pub fn trim(&mut self, len: usize) -> bool {
        self.buf.truncate(self.data + len.min(self.len()));
        self.linear_end = self.linear_end.min(self.buf.len());
        true
    }

    /// Removes `n` bytes of payload from the front of a segment that waits for acknowledgement, and
    /// returns by how much the true size shrank (`tcp_trim_head`). `None`, and nothing changed, when
    /// there is no memory: a clone in flight shares the list of fragments, which then has to be copied.
    pub fn trim_head(&mut self, n: usize) -> Option<usize> {
        if !may_alloc() {
            return None;
        }
        let n = n.min(self.len());
        self.pull(n);
        let freed = n.min(self.truesize - SKB_OVERHEAD);
        self.truesize -= freed;
        Some(freed)
    }

    /// The data begins with the network header (`skb_reset_network_header`).
    pub fn reset_network_header(&mut self) {
        self.network = self.data;
    }

    /// The data begins with the transport header (`skb_reset_transport_header`).
    pub fn reset_transport_header(&mut self) {
        self.transport = self.data;
    }

    /// Here packets carry no times.
    pub fn clear_delivery_time(&mut self) {}

    /// The linear bytes from the network header on.
    pub fn network_header(&self) -> &[u8] {
        self.buf.get(self.network..).unwrap_or(&[])
    }

    /// The linear bytes from the transport header on.
    pub fn transport_header(&self) -> &[u8] {
        self.buf.get(self.transport..).unwrap_or(&[])
    }

    /// TCP's control block. Only meaningful while TCP owns the packet.
    pub fn tcp_cb(&self) -> &Cb {
        &self.tcp
    }

    /// TCP's control block, to be written.
    pub fn tcp_cb_mut(&mut self) -> &mut Cb {
        &mut self.tcp
    }

    /// Payload bytes of each segment of a GSO packet; 0 for an ordinary packet.
    pub fn gso_size(&self) -> u16 {
        self.gso_size
    }

    /// Number of segments in a GSO packet; 0 where nobody counted.
    pub fn gso_segs(&self) -> u16 {
        self.gso_segs
    }

    /// Marks the packet as `segs` TCPv4 segments of `size` payload bytes each (`skb_shinfo`'s
    /// `gso_size`, `gso_segs`, SKB_GSO_TCPV4); `size` 0 makes it an ordinary one.
    pub fn set_gso_tcpv4(&mut self, size: u16, segs: u16) {
        self.gso_size = size;
        self.gso_segs = segs;
    }

    /// Notes that a received packet was made of `segs` segments, the longest with `size` payload bytes.
    pub fn set_rx_segs(&mut self, size: u16, segs: u16) {
        self.gso_size = size;
        self.gso_segs = segs;
    }

    /// The first of the packet's segments carries CWR, the others must not.
    pub fn set_gso_tcp_ecn(&mut self) {}

    /// When the packet may leave.
    pub fn set_delivery_time(&mut self, at: crate::stack::time::Instant) {
        self.delivery_time = at;
    }

    /// The checksum over pseudo-header and data, both from the transport header on, is left to the
    /// device: the field at `offset` of the data holds the pseudo-header's sum (CHECKSUM_PARTIAL).
    pub fn set_csum_partial(&mut self, offset: u16) {
        let _ = offset;
        self.csum_partial = true;
    }

    /// Verifies a received packet's transport checksum, with the data at the transport header:
    /// trusts the device where it vouches for it, else sums. `pseudo` is the folded-in sum of the
    /// pseudo-header, not complemented.
    pub fn csum_valid(&mut self, pseudo: u32) -> bool {
        if self.csum_ok || self.csum_partial {
            return true;
        }
        let sum = crate::stack::wire::checksum::partial(&self.buf[self.data..], pseudo);
        self.csum_ok = crate::stack::wire::checksum::fold(sum) == 0xffff;
        self.csum_ok
    }

    /// Whether a clone of this segment has not left the host yet (`skb_fclone_busy`).
    pub fn fclone_busy(&self) -> bool {
        self.busy
    }

    /// Test only: says whether one has.
    pub fn set_fclone_busy(&mut self, busy: bool) {
        self.busy = busy;
    }

    /// Moves the payload of `from`, which follows this packet's, behind this packet's payload without
    /// copying (`skb_try_coalesce`) and returns by how much this packet's true size grew. `Err` gives
    /// `from` back untouched when it cannot be done.
    pub fn try_coalesce(&mut self, from: Skb) -> Result<usize, Skb> {
        if self.len() + from.len() > 65_535 {
            return Err(from);
        }
        let delta = from.len();
        self.buf.extend_from_slice(from.linear());
        self.truesize += delta;
        Ok(delta)
    }

    /// Puts fragments' payloads behind this one's, which is then the datagram's.
    pub fn join_fragments(&mut self, rest: &mut SkbQueue) -> bool {
        while let Some(skb) = rest.pop_front() {
            self.buf.extend_from_slice(skb.linear());
            self.truesize += skb.truesize;
        }
        true
    }

    /// Copies bytes of the data, wherever they lie. `false` if there are not so many.
    pub fn copy_bits(&self, offset: usize, to: &mut [u8]) -> bool {
        let from = self
            .buf
            .get(self.data + offset..self.data + offset + to.len());
        from.map(|from| to.copy_from_slice(from)).is_some()
    }

    /// The bytes of data, fragments included: tests only.
    pub fn bytes(&self) -> &[u8] {
        &self.buf[self.data..]
    }
}

/// Host only: what the memory and copying parts of `Env` are made of.
impl SkBuff {
    /// Charges the packet to `owner` until it is freed (`skb_set_owner_r`).
    pub fn set_owner_r(&mut self, owner: &Rc<Cell<usize>>) {
        owner.set(owner.get() + self.truesize);
        self.owner = Some(Rc::clone(owner));
    }

    /// The device vouches for the checksum (CHECKSUM_UNNECESSARY).
    pub fn set_csum_ok(&mut self) {
        self.csum_ok = true;
    }

    /// Appends stream bytes as fragments.
    pub fn append_frag(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
        self.truesize += bytes.len();
    }
}
