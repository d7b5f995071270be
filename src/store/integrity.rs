//! Whether a results directory is what its manifest says, without training anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use polars::prelude::*;

use super::results::{Results, concatenated, schema_of};
use super::schema::factor_column;
use super::{RUNS, StoreError, content_hash, part};

/// What a look at every file of a results directory found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Integrity {
    /// Parts that were read.
    pub parts: usize,
    /// Their size in bytes.
    pub bytes: u64,
    /// Tables with rows.
    pub tables: usize,
    /// Runs that are stored.
    pub stored: usize,
    /// Runs of the study file that are not.
    pub missing: usize,
    /// Stored runs that the study file does not ask for.
    pub not_in_study: usize,
    /// What is wrong, each with the file or table and what to do.
    pub defects: Vec<String>,
    /// What is incomplete, but not wrong.
    pub notes: Vec<String>,
}

impl Results {
    /// Reads every part and compares hash, size, number of rows, columns, types, keys and content
    /// hashes with the manifest and with each other.
    ///
    /// # Errors
    /// When a file cannot be read at all, or a table cannot be computed. What is merely wrong is in
    /// [`Integrity::defects`].
    pub fn integrity(&self) -> Result<Integrity, StoreError> {
        let mut found = Integrity::default();
        let stored = self.stored()?;
        found.stored = stored.len();
        let planned: BTreeSet<&str> = self.plan.runs.iter().map(|run| run.id.as_ref()).collect();
        found.missing = planned.iter().filter(|run| !stored.contains_key(**run)).count();
        found.not_in_study = stored.keys().filter(|run| !planned.contains(run.as_str())).count();
        for name in self.manifest.tables.keys() {
            self.check_table(name, &stored.keys().map(String::as_str).collect(), &mut found)?;
        }
        for (id, tables) in self.manifest.listed() {
            for table in tables {
                if !self.has_part(table, id) {
                    let file = self.path().join(table).join(super::inventory::part_name(id));
                    found.defects.push(format!(
                        "{} is not there, but the manifest lists it; put it back, or run the study \
                         again: its runs are then trained again",
                        file.display()
                    ));
                }
            }
        }
        if self.incomplete() > 0 {
            found.notes.push(format!(
                "{} part sets are incomplete or superseded and left out; the next `ceteris run` \
                 clears them up",
                self.incomplete()
            ));
        }
        for file in self.foreign() {
            found.notes.push(format!("{} was not written by ceteris", file.display()));
        }
        Ok(found)
    }

    fn check_table(
        &self,
        name: &str,
        stored: &BTreeSet<&str>,
        found: &mut Integrity,
    ) -> Result<(), StoreError> {
        let Some(table) = self.manifest.tables.get(name) else { return Ok(()) };
        let mut frames = Vec::new();
        let mut sound = true;
        for (path, record) in self.parts(name)? {
            found.parts += 1;
            let frame = match part::read(&path, record, None) {
                Ok(frame) => frame,
                Err(error @ StoreError::Damaged { .. }) => {
                    found.defects.push(error.to_string());
                    sound = false;
                    continue;
                }
                Err(error) => return Err(error),
            };
            match record {
                Some(record) => {
                    found.bytes += record.bytes;
                    if record.rows != frame.height() as u64 {
                        found.defects.push(format!(
                            "{} has {} rows, the manifest says {}",
                            path.display(),
                            frame.height(),
                            record.rows
                        ));
                    }
                }
                None => found.notes.push(format!(
                    "{} has no hash yet, because its writer was interrupted; the next `ceteris run` \
                     enters it",
                    path.display()
                )),
            }
            frames.push((path, frame));
        }
        self.check_columns(name, &frames, found);
        let frames = frames.into_iter().map(|(_, frame)| frame).collect();
        let Some(frame) = concatenated(name, frames)? else { return Ok(()) };
        found.tables += 1;
        if name != RUNS {
            let ids = frame
                .column("run_id")
                .and_then(Column::str)
                .map_err(StoreError::frame("read", name))?;
            let orphans: BTreeSet<&str> =
                ids.iter().flatten().filter(|id| !stored.contains(id)).collect();
            if let Some(run) = orphans.first() {
                found.defects.push(format!(
                    "the table {name} has rows of {} runs that `{RUNS}` does not have, such as {run}",
                    orphans.len()
                ));
            }
        }
        let key: Vec<&str> = table.key.iter().map(String::as_str).collect();
        match content_hash(&frame, &key) {
            Ok(hash) => {
                let recorded = table.content_sha256.as_ref().filter(|_| sound);
                if recorded.is_some_and(|recorded| *recorded != hash) {
                    found.defects.push(format!(
                        "the rows of the table {name} do not have the content hash of the manifest"
                    ));
                }
            }
            Err(StoreError::DuplicateKey { key, row }) => {
                found
                    .defects
                    .push(format!("the table {name} has two rows with the same {key}: {row}"));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Compares names and types of columns with what the study describes today.
    fn check_columns(&self, name: &str, frames: &[(PathBuf, DataFrame)], found: &mut Integrity) {
        let described = schema_of(&self.plan, name);
        let is_factor = |column: &str| column.starts_with(&factor_column(""));
        let (mut newer, mut unknown) = (BTreeMap::<&str, usize>::new(), BTreeSet::<&str>::new());
        for (path, frame) in frames {
            for (column, kind) in frame.schema().iter() {
                match described.get(column) {
                    Some(expected) if expected != kind => found.defects.push(format!(
                        "{}: the column {column} is of type {kind} instead of {expected}",
                        path.display()
                    )),
                    Some(_) => {}
                    // A factor of an earlier study file.
                    None if is_factor(column) => {}
                    None => {
                        unknown.insert(column.as_str());
                    }
                }
            }
            for column in described.iter_names() {
                if frame.get_column_index(column).is_none() && !is_factor(column) {
                    *newer.entry(column.as_str()).or_default() += 1;
                }
            }
        }
        for (column, parts) in newer {
            let of = frames.len();
            found.notes.push(format!(
                "{parts} of {of} parts of the table {name} are older than its column {column}"
            ));
        }
        for column in unknown {
            found.notes.push(format!(
                "this version of the study does not know the column {column} of the table {name}"
            ));
        }
    }
}
