//! A study that is stopped or killed in the middle of its runs continues inside them and ends with
//! the same tables, bit for bit; a checkpoint that cannot be continued from is set aside.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use algorithms::policy_gradient::checkpoint::{Header, read_policy};
use ceteris::store::{
    CheckpointKind, Failpoint, Fault, Results, ResultsDirectory, RunEnvironment, checkpoint_path,
    content_hash,
};
use ceteris::study::{StudyFile, plan};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// Six runs of 40 iterations each, of two shapes; episodes and normalisers go on across iterations.
const STUDY: &str = r#"
[study]
kind = "policy-gradient"
name = "checkpoints"
seed = 5
replicates = 2

[base]
preset = "release-5ee6ecb/ppo"
environment = "Pendulum-v1"
total_steps = 12000
rollout_length = 300
minibatches = 5
policy_epochs = 3
value_epochs = 3
evaluation_episodes = 2
environment_reset = "continue"
value_normalization = "running"

[factors]
reward_scaling = ["discounted-std-reset", "gymnasium"]

[[arms]]
name = "small"
policy_hidden = [8]
observation_normalization = "gymnasium"
"#;

struct Study {
    folder: TempDir,
    file: PathBuf,
}

impl Study {
    fn new(text: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("study.toml");
        fs::write(&file, text).unwrap();
        Self { folder, file }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, out: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ceteris"));
        command.arg("run").arg(&self.file).arg("--out").arg(out).arg("--no-report");
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, out: &Path, arguments: &[&str]) -> Output {
        let output = self.command(out, arguments).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        output
    }

    /// Content hashes of a study that nothing disturbed and that kept no checkpoints.
    fn undisturbed(&self) -> BTreeMap<&'static str, String> {
        let out = self.path("undisturbed");
        self.run(&out, &["--checkpoint-every", "off"]);
        assert!(!out.join("checkpoints").exists());
        hashes(&out)
    }

    /// Stops a study once some runs are in their middle.
    #[cfg(unix)]
    fn interrupted(&self, out: &Path, arguments: &[&str]) -> Output {
        for attempt in 1.. {
            let mut child = self.command(out, arguments).spawn().unwrap();
            // The directory is opened after the signal is caught and before training starts.
            while !out.join("manifest.json").exists() || read(out).writing().unwrap().is_none() {
                assert!(child.try_wait().unwrap().is_none());
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(100 * attempt));
            let pid = child.id().to_string();
            assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
            let output = child.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
            // On a busy machine the signal may come before the first cohort has begun.
            if text(&output.stdout).contains("kept in mid-training") {
                return output;
            }
        }
        unreachable!("some attempt waits long enough")
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn read(out: &Path) -> Results {
    ResultsDirectory::read(out).unwrap()
}

/// Content hash of every reproducible table.
fn hashes(out: &Path) -> BTreeMap<&'static str, String> {
    let results = read(out);
    let runs = results.runs().unwrap();
    assert_eq!(runs.height(), results.plan.runs.len());
    let mut hashes = BTreeMap::from([("runs", content_hash(&runs, &["run_id"]).unwrap())]);
    for table in results.plan.file.study.tables().iter().filter(|table| table.reproducible) {
        let frame = results.table(table.name).unwrap();
        hashes.insert(table.name, content_hash(&frame, table.key).unwrap());
    }
    hashes
}

fn files(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[cfg(unix)]
#[test]
fn an_interrupt_keeps_the_runs_and_the_same_command_continues_inside() {
    let study = Study::new(STUDY);
    let expected = study.undisturbed();
    let out = study.path("interrupted");
    let stopped = study.interrupted(&out, &["--workers", "1", "--cohort-width", "4"]);
    let said = text(&stopped.stdout);
    assert!(
        said.starts_with(
            "interrupted: 0 runs finished, 4 runs were kept in mid-training (iteration "
        ),
        "{said}"
    );
    let status = Command::new(env!("CARGO_BIN_EXE_ceteris")).arg("status").arg(&out).output();
    let status = text(&status.unwrap().stdout);
    assert!(status.contains("4 runs have a checkpoint (iteration "), "{status}");
    assert!(status.contains(" of 40).\n"), "{status}");

    // Stopped again, in other cohorts: now runs are at different iterations.
    let again = study.interrupted(&out, &["--workers", "2", "--cohort-width", "1"]);
    let said = text(&again.stderr);
    assert!(said.starts_with("4 runs continue from their checkpoints (iteration "), "{said}");

    let finished = study.run(&out, &["--workers", "2", "--cohort-width", "3"]);
    let said = text(&finished.stderr);
    assert!(said.contains(" runs continue from their checkpoints (iteration"), "{said}");
    assert_eq!(hashes(&out), expected);
    assert!(!out.join("checkpoints").exists() && !out.join("set-aside").exists());
}

#[test]
fn kills_at_any_instant_lose_nothing_and_double_nothing() {
    let study = Study::new(STUDY);
    let expected = study.undisturbed();
    let (mut kills, mut continued, mut draw) = (0, 0, 0x2545_f491_4f6c_dd1d_u64);
    for round in 0..3 {
        let out = study.path(&format!("killed-{round}"));
        let mut alive = true;
        while alive {
            // Xorshift: any spread of instants will do.
            draw ^= draw << 13;
            draw ^= draw >> 7;
            draw ^= draw << 17;
            let width = (draw % 3 + 1).to_string();
            let arguments =
                ["--workers", "2", "--cohort-width", &width, "--checkpoint-every", "0s"];
            let mut child = study.command(&out, &arguments).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(50 + draw % 400));
            alive = child.try_wait().unwrap().is_none();
            if alive {
                child.kill().unwrap();
                kills += 1;
            }
            let output = child.wait_with_output().unwrap();
            let said = text(&output.stderr);
            assert!(alive || output.status.success(), "{said}");
            continued += u32::from(said.contains("from their checkpoint"));
            continued += u32::from(said.contains("from its checkpoint"));
            assert!(!said.contains("of no use"), "{said}");
            if out.join("manifest.json").exists() {
                let results = read(&out);
                results.runs().unwrap();
                results.in_training().unwrap();
            }
        }
        assert_eq!(hashes(&out), expected);
        assert_eq!(files(&out.join("checkpoints")), Vec::<String>::new());
        assert!(!out.join("set-aside").exists());
    }
    println!("{kills} kills, {continued} starts went on inside runs");
    assert!(kills >= 5 && continued >= 3, "{kills} kills, {continued} continued");
}

/// The same checkpoint with a checksum that fits it.
fn signed(mut bytes: Vec<u8>) -> Vec<u8> {
    let mark = br#"sha256\":\""#;
    let place = bytes.windows(mark.len()).position(|window| window == mark).unwrap() + mark.len();
    bytes[place..place + 64].fill(b'0');
    let digits: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    bytes[place..place + 64].copy_from_slice(digits.as_bytes());
    bytes
}

fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let found = bytes.windows(from.len()).position(|window| window == from.as_bytes());
    let place = found.unwrap_or_else(|| panic!("no {from}"));
    bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
    bytes
}

#[cfg(unix)]
#[test]
fn a_checkpoint_of_no_use_is_set_aside_and_its_run_starts_again() {
    let study = Study::new(STUDY);
    let expected = study.undisturbed();
    let out = study.path("damaged");
    study.interrupted(&out, &["--workers", "1", "--cohort-width", "4"]);
    let folder = out.join("checkpoints");
    let names = files(&folder);
    assert_eq!(names.len(), 4);
    let change = |name: &str, change: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        let path = folder.join(name);
        fs::write(&path, change(fs::read(&path).unwrap())).unwrap();
    };
    change(&names[0], &|mut bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        bytes
    });
    change(&names[1], &|bytes| bytes[..bytes.len() - 1].to_vec());
    let target = format!(r#"target\":\"{}"#, std::env::consts::ARCH);
    let other = format!(r#"target\":\"{}"#, "z".repeat(std::env::consts::ARCH.len()));
    change(&names[2], &|bytes| signed(replaced(&bytes, &target, &other)));
    // What a kill leaves of a checkpoint that was being written, and somebody's own file.
    fs::write(folder.join(format!(".{}.tmp", names[3])), "half").unwrap();
    fs::write(folder.join("notes.txt"), "mine").unwrap();

    let output = study.run(&out, &[]);
    let said = text(&output.stderr);
    let lines: Vec<&str> = said.lines().collect();
    let find = |name: &str| {
        let run = name.trim_end_matches(".safetensors");
        let start = format!("run {run} starts again, its checkpoint is of no use: ");
        let line = lines.iter().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or_else(|| panic!("{start}\n{said}")).to_owned()
    };
    let place = |name: &str| {
        format!("; it is now {}", out.join("set-aside/checkpoints").join(name).display())
    };
    let damaged = find(&names[0]);
    assert!(damaged.starts_with("it is damaged: its SHA-256 is "), "{damaged}");
    assert!(damaged.ends_with(&place(&names[0])), "{damaged}");
    let short = find(&names[1]);
    assert!(short.starts_with("it is no complete checkpoint ("), "{short}");
    let foreign = find(&names[2]);
    assert!(foreign.starts_with("it was written with another target, zzz"), "{foreign}");
    assert!(said.contains("1 run continues from its checkpoint (iteration "), "{said}");

    assert_eq!(hashes(&out), expected);
    assert_eq!(files(&out.join("set-aside/checkpoints")), names[..3]);
    assert_eq!(files(&folder), ["notes.txt"]);
}

#[test]
fn a_kill_while_a_checkpoint_is_written_leaves_the_one_before() {
    let study = Study::new(STUDY);
    let plan = plan(StudyFile::read(&study.file).unwrap());
    let run = &plan.runs[0].id;
    let path = |out: &Path| checkpoint_path(out, run, CheckpointKind::MidTraining);
    let open = |out: &Path| ResultsDirectory::open(out, &plan, &RunEnvironment::cpu()).unwrap();
    let (mut stops, mut replaced) = (0, 0);
    for fault in [Fault::Kill, Fault::TornKill, Fault::Full] {
        for after in 0.. {
            let out = study.path(&format!("{fault:?}-{after}"));
            let mut directory = open(&out);
            directory.write_checkpoint(run, CheckpointKind::MidTraining, b"before").unwrap();
            directory.set_failpoint(Some(Failpoint { after, fault }));
            let written = directory.write_checkpoint(run, CheckpointKind::MidTraining, b"later");
            drop(directory);
            let found = fs::read(path(&out)).unwrap();
            if written.is_ok() {
                assert_eq!(found, b"later");
                break;
            }
            stops += 1;
            replaced += usize::from(found == b"later");
            assert!(found == b"before" || found == b"later", "{fault:?} after {after}");
            // Nothing is left over, and the next one is written.
            let directory = open(&out);
            assert_eq!(files(&out.join("checkpoints")), [format!("{run}.safetensors")]);
            directory.write_checkpoint(run, CheckpointKind::MidTraining, b"last").unwrap();
            assert_eq!(directory.read_checkpoint(run).unwrap().unwrap(), b"last");
            directory.remove_checkpoints([run]).unwrap();
            assert!(!out.join("checkpoints").exists());
        }
    }
    // Three steps to write, two to rename; the last one only makes the rename durable.
    assert_eq!((stops, replaced), (3 * 5, 3));
}

fn python() -> Option<PathBuf> {
    let folder = Path::new("third-party/notebooks");
    // The script leaves a copy of what it installed.
    let installed = fs::read("third-party/notebooks/complete").ok();
    if installed.is_some() && installed == fs::read("notebooks/requirements.txt").ok() {
        return Some(folder.join("bin/python"));
    }
    let said = "scripts/setup-notebooks.sh has not been run";
    assert!(std::env::var_os("CETERIS_REQUIRE_NOTEBOOKS").is_none(), "{said}");
    println!("skipped: {said}");
    None
}

/// The policy's means for an observation, computed with NumPy from the tensors alone.
const SCRIPT: &str = r#"
import json, sys
import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file

path = sys.argv[1]
observation = np.array([float(x) for x in sys.argv[2:]])
tensors = load_file(path)
with safe_open(path, "numpy") as file:
    about = json.loads(file.metadata()["ceteris"])
x = (observation - tensors["observation.mean"][0]) / tensors["observation.scale"][0]
clip = about["configuration"]["observation_clip"]
x = np.clip(x, -clip, clip)
layer = 0
while f"policy.body.{layer}.weight" in tensors:
    name = f"policy.body.{layer}"
    x = np.tanh(x @ tensors[name + ".weight"] + tensors[name + ".bias"])
    layer += 1
print(about["iterations_done"], layer, (x @ tensors["policy.head.weight"] + tensors["policy.head.bias"])[0])
"#;

#[test]
fn trained_runs_are_kept_and_python_reads_their_policies() {
    let study = Study::new(STUDY);
    let expected = study.undisturbed();
    let out = study.path("kept");
    study.run(&out, &["--keep-checkpoints"]);
    assert_eq!(hashes(&out), expected);
    let results = read(&out);
    let runs = &results.plan.runs;
    assert_eq!(files(&out.join("checkpoints")).len(), runs.len());
    // They are not taken for runs in mid-training, nor removed by the next start.
    assert!(results.in_training().unwrap().is_empty());
    study.run(&out, &[]);
    assert_eq!(files(&out.join("checkpoints")).len(), runs.len());

    for run in runs {
        let path = checkpoint_path(&out, &run.id, CheckpointKind::Final);
        let bytes = fs::read(&path).unwrap();
        assert_eq!(Header::read(&bytes).unwrap().iterations_done, 40);
        let streams = envs::Streams { study_seed: 5, replicate: run.replicate };
        let policy = read_policy(&bytes, streams).unwrap();
        let observation = [0.6, -0.8, 1.5];
        let mut seen = [0.0; 3];
        policy.observations.apply_frozen(&observation, &mut seen);
        let layout = algorithms::network::Layout::new(&policy.config.network_shape());
        let mut outputs = [0.0];
        algorithms::network::PolicyForward::new(&layout).run(
            &policy.parameters.policy,
            policy.config.activation,
            &seen,
            &mut outputs,
        );
        let Some(python) = python() else { continue };
        let output = Command::new(python)
            .args(["-c", SCRIPT])
            .arg(&path)
            .args(observation.map(|x| x.to_string()))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let said = text(&output.stdout);
        let words: Vec<&str> = said.split_whitespace().collect();
        let layers = policy.config.policy_hidden.len().to_string();
        assert_eq!(words[..2], ["40", layers.as_str()]);
        let mean: f64 = words[2].parse().unwrap();
        // Single precision here, double there.
        assert!((mean - f64::from(outputs[0])).abs() < 1e-5, "{mean} and {}", outputs[0]);
        assert!(mean.abs() > 1e-4, "a policy that does nothing shows nothing: {mean}");
    }
}
