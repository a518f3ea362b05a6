// SPDX-License-Identifier: GPL-2.0
//! The user's bytes get their header.

use crate::platform::SkBuff;
use crate::stack::errno::Errno;
use crate::stack::socket::FourTuple;
use crate::stack::wire::checksum;
use crate::stack::wire::ipv4::{
    self,
    Protocol, //
};
use crate::stack::wire::udp::{
    Repr,
    HEADER_LEN, //
};

/// The most bytes of data in a datagram over IPv4.
pub const MAX_DATA: usize = ipv4::MAX_LEN - ipv4::HEADER_LEN - HEADER_LEN;

/// Where the checksum field begins, in bytes from the header's start.
const CHECK_OFFSET: u16 = 6;

/// Puts the UDP header in front of the data of `skb` and leaves the checksum to the device, or to the
/// device layer if the device makes none. `checksum`: false with `SO_NO_CHECK`.
///
/// Mirrors [`udp_send_skb`](srctree/net/ipv4/udp.c)
///
/// Errors: EMSGSIZE for more than [`MAX_DATA`] bytes; ENOBUFS without headroom.
#[inline]
pub fn send_skb(skb: &mut SkBuff, id: FourTuple, checksum: bool) -> Result<(), Errno> {
    let payload_len = skb.len();
    if payload_len > MAX_DATA {
        return Err(Errno::EMSGSIZE);
    }
    let repr = Repr {
        source: id.sport,
        dest: id.dport,
        // At most MAX_DATA: fits.
        payload_len: payload_len as u16,
    };
    let header = skb.push(HEADER_LEN).ok_or(Errno::ENOBUFS)?;
    if checksum {
        // CHECKSUM_PARTIAL: the field holds the sum of the pseudo-header, the device adds the rest.
        let len = payload_len.wrapping_add(HEADER_LEN) as u32;
        let pseudo = checksum::pseudo_header(id.saddr, id.daddr, Protocol::UDP.0, len);
        repr.emit(header, checksum::fold(pseudo) as u16);
    } else {
        repr.emit(header, 0);
    }
    // First of all: where the sum begins is told from here.
    skb.reset_transport_header();
    if checksum {
        skb.set_csum_partial(CHECK_OFFSET);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Skb;
    use crate::stack::wire::ipv4::Addr;
    use crate::stack::wire::udp::Packet;

    const ID: FourTuple = FourTuple {
        saddr: Addr::new(10, 0, 0, 1),
        daddr: Addr::new(10, 0, 0, 2),
        sport: 1000,
        dport: 53,
    };

    fn skb(data: &[u8]) -> Skb {
        let mut skb = Skb::alloc(64, data.len()).unwrap();
        skb.put(data.len()).unwrap().copy_from_slice(data);
        skb
    }

    #[test]
    fn send_skb__partial_checksum_completes() {
        let mut skb = skb(b"query");
        send_skb(&mut skb, ID, true).unwrap();
        let mut bytes = skb.bytes().to_vec();
        // What the device does: sum from the header on, store the complement.
        let c = crate::stack::wire::udp::finish_checksum(checksum::partial(&bytes, 0));
        bytes[6..8].copy_from_slice(&c.to_be_bytes());
        let p = Packet::new_checked(&bytes).unwrap();
        assert!(p.verify_checksum(ID.saddr, ID.daddr));
        assert_eq!(p.payload(), b"query");
    }

    #[test]
    fn send_skb__no_checksum() {
        let mut skb = skb(b"query");
        send_skb(&mut skb, ID, false).unwrap();
        assert_eq!(
            Packet::new_checked(skb.bytes()).unwrap().fields().check(),
            0
        );
    }

    #[test]
    fn send_skb__too_long() {
        assert_eq!(
            send_skb(&mut skb(&vec![0; 65_508]), ID, true),
            Err(Errno::EMSGSIZE)
        );
        assert_eq!(send_skb(&mut skb(&vec![0; 65_507]), ID, true), Ok(()));
    }

    #[test]
    fn send_skb__empty_datagram() {
        let mut skb = skb(b"");
        send_skb(&mut skb, ID, true).unwrap();
        assert_eq!(skb.len(), 8);
    }
}
