//! What a task observes, rewards and counts as failure, as data.

use std::sync::Arc;

use mujoco_rs::prelude::{MjData, MjModel};

use super::model::Model;
use super::sum::{sum, sum_of_squares};
use crate::arguments::Range;
use crate::seeding::NumpyGenerator;

/// Simulator state of one environment.
pub(super) type Data = MjData<Arc<MjModel>>;

/// Everything in which tasks differ from each other.
#[derive(Clone)]
pub(super) struct Rules {
    pub(super) model: &'static Model,
    /// Simulator steps per environment step.
    pub(super) frame_skip: u32,
    pub(super) noise: Noise,
    /// The observation, part after part.
    pub(super) layout: Vec<Part>,
    pub(super) reward: Reward,
    pub(super) control_cost: ControlCost,
    pub(super) contact_cost: Option<ContactCost>,
    pub(super) health: Health,
}

impl Rules {
    pub(super) fn observation_dim(&self) -> usize {
        self.layout.iter().map(Part::len).sum()
    }

    /// Whether anything reads the external contact forces, which MuJoCo only computes on request.
    pub(super) fn reads_contact_forces(&self) -> bool {
        let observed = self.layout.iter().any(|part| part.quantity == Quantity::ContactForce);
        observed || self.contact_cost.as_ref().is_some_and(|cost| cost.weight != 0.0)
    }
}

/// What a reset adds to the model's initial state.
#[derive(Clone, Copy)]
pub(super) struct Noise {
    /// Positions: uniform within this distance.
    pub(super) position: f64,
    pub(super) velocity: VelocityNoise,
    /// Whether the last two coordinates are a target at rest, placed in a disc.
    pub(super) target: bool,
}

/// Distribution of the velocities after a reset.
#[derive(Clone, Copy)]
pub(super) enum VelocityNoise {
    /// Uniform within this distance of zero.
    Uniform(f64),
    /// Normal with this standard deviation.
    Normal(f64),
}

/// Radius of the disc that Reacher's target is drawn from, m.
const TARGET_RADIUS: f64 = 0.2;

impl Noise {
    /// The draws of a reset come in this order: positions, target, velocities.
    pub(super) fn add_to_positions(&self, generator: &mut NumpyGenerator, qpos: &mut [f64]) {
        for value in qpos.iter_mut() {
            *value += generator.uniform(-self.position, self.position);
        }
        if self.target
            && let Some(target) = qpos.last_chunk_mut()
        {
            *target = draw_target(generator);
        }
    }

    /// After the positions.
    pub(super) fn add_to_velocities(&self, generator: &mut NumpyGenerator, qvel: &mut [f64]) {
        for value in qvel.iter_mut() {
            *value += match self.velocity {
                VelocityNoise::Uniform(scale) => generator.uniform(-scale, scale),
                VelocityNoise::Normal(scale) => scale * generator.standard_normal(),
            };
        }
        if self.target
            && let Some(target) = qvel.last_chunk_mut()
        {
            *target = [0.0; 2];
        }
    }
}

/// Uniform in the disc, by rejection from the square around it.
fn draw_target(generator: &mut NumpyGenerator) -> [f64; 2] {
    loop {
        let [x, y] = [(); 2].map(|()| generator.uniform(-TARGET_RADIUS, TARGET_RADIUS));
        if (x * x + y * y).sqrt() < TARGET_RADIUS {
            return [x, y];
        }
    }
}

/// An array of the simulator, flattened. What is not position or velocity is as of the last forward
/// pass, inside the last simulator step, and not of the state after it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantity {
    Position,
    CosPosition,
    SinPosition,
    Velocity,
    /// `cinert`: inertia and mass of each body, 10 values a body.
    Inertia,
    /// `cvel`: velocity of each body's centre of mass, 6 values a body.
    BodyVelocity,
    /// `qfrc_actuator`.
    ActuatorForce,
    /// `qfrc_constraint`.
    ConstraintForce,
    /// `cfrc_ext`: external contact force on each body, 6 values a body.
    ContactForce,
    /// From Reacher's target to its fingertip.
    Reach,
}

/// A stretch of an array, clipped.
#[derive(Clone, Copy)]
pub(super) struct Part {
    quantity: Quantity,
    start: usize,
    end: usize,
    limits: Range,
}

impl Part {
    pub(super) const fn new(quantity: Quantity, start: usize, end: usize) -> Self {
        Self { quantity, start, end, limits: Range::UNBOUNDED }
    }

    pub(super) const fn clipped(self, limits: Range) -> Self {
        Self { limits, ..self }
    }

    fn len(&self) -> usize {
        self.end - self.start
    }
}

/// Writes the observation.
pub(super) fn observe(layout: &[Part], data: &Data, observation: &mut [f64]) {
    let mut rest = observation;
    for part in layout {
        // A reset may come with a buffer that is too short; a step has checked it.
        let Some((out, tail)) = rest.split_at_mut_checked(part.len()) else { return };
        rest = tail;
        let reach = (part.quantity == Quantity::Reach).then(|| reach(data));
        let values: &[f64] = match part.quantity {
            Quantity::Position | Quantity::CosPosition | Quantity::SinPosition => data.qpos(),
            Quantity::Velocity => data.qvel(),
            Quantity::Inertia => data.cinert().as_flattened(),
            Quantity::BodyVelocity => data.cvel().as_flattened(),
            Quantity::ActuatorForce => data.qfrc_actuator(),
            Quantity::ConstraintForce => data.qfrc_constraint(),
            Quantity::ContactForce => data.cfrc_ext().as_flattened(),
            Quantity::Reach => reach.as_ref().map_or(&[], |reach| reach.as_slice()),
        };
        let values = &values[part.start..part.end];
        match part.quantity {
            Quantity::CosPosition => write(out, values, libm::cos),
            Quantity::SinPosition => write(out, values, libm::sin),
            _ if part.limits == Range::UNBOUNDED => out.copy_from_slice(values),
            _ => write(out, values, |value| value.clamp(part.limits.low, part.limits.high)),
        }
    }
}

fn write(out: &mut [f64], values: &[f64], f: impl Fn(f64) -> f64) {
    for (out, value) in out.iter_mut().zip(values) {
        *out = f(*value);
    }
}

/// What a step is rewarded for, before costs.
#[derive(Clone)]
pub(super) enum Reward {
    /// Being healthy.
    Survival,
    /// Being healthy, less squared distances and velocities of a pole's tip.
    Balance,
    /// Nearness of Reacher's fingertip to its target.
    Reach {
        distance_weight: f64,
        /// Whether the distance is that before the step.
        before: bool,
    },
    /// Velocity forward, and being healthy.
    Locomotion { forward_weight: f64, progress: Progress },
    /// Height of the torso.
    Standup,
}

/// Whose forward coordinate a velocity is the difference of.
#[derive(Clone)]
pub(super) enum Progress {
    /// First coordinate of the state.
    Root,
    /// Position of a body.
    Body(usize),
    /// Centre of mass of the whole model.
    CentreOfMass,
}

impl Progress {
    fn coordinate(&self, data: &Data) -> f64 {
        match self {
            Self::Root => data.qpos()[0],
            Self::Body(index) => data.xpos()[*index][0],
            Self::CentreOfMass => {
                let masses = data.model().body_mass();
                let bodies = masses.iter().zip(data.xipos());
                let weighted: f64 = bodies.map(|(mass, [x, ..])| mass * x).sum();
                weighted / sum(masses.iter().copied())
            }
        }
    }
}

/// Reacher's bodies, in the order of its model.
const FINGERTIP: usize = 3;
const TARGET: usize = 4;

fn reach(data: &Data) -> [f64; 3] {
    let [tip, target] = [FINGERTIP, TARGET].map(|body| data.xpos()[body]);
    std::array::from_fn(|axis| tip[axis] - target[axis])
}

/// What the actions of a step cost.
#[derive(Clone, Copy)]
pub(super) struct ControlCost {
    pub(super) weight: f64,
    /// Whether the cost is of the action, in its precision, or of the simulator's copy in `f64`.
    pub(super) of_action: bool,
}

/// What external contact forces cost.
#[derive(Clone, Copy)]
pub(super) struct ContactCost {
    pub(super) weight: f64,
    /// Limits of each force.
    pub(super) forces: Range,
    /// Limits of the cost.
    pub(super) cost: Range,
}

impl ContactCost {
    fn of(&self, data: &Data) -> f64 {
        if self.weight == 0.0 {
            return 0.0;
        }
        let forces = data.cfrc_ext().as_flattened().iter();
        let squares = sum_of_squares(forces.map(|f| f.clamp(self.forces.low, self.forces.high)));
        (self.weight * squares).clamp(self.cost.low, self.cost.high)
    }
}

/// Which states the robot may be in, and what follows.
#[derive(Clone)]
pub(super) struct Health {
    /// All of these must hold.
    pub(super) conditions: Vec<Condition>,
    /// Reward of a healthy step.
    pub(super) reward: f64,
    pub(super) terminate: bool,
    /// Whether the step that ends the episode is paid as well: in version 4, not in 5.
    pub(super) pay_terminal_step: bool,
}

/// Bounds on a stretch of the state, positions followed by velocities.
#[derive(Clone, Copy)]
pub(super) struct Condition {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) range: Range,
    /// Whether the ends of the range are inside.
    pub(super) closed: bool,
}

impl Condition {
    pub(super) const fn open(start: usize, end: usize, range: Range) -> Self {
        Self { start, end, range, closed: false }
    }

    pub(super) const fn closed(start: usize, end: usize, range: Range) -> Self {
        Self { start, end, range, closed: true }
    }

    fn holds(&self, data: &Data) -> bool {
        let Range { low, high } = self.range;
        let state = data.qpos().iter().chain(data.qvel());
        let mut state = state.take(self.end).skip(self.start);
        if self.closed {
            state.all(|&value| low <= value && value <= high)
        } else {
            state.all(|&value| low < value && value < high)
        }
    }
}

impl Rules {
    /// The number that the next step's reward needs from before the step. It comes from the last
    /// forward pass, so a restored state cannot compute it and snapshots keep it.
    pub(super) fn carried(&self, data: &Data) -> f64 {
        match &self.reward {
            Reward::Locomotion { progress, .. } => progress.coordinate(data),
            Reward::Reach { .. } => {
                let [x, y, z] = reach(data);
                (x * x + y * y + z * z).sqrt()
            }
            Reward::Survival | Reward::Balance | Reward::Standup => 0.0,
        }
    }

    /// Reward of a step and whether it ends the episode. Every task adds in this order.
    pub(super) fn judge(&self, data: &Data, before: f64, after: f64, control: f64) -> (f64, bool) {
        let health = &self.health;
        let tip = data.site_xpos().first().copied();
        let healthy = match (&self.reward, tip) {
            // The one task whose health is not in its state.
            (Reward::Balance, Some([_, _, height])) => height > LOWEST_TIP,
            _ => health.conditions.iter().all(|condition| condition.holds(data)),
        };
        let paid = healthy || (health.pay_terminal_step && health.terminate);
        let survival = if paid { health.reward } else { 0.0 };
        let contact = self.contact_cost.as_ref().map_or(0.0, |cost| cost.of(data));
        let timestep = data.model().opt().timestep;
        let reward = match &self.reward {
            Reward::Survival => survival,
            Reward::Balance => {
                let [x, _, y] = tip.unwrap_or_default();
                let [v1, v2] = [data.qvel()[1], data.qvel()[2]];
                let distance = 0.01 * (x * x) + (y - 2.0) * (y - 2.0);
                let velocity = 1e-3 * (v1 * v1) + 5e-3 * (v2 * v2);
                survival - distance - velocity
            }
            Reward::Reach { distance_weight, before: is_before } => {
                let distance = if *is_before { before } else { after };
                -distance * distance_weight - control
            }
            Reward::Locomotion { forward_weight, .. } => {
                let velocity = (after - before) / (timestep * f64::from(self.frame_skip));
                (forward_weight * velocity + survival) - (control + contact)
            }
            // Divided by the simulator's time step, not by the environment's.
            Reward::Standup => data.qpos()[2] / timestep - control - contact + 1.0,
        };
        (reward, health.terminate && !healthy)
    }
}

/// Height of the double pendulum's tip at or below which it has fallen, m.
const LOWEST_TIP: f64 = 1.0;
