//! Where results come from: presets kept in manifests, `ceteris cite` and `ceteris export`.
//!
//! The validation by roc-validator and rocrate needs what `scripts/setup-ro-crate.sh` installs; without
//! it that test passes unless `CETERIS_REQUIRE_RO_CRATE` is set.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use biblatex::{Bibliography, ChunksExt};
use ceteris::store::{Results, ResultsDirectory, RunEnvironment, StoreError};
use ceteris::study::{StudyFile, plan};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const QUICKSTART: &str = "results/quickstart";
const PRESET: &str = "classic-control/pendulum";
/// `hashlib.sha256` of the lines of results/quickstart/manifest.json, in Python.
const CONTENT: &str = "77110e4b6a75ce05dbe85d6d455ab8d90320a10d254d589879231a22c08acc11";

fn ceteris(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ceteris")).args(arguments).output().unwrap()
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What a command says that fails, as it should.
fn refused(arguments: &[&str]) -> String {
    let output = ceteris(arguments);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Every file below a folder by its path inside.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let entry = entry.unwrap().path();
            if entry.is_dir() {
                folders.push(entry);
            } else {
                let inside = entry.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(inside, fs::read(&entry).unwrap());
            }
        }
    }
    found
}

/// A copy of the committed results.
fn quickstart(folder: &TempDir) -> PathBuf {
    let copy = folder.path().join("quickstart");
    for (file, bytes) in files(Path::new(QUICKSTART)) {
        let file = copy.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }
    copy
}

fn edit(directory: &Path, change: impl FnOnce(&mut Value)) {
    let file = directory.join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    change(&mut manifest);
    fs::write(file, manifest.to_string()).unwrap();
}

/// The ids of the runs that a directory plans.
fn ids(results: &Results) -> Vec<String> {
    results.plan.runs.iter().map(|run| run.id.to_string()).collect()
}

#[test]
fn a_directory_plans_the_presets_that_it_keeps() {
    let folder = TempDir::new().unwrap();
    let copy = quickstart(&folder);
    let committed = ids(&ResultsDirectory::read(&copy).unwrap());
    let file = StudyFile::read("ablations/quickstart.toml").unwrap();
    let own = file.presets[PRESET].clone();
    assert!(own.contains("gamma = 0.9\n"), "{own}");

    // The program's own text changes nothing.
    edit(&copy, |manifest| manifest["study"]["presets"] = json!({ PRESET: own }));
    assert_eq!(ids(&ResultsDirectory::read(&copy).unwrap()), committed);

    // Another text under the same name is what the directory plans, and what it keeps.
    let other = own.replace("gamma = 0.9\n", "gamma = 0.75\n");
    edit(&copy, |manifest| manifest["study"]["presets"] = json!({ PRESET: other }));
    let results = ResultsDirectory::read(&copy).unwrap();
    assert!(ids(&results).iter().all(|id| !committed.contains(id)));
    for run in &results.plan.runs {
        assert_eq!(run.configuration.get("gamma").unwrap().to_string(), "0.75");
    }
    assert_eq!(results.plan.file.presets[PRESET], other);
    // A study file from outside means the program's presets, and so other runs.
    let error = results.shown_as(file).unwrap_err();
    assert!(matches!(error, StoreError::OtherRuns { .. }), "{error}");
    let said = refused(&["report", path(&copy), "--study", "ablations/quickstart.toml"]);
    assert!(said.contains("is not one of the results'"), "{said}");

    // A preset that the program does not have at all.
    edit(&copy, |manifest| {
        let text = manifest["study"]["text"].as_str().unwrap().replace(PRESET, "retired/pendulum");
        manifest["study"]["text"] = json!(text);
        manifest["study"]["presets"] = json!({ "retired/pendulum": own });
    });
    assert_eq!(ids(&ResultsDirectory::read(&copy).unwrap()), committed);
    edit(&copy, |manifest| manifest["study"]["presets"] = json!({}));
    let error = ResultsDirectory::read(&copy).unwrap_err().to_string();
    assert!(error.contains("unknown preset \"retired/pendulum\""), "{error}");
}

#[test]
fn a_run_keeps_the_presets_of_its_study_file() {
    let folder = TempDir::new().unwrap();
    let (study, out) = (folder.path().join("study.toml"), folder.path().join("results"));
    let text = "[study]\nkind = \"policy-gradient\"\nname = \"kept\"\nseed = 1\nreplicates = 1\n\
                [base]\npreset = \"cleanrl/ppo\"\nenvironment = \"CartPole-v1\"\n\
                total_steps = 512\nevaluation_episodes = 1\n";
    fs::write(&study, text).unwrap();
    let run = || printed(&ceteris(&["run", path(&study), "--out", path(&out), "--no-report"]));
    assert!(run().contains("1 runs finished"), "{}", run());
    let kept = ResultsDirectory::read(&out).unwrap().manifest.study.presets;
    assert_eq!(kept.keys().collect::<Vec<_>>(), ["cleanrl/ppo"]);
    assert_eq!(kept, StudyFile::read(&study).unwrap().presets);

    // Who goes on with a study means the program's presets: the kept ones are replaced, and runs that
    // they still ask for are not trained again.
    edit(&out, |manifest| {
        let text = kept["cleanrl/ppo"].replace("gamma = 0.99\n", "gamma = 0.5\n");
        assert_ne!(text, kept["cleanrl/ppo"]);
        manifest["study"]["presets"]["cleanrl/ppo"] = json!(text);
    });
    let status = printed(&ceteris(&["status", path(&out), "--format", "json"]));
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["runs"], json!({ "finished": 0, "diverged": 0, "to_do": 1 }));
    assert_eq!(status["not_in_study"], 1);
    assert!(run().contains("0 runs finished, 1 were there already"));
    assert_eq!(ResultsDirectory::read(&out).unwrap().manifest.study.presets, kept);
}

const PARAGRAPH: &str = "The study \"Four code-level optimizations of PPO on Pendulum-v1\" (quickstart) was run with Ceteris 0.1.0 (commit 59f3d0eb166cf15ed639fc4a8961e5500c01ab9d). It is of the kind policy-gradient, numerics version 1: Implementation Matters in Deep Policy Gradients (Engstrom et al., ICLR 2020): PPO and TRPO with every code-level choice a flag. It has 16 arms with 5 replicates each, 80 runs in all: 80 finished and 0 diverged. It was computed on the CPU AMD EPYC (target x86_64-unknown-linux-gnu, Debian GNU/Linux 12 (bookworm), linux 6.18.44-fc-v669, instruction sets sse4.2 avx avx2 fma avx512f avx512bw avx512vl). The study file quickstart.toml has the SHA-256 e5b1cb21cccf9165664640a338bd94e4fd382dbb069046f8a1483a07eefcb41c; the content of the reproducible tables (episodes, evaluations, iterations and runs) has the SHA-256 77110e4b6a75ce05dbe85d6d455ab8d90320a10d254d589879231a22c08acc11.";

const CHECKS: &str = "
To check it:
  ceteris verify results/quickstart  trains a sample of the runs again and compares every number
  ceteris cite results/quickstart    compares every file with its hash and prints the content hash
";

const BIBTEX: &str = "@misc{quickstart-77110e4b6a75,
  title = {{Results of the study quickstart: Four code-level optimizations of PPO on Pendulum-v1}},
  key = {quickstart},
  year = {2026},
  howpublished = {Results directory of Ceteris},
  note = {16 arms, 5 replicates, 80 runs; study file SHA-256 e5b1cb21cccf9165664640a338bd94e4fd382dbb069046f8a1483a07eefcb41c; content SHA-256 77110e4b6a75ce05dbe85d6d455ab8d90320a10d254d589879231a22c08acc11},
}

@misc{ceteris-0.1.0-59f3d0eb166c,
  title = {{Ceteris: A harness for machine-learning studies whose results others can check}},
  key = {Ceteris},
  howpublished = {Computer program},
  note = {Version 0.1.0, commit 59f3d0eb166cf15ed639fc4a8961e5500c01ab9d},
}

@inproceedings{engstrom-2020-implementation,
  author = {Engstrom, Logan and Ilyas, Andrew and Santurkar, Shibani and Tsipras, Dimitris and Janoos, Firdaus and Rudolph, Larry and Madry, Aleksander},
  title = {{Implementation Matters in Deep Policy Gradients: A Case Study on PPO and TRPO}},
  booktitle = {International Conference on Learning Representations},
  year = {2020},
  url = {https://openreview.net/forum?id=r1etN1rtPB},
}
";

#[test]
fn results_are_cited_with_their_hashes() {
    let text = printed(&ceteris(&["cite", QUICKSTART]));
    assert_eq!(text, format!("{PARAGRAPH}\n{CHECKS}\n{BIBTEX}"));
    assert_eq!(printed(&ceteris(&["cite", QUICKSTART, "--format", "bibtex"])), BIBTEX);

    let page = printed(&ceteris(&["cite", QUICKSTART, "--format", "json"]));
    let page: Value = serde_json::from_str(&page).unwrap();
    assert_eq!(page["content_sha256"], CONTENT);
    assert_eq!(page["paragraph"], PARAGRAPH);
    assert_eq!(page["bibtex"], BIBTEX);
    assert_eq!(page["runs"], 80);
    assert_eq!(page["incomplete"], json!([]));
    assert_eq!(page["checks"][0], "ceteris verify results/quickstart");

    let parsed = Bibliography::parse(BIBTEX).unwrap();
    let keys: Vec<&str> = parsed.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(
        keys,
        ["quickstart-77110e4b6a75", "ceteris-0.1.0-59f3d0eb166c", "engstrom-2020-implementation"]
    );
    let note = parsed.get("quickstart-77110e4b6a75").unwrap().get("note").unwrap();
    assert!(note.format_verbatim().ends_with(CONTENT));
    let authors = parsed.get("engstrom-2020-implementation").unwrap().author().unwrap();
    assert_eq!((authors.len(), authors[0].name.as_str()), (7, "Engstrom"));
}

#[test]
fn incomplete_results_have_no_hash_and_damaged_ones_no_citation() {
    let folder = TempDir::new().unwrap();
    let copy = quickstart(&folder);
    edit(&copy, |manifest| {
        let writer = &mut manifest["writers"][0];
        writer["dirty"] = json!(true);
        writer["device"] = json!({ "kind": "gpu", "name": "Fast & Co", "driver": "Vulkan 1_2" });
        manifest["study"]["title"] = json!("50 % of {everything}");
    });
    let text = printed(&ceteris(&["cite", path(&copy)]));
    for said in [
        "(commit 59f3d0eb166cf15ed639fc4a8961e5500c01ab9d with changes that were not committed)",
        "on the GPU Fast & Co, Vulkan 1_2 beside the processor AMD EPYC (target",
        "50 \\% of \\textbraceleft{}everything\\textbraceright{}}},",
        CONTENT,
    ] {
        assert!(text.contains(said), "{text}");
    }

    let part = copy.join("timings/part-0b1e7321f18308f3.parquet");
    let bytes = fs::read(&part).unwrap();
    fs::remove_file(&part).unwrap();
    for format in ["text", "bibtex", "json"] {
        let text = printed(&ceteris(&["cite", path(&copy), "--format", format]));
        let said = "THESE RESULTS ARE INCOMPLETE (8 of 80 runs are missing; \
                    1 part set is incomplete; 1 file is listed, but not there) \
                    and therefore have no content hash.";
        assert!(text.contains(said), "{text}");
        assert!(!text.contains(CONTENT), "{text}");
    }
    let out = folder.path().join("out.zip");
    let said = refused(&["export", path(&copy), "--to", path(&out)]);
    assert!(said.contains("part-0b1e7321f18308f3.parquet is not there"), "{said}");

    let mut flipped = bytes.clone();
    flipped[100] ^= 4;
    fs::write(&part, flipped).unwrap();
    for arguments in [vec!["cite", path(&copy)], vec!["export", path(&copy), "--to", path(&out)]] {
        let said = refused(&arguments);
        assert!(said.contains("part-0b1e7321f18308f3.parquet is damaged"), "{said}");
    }
    // Neither the export nor anything temporary is left.
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(left, [copy]);
}

fn export(results: &str, to: &Path, more: &[&str]) -> String {
    printed(&ceteris(&[&["export", results, "--to", path(to)], more].concat()))
}

#[test]
fn an_export_is_the_results_again() {
    let folder = TempDir::new().unwrap();
    let to = |name: &str| folder.path().join(name);
    let said = export(QUICKSTART, &to("a.zip"), &["--license", "CC-BY-4.0"]);
    assert!(said.contains("a.zip: 54 files"), "{said}");
    export(QUICKSTART, &to("b.zip"), &["--license", "CC-BY-4.0"]);
    export(QUICKSTART, &to("c"), &["--license", "CC-BY-4.0"]);
    // The same bytes each time.
    assert_eq!(fs::read(to("a.zip")).unwrap(), fs::read(to("b.zip")).unwrap());

    // Unpacked by others, the zip file is the folder.
    if let Some(output) = tool("unzip", &["-tq", path(&to("a.zip"))]) {
        printed(&output);
        printed(&tool("unzip", &["-q", path(&to("a.zip")), "-d", path(&to("d"))]).unwrap());
        assert_eq!(files(&to("d")), files(&to("c")));
    }
    let script = "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\n\
                  assert z.testzip() is None\nz.extractall(sys.argv[2])";
    if let Some(output) = tool("python3", &["-c", script, path(&to("a.zip")), path(&to("e"))]) {
        printed(&output);
        assert_eq!(files(&to("e")), files(&to("c")));
    }

    // The layout is that of the results, and every file is in the sums.
    let exported = files(&to("c"));
    let committed = files(Path::new(QUICKSTART));
    for (file, bytes) in &committed {
        assert_eq!(exported.get(file), Some(bytes), "{file}");
    }
    let added: Vec<&str> =
        exported.keys().filter(|file| !committed.contains_key(*file)).map(String::as_str).collect();
    assert_eq!(added, ["SHA256SUMS", "ro-crate-metadata.json", "study.toml"]);
    assert_eq!(exported["study.toml"], fs::read("ablations/quickstart.toml").unwrap());
    let sums = String::from_utf8(exported["SHA256SUMS"].clone()).unwrap();
    let listed: Vec<&str> = sums.lines().map(|line| &line[66..]).collect();
    let others: Vec<&str> =
        exported.keys().map(String::as_str).filter(|file| *file != "SHA256SUMS").collect();
    assert_eq!(listed, others);
    let check = |folder: &Path| {
        let mut command = Command::new("sha256sum");
        command.args(["--check", "--strict", "--quiet", "SHA256SUMS"]).current_dir(folder).output()
    };
    match check(&to("c")) {
        Ok(output) => {
            printed(&output);
            fs::write(to("c").join("study.toml"), "other").unwrap();
            assert!(!check(&to("c")).unwrap().status.success());
            fs::write(to("c").join("study.toml"), &exported["study.toml"]).unwrap();
        }
        Err(error) => println!("skipped: sha256sum: {error}"),
    }

    // It is a results directory.
    let status = |directory: &str| printed(&ceteris(&["status", directory, "--format", "json"]));
    assert_eq!(status(path(&to("c"))), status(QUICKSTART));
    let cited = printed(&ceteris(&["cite", path(&to("c")), "--format", "bibtex"]));
    assert_eq!(cited, BIBTEX);
    let report = printed(&ceteris(&["report", path(&to("c")), "--resamples", "100"]));
    assert!(report.contains("report.html"), "{report}");
    // What was added to the folder is no part of the results, so the export of the export is the same.
    export(path(&to("c")), &to("f.zip"), &["--license", "CC-BY-4.0"]);
    assert_eq!(fs::read(to("f.zip")).unwrap(), fs::read(to("a.zip")).unwrap());

    // Nothing is overwritten, be it a file, a folder or a broken link.
    fs::create_dir(to("empty")).unwrap();
    let mut taken = vec!["a.zip", "c", "empty"];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("nowhere", to("link")).unwrap();
        taken.push("link");
    }
    for taken in taken {
        let said = refused(&["export", QUICKSTART, "--to", path(&to(taken))]);
        assert!(said.contains("exists already"), "{said}");
    }
    assert_eq!(fs::read(to("a.zip")).unwrap(), fs::read(to("b.zip")).unwrap());
    assert!(fs::read_dir(to("empty")).unwrap().next().is_none());
    let said = refused(&["export", QUICKSTART, "--to", path(&to("a.zip").join("below"))]);
    assert!(said.contains("cannot write"), "{said}");
}

/// Runs a program of others; `None` where it is not installed.
fn tool(program: &str, arguments: &[&str]) -> Option<Output> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => Some(output),
        Err(error) => {
            println!("skipped: {program}: {error}");
            None
        }
    }
}

#[test]
fn results_that_are_being_written_are_not_exported() {
    let folder = TempDir::new().unwrap();
    let copy = quickstart(&folder);
    let plan = plan(StudyFile::read("ablations/quickstart.toml").unwrap());
    let directory = ResultsDirectory::open(&copy, &plan, &RunEnvironment::cpu()).unwrap();
    let out = folder.path().join("out");
    let said = refused(&["export", path(&copy), "--to", path(&out)]);
    assert!(said.contains("is being written by"), "{said}");
    let said = printed(&ceteris(&["cite", path(&copy)]));
    assert!(said.contains("THESE RESULTS ARE INCOMPLETE (it is being written by"), "{said}");
    assert!(!out.exists());
    drop(directory);
    export(path(&copy), &out, &[]);
}

/// The entities of a crate by their ids.
fn entities(folder: &Path) -> BTreeMap<String, Value> {
    let text = fs::read(folder.join("ro-crate-metadata.json")).unwrap();
    let page: Value = serde_json::from_slice(&text).unwrap();
    let graph = page["@graph"].as_array().unwrap();
    let by_id = |entity: &Value| (entity["@id"].as_str().unwrap().to_owned(), entity.clone());
    let found: BTreeMap<String, Value> = graph.iter().map(by_id).collect();
    assert_eq!(found.len(), graph.len(), "every entity once");
    found
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let (Some(id), 1) = (map.get("@id"), map.len()) {
                found.insert(id.as_str().unwrap().to_owned());
            }
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn the_crate_describes_every_file() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("crate");
    export(QUICKSTART, &out, &["--license", "https://example.org/licence"]);
    let entities = entities(&out);
    for (file, bytes) in files(&out) {
        let Some(entity) = entities.get(&file) else { panic!("{file} is not described") };
        if file == "ro-crate-metadata.json" || file == "SHA256SUMS" {
            continue;
        }
        let sha256: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(entity["sha256"], sha256, "{file}");
        assert_eq!(entity["contentSize"], bytes.len().to_string(), "{file}");
        assert_eq!(entity["@type"], "File");
    }
    let mut mentioned = BTreeSet::new();
    entities.values().for_each(|entity| references(entity, &mut mentioned));
    let outside: Vec<&String> = mentioned.iter().filter(|id| !entities.contains_key(*id)).collect();
    assert_eq!(outside, ["https://w3id.org/ro/crate/1.1"]);
    let root = &entities["./"];
    assert_eq!(root["license"], json!({ "@id": "https://example.org/licence" }));
    assert_eq!(root["description"], PARAGRAPH);
    let action = &entities["#run-1"];
    assert_eq!(action["object"], json!({ "@id": "study.toml" }));
    assert_eq!(action["result"].as_array().unwrap().len(), 50);
    let program = &entities[action["instrument"]["@id"].as_str().unwrap()];
    assert_eq!(
        program["softwareVersion"],
        "Ceteris 0.1.0 (commit 59f3d0eb166cf15ed639fc4a8961e5500c01ab9d)"
    );
    let episodes = entities["episodes/"]["description"].as_str().unwrap();
    assert!(episodes.starts_with("40000 rows; one row is "), "{episodes}");

    let said = ceteris(&["export", QUICKSTART, "--to", "x", "--license", "my own"]);
    assert_eq!(said.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&said.stderr).contains("SPDX identifier"));
}

#[test]
fn validators_of_others_accept_the_crate() {
    let python = Path::new("third-party/ro-crate/bin/python");
    if !Path::new("third-party/ro-crate/complete").exists() {
        let said = "scripts/setup-ro-crate.sh has not been run";
        assert!(std::env::var_os("CETERIS_REQUIRE_RO_CRATE").is_none(), "{said}");
        println!("skipped: {said}");
        return;
    }
    let validate = |crates: &[&Path]| {
        let script = "tests/ro-crate/validate.py";
        Command::new(python).arg(script).args(crates).output().unwrap()
    };
    let folder = TempDir::new().unwrap();
    let (plain, zip) = (folder.path().join("plain"), folder.path().join("zipped.zip"));
    export(QUICKSTART, &plain, &[]);
    export(QUICKSTART, &zip, &["--license", "CC-BY-4.0"]);
    let said = printed(&validate(&[&plain, &zip]));
    assert_eq!(said.matches(" checks, 0 issues").count(), 2, "{said}");
    assert_eq!(said.matches("53 files, 5 tables, 1 actions, 50 made").count(), 2, "{said}");

    // They do find what is wrong.
    let metadata = plain.join("ro-crate-metadata.json");
    let text = fs::read_to_string(&metadata).unwrap();
    fs::write(&metadata, text.replace("\"license\"", "\"keywords\"")).unwrap();
    let output = validate(&[&plain]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("MUST have a `license`"));
}
