//! Published data that studies read: where it comes from, under which licence, and whether a copy is
//! here.
//!
//! Nothing of it is part of the repository. A copy is looked for in the folder that the environment
//! variable `CETERIS_DATA` names, then in `data`, then in `../shared/data`; every file is compared with
//! its SHA-256 when it is read, so that a number never depends on which copy was found. What a file
//! holds is therefore part of the program, as the identity of a run assumes.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use sha2::{Digest, Sha256};

/// Names the folder of published data.
pub const VARIABLE: &str = "CETERIS_DATA";

/// A published data set.
#[derive(Clone, Copy, Debug)]
pub struct DataSet {
    /// Its name in study files.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// Who published it: repository with commit, package with version, or paper.
    pub source: &'static str,
    /// Its licence.
    pub licence: &'static str,
    /// Its files.
    pub files: &'static [DataFile],
}

/// A file of a data set.
#[derive(Clone, Copy, Debug)]
pub struct DataFile {
    /// Its path below the folder of published data.
    pub path: &'static str,
    /// Lower-case hexadecimal SHA-256.
    pub sha256: &'static str,
}

/// Whether a copy of a file is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is, with the right content.
    Here(PathBuf),
    /// A file is, with other content.
    Different(PathBuf),
    /// It is not.
    Missing,
}

/// Why published data could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// No copy is here.
    #[error(
        "no copy of {path} ({name}, from {source_}) is in the folder that {VARIABLE} names, in data or \
         in ../shared/data; `ceteris data` says where to get it"
    )]
    Missing {
        /// The data set.
        name: &'static str,
        /// The file.
        path: &'static str,
        /// Where to get it.
        source_: &'static str,
    },
    /// The file is not the published one.
    #[error(
        "{} is not the file that was published as {name}: its SHA-256 is {found}, not {expected}; \
         get it again from {source_}", path.display()
    )]
    Different {
        /// The data set.
        name: &'static str,
        /// The file.
        path: PathBuf,
        /// Its hash.
        found: String,
        /// The published file's hash.
        expected: &'static str,
        /// Where to get it.
        source_: &'static str,
    },
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// The folders in which published data is looked for, in that order.
pub fn folders() -> Vec<PathBuf> {
    let named = env::var_os(VARIABLE).map(PathBuf::from);
    named.into_iter().chain(["data".into(), "../shared/data".into()]).collect()
}

impl DataSet {
    /// Reads a file after comparing it with its hash.
    ///
    /// # Errors
    /// When no copy is here, or it is not the published file.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, DataError> {
        self.read_from(&folders(), path)
    }

    fn read_from(&self, folders: &[PathBuf], path: &str) -> Result<Vec<u8>, DataError> {
        let Some(file) = self.files.iter().find(|file| file.path == path) else {
            let (name, source_) = (self.name, self.source);
            return Err(DataError::Missing { name, path: "an undeclared file", source_ });
        };
        let Some(full) = find(folders, file.path) else {
            let (name, source_) = (self.name, self.source);
            return Err(DataError::Missing { name, path: file.path, source_ });
        };
        let bytes =
            fs::read(&full).map_err(|source| DataError::Io { path: full.clone(), source })?;
        let found = hexadecimal(&bytes);
        if found == file.sha256 {
            return Ok(bytes);
        }
        let (name, source_, expected) = (self.name, self.source, file.sha256);
        Err(DataError::Different { name, path: full, found, expected, source_ })
    }

    /// Whether each file is here.
    pub fn presence(&self) -> Vec<(&'static DataFile, Presence)> {
        let folders = folders();
        let presence = |file: &'static DataFile| match find(&folders, file.path) {
            None => Presence::Missing,
            Some(path) => match fs::read(&path) {
                Ok(bytes) if hexadecimal(&bytes) == file.sha256 => Presence::Here(path),
                _ => Presence::Different(path),
            },
        };
        self.files.iter().map(|file| (file, presence(file))).collect()
    }
}

fn find(folders: &[PathBuf], path: &str) -> Option<PathBuf> {
    folders.iter().map(|folder| folder.join(Path::new(path))).find(|full| full.is_file())
}

fn hexadecimal(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{DataError, DataFile, DataSet};

    const SET: DataSet = DataSet {
        name: "greeting",
        about: "A greeting.",
        source: "a friend",
        licence: "none",
        // printf 'hello' | sha256sum
        files: &[DataFile {
            path: "greeting/hello.txt",
            sha256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        }],
    };

    #[test]
    fn only_the_published_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().join("none"), folder.path().to_owned()];
        let read = || SET.read_from(&folders, "greeting/hello.txt");
        assert!(matches!(read(), Err(DataError::Missing { .. })));
        std::fs::create_dir(folder.path().join("greeting")).unwrap();
        std::fs::write(folder.path().join("greeting/hello.txt"), "hello").unwrap();
        assert_eq!(read().unwrap(), b"hello");
        std::fs::write(folder.path().join("greeting/hello.txt"), "hullo").unwrap();
        let error = read().unwrap_err().to_string();
        assert!(error.contains("is not the file that was published as greeting"), "{error}");
        assert!(error.ends_with("get it again from a friend"), "{error}");
    }
}
