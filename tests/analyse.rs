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

#[test]
fn effects_are_differences_of_means_and_come_with_interactions() {
    let table = written(&[QUICKSTART, "effects", "--resamples", "500"], "effects.parquet");
    // Four main effects and six interactions, one family.
    assert_eq!(table.height(), 10);
    let effects = texts(&table, "effect");
    assert_eq!(effects[0], "factor_value_clip");
    assert_eq!(effects[4], "factor_value_clip × factor_reward_scaling");
    let difference = mean_at("value_clip", "max") - mean_at("value_clip", "none");
    assert!((floats(&table, "estimate")[0] - difference).abs() < 1e-9);
    let (low, wide) = (floats(&table, "low"), floats(&table, "simultaneous_low"));
    assert!(low.iter().zip(wide).all(|(low, wide)| wide <= *low));
    assert_eq!(written(&[QUICKSTART, "effects", "--order", "1"], "main.csv").height(), 4);
    // The cells of an interaction add up to it.
    let means = written(&[QUICKSTART, "means", "--by", "value_clip,reward_scaling"], "means.csv");
    let cells = floats(&means, "estimate");
    let interaction = cells[3] - cells[2] - cells[1] + cells[0];
    assert!((floats(&table, "estimate")[4] - interaction).abs() < 1e-9);
}

#[test]
fn arms_are_compared_with_a_baseline() {
    let baseline = "value_clip=none,reward_scaling=none,initialisation=xavier,annealing=off";
    let table = written(&[QUICKSTART, "contrasts", "--baseline", baseline], "contrasts.parquet");
    assert_eq!(table.height(), 15);
    assert!(texts(&table, "test").iter().all(|test| test == "paired t"));
    let (p, adjusted) = (floats(&table, "p_value"), floats(&table, "p_adjusted"));
    assert!(p.iter().zip(&adjusted).all(|(p, adjusted)| adjusted >= p));
    let other = ["contrasts", "--by", "annealing", "--test", "rank", "--paired", "no"];
    let table = written(&[&[QUICKSTART], &other[..]].concat(), "ranks.csv");
    assert_eq!(texts(&table, "test"), ["Mann-Whitney U"]);
    let error = refused(&[QUICKSTART, "contrasts", "--pair", "value_clip=none:base"]);
    assert!(error.contains("no row of table `runs` has arm = value_clip=none"), "{error}");
    let more = ["power", "--by", "annealing", "--effect", "50"];
    let table = written(&[&[QUICKSTART], &more[..]].concat(), "power.parquet");
    assert_eq!(table.column("effect").unwrap().f64().unwrap().get(0), Some(50.0));
    assert!(table.column("seeds_needed").unwrap().u64().unwrap().get(0) > Some(1));
}

#[test]
fn a_tuned_factor_is_chosen_for_every_combination_of_the_others() {
    let tune = ["selection", "--tune", "annealing", "--rule", "fresh-seeds"];
    let error = refused(&[&[QUICKSTART], &tune[..]].concat());
    assert!(error.contains("needs --tuning-replicates N"), "{error}");
    let tune = [&tune[..], &["--tuning-replicates", "2"]].concat();
    let table = written(&[&[QUICKSTART], &tune[..]].concat(), "selection.parquet");
    assert_eq!(table.height(), 8);
    assert_eq!(table.column("n_tuning").unwrap().u64().unwrap().get(0), Some(2));
    assert_eq!(table.column("n_estimate").unwrap().u64().unwrap().get(0), Some(3));
    let error = refused(&[QUICKSTART, "selection"]);
    assert!(error.contains("no section [tuning]"), "{error}");
    let error = refused(&[QUICKSTART, "selection", "--tune", "anealing"]);
    assert!(error.contains("did you mean `annealing`?"), "{error}");
    let figure = ["figure-one", "--tune", "annealing", "--part", "survival", "--points", "5"];
    let table = written(&[&[QUICKSTART], &figure[..]].concat(), "figure-one.csv");
    // Three other factors with two levels each, at five thresholds.
    assert_eq!(table.height(), 3 * 2 * 5);
}

#[test]
fn areas_profiles_and_regressions_are_tables_too() {
    let table = written(&[QUICKSTART, "areas", "--by", "value_clip"], "areas.parquet");
    let (means, low, high) =
        (floats(&table, "estimate"), floats(&table, "low"), floats(&table, "high"));
    assert!(means.iter().zip(low).all(|(mean, low)| low < *mean));
    assert!(means.iter().zip(high).all(|(mean, high)| *mean < high));
    let at = ["survival", "--by", "annealing", "--at=-300,-200"];
    let table = written(&[&[QUICKSTART], &at[..]].concat(), "survival.csv");
    assert_eq!(floats(&table, "tau"), [-300.0, -200.0, -300.0, -200.0]);
    let table = written(&[QUICKSTART, "scores", "--resamples", "100"], "scores.parquet");
    assert_eq!(table.height(), 16 * 4);
    let table = written(&[QUICKSTART, "regression", "--on", "return_max"], "regression.csv");
    assert_eq!(texts(&table, "term"), ["(intercept)", "return_max"]);
    let table = written(&[QUICKSTART, "correlation", "--with", "return_max"], "correlation.csv");
    assert_eq!(texts(&table, "correlation"), ["pearson", "spearman", "kendall tau-b"]);
    let table = written(&[QUICKSTART, "variance"], "variance.csv");
    let last = table.height() - 1;
    assert_eq!(texts(&table, "effect")[last], "total");
}

#[test]
fn any_factor_tells_tasks_apart() {
    let of = |task: &str| {
        let task = ["win-rates", "--task", task, "--resamples", "100"];
        written(&[&[QUICKSTART], &task[..]].concat(), "win-rates.csv")
    };
    // The other three factors have 2^3 combinations, each with its mean win rate and mean rank.
    let table = of("reward_scaling");
    assert_eq!(table.height(), 8 * 2);
    assert_eq!(texts(&table, "method")[0], "max,orthogonal,off");
    // Win rates of 8 methods on 2 tasks are their wins over 7 others, halved where they tie, and sum
    // to half of all comparisons.
    let rates = floats(&table, "estimate").into_iter().zip(texts(&table, "estimator"));
    let sum: f64 = rates.filter(|(_, of)| of == "mean win rate").map(|(rate, _)| rate).sum();
    assert!((sum - 4.0).abs() < 1e-9, "{sum}");
    // By a field of the configuration there is one task, as without it.
    let table = of("environment");
    assert_eq!(table.height(), 16 * 2);
    let error = refused(&[QUICKSTART, "win-rates", "--task", "reward_scalign"]);
    assert!(error.contains("did you mean `reward_scaling`?"), "{error}");
    // Several runs of a method, task and replicate are no score.
    let error =
        refused(&[QUICKSTART, "win-rates", "--task", "reward_scaling", "--by", "annealing"]);
    assert!(error.contains("aggregate repeated rows first"), "{error}");
}
