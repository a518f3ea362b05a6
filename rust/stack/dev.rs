// SPDX-License-Identifier: GPL-2.0
//! What the stack knows of a device, and the last header of a packet.
//!
//! A [`Link`] is a copy, made by glue when it is needed; devices themselves are the kernel's.

use super::drop_reason::DropReason;
use super::wire::ethernet;
use crate::platform::SkBuff;

/// Facts about a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub ifindex: i32,
    /// The largest packet, IP header included, in bytes.
    pub mtu: u32,
    /// Its own address.
    pub addr: ethernet::Addr,
    /// The address of all of its stations.
    pub broadcast: ethernet::Addr,
    /// Frames have a link header.
    pub has_header: bool,
    /// Nobody is asked for addresses there (`IFF_NOARP`, `IFF_LOOPBACK`).
    pub noarp: bool,
}

/// For whom a received frame was. The numbers are those of `skb->pkt_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PacketType {
    /// For this host.
    Host = 0,
    /// For everybody.
    Broadcast = 1,
    /// For a group.
    Multicast = 2,
    /// For somebody else: the device is promiscuous.
    Otherhost = 3,
    /// Sent by this host.
    Outgoing = 4,
}

impl PacketType {
    /// From `skb->pkt_type`; whatever else there is counts as sent by this host and is left alone.
    #[inline]
    pub const fn from_bits(bits: u8) -> PacketType {
        match bits {
            0 => PacketType::Host,
            1 => PacketType::Broadcast,
            2 => PacketType::Multicast,
            3 => PacketType::Otherhost,
            _ => PacketType::Outgoing,
        }
    }
}

/// Puts the Ethernet header in front of a packet whose data begin with the network header.
///
/// Mirrors [`eth_header`](srctree/net/ethernet/eth.c), [`neigh_hh_output`](srctree/include/net/neighbour.h)
#[inline]
pub fn hard_header(skb: &mut SkBuff, repr: &ethernet::Repr) -> Result<(), DropReason> {
    let header = skb
        .push(repr.buffer_len())
        .ok_or(DropReason::NeighHhFillfail)?;
    repr.emit(header);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Skb;
    use crate::stack::wire::ethernet::{
        Addr,
        EtherType,
        Packet,
        Repr, //
    };

    #[test]
    fn hard_header__in_front() {
        let repr = Repr {
            dst: Addr::BROADCAST,
            src: Addr([2, 0, 0, 0, 0, 1]),
            ethertype: EtherType::IPV4,
        };
        let mut skb = Skb::alloc(14, 3).unwrap();
        skb.put(3).unwrap().copy_from_slice(b"abc");
        hard_header(&mut skb, &repr).unwrap();
        let p = Packet::new_checked(skb.bytes()).unwrap();
        assert_eq!((Repr::parse(&p), p.payload()), (repr, &b"abc"[..]));
        assert_eq!(
            hard_header(&mut skb, &repr),
            Err(DropReason::NeighHhFillfail)
        );
    }

    #[test]
    fn from_bits__all() {
        for t in [
            PacketType::Host,
            PacketType::Broadcast,
            PacketType::Multicast,
            PacketType::Otherhost,
        ] {
            assert_eq!(PacketType::from_bits(t as u8), t);
        }
        assert_eq!(PacketType::from_bits(7), PacketType::Outgoing);
    }
}
