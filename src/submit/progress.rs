//! How far the shards of a study are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::num::NonZeroU32;
use std::path::Path;

use super::{FOLDER, Jobs, SubmitError};
use crate::store::{Results, ResultsDirectory, StoreError};
use crate::study::{Plan, SHARDS, Shard, StudyFile, plan};

/// A results directory of which shards were trained, or are to be.
#[derive(Debug)]
pub struct Sharded {
    /// The plan of the whole study.
    pub plan: Plan,
    /// What was merged or trained without shards so far, if anything.
    pub whole: Option<Results>,
    /// Every shard of every split, begun or not.
    pub shards: Vec<ShardState>,
    /// The jobs that were submitted.
    pub jobs: Jobs,
}

/// A shard of a results directory.
#[derive(Debug)]
pub struct ShardState {
    /// Which one.
    pub shard: Shard,
    /// The plan of its runs.
    pub plan: Plan,
    /// What it holds; `None` before its task has begun.
    pub results: Option<Results>,
}

impl Sharded {
    /// Looks at the shards of a results directory; `None` when it has none and none were
    /// submitted.
    ///
    /// # Errors
    /// When something in it cannot be read, or its shards belong to several studies.
    pub fn read(path: &Path) -> Result<Option<Self>, SubmitError> {
        let mut found: BTreeMap<Shard, Option<Results>> = BTreeMap::new();
        for shard in folders(path)? {
            found.insert(shard, read(&shard.directory(path))?);
        }
        let jobs = Jobs::read(path)?;
        let splits: BTreeSet<NonZeroU32> = found
            .keys()
            .map(|shard| shard.count())
            .chain(jobs.submissions.iter().map(|submission| submission.tasks))
            .collect();
        if splits.is_empty() {
            return Ok(None);
        }
        let whole = read(path)?;
        let stored: Vec<&Results> = whole.iter().chain(found.values().flatten()).collect();
        if let Some(first) = stored.first() {
            let name = |results: &Results| results.manifest.study.name.clone();
            if let Some(other) = stored.iter().find(|other| name(other) != name(first)) {
                return Err(SubmitError::OtherStudy {
                    path: other.path().into(),
                    found: name(other),
                    wanted: name(first),
                });
            }
        }
        let whole_plan = match stored.first() {
            Some(first) => first.plan.clone(),
            None => match submitted(path)? {
                Some(plan) => plan,
                None => return Ok(None),
            },
        };
        let shards = splits.into_iter().flat_map(Shard::all).map(|shard| {
            let results = found.remove(&shard).flatten();
            ShardState { shard, plan: whole_plan.of_shard(shard), results }
        });
        let shards = shards.collect();
        Ok(Some(Self { plan: whole_plan, whole, shards, jobs }))
    }

    /// Into how many shards the study is split; several numbers where it was split several times.
    pub fn splits(&self) -> BTreeSet<NonZeroU32> {
        self.shards.iter().map(|state| state.shard.count()).collect()
    }

    /// Status of every run that is stored anywhere, by its id.
    ///
    /// # Errors
    /// When a part is damaged.
    pub fn statuses(&self) -> Result<BTreeMap<String, String>, StoreError> {
        let mut statuses = BTreeMap::new();
        for results in self.all() {
            statuses.extend(results.statuses()?);
        }
        Ok(statuses)
    }

    /// Everything that is stored: the directory itself, then its shards.
    pub fn all(&self) -> impl Iterator<Item = &Results> {
        let shards = self.shards.iter().filter_map(|state| state.results.as_ref());
        self.whole.iter().chain(shards)
    }
}

/// The shards that have a folder.
fn folders(path: &Path) -> Result<Vec<Shard>, SubmitError> {
    let folder = path.join(SHARDS);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(SubmitError::file("list", &folder)(error)),
    };
    let mut shards = Vec::new();
    for entry in entries {
        let name = entry.map_err(SubmitError::file("list", &folder))?.file_name();
        shards.extend(name.to_str().and_then(Shard::of_folder));
    }
    Ok(shards)
}

/// The results of a directory; `None` before it has a manifest.
fn read(path: &Path) -> Result<Option<Results>, SubmitError> {
    match ResultsDirectory::read(path) {
        Ok(results) => Ok(Some(results)),
        Err(StoreError::NoResults { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The plan of the study file that was submitted.
fn submitted(path: &Path) -> Result<Option<Plan>, SubmitError> {
    let file = path.join(FOLDER).join("study.toml");
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(SubmitError::file("read", &file)(error)),
    };
    match StudyFile::parse(&file, &text) {
        Ok(study) => Ok(Some(plan(study))),
        Err(mistakes) => {
            Err(SubmitError::file("read", &file)(io::Error::other(mistakes.to_string())))
        }
    }
}
