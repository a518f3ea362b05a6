// SPDX-License-Identifier: GPL-2.0
//! A packet of ours: its header, in place, and its identification.
//!
//! Context: softirq or process; nothing here sleeps or allocates.

use crate::platform::{
    AllocError,
    Array,
    SkBuff, //
};
use crate::stack::drop_reason::DropReason;
use crate::stack::socket::siphash::{
    siphash24_u64x2,
    Key, //
};
use crate::stack::wire::checksum;
use crate::stack::wire::ipv4::{
    Addr,
    Protocol,
    Repr,
    DF,
    HEADER_LEN, //
};
use core::sync::atomic::{
    AtomicU32,
    Ordering, //
};

/// Time to live of a packet whose socket names none: RFC 1700's 64 (`IPDEFTTL`).
pub const DEFAULT_TTL: u8 = 64;

/// What a transport says of a packet that it hands down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Xmit {
    /// Source address.
    pub saddr: Addr,
    /// Destination address.
    pub daddr: Addr,
    /// The transport.
    pub protocol: Protocol,
    /// Type of service: DSCP and ECN.
    pub tos: u8,
    /// Time to live: 1 to 255.
    pub ttl: u8,
    /// No router may fragment the packet.
    pub dont_fragment: bool,
    /// Identification: a connected socket counts its own packets from a random number on, so that it
    /// tells nothing of others; for the rest see [`Idents`].
    pub id: u16,
}

/// Puts the IP header in front of a packet whose data begin with the transport header, and sets the
/// network header. The packet needs twenty bytes of headroom, which every packet of this stack has.
///
/// Mirrors [`__ip_queue_xmit`](srctree/net/ipv4/ip_output.c)
#[inline]
pub fn queue_xmit(skb: &mut SkBuff, x: &Xmit) -> Result<(), DropReason> {
    let payload_len = skb.len();
    if payload_len > crate::stack::wire::ipv4::MAX_LEN - HEADER_LEN {
        return Err(DropReason::PktTooBig);
    }
    let repr = Repr {
        saddr: x.saddr,
        daddr: x.daddr,
        protocol: x.protocol,
        tos: x.tos,
        ttl: x.ttl,
        id: x.id,
        frag_off: if x.dont_fragment { DF } else { 0 },
        payload_len,
    };
    let header = skb.push(HEADER_LEN).ok_or(DropReason::Nomem)?;
    repr.emit(header);
    skb.reset_network_header();
    Ok(())
}

/// The same with options, a multiple of four bytes and at most 40, of which the packet's headroom must have room, too.
pub fn queue_xmit_options(skb: &mut SkBuff, x: &Xmit, options: &[u8]) -> Result<(), DropReason> {
    let room = skb
        .push(options.len())
        .and_then(|b| b.get_mut(..options.len()))
        .ok_or(DropReason::Nomem)?;
    room.copy_from_slice(options);
    queue_xmit(skb, x)?;
    let header_len = HEADER_LEN.wrapping_add(options.len());
    let header = skb
        .writable(header_len)
        .and_then(|b| b.get_mut(..header_len))
        .ok_or(DropReason::Nomem)?;
    if let Some(first) = header.first_mut() {
        *first = 0x40 | (header_len >> 2) as u8;
    }
    send_check(header);
    Ok(())
}

/// Makes the checksum of a header anew.
///
/// Mirrors [`ip_send_check`](srctree/net/ipv4/ip_output.c)
pub fn send_check(header: &mut [u8]) {
    if let Some(field) = header.get_mut(10..12) {
        field.fill(0);
    }
    let sum = checksum::finish(checksum::partial(header, 0)).to_be_bytes();
    if let Some(field) = header.get_mut(10..12) {
        field.copy_from_slice(&sum);
    }
}

/// Completes a header that a user wrote at the beginning of the packet's data: source and identification
/// where he left them zero, length and checksum in any case. Sets the network and the transport header.
///
/// Mirrors [`raw_send_hdrinc`](srctree/net/ipv4/raw.c)
pub fn complete(skb: &mut SkBuff, saddr: Addr, id: u16) -> Result<(), DropReason> {
    let len = skb.len();
    let first = skb.linear().first().ok_or(DropReason::IpInHdr)?;
    let header_len = usize::from(first & 0xf) << 2;
    if header_len < HEADER_LEN || header_len > len {
        return Err(DropReason::IpInHdr);
    }
    let total = u16::try_from(len).map_err(|_| DropReason::PktTooBig)?;
    let header = skb
        .writable(header_len)
        .and_then(|b| b.get_mut(..header_len))
        .ok_or(DropReason::Nomem)?;
    let mut put = |at: usize, bytes: &[u8], always: bool| {
        if let Some(to) = header.get_mut(at..at.wrapping_add(bytes.len())) {
            if always || to.iter().all(|b| *b == 0) {
                to.copy_from_slice(bytes);
            }
        }
    };
    put(2, &total.to_be_bytes(), true);
    put(4, &id.to_be_bytes(), false);
    put(12, &saddr.octets(), false);
    send_check(header);
    skb.reset_network_header();
    skb.pull(header_len);
    skb.reset_transport_header();
    skb.push(header_len).ok_or(DropReason::Nomem)?;
    Ok(())
}

/// Identifications of packets without a connected socket.
///
/// Mirrors [`__ip_select_ident`](srctree/net/ipv4/route.c)
///
/// RFC 6864, 4.1: only a packet that may be fragmented needs one, and then one that is not repeated
/// soon between the same two hosts. One counter for all would tell everybody how much is sent (RFC
/// 7739, 3), so a keyed hash of the addresses picks one of many counters and, with other bits, an
/// offset to it.
#[derive(Debug)]
pub struct Idents {
    key: Key,
    /// A power of two of counters.
    counters: Array<AtomicU32>,
}

impl Idents {
    /// 2^`order` counters. Process context, may sleep.
    pub fn try_new(order: u32, key: Key) -> Result<Self, AllocError> {
        let len = 1usize.checked_shl(order.min(20)).unwrap_or(1);
        let counters = Array::try_from_fn_sleeping(len, |_| AtomicU32::new(0))?;
        Ok(Idents { key, counters })
    }

    /// The identification of the next `segs` packets from `saddr` to `daddr`; 0 for what may not be
    /// fragmented.
    #[inline]
    pub fn select(&self, x: &Xmit, segs: u16) -> u16 {
        if x.dont_fragment {
            return 0;
        }
        let addrs = (u64::from(x.saddr.to_u32()) << 32) | u64::from(x.daddr.to_u32());
        let hash = siphash24_u64x2(addrs, u64::from(x.protocol.0), &self.key);
        let index = hash as usize & self.counters.len().wrapping_sub(1);
        let counted = self
            .counters
            .get(index)
            .map_or(0, |c| c.fetch_add(u32::from(segs), Ordering::Relaxed));
        (counted as u16).wrapping_add((hash >> 48) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Skb;
    use crate::stack::wire::ipv4::Packet;

    const XMIT: Xmit = Xmit {
        saddr: Addr::new(10, 0, 0, 1),
        daddr: Addr::new(10, 0, 0, 2),
        protocol: Protocol::UDP,
        tos: 0,
        ttl: DEFAULT_TTL,
        dont_fragment: true,
        id: 9,
    };

    fn skb(headroom: usize, payload: &[u8]) -> Skb {
        let mut skb = Skb::alloc(headroom, payload.len()).unwrap();
        skb.put(payload.len()).unwrap().copy_from_slice(payload);
        skb
    }

    /// A header as a user of IP_HDRINCL writes it, and eight bytes of payload.
    fn written(first: u8) -> Skb {
        let mut bytes = [0; 28];
        (bytes[0], bytes[8], bytes[9]) = (first, 9, 17);
        bytes[16..20].copy_from_slice(&[10, 0, 0, 2]);
        Skb::from_bytes(&bytes)
    }

    #[test]
    fn complete__fills_what_the_user_left_out() {
        let mut skb = written(0x45);
        complete(&mut skb, XMIT.saddr, 77).unwrap();
        let packet = Packet::new_checked(skb.bytes()).expect("a good header");
        let f = packet.fields();
        assert_eq!((f.saddr(), f.daddr(), f.id()), (XMIT.saddr, XMIT.daddr, 77));
        assert_eq!(
            checksum::finish(checksum::partial(&skb.bytes()[..20], 0)),
            0
        );
    }

    #[test]
    fn complete__refuses_a_header_that_ends_behind_the_packet() {
        for first in [0x40, 0x44, 0x48, 0x4f] {
            let mut skb = written(first);
            assert_eq!(complete(&mut skb, XMIT.saddr, 1), Err(DropReason::IpInHdr));
        }
    }

    #[test]
    fn queue_xmit__fills_a_header_that_rcv_accepts() {
        let mut skb = skb(64, b"payload");
        queue_xmit(&mut skb, &XMIT).unwrap();
        let p = Packet::new_checked(skb.bytes()).unwrap();
        assert_eq!(p.payload(), b"payload");
        assert_eq!(p.fields().frag_off(), DF);
        let h = crate::stack::ip::rcv(&mut skb, |_| ()).unwrap();
        assert_eq!(
            (h.saddr, h.daddr, h.id, h.ttl),
            (XMIT.saddr, XMIT.daddr, 9, 64)
        );
    }

    #[test]
    fn queue_xmit_options__a_header_that_rcv_accepts() {
        let mut skb = skb(64, b"payload");
        let options = [7, 7, 4, 0, 0, 0, 0, 0];
        queue_xmit_options(&mut skb, &XMIT, &options).unwrap();
        let h = crate::stack::ip::rcv(&mut skb, |_| ()).unwrap();
        assert_eq!((h.header_len, h.len), (28, 35));
        let p = Packet::new_checked(skb.bytes()).unwrap();
        assert_eq!((p.options(), p.payload()), (&options[..], &b"payload"[..]));
    }

    #[test]
    fn queue_xmit__no_headroom() {
        assert_eq!(
            queue_xmit(&mut skb(19, b"x"), &XMIT),
            Err(DropReason::Nomem)
        );
    }

    #[test]
    fn queue_xmit__the_largest_packet() {
        let big = vec![0; 65_515];
        assert_eq!(queue_xmit(&mut skb(20, &big), &XMIT), Ok(()));
        let big = vec![0; 65_516];
        assert_eq!(
            queue_xmit(&mut skb(20, &big), &XMIT),
            Err(DropReason::PktTooBig)
        );
    }

    #[test]
    fn select__zero_where_nobody_may_fragment() {
        let ids = Idents::try_new(8, Key([3, 4])).unwrap();
        assert_eq!(ids.select(&XMIT, 1), 0);
    }

    #[test]
    fn select__counts_per_pair_of_hosts() {
        let ids = Idents::try_new(8, Key([3, 4])).unwrap();
        let a = Xmit {
            dont_fragment: false,
            ..XMIT
        };
        let first = ids.select(&a, 2);
        assert_eq!(ids.select(&a, 1), first.wrapping_add(2));
        // Another destination begins elsewhere.
        let b = Xmit {
            daddr: Addr::new(10, 0, 0, 3),
            ..a
        };
        assert_ne!(ids.select(&b, 1), first.wrapping_add(3));
    }
}
