//! Beta-binomial fits and their mixtures against scipy.
//!
//! Golden numbers: scipy 1.17.1 (`stats.betabinom` with `optimize`), printed by
//! `fixtures/beta_binomial.py`.

mod published;

use analysis::{
    AnalysisError, BetaBinomial, BetaBinomialColumns, MixtureOptions, beta_binomial,
    beta_binomial_mixture, jackknife, thinned,
};
use polars::df;
use polars::prelude::*;

const COLUMNS: BetaBinomialColumns<'static> =
    BetaBinomialColumns { groups: &[], successes: "k", trials: "n" };
const MIXED_K: [u64; 12] = [3, 0, 7, 12, 5, 1, 9, 20, 4, 2, 15, 6];
const MIXED_N: [u64; 12] = [10, 4, 9, 20, 5, 1, 30, 22, 8, 12, 40, 6];

fn frame(successes: &[u64], trials: &[u64]) -> DataFrame {
    df!("k" => successes, "n" => trials).unwrap()
}

/// One row for each time that a number of successes out of ten was seen.
fn histogram(counts: &[usize]) -> DataFrame {
    let successes: Vec<u64> = (0u64..).zip(counts).flat_map(|(k, times)| vec![k; *times]).collect();
    frame(&successes, &vec![10; successes.len()])
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

fn close(found: Option<f64>, expected: f64, tolerance: f64) {
    let found = found.unwrap();
    let error = (found - expected).abs() / expected.abs().max(1e-300);
    assert!(error <= tolerance, "{found} is not {expected}: {error}");
}

fn fit(rows: &DataFrame) -> DataFrame {
    beta_binomial(rows, COLUMNS, 0.95).unwrap()
}

#[test]
fn probabilities_are_those_of_scipy() {
    for (k, n, alpha, beta, expected) in [
        (3, 10, 2.0, 5.0, -1.802_809_305_414_640_6),
        (0, 4, 0.3, 0.7, -0.702_515_930_564_045_5),
        (10, 10, 9.0, 1.0, -0.747_214_401_830_222_1),
        (500, 1000, 40.0, 38.0, -5.020_087_559_645_688),
    ] {
        let distribution = BetaBinomial::new(alpha, beta).unwrap();
        close(Some(distribution.log_pmf(k, n)), expected, 1e-12);
        close(distribution.alpha(), alpha, 1e-15);
        close(distribution.beta(), beta, 1e-15);
        close(Some(distribution.mean()), alpha / (alpha + beta), 1e-15);
        close(Some(distribution.correlation()), 1.0 / (alpha + beta + 1.0), 1e-15);
    }
    // A sum of parameters beyond all trials: the binomial distribution, with all digits.
    let narrow = BetaBinomial::new(0.4e15, 0.6e15).unwrap();
    close(Some(narrow.log_pmf(3, 10)), -1.537_159_819_202_353_5, 1e-13);
    let distribution = BetaBinomial::new(1.0, 1.0).unwrap();
    assert_eq!(distribution.log_pmf(0, 0), 0.0);
    assert_eq!(distribution.log_pmf(3, 2), f64::NEG_INFINITY);
    for (alpha, beta) in [(0.0, 1.0), (1.0, -1.0), (f64::NAN, 1.0), (f64::INFINITY, 1.0)] {
        assert_eq!(BetaBinomial::new(alpha, beta), None);
    }
}

#[test]
fn densities_are_those_of_scipy() {
    for (alpha, beta, at, expected) in [
        (2.0, 5.0, 0.3, 2.160_899_999_999_999_4),
        (0.3, 0.7, 0.99, 1.032_435_990_795_233_4),
        (141.0, 2.4, 0.98, 28.986_056_116_296_43),
    ] {
        close(BetaBinomial::new(alpha, beta).unwrap().density(at), expected, 1e-12);
    }
    for at in [0.0, 1.0, -1.0, f64::NAN] {
        assert_eq!(BetaBinomial::new(2.0, 5.0).unwrap().density(at), None);
    }
}

#[test]
fn fewer_trials_are_hypergeometric_and_jackknives_extrapolate() {
    // scipy.stats.hypergeom.pmf(range(5), 10, 7, 4).
    let expected = [0.0, 1.0 / 30.0, 0.3, 0.5, 1.0 / 6.0];
    let found = thinned(7, 10, 4).unwrap();
    assert_eq!(found.len(), 5);
    for (found, expected) in found.into_iter().zip(expected) {
        assert!((found - expected).abs() < 1e-14, "{found} is not {expected}");
    }
    assert_eq!(thinned(0, 3, 2), Some(vec![1.0, 0.0, 0.0]));
    assert_eq!(thinned(2, 3, 0), Some(vec![1.0]));
    assert_eq!((thinned(4, 3, 2), thinned(2, 3, 4)), (None, None));
    // An estimate that is (n mu + a) / (n + v), mu = 0.8, a = 6, v = 9, of infinitely many trials mu.
    let of = |n: f64| (0.8 * n + 6.0) / (n + 9.0);
    close(Some(of(40.0)), 0.775_510_204_081_632_6, 1e-14);
    // 40 * of(40) - 39 * of(39).
    close(jackknife(of(40.0), of(39.0), 40, 1), 0.795_408_163_265_306_1, 1e-13);
    // A bias of exactly c / n vanishes, however many are left out.
    close(jackknife(2.0 + 3.0 / 40.0, 2.0 + 3.0 / 30.0, 40, 10), 2.0, 1e-14);
    assert_eq!((jackknife(1.0, 1.0, 5, 0), jackknife(1.0, 1.0, 5, 5)), (None, None));
}

#[test]
fn maxima_errors_and_intervals_are_those_of_scipy() {
    #[rustfmt::skip]
    let expected = [
        (
            histogram(&[1, 0, 2, 1, 3, 2, 5, 8, 10, 20, 48]),
            -163.490_434_201_826_84,
            [[2.327_147_896_684_789, 0.600_842_671_212_665_9, 1.402_986_820_352_557_5, 3.860_062_870_500_483],
             [0.403_995_381_473_826_74, 0.091_114_977_047_262_29, 0.259_657_526_558_451_65, 0.628_567_445_802_277_6],
             [0.852_078_290_910_388_4, 0.020_694_167_300_262_762, 0.806_466_478_152_946_5, 0.888_429_798_180_617_2],
             [0.268_014_365_959_571_9, 0.048_424_580_082_542_3, 0.183_990_169_292_047_2, 0.373_314_096_925_621]],
        ),
        (
            frame(&MIXED_K, &MIXED_N),
            -28.545_855_694_073_3,
            [[1.339_375_167_156_944_7, 0.796_448_582_180_691_3, 0.417_582_362_772_382_6, 4.295_980_861_084_723],
             [1.039_488_134_092_78, 0.650_922_857_651_785_4, 0.304_649_806_308_281_76, 3.546_811_974_094_189_7],
             [0.563_031_581_702_618_4, 0.089_249_543_513_930_55, 0.385_439_134_991_897_25, 0.734_265_884_609_230_5],
             [0.295_957_519_095_292_94, 0.121_149_652_518_516_42, 0.111_824_012_014_471_13, 0.565_358_350_832_933_5]],
        ),
    ];
    for (rows, likelihood, parameters) in expected {
        let table = fit(&rows);
        assert_eq!(table.height(), 4);
        for (row, [estimate, error, low, high]) in parameters.into_iter().enumerate() {
            close(float(&table, "estimate", row), estimate, 1e-9);
            close(float(&table, "standard_error", row), error, 1e-9);
            // Ends of profiles: the reference finds its inner maxima to about 1e-8.
            let tolerance = if row < 2 { 1e-9 } else { 1e-7 };
            close(float(&table, "low", row), low, tolerance);
            close(float(&table, "high", row), high, tolerance);
            assert_eq!(text(&table, "note", row), None);
        }
        close(float(&table, "log_likelihood", 0), likelihood, 1e-13);
        assert_eq!(text(&table, "parameter", 3), Some("correlation"));
        assert_eq!(text(&table, "interval", 0), Some("Wald on the logarithm"));
        assert_eq!(text(&table, "interval", 2), Some("profile likelihood"));
        assert_eq!(text(&table, "estimator", 0), Some("beta-binomial maximum likelihood"));
    }
    let table = fit(&frame(&MIXED_K, &MIXED_N));
    assert_eq!(count(&table, "n", 0), Some(12));
    assert_eq!(count(&table, "trials", 0), Some(167));
}

#[test]
fn rows_closer_together_than_binomial_ones_are_binomial() {
    let table = fit(&frame(&[5, 5, 4, 6, 5, 5], &[10, 10, 9, 11, 10, 10]));
    for parameter in 0..2 {
        for column in ["estimate", "standard_error", "low", "high"] {
            assert_eq!(float(&table, column, parameter), None);
        }
    }
    assert_eq!(text(&table, "note", 0), Some("binomial"));
    close(float(&table, "estimate", 2), 0.5, 1e-14);
    close(float(&table, "standard_error", 2), 0.064_549_722_436_790_27, 1e-12);
    assert_eq!(float(&table, "estimate", 3), Some(0.0));
    assert_eq!(float(&table, "low", 3), Some(0.0));
    close(float(&table, "high", 3), 0.081_675_829_245_053_16, 1e-7);
    close(float(&table, "log_likelihood", 0), -8.499_267_685_517_806, 1e-13);
    let (low, high) = (float(&table, "low", 2).unwrap(), float(&table, "high", 2).unwrap());
    // No narrower than the binomial likelihood interval; symmetric around a half.
    assert!(low < 0.3755 && (low + high - 1.0).abs() < 1e-9, "{low} {high}");
}

#[test]
fn rows_at_the_ends_have_a_defined_answer() {
    let check = |successes: &[u64], trials: &[u64], note, mean: [f64; 3], correlation| {
        let table = fit(&frame(successes, trials));
        assert_eq!(text(&table, "note", 2), Some(note));
        assert_eq!(float(&table, "estimate", 0), None);
        for (column, expected) in ["estimate", "low", "high"].into_iter().zip(mean) {
            let found = float(&table, column, 2).unwrap();
            assert!(
                (found - expected).abs() < 1e-10,
                "{note}, {column}: {found} is not {expected}"
            );
        }
        assert_eq!(float(&table, "estimate", 3), correlation);
        table
    };
    let ones = [4u64, 6, 7, 3, 2, 5, 1, 1, 9, 9, 9, 9];
    // Every row is one observation of its own probability: the likelihood interval of 12 of 12 ...
    check(&ones, &ones, "all successes", [1.0, 0.852_091_993_665_656_9, 1.0], None);
    // ... and of 0 of 3.
    check(&[0; 3], &[5, 2, 7], "all failures", [0.0, 0.0, 0.472_835_764_555_980_1], None);
    let table = check(
        &[1, 0, 0, 1, 0, 0, 1, 0, 0, 0],
        &[1; 10],
        "one trial a row",
        [0.3, 0.084_558_654_981_603_31, 0.606_539_030_904_485_6],
        None,
    );
    close(float(&table, "standard_error", 2), 0.021f64.sqrt(), 1e-14);
    let table = check(
        &[4, 0, 7, 3, 0, 5],
        &[4, 6, 7, 3, 2, 5],
        "all or nothing",
        [4.0 / 6.0, 0.280_788_451_167_976_6, 0.935_159_950_712_218_4],
        Some(1.0),
    );
    close(float(&table, "low", 3), 0.657_561_157_988_172_9, 1e-6);
    assert_eq!(float(&table, "high", 3), Some(1.0));
    // 4 ln(4/6) + 2 ln(2/6).
    close(float(&table, "log_likelihood", 0), -3.819_085_009_768_877, 1e-14);
}

#[test]
fn missing_empty_and_meaningless_rows_have_an_answer() {
    let holes = df!(
        "k" => [Some(3.0), None, Some(0.0), Some(f64::NAN), Some(2.0)],
        "n" => [Some(5.0), Some(5.0), Some(0.0), Some(4.0), None],
    )
    .unwrap();
    let table = fit(&holes);
    assert_eq!((count(&table, "n", 0), count(&table, "missing", 0)), (Some(1), Some(4)));
    // One row varies around nothing.
    assert_eq!(text(&table, "note", 0), Some("binomial"));
    close(float(&table, "estimate", 2), 0.6, 1e-14);
    let table = fit(&holes.slice(1, 4));
    assert_eq!(text(&table, "note", 0), Some("no rows"));
    for row in 0..4 {
        assert_eq!(float(&table, "estimate", row), None);
        assert_eq!(float(&table, "low", row), None);
    }
    assert_eq!(fit(&holes.slice(0, 0)).height(), 0);
    let error = |successes: f64, trials: f64| {
        let rows = df!("k" => [1.0, successes], "n" => [2.0, trials]).unwrap();
        beta_binomial(&rows, COLUMNS, 0.95).unwrap_err().to_string()
    };
    assert_eq!(
        error(3.0, 2.0),
        "column `k` holds 3 in row 1 (counted from zero); it must be at most the number of trials"
    );
    let whole = "(counted from zero); it must be a whole number from 0 to 10,000,000 (multiply \
                 shares by their number of trials)";
    assert_eq!(error(0.5, 2.0), format!("column `k` holds 0.5 in row 1 {whole}"));
    assert_eq!(error(-1.0, 2.0), format!("column `k` holds -1 in row 1 {whole}"));
    assert_eq!(error(1.0, 1e8), format!("column `n` holds 100000000 in row 1 {whole}"));
    let error = beta_binomial(&holes, COLUMNS, 0.0).unwrap_err();
    assert!(matches!(error, AnalysisError::Level(_)));
    let none = MixtureOptions { components: 0, ..MixtureOptions::default() };
    let error = beta_binomial_mixture(&holes, COLUMNS, &none).unwrap_err();
    assert_eq!(error.to_string(), "the number of components must be at least 1, not be 0");
}

#[test]
fn many_trials_cost_no_digits() {
    // Rows of 50,000 trials: moments of the shares give alpha + beta near 2,000.
    let shares = [0.70, 0.71, 0.72, 0.69, 0.705, 0.715, 0.725, 0.695, 0.708, 0.712];
    // Whole: shares have three decimals.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let successes: Vec<u64> =
        shares.iter().map(|share| (share * 50_000.0f64).round() as u64).collect();
    let table = fit(&frame(&successes, &[50_000; 10]));
    let (alpha, beta) =
        (float(&table, "estimate", 0).unwrap(), float(&table, "estimate", 1).unwrap());
    // At the maximum, both derivatives of the likelihood vanish; the sums are those of digamma.
    let tail =
        |start: f64, factors: u64| -> f64 { (0..factors).map(|i| 1.0 / (start + i as f64)).sum() };
    let common: f64 = 10.0 * tail(alpha + beta, 50_000);
    let by_alpha: f64 = successes.iter().map(|k| tail(alpha, *k)).sum::<f64>() - common;
    let by_beta: f64 = successes.iter().map(|k| tail(beta, 50_000 - k)).sum::<f64>() - common;
    assert!(by_alpha.abs() < 1e-9 && by_beta.abs() < 1e-9, "{by_alpha} {by_beta}");
    assert!((1_500.0..3_500.0).contains(&(alpha + beta)), "{alpha} {beta}");
}

/// Rounded expected counts of 0.7 Beta(9, 1) + 0.3 Beta(2, 6) at ten trials.
const TWO: [usize; 11] = [93, 124, 120, 100, 79, 66, 73, 111, 201, 370, 663];

#[test]
fn a_mixture_is_the_maximum_that_scipy_finds() {
    let two = MixtureOptions { components: 2, ..MixtureOptions::default() };
    let table = beta_binomial_mixture(&histogram(&TWO), COLUMNS, &two).unwrap();
    assert_eq!(table.height(), 2);
    close(float(&table, "log_likelihood", 0), -4_128.557_069_803_018, 1e-10);
    #[rustfmt::skip]
    let expected = [
        [0.300_438_009_917_495_25, 1.994_154_665_396_399_6, 5.987_802_095_946_496, 0.249_832_807_295_656_27],
        [0.699_561_990_082_504_5, 8.997_953_065_795_402, 1.000_008_189_146_672_8, 0.899_978_789_310_434_6],
    ];
    for (row, expected) in expected.into_iter().enumerate() {
        for (column, expected) in ["weight", "alpha", "beta", "mean"].into_iter().zip(expected) {
            close(float(&table, column, row), expected, 1e-3);
        }
        assert_eq!(count(&table, "component", row), Some(row as u64 + 1));
    }
    assert_eq!(table.column("converged").unwrap().bool().unwrap().get(0), Some(true));
    let likelihood = float(&table, "log_likelihood", 0).unwrap();
    close(float(&table, "aic", 0), 10.0 - 2.0 * likelihood, 1e-14);
    close(float(&table, "bic", 0), 5.0 * 2_000f64.ln() - 2.0 * likelihood, 1e-14);
    assert_eq!(count(&table, "n", 0), Some(2_000));
    // One component is the plain fit.
    let one = MixtureOptions { components: 1, ..two };
    let table = beta_binomial_mixture(&histogram(&TWO), COLUMNS, &one).unwrap();
    let plain = fit(&histogram(&TWO));
    close(float(&table, "log_likelihood", 0), -4_190.146_770_918_02, 1e-12);
    close(float(&table, "alpha", 0), float(&plain, "estimate", 0).unwrap(), 1e-9);
    close(float(&table, "beta", 0), 0.361_215_256_468_770_06, 1e-5);
}

#[test]
fn mixtures_of_little_have_a_defined_answer() {
    let options = MixtureOptions { components: 2, ..MixtureOptions::default() };
    let finite = |table: &DataFrame| {
        for row in 0..table.height() {
            for column in ["weight", "mean", "correlation", "log_likelihood"] {
                let value = float(table, column, row).unwrap();
                assert!(value.is_finite(), "{column}: {value}");
            }
        }
        let weights: f64 =
            (0..table.height()).map(|row| float(table, "weight", row).unwrap()).sum();
        assert!((weights - 1.0).abs() < 1e-12);
    };
    for (successes, trials) in [
        (vec![5, 5, 5], vec![5, 5, 5]),
        (vec![0, 0], vec![3, 4]),
        (vec![0, 1, 1], vec![1, 1, 1]),
        (vec![0, 4, 4, 0], vec![4, 4, 4, 4]),
        (vec![2], vec![7]),
    ] {
        finite(&beta_binomial_mixture(&frame(&successes, &trials), COLUMNS, &options).unwrap());
    }
    // Nothing but successes has probability one.
    let sure = beta_binomial_mixture(&frame(&[5, 5], &[5, 5]), COLUMNS, &options).unwrap();
    assert!(float(&sure, "log_likelihood", 0).unwrap().abs() < 1e-14);
    let empty = df!("k" => [None::<u64>], "n" => [Some(3u64)]).unwrap();
    let table = beta_binomial_mixture(&empty, COLUMNS, &options).unwrap();
    assert_eq!((table.height(), float(&table, "weight", 0)), (2, None));
    assert_eq!(count(&table, "missing", 1), Some(1));
}

#[test]
fn groups_are_fitted_on_their_own_and_the_order_of_rows_shows_nowhere() {
    let mut both = frame(&MIXED_K, &MIXED_N);
    both.with_column(Column::new("set".into(), vec!["b"; 12])).unwrap();
    let mut other = histogram(&TWO);
    other.with_column(Column::new("set".into(), vec!["a"; 2_000])).unwrap();
    both.vstack_mut(&other).unwrap();
    let by = BetaBinomialColumns { groups: &["set"], ..COLUMNS };
    let table = beta_binomial(&both, by, 0.95).unwrap();
    assert!(beta_binomial(&both.reverse(), by, 0.95).unwrap().equals_missing(&table));
    assert_eq!((text(&table, "set", 0), text(&table, "set", 4)), (Some("a"), Some("b")));
    let alone = fit(&frame(&MIXED_K, &MIXED_N));
    for row in 0..4 {
        assert_eq!(float(&table, "high", 4 + row), float(&alone, "high", row));
    }
    let options = MixtureOptions { components: 2, starts: 3, ..MixtureOptions::default() };
    let mixture = |rows: &DataFrame| beta_binomial_mixture(rows, by, &options).unwrap();
    assert!(mixture(&both.reverse()).equals_missing(&mixture(&both)));
}

#[test]
fn the_votes_on_cifar_10h_are_fitted_as_scipy_fits_them() {
    let Some(folder) = published::data("replication") else {
        return;
    };
    // 10,000 images, 47 to 63 people each: how many chose the label.
    let text = std::fs::read_to_string(folder.join("cifar10h_counts.csv")).unwrap();
    let (mut successes, mut trials) = (vec![], vec![]);
    for line in text.lines().skip(1) {
        let fields: Vec<u64> = line.split(',').map(|field| field.parse().unwrap()).collect();
        successes.push(fields[2 + usize::try_from(fields[1]).unwrap()]);
        trials.push(fields[2..].iter().sum::<u64>());
    }
    let rows = frame(&successes, &trials);
    let table = fit(&rows);
    close(float(&table, "log_likelihood", 0), -19_580.515_666_224_343, 1e-12);
    #[rustfmt::skip]
    let expected = [
        [6.033_328_472_847_860_4, 0.151_112_259_567_164_34, 5.744_305_946_548_3, 6.336_893_055_487_366],
        [0.321_489_769_093_238_84, 0.005_954_582_055_045_438, 0.310_028_299_334_107_97, 0.333_374_959_168_617_04],
        [0.949_410_076_440_669_7, 0.000_859_868_748_070_085_9, 0.947_692_577_614_170_3, 0.951_064_358_705_131_3],
        [0.135_965_290_657_689_72, 0.002_871_725_147_616_471_4, 0.130_464_118_364_111_9, 0.141_725_086_616_194_3],
    ];
    for (row, expected) in expected.into_iter().enumerate() {
        let columns = ["estimate", "standard_error", "low", "high"];
        for (column, expected) in columns.into_iter().zip(expected) {
            close(float(&table, column, row), expected, 1e-7);
        }
    }
    // Expectation maximisation climbs slowly here; scipy's direct maxima bound it from above.
    let options = MixtureOptions { components: 2, starts: 3, ..MixtureOptions::default() };
    let table = beta_binomial_mixture(&rows, COLUMNS, &options).unwrap();
    close(float(&table, "log_likelihood", 0), -19_006.720_520_591_19, 1e-7);
    close(float(&table, "weight", 0), 0.432_018_192_290_026, 1e-2);
}
