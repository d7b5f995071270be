//! Training that goes on from a checkpoint is the same, bit for bit, as training that was never
//! interrupted; bytes that are not what was written are never taken for a checkpoint.

mod common;

use std::time::Duration;

use algorithms::device::LearnerDevice;
use algorithms::policy_gradient::AgentConfig;
use algorithms::policy_gradient::checkpoint::{
    Checkpoint, CheckpointError, Header, Identity, read_policy,
};
use algorithms::policy_gradient::config::{
    AdvantageNormalization, Algorithm, Annealing, EnvironmentReset, KlSchedule, Networks,
    ObservationNormalization, Optimizer, RewardScaling, StatisticsOrder, StdDependence, TimeLimit,
    UpdateSchedule, ValueClip, ValueNormalization,
};
use algorithms::policy_gradient::train::{
    AgentSpec, Decision, Iteration, Resources, Supervisor, TrainError, Training, train, train_from,
};
use common::{base, streams};
use sha2::{Digest, Sha256};

/// Keeps every agent after every iteration, as bytes.
struct Recorder<'a> {
    specs: &'a [AgentSpec],
    /// `[iterations][agents]`.
    kept: Vec<Vec<Vec<u8>>>,
    last: Vec<Checkpoint>,
    stop_after: Option<u32>,
}

impl<'a> Recorder<'a> {
    fn new(specs: &'a [AgentSpec]) -> Self {
        Self { specs, kept: Vec::new(), last: Vec::new(), stop_after: None }
    }
}

impl Supervisor for Recorder<'_> {
    fn observe(&mut self, latest: &[Option<&Iteration>]) -> Decision {
        let done = latest.iter().flatten().map(|iteration| iteration.number + 1).max();
        Decision { checkpoint: true, stop: done.is_some() && done == self.stop_after }
    }

    fn keep(&mut self, checkpoints: Vec<Checkpoint>) {
        let bytes = |(checkpoint, spec): (&Checkpoint, &AgentSpec)| {
            checkpoint.to_bytes(&spec.config, &identity()).unwrap()
        };
        self.kept.push(checkpoints.iter().zip(self.specs).map(bytes).collect());
    }

    fn keeps_last(&self) -> bool {
        true
    }

    fn keep_last(&mut self, checkpoints: Vec<Checkpoint>) {
        self.last = checkpoints;
    }
}

fn identity() -> Identity {
    Identity::from([("run".to_owned(), "a run".to_owned())])
}

fn specs(configs: &[AgentConfig]) -> Vec<AgentSpec> {
    let spec = |(replicate, config): (usize, &AgentConfig)| AgentSpec {
        config: config.clone().validate().unwrap(),
        streams: streams(replicate as u64),
    };
    configs.iter().enumerate().map(spec).collect()
}

fn resources() -> Resources {
    Resources { device: LearnerDevice::Cpu, threads: 2 }
}

/// Every bit of what a training left, but for the times that it took.
fn content(training: &Training) -> Vec<u8> {
    let mut training = training.clone();
    for iteration in &mut training.iterations {
        iteration.rollout_time = Duration::ZERO;
        iteration.learner_time = Duration::ZERO;
    }
    postcard::to_allocvec(&training).unwrap()
}

/// Every bit of an agent's state, but for times.
fn state(checkpoint: &Checkpoint) -> Vec<u8> {
    let Checkpoint { iterations_done, parameters, optimizer, update, lanes, training } = checkpoint;
    let numbers = [
        &parameters.policy,
        &parameters.value,
        &optimizer.policy.first,
        &optimizer.policy.second,
        &optimizer.value.first,
        &optimizer.value.second,
    ];
    let bytes = postcard::to_allocvec(&(iterations_done, numbers, update, lanes)).unwrap();
    [bytes, content(training)].concat()
}

fn read(bytes: &[Vec<u8>], specs: &[AgentSpec]) -> Vec<Checkpoint> {
    bytes
        .iter()
        .zip(specs)
        .map(|(bytes, spec)| Checkpoint::from_bytes(bytes, spec).unwrap())
        .collect()
}

/// Trains a cohort without a break, then from its checkpoints after each iteration, as a whole and
/// (at some of them) each agent alone. Returns what was trained.
fn check(what: &str, configs: &[AgentConfig]) -> Vec<Training> {
    let specs = specs(configs);
    let plain = train(&specs, &resources(), &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    let mut recorder = Recorder::new(&specs);
    let undisturbed = train_from(&specs, Vec::new(), &resources(), &mut recorder).unwrap();
    for (plain, kept) in plain.iter().zip(&undisturbed) {
        assert!(content(plain) == content(kept), "{what}: keeping checkpoints is felt");
    }
    let Recorder { kept, last, .. } = recorder;
    assert_eq!(kept.len(), specs[0].config.iterations());
    for (index, bytes) in kept.iter().enumerate() {
        let done = index + 1;
        let mut again = Recorder::new(&specs);
        let resumed = train_from(&specs, read(bytes, &specs), &resources(), &mut again).unwrap();
        for agent in 0..specs.len() {
            let place = format!("{what}: agent {agent} after {done} iterations");
            assert!(content(&resumed[agent]) == content(&undisturbed[agent]), "{place}");
            assert!(state(&again.last[agent]) == state(&last[agent]), "{place}");
            if done % 2 == 1 {
                let spec = &specs[agent..=agent];
                let start = read(&bytes[agent..=agent], spec);
                let mut alone = Recorder::new(spec);
                let resumed = train_from(spec, start, &resources(), &mut alone).unwrap();
                assert!(content(&resumed[0]) == content(&undisturbed[agent]), "{place}, alone");
                // A cohort of diverged agents ends early, so these have done fewer iterations.
                if undisturbed[agent].diverged.is_none() {
                    assert!(state(&alone.last[0]) == state(&last[agent]), "{place}, alone");
                }
            }
        }
    }
    undisturbed
}

/// Agents with every normaliser and every way in which something is carried between iterations.
fn variants(base: &AgentConfig) -> Vec<AgentConfig> {
    let observations = ObservationNormalization::ALL.iter().cycle();
    RewardScaling::ALL
        .iter()
        .zip(observations)
        .enumerate()
        .map(|(index, (reward_scaling, observation_normalization))| AgentConfig {
            reward_scaling: *reward_scaling,
            observation_normalization: *observation_normalization,
            observation_statistics: StatisticsOrder::ALL[index % 2],
            observation_clip: (index % 3 != 0).then_some(5.0),
            reward_clip: (index % 3 != 1).then_some(5.0),
            environment_reset: match index {
                0 => EnvironmentReset::EachIteration,
                _ => EnvironmentReset::Continue,
            },
            time_limit: TimeLimit::ALL[index % 2],
            value_normalization: ValueNormalization::ALL[index % 2],
            advantage_normalization: AdvantageNormalization::ALL[index % 3],
            value_clip: ValueClip::ALL[index % 3],
            policy_annealing: Annealing::ALL[index % 2],
            value_annealing: Annealing::ALL[(index + 1) % 2],
            clip_epsilon_annealing: Annealing::Linear,
            recompute_advantages: index % 2 == 0,
            optimizer: if index == 3 { Optimizer::Sgd } else { Optimizer::Adam },
            evaluation_episodes: 1,
            ..base.clone()
        })
        .collect()
}

/// 110 steps an iteration, so that time limits of 200 fall into the middle of one.
fn long(environment: &str) -> AgentConfig {
    AgentConfig { rollout_length: 110, total_steps: 4 * 220, ..base(environment) }
}

#[test]
fn ppo_goes_on_bit_for_bit() {
    let trained = check("separate", &variants(&long("Pendulum-v1")));
    // 200 steps an episode: it begins in one iteration and ends in another.
    assert_eq!(trained[1].iterations[1].episodes[0].step, 90);
    assert!(trained.iter().all(|training| training.diverged.is_none()));
    let joint = AgentConfig { update_schedule: UpdateSchedule::Joint, ..long("CartPole-v1") };
    check("joint", &variants(&joint));
    let shared = AgentConfig { networks: Networks::Shared, ..joint };
    check("shared", &variants(&shared));
    let stop = AgentConfig { target_kl: Some(1e-4), ..long("MountainCarContinuous-v0") };
    check("early stop", &[stop.clone(), AgentConfig { target_kl: None, ..stop }]);
    let wide = AgentConfig {
        std_dependence: StdDependence::State,
        value_time_input: true,
        ..long("Pendulum-v1")
    };
    check("time and std", &variants(&wide)[..2]);
}

#[test]
fn trpo_goes_on_bit_for_bit() {
    for environment in ["Pendulum-v1", "Acrobot-v1"] {
        let trpo = AgentConfig {
            algorithm: Algorithm::Trpo,
            kl_schedule: KlSchedule::Linear,
            max_kl_final: 0.002,
            ..long(environment)
        };
        check(environment, &variants(&trpo));
    }
}

#[test]
fn diagnostics_go_on_bit_for_bit() {
    let config = AgentConfig {
        diagnose_trust_region: true,
        diagnose_value_error: true,
        diagnose_every: 2,
        diagnose_gradients: true,
        diagnose_baselines: true,
        diagnose_landscapes: true,
        diagnostic_iterations: vec![0, 2, 3],
        gradient_samples: vec![30],
        gradient_estimates: 2,
        reference_samples: 100,
        baseline_fit_samples: 100,
        landscape_points: 2,
        landscape_samples: vec![100],
        ..long("Pendulum-v1")
    };
    check("diagnostics", &[config.clone(), AgentConfig { gamma: 0.9, ..config }]);
}

#[test]
fn a_diverged_agent_stays_diverged() {
    let base = long("Pendulum-v1");
    // Steps this long overflow within the first iteration.
    let wild = AgentConfig {
        policy_learning_rate: 1e38,
        value_learning_rate: 1e38,
        optimizer: Optimizer::Sgd,
        ..base.clone()
    };
    let trained = check("diverged", &[base.clone(), wild.clone()]);
    assert_eq!([trained[0].diverged, trained[1].diverged], [None, Some(0)]);
    // Steps this long take some iterations.
    let growing = AgentConfig { policy_learning_rate: 1e3, value_learning_rate: 1e5, ..wild };
    let trained = check("diverging", &[growing, base]);
    println!("diverged in {:?}", trained[0].diverged);
    assert!(trained[0].diverged.is_some_and(|iteration| iteration > 0));
}

#[cfg(feature = "mujoco")]
#[test]
fn mujoco_goes_on_bit_for_bit() {
    // Contacts and a warm start of their solver, a quaternion, and a reward that looks back.
    for environment in ["Hopper-v4", "HalfCheetah-v4", "Reacher-v4"] {
        let ppo = long(environment);
        check(environment, &variants(&ppo));
        let trpo = AgentConfig { algorithm: Algorithm::Trpo, ..ppo };
        check(environment, &variants(&trpo)[4..]);
    }
    check("Ant-v4", &variants(&long("Ant-v4"))[1..3]);
}

/// A stopped cohort and the bytes that it left.
fn stopped(specs: &[AgentSpec], after: u32) -> Vec<Vec<u8>> {
    let mut recorder = Recorder { stop_after: Some(after), ..Recorder::new(specs) };
    let outcome = train_from(specs, Vec::new(), &resources(), &mut recorder);
    assert!(matches!(outcome, Err(TrainError::Interrupted)));
    recorder.kept.pop().unwrap()
}

fn small() -> AgentConfig {
    AgentConfig { policy_hidden: vec![3], value_hidden: vec![2], ..base("Pendulum-v1") }
}

#[test]
fn a_stop_is_answered_after_its_checkpoint() {
    let specs = specs(&[small(), small()]);
    let bytes = stopped(&specs, 2);
    let header = Header::read(&bytes[1]).unwrap();
    assert_eq!((header.iterations_done, header.iterations), (2, 4));
    assert_eq!(header.identity, identity());
}

#[test]
fn every_bit_of_a_number_survives() {
    let specs = specs(&[small()]);
    let mut checkpoint = read(&stopped(&specs, 2), &specs).remove(0);
    let odd = [f64::from_bits(0x7ff8_0000_dead_beef), -0.0, f64::NEG_INFINITY, 5e-324, f64::NAN];
    let metrics = &mut checkpoint.training.iterations[1].metrics;
    metrics.policy_loss = odd[0];
    metrics.value_loss = odd[1];
    metrics.entropy = odd[2];
    metrics.max_ratio = odd[3];
    metrics.explained_variance = Some(odd[4]);
    checkpoint.parameters.policy[0] = f32::from_bits(0x7fc0_beef);
    checkpoint.parameters.value[1] = -0.0;
    checkpoint.optimizer.policy.second[2] = f32::from_bits(1);
    checkpoint.lanes[0].environment.physics[0] = odd[0];
    let bytes = checkpoint.to_bytes(&specs[0].config, &identity()).unwrap();
    let again = Checkpoint::from_bytes(&bytes, &specs[0]).unwrap();
    let found = &again.training.iterations[1].metrics;
    assert_eq!(found.policy_loss.to_bits(), 0x7ff8_0000_dead_beef);
    assert_eq!(found.value_loss.to_bits(), 0x8000_0000_0000_0000);
    assert_eq!(again.parameters.policy[0].to_bits(), 0x7fc0_beef);
    assert!(state(&again) == state(&checkpoint));
    // Nothing in a file depends on unordered maps or addresses.
    assert!(again.to_bytes(&specs[0].config, &identity()).unwrap() == bytes);
}

#[test]
fn agents_do_not_go_on_from_checkpoints_of_others() {
    let other = AgentConfig { gamma: 0.5, ..small() };
    let specs = specs(&[small(), other, small()]);
    let bytes = stopped(&specs, 1);
    let refused = |bytes: &[u8], spec| match Checkpoint::from_bytes(bytes, spec) {
        Err(CheckpointError::OtherRun(what)) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&bytes[1], &specs[0]), "gamma is 0.5, not 0.99");
    let replicate = refused(&bytes[2], &specs[0]);
    assert_eq!(replicate, "its environments were seeded for another replicate");
    // Together they have to be equally far.
    let mut start = read(&bytes, &specs);
    start[1] = read(&stopped(&specs, 2)[1..2], &specs[1..2]).remove(0);
    let error = train_from(&specs, start, &resources(), &mut Recorder::new(&specs)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the checkpoints do not fit the agents: they are not all after the same iteration"
    );
}

#[test]
fn a_policy_is_read_as_it_acts() {
    let config = AgentConfig { environment_reset: EnvironmentReset::Continue, ..small() };
    let specs = specs(&[config]);
    let bytes = stopped(&specs, 3).remove(0);
    let checkpoint = Checkpoint::from_bytes(&bytes, &specs[0]).unwrap();
    let policy = read_policy(&bytes, specs[0].streams).unwrap();
    assert_eq!(*policy.config, *specs[0].config);
    assert_eq!(Header::read(&bytes).unwrap().iterations_done, 3);
    assert_eq!(policy.parameters, checkpoint.parameters);
    assert_eq!(policy.observations, checkpoint.lanes[0].observations);
    // The release's statistics: three components of Pendulum's observations, of which it saw
    // 1 + 24 an iteration (a reset at its beginning only in the first).
    let (mean, scale) = policy.observations.mean_and_scale().unwrap();
    assert_eq!((mean.len(), scale.len()), (3, 3));
}

/// The same bytes with a checksum that fits them, as the module describes it.
fn signed(bytes: &[u8]) -> Option<Vec<u8>> {
    let mark = br#"sha256\":\""#;
    let place = bytes.windows(mark.len()).position(|window| window == mark)? + mark.len();
    let mut bytes = bytes.to_vec();
    bytes.get_mut(place..place + 64)?.fill(b'0');
    let digest = Sha256::digest(&bytes);
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes[place..place + 64].copy_from_slice(digits.as_bytes());
    Some(bytes)
}

#[test]
fn damaged_bytes_are_an_error_and_forged_ones_no_panic() {
    let specs = specs(&[AgentConfig { num_envs: 1, ..small() }]);
    let bytes = stopped(&specs, 2).remove(0);
    let readable = |bytes: &[u8]| {
        [
            Header::read(bytes).is_ok(),
            read_policy(bytes, specs[0].streams).is_ok(),
            Checkpoint::from_bytes(bytes, &specs[0]).is_ok(),
        ]
    };
    assert_eq!(readable(&bytes), [true; 3]);
    assert!(signed(&bytes).unwrap() == bytes, "the checksum is the described one");

    for length in 0..bytes.len() {
        assert_eq!(readable(&bytes[..length]), [false; 3], "the first {length} bytes");
    }
    assert_eq!(readable(&[bytes.as_slice(), &[0]].concat()), [false; 3], "one byte more");
    let (mut flips, mut forged, mut accepted) = (0, 0, 0);
    for position in (0..8 * bytes.len()).step_by(13) {
        let mut changed = bytes.clone();
        changed[position / 8] ^= 1 << (position % 8);
        assert_eq!(readable(&changed), [false; 3], "bit {position}");
        flips += 1;
        // With a checksum that fits, it may be anything but a panic.
        if let Some(changed) = signed(&changed) {
            forged += 1;
            accepted += usize::from(readable(&changed)[2]);
        }
    }
    println!("{} bytes: {flips} flips refused; {forged} forged, {accepted} readable", bytes.len());
    assert!(flips > 1000 && accepted > 0 && accepted < forged);

    let mark = br#"\"format\":"#;
    let place = bytes.windows(mark.len()).position(|window| window == mark).unwrap();
    let mut newer = bytes.clone();
    assert_eq!(newer[place + mark.len()], b'1');
    newer[place + mark.len()] = b'2';
    let error = Checkpoint::from_bytes(&newer, &specs[0]).unwrap_err();
    assert_eq!(error.to_string(), "its format is 2, and this version reads format 1");
}
