// SPDX-License-Identifier: GPL-2.0
//! A packet from a device: every check that its header must pass.
//!
//! Context: softirq or process, under the read lock of RCU, no other lock held.

use super::options;
use crate::platform::SkBuff;
use crate::stack::counters::Counter;
use crate::stack::drop_reason::DropReason;
use crate::stack::wire::checksum;
use crate::stack::wire::ipv4::{
    Addr,
    Fields,
    Protocol,
    HEADER_LEN, //
};

/// What is known of a packet whose header was found to be good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Source address.
    pub saddr: Addr,
    /// Destination address.
    pub daddr: Addr,
    /// Protocol of the payload.
    pub protocol: Protocol,
    /// Type of service: DSCP and ECN.
    pub tos: u8,
    /// Time to live.
    pub ttl: u8,
    /// Bytes of the header, options included: 20 to 60.
    pub header_len: u8,
    /// Bytes of the packet, header included.
    pub len: u16,
    /// Identification.
    pub id: u16,
    /// The fragment word, [`DF`](crate::stack::wire::ipv4::DF) and so on.
    pub frag_off: u16,
}

impl Header {
    /// The fields of a header that is known to be sound.
    #[inline]
    fn new(f: &Fields, len: u16) -> Header {
        Header {
            saddr: f.saddr(),
            daddr: f.daddr(),
            protocol: f.protocol(),
            tos: f.tos(),
            ttl: f.ttl(),
            header_len: f.header_len() as u8,
            len,
            id: f.id(),
            frag_off: f.frag_off(),
        }
    }

    /// Whether the packet is a piece of a datagram.
    #[inline]
    pub const fn is_fragment(&self) -> bool {
        self.frag_off & (crate::stack::wire::ipv4::MF | crate::stack::wire::ipv4::OFFSET) != 0
    }

    /// Bytes behind the header.
    #[inline]
    pub const fn payload_len(&self) -> u16 {
        self.len.saturating_sub(self.header_len as u16)
    }
}

/// Checks the header of a packet whose data begin with it, cuts off what the link padded, and sets the
/// network header. The data still begin with the header afterwards; [`deliver_finish`] removes it.
/// Counts what is wrong; that a packet came at all is counted by whoever saw it first.
///
/// Mirrors [`ip_rcv_core`](srctree/net/ipv4/ip_input.c)
#[inline]
pub fn rcv(skb: &mut SkBuff, mut count: impl FnMut(Counter)) -> Result<Header, DropReason> {
    let result = rcv_core(skb);
    if let Err(reason) = result {
        count(match reason {
            DropReason::PktTooSmall => Counter::IpInTruncatedPkts,
            DropReason::Nomem => Counter::IpInDiscards,
            _ => Counter::IpInHdrErrors,
        });
        if reason == DropReason::IpCsum {
            count(Counter::IpInCsumErrors);
        }
    }
    result
}

/// The header of a packet whose data begin with it, where somebody has made the checks of [`rcv`] and set the
/// network header.
///
/// # Errors
///
/// [`DropReason::IpInHdr`] when there is no header of version 4 after all.
#[inline]
pub fn checked(skb: &mut SkBuff) -> Result<Header, DropReason> {
    let len = skb.len().min(usize::from(u16::MAX)) as u16;
    let header = skb
        .may_pull(HEADER_LEN)
        .and_then(|b| b.first_chunk::<HEADER_LEN>())
        .ok_or(DropReason::IpInHdr)?;
    Ok(Header::new(&Fields::new_checked(header)?, len))
}

/// The checks, in the order of RFC 1122, 3.2.1: length, version, checksum, total length.
#[inline]
fn rcv_core(skb: &mut SkBuff) -> Result<Header, DropReason> {
    let have = skb.len();
    let header = skb
        .may_pull(HEADER_LEN)
        .and_then(|b| b.first_chunk::<HEADER_LEN>())
        .ok_or(DropReason::IpInHdr)?;
    let fields = Fields::new_checked(header)?;
    if fields.options_len() == 0 {
        if checksum::ip_fast_csum(header) != 0 {
            return Err(DropReason::IpCsum);
        }
    } else {
        check_options(skb, &fields)?;
    }
    let len = fields.check_total_len(have)?;
    if have > len && !skb.trim(len) {
        return Err(DropReason::Nomem);
    }
    skb.reset_network_header();
    // `len` came out of a field of 16 bits.
    Ok(Header::new(&fields, len as u16))
}

/// The checks of a header with options.
///
/// Mirrors [`ip_rcv_options`](srctree/net/ipv4/ip_input.c)
#[cold]
fn check_options(skb: &mut SkBuff, fields: &Fields) -> Result<(), DropReason> {
    let header = skb
        .may_pull(fields.header_len())
        .ok_or(DropReason::IpInHdr)?;
    // A pull may give more than was asked for.
    let header = header
        .get(..fields.header_len())
        .ok_or(DropReason::IpInHdr)?;
    if checksum::finish(checksum::partial(header, 0)) != 0 {
        return Err(DropReason::IpCsum);
    }
    let options = header.get(HEADER_LEN..).ok_or(DropReason::IpInHdr)?;
    match options::compile(options) {
        Ok(found) => found.check(),
        Err(_) => Err(DropReason::IpInHdr),
    }
}

/// Removes the IP header: the data then begin with the transport header.
///
/// Mirrors [`ip_local_deliver_finish`](srctree/net/ipv4/ip_input.c)
#[inline]
pub fn deliver_finish(skb: &mut SkBuff, header: &Header) {
    skb.clear_delivery_time();
    skb.pull(usize::from(header.header_len));
    skb.reset_transport_header();
}

/// Drops addresses that no packet from a wire may carry. Not asked for packets of the loopback device,
/// where they are at home.
///
/// Mirrors [`ip_route_input_slow`](srctree/net/ipv4/route.c)
///
/// RFC 1122, 3.2.1.3: a source must not be a group, a broadcast, or zero but for a host that has no
/// address yet and speaks to all of its link (DHCP); 127/8 must not appear outside a host.
#[inline]
pub fn check_martian(saddr: Addr, daddr: Addr) -> Result<(), DropReason> {
    if saddr.is_multicast() || saddr.is_broadcast() {
        return Err(DropReason::IpInvalidSource);
    }
    if daddr.is_broadcast() || (saddr.is_any() && daddr.is_any()) {
        return Ok(());
    }
    if saddr.is_zeronet() {
        return Err(DropReason::IpInvalidSource);
    }
    if daddr.is_zeronet() {
        return Err(DropReason::IpInvalidDest);
    }
    if daddr.is_loopback() || saddr.is_loopback() {
        return Err(DropReason::IpLocalnet);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
