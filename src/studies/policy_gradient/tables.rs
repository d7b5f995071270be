//! What a policy-gradient run stores.

use algorithms::policy_gradient::diagnostics::{
    Baseline, BaselineRow, Distance, GradientRow, LandscapeRow, TrustRegionRow, ValueErrorRow,
};
use algorithms::policy_gradient::rollout::EvaluationMode;
use algorithms::policy_gradient::train::{Iteration, Training};
use algorithms::policy_gradient::update::TrustRegionMetrics;
use polars::prelude::{Column as Series, DataFrame, PolarsResult};

use super::{Column, ColumnType, Run, Table, Tolerance, agent_config, mean};
use crate::studies::{ARM, REPLICATE, RUN_ID, column};
use ColumnType::{Bool, Float64, Text, UInt32, UInt64};

const ITERATION: Column = column("iteration", UInt32, "", "its number, from zero");
const STEPS: Column =
    column("steps", UInt64, "environment steps", "steps of the run at the iteration's end");
const COSINE_TO_OTHERS: Column = column(
    "cosine_to_others",
    Float64,
    "",
    "mean cosine with the other estimates of the same row group; null if a gradient is zero",
);

/// Metrics of a run; the first is the headline.
pub(super) const METRICS: &[Column] = &[
    column(
        "return_last_5",
        Float64,
        "return",
        "mean over the last five iterations in which an episode finished of their mean return (release `final_results`)",
    ),
    column(
        "return_last",
        Float64,
        "return",
        "mean return of the last iteration in which an episode finished",
    ),
    column(
        "return_max",
        Float64,
        "return",
        "largest mean return of any iteration (the submission's notebooks)",
    ),
    column(
        "return_auc",
        Float64,
        "return",
        "mean of the iterations' mean returns, missing ones filled by the previous: area under the learning curve by its length",
    ),
    column(
        "evaluation_return_deterministic",
        Float64,
        "return",
        "mean return of the final evaluation with mean actions and frozen normalisers",
    ),
    column(
        "evaluation_return_stochastic",
        Float64,
        "return",
        "mean return of the final evaluation with drawn actions and frozen normalisers",
    ),
    column(
        "kl_heldout",
        Float64,
        "nat",
        "mean over the measured updates of their mean KL on fresh data; null without `diagnose_trust_region`",
    ),
    column(
        "max_ratio_heldout",
        Float64,
        "",
        "largest probability ratio on fresh data of any measured update; null without `diagnose_trust_region`",
    ),
];

/// On another device or machine a run begins with the same networks and the same draws; what the first
/// iteration computes differs by rounding, amplified by Adam's division by small moments. Later ones
/// act with parameters that differ, and trajectories part.
const FIRST_ITERATION: Tolerance = Tolerance { deviation: 1e-3, horizon: Some(("iteration", 1)) };

/// Tables beside `runs`.
pub(super) const TABLES: &[Table] = &[
    Table {
        name: "iterations",
        row: "one iteration of one run",
        key: &["run_id", "iteration"],
        reproducible: true,
        tolerance: Some(FIRST_ITERATION),
        columns: &[
            RUN_ID,
            ARM,
            REPLICATE,
            ITERATION,
            column("steps", UInt64, "environment steps", "steps of the run at its end"),
            column("episodes", UInt32, "", "episodes that finished in it"),
            column(
                "return_mean",
                Float64,
                "return",
                "mean undiscounted return of those; null if none",
            ),
            column("return_min", Float64, "return", "smallest of those returns; null if none"),
            column("return_max", Float64, "return", "largest of those returns; null if none"),
            column("length_mean", Float64, "steps", "mean length of those episodes; null if none"),
            column(
                "policy_loss",
                Float64,
                "",
                "mean clipped surrogate loss over minibatches, without the entropy bonus",
            ),
            column(
                "value_loss",
                Float64,
                "",
                "mean value loss over minibatches, without its coefficient",
            ),
            column("entropy", Float64, "nat", "mean entropy of the policy over minibatches"),
            column(
                "log_std",
                Float64,
                "log action",
                "mean log-std parameter after the update; null for discrete actions",
            ),
            column(
                "approximate_kl",
                Float64,
                "nat",
                "mean of (ratio - 1) - log ratio over the last policy epoch",
            ),
            column(
                "max_ratio",
                Float64,
                "",
                "largest probability ratio of any sample in any minibatch",
            ),
            column(
                "clip_fraction",
                Float64,
                "",
                "mean share of samples with a ratio outside the clip interval",
            ),
            column(
                "policy_gradient_norm",
                Float64,
                "",
                "mean gradient norm of the policy before clipping; of all parameters where networks are shared",
            ),
            column("policy_gradient_norm_clipped", Float64, "", "the same after clipping"),
            column(
                "value_gradient_norm",
                Float64,
                "",
                "mean gradient norm of the value function before clipping; null where networks are shared",
            ),
            column("value_gradient_norm_clipped", Float64, "", "the same after clipping"),
            column(
                "explained_variance",
                Float64,
                "",
                "1 - Var(target - value) / Var(target) with the values before the update; null for constant targets",
            ),
            column("policy_learning_rate", Float64, "", "step size of the policy"),
            column("value_learning_rate", Float64, "", "step size of the value function"),
            column("clip_epsilon", Float64, "", "half-width of the clip interval"),
            column("epochs", UInt32, "", "policy epochs that ran; 1 with TRPO"),
            column(
                "max_kl",
                Float64,
                "nat",
                "largest mean KL(old || new) that the trust region allows; null with PPO",
            ),
            column(
                "kl",
                Float64,
                "nat",
                "mean KL(old || new) of the trust-region step over the batch; null with PPO",
            ),
            column(
                "step_fraction",
                Float64,
                "",
                "share of the full trust-region step that the line search accepted, 0 if none; null with PPO",
            ),
            column(
                "surrogate_improvement",
                Float64,
                "",
                "improvement of the surrogate objective by that step; null with PPO",
            ),
            column(
                "predicted_improvement",
                Float64,
                "",
                "first-order improvement that the full step promised; null with PPO",
            ),
            column(
                "cg_residual",
                Float64,
                "",
                "squared norm of the residual that conjugate gradient left; null with PPO",
            ),
        ],
    },
    Table {
        name: "episodes",
        row: "one finished training episode of one run",
        key: &["run_id", "episode"],
        reproducible: true,
        tolerance: Some(FIRST_ITERATION),
        columns: &[
            RUN_ID,
            ARM,
            REPLICATE,
            column("episode", UInt32, "", "its number within the run, from zero"),
            column("iteration", UInt32, "", "the iteration that it finished in"),
            column("environment", UInt32, "", "copy of the environment"),
            column(
                "steps",
                UInt64,
                "environment steps",
                "steps of the run when it finished, all copies taken as stepping side by side",
            ),
            column(
                "return",
                Float64,
                "return",
                "undiscounted sum of the environment's own rewards",
            ),
            column("length", UInt32, "steps", "its steps"),
            column("terminated", Bool, "", "whether the environment's own rule ended it"),
            column("truncated", Bool, "", "whether the time limit ended it"),
        ],
    },
    Table {
        name: "evaluations",
        row: "one episode of a run's final evaluation",
        key: &["run_id", "mode", "episode"],
        reproducible: true,
        tolerance: None,
        columns: &[
            RUN_ID,
            ARM,
            REPLICATE,
            column("mode", Text, "", "`deterministic` (mean action) or `stochastic`"),
            column("episode", UInt32, "", "its number, from zero"),
            column(
                "return",
                Float64,
                "return",
                "undiscounted sum of the environment's own rewards",
            ),
            column("length", UInt32, "steps", "its steps"),
        ],
    },
    Table {
        name: "timings",
        row: "one iteration of one run",
        key: &["run_id", "iteration"],
        reproducible: false,
        tolerance: None,
        columns: &[
            RUN_ID,
            ARM,
            REPLICATE,
            ITERATION,
            column(
                "rollout_seconds",
                Float64,
                "s",
                "time that the run's environments and actor took",
            ),
            column(
                "learner_seconds",
                Float64,
                "s",
                "time that the cohort's learner took, divided by its runs",
            ),
        ],
    },
    Table {
        name: "trust_region",
        row: "one update of one run with `diagnose_trust_region`: how far it moved the policy",
        key: &["run_id", "iteration"],
        reproducible: true,
        tolerance: None,
        columns: &[
            RUN_ID,
            ARM,
            REPLICATE,
            ITERATION,
            STEPS,
            column(
                "kl_train",
                Float64,
                "nat",
                "mean KL(policy before || policy after) on the update's own data",
            ),
            column("max_ratio_train", Float64, "", "largest probability ratio on that data"),
            column(
                "outside_train",
                Float64,
                "",
                "share of samples whose ratio is farther from 1 than the clip's half-width",
            ),
            column(
                "kl_heldout",
                Float64,
                "nat",
                "mean KL on equally many fresh samples of the policy before the update",
            ),
            column("max_ratio_heldout", Float64, "", "largest ratio on those"),
            column("outside_heldout", Float64, "", "share outside on those"),
        ],
    },
    Table {
        name: "value_errors",
        row: "one update of one run with `diagnose_value_error`: errors of the value function after it",
        key: &["run_id", "iteration"],
        reproducible: true,
        tolerance: None,
        columns: &[
            RUN_ID,
            ARM,
            REPLICATE,
            ITERATION,
            STEPS,
            column(
                "target_relative_train",
                Float64,
                "",
                "mean |value - target| / |target| against the update's targets, on its data; null without samples",
            ),
            column(
                "target_relative_heldout",
                Float64,
                "",
                "the same on fresh samples of the policy before the update",
            ),
            column(
                "return_relative_train",
                Float64,
                "",
                "mean |value - return| / |return| against discounted scaled rewards to the episode's end, of samples whose episode ended; null without such",
            ),
            column("return_relative_heldout", Float64, "", "the same on fresh samples"),
            column(
                "target_rmse_train",
                Float64,
                "scaled return",
                "root mean squared error against the targets",
            ),
            column("target_rmse_heldout", Float64, "scaled return", "the same on fresh samples"),
            column(
                "return_rmse_train",
                Float64,
                "scaled return",
                "root mean squared error against the returns",
            ),
            column("return_rmse_heldout", Float64, "scaled return", "the same on fresh samples"),
        ],
    },
    Table {
        name: "gradients",
        row: "one estimate of the surrogate's gradient before an update of a run with `diagnose_gradients`",
        key: &["run_id", "iteration", "samples", "estimate"],
        reproducible: true,
        tolerance: None,
        columns: &[
            RUN_ID,
            ARM,
            REPLICATE,
            ITERATION,
            column("samples", UInt64, "state-action pairs", "size of the estimate"),
            column("estimate", UInt32, "", "its number among those of equal size, from zero"),
            column("episodes", UInt32, "", "episodes that finished in its data"),
            column("norm", Float64, "", "its Euclidean norm"),
            COSINE_TO_OTHERS,
            column(
                "cosine_to_reference",
                Float64,
                "",
                "cosine with the gradient from `reference_samples` pairs; null if a gradient is zero",
            ),
        ],
    },
    Table {
        name: "baselines",
        row: "one estimate of the surrogate's gradient before an update of a run with `diagnose_baselines`",
        key: &["run_id", "iteration", "baseline", "samples", "estimate"],
        reproducible: true,
        tolerance: None,
        columns: &[
            RUN_ID,
            ARM,
            REPLICATE,
            ITERATION,
            column(
                "baseline",
                Text,
                "",
                "the value function in the advantages: `none` (zero), `learned` (the agent's), or `fitted` to the returns of `baseline_fit_samples` fresh pairs",
            ),
            column("samples", UInt64, "state-action pairs", "size of the estimate"),
            column(
                "estimate",
                UInt32,
                "",
                "its number among those of equal size and baseline, from zero; equal numbers share data",
            ),
            column("norm", Float64, "", "its Euclidean norm"),
            COSINE_TO_OTHERS,
        ],
    },
    Table {
        name: "landscapes",
        row: "one point of the landscapes around an update of a run with `diagnose_landscapes`",
        key: &["run_id", "iteration", "samples", "update", "direction"],
        reproducible: true,
        tolerance: None,
        columns: &[
            RUN_ID,
            ARM,
            REPLICATE,
            ITERATION,
            column(
                "samples",
                UInt64,
                "state-action pairs",
                "how many each objective is estimated from",
            ),
            column(
                "update",
                Float64,
                "updates",
                "multiple of the update that is added to the parameters from before it",
            ),
            column(
                "direction",
                Float64,
                "",
                "multiple of a Gaussian direction of norm 2 that is added",
            ),
            column(
                "surrogate",
                Float64,
                "",
                "mean of ratio times normalised advantage on data of the policy before the update",
            ),
            column(
                "return_mean",
                Float64,
                "return",
                "mean undiscounted return of the episodes that finished; null if none",
            ),
            column("episodes", UInt32, "", "how many those are"),
        ],
    },
];

/// Mean return of the episodes that finished in an iteration.
pub(super) fn return_mean(iteration: &Iteration) -> Option<f64> {
    let returns: Vec<f64> = iteration.episodes.iter().map(|episode| episode.return_).collect();
    mean(&returns)
}

/// Values of [`METRICS`].
pub(super) fn metrics(training: &Training) -> Vec<Option<f64>> {
    let means: Vec<Option<f64>> = training.iterations.iter().map(return_mean).collect();
    let known: Vec<f64> = means.iter().flatten().copied().collect();
    let last_five = &known[known.len().saturating_sub(5)..];
    let largest = known.iter().copied().reduce(f64::max);
    let mut filled = Vec::new();
    for value in &means {
        // Before the first finished episode there is nothing to fill with.
        if let Some(value) = value.or_else(|| filled.last().copied()) {
            filled.push(value);
        }
    }
    let evaluation = |wanted: EvaluationMode| {
        training.evaluations.iter().find(|(mode, _)| *mode == wanted).and_then(|(_, episodes)| {
            mean(&episodes.iter().map(|(total, _)| *total).collect::<Vec<_>>())
        })
    };
    let heldout: Vec<Distance> =
        training.diagnostics.trust_region.iter().map(|row| row.heldout).collect();
    vec![
        mean(last_five),
        known.last().copied(),
        largest,
        mean(&filled),
        evaluation(EvaluationMode::Deterministic),
        evaluation(EvaluationMode::Stochastic),
        mean(&heldout.iter().map(|distance| distance.kl).collect::<Vec<_>>()),
        heldout.iter().map(|distance| distance.max_ratio).reduce(f64::max),
    ]
}

/// Rows of one table, gathered column by column in the order of its description.
struct Rows<'a> {
    identity: Vec<(&'a str, &'a str, u64)>,
    columns: Vec<(&'static str, Values)>,
}

enum Values {
    UInt32(Vec<u32>),
    UInt64(Vec<u64>),
    Float64(Vec<Option<f64>>),
    Bool(Vec<bool>),
    Text(Vec<&'static str>),
}

/// One value of a row.
enum Cell {
    UInt32(u32),
    UInt64(u64),
    Float64(Option<f64>),
    Bool(bool),
    Text(&'static str),
}

impl<'a> Rows<'a> {
    fn new(table: &Table) -> Self {
        let columns = table.columns[3..]
            .iter()
            .map(|column| {
                let values = match column.kind {
                    ColumnType::UInt32 => Values::UInt32(Vec::new()),
                    ColumnType::UInt64 => Values::UInt64(Vec::new()),
                    ColumnType::Bool => Values::Bool(Vec::new()),
                    ColumnType::Text => Values::Text(Vec::new()),
                    _ => Values::Float64(Vec::new()),
                };
                (column.name, values)
            })
            .collect();
        Self { identity: Vec::new(), columns }
    }

    fn push(&mut self, run: &'a Run, cells: impl IntoIterator<Item = Cell>) {
        self.identity.push((run.id.as_ref(), &run.arm, run.replicate));
        for ((_, values), cell) in self.columns.iter_mut().zip(cells) {
            match (values, cell) {
                (Values::UInt32(values), Cell::UInt32(value)) => values.push(value),
                (Values::UInt64(values), Cell::UInt64(value)) => values.push(value),
                (Values::Float64(values), Cell::Float64(value)) => values.push(value),
                (Values::Bool(values), Cell::Bool(value)) => values.push(value),
                (Values::Text(values), Cell::Text(value)) => values.push(value),
                // Polars refuses columns of unequal length, so a slip here cannot go unseen.
                _ => debug_assert!(false, "a cell of another type than its column"),
            }
        }
    }

    fn frame(self) -> PolarsResult<DataFrame> {
        let height = self.identity.len();
        let text = |pick: fn(&(&'a str, &'a str, u64)) -> &'a str| -> Vec<&str> {
            self.identity.iter().map(pick).collect()
        };
        let mut columns = vec![
            Series::new("run_id".into(), text(|row| row.0)),
            Series::new("arm".into(), text(|row| row.1)),
            Series::new(
                "replicate".into(),
                self.identity.iter().map(|row| row.2).collect::<Vec<u64>>(),
            ),
        ];
        columns.extend(self.columns.into_iter().map(|(name, values)| match values {
            Values::UInt32(values) => Series::new(name.into(), values),
            Values::UInt64(values) => Series::new(name.into(), values),
            Values::Float64(values) => Series::new(name.into(), values),
            Values::Bool(values) => Series::new(name.into(), values),
            Values::Text(values) => Series::new(name.into(), values),
        }));
        DataFrame::new(height, columns)
    }
}

/// Frames of [`TABLES`], in their order.
pub(super) fn frames(runs: &[&Run], trainings: &[Training]) -> PolarsResult<Vec<DataFrame>> {
    let mut iterations = Rows::new(&TABLES[0]);
    let mut episodes = Rows::new(&TABLES[1]);
    let mut evaluations = Rows::new(&TABLES[2]);
    let mut timings = Rows::new(&TABLES[3]);
    for (run, training) in runs.iter().zip(trainings) {
        let mut episode_number = 0;
        let (envs, samples) = agent_config(&run.configuration)
            .map_or((1, 0), |config| (config.num_envs as u64, config.samples() as u64));
        for iteration in &training.iterations {
            iterations.push(run, iteration_cells(iteration));
            timings.push(
                run,
                [
                    Cell::UInt32(iteration.number),
                    Cell::Float64(Some(iteration.rollout_time.as_secs_f64())),
                    Cell::Float64(Some(iteration.learner_time.as_secs_f64())),
                ],
            );
            for episode in &iteration.episodes {
                episodes.push(
                    run,
                    [
                        Cell::UInt32(episode_number),
                        Cell::UInt32(iteration.number),
                        Cell::UInt32(episode.environment),
                        Cell::UInt64(iteration.steps - samples + u64::from(episode.step) * envs),
                        Cell::Float64(Some(episode.return_)),
                        Cell::UInt32(episode.length),
                        Cell::Bool(episode.terminated),
                        Cell::Bool(episode.truncated),
                    ],
                );
                episode_number += 1;
            }
        }
        for (mode, results) in &training.evaluations {
            let name = EvaluationMode::ALL
                .iter()
                .find(|(other, _)| other == mode)
                .map_or("", |(_, name)| *name);
            for (number, (total, length)) in (0_u32..).zip(results) {
                evaluations.push(
                    run,
                    [
                        Cell::Text(name),
                        Cell::UInt32(number),
                        Cell::Float64(Some(*total)),
                        Cell::UInt32(*length),
                    ],
                );
            }
        }
    }
    let mut tables = vec![iterations, episodes, evaluations, timings];
    tables.extend(diagnostics(runs, trainings));
    tables.into_iter().map(Rows::frame).collect()
}

/// Rows of the diagnostics' tables, in the order of [`TABLES`].
fn diagnostics<'a>(runs: &[&'a Run], trainings: &[Training]) -> [Rows<'a>; 5] {
    let mut tables = [4, 5, 6, 7, 8].map(|table| Rows::new(&TABLES[table]));
    let [trust_region, value_errors, gradients, baselines, landscapes] = &mut tables;
    for (run, training) in runs.iter().zip(trainings) {
        let found = &training.diagnostics;
        // Diagnostics belong to iterations that came to their end.
        let steps = |number: u32| {
            let iteration = training.iterations.get(number as usize);
            Cell::UInt64(iteration.map_or(0, |iteration| iteration.steps))
        };
        let baseline = |wanted: Baseline| {
            let known = Baseline::ALL.iter().find(|(baseline, _)| *baseline == wanted);
            Cell::Text(known.map_or("", |(_, name)| *name))
        };
        for TrustRegionRow { iteration, train, heldout } in &found.trust_region {
            let cells = [train, heldout].into_iter().flat_map(|distance| {
                [distance.kl, distance.max_ratio, distance.outside].map(number)
            });
            trust_region
                .push(run, [Cell::UInt32(*iteration), steps(*iteration)].into_iter().chain(cells));
        }
        for ValueErrorRow {
            iteration,
            train_target,
            heldout_target,
            train_return,
            heldout_return,
        } in &found.value_errors
        {
            let sides = [train_target, heldout_target, train_return, heldout_return];
            let relative = sides.map(|error| Cell::Float64(error.relative));
            let rmse = sides.map(|error| Cell::Float64(error.root_mean_square));
            let label = [Cell::UInt32(*iteration), steps(*iteration)];
            value_errors.push(run, label.into_iter().chain(relative).chain(rmse));
        }
        for GradientRow {
            iteration,
            samples,
            estimate,
            episodes,
            norm,
            cosine_to_others,
            cosine_to_reference,
        } in &found.gradients
        {
            let cells = [
                Cell::UInt32(*iteration),
                Cell::UInt64(*samples),
                Cell::UInt32(*estimate),
                Cell::UInt32(*episodes),
                number(*norm),
                number(*cosine_to_others),
                number(*cosine_to_reference),
            ];
            gradients.push(run, cells);
        }
        for BaselineRow { iteration, baseline: kind, samples, estimate, norm, cosine_to_others } in
            &found.baselines
        {
            let cells = [
                Cell::UInt32(*iteration),
                baseline(*kind),
                Cell::UInt64(*samples),
                Cell::UInt32(*estimate),
                number(*norm),
                number(*cosine_to_others),
            ];
            baselines.push(run, cells);
        }
        for LandscapeRow {
            iteration,
            samples,
            update,
            direction,
            surrogate,
            return_mean,
            episodes,
        } in &found.landscapes
        {
            let cells = [
                Cell::UInt32(*iteration),
                Cell::UInt64(*samples),
                Cell::Float64(Some(*update)),
                Cell::Float64(Some(*direction)),
                number(*surrogate),
                Cell::Float64(*return_mean),
                Cell::UInt32(*episodes),
            ];
            landscapes.push(run, cells);
        }
    }
    tables
}

/// A number that is NaN in memory and null in a table where it does not exist.
fn number(value: f64) -> Cell {
    Cell::Float64((!value.is_nan()).then_some(value))
}

fn iteration_cells(iteration: &Iteration) -> Vec<Cell> {
    let returns: Vec<f64> = iteration.episodes.iter().map(|episode| episode.return_).collect();
    let lengths: Vec<f64> =
        iteration.episodes.iter().map(|episode| f64::from(episode.length)).collect();
    let metrics = &iteration.metrics;
    let trust = |pick: &dyn Fn(&TrustRegionMetrics) -> f64| {
        let value = metrics.trust_region.as_ref().map(pick);
        Cell::Float64(value.filter(|value| !value.is_nan()))
    };
    // An iteration has at most as many episodes as steps.
    #[allow(clippy::cast_possible_truncation)]
    let count = returns.len() as u32;
    vec![
        Cell::UInt32(iteration.number),
        Cell::UInt64(iteration.steps),
        Cell::UInt32(count),
        Cell::Float64(mean(&returns)),
        Cell::Float64(returns.iter().copied().reduce(f64::min)),
        Cell::Float64(returns.iter().copied().reduce(f64::max)),
        Cell::Float64(mean(&lengths)),
        number(metrics.policy_loss),
        number(metrics.value_loss),
        number(metrics.entropy),
        Cell::Float64(iteration.log_std),
        number(metrics.approximate_kl),
        number(metrics.max_ratio),
        number(metrics.clip_fraction),
        number(metrics.policy_gradient_norm),
        number(metrics.policy_gradient_norm_clipped),
        number(metrics.value_gradient_norm),
        number(metrics.value_gradient_norm_clipped),
        Cell::Float64(metrics.explained_variance),
        number(metrics.policy_learning_rate),
        number(metrics.value_learning_rate),
        number(metrics.clip_epsilon),
        Cell::UInt32(metrics.epochs),
        trust(&|region| region.max_kl),
        trust(&|region| f64::from(region.step.kl)),
        trust(&|region| f64::from(region.step.fraction)),
        trust(&|region| f64::from(region.step.improvement)),
        trust(&|region| f64::from(region.step.predicted_improvement)),
        trust(&|region| f64::from(region.step.residual)),
    ]
}
