//! Reinforcement-learning environments with Gymnasium's exact semantics, and the randomness and
//! running normalisers around them. No tensor library: plain `f64` and `f32` slices.
//!
//! Classic control is built in; Gymnasium's MuJoCo tasks come with the Cargo feature `mujoco` and are
//! simulated by MuJoCo itself, which `scripts/setup-mujoco.sh` fetches.
//!
//! Oracle for the environments and for their seeding: Gymnasium 1.4.0 under NumPy 2.4. Committed
//! fixtures (`tests/fixtures`) hold its numbers, the tests compare against them.
//!
//! ```
//! use envs::{Action, make};
//!
//! # fn main() -> Result<(), envs::EnvError> {
//! let mut environment = make("CartPole-v1")?;
//! let mut observation = vec![0.0; environment.spec().observation_dim];
//! environment.reset(Some(42), &mut observation);
//! let step = environment.step(Action::Discrete(1), &mut observation)?;
//! assert_eq!(step.reward, 1.0);
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]

mod arguments;
pub mod classic_control;
mod environment;
mod error;
#[cfg(feature = "mujoco")]
pub mod mujoco;
pub mod normalize;
mod registry;
mod scene;
pub mod seeding;
mod spec;
pub mod streams;
mod time_limit;

pub use arguments::{Argument, Arguments, ArgumentsError, CommonArguments, Range, RangeError};
pub use classic_control::{Acrobot, CartPole, MountainCar, MountainCarContinuous, Pendulum};
pub use environment::{Action, EnvState, Environment, Step};
pub use error::EnvError;
pub use normalize::{
    ObservationNormalization, ObservationNormalizer, RewardNormalizer, RewardScaling,
    RunningMeanStd, StatisticsOrder, Welford,
};
pub use registry::{make, make_with, registry, spec, spec_with};
pub use scene::{Color, Scene, Shape, Window};
pub use seeding::{NumpyGenerator, SeedSequence};
pub use spec::{ActionSpace, EnvSpec};
pub use streams::{Purpose, Streams, fill_standard_normal};
pub use time_limit::TimeLimit;
