//! Gymnasium's classic-control tasks, with its equations, constants, order of operations and
//! precision (`f64` state unless a task says otherwise, observations rounded to `f32`).
//!
//! The one difference is that `sin` and `cos` come from the `libm` crate and `x ** 2` is `x * x`,
//! so that trajectories have the same bits on every machine; against the C library that NumPy
//! calls, either is off by at most one unit in the last place.

pub(crate) mod acrobot;
pub(crate) mod cartpole;
pub(crate) mod mountain_car;
pub(crate) mod mountain_car_continuous;
pub(crate) mod pendulum;
mod simulation;

/// What computes the dynamics of these tasks.
const ENGINE: &str = "built in";

pub use acrobot::Acrobot;
pub use cartpole::CartPole;
pub use mountain_car::MountainCar;
pub use mountain_car_continuous::MountainCarContinuous;
pub use pendulum::Pendulum;
