//! The interface that every environment offers.

use serde::{Deserialize, Serialize};

use crate::error::EnvError;
use crate::scene::Scene;
use crate::seeding::NumpyGenerator;
use crate::spec::{ActionSpace, EnvSpec};

/// An action, borrowed from whoever chose it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action<'a> {
    /// Index into a discrete action space.
    Discrete(usize),
    /// One value per component of a continuous action space. `f32`, as in Gymnasium.
    Continuous(&'a [f32]),
}

impl Action<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Discrete(_) => "discrete",
            Self::Continuous(_) => "continuous",
        }
    }
}

/// What one step returned, apart from the observation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Reward of this transition.
    pub reward: f64,
    /// The task ended: the value of the next state is zero.
    pub terminated: bool,
    /// The time limit ended the episode: the next state still has a value. Can be true together
    /// with `terminated`, when both happen on the same step.
    pub truncated: bool,
}

impl Step {
    /// Whether the episode is over, for either reason.
    #[must_use]
    pub fn done(&self) -> bool {
        self.terminated || self.truncated
    }
}

/// Everything that an environment needs to continue exactly where it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnvState {
    /// Id of the environment that the state belongs to.
    pub environment: String,
    /// Simulator state, in the environment's own order; empty before the first reset.
    pub physics: Vec<f64>,
    /// Generator that resets draw from.
    pub generator: NumpyGenerator,
    /// Steps since the last reset, as the time limit counts them (0 without a time limit).
    pub elapsed_steps: u32,
}

/// One environment. Stepping allocates nothing.
pub trait Environment: Send {
    /// What is fixed about the environment.
    fn spec(&self) -> &EnvSpec;

    /// Starts an episode and writes its first observation.
    ///
    /// `Some(seed)` starts the random stream anew from `PCG64(SeedSequence(seed))`, as Gymnasium
    /// does; `None` continues the stream. An environment that was never seeded continues the
    /// stream of seed 0 (Gymnasium would ask the operating system, which cannot be repeated).
    ///
    /// `observation` has length `spec().observation_dim`; values that do not fit are not written.
    fn reset(&mut self, seed: Option<u64>, observation: &mut [f64]);

    /// Advances by one step and writes the next observation.
    ///
    /// # Errors
    /// When the action is of the wrong kind, length or range or is not finite, when the buffer has
    /// the wrong length, or before the first reset. The environment is then unchanged.
    fn step(&mut self, action: Action<'_>, observation: &mut [f64]) -> Result<Step, EnvError>;

    /// Full snapshot: simulator state, random generator, elapsed steps.
    fn state(&self) -> EnvState;

    /// Restores a snapshot, after which the environment continues as the original would have.
    ///
    /// # Errors
    /// When the snapshot is of another environment or has the wrong shape.
    fn set_state(&mut self, state: &EnvState) -> Result<(), EnvError>;

    /// What the present state looks like. `action` is the one that led to it, of which some
    /// environments show something; `None` after a reset.
    ///
    /// # Errors
    /// Before the first reset, or when the simulator has no room for a copy of its state.
    fn scene(&self, action: Option<Action<'_>>) -> Result<Scene, EnvError>;

    /// Time between two scenes of successive steps, s: simulated time, or where a task has none,
    /// what Gymnasium takes to show it.
    fn step_seconds(&self) -> f64;
}

impl<E: Environment + ?Sized> Environment for Box<E> {
    fn spec(&self) -> &EnvSpec {
        (**self).spec()
    }

    fn reset(&mut self, seed: Option<u64>, observation: &mut [f64]) {
        (**self).reset(seed, observation);
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f64]) -> Result<Step, EnvError> {
        (**self).step(action, observation)
    }

    fn state(&self) -> EnvState {
        (**self).state()
    }

    fn set_state(&mut self, state: &EnvState) -> Result<(), EnvError> {
        (**self).set_state(state)
    }

    fn scene(&self, action: Option<Action<'_>>) -> Result<Scene, EnvError> {
        (**self).scene(action)
    }

    fn step_seconds(&self) -> f64 {
        (**self).step_seconds()
    }
}

/// The index of a discrete action, checked against the space.
pub(crate) fn discrete_action(spec: &EnvSpec, action: Action<'_>) -> Result<usize, EnvError> {
    match (&spec.action_space, action) {
        (ActionSpace::Discrete { n }, Action::Discrete(index)) if index < *n => Ok(index),
        (ActionSpace::Discrete { n }, Action::Discrete(index)) => {
            Err(EnvError::ActionOutOfRange { environment: spec.id, n: *n, found: index })
        }
        _ => Err(wrong_kind(spec, action)),
    }
}

/// The values of a continuous action, checked for length and finiteness.
pub(crate) fn continuous_action<'a>(
    spec: &EnvSpec,
    action: Action<'a>,
) -> Result<&'a [f32], EnvError> {
    let (ActionSpace::Box { low, .. }, Action::Continuous(values)) = (&spec.action_space, action)
    else {
        return Err(wrong_kind(spec, action));
    };
    if values.len() != low.len() {
        return Err(EnvError::ActionLength {
            environment: spec.id,
            expected: low.len(),
            found: values.len(),
        });
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => {
            Err(EnvError::NonFiniteAction { environment: spec.id, index, value: values[index] })
        }
        None => Ok(values),
    }
}

fn wrong_kind(spec: &EnvSpec, action: Action<'_>) -> EnvError {
    EnvError::ActionKind {
        environment: spec.id,
        expected: if spec.action_space.is_continuous() { "continuous" } else { "discrete" },
        found: action.kind(),
    }
}

/// Checks the length of an observation buffer.
pub(crate) fn check_observation(spec: &EnvSpec, observation: &[f64]) -> Result<(), EnvError> {
    if observation.len() == spec.observation_dim {
        Ok(())
    } else {
        Err(EnvError::ObservationLength {
            environment: spec.id,
            expected: spec.observation_dim,
            found: observation.len(),
        })
    }
}
