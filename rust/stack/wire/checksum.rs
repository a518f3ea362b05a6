// SPDX-License-Identifier: GPL-2.0
//! The Internet checksum: RFC 1071, with the incremental update of RFC 1624.
//!
//! A partial sum is a `u32` of 16-bit words read as big-endian, in which the carries have not been
//! folded in yet; seeds and results of [`partial`] chain, as long as every piece but the last has an
//! even length. What [`finish`] returns is what a header field holds after `to_be_bytes`.
//!
//! Mirrors [`csum_partial`, `csum_fold`](srctree/include/net/checksum.h)

use super::ipv4::Addr;

/// Adds the bytes of `data` to the sum `seed` and returns the new partial sum.
///
/// Mirrors [`csum_partial`](srctree/lib/checksum.c)
///
/// The loop takes eight bytes a step: RFC 1071, 2(B) and 2(C), one's complement addition does not
/// care about byte order nor about the width of the words, so the sum is made in 64 bits of the
/// machine's own byte order with the carry added back, and turned around once at the end.
#[inline]
pub fn partial(data: &[u8], seed: u32) -> u32 {
    let mut chunks = data.chunks_exact(8);
    let mut sum: u64 = 0;
    for c in &mut chunks {
        if let Some(w) = c.first_chunk::<8>() {
            sum = add64(sum, u64::from_ne_bytes(*w));
        }
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        let mut last = [0u8; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        sum = add64(sum, u64::from_ne_bytes(last));
    }
    add(seed, u32::from(u16::from_be(fold64(sum))))
}

/// One's complement sum of 64-bit words.
#[inline]
const fn add64(a: u64, b: u64) -> u64 {
    let (sum, carry) = a.overflowing_add(b);
    // A sum that carried is at most 2^64 - 2, so this one cannot.
    sum.wrapping_add(carry as u64)
}

/// Folds a sum of 64-bit words into 16 bits.
#[inline]
const fn fold64(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    fold(sum as u32) as u16
}

/// The one's complement sum of two partial sums.
///
/// Mirrors [`csum_add`](srctree/include/net/checksum.h)
#[inline]
pub const fn add(a: u32, b: u32) -> u32 {
    let (sum, carry) = a.overflowing_add(b);
    sum.wrapping_add(carry as u32)
}

/// Folds the carries of a partial sum into its lower 16 bits: 0 to 0xffff, not complemented.
/// Bytes that include their checksum are intact if the fold of all of them is 0xffff.
#[inline]
pub const fn fold(sum: u32) -> u32 {
    let sum = (sum & 0xffff) + (sum >> 16);
    (sum & 0xffff) + (sum >> 16)
}

/// The checksum field that a partial sum leads to: folded and complemented.
///
/// Mirrors [`csum_fold`](srctree/include/asm-generic/checksum.h)
#[inline]
pub const fn finish(sum: u32) -> u16 {
    !(fold(sum) as u16)
}

/// The partial sum of the IPv4 pseudo-header; `len` is that of transport header and data, in bytes.
///
/// Mirrors [`csum_tcpudp_nofold`](srctree/lib/checksum.c)
///
/// RFC 9293, 3.1 and RFC 768: source address, destination address, zero, protocol, length.
#[inline]
pub const fn pseudo_header(saddr: Addr, daddr: Addr, proto: u8, len: u32) -> u32 {
    let (s, d) = (saddr.to_u32(), daddr.to_u32());
    // Seven numbers of at most 16 bits: far from overflow.
    (s >> 16)
        + (s & 0xffff)
        + (d >> 16)
        + (d & 0xffff)
        + proto as u32
        + (len >> 16)
        + (len & 0xffff)
}

/// The checksum of an IPv4 header without options: what belongs into its checksum field if that is
/// zero now, and zero if the field is filled and right.
///
/// Mirrors [`ip_fast_csum`](srctree/lib/checksum.c)
#[inline]
pub fn ip_fast_csum(header: &[u8; 20]) -> u16 {
    let mut sum: u64 = 0;
    for c in header.chunks_exact(4) {
        if let Some(w) = c.first_chunk::<4>() {
            // Five words of 32 bits: no carry out of 64.
            sum = sum.wrapping_add(u64::from(u32::from_ne_bytes(*w)));
        }
    }
    !u16::from_be(fold64(sum))
}

/// The checksum field after a 16-bit word that it covers changed from `old` to `new`.
///
/// Mirrors [`csum_replace2`](srctree/include/net/checksum.h)
///
/// RFC 1624, 3 (equation 3): HC' = ~(~HC + ~m + m').
#[inline]
pub const fn replace2(check: u16, old: u16, new: u16) -> u16 {
    finish(!check as u32 + !old as u32 + new as u32)
}

/// The same for a 32-bit word, such as an address.
///
/// Mirrors [`csum_replace4`](srctree/include/net/checksum.h)
#[inline]
pub const fn replace4(check: u16, old: u32, new: u32) -> u16 {
    let check = replace2(check, (old >> 16) as u16, (new >> 16) as u16);
    replace2(check, old as u16, new as u16)
}

#[cfg(test)]
mod tests;
