//! Cost of acting and learning: one iteration of a cohort, 64 x 64 networks, minibatches of 64.
//!
//! `ppo/N` is a whole update (10 epochs x 32 minibatches, policy and value function) of N agents, `trpo/N`
//! one with as many minibatches of the value function and a trust-region step, with throughput in
//! agent-updates; `actor` is a rollout of 2048 steps of one agent.

use std::hint::black_box;

use algorithms::device::LearnerDevice;
use algorithms::network::{Layout, Parameters};
use algorithms::policy_gradient::autodiff::AutodiffLearner;
use algorithms::policy_gradient::config::{Algorithm, UpdateSchedule};
use algorithms::policy_gradient::learner::{CohortSpec, Phase};
use algorithms::policy_gradient::rollout::{Agent, Rollout};
use algorithms::policy_gradient::update::{Shuffle, Update, UpdateState};
use algorithms::policy_gradient::{AgentConfig, ValidAgentConfig};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use envs::{Purpose, Streams};

struct InOrder;

impl Shuffle for InOrder {
    fn permutation(&mut self, _: usize, _: Phase, _: usize, samples: usize) -> Vec<u32> {
        (0..u32::try_from(samples).unwrap_or(u32::MAX)).collect()
    }

    fn fisher_rows(&mut self, _: usize, _: usize, count: usize) -> Vec<u32> {
        (0..u32::try_from(count).unwrap_or(u32::MAX)).collect()
    }
}

fn streams(replicate: u64) -> Streams {
    Streams { study_seed: 1, replicate }
}

fn parameters(config: &ValidAgentConfig, replicate: u64) -> Parameters {
    let layout = Layout::new(&config.network_shape());
    Parameters::initialize(&layout, &config.initialization(), |layer| {
        streams(replicate).rng(Purpose::Init, layer)
    })
}

fn actor(criterion: &mut Criterion, config: &ValidAgentConfig) {
    let mut group = criterion.benchmark_group("actor");
    group.throughput(Throughput::Elements(config.samples() as u64));
    let Ok(mut agent) = Agent::new(config, streams(0)) else { return };
    let policy = parameters(config, 0).policy;
    group.bench_function("rollout", |bencher| {
        bencher.iter(|| black_box(agent.roll(&policy, 0).is_ok()));
    });
    group.finish();
}

fn learner(criterion: &mut Criterion, name: &str, config: &ValidAgentConfig) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10);
    for agents in [1_u64, 4, 8, 16] {
        let rollouts: Vec<Rollout> = (0..agents)
            .filter_map(|replicate| {
                let mut agent = Agent::new(config, streams(replicate)).ok()?;
                agent.roll(&parameters(config, replicate).policy, 0).ok()
            })
            .collect();
        let shape = config.network_shape();
        let spec = CohortSpec {
            shape: shape.clone(),
            configs: rollouts.iter().map(|_| (**config).clone()).collect(),
            parameters: (0..agents).map(|replicate| parameters(config, replicate)).collect(),
        };
        let configs: Vec<_> = rollouts.iter().map(|_| config.clone()).collect();
        let alive = vec![true; rollouts.len()];
        let mut learner = AutodiffLearner::new(&spec, &LearnerDevice::Cpu);
        let mut states = vec![UpdateState::default(); rollouts.len()];
        group.throughput(Throughput::Elements(agents));
        group.bench_function(BenchmarkId::from_parameter(agents), |bencher| {
            bencher.iter(|| {
                let update = Update {
                    shape: &shape,
                    configs: &configs,
                    rollouts: &rollouts,
                    alive: &alive,
                    iteration: 0,
                };
                black_box(update.run(&mut learner, &mut states, &mut InOrder).is_ok())
            });
        });
    }
    group.finish();
}

fn benchmark(criterion: &mut Criterion) {
    let config = |algorithm, update_schedule| {
        let environment = "Pendulum-v1".to_owned();
        AgentConfig { environment, algorithm, update_schedule, ..AgentConfig::default() }.validate()
    };
    let ppo = config(Algorithm::Ppo, UpdateSchedule::Joint);
    let trpo = config(Algorithm::Trpo, UpdateSchedule::ValueThenPolicy);
    let (Ok(ppo), Ok(trpo)) = (ppo, trpo) else { return };
    actor(criterion, &ppo);
    learner(criterion, "ppo", &ppo);
    learner(criterion, "trpo", &trpo);
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
