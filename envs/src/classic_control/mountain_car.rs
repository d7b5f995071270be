//! MountainCar-v0: rock an underpowered car out of a valley, with three actions.

use std::sync::LazyLock;

use super::ENGINE;
use super::simulation::{Simulation, write_single};
use crate::arguments::common_arguments;
use crate::environment::{Action, EnvState, Environment, Step, check_observation, discrete_action};
use crate::error::EnvError;
use crate::scene::{Color, Scene, Shape, Window, placed};
use crate::spec::{ActionSpace, EnvSpec};

/// Left wall.
pub(super) const MIN_POSITION: f64 = -1.2;
/// Right end.
pub(super) const MAX_POSITION: f64 = 0.6;
/// Distance per step.
pub(super) const MAX_SPEED: f64 = 0.07;
/// Acceleration per step on a vertical slope.
pub(super) const GRAVITY: f64 = 0.0025;
/// The car starts at rest, uniformly in this interval.
pub(super) const RESET_POSITIONS: (f64, f64) = (-0.6, -0.4);
/// Its time has no unit; Gymnasium shows thirty steps a second.
pub(super) const STEP_SECONDS: f64 = 1.0 / 30.0;
/// Acceleration of the engine, per step.
const FORCE: f64 = 0.001;
/// Where the episode terminates.
const GOAL_POSITION: f64 = 0.5;

pub(crate) static SPEC: LazyLock<EnvSpec> = LazyLock::new(|| EnvSpec {
    id: "MountainCar-v0",
    observation_dim: 2,
    observation_low: vec![MIN_POSITION as f32, -MAX_SPEED as f32],
    observation_high: vec![MAX_POSITION as f32, MAX_SPEED as f32],
    action_space: ActionSpace::Discrete { n: 3 },
    max_episode_steps: 200,
    reward_threshold: Some(-110.0),
    description: "rock an underpowered car out of a valley, pushing left, not at all or right",
    engine: ENGINE,
    arguments: common_arguments(200),
});

/// MountainCar-v0 without its time limit. State: position and velocity (per step), dimensionless,
/// `f64`. Actions: push left, none, right. Reward -1 on every step; terminates at the goal with a
/// velocity of at least zero.
#[derive(Debug, Clone)]
pub struct MountainCar {
    simulation: Simulation<2>,
}

impl MountainCar {
    /// A new environment, to be reset before its first step.
    #[must_use]
    pub fn new() -> Self {
        Self { simulation: Simulation::new(&SPEC) }
    }

    /// Position and velocity; `None` before the first reset.
    #[must_use]
    pub fn physics(&self) -> Option<[f64; 2]> {
        self.simulation.physics()
    }

    /// Puts the simulator into a state.
    pub fn set_physics(&mut self, physics: [f64; 2]) {
        self.simulation.set_physics(physics);
    }
}

impl Default for MountainCar {
    fn default() -> Self {
        Self::new()
    }
}

/// The valley: its height at a position.
fn height(position: f64) -> f64 {
    0.45 * libm::sin(3.0 * position) + 0.55
}

/// As Gymnasium draws it, in the unit of positions: its picture has 333 pixels a unit. The car
/// stands on the slope, which in Gymnasium it is a little steeper than.
pub(super) fn draw(position: f64, goal: f64) -> Scene {
    const WHEEL: Color = Color([128, 128, 128]);
    const FLAG: Color = Color([204, 204, 0]);
    const POINTS: usize = 100;
    const THIN: f64 = 0.003;
    let width = MAX_POSITION - MIN_POSITION;
    let track: Vec<[f64; 2]> = (0..POINTS)
        .map(|index| MIN_POSITION + width * index as f64 / (POINTS - 1) as f64)
        .map(|x| [x, height(x)])
        .collect();
    let slope = libm::atan(1.35 * libm::cos(3.0 * position));
    let at = [position, height(position) + 0.03];
    let car = [[-0.06, 0.0], [-0.06, 0.06], [0.06, 0.06], [0.06, 0.0]];
    let wheel = |x| Shape::circle(placed([x, 0.0], slope, at), 0.024, WHEEL);
    let (foot, top) = (height(goal), height(goal) + 0.15);
    Scene {
        window: Window::between([MIN_POSITION, MAX_POSITION], [0.0, 1.2]),
        shapes: vec![
            Shape::line(track, THIN, Color::BLACK),
            Shape::polygon(car.map(|corner| placed(corner, slope, at)), Color::BLACK),
            wheel(0.03),
            wheel(-0.03),
            Shape::line([[goal, foot], [goal, top]], THIN, Color::BLACK),
            Shape::polygon([[goal, top], [goal, top - 0.03], [goal + 0.075, top - 0.015]], FLAG),
        ],
    }
}

impl Environment for MountainCar {
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
        let direction = discrete_action(&SPEC, action)? as f64 - 1.0;
        check_observation(&SPEC, observation)?;
        let [position, velocity] = self.simulation.ready()?;

        let push = direction * FORCE + libm::cos(3.0 * position) * -GRAVITY;
        let mut velocity = (velocity + push).clamp(-MAX_SPEED, MAX_SPEED);
        let position = (position + velocity).clamp(MIN_POSITION, MAX_POSITION);
        if position == MIN_POSITION && velocity < 0.0 {
            velocity = 0.0;
        }
        let terminated = position >= GOAL_POSITION && velocity >= 0.0;
        let next = [position, velocity];
        self.simulation.set_physics(next);
        write_single(&next, observation);
        Ok(Step { reward: -1.0, terminated, truncated: false })
    }

    fn state(&self) -> EnvState {
        self.simulation.snapshot()
    }

    fn set_state(&mut self, state: &EnvState) -> Result<(), EnvError> {
        self.simulation.restore(state)
    }

    fn scene(&self, _: Option<Action<'_>>) -> Result<Scene, EnvError> {
        let [position, _] = self.simulation.ready()?;
        Ok(draw(position, GOAL_POSITION))
    }

    fn step_seconds(&self) -> f64 {
        STEP_SECONDS
    }
}
