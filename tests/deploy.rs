//! The recipes in `deploy/`: the Kubernetes ones fit the schemas of Kubernetes, and their commands,
//! run here in place of pods, train the study; the one for GNU parallel is run as it is.
//!
//! Needs what `scripts/setup-deploy.sh` installs; without it these tests pass unless
//! `CETERIS_REQUIRE_DEPLOY` is set.

#![cfg(unix)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ceteris::store::Manifest;
use serde_json::Value;
use tempfile::TempDir;

const STUDY: &str = r#"
[study]
kind = "policy-gradient"
name = "deploy"
seed = 4
replicates = 5

[base]
preset = "release-5ee6ecb/ppo"
environment = "CartPole-v1"
total_steps = 512
rollout_length = 256
minibatches = 4
evaluation_episodes = 1

[factors]
gamma = [0.9, 0.99]
"#;

const RECIPES: [&str; 2] =
    ["deploy/kubernetes/indexed-job.yaml", "deploy/kubernetes/merge-job.yaml"];

/// The oldest version that has what the recipes use, and one that is current.
const VERSIONS: &str = "1.29,1.34";

fn ready() -> bool {
    let ready = Path::new("third-party/deploy/complete").exists();
    if !ready {
        let said = "scripts/setup-deploy.sh has not been run";
        assert!(std::env::var_os("CETERIS_REQUIRE_DEPLOY").is_none(), "{said}");
        println!("skipped: {said}");
    }
    ready
}

fn validate(recipes: &[&Path]) -> Output {
    Command::new("third-party/deploy/bin/python")
        .args(["tests/deploy/validate.py", VERSIONS])
        .args(recipes)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `PATH` with the folder of this version's ceteris in front.
fn search_path() -> std::ffi::OsString {
    let own = Path::new(env!("CARGO_BIN_EXE_ceteris")).parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths([own].into_iter().chain(std::env::split_paths(&path))).unwrap()
}

/// Content hash of every reproducible table, as the manifest says.
fn hashes(results: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read(results.join("manifest.json")).unwrap();
    let manifest: Manifest = serde_json::from_slice(&text).unwrap();
    let tables = manifest.tables.into_iter().filter(|(_, table)| table.reproducible);
    tables.map(|(name, table)| (name, table.content_sha256.unwrap_or_default())).collect()
}

/// A study file, and what its tables hash to without shards.
fn reference(folder: &Path) -> (PathBuf, BTreeMap<String, String>) {
    let (study, whole) = (folder.join("study.toml"), folder.join("whole"));
    std::fs::write(&study, STUDY).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_ceteris"))
        .arg("run")
        .arg(&study)
        .arg("--out")
        .args([whole.as_os_str(), "--no-report".as_ref()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    (study, hashes(&whole))
}

/// Runs the container of a Job here, with some of its variables set to other values.
fn run_container(job: &Value, variables: &[(&str, &str)]) -> Output {
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    let words = |key: &str| -> Vec<String> {
        container[key].as_array().unwrap().iter().map(|w| w.as_str().unwrap().into()).collect()
    };
    let (command, arguments) = (words("command"), words("args"));
    let mut process = Command::new(&command[0]);
    process.args(&command[1..]).args(arguments).env_clear().env("PATH", search_path());
    for variable in container["env"].as_array().unwrap() {
        let name = variable["name"].as_str().unwrap();
        // What Kubernetes itself would fill in: the processors of the limit.
        let from = &variable["valueFrom"]["resourceFieldRef"]["resource"];
        let value = match from.as_str() {
            Some("limits.cpu") => container["resources"]["limits"]["cpu"].as_str(),
            _ => variable["value"].as_str(),
        };
        process.env(name, value.unwrap());
    }
    process.envs(variables.iter().copied()).output().unwrap()
}

#[test]
fn the_kubernetes_recipes_are_valid_and_train_the_study() {
    if !ready() {
        return;
    }
    let output = validate(&RECIPES.map(Path::new));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let documents: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let kinds: Vec<&str> = documents.iter().map(|d| d["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["PersistentVolumeClaim", "Job", "Job"]);
    let (shards, merge) = (&documents[1], &documents[2]);

    // The number of shards stands in several places.
    let count = shards["spec"]["completions"].as_u64().unwrap();
    let container = &shards["spec"]["template"]["spec"]["containers"][0];
    let variables = container["env"].as_array().unwrap();
    let told = variables.iter().find(|variable| variable["name"] == "SHARDS").unwrap();
    assert_eq!(told["value"], count.to_string());
    assert!(shards["spec"]["parallelism"].as_u64().unwrap() <= count);
    let place = |job: &Value| {
        let spec = &job["spec"]["template"]["spec"];
        let container = &spec["containers"][0];
        let variables = container["env"].as_array().unwrap();
        let results = variables.iter().find(|variable| variable["name"] == "RESULTS").unwrap();
        let volumes = spec["volumes"].as_array().unwrap();
        let volume = volumes.iter().find(|volume| volume["name"] == "results").unwrap();
        (results["value"].clone(), container["image"].clone(), volume.clone())
    };
    assert_eq!(place(shards), place(merge));

    let folder = TempDir::new().unwrap();
    let (study, expected) = reference(folder.path());
    let results = folder.path().join("my results");
    let own = [("STUDY", study.to_str().unwrap()), ("RESULTS", results.to_str().unwrap())];
    for index in 0..count {
        let index = index.to_string();
        let variables = [&own[..], &[("JOB_COMPLETION_INDEX", &*index)]].concat();
        let output = run_container(shards, &variables);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let output = run_container(merge, &own);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(hashes(&results), expected);
    assert!(results.join("report.html").exists());
}

#[test]
fn mistakes_in_a_recipe_are_found() {
    if !ready() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let recipe = std::fs::read_to_string(RECIPES[0]).unwrap();
    for (from, to, said) in [
        ("completionMode: Indexed", "completionMde: Indexed", "completionMde"),
        ("completions: 8", "completions: eight", "completions"),
        ("restartPolicy: Never", "restartPolicy: [Never]", "restartPolicy"),
    ] {
        let path = folder.path().join("broken.yaml");
        assert!(recipe.contains(from));
        std::fs::write(&path, recipe.replace(from, to)).unwrap();
        let output = validate(&[&path]);
        assert_eq!(output.status.code(), Some(1), "{to}");
        assert!(text(&output.stderr).contains(said), "{}", text(&output.stderr));
    }
}

#[test]
fn gnu_parallel_trains_the_study_and_tries_failed_shards_again() {
    if !ready() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let (study, expected) = reference(folder.path());
    let results = folder.path().join("it's $HOME");
    let recipe = || {
        Command::new("deploy/gnu-parallel.sh")
            .args([&study, &results])
            .args(["3", "--jobs", "2"])
            .env("PATH", search_path())
            .env("WORKERS", "1")
            .output()
            .unwrap()
    };
    // Nothing is written to a folder with other files, so this shard fails.
    let other = results.join("shards/2-of-3/notes.txt");
    std::fs::create_dir_all(other.parent().unwrap()).unwrap();
    std::fs::write(&other, "mine").unwrap();
    let output = recipe();
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("holds other files (such as notes.txt)"));
    assert!(!results.join("manifest.json").exists(), "nothing is merged when a shard has failed");

    std::fs::remove_file(&other).unwrap();
    let output = recipe();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    let trained: Vec<&str> = printed.lines().filter(|l| l.contains("runs finished")).collect();
    assert_eq!(trained.len(), 1, "{printed}");
    assert!(trained[0].starts_with("2/3\t"), "{printed}");
    assert_eq!(hashes(&results), expected);
    assert!(results.join("report.html").exists());
}
