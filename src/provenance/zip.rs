//! A zip file without compression: the same files give the same bytes.
//!
//! After APPNOTE.TXT 6.3.10 of PKWARE, sections 4.3.7 (local headers), 4.3.12 (central directory) and
//! 4.3.16 (its end). Parquet is compressed already. The `zip` crate would switch on a feature of
//! `crc32fast` that is off below polars, and so compile polars a second time.

use std::io::{self, Write};

/// 1 January 1980, the first day that the format knows, at midnight.
const DATE: u16 = (1 << 5) | 1;
/// Version 1.0 of the format is all that is needed; made by version 2.0 on Unix, whose permissions
/// are understood then.
const NEEDED: u16 = 10;
const MADE_BY: u16 = (3 << 8) | 20;
/// A plain file that everybody may read.
const FILE: u32 = 0o100_644 << 16;
/// A folder that everybody may look into, on Unix and for DOS.
const FOLDER: u32 = (0o040_755 << 16) | 0x10;

/// Writes a zip file, file by file.
pub(super) struct ZipWriter<W: Write> {
    out: W,
    written: u64,
    directory: Vec<u8>,
    files: u16,
}

/// The format's first edition ends at 4 GiB and 65535 files.
#[derive(Debug)]
pub(super) enum ZipError {
    TooLarge,
    Io(io::Error),
}

impl From<io::Error> for ZipError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<std::num::TryFromIntError> for ZipError {
    fn from(_: std::num::TryFromIntError) -> Self {
        Self::TooLarge
    }
}

impl<W: Write> ZipWriter<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, written: 0, directory: Vec::new(), files: 0 }
    }

    /// Adds a file; its name is ASCII, with slashes between folders.
    pub(super) fn file(&mut self, name: &str, bytes: &[u8]) -> Result<(), ZipError> {
        self.entry(name, bytes, FILE)
    }

    /// Adds a folder; its name ends with a slash.
    pub(super) fn folder(&mut self, name: &str) -> Result<(), ZipError> {
        self.entry(name, &[], FOLDER)
    }

    fn entry(&mut self, name: &str, bytes: &[u8], attributes: u32) -> Result<(), ZipError> {
        let offset = u32::try_from(self.written)?;
        // All ones mean that the value stands elsewhere, which this edition does not know.
        if offset == u32::MAX || self.files == u16::MAX - 1 {
            return Err(ZipError::TooLarge);
        }
        let size = u32::try_from(bytes.len())?;
        let length = u16::try_from(name.len())?;
        let mut common = Vec::new();
        for value in [NEEDED, 0, 0, 0, DATE] {
            common.extend(value.to_le_bytes());
        }
        for value in [crc32fast::hash(bytes), size, size] {
            common.extend(value.to_le_bytes());
        }
        for value in [length, 0] {
            common.extend(value.to_le_bytes());
        }

        self.put(b"PK\x03\x04")?;
        self.put(&common)?;
        self.put(name.as_bytes())?;
        self.put(bytes)?;

        self.directory.extend(b"PK\x01\x02");
        self.directory.extend(MADE_BY.to_le_bytes());
        self.directory.extend(common);
        // No comment, the first disk, no internal attributes.
        self.directory.extend([0; 6]);
        self.directory.extend(attributes.to_le_bytes());
        self.directory.extend(offset.to_le_bytes());
        self.directory.extend(name.as_bytes());
        self.files += 1;
        Ok(())
    }

    /// Writes the directory and gives back what was written to.
    pub(super) fn finish(mut self) -> Result<W, ZipError> {
        let offset = u32::try_from(self.written)?;
        let size = u32::try_from(self.directory.len())?;
        if offset == u32::MAX {
            return Err(ZipError::TooLarge);
        }
        let mut end = self.directory;
        end.extend(b"PK\x05\x06");
        for value in [0, 0, self.files, self.files] {
            end.extend(value.to_le_bytes());
        }
        for value in [size, offset] {
            end.extend(value.to_le_bytes());
        }
        end.extend([0; 2]);
        self.out.write_all(&end)?;
        Ok(self.out)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}
