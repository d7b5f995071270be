//! Checkpoints: an agent between two iterations, as a file.
//!
//! A [`Checkpoint`] holds everything that training needs to go on after an iteration as if it had
//! never stopped, bit for bit: parameters, the optimiser's moments and step counts, statistics of
//! value targets, every environment with its normalisers and the episode in progress, and what the
//! training left so far, which the tables at its end are made of. Positions of random streams are not
//! in it, because there are none: a stream is keyed by study seed, replicate, purpose and the number
//! of the iteration (see [`envs::Streams`]), and starts anew in each. The configuration and the
//! replicate are stored to be compared, not to be read from.
//!
//! The file is in the safetensors format, so Python's `safetensors.numpy.load_file` reads it. Each
//! tensor of the networks stands under a name of its own:
//!
//! | tensor | shape | content |
//! |---|---|---|
//! | `policy.body.0.weight`, … | `[inputs, outputs]` | weights of the policy's hidden layers: `x @ weight + bias` |
//! | `policy.body.0.bias`, … | `[outputs]` | their biases |
//! | `policy.head.weight`, `policy.head.bias` | as above | the policy's last layer |
//! | `policy.log_std` | `[action_dim]` | log-std parameters; absent with discrete actions |
//! | `value.body.0.weight`, …, `value.head.bias` | as above | the value network; its head alone where networks are shared |
//! | `optimizer.policy.body.0.weight.first_moment`, … | as the tensor's | Adam's mean of gradients |
//! | `optimizer.policy.body.0.weight.second_moment`, … | as the tensor's | Adam's mean of squared gradients |
//! | `observation.mean`, `observation.scale` | `[num_envs, observation_dim]` | normalised observations are `(x - mean) / scale`, then clipped; absent without normalisation |
//! | `state` | `[bytes]` | the rest, opaque |
//!
//! The metadata has one entry, `ceteris`, a JSON object: `format`, `iterations_done` and `iterations`
//! (of the whole run), `identity` (what the caller calls the run), `configuration` (every field) and
//! `sha256`, the SHA-256 of the file with 64 zeros in the place of this number.

use std::collections::BTreeMap;

use envs::Streams;
use flags::Value;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::AgentConfig;
use super::learner::{Moments, OptimizerState};
use super::rollout::{Agent, LaneState};
use super::train::{AgentSpec, Training};
use super::trained::TrainedPolicy;
use super::update::UpdateState;
use super::validate::ValidAgentConfig;
use crate::network::{Layer, Layout, Parameters};

/// Version of the format. Raise it with every change of what is stored.
pub const FORMAT: u64 = 1;

/// Key of the metadata.
const METADATA: &str = "ceteris";
/// Name of the tensor with the rest.
const STATE: &str = "state";
/// Stands for the checksum while it is computed.
const NO_SHA256: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Why bytes are no checkpoint to go on from.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// They are no checkpoint, or a part of one.
    #[error("it is no complete checkpoint ({0})")]
    Format(String),
    /// They were changed.
    #[error("it is damaged: its SHA-256 is {found} instead of {recorded}")]
    Damaged {
        /// The number in the file.
        recorded: String,
        /// The number of the file.
        found: String,
    },
    /// Another version wrote them.
    #[error("its format is {found}, and this version reads format {FORMAT}")]
    Version {
        /// The format's version.
        found: u64,
    },
    /// They belong to an agent of another configuration or replicate.
    #[error("it is of another run: {0}")]
    OtherRun(String),
    /// They contradict themselves.
    #[error("its content makes no sense ({0})")]
    Content(String),
    /// Something cannot be stored.
    #[error("it cannot be written: {0}")]
    Write(String),
}

/// What the caller says of a run, by name; stored as it is.
pub type Identity = BTreeMap<String, String>;

/// One agent after an iteration, see the [module](self).
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Iterations that are done.
    pub iterations_done: u32,
    /// Parameters of the networks.
    pub parameters: Parameters,
    /// What the optimiser keeps.
    pub optimizer: OptimizerState,
    /// What else one iteration's update hands to the next.
    pub update: UpdateState,
    /// The environments.
    pub lanes: Vec<LaneState>,
    /// What the training left so far.
    pub training: Training,
}

/// What a checkpoint says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    // First, so that its place is the first one with 64 zeros.
    sha256: String,
    /// Version of the format.
    format: u64,
    /// Iterations that are done.
    pub iterations_done: u32,
    /// Iterations of the whole run.
    pub iterations: u32,
    /// What the caller calls the run.
    pub identity: Identity,
    /// The agent's configuration.
    configuration: BTreeMap<String, Value>,
}

/// Everything that is no tensor.
#[derive(Serialize, Deserialize)]
struct Rest {
    update: UpdateState,
    lanes: Vec<LaneState>,
    training: Training,
}

/// Which of an agent's two vectors.
#[derive(Clone, Copy)]
enum Group {
    Policy,
    Value,
}

/// A named part of a parameter vector.
struct Part {
    name: String,
    group: Group,
    start: usize,
    shape: Vec<usize>,
}

impl Part {
    fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Every part of an agent's vectors, in order.
fn parts(layout: &Layout) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut layer = |name: String, group, layer: &Layer| {
        let Layer { weights, biases, inputs, outputs } = *layer;
        let weight = (format!("{name}.weight"), weights, vec![inputs, outputs]);
        let bias = (format!("{name}.bias"), biases, vec![outputs]);
        parts.extend([weight, bias].map(|(name, start, shape)| Part { name, group, start, shape }));
    };
    for (index, body) in layout.policy_body.iter().enumerate() {
        layer(format!("policy.body.{index}"), Group::Policy, body);
    }
    layer("policy.head".into(), Group::Policy, &layout.policy_head);
    for (index, body) in layout.value_body.iter().enumerate() {
        layer(format!("value.body.{index}"), Group::Value, body);
    }
    let shared = layout.value_len == 0;
    let group = if shared { Group::Policy } else { Group::Value };
    layer("value.head".into(), group, &layout.value_head);
    let (start, len) = layout.log_std;
    if len > 0 {
        let (name, shape) = ("policy.log_std".to_owned(), vec![len]);
        parts.push(Part { name, group: Group::Policy, start, shape });
    }
    parts
}

/// A pair of vectors as they are stored: under a name of their own in three roles.
struct Role<'a> {
    prefix: &'static str,
    suffix: &'static str,
    policy: &'a [f32],
    value: &'a [f32],
}

fn roles<'a>(parameters: &'a Parameters, optimizer: &'a OptimizerState) -> [Role<'a>; 3] {
    let OptimizerState { policy, value } = optimizer;
    [
        Role { prefix: "", suffix: "", policy: &parameters.policy, value: &parameters.value },
        Role {
            prefix: "optimizer.",
            suffix: ".first_moment",
            policy: &policy.first,
            value: &value.first,
        },
        Role {
            prefix: "optimizer.",
            suffix: ".second_moment",
            policy: &policy.second,
            value: &value.second,
        },
    ]
}

impl Checkpoint {
    /// The checkpoint as a file.
    ///
    /// # Errors
    /// When the checkpoint is not of this configuration.
    pub fn to_bytes(
        &self,
        config: &ValidAgentConfig,
        identity: &Identity,
    ) -> Result<Vec<u8>, CheckpointError> {
        let failed = |error: &dyn std::fmt::Display| CheckpointError::Write(error.to_string());
        let layout = Layout::new(&config.network_shape());
        let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
        for role in roles(&self.parameters, &self.optimizer) {
            for part in parts(&layout) {
                let vector = match part.group {
                    Group::Policy => role.policy,
                    Group::Value => role.value,
                };
                let values = vector.get(part.start..part.start + part.len()).ok_or_else(|| {
                    failed(&"the networks have other sizes than the configuration's")
                })?;
                let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                let name = format!("{}{}{}", role.prefix, part.name, role.suffix);
                tensors.push((name, Dtype::F32, part.shape, bytes));
            }
        }
        let of_lanes = self.lanes.iter().map(|lane| lane.observations.mean_and_scale());
        if let Some((means, scales)) = of_lanes.collect::<Option<(Vec<_>, Vec<_>)>>() {
            let shape = vec![means.len(), config.env().observation_dim];
            for (name, rows) in [("observation.mean", means), ("observation.scale", scales)] {
                let bytes = rows.into_iter().flatten().flat_map(f64::to_le_bytes).collect();
                tensors.push((name.into(), Dtype::F64, shape.clone(), bytes));
            }
        }
        let rest = Rest {
            update: self.update,
            lanes: self.lanes.clone(),
            training: self.training.clone(),
        };
        let rest = postcard::to_allocvec(&rest).map_err(|error| failed(&error))?;
        tensors.push((STATE.into(), Dtype::U8, vec![rest.len()], rest));

        let header = Header {
            sha256: NO_SHA256.into(),
            format: FORMAT,
            iterations_done: self.iterations_done,
            iterations: iterations(config),
            identity: identity.clone(),
            configuration: configuration(config),
        };
        let json = serde_json::to_string(&header).map_err(|error| failed(&error))?;
        let views = tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| {
                Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?))
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error: safetensors::SafeTensorError| failed(&error))?;
        let metadata = [(METADATA.to_owned(), json)].into_iter().collect();
        let mut bytes =
            safetensors::serialize(views, Some(metadata)).map_err(|error| failed(&error))?;
        let position = position_of(&bytes, NO_SHA256)
            .ok_or_else(|| failed(&"the checksum has no place in the header"))?;
        let sum = hexadecimal(&Sha256::digest(&bytes));
        bytes[position..position + sum.len()].copy_from_slice(sum.as_bytes());
        Ok(bytes)
    }

    /// Reads a checkpoint that an agent is to go on from, and checks that it can.
    ///
    /// # Errors
    /// When the bytes are not what was written, or belong to another agent.
    pub fn from_bytes(bytes: &[u8], spec: &AgentSpec) -> Result<Self, CheckpointError> {
        let (header, file) = open(bytes)?;
        let config = &spec.config;
        if let Some((name, value)) = configuration(config)
            .iter()
            .find(|(name, value)| header.configuration.get(*name) != Some(*value))
        {
            let found = header.configuration.get(name).map_or("missing".into(), Value::to_string);
            return Err(CheckpointError::OtherRun(format!("{name} is {found}, not {value}")));
        }
        let checkpoint = Self::parse(&header, &file, config)?;
        checkpoint.check(config)?;
        checkpoint.check_lanes(config, spec.streams)?;
        Ok(checkpoint)
    }

    fn parse(
        header: &Header,
        file: &SafeTensors<'_>,
        config: &ValidAgentConfig,
    ) -> Result<Self, CheckpointError> {
        let layout = Layout::new(&config.network_shape());
        let vectors = |prefix: &str, suffix: &str| {
            let mut policy = vec![0.0; layout.policy_len];
            let mut value = vec![0.0; layout.value_len];
            for part in parts(&layout) {
                let name = format!("{prefix}{}{suffix}", part.name);
                let tensor = tensor(file, &name)?;
                if tensor.dtype() != Dtype::F32 || tensor.shape() != part.shape {
                    return Err(CheckpointError::Content(format!(
                        "{name} is {:?} {:?} instead of F32 {:?}",
                        tensor.dtype(),
                        tensor.shape(),
                        part.shape
                    )));
                }
                let vector = match part.group {
                    Group::Policy => &mut policy,
                    Group::Value => &mut value,
                };
                let target = &mut vector[part.start..part.start + part.len()];
                let (chunks, _) = tensor.data().as_chunks::<4>();
                for (target, bytes) in target.iter_mut().zip(chunks) {
                    *target = f32::from_le_bytes(*bytes);
                }
            }
            Ok((policy, value))
        };
        let (policy, value) = vectors("", "")?;
        let first = vectors("optimizer.", ".first_moment")?;
        let second = vectors("optimizer.", ".second_moment")?;
        let (rest, left) = postcard::take_from_bytes::<Rest>(tensor(file, STATE)?.data())
            .map_err(|error| CheckpointError::Content(format!("{STATE}: {error}")))?;
        if !left.is_empty() {
            return Err(CheckpointError::Content(format!("{STATE} is too long")));
        }
        Ok(Self {
            iterations_done: header.iterations_done,
            parameters: Parameters { policy, value },
            optimizer: OptimizerState {
                policy: Moments { first: first.0, second: second.0 },
                value: Moments { first: first.1, second: second.1 },
            },
            update: rest.update,
            lanes: rest.lanes,
            training: rest.training,
        })
    }

    /// Whether the history is one of so many iterations.
    fn check(&self, config: &ValidAgentConfig) -> Result<(), CheckpointError> {
        let Self { iterations_done, training, .. } = self;
        let numbers = training.iterations.iter().map(|iteration| iteration.number);
        let stored = training.diverged.unwrap_or(*iterations_done);
        if *iterations_done > iterations(config) || stored > *iterations_done {
            let detail = format!("{iterations_done} of {} iterations", iterations(config));
            return Err(CheckpointError::Content(detail));
        }
        if !numbers.eq(0..stored) {
            return Err(CheckpointError::Content("iterations are missing".into()));
        }
        Ok(())
    }

    /// Whether the environments take their states.
    fn check_lanes(
        &self,
        config: &ValidAgentConfig,
        streams: Streams,
    ) -> Result<(), CheckpointError> {
        let unfit = |error: &dyn std::fmt::Display| CheckpointError::OtherRun(error.to_string());
        let mut agent = Agent::new(config, streams).map_err(|error| unfit(&error))?;
        agent.restore(&self.lanes).map_err(|error| unfit(&error))
    }
}

impl Header {
    /// Reads what a checkpoint says of itself, after checking that it is as it was written.
    ///
    /// # Errors
    /// When it is not, or is no checkpoint of this format.
    pub fn read(bytes: &[u8]) -> Result<Self, CheckpointError> {
        open(bytes).map(|(header, _)| header)
    }
}

/// Reads the agent of a checkpoint, from any iteration, to act with the streams of its replicate.
///
/// # Errors
/// When the bytes are not what was written, or the configuration is not valid for this version.
pub fn read_policy(bytes: &[u8], streams: Streams) -> Result<TrainedPolicy, CheckpointError> {
    let (header, file) = open(bytes)?;
    let mut config = AgentConfig::default();
    for (name, value) in &header.configuration {
        config.set(name, value).map_err(|_| {
            CheckpointError::Content(format!("this version has no flag {name} = {value}"))
        })?;
    }
    let config = config.validate().map_err(|problems| {
        let problems: Vec<String> = problems.into_iter().map(|problem| problem.message).collect();
        CheckpointError::Content(problems.join("; "))
    })?;
    let checkpoint = Checkpoint::parse(&header, &file, &config)?;
    let lane = checkpoint.lanes.into_iter().next();
    let lane = lane.ok_or_else(|| CheckpointError::Content("it has no environment".into()))?;
    Ok(TrainedPolicy {
        config,
        streams,
        parameters: checkpoint.parameters,
        observations: lane.observations,
    })
}

/// Takes a file apart after checking its checksum.
fn open(bytes: &[u8]) -> Result<(Header, SafeTensors<'_>), CheckpointError> {
    #[derive(Deserialize)]
    struct Version {
        format: u64,
    }
    let format = |error: &dyn std::fmt::Display| CheckpointError::Format(error.to_string());
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| format(&error))?;
    let json = metadata.metadata().as_ref().and_then(|entries| entries.get(METADATA));
    let json = json.ok_or_else(|| format(&"it has no metadata of ceteris"))?;
    let Version { format: found } = serde_json::from_str(json).map_err(|error| format(&error))?;
    if found != FORMAT {
        return Err(CheckpointError::Version { found });
    }
    let header: Header = serde_json::from_str(json).map_err(|error| format(&error))?;
    let position = (header.sha256.len() == NO_SHA256.len())
        .then(|| position_of(bytes, &header.sha256))
        .flatten()
        .ok_or_else(|| format(&"it has no checksum"))?;
    let mut hash = Sha256::new();
    hash.update(&bytes[..position]);
    hash.update(NO_SHA256);
    hash.update(&bytes[position + NO_SHA256.len()..]);
    let found = hexadecimal(&hash.finalize());
    if found != header.sha256 {
        return Err(CheckpointError::Damaged { recorded: header.sha256, found });
    }
    let file = SafeTensors::deserialize(bytes).map_err(|error| format(&error))?;
    Ok((header, file))
}

fn tensor<'a>(file: &SafeTensors<'a>, name: &str) -> Result<TensorView<'a>, CheckpointError> {
    file.tensor(name).map_err(|_| CheckpointError::Content(format!("it has no tensor {name}")))
}

/// Where a text first stands.
fn position_of(bytes: &[u8], text: &str) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text.as_bytes())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn iterations(config: &ValidAgentConfig) -> u32 {
    // Iterations are far fewer than 2^32.
    u32::try_from(config.iterations()).unwrap_or(u32::MAX)
}

fn configuration(config: &ValidAgentConfig) -> BTreeMap<String, Value> {
    let fields = AgentConfig::FIELDS.iter();
    fields.filter_map(|field| Some((field.name.to_owned(), config.get(field.name)?))).collect()
}
