// SPDX-License-Identifier: GPL-2.0
//! SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed pseudo-random function for short inputs.
//!
//! Mirrors [`siphash`](srctree/lib/siphash.c)

/// A secret of 128 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Key(pub [u64; 2]);

impl Key {
    /// A key from sixteen random bytes.
    pub const fn from_bytes(b: [u8; 16]) -> Key {
        let [a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3, b4, b5, b6, b7] = b;
        Key([
            u64::from_le_bytes([a0, a1, a2, a3, a4, a5, a6, a7]),
            u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7]),
        ])
    }
}

/// The four words of state.
struct State(u64, u64, u64, u64);

impl State {
    #[inline]
    const fn new(key: &Key) -> State {
        // "somepseudorandomlygeneratedbytes".
        State(
            key.0[0] ^ 0x736f_6d65_7073_6575,
            key.0[1] ^ 0x646f_7261_6e64_6f6d,
            key.0[0] ^ 0x6c79_6765_6e65_7261,
            key.0[1] ^ 0x7465_6462_7974_6573,
        )
    }

    #[inline]
    const fn round(self) -> State {
        let State(mut a, mut b, mut c, mut d) = self;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        State(a, b, c, d)
    }

    #[inline]
    const fn compress(mut self, m: u64) -> State {
        self.3 ^= m;
        let mut s = self.round().round();
        s.0 ^= m;
        s
    }

    #[inline]
    const fn finish(mut self) -> u64 {
        self.2 ^= 0xff;
        let s = self.round().round().round().round();
        s.0 ^ s.1 ^ s.2 ^ s.3
    }
}

/// The hash of two words of eight bytes.
///
/// Mirrors [`siphash_2u64`](srctree/lib/siphash.c)
#[inline]
pub const fn siphash24_u64x2(first: u64, second: u64, key: &Key) -> u64 {
    State::new(key)
        .compress(first)
        .compress(second)
        .compress(16 << 56)
        .finish()
}

/// The hash of one word of eight bytes.
///
/// Mirrors [`siphash_1u64`](srctree/lib/siphash.c)
#[inline]
pub const fn siphash24_u64(first: u64, key: &Key) -> u64 {
    State::new(key).compress(first).compress(8 << 56).finish()
}

/// The hash of any bytes.
///
/// Mirrors [`siphash`](srctree/lib/siphash.c)
pub fn siphash24(data: &[u8], key: &Key) -> u64 {
    let mut s = State::new(key);
    let mut chunks = data.chunks_exact(8);
    for c in &mut chunks {
        if let Some(w) = c.first_chunk::<8>() {
            s = s.compress(u64::from_le_bytes(*w));
        }
    }
    let mut last = [0u8; 8];
    for (to, from) in last.iter_mut().zip(chunks.remainder()) {
        *to = *from;
    }
    // The last word ends in the length modulo 256; the remainder has seven bytes at most.
    last[7] = data.len() as u8;
    s.compress(u64::from_le_bytes(last)).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::from_bytes(core::array::from_fn(|i| i as u8))
    }

    /// Lengths 0 to 15 of the reference implementation's vectors: input 00 01 02 …, key 00 … 0f
    /// (`lib/tests/siphash_kunit.c` has the same table).
    const VECTORS: [u64; 16] = [
        0x726f_db47_dd0e_0e31,
        0x74f8_39c5_93dc_67fd,
        0x0d6c_8009_d9a9_4f5a,
        0x8567_6696_d7fb_7e2d,
        0xcf27_94e0_2771_87b7,
        0x1876_5564_cd99_a68d,
        0xcbc9_466e_58fe_e3ce,
        0xab02_00f5_8b01_d137,
        0x93f5_f579_9a93_2462,
        0x9e00_82df_0ba9_e4b0,
        0x7a5d_bbc5_94dd_b9f3,
        0xf4b3_2f46_226b_ada7,
        0x751e_8fbc_860e_e5fb,
        0x14ea_5627_c084_3d90,
        0xf723_ca90_8e7a_f2ee,
        0xa129_ca61_49be_45e5,
    ];

    #[test]
    fn siphash24__reference_vectors() {
        let data: [u8; 16] = core::array::from_fn(|i| i as u8);
        for (len, want) in VECTORS.iter().enumerate() {
            assert_eq!(siphash24(&data[..len], &key()), *want, "length {len}");
        }
    }

    #[test]
    fn siphash24_u64x2__equals_the_bytes() {
        let data: [u8; 16] = core::array::from_fn(|i| i as u8);
        let (a, b) = (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        assert_eq!(siphash24_u64x2(a, b, &key()), siphash24(&data, &key()));
        assert_eq!(siphash24_u64(a, &key()), siphash24(&data[..8], &key()));
    }
}
