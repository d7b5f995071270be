//! The reference learner: burn autodiff, op by op, for every flag and every network.
//!
//! Flags that are numbers become tensors `[agents, 1]`; a variant that some agents choose and
//! others do not is computed for all and selected by a mask. Selection copies values exactly, so an
//! agent's numbers do not depend on its neighbours.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::config::{
    Activation, AdvantageNormalization, AgentConfig, GaussianDensity, GradientClip, Optimizer,
    StdTransform, ValueClip,
};
use super::learner::{
    Batch, CohortSpec, EpochPlan, Evaluation, Learner, LearnerError, MinibatchMetrics, StepSize,
    TARGET_COLUMNS, Targets, UNBOUNDED, minibatch_sizes,
};
use crate::device::LearnerDevice;
use crate::math;
use crate::network::{Layer, Layout, NetworkShape, Parameters, to_f32};

const LOG_2_PI: f64 = 1.837_877_066_409_345_3;
const ADAM_BETA1: f32 = 0.9;
const ADAM_BETA2: f32 = 0.999;
// Not `1.0 - ADAM_BETA2`: in single precision that is off by 5e-5.
const ADAM_ONE_MINUS_BETA1: f32 = 0.1;
const ADAM_ONE_MINUS_BETA2: f32 = 0.001;
const METRICS: usize = 8;

/// A choice that agents of a cohort may make differently.
struct Choice<T> {
    first: T,
    others: Vec<(T, Vec<bool>)>,
}

impl<T: Copy + PartialEq> Choice<T> {
    fn new(configs: &[AgentConfig], level: impl Fn(&AgentConfig) -> T) -> Self {
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
    fn select<const D: usize>(&self, mut compute: impl FnMut(T) -> Tensor<D>) -> Tensor<D> {
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
fn agent_mask<const D: usize>(
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
struct Group {
    parameters: Tensor<2>,
    first_moment: Tensor<2>,
    second_moment: Tensor<2>,
    epsilon: Tensor<2>,
    own_clip: Tensor<2>,
}

/// Tensors of a layer: weights `[agents, inputs, outputs]` and biases `[agents, 1, outputs]`.
struct Affine {
    weights: Tensor<3>,
    biases: Tensor<3>,
}

impl Affine {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        x.matmul(self.weights.clone()) + self.biases.clone()
    }
}

/// The networks of a cohort, unpacked from their parameter vectors.
struct Networks {
    policy_body: Vec<Affine>,
    policy_head: Affine,
    log_std: Option<Tensor<3>>,
    value_body: Vec<Affine>,
    value_head: Affine,
}

/// Log-density and entropy of a batch of actions.
struct ActionTerms {
    /// `[agents, batch]`.
    log_probs: Tensor<2>,
    /// Mean over the batch, `[agents, 1]`.
    entropy: Tensor<2>,
}

/// burn autodiff over a cohort.
pub struct AutodiffLearner {
    device: Device,
    on_host: bool,
    agents: usize,
    shape: NetworkShape,
    layout: Layout,
    policy: Group,
    value: Option<Group>,
    joint_clip: Tensor<2>,
    activation: Choice<Activation>,
    std_transform: Choice<StdTransform>,
    density: Choice<GaussianDensity>,
    value_clip: Choice<ValueClip>,
    normalization: Choice<AdvantageNormalization>,
    optimizer: Choice<Optimizer>,
    entropy_coefficient: Tensor<2>,
    value_coefficient: Tensor<2>,
    value_clip_epsilon: Tensor<2>,
    samples: usize,
    features: Tensor<2>,
    extra_observations: Option<Tensor<3>>,
    targets: Tensor<2>,
}

impl AutodiffLearner {
    /// Puts the networks of a cohort on a device.
    pub fn new(spec: &CohortSpec, device: &LearnerDevice) -> Self {
        let CohortSpec { shape, configs, parameters } = spec;
        let on_host = device.is_host();
        let device = device.burn();
        let layout = Layout::new(shape);
        let column = |value: &dyn Fn(&AgentConfig) -> f64| {
            per_agent(configs.iter().map(|config| to_f32(value(config))), &device)
        };
        let clip = |levels: &'static [GradientClip]| {
            per_agent(
                configs.iter().map(|config| {
                    if levels.contains(&config.gradient_clip) {
                        to_f32(config.gradient_clip_norm)
                    } else {
                        UNBOUNDED
                    }
                }),
                &device,
            )
        };
        let group = |vectors: Vec<f32>, epsilon: Tensor<2>, own_clip: Tensor<2>| {
            let len = vectors.len() / configs.len();
            let parameters =
                Tensor::<2>::from_data(TensorData::new(vectors, [configs.len(), len]), &device);
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
        let empty = Tensor::<2>::empty([1, 1], &device);
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
            device,
        }
    }

    /// Cuts a parameter vector into layers, each a leaf of the graph if `track`.
    fn leaves(&self, group: &Group, layers: &[Layer], track: bool) -> Vec<Affine> {
        let cut = |start: usize, rows: usize, columns: usize| {
            let tensor = group
                .parameters
                .clone()
                .slice([0..self.agents, start..start + rows * columns])
                .reshape([self.agents, rows, columns]);
            if track { tensor.autodiff().require_grad() } else { tensor }
        };
        layers
            .iter()
            .map(|layer| Affine {
                weights: cut(layer.weights, layer.inputs, layer.outputs),
                biases: cut(layer.biases, 1, layer.outputs),
            })
            .collect()
    }

    fn networks(&self, track_policy: bool, track_value: bool) -> Networks {
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
        body.iter().fold(observations, |x, layer| {
            let x = layer.forward(x);
            self.activation.select(|activation| self.activate(activation, x.clone()))
        })
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
    fn policy_outputs(
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

    /// Log-densities of actions `[agents, batch, action_dim]` under the head's outputs.
    fn action_terms(
        &self,
        networks: &Networks,
        outputs: Tensor<3>,
        actions: Tensor<3>,
    ) -> ActionTerms {
        let [agents, batch, _] = outputs.dims();
        let dim = self.shape.action_dim;
        let Some(parameter) = &networks.log_std else {
            let log_softmax = burn::tensor::activation::log_softmax(outputs, 2);
            let log_probs = (log_softmax.clone() * actions).sum_dim(2).reshape([agents, batch]);
            let entropy = (log_softmax.clone().exp() * log_softmax).sum_dim(2).neg();
            return ActionTerms {
                log_probs,
                entropy: entropy.reshape([agents, batch]).mean_dim(1),
            };
        };
        let (mean, raw) = if self.shape.state_dependent_std {
            let second = outputs.clone().slice([0..agents, 0..batch, dim..2 * dim]);
            (outputs.slice([0..agents, 0..batch, 0..dim]), second + parameter.clone())
        } else {
            (outputs, parameter.clone())
        };
        let log_std = self.std_transform.select(|transform| match transform {
            StdTransform::Exp => raw.clone(),
            StdTransform::Softplus => raw.clone().exp().log1p().log(),
        });
        let inverse = log_std.clone().neg().exp();
        let distance = actions - mean;
        let squares = self.density.select(|density| {
            let scaled = distance.clone() * inverse.clone();
            match density {
                GaussianDensity::Exact => scaled.clone() * scaled,
                GaussianDensity::Submission => scaled * distance.clone(),
            }
        });
        // Constants of the normal density, for all dimensions together.
        #[allow(clippy::cast_precision_loss)]
        let constant = 0.5 * LOG_2_PI * dim as f64;
        #[allow(clippy::cast_precision_loss)]
        let half_dims = 0.5 * dim as f64;
        let rows = log_std.dims()[1];
        let sum_log_std = log_std.sum_dim(2).reshape([agents, rows]);
        let log_probs = squares.sum_dim(2).reshape([agents, batch]).mul_scalar(-0.5)
            - sum_log_std.clone()
            - constant;
        let entropy = sum_log_std.mean_dim(1) + (constant + half_dims);
        ActionTerms { log_probs, entropy }
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
        // Row numbers stay far below 2^31: the whole batch fits in memory.
        #[allow(clippy::cast_possible_wrap)]
        let rows: Vec<i32> = rows.iter().map(|row| *row as i32).collect();
        let count = rows.len();
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [count]), &self.device);
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
        let not_updated = || Tensor::<2>::full([agents, 1], f32::NAN, &self.device);

        let mut loss: Option<Tensor<2>> = None;
        let mut shared_features = None;
        let mut columns = Vec::with_capacity(METRICS);
        let mut value_loss_metric = not_updated();
        if phase.has_policy() {
            let actions =
                features.slice([0..agents, 0..batch, stored..stored + self.shape.action_dim]);
            let (outputs, body) = self.policy_outputs(&networks, observations.clone());
            shared_features = Some(body);
            let terms = self.action_terms(&networks, outputs, actions);
            let log_ratio = terms.log_probs - column(4);
            let ratio = log_ratio.clone().exp();
            let advantages = self.normalization.select(|normalization| match normalization {
                AdvantageNormalization::Minibatch => standardize(column(0)),
                _ => column(0),
            });
            let bound = |pick: &dyn Fn(&(f32, f32)) -> f32| {
                per_agent(plan.ratio_bounds.iter().map(pick), &self.device).expand([agents, batch])
            };
            let (low, high) = (bound(&|bounds| bounds.0), bound(&|bounds| bounds.1));
            let clipped = clamp(ratio.clone(), low.clone(), high.clone()) * advantages.clone();
            let policy_loss = (ratio.clone() * advantages).min_pair(clipped).mean_dim(1).neg();

            let (plain_ratio, plain_log) = (ratio.inner(), log_ratio.inner());
            let outside =
                plain_ratio.clone().lower(low).float() + plain_ratio.clone().greater(high).float();
            columns.extend([
                policy_loss.clone().inner(),
                terms.entropy.clone().inner(),
                ((plain_ratio.clone() - 1.0) - plain_log).mean_dim(1),
                plain_ratio.max_dim(1),
                outside.mean_dim(1),
            ]);
            loss = Some(policy_loss - terms.entropy * self.entropy_coefficient.clone());
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
        let mut pull = |parts: Vec<Tensor<3>>| {
            let flat = parts
                .into_iter()
                .map(|leaf| {
                    let len = leaf.dims()[1] * leaf.dims()[2];
                    let gradient = leaf
                        .grad_remove(&mut gradients)
                        .unwrap_or_else(|| leaf.clone().inner().zeros_like());
                    gradient.reshape([agents, len])
                })
                .collect();
            Tensor::cat(flat, 1)
        };
        let tensors = |layers: Vec<Affine>| {
            layers.into_iter().flat_map(|layer| [layer.weights, layer.biases])
        };
        let Networks { policy_body, policy_head, log_std, value_body, value_head } = networks;
        let mut policy_parts: Vec<Tensor<3>> = Vec::new();
        if phase.has_policy() {
            policy_parts.extend(tensors(policy_body));
            policy_parts.extend(tensors(vec![policy_head]));
            policy_parts.extend(log_std);
        }
        let mut value_parts: Vec<Tensor<3>> = Vec::new();
        if phase.has_value() {
            value_parts.extend(tensors(value_body));
            value_parts.extend(tensors(vec![value_head]));
        }
        if self.shape.shared {
            policy_parts.append(&mut value_parts);
        }
        let policy_gradient = (!policy_parts.is_empty()).then(|| pull(policy_parts));
        let value_gradient = (!value_parts.is_empty()).then(|| pull(value_parts));

        let square_norm = |gradient: &Tensor<2>| (gradient.clone() * gradient.clone()).sum_dim(1);
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
                columns.push(Tensor::<2>::full([agents, 1], f32::NAN, &self.device));
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
        let device = gradient.device();
        let scale = per_agent(steps.iter().map(|step| step.scale), &device);
        let root_scale = per_agent(steps.iter().map(|step| step.root_scale), &device);
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
                let mask = agent_mask(frozen, &device, new.dims());
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
        self.features = Tensor::from_data(
            TensorData::new(batch.features, [self.agents * batch.samples, width]),
            &self.device,
        );
        self.extra_observations = Some(Tensor::from_data(
            TensorData::new(batch.extra_observations, [self.agents, batch.extra, stored]),
            &self.device,
        ));
    }

    fn evaluate(&mut self) -> Result<Evaluation, LearnerError> {
        let stored = self.shape.stored_observation_dim();
        let (agents, samples) = (self.agents, self.samples);
        let networks = self.networks(false, false);
        let features =
            self.features.clone().reshape([agents, samples, stored + self.shape.action_dim]);
        let observations = features.clone().slice([0..agents, 0..samples, 0..stored]);
        let actions =
            features.slice([0..agents, 0..samples, stored..stored + self.shape.action_dim]);
        let (outputs, body) = self.policy_outputs(&networks, observations.clone());
        let log_probs = self.action_terms(&networks, outputs, actions).log_probs;
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
        self.targets = Tensor::from_data(
            TensorData::new(targets.0, [self.agents * self.samples, TARGET_COLUMNS]),
            &self.device,
        );
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

    fn parameters(&mut self) -> Result<Vec<Parameters>, LearnerError> {
        let policy = read(self.policy.parameters.clone(), "reading parameters")?;
        let value = match &self.value {
            Some(group) => read(group.parameters.clone(), "reading parameters")?,
            None => Vec::new(),
        };
        let (policy_len, value_len) = (self.layout.policy_len, self.layout.value_len);
        Ok((0..self.agents)
            .map(|agent| Parameters {
                policy: policy[agent * policy_len..(agent + 1) * policy_len].to_vec(),
                value: value[agent * value_len..(agent + 1) * value_len].to_vec(),
            })
            .collect())
    }
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

/// One number an agent as `[agents, 1]`.
fn per_agent(values: impl Iterator<Item = f32>, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = values.collect();
    let agents = values.len();
    Tensor::from_data(TensorData::new(values, [agents, 1]), device)
}

fn read<const D: usize>(tensor: Tensor<D>, doing: &'static str) -> Result<Vec<f32>, LearnerError> {
    let failed = |reason: String| LearnerError { doing, reason };
    let data = tensor.inner().try_into_data().map_err(|error| failed(format!("{error:?}")))?;
    data.try_into_vec::<f32>().map_err(|error| failed(format!("{error:?}")))
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
