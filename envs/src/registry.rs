//! The list of environments, by Gymnasium id.

use std::sync::LazyLock;

use crate::classic_control::{
    Acrobot, CartPole, MountainCar, MountainCarContinuous, Pendulum, acrobot, cartpole,
    mountain_car, mountain_car_continuous, pendulum,
};
use crate::environment::Environment;
use crate::error::EnvError;
use crate::spec::EnvSpec;
use crate::time_limit::TimeLimit;

struct Registration {
    spec: &'static EnvSpec,
    make: fn() -> Result<Box<dyn Environment>, EnvError>,
}

/// New environments are added at the end: the order is what users see in listings.
static REGISTRATIONS: LazyLock<[Registration; 5]> = LazyLock::new(|| {
    [
        Registration { spec: &cartpole::SPEC, make: || limited(CartPole::new()) },
        Registration { spec: &pendulum::SPEC, make: || limited(Pendulum::new()) },
        Registration { spec: &acrobot::SPEC, make: || limited(Acrobot::new()) },
        Registration { spec: &mountain_car::SPEC, make: || limited(MountainCar::new()) },
        Registration {
            spec: &mountain_car_continuous::SPEC,
            make: || limited(MountainCarContinuous::new()),
        },
    ]
});

static SPECS: LazyLock<Vec<&'static EnvSpec>> =
    LazyLock::new(|| REGISTRATIONS.iter().map(|registration| registration.spec).collect());

fn limited<E: Environment + 'static>(environment: E) -> Result<Box<dyn Environment>, EnvError> {
    Ok(Box::new(TimeLimit::registered(environment)?))
}

fn find(id: &str) -> Result<&'static Registration, EnvError> {
    REGISTRATIONS.iter().find(|registration| registration.spec.id == id).ok_or_else(|| {
        EnvError::UnknownEnvironment {
            id: id.to_owned(),
            known: registry().iter().map(|spec| spec.id).collect(),
        }
    })
}

/// Specs of all environments, in a stable order.
#[must_use]
pub fn registry() -> &'static [&'static EnvSpec] {
    &SPECS
}

/// Spec of the environment with this id.
///
/// # Errors
/// When there is none; the error lists the valid names.
pub fn spec(id: &str) -> Result<&'static EnvSpec, EnvError> {
    Ok(find(id)?.spec)
}

/// Makes the environment with this id, inside its registered [`TimeLimit`].
///
/// # Errors
/// When there is none; the error lists the valid names.
pub fn make(id: &str) -> Result<Box<dyn Environment>, EnvError> {
    (find(id)?.make)()
}
