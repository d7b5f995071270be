//! Losses, gradients and whole updates agree with an independent PyTorch implementation, for every
//! preset and for the levels that no preset uses.
//!
//! `tests/fixtures/pytorch/generate.py` writes the fixtures with pinned versions.

mod common;

use std::fs;
use std::path::PathBuf;

use algorithms::device::LearnerDevice;
use algorithms::network::{Layout, Parameters};
use algorithms::policy_gradient::AgentConfig;
use algorithms::policy_gradient::autodiff::AutodiffLearner;
use algorithms::policy_gradient::learner::{CohortSpec, Learner as _, MinibatchMetrics, Phase};
use algorithms::policy_gradient::update::{Shuffle, Update, UpdateState};
use common::fixtures::{Worst, config, floats, numbers, rollout};
use serde_json::Value;

/// Largest deviation allowed in either update, relative to the largest magnitude of the quantity, or
/// to one where that is smaller.
const TOLERANCE: f64 = 1e-5;

struct Given<'a>(&'a Value);

impl Shuffle for Given<'_> {
    fn permutation(&mut self, _: usize, phase: Phase, epoch: usize, _: usize) -> Vec<u32> {
        let name = if phase == Phase::Value { "value" } else { "policy" };
        let order = &self.0["permutations"][name][epoch];
        order
            .as_array()
            .unwrap()
            .iter()
            .map(|row| u32::try_from(row.as_u64().unwrap()).unwrap())
            .collect()
    }

    fn fisher_rows(&mut self, _: usize, _: usize, _: usize) -> Vec<u32> {
        unreachable!("these fixtures are of PPO")
    }
}

/// The fixtures' losses are the terms of the sum that is minimised: the policy's with the entropy
/// bonus, the value function's with its coefficient.
fn compare_minibatch(
    worst: &mut Worst,
    place: &str,
    config: &AgentConfig,
    found: &MinibatchMetrics,
    expected: &Value,
) {
    let coefficients = [config.entropy_coefficient, config.value_coefficient];
    #[allow(clippy::cast_possible_truncation)]
    let [entropy_coefficient, value_coefficient] = coefficients.map(|number| number as f32);
    let mut fields = Vec::new();
    let phase = expected["phase"].as_str().unwrap();
    if phase != "value" {
        fields.extend([
            ("policy_loss", found.policy_loss - entropy_coefficient * found.entropy),
            ("entropy", found.entropy),
            ("policy_gradient_norm", found.policy_gradient_norm),
            ("approximate_kl", found.approximate_kl),
            ("clip_fraction", found.clip_fraction),
            ("max_ratio", found.max_ratio),
        ]);
    }
    if phase != "policy" {
        fields.push(("value_loss", found.value_loss * value_coefficient));
        if !found.value_gradient_norm.is_nan() {
            fields.push(("value_gradient_norm", found.value_gradient_norm));
        }
    }
    for (name, value) in fields {
        let place = format!("{place} {name}");
        worst.compare(&place, [f64::from(value)], &numbers(&expected[name]));
    }
}

/// Runs one fixture and returns the largest deviation of each update.
fn check(case: &Value) -> [Worst; 2] {
    let config = config(case);
    let valid = config.clone().validate().unwrap();
    let mut shape = valid.network_shape();
    shape.action_dim = usize::try_from(case["action_dim"].as_u64().unwrap()).unwrap();
    assert_eq!(shape.discrete, case["discrete"].as_bool().unwrap());
    let layout = Layout::new(&shape);
    let mut policy = floats(&case["initial_parameters"]);
    let value = policy.split_off(layout.policy_len);
    assert_eq!(value.len(), layout.value_len);
    let spec = CohortSpec {
        shape: shape.clone(),
        configs: vec![config],
        parameters: vec![Parameters { policy, value }],
    };
    let mut learner = AutodiffLearner::new(&spec, &LearnerDevice::Cpu);
    let mut states = [UpdateState::default()];
    let mut worsts = [Worst::default(), Worst::default()];
    for (iteration, update) in case["updates"].as_array().unwrap().iter().enumerate() {
        let (_, trace) = Update {
            shape: &shape,
            configs: std::slice::from_ref(&valid),
            rollouts: &[rollout(update, &valid, &shape)],
            alive: &[true],
            iteration,
        }
        .run(&mut learner, &mut states, &mut Given(update))
        .unwrap();
        let worst = &mut worsts[iteration];
        let expected = &update["expected"];
        let wide = |values: &[f32]| values.iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
        let place = |what: &str| format!("update {iteration} {what}");
        worst.compare(
            &place("log_probs"),
            wide(&trace.evaluation.log_probs),
            &numbers(&expected["log_probs"]),
        );
        let advantages = &trace.advantages[0];
        worst.compare(
            &place("advantages"),
            advantages.advantages.iter().copied(),
            &numbers(&expected["advantages"]),
        );
        worst.compare(
            &place("targets"),
            advantages.targets.iter().copied(),
            &numbers(&expected["targets"]),
        );
        let found: Vec<&MinibatchMetrics> =
            trace.epochs.iter().flat_map(|(_, epoch)| epoch).map(|agents| &agents[0]).collect();
        let minibatches = expected["minibatches"].as_array().unwrap();
        assert_eq!(found.len(), minibatches.len(), "{}", place("minibatches"));
        for (index, (found, expected)) in found.into_iter().zip(minibatches).enumerate() {
            let place = place(&format!("minibatch {index}"));
            compare_minibatch(worst, &place, &valid, found, expected);
        }
        let parameters = learner.parameters().unwrap().remove(0);
        worst.compare(
            &place("parameters"),
            wide(&parameters.policy).into_iter().chain(wide(&parameters.value)),
            &numbers(&expected["parameters"]),
        );
    }
    worsts
}

#[test]
fn updates_agree_with_pytorch() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/pytorch");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    assert!(files.len() >= 60, "only {} fixtures", files.len());
    let mut failures = Vec::new();
    let mut largest = [0.0_f64; 2];
    for file in &files {
        let case: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        let name = case["name"].as_str().unwrap();
        for (update, worst) in check(&case).into_iter().enumerate() {
            largest[update] = largest[update].max(worst.deviation);
            if worst.deviation.is_nan() || worst.deviation > TOLERANCE {
                failures.push(format!("{name}: {:e} at {}", worst.deviation, worst.place));
            }
        }
    }
    println!("{} fixtures, largest deviations {largest:?}", files.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
