//! Reports: what a study found, in the terminal and as one HTML file.
//!
//! [`ReportInput`] is everything a report shows; the arm of a run is taken from the plan by
//! `run_id`, because a stored run may serve several arms and an arm may have been renamed since.
//! [`terminal`] and [`html`] render it, [`figures`] and [`tables`] give its parts as files of their
//! own; [`write()`] and [`export`] do so for a results directory.

mod claims;
mod draw;
mod export;
mod figure;
mod html;
mod link;
mod model;
mod numbers;
mod paper;
mod png;
mod table;
mod terminal;

use std::io::Write;
use std::path::{Path, PathBuf};

use polars::prelude::DataFrame;

pub(crate) use draw::escaped;
pub use export::{Exports, FigureFile, TableFile, export, figures, tables};

pub(crate) use paper::wrapped;
pub(crate) use png::{encoded, pixels};

use crate::store::{Results, StoreError};
use crate::studies::{Column, ConfusionView, CurveView};
use crate::study::{Plan, StudyFile};
use analysis::{AnalysisError, Bootstrap, Estimator, IntervalMethod};
use model::Model;

/// Everything that a report shows.
pub struct ReportInput<'a> {
    /// What was run and where (version, commit, device, …), as name and value, in this order.
    pub facts: Vec<(String, String)>,
    /// The arms, factors and runs that the study file asks for.
    pub plan: &'a Plan,
    /// The `runs` table.
    pub runs: DataFrame,
    /// The curves to draw, each with its table.
    pub views: Vec<(CurveView, DataFrame)>,
    /// The confusion matrices to draw, each with its table.
    pub confusions: Vec<(ConfusionView, DataFrame)>,
    /// The metrics of a run; the first is the headline.
    pub metrics: Vec<Column>,
    /// How numbers are estimated.
    pub options: Options,
    /// The command that reads the same results with the same options, without where to write.
    pub command: String,
    /// What the command needs besides to write this page; empty where it goes to its usual place.
    pub destination: String,
}

impl ReportInput<'_> {
    fn page_command(&self) -> String {
        format!("{}{}", self.command, self.destination)
    }

    fn figure_command(&self, id: &str) -> String {
        format!("{} --figure {id} --out {id}.svg", self.command)
    }

    fn tables_command(&self) -> String {
        format!("{} --tables tables", self.command)
    }
}

/// How a report estimates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// What is estimated of the runs of an arm; effects always compare means.
    pub estimator: Estimator,
    /// Bootstrap resamples; by default 10,000 for tables and 2,000 for curves.
    pub resamples: Option<usize>,
    /// Level of the intervals, in (0, 1).
    pub level: f64,
    /// How bootstrap intervals are made; effects and claims have Student's t.
    pub interval: IntervalMethod,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            estimator: Estimator::Mean,
            resamples: None,
            level: Bootstrap::tables().level,
            interval: IntervalMethod::default(),
        }
    }
}

impl Options {
    fn tables(&self) -> Bootstrap {
        self.over(Bootstrap::tables())
    }

    fn curves(&self) -> Bootstrap {
        self.over(Bootstrap::curves())
    }

    fn over(&self, default: Bootstrap) -> Bootstrap {
        let resamples = self.resamples.unwrap_or(default.resamples);
        Bootstrap { resamples, level: self.level, method: self.interval, ..default }
    }

    /// The options that differ from their defaults, as the command line spells them.
    fn arguments(&self) -> String {
        let mut arguments = String::new();
        let default = Self::default();
        if self.estimator != default.estimator {
            arguments.push_str(&format!(" --estimator {}", self.estimator.name()));
        }
        if self.interval != default.interval {
            arguments.push_str(&format!(" --interval {}", self.interval.name()));
        }
        if let Some(resamples) = self.resamples {
            arguments.push_str(&format!(" --resamples {resamples}"));
        }
        if self.level != default.level {
            arguments.push_str(&format!(" --level {}", self.level));
        }
        arguments
    }
}

/// Why a report could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The statistics could not be computed.
    #[error(transparent)]
    Analysis(#[from] AnalysisError),
    /// A stored table lacks a column or has one of another type.
    #[error(transparent)]
    Frame(#[from] polars::error::PolarsError),
    /// The results could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A figure could not be drawn.
    #[error("cannot draw a figure: {0}")]
    Figure(String),
    /// There is no such figure.
    #[error(
        "there is no figure `{id}`{}; there are {}",
        nearest.as_ref().map(|name| format!(", did you mean `{name}`?")).unwrap_or_default(),
        known.join(", ")
    )]
    UnknownFigure {
        /// What was asked for.
        id: String,
        /// A name like it.
        nearest: Option<String>,
        /// The figures of this report.
        known: Vec<String>,
    },
    /// The name of a figure's file does not say what it holds.
    #[error("{}: name a file that ends in .svg or .png", .0.display())]
    FigureFormat(PathBuf),
    /// The report could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The summary could not be printed.
    #[error("cannot print the summary: {0}")]
    Print(#[source] std::io::Error),
}

/// Prints a summary for the terminal: the verdict on every claim, the final metrics of every arm and
/// the effect of every factor.
///
/// # Errors
/// When a column is missing, or nothing can be printed.
pub fn terminal(input: &ReportInput<'_>, out: &mut dyn Write) -> Result<(), ReportError> {
    terminal::print(input, &Model::new(input)?, None, out)
}

/// Renders one HTML file that needs nothing else.
///
/// # Errors
/// When a column is missing, or a figure cannot be drawn.
pub fn html(input: &ReportInput<'_>) -> Result<String, ReportError> {
    let model = Model::new(input)?;
    html::page(input, &model, &figure::all(input, &model)?, &table::all(input, &model))
}

/// Name of the report in a results directory.
pub const FILE: &str = "report.html";

/// Prints the summary of a results directory and writes its report inside, as [`FILE`]; returns
/// where.
///
/// # Errors
/// As [`write_to`].
pub fn write(
    results: &Results,
    options: &Options,
    out: &mut dyn Write,
) -> Result<PathBuf, ReportError> {
    let path = results.path().join(FILE);
    write_to(results, options, &path, out)?;
    Ok(path)
}

/// Prints the summary of a results directory and writes its report to a file.
///
/// # Errors
/// When the results cannot be read, or the report cannot be written.
pub fn write_to(
    results: &Results,
    options: &Options,
    path: &Path,
    out: &mut dyn Write,
) -> Result<(), ReportError> {
    let mut input = input_of(results, options)?;
    if path != results.path().join(FILE) {
        input.destination = format!(" --out {}", quoted(path));
    }
    let model = Model::new(&input)?;
    terminal::print(&input, &model, terminal::width(), out)?;
    let (figures, tables) = (figure::all(&input, &model)?, table::all(&input, &model));
    replace(path, html::page(&input, &model, &figures, &tables)?.as_bytes())
}

/// What a report of a results directory shows.
fn input_of<'a>(results: &'a Results, options: &Options) -> Result<ReportInput<'a>, ReportError> {
    let study = results.plan.file.study;
    let runs = results.runs()?;
    let mut views = Vec::new();
    for view in study.views() {
        let table = results.table(view.table)?;
        // A table that the study file did not ask for has no curve.
        if table.height() > 0 || runs.height() == 0 {
            views.push((*view, table));
        }
    }
    let mut confusions = Vec::new();
    for view in study.confusions() {
        confusions.push((*view, results.table(view.table)?));
    }
    let shown = study_of(results).map(|file| file.path.as_path());
    Ok(ReportInput {
        facts: facts(results),
        plan: &results.plan,
        metrics: measured(study.metrics(), &runs),
        runs,
        views,
        confusions,
        options: *options,
        command: command(results.path(), shown, options),
        destination: String::new(),
    })
}

/// The headline, and those other metrics that any run has.
fn measured(metrics: &[Column], runs: &DataFrame) -> Vec<Column> {
    let known = |metric: &Column| {
        runs.column(metric.name).is_ok_and(|column| column.null_count() < column.len())
    };
    let others = metrics.iter().skip(1).filter(|metric| runs.height() == 0 || known(metric));
    metrics.iter().take(1).chain(others).copied().collect()
}

/// The study file, where the results are shown as another version of it has them.
fn study_of(results: &Results) -> Option<&StudyFile> {
    let file = &results.plan.file;
    (file.sha256 != results.manifest.study.sha256).then_some(file)
}

/// The command that makes a report again, as a shell reads it, without where it goes.
fn command(directory: &Path, study: Option<&Path>, options: &Options) -> String {
    let mut command = format!("ceteris report {}", quoted(directory));
    if let Some(study) = study {
        command.push_str(&format!(" --study {}", quoted(study)));
    }
    command.push_str(&options.arguments());
    command
}

fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-=,+@%:".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// Writes a file under a temporary name and renames it, so that a reader sees all or nothing.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let written =
        std::fs::write(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        // Best effort: the error that is reported is the first one.
        let _ = std::fs::remove_file(&temporary);
    }
    written.map_err(|source| ReportError::Write { path: path.to_owned(), source })
}

/// What a manifest says of the program, the machine and the study file.
fn facts(results: &Results) -> Vec<(String, String)> {
    let (manifest, file) = (&results.manifest, &results.plan.file);
    let mut facts = vec![
        ("Study file".to_owned(), manifest.study.file.clone()),
        ("SHA-256 of the study file".to_owned(), manifest.study.sha256.clone()),
    ];
    if let Some(shown) = study_of(results) {
        facts.push(("Shown as".to_owned(), shown.path.display().to_string()));
        facts.push(("SHA-256 of that study file".to_owned(), shown.sha256.clone()));
    }
    facts.extend([
        ("Study kind".to_owned(), manifest.study.kind.clone()),
        ("Numerics version".to_owned(), manifest.study.numerics_version.to_string()),
        ("Study seed".to_owned(), file.seed.to_string()),
    ]);
    for (index, writer) in manifest.writers.iter().enumerate() {
        let which = if manifest.writers.len() > 1 {
            format!(" (writer {} of {})", index + 1, manifest.writers.len())
        } else {
            String::new()
        };
        let (build, machine) = (&writer.build, &writer.environment);
        let dirty = if build.dirty == Some(true) { ", with local changes" } else { "" };
        let device = match &machine.device.driver {
            Some(driver) => {
                format!("{}: {}, {driver}", machine.device.kind, machine.device.name)
            }
            None => format!("{}: {}", machine.device.kind, machine.device.name),
        };
        facts.push((format!("Ceteris{which}"), build.ceteris_version.clone()));
        facts.push((format!("Commit{which}"), format!("{}{dirty}", build.commit)));
        facts.push((format!("Device{which}"), device));
        facts.push((
            format!("Machine{which}"),
            format!("{}, {}", machine.operating_system, build.target),
        ));
    }
    facts
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Options, command};
    use analysis::{Estimator, IntervalMethod};

    #[test]
    fn the_command_can_be_pasted() {
        let plain = Options::default();
        assert_eq!(
            command(Path::new("out/quickstart"), None, &plain),
            "ceteris report out/quickstart"
        );
        let other = Options {
            estimator: Estimator::Iqm,
            resamples: Some(500),
            level: 0.9,
            interval: IntervalMethod::Bca,
        };
        assert_eq!(
            command(Path::new("my results"), Some(Path::new("my study.toml")), &other),
            "ceteris report 'my results' --study 'my study.toml' --estimator iqm --interval bca \
             --resamples 500 --level 0.9"
        );
    }
}
