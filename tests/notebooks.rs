//! The notebooks read what `ceteris run` writes, and come to the numbers of `ceteris analyse`.
//!
//! Needs what `scripts/setup-notebooks.sh` installs; without it these tests pass unless
//! `CETERIS_REQUIRE_NOTEBOOKS` is set.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const NOTEBOOKS: [&str; 2] = ["main-figure-polars.ipynb", "main-figure-pandas-duckdb.ipynb"];

const CETERIS: &str = env!("CARGO_BIN_EXE_ceteris");

const STUDY: &str = r#"
[study]
kind = "policy-gradient"
name = "notebooks"
seed = 1
replicates = 3

[base]
preset = "classic-control/pendulum"
environment = "Pendulum-v1"
total_steps = 3000
evaluation_episodes = 1

[factors]
value_clip = ["none", "max"]
gamma = [0.9, 0.99, 0.5]
"#;

fn python() -> Option<PathBuf> {
    let folder = Path::new("third-party/notebooks");
    if folder.join("complete").exists() {
        return Some(folder.join("bin/python"));
    }
    let said = "scripts/setup-notebooks.sh has not been run";
    assert!(std::env::var_os("CETERIS_REQUIRE_NOTEBOOKS").is_none(), "{said}");
    println!("skipped: {said}");
    None
}

fn execute(python: &Path, ceteris: &Path, results: &Path, out: &Path) -> Output {
    Command::new(python)
        .args(["notebooks/execute.py", "--out"])
        .arg(out)
        .args(NOTEBOOKS.map(|name| format!("notebooks/{name}")))
        .env("CETERIS_RESULTS", results)
        .env("CETERIS", ceteris)
        .output()
        .unwrap()
}

fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The outputs of a notebook's cells, in order.
fn outputs(folder: &Path, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    let notebook: Value = serde_json::from_str(&text).unwrap();
    let cells = notebook["cells"].as_array().unwrap().iter();
    cells.filter_map(|cell| cell["outputs"].as_array()).flatten().cloned().collect()
}

/// What was printed, and the text of what was shown.
fn text(outputs: &[Value]) -> String {
    let lines = |value: &Value| match value {
        Value::Array(lines) => lines.iter().map(|line| line.as_str().unwrap()).collect(),
        Value::String(text) => text.clone(),
        _ => String::new(),
    };
    outputs
        .iter()
        .map(|output| lines(&output["text"]) + &lines(&output["data"]["text/plain"]))
        .collect()
}

fn pictures(outputs: &[Value]) -> usize {
    outputs.iter().filter(|output| !output["data"]["image/png"].is_null()).count()
}

/// Executes both notebooks, checks that they say these numbers of arms and effects agree, and returns
/// what each said.
fn agree(python: &Path, results: &Path, arms: usize, effects: usize) -> [String; 2] {
    let out = tempfile::tempdir().unwrap();
    succeeded(&execute(python, Path::new(CETERIS), results, out.path()));
    NOTEBOOKS.map(|name| {
        let outputs = outputs(out.path(), name);
        let text = text(&outputs);
        for said in [
            format!("{arms} means of arms agree to 1e-9 with `ceteris analyse`"),
            format!("{effects} effects agree to 1e-9 with `ceteris analyse`"),
        ] {
            assert!(text.contains(&said), "{name}: {text}");
        }
        assert_eq!(pictures(&outputs), 1, "{name}");
        text
    })
}

fn fresh(folder: &Path) -> PathBuf {
    let (study, results) = (folder.join("study.toml"), folder.join("results"));
    std::fs::write(&study, STUDY).unwrap();
    let run = Command::new(CETERIS)
        .arg("run")
        .arg(&study)
        .arg("--out")
        .arg(&results)
        .arg("--no-report")
        .output()
        .unwrap();
    succeeded(&run);
    results
}

#[test]
fn notebooks_read_fresh_results() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    agree(&python, &fresh(folder.path()), 6, 3);
}

#[test]
fn committed_outputs_are_those_of_the_committed_results() {
    let Some(python) = python() else { return };
    let said = agree(&python, Path::new("results/quickstart"), 16, 4);
    for (name, said) in NOTEBOOKS.into_iter().zip(said) {
        let committed = outputs(Path::new("notebooks"), name);
        assert_eq!(text(&committed), said, "{name}: see notebooks/README.md");
        assert_eq!(pictures(&committed), 1, "{name}");
    }
}

#[cfg(feature = "mujoco")]
#[test]
fn notebooks_read_the_design_of_figure_1() {
    let Some(python) = python() else { return };
    agree(&python, Path::new("results/implementation-matters/figure-1-walker2d"), 16, 4);
}

#[cfg(unix)]
#[test]
fn a_notebook_fails_where_numbers_differ() {
    use std::os::unix::fs::PermissionsExt;

    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    // Medians in place of means.
    let other = folder.path().join("ceteris");
    std::fs::write(&other, format!("#!/bin/sh\nexec '{CETERIS}' \"$@\" --estimator median\n"))
        .unwrap();
    std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = execute(&python, &other, Path::new("results/quickstart"), folder.path());
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("means of arms differ by 68.1265"), "{said}");
}
