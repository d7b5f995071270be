//! Power of t tests against statsmodels and scipy.
//!
//! Numbers without another source were printed by `analysis/tests/fixtures/comparison.py` (scipy
//! 1.17.1, statsmodels 0.15.0).

use analysis::{
    Alternative, AnalysisError, ComparisonColumns, Effect, Pairs, PowerOptions, TTest,
    detectable_effect, power, power_table, sd_upper_bound, seeds_needed,
};
use polars::df;
use polars::prelude::*;

const A: [f64; 5] = [5.1, 7.3, 6.2, 8.8, 4.9];
const B: [f64; 5] = [4.0, 6.1, 5.9, 6.5, 4.4];
const ONE: TTest = TTest::OneSample { sd: 1.0 };
const TWO: TTest = TTest::Pooled { sd: 1.0, ratio: 1.0 };
const EQUAL: TTest = TTest::Welch { sds: [1.0, 1.0], ratio: 1.0 };
const TWO_SIDED: Alternative = Alternative::TwoSided;
const COLUMNS: ComparisonColumns<'static> =
    ComparisonColumns { group: "arm", replicate: "replicate", value: "value" };

#[track_caller]
fn close(found: f64, expected: f64, tolerance: f64) {
    let error = (found - expected).abs();
    assert!(error <= tolerance, "{found} is not {expected}: {error}");
}

#[test]
fn powers_are_those_of_statsmodels() {
    // Of one and of two samples; alternatives two-sided, less, greater.
    let cases = [
        (
            0.5,
            20,
            0.05,
            [0.564_504_418_439_020_3, 7.083_752_209_527_047e-05, 0.695_149_338_244_341_1],
            [0.337_939_028_925_041_1, 0.000_690_946_667_529_862_6, 0.463_374_349_296_408_64],
        ),
        (
            0.8,
            5,
            0.01,
            [0.080_037_531_236_660_16, 0.000_106_230_650_824_282_03, 0.141_757_528_527_332_25],
            [0.060_748_152_096_130_26, 0.000_323_094_897_705_636_1, 0.103_496_614_876_315_34],
        ),
        (
            1.5,
            2,
            0.05,
            [0.132_952_124_157_027_37, 0.000_768_595_490_049_440_4, 0.260_764_266_042_947_2],
            [0.148_691_579_150_247, 0.002_480_015_928_851_031, 0.270_724_761_455_539_9],
        ),
        (
            -0.4,
            30,
            0.05,
            [0.562_813_607_141_056_7, 0.689_512_766_296_970_7, 7.646_463_045_030_139e-05],
            [0.331_521_678_918_794_97, 0.454_714_695_489_797_2, 0.000_746_059_808_033_994_2],
        ),
        (
            0.0,
            9,
            0.05,
            [0.050_000_000_000_000_02, 0.049_999_999_999_999_99, 0.050_000_000_000_000_044],
            [0.05, 0.049_999_999_999_999_93, 0.049_999_999_999_999_93],
        ),
    ];
    for (effect, n, alpha, of_one, of_two) in cases {
        for (place, alternative) in Alternative::ALL.into_iter().enumerate() {
            let of = |test| power(test, effect, n, alpha, alternative).unwrap();
            close(of(ONE), of_one[place], 1e-12);
            close(of(TWO), of_two[place], 1e-12);
            // With equal samples and variances, Welch's degrees of freedom are Student's.
            close(of(EQUAL), of_two[place], 1e-12);
        }
    }
    let unequal = TTest::Pooled { sd: 2.0, ratio: 1.5 };
    close(power(unequal, 1.4, 10, 0.05, TWO_SIDED).unwrap(), 0.375_843_599_531_112_74, 1e-12);
}

#[test]
fn power_of_welch_is_that_of_the_noncentral_t() {
    let test = TTest::Welch { sds: [1.0, 3.0], ratio: 1.0 };
    close(power(test, 2.5, 5, 0.05, TWO_SIDED).unwrap(), 0.298_607_856_423_195_43, 1e-12);
    let test = TTest::Welch { sds: [2.0, 0.5], ratio: 0.5 };
    close(power(test, 1.0, 12, 0.05, TWO_SIDED).unwrap(), 0.329_206_773_020_832_5, 1e-12);
}

#[test]
fn seeds_needed_are_those_of_statsmodels_rounded_up() {
    // Of one and of two samples, as statsmodels has them before rounding.
    let cases: [(f64, f64, Alternative, f64, f64); 8] = [
        (0.3, 0.8, Alternative::TwoSided, 89.149_364_720_458_34, 175.384_669_470_474_76),
        (0.3, 0.8, Alternative::Greater, 70.067_904_089_916_61, 138.071_550_896_181_1),
        (0.5, 0.9, Alternative::TwoSided, 43.995_480_698_414_75, 85.031_284_115_734_1),
        (0.5, 0.9, Alternative::Greater, 35.652_676_901_135_96, 69.197_821_860_302_85),
        (1.0, 0.8, Alternative::TwoSided, 9.937_850_941_054_38, 16.714_722_446_954_024),
        (1.0, 0.8, Alternative::Greater, 7.727_617_902_410_847, 13.097_761_620_753_06),
        (3.0, 0.8, Alternative::TwoSided, 3.144_024_707_595_741_5, 3.070_009_095_559_428),
        (3.0, 0.8, Alternative::Greater, 2.552_326_264_541_636, 2.462_447_474_352_82),
    ];
    for (effect, target, alternative, of_one, of_two) in cases {
        let of = |test, effect, alternative| {
            seeds_needed(test, effect, target, 0.05, alternative).unwrap().unwrap() as f64
        };
        assert_eq!(of(ONE, effect, alternative), of_one.ceil());
        assert_eq!(of(TWO, effect, alternative), of_two.ceil());
        assert_eq!(of(EQUAL, effect, alternative), of_two.ceil());
        if alternative == Alternative::Greater {
            assert_eq!(of(ONE, -effect, Alternative::Less), of_one.ceil());
        }
    }
}

#[test]
fn seeds_needed_reach_the_power_and_one_less_does_not() {
    for ratio in [0.3, 1.0, 2.5] {
        let test = TTest::Welch { sds: [1.0, 2.0], ratio };
        let needed = seeds_needed(test, 0.9, 0.85, 0.01, TWO_SIDED).unwrap().unwrap();
        assert!(power(test, 0.9, needed, 0.01, TWO_SIDED).unwrap() >= 0.85);
        assert!(power(test, 0.9, needed - 1, 0.01, TWO_SIDED).unwrap() < 0.85);
    }
    // A second sample of two takes a first one of 15 (0.1 of it, rounded).
    let test = TTest::Pooled { sd: 1.0, ratio: 0.1 };
    assert_eq!(seeds_needed(test, 100.0, 0.8, 0.05, TWO_SIDED).unwrap(), Some(15));
}

#[test]
fn no_number_of_seeds_shows_nothing_or_the_other_way() {
    let of = |effect, alternative| seeds_needed(ONE, effect, 0.8, 0.05, alternative).unwrap();
    assert_eq!(of(0.0, TWO_SIDED), None);
    assert_eq!(of(-1.0, Alternative::Greater), None);
    assert_eq!(of(1e-4, TWO_SIDED), None);
    // What is asked for comes by chance.
    assert_eq!(seeds_needed(ONE, 0.0, 0.04, 0.05, TWO_SIDED).unwrap(), Some(2));
}

#[test]
fn detectable_effects_are_those_of_statsmodels() {
    for (n, target, of_one, of_two) in [
        (5, 0.8, 1.681_996_965_955_555_1, 2.024_439_339_384_543),
        (20, 0.9, 0.764_457_902_177_731_8, 1.051_992_948_277_226_3),
    ] {
        close(detectable_effect(ONE, n, target, 0.05, TWO_SIDED).unwrap(), of_one, 1e-11);
        close(detectable_effect(TWO, n, target, 0.05, TWO_SIDED).unwrap(), of_two, 1e-11);
    }
    let test = TTest::Welch { sds: [3.0, 0.2], ratio: 1.0 };
    for alternative in Alternative::ALL {
        let size = detectable_effect(test, 7, 0.9, 0.05, alternative).unwrap();
        let effect = if alternative == Alternative::Less { -size } else { size };
        close(power(test, effect, 7, 0.05, alternative).unwrap(), 0.9, 1e-11);
    }
    assert_eq!(detectable_effect(ONE, 5, 0.04, 0.05, TWO_SIDED).unwrap(), 0.0);
    let constant = TTest::OneSample { sd: 0.0 };
    assert_eq!(detectable_effect(constant, 5, 0.8, 0.05, TWO_SIDED).unwrap(), 0.0);
}

#[test]
fn without_spread_any_effect_shows() {
    let constant = TTest::OneSample { sd: 0.0 };
    assert_eq!(power(constant, 1.0, 2, 0.05, TWO_SIDED).unwrap(), 1.0);
    assert_eq!(power(constant, -1.0, 2, 0.05, TWO_SIDED).unwrap(), 1.0);
    assert_eq!(power(constant, -1.0, 2, 0.05, Alternative::Greater).unwrap(), 0.0);
    assert_eq!(power(constant, 0.0, 2, 0.05, TWO_SIDED).unwrap(), 0.0);
}

#[test]
fn numbers_out_of_range_are_errors() {
    let of = |test, effect, n, alpha| power(test, effect, n, alpha, TWO_SIDED).unwrap_err();
    assert!(matches!(of(ONE, 1.0, 1, 0.05), AnalysisError::TooFew { found: 1, .. }));
    assert!(matches!(
        of(TTest::Pooled { sd: 1.0, ratio: 0.2 }, 1.0, 5, 0.05),
        AnalysisError::TooFew { found: 1, .. }
    ));
    for alpha in [0.0, 1.0, f64::NAN] {
        assert!(matches!(of(ONE, 1.0, 5, alpha), AnalysisError::Probability { .. }));
    }
    assert!(matches!(of(ONE, f64::NAN, 5, 0.05), AnalysisError::NotFinite(_)));
    for wrong in [-1.0, f64::NAN, f64::INFINITY] {
        let tests = [
            TTest::OneSample { sd: wrong },
            TTest::Pooled { sd: wrong, ratio: 1.0 },
            TTest::Pooled { sd: 1.0, ratio: wrong },
            TTest::Welch { sds: [1.0, wrong], ratio: 1.0 },
        ];
        for test in tests {
            assert!(matches!(of(test, 1.0, 5, 0.05), AnalysisError::Negative { .. }));
            assert!(seeds_needed(test, 1.0, 0.8, 0.05, TWO_SIDED).is_err());
            assert!(detectable_effect(test, 5, 0.8, 0.05, TWO_SIDED).is_err());
        }
    }
    assert!(seeds_needed(ONE, 1.0, 1.0, 0.05, TWO_SIDED).is_err());
    assert!(detectable_effect(ONE, 5, 0.0, 0.05, TWO_SIDED).is_err());
}

#[test]
fn bounds_of_deviations_are_those_of_the_chi_square_distribution() {
    for (n, confidence, expected) in [
        (2, 0.8, 3.947_153_875_542_747),
        (5, 0.8, 1.557_575_422_556_63),
        (5, 0.95, 2.372_355_691_409_754_6),
        (30, 0.9, 1.211_212_794_269_650_5),
        (400, 0.99, 1.089_339_598_792_659_7),
    ] {
        close(sd_upper_bound(1.0, n, confidence).unwrap(), expected, 1e-11);
        close(sd_upper_bound(30.0, n, confidence).unwrap(), 30.0 * expected, 1e-9);
    }
    assert_eq!(sd_upper_bound(0.0, 5, 0.8).unwrap(), 0.0);
    assert!(matches!(sd_upper_bound(1.0, 1, 0.8), Err(AnalysisError::TooFew { found: 1, .. })));
    assert!(sd_upper_bound(-1.0, 5, 0.8).is_err());
    assert!(sd_upper_bound(1.0, 5, 1.0).is_err());
}

fn pilot() -> DataFrame {
    let rows: Vec<(&str, u32, Option<f64>)> = [("a", A), ("b", B)]
        .into_iter()
        .flat_map(|(arm, values)| {
            (0..).zip(values).map(move |(replicate, value)| (arm, replicate, Some(value)))
        })
        .chain([("a", 5, None), ("a", 6, Some(6.0)), ("one", 0, Some(1.0))])
        .chain((0..3).map(|replicate| ("same", replicate, Some(0.1))))
        .collect();
    df!(
        "arm" => rows.iter().map(|row| row.0).collect::<Vec<_>>(),
        "replicate" => rows.iter().map(|row| row.1).collect::<Vec<_>>(),
        "value" => rows.iter().map(|row| row.2).collect::<Vec<_>>(),
    )
    .unwrap()
}

fn from_pilot(pairs: &[(&str, &str)], options: PowerOptions) -> DataFrame {
    let pairs = pairs.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
    power_table(&pilot(), COLUMNS, &Pairs::Named(pairs), options).unwrap()
}

fn float(table: &DataFrame, column: &str) -> Option<f64> {
    table.column(column).unwrap().f64().unwrap().get(0)
}

fn whole(table: &DataFrame, column: &str) -> Option<u64> {
    table.column(column).unwrap().u64().unwrap().get(0)
}

fn text(table: &DataFrame, column: &str) -> Option<String> {
    table.column(column).unwrap().str().unwrap().get(0).map(str::to_owned)
}

#[test]
fn a_pilot_says_how_many_pairs_are_needed() {
    let plain = PowerOptions { paired: true, ..PowerOptions::new(Effect::Difference(1.0)) };
    let table = from_pilot(&[("a", "b")], plain);
    assert_eq!((whole(&table, "n_from"), whole(&table, "n_to")), (Some(5), Some(5)));
    assert_eq!((whole(&table, "missing"), whole(&table, "unpaired")), (Some(1), Some(1)));
    close(float(&table, "power").unwrap(), 0.580_024_752_893_346_5, 1e-12);
    // 6.958_045_423_826_349 before rounding.
    assert_eq!((whole(&table, "seeds_needed"), whole(&table, "more_seeds")), (Some(7), Some(2)));
    assert_eq!(text(&table, "test").as_deref(), Some("paired t"));
    assert_eq!((text(&table, "interval"), float(&table, "interval_level")), (None, None));
    assert_eq!(text(&table, "note"), None);

    let bounded = from_pilot(&[("a", "b")], PowerOptions { sd_confidence: Some(0.8), ..plain });
    assert_eq!(float(&bounded, "sd_difference"), float(&table, "sd_difference"));
    close(float(&bounded, "power").unwrap(), 0.292_680_544_543_760_97, 1e-10);
    // 13.697_536_544_023_206 before rounding.
    assert_eq!(whole(&bounded, "seeds_needed"), Some(14));
    assert_eq!(text(&bounded, "interval").as_deref(), Some("chi-square upper bound"));
    assert_eq!(float(&bounded, "interval_level"), Some(0.8));
}

#[test]
fn a_pilot_of_independent_groups_keeps_their_sizes_and_deviations() {
    let table = from_pilot(&[("a", "b")], PowerOptions::new(Effect::Pilot));
    let mut a = A.to_vec();
    a.push(6.0);
    let sds = [analysis::sd(&a).unwrap(), analysis::sd(&B).unwrap()];
    let effect = analysis::mean(&B).unwrap() - analysis::mean(&a).unwrap();
    close(float(&table, "effect").unwrap(), effect, 1e-12);
    assert_eq!((whole(&table, "n_from"), whole(&table, "n_to")), (Some(6), Some(5)));
    assert_eq!(whole(&table, "unpaired"), None);
    let pilot = TTest::Welch { sds, ratio: 5.0 / 6.0 };
    let expected = power(pilot, effect, 6, 0.05, TWO_SIDED).unwrap();
    close(float(&table, "power").unwrap(), expected, 1e-12);
    let expected = detectable_effect(pilot, 6, 0.8, 0.05, TWO_SIDED).unwrap();
    close(float(&table, "detectable_effect").unwrap(), expected, 1e-12);
    // Whatever the pilot's sizes, groups of one size are asked for.
    let equal = TTest::Welch { sds, ratio: 1.0 };
    let expected = seeds_needed(equal, effect, 0.8, 0.05, TWO_SIDED).unwrap();
    assert_eq!(whole(&table, "seeds_needed"), expected);
    assert_eq!(whole(&table, "more_seeds"), expected.map(|needed| needed - 5));
    assert_eq!(text(&table, "test").as_deref(), Some("Welch t"));
}

#[test]
fn pilots_that_cannot_tell_say_why() {
    let options = PowerOptions::new(Effect::Difference(1.0));
    for (pair, paired, why) in [
        (("a", "one"), false, "at least 2 values on either side, not 1"),
        (("a", "one"), true, "at least 2 values on either side, not 1"),
        (("same", "same"), false, "constant"),
        (("same", "same"), true, "constant"),
    ] {
        let table = from_pilot(&[pair], PowerOptions { paired, ..options });
        for column in ["power", "detectable_effect"] {
            assert_eq!(float(&table, column), None);
        }
        assert_eq!(whole(&table, "seeds_needed"), None);
        assert!(text(&table, "note").unwrap().contains(why), "{:?}", text(&table, "note"));
    }
    let wrong_way = PowerOptions { alternative: Alternative::Less, ..options };
    let table = from_pilot(&[("a", "b")], wrong_way);
    assert_eq!(whole(&table, "seeds_needed"), None);
    assert!(float(&table, "power").unwrap() < 0.05);
    assert_eq!(text(&table, "note").as_deref(), Some("more than 1000000 replicates"));
}

#[test]
fn tables_of_power_refuse_what_is_out_of_range() {
    let options = PowerOptions::new(Effect::Difference(1.0));
    let with = |options| power_table(&pilot(), COLUMNS, &Pairs::All, options);
    assert_eq!(with(options).unwrap().height(), 6);
    for wrong in [
        PowerOptions { power: 1.0, ..options },
        PowerOptions { alpha: 0.0, ..options },
        PowerOptions { sd_confidence: Some(1.0), ..options },
        PowerOptions { effect: Effect::Difference(f64::NAN), ..options },
    ] {
        assert!(with(wrong).is_err());
    }
    let unknown = Pairs::Baseline("c".to_owned());
    assert!(matches!(
        power_table(&pilot(), COLUMNS, &unknown, options),
        Err(AnalysisError::NoGroup { .. })
    ));
    // An empty frame without named groups has no pairs, whatever the order of rows elsewhere.
    assert_eq!(
        power_table(&pilot().head(Some(0)), COLUMNS, &Pairs::All, options).unwrap().height(),
        0
    );
    let backwards: Vec<u32> = (0..pilot().height() as u32).rev().collect();
    let backwards = pilot().take(&IdxCa::from_slice("rows".into(), &backwards)).unwrap();
    let table = power_table(&backwards, COLUMNS, &Pairs::All, options).unwrap();
    assert!(table.equals_missing(&with(options).unwrap()));
}
