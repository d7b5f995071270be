//! Checkpoints: runs in mid-training, kept beside the tables until their run is committed.
//!
//! ```text
//! checkpoints/<run id>.safetensors         a run that is not recorded yet, after some iteration
//! checkpoints/<run id>-final.safetensors   a trained run, where that was asked for
//! ```
//!
//! They are no results: nothing reads them but the run that goes on from them, and what it leaves is
//! the same without. Each is written under a hidden name, flushed and renamed, so that one of them is
//! there whole or not at all; one that cannot be continued from goes to `set-aside/`.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::disk::Disk;
use super::inventory::{SET_ASIDE, names};
use super::{Results, ResultsDirectory, StoreError};
use crate::studies::{CheckpointIdentity, CheckpointInfo};
use crate::study::{Run, RunId};

/// The folder.
const FOLDER: &str = "checkpoints";
const EXTENSION: &str = ".safetensors";
const FINAL: &str = "-final.safetensors";

/// Which checkpoint of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointKind {
    /// The run is to go on from it.
    MidTraining,
    /// The run was trained to its end.
    Final,
}

/// Where a run's checkpoint is, if it has one.
pub fn checkpoint_path(directory: &Path, run: &RunId, kind: CheckpointKind) -> PathBuf {
    let end = match kind {
        CheckpointKind::MidTraining => EXTENSION,
        CheckpointKind::Final => FINAL,
    };
    directory.join(FOLDER).join(format!("{run}{end}"))
}

/// The name that a file has before it is complete.
fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.tmp"))
}

/// Removes files that were being written when a process was killed.
pub(super) fn clear_temporary(disk: &Disk) -> Result<(), StoreError> {
    let folder = disk.root().join(FOLDER);
    for name in names(&folder)? {
        if name.starts_with('.') && name.ends_with(&format!("{EXTENSION}.tmp")) {
            disk.remove(&folder.join(name))?;
        }
    }
    Ok(())
}

/// A file's bytes; `None` when it is not there.
fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StoreError::io("read", path, source)),
    }
}

impl ResultsDirectory {
    /// What this program on this machine calls the checkpoints that it writes, apart from the run.
    ///
    /// A run that was trained partly by one program and partly by another, or on machines that
    /// choose other kernels, would be the work of neither, and could not be repeated. So whatever
    /// may touch a number has to be equal.
    pub fn checkpoint_identity(&self) -> CheckpointIdentity {
        let mut identity = CheckpointIdentity::new();
        let Some(writer) = self.manifest().writer() else { return identity };
        let (build, environment) = (&writer.build, &writer.environment);
        let changes = if build.dirty == Some(true) { " with changes" } else { "" };
        let device = &environment.device;
        let mut enter = |name: &str, value: String| identity.insert(name.to_owned(), value);
        enter("ceteris", format!("{} (commit {}{changes})", build.ceteris_version, build.commit));
        enter("Cargo.lock", build.cargo_lock_sha256.clone());
        enter("target", build.target.clone());
        enter("processor features", environment.cpu.features.join(" "));
        enter(
            "device",
            match &device.driver {
                Some(driver) => format!("{} {}, {driver}", device.kind, device.name),
                None => device.kind.clone(),
            },
        );
        identity
    }

    /// Writes a checkpoint, replacing the one before it.
    ///
    /// # Errors
    /// When the file system refuses; the one before it is then still there.
    pub fn write_checkpoint(
        &self,
        run: &RunId,
        kind: CheckpointKind,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let path = checkpoint_path(self.path(), run, kind);
        self.disk.create_folder(&self.path().join(FOLDER))?;
        let temporary = temporary(&path);
        let written = self.disk.write(&temporary, bytes);
        if written.is_err() {
            // What is left of it would take the place that results may need.
            let _ = self.disk.remove(&temporary);
        }
        written?;
        self.disk.rename(&temporary, &path)
    }

    /// The checkpoint that a run is to go on from, if it has one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read_checkpoint(&self, run: &RunId) -> Result<Option<Vec<u8>>, StoreError> {
        read(&checkpoint_path(self.path(), run, CheckpointKind::MidTraining))
    }

    /// Removes the checkpoints that runs were to go on from, where there are any, and the folder
    /// when it is empty.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn remove_checkpoints<'a>(
        &self,
        runs: impl IntoIterator<Item = &'a RunId>,
    ) -> Result<(), StoreError> {
        for run in runs {
            let path = checkpoint_path(self.path(), run, CheckpointKind::MidTraining);
            if path.exists() {
                self.disk.remove(&path)?;
            }
        }
        // Refused while anything is in it.
        let _ = fs::remove_dir(self.path().join(FOLDER));
        Ok(())
    }

    /// Moves a checkpoint that no run can go on from out of the way, and says where it is then.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn set_aside_checkpoint(&self, run: &RunId) -> Result<PathBuf, StoreError> {
        let from = checkpoint_path(self.path(), run, CheckpointKind::MidTraining);
        let root = self.path().join(SET_ASIDE);
        let folder = root.join(FOLDER);
        self.disk.create_folder(&root)?;
        self.disk.create_folder(&folder)?;
        let mut to = folder.join(format!("{run}{EXTENSION}"));
        for number in 2_u32.. {
            if !to.exists() {
                break;
            }
            to = folder.join(format!("{run}-{number}{EXTENSION}"));
        }
        self.disk.rename(&from, &to)?;
        Ok(to)
    }
}

impl Results {
    /// The checkpoint that was kept of a trained run, if one was.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn final_checkpoint(&self, run: &RunId) -> Result<Option<Vec<u8>>, StoreError> {
        read(&checkpoint_path(self.path(), run, CheckpointKind::Final))
    }

    /// How far the runs of the study are that are neither recorded nor at their beginning, in the
    /// order of the plan. Checkpoints that no run can go on from are left out.
    ///
    /// # Errors
    /// When a part of `runs` is damaged, or a checkpoint cannot be read.
    pub fn in_training(&self) -> Result<Vec<(&Run, CheckpointInfo)>, StoreError> {
        if !self.path().join(FOLDER).is_dir() {
            return Ok(Vec::new());
        }
        let recorded = self.statuses()?;
        let file = &self.plan.file;
        let mut found = Vec::new();
        for run in self.plan.runs.iter().filter(|run| !recorded.contains_key(run.id.as_ref())) {
            let path = checkpoint_path(self.path(), &run.id, CheckpointKind::MidTraining);
            if let Some(bytes) = read(&path)?
                && let Ok(info) = file.study.checkpoint(file.seed, run, &bytes)
            {
                found.push((run, info));
            }
        }
        Ok(found)
    }
}

/// "3 runs … (iterations 120 to 200 of 488)": how far some runs are; `None` without any.
pub fn describe_progress(what: [&str; 2], runs: &[CheckpointInfo]) -> Option<String> {
    let first = runs.iter().map(|run| run.done).min()?;
    let last = runs.iter().map(|run| run.done).max()?;
    let total = runs.iter().map(|run| run.total).max()?;
    let mut text = match runs.len() {
        1 => format!("1 run {}", what[0]),
        count => format!("{count} runs {}", what[1]),
    };
    text.push_str(&if first == last {
        format!(" (iteration {last} of {total})")
    } else {
        format!(" (iterations {first} to {last} of {total})")
    });
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::describe_progress;
    use crate::studies::CheckpointInfo;

    #[test]
    fn progress_reads_as_a_sentence() {
        let info = |done| CheckpointInfo { identity: Default::default(), done, total: 488 };
        let text = |runs: &[CheckpointInfo]| describe_progress(["has it", "have it"], runs);
        assert_eq!(text(&[]), None);
        assert_eq!(text(&[info(7)]).unwrap(), "1 run has it (iteration 7 of 488)");
        assert_eq!(text(&[info(7), info(7)]).unwrap(), "2 runs have it (iteration 7 of 488)");
        assert_eq!(
            text(&[info(200), info(120)]).unwrap(),
            "2 runs have it (iterations 120 to 200 of 488)"
        );
    }
}
