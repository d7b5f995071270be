//! Between frames and plain vectors.

use std::ops::Range;

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
    let segments = segments(frame, &[column])?;
    let keys = texts(&take(&frame.select([column])?, &segments)?, column)?
        .into_iter()
        .zip(&segments)
        .map(|(key, &row)| {
            let row = row as usize;
            key.ok_or_else(|| AnalysisError::NoReplicate { column: column.to_owned(), row })
        })
        .collect::<Result<Vec<String>, _>>()?;
    let mut distinct = keys.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let mut numbers = vec![0; frame.height()];
    for (key, rows) in keys.iter().zip(extents(&segments, frame.height())) {
        // Every key is among the distinct ones, so both arms of the search carry its place.
        numbers[rows].fill(distinct.binary_search(key).unwrap_or_else(|place| place));
    }
    Ok(numbers)
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
    let keys = frame.select(columns.iter().copied())?;
    let segments = segments(&keys, columns)?;
    let extents: Vec<Range<usize>> = extents(&segments, frame.height()).collect();
    // One row a segment from here on; its first row orders those of equal keys.
    let mut sorted = take(&keys, &segments)?;
    let numbers: Vec<u64> = (0..segments.len() as u64).collect();
    sorted.with_column(Column::new(ROW.into(), numbers))?;
    let by: Vec<&str> = columns.iter().copied().chain([ROW]).collect();
    let sorted = sorted.sort(by, SortMultipleOptions::default())?;
    let order = sorted.column(ROW)?.u64()?.clone();
    let sorted = sorted.drop(ROW)?;
    let firsts = self::segments(&sorted, columns)?;
    let mut rows: Vec<Vec<usize>> = Vec::with_capacity(firsts.len());
    for members in self::extents(&firsts, sorted.height()) {
        let mut group = Vec::new();
        for segment in members.filter_map(|position| order.get(position)) {
            #[allow(clippy::cast_possible_truncation)] // came from a usize
            group.extend(extents[segment as usize].clone());
        }
        rows.push(group);
    }
    Ok(Groups { keys: take(&sorted, &firsts)?, rows })
}

/// The first rows of stretches of equal values in some columns. Tables mostly hold the rows of a run
/// one after the other, so that there are far fewer stretches than rows.
fn segments(frame: &DataFrame, columns: &[&str]) -> PolarsResult<Vec<IdxSize>> {
    let height = frame.height();
    let mut starts = vec![false; height];
    if let Some(first) = starts.first_mut() {
        *first = true;
    }
    for column in columns {
        let column = frame.column(column)?.as_materialized_series().rechunk();
        let (before, after) =
            (column.slice(0, height.saturating_sub(1)), column.slice(1, height.saturating_sub(1)));
        let changes = after.not_equal_missing(&before)?;
        for (start, change) in starts.iter_mut().skip(1).zip(changes.iter()) {
            *start |= change == Some(true);
        }
    }
    Ok((0..).zip(starts).filter_map(|(row, start)| start.then_some(row)).collect())
}

/// The rows of each stretch.
fn extents(firsts: &[IdxSize], height: usize) -> impl Iterator<Item = Range<usize>> {
    let ends = firsts.iter().skip(1).map(|&row| row as usize).chain([height]);
    firsts.iter().map(|&row| row as usize).zip(ends).map(|(start, end)| start..end)
}

/// Rows of a frame by their numbers.
pub(super) fn take(frame: &DataFrame, rows: &[IdxSize]) -> PolarsResult<DataFrame> {
    frame.take(&IdxCa::from_slice(PlSmallStr::EMPTY, rows))
}

/// A row number as polars counts them; a frame in memory has no more rows than that type holds.
pub(super) fn index(row: usize) -> IdxSize {
    IdxSize::try_from(row).unwrap_or(IdxSize::MAX)
}
