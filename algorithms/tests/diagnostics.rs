//! Diagnostics: training never notices them, and what they say agrees with what is known otherwise.

mod common;

use std::ops::ControlFlow;

use algorithms::device::LearnerDevice;
use algorithms::policy_gradient::AgentConfig;
use algorithms::policy_gradient::config::{
    Algorithm, RewardScaling, ValueClip, ValueNormalization,
};
use algorithms::policy_gradient::diagnostics::Diagnostics;
use algorithms::policy_gradient::train::{AgentSpec, Resources, Training, train};
use common::{base, streams};

/// Trains a cohort of two replicates and returns what it left.
fn trained(config: &AgentConfig) -> Vec<Training> {
    let specs: Vec<AgentSpec> = (0..2)
        .map(|replicate| AgentSpec {
            config: config.clone().validate().unwrap(),
            streams: streams(replicate),
        })
        .collect();
    let resources = Resources { device: LearnerDevice::Cpu, threads: 2 };
    train(&specs, &resources, &mut |_| ControlFlow::Continue(())).unwrap()
}

/// Everything but times and diagnostics.
fn results(training: &Training) -> String {
    let iterations: Vec<_> = training
        .iterations
        .iter()
        .map(|iteration| {
            (iteration.steps, &iteration.episodes, iteration.log_std, &iteration.metrics)
        })
        .collect();
    format!("{iterations:?} {:?} {:?}", training.diverged, training.evaluations)
}

/// Everything switched on, small.
fn all(config: AgentConfig) -> AgentConfig {
    AgentConfig {
        diagnose_trust_region: true,
        diagnose_value_error: true,
        diagnose_every: 2,
        diagnose_gradients: true,
        diagnose_baselines: true,
        diagnose_landscapes: true,
        diagnostic_iterations: vec![0, 2],
        gradient_samples: vec![30, 100],
        gradient_estimates: 3,
        reference_samples: 500,
        baseline_fit_samples: 500,
        landscape_points: 3,
        landscape_samples: vec![300],
        ..config
    }
}

#[test]
fn training_never_notices_a_diagnostic() {
    let running = ValueNormalization::Running;
    for plain in [
        base("CartPole-v1"),
        AgentConfig { value_time_input: true, ..base("Pendulum-v1") },
        AgentConfig { value_normalization: running, ..base("Pendulum-v1") },
        AgentConfig { algorithm: Algorithm::Trpo, ..base("Pendulum-v1") },
    ] {
        let without = trained(&plain);
        assert!(without.iter().all(|training| training.diagnostics == Diagnostics::default()));
        let everything = all(plain.clone());
        let switches: [fn(&mut AgentConfig); 6] = [
            |config| config.diagnose_trust_region = true,
            |config| config.diagnose_value_error = true,
            |config| config.diagnose_gradients = true,
            |config| config.diagnose_baselines = true,
            |config| config.diagnose_landscapes = true,
            |config| *config = all(config.clone()),
        ];
        let together = trained(&everything);
        for (number, switch) in switches.into_iter().enumerate() {
            let mut config = AgentConfig {
                diagnose_trust_region: false,
                diagnose_value_error: false,
                diagnose_gradients: false,
                diagnose_baselines: false,
                diagnose_landscapes: false,
                ..everything.clone()
            };
            switch(&mut config);
            let with = trained(&config);
            for ((without, with), together) in without.iter().zip(&with).zip(&together) {
                assert_eq!(results(without), results(with), "diagnostic {number}, {plain:?}");
                // Nor does another diagnostic.
                let (one, all) = (&with.diagnostics, &together.diagnostics);
                let pairs = [
                    one.trust_region == all.trust_region,
                    one.value_errors == all.value_errors,
                    one.gradients == all.gradients,
                    one.baselines == all.baselines,
                    one.landscapes == all.landscapes,
                ];
                let expected = [0, 1, 2, 3, 4].map(|table| table == number || number == 5);
                assert_eq!(pairs, expected, "diagnostic {number}, {plain:?}");
            }
        }
        for Training { diagnostics, .. } in &together {
            let counts = (diagnostics.trust_region.len(), diagnostics.value_errors.len());
            assert_eq!(counts, (2, 2));
            assert_eq!(diagnostics.gradients.len(), 2 * 2 * 3);
            assert_eq!(diagnostics.baselines.len(), 2 * 3 * 2 * 3);
            assert_eq!(diagnostics.landscapes.len(), 2 * 9);
        }
    }
}

/// The trust-region step knows its own KL and ratio over the whole batch.
#[test]
fn the_trust_region_is_the_one_that_trpo_kept() {
    for environment in ["CartPole-v1", "Pendulum-v1"] {
        let config = AgentConfig {
            algorithm: Algorithm::Trpo,
            total_steps: 20 * 48,
            diagnose_trust_region: true,
            diagnose_every: 1,
            ..base(environment)
        };
        let mut moved = 0;
        for training in trained(&config) {
            let rows = &training.diagnostics.trust_region;
            assert_eq!(rows.len(), 20);
            for (row, iteration) in rows.iter().zip(&training.iterations) {
                let step = iteration.metrics.trust_region.unwrap().step;
                let close = |found: f64, expected: f32| {
                    (found - f64::from(expected)).abs() < 1e-5 * f64::from(expected).max(1.0)
                };
                if step.fraction > 0.0 {
                    moved += 1;
                    assert!(close(row.train.kl, step.kl), "{row:?} {step:?}");
                    assert!(close(row.train.max_ratio, step.max_ratio), "{row:?} {step:?}");
                    assert!(row.heldout.kl > 0.0 && row.heldout != row.train);
                } else {
                    assert_eq!(
                        (row.train.kl, row.train.max_ratio, row.train.outside),
                        (0.0, 1.0, 0.0)
                    );
                    assert_eq!(row.heldout, row.train);
                }
            }
        }
        assert!(moved > 10, "only {moved} of 40 updates moved");
    }
}

/// Episodes of 40 steps or so, one environment, and a policy that has not learned yet.
fn longer(environment: &str) -> AgentConfig {
    AgentConfig {
        num_envs: 1,
        rollout_length: 400,
        total_steps: 3 * 400,
        minibatches: 8,
        value_epochs: 10,
        policy_learning_rate: 3e-4,
        diagnostic_iterations: vec![2],
        ..base(environment)
    }
}

#[test]
fn more_samples_agree_better() {
    let config = AgentConfig {
        diagnose_gradients: true,
        gradient_samples: vec![50, 2000],
        gradient_estimates: 8,
        reference_samples: 40_000,
        ..longer("CartPole-v1")
    };
    for training in trained(&config) {
        let rows = training.diagnostics.gradients;
        let mean = |samples: u64, pick: fn(f64, f64) -> f64| {
            let of_size: Vec<f64> = rows
                .iter()
                .filter(|row| row.samples == samples)
                .map(|row| pick(row.cosine_to_others, row.cosine_to_reference))
                .collect();
            assert_eq!(of_size.len(), 8);
            of_size.iter().sum::<f64>() / 8.0
        };
        let (others, reference) = (|others, _| others, |_, reference| reference);
        for pick in [others, reference] {
            let (few, many) = (mean(50, pick), mean(2000, pick));
            assert!(1.0 - many < 0.3 * (1.0 - few), "{few} with 50, {many} with 2000");
        }
        assert!(mean(2000, reference) > mean(2000, others));
    }
}

#[test]
fn landscapes_start_where_the_agent_stands() {
    let config = AgentConfig {
        diagnose_landscapes: true,
        landscape_points: 4,
        landscape_samples: vec![4000],
        ..longer("CartPole-v1")
    };
    for training in trained(&config) {
        let rows = &training.diagnostics.landscapes;
        assert_eq!(rows.len(), 16);
        let at = |update: f64, direction: f64| {
            rows.iter().find(|row| (row.update, row.direction) == (update, direction)).unwrap()
        };
        let start = at(0.0, 0.0);
        assert!(start.surrogate.abs() < 1e-9, "ratios of 1, and advantages of mean 0: {start:?}");
        let returns: Vec<f64> =
            training.iterations[2].episodes.iter().map(|episode| episode.return_).collect();
        let expected = returns.iter().sum::<f64>() / returns.len() as f64;
        let found = start.return_mean.unwrap();
        assert!((found - expected).abs() < 0.5 * expected, "{found} instead of {expected}");
        assert!(start.episodes > 50);
        assert!(at(1.0, 0.0).surrogate > 0.0, "the update improves what it maximises: {rows:?}");
    }
}

/// While the policy hardly moves, its value function learns, and noise in the targets stays.
#[test]
fn values_approach_returns() {
    let config = AgentConfig {
        diagnose_value_error: true,
        diagnose_every: 1,
        total_steps: 30 * 400,
        policy_learning_rate: 1e-6,
        reward_scaling: RewardScaling::None,
        value_clip: ValueClip::None,
        ..longer("CartPole-v1")
    };
    for training in trained(&config) {
        let rows = &training.diagnostics.value_errors;
        assert_eq!(rows.len(), 30);
        let error = |row: usize| rows[row].heldout_return.root_mean_square.unwrap();
        assert!(error(29) < 0.8 * error(0), "{} at first, {} at last", error(0), error(29));
        let last = rows[29];
        assert!(last.heldout_return.relative.unwrap() > last.heldout_target.relative.unwrap());
    }
}
