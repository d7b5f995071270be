//! Tables of models by scenarios, as HELM publishes them: win rates, head-to-head comparisons, mean
//! scores, coverage.
//!
//! The frames are wide: one row a model, one column a scenario, null where a model has no result.
//! Only models with a result on a scenario compete on it. Results on the level of instances have a
//! long frame: [`super::win_rates`] resamples them by instance, by scenario, or both.

use polars::prelude::*;

use super::estimator::{count, mean};
use super::frames::{numbers, texts};
use super::tables::push;
use super::{AnalysisError, Better, Bootstrap, Interval};

/// What becomes of two models that are equal on a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ties {
    /// Each wins one half (HELM since September 2024).
    Half,
    /// The model in the later row wins; where lower values are better, too, the one in the earlier
    /// row (HELM before: the rank in a sort by value and row, reversed for such columns). Depends on
    /// an order that means nothing: for published numbers only.
    RowOrder,
    /// Neither wins: the lower bound over all rules.
    Lost,
    /// Both win: the upper bound over all rules.
    Won,
}

impl Ties {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Half => "ties one half",
            Self::RowOrder => "ties by row order",
            Self::Lost => "ties lost",
            Self::Won => "ties won",
        }
    }

    /// How much of a comparison the first of two results wins: each is a number, of which higher is
    /// better, and a row.
    pub(super) fn share(self, own: (f64, usize), other: (f64, usize)) -> f64 {
        #[allow(clippy::float_cmp)] // a tie is equality
        if own.0 != other.0 {
            return if own.0 > other.0 { 1.0 } else { 0.0 };
        }
        match self {
            Self::Half => 0.5,
            Self::RowOrder if own.1 > other.1 => 1.0,
            Self::RowOrder | Self::Lost => 0.0,
            Self::Won => 1.0,
        }
    }
}

/// The columns of a leaderboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderboardColumns<'a> {
    /// The column of models; none is empty.
    pub model: &'a str,
    /// The columns of scenarios that enter, and which of their values are better.
    pub scenarios: &'a [(&'a str, Better)],
    /// Results that do not compete, as model and scenario: HELM v0.2.0 to v0.4.0 left out what was
    /// strongly contaminated.
    pub excluded: &'a [(&'a str, &'a str)],
}

/// A leaderboard in memory.
pub(super) struct Board {
    pub(super) models: Vec<String>,
    /// One column a scenario, of which higher is better.
    pub(super) columns: Vec<Vec<Option<f64>>>,
    pub(super) reversed: Vec<bool>,
}

impl Board {
    pub(super) fn read(
        frame: &DataFrame,
        columns: &LeaderboardColumns<'_>,
    ) -> Result<Self, AnalysisError> {
        let models = texts(frame, columns.model)?
            .into_iter()
            .enumerate()
            .map(|(row, label)| {
                let column = columns.model.to_owned();
                label.ok_or(AnalysisError::NoLabel { column, row })
            })
            .collect::<Result<Vec<_>, _>>()?;
        for (model, scenario) in columns.excluded {
            if !models.iter().any(|known| known == model) {
                let (column, group) = (columns.model.to_owned(), (*model).to_owned());
                return Err(AnalysisError::NoGroup { column, group });
            }
            // An exclusion of a scenario that is not there is a slip that would show nowhere.
            frame.column(scenario)?;
        }
        let column = |&(name, better): &(&str, Better)| -> Result<_, AnalysisError> {
            let values = numbers(frame, name)?;
            let kept = |model: &String| !columns.excluded.contains(&(model.as_str(), name));
            let value = |(model, value): (&String, Option<f64>)| {
                value.filter(|_| kept(model)).map(|value| match better {
                    Better::Higher => value,
                    Better::Lower => -value,
                })
            };
            Ok(models.iter().zip(values).map(value).collect())
        };
        let read = columns.scenarios.iter().map(column).collect::<Result<Vec<_>, _>>()?;
        let reversed = columns.scenarios.iter().map(|(_, better)| *better == Better::Lower);
        Ok(Self { models, columns: read, reversed: reversed.collect() })
    }

    /// A result as [`Ties::share`] compares it: a reversed sort also reverses rows.
    pub(super) fn entry(&self, scenario: usize, model: usize) -> Option<(f64, usize)> {
        let value = self.columns[scenario][model]?;
        let row = if self.reversed[scenario] { self.models.len() - model } else { model };
        Some((value, row))
    }

    /// The share of the other models that a model wins against on a scenario; `None` without a result
    /// or without others.
    pub(super) fn win_rate(&self, scenario: usize, model: usize, ties: Ties) -> Option<f64> {
        let own = self.entry(scenario, model)?;
        let shares: Vec<f64> = (0..self.models.len())
            .filter(|&other| other != model)
            .filter_map(|other| Some(ties.share(own, self.entry(scenario, other)?)))
            .collect();
        mean(&shares)
    }
}

/// The mean win rate of every model: the mean, over the scenarios on which it has a result, of the
/// share of the other models with a result there that it is better than
/// (`compute_aggregate_row_win_rates` of HELM). A scenario with one result counts for nobody.
///
/// One row a model in the order of the frame: `model`, `scenarios` (on which it competes), `estimate`
/// (null where there are none), `low`, `high` (scenarios resampled; null with fewer than two),
/// `estimator`, `interval`, `interval_level`, `resamples`. A resampled scenario keeps its models, so
/// that the interval says how far the rate depends on the choice of scenarios.
///
/// # Errors
/// When a column is absent, a model has no name, an exclusion names nobody, or the bootstrap is out
/// of range or the Bayesian one.
pub fn mean_win_rates(
    frame: &DataFrame,
    columns: &LeaderboardColumns<'_>,
    ties: Ties,
    bootstrap: &Bootstrap,
) -> Result<DataFrame, AnalysisError> {
    let board = Board::read(frame, columns)?;
    let rates = |model: usize| {
        (0..board.columns.len()).map(|scenario| board.win_rate(scenario, model, ties)).collect()
    };
    let rows = (0..board.models.len()).map(rates).collect::<Vec<Vec<_>>>();
    averages(&board, &rows, &format!("mean win rate, {}", ties.name()), bootstrap)
}

/// The mean score of every model over the scenarios on which it has a result: what HELM Capabilities
/// ranks by. Only meaningful where scenarios have one scale, and comparable only between models with
/// the same scenarios. Columns as [`mean_win_rates`].
///
/// # Errors
/// As [`mean_win_rates`], and where lower values are better on a scenario.
pub fn mean_scores(
    frame: &DataFrame,
    columns: &LeaderboardColumns<'_>,
    bootstrap: &Bootstrap,
) -> Result<DataFrame, AnalysisError> {
    if columns.scenarios.iter().any(|(_, better)| *better == Better::Lower) {
        return Err(directions());
    }
    let board = Board::read(frame, columns)?;
    let scores =
        |model: usize| board.columns.iter().map(|column| column[model]).collect::<Vec<_>>();
    let rows: Vec<_> = (0..board.models.len()).map(scores).collect();
    averages(&board, &rows, "mean score", bootstrap)
}

/// That scores of both directions are to be averaged.
pub(super) fn directions() -> AnalysisError {
    AnalysisError::Setting {
        name: "the direction of scenarios whose scores are averaged",
        value: Better::Lower.name().to_owned(),
        allowed: "be higher for all of them",
    }
}

/// What a model has on the scenarios where it has something.
pub(super) fn present(row: &[Option<f64>]) -> Vec<f64> {
    row.iter().copied().flatten().collect()
}

/// Intervals over scenarios of an aggregate of each model's row; none with fewer than two numbers.
pub(super) fn intervals(
    rows: &[Vec<Option<f64>>],
    aggregate: fn(&[f64]) -> Option<f64>,
    bootstrap: &Bootstrap,
) -> Result<Vec<Option<Interval>>, AnalysisError> {
    let of_row = |row: &Vec<Option<f64>>| -> Result<Option<Interval>, AnalysisError> {
        let statistic = |strata: &[Vec<Option<f64>>]| aggregate(&present(strata.first()?));
        let interval = bootstrap.interval(&[row.as_slice()], statistic)?;
        Ok(interval.filter(|_| present(row).len() > 1))
    };
    rows.iter().map(of_row).collect()
}

/// Means of what each model has on the scenarios, with intervals over scenarios.
fn averages(
    board: &Board,
    rows: &[Vec<Option<f64>>],
    estimator: &str,
    bootstrap: &Bootstrap,
) -> Result<DataFrame, AnalysisError> {
    let intervals = intervals(rows, mean, bootstrap)?;
    let counts = rows.iter().map(|row| present(row).len() as u64);
    let estimates = rows.iter().map(|row| mean(&present(row)));
    let words = format!("{} over scenarios", bootstrap.method.name());
    let height = rows.len();
    Ok(df!(
        "model" => board.models.as_slice(),
        "scenarios" => counts.collect::<Vec<u64>>(),
        "estimate" => estimates.collect::<Vec<Option<f64>>>(),
        "low" => intervals.iter().map(|found| found.map(|i| i.low)).collect::<Vec<_>>(),
        "high" => intervals.iter().map(|found| found.map(|i| i.high)).collect::<Vec<_>>(),
        "estimator" => vec![estimator; height],
        "interval" => vec![words; height],
        "interval_level" => vec![bootstrap.level; height],
        "resamples" => vec![bootstrap.resamples as u64; height],
    )?)
}

/// For every ordered pair of models, the share of the scenarios with results of both on which the
/// first is better.
///
/// One row a pair in the order of the frame: `model`, `other`, `scenarios` (shared), `estimate` (null
/// where there are none), `estimator`.
///
/// # Errors
/// When a column is absent, a model has no name, or an exclusion names nobody.
pub fn head_to_head(
    frame: &DataFrame,
    columns: &LeaderboardColumns<'_>,
    ties: Ties,
) -> Result<DataFrame, AnalysisError> {
    let board = Board::read(frame, columns)?;
    let models = board.models.len();
    let (mut names, mut others, mut shared, mut shares) = (vec![], vec![], vec![], vec![]);
    for model in 0..models {
        for other in (0..models).filter(|&other| other != model) {
            let wins: Vec<f64> = (0..board.columns.len())
                .filter_map(|scenario| {
                    let theirs = board.entry(scenario, other)?;
                    Some(ties.share(board.entry(scenario, model)?, theirs))
                })
                .collect();
            names.push(board.models[model].as_str());
            others.push(board.models[other].as_str());
            shared.push(wins.len() as u64);
            shares.push(mean(&wins));
        }
    }
    let estimator = format!("share of scenarios won, {}", ties.name());
    let height = names.len();
    Ok(df!(
        "model" => names,
        "other" => others,
        "scenarios" => shared,
        "estimate" => shares,
        "estimator" => vec![estimator; height],
    )?)
}

/// How much of a leaderboard is filled: one row a scenario, and last one of all (`scenario` null).
///
/// Columns: `scenario`, `results` (cells with a number), `cells` (models, or models times scenarios),
/// `coverage` (their ratio), `holes` (models without a result, separated by "; "; null for the last
/// row).
///
/// # Errors
/// When a column is absent, a model has no name, or an exclusion names nobody.
pub fn coverage(
    frame: &DataFrame,
    columns: &LeaderboardColumns<'_>,
) -> Result<DataFrame, AnalysisError> {
    let board = Board::read(frame, columns)?;
    let models = board.models.len();
    let filled = |column: &Vec<Option<f64>>| column.iter().flatten().count();
    let results: Vec<usize> = board.columns.iter().map(filled).collect();
    let holes = |column: &Vec<Option<f64>>| {
        let empty = board.models.iter().zip(column).filter(|(_, value)| value.is_none());
        Some(empty.map(|(model, _)| model.as_str()).collect::<Vec<_>>().join("; "))
    };
    let names = columns.scenarios.iter().map(|(name, _)| Some(*name)).chain([None]);
    let all = results.iter().copied().chain([results.iter().sum()]).collect::<Vec<usize>>();
    let cells = vec![models; results.len()].into_iter().chain([models * results.len()]);
    let cells: Vec<usize> = cells.collect();
    let share =
        |(found, cells): (&usize, &usize)| (*cells > 0).then(|| count(*found) / count(*cells));
    let mut table = df!(
        "scenario" => names.collect::<Vec<_>>(),
        "results" => all.iter().map(|&found| found as u64).collect::<Vec<u64>>(),
        "cells" => cells.iter().map(|&cells| cells as u64).collect::<Vec<u64>>(),
    )?;
    push(&mut table, "coverage", all.iter().zip(&cells).map(share).collect::<Vec<_>>())?;
    let holes: Vec<Option<String>> = board.columns.iter().map(holes).chain([None]).collect();
    push(&mut table, "holes", holes)?;
    Ok(table)
}
