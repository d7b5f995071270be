//! Language models that a run computes itself: killed in the middle, asked on, never asked twice.
//!
//! Needs SmolLM2 (`scripts/setup-smollm2.sh`) and BLiMP (`ceteris data`); skipped without, and failing with
//! `CETERIS_REQUIRE_SMOLLM2` where the model is missing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use ceteris::data::Presence;
use ceteris::store::ResultsDirectory;
use ceteris::studies::find;

mod common;

use common::{arg, ceteris, hashes, succeeds, texts};

const MODEL: &str = "third-party/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
const SHA256: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";

fn ready() -> bool {
    let sets = find("lm-evaluation").unwrap().data().iter();
    let missing = |name: &str| {
        let set = sets.clone().find(|set| set.name == name).unwrap();
        !set.presence().iter().all(|(_, presence)| matches!(presence, Presence::Here(_)))
    };
    if missing("smollm2-135m-instruct") {
        assert!(std::env::var_os("CETERIS_REQUIRE_SMOLLM2").is_none(), "no SmolLM2");
        eprintln!("skipped: no SmolLM2; run scripts/setup-smollm2.sh");
        return false;
    }
    if missing("blimp") {
        eprintln!("skipped: no blimp; `ceteris data` says where to get it");
        return false;
    }
    true
}

/// A hundred sentences a run. The second arm names the same network by its file.
fn study(sha256: &str) -> String {
    format!(
        r#"
[study]
kind = "lm-evaluation"
name = "networks"
seed = 11
replicates = 2

[base]
evaluation_task = "blimp"
blimp_paradigm = "anaphor_number_agreement"
adapter = "separate"
evaluation_parts = 20
language_model = "smollm2-135m-instruct"

[[arms]]
name = "published"

[[arms]]
name = "file"
language_model = "gguf"
gguf_file = "{MODEL}"
gguf_sha256 = "{sha256}"
"#
    )
}

/// The keys of all whole records of a journal, as often as they occur: a record is a key of 32 bytes,
/// a length and a checksum of four bytes each, and the value.
fn kept(out: &Path) -> Vec<Vec<u8>> {
    let Ok(files) = fs::read_dir(out.join("journal")) else { return Vec::new() };
    let mut keys = Vec::new();
    for file in files {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        let mut rest = bytes.as_slice();
        while let Some((head, after)) = rest.split_at_checked(40) {
            let length = u32::from_le_bytes(head[32..36].try_into().unwrap()) as usize;
            let Some(next) = after.get(length..) else { break };
            keys.push(head[..32].to_vec());
            rest = next;
        }
    }
    keys
}

#[test]
fn a_killed_evaluation_goes_on_and_asks_nothing_twice() {
    if !ready() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("study.toml");
    fs::write(&file, study(SHA256)).unwrap();
    let whole = folder.path().join("whole");
    succeeds(&["run", arg(&file), "--out", arg(&whole), "--no-report", "--workers", "2"]);
    // Both arms ask the same: two replicates of fifty pairs.
    assert_eq!(kept(&whole).len(), 200);

    let killed = folder.path().join("killed");
    let arguments = ["run", arg(&file), "--out", arg(&killed), "--no-report", "--workers", "1"];
    let mut child = ceteris(&arguments).spawn().unwrap();
    let begun = Instant::now();
    while kept(&killed).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(120), "nothing is answered");
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(5));
    }
    // SIGKILL.
    child.kill().unwrap();
    child.wait().unwrap();
    let before = kept(&killed);
    // A pack of about thirty sentences at a time.
    assert!((1..100).contains(&before.len()), "{} were answered", before.len());
    assert_eq!(
        ResultsDirectory::read(&killed).map_or(0, |results| results.runs().unwrap().height()),
        0
    );

    succeeds(&arguments);
    let after = kept(&killed);
    assert_eq!(after.len(), 200);
    let once: BTreeSet<&Vec<u8>> = after.iter().collect();
    assert_eq!(once.len(), 200);
    assert!(before.iter().all(|key| once.contains(key)));
    assert_eq!(hashes(&killed), hashes(&whole));

    // What SmolLM2 makes of the pairs; nine of ten is what small networks have here.
    let runs = ResultsDirectory::read(&whole).unwrap().runs().unwrap();
    let scores: Vec<f64> =
        runs.column("score").unwrap().f64().unwrap().iter().map(Option::unwrap).collect();
    assert!(scores.iter().all(|score| *score > 0.85), "{scores:?}");
}

#[test]
fn another_file_than_the_named_one_is_refused() {
    if !ready() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("study.toml");
    let run = |text: &str| {
        fs::write(&file, text).unwrap();
        let out = folder.path().join("out");
        let output =
            ceteris(&["run", arg(&file), "--out", arg(&out), "--no-report"]).output().unwrap();
        assert!(!output.status.success());
        texts(&output).1
    };
    let said = run(&study(&"0".repeat(64)).replace("\n[[arms]]\nname = \"published\"\n", ""));
    let expected = format!("is {SHA256}, not that in `gguf_sha256`");
    assert!(said.replace('\n', " ").contains(&expected), "{said}");
    let said = run(&study("abc"));
    assert!(said.contains("the file of the network has no SHA-256"), "{said}");
    let template = study(SHA256).replace(
        "language_model = \"smollm2-135m-instruct\"",
        "language_model = \"ngram\"\nchat_template = true",
    );
    let said = run(&template);
    assert!(said.contains("ngram has no template of its own"), "{said}");
}
