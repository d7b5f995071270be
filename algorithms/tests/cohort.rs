//! An agent's numbers are the same bits alone and in any cohort, whatever its neighbours' flags.

mod common;

use algorithms::device::LearnerDevice;
use algorithms::policy_gradient::AgentConfig;
use algorithms::policy_gradient::config::{Algorithm, GradientClip, KlSchedule};
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
            // A smaller share may accept the same steps.
            Kind::Float if field.name == "acceptance_ratio" => vec![Value::from(1.0)],
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
        with("Pendulum-v1", &[("algorithm", "trpo")]),
        with("Pendulum-v1", &[("algorithm", "trpo"), ("std_dependence", "state")]),
        with("CartPole-v1", &[("algorithm", "trpo")]),
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

/// Fields of PPO that have no effect with TRPO.
const PPO_ALONE: &[&str] = &[
    "ratio_clip",
    "clip_epsilon",
    "clip_epsilon_annealing",
    "entropy_coefficient",
    "target_kl",
    "policy_learning_rate",
    "policy_annealing",
    "policy_adam_epsilon",
];

/// Switches on what a field needs before it can act.
fn enable(field: &str, config: &mut AgentConfig) {
    match field {
        "gradient_clip_norm" => config.gradient_clip = GradientClip::Value,
        "max_kl_final" => config.kl_schedule = KlSchedule::Linear,
        "kl_schedule" => config.max_kl_final = 0.002,
        // So little of the Fisher matrix is known that steps leave the trust region.
        "line_search_kl" => {
            (config.max_kl, config.damping, config.fisher_fraction) = (0.5, 1e-3, 0.05);
        }
        _ => {}
    }
}

#[test]
fn every_flag_acts_and_only_on_its_own_agent() {
    for (environment, algorithm) in [
        ("Pendulum-v1", Algorithm::Ppo),
        ("CartPole-v1", Algorithm::Ppo),
        ("Pendulum-v1", Algorithm::Trpo),
        ("CartPole-v1", Algorithm::Trpo),
    ] {
        let base = AgentConfig { algorithm, ..base(environment) };
        for (field, value) in deviations(&base) {
            if ACTING.contains(&field) {
                continue;
            }
            let mut plain = base.clone();
            enable(field, &mut plain);
            let mut changed = plain.clone();
            changed.set(field, &value).unwrap();
            let configs = [plain.clone(), changed, plain];
            let trained = train(&configs, &[0, 0, 0], &LearnerDevice::Cpu);
            let [first, second, third] = [0, 1, 2].map(|agent| bits(&trained[agent]));
            assert_eq!(first, third, "{field} = {value} reached another agent");
            let gaussian_alone =
                ["initial_log_std", "std_transform", "gaussian_density"].contains(&field);
            let group = AgentConfig::FIELDS.iter().find(|other| other.name == field).unwrap().group;
            let idle = environment == "CartPole-v1" && gaussian_alone
                || match algorithm {
                    Algorithm::Ppo => group == "Trust region",
                    Algorithm::Trpo => PPO_ALONE.contains(&field),
                };
            assert_eq!(first == second, idle, "{field} = {value} in {environment}, {algorithm}");
        }
    }
}
