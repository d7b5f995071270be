//! The baseline that knows nothing and costs nothing.

use std::sync::atomic::AtomicBool;

use sha2::{Digest, Sha256};

use crate::{Answer, Completion, LanguageModel, ModelError, Request, Take, answer_each, scored};

/// Draws log probabilities at random, whatever is asked, and completes with nothing: of options each
/// is chosen equally often.
///
/// What it draws depends on its seed and the request alone.
#[derive(Clone, Copy, Debug)]
pub struct Uniform {
    /// Its seed.
    pub seed: u64,
}

impl Uniform {
    /// A number in (0, 1] that a text decides.
    fn draw(self, prompt: &str, continuation: &str) -> f64 {
        let mut hasher = Sha256::new();
        hasher.update(self.seed.to_le_bytes());
        hasher.update((prompt.len() as u64).to_le_bytes());
        hasher.update(prompt);
        hasher.update(continuation);
        let digest = hasher.finalize();
        let bits = digest.iter().take(8).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        // 53 bits are exact.
        ((bits >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }
}

impl LanguageModel for Uniform {
    fn identity(&self) -> String {
        format!("uniform, seed {}", self.seed)
    }

    fn answer(
        &self,
        requests: &[Request],
        stop: &AtomicBool,
        take: &mut Take<'_>,
    ) -> Result<(), ModelError> {
        answer_each(requests, stop, take, |request| match request {
            Request::Score { prompt, continuation, .. } => {
                scored(continuation, Some(self.draw(prompt, continuation).ln()), None)
            }
            Request::Generate { sampling, .. } => {
                let empty = Completion { tokens: Some(0), ..Completion::default() };
                let completions = vec![empty; sampling.completions.max(1) as usize];
                Answer { completions, ..Answer::default() }
            }
        })
    }
}
