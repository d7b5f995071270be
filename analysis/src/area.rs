//! The area under curves.

use std::collections::BTreeMap;

use polars::prelude::*;

use super::AnalysisError;
use super::frames::{Groups, groups, numbers, take, texts};
use super::tables::{CurveColumns, push};

/// The mean height of every run's curve: the area under the straight lines between its points over a
/// range of `x`, divided by the length of the range (the trapezoidal rule, `numpy.trapezoid`).
///
/// One row a group and run, in the order of the group columns and then of the run: the group columns,
/// run, replicate, `from` and `to` (the range), and `area`, null where the run has no point at or
/// before `from` or none at or after `to`. A run that ended early is therefore missing rather than
/// judged by the stretch that it has; [`summarise`](crate::summarise) counts it. Without `range`, the
/// range starts where the last run starts and ends where the longest one ends. Points without `x` or
/// value do not count; where several have the same `x`, their mean does.
///
/// # Errors
/// When a column is absent or of the wrong type, the range is empty or not finite, or without one all
/// curves together have none.
pub fn areas(
    frame: &DataFrame,
    columns: CurveColumns<'_>,
    range: Option<(f64, f64)>,
) -> Result<DataFrame, AnalysisError> {
    let by: Vec<&str> = columns.groups.iter().copied().chain([columns.run]).collect();
    let Groups { keys, rows } = groups(frame, &by)?;
    let (x, values) = (numbers(frame, columns.x)?, numbers(frame, columns.value)?);
    let curves: Vec<Vec<(f64, f64)>> = rows
        .iter()
        .map(|rows| curve(rows.iter().filter_map(|&row| Some((x[row]?, values[row]?)))))
        .collect();
    let (from, to) = match range {
        Some((from, to)) if from < to && from.is_finite() && to.is_finite() => (from, to),
        Some((from, to)) => return Err(AnalysisError::Range { from, to }),
        None => {
            let starts = curves.iter().filter_map(|curve| curve.first());
            let ends = curves.iter().filter_map(|curve| curve.last());
            let from = starts.map(|point| point.0).fold(f64::NEG_INFINITY, f64::max);
            let to = ends.map(|point| point.0).fold(f64::NEG_INFINITY, f64::max);
            if frame.height() > 0 && from >= to {
                return Err(AnalysisError::Range { from, to });
            }
            (from, to)
        }
    };
    let firsts: Vec<IdxSize> =
        rows.iter().filter_map(|rows| rows.first().map(|&row| super::frames::index(row))).collect();
    let mut table = keys;
    if columns.replicate != columns.run {
        let replicate = take(&frame.select([columns.replicate])?, &firsts)?;
        one_replicate_a_run(frame, &columns, &rows)?;
        table.hstack_mut(replicate.columns())?;
    }
    push(&mut table, "from", vec![from; rows.len()])?;
    push(&mut table, "to", vec![to; rows.len()])?;
    let areas: Vec<Option<f64>> =
        curves.iter().map(|curve| Some(area(curve, from, to)? / (to - from))).collect();
    push(&mut table, "area", areas)?;
    Ok(table)
}

fn one_replicate_a_run(
    frame: &DataFrame,
    columns: &CurveColumns<'_>,
    rows: &[Vec<usize>],
) -> Result<(), AnalysisError> {
    let replicates = texts(frame, columns.replicate)?;
    let runs = texts(frame, columns.run)?;
    for rows in rows {
        let mut of_run = rows.iter().map(|&row| (row, &replicates[row]));
        let Some((first, replicate)) = of_run.next() else { continue };
        if of_run.any(|(_, other)| other != replicate) {
            return Err(AnalysisError::SeveralReplicates {
                run: runs[first].clone().unwrap_or_default(),
            });
        }
    }
    Ok(())
}

/// Points by their `x`, those with the same one joined into their mean.
fn curve(points: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut by_x: BTreeMap<u64, (f64, Vec<f64>)> = BTreeMap::new();
    for (x, value) in points {
        // Zero has two signs and one place.
        let x = x + 0.0;
        by_x.entry(x.to_bits()).or_insert_with(|| (x, vec![])).1.push(value);
    }
    let mut curve: Vec<(f64, f64)> = by_x
        .into_values()
        .filter_map(|(x, mut values)| {
            // In order, so that the order of rows shows in not even the last bit.
            values.sort_unstable_by(f64::total_cmp);
            Some((x, super::mean(&values)?))
        })
        .collect();
    curve.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    curve
}

/// The area under a curve between two places; `None` where it does not reach both.
fn area(curve: &[(f64, f64)], from: f64, to: f64) -> Option<f64> {
    if curve.first()?.0 > from || curve.last()?.0 < to {
        return None;
    }
    let pieces = curve.windows(2).filter_map(|pair| {
        let &[(left, low), (right, high)] = pair else { return None };
        let at = |x: f64| low + (high - low) * ((x - left) / (right - left));
        let (start, end) = (left.max(from), right.min(to));
        // The ends of a whole piece are its own values, to the last bit.
        let first = if start > left { at(start) } else { low };
        let last = if end < right { at(end) } else { high };
        (start < end).then_some(0.5 * (first + last) * (end - start))
    });
    Some(pieces.sum())
}
