//! The program from the outside: what it prints, what it leaves, how it fails.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

const STUDY: &str = r#"
[study]
kind = "policy-gradient"
name = "cli"
seed = 1
replicates = 2

[base]
preset = "cleanrl/ppo"
environment = "CartPole-v1"
total_steps = 1024
evaluation_episodes = 1

[factors]
gamma = [0.9, 0.99]
"#;

fn ceteris(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ceteris")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn study(folder: &TempDir, text: &str) -> std::path::PathBuf {
    let file = folder.path().join("study.toml");
    std::fs::write(&file, text).unwrap();
    file
}

#[test]
fn a_study_is_planned_run_shown_and_reported() {
    let folder = TempDir::new().unwrap();
    let file = study(&folder, STUDY);
    let out = folder.path().join("results");

    let plan = ceteris(&["plan", path(&file), "--no-calibration"]);
    assert!(plan.status.success(), "{}", text(&plan.stderr));
    assert!(text(&plan.stdout).contains("4 = 2 arms x 2 replicates"), "{}", text(&plan.stdout));
    assert!(!out.exists(), "planning writes nothing");

    let run = ceteris(&["run", path(&file), "--out", path(&out)]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let printed = text(&run.stdout);
    assert!(printed.contains("4 runs finished"), "{printed}");
    assert!(printed.contains("report.html"), "{printed}");
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("gamma"));

    let status = ceteris(&["status", path(&out)]);
    assert!(status.status.success(), "{}", text(&status.stderr));
    assert!(text(&status.stdout).contains('4'), "{}", text(&status.stdout));

    let report = ceteris(&["report", path(&out), "--estimator", "iqm"]);
    assert!(report.status.success(), "{}", text(&report.stderr));
}

#[test]
fn claims_can_be_added_when_the_runs_are_there() {
    let folder = TempDir::new().unwrap();
    let file = study(&folder, STUDY);
    let out = folder.path().join("results");
    let run = ceteris(&["run", path(&file), "--out", path(&out)]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    assert!(!text(&run.stdout).contains("Claims"), "{}", text(&run.stdout));

    let claim = "[[claims]]\nname = \"far-sighted\"\nstatement = \"A discount of 0.99 is better.\"\n\
                 source = \"nobody\"\nexpect = \"positive\"\n\
                 estimate = { effect = { factor = \"gamma\", from = 0.9, to = 0.99 } }\n";
    let with_claim = folder.path().join("with-claim.toml");
    std::fs::write(&with_claim, format!("{STUDY}{claim}")).unwrap();

    // For one report, without touching the results.
    let manifest = std::fs::read(out.join("manifest.json")).unwrap();
    let report = ceteris(&["report", path(&out), "--study", path(&with_claim)]);
    assert!(report.status.success(), "{}", text(&report.stderr));
    assert!(text(&report.stdout).contains("far-sighted"), "{}", text(&report.stdout));
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("A discount of 0.99 is better."));
    assert!(page.contains(&format!("<span class=\"word\">--study</span> {}", path(&with_claim))));
    assert_eq!(std::fs::read(out.join("manifest.json")).unwrap(), manifest);

    // For good: nothing is trained again, and the directory keeps the new study file.
    let again = ceteris(&["run", path(&with_claim), "--out", path(&out)]);
    assert!(again.status.success(), "{}", text(&again.stderr));
    let printed = text(&again.stdout);
    assert!(printed.contains("0 runs finished, 4 were there already"), "{printed}");
    assert!(printed.contains("far-sighted"), "{printed}");
    assert!(text(&ceteris(&["report", path(&out)]).stdout).contains("far-sighted"));
    assert!(std::fs::read_to_string(out.join("manifest.json")).unwrap().contains("far-sighted"));

    // A file that asks for other runs is refused.
    for (change, said) in [
        (STUDY.replace("0.99]", "0.95]"), "its arm `gamma=0.95` is not one of the results'"),
        (STUDY.replace("[0.9, 0.99]", "[0.9]"), "it lacks the results' arm `gamma=0.99`"),
        (STUDY.replace("seed = 1", "seed = 2"), "its seed is 2, not 1"),
        (STUDY.replace("replicates = 2", "replicates = 3"), "it has other replicates"),
        (STUDY.replace("\"cli\"", "\"other\""), "it is the study \"other\""),
    ] {
        let other = study(&folder, &change);
        let report = ceteris(&["report", path(&out), "--study", path(&other)]);
        assert_eq!(report.status.code(), Some(1));
        assert!(text(&report.stderr).contains(said), "{}", text(&report.stderr));
    }
}

#[test]
fn a_bad_study_file_fails_before_anything_is_written() {
    let folder = TempDir::new().unwrap();
    let file = study(&folder, &STUDY.replace("gamma = [0.9, 0.99]", "gama = [0.9, 0.99]"));
    let out = folder.path().join("results");
    let run = ceteris(&["run", path(&file), "--out", path(&out)]);
    assert_eq!(run.status.code(), Some(1));
    let printed = text(&run.stderr);
    assert!(printed.contains("study.toml:15:1"), "{printed}");
    assert!(printed.contains("did you mean `gamma`?"), "{printed}");
    assert!(!out.exists());
}

#[test]
fn impossible_combinations_point_at_the_setting() {
    let folder = TempDir::new().unwrap();
    let file = study(
        &folder,
        &STUDY.replace(
            "total_steps = 1024",
            "total_steps = 1024\ngradient_clip = \"each\"\nnetworks = \"shared\"",
        ),
    );
    let run = ceteris(&["plan", path(&file)]);
    assert_eq!(run.status.code(), Some(1));
    let printed = text(&run.stderr);
    assert!(printed.contains("shared body"), "{printed}");
    assert!(printed.contains("study.toml:12:17"), "{printed}");
}

#[test]
fn a_results_directory_that_cannot_be_written_is_named() {
    let folder = TempDir::new().unwrap();
    let file = study(&folder, STUDY);
    // A file where a folder is needed refuses even the superuser.
    let blocked = folder.path().join("file");
    std::fs::write(&blocked, "mine").unwrap();
    for out in [blocked.clone(), blocked.join("below")] {
        let run = ceteris(&["run", path(&file), "--out", path(&out)]);
        assert_eq!(run.status.code(), Some(1));
        assert!(text(&run.stderr).contains(path(&blocked)), "{}", text(&run.stderr));
    }
    assert_eq!(std::fs::read_to_string(&blocked).unwrap(), "mine");
}

#[test]
fn flags_lists_every_field_with_its_source() {
    let flags = ceteris(&["flags", "--format", "json"]);
    assert!(flags.status.success());
    let printed = text(&flags.stdout);
    for field in algorithms::policy_gradient::AgentConfig::FIELDS {
        assert!(printed.contains(&format!("\"{}\"", field.name)), "{}", field.name);
        assert!(!field.source.is_empty() && !field.summary().is_empty(), "{}", field.name);
    }
}

#[test]
fn envs_lists_every_environment_of_the_build() {
    let list = ceteris(&["envs"]);
    assert!(list.status.success(), "{}", text(&list.stderr));
    let printed = text(&list.stdout);
    for spec in envs::registry() {
        assert!(printed.contains(spec.id), "{}", spec.id);
        let one = ceteris(&["envs", spec.id]);
        let shown = text(&one.stdout);
        assert!(one.status.success() && shown.starts_with(spec.id), "{shown}");
        for argument in &spec.arguments {
            assert!(shown.contains(argument.field.name), "{shown}");
        }
    }
    assert_eq!(printed.contains("scripts/setup-mujoco.sh"), cfg!(not(feature = "mujoco")));

    let json = ceteris(&["envs", "--format", "json"]);
    let page: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(page["environments"].as_array().unwrap().len(), envs::registry().len());

    let retired = ceteris(&["envs", "Hopper-v2"]);
    assert_eq!(retired.status.code(), Some(1));
    assert!(text(&retired.stderr).contains("Hopper-v4"), "{}", text(&retired.stderr));
}
