//! Between frames and plain vectors.

use polars::prelude::*;

use super::AnalysisError;

/// The numbers of a column; whatever is null, NaN or infinite is missing.
pub(super) fn numbers(frame: &DataFrame, column: &str) -> PolarsResult<Vec<Option<f64>>> {
    let column = frame.column(column)?.cast(&DataType::Float64)?;
    Ok(column.f64()?.iter().map(|value| value.filter(|value| value.is_finite())).collect())
}

/// A column as text; `None` where it is null.
pub(super) fn texts(frame: &DataFrame, column: &str) -> PolarsResult<Vec<Option<String>>> {
    let column = frame.column(column)?.cast(&DataType::String)?;
    Ok(column.str()?.iter().map(|value| value.map(str::to_owned)).collect())
}

/// The replicate of every row, numbered in the order of their text.
pub(super) fn replicates(frame: &DataFrame, column: &str) -> Result<Vec<usize>, AnalysisError> {
    let keys = texts(frame, column)?
        .into_iter()
        .enumerate()
        .map(|(row, key)| {
            key.ok_or_else(|| AnalysisError::NoReplicate { column: column.to_owned(), row })
        })
        .collect::<Result<Vec<String>, _>>()?;
    let mut distinct = keys.clone();
    distinct.sort_unstable();
    distinct.dedup();
    // Every key is among the distinct ones, so both arms of the search carry its place.
    Ok(keys.iter().map(|key| distinct.binary_search(key).unwrap_or_else(|place| place)).collect())
}

/// Rows of equal values in some columns.
pub(super) struct Groups {
    /// The columns, one row a group, in the order of their values (nulls first).
    pub(super) keys: DataFrame,
    /// The rows of each group, ascending.
    pub(super) rows: Vec<Vec<usize>>,
}

const ROW: &str = "ceteris: row";

/// Groups the rows of a frame. Without columns, all rows (if there are any) are one group.
pub(super) fn groups(frame: &DataFrame, columns: &[&str]) -> PolarsResult<Groups> {
    if columns.is_empty() {
        let rows = if frame.height() == 0 { vec![] } else { vec![(0..frame.height()).collect()] };
        return Ok(Groups { keys: DataFrame::new(rows.len(), vec![])?, rows });
    }
    let numbers: Vec<u64> = (0..frame.height() as u64).collect();
    let mut sorted = frame.select(columns.iter().copied())?;
    sorted.with_column(Column::new(ROW.into(), numbers))?;
    let by: Vec<&str> = columns.iter().copied().chain([ROW]).collect();
    let sorted = sorted.sort(by, SortMultipleOptions::default())?;
    let order = sorted.column(ROW)?.u64()?.clone();
    let sorted = sorted.drop(ROW)?;
    let mut rows: Vec<Vec<usize>> = Vec::new();
    let mut firsts: Vec<IdxSize> = Vec::new();
    for (position, row) in order.iter().flatten().enumerate() {
        let same = match position.checked_sub(1) {
            Some(previous) => sorted.columns().iter().try_fold(true, |same, column| {
                Ok::<_, PolarsError>(same && column.get(previous)? == column.get(position)?)
            })?,
            None => false,
        };
        if !same {
            rows.push(Vec::new());
            firsts.push(index(position));
        }
        if let Some(group) = rows.last_mut() {
            #[allow(clippy::cast_possible_truncation)] // came from a usize
            group.push(row as usize);
        }
    }
    Ok(Groups { keys: take(&sorted, &firsts)?, rows })
}

/// Rows of a frame by their numbers.
pub(super) fn take(frame: &DataFrame, rows: &[IdxSize]) -> PolarsResult<DataFrame> {
    frame.take(&IdxCa::from_slice(PlSmallStr::EMPTY, rows))
}

/// A row number as polars counts them; a frame in memory has no more rows than that type holds.
pub(super) fn index(row: usize) -> IdxSize {
    IdxSize::try_from(row).unwrap_or(IdxSize::MAX)
}
