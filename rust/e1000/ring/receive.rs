// SPDX-License-Identifier: GPL-2.0
//! What becomes of a received buffer: the judge between the card's descriptors and the buffers' memory.
//!
//! A frame longer than a buffer takes several, and only the last is marked. Nothing that the card writes is
//! believed before it is compared with what the driver knows: the buffer's size and the greatest frame.

use super::desc::RxWriteback;

/// Most buffers of one frame: the first becomes the packet's linear part, and 16 more its fragments.
const MAX_PARTS: u8 = 17;

/// What to do with a buffer that the card has given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It holds a whole frame of `len` bytes.
    Whole {
        /// Bytes, at most the buffer's size.
        len: usize,
    },
    /// It holds `len` bytes of a frame that has more buffers.
    Part {
        /// Bytes, at most the buffer's size.
        len: usize,
        /// The frame begins here.
        first: bool,
        /// The frame ends here.
        last: bool,
    },
    /// It is of no use, and whatever is there of its frame is not either.
    Discard(Option<Fault>),
}

/// Why a frame was given up; told once a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The card says that the frame came in damaged.
    Frame,
    /// The card claims a length that cannot be: more than the buffer holds, or nothing.
    Length,
    /// The frame does not end.
    Endless,
}

/// Where in a frame the ring stands.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Receiver {
    parts: u8,
    bytes: usize,
    /// What is left of the frame is passed over.
    discarding: bool,
}

impl Receiver {
    /// Takes notice of the next descriptor that is done. `buffer` is what the card may write to one
    /// buffer, in bytes, `max` what a frame may have; `keep_bad` lets damaged frames pass.
    ///
    /// Mirrors the judgement in [`e1000_clean_rx_irq`](srctree/drivers/net/ethernet/intel/e1000/e1000_main.c)
    #[inline]
    pub(crate) fn step(
        &mut self,
        d: RxWriteback,
        buffer: usize,
        max: usize,
        keep_bad: bool,
    ) -> Verdict {
        let (len, last) = (d.len(), d.end_of_packet());
        let usual = last && self.parts == 0 && !self.discarding;
        if usual && len != 0 && len <= buffer && len <= max && !d.frame_error() {
            return Verdict::Whole { len };
        }
        self.unusual(d, buffer, max, keep_bad)
    }

    fn unusual(&mut self, d: RxWriteback, buffer: usize, max: usize, keep_bad: bool) -> Verdict {
        let (len, last) = (d.len(), d.end_of_packet());
        if self.discarding {
            self.discarding = !last;
            return Verdict::Discard(None);
        }
        let bytes = self.bytes.saturating_add(len);
        let fault = if len == 0 || len > buffer {
            Some(Fault::Length)
        } else if bytes > max || self.parts >= MAX_PARTS {
            Some(Fault::Endless)
        } else if last && d.frame_error() && !keep_bad {
            Some(Fault::Frame)
        } else {
            None
        };
        if fault.is_some() {
            *self = Receiver {
                discarding: !last,
                ..Receiver::default()
            };
            return Verdict::Discard(fault);
        }
        let first = self.parts == 0;
        if last {
            *self = Receiver::default();
            if first {
                return Verdict::Whole { len };
            }
        } else {
            self.parts = self.parts.wrapping_add(1);
            self.bytes = bytes;
        }
        Verdict::Part { len, first, last }
    }
}
