//! Language models, and how they are asked.
//!
//! A [`Request`] says what is asked, an [`Answer`] what came back, a [`LanguageModel`] is whoever
//! answers: a network that runs in this process, a server, a table of counts. None of them knows of
//! questions, scores or studies.

pub mod bpe;
pub mod gguf;
pub mod llama;

use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

pub mod endpoint;
mod ngram;
mod uniform;

pub use endpoint::Endpoint;
pub use ngram::Ngram;
pub use uniform::Uniform;

/// What a model is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Texts that continue a prompt.
    Generate {
        /// The prompt.
        prompt: String,
        /// How they are chosen.
        sampling: Sampling,
    },
    /// The log probability of a text.
    Score {
        /// What precedes it; empty where the text is scored from its beginning.
        prompt: String,
        /// The text.
        continuation: String,
        /// Whether the text ends there, so that its end counts where a model predicts ends.
        ends: bool,
    },
}

/// How texts are chosen that continue a prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Most tokens of a text.
    pub max_tokens: u32,
    /// What logits are divided by; 0 takes the likeliest token each time.
    pub temperature: f64,
    /// Tokens are drawn from the fewest that have this probability together; 1 for all of them.
    pub top_p: f64,
    /// Texts end before the first of these.
    pub stop: Vec<String>,
    /// How many texts are wanted.
    pub completions: u32,
    /// Distinguishes requests that are to be drawn anew; what draws begin from where a model can be
    /// told.
    pub seed: u64,
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The texts; of a score the text that was scored.
    pub completions: Vec<Completion>,
    /// Tokens of the prompt, where they are known.
    pub prompt_tokens: Option<u32>,
    /// How long it took, where that was measured. No two measurements are alike.
    pub seconds: Option<f64>,
}

/// A text that came back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// The text.
    pub text: String,
    /// Natural logarithm of its probability, where it is known.
    pub log_probability: Option<f64>,
    /// Its tokens, where they are known.
    pub tokens: Option<u32>,
    /// Why it ended, in the words of the model: `stop`, `length`, …
    pub finish_reason: Option<String>,
}

/// Why a model gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// It was asked to stop; what was answered before was handed over.
    #[error("interrupted")]
    Interrupted,
    /// Whoever takes the answers could not keep one.
    #[error("an answer could not be kept: {0}")]
    Keep(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The model cannot be had, or does not answer.
    #[error(transparent)]
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

/// Takes an answer with the place of its request, as soon as it is there.
pub type Take<'a> =
    dyn FnMut(usize, Answer) -> Result<(), Box<dyn std::error::Error + Send + Sync>> + Send + 'a;

/// Whoever answers.
pub trait LanguageModel: Sync {
    /// What decides its answers, beside the request: a network's hash, a server's address and its
    /// name for the model.
    fn identity(&self) -> String;

    /// Answers requests. Each answer is handed over when it is there, in any order, exactly once.
    ///
    /// # Errors
    /// When it was asked to stop, an answer could not be handed over, or there is none.
    fn answer(
        &self,
        requests: &[Request],
        stop: &AtomicBool,
        take: &mut Take<'_>,
    ) -> Result<(), ModelError>;
}

/// Answers requests one after another, each by itself.
fn answer_each(
    requests: &[Request],
    stop: &AtomicBool,
    take: &mut Take<'_>,
    answer: impl Fn(&Request) -> Answer,
) -> Result<(), ModelError> {
    for (place, request) in requests.iter().enumerate() {
        if stop.load(Ordering::Relaxed) {
            return Err(ModelError::Interrupted);
        }
        take(place, answer(request)).map_err(ModelError::Keep)?;
    }
    Ok(())
}

/// The answer to a request for the log probability of a text.
fn scored(text: &str, log_probability: Option<f64>, tokens: Option<u32>) -> Answer {
    let completion =
        Completion { text: text.to_owned(), log_probability, tokens, finish_reason: None };
    Answer { completions: vec![completion], prompt_tokens: None, seconds: None }
}

/// Where the first of several stop sequences begins in a text.
fn first_stop(text: &str, stop: &[String]) -> Option<usize> {
    stop.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| text.find(stop.as_str())).min()
}

impl<M: LanguageModel> LanguageModel for &M {
    fn identity(&self) -> String {
        (**self).identity()
    }

    fn answer(
        &self,
        requests: &[Request],
        stop: &AtomicBool,
        take: &mut Take<'_>,
    ) -> Result<(), ModelError> {
        (**self).answer(requests, stop, take)
    }
}
