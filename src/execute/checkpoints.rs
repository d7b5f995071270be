//! Runs in mid-training: where they go on from, and when they are kept.
//!
//! Workers hand checkpoints to the thread that writes results, so training waits for no disk and one
//! thread alone writes to the directory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use super::{Message, Observer, Options, lock};
use crate::store::{CheckpointKind, ResultsDirectory, StoreError, describe_progress};
use crate::studies::{CheckpointIdentity, CheckpointInfo, Checkpoints};
use crate::study::{Plan, Position, Run, RunId};

/// What is kept of runs beside their results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckpointOptions {
    /// How often runs in training are kept, and that they are when the study is interrupted; `None`
    /// keeps none.
    pub every: Option<Duration>,
    /// Whether trained runs are kept.
    pub keep_last: bool,
}

/// The runs that were begun before.
pub(super) struct Started {
    /// What checkpoints of this program are called, apart from the run.
    program: CheckpointIdentity,
    runs: BTreeMap<RunId, (Vec<u8>, CheckpointInfo)>,
}

impl Started {
    /// Looks for the checkpoints of runs that are still to do, and clears up the others: those of
    /// runs that are recorded are removed, and those that cannot be continued from are set aside.
    /// A checkpoint is never a reason to fail, since its run can start again.
    pub(super) fn find(
        plan: &Plan,
        todo: &[&Run],
        directory: &ResultsDirectory,
        observer: &dyn Observer,
    ) -> Self {
        let mut started = Self { program: directory.checkpoint_identity(), runs: BTreeMap::new() };
        if let Err(error) = directory.remove_checkpoints(directory.recorded()) {
            observer.note(&error.to_string());
        }
        for run in todo {
            match directory.read_checkpoint(&run.id) {
                Ok(None) => {}
                Ok(Some(bytes)) => match started.accept(plan, run, &bytes) {
                    Ok(info) => drop(started.runs.insert(run.id.clone(), (bytes, info))),
                    Err(reason) => {
                        let place = match directory.set_aside_checkpoint(&run.id) {
                            Ok(path) => format!("it is now {}", path.display()),
                            Err(error) => error.to_string(),
                        };
                        observer.note(&format!(
                            "run {} starts again, its checkpoint is of no use: {reason}; {place}",
                            run.id
                        ));
                    }
                },
                Err(error) => observer.note(&format!("run {} starts again: {error}", run.id)),
            }
        }
        let found: Vec<CheckpointInfo> =
            started.runs.values().map(|(_, info)| info.clone()).collect();
        let verbs = ["continues from its checkpoint", "continue from their checkpoints"];
        if let Some(text) = describe_progress(verbs, &found) {
            observer.note(&text);
        }
        started
    }

    /// Whether a run can go on from a checkpoint; else why not.
    fn accept(&self, plan: &Plan, run: &Run, bytes: &[u8]) -> Result<CheckpointInfo, String> {
        let file = &plan.file;
        let info =
            file.study.checkpoint(file.seed, run, bytes).map_err(|error| error.to_string())?;
        let wanted = self.identity(run);
        let other = wanted.iter().find(|(name, value)| info.identity.get(*name) != Some(*value));
        match other {
            None => Ok(info),
            Some((name, value)) => {
                let found = info.identity.get(name).map_or("unknown", String::as_str);
                Err(format!("it was written with another {name}, {found}, not {value}"))
            }
        }
    }

    fn identity(&self, run: &Run) -> CheckpointIdentity {
        let mut identity = self.program.clone();
        identity.insert("run".into(), run.id.to_string());
        identity
    }

    /// How far a run is.
    pub(super) fn position(&self, run: &Run) -> Position {
        match self.runs.get(&run.id) {
            // Iterations are far fewer than 2^53.
            #[allow(clippy::cast_precision_loss)]
            Some((_, info)) => Position {
                done: info.done,
                left: 1.0 - info.done as f64 / info.total.max(1) as f64,
            },
            None => Position::default(),
        }
    }
}

/// Checkpoints to write.
pub(super) struct Keep {
    kind: CheckpointKind,
    files: Vec<(RunId, Vec<u8>)>,
    writing: Arc<AtomicBool>,
}

impl Keep {
    pub(super) fn write(self, directory: &ResultsDirectory) -> Result<(), StoreError> {
        let mut files = self.files.iter();
        let written =
            files.try_for_each(|(run, bytes)| directory.write_checkpoint(run, self.kind, bytes));
        self.writing.store(false, Ordering::Relaxed);
        written
    }
}

/// The checkpoints of one cohort.
pub(super) struct CohortCheckpoints<'a> {
    runs: Vec<RunId>,
    started: &'a Started,
    options: CheckpointOptions,
    stop: &'a AtomicBool,
    sender: mpsc::Sender<Message<'a>>,
    /// When the latest were taken.
    latest: Mutex<Instant>,
    /// Whether the latest are still being written: on a slow disk they are then taken less often.
    writing: Arc<AtomicBool>,
}

impl<'a> CohortCheckpoints<'a> {
    pub(super) fn new(
        runs: &[&Run],
        started: &'a Started,
        options: &Options,
        stop: &'a AtomicBool,
        sender: mpsc::Sender<Message<'a>>,
    ) -> Self {
        Self {
            runs: runs.iter().map(|run| run.id.clone()).collect(),
            started,
            options: options.checkpoints,
            stop,
            sender,
            latest: Mutex::new(Instant::now()),
            writing: Arc::new(AtomicBool::new(false)),
        }
    }

    fn keep(&self, kind: CheckpointKind, checkpoints: Vec<Vec<u8>>) {
        *lock(&self.latest) = Instant::now();
        self.writing.store(true, Ordering::Relaxed);
        let files = self.runs.iter().cloned().zip(checkpoints).collect();
        let keep = Keep { kind, files, writing: Arc::clone(&self.writing) };
        // The receiver only goes away when nothing more can be stored.
        let _ = self.sender.send(Message::Keep(keep));
    }
}

impl Checkpoints for CohortCheckpoints<'_> {
    fn identity(&self, run: &Run) -> CheckpointIdentity {
        self.started.identity(run)
    }

    fn start(&self, run: &Run) -> Option<&[u8]> {
        self.started.runs.get(&run.id).map(|(bytes, _)| bytes.as_slice())
    }

    fn due(&self) -> bool {
        self.options.every.is_some_and(|every| {
            self.stop.load(Ordering::Relaxed)
                || !self.writing.load(Ordering::Relaxed) && lock(&self.latest).elapsed() >= every
        })
    }

    fn save(&self, checkpoints: Vec<Vec<u8>>) {
        self.keep(CheckpointKind::MidTraining, checkpoints);
    }

    fn keeps_last(&self) -> bool {
        self.options.keep_last
    }

    fn save_last(&self, checkpoints: Vec<Vec<u8>>) {
        self.keep(CheckpointKind::Final, checkpoints);
    }
}
