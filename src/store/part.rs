//! One Parquet file of a table.

use std::any::Any;
use std::cell::Cell;
use std::fs;
use std::io::Cursor;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use polars::io::mmap::MmapBytesReader;
use polars::prelude::*;
use polars_parquet::read::FileMetadata;
use polars_parquet::write::schema_to_metadata_key;

use super::hash::{rows_hash, sha256};
use super::manifest::PartRecord;
use super::{RUNS, StoreError};

/// Rows of a row group: enough for compression to pay, few enough for a reader that filters.
const ROW_GROUP: usize = 1 << 17;

/// Under this name a part keeps the hash of its content: the manifest lists a part only after it was
/// renamed, and a process may be killed in between.
const HASH: &str = "ceteris.content_sha256";

/// The bytes of a part.
///
/// polars would say in the file that text came from views, a type that pyarrow cannot filter by
/// and that R's arrow cannot read at all; so the schema that it embeds is replaced by the one with
/// plain strings. The data are the same.
pub(super) fn encode(frame: &mut DataFrame, table: &str) -> Result<Vec<u8>, StoreError> {
    let plain = frame.schema().to_arrow(CompatLevel::oldest());
    let schema = schema_to_metadata_key(&plain);
    let hash = rows_hash(frame).map_err(StoreError::frame("write", table))?;
    let mut metadata = vec![(HASH.to_owned(), hash)];
    metadata.extend(schema.value.map(|value| (schema.key, value)));
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes)
        .with_compression(ParquetCompression::Zstd(None))
        .with_statistics(StatisticsOptions::full())
        .with_row_group_size(Some(ROW_GROUP))
        .with_key_value_metadata(Some(KeyValueMetadata::from_static(metadata)))
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

/// The bytes of a part, compared with its record, or where it has none yet with its own hash.
///
/// Parquet pages carry no checksum that every writer fills in, so a flipped bit would otherwise
/// pass as a different number.
pub(super) fn verified(path: &Path, record: Option<&PartRecord>) -> Result<Vec<u8>, StoreError> {
    let bytes = fs::read(path).map_err(|source| StoreError::io("read", path, source))?;
    match record {
        Some(record) if sha256(&bytes) != record.sha256 => {
            let detail = "its content is not what the manifest says".into();
            return Err(StoreError::Damaged { path: path.into(), detail });
        }
        Some(_) => {}
        None => check_own_hash(path, &bytes)?,
    }
    Ok(bytes)
}

/// Compares a part that no manifest lists with the hash that is written in it.
fn check_own_hash(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let size = bytes.len() as u64;
    guarded(path, || {
        let mut reader = ParquetReader::new(Cursor::new(bytes));
        let pairs = reader.get_metadata()?.key_value_metadata().as_deref().unwrap_or_default();
        let own = pairs.iter().find(|pair| pair.key == HASH).and_then(|pair| pair.value.clone());
        let found = rows_hash(&whole(reader, size)?)?;
        polars_ensure!(own == Some(found), ComputeError: "its content is not what was written");
        Ok(())
    })
}

pub(super) fn decode(
    path: &Path,
    bytes: Vec<u8>,
    columns: Option<&[&str]>,
) -> Result<DataFrame, StoreError> {
    let columns = columns.map(|names| names.iter().map(|&name| name.to_owned()).collect());
    let size = bytes.len() as u64;
    guarded(path, || whole(ParquetReader::new(Cursor::new(bytes)).with_columns(columns), size))
}

/// Reads what a file of this size holds, unless it contradicts itself.
fn whole<R: MmapBytesReader>(mut reader: ParquetReader<R>, size: u64) -> PolarsResult<DataFrame> {
    let metadata = reader.get_metadata()?;
    check_plausible(metadata, size)?;
    let rows = metadata.num_rows;
    let frame = reader.finish()?;
    // polars makes frames of unequal columns out of some malformed files.
    for column in frame.columns() {
        polars_ensure!(
            column.len() == rows,
            ComputeError: "{} has {} rows of {rows}", column.name(), column.len()
        );
    }
    Ok(frame)
}

/// A part's columns without their rows.
pub(super) fn header(path: &Path) -> Result<DataFrame, StoreError> {
    let file = fs::File::open(path).map_err(|source| StoreError::io("read", path, source))?;
    guarded(path, || ParquetReader::new(file).with_slice(Some((0, 0))).finish())
}

/// Refuses a footer that claims more than the file can hold, before memory is taken for it.
///
/// A part has about a hundred rows a kilobyte. A row of any table differs from the next in its key, so
/// 64 of them in a byte are beyond what compression can do.
fn check_plausible(metadata: &FileMetadata, size: u64) -> PolarsResult<()> {
    let most = 64 * size;
    let fits = |count: usize| count as u64 <= most;
    let mut rows = 0_usize;
    for group in &metadata.row_groups {
        rows = rows.saturating_add(group.num_rows());
        for column in group.parquet_columns() {
            let range = (column.dictionary_page_offset(), column.data_page_offset());
            let start = range.0.unwrap_or(range.1);
            let end = start.saturating_add(column.compressed_size());
            let inside = start >= 0
                && column.compressed_size() >= 0
                && u64::try_from(end).is_ok_and(|end| end <= size);
            polars_ensure!(inside, ComputeError: "its footer points outside the file");
            let values = usize::try_from(column.num_values());
            polars_ensure!(
                values.is_ok_and(fits),
                ComputeError: "its footer claims {} values in {size} bytes", column.num_values()
            );
        }
    }
    polars_ensure!(
        fits(rows) && rows == metadata.num_rows,
        ComputeError: "its footer claims {} rows, and row groups of {rows}", metadata.num_rows
    );
    Ok(())
}

thread_local! {
    /// Whether this thread is decoding a part.
    static DECODES: Cell<bool> = const { Cell::new(false) };
}

/// How many threads are decoding a part.
static DECODING: AtomicUsize = AtomicUsize::new(0);

/// Decodes a part; what polars cannot decode is a damaged part, also where polars panics.
///
/// The hash of a part that the manifest lists is compared before it is decoded. One that was renamed
/// just before its process was killed is not listed yet: it is the only one that polars may find
/// malformed.
fn guarded<T>(path: &Path, decode: impl FnOnce() -> PolarsResult<T>) -> Result<T, StoreError> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // polars decodes in threads of its own, too.
            let of_polars = || {
                DECODING.load(Ordering::Relaxed) > 0
                    && std::thread::current().name().is_some_and(|name| name.starts_with("polars"))
            };
            if !DECODES.get() && !of_polars() {
                usual(info);
            }
        }));
    });
    DECODING.fetch_add(1, Ordering::Relaxed);
    let before = DECODES.replace(true);
    let decoded = panic::catch_unwind(AssertUnwindSafe(decode));
    DECODES.set(before);
    DECODING.fetch_sub(1, Ordering::Relaxed);
    let damaged = |detail| StoreError::Damaged { path: path.into(), detail };
    match decoded {
        Ok(frame) => frame.map_err(|error| damaged(error.to_string())),
        Err(panic) => Err(damaged(format!("it is not Parquet: {}", said(panic.as_ref())))),
    }
}

/// The first line that a panic said.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.and_then(|text| text.lines().next()).unwrap_or("polars cannot decode it")
}

/// The rows of a table that belong to some runs.
pub(super) fn of_runs(
    name: &str,
    frame: &DataFrame,
    belongs: impl Fn(&str) -> bool,
) -> Result<DataFrame, StoreError> {
    let failed = || StoreError::frame("read", name);
    let ids = frame.column("run_id").and_then(Column::str).map_err(failed())?;
    let mask: BooleanChunked = ids.iter().map(|id| Some(id.is_some_and(&belongs))).collect();
    frame.filter(&mask).map_err(failed())
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
    fn the_embedded_schema_has_plain_strings_and_the_hash_is_beside_it() {
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
        // SHA-256 of the encoding that src/store/hash.rs describes, computed with Python's hashlib.
        let hash = "9beb9a6b32aec55bac83c86097ac95bcab7edaa5efa6293e6dd2722775ff371f";
        assert_eq!(
            (metadata[0].key.as_str(), metadata[0].value.as_deref()),
            (super::HASH, Some(hash))
        );
        assert_eq!(metadata[1..], [schema_to_metadata_key(&plain)]);
    }
}
