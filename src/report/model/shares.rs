//! Shares of runs above a value: by level of each factor, and by algorithm over tasks.

use std::collections::BTreeMap;

use polars::prelude::*;

use super::super::{ReportError, ReportInput};
use super::{ARM, Curve, LevelCurve, TaskArms, curve, first_text, numbers, stacked};
use analysis::{
    Bootstrap, FactorLevels, IntervalMethod, ProfileOf, Resampled, ScoreColumns, SummaryColumns,
    TaskReference, Thresholds, normalise_scores, performance_profiles, survival,
};

/// Values of a curve at most.
const POINTS: usize = 128;

/// Shares by level, pooled over every other factor.
pub(in super::super) struct Shares {
    /// How the intervals are made.
    pub(in super::super) method: String,
    pub(in super::super) factors: Vec<(String, Vec<LevelCurve>)>,
    pub(in super::super) table: DataFrame,
}

impl Shares {
    pub(super) fn new(
        input: &ReportInput<'_>,
        frame: &DataFrame,
        factors: &[FactorLevels],
    ) -> Result<Option<Self>, ReportError> {
        let Some(headline) = input.metrics.first() else { return Ok(None) };
        if factors.is_empty() || numbers(frame, headline.name)?.iter().all(Option::is_none) {
            return Ok(None);
        }
        let thresholds = thresholds(&numbers(frame, headline.name)?);
        let mut method = String::new();
        let mut of_factors = Vec::new();
        let mut tables = Vec::new();
        for factor in factors {
            let name = factor.column.strip_prefix("factor_").unwrap_or(&factor.column);
            let mut levels = Vec::new();
            for level in &factor.levels {
                let here = frame.column(&factor.column)?.str()?.equal(level.as_str());
                let of_level = frame.filter(&here)?;
                let columns =
                    SummaryColumns { groups: &[], replicate: "replicate", value: headline.name };
                let mut table = survival(&of_level, columns, &thresholds, &bootstrap(input))?;
                if table.height() > 0 {
                    method = first_text(&table, "interval")?;
                }
                let runs = numbers(&of_level, headline.name)?.iter().flatten().count();
                levels
                    .push(LevelCurve { level: level.clone(), curve: curve(&table, "tau", runs)? });
                let height = table.height();
                table
                    .insert_column(0, Column::new("level".into(), vec![level.as_str(); height]))?;
                table.insert_column(0, Column::new("factor".into(), vec![name; height]))?;
                tables.push(table);
            }
            of_factors.push((name.to_owned(), levels));
        }
        Ok(Some(Self { method, factors: of_factors, table: stacked(tables)? }))
    }
}

/// How shares get their intervals: as asked, or else by the percentile bootstrap, because a share of
/// one sample has neither a standard error where it is 0 or 1 nor weights here.
fn bootstrap(input: &ReportInput<'_>) -> Bootstrap {
    let asked = input.options.curves();
    let method = match asked.method {
        IntervalMethod::Studentized | IntervalMethod::Bayesian => IntervalMethod::Percentile,
        method => method,
    };
    Bootstrap { method, ..asked }
}

/// Every value that occurs, at most so many, and one below all, where the share is still one.
fn thresholds(values: &[Option<f64>]) -> Thresholds {
    let mut values: Vec<f64> = values.iter().flatten().copied().collect();
    values.sort_unstable_by(f64::total_cmp);
    values.dedup();
    let (Some(low), Some(high)) = (values.first().copied(), values.last().copied()) else {
        return Thresholds::At(Vec::new());
    };
    let step = values.len().div_ceil(POINTS).max(1);
    let mut at: Vec<f64> = values.iter().copied().step_by(step).collect();
    at.extend([low - (high - low) * 0.02, high]);
    Thresholds::At(at)
}

/// Shares over several tasks, of scores that were scaled to a common range.
pub(in super::super) struct Profiles {
    /// How the intervals are made.
    pub(in super::super) method: String,
    pub(in super::super) tasks: Vec<String>,
    /// One a name of an arm within its task.
    pub(in super::super) arms: Vec<(String, Curve)>,
    pub(in super::super) table: DataFrame,
}

impl Profiles {
    pub(super) fn new(
        input: &ReportInput<'_>,
        frame: &DataFrame,
        tasks: Option<Vec<TaskArms>>,
    ) -> Result<Option<Self>, ReportError> {
        let (Some(headline), Some(tasks)) = (input.metrics.first(), tasks) else { return Ok(None) };
        // Of arm names that do not stand in every task, the profiles would be of different tasks.
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, name) in tasks.iter().flat_map(|(_, arms)| arms) {
            *counts.entry(name).or_default() += 1;
        }
        let everywhere = |name: &str| counts.get(name) == Some(&tasks.len());
        let mut placed: BTreeMap<u64, (&str, &str)> = BTreeMap::new();
        for (task, arms) in &tasks {
            for (arm, name) in arms.iter().filter(|(_, name)| everywhere(name)) {
                placed.insert(*arm as u64, (task, name));
            }
        }
        let arms: Vec<Option<&(&str, &str)>> = frame
            .column(ARM)?
            .u64()?
            .iter()
            .map(|arm| arm.and_then(|arm| placed.get(&arm)))
            .collect();
        let kept: BooleanChunked = arms.iter().map(|arm| Some(arm.is_some())).collect();
        let mut scores = frame.select(["replicate", headline.name])?;
        let column = |name: &str, values: Vec<Option<&str>>| Column::new(name.into(), values);
        scores.with_column(column("task", arms.iter().map(|arm| arm.map(|a| a.0)).collect()))?;
        scores.with_column(column("arm", arms.iter().map(|arm| arm.map(|a| a.1)).collect()))?;
        let scores = scores.filter(&kept)?;
        let Some(references) = references(&scores, headline.name, &tasks)? else {
            return Ok(None);
        };
        let scores = normalise_scores(&scores, "task", headline.name, &references)?;
        let columns = ScoreColumns {
            groups: &[],
            method: "arm",
            task: "task",
            replicate: "replicate",
            value: headline.name,
        };
        let thresholds = thresholds(&numbers(&scores, headline.name)?);
        let table = performance_profiles(
            &scores,
            columns,
            ProfileOf::Runs,
            &thresholds,
            Resampled::Runs,
            &bootstrap(input),
        )?;
        let method = first_text(&table, "interval")?;
        let mut of_arms = Vec::new();
        for (_, name) in tasks.iter().take(1).flat_map(|(_, arms)| arms) {
            let of_arm = table.filter(&table.column("arm")?.str()?.equal(name.as_str()))?;
            let runs = of_arm.column("n")?.u64()?.iter().flatten().next().unwrap_or_default();
            let runs = usize::try_from(runs).unwrap_or(usize::MAX);
            if of_arm.height() > 0 {
                of_arms.push((name.clone(), curve(&of_arm, "tau", runs)?));
            }
        }
        let tasks = tasks.into_iter().map(|(task, _)| task).collect();
        Ok((of_arms.len() > 1).then_some(Self { method, tasks, arms: of_arms, table }))
    }
}

/// The smallest and the largest value of every task; `None` where one has no two different values.
fn references(
    scores: &DataFrame,
    value: &str,
    tasks: &[(String, Vec<(usize, String)>)],
) -> Result<Option<Vec<TaskReference>>, ReportError> {
    let mut references = Vec::new();
    for (task, _) in tasks {
        let here = scores.column("task")?.str()?.equal(task.as_str());
        let values = numbers(&scores.filter(&here)?, value)?;
        let values = || values.iter().flatten().copied();
        match (values().reduce(f64::min), values().reduce(f64::max)) {
            (Some(zero), Some(one)) if zero < one => {
                references.push(TaskReference { task: task.clone(), zero, one });
            }
            _ => return Ok(None),
        }
    }
    Ok(Some(references))
}
