// SPDX-License-Identifier: GPL-2.0
//! What a routing daemon is asked: the header of the packet in question, disguised as a packet of IGMP's.
//!
//! Mirrors [`struct igmpmsg`](srctree/include/uapi/linux/mroute.h)

use crate::platform::{
    SkBuff,
    Skb, //
};
use crate::stack::wire::ipv4::HEADER_LEN;
use crate::stack::wire::put;

/// What is the matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Msg {
    /// Nobody has said where the packet goes (`IGMPMSG_NOCACHE`).
    Nocache = 1,
    /// It came in by a vif by which packets of the group go out (`IGMPMSG_WRONGVIF`).
    Wrongvif = 2,
}

/// Bytes of `struct igmphdr`.
const IGMP_LEN: usize = 8;

/// The question about a packet, whose data begin with its IP header of `header_len` bytes, and which came in by
/// `vif`. `None` when there is no memory.
///
/// Mirrors [`ipmr_cache_report`](srctree/net/ipv4/ipmr.c)
pub fn report(skb: &SkBuff, header_len: u8, vif: u8, msg: Msg) -> Option<Skb> {
    let from = skb.linear().get(..usize::from(header_len))?;
    let len = from.len().checked_add(IGMP_LEN)?;
    let mut out = Skb::alloc(0, len)?;
    let bytes = out.put(len)?;
    let (header, igmp) = bytes.split_at_mut_checked(from.len())?;
    header.copy_from_slice(from);
    igmp.fill(0);
    *igmp.first_mut()? = msg as u8;
    put(header.get_mut(2..4)?, (len as u16).to_be_bytes());
    // Protocol 0 tells the question from a packet. Type, zero and vif stand where TTL, protocol and checksum were.
    put(header.get_mut(8..HEADER_LEN)?, [msg as u8, 0, vif, 0]);
    out.reset_network_header();
    out.reset_transport_header();
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::{
        fail_alloc,
        Skb, //
    };

    #[test]
    fn report__is_an_igmpmsg() {
        let mut packet = [0; 40];
        packet[..24].copy_from_slice(&[
            0x46, 0x10, 0, 40, 1, 2, 0x40, 0, 9, 17, 0xab, 0xcd, 10, 0, 0, 1, 239, 0, 0, 9, 0x94,
            4, 0, 0,
        ]);
        let skb = Skb::from_bytes(&packet);
        let m = report(&skb, 24, 7, Msg::Wrongvif).unwrap();
        let want = [
            0x46, 0x10, 0, 32, 1, 2, 0x40, 0, 2, 0, 7, 0, 10, 0, 0, 1, 239, 0, 0, 9, 0x94, 4, 0, 0,
            2, 0, 0, 0, 0, 0, 0, 0,
        ];
        assert_eq!(m.bytes(), want);
        assert_eq!(m.network_header(), want);
        assert!(report(&skb, 44, 7, Msg::Nocache).is_none());
        fail_alloc(Some(0));
        assert!(report(&skb, 24, 7, Msg::Nocache).is_none());
        fail_alloc(None);
    }
}
