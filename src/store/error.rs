//! What can go wrong with a results directory, with the remedy in the message.

use std::io;
use std::path::{Path, PathBuf};

use polars::prelude::PolarsError;

/// Why a results directory could not be read or written.
///
/// Every message names the file and says what to do; none of these leaves the directory changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The path names something that is no directory.
    #[error("{} is not a directory; choose another path for the results", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// The directory holds something, but no manifest.
    #[error(
        "{} holds other files (such as {}) and no manifest.json, so ceteris did not write it; \
         choose a new or an empty directory for the results", path.display(), example.display()
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// One thing in it.
        example: PathBuf,
    },
    /// There is nothing to read.
    #[error(
        "{} is no results directory: it holds no manifest.json; name the directory that \
         `ceteris run` wrote", path.display()
    )]
    NoResults {
        /// The directory.
        path: PathBuf,
    },
    /// Another process writes to the directory.
    #[error(
        "{} is being written by {holder}; wait for it or stop it, or choose another directory",
        path.display()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The other process.
        holder: String,
    },
    /// Another process took the directory over.
    #[error(
        "{} was taken over by {holder}, because this process did not renew its lease in time (it was \
         paused, or its file system was away); nothing more was written: run the same command again \
         to continue", path.display()
    )]
    LeaseLost {
        /// The directory.
        path: PathBuf,
        /// The other process.
        holder: String,
    },
    /// The manifest is not JSON.
    #[error(
        "{} is not valid JSON ({detail}); restore it from a copy, or write to a new directory",
        path.display()
    )]
    ManifestSyntax {
        /// The manifest.
        path: PathBuf,
        /// What the parser said.
        detail: String,
    },
    /// The manifest lacks something, or holds something of the wrong kind.
    #[error(
        "{} is incomplete or was edited ({detail}); restore it from a copy, or write to a new \
         directory", path.display()
    )]
    ManifestContent {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The layout of the results is another one.
    #[error(
        "{} has results schema {found}, this ceteris reads and writes schema {expected}; use the \
         ceteris that wrote it{}, or write to a new directory",
        path.display(), writer.as_ref().map(|version| format!(" ({version})")).unwrap_or_default()
    )]
    SchemaVersion {
        /// The manifest.
        path: PathBuf,
        /// Its schema version.
        found: String,
        /// The one of this program.
        expected: u32,
        /// Version of the program that wrote it, where it says so.
        writer: Option<String>,
    },
    /// A later version wrote it.
    #[error(
        "{} was written by ceteris {found}, which is newer than this one ({own}); update ceteris, \
         or write to a new directory", path.display()
    )]
    Newer {
        /// The manifest.
        path: PathBuf,
        /// The version that wrote it.
        found: String,
        /// The version of this program.
        own: &'static str,
    },
    /// The directory belongs to another study.
    #[error(
        "{} holds the study {found}, not {wanted}; choose another directory for the results",
        path.display()
    )]
    OtherStudy {
        /// The directory.
        path: PathBuf,
        /// Kind and name of the study it holds.
        found: String,
        /// Kind and name of the study at hand.
        wanted: String,
    },
    /// Another study file asks for other runs than the results are of.
    #[error(
        "{} does not fit the results in {}: {detail}; `ceteris run` trains what is missing",
        file.display(), path.display()
    )]
    OtherRuns {
        /// The directory.
        path: PathBuf,
        /// The study file.
        file: PathBuf,
        /// What is different.
        detail: String,
    },
    /// There is no directory to merge.
    #[error(
        "there is nothing to merge into {}: name results directories, or run its shards first \
         (`ceteris run FILE --out DIR --shard 1/4`)", path.display()
    )]
    NothingToMerge {
        /// The directory that was to be written.
        path: PathBuf,
    },
    /// Directories that were to be merged are of different study files.
    #[error(
        "{} and {} cannot be merged: they were written for another {what} of the study file; run the \
         shards again with one study file and one version of ceteris", first.display(),
        second.display()
    )]
    OtherStudyFile {
        /// One directory.
        first: PathBuf,
        /// The other one.
        second: PathBuf,
        /// What is different.
        what: &'static str,
    },
    /// Two directories hold one run with different numbers.
    #[error(
        "{} and {} hold a run with different numbers: {detail}; `ceteris verify` says which of them \
         can be repeated", first.display(), second.display()
    )]
    MergeConflict {
        /// One directory.
        first: PathBuf,
        /// The other one.
        second: PathBuf,
        /// The first difference.
        detail: String,
    },
    /// The study file inside the manifest does not parse any more.
    #[error(
        "the study file kept in {} is not valid for this version of ceteris; read it with the \
         version that wrote it ({writer}):\n{detail}", path.display()
    )]
    StudyText {
        /// The manifest.
        path: PathBuf,
        /// The version that wrote it.
        writer: String,
        /// What the parser said.
        detail: String,
    },
    /// A committed part is not what was written.
    #[error(
        "{} is damaged ({detail}); move it away and run the study again: its runs are then \
         trained again", path.display()
    )]
    Damaged {
        /// The part.
        path: PathBuf,
        /// How it shows.
        detail: String,
    },
    /// Two parts hold the same run.
    #[error(
        "run {run} is in both {} and {}; move one of them away and run the study again",
        first.display(), second.display()
    )]
    RunTwice {
        /// The run.
        run: String,
        /// One part.
        first: PathBuf,
        /// The other part.
        second: PathBuf,
    },
    /// A run was to be recorded a second time.
    #[error("run {run} is already recorded in {}; this is a defect of ceteris", path.display())]
    AlreadyRecorded {
        /// The run.
        run: String,
        /// The directory.
        path: PathBuf,
    },
    /// A study returned tables that do not fit its own description.
    #[error("the study returned a wrong {table} table: {detail}; this is a defect of the study")]
    Outcome {
        /// The table.
        table: String,
        /// What does not fit.
        detail: String,
    },
    /// No table has this name.
    #[error(
        "{} has no table {name:?}{}", path.display(),
        nearest.as_ref().map(|nearest| format!("; did you mean {nearest:?}?")).unwrap_or_default()
    )]
    UnknownTable {
        /// The directory.
        path: PathBuf,
        /// The name asked for.
        name: String,
        /// The nearest name there is.
        nearest: Option<String>,
    },
    /// Rows that should be identified by the key are not.
    #[error("two rows have the same {key}: {row}")]
    DuplicateKey {
        /// The columns of the key.
        key: String,
        /// Their values.
        row: String,
    },
    /// The disk is full.
    #[error(
        "no space is left to write {}; free some and run the study again: every finished cohort \
         is kept", path.display()
    )]
    DiskFull {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file may not be read or written.
    #[error(
        "no permission to {action} {}; change its permissions or its file system, or choose \
         another directory", path.display()
    )]
    Permission {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Another failure of the file system.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A table could not be computed.
    #[error("cannot {action} the table {table}: {source}")]
    Frame {
        /// What was tried.
        action: &'static str,
        /// The table.
        table: String,
        /// The cause.
        source: PolarsError,
    },
}

impl StoreError {
    /// Classifies a failure of the file system.
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path, source }
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::Permission { action, path, source }
            }
            _ => Self::Io { action, path, source },
        }
    }

    pub(super) fn frame(
        action: &'static str,
        table: &str,
    ) -> impl FnOnce(PolarsError) -> Self + use<> {
        let table = table.to_owned();
        move |source| Self::Frame { action, table, source }
    }
}
