//! The generator behind Python's `random.Random`, for texts that HELM changes at random: seeded by a
//! string as in CPython 3.2 and later, so that the same words change. (Matsumoto and Nishimura 1998;
//! MT19937.)

use sha2::{Digest, Sha512};

const N: usize = 624;
const M: usize = 397;

/// `random.Random`.
#[derive(Clone, Debug)]
pub(super) struct Random {
    state: [u32; N],
    next: usize,
}

impl Random {
    /// `Random(seed)` of a string.
    pub(super) fn new(seed: &str) -> Self {
        // The bytes of the string and of their SHA-512, read as one large number.
        let mut bytes = seed.as_bytes().to_vec();
        bytes.extend_from_slice(&Sha512::digest(seed.as_bytes()));
        let mut key: Vec<u32> = bytes
            .rchunks(4)
            .map(|chunk| chunk.iter().fold(0, |word, byte| word << 8 | u32::from(*byte)))
            .collect();
        while key.len() > 1 && key.last() == Some(&0) {
            key.pop();
        }
        Self::from_key(&key)
    }

    /// `init_by_array` of the reference implementation.
    fn from_key(key: &[u32]) -> Self {
        let mut state = [0_u32; N];
        state[0] = 19_650_218;
        for at in 1..N {
            let before = state[at - 1];
            // At most 623.
            let place = u32::try_from(at).unwrap_or(0);
            state[at] = 1_812_433_253_u32.wrapping_mul(before ^ before >> 30).wrapping_add(place);
        }
        let mixed = |state: &[u32; N], at: usize, factor: u32| {
            let before = state[at - 1];
            state[at] ^ (before ^ before >> 30).wrapping_mul(factor)
        };
        let (mut at, mut word) = (1, 0);
        let forward = |state: &mut [u32; N], at: &mut usize| {
            *at += 1;
            if *at == N {
                state[0] = state[N - 1];
                *at = 1;
            }
        };
        for _ in 0..key.len().max(N) {
            let place = u32::try_from(word).unwrap_or(0);
            state[at] = mixed(&state, at, 1_664_525).wrapping_add(key[word]).wrapping_add(place);
            forward(&mut state, &mut at);
            word = (word + 1) % key.len();
        }
        for _ in 1..N {
            let place = u32::try_from(at).unwrap_or(0);
            state[at] = mixed(&state, at, 1_566_083_941).wrapping_sub(place);
            forward(&mut state, &mut at);
        }
        state[0] = 0x8000_0000;
        Self { state, next: N }
    }

    fn word(&mut self) -> u32 {
        if self.next == N {
            for at in 0..N {
                let joined = self.state[at] & 0x8000_0000 | self.state[(at + 1) % N] & 0x7fff_ffff;
                let twist = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[at] = self.state[(at + M) % N] ^ joined >> 1 ^ twist;
            }
            self.next = 0;
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= word << 7 & 0x9d2c_5680;
        word ^= word << 15 & 0xefc6_0000;
        word ^ word >> 18
    }

    /// `random()`: uniform on [0, 1). `uniform(0, 1)` is the same number.
    pub(super) fn random(&mut self) -> f64 {
        let (high, low) = (self.word() >> 5, self.word() >> 6);
        (f64::from(high) * 67_108_864.0 + f64::from(low)) / 9_007_199_254_740_992.0
    }

    /// A number below `n`, which is at least 1 (`randrange(n)`).
    pub(super) fn below(&mut self, n: u32) -> u32 {
        let unused = n.leading_zeros();
        loop {
            let drawn = self.word() >> unused;
            if drawn < n {
                return drawn;
            }
        }
    }

    /// `choice(items)`; `None` of nothing.
    pub(super) fn choice<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let length = u32::try_from(items.len()).ok().filter(|length| *length > 0)?;
        items.get(self.below(length) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    #[allow(clippy::float_cmp)] // bits are what is promised
    fn draws_are_those_of_python() {
        // Python 3.11.7: r = random.Random("id0"); [r.random() for _ in range(3)],
        // [r.randint(1, 3) for _ in range(8)], [r.choice("abcde") for _ in range(8)]
        let mut random = Random::new("id0");
        assert_eq!(random.random(), 0.51172047939132);
        assert_eq!(random.random(), 0.4434434898573598);
        assert_eq!(random.random(), 0.3397392284131274);
        let spaces: Vec<u32> = (0..8).map(|_| 1 + random.below(3)).collect();
        assert_eq!(spaces, [3, 1, 3, 2, 1, 1, 2, 1]);
        let letters: String =
            (0..8).filter_map(|_| random.choice(&['a', 'b', 'c', 'd', 'e'])).collect();
        assert_eq!(letters, "abbddbca");
        // An empty seed, and one longer than the state, of which the first word is short.
        assert_eq!(Random::new("").random(), 0.9602256525641875);
        assert_eq!(Random::new(&"\u{e9}x".repeat(1001)).random(), 0.4686321401666844);
        // The state is renewed after 624 words.
        let mut random = Random::new("7id1");
        let last = (0..1000).map(|_| random.random()).last();
        assert_eq!(last, Some(0.658993751510626));
        assert!(Random::new("x").choice::<u8>(&[]).is_none());
    }
}
