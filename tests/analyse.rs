//! `ceteris analyse` as a user types it, on the committed results of the quickstart.

use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use polars::prelude::*;

const QUICKSTART: &str = "results/quickstart";

fn analyse(arguments: &[&str]) -> Output {
    Command::cargo_bin("ceteris").unwrap().arg("analyse").args(arguments).output().unwrap()
}

fn printed(arguments: &[&str]) -> String {
    let output = analyse(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(arguments: &[&str]) -> String {
    let output = analyse(arguments);
    assert!(!output.status.success() && output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

fn written(arguments: &[&str], name: &str) -> DataFrame {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let path_text = path.to_str().unwrap();
    let said = printed(&[arguments, &["--out", path_text]].concat());
    let frame = read(&path);
    assert_eq!(said, format!("{path_text}: {} rows\n", frame.height()));
    frame
}

fn read(path: &Path) -> DataFrame {
    let file = std::fs::File::open(path).unwrap();
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("csv") => CsvReader::new(file).finish().unwrap(),
        _ => ParquetReader::new(file).finish().unwrap(),
    }
}

fn floats(frame: &DataFrame, column: &str) -> Vec<f64> {
    frame.column(column).unwrap().f64().unwrap().iter().map(Option::unwrap).collect()
}

fn texts(frame: &DataFrame, column: &str) -> Vec<String> {
    let column = frame.column(column).unwrap();
    column.str().unwrap().iter().map(|text| text.unwrap().to_owned()).collect()
}

/// Means of `return_last_5` over the runs at each level, straight from the Parquet files.
fn mean_at(factor: &str, level: &str) -> f64 {
    let runs = LazyFrame::scan_parquet(
        PlRefPath::new("results/quickstart/runs/*.parquet"),
        ScanArgsParquet::default(),
    );
    let mean = runs
        .unwrap()
        .filter(col(format!("factor_{factor}")).eq(lit(level)))
        .select([col("return_last_5").mean()])
        .collect()
        .unwrap();
    floats(&mean, "return_last_5")[0]
}

#[test]
fn a_summary_by_factors_has_the_means_of_the_runs() {
    let table = written(&[QUICKSTART, "summary", "--by", "reward_scaling"], "summary.parquet");
    assert_eq!(texts(&table, "factor_reward_scaling"), ["none", "returns"]);
    let expected = ["none", "returns"].map(|level| mean_at("reward_scaling", level));
    for (estimate, expected) in floats(&table, "estimate").into_iter().zip(expected) {
        assert!((estimate - expected).abs() < 1e-9, "{estimate} is not {expected}");
    }
    // What the numbers are stands beside them.
    assert_eq!(texts(&table, "estimator"), ["mean", "mean"]);
    assert!(texts(&table, "interval")[0].starts_with("percentile bootstrap"));
    let asked = [QUICKSTART, "summary", "--by", "reward_scaling", "--interval", "bca"];
    assert!(texts(&written(&asked, "bca.parquet"), "interval")[0].starts_with("BCa bootstrap"));
}

#[test]
fn rows_can_be_chosen() {
    let all = written(&[QUICKSTART, "summary"], "all.csv");
    assert_eq!(all.height(), 16);
    let some = written(
        &[
            QUICKSTART,
            "summary",
            "--where",
            "value_clip=none",
            "--where",
            "annealing=on",
            "--where",
            "annealing=off",
        ],
        "some.csv",
    );
    assert_eq!(some.height(), 8);
    assert!(texts(&some, "arm").iter().all(|arm| arm.contains("value_clip=none")));
}

#[test]
fn curves_come_from_any_table_that_has_steps() {
    let table = written(
        &[QUICKSTART, "curves", "--metric", "entropy", "--by", "annealing", "--resamples", "50"],
        "curves.parquet",
    );
    let steps = floats(&table, "steps");
    // 100 iterations of 1000 steps at either level.
    assert_eq!((steps[0], table.height()), (1000.0, 2 * 100));
    assert_eq!(table.column("n").unwrap().u64().unwrap().get(0), Some(40));
}

#[test]
fn the_terminal_says_once_what_all_rows_share() {
    let text = printed(&[QUICKSTART, "summary", "--metric", "return_max", "--estimator", "iqm"]);
    assert_eq!(text.matches("estimator: iqm\n").count(), 1, "{text}");
    assert_eq!(text.matches("value_clip=none").count(), 8, "{text}");
}

#[test]
fn what_is_not_there_is_named_with_what_is() {
    let cases: [(&[&str], &str); 7] = [
        (&["summary", "--metric", "return_las_5"], "did you mean `return_last_5`?"),
        (&["summary", "--by", "reward_scalin"], "did you mean `reward_scaling`?"),
        (&["summary", "--where", "value_clip=maxx"], "did you mean `max`?"),
        (&["summary", "--metric", "algorithm"], "holds str, not numbers; there are replicate,"),
        (&["summary", "--table", "iteration"], "iterations"),
        (&["curves", "--table", "timings"], "--metric"),
        (&["summary", "--out", "x.txt"], "ends in .parquet"),
    ];
    for (arguments, said) in cases {
        let error = refused(&[&[QUICKSTART], arguments].concat());
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
}
