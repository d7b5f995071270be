//! From a configuration to a valid one.

use std::ops::Deref;
use std::sync::Arc;

use envs::{Arguments, EnvError, EnvSpec, Environment};
use flags::Problem;

use super::config::{
    ActionTransform, AdvantageNormalization, AgentConfig, Algorithm, Annealing, GradientClip,
    KlSchedule, Networks, StdDependence, UpdateSchedule,
};
use crate::network::{Initialization, NetworkShape};

/// A configuration that has been checked against its environment.
#[derive(Clone, Debug)]
pub struct ValidAgentConfig {
    config: AgentConfig,
    arguments: Arguments,
    spec: Arc<EnvSpec>,
    iterations: usize,
}

impl Deref for ValidAgentConfig {
    type Target = AgentConfig;
    fn deref(&self) -> &AgentConfig {
        &self.config
    }
}

impl AgentConfig {
    /// Checks what no single field can show.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn validate(self) -> Result<ValidAgentConfig, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut problem = |fields: &[&'static str], message: String, help: &str| {
            problems.push(Problem { fields: fields.to_vec(), message, help: help.to_owned() });
        };
        let arguments = self.environment_arguments.parse::<Arguments>().unwrap_or_else(|error| {
            problem(
                &["environment_arguments"],
                error.to_string(),
                "write as in \"healthy_reward=2, reset_noise_scale=0.01\"",
            );
            Arguments::default()
        });
        let spec = envs::spec_with(&self.environment, &arguments)
            .map_err(|error| {
                let (fields, help) = self.explain(&error);
                problem(fields, error.to_string(), &help);
            })
            .ok();
        let per_iteration = self.num_envs * self.rollout_length;
        let iterations =
            usize::try_from(self.total_steps).unwrap_or(usize::MAX) / per_iteration.max(1);
        if iterations == 0 {
            problem(
                &["total_steps", "rollout_length", "num_envs"],
                format!(
                    "{} steps are less than one iteration of {} x {per_iteration_length} steps",
                    self.total_steps,
                    self.num_envs,
                    per_iteration_length = self.rollout_length
                ),
                "raise total_steps, or lower rollout_length",
            );
        }
        let smallest = match self.advantage_normalization {
            AdvantageNormalization::Minibatch => 2,
            _ => 1,
        };
        if per_iteration < smallest * self.minibatches {
            problem(
                &["minibatches", "rollout_length", "num_envs"],
                format!(
                    "{per_iteration} samples cannot be split into {} minibatches of at least {smallest}",
                    self.minibatches
                ),
                "lower minibatches; advantages normalised per minibatch need two samples in each",
            );
        }
        if self.update_schedule == UpdateSchedule::Joint && self.policy_epochs != self.value_epochs
        {
            problem(
                &["value_epochs", "policy_epochs", "update_schedule"],
                format!(
                    "a joint update has one loop, but policy_epochs is {} and value_epochs {}",
                    self.policy_epochs, self.value_epochs
                ),
                "make both equal, or set update_schedule = \"value-then-policy\"",
            );
        }
        if self.algorithm == Algorithm::Trpo {
            self.check_trust_region(&mut problem);
        }
        if self.gradient_clip == GradientClip::Joint
            && self.update_schedule != UpdateSchedule::Joint
        {
            problem(
                &["gradient_clip", "update_schedule"],
                "a joint norm needs both gradients at once".to_owned(),
                "set update_schedule = \"joint\", or gradient_clip = \"each\"",
            );
        }
        for (field, widths) in
            [("policy_hidden", &self.policy_hidden), ("value_hidden", &self.value_hidden)]
        {
            if widths.len() > 8 {
                problem(
                    &[field],
                    format!("{} hidden layers are more than eight", widths.len()),
                    "use at most eight layers",
                );
            }
        }
        if self.networks == Networks::Shared {
            self.check_shared(&mut problem);
        }
        self.check_diagnostics(&mut problem);
        if let Some(spec) = &spec
            && !spec.action_space.is_continuous()
        {
            if self.action_transform != ActionTransform::Raw {
                problem(
                    &["action_transform", "environment"],
                    format!(
                        "{} has discrete actions, which cannot be {}",
                        spec.id,
                        match self.action_transform {
                            ActionTransform::Clip => "clipped",
                            _ => "squashed",
                        }
                    ),
                    "set action_transform = \"raw\"",
                );
            }
            if self.std_dependence == StdDependence::State {
                problem(
                    &["std_dependence", "environment"],
                    format!("{} has discrete actions, which have no std", spec.id),
                    "set std_dependence = \"independent\"",
                );
            }
        }
        match spec {
            Some(spec) if problems.is_empty() => {
                Ok(ValidAgentConfig { config: self, arguments, spec: Arc::new(spec), iterations })
            }
            _ => Err(problems),
        }
    }

    /// Which fields an environment's error is about, and what helps.
    fn explain(&self, error: &EnvError) -> (&'static [&'static str], String) {
        let known = envs::registry().iter().map(|spec| spec.id);
        match error {
            EnvError::UnknownEnvironment { .. } => {
                let help = match flags::nearest(&self.environment, known.clone()) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => "`ceteris envs` lists them".to_owned(),
                };
                (&["environment"], help)
            }
            EnvError::RetiredVersion { successor, .. } => {
                (&["environment"], format!("use \"{successor}\""))
            }
            EnvError::UnknownArgument { .. } | EnvError::BadArgument { .. } => (
                &["environment_arguments", "environment"],
                format!("`ceteris envs {}` lists its arguments", self.environment),
            ),
            _ => (&["environment"], "`ceteris envs` lists what this build has".to_owned()),
        }
    }

    fn check_trust_region(&self, problem: &mut impl FnMut(&[&'static str], String, &str)) {
        if self.update_schedule != UpdateSchedule::ValueThenPolicy {
            problem(
                &["algorithm", "update_schedule"],
                "a trust-region step has no minibatches to share with the value function"
                    .to_owned(),
                "set update_schedule = \"value-then-policy\"",
            );
        }
        if matches!(self.gradient_clip, GradientClip::Policy | GradientClip::Each) {
            problem(
                &["algorithm", "gradient_clip"],
                "a trust-region step has no gradient to clip".to_owned(),
                "set gradient_clip = \"value\" or \"none\"",
            );
        }
        if self.fisher_samples() == 0 {
            problem(
                &["fisher_fraction", "rollout_length", "num_envs"],
                format!(
                    "{} of {} samples leave none for the Fisher matrix",
                    self.fisher_fraction,
                    self.num_envs * self.rollout_length
                ),
                "raise fisher_fraction",
            );
        }
    }

    /// Samples that the Fisher matrix is estimated on.
    pub fn fisher_samples(&self) -> usize {
        // Rounded down, as in the release; batches are far smaller than 2^53.
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )]
        let count = (self.fisher_fraction * (self.num_envs * self.rollout_length) as f64) as usize;
        count
    }

    fn check_diagnostics(&self, problem: &mut impl FnMut(&[&'static str], String, &str)) {
        if self.diagnose_baselines && self.networks == Networks::Shared {
            problem(
                &["diagnose_baselines", "networks"],
                "a well-fitted baseline needs a value network of its own".to_owned(),
                "set diagnose_baselines = false, or networks = \"separate\"",
            );
        }
        for (field, entries) in [
            ("diagnostic_iterations", self.diagnostic_iterations.len()),
            ("gradient_samples", self.gradient_samples.len()),
            ("landscape_samples", self.landscape_samples.len()),
        ] {
            if entries > 1000 {
                problem(
                    &[field],
                    format!("{entries} entries are more than a thousand"),
                    "list at most 1000",
                );
            }
        }
    }

    fn check_shared(&self, problem: &mut impl FnMut(&[&'static str], String, &str)) {
        if self.update_schedule != UpdateSchedule::Joint {
            problem(
                &["networks", "update_schedule"],
                "shared networks are updated by one loss".to_owned(),
                "set update_schedule = \"joint\", or networks = \"separate\"",
            );
        }
        if self.value_time_input {
            problem(
                &["value_time_input", "networks"],
                "a shared body has no input for the value function alone".to_owned(),
                "set value_time_input = false, or networks = \"separate\"",
            );
        }
        if !matches!(self.gradient_clip, GradientClip::None | GradientClip::Joint) {
            problem(
                &["gradient_clip", "networks"],
                "gradients of a shared body belong to policy and value function alike".to_owned(),
                "set gradient_clip = \"joint\" or \"none\"",
            );
        }
    }
}

impl ValidAgentConfig {
    /// The environment's description.
    pub fn env(&self) -> &EnvSpec {
        &self.spec
    }

    /// A fresh environment.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make_env(&self) -> Result<Box<dyn Environment>, EnvError> {
        envs::make_with(&self.environment, &self.arguments)
    }

    /// Iterations of a run.
    pub fn iterations(&self) -> usize {
        self.iterations
    }

    /// Samples of an iteration.
    pub fn samples(&self) -> usize {
        self.num_envs * self.rollout_length
    }

    /// Most episodes that a time limit can cut off within one iteration.
    pub fn most_cuts(&self) -> usize {
        let limit = self.spec.max_episode_steps.max(1) as usize;
        self.num_envs * (self.rollout_length / limit + 1)
    }

    /// Sizes of the networks.
    pub fn network_shape(&self) -> NetworkShape {
        let discrete = !self.spec.action_space.is_continuous();
        NetworkShape {
            observation_dim: self.spec.observation_dim,
            action_dim: self.spec.action_space.dim(),
            discrete,
            policy_hidden: self.policy_hidden.clone(),
            value_hidden: self.value_hidden.clone(),
            shared: self.networks == Networks::Shared,
            value_time_input: self.value_time_input,
            state_dependent_std: self.std_dependence == StdDependence::State,
        }
    }

    /// How the networks start.
    pub fn initialization(&self) -> Initialization {
        Initialization {
            initializer: self.initializer,
            hidden_scale: self.hidden_scale,
            policy_head_scale: self.policy_head_scale,
            value_head_scale: self.value_head_scale,
            initial_log_std: self.initial_log_std,
        }
    }

    /// Values of a quantity in an iteration (counted from zero) that anneals as given.
    pub fn annealed(&self, value: f64, annealing: Annealing, iteration: usize) -> f64 {
        // Counts of iterations are far below 2^53.
        #[allow(clippy::cast_precision_loss)]
        match annealing {
            Annealing::None => value,
            Annealing::Linear => value * (1.0 - iteration as f64 / self.iterations as f64),
        }
    }

    /// Largest mean KL(old || new) of an iteration's trust-region step (counted from zero), nats.
    pub fn max_kl_at(&self, iteration: usize) -> f64 {
        // Counts of iterations are far below 2^53.
        #[allow(clippy::cast_precision_loss)]
        match self.kl_schedule {
            KlSchedule::Constant => self.max_kl,
            KlSchedule::Linear => {
                let passed = iteration as f64 / self.iterations as f64;
                self.max_kl + (self.max_kl_final - self.max_kl) * passed
            }
        }
    }

    /// Factors that gradient clipping puts on the policy's and the value function's gradient, given
    /// their norms; a norm that does not exist in the phase is NaN.
    pub fn clip_coefficients(&self, policy_norm: f64, value_norm: f64) -> (f64, f64) {
        let coefficient = |norm: f64| (self.gradient_clip_norm / (norm + 1e-6)).min(1.0);
        match self.gradient_clip {
            GradientClip::None => (1.0, 1.0),
            GradientClip::Policy => (coefficient(policy_norm), 1.0),
            GradientClip::Value => (1.0, coefficient(value_norm)),
            GradientClip::Each => (coefficient(policy_norm), coefficient(value_norm)),
            GradientClip::Joint => {
                let present = |norm: f64| if norm.is_nan() { 0.0 } else { norm };
                let both = coefficient(present(policy_norm).hypot(present(value_norm)));
                (both, both)
            }
        }
    }

    /// Runs with equal keys fit into one cohort.
    pub fn cohort_key(&self) -> String {
        let mut key = String::new();
        for field in AgentConfig::FIELDS.iter().filter(|field| field.shape) {
            if let Some(value) = self.config.get(field.name) {
                key.push_str(&format!("{}={value};", field.name));
            }
        }
        key
    }
}
