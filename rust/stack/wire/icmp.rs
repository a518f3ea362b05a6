// SPDX-License-Identifier: GPL-2.0
//! ICMP headers (RFC 792).
//!
//! What the check covers: eight bytes are there. Whether type and code mean anything, and whether the
//! checksum is right, are separate steps in the order of `icmp_rcv`.
//!
//! Mirrors [`struct icmphdr`](srctree/include/uapi/linux/icmp.h)

use super::super::drop_reason::DropReason;
use super::checksum;

/// Bytes of an ICMP header.
pub const HEADER_LEN: usize = 8;

/// What kind of message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Type(pub u8);

impl Type {
    /// Answer to an echo request.
    pub const ECHO_REPLY: Type = Type(0);
    /// A packet could not be delivered; the code says why.
    pub const DEST_UNREACH: Type = Type(3);
    /// Slow down: obsolete (RFC 6633), ignored.
    pub const SOURCE_QUENCH: Type = Type(4);
    /// There is a better gateway.
    pub const REDIRECT: Type = Type(5);
    /// Please answer.
    pub const ECHO: Type = Type(8);
    /// Time to live, or the time for reassembly, ran out.
    pub const TIME_EXCEEDED: Type = Type(11);
    /// The header of a packet was wrong at some byte.
    pub const PARAMETER_PROB: Type = Type(12);
    /// What time is it?
    pub const TIMESTAMP: Type = Type(13);
    /// It is so late.
    pub const TIMESTAMP_REPLY: Type = Type(14);

    /// Whether the message reports an error and quotes the packet that caused it.
    ///
    /// RFC 1122, 3.2.2: errors are destination unreachable, redirect, source quench, time exceeded
    /// and parameter problem; nothing may be sent in answer to one.
    #[inline]
    pub const fn is_error(self) -> bool {
        matches!(self.0, 3 | 4 | 5 | 11 | 12)
    }
}

/// Codes of [`Type::DEST_UNREACH`].
pub mod unreach {
    /// Network unreachable.
    pub const NET: u8 = 0;
    /// Host unreachable.
    pub const HOST: u8 = 1;
    /// Protocol unreachable.
    pub const PROTOCOL: u8 = 2;
    /// Port unreachable.
    pub const PORT: u8 = 3;
    /// Fragmentation needed, but not allowed.
    pub const FRAG_NEEDED: u8 = 4;
    /// Source route failed.
    pub const SR_FAILED: u8 = 5;
    /// Communication administratively prohibited.
    pub const PKT_FILTERED: u8 = 13;
    /// The highest code.
    pub const MAX: u8 = 15;
}

/// Codes of [`Type::REDIRECT`].
pub mod redirect {
    /// For one host.
    pub const HOST: u8 = 1;
    /// The highest code: for a host and a type of service.
    pub const MAX: u8 = 3;
}

/// A view of a message.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    header: &'a [u8; HEADER_LEN],
    payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Checks that the header is whole.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, DropReason> {
        match bytes.split_first_chunk() {
            Some((header, payload)) => Ok(Packet { header, payload }),
            None => Err(DropReason::PktTooSmall),
        }
    }

    /// The bytes behind the header: for an error, the quoted packet; for an echo, its data.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Whether the checksum, over the whole message, is right.
    pub fn verify_checksum(&self) -> bool {
        checksum::fold(checksum::partial(
            self.payload,
            checksum::partial(self.header, 0),
        )) == 0xffff
    }
}

/// An ICMP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// What kind of message it is.
    pub kind: Type,
    /// Which of the kind.
    pub code: u8,
    /// The second word: identifier and sequence number of an echo, gateway of a redirect, MTU of
    /// "fragmentation needed", pointer of a parameter problem.
    pub rest: [u8; 4],
}

impl Repr {
    /// Reads the header.
    pub fn parse(packet: &Packet<'_>) -> Repr {
        let [kind, code, _, _, r0, r1, r2, r3] = *packet.header;
        Repr {
            kind: Type(kind),
            code,
            rest: [r0, r1, r2, r3],
        }
    }

    /// The MTU of the next hop, if the message is "fragmentation needed" (RFC 1191, 4); zero where an
    /// old router did not say.
    pub const fn mtu(&self) -> u16 {
        u16::from_be_bytes([self.rest[2], self.rest[3]])
    }

    /// Bytes that [`Repr::emit`] fills.
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header to the front of `bytes`, which hold the whole message, and its checksum.
    pub fn emit(&self, bytes: &mut [u8]) -> bool {
        let Some(h) = bytes.first_chunk_mut::<HEADER_LEN>() else {
            return false;
        };
        let [r0, r1, r2, r3] = self.rest;
        *h = [self.kind.0, self.code, 0, 0, r0, r1, r2, r3];
        let [c0, c1] = checksum::finish(checksum::partial(bytes, 0)).to_be_bytes();
        if let Some([_, _, h2, h3, ..]) = bytes.first_chunk_mut::<HEADER_LEN>() {
            *h2 = c0;
            *h3 = c1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emit__then_parse() {
        let repr = Repr {
            kind: Type::ECHO,
            code: 0,
            rest: [1, 2, 3, 4],
        };
        let mut bytes = *b"........odd length!";
        assert!(repr.emit(&mut bytes));
        let packet = Packet::new_checked(&bytes).unwrap();
        assert_eq!(Repr::parse(&packet), repr);
        assert_eq!(packet.payload(), b"odd length!");
        assert!(packet.verify_checksum());
        bytes[9] ^= 1;
        assert!(!Packet::new_checked(&bytes).unwrap().verify_checksum());
    }

    #[test]
    fn new_checked__short_message() {
        for len in 0..8 {
            assert_eq!(
                Packet::new_checked(&[0; 8][..len]).err(),
                Some(DropReason::PktTooSmall)
            );
        }
    }

    #[test]
    fn is_error__exactly_the_five() {
        let errors = (0..=255).filter(|t| Type(*t).is_error()).count();
        assert_eq!(errors, 5);
        assert!(Type::DEST_UNREACH.is_error() && !Type::ECHO.is_error());
    }
}
