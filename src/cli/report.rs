//! `ceteris report`: what a results directory shows.

use std::error::Error;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::statistics::IntervalArg;
use crate::report::{self, Exports, Options};
use crate::store::ResultsDirectory;
use crate::study::StudyFile;
use analysis::Estimator;

/// Summarises a results directory in the terminal and as one HTML file.
#[derive(Args, Clone, Debug)]
pub struct ReportArgs {
    /// The results directory.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Another version of the study file, with other claims or texts but the same arms and seeds; by
    /// default the one that the directory keeps.
    #[arg(long, value_name = "FILE")]
    pub study: Option<PathBuf>,
    /// Where the report goes, by default report.html in the results directory; with --figure where
    /// that figure goes, a name that ends in .svg or .png.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write this figure alone; its caption in the report names it.
    #[arg(long, value_name = "NAME", requires = "out")]
    pub figure: Option<String>,
    /// Write every figure into this folder, as SVG and PNG, instead of the report.
    #[arg(long, value_name = "FOLDER")]
    pub figures: Option<PathBuf>,
    /// Write every table into this folder, as CSV, Markdown and LaTeX, instead of the report.
    #[arg(long, value_name = "FOLDER")]
    pub tables: Option<PathBuf>,
    /// What is estimated of the runs of an arm.
    #[arg(long, value_enum, default_value_t)]
    pub estimator: ReportEstimator,
    /// How bootstrap intervals are made.
    #[arg(long, value_enum, value_name = "METHOD", default_value_t)]
    pub interval: IntervalArg,
    /// Bootstrap resamples of every interval; by default 10000 in tables and 2000 along curves.
    #[arg(long, value_name = "N")]
    pub resamples: Option<NonZeroUsize>,
    /// Level of the intervals, between 0 and 1.
    #[arg(long, default_value_t = Options::default().level, value_parser = super::level)]
    pub level: f64,
}

/// An estimator on the command line.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReportEstimator {
    /// The arithmetic mean.
    #[default]
    Mean,
    /// The interquartile mean: the mean without the lowest and the highest quarter.
    Iqm,
}

impl From<ReportEstimator> for Estimator {
    fn from(estimator: ReportEstimator) -> Self {
        match estimator {
            ReportEstimator::Mean => Self::Mean,
            ReportEstimator::Iqm => Self::Iqm,
        }
    }
}

/// Runs `ceteris report`.
///
/// # Errors
/// When the results or the study file cannot be read, these do not belong together, or the report
/// cannot be written.
pub fn execute(args: &ReportArgs, out: &mut dyn Write) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut results = ResultsDirectory::read(&args.directory)?;
    if let Some(study) = &args.study {
        results = results.shown_as(StudyFile::read(study)?)?;
    }
    let options = Options {
        estimator: args.estimator.into(),
        resamples: args.resamples.map(NonZeroUsize::get),
        level: args.level,
        interval: args.interval.into(),
    };
    let figure = args.figure.as_deref().zip(args.out.as_deref());
    if figure.is_some() || args.figures.is_some() || args.tables.is_some() {
        let (figures, tables) = (args.figures.as_deref(), args.tables.as_deref());
        let exports = Exports { figure, figures, tables };
        for path in report::export(&results, &options, &exports)? {
            writeln!(out, "{}", path.display())?;
        }
        return Ok(());
    }
    let path = args.out.clone().unwrap_or_else(|| args.directory.join(report::FILE));
    report::write_to(&results, &options, &path, out)?;
    writeln!(out, "report: {}", path.display())?;
    Ok(())
}
