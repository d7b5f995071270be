//! Answers that cost time or money, kept one by one as they come.
//!
//! ```text
//! journal/00001.journal    what the first process kept, 00002.journal the second, …
//! ```
//!
//! A run whose work is made of requests to others must not ask twice what it was told once, wherever
//! it was interrupted. Each answer is therefore appended under the SHA-256 of everything that it
//! depends on before anything is made of it: a process that is killed loses what was under way, and
//! nothing else. Every process appends to a file of its own, so that two never meet in one; a record
//! that was cut off by a kill, or that is damaged, is skipped and asked for again.
//!
//! A record is the key (32 bytes), the length of the value and a CRC-32 of key, length and value
//! (four bytes each, little-endian), then the value.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::StoreError;
use crate::studies::{Claim, Journal, JournalKey};

const FOLDER: &str = "journal";
const EXTENSION: &str = "journal";
const HEAD: usize = 32 + 4 + 4;
/// A power failure loses what was kept since.
const FLUSH_AFTER: Duration = Duration::from_secs(2);

/// Where a value lies.
#[derive(Clone, Copy, Debug)]
struct Place {
    file: usize,
    offset: u64,
    length: u32,
}

/// The file of this process.
#[derive(Debug)]
struct Own {
    index: usize,
    end: u64,
    flushed: Instant,
}

#[derive(Debug, Default)]
struct State {
    files: Vec<File>,
    paths: Vec<PathBuf>,
    // Looked up, never iterated.
    places: HashMap<JournalKey, Place>,
    /// Keys that somebody in this process is asking for.
    claimed: HashSet<JournalKey>,
    own: Option<Own>,
}

/// The journal of a results directory.
#[derive(Debug)]
pub struct DirectoryJournal {
    folder: PathBuf,
    record: bool,
    state: Mutex<State>,
    released: Condvar,
    damaged: Vec<PathBuf>,
}

/// The checksum of a record.
fn checksum(key: &JournalKey, value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    // Values are checked to be shorter when they are written.
    hasher.update(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
    hasher.update(value);
    hasher.finalize()
}

/// The records of a file: its places, and whether something in it is damaged beyond a torn end.
fn scan(file: &mut File, index: usize) -> io::Result<(Vec<(JournalKey, Place)>, bool)> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    let (mut at, mut found, mut damaged) = (0, Vec::new(), false);
    while let Some(head) = bytes.get(at..at + HEAD) {
        let word = |from: usize| {
            head[from..from + 4].iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte))
        };
        let (length, sum) = (word(32), word(36));
        let start = at + HEAD;
        // A record that was cut off, or a damaged length: nothing can be found after it.
        let Some(value) = bytes.get(start..start + length as usize) else { break };
        let mut key = [0; 32];
        key.copy_from_slice(&head[..32]);
        if checksum(&key, value) == sum {
            found.push((key, Place { file: index, offset: start as u64, length }));
        } else {
            damaged = true;
        }
        at = start + length as usize;
    }
    Ok((found, damaged))
}

impl DirectoryJournal {
    /// Opens the journal of a results directory to go on with it.
    ///
    /// # Errors
    /// When what is there cannot be read.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        Self::at(directory, false)
    }

    /// Opens the journal of a results directory whose runs are done again: what it keeps is what
    /// others answered, and nothing is added.
    ///
    /// # Errors
    /// When what is there cannot be read.
    pub fn record_of(directory: &Path) -> Result<Self, StoreError> {
        Self::at(directory, true)
    }

    fn at(directory: &Path, record: bool) -> Result<Self, StoreError> {
        let (folder, paths) = (directory.join(FOLDER), journal_files(directory)?);
        let mut state = State::default();
        let mut damaged = Vec::new();
        for (index, path) in paths.iter().enumerate() {
            let mut file =
                File::open(path).map_err(|source| StoreError::io("open", path, source))?;
            let (found, broken) =
                scan(&mut file, index).map_err(|source| StoreError::io("read", path, source))?;
            state.places.extend(found);
            state.files.push(file);
            if broken {
                damaged.push(path.clone());
            }
        }
        state.paths = paths;
        let (state, released) = (Mutex::new(state), Condvar::new());
        Ok(Self { folder, record, state, released, damaged })
    }

    /// Files with damaged records; what those held is asked for again.
    pub fn damaged(&self) -> &[PathBuf] {
        &self.damaged
    }

    /// How many answers are kept.
    pub fn len(&self) -> usize {
        self.state().places.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file of this process, which is made when it is first needed.
    fn own<'a>(&self, state: &'a mut State) -> io::Result<&'a mut Own> {
        if state.own.is_none() {
            fs::create_dir_all(&self.folder)?;
            let last = state
                .paths
                .iter()
                .filter_map(|path| path.file_stem()?.to_str()?.parse::<u32>().ok());
            let mut number = last.max().map_or(1, |last| last.saturating_add(1));
            let (path, file) = loop {
                let path = self.folder.join(format!("{number:05}.{EXTENSION}"));
                let options =
                    OpenOptions::new().read(true).append(true).create_new(true).open(&path);
                match options {
                    Ok(file) => break (path, file),
                    // A shard of this directory on another machine was faster.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                    Err(error) => return Err(error),
                }
            };
            state.paths.push(path);
            state.files.push(file);
            let index = state.files.len() - 1;
            state.own = Some(Own { index, end: 0, flushed: Instant::now() });
        }
        state.own.as_mut().ok_or_else(|| io::Error::other("the journal has no file"))
    }

    fn append(&self, key: &JournalKey, value: &[u8]) -> io::Result<()> {
        let too_long = || io::Error::other("an answer of more than 4 GiB");
        let length = u32::try_from(value.len()).map_err(|_| too_long())?;
        let mut bytes = Vec::with_capacity(HEAD + value.len());
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&checksum(key, value).to_le_bytes());
        bytes.extend_from_slice(value);
        let mut state = self.state();
        let own = self.own(&mut state)?;
        let (index, end) = (own.index, own.end);
        let file = &mut state.files[index];
        if let Err(error) = file.write_all(&bytes) {
            // What follows must not come after half a record.
            file.set_len(end)?;
            return Err(error);
        }
        let place = Place { file: index, offset: end + HEAD as u64, length };
        let late = state.own.as_ref().is_some_and(|own| own.flushed.elapsed() >= FLUSH_AFTER);
        if late {
            state.files[index].sync_data()?;
        }
        if let Some(own) = &mut state.own {
            own.end = end + bytes.len() as u64;
            if late {
                own.flushed = Instant::now();
            }
        }
        state.places.insert(*key, place);
        Ok(())
    }

    fn read(state: &mut State, place: Place) -> io::Result<Vec<u8>> {
        let mut value = vec![0; place.length as usize];
        let file = &mut state.files[place.file];
        file.seek(SeekFrom::Start(place.offset))?;
        file.read_exact(&mut value)?;
        Ok(value)
    }
}

impl Journal for DirectoryJournal {
    fn is_record(&self) -> bool {
        self.record
    }

    fn claim(&self, key: &JournalKey) -> Result<Claim, StoreError> {
        let mut state = self.state();
        if let Some(place) = state.places.get(key).copied() {
            let value = Self::read(&mut state, place)
                .map_err(|source| StoreError::io("read", &state.paths[place.file], source))?;
            return Ok(Claim::Known(value));
        }
        Ok(if state.claimed.insert(*key) { Claim::Yours } else { Claim::Elsewhere })
    }

    fn keep(&self, key: &JournalKey, value: &[u8]) -> Result<(), StoreError> {
        if !self.record {
            self.append(key, value)
                .map_err(|source| StoreError::io("write", &self.folder, source))?;
        }
        self.release(std::slice::from_ref(key));
        Ok(())
    }

    fn release(&self, keys: &[JournalKey]) {
        let mut state = self.state();
        for key in keys {
            state.claimed.remove(key);
        }
        drop(state);
        self.released.notify_all();
    }

    fn wait(&self) {
        let state = self.state();
        // The time limit is there so that the caller looks whether it should stop.
        let _ = self.released.wait_timeout(state, Duration::from_millis(200));
    }
}

impl Drop for DirectoryJournal {
    fn drop(&mut self) {
        let state = self.state();
        if let Some(own) = &state.own {
            // Nothing depends on it: what is lost is asked for again.
            let _ = state.files[own.index].sync_data();
        }
    }
}

/// The files of a directory's journal, in their order.
///
/// # Errors
/// When the folder cannot be read.
pub fn journal_files(directory: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let folder = directory.join(FOLDER);
    let mut paths = match fs::read_dir(&folder) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<PathBuf>>>()
            .map_err(|source| StoreError::io("read", &folder, source))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(StoreError::io("read", &folder, source)),
    };
    paths.retain(|path| path.extension().is_some_and(|extension| extension == EXTENSION));
    paths.sort();
    Ok(paths)
}

/// The key of a request: the SHA-256 of what its answer depends on, each part with its length, so that
/// no two lists of parts are the same bytes.
pub fn journal_key(parts: &[&[u8]]) -> JournalKey {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Claim, DirectoryJournal, Journal, journal_key};

    fn known(journal: &DirectoryJournal, key: u8) -> Option<Vec<u8>> {
        match journal.claim(&[key; 32]).unwrap() {
            Claim::Known(value) => Some(value),
            Claim::Yours => {
                journal.release(&[[key; 32]]);
                None
            }
            Claim::Elsewhere => panic!("nobody else is here"),
        }
    }

    #[test]
    fn what_was_kept_is_known_to_the_next_process_and_a_claim_is_exclusive() {
        let folder = tempfile::tempdir().unwrap();
        let first = DirectoryJournal::open(folder.path()).unwrap();
        // Nothing is written before there is something to keep.
        assert!(!folder.path().join("journal").exists());
        assert_eq!(first.claim(&[1; 32]).unwrap(), Claim::Yours);
        assert_eq!(first.claim(&[1; 32]).unwrap(), Claim::Elsewhere);
        first.keep(&[1; 32], b"one").unwrap();
        assert_eq!(known(&first, 1).unwrap(), b"one");
        first.keep(&[2; 32], b"").unwrap();
        let second = DirectoryJournal::open(folder.path()).unwrap();
        second.keep(&[3; 32], b"three").unwrap();
        assert_eq!(known(&second, 2).unwrap(), b"");
        drop((first, second));
        let third = DirectoryJournal::record_of(folder.path()).unwrap();
        assert_eq!(third.len(), 3);
        assert_eq!(known(&third, 3).unwrap(), b"three");
        third.keep(&[4; 32], b"four").unwrap();
        assert_eq!(known(&third, 4), None);
        assert_eq!(fs::read_dir(folder.path().join("journal")).unwrap().count(), 2);
    }

    #[test]
    fn every_cut_loses_the_last_record_and_every_flipped_bit_one_or_what_follows_it() {
        let folder = tempfile::tempdir().unwrap();
        let journal = DirectoryJournal::open(folder.path()).unwrap();
        for key in 0..3 {
            journal.keep(&[key; 32], &[key; 5]).unwrap();
        }
        drop(journal);
        let path = folder.path().join("journal/00001.journal");
        let whole = fs::read(&path).unwrap();
        assert_eq!(whole.len(), 3 * 45);
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let journal = DirectoryJournal::open(folder.path()).unwrap();
            assert_eq!(journal.len(), length / 45, "{length}");
            assert!(journal.damaged().is_empty());
        }
        for bit in 0..8 * whole.len() {
            let mut changed = whole.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &changed).unwrap();
            let journal = DirectoryJournal::open(folder.path()).unwrap();
            // Never a wrong value: what is there is what was kept.
            for key in 0..3 {
                assert!(known(&journal, key).is_none_or(|value| value == [key; 5]), "{bit}");
            }
            let before = u8::try_from(bit / 8 / 45).unwrap();
            assert!((0..before).all(|key| known(&journal, key).is_some()), "{bit}");
            assert!(journal.len() < 3, "{bit}");
        }
    }

    #[test]
    fn keys_tell_where_parts_end() {
        assert_ne!(journal_key(&[b"ab", b"c"]), journal_key(&[b"a", b"bc"]));
    }
}
