//! `ceteris compare` as a user types it, on two small trainings.

use std::path::Path;
use std::process::{Command, Output};

use polars::prelude::*;
use tempfile::TempDir;

/// A study of one factor on CartPole, some hundred milliseconds long.
fn study(seed: u64, levels: &str) -> String {
    format!(
        "[study]\nkind = \"policy-gradient\"\nname = \"compare\"\nseed = {seed}\nreplicates = 3\n\
         [base]\npreset = \"cleanrl/ppo\"\nenvironment = \"CartPole-v1\"\ntotal_steps = 1024\n\
         evaluation_episodes = 0\n[factors]\ngamma = {levels}\n"
    )
}

fn ceteris(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ceteris")).args(arguments).output().unwrap()
}

fn trained(folder: &Path, name: &str, seed: u64, levels: &str) -> String {
    let file = folder.join(format!("{name}.toml"));
    std::fs::write(&file, study(seed, levels)).unwrap();
    let out = folder.join(name);
    let (file, out) = (file.to_str().unwrap(), out.to_str().unwrap().to_owned());
    let run = ceteris(&["run", file, "--out", &out]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    out
}

fn compared(arguments: &[&str]) -> String {
    let output = ceteris(&[&["compare"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn table(folder: &Path, arguments: &[&str]) -> DataFrame {
    let out = folder.join("table.parquet");
    compared(&[arguments, &["--out", out.to_str().unwrap()]].concat());
    ParquetReader::new(std::fs::File::open(out).unwrap()).finish().unwrap()
}

fn counts(table: &DataFrame, column: &str) -> Vec<u64> {
    table.column(column).unwrap().u64().unwrap().iter().flatten().collect()
}

fn floats(table: &DataFrame, column: &str) -> Vec<Option<f64>> {
    table.column(column).unwrap().f64().unwrap().iter().collect()
}

fn first_text(table: &DataFrame, column: &str) -> String {
    table.column(column).unwrap().str().unwrap().get(0).unwrap().to_owned()
}

#[test]
fn two_directories_are_compared_arm_by_arm() {
    let folder = TempDir::new().unwrap();
    let a = trained(folder.path(), "a", 1, "[0.9, 0.99]");
    let again = trained(folder.path(), "again", 1, "[0.99, 0.95]");
    let other = trained(folder.path(), "other", 2, "[0.9, 0.99]");

    // The same runs have the same bits, wherever they were trained, and no difference.
    let same = table(folder.path(), &[&a, &again]);
    assert_eq!((first_text(&same, "arm_a"), same.height()), ("gamma=0.99".to_owned(), 1));
    assert_eq!((counts(&same, "same_runs"), counts(&same, "identical")), (vec![3], vec![3]));
    assert_eq!(floats(&same, "estimate"), [Some(0.0)]);
    let text = compared(&[&a, &again]);
    assert!(text.contains("only in A: gamma=0.9\n"), "{text}");
    assert!(text.contains("only in B: gamma=0.95\n"), "{text}");
    assert!(text.contains("replicates paired"), "{text}");

    // Another study seed gives other runs, whose replicates have nothing in common.
    let apart = table(folder.path(), &[&a, &other]);
    assert_eq!((counts(&apart, "same_runs"), counts(&apart, "n_a")), (vec![0, 0], vec![3, 3]));
    assert_eq!(first_text(&apart, "test"), "Welch t");
    let difference = |row: usize| {
        let of = |column| floats(&apart, column)[row].unwrap();
        (of("mean_b") - of("mean_a") - of("estimate")).abs()
    };
    assert!(difference(0) < 1e-12 && difference(1) < 1e-12);

    // Arms of different names can be held against each other.
    let pair = table(folder.path(), &[&a, &again, "--arms", "gamma=0.9:gamma=0.95"]);
    assert_eq!(first_text(&pair, "arm_b"), "gamma=0.95");
    assert_eq!(first_text(&pair, "test"), "paired t");
    let wrong = ceteris(&["compare", &a, &again, "--arms", "gamma=0.8:gamma=0.95"]);
    let error = String::from_utf8(wrong.stderr).unwrap();
    assert!(!wrong.status.success() && error.contains("has no arm `gamma=0.8`"), "{error}");
    assert!(error.contains("did you mean `gamma=0.9`?"), "{error}");
    let wrong = ceteris(&["compare", &a, &other, "--metric", "return_last5"]);
    let error = String::from_utf8(wrong.stderr).unwrap();
    assert!(error.contains("did you mean `return_last_5`?"), "{error}");
}
