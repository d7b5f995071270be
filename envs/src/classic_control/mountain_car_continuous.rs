//! MountainCarContinuous-v0: rock an underpowered car out of a valley, with a graded engine.

use std::sync::LazyLock;

use super::ENGINE;
use super::mountain_car::{
    GRAVITY, MAX_POSITION, MAX_SPEED, MIN_POSITION, RESET_POSITIONS, STEP_SECONDS, draw,
};
use super::simulation::{Simulation, write_single};
use crate::arguments::common_arguments;
use crate::environment::{
    Action, EnvState, Environment, Step, check_observation, continuous_action,
};
use crate::error::EnvError;
use crate::scene::Scene;
use crate::spec::{ActionSpace, EnvSpec};

/// Acceleration of the engine at full force, per step.
const POWER: f64 = 0.0015;
/// Bound of the force on either side.
const MAX_FORCE: f32 = 1.0;
/// Where the episode terminates.
const GOAL_POSITION: f64 = 0.45;

pub(crate) static SPEC: LazyLock<EnvSpec> = LazyLock::new(|| EnvSpec {
    id: "MountainCarContinuous-v0",
    observation_dim: 2,
    observation_low: vec![MIN_POSITION as f32, -MAX_SPEED as f32],
    observation_high: vec![MAX_POSITION as f32, MAX_SPEED as f32],
    action_space: ActionSpace::Box { low: vec![-MAX_FORCE], high: vec![MAX_FORCE] },
    max_episode_steps: 999,
    reward_threshold: Some(90.0),
    description: "rock an underpowered car out of a valley with a graded engine",
    engine: ENGINE,
    arguments: common_arguments(999),
});

/// MountainCarContinuous-v0 without its time limit. State: position and velocity (per step),
/// dimensionless. Reward: 100 on reaching the goal, minus 0.1 times the square of the action as
/// given, before it is clipped. Terminates at the goal with a velocity of at least zero.
///
/// Precision follows Gymnasium under NumPy 2: the state is drawn as `f64` on reset and stored as
/// `f32` after every step, so the first step of an episode is computed in `f64` and the others in
/// `f32`, apart from the slope and, when the action is clipped, the engine's push.
#[derive(Debug, Clone)]
pub struct MountainCarContinuous {
    // The third number is 1 once the state is stored as f32.
    simulation: Simulation<3>,
}

impl MountainCarContinuous {
    /// A new environment, to be reset before its first step.
    #[must_use]
    pub fn new() -> Self {
        Self { simulation: Simulation::new(&SPEC) }
    }

    /// Position and velocity; `None` before the first reset.
    #[must_use]
    pub fn physics(&self) -> Option<[f64; 2]> {
        self.simulation.physics().map(|[position, velocity, _]| [position, velocity])
    }

    /// Puts the simulator into a state, in `f64` as after a reset.
    pub fn set_physics(&mut self, [position, velocity]: [f64; 2]) {
        self.simulation.set_physics([position, velocity, 0.0]);
    }
}

impl Default for MountainCarContinuous {
    fn default() -> Self {
        Self::new()
    }
}

/// Change of velocity by engine and slope. Python's `min` and `max` return a Python number when
/// they clip and the `f32` action when they do not, and NumPy computes in `f64` or `f32`
/// accordingly; the result of the `f32` case is exact as `f64`.
fn push(action: f32, slope_angle: f64) -> f64 {
    let slope = GRAVITY * libm::cos(slope_angle);
    if action > MAX_FORCE {
        POWER - slope
    } else if action < -MAX_FORCE {
        -POWER - slope
    } else {
        f64::from(action * POWER as f32 - slope as f32)
    }
}

/// Next position and velocity, and whether the goal is reached, in `f64`.
fn step_double(position: f64, velocity: f64, action: f32) -> ([f32; 2], bool) {
    let mut velocity = (velocity + push(action, 3.0 * position)).clamp(-MAX_SPEED, MAX_SPEED);
    let position = (position + velocity).clamp(MIN_POSITION, MAX_POSITION);
    if position == MIN_POSITION && velocity < 0.0 {
        velocity = 0.0;
    }
    let reached = position >= GOAL_POSITION && velocity >= 0.0;
    ([position as f32, velocity as f32], reached)
}

/// Next position and velocity, and whether the goal is reached, in `f32`.
fn step_single(position: f32, velocity: f32, action: f32) -> ([f32; 2], bool) {
    const SPEED: f32 = MAX_SPEED as f32;
    const LEFT: f32 = MIN_POSITION as f32;
    const RIGHT: f32 = MAX_POSITION as f32;
    const GOAL: f32 = GOAL_POSITION as f32;
    let push = push(action, f64::from(3.0 * position)) as f32;
    let mut velocity = (velocity + push).clamp(-SPEED, SPEED);
    let position = (position + velocity).clamp(LEFT, RIGHT);
    if position == LEFT && velocity < 0.0 {
        velocity = 0.0;
    }
    ([position, velocity], position >= GOAL && velocity >= 0.0)
}

impl Environment for MountainCarContinuous {
    fn spec(&self) -> &EnvSpec {
        self.simulation.spec()
    }

    fn reset(&mut self, seed: Option<u64>, observation: &mut [f64]) {
        self.simulation.seed(seed);
        let (low, high) = RESET_POSITIONS;
        let physics = [self.simulation.generator.uniform(low, high), 0.0];
        self.set_physics(physics);
        write_single(&physics, observation);
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f64]) -> Result<Step, EnvError> {
        let action = continuous_action(&SPEC, action)?[0];
        check_observation(&SPEC, observation)?;
        let [position, velocity, single] = self.simulation.ready()?;
        let ([position, velocity], terminated) = if single == 1.0 {
            step_single(position as f32, velocity as f32, action)
        } else {
            step_double(position, velocity, action)
        };
        let bonus = if terminated { 100.0 } else { 0.0 };
        let reward = bonus - f64::from(action) * f64::from(action) * 0.1;
        let next = [f64::from(position), f64::from(velocity)];
        self.simulation.set_physics([next[0], next[1], 1.0]);
        write_single(&next, observation);
        Ok(Step { reward, terminated, truncated: false })
    }

    fn state(&self) -> EnvState {
        self.simulation.snapshot()
    }

    fn set_state(&mut self, state: &EnvState) -> Result<(), EnvError> {
        self.simulation.restore(state)
    }

    fn scene(&self, _: Option<Action<'_>>) -> Result<Scene, EnvError> {
        let [position, _, _] = self.simulation.ready()?;
        Ok(draw(position, GOAL_POSITION))
    }

    fn step_seconds(&self) -> f64 {
        STEP_SECONDS
    }
}
