// SPDX-License-Identifier: GPL-2.0
//! What the stack knows of a device, and of how a frame came to it.
//!
//! A [`Link`] is a copy, made by glue when it is needed; devices themselves are the kernel's.

use super::wire::ethernet;

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

#[cfg(test)]
mod tests {
    use super::*;

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
