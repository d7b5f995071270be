//! Gymnasium's MuJoCo tasks, simulated by MuJoCo 3.17.0 with Gymnasium 1.4.0's models, rewards,
//! order of operations and draws: InvertedPendulum, InvertedDoublePendulum, Reacher, Swimmer,
//! Hopper, HalfCheetah, Walker2d, Ant, Humanoid and HumanoidStandup, each as `-v4` and `-v5`.
//!
//! # Versions
//! Numbers of different versions do not compare; a study states the version with the name.
//!
//! - `-v2` and `-v3` ran on mujoco-py, which Gymnasium no longer has. For Hopper, Walker2d,
//!   HalfCheetah, Swimmer and the pendulums, `-v4` has their observations, rewards and
//!   terminations, so published `-v2` results are compared with `-v4`, keeping in mind that the
//!   simulator is newer.
//! - Humanoid: `-v2` and `-v3` charge for contact forces, `-v4` does not, `-v5` does again. The
//!   observation has 376 values up to `-v4` and 348 in `-v5`, which leaves out what is always
//!   zero (HumanoidStandup likewise). Contact forces are real in `-v4` and `-v5`; under `-v2` and
//!   `-v3` with MuJoCo 2.0 and later they are zero, in the observation and in the cost.
//! - Ant: contact forces are in the observation and cost reward in `-v2`, `-v3` and, unless told
//!   otherwise, `-v5`; in `-v4` only with `use_contact_forces`.
//! - The step that ends an episode pays `healthy_reward` up to `-v4` and not in `-v5`, pendulums
//!   included.
//! - Reacher pays for the distance before the step up to `-v4` and after it in `-v5`. Walker2d's
//!   feet have different friction up to `-v4` and the same in `-v5`. InvertedDoublePendulum and
//!   Reacher leave constant zeros out of the observation in `-v5`.
//!
//! # Differences from Gymnasium
//! - Arguments for rendering, cameras and other models (`xml_file`) are not offered. A picture
//!   ([`Environment::scene`]) is a parallel projection of the geoms; it shows the positions that
//!   the observation has, whereas Gymnasium's renderer shows those before the last simulator step.
//! - Sine and cosine in the observations of InvertedDoublePendulum and Reacher come from the
//!   `libm` crate and may differ from NumPy's in the last place. MuJoCo itself calls the
//!   platform's C library, so that trajectories have the same bits only on like machines.
//! - `mj_rnePostConstraint`, whose only visible result is the contact forces, runs only where
//!   these are read.
//! - MuJoCo's warnings are neither printed nor logged. When a simulation becomes unstable, MuJoCo
//!   resets its state and the episode goes on from there, as in Gymnasium.
//!
//! Actions are not clipped: MuJoCo clips what it applies, and the control cost is of the action as
//! given, in `f32` as NumPy computes it (Humanoid and HumanoidStandup: of MuJoCo's `f64` copy).

mod model;
mod parameters;
mod rules;
mod sum;
mod tasks;
mod view;

use std::sync::Arc;

use mujoco_rs::prelude::{MjData, MjModel, MjtState};

pub use parameters::{Body, Parameters};
use rules::{Data, Rules, observe};
use sum::sum_of_squares;
pub use tasks::{Task, tasks};
use view::View;

use crate::arguments::Arguments;
use crate::environment::{
    Action, EnvState, Environment, Step, check_observation, continuous_action,
};
use crate::error::EnvError;
use crate::scene::Scene;
use crate::seeding::NumpyGenerator;
use crate::spec::EnvSpec;

/// A MuJoCo task without its time limit.
///
/// Physics in a snapshot: MuJoCo's time, positions, velocities, warm start of the constraint
/// solver and controls, then one number that the next reward needs from the last forward pass (the
/// forward coordinate, or Reacher's distance). Everything else that MuJoCo keeps follows from these
/// or is constant in these tasks. Arguments are not in it: restore into an environment that was
/// made with the same.
pub struct Mujoco {
    spec: EnvSpec,
    rules: Rules,
    view: View,
    data: Data,
    reads_contact_forces: bool,
    /// What the next reward needs from before its step.
    carried: f64,
    /// Whether there is a state to step from.
    ready: bool,
    generator: NumpyGenerator,
}

/// The part of MuJoCo's integration state that these tasks change.
const STATE: u32 = MjtState::mjSTATE_TIME as u32
    | MjtState::mjSTATE_QPOS as u32
    | MjtState::mjSTATE_QVEL as u32
    | MjtState::mjSTATE_WARMSTART as u32
    | MjtState::mjSTATE_CTRL as u32;

impl Mujoco {
    /// A new environment, to be reset before its first step. Its model is compiled on first use
    /// and shared with all others of the process; its spec has the time limit that the arguments
    /// ask for, which a [`TimeLimit`](crate::TimeLimit) around it applies.
    ///
    /// # Errors
    /// When the task does not take the arguments, or the model does not load.
    pub fn new(task: &Task, arguments: &Arguments) -> Result<Self, EnvError> {
        let (spec, rules) = task.configure(arguments)?;
        let model = task.model(&rules)?;
        let data = MjData::try_new(model).map_err(|error| EnvError::Model {
            environment: spec.id,
            message: error.to_string(),
        })?;
        Ok(Self {
            reads_contact_forces: rules.reads_contact_forces(),
            spec,
            rules,
            view: task.view(),
            data,
            carried: 0.0,
            ready: false,
            generator: NumpyGenerator::new(0),
        })
    }

    /// Positions, in the model's order.
    #[must_use]
    pub fn qpos(&self) -> &[f64] {
        self.data.qpos()
    }

    /// Velocities, in the model's order.
    #[must_use]
    pub fn qvel(&self) -> &[f64] {
        self.data.qvel()
    }

    /// The model, shared by every environment of the process that simulates it.
    #[must_use]
    pub fn model(&self) -> Arc<MjModel> {
        self.data.model_clone()
    }

    /// Puts the simulator into a state and runs a forward pass, as Gymnasium's `set_state`.
    ///
    /// # Errors
    /// When there are more or fewer values than the model has.
    pub fn set_physics(&mut self, qpos: &[f64], qvel: &[f64]) -> Result<(), EnvError> {
        for (found, expected) in
            [(qpos.len(), self.data.qpos().len()), (qvel.len(), self.data.qvel().len())]
        {
            if found != expected {
                return Err(EnvError::StateLength { environment: self.spec.id, expected, found });
            }
        }
        self.data.qpos_mut().copy_from_slice(qpos);
        self.data.qvel_mut().copy_from_slice(qvel);
        self.forward();
        Ok(())
    }

    /// A step as Gymnasium makes it when given `f64` actions, which is outside its action space but
    /// what published reference numbers often come from.
    ///
    /// # Errors
    /// As [`Environment::step`].
    pub fn step_f64(&mut self, action: &[f64], observation: &mut [f64]) -> Result<Step, EnvError> {
        let environment = self.spec.id;
        let expected = self.spec.action_space.dim();
        if action.len() != expected {
            return Err(EnvError::ActionLength { environment, expected, found: action.len() });
        }
        if let Some(index) = action.iter().position(|value| !value.is_finite()) {
            let value = action[index] as f32;
            return Err(EnvError::NonFiniteAction { environment, index, value });
        }
        self.check(observation)?;
        let weight = self.rules.control_cost.weight;
        self.data.ctrl_mut().copy_from_slice(action);
        Ok(self.advance(sum_of_squares(action.iter().copied()) * weight, observation))
    }

    fn check(&self, observation: &[f64]) -> Result<(), EnvError> {
        check_observation(&self.spec, observation)?;
        if self.ready { Ok(()) } else { Err(EnvError::NotReset { environment: self.spec.id }) }
    }

    fn forward(&mut self) {
        self.data.forward();
        self.carried = self.rules.carried(&self.data);
        self.ready = true;
    }

    /// Simulates under the controls that are set and pays for it; `action_cost` is the control cost
    /// in the precision of the action.
    fn advance(&mut self, action_cost: f64, observation: &mut [f64]) -> Step {
        for _ in 0..self.rules.frame_skip {
            self.data.step();
        }
        if self.reads_contact_forces {
            self.data.rne_post_constraint();
        }
        let cost = self.rules.control_cost;
        let control_cost = if cost.of_action {
            action_cost
        } else {
            // After the steps: MuJoCo sets its copy to zero when it resets an unstable simulation.
            cost.weight * sum_of_squares(self.data.ctrl().iter().copied())
        };
        let before = self.carried;
        self.carried = self.rules.carried(&self.data);
        let (reward, terminated) = self.rules.judge(&self.data, before, self.carried, control_cost);
        observe(&self.rules.layout, &self.data, observation);
        Step { reward, terminated, truncated: false }
    }

    fn state_len(&self) -> usize {
        self.data.model().state_size(STATE) + 1
    }
}

impl Environment for Mujoco {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: Option<u64>, observation: &mut [f64]) {
        if let Some(seed) = seed {
            self.generator = NumpyGenerator::new(seed);
        }
        self.data.reset();
        let noise = self.rules.noise;
        noise.add_to_positions(&mut self.generator, self.data.qpos_mut());
        noise.add_to_velocities(&mut self.generator, self.data.qvel_mut());
        self.forward();
        observe(&self.rules.layout, &self.data, observation);
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f64]) -> Result<Step, EnvError> {
        let values = continuous_action(&self.spec, action)?;
        self.check(observation)?;
        for (control, value) in self.data.ctrl_mut().iter_mut().zip(values) {
            *control = f64::from(*value);
        }
        let weight = self.rules.control_cost.weight as f32;
        let control_cost = f64::from(weight * sum_of_squares(values.iter().copied()));
        Ok(self.advance(control_cost, observation))
    }

    fn state(&self) -> EnvState {
        let mut physics = Vec::new();
        if self.ready {
            physics.resize(self.state_len(), self.carried);
            self.data.read_state_into(STATE, &mut physics);
        }
        EnvState {
            environment: self.spec.id.to_owned(),
            physics,
            generator: self.generator.clone(),
            elapsed_steps: 0,
        }
    }

    fn set_state(&mut self, state: &EnvState) -> Result<(), EnvError> {
        let environment = self.spec.id;
        if state.environment != environment {
            let found = state.environment.clone();
            return Err(EnvError::StateOfOtherEnvironment { environment, found });
        }
        let (expected, found) = (self.state_len(), state.physics.len());
        if found != 0 && found != expected {
            return Err(EnvError::StateLength { environment, expected, found });
        }
        if let Some((carried, physics)) = state.physics.split_last() {
            self.data.set_state(physics, STATE).map_err(|_| EnvError::StateLength {
                environment,
                expected,
                found,
            })?;
            self.carried = *carried;
        }
        self.ready = found > 0;
        self.generator = state.generator.clone();
        Ok(())
    }

    fn scene(&self, _: Option<Action<'_>>) -> Result<Scene, EnvError> {
        let environment = self.spec.id;
        if !self.ready {
            return Err(EnvError::NotReset { environment });
        }
        // A copy: rewards read what the last step left, where bodies are one simulator step behind
        // the positions.
        let model = self.data.model_clone();
        let mut copy = MjData::try_new(model)
            .map_err(|error| EnvError::Model { environment, message: error.to_string() })?;
        copy.qpos_mut().copy_from_slice(self.data.qpos());
        copy.kinematics();
        Ok(self.view.scene(&copy))
    }

    fn step_seconds(&self) -> f64 {
        self.data.model().opt().timestep * f64::from(self.rules.frame_skip)
    }
}
