//! An agent's numbers are the same bits alone and in any cohort, whatever its neighbours' flags.

mod common;

use algorithms::device::LearnerDevice;
use algorithms::policy_gradient::AgentConfig;
use common::{base, bits, train};
use flags::{Kind, Value};

/// Values that deviate from a configuration in one field each, for every field that may differ
/// within a cohort: each other level, or other numbers.
fn deviations(config: &AgentConfig) -> Vec<(&'static str, Value)> {
    let mut result = Vec::new();
    for field in AgentConfig::FIELDS.iter().filter(|field| !field.shape) {
        let current = config.get(field.name).unwrap();
        let candidates: Vec<Value> = match field.kind {
            Kind::Level(levels) => levels.iter().map(|level| Value::from(level.name)).collect(),
            Kind::Bool => vec![Value::from(true), Value::from(false)],
            Kind::Float => {
                let number = current.as_f64().unwrap();
                vec![Value::from(if number == 0.0 { 0.1 } else { 0.9 * number })]
            }
            Kind::OptionalFloat => vec![Value::from(1e-4), Value::from("off")],
            Kind::Integer => vec![Value::from(3)],
            Kind::Text | Kind::Integers => Vec::new(),
        };
        let mut fits = candidates
            .into_iter()
            .filter(|value| *value != current)
            .filter(|value| {
                let mut other = config.clone();
                other.set(field.name, value).unwrap();
                other.validate().is_ok()
            })
            .map(|value| (field.name, value))
            .collect::<Vec<_>>();
        result.append(&mut fits);
    }
    result
}

/// Agents that all differ: the n-th has the n-th deviation, and the (3n+1)-th on top.
fn mixed(base: &AgentConfig, agents: usize) -> (Vec<AgentConfig>, Vec<u64>) {
    let deviations = deviations(base);
    let configs = (0..agents)
        .map(|agent| {
            let mut config = base.clone();
            for index in [agent, 3 * agent + 1] {
                let (field, value) = &deviations[index % deviations.len()];
                let mut other = config.clone();
                other.set(field, value).unwrap();
                if other.clone().validate().is_ok() {
                    config = other;
                }
            }
            config
        })
        .collect();
    (configs, (0..agents as u64).map(|agent| agent % 3).collect())
}

fn bases() -> Vec<AgentConfig> {
    let joint = "joint";
    let with = |environment: &str, settings: &[(&str, &str)]| {
        let mut config = base(environment);
        for (field, value) in settings {
            config.set(field, &Value::from(*value)).unwrap();
        }
        config
    };
    let mut time_input = with("Pendulum-v1", &[]);
    time_input.value_time_input = true;
    vec![
        with("Pendulum-v1", &[]),
        with("CartPole-v1", &[("update_schedule", joint)]),
        with("Pendulum-v1", &[("update_schedule", joint), ("gradient_clip", joint)]),
        with("Pendulum-v1", &[("update_schedule", joint), ("networks", "shared")]),
        with("Pendulum-v1", &[("std_dependence", "state")]),
        time_input,
    ]
}

#[test]
fn mixed_cohorts_train_each_agent_as_if_alone() {
    for base in bases() {
        let (configs, replicates) = mixed(&base, 32);
        let alone: Vec<Vec<u64>> = configs
            .iter()
            .zip(&replicates)
            .map(|(config, replicate)| {
                let config = std::slice::from_ref(config);
                bits(&train(config, &[*replicate], &LearnerDevice::Cpu)[0])
            })
            .collect();
        for agents in [2, 7, 32] {
            let together = train(&configs[..agents], &replicates[..agents], &LearnerDevice::Cpu);
            for (agent, trained) in together.iter().enumerate() {
                assert_eq!(
                    bits(trained),
                    alone[agent],
                    "agent {agent} of {agents} changed with its neighbours: {:?}",
                    configs[agent]
                );
            }
        }
    }
}

/// Fields that act on the rollout, which is synthetic here; `tests/acting.rs` covers them.
const ACTING: &[&str] = &[
    "environment_reset",
    "action_transform",
    "observation_normalization",
    "observation_statistics",
    "observation_clip",
    "reward_scaling",
    "reward_clip",
    "evaluation_episodes",
];

/// Fields that need another one switched on before they can act.
fn enabling(field: &str, config: &mut AgentConfig) {
    let settings: &[(&str, Value)] = match field {
        "gradient_clip_norm" => &[("gradient_clip", Value::Bool(true))],
        _ => &[],
    };
    if !settings.is_empty() {
        config.gradient_clip = algorithms::policy_gradient::config::GradientClip::Each;
    }
}

#[test]
fn every_flag_acts_and_only_on_its_own_agent() {
    for environment in ["Pendulum-v1", "CartPole-v1"] {
        let base = base(environment);
        for (field, value) in deviations(&base) {
            if ACTING.contains(&field) {
                continue;
            }
            let mut plain = base.clone();
            enabling(field, &mut plain);
            let mut changed = plain.clone();
            changed.set(field, &value).unwrap();
            let configs = [plain.clone(), changed, plain];
            let trained = train(&configs, &[0, 0, 0], &LearnerDevice::Cpu);
            let [first, second, third] = [0, 1, 2].map(|agent| bits(&trained[agent]));
            assert_eq!(first, third, "{field} = {value} reached another agent");
            let gaussian_only =
                ["initial_log_std", "std_transform", "gaussian_density"].contains(&field);
            let idle = environment == "CartPole-v1" && gaussian_only;
            assert_eq!(first == second, idle, "{field} = {value} in {environment}");
        }
    }
}
