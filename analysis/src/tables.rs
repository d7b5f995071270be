//! Tables of estimates with their intervals.

use std::collections::BTreeMap;

use polars::prelude::*;

use super::bootstrap::{Clustered, ClusteredMean, Draws, parallel_map};
use super::frames::{Groups, groups, index, numbers, replicates, take, texts};
use super::{AnalysisError, Bootstrap, Estimator, Interval, estimator, sd};

/// The columns that [`summarise`] reads.
#[derive(Clone, Copy, Debug)]
pub struct SummaryColumns<'a> {
    /// Columns whose values make the groups; none puts all rows into one group.
    pub groups: &'a [&'a str],
    /// The replicate.
    pub replicate: &'a str,
    /// The value.
    pub value: &'a str,
}

/// The columns that [`curves`] reads.
#[derive(Clone, Copy, Debug)]
pub struct CurveColumns<'a> {
    /// Columns whose values make the groups; none puts all rows into one group.
    pub groups: &'a [&'a str],
    /// What a single curve belongs to (a run); several may share a replicate.
    pub run: &'a str,
    /// The replicate.
    pub replicate: &'a str,
    /// Position along the curve, numeric.
    pub x: &'a str,
    /// The value.
    pub value: &'a str,
}

/// The values of one cell, by replicate.
struct Cell {
    blocks: Vec<Vec<f64>>,
    missing: usize,
}

impl Cell {
    /// Sorts rows into their replicates. Values are ordered, so that the order of rows shows in
    /// not even the last bit of a sum.
    fn new(rows: impl Iterator<Item = (usize, Option<f64>)>) -> Self {
        let mut blocks: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        let mut missing = 0;
        // Rows of a replicate mostly follow each other.
        let (mut current, mut block) = (0, Vec::new());
        for (replicate, value) in rows {
            let Some(value) = value else {
                missing += 1;
                continue;
            };
            if replicate != current {
                if !block.is_empty() {
                    blocks.entry(current).or_default().append(&mut block);
                }
                current = replicate;
            }
            block.push(value);
        }
        if !block.is_empty() {
            blocks.entry(current).or_default().append(&mut block);
        }
        let mut blocks: Vec<Vec<f64>> = blocks.into_values().collect();
        for block in &mut blocks {
            block.sort_unstable_by(f64::total_cmp);
        }
        Self { blocks, missing }
    }

    fn values(&self) -> Vec<f64> {
        self.blocks.concat()
    }

    fn interval(
        &self,
        estimator: Estimator,
        bootstrap: &Bootstrap,
        draws: &BTreeMap<usize, Draws>,
    ) -> Result<Option<Interval>, AnalysisError> {
        let Some(draws) = draws.get(&self.blocks.len()) else { return Ok(None) };
        if self.blocks.iter().all(|block| block.len() == 1) {
            let statistic = bootstrap.pooled(estimator, self.blocks.len());
            return bootstrap.interval_from(&[draws], &[&self.values()], &statistic);
        }
        if estimator == Estimator::Mean {
            let part = |block: &Vec<f64>| (block.iter().sum(), estimator::count(block.len()));
            let parts: Vec<(f64, f64)> = self.blocks.iter().map(part).collect();
            return bootstrap.interval_from(&[draws], &[&parts], &ClusteredMean);
        }
        let blocks: Vec<&[f64]> = self.blocks.iter().map(Vec::as_slice).collect();
        bootstrap.interval_from(&[draws], &[&blocks], &Clustered(estimator))
    }
}

/// Draws for every number of replicates that occurs, shared by all cells.
fn shared_draws(cells: &[Cell], bootstrap: &Bootstrap) -> BTreeMap<usize, Draws> {
    let mut draws = BTreeMap::new();
    for cell in cells {
        let units = cell.blocks.len();
        draws.entry(units).or_insert_with(|| bootstrap.draws(0, units));
    }
    draws
}

/// Estimates a value per group.
///
/// One row a group, in the order of the group columns: those columns, then
///
/// | column | meaning |
/// |---|---|
/// | `n` | values that entered |
/// | `replicates` | distinct replicates among them |
/// | `missing` | rows left out because the value is null, NaN or infinite |
/// | `estimate` | null where `n` is 0 |
/// | `low`, `high` | interval; null below two replicates, and where the [`IntervalMethod`](super::IntervalMethod) has none |
/// | `sd` | sample standard deviation (divisor `n - 1`); null below two values |
/// | `min`, `max` | extremes; null where `n` is 0 |
/// | `estimator`, `interval` | what the estimate and the interval are |
/// | `interval_level`, `resamples` | of the interval |
///
/// A frame without rows gives a table without rows.
///
/// # Errors
/// When a column is absent or of the wrong type, a row has no replicate, or the bootstrap is out
/// of range.
pub fn summarise(
    frame: &DataFrame,
    columns: SummaryColumns<'_>,
    estimator: Estimator,
    bootstrap: &Bootstrap,
) -> Result<DataFrame, AnalysisError> {
    bootstrap.check()?;
    let Groups { keys, rows } = groups(frame, columns.groups)?;
    let replicates = replicates(frame, columns.replicate)?;
    let values = numbers(frame, columns.value)?;
    let cells: Vec<Cell> = parallel_map(&rows, bootstrap.threads, |rows| {
        Cell::new(rows.iter().map(|&row| (replicates[row], values[row])))
    });
    let mut table = keys;
    let samples: Vec<Vec<f64>> = cells.iter().map(Cell::values).collect();
    append_estimates(&mut table, &cells, &samples, estimator, bootstrap)?;
    let minimum = |sample: &Vec<f64>| sample.iter().copied().reduce(f64::min);
    let maximum = |sample: &Vec<f64>| sample.iter().copied().reduce(f64::max);
    push(&mut table, "sd", samples.iter().map(|sample| sd(sample)).collect::<Vec<_>>())?;
    push(&mut table, "min", samples.iter().map(minimum).collect::<Vec<_>>())?;
    push(&mut table, "max", samples.iter().map(maximum).collect::<Vec<_>>())?;
    append_method(&mut table, estimator.name(), bootstrap)?;
    Ok(table)
}

/// Estimates curves: a value per group and point of a common grid.
///
/// The grid of a group holds every `x` that one of its runs has, at most `points` of them (then
/// evenly spaced by rank, both ends included). At a grid point, a run contributes its own value;
/// where it has none there but has one on either side, the straight line between the two;
/// otherwise it is missing. A run that ended early is therefore missing from there on, which
/// `missing` shows.
///
/// One row a group and grid point: the group columns, `x` under its own name (Float64), `n`,
/// `replicates`, `missing` (runs), `interpolated` (runs), `estimate`, `low`, `high` and the columns
/// on method, all as in [`summarise`].
///
/// # Errors
/// As [`summarise`].
pub fn curves(
    frame: &DataFrame,
    columns: CurveColumns<'_>,
    points: usize,
    estimator: Estimator,
    bootstrap: &Bootstrap,
) -> Result<DataFrame, AnalysisError> {
    bootstrap.check()?;
    let Groups { keys, rows } = groups(frame, columns.groups)?;
    let replicates = replicates(frame, columns.replicate)?;
    let runs = texts(frame, columns.run)?;
    let x = numbers(frame, columns.x)?;
    let values = numbers(frame, columns.value)?;
    let mut cells = Vec::new();
    let (mut of_group, mut grid_x, mut interpolated) = (vec![], vec![], vec![]);
    for (group, rows) in rows.iter().enumerate() {
        let mut by_run: BTreeMap<&Option<String>, RunCurve> = BTreeMap::new();
        for &row in rows {
            let Some(x) = x[row] else { continue };
            let curve = by_run
                .entry(&runs[row])
                .or_insert_with(|| RunCurve { replicate: replicates[row], points: vec![] });
            curve.points.push((x, values[row]));
        }
        for curve in by_run.values_mut() {
            curve.points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
            curve.points.retain(|(_, value)| value.is_some());
        }
        for point in grid(rows.iter().filter_map(|&row| x[row]).collect(), points) {
            let read: Vec<(usize, Reading)> =
                by_run.values().map(|curve| (curve.replicate, curve.at(point))).collect();
            cells.push(Cell::new(read.iter().map(|(replicate, reading)| match reading {
                Reading::Own(value) | Reading::Between(value) => (*replicate, Some(*value)),
                Reading::Missing => (*replicate, None),
            })));
            let between = read.iter().filter(|(_, reading)| matches!(reading, Reading::Between(_)));
            interpolated.push(between.count() as u64);
            of_group.push(index(group));
            grid_x.push(point);
        }
    }
    let mut table = take(&keys, &of_group)?;
    if columns.groups.is_empty() {
        table = DataFrame::new(cells.len(), vec![])?;
    }
    push(&mut table, columns.x, grid_x)?;
    let samples: Vec<Vec<f64>> = cells.iter().map(Cell::values).collect();
    append_estimates(&mut table, &cells, &samples, estimator, bootstrap)?;
    push(&mut table, "interpolated", interpolated)?;
    append_method(&mut table, estimator.name(), bootstrap)?;
    Ok(table)
}

struct RunCurve {
    replicate: usize,
    /// Sorted by x; only points that have a value.
    points: Vec<(f64, Option<f64>)>,
}

enum Reading {
    Own(f64),
    Between(f64),
    Missing,
}

impl RunCurve {
    fn at(&self, x: f64) -> Reading {
        let after = self.points.partition_point(|(point, _)| *point < x);
        let right = self.points.get(after).and_then(|&(x, value)| Some((x, value?)));
        let left = after
            .checked_sub(1)
            .and_then(|before| self.points.get(before))
            .and_then(|&(x, value)| Some((x, value?)));
        match (left, right) {
            (_, Some((right, value))) if right <= x => Reading::Own(value),
            (Some((left, low)), Some((right, high))) => {
                Reading::Between(low + (high - low) * ((x - left) / (right - left)))
            }
            _ => Reading::Missing,
        }
    }
}

/// The distinct numbers, thinned evenly to at most `points` (two at least).
pub(super) fn grid(mut x: Vec<f64>, points: usize) -> Vec<f64> {
    x.sort_unstable_by(f64::total_cmp);
    x.dedup();
    let (points, last) = (points.max(2), x.len().saturating_sub(1));
    if x.len() <= points {
        return x;
    }
    (0..points).map(|point| x[point * last / (points - 1)]).collect()
}

fn append_estimates(
    table: &mut DataFrame,
    cells: &[Cell],
    samples: &[Vec<f64>],
    estimator: Estimator,
    bootstrap: &Bootstrap,
) -> Result<(), AnalysisError> {
    let draws = shared_draws(cells, bootstrap);
    let intervals =
        parallel_map(cells, bootstrap.threads, |cell| cell.interval(estimator, bootstrap, &draws))
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?;
    let counts =
        |count: fn(&Cell) -> usize| cells.iter().map(|cell| count(cell) as u64).collect::<Vec<_>>();
    push(table, "n", samples.iter().map(|sample| sample.len() as u64).collect::<Vec<_>>())?;
    push(table, "replicates", counts(|cell| cell.blocks.len()))?;
    push(table, "missing", counts(|cell| cell.missing))?;
    push(table, "estimate", samples.iter().map(|s| estimator.of(s)).collect::<Vec<_>>())?;
    Ok(append_interval(table, &intervals)?)
}

pub(super) fn append_interval(
    table: &mut DataFrame,
    intervals: &[Option<Interval>],
) -> PolarsResult<()> {
    push(table, "low", intervals.iter().map(|i| i.map(|i| i.low)).collect::<Vec<_>>())?;
    push(table, "high", intervals.iter().map(|i| i.map(|i| i.high)).collect::<Vec<_>>())
}

fn append_method(table: &mut DataFrame, estimator: &str, by: &Bootstrap) -> PolarsResult<()> {
    let rows = table.height();
    push(table, "estimator", vec![estimator; rows])?;
    push(table, "interval", vec![by.method.words(); rows])?;
    push(table, "interval_level", vec![by.level; rows])?;
    push(table, "resamples", vec![by.resamples as u64; rows])
}

pub(super) fn push<T, Phantom: ?Sized>(
    table: &mut DataFrame,
    name: &str,
    values: T,
) -> PolarsResult<()>
where
    Series: NamedFrom<T, Phantom>,
    T: AsRef<Phantom>,
{
    // Inserted, because `with_column` would replace a group's column of the same name unseen.
    table.insert_column(table.width(), Column::new(name.into(), values)).map(|_| ())
}
