//! `ceteris verify`: sound results pass, and every kind of damage or alteration is found and named.

mod common;

use std::fs;
use std::path::Path;

use common::{arg, ceteris, edit, forge, part, succeeds, texts, trained, tree};
use serde_json::Value;
use tempfile::TempDir;

fn verify(out: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut all = vec!["verify", arg(out)];
    all.extend(arguments);
    let output = ceteris(&all).output().unwrap();
    let (text, error) = texts(&output);
    (output.status.code(), text, error)
}

fn json(out: &Path, arguments: &[&str]) -> (Option<i32>, Value) {
    let mut all = arguments.to_vec();
    all.extend(["--format", "json"]);
    let (code, text, error) = verify(out, &all);
    (code, serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{error}")))
}

#[test]
fn sound_results_pass_bit_for_bit_and_a_seed_draws_the_sample() {
    let folder = TempDir::new().unwrap();
    let (_, out) = trained(folder.path());
    let before = tree(&out);
    let (code, text, error) = verify(&out, &["--all"]);
    assert_eq!(code, Some(0), "{text}{error}");
    assert!(text.contains("VERIFIED: 8 of 8 runs (100 %)"), "{text}");
    assert!(text.contains("every value has the same bits"), "{text}");
    assert!(text.contains("iterations, episodes, evaluations, runs; not timings"), "{text}");
    let drawn = |seed: &str| {
        let (code, found) = json(&out, &["--runs", "2", "--seed", seed]);
        assert_eq!(code, Some(0));
        let runs = found["trained"]["runs"].as_array().unwrap();
        assert_eq!(runs.len(), 2);
        assert!(runs.iter().all(|run| run["outcome"] == "identical"));
        runs.iter().map(|run| run["run_id"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(drawn("1"), drawn("1"));
    assert_ne!(drawn("1"), drawn("2"));
    // With the smallest budget, at least one run is trained.
    let (code, found) = json(&out, &["--budget", "0s", "--workers", "1"]);
    assert_eq!(code, Some(0));
    assert_eq!(found["trained"]["runs"].as_array().unwrap().len(), 1);
    assert_eq!(found["trained"]["ended_by_budget"], true);
    assert_eq!(tree(&out), before);
}

#[test]
fn an_altered_number_is_found_though_every_hash_fits() {
    let folder = TempDir::new().unwrap();
    let (_, out) = trained(folder.path());
    let run = forge(&out, 4, 1e-9);
    let (code, text, error) = verify(&out, &["--files-only"]);
    assert_eq!(code, Some(0), "{text}{error}");
    let (code, found) = json(&out, &["--run", &run[..8]]);
    assert_eq!(code, Some(3), "{found}");
    let found = &found["trained"]["runs"][0];
    assert_eq!(found["outcome"], "different");
    let difference = &found["differences"][0];
    assert_eq!(difference["table"], "iterations");
    assert_eq!(difference["column"], "value_loss");
    assert_eq!(difference["row"], format!("run_id {run}, iteration 4"));
    assert_eq!((&difference["rows"], &difference["of"]), (&1.into(), &6.into()));
    let value = |key: &str| difference[key].as_str().unwrap().parse::<f64>().unwrap();
    assert!((value("stored") - value("now") - 1e-9).abs() < 1e-12, "{difference}");
    let (code, text, _) = verify(&out, &["--all"]);
    assert_eq!(code, Some(3));
    assert!(text.contains("NOT VERIFIED: 1 of 8 runs that were trained again differ"), "{text}");
}

#[test]
fn another_machine_is_named_and_only_a_tolerance_asked_of_it() {
    let folder = TempDir::new().unwrap();
    let (_, out) = trained(folder.path());
    let elsewhere = |manifest: &mut Value| {
        manifest["writers"][0]["cpu"]["features"] = serde_json::json!(["neon"]);
        manifest["writers"][0]["target"] = "aarch64-unknown-linux-gnu".into();
    };
    edit(&out, elsewhere);
    let (code, found) = json(&out, &["--runs", "1"]);
    assert_eq!(code, Some(0));
    assert_eq!(found["trained"]["runs"][0]["outcome"], "identical");
    let machine = found["trained"]["runs"][0]["machine"].to_string();
    assert!(machine.contains("target aarch64-unknown-linux-gnu then"), "{machine}");
    assert!(machine.contains("instruction sets neon then"), "{machine}");

    // Other bits within the tolerance, in the first iteration and beyond the horizon.
    for iteration in [0, 5] {
        let run = forge(&out, iteration, 1e-9);
        let (code, found) = json(&out, &["--run", &run]);
        assert_eq!(code, Some(0), "{found}");
        assert_eq!(found["trained"]["runs"][0]["outcome"], "within tolerance");
    }
}

#[test]
fn damage_of_every_kind_is_named() {
    let folder = TempDir::new().unwrap();
    let (study, out) = trained(folder.path());
    let copy = |name: &str| {
        let to = folder.path().join(name);
        for (file, bytes) in tree(&out) {
            let path = to.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        to
    };
    let defects = |out: &Path| {
        let (code, found) = json(out, &["--files-only"]);
        assert_eq!(code, Some(3), "{found}");
        let defects = found["files"]["defects"].as_array().unwrap().clone();
        defects.iter().map(|text| text.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };

    let flipped = copy("flipped");
    let file = part(&flipped, "episodes");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let found = defects(&flipped);
    assert!(found[0].starts_with(&format!("{} is damaged", file.display())), "{found:?}");

    let truncated = copy("truncated");
    let file = part(&truncated, "episodes");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    let (code, _, error) = verify(&truncated, &["--files-only"]);
    assert_eq!(code, Some(1));
    assert!(error.contains(&format!("{} is damaged", file.display())), "{error}");

    let hash = copy("hash");
    edit(&hash, |manifest| {
        manifest["tables"]["episodes"]["content_sha256"] = "0".repeat(64).into();
    });
    assert_eq!(
        defects(&hash),
        ["the rows of the table episodes do not have the content hash of the manifest"]
    );

    let rows = copy("rows");
    edit(&rows, |manifest| {
        manifest["tables"]["runs"]["parts"][0]["rows"] = 77.into();
    });
    assert!(defects(&rows)[0].contains("the manifest says 77"));

    let gone = copy("gone");
    let file = part(&gone, "evaluations");
    fs::remove_file(&file).unwrap();
    let found = defects(&gone);
    assert!(
        found.iter().any(|text| text.starts_with(&format!("{} is not there", file.display()))),
        "{found:?}"
    );

    // A gap is no defect, but is said; a run that is not there cannot be trained again.
    let gap = folder.path().join("gap");
    succeeds(&["run", arg(&study), "--out", arg(&gap), "--shard", "1/2"]);
    let (code, found) = json(&gap.join("shards/1-of-2"), &["--runs", "1"]);
    assert_eq!(code, Some(0));
    assert_eq!((&found["files"]["stored"], &found["files"]["missing"]), (&4.into(), &4.into()));
}

#[test]
fn a_gpu_is_verified_on_the_gpu_and_within_a_tolerance_on_the_processor() {
    if !algorithms::device::LearnerDevice::has_adapter() {
        assert!(std::env::var_os("CETERIS_REQUIRE_GPU").is_none(), "no adapter found");
        println!("skipped: no adapter for wgpu on this machine");
        return;
    }
    let folder = TempDir::new().unwrap();
    let (study, out) = (folder.path().join("study.toml"), folder.path().join("out"));
    let text = common::STUDY
        .replace("replicates = 4", "replicates = 1")
        .replace("total_steps = 3000", "total_steps = 1000");
    fs::write(&study, text).unwrap();
    succeeds(&["run", arg(&study), "--out", arg(&out), "--device", "wgpu", "--no-report"]);
    for device in ["wgpu", "cpu"] {
        let (code, found) = json(&out, &["--all", "--device", device]);
        assert_eq!(code, Some(0), "{found}");
        for run in found["trained"]["runs"].as_array().unwrap() {
            assert_ne!(run["outcome"], "different", "{found}");
            let machine = run["machine"].to_string();
            assert_eq!(machine.contains("device gpu then, cpu now"), device == "cpu", "{machine}");
        }
    }
    // Beyond the tolerance is different all the same.
    forge(&out, 0, 0.5);
    let (code, found) = json(&out, &["--all"]);
    assert_eq!(code, Some(3), "{found}");
    let text = verify(&out, &["--all"]).1;
    assert!(text.contains("beyond what is promised of other machines"), "{text}");
}
