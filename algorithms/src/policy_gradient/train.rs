//! Training a cohort from its seeds to its results.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use envs::{EnvError, Purpose, Streams};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::autodiff::AutodiffLearner;
use super::checkpoint::Checkpoint;
use super::diagnostics::{self, Diagnostics, Moment};
use super::learner::{CohortSpec, Learner, LearnerError, OptimizerState, Phase};
use super::rollout::{ActError, Agent, Episode, EvaluationMode, RestoreError, Rollout};
use super::trained::TrainedPolicy;
use super::update::{Shuffle, Update, UpdateMetrics, UpdateState};
use super::validate::ValidAgentConfig;
use crate::device::LearnerDevice;
use crate::network::{Layout, Parameters};

/// One agent to train.
#[derive(Clone, Debug)]
pub struct AgentSpec {
    /// Its configuration.
    pub config: ValidAgentConfig,
    /// The streams of its replicate.
    pub streams: Streams,
}

/// Where a cohort trains.
#[derive(Clone, Debug)]
pub struct Resources {
    /// Device of the learner.
    pub device: LearnerDevice,
    /// Threads that step environments.
    pub threads: usize,
}

/// One agent's iteration.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Iteration {
    /// Its number, from zero.
    pub number: u32,
    /// Environment steps of the run at its end.
    pub steps: u64,
    /// Episodes that finished in it.
    pub episodes: Vec<Episode>,
    /// Mean of the policy's log-std parameters after it; `None` for discrete actions.
    pub log_std: Option<f64>,
    /// What the update looked like.
    pub metrics: UpdateMetrics,
    /// Time that the agent's environments took.
    pub rollout_time: Duration,
    /// Time that the cohort's learner took, divided by its agents.
    pub learner_time: Duration,
}

/// What one agent's training left.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Training {
    /// Its iterations, up to the one in which it diverged.
    pub iterations: Vec<Iteration>,
    /// The iteration in which a number became non-finite.
    pub diverged: Option<u32>,
    /// Final evaluations: mode, then each episode's return and length.
    pub evaluations: Vec<(EvaluationMode, Vec<(f64, u32)>)>,
    /// What was measured beside training.
    pub diagnostics: Diagnostics,
    /// What it learned; `None` where it diverged.
    #[serde(skip)]
    pub policy: Option<TrainedPolicy>,
}

/// Why a cohort could not be trained.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// It was asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// An environment failed.
    #[error(transparent)]
    Environment(#[from] EnvError),
    /// The learner failed.
    #[error(transparent)]
    Learner(#[from] LearnerError),
    /// The agents do not go on from their checkpoints.
    #[error("the checkpoints do not fit the agents: {0}")]
    Start(String),
}

/// What happens after an iteration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Whether [`Supervisor::keep`] is given a checkpoint of every agent.
    pub checkpoint: bool,
    /// Whether the cohort stops there.
    pub stop: bool,
}

/// Watches a cohort, and decides when it is kept and when it stops.
pub trait Supervisor {
    /// Sees every agent's latest iteration (`None` once it diverged).
    fn observe(&mut self, latest: &[Option<&Iteration>]) -> Decision;

    /// Takes checkpoints of all agents, diverged ones too, in their order.
    fn keep(&mut self, checkpoints: Vec<Checkpoint>);

    /// Whether the agents at the end of their training are wanted, too.
    fn keeps_last(&self) -> bool;

    /// Takes the trained agents, diverged ones too, in their order; they are evaluated afterwards.
    fn keep_last(&mut self, checkpoints: Vec<Checkpoint>);
}

/// Observes and keeps nothing.
struct Unsupervised<'a>(&'a mut dyn FnMut(&[Option<&Iteration>]) -> ControlFlow<()>);

impl Supervisor for Unsupervised<'_> {
    fn observe(&mut self, latest: &[Option<&Iteration>]) -> Decision {
        Decision { checkpoint: false, stop: (self.0)(latest).is_break() }
    }

    fn keep(&mut self, _: Vec<Checkpoint>) {}

    fn keeps_last(&self) -> bool {
        false
    }

    fn keep_last(&mut self, _: Vec<Checkpoint>) {}
}

/// Shuffles drawn from the agents' streams.
struct StreamShuffle<'a> {
    agents: &'a [Agent],
    iteration: usize,
}

impl Shuffle for StreamShuffle<'_> {
    fn permutation(
        &mut self,
        agent: usize,
        phase: Phase,
        epoch: usize,
        samples: usize,
    ) -> Vec<u32> {
        let phase = match phase {
            Phase::Joint => 0,
            Phase::Policy => 1,
            Phase::Value => 2,
        };
        // Epochs are at most 1000, so the fields of the index never overlap.
        let index = ((self.iteration as u64) << 16) | (phase << 12) | epoch as u64;
        let mut rng = self.agents[agent].streams().rng(Purpose::Minibatch, index);
        // A batch fits in memory, so its row numbers fit 32 bits.
        #[allow(clippy::cast_possible_truncation)]
        let mut permutation: Vec<u32> = (0..samples as u32).collect();
        permutation.shuffle(&mut rng);
        permutation
    }

    fn fisher_rows(&mut self, agent: usize, samples: usize, count: usize) -> Vec<u32> {
        let mut rng =
            self.agents[agent].streams().rng(Purpose::FisherSubsample, self.iteration as u64);
        // A batch fits in memory, so its row numbers fit 32 bits.
        #[allow(clippy::cast_possible_truncation)]
        let mut rows: Vec<u32> = (0..samples as u32).collect();
        let (chosen, _) = rows.partial_shuffle(&mut rng, count);
        chosen.to_vec()
    }
}

/// Trains the agents of a cohort together from their seeds; their configurations have equal cohort
/// keys.
///
/// `observe` sees every agent's latest iteration (`None` once it diverged) and may stop the
/// cohort.
///
/// # Errors
/// When stopped, or when an environment or the device fails. An agent that diverges is no error.
pub fn train(
    specs: &[AgentSpec],
    resources: &Resources,
    observe: &mut dyn FnMut(&[Option<&Iteration>]) -> ControlFlow<()>,
) -> Result<Vec<Training>, TrainError> {
    train_from(specs, Vec::new(), resources, &mut Unsupervised(observe))
}

/// Trains the agents of a cohort together, from their seeds or from checkpoints; their
/// configurations have equal cohort keys.
///
/// `start` is empty, or has one checkpoint an agent, all after the same iteration. What comes out is
/// then the same, bit for bit, as without the interruption, in whatever cohorts the agents were
/// before; only times are those that were measured.
///
/// # Errors
/// When stopped, when the checkpoints do not fit, or when an environment or the device fails. An
/// agent that diverges is no error.
pub fn train_from(
    specs: &[AgentSpec],
    start: Vec<Checkpoint>,
    resources: &Resources,
    supervisor: &mut dyn Supervisor,
) -> Result<Vec<Training>, TrainError> {
    let Some(first) = specs.first().map(|spec| &spec.config) else { return Ok(Vec::new()) };
    debug_assert!(specs.iter().all(|spec| spec.config.cohort_key() == first.cohort_key()));
    let shape = first.network_shape();
    let layout = Layout::new(&shape);
    let configs: Vec<ValidAgentConfig> = specs.iter().map(|spec| spec.config.clone()).collect();
    let mut agents = specs
        .iter()
        .map(|spec| Agent::new(&spec.config, spec.streams))
        .collect::<Result<Vec<_>, _>>()?;
    let start = if start.is_empty() {
        Start::fresh(specs, &layout)
    } else {
        Start::restored(start, &layout, &mut agents)?
    };
    let Start { done, mut parameters, optimizers, mut states, mut trainings } = start;
    let mut learner = AutodiffLearner::new(
        &CohortSpec {
            shape: shape.clone(),
            configs: specs.iter().map(|spec| (*spec.config).clone()).collect(),
            parameters: parameters.clone(),
        },
        &resources.device,
    );
    if let Some(optimizers) = optimizers {
        learner.set_optimizer_states(&optimizers);
    }
    let mut alive: Vec<bool> =
        trainings.iter().map(|training| training.diverged.is_none()).collect();
    let mut reached = done;

    for number in done as usize..first.iterations() {
        // Iterations are far fewer than 2^32.
        #[allow(clippy::cast_possible_truncation)]
        let label = number as u32;
        let rolled = roll_all(&mut agents, &parameters, &alive, number as u64, resources.threads);
        let mut rollouts = Vec::with_capacity(agents.len());
        let mut rollout_times = Vec::with_capacity(agents.len());
        for (agent, outcome) in rolled.into_iter().enumerate() {
            let (rollout, time) = match outcome {
                Some((Ok(rollout), time)) => (rollout, time),
                Some((Err(ActError::Environment(error)), _)) => return Err(error.into()),
                Some((Err(ActError::NonFinite), time)) => {
                    alive[agent] = false;
                    trainings[agent].diverged = Some(label);
                    (Rollout::default(), time)
                }
                None => (Rollout::default(), Duration::ZERO),
            };
            rollouts.push(rollout);
            rollout_times.push(time);
        }
        if !alive.contains(&true) {
            break;
        }
        let measured = diagnostics::due(first, number);
        let earlier = measured.then(|| (parameters.clone(), states.clone()));
        let started = Instant::now();
        let (metrics, _) = Update {
            shape: &shape,
            configs: &configs,
            rollouts: &rollouts,
            alive: &alive,
            iteration: number,
        }
        .run(
            &mut learner,
            &mut states,
            &mut StreamShuffle { agents: &agents, iteration: number },
        )?;
        parameters = learner.parameters()?;
        // Cohorts are far smaller than 2^32.
        #[allow(clippy::cast_possible_truncation)]
        let learner_time = started.elapsed() / specs.len() as u32;

        if let Some((parameters_before, states_before)) = earlier {
            let found = on_threads(&mut agents, resources.threads, |index, agent| {
                if !alive[index] || !parameters[index].is_finite() {
                    return Ok(Diagnostics::default());
                }
                diagnostics::measure(&Moment {
                    iteration: number,
                    agent,
                    rollout: &rollouts[index],
                    before: &parameters_before[index],
                    after: &parameters[index],
                    state_before: states_before[index],
                    state_after: states[index],
                })
            });
            for (training, found) in trainings.iter_mut().zip(found) {
                training.diagnostics.append(found?);
            }
        }

        let mut latest = Vec::with_capacity(specs.len());
        for (agent, ((metrics, rollout), rollout_time)) in
            metrics.into_iter().zip(rollouts).zip(rollout_times).enumerate()
        {
            latest.push(alive[agent]);
            if !alive[agent] {
                continue;
            }
            if !parameters[agent].is_finite() {
                alive[agent] = false;
                trainings[agent].diverged = Some(label);
                latest[agent] = false;
                continue;
            }
            let (start, len) = layout.log_std;
            // Actions have few dimensions.
            #[allow(clippy::cast_precision_loss)]
            let log_std = (len > 0).then(|| {
                parameters[agent].policy[start..start + len]
                    .iter()
                    .map(|parameter| f64::from(*parameter))
                    .sum::<f64>()
                    / len as f64
            });
            trainings[agent].iterations.push(Iteration {
                number: label,
                steps: (number as u64 + 1) * first.samples() as u64,
                episodes: rollout.episodes,
                log_std,
                metrics,
                rollout_time,
                learner_time,
            });
        }
        let latest: Vec<Option<&Iteration>> = latest
            .into_iter()
            .zip(&trainings)
            .map(|(present, training)| training.iterations.last().filter(|_| present))
            .collect();
        let decision = supervisor.observe(&latest);
        reached = label + 1;
        if decision.checkpoint {
            supervisor.keep(checkpoints(
                reached,
                &agents,
                &parameters,
                &learner.optimizer_states()?,
                &states,
                &trainings,
            ));
        }
        if decision.stop {
            return Err(TrainError::Interrupted);
        }
    }
    if supervisor.keeps_last() {
        supervisor.keep_last(checkpoints(
            reached,
            &agents,
            &parameters,
            &learner.optimizer_states()?,
            &states,
            &trainings,
        ));
    }
    let evaluated = on_threads(&mut agents, resources.threads, |index, agent| {
        if alive[index] { evaluate(agent, &parameters[index]) } else { Ok(Evaluated::default()) }
    });
    for (training, evaluated) in trainings.iter_mut().zip(evaluated) {
        let evaluated = evaluated?;
        training.evaluations = evaluated.episodes;
        if evaluated.non_finite {
            training.diverged = training.iterations.last().map(|last| last.number);
        }
    }
    for ((training, agent), parameters) in trainings.iter_mut().zip(&agents).zip(parameters) {
        training.policy = trained_policy(training, agent, parameters);
    }
    Ok(trainings)
}

fn trained_policy(
    training: &Training,
    agent: &Agent,
    parameters: Parameters,
) -> Option<TrainedPolicy> {
    let observations = agent.observation_normalizer().filter(|_| training.diverged.is_none())?;
    Some(TrainedPolicy {
        config: agent.config().clone(),
        streams: *agent.streams(),
        parameters,
        observations: observations.clone(),
    })
}

/// Where a cohort begins.
struct Start {
    /// Iterations that are done.
    done: u32,
    parameters: Vec<Parameters>,
    /// `None` where no step was taken.
    optimizers: Option<Vec<OptimizerState>>,
    states: Vec<UpdateState>,
    trainings: Vec<Training>,
}

impl Start {
    /// From the seeds.
    fn fresh(specs: &[AgentSpec], layout: &Layout) -> Self {
        let parameters = specs
            .iter()
            .map(|spec| {
                Parameters::initialize(layout, &spec.config.initialization(), |layer| {
                    spec.streams.rng(Purpose::Init, layer)
                })
            })
            .collect();
        Self {
            done: 0,
            parameters,
            optimizers: None,
            states: vec![UpdateState::default(); specs.len()],
            trainings: vec![Training::default(); specs.len()],
        }
    }

    /// From one checkpoint an agent.
    fn restored(
        checkpoints: Vec<Checkpoint>,
        layout: &Layout,
        agents: &mut [Agent],
    ) -> Result<Self, TrainError> {
        let unfit = |what: &str| TrainError::Start(what.to_owned());
        let done = checkpoints.first().map_or(0, |checkpoint| checkpoint.iterations_done);
        if checkpoints.len() != agents.len() {
            return Err(unfit("their numbers differ"));
        }
        let (policy, value) = (layout.policy_len, layout.value_len);
        let mut optimizers = Vec::with_capacity(agents.len());
        let (mut parameters, mut states, mut trainings) = (Vec::new(), Vec::new(), Vec::new());
        for (agent, checkpoint) in agents.iter_mut().zip(checkpoints) {
            let OptimizerState { policy: policy_moments, value: value_moments } =
                &checkpoint.optimizer;
            if checkpoint.iterations_done != done {
                return Err(unfit("they are not all after the same iteration"));
            }
            if [&checkpoint.parameters.policy, &policy_moments.first, &policy_moments.second]
                .iter()
                .any(|vector| vector.len() != policy)
                || [&checkpoint.parameters.value, &value_moments.first, &value_moments.second]
                    .iter()
                    .any(|vector| vector.len() != value)
            {
                return Err(unfit("the networks have other sizes"));
            }
            agent.restore(&checkpoint.lanes).map_err(|error| match error {
                RestoreError::Unfit(what) => TrainError::Start(what),
                RestoreError::Environment(error) => error.into(),
            })?;
            parameters.push(checkpoint.parameters);
            optimizers.push(checkpoint.optimizer);
            states.push(checkpoint.update);
            trainings.push(checkpoint.training);
        }
        Ok(Self { done, parameters, optimizers: Some(optimizers), states, trainings })
    }
}

/// Checkpoints of all agents between two iterations.
fn checkpoints(
    iterations_done: u32,
    agents: &[Agent],
    parameters: &[Parameters],
    optimizers: &[OptimizerState],
    states: &[UpdateState],
    trainings: &[Training],
) -> Vec<Checkpoint> {
    agents
        .iter()
        .enumerate()
        .map(|(index, agent)| Checkpoint {
            iterations_done,
            parameters: parameters[index].clone(),
            optimizer: optimizers[index].clone(),
            update: states[index],
            lanes: agent.lanes(),
            training: trainings[index].clone(),
        })
        .collect()
}

type Rolled = Option<(Result<Rollout, ActError>, Duration)>;

/// Rolls every living agent.
fn roll_all(
    agents: &mut [Agent],
    parameters: &[Parameters],
    alive: &[bool],
    iteration: u64,
    threads: usize,
) -> Vec<Rolled> {
    on_threads(agents, threads, |index, agent| {
        alive[index].then(|| {
            let started = Instant::now();
            let rollout = agent.roll(&parameters[index].policy, iteration);
            (rollout, started.elapsed())
        })
    })
}

#[derive(Default)]
struct Evaluated {
    episodes: Vec<(EvaluationMode, Vec<(f64, u32)>)>,
    /// Finite parameters can still overflow on a state never seen before.
    non_finite: bool,
}

fn evaluate(agent: &Agent, parameters: &Parameters) -> Result<Evaluated, EnvError> {
    let mut evaluated = Evaluated::default();
    let episodes = agent.config().evaluation_episodes;
    if episodes == 0 {
        return Ok(evaluated);
    }
    for (mode, _) in EvaluationMode::ALL {
        match agent.evaluate(&parameters.policy, mode, episodes) {
            Ok(results) => evaluated.episodes.push((mode, results)),
            Err(ActError::Environment(error)) => return Err(error),
            Err(ActError::NonFinite) => evaluated.non_finite = true,
        }
    }
    Ok(evaluated)
}

/// Does the work of every item, each thread its own slice of them; results in order.
fn on_threads<T: Send, R: Send>(
    items: &mut [T],
    threads: usize,
    work: impl Fn(usize, &mut T) -> R + Sync,
) -> Vec<R> {
    let slice = items.len().div_ceil(threads.max(1)).max(1);
    let each = |(chunk, items): (usize, &mut [T])| -> Vec<R> {
        let numbered = items.iter_mut().enumerate();
        numbered.map(|(offset, item)| work(chunk * slice + offset, item)).collect()
    };
    if threads <= 1 {
        return each((0, items));
    }
    std::thread::scope(|scope| {
        let chunks = items.chunks_mut(slice).enumerate();
        let each = &each;
        let handles: Vec<_> = chunks.map(|chunk| scope.spawn(move || each(chunk))).collect();
        handles
            .into_iter()
            .flat_map(|handle| match handle.join() {
                Ok(results) => results,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}
