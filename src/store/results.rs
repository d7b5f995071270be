//! A results directory that is being read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use flags::nearest;
use polars::prelude::*;

use super::inventory::{Inventory, part_name};
use super::lock::Lock;
use super::manifest::{FILE, Manifest, PartRecord, StudyRecord, Writer};
use super::schema::{factor_column, runs_schema, sorted, table_schema};
use super::{RUNS, StoreError, part};
use crate::study::{Plan, StudyFile, plan};

/// A part of a table, with its record where the manifest has one.
type Part<'a> = (PathBuf, Option<&'a PartRecord>);

/// What a results directory held when it was opened.
///
/// Reading takes no lock: parts are complete or not there, and never change.
#[derive(Debug)]
pub struct Results {
    /// The manifest.
    pub manifest: Manifest,
    /// The plan of the study file that the manifest keeps.
    pub plan: Plan,
    directory: PathBuf,
    inventory: Inventory,
}

impl Results {
    /// Opens a results directory of a registered study.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        Self::planned(path, |study| {
            StudyFile::parse_with_presets(&study.file, &study.text, &study.presets)
                .map(plan)
                .map_err(|mistakes| mistakes.to_string())
        })
    }

    /// Opens a results directory, with a function that makes the plan from the name and the text
    /// of the study file. [`ResultsDirectory::read`](super::ResultsDirectory::read) does so for
    /// the registered studies.
    ///
    /// # Errors
    /// When it is no results directory of this version, or a part is damaged.
    pub fn read_with(
        path: &Path,
        plan: impl FnOnce(&Path, &str) -> Result<Plan, String>,
    ) -> Result<Self, StoreError> {
        Self::planned(path, |study| plan(Path::new(&study.file), &study.text))
    }

    fn planned(
        path: &Path,
        plan: impl FnOnce(&StudyRecord) -> Result<Plan, String>,
    ) -> Result<Self, StoreError> {
        if path.exists() && !path.is_dir() {
            return Err(StoreError::NotADirectory { path: path.into() });
        }
        let (manifest, inventory) = loop {
            let manifest =
                Manifest::read(path)?.ok_or_else(|| StoreError::NoResults { path: path.into() })?;
            let mut inventory = Inventory::take(path, &manifest)?;
            if inventory.has_unlisted(&manifest) {
                // Whether they count depends on their runs.
                inventory.stored(path, &manifest)?;
            }
            // Parts that were replaced by others meanwhile would seem to be missing.
            if Manifest::read(path)?.as_ref() == Some(&manifest) {
                break (manifest, inventory);
            }
        };
        let plan = plan(&manifest.study).map_err(|detail| {
            let writer = manifest.ceteris_version.clone();
            StoreError::StudyText { path: path.join(FILE), writer, detail }
        })?;
        Ok(Self { manifest, plan, directory: path.into(), inventory })
    }

    /// The same results with another version of their study file: other claims, titles or order of
    /// keys, but the same arms, replicates and seed, so that every run means the same.
    ///
    /// # Errors
    /// When the file asks for other runs.
    pub fn shown_as(self, file: StudyFile) -> Result<Self, StoreError> {
        let own = &self.plan.file;
        let detail = if (file.study.kind(), &file.name) != (own.study.kind(), &own.name) {
            Some(format!("it is the study {:?} (kind {})", file.name, file.study.kind()))
        } else if file.seed != own.seed {
            Some(format!("its seed is {}, not {}", file.seed, own.seed))
        } else if file.replicates != own.replicates {
            Some("it has other replicates".to_owned())
        } else if let Some(arm) = file.arms.iter().find(|arm| !own.arms.contains(arm)) {
            Some(format!("its arm `{}` is not one of the results'", arm.name))
        } else {
            let lacking = own.arms.iter().find(|arm| !file.arms.contains(arm));
            lacking.map(|arm| format!("it lacks the results' arm `{}`", arm.name))
        };
        match detail {
            Some(detail) => {
                Err(StoreError::OtherRuns { path: self.directory, file: file.path, detail })
            }
            None => Ok(Self { plan: plan(file), ..self }),
        }
    }

    /// Another results directory of the same study, read by this one's plan.
    ///
    /// # Errors
    /// When it is no results directory of this version, or a part is damaged.
    pub fn same_study_at(&self, path: &Path) -> Result<Self, StoreError> {
        Self::planned(path, |_| Ok(self.plan.clone()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// Who writes to it at this moment, if anybody.
    ///
    /// # Errors
    /// When the lock cannot be read.
    pub fn writing(&self) -> Result<Option<String>, StoreError> {
        Lock::holder(&self.directory)
    }

    /// Files in the tables' folders that ceteris did not write, and which it does not read.
    pub fn foreign(&self) -> &[PathBuf] {
        &self.inventory.foreign
    }

    /// How many part sets are incomplete and therefore left out: a process is writing them or was
    /// interrupted, or one of their parts was moved away.
    pub fn incomplete(&self) -> usize {
        self.inventory.incomplete.len()
    }

    /// How many complete part sets the manifest does not list, because the process was killed before
    /// it could enter them; the next `ceteris run` does.
    pub fn unlisted(&self) -> usize {
        let unlisted = |id: &&String| self.manifest.part(RUNS, id).is_none();
        self.inventory.complete.keys().filter(unlisted).count()
    }

    /// The `runs` table, one row a run, sorted by `run_id`.
    ///
    /// # Errors
    /// When a part is damaged.
    pub fn runs(&self) -> Result<DataFrame, StoreError> {
        self.table(RUNS)
    }

    /// A table by name, sorted by its key. Columns that some parts lack are null there; so are
    /// those that the study has gained since, and a table that it has gained is empty.
    ///
    /// # Errors
    /// When there is no such table, or a part is damaged.
    pub fn table(&self, name: &str) -> Result<DataFrame, StoreError> {
        self.table_of(name, Ok)
    }

    /// A table of what is kept of each of its parts.
    fn table_of(
        &self,
        name: &str,
        keep: impl Fn(DataFrame) -> Result<DataFrame, StoreError>,
    ) -> Result<DataFrame, StoreError> {
        let mut frames = Vec::new();
        for (path, record) in self.parts(name)? {
            frames.push(keep(part::read(&path, record, None)?)?);
        }
        let Some(mut frame) = concatenated(name, frames)? else { return Ok(self.empty(name)) };
        for (column, kind) in self.schema(name).iter() {
            if frame.get_column_index(column).is_none() {
                let missing = Column::full_null(column.clone(), frame.height(), kind);
                frame.with_column(missing).map_err(StoreError::frame("complete", name))?;
            }
        }
        sorted(&frame, name, &self.key(name))
    }

    /// The rows of some runs in a table, sorted by its key; otherwise as [`table`](Self::table).
    ///
    /// # Errors
    /// When there is no such table, or a part is damaged.
    pub fn rows_of(&self, name: &str, runs: &BTreeSet<&str>) -> Result<DataFrame, StoreError> {
        self.table_of(name, |frame| part::of_runs(name, &frame, |run| runs.contains(run)))
    }

    /// A table by name as a lazy frame over its parts, in no particular order.
    ///
    /// # Errors
    /// When there is no such table, or a part is damaged.
    pub fn scan(&self, name: &str) -> Result<LazyFrame, StoreError> {
        let failed = || StoreError::frame("scan", name);
        let mut frames = Vec::new();
        for (path, record) in self.parts(name)? {
            if record.is_none() {
                // Nothing vouches for it yet, and polars may panic on what it scans.
                frames.push(part::read(&path, record, None)?.lazy());
                continue;
            }
            part::verified(&path, record)?;
            let path = PlRefPath::try_from_path(&path).map_err(failed())?;
            // A folder may have a bracket or a star in its name.
            let arguments = ScanArgsParquet { glob: false, ..Default::default() };
            frames.push(LazyFrame::scan_parquet(path, arguments).map_err(failed())?);
        }
        if frames.is_empty() {
            return Ok(self.empty(name).lazy());
        }
        concat_lf_diagonal(frames, UnionArgs::default()).map_err(failed())
    }

    /// A table with the rows of every arm of the present study file, in the file's order.
    ///
    /// `arm`, `replicate` and the `factor_*` columns come from the study file; a run that several
    /// arms share appears once for each, and a run that the file does not ask for is left out.
    ///
    /// # Errors
    /// When there is no such table, or a part is damaged.
    pub fn by_arm(&self, name: &str) -> Result<LazyFrame, StoreError> {
        let table = self.table(name)?;
        let values: Vec<PlSmallStr> = table
            .get_column_names()
            .into_iter()
            .filter(|column| {
                !matches!(column.as_str(), "arm" | "replicate") && !column.starts_with("factor_")
            })
            .cloned()
            .collect();
        let table = table.select(values).map_err(StoreError::frame("read", name))?;
        let keep = JoinArgs {
            maintain_order: MaintainOrderJoin::LeftRight,
            ..JoinArgs::new(JoinType::Inner)
        };
        Ok(self.members()?.lazy().join(table.lazy(), [col("run_id")], [col("run_id")], keep))
    }

    /// Chosen columns of [`by_arm`](Self::by_arm)'s table in no particular order; reads only these,
    /// part by part, which large tables need.
    ///
    /// # Errors
    /// When there is no such table or column, or a part is damaged.
    pub fn columns_by_arm(&self, name: &str, columns: &[&str]) -> Result<DataFrame, StoreError> {
        let failed = || StoreError::frame("read", name);
        let members = self.members()?;
        let is_label = |column: &&str| members.get_column_index(column).is_some();
        let labels = members.select(columns.iter().copied().filter(is_label)).map_err(failed())?;
        let mut values: Vec<&str> = columns.iter().copied().filter(|c| !is_label(c)).collect();
        values.push("run_id");
        let mut rows_of: BTreeMap<&str, Vec<IdxSize>> = BTreeMap::new();
        let ids = members.column("run_id").and_then(Column::str).map_err(failed())?;
        for (row, id) in (0..).zip(ids.iter()) {
            rows_of.entry(id.unwrap_or_default()).or_default().push(row);
        }
        let mut frames = Vec::new();
        for (path, record) in self.parts(name)? {
            let stored = part::header(&path)?;
            let is_stored = |column: &&str| stored.get_column_index(column).is_some();
            let (present, absent): (Vec<&str>, Vec<&str>) =
                values.iter().copied().partition(is_stored);
            let mut frame = part::read(&path, record, Some(&present))?;
            self.complete(&mut frame, name, &absent)?;
            let (mut of_members, mut of_part) = (Vec::new(), Vec::new());
            let ids = frame.column("run_id").and_then(Column::str).map_err(failed())?;
            // Rows of a run mostly follow each other.
            let (mut last, mut rows): (Option<&str>, &[IdxSize]) = (None, &[]);
            for (row, id) in (0..).zip(ids.iter()) {
                if last != id {
                    rows = id.and_then(|id| rows_of.get(id)).map_or(&[], Vec::as_slice);
                    last = id;
                }
                for &member in rows {
                    of_members.push(member);
                    of_part.push(row);
                }
            }
            let take = |frame: &DataFrame, rows: &[IdxSize]| {
                frame.take(&IdxCa::from_slice(PlSmallStr::EMPTY, rows)).map_err(failed())
            };
            let own = frame.drop("run_id").map_err(failed())?;
            // As they are, where every row belongs to one arm.
            let own = if of_part.len() == frame.height() && of_part.iter().copied().eq(0..) {
                own
            } else {
                take(&own, &of_part)?
            };
            let mut all = take(&labels, &of_members)?;
            all.hstack_mut(own.columns()).map_err(failed())?;
            frames.push(all);
        }
        let frame = match concatenated(name, frames)? {
            Some(frame) => frame,
            None => {
                let mut frame = labels.clear();
                self.complete(&mut frame, name, &values)?;
                frame
            }
        };
        frame.select(columns.iter().copied()).map_err(failed())
    }

    /// Adds columns that a part lacks as nulls, where the table has them today.
    fn complete(
        &self,
        frame: &mut DataFrame,
        name: &str,
        columns: &[&str],
    ) -> Result<(), StoreError> {
        let schema = self.schema(name);
        for column in columns {
            if let Some(kind) = schema.get(column) {
                let missing = Column::full_null((*column).into(), frame.height(), kind);
                frame.with_column(missing).map_err(StoreError::frame("complete", name))?;
            }
        }
        Ok(())
    }

    /// The columns that [`columns_by_arm`](Self::columns_by_arm) can read of a table, with their
    /// types.
    ///
    /// # Errors
    /// When there is no such table, or a part is damaged.
    pub fn columns(&self, name: &str) -> Result<Schema, StoreError> {
        let mut columns = Schema::clone(self.members()?.schema());
        for (path, _) in self.parts(name)? {
            columns.extend(part::header(&path)?.schema().iter_fields());
        }
        columns.extend(self.schema(name).iter_fields());
        Ok(columns)
    }

    /// Which run provides each replicate of each arm: `run_id`, `arm`, `replicate` and one
    /// `factor_*` column a factor, in the order of the study file.
    ///
    /// # Errors
    /// When polars fails.
    pub fn members(&self) -> Result<DataFrame, StoreError> {
        let file = &self.plan.file;
        let mut members: Vec<_> = self.plan.members.iter().collect();
        members.sort_by_key(|member| member.arm);
        let arms = || members.iter().map(|member| &file.arms[member.arm]);
        let ids: Vec<&str> =
            members.iter().map(|member| self.plan.runs[member.run].id.as_ref()).collect();
        let mut columns = vec![
            Column::new("run_id".into(), ids),
            Column::new("arm".into(), arms().map(|arm| arm.name.as_str()).collect::<Vec<_>>()),
            Column::new(
                "replicate".into(),
                members.iter().map(|member| member.replicate).collect::<Vec<_>>(),
            ),
        ];
        for factor in &file.factors {
            let levels: Vec<Option<&str>> = arms()
                .map(|arm| {
                    let level = arm.levels.iter().find(|level| level.factor == factor.name);
                    level.map(|level| level.level.as_str())
                })
                .collect();
            columns.push(Column::new(factor_column(&factor.name).into(), levels));
        }
        DataFrame::new(members.len(), columns).map_err(StoreError::frame("assemble", "members"))
    }

    /// Status of every stored run by its id, `finished` or `diverged`.
    ///
    /// # Errors
    /// When a part is damaged.
    pub fn statuses(&self) -> Result<BTreeMap<String, String>, StoreError> {
        let mut statuses = BTreeMap::new();
        for (path, record) in self.parts(RUNS)? {
            let frame = part::read(&path, record, Some(&["run_id", "status"]))?;
            let column = frame
                .column("status")
                .and_then(Column::str)
                .map_err(StoreError::frame("read", RUNS))?;
            for (run, status) in part::run_ids(&path, &frame)?.into_iter().zip(column.iter()) {
                statuses.insert(run, status.unwrap_or_default().to_owned());
            }
        }
        Ok(statuses)
    }

    /// The parts of a table in complete sets, with their records where the manifest has them.
    pub(super) fn parts(&self, name: &str) -> Result<Vec<Part<'_>>, StoreError> {
        Ok(self.sets(name)?.into_iter().map(|(_, part)| part).collect())
    }

    /// The same with the ids of the sets.
    fn sets(&self, name: &str) -> Result<Vec<(&str, Part<'_>)>, StoreError> {
        if !self.manifest.tables.contains_key(name) && self.schema(name).is_empty() {
            let names = self.manifest.tables.keys().map(String::as_str);
            return Err(StoreError::UnknownTable {
                path: self.directory.clone(),
                name: name.into(),
                nearest: nearest(name, names).map(str::to_owned),
            });
        }
        let sets = self.inventory.complete.iter();
        let with_part = sets.filter(|(_, tables)| tables.iter().any(|table| table == name));
        let part = |id: &str| {
            (self.directory.join(name).join(part_name(id)), self.manifest.part(name, id))
        };
        Ok(with_part.map(|(id, _)| (id.as_str(), part(id))).collect())
    }

    fn key(&self, name: &str) -> Vec<String> {
        self.manifest.tables.get(name).map(|table| table.key.clone()).unwrap_or_default()
    }

    /// A table without rows.
    fn empty(&self, name: &str) -> DataFrame {
        DataFrame::empty_with_schema(&self.schema(name))
    }

    fn schema(&self, name: &str) -> Schema {
        schema_of(&self.plan, name)
    }

    /// Whether a complete part set has a part of a table.
    pub(super) fn has_part(&self, name: &str, set: &str) -> bool {
        let tables = self.inventory.complete.get(set);
        tables.is_some_and(|tables| tables.iter().any(|table| table == name))
    }

    /// The program and machine that wrote a part set; `None` where the manifest does not list it.
    pub(crate) fn writer_of(&self, set: &str) -> Option<&Writer> {
        let record = self.manifest.part(RUNS, set)?;
        self.manifest.writers.get(record.writer)
    }

    /// The part set of every stored run.
    pub(crate) fn stored(&self) -> Result<BTreeMap<String, String>, StoreError> {
        let mut stored = BTreeMap::new();
        for (id, (path, record)) in self.sets(RUNS)? {
            let frame = part::read(&path, record, Some(&["run_id"]))?;
            for run in part::run_ids(&path, &frame)? {
                stored.insert(run, id.to_owned());
            }
        }
        Ok(stored)
    }

    /// The rows of a table in one part set; `None` where the set has no part of it.
    pub(super) fn part(&self, name: &str, set: &str) -> Result<Option<DataFrame>, StoreError> {
        let found = self.sets(name)?.into_iter().find(|(id, _)| *id == set);
        found.map(|(_, (path, record))| part::read(&path, record, None)).transpose()
    }
}

/// The columns that a table has today; none of a table that the study does not know.
pub(super) fn schema_of(plan: &Plan, name: &str) -> Schema {
    let study = plan.file.study;
    match study.tables().iter().find(|table| table.name == name) {
        Some(table) => table_schema(table),
        None if name == RUNS => runs_schema(study, &plan.file.factors),
        None => Schema::default(),
    }
}

/// All rows of some parts; `None` when there are none.
pub(super) fn concatenated(
    name: &str,
    frames: Vec<DataFrame>,
) -> Result<Option<DataFrame>, StoreError> {
    if frames.is_empty() {
        return Ok(None);
    }
    polars::functions::concat_df_diagonal(&frames)
        .map(Some)
        .map_err(StoreError::frame("put together the parts of", name))
}
