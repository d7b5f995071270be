//! The shipped presets learn: the median over seeds reaches the task's threshold within the steps of the
//! study files in `ablations/learning`.

use std::path::Path;
use std::process::{Command, Stdio};

use ceteris::store::ResultsDirectory;
use polars::prelude::ChunkQuantile as _;
use tempfile::TempDir;

/// Trains a study and returns the median of a metric over its runs.
fn median(study: &str, metric: &str, seeds: usize) -> f64 {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("results");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("ablations/learning").join(study);
    let status = Command::new(env!("CARGO_BIN_EXE_ceteris"))
        .arg("run")
        .arg(file)
        .arg("--out")
        .arg(&out)
        .arg("--no-report")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let runs = ResultsDirectory::read(&out).unwrap().runs().unwrap();
    assert_eq!(runs.height(), seeds);
    let median = runs.column(metric).unwrap().f64().unwrap().median().unwrap();
    println!("{study}: median {metric} {median}");
    median
}

/// Threshold 475 of CartPole-v1; CleanRL needs the same 500,000 steps (its documentation: 490).
#[test]
fn cartpole_is_solved() {
    assert!(median("cartpole.toml", "return_last_5", 10) >= 475.0);
}

/// CleanRL's default for continuous control is 1,000,000 steps; the preset takes 100,000.
#[test]
fn pendulum_is_swung_up() {
    assert!(median("pendulum.toml", "return_last_5", 10) >= -250.0);
}

/// A fifth of the steps that PPO has; the best return is 500.
#[test]
fn cartpole_is_solved_by_trpo() {
    assert!(median("cartpole-trpo.toml", "return_last_5", 10) >= 475.0);
}

/// A Humanoid that stands upright gets 5 a step and falls within some twenty; it learns far more slowly
/// than four iterations show.
#[cfg(feature = "mujoco")]
#[test]
fn humanoid_runs() {
    let found = median("humanoid.toml", "return_last_5", 2);
    assert!((50.0..300.0).contains(&found), "{found}");
}
