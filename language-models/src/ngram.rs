//! An n-gram model with interpolated Kneser-Ney smoothing (Chen and Goodman 1999, section 3): the
//! baseline that needs nothing installed and nothing downloaded.
//!
//! Words are runs of letters, digits and apostrophes in lower case; every other character that is no
//! white space is a word. A sentence begins with `<s>`, which is never predicted, and ends with
//! `</s>`. Words that the training text lacks are one word without counts. As in KenLM, an n-gram of
//! lower order is counted by how many different words precede it, one that begins with `<s>` by how
//! often it occurs; the lowest order is interpolated with the uniform distribution.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;

use crate::{
    Answer, Completion, LanguageModel, ModelError, Request, Sampling, Take, answer_each,
    first_stop, scored,
};

const START: u32 = 0;
const END: u32 = 1;
const UNKNOWN: u32 = 2;

/// What followed a history.
#[derive(Clone, Copy, Debug, Default)]
struct History {
    /// Sum of the counts of the n-grams that begin with it.
    total: u32,
    /// How many different n-grams begin with it.
    distinct: u32,
}

/// A trained model.
#[derive(Debug)]
pub struct Ngram {
    name: String,
    order: usize,
    discount: f64,
    vocabulary: HashMap<String, u32>,
    // Looked up, never iterated: their order shows nowhere.
    counts: HashMap<Vec<u32>, u32>,
    histories: HashMap<Vec<u32>, History>,
}

/// The words of a text.
fn words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        if c.is_alphanumeric() || c == '\'' {
            word.extend(c.to_lowercase());
            continue;
        }
        if !word.is_empty() {
            found.push(std::mem::take(&mut word));
        }
        if !c.is_whitespace() {
            found.push(c.to_string());
        }
    }
    if !word.is_empty() {
        found.push(word);
    }
    found
}

impl Ngram {
    /// Trains a model on texts, each one sentence to it. The name says which texts those are.
    pub fn train<'a>(
        name: &str,
        texts: impl IntoIterator<Item = &'a str>,
        order: usize,
        discount: f64,
    ) -> Self {
        let mut model = Self {
            name: name.to_owned(),
            order: order.max(1),
            discount,
            vocabulary: HashMap::new(),
            counts: HashMap::new(),
            histories: HashMap::new(),
        };
        for text in texts {
            let mut sentence = vec![START];
            for word in words(text) {
                let next = UNKNOWN + 1 + u32::try_from(model.vocabulary.len()).unwrap_or(0);
                sentence.push(*model.vocabulary.entry(word).or_insert(next));
            }
            sentence.push(END);
            for end in 1..sentence.len() {
                model.count(&sentence[(end + 1).saturating_sub(model.order)..=end]);
            }
        }
        model
    }

    /// Counts an n-gram; where it is new, it is one more word before its suffix.
    fn count(&mut self, gram: &[u32]) {
        let times = self.counts.entry(gram.to_vec()).or_insert(0);
        *times += 1;
        let new = *times == 1;
        let history = self.histories.entry(gram[..gram.len() - 1].to_vec()).or_default();
        history.total += 1;
        history.distinct += u32::from(new);
        if new && gram.len() > 1 {
            self.count(&gram[1..]);
        }
    }

    /// The probability of a word after a history, of which the last words count.
    fn probability(&self, history: &[u32], word: u32) -> f64 {
        // From the lowest order upwards: each is interpolated with the one below.
        let longest = history.len().min(self.order - 1);
        // Every word, `</s>` and the unknown word.
        let mut probability = 1.0 / (self.vocabulary.len() as f64 + 2.0);
        for length in 0..=longest {
            let history = &history[history.len() - length..];
            let Some(seen) = self.histories.get(history) else { break };
            let gram: Vec<u32> = history.iter().copied().chain([word]).collect();
            let times = f64::from(self.counts.get(&gram).copied().unwrap_or(0));
            let total = f64::from(seen.total);
            let kept = f64::max(times - self.discount, 0.0) / total;
            let rest = self.discount * f64::from(seen.distinct) / total;
            probability = kept + rest * probability;
        }
        probability
    }

    fn ids(&self, text: &str) -> Vec<u32> {
        let id = |word: String| self.vocabulary.get(&word).copied().unwrap_or(UNKNOWN);
        words(text).into_iter().map(id).collect()
    }

    /// The log probability (natural) of a continuation of a prompt, and its number of words; with the
    /// sentence's end where `ends`.
    pub fn log_probability(&self, prompt: &str, continuation: &str, ends: bool) -> (f64, u32) {
        let mut sentence = vec![START];
        sentence.extend(self.ids(prompt));
        let first = sentence.len();
        sentence.extend(self.ids(continuation));
        if ends {
            sentence.push(END);
        }
        let sum = (first..sentence.len())
            .map(|at| self.probability(&sentence[..at], sentence[at]).ln())
            .sum();
        (sum, u32::try_from(sentence.len() - first).unwrap_or(u32::MAX))
    }
}

impl Ngram {
    /// Texts that continue a prompt: words with spaces between them, until the sentence ends.
    fn generate(&self, prompt: &str, sampling: &Sampling) -> Answer {
        let mut names: Vec<&str> = vec![""; self.vocabulary.len() + UNKNOWN as usize + 1];
        for (name, id) in &self.vocabulary {
            names[*id as usize] = name;
        }
        let mut rng = ChaCha12Rng::seed_from_u64(sampling.seed);
        let prompt = self.ids(prompt);
        let completion = |_| {
            let mut sentence = vec![START];
            sentence.extend(&prompt);
            let (mut text, mut sum, mut tokens) = (String::new(), 0.0, 0);
            let mut reason = "length";
            while tokens < sampling.max_tokens {
                let (word, probability) = self.next(&sentence, sampling, &mut rng);
                sum += probability.ln();
                if word == END {
                    reason = "stop";
                    break;
                }
                if !text.is_empty() {
                    text.push(' ');
                }
                text.push_str(names[word as usize]);
                tokens += 1;
                sentence.push(word);
                if let Some(end) = first_stop(&text, &sampling.stop) {
                    text.truncate(end);
                    reason = "stop";
                    break;
                }
            }
            Completion {
                text,
                log_probability: Some(sum),
                tokens: Some(tokens),
                finish_reason: Some(reason.to_owned()),
            }
        };
        let completions = (0..sampling.completions.max(1)).map(completion).collect();
        let prompt_tokens = u32::try_from(prompt.len()).ok();
        Answer { completions, prompt_tokens, seconds: None }
    }

    /// The next word, and its probability by the model.
    fn next(&self, sentence: &[u32], sampling: &Sampling, rng: &mut impl Rng) -> (u32, f64) {
        let words = (END..=END).chain(UNKNOWN + 1..UNKNOWN + 1 + self.vocabulary.len() as u32);
        let mut all: Vec<(u32, f64)> =
            words.map(|word| (word, self.probability(sentence, word))).collect();
        // Likeliest first; of equals the word that occurred first.
        all.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
        if sampling.temperature <= 0.0 {
            return all[0];
        }
        let weights: Vec<f64> = all
            .iter()
            .map(|(_, probability)| probability.powf(1.0 / sampling.temperature))
            .collect();
        let total: f64 = weights.iter().sum();
        let mut nucleus = 0.0;
        let kept = weights.iter().take_while(|weight| {
            let before = nucleus;
            nucleus += **weight / total;
            before < sampling.top_p
        });
        let kept = kept.count().max(1);
        let mut left = rng.random::<f64>() * weights[..kept].iter().sum::<f64>();
        let chosen = weights[..kept].iter().position(|weight| {
            left -= weight;
            left < 0.0
        });
        all[chosen.unwrap_or(kept - 1)]
    }
}

impl LanguageModel for Ngram {
    fn identity(&self) -> String {
        format!(
            "n-gram of order {}, discount {}, trained on {}",
            self.order, self.discount, self.name
        )
    }

    fn answer(
        &self,
        requests: &[Request],
        stop: &AtomicBool,
        take: &mut Take<'_>,
    ) -> Result<(), ModelError> {
        answer_each(requests, stop, take, |request| match request {
            Request::Score { prompt, continuation, ends } => {
                let (sum, tokens) = self.log_probability(prompt, continuation, *ends);
                scored(continuation, Some(sum), Some(tokens))
            }
            Request::Generate { prompt, sampling } => self.generate(prompt, sampling),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{END, Ngram, UNKNOWN, words};

    #[test]
    fn words_are_lower_case_and_punctuation_is_its_own() {
        assert_eq!(words("Who's there, Ann?"), ["who's", "there", ",", "ann", "?"]);
    }

    #[test]
    fn bigrams_are_those_counted_by_hand() {
        // "a b", "a c": vocabulary a b c, with the end and the unknown word five.
        let model = Ngram::train("t", ["a b", "a c"], 2, 0.75);
        let probability = |history: &[u32], word: &str| {
            let id = if word == "</s>" { END } else { model.ids(word)[0] };
            model.probability(history, id)
        };
        let a = model.ids("a")[0];
        // Bigrams <s>a 2, ab 1, ac 1, b</s> 1, c</s> 1. Words before: a 1 (<s>), b 1, c 1, </s> 2;
        // total 5, distinct 4. P(b) = (1 - 0.75) / 5 + 0.75 · 4 / 5 · 1 / 5 = 0.17.
        assert!((probability(&[], "b") - 0.17).abs() < 1e-15);
        // P(b | a) = (1 - 0.75) / 2 + 0.75 · 2 / 2 · 0.17 = 0.2525.
        assert!((probability(&[a], "b") - 0.2525).abs() < 1e-15);
        // P(zebra | a) = 0.75 · (0.75 · 4 / 5 / 5) = 0.09.
        assert!((probability(&[a], "zebra") - 0.09).abs() < 1e-15);
        // After a word that was never followed by anything, the lower order alone.
        assert!((probability(&[UNKNOWN], "b") - 0.17).abs() < 1e-15);
        let (sum, tokens) = model.log_probability("a", "b", false);
        assert!((sum - 0.2525_f64.ln()).abs() < 1e-15);
        assert_eq!(tokens, 1);
    }

    #[test]
    fn the_likeliest_words_continue_a_prompt_and_draws_follow_their_seed() {
        let texts = ["the cat sat on the mat .", "the dog sat on the rug .", "the cat ran ."];
        let model = Ngram::train("t", texts, 3, 0.75);
        let mut sampling = crate::Sampling {
            max_tokens: 9,
            temperature: 0.0,
            top_p: 1.0,
            stop: Vec::new(),
            completions: 1,
            seed: 7,
        };
        let first = |sampling: &crate::Sampling| model.generate("The dog", sampling).completions;
        let found = first(&sampling);
        // "dog sat", "sat on", "on the" occur; after "on the" cat or mat, of equals the first.
        assert!(found[0].text.starts_with("sat on the "), "{found:?}");
        sampling.stop = vec![" on".to_owned()];
        assert_eq!(first(&sampling)[0].text, "sat");
        assert_eq!(first(&sampling)[0].finish_reason.as_deref(), Some("stop"));
        sampling = crate::Sampling { temperature: 1.0, completions: 20, ..sampling };
        let drawn = first(&sampling);
        assert_eq!(drawn.len(), 20);
        assert_eq!(drawn, first(&sampling));
        assert_ne!(drawn, first(&crate::Sampling { seed: 8, ..sampling.clone() }));
        // A nucleus of next to nothing holds the likeliest word alone.
        let narrow = first(&crate::Sampling { top_p: 1e-9, ..sampling });
        assert!(narrow.iter().all(|completion| completion.text == "sat"));
    }

    #[test]
    fn every_distribution_sums_to_one() {
        let texts = ["the cat sat on the mat .", "the dog sat .", "a cat ran , and the dog ran ."];
        for order in 1..=5 {
            let model = Ngram::train("t", texts, order, 0.6);
            let mut every: Vec<u32> = vec![END, UNKNOWN];
            every.extend(model.vocabulary.values());
            for history in ["", "the", "the cat", "sat on the", "zebra the", "a cat ran ,"] {
                let mut ids = vec![super::START];
                ids.extend(model.ids(history));
                for history in [&ids[..], &ids[1..]] {
                    let sum: f64 = every.iter().map(|word| model.probability(history, *word)).sum();
                    assert!((sum - 1.0).abs() < 1e-12, "order {order}, {history:?}: {sum}");
                }
            }
        }
    }
}
