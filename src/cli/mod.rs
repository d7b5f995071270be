//! The command line: one file a subcommand, each parses, calls the library and prints.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use algorithms::device::LearnerDevice;
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::studies::Device;

pub mod analyse;
pub mod cite;
pub mod compare;
pub mod data;
pub mod envs;
pub mod export;
pub mod flags;
mod frame;
pub mod leaderboard;
pub mod merge;
mod output;
pub mod plan;
pub mod replay;
pub mod report;
pub mod run;
mod statistics;
pub mod status;
pub mod studies;
pub mod submit;
pub mod verify;

/// Runs machine-learning studies whose results others can check.
#[derive(Debug, Parser)]
#[command(version, about, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train what a study file asks for, and continue where an earlier run stopped
    Run(run::RunArgs),
    /// Show what a study file means, without training it
    Plan(plan::PlanArgs),
    /// Show how far a results directory is
    Status(status::StatusArgs),
    /// Train a study on a cluster, one task a shard
    Submit(submit::SubmitArgs),
    /// Summarise a results directory in the terminal and as one HTML file
    Report(report::ReportArgs),
    /// Write a table of statistics: summaries, effects, curves, contrasts, profiles, …
    Analyse(analyse::AnalyseArgs),
    #[command(
        about = "Check every file of a results directory, train a sample of its runs again and compare"
    )]
    Verify(verify::VerifyArgs),
    #[command(about = "Unite results directories of one study, such as its shards")]
    Merge(merge::MergeArgs),
    /// Compare two results directories arm by arm
    Compare(compare::CompareArgs),
    /// Aggregate a published table of models by scenarios: win rates, means, coverage
    Leaderboard(leaderboard::LeaderboardArgs),
    #[command(about = "Say where results come from: a paragraph and BibTeX with hashes")]
    Cite(cite::CiteArgs),
    #[command(about = "Write results as an RO-Crate, a folder or a zip file with checksums")]
    Export(export::ExportArgs),
    #[command(about = "Train one run again and show what it learned, as an animation")]
    Replay(replay::ReplayArgs),
    /// List the kinds of studies: fields, presets, tables, published data
    Studies,
    #[command(
        about = "List the published data that studies read: source, licence, hash, whether it is here"
    )]
    Data(data::DataArgs),
    /// List every configuration field and preset, with meaning and source
    Flags(flags::FlagsArgs),
    /// List the environments, or show one with its arguments
    Envs(envs::EnvsArgs),
}

/// The whole command line, described; for tests.
#[doc(hidden)]
pub fn command() -> clap::Command {
    <Arguments as clap::CommandFactory>::command()
}

/// Parses a command line without running it; for tests.
///
/// # Errors
/// When it is not valid, and for `--help` and `--version`.
#[doc(hidden)]
pub fn check(arguments: &[std::ffi::OsString]) -> Result<(), clap::Error> {
    Arguments::try_parse_from(arguments).map(|_| ())
}

/// Parses the arguments and runs the subcommand.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_env("CETERIS_LOG")
                .unwrap_or_else(|_| EnvFilter::new("error,ceteris=warn")),
        )
        .with_writer(io::stderr)
        .init();
    let out = &mut io::stdout().lock();
    let result = match &arguments.command {
        Command::Run(args) => run::execute(args, out),
        Command::Plan(args) => plan::execute(args, out).map(|()| ExitCode::SUCCESS),
        Command::Status(args) => status::execute(args, out).map(|()| ExitCode::SUCCESS),
        Command::Submit(args) => submit::execute(args, out).map(|()| ExitCode::SUCCESS),
        Command::Report(args) => report::execute(args, out).map(|()| ExitCode::SUCCESS),
        Command::Analyse(args) => analyse::execute(args, out).map(|()| ExitCode::SUCCESS),
        Command::Verify(args) => verify::execute(args, out),
        Command::Merge(args) => merge::execute(args, out).map(|()| ExitCode::SUCCESS),
        Command::Compare(args) => compare::execute(args, out).map(|()| ExitCode::SUCCESS),
        Command::Leaderboard(args) => leaderboard::execute(args, out).map(|()| ExitCode::SUCCESS),
        Command::Cite(args) => cite::execute(args, out).map(|()| ExitCode::SUCCESS),
        Command::Export(args) => export::execute(args, out).map(|()| ExitCode::SUCCESS),
        Command::Replay(args) => replay::execute(args, out),
        Command::Studies => studies::execute(out).map(|()| ExitCode::SUCCESS),
        Command::Data(args) => data::execute(args, out).map(|()| ExitCode::SUCCESS),
        Command::Flags(args) => flags::execute(args, out).map(|()| ExitCode::SUCCESS),
        Command::Envs(args) => envs::execute(args, out).map(|()| ExitCode::SUCCESS),
    };
    match result {
        Ok(code) => code,
        Err(error) if is_broken_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

/// Whoever reads our output may stop early (`ceteris flags | head`); that is no failure.
fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(io) = error.downcast_ref::<io::Error>()
            && io.kind() == io::ErrorKind::BrokenPipe
        {
            return true;
        }
        current = error.source();
    }
    false
}

fn print_error(error: &(dyn Error + 'static)) {
    let mut text = String::new();
    let rendered = error.to_string();
    // Diagnostics of a study file bring their own headings.
    if !rendered.starts_with("error") {
        text.push_str("error: ");
    }
    text.push_str(&rendered);
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str("\n  because: ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    // Nothing can be done when even the error cannot be printed.
    let _ = writeln!(io::stderr(), "{}", text.trim_end());
}

/// A device as the command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceArg {
    /// A GPU where there is one, else the processor.
    Auto,
    /// The processor.
    Cpu,
    /// A GPU, by its number where there are several.
    Wgpu(Option<usize>),
}

impl FromStr for DeviceArg {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("expected cpu, wgpu, wgpu:N or auto, not \"{text}\"");
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "wgpu" => Ok(Self::Wgpu(None)),
            _ => {
                let index = text.strip_prefix("wgpu:").ok_or_else(unknown)?;
                index.parse().map(|index| Self::Wgpu(Some(index))).map_err(|_| unknown())
            }
        }
    }
}

impl fmt::Display for DeviceArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Wgpu(None) => f.write_str("wgpu"),
            Self::Wgpu(Some(index)) => write!(f, "wgpu:{index}"),
        }
    }
}

impl DeviceArg {
    /// The device that is meant on this machine.
    pub fn resolve(self) -> Device {
        match self {
            Self::Cpu => Device::Cpu,
            Self::Wgpu(index) => Device::Gpu { index },
            Self::Auto if LearnerDevice::has_gpu() => Device::Gpu { index: None },
            Self::Auto => Device::Cpu,
        }
    }

    /// The device that is probably meant on another machine.
    pub(crate) fn on_a_node(self) -> Device {
        match self {
            Self::Cpu => Device::Cpu,
            Self::Wgpu(index) => Device::Gpu { index },
            Self::Auto => Device::Gpu { index: None },
        }
    }
}

/// A time such as 90s, 10m or 2h.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let expected = || format!("expected a time such as 90s, 10m or 2h, not \"{text}\"");
    let (number, unit) =
        text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
    let seconds = match unit {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(expected()),
    };
    let number: f64 = number.parse().map_err(|_| expected())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| expected())
}

/// The level of an interval.
pub(crate) fn level(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(level) if level > 0.0 && level < 1.0 => Ok(level),
        _ => Err("expected a number between 0 and 1, such as 0.95".into()),
    }
}

/// Threads to use where none are asked for: one a processor.
pub(crate) fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::CommandFactory;

    use super::duration;

    #[test]
    fn times_have_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        for text in ["", "10", "m", "-1s", "10 days", "1e400s", "NaNs"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn arguments_do_not_clash() {
        super::Arguments::command().debug_assert();
    }
}
