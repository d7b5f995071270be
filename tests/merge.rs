//! Shards and other directories of one study united: nothing lost, nothing doubled, the same bytes
//! however the runs were split, and conflicts refused.

mod common;

use std::fs;
use std::path::Path;

use common::{arg, ceteris, forge, hashes, parts, succeeds, texts, trained, tree};
use tempfile::TempDir;

fn shard(study: &Path, out: &Path, shard: &str) {
    succeeds(&["run", arg(study), "--out", arg(out), "--shard", shard]);
}

#[test]
fn any_split_merges_to_the_same_bytes_and_merging_again_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let (study, whole) = trained(folder.path());
    let canonical = folder.path().join("canonical");
    succeeds(&["merge", arg(&whole), "--out", arg(&canonical)]);
    let expected = parts(&canonical);
    assert_eq!(hashes(&canonical), hashes(&whole));
    // Runs, iterations, episodes and evaluations.
    assert_eq!(expected.len(), 4, "{:?}", expected.keys());

    for count in [1, 3, 8] {
        let out = folder.path().join(format!("in-{count}"));
        for index in 1..=count {
            shard(&study, &out, &format!("{index}/{count}"));
        }
        let text = succeeds(&["merge", "--out", arg(&out)]);
        assert!(text.starts_with("8 runs added; "), "{text}");
        assert!(parts(&out) == expected, "{count} shards");
        let before = tree(&out);
        let text = succeeds(&["merge", "--out", arg(&out)]);
        assert!(text.starts_with("0 runs added, 8 found more than once"), "{text}");
        assert!(tree(&out) == before, "{count} shards");
        succeeds(&["report", arg(&out)]);
    }
}

#[test]
fn shards_can_be_merged_as_they_come_and_the_study_continued() {
    let folder = TempDir::new().unwrap();
    let (study, whole) = trained(folder.path());
    let out = folder.path().join("out");
    shard(&study, &out, "2/3");
    let text = succeeds(&["merge", "--out", arg(&out)]);
    assert!(text.contains("6 runs of the study are in none of the directories yet"), "{text}");
    shard(&study, &out, "1/3");
    let text = succeeds(&["merge", "--out", arg(&out)]);
    assert!(text.starts_with("3 runs added, 2 found more than once"), "{text}");
    // What is missing can also be trained where it was merged.
    succeeds(&["run", arg(&study), "--out", arg(&out), "--no-report"]);
    assert_eq!(hashes(&out), hashes(&whole));
    // And merging once more brings all of it into one form.
    succeeds(&["merge", "--out", arg(&out)]);
    let canonical = folder.path().join("canonical");
    succeeds(&["merge", arg(&whole), "--out", arg(&canonical)]);
    assert!(parts(&out) == parts(&canonical));
}

#[test]
fn conflicting_numbers_and_other_study_files_are_refused() {
    let folder = TempDir::new().unwrap();
    let (study, whole) = trained(folder.path());
    let out = folder.path().join("out");
    shard(&study, &out, "1/2");
    shard(&study, &out, "2/2");
    succeeds(&["merge", "--out", arg(&out)]);
    let before = parts(&out);

    let run = forge(&whole, 1, 1e-9);
    let output = ceteris(&["merge", arg(&whole), "--out", arg(&out)]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let (_, error) = texts(&output);
    assert!(
        error.contains("hold a run with different numbers: in the table iterations"),
        "{error}"
    );
    assert!(error.contains(&format!("run_id {run}, iteration 1, column value_loss")), "{error}");
    assert!(parts(&out) == before);

    // Another study file, even with the same runs.
    let other = folder.path().join("other");
    let text = fs::read_to_string(&study).unwrap();
    fs::write(&study, format!("# Changed.\n{text}")).unwrap();
    succeeds(&["run", arg(&study), "--out", arg(&other), "--no-report"]);
    let output = ceteris(&["merge", arg(&other), "--out", arg(&out)]).output().unwrap();
    let (_, error) = texts(&output);
    assert!(error.contains("another text of the study file"), "{error}");
    assert!(parts(&out) == before);

    let nothing = folder.path().join("nothing");
    let (_, error) = texts(&ceteris(&["merge", "--out", arg(&nothing)]).output().unwrap());
    assert!(error.contains("there is nothing to merge into"), "{error}");
    assert!(!nothing.exists());
}
