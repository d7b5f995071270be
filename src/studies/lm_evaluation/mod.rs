//! Evaluations of language models, after "Holistic Evaluation of Language Models" (Liang et al., TMLR
//! 2023): questions, answers and the choices by which answers become numbers, each a field, so that an
//! ablation of the evaluation is a study like any other.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::Ordering;

use envs::{Purpose, Streams};
use flags::{Field, SetError};
use language_models::endpoint::Api;
use language_models::{Answer, Endpoint, LanguageModel, Ngram, Request, Uniform};
use rand::Rng;

use super::{
    CohortContext, CohortOutcome, Column, ColumnType, Configuration, Cost, CurveView, Device,
    Problem, Progress, Publication, ReplicateUnit, RunOutcome, RunStatus, Study, StudyError, Table,
    Tolerance,
};
use crate::data::DataSet;
use crate::study::Run;

mod adapter;
mod answers;
mod ask;
mod config;
mod evaluate;
mod harms;
mod helm_export;
mod helm_runs;
mod local;
mod overlap;
mod perturbations;
mod perturbed;
mod python_random;
mod questions;
mod ranking;
mod settings;
mod sources;
mod tables;
mod tokens;
mod unzip;
mod words;

use adapter::{Asked, Prompter};
use ask::Keeping;
pub use config::EvaluationConfig;
use config::{Adapter, EndpointApi, LanguageModelName, NgramText};
use evaluate::Evaluated;
use harms::{Toxicity, ToxicityScorer};
pub use helm_export::{HelmExportError, HelmExported, export_to_helm};
pub use settings::SettingsError;
use sources::Instance;
pub use sources::SourceError;
pub use unzip::UnzipError;
use words::Words;

/// The study.
pub struct LmEvaluation;

/// Streams of a replicate from here on choose examples, one a draw. The first one cuts questions into
/// parts.
const FEW_SHOT: u64 = 1 << 32;
/// Streams from here on are those of completions, one a question.
const SAMPLING: u64 = 1 << 33;

fn read(configuration: &Configuration) -> Result<EvaluationConfig, Vec<Problem>> {
    let config: EvaluationConfig = configuration.read()?;
    let problems = config.problems();
    if problems.is_empty() { Ok(config) } else { Err(problems) }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StudyError {
    StudyError::Failed(error.into())
}

/// What runs of a cohort share: questions by paradigm, n-gram models by what they are trained on.
#[derive(Default)]
struct Shared {
    instances: BTreeMap<String, Vec<sources::Instance>>,
    models: BTreeMap<&'static str, Ngram>,
    /// Every grammatical sentence of BLiMP with its term, once one is asked for.
    sentences: Vec<(&'static str, String)>,
    /// Changed forms of the instances, by paradigm and by how they are changed.
    changed: BTreeMap<(String, String), Vec<Instance>>,
    /// Word lists, once bias is measured.
    words: Option<Words>,
    /// Whoever says how toxic texts are, by name and by the hash of a file.
    scorers: BTreeMap<(&'static str, String), Box<dyn ToxicityScorer>>,
}

/// A model and the places of the questions that it is asked.
type AskedBy<'a> = (Box<dyn LanguageModel + 'a>, Vec<usize>);

impl Shared {
    /// Who is asked which of the questions.
    fn asked_by<'a>(
        &'a self,
        config: &EvaluationConfig,
        questions: &[&Instance],
        run: &Run,
        threads: usize,
    ) -> Result<Vec<AskedBy<'a>>, StudyError> {
        let all = || (0..questions.len()).collect();
        Ok(match config.language_model {
            LanguageModelName::Ngram => {
                let mut of: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
                for (place, question) in questions.iter().enumerate() {
                    of.entry(Self::text(config, question)).or_default().push(place);
                }
                let model = |text| self.models.get(text).map(|model| Box::new(model) as Box<_>);
                of.into_iter().filter_map(|(text, places)| Some((model(text)?, places))).collect()
            }
            model if model.is_network() => {
                vec![(Box::new(local::network(config, threads)?), all())]
            }
            LanguageModelName::Endpoint => {
                let endpoint = Endpoint {
                    url: config.endpoint_url.clone(),
                    model: config.endpoint_model.clone(),
                    api: match config.endpoint_api {
                        EndpointApi::Chat => Api::Chat,
                        EndpointApi::Completions => Api::Completions,
                    },
                    log_probabilities: config.endpoint_log_probabilities,
                    key: settings::key(),
                    settings: settings::settings().map_err(failed)?,
                };
                vec![(Box::new(endpoint), all())]
            }
            _ => vec![(Box::new(Uniform { seed: run.replicate }), all())],
        })
    }

    /// What an n-gram model for an instance is trained on: a term that is left out, or a text.
    fn text(config: &EvaluationConfig, instance: &sources::Instance) -> &'static str {
        match config.ngram_text {
            NgramText::Gsm8kQuestions => "gsm8k-questions",
            NgramText::BlimpOtherTerms => sources::term_of(instance).unwrap_or("none"),
        }
    }

    fn scorer_key(config: &EvaluationConfig) -> (&'static str, String) {
        (config.toxicity_scorer.name(), config.toxicity_scores_sha256.clone())
    }

    /// The changed forms of some questions, with the places of those.
    fn changed_of<'a>(
        &'a self,
        config: &EvaluationConfig,
        questions: &[&Instance],
    ) -> Vec<(usize, &'a Instance)> {
        let key = (config.blimp_paradigm.clone(), perturbed::key(config));
        let all = self.changed.get(&key).map_or(&[][..], Vec::as_slice);
        if all.is_empty() {
            return Vec::new();
        }
        let places: BTreeMap<&str, usize> =
            questions.iter().enumerate().map(|(at, of)| (of.id.as_str(), at)).collect();
        let place = |changed: &'a Instance| Some((*places.get(changed.id.as_str())?, changed));
        all.iter().filter_map(place).collect()
    }

    fn prepare(&mut self, config: &EvaluationConfig) -> Result<(), sources::SourceError> {
        let key = &config.blimp_paradigm;
        if let Entry::Vacant(place) = self.instances.entry(key.clone()) {
            place.insert(sources::instances(config)?);
        }
        let changed = (key.clone(), perturbed::key(config));
        if let (Some(instances), false) =
            (self.instances.get(key), self.changed.contains_key(&changed))
        {
            self.changed.insert(changed, perturbed::changed(instances, config)?);
        }
        if config.measure_bias && self.words.is_none() {
            self.words = Some(Words::read()?);
        }
        if let Entry::Vacant(place) = self.scorers.entry(Self::scorer_key(config))
            && let Some(scorer) = harms::scorer(config)?
        {
            place.insert(scorer);
        }
        if config.language_model != LanguageModelName::Ngram {
            return Ok(());
        }
        let order = config.ngram_order as usize;
        for instance in self.instances.get(key).into_iter().flatten() {
            let text = Self::text(config, instance);
            if self.models.contains_key(text) {
                continue;
            }
            let model = match config.ngram_text {
                NgramText::Gsm8kQuestions => {
                    let questions = sources::gsm8k_questions()?;
                    let questions = questions.iter().map(String::as_str);
                    Ngram::train(text, questions, order, config.ngram_discount)
                }
                NgramText::BlimpOtherTerms => {
                    if self.sentences.is_empty() {
                        self.sentences = sources::blimp_sentences()?;
                    }
                    let others = self.sentences.iter().filter(|(term, _)| *term != text);
                    let others = others.map(|(_, sentence)| sentence.as_str());
                    Ngram::train(
                        &format!("blimp without {text}"),
                        others,
                        order,
                        config.ngram_discount,
                    )
                }
            };
            self.models.insert(text, model);
        }
        Ok(())
    }
}

/// The questions of a run with their scores.
fn evaluated<'a>(
    run: &Run,
    config: &EvaluationConfig,
    shared: &'a Shared,
    context: &CohortContext<'_>,
) -> Result<Vec<Evaluated<'a>>, StudyError> {
    let instances = shared.instances.get(&config.blimp_paradigm);
    let instances = instances.map_or(&[][..], Vec::as_slice);
    let part = evaluate::part(instances, config, context.study_seed, run.replicate);
    let (mut questions, candidates) = part.ok_or_else(|| {
        StudyError::Invalid(format!(
            "replicate {} has no questions, since they are cut into {} parts: set \
             `evaluation_parts` to the number of replicates, or to 1",
            run.replicate, config.evaluation_parts
        ))
    })?;
    if !config.language_model.is_asked() {
        // Changed forms come last.
        questions.sort_by_key(|question| question.change.is_some());
        let all: Vec<_> = questions
            .into_iter()
            .filter_map(|instance| evaluate::recorded(instance, config))
            .collect();
        (context.progress)(Progress { steps: all.len() as u64, headline: None });
        return Ok(all);
    }
    let streams = Streams { study_seed: context.study_seed, replicate: run.replicate };
    let wanted = config.few_shot_examples as usize;
    let draw = FEW_SHOT + u64::from(config.few_shot_draw);
    let examples =
        adapter::examples(&candidates, wanted, &mut streams.rng(Purpose::Evaluation, draw));
    if examples.len() < wanted {
        return Err(StudyError::Invalid(format!(
            "{wanted} examples are wanted and there are {} questions to take them from: set \
             `few_shot_examples` lower, or give questions of the split \"train\"",
            examples.len()
        )));
    }
    let lists = matches!(config.adapter, Adapter::Joint | Adapter::Letters);
    let too_many = |question: &&&Instance| question.references.len() > adapter::LETTERS.len();
    if let Some(question) = questions.iter().find(too_many).filter(|_| lists) {
        return Err(StudyError::Invalid(format!(
            "the question {} has {} options, and there are letters for 26: set `adapter` to \
             \"separate\"",
            question.id,
            question.references.len()
        )));
    }
    let prompter = Prompter::new(config, &examples);
    // A changed form is asked after all questions, with the draws of its question.
    let changed = shared.changed_of(config, &questions);
    let mut numbers: Vec<u64> = (0..).zip(&questions).map(|(number, _)| number).collect();
    for (place, changed) in changed {
        numbers.push(numbers[place]);
        questions.push(changed);
    }
    let mut asked: Vec<Vec<Asked>> = Vec::with_capacity(questions.len());
    for (number, instance) in numbers.into_iter().zip(&questions) {
        let seed = streams.rng(Purpose::Evaluation, SAMPLING + number).next_u64();
        asked.push(prompter.requests(instance, seed));
    }
    let mut answers: Vec<Vec<Answer>> = asked.iter().map(|_| Vec::new()).collect();
    // Questions of one n-gram model after those of another; every other model answers all.
    for (model, places) in shared.asked_by(config, &questions, run, context.threads)? {
        let requests: Vec<Request> = places
            .iter()
            .flat_map(|place| asked[*place].iter().map(|asked| asked.request.clone()))
            .collect();
        let mut told = || (context.progress)(Progress { steps: 1, headline: None });
        let found = if config.language_model.is_costly() {
            let keeping =
                Keeping { journal: context.journal, repeatable: config.language_model.repeats() };
            ask::once(model.as_ref(), &requests, keeping, context.stop, &mut told)?
        } else {
            let found = ask::directly(model.as_ref(), &requests, context.stop)?;
            (context.progress)(Progress { steps: found.len() as u64, headline: None });
            found
        };
        let mut found = found.into_iter();
        for place in places {
            answers[place] = found.by_ref().take(asked[place].len()).collect();
        }
    }
    let together = questions.into_iter().zip(asked).zip(answers);
    let scored = together
        .map(|((instance, asked), answers)| evaluate::answered(instance, config, asked, answers));
    Ok(scored.collect())
}

impl Study for LmEvaluation {
    fn kind(&self) -> &'static str {
        "lm-evaluation"
    }

    fn about(&self) -> &'static str {
        "Holistic Evaluation of Language Models (Liang et al., TMLR 2023): questions, answers and every \
         choice by which answers become numbers"
    }

    fn publication(&self) -> Option<&'static Publication> {
        Some(&Publication {
            key: "liang-2023-holistic",
            authors: &[
                "Liang, Percy",
                "Bommasani, Rishi",
                "Lee, Tony",
                "Tsipras, Dimitris",
                "Soylu, Dilara",
                "Yasunaga, Michihiro",
                "Zhang, Yian",
                "Narayanan, Deepak",
                "Wu, Yuhuai",
                "Kumar, Ananya",
                "Newman, Benjamin",
                "Yuan, Binhang",
                "Yan, Bobby",
                "Zhang, Ce",
                "Cosgrove, Christian Alexander",
                "Manning, Christopher D",
                "Re, Christopher",
                "Acosta-Navas, Diana",
                "Hudson, Drew Arad",
                "Zelikman, Eric",
                "Durmus, Esin",
                "Ladhak, Faisal",
                "Rong, Frieda",
                "Ren, Hongyu",
                "Yao, Huaxiu",
                "Wang, Jue",
                "Santhanam, Keshav",
                "Orr, Laurel",
                "Zheng, Lucia",
                "Yuksekgonul, Mert",
                "Suzgun, Mirac",
                "Kim, Nathan",
                "Guha, Neel",
                "Chatterji, Niladri S.",
                "Khattab, Omar",
                "Henderson, Peter",
                "Huang, Qian",
                "Chi, Ryan Andrew",
                "Xie, Sang Michael",
                "Santurkar, Shibani",
                "Ganguli, Surya",
                "Hashimoto, Tatsunori",
                "Icard, Thomas",
                "Zhang, Tianyi",
                "Chaudhary, Vishrav",
                "Wang, William",
                "Li, Xuechen",
                "Mai, Yifan",
                "Zhang, Yuhui",
                "Koreeda, Yuta",
            ],
            title: "Holistic Evaluation of Language Models",
            proceedings: "Transactions on Machine Learning Research",
            year: 2023,
            url: "https://openreview.net/forum?id=iO4LZibEqW",
        })
    }

    fn numerics_version(&self) -> u32 {
        2
    }

    fn fields(&self) -> &'static [Field] {
        EvaluationConfig::FIELDS
    }

    fn defaults(&self) -> Configuration {
        Configuration::of(&EvaluationConfig::default())
    }

    fn set(
        &self,
        configuration: &mut Configuration,
        name: &str,
        value: &flags::Value,
    ) -> Result<(), SetError> {
        configuration.set::<EvaluationConfig>(name, value)
    }

    fn check(&self, configuration: &Configuration) -> Vec<Problem> {
        read(configuration).err().unwrap_or_default()
    }

    fn exact(&self, configuration: &Configuration) -> bool {
        read(configuration).is_ok_and(|config| config.is_exact())
    }

    fn replicate_unit(&self, configuration: &Configuration) -> ReplicateUnit {
        match read(configuration) {
            Ok(config) if config.evaluation_parts > 1 => {
                ReplicateUnit { one: "part of the questions", many: "parts of the questions" }
            }
            _ => ReplicateUnit::SEEDS,
        }
    }

    fn replicate_limit(&self, configuration: &Configuration) -> Option<(u64, &'static str)> {
        let parts = u64::from(read(configuration).ok()?.evaluation_parts);
        (parts > 1).then_some((parts, "evaluation_parts"))
    }

    fn cost(&self, configuration: &Configuration) -> Cost {
        let steps = read(configuration).map_or(0, |config| config.requests());
        // Far below 2^53.
        Cost { steps, weight: steps as f64 }
    }

    fn cohort_key(&self, configuration: &Configuration) -> String {
        // What decides questions and models, so that a cohort reads and trains them once.
        let shapes = configuration.iter().filter(|(field, _)| field.shape);
        let split = configuration.get("evaluation_split");
        let values = shapes.map(|(_, value)| value).chain(split);
        // Paradigms of a term share the model that was trained on the others.
        let term = match configuration.get("blimp_paradigm") {
            Some(flags::Value::Text(paradigm)) => sources::term(paradigm).unwrap_or("all"),
            _ => "all",
        };
        let values = values.map(|value| format!("{value:?}")).chain([term.to_owned()]);
        values.collect::<Vec<String>>().join(" ")
    }

    fn cohort_width(&self, _device: &Device) -> usize {
        64
    }

    fn step_unit(&self) -> &'static str {
        "requests"
    }

    fn calibration(&self, configuration: &Configuration) -> Configuration {
        let mut cheaper = configuration.clone();
        // A server may charge for every answer. What it takes to wait for it is not known before.
        let name = "language_model";
        let named = |model: LanguageModelName| flags::Value::Text(model.name().to_owned());
        if configuration.get(name) == Some(&named(LanguageModelName::Endpoint)) {
            cheaper.replace(name, named(LanguageModelName::Uniform));
        }
        cheaper
    }

    fn metrics(&self) -> &'static [Column] {
        tables::METRICS
    }

    fn tables(&self) -> &'static [Table] {
        tables::TABLES
    }

    fn run_cohort(
        &self,
        runs: &[&Run],
        context: &CohortContext<'_>,
    ) -> Result<CohortOutcome, StudyError> {
        let mut shared = Shared::default();
        let mut configs = Vec::with_capacity(runs.len());
        for run in runs {
            let config =
                read(&run.configuration).map_err(|problems| StudyError::invalid(&problems))?;
            shared.prepare(&config).map_err(failed)?;
            configs.push(config);
        }
        let mut outcomes = Vec::with_capacity(runs.len());
        let mut all = Vec::with_capacity(runs.len());
        for (run, config) in runs.iter().zip(&configs) {
            if context.stop.load(Ordering::Relaxed) {
                return Err(StudyError::Interrupted);
            }
            let mut evaluated = evaluated(run, config, &shared, context)?;
            if let Some(scorer) = shared.scorers.get(&Shared::scorer_key(config)) {
                for question in &mut evaluated {
                    let toxicity = Toxicity::of(question, scorer.as_ref(), config.toxic_share);
                    question.toxicity = Some(toxicity);
                }
            }
            // Changed forms come last.
            let unchanged =
                evaluated.partition_point(|question| question.instance.change.is_none());
            let questions = &evaluated[..unchanged];
            let calibration =
                evaluate::calibrated(questions, config.selective_form).map_err(failed)?;
            let mut metrics = evaluate::metrics(questions, &calibration).map_err(failed)?;
            let words = shared.words.as_ref().filter(|_| config.measure_bias);
            metrics.extend(harms::metrics(questions, words.map(|words| &words.bias)));
            metrics.extend(perturbed::metrics(&evaluated, config));
            let headline = metrics.first().copied().flatten();
            (context.progress)(Progress { steps: 0, headline });
            outcomes.push(RunOutcome { status: RunStatus::Finished, metrics });
            let effects = perturbed::effects(&evaluated, config);
            let bins = calibration.bins;
            all.push(tables::Rows { run, questions: evaluated, effects, bins });
        }
        let tables = tables::frames(&all).map_err(failed)?;
        Ok(CohortOutcome { runs: outcomes, tables })
    }

    fn data(&self) -> &'static [DataSet] {
        sources::DATA
    }

    fn views(&self) -> &'static [CurveView] {
        &[CurveView {
            table: "reliability",
            x: "bin_middle",
            x_label: "confidence",
            y: "accuracy",
            y_label: "share of right answers",
        }]
    }
}
