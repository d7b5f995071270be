//! Calibration against the package that HELM uses, scikit-learn and statsmodels.
//!
//! Golden numbers: uncertainty-calibration 0.1.4, scikit-learn 1.9.1, statsmodels 0.15.0 and scipy
//! 1.17.1, printed by `fixtures/calibration.py`.

mod published;

use analysis::{
    AnalysisError, Binning, Bootstrap, CalibrationColumns, CalibrationOptions, PlattTargets,
    calibration, reliability,
};
use polars::df;
use polars::prelude::*;

const COLUMNS: CalibrationColumns<'static> = CalibrationColumns {
    groups: &[],
    replicate: "instance",
    confidence: "confidence",
    outcome: "outcome",
};
/// Confidences with ties across the edges of bins.
const TIED: [f64; 12] = [0.5, 0.5, 0.5, 0.5, 0.7, 0.7, 0.7, 0.9, 0.9, 1.0, 0.2, 0.7];
const TIED_OUTCOMES: [u32; 12] = [0, 1, 1, 0, 1, 1, 0, 1, 1, 1, 0, 1];

fn frame(confidences: &[f64], outcomes: &[u32]) -> DataFrame {
    let instances: Vec<u32> = (0..).zip(confidences).map(|(instance, _)| instance).collect();
    df!("instance" => instances, "confidence" => confidences, "outcome" => outcomes).unwrap()
}

/// Sixty rows by a recipe that the fixture shares.
fn recipe() -> DataFrame {
    let confidences: Vec<f64> =
        (0..60u32).map(|i| f64::from((37 * i + 11) % 101) / 100.0).collect();
    let outcomes: Vec<u32> = "001001010100010010101000101001010001010010110010100101100101"
        .bytes()
        .map(|digit| u32::from(digit - b'0'))
        .collect();
    frame(&confidences, &outcomes)
}

fn tied() -> DataFrame {
    frame(&TIED, &TIED_OUTCOMES)
}

fn quick() -> Bootstrap {
    Bootstrap { resamples: 200, ..Bootstrap::tables() }
}

fn options(binning: Binning, bins: usize) -> CalibrationOptions {
    CalibrationOptions { binning, bins, ..CalibrationOptions::default() }
}

fn float(table: &DataFrame, column: &str, row: usize) -> Option<f64> {
    table.column(column).unwrap().f64().unwrap().get(row)
}

fn count(table: &DataFrame, column: &str, row: usize) -> Option<u64> {
    table.column(column).unwrap().u64().unwrap().get(row)
}

fn text<'a>(table: &'a DataFrame, column: &str, row: usize) -> Option<&'a str> {
    table.column(column).unwrap().str().unwrap().get(row)
}

/// The row of a measure in a table of one group.
fn row(table: &DataFrame, measure: &str) -> usize {
    let names = table.column("measure").unwrap().str().unwrap();
    names.iter().position(|name| name == Some(measure)).unwrap()
}

fn estimate(table: &DataFrame, measure: &str) -> Option<f64> {
    float(table, "estimate", row(table, measure))
}

fn note<'a>(table: &'a DataFrame, measure: &str) -> Option<&'a str> {
    text(table, "note", row(table, measure))
}

fn close(found: Option<f64>, expected: f64, tolerance: f64) {
    let found = found.unwrap();
    assert!((found - expected).abs() <= tolerance, "{found} is not {expected} ± {tolerance}");
}

#[test]
fn calibration_errors_are_those_of_the_package_that_helm_uses() {
    for (rows, bins, mass, width) in [
        (recipe(), 1, 0.104_166_666_666_666_63, 0.104_166_666_666_666_63),
        (recipe(), 5, 0.122_166_666_666_666_66, 0.122_166_666_666_666_66),
        (recipe(), 10, 0.172_833_333_333_333_3, 0.172_833_333_333_333_3),
        (recipe(), 15, 0.200_833_333_333_333_4, 0.2155),
        (tied(), 1, 0.016_666_666_666_666_607, 0.016_666_666_666_666_607),
        (tied(), 5, 0.05, 0.05),
        (tied(), 10, 0.05, 0.05),
        (tied(), 15, 0.05, 0.05),
    ] {
        let of = |binning| {
            let table = calibration(&rows, COLUMNS, &options(binning, bins), &quick()).unwrap();
            estimate(&table, "ece")
        };
        close(of(Binning::EqualMass), mass, 1e-14);
        close(of(Binning::EqualWidth), width, 1e-14);
    }
    let table = calibration(&recipe(), COLUMNS, &CalibrationOptions::default(), &quick()).unwrap();
    close(estimate(&table, "brier"), 0.137_748_333_333_333_33, 1e-15);
    close(estimate(&table, "accuracy"), 0.4, 1e-15);
    close(estimate(&table, "confidence"), 0.504_166_666_666_666_7, 1e-15);
    close(estimate(&table, "overconfidence"), 0.104_166_666_666_666_7, 1e-15);
    let tied = calibration(&tied(), COLUMNS, &CalibrationOptions::default(), &quick()).unwrap();
    close(estimate(&tied, "brier"), 0.151_666_666_666_666_67, 1e-15);
}

#[test]
fn edges_of_equal_mass_are_those_of_the_package_that_helm_uses() {
    let high = |rows: &DataFrame| {
        let table = reliability(rows, COLUMNS, &CalibrationOptions::default(), 0.95).unwrap();
        table.column("high").unwrap().f64().unwrap().to_vec_null_aware().left().unwrap()
    };
    let close = |found: Vec<f64>, expected: &[f64]| {
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-15, "{found} is not {expected}");
        }
    };
    close(high(&recipe()), &[0.105, 0.205, 0.305, 0.405, 0.505, 0.605, 0.705, 0.805, 0.905, 1.0]);
    // Twelve rows in ten bins: edges between equal confidences coincide and count once.
    close(high(&tied()), &[0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0]);
}

#[test]
fn a_reliability_diagram_is_that_of_scikit_learn() {
    let table = reliability(&recipe(), COLUMNS, &options(Binning::EqualWidth, 5), 0.95).unwrap();
    #[rustfmt::skip]
    let expected = [
        [0.0, 0.2, 0.100_833_333_333_333_33, 0.0, 0.0, 0.242_494_006_655_240_96],
        [0.2, 0.4, 0.301_666_666_666_666_64, 0.0, 0.0, 0.242_494_006_655_240_96],
        [0.4, 0.6, 0.505, 0.416_666_666_666_666_7, 0.193_260_313_658_755_7, 0.680_488_687_450_450_2],
        [0.6, 0.8, 0.705, 0.75, 0.467_694_665_066_434_26, 0.911_058_331_605_945_3],
        [0.8, 1.0, 0.908_333_333_333_333_3, 0.833_333_333_333_333_4, 0.551_969_137_747_026_5, 0.953_034_857_816_146_2],
    ];
    assert_eq!(table.height(), 5);
    for (row, expected) in expected.into_iter().enumerate() {
        let columns = ["low", "high", "confidence", "accuracy", "accuracy_low", "accuracy_high"];
        for (column, expected) in columns.into_iter().zip(expected) {
            close(float(&table, column, row), expected, 1e-14);
        }
        close(float(&table, "gap", row), expected[2] - expected[3], 1e-14);
        assert_eq!(count(&table, "n", row), Some(12));
        assert_eq!(count(&table, "bin", row), Some(row as u64 + 1));
    }
    // The ends of Wilson's interval of no successes and of nothing but successes are exact.
    assert_eq!(float(&table, "accuracy_low", 0), Some(0.0));
    let sure =
        reliability(&frame(&[0.9; 5], &[1; 5]), COLUMNS, &options(Binning::EqualWidth, 1), 0.95);
    let sure = sure.unwrap();
    close(float(&sure, "accuracy_low", 0), 0.565_517_535_216_825_2, 1e-14);
    assert_eq!(float(&sure, "accuracy_high", 0), Some(1.0));
    assert_eq!(text(&sure, "interval", 0), Some("Wilson score"));
    assert_eq!(text(&sure, "estimator", 0), Some("share of successes, 1 equal-width bins"));
    let measured = calibration(&recipe(), COLUMNS, &options(Binning::EqualWidth, 5), &quick());
    close(estimate(&measured.unwrap(), "mce"), 0.301_666_666_666_666_64, 1e-14);
}

#[test]
fn edges_belong_to_the_bin_below_and_empty_bins_stay() {
    // 0 and 0.1 share the first bin; 0.3 and 0.7 lie on edges as 64 bits write them.
    let rows = frame(&[0.0, 0.1, 0.3, 0.7, 1.0], &[0, 0, 1, 1, 1]);
    let table = reliability(&rows, COLUMNS, &options(Binning::EqualWidth, 10), 0.9).unwrap();
    let n: Vec<u64> = (0..10).map(|row| count(&table, "n", row).unwrap()).collect();
    assert_eq!(n, [2, 0, 1, 0, 0, 0, 1, 0, 0, 1]);
    for column in ["confidence", "accuracy", "accuracy_low", "accuracy_high", "gap"] {
        assert_eq!(float(&table, column, 1), None);
    }
}

#[test]
fn the_parts_of_the_brier_score_add_up() {
    let table =
        calibration(&recipe(), COLUMNS, &options(Binning::EqualWidth, 5), &quick()).unwrap();
    close(estimate(&table, "reliability"), 0.023_324_583_333_333_326, 1e-15);
    close(estimate(&table, "resolution"), 0.126_111_111_111_111_12, 1e-15);
    close(estimate(&table, "uncertainty"), 0.24, 1e-15);
    close(estimate(&table, "within_bins"), 0.000_534_861_111_111_111_4, 1e-15);
    // With bins that hold one confidence each, Murphy's three terms are all there is.
    let table = calibration(&tied(), COLUMNS, &options(Binning::EqualWidth, 10), &quick()).unwrap();
    close(estimate(&table, "reliability"), 0.005_833_333_333_333_335, 1e-15);
    close(estimate(&table, "resolution"), 0.076_388_888_888_888_9, 1e-15);
    close(estimate(&table, "within_bins"), 0.0, 1e-15);
    for bins in [1, 3, 7, 20] {
        for binning in [Binning::EqualMass, Binning::EqualWidth] {
            let table = calibration(&recipe(), COLUMNS, &options(binning, bins), &quick()).unwrap();
            let part = |name| estimate(&table, name).unwrap();
            let sum = part("reliability") - part("resolution") + part("uncertainty");
            close(estimate(&table, "brier"), sum + part("within_bins"), 1e-15);
        }
    }
}

#[test]
fn platt_scaling_is_that_of_statsmodels() {
    let of = |rows: &DataFrame, targets| {
        let options = CalibrationOptions { targets, ..CalibrationOptions::default() };
        calibration(rows, COLUMNS, &options, &quick()).unwrap()
    };
    let table = of(&recipe(), PlattTargets::Outcomes);
    close(estimate(&table, "platt_slope"), 1.623_530_971_179_269_8, 1e-11);
    close(estimate(&table, "platt_intercept"), -0.853_255_272_561_6, 1e-11);
    close(estimate(&table, "platt_ece"), 0.133_972_563_718_943_12, 1e-11);
    close(estimate(&table, "platt_brier"), 0.123_653_184_130_100_03, 1e-11);
    assert_eq!(note(&table, "platt_slope"), None);
    let table = of(&tied(), PlattTargets::Outcomes);
    close(estimate(&table, "platt_slope"), 1.876_580_469_229_898_2, 1e-11);
    close(estimate(&table, "platt_intercept"), -0.212_486_142_124_709_34, 1e-11);
    close(estimate(&table, "platt_ece"), 0.032_396_703_857_196_84, 1e-11);
    // Platt's own targets; scikit-learn stops at 1.122977807814, scipy's root of the score is exact.
    let table = of(&recipe(), PlattTargets::Smoothed);
    close(estimate(&table, "platt_slope"), 1.122_977_802_617_851_6, 1e-11);
    close(estimate(&table, "platt_intercept"), -0.676_894_478_718_448_7, 1e-11);
    let separable = frame(&[0.1, 0.2, 0.7, 0.9], &[0, 0, 1, 1]);
    let table = of(&separable, PlattTargets::Smoothed);
    close(estimate(&table, "platt_slope"), 0.609_538_928_398_208_3, 1e-11);
    close(estimate(&table, "platt_intercept"), 0.094_543_000_204_515_89, 1e-11);
    // log(5) for four successes whose targets are 5/6.
    let table = of(&frame(&[0.1, 0.2, 0.7, 0.9], &[1; 4]), PlattTargets::Smoothed);
    close(estimate(&table, "platt_slope"), 0.0, 1e-14);
    close(estimate(&table, "platt_intercept"), 5f64.ln(), 1e-14);
}

#[test]
fn where_platt_scaling_has_no_fit_a_note_says_so() {
    let check = |confidences: &[f64], outcomes: &[u32], targets, expected: Option<&str>| {
        let options = CalibrationOptions { targets, ..CalibrationOptions::default() };
        let rows = frame(confidences, outcomes);
        let table = calibration(&rows, COLUMNS, &options, &quick()).unwrap();
        for measure in ["platt_slope", "platt_intercept", "platt_ece", "platt_brier"] {
            assert_eq!(note(&table, measure), expected, "{confidences:?} {outcomes:?}");
            assert_eq!(estimate(&table, measure).is_none(), expected.is_some());
        }
        assert_eq!(note(&table, "ece"), None);
        assert!(estimate(&table, "ece").is_some());
    };
    let spread = [0.1, 0.2, 0.7, 0.9];
    let plain = PlattTargets::Outcomes;
    let one = Some("all outcomes are equal");
    check(&spread, &[1; 4], plain, one);
    check(&spread, &[0; 4], plain, one);
    let separated = Some("a confidence separates failures from successes");
    check(&spread, &[0, 0, 1, 1], plain, separated);
    check(&spread, &[1, 1, 0, 0], plain, separated);
    // Touching in one confidence, the likelihood still has no maximum.
    check(&[0.1, 0.5, 0.5, 0.9], &[0, 0, 1, 1], plain, separated);
    check(&spread, &[0, 1, 0, 1], plain, None);
    let constant = Some("all confidences are equal");
    check(&[0.4; 4], &[0, 1, 0, 1], plain, constant);
    check(&[0.4; 4], &[0, 1, 0, 1], PlattTargets::Smoothed, constant);
    // 0 and 1 are clipped before their logits.
    check(&[0.0, 0.0, 1.0, 1.0, 0.5], &[0, 1, 0, 1, 1], plain, None);
}

#[test]
fn intervals_resample_replicates() {
    let bootstrap = Bootstrap::tables();
    let options = options(Binning::EqualWidth, 5);
    let table = calibration(&recipe(), COLUMNS, &options, &bootstrap).unwrap();
    let interval = |table: &DataFrame, measure| {
        let row = row(table, measure);
        (float(table, "low", row).unwrap(), float(table, "high", row).unwrap())
    };
    // numpy 2.4.6 with 400,000 resamples, and the package's errors with 20,000; the estimate is
    // 0.122, near the lower end, because resampling adds to an error.
    let near = |found: (f64, f64), expected: (f64, f64)| {
        close(Some(found.0), expected.0, 0.003);
        close(Some(found.1), expected.1, 0.003);
    };
    near(interval(&table, "brier"), (0.098_156_625, 0.181_768_333));
    near(interval(&table, "ece"), (0.091_666_667, 0.2185));
    let mass = CalibrationOptions { binning: Binning::EqualMass, ..options };
    let by_mass = calibration(&recipe(), COLUMNS, &mass, &bootstrap).unwrap();
    near(interval(&by_mass, "ece"), (0.080_333_333, 0.227_337_5));
    let ece = row(&table, "ece");
    assert_eq!(text(&table, "interval", ece), Some(bootstrap.method.words()));
    assert_eq!(count(&table, "resamples", ece), Some(10_000));
    assert_eq!(
        text(&table, "estimator", ece),
        Some("expected calibration error, 5 equal-width bins")
    );
    let slope = row(&table, "platt_slope");
    assert_eq!((text(&table, "interval", slope), float(&table, "low", slope)), (None, None));
    // Each instance asked twice with the same answer says no more than asked once.
    let mut twice = recipe();
    twice.vstack_mut(&recipe()).unwrap();
    let doubled = calibration(&twice, COLUMNS, &options, &bootstrap).unwrap();
    let (once, again) = (interval(&table, "brier"), interval(&doubled, "brier"));
    close(Some(again.0), once.0, 1e-14);
    close(Some(again.1), once.1, 1e-14);
    assert_eq!(count(&doubled, "n", 0), Some(120));
    assert_eq!(count(&doubled, "replicates", 0), Some(60));
    // One replicate has an estimate and no interval.
    let one = calibration(&frame(&[0.7], &[1]), COLUMNS, &options, &bootstrap).unwrap();
    close(estimate(&one, "ece"), 0.3, 1e-15);
    assert_eq!(float(&one, "low", row(&one, "ece")), None);
}

#[test]
fn neither_the_order_of_rows_nor_threads_show() {
    let mut both = recipe();
    both.vstack_mut(&tied()).unwrap();
    let set: Vec<&str> = (0..72).map(|row| if row < 60 { "b" } else { "a" }).collect();
    both.with_column(Column::new("set".into(), set)).unwrap();
    let by = CalibrationColumns { groups: &["set"], ..COLUMNS };
    let of = |rows: &DataFrame, threads| {
        let bootstrap = Bootstrap { threads, ..quick() };
        calibration(rows, by, &CalibrationOptions::default(), &bootstrap).unwrap()
    };
    let table = of(&both, 1);
    assert!(of(&both.reverse(), 3).equals_missing(&table));
    assert_eq!(text(&table, "set", 0), Some("a"));
    let alone = calibration(&tied(), COLUMNS, &CalibrationOptions::default(), &quick()).unwrap();
    assert_eq!(table.height(), 2 * alone.height());
    for row in 0..alone.height() {
        assert_eq!(float(&table, "estimate", row), float(&alone, "estimate", row));
    }
    let bins = |rows: &DataFrame| reliability(rows, by, &CalibrationOptions::default(), 0.95);
    assert!(bins(&both.reverse()).unwrap().equals_missing(&bins(&both).unwrap()));
}

#[test]
fn missing_empty_and_meaningless_rows_have_an_answer() {
    let holes = df!(
        "instance" => [0u32, 1, 2, 3],
        "confidence" => [Some(0.5), None, Some(f64::NAN), Some(0.5)],
        "outcome" => [Some(true), Some(true), Some(false), None],
    )
    .unwrap();
    let options = CalibrationOptions::default();
    let table = calibration(&holes, COLUMNS, &options, &quick()).unwrap();
    assert_eq!((count(&table, "n", 0), count(&table, "missing", 0)), (Some(1), Some(3)));
    close(estimate(&table, "ece"), 0.5, 0.0);
    // A group without a row that counts.
    let nothing = holes.slice(1, 3);
    let table = calibration(&nothing, COLUMNS, &options, &quick()).unwrap();
    assert_eq!(count(&table, "missing", 0), Some(3));
    for row in 0..table.height() {
        assert_eq!(float(&table, "estimate", row), None);
        assert_eq!(float(&table, "low", row), None);
    }
    assert_eq!(reliability(&nothing, COLUMNS, &options, 0.95).unwrap().height(), 0);
    assert_eq!(calibration(&holes.slice(0, 0), COLUMNS, &options, &quick()).unwrap().height(), 0);
    let error = |confidences: &[f64], outcomes: &[f64]| {
        let instances: Vec<u32> = (0..).zip(outcomes).map(|(instance, _)| instance).collect();
        let rows = df!("instance" => instances, "confidence" => confidences, "outcome" => outcomes);
        calibration(&rows.unwrap(), COLUMNS, &options, &quick()).unwrap_err().to_string()
    };
    assert_eq!(
        error(&[0.5, -0.3], &[1.0, 0.0]),
        "column `confidence` holds -0.3 in row 1 (counted from zero); it must be a probability \
         between 0 and 1 (exponentiate logarithms)"
    );
    assert_eq!(
        error(&[0.5, 0.3], &[1.0, 0.5]),
        "column `outcome` holds 0.5 in row 1 (counted from zero); it must be 0 or 1 (decide first \
         which partial scores count as successes)"
    );
    let none = CalibrationOptions { bins: 0, ..options };
    let error = calibration(&tied(), COLUMNS, &none, &quick()).unwrap_err();
    assert_eq!(error.to_string(), "the number of bins must be at least 1, not be 0");
    let nobody =
        df!("instance" => [None::<u32>], "confidence" => [0.5], "outcome" => [1.0]).unwrap();
    let error = calibration(&nobody, COLUMNS, &options, &quick()).unwrap_err();
    assert!(matches!(error, AnalysisError::NoReplicate { row: 0, .. }), "{error}");
    let error = reliability(&tied(), COLUMNS, &options, 0.0).unwrap_err();
    assert!(matches!(error, AnalysisError::Level(_)));
}

#[test]
fn runs_of_helm_without_probabilities_are_as_wrong_as_they_are_sure() {
    let Some(folder) = published::data("helm") else {
        return;
    };
    // The published runs store log probabilities of zero for every answer: a confidence of one,
    // from which HELM refuses to make a calibration error. Here it is one minus the accuracy,
    // whatever the bins, and Platt scaling says why it has no fit.
    let mut seen = 0;
    for run in std::fs::read_dir(folder.join("raw_runs")).unwrap() {
        let text = std::fs::read_to_string(run.unwrap().path().join("per_instance_stats.json"));
        let (confidences, outcomes) = helm_run(&text.unwrap());
        assert!(confidences.len() == outcomes.len() && confidences.len() >= 5);
        let rows = frame(&confidences, &outcomes);
        let accuracy = f64::from(outcomes.iter().sum::<u32>()) / f64::from(rows.height() as u32);
        for binning in [Binning::EqualMass, Binning::EqualWidth] {
            let table = calibration(&rows, COLUMNS, &options(binning, 10), &quick()).unwrap();
            for measure in ["ece", "mce", "brier", "overconfidence"] {
                close(estimate(&table, measure), 1.0 - accuracy, 1e-15);
            }
            assert!(note(&table, "platt_slope").is_some());
        }
        seen += 1;
    }
    assert_eq!(seen, 3);
}

/// `max_prob` and `exact_match` of a run's unperturbed instances, read without a JSON library: each
/// statistic is an object whose name precedes its mean.
fn helm_run(text: &str) -> (Vec<f64>, Vec<u32>) {
    let means = |metric: &str| -> Vec<f64> {
        text.split("\"name\": {")
            .skip(1)
            .filter(|stat| stat.trim_start().starts_with(&format!("\"name\": \"{metric}\"")))
            .filter(|stat| !stat.split('}').next().unwrap().contains("perturbation"))
            .map(|stat| {
                let mean = stat.split("\"mean\":").nth(1).unwrap();
                mean.split([',', '}']).next().unwrap().trim().parse().unwrap()
            })
            .collect()
    };
    let outcomes = means("exact_match").into_iter().map(|mean| u32::from(mean > 0.5)).collect();
    (means("max_prob"), outcomes)
}
