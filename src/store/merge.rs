//! Several results directories of one study united into one.
//!
//! A merged directory has one canonical form: the runs of a writer (a program on a machine), sorted by
//! identity, in part sets of [`RUNS_IN_SET`], rows sorted by key. The same runs therefore give the same
//! files, whatever shards they came from and in which order these were merged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use polars::prelude::*;

use super::difference::{Difference, difference};
use super::directory::ResultsDirectory;
use super::inventory::set_id;
use super::manifest::{self, Manifest, Writer};
use super::results::{Results, concatenated};
use super::schema::sorted;
use super::{RUNS, StoreError, part};
use crate::study::Plan;

/// Runs of a part set: enough for large files, few enough for the rows of a table to fit in memory.
const RUNS_IN_SET: usize = 1024;

/// What a merge did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// Runs that the directory did not have before.
    pub added: usize,
    /// Runs that several of the directories hold, with the same numbers.
    pub shared: usize,
    /// Runs that the directory holds now.
    pub stored: usize,
    /// Runs of the study that none of the directories holds.
    pub missing: usize,
}

/// Where the rows of a run are taken from.
#[derive(Clone, Debug)]
struct Origin {
    source: usize,
    set: String,
}

/// Unites results directories of one study into a directory, which may be one of them, may hold
/// results already, or may not exist. Merging again what is there already changes nothing.
///
/// # Errors
/// When the directories hold different studies or versions of one, when two of them hold the same
/// run with different numbers, when one is damaged or written to, or when the file system refuses.
/// The directory then holds what it held before.
pub fn merge(target: &Path, sources: &[PathBuf]) -> Result<Merged, StoreError> {
    let open = |path: &PathBuf| Results::open(path);
    merge_with(target, sources, &open)
}

/// [`merge`], with a function that opens a source; for studies that are not registered.
///
/// # Errors
/// See there.
#[doc(hidden)]
pub fn merge_with(
    target: &Path,
    sources: &[PathBuf],
    open: &dyn Fn(&PathBuf) -> Result<Results, StoreError>,
) -> Result<Merged, StoreError> {
    let mut opened: Vec<Results> = sources.iter().map(open).collect::<Result<_, _>>()?;
    let Some(first) = opened.first() else {
        return Err(StoreError::NothingToMerge { path: target.into() });
    };
    let (plan, study) = (first.plan.clone(), first.manifest.study.clone());
    let Some(writer) = first.manifest.writer().cloned() else {
        return Err(StoreError::NothingToMerge { path: target.into() });
    };
    let existing = manifest::exists(target);
    if existing {
        opened.insert(0, open(&target.to_owned())?);
    }
    for other in &opened {
        if other.manifest.study != study {
            let kept = if other.manifest.study.sha256 == study.sha256 { "version" } else { "text" };
            return Err(StoreError::OtherStudyFile {
                first: sources[0].clone(),
                second: other.path().to_owned(),
                what: kept,
            });
        }
    }

    let mut directory = ResultsDirectory::open_as(target, &plan, &writer, None)?;
    let mut origins: BTreeMap<String, Origin> = BTreeMap::new();
    let mut shared: BTreeMap<(usize, usize), BTreeSet<String>> = BTreeMap::new();
    let mut before = 0;
    for (source, results) in opened.iter().enumerate() {
        for (run, set) in results.stored()? {
            match origins.get(&run) {
                None => {
                    origins.insert(run, Origin { source, set });
                }
                Some(origin) => {
                    shared.entry((origin.source, source)).or_default().insert(run);
                }
            }
        }
        if existing && source == 0 {
            before = origins.len();
        }
    }
    for ((a, b), runs) in &shared {
        check_equal(&opened[*a], &opened[*b], runs)?;
    }
    let shared: BTreeSet<&String> = shared.values().flatten().collect();
    let planned = |run: &&crate::study::Run| origins.contains_key(run.id.as_ref());
    let merged = Merged {
        added: origins.len() - before,
        shared: shared.len(),
        stored: origins.len(),
        missing: plan.runs.len() - plan.runs.iter().filter(planned).count(),
    };
    let sets = canonical(&opened, &origins);
    let is_canonical = existing && {
        let listed: BTreeSet<&str> = directory.manifest().listed().into_keys().collect();
        listed == sets.iter().map(|set| set.id.as_str()).collect()
    };
    if !is_canonical {
        rewrite(&mut directory, &opened, &origins, sets, &plan)?;
    }
    directory.finish()?;
    Ok(merged)
}

/// A part set of the merged directory.
struct Set {
    id: String,
    writer: Writer,
    runs: Vec<String>,
}

/// The part sets that hold these runs in canonical form.
fn canonical(opened: &[Results], origins: &BTreeMap<String, Origin>) -> Vec<Set> {
    // Writers in an order of their own, not in that of the sources.
    let mut by_writer: BTreeMap<String, (Writer, Vec<String>)> = BTreeMap::new();
    for (run, origin) in origins {
        let manifest = &opened[origin.source].manifest;
        let record = manifest.part(RUNS, &origin.set);
        let index = record.map_or(manifest.last_writer, |record| record.writer);
        if let Some(writer) = manifest.writers.get(index) {
            let order = serde_json::to_string(writer).unwrap_or_default();
            let (_, runs) = by_writer.entry(order).or_insert_with(|| (writer.clone(), Vec::new()));
            runs.push(run.clone());
        }
    }
    let mut sets = Vec::new();
    for (writer, runs) in by_writer.into_values() {
        for runs in runs.chunks(RUNS_IN_SET) {
            let id = set_id(runs.iter().map(String::as_str));
            sets.push(Set { id, writer: writer.clone(), runs: runs.to_vec() });
        }
    }
    sets
}

/// Writes the part sets, and then the manifest that lists them in place of what was listed before.
fn rewrite(
    directory: &mut ResultsDirectory,
    opened: &[Results],
    origins: &BTreeMap<String, Origin>,
    sets: Vec<Set>,
    plan: &Plan,
) -> Result<(), StoreError> {
    let mut manifest: Manifest = directory.manifest().clone();
    // Every folder and key that a source knows, also of tables that the study had in other versions.
    for results in opened {
        for (name, table) in &results.manifest.tables {
            manifest.tables.entry(name.clone()).or_insert_with(|| table.emptied());
        }
    }
    manifest.writers.clear();
    for id in manifest.listed().into_keys().map(str::to_owned).collect::<Vec<_>>() {
        manifest.remove(&id);
    }
    let tables: Vec<String> = {
        let others = manifest.tables.keys().filter(|name| *name != RUNS).cloned();
        others.chain([RUNS.to_owned()]).collect()
    };
    for set in sets {
        let writer = manifest.writer_index(&set.writer);
        // A set that is there already has these very runs.
        let known = |name: &String| directory.manifest().part(name, &set.id).cloned();
        if known(&RUNS.to_owned()).is_some() {
            for name in &tables {
                if let Some(record) = known(name) {
                    manifest.add(name, super::PartRecord { writer, ..record });
                }
            }
            continue;
        }
        let mut frames = Vec::new();
        for name in &tables {
            if let Some(frame) = rows_of(name, opened, origins, &set.runs)? {
                let key = manifest.tables.get(name).map(|table| table.key.clone());
                frames.push((name.clone(), ordered(name, &frame, &key.unwrap_or_default(), plan)?));
            }
        }
        let parts = directory.write_parts(&set.id, frames, writer)?;
        directory.show_parts(&set.id, &parts)?;
        for (name, record) in parts {
            manifest.add(&name, record);
        }
    }
    manifest.last_writer = 0;
    if let Some(results) = opened.first() {
        // As it was run, whatever the presets of this program are.
        manifest.study = results.manifest.study.clone();
    }
    directory.replace_manifest(manifest)
}

/// The rows of some runs in a table.
fn rows_of(
    name: &str,
    opened: &[Results],
    origins: &BTreeMap<String, Origin>,
    runs: &[String],
) -> Result<Option<DataFrame>, StoreError> {
    let mut wanted: BTreeMap<(usize, &str), BTreeSet<&str>> = BTreeMap::new();
    for run in runs {
        if let Some(origin) = origins.get(run) {
            wanted.entry((origin.source, &origin.set)).or_default().insert(run);
        }
    }
    let mut frames = Vec::new();
    for ((source, set), runs) in wanted {
        if let Some(frame) = opened[source].part(name, set)? {
            frames.push(part::of_runs(name, &frame, |run| runs.contains(run))?);
        }
    }
    concatenated(name, frames)
}

/// Rows in order of their key, columns in that of the study, others after them by name.
fn ordered(
    name: &str,
    frame: &DataFrame,
    key: &[String],
    plan: &Plan,
) -> Result<DataFrame, StoreError> {
    let described = super::results::schema_of(plan, name);
    let mut columns: Vec<PlSmallStr> = described
        .iter_names()
        .filter(|name| frame.get_column_index(name).is_some())
        .cloned()
        .collect();
    let mut others: Vec<PlSmallStr> =
        frame.get_column_names_owned().into_iter().filter(|name| !columns.contains(name)).collect();
    others.sort();
    columns.extend(others);
    let frame = frame.select(columns).map_err(StoreError::frame("order", name))?;
    sorted(&frame, name, key)
}

/// Fails unless two directories hold the same numbers of some runs.
fn check_equal(a: &Results, b: &Results, runs: &BTreeSet<String>) -> Result<(), StoreError> {
    for (name, table) in &a.manifest.tables {
        if !table.reproducible {
            continue;
        }
        let key: Vec<&str> = table.key.iter().map(String::as_str).collect();
        let runs: BTreeSet<&str> = runs.iter().map(String::as_str).collect();
        let side = |results: &Results| results.rows_of(name, &runs);
        if let Some(Difference { row, column, left, right, rows, of, .. }) =
            difference(name, &key, &side(a)?, &side(b)?, None)?
        {
            let column = column.map(|column| format!(", column {column}")).unwrap_or_default();
            return Err(StoreError::MergeConflict {
                first: a.path().to_owned(),
                second: b.path().to_owned(),
                detail: format!(
                    "in the table {name}, {rows} of {of} rows differ, first {row}{column}: {left} and \
                     {right}"
                ),
            });
        }
    }
    Ok(())
}
