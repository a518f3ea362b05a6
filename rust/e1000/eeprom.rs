// SPDX-License-Identifier: GPL-2.0
//! The card's EEPROM: 64 words, whose sum says whether they can be trusted.

/// Words that the sum covers, itself included.
pub(crate) const WORDS: usize = 64;
const SUM: u16 = 0xbaba;

/// The contents, known to be whole.
///
/// # Invariants
///
/// The words add up to the sum that the manual prescribes (5.6.35).
#[derive(Clone, Debug)]
pub(crate) struct Eeprom([u16; WORDS]);

/// The sum is wrong; the sum there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadSum(pub(crate) u16);

impl Eeprom {
    /// Takes over words that were read.
    ///
    /// Mirrors [`e1000_validate_eeprom_checksum`](srctree/drivers/net/ethernet/intel/e1000/e1000_hw.c)
    ///
    /// # Errors
    ///
    /// The sum if it is wrong.
    pub(crate) fn new(words: [u16; WORDS]) -> Result<Self, BadSum> {
        let sum = words.iter().fold(0u16, |s, w| s.wrapping_add(*w));
        if sum != SUM {
            return Err(BadSum(sum));
        }
        // INVARIANT: Just seen.
        Ok(Eeprom(words))
    }

    /// The station's address: the first three words, low byte first.
    pub(crate) const fn mac(&self) -> [u8; 6] {
        let [a, b, c, ..] = self.0;
        let ([a, b], [c, d], [e, f]) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes());
        [a, b, c, d, e, f]
    }

    /// All bytes, in order.
    pub(crate) fn bytes(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.iter().flat_map(|w| w.to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        BadSum,
        Eeprom,
        SUM,
        WORDS, //
    };

    fn words() -> [u16; WORDS] {
        let mut words = [0x1111; WORDS];
        (words[0], words[1], words[2]) = (0x5452, 0x1200, 0x5634);
        let sum = words[..WORDS - 1]
            .iter()
            .fold(0u16, |s, w| s.wrapping_add(*w));
        words[WORDS - 1] = SUM.wrapping_sub(sum);
        words
    }

    #[test]
    fn new__takes_what_adds_up() {
        let e = Eeprom::new(words()).unwrap();
        assert_eq!(e.mac(), [0x52, 0x54, 0, 0x12, 0x34, 0x56]);
        assert_eq!(e.bytes().count(), 2 * WORDS);
        assert_eq!(e.bytes().next(), Some(0x52));
    }

    #[test]
    fn new__refuses_any_changed_bit() {
        for i in 0..WORDS {
            for bit in 0..16 {
                let mut w = words();
                w[i] ^= 1 << bit;
                let sum = w.iter().fold(0u16, |s, w| s.wrapping_add(*w));
                assert_eq!(Eeprom::new(w).err(), Some(BadSum(sum)));
            }
        }
    }

    #[test]
    fn new__refuses_an_eeprom_that_is_not_there() {
        assert!(Eeprom::new([0xffff; WORDS]).is_err());
        assert!(Eeprom::new([0; WORDS]).is_err());
    }
}
