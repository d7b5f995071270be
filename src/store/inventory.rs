//! Which files of a results directory are what.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use sha2::{Digest, Sha256};

use super::hash::hexadecimal;
use super::manifest::Manifest;
use super::{RUNS, StoreError, part};

/// Where the rest of a part set goes when a part of it was moved away.
pub(super) const SET_ASIDE: &str = "set-aside";

/// The id of the part set of some runs: 16 hexadecimal digits.
pub(super) fn set_id<'a>(runs: impl Iterator<Item = &'a str>) -> String {
    let mut ids: Vec<&str> = runs.collect();
    ids.sort_unstable();
    let mut digits = hexadecimal(&Sha256::digest(ids.join("\n")));
    digits.truncate(16);
    digits
}

/// Name of a part in its table's folder.
pub(super) fn part_name(id: &str) -> String {
    format!("part-{id}.parquet")
}

/// Name of a part before it is complete; hidden, so that no glob reads it.
pub(super) fn temporary_name(id: &str) -> String {
    format!(".part-{id}.parquet.tmp")
}

/// The id in the name of a part; `None` when the file is no part.
pub(super) fn part_id(name: &str) -> Option<&str> {
    let id = name.strip_prefix("part-")?.strip_suffix(".parquet")?;
    let digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (id.len() == 16 && id.as_bytes().iter().all(digit)).then_some(id)
}

fn is_temporary(name: &str) -> bool {
    name.strip_prefix('.')
        .and_then(|name| name.strip_suffix(".tmp"))
        .is_some_and(|name| part_id(name).is_some())
}

/// A part set of which something is missing.
#[derive(Debug)]
pub(super) struct Incomplete {
    /// Its id.
    pub id: String,
    /// The tables whose part is there.
    pub tables: Vec<String>,
    /// Whether it was committed once, so that a part was lost later, or all of it superseded.
    pub committed: bool,
}

/// The files of a results directory.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    /// Complete part sets: the tables that have a part, by id.
    pub complete: BTreeMap<String, Vec<String>>,
    /// The others.
    pub incomplete: Vec<Incomplete>,
    /// Files that were being written when the process was killed.
    pub temporary: Vec<PathBuf>,
    /// Files in the tables' folders that ceteris did not write.
    pub foreign: Vec<PathBuf>,
}

impl Inventory {
    /// Looks at every table's folder, and at the sizes of the parts that the manifest lists.
    pub(super) fn take(directory: &Path, manifest: &Manifest) -> Result<Self, StoreError> {
        let mut inventory = Self::default();
        let mut present: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for table in manifest.tables.keys() {
            let folder = directory.join(table);
            for name in names(&folder)? {
                if let Some(id) = part_id(&name) {
                    present.entry(id.to_owned()).or_default().push(table.clone());
                } else if is_temporary(&name) {
                    inventory.temporary.push(folder.join(name));
                } else {
                    inventory.foreign.push(folder.join(name));
                }
            }
        }
        let manifest_part = directory.join(super::manifest::TEMPORARY);
        if manifest_part.exists() {
            inventory.temporary.push(manifest_part);
        }

        let listed = manifest.listed();
        for (id, tables) in present {
            let listing = listed.get(id.as_str());
            let complete = match listing {
                Some(listing) => listing.iter().all(|table| tables.iter().any(|t| t == table)),
                // The part of `runs` came last, so everything else is there.
                None => tables.iter().any(|table| table == RUNS),
            };
            if complete {
                inventory.complete.insert(id, tables);
            } else {
                inventory.incomplete.push(Incomplete { id, tables, committed: listing.is_some() });
            }
        }
        inventory.check_sizes(directory, manifest)?;
        Ok(inventory)
    }

    /// The part set of every run.
    ///
    /// A set that the manifest does not list, with a run that another set has too, is left out of the
    /// complete ones: a writer that had lost its lease left it, or the directory was being merged.
    ///
    /// # Errors
    /// When two sets that the manifest lists share a run, or a part of `runs` is damaged.
    pub(super) fn stored(
        &mut self,
        directory: &Path,
        manifest: &Manifest,
    ) -> Result<BTreeMap<String, String>, StoreError> {
        let mut stored: BTreeMap<String, String> = BTreeMap::new();
        let listed = |id: &&String| manifest.part(RUNS, id).is_some();
        let (first, then): (Vec<&String>, Vec<&String>) = self.complete.keys().partition(listed);
        let mut superseded = Vec::new();
        for id in first.into_iter().chain(then) {
            let record = manifest.part(RUNS, id);
            let file = directory.join(RUNS).join(part_name(id));
            let frame = part::read(&file, record, Some(&["run_id"]))?;
            let runs = part::run_ids(&file, &frame)?;
            let known = runs.iter().find_map(|run| Some((run, stored.get(run)?)));
            match known {
                None => stored.extend(runs.into_iter().map(|run| (run, id.clone()))),
                Some((run, other)) if record.is_some() => {
                    let first = directory.join(RUNS).join(part_name(other));
                    return Err(StoreError::RunTwice { run: run.clone(), first, second: file });
                }
                Some(_) => superseded.push(id.clone()),
            }
        }
        for id in superseded {
            if let Some(tables) = self.complete.remove(&id) {
                self.incomplete.push(Incomplete { id, tables, committed: true });
            }
        }
        Ok(stored)
    }

    /// Whether a complete set is not listed by the manifest.
    pub(super) fn has_unlisted(&self, manifest: &Manifest) -> bool {
        self.complete.keys().any(|id| manifest.part(RUNS, id).is_none())
    }

    /// Finds truncated parts without reading them.
    fn check_sizes(&self, directory: &Path, manifest: &Manifest) -> Result<(), StoreError> {
        for (id, tables) in &self.complete {
            for table in tables {
                let Some(record) = manifest.part(table, id) else { continue };
                let path = directory.join(&record.file);
                let found = fs::metadata(&path)
                    .map_err(|source| StoreError::io("read", &path, source))?
                    .len();
                if found != record.bytes {
                    let detail = format!("it has {found} bytes of {}", record.bytes);
                    return Err(StoreError::Damaged { path, detail });
                }
            }
        }
        Ok(())
    }
}

/// The names in a folder, sorted; none when the folder is not there.
pub(super) fn names(folder: &Path) -> Result<Vec<String>, StoreError> {
    let failed = |source| StoreError::io("list", folder, source);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed(source)),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}
