//! Shards and submission without a cluster: what `ceteris run --shard`, `ceteris submit slurm` and
//! `ceteris status` do, and what they say when something is wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ceteris::store::{ResultsDirectory, content_hash};
use polars::functions::concat_df_diagonal;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Two kinds of cohort, three runs of each.
const STUDY: &str = r#"
[study]
kind = "policy-gradient"
name = "shards"
seed = 2
replicates = 3

[base]
preset = "release-5ee6ecb/ppo"
environment = "CartPole-v1"
total_steps = 512
rollout_length = 256
minibatches = 4
evaluation_episodes = 1

[factors]
policy_hidden = [[8], [16]]
"#;

fn ceteris(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ceteris")).args(arguments).output().unwrap()
}

fn succeed(arguments: &[&str]) -> String {
    let output = ceteris(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn study(folder: &TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("study.toml");
    std::fs::write(&path, text).unwrap();
    path
}

/// Content hash of every reproducible table of these directories together.
fn hashes(directories: &[PathBuf]) -> BTreeMap<&'static str, String> {
    let all: Vec<_> =
        directories.iter().map(|path| ResultsDirectory::read(path).unwrap()).collect();
    let tables = all[0].plan.file.study.tables().iter().filter(|table| table.reproducible);
    let mut keys: Vec<(&str, &[&str])> = tables.map(|table| (table.name, table.key)).collect();
    keys.push(("runs", &["run_id"]));
    let hash = |(name, key): (&'static str, &[&str])| {
        let frames: Vec<_> = all.iter().map(|results| results.table(name).unwrap()).collect();
        (name, content_hash(&concat_df_diagonal(&frames).unwrap(), key).unwrap())
    };
    keys.into_iter().map(hash).collect()
}

#[test]
fn shards_together_are_the_study() {
    let folder = TempDir::new().unwrap();
    let file = study(&folder, STUDY);
    let whole = folder.path().join("whole");
    succeed(&["run", path(&file), "--out", path(&whole), "--no-report"]);
    let expected = hashes(std::slice::from_ref(&whole));

    let out = folder.path().join("sharded");
    let shard = |shard: &str| succeed(&["run", path(&file), "--out", path(&out), "--shard", shard]);
    // Six runs: each kind of cohort on one of the first two shards of four, or the last two.
    for index in 1..=4 {
        let printed = shard(&format!("{index}/4"));
        let folder = out.join(format!("shards/{index}-of-4"));
        assert!(printed.contains(&format!("results in {}", folder.display())), "{printed}");
        assert!(!folder.join("report.html").exists());
        let kinds = ResultsDirectory::read(&folder).unwrap().runs().unwrap();
        assert_eq!(kinds.column("arm").unwrap().unique().unwrap().len(), 1);
    }
    let shards: Vec<PathBuf> = (1..=4).map(|i| out.join(format!("shards/{i}-of-4"))).collect();
    assert_eq!(hashes(&shards), expected);
    // Once more trains nothing.
    let printed = shard("1/4");
    assert!(printed.starts_with("0 runs finished, "), "{printed}");

    let status = succeed(&["status", path(&out), "--format", "json"]);
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["runs"], json!({ "finished": 6, "diverged": 0, "to_do": 0 }));
    assert_eq!(status["arms"][0]["finished"], 3);
    let finished: u64 = status["shards"]
        .as_array()
        .unwrap()
        .iter()
        .map(|shard| shard["runs"]["finished"].as_u64().unwrap())
        .sum();
    assert_eq!(finished, 6);
}

#[test]
fn more_shards_than_runs_leave_some_empty() {
    let folder = TempDir::new().unwrap();
    let file = study(&folder, STUDY);
    let out = folder.path().join("results");
    // The middles of six runs lie at 1/12, 3/12, …; those of 1/20 to 2/20 hold the first.
    let run = |shard: &str| succeed(&["run", path(&file), "--out", path(&out), "--shard", shard]);
    assert_eq!(run("1/20"), "shard 1/20 is empty: shards has fewer runs than shards\n");
    assert!(run("2/20").starts_with("1 runs finished; results in "));
    assert!(ResultsDirectory::read(&out.join("shards/1-of-20")).is_ok());

    let printed = succeed(&["status", path(&out)]);
    let line = |start: &str| {
        let line = printed.lines().find(|line| line.trim_start().starts_with(start));
        line.unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("all runs"), "all runs 1 0 5");
    assert_eq!(line("1/20"), "1/20 0 0 0 nobody");
    assert_eq!(line("2/20"), "2/20 1 0 0 nobody");
    assert_eq!(line("5/20"), "5/20 0 0 0 nobody");
    assert_eq!(line("6/20"), "6/20 0 0 1 not begun");
    assert!(printed.contains("Nothing is merged yet."), "{printed}");

    let plan = succeed(&["plan", path(&file), "--no-calibration", "--shards", "20"]);
    assert!(plan.contains("Shards (20)"), "{plan}");
}

#[test]
fn a_wrong_shard_is_refused() {
    for shard in ["0/3", "4/3", "1", "x"] {
        let output = ceteris(&["run", "study.toml", "--shard", shard]);
        assert_eq!(output.status.code(), Some(2));
        let said = text(&output.stderr);
        assert!(said.contains("expected i/n with 1 <= i <= n, such as 2/8"), "{said}");
    }
}

#[cfg(unix)]
mod submission {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// `ceteris submit slurm` with these programs alone on PATH.
    fn submit(arguments: &[&str], programs: &Path) -> Output {
        Command::new(env!("CARGO_BIN_EXE_ceteris"))
            .args(["submit", "slurm"])
            .args(arguments)
            .env("PATH", programs)
            .output()
            .unwrap()
    }

    fn program(folder: &Path, name: &str, script: &str) {
        std::fs::create_dir_all(folder).unwrap();
        let path = folder.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn a_dry_run_writes_the_scripts_and_needs_no_slurm() {
        let folder = TempDir::new().unwrap();
        let file = study(&folder, STUDY);
        let out = folder.path().join("my results");
        let nothing = folder.path().join("nothing");
        let arguments =
            ["--out", path(&out), "--time", "02:00:00", "--checkpoint-every", "5m", "--dry-run"];
        let output = submit(&[&[path(&file)], &arguments[..]].concat(), &nothing);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let printed = text(&output.stdout);
        // Two kinds of cohort with fewer runs than one takes.
        let (array, finish) = (out.join("slurm/array.sh"), out.join("slurm/finish.sh"));
        assert_eq!(
            printed,
            format!(
                "would submit 2 of 2 shards, each with 4 processors, 3072M of memory and 02:00:00 \
                 of time:\n  sbatch --parsable --array=1-2 {array:?}\n  sbatch --parsable \
                 --dependency=afterok:ARRAY --kill-on-invalid-dep=yes {finish:?}\nwhere ARRAY is \
                 the id that the first command prints\n"
            )
        );
        assert_eq!(std::fs::read_to_string(out.join("slurm/study.toml")).unwrap(), STUDY);
        let script = std::fs::read_to_string(&array).unwrap();
        assert!(
            script.contains("\"$SLURM_CPUS_PER_TASK\" '--checkpoint-every' '5m'\n"),
            "{script}"
        );
        for script in [array, finish] {
            let checked = Command::new("bash").arg("-n").arg(&script).output().unwrap();
            assert!(checked.status.success(), "{}", text(&checked.stderr));
        }
        assert!(!out.join("slurm/jobs.json").exists());
        // Nothing was submitted or trained, so there is nothing to say of it.
        let status = ceteris(&["status", path(&out)]);
        assert!(text(&status.stderr).contains("is no results directory"));
    }

    #[test]
    fn jobs_are_submitted_and_recorded() {
        let folder = TempDir::new().unwrap();
        let file = study(&folder, STUDY);
        let out = folder.path().join("results");
        let programs = folder.path().join("bin");
        let log = folder.path().join("calls");
        // Counts its calls: the first job is 41, the second 42.
        let counting = format!("echo \"$*\" >> {0}\nset -- $(wc -l < {0})", path(&log));
        program(&programs, "sbatch", &format!("PATH=/bin:/usr/bin\n{counting}\necho $((40 + $1))"));
        program(&programs, "squeue", "echo '41|1|RUNNING|n7|None'\necho '41|3|PENDING||Priority'");
        let arguments = [path(&file), "--out", path(&out), "--time", "10", "--tasks", "3"];
        let output = submit(&[&arguments[..], &["--array-limit", "2"]].concat(), &programs);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let script = |name: &str| out.join("slurm").join(name).display().to_string();
        assert_eq!(
            std::fs::read_to_string(&log).unwrap(),
            format!(
                "--parsable --array=1-3%2 {}\n--parsable --dependency=afterok:41 \
                 --kill-on-invalid-dep=yes {}\n",
                script("array.sh"),
                script("finish.sh")
            )
        );
        let jobs: Value =
            serde_json::from_slice(&std::fs::read(script("jobs.json")).unwrap()).unwrap();
        let first = json!({ "array": 41, "finish": 42, "tasks": 3, "shards": "1-3" });
        assert_eq!(jobs, json!({ "submissions": [first] }));

        // Before anything has begun, the status is known from what was submitted.
        let shown = Command::new(env!("CARGO_BIN_EXE_ceteris"))
            .args(["status", path(&out)])
            .env("PATH", &programs)
            .output()
            .unwrap();
        let shown = text(&shown.stdout);
        for told in ["41_1 RUNNING on n7", "41_3 PENDING (Priority)", "then job 42 to merge"] {
            assert!(shown.contains(told), "{shown}");
        }

        // Shard 2 has left the queue without a result; the others are still there.
        let output = submit(&arguments, &programs);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let calls = std::fs::read_to_string(&log).unwrap();
        let calls: Vec<&str> = calls.lines().skip(2).collect();
        assert!(calls[0].starts_with("--parsable --array=2 "), "{calls:?}");
        assert!(calls[1].contains("--dependency=afterok:43,afterany:41 "), "{calls:?}");

        // Tasks in the queue read the study file when they start.
        let edited = folder.path().join("edited.toml");
        std::fs::write(&edited, STUDY.replace("512", "1024")).unwrap();
        let output = submit(&[&[path(&edited)], &arguments[1..]].concat(), &programs);
        let said = text(&output.stderr);
        assert!(said.contains("job 41 may still train an earlier version"), "{said}");
        assert_eq!(std::fs::read_to_string(script("study.toml")).unwrap(), STUDY);

        // Another split would train runs twice.
        let other = [path(&file), "--out", path(&out), "--time", "10", "--tasks", "4"];
        let said = text(&submit(&other, &programs).stderr);
        assert!(said.contains("is split into 3 shards already; submit with --tasks 3"), "{said}");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_remedy() {
        let folder = TempDir::new().unwrap();
        let file = study(&folder, STUDY);
        let programs = folder.path().join("bin");
        let out = folder.path().join("results");
        let arguments = [path(&file), "--out", path(&out), "--time", "10", "--tasks", "2"];
        let said = |arguments: &[&str]| {
            let output = submit(arguments, &programs);
            assert_eq!(output.status.code(), Some(1));
            text(&output.stderr)
        };
        let idle = said(&[&arguments[..], &["--gpus", "1"]].concat());
        assert!(idle.contains("add --device wgpu"), "{idle}");
        assert!(said(&arguments).contains("sbatch is not on PATH"));
        assert!(said(&arguments).contains("--dry-run"));

        program(
            &programs,
            "sbatch",
            "echo 'sbatch: error: invalid partition specified: x' >&2\nexit 1",
        );
        let refused = said(&arguments);
        assert!(refused.contains("sbatch refused: sbatch: error: invalid partition"), "{refused}");
        assert!(!out.join("slurm/jobs.json").exists());

        // The array is taken, the job after it is not.
        program(&programs, "sbatch", "case $* in *afterok*) echo full >&2; exit 1;; esac\necho 7");
        let half = said(&arguments);
        assert!(half.contains("job 7 was submitted, but not the one that merges"), "{half}");
        assert!(half.contains("because: sbatch refused: full"), "{half}");
        let jobs = std::fs::read_to_string(out.join("slurm/jobs.json")).unwrap();
        assert!(jobs.contains("\"array\": 7") && jobs.contains("\"finish\": null"), "{jobs}");

        // A queue that does not answer could hold the tasks already.
        program(&programs, "squeue", "echo 'slurm_load_jobs error: Unable to contact' >&2\nexit 1");
        let silent = said(&arguments);
        assert!(silent.contains("squeue refused: slurm_load_jobs error"), "{silent}");

        let other = folder.path().join("other.toml");
        std::fs::write(&other, STUDY.replace("\"shards\"", "\"others\"")).unwrap();
        let other = said(&[&[path(&other)], &arguments[1..]].concat());
        assert!(other.contains("holds the study \"shards\", not \"others\""), "{other}");

        std::fs::write(out.join("slurm/jobs.json"), "[]").unwrap();
        let damaged = said(&arguments);
        assert!(damaged.contains("jobs.json is not what `ceteris submit` writes"), "{damaged}");

        let foreign = folder.path().join("foreign");
        std::fs::create_dir(&foreign).unwrap();
        std::fs::write(foreign.join("thesis.tex"), "").unwrap();
        let foreign = said(&[path(&file), "--out", path(&foreign), "--time", "10"]);
        assert!(foreign.contains("such as thesis.tex"), "{foreign}");
    }
}
