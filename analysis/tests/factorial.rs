//! Factorial designs against statsmodels, scipy and closed forms.

use analysis::{
    AnalysisError, Bootstrap, FactorLevels, FactorialColumns, FactorialEstimator,
    FactorialInterval, FactorialOptions, IntervalMethod, Simultaneous, factor_effects,
    factorial_effects, factorial_means, factorial_variance,
};
use polars::df;
use polars::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn close(actual: f64, expected: f64, tolerance: f64) {
    assert!((actual - expected).abs() <= tolerance, "{actual} is not {expected} ± {tolerance}");
}

fn float(table: &DataFrame, column: &str, row: usize) -> Option<f64> {
    table.column(column).unwrap().f64().unwrap().get(row)
}

fn number(table: &DataFrame, column: &str, row: usize) -> f64 {
    float(table, column, row).unwrap_or_else(|| panic!("no {column} in row {row}"))
}

fn count(table: &DataFrame, column: &str, row: usize) -> u64 {
    table.column(column).unwrap().u64().unwrap().get(row).unwrap()
}

fn text<'a>(table: &'a DataFrame, column: &str, row: usize) -> Option<&'a str> {
    table.column(column).unwrap().str().unwrap().get(row)
}

fn factor(column: &str, levels: &[&str]) -> FactorLevels {
    FactorLevels {
        column: column.into(),
        levels: levels.iter().map(|level| (*level).to_owned()).collect(),
    }
}

fn factors() -> Vec<FactorLevels> {
    vec![factor("a", &["off", "on"]), factor("b", &["x", "y", "z"]), factor("c", &["p", "q"])]
}

fn columns(factors: &[FactorLevels]) -> FactorialColumns<'_> {
    FactorialColumns { factors, replicate: "r", value: "value" }
}

/// The design of tests/fixtures/factorial.py, without some of its runs.
fn design(drop: &[(u32, u32, u32, u32)]) -> DataFrame {
    let (mut a, mut b, mut c, mut replicate, mut value) = (vec![], vec![], vec![], vec![], vec![]);
    for (i, j, k) in cells() {
        for r in 0..4 {
            if drop.contains(&(i, j, k, r)) {
                continue;
            }
            let noise =
                (37 * i + 53 * j + 71 * k + 29 * r * r + 11 * r * (i + 2 * j) + 13 * r * k) % 31;
            a.push(["off", "on"][i as usize]);
            b.push(["x", "y", "z"][j as usize]);
            c.push(["p", "q"][k as usize]);
            replicate.push(r);
            let fixed = f64::from(3 * i + 2 * j * j + 4 * i * j * k + 2 * r) - f64::from(k);
            value.push(fixed + f64::from(noise) / 4.0);
        }
    }
    df!("a" => a, "b" => b, "c" => c, "r" => replicate, "value" => value).unwrap()
}

fn cells() -> impl Iterator<Item = (u32, u32, u32)> {
    (0..12).map(|cell| (cell / 6, cell / 2 % 3, cell % 2))
}

const DROPPED: [(u32, u32, u32, u32); 3] = [(0, 0, 0, 3), (1, 2, 1, 0), (1, 2, 1, 2)];

fn options(order: usize, interval: FactorialInterval) -> FactorialOptions {
    FactorialOptions { order, interval, ..FactorialOptions::tables() }
}

/// Without randomness.
fn bonferroni(order: usize, interval: FactorialInterval) -> FactorialOptions {
    FactorialOptions { simultaneous: Simultaneous::Bonferroni, ..options(order, interval) }
}

fn effects(frame: &DataFrame, options: &FactorialOptions) -> DataFrame {
    factorial_effects(frame, columns(&factors()), options).unwrap()
}

fn column_is(table: &DataFrame, column: &str, expected: &[f64], tolerance: f64) {
    assert!(expected.len() <= table.height());
    for (row, expected) in expected.iter().enumerate() {
        close(number(table, column, row), *expected, tolerance);
    }
}

#[test]
fn paired_contrasts_are_those_of_scipy() {
    // scipy 1.17.1 ttest_1samp on the replicates' contrasts, statsmodels 0.15.0 multipletests(holm).
    let table = effects(&design(&[]), &bonferroni(3, FactorialInterval::Automatic));
    let estimates = [
        5.458_333_333_333_332,
        2.703_125,
        9.406_25,
        0.374_999_999_999_999_33,
        4.906_25,
        5.937_5,
        2.708_333_333_333_333,
        -0.906_25,
        4.0,
        5.937_5,
        8.0,
    ];
    assert_eq!(table.height(), estimates.len());
    column_is(&table, "estimate", &estimates, 1e-12);
    let low = [
        3.217_138_426_794_922_3,
        0.624_335_988_755_924_1,
        4.761_040_509_433_362,
        -2.365_083_394_009_187,
        -0.997_235_700_711_648,
        2.377_564_177_365_660_4,
        -1.402_326_477_658_124,
        -6.809_735_700_711_648,
        -1.034_509_521_547_304,
        -0.228_489_716_487_183_97,
        -2.069_019_043_094_608,
    ];
    column_is(&table, "low", &low, 1e-11);
    let p_values = [
        0.004_466_980_144_753_88,
        0.025_615_642_279_712_553,
        0.007_577_587_961_288_737,
        0.692_603_950_392_224,
        0.077_333_466_010_850_03,
        0.013_056_210_153_639_648,
        0.126_954_595_666_996_93,
        0.658_650_950_154_640_1,
        0.085_536_085_389_486_4,
    ];
    for (row, p) in p_values.iter().enumerate() {
        close(number(&table, "p_value", row), *p, 1e-12);
    }
    let second = effects(&design(&[]), &bonferroni(2, FactorialInterval::Automatic));
    assert_eq!(second.height(), 9);
    let holm = [
        0.040_202_821_302_784_915,
        0.153_693_853_678_275_32,
        0.060_620_703_690_309_9,
        1.0,
        0.386_667_330_054_250_14,
        0.091_393_471_075_477_54,
        0.386_667_330_054_250_14,
        1.0,
        0.386_667_330_054_250_14,
    ];
    column_is(&second, "p_adjusted", &holm, 1e-12);
    // t.isf(0.025 / 9, 3) of scipy over t.isf(0.025, 3): Bonferroni's intervals are so much wider.
    let half = |column: &str| number(&second, column, 0) - number(&second, "estimate", 0);
    close(half("simultaneous_high") / half("high"), 2.257_655_968_004_659_3, 1e-10);
    assert_eq!(count(&second, "family", 0), 9);
}

#[test]
fn a_table_of_effects_states_what_it_is() {
    let table = effects(&design(&[]), &options(2, FactorialInterval::Automatic));
    let names: Vec<&str> = table.get_column_names().iter().map(|name| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "order",
            "effect",
            "factor",
            "from",
            "to",
            "factor_2",
            "from_2",
            "to_2",
            "n_from",
            "n_to",
            "replicates",
            "missing",
            "combinations",
            "combinations_missing",
            "estimate",
            "standard_error",
            "degrees_of_freedom",
            "low",
            "high",
            "simultaneous_low",
            "simultaneous_high",
            "p_value",
            "p_adjusted",
            "estimator",
            "interval",
            "interval_level",
            "resamples",
            "simultaneous",
            "family",
            "adjustment",
        ]
    );
    let row = |row| {
        [
            text(&table, "effect", row),
            text(&table, "factor", row),
            text(&table, "from", row),
            text(&table, "to", row),
            text(&table, "factor_2", row),
            text(&table, "from_2", row),
            text(&table, "to_2", row),
        ]
    };
    let (b, off) = (Some("b"), Some("off"));
    assert_eq!(row(2), [b, b, Some("x"), Some("z"), None, None, None]);
    assert_eq!(row(5), [Some("a × b"), Some("a"), off, Some("on"), b, Some("x"), Some("z")]);
    assert_eq!((count(&table, "order", 2), count(&table, "order", 5)), (1, 2));
    assert_eq!((count(&table, "n_from", 0), count(&table, "n_to", 0)), (24, 24));
    // a × b, x to z: of four pairs of levels two on either side, each with two levels of c and four
    // replicates.
    assert_eq!((count(&table, "n_from", 5), count(&table, "n_to", 5)), (16, 16));
    assert_eq!((count(&table, "combinations", 0), count(&table, "combinations", 5)), (6, 2));
    assert_eq!(count(&table, "combinations_missing", 0), 0);
    assert_eq!(count(&table, "replicates", 0), 4);
    assert_eq!(text(&table, "estimator", 0), Some("difference of unweighted means of cell means"));
    assert_eq!(
        text(&table, "estimator", 5),
        Some("difference of differences of unweighted means of cell means")
    );
    assert_eq!(text(&table, "interval", 0), Some("paired t over replicates"));
    assert_eq!(text(&table, "simultaneous", 0), Some("single-step max |t|"));
    assert_eq!(text(&table, "adjustment", 0), Some("holm"));
    assert_eq!((count(&table, "resamples", 0), count(&table, "family", 0)), (10_000, 9));
    // Nothing was resampled for Bonferroni's.
    let table = effects(&design(&[]), &bonferroni(1, FactorialInterval::Automatic));
    assert_eq!(table.column("resamples").unwrap().null_count(), 4);
    assert!(table.column("factor_2").is_err());
}

#[test]
fn pooled_variances_are_those_of_a_linear_model() {
    // statsmodels 0.15.0 OLS with sum coding, t_test of the contrasts.
    let table = effects(&design(&[]), &bonferroni(3, FactorialInterval::PooledVariance));
    let errors = [
        1.091_051_565_471_824,
        1.336_259_809_235_381_2,
        1.336_259_809_235_378_8,
        1.091_051_565_471_823_8,
        2.672_519_618_470_762,
        2.672_519_618_470_763_4,
        2.182_103_130_943_649,
        2.672_519_618_470_762_5,
        2.672_519_618_470_761,
        5.345_039_236_941_525,
        5.345_039_236_941_512_5,
    ];
    column_is(&table, "standard_error", &errors, 1e-12);
    close(number(&table, "low", 2), 6.696_189_497_138_433, 1e-11);
    close(number(&table, "high", 2), 12.116_310_502_861_538, 1e-11);
    close(number(&table, "p_value", 5), 0.032_679_870_764_854_35, 1e-12);
    assert_eq!(number(&table, "degrees_of_freedom", 0), 36.0);
    // The same, with three runs missing: unweighted means are what the full model estimates.
    let table = effects(&design(&DROPPED), &bonferroni(3, FactorialInterval::PooledVariance));
    let estimates = [
        5.746_527_777_777_771_5,
        2.885_416_666_666_666,
        9.838_541_666_666_666,
        0.663_194_444_444_443_4,
        4.541_666_666_666_67,
        6.072_916_666_666_678_5,
        2.798_611_111_111_125,
        -1.270_833_333_333_328_2,
        4.135_416_666_666_677,
        6.666_666_666_666_667,
        9.729_166_666_666_677,
    ];
    column_is(&table, "estimate", &estimates, 1e-11);
    column_is(&table, "low", &[3.336_535_983_353_351, 0.027_517_961_905_125_343], 1e-11);
    column_is(&table, "high", &[8.156_519_572_202_193, 5.743_315_371_428_206], 1e-11);
    close(number(&table, "p_value", 10), 0.111_313_644_987_349_43, 1e-12);
    assert_eq!(text(&table, "interval", 0), Some("t with pooled cell variance"));
}

#[test]
fn unequal_replicates_have_welch_intervals_of_their_own_accord() {
    // The formula of Welch and Satterthwaite in numpy 2.2.6; scipy 1.17.1 for two cells.
    let table = effects(&design(&DROPPED), &bonferroni(2, FactorialInterval::Automatic));
    assert_eq!(text(&table, "interval", 0), Some("Welch t"));
    column_is(&table, "standard_error", &[1.402_120_135_998_197_8, 1.502_908_782_670_384_9], 1e-12);
    column_is(
        &table,
        "degrees_of_freedom",
        &[5.373_693_174_454_271, 13.964_760_791_672_798],
        1e-10,
    );
    column_is(&table, "low", &[2.216_362_564_104_405, -0.338_765_362_032_662_6], 1e-10);
    column_is(&table, "high", &[9.276_692_991_451_15, 6.109_598_695_365_996], 1e-10);
    column_is(&table, "p_value", &[0.008_048_240_716_786_247, 0.075_535_671_294_276], 1e-11);
    let two = [factor("a", &["off", "on"]), factor("b", &["x"]), factor("c", &["p"])];
    let welch = bonferroni(2, FactorialInterval::Welch);
    let table = factorial_effects(&design(&DROPPED), columns(&two), &welch).unwrap();
    assert_eq!(table.height(), 1);
    close(number(&table, "low", 0), -7.398_873_863_238_655, 1e-11);
    close(number(&table, "high", 0), 14.482_207_196_571_988, 1e-11);
    close(number(&table, "degrees_of_freedom", 0), 3.693_055_471_743_954, 1e-11);
    close(number(&table, "p_value", 0), 0.409_509_396_524_351_87, 1e-12);
}

#[test]
fn pooled_means_weigh_by_runs() {
    // numpy: mean of the rows with a on minus mean of those with a off.
    let pooled = FactorialOptions {
        estimator: FactorialEstimator::Pooled,
        ..bonferroni(1, FactorialInterval::Automatic)
    };
    let table = effects(&design(&DROPPED), &pooled);
    close(number(&table, "estimate", 0), 4.657_114_624_505_928, 1e-12);
    assert_eq!(text(&table, "estimator", 0), Some("difference of pooled means"));
    assert_eq!((count(&table, "n_from", 0), count(&table, "n_to", 0)), (23, 22));
    // With equal cells there is nothing to weigh.
    let table = effects(&design(&[]), &pooled);
    close(number(&table, "estimate", 0), 5.458_333_333_333_332, 1e-12);
}

#[test]
fn paired_intervals_of_unequal_replicates_take_the_complete_ones() {
    let table = effects(&design(&DROPPED), &bonferroni(1, FactorialInterval::Paired));
    // b: x against y misses (off, x, p) of replicate 3; the rest is complete.
    assert_eq!(count(&table, "replicates", 1), 3);
    let complete = design(&cells().map(|(i, j, k)| (i, j, k, 3)).collect::<Vec<_>>());
    let expected = effects(&complete, &bonferroni(1, FactorialInterval::Paired));
    for column in ["estimate", "low", "high", "p_value"] {
        close(number(&table, column, 1), number(&expected, column, 1), 1e-12);
    }
    // a misses replicates 0, 2 and 3 somewhere: one is left, and no interval.
    assert_eq!(count(&table, "replicates", 0), 1);
    assert_eq!((count(&table, "n_from", 0), count(&table, "n_to", 0)), (6, 6));
    assert!(float(&table, "estimate", 0).is_some());
    assert_eq!(float(&table, "low", 0), None);
    assert_eq!(count(&table, "family", 0), 1);
}

#[test]
fn the_largest_t_of_independent_contrasts_is_the_maximum_modulus() {
    // The integral over the variance in scipy 1.17.1, 95 %: 2.74724 for three |t| with 12 degrees of
    // freedom, 3.03912 for seven with 16 (Student's alone: 2.179 and 2.120).
    let bootstrap = Bootstrap { resamples: 100_000, ..Bootstrap::tables() };
    let of = |frame: &DataFrame, factors: &[FactorLevels]| {
        let options =
            FactorialOptions { bootstrap, ..options(3, FactorialInterval::PooledVariance) };
        let table = factorial_effects(frame, columns(factors), &options).unwrap();
        let half = number(&table, "simultaneous_high", 0) - number(&table, "estimate", 0);
        (table.height(), half / number(&table, "standard_error", 0))
    };
    let two = [factor("a", &["off", "on"]), factor("c", &["p", "q"])];
    let of_two = design(&[]).filter(&design(&[]).column("b").unwrap().str().unwrap().equal("x"));
    let (effects, critical) = of(&of_two.unwrap(), &two);
    assert_eq!(effects, 3);
    close(critical, 2.747_243_694_124_879, 0.02);
    let three = [factor("a", &["off", "on"]), factor("b", &["x", "y"]), factor("c", &["p", "q"])];
    let without_last: Vec<_> = cells().map(|(i, j, k)| (i, j, k, 3)).collect();
    let (effects, critical) = of(&design(&without_last), &three);
    assert_eq!(effects, 7);
    close(critical, 3.039_119_724_204_581, 0.02);
}

#[test]
fn simultaneous_intervals_lie_between_one_alone_and_bonferroni() {
    for (frame, interval) in [
        (design(&[]), FactorialInterval::Paired),
        (design(&DROPPED), FactorialInterval::Welch),
        (design(&DROPPED), FactorialInterval::PooledVariance),
        (design(&[]), FactorialInterval::Bootstrap),
    ] {
        let largest = effects(&frame, &options(2, interval));
        let shares = effects(&frame, &bonferroni(2, interval));
        for row in 0..largest.height() {
            let at = |table: &DataFrame, column: &str| number(table, column, row);
            let half = at(&largest, "simultaneous_high") - at(&largest, "simultaneous_low");
            let alone = at(&largest, "high") - at(&largest, "low");
            assert!(half > alone, "{interval:?} {row}: {half} {alone}");
            if interval != FactorialInterval::Bootstrap {
                let bound = at(&shares, "simultaneous_high") - at(&shares, "simultaneous_low");
                // Welch's approximation may ask for more than Bonferroni, which then is the limit.
                assert!(half <= bound, "{interval:?} {row}: {half} {bound}");
            }
        }
    }
}

/// Standard normal numbers by Box and Muller.
fn normals(generator: &mut ChaCha8Rng) -> impl FnMut() -> f64 {
    move || {
        let mut uniform = || (f64::from(generator.next_u32()) + 0.5) / 2f64.powi(32);
        (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos()
    }
}

#[test]
fn simultaneous_intervals_cover_together_and_single_ones_alone() {
    // 2^3 designs without effects, five seeds that move all cells alike: 1,000 studies, so that 95 %
    // has a standard error of 0.7 %. Seven independent effects cover together in 0.95^7 = 70 % where
    // each does in 95 %.
    let three = [factor("a", &["0", "1"]), factor("b", &["0", "1"]), factor("c", &["0", "1"])];
    let bootstrap = Bootstrap { resamples: 400, ..Bootstrap::tables() };
    let options = FactorialOptions { order: 3, bootstrap, ..FactorialOptions::tables() };
    let mut generator = ChaCha8Rng::seed_from_u64(5);
    let mut normal = normals(&mut generator);
    let (studies, mut together, mut all_alone, mut alone) = (1_000, 0, 0, 0);
    let bits = |bit: u32| (0..40).map(move |row: u32| ["0", "1"][((row / 5) >> bit & 1) as usize]);
    for _ in 0..studies {
        let shared: Vec<f64> = (0..5).map(|_| 3.0 * normal()).collect();
        let values: Vec<f64> = (0..40).map(|row| shared[row % 5] + normal()).collect();
        let frame = df!(
            "a" => bits(0).collect::<Vec<_>>(),
            "b" => bits(1).collect::<Vec<_>>(),
            "c" => bits(2).collect::<Vec<_>>(),
            "r" => (0..40u32).map(|row| row % 5).collect::<Vec<_>>(),
            "value" => values,
        )
        .unwrap();
        let table = factorial_effects(&frame, columns(&three), &options).unwrap();
        let covers = |low: &str, high: &str, row: usize| {
            number(&table, low, row) <= 0.0 && number(&table, high, row) >= 0.0
        };
        let shared = (0..7).all(|row| covers("simultaneous_low", "simultaneous_high", row));
        let single = (0..7).filter(|row| covers("low", "high", *row)).count();
        together += u32::from(shared);
        all_alone += u32::from(single == 7);
        alone += single;
    }
    let share = |number: f64| number / f64::from(studies);
    println!(
        "together {}, all alone {}, each alone {}",
        share(f64::from(together)),
        share(f64::from(all_alone)),
        share(alone as f64) / 7.0
    );
    close(share(f64::from(together)), 0.95, 0.025);
    close(share(f64::from(all_alone)), 0.95f64.powi(7), 0.05);
    close(share(alone as f64) / 7.0, 0.95, 0.01);
}

#[test]
fn means_are_over_the_combinations_of_the_others() {
    // scipy 1.17.1: t of the replicates' means over c at a off, b y.
    let all = factors();
    let options = bonferroni(1, FactorialInterval::Automatic);
    let table = factorial_means(&design(&[]), columns(&all), &["a", "b"], &options).unwrap();
    assert_eq!(table.height(), 6);
    assert_eq!((text(&table, "a", 1), text(&table, "b", 1)), (Some("off"), Some("y")));
    close(number(&table, "estimate", 1), 7.468_75, 1e-12);
    close(number(&table, "low", 1), 2.025_505_404_135_694_6, 1e-11);
    close(number(&table, "high", 1), 12.911_994_595_864_305, 1e-11);
    assert_eq!((count(&table, "n", 1), count(&table, "combinations", 1)), (8, 2));
    assert_eq!(text(&table, "estimator", 0), Some("unweighted mean of cell means"));
    assert_eq!(text(&table, "interval", 0), Some("t over replicates"));
    // The differences of these means are the effects.
    let effects = effects(&design(&[]), &options);
    let of_a = factorial_means(&design(&[]), columns(&all), &["a"], &options).unwrap();
    let difference = number(&of_a, "estimate", 1) - number(&of_a, "estimate", 0);
    close(difference, number(&effects, "estimate", 0), 1e-12);
    // Factors come in the order asked for.
    let turned = factorial_means(&design(&[]), columns(&all), &["b", "a"], &options).unwrap();
    assert_eq!((text(&turned, "b", 2), text(&turned, "a", 2)), (Some("y"), Some("off")));
    assert_eq!(float(&turned, "estimate", 2), float(&table, "estimate", 1));
    // Without names, the mean of all cells.
    let whole = factorial_means(&design(&[]), columns(&all), &[], &options).unwrap();
    assert_eq!((whole.height(), count(&whole, "n", 0)), (1, 48));
    let error = factorial_means(&design(&[]), columns(&all), &["d"], &options).unwrap_err();
    assert_eq!(error.to_string(), "`d` is no factor of the design; there are a, b, c");
    let error = factorial_means(&design(&[]), columns(&all), &["a", "a"], &options).unwrap_err();
    assert_eq!(error.to_string(), "factor `a` is named twice; name each once");
}

#[test]
fn a_missing_cell_leaves_out_its_combination() {
    // b adds 10 to y and 100 to z, c adds 1; without (on, z, q), a is compared in the five other
    // combinations, and pooled means mistake z's rows for an effect of a.
    let (mut a, mut b, mut c, mut r, mut value) = (vec![], vec![], vec![], vec![], vec![]);
    for (i, j, k) in cells().filter(|cell| *cell != (1, 2, 1)) {
        for replicate in 0..3u32 {
            a.push(["off", "on"][i as usize]);
            b.push(["x", "y", "z"][j as usize]);
            c.push(["p", "q"][k as usize]);
            r.push(replicate);
            value.push(2.0 * f64::from(i) + [0.0, 10.0, 100.0][j as usize] + f64::from(k));
        }
    }
    let frame = df!("a" => a, "b" => b, "c" => c, "r" => r, "value" => value).unwrap();
    let table = effects(&frame, &bonferroni(2, FactorialInterval::Automatic));
    close(number(&table, "estimate", 0), 2.0, 1e-12);
    assert_eq!(count(&table, "combinations", 0), 5);
    assert_eq!(count(&table, "combinations_missing", 0), 1);
    // No deviation at all: the interval is a point.
    assert_eq!(float(&table, "low", 0), float(&table, "high", 0));
    assert_eq!(float(&table, "p_value", 0), Some(0.0));
    // a × b and b × c are zero up to rounding, which is zero.
    for row in [4, 5, 7, 8] {
        assert_eq!(float(&table, "estimate", row), Some(0.0), "{row}");
        assert_eq!(float(&table, "p_value", row), Some(1.0), "{row}");
    }
    let pooled = FactorialOptions {
        estimator: FactorialEstimator::Pooled,
        ..bonferroni(1, FactorialInterval::Automatic)
    };
    let table = effects(&frame, &pooled);
    // (2 + 2 + 12 + 12 + 102 + 1 + 1) / 5 - (0 + 0 + 10 + 10 + 100 + 100 + 3) / 6
    close(number(&table, "estimate", 0), 132.0 / 5.0 - 223.0 / 6.0, 1e-12);
    // Cells of the interaction plot share their combinations: z with q is nowhere complete.
    let all = factors();
    let options = bonferroni(1, FactorialInterval::Automatic);
    let means = factorial_means(&frame, columns(&all), &["a", "b"], &options).unwrap();
    assert_eq!((count(&means, "combinations", 0), count(&means, "n", 0)), (1, 3));
    close(number(&means, "estimate", 0), 0.0, 1e-12);
    close(number(&means, "estimate", 5), 102.0, 1e-12);
}

#[test]
fn what_never_ran_has_no_estimate() {
    let never = [factor("a", &["off", "gone"]), factor("c", &["p", "q"])];
    for estimator in [FactorialEstimator::Unweighted, FactorialEstimator::Pooled] {
        for interval in [
            FactorialInterval::Automatic,
            FactorialInterval::Paired,
            FactorialInterval::Welch,
            FactorialInterval::PooledVariance,
            FactorialInterval::Bootstrap,
        ] {
            let options = FactorialOptions { estimator, ..options(2, interval) };
            let of_x = design(&[])
                .filter(&design(&[]).column("b").unwrap().str().unwrap().equal("x"))
                .unwrap();
            let table = factorial_effects(&of_x, columns(&never), &options).unwrap();
            assert_eq!(table.height(), 3);
            for column in ["estimate", "low", "simultaneous_low", "p_value", "p_adjusted"] {
                assert_eq!(float(&table, column, 0), None, "{column}");
                assert_eq!(float(&table, column, 2), None, "{column}");
            }
            // c is compared where a is off; unweighted, pooled alike.
            assert!(float(&table, "low", 1).is_some(), "{interval:?}");
            let none = factorial_effects(&of_x.head(Some(0)), columns(&never), &options).unwrap();
            assert_eq!((none.height(), float(&none, "estimate", 1)), (3, None));
            assert_eq!(count(&none, "n_from", 1), 0);
        }
    }
    let none: [FactorLevels; 0] = [];
    let table =
        factorial_effects(&design(&[]), columns(&none), &FactorialOptions::tables()).unwrap();
    assert_eq!(table.height(), 0);
}

#[test]
fn one_replicate_has_an_estimate_and_no_interval() {
    let single =
        design(&[]).filter(&design(&[]).column("r").unwrap().u32().unwrap().equal(2)).unwrap();
    for interval in [
        FactorialInterval::Automatic,
        FactorialInterval::Welch,
        FactorialInterval::PooledVariance,
        FactorialInterval::Bootstrap,
    ] {
        let table = effects(&single, &options(2, interval));
        assert!(float(&table, "estimate", 0).is_some());
        for column in ["low", "high", "simultaneous_low", "standard_error", "p_value"] {
            assert_eq!(float(&table, column, 0), None, "{interval:?} {column}");
        }
        assert_eq!(count(&table, "family", 0), 0);
    }
}

#[test]
fn a_value_that_never_changes_has_no_effects() {
    let mut constant = design(&[]);
    constant.with_column(Column::new("value".into(), vec![0.1; 48])).unwrap();
    for interval in [
        FactorialInterval::Automatic,
        FactorialInterval::Welch,
        FactorialInterval::PooledVariance,
        FactorialInterval::Bootstrap,
    ] {
        let table = effects(&constant, &options(3, interval));
        for row in 0..table.height() {
            for column in ["estimate", "low", "high", "simultaneous_low", "simultaneous_high"] {
                assert_eq!(float(&table, column, row), Some(0.0), "{interval:?} {column}");
            }
            assert_eq!(float(&table, "p_value", row), Some(1.0));
        }
    }
    let table = factorial_variance(&constant, columns(&factors()), 2, false).unwrap();
    assert_eq!(float(&table, "sum_of_squares", 0), Some(0.0));
    assert_eq!(float(&table, "eta_squared", 0), None);
    assert_eq!(float(&table, "p_value", 0), Some(1.0));
}

#[test]
fn missing_values_are_counted_and_left_out() {
    let mut frame = design(&[]);
    let values: Vec<f64> = frame
        .column("value")
        .unwrap()
        .f64()
        .unwrap()
        .into_no_null_iter()
        .enumerate()
        .map(|(row, value)| match row {
            3 => f64::NAN,
            40 => f64::INFINITY,
            _ => value,
        })
        .collect();
    frame.with_column(Column::new("value".into(), values)).unwrap();
    let table = effects(&frame, &bonferroni(2, FactorialInterval::Automatic));
    assert_eq!(count(&table, "missing", 0), 2);
    // (off, x, p) of replicate 3 and (on, z, p) of replicate 0.
    assert_eq!((count(&table, "missing", 1), count(&table, "missing", 2)), (1, 2));
    assert_eq!((count(&table, "n_from", 0), count(&table, "n_to", 0)), (23, 23));
    let dropped = effects(
        &design(&[(0, 0, 0, 3), (1, 2, 0, 0)]),
        &bonferroni(2, FactorialInterval::Automatic),
    );
    for column in ["estimate", "low", "p_adjusted"] {
        column_is(&table, column, &[number(&dropped, column, 0), number(&dropped, column, 1)], 0.0);
    }
}

#[test]
fn rows_of_a_run_are_averaged() {
    let frame = df!(
        "a" => ["off", "off", "off", "on", "on"],
        "r" => [0u32, 0, 1, 0, 1],
        "value" => [1.0, 3.0, 4.0, 5.0, 9.0],
    )
    .unwrap();
    let one = [factor("a", &["off", "on"])];
    for estimator in [FactorialEstimator::Unweighted, FactorialEstimator::Pooled] {
        let options = FactorialOptions { estimator, ..bonferroni(1, FactorialInterval::Automatic) };
        let table = factorial_effects(&frame, columns(&one), &options).unwrap();
        // (5 - 2 + 9 - 4) / 2
        close(number(&table, "estimate", 0), 4.0, 1e-12);
        assert_eq!((count(&table, "n_from", 0), count(&table, "n_to", 0)), (3, 2));
    }
}

#[test]
fn effects_compare_replicates_with_themselves() {
    // The replicate moves the value by hundreds, the factor by exactly 3: with common random
    // numbers the replicate cancels, and the interval is a point.
    let replicate = [0u64, 1, 2, 3, 0, 1, 2, 3];
    let frame = df!(
        "clip" => ["off", "off", "off", "off", "on", "on", "on", "on"],
        "replicate" => replicate,
        "value" => [0.0, 100.0, 200.0, 300.0, 3.0, 103.0, 203.0, 303.0],
    )
    .unwrap();
    let clip = factor("clip", &["off", "on"]);
    let table =
        factor_effects(&frame, &[clip], "replicate", "value", &Bootstrap::tables()).unwrap();
    assert_eq!(table.height(), 1);
    assert_eq!(text(&table, "factor", 0), Some("clip"));
    assert_eq!((text(&table, "from", 0), text(&table, "to", 0)), (Some("off"), Some("on")));
    for column in ["estimate", "low", "high"] {
        close(number(&table, column, 0), 3.0, 1e-9);
    }
    assert_eq!((count(&table, "n_from", 0), count(&table, "n_to", 0)), (4, 4));
    assert_eq!(text(&table, "estimator", 0), Some("difference of pooled means"));
}

#[test]
fn effects_pool_the_other_factors_and_compare_levels_with_the_first() {
    // value = 1 (k = 1) or 10 (k = 2) above level 0, plus 100 for the other factor.
    let frame = df!(
        "k" => ["0", "0", "1", "1", "2", "2", "0", "1"],
        "other" => ["a", "b", "a", "b", "a", "b", "x", "x"],
        "replicate" => [0u64, 0, 0, 0, 0, 0, 0, 0],
        "value" => [Some(0.0), Some(100.0), Some(1.0), Some(101.0), Some(10.0), Some(110.0), None, None],
    )
    .unwrap();
    let of = |factor: FactorLevels| {
        factor_effects(&frame, &[factor], "replicate", "value", &Bootstrap::tables()).unwrap()
    };
    let table = of(factor("k", &["0", "1", "2"]));
    assert_eq!(table.height(), 2);
    assert_eq!(float(&table, "estimate", 0), Some(1.0));
    assert_eq!(float(&table, "estimate", 1), Some(10.0));
    assert_eq!(float(&of(factor("other", &["b", "a"])), "estimate", 0), Some(-100.0));
    assert_eq!(float(&of(factor("other", &["a", "absent"])), "estimate", 0), None);
    // One replicate: nothing to resample.
    assert_eq!(float(&table, "low", 0), None);
    assert_eq!(count(&table, "missing", 0), 2);
}

#[test]
fn the_bootstrap_of_unequal_replicates_is_known_exactly() {
    // off has 0 and 10, on has 5 in the first replicate only. Of the resamples {0, 0}, {0, 1}, {1, 1}
    // the last has no run with on; the others give 5 and 0, with weights one to two.
    let frame = df!(
        "a" => ["off", "off", "on"],
        "r" => [0u32, 1, 0],
        "value" => [0.0, 10.0, 5.0],
    )
    .unwrap();
    let one = [factor("a", &["off", "on"])];
    let at = |level| {
        let bootstrap = Bootstrap { level, ..Bootstrap::tables() };
        let options = FactorialOptions { bootstrap, ..bonferroni(1, FactorialInterval::Bootstrap) };
        factorial_effects(&frame, columns(&one), &options).unwrap()
    };
    let table = at(0.95);
    assert_eq!(float(&table, "estimate", 0), Some(0.0));
    assert_eq!((float(&table, "low", 0), float(&table, "high", 0)), (Some(0.0), Some(5.0)));
    let table = at(0.2);
    assert_eq!((float(&table, "low", 0), float(&table, "high", 0)), (Some(0.0), Some(0.0)));
    assert_eq!(text(&table, "interval", 0), Some("percentile bootstrap over replicates"));
}

#[test]
fn every_bootstrap_method_has_intervals_of_unequal_replicates() {
    for method in IntervalMethod::ALL {
        let bootstrap = Bootstrap { method, ..Bootstrap::curves() };
        for simultaneous in [Simultaneous::Bonferroni, Simultaneous::MaxT] {
            let options = FactorialOptions {
                bootstrap,
                simultaneous,
                ..options(2, FactorialInterval::Bootstrap)
            };
            let table = effects(&design(&DROPPED), &options);
            assert_eq!(text(&table, "interval", 0), Some(method.words()));
            for row in 0..table.height() {
                let at = |column: &str| number(&table, column, row);
                assert!((0.0..=1.0).contains(&at("p_value")));
                // With four replicates an end of the studentized bootstrap may be infinite.
                if method != IntervalMethod::Studentized {
                    assert!(at("low") < at("high"), "{method:?} {row}");
                    assert!(at("simultaneous_low") < at("simultaneous_high"), "{method:?} {row}");
                }
            }
        }
    }
}

#[test]
fn variance_is_shared_out_as_by_statsmodels() {
    // statsmodels 0.15.0 anova_lm with sum coding; types 2 and 3 agree.
    let full = factorial_variance(&design(&[]), columns(&factors()), 3, false).unwrap();
    let names: Vec<_> = (0..full.height()).map(|row| text(&full, "effect", row).unwrap()).collect();
    assert_eq!(names, ["a", "b", "c", "a × b", "a × c", "b × c", "a × b × c", "residual", "total"]);
    let squares = [
        357.520_833_333_333_54,
        750.486_979_166_668_2,
        1.687_500_000_000_007_5,
        80.518_229_166_666_83,
        22.005_208_333_333_33,
        54.523_437_499_999_96,
        34.502_604_166_666_8,
        514.25,
        1_815.494_791_666_666_7,
    ];
    column_is(&full, "sum_of_squares", &squares, 1e-10);
    let f = [
        25.028_196_402_527_968,
        26.268_868_497_812_402,
        0.118_133_203_694_701_55,
        2.818_333_738_454_065,
        1.540_471_560_525_036_3,
        1.908_452_843_947_494_8,
        1.207_675_012_153_626_4,
    ];
    column_is(&full, "f", &f, 1e-11);
    let p = [
        1.489_506_773_524_473_3e-5,
        9.228_550_691_758_721e-8,
        0.733_067_460_763_038_6,
        0.072_925_211_306_843_67,
        0.222_574_622_304_800_5,
        0.163_015_874_371_298_52,
        0.310_712_489_135_732_3,
    ];
    column_is(&full, "p_value", &p, 1e-12);
    let eta = [0.196_927_490_497_023_68, 0.413_378_756_365_201_94];
    column_is(&full, "eta_squared", &eta, 1e-13);
    let partial = [0.410_108_734_615_844_35, 0.593_393_718_637_974_9];
    column_is(&full, "partial_eta_squared", &partial, 1e-13);
    assert_eq!(count(&full, "degrees_of_freedom", 7), 36);
    assert_eq!((count(&full, "n", 0), count(&full, "replicates", 0)), (48, 4));
    assert_eq!((float(&full, "f", 7), float(&full, "partial_eta_squared", 8)), (None, None));

    let second = factorial_variance(&design(&[]), columns(&factors()), 2, false).unwrap();
    assert_eq!(second.height(), 8);
    close(number(&second, "sum_of_squares", 6), 548.752_604_166_666_6, 1e-10);
    assert_eq!(count(&second, "degrees_of_freedom", 6), 38);
    close(number(&second, "p_value", 0), 1.432_296_863_269_004_8e-5, 1e-15);

    let blocks = factorial_variance(&design(&[]), columns(&factors()), 3, true).unwrap();
    assert_eq!(text(&blocks, "effect", 7), Some("replicate"));
    close(number(&blocks, "sum_of_squares", 7), 280.932_291_666_666_06, 1e-10);
    close(number(&blocks, "f", 7), 13.244_837_823_961_399, 1e-10);
    close(number(&blocks, "sum_of_squares", 8), 233.317_708_333_333_31, 1e-10);
    close(number(&blocks, "p_value", 3), 0.007_508_323_465_885_562, 1e-12);
    close(number(&blocks, "partial_eta_squared", 0), 0.605_107_500_815_401_3, 1e-12);
}

#[test]
fn variance_needs_a_balanced_design() {
    let of = |frame: &DataFrame, factors: &[FactorLevels], blocks| {
        factorial_variance(frame, columns(factors), 2, blocks).unwrap_err().to_string()
    };
    let error = of(&design(&DROPPED), &factors(), false);
    assert_eq!(
        error,
        "the design is not balanced: the cell a = off, b = x, c = q has 4 replicates with a value, \
         or other ones, where the first has 3; leave out the replicates or levels that are \
         incomplete, or ask for effects, which need no balance"
    );
    // As many replicates a cell, but others: balanced, yet not in blocks.
    let shifted: Vec<(u32, u32, u32, u32)> = cells().map(|(i, j, k)| (i, j, k, 2 + i)).collect();
    factorial_variance(&design(&shifted), columns(&factors()), 2, false).unwrap();
    assert!(of(&design(&shifted), &factors(), true).contains("a = on, b = x, c = p has 3"));
    let no_cells = "the design has no cells: name factors with levels that occur";
    assert_eq!(of(&design(&[]), &[], false), no_cells);
    let gone = [factor("a", &["gone"])];
    assert!(of(&design(&[]), &gone, false).contains("a = gone has 0 replicates"));
    // One replicate: squares, and nothing to test them with.
    let single =
        design(&[]).filter(&design(&[]).column("r").unwrap().u32().unwrap().equal(0)).unwrap();
    let table = factorial_variance(&single, columns(&factors()), 3, false).unwrap();
    assert_eq!((float(&table, "f", 0), float(&table, "p_value", 0)), (None, None));
    assert_eq!(count(&table, "degrees_of_freedom", 7), 0);
    // Which effects of high order as a residual are.
    let table = factorial_variance(&single, columns(&factors()), 2, false).unwrap();
    assert_eq!(count(&table, "degrees_of_freedom", 6), 2);
    assert!(float(&table, "p_value", 0).is_some());
}

#[test]
fn a_design_names_everything_once() {
    let twice = [factor("a", &["off", "on"]), factor("a", &["on", "off"])];
    let options = FactorialOptions::tables();
    let of = |factors: &[FactorLevels]| {
        factorial_effects(&design(&[]), columns(factors), &options).unwrap_err()
    };
    assert_eq!(of(&twice).to_string(), "factor `a` is named twice; name each once");
    assert_eq!(
        of(&[factor("a", &["off", "on", "off"])]).to_string(),
        "level `off` of column `a` is named twice; name each once"
    );
    assert!(matches!(of(&[factor("absent", &["x", "y"])]), AnalysisError::Frame(_)));
    let level = FactorialOptions {
        bootstrap: Bootstrap { level: 1.0, ..Bootstrap::tables() },
        ..FactorialOptions::tables()
    };
    let error = factorial_effects(&design(&[]), columns(&factors()), &level).unwrap_err();
    assert!(matches!(error, AnalysisError::Level(_)));
}

#[test]
fn threads_and_row_order_show_nowhere() {
    let frame = design(&DROPPED);
    let rows = IdxSize::try_from(frame.height()).unwrap();
    let order: Vec<IdxSize> = (0..rows).map(|row| row * 17 % rows).collect();
    let shuffled = frame.take(&IdxCa::from_slice("".into(), &order)).unwrap();
    let all_of = |frame: &DataFrame, threads| {
        let bootstrap = Bootstrap { threads, ..Bootstrap::curves() };
        let mut tables = vec![factor_effects(frame, &factors(), "r", "value", &bootstrap).unwrap()];
        for interval in [
            FactorialInterval::Automatic,
            FactorialInterval::Paired,
            FactorialInterval::PooledVariance,
            FactorialInterval::Bootstrap,
        ] {
            let options = FactorialOptions { bootstrap, ..options(2, interval) };
            tables.push(effects(frame, &options));
            let means = factorial_means(frame, columns(&factors()), &["c", "b"], &options);
            tables.push(means.unwrap());
        }
        tables
    };
    let reference = all_of(&frame, 1);
    for other in [all_of(&frame, 3), all_of(&shuffled, 1), all_of(&shuffled, 7)] {
        for (reference, other) in reference.iter().zip(&other) {
            assert!(reference.equals_missing(other), "{reference} is not {other}");
        }
    }
    let variance = |frame: &DataFrame| factorial_variance(frame, columns(&factors()), 2, true);
    let balanced = design(&[]);
    assert!(variance(&balanced).unwrap().equals_missing(&variance(&balanced.reverse()).unwrap()));
}

#[test]
fn the_seed_decides_what_is_resampled() {
    let high = |seed| {
        let bootstrap = Bootstrap { seed, resamples: 500, ..Bootstrap::tables() };
        let options = FactorialOptions { bootstrap, ..FactorialOptions::tables() };
        number(&effects(&design(&[]), &options), "simultaneous_high", 0)
    };
    assert_eq!(high(1), high(1));
    assert_ne!(high(1), high(2));
}
