//! The reference learner: burn autodiff, op by op, for every flag and every network.
//!
//! Flags that are numbers become tensors `[agents, 1]`; a variant that some agents choose and
//! others do not is computed for all and selected by a mask. Selection copies values exactly, so an
//! agent's numbers do not depend on its neighbours.

use burn::tensor::{Bool, DType, Device, Gradients, Int, Tensor, TensorData};

use super::config::{
    Activation, AdvantageNormalization, AgentConfig, GaussianDensity, GradientClip, Optimizer,
    StdTransform, ValueClip,
};
use super::learner::{
    Batch, CohortSpec, EpochPlan, Evaluation, Learner, LearnerError, MinibatchMetrics, Moments,
    OptimizerState, StepSize, TARGET_COLUMNS, Targets, TrustRegionPlan, TrustRegionStep, UNBOUNDED,
    minibatch_sizes,
};
use crate::device::LearnerDevice;
use crate::math;
use crate::network::{Layer, Layout, NetworkShape, Parameters, to_f32};

const LOG_2_PI: f64 = 1.837_877_066_409_345_3;
const ADAM_BETA1: f64 = 0.9;
const ADAM_BETA2: f64 = 0.999;
// Not `1.0 - ADAM_BETA2`: in single precision that is off by 5e-5.
const ADAM_ONE_MINUS_BETA1: f64 = 0.1;
const ADAM_ONE_MINUS_BETA2: f64 = 0.001;
const METRICS: usize = 8;

/// Precision of a learner's tensors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits: what studies run in.
    #[default]
    Single,
    /// 64 bits, on the host alone: what references are compared in.
    Double,
}

/// Where tensors live, and how precise they are.
#[derive(Clone)]
pub(super) struct Place {
    device: Device,
    dtype: DType,
}

impl Place {
    pub(super) fn of<const D: usize>(tensor: &Tensor<D>) -> Self {
        Self { device: tensor.device(), dtype: tensor.dtype() }
    }

    pub(super) fn tensor<const D: usize>(&self, values: Vec<f32>, dims: [usize; D]) -> Tensor<D> {
        Tensor::from_data(TensorData::new(values, dims), (&self.device, self.dtype))
    }

    /// One number an agent as `[agents, 1]`.
    pub(super) fn per_agent(&self, values: impl Iterator<Item = f32>) -> Tensor<2> {
        let values: Vec<f32> = values.collect();
        let agents = values.len();
        self.tensor(values, [agents, 1])
    }

    /// Row numbers; they stay far below 2^31, since a whole batch fits in memory.
    #[allow(clippy::cast_possible_wrap)]
    pub(super) fn rows(&self, rows: &[u32]) -> Tensor<1, Int> {
        let rows: Vec<i32> = rows.iter().map(|row| *row as i32).collect();
        let count = rows.len();
        Tensor::from_data(TensorData::new(rows, [count]), &self.device)
    }
}

/// A choice that agents of a cohort may make differently.
pub(super) struct Choice<T> {
    first: T,
    others: Vec<(T, Vec<bool>)>,
}

impl<T: Copy + PartialEq> Choice<T> {
    pub(super) fn new(configs: &[AgentConfig], level: impl Fn(&AgentConfig) -> T) -> Self {
        let levels: Vec<T> = configs.iter().map(level).collect();
        let mut seen: Vec<T> = Vec::new();
        for level in &levels {
            if !seen.contains(level) {
                seen.push(*level);
            }
        }
        let others = seen[1..]
            .iter()
            .map(|level| (*level, levels.iter().map(|other| other == level).collect()))
            .collect();
        Self { first: seen[0], others }
    }

    /// Computes each level that occurs and gives every agent its own; `[agents, ...]`.
    pub(super) fn select<const D: usize>(
        &self,
        mut compute: impl FnMut(T) -> Tensor<D>,
    ) -> Tensor<D> {
        let mut result = compute(self.first);
        for (level, agents) in &self.others {
            let other = compute(*level);
            let mask = agent_mask(agents, &other.device(), other.dims());
            result = result.mask_where(mask, other);
        }
        result
    }

    fn includes(&self, level: T) -> bool {
        self.first == level || self.others.iter().any(|(other, _)| *other == level)
    }
}

/// A mask of shape `dims` that is true where the agent on the first axis is.
pub(super) fn agent_mask<const D: usize>(
    agents: &[bool],
    device: &Device,
    dims: [usize; D],
) -> Tensor<D, Bool> {
    let mut shape = [1; D];
    shape[0] = agents.len();
    Tensor::<D, Bool>::from_data(
        TensorData::new(agents.to_vec(), shape),
        &device.clone().without_autodiff(),
    )
    .expand(dims)
}

/// One parameter vector an agent, with Adam's moments; all `[agents, parameters]`.
pub(super) struct Group {
    pub(super) parameters: Tensor<2>,
    first_moment: Tensor<2>,
    second_moment: Tensor<2>,
    epsilon: Tensor<2>,
    own_clip: Tensor<2>,
}

/// Tensors of a layer: weights `[agents, inputs, outputs]` and biases `[agents, 1, outputs]`.
pub(super) struct Affine {
    pub(super) weights: Tensor<3>,
    pub(super) biases: Tensor<3>,
}

impl Affine {
    pub(super) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        x.matmul(self.weights.clone()) + self.biases.clone()
    }
}

/// The networks of a cohort, unpacked from their parameter vectors.
pub(super) struct Networks {
    pub(super) policy_body: Vec<Affine>,
    pub(super) policy_head: Affine,
    pub(super) log_std: Option<Tensor<3>>,
    value_body: Vec<Affine>,
    value_head: Affine,
}

/// Distributions of actions, one a sample.
#[derive(Clone)]
#[allow(clippy::large_enum_variant, reason = "few exist at a time")]
pub(super) enum Distribution {
    /// Choices by their log-probabilities `[agents, batch, choices]`.
    Categorical(Tensor<3>),
    /// Independent Gaussians.
    Gaussian {
        /// `[agents, batch, dimensions]`.
        mean: Tensor<3>,
        /// `[agents, batch or 1, dimensions]`.
        log_std: Tensor<3>,
    },
}

impl Distribution {
    /// The same outside of the graph.
    pub(super) fn inner(self) -> Self {
        match self {
            Self::Categorical(log_probs) => Self::Categorical(log_probs.inner()),
            Self::Gaussian { mean, log_std } => {
                Self::Gaussian { mean: mean.inner(), log_std: log_std.inner() }
            }
        }
    }
}

/// burn autodiff over a cohort.
pub struct AutodiffLearner {
    pub(super) place: Place,
    on_host: bool,
    pub(super) agents: usize,
    pub(super) shape: NetworkShape,
    pub(super) layout: Layout,
    pub(super) configs: Vec<AgentConfig>,
    pub(super) policy: Group,
    value: Option<Group>,
    joint_clip: Tensor<2>,
    pub(super) activation: Choice<Activation>,
    pub(super) std_transform: Choice<StdTransform>,
    pub(super) density: Choice<GaussianDensity>,
    value_clip: Choice<ValueClip>,
    normalization: Choice<AdvantageNormalization>,
    optimizer: Choice<Optimizer>,
    entropy_coefficient: Tensor<2>,
    value_coefficient: Tensor<2>,
    value_clip_epsilon: Tensor<2>,
    pub(super) samples: usize,
    pub(super) features: Tensor<2>,
    extra_observations: Option<Tensor<3>>,
    pub(super) targets: Tensor<2>,
}

impl AutodiffLearner {
    /// Puts the networks of a cohort on a device.
    pub fn new(spec: &CohortSpec, device: &LearnerDevice) -> Self {
        Self::with_precision(spec, device, Precision::Single)
    }

    /// The same, in a precision of choice. What goes in and comes out is in single precision.
    pub fn with_precision(spec: &CohortSpec, device: &LearnerDevice, precision: Precision) -> Self {
        let CohortSpec { shape, configs, parameters } = spec;
        let on_host = device.is_host();
        let dtype = match precision {
            Precision::Single => DType::F32,
            Precision::Double => DType::F64,
        };
        let place = Place { device: device.burn(), dtype };
        let layout = Layout::new(shape);
        let column = |value: &dyn Fn(&AgentConfig) -> f64| {
            place.per_agent(configs.iter().map(|config| to_f32(value(config))))
        };
        let clip = |levels: &'static [GradientClip]| {
            place.per_agent(configs.iter().map(|config| {
                if levels.contains(&config.gradient_clip) {
                    to_f32(config.gradient_clip_norm)
                } else {
                    UNBOUNDED
                }
            }))
        };
        let group = |vectors: Vec<f32>, epsilon: Tensor<2>, own_clip: Tensor<2>| {
            let len = vectors.len() / configs.len();
            let parameters = place.tensor(vectors, [configs.len(), len]);
            Group {
                first_moment: parameters.zeros_like(),
                second_moment: parameters.zeros_like(),
                parameters,
                epsilon,
                own_clip,
            }
        };
        let policy = group(
            parameters.iter().flat_map(|agent| agent.policy.iter().copied()).collect(),
            column(&|config| config.policy_adam_epsilon),
            clip(&[GradientClip::Policy, GradientClip::Each]),
        );
        let value = (!shape.shared).then(|| {
            group(
                parameters.iter().flat_map(|agent| agent.value.iter().copied()).collect(),
                column(&|config| config.value_adam_epsilon),
                clip(&[GradientClip::Value, GradientClip::Each]),
            )
        });
        let empty = place.tensor(vec![0.0], [1, 1]);
        Self {
            on_host,
            agents: configs.len(),
            layout,
            policy,
            value,
            joint_clip: clip(&[GradientClip::Joint]),
            activation: Choice::new(configs, |config| config.activation),
            std_transform: Choice::new(configs, |config| config.std_transform),
            density: Choice::new(configs, |config| config.gaussian_density),
            value_clip: Choice::new(configs, |config| config.value_clip),
            normalization: Choice::new(configs, |config| config.advantage_normalization),
            optimizer: Choice::new(configs, |config| config.optimizer),
            entropy_coefficient: column(&|config| config.entropy_coefficient),
            value_coefficient: column(&|config| config.value_coefficient),
            value_clip_epsilon: column(&|config| config.value_clip_epsilon),
            samples: 0,
            features: empty.clone(),
            extra_observations: None,
            targets: empty,
            shape: shape.clone(),
            configs: configs.clone(),
            place,
        }
    }

    /// Cuts a parameter vector into layers, each a leaf of the graph if `track`.
    fn leaves(&self, group: &Group, layers: &[Layer], track: bool) -> Vec<Affine> {
        let leaf = |tensor: Tensor<3>| {
            if track { tensor.autodiff().require_grad() } else { tensor }
        };
        layers
            .iter()
            .map(|layer| {
                let Affine { weights, biases } = cut(&group.parameters, layer);
                Affine { weights: leaf(weights), biases: leaf(biases) }
            })
            .collect()
    }

    pub(super) fn networks(&self, track_policy: bool, track_value: bool) -> Networks {
        let Layout { policy_body, policy_head, log_std, value_body, value_head, .. } = &self.layout;
        let mut policy = self.leaves(&self.policy, policy_body, track_policy);
        policy.extend(self.leaves(&self.policy, std::slice::from_ref(policy_head), track_policy));
        let (start, len) = *log_std;
        let log_std = (len > 0).then(|| {
            let tensor = self
                .policy
                .parameters
                .clone()
                .slice([0..self.agents, start..start + len])
                .reshape([self.agents, 1, len]);
            if track_policy { tensor.autodiff().require_grad() } else { tensor }
        });
        let value_group = self.value.as_ref().unwrap_or(&self.policy);
        let mut value = self.leaves(value_group, value_body, track_value);
        value.extend(self.leaves(value_group, std::slice::from_ref(value_head), track_value));
        // Each list ends with the head that was just pushed.
        let (policy_head, value_head) = (policy.pop(), value.pop());
        let (Some(policy_head), Some(value_head)) = (policy_head, value_head) else {
            unreachable!("a layout always has both heads")
        };
        Networks { policy_body: policy, policy_head, log_std, value_body: value, value_head }
    }

    fn hidden(&self, body: &[Affine], observations: Tensor<3>) -> Tensor<3> {
        body.iter().fold(observations, |x, layer| self.activated(layer.forward(x)))
    }

    pub(super) fn activated(&self, x: Tensor<3>) -> Tensor<3> {
        self.activation.select(|activation| self.activate(activation, x.clone()))
    }

    fn activate(&self, activation: Activation, x: Tensor<3>) -> Tensor<3> {
        match activation {
            Activation::Tanh if self.on_host => host_tanh(x),
            Activation::Tanh => x.tanh(),
            Activation::Relu => burn::tensor::activation::relu(x),
            Activation::LeakyRelu => burn::tensor::activation::leaky_relu(x, 0.01),
            Activation::Elu => burn::tensor::activation::elu(x, 1.0),
        }
    }

    /// The policy head's outputs, and the common body's features where networks are shared.
    pub(super) fn policy_outputs(
        &self,
        networks: &Networks,
        observations: Tensor<3>,
    ) -> (Tensor<3>, Tensor<3>) {
        let [agents, batch, stored] = observations.dims();
        let seen = if stored == self.shape.observation_dim {
            observations
        } else {
            observations.slice([0..agents, 0..batch, 0..self.shape.observation_dim])
        };
        let features = self.hidden(&networks.policy_body, seen);
        (networks.policy_head.forward(features.clone()), features)
    }

    /// The value head's outputs `[agents, batch]`.
    fn value_outputs(&self, networks: &Networks, observations: Tensor<3>) -> Tensor<2> {
        let features = if self.shape.shared {
            self.hidden(&networks.policy_body, observations)
        } else {
            self.hidden(&networks.value_body, observations)
        };
        self.value_of(networks, features)
    }

    fn value_of(&self, networks: &Networks, features: Tensor<3>) -> Tensor<2> {
        let [agents, batch, _] = features.dims();
        networks.value_head.forward(features).reshape([agents, batch])
    }

    /// The distributions that the policy head's outputs stand for.
    pub(super) fn distribution(&self, networks: &Networks, outputs: Tensor<3>) -> Distribution {
        let Some(parameter) = &networks.log_std else {
            return Distribution::Categorical(burn::tensor::activation::log_softmax(outputs, 2));
        };
        let (mean, raw) = self.mean_and_raw_std(outputs, parameter);
        let log_std = self.std_transform.select(|transform| match transform {
            StdTransform::Exp => raw.clone(),
            StdTransform::Softplus => raw.clone().exp().log1p().log(),
        });
        Distribution::Gaussian { mean, log_std }
    }

    /// Means, and log-stds before their transform.
    pub(super) fn mean_and_raw_std(
        &self,
        outputs: Tensor<3>,
        parameter: &Tensor<3>,
    ) -> (Tensor<3>, Tensor<3>) {
        if !self.shape.state_dependent_std {
            return (outputs, parameter.clone());
        }
        let [agents, batch, _] = outputs.dims();
        let dim = self.shape.action_dim;
        let second = outputs.clone().slice([0..agents, 0..batch, dim..2 * dim]);
        (outputs.slice([0..agents, 0..batch, 0..dim]), second + parameter.clone())
    }

    /// Log-densities `[agents, batch]` of actions `[agents, batch, action_dim]`.
    pub(super) fn log_probs(&self, distribution: &Distribution, actions: Tensor<3>) -> Tensor<2> {
        let [agents, batch, dim] = actions.dims();
        match distribution {
            Distribution::Categorical(log_probs) => {
                (log_probs.clone() * actions).sum_dim(2).reshape([agents, batch])
            }
            Distribution::Gaussian { mean, log_std } => {
                let inverse = log_std.clone().neg().exp();
                let distance = actions - mean.clone();
                let squares = self.density.select(|density| {
                    let scaled = distance.clone() * inverse.clone();
                    match density {
                        GaussianDensity::Exact => scaled.clone() * scaled,
                        GaussianDensity::Submission => scaled * distance.clone(),
                    }
                });
                squares.sum_dim(2).reshape([agents, batch]).mul_scalar(-0.5)
                    - sum_over_dimensions(log_std)
                    - half_log_2_pi(dim)
            }
        }
    }

    /// Mean entropy over the batch, `[agents, 1]`.
    pub(super) fn entropy(distribution: &Distribution) -> Tensor<2> {
        match distribution {
            Distribution::Categorical(log_probs) => {
                let [agents, batch, _] = log_probs.dims();
                let entropy = (log_probs.clone().exp() * log_probs.clone()).sum_dim(2).neg();
                entropy.reshape([agents, batch]).mean_dim(1)
            }
            Distribution::Gaussian { log_std, .. } => {
                let dim = log_std.dims()[2];
                // Actions have few dimensions.
                #[allow(clippy::cast_precision_loss)]
                let half_dims = 0.5 * dim as f64;
                sum_over_dimensions(log_std).mean_dim(1) + (half_log_2_pi(dim) + half_dims)
            }
        }
    }

    /// Observations `[agents, samples, stored]` and actions `[agents, samples, action_dim]` of the
    /// whole batch.
    pub(super) fn batch(&self) -> (Tensor<3>, Tensor<3>) {
        let (agents, samples) = (self.agents, self.samples);
        let stored = self.shape.stored_observation_dim();
        let width = stored + self.shape.action_dim;
        let features = self.features.clone().reshape([agents, samples, width]);
        let observations = features.clone().slice([0..agents, 0..samples, 0..stored]);
        (observations, features.slice([0..agents, 0..samples, stored..width]))
    }

    /// Advantages `[agents, batch]` as the surrogate objective takes them.
    pub(super) fn normalized(&self, advantages: Tensor<2>) -> Tensor<2> {
        self.normalization.select(|normalization| match normalization {
            AdvantageNormalization::Minibatch => standardize(advantages.clone()),
            _ => advantages.clone(),
        })
    }

    /// The value loss of each agent `[agents, 1]`.
    fn value_loss(
        &self,
        values: Tensor<2>,
        target: Tensor<2>,
        old: Tensor<2>,
        weight: Tensor<2>,
    ) -> Tensor<2> {
        let error = values.clone() - target.clone();
        let clipped_error = (self.value_clip.includes(ValueClip::Max)
            || self.value_clip.includes(ValueClip::Min)
            || self.value_clip.includes(ValueClip::SquareAfterMax))
        .then(|| {
            let bound = self.value_clip_epsilon.clone().expand(values.dims());
            let moved = clamp(values.clone() - old.clone(), bound.clone().neg(), bound);
            old + moved - target
        });
        let square = |x: Tensor<2>| x.clone() * x;
        let losses = self.value_clip.select(|variant| {
            let Some(clipped) = clipped_error.clone() else { return square(error.clone()) };
            match variant {
                ValueClip::None => square(error.clone()),
                ValueClip::Max => square(error.clone()).max_pair(square(clipped)),
                ValueClip::Min => square(error.clone()).min_pair(square(clipped)),
                ValueClip::SquareAfterMax => square(error.clone().max_pair(clipped)),
            }
        });
        let count = weight.clone().sum_dim(1).clamp_min(1.0);
        (losses * weight).sum_dim(1) / count
    }

    fn minibatch(
        &mut self,
        plan: &EpochPlan<'_>,
        rows: &[u32],
        batch: usize,
        policy_step: &[StepSize],
        value_step: &[StepSize],
    ) -> Tensor<2> {
        let agents = self.agents;
        let stored = self.shape.stored_observation_dim();
        let rows = self.place.rows(rows);
        let features = self.features.clone().select(0, rows.clone()).reshape([
            agents,
            batch,
            stored + self.shape.action_dim,
        ]);
        let observations = features.clone().slice([0..agents, 0..batch, 0..stored]);
        let targets = self.targets.clone().select(0, rows).reshape([agents, batch, TARGET_COLUMNS]);
        let column = |index: usize| {
            targets.clone().slice([0..agents, 0..batch, index..index + 1]).reshape([agents, batch])
        };
        let phase = plan.phase;
        let networks = self.networks(phase.has_policy(), phase.has_value());
        let not_updated = || self.place.tensor(vec![f32::NAN; agents], [agents, 1]);

        let mut loss: Option<Tensor<2>> = None;
        let mut shared_features = None;
        let mut columns = Vec::with_capacity(METRICS);
        let mut value_loss_metric = not_updated();
        if phase.has_policy() {
            let actions =
                features.slice([0..agents, 0..batch, stored..stored + self.shape.action_dim]);
            let (outputs, body) = self.policy_outputs(&networks, observations.clone());
            shared_features = Some(body);
            let distribution = self.distribution(&networks, outputs);
            let entropy = Self::entropy(&distribution);
            let log_ratio = self.log_probs(&distribution, actions) - column(4);
            let ratio = log_ratio.clone().exp();
            let advantages = self.normalized(column(0));
            let bound = |pick: &dyn Fn(&(f32, f32)) -> f32| {
                self.place.per_agent(plan.ratio_bounds.iter().map(pick)).expand([agents, batch])
            };
            let (low, high) = (bound(&|bounds| bounds.0), bound(&|bounds| bounds.1));
            let clipped = clamp(ratio.clone(), low.clone(), high.clone()) * advantages.clone();
            let policy_loss = (ratio.clone() * advantages).min_pair(clipped).mean_dim(1).neg();

            let (plain_ratio, plain_log) = (ratio.inner(), log_ratio.inner());
            let outside =
                plain_ratio.clone().lower(low).float() + plain_ratio.clone().greater(high).float();
            columns.extend([
                policy_loss.clone().inner(),
                entropy.clone().inner(),
                ((plain_ratio.clone() - 1.0) - plain_log).mean_dim(1),
                plain_ratio.max_dim(1),
                outside.mean_dim(1),
            ]);
            loss = Some(policy_loss - entropy * self.entropy_coefficient.clone());
        } else {
            columns.extend((0..5).map(|_| not_updated()));
        }
        if phase.has_value() {
            let values = match shared_features {
                Some(body) if self.shape.shared => self.value_of(&networks, body),
                _ => self.value_outputs(&networks, observations),
            };
            let value_loss = self.value_loss(values, column(1), column(2), column(3));
            value_loss_metric = value_loss.clone().inner();
            let weighted = value_loss * self.value_coefficient.clone();
            loss = Some(match loss {
                Some(policy) => policy + weighted,
                None => weighted,
            });
        }
        columns.insert(1, value_loss_metric);

        let Some(loss) = loss else { unreachable!("every phase updates something") };
        let mut gradients = loss.sum().backward();
        let Networks { policy_body, policy_head, log_std, value_body, value_head } = networks;
        let mut policy_parts: Vec<Tensor<3>> = Vec::new();
        if phase.has_policy() {
            policy_parts.extend(parts(policy_body, policy_head));
            policy_parts.extend(log_std);
        }
        let mut value_parts: Vec<Tensor<3>> = Vec::new();
        if phase.has_value() {
            value_parts.extend(parts(value_body, value_head));
        }
        if self.shape.shared {
            policy_parts.append(&mut value_parts);
        }
        let mut pull = |parts: Vec<Tensor<3>>| {
            (!parts.is_empty()).then(|| gradient_vector(parts, &mut gradients))
        };
        let (policy_gradient, value_gradient) = (pull(policy_parts), pull(value_parts));

        let square_norm = |gradient: &Tensor<2>| dot(gradient, gradient);
        let policy_square = policy_gradient.as_ref().map(square_norm);
        let value_square = value_gradient.as_ref().map(square_norm);
        let joint_square = match (policy_square.clone(), value_square.clone()) {
            (Some(policy), Some(value)) => policy + value,
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => unreachable!("every phase updates something"),
        };
        let joint = joint_square.sqrt();
        let frozen: Option<Vec<bool>> = plan
            .active
            .iter()
            .any(|active| !active)
            .then(|| plan.active.iter().map(|active| !active).collect());
        for (gradient, square, group, step) in [
            (policy_gradient, policy_square, Some(&mut self.policy), policy_step),
            (value_gradient, value_square, self.value.as_mut(), value_step),
        ] {
            let (Some(gradient), Some(square), Some(group)) = (gradient, square, group) else {
                columns.push(not_updated());
                continue;
            };
            let norm = square.sqrt();
            columns.push(norm.clone());
            let coefficient = clip_coefficient(&group.own_clip, norm)
                .min_pair(clip_coefficient(&self.joint_clip, joint.clone()));
            group.step(gradient * coefficient, step, &self.optimizer, frozen.as_deref());
        }
        Tensor::cat(columns, 1)
    }
}

impl Group {
    /// One optimiser step from clipped gradients `[agents, parameters]`.
    fn step(
        &mut self,
        gradient: Tensor<2>,
        steps: &[StepSize],
        optimizer: &Choice<Optimizer>,
        frozen: Option<&[bool]>,
    ) {
        let place = Place::of(&gradient);
        let scale = place.per_agent(steps.iter().map(|step| step.scale));
        let root_scale = place.per_agent(steps.iter().map(|step| step.root_scale));
        let first = self.first_moment.clone().mul_scalar(ADAM_BETA1)
            + gradient.clone().mul_scalar(ADAM_ONE_MINUS_BETA1);
        let second = self.second_moment.clone().mul_scalar(ADAM_BETA2)
            + (gradient.clone() * gradient.clone()).mul_scalar(ADAM_ONE_MINUS_BETA2);
        let direction = optimizer.select(|optimizer| match optimizer {
            Optimizer::Adam => {
                first.clone() / (second.clone().sqrt() * root_scale.clone() + self.epsilon.clone())
            }
            Optimizer::Sgd => gradient.clone(),
        });
        let moved = self.parameters.clone() - direction * scale;
        let keep = |new: Tensor<2>, old: &Tensor<2>| match frozen {
            None => new,
            Some(frozen) => {
                let mask = agent_mask(frozen, &place.device, new.dims());
                new.mask_where(mask, old.clone())
            }
        };
        self.parameters = keep(moved, &self.parameters);
        self.first_moment = keep(first, &self.first_moment);
        self.second_moment = keep(second, &self.second_moment);
    }
}

impl Learner for AutodiffLearner {
    fn load(&mut self, batch: Batch) {
        let stored = self.shape.stored_observation_dim();
        let width = stored + self.shape.action_dim;
        self.samples = batch.samples;
        self.features = self.place.tensor(batch.features, [self.agents * batch.samples, width]);
        self.extra_observations =
            Some(self.place.tensor(batch.extra_observations, [self.agents, batch.extra, stored]));
    }

    fn evaluate(&mut self) -> Result<Evaluation, LearnerError> {
        let networks = self.networks(false, false);
        let (observations, actions) = self.batch();
        let (outputs, body) = self.policy_outputs(&networks, observations.clone());
        let log_probs = self.log_probs(&self.distribution(&networks, outputs), actions);
        let values = if self.shape.shared {
            self.value_of(&networks, body)
        } else {
            self.value_outputs(&networks, observations)
        };
        let extra_values = match &self.extra_observations {
            Some(extra) => read(self.value_outputs(&networks, extra.clone()), "reading values")?,
            None => Vec::new(),
        };
        Ok(Evaluation {
            values: read(values, "reading values")?,
            extra_values,
            log_probs: read(log_probs, "reading log-densities")?,
        })
    }

    fn set_targets(&mut self, targets: Targets) {
        self.targets = self.place.tensor(targets.0, [self.agents * self.samples, TARGET_COLUMNS]);
    }

    fn epoch(&mut self, plan: &EpochPlan<'_>) -> Result<Vec<Vec<MinibatchMetrics>>, LearnerError> {
        let mut metrics = Vec::with_capacity(plan.minibatches);
        let mut start = 0;
        let mut rows = Vec::new();
        for (index, size) in minibatch_sizes(self.samples, plan.minibatches).enumerate() {
            rows.clear();
            for (agent, permutation) in plan.permutations.iter().enumerate() {
                // Bounded by the batch, see `minibatch`.
                #[allow(clippy::cast_possible_truncation)]
                let offset = (agent * self.samples) as u32;
                rows.extend(permutation[start..start + size].iter().map(|row| offset + row));
            }
            start += size;
            metrics.push(self.minibatch(
                plan,
                &rows,
                size,
                &plan.policy_steps[index],
                &plan.value_steps[index],
            ));
        }
        // [agents, minibatches * METRICS], read once an epoch.
        let flat = read(Tensor::cat(metrics, 1), "reading metrics")?;
        Ok((0..plan.minibatches)
            .map(|index| {
                (0..self.agents)
                    .map(|agent| {
                        let start = (agent * plan.minibatches + index) * METRICS;
                        metrics_of(&flat[start..start + METRICS])
                    })
                    .collect()
            })
            .collect())
    }

    fn trust_region_step(
        &mut self,
        plan: &TrustRegionPlan<'_>,
    ) -> Result<Vec<TrustRegionStep>, LearnerError> {
        self.step_in_trust_region(plan)
    }

    fn parameters(&mut self) -> Result<Vec<Parameters>, LearnerError> {
        let policy = read(self.policy.parameters.clone(), "reading parameters")?;
        let value = match &self.value {
            Some(group) => read(group.parameters.clone(), "reading parameters")?,
            None => Vec::new(),
        };
        let (policy_len, value_len) = (self.layout.policy_len, self.layout.value_len);
        Ok((0..self.agents)
            .map(|agent| Parameters {
                policy: row(&policy, agent, policy_len),
                value: row(&value, agent, value_len),
            })
            .collect())
    }

    fn optimizer_states(&mut self) -> Result<Vec<OptimizerState>, LearnerError> {
        let moments = |group: &Group| {
            let first = read(group.first_moment.clone(), "reading moments")?;
            let second = read(group.second_moment.clone(), "reading moments")?;
            Ok((first, second))
        };
        let of = |(first, second): &(Vec<f32>, Vec<f32>), agent, len| Moments {
            first: row(first, agent, len),
            second: row(second, agent, len),
        };
        let policy = moments(&self.policy)?;
        let value = self.value.as_ref().map(moments).transpose()?.unwrap_or_default();
        Ok((0..self.agents)
            .map(|agent| OptimizerState {
                policy: of(&policy, agent, self.layout.policy_len),
                value: of(&value, agent, self.layout.value_len),
            })
            .collect())
    }

    fn set_optimizer_states(&mut self, states: &[OptimizerState]) {
        let (place, agents) = (&self.place, self.agents);
        let set = |group: &mut Group, len: usize, of: fn(&OptimizerState) -> &Moments| {
            let gather = |pick: fn(&Moments) -> &Vec<f32>| {
                let values = states.iter().flat_map(|state| pick(of(state)).iter().copied());
                place.tensor(values.collect(), [agents, len])
            };
            group.first_moment = gather(|moments| &moments.first);
            group.second_moment = gather(|moments| &moments.second);
        };
        set(&mut self.policy, self.layout.policy_len, |state| &state.policy);
        if let Some(value) = &mut self.value {
            set(value, self.layout.value_len, |state| &state.value);
        }
    }
}

/// One row of a matrix `[agents, parameters]`.
fn row(values: &[f32], agent: usize, len: usize) -> Vec<f32> {
    values[agent * len..(agent + 1) * len].to_vec()
}

fn metrics_of(values: &[f32]) -> MinibatchMetrics {
    MinibatchMetrics {
        policy_loss: values[0],
        value_loss: values[1],
        entropy: values[2],
        approximate_kl: values[3],
        max_ratio: values[4],
        clip_fraction: values[5],
        policy_gradient_norm: values[6],
        value_gradient_norm: values[7],
    }
}

/// Layers of a parameter vector `[agents, parameters]`.
pub(super) fn cut(vector: &Tensor<2>, layer: &Layer) -> Affine {
    let agents = vector.dims()[0];
    let part = |start: usize, rows: usize, columns: usize| {
        vector
            .clone()
            .slice([0..agents, start..start + rows * columns])
            .reshape([agents, rows, columns])
    };
    Affine {
        weights: part(layer.weights, layer.inputs, layer.outputs),
        biases: part(layer.biases, 1, layer.outputs),
    }
}

/// Tensors of a network in the order of its parameter vector.
pub(super) fn parts(body: Vec<Affine>, head: Affine) -> impl Iterator<Item = Tensor<3>> {
    body.into_iter().chain([head]).flat_map(|layer| [layer.weights, layer.biases])
}

/// Gradients of leaves as one vector `[agents, parameters]`.
pub(super) fn gradient_vector(leaves: Vec<Tensor<3>>, gradients: &mut Gradients) -> Tensor<2> {
    let flat = leaves
        .into_iter()
        .map(|leaf| {
            let [agents, rows, columns] = leaf.dims();
            let gradient =
                leaf.grad_remove(gradients).unwrap_or_else(|| leaf.clone().inner().zeros_like());
            gradient.reshape([agents, rows * columns])
        })
        .collect();
    Tensor::cat(flat, 1)
}

/// Inner product of each agent's vectors, `[agents, 1]`.
pub(super) fn dot(a: &Tensor<2>, b: &Tensor<2>) -> Tensor<2> {
    (a.clone() * b.clone()).sum_dim(1)
}

/// Sum over the dimensions of actions, `[agents, batch or 1]`.
fn sum_over_dimensions(x: &Tensor<3>) -> Tensor<2> {
    let [agents, rows, _] = x.dims();
    x.clone().sum_dim(2).reshape([agents, rows])
}

/// The constant of the normal density, for all dimensions together.
fn half_log_2_pi(dim: usize) -> f64 {
    // Actions have few dimensions.
    #[allow(clippy::cast_precision_loss)]
    let dim = dim as f64;
    0.5 * LOG_2_PI * dim
}

pub(super) fn read<const D: usize>(
    tensor: Tensor<D>,
    doing: &'static str,
) -> Result<Vec<f32>, LearnerError> {
    let failed = |reason: String| LearnerError { doing, reason };
    let data = tensor.inner().try_into_data().map_err(|error| failed(format!("{error:?}")))?;
    data.convert::<f32>().try_into_vec::<f32>().map_err(|error| failed(format!("{error:?}")))
}

/// Clamps between tensors of the same shape; the gradient passes inside and at the bounds.
fn clamp<const D: usize>(x: Tensor<D>, low: Tensor<D>, high: Tensor<D>) -> Tensor<D> {
    x.max_pair(low).min_pair(high)
}

/// (x - mean) / (std + 1e-8) over the second axis, with the unbiased std.
fn standardize(x: Tensor<2>) -> Tensor<2> {
    #[allow(clippy::cast_precision_loss)]
    let degrees = (x.dims()[1] - 1) as f64;
    let centred = x.clone() - x.mean_dim(1);
    let variance = (centred.clone() * centred.clone()).sum_dim(1).div_scalar(degrees);
    centred / (variance.sqrt() + 1e-8)
}

/// Factor that brings a norm down to its bound (PyTorch's `clip_grad_norm_`).
fn clip_coefficient(bound: &Tensor<2>, norm: Tensor<2>) -> Tensor<2> {
    (bound.clone() / (norm + 1e-6)).clamp_max(1.0)
}

/// tanh by [`math::tanh`], several times faster than the scalar library call that `flex` makes.
///
/// The value is a constant of the graph, and the derivative enters as the factor of a term that is
/// exactly zero.
fn host_tanh(x: Tensor<3>) -> Tensor<3> {
    let dims = x.dims();
    let tracked = x.is_autodiff();
    let device = x.device().without_autodiff();
    let plain = x.clone().inner();
    let data = plain.clone().into_data();
    let Ok(input) = data.as_slice::<f32>() else { return x.tanh() };
    let value = math::tanh_all(input);
    if !tracked {
        return Tensor::from_data(TensorData::new(value, dims), &device);
    }
    let derivative = math::tanh_derivative_all(&value);
    let value = Tensor::<3>::from_data(TensorData::new(value, dims), &device);
    let derivative = Tensor::<3>::from_data(TensorData::new(derivative, dims), &device);
    (x - plain) * derivative + value
}
