//! A real Slurm of two nodes on this machine: a study split into 1, 3 and 8 tasks, disturbed in
//! mid-run, comes to the same bytes as without any of it.
//!
//! Needs root and what `scripts/setup-slurm.sh` installs; without it this test passes unless
//! `CETERIS_REQUIRE_SLURM` is set.

#![cfg(unix)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use ceteris::store::Manifest;
use serde_json::Value;
use tempfile::TempDir;

/// Twelve runs of half a second or so.
const STUDY: &str = r#"
[study]
kind = "policy-gradient"
name = "slurm"
seed = 5
replicates = 3

[base]
preset = "release-5ee6ecb/ppo"
environment = "CartPole-v1"
total_steps = 16384
rollout_length = 1024
minibatches = 4
evaluation_episodes = 1

[factors]
value_clip = ["none", "max"]
gamma = [0.9, 0.99]
"#;

/// How long the test waits for anything before it fails.
const PATIENCE: Duration = Duration::from_secs(120);

fn ready() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).chain(["/usr/sbin".into()]).collect();
    let programs = ["munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol"];
    let missing = programs.iter().find(|p| !folders.iter().any(|f| f.join(p).exists()));
    let id = Command::new("id").arg("-u").output().unwrap();
    let said = match missing {
        Some(program) => format!("{program} is missing, scripts/setup-slurm.sh has not been run"),
        None if id.stdout != b"0\n" => "a cluster on this machine needs root".to_owned(),
        None => return true,
    };
    assert!(std::env::var_os("CETERIS_REQUIRE_SLURM").is_none(), "{said}");
    println!("skipped: {said}");
    false
}

/// A cluster that is stopped when it is dropped.
struct Cluster {
    folder: TempDir,
}

impl Cluster {
    fn start() -> Self {
        let cluster = Self { folder: TempDir::new().unwrap() };
        let output = cluster.script("start");
        assert!(output.status.success(), "{}", text(&output.stderr));
        cluster
    }

    fn script(&self, action: &str) -> Output {
        let script = "scripts/slurm-cluster.sh";
        Command::new(script).arg(action).arg(self.folder.path()).output().unwrap()
    }

    /// A command that talks with this cluster.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("SLURM_CONF", self.folder.path().join("slurm.conf"));
        command
    }

    fn slurm(&self, program: &str, arguments: &[&str]) -> Output {
        self.command(program).args(arguments).output().unwrap()
    }

    fn succeed(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.slurm(program, arguments);
        assert!(output.status.success(), "{program} {arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    fn ceteris(&self, arguments: &[&str]) -> String {
        self.succeed(env!("CARGO_BIN_EXE_ceteris"), arguments)
    }

    fn status(&self, results: &Path) -> Value {
        let page = self.ceteris(&["status", path(results), "--format", "json"]);
        serde_json::from_str(&page).unwrap()
    }

    /// Submits a study and gives the id of its array job.
    fn submit(&self, study: &Path, results: &Path, further: &[&str]) -> String {
        let arguments = ["submit", "slurm", path(study), "--out", path(results)];
        let asked = ["--cpus-per-task", "1", "--mem", "400M", "--time", "01:00:00"];
        let printed = self.ceteris(&[&arguments[..], &asked, further].concat());
        assert!(printed.contains("merges and reports after them"), "{printed}");
        let jobs = std::fs::read(results.join("slurm/jobs.json")).unwrap();
        let jobs: Value = serde_json::from_slice(&jobs).unwrap();
        jobs["submissions"].as_array().unwrap().last().unwrap()["array"].to_string()
    }

    /// State and node of a task.
    fn task(&self, job: &str, task: u32) -> (String, String) {
        let jobs = format!("--jobs={job}");
        let printed = self.succeed("squeue", &["-h", "-r", "-t", "all", "-o", "%K|%T|%N", &jobs]);
        let start = format!("{task}|");
        let line = printed.lines().find_map(|line| line.trim().strip_prefix(&start)).unwrap();
        let (state, node) = line.split_once('|').unwrap();
        (state.to_owned(), node.to_owned())
    }

    /// Waits until a task has stored some runs, but not all of its `runs`.
    fn mid_run(&self, results: &Path, job: &str, shard: (u32, u32), runs: usize) {
        let folder = results.join(format!("shards/{}-of-{}/runs", shard.0, shard.1));
        wait(&format!("shard {shard:?} to be in mid-run"), || {
            // Names of files that are being written begin with a dot.
            let part = |file: &std::fs::DirEntry| path(&file.path()).contains("/part-");
            let stored =
                std::fs::read_dir(&folder).map_or(0, |files| files.flatten().filter(part).count());
            (stored > 0).then(|| assert!(stored < runs, "the runs are too short for this test"))
        });
        assert_eq!(self.task(job, shard.0).0, "RUNNING");
    }

    /// Waits until every shard is complete, and is known to be.
    fn complete(&self, results: &Path) -> Value {
        wait(&format!("the tasks of {}", results.display()), || {
            let status = self.status(results);
            let shards = status["shards"].as_array().unwrap();
            let completed = |shard: &Value| shard["slurm"]["state"] == "COMPLETED";
            for shard in shards {
                assert_ne!(shard["slurm"]["state"], "FAILED", "{status:#}");
            }
            shards.iter().all(completed).then_some(status)
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let output = self.script("stop");
        if !output.status.success() {
            println!("the cluster was not stopped: {}", text(&output.stderr));
        }
    }
}

/// Waits until there is something.
fn wait<T>(what: &str, mut there: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = there() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn manifest(results: &Path) -> Manifest {
    serde_json::from_slice(&std::fs::read(results.join("manifest.json")).unwrap()).unwrap()
}

/// Content hash of every reproducible table, as the manifest says.
fn hashes(results: &Path) -> BTreeMap<String, String> {
    let tables = manifest(results).tables.into_iter().filter(|(_, table)| table.reproducible);
    tables.map(|(name, table)| (name, table.content_sha256.unwrap_or_default())).collect()
}

/// Every file of every reproducible table.
fn files(results: &Path) -> BTreeMap<String, Vec<u8>> {
    let tables = manifest(results).tables.into_values().filter(|table| table.reproducible);
    let parts = tables.flat_map(|table| table.parts);
    parts.map(|part| (part.file.clone(), std::fs::read(results.join(part.file)).unwrap())).collect()
}

#[test]
fn a_study_on_two_nodes_comes_to_the_same_bytes() {
    if !ready() {
        return;
    }
    let cluster = Cluster::start();
    let folder = TempDir::new().unwrap();
    let study = folder.path().join("study.toml");
    std::fs::write(&study, STUDY).unwrap();
    let out = |name: &str| folder.path().join(name);

    let reference = out("reference");
    cluster.ceteris(&["run", path(&study), "--out", path(&reference), "--no-report"]);
    let expected = hashes(&reference);
    assert_eq!(manifest(&reference).tables["runs"].rows, 12);

    // Its only task is asked to stop, as before its time limit, and goes back into the queue.
    let one = out("one task");
    let job = cluster.submit(&study, &one, &["--tasks", "1", "--cohort-width", "1"]);
    cluster.mid_run(&one, &job, (1, 1), 12);
    cluster.succeed("scancel", &["--signal=TERM", &format!("{job}_1")]);
    wait("the task to be requeued", || (cluster.task(&job, 1).0 == "PENDING").then_some(()));

    // One of three tasks loses its node, which is drained, and goes on with the other one.
    let three = out("three");
    let job = cluster.submit(&study, &three, &["--tasks", "3", "--cohort-width", "1"]);
    cluster.mid_run(&three, &job, (2, 3), 4);
    let (_, node) = cluster.task(&job, 2);
    let named = format!("nodename={node}");
    cluster.succeed("scontrol", &["update", &named, "state=drain", "reason=test"]);
    cluster.succeed("scontrol", &["requeue", &format!("{job}_2")]);
    let status = cluster.complete(&three);
    let (_, other) = cluster.task(&job, 2);
    assert_ne!(node, other, "{status:#}");
    cluster.succeed("scontrol", &["update", &named, "state=resume"]);

    // Tasks make room for an urgent job on both nodes, and one of these goes down afterwards.
    let eight = out("eight");
    let job = cluster.submit(&study, &eight, &["--tasks", "8", "--cohort-width", "1"]);
    cluster.mid_run(&eight, &job, (2, 8), 2);
    // So short a task would end before Slurm gets to it; being pre-empted continues it.
    let own = format!("{}.*--shard 2/8", path(&eight));
    let paused = Command::new("pkill").args(["-STOP", "-f", "--", &own]).status().unwrap();
    assert!(paused.success(), "the task ended before it could be pre-empted");
    let urgent = ["--parsable", "--partition=urgent", "--nodes=2", "--exclusive", "--mem=0"];
    let command = ["--output=/dev/null", "--wrap=true"];
    cluster.succeed("sbatch", &[&urgent[..], &command].concat());
    wait("the task to be pre-empted", || (cluster.task(&job, 2).0 == "PENDING").then_some(()));
    let node = wait("the task to run again", || {
        let (state, node) = cluster.task(&job, 2);
        ["RUNNING", "COMPLETED"].contains(&state.as_str()).then_some(node)
    });
    let named = format!("nodename={node}");
    cluster.succeed("scontrol", &["update", &named, "state=down", "reason=test"]);
    wait("the node to answer again", || {
        let state = cluster.succeed("sinfo", &["-h", "-N", "-o", "%T", "-n", &node]);
        (!state.contains("down")).then_some(())
    });

    for (results, tasks) in [(&one, 1), (&three, 3), (&eight, 8)] {
        let status = cluster.complete(results);
        assert_eq!(status["shards"].as_array().unwrap().len(), tasks, "{status:#}");
        let counts = serde_json::json!({ "finished": 12, "diverged": 0, "to_do": 0 });
        assert_eq!(status["runs"], counts, "{status:#}");
        let again = ["submit", "slurm", path(&study), "--out", path(results), "--time", "1"];
        let printed = cluster.ceteris(&again);
        assert!(printed.contains("nothing to submit"), "{printed}");
    }
    // The disturbed tasks went on from what they had stored.
    for (results, shard) in [(&one, 1), (&three, 2), (&eight, 2)] {
        let logs = std::fs::read_dir(results.join("slurm")).unwrap();
        let end = format!("_{shard}.log");
        let log = logs.map(|log| log.unwrap().path()).find(|log| path(log).ends_with(&end));
        let log = std::fs::read_to_string(log.unwrap()).unwrap();
        assert!(log.contains("were there already"), "{log}");
    }

    // Merging the undisturbed run alone gives its files their canonical form, too.
    let canonical = out("canonical");
    cluster.ceteris(&["merge", path(&reference), "--out", path(&canonical)]);
    for results in [&one, &three, &eight] {
        wait("the merge and the report", || results.join("report.html").exists().then_some(()));
        assert_eq!(hashes(results), expected);
        // Not assert_eq, which would print all the bytes.
        assert!(files(results) == files(&canonical), "{} differs", results.display());
    }
}

#[test]
fn a_task_that_failed_is_submitted_again_alone() {
    if !ready() {
        return;
    }
    let cluster = Cluster::start();
    let folder = TempDir::new().unwrap();
    let study = folder.path().join("study.toml");
    std::fs::write(&study, STUDY.replace("16384", "1024")).unwrap();
    let results = folder.path().join("results");
    // Nothing is written to a folder with other files.
    let other = results.join("shards/2-of-3/notes.txt");
    std::fs::create_dir_all(other.parent().unwrap()).unwrap();
    std::fs::write(&other, "mine").unwrap();

    let job = cluster.submit(&study, &results, &["--tasks", "3"]);
    wait("the task to fail", || (cluster.task(&job, 2).0 == "FAILED").then_some(()));
    // What waited for it is cancelled rather than left in the queue for ever.
    wait("the queue to be empty", || {
        cluster.succeed("squeue", &["--noheader"]).is_empty().then_some(())
    });
    std::fs::remove_file(&other).unwrap();
    let status = cluster.status(&results);
    let states: Vec<&Value> =
        status["shards"].as_array().unwrap().iter().map(|shard| &shard["slurm"]["state"]).collect();
    assert_eq!(states, ["COMPLETED", "FAILED", "COMPLETED"]);
    assert_eq!(status["shards"][1]["runs"]["to_do"], 4);

    cluster.submit(&study, &results, &[]);
    let status = cluster.complete(&results);
    assert_eq!(status["runs"]["finished"], 12);
    let shards = status["submissions"].as_array().unwrap().iter().map(|s| s["shards"].clone());
    assert_eq!(shards.collect::<Vec<_>>(), ["1-3", "2"]);
    wait("the merge and the report", || results.join("report.html").exists().then_some(()));
    assert_eq!(manifest(&results).tables["runs"].rows, 12);
}
