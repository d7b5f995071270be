//! Published data that studies read: where it comes from, under which licence, and whether a copy is
//! here.
//!
//! Nothing of it is part of the repository. A copy is looked for in the folder that the environment
//! variable `CETERIS_DATA` names, then in `data`, then in `../shared/data`, then in `third-party`, where
//! the setup scripts put what they make of published packages; every file is compared with its SHA-256
//! when it is read, so that a number never depends on which copy was found. What a file
//! holds is therefore part of the program, as the identity of a run assumes.

use std::io::{Cursor, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs, io};

use polars::prelude::{DataFrame, ParquetReader, PolarsResult, SerReader};
use polars_parquet::parquet::schema::types::PrimitiveType;
use polars_parquet::read::schema::SchemaDescriptor;
use polars_parquet::read::{FileMetadata, ParquetType, PrimitiveConvertedType, read_metadata};
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
        "no copy of {path} ({name}, from {source_}) is in the folder that {VARIABLE} names, in data, in \
         ../shared/data or in third-party; `ceteris data` says where to get it"
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
    named.into_iter().chain(["data", "../shared/data", "third-party"].map(PathBuf::from)).collect()
}

impl DataSet {
    /// Reads a file after comparing it with its hash.
    ///
    /// # Errors
    /// When no copy is here, or it is not the published file.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, DataError> {
        self.read_from(&folders(), path)
    }

    /// Where a file is, for those that are too large to be read as a whole. The caller compares it with
    /// its hash.
    ///
    /// # Errors
    /// When no copy is here.
    pub fn locate(&self, path: &str) -> Result<PathBuf, DataError> {
        Ok(self.locate_in(&folders(), path)?.1)
    }

    fn locate_in(
        &self,
        folders: &[PathBuf],
        path: &str,
    ) -> Result<(&DataFile, PathBuf), DataError> {
        let missing = |path| DataError::Missing { name: self.name, path, source_: self.source };
        let file = self.files.iter().find(|file| file.path == path);
        let file = file.ok_or_else(|| missing("an undeclared file"))?;
        Ok((file, find(folders, file.path).ok_or_else(|| missing(file.path))?))
    }

    fn read_from(&self, folders: &[PathBuf], path: &str) -> Result<Vec<u8>, DataError> {
        let (file, full) = self.locate_in(folders, path)?;
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

/// Reads the bytes of a Parquet file into a frame, integers of 8 and 16 bits as ones of 32, which this
/// build of polars has columns for. Parquet itself stores them with 32 bits and says beside it how
/// narrow they are; that remark is left out.
///
/// # Errors
/// When the bytes are no Parquet file, or hold a type that polars does not read.
pub fn parquet(bytes: &[u8]) -> PolarsResult<DataFrame> {
    let mut cursor = Cursor::new(bytes);
    let metadata = parquet_metadata(&mut cursor)?;
    let mut reader = ParquetReader::new(cursor);
    reader.set_metadata(metadata);
    reader.finish()
}

/// What a Parquet file says of itself, with narrow integers widened as [`parquet`] does, to be given
/// to a reader of parts of it.
///
/// # Errors
/// When it is no Parquet file.
pub fn parquet_metadata(reader: &mut (impl Read + Seek)) -> PolarsResult<Arc<FileMetadata>> {
    let mut metadata = read_metadata(reader)?;
    let widened = |field: &ParquetType| match field {
        ParquetType::PrimitiveType(column) if is_narrow(column.converted_type) => {
            ParquetType::PrimitiveType(PrimitiveType {
                logical_type: None,
                converted_type: None,
                ..column.clone()
            })
        }
        other => other.clone(),
    };
    let schema = metadata.schema();
    let fields = schema.fields().iter().map(widened).collect();
    metadata.schema_descr = SchemaDescriptor::new(schema.name().into(), fields);
    // The schema of Arrow, where a writer left it, would bring the widths back.
    metadata.key_value_metadata = None;
    Ok(Arc::new(metadata))
}

fn is_narrow(converted: Option<PrimitiveConvertedType>) -> bool {
    use PrimitiveConvertedType::{Int8, Int16, Uint8, Uint16};
    matches!(converted, Some(Int8 | Int16 | Uint8 | Uint16))
}

fn find(folders: &[PathBuf], path: &str) -> Option<PathBuf> {
    folders.iter().map(|folder| folder.join(Path::new(path))).find(|full| full.is_file())
}

/// The SHA-256 of bytes in lower-case hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
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
