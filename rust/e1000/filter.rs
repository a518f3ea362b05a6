// SPDX-License-Identifier: GPL-2.0
//! Which frames the card lets in: the arithmetic of its address and VLAN filters.

/// Words of the table of multicast hashes.
pub(crate) const MULTICAST_WORDS: usize = 128;
/// Words of the table of VLANs.
pub(crate) const VLAN_WORDS: usize = 128;
/// Exact addresses that the card compares; the first is its own.
pub(crate) const EXACT: usize = 15;

/// Word and bit of the multicast table for an address: 12 bits of it, from bit 36 on (manual, 13.4.36).
///
/// Mirrors [`e1000_hash_mc_addr`](srctree/drivers/net/ethernet/intel/e1000/e1000_hw.c)
pub(crate) const fn multicast(addr: [u8; 6]) -> (usize, u32) {
    let hash = (addr[4] as u32 >> 4) | ((addr[5] as u32) << 4);
    (
        (hash >> 5) as usize & (MULTICAST_WORDS - 1),
        1 << (hash & 31),
    )
}

/// Word and bit of the VLAN table for a VLAN.
pub(crate) const fn vlan(id: u16) -> (usize, u32) {
    ((id >> 5) as usize & (VLAN_WORDS - 1), 1 << (id & 31))
}

/// An exact address as the two words of the card's register pair, marked as valid.
pub(crate) const fn exact(addr: [u8; 6]) -> (u32, u32) {
    let [a, b, c, d, e, f] = addr;
    (
        u32::from_le_bytes([a, b, c, d]),
        u32::from_le_bytes([e, f, 0, 0x80]),
    )
}

#[cfg(test)]
mod tests {
    use super::{
        exact,
        multicast,
        vlan, //
        EXACT,
    };

    #[test]
    fn multicast__the_manuals_example() {
        // 13.4.36: 12-34-56-78-9A-BC hashes to 0xBC9 by bits 47 to 36.
        let (word, bit) = multicast([0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc]);
        assert_eq!((word, bit), (0xbc9 >> 5, 1 << (0xbc9 & 31)));
    }

    #[test]
    fn vlan__all_have_a_bit_of_their_own() {
        let mut seen = std::collections::HashSet::new();
        for id in 0..4096 {
            let (word, bit) = vlan(id);
            assert!(word < 128 && bit.count_ones() == 1 && seen.insert((word, bit)));
        }
    }

    #[test]
    fn exact__all_lie_in_front_of_the_vlans() {
        const { assert!(0x5400 + 8 * EXACT <= 0x5600) };
    }

    #[test]
    fn exact__is_marked_valid() {
        let (low, high) = exact([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
        assert_eq!((low, high), (0x1200_5452, 0x8000_5634));
    }
}
