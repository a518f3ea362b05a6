// SPDX-License-Identifier: GPL-2.0
//! Fragments become the datagram that they were cut from: RFC 791, 3.2.
//!
//! In: a fragment, whose data begin with its IP header ([`Pieces::insert`]). Out, once every byte is there: the
//! datagram ([`Pieces::join`]). RFC 815's list of holes is the gaps between the fragments here, which stand in
//! a tree: whatever order they come in, each costs a look-up of O(log n) (CVE-2018-5391). Who overlaps
//! another spoils the datagram (RFC 5722's rule, which closes what Teardrop and its like opened); only a
//! fragment that lies inside of one that is there is taken for its double.
//!
//! Where the datagrams stand, how much memory they may take, and how long they wait, is glue's.

use crate::platform::{
    Skb,
    SkbQueue,
    SkbTree, //
};
use crate::stack::drop_reason::DropReason;
use crate::stack::ip::Header;
use crate::stack::tcp::SeqNum;
use crate::stack::time::Instant;
use crate::stack::wire::checksum;
use crate::stack::wire::ipv4::{
    Addr,
    Protocol,
    MAX_LEN,
    MF,
    OFFSET, //
};

/// What the fragments of one datagram have in common: RFC 791, 3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Source address.
    pub saddr: Addr,
    /// Destination address.
    pub daddr: Addr,
    /// Protocol.
    pub protocol: Protocol,
    /// Identification.
    pub id: u16,
}

impl Key {
    /// Of a fragment.
    pub fn of(header: &Header) -> Key {
        Key {
            saddr: header.saddr,
            daddr: header.daddr,
            protocol: header.protocol,
            id: header.id,
        }
    }
}

/// What a fragment did.
#[derive(Debug)]
pub enum Outcome {
    /// Others are missing.
    Waits,
    /// It was the last that was missing.
    Whole,
    /// It is there already, and is given back.
    Double(Skb),
    /// It is given back, and the datagram is lost.
    Spoils(Skb, DropReason),
}

/// A datagram of which not every fragment has come.
///
/// Mirrors [`struct ipq`](srctree/net/ipv4/ip_fragment.c)
pub struct Pieces {
    /// Whose fragments these are.
    pub key: Key,
    /// When they are given up.
    pub expires: Instant,
    /// The device that the last one came in by.
    pub ifindex: u32,
    /// By offset, which stands in place of the sequence number.
    fragments: SkbTree,
    /// Bytes of payload that have come.
    meat: u32,
    /// Bytes of payload up to the end of the last fragment that has come.
    len: u32,
    /// Whether that is the end of the datagram.
    ends: bool,
    /// What the fragments say of congestion, a bit for each of the four.
    ecn: u8,
    /// Their true size in bytes.
    truesize: usize,
}

impl Pieces {
    /// None yet.
    pub const fn new(key: Key, expires: Instant) -> Pieces {
        Pieces {
            key,
            expires,
            ifindex: 0,
            fragments: SkbTree::new(),
            meat: 0,
            len: 0,
            ends: false,
            ecn: 0,
            truesize: 0,
        }
    }

    /// Bytes of memory that the fragments take.
    pub fn truesize(&self) -> usize {
        self.truesize
    }

    /// Takes a fragment, whose data begin with the IP header `header`.
    ///
    /// Mirrors [`ip_frag_queue`](srctree/net/ipv4/ip_fragment.c), [`inet_frag_queue_insert`](srctree/net/ipv4/inet_fragment.c)
    pub fn insert(&mut self, mut skb: Skb, header: &Header) -> Outcome {
        let offset = u32::from(header.frag_off & OFFSET) << 3;
        let more = header.frag_off & MF != 0;
        let mut end = offset.wrapping_add(u32::from(header.payload_len()));
        if more {
            // RFC 791, 3.1: all but the last end on eight bytes; what lies behind is nobody's.
            end &= !7;
        }
        let fits = match more {
            false => end >= self.len && (!self.ends || end == self.len),
            true => end <= self.len || !self.ends,
        };
        if !fits || end <= offset {
            return Outcome::Spoils(skb, DropReason::FragInvalid);
        }
        // Between whom does it lie?
        let begin = SeqNum::new(offset);
        if let Some(before) = self.fragments.at_or_before(begin) {
            let before = before.tcp_cb().end_seq.get();
            if end <= before {
                return Outcome::Double(skb);
            }
            if offset < before {
                return Outcome::Spoils(skb, DropReason::FragOverlap);
            }
        }
        if let Some(after) = self.fragments.after(begin) {
            if after.tcp_cb().seq.get() < end {
                return Outcome::Spoils(skb, DropReason::FragOverlap);
            }
        }
        skb.pull(usize::from(header.header_len));
        let len = end.wrapping_sub(offset);
        if !skb.trim(len as usize) {
            return Outcome::Spoils(skb, DropReason::Nomem);
        }
        let cb = skb.tcp_cb_mut();
        (cb.seq, cb.end_seq) = (begin, SeqNum::new(end));
        let truesize = skb.truesize();
        if let Err(skb) = self.fragments.insert(skb) {
            return Outcome::Double(skb);
        }
        self.truesize = self.truesize.saturating_add(truesize);
        self.meat = self.meat.wrapping_add(len);
        self.len = self.len.max(end);
        self.ends |= !more;
        self.ecn |= 1 << (header.tos & 3);
        match self.ends && self.meat == self.len {
            true => Outcome::Whole,
            false => Outcome::Waits,
        }
    }

    /// The datagram, whose data begin with its IP header: that of the first fragment, with the length and the
    /// checksum of the whole.
    ///
    /// Errors: a datagram that is longer than one can be (the ping of death), or in which who marks congestion
    /// and who does not are mixed; no memory.
    ///
    /// Mirrors [`ip_frag_reasm`](srctree/net/ipv4/ip_fragment.c)
    pub fn join(mut self) -> Result<Skb, DropReason> {
        let ecn = joined_ecn(self.ecn).ok_or(DropReason::FragInvalid)?;
        let mut head = self.fragments.pop_first().ok_or(DropReason::FragInvalid)?;
        let header_len = header_len(&head);
        let len = (self.len as usize).saturating_add(header_len);
        if len > MAX_LEN {
            return Err(DropReason::FragInvalid);
        }
        let mut rest = SkbQueue::new();
        while let Some(skb) = self.fragments.pop_first() {
            rest.push_back(skb);
        }
        if !head.join_fragments(&mut rest) {
            return Err(DropReason::Nomem);
        }
        let header = head.push(header_len).ok_or(DropReason::Nomem)?;
        let mut put = |at: usize, to: [u8; 2]| {
            if let Some(field) = header.get_mut(at..at.wrapping_add(2)) {
                field.copy_from_slice(&to);
            }
        };
        put(2, (len as u16).to_be_bytes());
        put(6, [0, 0]);
        put(10, [0, 0]);
        if let Some(tos) = header.get_mut(1) {
            *tos |= ecn;
        }
        let sum = checksum::finish(checksum::partial(header, 0)).to_be_bytes();
        if let Some(field) = header.get_mut(10..12) {
            field.copy_from_slice(&sum);
        }
        Ok(head)
    }

    /// The fragment with the datagram's beginning, if it has come: its data begin with the IP header.
    pub fn into_first(mut self) -> Option<Skb> {
        let mut first = self.fragments.pop_first()?;
        let header_len = header_len(&first);
        (first.tcp_cb().seq.get() == 0 && first.push(header_len).is_some()).then_some(first)
    }
}

/// Bytes of the IP header that was pulled off.
fn header_len(skb: &Skb) -> usize {
    let first = skb.network_header().first().map_or(0, |b| *b);
    usize::from(first & 0xf) << 2
}

/// What the whole says of congestion, to be added to what the first fragment says; `None` if the fragments
/// must not be put together. `seen` has a bit for each of the four values.
///
/// RFC 3168, 5.3: one that experienced congestion tells for all, and none may be of another transport's kind.
/// Mirrors [`ip_frag_ecn_table`](srctree/net/ipv4/inet_fragment.c)
fn joined_ecn(seen: u8) -> Option<u8> {
    const NOT_ECT: u8 = 1 << 0;
    const CE: u8 = 1 << 3;
    match seen {
        s if s & NOT_ECT != 0 && s != NOT_ECT => None,
        s if s & CE != 0 => Some(3),
        _ => Some(0),
    }
}

#[cfg(test)]
mod tests;
