//! Advantages and value targets of one agent, from its rollout and the values of its states.

use serde::{Deserialize, Serialize};

use super::config::{AgentConfig, RolloutBootstrap, TerminalSamples, TimeLimit, ValueTarget};
use super::rollout::Rollout;

/// Values of one agent's states, in the unit of (scaled) returns.
#[derive(Clone, Copy, Debug)]
pub struct StateValues<'a> {
    /// V of each sample's observation, environment by environment.
    pub samples: &'a [f64],
    /// V of the observation after each environment's last step.
    pub finals: &'a [f64],
    /// V of each observation that a time limit cut off, in the order of [`Rollout::cuts`].
    pub cuts: &'a [f64],
}

/// What an iteration learns towards, one entry a sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Advantages {
    /// Generalised advantage estimates, not normalised.
    pub advantages: Vec<f64>,
    /// Targets of the value function.
    pub targets: Vec<f64>,
    /// Weights in the value loss: 1, or 0 for samples that are dropped.
    pub weights: Vec<f32>,
}

/// Generalised advantage estimation (Schulman et al. 2016) with the variants of the configuration.
pub fn estimate(config: &AgentConfig, rollout: &Rollout, values: StateValues<'_>) -> Advantages {
    let (envs, length) = (config.num_envs, config.rollout_length);
    let samples = envs * length;
    let mut result = Advantages {
        advantages: vec![0.0; samples],
        targets: vec![0.0; samples],
        weights: vec![1.0; samples],
    };
    // Cut observations are stored in order of time within an environment, environments in order.
    let mut cut_value = vec![0.0; samples];
    for (cut, value) in rollout.cuts.iter().zip(values.cuts) {
        cut_value[*cut as usize] = *value;
    }
    for env in 0..envs {
        let mut advantage = 0.0;
        let mut monte_carlo = 0.0;
        for step in (0..length).rev() {
            let index = env * length + step;
            let terminated = rollout.terminated[index];
            let truncated = rollout.truncated[index] && !terminated;
            let done = terminated || truncated;
            let reward = f64::from(rollout.rewards[index]);
            let value = values.samples[index];
            let next_value = if terminated {
                0.0
            } else if truncated {
                match config.time_limit {
                    TimeLimit::Terminal => 0.0,
                    TimeLimit::Bootstrap => cut_value[index],
                }
            } else if step + 1 == length {
                match config.rollout_bootstrap {
                    RolloutBootstrap::LastValue => value,
                    RolloutBootstrap::NextValue => values.finals[env],
                }
            } else {
                values.samples[index + 1]
            };
            if done {
                advantage = 0.0;
                monte_carlo = 0.0;
            }
            let delta = reward + config.gamma * next_value - value;
            advantage = delta + config.gamma * config.gae_lambda * advantage;
            monte_carlo = reward + config.gamma * monte_carlo;
            result.advantages[index] = advantage;
            result.targets[index] = match config.value_target {
                ValueTarget::LambdaReturn => value + advantage,
                ValueTarget::MonteCarlo => monte_carlo,
            };
            let terminal = terminated || truncated && config.time_limit == TimeLimit::Terminal;
            if terminal && config.terminal_samples == TerminalSamples::Drop {
                result.weights[index] = 0.0;
            }
        }
    }
    result
}

/// Running mean and variance of value targets: Chan's merge of batches, from mean 0, variance 1 and
/// weight 1e-4.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetStatistics {
    mean: f64,
    variance: f64,
    count: f64,
}

impl Default for TargetStatistics {
    fn default() -> Self {
        Self { mean: 0.0, variance: 1.0, count: 1e-4 }
    }
}

impl TargetStatistics {
    /// Merges a batch.
    pub fn merge(&mut self, batch: &[f64]) {
        // Batches are far smaller than 2^53.
        #[allow(clippy::cast_precision_loss)]
        let count = batch.len() as f64;
        let mean = batch.iter().sum::<f64>() / count;
        let variance = batch.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
        let total = self.count + count;
        let delta = mean - self.mean;
        let squares = self.variance * self.count
            + variance * count
            + delta * delta * self.count * count / total;
        self.mean += delta * count / total;
        self.variance = squares / total;
        self.count = total;
    }

    /// From the unit of returns to the network's.
    pub fn normalize(&self, value: f64) -> f64 {
        (value - self.mean) / (self.variance + 1e-8).sqrt()
    }

    /// From the network's unit to that of returns.
    pub fn denormalize(&self, output: f64) -> f64 {
        self.mean + (self.variance + 1e-8).sqrt() * output
    }
}

/// Share of the targets' variance that the old values explain; `None` where the targets are
/// constant.
pub fn explained_variance(values: &[f64], targets: &[f64]) -> Option<f64> {
    let variance = |x: &mut dyn Iterator<Item = f64>| {
        let x: Vec<f64> = x.collect();
        #[allow(clippy::cast_precision_loss)]
        let count = x.len() as f64;
        let mean = x.iter().sum::<f64>() / count;
        x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count
    };
    let total = variance(&mut targets.iter().copied());
    let rest = variance(&mut values.iter().zip(targets).map(|(value, target)| target - value));
    (total > 0.0).then(|| 1.0 - rest / total)
}

#[cfg(test)]
mod tests {
    use super::{StateValues, estimate, explained_variance};
    use crate::policy_gradient::config::{
        AgentConfig, RolloutBootstrap, TerminalSamples, TimeLimit, ValueTarget,
    };
    use crate::policy_gradient::rollout::Rollout;

    fn rollout() -> Rollout {
        Rollout {
            rewards: vec![1.0, 2.0, 3.0, 4.0],
            terminated: vec![false, true, false, false],
            truncated: vec![false, false, false, false],
            ..Rollout::default()
        }
    }

    fn config() -> AgentConfig {
        AgentConfig {
            num_envs: 1,
            rollout_length: 4,
            gamma: 0.5,
            gae_lambda: 0.5,
            ..AgentConfig::default()
        }
    }

    const VALUES: StateValues<'static> =
        StateValues { samples: &[10.0, 20.0, 30.0, 40.0], finals: &[50.0], cuts: &[] };

    /// By hand: deltas 1+10-10=1, 2-20=-18, 3+20-30=-7, 4+0.5*V-40 with V = 40 or 50.
    #[test]
    fn advantages_are_cut_at_terminations_and_bootstrapped_at_the_end() {
        let release = estimate(&config(), &rollout(), VALUES);
        assert_eq!(release.advantages, [1.0 - 0.25 * 18.0, -18.0, -7.0 - 0.25 * 16.0, -16.0]);
        assert_eq!(release.targets[3], 24.0);
        assert_eq!(release.weights, [1.0, 0.0, 1.0, 1.0]);
        let next = AgentConfig {
            rollout_bootstrap: RolloutBootstrap::NextValue,
            terminal_samples: TerminalSamples::Keep,
            ..config()
        };
        let next = estimate(&next, &rollout(), VALUES);
        assert_eq!(next.advantages[3], 4.0 + 25.0 - 40.0);
        assert_eq!(next.weights, [1.0; 4]);
    }

    #[test]
    fn time_limits_bootstrap_from_the_state_that_was_cut_off() {
        let mut cut = rollout();
        cut.terminated[1] = false;
        cut.truncated[1] = true;
        cut.cuts = vec![1];
        let values = StateValues { cuts: &[60.0], ..VALUES };
        let terminal = estimate(&config(), &cut, values);
        assert_eq!(terminal.advantages[1], -18.0);
        assert_eq!(terminal.weights[1], 0.0);
        let bootstrap = AgentConfig { time_limit: TimeLimit::Bootstrap, ..config() };
        let bootstrap = estimate(&bootstrap, &cut, values);
        assert_eq!(bootstrap.advantages[1], 2.0 + 30.0 - 20.0);
        assert_eq!(bootstrap.weights[1], 1.0);
    }

    #[test]
    fn monte_carlo_targets_are_sums_within_the_segment() {
        let config = AgentConfig { value_target: ValueTarget::MonteCarlo, ..config() };
        let result = estimate(&config, &rollout(), VALUES);
        assert_eq!(result.targets, [2.0, 2.0, 5.0, 4.0]);
    }

    #[test]
    fn explained_variance_knows_its_ends() {
        let targets = [1.0, 2.0, 3.0];
        assert_eq!(explained_variance(&targets, &targets), Some(1.0));
        assert_eq!(explained_variance(&[0.0; 3], &targets), Some(0.0));
        assert_eq!(explained_variance(&targets, &[2.0; 3]), None);
    }
}
