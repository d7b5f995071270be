//! `ceteris leaderboard`: a published table of models by scenarios.

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;

use analysis::{
    Better, Bootstrap, LeaderboardColumns, Ties, coverage, head_to_head, mean_scores,
    mean_win_rates,
};
use clap::{Args, ValueEnum};

use super::output::Format;
use super::statistics::BootstrapArgs;
use crate::cli::frame;
use crate::studies::lm_leaderboard;

/// Aggregates a table of models by scenarios, such as a published leaderboard: mean win rates as HELM has
/// them, mean scores, head-to-head comparisons, coverage; intervals are bootstrap intervals over scenarios.
///
/// The first column names models, every other one is a scenario. Cells without a number, and those that
/// hold `-`, are results that a model does not have.
#[derive(Args, Clone, Debug)]
pub struct LeaderboardArgs {
    /// The table: .tsv or .csv, with a header.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What is made of it.
    #[arg(long, value_enum, default_value_t)]
    make: Made,
    /// A column that is no scenario, such as a published aggregate; it stands beside ours where there is one
    /// row a model. May be given several times.
    #[arg(long, value_name = "COLUMN")]
    beside: Vec<String>,
    /// A scenario on which lower values are better, or `all`. May be given several times.
    #[arg(long, value_name = "COLUMN")]
    lower_is_better: Vec<String>,
    /// A result that does not compete, as model and scenario; the scenario may be the beginning of its name.
    /// May be given several times.
    #[arg(long, value_name = "MODEL=SCENARIO", value_parser = exclusion)]
    exclude: Vec<(String, String)>,
    /// What becomes of equal results.
    #[arg(long, value_enum, default_value_t)]
    ties: TiesArg,
    #[command(flatten)]
    bootstrap: BootstrapArgs,
    /// Where the table goes, as its ending says: .parquet or .csv; by default the terminal.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Made {
    /// The mean over scenarios of the share of the other models that a model beats
    #[default]
    WinRates,
    /// The mean over scenarios of a model's results
    Means,
    /// The share of scenarios on which one model beats another, for every two
    HeadToHead,
    /// How many cells are filled, and which are not
    Coverage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum TiesArg {
    /// Each wins one half (HELM since September 2024)
    #[default]
    Half,
    /// By the order of rows (HELM before)
    RowOrder,
    /// Neither wins: the lower bound over all rules
    Lost,
    /// Both win: the upper bound over all rules
    Won,
}

impl From<TiesArg> for Ties {
    fn from(ties: TiesArg) -> Self {
        match ties {
            TiesArg::Half => Self::Half,
            TiesArg::RowOrder => Self::RowOrder,
            TiesArg::Lost => Self::Lost,
            TiesArg::Won => Self::Won,
        }
    }
}

fn exclusion(text: &str) -> Result<(String, String), String> {
    let parts =
        text.split_once('=').filter(|(model, scenario)| !model.is_empty() && !scenario.is_empty());
    let (model, scenario) = parts.ok_or("expected MODEL=SCENARIO")?;
    Ok((model.to_owned(), scenario.to_owned()))
}

/// Runs `ceteris leaderboard`.
///
/// # Errors
/// When the table cannot be read, a column or model is not in it, or the result cannot be written.
pub fn execute(
    args: &LeaderboardArgs,
    out: &mut dyn Write,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let format = args.out.as_deref().map(Format::of).transpose()?;
    let bytes = std::fs::read(&args.file)
        .map_err(|error| format!("cannot read {}: {error}", args.file.display()))?;
    let table = lm_leaderboard::table(&args.file, bytes)?;
    let names: Vec<String> =
        table.get_column_names().into_iter().map(|name| name.to_string()).collect();
    let (model, rest) = names.split_first().ok_or("the table has no column")?;
    for name in args.beside.iter().chain(&args.lower_is_better) {
        let means_all = name == "all" && args.lower_is_better.contains(name);
        if !(rest.contains(name) || means_all) {
            return Err(unknown(name, rest).into());
        }
    }
    let scenarios: Vec<(&str, Better)> = rest
        .iter()
        .filter(|name| !args.beside.contains(name))
        .map(|name| {
            let lower = args.lower_is_better.iter().any(|of| of == name || of == "all");
            (name.as_str(), if lower { Better::Lower } else { Better::Higher })
        })
        .collect();
    let mut excluded = Vec::new();
    for (model, beginning) in &args.exclude {
        let found = scenarios.iter().filter(|(name, _)| name.starts_with(beginning.as_str()));
        let before = excluded.len();
        excluded.extend(found.map(|(name, _)| (model.as_str(), *name)));
        if excluded.len() == before {
            return Err(unknown(beginning, rest).into());
        }
    }
    let columns = LeaderboardColumns { model, scenarios: &scenarios, excluded: &excluded };
    let bootstrap = args.bootstrap.over(Bootstrap::tables());
    let mut made = match args.make {
        Made::WinRates => mean_win_rates(&table, &columns, args.ties.into(), &bootstrap)?,
        Made::Means => mean_scores(&table, &columns, &bootstrap)?,
        Made::HeadToHead => head_to_head(&table, &columns, args.ties.into())?,
        Made::Coverage => coverage(&table, &columns)?,
    };
    if matches!(args.make, Made::WinRates | Made::Means) {
        for name in &args.beside {
            made.with_column(table.column(name)?.clone())?;
        }
    }
    match (&args.out, format) {
        (Some(path), Some(format)) => format.write(&mut made, path)?,
        _ => write!(out, "{}", frame::text(&made, frame::width())?)?,
    }
    Ok(())
}

fn unknown(name: &str, known: &[String]) -> String {
    let near = ::flags::nearest(name, known.iter().map(String::as_str));
    let near = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
    format!("the table has no scenario {name:?}{near}")
}
