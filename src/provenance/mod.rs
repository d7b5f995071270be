//! Where results come from: what a reader needs to cite them, check them and hand them on.
//!
//! [`Provenance`] gathers the facts of a results directory, comparing every file with its hash;
//! [`Provenance::paragraph`] and [`Provenance::bibtex`] are the citation, [`export()`] writes an
//! RO-Crate.

use std::path::PathBuf;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::store::{Results, StoreError, TableRecord, Writer};
use crate::studies::Publication;

mod citation;
mod export;
mod ro_crate;
mod zip;

pub use export::{Exported, export};
pub use ro_crate::License;

/// Why provenance could not be stated or results not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ProvenanceError {
    /// The results cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The export would overwrite something.
    #[error("{} exists already; remove it or choose another name for the export", path.display())]
    Exists {
        /// What is there.
        path: PathBuf,
    },
    /// A part that the manifest lists is gone.
    #[error(
        "{} is not there, but the manifest lists it; put it back, or run the study again: its runs \
         are then trained again", path.display()
    )]
    Missing {
        /// The part.
        path: PathBuf,
    },
    /// The manifest does not list every part.
    #[error(
        "the manifest of {} does not list every part, because the process that wrote them was \
         killed; run the study again with `ceteris run` to complete it, then export", path.display()
    )]
    Unlisted {
        /// The results directory.
        path: PathBuf,
    },
    /// Another process changed the directory.
    #[error("{} was changed while it was read; try again when no process writes", path.display())]
    Changed {
        /// The results directory.
        path: PathBuf,
    },
    /// The results do not fit a zip file.
    #[error(
        "the results do not fit into {} (a zip file holds 65535 files and 4 GiB); export to a \
         folder, whose name does not end in .zip", path.display()
    )]
    TooLarge {
        /// The zip file.
        path: PathBuf,
    },
    /// The licence is neither an SPDX identifier nor an address.
    #[error(
        "{text:?} is no licence; name it by its SPDX identifier, such as CC-BY-4.0, or by its URL"
    )]
    License {
        /// What was given.
        text: String,
    },
    /// The export cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

/// The facts about a results directory that others need to cite and to check it.
#[derive(Clone, Debug, Serialize)]
pub struct Provenance {
    /// The directory, as it was named by the caller.
    pub directory: String,
    /// The study.
    pub study: StudyFacts,
    /// How many arms the study file has.
    pub arms: usize,
    /// How many replicates each of them has.
    pub replicates: usize,
    /// How many runs the study file asks for; arms of equal configurations share theirs.
    pub runs: usize,
    /// How many of them trained to the end.
    pub finished: usize,
    /// How many of them diverged.
    pub diverged: usize,
    /// How many further runs are stored that the study file does not ask for.
    pub not_in_study: usize,
    /// When the directory was created, UTC.
    pub created: String,
    /// When it was last written to, UTC.
    pub modified: String,
    /// The tables that have rows, by name.
    pub tables: Vec<TableFacts>,
    /// What is missing, in words; empty where the results are complete.
    pub incomplete: Vec<String>,
    /// The one hash of everything that can be reproduced, see [`content_sha256`]; null where the
    /// results are incomplete.
    pub content_sha256: Option<String>,
    /// The programs and machines that computed runs.
    pub writers: Vec<Writer>,
}

/// A study, as its results name it.
#[derive(Clone, Debug, Serialize)]
pub struct StudyFacts {
    /// Its kind.
    pub kind: String,
    /// What studies of this kind are about, with the paper.
    pub about: &'static str,
    /// The publication that they reproduce.
    pub publication: Option<&'static Publication>,
    /// Version of its numerics.
    pub numerics_version: u32,
    /// Its name.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// Name of the study file.
    pub file: String,
    /// SHA-256 of the study file.
    pub sha256: String,
}

/// A table, as the manifest records it.
#[derive(Clone, Debug, Serialize)]
pub struct TableFacts {
    /// Its name.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// Whether running the study again gives the same rows.
    pub reproducible: bool,
    /// Hash of its content; null while runs are being added.
    pub content_sha256: Option<String>,
}

impl Provenance {
    /// Gathers the facts, comparing every file that the manifest lists with its hash.
    ///
    /// # Errors
    /// When a file cannot be read or is damaged.
    pub fn of(results: &Results) -> Result<Self, ProvenanceError> {
        let mut missing = 0;
        for record in parts(results) {
            missing += usize::from(results.part_bytes(record)?.is_none());
        }
        Self::unchecked(results, missing)
    }

    /// Gathers the facts without reading every file; so many of them are known to be missing.
    fn unchecked(results: &Results, missing: usize) -> Result<Self, ProvenanceError> {
        let (manifest, plan) = (&results.manifest, &results.plan);
        let statuses = results.statuses()?;
        let (mut finished, mut diverged) = (0, 0);
        for run in &plan.runs {
            match statuses.get(run.id.as_ref()).map(String::as_str) {
                Some("diverged") => diverged += 1,
                Some(_) => finished += 1,
                None => {}
            }
        }
        let stored = finished + diverged;
        let tables: Vec<TableFacts> = manifest
            .tables
            .iter()
            .filter(|(_, table)| table.rows > 0)
            .map(|(name, table)| TableFacts {
                name: name.clone(),
                rows: table.rows,
                reproducible: table.reproducible,
                content_sha256: table.content_sha256.clone(),
            })
            .collect();

        let mut incomplete = Vec::new();
        let mut lacks = |condition: bool, what: String| {
            if condition {
                incomplete.push(what);
            }
        };
        let runs = plan.runs.len();
        lacks(stored < runs, format!("{} of {} missing", runs - stored, are(runs, "run")));
        let holder = results.writing()?;
        lacks(
            holder.is_some(),
            format!("it is being written by {}", holder.as_deref().unwrap_or_default()),
        );
        let sets = results.incomplete();
        lacks(sets > 0, format!("{} incomplete", are(sets, "part set")));
        let sets = results.unlisted();
        lacks(sets > 0, format!("{} not listed in the manifest", are(sets, "part set")));
        lacks(missing > 0, format!("{} listed, but not there", are(missing, "file")));
        let unhashed = tables.iter().filter(|table| table.content_sha256.is_none()).count();
        lacks(unhashed > 0, format!("{} not hashed yet", are(unhashed, "table")));

        let content_sha256 = incomplete.is_empty().then(|| {
            content_sha256(manifest.tables.iter().map(|(name, table)| (name.as_str(), table)))
        });
        let writers = manifest.writers.iter().enumerate();
        let wrote = |index: usize| parts(results).any(|part| part.writer == index);
        Ok(Self {
            directory: results.path().display().to_string(),
            study: StudyFacts {
                kind: manifest.study.kind.clone(),
                about: plan.file.study.about(),
                publication: plan.file.study.publication(),
                numerics_version: manifest.study.numerics_version,
                name: manifest.study.name.clone(),
                title: manifest.study.title.clone(),
                file: manifest.study.file.clone(),
                sha256: manifest.study.sha256.clone(),
            },
            arms: plan.file.arms.len(),
            replicates: plan.file.replicates.len(),
            runs,
            finished,
            diverged,
            not_in_study: statuses.len().saturating_sub(stored),
            created: manifest.created.clone(),
            modified: manifest.modified.clone(),
            tables,
            incomplete,
            content_sha256,
            writers: writers
                .filter(|(index, _)| wrote(*index))
                .map(|(_, writer)| writer.clone())
                .collect(),
        })
    }
}

fn are(number: usize, what: &str) -> String {
    format!("{} {}", citation::count(number, what), if number == 1 { "is" } else { "are" })
}

/// Every part that the manifest lists, by table and file.
fn parts(results: &Results) -> impl Iterator<Item = &crate::store::PartRecord> {
    results.manifest.tables.values().flat_map(|table| &table.parts)
}

/// One hash over all tables that can be reproduced: the SHA-256 of a line
/// `<table> <content_sha256>` for each of them, in the order of their names, each line with its
/// newline.
///
/// A table without rows has no hash and gives no line. So the hash can be computed from
/// `manifest.json` alone, and two directories have equal ones exactly when all their reproducible
/// tables hold the same.
pub fn content_sha256<'a>(tables: impl Iterator<Item = (&'a str, &'a TableRecord)>) -> String {
    let mut lines: Vec<String> = tables
        .filter(|(_, table)| table.reproducible)
        .filter_map(|(name, table)| Some(format!("{name} {}\n", table.content_sha256.as_ref()?)))
        .collect();
    lines.sort_unstable();
    digits(&Sha256::digest(lines.concat()))
}

/// Lower-case hexadecimal digits.
fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
