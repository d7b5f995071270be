//! Correlations against scipy.
//!
//! Numbers without another source were printed by `analysis/tests/fixtures/comparison.py` (scipy
//! 1.17.1).

use analysis::{Alternative, AnalysisError, Correlation, CorrelationColumns, correlations};
use polars::df;
use polars::prelude::*;

const A: [f64; 5] = [5.1, 7.3, 6.2, 8.8, 4.9];
const B: [f64; 5] = [4.0, 6.1, 5.9, 6.5, 4.4];
const TIED_X: [f64; 7] = [1.0, 2.0, 2.0, 3.0, 5.0, 5.0, 8.0];
const TIED_Y: [f64; 7] = [2.0, 2.0, 4.0, 5.0, 6.0, 9.0, 5.0];

fn samples(n: u32, value: impl Fn(u32) -> f64) -> Vec<f64> {
    (0..n).map(value).collect()
}

fn steps() -> (Vec<f64>, Vec<f64>) {
    (samples(40, |i| f64::from(7 * i % 10)), samples(40, |i| f64::from((11 * i * i + 3 * i) % 13)))
}

#[track_caller]
fn close(found: f64, expected: f64) {
    let error = (found - expected).abs();
    // Next to a perfect correlation, its last digit moves the ninth of a p value of 1e-74.
    let tolerance = if expected.abs() < 1e-60 { 1e-9 } else { 1e-12 };
    assert!(error <= tolerance * expected.abs(), "{found:e} is not {expected:e}");
}

/// What scipy says of a pair of samples: correlation, p values in the order of `Alternative::ALL`
/// (two-sided, less, greater), and the interval at 0.95.
type Expected = (f64, [f64; 3], [f64; 2]);

fn holds(kind: Correlation, x: &[f64], y: &[f64], exact: bool, expected: Expected) {
    let (estimate, p_values, [low, high]) = expected;
    for (alternative, p_value) in Alternative::ALL.into_iter().zip(p_values) {
        let result = kind.of(x, y, alternative, 0.95).unwrap();
        close(result.estimate, estimate);
        close(result.p_value, p_value);
        assert_eq!(result.exact, exact);
        let interval = result.interval.unwrap();
        close(interval.low, low);
        close(interval.high, high);
    }
}

#[test]
fn pearson_is_that_of_scipy() {
    let long_x = samples(12, |i| f64::from(7 * i % 31) / 4.0);
    let long_y = samples(12, |i| f64::from(11 * i % 37) / 4.0 + 0.125);
    let wide_x = samples(60, |i| f64::from(7 * i % 61) + 0.5);
    let wide_y = samples(60, |i| f64::from(17 * i * i % 61) + f64::from(i) / 97.0);
    let (steps_x, steps_y) = steps();
    // A line but for two neighbours.
    let line = samples(40, f64::from);
    let mut nearly = line.clone();
    (nearly[10], nearly[11]) = (10.5, 10.25);
    let cases: [(&[f64], &[f64], bool, Expected); 6] = [
        (
            &A,
            &B,
            false,
            (
                0.903_521_130_914_666_9,
                [0.035_448_283_475_866_61, 0.982_275_858_262_066_8, 0.017_724_141_737_933_304],
                [0.104_778_524_382_990_68, 0.993_679_534_198_746_6],
            ),
        ),
        (
            &TIED_X,
            &TIED_Y,
            false,
            (
                0.604_838_709_677_419_4,
                [0.150_200_104_186_878_62, 0.924_899_947_906_560_8, 0.075_100_052_093_439_31],
                [-0.272_201_286_482_487_6, 0.932_955_476_118_877_1],
            ),
        ),
        (
            &long_x,
            &long_y,
            false,
            (
                -0.086_540_989_025_049_72,
                [0.789_140_444_487_424_4, 0.394_570_222_243_712_2, 0.605_429_777_756_287_8],
                [-0.629_193_093_343_538_5, 0.512_830_894_116_769_7],
            ),
        ),
        (
            &steps_x,
            &steps_y,
            false,
            (
                -0.032_778_305_971_479_446,
                [0.840_864_113_925_855_8, 0.420_432_056_962_927_57, 0.579_567_943_037_072],
                [-0.340_807_752_612_922_95, 0.281_606_455_772_542_73],
            ),
        ),
        (
            &wide_x,
            &wide_y,
            false,
            (
                0.073_131_654_395_387_19,
                [0.578_687_139_974_493_3, 0.710_656_430_012_753_2, 0.289_343_569_987_246_64],
                [-0.184_213_887_669_901_38, 0.321_093_668_701_946],
            ),
        ),
        (
            &line,
            &nearly,
            false,
            (
                0.999_924_028_533_881_5,
                [3.637_800_271_906_199e-74, 1.0, 1.818_900_135_953_099_3e-74],
                [0.999_855_286_541_423_9, 0.999_960_117_258_740_2],
            ),
        ),
    ];
    for (x, y, exact, expected) in cases {
        holds(Correlation::Pearson, x, y, exact, expected);
    }
}

#[test]
fn spearman_is_that_of_scipy() {
    let long_x = samples(12, |i| f64::from(7 * i % 31) / 4.0);
    let long_y = samples(12, |i| f64::from(11 * i % 37) / 4.0 + 0.125);
    let wide_x = samples(60, |i| f64::from(7 * i % 61) + 0.5);
    let wide_y = samples(60, |i| f64::from(17 * i * i % 61) + f64::from(i) / 97.0);
    let (steps_x, steps_y) = steps();
    // A line but for two neighbours.
    let line = samples(40, f64::from);
    let mut nearly = line.clone();
    (nearly[10], nearly[11]) = (10.5, 10.25);
    let cases: [(&[f64], &[f64], bool, Expected); 6] = [
        (
            &A,
            &B,
            false,
            (
                0.899_999_999_999_999_8,
                [0.037_386_073_468_498_74, 0.981_306_963_265_750_6, 0.018_693_036_734_249_37],
                [-0.168_895_658_609_997_06, 0.996_068_592_475_051_3],
            ),
        ),
        (
            &TIED_X,
            &TIED_Y,
            false,
            (
                0.805_555_555_555_555_7,
                [0.028_749_914_011_500_843, 0.985_625_042_994_249_6, 0.014_374_957_005_750_422],
                [-0.013_574_650_128_702_905, 0.977_677_983_240_808_6],
            ),
        ),
        (
            &long_x,
            &long_y,
            false,
            (
                -0.062_937_062_937_062_94,
                [0.845_930_921_228_778_9, 0.422_965_460_614_389_44, 0.577_034_539_385_610_6],
                [-0.615_040_340_047_739_7, 0.530_576_797_357_888_5],
            ),
        ),
        (
            &steps_x,
            &steps_y,
            false,
            (
                -0.011_436_977_194_661_618,
                [0.944_159_989_457_518_4, 0.472_079_994_728_759_2, 0.527_920_005_271_240_7],
                [-0.321_809_287_222_960_9, 0.301_154_850_728_247_8],
            ),
        ),
        (
            &wide_x,
            &wide_y,
            false,
            (
                0.073_020_283_412_058_92,
                [0.579_267_160_469_387_8, 0.710_366_419_765_306_1, 0.289_633_580_234_693_9],
                [-0.184_656_103_090_260_87, 0.321_303_392_604_072_37],
            ),
        ),
        (
            &line,
            &nearly,
            false,
            (
                0.999_812_382_739_212_1,
                [1.047_725_815_267_697_3e-66, 1.0, 5.238_629_076_338_486_6e-67],
                [0.999_586_975_471_948_5, 0.999_914_779_707_371_1],
            ),
        ),
    ];
    for (x, y, exact, expected) in cases {
        holds(Correlation::Spearman, x, y, exact, expected);
    }
}

#[test]
fn kendall_is_that_of_scipy() {
    let long_x = samples(12, |i| f64::from(7 * i % 31) / 4.0);
    let long_y = samples(12, |i| f64::from(11 * i % 37) / 4.0 + 0.125);
    let wide_x = samples(60, |i| f64::from(7 * i % 61) + 0.5);
    let wide_y = samples(60, |i| f64::from(17 * i * i % 61) + f64::from(i) / 97.0);
    let (steps_x, steps_y) = steps();
    // A line but for two neighbours.
    let line = samples(40, f64::from);
    let mut nearly = line.clone();
    (nearly[10], nearly[11]) = (10.5, 10.25);
    let cases: [(&[f64], &[f64], bool, Expected); 6] = [
        (
            &A,
            &B,
            true,
            (
                0.799_999_999_999_999_9,
                [0.083_333_333_333_333_33, 0.991_666_666_666_666_7, 0.041_666_666_666_666_664],
                [-0.194_529_962_900_395_5, 0.983_488_104_810_808_4],
            ),
        ),
        (
            &TIED_X,
            &TIED_Y,
            false,
            (
                0.684_210_526_315_789_4,
                [0.041_136_383_569_940_586, 0.979_431_808_215_029_7, 0.020_568_191_784_970_293],
                [0.088_708_634_213_367_3, 0.919_384_431_019_110_2],
            ),
        ),
        (
            &long_x,
            &long_y,
            true,
            (
                -0.090_909_090_909_090_9,
                [0.737_305_524_657_955_2, 0.368_652_762_328_977_6, 0.680_819_373_045_935_5],
                [-0.499_952_940_163_221_34, 0.351_296_351_324_648_76],
            ),
        ),
        (
            &steps_x,
            &steps_y,
            false,
            (
                -0.021_421_577_769_302_73,
                [0.858_692_844_965_991_4, 0.429_346_422_482_995_7, 0.570_653_577_517_004_3],
                [-0.233_007_303_804_319_42, 0.192_100_615_598_816_05],
            ),
        ),
        (
            &wide_x,
            &wide_y,
            false,
            (
                0.049_717_514_124_293_79,
                [0.574_621_895_432_104, 0.712_689_052_283_948, 0.287_310_947_716_052],
                [-0.122_758_143_847_253_31, 0.219_277_983_518_369_25],
            ),
        ),
        (
            &line,
            &nearly,
            true,
            (
                0.997_435_897_435_897_4,
                [9.804_939_513_027_087e-47, 1.0, 4.902_469_756_513_544e-47],
                [0.996_053_612_088_723_5, 0.998_334_419_287_248],
            ),
        ),
    ];
    for (x, y, exact, expected) in cases {
        holds(Correlation::Kendall, x, y, exact, expected);
    }
}

#[test]
fn perfect_correlations_are_one_point() {
    let x = samples(50, f64::from);
    let down: Vec<f64> = x.iter().map(|x| -3.0 * x).collect();
    for kind in Correlation::ALL {
        for (y, expected) in [(&x, 1.0), (&down, -1.0)] {
            let result = kind.of(&x, y, Alternative::TwoSided, 0.95).unwrap();
            close(result.estimate, expected);
            assert!(result.p_value < 1e-60, "{}", result.p_value);
            let interval = result.interval.unwrap();
            assert!(interval.low.abs() > 0.999_999, "{interval:?}");
        }
    }
    // Two of 50 factorial orders (Python's math.factorial).
    let kendall = Correlation::Kendall.of(&x, &down, Alternative::TwoSided, 0.95).unwrap();
    close(kendall.p_value, 6.575_898_833_266_316e-65);
    // More orders than a double holds.
    let many = samples(200, f64::from);
    let kendall = Correlation::Kendall.of(&many, &many, Alternative::Less, 0.95).unwrap();
    assert_eq!((kendall.estimate, kendall.p_value, kendall.exact), (1.0, 1.0, true));
}

#[test]
fn two_pairs_have_a_sign_and_no_evidence() {
    for kind in Correlation::ALL {
        let result = kind.of(&[1.0, 2.0], &[5.0, 3.0], Alternative::TwoSided, 0.95).unwrap();
        close(result.estimate, -1.0);
        assert_eq!((result.p_value, result.interval), (1.0, None));
    }
    // One of two orders.
    let result = Correlation::Kendall.of(&[1.0, 2.0], &[5.0, 3.0], Alternative::Less, 0.95);
    assert_eq!(result.unwrap().p_value, 0.5);
}

#[test]
fn intervals_need_more_pairs_than_their_variance_takes() {
    let (x, y) = ([1.0, 2.0, 3.0, 4.0], [2.0, 1.0, 4.0, 3.0]);
    for (kind, has) in
        [(Correlation::Pearson, true), (Correlation::Spearman, true), (Correlation::Kendall, false)]
    {
        let result = kind.of(&x, &y, Alternative::TwoSided, 0.95).unwrap();
        assert_eq!(result.interval.is_some(), has);
        assert!(kind.of(&x[..3], &y[..3], Alternative::Less, 0.95).unwrap().interval.is_none());
    }
}

#[test]
fn what_has_no_correlation_is_an_error() {
    for kind in Correlation::ALL {
        let of = |x: &[f64], y: &[f64]| kind.of(x, y, Alternative::TwoSided, 0.95).unwrap_err();
        assert!(matches!(of(&A, &[0.1; 5]), AnalysisError::NoVariance(_)));
        assert!(matches!(of(&[0.1; 5], &A), AnalysisError::NoVariance(_)));
        assert!(matches!(of(&[1.0], &[1.0]), AnalysisError::TooFew { found: 1, .. }));
        assert!(matches!(of(&[], &[]), AnalysisError::TooFew { found: 0, .. }));
        assert!(matches!(of(&A, &B[..4]), AnalysisError::Unpaired { .. }));
        assert!(matches!(of(&[1.0, f64::NAN], &[1.0, 2.0]), AnalysisError::NotFinite(_)));
        let level = kind.of(&A, &B, Alternative::TwoSided, 1.0).unwrap_err();
        assert!(matches!(level, AnalysisError::Level(_)));
    }
}

#[test]
fn large_and_small_numbers_correlate_as_others_do() {
    let expected = Correlation::Pearson.of(&A, &B, Alternative::TwoSided, 0.95).unwrap();
    for scale in [1e-200, 1e200] {
        let scaled = A.map(|value| value * scale);
        let found = Correlation::Pearson.of(&scaled, &B, Alternative::TwoSided, 0.95).unwrap();
        close(found.estimate, expected.estimate);
    }
}

#[test]
fn frames_correlate_by_group() {
    let (x, y) = steps();
    let mut rows: Vec<(&str, Option<f64>, Option<f64>)> = Vec::new();
    rows.extend(A.iter().zip(B).map(|(x, y)| ("a", Some(*x), Some(y))));
    rows.extend(x.iter().zip(&y).map(|(x, y)| ("steps", Some(*x), Some(*y))));
    rows.extend([("a", Some(1.0), None), ("a", Some(f64::NAN), Some(2.0))]);
    rows.extend([("none", Some(1.0), Some(2.0)), ("same", Some(1.0), Some(2.0))]);
    rows.push(("same", Some(1.0), Some(3.0)));
    let frame = df!(
        "arm" => rows.iter().map(|row| row.0).collect::<Vec<_>>(),
        "x" => rows.iter().map(|row| row.1).collect::<Vec<_>>(),
        "y" => rows.iter().map(|row| row.2).collect::<Vec<_>>(),
    )
    .unwrap();
    let columns = CorrelationColumns { groups: &["arm"], x: "x", y: "y" };
    let kinds = [Correlation::Spearman, Correlation::Kendall];
    let of = |frame: &DataFrame, columns| {
        correlations(frame, columns, &kinds, Alternative::TwoSided, 0.95).unwrap()
    };
    let table = of(&frame, columns);
    assert_eq!(table.height(), 8);
    let text = |column: &str, row| table.column(column).unwrap().str().unwrap().get(row);
    let float = |column: &str, row| table.column(column).unwrap().f64().unwrap().get(row);
    let whole = |column: &str, row| table.column(column).unwrap().u64().unwrap().get(row);
    // Groups in order: a, none, same, steps.
    assert_eq!((text("arm", 0), text("correlation", 0)), (Some("a"), Some("spearman")));
    assert_eq!((text("arm", 1), text("correlation", 1)), (Some("a"), Some("kendall tau-b")));
    assert_eq!((whole("n", 0), whole("missing", 0)), (Some(5), Some(2)));
    close(float("estimate", 0).unwrap(), 0.9);
    close(float("p_value", 0).unwrap(), 0.037_386_073_468_498_74);
    close(float("low", 0).unwrap(), -0.168_895_658_609_997_06);
    close(float("p_value", 7).unwrap(), 0.858_692_844_965_991_4);
    assert_eq!(text("interval", 0), Some("Fisher z, Bonett-Wright variance"));
    assert_eq!(text("estimator", 1), Some("kendall tau-b"));
    assert_eq!((float("interval_level", 0), whole("resamples", 0)), (Some(0.95), None));
    assert_eq!(text("note", 0), None);
    for (row, note) in [(2, "not 1"), (4, "constant")] {
        for column in ["estimate", "low", "high", "p_value"] {
            assert_eq!(float(column, row), None);
        }
        assert!(text("note", row).unwrap().contains(note));
    }
    // The order of rows shows in not even the last bit.
    let backwards: Vec<u32> = (0..frame.height() as u32).rev().collect();
    let backwards = frame.take(&IdxCa::from_slice("rows".into(), &backwards)).unwrap();
    assert!(table.equals_missing(&of(&backwards, columns)));
    let all = of(&frame, CorrelationColumns { groups: &[], ..columns });
    assert_eq!(all.height(), 2);
    assert_eq!(of(&frame.head(Some(0)), columns).height(), 0);
    assert!(correlations(&frame, columns, &kinds, Alternative::Less, 0.0).is_err());
    let unknown = CorrelationColumns { x: "z", ..columns };
    assert!(correlations(&frame, unknown, &kinds, Alternative::Less, 0.95).is_err());
}
