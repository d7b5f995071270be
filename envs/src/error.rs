//! What can go wrong when an environment is made, stepped or restored.

/// Error of an environment.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EnvError {
    /// No environment has this id.
    #[error("unknown environment `{id}`; valid names are {}", known.join(", "))]
    UnknownEnvironment {
        /// The id asked for.
        id: String,
        /// Every id in the registry, in its order.
        known: Vec<&'static str>,
    },
    /// A MuJoCo task, in a build without MuJoCo.
    #[error(
        "{id} needs MuJoCo, and this program was built without it; run scripts/setup-mujoco.sh \
         and build with `--features mujoco`"
    )]
    WithoutMujoco {
        /// The id asked for.
        id: String,
    },
    /// A version of a MuJoCo task for a simulator that Gymnasium no longer has.
    #[error("{id} is for mujoco-py and no longer offered; {successor} is nearest to it")]
    RetiredVersion {
        /// The id asked for.
        id: String,
        /// Id of the version to use.
        successor: String,
    },
    /// An argument that the environment does not take.
    #[error(
        "{environment} takes no argument `{name}`{}; valid names are {}",
        nearest.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default(),
        known.join(", ")
    )]
    UnknownArgument {
        /// Id of the environment.
        environment: &'static str,
        /// The name given.
        name: String,
        /// The valid name most like it, if any is near.
        nearest: Option<&'static str>,
        /// Every argument of the environment.
        known: Vec<&'static str>,
    },
    /// An argument with a value of the wrong type or out of range.
    #[error("`{name}` of {environment} must be {expected}, found {found}")]
    BadArgument {
        /// Id of the environment.
        environment: &'static str,
        /// Name of the argument.
        name: String,
        /// What it takes, in words.
        expected: String,
        /// The value given.
        found: String,
    },
    /// A model that the simulator does not load.
    #[error("MuJoCo cannot load the model of {environment}: {message}")]
    Model {
        /// Id of the environment.
        environment: &'static str,
        /// The simulator's message.
        message: String,
    },
    /// A discrete action for a continuous task, or the other way round.
    #[error("{environment} takes a {expected} action, found a {found} one")]
    ActionKind {
        /// Id of the environment.
        environment: &'static str,
        /// Kind that the action space has.
        expected: &'static str,
        /// Kind that was given.
        found: &'static str,
    },
    /// A discrete action outside `0..n`.
    #[error("{environment} takes actions 0 to {}, found {found}", n - 1)]
    ActionOutOfRange {
        /// Id of the environment.
        environment: &'static str,
        /// Number of actions.
        n: usize,
        /// Action that was given.
        found: usize,
    },
    /// A continuous action with the wrong number of components.
    #[error("{environment} takes an action with {expected} components, found {found}")]
    ActionLength {
        /// Id of the environment.
        environment: &'static str,
        /// Components of the action space.
        expected: usize,
        /// Components that were given.
        found: usize,
    },
    /// A continuous action with a component that is infinite or not a number.
    #[error("{environment} takes finite actions, found {value} at component {index}")]
    NonFiniteAction {
        /// Id of the environment.
        environment: &'static str,
        /// Which component.
        index: usize,
        /// Its value.
        value: f32,
    },
    /// An observation buffer of the wrong length.
    #[error("{environment} writes {expected} observation values, found room for {found}")]
    ObservationLength {
        /// Id of the environment.
        environment: &'static str,
        /// Length of an observation.
        expected: usize,
        /// Length of the buffer.
        found: usize,
    },
    /// A step before the first reset.
    #[error("{environment} must be reset before its first step")]
    NotReset {
        /// Id of the environment.
        environment: &'static str,
    },
    /// A snapshot that was taken from another environment.
    #[error("cannot restore a state of {found} into {environment}")]
    StateOfOtherEnvironment {
        /// Id of the environment that was to be restored.
        environment: &'static str,
        /// Id inside the snapshot.
        found: String,
    },
    /// A snapshot with the wrong number of physics values.
    #[error("a state of {environment} holds {expected} physics values, found {found}")]
    StateLength {
        /// Id of the environment.
        environment: &'static str,
        /// Values that the environment keeps.
        expected: usize,
        /// Values in the snapshot.
        found: usize,
    },
    /// A time limit of no steps.
    #[error("the time limit of {environment} must be at least one step")]
    ZeroTimeLimit {
        /// Id of the environment.
        environment: &'static str,
    },
}
