//! Presets through the public interface: complete, valid, and with the numbers of their sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ceteris::studies::{Preset, Study, registry};
use ceteris::study::preset_settings;
use flags::Value;

type Settings = BTreeMap<&'static str, Value>;

fn presets() -> impl Iterator<Item = (&'static dyn Study, &'static Preset)> {
    registry().iter().flat_map(|study| study.presets().iter().map(|preset| (*study, preset)))
}

fn settings_of(study: &'static dyn Study, preset: &Preset) -> Settings {
    let settings = preset_settings(study, preset).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    settings.into_iter().map(|setting| (setting.field.name, setting.value)).collect()
}

fn settings(name: &str) -> Settings {
    let found = presets().find(|(_, preset)| preset.name == name);
    let (study, preset) = found.unwrap_or_else(|| panic!("no preset {name}"));
    settings_of(study, preset)
}

#[test]
fn every_preset_assigns_every_field() {
    for (study, preset) in presets() {
        let set = settings_of(study, preset);
        let missing: Vec<&str> = study
            .fields()
            .iter()
            .map(|field| field.name)
            .filter(|name| !set.contains_key(name))
            .collect();
        // The environment is the study file's to choose, unless the preset is of one.
        let of_one = preset.name.split('/').count() == 3;
        let open: &[&str] = if of_one { &[] } else { &["environment"] };
        assert_eq!(missing, open, "{}", preset.name);
    }
}

#[test]
fn every_preset_is_valid() {
    let known: BTreeSet<&str> = envs::registry().iter().map(|spec| spec.id).collect();
    for (study, preset) in presets() {
        let mut configuration = study.defaults();
        for (field, value) in settings_of(study, preset) {
            // Without the feature `mujoco` its tasks are not known; nothing else depends on them.
            let unknown = matches!(&value, Value::Text(id) if !known.contains(id.as_str()));
            if field == "environment" && unknown {
                if cfg!(feature = "mujoco") {
                    panic!("{}: {value}", preset.name);
                }
                continue;
            }
            study.set(&mut configuration, field, &value).unwrap();
        }
        let problems = study.check(&configuration);
        assert!(problems.is_empty(), "{}: {problems:?}", preset.name);
    }
}

#[test]
fn names_are_unique_and_every_layer_says_something() {
    let mut names = BTreeSet::new();
    let mut layers: BTreeMap<&str, &str> = BTreeMap::new();
    for (_, preset) in presets() {
        assert!(names.insert(preset.name), "{}", preset.name);
        for layer in preset.layers {
            let first = layers.entry(layer.name).or_insert(layer.toml);
            assert_eq!(*first, layer.toml, "two layers are named {}", layer.name);
            let table: toml::Table = layer.toml.parse().unwrap();
            assert!(!table.is_empty(), "{} sets nothing", layer.name);
        }
    }
}

#[test]
fn every_file_is_a_layer_of_some_preset() {
    fn files(folder: &Path, prefix: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{prefix}{}", path.file_stem().unwrap().to_string_lossy());
            if path.is_dir() {
                files(&path, &format!("{name}/"), found);
            } else {
                found.insert(name);
            }
        }
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/studies/policy_gradient/presets");
    let mut found = BTreeSet::new();
    files(&folder, "", &mut found);
    let used: BTreeSet<String> = presets()
        .flat_map(|(_, preset)| preset.layers)
        .map(|layer| layer.name.to_owned())
        .collect();
    assert_eq!(found, used);
}

/// What a tuned configuration of the release says, in the release's own words.
///
/// Transcribed from the configuration scripts (`configs/*.py` of MadryLab/implementation-matters at
/// 5ee6ecb, merged with its `src/MuJoCo.json`), not from the presets.
struct Tuned {
    environment: &'static str,
    arm: &'static str,
    policy_lr: Option<f64>,
    val_lr: f64,
    lambda: f64,
    entropy_coeff: f64,
    /// First and final, where the mode is trpo.
    max_kl: Option<(f64, f64)>,
    norm_rewards: &'static str,
    clip_rewards: Option<f64>,
    clip_observations: Option<f64>,
    initialization: &'static str,
    anneal_lr: bool,
    value_clipping: bool,
    clip_grad_norm: Option<f64>,
}

#[rustfmt::skip]
fn tuned() -> Vec<Tuned> {
    let row = |environment, arm, policy_lr, val_lr, lambda, entropy_coeff, max_kl,
               (norm_rewards, clip_rewards), clip_observations, initialization,
               (anneal_lr, value_clipping), clip_grad_norm| Tuned {
        environment, arm, policy_lr, val_lr, lambda, entropy_coeff, max_kl, norm_rewards,
        clip_rewards, clip_observations, initialization, anneal_lr, value_clipping, clip_grad_norm,
    };
    let ten = Some(10.0);
    let returns = ("returns", ten);
    let none = ("none", None);
    let (yes, no) = (true, false);
    vec![
        row("hopper", "ppo", Some(3e-4), 2.5e-4, 0.95, 0.0, None, returns, ten, "orthogonal", (yes, no), None),
        row("hopper", "ppo-m", Some(1.7e-4), 4e-4, 0.95, 0.0, None, none, None, "xavier", (no, no), None),
        row("hopper", "ppo-noclip", Some(6e-5), 4e-4, 0.925, -0.005, None, ("rewards", Some(2.5)), ten, "orthogonal", (yes, no), Some(4.0)),
        row("hopper", "trpo", None, 2e-4, 0.95, 0.0, Some((0.13, 0.13)), none, None, "xavier", (no, no), None),
        row("hopper", "trpo-plus", None, 2e-4, 0.95, 0.0, Some((0.04, 0.07)), returns, ten, "orthogonal", (no, no), Some(1.0)),
        row("walker2d", "ppo", Some(4e-4), 3e-4, 0.95, 0.0, None, returns, ten, "orthogonal", (yes, yes), None),
        row("walker2d", "ppo-m", Some(1e-4), 2e-4, 0.95, 0.0, None, none, None, "xavier", (no, no), None),
        row("walker2d", "ppo-noclip", Some(7.25e-5), 6e-4, 0.85, -0.01, None, ("rewards", Some(30.0)), None, "orthogonal", (yes, no), Some(0.1)),
        row("walker2d", "trpo", None, 3e-4, 0.95, 0.0, Some((0.04, 0.04)), none, None, "xavier", (no, no), None),
        row("walker2d", "trpo-plus", None, 1e-4, 0.95, 0.0, Some((0.07, 0.04)), returns, ten, "orthogonal", (no, no), Some(1.0)),
        row("humanoid", "ppo", Some(1.5e-4), 1e-4, 0.95, 0.0, None, returns, ten, "orthogonal", (yes, yes), None),
        row("humanoid", "ppo-m", Some(9e-5), 4e-4, 0.95, 0.0, None, none, None, "xavier", (no, no), None),
        row("humanoid", "ppo-noclip", Some(2e-5), 5e-5, 0.85, 0.005, None, returns, ten, "xavier", (no, yes), Some(0.5)),
        row("humanoid", "trpo", None, 3e-4, 0.95, 0.0, Some((0.07, 0.07)), none, None, "xavier", (no, no), None),
        row("humanoid", "trpo-plus", None, 5e-5, 0.85, 0.0, Some((0.1, 0.05)), returns, ten, "xavier", (no, yes), Some(0.5)),
    ]
}

fn optional(value: Option<f64>) -> Value {
    value.map_or(Value::from(Value::OFF), Value::from)
}

fn annealing(on: bool) -> Value {
    Value::from(if on { "linear" } else { "none" })
}

#[test]
fn the_release_s_tuned_numbers() {
    for tuned in tuned() {
        let name = format!("release-5ee6ecb/{}/{}", tuned.environment, tuned.arm);
        let preset = settings(&name);
        let check = |field: &str, expected: Value| {
            assert_eq!(preset[field], expected, "{name}: {field}");
        };
        check(
            "environment",
            Value::from(match tuned.environment {
                "hopper" => "Hopper-v4",
                "walker2d" => "Walker2d-v4",
                _ => "Humanoid-v4",
            }),
        );
        if let Some(rate) = tuned.policy_lr {
            check("policy_learning_rate", rate.into());
        }
        check("value_learning_rate", tuned.val_lr.into());
        check("gae_lambda", tuned.lambda.into());
        check("entropy_coefficient", tuned.entropy_coeff.into());
        match tuned.max_kl {
            None => check("algorithm", "ppo".into()),
            Some((first, last)) => {
                check("algorithm", "trpo".into());
                check("max_kl", first.into());
                check("max_kl_final", last.into());
                check("kl_schedule", "constant".into());
                check("advantage_normalization", "batch".into());
            }
        }
        let scaling = match tuned.norm_rewards {
            "returns" => "discounted-std-reset",
            "rewards" => "rewards-about-mean",
            _ => "none",
        };
        check("reward_scaling", scaling.into());
        check("reward_clip", optional(tuned.clip_rewards));
        check("observation_clip", optional(tuned.clip_observations));
        let (initializer, hidden, policy_head) = match tuned.initialization {
            "orthogonal" => ("orthogonal", std::f64::consts::SQRT_2, 0.01),
            _ => ("xavier-uniform", 1.0, 1.0),
        };
        check("initializer", initializer.into());
        check("hidden_scale", hidden.into());
        check("policy_head_scale", policy_head.into());
        check("value_head_scale", 1.0.into());
        check("policy_annealing", annealing(tuned.anneal_lr));
        check("value_annealing", annealing(tuned.anneal_lr));
        check("value_clip", if tuned.value_clipping { "max" } else { "none" }.into());
        // The TRPO step reads no clip_grad_norm.
        let clips = tuned.clip_grad_norm.is_some() && tuned.max_kl.is_none();
        check("gradient_clip", if clips { "policy" } else { "none" }.into());
        if let Some(norm) = tuned.clip_grad_norm {
            check("gradient_clip_norm", norm.into());
        }
        let no_clip = tuned.arm == "ppo-noclip";
        check("ratio_clip", if no_clip { "none" } else { "symmetric" }.into());
        // In every one of the fifteen.
        check("observation_normalization", "release".into());
        check("activation", "tanh".into());
        check("policy_adam_epsilon", 1e-5.into());
        check("total_steps", 999_424.into());
    }
}

#[test]
fn the_release_s_base_file() {
    // src/MuJoCo.json of MadryLab/implementation-matters at 5ee6ecb.
    let base = settings("release-5ee6ecb/ppo");
    let expected: [(&str, Value); 28] = [
        ("algorithm", "ppo".into()),
        ("minibatches", 32.into()),
        ("num_envs", 1.into()),
        ("observation_normalization", "release".into()),
        ("reward_scaling", "discounted-std-reset".into()),
        ("optimizer", "adam".into()),
        ("policy_learning_rate", 3e-4.into()),
        ("value_learning_rate", 1.5e-4.into()),
        ("rollout_length", 2048.into()),
        ("entropy_coefficient", 0.0.into()),
        ("clip_epsilon", 0.2.into()),
        ("value_clip_epsilon", 0.2.into()),
        ("gamma", 0.99.into()),
        ("gae_lambda", 0.95.into()),
        ("max_kl", 0.01.into()),
        ("max_kl_final", 0.01.into()),
        ("fisher_fraction", 0.1.into()),
        ("cg_iterations", 10.into()),
        ("damping", 0.1.into()),
        ("backtrack_steps", 10.into()),
        ("value_epochs", 10.into()),
        ("policy_annealing", "linear".into()),
        ("policy_epochs", 10.into()),
        ("reward_clip", 10.0.into()),
        ("observation_clip", 10.0.into()),
        ("initializer", "orthogonal".into()),
        ("value_clip", "max".into()),
        ("gradient_clip", "none".into()),
    ];
    for (field, value) in expected {
        assert_eq!(base[field], value, "{field}");
    }
    assert_eq!(base["total_steps"], Value::from(488 * 2048));
    assert_eq!(base["policy_adam_epsilon"], Value::from(1e-5));
}

#[test]
fn the_submission_s_experiments() {
    // src/*_experiment/setup_agents.py of implementation-matters/code-for-paper at 094994f.
    let expected = [
        (
            "submission-094994f/humanoid/case-study",
            "Humanoid-v4",
            1e-4,
            1e-4,
            "symmetric",
            "square-after-max",
        ),
        ("submission-094994f/humanoid/ppo-noclip", "Humanoid-v4", 7e-5, 2e-5, "none", "none"),
        ("submission-094994f/walker2d/ppo", "Walker2d-v4", 1e-4, 2e-5, "symmetric", "none"),
    ];
    for (name, environment, policy, value, ratio_clip, value_clip) in expected {
        let preset = settings(name);
        assert_eq!(preset["environment"], environment.into(), "{name}");
        assert_eq!(preset["policy_learning_rate"], policy.into(), "{name}");
        assert_eq!(preset["value_learning_rate"], value.into(), "{name}");
        assert_eq!(preset["ratio_clip"], ratio_clip.into(), "{name}");
        assert_eq!(preset["value_clip"], value_clip.into(), "{name}");
        assert_eq!(preset["total_steps"], 1_000_000.into(), "{name}");
        assert_eq!(preset["rollout_length"], 2000.into(), "{name}");
        assert_eq!(preset["gaussian_density"], "submission".into(), "{name}");
        assert_eq!(preset["reward_scaling"], "discounted-std".into(), "{name}");
    }
}

#[test]
fn the_sibling_s_table_1() {
    // "A Closer Look at Deep Policy Gradients" (ICLR 2020), table 1: policy and value learning
    // rates of PPO, value learning rate and trust region of TRPO.
    let expected = [
        ("humanoid", 2.5e-4, 1e-4, 3e-4, 0.07),
        ("walker2d", 4e-4, 3e-4, 3e-4, 0.04),
        ("hopper", 4.5e-4, 2e-4, 2e-4, 0.13),
    ];
    for (environment, policy, value, trpo_value, max_kl) in expected {
        let ppo = settings(&format!("closer-look/{environment}/ppo"));
        assert_eq!(ppo["policy_learning_rate"], policy.into(), "{environment}");
        assert_eq!(ppo["value_learning_rate"], value.into(), "{environment}");
        assert_eq!(ppo["reward_scaling"], "discounted-std-reset".into(), "{environment}");
        let trpo = settings(&format!("closer-look/{environment}/trpo"));
        assert_eq!(trpo["value_learning_rate"], trpo_value.into(), "{environment}");
        assert_eq!(trpo["max_kl"], max_kl.into(), "{environment}");
        assert_eq!(trpo["reward_scaling"], "none".into(), "{environment}");
        assert_eq!(trpo["observation_clip"], Value::OFF.into(), "{environment}");
    }
}

#[test]
fn the_paper_s_text_where_it_differs_from_the_code() {
    let presets = |arm: &str| {
        ["hopper", "walker2d", "humanoid"].map(|environment| {
            let of = |source: &str| settings(&format!("{source}/{environment}/{arm}"));
            (of("paper"), of("release-5ee6ecb"))
        })
    };
    for arm in ["ppo", "ppo-m", "ppo-noclip", "trpo", "trpo-plus"] {
        for (text, code) in presets(arm) {
            let minimal = matches!(arm, "ppo-m" | "trpo");
            let configured = |field: &str, level: &'static str| code[field] == level.into();
            // 1: the minimum, where the tuned configuration clips values at all.
            let value_clip = if configured("value_clip", "none") { "none" } else { "min" };
            assert_eq!(text["value_clip"], value_clip.into(), "{arm}");
            // 2: no restart, where the tuned configuration scales by returns.
            if configured("reward_scaling", "discounted-std-reset") {
                assert_eq!(text["reward_scaling"], "discounted-std".into(), "{arm}");
            } else {
                assert_eq!(text["reward_scaling"], code["reward_scaling"], "{arm}");
            }
            // 3: the schedule.
            let schedule = if arm == "trpo-plus" { "linear" } else { "constant" };
            assert_eq!(text["kl_schedule"], schedule.into(), "{arm}");
            // 4: nothing normalised.
            let normalized = if minimal { "none" } else { "release" };
            assert_eq!(text["observation_normalization"], normalized.into(), "{arm}");
            // 5: all gradients.
            let clip = match arm {
                _ if minimal => "none",
                "trpo-plus" => "value",
                _ => "joint",
            };
            assert_eq!(text["gradient_clip"], clip.into(), "{arm}");
            // The tuned numbers are the same.
            for field in ["policy_learning_rate", "value_learning_rate", "gae_lambda", "max_kl"] {
                assert_eq!(text[field], code[field], "{arm}: {field}");
            }
        }
    }
}
