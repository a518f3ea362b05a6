// SPDX-License-Identifier: GPL-2.0
//! The platform of the host build: what `rust/platform.rs` gives the stack in the kernel, made of
//! `std`, for tests. The two files offer the same names with the same meaning; the stack compiles
//! against either.
//!
//! Packet buffers mirror `struct sk_buff`: [`SkBuff`] is the buffer, [`Skb`] owns one, [`SkbQueue`]
//! and [`SkbTree`] own many. A buffer has a linear part, where headers live and grow downwards into
//! the headroom, and page fragments behind it, which hold stream data; the host build keeps both in
//! one vector and remembers the boundary.
//!
//! A queue lends its packets as `&mut SkBuff`, never as `&mut Skb`: an owner that could be exchanged in
//! place would take the links of an intrusive queue with it.

use crate::stack::tcp::{Cb, SeqNum};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

mod rtx_queue;
mod shared;
mod sysctl;

pub use rtx_queue::{RtxQueue, SentOrder};
pub use shared::{
    read_lock,
    AllocError,
    Arc,
    Array,
    Lock,
    LockGuard,
    Rcu,
    RcuBox,
    ReadGuard, //
};
pub use std::boxed::Box;
pub use std::vec::Vec;
pub use sysctl::Sysctl;

/// The user's buffer could not be read or written (EFAULT).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault;

/// True size of an empty buffer, as charged to a socket, in bytes: `struct sk_buff` and its shared info.
pub const SKB_OVERHEAD: usize = 768;
/// Room for every header below the transport, in bytes (`MAX_TCP_HEADER`).
pub const MAX_HEADER: usize = 320;
/// What one buffer's fragments hold at the most, in bytes.
pub const MAX_FRAG_BYTES: usize = 17 * 32768;

thread_local! {
    /// `Some(n)`: the allocation after `n` more successful ones fails, once.
    static FAIL_AFTER: RefCell<Option<u32>> = const { RefCell::new(None) };
    /// The identity of the packet made last.
    static LAST_ID: Cell<u64> = const { Cell::new(0) };
}

/// Makes the `n`-th allocation from now fail on this thread (0: the next one).
pub fn fail_alloc(n: Option<u32>) {
    FAIL_AFTER.with(|f| *f.borrow_mut() = n);
}

/// Whether a planned failure has not happened yet.
pub fn fail_pending() -> bool {
    FAIL_AFTER.with(|f| f.borrow().is_some())
}

/// One allocation: `false` if it is the one that must fail.
pub fn may_alloc() -> bool {
    FAIL_AFTER.with(|f| {
        let mut f = f.borrow_mut();
        match *f {
            None => true,
            Some(0) => {
                *f = None;
                false
            }
            Some(n) => {
                *f = Some(n - 1);
                true
            }
        }
    })
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
    id: u64,
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

/// The caller's buffer of one sendmsg or recvmsg (`struct iov_iter`).
#[derive(Debug)]
pub enum MsgIter<'a> {
    /// Data to send, and how much of it was taken.
    Source(&'a [u8], usize),
    /// Where received data goes, and how much was given.
    Dest(&'a mut Vec<u8>, usize),
}

impl MsgIter<'_> {
    /// Bytes that can still be taken or given.
    pub fn remaining(&self) -> usize {
        match self {
            MsgIter::Source(b, pos) => b.len() - pos,
            MsgIter::Dest(b, max) => max - b.len(),
        }
    }

    /// Takes up to `n` bytes from a source.
    pub fn take(&mut self, n: usize) -> &[u8] {
        match self {
            MsgIter::Source(b, pos) => {
                let start = *pos;
                *pos = (start + n).min(b.len());
                &b[start..*pos]
            }
            MsgIter::Dest(..) => &[],
        }
    }

    /// Gives bytes to a destination.
    pub fn give(&mut self, bytes: &[u8]) {
        if let MsgIter::Dest(b, _) = self {
            b.extend_from_slice(bytes);
        }
    }
}

/// An owning queue of packets in order (`struct sk_buff_head` without its lock).
#[derive(Debug, Default)]
pub struct SkbQueue(VecDeque<Skb>);

impl SkbQueue {
    /// An empty queue.
    pub const fn new() -> Self {
        SkbQueue(VecDeque::new())
    }

    /// Number of packets.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no packets.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends a packet. O(1), never fails: the links are in the packet.
    pub fn push_back(&mut self, skb: Skb) {
        self.0.push_back(skb);
    }

    /// Prepends a packet.
    pub fn push_front(&mut self, skb: Skb) {
        self.0.push_front(skb);
    }

    /// Takes the first packet.
    pub fn pop_front(&mut self) -> Option<Skb> {
        self.0.pop_front()
    }

    /// Takes the last packet.
    pub fn pop_back(&mut self) -> Option<Skb> {
        self.0.pop_back()
    }

    /// The first packet.
    pub fn front(&self) -> Option<&SkBuff> {
        self.0.front().map(|s| &**s)
    }

    /// The first packet, to be changed.
    pub fn front_mut(&mut self) -> Option<&mut SkBuff> {
        self.0.front_mut().map(|s| &mut **s)
    }

    /// The last packet.
    pub fn back(&self) -> Option<&SkBuff> {
        self.0.back().map(|s| &**s)
    }

    /// The last packet, to be changed.
    pub fn back_mut(&mut self) -> Option<&mut SkBuff> {
        self.0.back_mut().map(|s| &mut **s)
    }

    /// The packets in order.
    pub fn iter(&self) -> impl Iterator<Item = &SkBuff> {
        self.0.iter().map(|s| &**s)
    }

    /// A cursor on the first packet.
    pub fn cursor_front(&mut self) -> Cursor<'_> {
        Cursor { q: self, at: 0 }
    }

    /// Frees everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// A position in a queue at which packets can be changed, inserted and removed in O(1).
#[derive(Debug)]
pub struct Cursor<'a> {
    q: &'a mut SkbQueue,
    at: usize,
}

impl Cursor<'_> {
    /// The packet here; `None` past the end.
    pub fn current(&mut self) -> Option<&mut SkBuff> {
        self.q.0.get_mut(self.at).map(|s| &mut **s)
    }

    /// Goes to the next packet.
    pub fn move_next(&mut self) {
        if self.at < self.q.0.len() {
            self.at += 1;
        }
    }

    /// Takes the packet here out of the queue; the cursor is then on the one behind it.
    pub fn remove(&mut self) -> Option<Skb> {
        self.q.0.remove(self.at)
    }

    /// Inserts `skb` behind the packet here; at the end if the cursor is past it.
    pub fn insert_after(&mut self, skb: Skb) {
        let at = (self.at + 1).min(self.q.0.len());
        self.q.0.insert(at, skb);
    }
}

/// Packets ordered by the first sequence number in their control block (`Cb::seq`), all within half
/// the sequence space (`tp->out_of_order_queue`'s rb-tree). Every operation is O(log n).
#[derive(Debug, Default)]
pub struct SkbTree {
    /// Sorted by the packets' present numbers: those of the first one move as it is trimmed.
    skbs: VecDeque<Skb>,
}

impl SkbTree {
    /// An empty tree.
    pub const fn new() -> Self {
        SkbTree {
            skbs: VecDeque::new(),
        }
    }

    /// Whether there are no packets.
    pub fn is_empty(&self) -> bool {
        self.skbs.is_empty()
    }

    /// How many packets begin at or before `seq`.
    fn upto(&self, seq: SeqNum) -> usize {
        self.skbs.partition_point(|s| !s.tcp_cb().seq.after(seq))
    }

    /// Inserts a packet. Gives it back if one with the same first sequence number is there.
    pub fn insert(&mut self, skb: Skb) -> Result<(), Skb> {
        let seq = skb.tcp_cb().seq;
        let at = self.upto(seq);
        if at > 0 && self.skbs[at - 1].tcp_cb().seq == seq {
            return Err(skb);
        }
        self.skbs.insert(at, skb);
        Ok(())
    }

    /// The packet with the lowest sequence number.
    pub fn first(&self) -> Option<&SkBuff> {
        self.skbs.front().map(|s| &**s)
    }

    /// The packet with the highest sequence number.
    pub fn last(&self) -> Option<&SkBuff> {
        self.skbs.back().map(|s| &**s)
    }

    /// The packet with the lowest sequence number, to be changed: not its `Cb::seq` beyond its neighbours'.
    pub fn first_mut(&mut self) -> Option<&mut Skb> {
        self.skbs.front_mut()
    }

    /// The packet with the highest sequence number, to be changed.
    pub fn last_mut(&mut self) -> Option<&mut Skb> {
        self.skbs.back_mut()
    }

    /// Calls `f` on every packet in order, without changing that order.
    pub fn for_each_mut(&mut self, mut f: impl FnMut(&mut SkBuff)) {
        for skb in &mut self.skbs {
            f(skb);
        }
    }

    /// Takes the packet with the lowest sequence number.
    pub fn pop_first(&mut self) -> Option<Skb> {
        self.skbs.pop_front()
    }

    /// Takes the packet with the highest sequence number.
    pub fn pop_last(&mut self) -> Option<Skb> {
        self.skbs.pop_back()
    }

    /// The last packet that begins at or before `seq`.
    pub fn at_or_before(&mut self, seq: SeqNum) -> Option<&mut SkBuff> {
        let at = self.upto(seq).checked_sub(1)?;
        self.skbs.get_mut(at).map(|s| &mut **s)
    }

    /// The first packet that begins after `seq`.
    pub fn after(&mut self, seq: SeqNum) -> Option<&mut SkBuff> {
        let at = self.upto(seq);
        self.skbs.get_mut(at).map(|s| &mut **s)
    }

    /// Takes the packet that begins exactly at `seq`.
    pub fn remove(&mut self, seq: SeqNum) -> Option<Skb> {
        let at = self.upto(seq).checked_sub(1)?;
        if self.skbs[at].tcp_cb().seq != seq {
            return None;
        }
        self.skbs.remove(at)
    }

    /// Frees everything.
    pub fn clear(&mut self) {
        self.skbs.clear();
    }

    /// The packet with that identity.
    fn find(&mut self, id: u64) -> Option<&mut SkBuff> {
        self.skbs.iter_mut().find(|s| s.id == id).map(|s| &mut **s)
    }
}
