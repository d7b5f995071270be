//! Errors, snapshots and the registry.

use envs::{
    Action, Arguments, CartPole, EnvError, EnvSpec, EnvState, Environment, TimeLimit, make,
    make_with, registry, spec, spec_with,
};

/// The environments that do not depend on a feature.
fn built_in() -> impl Iterator<Item = &'static EnvSpec> {
    registry().iter().copied().filter(|spec| spec.engine == "built in")
}

/// An action that changes from step to step, by formula.
fn act(environment: &mut dyn Environment, t: usize, observation: &mut [f64]) -> envs::Step {
    let space = &environment.spec().action_space;
    let index = (t * t / 3) % space.dim();
    let torque = [(0.7 * t as f32).sin()];
    let action = match space.is_continuous() {
        true => Action::Continuous(&torque),
        false => Action::Discrete(index),
    };
    let step = environment.step(action, observation).unwrap();
    if step.done() {
        environment.reset(None, observation);
    }
    step
}

/// Wherever a run is cut, also right after a reset and around the end of an episode, its restored
/// copy goes on with the same bits, later resets included.
#[test]
fn a_restored_environment_continues_identically() {
    for spec in built_in() {
        for cut in [0, 1, 5, 21, 150, 199, 200, 201, 260] {
            let mut original = make(spec.id).unwrap();
            let mut observation = vec![0.0; spec.observation_dim];
            original.reset(Some(11), &mut observation);
            for t in 0..cut {
                act(&mut original, t, &mut observation);
            }
            let stored = serde_json::to_string(&original.state()).unwrap();
            let restored_state: EnvState = serde_json::from_str(&stored).unwrap();
            assert_eq!(restored_state, original.state());
            let mut restored = make(spec.id).unwrap();
            restored.set_state(&restored_state).unwrap();
            let mut restored_observation = vec![0.0; spec.observation_dim];
            for t in cut..cut + 300 {
                let step = act(&mut original, t, &mut observation);
                assert_eq!(act(&mut restored, t, &mut restored_observation), step);
                assert_eq!(restored_observation, observation, "{} cut at {cut}", spec.id);
            }
            assert_eq!(restored.state(), original.state());
        }
    }
}

#[test]
fn a_state_fits_only_its_environment() {
    let mut cartpole = make("CartPole-v1").unwrap();
    let mut acrobot = make("Acrobot-v1").unwrap();
    acrobot.reset(Some(0), &mut [0.0; 6]);
    assert_eq!(
        cartpole.set_state(&acrobot.state()).unwrap_err().to_string(),
        "cannot restore a state of Acrobot-v1 into CartPole-v1"
    );
    let mut state = acrobot.state();
    state.physics.pop();
    assert_eq!(
        acrobot.set_state(&state).unwrap_err().to_string(),
        "a state of Acrobot-v1 holds 4 physics values, found 3"
    );
}

#[test]
fn an_unknown_id_lists_the_valid_ones() {
    let expected = "unknown environment `CartPole-v7`; valid names are CartPole-v1, Pendulum-v1, \
                    Acrobot-v1, MountainCar-v0, MountainCarContinuous-v0";
    // MuJoCo's tasks follow, where compiled in.
    assert!(spec("CartPole-v7").unwrap_err().to_string().starts_with(expected));
    assert_eq!(make("CartPole-v7").err(), spec("CartPole-v7").err());
}

#[test]
fn wrong_actions_are_refused_and_change_nothing() {
    let mut cartpole = make("CartPole-v1").unwrap();
    let mut observation = [0.0; 4];
    assert_eq!(
        cartpole.step(Action::Discrete(0), &mut observation),
        Err(EnvError::NotReset { environment: "CartPole-v1" })
    );
    cartpole.reset(Some(0), &mut observation);
    let before = cartpole.state();
    let mut message = |action: Action<'_>, room: usize| {
        cartpole.step(action, &mut observation[..room]).unwrap_err().to_string()
    };
    assert_eq!(message(Action::Discrete(2), 4), "CartPole-v1 takes actions 0 to 1, found 2");
    assert_eq!(
        message(Action::Continuous(&[0.0]), 4),
        "CartPole-v1 takes a discrete action, found a continuous one"
    );
    assert_eq!(
        message(Action::Discrete(0), 3),
        "CartPole-v1 writes 4 observation values, found room for 3"
    );
    assert_eq!(cartpole.state(), before);

    let mut pendulum = make("Pendulum-v1").unwrap();
    let mut observation = [0.0; 3];
    pendulum.reset(Some(0), &mut observation);
    let before = pendulum.state();
    let mut message =
        |action: Action<'_>| pendulum.step(action, &mut observation).unwrap_err().to_string();
    assert_eq!(
        message(Action::Continuous(&[0.0, 0.0])),
        "Pendulum-v1 takes an action with 1 components, found 2"
    );
    assert_eq!(
        message(Action::Continuous(&[f32::NAN])),
        "Pendulum-v1 takes finite actions, found NaN at component 0"
    );
    assert_eq!(
        message(Action::Discrete(0)),
        "Pendulum-v1 takes a continuous action, found a discrete one"
    );
    assert_eq!(pendulum.state(), before);
}

#[test]
fn a_time_limit_of_zero_is_refused() {
    assert_eq!(
        TimeLimit::new(CartPole::new(), 0).err(),
        Some(EnvError::ZeroTimeLimit { environment: "CartPole-v1" })
    );
}

/// Bounds as Gymnasium 1.4.0 prints them, reward thresholds as it registers them.
#[test]
fn specs_are_gymnasiums() {
    let of = |id: &str| spec(id).unwrap();
    assert_eq!(
        of("CartPole-v1").observation_high,
        [4.8, f32::INFINITY, 0.418_879_03, f32::INFINITY]
    );
    assert_eq!(of("Pendulum-v1").observation_low, [-1.0, -1.0, -8.0]);
    assert_eq!(of("Acrobot-v1").observation_high, [1.0, 1.0, 1.0, 1.0, 12.566_371, 28.274_334]);
    assert_eq!(of("MountainCar-v0").observation_low, [-1.2, -0.07]);
    assert_eq!(of("MountainCarContinuous-v0").observation_high, [0.6, 0.07]);
    let thresholds: Vec<_> = built_in().map(|spec| spec.reward_threshold).collect();
    assert_eq!(thresholds, [Some(475.0), None, Some(-100.0), Some(-110.0), Some(90.0)]);
    let actions: Vec<_> = built_in()
        .map(|spec| (spec.action_space.dim(), spec.action_space.is_continuous()))
        .collect();
    assert_eq!(actions, [(2, false), (1, true), (3, false), (3, false), (1, true)]);
    for spec in registry() {
        assert_eq!(spec.observation_low.len(), spec.observation_dim);
        assert_eq!(spec.observation_high.len(), spec.observation_dim);
    }
}

fn arguments(text: &str) -> Arguments {
    text.parse().unwrap()
}

#[test]
fn arguments_have_one_canonical_text() {
    for (text, canonical) in [
        ("", ""),
        ("  ", ""),
        ("b=2.0,a=1e3", "a=1000, b=2"),
        ("b = -0.50 , a=5e-7", "a=5e-7, b=-0.5"),
        ("x=True, y=false", "x=true, y=false"),
        ("z=[0.80,inf], w=(-Infinity, 1)", "w=(-inf, 1), z=(0.8, inf)"),
        ("main_body=\"torso\"", "main_body=torso"),
        ("z=inf", "z=inf"),
    ] {
        assert_eq!(arguments(text).to_string(), canonical);
        assert_eq!(arguments(canonical), arguments(text));
        let json = serde_json::to_string(&arguments(text)).unwrap();
        assert_eq!(serde_json::from_str::<Arguments>(&json).unwrap(), arguments(text));
    }
    assert!(Arguments::default().is_empty());
}

#[test]
fn texts_that_are_no_arguments_are_refused() {
    let message = |text: &str| text.parse::<Arguments>().unwrap_err().to_string();
    assert_eq!(message("a"), "expected `name=value`, found `a`");
    assert_eq!(message("a=1,"), "expected `name=value`, found ``");
    assert_eq!(message("a="), "expected `name=value`, found `a=`");
    assert_eq!(message("a=1, a=2"), "`a` is given twice");
    assert_eq!(message("1a=2"), "`1a` is not a name of an argument");
    for value in ["(1)", "(2, 1)", "(1, 2", "(nan, 1)", "a b", "'5'", "(1, 2, 3)"] {
        assert!(
            message(&format!("a={value}")).starts_with(&format!("`a` has the value `{value}`"))
        );
    }
}

#[test]
fn every_environment_takes_a_time_limit() {
    for spec in registry() {
        assert_eq!(spec.arguments[0].field.name, "max_episode_steps");
        let limited = arguments("max_episode_steps=3");
        let found = spec_with(spec.id, &limited).unwrap();
        assert_eq!(found, EnvSpec { max_episode_steps: 3, ..(*spec).clone() });
        let mut environment = make_with(spec.id, &limited).unwrap();
        assert_eq!(*environment.spec(), found);
        let mut observation = vec![0.0; found.observation_dim];
        environment.reset(Some(0), &mut observation);
        let zeros = vec![0.0; found.action_space.dim()];
        let action = match found.action_space.is_continuous() {
            true => Action::Continuous(&zeros),
            false => Action::Discrete(0),
        };
        let ends = [(); 3].map(|()| environment.step(action, &mut observation).unwrap().truncated);
        assert_eq!(ends, [false, false, true], "{}", spec.id);
    }
}

#[test]
fn wrong_arguments_are_refused() {
    let message = |text: &str| {
        let error = make_with("CartPole-v1", &arguments(text)).err().unwrap();
        assert_eq!(spec_with("CartPole-v1", &arguments(text)).err().unwrap(), error);
        error.to_string()
    };
    let expected = "`max_episode_steps` of CartPole-v1 must be a whole number in [1, ∞), found ";
    for found in ["0", "-1", "1.5", "true", "inf", "(1, 2)"] {
        assert_eq!(message(&format!("max_episode_steps={found}")), format!("{expected}{found}"));
    }
    assert_eq!(
        message("max_episode_step=5"),
        "CartPole-v1 takes no argument `max_episode_step` (did you mean `max_episode_steps`?); \
         valid names are max_episode_steps"
    );
    assert_eq!(
        message("gravity=1"),
        "CartPole-v1 takes no argument `gravity`; valid names are max_episode_steps"
    );
}

#[test]
fn mujoco_ids_say_what_to_do() {
    let message = |id: &str| make(id).err().unwrap().to_string();
    for version in [2, 3] {
        assert_eq!(
            message(&format!("Hopper-v{version}")),
            format!(
                "Hopper-v{version} is for mujoco-py and no longer offered; Hopper-v4 is nearest to it"
            )
        );
    }
    if cfg!(feature = "mujoco") {
        assert!(spec("Hopper-v4").is_ok());
    } else {
        assert_eq!(
            message("Hopper-v4"),
            "Hopper-v4 needs MuJoCo, and this program was built without it; run \
             scripts/setup-mujoco.sh and build with `--features mujoco`"
        );
    }
    assert!(message("Hopper-v6").starts_with("unknown environment `Hopper-v6`"));
}
