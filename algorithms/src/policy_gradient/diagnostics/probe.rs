//! One agent's networks on the host, looking at data without learning from it.

use super::super::advantages::{Advantages, StateValues, TargetStatistics, estimate};
use super::super::autodiff::AutodiffLearner;
use super::super::config::{AdvantageNormalization, AgentConfig, ValueClip, ValueNormalization};
use super::super::learner::{
    Batch, CohortSpec, Learner as _, LearnerError, TARGET_COLUMNS, Targets,
};
use super::super::rollout::Rollout;
use super::super::validate::ValidAgentConfig;
use crate::device::LearnerDevice;
use crate::network::{NetworkShape, Parameters, to_f32};

pub(super) struct Probe {
    pub(super) learner: AutodiffLearner,
    config: AgentConfig,
    shape: NetworkShape,
    statistics: TargetStatistics,
}

/// What a probe says of a rollout.
pub(super) struct View {
    /// Values of the samples, in the unit of returns.
    pub(super) values: Vec<f64>,
    finals: Vec<f64>,
    cuts: Vec<f64>,
    /// Log-densities of the actions.
    pub(super) log_probs: Vec<f32>,
}

impl View {
    /// The same data with a value function that is zero.
    pub(super) fn without_values(&self) -> Self {
        Self {
            values: vec![0.0; self.values.len()],
            finals: vec![0.0; self.finals.len()],
            cuts: vec![0.0; self.cuts.len()],
            log_probs: self.log_probs.clone(),
        }
    }
}

impl Probe {
    /// Networks with these parameters, and the statistics of value targets that belong to them.
    pub(super) fn new(
        config: &ValidAgentConfig,
        parameters: &Parameters,
        statistics: TargetStatistics,
    ) -> Self {
        let shape = config.network_shape();
        let config = AgentConfig {
            // Advantages are normalised over whole estimates, and fitted values move freely.
            advantage_normalization: AdvantageNormalization::None,
            value_clip: ValueClip::None,
            ..(**config).clone()
        };
        let spec = CohortSpec {
            shape: shape.clone(),
            configs: vec![config.clone()],
            parameters: vec![parameters.clone()],
        };
        let learner = AutodiffLearner::new(&spec, &LearnerDevice::Cpu);
        Self { learner, config, shape, statistics }
    }

    pub(super) fn load(&mut self, rollout: &Rollout) {
        let mut extra_observations = rollout.final_observations.clone();
        extra_observations.extend(&rollout.cut_observations);
        self.learner.load(Batch {
            samples: rollout.rewards.len(),
            features: rollout.features.clone(),
            extra: extra_observations.len() / self.shape.stored_observation_dim(),
            extra_observations,
        });
    }

    /// Loads a rollout and looks at it.
    pub(super) fn look(&mut self, rollout: &Rollout) -> Result<View, LearnerError> {
        self.load(rollout);
        let evaluation = self.learner.evaluate()?;
        let unit = |output: &f32| match self.config.value_normalization {
            ValueNormalization::None => f64::from(*output),
            ValueNormalization::Running => self.statistics.denormalize(f64::from(*output)),
        };
        let mut finals: Vec<f64> = evaluation.extra_values.iter().map(unit).collect();
        let cuts = finals.split_off(finals.len() - rollout.cuts.len());
        Ok(View {
            values: evaluation.values.iter().map(unit).collect(),
            finals,
            cuts,
            log_probs: evaluation.log_probs,
        })
    }

    /// From the unit of returns to the network's.
    pub(super) fn network_unit(&self, value: f64) -> f64 {
        match self.config.value_normalization {
            ValueNormalization::None => value,
            ValueNormalization::Running => self.statistics.normalize(value),
        }
    }

    /// Advantages and value targets of a rollout; its environments stepped `length` times each.
    pub(super) fn advantages(&self, rollout: &Rollout, view: &View, length: usize) -> Advantages {
        let config = AgentConfig {
            num_envs: rollout.rewards.len() / length,
            rollout_length: length,
            ..self.config.clone()
        };
        let values = StateValues { samples: &view.values, finals: &view.finals, cuts: &view.cuts };
        estimate(&config, rollout, values)
    }

    /// Gradient of the mean of `weights` times the log-density of the loaded actions.
    pub(super) fn policy_gradient(
        &mut self,
        weights: &[f64],
        log_probs: &[f32],
    ) -> Result<Vec<f32>, LearnerError> {
        let mut columns = Vec::with_capacity(weights.len() * TARGET_COLUMNS);
        for (weight, log_prob) in weights.iter().zip(log_probs) {
            columns.extend([to_f32(*weight), 0.0, 0.0, 0.0, *log_prob]);
        }
        self.learner.set_targets(Targets(columns));
        self.learner.surrogate_gradient()
    }
}
