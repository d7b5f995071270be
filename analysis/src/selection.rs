//! Choice of a hyper-parameter, and what may honestly be said of the chosen level.
//!
//! The best of several noisy means is biased upward, most where the levels do not differ: the mean of
//! the chosen level over the same seeds that chose it (the naive rule) then lies above the truth by
//! the expected maximum of the levels' errors, for four levels and n independent seeds by
//! 1.03 standard deviations over √n (maximisation bias; see Patterson, Neumann, White and White 2024,
//! Empirical Design in Reinforcement Learning, JMLR 25(318)). [`SelectionRule`] names two ways around
//! it.
//!
//! **Fresh seeds** choose on some replicates and estimate on others. The estimate is unbiased for the
//! level that was chosen, at the price of seeds.
//!
//! **The nested bootstrap** chooses again in every resample of the replicates, on those drawn, and
//! scores that choice on those left out. The estimate is the leave-one-out bootstrap of Efron and
//! Tibshirani (1997, Journal of the American Statistical Association 92, 548-560, eq. 17), with a
//! mean in place of their error rate: every replicate is scored by the choices that did not see it,
//! and the scores are averaged. Its standard error is theirs too (section 5, the delta method after the
//! bootstrap, which sees both what a replicate scores and whom it elects). What it estimates is the
//! procedure: the mean value of a level that is chosen like this. As a resample holds about 63 % of the
//! replicates, a choice in it is a little worse than one with all of them, and the estimate a little
//! low where levels differ by about their standard error.
//!
//! In simulation (1,500 studies each; 5, 10 and 30 replicates; 2, 4 and 10 levels, equal or 0.3
//! standard deviations apart; with and without a common effect of the replicate;
//! `tests/fixtures/factorial_simulations.py`) the 95 % t interval with that standard error covered
//! the mean value of the levels that the resamples chose in 94 to 99.5 %, the most with many equal
//! levels and many replicates. A t interval of the replicates' scores alone covered in 85 to 95 %: it
//! does not see that one replicate may decide. The percentiles of the out-of-bag means, each of about a
//! third of the replicates, covered in 95.5 to 100 % and are wider. Only the last exists for the median
//! and the IQM.

use std::collections::BTreeMap;

use polars::prelude::*;

use super::bootstrap::{IntervalMethod, parallel_map};
use super::estimator::count;
use super::factorial::{FactorLevels, check_levels, factor_effects, level_places};
use super::frames::{Groups, groups, index, numbers, replicates, take, texts};
use super::scores::{Thresholds, survival};
use super::student::upper_quantile;
use super::tables::{SummaryColumns, append_interval, push};
use super::{AnalysisError, Bootstrap, Estimator, Interval, mean, quantile, sd};

/// The columns that [`select`] reads: one row a run.
#[derive(Clone, Copy, Debug)]
pub struct SelectionColumns<'a> {
    /// Columns whose values make the groups (a combination of the other settings); a level is chosen
    /// in each. None puts all rows into one group.
    pub groups: &'a [&'a str],
    /// The hyper-parameter to choose.
    pub tuning: &'a str,
    /// Its levels as text, in the order that breaks ties; rows with another are left out. Empty for
    /// all that occur, in ascending order.
    pub levels: &'a [String],
    /// The replicate.
    pub replicate: &'a str,
    /// The value.
    pub value: &'a str,
}

/// Which values are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Higher ones (rewards).
    Higher,
    /// Lower ones (losses).
    Lower,
}

impl Better {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Higher => "higher",
            Self::Lower => "lower",
        }
    }

    fn is_better(self, value: f64, than: f64) -> bool {
        match self {
            Self::Higher => value > than,
            Self::Lower => value < than,
        }
    }
}

/// What a run without a value (diverged, not run) means for the choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingRuns {
    /// A level without a value in one of the replicates that choose is no candidate: a rate at which
    /// some runs diverge is not chosen for those that do not. Among the replicates that only estimate,
    /// missing runs are left out.
    Exclude,
    /// A missing run counts as the worst value in its group, wherever it is used. A level without any
    /// row in the group is still no candidate.
    Worst,
}

impl MissingRuns {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exclude => "exclude",
            Self::Worst => "worst",
        }
    }
}

/// How a level is chosen and what is reported of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectionRule {
    /// Chosen by all replicates and estimated on the same: biased towards better.
    Naive,
    /// Chosen by the first replicates, estimated on the others.
    FreshSeeds {
        /// Replicates that choose: the first of the group, by number where all are numbers.
        tuning: usize,
    },
    /// Chosen in each resample of the replicates, estimated on those left out of it.
    NestedBootstrap,
}

impl SelectionRule {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Naive => "naive",
            Self::FreshSeeds { .. } => "fresh seeds",
            Self::NestedBootstrap => "nested bootstrap",
        }
    }
}

/// How [`select`] chooses and estimates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SelectionOptions {
    /// The rule.
    pub rule: SelectionRule,
    /// What of its replicates a level is chosen by.
    pub choose_by: Estimator,
    /// What is estimated of the chosen level.
    pub estimator: Estimator,
    /// Which values are better.
    pub better: Better,
    /// What a missing run means.
    pub missing: MissingRuns,
    /// Level of intervals; resamples and their seed.
    pub bootstrap: Bootstrap,
}

impl SelectionOptions {
    /// A rule with means of rewards, levels with missing runs excluded.
    pub fn of(rule: SelectionRule) -> Self {
        Self {
            rule,
            choose_by: Estimator::Mean,
            estimator: Estimator::Mean,
            better: Better::Higher,
            missing: MissingRuns::Exclude,
            bootstrap: Bootstrap::tables(),
        }
    }
}

/// Chooses a level of a hyper-parameter in every group.
///
/// Rows of one level and replicate are averaged first. Of levels that are equally good the first is
/// chosen. One row a group, in the order of the group columns: those columns, then
///
/// | column | meaning |
/// |---|---|
/// | `rule` | the rule by name |
/// | `chosen` | the level, as in the tuned column; of the nested bootstrap the one that all replicates choose |
/// | `chosen_share` | share of resamples of the replicates that choose in which it is chosen |
/// | `candidates`, `excluded` | levels to choose from, and levels with rows that missing runs excluded |
/// | `n_tuning` | replicates that choose |
/// | `n_estimate` | replicates that the estimate rests on |
/// | `missing` | runs without a value, over the levels that have rows and all replicates of the group |
/// | `estimate` | null where no replicate has a value |
/// | `low`, `high` | interval; null below two replicates. That of the naive rule ignores the choice |
/// | `naive_chosen`, `naive_estimate` | what the naive rule chooses and reports; null where it has no candidate |
/// | `selection_bias` | `naive_estimate` minus `estimate`; where lower is better, optimism is negative |
/// | `choose_by`, `better`, `missing_runs` | options by name |
/// | `estimator`, `interval`, `interval_level` | what estimate and interval are |
/// | `resamples` | for `chosen_share`, the nested bootstrap and percentile intervals |
///
/// A mean has Student's t interval, a median or an IQM the bootstrap's.
///
/// # Errors
/// When a column is absent, a row has no replicate, a level is named twice, the bootstrap is out of
/// range, a group has no candidate, or fresh seeds leave no replicate to choose or to estimate.
pub fn select(
    frame: &DataFrame,
    columns: SelectionColumns<'_>,
    options: &SelectionOptions,
) -> Result<DataFrame, AnalysisError> {
    let trials = Trials::new(frame, columns, options)?;
    let selected = trials.selected(options)?;
    Ok(trials.table(&selected, options)?)
}

/// Every level of a hyper-parameter beside the chosen one: what a plot of sensitivity shows.
///
/// One row a group and level with rows, in the order of groups and levels: the group columns, the
/// tuned column under its own name, `n` replicates with a value, `missing` replicates of the group
/// without one, `estimate` and its interval `low`, `high` over the replicates with a value (pointwise,
/// whatever the rule), `candidate` and `chosen` (whether it may be and is chosen by the rule),
/// `chosen_share` (of the resamples of the replicates that choose), `rule`, `choose_by`, `better`,
/// `missing_runs`, `estimator`, `interval`, `interval_level` and `resamples` as in [`select`].
///
/// # Errors
/// As [`select`].
pub fn tuning_sensitivity(
    frame: &DataFrame,
    columns: SelectionColumns<'_>,
    options: &SelectionOptions,
) -> Result<DataFrame, AnalysisError> {
    let trials = Trials::new(frame, columns, options)?;
    let selected = trials.selected(options)?;
    let mut of_group = Vec::new();
    let mut levels = Vec::new();
    let mut found: Vec<(usize, usize, Vec<f64>)> = Vec::new();
    for (place, group) in trials.groups.iter().enumerate() {
        for (level, values) in group.values.iter().enumerate() {
            let Some(values) = values else { continue };
            of_group.push(index(place));
            levels.push(Some(level));
            found.push((place, level, values.iter().flatten().copied().collect()));
        }
    }
    let rows = found.len();
    let intervals = parallel_map(&found, options.bootstrap.threads, |(_, _, values)| {
        interval_of(values, options)
    })
    .into_iter()
    .collect::<Result<Vec<_>, _>>()?;
    let mut table = if columns.groups.is_empty() {
        DataFrame::new(rows, vec![])?
    } else {
        take(&trials.keys, &of_group)?
    };
    table.with_column(trials.level_column(columns.tuning, levels.into_iter())?)?;
    let units = |group: usize| trials.groups[group].units.len();
    push(&mut table, "n", found.iter().map(|(_, _, v)| v.len() as u64).collect::<Vec<_>>())?;
    let missing = found.iter().map(|(group, _, values)| (units(*group) - values.len()) as u64);
    push(&mut table, "missing", missing.collect::<Vec<_>>())?;
    let estimates = found.iter().map(|(_, _, values)| options.estimator.of(values));
    push(&mut table, "estimate", estimates.collect::<Vec<_>>())?;
    append_interval(&mut table, &intervals)?;
    let flags = |f: &dyn Fn(&Selected, usize) -> bool| {
        found.iter().map(|(group, level, _)| f(&selected[*group], *level)).collect::<Vec<bool>>()
    };
    push(&mut table, "candidate", flags(&|s, level| s.candidates.contains(&level)))?;
    push(&mut table, "chosen", flags(&|s, level| s.chosen == level))?;
    let shares = found.iter().map(|(group, level, _)| selected[*group].shares[*level]);
    push(&mut table, "chosen_share", shares.collect::<Vec<_>>())?;
    push(&mut table, "rule", vec![options.rule.name(); rows])?;
    push(&mut table, "choose_by", vec![options.choose_by.name(); rows])?;
    push(&mut table, "better", vec![options.better.name(); rows])?;
    push(&mut table, "missing_runs", vec![options.missing.name(); rows])?;
    push(&mut table, "estimator", vec![options.estimator.name(); rows])?;
    push(&mut table, "interval", vec![interval_method(options); rows])?;
    push(&mut table, "interval_level", vec![options.bootstrap.level; rows])?;
    push(&mut table, "resamples", vec![options.bootstrap.resamples as u64; rows])?;
    Ok(table)
}

/// The columns that [`figure_one`] reads: one row a run.
#[derive(Clone, Copy, Debug)]
pub struct FigureOneColumns<'a> {
    /// The toggled factors.
    pub factors: &'a [FactorLevels],
    /// The hyper-parameter that each combination of them chooses for itself.
    pub tuning: &'a str,
    /// Its levels, as in [`SelectionColumns::levels`].
    pub levels: &'a [String],
    /// The replicate.
    pub replicate: &'a str,
    /// The value.
    pub value: &'a str,
}

/// What [`figure_one`] returns.
#[derive(Clone, Debug)]
pub struct FigureOne {
    /// The choice of every combination, as [`select`] has it.
    pub chosen: DataFrame,
    /// The pooled runs.
    pub runs: DataFrame,
    /// Survival curves.
    pub survival: DataFrame,
    /// Differences of means, as [`factor_effects`] has them.
    pub effects: DataFrame,
}

/// The procedure behind Figure 1 of Engstrom et al. 2020 (Implementation Matters in Deep Policy
/// Gradients, ICLR): every combination of the toggled factors keeps the runs at its best level of the
/// tuned hyper-parameter; these runs are pooled, and for every factor the pool is split by level and
/// drawn as one minus its distribution function.
///
/// The rule is [`SelectionRule::Naive`] by the mean as in the paper, whose pooled values are then
/// biased towards better; with [`SelectionRule::FreshSeeds`] only the replicates that did not choose
/// are pooled. Bands and intervals resample replicates and take the chosen levels as given.
///
/// - `chosen`: [`select`], by the factors' columns.
/// - `runs`: one row a factor and pooled run: `factor`, `level`, the replicate under its own name,
///   `value` (null where missing), `combination` (`factor = level, …`), `chosen`.
/// - `survival`: [`survival`] of the pooled values by `factor` and `level`, at the given thresholds.
/// - `effects`: [`factor_effects`] of the pooled runs.
///
/// # Errors
/// As [`select`] and [`factor_effects`]; and for [`SelectionRule::NestedBootstrap`], which has no
/// chosen runs to pool.
pub fn figure_one(
    frame: &DataFrame,
    columns: FigureOneColumns<'_>,
    thresholds: &Thresholds,
    options: &SelectionOptions,
) -> Result<FigureOne, AnalysisError> {
    if options.rule == SelectionRule::NestedBootstrap {
        return Err(AnalysisError::NothingToPool);
    }
    let mut listed = vec![true; frame.height()];
    for factor in columns.factors {
        check_levels(&factor.column, &factor.levels)?;
        let places = level_places(frame, &factor.column, &factor.levels)?;
        for (listed, place) in listed.iter_mut().zip(places) {
            *listed &= place.is_some();
        }
    }
    let frame = frame.filter(&BooleanChunked::from_slice("".into(), &listed))?;
    let names: Vec<&str> = columns.factors.iter().map(|factor| factor.column.as_str()).collect();
    let by_combination = SelectionColumns {
        groups: &names,
        tuning: columns.tuning,
        levels: columns.levels,
        replicate: columns.replicate,
        value: columns.value,
    };
    let trials = Trials::new(&frame, by_combination, options)?;
    let selected = trials.selected(options)?;
    let chosen = trials.table(&selected, options)?;

    let mut of_group = Vec::new();
    let mut levels = Vec::new();
    let mut rows = Vec::new();
    let mut values: Vec<Option<f64>> = Vec::new();
    for (place, (group, selected)) in trials.groups.iter().zip(&selected).enumerate() {
        for &unit in &selected.estimating {
            of_group.push(index(place));
            levels.push(Some(selected.chosen));
            rows.push(trials.replicate_rows[group.units[unit]]);
            values.push(group.value(selected.chosen, unit, options));
        }
    }
    let mut pooled = if names.is_empty() {
        DataFrame::new(values.len(), vec![])?
    } else {
        take(&trials.keys, &of_group)?
    };
    let replicate = take(&frame.select([columns.replicate])?, &rows)?;
    pooled = pooled.hstack(replicate.columns())?;
    push(&mut pooled, columns.value, values.as_slice())?;
    let effects = factor_effects(
        &pooled,
        columns.factors,
        columns.replicate,
        columns.value,
        &options.bootstrap,
    )?;
    let combinations: Vec<String> =
        of_group.iter().map(|&group| trials.group_name(group as usize)).collect();
    let chosen_levels = trials.level_column("chosen", levels.into_iter())?;
    let mut parts: Vec<DataFrame> = Vec::new();
    for factor in columns.factors {
        let places = level_places(&pooled, &factor.column, &factor.levels)?;
        let level = |place: &Option<usize>| Some(factor.levels[(*place)?].clone());
        let mut part = DataFrame::new(values.len(), vec![])?;
        push(&mut part, "factor", vec![factor.column.as_str(); values.len()])?;
        push(&mut part, "level", places.iter().map(level).collect::<Vec<_>>())?;
        part = part.hstack(replicate.columns())?;
        push(&mut part, "value", values.as_slice())?;
        push(&mut part, "combination", combinations.as_slice())?;
        part.with_column(chosen_levels.clone())?;
        parts.push(part);
    }
    let mut parts = parts.into_iter();
    let mut runs = match parts.next() {
        Some(part) => part,
        None => DataFrame::new(0, vec![])?,
    };
    for part in parts {
        runs.vstack_mut(&part)?;
    }
    let by_level = SummaryColumns {
        groups: &["factor", "level"],
        replicate: columns.replicate,
        value: "value",
    };
    let survival = if runs.width() == 0 {
        DataFrame::new(0, vec![])?
    } else {
        survival(&runs, by_level, thresholds, &options.bootstrap)?
    };
    Ok(FigureOne { chosen, runs, survival, effects })
}

/// The interval of an estimate over replicates.
fn interval_of(
    values: &[f64],
    options: &SelectionOptions,
) -> Result<Option<Interval>, AnalysisError> {
    let by = &options.bootstrap;
    if options.estimator == Estimator::Mean {
        let tail = (1.0 - by.level) / 2.0;
        return Ok(mean(values).zip(sd(values)).map(|(value, sd)| {
            let half = match sd / count(values.len()).sqrt() {
                0.0 => 0.0,
                error => error * upper_quantile(tail, count(values.len() - 1)),
            };
            Interval { low: value - half, high: value + half }
        }));
    }
    by.sample(values, options.estimator)
}

fn interval_method(options: &SelectionOptions) -> &'static str {
    match options.estimator {
        Estimator::Mean => "t over replicates",
        Estimator::Iqm | Estimator::Median => options.bootstrap.method.words(),
    }
}

/// The runs of a group.
struct Group {
    /// Its replicates in order.
    units: Vec<usize>,
    /// By level, where it has rows: the value in every replicate.
    values: Vec<Option<Vec<Option<f64>>>>,
    /// The worst value.
    worst: Option<f64>,
}

impl Group {
    /// The value that counts for a level in a replicate.
    fn value(&self, level: usize, unit: usize, options: &SelectionOptions) -> Option<f64> {
        let value = self.values[level].as_ref()?[unit];
        match options.missing {
            MissingRuns::Exclude => value,
            MissingRuns::Worst => value.or(self.worst),
        }
    }

    /// Levels with a value that counts in every one of some replicates.
    fn candidates(&self, units: &[usize], options: &SelectionOptions) -> Vec<usize> {
        let has_all =
            |level: &usize| units.iter().all(|&unit| self.value(*level, unit, options).is_some());
        (0..self.values.len())
            .filter(|&level| self.values[level].is_some())
            .filter(has_all)
            .collect()
    }

    /// The best candidate in some replicates; the first where several are best.
    fn best(
        &self,
        candidates: &[usize],
        units: &[usize],
        options: &SelectionOptions,
    ) -> Option<usize> {
        let mut best: Option<(usize, f64)> = None;
        let mut values = Vec::with_capacity(units.len());
        for &level in candidates {
            values.clear();
            values.extend(units.iter().filter_map(|&unit| self.value(level, unit, options)));
            let Some(score) = options.choose_by.of(&values) else { continue };
            if best.is_none_or(|(_, so_far)| options.better.is_better(score, so_far)) {
                best = Some((level, score));
            }
        }
        best.map(|(level, _)| level)
    }

    fn of_level(&self, level: usize, units: &[usize], options: &SelectionOptions) -> Vec<f64> {
        units.iter().filter_map(|&unit| self.value(level, unit, options)).collect()
    }
}

/// The choice in a group; replicates are positions among the group's.
struct Selected {
    chosen: usize,
    /// By level: the share of resamples that choose it.
    shares: Vec<f64>,
    candidates: Vec<usize>,
    excluded: usize,
    tuning: Vec<usize>,
    estimating: Vec<usize>,
    entered: usize,
    missing: usize,
    estimate: Option<f64>,
    interval: Option<Interval>,
    naive: Option<(usize, f64)>,
}

/// The runs of all groups.
struct Trials {
    keys: DataFrame,
    /// The key columns as text.
    key_texts: Vec<(String, Vec<Option<String>>)>,
    groups: Vec<Group>,
    tuning: String,
    levels: Vec<String>,
    /// The tuned column, and a row of it for every level.
    tuned: DataFrame,
    level_rows: Vec<IdxSize>,
    /// A row of the frame for every replicate.
    replicate_rows: Vec<IdxSize>,
}

impl Trials {
    fn new(
        frame: &DataFrame,
        columns: SelectionColumns<'_>,
        options: &SelectionOptions,
    ) -> Result<Self, AnalysisError> {
        options.bootstrap.check()?;
        let levels = if columns.levels.is_empty() {
            let keys = groups(frame, &[columns.tuning])?.keys;
            texts(&keys, columns.tuning)?.into_iter().flatten().collect()
        } else {
            check_levels(columns.tuning, columns.levels)?;
            columns.levels.to_vec()
        };
        let places = level_places(frame, columns.tuning, &levels)?;
        let replicates = ordered_replicates(frame, columns.replicate)?;
        let values = numbers(frame, columns.value)?;
        let mut level_rows: Vec<IdxSize> = vec![0; levels.len()];
        let mut replicate_rows: Vec<IdxSize> =
            vec![0; replicates.iter().max().map_or(0, |last| last + 1)];
        for (row, (place, replicate)) in places.iter().zip(&replicates).enumerate() {
            replicate_rows[*replicate] = index(row);
            if let Some(place) = place {
                level_rows[*place] = index(row);
            }
        }
        let Groups { keys, rows } = groups(frame, columns.groups)?;
        let group = |rows: &Vec<usize>| {
            let mut units: Vec<usize> =
                rows.iter().filter(|row| places[**row].is_some()).map(|&r| replicates[r]).collect();
            units.sort_unstable();
            units.dedup();
            let mut found: Vec<Option<Vec<Vec<f64>>>> = vec![None; levels.len()];
            for &row in rows {
                let Some(level) = places[row] else { continue };
                let of_level = found[level].get_or_insert_with(|| vec![vec![]; units.len()]);
                if let (Ok(unit), Some(value)) =
                    (units.binary_search(&replicates[row]), values[row])
                {
                    of_level[unit].push(value);
                }
            }
            let averaged = |mut rows: Vec<f64>| {
                // In order, so that the order of rows shows in not even the last bit.
                rows.sort_unstable_by(f64::total_cmp);
                mean(&rows)
            };
            let values: Vec<Option<Vec<Option<f64>>>> = found
                .into_iter()
                .map(|level| Some(level?.into_iter().map(averaged).collect()))
                .collect();
            let worst =
                values.iter().flatten().flatten().flatten().copied().reduce(|worst, value| {
                    if options.better.is_better(worst, value) { value } else { worst }
                });
            Group { units, values, worst }
        };
        let groups = rows.iter().map(group).collect();
        let key_texts =
            columns.groups.iter().map(|name| Ok(((*name).to_owned(), texts(&keys, name)?)));
        let key_texts = key_texts.collect::<PolarsResult<_>>()?;
        Ok(Self {
            keys,
            key_texts,
            groups,
            tuning: columns.tuning.to_owned(),
            levels,
            tuned: frame.select([columns.tuning])?,
            level_rows,
            replicate_rows,
        })
    }

    /// Levels as the tuned column has them.
    fn level_column(
        &self,
        name: &str,
        levels: impl Iterator<Item = Option<usize>>,
    ) -> PolarsResult<Column> {
        let rows: IdxCa = levels.map(|level| Some(self.level_rows[level?])).collect();
        Ok(self.tuned.column(&self.tuning)?.take(&rows)?.with_name(name.into()))
    }

    fn group_name(&self, group: usize) -> String {
        if self.key_texts.is_empty() {
            return "all rows".into();
        }
        let named = self.key_texts.iter().map(|(name, values)| {
            format!("{name} = {}", values[group].as_deref().unwrap_or("null"))
        });
        named.collect::<Vec<_>>().join(", ")
    }

    /// One row a group.
    fn table(&self, selected: &[Selected], options: &SelectionOptions) -> PolarsResult<DataFrame> {
        let floats = |f: &dyn Fn(&Selected) -> Option<f64>| {
            selected.iter().map(f).collect::<Vec<Option<f64>>>()
        };
        let counts = |f: &dyn Fn(&Selected) -> usize| {
            selected.iter().map(|selected| f(selected) as u64).collect::<Vec<u64>>()
        };
        let rows = selected.len();
        let mut table = self.keys.clone();
        if self.key_texts.is_empty() {
            table = DataFrame::new(rows, vec![])?;
        }
        push(&mut table, "rule", vec![options.rule.name(); rows])?;
        let chosen = selected.iter().map(|selected| Some(selected.chosen));
        table.with_column(self.level_column("chosen", chosen)?)?;
        push(&mut table, "chosen_share", floats(&|s| Some(s.shares[s.chosen])))?;
        push(&mut table, "candidates", counts(&|s| s.candidates.len()))?;
        push(&mut table, "excluded", counts(&|s| s.excluded))?;
        push(&mut table, "n_tuning", counts(&|s| s.tuning.len()))?;
        push(&mut table, "n_estimate", counts(&|s| s.entered))?;
        push(&mut table, "missing", counts(&|s| s.missing))?;
        push(&mut table, "estimate", floats(&|s| s.estimate))?;
        append_interval(&mut table, &selected.iter().map(|s| s.interval).collect::<Vec<_>>())?;
        let naive = selected.iter().map(|selected| Some(selected.naive?.0));
        table.with_column(self.level_column("naive_chosen", naive)?)?;
        push(&mut table, "naive_estimate", floats(&|s| Some(s.naive?.1)))?;
        // What is smaller than the rounding of the sums behind it is zero.
        let bias = |naive: f64, honest: f64| match naive - honest {
            bias if bias.abs() <= 1e-12 * naive.abs().max(honest.abs()) => 0.0,
            bias => bias,
        };
        push(&mut table, "selection_bias", floats(&|s| Some(bias(s.naive?.1, s.estimate?))))?;
        push(&mut table, "choose_by", vec![options.choose_by.name(); rows])?;
        push(&mut table, "better", vec![options.better.name(); rows])?;
        push(&mut table, "missing_runs", vec![options.missing.name(); rows])?;
        let (estimator, interval) = match (options.rule, options.estimator) {
            (SelectionRule::NestedBootstrap, Estimator::Mean) => (
                "leave-one-out bootstrap mean".to_owned(),
                "t with the delta method after the bootstrap",
            ),
            (SelectionRule::NestedBootstrap, other) => (
                format!("mean over resamples of the out-of-bag {}", other.name()),
                "out-of-bag percentiles",
            ),
            (_, other) => (other.name().to_owned(), interval_method(options)),
        };
        push(&mut table, "estimator", vec![estimator; rows])?;
        push(&mut table, "interval", vec![interval; rows])?;
        push(&mut table, "interval_level", vec![options.bootstrap.level; rows])?;
        push(&mut table, "resamples", vec![options.bootstrap.resamples as u64; rows])?;
        Ok(table)
    }

    fn selected(&self, options: &SelectionOptions) -> Result<Vec<Selected>, AnalysisError> {
        let places: Vec<usize> = (0..self.groups.len()).collect();
        let selected =
            parallel_map(&places, options.bootstrap.threads, |&group| self.choice(group, options));
        selected.into_iter().collect()
    }

    fn choice(&self, place: usize, options: &SelectionOptions) -> Result<Selected, AnalysisError> {
        let group = &self.groups[place];
        let all: Vec<usize> = (0..group.units.len()).collect();
        let (tuning, estimating) = match options.rule {
            SelectionRule::FreshSeeds { tuning } if tuning == 0 || tuning >= all.len() => {
                return Err(AnalysisError::TuningReplicates {
                    group: self.group_name(place),
                    asked: tuning,
                    present: all.len(),
                });
            }
            SelectionRule::FreshSeeds { tuning } => {
                (all[..tuning].to_vec(), all[tuning..].to_vec())
            }
            SelectionRule::Naive | SelectionRule::NestedBootstrap => (all.clone(), all.clone()),
        };
        let candidates = group.candidates(&tuning, options);
        let Some(chosen) = group.best(&candidates, &tuning, options) else {
            let reason = match options.missing {
                _ if group.worst.is_none() => "no run has a value",
                MissingRuns::Exclude => {
                    "each lacks a value in a replicate that chooses; count missing runs as the worst, \
                     choose by other replicates, or run what is missing"
                }
                MissingRuns::Worst => "none has a run",
            };
            let (tuning, group) = (self.tuning.clone(), self.group_name(place));
            return Err(AnalysisError::NoCandidate { tuning, group, reason });
        };
        let with_rows = group.values.iter().flatten();
        let missing = with_rows.clone().flatten().filter(|value| value.is_none()).count();
        let resamples = self.resampled(group, &candidates, &tuning, options);
        let mut shares = vec![0.0; self.levels.len()];
        for (level, _) in &resamples {
            shares[*level] += 1.0;
        }
        // Divided once, so that a level that is always chosen has exactly all of them.
        shares.iter_mut().for_each(|share| *share /= count(resamples.len().max(1)));
        let naive = group.candidates(&all, options);
        let naive = group.best(&naive, &all, options).and_then(|level| {
            let values = group.of_level(level, &all, options);
            Some((level, options.estimator.of(&values)?))
        });
        let (entered, estimate, interval) = if options.rule == SelectionRule::NestedBootstrap {
            let honest = honest(group, &resamples, options);
            (honest.map_or(0, |_| all.len()), honest.map(|h| h.0), honest.and_then(|h| h.1))
        } else {
            let values = group.of_level(chosen, &estimating, options);
            (values.len(), options.estimator.of(&values), interval_of(&values, options)?)
        };
        Ok(Selected {
            chosen,
            shares,
            excluded: with_rows.count() - candidates.len(),
            candidates,
            tuning,
            estimating,
            entered,
            missing,
            estimate,
            interval,
            naive,
        })
    }

    /// What every resample of the replicates that choose chooses, and how often it has each.
    fn resampled(
        &self,
        group: &Group,
        candidates: &[usize],
        tuning: &[usize],
        options: &SelectionOptions,
    ) -> Vec<(usize, Vec<u32>)> {
        // Which replicates are left out is asked for, so that weights will not do.
        let ordinary = Bootstrap { method: IntervalMethod::Percentile, ..options.bootstrap };
        let draws = ordinary.draws(0, tuning.len());
        (0..options.bootstrap.resamples)
            .filter_map(|resample| {
                let mut times = vec![0; group.units.len()];
                let mut picked: Vec<usize> =
                    draws.resample(resample).iter().map(|&unit| tuning[unit as usize]).collect();
                // In order, so that equal resamples have equal sums and ties stay ties.
                picked.sort_unstable();
                for &unit in &picked {
                    times[unit] += 1;
                }
                Some((group.best(candidates, &picked, options)?, times))
            })
            .collect()
    }
}

/// Estimate and interval of the nested bootstrap; `None` where nothing is ever left out.
fn honest(
    group: &Group,
    resamples: &[(usize, Vec<u32>)],
    options: &SelectionOptions,
) -> Option<(f64, Option<Interval>)> {
    let units = group.units.len();
    let alpha = 1.0 - options.bootstrap.level;
    let scored = |level: usize, times: &[u32]| -> Vec<(usize, f64)> {
        let out = (0..units).filter(|&unit| times[unit] == 0);
        out.filter_map(|unit| Some((unit, group.value(level, unit, options)?))).collect()
    };
    if options.estimator != Estimator::Mean {
        let mut of_resamples: Vec<f64> = resamples
            .iter()
            .filter_map(|(level, times)| {
                let values = scored(*level, times);
                options.estimator.of(&values.iter().map(|(_, value)| *value).collect::<Vec<_>>())
            })
            .collect();
        of_resamples.sort_unstable_by(f64::total_cmp);
        let interval = Interval {
            low: quantile(&of_resamples, alpha / 2.0)?,
            high: quantile(&of_resamples, 1.0 - alpha / 2.0)?,
        };
        return Some((mean(&of_resamples)?, Some(interval)));
    }
    let n = count(units);
    let all = count(resamples.len());
    let mut sums = vec![(0.0, 0.0); units];
    for (level, times) in resamples {
        for (unit, value) in scored(*level, times) {
            sums[unit].0 += value;
            sums[unit].1 += 1.0;
        }
    }
    let scores: Option<Vec<f64>> =
        sums.iter().map(|(sum, times)| (*times > 0.0).then(|| sum / times)).collect();
    let scores = scores?;
    let value = mean(&scores)?;
    // Sums over resamples of how often a unit was drawn, of the score, and of their product. Scores
    // around the estimate have the same covariance and less noise from the number left out.
    let (mut drawn, mut product, mut score) = (vec![0.0; units], vec![0.0; units], 0.0);
    for (level, times) in resamples {
        let share =
            scored(*level, times).iter().map(|(_, of_unit)| of_unit - value).sum::<f64>() / n;
        score += share;
        for (unit, &times) in times.iter().enumerate() {
            drawn[unit] += f64::from(times);
            product[unit] += f64::from(times) * share;
        }
    }
    let often = (1.0 - 1.0 / n).powf(-n);
    let influence = |unit: usize| {
        let covariance = (product[unit] - drawn[unit] * score / all) / all;
        (2.0 + 1.0 / (n - 1.0)) * (scores[unit] - value) / n + often * covariance
    };
    let error = (0..units).map(|unit| influence(unit).powi(2)).sum::<f64>().sqrt();
    let half = if error == 0.0 { 0.0 } else { upper_quantile(alpha / 2.0, n - 1.0) * error };
    Some((value, Some(Interval { low: value - half, high: value + half })))
}

/// The replicate of every row, numbered in their order: by number where all are numbers, else by text.
fn ordered_replicates(frame: &DataFrame, column: &str) -> Result<Vec<usize>, AnalysisError> {
    let places = replicates(frame, column)?;
    let mut numbered: BTreeMap<usize, f64> = BTreeMap::new();
    for (place, text) in places.iter().zip(texts(frame, column)?) {
        match text.and_then(|text| text.parse::<f64>().ok()).filter(|number| number.is_finite()) {
            Some(number) => numbered.insert(*place, number),
            None => return Ok(places),
        };
    }
    let mut order: Vec<(usize, f64)> = numbered.into_iter().collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let ranks: BTreeMap<usize, usize> =
        order.iter().enumerate().map(|(rank, (place, _))| (*place, rank)).collect();
    Ok(places.iter().filter_map(|place| ranks.get(place).copied()).collect())
}
