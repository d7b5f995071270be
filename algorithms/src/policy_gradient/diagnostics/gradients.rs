//! How well estimates of the policy gradient agree, and what baselines do for them.

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::super::config::AdvantageNormalization;
use super::super::learner::{
    Batch, EpochPlan, Learner as _, Phase, StepSize, TARGET_COLUMNS, Targets, UNBOUNDED,
};
use super::super::rollout::Rollout;
use super::super::update::step_size;
use super::probe::Probe;
use super::{Diagnostics, Halt, Moment, Use, mean, returns};
use crate::network::{Parameters, to_f32};

/// One estimate of the surrogate's gradient before an update.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GradientRow {
    /// The iteration.
    pub iteration: u32,
    /// State-action pairs of the estimate.
    pub samples: u64,
    /// Its number among those of equal size, from zero.
    pub estimate: u32,
    /// Episodes that finished in its data.
    pub episodes: u32,
    /// Its Euclidean norm.
    pub norm: f64,
    /// Mean cosine with the other estimates of equal size.
    pub cosine_to_others: f64,
    /// Cosine with the gradient from `reference_samples` pairs.
    pub cosine_to_reference: f64,
}

/// What stands for the value function in an advantage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Baseline {
    /// Zero.
    None,
    /// The agent's value function.
    Learned,
    /// A value function of the same shape, fitted to the returns of many fresh samples.
    Fitted,
}

impl Baseline {
    /// All, with their names in tables.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::None, "none"), (Self::Learned, "learned"), (Self::Fitted, "fitted")];
}

/// One estimate of the surrogate's gradient before an update, with one of three baselines; the
/// three use the same data.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BaselineRow {
    /// The iteration.
    pub iteration: u32,
    /// What stands for the value function.
    pub baseline: Baseline,
    /// State-action pairs of the estimate.
    pub samples: u64,
    /// Its number among those of equal size and baseline, from zero.
    pub estimate: u32,
    /// Its Euclidean norm.
    pub norm: f64,
    /// Mean cosine with the other estimates of equal size and baseline.
    pub cosine_to_others: f64,
}

/// Gradients of the surrogate objective from the same data, one a baseline.
struct Estimate {
    gradients: Vec<Vec<f64>>,
    episodes: u32,
}

/// Sums of one baseline over the segments of an estimate.
struct Sums {
    weighted: Vec<f64>,
    advantages: f64,
    squares: f64,
}

impl Sums {
    /// Mean of the advantages, and their unbiased standard deviation plus 1e-8.
    fn moments(&self, count: f64) -> (f64, f64) {
        let mean = self.advantages / count;
        let squares = (self.squares - count * mean * mean).max(0.0);
        (mean, (squares / (count - 1.0)).sqrt() + 1e-8)
    }
}

impl Moment<'_> {
    pub(super) fn gradients(&self, found: &mut Diagnostics) -> Result<(), Halt> {
        let config = self.config();
        let mut probes = [(Baseline::Learned, self.probe(self.before))];
        let stream = self.rng(Use::Reference, 0);
        let reference = self.estimate(&mut probes, config.reference_samples, stream)?;
        for (size, samples) in config.gradient_samples.iter().enumerate() {
            let estimates = self.estimates(&mut probes, Use::Gradients, size, *samples)?;
            let others = cosines_to_others(&estimates, 0);
            for ((number, estimate), cosine_to_others) in (0..).zip(&estimates).zip(others) {
                let gradient = &estimate.gradients[0];
                found.gradients.push(GradientRow {
                    iteration: self.label(),
                    samples: *samples as u64,
                    estimate: number,
                    episodes: estimate.episodes,
                    norm: norm(gradient),
                    cosine_to_others,
                    cosine_to_reference: cosine(gradient, &reference.gradients[0]),
                });
            }
        }
        Ok(())
    }

    pub(super) fn baselines(&self, found: &mut Diagnostics) -> Result<(), Halt> {
        let config = self.config();
        let fitted = self.fitted_baseline()?;
        let mut probes = [
            (Baseline::None, self.probe(self.before)),
            (Baseline::Learned, self.probe(self.before)),
            (Baseline::Fitted, self.probe(&fitted)),
        ];
        for (size, samples) in config.gradient_samples.iter().enumerate() {
            let estimates = self.estimates(&mut probes, Use::Baselines, size, *samples)?;
            for (index, (baseline, _)) in probes.iter().enumerate() {
                let others = cosines_to_others(&estimates, index);
                for ((number, estimate), cosine_to_others) in (0..).zip(&estimates).zip(others) {
                    found.baselines.push(BaselineRow {
                        iteration: self.label(),
                        baseline: *baseline,
                        samples: *samples as u64,
                        estimate: number,
                        norm: norm(&estimate.gradients[index]),
                        cosine_to_others,
                    });
                }
            }
        }
        Ok(())
    }

    fn probe(&self, parameters: &Parameters) -> Probe {
        Probe::new(self.config(), parameters, self.state_before.target_statistics)
    }

    /// Independent estimates of one size.
    fn estimates(
        &self,
        probes: &mut [(Baseline, Probe)],
        use_: Use,
        size: usize,
        samples: usize,
    ) -> Result<Vec<Estimate>, Halt> {
        (0..self.config().gradient_estimates)
            .map(|number| {
                // Both are at most 1000.
                let stream = self.rng(use_, (size as u64) << 16 | number as u64);
                self.estimate(probes, samples, stream)
            })
            .collect()
    }

    /// One estimate from fresh data. Advantages are normalised over all of it if the agent
    /// normalises at all.
    fn estimate(
        &self,
        probes: &mut [(Baseline, Probe)],
        samples: usize,
        stream: impl rand::Rng,
    ) -> Result<Estimate, Halt> {
        let mut sums: Vec<Sums> = probes
            .iter()
            .map(|_| Sums { weighted: Vec::new(), advantages: 0.0, squares: 0.0 })
            .collect();
        // Sum of the log-densities' gradients: what is subtracted when advantages are centred.
        let mut plain: Vec<f64> = Vec::new();
        let mut episodes = 0;
        self.draw(samples, stream, |segment| {
            let length = segment.rewards.len();
            // Samples are far fewer than 2^53.
            #[allow(clippy::cast_precision_loss)]
            let count = length as f64;
            episodes += segment.episodes.len();
            let mut policy = None;
            for ((baseline, probe), sums) in probes.iter_mut().zip(&mut sums) {
                let view = probe.look(&segment)?;
                let view = match baseline {
                    Baseline::None => view.without_values(),
                    Baseline::Learned | Baseline::Fitted => view,
                };
                let advantages = probe.advantages(&segment, &view, length).advantages;
                let gradient = probe.policy_gradient(&advantages, &view.log_probs)?;
                add(&mut sums.weighted, &gradient, count);
                sums.advantages += advantages.iter().sum::<f64>();
                sums.squares += advantages.iter().map(|x| x * x).sum::<f64>();
                policy = Some((probe, view.log_probs));
            }
            if let Some((probe, log_probs)) = policy {
                add(&mut plain, &probe.policy_gradient(&vec![1.0; length], &log_probs)?, count);
            }
            Ok(())
        })?;
        // Samples are far fewer than 2^53.
        #[allow(clippy::cast_precision_loss)]
        let count = samples as f64;
        let normalized = self.config().advantage_normalization != AdvantageNormalization::None;
        let gradients = sums
            .into_iter()
            .map(|sums| {
                let (mean, scale) = if normalized { sums.moments(count) } else { (0.0, 1.0) };
                let centred = sums.weighted.iter().zip(&plain);
                centred
                    .map(|(weighted, plain)| (weighted - mean * plain) / (scale * count))
                    .collect()
            })
            .collect();
        // Episodes are at most as many as samples, which fit 32 bits.
        #[allow(clippy::cast_possible_truncation)]
        let episodes = episodes as u32;
        Ok(Estimate { gradients, episodes })
    }

    /// The value function, trained on until it knows the returns of `baseline_fit_samples` fresh
    /// samples: as many epochs as an update has, with the same minibatch size and a constant step.
    fn fitted_baseline(&self) -> Result<Parameters, Halt> {
        let config = self.config();
        let mut probe = self.probe(self.before);
        let mut stream = self.rng(Use::BaselineFit, 1);
        let (mut features, mut columns) = (Vec::new(), Vec::new());
        self.draw(
            config.baseline_fit_samples,
            self.rng(Use::BaselineFit, 0),
            |segment: Rollout| {
                for truth in returns(config.gamma, &segment, segment.rewards.len()) {
                    let weight = f32::from(u8::from(truth.is_some()));
                    let target = to_f32(probe.network_unit(truth.unwrap_or_default()));
                    columns.extend([0.0, target, 0.0, weight, 0.0]);
                }
                features.extend(segment.features);
                Ok(())
            },
        )?;
        let samples = columns.len() / TARGET_COLUMNS;
        let extra_observations = vec![0.0; config.network_shape().stored_observation_dim()];
        probe.learner.load(Batch { samples, features, extra: 1, extra_observations });
        probe.learner.set_targets(Targets(columns));
        let minibatches = (samples * config.minibatches / config.samples()).clamp(1, samples);
        for epoch in 0..config.value_epochs {
            // The data fits in memory, so its row numbers fit 32 bits.
            #[allow(clippy::cast_possible_truncation)]
            let mut permutation: Vec<u32> = (0..samples as u32).collect();
            permutation.shuffle(&mut stream);
            let steps: Vec<Vec<StepSize>> = (1..=minibatches as u64)
                .map(|step| {
                    let count = (epoch * minibatches) as u64 + step;
                    vec![step_size(config, config.value_learning_rate, count)]
                })
                .collect();
            probe.learner.epoch(&EpochPlan {
                phase: Phase::Value,
                permutations: &[permutation],
                minibatches,
                active: &[true],
                ratio_bounds: &[(-UNBOUNDED, UNBOUNDED)],
                policy_steps: &vec![vec![StepSize::default()]; minibatches],
                value_steps: &steps,
            })?;
        }
        Ok(probe.learner.parameters()?.remove(0))
    }
}

fn add(sum: &mut Vec<f64>, gradient: &[f32], count: f64) {
    sum.resize(gradient.len(), 0.0);
    for (sum, entry) in sum.iter_mut().zip(gradient) {
        *sum += f64::from(*entry) * count;
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    dot(a, b) / (norm(a) * norm(b))
}

/// Mean cosine of each estimate with the others, for one of the baselines.
fn cosines_to_others(estimates: &[Estimate], baseline: usize) -> Vec<f64> {
    let gradient = |index: usize| &estimates[index].gradients[baseline];
    (0..estimates.len())
        .map(|one| {
            let others = (0..estimates.len()).filter(|other| *other != one);
            mean(others.map(|other| cosine(gradient(one), gradient(other)))).unwrap_or(f64::NAN)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use envs::{Purpose, Streams};
    use rand::RngExt as _;

    use super::super::super::config::AgentConfig;
    use super::super::super::rollout::{Agent, Rollout};
    use super::super::super::update::{UpdateState, moments};
    use super::super::{Moment, Use, mean, returns};
    use super::{Baseline, norm};
    use crate::network::{Layout, Parameters};

    /// An agent that has not learned yet, and the data of its first iteration.
    struct Fresh {
        agent: Agent,
        parameters: Parameters,
        rollout: Rollout,
    }

    impl Fresh {
        fn new(rollout_length: usize, baseline_fit_samples: usize) -> Self {
            let config = AgentConfig {
                environment: "CartPole-v1".to_owned(),
                num_envs: 1,
                rollout_length,
                baseline_fit_samples,
                total_steps: rollout_length as u64,
                minibatches: 2,
                policy_hidden: vec![8],
                value_hidden: vec![16, 16],
                value_learning_rate: 3e-3,
                policy_head_scale: 1.0,
                ..AgentConfig::default()
            };
            let config = config.validate().unwrap();
            let streams = Streams { study_seed: 3, replicate: 0 };
            let mut agent = Agent::new(&config, streams).unwrap();
            let layout = Layout::new(&config.network_shape());
            let parameters = Parameters::initialize(&layout, &config.initialization(), |layer| {
                streams.rng(Purpose::Init, layer)
            });
            let rollout = agent.roll(&parameters.policy, 0).unwrap();
            Self { agent, parameters, rollout }
        }

        fn moment(&self) -> Moment<'_> {
            Moment {
                iteration: 0,
                agent: &self.agent,
                rollout: &self.rollout,
                before: &self.parameters,
                after: &self.parameters,
                state_before: UpdateState::default(),
                state_after: UpdateState::default(),
            }
        }
    }

    #[test]
    fn the_fitted_baseline_knows_returns_better_than_an_untrained_one() {
        let fresh = Fresh::new(100, 20_000);
        let moment = fresh.moment();
        let fitted = moment.fitted_baseline().ok().unwrap();
        assert_eq!(fitted.policy, fresh.parameters.policy);
        let error = |parameters: &Parameters| {
            let mut probe = moment.probe(parameters);
            let mut squares = Vec::new();
            let stream = moment.rng(Use::Heldout, 0);
            let drawn = moment.draw(2000, stream, |segment| {
                let values = probe.look(&segment)?.values;
                let truths = returns(moment.config().gamma, &segment, 100);
                let pairs = values.into_iter().zip(truths);
                squares.extend(pairs.filter_map(|(value, truth)| Some((value - truth?).powi(2))));
                Ok(())
            });
            assert!(drawn.is_ok());
            mean(squares).unwrap().sqrt()
        };
        let (before, after) = (error(&fresh.parameters), error(&fitted));
        assert!(after < 0.6 * before, "{before} before, {after} after");
    }

    /// Centring and scaling after the fact gives the gradient of a surrogate whose advantages were
    /// normalised over all segments.
    #[test]
    fn segments_add_up_to_one_batch() {
        let fresh = Fresh::new(40, 2);
        let moment = fresh.moment();
        let mut probes = [(Baseline::Learned, moment.probe(&fresh.parameters))];
        let estimate = |probes: &mut [(Baseline, _)]| {
            moment.estimate(probes, 100, moment.rng(Use::Gradients, 0)).ok().unwrap()
        };
        let found = estimate(&mut probes);

        let (mut features, mut advantages, mut log_probs) = (Vec::new(), Vec::new(), Vec::new());
        let probe = &mut probes[0].1;
        let mut lengths = Vec::new();
        let mut stream = moment.rng(Use::Gradients, 0);
        let mut copy = fresh.agent.frozen_copy(stream.random()).unwrap();
        for length in [40, 40, 20] {
            let segment = copy.roll_steps(&fresh.parameters.policy, length, &mut stream).unwrap();
            let view = probe.look(&segment).unwrap();
            advantages.extend(probe.advantages(&segment, &view, length).advantages);
            log_probs.extend(view.log_probs);
            features.extend(segment.features);
            lengths.push(segment.episodes.len());
        }
        let (mean, scale) = moments(&advantages);
        let normalized: Vec<f64> = advantages.iter().map(|x| (x - mean) / scale).collect();
        let rewards = vec![0.0; normalized.len()];
        probe.load(&Rollout { features, rewards, ..Rollout::default() });
        let expected = probe.policy_gradient(&normalized, &log_probs).unwrap();
        assert_eq!(found.episodes as usize, lengths.iter().sum::<usize>());
        assert_eq!(found.gradients[0].len(), expected.len());
        let largest = norm(&found.gradients[0]);
        assert!(largest > 1e-3);
        for (found, expected) in found.gradients[0].iter().zip(expected) {
            assert!((found - f64::from(expected)).abs() < 1e-5 * largest, "{found} {expected}");
        }
    }
}
