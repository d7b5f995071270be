//! The committed study files: what they ask for, and the paper's numbers in their claims.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use algorithms::policy_gradient::AgentConfig;
use ceteris::studies::Configuration;
use ceteris::study::{Claim, ClaimEstimate, ClaimRule, StudyFile, plan};
use flags::Kind;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ablations")
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            found.push(path);
        }
    }
}

/// A study file, or `None` where it needs MuJoCo and this build has none.
fn read(path: &Path) -> Option<StudyFile> {
    match StudyFile::read(path) {
        Ok(file) => Some(file),
        Err(mistakes) => {
            let without = mistakes.iter().all(|mistake| mistake.message.contains("needs MuJoCo"));
            assert!(without && cfg!(not(feature = "mujoco")), "{mistakes}");
            None
        }
    }
}

fn study(name: &str) -> Option<StudyFile> {
    read(&folder().join(name))
}

fn arms(file: &StudyFile) -> BTreeMap<&str, &Configuration> {
    file.arms.iter().map(|arm| (arm.name.as_str(), &arm.configuration)).collect()
}

/// Fields in which two configurations differ.
fn differences(one: &Configuration, other: &Configuration) -> Vec<&'static str> {
    let pairs = one.iter().zip(other.iter());
    pairs.filter(|(one, other)| one.1 != other.1).map(|(one, _)| one.0.name).collect()
}

#[test]
fn every_study_file_can_be_planned() {
    let mut paths = Vec::new();
    files(&folder(), &mut paths);
    assert!(paths.len() >= 20, "{paths:?}");
    let mut names = BTreeMap::new();
    for path in paths {
        let Some(file) = read(&path) else { continue };
        if let Some(other) = names.insert(file.name.clone(), path.clone()) {
            panic!("{} and {} have one name", other.display(), path.display());
        }
        assert!(!file.title.is_empty());
        let small = path.file_stem().unwrap().to_string_lossy().ends_with(".small");
        let plan = plan(file);
        let study = plan.file.study;
        let steps: u64 = plan.runs.iter().map(|run| study.cost(&run.configuration).steps).sum();
        // What two cores train in about five minutes.
        assert!(!small || steps <= 4_000_000, "{}: {steps} steps", path.display());
        // Published numbers are of the full length.
        assert!(!small || plan.file.claims.is_empty(), "{}", path.display());
    }
}

#[test]
fn the_tables_have_five_algorithms_on_three_tasks() {
    let Some(tables) = study("implementation-matters/tables-2-3.toml") else { return };
    assert_eq!((tables.arms.len(), tables.replicates.len()), (15, 80));
    let full = arms(&tables);
    for configuration in full.values() {
        assert_eq!(configuration.get("total_steps"), Some(&999_424.into()));
    }
    // The reproduction and the small study train the same arms.
    for (name, may_differ) in [
        ("reproduction", &[][..]),
        ("tables-2-3.small", &["total_steps", "evaluation_episodes"][..]),
    ] {
        let file = study(&format!("implementation-matters/{name}.toml")).unwrap();
        for (arm, configuration) in arms(&file) {
            let other = differences(configuration, full[arm]);
            assert!(other.iter().all(|field| may_differ.contains(field)), "{arm}: {other:?}");
        }
    }
}

#[test]
fn the_claims_are_the_printed_cells() {
    // Engstrom et al. 2020, tables 2 and 3: mean and 95 % interval of PPO, PPO-M, TRPO, TRPO+ and
    // PPO-NoClip; AAI and ACLI.
    type Cell = (f64, f64, f64);
    let printed: [(&str, [Cell; 5], f64, f64); 3] = [
        (
            "walker2d",
            [
                (3292.0, 3157.0, 3426.0),
                (2735.0, 2602.0, 2866.0),
                (2791.0, 2709.0, 2873.0),
                (3050.0, 2976.0, 3126.0),
                (2867.0, 2701.0, 3024.0),
            ],
            242.0,
            557.0,
        ),
        (
            "hopper",
            [
                (2513.0, 2391.0, 2632.0),
                (2142.0, 2008.0, 2279.0),
                (2043.0, 1948.0, 2136.0),
                (2466.0, 2381.0, 2549.0),
                (2371.0, 2316.0, 2424.0),
            ],
            99.0,
            421.0,
        ),
        (
            "humanoid",
            [
                (806.0, 785.0, 827.0),
                (674.0, 656.0, 695.0),
                (586.0, 576.0, 596.0),
                (1030.0, 979.0, 1083.0),
                (831.0, 798.0, 869.0),
            ],
            224.0,
            444.0,
        ),
    ];
    let Some(file) = study("implementation-matters/tables-2-3.toml") else { return };
    let claim = |name: &str| -> &Claim {
        let found = file.claims.iter().find(|claim| claim.name == name);
        found.unwrap_or_else(|| panic!("no claim {name}"))
    };
    let reference = |name: &str| claim(name).rule.reference().unwrap();
    for (task, cells, aai, acli) in printed {
        let algorithms = ["ppo", "ppo-m", "trpo", "trpo-plus", "ppo-noclip"];
        for (algorithm, (mean, low, high)) in algorithms.into_iter().zip(cells) {
            let name = format!("{task}-{algorithm}");
            assert_eq!(reference(&name).value, mean, "{name}");
            assert_eq!(reference(&name).interval, Some((low, high)), "{name}");
            let arm = ClaimEstimate::Mean(format!("{task}/{algorithm}"));
            assert_eq!(claim(&name).estimate, arm, "{name}");
            assert!(claim(&name).statement.contains(&format!("{mean}")), "{name}");
        }
        assert_eq!(reference(&format!("{task}-aai")).value, aai);
        assert_eq!(reference(&format!("{task}-acli")).value, acli);
        let excess = format!("{task}-acli-over-aai");
        assert!(matches!(claim(&excess).rule, ClaimRule::Sign { .. }), "{excess}");
        assert_eq!(reference(&excess).value, acli - aai);
    }
    assert_eq!(file.claims.len(), 3 * (5 + 2 + 4));
    let reproduction = study("implementation-matters/reproduction.toml").unwrap();
    for ours in &reproduction.claims {
        assert_eq!(ours, claim(&ours.name));
    }
    assert_eq!(reproduction.claims.len(), 2 * (5 + 2 + 4));
}

#[test]
fn figure_1_has_sixteen_combinations_at_four_learning_rates() {
    for task in ["walker2d", "humanoid"] {
        let path = format!("implementation-matters/figure-1-{task}.toml");
        let Some(file) = study(&path) else { return };
        assert_eq!((file.arms.len(), file.replicates.len()), (64, 5));
        let on = "value_clip=max,reward_scaling=returns,initialisation=orthogonal,annealing=on";
        let base = format!("policy_learning_rate=0.00015,{on}");
        // The released configuration with everything on is one of the sixteen, but for its rate.
        let mut release = file.study.defaults();
        let preset = format!("release-5ee6ecb/{task}/ppo");
        let preset = file.study.presets().iter().find(|known| known.name == preset).unwrap();
        for setting in ceteris::study::preset_settings(file.study, preset).unwrap() {
            file.study.set(&mut release, setting.field.name, &setting.value).unwrap();
        }
        let different = differences(arms(&file)[base.as_str()], &release);
        assert!(different.iter().all(|field| *field == "policy_learning_rate"), "{different:?}");
    }
}

#[test]
fn every_choice_of_ppo_is_switched_alone() {
    let names = ["one-choice-at-a-time.toml", "one-choice-at-a-time.small.toml"];
    for name in names {
        let Some(file) = study(&format!("implementation-matters/{name}")) else { return };
        let arms = arms(&file);
        let base = arms["base"];
        for (name, configuration) in &arms {
            let Some((field, _)) = name.split_once('=') else { continue };
            let changed = differences(configuration, base);
            assert!(changed.contains(&field), "{name} changes {changed:?}");
            let alone = match *name {
                "num_envs=4" => &["num_envs", "rollout_length"][..],
                "networks=shared" => &["networks", "update_schedule"],
                "gradient_clip=joint" => &["update_schedule", "gradient_clip"],
                _ if field == "gradient_clip_norm" => &["gradient_clip", "gradient_clip_norm"],
                _ => &[field],
            };
            assert!(changed.iter().all(|field| alone.contains(field)), "{name}: {changed:?}");
        }
        // Neither the task and its length, nor TRPO, nor what is only measured.
        let left_out = ["environment", "environment_arguments", "total_steps", "algorithm"];
        let groups = ["Trust region", "Evaluation", "Diagnostics"];
        for field in AgentConfig::FIELDS {
            if left_out.contains(&field.name) || groups.contains(&field.group) {
                continue;
            }
            let of_field = |name: &str| name.split_once('=').is_some_and(|(f, _)| f == field.name);
            assert!(arms.keys().any(|name| of_field(name)), "{} is not there", field.name);
            if let Kind::Level(levels) = field.kind {
                for level in levels {
                    let value = level.name.into();
                    let there = base.get(field.name) == Some(&value)
                        || arms.keys().any(|name| {
                            of_field(name) && arms[name].get(field.name) == Some(&value)
                        });
                    assert!(there, "{} = {:?} is not there", field.name, level.name);
                }
            }
        }
    }
}
