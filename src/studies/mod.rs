//! The registry of studies: one module a study, one row here.
//!
//! A study says which configuration fields exist, which presets, how a cohort of runs is executed
//! and which tables it leaves. Everything else (study files, plans, resume, storage, statistics,
//! reports) is shared and knows no study by name.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

pub use flags::Problem;
use flags::{Field, Flags, SetError, Value};
use polars::prelude::DataFrame;
use serde::Serialize;

use crate::data::DataSet;
use crate::replay::Replayable;
use crate::store::StoreError;
use crate::study::Run;

pub mod dataset_replication;
pub mod lm_evaluation;
pub mod lm_leaderboard;
pub mod multilabel_annotation;
pub mod policy_gradient;

/// A complete configuration: one value for every field of the study, in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    fields: &'static [Field],
    values: Vec<Value>,
}

impl Configuration {
    /// Pairs fields with values.
    pub fn new(fields: &'static [Field], values: Vec<Value>) -> Self {
        debug_assert_eq!(fields.len(), values.len());
        Self { fields, values }
    }

    /// The values of a struct of flags.
    pub fn of(config: &impl Flags) -> Self {
        let fields = config.fields();
        Self::new(fields, fields.iter().filter_map(|field| config.get(field.name)).collect())
    }

    /// Reads the values into a struct of flags.
    ///
    /// # Errors
    /// Every field whose value does not fit.
    pub fn read<C: Flags + Default>(&self) -> Result<C, Vec<Problem>> {
        let mut config = C::default();
        let mut problems = Vec::new();
        for (field, value) in self.iter() {
            if let Err(error) = config.set(field.name, value) {
                problems.push(Problem {
                    fields: vec![field.name],
                    message: format!("{value} does not fit {}", field.name),
                    help: match error {
                        SetError::BadValue { expected, .. } => format!("expected {expected}"),
                        SetError::UnknownField { .. } => "there is no such field".to_owned(),
                    },
                });
            }
        }
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    /// Sets one field of a struct of flags, which knows types and ranges and brings the value into
    /// canonical form.
    ///
    /// # Errors
    /// When there is no such field, or the value does not fit it.
    pub fn set<C: Flags + Default>(&mut self, name: &str, value: &Value) -> Result<(), SetError> {
        let mut config = C::default();
        config.set(name, value)?;
        if let Some(canonical) = config.get(name) {
            self.replace(name, canonical);
        }
        Ok(())
    }

    /// The value of a field by name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.iter().find(|(field, _)| field.name == name).map(|(_, value)| value)
    }

    /// Replaces the value of a field; nothing happens when there is none of that name.
    pub(crate) fn replace(&mut self, name: &str, value: Value) {
        if let Some(position) = self.fields.iter().position(|field| field.name == name) {
            self.values[position] = value;
        }
    }

    /// Every field with its value, in the order of declaration.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Field, &Value)> {
        self.fields.iter().zip(&self.values)
    }
}

/// A named configuration that a study file can start from.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// Its name in study files.
    pub name: &'static str,
    /// What it reproduces, with its source.
    pub about: &'static str,
    /// What it is made of, later layers win. Together they assign every field but the ones that the
    /// study file must choose.
    pub layers: &'static [Layer],
}

/// A part of presets that one source states.
#[derive(Clone, Copy, Debug)]
pub struct Layer {
    /// Its name, unique in the study.
    pub name: &'static str,
    /// TOML that assigns fields.
    pub toml: &'static str,
}

/// Type of a stored column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8 text.
    Text,
    /// Boolean.
    Bool,
    /// Unsigned 32-bit integer.
    UInt32,
    /// Unsigned 64-bit integer.
    UInt64,
    /// Signed 64-bit integer.
    Int64,
    /// IEEE double.
    Float64,
    /// List of signed 64-bit integers.
    Int64List,
}

/// A column of a stored table, described.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Column {
    /// Its name, stable across versions.
    pub name: &'static str,
    /// Its type.
    pub kind: ColumnType,
    /// Its unit; empty where there is none.
    pub unit: &'static str,
    /// What it holds, null included.
    pub meaning: &'static str,
}

/// A column, described.
pub(crate) const fn column(
    name: &'static str,
    kind: ColumnType,
    unit: &'static str,
    meaning: &'static str,
) -> Column {
    Column { name, kind, unit, meaning }
}

/// The column that joins every table with `runs`.
pub(crate) const RUN_ID: Column = column("run_id", ColumnType::Text, "", "the run, as in `runs`");
/// The column with a run's arm.
pub(crate) const ARM: Column =
    column("arm", ColumnType::Text, "", "the arm that the run was first made for");
/// The column with a run's replicate.
pub(crate) const REPLICATE: Column = column("replicate", ColumnType::UInt64, "", "the replicate");

/// How closely two versions of a table agree that different devices, machines or libraries computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Largest deviation of a number: absolute below one, relative above.
    pub deviation: f64,
    /// The column by which a run's rows advance, and the value from which on nothing is promised:
    /// training is chaotic, so that roundings grow until trajectories part. `None`: every row.
    pub horizon: Option<(&'static str, u64)>,
}

/// A table that a study stores beside `runs`.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Folder and name.
    pub name: &'static str,
    /// One row is one of these.
    pub row: &'static str,
    /// Columns that identify a row, in sorting order; the first is `run_id`.
    pub key: &'static [&'static str],
    /// Whether its content is part of the reproducibility contract (wall times are not).
    pub reproducible: bool,
    /// What is promised where bits may differ: on another device, machine or library. `None`: nothing
    /// row by row.
    pub tolerance: Option<Tolerance>,
    /// Its columns.
    pub columns: &'static [Column],
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunStatus {
    /// It trained to the end.
    Finished,
    /// A number became non-finite in this iteration (counted from zero); later rows are missing.
    Diverged {
        /// The iteration.
        iteration: u32,
    },
}

/// What a run leaves in the `runs` table beside its identity and configuration.
#[derive(Clone, Debug)]
pub struct RunOutcome {
    /// How it ended.
    pub status: RunStatus,
    /// One value for each of [`Study::metrics`]; `None` where undefined.
    pub metrics: Vec<Option<f64>>,
}

/// What a cohort leaves behind.
#[derive(Debug)]
pub struct CohortOutcome {
    /// One outcome a run, in the order they were given.
    pub runs: Vec<RunOutcome>,
    /// One frame for each of [`Study::tables`], with its columns in its order.
    pub tables: Vec<DataFrame>,
}

/// Work that a run means, for estimates and even shards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Units of work that the user knows, such as environment steps.
    pub steps: u64,
    /// Relative cost; what a worker needs for it is proportional to this.
    pub weight: f64,
}

/// What the replicates of an arm are, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicateUnit {
    /// One of them.
    pub one: &'static str,
    /// Several.
    pub many: &'static str,
}

impl ReplicateUnit {
    /// Runs that differ by the seed of their random draws.
    pub const SEEDS: Self = Self { one: "seed", many: "seeds" };
    /// Where arms differ in what theirs are.
    pub const REPLICATES: Self = Self { one: "replicate", many: "replicates" };

    /// The word for so many.
    pub fn of(self, count: u64) -> &'static str {
        if count == 1 { self.one } else { self.many }
    }
}

/// Where a cohort runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// The processor.
    Cpu,
    /// A graphics processor by its index.
    Gpu {
        /// Position among the adapters; `None` takes the default one.
        index: Option<usize>,
    },
}

/// Live figures of a cohort.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Steps taken since the last report, summed over the cohort's runs.
    pub steps: u64,
    /// Mean of the study's headline figure over runs that have one.
    pub headline: Option<f64>,
}

/// What a checkpoint is called, by name: what has to be equal where a run is continued.
pub type CheckpointIdentity = BTreeMap<String, String>;

/// What a checkpoint says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointInfo {
    /// What it is called, see [`Checkpoints::identity`].
    pub identity: CheckpointIdentity,
    /// Iterations that are done.
    pub done: u64,
    /// Iterations of the whole run.
    pub total: u64,
}

/// Keeps the runs of a cohort in mid-training, so that an interrupted study continues inside them.
pub trait Checkpoints: Sync {
    /// What the checkpoint of a run is to be called.
    fn identity(&self, run: &Run) -> CheckpointIdentity;
    /// The checkpoint that a run starts from, checked by [`Study::checkpoint`]; `None` where it
    /// starts from its seed. The runs of a cohort are all equally far.
    fn start(&self, run: &Run) -> Option<&[u8]>;
    /// Whether checkpoints are wanted now; asked after every iteration. Yes once the cohort should
    /// stop.
    fn due(&self) -> bool;
    /// Takes a checkpoint of every run, in the order of the cohort.
    fn save(&self, checkpoints: Vec<Vec<u8>>);
    /// Whether the trained runs are wanted, too.
    fn keeps_last(&self) -> bool;
    /// Takes the trained runs, in the order of the cohort.
    fn save_last(&self, checkpoints: Vec<Vec<u8>>);
}

/// What an answer is kept under: the SHA-256 of everything that it depends on.
pub type JournalKey = [u8; 32];

/// Where an answer is to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Here it is.
    Known(Vec<u8>),
    /// Nobody has it: it is the caller's to get, and to [`Journal::keep`] or [`Journal::release`].
    Yours,
    /// Another cohort is getting it: [`Journal::wait`], then ask again.
    Elsewhere,
}

/// Keeps what costs time or money to be told, answer by answer, so that nothing is asked for twice: not
/// after an interruption, and not by two cohorts.
pub trait Journal: Sync {
    /// Whether its answers belong to runs that are being repeated by somebody else. What can be computed
    /// again is then not to be taken from it.
    fn is_record(&self) -> bool;
    /// Looks for an answer.
    ///
    /// # Errors
    /// When it cannot be read.
    fn claim(&self, key: &JournalKey) -> Result<Claim, StoreError>;
    /// Keeps an answer.
    ///
    /// # Errors
    /// When it cannot be written.
    fn keep(&self, key: &JournalKey, value: &[u8]) -> Result<(), StoreError>;
    /// Gives up what was claimed and not kept.
    fn release(&self, keys: &[JournalKey]);
    /// Waits until something was kept or given up, or for a moment.
    fn wait(&self);
}

/// What a cohort needs to know of its surroundings.
pub struct CohortContext<'a> {
    /// Seed of the study.
    pub study_seed: u64,
    /// Where to run.
    pub device: Device,
    /// Threads that this cohort may use.
    pub threads: usize,
    /// Raised when the cohort should stop soon; it then returns [`StudyError::Interrupted`].
    pub stop: &'a AtomicBool,
    /// Receives live figures.
    pub progress: &'a (dyn Fn(Progress) + Sync),
    /// Keeps runs in mid-training; `None` where nothing is kept. A study may ignore it.
    pub checkpoints: Option<&'a dyn Checkpoints>,
    /// Keeps answers of others; `None` where nothing is kept. A study may ignore it.
    pub journal: Option<&'a dyn Journal>,
}

/// Why a cohort could not be executed.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    /// It was asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// The configuration is not valid; plans only hold valid ones, so this names a defect.
    #[error("invalid configuration: {0}")]
    Invalid(String),
    /// Something below failed.
    #[error(transparent)]
    Failed(#[from] Box<dyn std::error::Error + Send + Sync>),
}

/// A publication, as a bibliography lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Publication {
    /// Its key in a bibliography.
    pub key: &'static str,
    /// Its authors, each as "Family, Given".
    pub authors: &'static [&'static str],
    /// Its title.
    pub title: &'static str,
    /// The proceedings that it appeared in.
    pub proceedings: &'static str,
    /// Its year.
    pub year: u16,
    /// Where it can be read.
    pub url: &'static str,
}

impl StudyError {
    /// Problems of a configuration.
    pub(crate) fn invalid(problems: &[Problem]) -> Self {
        let messages: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
        Self::Invalid(messages.join("; "))
    }
}

/// A published study: configuration, execution, tables.
pub trait Study: Sync {
    /// Its name in study files (`kind`).
    fn kind(&self) -> &'static str;
    /// What it studies, in a sentence, with the paper.
    fn about(&self) -> &'static str;
    /// The publication that it reproduces; `None` where there is none.
    fn publication(&self) -> Option<&'static Publication> {
        None
    }
    /// Increased whenever a change alters the numbers of some run; part of every run's identity.
    fn numerics_version(&self) -> u32;
    /// The configuration's fields.
    fn fields(&self) -> &'static [Field];
    /// The configuration with every default.
    fn defaults(&self) -> Configuration;
    /// Named configurations.
    fn presets(&self) -> &'static [Preset] {
        &[]
    }
    /// Sets one field after checking type and range.
    ///
    /// # Errors
    /// When there is no such field, or the value does not fit it.
    fn set(
        &self,
        configuration: &mut Configuration,
        name: &str,
        value: &Value,
    ) -> Result<(), flags::SetError>;
    /// Problems between fields; empty when the configuration is valid.
    fn check(&self, configuration: &Configuration) -> Vec<Problem>;
    /// Whether nothing is drawn in a run, so that its replicates are equal to the last bit: one is then
    /// enough, and claims about it are decided by its numbers without an interval. Only called with
    /// valid configurations.
    fn exact(&self, configuration: &Configuration) -> bool {
        let _ = configuration;
        false
    }
    /// What the replicates of a configuration are, where they differ. Only called with valid
    /// configurations.
    fn replicate_unit(&self, configuration: &Configuration) -> ReplicateUnit {
        let _ = configuration;
        ReplicateUnit::SEEDS
    }
    /// How many replicates a configuration has, where they are parts of something, with the field that
    /// says so. Only called with valid configurations.
    fn replicate_limit(&self, configuration: &Configuration) -> Option<(u64, &'static str)> {
        let _ = configuration;
        None
    }
    /// Work of one run. Only called with valid configurations.
    fn cost(&self, configuration: &Configuration) -> Cost;
    /// Runs with equal keys can execute as one cohort. Only called with valid configurations.
    fn cohort_key(&self, configuration: &Configuration) -> String;
    /// Width of a cohort that suits the device.
    fn cohort_width(&self, device: &Device) -> usize;
    /// Name of a step, in the plural ("environment steps").
    fn step_unit(&self) -> &'static str;
    /// Metrics of a run in the `runs` table; the first is the headline.
    fn metrics(&self) -> &'static [Column];
    /// Tables beside `runs`.
    fn tables(&self) -> &'static [Table];
    /// A cheaper configuration of the same shapes whose cost is measured to estimate time.
    fn calibration(&self, configuration: &Configuration) -> Configuration {
        configuration.clone()
    }
    /// Executes the runs of one cohort from their seeds.
    ///
    /// # Errors
    /// When interrupted, or when something below fails. A run that diverges is no error.
    fn run_cohort(
        &self,
        runs: &[&Run],
        context: &CohortContext<'_>,
    ) -> Result<CohortOutcome, StudyError>;
    /// What shows how the runs of this study act; `None` where there is nothing to replay.
    fn replayable(&self) -> Option<&'static dyn Replayable> {
        None
    }
    /// Checks that a run can go on from a checkpoint, and says how far that is. A study whose runs
    /// are short needs none.
    ///
    /// # Errors
    /// When the bytes are damaged, or are no checkpoint of this run and version.
    fn checkpoint(
        &self,
        study_seed: u64,
        run: &Run,
        bytes: &[u8],
    ) -> Result<CheckpointInfo, Box<dyn std::error::Error + Send + Sync>> {
        let _ = (study_seed, run, bytes);
        Err("this study has no checkpoints".into())
    }
    /// The published data that it reads.
    fn data(&self) -> &'static [DataSet] {
        &[]
    }
    /// What a report draws of this study.
    fn views(&self) -> &'static [CurveView];
    /// The line that belongs to a view whose points are things of their own, such as models: they are
    /// drawn as marks that nothing joins, with the line beside them. `None` where the points are a
    /// curve.
    fn companion(&self, view: &CurveView) -> Option<Companion> {
        let _ = view;
        None
    }
    /// How the points of a view are drawn.
    fn shape(&self, view: &CurveView) -> Shape {
        if self.companion(view).is_some() { Shape::Marks } else { Shape::Curve }
    }
    /// What a report draws of who takes what for what.
    fn confusions(&self) -> &'static [ConfusionView] {
        &[]
    }
}

/// How the points of a view are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// As a curve with a band.
    Curve,
    /// As marks that nothing joins; the companion is a line.
    Marks,
    /// The same of one quantity on both axes: a thin line is where they are equal.
    Comparison,
    /// As bars of a histogram beside those of the companion; a bin in which only the companion has
    /// something is marked as empty.
    Bars,
}

/// A line beside the marks of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Companion {
    /// Its column, in the view's table and over the view's horizontal axis.
    pub column: &'static str,
    /// What it is.
    pub label: &'static str,
}

/// A curve that a report draws, one line an arm.
#[derive(Clone, Copy, Debug)]
pub struct CurveView {
    /// The table it comes from.
    pub table: &'static str,
    /// Column of the horizontal axis.
    pub x: &'static str,
    /// Label of the horizontal axis, with unit.
    pub x_label: &'static str,
    /// Column of the vertical axis.
    pub y: &'static str,
    /// Label of the vertical axis, with unit.
    pub y_label: &'static str,
}

/// A confusion matrix that a report draws, one panel an arm and observer.
#[derive(Clone, Copy, Debug)]
pub struct ConfusionView {
    /// The table it comes from.
    pub table: &'static str,
    /// Column of who is confused, as text.
    pub observer: &'static str,
    /// Column of the rows, as text.
    pub row: &'static str,
    /// What rows are.
    pub row_label: &'static str,
    /// Column of the row's place, a whole number; `None` orders rows by name.
    pub order: Option<&'static str>,
    /// Column of the columns, as text; the same names as of rows.
    pub column: &'static str,
    /// What columns are.
    pub column_label: &'static str,
    /// Column of the shares of a row.
    pub share: &'static str,
    /// What is shared.
    pub share_label: &'static str,
}

/// Every study, in the order they are listed.
pub fn registry() -> &'static [&'static dyn Study] {
    &[
        &policy_gradient::PolicyGradient,
        &dataset_replication::DatasetReplication,
        &multilabel_annotation::MultilabelAnnotation,
        &lm_evaluation::LmEvaluation,
        &lm_leaderboard::LmLeaderboard,
    ]
}

/// The study of a kind.
pub fn find(kind: &str) -> Option<&'static dyn Study> {
    registry().iter().copied().find(|study| study.kind() == kind)
}
