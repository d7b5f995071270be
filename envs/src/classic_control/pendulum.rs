//! Pendulum-v1: swing a pendulum up and hold it there with a limited torque.

use std::f64::consts::PI;
use std::sync::LazyLock;

use super::ENGINE;
use super::simulation::{Simulation, write_single};
use crate::arguments::common_arguments;
use crate::environment::{
    Action, EnvState, Environment, Step, check_observation, continuous_action,
};
use crate::error::EnvError;
use crate::scene::{Color, Scene, Shape, Window, placed};
use crate::spec::{ActionSpace, EnvSpec};

/// rad/s.
const MAX_SPEED: f64 = 8.0;
/// N m.
const MAX_TORQUE: f32 = 2.0;
/// Duration of a step, s.
const TIME_STEP: f64 = 0.05;
/// m/s^2; 10, not 9.8.
const GRAVITY: f64 = 10.0;
/// kg.
const MASS: f64 = 1.0;
/// m.
const LENGTH: f64 = 1.0;
/// The angle starts uniformly within this distance of upright, rad.
const RESET_ANGLE: f64 = PI;
/// The angular velocity starts uniformly within this distance of zero, rad/s.
const RESET_SPEED: f64 = 1.0;

pub(crate) static SPEC: LazyLock<EnvSpec> = LazyLock::new(|| {
    let high = [1.0, 1.0, MAX_SPEED as f32];
    EnvSpec {
        id: "Pendulum-v1",
        observation_dim: 3,
        observation_low: high.map(|bound| -bound).to_vec(),
        observation_high: high.to_vec(),
        action_space: ActionSpace::Box { low: vec![-MAX_TORQUE], high: vec![MAX_TORQUE] },
        max_episode_steps: 200,
        reward_threshold: None,
        description: "swing a pendulum up and hold it with a limited torque",
        engine: ENGINE,
        arguments: common_arguments(200),
    }
});

/// Pendulum-v1 without its time limit. State: angle from upright (rad, not wrapped) and angular
/// velocity (rad/s), `f64`. Observation: cosine and sine of the angle, angular velocity. Reward:
/// minus (wrapped angle^2 + 0.1 velocity^2 + 0.001 torque^2), of the state before the step and
/// the clipped torque. Never terminates.
#[derive(Debug, Clone)]
pub struct Pendulum {
    simulation: Simulation<2>,
}

impl Pendulum {
    /// A new environment, to be reset before its first step.
    #[must_use]
    pub fn new() -> Self {
        Self { simulation: Simulation::new(&SPEC) }
    }

    /// Angle (rad) and angular velocity (rad/s); `None` before the first reset.
    #[must_use]
    pub fn physics(&self) -> Option<[f64; 2]> {
        self.simulation.physics()
    }

    /// Puts the simulator into a state.
    pub fn set_physics(&mut self, physics: [f64; 2]) {
        self.simulation.set_physics(physics);
    }
}

impl Default for Pendulum {
    fn default() -> Self {
        Self::new()
    }
}

/// The angle in `[-pi, pi)`.
fn wrap(angle: f64) -> f64 {
    (angle + PI).rem_euclid(2.0 * PI) - PI
}

fn observe([angle, speed]: [f64; 2], observation: &mut [f64]) {
    let (sin, cos) = libm::sincos(angle);
    write_single(&[cos, sin, speed], observation);
}

/// As Gymnasium draws it, in metres, with an arrow about the axle that is the longer, the larger the
/// torque (Gymnasium scales a picture of one).
fn draw(angle: f64, torque: f64) -> Scene {
    const ROD: Color = Color([204, 77, 77]);
    const ARROW: Color = Color([40, 60, 110]);
    const RADIUS: f64 = 0.35;
    const POINTS: usize = 24;
    let bound = 1.2 * LENGTH;
    // Three quarters of a turn at the largest torque, half of it on either side of straight down.
    let sweep = 1.5 * PI * torque / f64::from(MAX_TORQUE);
    let on_arc = |share: f64| (share - 0.5) * sweep - 0.5 * PI;
    let arc: Vec<[f64; 2]> = (0..=POINTS)
        .map(|index| placed([RADIUS, 0.0], on_arc(index as f64 / POINTS as f64), [0.0; 2]))
        .collect();
    let end = placed([RADIUS, 0.0], on_arc(1.0), [0.0; 2]);
    // Nothing of a torque of zero, and a whole one from a quarter of the largest.
    let size = (4.0 * torque / f64::from(MAX_TORQUE)).clamp(-1.0, 1.0);
    let head = [[0.08, 0.0], [-0.08, 0.0], [0.0, 0.14 * size.signum()]]
        .map(|[x, y]| placed([x * size.abs(), y * size.abs()], on_arc(1.0), end));
    Scene {
        window: Window::between([-bound, bound], [-bound, bound]),
        shapes: vec![
            Shape::rod([[0.0; 2], placed([0.0, LENGTH], angle, [0.0; 2])], 0.2, ROD),
            Shape::circle([0.0; 2], 0.05, Color::BLACK),
            Shape::line(arc, 0.04, ARROW),
            Shape::polygon(head, ARROW),
        ],
    }
}

impl Environment for Pendulum {
    fn spec(&self) -> &EnvSpec {
        self.simulation.spec()
    }

    fn reset(&mut self, seed: Option<u64>, observation: &mut [f64]) {
        self.simulation.seed(seed);
        let generator = &mut self.simulation.generator;
        let physics = [
            generator.uniform(-RESET_ANGLE, RESET_ANGLE),
            generator.uniform(-RESET_SPEED, RESET_SPEED),
        ];
        self.set_physics(physics);
        observe(physics, observation);
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f64]) -> Result<Step, EnvError> {
        let torque = continuous_action(&SPEC, action)?[0].clamp(-MAX_TORQUE, MAX_TORQUE);
        check_observation(&SPEC, observation)?;
        let [angle, speed] = self.simulation.ready()?;

        // The action is f32, and under NumPy 2 its products with Python numbers stay f32.
        let torque_cost = f64::from(0.001_f32 * (torque * torque));
        let torque_acceleration = f64::from((3.0 / (MASS * (LENGTH * LENGTH))) as f32 * torque);

        let wrapped = wrap(angle);
        let cost = wrapped * wrapped + 0.1 * (speed * speed) + torque_cost;
        let gravity_acceleration = 3.0 * GRAVITY / (2.0 * LENGTH) * libm::sin(angle);
        let next_speed = (speed + (gravity_acceleration + torque_acceleration) * TIME_STEP)
            .clamp(-MAX_SPEED, MAX_SPEED);
        let next = [angle + next_speed * TIME_STEP, next_speed];
        self.simulation.set_physics(next);
        observe(next, observation);
        Ok(Step { reward: -cost, terminated: false, truncated: false })
    }

    fn state(&self) -> EnvState {
        self.simulation.snapshot()
    }

    fn set_state(&mut self, state: &EnvState) -> Result<(), EnvError> {
        self.simulation.restore(state)
    }

    fn scene(&self, action: Option<Action<'_>>) -> Result<Scene, EnvError> {
        let [angle, _] = self.simulation.ready()?;
        let torque = match action {
            Some(Action::Continuous(&[torque])) => torque.clamp(-MAX_TORQUE, MAX_TORQUE),
            _ => 0.0,
        };
        Ok(draw(angle, f64::from(torque)))
    }

    fn step_seconds(&self) -> f64 {
        TIME_STEP
    }
}
