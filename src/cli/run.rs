//! `ceteris run`: train what a study file asks for.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{IsTerminal as _, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle};

use super::{DeviceArg, default_workers, duration};
use crate::execute::{self, CheckpointOptions, Observer, Options};
use crate::report;
use crate::store::{ResultsDirectory, RunEnvironment, describe_progress};
use crate::studies::{Device, Progress, Study};
use crate::study::{Shard, StudyFile, plan};

/// Arguments of `ceteris run`.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// Study file
    pub file: PathBuf,
    /// Results directory; by default `out/NAME` with the study's name
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Where to train: cpu, wgpu, wgpu:N or auto
    #[arg(long, default_value_t = DeviceArg::Cpu)]
    pub device: DeviceArg,
    /// Threads; by default one a processor
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub workers: Option<u16>,
    /// Most runs in one tensor program; by default what suits the device
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub cohort_width: Option<u16>,
    /// Train only this part of the runs, such as 2/8, in DIR/shards/2-of-8; `ceteris merge` unites them
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
    /// How often runs in training are kept, so that a run killed in its middle continues there:
    /// 30s, 10m, 2h or off; Ctrl-C and SIGTERM keep them, too, unless off
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = every)]
    pub checkpoint_every: Every,
    /// Keep every trained run in DIR/checkpoints: parameters and normalisers
    #[arg(long)]
    pub keep_checkpoints: bool,
    /// Do not write a report at the end
    #[arg(long)]
    pub no_report: bool,
}

/// Time between checkpoints; `None` when they are off.
pub type Every = Option<Duration>;

/// Reads a time such as 90s, 10m or 2h, or `off`.
pub(super) fn every(text: &str) -> Result<Every, String> {
    if text == "off" {
        return Ok(None);
    }
    duration(text).map(Some).map_err(|error| format!("{error}, or off"))
}

/// Exit status of an interrupted run, as shells give it for Ctrl-C.
pub(super) const INTERRUPTED: u8 = 130;

/// Runs the subcommand.
///
/// # Errors
/// When the study file is not valid, or training or storing fails.
pub fn execute(
    args: &RunArgs,
    out: &mut dyn Write,
) -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    let file = StudyFile::read(&args.file)?;
    let mut plan = plan(file);
    let mut path = args.out.clone().unwrap_or_else(|| PathBuf::from("out").join(&plan.file.name));
    if let Some(shard) = args.shard {
        plan = plan.of_shard(shard);
        path = shard.directory(&path);
    }
    let options = Options {
        device: args.device.resolve(),
        workers: args.workers.map_or_else(default_workers, usize::from),
        cohort_width: args.cohort_width.map(usize::from),
        checkpoints: CheckpointOptions {
            every: args.checkpoint_every,
            keep_last: args.keep_checkpoints,
        },
        repeats: None,
    };
    let stop = stop_on_interrupt()?;
    let environment = environment(&options.device);
    let mut directory = ResultsDirectory::open(&path, &plan, &environment)?;
    let observer = Live::new(plan.file.study);
    let result = execute::execute(&plan, &mut directory, &options, &stop, &observer);
    observer.close();
    drop(directory);
    let summary = result?;
    let mut line = format!("{} runs finished", summary.finished);
    if summary.diverged > 0 {
        line.push_str(&format!(", {} diverged", summary.diverged));
    }
    if summary.skipped > 0 {
        line.push_str(&format!(", {} were there already", summary.skipped));
    }
    if summary.interrupted {
        let kept = ResultsDirectory::read(&path)
            .and_then(|results| {
                Ok(results.in_training()?.into_iter().map(|(_, info)| info).collect::<Vec<_>>())
            })
            .unwrap_or_default();
        let verbs = ["was kept in mid-training", "were kept in mid-training"];
        if let Some(kept) = describe_progress(verbs, &kept) {
            line.push_str(&format!(", {kept}"));
        }
        writeln!(out, "interrupted: {line}; run the same command again to continue")?;
        return Ok(ExitCode::from(INTERRUPTED));
    }
    if let Some(shard) = args.shard.filter(|_| plan.runs.is_empty()) {
        let name = &plan.file.name;
        writeln!(out, "shard {shard} is empty: {name} has fewer runs than shards")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "{line}; results in {}", path.display())?;
    // A shard's own report would mislead: it has some replicates of some arms.
    if !args.no_report && args.shard.is_none() {
        let results = ResultsDirectory::read(&path)?;
        let page = report::write(&results, &report::Options::default(), out)?;
        writeln!(out, "report: {}", page.display())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A flag that Ctrl-C raises; asked twice, the program ends at once.
pub(super) fn stop_on_interrupt() -> Result<Arc<AtomicBool>, ctrlc::Error> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            // What is committed is safe.
            std::process::exit(i32::from(INTERRUPTED));
        }
    })?;
    Ok(stop)
}

/// What the manifest says of this machine and the device.
pub(super) fn environment(device: &Device) -> RunEnvironment {
    match device {
        Device::Cpu => RunEnvironment::cpu(),
        Device::Gpu { .. } => {
            let (name, driver) = algorithms::device::LearnerDevice::from(device).describe();
            RunEnvironment::gpu(&name, &driver)
        }
    }
}

/// Progress in the terminal: a bar where there is one, else a line now and then.
pub(super) struct Live {
    bar: ProgressBar,
    interactive: bool,
    started: Instant,
    unit: &'static str,
    headline: &'static str,
    total: AtomicU64,
    done: AtomicU64,
    runs: AtomicUsize,
    finished: AtomicUsize,
    diverged: AtomicUsize,
    cohorts: Mutex<Cohorts>,
}

struct Cohorts {
    headlines: BTreeMap<usize, f64>,
    printed: Instant,
}

/// How often a line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(15);

impl Live {
    /// Progress in the steps and the headline of this study.
    pub(super) fn new(study: &dyn Study) -> Self {
        let bar = ProgressBar::no_length();
        // The template is constant; were it wrong, the default style would do.
        if let Ok(style) = ProgressStyle::with_template(
            "{bar:30} {percent:>3}%  {msg}  {elapsed} elapsed, {eta} left",
        ) {
            bar.set_style(style);
        }
        Self {
            bar,
            interactive: std::io::stderr().is_terminal(),
            started: Instant::now(),
            unit: study.step_unit(),
            // What is measured is named by its unit where it has one: a return.
            headline: study.metrics().first().map_or("", |metric| {
                if metric.unit.is_empty() { metric.name } else { metric.unit }
            }),
            total: AtomicU64::new(0),
            done: AtomicU64::new(0),
            runs: AtomicUsize::new(0),
            finished: AtomicUsize::new(0),
            diverged: AtomicUsize::new(0),
            cohorts: Mutex::new(Cohorts { headlines: BTreeMap::new(), printed: Instant::now() }),
        }
    }

    /// One line: runs, throughput and the mean headline of the cohorts that are training.
    fn message(&self, headlines: &BTreeMap<usize, f64>) -> String {
        let seconds = self.started.elapsed().as_secs_f64().max(1e-3);
        // Progress display only.
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )]
        let rate = (self.done.load(Ordering::Relaxed) as f64 / seconds) as u64;
        let mut message = format!(
            "{}/{} runs",
            self.finished.load(Ordering::Relaxed) + self.diverged.load(Ordering::Relaxed),
            self.runs.load(Ordering::Relaxed)
        );
        let diverged = self.diverged.load(Ordering::Relaxed);
        if diverged > 0 {
            message.push_str(&format!(" ({diverged} diverged)"));
        }
        message.push_str(&format!("  {} {}/s", HumanCount(rate), self.unit));
        if !headlines.is_empty() {
            #[allow(clippy::cast_precision_loss)]
            let mean = headlines.values().sum::<f64>() / headlines.len() as f64;
            message.push_str(&format!("  {} {mean:.1}", self.headline));
        }
        message
    }

    /// Takes the bar away.
    pub(super) fn close(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Live {
    fn begin(&self, steps: u64, runs: usize, _skipped: usize) {
        // On top of what was done before: a verification trains in rounds.
        let total = self.done.load(Ordering::Relaxed) + steps;
        let done = self.finished.load(Ordering::Relaxed) + self.diverged.load(Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
        self.runs.store(done + runs, Ordering::Relaxed);
        self.bar.set_length(total);
    }

    fn progress(&self, cohort: usize, progress: Progress) {
        let done = self.done.fetch_add(progress.steps, Ordering::Relaxed) + progress.steps;
        let mut cohorts = self.cohorts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(headline) = progress.headline {
            cohorts.headlines.insert(cohort, headline);
        }
        if self.interactive {
            self.bar.set_position(done);
            self.bar.set_message(self.message(&cohorts.headlines));
        } else if cohorts.printed.elapsed() >= LINE_EVERY {
            cohorts.printed = Instant::now();
            let total = self.total.load(Ordering::Relaxed).max(1);
            let elapsed = self.started.elapsed();
            // Progress display only.
            #[allow(clippy::cast_precision_loss)]
            let left = elapsed.mul_f64((total.saturating_sub(done)) as f64 / done.max(1) as f64);
            // A line of progress that cannot be printed is no reason to stop training.
            let _ = writeln!(
                std::io::stderr(),
                "{:>3}%  {}  {} left",
                done * 100 / total,
                self.message(&cohorts.headlines),
                HumanDuration(left)
            );
        }
    }

    fn committed(&self, cohort: usize, finished: usize, diverged: usize) {
        self.finished.fetch_add(finished, Ordering::Relaxed);
        self.diverged.fetch_add(diverged, Ordering::Relaxed);
        let mut cohorts = self.cohorts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        cohorts.headlines.remove(&cohort);
        if self.interactive {
            self.bar.set_message(self.message(&cohorts.headlines));
        }
    }

    fn note(&self, text: &str) {
        // A note that cannot be printed is no reason to stop training.
        self.bar.suspend(|| {
            let _ = writeln!(std::io::stderr(), "{text}");
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::every;

    #[test]
    fn times_are_read() {
        assert_eq!(every("0s"), Ok(Some(Duration::ZERO)));
        assert_eq!(every("10m"), Ok(Some(Duration::from_secs(600))));
        assert_eq!(every("off"), Ok(None));
        let expected = "expected a time such as 90s, 10m or 2h, not \"10µ\", or off";
        assert_eq!(every("10µ"), Err(expected.into()));
    }
}
