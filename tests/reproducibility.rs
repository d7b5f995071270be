//! The reproducibility contract on the CPU: every reproducible table has the same content whatever
//! the workers, the cohort width, the interruptions and the kills.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use ceteris::store::{ResultsDirectory, content_hash};
use tempfile::TempDir;

const STUDY: &str = r#"
[study]
kind = "policy-gradient"
name = "reproducibility"
seed = 11
replicates = 3

[base]
preset = "release-5ee6ecb/ppo"
environment = "Pendulum-v1"
total_steps = 3000
rollout_length = 500
minibatches = 5
policy_epochs = 3
value_epochs = 3
evaluation_episodes = 2
diagnose_trust_region = true
diagnose_value_error = true
diagnose_every = 2
diagnose_gradients = true
diagnose_baselines = true
diagnose_landscapes = true
diagnostic_iterations = [1]
gradient_samples = [100]
gradient_estimates = 2
reference_samples = 300
baseline_fit_samples = 300
landscape_points = 2
landscape_samples = [200]

[factors]
value_clip = ["none", "max"]
reward_scaling = ["none", "discounted-std-reset"]

[[arms]]
name = "small"
policy_hidden = [8]
"#;

fn ceteris(study: &Path, out: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ceteris"));
    command
        .arg("run")
        .arg(study)
        .arg("--out")
        .arg(out)
        .args(arguments)
        .arg("--no-report")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Content hash of every reproducible table, and the number of runs.
fn hashes(out: &Path) -> (BTreeMap<&'static str, String>, usize) {
    let results = ResultsDirectory::read(out).unwrap();
    let runs = results.runs().unwrap();
    let count = runs.height();
    let mut hashes = BTreeMap::new();
    hashes.insert("runs", content_hash(&runs, &["run_id"]).unwrap());
    for table in results.plan.file.study.tables() {
        if table.reproducible {
            let frame = results.table(table.name).unwrap();
            assert!(frame.height() > 0, "{} is empty", table.name);
            hashes.insert(table.name, content_hash(&frame, table.key).unwrap());
        }
    }
    (hashes, count)
}

#[test]
fn tables_do_not_depend_on_workers_width_interruptions_or_kills() {
    let folder = TempDir::new().unwrap();
    let study = folder.path().join("study.toml");
    std::fs::write(&study, STUDY).unwrap();

    let reference = folder.path().join("reference");
    assert!(ceteris(&study, &reference, &["--workers", "1"]).status().unwrap().success());
    let expected = hashes(&reference);
    assert_eq!(expected.1, 15);

    for arguments in [
        ["--workers", "2", "--cohort-width", "1"],
        ["--workers", "2", "--cohort-width", "5"],
        ["--workers", "1", "--cohort-width", "64"],
    ] {
        let out = folder.path().join(arguments.concat());
        assert!(ceteris(&study, &out, &arguments).status().unwrap().success());
        assert_eq!(hashes(&out), expected, "{arguments:?}");
    }

    // Killed again and again at growing instants, with another width each time, then finished.
    let out = folder.path().join("killed");
    let mut kills = 0;
    for attempt in 1..=40_u64 {
        let width = (attempt % 4 + 1).to_string();
        let mut child =
            ceteris(&study, &out, &["--workers", "2", "--cohort-width", &width]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(20 * attempt));
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            kills += 1;
        }
        child.wait().unwrap();
        // Before the manifest exists there is nothing to read.
        if out.join("manifest.json").exists() {
            ResultsDirectory::read(&out).unwrap().runs().unwrap();
        }
    }
    println!("{kills} kills");
    assert!(kills >= 3, "only {kills} kills");
    assert!(ceteris(&study, &out, &[]).status().unwrap().success());
    assert_eq!(hashes(&out), expected);

    // A second run finds nothing to do and changes nothing.
    let output = ceteris(&study, &out, &[]).stdout(Stdio::piped()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("0 runs finished, 15 were there already"), "{text}");
    assert_eq!(hashes(&out), expected);
}

#[cfg(unix)]
#[test]
fn an_interrupt_stops_cleanly_and_the_same_command_continues() {
    let folder = TempDir::new().unwrap();
    let study = folder.path().join("study.toml");
    std::fs::write(&study, STUDY).unwrap();
    let reference = folder.path().join("reference");
    assert!(ceteris(&study, &reference, &[]).status().unwrap().success());

    let out = folder.path().join("interrupted");
    let child = ceteris(&study, &out, &["--workers", "1", "--cohort-width", "2"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The manifest is written after the signal is caught and before training starts.
    while !out.join("manifest.json").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("interrupted: "), "{text}");
    assert!(ceteris(&study, &out, &[]).status().unwrap().success());
    assert_eq!(hashes(&out), hashes(&reference));
}
