//! `manifest.json`: what a results directory holds and what wrote it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::disk::Disk;
use super::environment::{Build, RunEnvironment, now};
use super::{RUNS, StoreError};
use crate::study::StudyFile;

/// Version of the layout: of the manifest's fields, and of the folders and their parts.
pub const SCHEMA_VERSION: u32 = 1;

/// Name of the manifest.
pub(super) const FILE: &str = "manifest.json";
/// Name it is written under before it is complete.
pub(super) const TEMPORARY: &str = ".manifest.json.tmp";

/// What a results directory holds and what wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the layout, [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Version of ceteris that wrote last.
    pub ceteris_version: String,
    /// When the directory was created, UTC.
    pub created: String,
    /// When it was last written to, UTC.
    pub modified: String,
    /// The study.
    pub study: StudyRecord,
    /// Every combination of program and machine that wrote parts.
    pub writers: Vec<Writer>,
    /// Index of the writer that opened the directory last.
    pub last_writer: usize,
    /// The tables by name.
    pub tables: BTreeMap<String, TableRecord>,
}

/// The study that a results directory belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StudyRecord {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// Name of the study file, without folders.
    pub file: String,
    /// SHA-256 of the study file.
    pub sha256: String,
    /// Version of the study's numerics.
    pub numerics_version: u32,
    /// The study file, verbatim.
    pub text: String,
    /// The presets that it names, each as the TOML of every field that it sets, so that the file
    /// means the same when the program's presets have changed. Manifests of earlier versions have
    /// none; there the program's presets count.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub presets: BTreeMap<String, String>,
}

/// A program on a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writer {
    /// The program.
    #[serde(flatten)]
    pub build: Build,
    /// The machine.
    #[serde(flatten)]
    pub environment: RunEnvironment,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRecord {
    /// The columns that identify a row, in sorting order.
    pub key: Vec<String>,
    /// Whether its content is part of the reproducibility contract.
    pub reproducible: bool,
    /// Its rows.
    pub rows: u64,
    /// [`content_hash`](super::content_hash) of all its rows; null while runs are being added.
    pub content_sha256: Option<String>,
    /// Its parts, sorted by file.
    pub parts: Vec<PartRecord>,
}

/// A file of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRecord {
    /// The file, relative to the results directory.
    pub file: String,
    /// Its rows.
    pub rows: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Index of the writer.
    pub writer: usize,
}

impl StudyRecord {
    pub(super) fn of(file: &StudyFile) -> Self {
        let label = file.path.file_name().map(|name| name.to_string_lossy().into_owned());
        Self {
            kind: file.study.kind().into(),
            name: file.name.clone(),
            title: file.title.clone(),
            file: label.unwrap_or_default(),
            sha256: file.sha256.clone(),
            numerics_version: file.study.numerics_version(),
            text: file.text.clone(),
            presets: file.presets.clone(),
        }
    }
}

impl Manifest {
    /// The manifest of a new directory.
    pub(super) fn new(file: &StudyFile, writer: &Writer) -> Self {
        let created = now();
        let mut manifest = Self {
            schema_version: SCHEMA_VERSION,
            ceteris_version: writer.build.ceteris_version.clone(),
            modified: created.clone(),
            created,
            study: StudyRecord::of(file),
            writers: Vec::new(),
            last_writer: 0,
            tables: BTreeMap::new(),
        };
        manifest.take_over(file, writer);
        manifest
    }

    /// Enters the study file, program and machine that write from now on.
    pub(super) fn take_over(&mut self, file: &StudyFile, writer: &Writer) {
        self.study = StudyRecord::of(file);
        self.ceteris_version = writer.build.ceteris_version.clone();
        self.last_writer = self.writer_index(writer);
        let mut table = |name: &str, key: &[&str], reproducible| {
            let table = self.tables.entry(name.into()).or_insert_with(|| TableRecord {
                key: Vec::new(),
                reproducible,
                rows: 0,
                content_sha256: None,
                parts: Vec::new(),
            });
            table.key = key.iter().map(|&column| column.into()).collect();
            table.reproducible = reproducible;
        };
        table(RUNS, super::schema::RUNS_KEY, true);
        for described in file.study.tables() {
            table(described.name, described.key, described.reproducible);
        }
    }

    /// The index of a program on a machine, which is entered unless it is known.
    pub(super) fn writer_index(&mut self, writer: &Writer) -> usize {
        self.writers.iter().position(|known| known == writer).unwrap_or_else(|| {
            self.writers.push(writer.clone());
            self.writers.len() - 1
        })
    }

    /// The writer that opened the directory last.
    pub fn writer(&self) -> Option<&Writer> {
        self.writers.get(self.last_writer)
    }

    /// Reads the manifest of a directory; `None` when there is none.
    pub(super) fn read(directory: &Path) -> Result<Option<Self>, StoreError> {
        let path = directory.join(FILE);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::io("read", &path, source)),
        };
        Self::parse(&path, &bytes).map(Some)
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self, StoreError> {
        let syntax = |detail: serde_json::Error| StoreError::ManifestSyntax {
            path: path.into(),
            detail: detail.to_string(),
        };
        let content = |detail: String| StoreError::ManifestContent { path: path.into(), detail };
        let json: serde_json::Value = serde_json::from_slice(bytes).map_err(syntax)?;
        // Versions come first: another layout may lack any other field.
        let version = json.get("schema_version");
        let writer = json.get("ceteris_version").and_then(serde_json::Value::as_str);
        match version {
            None => return Err(content("missing field `schema_version`".into())),
            Some(version) if *version != SCHEMA_VERSION => {
                return Err(StoreError::SchemaVersion {
                    path: path.into(),
                    found: version.to_string(),
                    expected: SCHEMA_VERSION,
                    writer: writer.map(str::to_owned),
                });
            }
            Some(_) => {}
        }
        let own = env!("CARGO_PKG_VERSION");
        if let Some(writer) = writer
            && release(writer) > release(own)
        {
            return Err(StoreError::Newer { path: path.into(), found: writer.into(), own });
        }
        let manifest: Self =
            serde_json::from_value(json).map_err(|error| content(error.to_string()))?;
        manifest.check().map_err(content)?;
        Ok(manifest)
    }

    /// What types alone do not say.
    fn check(&self) -> Result<(), String> {
        if !self.tables.contains_key(RUNS) {
            return Err(format!("there is no table `{RUNS}`"));
        }
        if self.last_writer >= self.writers.len() {
            return Err(format!("there is no writer {}", self.last_writer));
        }
        for (name, table) in &self.tables {
            // Names become paths, so one that leaves the directory must not get further.
            if !name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
                return Err(format!("{name:?} is no name of a table"));
            }
            for part in &table.parts {
                let file = part.file.strip_prefix(name.as_str()).and_then(|f| f.strip_prefix('/'));
                if file.and_then(super::inventory::part_id).is_none() {
                    return Err(format!("{:?} is no part of the table `{name}`", part.file));
                }
                if part.writer >= self.writers.len() {
                    return Err(format!("there is no writer {} of {:?}", part.writer, part.file));
                }
            }
        }
        Ok(())
    }

    /// Replaces the manifest of a directory by this one.
    pub(super) fn write(&mut self, disk: &Disk) -> Result<(), StoreError> {
        self.modified = now();
        let path = disk.root().join(FILE);
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|error| StoreError::io("write", &path, error.into()))?;
        text.push('\n');
        let temporary = disk.root().join(TEMPORARY);
        disk.write(&temporary, text.as_bytes())?;
        disk.rename(&temporary, &path)
    }

    /// The id of every part set that it lists, with the tables that have a part of it.
    pub(super) fn listed(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut listed: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, table) in &self.tables {
            for part in &table.parts {
                if let Some(id) = part.id() {
                    listed.entry(id).or_default().push(name);
                }
            }
        }
        listed
    }

    /// The record of a part.
    pub(super) fn part(&self, table: &str, id: &str) -> Option<&PartRecord> {
        self.tables.get(table)?.parts.iter().find(|part| part.id() == Some(id))
    }

    /// Adds a part; what was said of the whole table holds no longer.
    pub(super) fn add(&mut self, table: &str, part: PartRecord) {
        if let Some(table) = self.tables.get_mut(table) {
            // A manifest that was edited may say anything; a sum must not end the program.
            table.rows = table.rows.saturating_add(part.rows);
            table.content_sha256 = None;
            let at = table.parts.partition_point(|other| other.file < part.file);
            table.parts.insert(at, part);
        }
    }

    /// Takes a part set out of every table.
    pub(super) fn remove(&mut self, id: &str) {
        for table in self.tables.values_mut() {
            let before = table.parts.len();
            table.parts.retain(|part| part.id() != Some(id));
            if table.parts.len() != before {
                let rows = table.parts.iter().map(|part| part.rows);
                table.rows = rows.fold(0, u64::saturating_add);
                table.content_sha256 = None;
            }
        }
    }
}

/// Whether a directory has a manifest.
pub(super) fn exists(directory: &Path) -> bool {
    directory.join(FILE).exists()
}

impl TableRecord {
    /// The same table without parts.
    pub(super) fn emptied(&self) -> Self {
        Self { rows: 0, content_sha256: None, parts: Vec::new(), ..self.clone() }
    }
}

impl PartRecord {
    /// The id of its part set.
    pub(super) fn id(&self) -> Option<&str> {
        self.file.rsplit('/').next().and_then(super::inventory::part_id)
    }
}

/// Major, minor and patch version; what is no number counts as zero.
fn release(version: &str) -> [u64; 3] {
    let plain = version.split(['-', '+']).next().unwrap_or_default();
    let mut numbers = plain.split('.').map(|number| number.parse().unwrap_or(0));
    std::array::from_fn(|_| numbers.next().unwrap_or(0))
}
