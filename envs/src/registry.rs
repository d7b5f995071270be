//! The list of environments, by Gymnasium id.

use std::sync::LazyLock;

use crate::arguments::{Arguments, CommonArguments, apply};
use crate::classic_control::{
    Acrobot, CartPole, MountainCar, MountainCarContinuous, Pendulum, acrobot, cartpole,
    mountain_car, mountain_car_continuous, pendulum,
};
use crate::environment::Environment;
use crate::error::EnvError;
#[cfg(feature = "mujoco")]
use crate::mujoco::{Mujoco, Task};
use crate::spec::EnvSpec;
use crate::time_limit::TimeLimit;

struct Registration {
    spec: &'static EnvSpec,
    maker: Maker,
}

/// How an environment comes to be, which is also how its spec depends on its arguments.
enum Maker {
    /// A task that takes the common arguments only; the number is its time limit.
    Fixed(fn(u32) -> Result<Box<dyn Environment>, EnvError>),
    #[cfg(feature = "mujoco")]
    Mujoco(&'static Task),
}

/// New environments are added at the end: the order is what users see in listings.
static REGISTRATIONS: LazyLock<Vec<Registration>> = LazyLock::new(|| {
    let fixed = |spec, make| Registration { spec, maker: Maker::Fixed(make) };
    #[cfg_attr(not(feature = "mujoco"), expect(unused_mut, reason = "nothing follows"))]
    let mut registrations = vec![
        fixed(&cartpole::SPEC, |limit| limited(CartPole::new(), limit)),
        fixed(&pendulum::SPEC, |limit| limited(Pendulum::new(), limit)),
        fixed(&acrobot::SPEC, |limit| limited(Acrobot::new(), limit)),
        fixed(&mountain_car::SPEC, |limit| limited(MountainCar::new(), limit)),
        fixed(&mountain_car_continuous::SPEC, |limit| limited(MountainCarContinuous::new(), limit)),
    ];
    #[cfg(feature = "mujoco")]
    registrations.extend(
        crate::mujoco::tasks()
            .iter()
            .map(|task| Registration { spec: task.spec(), maker: Maker::Mujoco(task) }),
    );
    registrations
});

static SPECS: LazyLock<Vec<&'static EnvSpec>> =
    LazyLock::new(|| REGISTRATIONS.iter().map(|registration| registration.spec).collect());

/// Names of the MuJoCo tasks, in the order of the registry; known without MuJoCo so that asking
/// for one says what to do.
pub(crate) const MUJOCO_TASKS: [&str; 10] = [
    "InvertedPendulum",
    "InvertedDoublePendulum",
    "Reacher",
    "Swimmer",
    "Hopper",
    "HalfCheetah",
    "Walker2d",
    "Ant",
    "Humanoid",
    "HumanoidStandup",
];

fn limited<E: Environment + 'static>(
    environment: E,
    max_episode_steps: u32,
) -> Result<Box<dyn Environment>, EnvError> {
    Ok(Box::new(TimeLimit::new(environment, max_episode_steps)?))
}

fn find(id: &str) -> Result<&'static Registration, EnvError> {
    if let Some(registration) = REGISTRATIONS.iter().find(|found| found.spec.id == id) {
        return Ok(registration);
    }
    let task = id.rsplit_once("-v").filter(|(name, _)| MUJOCO_TASKS.contains(name));
    Err(match task {
        Some((_, "4" | "5")) => EnvError::WithoutMujoco { id: id.to_owned() },
        Some((name, "1" | "2" | "3")) => {
            EnvError::RetiredVersion { id: id.to_owned(), successor: format!("{name}-v4") }
        }
        _ => EnvError::UnknownEnvironment {
            id: id.to_owned(),
            known: registry().iter().map(|spec| spec.id).collect(),
        },
    })
}

/// Specs of all environments, in a stable order: MuJoCo's, where compiled in, come last.
#[must_use]
pub fn registry() -> &'static [&'static EnvSpec] {
    &SPECS
}

/// Spec of the environment with this id, made without arguments.
///
/// # Errors
/// When there is none; the error lists the valid names or says how to get it.
pub fn spec(id: &str) -> Result<&'static EnvSpec, EnvError> {
    Ok(find(id)?.spec)
}

/// Spec of the environment with this id, made with these arguments: they can change the length of
/// observations and the time limit.
///
/// # Errors
/// When there is no such environment, or it does not take the arguments.
pub fn spec_with(id: &str, arguments: &Arguments) -> Result<EnvSpec, EnvError> {
    let Registration { spec, maker } = find(id)?;
    match maker {
        Maker::Fixed(_) => {
            Ok(EnvSpec { max_episode_steps: time_limit(spec, arguments)?, ..(*spec).clone() })
        }
        #[cfg(feature = "mujoco")]
        Maker::Mujoco(task) => task.spec_with(arguments),
    }
}

/// Makes the environment with this id, inside its registered [`TimeLimit`].
///
/// # Errors
/// When there is none; the error lists the valid names or says how to get it.
pub fn make(id: &str) -> Result<Box<dyn Environment>, EnvError> {
    make_with(id, &Arguments::default())
}

/// Makes the environment with this id and these arguments, inside a [`TimeLimit`]: the registered
/// one, or that of the argument `max_episode_steps`.
///
/// # Errors
/// When there is no such environment, it does not take the arguments, or its model does not load.
pub fn make_with(id: &str, arguments: &Arguments) -> Result<Box<dyn Environment>, EnvError> {
    let Registration { spec, maker } = find(id)?;
    match maker {
        Maker::Fixed(make) => make(time_limit(spec, arguments)?),
        #[cfg(feature = "mujoco")]
        Maker::Mujoco(task) => Ok(Box::new(TimeLimit::registered(Mujoco::new(task, arguments)?)?)),
    }
}

/// The time limit of an environment that takes the common arguments only.
fn time_limit(spec: &EnvSpec, arguments: &Arguments) -> Result<u32, EnvError> {
    let mut common = CommonArguments { max_episode_steps: spec.max_episode_steps };
    apply(arguments, spec.id, &spec.arguments, &mut common, None)?;
    Ok(common.max_episode_steps)
}
