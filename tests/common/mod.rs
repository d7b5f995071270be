//! What several end-to-end tests need: a small study, the program, and what a directory holds.

#![allow(dead_code, reason = "every test program uses its own part of it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::AtomicBool;

use ceteris::data::Presence;
use ceteris::store::{ResultsDirectory, content_hash};
use ceteris::studies::{CohortContext, CohortOutcome, Device, Study, StudyError};
use ceteris::study::{Plan, Run, StudyFile, plan};
use polars::prelude::{DataFrame, DataType};

/// Eight runs of Pendulum, a second or so in all.
pub const STUDY: &str = r#"
[study]
kind = "policy-gradient"
name = "small"
seed = 3
replicates = 4

[base]
preset = "release-5ee6ecb/ppo"
environment = "Pendulum-v1"
total_steps = 3000
rollout_length = 500
minibatches = 5
policy_epochs = 3
value_epochs = 3

[factors]
value_clip = ["none", "max"]
"#;

/// The program with arguments, without its progress.
pub fn ceteris(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ceteris"));
    command.args(arguments).env("CETERIS_LOG", "warn");
    command
}

/// Runs it, and fails the test unless it succeeds; what it printed.
pub fn succeeds(arguments: &[&str]) -> String {
    let output = ceteris(arguments).output().unwrap();
    let (out, err) = texts(&output);
    assert!(output.status.success(), "{arguments:?}\n{out}{err}");
    out
}

/// What a program printed on both streams.
pub fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// A path as an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Writes the study into a folder and runs it there; the study file and the results.
pub fn trained(folder: &Path) -> (PathBuf, PathBuf) {
    let (study, out) = (folder.join("study.toml"), folder.join("whole"));
    fs::write(&study, STUDY).unwrap();
    succeeds(&["run", arg(&study), "--out", arg(&out), "--no-report"]);
    (study, out)
}

/// Content hash of every reproducible table that has rows.
pub fn hashes(out: &Path) -> BTreeMap<&'static str, String> {
    let results = ResultsDirectory::read(out).unwrap();
    let mut hashes = BTreeMap::new();
    hashes.insert("runs", content_hash(&results.runs().unwrap(), &["run_id"]).unwrap());
    for table in results.plan.file.study.tables() {
        let frame = results.table(table.name).unwrap();
        if table.reproducible && frame.height() > 0 {
            hashes.insert(table.name, content_hash(&frame, table.key).unwrap());
        }
    }
    hashes
}

/// Every file below a folder, by its path there, with its bytes.
pub fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(folder: &Path, root: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, files);
            } else {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let mut files = BTreeMap::new();
    walk(folder, folder, &mut files);
    files
}

/// The Parquet files of a results directory's reproducible tables, with their bytes.
pub fn parts(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = tree(out);
    files.retain(|name, _| {
        let is_part = name.ends_with(".parquet") && name.split('/').count() == 2;
        is_part && !name.starts_with("timings/")
    });
    files
}

/// A part of a table.
pub fn part(out: &Path, table: &str) -> PathBuf {
    let prefix = format!("{table}/");
    out.join(tree(out).into_keys().find(|name| name.starts_with(&prefix)).unwrap())
}

/// Rewrites the manifest.
pub fn edit(out: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let path = out.join("manifest.json");
    let mut manifest = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut manifest);
    fs::write(&path, serde_json::to_vec_pretty(&manifest).unwrap()).unwrap();
}

/// Adds to the value loss of a run's iteration, and makes every hash fit the altered file, as
/// somebody would who wants the change to go unnoticed. Returns the run.
pub fn forge(out: &Path, iteration: u32, by: f64) -> String {
    use polars::prelude::*;
    use sha2::{Digest, Sha256};
    let file = part(out, "iterations");
    let mut frame = ParquetReader::new(fs::File::open(&file).unwrap()).finish().unwrap();
    let numbers = frame.column("iteration").unwrap().u32().unwrap().clone();
    let row = numbers.iter().position(|number| number == Some(iteration)).unwrap();
    let mut losses: Vec<Option<f64>> =
        frame.column("value_loss").unwrap().f64().unwrap().iter().collect();
    losses[row] = losses[row].map(|loss| loss + by);
    let run = frame.column("run_id").unwrap().str().unwrap().get(row).unwrap().to_owned();
    frame.with_column(Column::new("value_loss".into(), losses)).unwrap();
    ParquetWriter::new(fs::File::create(&file).unwrap()).finish(&mut frame).unwrap();
    let bytes = fs::read(&file).unwrap();
    let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let name = format!("iterations/{}", file.file_name().unwrap().to_str().unwrap());
    edit(out, |manifest| {
        for part in manifest["tables"]["iterations"]["parts"].as_array_mut().unwrap() {
            if part["file"] == name.as_str() {
                part["sha256"] = sha256.clone().into();
                part["bytes"] = bytes.len().into();
            }
        }
    });
    let results = ResultsDirectory::read(out).unwrap();
    let frame = results.table("iterations").unwrap();
    let hash = content_hash(&frame, &["run_id", "iteration"]).unwrap();
    edit(out, |manifest| manifest["tables"]["iterations"]["content_sha256"] = hash.into());
    run
}

/// A small study of a kind; `rest` is what follows its head.
pub fn study_text(kind: &str, replicates: usize, rest: &str) -> String {
    format!("[study]\nkind = \"{kind}\"\nname = \"t\"\nseed = 5\nreplicates = {replicates}\n{rest}")
}

/// The plan of such a study.
pub fn planned(kind: &str, replicates: usize, rest: &str) -> Plan {
    let text = study_text(kind, replicates, rest);
    plan(StudyFile::parse("t.toml", &text).unwrap_or_else(|mistakes| panic!("{mistakes}")))
}

/// Runs of a plan as one cohort.
pub fn cohort(plan: &Plan, runs: &[&Run]) -> Result<CohortOutcome, StudyError> {
    let context = CohortContext {
        study_seed: plan.file.seed,
        device: Device::Cpu,
        threads: 1,
        stop: &AtomicBool::new(false),
        progress: &|_| {},
        checkpoints: None,
        journal: None,
    };
    plan.file.study.run_cohort(runs, &context)
}

/// A table of a cohort.
pub fn table<'a>(study: &dyn Study, outcome: &'a CohortOutcome, name: &str) -> &'a DataFrame {
    let place = study.tables().iter().position(|table| table.name == name).unwrap();
    &outcome.tables[place]
}

/// A metric of a run of a cohort.
pub fn metric(study: &dyn Study, outcome: &CohortOutcome, run: usize, name: &str) -> Option<f64> {
    let place = study.metrics().iter().position(|metric| metric.name == name).unwrap();
    outcome.runs[run].metrics[place]
}

/// A column of texts, none of which is null.
pub fn column_texts(frame: &DataFrame, column: &str) -> Vec<String> {
    let column = frame.column(column).unwrap().str().unwrap();
    column.iter().map(|text| text.unwrap().to_owned()).collect()
}

/// A column of numbers.
pub fn column_numbers(frame: &DataFrame, column: &str) -> Vec<Option<f64>> {
    let column = frame.column(column).unwrap().cast(&DataType::Float64).unwrap();
    column.f64().unwrap().iter().collect()
}

/// Whether published data is here; says that the test is skipped where it is not.
pub fn present(study: &dyn Study, name: &str) -> bool {
    let sets = study.data().iter().filter(|set| set.name == name);
    let here = sets
        .flat_map(|set| set.presence())
        .all(|(_, presence)| matches!(presence, Presence::Here(_)));
    if !here {
        eprintln!("skipped: no {name}; `ceteris data` says where to get it");
    }
    here
}
