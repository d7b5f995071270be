//! `ceteris replay`: train one run again and show what it learned.

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgGroup, Args, ValueEnum};
use comfy_table::{Cell, CellAlignment, LineStyle, Table, TableStyle};

use super::run::{INTERRUPTED, Live, stop_on_interrupt};
use crate::execute::Observer as _;
use crate::replay::{self, Choice, Mode, Outputs, Replay, ReplayError, Request};
use crate::store::ResultsDirectory;
use crate::studies::{CohortContext, Device, StudyError};

/// Trains one run of a results directory again from its seed, on the processor, or loads its final
/// checkpoint where one was kept; plays the episodes of its final evaluation, and shows one as an
/// animation.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("which").required(true).args(["run", "arm"]))]
pub struct ReplayArgs {
    /// Results directory
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// The run with this id; its first digits suffice
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// A run of this arm, instead of an id
    #[arg(long, value_name = "NAME")]
    pub arm: Option<String>,
    /// Which replicate of the arm
    #[arg(long, value_name = "N", default_value_t = 0, requires = "arm")]
    pub replicate: u64,
    /// Train it again even where its final checkpoint was kept (`ceteris run --keep-checkpoints`)
    #[arg(long)]
    pub retrain: bool,
    /// How actions are chosen
    #[arg(long, value_enum, default_value_t = ModeArg::Deterministic)]
    pub mode: ModeArg,
    /// How many episodes to play and print; by default as many as the run's own evaluation
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub episodes: Option<u16>,
    /// The episode to show, counted from zero
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub episode: u16,
    /// Write it as one animated SVG
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Write it as an animated GIF
    #[arg(long, value_name = "FILE")]
    pub gif: Option<PathBuf>,
    /// Write it as PNG files, one a frame, into a new folder
    #[arg(long, value_name = "FOLDER")]
    pub frames: Option<PathBuf>,
}

/// How actions are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModeArg {
    /// The policy's mean action, or its most likely choice
    Deterministic,
    /// Drawn as in training
    Stochastic,
}

impl From<ModeArg> for Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Deterministic => Self::Deterministic,
            ModeArg::Stochastic => Self::Stochastic,
        }
    }
}

/// Runs the subcommand.
///
/// # Errors
/// When there is no such run, it cannot be trained or shown, or nothing can be printed.
pub fn execute(
    args: &ReplayArgs,
    out: &mut dyn Write,
) -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    let results = ResultsDirectory::read(&args.directory)?;
    let choice = match (&args.run, &args.arm) {
        (Some(id), _) => Choice::Id(id.clone()),
        (None, arm) => {
            Choice::Arm { name: arm.clone().unwrap_or_default(), replicate: args.replicate }
        }
    };
    let found = replay::find(&results, &choice)?;
    let outputs =
        Outputs { svg: args.svg.clone(), gif: args.gif.clone(), frames: args.frames.clone() };
    outputs.check()?;
    let request = Request {
        mode: args.mode.into(),
        episodes: args.episodes.map(usize::from),
        filmed: (!outputs.is_empty()).then_some(usize::from(args.episode)),
    };
    let stop = stop_on_interrupt()?;
    let file = &results.plan.file;
    let kept = if args.retrain { None } else { results.final_checkpoint(&found.run.id)? };
    let live = Live::new(file.study);
    live.begin(file.study.cost(&found.run.configuration).steps, 1, 0);
    let context = CohortContext {
        study_seed: file.seed,
        device: Device::Cpu,
        threads: 1,
        stop: &stop,
        progress: &|progress| live.progress(0, progress),
        checkpoints: None,
        journal: None,
    };
    let replayed = replay::replay(&results, &found, kept.as_deref(), &request, &context);
    live.close();
    let replayed = match replayed {
        Err(ReplayError::Study { source: StudyError::Interrupted, .. }) => {
            writeln!(out, "interrupted")?;
            return Ok(ExitCode::from(INTERRUPTED));
        }
        replayed => replayed?,
    };
    writeln!(
        out,
        "{}: {}, replicate {} (run {}), {}\n\n{}\n\n{}",
        replayed.environment,
        found.arm,
        found.run.replicate,
        found.run.id,
        if kept.is_some() { "from its final checkpoint" } else { "trained again" },
        table(&replayed, request.mode),
        replayed.verdict(&results),
    )?;
    match &replayed.film {
        Some(film) => {
            for line in outputs.write(film)? {
                writeln!(out, "{line}")?;
            }
        }
        None => writeln!(out, "to see an episode, add --svg FILE, --gif FILE or --frames FOLDER")?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A rule under the header and nothing else, which also reads well in a log.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::new('─', '─', '─', '─'));

fn table(replay: &Replay, mode: Mode) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_header(["episode", &format!("{} return", mode.name()), "steps", "stored return"]);
    for (number, episode) in replay.episodes.iter().enumerate() {
        let stored = match episode.stored {
            None => "none".to_owned(),
            Some(stored) if stored.is_identical(&episode.played) => "the same".to_owned(),
            Some(stored) => format!("{} after {} steps", stored.return_, stored.length),
        };
        let (return_, length) = (episode.played.return_, episode.played.length);
        let cells = [number.to_string(), return_.to_string(), length.to_string(), stored];
        table.add_row(cells.map(|cell| Cell::new(cell).set_alignment(CellAlignment::Right)));
    }
    table
}
