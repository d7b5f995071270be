//! Actors: one agent steps its environments for an iteration.
//!
//! Everything here runs on the host. An actor owns its environments, their normalisers and the
//! record of the episode in progress; what it draws depends on the streams of its replicate and the
//! iteration alone.

use envs::{
    Action, ActionSpace, EnvError, EnvState, Environment, ObservationNormalizer, Purpose,
    RewardNormalizer, Streams, fill_standard_normal,
};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::config::{ActionTransform, EnvironmentReset, StdTransform};
use super::validate::ValidAgentConfig;
use crate::math;
use crate::network::{Layout, NetworkShape, PolicyForward, to_f32};

/// What one agent did in one iteration. Samples lie environment by environment, in order of time.
#[derive(Clone, Debug, Default)]
pub struct Rollout {
    /// Stored observation and action of each sample,
    /// `[samples, stored_observation_dim + action_dim]`.
    pub features: Vec<f32>,
    /// Rewards after scaling and clipping, `[samples]`.
    pub rewards: Vec<f32>,
    /// Whether the sample's step ended the episode by the environment's own rule.
    pub terminated: Vec<bool>,
    /// Whether the time limit ended it; may be true together with `terminated`.
    pub truncated: Vec<bool>,
    /// The observation after each environment's last step, `[num_envs, stored_observation_dim]`.
    pub final_observations: Vec<f32>,
    /// Samples whose episode was cut off by the time limit without terminating.
    pub cuts: Vec<u32>,
    /// The observation that each of them would have continued from,
    /// `[cuts, stored_observation_dim]`.
    pub cut_observations: Vec<f32>,
    /// Episodes that finished.
    pub episodes: Vec<Episode>,
}

/// A finished episode.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    /// Copy of the environment that it took place in.
    pub environment: u32,
    /// Steps of that copy when it finished, counted within the iteration from one.
    pub step: u32,
    /// Undiscounted sum of the environment's own rewards.
    pub return_: f64,
    /// Steps.
    pub length: u32,
    /// Whether the environment's own rule ended it.
    pub terminated: bool,
    /// Whether the time limit ended it.
    pub truncated: bool,
}

/// Why an agent cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The policy's output is not a finite number.
    #[error("the policy's output is not finite")]
    NonFinite,
    /// The environment refused.
    #[error(transparent)]
    Environment(#[from] EnvError),
}

/// A policy as actors run it: the networks' sizes and one agent's way to choose actions.
#[derive(Clone, Debug)]
pub struct Actor {
    config: ValidAgentConfig,
    shape: NetworkShape,
    log_std: (usize, usize),
    forward: PolicyForward,
    outputs: Vec<f32>,
    noise: Vec<f32>,
    sample: Vec<f32>,
    sent: Vec<f32>,
}

/// Randomness of one action: none, or where it comes from.
enum Noise<'a, R> {
    Deterministic,
    From(&'a mut R),
}

impl Actor {
    /// An actor for a configuration.
    pub fn new(config: &ValidAgentConfig) -> Self {
        let shape = config.network_shape();
        let layout = Layout::new(&shape);
        let dim = shape.action_dim;
        Self {
            forward: PolicyForward::new(&layout),
            log_std: layout.log_std,
            outputs: vec![0.0; layout.policy_head.outputs],
            noise: vec![0.0; dim],
            sample: vec![0.0; dim],
            sent: vec![0.0; dim],
            shape,
            config: config.clone(),
        }
    }

    /// Chooses an action for a normalised observation; leaves the sample in `self.sample` (one-hot
    /// when discrete) and returns what the environment receives.
    fn act<R: rand::Rng>(
        &mut self,
        policy: &[f32],
        observation: &[f32],
        noise: &mut Noise<'_, R>,
    ) -> Result<Action<'_>, ActError> {
        self.forward.run(policy, self.config.activation, observation, &mut self.outputs);
        if !self.outputs.iter().all(|output| output.is_finite()) {
            return Err(ActError::NonFinite);
        }
        match &self.config.env().action_space {
            ActionSpace::Discrete { .. } => {
                let choice = match noise {
                    Noise::Deterministic => argmax(&self.outputs),
                    Noise::From(rng) => sample_categorical(&self.outputs, rng.random::<f32>()),
                };
                self.sample.fill(0.0);
                self.sample[choice] = 1.0;
                Ok(Action::Discrete(choice))
            }
            ActionSpace::Box { low, high } => {
                match noise {
                    Noise::Deterministic => self.noise.fill(0.0),
                    Noise::From(rng) => fill_standard_normal(rng, &mut self.noise),
                }
                let (start, _) = self.log_std;
                let dim = self.shape.action_dim;
                for index in 0..dim {
                    let mut parameter = policy[start + index];
                    if self.shape.state_dependent_std {
                        parameter += self.outputs[dim + index];
                    }
                    let std = match self.config.std_transform {
                        StdTransform::Exp => libm::expf(parameter),
                        StdTransform::Softplus => libm::log1pf(libm::expf(parameter)),
                    };
                    let sample = self.outputs[index] + std * self.noise[index];
                    self.sample[index] = sample;
                    self.sent[index] = match self.config.action_transform {
                        ActionTransform::Raw => sample,
                        ActionTransform::Clip => sample.clamp(low[index], high[index]),
                        ActionTransform::Tanh => {
                            let middle = 0.5 * (low[index] + high[index]);
                            middle + 0.5 * (high[index] - low[index]) * math::tanh(sample)
                        }
                    };
                }
                if !self.sample.iter().all(|component| component.is_finite()) {
                    return Err(ActError::NonFinite);
                }
                Ok(Action::Continuous(&self.sent))
            }
        }
    }
}

fn argmax(logits: &[f32]) -> usize {
    let mut best = 0;
    for (index, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = index;
        }
    }
    best
}

/// Inverse transform sampling from softmax(logits) with a uniform draw from [0, 1).
fn sample_categorical(logits: &[f32], uniform: f32) -> usize {
    let largest = logits[argmax(logits)];
    let total: f32 = logits.iter().map(|logit| libm::expf(logit - largest)).sum();
    let mut rest = uniform * total;
    for (index, logit) in logits.iter().enumerate() {
        rest -= libm::expf(logit - largest);
        if rest < 0.0 {
            return index;
        }
    }
    // Rounding can leave a rest of zero; the most likely choice is then as good as the last.
    argmax(logits)
}

/// One copy of the environment with its normalisers and the episode in progress.
struct Lane {
    environment: Box<dyn Environment>,
    observations: ObservationNormalizer,
    rewards: RewardNormalizer,
    raw: Vec<f64>,
    observation: Vec<f32>,
    episode_return: f64,
    episode_length: u32,
    started: bool,
    seed: u64,
}

impl Lane {
    /// Starts an episode: the first one from the lane's seed, later ones from where the
    /// environment's generator stands.
    fn reset(&mut self) {
        let seed = (!self.started).then_some(self.seed);
        self.started = true;
        self.environment.reset(seed, &mut self.raw);
        self.rewards.reset();
        self.observations.observe(&self.raw, &mut self.observation);
        self.episode_return = 0.0;
        self.episode_length = 0;
    }
}

/// One environment of an agent between two iterations: everything that acting needs to go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaneState {
    /// The environment.
    pub environment: EnvState,
    /// Normalisation of its observations.
    pub observations: ObservationNormalizer,
    /// Normalisation of its rewards.
    pub rewards: RewardNormalizer,
    /// The latest observation, `[observation_dim]`.
    pub raw: Vec<f64>,
    /// The same as the policy sees it, `[observation_dim]`.
    pub observation: Vec<f32>,
    /// Sum of rewards of the episode in progress.
    pub episode_return: f64,
    /// Steps of the episode in progress.
    pub episode_length: u32,
    /// Whether the first episode has begun.
    pub started: bool,
    /// Seed of the first episode.
    pub seed: u64,
}

/// Why an agent cannot go on from the states of its environments.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// They do not fit the configuration.
    #[error("{0}")]
    Unfit(String),
    /// An environment refused.
    #[error(transparent)]
    Environment(#[from] EnvError),
}

impl LaneState {
    /// Whether it can be a state of an agent's lane with this configuration.
    fn check(&self, config: &ValidAgentConfig) -> Result<(), RestoreError> {
        let unfit = |what: &str| Err(RestoreError::Unfit(what.to_owned()));
        let dim = config.env().observation_dim;
        let normalized = self.observations.mean_and_scale();
        if self.raw.len() != dim || self.observation.len() != dim {
            return unfit("an observation has another length than the environment's");
        }
        if self.observations.variant() != config.observation_normalization
            || normalized.is_some_and(|(mean, scale)| mean.len() != dim || scale.len() != dim)
        {
            return unfit("the statistics of observations do not fit the configuration");
        }
        if self.rewards.variant() != config.reward_scaling {
            return unfit("the statistics of rewards do not fit the configuration");
        }
        Ok(())
    }
}

/// One agent acting: its policy runner and its environments.
pub struct Agent {
    actor: Actor,
    lanes: Vec<Lane>,
    streams: Streams,
}

/// How a policy is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EvaluationMode {
    /// The mean action, or the most likely choice.
    Deterministic,
    /// Actions drawn as in training.
    Stochastic,
}

impl EvaluationMode {
    /// Both modes, with their names in tables.
    pub const ALL: [(Self, &'static str); 2] =
        [(Self::Deterministic, "deterministic"), (Self::Stochastic, "stochastic")];
}

impl Agent {
    /// An agent with fresh environments.
    ///
    /// # Errors
    /// When the environment cannot be made.
    pub fn new(config: &ValidAgentConfig, streams: Streams) -> Result<Self, EnvError> {
        let lanes = (0..config.num_envs)
            .map(|lane| {
                let environment = config.make_env()?;
                let dim = environment.spec().observation_dim;
                let mut rng = streams.rng(Purpose::EnvReset, lane as u64);
                Ok(Lane {
                    environment,
                    observations: ObservationNormalizer::new(
                        config.observation_normalization,
                        config.observation_statistics,
                        config.observation_clip,
                        dim,
                    ),
                    rewards: RewardNormalizer::new(
                        config.reward_scaling,
                        config.gamma,
                        config.reward_clip,
                    ),
                    raw: vec![0.0; dim],
                    observation: vec![0.0; dim],
                    episode_return: 0.0,
                    episode_length: 0,
                    started: false,
                    seed: rng.random(),
                })
            })
            .collect::<Result<_, EnvError>>()?;
        Ok(Self { actor: Actor::new(config), lanes, streams })
    }

    /// Its environments as they stand, to go on from later with [`restore`](Self::restore).
    pub fn lanes(&self) -> Vec<LaneState> {
        self.lanes
            .iter()
            .map(|lane| LaneState {
                environment: lane.environment.state(),
                observations: lane.observations.clone(),
                rewards: lane.rewards.clone(),
                raw: lane.raw.clone(),
                observation: lane.observation.clone(),
                episode_return: lane.episode_return,
                episode_length: lane.episode_length,
                started: lane.started,
                seed: lane.seed,
            })
            .collect()
    }

    /// Puts its environments into states from earlier, of an agent with the same configuration and
    /// streams.
    ///
    /// # Errors
    /// When the states do not fit the configuration. The agent is then of no use.
    pub fn restore(&mut self, states: &[LaneState]) -> Result<(), RestoreError> {
        if states.len() != self.lanes.len() {
            return Err(RestoreError::Unfit(format!(
                "there are states of {} environments instead of {}",
                states.len(),
                self.lanes.len()
            )));
        }
        for (lane, state) in self.lanes.iter_mut().zip(states) {
            state.check(&self.actor.config)?;
            if state.seed != lane.seed {
                let what = "its environments were seeded for another replicate".to_owned();
                return Err(RestoreError::Unfit(what));
            }
            lane.environment.set_state(&state.environment)?;
            lane.observations = state.observations.clone();
            lane.rewards = state.rewards.clone();
            lane.raw.clone_from(&state.raw);
            lane.observation.clone_from(&state.observation);
            lane.episode_return = state.episode_return;
            lane.episode_length = state.episode_length;
            lane.started = state.started;
        }
        Ok(())
    }

    /// The agent's configuration.
    pub fn config(&self) -> &ValidAgentConfig {
        &self.actor.config
    }

    /// The streams of its replicate.
    pub fn streams(&self) -> &Streams {
        &self.streams
    }

    /// A copy with one fresh environment and the first environment's normalisers, frozen. Nothing
    /// that it does is felt by the agent.
    ///
    /// # Errors
    /// When the environment cannot be made.
    pub fn frozen_copy(&self, seed: u64) -> Result<Self, EnvError> {
        let lanes = self
            .lanes
            .first()
            .map(|lane| {
                let mut copy = Lane {
                    environment: self.actor.config.make_env()?,
                    observations: lane.observations.clone(),
                    rewards: lane.rewards.clone(),
                    raw: lane.raw.clone(),
                    observation: lane.observation.clone(),
                    episode_return: 0.0,
                    episode_length: 0,
                    started: false,
                    seed,
                };
                copy.observations.freeze();
                copy.rewards.freeze();
                Ok(copy)
            })
            .into_iter()
            .collect::<Result<_, EnvError>>()?;
        Ok(Self { actor: self.actor.clone(), lanes, streams: self.streams })
    }

    /// Steps every environment through one iteration with the given policy parameters.
    ///
    /// # Errors
    /// When the policy's output is not finite, or an environment refuses an action.
    pub fn roll(&mut self, policy: &[f32], iteration: u64) -> Result<Rollout, ActError> {
        let mut rng = self.streams.rng(Purpose::ActionNoise, iteration);
        self.roll_steps(policy, self.actor.config.rollout_length, &mut rng)
    }

    /// Steps every environment `length` times, with noise from the given generator.
    ///
    /// # Errors
    /// When the policy's output is not finite, or an environment refuses an action.
    pub fn roll_steps<R: rand::Rng>(
        &mut self,
        policy: &[f32],
        length: usize,
        rng: &mut R,
    ) -> Result<Rollout, ActError> {
        let config = self.actor.config.clone();
        let shape = self.actor.shape.clone();
        let samples = self.lanes.len() * length;
        let stored = shape.stored_observation_dim();
        let mut rollout = Rollout {
            features: Vec::with_capacity(samples * (stored + shape.action_dim)),
            rewards: Vec::with_capacity(samples),
            terminated: Vec::with_capacity(samples),
            truncated: Vec::with_capacity(samples),
            ..Rollout::default()
        };
        let time = |step: usize| {
            // A rollout is far shorter than 2^24 steps.
            #[allow(clippy::cast_precision_loss)]
            shape.value_time_input.then(|| step as f32 / config.rollout_length as f32)
        };
        for (number, lane) in self.lanes.iter_mut().enumerate() {
            if !lane.started || config.environment_reset == EnvironmentReset::EachIteration {
                lane.reset();
            }
            for step in 0..length {
                rollout.features.extend_from_slice(&lane.observation);
                rollout.features.extend(time(step));
                let action = self.actor.act(policy, &lane.observation, &mut Noise::From(rng))?;
                let outcome = lane.environment.step(action, &mut lane.raw)?;
                rollout.features.extend_from_slice(&self.actor.sample);
                let done = outcome.terminated || outcome.truncated;
                let scaled = lane.rewards.scale(outcome.reward, outcome.terminated, done);
                rollout.rewards.push(to_f32(scaled));
                rollout.terminated.push(outcome.terminated);
                rollout.truncated.push(outcome.truncated);
                lane.episode_return += outcome.reward;
                lane.episode_length += 1;
                // The state after an episode's last step enters the statistics too, as in the release
                // and in Gymnasium's wrapper; baselines' vectorised one never sees it.
                lane.observations.observe(&lane.raw, &mut lane.observation);
                if !done {
                    continue;
                }
                // Samples of an iteration and steps of an episode are far below 2^32.
                #[allow(clippy::cast_possible_truncation)]
                {
                    if !outcome.terminated {
                        rollout.cuts.push((number * length + step) as u32);
                        rollout.cut_observations.extend_from_slice(&lane.observation);
                        rollout.cut_observations.extend(time(step + 1));
                    }
                    rollout.episodes.push(Episode {
                        environment: number as u32,
                        step: step as u32 + 1,
                        return_: lane.episode_return,
                        length: lane.episode_length,
                        terminated: outcome.terminated,
                        truncated: outcome.truncated,
                    });
                }
                lane.reset();
            }
            rollout.final_observations.extend_from_slice(&lane.observation);
            rollout.final_observations.extend(time(length));
        }
        Ok(rollout)
    }

    /// Plays whole episodes in fresh environments with frozen normalisers; nothing of the training
    /// state moves. Returns each episode's return and length.
    ///
    /// The statistics of the first environment's observations are used, also where an agent has
    /// several.
    ///
    /// # Errors
    /// When the policy's output is not finite, or an environment refuses an action.
    pub fn evaluate(
        &self,
        policy: &[f32],
        mode: EvaluationMode,
        episodes: usize,
    ) -> Result<Vec<(f64, u32)>, ActError> {
        let Some(lane) = self.lanes.first() else { return Ok(Vec::new()) };
        let mut actor = self.actor.clone();
        let streams = &self.streams;
        play(&mut actor, policy, &lane.observations, streams, mode, episodes, &mut |_| Ok(()))
    }

    /// The statistics of the first environment's observations, which evaluations use; `None` of an
    /// agent without environments.
    pub fn observation_normalizer(&self) -> Option<&ObservationNormalizer> {
        self.lanes.first().map(|lane| &lane.observations)
    }
}

/// A moment of an episode that is being played.
pub struct Moment<'a> {
    /// Number of the episode, from zero.
    pub episode: usize,
    /// Steps taken in it; 0 after the reset.
    pub step: u32,
    /// Sum of the rewards so far.
    pub return_: f64,
    /// The action that led here; `None` after the reset.
    pub action: Option<Action<'a>>,
    /// The environment as it stands.
    pub environment: &'a dyn Environment,
    /// Whether the episode is over.
    pub done: bool,
}

/// Plays whole episodes in a fresh environment with frozen normalisers. Returns each episode's
/// return and length.
pub(super) fn play(
    actor: &mut Actor,
    policy: &[f32],
    observations: &ObservationNormalizer,
    streams: &Streams,
    mode: EvaluationMode,
    episodes: usize,
    watch: &mut dyn FnMut(&Moment<'_>) -> Result<(), ActError>,
) -> Result<Vec<(f64, u32)>, ActError> {
    let mut environment = actor.config.make_env()?;
    let dim = environment.spec().observation_dim;
    let mut raw = vec![0.0; dim];
    let mut observation = vec![0.0; dim];
    let stream = match mode {
        EvaluationMode::Deterministic => 0,
        EvaluationMode::Stochastic => 1,
    };
    let mut rng = streams.rng(Purpose::Evaluation, stream);
    let mut seed = Some(rng.random());
    let mut results = Vec::with_capacity(episodes);
    for episode in 0..episodes {
        environment.reset(seed.take(), &mut raw);
        let (mut total, mut length) = (0.0, 0);
        watch(&Moment {
            episode,
            step: 0,
            return_: total,
            action: None,
            environment: &*environment,
            done: false,
        })?;
        loop {
            observations.apply_frozen(&raw, &mut observation);
            let mut noise = match mode {
                EvaluationMode::Deterministic => Noise::Deterministic,
                EvaluationMode::Stochastic => Noise::From(&mut rng),
            };
            let action = actor.act(policy, &observation, &mut noise)?;
            let outcome = environment.step(action, &mut raw)?;
            total += outcome.reward;
            length += 1;
            watch(&Moment {
                episode,
                step: length,
                return_: total,
                action: Some(action),
                environment: &*environment,
                done: outcome.done(),
            })?;
            if outcome.done() {
                break;
            }
        }
        results.push((total, length));
    }
    Ok(results)
}
