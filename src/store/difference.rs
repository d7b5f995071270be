//! Where two versions of a table differ, value by value.

use std::collections::BTreeMap;

use polars::prelude::*;

use super::StoreError;
use super::hash::each_value;
use crate::studies::Tolerance;

/// Labels from a study file, which may name an arm or a factor's level anew without any number
/// changing.
fn is_label(column: &str) -> bool {
    column == "arm" || column.starts_with("factor_")
}

/// How two versions of a table differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The table.
    pub table: String,
    /// The key of the first row that differs, as `column value` pairs.
    pub row: String,
    /// The first column that differs there; `None` where only one side has the row.
    pub column: Option<String>,
    /// The value of the first version, or that there is none.
    pub left: String,
    /// The value of the second version, or that there is none.
    pub right: String,
    /// How many rows differ, those included that only one side has.
    pub rows: usize,
    /// How many rows were compared.
    pub of: usize,
}

/// Compares two versions of a table, both sorted by key, bit for bit or within a tolerance.
///
/// Labels (`arm`, `factor_*`) are not compared, nor are columns that one side lacks. Within a
/// tolerance, rows beyond its horizon are not compared either, and text, booleans and whole numbers
/// must be equal.
///
/// # Errors
/// When a column has a type that tables do not use.
pub fn difference(
    table: &str,
    key: &[&str],
    left: &DataFrame,
    right: &DataFrame,
    tolerance: Option<&Tolerance>,
) -> Result<Option<Difference>, StoreError> {
    let failed = || StoreError::frame("compare", table);
    let (rows_left, rows_right) = (
        bytes_of(left, key, tolerance).map_err(failed())?,
        bytes_of(right, key, tolerance).map_err(failed())?,
    );
    let mut columns = Vec::new();
    for column in left.columns() {
        let name = column.name().as_str();
        let Some(other) = right.columns().iter().find(|other| other.name().as_str() == name) else {
            continue;
        };
        if is_label(name) || key.contains(&name) {
            continue;
        }
        let deviation = tolerance.filter(|_| *column.dtype() == DataType::Float64);
        columns.push(Pair {
            left: column,
            right: other,
            bytes: (values_of(column).map_err(failed())?, values_of(other).map_err(failed())?),
            deviation: deviation.map(|tolerance| tolerance.deviation),
        });
    }
    let by_key: BTreeMap<&[u8], usize> =
        rows_right.iter().map(|(bytes, row)| (bytes.as_slice(), *row)).collect();
    let mut matched = 0;
    let mut first: Option<Difference> = None;
    let mut differing = 0;
    let mut note = |difference: &dyn Fn() -> PolarsResult<Difference>| -> PolarsResult<()> {
        differing += 1;
        if first.is_none() {
            first = Some(difference()?);
        }
        Ok(())
    };
    let row_of = |frame: &DataFrame, row: usize, of: usize| -> PolarsResult<Difference> {
        Ok(Difference {
            table: table.to_owned(),
            row: key_of(frame, key, row)?,
            column: None,
            left: "a row".to_owned(),
            right: "a row".to_owned(),
            rows: 0,
            of,
        })
    };
    let all = rows_left.len().max(rows_right.len());
    for (bytes, row) in &rows_left {
        let Some(&other) = by_key.get(bytes.as_slice()) else {
            note(&|| Ok(Difference { right: "no such row".into(), ..row_of(left, *row, all)? }))
                .map_err(failed())?;
            continue;
        };
        matched += 1;
        let Some(pair) = columns.iter().find(|pair| !pair.agrees(*row, other)) else { continue };
        note(&|| {
            let (a, b) = pair.shown(*row, other)?;
            let column = Some(pair.left.name().to_string());
            Ok(Difference { column, left: a, right: b, ..row_of(left, *row, all)? })
        })
        .map_err(failed())?;
    }
    if matched < rows_right.len() {
        let known: std::collections::BTreeSet<&[u8]> =
            rows_left.iter().map(|(bytes, _)| bytes.as_slice()).collect();
        for (bytes, row) in &rows_right {
            if !known.contains(bytes.as_slice()) {
                note(&|| {
                    Ok(Difference { left: "no such row".into(), ..row_of(right, *row, all)? })
                })
                .map_err(failed())?;
            }
        }
    }
    Ok(first.map(|first| Difference { rows: differing, ..first }))
}

/// A column of both versions.
struct Pair<'a> {
    left: &'a Column,
    right: &'a Column,
    bytes: (Vec<Vec<u8>>, Vec<Vec<u8>>),
    deviation: Option<f64>,
}

impl Pair<'_> {
    fn agrees(&self, left: usize, right: usize) -> bool {
        if self.bytes.0[left] == self.bytes.1[right] {
            return true;
        }
        let Some(deviation) = self.deviation else { return false };
        match (number(self.left, left), number(self.right, right)) {
            (Some(a), Some(b)) if a.is_nan() && b.is_nan() => true,
            (Some(a), Some(b)) => (a - b).abs() <= deviation * a.abs().max(1.0),
            _ => false,
        }
    }

    /// Both values as text; bits where the texts are equal.
    fn shown(&self, left: usize, right: usize) -> PolarsResult<(String, String)> {
        let text = |column: &Column, row: usize| -> PolarsResult<String> {
            Ok(match number(column, row) {
                Some(value) => format!("{value:?}"),
                None => column.get(row)?.to_string(),
            })
        };
        let (a, b) = (text(self.left, left)?, text(self.right, right)?);
        if a != b {
            return Ok((a, b));
        }
        let bits = |column, row| match number(column, row) {
            Some(value) => format!("{value:?} (bits {:016x})", value.to_bits()),
            None => a.clone(),
        };
        Ok((bits(self.left, left), bits(self.right, right)))
    }
}

fn number(column: &Column, row: usize) -> Option<f64> {
    column.f64().ok().and_then(|values| values.get(row))
}

fn values_of(column: &Column) -> PolarsResult<Vec<Vec<u8>>> {
    let mut values = Vec::with_capacity(column.len());
    each_value(column, &mut |bytes| values.push(bytes.to_vec()))?;
    Ok(values)
}

/// Every row within the horizon, with its key as bytes that no other key has.
fn bytes_of(
    frame: &DataFrame,
    key: &[&str],
    tolerance: Option<&Tolerance>,
) -> PolarsResult<Vec<(Vec<u8>, usize)>> {
    let mut rows: Vec<(Vec<u8>, usize)> =
        (0..frame.height()).map(|row| (Vec::new(), row)).collect();
    for name in key {
        let mut row = 0;
        each_value(frame.column(name)?, &mut |bytes| {
            rows[row].0.extend_from_slice(bytes);
            row += 1;
        })?;
    }
    if let Some((column, below)) = tolerance.and_then(|tolerance| tolerance.horizon) {
        let reached = frame.column(column)?.cast(&DataType::UInt64)?;
        let reached = reached.u64()?;
        rows.retain(|(_, row)| reached.get(*row).is_some_and(|at| at < below));
    }
    Ok(rows)
}

/// The key of a row as text.
fn key_of(frame: &DataFrame, key: &[&str], row: usize) -> PolarsResult<String> {
    let mut text = Vec::new();
    for name in key {
        let value = frame.column(name)?.get(row)?;
        let value = value.get_str().map_or_else(|| value.to_string(), str::to_owned);
        text.push(format!("{name} {value}"));
    }
    Ok(text.join(", "))
}

#[cfg(test)]
mod tests {
    use polars::prelude::*;

    use super::difference;
    use crate::studies::Tolerance;

    fn frame(values: &[f64]) -> DataFrame {
        let iterations: Vec<u32> = (0..).take(values.len()).collect();
        let ids = vec!["a"; values.len()];
        df!("run_id" => ids, "arm" => vec!["x"; values.len()], "iteration" => iterations, "loss" => values)
            .unwrap()
    }

    const KEY: &[&str] = &["run_id", "iteration"];

    #[test]
    fn the_first_difference_is_named_with_both_values() {
        let (a, b) = (frame(&[1.0, 2.0, 3.0]), frame(&[1.0, 2.0 + 1e-15, 3.5]));
        let found = difference("losses", KEY, &a, &b, None).unwrap().unwrap();
        assert_eq!(found.row, "run_id a, iteration 1");
        assert_eq!(found.column.as_deref(), Some("loss"));
        assert_eq!((found.left.as_str(), found.right.as_str()), ("2.0", "2.000000000000001"));
        assert_eq!((found.rows, found.of), (2, 3));
        assert_eq!(difference("losses", KEY, &a, &a.clone(), None).unwrap(), None);
    }

    #[test]
    fn signs_of_zero_and_payloads_count_and_are_shown() {
        let payload = f64::from_bits(0x7ff8_0000_0000_0001);
        let found = difference("t", KEY, &frame(&[f64::NAN]), &frame(&[payload]), None);
        let found = found.unwrap().unwrap();
        assert_eq!(found.left, "NaN (bits 7ff8000000000000)");
        assert_eq!(found.right, "NaN (bits 7ff8000000000001)");
        assert!(difference("t", KEY, &frame(&[0.0]), &frame(&[-0.0]), None).unwrap().is_some());
    }

    #[test]
    fn rows_of_one_side_only_are_differences() {
        let (long, short) = (frame(&[1.0, 2.0, 3.0]), frame(&[1.0, 2.0]));
        let found = difference("t", KEY, &long, &short, None).unwrap().unwrap();
        assert_eq!((found.column, found.right.as_str()), (None, "no such row"));
        assert_eq!(found.row, "run_id a, iteration 2");
        let found = difference("t", KEY, &short, &long, None).unwrap().unwrap();
        assert_eq!((found.left.as_str(), found.rows, found.of), ("no such row", 1, 3));
    }

    #[test]
    fn labels_are_not_compared() {
        let mut other = frame(&[1.0]);
        other.with_column(Column::new("arm".into(), ["y"])).unwrap();
        assert_eq!(difference("t", KEY, &frame(&[1.0]), &other, None).unwrap(), None);
    }

    #[test]
    fn a_tolerance_is_relative_above_one_and_ends_at_its_horizon() {
        let tolerance = Tolerance { deviation: 1e-3, horizon: Some(("iteration", 2)) };
        let compare =
            |a: &[f64], b: &[f64]| difference("t", KEY, &frame(a), &frame(b), Some(&tolerance));
        assert_eq!(compare(&[1000.0, 0.0, 1.0], &[1000.9, 0.0009, 2.0]).unwrap(), None);
        assert_eq!(compare(&[1.0, 1.0, 1.0], &[1.0, 1.0]).unwrap(), None);
        assert_eq!(compare(&[1.0, 2.0], &[1.0, 2.01]).unwrap().unwrap().right, "2.01");
        assert_eq!(compare(&[1.0, f64::NAN], &[1.0, -f64::NAN]).unwrap(), None);
        assert!(compare(&[1.0, 2.0], &[1.0, f64::NAN]).unwrap().is_some());
    }
}
