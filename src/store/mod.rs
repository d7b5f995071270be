//! The results directory: what a study leaves behind, as Parquet tables beside a manifest.
//!
//! ```text
//! manifest.json                  what wrote it, the study file, every part with its hash
//! runs/part-<id>.parquet         one row a run
//! <table>/part-<id>.parquet      one folder for each table of the study
//! ```
//!
//! A cohort is written as one *part set*: a part of every table under the same id, each written to
//! a temporary name, flushed to the disk and renamed. The part of `runs` comes last and is the
//! commit mark: a set without it was interrupted and counts for nothing. A kill at any instant
//! therefore leaves a directory that loads and resumes, and a run is recorded at most once.
//!
//! Parts are never changed once they are committed, so the labels in them (`arm`, `factor_*`) are
//! those of the study file at that time. What identifies a run is `run_id`;
//! [`Results::by_arm`] joins the tables to the arms of the present study file.
//!
//! Runs in mid-training are kept in `checkpoints/` until they are committed, what others were asked for
//! in `journal/`.

mod checkpoints;
mod difference;
mod directory;
mod disk;
mod environment;
mod error;
mod hash;
mod integrity;
mod inventory;
mod journal;
mod listing;
mod lock;
mod manifest;
mod merge;
mod page;
mod part;
mod results;
mod schema;

pub use checkpoints::{CheckpointKind, checkpoint_path, describe_progress};
pub use difference::{Difference, difference};
pub use directory::ResultsDirectory;
#[doc(hidden)]
pub use disk::{Failpoint, Fault};
pub use environment::{Build, Cpu, DeviceRecord, RunEnvironment};
pub use error::StoreError;
pub use hash::content_hash;
pub use integrity::Integrity;
pub use journal::{DirectoryJournal, journal_files, journal_key};
pub use manifest::{Manifest, PartRecord, SCHEMA_VERSION, StudyRecord, TableRecord, Writer};
pub use merge::{Merged, merge, merge_with};
pub use page::schema_page;
pub use results::Results;
pub(crate) use schema::factor_column;
pub use schema::{data_type, runs_schema, table_schema};

/// The table with one row a run.
pub const RUNS: &str = "runs";
