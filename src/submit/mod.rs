//! Studies on a cluster: a study's shards as the tasks of one Slurm array job, and a second job
//! that merges and reports when every task has ended well.
//!
//! ```text
//! DIR/slurm/study.toml   the study file as it was submitted
//! DIR/slurm/array.sh     one task a shard; writes DIR/shards/i-of-n
//! DIR/slurm/finish.sh    merges the shards into DIR and writes the report
//! DIR/slurm/jobs.json    which jobs were submitted
//! DIR/slurm/*.log        what the jobs printed
//! ```
//!
//! Tasks share nothing but the file system, so everything that is needed to go on after a crash,
//! a pre-emption or a time limit is in the shards' results directories.

mod progress;
mod queue;
mod script;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::{fs, io};

pub use progress::{ShardState, Sharded};
pub use queue::{Jobs, Queue, Submission, Task};
pub use script::{Resources, Script};

use crate::store::{ResultsDirectory, StoreError};
use crate::study::{Plan, SHARDS, Shard, StudyFile};

/// Folder of a results directory that holds what was submitted.
pub const FOLDER: &str = "slurm";

/// Marks a results directory.
const MANIFEST: &str = "manifest.json";

/// Why a study was not submitted.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The results directory cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The directory belongs to another study.
    #[error(
        "{} holds the study {found:?}, not {wanted:?}; choose another directory for the results",
        path.display()
    )]
    OtherStudy {
        /// The results directory.
        path: PathBuf,
        /// Name of the study it holds.
        found: String,
        /// Name of the study at hand.
        wanted: String,
    },
    /// The directory holds something that no ceteris wrote.
    #[error(
        "{} holds other files (such as {}) and no results; choose a new or an empty directory for \
         the results", path.display(), example.display()
    )]
    Foreign {
        /// The results directory.
        path: PathBuf,
        /// One thing in it.
        example: PathBuf,
    },
    /// The directory holds results of another version of the study file.
    #[error(
        "{} holds results of another version of the study file, which `ceteris merge` does not mix \
         with those of this one; choose another directory for the results, or bring it up to date \
         with `ceteris run FILE --out {}`", path.display(), path.display()
    )]
    Edited {
        /// The results directory.
        path: PathBuf,
    },
    /// The study was split into another number of shards before.
    #[error(
        "{} is split into {found} shards already; submit with --tasks {found}, or `ceteris merge` \
         first and remove {}/shards and {}/slurm", path.display(), path.display(), path.display()
    )]
    OtherSplit {
        /// The results directory.
        path: PathBuf,
        /// Its number of shards.
        found: NonZeroU32,
    },
    /// Tasks of an earlier version of the study file are still in the queue.
    #[error(
        "job {job} may still train an earlier version of the study file, {}; wait for it, or cancel \
         it with `scancel {job}` and submit where squeue answers", path.display()
    )]
    OtherVersion {
        /// The array job.
        job: u64,
        /// The study file it reads.
        path: PathBuf,
    },
    /// A path cannot be written in a batch script.
    #[error(
        "{path:?} has a line break, a backslash or bytes that are no text in its name, which Slurm's \
         scripts cannot name; choose another path"
    )]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// `jobs.json` is damaged.
    #[error(
        "{} is not what `ceteris submit` writes ({detail}); if none of its jobs is in the queue, \
         remove it", path.display()
    )]
    Jobs {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// Slurm is not here.
    #[error(
        "{program} is not on PATH, so this machine cannot submit; use a login node of the cluster, \
         or write the scripts with --dry-run and submit them there"
    )]
    NoSlurm {
        /// The program that is missing.
        program: &'static str,
    },
    /// Slurm refused.
    #[error("{program} refused: {said}")]
    Refused {
        /// The program.
        program: &'static str,
        /// What it printed to its standard error.
        said: String,
    },
    /// The array was submitted, the job after it was not.
    #[error(
        "job {array} was submitted, but not the one that merges and reports after it; when it has \
         ended, run `ceteris merge --out {}` and `ceteris report {}`", path.display(), path.display()
    )]
    Half {
        /// The array job.
        array: u64,
        /// The results directory.
        path: PathBuf,
        /// Why.
        source: Box<SubmitError>,
    },
}

impl SubmitError {
    fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { action, path: path.into(), source }
    }
}

/// What is to be submitted.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The study.
    pub plan: &'a Plan,
    /// Its results directory.
    pub results: &'a Path,
    /// Into how many shards it is split.
    pub tasks: NonZeroU32,
    /// What a task asks Slurm for.
    pub resources: &'a Resources,
    /// Arguments of `ceteris run` beside those that a shard needs, such as `--device wgpu`.
    pub arguments: &'a [String],
    /// The program that tasks start, as an absolute path.
    pub program: &'a Path,
}

/// What is written and to be submitted.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The results directory, as an absolute path.
    pub results: PathBuf,
    /// The script of the array job.
    pub array: PathBuf,
    /// The script of the job after it.
    pub finish: PathBuf,
    /// The shards that are neither complete nor in the queue, by number.
    pub shards: Vec<u32>,
    /// How many shards are complete.
    pub complete: u32,
    /// Array jobs that still have tasks in the queue.
    pub queued: BTreeSet<u64>,
    /// How many of the study's tasks are in the queue.
    pub in_queue: u32,
    tasks: NonZeroU32,
    array_limit: Option<u32>,
    jobs: Jobs,
}

/// The number of shards that a results directory is split into already, if it is.
///
/// # Errors
/// When the directory cannot be read.
pub fn split_before(results: &Path) -> Result<Option<NonZeroU32>, SubmitError> {
    Ok(Sharded::read(results)?.and_then(|sharded| sharded.splits().first().copied()))
}

/// Writes the scripts and looks at what is left to do.
///
/// With `certain`, Slurm must answer about the jobs that were submitted before, if there is a
/// Slurm here; otherwise a task could be submitted twice.
///
/// # Errors
/// When the directory holds something else, its files cannot be written, or Slurm does not answer.
pub fn prepare(request: &Request<'_>, certain: bool) -> Result<Prepared, SubmitError> {
    let given = request.results;
    let results = std::path::absolute(given).map_err(SubmitError::file("find", given))?;
    let file = &request.plan.file;
    belongs(&results, file)?;
    let folder = results.join(FOLDER);
    let jobs = Jobs::read(&results)?;
    let queue = Queue::ask(&jobs);
    let mut unknown = None;
    let known = match queue {
        Queue::Silent(said) if certain => {
            return Err(SubmitError::Refused { program: "squeue", said });
        }
        Queue::Silent(_) | Queue::Unknown => {
            unknown = jobs.submissions.last().map(|submission| submission.array);
            Vec::new()
        }
        Queue::Tasks(tasks) => tasks,
    };
    let active: Vec<&Task> = known.iter().filter(|task| task.is_active()).collect();
    let queued: BTreeSet<u64> = active.iter().map(|task| task.array).collect();

    let study = folder.join("study.toml");
    let before = fs::read_to_string(&study).ok();
    // Tasks read the copy when they start, so it must not change under those that still wait.
    if let Some(job) = queued.first().copied().or(unknown)
        && before.is_some_and(|text| text != file.text)
    {
        return Err(SubmitError::OtherVersion { job, path: study });
    }
    let sharded = Sharded::read(&results)?;
    let splits = sharded.as_ref().map(Sharded::splits).unwrap_or_default();
    if let Some(&found) = splits.first()
        && !splits.contains(&request.tasks)
    {
        return Err(SubmitError::OtherSplit { path: given.into(), found });
    }
    let stored = match &sharded {
        Some(sharded) => sharded.statuses()?,
        None if results.join(MANIFEST).exists() => ResultsDirectory::read(&results)?.statuses()?,
        None => BTreeMap::new(),
    };
    // Shards that keep an earlier version of the study file take over this one when they run.
    let outdated: BTreeSet<u32> = sharded
        .iter()
        .flat_map(|sharded| &sharded.shards)
        .filter(|state| {
            let sha256 = state.results.as_ref().map(|results| &results.manifest.study.sha256);
            sha256.is_some_and(|sha256| *sha256 != file.sha256)
        })
        .map(|state| state.shard.index())
        .collect();
    let (mut shards, mut complete, mut in_queue) = (Vec::new(), 0, 0);
    for shard in Shard::all(request.tasks) {
        let runs = request.plan.of_shard(shard).runs;
        // A shard without runs has nothing to complete, and nothing to merge.
        if runs.iter().all(|run| stored.contains_key(run.id.as_ref()))
            && !outdated.contains(&shard.index())
        {
            complete += 1;
        } else if active.iter().any(|task| task.index == shard.index()) {
            in_queue += 1;
        } else {
            shards.push(shard.index());
        }
    }

    let script = Script {
        study: &file.name,
        results: &results,
        program: request.program,
        tasks: request.tasks,
        resources: request.resources,
        arguments: request.arguments,
    };
    let (array_text, finish_text) = (script.array()?, script.finish()?);
    fs::create_dir_all(&folder).map_err(SubmitError::file("create", &folder))?;
    let (array, finish) = (folder.join("array.sh"), folder.join("finish.sh"));
    for (path, text) in [(&study, &file.text), (&array, &array_text), (&finish, &finish_text)] {
        replace(path, text)?;
    }
    let array_limit = request.resources.array_limit;
    let tasks = request.tasks;
    Ok(Prepared {
        results,
        array,
        finish,
        shards,
        complete,
        queued,
        in_queue,
        tasks,
        array_limit,
        jobs,
    })
}

impl Prepared {
    /// The tasks of the array, as Slurm writes them, such as `3,5-7%4`.
    pub fn array_tasks(&self) -> String {
        queue::task_list(&self.shards, self.array_limit)
    }

    /// The arguments of `sbatch` for the array.
    pub fn array_arguments(&self) -> Vec<String> {
        vec!["--parsable".into(), format!("--array={}", self.array_tasks())]
    }

    /// The arguments of `sbatch` for the job that follows an array job.
    pub fn finish_arguments(&self, array: &str) -> Vec<String> {
        let mut dependency = format!("afterok:{array}");
        // Tasks from before that fail are told by the report; those of this array are not merged
        // before they end well.
        for job in &self.queued {
            dependency.push_str(&format!(",afterany:{job}"));
        }
        vec![
            "--parsable".into(),
            format!("--dependency={dependency}"),
            // Without this, the job would wait for ever when a task has failed for good.
            "--kill-on-invalid-dep=yes".into(),
        ]
    }

    /// Submits both jobs and records them.
    ///
    /// # Errors
    /// When Slurm is not here or refuses.
    pub fn submit(mut self) -> Result<Submission, SubmitError> {
        let array = queue::sbatch(&self.array_arguments(), &self.array)?;
        let mut submission = Submission {
            array,
            finish: None,
            tasks: self.tasks,
            shards: queue::task_list(&self.shards, None),
        };
        // Recorded before the second job is tried, so that no array is ever forgotten.
        self.jobs.submissions.push(submission.clone());
        self.jobs.write(&self.results)?;
        let finish = queue::sbatch(&self.finish_arguments(&array.to_string()), &self.finish);
        let half = |source| SubmitError::Half {
            array,
            path: self.results.clone(),
            source: Box::new(source),
        };
        submission.finish = Some(finish.map_err(half)?);
        if let Some(last) = self.jobs.submissions.last_mut() {
            last.finish = submission.finish;
        }
        self.jobs.write(&self.results)?;
        Ok(submission)
    }
}

/// Looks whether a results directory is new, or this study's.
fn belongs(results: &Path, file: &StudyFile) -> Result<(), SubmitError> {
    let mut known = results.join(MANIFEST).exists();
    if known {
        let study = ResultsDirectory::read(results)?.manifest.study;
        same_study(results, &study.name, file)?;
        if study.sha256 != file.sha256 {
            return Err(SubmitError::Edited { path: results.into() });
        }
    }
    if let Some(sharded) = Sharded::read(results)? {
        same_study(results, &sharded.plan.file.name, file)?;
        known = true;
    }
    if known {
        return Ok(());
    }
    let entries = match fs::read_dir(results) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => {
            return Err(SubmitError::File { action: "list", path: results.into(), source });
        }
    };
    for entry in entries {
        let name = entry.map_err(SubmitError::file("list", results))?.file_name();
        // The scripts of a dry run are replaced, whatever study they were of: nothing was trained.
        // Names with a dot in front are what a killed process leaves, and the file system itself.
        if name != FOLDER && name != SHARDS && !name.to_string_lossy().starts_with('.') {
            return Err(SubmitError::Foreign { path: results.into(), example: name.into() });
        }
    }
    Ok(())
}

fn same_study(results: &Path, found: &str, file: &StudyFile) -> Result<(), SubmitError> {
    if found == file.name {
        return Ok(());
    }
    let (path, wanted) = (results.into(), file.name.clone());
    Err(SubmitError::OtherStudy { path, found: found.into(), wanted })
}

/// Writes a file so that nobody ever reads half of it.
fn replace(path: &Path, text: &str) -> Result<(), SubmitError> {
    let temporary = path.with_extension("tmp");
    fs::write(&temporary, text)
        .and_then(|()| fs::rename(&temporary, path))
        .map_err(SubmitError::file("write", path))
}
