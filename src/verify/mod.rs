//! Verification: some runs of a results directory trained again, and every value compared.
//!
//! A verification trusts nothing but the study file and the presets that the manifest holds. It trains a
//! sample of the runs into a directory of its own, exactly as `ceteris run` would, and then compares
//! the two directories' tables row by row: bit for bit where program and machine promise equal bits,
//! within each table's [`Tolerance`] where they do not.

mod relation;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use polars::prelude::*;
use sha2::{Digest, Sha256};

pub use relation::Relation;

use crate::execute::{self, ExecuteError, Observer, Options};
use crate::store::{
    Build, Difference, RUNS, Results, ResultsDirectory, RunEnvironment, StoreError, Writer,
    difference,
};
use crate::studies::{Device, Tolerance};
use crate::study::RunId;

/// Which runs are trained again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sample {
    /// So many, drawn by the seed.
    Some(usize),
    /// As many as the time allows, drawn by the seed.
    Budget,
    /// These.
    These(Vec<RunId>),
    /// All.
    All,
}

/// How to verify.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which runs.
    pub sample: Sample,
    /// Draws the sample: another seed draws another one.
    pub seed: u64,
    /// No training begins that would probably end later than this. What has begun is finished, so
    /// that at least one run is compared.
    pub budget: Option<Duration>,
    /// Device and threads.
    pub options: Options,
    /// The machine and the device that verify.
    pub environment: RunEnvironment,
}

/// What comparing one run found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every value has the same bits.
    Identical,
    /// Bits differ, as they may on another machine or device, and every promised value is within its
    /// tolerance.
    Within {
        /// The first difference.
        first: Difference,
    },
    /// A value differs that should not.
    Different {
        /// The first difference of every table that differs.
        differences: Vec<Difference>,
    },
}

/// One run that was trained again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The run.
    pub run: RunId,
    /// Its arm.
    pub arm: String,
    /// Its replicate.
    pub replicate: u64,
    /// What was found.
    pub outcome: Outcome,
    /// How the program and machine that stored it relate to those that verified.
    pub relation: Relation,
    /// Rows that were compared.
    pub rows: usize,
}

/// What a verification found.
#[derive(Clone, Debug)]
pub struct Verification {
    /// The runs that were trained again, in the order drawn.
    pub runs: Vec<Verified>,
    /// Runs that could have been drawn: stored, and in the study file.
    pub of: usize,
    /// Tables that were compared.
    pub tables: Vec<&'static str>,
    /// Tables that were not, because nothing about them is promised.
    pub skipped: Vec<&'static str>,
    /// Whether the time allowed fewer runs than were asked for.
    pub ended_by_budget: bool,
    /// Whether it was interrupted.
    pub interrupted: bool,
    /// How long training took.
    pub took: Duration,
}

impl Verification {
    /// Whether no value differs that should not.
    pub fn is_sound(&self) -> bool {
        !self.runs.iter().any(|run| matches!(run.outcome, Outcome::Different { .. }))
    }

    /// The probability that a sample like this one holds an altered run, had so many been altered.
    pub fn would_find(&self, altered: usize) -> f64 {
        let (drawn, of) = (self.runs.len(), self.of);
        // Without replacement: the chance that every run drawn is one of the others.
        let missed: f64 = (0..drawn)
            .map(|draw| {
                let left = (of - draw) as f64;
                ((left - altered as f64) / left).max(0.0)
            })
            .product();
        1.0 - missed
    }
}

/// Why results could not be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A directory cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The runs could not be trained again.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// There is nothing to train again.
    #[error(
        "{} holds no run that its study file asks for as this version of ceteris reads it; use the \
         version that wrote it ({writer})", path.display()
    )]
    NothingToVerify {
        /// The results directory.
        path: PathBuf,
        /// The version that wrote it.
        writer: String,
    },
    /// A run that was asked for is not stored.
    #[error("{} does not hold the run {run} yet; `ceteris run` trains what is missing", path.display())]
    NotStored {
        /// The results directory.
        path: PathBuf,
        /// The run.
        run: String,
    },
    /// Stored numbers cannot be brought into order.
    #[error("cannot compare the table {table}: {source}")]
    Frame {
        /// The table.
        table: String,
        /// The cause.
        source: PolarsError,
    },
}

/// The runs in the order in which a seed draws them: by the hash of seed and identity, so that the
/// order depends neither on the order of the study file nor on which runs are stored.
fn drawn<'a>(runs: &[&'a RunId], seed: u64) -> Vec<&'a RunId> {
    let mut keyed: Vec<([u8; 32], &RunId)> = runs
        .iter()
        .map(|run| (Sha256::digest(format!("verify {seed} {run}")).into(), *run))
        .collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, run)| run).collect()
}

/// Trains a sample of the runs again in a scratch directory and compares every value.
///
/// # Errors
/// When nothing can be verified, a part is damaged, or training or storing fails.
pub fn verify(
    results: &Results,
    request: &Request,
    scratch: &Path,
    stop: &AtomicBool,
    observer: &dyn Observer,
) -> Result<Verification, VerifyError> {
    let plan = &results.plan;
    let sets = results.stored()?;
    let stored: Vec<&RunId> =
        plan.runs.iter().map(|run| &run.id).filter(|id| sets.contains_key(id.as_ref())).collect();
    if stored.is_empty() {
        return Err(VerifyError::NothingToVerify {
            path: results.path().to_owned(),
            writer: results.manifest.ceteris_version.clone(),
        });
    }
    let mut queue = match &request.sample {
        Sample::These(runs) => {
            if let Some(run) = runs.iter().find(|run| !sets.contains_key(run.as_ref())) {
                let (path, run) = (results.path().to_owned(), run.to_string());
                return Err(VerifyError::NotStored { path, run });
            }
            runs.iter().collect()
        }
        Sample::Some(count) => {
            drawn(&stored, request.seed).into_iter().take((*count).max(1)).collect()
        }
        Sample::Budget | Sample::All => drawn(&stored, request.seed),
    };
    let options =
        execute::Options { repeats: Some(results.path().to_owned()), ..request.options.clone() };
    let own = Writer { build: Build::current(), environment: request.environment.clone() };

    let started = Instant::now();
    let mut trained: Vec<&RunId> = Vec::new();
    let mut round = first_round(request, queue.len());
    let (mut ended_by_budget, mut interrupted) = (false, false);
    while !queue.is_empty() {
        let begun = Instant::now();
        let now: Vec<&RunId> = queue.drain(..round.min(queue.len())).collect();
        let chosen: BTreeSet<&RunId> = trained.iter().chain(&now).copied().collect();
        let part = plan.keeping(|run| chosen.contains(&plan.runs[run].id));
        let mut directory = ResultsDirectory::open(scratch, &part, &request.environment)?;
        let summary = execute::execute(&part, &mut directory, &options, stop, observer)?;
        trained.extend(now.into_iter().filter(|run| directory.recorded().contains(*run)));
        if summary.interrupted || stop.load(Ordering::Relaxed) {
            interrupted = true;
            break;
        }
        let Some(budget) = request.budget else { continue };
        let left = budget.saturating_sub(started.elapsed());
        let lanes = lanes(&request.options);
        // Several runs of a lane train as one cohort, which takes less than one after another.
        let each = begun.elapsed().div_f64((round.div_ceil(lanes)).max(1) as f64);
        // Far fewer than 2^32 runs fit.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let fit = (left.as_secs_f64() / each.as_secs_f64().max(1e-3)) as usize;
        round = (fit * lanes).min(8 * round);
        if round == 0 {
            ended_by_budget = !queue.is_empty();
            break;
        }
    }
    let took = started.elapsed();
    let mut verification = compare(results, &trained, scratch, &own)?;
    verification.of = stored.len();
    verification.ended_by_budget = ended_by_budget;
    verification.interrupted = interrupted;
    verification.took = took;
    Ok(verification)
}

/// How many cohorts train at a time.
fn lanes(options: &Options) -> usize {
    match options.device {
        Device::Cpu => options.workers.max(1),
        Device::Gpu { .. } => 1,
    }
}

/// With a budget, one run a lane, whose time tells how many more fit; else everything.
fn first_round(request: &Request, runs: usize) -> usize {
    match request.budget {
        Some(_) => lanes(&request.options).min(runs),
        None => runs,
    }
}

/// Compares runs of two results directories in every table.
fn compare(
    results: &Results,
    trained: &[&RunId],
    scratch: &Path,
    own: &Writer,
) -> Result<Verification, VerifyError> {
    let study = results.plan.file.study;
    let again = results.same_study_at(scratch)?;
    let sets = results.stored()?;
    let described = study.tables().iter();
    let reproducible = described.clone().filter(|table| table.reproducible);
    // The summary of a run comes last: what differs first is in the tables that follow its course.
    let tables: Vec<(&'static str, Vec<&'static str>, Option<Tolerance>)> = reproducible
        .map(|table| (table.name, table.key.to_vec(), table.tolerance))
        .chain([(RUNS, vec!["run_id"], None)])
        .collect();
    let skipped = described.filter(|table| !table.reproducible).map(|table| table.name).collect();
    let wanted: BTreeSet<&str> = trained.iter().map(|run| run.as_ref()).collect();
    let mut frames = Vec::new();
    for (name, ..) in &tables {
        frames.push((
            by_run(&results.rows_of(name, &wanted)?, name)?,
            by_run(&again.table(name)?, name)?,
        ));
    }
    let has_rows = |(left, right): &(ByRun, ByRun)| !left.runs.is_empty() || !right.runs.is_empty();
    let with_rows = tables
        .iter()
        .zip(&frames)
        .filter(|(_, frames)| has_rows(frames))
        .map(|((name, ..), _)| *name);
    let with_rows = with_rows.collect();
    let mut verified = Vec::new();
    for id in trained {
        let Some(run) = results.plan.runs.iter().find(|run| run.id == **id) else { continue };
        let writer = sets.get(id.as_ref()).and_then(|set| results.writer_of(set));
        let relation = Relation::between(writer, own);
        let (mut exact, mut promised, mut rows) = (Vec::new(), Vec::new(), 0);
        for ((name, key, tolerance), (left, right)) in tables.iter().zip(&frames) {
            let empty = (left.empty.clone(), right.empty.clone());
            let left = left.runs.get(id.as_ref()).unwrap_or(&empty.0);
            let right = right.runs.get(id.as_ref()).unwrap_or(&empty.1);
            rows += left.height().max(right.height());
            if let Some(found) = difference(name, key, left, right, None)? {
                exact.push(found);
                if let Some(tolerance) = tolerance {
                    promised.extend(difference(name, key, left, right, Some(tolerance))?);
                }
            }
        }
        let outcome = match exact.first() {
            None => Outcome::Identical,
            Some(first) if relation.allows_other_bits() && promised.is_empty() => {
                Outcome::Within { first: first.clone() }
            }
            Some(_) if relation.allows_other_bits() => Outcome::Different { differences: promised },
            Some(_) => Outcome::Different { differences: exact },
        };
        let (arm, replicate) = (run.arm.clone(), run.replicate);
        verified.push(Verified { run: run.id.clone(), arm, replicate, outcome, relation, rows });
    }
    Ok(Verification {
        runs: verified,
        of: 0,
        tables: with_rows,
        skipped,
        ended_by_budget: false,
        interrupted: false,
        took: Duration::ZERO,
    })
}

/// A table cut into runs.
struct ByRun {
    runs: BTreeMap<String, DataFrame>,
    empty: DataFrame,
}

/// Cuts a table that is sorted by run into runs.
fn by_run(frame: &DataFrame, table: &str) -> Result<ByRun, VerifyError> {
    let failed = |source| VerifyError::Frame { table: table.into(), source };
    let ids = frame.column("run_id").and_then(Column::str).map_err(failed)?;
    let mut runs = BTreeMap::new();
    let (mut start, mut current): (usize, Option<&str>) = (0, None);
    let mut close = |current: Option<&str>, start: usize, end: usize| {
        if let Some(run) = current.filter(|_| end > start) {
            runs.insert(run.to_owned(), frame.slice(start as i64, end - start));
        }
    };
    for (row, id) in ids.iter().enumerate() {
        if id != current {
            close(current, start, row);
            (start, current) = (row, id);
        }
    }
    close(current, start, frame.height());
    Ok(ByRun { runs, empty: frame.clear() })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Outcome, Relation, Verification, Verified};
    use crate::studies::find;
    use crate::study::RunId;

    fn verification(drawn: usize, of: usize) -> Verification {
        let study = find("policy-gradient").unwrap();
        let verified = |replicate: usize| Verified {
            run: RunId::of(study, 0, replicate as u64, &study.defaults()),
            arm: "base".into(),
            replicate: replicate as u64,
            outcome: Outcome::Identical,
            relation: Relation::default(),
            rows: 1,
        };
        Verification {
            runs: (0..drawn).map(verified).collect(),
            of,
            tables: Vec::new(),
            skipped: Vec::new(),
            ended_by_budget: false,
            interrupted: false,
            took: Duration::ZERO,
        }
    }

    // Python: 1 - math.comb(45, 6) / math.comb(50, 6).
    #[test]
    fn the_chance_to_find_an_altered_run_is_hypergeometric() {
        assert!((verification(6, 50).would_find(5) - 0.487_432_271_706_092_27).abs() < 1e-12);
        assert_eq!(verification(50, 50).would_find(1), 1.0);
        assert_eq!(verification(5, 20).would_find(0), 0.0);
    }
}
