//! A results directory that is being written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use polars::prelude::DataFrame;

use super::disk::{Disk, Failpoint};
use super::environment::{Build, RunEnvironment};
use super::hash::{content_hash, sha256};
use super::inventory::{
    Incomplete, Inventory, SET_ASIDE, names, part_name, set_id, temporary_name,
};
use super::lock::Lock;
use super::manifest::{self, Manifest, PartRecord, Writer};
use super::results::{Results, concatenated};
use super::{RUNS, StoreError, checkpoints, lock, part, schema};
use crate::studies::{CohortOutcome, Study};
use crate::study::{Factor, Plan, Run, RunId};

/// A results directory that this process alone writes to.
#[derive(Debug)]
pub struct ResultsDirectory {
    pub(super) disk: Disk,
    manifest: Manifest,
    study: StudyReference,
    factors: Vec<Factor>,
    /// The part set of every run that is stored, planned or not.
    stored: BTreeMap<String, String>,
    recorded: BTreeSet<RunId>,
    // Last, so that it is released when everything else is done.
    lock: Lock,
}

/// Folders that may be there before the manifest.
const BESIDE: &[&str] = &["shards", "slurm"];

/// A study that prints as its kind.
#[derive(Clone, Copy)]
struct StudyReference(&'static dyn Study);

impl std::fmt::Debug for StudyReference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.kind())
    }
}

impl ResultsDirectory {
    /// Creates a results directory, or opens one to go on with it.
    ///
    /// What an interrupted process left behind is cleared up: files that were being written and
    /// part sets without their part of `runs` are removed; complete ones that the manifest does
    /// not list yet are entered into it. When a part of a committed set was moved away, the rest
    /// of the set goes to `set-aside/`, and its runs count as not recorded.
    ///
    /// # Errors
    /// When another process writes to the directory, when it belongs to another study, version or
    /// program, when a part is damaged, or when the file system refuses. It is then unchanged.
    pub fn open(
        path: &Path,
        plan: &Plan,
        environment: &RunEnvironment,
    ) -> Result<Self, StoreError> {
        Self::open_with_failpoint(path, plan, environment, None)
    }

    /// [`Self::open`], failing at a step; for tests of crash safety.
    ///
    /// # Errors
    /// See there.
    #[doc(hidden)]
    pub fn open_with_failpoint(
        path: &Path,
        plan: &Plan,
        environment: &RunEnvironment,
        failpoint: Option<Failpoint>,
    ) -> Result<Self, StoreError> {
        let writer = Writer { build: Build::current(), environment: environment.clone() };
        Self::open_as(path, plan, &writer, failpoint)
    }

    /// [`Self::open`], in the name of any program and machine.
    pub(super) fn open_as(
        path: &Path,
        plan: &Plan,
        writer: &Writer,
        failpoint: Option<Failpoint>,
    ) -> Result<Self, StoreError> {
        match fs::metadata(path) {
            Ok(metadata) if !metadata.is_dir() => {
                return Err(StoreError::NotADirectory { path: path.into() });
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(path)
                    .map_err(|source| StoreError::io("create", path, source))?;
            }
            Err(source) => return Err(StoreError::io("read", path, source)),
        }
        // Looked at before the lock is taken, so that a directory that is not ours stays as it is.
        existing(path, plan)?;
        let lock = Lock::acquire(path)?;
        let disk = Disk::new(path, failpoint);
        // And again, because another process may have been here in between.
        let found = existing(path, plan)?;
        let is_new = found.is_none();
        let before = found.unwrap_or_else(|| Manifest::new(&plan.file, writer));

        let mut inventory = Inventory::take(path, &before)?;
        let stored = inventory.stored(path, &before)?;
        let mut manifest = before.clone();
        enter_unlisted(path, &mut manifest, &inventory)?;
        manifest.take_over(&plan.file, writer);

        // Nothing was changed up to here; from here on, everything can be interrupted.
        for file in &inventory.temporary {
            disk.remove(file)?;
        }
        checkpoints::clear_temporary(&disk)?;
        for set in &inventory.incomplete {
            if set.committed {
                set_aside(&disk, set)?;
            } else {
                for table in &set.tables {
                    disk.remove(&path.join(table).join(part_name(&set.id)))?;
                }
            }
        }
        let lost: Vec<String> = manifest
            .listed()
            .into_keys()
            .filter(|id| !inventory.complete.contains_key(*id))
            .map(str::to_owned)
            .collect();
        for id in &lost {
            manifest.remove(id);
        }
        if is_new || manifest != before {
            manifest.write(&disk)?;
        }
        let recorded = plan
            .runs
            .iter()
            .filter(|run| stored.contains_key(run.id.as_ref()))
            .map(|run| run.id.clone())
            .collect();
        let study = StudyReference(plan.file.study);
        let factors = plan.file.factors.clone();
        Ok(Self { disk, manifest, study, factors, stored, recorded, lock })
    }

    /// Opens a results directory to read, which any number of processes may do at any time.
    ///
    /// # Errors
    /// When it is no results directory of this version, or a part is damaged.
    pub fn read(path: &Path) -> Result<Results, StoreError> {
        Results::open(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.disk.root()
    }

    /// What it holds, as of the last commit.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Runs of the plan that need not run again, finished and diverged ones alike.
    pub fn recorded(&self) -> &BTreeSet<RunId> {
        &self.recorded
    }

    /// How many stored runs the study file does not ask for any more.
    pub fn not_in_study(&self) -> usize {
        self.stored.len() - self.recorded.len()
    }

    /// Records the runs of one cohort and their tables: all of it or nothing.
    ///
    /// # Errors
    /// When a run is recorded already, the tables do not fit the study's description, or the file
    /// system refuses. Unless the part of `runs` was written, the same commit can be tried again.
    pub fn commit(&mut self, runs: &[&Run], outcome: CohortOutcome) -> Result<(), StoreError> {
        if runs.is_empty() {
            return Ok(());
        }
        let mut ids = BTreeSet::new();
        if let Some(run) = runs
            .iter()
            .find(|run| self.stored.contains_key(run.id.as_ref()) || !ids.insert(run.id.as_ref()))
        {
            let (run, path) = (run.id.to_string(), self.path().to_owned());
            return Err(StoreError::AlreadyRecorded { run, path });
        }

        let id = set_id(runs.iter().map(|run| run.id.as_ref()));
        let frames = self.frames(runs, outcome)?;
        let parts = self.write_parts(&id, frames, self.manifest.last_writer)?;
        self.check_ours(&id)?;
        self.show_parts(&id, &parts)?;
        for (table, record) in parts {
            self.manifest.add(table, record);
        }
        for run in runs {
            self.stored.insert(run.id.to_string(), id.clone());
            self.recorded.insert(run.id.clone());
        }
        self.lock.check()?;
        self.manifest.write(&self.disk)
    }

    /// Writes the parts of a set under temporary names; `runs` is the last of the frames.
    pub(super) fn write_parts<T: AsRef<str>>(
        &self,
        id: &str,
        frames: Vec<(T, DataFrame)>,
        writer: usize,
    ) -> Result<Vec<(T, PartRecord)>, StoreError> {
        let mut parts = Vec::new();
        for (name, mut frame) in frames {
            let table = name.as_ref();
            // A table that the runs have no rows of, such as a diagnostic that is off, leaves no
            // trace.
            if frame.height() == 0 && table != RUNS {
                continue;
            }
            self.disk.create_folder(&self.path().join(table))?;
            let bytes = part::encode(&mut frame, table)?;
            self.disk.write(&self.path().join(table).join(temporary_name(id)), &bytes)?;
            let record = PartRecord {
                file: format!("{table}/{}", part_name(id)),
                rows: frame.height() as u64,
                bytes: bytes.len() as u64,
                sha256: sha256(&bytes),
                writer,
            };
            parts.push((name, record));
        }
        Ok(parts)
    }

    /// Gives the written parts of a set their names. `runs` is the last of them: its new name is
    /// what commits the set.
    pub(super) fn show_parts<T: AsRef<str>>(
        &self,
        id: &str,
        parts: &[(T, PartRecord)],
    ) -> Result<(), StoreError> {
        for (table, record) in parts {
            let temporary = self.path().join(table.as_ref()).join(temporary_name(id));
            self.disk.rename(&temporary, &self.path().join(&record.file))?;
        }
        Ok(())
    }

    /// Replaces the manifest, which says which sets count, and then removes the parts of those that
    /// do not any more.
    pub(super) fn replace_manifest(&mut self, mut manifest: Manifest) -> Result<(), StoreError> {
        self.lock.check()?;
        manifest.write(&self.disk)?;
        let before = std::mem::replace(&mut self.manifest, manifest);
        for (name, table) in &before.tables {
            for record in &table.parts {
                let kept = record.id().is_some_and(|id| self.manifest.part(name, id).is_some());
                if !kept {
                    self.disk.remove(&self.path().join(&record.file))?;
                }
            }
        }
        Ok(())
    }

    /// Makes sure that no other process took the directory over, and committed this very set.
    fn check_ours(&self, id: &str) -> Result<(), StoreError> {
        self.lock.check()?;
        if self.path().join(RUNS).join(part_name(id)).exists() {
            let (path, holder) = (self.path().to_owned(), "another process".into());
            return Err(StoreError::LeaseLost { path, holder });
        }
        Ok(())
    }

    /// The checked tables of a cohort, `runs` last.
    fn frames(
        &self,
        runs: &[&Run],
        outcome: CohortOutcome,
    ) -> Result<Vec<(&'static str, DataFrame)>, StoreError> {
        let study = self.study.0;
        let tables = study.tables();
        if outcome.tables.len() != tables.len() {
            let detail = format!("{} tables instead of {}", outcome.tables.len(), tables.len());
            return Err(StoreError::Outcome { table: RUNS.into(), detail });
        }
        let mut frames = Vec::new();
        for (table, frame) in tables.iter().zip(&outcome.tables) {
            frames.push((table.name, schema::table_frame(table, frame, runs)?));
        }
        frames.push((RUNS, schema::runs_frame(study, &self.factors, runs, &outcome.runs)?));
        Ok(frames)
    }

    /// Completes the manifest with the hash of every table's content.
    ///
    /// # Errors
    /// When a part is damaged, a key does not identify its rows, or the file system refuses.
    pub fn finish(&mut self) -> Result<(), StoreError> {
        let mut changed = false;
        for (name, table) in &mut self.manifest.tables {
            if table.content_sha256.is_some() {
                continue;
            }
            let mut frames = Vec::new();
            for record in &table.parts {
                frames.push(part::read(&self.disk.root().join(&record.file), Some(record), None)?);
            }
            let key: Vec<&str> = table.key.iter().map(String::as_str).collect();
            let hash = match concatenated(name, frames)? {
                Some(frame) => Some(content_hash(&frame, &key)?),
                // A table without parts has no columns to hash.
                None => None,
            };
            changed |= hash.is_some();
            table.content_sha256 = hash;
        }
        if changed {
            self.lock.check()?;
            self.manifest.write(&self.disk)?;
        }
        Ok(())
    }

    /// Makes later steps fail; for tests of crash safety.
    #[doc(hidden)]
    pub fn set_failpoint(&mut self, failpoint: Option<Failpoint>) {
        self.disk.set_failpoint(failpoint);
    }
}

/// The manifest of a directory that this study may write to; `None` when it is as good as empty.
fn existing(path: &Path, plan: &Plan) -> Result<Option<Manifest>, StoreError> {
    let Some(manifest) = Manifest::read(path)? else {
        // A process that was killed before it wrote the manifest leaves no more than these.
        // and shards and what was submitted to a cluster lie where they will be merged.
        let ours = |name: &&String| {
            !lock::is_guard(name)
                && *name != manifest::TEMPORARY
                && !BESIDE.contains(&name.as_str())
        };
        return match names(path)?.iter().find(ours) {
            Some(example) => {
                Err(StoreError::Foreign { path: path.into(), example: example.into() })
            }
            None => Ok(None),
        };
    };
    let found = (manifest.study.kind.as_str(), manifest.study.name.as_str());
    let wanted = (plan.file.study.kind(), plan.file.name.as_str());
    if found != wanted {
        let words = |(kind, name): (&str, &str)| format!("{name:?} (kind {kind})");
        return Err(StoreError::OtherStudy {
            path: path.into(),
            found: words(found),
            wanted: words(wanted),
        });
    }
    Ok(Some(manifest))
}

/// Enters complete part sets that were renamed just before the process was killed.
fn enter_unlisted(
    path: &Path,
    manifest: &mut Manifest,
    inventory: &Inventory,
) -> Result<(), StoreError> {
    for (id, tables) in &inventory.complete {
        if manifest.part(RUNS, id).is_some() {
            continue;
        }
        for table in tables {
            let file = format!("{table}/{}", part_name(id));
            let full = path.join(&file);
            let bytes = part::verified(&full, None)?;
            let (size, sha256) = (bytes.len() as u64, sha256(&bytes));
            let rows = part::decode(&full, bytes, None)?.height() as u64;
            let writer = manifest.last_writer;
            manifest.add(table, PartRecord { file, rows, bytes: size, sha256, writer });
        }
    }
    Ok(())
}

/// Moves what is left of a part set out of the way of readers, `runs` first.
fn set_aside(disk: &Disk, set: &Incomplete) -> Result<(), StoreError> {
    let mut tables: Vec<&str> = set.tables.iter().map(String::as_str).collect();
    tables.sort_by_key(|table| *table != RUNS);
    let root = disk.root().join(SET_ASIDE);
    disk.create_folder(&root)?;
    for table in tables {
        let folder = root.join(table);
        disk.create_folder(&folder)?;
        disk.rename(&disk.root().join(table).join(part_name(&set.id)), &free(&folder, &set.id))?;
    }
    Ok(())
}

/// A name in a folder that no file has, so that nothing is overwritten.
fn free(folder: &Path, id: &str) -> PathBuf {
    let plain = folder.join(part_name(id));
    if !plain.exists() {
        return plain;
    }
    (2..)
        .map(|number: u32| folder.join(format!("part-{id}-{number}.parquet")))
        .find(|path| !path.exists())
        .unwrap_or(plain)
}
