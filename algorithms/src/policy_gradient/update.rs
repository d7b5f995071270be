//! One iteration of learning: the driver between rollouts and a [`Learner`].
//!
//! Advantages, targets, shuffles, step sizes and early stops are decided here, on the host, for
//! each agent by its own configuration.

use serde::{Deserialize, Serialize};

use super::advantages::{Advantages, StateValues, TargetStatistics, estimate, explained_variance};
use super::config::{
    AdamEpsilonPlacement, AdvantageNormalization, Algorithm, Optimizer, RatioClip, UpdateSchedule,
    ValueNormalization,
};
use super::learner::{
    Batch, EpochPlan, Evaluation, Learner, LearnerError, MinibatchMetrics, Phase, StepSize,
    TARGET_COLUMNS, Targets, TrustRegionPlan, TrustRegionStep, UNBOUNDED,
};
use super::rollout::Rollout;
use super::validate::ValidAgentConfig;
use crate::network::{NetworkShape, to_f32};

const ADAM_BETA1: f64 = 0.9;
const ADAM_BETA2: f64 = 0.999;

/// What an agent carries from one iteration's update to the next, beside its parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UpdateState {
    /// Optimiser steps of the policy's group so far.
    pub policy_steps: u64,
    /// Optimiser steps of the value function's group so far.
    pub value_steps: u64,
    /// Statistics of the value targets.
    pub target_statistics: TargetStatistics,
}

/// What one agent's update looked like.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UpdateMetrics {
    /// Mean clipped surrogate loss over the iteration's minibatches, without the entropy bonus.
    pub policy_loss: f64,
    /// Mean value loss over the iteration's minibatches, without its coefficient.
    pub value_loss: f64,
    /// Mean entropy, nats.
    pub entropy: f64,
    /// Mean approximate KL(old || new) over the last policy epoch that ran, nats.
    pub approximate_kl: f64,
    /// Largest probability ratio of any sample in any minibatch.
    pub max_ratio: f64,
    /// Mean share of samples whose ratio lies outside its bounds.
    pub clip_fraction: f64,
    /// Mean norm of the policy's gradient before clipping.
    pub policy_gradient_norm: f64,
    /// The same after clipping.
    pub policy_gradient_norm_clipped: f64,
    /// Mean norm of the value function's gradient before clipping; NaN where networks are shared.
    pub value_gradient_norm: f64,
    /// The same after clipping.
    pub value_gradient_norm_clipped: f64,
    /// Share of the targets' variance that the values before the update explain.
    pub explained_variance: Option<f64>,
    /// Step size of the policy.
    pub policy_learning_rate: f64,
    /// Step size of the value function.
    pub value_learning_rate: f64,
    /// Half-width of the ratio's interval.
    pub clip_epsilon: f64,
    /// Policy epochs that ran.
    pub epochs: u32,
    /// What the trust-region step looked like; `None` with PPO.
    pub trust_region: Option<TrustRegionMetrics>,
}

/// What one agent's trust-region step looked like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrustRegionMetrics {
    /// Largest mean KL allowed, nats.
    pub max_kl: f64,
    /// What the learner did.
    pub step: TrustRegionStep,
}

/// Everything one update computed, for tests against a reference.
#[derive(Clone, Debug, Default)]
pub struct UpdateTrace {
    /// The networks' first view of the batch.
    pub evaluation: Evaluation,
    /// Each agent's first advantages.
    pub advantages: Vec<Advantages>,
    /// Metrics `[minibatches][agents]` of every epoch, in order of execution.
    pub epochs: Vec<(Phase, Vec<Vec<MinibatchMetrics>>)>,
    /// Each agent's trust-region step; empty with PPO.
    pub trust_region: Vec<TrustRegionStep>,
}

/// Gives the order of an agent's samples in an epoch.
pub trait Shuffle {
    /// A permutation of `0..samples` for this agent, loop and epoch.
    fn permutation(&mut self, agent: usize, phase: Phase, epoch: usize, samples: usize)
    -> Vec<u32>;

    /// `count` different rows of `0..samples` for this agent's Fisher matrix.
    fn fisher_rows(&mut self, agent: usize, samples: usize, count: usize) -> Vec<u32>;
}

/// One iteration of a cohort, ready to be learned from.
pub struct Update<'a> {
    /// Sizes of the networks.
    pub shape: &'a NetworkShape,
    /// Configurations, one an agent.
    pub configs: &'a [ValidAgentConfig],
    /// Rollouts, one an agent; of agents that take no part only the place matters.
    pub rollouts: &'a [Rollout],
    /// Agents that take part.
    pub alive: &'a [bool],
    /// Iteration, counted from zero.
    pub iteration: usize,
}

/// One agent's batch as its current value function sees it.
struct View {
    /// Values of the samples, in the unit of returns.
    values: Vec<f64>,
    advantages: Advantages,
}

impl Update<'_> {
    /// Updates the learner's parameters.
    ///
    /// # Errors
    /// When the device fails.
    pub fn run(
        &self,
        learner: &mut dyn Learner,
        states: &mut [UpdateState],
        shuffle: &mut dyn Shuffle,
    ) -> Result<(Vec<UpdateMetrics>, UpdateTrace), LearnerError> {
        let Some(first) = self.configs.first() else {
            return Ok((Vec::new(), UpdateTrace::default()));
        };
        learner.load(self.batch(first));
        let evaluation = learner.evaluate()?;
        let mut views = self.views(&evaluation, states);
        for (agent, state) in states.iter_mut().enumerate() {
            let config = &self.configs[agent];
            if self.alive[agent] && config.value_normalization == ValueNormalization::Running {
                state.target_statistics.merge(&views[agent].advantages.targets);
            }
        }
        let mut tallies: Vec<Tally> = views
            .iter()
            .map(|view| Tally {
                explained_variance: explained_variance(&view.values, &view.advantages.targets),
                ..Tally::default()
            })
            .collect();
        let mut trace = UpdateTrace {
            advantages: views.iter().map(|view| view.advantages.clone()).collect(),
            ..UpdateTrace::default()
        };
        learner.set_targets(self.targets(&views, &evaluation.log_probs, states));
        let recompute = self.configs.iter().any(|config| config.recompute_advantages);
        let bounds: Vec<(f32, f32)> =
            self.configs.iter().map(|config| self.ratio_bounds(config)).collect();

        let loops: &[(Phase, usize)] = match (first.algorithm, first.update_schedule) {
            (Algorithm::Trpo, _) => &[(Phase::Value, first.value_epochs)],
            (Algorithm::Ppo, UpdateSchedule::Joint) => &[(Phase::Joint, first.policy_epochs)],
            (Algorithm::Ppo, UpdateSchedule::ValueThenPolicy) => {
                &[(Phase::Value, first.value_epochs), (Phase::Policy, first.policy_epochs)]
            }
        };
        for &(phase, epochs) in loops {
            let mut active = self.alive.to_vec();
            for epoch in 0..epochs {
                if !active.contains(&true) {
                    break;
                }
                if recompute && epoch > 0 {
                    let current = self.views(&learner.evaluate()?, states);
                    for (agent, view) in current.into_iter().enumerate() {
                        if self.configs[agent].recompute_advantages {
                            views[agent] = view;
                        }
                    }
                    learner.set_targets(self.targets(&views, &evaluation.log_probs, states));
                }
                let permutations: Vec<Vec<u32>> = (0..self.configs.len())
                    .map(|agent| shuffle.permutation(agent, phase, epoch, first.samples()))
                    .collect();
                let metrics = learner.epoch(&EpochPlan {
                    phase,
                    permutations: &permutations,
                    minibatches: first.minibatches,
                    active: &active,
                    ratio_bounds: &bounds,
                    policy_steps: &self.steps(phase.has_policy(), &active, states, Side::Policy),
                    value_steps: &self.steps(phase.has_value(), &active, states, Side::Value),
                })?;
                for (agent, tally) in tallies.iter_mut().enumerate() {
                    if !active[agent] {
                        continue;
                    }
                    let config = &self.configs[agent];
                    let kl = tally.add(config, phase, metrics.iter().map(|row| &row[agent]));
                    if phase.has_policy() && config.target_kl.is_some_and(|target| kl > target) {
                        active[agent] = false;
                    }
                }
                trace.epochs.push((phase, metrics));
            }
        }
        trace.evaluation = evaluation;
        let mut metrics: Vec<UpdateMetrics> = tallies
            .into_iter()
            .zip(self.configs)
            .map(|(tally, config)| tally.finish(config, self.iteration))
            .collect();
        if first.algorithm == Algorithm::Trpo {
            trace.trust_region = self.trust_region_step(learner, shuffle, &mut metrics)?;
        }
        Ok((metrics, trace))
    }

    /// The policy's step by TRPO; the targets on the learner still hold the advantages from before
    /// the value function's update.
    fn trust_region_step(
        &self,
        learner: &mut dyn Learner,
        shuffle: &mut dyn Shuffle,
        metrics: &mut [UpdateMetrics],
    ) -> Result<Vec<TrustRegionStep>, LearnerError> {
        let rows: Vec<Vec<u32>> = self
            .configs
            .iter()
            .enumerate()
            .map(|(agent, config)| {
                shuffle.fisher_rows(agent, config.samples(), config.fisher_samples())
            })
            .collect();
        let limits: Vec<f64> =
            self.configs.iter().map(|config| config.max_kl_at(self.iteration)).collect();
        let steps = learner.trust_region_step(&TrustRegionPlan {
            active: self.alive,
            fisher_rows: &rows,
            max_kl: &limits.iter().map(|limit| to_f32(*limit)).collect::<Vec<_>>(),
        })?;
        for ((metrics, step), max_kl) in metrics.iter_mut().zip(&steps).zip(limits) {
            metrics.policy_loss = -f64::from(step.surrogate);
            metrics.entropy = f64::from(step.entropy);
            metrics.approximate_kl = f64::from(step.approximate_kl);
            metrics.max_ratio = f64::from(step.max_ratio);
            metrics.policy_gradient_norm = f64::from(step.gradient_norm);
            metrics.policy_learning_rate = f64::NAN;
            metrics.clip_epsilon = f64::NAN;
            metrics.epochs = 1;
            metrics.trust_region = Some(TrustRegionMetrics { max_kl, step: *step });
        }
        Ok(steps)
    }

    /// Gathers the rollouts into the tensors' order.
    fn batch(&self, first: &ValidAgentConfig) -> Batch {
        let shape = self.shape;
        let stored = shape.stored_observation_dim();
        let width = stored + shape.action_dim;
        let (samples, extra) = (first.samples(), first.num_envs + first.most_cuts());
        let mut features = vec![0.0; self.configs.len() * samples * width];
        let mut extra_observations = vec![0.0; self.configs.len() * extra * stored];
        for (agent, rollout) in self.rollouts.iter().enumerate() {
            if !self.alive[agent] {
                continue;
            }
            features[agent * samples * width..][..samples * width]
                .copy_from_slice(&rollout.features);
            let extras = &mut extra_observations[agent * extra * stored..][..extra * stored];
            let (finals, cuts) = extras.split_at_mut(rollout.final_observations.len());
            finals.copy_from_slice(&rollout.final_observations);
            cuts[..rollout.cut_observations.len()].copy_from_slice(&rollout.cut_observations);
        }
        Batch { samples, features, extra, extra_observations }
    }

    fn views(&self, evaluation: &Evaluation, states: &[UpdateState]) -> Vec<View> {
        self.configs
            .iter()
            .enumerate()
            .map(|(agent, config)| {
                if !self.alive[agent] {
                    let samples = config.samples();
                    let zeros = vec![0.0; samples];
                    return View {
                        values: zeros.clone(),
                        advantages: Advantages {
                            advantages: zeros.clone(),
                            targets: zeros,
                            weights: vec![1.0; samples],
                        },
                    };
                }
                let statistics = &states[agent].target_statistics;
                let unit = |output: &f32| match config.value_normalization {
                    ValueNormalization::None => f64::from(*output),
                    ValueNormalization::Running => statistics.denormalize(f64::from(*output)),
                };
                let samples = config.samples();
                let extra = config.num_envs + config.most_cuts();
                let values: Vec<f64> =
                    evaluation.values[agent * samples..][..samples].iter().map(unit).collect();
                let extras: Vec<f64> =
                    evaluation.extra_values[agent * extra..][..extra].iter().map(unit).collect();
                let rollout = &self.rollouts[agent];
                let (finals, cuts) = extras.split_at(config.num_envs);
                let cuts = &cuts[..rollout.cuts.len()];
                let advantages =
                    estimate(config, rollout, StateValues { samples: &values, finals, cuts });
                View { values, advantages }
            })
            .collect()
    }

    fn targets(&self, views: &[View], log_probs: &[f32], states: &[UpdateState]) -> Targets {
        let mut columns = Vec::with_capacity(log_probs.len() * TARGET_COLUMNS);
        let mut log_probs = log_probs.iter();
        for (agent, View { values, advantages }) in views.iter().enumerate() {
            let config = &self.configs[agent];
            let statistics = &states[agent].target_statistics;
            let unit = |value: f64| match config.value_normalization {
                ValueNormalization::None => to_f32(value),
                ValueNormalization::Running => to_f32(statistics.normalize(value)),
            };
            let (mean, scale) = match config.advantage_normalization {
                AdvantageNormalization::Batch => moments(&advantages.advantages),
                _ => (0.0, 1.0),
            };
            for (sample, value) in values.iter().enumerate() {
                columns.extend([
                    to_f32((advantages.advantages[sample] - mean) / scale),
                    unit(advantages.targets[sample]),
                    unit(*value),
                    advantages.weights[sample],
                    log_probs.next().copied().unwrap_or_default(),
                ]);
            }
        }
        Targets(columns)
    }

    fn ratio_bounds(&self, config: &ValidAgentConfig) -> (f32, f32) {
        let epsilon =
            config.annealed(config.clip_epsilon, config.clip_epsilon_annealing, self.iteration);
        match config.ratio_clip {
            RatioClip::None => (-UNBOUNDED, UNBOUNDED),
            RatioClip::Symmetric => (to_f32(1.0 - epsilon), to_f32(1.0 + epsilon)),
            RatioClip::Reciprocal => (to_f32(1.0 / (1.0 + epsilon)), to_f32(1.0 + epsilon)),
        }
    }

    /// Step sizes of an epoch's minibatches for each agent; counts the steps of those that move.
    fn steps(
        &self,
        moves: bool,
        active: &[bool],
        states: &mut [UpdateState],
        side: Side,
    ) -> Vec<Vec<StepSize>> {
        let minibatches = self.configs.first().map_or(0, |config| config.minibatches);
        (0..minibatches)
            .map(|_| {
                self.configs
                    .iter()
                    .zip(states.iter_mut())
                    .zip(active)
                    .map(|((config, state), active)| {
                        if !moves || !active {
                            return StepSize::default();
                        }
                        let (count, rate) = match side {
                            Side::Policy => (
                                &mut state.policy_steps,
                                policy_learning_rate(config, self.iteration),
                            ),
                            Side::Value => (
                                &mut state.value_steps,
                                value_learning_rate(config, self.iteration),
                            ),
                        };
                        *count += 1;
                        step_size(config, rate, *count)
                    })
                    .collect()
            })
            .collect()
    }
}

#[derive(Clone, Copy)]
enum Side {
    Policy,
    Value,
}

fn policy_learning_rate(config: &ValidAgentConfig, iteration: usize) -> f64 {
    config.annealed(config.policy_learning_rate, config.policy_annealing, iteration)
}

fn value_learning_rate(config: &ValidAgentConfig, iteration: usize) -> f64 {
    config.annealed(config.value_learning_rate, config.value_annealing, iteration)
}

/// Step size of optimiser step number `count`, from one.
pub(super) fn step_size(config: &ValidAgentConfig, rate: f64, count: u64) -> StepSize {
    if config.optimizer == Optimizer::Sgd {
        return StepSize { scale: to_f32(rate), root_scale: 1.0 };
    }
    // Beyond 2^31 steps both powers have long been zero.
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    let first = 1.0 - ADAM_BETA1.powi(count);
    let root = (1.0 - ADAM_BETA2.powi(count)).sqrt();
    match config.adam_epsilon_placement {
        AdamEpsilonPlacement::Corrected => {
            StepSize { scale: to_f32(rate / first), root_scale: to_f32(1.0 / root) }
        }
        AdamEpsilonPlacement::Uncorrected => {
            StepSize { scale: to_f32(rate * root / first), root_scale: 1.0 }
        }
    }
}

/// Mean, and unbiased standard deviation plus 1e-8.
pub(super) fn moments(x: &[f64]) -> (f64, f64) {
    // Batches are far smaller than 2^53.
    #[allow(clippy::cast_precision_loss)]
    let count = x.len() as f64;
    let mean = x.iter().sum::<f64>() / count;
    let squares: f64 = x.iter().map(|x| (x - mean) * (x - mean)).sum();
    (mean, (squares / (count - 1.0)).sqrt() + 1e-8)
}

/// Sums over the minibatches of one agent's iteration.
#[derive(Clone, Debug, Default)]
struct Tally {
    policy: PolicySums,
    value: ValueSums,
    last_kl: f64,
    max_ratio: f64,
    epochs: u32,
    explained_variance: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct PolicySums {
    minibatches: f64,
    loss: f64,
    entropy: f64,
    clip_fraction: f64,
    norm: f64,
    norm_clipped: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct ValueSums {
    minibatches: f64,
    loss: f64,
    norm: f64,
    norm_clipped: f64,
}

impl Tally {
    /// Adds an epoch and returns its mean approximate KL.
    fn add<'a>(
        &mut self,
        config: &ValidAgentConfig,
        phase: Phase,
        metrics: impl Iterator<Item = &'a MinibatchMetrics>,
    ) -> f64 {
        let (mut kl, mut count) = (0.0, 0.0);
        for metrics in metrics {
            let (policy_norm, value_norm) =
                (f64::from(metrics.policy_gradient_norm), f64::from(metrics.value_gradient_norm));
            let (policy_clip, value_clip) = config.clip_coefficients(policy_norm, value_norm);
            if phase.has_policy() {
                let sums = &mut self.policy;
                sums.minibatches += 1.0;
                sums.loss += f64::from(metrics.policy_loss);
                sums.entropy += f64::from(metrics.entropy);
                sums.clip_fraction += f64::from(metrics.clip_fraction);
                sums.norm += policy_norm;
                sums.norm_clipped += policy_norm * policy_clip;
                let ratio = f64::from(metrics.max_ratio);
                // Once NaN, it stays: comparisons with it are false.
                if ratio.is_nan() || ratio > self.max_ratio {
                    self.max_ratio = ratio;
                }
                kl += f64::from(metrics.approximate_kl);
                count += 1.0;
            }
            if phase.has_value() {
                let sums = &mut self.value;
                sums.minibatches += 1.0;
                sums.loss += f64::from(metrics.value_loss);
                sums.norm += value_norm;
                sums.norm_clipped += value_norm * value_clip;
            }
        }
        if phase.has_policy() {
            self.last_kl = kl / count;
            self.epochs += 1;
        }
        self.last_kl
    }

    fn finish(self, config: &ValidAgentConfig, iteration: usize) -> UpdateMetrics {
        let (policy, value) = (self.policy, self.value);
        UpdateMetrics {
            policy_loss: policy.loss / policy.minibatches,
            value_loss: value.loss / value.minibatches,
            entropy: policy.entropy / policy.minibatches,
            approximate_kl: self.last_kl,
            max_ratio: self.max_ratio,
            clip_fraction: policy.clip_fraction / policy.minibatches,
            policy_gradient_norm: policy.norm / policy.minibatches,
            policy_gradient_norm_clipped: policy.norm_clipped / policy.minibatches,
            value_gradient_norm: value.norm / value.minibatches,
            value_gradient_norm_clipped: value.norm_clipped / value.minibatches,
            explained_variance: self.explained_variance,
            policy_learning_rate: policy_learning_rate(config, iteration),
            value_learning_rate: value_learning_rate(config, iteration),
            clip_epsilon: config.annealed(
                config.clip_epsilon,
                config.clip_epsilon_annealing,
                iteration,
            ),
            epochs: self.epochs,
            trust_region: None,
        }
    }
}
