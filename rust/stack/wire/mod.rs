// SPDX-License-Identifier: GPL-2.0
//! Bytes to values and back, one file a header.
//!
//! Each file has a view, `Packet<'a>`, and a value, `Repr`, with the same verbs:
//!
//! * `Packet::new_checked(bytes)` is the only way from untrusted bytes. It checks every length the
//!   header states and splits the bytes into arrays and slices, so that afterwards each accessor is
//!   total by construction: none of them indexes, none can panic, and nothing that happens to the
//!   packet later can invalidate the check, for the view borrows the bytes.
//! * `Repr::parse(&packet)` reads the fields that have a meaning here.
//! * `Repr::buffer_len()` says how many bytes `Repr::emit` fills: exactly that many.
//! * `Repr::emit(&mut bytes)` writes them. A buffer that is too short is left alone and `false`
//!   comes back.
//!
//! Malformed input gives a named [`DropReason`](super::drop_reason::DropReason).

pub mod checksum;

/// Writes a field to the front of `out` and returns what is left; of a field that does not fit, nothing
/// is written and nothing is left. Into a buffer of known length these are plain stores.
#[inline]
pub fn put<const N: usize>(out: &mut [u8], field: [u8; N]) -> &mut [u8] {
    match out.split_first_chunk_mut::<N>() {
        Some((slot, rest)) => {
            *slot = field;
            rest
        }
        None => &mut [],
    }
}

pub mod ethernet;

pub mod arp;

pub mod ipv4;

pub mod icmp;

pub mod igmp;

pub mod udp;

pub mod tcp;
