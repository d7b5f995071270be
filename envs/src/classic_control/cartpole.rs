//! CartPole-v1: balance a pole on a cart by pushing left or right.

use std::f64::consts::PI;
use std::sync::LazyLock;

use super::ENGINE;
use super::simulation::{Simulation, write_single};
use crate::arguments::common_arguments;
use crate::environment::{Action, EnvState, Environment, Step, check_observation, discrete_action};
use crate::error::EnvError;
use crate::scene::{Color, Scene, Shape, Window, placed};
use crate::spec::{ActionSpace, EnvSpec};

/// m/s^2.
const GRAVITY: f64 = 9.8;
/// kg.
const CART_MASS: f64 = 1.0;
/// kg.
const POLE_MASS: f64 = 0.1;
/// kg.
const TOTAL_MASS: f64 = POLE_MASS + CART_MASS;
/// Half the pole's length, m.
const HALF_LENGTH: f64 = 0.5;
/// kg m.
const POLE_MASS_LENGTH: f64 = POLE_MASS * HALF_LENGTH;
/// N.
const FORCE: f64 = 10.0;
/// Duration of a step, s.
const TIME_STEP: f64 = 0.02;
/// m; the episode terminates beyond it on either side.
const POSITION_LIMIT: f64 = 2.4;
/// Twelve degrees in rad; the episode terminates beyond it on either side.
const ANGLE_LIMIT: f64 = 12.0 * 2.0 * PI / 360.0;
/// Each of the four state variables starts uniformly within this distance of zero.
const RESET_BOUND: f64 = 0.05;

pub(crate) static SPEC: LazyLock<EnvSpec> = LazyLock::new(|| {
    let high =
        [(POSITION_LIMIT * 2.0) as f32, f32::INFINITY, (ANGLE_LIMIT * 2.0) as f32, f32::INFINITY];
    EnvSpec {
        id: "CartPole-v1",
        observation_dim: 4,
        observation_low: high.map(|bound| -bound).to_vec(),
        observation_high: high.to_vec(),
        action_space: ActionSpace::Discrete { n: 2 },
        max_episode_steps: 500,
        reward_threshold: Some(475.0),
        description: "balance a pole on a cart by pushing left or right",
        engine: ENGINE,
        arguments: common_arguments(500),
    }
});

/// CartPole-v1 without its time limit. State: position (m), velocity (m/s), angle from upright
/// (rad), angular velocity (rad/s), all `f64`; explicit Euler. Reward 1 on every step, the
/// terminal one included, and 0 on steps taken after termination.
#[derive(Debug, Clone)]
pub struct CartPole {
    // The fifth number is 1 once the episode has terminated: later steps earn nothing.
    simulation: Simulation<5>,
}

impl CartPole {
    /// A new environment, to be reset before its first step.
    #[must_use]
    pub fn new() -> Self {
        Self { simulation: Simulation::new(&SPEC) }
    }

    /// Position (m), velocity (m/s), angle (rad), angular velocity (rad/s); `None` before the
    /// first reset.
    #[must_use]
    pub fn physics(&self) -> Option<[f64; 4]> {
        self.simulation
            .physics()
            .map(|[x, x_dot, theta, theta_dot, _]| [x, x_dot, theta, theta_dot])
    }

    /// Puts the simulator into a state, as of an episode that has not terminated.
    pub fn set_physics(&mut self, [x, x_dot, theta, theta_dot]: [f64; 4]) {
        self.simulation.set_physics([x, x_dot, theta, theta_dot, 0.0]);
    }
}

impl Default for CartPole {
    fn default() -> Self {
        Self::new()
    }
}

/// As Gymnasium draws it, in metres: its picture has 125 pixels a metre.
fn draw(x: f64, angle: f64) -> Scene {
    const CART: Color = Color::BLACK;
    const POLE: Color = Color([202, 152, 101]);
    const AXLE: Color = Color([129, 132, 203]);
    const EDGE: f64 = 0.04;
    let limits = [-POSITION_LIMIT, POSITION_LIMIT];
    let at = [x, 0.0];
    let axle = [x, 0.06];
    let cart = [[-0.2, -0.12], [0.2, -0.12], [0.2, 0.12], [-0.2, 0.12]];
    // The pole begins a little below its axle and is twice the half length long.
    let top = 2.0 * HALF_LENGTH - EDGE;
    let pole = [[-EDGE, -EDGE], [EDGE, -EDGE], [EDGE, top], [-EDGE, top]];
    Scene {
        window: Window::between(limits, [-0.8, 1.6]),
        shapes: vec![
            Shape::line(limits.map(|end| [end, 0.0]), 0.008, Color::BLACK),
            Shape::polygon(cart.map(|corner| placed(corner, 0.0, at)), CART),
            // Positive angles lean to the right.
            Shape::polygon(pole.map(|corner| placed(corner, -angle, axle)), POLE),
            Shape::circle(axle, EDGE, AXLE),
        ],
    }
}

impl Environment for CartPole {
    fn spec(&self) -> &EnvSpec {
        self.simulation.spec()
    }

    fn reset(&mut self, seed: Option<u64>, observation: &mut [f64]) {
        self.simulation.seed(seed);
        let physics =
            std::array::from_fn(|_| self.simulation.generator.uniform(-RESET_BOUND, RESET_BOUND));
        self.set_physics(physics);
        write_single(&physics, observation);
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f64]) -> Result<Step, EnvError> {
        let push_right = discrete_action(&SPEC, action)? == 1;
        check_observation(&SPEC, observation)?;
        let [x, x_dot, theta, theta_dot, over] = self.simulation.ready()?;

        let force = if push_right { FORCE } else { -FORCE };
        let (sin, cos) = libm::sincos(theta);
        let pushed = (force + POLE_MASS_LENGTH * (theta_dot * theta_dot) * sin) / TOTAL_MASS;
        let theta_acceleration = (GRAVITY * sin - cos * pushed)
            / (HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * (cos * cos) / TOTAL_MASS));
        let x_acceleration = pushed - POLE_MASS_LENGTH * theta_acceleration * cos / TOTAL_MASS;

        // Explicit Euler: positions advance with the old velocities.
        let next = [
            x + TIME_STEP * x_dot,
            x_dot + TIME_STEP * x_acceleration,
            theta + TIME_STEP * theta_dot,
            theta_dot + TIME_STEP * theta_acceleration,
        ];
        let [x, x_dot, theta, theta_dot] = next;
        let terminated = !(-POSITION_LIMIT..=POSITION_LIMIT).contains(&x)
            || !(-ANGLE_LIMIT..=ANGLE_LIMIT).contains(&theta);
        let reward = if terminated && over == 1.0 { 0.0 } else { 1.0 };
        let over = if terminated { 1.0 } else { over };
        self.simulation.set_physics([x, x_dot, theta, theta_dot, over]);
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
        let [x, _, angle, _, _] = self.simulation.ready()?;
        Ok(draw(x, angle))
    }

    fn step_seconds(&self) -> f64 {
        TIME_STEP
    }
}
