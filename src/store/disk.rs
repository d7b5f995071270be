//! Everything that changes a results directory goes through here, one step at a time.
//!
//! A step is an operation that either happened or did not when the process is killed. Tests stop
//! the writer before each of them in turn.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::StoreError;

/// What happens at a [`Failpoint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process dies before the step.
    Kill,
    /// The process dies in the middle of a write: half of the bytes are there.
    TornKill,
    /// The disk is full: the write fails, the process lives on and may try again.
    Full,
}

/// Makes the writer fail at one step; for tests of crash safety.
#[derive(Clone, Copy, Debug)]
pub struct Failpoint {
    /// Steps that succeed first.
    pub after: u64,
    /// What happens then.
    pub fault: Fault,
}

/// A results directory as a place to write to.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
    failpoint: Option<Failpoint>,
    steps: Cell<u64>,
}

impl Disk {
    pub(super) fn new(root: &Path, failpoint: Option<Failpoint>) -> Self {
        Self { root: root.to_owned(), failpoint, steps: Cell::new(0) }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn set_failpoint(&mut self, failpoint: Option<Failpoint>) {
        self.failpoint = failpoint;
        self.steps.set(0);
    }

    /// Creates a folder unless it is there.
    pub(super) fn create_folder(&self, folder: &Path) -> Result<(), StoreError> {
        if folder.is_dir() {
            return Ok(());
        }
        let create = || {
            self.step()?;
            fs::create_dir(folder)
        };
        create().map_err(|source| StoreError::io("create", folder, source))
    }

    /// Writes a file and waits until it is on the disk.
    pub(super) fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let write = || {
            self.step()?;
            let mut file = File::create(path)?;
            if let Err(error) = self.step() {
                if self.failpoint.is_some_and(|failpoint| failpoint.fault != Fault::Kill) {
                    file.write_all(&bytes[..bytes.len() / 2])?;
                }
                return Err(error);
            }
            file.write_all(bytes)?;
            self.step()?;
            file.sync_all()
        };
        write().map_err(|source| StoreError::io("write", path, source))
    }

    /// Renames a file, replacing what was there, and waits until its folder is on the disk.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> Result<(), StoreError> {
        let rename = || {
            self.step()?;
            fs::rename(from, to)?;
            self.step()?;
            sync_folder(to.parent().unwrap_or(&self.root))
        };
        rename().map_err(|source| StoreError::io("write", to, source))
    }

    /// Removes a file that ceteris wrote.
    pub(super) fn remove(&self, path: &Path) -> Result<(), StoreError> {
        let remove = || {
            self.step()?;
            fs::remove_file(path)
        };
        remove().map_err(|source| StoreError::io("remove", path, source))
    }

    /// Counts a step, and fails where the failpoint says so.
    fn step(&self) -> io::Result<()> {
        let step = self.steps.get();
        self.steps.set(step + 1);
        match self.failpoint {
            // A dead process takes no further step; a full disk may have room later.
            Some(Failpoint { after, fault: Fault::Kill | Fault::TornKill }) if step >= after => {
                Err(io::Error::other("killed by a failpoint"))
            }
            Some(Failpoint { after, fault: Fault::Full }) if step == after => {
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        }
    }
}

/// A rename is only safe from a power cut once its folder is on the disk.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Elsewhere folders cannot be opened as files, and the file system orders renames by itself.
#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}
