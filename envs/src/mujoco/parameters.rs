//! The arguments of Gymnasium's MuJoCo tasks.

use flags::{FlagValue, Kind, Value, Within};

use crate::arguments::Range;

/// A body of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// By number; 0 is the world.
    Index(usize),
    /// By name in the model.
    Name(String),
}

impl FlagValue for Body {
    const KIND: Kind = Kind::Text;
    const NOTATION: Option<&'static str> = Some("name or number of a body of the model");

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(index) => usize::try_from(*index).ok().map(Self::Index),
            Value::Text(name) => Some(Self::Name(name.clone())),
            _ => None,
        }
    }

    fn to_value(&self) -> Value {
        match self {
            // A number that came from an i64 or a literal, so it fits.
            Self::Index(index) => Value::Integer(i64::try_from(*index).unwrap_or(i64::MAX)),
            Self::Name(name) => Value::Text(name.clone()),
        }
    }
}

flags::flags! {
    /// Every argument that a MuJoCo task of Gymnasium takes, under Gymnasium's name. Which of them a
    /// task takes depends on the task and its version; each task has its own defaults, those here
    /// are the most frequent.
    pub struct Parameters {
        /// Simulator steps per environment step, all under one action.
        #[flag(group = "Simulation", unit = "steps", within = Within::at_least(1.0), source = "gymnasium 1.4.0, envs/mujoco")]
        pub frame_skip: u32 = 5,
        /// Factor of the forward velocity in the reward.
        #[flag(group = "Reward", unit = "s/m", source = "gymnasium 1.4.0, envs/mujoco")]
        pub forward_reward_weight: f64 = 1.0,
        /// Factor of the sum of squared actions in the cost.
        #[flag(group = "Reward", unit = "1", source = "gymnasium 1.4.0, envs/mujoco")]
        pub ctrl_cost_weight: f64 = 0.1,
        /// Factor of the sum of squared external contact forces in the cost.
        #[flag(group = "Reward", unit = "1/N^2", source = "gymnasium 1.4.0, envs/mujoco")]
        pub contact_cost_weight: f64 = 5e-4,
        /// Limits that the contact cost is clipped to.
        #[flag(group = "Reward", unit = "1", source = "gymnasium 1.4.0, humanoid_v5")]
        pub contact_cost_range: Range = Range { low: f64::NEG_INFINITY, high: 10.0 },
        /// Whether contact forces are in the observation and cost a part of the reward.
        #[flag(group = "Reward", unit = "", source = "gymnasium 1.4.0, ant_v4")]
        pub use_contact_forces: bool = false,
        /// Limits that external contact forces are clipped to, in observation and cost.
        #[flag(group = "Reward", unit = "N", source = "gymnasium 1.4.0, ant_v4 and ant_v5")]
        pub contact_force_range: Range = Range { low: -1.0, high: 1.0 },
        /// Reward of a step while the robot is healthy.
        #[flag(group = "Reward", unit = "1", source = "gymnasium 1.4.0, envs/mujoco")]
        pub healthy_reward: f64 = 1.0,
        /// The body whose velocity is rewarded.
        #[flag(group = "Reward", unit = "", source = "gymnasium 1.4.0, ant_v5")]
        pub main_body: Body = Body::Index(1),
        /// Factor of the distance to the target in the reward.
        #[flag(group = "Reward", unit = "1/m", source = "gymnasium 1.4.0, reacher_v5")]
        pub reward_dist_weight: f64 = 1.0,
        /// Factor of the sum of squared actions in the reward.
        #[flag(group = "Reward", unit = "1", source = "gymnasium 1.4.0, reacher_v5")]
        pub reward_control_weight: f64 = 1.0,
        /// Accepted and without effect, as in Gymnasium, which does not multiply by it.
        #[flag(group = "Reward", unit = "1", source = "gymnasium 1.4.0, humanoidstandup_v5")]
        pub uph_cost_weight: f64 = 1.0,
        /// Factor of the sum of squared external contact forces in the cost.
        #[flag(group = "Reward", unit = "1/N^2", source = "gymnasium 1.4.0, humanoidstandup_v5")]
        pub impact_cost_weight: f64 = 5e-7,
        /// Limits that the impact cost is clipped to.
        #[flag(group = "Reward", unit = "1", source = "gymnasium 1.4.0, humanoidstandup_v5")]
        pub impact_cost_range: Range = Range { low: f64::NEG_INFINITY, high: 10.0 },
        /// Whether an episode ends once the robot is not healthy.
        #[flag(group = "Health", unit = "", source = "gymnasium 1.4.0, envs/mujoco")]
        pub terminate_when_unhealthy: bool = true,
        /// Where every state value after the second must lie, ends excluded.
        #[flag(group = "Health", unit = "m, rad, m/s, rad/s", source = "gymnasium 1.4.0, hopper_v4 and hopper_v5")]
        pub healthy_state_range: Range = Range { low: -100.0, high: 100.0 },
        /// Where the height of the torso must lie.
        #[flag(group = "Health", unit = "m", source = "gymnasium 1.4.0, envs/mujoco")]
        pub healthy_z_range: Range = Range::UNBOUNDED,
        /// Where the pitch of the torso must lie, ends excluded.
        #[flag(group = "Health", unit = "rad", source = "gymnasium 1.4.0, envs/mujoco")]
        pub healthy_angle_range: Range = Range::UNBOUNDED,
        /// Scale of the noise that a reset adds to positions and velocities.
        #[flag(group = "Reset", unit = "m, rad, m/s, rad/s", within = Within::at_least(0.0), source = "gymnasium 1.4.0, envs/mujoco")]
        pub reset_noise_scale: f64 = 0.1,
        /// Whether the observation leaves out the horizontal position.
        #[flag(group = "Observation", unit = "", source = "gymnasium 1.4.0, envs/mujoco")]
        pub exclude_current_positions_from_observation: bool = true,
        /// Whether the observation has the mass and inertia of the bodies.
        #[flag(group = "Observation", unit = "", source = "gymnasium 1.4.0, humanoid_v5")]
        pub include_cinert_in_observation: bool = true,
        /// Whether the observation has the velocities of the bodies' centres of mass.
        #[flag(group = "Observation", unit = "", source = "gymnasium 1.4.0, humanoid_v5")]
        pub include_cvel_in_observation: bool = true,
        /// Whether the observation has the actuators' forces on the joints.
        #[flag(group = "Observation", unit = "", source = "gymnasium 1.4.0, humanoid_v5")]
        pub include_qfrc_actuator_in_observation: bool = true,
        /// Whether the observation has the external contact forces on the bodies.
        #[flag(group = "Observation", unit = "", source = "gymnasium 1.4.0, ant_v5 and humanoid_v5")]
        pub include_cfrc_ext_in_observation: bool = true,
    }
}
