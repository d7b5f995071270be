//! Published leaderboards: what an aggregation makes of tables of models by scenarios, after "Holistic
//! Evaluation of Language Models" (Liang et al., TMLR 2023). Every choice of the aggregation is a field,
//! so that it can be ablated; whether the published numbers come out is a metric.

use std::sync::atomic::Ordering;

use analysis::{
    Bootstrap, LeaderboardColumns, StandingRules, agreement, coverage, head_to_head_standings,
    standings,
};
use envs::{Purpose, Streams};
use flags::{Field, SetError, Value};
use polars::prelude::DataFrame;
use rand::seq::SliceRandom;

use super::{
    CohortContext, CohortOutcome, Column, ColumnType, Companion, Configuration, Cost, CurveView,
    Device, Problem, Progress, Publication, ReplicateUnit, RunOutcome, RunStatus, Study,
    StudyError, Table, Tolerance, lm_evaluation,
};
use crate::data::DataSet;
use crate::study::Run;

mod boards;
mod config;
mod tables;

use boards::{Board, Known};
pub use boards::{BoardError, table};
pub use config::LeaderboardConfig;
use config::{Aggregation, Contamination, Leaderboard, MissingResults, Ties};

/// The study.
pub struct LmLeaderboard;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn read(configuration: &Configuration) -> Result<LeaderboardConfig, Vec<Problem>> {
    let config: LeaderboardConfig = configuration.read()?;
    let problems = config.problems();
    if problems.is_empty() { Ok(config) } else { Err(problems) }
}

fn rules(config: &LeaderboardConfig, rounding: f64) -> StandingRules {
    StandingRules {
        aggregation: match config.aggregation {
            Aggregation::MeanWinRate => analysis::Aggregation::MeanWinRate,
            Aggregation::MedianWinRate => analysis::Aggregation::MedianWinRate,
            Aggregation::MeanScore => analysis::Aggregation::MeanScore,
            Aggregation::MeanScaledScore => analysis::Aggregation::MeanScaledScore,
        },
        ties: match config.ties {
            Ties::Half => analysis::Ties::Half,
            Ties::RowOrder => analysis::Ties::RowOrder,
            Ties::Lost => analysis::Ties::Lost,
            Ties::Won => analysis::Ties::Won,
        },
        missing: match config.missing_results {
            MissingResults::Skipped => analysis::MissingResults::Skipped,
            MissingResults::CompleteScenarios => analysis::MissingResults::CompleteScenarios,
            MissingResults::CompleteModels => analysis::MissingResults::CompleteModels,
            MissingResults::Worst => analysis::MissingResults::Worst,
        },
        rounding,
    }
}

/// Leaves a table the scenarios of a replicate.
fn part(board: &mut Board, parts: u32, study_seed: u64, replicate: u64) -> Result<(), StudyError> {
    if parts == 1 {
        return Ok(());
    }
    let mut order: Vec<usize> = (0..board.scenarios.len()).collect();
    // All replicates share one permutation, which their study seeds: otherwise they would overlap.
    order.shuffle(&mut Streams { study_seed, replicate: 0 }.rng(Purpose::Evaluation, 0));
    let places = (0_u64..).zip(order);
    let mut kept: Vec<usize> = places
        .filter_map(|(place, of)| (place % u64::from(parts) == replicate).then_some(of))
        .collect();
    kept.sort_unstable();
    if kept.is_empty() {
        return Err(StudyError::Invalid(format!(
            "replicate {replicate} has no scenarios, since {} are cut into {parts} parts: set \
             `scenario_parts` to the number of replicates, which must not be above that of scenarios, \
             or to 1",
            board.scenarios.len()
        )));
    }
    board.scenarios = kept.into_iter().map(|of| board.scenarios[of].clone()).collect();
    let scenarios = &board.scenarios;
    board.contaminated.retain(|(_, scenario)| scenarios.iter().any(|(name, _)| name == scenario));
    Ok(())
}

/// What is counted over the tables of a run.
#[derive(Default)]
struct Counted {
    published: u64,
    inside: u64,
    deviation: Option<f64>,
    kendall: Vec<f64>,
    /// How many there are, and how many are not separable.
    adjacent: (u64, u64),
    pairs: (u64, u64),
    results: f64,
    cells: f64,
    models: u64,
    scenarios: u64,
}

/// Aggregates one table: what it stores, and what it counts.
fn aggregate(
    config: &LeaderboardConfig,
    board: &Board,
    threads: usize,
    counted: &mut Counted,
) -> Result<[DataFrame; 3], Failure> {
    let scenarios: Vec<_> =
        board.scenarios.iter().map(|(name, better)| (name.as_str(), *better)).collect();
    let contaminated: Vec<_> = board
        .contaminated
        .iter()
        .filter(|_| config.contamination == Contamination::Published)
        .map(|(model, scenario)| (model.as_str(), scenario.as_str()))
        .collect();
    let columns =
        LeaderboardColumns { model: &board.model, scenarios: &scenarios, excluded: &contaminated };
    let rules = rules(config, board.rounding);
    let bootstrap = Bootstrap {
        resamples: config.resamples as usize,
        level: config.interval_level,
        threads,
        ..Bootstrap::tables()
    };
    let published = board.published.as_deref();
    let standings = standings(&board.frame, &columns, published, &rules, &bootstrap)?;
    let pairs = head_to_head_standings(&board.frame, &columns, &rules, &bootstrap)?;
    // A result that does not compete is there all the same.
    let filled = LeaderboardColumns { excluded: &[], ..columns };
    let coverage = coverage(&board.frame, &filled)?;

    let agreement = agreement(&standings, board.published_better)?;
    counted.published += agreement.published;
    counted.inside += agreement.inside;
    let deviations = counted.deviation.into_iter().chain(agreement.largest_deviation);
    counted.deviation = deviations.reduce(f64::max);
    counted.kendall.extend(agreement.kendall);
    let separable = tables::flags(&pairs, "separable")?;
    let adjacent = tables::flags(&pairs, "adjacent")?;
    for (separable, adjacent) in separable.iter().zip(&adjacent) {
        let undecided = u64::from(*separable != Some(true));
        counted.pairs.0 += 1;
        counted.pairs.1 += undecided;
        if *adjacent == Some(true) {
            counted.adjacent.0 += 1;
            counted.adjacent.1 += undecided;
        }
    }
    // The last row is that of all scenarios.
    let last = coverage.height().saturating_sub(1);
    let whole = |name: &str| -> Result<f64, Failure> {
        Ok(tables::numbers(&coverage, name)?.get(last).copied().flatten().unwrap_or(0.0))
    };
    counted.results += whole("results")?;
    counted.cells += whole("cells")?;
    counted.models += tables::numbers(&standings, "rank")?.iter().flatten().count() as u64;
    counted.scenarios += board.scenarios.len() as u64;
    Ok([standings, pairs, coverage.head(Some(last))])
}

/// Metrics of a run, in the order of [`tables::METRICS`].
fn metrics(
    config: &LeaderboardConfig,
    counted: &Counted,
    parts: &[tables::Part<'_>],
) -> Result<Vec<Option<f64>>, Failure> {
    // Far below 2^53.
    let share = |of: u64, whole: u64| (whole > 0).then(|| of as f64 / whole as f64);
    let published = counted.published > 0;
    let mut all = vec![
        analysis::mean(&counted.kendall),
        share(counted.inside, counted.published),
        Some(counted.published as f64),
        published.then_some(counted.inside as f64),
        counted.deviation,
        share(counted.adjacent.1, counted.adjacent.0),
        share(counted.pairs.1, counted.pairs.0),
        (counted.cells > 0.0).then(|| counted.results / counted.cells),
        Some(counted.results),
        Some(counted.cells),
        Some(counted.models as f64),
        Some(counted.scenarios as f64),
    ];
    let focus = match parts {
        [only] if config.focus_model != "none" => {
            let standings = &only.frames[0];
            let models = standings.column("model")?.str()?;
            let row = models.iter().position(|name| name == Some(config.focus_model.as_str()));
            let row = row.ok_or_else(|| {
                let known = models.iter().flatten();
                let nearest = flags::nearest(&config.focus_model, known);
                let near = nearest.map(|near| format!("; did you mean {near:?}?"));
                format!(
                    "`focus_model` is {:?}, which does not compete{}",
                    config.focus_model,
                    near.unwrap_or_default()
                )
            })?;
            Some((standings, row))
        }
        _ => None,
    };
    for name in ["estimate", "low", "high", "rank"] {
        all.push(match focus {
            Some((standings, row)) => tables::numbers(standings, name)?[row],
            None => None,
        });
    }
    Ok(all)
}

impl Study for LmLeaderboard {
    fn kind(&self) -> &'static str {
        "lm-leaderboard"
    }

    fn about(&self) -> &'static str {
        "Holistic Evaluation of Language Models (Liang et al., TMLR 2023): published leaderboards, and \
         every choice by which results on scenarios become one order of models"
    }

    fn publication(&self) -> Option<&'static Publication> {
        lm_evaluation::LmEvaluation.publication()
    }

    fn numerics_version(&self) -> u32 {
        1
    }

    fn fields(&self) -> &'static [Field] {
        LeaderboardConfig::FIELDS
    }

    fn defaults(&self) -> Configuration {
        Configuration::of(&LeaderboardConfig::default())
    }

    fn set(&self, target: &mut Configuration, name: &str, value: &Value) -> Result<(), SetError> {
        target.set::<LeaderboardConfig>(name, value)
    }

    fn check(&self, configuration: &Configuration) -> Vec<Problem> {
        read(configuration).err().unwrap_or_default()
    }

    fn cost(&self, configuration: &Configuration) -> Cost {
        let Ok(config) = read(configuration) else { return Cost { steps: 0, weight: 0.0 } };
        let tables = if config.leaderboard == Leaderboard::HelmClassic { 5 } else { 1 };
        let steps = tables * u64::from(config.resamples);
        // Far below 2^53.
        Cost { steps, weight: steps as f64 }
    }

    fn cohort_key(&self, configuration: &Configuration) -> String {
        // Runs on the same table read it once.
        let shapes = configuration.iter().filter(|(field, _)| field.shape);
        shapes.map(|(_, value)| format!("{value:?}")).collect::<Vec<_>>().join(" ")
    }

    fn cohort_width(&self, _device: &Device) -> usize {
        8
    }

    fn step_unit(&self) -> &'static str {
        "resamples"
    }

    fn metrics(&self) -> &'static [Column] {
        tables::METRICS
    }

    fn tables(&self) -> &'static [Table] {
        tables::TABLES
    }

    fn exact(&self, configuration: &Configuration) -> bool {
        // Resamples of the bootstrap have a seed of their own.
        read(configuration).is_ok_and(|config| config.scenario_parts == 1)
    }

    fn replicate_limit(&self, configuration: &Configuration) -> Option<(u64, &'static str)> {
        let parts = u64::from(read(configuration).ok()?.scenario_parts);
        (parts > 1).then_some((parts, "scenario_parts"))
    }

    fn replicate_unit(&self, _configuration: &Configuration) -> ReplicateUnit {
        ReplicateUnit { one: "part of the scenarios", many: "parts of the scenarios" }
    }

    fn run_cohort(
        &self,
        runs: &[&Run],
        context: &CohortContext<'_>,
    ) -> Result<CohortOutcome, StudyError> {
        let failed = |error: Failure| StudyError::Failed(error);
        let mut outcomes = Vec::with_capacity(runs.len());
        let mut all = Vec::new();
        let mut last: Option<(LeaderboardConfig, Vec<Board>)> = None;
        for run in runs {
            if context.stop.load(Ordering::Relaxed) {
                return Err(StudyError::Interrupted);
            }
            let config =
                read(&run.configuration).map_err(|problems| StudyError::invalid(&problems))?;
            let boards = match last.take() {
                Some((before, boards)) if same_tables(&before, &config) => boards,
                _ => boards::boards(&config).map_err(|error| failed(error.into()))?,
            };
            let known = Known::of(&boards).map_err(|error| failed(error.into()))?;
            let mut counted = Counted::default();
            let mut parts = Vec::with_capacity(boards.len());
            for board in &boards {
                let narrowed = board.clone().narrowed(&config, &known);
                let mut board = narrowed.map_err(|error| failed(error.into()))?;
                part(&mut board, config.scenario_parts, context.study_seed, run.replicate)?;
                let frames =
                    aggregate(&config, &board, context.threads, &mut counted).map_err(failed)?;
                parts.push(tables::Part { run, board: board.name, frames });
            }
            let metrics = metrics(&config, &counted, &parts).map_err(failed)?;
            let steps = self.cost(&run.configuration).steps;
            (context.progress)(Progress { steps, headline: metrics.first().copied().flatten() });
            outcomes.push(RunOutcome { status: RunStatus::Finished, metrics });
            all.extend(parts);
            last = Some((config, boards));
        }
        let tables = tables::frames(&all).map_err(|error| failed(error.into()))?;
        Ok(CohortOutcome { runs: outcomes, tables })
    }

    fn data(&self) -> &'static [DataSet] {
        boards::DATA
    }

    fn views(&self) -> &'static [CurveView] {
        const {
            &[
                CurveView {
                    table: "standings",
                    x: "published",
                    x_label: "published aggregate",
                    y: "estimate",
                    y_label: "aggregate",
                },
                CurveView {
                    table: "standings",
                    x: "rank",
                    x_label: "place",
                    y: "published",
                    y_label: "published aggregate",
                },
            ]
        }
    }

    fn companion(&self, view: &CurveView) -> Option<Companion> {
        let (column, label) = match view.x {
            "published" => ("published", "where both are equal"),
            _ => ("estimate", "aggregate of the model in that place"),
        };
        Some(Companion { column, label })
    }
}

/// Whether two configurations read the same tables in the same way.
fn same_tables(one: &LeaderboardConfig, other: &LeaderboardConfig) -> bool {
    let key = |config: &LeaderboardConfig| {
        let LeaderboardConfig {
            leaderboard,
            leaderboard_file,
            leaderboard_sha256,
            published_column,
            published_lower_is_better,
            lower_is_better,
            decimals,
            ..
        } = config.clone();
        (
            (leaderboard, leaderboard_file, leaderboard_sha256),
            (published_column, published_lower_is_better, lower_is_better, decimals),
        )
    };
    key(one) == key(other)
}
