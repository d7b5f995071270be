//! From questions to scores: which questions a run has, what is asked, what comes out.

use analysis::{
    Binning, Bootstrap, CalibrationColumns, CalibrationOptions, Selection, SelectiveAccuracy,
    calibration, reliability, selective_accuracy, standard_error,
};
use envs::{Purpose, Streams};
use language_models::{Answer, Request};
use polars::prelude::{DataFrame, DataType, PolarsError, df};
use rand::seq::SliceRandom;

use super::adapter::{Asked, NO, YES, letter};
use super::config::{
    Adapter, AnswerNormalization, AnswerScore, CalibrationOutcome, ChoiceLength, ChoiceTies,
    CompletionChoice, EvaluationConfig, RankingMeasure, SelectiveForm, ZeroLogProbability,
};
use super::harms::Toxicity;
use super::sources::{Instance, Recorded, Reference, TRAIN};
use super::{answers, ranking};

/// A request and a text that came back.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Exchange {
    /// The option that it is about.
    pub option: Option<u32>,
    /// Whether it says how likely the option is without the question.
    pub calibration: bool,
    pub prompt: String,
    pub completion: String,
    /// Natural logarithm.
    pub log_probability: Option<f64>,
    pub tokens: Option<u32>,
    pub seconds: Option<f64>,
    pub finish_reason: Option<String>,
}

/// HELM's measures of a completion, whatever the choices of the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measures {
    pub exact_match: f64,
    pub quasi_exact_match: f64,
    pub prefix_exact_match: f64,
    pub quasi_prefix_exact_match: f64,
    pub f1: f64,
}

/// A question with its scores.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Evaluated<'a> {
    pub instance: &'a Instance,
    pub exchanges: Vec<Exchange>,
    /// What each letter stood for, where options were listed with letters.
    pub letters: Option<Vec<(String, String)>>,
    /// What was compared; `None` where there was nothing.
    pub answer: Option<String>,
    pub score: f64,
    /// `None` where nothing is answered.
    pub measures: Option<Measures>,
    pub confidence: Option<f64>,
    /// Whether the answer is right, where confidences are compared with outcomes; `None` where it is in
    /// part.
    pub outcome: Option<bool>,
    /// `None` where nobody says.
    pub toxicity: Option<Toxicity>,
}

/// The questions of a replicate, in their order, and those that can be examples for them. `None` where
/// there is no such part.
pub(super) fn part<'a>(
    instances: &'a [Instance],
    config: &EvaluationConfig,
    study_seed: u64,
    replicate: u64,
) -> Option<(Vec<&'a Instance>, Vec<&'a Instance>)> {
    let (training, questions): (Vec<&Instance>, Vec<&Instance>) =
        instances.iter().partition(|instance| instance.split == TRAIN);
    let parts = u64::from(config.evaluation_parts);
    if parts == 1 {
        return Some((questions, training));
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
    let (mine, others): (Vec<&Instance>, Vec<&Instance>) = questions.into_iter().partition(mine);
    Some((mine, if training.is_empty() { others } else { training }))
}

/// Scores the recorded answer to a question. `None` where there is none.
pub(super) fn recorded<'a>(
    instance: &'a Instance,
    config: &EvaluationConfig,
) -> Option<Evaluated<'a>> {
    Some(match instance.recorded.as_ref()? {
        Recorded::Completion { prompt, text, log_probability, tokens, seconds, letters } => {
            let zero = log_probability.is_some_and(|sum| sum == 0.0);
            let kept = !zero || config.zero_log_probability == ZeroLogProbability::Certain;
            let exchange = Exchange {
                option: None,
                calibration: false,
                prompt: prompt.clone(),
                completion: text.clone(),
                log_probability: log_probability.filter(|_| kept),
                tokens: *tokens,
                seconds: *seconds,
                finish_reason: None,
            };
            completed(instance, config, letters.as_deref(), vec![exchange])
        }
        Recorded::Completions { exchanges, letters } => {
            completed(instance, config, letters.as_deref(), known(config, exchanges))
        }
        Recorded::ScoredOptions { exchanges } => {
            let exchanges = known(config, exchanges);
            let scores = option_scores(instance, config, &exchanges);
            chosen(instance, config, exchanges, scores)
        }
        Recorded::ScoredText { exchanges } => modelled(instance, known(config, exchanges)),
        Recorded::Options { prompts, log_probabilities } => {
            let options = instance.references.iter().zip(0..);
            let exchange = |(((option, number), prompt), log_probability): (
                ((&Reference, u32), &String),
                &f64,
            )| Exchange {
                option: Some(number),
                calibration: false,
                prompt: prompt.clone(),
                completion: option.text.clone(),
                log_probability: Some(*log_probability),
                tokens: None,
                seconds: None,
                finish_reason: None,
            };
            let exchanges = options.zip(prompts).zip(log_probabilities).map(exchange).collect();
            chosen(instance, config, exchanges, log_probabilities.clone())
        }
    })
}

/// Recorded exchanges, without log probabilities that only stand for none.
fn known(config: &EvaluationConfig, exchanges: &[Exchange]) -> Vec<Exchange> {
    let certain = config.zero_log_probability == ZeroLogProbability::Certain;
    let kept = |exchange: &Exchange| {
        let log_probability = exchange.log_probability.filter(|sum| certain || *sum != 0.0);
        Exchange { log_probability, ..exchange.clone() }
    };
    exchanges.iter().map(kept).collect()
}

/// Scores the answers of a model to the requests that a question made.
pub(super) fn answered<'a>(
    instance: &'a Instance,
    config: &EvaluationConfig,
    asked: Vec<Asked>,
    answers: Vec<Answer>,
) -> Evaluated<'a> {
    let mut exchanges = Vec::new();
    for (asked, answer) in asked.into_iter().zip(answers) {
        let prompt = match asked.request {
            Request::Generate { prompt, .. } | Request::Score { prompt, .. } => prompt,
        };
        for (number, completion) in answer.completions.into_iter().enumerate() {
            exchanges.push(Exchange {
                option: asked.option,
                calibration: asked.calibration,
                prompt: prompt.clone(),
                completion: completion.text,
                log_probability: completion.log_probability,
                tokens: completion.tokens,
                // All completions of a prompt came together.
                seconds: answer.seconds.filter(|_| number == 0),
                finish_reason: completion.finish_reason,
            });
        }
    }
    match config.adapter {
        Adapter::Generation => completed(instance, config, None, exchanges),
        Adapter::Joint => {
            let letters = instance.references.iter().enumerate();
            let letters: Vec<(String, String)> = letters
                .map(|(place, option)| (letter(place).to_owned(), option.text.clone()))
                .collect();
            completed(instance, config, Some(&letters), exchanges)
        }
        Adapter::LanguageModeling => modelled(instance, exchanges),
        Adapter::Ranking => ranked(instance, config, exchanges),
        Adapter::Letters | Adapter::Separate | Adapter::SeparateCalibrated => {
            let scores = option_scores(instance, config, &exchanges);
            chosen(instance, config, exchanges, scores)
        }
    }
}

/// The score of every option: its log probability, as the configuration wants it.
fn option_scores(
    instance: &Instance,
    config: &EvaluationConfig,
    exchanges: &[Exchange],
) -> Vec<f64> {
    let of = |option: u32, calibration: bool| {
        exchanges
            .iter()
            .find(|exchange| exchange.option == Some(option) && exchange.calibration == calibration)
    };
    let score = |option: u32| {
        let exchange = of(option, false);
        let sum = exchange.and_then(|exchange| exchange.log_probability);
        let mut sum = sum.unwrap_or(f64::NEG_INFINITY);
        // Only a calibrated adapter has the option without the question.
        sum -= of(option, true).and_then(|alone| alone.log_probability).unwrap_or(0.0);
        let tokens = exchange.and_then(|exchange| exchange.tokens).unwrap_or(1).max(1);
        match config.choice_length {
            ChoiceLength::Tokens => sum / f64::from(tokens),
            ChoiceLength::None | ChoiceLength::Bytes => sum,
        }
    };
    (0_u32..).zip(&instance.references).map(|(option, _)| score(option)).collect()
}

/// A text that was scored by itself: its log probability by the byte is its score.
fn modelled(instance: &Instance, exchanges: Vec<Exchange>) -> Evaluated<'_> {
    let sum = exchanges.iter().map(|exchange| exchange.log_probability).sum::<Option<f64>>();
    // Texts are far shorter than 2^53 bytes.
    let bytes = exchanges.iter().map(|exchange| exchange.completion.len()).sum::<usize>();
    let bytes = bytes.max(1) as f64;
    Evaluated {
        instance,
        exchanges,
        letters: None,
        answer: None,
        score: sum.map_or(f64::NAN, |sum| sum / bytes),
        measures: None,
        confidence: None,
        outcome: None,
        toxicity: None,
    }
}

/// Scores the ranking of passages by what was said of each first. Without log probabilities, of two
/// passages of which the same was said the first comes first.
fn ranked<'a>(
    instance: &'a Instance,
    config: &EvaluationConfig,
    exchanges: Vec<Exchange>,
) -> Evaluated<'a> {
    let passages: Vec<ranking::Judged<'_>> = (0_u32..)
        .zip(&instance.references)
        .map(|(option, passage)| {
            let said = exchanges.iter().find(|exchange| exchange.option == Some(option));
            ranking::Judged {
                answer: said.map_or("", |said| said.completion.as_str()),
                log_probability: said.and_then(|said| said.log_probability).unwrap_or(0.0),
                relevance: u32::from(passage.correct),
            }
        })
        .collect();
    let order = ranking::order(&passages, YES, NO);
    let relevances: Vec<u32> = order.iter().map(|at| passages[*at].relevance).collect();
    let k = config.ranking_cutoff as usize;
    let score = match config.ranking_measure {
        RankingMeasure::ReciprocalRank => ranking::reciprocal_rank(&relevances, 1, k),
        RankingMeasure::Ndcg => ranking::ndcg(&relevances, &relevances, k),
        RankingMeasure::Recall => ranking::recall(&relevances, &relevances, 1, k),
        RankingMeasure::Success => f64::from(u8::from(ranking::success(&relevances, 1, k))),
    };
    let best = order.first().and_then(|at| instance.references.get(*at));
    Evaluated {
        instance,
        answer: best.map(|passage| passage.text.clone()),
        score,
        exchanges,
        letters: None,
        measures: None,
        confidence: None,
        outcome: None,
        toxicity: None,
    }
}

/// What a completion says, and how good that is.
struct Judged {
    whole: Option<String>,
    answer: Option<String>,
    normal: Option<String>,
    score: f64,
}

/// Scores completions.
fn completed<'a>(
    instance: &'a Instance,
    config: &EvaluationConfig,
    letters: Option<&[(String, String)]>,
    exchanges: Vec<Exchange>,
) -> Evaluated<'a> {
    // A letter stands for its option; one that stands for none is no answer.
    let mapped = |answer: &str| match letters {
        None => Some(answer.to_owned()),
        Some(letters) => {
            let found = letters.iter().find(|(letter, _)| letter == answer);
            found.map(|(_, option)| option.clone())
        }
    };
    let gold = || {
        let correct = instance.references.iter().filter(|reference| reference.correct);
        correct.map(|reference| reference.text.as_str())
    };
    let judged = |exchange: &Exchange| {
        let text = &exchange.completion;
        let answer = answers::extract(text, config.answer_extraction).and_then(mapped);
        let normal = answer.as_deref();
        let normal = normal.map(|answer| answers::normalize(answer, config.answer_normalization));
        let score = answers::score(
            gold(),
            answer.as_deref(),
            config.answer_normalization,
            config.answer_score,
        );
        Judged { whole: mapped(text.trim()), answer, normal, score }
    };
    let all: Vec<Judged> = exchanges.iter().map(judged).collect();
    let (place, votes) = choose(config.completion_choice, &all, &exchanges);
    let Some(best) = all.get(place) else {
        return chosen(instance, config, exchanges, Vec::new());
    };
    let fixed =
        |normalization, score| answers::score(gold(), best.whole.as_deref(), normalization, score);
    let measures = Measures {
        exact_match: fixed(AnswerNormalization::Strip, AnswerScore::Match),
        quasi_exact_match: fixed(AnswerNormalization::Quasi, AnswerScore::Match),
        prefix_exact_match: fixed(AnswerNormalization::Strip, AnswerScore::PrefixMatch),
        quasi_prefix_exact_match: fixed(AnswerNormalization::Quasi, AnswerScore::PrefixMatch),
        f1: fixed(AnswerNormalization::Quasi, AnswerScore::F1Set),
    };
    Evaluated {
        instance,
        letters: letters.map(<[(String, String)]>::to_vec),
        answer: best.answer.clone(),
        score: best.score,
        measures: Some(measures),
        confidence: votes.or(exchanges[place].log_probability.map(f64::exp)),
        outcome: right(config, best.score, measures.exact_match),
        toxicity: None,
        exchanges,
    }
}

/// The place of the completion that counts, and the share of votes that it has.
fn choose(how: CompletionChoice, all: &[Judged], exchanges: &[Exchange]) -> (usize, Option<f64>) {
    // Of equals the first.
    let highest = |value: &dyn Fn(usize) -> f64| {
        (0..all.len()).reduce(|best, at| if value(at) > value(best) { at } else { best })
    };
    match how {
        CompletionChoice::First => (0, None),
        CompletionChoice::Likeliest => {
            let value = |at: usize| exchanges[at].log_probability.unwrap_or(f64::NEG_INFINITY);
            (highest(&value).unwrap_or(0), None)
        }
        CompletionChoice::Best => (highest(&|at| all[at].score).unwrap_or(0), None),
        CompletionChoice::Majority => {
            let votes = |at: usize| {
                let same = all.iter().filter(|other| other.normal == all[at].normal);
                // No more completions than 1,000.
                if all[at].normal.is_some() { same.count() as f64 } else { 0.0 }
            };
            let place = highest(&votes).unwrap_or(0);
            let share = if all.is_empty() { 0.0 } else { votes(place) / all.len() as f64 };
            (place, Some(share))
        }
    }
}

fn right(config: &EvaluationConfig, score: f64, exact_match: f64) -> Option<bool> {
    match config.calibration_outcome {
        CalibrationOutcome::Score if score > 0.0 && score < 1.0 => None,
        CalibrationOutcome::Score => Some(score >= 1.0),
        CalibrationOutcome::ExactMatch => Some(exact_match >= 1.0),
    }
}

/// Scores a choice between options.
fn chosen<'a>(
    instance: &'a Instance,
    config: &EvaluationConfig,
    exchanges: Vec<Exchange>,
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
        exchanges,
        letters: None,
        answer: answer.map(|option| option.text.clone()),
        score,
        measures: Some(Measures {
            exact_match: share,
            quasi_exact_match: share,
            prefix_exact_match: share,
            quasi_prefix_exact_match: share,
            f1: share,
        }),
        confidence: (!scores.is_empty() && highest.is_finite()).then(|| 1.0 / sum),
        outcome: right(config, score, share),
        toxicity: None,
    }
}

/// Calibration of a run.
#[derive(Debug, Default)]
pub(super) struct Calibration {
    /// `None` where no question has a confidence and an outcome.
    pub ece: Option<f64>,
    /// The same.
    pub brier: Option<f64>,
    /// Accuracy by confidence; the same.
    pub selective: Option<SelectiveAccuracy>,
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
    form: SelectiveForm,
) -> Result<Calibration, Box<dyn std::error::Error + Send + Sync>> {
    let known: Vec<&Evaluated<'_>> = evaluated
        .iter()
        .filter(|question| question.confidence.is_some() && question.outcome.is_some())
        .collect();
    if known.is_empty() {
        return Ok(Calibration::default());
    }
    let selection = match form {
        SelectiveForm::Expected => Selection::Expected,
        SelectiveForm::GivenOrder => Selection::GivenOrder,
    };
    let pairs = known.iter().filter_map(|question| Some((question.confidence?, question.outcome?)));
    let selective = selective_accuracy(&pairs.collect::<Vec<_>>(), selection)?;
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
    Ok(Calibration {
        ece: measure("ece")?,
        brier: measure("brier")?,
        selective,
        bins: bins.collect(),
    })
}

/// Metrics of a run, in the order of [`super::tables::METRICS`], of questions as they are.
pub(super) fn metrics(
    evaluated: &[Evaluated<'_>],
    calibration: &Calibration,
) -> Result<Vec<Option<f64>>, Box<dyn std::error::Error + Send + Sync>> {
    let mean_of = |pick: &dyn Fn(&Evaluated<'_>) -> Option<f64>| {
        let values: Vec<f64> = evaluated.iter().filter_map(pick).collect();
        analysis::mean(&values)
    };
    let measure =
        |pick: fn(&Measures) -> f64| mean_of(&|question| question.measures.as_ref().map(pick));
    let scores: Vec<f64> = evaluated.iter().map(|question| question.score).collect();
    let sum_of = |pick: fn(&Exchange) -> Option<f64>| -> Option<f64> {
        let all = evaluated.iter().flat_map(|question| &question.exchanges);
        let found: Vec<f64> = all.filter_map(pick).collect();
        (!found.is_empty()).then(|| found.iter().sum::<f64>())
    };
    let per_question = |sum: Option<f64>| sum.map(|sum| sum / evaluated.len() as f64);
    Ok(vec![
        mean_of(&|question| Some(question.score)),
        standard_error::<u8>(&scores, None)?,
        mean_of(&|question| Some(if question.answer.is_some() { 1.0 } else { 0.0 })),
        measure(|of| of.exact_match),
        measure(|of| of.quasi_exact_match),
        measure(|of| of.prefix_exact_match),
        measure(|of| of.quasi_prefix_exact_match),
        measure(|of| of.f1),
        mean_of(&|question| question.confidence),
        calibration.ece,
        calibration.brier,
        bits_per_byte(evaluated),
        per_question(sum_of(|exchange| exchange.tokens.map(f64::from))),
        per_question(sum_of(|exchange| exchange.seconds)),
        Some(evaluated.len() as f64),
        calibration.selective.map(|selective| selective.area),
        calibration.selective.map(|selective| selective.most_confident),
    ])
}

/// Bits that right options, or texts that were scored by themselves, cost by the byte; `None` where
/// nothing of the kind has a log probability.
fn bits_per_byte(evaluated: &[Evaluated<'_>]) -> Option<f64> {
    let (mut sum, mut bytes) = (0.0, 0.0);
    for question in evaluated {
        let references = &question.instance.references;
        for exchange in question.exchanges.iter().filter(|exchange| !exchange.calibration) {
            let text = exchange.completion.trim_start();
            let counts = match exchange.option {
                // A letter is not the option.
                Some(option) => references
                    .get(option as usize)
                    .is_some_and(|option| option.correct && option.text.trim_start() == text),
                None => question.measures.is_none(),
            };
            if let Some(log_probability) = exchange.log_probability.filter(|_| counts) {
                sum += log_probability;
                bytes += exchange.completion.len() as f64;
            }
        }
    }
    (bytes > 0.0).then(|| -sum / (bytes * std::f64::consts::LN_2))
}
