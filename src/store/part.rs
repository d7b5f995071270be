//! One Parquet file of a table.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use polars::prelude::*;
use polars_parquet::write::schema_to_metadata_key;

use super::hash::sha256;
use super::manifest::PartRecord;
use super::{RUNS, StoreError};

/// Rows of a row group: enough for compression to pay, few enough for a reader that filters.
const ROW_GROUP: usize = 1 << 17;

/// The bytes of a part.
///
/// polars would say in the file that text came from views, a type that pyarrow cannot filter by
/// and that R's arrow cannot read at all; so the schema that it embeds is replaced by the one with
/// plain strings. The data are the same.
pub(super) fn encode(frame: &mut DataFrame, table: &str) -> Result<Vec<u8>, StoreError> {
    let plain = frame.schema().to_arrow(CompatLevel::oldest());
    let schema = schema_to_metadata_key(&plain);
    let metadata =
        schema.value.map(|value| KeyValueMetadata::from_static(vec![(schema.key, value)]));
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes)
        .with_compression(ParquetCompression::Zstd(None))
        .with_statistics(StatisticsOptions::full())
        .with_row_group_size(Some(ROW_GROUP))
        .with_key_value_metadata(metadata)
        .finish(frame)
        .map_err(StoreError::frame("write", table))?;
    Ok(bytes)
}

/// Reads a part after comparing it with its record; only these columns, where some are named.
pub(super) fn read(
    path: &Path,
    record: Option<&PartRecord>,
    columns: Option<&[&str]>,
) -> Result<DataFrame, StoreError> {
    decode(path, verified(path, record)?, columns)
}

/// The bytes of a part, compared with its record.
///
/// Parquet pages carry no checksum that every writer fills in, so a flipped bit would otherwise
/// pass as a different number.
pub(super) fn verified(path: &Path, record: Option<&PartRecord>) -> Result<Vec<u8>, StoreError> {
    let bytes = fs::read(path).map_err(|source| StoreError::io("read", path, source))?;
    match record {
        Some(record) if sha256(&bytes) != record.sha256 => {
            let detail = "its content is not what the manifest says".into();
            Err(StoreError::Damaged { path: path.into(), detail })
        }
        _ => Ok(bytes),
    }
}

pub(super) fn decode(
    path: &Path,
    bytes: Vec<u8>,
    columns: Option<&[&str]>,
) -> Result<DataFrame, StoreError> {
    let columns = columns.map(|names| names.iter().map(|&name| name.to_owned()).collect());
    ParquetReader::new(Cursor::new(bytes))
        .with_columns(columns)
        .finish()
        .map_err(|error| StoreError::Damaged { path: path.into(), detail: error.to_string() })
}

/// A part's columns without their rows.
pub(super) fn header(path: &Path) -> Result<DataFrame, StoreError> {
    let file = fs::File::open(path).map_err(|source| StoreError::io("read", path, source))?;
    ParquetReader::new(file)
        .with_slice(Some((0, 0)))
        .finish()
        .map_err(|error| StoreError::Damaged { path: path.into(), detail: error.to_string() })
}

/// The ids of the runs in a part of `runs`.
pub(super) fn run_ids(path: &Path, frame: &DataFrame) -> Result<Vec<String>, StoreError> {
    let damaged = |detail: String| StoreError::Damaged { path: path.into(), detail };
    let column = frame
        .column("run_id")
        .and_then(Column::str)
        .map_err(|error| damaged(format!("the table `{RUNS}` needs text in run_id: {error}")))?;
    column
        .iter()
        .map(|id| id.map(str::to_owned).ok_or_else(|| damaged("a run has no run_id".into())))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use polars::prelude::*;
    use polars_parquet::write::schema_to_metadata_key;

    #[test]
    fn the_embedded_schema_has_plain_strings() {
        let mut frame =
            df!("run_id" => ["a"], "widths" => [Series::new("".into(), [64_i64])]).unwrap();
        let bytes = super::encode(&mut frame, "runs").unwrap();
        let mut reader = ParquetReader::new(Cursor::new(bytes));
        let metadata = reader.get_metadata().unwrap().key_value_metadata().clone().unwrap();
        let list = ArrowDataType::LargeList(Box::new(ArrowField::new(
            "item".into(),
            ArrowDataType::Int64,
            true,
        )));
        let plain: ArrowSchema = [("run_id", ArrowDataType::LargeUtf8), ("widths", list)]
            .into_iter()
            .map(|(name, dtype)| (name.into(), ArrowField::new(name.into(), dtype, true)))
            .collect();
        assert_eq!(metadata, [schema_to_metadata_key(&plain)]);
    }
}
