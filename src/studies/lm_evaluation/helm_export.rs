//! Evaluations as runs of HELM: a folder that `helm-summarize` reads.
//!
//! Each run becomes a folder with the five files of a HELM run, each arm a model, each task a group. The
//! statistics of a run are HELM's means by split and, under the split `all`, the run's own metrics, which
//! the schema beside the runs shows: HELM's tables then have the numbers of our report.
//!
//! Results hold how many tokens a text has and its log probability, but not where tokens begin: the first
//! token of a text holds all of it here, and the others are empty. A log probability that is not known is
//! 0, as in HELM.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use polars::prelude::{DataFrame, PolarsError};
use serde_json::{Map, Value, json};

use super::EvaluationConfig;
use super::helm_runs::STATE;
use crate::store::{Results, StoreError};
use crate::study::Run;

/// The suite that the runs are of.
const SUITE: &str = "ceteris";
/// The split of a run's own metrics.
const ALL: &str = "all";
/// Measures by question that HELM has under the same names, and ours.
const MEASURES: [&str; 6] = [
    "score",
    "exact_match",
    "quasi_exact_match",
    "prefix_exact_match",
    "quasi_prefix_exact_match",
    "f1_score",
];
/// Metrics of which lower is better.
const LOWER: [&str; 5] =
    ["ece_10_bin", "brier", "bits_per_byte", "score_standard_error", "request_seconds"];
/// Metrics without a better direction.
const NEITHER: [&str; 3] = ["confidence", "output_tokens", "questions"];

/// Why results could not be exported as runs of HELM.
#[derive(Debug, thiserror::Error)]
pub enum HelmExportError {
    /// The results cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A table does not hold what it should.
    #[error("cannot read the results: {0}")]
    Frame(#[from] PolarsError),
    /// The results are of another kind of study.
    #[error(
        "{} is of the kind {kind}; only results of lm-evaluation are runs of language models",
        path.display()
    )]
    Kind {
        /// The results directory.
        path: PathBuf,
        /// Their kind.
        kind: &'static str,
    },
    /// The export would overwrite something.
    #[error("{} exists already; remove it or choose another name for the export", path.display())]
    Exists {
        /// What is there.
        path: PathBuf,
    },
    /// The results were written before questions were stored with them.
    #[error(
        "the results hold no questions, because an earlier version wrote them; run the study again"
    )]
    NoQuestions,
    /// A file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// What was exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelmExported {
    /// Runs.
    pub runs: usize,
    /// Runs of the study file that are not stored, and therefore not there.
    pub missing: usize,
    /// Arms that score letters of options, for which HELM has no adapter: they are not there.
    pub left_out: Vec<String>,
    /// The command that makes HELM's tables of them.
    pub command: String,
}

/// Writes every stored run of an evaluation as a run of HELM below a folder that must not exist.
///
/// # Errors
/// When something has that name already, the results are of another kind or cannot be read, or a file
/// cannot be written.
pub fn export_to_helm(results: &Results, to: &Path) -> Result<HelmExported, HelmExportError> {
    let file = &results.plan.file;
    if file.study.kind() != "lm-evaluation" {
        let (path, kind) = (results.path().to_owned(), file.study.kind());
        return Err(HelmExportError::Kind { path, kind });
    }
    if to.symlink_metadata().is_ok() {
        return Err(HelmExportError::Exists { path: to.to_owned() });
    }
    let stored = Stored::read(results)?;
    let suite = to.join("runs").join(SUITE);
    let mut tasks = BTreeSet::new();
    let (mut runs, mut missing, mut left_out) = (0, 0, Vec::new());
    for member in &results.plan.members {
        let run = &results.plan.runs[member.run];
        let arm = &file.arms[member.arm].name;
        let Some(own) = stored.runs.get(run.id.as_ref()) else {
            missing += 1;
            continue;
        };
        let config: EvaluationConfig = run.configuration.read().unwrap_or_default();
        let task = config.evaluation_task.name();
        let exported = Exported { stored: &stored, run, arm, config, replicate: member.replicate };
        if exported.write(&suite, *own)? {
            tasks.insert(task);
            runs += 1;
        } else if left_out.last() != Some(arm) {
            left_out.push(arm.clone());
        }
    }
    // HELM warns of every run without a number that its schema names.
    let mut metrics = Vec::new();
    for metric in super::tables::METRICS {
        let column = stored.metrics.column(metric.name)?;
        if column.null_count() < column.len() {
            metrics.push(metric.name);
        }
    }
    write(&to.join("schema.json"), &schema(&tasks, &metrics))?;
    let shown = to.display();
    let command = format!(
        "helm-summarize --suite {SUITE} --output-path {shown} --schema-path {shown}/schema.json"
    );
    left_out.sort_unstable();
    left_out.dedup();
    Ok(HelmExported { runs, missing, left_out, command })
}

fn write(path: &Path, value: &Value) -> Result<(), HelmExportError> {
    let failed = |source| HelmExportError::Write { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    // Maps are ordered, so that the same results give the same bytes.
    let text = serde_json::to_string_pretty(value).map_err(io::Error::other).map_err(failed)?;
    std::fs::write(path, text).map_err(failed)
}

/// Rows of a table, a run's one after the other.
struct Rows {
    frame: DataFrame,
    /// Where each run's begin, and how many they are.
    of: BTreeMap<String, (usize, usize)>,
}

impl Rows {
    fn read(results: &Results, table: &str) -> Result<Self, HelmExportError> {
        // Sorted by run, and within one by question.
        let frame = results.table(table)?;
        let mut of: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for (row, id) in frame.column("run_id")?.str()?.iter().enumerate() {
            of.entry(id.unwrap_or_default().to_owned()).or_insert((row, 0)).1 += 1;
        }
        Ok(Self { frame, of })
    }

    fn of_run(&self, run: &Run) -> DataFrame {
        let (first, count) = self.of.get(run.id.as_ref()).copied().unwrap_or_default();
        self.frame.slice(i64::try_from(first).unwrap_or(i64::MAX), count)
    }
}

fn texts(frame: &DataFrame, column: &str) -> Result<Vec<Option<String>>, PolarsError> {
    Ok(frame.column(column)?.str()?.iter().map(|text| text.map(str::to_owned)).collect())
}

fn floats(frame: &DataFrame, column: &str) -> Result<Vec<Option<f64>>, PolarsError> {
    Ok(frame.column(column)?.f64()?.iter().collect())
}

fn whole(frame: &DataFrame, column: &str) -> Result<Vec<Option<u32>>, PolarsError> {
    Ok(frame.column(column)?.u32()?.iter().collect())
}

fn flags(frame: &DataFrame, column: &str) -> Result<Vec<Option<bool>>, PolarsError> {
    Ok(frame.column(column)?.bool()?.iter().collect())
}

/// The tables of a results directory.
struct Stored {
    instances: Rows,
    references: Rows,
    requests: Rows,
    metrics: DataFrame,
    /// The row of each run's metrics.
    runs: BTreeMap<String, usize>,
}

impl Stored {
    fn read(results: &Results) -> Result<Self, HelmExportError> {
        let metrics = results.runs()?;
        let ids = metrics.column("run_id")?.str()?;
        let runs = ids.iter().enumerate().map(|(row, id)| (id.unwrap_or_default().to_owned(), row));
        let runs = runs.collect();
        let instances = Rows::read(results, "instances")?;
        let inputs = instances.frame.column("input")?;
        if !inputs.is_empty() && inputs.null_count() == inputs.len() {
            return Err(HelmExportError::NoQuestions);
        }
        Ok(Self {
            references: Rows::read(results, "references")?,
            requests: Rows::read(results, "requests")?,
            instances,
            metrics,
            runs,
        })
    }
}

/// A text that a model was asked for or scored.
struct Exchanged {
    option: Option<u32>,
    calibration: bool,
    prompt: String,
    completion: String,
    log_probability: Option<f64>,
    tokens: Option<u32>,
    seconds: Option<f64>,
    finish_reason: Option<String>,
}

/// A possible answer.
struct Possible {
    text: String,
    correct: bool,
    letter: Option<String>,
}

/// A run on its way out.
struct Exported<'a> {
    stored: &'a Stored,
    run: &'a Run,
    arm: &'a str,
    config: EvaluationConfig,
    replicate: u64,
}

impl Exported<'_> {
    /// Its name, which is its folder's.
    fn name(&self) -> String {
        let task = self.config.evaluation_task.name();
        format!("{task}:arm={},replicate={}", self.arm, self.replicate).replace('/', "_")
    }

    /// The arm, as HELM names models.
    fn model(&self) -> String {
        format!("{SUITE}/{}", self.arm.replace('/', "_"))
    }

    /// Writes its folder; false where HELM has no adapter for it.
    fn write(&self, suite: &Path, row: usize) -> Result<bool, HelmExportError> {
        let instances = self.stored.instances.of_run(self.run);
        let references = by_instance(&self.stored.references.of_run(self.run), |frame| {
            let (texts, right) = (texts(frame, "text")?, flags(frame, "correct")?);
            let letters = self::texts(frame, "letter")?;
            let all = texts.into_iter().zip(right).zip(letters);
            Ok(all
                .map(|((text, correct), letter)| Possible {
                    text: text.unwrap_or_default(),
                    correct: correct == Some(true),
                    letter,
                })
                .collect())
        })?;
        let exchanges = by_instance(&self.stored.requests.of_run(self.run), exchanged)?;
        let Some(method) = method(&instances, &references, &exchanges)? else { return Ok(false) };
        let adapter = self.adapter(method);
        let task = self.config.evaluation_task.name();
        let folder = suite.join(self.name());
        write(
            &folder.join("run_spec.json"),
            &json!({
                "name": self.name(),
                "scenario_spec": { "class_name": format!("{SUITE}.{task}"), "args": {} },
                "adapter_spec": adapter,
                "metric_specs": [],
                "data_augmenter_spec": { "perturbation_specs": [] },
                "groups": [task],
            }),
        )?;
        write(
            &folder.join("scenario.json"),
            &json!({
                "name": task,
                "description": format!("{task} as an evaluation of Ceteris, arm {}", self.arm),
                "tags": [],
                "definition_path": "",
            }),
        )?;
        let questions = Questions::read(&instances)?;
        let mut states = Vec::new();
        let none = (Vec::new(), Vec::new());
        for place in 0..questions.ids.len() {
            let number = questions.numbers[place];
            let possible = references.get(&number).unwrap_or(&none.0);
            let instance = questions.instance(place, possible);
            let exchanges = exchanges.get(&number).unwrap_or(&none.1);
            self.states(method, &instance, possible, exchanges, &mut states);
        }
        let state = json!({ "adapter_spec": adapter, "request_states": states });
        write(&folder.join(STATE), &state)?;
        write(&folder.join("per_instance_stats.json"), &questions.statistics())?;
        write(&folder.join("stats.json"), &self.statistics(&questions, row)?)?;
        Ok(true)
    }

    /// What is known of how questions were put: nothing but the method where answers are recorded ones.
    fn adapter(&self, method: &str) -> Value {
        let config = &self.config;
        let mut adapter = json!({
            "method": method,
            "model": self.model(),
            "model_deployment": self.model(),
        });
        if config.language_model.is_asked()
            && let Some(adapter) = adapter.as_object_mut()
        {
            adapter.insert("instructions".into(), json!(config.prompt_instructions));
            adapter.insert("input_prefix".into(), json!(config.prompt_input_prefix));
            adapter.insert("output_prefix".into(), json!(config.prompt_output_prefix));
            adapter.insert("max_train_instances".into(), json!(config.few_shot_examples));
            adapter.insert("num_outputs".into(), json!(config.completions));
            adapter.insert("temperature".into(), json!(config.temperature));
            adapter.insert("max_tokens".into(), json!(config.max_tokens));
            adapter.insert("stop_sequences".into(), json!(self.stops()));
        }
        adapter
    }

    fn stops(&self) -> Vec<&str> {
        Some(self.config.stop_sequence.as_str())
            .filter(|stop| !stop.is_empty())
            .into_iter()
            .collect()
    }

    /// The requests about a question.
    fn states(
        &self,
        method: &str,
        instance: &Value,
        possible: &[Possible],
        exchanges: &[Exchanged],
        states: &mut Vec<Value>,
    ) {
        let texts = matches!(method, "generation" | "multiple_choice_joint");
        let mut rest = exchanges;
        while let Some(first) = rest.first() {
            // Several completions of a prompt follow each other.
            let same = |exchange: &&Exchanged| texts && exchange.prompt == first.prompt;
            let count = rest.iter().take_while(same).count().max(1);
            let (together, after) = rest.split_at(count);
            rest = after;
            let echoed = if texts { "" } else { first.prompt.as_str() };
            let completions: Vec<Value> =
                together.iter().map(|exchange| completion(echoed, exchange, !texts)).collect();
            let mut result = json!({
                "success": true,
                "embedding": [],
                "completions": completions,
                "cached": false,
            });
            let mut state = json!({
                "instance": instance,
                "train_trial_index": 0,
                "request": self.request(first, !texts),
                "num_train_instances": self.config.few_shot_examples,
                "prompt_truncated": false,
                "num_conditioning_tokens": 0,
            });
            if let (Some(result), Some(seconds)) = (result.as_object_mut(), first.seconds) {
                result.insert("request_time".into(), json!(seconds));
            }
            if let Some(state) = state.as_object_mut() {
                state.insert("result".into(), result);
                if let Some(option) = first.option {
                    state.insert("reference_index".into(), json!(option));
                    let mode = if first.calibration { "calibration" } else { "original" };
                    state.insert("request_mode".into(), json!(mode));
                }
                if method == "multiple_choice_joint" {
                    let letter = |of: &Possible| Some((of.letter.clone()?, json!(of.text)));
                    let mapping: Map<String, Value> = possible.iter().filter_map(letter).collect();
                    state.insert("output_mapping".into(), Value::Object(mapping));
                }
            }
            states.push(state);
        }
    }

    fn request(&self, exchange: &Exchanged, echo: bool) -> Value {
        let scored = if echo { exchange.completion.as_str() } else { "" };
        let mut request = json!({
            "model": self.model(),
            "model_deployment": self.model(),
            "embedding": false,
            "prompt": format!("{}{scored}", exchange.prompt),
            "echo_prompt": echo,
        });
        if let Some(request) = request.as_object_mut() {
            let config = &self.config;
            if echo {
                request.insert("max_tokens".into(), json!(0));
            } else if config.language_model.is_asked() {
                request.insert("temperature".into(), json!(config.temperature));
                request.insert("num_completions".into(), json!(config.completions));
                request.insert("max_tokens".into(), json!(config.max_tokens));
                request.insert("top_p".into(), json!(config.top_p));
                request.insert("stop_sequences".into(), json!(self.stops()));
            }
        }
        request
    }

    /// HELM's means by split, and the run's own metrics.
    fn statistics(&self, questions: &Questions, row: usize) -> Result<Value, HelmExportError> {
        let mut all = Vec::new();
        let splits: BTreeSet<&str> = questions.splits.iter().map(String::as_str).collect();
        for split in splits {
            for (name, values) in MEASURES.iter().zip(&questions.measures) {
                let here = values.iter().zip(&questions.splits).zip(&questions.perturbations);
                let here = here.filter(|((_, of), copy)| of.as_str() == split && copy.is_none());
                let values: Vec<f64> = here.filter_map(|((value, _), _)| *value).collect();
                all.extend(analysis::mean(&values).map(|mean| statistic(name, split, mean)));
            }
        }
        for metric in super::tables::METRICS {
            let value = floats(&self.stored.metrics, metric.name)?.get(row).copied().flatten();
            all.extend(value.map(|value| statistic(metric.name, ALL, value)));
        }
        Ok(Value::Array(all))
    }
}

/// How a run's questions were put, by HELM's name; `None` where letters stand for scored options.
fn method(
    instances: &DataFrame,
    references: &BTreeMap<u32, Vec<Possible>>,
    exchanges: &BTreeMap<u32, Vec<Exchanged>>,
) -> Result<Option<&'static str>, PolarsError> {
    let mut scored = false;
    for (number, exchanges) in exchanges {
        for exchange in exchanges {
            let Some(option) = exchange.option else { continue };
            scored = true;
            let possible = references.get(number).and_then(|all| all.get(option as usize));
            let text = possible.map_or("", |possible| possible.text.trim());
            if exchange.completion.trim() != text {
                return Ok(None);
            }
        }
    }
    let calibrated = exchanges.values().flatten().any(|exchange| exchange.calibration);
    let measures = instances.column("exact_match")?;
    Ok(Some(if scored && calibrated {
        "multiple_choice_separate_calibrated"
    } else if scored {
        "multiple_choice_separate_original"
    } else if measures.null_count() == measures.len() {
        "language_modeling"
    } else if references.values().flatten().any(|possible| possible.letter.is_some()) {
        "multiple_choice_joint"
    } else {
        "generation"
    }))
}

/// The rows of each question, which come one after the other.
fn by_instance<T>(
    frame: &DataFrame,
    read: impl Fn(&DataFrame) -> Result<Vec<T>, PolarsError>,
) -> Result<BTreeMap<u32, Vec<T>>, PolarsError> {
    let numbers = whole(frame, "instance")?;
    let mut all: BTreeMap<u32, Vec<T>> = BTreeMap::new();
    for (number, row) in numbers.into_iter().zip(read(frame)?) {
        all.entry(number.unwrap_or_default()).or_default().push(row);
    }
    Ok(all)
}

fn exchanged(frame: &DataFrame) -> Result<Vec<Exchanged>, PolarsError> {
    let (options, calibrations) = (whole(frame, "option")?, flags(frame, "calibration")?);
    let (prompts, completions) = (texts(frame, "prompt")?, texts(frame, "completion")?);
    let (sums, tokens) = (floats(frame, "log_probability")?, whole(frame, "tokens")?);
    let (seconds, reasons) = (floats(frame, "seconds")?, texts(frame, "finish_reason")?);
    let row = |row: usize| Exchanged {
        option: options[row],
        calibration: calibrations[row] == Some(true),
        prompt: prompts[row].clone().unwrap_or_default(),
        completion: completions[row].clone().unwrap_or_default(),
        log_probability: sums[row],
        tokens: tokens[row],
        seconds: seconds[row],
        finish_reason: reasons[row].clone(),
    };
    Ok((0..frame.height()).map(row).collect())
}

/// A completion, after what is echoed of its prompt. What is scored has a token at least.
fn completion(echoed: &str, exchange: &Exchanged, scored: bool) -> Value {
    // HELM has no word for a log probability that is not known.
    let sum = exchange.log_probability.unwrap_or(0.0);
    let token = |text: &str, logprob: f64| json!({ "text": text, "logprob": logprob });
    let mut tokens = Vec::new();
    if !echoed.is_empty() {
        tokens.push(token(echoed, 0.0));
    }
    if scored || exchange.tokens.is_some_and(|count| count > 0) {
        tokens.push(token(&exchange.completion, sum));
        tokens.extend((1..exchange.tokens.unwrap_or(1)).map(|_| token("", 0.0)));
    }
    let mut completion = json!({
        "text": format!("{echoed}{}", exchange.completion),
        "logprob": sum,
        "tokens": tokens,
    });
    if let (Some(completion), Some(reason)) = (completion.as_object_mut(), &exchange.finish_reason)
    {
        completion.insert("finish_reason".into(), json!({ "reason": reason }));
    }
    completion
}

/// A statistic of one value.
fn statistic(name: &str, split: &str, value: f64) -> Value {
    json!({
        "name": { "name": name, "split": split },
        "count": 1,
        "sum": value,
        "sum_squared": value * value,
        "min": value,
        "max": value,
        "mean": value,
        "variance": 0.0,
        "stddev": 0.0,
    })
}

/// The questions of a run.
struct Questions {
    numbers: Vec<u32>,
    ids: Vec<String>,
    splits: Vec<String>,
    inputs: Vec<String>,
    /// What makes each a copy, as HELM describes it.
    perturbations: Vec<Option<Value>>,
    /// One list for each of [`MEASURES`].
    measures: Vec<Vec<Option<f64>>>,
}

impl Questions {
    fn read(frame: &DataFrame) -> Result<Self, PolarsError> {
        let plain = |column: &str| -> Result<Vec<String>, PolarsError> {
            Ok(texts(frame, column)?.into_iter().map(Option::unwrap_or_default).collect())
        };
        let names = texts(frame, "perturbation")?;
        let aspects = flags(frame, "robustness")?.into_iter().zip(flags(frame, "fairness")?);
        let perturbation =
            |(name, (robustness, fairness)): (Option<String>, (Option<bool>, Option<bool>))| {
                Some(json!({
                    "name": name?,
                    "robustness": robustness == Some(true),
                    "fairness": fairness == Some(true),
                    "computed_on": "perturbed",
                }))
            };
        // Sources that have no splits are tests.
        let split = |split: String| if split.is_empty() { "test".to_owned() } else { split };
        Ok(Self {
            numbers: whole(frame, "instance")?.into_iter().map(Option::unwrap_or_default).collect(),
            ids: plain("instance_id")?,
            splits: plain("split")?.into_iter().map(split).collect(),
            inputs: plain("input")?,
            perturbations: names.into_iter().zip(aspects).map(perturbation).collect(),
            measures: MEASURES.iter().map(|name| floats(frame, name)).collect::<Result<_, _>>()?,
        })
    }

    fn instance(&self, place: usize, possible: &[Possible]) -> Value {
        let reference = |of: &Possible| {
            let tags: &[&str] = if of.correct { &["correct"] } else { &[] };
            json!({ "output": { "text": of.text }, "tags": tags })
        };
        let mut instance = json!({
            "input": { "text": self.inputs[place] },
            "references": possible.iter().map(reference).collect::<Vec<Value>>(),
            "split": self.splits[place],
            "id": self.ids[place],
        });
        if let (Some(instance), Some(copy)) = (instance.as_object_mut(), &self.perturbations[place])
        {
            instance.insert("perturbation".into(), copy.clone());
        }
        instance
    }

    /// HELM's `per_instance_stats.json`.
    fn statistics(&self) -> Value {
        let of = |place: usize| {
            let values = MEASURES.iter().zip(&self.measures);
            let stats: Vec<Value> = values
                .filter_map(|(name, values)| {
                    Some(statistic(name, &self.splits[place], values[place]?))
                })
                .collect();
            let mut row = json!({
                "instance_id": self.ids[place],
                "train_trial_index": 0,
                "stats": stats,
            });
            if let (Some(row), Some(copy)) = (row.as_object_mut(), &self.perturbations[place]) {
                row.insert("perturbation".into(), copy.clone());
            }
            row
        };
        Value::Array((0..self.ids.len()).map(of).collect())
    }
}

/// The schema by which HELM shows the runs: one group a task, one table of the runs' own metrics.
fn schema(tasks: &BTreeSet<&str>, metrics: &[&str]) -> Value {
    let field = |name: &str| json!({ "name": name, "display_name": name, "description": name });
    let metric = |name: &&str| {
        let mut field = field(name);
        if let Some(field) = field.as_object_mut()
            && !NEITHER.contains(name)
        {
            field.insert("lower_is_better".into(), json!(LOWER.contains(name)));
        }
        field
    };
    let shown: Vec<Value> =
        metrics.iter().map(|name| json!({ "name": name, "split": ALL })).collect();
    let group = |task: &&str| {
        let mut group = field(task);
        if let Some(group) = group.as_object_mut() {
            group.insert("metric_groups".into(), json!(["metrics"]));
            group.insert("environment".into(), json!({ "main_name": "score", "main_split": ALL }));
        }
        group
    };
    let mut metric_group = field("metrics");
    if let Some(group) = metric_group.as_object_mut() {
        group.insert("metrics".into(), json!(shown));
        group.insert("aggregation_strategies".into(), json!([]));
    }
    json!({
        "metrics": metrics.iter().map(metric).collect::<Vec<Value>>(),
        "perturbations": [],
        "metric_groups": [metric_group],
        "run_groups": tasks.iter().map(group).collect::<Vec<Value>>(),
    })
}
