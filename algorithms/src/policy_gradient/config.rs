//! Every choice of PPO and TRPO that a study can vary.
//!
//! Each field is one choice with each published variant as a named level. What an original
//! implementation bundles under one switch is several fields here; a preset bundles it again.
//!
//! Short names of sources: *Engstrom* is "Implementation Matters in Deep Policy Gradients" (ICLR
//! 2020), *release* its code at 5ee6ecb, *submission* the code of the submitted version at
//! 094994f; *Schulman* is "Proximal Policy Optimization Algorithms" (2017), *baselines* OpenAI
//! Baselines' `ppo2` at ea25b9e; *37 details* is the ICLR 2022 blog post on its implementation
//! details; *Ilyas* is "A Closer Look at Deep Policy Gradients" (ICLR 2020); *Schulman 2015* is "Trust
//! Region Policy Optimization"; *Andrychowicz* is "What Matters for On-Policy Deep Actor-Critic Methods?" (ICLR 2021)
//! with its numbering of choices.

pub use envs::{ObservationNormalization, RewardScaling, StatisticsOrder};
use flags::{Within, flags, levels};

levels! {
    /// Rule that updates the policy.
    pub enum Algorithm {
        /// Epochs of minibatch steps on the clipped surrogate objective (Schulman).
        Ppo = "ppo",
        /// One natural-gradient step inside a trust region, found by a line search (Schulman 2015).
        Trpo = "trpo",
    }
}

levels! {
    /// Course of the trust region's size over the iterations of a run.
    pub enum KlSchedule {
        /// Constant; in both code releases the described schedule has no effect.
        Constant = "constant",
        /// Linear from its first to its final value (Engstrom, TRPO+).
        Linear = "linear",
    }
}

levels! {
    /// Curvature that scales the direction s to the edge of the trust region, sqrt(2 max_kl / curvature).
    pub enum StepCurvature {
        /// s (F + damping I) s (release, baselines).
        Damped = "damped",
        /// s F s: damping only conditions the search for the direction.
        Undamped = "undamped",
    }
}

levels! {
    /// What happens to the environment between two iterations.
    pub enum EnvironmentReset {
        /// Every iteration starts with a fresh episode; the partial one is thrown away (release).
        EachIteration = "each-iteration",
        /// Episodes go on across iterations (baselines, CleanRL).
        Continue = "continue",
    }
}

levels! {
    /// How the end of an episode by its time limit enters returns and advantages.
    pub enum TimeLimit {
        /// As a true termination: nothing is expected afterwards (release, baselines, CleanRL).
        Terminal = "terminal",
        /// The value of the state that was cut off stands for the rest (Andrychowicz C22).
        Bootstrap = "bootstrap",
    }
}

levels! {
    /// What the environment receives for the action that was sampled.
    pub enum ActionTransform {
        /// The sample itself; the environment may clamp it internally (release).
        Raw = "raw",
        /// The sample clipped to the action space; the unclipped one is learned from (baselines, CleanRL).
        Clip = "clip",
        /// The hyperbolic tangent of the sample, scaled to the action space (Andrychowicz C63).
        Tanh = "tanh",
    }
}

levels! {
    /// What stands for the return beyond the rollout's last step.
    pub enum RolloutBootstrap {
        /// The value of the last step's own state, V(s_t) (release).
        LastValue = "last-value",
        /// The value of the state that follows it, V(s_t+1) (baselines, CleanRL).
        NextValue = "next-value",
    }
}

levels! {
    /// What the value function is regressed on.
    pub enum ValueTarget {
        /// Old value plus generalised advantage, the lambda-return (release, baselines).
        LambdaReturn = "lambda-return",
        /// Discounted sum of rewards inside the rollout, never bootstrapped (release, `value_calc = time`).
        MonteCarlo = "monte-carlo",
    }
}

levels! {
    /// Whether the last step of an episode trains the value function.
    pub enum TerminalSamples {
        /// It does (baselines, CleanRL).
        Keep = "keep",
        /// It does not (release).
        Drop = "drop",
    }
}

levels! {
    /// Whether the value network predicts returns in their own unit.
    pub enum ValueNormalization {
        /// It does.
        None = "none",
        /// It predicts returns standardised by the running mean and std of the targets (Andrychowicz C66).
        Running = "running",
    }
}

levels! {
    /// Over which samples advantages are standardised (zero mean, unit unbiased std, 1e-8 added).
    pub enum AdvantageNormalization {
        /// Not at all.
        None = "none",
        /// Over each minibatch (release, baselines, CleanRL).
        Minibatch = "minibatch",
        /// Over the whole batch, once for each computation of advantages.
        Batch = "batch",
    }
}

levels! {
    /// Whether policy and value function share their hidden layers.
    pub enum Networks {
        /// Two networks.
        Separate = "separate",
        /// One body, two heads.
        Shared = "shared",
    }
}

levels! {
    /// Non-linearity after each hidden layer.
    pub enum Activation {
        /// Hyperbolic tangent.
        Tanh = "tanh",
        /// max(x, 0).
        Relu = "relu",
        /// x where positive, else 0.01 x.
        LeakyRelu = "leaky-relu",
        /// x where positive, else exp(x) - 1.
        Elu = "elu",
    }
}

levels! {
    /// Distribution of the initial weights, before any scale.
    pub enum Initializer {
        /// A random matrix with orthonormal rows or columns; biases zero (release, baselines).
        Orthogonal = "orthogonal",
        /// Uniform in ±sqrt(6 / (inputs + outputs)); biases zero (release).
        XavierUniform = "xavier-uniform",
        /// Normal with mean 0.01 and std 1, biases too: a slip for std 0.01 (release, `normal`).
        NormalSlip = "normal-slip",
        /// Uniform in ±1/sqrt(inputs), biases too: PyTorch's default.
        TorchDefault = "torch-default",
    }
}

levels! {
    /// How the policy's log-std parameter becomes a standard deviation.
    pub enum StdTransform {
        /// exp(p).
        Exp = "exp",
        /// log(1 + exp(p)).
        Softplus = "softplus",
    }
}

levels! {
    /// Whether the standard deviation depends on the state.
    pub enum StdDependence {
        /// One learned vector (release, baselines, CleanRL).
        Independent = "independent",
        /// That vector plus an output of the policy network.
        State = "state",
    }
}

levels! {
    /// Log-density of a Gaussian action.
    pub enum GaussianDensity {
        /// The normal density.
        Exact = "exact",
        /// Squared distance divided by the std instead of the variance: not the density that actions are drawn from (submission).
        Submission = "submission",
    }
}

levels! {
    /// Interval outside which the probability ratio is clipped.
    pub enum RatioClip {
        /// Never clipped.
        None = "none",
        /// [1 - eps, 1 + eps] (Schulman).
        Symmetric = "symmetric",
        /// [1 / (1 + eps), 1 + eps] (Andrychowicz C16).
        Reciprocal = "reciprocal",
    }
}

levels! {
    /// How the value loss is clipped; v is the new value, c the old one moved towards it by at most eps, y the target.
    pub enum ValueClip {
        /// (v - y)^2.
        None = "none",
        /// max((v - y)^2, (c - y)^2) (release, baselines, CleanRL).
        Max = "max",
        /// min((v - y)^2, (c - y)^2), as printed (Engstrom, section 3).
        Min = "min",
        /// max(v - y, c - y)^2: the larger signed error, squared afterwards (submission).
        SquareAfterMax = "square-after-max",
    }
}

levels! {
    /// Course of a quantity over the iterations of a run.
    pub enum Annealing {
        /// Constant.
        None = "none",
        /// Linear, from its full value at the first iteration towards zero after the last.
        Linear = "linear",
    }
}

levels! {
    /// Rule that turns a gradient into a step.
    pub enum Optimizer {
        /// Adam with decay rates 0.9 and 0.999.
        Adam = "adam",
        /// Plain gradient descent (release, `ppo_lr`).
        Sgd = "sgd",
    }
}

levels! {
    /// Where Adam adds its epsilon.
    pub enum AdamEpsilonPlacement {
        /// To the bias-corrected root, as in the paper (PyTorch).
        Corrected = "corrected",
        /// To the uncorrected root, the paper's epsilon-hat (TensorFlow, so baselines).
        Uncorrected = "uncorrected",
    }
}

levels! {
    /// Order of policy and value updates within an iteration.
    pub enum UpdateSchedule {
        /// One loss, one pass over the same minibatches (baselines, CleanRL).
        Joint = "joint",
        /// All value epochs, then all policy epochs, each with its own shuffles (release).
        ValueThenPolicy = "value-then-policy",
    }
}

levels! {
    /// Whose gradient norm is clipped.
    pub enum GradientClip {
        /// Nobody's.
        None = "none",
        /// The policy's alone (release).
        Policy = "policy",
        /// The value function's alone.
        Value = "value",
        /// Each by its own norm.
        Each = "each",
        /// Both by their joint norm (baselines, CleanRL; Engstrom, optimization 9).
        Joint = "joint",
    }
}

flags! {
    /// Configuration of one agent and of how it is trained; not yet checked.
    pub struct AgentConfig {
        /// Environment, by its Gymnasium id.
        #[flag(group = "Task", unit = "", source = "Gymnasium 1.4", shape)]
        pub environment: String = "Pendulum-v1".to_owned(),
        /// Its constructor arguments where they differ from Gymnasium's defaults, as in `healthy_reward=2, reset_noise_scale=0.01`.
        #[flag(group = "Task", unit = "", source = "Gymnasium 1.4", shape)]
        pub environment_arguments: String = String::new(),
        /// Copies of the environment that one agent steps in turn, each with its own normalisers.
        #[flag(group = "Task", unit = "environments", within = Within::closed(1.0, 4096.0), source = "Andrychowicz C1; release: 1", shape)]
        pub num_envs: usize = 1,
        /// Environment steps of a whole run, over all copies; whole iterations are counted, a rest is left out.
        #[flag(group = "Task", unit = "steps", within = Within::closed(1.0, 1e12), source = "release: 488 x 2048", shape)]
        pub total_steps: u64 = 999_424,
        /// Steps of each environment in one iteration.
        #[flag(group = "Task", unit = "steps", within = Within::closed(2.0, 1e6), source = "release `t`; Andrychowicz C2", shape)]
        pub rollout_length: usize = 2048,
        /// Whether episodes go on across iterations.
        #[flag(group = "Task", unit = "", source = "release resets, baselines continues")]
        pub environment_reset: EnvironmentReset = EnvironmentReset::EachIteration,
        /// Whether a time limit counts as a termination.
        #[flag(group = "Task", unit = "", source = "Andrychowicz C22")]
        pub time_limit: TimeLimit = TimeLimit::Terminal,
        /// What the environment receives for a sampled continuous action.
        #[flag(group = "Task", unit = "", source = "Andrychowicz C63; 37 details, continuous 5")]
        pub action_transform: ActionTransform = ActionTransform::Raw,

        /// Running normalisation of observations.
        #[flag(group = "Normalisation", unit = "", source = "Engstrom, optimization 6")]
        pub observation_normalization: ObservationNormalization = ObservationNormalization::Release,
        /// Whether the running statistics see an observation before it is normalised.
        #[flag(group = "Normalisation", unit = "", source = "release, Gymnasium: update-then-use")]
        pub observation_statistics: StatisticsOrder = StatisticsOrder::UpdateThenUse,
        /// Observations are clipped to plus or minus this after normalisation, or without it.
        #[flag(group = "Normalisation", unit = "normalised observation", within = Within::positive(), source = "Engstrom, optimization 7")]
        pub observation_clip: Option<f64> = Some(10.0),
        /// Scaling of rewards.
        #[flag(group = "Normalisation", unit = "", source = "Engstrom, optimization 2")]
        pub reward_scaling: RewardScaling = RewardScaling::DiscountedStdReset,
        /// Rewards are clipped to plus or minus this after scaling, or without it.
        #[flag(group = "Normalisation", unit = "scaled reward", within = Within::positive(), source = "Engstrom, optimization 5")]
        pub reward_clip: Option<f64> = Some(10.0),

        /// Discount factor.
        #[flag(group = "Returns and advantages", unit = "1", within = Within::closed(0.0, 1.0), source = "release; Andrychowicz C20")]
        pub gamma: f64 = 0.99,
        /// Decay of generalised advantage estimation.
        #[flag(group = "Returns and advantages", unit = "1", within = Within::closed(0.0, 1.0), source = "release; Andrychowicz C8")]
        pub gae_lambda: f64 = 0.95,
        /// Value that continues an unfinished episode at the rollout's end.
        #[flag(group = "Returns and advantages", unit = "", source = "release: last-value")]
        pub rollout_bootstrap: RolloutBootstrap = RolloutBootstrap::LastValue,
        /// What the value function is regressed on.
        #[flag(group = "Returns and advantages", unit = "", source = "release `value_calc`")]
        pub value_target: ValueTarget = ValueTarget::LambdaReturn,
        /// Whether an episode's last step trains the value function.
        #[flag(group = "Returns and advantages", unit = "", source = "release: drop")]
        pub terminal_samples: TerminalSamples = TerminalSamples::Drop,
        /// Standardisation of the value function's targets.
        #[flag(group = "Returns and advantages", unit = "", source = "Andrychowicz C66")]
        pub value_normalization: ValueNormalization = ValueNormalization::None,
        /// Over which samples advantages are standardised.
        #[flag(group = "Returns and advantages", unit = "", source = "37 details, core 7; Andrychowicz C67")]
        pub advantage_normalization: AdvantageNormalization = AdvantageNormalization::Minibatch,
        /// Whether values and advantages are computed again before each epoch after the first.
        #[flag(group = "Returns and advantages", unit = "", source = "Andrychowicz C5")]
        pub recompute_advantages: bool = false,

        /// Widths of the policy's hidden layers; of the common body where networks are shared.
        #[flag(group = "Networks", unit = "units", within = Within::closed(1.0, 4096.0), source = "release: 64, 64", shape)]
        pub policy_hidden: Vec<usize> = vec![64, 64],
        /// Widths of the value network's hidden layers; unused where networks are shared.
        #[flag(group = "Networks", unit = "units", within = Within::closed(1.0, 4096.0), source = "release: 64, 64", shape)]
        pub value_hidden: Vec<usize> = vec![64, 64],
        /// Whether policy and value function share their hidden layers.
        #[flag(group = "Networks", unit = "", source = "Andrychowicz C47; 37 details, core 13", shape)]
        pub networks: Networks = Networks::Separate,
        /// Whether the value network also sees the fraction of the rollout that has passed.
        #[flag(group = "Networks", unit = "", source = "release, `value_calc = time`", shape)]
        pub value_time_input: bool = false,
        /// Non-linearity of the hidden layers.
        #[flag(group = "Networks", unit = "", source = "Engstrom, optimization 8")]
        pub activation: Activation = Activation::Tanh,
        /// Distribution of the initial weights.
        #[flag(group = "Networks", unit = "", source = "Engstrom, optimization 3")]
        pub initializer: Initializer = Initializer::Orthogonal,
        /// Factor on the initial weights of the hidden layers.
        #[flag(group = "Networks", unit = "1", within = Within::positive(), source = "release: sqrt 2 with orthogonal, 1 with xavier")]
        pub hidden_scale: f64 = std::f64::consts::SQRT_2,
        /// Factor on the initial weights of the policy's last layer.
        #[flag(group = "Networks", unit = "1", within = Within::positive(), source = "Engstrom, optimization 3; Andrychowicz C57")]
        pub policy_head_scale: f64 = 0.01,
        /// Factor on the initial weights of the value function's last layer.
        #[flag(group = "Networks", unit = "1", within = Within::positive(), source = "Engstrom, optimization 3; Andrychowicz C58")]
        pub value_head_scale: f64 = 1.0,
        /// Initial log standard deviation of a continuous action.
        #[flag(group = "Networks", unit = "log action", within = Within::closed(-20.0, 5.0), source = "release: 0; Andrychowicz C61")]
        pub initial_log_std: f64 = 0.0,
        /// How the log-std parameter becomes a standard deviation.
        #[flag(group = "Networks", unit = "", source = "Andrychowicz C60")]
        pub std_transform: StdTransform = StdTransform::Exp,
        /// Whether the standard deviation depends on the state.
        #[flag(group = "Networks", unit = "", source = "Andrychowicz C59", shape)]
        pub std_dependence: StdDependence = StdDependence::Independent,
        /// Log-density of a continuous action.
        #[flag(group = "Networks", unit = "", source = "submission")]
        pub gaussian_density: GaussianDensity = GaussianDensity::Exact,

        /// Rule that updates the policy; with `trpo` the policy's epochs, step size, ratio clip, entropy bonus and gradient clip have no effect.
        #[flag(group = "Policy loss", unit = "", source = "Engstrom, table 1; release `mode`", shape)]
        pub algorithm: Algorithm = Algorithm::Ppo,
        /// Interval outside which the probability ratio is clipped.
        #[flag(group = "Policy loss", unit = "", source = "Schulman, equation 7; Engstrom, PPO-NoClip")]
        pub ratio_clip: RatioClip = RatioClip::Symmetric,
        /// Half-width of that interval.
        #[flag(group = "Policy loss", unit = "1", within = Within::positive(), source = "release `clip_eps`")]
        pub clip_epsilon: f64 = 0.2,
        /// Course of that half-width over a run.
        #[flag(group = "Policy loss", unit = "", source = "37 details, auxiliary 1")]
        pub clip_epsilon_annealing: Annealing = Annealing::None,
        /// Weight of the entropy bonus; negative penalises entropy.
        #[flag(group = "Policy loss", unit = "1/nat", within = Within::closed(-10.0, 10.0), source = "release `entropy_coeff`")]
        pub entropy_coefficient: f64 = 0.0,
        /// Updates of an iteration stop after an epoch whose mean approximate KL exceeds this.
        #[flag(group = "Policy loss", unit = "nat", within = Within::positive(), source = "37 details, auxiliary 3")]
        pub target_kl: Option<f64> = None,

        /// Largest mean KL(old || new) of a step.
        #[flag(group = "Trust region", unit = "nat", within = Within::positive(), source = "release `max_kl`")]
        pub max_kl: f64 = 0.01,
        /// The same at the end of a linear schedule.
        #[flag(group = "Trust region", unit = "nat", within = Within::positive(), source = "release `max_kl_final`")]
        pub max_kl_final: f64 = 0.01,
        /// Course of the largest mean KL over a run.
        #[flag(group = "Trust region", unit = "", source = "Engstrom describes a schedule for TRPO+; release and submission keep it constant")]
        pub kl_schedule: KlSchedule = KlSchedule::Constant,
        /// Share of an iteration's samples that the Fisher matrix is estimated on, drawn without replacement.
        #[flag(group = "Trust region", unit = "1", within = Within::above_up_to(0.0, 1.0), source = "release `fisher_frac_samples`", shape)]
        pub fisher_fraction: f64 = 0.1,
        /// Multiple of the identity that is added to the Fisher matrix.
        #[flag(group = "Trust region", unit = "1", within = Within::closed(0.0, 1e6), source = "release `damping`")]
        pub damping: f64 = 0.1,
        /// Whether damping enters the length of the step.
        #[flag(group = "Trust region", unit = "", source = "release: damped")]
        pub step_curvature: StepCurvature = StepCurvature::Damped,
        /// Most iterations of conjugate gradient.
        #[flag(group = "Trust region", unit = "iterations", within = Within::closed(1.0, 1000.0), source = "release `cg_steps`", shape)]
        pub cg_iterations: usize = 10,
        /// Conjugate gradient stops once the squared norm of the residual is below this.
        #[flag(group = "Trust region", unit = "gradient^2", within = Within::positive(), source = "baselines: 1e-10; release never stops early")]
        pub cg_tolerance: Option<f64> = None,
        /// Most step lengths that the line search tries, each half the one before.
        #[flag(group = "Trust region", unit = "tries", within = Within::closed(1.0, 100.0), source = "release `max_backtrack`", shape)]
        pub backtrack_steps: usize = 10,
        /// A step is accepted if the surrogate improves by more than this share of its linear prediction.
        #[flag(group = "Trust region", unit = "1", within = Within::closed(0.0, 1.0), source = "release: 0.1")]
        pub acceptance_ratio: f64 = 0.1,
        /// Whether a step is accepted only if its mean KL, over all samples, stays within the trust region.
        #[flag(group = "Trust region", unit = "", source = "release checks; modular_rl does not")]
        pub line_search_kl: bool = true,

        /// Variant of the value loss.
        #[flag(group = "Value loss", unit = "", source = "Engstrom, optimization 1")]
        pub value_clip: ValueClip = ValueClip::Max,
        /// How far a value may move before it is clipped.
        #[flag(group = "Value loss", unit = "scaled return", within = Within::positive(), source = "release `clip_val_eps`")]
        pub value_clip_epsilon: f64 = 0.2,
        /// Factor on the mean squared error; baselines' and CleanRL's `vf_coef` 0.5 times their one half is 0.25.
        #[flag(group = "Value loss", unit = "1", within = Within::positive(), source = "release: 1; Andrychowicz C54")]
        pub value_coefficient: f64 = 1.0,

        /// Order of policy and value updates.
        #[flag(group = "Optimisation", unit = "", source = "release: value-then-policy", shape)]
        pub update_schedule: UpdateSchedule = UpdateSchedule::ValueThenPolicy,
        /// Passes over an iteration's samples for the policy.
        #[flag(group = "Optimisation", unit = "epochs", within = Within::closed(1.0, 1000.0), source = "release `ppo_epochs`", shape)]
        pub policy_epochs: usize = 10,
        /// Passes over an iteration's samples for the value function.
        #[flag(group = "Optimisation", unit = "epochs", within = Within::closed(1.0, 1000.0), source = "release `val_epochs`", shape)]
        pub value_epochs: usize = 10,
        /// Minibatches in each pass; sizes differ by at most one.
        #[flag(group = "Optimisation", unit = "minibatches", within = Within::closed(1.0, 1e6), source = "release `num_minibatches`", shape)]
        pub minibatches: usize = 32,
        /// Rule that turns a gradient into a step.
        #[flag(group = "Optimisation", unit = "", source = "Andrychowicz C23; release `ppo_lr`")]
        pub optimizer: Optimizer = Optimizer::Adam,
        /// Step size of the policy; of everything where networks are shared.
        #[flag(group = "Optimisation", unit = "1", within = Within::positive(), source = "release `ppo_lr_adam`")]
        pub policy_learning_rate: f64 = 3e-4,
        /// Step size of the value function; unused where networks are shared.
        #[flag(group = "Optimisation", unit = "1", within = Within::positive(), source = "release `val_lr`")]
        pub value_learning_rate: f64 = 1.5e-4,
        /// Course of the policy's step size over a run.
        #[flag(group = "Optimisation", unit = "", source = "Engstrom, optimization 4")]
        pub policy_annealing: Annealing = Annealing::Linear,
        /// Course of the value function's step size over a run; unused where networks are shared.
        #[flag(group = "Optimisation", unit = "", source = "Engstrom, optimization 4")]
        pub value_annealing: Annealing = Annealing::Linear,
        /// Adam's epsilon for the policy; for everything where networks are shared.
        #[flag(group = "Optimisation", unit = "gradient", within = Within::positive(), source = "37 details, core 3")]
        pub policy_adam_epsilon: f64 = 1e-5,
        /// Adam's epsilon for the value function; unused where networks are shared.
        #[flag(group = "Optimisation", unit = "gradient", within = Within::positive(), source = "37 details, core 3")]
        pub value_adam_epsilon: f64 = 1e-5,
        /// Where Adam adds its epsilon.
        #[flag(group = "Optimisation", unit = "", source = "Kingma and Ba 2015, section 2")]
        pub adam_epsilon_placement: AdamEpsilonPlacement = AdamEpsilonPlacement::Corrected,
        /// Whose gradient norm is clipped.
        #[flag(group = "Optimisation", unit = "", source = "Engstrom, optimization 9; release clips the policy alone")]
        pub gradient_clip: GradientClip = GradientClip::None,
        /// Largest gradient norm (Euclidean).
        #[flag(group = "Optimisation", unit = "gradient", within = Within::positive(), source = "37 details, core 11")]
        pub gradient_clip_norm: f64 = 0.5,

        /// Episodes of each final evaluation (one deterministic, one stochastic), with frozen normalisers.
        #[flag(group = "Evaluation", unit = "episodes", within = Within::closed(0.0, 10_000.0), source = "Andrychowicz: 100; Engstrom has none")]
        pub evaluation_episodes: usize = 10,

        /// Whether mean KL and largest ratio are measured after updates, on training and on fresh data.
        #[flag(group = "Diagnostics", unit = "", source = "Engstrom, figures 2-4", shape)]
        pub diagnose_trust_region: bool = false,
        /// Whether the value function's error is measured after updates, on training and on fresh data.
        #[flag(group = "Diagnostics", unit = "", source = "Ilyas, section on value prediction", shape)]
        pub diagnose_value_error: bool = false,
        /// Iterations between two measurements of trust region and value error.
        #[flag(group = "Diagnostics", unit = "iterations", within = Within::closed(1.0, 1e9), source = "release `log_every`", shape)]
        pub diagnose_every: usize = 10,
        /// Whether the variance of gradient estimates and their agreement with a large-sample gradient are measured.
        #[flag(group = "Diagnostics", unit = "", source = "Ilyas, section on gradient estimates", shape)]
        pub diagnose_gradients: bool = false,
        /// Whether the variance of gradient estimates is measured with no baseline, the learned and a well-fitted one.
        #[flag(group = "Diagnostics", unit = "", source = "Ilyas, section on value prediction", shape)]
        pub diagnose_baselines: bool = false,
        /// Whether reward and surrogate are measured along the update and a random direction.
        #[flag(group = "Diagnostics", unit = "", source = "Ilyas, section on landscapes", shape)]
        pub diagnose_landscapes: bool = false,
        /// Iterations in which gradients, baselines and landscapes are measured, before the update.
        #[flag(group = "Diagnostics", unit = "iteration", within = Within::closed(0.0, 1e9), source = "Ilyas: 0, 150, 300, 450", shape)]
        pub diagnostic_iterations: Vec<usize> = vec![0, 150, 300, 450],
        /// Sample sizes of gradient estimates.
        #[flag(group = "Diagnostics", unit = "samples", within = Within::closed(2.0, 1e8), source = "Ilyas: 100 to 1,000,000", shape)]
        pub gradient_samples: Vec<usize> = vec![100, 1000, 2000, 10_000, 100_000],
        /// Independent gradient estimates of each size.
        #[flag(group = "Diagnostics", unit = "estimates", within = Within::closed(2.0, 1000.0), source = "Ilyas: 10", shape)]
        pub gradient_estimates: usize = 10,
        /// Samples of the gradient that stands for the true one.
        #[flag(group = "Diagnostics", unit = "samples", within = Within::closed(2.0, 1e8), source = "Ilyas: 10,000,000; 1,000,000 in its appendix", shape)]
        pub reference_samples: usize = 1_000_000,
        /// Samples that the well-fitted baseline is trained on.
        #[flag(group = "Diagnostics", unit = "samples", within = Within::closed(2.0, 1e8), source = "Ilyas: 5,000,000", shape)]
        pub baseline_fit_samples: usize = 5_000_000,
        /// Points of a landscape along each of its two directions.
        #[flag(group = "Diagnostics", unit = "points", within = Within::closed(2.0, 1000.0), source = "read off Ilyas' figures", shape)]
        pub landscape_points: usize = 11,
        /// Samples of each landscape, at every point.
        #[flag(group = "Diagnostics", unit = "samples", within = Within::closed(2.0, 1e8), source = "Ilyas: 2,000, 20,000, 100,000 and 1,000,000", shape)]
        pub landscape_samples: Vec<usize> = vec![2000, 20_000],
    }
}
