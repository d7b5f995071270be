//! Acting: flags of the rollout act, whole trainings do not depend on cohorts or threads, a
//! diverging agent harms nobody.

mod common;

use std::ops::ControlFlow;

use algorithms::device::LearnerDevice;
use algorithms::network::{Layout, Parameters};
use algorithms::policy_gradient::AgentConfig;
use algorithms::policy_gradient::config::{
    ActionTransform, EnvironmentReset, ObservationNormalization, RewardScaling, StatisticsOrder,
};
use algorithms::policy_gradient::rollout::{Agent, EvaluationMode, Rollout};
use algorithms::policy_gradient::train::{AgentSpec, Resources, TrainError, Training, train};
use common::{base, streams};
use envs::Purpose;

fn agent(config: &AgentConfig) -> (Agent, Vec<f32>) {
    let valid = config.clone().validate().unwrap();
    let layout = Layout::new(&valid.network_shape());
    let parameters = Parameters::initialize(&layout, &valid.initialization(), |layer| {
        streams(0).rng(Purpose::Init, layer)
    });
    (Agent::new(&valid, streams(0)).unwrap(), parameters.policy)
}

/// Two iterations of one agent.
fn roll(config: &AgentConfig) -> [Rollout; 2] {
    let (mut agent, policy) = agent(config);
    [0, 1].map(|iteration| agent.roll(&policy, iteration).unwrap())
}

/// Raw rewards and observations, large noise.
fn plain() -> AgentConfig {
    AgentConfig {
        rollout_length: 300,
        total_steps: 1200,
        observation_normalization: ObservationNormalization::None,
        observation_clip: None,
        reward_scaling: RewardScaling::None,
        reward_clip: None,
        initial_log_std: 1.5,
        ..base("Pendulum-v1")
    }
}

#[test]
fn rewards_are_scaled_and_clipped_independently() {
    let raw = roll(&plain())[0].rewards.clone();
    assert!(raw.iter().any(|reward| *reward < -5.0), "{raw:?}");
    let clipped = roll(&AgentConfig { reward_clip: Some(2.0), ..plain() })[0].rewards.clone();
    for (raw, clipped) in raw.iter().zip(&clipped) {
        assert_eq!(*clipped, raw.clamp(-2.0, 2.0));
    }
    let mut seen = vec![raw];
    for scaling in RewardScaling::ALL {
        if *scaling == RewardScaling::None {
            continue;
        }
        let scaled = roll(&AgentConfig { reward_scaling: *scaling, ..plain() });
        // Variants that differ in resets agree until the first one, so look at both iterations.
        let rewards: Vec<f32> = scaled.iter().flat_map(|rollout| rollout.rewards.clone()).collect();
        assert!(!seen.contains(&rewards), "{scaling} equals another level");
        seen.push(rewards);
    }
}

#[test]
fn observations_are_normalised_and_clipped_independently() {
    let observations = |config: &AgentConfig| -> Vec<f32> {
        roll(config)[0].features.chunks(4).flat_map(|row| row[..3].to_vec()).collect()
    };
    let raw = observations(&plain());
    let clipped = observations(&AgentConfig { observation_clip: Some(0.5), ..plain() });
    // The first observation is the same; later ones depend on actions and so on what was seen.
    for (raw, clipped) in raw.iter().zip(&clipped).take(3) {
        assert_eq!(*clipped, raw.clamp(-0.5, 0.5));
    }
    assert!(clipped.iter().all(|x| x.abs() <= 0.5));
    let mut seen = vec![raw];
    for normalization in [ObservationNormalization::Release, ObservationNormalization::Gymnasium] {
        for order in StatisticsOrder::ALL {
            let normalised = observations(&AgentConfig {
                observation_normalization: normalization,
                observation_statistics: *order,
                ..plain()
            });
            assert!(!seen.contains(&normalised), "{normalization} {order} equals another level");
            seen.push(normalised);
        }
    }
}

#[test]
fn episodes_restart_or_continue_between_iterations() {
    // Pendulum's episodes have 200 steps: three quarters of the second one remain after 300.
    let [_, reset] = roll(&plain());
    let [_, continued] =
        roll(&AgentConfig { environment_reset: EnvironmentReset::Continue, ..plain() });
    assert_eq!(reset.truncated.iter().position(|end| *end), Some(199));
    assert_eq!(continued.truncated.iter().position(|end| *end), Some(99));
    // Two environments, one time limit each (after 200 steps), or two after continuing.
    assert_eq!(reset.cuts, [199, 499]);
    assert_eq!(continued.cuts, [99, 299, 399, 599]);
    assert_eq!(continued.episodes.len(), 4);
    assert!(continued.episodes.iter().all(|episode| episode.length == 200 && episode.truncated));
}

#[test]
fn transformed_actions_stay_in_the_action_space_but_samples_do_not() {
    // Pendulum clamps torque at 2 itself, so look at a task whose reward sees the raw action.
    let config = AgentConfig { environment: "MountainCarContinuous-v0".into(), ..plain() };
    let total = |transform| {
        let config = AgentConfig { action_transform: transform, ..config.clone() };
        let [rollout, _] = roll(&config);
        assert!(rollout.features.chunks(3).any(|row| row[2].abs() > 3.0));
        rollout.rewards.into_iter().map(f64::from).fold(0.0, f64::min)
    };
    // The reward is -0.1 a^2 (and 100 at the goal).
    assert!(total(ActionTransform::Raw) < -0.5);
    assert!(total(ActionTransform::Clip) >= -0.1000001);
    assert!(total(ActionTransform::Tanh) >= -0.1000001);
}

#[test]
fn evaluation_moves_nothing() {
    let config =
        AgentConfig { observation_normalization: ObservationNormalization::Release, ..plain() };
    let (mut evaluated, policy) = agent(&config);
    let (mut untouched, _) = agent(&config);
    let first = evaluated.roll(&policy, 0).unwrap();
    assert_eq!(first.features, untouched.roll(&policy, 0).unwrap().features);
    for (mode, _) in EvaluationMode::ALL {
        let results = evaluated.evaluate(&policy, mode, 3).unwrap();
        assert_eq!(results.len(), 3);
        assert_eq!(results, evaluated.evaluate(&policy, mode, 3).unwrap());
    }
    let second = evaluated.roll(&policy, 1).unwrap();
    assert_eq!(second.features, untouched.roll(&policy, 1).unwrap().features);
}

fn specs(configs: &[AgentConfig]) -> Vec<AgentSpec> {
    configs
        .iter()
        .zip([0, 0, 1, 1, 2])
        .map(|(config, replicate)| AgentSpec {
            config: config.clone().validate().unwrap(),
            streams: streams(replicate),
        })
        .collect()
}

fn trained(specs: &[AgentSpec], threads: usize) -> Vec<Training> {
    let resources = Resources { device: LearnerDevice::Cpu, threads };
    train(specs, &resources, &mut |_| ControlFlow::Continue(())).unwrap()
}

/// Everything but times.
fn content(training: &Training) -> String {
    let iterations: Vec<String> = training
        .iterations
        .iter()
        .map(|iteration| {
            format!("{:?} {:?} {:?}", iteration.episodes, iteration.log_std, iteration.metrics)
        })
        .collect();
    format!("{iterations:?} {:?} {:?}", training.diverged, training.evaluations)
}

#[test]
fn trainings_do_not_depend_on_cohort_or_threads() {
    for environment in ["Pendulum-v1", "CartPole-v1", "MountainCarContinuous-v0"] {
        let base = AgentConfig {
            rollout_length: 250,
            total_steps: 1500,
            evaluation_episodes: 2,
            ..base(environment)
        };
        let configs = [
            base.clone(),
            AgentConfig { gamma: 0.9, ..base.clone() },
            AgentConfig { reward_scaling: RewardScaling::None, ..base.clone() },
            AgentConfig { environment_reset: EnvironmentReset::Continue, ..base.clone() },
            AgentConfig { policy_learning_rate: 1e-4, ..base },
        ];
        let specs = specs(&configs);
        let together: Vec<String> = trained(&specs, 1).iter().map(content).collect();
        let threaded: Vec<String> = trained(&specs, 3).iter().map(content).collect();
        let alone: Vec<String> =
            specs.iter().map(|spec| content(&trained(std::slice::from_ref(spec), 1)[0])).collect();
        assert_eq!(together, alone, "{environment}");
        assert_eq!(together, threaded, "{environment}");
    }
}

#[test]
fn a_trained_policy_plays_its_final_evaluation_again() {
    let config = AgentConfig {
        observation_normalization: ObservationNormalization::Release,
        evaluation_episodes: 3,
        ..base("CartPole-v1")
    };
    let training = &trained(&specs(&[config]), 1)[0];
    let policy = training.policy.as_ref().unwrap();
    for (mode, evaluated) in &training.evaluations {
        let mut moments = Vec::new();
        let played = policy.play(*mode, 3, &mut |moment| {
            moments.push((moment.episode, moment.step, moment.return_, moment.done));
            assert_eq!(moment.action.is_some(), moment.step > 0);
            Ok(())
        });
        assert_eq!(played.unwrap(), *evaluated);
        // Every state is seen: after the reset, and after each step, which pays 1.
        let expected: Vec<_> = evaluated
            .iter()
            .enumerate()
            .flat_map(|(episode, (_, length))| {
                (0..=*length).map(move |step| (episode, step, f64::from(step), step == *length))
            })
            .collect();
        assert_eq!(moments, expected);
        // Fewer or more episodes are the beginning or a continuation of the same.
        assert_eq!(policy.play(*mode, 1, &mut |_| Ok(())).unwrap(), evaluated[..1]);
        assert_eq!(policy.play(*mode, 4, &mut |_| Ok(())).unwrap()[..3], evaluated[..]);
    }
}

#[test]
fn a_diverging_agent_is_recorded_and_harms_nobody() {
    let base = AgentConfig { total_steps: 480, ..base("Pendulum-v1") };
    // Steps this long overflow within the first iteration.
    let wild = AgentConfig {
        policy_learning_rate: 1e38,
        value_learning_rate: 1e38,
        optimizer: algorithms::policy_gradient::config::Optimizer::Sgd,
        ..base.clone()
    };
    let configs = [base.clone(), wild, base];
    let specs = specs(&configs);
    let together = trained(&specs, 1);
    assert!(together[1].diverged.is_some());
    assert!(together[1].evaluations.is_empty());
    assert!(together[1].policy.is_none());
    for agent in [0, 2] {
        assert_eq!(together[agent].diverged, None);
        let alone = trained(&specs[agent..=agent], 1);
        assert_eq!(content(&together[agent]), content(&alone[0]));
    }
}

#[test]
fn the_first_minibatch_has_a_ratio_of_one_and_stopping_is_clean() {
    let config =
        AgentConfig { minibatches: 1, policy_epochs: 1, total_steps: 96, ..base("Pendulum-v1") };
    let training = &trained(&specs(std::slice::from_ref(&config)), 1)[0];
    for iteration in &training.iterations {
        assert!((iteration.metrics.max_ratio - 1.0).abs() < 1e-5);
        assert!(iteration.metrics.approximate_kl.abs() < 1e-9);
        assert_eq!(iteration.metrics.clip_fraction, 0.0);
    }
    let resources = Resources { device: LearnerDevice::Cpu, threads: 1 };
    let stopped = train(&specs(&[config]), &resources, &mut |_| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(TrainError::Interrupted)));
}
