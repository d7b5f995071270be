//! One trust-region step for each agent of a cohort (Schulman et al. 2015, appendix C, in the form
//! that Engstrom et al. released).
//!
//! The direction solves (F + damping I) s = g by conjugate gradient, where g is the gradient of the
//! surrogate objective and F the Fisher matrix, here the Hessian of the mean KL(old || new) at the
//! old policy. burn has no second derivatives, and none are needed: with J the Jacobian of the
//! distributions' parameters and M the Hessian of KL in those, F v = Jᵀ M J v exactly, because the
//! gradient of KL vanishes there. J v is a tangent pass through the network, Jᵀ a backward one.
//!
//! Every scalar of the method (step lengths of conjugate gradient, curvature, accepted fraction) is
//! one number an agent, so agents converge, freeze and fail each on their own.

use burn::tensor::Tensor;

use super::autodiff::{
    Affine, AutodiffLearner, Choice, Distribution, Place, agent_mask, cut, dot, gradient_vector,
    parts, read,
};
use super::config::{Activation, AgentConfig, GaussianDensity, StdTransform, StepCurvature};
use super::learner::{LearnerError, TARGET_COLUMNS, TrustRegionPlan, TrustRegionStep};
use crate::network::{Layout, to_f32};

/// Numbers that a trial of the line search reads back for each agent.
const TRIAL: usize = 4;

/// Sensitivity of KL(old || new) to the parameters of the distributions, at the old policy.
#[allow(clippy::large_enum_variant, reason = "few exist at a time")]
enum Metric {
    /// Probabilities `[agents, batch, choices]`: M v = p v - p (p . v).
    Categorical(Tensor<3>),
    /// Diagonal: for means, and for log-stds before their transform.
    Gaussian { mean: Tensor<3>, raw_std: Tensor<3> },
}

/// Products of the cohort's Fisher matrices with vectors, on a fixed batch.
pub struct FisherProduct {
    layout: Layout,
    layers: Vec<Affine>,
    /// What goes into each layer, `[agents, batch, inputs]`.
    inputs: Vec<Tensor<3>>,
    /// Derivatives of the activations after each hidden layer, `[agents, batch, outputs]`.
    slopes: Vec<Tensor<3>>,
    metric: Metric,
    state_dependent_std: bool,
    batch: usize,
}

impl FisherProduct {
    /// Prepares products on observations `[agents, batch, stored_observation_dim]` at the learner's
    /// current parameters.
    fn new(learner: &AutodiffLearner, observations: Tensor<3>) -> Self {
        let networks = learner.networks(false, false);
        let [agents, batch, _] = observations.dims();
        let mut inputs =
            vec![observations.slice([0..agents, 0..batch, 0..learner.shape.observation_dim])];
        let mut slopes = Vec::new();
        for layer in &networks.policy_body {
            let input = inputs[inputs.len() - 1].clone();
            let output = learner.activated(layer.forward(input));
            slopes.push(learner.activation.select(|activation| slope(activation, &output)));
            inputs.push(output);
        }
        let outputs = networks.policy_head.forward(inputs[inputs.len() - 1].clone());
        let metric = match learner.distribution(&networks, outputs.clone()) {
            Distribution::Categorical(log_probs) => Metric::Categorical(log_probs.exp()),
            Distribution::Gaussian { log_std, .. } => {
                let mean = learner.density.select(|density| match density {
                    GaussianDensity::Exact => log_std.clone().mul_scalar(-2.0).exp(),
                    GaussianDensity::Submission => log_std.clone().neg().exp(),
                });
                let of_log_std = learner.density.select(|density| match density {
                    GaussianDensity::Exact => log_std.full_like(2.0),
                    GaussianDensity::Submission => log_std.full_like(0.5),
                });
                let Some(parameter) = &networks.log_std else {
                    unreachable!("a Gaussian policy has log-std parameters")
                };
                let (_, raw) = learner.mean_and_raw_std(outputs, parameter);
                let chain = learner.std_transform.select(|transform| match transform {
                    StdTransform::Exp => raw.ones_like(),
                    // d log(softplus(p)) / dp
                    StdTransform::Softplus => {
                        burn::tensor::activation::sigmoid(raw.clone()) / raw.clone().exp().log1p()
                    }
                });
                Metric::Gaussian { mean, raw_std: chain.clone() * chain * of_log_std }
            }
        };
        let mut layers = networks.policy_body;
        layers.push(networks.policy_head);
        Self {
            layout: learner.layout.clone(),
            layers,
            inputs,
            slopes,
            metric,
            state_dependent_std: learner.shape.state_dependent_std,
            batch,
        }
    }

    /// F v for vectors `[agents, parameters]`.
    pub fn apply(&self, vector: &Tensor<2>) -> Tensor<2> {
        let (output, std) = self.tangent(vector);
        let (output, std) = self.weigh(output, std);
        self.pull_back(output, std)
    }

    /// J v: tangents of the head's outputs `[agents, batch, outputs]` and of the log-std parameters
    /// `[agents, 1, dimensions]`.
    fn tangent(&self, vector: &Tensor<2>) -> (Tensor<3>, Option<Tensor<3>>) {
        let places = self.layout.policy_body.iter().chain([&self.layout.policy_head]);
        let mut hidden: Option<Tensor<3>> = None;
        for (index, place) in places.enumerate() {
            let direction = cut(vector, place);
            let own = direction.forward(self.inputs[index].clone());
            let total = match hidden {
                Some(tangent) => own + tangent.matmul(self.layers[index].weights.clone()),
                None => own,
            };
            hidden = Some(match self.slopes.get(index) {
                Some(slope) => total * slope.clone(),
                None => total,
            });
        }
        let Some(output) = hidden else { unreachable!("a network has a head") };
        let (start, len) = self.layout.log_std;
        let agents = vector.dims()[0];
        let std = (len > 0).then(|| {
            vector.clone().slice([0..agents, start..start + len]).reshape([agents, 1, len])
        });
        (output, std)
    }

    /// M u / batch, the gradient of the mean over the batch.
    fn weigh(&self, output: Tensor<3>, std: Option<Tensor<3>>) -> (Tensor<3>, Option<Tensor<3>>) {
        // Batches are far smaller than 2^53.
        #[allow(clippy::cast_precision_loss)]
        let share = 1.0 / self.batch as f64;
        match (&self.metric, std) {
            (Metric::Gaussian { mean, raw_std }, Some(std)) if self.state_dependent_std => {
                let [agents, batch, outputs] = output.dims();
                let dim = outputs / 2;
                let of_mean = output.clone().slice([0..agents, 0..batch, 0..dim]) * mean.clone();
                let raw = output.slice([0..agents, 0..batch, dim..outputs]) + std;
                let of_raw = (raw * raw_std.clone()).mul_scalar(share);
                let parameters = of_raw.clone().sum_dim(1);
                (Tensor::cat(vec![of_mean.mul_scalar(share), of_raw], 2), Some(parameters))
            }
            (Metric::Gaussian { mean, raw_std }, std) => {
                // The std is the same for every sample, so its mean over them is itself.
                let of_mean = (output * mean.clone()).mul_scalar(share);
                (of_mean, std.map(|std| std * raw_std.clone()))
            }
            (Metric::Categorical(probabilities), _) => {
                let weighted = output * probabilities.clone();
                let total = weighted.clone().sum_dim(2);
                ((weighted - total * probabilities.clone()).mul_scalar(share), None)
            }
        }
    }

    /// Jᵀ w as `[agents, parameters]`.
    fn pull_back(&self, output: Tensor<3>, std: Option<Tensor<3>>) -> Tensor<2> {
        let agents = output.dims()[0];
        let mut cotangent = output;
        let mut gradients = Vec::with_capacity(self.layers.len());
        for (index, layer) in self.layers.iter().enumerate().rev() {
            if let Some(slope) = self.slopes.get(index) {
                cotangent = cotangent * slope.clone();
            }
            gradients.push(Affine {
                weights: self.inputs[index].clone().swap_dims(1, 2).matmul(cotangent.clone()),
                biases: cotangent.clone().sum_dim(1),
            });
            if index > 0 {
                cotangent = cotangent.matmul(layer.weights.clone().swap_dims(1, 2));
            }
        }
        gradients.reverse();
        let flat = gradients
            .into_iter()
            .flat_map(|layer| [layer.weights, layer.biases])
            .chain(std)
            .map(|part| {
                let [_, rows, columns] = part.dims();
                part.reshape([agents, rows * columns])
            })
            .collect();
        Tensor::cat(flat, 1)
    }
}

/// Derivative of an activation from its output.
fn slope(activation: Activation, output: &Tensor<3>) -> Tensor<3> {
    match activation {
        Activation::Tanh => (output.clone() * output.clone()).neg() + 1.0,
        Activation::Relu => output.ones_like().mask_fill(output.clone().lower_equal_elem(0.0), 0.0),
        Activation::LeakyRelu => {
            output.ones_like().mask_fill(output.clone().lower_equal_elem(0.0), 0.01)
        }
        Activation::Elu => {
            let negative = output.clone().lower_elem(0.0);
            output.ones_like().mask_where(negative, output.clone() + 1.0)
        }
    }
}

/// Mean KL(old || new) over the batch, `[agents, 1]`.
pub(super) fn mean_kl(
    density: &Choice<GaussianDensity>,
    old: &Distribution,
    new: &Distribution,
) -> Tensor<2> {
    let pointwise = match (old, new) {
        (Distribution::Categorical(old), Distribution::Categorical(new)) => {
            old.clone().exp() * (old.clone() - new.clone())
        }
        (
            Distribution::Gaussian { mean: old_mean, log_std: old_std },
            Distribution::Gaussian { mean: new_mean, log_std: new_std },
        ) => {
            let distance = new_mean.clone() - old_mean.clone();
            density.select(|density| {
                // The submission reads stds as variances.
                let power = match density {
                    GaussianDensity::Exact => 2.0,
                    GaussianDensity::Submission => 1.0,
                };
                let log_ratio = (new_std.clone() - old_std.clone()).mul_scalar(power);
                let spread = log_ratio.clone().neg().exp() - 1.0 + log_ratio;
                let shift =
                    distance.clone() * distance.clone() * new_std.clone().mul_scalar(-power).exp();
                (shift + spread).mul_scalar(0.5)
            })
        }
        _ => unreachable!("one network has one kind of distribution"),
    };
    let [agents, batch, _] = pointwise.dims();
    pointwise.sum_dim(2).reshape([agents, batch]).mean_dim(1)
}

/// The surrogate objective at some parameters.
struct Surrogate {
    /// Mean of ratio times advantage, `[agents, 1]`.
    value: Tensor<2>,
    /// log ratio, `[agents, samples]`.
    log_ratio: Tensor<2>,
    distribution: Distribution,
}

impl AutodiffLearner {
    /// Vectors as [`FisherProduct::apply`] takes them, one an agent.
    pub fn vectors(&self, vectors: Vec<Vec<f32>>) -> Tensor<2> {
        self.place.tensor(vectors.concat(), [self.agents, self.layout.policy_len])
    }

    /// Products with the Fisher matrices on the given rows of each agent's batch.
    pub fn fisher_product(&self, rows: &[Vec<u32>]) -> FisherProduct {
        let stored = self.shape.stored_observation_dim();
        let count = rows.first().map_or(0, Vec::len);
        let absolute: Vec<u32> = (0_u32..)
            .zip(rows)
            .flat_map(|(agent, rows)| {
                // A batch fits in memory, so its row numbers fit 32 bits.
                #[allow(clippy::cast_possible_truncation)]
                let offset = agent * self.samples as u32;
                rows.iter().map(move |row| offset + row)
            })
            .collect();
        let features = self.features.clone().select(0, self.place.rows(&absolute));
        let width = stored + self.shape.action_dim;
        let observations = features.reshape([self.agents, count, width]).slice([
            0..self.agents,
            0..count,
            0..stored,
        ]);
        FisherProduct::new(self, observations)
    }

    fn surrogate(&self, track: bool) -> (Surrogate, Vec<Tensor<3>>) {
        let networks = self.networks(track, false);
        let (observations, actions) = self.batch();
        let (outputs, _) = self.policy_outputs(&networks, observations);
        let distribution = self.distribution(&networks, outputs);
        let targets = self.targets.clone().reshape([self.agents, self.samples, TARGET_COLUMNS]);
        let column = |index: usize| {
            targets
                .clone()
                .slice([0..self.agents, 0..self.samples, index..index + 1])
                .reshape([self.agents, self.samples])
        };
        let log_ratio = self.log_probs(&distribution, actions) - column(4);
        let value = (log_ratio.clone().exp() * self.normalized(column(0))).mean_dim(1);
        let mut leaves: Vec<Tensor<3>> =
            parts(networks.policy_body, networks.policy_head).collect();
        leaves.extend(networks.log_std);
        (Surrogate { value, log_ratio, distribution }, leaves)
    }

    /// Gradient of each agent's surrogate objective at the current parameters, `[agents,
    /// parameters]` without those of the value function.
    pub(super) fn surrogate_gradient(&self) -> Result<Vec<f32>, LearnerError> {
        let (surrogate, leaves) = self.surrogate(true);
        let mut gradients = surrogate.value.sum().backward();
        read(gradient_vector(leaves, &mut gradients), "reading a gradient")
    }

    /// The policy's distributions on the batch, `[agents, samples, ...]`.
    pub(super) fn distributions(&self) -> Distribution {
        let networks = self.networks(false, false);
        let (observations, _) = self.batch();
        let (outputs, _) = self.policy_outputs(&networks, observations);
        self.distribution(&networks, outputs)
    }

    /// Takes one trust-region step of every active agent's policy.
    pub(super) fn step_in_trust_region(
        &mut self,
        plan: &TrustRegionPlan<'_>,
    ) -> Result<Vec<TrustRegionStep>, LearnerError> {
        let (old, leaves) = self.surrogate(true);
        let mut gradients = old.value.clone().sum().backward();
        let gradient = gradient_vector(leaves, &mut gradients);
        let fisher = self.fisher_product(plan.fisher_rows);
        let place = Place::of(&gradient);
        let number = |value: &dyn Fn(&AgentConfig) -> f64| {
            place.per_agent(self.configs.iter().map(|config| to_f32(value(config))))
        };
        let damping = number(&|config| config.damping);
        let tolerance = number(&|config| config.cg_tolerance.unwrap_or(0.0));
        let Solution { direction, residual, iterations } =
            conjugate_gradient(&fisher, &gradient, &damping, &tolerance, &self.configs);

        let undamped = dot(&direction, &fisher.apply(&direction));
        let damped = undamped.clone() + dot(&direction, &direction) * damping;
        let curvature =
            Choice::new(&self.configs, |config| config.step_curvature).select(|variant| {
                match variant {
                    StepCurvature::Damped => damped.clone(),
                    StepCurvature::Undamped => undamped.clone(),
                }
            });
        let length = (place.per_agent(plan.max_kl.iter().map(|kl| 2.0 * kl)) / curvature).sqrt();
        let full_step = direction * length;
        let predicted = dot(&gradient, &full_step);
        let before = Surrogate {
            value: old.value.inner(),
            log_ratio: old.log_ratio.inner(),
            distribution: old.distribution.inner(),
        };
        let norm = dot(&gradient, &gradient).sqrt();
        let entropy = Self::entropy(&before.distribution);
        let columns = vec![before.value, predicted, norm, entropy, residual, iterations];
        let width = columns.len();
        let known = read(Tensor::cat(columns, 1), "reading the trust-region step")?;
        let mut steps: Vec<TrustRegionStep> = known
            .chunks(width)
            .map(|row| TrustRegionStep {
                surrogate: row[0],
                predicted_improvement: row[1],
                gradient_norm: row[2],
                entropy: row[3],
                residual: row[4],
                cg_iterations: row[5],
                max_ratio: 1.0,
                ..TrustRegionStep::default()
            })
            .collect();
        self.search(plan, &full_step, &before.distribution, &mut steps)?;
        Ok(steps)
    }

    /// Backtracking line search: the longest of the halved steps that an agent accepts, or none.
    fn search(
        &mut self,
        plan: &TrustRegionPlan<'_>,
        full_step: &Tensor<2>,
        old: &Distribution,
        steps: &mut [TrustRegionStep],
    ) -> Result<(), LearnerError> {
        let start = self.policy.parameters.clone();
        let tries = self.configs.first().map_or(0, |config| config.backtrack_steps);
        let mut searching: Vec<bool> = plan.active.to_vec();
        let mut fraction = 1.0_f32;
        for _ in 0..tries {
            if !searching.contains(&true) {
                break;
            }
            // Those that have found their step stay there.
            let trial: Vec<f32> = steps
                .iter()
                .zip(&searching)
                .map(|(step, searching)| if *searching { fraction } else { step.fraction })
                .collect();
            self.policy.parameters = self.moved(&start, full_step, &trial);
            let (new, _) = self.surrogate(false);
            let ratio = new.log_ratio.clone().exp();
            let columns = vec![
                new.value,
                mean_kl(&self.density, old, &new.distribution),
                ((ratio.clone() - 1.0) - new.log_ratio).mean_dim(1),
                ratio.max_dim(1),
            ];
            let found = read(Tensor::cat(columns, 1), "reading the line search")?;
            for (agent, (step, row)) in steps.iter_mut().zip(found.chunks(TRIAL)).enumerate() {
                if !searching[agent] {
                    continue;
                }
                let config = &self.configs[agent];
                let improvement = row[0] - step.surrogate;
                let enough = improvement / (step.predicted_improvement * fraction)
                    > to_f32(config.acceptance_ratio);
                let inside = !config.line_search_kl || row[1] <= plan.max_kl[agent];
                step.tries += 1;
                if improvement > 0.0 && enough && inside {
                    searching[agent] = false;
                    step.fraction = fraction;
                    step.improvement = improvement;
                    step.kl = row[1];
                    step.approximate_kl = row[2];
                    step.max_ratio = row[3];
                }
            }
            fraction *= 0.5;
        }
        let fractions: Vec<f32> = steps.iter().map(|step| step.fraction).collect();
        self.policy.parameters = self.moved(&start, full_step, &fractions);
        Ok(())
    }

    /// Parameters moved by a fraction of a step; where the fraction is zero they keep their bits,
    /// even if the step is not finite.
    fn moved(&self, start: &Tensor<2>, step: &Tensor<2>, fractions: &[f32]) -> Tensor<2> {
        let place = Place::of(start);
        let moved = start.clone() + step.clone() * place.per_agent(fractions.iter().copied());
        let still: Vec<bool> = fractions.iter().map(|fraction| *fraction == 0.0).collect();
        if !still.contains(&true) {
            return moved;
        }
        moved.clone().mask_where(agent_mask(&still, &start.device(), moved.dims()), start.clone())
    }
}

/// What conjugate gradient found.
struct Solution {
    /// `[agents, parameters]`.
    direction: Tensor<2>,
    /// Squared norm of the residual, `[agents, 1]`.
    residual: Tensor<2>,
    /// Iterations that moved, `[agents, 1]`.
    iterations: Tensor<2>,
}

/// Solves (F + damping I) x = b for each agent, from zero. An agent whose squared residual has
/// reached its tolerance stays where it is.
fn conjugate_gradient(
    fisher: &FisherProduct,
    b: &Tensor<2>,
    damping: &Tensor<2>,
    tolerance: &Tensor<2>,
    configs: &[AgentConfig],
) -> Solution {
    let limit = configs.first().map_or(0, |config| config.cg_iterations);
    let mut x = b.zeros_like();
    let mut r = b.clone();
    let mut p = b.clone();
    let mut square = dot(&r, &r);
    let mut iterations = square.zeros_like();
    for _ in 0..limit {
        let done = square.clone().lower_equal(tolerance.clone());
        let product = fisher.apply(&p) + p.clone() * damping.clone();
        let alpha = (square.clone() / dot(&p, &product)).mask_fill(done.clone(), 0.0);
        x = x + p.clone() * alpha.clone();
        r = r - product * alpha;
        let next = dot(&r, &r);
        let beta = (next.clone() / square).mask_fill(done.clone(), 0.0);
        p = r.clone() + p * beta;
        square = next;
        iterations = iterations + done.bool_not().float().cast(b.dtype());
    }
    Solution { direction: x, residual: square, iterations }
}
