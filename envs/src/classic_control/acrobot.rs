//! Acrobot-v1: swing the tip of a two-link arm above a line, with torque on the middle joint only.

use std::f64::consts::PI;
use std::sync::LazyLock;

use super::ENGINE;
use super::simulation::{Simulation, write_single};
use crate::arguments::common_arguments;
use crate::environment::{Action, EnvState, Environment, Step, check_observation, discrete_action};
use crate::error::EnvError;
use crate::scene::{Color, Scene, Shape, Window};
use crate::spec::{ActionSpace, EnvSpec};

/// Duration of a step, s.
const TIME_STEP: f64 = 0.2;
/// Length of the first link, m.
const LENGTH_1: f64 = 1.0;
/// Mass of the first link, kg.
const MASS_1: f64 = 1.0;
/// Mass of the second link, kg.
const MASS_2: f64 = 1.0;
/// Distance of the first link's centre of mass from its joint, m.
const CENTRE_1: f64 = 0.5;
/// Distance of the second link's centre of mass from its joint, m.
const CENTRE_2: f64 = 0.5;
/// Moment of inertia of either link, kg m^2.
const INERTIA: f64 = 1.0;
/// m/s^2.
const GRAVITY: f64 = 9.8;
/// Bound of the first joint's velocity, rad/s.
const MAX_SPEED_1: f64 = 4.0 * PI;
/// Bound of the second joint's velocity, rad/s.
const MAX_SPEED_2: f64 = 9.0 * PI;
/// Torque of each action, N m.
const TORQUES: [f64; 3] = [-1.0, 0.0, 1.0];
/// Each of the four state variables starts uniformly within this distance of zero.
const RESET_BOUND: f64 = 0.1;

pub(crate) static SPEC: LazyLock<EnvSpec> = LazyLock::new(|| {
    let high = [1.0, 1.0, 1.0, 1.0, MAX_SPEED_1 as f32, MAX_SPEED_2 as f32];
    EnvSpec {
        id: "Acrobot-v1",
        observation_dim: 6,
        observation_low: high.map(|bound| -bound).to_vec(),
        observation_high: high.to_vec(),
        action_space: ActionSpace::Discrete { n: TORQUES.len() },
        max_episode_steps: 500,
        reward_threshold: Some(-100.0),
        description: "swing a two-link arm above a line with torque on the middle joint",
        engine: ENGINE,
        arguments: common_arguments(500),
    }
});

/// Angles of the two joints (rad) and their velocities (rad/s).
type Joints = [f64; 4];

/// Acrobot-v1 without its time limit, with the dynamics of Sutton and Barto's book (not those of
/// the NIPS 1996 paper) and one Runge-Kutta step of fourth order per action. State: the first
/// joint's angle from hanging down, the second joint's relative angle (rad), both velocities
/// (rad/s); drawn as `f32` on reset, `f64` from then on. Observation: cosine and sine of each
/// angle, then the velocities. Reward -1, and 0 on reaching the line.
#[derive(Debug, Clone)]
pub struct Acrobot {
    simulation: Simulation<4>,
}

impl Acrobot {
    /// A new environment, to be reset before its first step.
    #[must_use]
    pub fn new() -> Self {
        Self { simulation: Simulation::new(&SPEC) }
    }

    /// Two angles (rad) and two angular velocities (rad/s); `None` before the first reset.
    #[must_use]
    pub fn physics(&self) -> Option<[f64; 4]> {
        self.simulation.physics()
    }

    /// Puts the simulator into a state.
    pub fn set_physics(&mut self, physics: [f64; 4]) {
        self.simulation.set_physics(physics);
    }
}

impl Default for Acrobot {
    fn default() -> Self {
        Self::new()
    }
}

/// Time derivative of the joints under a torque.
fn derivative([angle_1, angle_2, speed_1, speed_2]: Joints, torque: f64) -> Joints {
    let (sin_2, cos_2) = libm::sincos(angle_2);
    let d1 = MASS_1 * (CENTRE_1 * CENTRE_1)
        + MASS_2 * (LENGTH_1 * LENGTH_1 + CENTRE_2 * CENTRE_2 + 2.0 * LENGTH_1 * CENTRE_2 * cos_2)
        + INERTIA
        + INERTIA;
    let d2 = MASS_2 * (CENTRE_2 * CENTRE_2 + LENGTH_1 * CENTRE_2 * cos_2) + INERTIA;
    let phi2 = MASS_2 * CENTRE_2 * GRAVITY * libm::cos(angle_1 + angle_2 - PI / 2.0);
    let phi1 = -MASS_2 * LENGTH_1 * CENTRE_2 * (speed_2 * speed_2) * sin_2
        - 2.0 * MASS_2 * LENGTH_1 * CENTRE_2 * speed_2 * speed_1 * sin_2
        + (MASS_1 * CENTRE_1 + MASS_2 * LENGTH_1) * GRAVITY * libm::cos(angle_1 - PI / 2.0)
        + phi2;
    let acceleration_2 = (torque + d2 / d1 * phi1
        - MASS_2 * LENGTH_1 * CENTRE_2 * (speed_1 * speed_1) * sin_2
        - phi2)
        / (MASS_2 * (CENTRE_2 * CENTRE_2) + INERTIA - d2 * d2 / d1);
    let acceleration_1 = -(d2 * acceleration_2 + phi1) / d1;
    [speed_1, speed_2, acceleration_1, acceleration_2]
}

/// One Runge-Kutta step of fourth order over `TIME_STEP` with a constant torque.
fn integrate(start: Joints, torque: f64) -> Joints {
    let ahead = |slope: Joints, time: f64| std::array::from_fn(|i| start[i] + time * slope[i]);
    let half = TIME_STEP / 2.0;
    let k1 = derivative(start, torque);
    let k2 = derivative(ahead(k1, half), torque);
    let k3 = derivative(ahead(k2, half), torque);
    let k4 = derivative(ahead(k3, TIME_STEP), torque);
    std::array::from_fn(|i| {
        start[i] + TIME_STEP / 6.0 * (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i])
    })
}

/// The angle in `[-pi, pi]`, by whole turns. A step turns a joint by a few turns at most.
fn wrap(mut angle: f64) -> f64 {
    while angle > PI {
        angle -= 2.0 * PI;
    }
    while angle < -PI {
        angle += 2.0 * PI;
    }
    angle
}

fn observe([angle_1, angle_2, speed_1, speed_2]: Joints, observation: &mut [f64]) {
    let (sin_1, cos_1) = libm::sincos(angle_1);
    let (sin_2, cos_2) = libm::sincos(angle_2);
    write_single(&[cos_1, sin_1, cos_2, sin_2, speed_1, speed_2], observation);
}

/// As Gymnasium draws it, in metres: the line that the tip is to reach, then the links.
fn draw(angle_1: f64, angle_2: f64) -> Scene {
    const LINK: Color = Color([0, 204, 204]);
    const JOINT: Color = Color([204, 204, 0]);
    /// The second link is as long as the first one.
    const LENGTH_2: f64 = 2.0 * CENTRE_2;
    let bound = LENGTH_1 + LENGTH_2 + 0.2;
    let below = |[x, y]: [f64; 2], length: f64, angle: f64| {
        let (sin, cos) = libm::sincos(angle);
        [x + length * sin, y - length * cos]
    };
    let elbow = below([0.0; 2], LENGTH_1, angle_1);
    let tip = below(elbow, LENGTH_2, angle_1 + angle_2);
    Scene {
        window: Window::between([-bound, bound], [-bound, bound]),
        shapes: vec![
            Shape::line([[-bound, 1.0], [bound, 1.0]], 0.02, Color::BLACK),
            Shape::line([[0.0; 2], elbow], 0.2, LINK),
            Shape::circle([0.0; 2], 0.1, JOINT),
            Shape::line([elbow, tip], 0.2, LINK),
            Shape::circle(elbow, 0.1, JOINT),
        ],
    }
}

impl Environment for Acrobot {
    fn spec(&self) -> &EnvSpec {
        self.simulation.spec()
    }

    fn reset(&mut self, seed: Option<u64>, observation: &mut [f64]) {
        self.simulation.seed(seed);
        // Rounded to f32. NumPy then takes cosine and sine in f32 by its own polynomial, which
        // misses the correctly rounded value on some processors in about 1 of 1000 draws; the
        // observation here is the correctly rounded one.
        let physics = std::array::from_fn(|_| {
            f64::from(self.simulation.generator.uniform(-RESET_BOUND, RESET_BOUND) as f32)
        });
        self.set_physics(physics);
        observe(physics, observation);
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f64]) -> Result<Step, EnvError> {
        let torque = TORQUES[discrete_action(&SPEC, action)?];
        check_observation(&SPEC, observation)?;
        let [angle_1, angle_2, speed_1, speed_2] = integrate(self.simulation.ready()?, torque);
        let next = [
            wrap(angle_1),
            wrap(angle_2),
            speed_1.clamp(-MAX_SPEED_1, MAX_SPEED_1),
            speed_2.clamp(-MAX_SPEED_2, MAX_SPEED_2),
        ];
        let terminated = -libm::cos(next[0]) - libm::cos(next[1] + next[0]) > 1.0;
        let reward = if terminated { 0.0 } else { -1.0 };
        self.simulation.set_physics(next);
        observe(next, observation);
        Ok(Step { reward, terminated, truncated: false })
    }

    fn state(&self) -> EnvState {
        self.simulation.snapshot()
    }

    fn set_state(&mut self, state: &EnvState) -> Result<(), EnvError> {
        self.simulation.restore(state)
    }

    fn scene(&self, _: Option<Action<'_>>) -> Result<Scene, EnvError> {
        let [angle_1, angle_2, _, _] = self.simulation.ready()?;
        Ok(draw(angle_1, angle_2))
    }

    fn step_seconds(&self) -> f64 {
        TIME_STEP
    }
}
