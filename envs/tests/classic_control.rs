//! The classic-control tasks against Gymnasium 1.4.0.

mod support;

use envs::{
    Acrobot, Action, CartPole, EnvState, Environment, MountainCar, MountainCarContinuous,
    NumpyGenerator, Pendulum, Step, TimeLimit, make, registry,
};
use support::{assert_close, difference, rows, value, values, widened};

/// An environment of the registry without its time limit.
fn unlimited(id: &str) -> Box<dyn Environment> {
    match id {
        "CartPole-v1" => Box::new(CartPole::new()),
        "Pendulum-v1" => Box::new(Pendulum::new()),
        "Acrobot-v1" => Box::new(Acrobot::new()),
        "MountainCar-v0" => Box::new(MountainCar::new()),
        "MountainCarContinuous-v0" => Box::new(MountainCarContinuous::new()),
        other => panic!("no environment {other}"),
    }
}

enum OwnedAction {
    Discrete(usize),
    Continuous(Vec<f32>),
}

impl OwnedAction {
    fn parse(environment: &dyn Environment, cell: &str) -> Self {
        if environment.spec().action_space.is_continuous() {
            Self::Continuous(values(cell))
        } else {
            Self::Discrete(value(cell))
        }
    }

    fn borrow(&self) -> Action<'_> {
        match self {
            Self::Discrete(index) => Action::Discrete(*index),
            Self::Continuous(values) => Action::Continuous(values),
        }
    }
}

/// A row of a trajectory fixture.
struct Row {
    reset: bool,
    action: String,
    reward: f64,
    terminated: bool,
    truncated: bool,
    state: Vec<f64>,
    observation: Vec<f64>,
}

fn trajectory(id: &str) -> Vec<Row> {
    let parse = |row: Vec<String>| Row {
        reset: row[0] == "reset",
        action: row[1].clone(),
        reward: value(&row[2]),
        terminated: row[3] == "1",
        truncated: row[4] == "1",
        state: values(&row[5]),
        observation: widened(&row[6]),
    };
    rows(id).into_iter().map(parse).collect()
}

#[test]
fn resets_have_gymnasiums_bits() {
    for row in rows("resets") {
        let mut environment = make(&row[0]).unwrap();
        let mut observation = vec![0.0; environment.spec().observation_dim];
        environment.reset(Some(value(&row[1])), &mut observation);
        let state: Vec<f64> = values(&row[2]);
        assert_eq!(environment.state().physics[..state.len()], state, "{} {}", row[0], row[1]);
        assert_eq!(observation, widened(&row[3]), "{} {}", row[0], row[1]);
        environment.reset(None, &mut observation);
        assert_eq!(observation, widened(&row[4]), "{} {}, second", row[0], row[1]);
    }
}

/// Fact sheet, section 4d: observation after reset(seed=42), to the digits printed there.
#[test]
fn resets_of_seed_42() {
    let check = |id: &str, expected: &[(usize, f64)]| {
        let mut environment = make(id).unwrap();
        let mut observation = vec![0.0; environment.spec().observation_dim];
        environment.reset(Some(42), &mut observation);
        for &(index, expected) in expected {
            assert_close(&[observation[index]], &[expected], 1e-9);
        }
    };
    check(
        "CartPole-v1",
        &[(0, 0.0273956042), (1, -0.00611215597), (2, 0.0358597934), (3, 0.0197368022)],
    );
    check("Pendulum-v1", &[(0, -0.149952561), (1, 0.988693178), (2, -0.122243121)]);
    check("Acrobot-v1", &[(0, 0.998499334), (1, 0.0547637977), (5, 0.0394736044)]);
    check("MountainCar-v0", &[(0, -0.445208788), (1, 0.0)]);
    check("MountainCarContinuous-v0", &[(0, -0.445208788), (1, 0.0)]);
}

/// Largest differences over a fixture: of single steps, each from Gymnasium's own state, and of
/// the whole trajectory, played from its seed. Flags must be equal.
fn compare(id: &str, limit: u32) -> [f64; 2] {
    let rows = trajectory(id);
    let mut single = unlimited(id);
    let mut played = TimeLimit::new(unlimited(id), limit).unwrap();
    let dim = played.spec().observation_dim;
    let mut observation = vec![0.0; dim];
    let (mut worst_single, mut worst_played) = (0.0_f64, 0.0_f64);
    for (index, row) in rows.iter().enumerate() {
        if row.reset {
            played.reset((index == 0).then_some(7), &mut observation);
            assert_eq!(observation, row.observation, "{id}, row {index}");
            continue;
        }
        let action = OwnedAction::parse(&played, &row.action);
        let expected = [&row.state[..], &row.observation[..], &[row.reward]].concat();
        let found = |environment: &dyn Environment, observation: &[f64], step: Step| {
            let physics = environment.state().physics;
            [&physics[..row.state.len()], observation, &[step.reward]].concat()
        };

        let step = played.step(action.borrow(), &mut observation).unwrap();
        assert_eq!(step.terminated, row.terminated, "{id}, row {index}");
        assert_eq!(step.truncated, row.truncated, "{id}, row {index}");
        worst_played = worst_played.max(difference(&found(&played, &observation, step), &expected));

        let before = &rows[index - 1];
        let mut physics = before.state.clone();
        match id {
            "CartPole-v1" => physics.push(0.0),
            // Stored as f32 after the first step of an episode.
            "MountainCarContinuous-v0" => physics.push(if before.reset { 0.0 } else { 1.0 }),
            _ => {}
        }
        let state = EnvState {
            environment: id.to_owned(),
            physics,
            generator: NumpyGenerator::new(0),
            elapsed_steps: 0,
        };
        single.set_state(&state).unwrap();
        let step = single.step(action.borrow(), &mut observation).unwrap();
        worst_single = worst_single.max(difference(&found(&single, &observation, step), &expected));
    }
    [worst_single, worst_played]
}

// Time limits are those of fixtures/generate.py. Bounds are those measured, rounded up; they are not
// zero where libm and glibc round a sine or cosine differently, or where glibc's pow(x, 2) is not
// x * x. Both libm and the rest of the arithmetic are the same on every machine. Observations are
// f32, so within these bounds they have Gymnasium's bits.

#[test]
fn cartpole_follows_gymnasium() {
    assert_eq!(compare("CartPole-v1", 25), [0.0, 0.0]);
}

#[test]
fn pendulum_follows_gymnasium() {
    let [single, played] = compare("Pendulum-v1", 200);
    assert!(single <= 2e-16 && played <= 5e-16, "{single:e} {played:e}");
}

#[test]
fn acrobot_follows_gymnasium() {
    let [single, played] = compare("Acrobot-v1", 110);
    assert!(single <= 3e-16 && played <= 1e-13, "{single:e} {played:e}");
}

#[test]
fn mountain_car_follows_gymnasium() {
    let [single, played] = compare("MountainCar-v0", 200);
    assert!(single <= 1e-18 && played <= 1e-15, "{single:e} {played:e}");
}

#[test]
fn mountain_car_continuous_follows_gymnasium() {
    assert_eq!(compare("MountainCarContinuous-v0", 120), [0.0, 0.0]);
}

/// Fact sheet, section 4d: from (.01, -.02, .03, .04), action (t / 3) % 2.
#[test]
fn cartpole_golden_trajectory() {
    let mut cartpole = CartPole::new();
    cartpole.set_physics([0.01, -0.02, 0.03, 0.04]);
    let mut observation = [0.0; 4];
    for t in 0..=14 {
        let step = cartpole.step(Action::Discrete((t / 3) % 2), &mut observation).unwrap();
        assert_eq!(step, Step { reward: 1.0, terminated: t == 14, truncated: false });
        let physics = cartpole.physics().unwrap();
        match t {
            0 => assert_close(&physics, &[0.0096, -0.2155390171, 0.0308, 0.3419952238], 1e-10),
            9 => assert_close(
                &physics,
                &[-0.05318386562, -0.419965304, 0.1404030693, 0.847194815],
                1e-10,
            ),
            14 => assert_close(&physics[2..3], &[0.2116213638], 1e-10),
            _ => {}
        }
    }
    // Gymnasium warns about a step after termination and pays nothing for it.
    let step = cartpole.step(Action::Discrete(0), &mut observation).unwrap();
    assert_eq!(step, Step { reward: 0.0, terminated: true, truncated: false });
}

/// Fact sheet, section 4d: from (1, -.5), torque 2.5 sin(.3 t). The sheet's run passed f64
/// torques, Gymnasium 1.4.0 with the f32 torques that the action space asks for gives a sum of
/// -116.64403691415993 and an end at 5.305707522128088, 0.2093589640364827.
#[test]
fn pendulum_golden_trajectory() {
    let mut pendulum = Pendulum::new();
    pendulum.set_physics([1.0, -0.5]);
    let mut observation = [0.0; 3];
    let mut sum = 0.0;
    for t in 0..20 {
        let torque = (2.5 * (0.3 * f64::from(t)).sin()) as f32;
        let step = pendulum.step(Action::Continuous(&[torque]), &mut observation).unwrap();
        sum += step.reward;
        if t == 0 {
            assert_close(&[step.reward], &[-1.025], 1e-15);
            assert_close(&pendulum.physics().unwrap(), &[1.006555162, 0.1311032386], 1e-9);
        }
    }
    let end = pendulum.physics().unwrap();
    assert_close(&[sum, end[0], end[1]], &[-116.6440369, 5.305707516, 0.2093589444], 2e-8);
    assert_close(
        &[sum, end[0], end[1]],
        &[-116.64403691415993, 5.305707522128088, 0.2093589640364827],
        1e-14,
    );
}

/// Fact sheet, section 4d: from (-.5, 0), always pushing in the direction of motion.
#[test]
fn mountain_car_golden_trajectory() {
    let mut car = MountainCar::new();
    car.set_physics([-0.5, 0.0]);
    let mut observation = [0.0; 2];
    for t in 0.. {
        let [_, velocity] = car.physics().unwrap();
        let action = if velocity >= 0.0 { 2 } else { 0 };
        let step = car.step(Action::Discrete(action), &mut observation).unwrap();
        assert_eq!(step, Step { reward: -1.0, terminated: t == 123, truncated: false });
        if step.terminated {
            break;
        }
    }
    assert_close(&car.physics().unwrap(), &[0.5349499826, 0.04819097793], 1e-10);
}

/// Fact sheet, section 4d: from (-.5, 0), force +-1.2 in the direction of motion. The sheet's run
/// passed f64 actions; with f32 ones Gymnasium 1.4.0 gives rewards of -0.14400001144409202 and
/// 99.85599998855591, and a sum of 84.73599878692625.
#[test]
fn mountain_car_continuous_golden_trajectory() {
    let mut car = TimeLimit::new(MountainCarContinuous::new(), 106).unwrap();
    car.reset(Some(0), &mut [0.0; 2]);
    car.inner_mut().set_physics([-0.5, 0.0]);
    let mut observation = [0.0; 2];
    let mut sum = 0.0;
    for t in 0.. {
        let [_, velocity] = car.inner().physics().unwrap();
        let force = if velocity >= 0.0 { 1.2 } else { -1.2 };
        let step = car.step(Action::Continuous(&[force]), &mut observation).unwrap();
        sum += step.reward;
        if t == 0 {
            assert_eq!(step.reward, -0.14400001144409202);
            assert_close(&[step.reward], &[-0.144], 2e-8);
        }
        assert_eq!(step.terminated, t == 105);
        if step.done() {
            // The goal and the limit of 106 steps on the same step.
            assert!(step.terminated && step.truncated);
            assert_eq!(step.reward, 99.85599998855591);
            break;
        }
    }
    assert_eq!(observation, [f64::from(0.502_086_9_f32), f64::from(0.064_047_694_f32)]);
    assert_close(&[sum], &[84.73599878692625], 1e-14);
    assert_close(&[sum], &[84.736], 2e-8);
}

/// Fact sheet, section 4d: from (.05, -.02, .03, .01), action 2 if the first joint's velocity is
/// at least zero, otherwise 0.
#[test]
fn acrobot_golden_trajectory() {
    let mut acrobot = Acrobot::new();
    acrobot.set_physics([0.05, -0.02, 0.03, 0.01]);
    let mut observation = [0.0; 6];
    for t in 0..20 {
        let action = if acrobot.physics().unwrap()[2] >= 0.0 { 2 } else { 0 };
        let step = acrobot.step(Action::Discrete(action), &mut observation).unwrap();
        assert_eq!(step, Step { reward: -1.0, terminated: false, truncated: false });
        let physics = acrobot.physics().unwrap();
        match t {
            0 => assert_close(
                &physics,
                &[0.0360647595, 0.02306402141, -0.1649082943, 0.4105485876],
                1e-10,
            ),
            19 => assert_close(
                &physics,
                &[0.0285177043, 0.04829170924, 0.1283234986, -0.5329255527],
                1e-10,
            ),
            _ => {}
        }
    }
}

/// Limits as Gymnasium registers them, reached by policies that never terminate.
#[test]
fn registered_time_limits_truncate() {
    let built_in = registry().iter().filter(|spec| spec.engine == "built in");
    let limits: Vec<_> = built_in.map(|spec| (spec.id, spec.max_episode_steps)).collect();
    assert_eq!(
        limits,
        [
            ("CartPole-v1", 500),
            ("Pendulum-v1", 200),
            ("Acrobot-v1", 500),
            ("MountainCar-v0", 200),
            ("MountainCarContinuous-v0", 999),
        ]
    );
    for (id, limit) in limits {
        let mut environment = make(id).unwrap();
        let mut observation = vec![0.0; environment.spec().observation_dim];
        environment.reset(Some(0), &mut observation);
        for t in 1.. {
            let action = match id {
                "CartPole-v1" => {
                    let lean = observation[2] + 0.5 * observation[3] + 0.1 * observation[1];
                    Action::Discrete(usize::from(lean > 0.0))
                }
                "Acrobot-v1" | "MountainCar-v0" => Action::Discrete(1),
                _ => Action::Continuous(&[0.0]),
            };
            let step = environment.step(action, &mut observation).unwrap();
            assert!(!step.terminated, "{id} terminated at {t}");
            assert_eq!(step.truncated, t >= limit, "{id}, step {t}");
            if t == limit + 1 {
                break;
            }
        }
    }
}
