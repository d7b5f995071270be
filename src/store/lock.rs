//! One writer at a time, on one machine and across machines that share a file system.
//!
//! Two files guard a directory that is being written:
//!
//! - `.lock` is locked with the operating system's help, which ends however its holder ends. On
//!   one machine that is all it takes. Over a network it may not be: some servers do not pass such
//!   locks on.
//! - `.lease` names its holder and a counter that the holder raises every few seconds. Whoever finds
//!   the lease of another machine watches the counter by its own clock: while it moves, the
//!   directory is being written; when it stands still for as long as the lease says, the holder is
//!   gone and the lease is replaced. No two machines' clocks are ever compared, so that a clock that
//!   jumps harms nobody.
//!
//! A holder that was merely paused must not go on when it wakes: before every commit it looks
//! whether the lease is still its own ([`Lock::check`]). A holder raises the counter through the file
//! that it created, which is no longer the directory's lease once another one was renamed over it, so
//! it cannot revive what was taken from it. Between looking and renaming there remains an instant;
//! what a writer leaves behind then is recognised when the directory is opened, since a run that the
//! manifest lists already is not counted again.
//!
//! What is asked of the file system: a rename replaces a name at once, a file can be created only
//! where there is none, and opening a file shows what was written before (NFS calls this
//! close-to-open consistency, and has all three since version 3).

use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::StoreError;

/// Name of the lock file; the operating system releases the lock however its holder ends.
pub(super) const FILE: &str = ".lock";
/// Name of the lease.
pub(super) const LEASE: &str = ".lease";
/// Name of the file that one of several heirs of a lease creates.
const CLAIM: &str = ".lease-claim";
/// Name of a lease before it replaces another one.
const NEXT: &str = ".lease-next";

/// How long a lease lasts when its counter stands still, seconds.
const LEASE_SECONDS: u64 = 60;
/// Beats in that time: several may be late before the lease ends.
const BEATS: u64 = 6;

/// Whether a file belongs to the guards of a directory.
pub(super) fn is_guard(name: &str) -> bool {
    name == FILE || name.starts_with(LEASE)
}

/// An exclusive lock, held until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    /// `None` where the file system has no locks.
    file: Option<File>,
    /// `None` only while it is being dropped.
    lease: Option<Lease>,
}

impl Lock {
    /// Takes the lock and the lease, and writes down who holds them.
    ///
    /// Waits where another machine's lease may have been left behind by a process that is gone.
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
        let mut locked = true;
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
                Err(TryLockError::Error(source)) if has_no_locks(&source) => {
                    locked = false;
                    break;
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        if locked {
            file.set_len(0).map_err(failed)?;
            file.write_all(own_name().as_bytes()).map_err(failed)?;
        }
        let lease = Lease::acquire(directory, locked, LEASE_SECONDS)?;
        Ok(Self { file: locked.then_some(file), lease: Some(lease) })
    }

    /// Makes sure that the directory is still this process's to write.
    ///
    /// # Errors
    /// When another process took over, which it may when this one was paused for longer than the
    /// lease lasts.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.lease.as_ref().map_or(Ok(()), Lease::check)
    }

    /// Who writes to the directory at this moment, if anybody.
    pub(super) fn holder(directory: &Path) -> Result<Option<String>, StoreError> {
        let path = directory.join(FILE);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::io("read", &path, source)),
        };
        match file.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Some(named(&mut file))),
            Err(TryLockError::Error(source)) if has_no_locks(&source) => {}
            Err(TryLockError::Error(source)) => {
                return Err(StoreError::io("read", &path, source));
            }
        }
        // A lease of this machine without its lock was left behind by a process that is gone.
        let elsewhere = |record: &Record| record.machine != machine();
        let lease = Record::read(&directory.join(LEASE))?.filter(elsewhere);
        Ok(lease.map(|record| format!("{}, unless its lease ended", record.holder)))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // First, while no other process of this machine can inherit it.
        self.lease = None;
        if let Some(file) = &self.file {
            // The name is only read while the lock is held, so a failure here misleads nobody.
            let _ = file.set_len(0);
            // Closing the file would do, unless another thread is just starting a process, which
            // holds a copy of it for a moment.
            let _ = file.unlock();
        }
    }
}

/// What a lease says. Its length in the file never changes, so that it can be renewed in place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// The holder in words.
    holder: String,
    /// The machine since it was started.
    machine: String,
    /// Different for every lease.
    nonce: String,
    /// How long the lease lasts without a beat.
    seconds: u64,
    /// Beats so far, as digits of a fixed number.
    beat: String,
}

impl Record {
    fn new(seconds: u64) -> Self {
        // The operating system seeds this hasher; nothing that is stored depends on it.
        let draw = || std::collections::hash_map::RandomState::new().build_hasher().finish();
        Self {
            holder: own_name(),
            machine: machine(),
            nonce: format!("{:016x}{:016x}", draw(), draw()),
            seconds,
            beat: digits(0),
        }
    }

    /// The record in a file; `None` when there is no file. One that cannot be understood, such as a
    /// file that was just created, is an unknown holder's.
    fn read(path: &Path) -> Result<Option<Self>, StoreError> {
        match fs::read(path) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).unwrap_or_else(|_| Self {
                holder: "another process".into(),
                machine: String::new(),
                nonce: String::new(),
                seconds: LEASE_SECONDS,
                beat: String::new(),
            }))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::io("read", path, source)),
        }
    }

    fn write(&self, file: &mut File) -> std::io::Result<()> {
        let text = serde_json::to_vec(self)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&text)?;
        file.sync_all()
    }
}

fn digits(beat: u64) -> String {
    format!("{beat:012}")
}

/// A lease that is held and renewed until it is dropped.
#[derive(Debug)]
struct Lease {
    directory: PathBuf,
    nonce: String,
    stop: Option<mpsc::Sender<()>>,
    heart: Option<JoinHandle<()>>,
}

impl Lease {
    /// Takes the lease of a directory. `locked`: this process holds the directory's lock, so that
    /// no other process of this machine can hold its lease.
    fn acquire(directory: &Path, locked: bool, seconds: u64) -> Result<Self, StoreError> {
        let path = directory.join(LEASE);
        let failed = |source| StoreError::io("write", &path, source);
        let record = Record::new(seconds);
        let file = loop {
            match File::create_new(&path) {
                Ok(mut file) => {
                    record.write(&mut file).map_err(failed)?;
                    break file;
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    let Some(found) = Record::read(&path)? else { continue };
                    if !(locked && found.machine == record.machine) {
                        wait_for_end(directory, &found)?;
                    }
                    if let Some(file) = inherit(directory, &found, &record, locked)? {
                        break file;
                    }
                }
                Err(source) => return Err(failed(source)),
            }
        };
        let (stop, stopped) = mpsc::channel();
        let nonce = record.nonce.clone();
        let heart = thread::Builder::new()
            .name("lease".into())
            .spawn(move || beat(file, record, &stopped))
            .map_err(failed)?;
        Ok(Self { directory: directory.into(), nonce, stop: Some(stop), heart: Some(heart) })
    }

    fn check(&self) -> Result<(), StoreError> {
        match Record::read(&self.directory.join(LEASE))? {
            Some(record) if record.nonce == self.nonce => Ok(()),
            found => Err(StoreError::LeaseLost {
                path: self.directory.clone(),
                holder: found.map_or_else(|| "another process".into(), |record| record.holder),
            }),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Closes the channel, which ends the thread.
        self.stop = None;
        if let Some(heart) = self.heart.take() {
            // It only writes to a file, and whatever became of it, the lease is over.
            let _ = heart.join();
        }
        if self.check().is_ok() {
            // What stays is found to be a lease of this machine without its lock, or runs out.
            let _ = fs::remove_file(self.directory.join(LEASE));
        }
    }
}

/// Raises the counter until told to stop.
fn beat(mut file: File, mut record: Record, stopped: &mpsc::Receiver<()>) {
    let pause = Duration::from_millis(record.seconds * 1000 / BEATS);
    for beat in 1.. {
        match stopped.recv_timeout(pause) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
        record.beat = digits(beat);
        // A server that does not answer now may answer later; if it does not, others see the counter
        // stand still, and the check before the next commit sees what they did.
        let _ = record.write(&mut file);
    }
}

/// Waits until a lease has stood still for as long as it lasts, or is gone.
///
/// # Errors
/// When it is renewed: then its holder is alive.
fn wait_for_end(directory: &Path, found: &Record) -> Result<(), StoreError> {
    let path = directory.join(LEASE);
    let lasts = Duration::from_secs(found.seconds);
    tracing::warn!(
        "{} was being written by {}, perhaps it still is; waiting up to {} s to see",
        directory.display(),
        found.holder,
        found.seconds
    );
    let started = Instant::now();
    while started.elapsed() < lasts {
        thread::sleep(Duration::from_millis(200).min(lasts));
        match Record::read(&path)? {
            Some(record) if record == *found => {}
            Some(record) => {
                let (path, holder) = (directory.to_owned(), record.holder);
                return Err(StoreError::Locked { path, holder });
            }
            None => return Ok(()),
        }
    }
    Ok(())
}

/// Replaces a lease that ended; `None` when another process was faster, or an earlier heir's claim had
/// to be cleared away first.
fn inherit(
    directory: &Path,
    ended: &Record,
    own: &Record,
    locked: bool,
) -> Result<Option<File>, StoreError> {
    let (path, claim, next) = (directory.join(LEASE), directory.join(CLAIM), directory.join(NEXT));
    let failed = |source| StoreError::io("write", &claim, source);
    // Only one of several heirs gets past this.
    match File::create_new(&claim) {
        Ok(mut file) => file.write_all(own.machine.as_bytes()).map_err(failed)?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            // One of this machine is of a process that died, since this one holds the lock.
            let claimant = fs::read_to_string(&claim).unwrap_or_default();
            let is_dead = locked && (claimant == own.machine || claimant.is_empty());
            if !is_dead {
                // It takes an instant, so a claim that stays is of a process that died in it.
                thread::sleep(Duration::from_secs(2));
            }
            if is_dead || Record::read(&path)?.as_ref() == Some(ended) {
                match fs::remove_file(&claim) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
                    _ => {}
                }
            }
            return Ok(None);
        }
        Err(source) => return Err(failed(source)),
    }
    let replace = || -> Result<Option<File>, StoreError> {
        // Somebody may have been here between the end of the lease and the claim.
        if Record::read(&path)?.as_ref() != Some(ended) {
            return Ok(None);
        }
        let failed = |source| StoreError::io("write", &next, source);
        let mut file = File::create(&next).map_err(failed)?;
        own.write(&mut file).map_err(failed)?;
        fs::rename(&next, &path).map_err(failed)?;
        Ok(Some(file))
    };
    let replaced = replace();
    match fs::remove_file(&claim) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(error)),
        _ => replaced,
    }
}

/// Whether an error says that the file system has no locks at all.
fn has_no_locks(error: &std::io::Error) -> bool {
    // ENOLCK has no kind of its own; 37 on Linux, 77 on the BSDs and macOS.
    error.kind() == ErrorKind::Unsupported || matches!(error.raw_os_error(), Some(37 | 77))
}

/// The holder's own words.
fn named(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_string(&mut text));
    if read.is_ok() && !text.is_empty() { text } else { "another process".into() }
}

/// This process in words.
fn own_name() -> String {
    format!("process {} on {}", std::process::id(), host())
}

/// This machine since it was started, which no other machine shares. Containers of one machine do:
/// they share its locks, too.
fn machine() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| host(), |boot| boot.trim().to_owned())
}

/// Name of this machine, so that a lock on a shared file system can be traced.
fn host() -> String {
    ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|file| fs::read_to_string(file).ok())
        .or_else(|| std::env::var("HOSTNAME").ok())
        .or_else(|| std::env::var("COMPUTERNAME").ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "this machine".into())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{LEASE, Lease, Record};
    use crate::store::StoreError;

    /// A lease of another machine that nobody renews.
    fn abandoned(directory: &Path) {
        let record = Record { machine: "another".into(), ..Record::new(1) };
        fs::write(directory.join(LEASE), serde_json::to_vec(&record).unwrap()).unwrap();
    }

    #[test]
    fn one_of_many_heirs_inherits_and_the_others_see_it_alive() {
        for _ in 0..5 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path();
            abandoned(path);
            let acquire = || Lease::acquire(path, false, 1);
            let outcomes: Vec<_> = std::thread::scope(|scope| {
                let heirs: Vec<_> = (0..8).map(|_| scope.spawn(acquire)).collect();
                heirs.into_iter().map(|heir| heir.join().unwrap()).collect()
            });
            let (held, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
            assert_eq!(held.len(), 1);
            for error in refused {
                assert!(matches!(error, Err(StoreError::Locked { .. })), "{error:?}");
            }
            held.into_iter().for_each(|lease| lease.unwrap().check().unwrap());
            // It is gone with its holder, and nothing else is left.
            assert_eq!(fs::read_dir(path).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_holder_that_lost_its_lease_cannot_go_on_nor_revive_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let paused = Lease::acquire(path, false, 1).unwrap();
        paused.check().unwrap();
        // Another machine took over, as it does by renaming.
        let next = Record { machine: "another".into(), ..Record::new(60) };
        let heir = path.join("heir");
        fs::write(&heir, serde_json::to_vec(&next).unwrap()).unwrap();
        fs::rename(&heir, path.join(LEASE)).unwrap();
        // Several beats of the first holder go by.
        std::thread::sleep(std::time::Duration::from_millis(700));
        let error = paused.check().unwrap_err().to_string();
        assert!(error.contains(" was taken over by process "), "{error}");
        assert_eq!(Record::read(&path.join(LEASE)).unwrap(), Some(next.clone()));
        drop(paused);
        assert_eq!(Record::read(&path.join(LEASE)).unwrap(), Some(next));
    }

    #[test]
    fn a_lease_of_this_machine_without_its_lock_is_inherited_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let record = Record::new(60);
        fs::write(folder.path().join(LEASE), serde_json::to_vec(&record).unwrap()).unwrap();
        // Also when a process was killed in the instant of inheriting it.
        for claim in ["", record.machine.as_str()] {
            fs::write(folder.path().join(super::CLAIM), claim).unwrap();
            fs::write(folder.path().join(LEASE), serde_json::to_vec(&record).unwrap()).unwrap();
            Lease::acquire(folder.path(), true, 60).unwrap().check().unwrap();
        }
    }

    #[test]
    fn a_claim_of_a_process_that_died_does_not_block() {
        let folder = tempfile::tempdir().unwrap();
        abandoned(folder.path());
        fs::write(folder.path().join(super::CLAIM), "").unwrap();
        Lease::acquire(folder.path(), false, 1).unwrap().check().unwrap();
    }
}
