//! The seam between rollouts and parameters.
//!
//! The driver in [`super::update`] decides what an iteration does: advantages, targets, shuffles,
//! step sizes, early stops, all on the host and per agent. A [`Learner`] does the heavy part: it
//! evaluates networks on a batch and takes one optimiser step a minibatch. The reference
//! implementation is [`super::autodiff::AutodiffLearner`]; another one has to agree with it.

use serde::{Deserialize, Serialize};

use super::config::AgentConfig;
use crate::network::{NetworkShape, Parameters};

/// Columns of [`Targets`].
pub const TARGET_COLUMNS: usize = 5;

/// Stands for "no bound" on a ratio or a norm: large enough never to bind, small enough to stay finite
/// in products.
pub const UNBOUNDED: f32 = 1e30;

/// A batch of every agent: what one iteration learns from.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Samples of each agent.
    pub samples: usize,
    /// Stored observations (policy features, then the time where used) and actions,
    /// `[agents, samples, stored_observation_dim + action_dim]`. Discrete actions are one-hot.
    pub features: Vec<f32>,
    /// Observations beyond the samples of each agent: one after each environment's last step, then
    /// those that a time limit cut off.
    pub extra: usize,
    /// `[agents, extra, stored_observation_dim]`; unused rows are zero.
    pub extra_observations: Vec<f32>,
}

/// What the networks say of a batch.
#[derive(Clone, Debug, Default)]
pub struct Evaluation {
    /// Outputs of the value head, `[agents, samples]`.
    pub values: Vec<f32>,
    /// The same for the extra observations, `[agents, extra]`.
    pub extra_values: Vec<f32>,
    /// Log-densities of the actions, `[agents, samples]`.
    pub log_probs: Vec<f32>,
}

/// What the losses compare with: `[agents, samples, TARGET_COLUMNS]`, the columns being advantage,
/// value target, old value, weight in the value loss and old log-density.
#[derive(Clone, Debug, Default)]
pub struct Targets(pub Vec<f32>);

/// Which networks an epoch updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Both, by one loss.
    Joint,
    /// The policy alone.
    Policy,
    /// The value network alone.
    Value,
}

impl Phase {
    /// Whether the policy is updated.
    pub fn has_policy(self) -> bool {
        self != Self::Value
    }

    /// Whether the value function is updated.
    pub fn has_value(self) -> bool {
        self != Self::Policy
    }
}

/// Adam's step for one agent and minibatch: p -= scale * m / (root_scale * sqrt(v) + eps). For
/// plain gradient descent, p -= scale * g.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepSize {
    /// Factor on the whole step.
    pub scale: f32,
    /// Factor on the root of the second moment.
    pub root_scale: f32,
}

/// One pass over the batch.
#[derive(Clone, Debug)]
pub struct EpochPlan<'a> {
    /// What it updates.
    pub phase: Phase,
    /// Order of the samples of each agent.
    pub permutations: &'a [Vec<u32>],
    /// Number of minibatches; sizes differ by at most one, larger ones first.
    pub minibatches: usize,
    /// Agents that take part; the others' parameters and moments stay.
    pub active: &'a [bool],
    /// Smallest and largest probability ratio of each agent.
    pub ratio_bounds: &'a [(f32, f32)],
    /// Steps of the policy's group, `[minibatches][agents]`.
    pub policy_steps: &'a [Vec<StepSize>],
    /// Steps of the value function's group, `[minibatches][agents]`.
    pub value_steps: &'a [Vec<StepSize>],
}

/// What one minibatch step of one agent looked like, before the step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MinibatchMetrics {
    /// Clipped surrogate loss without the entropy bonus; NaN where the policy is not updated.
    pub policy_loss: f32,
    /// Value loss without its coefficient; NaN where the value function is not updated.
    pub value_loss: f32,
    /// Mean entropy of the policy, nats.
    pub entropy: f32,
    /// Mean of (ratio - 1) - log ratio, nats: an estimate of KL(old || new).
    pub approximate_kl: f32,
    /// Largest probability ratio.
    pub max_ratio: f32,
    /// Share of samples whose ratio lies outside its bounds.
    pub clip_fraction: f32,
    /// Norm of the policy group's gradient before clipping.
    pub policy_gradient_norm: f32,
    /// Norm of the value group's gradient before clipping.
    pub value_gradient_norm: f32,
}

/// One trust-region step of the policy on the whole batch.
#[derive(Clone, Debug)]
pub struct TrustRegionPlan<'a> {
    /// Agents that take part; the others' parameters stay.
    pub active: &'a [bool],
    /// Rows of each agent's batch that its Fisher matrix is estimated on, equally many for all.
    pub fisher_rows: &'a [Vec<u32>],
    /// Largest mean KL(old || new) of each agent, nats.
    pub max_kl: &'a [f32],
}

/// What one agent's trust-region step looked like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrustRegionStep {
    /// Surrogate objective before the step.
    pub surrogate: f32,
    /// Mean entropy before the step, nats.
    pub entropy: f32,
    /// Norm of the surrogate's gradient.
    pub gradient_norm: f32,
    /// Squared norm of what conjugate gradient left of the gradient.
    pub residual: f32,
    /// Iterations of conjugate gradient (a whole number).
    pub cg_iterations: f32,
    /// Improvement of the surrogate that the full step promises to first order.
    pub predicted_improvement: f32,
    /// Step lengths that were tried.
    pub tries: u32,
    /// Share of the full step that was accepted; 0 if none was.
    pub fraction: f32,
    /// Improvement of the surrogate.
    pub improvement: f32,
    /// Mean KL(old || new) over the batch, nats.
    pub kl: f32,
    /// Mean of (ratio - 1) - log ratio, nats.
    pub approximate_kl: f32,
    /// Largest probability ratio after it; 1 if no step was accepted.
    pub max_ratio: f32,
}

/// Why a learner could not go on.
#[derive(Debug, thiserror::Error)]
#[error("the device failed while {doing}: {reason}")]
pub struct LearnerError {
    /// What was being done.
    pub doing: &'static str,
    /// What the device said.
    pub reason: String,
}

/// Running means of gradients and of their squares, as Adam keeps them, of one parameter vector.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moments {
    /// Mean of the gradients.
    pub first: Vec<f32>,
    /// Mean of their squares.
    pub second: Vec<f32>,
}

/// What the optimiser of one agent keeps from step to step, by group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OptimizerState {
    /// Of the policy's vector.
    pub policy: Moments,
    /// Of the value function's vector; empty where networks are shared.
    pub value: Moments,
}

/// Updates the networks of a cohort.
pub trait Learner {
    /// Takes the batch of an iteration.
    fn load(&mut self, batch: Batch);

    /// Evaluates the current networks on the batch.
    ///
    /// # Errors
    /// When the device fails.
    fn evaluate(&mut self) -> Result<Evaluation, LearnerError>;

    /// Takes what the losses compare with.
    fn set_targets(&mut self, targets: Targets);

    /// Takes one optimiser step a minibatch, and returns its metrics `[minibatches][agents]`.
    ///
    /// # Errors
    /// When the device fails.
    fn epoch(&mut self, plan: &EpochPlan<'_>) -> Result<Vec<Vec<MinibatchMetrics>>, LearnerError>;

    /// Takes one trust-region step of every active agent's policy; an agent that accepts no step
    /// keeps its parameters.
    ///
    /// # Errors
    /// When the device fails.
    fn trust_region_step(
        &mut self,
        plan: &TrustRegionPlan<'_>,
    ) -> Result<Vec<TrustRegionStep>, LearnerError>;

    /// The current parameters of every agent.
    ///
    /// # Errors
    /// When the device fails.
    fn parameters(&mut self) -> Result<Vec<Parameters>, LearnerError>;

    /// What the optimiser keeps of every agent.
    ///
    /// # Errors
    /// When the device fails.
    fn optimizer_states(&mut self) -> Result<Vec<OptimizerState>, LearnerError>;

    /// Goes on with what the optimiser kept of every agent earlier; the vectors are as long as the
    /// parameters'.
    fn set_optimizer_states(&mut self, states: &[OptimizerState]);
}

/// What a learner needs to know of a cohort when it starts.
#[derive(Clone, Debug)]
pub struct CohortSpec {
    /// Sizes, common to all agents.
    pub shape: NetworkShape,
    /// Configurations, one an agent, equal in every field that fixes shapes.
    pub configs: Vec<AgentConfig>,
    /// Initial parameters, one an agent.
    pub parameters: Vec<Parameters>,
}

/// Sizes of minibatches: as equal as possible, larger ones first (NumPy's `array_split`).
pub fn minibatch_sizes(samples: usize, minibatches: usize) -> impl Iterator<Item = usize> {
    let (size, rest) = (samples / minibatches, samples % minibatches);
    (0..minibatches).map(move |index| size + usize::from(index < rest))
}
