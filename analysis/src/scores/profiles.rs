//! Performance profiles and survival curves: which share of the scores lies above each threshold.

use std::collections::BTreeMap;

use polars::prelude::*;

use super::resampling::{
    Design, Resample, Resampled, Sample, Sampler, check, intervals, jackknife,
};
use super::tables::Rows;
use super::weighted::Weighted;
use super::{ScoreColumns, Scores, read};
use crate::estimator::count;
use crate::frames::{Groups, groups, numbers, replicates};
use crate::tables::{SummaryColumns, grid, push};
use crate::{AnalysisError, Bootstrap, Interval};

/// Where a profile is read.
#[derive(Clone, Debug, PartialEq)]
pub enum Thresholds {
    /// At these values.
    At(Vec<f64>),
    /// At this many values (two at least), evenly spaced from the smallest score of all methods to
    /// the largest.
    Even(usize),
    /// At every score that occurs, at most this many of them (two at least; then evenly spaced by
    /// rank): dense where scores are, whatever their scale.
    Scores(usize),
}

impl Thresholds {
    /// Ascending and distinct; none where there are no scores to choose from.
    fn of(&self, scores: Vec<f64>) -> Result<Vec<f64>, AnalysisError> {
        match self {
            Self::At(values) => {
                if let Some(&wrong) = values.iter().find(|value| !value.is_finite()) {
                    return Err(AnalysisError::Threshold(wrong));
                }
                Ok(grid(values.clone(), values.len()))
            }
            Self::Even(points) => {
                let low = scores.iter().copied().reduce(f64::min);
                let high = scores.iter().copied().reduce(f64::max);
                let (Some(low), Some(high)) = (low, high) else { return Ok(vec![]) };
                let last = (*points).max(2) - 1;
                // As numpy.linspace, the last point exactly.
                let at = |point: usize| low + (high - low) / count(last) * count(point);
                Ok(grid((0..last).map(at).chain([high]).collect(), last + 1))
            }
            Self::Scores(points) => Ok(grid(scores, *points)),
        }
    }
}

/// What a performance profile counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProfileOf {
    /// Scores of single runs (`rliable.metrics`' score distribution).
    #[default]
    Runs,
    /// Mean scores of tasks.
    TaskMeans,
}

impl ProfileOf {
    fn estimator(self) -> &'static str {
        match self {
            Self::Runs => "fraction of scores above tau",
            Self::TaskMeans => "fraction of task means above tau",
        }
    }
}

/// The performance profile of every method: the fraction of its scores (of all tasks together), or
/// of its tasks' means, strictly above each threshold, with pointwise intervals
/// (`rliable.library.create_performance_profile`).
///
/// One row a group, method and threshold: the group columns, the method under its own name (as
/// text), `tau` (the threshold, ascending), then as [`super::aggregate_scores`]: `n`, `tasks`,
/// `missing`, `estimate`, `low`, `high`, `estimator`, `interval`, `interval_level`, `resamples`.
/// The thresholds are the same for all methods of a group. Intervals hold for each threshold on its
/// own, not for the whole curve at once.
///
/// # Errors
/// As [`super::aggregate_scores`], and when a threshold is not finite.
pub fn performance_profiles(
    frame: &DataFrame,
    columns: ScoreColumns<'_>,
    of: ProfileOf,
    thresholds: &Thresholds,
    resampled: Resampled,
    bootstrap: &Bootstrap,
) -> Result<DataFrame, AnalysisError> {
    check(bootstrap)?;
    let (keys, of_groups) = read(frame, columns)?;
    let mut rows = Rows::default();
    let mut names = Vec::new();
    let mut taus = Vec::new();
    let mut counts: [Vec<u64>; 3] = Default::default();
    for (group, methods) in of_groups.iter().enumerate() {
        let all = methods.iter().flat_map(|(_, scores)| &scores.tasks);
        let grid = thresholds.of(all.flat_map(|task| task.values.clone()).collect())?;
        for (name, scores) in methods {
            let (estimates, intervals) = profile(scores, of, &grid, resampled, bootstrap)?;
            for ((&tau, estimate), interval) in grid.iter().zip(estimates).zip(intervals) {
                names.push(name.clone());
                taus.push(tau);
                let numbers = [scores.count(), scores.tasks(), scores.missing()];
                for (column, number) in counts.iter_mut().zip(numbers) {
                    column.push(number as u64);
                }
                rows.add(group, of.estimator().to_owned(), estimate, interval);
            }
        }
    }
    let table = rows.table(&keys, &resampled.words(bootstrap.method), bootstrap, |table| {
        push(table, columns.method, names)?;
        push(table, "tau", taus)?;
        for (name, column) in ["n", "tasks", "missing"].iter().zip(counts) {
            push(table, name, column)?;
        }
        Ok(())
    })?;
    Ok(table)
}

type Curve = (Vec<Option<f64>>, Vec<Option<Interval>>);

fn profile(
    scores: &Scores,
    of: ProfileOf,
    taus: &[f64],
    resampled: Resampled,
    bootstrap: &Bootstrap,
) -> Result<Curve, AnalysisError> {
    let weighted = Weighted::new(&scores.without_empty_tasks());
    let design = weighted.design(resampled);
    if scores.count() == 0 || taus.is_empty() {
        return Ok((vec![None; taus.len()], vec![None; taus.len()]));
    }
    let limits: Vec<usize> = taus.iter().map(|&tau| weighted.rank_above(tau)).collect();
    let measure = |resample: &Resample<'_>, means: &mut Vec<f64>, fractions: &mut [f64]| {
        let total = match of {
            ProfileOf::Runs => {
                weighted.above(resample, &limits, fractions);
                resample.cells.iter().map(|&copies| f64::from(copies)).sum()
            }
            ProfileOf::TaskMeans => {
                weighted.task_means(resample, means);
                for (tau, above) in taus.iter().zip(fractions.iter_mut()) {
                    *above = count(means.iter().filter(|mean| *mean > tau).count());
                }
                count(means.len())
            }
        };
        for fraction in fractions {
            *fraction /= total;
        }
    };
    let mut estimates = vec![f64::NAN; taus.len()];
    weighted.of_sample(|_, sample| measure(sample, &mut vec![], &mut estimates));
    let leave_out = || {
        jackknife(&[&design], taus.len(), |resamples, numbers| {
            measure(&resamples[0], &mut vec![], numbers);
        })
    };
    let found = if design.varies() {
        intervals(bootstrap, &estimates, leave_out, || {
            let mut sampler = Sampler::new(&design, bootstrap.seed, 0);
            let (mut means, measure) = (vec![], &measure);
            move |resample, numbers: &mut [f64]| {
                measure(&sampler.draw(resample), &mut means, numbers);
            }
        })?
    } else {
        vec![None; taus.len()]
    };
    Ok((estimates.into_iter().map(Some).collect(), found))
}

/// The fraction of values strictly above each threshold, group by group, with pointwise intervals:
/// the survival curve of the pooled values.
///
/// The rows of a group that share a replicate are resampled together, as a block: a group may be
/// the level of a factor, whose rows are the runs of every arm at that level.
///
/// One row a group and threshold: the group columns, `tau` (ascending, the same for all groups),
/// `n` (values), `replicates` (distinct ones among them), `missing`, `estimate` (null where `n` is
/// 0), `low`, `high` (null below two replicates), `estimator`, `interval`, `interval_level`,
/// `resamples`.
///
/// # Errors
/// As [`crate::summarise`], when a threshold is not finite, or when the bootstrap's method is none of
/// percentile, basic and BCa.
pub fn survival(
    frame: &DataFrame,
    columns: SummaryColumns<'_>,
    thresholds: &Thresholds,
    bootstrap: &Bootstrap,
) -> Result<DataFrame, AnalysisError> {
    check(bootstrap)?;
    let Groups { keys, rows: of_groups } = groups(frame, columns.groups)?;
    let replicates = replicates(frame, columns.replicate)?;
    let values = numbers(frame, columns.value)?;
    let taus = thresholds.of(values.iter().copied().flatten().collect())?;
    let mut rows = Rows::default();
    let mut tau_column = Vec::new();
    let mut counts: [Vec<u64>; 3] = Default::default();
    for (group, of_group) in of_groups.iter().enumerate() {
        let mut blocks: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for &row in of_group {
            if let Some(value) = values[row] {
                blocks.entry(replicates[row]).or_default().push(value);
            }
        }
        let blocks: Vec<Block> =
            blocks.into_values().map(|values| Block::new(&values, &taus)).collect();
        let n: f64 = blocks.iter().map(|block| block.values).sum();
        let (estimates, found) = survival_curve(&blocks, taus.len(), bootstrap)?;
        let present = of_group.iter().filter(|&&row| values[row].is_some()).count();
        for ((&tau, estimate), interval) in taus.iter().zip(estimates).zip(found) {
            tau_column.push(tau);
            let numbers = [present, blocks.len(), of_group.len() - present];
            for (column, number) in counts.iter_mut().zip(numbers) {
                column.push(number as u64);
            }
            let estimate = Some(estimate).filter(|_| n > 0.0);
            rows.add(group, "fraction of values above tau".to_owned(), estimate, interval);
        }
    }
    let table = rows.table(&keys, bootstrap.method.words(), bootstrap, |table| {
        push(table, "tau", tau_column)?;
        for (name, column) in ["n", "replicates", "missing"].iter().zip(counts) {
            push(table, name, column)?;
        }
        Ok(())
    })?;
    Ok(table)
}

/// The values of one replicate.
struct Block {
    values: f64,
    /// How many lie above each threshold.
    above: Vec<f64>,
}

impl Block {
    fn new(values: &[f64], taus: &[f64]) -> Self {
        let above = |tau: &f64| count(values.iter().filter(|value| *value > tau).count());
        Self { values: count(values.len()), above: taus.iter().map(above).collect() }
    }
}

fn survival_curve(
    blocks: &[Block],
    taus: usize,
    bootstrap: &Bootstrap,
) -> Result<(Vec<f64>, Vec<Option<Interval>>), AnalysisError> {
    let fractions = |copies: &[i32], fractions: &mut [f64]| {
        fractions.fill(0.0);
        let mut total = 0.0;
        for (&copies, block) in copies.iter().zip(blocks).filter(|(copies, _)| **copies > 0) {
            total += f64::from(copies) * block.values;
            for (fraction, above) in fractions.iter_mut().zip(&block.above) {
                *fraction += f64::from(copies) * above;
            }
        }
        for fraction in fractions {
            *fraction /= total;
        }
    };
    let mut estimates = vec![f64::NAN; taus];
    let design = Design::new(vec![blocks.len()], Resampled::Runs);
    fractions(Sample::whole(&design).resample().cells, &mut estimates);
    if !design.varies() || taus == 0 {
        return Ok((estimates, vec![None; taus]));
    }
    let leave_out =
        || jackknife(&[&design], taus, |resamples, numbers| fractions(resamples[0].cells, numbers));
    let found = intervals(bootstrap, &estimates, leave_out, || {
        let mut sampler = Sampler::new(&design, bootstrap.seed, 0);
        let fractions = &fractions;
        move |resample, numbers: &mut [f64]| fractions(sampler.draw(resample).cells, numbers)
    })?;
    Ok((estimates, found))
}
