// SPDX-License-Identifier: GPL-2.0
//! Descriptor rings as arithmetic: no memory, no registers, no kernel.
//!
//! In come sizes, indices and the two words of a descriptor; out go indices, words and verdicts. Files in
//! the order a frame meets them: [`offload`] says what the card is to compute, [`desc`] puts it into
//! descriptors and reads them back, [`receive`] judges what the card claims to have received. The host's
//! tests mount this directory; what a card may write, however wrong, is fed to it there.

pub(crate) mod desc;
pub(crate) mod offload;
pub(crate) mod receive;

#[cfg(test)]
mod tests;

/// Fewest descriptors of a ring: room for the greatest frame, see [`MAX_TX_DESCRIPTORS`].
pub(crate) const MIN: u32 = 48;
/// Most descriptors of a ring that the card can do.
pub(crate) const MAX: u32 = 4096;
/// The card takes the length of a ring in units of 128 bytes: this many descriptors.
pub(crate) const MULTIPLE: u32 = 8;
/// What one transmit descriptor carries at the most, in bytes. The card's limit is 16288 (manual, table
/// 3-8); half of the next power of two makes counting a shift.
pub(crate) const MAX_DATA: usize = 8192;
/// Most descriptors that one frame takes: a context, the pieces of 64 KiB, and a broken piece for the
/// linear part and for each of 17 fragments.
pub(crate) const MAX_TX_DESCRIPTORS: u32 = 1 + 65536 / MAX_DATA as u32 + 18;

const _: () = assert!(MAX_TX_DESCRIPTORS + 2 < MIN);

/// How many descriptors a ring has.
///
/// # Invariants
///
/// A multiple of [`MULTIPLE`] in [`MIN`]..=[`MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(u32);

impl Size {
    /// The size nearest to what somebody wishes: the next multiple within the limits.
    ///
    /// Mirrors [`e1000_set_ringparam`](srctree/drivers/net/ethernet/intel/e1000/e1000_ethtool.c)
    pub(crate) const fn rounded(wish: u32) -> Size {
        let n = if wish < MIN {
            MIN
        } else if wish > MAX {
            MAX
        } else {
            wish.next_multiple_of(MULTIPLE)
        };
        // INVARIANT: Both limits are multiples, so the rounded number exceeds none.
        Size(n)
    }

    /// The number of descriptors.
    #[inline]
    pub(crate) const fn get(self) -> u32 {
        self.0
    }

    /// The index behind `i`.
    #[inline]
    pub(crate) const fn next(self, i: u32) -> u32 {
        let n = i.wrapping_add(1);
        if n >= self.0 {
            0
        } else {
            n
        }
    }

    /// The index `n` behind `i`; both less than the size.
    #[inline]
    pub(crate) const fn add(self, i: u32, n: u32) -> u32 {
        let n = i.wrapping_add(n);
        if n >= self.0 {
            n.wrapping_sub(self.0)
        } else {
            n
        }
    }
}
