//! Tables as files.

use std::error::Error;
use std::fs::File;
use std::path::Path;

use polars::prelude::*;

/// How a table is written.
#[derive(Clone, Copy)]
pub enum Format {
    /// Apache Parquet.
    Parquet,
    /// Comma-separated values.
    Csv,
}

impl Format {
    /// The format that a file's ending names.
    ///
    /// # Errors
    /// When it names none.
    pub fn of(path: &Path) -> Result<Self, String> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("parquet") => Ok(Self::Parquet),
            Some("csv") => Ok(Self::Csv),
            _ => Err(format!("{}: name a file that ends in .parquet or .csv", path.display())),
        }
    }

    /// Writes a table.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(
        self,
        table: &mut DataFrame,
        path: &Path,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let failed = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
        let mut file = File::create(path).map_err(failed)?;
        match self {
            Self::Parquet => ParquetWriter::new(&mut file).finish(table).map(|_| ()),
            Self::Csv => CsvWriter::new(&mut file).finish(table),
        }
        .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        file.sync_all().map_err(failed)?;
        Ok(())
    }
}
