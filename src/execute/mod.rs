//! From a plan to tables: which cohorts are still to do, who trains them, and what is kept.
//!
//! Cohorts are independent, so workers take them one by one; a finished cohort is committed as a
//! whole by the thread that called. Nothing here can change a number: widths, workers and order
//! decide only when a run is trained.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use self::checkpoints::{CohortCheckpoints, Started};
use crate::store::{DirectoryJournal, ResultsDirectory, StoreError};
use crate::studies::{
    CohortContext, CohortOutcome, Device, Progress, RunStatus, Study, StudyError,
};
use crate::study::{Cohort, Plan, Position, Run, cohorts};

mod checkpoints;

pub use checkpoints::CheckpointOptions;

/// How to execute.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where learners run.
    pub device: Device,
    /// Threads.
    pub workers: usize,
    /// Most runs in a cohort; `None` takes what suits the device.
    pub cohort_width: Option<usize>,
    /// What is kept of runs beside their results.
    pub checkpoints: CheckpointOptions,
    /// The results directory whose runs are done again; `None` where they are done first.
    pub repeats: Option<PathBuf>,
}

/// What an execution did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Runs that were recorded before.
    pub skipped: usize,
    /// Runs that trained to the end now.
    pub finished: usize,
    /// Runs that diverged now.
    pub diverged: usize,
    /// Whether it was asked to stop before the end.
    pub interrupted: bool,
}

/// Why an execution ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// Results could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A cohort failed; finished cohorts are kept, and running again retries it.
    #[error("{runs} runs failed (the first is {first}): {source}")]
    Study {
        /// Runs of the cohort.
        runs: usize,
        /// Its first run.
        first: String,
        /// What went wrong.
        source: StudyError,
    },
}

/// Watches an execution.
pub trait Observer: Sync {
    /// It begins: steps and runs that are still to do.
    fn begin(&self, steps: u64, runs: usize, skipped: usize);
    /// A cohort (by its number) moved on.
    fn progress(&self, cohort: usize, progress: Progress);
    /// A cohort was committed.
    fn committed(&self, cohort: usize, finished: usize, diverged: usize);
    /// Something that the user may want to know; a sentence.
    fn note(&self, text: &str);
}

/// What workers hand to the thread that writes.
enum Message<'a> {
    /// A cohort is done.
    Trained(usize, Vec<&'a Run>, CohortOutcome),
    /// Runs are to be kept as they are now.
    Keep(checkpoints::Keep),
}

/// Trains what a results directory does not have yet.
///
/// # Errors
/// When a cohort fails or its results cannot be kept; what was committed before stays.
pub fn execute(
    plan: &Plan,
    directory: &mut ResultsDirectory,
    options: &Options,
    stop: &AtomicBool,
    observer: &dyn Observer,
) -> Result<Summary, ExecuteError> {
    let study = plan.file.study;
    let todo: Vec<&Run> =
        plan.runs.iter().filter(|run| !directory.recorded().contains(&run.id)).collect();
    let mut summary = Summary { skipped: plan.runs.len() - todo.len(), ..Summary::default() };
    let started = Started::find(plan, &todo, directory, observer);
    observer.begin(steps_left(study, &todo, &started), todo.len(), summary.skipped);

    let schedule = schedule_at(study, &todo, &|run| started.position(run), options);
    // A GPU is one device: its cohorts go one after another, each with every thread for its actors.
    let lanes = match options.device {
        Device::Cpu => options.workers.clamp(1, schedule.len().max(1)),
        Device::Gpu { .. } => 1,
    };
    let threads = (options.workers / lanes).max(1);
    let journal = match &options.repeats {
        Some(repeated) => DirectoryJournal::record_of(repeated)?,
        None => DirectoryJournal::open(directory.path())?,
    };
    for path in journal.damaged() {
        let path = path.display();
        observer.note(&format!("{path} holds damaged answers, which are asked for again"));
    }
    let halt = AtomicBool::new(false);
    let failure = Mutex::new(None);
    let next = Mutex::new(schedule.iter().enumerate());
    let (sender, receiver) = mpsc::channel();
    let mut store_failure = None;
    std::thread::scope(|scope| {
        for _ in 0..lanes {
            let sender = sender.clone();
            let (todo, next, halt, failure) = (&todo, &next, &halt, &failure);
            let (started, journal) = (&started, &journal);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) && !halt.load(Ordering::Relaxed) {
                    let Some((number, cohort)) = lock(next).next() else { break };
                    let runs: Vec<&Run> = cohort.runs.iter().map(|index| todo[*index]).collect();
                    let checkpoints =
                        CohortCheckpoints::new(&runs, started, options, stop, sender.clone());
                    let context = CohortContext {
                        study_seed: plan.file.seed,
                        device: options.device.clone(),
                        threads,
                        stop,
                        progress: &|progress| observer.progress(number, progress),
                        checkpoints: Some(&checkpoints),
                        journal: Some(journal),
                    };
                    match study.run_cohort(&runs, &context) {
                        // The receiver only goes away after a failure to store.
                        Ok(outcome) => {
                            drop(checkpoints);
                            if sender.send(Message::Trained(number, runs, outcome)).is_err() {
                                break;
                            }
                        }
                        Err(StudyError::Interrupted) => break,
                        Err(source) => {
                            halt.store(true, Ordering::Relaxed);
                            let first = runs.first().map(|run| run.id.to_string());
                            lock(failure).get_or_insert(ExecuteError::Study {
                                runs: runs.len(),
                                first: first.unwrap_or_default(),
                                source,
                            });
                        }
                    }
                }
            });
        }
        drop(sender);
        let mut writable = true;
        for message in receiver {
            let (number, runs, outcome) = match message {
                Message::Trained(number, runs, outcome) => (number, runs, outcome),
                Message::Keep(keep) => {
                    if let Err(error) = keep.write(directory)
                        && std::mem::replace(&mut writable, false)
                    {
                        observer.note(&format!(
                            "a checkpoint could not be written ({error}); training goes on"
                        ));
                    }
                    continue;
                }
            };
            let diverged = outcome
                .runs
                .iter()
                .filter(|run| matches!(run.status, RunStatus::Diverged { .. }))
                .count();
            let finished = runs.len() - diverged;
            if let Err(error) = directory.commit(&runs, outcome) {
                halt.store(true, Ordering::Relaxed);
                store_failure.get_or_insert(error);
                continue;
            }
            // What cannot be removed now is removed when the directory is opened again.
            let _ = directory.remove_checkpoints(runs.iter().map(|run| &run.id));
            summary.finished += finished;
            summary.diverged += diverged;
            observer.committed(number, finished, diverged);
        }
    });
    if let Some(error) = store_failure {
        return Err(error.into());
    }
    directory.finish()?;
    if let Some(error) = failure.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        return Err(error);
    }
    summary.interrupted = summary.finished + summary.diverged < todo.len();
    Ok(summary)
}

/// Cohorts of runs that are still to do, in the order they are started.
pub fn schedule(study: &dyn Study, todo: &[&Run], options: &Options) -> Vec<Cohort> {
    schedule_at(study, todo, &|_| Position::default(), options)
}

/// The same of runs some of which were begun.
fn schedule_at(
    study: &dyn Study,
    todo: &[&Run],
    position: &dyn Fn(&Run) -> Position,
    options: &Options,
) -> Vec<Cohort> {
    let width = options.cohort_width.unwrap_or_else(|| study.cohort_width(&options.device));
    let workers = match options.device {
        Device::Cpu => options.workers,
        Device::Gpu { .. } => 1,
    };
    cohorts(study, todo, position, width, workers)
}

/// Steps that runs still have to take.
fn steps_left(study: &dyn Study, todo: &[&Run], started: &Started) -> u64 {
    todo.iter()
        .map(|run| {
            let steps = study.cost(&run.configuration).steps;
            // For the display of progress; far below 2^53.
            #[allow(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss
            )]
            let left = (steps as f64 * started.position(run).left) as u64;
            left
        })
        .sum()
}

/// A panic while holding one of these locks leaves nothing half done, so the data is still good.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
