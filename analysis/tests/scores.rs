//! Scores of methods on tasks against rliable. The numbers are printed by `fixtures/scores.py`
//! (rliable 1.2.0, numpy 2.2.6, scipy 1.17.1, arch 7.2.0).

use analysis::{
    Aggregate, AnalysisError, Bootstrap, IntervalMethod, ProfileOf, Resampled, ScoreColumns,
    Scores, SummaryColumns, TaskReference, Thresholds, aggregate_scores, iqm, long_scores,
    normalise_scores, performance_profiles, probability_of_improvement, survival, win_rates,
};
use polars::df;
use polars::prelude::*;

/// One column a task.
type Matrix = Vec<Vec<f64>>;

fn matrix(runs: u32, divisor: f64, numerator: impl Fn(u32, u32) -> u32) -> Matrix {
    (0..3).map(|j| (0..runs).map(|i| f64::from(numerator(i, j)) / divisor).collect()).collect()
}

fn x() -> Matrix {
    matrix(10, 10.0, |i, j| (7 * i + 3 * j) % 11)
}

fn y() -> Matrix {
    matrix(7, 10.0, |i, j| (5 * i + 2 * j + 4) % 13)
}

fn z() -> Matrix {
    matrix(10, 5.0, |i, j| (3 * i + 5 * j + 1) % 7)
}

/// Returns / 10,000 of SAC on Ant, HalfCheetah, Hopper, Humanoid and Walker2d, last evaluation of
/// five runs each: google/dopamine, baselines/mujoco/data.
fn sac() -> Matrix {
    [
        [-926.8, 6093.4, 6251.1, 6300.5, 6451.5],
        [12879.7, 13554.1, 13570.0, 14254.3, 14321.4],
        [2599.1, 2796.9, 2830.8, 3984.2, 4190.7],
        [345.1, 5501.8, 6950.3, 7336.2, 8285.2],
        [2074.5, 4981.5, 5323.5, 5631.1, 6668.9],
    ]
    .map(|task| task.map(|score| score / 10_000.0).to_vec())
    .to_vec()
}

fn scores(matrix: &Matrix) -> Scores {
    let names: Vec<String> = (0..matrix.len()).map(|task| format!("task {task}")).collect();
    Scores::new(names.iter().map(String::as_str).zip(matrix.iter().map(Vec::as_slice)))
}

/// A long frame of named methods.
fn frame(methods: &[(&str, Matrix)]) -> DataFrame {
    let (mut method, mut task, mut replicate, mut value) = (vec![], vec![], vec![], vec![]);
    for (name, matrix) in methods {
        for (number, scores) in matrix.iter().enumerate() {
            for (run, &score) in (0_u64..).zip(scores) {
                method.push(*name);
                task.push(format!("task {number}"));
                replicate.push(run);
                value.push(score);
            }
        }
    }
    df!("method" => method, "task" => task, "replicate" => replicate, "value" => value).unwrap()
}

const COLUMNS: ScoreColumns<'static> = ScoreColumns {
    groups: &[],
    method: "method",
    task: "task",
    replicate: "replicate",
    value: "value",
};

fn with(resamples: usize) -> Bootstrap {
    Bootstrap { resamples, ..Bootstrap::tables() }
}

fn close(actual: f64, expected: f64, tolerance: f64) {
    assert!((actual - expected).abs() <= tolerance, "{actual} is not {expected} ± {tolerance}");
}

/// Whether a number is one that rliable's three seeds gave, or lies between them, ± 0.005.
fn within(actual: f64, seeds: [f64; 3], what: &str) {
    let low = seeds.iter().copied().fold(f64::INFINITY, f64::min) - 0.005;
    let high = seeds.iter().copied().fold(f64::NEG_INFINITY, f64::max) + 0.005;
    assert!(low <= actual && actual <= high, "{what}: {actual} is not within {low} to {high}");
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

fn names(table: &DataFrame) -> Vec<&str> {
    table.get_column_names().iter().map(|name| name.as_str()).collect()
}

fn estimates(table: &DataFrame) -> Vec<f64> {
    table.column("estimate").unwrap().f64().unwrap().iter().map(Option::unwrap).collect()
}

#[test]
fn aggregates_are_those_of_rliable() {
    // Median, IQM, mean, optimality gap, in the order of `Aggregate::ALL`.
    for (name, matrix, expected) in [
        ("X", x(), [0.48, 0.475, 0.48, 0.52]),
        ("Y", y(), [0.614_285_714_286, 0.627_272_727_273, 0.614_285_714_286, 0.404_761_904_762]),
        ("Z", z(), [0.56, 0.5875, 0.586_666_666_667, 0.44]),
        ("SAC", sac(), [0.493_59, 0.582_036_153_846, 0.648_996, 0.425_322]),
    ] {
        for (aggregate, expected) in Aggregate::ALL.into_iter().zip(expected) {
            let actual = scores(&matrix).aggregate(aggregate).unwrap();
            assert!((actual - expected).abs() < 1e-12, "{name} {aggregate:?}: {actual}");
        }
    }
    let below_half = Aggregate::OptimalityGap { gamma: 0.5 };
    close(scores(&x()).aggregate(below_half).unwrap(), 0.146_666_666_667, 1e-12);
    // rliable's own tests.
    let small = scores(&vec![vec![1.0, 2.0, 1.0, 2.0], vec![2.0, 2.0, 1.0, 1.0]]);
    for aggregate in [Aggregate::Median, Aggregate::Iqm, Aggregate::Mean] {
        assert_eq!(small.aggregate(aggregate), Some(1.5));
    }
}

#[test]
fn tasks_may_have_unequal_numbers_of_runs() {
    // Tasks with 10, 7 and 4 runs; the formulas written out with numpy and scipy.
    let unequal = scores(&vec![x()[0].clone(), y()[1].clone(), z()[2][..4].to_vec()]);
    let expected = [0.614_285_714_286, 0.590_909_090_909, 0.591_428_571_429, 0.442_857_142_857];
    for (aggregate, expected) in Aggregate::ALL.into_iter().zip(expected) {
        close(unequal.aggregate(aggregate).unwrap(), expected, 1e-12);
    }
    assert_eq!((unequal.count(), unequal.tasks(), unequal.missing()), (21, 3, 0));
}

#[test]
fn the_interquartile_mean_is_that_of_the_pooled_scores() {
    // Heavy tails and ties, from too few scores for a core to many.
    for runs in [1_u32, 2, 5, 16, 17, 60, 300] {
        let matrix = matrix(runs, 1.0, |i, j| (i * i * 7919 + j * 104_729) % 1009);
        let skewed: Matrix =
            matrix.iter().map(|task| task.iter().map(|v| (v / 60.0).exp()).collect()).collect();
        for matrix in [matrix, skewed] {
            let expected = iqm(&matrix.concat()).unwrap();
            let actual = scores(&matrix).aggregate(Aggregate::Iqm).unwrap();
            close(actual, expected, 1e-12 * expected.abs());
        }
    }
}

#[test]
fn stratified_intervals_are_those_of_rliable() {
    // Rows of the sheet: low and high by seed, of median, IQM, mean and gap; 50,000 resamples.
    let table = aggregate_scores(
        &frame(&[("X", x()), ("Y", y()), ("sac", sac())]),
        COLUMNS,
        &Aggregate::ALL,
        Resampled::Runs,
        &with(50_000),
    )
    .unwrap();
    let expected = [
        ([0.35, 0.35, 0.35], [0.61, 0.61, 0.62]),
        ([0.318_75; 3], [0.631_25; 3]),
        ([0.37, 0.366_667, 0.366_667], [0.593_333, 0.59, 0.593_333]),
        ([0.406_667, 0.41, 0.406_667], [0.63, 0.633_333, 0.633_333]),
        ([0.428_571; 3], [0.8, 0.785_714, 0.8]),
        ([0.418_182; 3], [0.827_273; 3]),
        ([0.457_143; 3], [0.766_667; 3]),
        ([0.266_667, 0.261_905, 0.261_905], [0.552_381; 3]),
        ([0.359_358, 0.359_866, 0.357_478], [0.631_758, 0.631_758, 0.631_948]),
        ([0.486_425, 0.487_869, 0.486_202], [0.642_383, 0.641_922, 0.642_631]),
        ([0.565_660, 0.566_844, 0.565_398], [0.718_734, 0.718_643, 0.719_366]),
        ([0.356_517, 0.356_490, 0.355_793], [0.508_025, 0.506_862, 0.507_856]),
    ];
    assert_eq!(table.height(), expected.len());
    for (row, (low, high)) in expected.into_iter().enumerate() {
        let what = format!("{} of {}", text(&table, "estimator", row), text(&table, "method", row));
        within(float(&table, "low", row).unwrap(), low, &what);
        within(float(&table, "high", row).unwrap(), high, &what);
    }
}

#[test]
fn the_level_is_that_of_rliable() {
    let table = aggregate_scores(
        &frame(&[("X", x())]),
        COLUMNS,
        &Aggregate::ALL,
        Resampled::Runs,
        &Bootstrap { level: 0.5, ..with(50_000) },
    )
    .unwrap();
    let expected = [
        ([0.43; 3], [0.52; 3]),
        ([0.418_75; 3], [0.531_25; 3]),
        ([0.44; 3], [0.52, 0.516_667, 0.52]),
        ([0.48, 0.483_333, 0.48], [0.56; 3]),
    ];
    for (row, (low, high)) in expected.into_iter().enumerate() {
        within(float(&table, "low", row).unwrap(), low, text(&table, "estimator", row));
        within(float(&table, "high", row).unwrap(), high, text(&table, "estimator", row));
    }
}

#[test]
fn task_bootstraps_are_those_of_rliable() {
    let table = aggregate_scores(
        &frame(&[("X", x()), ("sac", sac())]),
        COLUMNS,
        &Aggregate::ALL,
        Resampled::RunsAndTasks,
        &with(50_000),
    )
    .unwrap();
    let expected = [
        ([0.35, 0.35, 0.34], [0.62, 0.62, 0.61]),
        ([0.3125, 0.318_75, 0.318_75], [0.6375, 0.6375, 0.643_75]),
        ([0.363_333, 0.366_667, 0.366_667], [0.596_667; 3]),
        ([0.403_333; 3], [0.636_667, 0.633_333, 0.633_333]),
        ([0.332_164; 3], [1.356_565, 1.357_268, 1.357_586]),
        ([0.376_795, 0.375_769, 0.374_102], [1.137_117, 1.135_667, 1.137_700]),
        ([0.384_233, 0.385_793, 0.383_565], [1.024_692, 1.022_295, 1.026_319]),
        ([0.196_785, 0.199_495, 0.195_684], [0.615_832, 0.614_207, 0.616_435]),
    ];
    for (row, (low, high)) in expected.into_iter().enumerate() {
        let what = format!("{} of {}", text(&table, "estimator", row), text(&table, "method", row));
        within(float(&table, "low", row).unwrap(), low, &what);
        within(float(&table, "high", row).unwrap(), high, &what);
    }
    assert_eq!(
        text(&table, "interval", 0),
        "percentile bootstrap over tasks and over runs within them"
    );
}

#[test]
fn basic_and_bca_intervals_have_published_values() {
    // Low and high by seed, of one task: basic from rliable, BCa from scipy.stats.bootstrap.
    let one_task = frame(&[("sac", sac()[..1].to_vec())]);
    let basic = [
        ([0.331_686; 3], [0.771_498, 0.772_352, 0.772_352]),
        ([0.602_883; 3], [1.101_673; 3]),
        ([0.331_686; 3], [0.771_498, 0.772_352, 0.772_352]),
        ([0.228_502, 0.227_648, 0.227_648], [0.668_314; 3]),
    ];
    let bca = [
        ([0.050_878; 3], [0.631_948; 3]),
        ([0.141_327; 3], [0.640_117; 3]),
        ([0.050_878; 3], [0.631_948; 3]),
        ([0.368_052; 3], [0.949_122; 3]),
    ];
    for (method, expected, words) in [
        (IntervalMethod::Basic, basic, "basic bootstrap over runs, stratified by task"),
        (IntervalMethod::Bca, bca, "BCa bootstrap over runs, stratified by task"),
    ] {
        let bootstrap = Bootstrap { method, ..with(50_000) };
        let runs = Resampled::Runs;
        let table =
            aggregate_scores(&one_task, COLUMNS, &Aggregate::ALL, runs, &bootstrap).unwrap();
        for (row, (low, high)) in expected.into_iter().enumerate() {
            within(float(&table, "low", row).unwrap(), low, words);
            within(float(&table, "high", row).unwrap(), high, words);
            assert_eq!(text(&table, "interval", row), words);
        }
    }
}

#[test]
fn every_table_has_the_methods_that_scores_have() {
    let methods = frame(&[("X", x()), ("Z", z())]);
    let tables = |method| -> Result<Vec<DataFrame>, AnalysisError> {
        let bootstrap = Bootstrap { method, ..with(2_000) };
        let at = Thresholds::At(vec![0.5]);
        let columns = SummaryColumns { groups: &["method"], ..BY_LEVEL };
        let mut tables = vec![survival(&methods, columns, &at, &bootstrap)?];
        for resampled in [Resampled::Runs, Resampled::RunsAndTasks] {
            let of = ProfileOf::Runs;
            tables.extend([
                aggregate_scores(&methods, COLUMNS, &Aggregate::ALL, resampled, &bootstrap)?,
                win_rates(&methods, COLUMNS, resampled, &bootstrap)?,
                probability_of_improvement(&methods, COLUMNS, resampled, &bootstrap)?,
                performance_profiles(&methods, COLUMNS, of, &at, resampled, &bootstrap)?,
            ]);
        }
        Ok(tables)
    };
    let percentile = tables(IntervalMethod::Percentile).unwrap();
    for (basic, percentile) in tables(IntervalMethod::Basic).unwrap().iter().zip(&percentile) {
        for row in 0..basic.height() {
            let estimate = float(basic, "estimate", row).unwrap();
            let mirrored = 2.0 * estimate - float(percentile, "high", row).unwrap();
            close(float(basic, "low", row).unwrap(), mirrored, 1e-12);
        }
    }
    // Samples of this size are nearly symmetric: BCa moves the ends, but not far.
    let mut moved = 0;
    for (bca, percentile) in tables(IntervalMethod::Bca).unwrap().iter().zip(&percentile) {
        for row in 0..bca.height() {
            let ends = |end| Some((float(bca, end, row)?, float(percentile, end, row)?));
            let Some((ours, theirs)) = ends("low") else { continue };
            moved += u32::from(ours != theirs);
            let width = float(percentile, "high", row).unwrap() - theirs;
            close(ours, theirs, 0.5 * width + 1e-12);
        }
    }
    assert!(moved > 5, "{moved}");
    for method in [IntervalMethod::Studentized, IntervalMethod::Bayesian] {
        assert!(matches!(tables(method), Err(AnalysisError::NoScoreInterval(_))));
    }
}

#[test]
fn probabilities_of_improvement_are_those_of_rliable() {
    let methods = frame(&[("X", x()), ("Y", y()), ("Z", z())]);
    let table =
        probability_of_improvement(&methods, COLUMNS, Resampled::Runs, &with(20_000)).unwrap();
    let pairs: Vec<(&str, &str)> =
        (0..table.height()).map(|row| (text(&table, "x", row), text(&table, "y", row))).collect();
    assert_eq!(pairs, [("X", "Y"), ("X", "Z"), ("Y", "X"), ("Y", "Z"), ("Z", "X"), ("Z", "Y")]);
    let expected = [
        0.390_476_190_476,
        0.423_333_333_333,
        0.609_523_809_524,
        0.523_809_523_810,
        0.576_666_666_667,
        0.476_190_476_190,
    ];
    for (actual, expected) in estimates(&table).into_iter().zip(expected) {
        close(actual, expected, 1e-12);
    }
    let end = |column, row| float(&table, column, row).unwrap();
    // The sheet: 20,000 resamples; here three seeds of 3,000.
    within(end("low", 0), [0.228_571, 0.233_274, 0.233_333], "low of X > Y");
    within(end("high", 0), [0.559_583, 0.557_143, 0.554_762], "high of X > Y");
    within(end("low", 4), [0.421_667, 0.43, 0.433_333], "low of Z > X");
    within(end("high", 4), [0.72, 0.718_333, 0.725], "high of Z > X");
    close(end("low", 2), 1.0 - end("high", 0), 1e-15);
    assert_eq!((count(&table, "n_x", 0), count(&table, "n_y", 0)), (30, 21));
    assert_eq!(count(&table, "tasks", 0), 3);
    assert_eq!(text(&table, "estimator", 0), "probability of improvement");
    // rliable's own test, and its special case of equal columns.
    let small = [
        ("a", vec![vec![1.0, 2.0, 1.0, 2.0], vec![2.0, 2.0, 1.0, 1.0]]),
        ("b", vec![vec![1.0, 2.0, 3.0], vec![1.0, 2.0, 3.0]]),
        ("c", vec![vec![1.0, 2.0, 3.0], vec![1.0, 2.0, 3.0]]),
    ];
    let table =
        probability_of_improvement(&frame(&small), COLUMNS, Resampled::Runs, &with(10)).unwrap();
    close(float(&table, "estimate", 0).unwrap(), 1.0 / 3.0, 1e-15);
    assert_eq!((text(&table, "x", 3), text(&table, "y", 3)), ("b", "c"));
    assert_eq!(float(&table, "estimate", 3), Some(0.5));
}

#[test]
fn constant_scores_are_certain_to_the_last_bit() {
    let constant: Matrix = vec![vec![0.1; 7], vec![0.3; 10], vec![0.7; 3]];
    let methods = frame(&[("a", constant.clone()), ("b", constant)]);
    let table =
        aggregate_scores(&methods, COLUMNS, &Aggregate::ALL, Resampled::Runs, &with(100)).unwrap();
    for row in [0, 2] {
        let estimate = float(&table, "estimate", row).unwrap();
        assert_eq!(float(&table, "low", row), Some(estimate));
        assert_eq!(float(&table, "high", row), Some(estimate));
    }
    let one: Matrix = vec![vec![0.1; 7], vec![0.1; 10], vec![0.1; 60]];
    let table = aggregate_scores(
        &frame(&[("a", one)]),
        COLUMNS,
        &Aggregate::ALL,
        Resampled::Runs,
        &with(9),
    )
    .unwrap();
    for (row, expected) in [0.1, 0.1, 0.1, 0.9].into_iter().enumerate() {
        let found = ["estimate", "low", "high"].map(|end| float(&table, end, row).unwrap());
        assert_eq!(found, [found[0]; 3]);
        close(found[0], expected, 1e-15);
    }
    // All ties: one half.
    let table = probability_of_improvement(&methods, COLUMNS, Resampled::Runs, &with(100)).unwrap();
    let found = ["estimate", "low", "high"].map(|end| float(&table, end, 0).unwrap());
    assert_eq!(found, [0.5; 3]);
}

#[test]
fn win_rates_and_ranks_are_their_definitions() {
    let methods = frame(&[("X", x()), ("Y", y()), ("Z", z())]);
    let table = win_rates(&methods, COLUMNS, Resampled::Runs, &with(20_000)).unwrap();
    let of = |estimator: &str| -> Vec<usize> {
        (0..table.height()).filter(|&row| text(&table, "estimator", row) == estimator).collect()
    };
    let numbers = |column, estimator| -> Vec<f64> {
        of(estimator).into_iter().map(|row| float(&table, column, row).unwrap()).collect()
    };
    let all_close = |actual: Vec<f64>, expected: [f64; 3]| {
        assert_eq!(actual.len(), 3);
        actual.into_iter().zip(expected).for_each(|(actual, expected)| {
            close(actual, expected, 1e-11);
        });
    };
    // numpy and scipy.stats.rankdata, in the order X, Y, Z; intervals the same for three seeds.
    all_close(numbers("estimate", "mean win rate"), [0.0, 0.833_333_333_333, 0.666_666_666_667]);
    all_close(numbers("low", "mean win rate"), [0.0, 0.166_666_666_667, 0.166_666_666_667]);
    all_close(numbers("high", "mean win rate"), [0.666_666_666_667, 1.0, 1.0]);
    all_close(numbers("estimate", "mean rank"), [3.0, 1.333_333_333_333, 1.666_666_666_667]);
    all_close(numbers("low", "mean rank"), [1.666_666_666_667, 1.0, 1.0]);
    all_close(numbers("high", "mean rank"), [3.0, 2.666_666_666_667, 2.666_666_666_667]);
}

#[test]
fn ties_share_ranks_and_absent_methods_do_not_compete() {
    // Means 2, 2, 1 on the first task; only a and b on the second; c alone on the third.
    let table = df!(
        "method" => ["a", "b", "c", "a", "b", "c"],
        "task" => ["s", "s", "s", "t", "t", "u"],
        "replicate" => [0u64; 6],
        "value" => [2.0, 2.0, 1.0, 5.0, 4.0, 9.0],
    )
    .unwrap();
    let bootstrap = with(100);
    let found = win_rates(&table, COLUMNS, Resampled::Runs, &bootstrap).unwrap();
    // Win rates (0.75 + 1) / 2, (0.75 + 0) / 2, 0; ranks (1.5 + 1) / 2, (1.5 + 2) / 2, 3.
    assert_eq!(estimates(&found), [0.875, 1.25, 0.375, 1.75, 0.0, 3.0]);
    // One run of every task: only tasks could vary.
    assert_eq!(found.column("low").unwrap().null_count(), 6);
    let found = win_rates(&table, COLUMNS, Resampled::RunsAndTasks, &bootstrap).unwrap();
    assert_eq!(found.column("low").unwrap().null_count(), 0);
    let alone = table.slice(5, 1);
    let found = win_rates(&alone, COLUMNS, Resampled::Runs, &bootstrap).unwrap();
    assert_eq!(found.column("estimate").unwrap().null_count(), 2);
}

const TAUS: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];

#[test]
fn performance_profiles_are_those_of_rliable() {
    let methods = frame(&[("X", x()), ("Z", z())]);
    let at = Thresholds::At(TAUS.to_vec());
    let profile = |of| {
        performance_profiles(&methods, COLUMNS, of, &at, Resampled::Runs, &with(20_000)).unwrap()
    };
    let runs = profile(ProfileOf::Runs);
    let expected = [
        [0.9, 0.7, 0.433_333_333_333, 0.266_666_666_667, 0.0],
        [0.833_333_333_333, 0.7, 0.566_666_666_667, 0.433_333_333_333, 0.133_333_333_333],
    ];
    for (row, (actual, expected)) in
        estimates(&runs).into_iter().zip(expected.as_flattened()).enumerate()
    {
        close(actual, *expected, 1e-12);
        assert_eq!(float(&runs, "tau", row), Some(TAUS[row % 5]));
    }
    let bands = [
        ([0.8, 0.766_667, 0.766_667], [1.0; 3]),
        ([0.533_333; 3], [0.866_667; 3]),
        ([0.266_667; 3], [0.6; 3]),
        ([0.133_333; 3], [0.433_333; 3]),
        ([0.0; 3], [0.0; 3]),
    ];
    for (row, (low, high)) in bands.into_iter().enumerate() {
        within(float(&runs, "low", row).unwrap(), low, "lower band");
        within(float(&runs, "high", row).unwrap(), high, "upper band");
    }
    let means = profile(ProfileOf::TaskMeans);
    let expected = [1.0, 1.0, 1.0 / 3.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0];
    assert_eq!(estimates(&means), expected);
    for (row, (low, high)) in
        [(1.0, 1.0), (0.666_667, 1.0), (0.0, 1.0), (0.0, 0.0), (0.0, 0.0)].into_iter().enumerate()
    {
        within(float(&means, "low", row).unwrap(), [low; 3], "lower band of means");
        within(float(&means, "high", row).unwrap(), [high; 3], "upper band of means");
    }
    assert_eq!(text(&runs, "estimator", 0), "fraction of scores above tau");
    assert_eq!(text(&means, "estimator", 0), "fraction of task means above tau");
}

#[test]
fn thresholds_can_be_chosen_from_the_scores() {
    let methods = frame(&[("X", x()), ("Z", z())]);
    let taus = |thresholds| -> Vec<f64> {
        let (runs, few) = (Resampled::Runs, with(10));
        let table =
            performance_profiles(&methods, COLUMNS, ProfileOf::Runs, &thresholds, runs, &few)
                .unwrap();
        let x_only = (0..table.height()).filter(|&row| text(&table, "method", row) == "X");
        x_only.map(|row| float(&table, "tau", row).unwrap()).collect()
    };
    // X has 0 to 1 in tenths, Z 0 to 1.2 in fifths.
    let even = taus(Thresholds::Even(4));
    assert_eq!((even.len(), even[0], even[3]), (4, 0.0, 1.2));
    close(even[1], 0.4, 1e-15);
    close(even[2], 0.8, 1e-15);
    let tenths = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2];
    assert_eq!(taus(Thresholds::Scores(100)), tenths);
    assert_eq!(taus(Thresholds::Scores(3)), [0.0, 0.5, 1.2]);
    assert_eq!(taus(Thresholds::At(vec![0.5, -1.0, 0.5])), [-1.0, 0.5]);
    let wrong = Thresholds::At(vec![f64::NAN]);
    let (runs, few) = (Resampled::Runs, with(10));
    assert!(matches!(
        performance_profiles(&methods, COLUMNS, ProfileOf::Runs, &wrong, runs, &few),
        Err(AnalysisError::Threshold(_))
    ));
}

const BY_LEVEL: SummaryColumns<'static> =
    SummaryColumns { groups: &["level"], replicate: "replicate", value: "value" };

#[test]
fn survival_resamples_replicates_as_blocks() {
    let table = df!(
        "level" => ["on", "on", "on", "on", "on", "on", "on", "off", "off"],
        "replicate" => [0u64, 0, 1, 2, 2, 2, 2, 0, 0],
        "value" => [Some(0.1), Some(0.9), Some(0.4), Some(0.4), Some(0.6), Some(1.2), None,
                    Some(0.4), Some(1.0)],
    )
    .unwrap();
    let at = Thresholds::At(vec![0.1, 0.4, 0.9]);
    let found = survival(&table, BY_LEVEL, &at, &with(50_000)).unwrap();
    assert_eq!(
        names(&found),
        [
            "level",
            "tau",
            "n",
            "replicates",
            "missing",
            "estimate",
            "low",
            "high",
            "estimator",
            "interval",
            "interval_level",
            "resamples",
        ]
    );
    // off: one replicate, hence no interval.
    assert_eq!(text(&found, "level", 0), "off");
    assert_eq!(estimates(&found)[..3], [1.0, 0.5, 0.5]);
    assert_eq!(float(&found, "low", 0), None);
    // on: all 27 resamples of three blocks, with numpy.percentile.
    assert_eq!((count(&found, "n", 3), count(&found, "replicates", 3)), (6, 3));
    assert_eq!(count(&found, "missing", 3), 1);
    let fifty = Bootstrap { level: 0.5, ..with(50_000) };
    let half = survival(&table, BY_LEVEL, &at, &fifty).unwrap();
    let expected = [
        (0.833_333_333_333, [0.5, 1.0], [0.714_285_714_286, 1.0]),
        (0.5, [0.0, 0.666_666_666_667], [0.4, 0.571_428_571_429]),
        (0.166_666_666_667, [0.0, 0.333_333_333_333], [0.0, 0.25]),
    ];
    for (row, (estimate, wide, narrow)) in (3..).zip(expected) {
        close(float(&found, "estimate", row).unwrap(), estimate, 1e-12);
        for (table, ends) in [(&found, wide), (&half, narrow)] {
            close(float(table, "low", row).unwrap(), ends[0], 1e-12);
            close(float(table, "high", row).unwrap(), ends[1], 1e-12);
        }
    }
}

/// Four methods: complete, fewer runs, a task short, nothing finite.
fn ragged() -> DataFrame {
    df!(
        "method" => ["a", "a", "a", "a", "b", "b", "b", "b", "c", "c", "d"],
        "task" => ["s", "s", "t", "t", "s", "t", "t", "s", "s", "s", "s"],
        "replicate" => [0u64, 1, 0, 1, 0, 0, 1, 1, 0, 1, 0],
        "value" => [Some(1.0), Some(2.0), Some(3.0), Some(4.0), Some(1.5), Some(f64::NAN),
                    Some(5.0), None, Some(2.0), Some(3.0), Some(f64::INFINITY)],
    )
    .unwrap()
}

#[test]
fn missing_scores_are_counted_and_never_filled() {
    let table =
        aggregate_scores(&ragged(), COLUMNS, &[Aggregate::Mean], Resampled::Runs, &with(100))
            .unwrap();
    assert_eq!(
        names(&table),
        [
            "method",
            "n",
            "tasks",
            "missing",
            "estimate",
            "low",
            "high",
            "estimator",
            "interval",
            "interval_level",
            "resamples",
        ]
    );
    let row = |row| {
        let numbers = ["n", "tasks", "missing"].map(|column| count(&table, column, row));
        (numbers, float(&table, "estimate", row), float(&table, "low", row).is_some())
    };
    assert_eq!(row(0), ([4, 2, 0], Some(2.5), true));
    // One run of every task: an estimate and no interval.
    assert_eq!(row(1), ([2, 2, 2], Some(3.25), false));
    assert_eq!(row(2), ([2, 1, 0], Some(2.5), true));
    assert_eq!(row(3), ([0, 0, 1], None, false));
    assert_eq!(text(&table, "estimator", 0), "mean over tasks");
    assert_eq!(text(&table, "interval", 0), "percentile bootstrap over runs, stratified by task");
    // With tasks resampled, b has an interval, too: the mean of 1.5 and 5, either or both.
    let tasks = Resampled::RunsAndTasks;
    let table =
        aggregate_scores(&ragged(), COLUMNS, &[Aggregate::Mean], tasks, &with(100)).unwrap();
    assert_eq!((float(&table, "low", 1), float(&table, "high", 1)), (Some(1.5), Some(5.0)));

    let pairs = probability_of_improvement(&ragged(), COLUMNS, tasks, &with(100)).unwrap();
    assert_eq!(pairs.height(), 12);
    // a and b: (U = 1 of 2, U = 0 of 2) / 2; a and c share one task: (0 + 0.5 + 0 + 0) / 4.
    assert_eq!(float(&pairs, "estimate", 0), Some(0.25));
    assert_eq!((text(&pairs, "y", 1), count(&pairs, "tasks", 1)), ("c", 1));
    assert_eq!(float(&pairs, "estimate", 1), Some(0.125));
    // Nothing shared with d.
    assert_eq!((text(&pairs, "y", 2), float(&pairs, "estimate", 2)), ("d", None));
    assert_eq!((count(&pairs, "missing_x", 0), count(&pairs, "missing_y", 0)), (0, 2));

    let even = Thresholds::Even(3);
    let profiles =
        performance_profiles(&ragged(), COLUMNS, ProfileOf::Runs, &even, tasks, &with(100))
            .unwrap();
    assert_eq!(profiles.height(), 12);
    assert_eq!(profiles.column("estimate").unwrap().null_count(), 3);
}

#[test]
fn no_rows_give_no_rows() {
    let none = ragged().slice(0, 0);
    let (runs, few) = (Resampled::Runs, with(10));
    let even = Thresholds::Even(3);
    let heights = [
        aggregate_scores(&none, COLUMNS, &Aggregate::ALL, runs, &few).unwrap().height(),
        win_rates(&none, COLUMNS, runs, &few).unwrap().height(),
        probability_of_improvement(&none, COLUMNS, runs, &few).unwrap().height(),
        performance_profiles(&none, COLUMNS, ProfileOf::Runs, &even, runs, &few).unwrap().height(),
    ];
    assert_eq!(heights, [0; 4]);
    let columns = SummaryColumns { groups: &["task"], replicate: "replicate", value: "value" };
    assert_eq!(survival(&none, columns, &even, &few).unwrap().height(), 0);
    assert_eq!(Scores::default().aggregate(Aggregate::Iqm), None);
}

#[test]
fn wrong_input_is_refused_by_name() {
    let aggregate = |frame: &DataFrame, aggregates: &[Aggregate], bootstrap: &Bootstrap| {
        aggregate_scores(frame, COLUMNS, aggregates, Resampled::Runs, bootstrap)
    };
    let twice = ragged().vstack(&ragged().slice(2, 1)).unwrap();
    let error = aggregate(&twice, &[Aggregate::Mean], &with(10)).unwrap_err();
    assert!(matches!(error, AnalysisError::RepeatedScore { row: 11, .. }), "{error}");
    assert!(error.to_string().contains("method `a` on task `t`"), "{error}");
    let mut nameless = ragged();
    let tasks: Vec<Option<&str>> = (0..11).map(|row| (row != 4).then_some("s")).collect();
    nameless.with_column(Column::new("task".into(), tasks)).unwrap();
    let error = aggregate(&nameless, &[Aggregate::Mean], &with(10)).unwrap_err();
    assert!(matches!(error, AnalysisError::NoLabel { row: 4, .. }), "{error}");
    let endless = Aggregate::OptimalityGap { gamma: f64::INFINITY };
    assert!(matches!(
        aggregate(&ragged(), &[endless], &with(10)),
        Err(AnalysisError::Target(gamma)) if gamma == f64::INFINITY
    ));
    assert!(matches!(
        aggregate(&ragged(), &[Aggregate::Mean], &with(0)),
        Err(AnalysisError::NoResamples)
    ));
    let absent = ScoreColumns { value: "score", ..COLUMNS };
    assert!(matches!(
        aggregate_scores(&ragged(), absent, &[], Resampled::Runs, &with(10)),
        Err(AnalysisError::Frame(_))
    ));
}

#[test]
fn threads_and_row_order_show_nowhere() {
    let methods = frame(&[("X", x()), ("Y", y()), ("Z", z())]);
    let rows = IdxSize::try_from(methods.height()).unwrap();
    let order: Vec<IdxSize> = (0..rows).map(|row| (row * 37 + 11) % rows).collect();
    let shuffled = methods.take(&IdxCa::from_slice("".into(), &order)).unwrap();
    let all_of = |frame: &DataFrame, threads| {
        let bootstrap = Bootstrap { threads, ..with(301) };
        let even = Thresholds::Even(7);
        let columns = SummaryColumns { groups: &["method"], ..BY_LEVEL };
        let mut tables = vec![survival(frame, columns, &even, &bootstrap).unwrap()];
        for resampled in [Resampled::Runs, Resampled::RunsAndTasks] {
            tables.extend([
                aggregate_scores(frame, COLUMNS, &Aggregate::ALL, resampled, &bootstrap).unwrap(),
                win_rates(frame, COLUMNS, resampled, &bootstrap).unwrap(),
                probability_of_improvement(frame, COLUMNS, resampled, &bootstrap).unwrap(),
            ]);
            for of in [ProfileOf::Runs, ProfileOf::TaskMeans] {
                tables.push(
                    performance_profiles(frame, COLUMNS, of, &even, resampled, &bootstrap).unwrap(),
                );
            }
        }
        tables
    };
    let reference = all_of(&methods, 1);
    for other in [all_of(&methods, 3), all_of(&shuffled, 1), all_of(&shuffled, 7)] {
        for (reference, other) in reference.iter().zip(&other) {
            assert!(reference.equals_missing(other), "{reference} is not {other}");
        }
    }
}

#[test]
fn the_seed_and_neither_other_methods_nor_aggregates_decide_an_interval() {
    let interval = |methods: &[(&str, Matrix)], aggregates: &[Aggregate], seed| {
        let bootstrap = Bootstrap { seed, ..with(301) };
        let table =
            aggregate_scores(&frame(methods), COLUMNS, aggregates, Resampled::Runs, &bootstrap)
                .unwrap();
        let iqm = (0..table.height())
            .find(|&row| {
                text(&table, "estimator", row) == "iqm" && text(&table, "method", row) == "X"
            })
            .unwrap();
        (float(&table, "low", iqm).unwrap(), float(&table, "high", iqm).unwrap())
    };
    let alone = interval(&[("X", x())], &[Aggregate::Iqm], 1);
    assert_eq!(interval(&[("A", z()), ("X", x()), ("Y", y())], &Aggregate::ALL, 1), alone);
    assert_ne!(interval(&[("X", x())], &[Aggregate::Iqm], 2), alone);
}

#[test]
fn large_tasks_are_drawn_evenly() {
    // 257 runs and more take another way to draw; the mean of 0 … n - 1 has the standard error
    // sqrt((n² - 1) / 12 / n), which half a 95 % interval must be 1.96 times.
    for runs in [250_u32, 256, 257, 1000] {
        let uniform: Matrix = vec![(0..runs).map(f64::from).collect()];
        let table = aggregate_scores(
            &frame(&[("m", uniform)]),
            COLUMNS,
            &[Aggregate::Mean],
            Resampled::Runs,
            &with(40_000),
        )
        .unwrap();
        let n = f64::from(runs);
        let half = 1.959_964 * ((n * n - 1.0) / 12.0 / n).sqrt();
        let middle = (n - 1.0) / 2.0;
        close(float(&table, "low", 0).unwrap(), middle - half, 0.03 * half);
        close(float(&table, "high", 0).unwrap(), middle + half, 0.03 * half);
    }
}

#[test]
fn groups_are_analysed_one_by_one() {
    // A learning curve: the IQM at two steps.
    let at_step = |step: u64, scale: f64| {
        let scaled = x().iter().map(|task| task.iter().map(|v| v * scale).collect()).collect();
        let mut part = frame(&[("X", scaled), ("Y", y())]);
        part.with_column(Column::new("step".into(), vec![step; part.height()])).unwrap();
        part
    };
    let both = at_step(2000, 1.0).vstack(&at_step(1000, 2.0)).unwrap();
    let columns = ScoreColumns { groups: &["step"], ..COLUMNS };
    let table =
        aggregate_scores(&both, columns, &[Aggregate::Iqm], Resampled::Runs, &with(50)).unwrap();
    assert_eq!(names(&table)[..2], ["step", "method"]);
    let steps: Vec<u64> = (0..4).map(|row| count(&table, "step", row)).collect();
    assert_eq!(steps, [1000, 1000, 2000, 2000]);
    let expected = [0.95, 0.627_272_727_273, 0.475, 0.627_272_727_273];
    for (actual, expected) in estimates(&table).into_iter().zip(expected) {
        close(actual, expected, 1e-12);
    }
}

#[test]
fn wide_frames_hold_the_same_scores() {
    let wide = df!(
        "method" => ["a", "a", "b"],
        "seed" => [0u64, 1, 0],
        "pong" => [Some(1.0), Some(2.0), None],
        "qbert" => [3i64, 5, 8],
    )
    .unwrap();
    let long = long_scores(&wide, &["method", "seed"], &["pong", "qbert"]).unwrap();
    assert_eq!((names(&long), long.height()), (vec!["method", "seed", "task", "value"], 6));
    let columns = ScoreColumns { replicate: "seed", ..COLUMNS };
    let methods = Scores::by_method(&long, columns).unwrap();
    assert_eq!(methods[0].0, "a");
    assert_eq!(methods[0].1, Scores::from_wide(&wide.slice(0, 2), &["pong", "qbert"]).unwrap());
    assert_eq!(methods[0].1.aggregate(Aggregate::Mean), Some(2.75));
    assert_eq!((methods[1].1.tasks(), methods[1].1.missing()), (1, 1));
    assert_eq!(long_scores(&wide, &["method"], &[]).unwrap().height(), 0);
}

#[test]
fn scores_are_normalised_by_task() {
    let table =
        df!("task" => ["pong", "cost", "pong"], "value" => [Some(7.0), Some(25.0), None]).unwrap();
    let reference = |task: &str, zero, one| TaskReference { task: task.to_owned(), zero, one };
    // The second task is a cost: 30 is as bad as chance, 10 as good as the reference.
    let references = [reference("pong", -21.0, 35.0), reference("cost", 30.0, 10.0)];
    let normalised = normalise_scores(&table, "task", "value", &references).unwrap();
    let values: Vec<Option<f64>> = (0..3).map(|row| float(&normalised, "value", row)).collect();
    assert_eq!(values, [Some(0.5), Some(0.25), None]);
    assert!(matches!(
        normalise_scores(&table, "task", "value", &references[..1]),
        Err(AnalysisError::NoReference { task }) if task == "cost"
    ));
    assert!(matches!(
        normalise_scores(&table, "task", "value", &[reference("pong", 1.0, 1.0)]),
        Err(AnalysisError::Reference { .. })
    ));
}
