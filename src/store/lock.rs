//! One writer at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::StoreError;

/// Name of the lock file; the operating system releases the lock however its holder ends.
pub(super) const FILE: &str = ".lock";

/// An exclusive lock, held until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock and writes down who holds it.
    pub(super) fn acquire(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(FILE);
        let failed = |source| StoreError::io("write", &path, source);
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        // `holder` takes the lock for a moment too, so one refusal does not mean a writer.
        for attempt in 0.. {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if attempt < 5 => {
                    thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(StoreError::Locked {
                        path: directory.to_owned(),
                        holder: named(&mut file),
                    });
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        let own = format!("process {} on {}", std::process::id(), host());
        file.set_len(0).map_err(failed)?;
        file.write_all(own.as_bytes()).map_err(failed)?;
        Ok(Self { file })
    }

    /// Who writes to the directory at this moment, if anybody.
    pub(super) fn holder(directory: &Path) -> Result<Option<String>, StoreError> {
        let path = directory.join(FILE);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::io("read", &path, source)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(named(&mut file))),
            Err(TryLockError::Error(source)) => Err(StoreError::io("read", &path, source)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The name is only read while the lock is held, so a failure here misleads nobody.
        let _ = self.file.set_len(0);
        // Closing the file would do, unless another thread is just starting a process, which holds
        // a copy of it for a moment.
        let _ = self.file.unlock();
    }
}

/// The holder's own words.
fn named(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_string(&mut text));
    if read.is_ok() && !text.is_empty() { text } else { "another process".into() }
}

/// Name of this machine, so that a lock on a shared file system can be traced.
fn host() -> String {
    ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|file| std::fs::read_to_string(file).ok())
        .or_else(|| std::env::var("HOSTNAME").ok())
        .or_else(|| std::env::var("COMPUTERNAME").ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "this machine".into())
}
