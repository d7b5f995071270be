//! Gymnasium's MuJoCo tasks. What versions of a task share is written once; a rule looks at the
//! version only where they differ.

use std::sync::{Arc, LazyLock};

use flags::{FlagValue, Flags};
use mujoco_rs::prelude::{MjModel, MjtObjBase};

use super::model::{ENGINE, Model};
use super::parameters::{Body, Parameters};
use super::rules::{
    Condition, ContactCost, ControlCost, Health, Noise, Part, Progress, Quantity, Reward, Rules,
    VelocityNoise,
};
use super::view::{Camera, View};
use crate::arguments::{Arguments, CommonArguments, Range, apply, arguments_of, common_arguments};
use crate::error::EnvError;
use crate::spec::{ActionSpace, EnvSpec};

macro_rules! models {
    ($($name:ident = $file:literal),+ $(,)?) => {
        $(static $name: Model =
            Model::new(include_str!(concat!(env!("CETERIS_MUJOCO_MODELS"), "/", $file)));)+
    };
}
models! {
    INVERTED_PENDULUM = "inverted_pendulum.xml",
    INVERTED_DOUBLE_PENDULUM = "inverted_double_pendulum.xml",
    REACHER = "reacher.xml",
    SWIMMER = "swimmer.xml",
    HOPPER = "hopper.xml",
    HALF_CHEETAH = "half_cheetah.xml",
    // The friction of the feet differs: 0.9 right and 1.9 left, as in the older versions.
    WALKER2D_V4 = "walker2d.xml",
    // 1.9 on both.
    WALKER2D_V5 = "walker2d_v5.xml",
    ANT = "ant.xml",
    HUMANOID = "humanoid.xml",
    HUMANOID_STANDUP = "humanoidstandup.xml",
}

/// Version of a task.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    V4,
    V5,
}

/// What the versions of a task share.
struct Family {
    /// Ids of both versions.
    ids: [&'static str; 2],
    description: &'static str,
    max_episode_steps: u32,
    reward_threshold: Option<f64>,
    sizes: Sizes,
    view: View,
    arguments: Taken,
    /// Their defaults, and the values of what a version does not let one choose.
    defaults: fn() -> Parameters,
    rules: fn(&Parameters, Version) -> Rules,
}

/// Names of the arguments that a task takes.
struct Taken {
    /// In both versions.
    both: &'static [&'static str],
    /// In one version only, as `ids`.
    only: [&'static [&'static str]; 2],
}

/// Sizes of a model, known before it is loaded; loading checks them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sizes {
    pub(super) positions: usize,
    pub(super) velocities: usize,
    /// Bodies, the world included.
    pub(super) bodies: usize,
    pub(super) actions: usize,
    /// Bound of each action on either side.
    pub(super) control: f32,
}

/// A MuJoCo task in one version.
pub struct Task {
    family: &'static Family,
    version: Version,
    spec: EnvSpec,
}

/// Every task, in the order of the registry.
pub fn tasks() -> &'static [Task] {
    static TASKS: LazyLock<Vec<Task>> = LazyLock::new(|| {
        FAMILIES
            .iter()
            .flat_map(|family| [Version::V4, Version::V5].map(|version| Task::new(family, version)))
            .collect()
    });
    &TASKS
}

impl Task {
    fn new(family: &'static Family, version: Version) -> Self {
        let parameters = (family.defaults)();
        let Taken { both, only } = &family.arguments;
        let names = [*both, only[version as usize]];
        let own = Parameters::FIELDS
            .iter()
            .filter(|field| names.iter().any(|names| names.contains(&field.name)));
        let mut arguments = common_arguments(family.max_episode_steps);
        arguments.extend(arguments_of(&parameters, own));
        let limit = family.sizes.control;
        let mut spec = EnvSpec {
            id: family.ids[version as usize],
            observation_dim: 0,
            observation_low: Vec::new(),
            observation_high: Vec::new(),
            action_space: ActionSpace::Box {
                low: vec![-limit; family.sizes.actions],
                high: vec![limit; family.sizes.actions],
            },
            max_episode_steps: family.max_episode_steps,
            reward_threshold: family.reward_threshold,
            description: family.description,
            engine: ENGINE,
            arguments,
        };
        set_observation_dim(&mut spec, (family.rules)(&parameters, version).observation_dim());
        Self { family, version, spec }
    }

    /// The task with this id, `Hopper-v5` for instance.
    ///
    /// # Errors
    /// When there is none; the error lists the valid names.
    pub fn find(id: &str) -> Result<&'static Self, EnvError> {
        tasks().iter().find(|task| task.spec.id == id).ok_or_else(|| EnvError::UnknownEnvironment {
            id: id.to_owned(),
            known: tasks().iter().map(|task| task.spec.id).collect(),
        })
    }

    /// What is fixed about the task, made without arguments.
    #[must_use]
    pub fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    /// How pictures show it.
    pub(super) fn view(&self) -> View {
        self.family.view
    }

    /// What is fixed about the task, made with these arguments.
    ///
    /// # Errors
    /// When the task does not take the arguments.
    pub fn spec_with(&self, arguments: &Arguments) -> Result<EnvSpec, EnvError> {
        Ok(self.configure(arguments)?.0)
    }

    /// The spec and the rules with these arguments.
    pub(super) fn configure(&self, arguments: &Arguments) -> Result<(EnvSpec, Rules), EnvError> {
        let mut spec = self.spec.clone();
        let mut common = CommonArguments { max_episode_steps: spec.max_episode_steps };
        let mut parameters = (self.family.defaults)();
        let own: &mut dyn Flags = &mut parameters;
        apply(arguments, spec.id, &spec.arguments, &mut common, Some(own))?;
        parameters.main_body = Body::Index(self.body(&parameters)?);
        let rules = (self.family.rules)(&parameters, self.version);
        spec.max_episode_steps = common.max_episode_steps;
        set_observation_dim(&mut spec, rules.observation_dim());
        Ok((spec, rules))
    }

    /// Number of the body that an argument names.
    fn body(&self, parameters: &Parameters) -> Result<usize, EnvError> {
        let found = match &parameters.main_body {
            Body::Index(index) => Some(*index).filter(|index| *index < self.family.sizes.bodies),
            Body::Name(name) => {
                let rules = (self.family.rules)(&(self.family.defaults)(), self.version);
                self.model(&rules)?.name_to_id(MjtObjBase::mjOBJ_BODY, name)
            }
        };
        found.ok_or_else(|| EnvError::BadArgument {
            environment: self.spec.id,
            name: "main_body".to_owned(),
            expected: Body::NOTATION.unwrap_or_default().to_owned(),
            found: parameters.main_body.to_value().to_string(),
        })
    }

    /// The model, shared by all environments of all tasks that simulate it.
    pub(super) fn model(&self, rules: &Rules) -> Result<Arc<MjModel>, EnvError> {
        let failed = |message| EnvError::Model { environment: self.spec.id, message };
        let model = rules.model.get().map_err(failed)?;
        let ranges = model.actuator_ctrlrange();
        let control = ranges.first().map_or(0.0, |[_, high]| *high as f32);
        let found = Sizes {
            positions: model.qpos0().len(),
            velocities: model.dof_bodyid().len(),
            bodies: model.body_mass().len(),
            actions: ranges.len(),
            control,
        };
        let expected = self.family.sizes;
        let symmetric = |range: &[f64; 2]| range.map(|end| end as f32) == [-control, control];
        if found == expected && ranges.iter().all(symmetric) {
            Ok(model)
        } else {
            Err(failed(format!("expected {expected:?}, found {found:?}")))
        }
    }
}

/// Observations of these tasks are unbounded.
fn set_observation_dim(spec: &mut EnvSpec, observation_dim: usize) {
    spec.observation_dim = observation_dim;
    spec.observation_low = vec![f32::NEG_INFINITY; observation_dim];
    spec.observation_high = vec![f32::INFINITY; observation_dim];
}

/// Within this distance of zero.
const fn symmetric(limit: f64) -> Range {
    Range { low: -limit, high: limit }
}

/// Limits of velocities in observations.
const VELOCITY_LIMITS: Range = symmetric(10.0);

/// Never fails.
const UNFAILING: Health =
    Health { conditions: Vec::new(), reward: 0.0, terminate: false, pay_terminal_step: false };
const NO_CONTROL_COST: ControlCost = ControlCost { weight: 0.0, of_action: true };

fn uniform(scale: f64) -> Noise {
    Noise { position: scale, velocity: VelocityNoise::Uniform(scale), target: false }
}

fn normal(scale: f64) -> Noise {
    Noise { position: scale, velocity: VelocityNoise::Normal(scale), target: false }
}

/// Positions, without the first ones where these are left out, and velocities.
fn state(sizes: Sizes, horizontal: usize, parameters: &Parameters, limits: Range) -> Vec<Part> {
    let left_out =
        if parameters.exclude_current_positions_from_observation { horizontal } else { 0 };
    vec![
        Part::new(Quantity::Position, left_out, sizes.positions),
        Part::new(Quantity::Velocity, 0, sizes.velocities).clipped(limits),
    ]
}

fn health(parameters: &Parameters, version: Version, conditions: Vec<Condition>) -> Health {
    Health {
        conditions,
        reward: parameters.healthy_reward,
        terminate: parameters.terminate_when_unhealthy,
        pay_terminal_step: version == Version::V4,
    }
}

/// Rules of a robot that is to move forward, with the control cost of its actions and no other.
fn locomotion(
    model: &'static Model,
    parameters: &Parameters,
    noise: Noise,
    layout: Vec<Part>,
    progress: Progress,
    health: Health,
) -> Rules {
    Rules {
        model,
        frame_skip: parameters.frame_skip,
        noise,
        layout,
        reward: Reward::Locomotion { forward_weight: parameters.forward_reward_weight, progress },
        control_cost: ControlCost { weight: parameters.ctrl_cost_weight, of_action: true },
        contact_cost: None,
        health,
    }
}

const SWIMMER_SIZES: Sizes =
    Sizes { positions: 5, velocities: 5, bodies: 4, actions: 2, control: 1.0 };
const HOPPER_SIZES: Sizes =
    Sizes { positions: 6, velocities: 6, bodies: 5, actions: 3, control: 1.0 };
const CHEETAH_SIZES: Sizes =
    Sizes { positions: 9, velocities: 9, bodies: 8, actions: 6, control: 1.0 };
const ANT_SIZES: Sizes =
    Sizes { positions: 15, velocities: 14, bodies: 14, actions: 8, control: 1.0 };
const HUMANOID_SIZES: Sizes =
    Sizes { positions: 24, velocities: 23, bodies: 14, actions: 17, control: 0.4 };

/// Position and pitch of a planar robot's torso in its state.
const PLANAR_HEIGHT: usize = 1;
const PLANAR_PITCH: usize = 2;
/// Height of a robot's torso that moves freely.
const FREE_HEIGHT: usize = 2;

/// Bounds of the single pendulum's angle, rad, ends included.
const PENDULUM_ANGLES: Range = symmetric(0.2);

static FAMILIES: [Family; 10] = [
    Family {
        ids: ["InvertedPendulum-v4", "InvertedPendulum-v5"],
        description: "balance a pole on a cart that is pushed with a graded force",
        max_episode_steps: 1000,
        reward_threshold: Some(950.0),
        sizes: Sizes { positions: 2, velocities: 2, bodies: 3, actions: 1, control: 3.0 },
        view: View {
            camera: Camera::Side,
            height: 0.3,
            size: [2.4, 1.4],
            follows: false,
            marks: None,
        },
        arguments: Taken { both: &[], only: [&[], &["frame_skip", "reset_noise_scale"]] },
        defaults: || Parameters { frame_skip: 2, reset_noise_scale: 0.01, ..Parameters::default() },
        rules: |parameters, version| Rules {
            model: &INVERTED_PENDULUM,
            frame_skip: parameters.frame_skip,
            noise: uniform(parameters.reset_noise_scale),
            layout: vec![Part::new(Quantity::Position, 0, 2), Part::new(Quantity::Velocity, 0, 2)],
            reward: Reward::Survival,
            control_cost: NO_CONTROL_COST,
            contact_cost: None,
            health: health(
                parameters,
                version,
                vec![
                    // Finite.
                    Condition::open(0, 4, Range::UNBOUNDED),
                    Condition::closed(1, 2, PENDULUM_ANGLES),
                ],
            ),
        },
    },
    Family {
        ids: ["InvertedDoublePendulum-v4", "InvertedDoublePendulum-v5"],
        description: "balance two linked poles on a cart that is pushed with a graded force",
        max_episode_steps: 1000,
        reward_threshold: Some(9100.0),
        sizes: Sizes { positions: 3, velocities: 3, bodies: 4, actions: 1, control: 1.0 },
        view: View {
            camera: Camera::Side,
            height: 0.45,
            size: [3.0, 2.0],
            follows: false,
            marks: None,
        },
        arguments: Taken {
            both: &[],
            only: [&[], &["frame_skip", "healthy_reward", "reset_noise_scale"]],
        },
        defaults: || Parameters { healthy_reward: 10.0, ..Parameters::default() },
        rules: |parameters, version| {
            // Version 5 leaves out the constraint forces on the poles, which are always zero.
            let forces = if version == Version::V4 { 3 } else { 1 };
            Rules {
                model: &INVERTED_DOUBLE_PENDULUM,
                frame_skip: parameters.frame_skip,
                noise: normal(parameters.reset_noise_scale),
                layout: vec![
                    Part::new(Quantity::Position, 0, 1),
                    Part::new(Quantity::SinPosition, 1, 3),
                    Part::new(Quantity::CosPosition, 1, 3),
                    Part::new(Quantity::Velocity, 0, 3).clipped(VELOCITY_LIMITS),
                    Part::new(Quantity::ConstraintForce, 0, forces).clipped(VELOCITY_LIMITS),
                ],
                reward: Reward::Balance,
                control_cost: NO_CONTROL_COST,
                contact_cost: None,
                health: health(parameters, version, Vec::new()),
            }
        },
    },
    Family {
        ids: ["Reacher-v4", "Reacher-v5"],
        description: "move the tip of a two-jointed arm to a random target",
        max_episode_steps: 50,
        reward_threshold: Some(-3.75),
        sizes: Sizes { positions: 4, velocities: 4, bodies: 5, actions: 2, control: 1.0 },
        view: View {
            camera: Camera::Top,
            height: 0.0,
            size: [0.8, 0.7],
            follows: false,
            marks: Some(0.1),
        },
        arguments: Taken {
            both: &[],
            only: [&[], &["frame_skip", "reward_dist_weight", "reward_control_weight"]],
        },
        defaults: || Parameters { frame_skip: 2, ..Parameters::default() },
        rules: |parameters, version| {
            let v4 = version == Version::V4;
            Rules {
                model: &REACHER,
                frame_skip: parameters.frame_skip,
                noise: Noise {
                    position: 0.1,
                    velocity: VelocityNoise::Uniform(0.005),
                    target: true,
                },
                layout: vec![
                    Part::new(Quantity::CosPosition, 0, 2),
                    Part::new(Quantity::SinPosition, 0, 2),
                    Part::new(Quantity::Position, 2, 4),
                    Part::new(Quantity::Velocity, 0, 2),
                    // The third axis is always level.
                    Part::new(Quantity::Reach, 0, if v4 { 3 } else { 2 }),
                ],
                reward: Reward::Reach {
                    distance_weight: parameters.reward_dist_weight,
                    before: v4,
                },
                control_cost: ControlCost {
                    weight: parameters.reward_control_weight,
                    of_action: true,
                },
                contact_cost: None,
                health: UNFAILING,
            }
        },
    },
    Family {
        ids: ["Swimmer-v4", "Swimmer-v5"],
        description: "move a three-link swimmer forward through a viscous fluid",
        max_episode_steps: 1000,
        reward_threshold: Some(360.0),
        sizes: SWIMMER_SIZES,
        view: View {
            camera: Camera::Top,
            height: 0.0,
            size: [6.0, 4.0],
            follows: true,
            marks: Some(1.0),
        },
        arguments: Taken {
            both: &[
                "forward_reward_weight",
                "ctrl_cost_weight",
                "reset_noise_scale",
                "exclude_current_positions_from_observation",
            ],
            only: [&[], &["frame_skip"]],
        },
        defaults: || Parameters { frame_skip: 4, ctrl_cost_weight: 1e-4, ..Parameters::default() },
        rules: |parameters, _| {
            locomotion(
                &SWIMMER,
                parameters,
                uniform(parameters.reset_noise_scale),
                state(SWIMMER_SIZES, 2, parameters, Range::UNBOUNDED),
                Progress::Root,
                UNFAILING,
            )
        },
    },
    Family {
        ids: ["Hopper-v4", "Hopper-v5"],
        description: "hop forward on one leg without falling",
        max_episode_steps: 1000,
        reward_threshold: Some(3800.0),
        sizes: HOPPER_SIZES,
        view: View {
            camera: Camera::Side,
            height: 0.85,
            size: [3.6, 2.2],
            follows: true,
            marks: Some(0.25),
        },
        arguments: Taken {
            both: &[
                "forward_reward_weight",
                "ctrl_cost_weight",
                "healthy_reward",
                "terminate_when_unhealthy",
                "healthy_state_range",
                "healthy_z_range",
                "healthy_angle_range",
                "reset_noise_scale",
                "exclude_current_positions_from_observation",
            ],
            only: [&[], &["frame_skip"]],
        },
        defaults: || Parameters {
            frame_skip: 4,
            ctrl_cost_weight: 1e-3,
            healthy_z_range: Range { low: 0.7, high: f64::INFINITY },
            healthy_angle_range: symmetric(0.2),
            reset_noise_scale: 5e-3,
            ..Parameters::default()
        },
        rules: |parameters, version| {
            let sizes = HOPPER_SIZES;
            let conditions = vec![
                Condition::open(
                    2,
                    sizes.positions + sizes.velocities,
                    parameters.healthy_state_range,
                ),
                Condition::open(PLANAR_HEIGHT, PLANAR_HEIGHT + 1, parameters.healthy_z_range),
                Condition::open(PLANAR_PITCH, PLANAR_PITCH + 1, parameters.healthy_angle_range),
            ];
            locomotion(
                &HOPPER,
                parameters,
                uniform(parameters.reset_noise_scale),
                state(sizes, 1, parameters, VELOCITY_LIMITS),
                Progress::Root,
                health(parameters, version, conditions),
            )
        },
    },
    Family {
        ids: ["HalfCheetah-v4", "HalfCheetah-v5"],
        description: "run forward on two legs in the plane; cannot fail",
        max_episode_steps: 1000,
        reward_threshold: Some(4800.0),
        sizes: CHEETAH_SIZES,
        view: View {
            camera: Camera::Side,
            height: 0.65,
            size: [3.6, 2.0],
            follows: true,
            marks: Some(0.25),
        },
        arguments: Taken {
            both: &[
                "forward_reward_weight",
                "ctrl_cost_weight",
                "reset_noise_scale",
                "exclude_current_positions_from_observation",
            ],
            only: [&[], &["frame_skip"]],
        },
        defaults: Parameters::default,
        rules: |parameters, _| {
            locomotion(
                &HALF_CHEETAH,
                parameters,
                normal(parameters.reset_noise_scale),
                state(CHEETAH_SIZES, 1, parameters, Range::UNBOUNDED),
                Progress::Root,
                UNFAILING,
            )
        },
    },
    Family {
        ids: ["Walker2d-v4", "Walker2d-v5"],
        description: "walk forward on two legs in the plane without falling",
        max_episode_steps: 1000,
        reward_threshold: None,
        sizes: Sizes { positions: 9, velocities: 9, bodies: 8, actions: 6, control: 1.0 },
        view: View {
            camera: Camera::Side,
            height: 0.85,
            size: [3.6, 2.2],
            follows: true,
            marks: Some(0.25),
        },
        arguments: Taken {
            both: &[
                "forward_reward_weight",
                "ctrl_cost_weight",
                "healthy_reward",
                "terminate_when_unhealthy",
                "healthy_z_range",
                "healthy_angle_range",
                "reset_noise_scale",
                "exclude_current_positions_from_observation",
            ],
            only: [&[], &["frame_skip"]],
        },
        defaults: || Parameters {
            frame_skip: 4,
            ctrl_cost_weight: 1e-3,
            healthy_z_range: Range { low: 0.8, high: 2.0 },
            healthy_angle_range: symmetric(1.0),
            reset_noise_scale: 5e-3,
            ..Parameters::default()
        },
        rules: |parameters, version| {
            let conditions = vec![
                Condition::open(PLANAR_HEIGHT, PLANAR_HEIGHT + 1, parameters.healthy_z_range),
                Condition::open(PLANAR_PITCH, PLANAR_PITCH + 1, parameters.healthy_angle_range),
            ];
            locomotion(
                if version == Version::V4 { &WALKER2D_V4 } else { &WALKER2D_V5 },
                parameters,
                uniform(parameters.reset_noise_scale),
                state(CHEETAH_SIZES, 1, parameters, VELOCITY_LIMITS),
                Progress::Root,
                health(parameters, version, conditions),
            )
        },
    },
    Family {
        ids: ["Ant-v4", "Ant-v5"],
        description: "walk forward on four legs without falling",
        max_episode_steps: 1000,
        reward_threshold: Some(6000.0),
        sizes: ANT_SIZES,
        view: View {
            camera: Camera::Oblique,
            height: 0.5,
            size: [4.2, 2.8],
            follows: true,
            marks: Some(0.5),
        },
        arguments: Taken {
            both: &[
                "ctrl_cost_weight",
                "contact_cost_weight",
                "healthy_reward",
                "terminate_when_unhealthy",
                "healthy_z_range",
                "contact_force_range",
                "reset_noise_scale",
                "exclude_current_positions_from_observation",
            ],
            only: [
                &["use_contact_forces"],
                &[
                    "frame_skip",
                    "forward_reward_weight",
                    "main_body",
                    "include_cfrc_ext_in_observation",
                ],
            ],
        },
        defaults: || Parameters {
            ctrl_cost_weight: 0.5,
            healthy_z_range: Range { low: 0.2, high: 1.0 },
            ..Parameters::default()
        },
        rules: ant,
    },
    Family {
        ids: ["Humanoid-v4", "Humanoid-v5"],
        description: "walk forward on two legs in space without falling",
        max_episode_steps: 1000,
        reward_threshold: None,
        sizes: HUMANOID_SIZES,
        view: View {
            camera: Camera::Oblique,
            height: 0.9,
            size: [3.6, 2.4],
            follows: true,
            marks: Some(0.5),
        },
        arguments: Taken {
            both: &[
                "forward_reward_weight",
                "ctrl_cost_weight",
                "healthy_reward",
                "terminate_when_unhealthy",
                "healthy_z_range",
                "reset_noise_scale",
                "exclude_current_positions_from_observation",
            ],
            only: [
                &[],
                &[
                    "frame_skip",
                    "contact_cost_weight",
                    "contact_cost_range",
                    "include_cinert_in_observation",
                    "include_cvel_in_observation",
                    "include_qfrc_actuator_in_observation",
                    "include_cfrc_ext_in_observation",
                ],
            ],
        },
        defaults: || Parameters {
            forward_reward_weight: 1.25,
            contact_cost_weight: 5e-7,
            healthy_reward: 5.0,
            healthy_z_range: Range { low: 1.0, high: 2.0 },
            reset_noise_scale: 0.01,
            ..Parameters::default()
        },
        rules: |parameters, version| {
            let height = FREE_HEIGHT..FREE_HEIGHT + 1;
            let conditions =
                vec![Condition::open(height.start, height.end, parameters.healthy_z_range)];
            let rules = locomotion(
                &HUMANOID,
                parameters,
                uniform(parameters.reset_noise_scale),
                humanoid_layout(parameters, version),
                Progress::CentreOfMass,
                health(parameters, version, conditions),
            );
            Rules {
                control_cost: ControlCost { of_action: false, ..rules.control_cost },
                // Version 4 has none; version 5 brings that of 2 and 3 back.
                contact_cost: (version == Version::V5).then_some(ContactCost {
                    weight: parameters.contact_cost_weight,
                    forces: Range::UNBOUNDED,
                    cost: parameters.contact_cost_range,
                }),
                ..rules
            }
        },
    },
    Family {
        ids: ["HumanoidStandup-v4", "HumanoidStandup-v5"],
        description: "stand up from lying on the back",
        max_episode_steps: 1000,
        reward_threshold: None,
        sizes: HUMANOID_SIZES,
        view: View {
            camera: Camera::Oblique,
            height: 0.5,
            size: [3.6, 2.4],
            follows: true,
            marks: Some(0.5),
        },
        arguments: Taken {
            both: &[],
            only: [
                &[],
                &[
                    "frame_skip",
                    "uph_cost_weight",
                    "ctrl_cost_weight",
                    "impact_cost_weight",
                    "impact_cost_range",
                    "reset_noise_scale",
                    "exclude_current_positions_from_observation",
                    "include_cinert_in_observation",
                    "include_cvel_in_observation",
                    "include_qfrc_actuator_in_observation",
                    "include_cfrc_ext_in_observation",
                ],
            ],
        },
        defaults: || Parameters { reset_noise_scale: 0.01, ..Parameters::default() },
        rules: |parameters, version| Rules {
            model: &HUMANOID_STANDUP,
            frame_skip: parameters.frame_skip,
            noise: uniform(parameters.reset_noise_scale),
            layout: humanoid_layout(parameters, version),
            reward: Reward::Standup,
            control_cost: ControlCost { weight: parameters.ctrl_cost_weight, of_action: false },
            contact_cost: Some(ContactCost {
                weight: parameters.impact_cost_weight,
                forces: Range::UNBOUNDED,
                cost: parameters.impact_cost_range,
            }),
            health: UNFAILING,
        },
    },
];

/// Version 4 has contact forces only on request, and then of all bodies; version 5 has them unless
/// told otherwise, without those on the world, and always counts their cost.
fn ant(parameters: &Parameters, version: Version) -> Rules {
    let sizes = ANT_SIZES;
    let (observed, costed, first_body) = match version {
        Version::V4 => (parameters.use_contact_forces, parameters.use_contact_forces, 0),
        Version::V5 => (parameters.include_cfrc_ext_in_observation, true, 1),
    };
    let mut layout = state(sizes, 2, parameters, Range::UNBOUNDED);
    if observed {
        let forces = Part::new(Quantity::ContactForce, 6 * first_body, 6 * sizes.bodies);
        layout.push(forces.clipped(parameters.contact_force_range));
    }
    let conditions = vec![
        // Finite.
        Condition::open(0, sizes.positions + sizes.velocities, Range::UNBOUNDED),
        Condition::closed(FREE_HEIGHT, FREE_HEIGHT + 1, parameters.healthy_z_range),
    ];
    let main_body = match parameters.main_body {
        Body::Index(index) => index,
        // Names are looked up before the rules are made.
        Body::Name(_) => 0,
    };
    let rules = locomotion(
        &ANT,
        parameters,
        normal(parameters.reset_noise_scale),
        layout,
        Progress::Body(main_body),
        health(parameters, version, conditions),
    );
    Rules {
        contact_cost: costed.then_some(ContactCost {
            weight: parameters.contact_cost_weight,
            forces: parameters.contact_force_range,
            cost: Range::UNBOUNDED,
        }),
        ..rules
    }
}

/// Version 5 leaves out what is always zero: the world, and actuator forces on the free root.
fn humanoid_layout(parameters: &Parameters, version: Version) -> Vec<Part> {
    let sizes = HUMANOID_SIZES;
    let (first_body, first_force) = if version == Version::V4 { (0, 0) } else { (1, 6) };
    let bodies = |quantity, width| Part::new(quantity, width * first_body, width * sizes.bodies);
    let mut layout = state(sizes, 2, parameters, Range::UNBOUNDED);
    let optional = [
        (parameters.include_cinert_in_observation, bodies(Quantity::Inertia, 10)),
        (parameters.include_cvel_in_observation, bodies(Quantity::BodyVelocity, 6)),
        (
            parameters.include_qfrc_actuator_in_observation,
            Part::new(Quantity::ActuatorForce, first_force, sizes.velocities),
        ),
        (parameters.include_cfrc_ext_in_observation, bodies(Quantity::ContactForce, 6)),
    ];
    layout.extend(optional.into_iter().filter(|(included, _)| *included).map(|(_, part)| part));
    layout
}
