//! Cost of acting and learning: one iteration of a cohort, 64 x 64 networks, minibatches of 64.
//!
//! `learner/N` is a whole update (10 epochs x 32 minibatches, policy and value function) of N
//! agents, with throughput in agent-minibatches; `actor` is a rollout of 2048 steps of one agent.

use std::hint::black_box;

use algorithms::device::LearnerDevice;
use algorithms::network::{Layout, Parameters};
use algorithms::policy_gradient::AgentConfig;
use algorithms::policy_gradient::autodiff::AutodiffLearner;
use algorithms::policy_gradient::config::UpdateSchedule;
use algorithms::policy_gradient::learner::{CohortSpec, Phase};
use algorithms::policy_gradient::rollout::{Agent, Rollout};
use algorithms::policy_gradient::update::{Shuffle, Update, UpdateState};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use envs::{Purpose, Streams};

struct InOrder;

impl Shuffle for InOrder {
    fn permutation(&mut self, _: usize, _: Phase, _: usize, samples: usize) -> Vec<u32> {
        (0..u32::try_from(samples).unwrap_or(u32::MAX)).collect()
    }
}

fn config() -> AgentConfig {
    AgentConfig {
        environment: "Pendulum-v1".to_owned(),
        update_schedule: UpdateSchedule::Joint,
        ..AgentConfig::default()
    }
}

fn benchmark(criterion: &mut Criterion) {
    let config = config();
    let Ok(valid) = config.clone().validate() else { return };
    let shape = valid.network_shape();
    let layout = Layout::new(&shape);
    let streams = |replicate| Streams { study_seed: 1, replicate };
    let parameters = |replicate| {
        Parameters::initialize(&layout, &valid.initialization(), |layer| {
            streams(replicate).rng(Purpose::Init, layer)
        })
    };

    let mut group = criterion.benchmark_group("actor");
    group.throughput(Throughput::Elements(valid.samples() as u64));
    let Ok(mut agent) = Agent::new(&valid, streams(0)) else { return };
    let policy = parameters(0).policy;
    group.bench_function("rollout", |bencher| {
        bencher.iter(|| black_box(agent.roll(&policy, 0).is_ok()));
    });
    group.finish();

    let mut group = criterion.benchmark_group("learner");
    group.sample_size(10);
    for agents in [1_u64, 4, 8, 16] {
        let rollouts: Vec<Rollout> = (0..agents)
            .filter_map(|replicate| {
                let mut agent = Agent::new(&valid, streams(replicate)).ok()?;
                agent.roll(&parameters(replicate).policy, 0).ok()
            })
            .collect();
        let spec = CohortSpec {
            shape: shape.clone(),
            configs: rollouts.iter().map(|_| config.clone()).collect(),
            parameters: (0..agents).map(parameters).collect(),
        };
        let configs: Vec<_> = rollouts.iter().map(|_| valid.clone()).collect();
        let alive = vec![true; rollouts.len()];
        let mut learner = AutodiffLearner::new(&spec, &LearnerDevice::Cpu);
        let mut states = vec![UpdateState::default(); rollouts.len()];
        let steps = (valid.minibatches * valid.policy_epochs) as u64;
        group.throughput(Throughput::Elements(agents * steps));
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

criterion_group!(benches, benchmark);
criterion_main!(benches);
