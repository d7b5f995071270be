//! `ceteris analyse`: one table of statistics from a results directory.

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use polars::prelude::*;

use crate::analyse::{Analysis, Question, answer};
use crate::cli::frame;
use crate::store::ResultsDirectory;
use crate::study::StudyFile;
use analysis::{Bootstrap, Estimator, IntervalMethod};

/// Writes a table of statistics with its method beside every number.
#[derive(Args, Clone, Debug)]
pub struct AnalyseArgs {
    /// The results directory.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// What to compute.
    #[arg(value_enum, value_name = "ANALYSIS")]
    pub analysis: AnalysisArg,
    /// The column of the value; by default the study's headline metric, or its first curve.
    #[arg(long, value_name = "COLUMN")]
    pub metric: Option<String>,
    /// The table that has it; by default `runs`, or for curves the one that has the metric.
    #[arg(long, value_name = "TABLE")]
    pub table: Option<String>,
    /// Columns whose values make the groups, separated by commas; by default the arm. A factor may
    /// be named without its prefix.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub by: Vec<String>,
    /// Rows to keep, as COLUMN=VALUE; several values of one column are alternatives.
    #[arg(long = "where", value_name = "COLUMN=VALUE", value_parser = condition)]
    pub keep: Vec<(String, String)>,
    /// What is estimated.
    #[arg(long, value_enum, default_value_t)]
    pub estimator: EstimatorArg,
    /// How the intervals are made.
    #[arg(long, value_enum, value_name = "METHOD", default_value_t)]
    pub interval: IntervalArg,
    /// Bootstrap resamples; by default 10000, along curves 2000.
    #[arg(long, value_name = "N")]
    pub resamples: Option<NonZeroUsize>,
    /// Level of the intervals, between 0 and 1.
    #[arg(long, default_value_t = Bootstrap::tables().level, value_parser = super::level)]
    pub level: f64,
    /// Seed of the resampling.
    #[arg(long, default_value_t = Bootstrap::tables().seed)]
    pub seed: u64,
    /// Another version of the study file, with other claims or texts but the same arms and seeds.
    #[arg(long, value_name = "FILE")]
    pub study: Option<PathBuf>,
    /// Where the table goes, as its ending says: .parquet or .csv; by default the terminal.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// An analysis on the command line.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnalysisArg {
    /// Estimate and interval of a metric for every arm, or every group of --by.
    Summary,
    /// The effect of every level of every factor.
    Effects,
    /// A column of a table against its steps, one curve a group.
    Curves,
}

impl From<AnalysisArg> for Analysis {
    fn from(analysis: AnalysisArg) -> Self {
        match analysis {
            AnalysisArg::Summary => Self::Summary,
            AnalysisArg::Effects => Self::Effects,
            AnalysisArg::Curves => Self::Curves,
        }
    }
}

/// An estimator on the command line.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EstimatorArg {
    /// The arithmetic mean.
    #[default]
    Mean,
    /// The interquartile mean: the mean without the lowest and the highest quarter.
    Iqm,
    /// The median.
    Median,
}

impl From<EstimatorArg> for Estimator {
    fn from(estimator: EstimatorArg) -> Self {
        match estimator {
            EstimatorArg::Mean => Self::Mean,
            EstimatorArg::Iqm => Self::Iqm,
            EstimatorArg::Median => Self::Median,
        }
    }
}

/// A method of bootstrap intervals on the command line.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IntervalArg {
    /// Quantiles of the resampled estimates.
    #[default]
    Percentile,
    /// The percentile interval mirrored at the estimate.
    Basic,
    /// Bias-corrected and accelerated.
    Bca,
    /// The bootstrap-t; covers best, at some cost.
    Studentized,
    /// Quantiles of the estimates under random Dirichlet weights.
    Bayesian,
}

impl From<IntervalArg> for IntervalMethod {
    fn from(method: IntervalArg) -> Self {
        match method {
            IntervalArg::Percentile => Self::Percentile,
            IntervalArg::Basic => Self::Basic,
            IntervalArg::Bca => Self::Bca,
            IntervalArg::Studentized => Self::Studentized,
            IntervalArg::Bayesian => Self::Bayesian,
        }
    }
}

fn condition(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((column, value)) if !column.is_empty() => Ok((column.into(), value.into())),
        _ => Err("expected COLUMN=VALUE, such as reward_scaling=returns".into()),
    }
}

/// Values by their column, in the order of the first mention.
fn conditions(pairs: &[(String, String)]) -> Vec<(String, Vec<String>)> {
    let mut conditions: Vec<(String, Vec<String>)> = Vec::new();
    for (column, value) in pairs {
        match conditions.iter_mut().find(|(known, _)| known == column) {
            Some((_, values)) => values.push(value.clone()),
            None => conditions.push((column.clone(), vec![value.clone()])),
        }
    }
    conditions
}

/// Runs `ceteris analyse`.
///
/// # Errors
/// When the results cannot be read, the question names something that they do not have, or the table
/// cannot be written.
pub fn execute(
    args: &AnalyseArgs,
    out: &mut dyn Write,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let format = args.out.as_deref().map(Format::of).transpose()?;
    let mut results = ResultsDirectory::read(&args.directory)?;
    if let Some(study) = &args.study {
        results = results.shown_as(StudyFile::read(study)?)?;
    }
    let analysis = Analysis::from(args.analysis);
    let default = match analysis {
        Analysis::Curves => Bootstrap::curves(),
        _ => Bootstrap::tables(),
    };
    let resamples = args.resamples.map_or(default.resamples, NonZeroUsize::get);
    let keep = conditions(&args.keep);
    let bootstrap = Bootstrap {
        method: args.interval.into(),
        resamples,
        level: args.level,
        seed: args.seed,
        ..default
    };
    let question = Question {
        analysis,
        table: args.table.as_deref(),
        metric: args.metric.as_deref(),
        by: &args.by,
        keep: &keep,
        estimator: args.estimator.into(),
        bootstrap,
    };
    let mut table = answer(&results, &question)?;
    match (&args.out, format) {
        (Some(path), Some(format)) => {
            format.write(&mut table, path)?;
            writeln!(out, "{}: {} rows", path.display(), table.height())?;
        }
        _ => out.write_all(frame::text(&table)?.as_bytes())?,
    }
    Ok(())
}

/// How a table is written.
#[derive(Clone, Copy)]
enum Format {
    Parquet,
    Csv,
}

impl Format {
    fn of(path: &Path) -> Result<Self, String> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("parquet") => Ok(Self::Parquet),
            Some("csv") => Ok(Self::Csv),
            _ => Err(format!("{}: name a file that ends in .parquet or .csv", path.display())),
        }
    }

    fn write(self, table: &mut DataFrame, path: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
        let failed = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
        let mut file = File::create(path).map_err(failed)?;
        match self {
            Self::Parquet => ParquetWriter::new(&mut file).finish(table).map(|_| ()),
            Self::Csv => CsvWriter::new(&mut file).finish(table),
        }
        .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        file.sync_all().map_err(failed)?;
        Ok(())
    }
}
