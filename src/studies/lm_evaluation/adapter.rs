//! From questions to requests: how a question is put to a model.

use std::collections::BTreeMap;

use language_models::{Request, Sampling};
use rand::Rng;
use rand::seq::SliceRandom;

use super::config::{Adapter, EvaluationConfig, ExampleAnswers};
use super::sources::Instance;

/// A request, and what it is for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asked {
    /// The option that it is about.
    pub option: Option<u32>,
    /// Whether it says how likely the option is without the question.
    pub calibration: bool,
    pub request: Request,
}

/// The letters of options.
pub(super) const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// What is said of a passage that answers a question, and of one that does not.
pub(super) const YES: &str = "Yes";
pub(super) const NO: &str = "No";

/// The letter of an option, by its place; nothing beyond Z.
pub(super) fn letter(place: usize) -> &'static str {
    LETTERS.get(place..=place).unwrap_or_default()
}

/// Puts questions to models, with the examples of a run.
pub(super) struct Prompter<'a> {
    config: &'a EvaluationConfig,
    /// What every prompt begins with.
    opening: String,
}

impl<'a> Prompter<'a> {
    pub(super) fn new(config: &'a EvaluationConfig, examples: &[&Instance]) -> Self {
        let mut prompter = Self { config, opening: String::new() };
        let mut opening = String::new();
        if !config.prompt_instructions.is_empty() {
            opening.push_str(&config.prompt_instructions);
            opening.push_str("\n\n");
        }
        for example in examples {
            let blocks = if config.adapter == Adapter::Ranking {
                judgements(example)
            } else {
                vec![joined(&prompter.block(example), &prompter.example_answer(example))]
            };
            for block in blocks {
                opening.push_str(&block);
                opening.push_str("\n\n");
            }
        }
        prompter.opening = opening;
        prompter
    }

    fn lists_options(&self) -> bool {
        matches!(self.config.adapter, Adapter::Joint | Adapter::Letters)
    }

    /// A question, up to where its answer begins.
    fn block(&self, instance: &Instance) -> String {
        // A minimal pair: there is nothing before the sentences.
        if instance.input.is_empty() {
            return String::new();
        }
        let mut block = format!("{}{}", self.config.prompt_input_prefix, instance.input);
        if self.lists_options() {
            for (place, option) in instance.references.iter().enumerate() {
                block.push_str(&format!("\n{}. {}", letter(place), option.text));
            }
        }
        if !self.config.prompt_output_prefix.is_empty() {
            block.push('\n');
            block.push_str(self.config.prompt_output_prefix.trim_end());
        }
        block
    }

    fn example_answer(&self, example: &Instance) -> String {
        let right = example.references.iter().position(|reference| reference.correct);
        if self.lists_options() {
            return right.map(letter).unwrap_or_default().to_owned();
        }
        let solution = example.solution.as_ref();
        match solution.filter(|_| self.config.few_shot_answers == ExampleAnswers::Solution) {
            Some(solution) => solution.clone(),
            None => right.map(|at| example.references[at].text.clone()).unwrap_or_default(),
        }
    }

    /// How completions are chosen.
    fn sampling(&self, seed: u64) -> Sampling {
        let config = self.config;
        let stop = &config.stop_sequence;
        Sampling {
            max_tokens: config.max_tokens,
            temperature: config.temperature,
            top_p: config.top_p,
            stop: if stop.is_empty() { Vec::new() } else { vec![stop.clone()] },
            completions: config.completions,
            // Nothing is drawn at temperature 0, so that replicates share their answers.
            seed: if config.temperature > 0.0 { seed } else { 0 },
        }
    }

    /// The requests that a question makes.
    pub(super) fn requests(&self, instance: &Instance, seed: u64) -> Vec<Asked> {
        let config = self.config;
        let block = self.block(instance);
        let prompt = format!("{}{block}", self.opening);
        let alone = |option, request| Asked { option, calibration: false, request };
        let score = |prompt: &str, text: &str| Request::Score {
            prompt: prompt.to_owned(),
            continuation: joined(prompt, text)[prompt.len()..].to_owned(),
            // A minimal pair is whole sentences; an option is a part of one.
            ends: block.is_empty(),
        };
        match config.adapter {
            Adapter::Generation | Adapter::Joint => {
                let sampling = self.sampling(seed);
                vec![alone(None, Request::Generate { prompt, sampling })]
            }
            Adapter::Ranking => (0_u32..)
                .zip(&instance.references)
                .map(|(option, passage)| {
                    let prompt = format!("{}{}", self.opening, judgement(instance, &passage.text));
                    let sampling = self.sampling(seed);
                    alone(Some(option), Request::Generate { prompt, sampling })
                })
                .collect(),
            Adapter::LanguageModeling => {
                let continuation = instance.input.clone();
                let request = Request::Score { prompt: String::new(), continuation, ends: false };
                vec![alone(None, request)]
            }
            Adapter::Letters => (0_u32..)
                .zip(0..instance.references.len())
                .map(|(option, place)| alone(Some(option), score(&prompt, letter(place))))
                .collect(),
            Adapter::Separate | Adapter::SeparateCalibrated => {
                let mut all = Vec::new();
                for (option, reference) in (0_u32..).zip(&instance.references) {
                    all.push(alone(Some(option), score(&prompt, &reference.text)));
                    if config.adapter == Adapter::SeparateCalibrated {
                        let request = score("Answer:", &reference.text);
                        all.push(Asked { option: Some(option), calibration: true, request });
                    }
                }
                all
            }
        }
    }
}

/// What a model is asked of a passage, up to its answer (HELM's binary ranking).
fn judgement(instance: &Instance, passage: &str) -> String {
    let query = &instance.input;
    format!("Passage: {passage}\nQuery: {query}\nDoes the passage answer the query?\nAnswer:")
}

/// The first passage of an example that answers it and the first that does not, each with the answer.
fn judgements(example: &Instance) -> Vec<String> {
    let judged = [(true, YES), (false, NO)].into_iter().filter_map(|(right, answer)| {
        let passage = example.references.iter().find(|passage| passage.correct == right)?;
        Some(format!("{} {answer}", judgement(example, &passage.text)))
    });
    judged.collect()
}

/// A text after a prompt, with a space between the two unless one ends or begins with white space.
fn joined(prompt: &str, text: &str) -> String {
    let apart = prompt.is_empty()
        || prompt.ends_with(char::is_whitespace)
        || text.starts_with(char::is_whitespace);
    let space = if apart { "" } else { " " };
    format!("{prompt}{space}{text}")
}

/// Draws examples as HELM does: the answers that occur among the candidates take turns, the most
/// frequent first and equally frequent ones in random order; each gives one of its questions at random
/// that was not drawn yet.
pub(super) fn examples<'a>(
    candidates: &[&'a Instance],
    count: usize,
    rng: &mut impl Rng,
) -> Vec<&'a Instance> {
    if count == 0 {
        return Vec::new();
    }
    // The questions of each answer, in the order in which answers occur first.
    let mut of_answer: Vec<Vec<&Instance>> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for candidate in candidates {
        let right = candidate.references.iter().find(|reference| reference.correct);
        let answer = right.map_or("", |reference| reference.text.as_str());
        let place = *places.entry(answer).or_insert(of_answer.len());
        if place == of_answer.len() {
            of_answer.push(Vec::new());
        }
        of_answer[place].push(candidate);
    }
    of_answer.shuffle(rng);
    // The sort keeps the order of equals.
    of_answer.sort_by_key(|questions| std::cmp::Reverse(questions.len()));
    for questions in &mut of_answer {
        questions.shuffle(rng);
    }
    let mut drawn = Vec::new();
    while drawn.len() < count {
        let before = drawn.len();
        for questions in &mut of_answer {
            drawn.extend(questions.pop().filter(|_| drawn.len() < count));
        }
        if drawn.len() == before {
            break;
        }
    }
    drawn
}
