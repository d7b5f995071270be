//! The project's own randomness: one counter-based stream for every purpose.
//!
//! A stream is ChaCha with 12 rounds whose 256-bit key is the tuple *(study seed, replicate,
//! purpose, index)*, one 64-bit little-endian word each. Distinct tuples give distinct keys, so no
//! stream overlaps another and none moves when another is used more. Arms are not part of the
//! key: replicate 3 of every arm starts from the same draws (common random numbers), so that arms
//! can be compared pair by pair.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;
use serde::{Deserialize, Serialize};

use crate::seeding::ziggurat;

/// What a stream is for. The numbers are part of the key: never change or reuse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u64)]
pub enum Purpose {
    /// Initial parameters of networks.
    Init = 1,
    /// Seeds that environments are reset with.
    EnvReset = 2,
    /// Noise of stochastic policies.
    ActionNoise = 3,
    /// Order of samples in an epoch.
    Minibatch = 4,
    /// Choice of the states that a Fisher-vector product uses.
    FisherSubsample = 5,
    /// Everything in an evaluation.
    Evaluation = 6,
    /// Everything in a diagnostic.
    Diagnostics = 7,
}

impl Purpose {
    /// All purposes.
    pub const ALL: [Self; 7] = [
        Self::Init,
        Self::EnvReset,
        Self::ActionNoise,
        Self::Minibatch,
        Self::FisherSubsample,
        Self::Evaluation,
        Self::Diagnostics,
    ];
}

/// The streams of one replicate of a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Streams {
    /// Seed of the whole study, from the study file.
    pub study_seed: u64,
    /// Which repetition, from 0.
    pub replicate: u64,
}

impl Streams {
    /// The stream for a purpose, at its start. `index` tells apart what one purpose needs several
    /// streams for (an iteration, an episode, a layer); use 0 where there is only one.
    #[must_use]
    pub fn rng(&self, purpose: Purpose, index: u64) -> ChaCha12Rng {
        let words = [self.study_seed, self.replicate, purpose as u64, index];
        let mut key = [0; 32];
        for (bytes, word) in key.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        ChaCha12Rng::from_seed(key)
    }
}

/// Fills a slice with independent standard normal draws (mean 0, variance 1): drawn as `f64` by
/// [`ziggurat::standard_normal`], which gives the same values on every machine, and rounded.
pub fn fill_standard_normal<R: Rng + ?Sized>(rng: &mut R, values: &mut [f32]) {
    for value in values {
        *value = ziggurat::standard_normal(rng) as f32;
    }
}
