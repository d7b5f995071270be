//! What is fixed and known about an environment before it runs.

use serde::Serialize;

use crate::arguments::Argument;

/// The set of valid actions.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum ActionSpace {
    /// One of the integers `0..n`.
    Discrete {
        /// Number of actions.
        n: usize,
    },
    /// A vector of reals; environments accept values outside the bounds and treat them as
    /// Gymnasium does (each classic-control task clips them itself; MuJoCo clips what it applies,
    /// but the control cost sees the action as given).
    Box {
        /// Lower bound of each component, in the task's own unit.
        low: Vec<f32>,
        /// Upper bound of each component, in the task's own unit.
        high: Vec<f32>,
    },
}

impl ActionSpace {
    /// Width of a policy's output: `n` for discrete actions, the number of components otherwise.
    #[must_use]
    pub fn dim(&self) -> usize {
        match self {
            Self::Discrete { n } => *n,
            Self::Box { low, .. } => low.len(),
        }
    }

    /// Whether actions are vectors of reals.
    #[must_use]
    pub fn is_continuous(&self) -> bool {
        matches!(self, Self::Box { .. })
    }
}

/// Description of an environment. Values are those that Gymnasium 1.4.0 registers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EnvSpec {
    /// Gymnasium's id, version included.
    pub id: &'static str,
    /// Length of an observation.
    pub observation_dim: usize,
    /// Lower bound of each observation value; may be infinite.
    pub observation_low: Vec<f32>,
    /// Upper bound of each observation value; may be infinite.
    pub observation_high: Vec<f32>,
    /// The set of valid actions.
    pub action_space: ActionSpace,
    /// Steps after which an episode is truncated.
    pub max_episode_steps: u32,
    /// Mean undiscounted return at which the task counts as solved, where one is registered.
    pub reward_threshold: Option<f64>,
    /// One line for listings.
    pub description: &'static str,
    /// What computes the dynamics, version included where it decides numbers.
    pub engine: &'static str,
    /// What the environment can be made with, and the defaults.
    pub arguments: Vec<Argument>,
}
