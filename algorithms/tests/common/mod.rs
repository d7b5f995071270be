//! Synthetic cohorts: rollouts drawn from a seed, without any environment.

#![allow(dead_code, reason = "each test file uses its own part")]

pub mod fixtures;

use algorithms::device::LearnerDevice;
use algorithms::network::{Layout, Parameters};
use algorithms::policy_gradient::autodiff::AutodiffLearner;
use algorithms::policy_gradient::learner::{CohortSpec, Learner as _, Phase};
use algorithms::policy_gradient::rollout::Rollout;
use algorithms::policy_gradient::update::{
    Shuffle, TrustRegionMetrics, Update, UpdateMetrics, UpdateState,
};
use algorithms::policy_gradient::{AgentConfig, ValidAgentConfig};
use envs::{Purpose, Streams, fill_standard_normal};
use rand::RngExt as _;
use rand::seq::SliceRandom as _;

/// A small configuration that every other one deviates from.
pub fn base(environment: &str) -> AgentConfig {
    AgentConfig {
        environment: environment.to_owned(),
        num_envs: 2,
        rollout_length: 24,
        total_steps: 4 * 48,
        policy_hidden: vec![16, 16],
        value_hidden: vec![16, 16],
        policy_epochs: 2,
        value_epochs: 2,
        minibatches: 3,
        // Large enough for ratios and values to leave their clip ranges.
        policy_learning_rate: 2e-2,
        value_learning_rate: 3e-3,
        ..AgentConfig::default()
    }
}

pub fn streams(replicate: u64) -> Streams {
    Streams { study_seed: 7, replicate }
}

/// A rollout with terminations and time limits, drawn from a replicate's streams.
pub fn rollout(config: &ValidAgentConfig, replicate: u64, iteration: u64) -> Rollout {
    let shape = config.network_shape();
    let mut rng = streams(replicate).rng(Purpose::ActionNoise, iteration);
    let stored = shape.stored_observation_dim();
    let samples = config.samples();
    let mut rollout = Rollout::default();
    let observation = |rollout: &mut Vec<f32>, rng: &mut _| {
        let mut values = vec![0.0; stored];
        fill_standard_normal(rng, &mut values);
        rollout.extend(values);
    };
    for sample in 0..samples {
        observation(&mut rollout.features, &mut rng);
        let mut action = vec![0.0; shape.action_dim];
        if shape.discrete {
            action[rng.random_range(0..shape.action_dim)] = 1.0;
        } else {
            fill_standard_normal(&mut rng, &mut action);
        }
        rollout.features.extend(action);
        rollout.rewards.push(rng.random_range(-3.0..3.0));
        let end = rng.random_range(0..12);
        rollout.terminated.push(end == 0);
        rollout.truncated.push(end == 1 && rollout.cuts.is_empty());
        if rollout.truncated[sample] {
            rollout.cuts.push(u32::try_from(sample).unwrap());
            observation(&mut rollout.cut_observations, &mut rng);
        }
    }
    for _ in 0..config.num_envs {
        observation(&mut rollout.final_observations, &mut rng);
    }
    rollout
}

struct SeededShuffle<'a> {
    replicates: &'a [u64],
    iteration: u64,
}

impl Shuffle for SeededShuffle<'_> {
    fn permutation(
        &mut self,
        agent: usize,
        phase: Phase,
        epoch: usize,
        samples: usize,
    ) -> Vec<u32> {
        let index = (self.iteration * 10 + phase as u64) * 100 + epoch as u64;
        let mut rng = streams(self.replicates[agent]).rng(Purpose::Minibatch, index);
        let mut order: Vec<u32> = (0..u32::try_from(samples).unwrap()).collect();
        order.shuffle(&mut rng);
        order
    }

    fn fisher_rows(&mut self, agent: usize, samples: usize, count: usize) -> Vec<u32> {
        let mut rng = streams(self.replicates[agent]).rng(Purpose::FisherSubsample, self.iteration);
        let mut rows: Vec<u32> = (0..u32::try_from(samples).unwrap()).collect();
        rows.partial_shuffle(&mut rng, count).0.to_vec()
    }
}

/// What two updates left of one agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    pub parameters: Parameters,
    pub metrics: Vec<UpdateMetrics>,
}

/// Trains a cohort for two iterations on synthetic rollouts; replicate numbers pick the data.
pub fn train(configs: &[AgentConfig], replicates: &[u64], device: &LearnerDevice) -> Vec<Trained> {
    let valid: Vec<ValidAgentConfig> =
        configs.iter().map(|config| config.clone().validate().unwrap()).collect();
    let shape = valid[0].network_shape();
    let layout = Layout::new(&shape);
    let parameters: Vec<Parameters> = valid
        .iter()
        .zip(replicates)
        .map(|(config, replicate)| {
            Parameters::initialize(&layout, &config.initialization(), |layer| {
                streams(*replicate).rng(Purpose::Init, layer)
            })
        })
        .collect();
    let spec = CohortSpec { shape: shape.clone(), configs: configs.to_vec(), parameters };
    let mut learner = AutodiffLearner::new(&spec, device);
    let mut states = vec![UpdateState::default(); configs.len()];
    let mut all = vec![Vec::new(); configs.len()];
    for iteration in 0..2 {
        let rollouts: Vec<Rollout> = valid
            .iter()
            .zip(replicates)
            .map(|(config, replicate)| rollout(config, *replicate, iteration))
            .collect();
        let (metrics, _) = Update {
            shape: &shape,
            configs: &valid,
            rollouts: &rollouts,
            alive: &vec![true; configs.len()],
            iteration: usize::try_from(iteration).unwrap(),
        }
        .run(&mut learner, &mut states, &mut SeededShuffle { replicates, iteration })
        .unwrap();
        for (agent, metrics) in metrics.into_iter().enumerate() {
            all[agent].push(metrics);
        }
    }
    let parameters = learner.parameters().unwrap();
    parameters
        .into_iter()
        .zip(all)
        .map(|(parameters, metrics)| Trained { parameters, metrics })
        .collect()
}

/// Every bit of a trained agent.
pub fn bits(trained: &Trained) -> Vec<u64> {
    let Trained { parameters, metrics } = trained;
    let mut bits: Vec<u64> = parameters
        .policy
        .iter()
        .chain(&parameters.value)
        .map(|parameter| u64::from(parameter.to_bits()))
        .collect();
    for metrics in metrics {
        let numbers = [
            metrics.policy_loss,
            metrics.value_loss,
            metrics.entropy,
            metrics.approximate_kl,
            metrics.max_ratio,
            metrics.clip_fraction,
            metrics.policy_gradient_norm,
            metrics.policy_gradient_norm_clipped,
            metrics.value_gradient_norm,
            metrics.value_gradient_norm_clipped,
            metrics.explained_variance.unwrap(),
            metrics.policy_learning_rate,
            metrics.value_learning_rate,
            metrics.clip_epsilon,
            f64::from(metrics.epochs),
        ];
        bits.extend(numbers.map(f64::to_bits));
        if let Some(TrustRegionMetrics { max_kl, step }) = metrics.trust_region {
            bits.push(max_kl.to_bits());
            let numbers = [
                step.surrogate,
                step.residual,
                step.cg_iterations,
                step.predicted_improvement,
                step.fraction,
                step.improvement,
                step.kl,
            ];
            bits.extend(numbers.map(|number| u64::from(number.to_bits())));
        }
    }
    bits
}
