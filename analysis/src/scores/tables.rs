//! Tables of aggregates and comparisons of methods.

use std::collections::BTreeSet;

use polars::prelude::*;

use super::resampling::{Design, Resample, Resampled, Sampler, check, intervals, jackknife};
use super::weighted::{Aggregator, Improvement, Weighted};
use super::{Aggregate, Methods, ScoreColumns, Scores, TaskScores, read};
use crate::estimator::count;
use crate::frames::{index, take};
use crate::leaderboard::Ties;
use crate::tables::push;
use crate::{AnalysisError, Bootstrap, Interval};

/// Keys one method's draws where methods are resampled independently of each other.
const FIRST_METHOD: u64 = 1;

/// Rows of a result: their group and the columns that all results have in common.
#[derive(Default)]
pub(super) struct Rows {
    of_group: Vec<IdxSize>,
    estimates: Vec<Option<f64>>,
    intervals: Vec<Option<Interval>>,
    estimators: Vec<String>,
}

impl Rows {
    pub(super) fn add(
        &mut self,
        group: usize,
        estimator: String,
        estimate: Option<f64>,
        interval: Option<Interval>,
    ) {
        self.of_group.push(index(group));
        self.estimators.push(estimator);
        self.estimates.push(estimate);
        self.intervals.push(interval);
    }

    /// The table: the groups' columns, then what `own` adds, then the estimates.
    pub(super) fn table(
        self,
        keys: &DataFrame,
        method: &str,
        bootstrap: &Bootstrap,
        own: impl FnOnce(&mut DataFrame) -> PolarsResult<()>,
    ) -> PolarsResult<DataFrame> {
        let rows = self.of_group.len();
        let mut table = if keys.width() == 0 {
            DataFrame::new(rows, vec![])?
        } else {
            take(keys, &self.of_group)?
        };
        own(&mut table)?;
        let ends = |end: fn(Interval) -> f64| self.intervals.iter().map(|i| i.map(end)).collect();
        let (low, high): (Vec<_>, Vec<_>) = (ends(|i| i.low), ends(|i| i.high));
        push(&mut table, "estimate", self.estimates)?;
        push(&mut table, "low", low)?;
        push(&mut table, "high", high)?;
        push(&mut table, "estimator", self.estimators)?;
        push(&mut table, "interval", vec![method; rows])?;
        push(&mut table, "interval_level", vec![bootstrap.level; rows])?;
        push(&mut table, "resamples", vec![bootstrap.resamples as u64; rows])?;
        Ok(table)
    }
}

/// What a row says about a method's scores.
#[derive(Default)]
struct Described {
    methods: Vec<String>,
    n: Vec<u64>,
    tasks: Vec<u64>,
    missing: Vec<u64>,
}

impl Described {
    fn add(&mut self, method: &str, scores: &Scores) {
        self.methods.push(method.to_owned());
        self.n.push(scores.count() as u64);
        self.tasks.push(scores.tasks() as u64);
        self.missing.push(scores.missing() as u64);
    }

    fn append(self, table: &mut DataFrame, method: &str) -> PolarsResult<()> {
        push(table, method, self.methods)?;
        push(table, "n", self.n)?;
        push(table, "tasks", self.tasks)?;
        push(table, "missing", self.missing)
    }
}

/// Aggregates every method's scores over tasks.
///
/// One row a group, method and aggregate, groups and methods in ascending order, aggregates in the
/// order given: the group columns, the method under its own name (as text), then
///
/// | column | meaning |
/// |---|---|
/// | `n` | scores that entered, of all tasks |
/// | `tasks` | tasks with at least one score |
/// | `missing` | rows left out because the score is null, NaN or infinite |
/// | `estimate` | null where `n` is 0 |
/// | `low`, `high` | interval; null where resamples cannot differ (one run of every task) |
/// | `estimator`, `interval` | what the estimate and the interval are |
/// | `interval_level`, `resamples` | of the interval |
///
/// Percentile and basic intervals are those of `rliable.library.get_interval_estimates`, with
/// `task_bootstrap` as `resampled` says. BCa intervals are those of [`crate::IntervalMethod::Bca`],
/// whose jackknife leaves out what is resampled: single runs of single tasks, or whole tasks.
/// rliable's leaves out the same run of all tasks, and its bias correction counts only resamples
/// strictly below the estimate. Methods that have equally many runs of each task draw the same
/// resamples: one method's interval is distributed as if it drew its own.
///
/// A method without any row of a task is aggregated over fewer `tasks` than the others; compare
/// that column before comparing estimates.
///
/// # Errors
/// When a column is absent or of the wrong type, a row lacks its method, task or replicate, two
/// rows have all three in common, a target is not finite, the bootstrap is out of range, or its
/// method is none of percentile, basic and BCa.
pub fn aggregate_scores(
    frame: &DataFrame,
    columns: ScoreColumns<'_>,
    aggregates: &[Aggregate],
    resampled: Resampled,
    bootstrap: &Bootstrap,
) -> Result<DataFrame, AnalysisError> {
    check(bootstrap)?;
    for aggregate in aggregates {
        if let Aggregate::OptimalityGap { gamma } = *aggregate
            && !gamma.is_finite()
        {
            return Err(AnalysisError::Target(gamma));
        }
    }
    let (keys, of_groups) = read(frame, columns)?;
    let (mut rows, mut described) = (Rows::default(), Described::default());
    for (group, methods) in of_groups.iter().enumerate() {
        let intervals = aggregate_intervals(methods, aggregates, resampled, bootstrap)?;
        for ((name, scores), intervals) in methods.iter().zip(intervals) {
            let estimates = scores.aggregates(aggregates);
            for ((aggregate, estimate), interval) in aggregates.iter().zip(estimates).zip(intervals)
            {
                described.add(name, scores);
                rows.add(group, aggregate.name(), estimate, interval);
            }
        }
    }
    let table = rows.table(&keys, &resampled.words(bootstrap.method), bootstrap, |table| {
        described.append(table, columns.method)
    })?;
    Ok(table)
}

/// Intervals of every method and aggregate. Methods of the same design are measured on the same
/// resamples, so that these are drawn once.
fn aggregate_intervals(
    methods: &Methods,
    aggregates: &[Aggregate],
    resampled: Resampled,
    bootstrap: &Bootstrap,
) -> Result<Vec<Vec<Option<Interval>>>, AnalysisError> {
    let mut of_methods = vec![vec![None; aggregates.len()]; methods.len()];
    let weighted: Vec<Weighted> =
        methods.iter().map(|(_, scores)| Weighted::new(&scores.without_empty_tasks())).collect();
    let designs: Vec<Design> = weighted.iter().map(|scores| scores.design(resampled)).collect();
    for (first, design) in designs.iter().enumerate() {
        if designs[..first].contains(design) || !design.varies() || aggregates.is_empty() {
            continue;
        }
        let same: Vec<usize> =
            (first..methods.len()).filter(|&method| designs[method] == *design).collect();
        let estimates: Vec<f64> = same
            .iter()
            .flat_map(|&method| methods[method].1.aggregates(aggregates))
            .map(|estimate| estimate.unwrap_or(f64::NAN))
            .collect();
        let leave_out = || {
            let of_method = |&method: &usize| {
                let mut aggregator = Aggregator::new(&weighted[method], aggregates);
                jackknife(&[design], aggregates.len(), |resamples, numbers| {
                    aggregator.measure(&resamples[0], numbers);
                })
            };
            same.iter().flat_map(of_method).collect()
        };
        let found = intervals(bootstrap, &estimates, leave_out, || {
            let mut sampler = Sampler::new(design, bootstrap.seed, 0);
            let mut aggregators: Vec<Aggregator<'_>> =
                same.iter().map(|&m| Aggregator::new(&weighted[m], aggregates)).collect();
            move |resample, numbers: &mut [f64]| {
                let resample = sampler.draw(resample);
                let parts = numbers.chunks_exact_mut(aggregates.len());
                for (aggregator, numbers) in aggregators.iter_mut().zip(parts) {
                    aggregator.measure(&resample, numbers);
                }
            }
        })?;
        for (&method, found) in same.iter().zip(found.chunks_exact(aggregates.len())) {
            of_methods[method] = found.to_vec();
        }
    }
    Ok(of_methods)
}

/// How often every method beats the others, and its rank among them, by mean score on each task.
///
/// The *mean win rate* (as HELM reports it, Liang et al. 2022) is the mean over tasks of the share
/// of the other methods whose mean score on the task is lower, ties counting one half. The *mean
/// rank* is the mean over tasks of the rank of the mean score: 1 is best, tied methods share the
/// mean of their ranks. A task counts for the methods that have a score on it, if there are at
/// least two.
///
/// One row a group, method and estimator (`mean win rate`, `mean rank`); columns as
/// [`aggregate_scores`]. Here every method draws resamples of its own; drawn tasks are the same for
/// all.
///
/// # Errors
/// As [`aggregate_scores`].
pub fn win_rates(
    frame: &DataFrame,
    columns: ScoreColumns<'_>,
    resampled: Resampled,
    bootstrap: &Bootstrap,
) -> Result<DataFrame, AnalysisError> {
    check(bootstrap)?;
    let (keys, of_groups) = read(frame, columns)?;
    let (mut rows, mut described) = (Rows::default(), Described::default());
    for (group, methods) in of_groups.iter().enumerate() {
        let names: BTreeSet<&str> = methods
            .iter()
            .flat_map(|(_, scores)| &scores.tasks)
            .filter(|task| !task.values.is_empty())
            .map(|task| task.name.as_str())
            .collect();
        let on_all_tasks = |scores: &Scores| {
            let task = |&name: &&str| {
                let values = scores.task(name).map_or(vec![], |task| task.values.clone());
                TaskScores { name: name.to_owned(), values }
            };
            Scores { tasks: names.iter().map(task).collect(), missing: 0 }
        };
        let weighted: Vec<Weighted> =
            methods.iter().map(|(_, scores)| Weighted::new(&on_all_tasks(scores))).collect();
        let means: Vec<Vec<f64>> = weighted
            .iter()
            .map(|scores| {
                let mut means = vec![];
                scores.of_sample(|scores, sample| scores.task_means(sample, &mut means));
                means
            })
            .collect();
        let mut estimates = vec![f64::NAN; 2 * methods.len()];
        compare(&means, &mut estimates);
        let designs: Vec<Design> = weighted.iter().map(|scores| scores.design(resampled)).collect();
        let leave_out = || {
            let mut means = vec![vec![]; weighted.len()];
            let designs: Vec<&Design> = designs.iter().collect();
            jackknife(&designs, estimates.len(), |resamples, numbers| {
                for ((resample, scores), means) in resamples.iter().zip(&weighted).zip(&mut means) {
                    scores.task_means(resample, means);
                }
                compare(&means, numbers);
            })
        };
        let found = if designs.iter().any(Design::varies) {
            intervals(bootstrap, &estimates, leave_out, || {
                let mut samplers: Vec<Sampler<'_>> = (FIRST_METHOD..)
                    .zip(&designs)
                    .map(|(stratum, design)| Sampler::new(design, bootstrap.seed, stratum))
                    .collect();
                let mut means = vec![vec![]; weighted.len()];
                let weighted = &weighted;
                move |resample, numbers: &mut [f64]| {
                    for ((sampler, scores), means) in
                        samplers.iter_mut().zip(weighted).zip(&mut means)
                    {
                        scores.task_means(&sampler.draw(resample), means);
                    }
                    compare(&means, numbers);
                }
            })?
        } else {
            vec![None; estimates.len()]
        };
        let pairs = estimates.chunks_exact(2).zip(found.chunks_exact(2));
        for ((name, scores), (estimates, found)) in methods.iter().zip(pairs) {
            for ((estimator, estimate), interval) in
                ["mean win rate", "mean rank"].iter().zip(estimates).zip(found)
            {
                described.add(name, scores);
                let estimate = Some(*estimate).filter(|estimate| !estimate.is_nan());
                rows.add(group, (*estimator).to_owned(), estimate, *interval);
            }
        }
    }
    let table = rows.table(&keys, &resampled.words(bootstrap.method), bootstrap, |table| {
        described.append(table, columns.method)
    })?;
    Ok(table)
}

/// Writes each method's mean win rate and mean rank, from its mean on each drawn task (NaN where
/// it has none).
fn compare(means: &[Vec<f64>], numbers: &mut [f64]) {
    for (method, numbers) in numbers.chunks_exact_mut(2).enumerate() {
        let (mut rates, mut ranks, mut tasks) = (0.0, 0.0, 0);
        for (task, own) in means[method].iter().enumerate() {
            let (mut wins, mut others) = (0.0, 0);
            for (other, means) in means.iter().enumerate() {
                if other == method || means[task].is_nan() || own.is_nan() {
                    continue;
                }
                others += 1;
                wins += Ties::Half.share((*own, method), (means[task], other));
            }
            if others > 0 {
                rates += wins / count(others);
                ranks += 1.0 + count(others) - wins;
                tasks += 1;
            }
        }
        // Without tasks 0 / 0: not a number, as it should be.
        numbers.copy_from_slice(&[rates / count(tasks), ranks / count(tasks)]);
    }
}

/// For every ordered pair of methods, how probable it is that a run of `x` scores more than a run
/// of `y` on the same task, averaged over the tasks on which both have scores.
///
/// On a task this is U / (n of x · n of y), with the Mann-Whitney statistic U in which ties count
/// one half (`rliable.metrics.probability_of_improvement`). Runs of `x` and of `y` are resampled
/// independently; drawn tasks are the same for both.
///
/// One row a group and ordered pair: the group columns, `x`, `y` (methods, as text), `n_x`, `n_y`
/// (scores on shared tasks), `tasks` (shared), `missing_x`, `missing_y` (rows of the method without
/// a finite score, on any task), `estimate` (null without a shared task), `low`, `high` (null also
/// where resamples cannot differ), `estimator`, `interval`, `interval_level`, `resamples`. The row
/// of (y, x) says one minus what the row of (x, y) says.
///
/// # Errors
/// As [`aggregate_scores`].
pub fn probability_of_improvement(
    frame: &DataFrame,
    columns: ScoreColumns<'_>,
    resampled: Resampled,
    bootstrap: &Bootstrap,
) -> Result<DataFrame, AnalysisError> {
    check(bootstrap)?;
    let (keys, of_groups) = read(frame, columns)?;
    let mut rows = Rows::default();
    let mut names: [Vec<String>; 2] = Default::default();
    let mut counts: [Vec<u64>; 5] = Default::default();
    for (group, methods) in of_groups.iter().enumerate() {
        let mut pairs = Vec::new();
        for (x, (_, x_scores)) in methods.iter().enumerate() {
            for (y, (_, y_scores)) in methods.iter().enumerate().skip(x + 1) {
                pairs.push((x, y, Pair::new(x_scores, y_scores, resampled, bootstrap)?));
            }
        }
        for x in 0..methods.len() {
            for y in 0..methods.len() {
                let place = |pair: &&(usize, usize, Pair)| (pair.0, pair.1) == (x.min(y), x.max(y));
                let Some((_, _, pair)) = pairs.iter().find(place) else { continue };
                let pair = if x < y { *pair } else { pair.reversed() };
                names[0].push(methods[x].0.clone());
                names[1].push(methods[y].0.clone());
                let missing = [x, y].map(|method| methods[method].1.missing());
                let of_pair = [pair.n_x, pair.n_y, pair.tasks, missing[0], missing[1]];
                for (column, number) in counts.iter_mut().zip(of_pair) {
                    column.push(number as u64);
                }
                rows.add(
                    group,
                    "probability of improvement".to_owned(),
                    pair.estimate,
                    pair.interval,
                );
            }
        }
    }
    let table = rows.table(&keys, &resampled.words(bootstrap.method), bootstrap, |table| {
        for (name, column) in ["x", "y"].iter().zip(names) {
            push(table, name, column)?;
        }
        for (name, column) in ["n_x", "n_y", "tasks", "missing_x", "missing_y"].iter().zip(counts) {
            push(table, name, column)?;
        }
        Ok(())
    })?;
    Ok(table)
}

#[derive(Clone, Copy)]
struct Pair {
    n_x: usize,
    n_y: usize,
    tasks: usize,
    estimate: Option<f64>,
    interval: Option<Interval>,
}

impl Pair {
    fn new(
        x: &Scores,
        y: &Scores,
        resampled: Resampled,
        bootstrap: &Bootstrap,
    ) -> Result<Self, AnalysisError> {
        let shared = |other: &Scores, task: &TaskScores| {
            let there = other.task(&task.name).is_some_and(|task| !task.values.is_empty());
            there && !task.values.is_empty()
        };
        let (x, y) =
            (x.restricted_to(|task| shared(y, task)), y.restricted_to(|task| shared(x, task)));
        let (n_x, n_y, tasks) = (x.count(), y.count(), x.tasks());
        if tasks == 0 {
            return Ok(Self { n_x, n_y, tasks, estimate: None, interval: None });
        }
        let (weighted_x, weighted_y) = (Weighted::new(&x), Weighted::new(&y));
        let probability = |of_x: &Resample<'_>, of_y: &Resample<'_>| {
            Improvement::new(&x, &y).probability(of_x, of_y)
        };
        let estimate =
            weighted_x.of_sample(|_, of_x| weighted_y.of_sample(|_, of_y| probability(of_x, of_y)));
        let designs = [weighted_x.design(resampled), weighted_y.design(resampled)];
        let leave_out = || {
            let mut improvement = Improvement::new(&x, &y);
            jackknife(&[&designs[0], &designs[1]], 1, |resamples, numbers| {
                numbers.fill(improvement.probability(&resamples[0], &resamples[1]));
            })
        };
        let found = if designs.iter().any(Design::varies) {
            intervals(bootstrap, &[estimate], leave_out, || {
                let [mut of_x, mut of_y] = [0, 1].map(|side| {
                    Sampler::new(&designs[side], bootstrap.seed, FIRST_METHOD + side as u64)
                });
                let mut improvement = Improvement::new(&x, &y);
                move |resample, numbers: &mut [f64]| {
                    let (x, y) = (of_x.draw(resample), of_y.draw(resample));
                    numbers.fill(improvement.probability(&x, &y));
                }
            })?
        } else {
            vec![]
        };
        let interval = found.first().copied().flatten();
        Ok(Self { n_x, n_y, tasks, estimate: Some(estimate), interval })
    }

    fn reversed(self) -> Self {
        Self {
            n_x: self.n_y,
            n_y: self.n_x,
            tasks: self.tasks,
            estimate: self.estimate.map(|estimate| 1.0 - estimate),
            interval: self.interval.map(|i| Interval { low: 1.0 - i.high, high: 1.0 - i.low }),
        }
    }
}
