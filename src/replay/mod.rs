//! Replays: one run of a results directory trained again from its seed, the episodes that its policy
//! plays beside those that are stored, and a film of one of them.
//!
//! A study that has something to replay says so by [`Study::replayable`](crate::studies::Study::replayable); nothing here knows one.

mod film;
mod gif;
mod svg;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use envs::Scene;
use flags::nearest;
use polars::prelude::*;

pub use film::{Film, Frame};

use crate::report::{self, ReportError};
use crate::store::{Build, Results, RunEnvironment, StoreError};
use crate::studies::{CohortContext, StudyError};
use crate::study::{Member, Run};

/// How actions are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The policy's mean action, or its most likely choice.
    Deterministic,
    /// Actions drawn as in training.
    Stochastic,
}

impl Mode {
    /// Its name, which is also the one in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deterministic => "deterministic",
            Self::Stochastic => "stochastic",
        }
    }
}

/// What to play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// How actions are chosen.
    pub mode: Mode,
    /// How many episodes; `None` takes as many as the run's own evaluation.
    pub episodes: Option<usize>,
    /// The episode to film, from zero; at least so many are played that it is among them.
    pub filmed: Option<usize>,
}

impl Request {
    /// How many episodes to play, of a run whose own evaluation has so many.
    pub fn count(&self, stored: usize) -> usize {
        let asked = self.episodes.unwrap_or(stored).max(1);
        asked.max(self.filmed.map_or(0, |episode| episode + 1))
    }
}

/// An episode's return and length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Undiscounted sum of the environment's own rewards.
    pub return_: f64,
    /// Steps.
    pub length: u32,
}

impl Outcome {
    /// Whether both are the same to the last bit.
    pub fn is_identical(&self, other: &Self) -> bool {
        self.return_.to_bits() == other.return_.to_bits() && self.length == other.length
    }
}

/// What a study played.
#[derive(Clone, Debug)]
pub struct Played {
    /// The environment's name.
    pub environment: String,
    /// The episodes in order.
    pub episodes: Vec<Outcome>,
    /// The filmed one.
    pub recording: Option<Recording>,
}

/// A filmed episode: every so many steps, the first state and the last one included.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Time from one frame to the next, s.
    pub frame_seconds: f64,
    /// The frames.
    pub frames: Vec<Frame>,
}

/// Collects the frames of an episode that is being played.
#[derive(Clone, Debug)]
pub struct Recorder {
    every: u32,
    recording: Recording,
}

/// Most frames a second.
const FRAME_RATE: f64 = 30.0;

impl Recorder {
    /// A recorder of an environment whose steps take so long, s.
    pub fn new(step_seconds: f64) -> Self {
        // Rounded before it is rounded up: thirty steps of 1/30 s are a second. Steps take from
        // milliseconds to a second.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let every =
            ((1.0 / (FRAME_RATE * step_seconds) * 1e6).round() / 1e6).ceil().max(1.0) as u32;
        let frame_seconds = f64::from(every) * step_seconds;
        Self { every, recording: Recording { frame_seconds, frames: Vec::new() } }
    }

    /// Whether the state after so many steps is to be shown.
    pub fn wants(&self, step: u32, done: bool) -> bool {
        done || step.is_multiple_of(self.every)
    }

    /// Takes a state that it wants.
    pub fn take(&mut self, step: u32, return_: f64, scene: Scene) {
        self.recording.frames.push(Frame { step, return_, scene });
    }

    /// The frames so far.
    pub fn finish(self) -> Recording {
        self.recording
    }
}

/// Where a study stores the episodes that a replay plays again.
#[derive(Clone, Copy, Debug)]
pub struct StoredEpisodes {
    /// The table; a row is an episode of a run (`run_id`).
    pub table: &'static str,
    /// Its column with the name of the [`Mode`].
    pub mode: &'static str,
    /// Its column with the episode's number, from zero.
    pub episode: &'static str,
    /// Its column with the return.
    pub return_: &'static str,
    /// Its column with the length.
    pub length: &'static str,
}

/// What a study offers that has something to replay.
pub trait Replayable: Sync {
    /// Where the same episodes are stored.
    fn stored(&self) -> StoredEpisodes;

    /// Plays episodes with what a run learned: with the final checkpoint that was kept of it, or
    /// by training it again from its seed where there is none.
    ///
    /// # Errors
    /// When interrupted, when the run diverges, when the checkpoint is damaged or of another run,
    /// or when something below fails.
    fn play(
        &self,
        run: &Run,
        kept: Option<&[u8]>,
        request: &Request,
        context: &CohortContext<'_>,
    ) -> Result<Played, StudyError>;
}

/// Which run of a results directory is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The one whose id begins like this.
    Id(String),
    /// A replicate of an arm.
    Arm {
        /// Name of the arm.
        name: String,
        /// The replicate.
        replicate: u64,
    },
}

/// Why a run cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The study trains nothing that acts.
    #[error("a study of the kind {kind} has nothing to replay")]
    NothingToReplay {
        /// Its kind.
        kind: &'static str,
    },
    /// No run has such an id.
    #[error(
        "{}: no run has an id that begins with `{id}`{}; column `run_id` of the table `runs` has them",
        path.display(),
        nearest.as_ref().map(|id| format!(" (did you mean {id}?)")).unwrap_or_default()
    )]
    UnknownRun {
        /// The results directory.
        path: PathBuf,
        /// What was asked for.
        id: String,
        /// An id like it.
        nearest: Option<String>,
    },
    /// Several runs have such an id.
    #[error("{}: {} runs have an id that begins with `{id}`:{}", path.display(), candidates.len(), listed(candidates))]
    AmbiguousRun {
        /// The results directory.
        path: PathBuf,
        /// What was asked for.
        id: String,
        /// The runs: id, arm and replicate.
        candidates: Vec<String>,
    },
    /// The study has no such arm.
    #[error(
        "{}: there is no arm `{name}`{}; the arms are:{}",
        path.display(),
        nearest.as_ref().map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default(),
        listed(known)
    )]
    UnknownArm {
        /// The results directory.
        path: PathBuf,
        /// What was asked for.
        name: String,
        /// A name like it.
        nearest: Option<String>,
        /// All names.
        known: Vec<String>,
    },
    /// The arm has no such replicate.
    #[error(
        "{}: the arm `{name}` has no replicate {replicate}; it has {}",
        path.display(),
        known.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
    )]
    UnknownReplicate {
        /// The results directory.
        path: PathBuf,
        /// Name of the arm.
        name: String,
        /// What was asked for.
        replicate: u64,
        /// All replicates.
        known: Vec<u64>,
    },
    /// Training the run broke off, so that it has no final policy.
    #[error("the run {run} diverged when it was trained, so that it has no final policy to replay")]
    Diverged {
        /// Its id.
        run: String,
    },
    /// The folder for frames has something in it.
    #[error("{}: the folder is not empty; name a new one for the frames", .0.display())]
    NotEmpty(PathBuf),
    /// A file is to be written where a folder is.
    #[error("{}: this is a folder; name a file", .0.display())]
    IsFolder(PathBuf),
    /// There is no folder to write a file into.
    #[error("{}: there is no folder {}", path.display(), folder.display())]
    NoFolder {
        /// The file.
        path: PathBuf,
        /// The folder that it should be in.
        folder: PathBuf,
    },
    /// The results could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored table could not be searched.
    #[error("cannot search the table {table}: {source}")]
    Frame {
        /// Its name.
        table: &'static str,
        /// Why.
        source: PolarsError,
    },
    /// The run could not be trained or played.
    #[error("replaying the run {run} failed: {source}")]
    Study {
        /// Its id.
        run: String,
        /// Why.
        source: StudyError,
    },
    /// A picture could not be drawn or written.
    #[error(transparent)]
    Picture(#[from] ReportError),
    /// A GIF could not be encoded.
    #[error("cannot write a GIF: {0}")]
    Gif(#[from] ::gif::EncodingError),
    /// A folder could not be made or read.
    #[error("{}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// At most so many lines in an error.
const LISTED: usize = 20;

fn listed(lines: &[String]) -> String {
    let mut text = String::new();
    for line in lines.iter().take(LISTED) {
        let _ = write!(text, "\n  {line}");
    }
    if lines.len() > LISTED {
        let _ = write!(text, "\n  and {} more", lines.len() - LISTED);
    }
    text
}

/// A run that was found, and the arm that it is shown as.
#[derive(Clone, Debug)]
pub struct Found<'a> {
    /// The run.
    pub run: &'a Run,
    /// The arm.
    pub arm: String,
}

/// Finds a run of a results directory.
///
/// # Errors
/// When there is none, or more than one.
pub fn find<'a>(results: &'a Results, choice: &Choice) -> Result<Found<'a>, ReplayError> {
    let plan = &results.plan;
    let path = || results.path().to_owned();
    match choice {
        Choice::Id(id) => {
            let like: Vec<&Run> =
                plan.runs.iter().filter(|run| run.id.as_ref().starts_with(id.as_str())).collect();
            match like[..] {
                [run] => Ok(Found { run, arm: run.arm.clone() }),
                [] => {
                    let ids = plan.runs.iter().map(|run| run.id.as_ref());
                    let nearest = nearest(id, ids).map(str::to_owned);
                    Err(ReplayError::UnknownRun { path: path(), id: id.clone(), nearest })
                }
                _ => {
                    let named = |run: &&Run| {
                        format!("{}  {}, replicate {}", run.id, run.arm, run.replicate)
                    };
                    let candidates = like.iter().map(named).collect();
                    Err(ReplayError::AmbiguousRun { path: path(), id: id.clone(), candidates })
                }
            }
        }
        Choice::Arm { name, replicate } => {
            let arms = &plan.file.arms;
            let Some(index) = arms.iter().position(|arm| arm.name == *name) else {
                let known: Vec<String> = arms.iter().map(|arm| arm.name.clone()).collect();
                let nearest = nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
                return Err(ReplayError::UnknownArm {
                    path: path(),
                    name: name.clone(),
                    nearest,
                    known,
                });
            };
            let own = plan.members.iter().filter(|member| member.arm == index);
            let wanted = |member: &&Member| member.replicate == *replicate;
            match own.clone().find(wanted) {
                Some(member) => Ok(Found { run: &plan.runs[member.run], arm: name.clone() }),
                None => Err(ReplayError::UnknownReplicate {
                    path: path(),
                    name: name.clone(),
                    replicate: *replicate,
                    known: own.map(|member| member.replicate).collect(),
                }),
            }
        }
    }
}

/// An episode that was played, and the one that is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Episode {
    /// As it was played.
    pub played: Outcome,
    /// As it is stored, where it is.
    pub stored: Option<Outcome>,
}

/// A run that was replayed.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The environment's name.
    pub environment: String,
    /// The episodes in order.
    pub episodes: Vec<Episode>,
    /// The film.
    pub film: Option<Film>,
}

/// Plays with what a run learned, which its final checkpoint has (`kept`) or training it again shows.
///
/// # Errors
/// When the study has nothing to replay, the run diverged, or something below fails.
pub fn replay(
    results: &Results,
    found: &Found<'_>,
    kept: Option<&[u8]>,
    request: &Request,
    context: &CohortContext<'_>,
) -> Result<Replay, ReplayError> {
    let study = results.plan.file.study;
    let replayable =
        study.replayable().ok_or(ReplayError::NothingToReplay { kind: study.kind() })?;
    let run = found.run;
    let id = run.id.to_string();
    if results.statuses()?.get(&id).is_some_and(|status| status == "diverged") {
        return Err(ReplayError::Diverged { run: id });
    }
    let stored = stored_episodes(results, &replayable.stored(), run, request.mode)?;
    let played = replayable
        .play(run, kept, request, context)
        .map_err(|source| ReplayError::Study { run: id, source })?;
    let episodes = played.episodes.iter().zip(0_u32..).map(|(episode, number)| Episode {
        played: *episode,
        stored: stored.iter().find(|(stored, _)| *stored == number).map(|(_, stored)| *stored),
    });
    let film = played.recording.zip(request.filmed).map(|(recording, episode)| Film {
        environment: played.environment.clone(),
        arm: found.arm.clone(),
        replicate: run.replicate,
        mode: request.mode,
        episode,
        frame_seconds: recording.frame_seconds,
        frames: recording.frames,
    });
    Ok(Replay { episodes: episodes.collect(), environment: played.environment, film })
}

/// The stored episodes of a run by their numbers.
fn stored_episodes(
    results: &Results,
    stored: &StoredEpisodes,
    run: &Run,
    mode: Mode,
) -> Result<Vec<(u32, Outcome)>, ReplayError> {
    let failed = |source| ReplayError::Frame { table: stored.table, source };
    let own = col("run_id").eq(lit(run.id.as_ref())).and(col(stored.mode).eq(lit(mode.name())));
    let columns = [stored.episode, stored.return_, stored.length].map(col);
    let frame =
        results.scan(stored.table)?.filter(own).select(columns).collect().map_err(failed)?;
    let numbers = frame.column(stored.episode).and_then(Column::u32).map_err(failed)?;
    let returns = frame.column(stored.return_).and_then(Column::f64).map_err(failed)?;
    let lengths = frame.column(stored.length).and_then(Column::u32).map_err(failed)?;
    let rows = numbers.iter().zip(returns.iter()).zip(lengths.iter());
    Ok(rows
        .filter_map(|((number, return_), length)| {
            Some((number?, Outcome { return_: return_?, length: length? }))
        })
        .collect())
}

impl Replay {
    /// Whether what was played agrees with what is stored, in a sentence or two.
    pub fn verdict(&self, results: &Results) -> String {
        let known: Vec<(&Outcome, &Outcome)> = self
            .episodes
            .iter()
            .filter_map(|episode| Some((&episode.played, episode.stored.as_ref()?)))
            .collect();
        let differing =
            known.iter().filter(|(played, stored)| !played.is_identical(stored)).count();
        match (known.len(), differing) {
            (0, _) => "the results directory stores none of these episodes".to_owned(),
            (1, 0) => "the stored episode is bit-identical".to_owned(),
            (stored, 0) => format!("all {stored} stored episodes are bit-identical"),
            (stored, differing) => {
                let reason = difference(results).unwrap_or_else(|| {
                    "neither program nor machine is another one, so this is a defect".to_owned()
                });
                format!("{differing} of {stored} stored episodes differ: {reason}")
            }
        }
    }
}

/// What is different here from where the results were written, if anything is.
fn difference(results: &Results) -> Option<String> {
    let here = (Build::current(), RunEnvironment::cpu());
    results.manifest.writers.iter().find_map(|writer| {
        let (build, machine) = (&writer.build, &writer.environment);
        if machine.device.kind != here.1.device.kind {
            Some(format!("this directory has results of a {}", machine.device.kind.to_uppercase()))
        } else if build.target != here.0.target || machine.cpu.features != here.1.cpu.features {
            Some(format!(
                "this directory has results of another kind of processor, {}",
                machine.cpu.model
            ))
        } else if build.commit != here.0.commit || build.dirty != here.0.dirty {
            Some(format!("this directory has results of another version, commit {}", build.commit))
        } else {
            None
        }
    })
}

/// Where to write the film.
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    /// One animated SVG.
    pub svg: Option<PathBuf>,
    /// One animated GIF.
    pub gif: Option<PathBuf>,
    /// A new folder of PNG files, one a frame.
    pub frames: Option<PathBuf>,
}

impl Outputs {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.svg.is_none() && self.gif.is_none() && self.frames.is_none()
    }

    /// Finds out whether the film can be written, before anything is trained for it.
    ///
    /// # Errors
    /// When a folder is missing or in the way, or the one for the frames is not empty.
    pub fn check(&self) -> Result<(), ReplayError> {
        for path in self.svg.iter().chain(&self.gif) {
            if path.is_dir() {
                return Err(ReplayError::IsFolder(path.clone()));
            }
            let folder = match path.parent() {
                Some(folder) if folder != Path::new("") => folder,
                _ => continue,
            };
            if !folder.is_dir() {
                let (path, folder) = (path.clone(), folder.to_owned());
                return Err(ReplayError::NoFolder { path, folder });
            }
        }
        if let Some(folder) = &self.frames
            && folder.exists()
        {
            let failed = |source| ReplayError::Folder { path: folder.clone(), source };
            if std::fs::read_dir(folder).map_err(failed)?.next().is_some() {
                return Err(ReplayError::NotEmpty(folder.clone()));
            }
        }
        Ok(())
    }

    /// Writes the film; says what was written, a line each.
    ///
    /// # Errors
    /// When a picture cannot be drawn, or a file cannot be written.
    pub fn write(&self, film: &Film) -> Result<Vec<String>, ReplayError> {
        let mut written = Vec::new();
        let count = film.frames.len();
        if let Some(path) = &self.svg {
            report::replace(path, film.svg().as_bytes())?;
            written.push(format!("{} ({count} frames)", path.display()));
        }
        if let Some(path) = &self.gif {
            report::replace(path, &film.gif()?)?;
            written.push(format!("{} ({count} frames)", path.display()));
        }
        if let Some(folder) = &self.frames {
            std::fs::create_dir_all(folder)
                .map_err(|source| ReplayError::Folder { path: folder.clone(), source })?;
            for index in 0..count {
                let path = folder.join(format!("frame-{index:04}.png"));
                report::replace(&path, &film.png(index)?)?;
            }
            written.push(format!("{} ({count} frames)", folder.display()));
        }
        Ok(written)
    }
}
