//! Spreading a small integer over the whole state of a generator.

/// NumPy's `SeedSequence` for seeds of at most 64 bits, no spawn key, and the default pool of four
/// 32-bit words. The hash is M. E. O'Neill's `seed_seq_fe` (2015) with NumPy's constants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedSequence {
    pool: [u32; Self::POOL_SIZE],
}

impl SeedSequence {
    const POOL_SIZE: usize = 4;
    const INIT_A: u32 = 0x43b0_d7e5;
    const MULT_A: u32 = 0x931e_8875;
    const INIT_B: u32 = 0x8b51_f9dd;
    const MULT_B: u32 = 0x58f3_8ded;
    const MIX_MULT_L: u32 = 0xca01_f9dd;
    const MIX_MULT_R: u32 = 0x4973_f715;
    const SHIFT: u32 = 16;

    /// Mixes the seed into the pool.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // Little-endian words. A seed below 2^32 has one word; the missing words hash as zeros,
        // which is what a high word of zero does too.
        let entropy = [seed as u32, (seed >> 32) as u32, 0, 0];
        let mut hash_constant = Self::INIT_A;
        let mut hash = |value: u32| {
            let mut value = value ^ hash_constant;
            hash_constant = hash_constant.wrapping_mul(Self::MULT_A);
            value = value.wrapping_mul(hash_constant);
            value ^ (value >> Self::SHIFT)
        };
        let mut pool = entropy.map(&mut hash);
        for source in 0..Self::POOL_SIZE {
            for destination in 0..Self::POOL_SIZE {
                if source != destination {
                    pool[destination] = mix(pool[destination], hash(pool[source]));
                }
            }
        }
        Self { pool }
    }

    /// `generate_state(N, dtype=uint64)`: `N` words to seed a generator with.
    #[must_use]
    pub fn generate_state<const N: usize>(&self) -> [u64; N] {
        let mut hash_constant = Self::INIT_B;
        let mut words = self.pool.iter().cycle().map(|&word| {
            let mut value = word ^ hash_constant;
            hash_constant = hash_constant.wrapping_mul(Self::MULT_B);
            value = value.wrapping_mul(hash_constant);
            u64::from(value ^ (value >> Self::SHIFT))
        });
        std::array::from_fn(|_| {
            let low = words.next().unwrap_or_default();
            let high = words.next().unwrap_or_default();
            low | (high << 32)
        })
    }
}

fn mix(left: u32, right: u32) -> u32 {
    let mixed = SeedSequence::MIX_MULT_L
        .wrapping_mul(left)
        .wrapping_sub(SeedSequence::MIX_MULT_R.wrapping_mul(right));
    mixed ^ (mixed >> SeedSequence::SHIFT)
}
