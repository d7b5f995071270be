//! NumPy's default generator.

use std::convert::Infallible;

use rand::{Rng, TryRng};
use rand_pcg::Pcg64;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{SeedSequence, ziggurat};

/// `np.random.default_rng(seed)`: PCG64 (XSL-RR 128/64) seeded through [`SeedSequence`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumpyGenerator {
    pcg: Pcg64,
}

impl NumpyGenerator {
    /// Seeds the generator; any 64-bit seed is valid.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // NumPy reads the 128-bit numbers with the high word first.
        let [state_high, state_low, stream_high, stream_low] =
            SeedSequence::new(seed).generate_state();
        Self { pcg: Pcg64::new(join(state_high, state_low), join(stream_high, stream_low)) }
    }

    /// `Generator.random()`: uniform in `[0, 1)`, a multiple of 2^-53.
    pub fn random(&mut self) -> f64 {
        unit_interval(&mut self.pcg)
    }

    /// `Generator.uniform(low, high)`: `low + (high - low) * random()`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.random()
    }

    /// `Generator.standard_normal()`: mean 0, variance 1, by NumPy's ziggurat.
    pub fn standard_normal(&mut self) -> f64 {
        ziggurat::standard_normal(&mut self.pcg)
    }
}

/// Uniform in `[0, 1)` from the top 53 bits of one 64-bit word, as NumPy's `random`.
pub(crate) fn unit_interval<R: Rng + ?Sized>(rng: &mut R) -> f64 {
    const SCALE: f64 = 1.0 / (1_u64 << 53) as f64;
    (rng.next_u64() >> 11) as f64 * SCALE
}

fn join(high: u64, low: u64) -> u128 {
    (u128::from(high) << 64) | u128::from(low)
}

fn split(value: u128) -> [u64; 2] {
    [(value >> 64) as u64, value as u64]
}

impl TryRng for NumpyGenerator {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.pcg.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.pcg.try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.pcg.try_fill_bytes(bytes)
    }
}

// State and stream as four 64-bit words, high word first: many formats have no 128-bit integers.
impl Serialize for NumpyGenerator {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let [state_high, state_low] = split(self.pcg.state());
        let [stream_high, stream_low] = split(self.pcg.stream());
        [state_high, state_low, stream_high, stream_low].serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for NumpyGenerator {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let [state_high, state_low, stream_high, stream_low] =
            <[u64; 4]>::deserialize(deserializer)?;
        let pcg = Pcg64::from_state(join(state_high, state_low), join(stream_high, stream_low));
        Ok(Self { pcg })
    }
}
