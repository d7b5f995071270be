//! One Parquet file of a table.

use std::any::Any;
use std::cell::Cell;
use std::fs;
use std::io::Cursor;
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use polars::prelude::*;
use polars_parquet::write::schema_to_metadata_key;

use super::hash::sha256;
use super::manifest::PartRecord;
use super::{RUNS, StoreError};

/// Rows of a row group: enough for compression to pay, few enough for a reader that filters.
const ROW_GROUP: usize = 1 << 17;

/// Under this name a part keeps its own hash: the manifest lists a part only after it was renamed, and
/// a process may be killed in between.
const HASH: &str = "ceteris.sha256";
/// What stands before the digits of that hash. It is of the whole file with zeros as its digits.
const MARK: &str = "sha256 of this file with zeros here: ";
const DIGITS: usize = 64;

/// The bytes of a part.
///
/// polars would say in the file that text came from views, a type that pyarrow cannot filter by
/// and that R's arrow cannot read at all; so the schema that it embeds is replaced by the one with
/// plain strings. The data are the same.
pub(super) fn encode(frame: &mut DataFrame, table: &str) -> Result<Vec<u8>, StoreError> {
    let plain = frame.schema().to_arrow(CompatLevel::oldest());
    let schema = schema_to_metadata_key(&plain);
    let mut metadata = vec![(HASH.to_owned(), format!("{MARK}{}", "0".repeat(DIGITS)))];
    metadata.extend(schema.value.map(|value| (schema.key, value)));
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes)
        .with_compression(ParquetCompression::Zstd(None))
        .with_statistics(StatisticsOptions::full())
        .with_row_group_size(Some(ROW_GROUP))
        .with_key_value_metadata(Some(KeyValueMetadata::from_static(metadata)))
        .finish(frame)
        .map_err(StoreError::frame("write", table))?;
    if let Some(digits) = own_hash(&bytes) {
        let hash = sha256(&bytes);
        bytes[digits].copy_from_slice(hash.as_bytes());
    }
    Ok(bytes)
}

/// Where the digits of a part's own hash stand; the footer is the last thing in the file.
fn own_hash(bytes: &[u8]) -> Option<Range<usize>> {
    let mark = bytes.windows(MARK.len()).rposition(|window| window == MARK.as_bytes())?;
    let digits = mark + MARK.len()..mark + MARK.len() + DIGITS;
    (digits.end <= bytes.len()).then_some(digits)
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
        None if !is_intact(&bytes) => {
            let detail = "its content is not what was written".into();
            return Err(StoreError::Damaged { path: path.into(), detail });
        }
        None => {}
    }
    Ok(bytes)
}

/// Compares a part with its own hash.
///
/// This comes before polars sees the bytes: of malformed Parquet it makes a panic, a table of unequal
/// columns, or a wish for more memory than there is, which ends the process.
fn is_intact(bytes: &[u8]) -> bool {
    own_hash(bytes).is_some_and(|digits| {
        let mut zeroed = bytes.to_vec();
        zeroed[digits.clone()].fill(b'0');
        sha256(&zeroed).as_bytes() == &bytes[digits]
    })
}

pub(super) fn decode(
    path: &Path,
    bytes: Vec<u8>,
    columns: Option<&[&str]>,
) -> Result<DataFrame, StoreError> {
    let columns = columns.map(|names| names.iter().map(|&name| name.to_owned()).collect());
    guarded(path, || ParquetReader::new(Cursor::new(bytes)).with_columns(columns).finish())
}

/// A part's columns without their rows.
pub(super) fn header(path: &Path) -> Result<DataFrame, StoreError> {
    let file = fs::File::open(path).map_err(|source| StoreError::io("read", path, source))?;
    guarded(path, || ParquetReader::new(file).with_slice(Some((0, 0))).finish())
}

thread_local! {
    /// Whether this thread is decoding a part.
    static DECODES: Cell<bool> = const { Cell::new(false) };
}

/// How many threads are decoding a part.
static DECODING: AtomicUsize = AtomicUsize::new(0);

/// Decodes a part; what polars cannot decode is a damaged part, also where polars panics.
///
/// Contents were compared with a hash before, but [`header`] reads the end of a file alone.
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

    use crate::store::StoreError;

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
        let own = &metadata[0];
        assert_eq!(own.key, "ceteris.sha256");
        assert_eq!(own.value.as_ref().unwrap().len(), super::MARK.len() + 64);
        assert_eq!(metadata[1..], [schema_to_metadata_key(&plain)]);
    }

    #[test]
    fn a_flipped_bit_is_noticed() {
        let mut frame = df!("run_id" => ["a", "b", "c"], "value" => [0.1, 0.2, 0.3]).unwrap();
        let bytes = super::encode(&mut frame, "runs").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part");
        std::fs::write(&path, &bytes).unwrap();
        assert!(super::read(&path, None, None).unwrap().equals(&frame));
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!super::is_intact(&flipped), "{bit}");
            // The end of a file is read without its hash; that must not end the process.
            if bit % 13 > 0 {
                continue;
            }
            std::fs::write(&path, &flipped).unwrap();
            if let Err(error) = super::header(&path) {
                assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
            }
        }
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let error = super::read(&path, None, None).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    }
}
