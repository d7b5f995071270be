//! From questions to scores: which questions a run has, what is asked, what comes out.

use analysis::{
    Binning, Bootstrap, CalibrationColumns, CalibrationOptions, calibration, reliability,
    standard_error,
};
use envs::{Purpose, Streams};
use polars::prelude::{DataFrame, DataType, PolarsError, df};
use rand::seq::SliceRandom;

use super::answers;
use super::config::{
    AnswerNormalization, AnswerScore, CalibrationOutcome, ChoiceAdapter, ChoiceLength, ChoiceTies,
    EvaluationConfig, ZeroLogProbability,
};
use super::ngram::Ngram;
use super::sources::{Instance, Recorded};

/// A request and what came back.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Request {
    /// The option that it is about.
    pub reference: Option<u32>,
    pub prompt: String,
    pub completion: String,
    /// Natural logarithm.
    pub log_probability: Option<f64>,
    pub tokens: Option<u32>,
    pub seconds: Option<f64>,
}

/// A question with its scores.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Evaluated<'a> {
    pub instance: &'a Instance,
    pub requests: Vec<Request>,
    /// What was compared; `None` where there was nothing.
    pub answer: Option<String>,
    pub score: f64,
    pub exact_match: f64,
    pub quasi_exact_match: f64,
    pub prefix_exact_match: f64,
    pub quasi_prefix_exact_match: f64,
    pub f1: f64,
    pub confidence: Option<f64>,
    /// Whether the answer is right, where confidences are compared with outcomes; `None` where it is in
    /// part.
    pub outcome: Option<bool>,
}

/// The questions of a replicate: its part of them, in their order. `None` where there is no such part.
pub(super) fn part<'a>(
    instances: &'a [Instance],
    config: &EvaluationConfig,
    study_seed: u64,
    replicate: u64,
) -> Option<Vec<&'a Instance>> {
    let parts = u64::from(config.evaluation_parts);
    if parts == 1 {
        return Some(instances.iter().collect());
    }
    if replicate >= parts {
        return None;
    }
    let clusters = instances.iter().map(|instance| instance.cluster + 1).max().unwrap_or(0);
    let mut order: Vec<usize> = (0..clusters).collect();
    // All replicates share one permutation, which their study seeds: otherwise they would overlap.
    let streams = Streams { study_seed, replicate: 0 };
    order.shuffle(&mut streams.rng(Purpose::Evaluation, 0));
    let mut of_cluster = vec![0; clusters];
    for (place, cluster) in order.into_iter().enumerate() {
        of_cluster[cluster] = place as u64 % parts;
    }
    let mine = |instance: &&Instance| of_cluster[instance.cluster] == replicate;
    Some(instances.iter().filter(mine).collect())
}

/// Answers a question, or takes the recorded answer, and scores it. `None` where there is neither.
pub(super) fn evaluate<'a>(
    instance: &'a Instance,
    config: &EvaluationConfig,
    model: Option<&Ngram>,
) -> Option<Evaluated<'a>> {
    match &instance.recorded {
        Some(recorded @ Recorded::Completion { .. }) => Some(completed(instance, config, recorded)),
        Some(Recorded::Options { prompts, log_probabilities }) => {
            let options = instance.references.iter().zip(0..);
            let requests: Vec<Request> = options
                .zip(prompts)
                .zip(log_probabilities)
                .map(|(((option, number), prompt), log_probability)| Request {
                    reference: Some(number),
                    prompt: prompt.clone(),
                    completion: option.text.clone(),
                    log_probability: Some(*log_probability),
                    tokens: None,
                    seconds: None,
                })
                .collect();
            let scores = log_probabilities.clone();
            Some(chosen(instance, config, requests, scores))
        }
        None => {
            let (requests, scores) = ask(instance, config, model?);
            Some(chosen(instance, config, requests, scores))
        }
    }
}

/// Scores a completion.
fn completed<'a>(
    instance: &'a Instance,
    config: &EvaluationConfig,
    recorded: &Recorded,
) -> Evaluated<'a> {
    let Recorded::Completion { prompt, text, log_probability, tokens, seconds, letters } = recorded
    else {
        return chosen(instance, config, Vec::new(), Vec::new());
    };
    // A letter stands for its option; one that stands for none is no answer.
    let mapped = |answer: &str| match letters {
        None => Some(answer.to_owned()),
        Some(letters) => {
            let found = letters.iter().find(|(letter, _)| letter == answer);
            found.map(|(_, option)| option.clone())
        }
    };
    let whole = mapped(text.trim());
    let answer = answers::extract(text, config.answer_extraction).and_then(mapped);
    let gold = || {
        let correct = instance.references.iter().filter(|reference| reference.correct);
        correct.map(|reference| reference.text.as_str())
    };
    // HELM's measures, whatever the choices of the run.
    let fixed =
        |normalization, score| answers::score(gold(), whole.as_deref(), normalization, score);
    let exact_match = fixed(AnswerNormalization::Strip, AnswerScore::Match);
    let score =
        answers::score(gold(), answer.as_deref(), config.answer_normalization, config.answer_score);
    let zero = log_probability.is_some_and(|sum| sum == 0.0);
    let kept = !zero || config.zero_log_probability == ZeroLogProbability::Certain;
    let log_probability = log_probability.filter(|_| kept);
    let request = Request {
        reference: None,
        prompt: prompt.clone(),
        completion: text.clone(),
        log_probability,
        tokens: *tokens,
        seconds: *seconds,
    };
    Evaluated {
        instance,
        requests: vec![request],
        answer,
        score,
        exact_match,
        quasi_exact_match: fixed(AnswerNormalization::Quasi, AnswerScore::Match),
        prefix_exact_match: fixed(AnswerNormalization::Strip, AnswerScore::PrefixMatch),
        quasi_prefix_exact_match: fixed(AnswerNormalization::Quasi, AnswerScore::PrefixMatch),
        f1: fixed(AnswerNormalization::Quasi, AnswerScore::F1Set),
        confidence: log_probability.map(f64::exp),
        outcome: right(config, score, exact_match),
    }
}

fn right(config: &EvaluationConfig, score: f64, exact_match: f64) -> Option<bool> {
    match config.calibration_outcome {
        CalibrationOutcome::Score if score > 0.0 && score < 1.0 => None,
        CalibrationOutcome::Score => Some(score >= 1.0),
        CalibrationOutcome::ExactMatch => Some(exact_match >= 1.0),
    }
}

const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Puts a question with options to a model: the requests, and the score of each option.
fn ask(instance: &Instance, config: &EvaluationConfig, model: &Ngram) -> (Vec<Request>, Vec<f64>) {
    let question = match (config.choice_adapter, instance.input.is_empty()) {
        (_, true) => String::new(),
        (ChoiceAdapter::Joint, false) => joint(instance),
        // Options continue the question, as in HELM's separate adapters.
        _ => instance.input.clone(),
    };
    let mut requests = Vec::new();
    let mut scores = Vec::new();
    for (reference, number) in instance.references.iter().zip(0_u32..) {
        let continuation = if config.choice_adapter == ChoiceAdapter::Joint {
            LETTERS.get(number as usize..=number as usize).unwrap_or_default()
        } else {
            reference.text.as_str()
        };
        let mut request = |prompt: &str| {
            // A minimal pair is whole sentences; an option is a part of one.
            let (sum, tokens) =
                model.log_probability(prompt, continuation, instance.input.is_empty());
            requests.push(Request {
                reference: Some(number),
                prompt: prompt.to_owned(),
                completion: continuation.to_owned(),
                log_probability: Some(sum),
                tokens: Some(tokens),
                seconds: None,
            });
            (sum, tokens)
        };
        let (mut score, tokens) = request(&question);
        if config.choice_adapter == ChoiceAdapter::SeparateCalibrated {
            score -= request("Answer:").0;
        }
        scores.push(match config.choice_length {
            ChoiceLength::Tokens => score / f64::from(tokens.max(1)),
            _ => score,
        });
    }
    (requests, scores)
}

/// The question with its options, each under a letter.
fn joint(instance: &Instance) -> String {
    let options = instance.references.iter().zip(LETTERS.chars());
    let options = options.map(|(reference, letter)| format!("{letter}. {}\n", reference.text));
    format!("Question: {}\n{}Answer:", instance.input, options.collect::<String>())
}

/// Scores a choice between options.
fn chosen<'a>(
    instance: &'a Instance,
    config: &EvaluationConfig,
    requests: Vec<Request>,
    mut scores: Vec<f64>,
) -> Evaluated<'a> {
    if config.choice_length == ChoiceLength::Bytes {
        let texts = instance.references.iter().map(|reference| reference.text.len().max(1));
        for (score, bytes) in scores.iter_mut().zip(texts) {
            // Options are far shorter than 2^53 bytes.
            *score /= bytes as f64;
        }
    }
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    #[allow(clippy::float_cmp)] // a tie is equality
    let best: Vec<usize> = (0..scores.len()).filter(|&at| scores[at] == highest).collect();
    let correct = |at: &usize| instance.references.get(*at).is_some_and(|option| option.correct);
    let right_ones = best.iter().filter(|at| correct(at)).count();
    let share = if best.is_empty() { 0.0 } else { right_ones as f64 / best.len() as f64 };
    let yes = |is: bool| if is { 1.0 } else { 0.0 };
    let score = match config.choice_ties {
        ChoiceTies::Share => share,
        ChoiceTies::First => yes(best.first().is_some_and(correct)),
        ChoiceTies::Wrong => yes(best.len() == 1 && right_ones == 1),
    };
    // The largest probability after a softmax over the options.
    let sum: f64 = scores.iter().map(|score| (score - highest).exp()).sum();
    let answer = best.first().and_then(|at| instance.references.get(*at));
    Evaluated {
        instance,
        requests,
        answer: answer.map(|option| option.text.clone()),
        score,
        exact_match: share,
        quasi_exact_match: share,
        prefix_exact_match: share,
        quasi_prefix_exact_match: share,
        f1: share,
        confidence: (!scores.is_empty()).then(|| 1.0 / sum),
        outcome: right(config, score, share),
    }
}

/// Calibration of a run.
#[derive(Debug, Default)]
pub(super) struct Calibration {
    /// `None` where no question has a confidence and an outcome.
    pub ece: Option<f64>,
    /// The same.
    pub brier: Option<f64>,
    /// The bins of a reliability diagram; none where no question has both.
    pub bins: Vec<Bin>,
}

/// A bin of a reliability diagram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bin {
    /// Its edges.
    pub low: f64,
    pub high: f64,
    pub questions: u64,
    /// Mean confidence; `None` where the bin is empty, as the next.
    pub confidence: Option<f64>,
    /// Share of right answers.
    pub accuracy: Option<f64>,
}

/// Compares confidences with outcomes.
pub(super) fn calibrated(
    evaluated: &[Evaluated<'_>],
) -> Result<Calibration, Box<dyn std::error::Error + Send + Sync>> {
    let known: Vec<&Evaluated<'_>> = evaluated
        .iter()
        .filter(|question| question.confidence.is_some() && question.outcome.is_some())
        .collect();
    if known.is_empty() {
        return Ok(Calibration::default());
    }
    let frame: DataFrame = df!(
        "question" => (0..known.len() as u64).collect::<Vec<u64>>(),
        "confidence" => known.iter().map(|question| question.confidence).collect::<Vec<_>>(),
        "outcome" => known.iter().map(|question| question.outcome).collect::<Vec<_>>(),
    )?;
    let columns = CalibrationColumns {
        groups: &[],
        replicate: "question",
        confidence: "confidence",
        outcome: "outcome",
    };
    // Only the estimates are kept.
    let once = Bootstrap { resamples: 1, threads: 1, ..Bootstrap::tables() };
    let table = calibration(&frame, columns, &CalibrationOptions::default(), &once)?;
    let measure = |name: &str| -> Result<Option<f64>, PolarsError> {
        let measures = table.column("measure")?.str()?;
        let row = measures.iter().position(|measure| measure == Some(name));
        Ok(row.and_then(|row| table.column("estimate").ok()?.f64().ok()?.get(row)))
    };
    // Bins of equal width lie at the same places in every run.
    let width =
        CalibrationOptions { binning: Binning::EqualWidth, ..CalibrationOptions::default() };
    let table = reliability(&frame, columns, &width, 0.95)?;
    let number = |name: &str| -> Result<Vec<Option<f64>>, PolarsError> {
        Ok(table.column(name)?.cast(&DataType::Float64)?.f64()?.iter().collect())
    };
    let counts: Vec<Option<u64>> =
        table.column("n")?.cast(&DataType::UInt64)?.u64()?.iter().collect();
    let edges = number("low")?.into_iter().zip(number("high")?);
    let means = number("confidence")?.into_iter().zip(number("accuracy")?);
    let bins = edges.zip(counts).zip(means).map(|(((low, high), questions), means)| Bin {
        low: low.unwrap_or(f64::NAN),
        high: high.unwrap_or(f64::NAN),
        questions: questions.unwrap_or(0),
        confidence: means.0,
        accuracy: means.1,
    });
    Ok(Calibration { ece: measure("ece")?, brier: measure("brier")?, bins: bins.collect() })
}

/// Metrics of a run, in the order of [`super::tables::METRICS`].
pub(super) fn metrics(
    evaluated: &[Evaluated<'_>],
    calibration: &Calibration,
) -> Result<Vec<Option<f64>>, Box<dyn std::error::Error + Send + Sync>> {
    let mean_of = |pick: fn(&Evaluated<'_>) -> Option<f64>| {
        let values: Vec<f64> = evaluated.iter().filter_map(pick).collect();
        analysis::mean(&values)
    };
    let scores: Vec<f64> = evaluated.iter().map(|question| question.score).collect();
    let sum_of = |pick: fn(&Request) -> Option<f64>| -> Option<f64> {
        let all = evaluated.iter().flat_map(|question| &question.requests);
        let found: Vec<f64> = all.filter_map(pick).collect();
        (!found.is_empty()).then(|| found.iter().sum::<f64>())
    };
    let per_question = |sum: Option<f64>| sum.map(|sum| sum / evaluated.len() as f64);
    Ok(vec![
        mean_of(|question| Some(question.score)),
        standard_error::<u8>(&scores, None)?,
        mean_of(|question| Some(if question.answer.is_some() { 1.0 } else { 0.0 })),
        mean_of(|question| Some(question.exact_match)),
        mean_of(|question| Some(question.quasi_exact_match)),
        mean_of(|question| Some(question.prefix_exact_match)),
        mean_of(|question| Some(question.quasi_prefix_exact_match)),
        mean_of(|question| Some(question.f1)),
        mean_of(|question| question.confidence),
        calibration.ece,
        calibration.brier,
        bits_per_byte(evaluated),
        per_question(sum_of(|request| request.tokens.map(f64::from))),
        per_question(sum_of(|request| request.seconds)),
        Some(evaluated.len() as f64),
    ])
}

/// Bits that the right options cost by the byte, each in its first request; `None` where nothing has
/// a log probability.
fn bits_per_byte(evaluated: &[Evaluated<'_>]) -> Option<f64> {
    let (mut sum, mut bytes) = (0.0, 0.0);
    for question in evaluated {
        for (option, number) in question.instance.references.iter().zip(0..) {
            let request =
                question.requests.iter().find(|request| request.reference == Some(number));
            // A letter is not the option.
            let whole = |request: &&Request| option.correct && request.completion == option.text;
            if let Some(request) = request.filter(whole)
                && let Some(log_probability) = request.log_probability
            {
                sum += log_probability;
                bytes += request.completion.len() as f64;
            }
        }
    }
    (bytes > 0.0).then(|| -sum / (bytes * std::f64::consts::LN_2))
}
