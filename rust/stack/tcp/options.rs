// SPDX-License-Identifier: GPL-2.0
//! TCP options (3.1, RFC 7323): parsed totally, written in Linux's order.

use super::{
    sack::{SackBlock, SackList},
    seq::SeqNum, //
};
use crate::stack::wire::{
    put,
    tcp::{
        self as wire,
        TcpOption, //
    }, //
};

const NOP: u8 = 1;
const MSS: u8 = 2;
const WSCALE: u8 = 3;
const SACK_PERM: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMP: u8 = 8;

/// What the options of one segment say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether there is a timestamp.
    pub saw_tstamp: bool,
    /// The peer allows SACK. Only on a SYN.
    pub sack_perm: bool,
    /// The peer's window scale, at most 14. Only on a SYN.
    pub wscale: Option<u8>,
    /// The peer's MSS; 0 where there is none. Only on a SYN.
    pub mss: u16,
    /// The sender's clock.
    pub tsval: u32,
    /// Our clock, echoed.
    pub tsecr: u32,
    /// What the peer has received beyond a gap, as it stands there. Not on a SYN.
    pub sacks: SackList,
}

/// `NOP NOP TS 10`: how every stack begins the options of a segment that carries just a timestamp.
const TSTAMP_WORD: [u8; 4] = [NOP, NOP, TIMESTAMP, 10];

impl Options {
    /// Reads the option bytes of a header. Unknown options are skipped; a length that is too small or
    /// runs over the end stops the parsing and keeps what was read (3.1, MUST-7: no crash, no hang).
    ///
    /// Mirrors [`tcp_parse_options`](srctree/net/ipv4/tcp_input.c).
    #[inline]
    pub fn parse(bytes: &[u8], syn: bool) -> Options {
        // The aligned timestamp alone: RFC 7323, appendix A.
        if let Some((word, rest)) = bytes.split_first_chunk::<4>() {
            if *word == TSTAMP_WORD {
                if let Ok(ts) = <&[u8; 8]>::try_from(rest) {
                    return Options::tstamp(ts);
                }
            }
        }
        Options::parse_slow(bytes, syn)
    }

    #[inline]
    fn tstamp(ts: &[u8; 8]) -> Options {
        let [a, b, c, d, e, f, g, h] = *ts;
        Options {
            saw_tstamp: true,
            tsval: u32::from_be_bytes([a, b, c, d]),
            tsecr: u32::from_be_bytes([e, f, g, h]),
            ..Options::default()
        }
    }

    fn parse_slow(bytes: &[u8], syn: bool) -> Options {
        let mut opts = Options::default();
        for option in wire::Options::new(bytes) {
            match option {
                TcpOption::Mss(mss) if syn && mss != 0 => opts.mss = mss,
                TcpOption::WindowScale(shift) if syn => opts.wscale = Some(shift),
                TcpOption::SackPermitted if syn => opts.sack_perm = true,
                TcpOption::Timestamps { tsval, tsecr } => {
                    opts.saw_tstamp = true;
                    opts.tsval = tsval;
                    opts.tsecr = tsecr;
                }
                TcpOption::Sack(blocks) if !syn => {
                    opts.sacks.clear();
                    for (start, end) in blocks {
                        opts.sacks.push(SackBlock {
                            start: SeqNum::new(start),
                            end: SeqNum::new(end),
                        });
                    }
                }
                _ => {}
            }
        }
        opts
    }
}

/// The options of a segment to be sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OutOptions {
    /// MSS to announce; 0 for none.
    pub(super) mss: u16,
    /// Window scale to announce.
    pub(super) wscale: Option<u8>,
    /// Timestamp value and echo.
    pub(super) tstamp: Option<(u32, u32)>,
    /// Whether to allow SACK.
    pub(super) sack_perm: bool,
    /// Blocks to tell of.
    pub(super) sacks: SackList,
}

impl OutOptions {
    /// Whether there is a timestamp at the most: so it is in nearly every segment.
    #[inline]
    fn is_plain(&self) -> bool {
        self.mss == 0 && self.wscale.is_none() && !self.sack_perm && self.sacks.is_empty()
    }

    /// Bytes that [`OutOptions::emit`] fills: a multiple of four.
    #[inline]
    pub(super) fn len(&self) -> usize {
        if self.is_plain() {
            return if self.tstamp.is_some() { 12 } else { 0 };
        }
        let mut n = 0;
        if self.mss != 0 {
            n += 4;
        }
        if self.tstamp.is_some() {
            n += 12;
        } else if self.sack_perm {
            n += 4;
        }
        if self.wscale.is_some() {
            n += 4;
        }
        if !self.sacks.is_empty() {
            n += 4 + 8 * usize::from(self.sacks.len());
        }
        n
    }

    /// Writes the options into exactly [`OutOptions::len`] bytes, in Linux's order: MSS, SACK permitted,
    /// timestamp, window scale, SACK, each padded in front with NOPs to four bytes; SACK permitted
    /// stands where the NOPs of the timestamp would.
    #[inline]
    pub(super) fn emit(&self, out: &mut [u8]) {
        if self.is_plain() {
            if let Some((val, ecr)) = self.tstamp {
                let out = put(out, TSTAMP_WORD);
                let out = put(out, val.to_be_bytes());
                put(out, ecr.to_be_bytes());
            }
            return;
        }
        let out = if self.mss != 0 {
            let [hi, lo] = self.mss.to_be_bytes();
            put(out, [MSS, 4, hi, lo])
        } else {
            out
        };
        let out = if let Some((val, ecr)) = self.tstamp {
            let [a, b, c, d] = val.to_be_bytes();
            let [e, f, g, h] = ecr.to_be_bytes();
            let (x, y) = if self.sack_perm {
                (SACK_PERM, 2)
            } else {
                (NOP, NOP)
            };
            put(out, [x, y, TIMESTAMP, 10, a, b, c, d, e, f, g, h])
        } else if self.sack_perm {
            put(out, [NOP, NOP, SACK_PERM, 2])
        } else {
            out
        };
        let out = if let Some(shift) = self.wscale {
            put(out, [NOP, WSCALE, 3, shift])
        } else {
            out
        };
        if !self.sacks.is_empty() {
            let len = self.sacks.len().wrapping_mul(8).wrapping_add(2);
            let mut out = put(out, [NOP, NOP, SACK, len]);
            for block in self.sacks.blocks() {
                out = put(out, block.start.get().to_be_bytes());
                out = put(out, block.end.get().to_be_bytes());
            }
        }
    }
}
