//! Hashes of what tables hold, whatever their files look like.

use polars::prelude::*;
use sha2::{Digest, Sha256};

use super::StoreError;

/// Lower-case hexadecimal digits of the SHA-256 of some bytes.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

/// SHA-256 of a table's content.
///
/// It covers the columns, by name and type, and every value bit for bit: nulls, NaN and signed
/// zeros all count. It does not depend on the order of rows or columns, nor on parts, chunks or
/// compression.
///
/// # Errors
/// When the key does not identify the rows, or a column has a type that tables do not use.
pub fn content_hash(frame: &DataFrame, key: &[&str]) -> Result<String, StoreError> {
    let failed = |source| StoreError::Frame { action: "hash", table: key.join(", "), source };
    let frame = super::schema::sorted(frame, &key.join(", "), key)?;
    check_unique(&frame, key)?;
    let mut columns: Vec<&Column> = frame.columns().iter().collect();
    columns.sort_by_key(|column| column.name().as_str());

    let mut hash = Sha256::new();
    hash.update(b"ceteris table 1\n");
    hash.update((frame.height() as u64).to_le_bytes());
    for column in columns {
        for text in [column.name().as_str(), &column.dtype().to_string()] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        // The hash takes large blocks much faster than single values.
        let mut block = Vec::with_capacity(BLOCK + 64);
        each_value(column, &mut |bytes| {
            block.extend_from_slice(bytes);
            if block.len() >= BLOCK {
                hash.update(&block);
                block.clear();
            }
        })
        .map_err(failed)?;
        hash.update(&block);
    }
    Ok(hexadecimal(&hash.finalize()))
}

const BLOCK: usize = 1 << 16;

/// Fails when two neighbours of a sorted frame have the same key.
fn check_unique(frame: &DataFrame, key: &[&str]) -> Result<(), StoreError> {
    let failed = |source| StoreError::Frame { action: "hash", table: key.join(", "), source };
    let mut repeats = vec![true; frame.height()];
    let mut values = Vec::new();
    for &name in key {
        let column = frame.column(name).map_err(failed)?;
        let mut previous: Vec<u8> = Vec::new();
        let mut row = 0;
        each_value(column, &mut |bytes| {
            repeats[row] &= row > 0 && previous == bytes;
            previous.clear();
            previous.extend_from_slice(bytes);
            row += 1;
        })
        .map_err(failed)?;
    }
    let Some(row) = repeats.iter().position(|repeated| *repeated) else {
        return Ok(());
    };
    for &name in key {
        values.push(frame.column(name).and_then(|column| column.get(row)).map_err(failed)?);
    }
    let row = values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Err(StoreError::DuplicateKey { key: key.join(", "), row })
}

/// Visits the values of a column in order, each as bytes that no other value or sequence of values
/// of the type has: a tag for null, then the value, texts and lists after their length.
pub(super) fn each_value(column: &Column, visit: &mut dyn FnMut(&[u8])) -> PolarsResult<()> {
    const NULL: [u8; 1] = [0];
    let series = column.as_materialized_series();
    macro_rules! numbers {
        ($chunked:expr, $bits:expr) => {{
            for value in $chunked.iter() {
                match value {
                    Some(value) => {
                        let mut bytes = [1; 9];
                        bytes[1..].copy_from_slice(&u64::to_le_bytes($bits(value)));
                        visit(&bytes);
                    }
                    None => visit(&NULL),
                }
            }
        }};
    }
    match series.dtype() {
        DataType::Boolean => numbers!(series.bool()?, u64::from),
        DataType::UInt32 => numbers!(series.u32()?, u64::from),
        DataType::UInt64 => numbers!(series.u64()?, |value| value),
        DataType::Int64 => numbers!(series.i64()?, i64::cast_unsigned),
        DataType::Float64 => numbers!(series.f64()?, f64::to_bits),
        DataType::String => {
            let mut bytes = Vec::new();
            for value in series.str()?.iter() {
                match value {
                    Some(value) => {
                        bytes.clear();
                        bytes.push(1);
                        bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
                        bytes.extend_from_slice(value.as_bytes());
                        visit(&bytes);
                    }
                    None => visit(&NULL),
                }
            }
        }
        DataType::List(_) => {
            let mut bytes = Vec::new();
            for value in series.list()?.series_iter() {
                match value {
                    Some(items) => {
                        bytes.clear();
                        bytes.push(1);
                        bytes.extend_from_slice(&(items.len() as u64).to_le_bytes());
                        each_value(&items.into_column(), &mut |item| {
                            bytes.extend_from_slice(item)
                        })?;
                        visit(&bytes);
                    }
                    None => visit(&NULL),
                }
            }
        }
        other => polars_bail!(InvalidOperation: "tables do not use the type {other}"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use polars::prelude::*;

    use super::content_hash;
    use crate::store::StoreError;

    fn hash(frame: &DataFrame) -> String {
        content_hash(frame, &["key"]).unwrap()
    }

    #[test]
    fn order_of_rows_and_columns_and_chunks_do_not_matter() {
        let frame = df!("key" => ["a", "b", "c"], "value" => [1.0, 2.0, 3.0]).unwrap();
        // SHA-256, computed with Python's hashlib over the encoding that the module describes.
        let expected = "cd78311f23d2720a1d8f898ea5a3425cf26fe0f9e7bea57380f5681e80545e10";
        assert_eq!(hash(&frame), expected);
        let shuffled = df!("value" => [3.0, 1.0, 2.0], "key" => ["c", "a", "b"]).unwrap();
        assert_eq!(hash(&shuffled), expected);
        let mut chunked = frame.slice(2, 1);
        chunked.vstack_mut(&frame.slice(0, 2)).unwrap();
        assert_eq!(hash(&chunked), expected);
    }

    #[test]
    fn every_bit_matters() {
        let of = |value: Option<f64>| hash(&df!("key" => [1_i64], "value" => [value]).unwrap());
        let payload = f64::from_bits(0x7ff8_0000_0000_0001);
        let values = [
            None,
            Some(0.0),
            Some(-0.0),
            Some(f64::NAN),
            Some(payload),
            Some(1.0),
            Some(1.0 + 2e-16),
        ];
        let hashes: std::collections::BTreeSet<String> = values.map(of).into();
        assert_eq!(hashes.len(), 7);
    }

    #[test]
    fn names_types_and_borders_between_values_matter() {
        let text = |left: &str, right: &str| {
            hash(&df!("key" => [1_i64, 2], "value" => [left, right]).unwrap())
        };
        assert_ne!(text("ab", "c"), text("a", "bc"));
        let named = hash(&df!("key" => [1_i64], "other" => [1_i64]).unwrap());
        let signed = hash(&df!("key" => [1_i64], "value" => [1_i64]).unwrap());
        let unsigned = hash(&df!("key" => [1_i64], "value" => [1_u64]).unwrap());
        assert_ne!(named, signed);
        assert_ne!(signed, unsigned);
    }

    #[test]
    fn a_repeated_key_is_an_error() {
        let frame = df!("key" => ["a", "b", "a"], "value" => [1.0, 2.0, 3.0]).unwrap();
        let error = content_hash(&frame, &["key"]).unwrap_err();
        assert!(matches!(error, StoreError::DuplicateKey { .. }));
        assert_eq!(error.to_string(), "two rows have the same key: \"a\"");
    }
}
