//! Networks as flat parameter vectors: layout, initial weights and the actors' forward pass.
//!
//! One agent's parameters are one vector per optimiser group, so that norms, clipping and optimiser
//! steps act on `[agents, parameters]`. The layers inside are described by [`Layout`].

use envs::seeding::ziggurat::standard_normal;
use rand::{Rng, RngExt};

use crate::math;
use crate::policy_gradient::config::{Activation, Initializer};

/// An affine layer inside a parameter vector: weights `[inputs, outputs]` row by row, then biases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Position of the first weight.
    pub weights: usize,
    /// Position of the first bias.
    pub biases: usize,
    /// Features in.
    pub inputs: usize,
    /// Features out.
    pub outputs: usize,
}

/// Sizes that fix the tensors of a cohort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkShape {
    /// Features of an observation, as the policy sees it.
    pub observation_dim: usize,
    /// Components of an action: dimensions when continuous, choices when discrete.
    pub action_dim: usize,
    /// Whether actions are choices.
    pub discrete: bool,
    /// Widths of the policy's hidden layers, or of the common body.
    pub policy_hidden: Vec<usize>,
    /// Widths of the value network's hidden layers.
    pub value_hidden: Vec<usize>,
    /// Whether policy and value function share their body.
    pub shared: bool,
    /// Whether the value network has the time as one more input.
    pub value_time_input: bool,
    /// Whether the policy network also outputs the log-std.
    pub state_dependent_std: bool,
}

impl NetworkShape {
    /// Features that a stored observation has: the policy's, and the time where the value network
    /// wants it.
    pub fn stored_observation_dim(&self) -> usize {
        self.observation_dim + usize::from(self.value_time_input)
    }

    fn policy_outputs(&self) -> usize {
        if self.state_dependent_std { 2 * self.action_dim } else { self.action_dim }
    }
}

/// Where every layer of one agent lies.
///
/// Two vectors: the policy's (body, head, log-std), and the value function's (body, head). Where
/// networks are shared, the value head follows in the first vector and the second is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Hidden layers of the policy, or the common body; in the policy's vector.
    pub policy_body: Vec<Layer>,
    /// The policy's last layer; in the policy's vector.
    pub policy_head: Layer,
    /// Position and length of the log-std parameters in the policy's vector; length 0 if discrete.
    pub log_std: (usize, usize),
    /// Hidden layers of the value network; in the value function's vector.
    pub value_body: Vec<Layer>,
    /// The value function's last layer; in its own vector, or the policy's where shared.
    pub value_head: Layer,
    /// Length of the policy's vector.
    pub policy_len: usize,
    /// Length of the value function's vector.
    pub value_len: usize,
}

struct Cursor(usize);

impl Cursor {
    fn layer(&mut self, inputs: usize, outputs: usize) -> Layer {
        let weights = self.0;
        let biases = weights + inputs * outputs;
        self.0 = biases + outputs;
        Layer { weights, biases, inputs, outputs }
    }

    fn body(&mut self, inputs: usize, widths: &[usize]) -> (Vec<Layer>, usize) {
        let mut features = inputs;
        let mut layers = Vec::with_capacity(widths.len());
        for &width in widths {
            layers.push(self.layer(features, width));
            features = width;
        }
        (layers, features)
    }
}

impl Layout {
    /// Lays out the networks of a shape.
    pub fn new(shape: &NetworkShape) -> Self {
        let mut policy = Cursor(0);
        let (policy_body, features) = policy.body(shape.observation_dim, &shape.policy_hidden);
        let policy_head = policy.layer(features, shape.policy_outputs());
        let log_std = (policy.0, if shape.discrete { 0 } else { shape.action_dim });
        policy.0 += log_std.1;
        let mut value = Cursor(0);
        let (value_body, value_head) = if shape.shared {
            (Vec::new(), policy.layer(features, 1))
        } else {
            let (body, features) = value.body(shape.stored_observation_dim(), &shape.value_hidden);
            let head = value.layer(features, 1);
            (body, head)
        };
        Self {
            policy_body,
            policy_head,
            log_std,
            value_body,
            value_head,
            policy_len: policy.0,
            value_len: value.0,
        }
    }
}

/// How the weights of one agent start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Initialization {
    /// Distribution of the weights.
    pub initializer: Initializer,
    /// Factor on hidden layers.
    pub hidden_scale: f64,
    /// Factor on the policy head.
    pub policy_head_scale: f64,
    /// Factor on the value head.
    pub value_head_scale: f64,
    /// Initial log-std parameter.
    pub initial_log_std: f64,
}

/// Parameters of one agent: the policy's vector and the value function's, as in [`Layout`].
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// The policy's vector.
    pub policy: Vec<f32>,
    /// The value function's vector.
    pub value: Vec<f32>,
}

impl Parameters {
    /// Draws the initial parameters of one agent.
    ///
    /// `layer_rng` gives the generator of the layer with this number (policy layers first), so that
    /// agents which differ in one layer's initialiser still share the draws of the others.
    pub fn initialize<R: Rng>(
        layout: &Layout,
        initialization: &Initialization,
        mut layer_rng: impl FnMut(u64) -> R,
    ) -> Self {
        let Initialization { initializer, hidden_scale, .. } = *initialization;
        let mut policy = vec![0.0; layout.policy_len];
        let mut value = vec![0.0; layout.value_len];
        let mut number = 0;
        let mut fill = |vector: &mut [f32], layer: &Layer, scale: f64| {
            let mut rng = layer_rng(number);
            number += 1;
            let (weights, biases) = draw_layer(initializer, layer.inputs, layer.outputs, &mut rng);
            for (target, weight) in vector[layer.weights..].iter_mut().zip(&weights) {
                *target = to_f32(weight * scale);
            }
            for (target, bias) in vector[layer.biases..].iter_mut().zip(&biases) {
                *target = to_f32(*bias);
            }
        };
        for layer in &layout.policy_body {
            fill(&mut policy, layer, hidden_scale);
        }
        fill(&mut policy, &layout.policy_head, initialization.policy_head_scale);
        for layer in &layout.value_body {
            fill(&mut value, layer, hidden_scale);
        }
        let head_vector = if layout.value_len == 0 { &mut policy } else { &mut value };
        fill(head_vector, &layout.value_head, initialization.value_head_scale);
        let (start, len) = layout.log_std;
        policy[start..start + len].fill(to_f32(initialization.initial_log_std));
        Self { policy, value }
    }

    /// Whether every parameter is a finite number.
    pub fn is_finite(&self) -> bool {
        self.policy.iter().chain(&self.value).all(|parameter| parameter.is_finite())
    }
}

/// Narrows to the precision of the networks.
#[allow(clippy::cast_possible_truncation)]
pub(crate) fn to_f32(x: f64) -> f32 {
    x as f32
}

/// Weights `[inputs, outputs]` and biases of one layer at scale one.
fn draw_layer<R: Rng>(
    initializer: Initializer,
    inputs: usize,
    outputs: usize,
    rng: &mut R,
) -> (Vec<f64>, Vec<f64>) {
    let count = inputs * outputs;
    // Layer widths are far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    let (fan_in, fan_out) = (inputs as f64, outputs as f64);
    match initializer {
        Initializer::Orthogonal => (orthogonal(inputs, outputs, rng), vec![0.0; outputs]),
        Initializer::XavierUniform => {
            let bound = (6.0 / (fan_in + fan_out)).sqrt();
            let weights = (0..count).map(|_| rng.random_range(-bound..bound)).collect();
            (weights, vec![0.0; outputs])
        }
        Initializer::NormalSlip => {
            let weights = (0..count).map(|_| 0.01 + standard_normal(rng)).collect();
            let biases = (0..outputs).map(|_| 0.01 + standard_normal(rng)).collect();
            (weights, biases)
        }
        Initializer::TorchDefault => {
            let bound = 1.0 / fan_in.sqrt();
            let weights = (0..count).map(|_| rng.random_range(-bound..bound)).collect();
            let biases = (0..outputs).map(|_| rng.random_range(-bound..bound)).collect();
            (weights, biases)
        }
    }
}

/// A uniformly distributed matrix `[inputs, outputs]` whose shorter side is orthonormal.
fn orthogonal<R: Rng>(inputs: usize, outputs: usize, rng: &mut R) -> Vec<f64> {
    let (count, len) = if inputs >= outputs { (outputs, inputs) } else { (inputs, outputs) };
    let mut vectors: Vec<Vec<f64>> = Vec::with_capacity(count);
    while vectors.len() < count {
        let mut vector: Vec<f64> = (0..len).map(|_| standard_normal(rng)).collect();
        // Twice is enough for Gram-Schmidt to be orthogonal to working precision.
        for _ in 0..2 {
            for other in &vectors {
                let along: f64 = vector.iter().zip(other).map(|(a, b)| a * b).sum();
                vector.iter_mut().zip(other).for_each(|(a, b)| *a -= along * b);
            }
        }
        let norm = vector.iter().map(|a| a * a).sum::<f64>().sqrt();
        // A draw inside the span of the others has probability zero, but would divide by zero.
        if norm > 1e-6 {
            vector.iter_mut().for_each(|a| *a /= norm);
            vectors.push(vector);
        }
    }
    let mut matrix = vec![0.0; inputs * outputs];
    for (index, vector) in vectors.iter().enumerate() {
        for (position, &entry) in vector.iter().enumerate() {
            let (row, column) =
                if inputs >= outputs { (position, index) } else { (index, position) };
            matrix[row * outputs + column] = entry;
        }
    }
    matrix
}

/// Applies an activation in place.
pub fn activate(activation: Activation, values: &mut [f32]) {
    match activation {
        Activation::Tanh => values.iter_mut().for_each(|x| *x = math::tanh(*x)),
        // `max` would turn NaN into zero and hide that an agent diverged.
        Activation::Relu => {
            values.iter_mut().for_each(|x| *x = if *x < 0.0 { 0.0 } else { *x });
        }
        Activation::LeakyRelu => {
            values.iter_mut().for_each(|x| *x = if *x < 0.0 { 0.01 * *x } else { *x });
        }
        Activation::Elu => {
            values.iter_mut().for_each(|x| *x = if *x < 0.0 { libm::expf(*x) - 1.0 } else { *x });
        }
    }
}

/// The actors' forward pass: one observation at a time, no allocation.
#[derive(Clone, Debug)]
pub struct PolicyForward {
    body: Vec<Layer>,
    head: Layer,
    hidden: [Vec<f32>; 2],
}

impl PolicyForward {
    /// Prepares the buffers for a layout.
    pub fn new(layout: &Layout) -> Self {
        let widest = layout.policy_body.iter().map(|layer| layer.outputs).max().unwrap_or(0);
        Self {
            body: layout.policy_body.clone(),
            head: layout.policy_head,
            hidden: [vec![0.0; widest], vec![0.0; widest]],
        }
    }

    /// Writes the policy head's outputs `[outputs]` for an observation `[observation_dim]`.
    pub fn run(
        &mut self,
        parameters: &[f32],
        activation: Activation,
        observation: &[f32],
        outputs: &mut [f32],
    ) {
        for (index, layer) in self.body.iter().enumerate() {
            let [even, odd] = &mut self.hidden;
            let (source, target) = if index % 2 == 0 { (&*odd, even) } else { (&*even, odd) };
            let input = if index == 0 { observation } else { &source[..layer.inputs] };
            let output = &mut target[..layer.outputs];
            affine(parameters, layer, input, output);
            activate(activation, output);
        }
        let last = &self.hidden[(self.body.len() + 1) % 2];
        let input = if self.body.is_empty() { observation } else { &last[..self.head.inputs] };
        affine(parameters, &self.head, input, outputs);
    }
}

/// outputs = input · weights + biases, accumulated row by row in a fixed order.
fn affine(parameters: &[f32], layer: &Layer, input: &[f32], output: &mut [f32]) {
    let weights = &parameters[layer.weights..layer.biases];
    output.copy_from_slice(&parameters[layer.biases..layer.biases + layer.outputs]);
    math::accumulate_product(input, weights, output);
}
