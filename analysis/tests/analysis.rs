//! Statistics against published values and closed forms.

use analysis::{
    AnalysisError, Bootstrap, CurveColumns, Estimator, FactorLevels, SummaryColumns, curves,
    factor_effects, iqm, mean, median, quantile, sd, summarise,
};
use polars::df;
use polars::prelude::*;

/// The matrix X of the reference values: 10 runs of 3 tasks, one column a task.
fn x() -> Vec<Vec<f64>> {
    matrix(10, |i, j| (7 * i + 3 * j) % 11)
}

/// The matrix Y of the reference values: 7 runs of 3 tasks.
fn y() -> Vec<Vec<f64>> {
    matrix(7, |i, j| (5 * i + 2 * j + 4) % 13)
}

fn matrix(runs: u32, tenths: impl Fn(u32, u32) -> u32) -> Vec<Vec<f64>> {
    (0..3).map(|j| (0..runs).map(|i| f64::from(tenths(i, j)) / 10.0).collect()).collect()
}

/// rliable's median: of the tasks' means.
fn median_of_means(tasks: &[Vec<f64>]) -> Option<f64> {
    median(&tasks.iter().filter_map(|task| mean(task)).collect::<Vec<_>>())
}

fn close(actual: f64, expected: f64, tolerance: f64) {
    assert!((actual - expected).abs() <= tolerance, "{actual} is not {expected} ± {tolerance}");
}

fn float(table: &DataFrame, column: &str, row: usize) -> Option<f64> {
    table.column(column).unwrap().f64().unwrap().get(row)
}

fn count(table: &DataFrame, column: &str, row: usize) -> u64 {
    table.column(column).unwrap().u64().unwrap().get(row).unwrap()
}

fn text<'a>(table: &'a DataFrame, column: &str, row: usize) -> &'a str {
    table.column(column).unwrap().str().unwrap().get(row).unwrap()
}

const BY_ARM: SummaryColumns<'static> =
    SummaryColumns { groups: &["arm"], replicate: "replicate", value: "value" };

#[test]
fn point_estimates_are_those_of_rliable() {
    // rliable 1.2.0 with numpy 2.2.6 and scipy 1.17.1.
    close(mean(&x().concat()).unwrap(), 0.48, 1e-12);
    close(median_of_means(&x()).unwrap(), 0.48, 1e-12);
    close(iqm(&x().concat()).unwrap(), 0.475, 1e-12);
    close(mean(&y().concat()).unwrap(), 0.614_285_714_286, 1e-12);
    close(median_of_means(&y()).unwrap(), 0.614_285_714_286, 1e-12);
    close(iqm(&y().concat()).unwrap(), 0.627_272_727_273, 1e-12);
}

#[test]
fn stratified_percentile_intervals_are_those_of_rliable() {
    // rliable 1.2.0, 50,000 resamples, three seeds; ±0.005.
    let columns = x();
    let strata: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
    let bootstrap = Bootstrap { resamples: 50_000, ..Bootstrap::tables() };
    let of = |statistic: fn(&[Vec<f64>]) -> Option<f64>| {
        bootstrap.interval(&strata, statistic).unwrap().unwrap()
    };
    let iqm_interval = of(|tasks| iqm(&tasks.concat()));
    close(iqm_interval.low, 0.31875, 0.005);
    close(iqm_interval.high, 0.63125, 0.005);
    let mean_interval = of(|tasks| mean(&tasks.concat()));
    close(mean_interval.low, 0.3685, 0.005);
    close(mean_interval.high, 0.5915, 0.005);
    let median_interval = of(median_of_means);
    close(median_interval.low, 0.35, 0.005);
    close(median_interval.high, 0.615, 0.0051);
}

#[test]
fn point_estimates_have_their_closed_forms() {
    // Dopamine's SAC on HalfCheetah, last iteration of five runs: trim_mean drops one at each end.
    let returns = [14_321.4, 12_879.7, 13_570.0, 14_254.3, 13_554.1];
    close(iqm(&returns).unwrap(), (13_554.1 + 13_570.0 + 14_254.3) / 3.0, 1e-9);
    close(mean(&returns).unwrap(), 13_715.9, 1e-9);
    close(median(&returns).unwrap(), 13_570.0, 0.0);
    close(median(&[4.0, 1.0, 3.0, 2.0]).unwrap(), 2.5, 0.0);
    // numpy.std([1, 2, 3, 4], ddof=1) and numpy.quantile([1, 2, 3, 4], .), method linear.
    close(sd(&[1.0, 2.0, 3.0, 4.0]).unwrap(), 1.290_994_448_735_805_6, 1e-15);
    let sorted = [1.0, 2.0, 3.0, 4.0];
    close(quantile(&sorted, 0.025).unwrap(), 1.075, 1e-15);
    close(quantile(&sorted, 0.3).unwrap(), 1.9, 1e-15);
    close(quantile(&sorted, 1.0).unwrap(), 4.0, 0.0);
    assert_eq!(mean(&[]), None);
    assert_eq!(iqm(&[]), None);
    assert_eq!(median(&[]), None);
    assert_eq!(quantile(&[], 0.5), None);
    assert_eq!(sd(&[7.0]), None);
    // The mean of three 0.1 is rounded to a number above 0.1.
    assert_eq!(sd(&[0.1; 3]), Some(0.0));
}

#[test]
fn the_interval_of_two_values_is_known_exactly() {
    // Resampled means of {0, 1} are 0, 1/2, 1 with probability 1/4, 1/2, 1/4.
    let sample: &[f64] = &[0.0, 1.0];
    let at = |level| {
        let bootstrap = Bootstrap { level, ..Bootstrap::tables() };
        bootstrap.interval(&[sample], |strata| mean(&strata[0])).unwrap().unwrap()
    };
    assert_eq!((at(0.95).low, at(0.95).high), (0.0, 1.0));
    assert_eq!((at(0.4).low, at(0.4).high), (0.5, 0.5));
}

/// Three arms; the last has one replicate without a value.
fn runs() -> DataFrame {
    df!(
        "arm" => ["a", "a", "a", "a", "b", "b", "b", "b", "c"],
        "replicate" => [0u64, 1, 2, 3, 0, 1, 2, 3, 0],
        "value" => [Some(1.0), Some(2.0), Some(3.0), Some(10.0), Some(5.0), None,
                    Some(f64::NAN), Some(f64::INFINITY), None],
    )
    .unwrap()
}

#[test]
fn a_summary_states_what_it_is() {
    let table = summarise(&runs(), BY_ARM, Estimator::Iqm, &Bootstrap::tables()).unwrap();
    let names: Vec<&str> = table.get_column_names().iter().map(|name| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "arm",
            "n",
            "replicates",
            "missing",
            "estimate",
            "low",
            "high",
            "sd",
            "min",
            "max",
            "estimator",
            "interval",
            "interval_level",
            "resamples",
        ]
    );
    assert_eq!(table.height(), 3);
    // a: 1 and 10 are dropped.
    assert_eq!(float(&table, "estimate", 0), Some(2.5));
    assert_eq!(float(&table, "min", 0), Some(1.0));
    assert_eq!(float(&table, "max", 0), Some(10.0));
    close(float(&table, "sd", 0).unwrap(), 4.082_482_904_638_63, 1e-12);
    assert_eq!(count(&table, "n", 0), 4);
    assert_eq!(text(&table, "estimator", 0), "iqm");
    assert_eq!(text(&table, "interval", 0), "percentile bootstrap over replicates");
    assert_eq!(float(&table, "interval_level", 0), Some(0.95));
    assert_eq!(count(&table, "resamples", 0), 10_000);
}

#[test]
fn missing_values_are_counted_and_one_replicate_has_no_interval() {
    let table = summarise(&runs(), BY_ARM, Estimator::Mean, &Bootstrap::tables()).unwrap();
    // b: one value; null, NaN and infinity are missing.
    assert_eq!((count(&table, "n", 1), count(&table, "missing", 1)), (1, 3));
    assert_eq!(float(&table, "estimate", 1), Some(5.0));
    assert_eq!(float(&table, "low", 1), None);
    assert_eq!(float(&table, "high", 1), None);
    assert_eq!(float(&table, "sd", 1), None);
    // c: nothing at all.
    assert_eq!((count(&table, "n", 2), count(&table, "missing", 2)), (0, 1));
    assert_eq!(float(&table, "estimate", 2), None);
    assert_eq!(float(&table, "min", 2), None);
}

#[test]
fn no_rows_give_no_rows() {
    let none = runs().slice(0, 0);
    let bootstrap = Bootstrap::tables();
    let table = summarise(&none, BY_ARM, Estimator::Mean, &bootstrap).unwrap();
    assert_eq!((table.height(), table.width()), (0, 14));
    let all = SummaryColumns { groups: &[], ..BY_ARM };
    assert_eq!(summarise(&none, all, Estimator::Mean, &bootstrap).unwrap().height(), 0);
    assert_eq!(summarise(&runs(), all, Estimator::Mean, &bootstrap).unwrap().height(), 1);
    let factor = FactorLevels { column: "arm".into(), levels: vec!["a".into(), "b".into()] };
    let effects = factor_effects(&none, &[factor], "replicate", "value", &bootstrap).unwrap();
    assert_eq!(effects.height(), 1);
    assert_eq!(float(&effects, "estimate", 0), None);
    let curve_columns = CurveColumns {
        groups: &["arm"],
        run: "arm",
        replicate: "replicate",
        x: "value",
        value: "value",
    };
    let table = curves(&none, curve_columns, 100, Estimator::Mean, &bootstrap).unwrap();
    assert_eq!(table.height(), 0);
}

#[test]
fn threads_and_row_order_show_nowhere() {
    let values = [0.1, 0.7, -0.3, 1e9, 0.2, 0.9, 1e-9, 0.4, 0.5, 0.6, 2.0, 3.0];
    let frame = df!(
        "arm" => ["a", "b", "c", "a", "b", "c", "a", "b", "c", "a", "b", "c"],
        "run" => ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"],
        "replicate" => [0u64, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3],
        "step" => [1u64; 12],
        "value" => values,
    )
    .unwrap();
    let order = IdxCa::from_slice("".into(), &[7, 2, 11, 0, 5, 3, 9, 1, 10, 4, 8, 6]);
    let shuffled = frame.take(&order).unwrap();
    let factor = FactorLevels { column: "arm".into(), levels: vec!["a".into(), "c".into()] };
    let all_of = |frame: &DataFrame, threads| {
        let bootstrap = Bootstrap { threads, ..Bootstrap::curves() };
        let curve_columns = CurveColumns {
            groups: &["arm"],
            run: "run",
            replicate: "replicate",
            x: "step",
            value: "value",
        };
        let pooled = SummaryColumns { groups: &[], ..BY_ARM };
        [
            summarise(frame, BY_ARM, Estimator::Iqm, &bootstrap).unwrap(),
            summarise(frame, pooled, Estimator::Mean, &bootstrap).unwrap(),
            curves(frame, curve_columns, 100, Estimator::Mean, &bootstrap).unwrap(),
            factor_effects(frame, std::slice::from_ref(&factor), "replicate", "value", &bootstrap)
                .unwrap(),
        ]
    };
    let reference = all_of(&frame, 1);
    for other in [all_of(&frame, 3), all_of(&shuffled, 1), all_of(&shuffled, 7)] {
        for (reference, other) in reference.iter().zip(&other) {
            assert!(reference.equals_missing(other), "{reference} is not {other}");
        }
    }
}

#[test]
fn the_seed_and_nothing_else_decides_the_draws() {
    let with = |seed, resamples| {
        let bootstrap = Bootstrap { seed, resamples, ..Bootstrap::tables() };
        let table = summarise(&runs(), BY_ARM, Estimator::Mean, &bootstrap).unwrap();
        (float(&table, "low", 0).unwrap(), float(&table, "high", 0).unwrap())
    };
    assert_eq!(with(1, 301), with(1, 301));
    assert_ne!(with(1, 301), with(2, 301));
}

#[test]
fn curves_share_a_grid_and_count_what_is_missing() {
    // Run p is complete; q has no value at 20 (read off the line); r ends after 20, and its first
    // point is null.
    let frame = df!(
        "arm" => ["a"; 8],
        "run" => ["p", "p", "p", "q", "q", "q", "r", "r"],
        "replicate" => [0u64, 0, 0, 1, 1, 1, 2, 2],
        "steps" => [10u64, 20, 30, 10, 20, 30, 10, 20],
        "return" => [Some(1.0), Some(2.0), Some(3.0), Some(10.0), None, Some(30.0), None, Some(5.0)],
    )
    .unwrap();
    let columns = CurveColumns {
        groups: &["arm"],
        run: "run",
        replicate: "replicate",
        x: "steps",
        value: "return",
    };
    let table = curves(&frame, columns, 100, Estimator::Mean, &Bootstrap::curves()).unwrap();
    assert_eq!(table.height(), 3);
    let row = |row| {
        (
            float(&table, "steps", row).unwrap(),
            float(&table, "estimate", row).unwrap(),
            count(&table, "n", row),
            count(&table, "missing", row),
            count(&table, "interpolated", row),
        )
    };
    assert_eq!(row(0), (10.0, 5.5, 2, 1, 0));
    assert_eq!(row(1), (20.0, 9.0, 3, 0, 1));
    assert_eq!(row(2), (30.0, 16.5, 2, 1, 0));
    assert_eq!(text(&table, "arm", 2), "a");
    // Two points: the ends of the grid.
    let ends = curves(&frame, columns, 2, Estimator::Mean, &Bootstrap::curves()).unwrap();
    let x: Vec<Option<f64>> = ends.column("steps").unwrap().f64().unwrap().iter().collect();
    assert_eq!(x, [Some(10.0), Some(30.0)]);
}

#[test]
fn pooled_rows_of_a_replicate_stay_together() {
    // Four rows, two replicates: resamples are {0, 0}, {0, 1}, {1, 1}, so the ends are the
    // replicates' own means. Rows resampled one by one would reach below 0.5 rarely but surely.
    let frame = df!(
        "replicate" => [0u64, 0, 1, 1],
        "value" => [0.0, 1.0, 10.0, 11.0],
    )
    .unwrap();
    let columns = SummaryColumns { groups: &[], replicate: "replicate", value: "value" };
    let bootstrap = Bootstrap { level: 0.999, ..Bootstrap::tables() };
    let table = summarise(&frame, columns, Estimator::Mean, &bootstrap).unwrap();
    assert_eq!(float(&table, "low", 0), Some(0.5));
    assert_eq!(float(&table, "high", 0), Some(10.5));
    assert_eq!((count(&table, "n", 0), count(&table, "replicates", 0)), (4, 2));
}

#[test]
fn groups_come_in_the_order_of_their_values() {
    let frame = df!(
        "arm" => [10u32, 9, 10, 2],
        "replicate" => [0u64, 0, 1, 0],
        "value" => [1.0, 2.0, 3.0, 4.0],
    )
    .unwrap();
    let table = summarise(&frame, BY_ARM, Estimator::Mean, &Bootstrap::tables()).unwrap();
    let arms: Vec<Option<u32>> = table.column("arm").unwrap().u32().unwrap().iter().collect();
    assert_eq!(arms, [Some(2), Some(9), Some(10)]);
    assert_eq!(float(&table, "estimate", 2), Some(2.0));
}

#[test]
fn what_cannot_be_analysed_is_an_error() {
    let of = |frame: &DataFrame, bootstrap| {
        summarise(frame, BY_ARM, Estimator::Mean, &bootstrap).unwrap_err()
    };
    let level = Bootstrap { level: 1.0, ..Bootstrap::tables() };
    assert!(matches!(of(&runs(), level), AnalysisError::Level(_)));
    let resamples = Bootstrap { resamples: 0, ..Bootstrap::tables() };
    assert!(matches!(of(&runs(), resamples), AnalysisError::NoResamples));
    let absent = runs().drop("value").unwrap();
    assert!(matches!(of(&absent, Bootstrap::tables()), AnalysisError::Frame(_)));
    let no_replicate =
        df!("arm" => ["a", "a"], "replicate" => [Some(1u64), None], "value" => [1.0, 2.0]).unwrap();
    let error = of(&no_replicate, Bootstrap::tables());
    assert_eq!(
        error.to_string(),
        "column `replicate` has no replicate in row 1 (counted from zero)"
    );
}
