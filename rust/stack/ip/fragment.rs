// SPDX-License-Identifier: GPL-2.0
//! A packet that is longer than its way allows becomes fragments: RFC 791, 3.2.
//!
//! In: the packet, whose data begin with its IP header, and what the way lets pass. Out: its fragments, in order,
//! each a packet of its own. That nobody has forbidden it is the caller's to know.

use crate::platform::{
    AllocError,
    SkBuff,
    Skb, //
};
use crate::stack::wire::checksum;
use crate::stack::wire::ipv4::{
    DF,
    HEADER_LEN,
    MF,
    OFFSET, //
};

/// The longest IP header.
const MAX_HEADER_LEN: usize = 60;

/// The fragments of a packet that are still to be made.
///
/// Mirrors [`struct ip_frag_state`](srctree/include/net/ip.h)
pub struct Fragments<'a> {
    skb: &'a SkBuff,
    header: [u8; MAX_HEADER_LEN],
    header_len: usize,
    /// Bytes in front of each fragment, for the link's header.
    headroom: usize,
    /// The next byte to go, header included.
    at: usize,
    /// Bytes of payload that a fragment has at most.
    room: usize,
}

impl<'a> Fragments<'a> {
    /// Fragments of at most `mtu` bytes, IP header included, of a packet whose header is linear. `None` if it
    /// is no packet, or if the way has no room for eight bytes behind its header.
    ///
    /// Mirrors [`ip_frag_init`](srctree/net/ipv4/ip_output.c)
    pub fn new(skb: &'a SkBuff, mtu: u32, headroom: usize) -> Option<Self> {
        let linear = skb.linear();
        let header_len = usize::from(linear.first()? & 0xf) << 2;
        let from = linear.get(..header_len)?;
        let room = (mtu as usize).checked_sub(header_len)?;
        if header_len < HEADER_LEN || room < 8 {
            return None;
        }
        let mut header = [0; MAX_HEADER_LEN];
        header.get_mut(..header_len)?.copy_from_slice(from);
        Some(Fragments {
            skb,
            header,
            header_len,
            headroom,
            at: header_len,
            room,
        })
    }

    /// A 16-bit field of the packet's header.
    fn field(&self, at: usize) -> u16 {
        let bytes = self.header.get(at..).and_then(|b| b.first_chunk());
        bytes.map_or(0, |b| u16::from_be_bytes(*b))
    }

    /// Makes the fragment of the `len` bytes that are next.
    fn make(&mut self, len: usize) -> Result<Skb, AllocError> {
        let whole = self.header_len.wrapping_add(len);
        let mut fragment = Skb::alloc(self.headroom, whole).ok_or(AllocError)?;
        let bytes = fragment.put(whole).ok_or(AllocError)?;
        let (header, payload) = bytes
            .split_at_mut_checked(self.header_len)
            .ok_or(AllocError)?;
        if !self.skb.copy_bits(self.at, payload) {
            return Err(AllocError);
        }
        for (to, from) in header.iter_mut().zip(&self.header) {
            *to = *from;
        }
        let old = self.field(6);
        let done = self.at.wrapping_sub(self.header_len);
        let end = self.at.wrapping_add(len);
        // Behind a fragment that is cut further there are others.
        let more = end < self.skb.len() || old & MF != 0;
        let offset = (old & OFFSET).wrapping_add((done >> 3) as u16);
        let flags = old & !(OFFSET | MF | DF) | if more { MF } else { 0 };
        let mut put = |at: usize, to: u16| {
            if let Some(field) = header.get_mut(at..at.wrapping_add(2)) {
                field.copy_from_slice(&to.to_be_bytes());
            }
        };
        put(2, whole as u16);
        put(6, flags | offset & OFFSET);
        put(10, 0);
        let sum = checksum::finish(checksum::partial(header, 0));
        if let Some(field) = header.get_mut(10..12) {
            field.copy_from_slice(&sum.to_be_bytes());
        }
        fragment.reset_network_header();
        if done == 0 {
            keep_copied_options(self.header.get_mut(HEADER_LEN..self.header_len));
        }
        self.at = end;
        Ok(fragment)
    }
}

impl Iterator for Fragments<'_> {
    type Item = Result<Skb, AllocError>;

    /// The next fragment, whose data begin with its IP header.
    ///
    /// Mirrors [`ip_frag_next`](srctree/net/ipv4/ip_output.c)
    fn next(&mut self) -> Option<Self::Item> {
        let left = self.skb.len().checked_sub(self.at).filter(|n| *n != 0)?;
        // All but the last are a multiple of eight bytes long.
        let len = match left <= self.room {
            true => left,
            false => self.room & !7,
        };
        Some(self.make(len))
    }
}

/// Blanks the options that only the first fragment has: RFC 791, 3.1.
///
/// Mirrors [`ip_options_fragment`](srctree/net/ipv4/ip_options.c)
fn keep_copied_options(options: Option<&mut [u8]>) {
    const END: u8 = 0;
    const NOOP: u8 = 1;
    const COPIED: u8 = 0x80;
    let mut rest = options.unwrap_or(&mut []);
    while let Some(kind) = rest.first().copied() {
        let len = match (kind, rest.get(1)) {
            (END, _) => return,
            (NOOP, _) => 1,
            (_, Some(len)) if *len >= 2 => usize::from(*len),
            _ => return,
        };
        let Some((option, next)) = rest.split_at_mut_checked(len) else {
            return;
        };
        if kind & COPIED == 0 {
            option.fill(NOOP);
        }
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::{
        fail_alloc,
        Vec, //
    };
    use crate::stack::ip;
    use crate::stack::ip::reassembly::{
        Key,
        Outcome,
        Pieces, //
    };
    use crate::stack::time::Instant;
    use crate::stack::wire::ipv4::{
        Addr,
        Packet,
        Protocol,
        Repr, //
    };
    use proptest::prelude::*;

    fn packet(frag_off: u16, payload: &[u8]) -> Skb {
        let repr = Repr {
            saddr: Addr::new(10, 0, 0, 1),
            daddr: Addr::new(10, 0, 0, 2),
            protocol: Protocol::UDP,
            tos: 0x10,
            ttl: 9,
            id: 0xbeef,
            frag_off,
            payload_len: payload.len(),
        };
        let mut bytes = vec![0; 20];
        repr.emit(&mut bytes);
        bytes.extend_from_slice(payload);
        Skb::from_bytes(&bytes)
    }

    /// Offset in bytes, whether more follow, and length of the payload of each.
    fn cut(skb: &Skb, mtu: u32) -> Vec<(u16, bool, usize)> {
        Fragments::new(skb, mtu, 16)
            .expect("a packet")
            .map(|f| {
                let f = f.expect("memory");
                let p = Packet::new_checked(f.bytes()).expect("a good header");
                assert!(f.len() <= mtu as usize);
                let off = p.fields().frag_off();
                ((off & OFFSET) * 8, off & MF != 0, p.payload().len())
            })
            .collect()
    }

    #[test]
    fn next__all_but_the_last_on_eight_bytes() {
        let skb = packet(0, &[7; 100]);
        let want = [(0, true, 40), (40, true, 40), (80, false, 20)];
        assert_eq!(cut(&skb, 67), want);
        assert_eq!(cut(&skb, 120), [(0, false, 100)]);
        assert_eq!(cut(&skb, 119), [(0, true, 96), (96, false, 4)]);
    }

    #[test]
    fn next__a_fragment_is_cut_further() {
        let middle = packet(MF | 10, &[7; 24]);
        assert_eq!(cut(&middle, 36), [(80, true, 16), (96, true, 8)]);
        let last = packet(10, &[7; 20]);
        assert_eq!(cut(&last, 36), [(80, true, 16), (96, false, 4)]);
    }

    #[test]
    fn next__options_that_are_not_copied_go_with_the_first() {
        // Record route, which is not, then stream identifier, which is.
        let options = [7, 7, 4, 0, 0, 0, 0, 0x88, 4, 1, 2, 0];
        let mut bytes = packet(0, &[]).bytes().to_vec();
        bytes[0] = 0x48;
        bytes.extend_from_slice(&options);
        bytes.extend_from_slice(&[9; 40]);
        let skb = Skb::from_bytes(&bytes);
        let all: Vec<_> = Fragments::new(&skb, 56, 0)
            .expect("a packet")
            .map(|f| f.expect("memory").bytes()[20..32].to_vec())
            .collect();
        let later = vec![1, 1, 1, 1, 1, 1, 1, 0x88, 4, 1, 2, 0];
        assert_eq!(all, [options.to_vec(), later]);
    }

    #[test]
    fn new__no_room() {
        let skb = packet(0, &[7; 100]);
        assert!(Fragments::new(&skb, 27, 0).is_none());
        assert!(Fragments::new(&Skb::from_bytes(&[0x4f; 30]), 1500, 0).is_none());
        assert!(Fragments::new(&Skb::from_bytes(&[]), 1500, 0).is_none());
    }

    #[test]
    fn next__no_memory() {
        let skb = packet(0, &[7; 100]);
        let mut all = Fragments::new(&skb, 68, 0).expect("a packet");
        assert!(all.next().is_some_and(|f| f.is_ok()));
        fail_alloc(Some(0));
        assert!(all.next().is_some_and(|f| f.is_err()));
        fail_alloc(None);
    }

    proptest! {
        /// What was cut, and cut again on a narrower way, comes together as it was.
        #[test]
        fn next__comes_together_again(
            payload in proptest::collection::vec(any::<u8>(), 1..3000),
            wide in 68u32..1500,
            narrow in 68u32..1500,
        ) {
            let skb = packet(0, &payload);
            let mut pieces: Option<Pieces> = None;
            let mut whole = false;
            for first in Fragments::new(&skb, wide, 0).expect("a packet") {
                let first = first.expect("memory");
                for second in Fragments::new(&first, narrow, 0).expect("a packet") {
                    let mut second = second.expect("memory");
                    prop_assert!(!whole);
                    let header = ip::rcv(&mut second, |_| ()).expect("a good header");
                    if !header.is_fragment() {
                        prop_assert_eq!(&second.bytes()[20..], &payload[..]);
                        return Ok(());
                    }
                    let p = pieces.get_or_insert_with(|| Pieces::new(Key::of(&header), Instant::ZERO));
                    whole = matches!(p.insert(second, &header), Outcome::Whole);
                }
            }
            prop_assert!(whole);
            let joined = pieces.take().expect("pieces").join().expect("complete");
            prop_assert_eq!(joined.bytes(), skb.bytes());
        }
    }
}
