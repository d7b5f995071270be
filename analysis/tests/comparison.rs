//! Comparisons of two samples, and of the groups of a frame, against scipy and statsmodels.
//!
//! Numbers without another source were printed by `analysis/tests/fixtures/comparison.py` (scipy
//! 1.17.1, statsmodels 0.15.0).

use analysis::{
    Alternative, AnalysisError, Bootstrap, ComparisonColumns, ComparisonOptions, ComparisonTest,
    Correction, DifferenceInterval, Estimator, Interval, IntervalMethod, Pairs, PermutationResult,
    Permutations, compare_groups, correct, effect_size, mann_whitney_u, paired_permutation,
    paired_t, permutation, probability_of_superiority, welch, wilcoxon,
};
use polars::df;
use polars::prelude::*;

const A: [f64; 5] = [5.1, 7.3, 6.2, 8.8, 4.9];
const B: [f64; 5] = [4.0, 6.1, 5.9, 6.5, 4.4];
const C: [f64; 4] = [1.5, 3.1, 2.2, 9.0];
const TIED_X: [f64; 7] = [1.0, 2.0, 2.0, 3.0, 5.0, 5.0, 8.0];
const TIED_Y: [f64; 7] = [2.0, 2.0, 4.0, 5.0, 6.0, 9.0, 5.0];
/// Five final returns each of SAC and TD3 on HalfCheetah-v2 (Colas et al. 2019).
const SAC: [f64; 5] = [11900.144, 11014.69, 11907.06, 11727.162, 11881.628];
const TD3: [f64; 5] = [8537.865, 11807.009, 12040.942, 9884.293, 11378.295];
const COLUMNS: ComparisonColumns<'static> =
    ComparisonColumns { group: "arm", replicate: "replicate", value: "value" };

fn samples(n: u32, value: impl Fn(u32) -> f64) -> Vec<f64> {
    (0..n).map(value).collect()
}

fn long_x() -> Vec<f64> {
    samples(12, |i| f64::from(7 * i % 31) / 4.0)
}

fn long_y() -> Vec<f64> {
    samples(12, |i| f64::from(11 * i % 37) / 4.0 + 0.125)
}

fn steps_x() -> Vec<f64> {
    samples(40, |i| f64::from(7 * i % 10))
}

fn steps_y() -> Vec<f64> {
    samples(40, |i| f64::from((11 * i * i + 3 * i) % 13))
}

fn wide_x() -> Vec<f64> {
    samples(60, |i| f64::from(7 * i % 61) + 0.5)
}

fn wide_y() -> Vec<f64> {
    samples(60, |i| f64::from(17 * i * i % 61) + f64::from(i) / 97.0)
}

#[track_caller]
fn close(found: f64, expected: f64) {
    let error = (found - expected).abs();
    assert!(error <= 1e-12 * expected.abs().max(1e-3), "{found} is not {expected}");
}

#[track_caller]
fn interval_is(found: Interval, low: f64, high: f64) {
    close(found.low, low);
    close(found.high, high);
}

/// Two samples, two things that a test says of them, and its p values of the alternatives in the
/// order of `Alternative::ALL`: two-sided, less, greater.
type Case<'a, T> = (&'a [f64], &'a [f64], T, f64, [f64; 3]);

type PermutationTest =
    fn(&[f64], &[f64], Alternative, Permutations) -> Result<PermutationResult, AnalysisError>;

fn permutations(most: u64) -> Permutations {
    Permutations { most, seed: 0, threads: 1 }
}

#[test]
fn welch_is_that_of_scipy() {
    let cases: [Case<'_, f64>; 3] = [
        (
            &A,
            &C,
            -1.347_937_207_870_160_1,
            4.072_642_427_515_109,
            [0.247_775_912_966_359_73, 0.123_887_956_483_179_86, 0.876_112_043_516_820_1],
        ),
        (
            &TD3,
            &SAC,
            1.394_776_450_431_922_2,
            4.528_629_578_881_063_5,
            [0.227_621_693_345_636_12, 0.886_189_153_327_182, 0.113_810_846_672_818_06],
        ),
        (
            &[2.0; 3],
            &A,
            6.146_026_540_228_576_5,
            4.0,
            [0.003_554_383_515_968_028, 0.998_222_808_242_016, 0.001_777_191_757_984_014],
        ),
    ];
    for (first, second, statistic, degrees, p_values) in cases {
        for (alternative, p_value) in Alternative::ALL.into_iter().zip(p_values) {
            let result = welch(first, second, alternative, 0.95).unwrap();
            close(result.statistic, statistic);
            close(result.degrees, degrees);
            close(result.p_value, p_value);
        }
    }
    let result = welch(&TD3, &SAC, Alternative::Less, 0.95).unwrap();
    close(result.difference, 956.456_000_000_000_1);
    interval_is(result.interval, -862.940_873_376_482_6, 2_775.852_873_376_483);
}

#[test]
fn paired_t_is_that_of_scipy() {
    for (alternative, p_value) in Alternative::ALL.into_iter().zip([
        0.036_681_989_400_441_13,
        0.018_340_994_700_220_565,
        0.981_659_005_299_779_5,
    ]) {
        let result = paired_t(&A, &B, alternative, 0.9).unwrap();
        close(result.statistic, -3.086_974_532_565_158);
        assert_eq!(result.degrees, 4.0);
        close(result.difference, -1.08);
        close(result.p_value, p_value);
        interval_is(result.interval, -1.825_841_763_495_075_4, -0.334_158_236_504_925_27);
    }
}

#[test]
fn t_tests_without_spread_or_values_are_errors() {
    let two_sided = Alternative::TwoSided;
    let no_variance = |result| matches!(result, Err(AnalysisError::NoVariance(_)));
    // The mean of three 0.1 is not 0.1, and 0.3 - 0.1 is not 0.4 - 0.2: rounding is no spread.
    assert!(no_variance(welch(&[0.1; 3], &[0.7; 6], two_sided, 0.95)));
    assert!(no_variance(paired_t(&[0.1, 0.2, 1.1], &[0.3, 0.4, 1.3], two_sided, 0.95)));
    assert!(no_variance(paired_t(&A, &A, two_sided, 0.95)));
    let one = |found: usize, result: AnalysisError| matches!(result, AnalysisError::TooFew { needed: 2, found: f, .. } if f == found);
    assert!(one(1, welch(&A, &[1.0], two_sided, 0.95).unwrap_err()));
    assert!(one(0, welch(&[], &A, two_sided, 0.95).unwrap_err()));
    assert!(one(1, paired_t(&[1.0], &[1.0], two_sided, 0.95).unwrap_err()));
    assert!(matches!(
        paired_t(&A, &C, two_sided, 0.95),
        Err(AnalysisError::Unpaired { first: 5, second: 4 })
    ));
    assert!(matches!(welch(&A, &B, two_sided, 1.0), Err(AnalysisError::Level(_))));
    for missing in [f64::NAN, f64::INFINITY] {
        let sample = [1.0, missing, 2.0];
        let not_finite = |result: Result<(), _>| matches!(result, Err(AnalysisError::NotFinite(_)));
        assert!(not_finite(welch(&A, &sample, two_sided, 0.95).map(drop)));
        assert!(not_finite(paired_t(&sample, &sample, two_sided, 0.95).map(drop)));
        assert!(not_finite(mann_whitney_u(&sample, &A, two_sided).map(drop)));
        assert!(not_finite(wilcoxon(&sample, &sample, two_sided).map(drop)));
        assert!(not_finite(permutation(&sample, &A, two_sided, permutations(9)).map(drop)));
        assert!(not_finite(effect_size(&sample, &A).map(drop)));
    }
}

#[test]
fn mann_whitney_is_that_of_scipy() {
    let (steps_x, steps_y, wide_x, wide_y) = (steps_x(), steps_y(), wide_x(), wide_y());
    let eight = &long_y()[..8];
    let cases: [Case<'_, bool>; 5] = [
        (
            &A,
            &C,
            true,
            5.0,
            [0.285_714_285_714_285_7, 0.142_857_142_857_142_85, 0.904_761_904_761_904_9],
        ),
        (
            eight,
            &wide_x,
            true,
            448.0,
            [5.790_576_763_750_835e-06, 0.999_997_553_709_942_6, 2.895_288_381_875_417_6e-06],
        ),
        (
            &TIED_X,
            &TIED_Y,
            false,
            31.0,
            [0.432_994_337_881_728_03, 0.819_840_571_301_253_3, 0.216_497_168_940_864_02],
        ),
        (
            &steps_x,
            &steps_y,
            false,
            920.0,
            [0.247_705_334_028_456_18, 0.878_114_735_602_732_5, 0.123_852_667_014_228_09],
        ),
        (
            &wide_x,
            &wide_y,
            false,
            1820.0,
            [0.918_480_094_244_107, 0.542_842_349_512_554_2, 0.459_240_047_122_053_5],
        ),
    ];
    for (first, second, exact, statistic, p_values) in cases {
        for (alternative, p_value) in Alternative::ALL.into_iter().zip(p_values) {
            let result = mann_whitney_u(first, second, alternative).unwrap();
            assert_eq!((result.statistic, result.exact), (statistic, exact));
            close(result.effect, statistic / (first.len() * second.len()) as f64);
            close(result.p_value, p_value);
        }
    }
}

#[test]
fn rank_tests_of_what_does_not_differ_say_so() {
    for alternative in Alternative::ALL {
        let result = mann_whitney_u(&[1.0; 3], &[1.0; 9], alternative).unwrap();
        assert_eq!((result.effect, result.p_value), (0.5, 1.0));
        let result = wilcoxon(&A, &A, alternative).unwrap();
        assert_eq!((result.effect, result.p_value), (0.5, 1.0));
        // scipy has no number for more than 13 zeros.
        let result = wilcoxon(&[0.0; 20], &[0.0; 20], alternative).unwrap();
        assert_eq!((result.effect, result.p_value), (0.5, 1.0));
    }
    // One value on either side still has an order: one of two.
    let result = mann_whitney_u(&[1.0], &[2.0], Alternative::Greater).unwrap();
    assert_eq!((result.effect, result.p_value), (1.0, 0.5));
    let empty =
        |result: Result<_, _>| matches!(result, Err(AnalysisError::TooFew { found: 0, .. }));
    assert!(empty(mann_whitney_u(&[], &A, Alternative::Less)));
    assert!(empty(wilcoxon(&[], &[], Alternative::Less)));
}

#[test]
fn wilcoxon_is_that_of_scipy() {
    let (long_x, long_y, steps_x, steps_y) = (long_x(), long_y(), steps_x(), steps_y());
    let (wide_x, wide_y) = (wide_x(), wide_y());
    let cases: [Case<'_, bool>; 6] = [
        (&A, &B, true, 0.0, [0.0625, 0.031_25, 1.0]),
        (&TIED_X, &TIED_Y, true, 16.0, [0.343_75, 0.906_25, 0.171_875]),
        (&long_x, &long_y, true, 53.0, [0.294_921_875, 0.863_525_390_625, 0.147_460_937_5]),
        (
            &steps_x,
            &steps_y,
            false,
            472.5,
            [0.138_433_686_419_170_62, 0.930_783_156_790_414_7, 0.069_216_843_209_585_31],
        ),
        (
            &wide_x[..50],
            &wide_y[..50],
            true,
            664.0,
            [0.803_526_976_896_016_3, 0.601_934_503_818_221_8, 0.401_763_488_448_008_13],
        ),
        (
            &wide_x,
            &wide_y,
            false,
            950.0,
            [0.796_672_325_559_380_8, 0.601_663_837_220_309_6, 0.398_336_162_779_690_4],
        ),
    ];
    for (first, second, exact, statistic, p_values) in cases {
        for (alternative, p_value) in Alternative::ALL.into_iter().zip(p_values) {
            let result = wilcoxon(first, second, alternative).unwrap();
            assert_eq!((result.statistic, result.exact), (statistic, exact));
            close(result.p_value, p_value);
        }
    }
}

#[test]
fn enumerated_permutations_are_those_of_scipy() {
    let (long_x, long_y) = (long_x(), long_y());
    let independent: [Case<'_, u64>; 3] = [
        (
            &A,
            &C,
            126,
            -2.509_999_999_999_999,
            [0.190_476_190_476_190_47, 0.095_238_095_238_095_23, 0.912_698_412_698_412_7],
        ),
        (
            &C,
            &A,
            126,
            2.509_999_999_999_999,
            [0.190_476_190_476_190_47, 0.912_698_412_698_412_7, 0.095_238_095_238_095_23],
        ),
        (
            &TIED_X,
            &TIED_Y,
            3432,
            1.0,
            [0.523_310_023_310_023_3, 0.809_149_184_149_184_1, 0.261_655_011_655_011_65],
        ),
    ];
    let paired: [Case<'_, u64>; 3] = [
        (&A, &B, 32, -1.08, [0.0625, 0.031_25, 1.0]),
        (&TIED_X, &TIED_Y, 128, 1.0, [0.343_75, 0.906_25, 0.171_875]),
        (
            &long_x,
            &long_y,
            4096,
            1.291_666_666_666_666_7,
            [0.270_996_093_75, 0.869_384_765_625, 0.135_498_046_875],
        ),
    ];
    for (cases, test) in
        [(independent, permutation as PermutationTest), (paired, paired_permutation)]
    {
        for (first, second, all, difference, p_values) in cases {
            for (alternative, p_value) in Alternative::ALL.into_iter().zip(p_values) {
                let result = test(first, second, alternative, permutations(all)).unwrap();
                assert_eq!((result.permutations, result.exact), (all, true));
                close(result.difference, difference);
                close(result.p_value, p_value);
            }
        }
    }
}

#[test]
fn drawn_permutations_come_near_enumerated_ones() {
    // Tolerances are four standard deviations of a share of so many.
    for (test, most, expected, tolerance) in [
        (permutation as PermutationTest, 3431, 0.261_655_011_655_011_65, 0.03),
        (paired_permutation, 127, 0.171_875, 0.14),
    ] {
        let result = test(&TIED_X, &TIED_Y, Alternative::Greater, permutations(most)).unwrap();
        assert_eq!((result.permutations, result.exact), (most, false));
        assert!((result.p_value - expected).abs() < tolerance, "{}", result.p_value);
        // The observed one counts: so many of most + 1.
        let share = result.p_value * (most + 1) as f64;
        close(share, share.round());
    }
}

#[test]
fn a_drawn_p_value_is_never_zero() {
    let apart = |from: u32| samples(30, |i| f64::from(from + i));
    let result =
        permutation(&apart(0), &apart(100), Alternative::Greater, permutations(999)).unwrap();
    assert_eq!((result.p_value, result.exact), (0.001, false));
    let result =
        paired_permutation(&apart(0), &apart(100), Alternative::Less, permutations(999)).unwrap();
    assert_eq!((result.p_value, result.exact), (1.0, false));
    assert!(matches!(
        permutation(&apart(0), &apart(100), Alternative::Less, permutations(0)),
        Err(AnalysisError::NoResamples)
    ));
}

#[test]
fn drawn_permutations_depend_on_the_seed_alone() {
    let (x, y) = (wide_x(), wide_y());
    let reversed = |sample: &[f64]| sample.iter().rev().copied().collect::<Vec<f64>>();
    for test in [permutation as PermutationTest, paired_permutation] {
        let of = |x: &[f64], y: &[f64], seed, threads| {
            test(x, y, Alternative::TwoSided, Permutations { most: 5_000, seed, threads }).unwrap()
        };
        let result = of(&x, &y, 3, 1);
        assert_eq!(result, of(&x, &y, 3, 4));
        // Pairs stay together when both are reversed.
        assert_eq!(result.p_value, of(&reversed(&x), &reversed(&y), 3, 2).p_value);
        assert_ne!(result.p_value, of(&x, &y, 4, 1).p_value);
    }
}

#[test]
fn effect_sizes_are_their_closed_forms() {
    for (second, [d, g, improvement]) in [
        (&C[..], [-0.981_037_754_041_541_6, -0.871_360_585_676_442_7, 0.25]),
        (&B, [-0.777_401_010_808_589_5, -0.701_762_484_060_324_6, 0.279_999_999_999_999_97]),
    ] {
        let effect = effect_size(&A, second).unwrap();
        close(effect.cohens_d, d);
        close(effect.hedges_g, g);
        close(probability_of_superiority(&A, second).unwrap(), improvement);
    }
    assert_eq!(probability_of_superiority(&[], &A), None);
    assert!(matches!(effect_size(&[1.0; 2], &[2.0; 2]), Err(AnalysisError::NoVariance(_))));
}

// Corrections.

const P_VALUES: [f64; 8] = [0.01, 0.04, 0.03, 0.005, 0.2, 0.04, 0.9, 0.0125];

#[test]
fn corrections_are_those_of_statsmodels() {
    let adjusted = [
        (Correction::Bonferroni, [0.08, 0.32, 0.24, 0.04, 1.0, 0.32, 1.0, 0.1]),
        (Correction::Holm, [0.07, 0.16, 0.15, 0.04, 0.4, 0.16, 0.9, 0.075_000_000_000_000_01]),
        (
            Correction::BenjaminiHochberg,
            [
                0.033_333_333_333_333_33,
                0.053_333_333_333_333_34,
                0.053_333_333_333_333_34,
                0.033_333_333_333_333_33,
                0.228_571_428_571_428_6,
                0.053_333_333_333_333_34,
                0.9,
                0.033_333_333_333_333_33,
            ],
        ),
    ];
    for (correction, expected) in adjusted {
        // Missing ones in between change nothing.
        let mut p_values = vec![None, Some(f64::NAN)];
        p_values.extend(P_VALUES.map(Some));
        let found = correction.adjusted(&p_values).unwrap();
        assert_eq!(found[..2], [None, None]);
        for (found, expected) in found[2..].iter().zip(expected) {
            close(found.unwrap(), expected);
        }
        assert_eq!(correction.adjusted(&[]).unwrap(), []);
        assert_eq!(correction.adjusted(&[None, Some(0.3)]).unwrap(), [None, Some(0.3)]);
        for wrong in [-0.1, 1.1, f64::INFINITY] {
            let result = correction.adjusted(&[Some(wrong)]);
            assert!(matches!(result, Err(AnalysisError::PValue(p)) if p == wrong));
        }
    }
}

#[test]
fn a_column_of_p_values_is_corrected_by_family() {
    let frame = df!(
        "task" => ["a", "a", "b", "a", "b"],
        "p_value" => [Some(0.02), Some(0.04), Some(0.04), None, Some(f64::NAN)],
    )
    .unwrap();
    let families = correct(&frame, "p_value", &["task"], Correction::Holm, 0.045).unwrap();
    let p_adjusted: Vec<_> = families.column("p_adjusted").unwrap().f64().unwrap().iter().collect();
    assert_eq!(p_adjusted, [Some(0.04), Some(0.04), Some(0.04), None, None]);
    let rejected: Vec<_> = families.column("rejected").unwrap().bool().unwrap().iter().collect();
    assert_eq!(rejected, [Some(true), Some(true), Some(true), None, None]);
    assert_eq!(families.column("correction").unwrap().str().unwrap().get(0), Some("holm"));
    let one = correct(&frame, "p_value", &[], Correction::Holm, 0.045).unwrap();
    let p_adjusted: Vec<_> = one.column("p_adjusted").unwrap().f64().unwrap().iter().collect();
    assert_eq!(p_adjusted, [Some(0.06), Some(0.08), Some(0.08), None, None]);
    assert!(correct(&frame, "p", &[], Correction::Holm, 0.05).is_err());
    assert!(matches!(
        correct(&frame, "p_value", &[], Correction::Holm, 0.0),
        Err(AnalysisError::Probability { what: "alpha", .. })
    ));
    assert_eq!(
        correct(&frame.head(Some(0)), "p_value", &[], Correction::Holm, 0.1).unwrap().height(),
        0
    );
}

// Frames.

/// Rows of groups, replicates counted from a number.
fn frame(groups: &[(&str, u32, &[f64])]) -> DataFrame {
    let rows: Vec<(&str, u32, f64)> = groups
        .iter()
        .flat_map(|(arm, first, values)| (*first..).zip(*values).map(|(r, v)| (*arm, r, *v)))
        .collect();
    df!(
        "arm" => rows.iter().map(|row| row.0).collect::<Vec<_>>(),
        "replicate" => rows.iter().map(|row| row.1).collect::<Vec<_>>(),
        "value" => rows.iter().map(|row| row.2).collect::<Vec<_>>(),
    )
    .unwrap()
}

fn options(test: ComparisonTest, paired: bool) -> ComparisonOptions {
    ComparisonOptions { test, paired, ..ComparisonOptions::default() }
}

fn compared(frame: &DataFrame, options: &ComparisonOptions) -> DataFrame {
    compare_groups(frame, COLUMNS, &Pairs::All, options).unwrap()
}

fn float(table: &DataFrame, column: &str, row: usize) -> Option<f64> {
    table.column(column).unwrap().f64().unwrap().get(row)
}

fn whole(table: &DataFrame, column: &str, row: usize) -> Option<u64> {
    table.column(column).unwrap().u64().unwrap().get(row)
}

fn text<'a>(table: &'a DataFrame, column: &str, row: usize) -> Option<&'a str> {
    table.column(column).unwrap().str().unwrap().get(row)
}

fn flag(table: &DataFrame, column: &str, row: usize) -> Option<bool> {
    table.column(column).unwrap().bool().unwrap().get(row)
}

#[track_caller]
fn is(table: &DataFrame, column: &str, row: usize, expected: f64) {
    close(float(table, column, row).unwrap(), expected);
}

#[test]
fn every_test_of_a_pair_is_that_of_its_samples() {
    let frame = frame(&[("a", 0, &A), ("b", 0, &B)]);
    let tests = [
        (ComparisonTest::T, false, "Welch t"),
        (ComparisonTest::T, true, "paired t"),
        (ComparisonTest::Rank, false, "Mann-Whitney U"),
        (ComparisonTest::Rank, true, "Wilcoxon signed-rank"),
        (ComparisonTest::Permutation, false, "permutation"),
        (ComparisonTest::Permutation, true, "sign-flip permutation"),
    ];
    for (test, paired, name) in tests {
        for alternative in Alternative::ALL {
            let table =
                compared(&frame, &ComparisonOptions { alternative, ..options(test, paired) });
            let (statistic, df, exact, drawn, p_value) = match (test, paired) {
                (ComparisonTest::T, false) => {
                    let t = welch(&A, &B, alternative, 0.95).unwrap();
                    (t.statistic, Some(t.degrees), None, None, t.p_value)
                }
                (ComparisonTest::T, true) => {
                    let t = paired_t(&A, &B, alternative, 0.95).unwrap();
                    (t.statistic, Some(4.0), None, None, t.p_value)
                }
                (ComparisonTest::Rank, false) => {
                    let u = mann_whitney_u(&A, &B, alternative).unwrap();
                    (u.statistic, None, Some(true), None, u.p_value)
                }
                (ComparisonTest::Rank, true) => {
                    let w = wilcoxon(&A, &B, alternative).unwrap();
                    (w.statistic, None, Some(true), None, w.p_value)
                }
                (ComparisonTest::Permutation, false) => {
                    let p = permutation(&A, &B, alternative, permutations(1000)).unwrap();
                    (p.difference, None, Some(true), Some(252), p.p_value)
                }
                (ComparisonTest::Permutation, true) => {
                    let p = paired_permutation(&A, &B, alternative, permutations(1000)).unwrap();
                    (p.difference, None, Some(true), Some(32), p.p_value)
                }
            };
            assert_eq!(text(&table, "test", 0), Some(name));
            assert_eq!(text(&table, "alternative", 0), Some(alternative.name()));
            is(&table, "statistic", 0, statistic);
            assert_eq!(float(&table, "df", 0), df);
            assert_eq!(flag(&table, "exact", 0), exact);
            assert_eq!(whole(&table, "permutations", 0), drawn);
            is(&table, "p_value", 0, p_value);
            is(&table, "p_adjusted", 0, p_value);
        }
    }
}

#[test]
fn colas_five_seeds_do_not_tell_sac_from_td3() {
    let frame = frame(&[("sac", 0, &SAC), ("td3", 0, &TD3)]);
    let pairs = Pairs::Named(vec![("td3".to_owned(), "sac".to_owned())]);
    let table = compare_groups(&frame, COLUMNS, &pairs, &ComparisonOptions::default()).unwrap();
    // Colas et al. 2019 by their tool's formulas: t = 1.394776, df = 4.528630, p = 0.227622.
    is(&table, "statistic", 0, 1.394_776_450_431_922_2);
    is(&table, "df", 0, 4.528_629_578_881_063_5);
    is(&table, "p_value", 0, 0.227_621_693_345_636_12);
    is(&table, "estimate", 0, 956.456_000_000_000_1);
    is(&table, "low", 0, -862.940_873_376_482_6);
    is(&table, "high", 0, 2_775.852_873_376_483);
    assert_eq!(flag(&table, "rejected", 0), Some(false));
    assert_eq!(text(&table, "from", 0), Some("td3"));
    assert_eq!(text(&table, "to", 0), Some("sac"));
    assert_eq!(text(&table, "estimator", 0), Some("difference of means"));
    assert_eq!(text(&table, "interval", 0), Some("Welch t"));
    assert_eq!(float(&table, "interval_level", 0), Some(0.95));
    assert_eq!(whole(&table, "resamples", 0), None);
    assert_eq!(text(&table, "note", 0), None);
}

#[test]
fn pairs_share_replicates_and_what_only_one_has_is_counted() {
    // Replicates 0 to 4 of a, 1 to 6 of b, whose last is missing.
    let later = [3.0, 5.0, 4.0, 9.0, 8.0, f64::NAN];
    let frame = frame(&[("a", 0, &A), ("b", 1, &later)]);
    let table = compared(&frame, &options(ComparisonTest::T, true));
    assert_eq!(whole(&table, "n_from", 0), Some(4));
    assert_eq!(whole(&table, "n_to", 0), Some(4));
    // 0 of a; 5 of b.
    assert_eq!(whole(&table, "unpaired", 0), Some(2));
    assert_eq!(whole(&table, "missing", 0), Some(1));
    let expected = paired_t(&A[1..], &later[..4], Alternative::TwoSided, 0.95).unwrap();
    is(&table, "p_value", 0, expected.p_value);
    is(&table, "estimate", 0, expected.difference);
    is(&table, "mean_from", 0, (7.3 + 6.2 + 8.8 + 4.9) / 4.0);
    assert_eq!(text(&table, "interval", 0), Some("paired t"));

    let table = compared(&frame, &options(ComparisonTest::T, false));
    assert_eq!(whole(&table, "n_from", 0), Some(5));
    assert_eq!(whole(&table, "n_to", 0), Some(5));
    assert_eq!(whole(&table, "unpaired", 0), None);
    is(&table, "p_value", 0, welch(&A, &later[..5], Alternative::TwoSided, 0.95).unwrap().p_value);
}

#[test]
fn rows_of_a_replicate_are_averaged() {
    let frame = df!(
        "arm" => ["a", "a", "a", "a", "b", "b", "b"],
        "replicate" => ["0", "0", "1", "1", "0", "1", "2"],
        "value" => [Some(1.0), Some(3.0), Some(4.0), None, Some(5.0), Some(6.0), Some(9.0)],
    )
    .unwrap();
    let table = compared(&frame, &options(ComparisonTest::T, false));
    let expected = welch(&[2.0, 4.0], &[5.0, 6.0, 9.0], Alternative::TwoSided, 0.95).unwrap();
    is(&table, "p_value", 0, expected.p_value);
    assert_eq!(whole(&table, "n_from", 0), Some(2));
    assert_eq!(whole(&table, "missing", 0), Some(1));
}

#[test]
fn pairs_are_all_or_those_from_a_baseline_or_named() {
    let frame = frame(&[("b", 0, &B), ("c", 0, &C), ("a", 0, &A)]);
    let of = |pairs: &Pairs| {
        let table = compare_groups(&frame, COLUMNS, pairs, &ComparisonOptions::default()).unwrap();
        let row = |row| (text(&table, "from", row).unwrap(), text(&table, "to", row).unwrap());
        let pairs = (0..table.height()).map(row).map(|(a, b)| format!("{a}{b}"));
        pairs.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(of(&Pairs::All), "ab ac bc");
    assert_eq!(of(&Pairs::Baseline("b".to_owned())), "ba bc");
    assert_eq!(of(&Pairs::Named(vec![("c".to_owned(), "a".to_owned())])), "ca");
    assert_eq!(of(&Pairs::Named(vec![])), "");
    for unknown in
        [Pairs::Baseline("d".to_owned()), Pairs::Named(vec![("a".to_owned(), "d".to_owned())])]
    {
        let result = compare_groups(&frame, COLUMNS, &unknown, &ComparisonOptions::default());
        let error = result.unwrap_err();
        assert_eq!(error.to_string(), "column `arm` has no group `d`");
    }
}

#[test]
fn p_values_are_corrected_for_the_pairs_that_have_one() {
    // The pair with one value has no test, and does not count among those that do.
    let frame = frame(&[("a", 0, &A), ("b", 0, &B), ("c", 0, &C), ("one", 0, &[3.0])]);
    let table = compared(&frame, &options(ComparisonTest::T, false));
    let p_values: Vec<Option<f64>> =
        table.column("p_value").unwrap().f64().unwrap().iter().collect();
    assert_eq!(p_values.iter().flatten().count(), 3);
    let adjusted = Correction::Holm.adjusted(&p_values).unwrap();
    let found: Vec<Option<f64>> =
        table.column("p_adjusted").unwrap().f64().unwrap().iter().collect();
    assert_eq!(found, adjusted);
    // a to one is the third row.
    assert_eq!(text(&table, "to", 2), Some("one"));
    assert_eq!(float(&table, "p_adjusted", 2), None);
    assert_eq!(flag(&table, "rejected", 2), None);
    let note = text(&table, "note", 2).unwrap();
    assert!(
        note.starts_with("Welch's t test needs at least 2 values on either side, not 1"),
        "{note}"
    );
    is(&table, "estimate", 2, 3.0 - 6.46);
    assert_eq!(float(&table, "low", 2), None);
    assert_eq!(float(&table, "cohens_d", 2), None);
    is(&table, "probability_of_improvement", 2, 0.0);
}

#[test]
fn constant_groups_have_a_rank_test_but_no_t() {
    let frame = frame(&[("a", 0, &[0.1; 5]), ("b", 0, &[0.7; 5])]);
    let table = compared(&frame, &options(ComparisonTest::T, false));
    assert_eq!(float(&table, "p_value", 0), None);
    assert_eq!(float(&table, "low", 0), None);
    is(&table, "estimate", 0, 0.6);
    assert!(text(&table, "note", 0).unwrap().contains("constant"));
    // All of one above all of the other: two of the 252 ways to deal them, either way.
    let table = compared(&frame, &options(ComparisonTest::Permutation, false));
    is(&table, "p_value", 0, 2.0 / 252.0);
}

#[test]
fn empty_frames_and_groups_without_values_have_defined_tables() {
    let empty = frame(&[]);
    assert_eq!(compared(&empty, &ComparisonOptions::default()).height(), 0);
    let frame = frame(&[("a", 0, &A), ("b", 0, &[f64::NAN, f64::INFINITY])]);
    for paired in [false, true] {
        for test in ComparisonTest::ALL {
            let table = compared(&frame, &options(test, paired));
            assert_eq!(whole(&table, "n_to", 0), Some(0));
            assert_eq!(whole(&table, "missing", 0), Some(2));
            for column in ["mean_to", "estimate", "low", "p_value", "p_adjusted", "hedges_g"] {
                assert_eq!(float(&table, column, 0), None, "{column}");
            }
            assert!(text(&table, "note", 0).unwrap().contains("not 0"));
        }
    }
}

#[test]
fn options_and_frames_out_of_range_are_errors() {
    let frame = frame(&[("a", 0, &A), ("b", 0, &B)]);
    let with = |options: ComparisonOptions| {
        compare_groups(&frame, COLUMNS, &Pairs::All, &options).unwrap_err()
    };
    let default = ComparisonOptions::default();
    assert!(matches!(
        with(ComparisonOptions { permutations: 0, ..default }),
        AnalysisError::NoResamples
    ));
    let bootstrap = Bootstrap { level: 1.0, ..Bootstrap::tables() };
    assert!(matches!(with(ComparisonOptions { bootstrap, ..default }), AnalysisError::Level(_)));
    let columns = ComparisonColumns { value: "reward", ..COLUMNS };
    assert!(compare_groups(&frame, columns, &Pairs::All, &default).is_err());
    let unknown = df!("arm" => ["a"], "replicate" => [None::<u32>], "value" => [1.0]).unwrap();
    assert!(matches!(
        compare_groups(&unknown, COLUMNS, &Pairs::All, &default),
        Err(AnalysisError::NoReplicate { row: 0, .. })
    ));
}

#[test]
fn bootstrap_intervals_are_those_of_the_bootstrap() {
    let frame = frame(&[("a", 0, &A), ("b", 0, &B)]);
    let interval = DifferenceInterval::Bootstrap;
    let mean = |sample: &[f64]| analysis::mean(sample);
    for paired in [false, true] {
        for method in IntervalMethod::ALL {
            let bootstrap = Bootstrap { resamples: 500, method, ..Bootstrap::tables() };
            let options =
                ComparisonOptions { interval, bootstrap, ..options(ComparisonTest::T, paired) };
            let table = compared(&frame, &options);
            let expected = if paired {
                bootstrap.paired(&B, &A, Estimator::Mean)
            } else {
                bootstrap.unpaired(&B, &A, Estimator::Mean)
            };
            let expected = expected.unwrap().unwrap();
            is(&table, "low", 0, expected.low);
            is(&table, "high", 0, expected.high);
            assert_eq!(text(&table, "interval", 0), Some(method.words()));
            assert_eq!(whole(&table, "resamples", 0), Some(500));
            if method == IntervalMethod::Percentile {
                let written_out = if paired {
                    let within: Vec<f64> = A.iter().zip(B).map(|(a, b)| b - a).collect();
                    bootstrap.interval(&[&within], |strata| mean(&strata[0]))
                } else {
                    bootstrap
                        .interval(&[&B, &A], |strata| Some(mean(&strata[0])? - mean(&strata[1])?))
                };
                let written_out = written_out.unwrap().unwrap();
                interval_is(expected, written_out.low, written_out.high);
            }
        }
    }
}

#[test]
fn a_bootstrap_without_interval_says_so() {
    // Most resamples of two values are constant, and have no standard error.
    let frame = frame(&[("a", 0, &[1.0, 2.0]), ("b", 0, &[3.0, 5.0])]);
    let method = IntervalMethod::Studentized;
    let bootstrap = Bootstrap { resamples: 200, method, ..Bootstrap::tables() };
    let interval = DifferenceInterval::Bootstrap;
    let options = ComparisonOptions { interval, bootstrap, ..options(ComparisonTest::T, false) };
    let table = compared(&frame, &options);
    assert_eq!((float(&table, "low", 0), float(&table, "high", 0)), (None, None));
    let note = "the bootstrap has no interval for so few values or so many ties";
    assert_eq!(text(&table, "note", 0), Some(note));
    assert!(float(&table, "p_value", 0).is_some());
}

#[test]
fn threads_and_the_order_of_rows_do_not_show() {
    let (x, y) = (wide_x(), wide_y());
    let frame = frame(&[("a", 0, &x), ("b", 3, &y), ("c", 0, &steps_y()), ("d", 0, &A)]);
    let height = frame.height() as u32;
    // 101 and the number of rows have no divisor in common.
    let shuffled: Vec<u32> = (0..height).map(|row| row * 101 % height).collect();
    assert_eq!(height, 165);
    let shuffled = frame.take(&IdxCa::from_slice("rows".into(), &shuffled)).unwrap();
    for test in ComparisonTest::ALL {
        for paired in [false, true] {
            let with = |frame: &DataFrame, threads| {
                let bootstrap = Bootstrap { resamples: 200, threads, ..Bootstrap::tables() };
                let interval = DifferenceInterval::Bootstrap;
                let options = ComparisonOptions {
                    bootstrap,
                    interval,
                    permutations: 3000,
                    ..options(test, paired)
                };
                compared(frame, &options)
            };
            let table = with(&frame, 1);
            for other in [with(&shuffled, 1), with(&frame, 5), with(&shuffled, 64)] {
                assert!(table.equals_missing(&other), "{test:?} {paired}\n{table}\n{other}");
            }
        }
    }
}
