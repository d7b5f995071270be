//! Trust-region steps agree with PyTorch's double backpropagation, Fisher products with finite
//! differences of KL.
//!
//! `tests/fixtures/pytorch/generate_trpo.py` writes the fixtures with pinned versions.

mod common;

use std::fs;
use std::path::PathBuf;

use algorithms::device::LearnerDevice;
use algorithms::network::{Layer, Layout, NetworkShape, Parameters};
use algorithms::policy_gradient::AgentConfig;
use algorithms::policy_gradient::autodiff::{AutodiffLearner, Precision};
use algorithms::policy_gradient::config::{
    Activation, Algorithm, GaussianDensity, StdDependence, StdTransform,
};
use algorithms::policy_gradient::learner::{Batch, CohortSpec, Learner as _, Phase};
use algorithms::policy_gradient::update::{Shuffle, Update, UpdateState};
use common::fixtures::{Worst, config, floats, numbers, rollout};
use common::{base, bits, streams, train};
use envs::{Purpose, fill_standard_normal};
use serde_json::Value;

struct Given<'a>(&'a Value);

fn indices(value: &Value) -> Vec<u32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|row| u32::try_from(row.as_u64().unwrap()).unwrap())
        .collect()
}

impl Shuffle for Given<'_> {
    fn permutation(&mut self, _: usize, _: Phase, epoch: usize, _: usize) -> Vec<u32> {
        indices(&self.0["permutations"]["value"][epoch])
    }

    fn fisher_rows(&mut self, _: usize, _: usize, count: usize) -> Vec<u32> {
        let rows = indices(&self.0["fisher_rows"]);
        assert_eq!(rows.len(), count);
        rows
    }
}

/// Runs one fixture and returns the largest deviation.
fn check(case: &Value, precision: Precision) -> Worst {
    let config = config(case);
    let valid = config.clone().validate().unwrap();
    let mut shape = valid.network_shape();
    shape.action_dim = usize::try_from(case["action_dim"].as_u64().unwrap()).unwrap();
    let layout = Layout::new(&shape);
    let mut policy = floats(&case["initial_parameters"]);
    let value = policy.split_off(layout.policy_len);
    let spec = CohortSpec {
        shape: shape.clone(),
        configs: vec![config],
        parameters: vec![Parameters { policy, value }],
    };
    let mut learner = AutodiffLearner::with_precision(&spec, &LearnerDevice::Cpu, precision);
    let mut states = [UpdateState::default()];
    let mut worst = Worst::default();
    for (iteration, update) in case["updates"].as_array().unwrap().iter().enumerate() {
        let place = |what: &str| format!("update {iteration} {what}");
        let expected = &update["expected"];
        let region = &expected["trust_region"];
        let rollouts = [rollout(update, &valid, &shape)];
        // The product, before anything moves.
        learner.load(Batch {
            samples: valid.samples(),
            features: rollouts[0].features.clone(),
            extra: 1,
            extra_observations: vec![0.0; shape.stored_observation_dim()],
        });
        let vector = learner.vectors(vec![floats(&update["vector"])]);
        let product = learner.fisher_product(&[indices(&update["fisher_rows"])]).apply(&vector);
        let product = product.into_data().convert::<f64>().try_to_vec::<f64>().unwrap();
        worst.compare(&place("product"), product, &numbers(&region["product"]));

        let (metrics, trace) = Update {
            shape: &shape,
            configs: std::slice::from_ref(&valid),
            rollouts: &rollouts,
            alive: &[true],
            iteration,
        }
        .run(&mut learner, &mut states, &mut Given(update))
        .unwrap();
        let step = trace.trust_region[0];
        assert_eq!(Some(step), metrics[0].trust_region.map(|region| region.step));
        assert_eq!(
            f64::from(step.fraction),
            numbers(&region["fraction"])[0],
            "{}",
            place("fraction")
        );
        assert_eq!(u64::from(step.tries), region["tries"].as_u64().unwrap(), "{}", place("tries"));
        let max_kl = metrics[0].trust_region.unwrap().max_kl;
        let mut fields = vec![
            ("max_kl", max_kl),
            ("surrogate", f64::from(step.surrogate)),
            ("gradient_norm", f64::from(step.gradient_norm)),
            ("cg_iterations", f64::from(step.cg_iterations)),
            ("predicted_improvement", f64::from(step.predicted_improvement)),
        ];
        if step.fraction > 0.0 {
            fields.extend([
                ("improvement", f64::from(step.improvement)),
                ("kl", f64::from(step.kl)),
                ("approximate_kl", f64::from(step.approximate_kl)),
                ("max_ratio", f64::from(step.max_ratio)),
            ]);
        }
        for (name, found) in fields {
            worst.compare(&place(name), [found], &numbers(&region[name]));
        }
        let parameters = learner.parameters().unwrap().remove(0);
        let found = parameters.policy.iter().chain(&parameters.value).map(|x| f64::from(*x));
        worst.compare(&place("parameters"), found, &numbers(&expected["parameters"]));
    }
    worst
}

fn cases() -> Vec<Value> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/pytorch/trpo");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 21);
    files
        .iter()
        .map(|file| serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap())
        .collect()
}

#[test]
fn steps_agree_with_pytorch() {
    for (precision, tolerance) in [(Precision::Double, 1e-6), (Precision::Single, 1e-4)] {
        let mut failures = Vec::new();
        let mut largest = 0.0_f64;
        for case in cases() {
            let worst = check(&case, precision);
            largest = largest.max(worst.deviation);
            if worst.deviation.is_nan() || worst.deviation > tolerance {
                failures
                    .push(format!("{}: {:e} at {}", case["name"], worst.deviation, worst.place));
            }
        }
        println!("{precision:?}: largest deviation {largest:e}");
        assert!(failures.is_empty(), "{precision:?}\n{}", failures.join("\n"));
    }
}

/// Of the finite differences; rounding grows below it.
const STEP: f64 = 5e-4;

/// A policy in plain double-precision loops, to differentiate by differences.
struct Plain<'a> {
    config: &'a AgentConfig,
    shape: &'a NetworkShape,
    layout: Layout,
}

impl Plain<'_> {
    fn affine(layer: &Layer, parameters: &[f64], x: &[f64]) -> Vec<f64> {
        (0..layer.outputs)
            .map(|output| {
                let sum: f64 = (0..layer.inputs)
                    .map(|input| {
                        x[input] * parameters[layer.weights + input * layer.outputs + output]
                    })
                    .sum();
                sum + parameters[layer.biases + output]
            })
            .collect()
    }

    /// Log-probabilities of choices, or means and then log-stds.
    fn distribution(&self, parameters: &[f64], observation: &[f64]) -> Vec<f64> {
        let mut x = observation.to_vec();
        for layer in &self.layout.policy_body {
            x = Self::affine(layer, parameters, &x);
            for x in &mut x {
                *x = match self.config.activation {
                    Activation::Tanh => x.tanh(),
                    Activation::Relu => x.max(0.0),
                    Activation::LeakyRelu => x.max(0.01 * *x),
                    Activation::Elu => {
                        if *x < 0.0 {
                            x.exp_m1()
                        } else {
                            *x
                        }
                    }
                };
            }
        }
        let outputs = Self::affine(&self.layout.policy_head, parameters, &x);
        let dim = self.shape.action_dim;
        if self.shape.discrete {
            let total: f64 = outputs.iter().map(|logit| logit.exp()).sum();
            return outputs.iter().map(|logit| logit - total.ln()).collect();
        }
        let mut result = outputs[..dim].to_vec();
        for index in 0..dim {
            let mut raw = parameters[self.layout.log_std.0 + index];
            if self.shape.state_dependent_std {
                raw += outputs[dim + index];
            }
            result.push(match self.config.std_transform {
                StdTransform::Exp => raw,
                StdTransform::Softplus => raw.exp().ln_1p().ln(),
            });
        }
        result
    }

    fn kl(&self, old: &[f64], new: &[f64], observations: &[Vec<f64>]) -> f64 {
        let power = match self.config.gaussian_density {
            GaussianDensity::Exact => 2.0,
            GaussianDensity::Submission => 1.0,
        };
        let total: f64 = observations
            .iter()
            .map(|observation| {
                let p = self.distribution(old, observation);
                let q = self.distribution(new, observation);
                if self.shape.discrete {
                    return p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum::<f64>();
                }
                let dim = self.shape.action_dim;
                (0..dim)
                    .map(|index| {
                        let (s, t) = (power * p[dim + index], power * q[dim + index]);
                        let shift = (p[index] - q[index]).powi(2) / t.exp();
                        0.5 * (t - s - 1.0 + (s - t).exp() + shift)
                    })
                    .sum()
            })
            .sum();
        total / observations.len() as f64
    }

    /// Central differences of central differences: the Hessian of KL at `at`, times a vector. Two
    /// steps, extrapolated to none (Richardson), since their error falls with the step's square.
    fn hessian_vector(&self, at: &[f64], vector: &[f64], observations: &[Vec<f64>]) -> Vec<f64> {
        let moved = |along: f64, index: usize, by: f64| {
            let mut point: Vec<f64> = at.iter().zip(vector).map(|(x, v)| x + along * v).collect();
            point[index] += by;
            self.kl(at, &point, observations)
        };
        let difference = |index: usize, step: f64| {
            let slope = |along| moved(along, index, step) - moved(along, index, -step);
            (slope(step) - slope(-step)) / (4.0 * step * step)
        };
        (0..at.len())
            .map(|index| (4.0 * difference(index, STEP) - difference(index, 2.0 * STEP)) / 3.0)
            .collect()
    }
}

#[test]
fn fisher_products_are_differences_of_the_gradient_of_kl() {
    let small = |environment: &str| AgentConfig {
        algorithm: Algorithm::Trpo,
        policy_hidden: vec![5, 4],
        value_hidden: vec![3],
        ..base(environment)
    };
    let mut configs = vec![small("CartPole-v1")];
    for activation in Activation::ALL {
        configs.push(AgentConfig { activation: *activation, ..small("Pendulum-v1") });
    }
    for (std_dependence, std_transform, gaussian_density) in [
        (StdDependence::Independent, StdTransform::Softplus, GaussianDensity::Exact),
        (StdDependence::State, StdTransform::Exp, GaussianDensity::Exact),
        (StdDependence::State, StdTransform::Softplus, GaussianDensity::Submission),
    ] {
        configs.push(AgentConfig {
            std_dependence,
            std_transform,
            gaussian_density,
            ..small("Pendulum-v1")
        });
    }
    for config in configs {
        let valid = config.clone().validate().unwrap();
        let shape = valid.network_shape();
        let plain = Plain { config: &config, shape: &shape, layout: Layout::new(&shape) };
        let mut rng = streams(0).rng(Purpose::Diagnostics, 0);
        let mut draw = |count: usize| {
            let mut values = vec![0.0_f32; count];
            fill_standard_normal(&mut rng, &mut values);
            values
        };
        let policy: Vec<f32> = draw(plain.layout.policy_len).iter().map(|x| 0.5 * x).collect();
        let vector = draw(policy.len());
        let samples = valid.samples();
        let features = draw(samples * (shape.stored_observation_dim() + shape.action_dim));
        let rows: Vec<u32> = (0..7).map(|row| 3 * row).collect();
        let wide = |values: &[f32]| values.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>();
        let width = shape.stored_observation_dim() + shape.action_dim;
        let observations: Vec<Vec<f64>> = rows
            .iter()
            .map(|row| wide(&features[*row as usize * width..][..shape.observation_dim]))
            .collect();
        let expected = plain.hessian_vector(&wide(&policy), &wide(&vector), &observations);

        let value = draw(plain.layout.value_len);
        let spec = CohortSpec {
            shape: shape.clone(),
            configs: vec![config.clone()],
            parameters: vec![Parameters { policy, value }],
        };
        let mut learner =
            AutodiffLearner::with_precision(&spec, &LearnerDevice::Cpu, Precision::Double);
        let extra_observations = vec![0.0; shape.stored_observation_dim()];
        learner.load(Batch { samples, features, extra: 1, extra_observations });
        let vector = learner.vectors(vec![vector]);
        let found = learner.fisher_product(&[rows]).apply(&vector);
        let found = found.into_data().convert::<f64>().try_to_vec::<f64>().unwrap();
        let scale = expected.iter().fold(0.0_f64, |scale, x| scale.max(x.abs()));
        assert!(scale > 0.1, "nothing to compare: {scale}");
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let deviation = (found - expected).abs() / scale;
            assert!(deviation < 2e-6, "{index}: {found} instead of {expected} with {config:?}");
        }
    }
}

#[test]
fn a_step_that_nobody_accepts_leaves_every_bit() {
    let accepts = AgentConfig { algorithm: Algorithm::Trpo, max_kl: 0.05, ..base("Pendulum-v1") };
    // No step improves by all that its gradient promises, not even the shortest.
    let refuses = AgentConfig {
        acceptance_ratio: 1.0,
        damping: 0.0,
        max_kl: 50.0,
        fisher_fraction: 0.05,
        ..accepts.clone()
    };
    let accepts = AgentConfig { fisher_fraction: 0.05, ..accepts };
    let trained = train(&[accepts, refuses.clone()], &[0, 0], &LearnerDevice::Cpu);
    let fractions = |agent: usize| -> Vec<f32> {
        let metrics = &trained[agent].metrics;
        metrics.iter().map(|metrics| metrics.trust_region.unwrap().step.fraction).collect()
    };
    assert!(fractions(0).iter().all(|fraction| *fraction > 0.0));
    assert_eq!(fractions(1), [0.0, 0.0]);
    let valid = refuses.validate().unwrap();
    let layout = Layout::new(&valid.network_shape());
    let initial = Parameters::initialize(&layout, &valid.initialization(), |layer| {
        streams(0).rng(Purpose::Init, layer)
    });
    let words = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
    assert_eq!(words(&trained[1].parameters.policy), words(&initial.policy));
    assert_ne!(words(&trained[1].parameters.value), words(&initial.value));
    assert_ne!(words(&trained[0].parameters.policy), words(&initial.policy));
}

/// An agent that reached its tolerance, one that never does, and one that cannot take a step.
#[test]
fn agents_freeze_and_fail_each_on_their_own() {
    let plain = AgentConfig { algorithm: Algorithm::Trpo, max_kl: 0.05, ..base("CartPole-v1") };
    let frozen = AgentConfig { cg_tolerance: Some(1e-3), ..plain.clone() };
    let configs = [plain.clone(), frozen.clone(), plain];
    let together = train(&configs, &[0, 1, 2], &LearnerDevice::Cpu);
    let iterations =
        |agent: usize| together[agent].metrics[0].trust_region.unwrap().step.cg_iterations;
    assert_eq!(iterations(0), 10.0);
    assert!(iterations(1) < 10.0, "{}", iterations(1));
    for (agent, config) in configs.iter().enumerate() {
        let alone = train(std::slice::from_ref(config), &[agent as u64], &LearnerDevice::Cpu);
        assert_eq!(bits(&alone[0]), bits(&together[agent]), "agent {agent}");
    }
}
