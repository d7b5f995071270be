//! The files of a results directory, as its manifest lists them.

use std::io;

use super::manifest::{FILE, Manifest, PartRecord};
use super::{Results, StoreError, part};

impl Results {
    /// The manifest as it is on the disk; `None` when it is not the one that was opened any more.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn manifest_bytes(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path().join(FILE);
        let bytes = std::fs::read(&path).map_err(|source| StoreError::io("read", &path, source))?;
        let same = serde_json::from_slice::<Manifest>(&bytes).is_ok_and(|now| now == self.manifest);
        Ok(same.then_some(bytes))
    }

    /// The bytes of a part that the manifest lists, compared with its hash; `None` when it is not
    /// there.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn part_bytes(&self, record: &PartRecord) -> Result<Option<Vec<u8>>, StoreError> {
        match part::verified(&self.path().join(&record.file), Some(record)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
