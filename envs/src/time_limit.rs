//! Truncation after a number of steps.

use crate::environment::{Action, EnvState, Environment, Step};
use crate::error::EnvError;
use crate::scene::Scene;
use crate::spec::EnvSpec;

/// Truncates an episode once `max_episode_steps` steps have been taken since the last reset, as
/// Gymnasium's wrapper of the same name: the flag is independent of `terminated`, and a step past
/// the limit is truncated too.
#[derive(Debug, Clone)]
pub struct TimeLimit<E> {
    environment: E,
    spec: EnvSpec,
    elapsed_steps: u32,
}

impl<E: Environment> TimeLimit<E> {
    /// Wraps an environment with a limit of `max_episode_steps` steps; the wrapper's `spec` shows
    /// this limit in place of the registered one.
    ///
    /// # Errors
    /// When the limit is zero.
    pub fn new(environment: E, max_episode_steps: u32) -> Result<Self, EnvError> {
        let mut spec = environment.spec().clone();
        if max_episode_steps == 0 {
            return Err(EnvError::ZeroTimeLimit { environment: spec.id });
        }
        spec.max_episode_steps = max_episode_steps;
        Ok(Self { environment, spec, elapsed_steps: 0 })
    }

    /// Wraps an environment with its registered limit.
    ///
    /// # Errors
    /// When the registered limit is zero.
    pub fn registered(environment: E) -> Result<Self, EnvError> {
        let limit = environment.spec().max_episode_steps;
        Self::new(environment, limit)
    }

    /// The environment inside.
    #[must_use]
    pub fn inner(&self) -> &E {
        &self.environment
    }

    /// The environment inside, mutable.
    pub fn inner_mut(&mut self) -> &mut E {
        &mut self.environment
    }

    /// Steps since the last reset.
    #[must_use]
    pub fn elapsed_steps(&self) -> u32 {
        self.elapsed_steps
    }
}

impl<E: Environment> Environment for TimeLimit<E> {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: Option<u64>, observation: &mut [f64]) {
        self.elapsed_steps = 0;
        self.environment.reset(seed, observation);
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f64]) -> Result<Step, EnvError> {
        let mut step = self.environment.step(action, observation)?;
        self.elapsed_steps = self.elapsed_steps.saturating_add(1);
        step.truncated |= self.elapsed_steps >= self.spec.max_episode_steps;
        Ok(step)
    }

    fn state(&self) -> EnvState {
        EnvState { elapsed_steps: self.elapsed_steps, ..self.environment.state() }
    }

    fn set_state(&mut self, state: &EnvState) -> Result<(), EnvError> {
        self.environment.set_state(state)?;
        self.elapsed_steps = state.elapsed_steps;
        Ok(())
    }

    fn scene(&self, action: Option<Action<'_>>) -> Result<Scene, EnvError> {
        self.environment.scene(action)
    }

    fn step_seconds(&self) -> f64 {
        self.environment.step_seconds()
    }
}
