//! Scores of methods on tasks, as rliable analyses them (Agarwal et al. 2021, "Deep reinforcement
//! learning at the edge of the statistical precipice").
//!
//! A method has some runs on each of several tasks, not necessarily equally many. Point estimates
//! follow rliable 1.2.0; where tasks have unequal numbers of runs, which rliable cannot take, means
//! and medians give every task the same weight, and the interquartile mean and the optimality gap
//! every run.

mod profiles;
mod resampling;
mod tables;
mod weighted;

use std::collections::BTreeMap;

use polars::prelude::*;

use crate::AnalysisError;
use crate::frames::{Groups, groups, numbers, replicates, texts};
use crate::tables::push;
pub use profiles::{ProfileOf, Thresholds, performance_profiles, survival};
pub use resampling::Resampled;
pub use tables::{aggregate_scores, probability_of_improvement, win_rates};
use weighted::{Aggregator, Weighted};

/// The columns of a frame of scores, one row a method, task and replicate.
#[derive(Clone, Copy, Debug)]
pub struct ScoreColumns<'a> {
    /// Columns whose values separate analyses, such as the step of training at which scores were
    /// taken; usually none.
    pub groups: &'a [&'a str],
    /// The method (algorithm, arm, model).
    pub method: &'a str,
    /// The task (environment, game, data set).
    pub task: &'a str,
    /// The replicate (seed).
    pub replicate: &'a str,
    /// The score; higher is better.
    pub value: &'a str,
}

/// A number for all of a method's scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aggregate {
    /// The mean over tasks of the mean score on each (`rliable.metrics.aggregate_mean`).
    Mean,
    /// The median over tasks of the mean score on each (`aggregate_median`): not of runs.
    Median,
    /// The interquartile mean of the scores of all tasks together (`aggregate_iqm`), see
    /// [`crate::iqm`].
    Iqm,
    /// By how much scores fall short of a target, those above it counting as the target:
    /// `gamma` minus the mean over all scores of min(score, `gamma`) (`aggregate_optimality_gap`).
    OptimalityGap {
        /// The target; rliable's default is 1, of scores normalised so that 1 is a reference.
        gamma: f64,
    },
}

impl Aggregate {
    /// The four of rliable, with its target 1.
    pub const ALL: [Self; 4] =
        [Self::Median, Self::Iqm, Self::Mean, Self::OptimalityGap { gamma: 1.0 }];

    /// What is estimated, as tables name it.
    pub fn name(self) -> String {
        match self {
            Self::Mean => "mean over tasks".into(),
            Self::Median => "median over tasks".into(),
            Self::Iqm => "iqm".into(),
            Self::OptimalityGap { gamma } => format!("optimality gap below {gamma}"),
        }
    }
}

/// The scores of one method: runs of tasks, not necessarily equally many of each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// Sorted by name; may have no values.
    tasks: Vec<TaskScores>,
    missing: usize,
}

#[derive(Clone, Debug, PartialEq)]
struct TaskScores {
    name: String,
    /// Ascending.
    values: Vec<f64>,
}

impl Scores {
    /// Scores of tasks by name. NaN and infinite scores are missing; scores under the same name
    /// belong to the same task.
    pub fn new<'a>(tasks: impl IntoIterator<Item = (&'a str, &'a [f64])>) -> Self {
        let mut by_name: BTreeMap<&str, Vec<Option<f64>>> = BTreeMap::new();
        for (name, values) in tasks {
            by_name.entry(name).or_default().extend(values.iter().map(|&value| Some(value)));
        }
        Self::from_tasks(by_name.into_iter().map(|(name, values)| (name.to_owned(), values)))
    }

    /// Scores from a frame that has one row a run and one column a task.
    ///
    /// # Errors
    /// When a column is absent or not numeric.
    pub fn from_wide(frame: &DataFrame, tasks: &[&str]) -> Result<Self, AnalysisError> {
        let columns = tasks
            .iter()
            .map(|&task| Ok((task.to_owned(), numbers(frame, task)?)))
            .collect::<PolarsResult<BTreeMap<_, _>>>()?;
        Ok(Self::from_tasks(columns))
    }

    /// Scores of every method in a frame, in the order of the methods' names.
    /// [`ScoreColumns::groups`] are not read.
    ///
    /// # Errors
    /// When a column is absent or of the wrong type, a row lacks its method, task or replicate, or
    /// two rows have all three in common.
    pub fn by_method(
        frame: &DataFrame,
        columns: ScoreColumns<'_>,
    ) -> Result<Vec<(String, Self)>, AnalysisError> {
        let one_group = ScoreColumns { groups: &[], ..columns };
        Ok(read(frame, one_group)?.1.into_iter().flatten().collect())
    }

    /// Sorts every task's values; what is not finite is missing. Names ascend.
    fn from_tasks(tasks: impl IntoIterator<Item = (String, Vec<Option<f64>>)>) -> Self {
        let mut scores = Self::default();
        for (name, values) in tasks {
            let all = values.len();
            let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
            let mut values: Vec<f64> = values.into_iter().filter_map(finite).collect();
            scores.missing += all - values.len();
            values.sort_unstable_by(f64::total_cmp);
            scores.tasks.push(TaskScores { name, values });
        }
        scores
    }

    /// Number of scores.
    pub fn count(&self) -> usize {
        self.tasks.iter().map(|task| task.values.len()).sum()
    }

    /// Number of tasks with a score.
    pub fn tasks(&self) -> usize {
        self.tasks.iter().filter(|task| !task.values.is_empty()).count()
    }

    /// Number of missing scores.
    pub fn missing(&self) -> usize {
        self.missing
    }

    /// The value of an aggregate; `None` without scores.
    pub fn aggregate(&self, aggregate: Aggregate) -> Option<f64> {
        self.aggregates(&[aggregate]).first().copied().flatten()
    }

    fn aggregates(&self, aggregates: &[Aggregate]) -> Vec<Option<f64>> {
        let scores = self.without_empty_tasks();
        if scores.tasks.is_empty() {
            return vec![None; aggregates.len()];
        }
        let mut numbers = vec![f64::NAN; aggregates.len()];
        Weighted::new(&scores).of_sample(|scores, sample| {
            Aggregator::new(scores, aggregates).measure(sample, &mut numbers);
        });
        numbers.into_iter().map(Some).collect()
    }

    fn without_empty_tasks(&self) -> Self {
        self.restricted_to(|task| !task.values.is_empty())
    }

    fn restricted_to(&self, keep: impl Fn(&TaskScores) -> bool) -> Self {
        let tasks = self.tasks.iter().filter(|task| keep(task)).cloned().collect();
        Self { tasks, missing: self.missing }
    }

    fn task(&self, name: &str) -> Option<&TaskScores> {
        let place = self.tasks.binary_search_by(|task| task.name.as_str().cmp(name)).ok()?;
        self.tasks.get(place)
    }
}

/// Named methods of one group.
type Methods = Vec<(String, Scores)>;

/// The groups of a frame (one row each) and the methods of each.
fn read(
    frame: &DataFrame,
    columns: ScoreColumns<'_>,
) -> Result<(DataFrame, Vec<Methods>), AnalysisError> {
    let Groups { keys, rows } = groups(frame, columns.groups)?;
    let methods = labels(frame, columns.method)?;
    let tasks = labels(frame, columns.task)?;
    let replicates = replicates(frame, columns.replicate)?;
    let values = numbers(frame, columns.value)?;
    let mut of_groups = Vec::with_capacity(rows.len());
    for rows in rows {
        let mut by_method: BTreeMap<&str, BTreeMap<&str, BTreeMap<usize, Option<f64>>>> =
            BTreeMap::new();
        for row in rows {
            let of_task =
                by_method.entry(&methods[row]).or_default().entry(&tasks[row]).or_default();
            if of_task.insert(replicates[row], values[row]).is_some() {
                return Err(AnalysisError::RepeatedScore {
                    method: methods[row].clone(),
                    task: tasks[row].clone(),
                    row,
                });
            }
        }
        let scores = |tasks: BTreeMap<&str, BTreeMap<usize, Option<f64>>>| {
            let named = |(name, runs): (&str, BTreeMap<usize, Option<f64>>)| {
                (name.to_owned(), runs.into_values().collect())
            };
            Scores::from_tasks(tasks.into_iter().map(named))
        };
        of_groups.push(
            by_method.into_iter().map(|(name, tasks)| (name.to_owned(), scores(tasks))).collect(),
        );
    }
    Ok((keys, of_groups))
}

/// A column as text, in which no row may be empty.
fn labels(frame: &DataFrame, column: &str) -> Result<Vec<String>, AnalysisError> {
    texts(frame, column)?
        .into_iter()
        .enumerate()
        .map(|(row, label)| {
            label.ok_or_else(|| AnalysisError::NoLabel { column: column.to_owned(), row })
        })
        .collect()
}

/// A wide frame of scores as the long one that the functions here read: for each row and each of
/// the `tasks`' columns one row with the columns `keep` (method, replicate, …), `task` (text) and
/// `value` (Float64). Rows are ordered by task, then as they were.
///
/// # Errors
/// When a column is absent or a task's is not numeric.
pub fn long_scores(
    frame: &DataFrame,
    keep: &[&str],
    tasks: &[&str],
) -> Result<DataFrame, AnalysisError> {
    let mut long: Option<DataFrame> = None;
    for &task in tasks {
        let mut part = frame.select(keep.iter().copied())?;
        push(&mut part, "task", vec![task; frame.height()])?;
        push(&mut part, "value", numbers(frame, task)?)?;
        match &mut long {
            Some(long) => {
                long.vstack_mut(&part)?;
            }
            None => long = Some(part),
        }
    }
    match long {
        Some(long) => Ok(long),
        None => Ok(frame.select(keep.iter().copied())?.clear()),
    }
}

/// Two scores of a task between which others are placed, such as those of a random and of a human
/// player.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskReference {
    /// The task.
    pub task: String,
    /// The score that becomes 0.
    pub zero: f64,
    /// The score that becomes 1; may be the smaller one where less is better.
    pub one: f64,
}

/// Replaces the column `value` by (value - zero) / (one - zero) of each row's task, without
/// clipping. Missing values become null.
///
/// # Errors
/// When a column is absent or of the wrong type, a task has no reference, or the two scores of a
/// reference are equal or not finite.
pub fn normalise_scores(
    frame: &DataFrame,
    task: &str,
    value: &str,
    references: &[TaskReference],
) -> Result<DataFrame, AnalysisError> {
    let mut by_task = BTreeMap::new();
    for reference in references {
        let span = reference.one - reference.zero;
        if span == 0.0 || !span.is_finite() {
            return Err(AnalysisError::Reference { task: reference.task.clone() });
        }
        by_task.insert(reference.task.as_str(), (reference.zero, span));
    }
    let normalised = labels(frame, task)?
        .iter()
        .zip(numbers(frame, value)?)
        .map(|(task, value)| match by_task.get(task.as_str()) {
            Some((zero, span)) => Ok(value.map(|value| (value - zero) / span)),
            None => Err(AnalysisError::NoReference { task: task.clone() }),
        })
        .collect::<Result<Vec<Option<f64>>, _>>()?;
    let mut table = frame.clone();
    table.with_column(Column::new(value.into(), normalised))?;
    Ok(table)
}
