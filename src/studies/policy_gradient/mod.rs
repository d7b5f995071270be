//! "Implementation Matters in Deep Policy Gradients" (Engstrom et al., ICLR 2020) and its kin: PPO and
//! TRPO with every code-level choice a flag.

use std::sync::atomic::Ordering;

use algorithms::device::LearnerDevice;
use algorithms::policy_gradient::checkpoint::{Checkpoint, CheckpointError, Header};
use algorithms::policy_gradient::config::UpdateSchedule;
use algorithms::policy_gradient::train::{
    AgentSpec, Decision, Iteration, Resources, Supervisor, TrainError, Training, train_from,
};
use algorithms::policy_gradient::{AgentConfig, ValidAgentConfig};
use envs::Streams;
use flags::{Field, SetError, Value};

use super::{
    CheckpointInfo, Checkpoints, CohortContext, CohortOutcome, Column, ColumnType, Configuration,
    Cost, CurveView, Device, Preset, Problem, Progress, Publication, RunOutcome, RunStatus, Study,
    StudyError, Table, Tolerance,
};
use crate::replay::Replayable;
use crate::study::Run;

mod presets;
pub mod replay;
mod tables;

/// The study.
pub struct PolicyGradient;

/// Reads a configuration into the struct that training wants.
///
/// # Errors
/// When a field does not fit, or fields do not fit together.
pub fn agent_config(configuration: &Configuration) -> Result<ValidAgentConfig, Vec<Problem>> {
    configuration.read::<AgentConfig>()?.validate()
}

impl From<&Device> for LearnerDevice {
    fn from(device: &Device) -> Self {
        match device {
            Device::Cpu => Self::Cpu,
            Device::Gpu { index } => Self::Gpu { index: *index },
        }
    }
}

impl Study for PolicyGradient {
    fn kind(&self) -> &'static str {
        "policy-gradient"
    }

    fn about(&self) -> &'static str {
        "Implementation Matters in Deep Policy Gradients (Engstrom et al., ICLR 2020): \
         PPO and TRPO with every code-level choice a flag"
    }

    fn publication(&self) -> Option<&'static Publication> {
        Some(&Publication {
            key: "engstrom-2020-implementation",
            authors: &[
                "Engstrom, Logan",
                "Ilyas, Andrew",
                "Santurkar, Shibani",
                "Tsipras, Dimitris",
                "Janoos, Firdaus",
                "Rudolph, Larry",
                "Madry, Aleksander",
            ],
            title: "Implementation Matters in Deep Policy Gradients: \
                    A Case Study on PPO and TRPO",
            proceedings: "International Conference on Learning Representations",
            year: 2020,
            url: "https://openreview.net/forum?id=r1etN1rtPB",
        })
    }

    fn numerics_version(&self) -> u32 {
        1
    }

    fn fields(&self) -> &'static [Field] {
        AgentConfig::FIELDS
    }

    fn defaults(&self) -> Configuration {
        Configuration::of(&AgentConfig::default())
    }

    fn presets(&self) -> &'static [Preset] {
        presets::PRESETS
    }

    fn set(
        &self,
        configuration: &mut Configuration,
        name: &str,
        value: &Value,
    ) -> Result<(), SetError> {
        configuration.set::<AgentConfig>(name, value)
    }

    fn check(&self, configuration: &Configuration) -> Vec<Problem> {
        agent_config(configuration).err().unwrap_or_default()
    }

    fn cost(&self, configuration: &Configuration) -> Cost {
        let Ok(config) = agent_config(configuration) else { return Cost { steps: 0, weight: 0.0 } };
        let steps = (config.iterations() * config.samples()) as u64;
        let epochs = match config.update_schedule {
            UpdateSchedule::Joint => 2 * config.policy_epochs,
            UpdateSchedule::ValueThenPolicy => config.policy_epochs + config.value_epochs,
        };
        // Acting costs about as much as half an epoch of one network.
        #[allow(clippy::cast_precision_loss)]
        let weight = steps as f64 * (epochs as f64 + 0.5) + diagnostics_weight(&config);
        Cost { steps, weight }
    }

    fn cohort_key(&self, configuration: &Configuration) -> String {
        agent_config(configuration).map(|config| config.cohort_key()).unwrap_or_default()
    }

    fn cohort_width(&self, device: &Device) -> usize {
        match device {
            // Activations of a few agents fit a core's cache.
            Device::Cpu => 8,
            Device::Gpu { .. } => 256,
        }
    }

    fn step_unit(&self) -> &'static str {
        "environment steps"
    }

    fn metrics(&self) -> &'static [Column] {
        tables::METRICS
    }

    fn tables(&self) -> &'static [Table] {
        tables::TABLES
    }

    fn calibration(&self, configuration: &Configuration) -> Configuration {
        let mut short = configuration.clone();
        if let Ok(config) = agent_config(configuration) {
            // Two iterations: the first pays for warming up.
            let steps = i64::try_from(2 * config.samples()).unwrap_or(i64::MAX);
            short.replace("total_steps", Value::Integer(steps));
            short = undiagnosed(&short);
        }
        short
    }

    fn run_cohort(
        &self,
        runs: &[&Run],
        context: &CohortContext<'_>,
    ) -> Result<CohortOutcome, StudyError> {
        let specs = runs
            .iter()
            .map(|run| agent_spec(context.study_seed, run))
            .collect::<Result<Vec<_>, StudyError>>()?;
        let trainings = trainings(runs, &specs, context)?;
        let outcomes = trainings.iter().map(outcome).collect();
        let frames = tables::frames(runs, &trainings)
            .map_err(|error| StudyError::Failed(Box::new(error)))?;
        Ok(CohortOutcome { runs: outcomes, tables: frames })
    }

    fn replayable(&self) -> Option<&'static dyn Replayable> {
        Some(&Self)
    }
    fn checkpoint(
        &self,
        study_seed: u64,
        run: &Run,
        bytes: &[u8],
    ) -> Result<CheckpointInfo, Box<dyn std::error::Error + Send + Sync>> {
        let header = Header::read(bytes)?;
        Checkpoint::from_bytes(bytes, &agent_spec(study_seed, run)?)?;
        Ok(CheckpointInfo {
            identity: header.identity,
            done: u64::from(header.iterations_done),
            total: u64::from(header.iterations),
        })
    }

    fn views(&self) -> &'static [CurveView] {
        const {
            &[
                view("iterations", "return_mean", "return of training episodes"),
                view("trust_region", "kl_heldout", "mean KL of an update on held-out data, nat"),
                view("trust_region", "max_ratio_heldout", "largest ratio on held-out data"),
                view("trust_region", "kl_train", "mean KL of an update on its data, nat"),
                view("trust_region", "max_ratio_train", "largest ratio on the update's data"),
                view(
                    "value_errors",
                    "return_relative_heldout",
                    "relative error of values against held-out returns",
                ),
                view(
                    "value_errors",
                    "target_relative_heldout",
                    "relative error of values against held-out targets",
                ),
            ]
        }
    }
}

fn agent_spec(study_seed: u64, run: &Run) -> Result<AgentSpec, StudyError> {
    let config =
        agent_config(&run.configuration).map_err(|problems| StudyError::invalid(&problems))?;
    let streams = Streams { study_seed, replicate: run.replicate };
    Ok(AgentSpec { config, streams })
}

/// The checkpoints that runs start from; none where they start from their seeds.
fn start(
    runs: &[&Run],
    specs: &[AgentSpec],
    checkpoints: Option<&dyn Checkpoints>,
) -> Result<Vec<Checkpoint>, CheckpointError> {
    let Some(checkpoints) = checkpoints else { return Ok(Vec::new()) };
    runs.iter()
        .zip(specs)
        .filter_map(|(run, spec)| Some(Checkpoint::from_bytes(checkpoints.start(run)?, spec)))
        .collect()
}

/// Trains a cohort, from its checkpoints where there are some.
fn trainings(
    runs: &[&Run],
    specs: &[AgentSpec],
    context: &CohortContext<'_>,
) -> Result<Vec<Training>, StudyError> {
    let resources = Resources { device: (&context.device).into(), threads: context.threads };
    let start = start(runs, specs, context.checkpoints)
        .map_err(|error| StudyError::Failed(Box::new(error)))?;
    let mut supervisor = Supervised { runs, specs, context };
    train_from(specs, start, &resources, &mut supervisor).map_err(|error| match error {
        TrainError::Interrupted => StudyError::Interrupted,
        other => StudyError::Failed(Box::new(other)),
    })
}

/// A cohort in its surroundings.
struct Supervised<'a> {
    runs: &'a [&'a Run],
    specs: &'a [AgentSpec],
    context: &'a CohortContext<'a>,
}

impl Supervised<'_> {
    fn files(&self, to: &dyn Checkpoints, checkpoints: &[Checkpoint]) -> Option<Vec<Vec<u8>>> {
        self.runs
            .iter()
            .zip(self.specs)
            .zip(checkpoints)
            .map(|((run, spec), checkpoint)| {
                // The configuration is the one that it was trained with, so this does not fail.
                checkpoint.to_bytes(&spec.config, &to.identity(run)).ok()
            })
            .collect()
    }
}

impl Supervisor for Supervised<'_> {
    fn observe(&mut self, latest: &[Option<&Iteration>]) -> Decision {
        let samples = self.specs.first().map_or(0, |spec| spec.config.samples()) as u64;
        (self.context.progress)(progress(latest, samples));
        // Read first: whoever stops is then sure to have been asked for checkpoints.
        let stop = self.context.stop.load(Ordering::Relaxed);
        Decision { checkpoint: self.context.checkpoints.is_some_and(Checkpoints::due), stop }
    }

    fn keeps_last(&self) -> bool {
        self.context.checkpoints.is_some_and(Checkpoints::keeps_last)
    }

    fn keep(&mut self, checkpoints: Vec<Checkpoint>) {
        if let Some(to) = self.context.checkpoints
            && let Some(files) = self.files(to, &checkpoints)
        {
            to.save(files);
        }
    }

    fn keep_last(&mut self, checkpoints: Vec<Checkpoint>) {
        if let Some(to) = self.context.checkpoints
            && let Some(files) = self.files(to, &checkpoints)
        {
            to.save_last(files);
        }
    }
}

/// The configuration without what is only measured: no diagnostics, no final evaluation.
fn undiagnosed(configuration: &Configuration) -> Configuration {
    let mut bare = configuration.clone();
    bare.replace("evaluation_episodes", Value::Integer(0));
    for field in AgentConfig::FIELDS
        .iter()
        .filter(|field| field.kind == flags::Kind::Bool && field.group == "Diagnostics")
    {
        bare.replace(field.name, Value::Bool(false));
    }
    bare
}

/// What diagnostics cost, in the unit of [`Study::cost`]: the samples that they draw, each acted on,
/// looked at and differentiated once.
fn diagnostics_weight(config: &ValidAgentConfig) -> f64 {
    let iterations = config.iterations();
    let mut drawn = 0;
    if config.diagnose_trust_region || config.diagnose_value_error {
        drawn += iterations.div_ceil(config.diagnose_every) * config.samples();
    }
    let due = |iteration: &&usize| **iteration < iterations;
    let moments = config.diagnostic_iterations.iter().filter(due).count();
    let estimates = config.gradient_estimates * config.gradient_samples.iter().sum::<usize>();
    if config.diagnose_gradients {
        drawn += moments * (config.reference_samples + estimates);
    }
    if config.diagnose_baselines {
        let fit = config.baseline_fit_samples * config.value_epochs;
        drawn += moments * (estimates + fit);
    }
    if config.diagnose_landscapes {
        let points = config.landscape_points * config.landscape_points;
        drawn += moments * points * config.landscape_samples.iter().sum::<usize>();
    }
    // Far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    let drawn = drawn as f64;
    1.5 * drawn
}

/// Live figures: steps of the agents that still learn, and the mean return of their latest
/// episodes.
fn progress(latest: &[Option<&Iteration>], samples: u64) -> Progress {
    let alive = latest.iter().flatten().count() as u64;
    let returns: Vec<f64> =
        latest.iter().flatten().filter_map(|iteration| tables::return_mean(iteration)).collect();
    Progress { steps: alive * samples, headline: mean(&returns) }
}

fn outcome(training: &Training) -> RunOutcome {
    RunOutcome {
        status: match training.diverged {
            Some(iteration) => RunStatus::Diverged { iteration },
            None => RunStatus::Finished,
        },
        metrics: tables::metrics(training),
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    // Episodes and iterations are far fewer than 2^53.
    #[allow(clippy::cast_precision_loss)]
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// A curve over the steps of a run.
const fn view(table: &'static str, y: &'static str, y_label: &'static str) -> CurveView {
    CurveView { table, x: "steps", x_label: "environment steps", y, y_label }
}
