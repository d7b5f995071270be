//! Choice of hyper-parameters: closed forms, exact enumeration and simulated studies.

use analysis::{
    AnalysisError, Better, Bootstrap, Estimator, FactorLevels, FigureOneColumns, IntervalMethod,
    MissingRuns, SelectionColumns, SelectionOptions, SelectionRule, Thresholds, figure_one, select,
    tuning_sensitivity,
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

fn numbers(table: &DataFrame, column: &str) -> Vec<f64> {
    table.column(column).unwrap().f64().unwrap().into_no_null_iter().collect()
}

fn count(table: &DataFrame, column: &str, row: usize) -> u64 {
    table.column(column).unwrap().u64().unwrap().get(row).unwrap()
}

fn text<'a>(table: &'a DataFrame, column: &str, row: usize) -> &'a str {
    table.column(column).unwrap().str().unwrap().get(row).unwrap()
}

const COLUMNS: SelectionColumns<'static> = SelectionColumns {
    groups: &[],
    tuning: "rate",
    levels: &[],
    replicate: "seed",
    value: "value",
};

/// Estimate and interval of the nested bootstrap, the shares of the levels, and the nested median.
const NESTED: [f64; 3] =
    [1.774_691_358_024_691_2, 0.345_655_373_484_536_7, 3.203_727_342_564_845_6];
const SHARES: [f64; 3] = [0.128_906_25, 0.359_375, 0.511_718_75];
const MEDIAN: f64 = 1.730_603_448_275_862;

const BY_ARM: SelectionColumns<'static> = SelectionColumns { groups: &["arm"], ..COLUMNS };

/// The trials of tests/fixtures/factorial.py: three rates, four seeds.
fn trials() -> DataFrame {
    df!(
        "rate" => [0.1, 0.1, 0.1, 0.1, 0.2, 0.2, 0.2, 0.2, 0.3, 0.3, 0.3, 0.3],
        "seed" => [0u32, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3],
        "value" => [1.0, 4.0, 2.5, 3.0, 2.0, 3.5, 0.5, 4.5, 0.0, 9.0, 1.0, 1.5],
    )
    .unwrap()
}

fn with(rule: SelectionRule) -> SelectionOptions {
    SelectionOptions::of(rule)
}

#[test]
fn a_choice_states_what_it_is() {
    let table = select(&trials(), COLUMNS, &with(SelectionRule::Naive)).unwrap();
    let names: Vec<&str> = table.get_column_names().iter().map(|name| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "rule",
            "chosen",
            "chosen_share",
            "candidates",
            "excluded",
            "n_tuning",
            "n_estimate",
            "missing",
            "estimate",
            "low",
            "high",
            "naive_chosen",
            "naive_estimate",
            "selection_bias",
            "choose_by",
            "better",
            "missing_runs",
            "estimator",
            "interval",
            "interval_level",
            "resamples",
        ]
    );
    assert_eq!(table.height(), 1);
    assert_eq!(text(&table, "rule", 0), "naive");
    assert_eq!(float(&table, "chosen", 0), Some(0.3));
    assert_eq!(float(&table, "estimate", 0), Some(2.875));
    assert_eq!(float(&table, "selection_bias", 0), Some(0.0));
    assert_eq!((count(&table, "n_tuning", 0), count(&table, "n_estimate", 0)), (4, 4));
    assert_eq!((count(&table, "candidates", 0), count(&table, "excluded", 0)), (3, 0));
    assert_eq!(text(&table, "choose_by", 0), "mean");
    assert_eq!(text(&table, "estimator", 0), "mean");
    assert_eq!(text(&table, "interval", 0), "t over replicates");
}

#[test]
fn fresh_seeds_are_others_than_those_that_choose() {
    // Seeds 0 and 1 choose 0.3, whose seeds 2 and 3 give 1 and 1.5 (scipy 1.17.1 ttest_1samp).
    let table = select(&trials(), COLUMNS, &with(SelectionRule::FreshSeeds { tuning: 2 })).unwrap();
    assert_eq!(float(&table, "chosen", 0), Some(0.3));
    assert_eq!(float(&table, "estimate", 0), Some(1.25));
    close(number(&table, "low", 0), -1.926_551_184_043_673_5, 1e-12);
    close(number(&table, "high", 0), 4.426_551_184_043_673, 1e-12);
    assert_eq!(float(&table, "naive_estimate", 0), Some(2.875));
    assert_eq!(float(&table, "selection_bias", 0), Some(1.625));
    assert_eq!((count(&table, "n_tuning", 0), count(&table, "n_estimate", 0)), (2, 2));
    // Resamples of seeds 0 and 1: {0, 0} chooses 0.2, the other three 0.3.
    close(number(&table, "chosen_share", 0), 0.75, 0.02);
}

#[test]
fn the_nested_bootstrap_is_that_of_all_resamples() {
    // All 4^4 resamples enumerated in numpy 2.2.6; 200,000 drawn.
    let bootstrap = Bootstrap { resamples: 200_000, ..Bootstrap::tables() };
    let options = SelectionOptions { bootstrap, ..with(SelectionRule::NestedBootstrap) };
    let table = select(&trials(), COLUMNS, &options).unwrap();
    close(number(&table, "estimate", 0), NESTED[0], 0.01);
    close(number(&table, "low", 0), NESTED[1], 0.02);
    close(number(&table, "high", 0), NESTED[2], 0.02);
    close(number(&table, "chosen_share", 0), SHARES[2], 0.005);
    close(number(&table, "selection_bias", 0), 2.875 - NESTED[0], 0.01);
    assert_eq!(text(&table, "estimator", 0), "leave-one-out bootstrap mean");
    assert_eq!(text(&table, "interval", 0), "t with the delta method after the bootstrap");
    assert_eq!((count(&table, "n_tuning", 0), count(&table, "n_estimate", 0)), (4, 4));
    let median = SelectionOptions { estimator: Estimator::Median, ..options };
    let table = select(&trials(), COLUMNS, &median).unwrap();
    close(number(&table, "estimate", 0), MEDIAN, 0.01);
    assert_eq!((float(&table, "low", 0), float(&table, "high", 0)), (Some(0.0), Some(4.0)));
    assert_eq!(text(&table, "estimator", 0), "mean over resamples of the out-of-bag median");
    assert_eq!(text(&table, "interval", 0), "out-of-bag percentiles");
    let shares = tuning_sensitivity(&trials(), COLUMNS, &options).unwrap();
    for (row, share) in SHARES.iter().enumerate() {
        close(number(&shares, "chosen_share", row), *share, 0.005);
    }
}

#[test]
fn every_bootstrap_method_has_an_answer() {
    for method in IntervalMethod::ALL {
        let bootstrap = Bootstrap { method, ..Bootstrap::curves() };
        for rule in [SelectionRule::Naive, SelectionRule::NestedBootstrap] {
            let options = SelectionOptions { bootstrap, ..with(rule) };
            let mean = select(&trials(), COLUMNS, &options).unwrap();
            assert!(float(&mean, "low", 0).is_some());
            // Choices are always those of ordinary resamples.
            close(number(&mean, "chosen_share", 0), SHARES[2], 0.05);
        }
        let options =
            SelectionOptions { bootstrap, estimator: Estimator::Iqm, ..with(SelectionRule::Naive) };
        let table = select(&trials(), COLUMNS, &options).unwrap();
        assert_eq!(text(&table, "interval", 0), method.words());
    }
}

/// `studies` groups of `levels` equal levels and `seeds` seeds of standard normal numbers.
fn equal_levels(studies: u32, levels: u32, seeds: u32) -> DataFrame {
    let mut generator = ChaCha8Rng::seed_from_u64(11);
    let mut normal = || {
        let mut uniform = || (f64::from(generator.next_u32()) + 0.5) / 2f64.powi(32);
        (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos()
    };
    let rows = studies * levels * seeds;
    df!(
        "arm" => (0..rows).map(|row| row / (levels * seeds)).collect::<Vec<_>>(),
        "rate" => (0..rows).map(|row| row / seeds % levels).collect::<Vec<_>>(),
        "seed" => (0..rows).map(|row| row % seeds).collect::<Vec<_>>(),
        "value" => (0..rows).map(|_| normal()).collect::<Vec<_>>(),
    )
    .unwrap()
}

#[test]
fn only_the_naive_rule_is_biased_where_levels_are_equal() {
    // E max of four standard normal variables is 1.029375 (quadrature in scipy 1.17.1), so that the
    // naive rule overstates by 1.029375 / sqrt(8) = 0.36394 with eight seeds. 2,000 studies: standard
    // errors of the means are about 0.0056 (naive), 0.0112 (fresh) and 0.0085 (nested).
    let studies = 2_000;
    let frame = equal_levels(studies, 4, 8);
    let bootstrap = Bootstrap { resamples: 300, ..Bootstrap::tables() };
    let of = |rule| {
        let table = select(&frame, BY_ARM, &SelectionOptions { bootstrap, ..with(rule) }).unwrap();
        let estimates = numbers(&table, "estimate");
        assert_eq!(estimates.len(), studies as usize);
        let mean = estimates.iter().sum::<f64>() / f64::from(studies);
        let (low, high) = (numbers(&table, "low"), numbers(&table, "high"));
        let covered = low.iter().zip(&high).filter(|(low, high)| **low <= 0.0 && **high >= 0.0);
        let covered = covered.count() as f64 / f64::from(studies);
        let bias = numbers(&table, "selection_bias").iter().sum::<f64>() / f64::from(studies);
        println!("{}: mean {mean}, covers {covered}, bias {bias}", rule.name());
        (mean, covered, bias)
    };
    let (mean, covered, _) = of(SelectionRule::Naive);
    close(mean, 0.363_94, 0.02);
    assert!(covered < 0.93, "{covered}");
    let (mean, covered, bias) = of(SelectionRule::FreshSeeds { tuning: 4 });
    close(mean, 0.0, 0.04);
    close(bias, 0.363_94, 0.05);
    close(covered, 0.95, 0.015);
    let (mean, covered, bias) = of(SelectionRule::NestedBootstrap);
    close(mean, 0.0, 0.03);
    close(bias, 0.363_94, 0.04);
    assert!((0.94..=0.99).contains(&covered), "{covered}");
}

#[test]
fn of_equal_levels_the_first_is_chosen() {
    let frame = df!(
        "rate" => ["b", "a", "c", "b", "a", "c"],
        "seed" => [0u32, 0, 0, 1, 1, 1],
        "value" => [0.1, 0.3, -1.0, 0.3, 0.1, 0.0],
    )
    .unwrap();
    let chosen = |levels: &[&str], better| {
        let levels: Vec<String> = levels.iter().map(|level| (*level).to_owned()).collect();
        let columns = SelectionColumns { levels: &levels, ..COLUMNS };
        let options = SelectionOptions { better, ..with(SelectionRule::Naive) };
        let table = select(&frame, columns, &options).unwrap();
        text(&table, "chosen", 0).to_owned()
    };
    // Both means are 0.2 to the last bit, as sums are.
    assert_eq!(chosen(&["c", "b", "a"], Better::Higher), "b");
    assert_eq!(chosen(&["a", "b", "c"], Better::Higher), "a");
    // Without levels, in ascending order.
    assert_eq!(chosen(&[], Better::Higher), "a");
    assert_eq!(chosen(&[], Better::Lower), "c");
    assert_eq!(chosen(&["b", "a"], Better::Lower), "b");
}

#[test]
fn seeds_come_in_the_order_of_their_numbers() {
    // As text, 10 and 100 come before 9. The first two seeds, 9 and 10, choose 0.1.
    let frame = df!(
        "rate" => [0.1, 0.1, 0.1, 0.2, 0.2, 0.2],
        "seed" => [100u32, 9, 10, 9, 10, 100],
        "value" => [-5.0, 2.0, 2.0, 1.0, 1.0, 50.0],
    )
    .unwrap();
    let fresh = with(SelectionRule::FreshSeeds { tuning: 2 });
    let table = select(&frame, COLUMNS, &fresh).unwrap();
    assert_eq!(float(&table, "chosen", 0), Some(0.1));
    assert_eq!(float(&table, "estimate", 0), Some(-5.0));
    // One fresh seed has no interval.
    assert_eq!(float(&table, "low", 0), None);
    assert_eq!(float(&table, "naive_chosen", 0), Some(0.2));
}

#[test]
fn a_run_without_a_value_excludes_its_level_or_counts_as_the_worst() {
    // Rate 0.3 is best where it does not diverge; 0.2 has one seed fewer.
    let frame = df!(
        "rate" => [0.1, 0.1, 0.1, 0.2, 0.2, 0.3, 0.3, 0.3, 0.4],
        "seed" => [0u32, 1, 2, 0, 1, 0, 1, 2, 7],
        "value" => [Some(1.0), Some(2.0), Some(3.0), Some(5.0), Some(6.0), Some(9.0), Some(9.5),
                    Some(f64::NAN), None],
    )
    .unwrap();
    let levels: Vec<String> = ["0.1", "0.2", "0.3"].map(str::to_owned).into();
    let columns = SelectionColumns { levels: &levels, ..COLUMNS };
    let of = |rule, missing| {
        select(&frame, columns, &SelectionOptions { missing, ..with(rule) }).unwrap()
    };
    let table = of(SelectionRule::Naive, MissingRuns::Exclude);
    assert_eq!(float(&table, "chosen", 0), Some(0.1));
    assert_eq!((count(&table, "candidates", 0), count(&table, "excluded", 0)), (1, 2));
    // Seed 2 of 0.2 never ran, that of 0.3 diverged; rate 0.4 is none of the levels.
    assert_eq!(count(&table, "missing", 0), 2);
    // The worst value is 1: (9 + 9.5 + 1) / 3 against (5 + 6 + 1) / 3.
    let table = of(SelectionRule::Naive, MissingRuns::Worst);
    assert_eq!(float(&table, "chosen", 0), Some(0.3));
    assert_eq!(float(&table, "estimate", 0), Some(6.5));
    assert_eq!((count(&table, "candidates", 0), count(&table, "excluded", 0)), (3, 0));
    assert_eq!(text(&table, "missing_runs", 0), "worst");
    // Seeds 0 and 1 choose 0.3 either way; what then diverges is left out, or the worst.
    let fresh = SelectionRule::FreshSeeds { tuning: 2 };
    let table = of(fresh, MissingRuns::Exclude);
    assert_eq!((float(&table, "chosen", 0), float(&table, "estimate", 0)), (Some(0.3), None));
    assert_eq!(count(&table, "n_estimate", 0), 0);
    assert_eq!(float(&table, "selection_bias", 0), None);
    let table = of(fresh, MissingRuns::Worst);
    assert_eq!(float(&table, "estimate", 0), Some(1.0));
    // Where lower is better the worst is the highest.
    let options = SelectionOptions {
        missing: MissingRuns::Worst,
        better: Better::Lower,
        ..with(SelectionRule::Naive)
    };
    let table = select(&frame, columns, &options).unwrap();
    assert_eq!(float(&table, "estimate", 0), Some(2.0));
    let table = tuning_sensitivity(&frame, columns, &options).unwrap();
    assert_eq!(table.height(), 3);
    assert_eq!((count(&table, "n", 2), count(&table, "missing", 2)), (2, 1));
    assert_eq!(float(&table, "estimate", 2), Some(9.25));
}

#[test]
fn sensitivity_shows_every_level() {
    let mut frame = trials();
    frame.with_column(Column::new("arm".into(), vec!["p"; 12])).unwrap();
    let mut other = frame.head(Some(8));
    other.with_column(Column::new("arm".into(), vec!["q"; 8])).unwrap();
    frame.vstack_mut(&other).unwrap();
    let fresh = with(SelectionRule::FreshSeeds { tuning: 2 });
    let table = tuning_sensitivity(&frame, BY_ARM, &fresh).unwrap();
    assert_eq!(table.height(), 5);
    assert_eq!(numbers(&table, "rate"), [0.1, 0.2, 0.3, 0.1, 0.2]);
    assert_eq!((text(&table, "arm", 2), text(&table, "arm", 3)), ("p", "q"));
    assert_eq!(numbers(&table, "estimate"), [2.625, 2.625, 2.875, 2.625, 2.625]);
    let chosen: Vec<bool> =
        table.column("chosen").unwrap().bool().unwrap().iter().flatten().collect();
    assert_eq!(chosen, [false, false, true, false, true]);
    // 1, 4, 2.5, 3: t.isf(0.025, 3) = 3.182446 times a standard error of 0.625.
    close(number(&table, "low", 0), 2.625 - 3.182_446_305_284_263 * 0.625, 1e-12);
    assert_eq!(text(&table, "rule", 0), "fresh seeds");
}

#[test]
fn what_cannot_be_chosen_is_an_error() {
    let frame = df!(
        "arm" => ["p", "p", "q", "q"],
        "rate" => [0.1, 0.1, 0.1, 0.1],
        "seed" => [0u32, 1, 0, 1],
        "value" => [1.0, 2.0, f64::NAN, 3.0],
    )
    .unwrap();
    let of = |frame: &DataFrame, options: SelectionOptions| {
        select(frame, BY_ARM, &options).unwrap_err().to_string()
    };
    assert_eq!(
        of(&frame, with(SelectionRule::Naive)),
        "no level of `rate` can be chosen for arm = q: each lacks a value in a replicate that \
         chooses; count missing runs as the worst, choose by other replicates, or run what is missing"
    );
    let worst =
        SelectionOptions { missing: MissingRuns::Worst, ..with(SelectionRule::NestedBootstrap) };
    assert_eq!(select(&frame, BY_ARM, &worst).unwrap().height(), 2);
    let no_values = frame.slice(2, 1);
    assert_eq!(
        of(&no_values, worst),
        "no level of `rate` can be chosen for arm = q: no run has a value"
    );
    for tuning in [0, 2] {
        let fresh = with(SelectionRule::FreshSeeds { tuning });
        assert_eq!(
            of(&frame, fresh),
            format!(
                "arm = p has 2 replicates and {tuning} are to choose: at least one has to choose and \
                 at least one other to estimate; ask for fewer, or add seeds"
            )
        );
    }
    let twice: Vec<String> = ["0.1", "0.1"].map(str::to_owned).into();
    let columns = SelectionColumns { levels: &twice, ..BY_ARM };
    let error = select(&frame, columns, &with(SelectionRule::Naive)).unwrap_err();
    assert!(matches!(error, AnalysisError::RepeatedLevel { .. }));
    // Nothing to choose for is no error.
    let none = frame.head(Some(0));
    assert_eq!(select(&none, BY_ARM, &with(SelectionRule::Naive)).unwrap().height(), 0);
    assert_eq!(tuning_sensitivity(&none, BY_ARM, &worst).unwrap().height(), 0);
}

#[test]
fn one_replicate_and_constant_values_have_an_answer() {
    let single =
        trials().filter(&trials().column("seed").unwrap().u32().unwrap().equal(1)).unwrap();
    let naive = select(&single, COLUMNS, &with(SelectionRule::Naive)).unwrap();
    assert_eq!((float(&naive, "estimate", 0), float(&naive, "low", 0)), (Some(9.0), None));
    // Nothing is ever left out.
    for estimator in [Estimator::Mean, Estimator::Median] {
        let nested = SelectionOptions { estimator, ..with(SelectionRule::NestedBootstrap) };
        let nested = select(&single, COLUMNS, &nested).unwrap();
        assert_eq!((float(&nested, "estimate", 0), float(&nested, "low", 0)), (None, None));
        assert_eq!(float(&nested, "selection_bias", 0), None);
    }
    let mut constant = trials();
    constant.with_column(Column::new("value".into(), vec![0.5; 12])).unwrap();
    for rule in [
        SelectionRule::Naive,
        SelectionRule::FreshSeeds { tuning: 2 },
        SelectionRule::NestedBootstrap,
    ] {
        let table = select(&constant, COLUMNS, &with(rule)).unwrap();
        assert_eq!(float(&table, "chosen", 0), Some(0.1));
        assert_eq!(float(&table, "chosen_share", 0).map(|share| (share * 1e9).round()), Some(1e9));
        for column in ["estimate", "low", "high"] {
            close(number(&table, column, 0), 0.5, 1e-12);
        }
    }
}

fn factor(column: &str) -> FactorLevels {
    FactorLevels { column: column.into(), levels: vec!["off".into(), "on".into()] }
}

/// Two toggles, two rates, two seeds. Rate 0.2 is better by 10 where clip is on, else 0.1.
fn toggles() -> DataFrame {
    let (mut clip, mut anneal, mut rate, mut seed, mut value) =
        (vec![], vec![], vec![], vec![], vec![]);
    for row in 0..16u32 {
        let bit = |place: u32| (row >> place) & 1;
        clip.push(["off", "on"][bit(0) as usize]);
        anneal.push(["off", "on"][bit(1) as usize]);
        rate.push([0.1, 0.2][bit(2) as usize]);
        seed.push(bit(3));
        let fit = if bit(2) == bit(0) { 10.0 } else { 0.0 };
        value.push(fit + f64::from(4 * bit(0) + 2 * bit(1) + bit(3)));
    }
    df!("clip" => clip, "anneal" => anneal, "rate" => rate, "seed" => seed, "value" => value)
        .unwrap()
}

#[test]
fn figure_one_pools_the_runs_of_the_best_rates() {
    let factors = [factor("clip"), factor("anneal")];
    let columns = FigureOneColumns {
        factors: &factors,
        tuning: "rate",
        levels: &[],
        replicate: "seed",
        value: "value",
    };
    let naive = with(SelectionRule::Naive);
    let figure =
        figure_one(&toggles(), columns, &Thresholds::At(vec![9.0, 12.0, 15.0]), &naive).unwrap();
    // Combinations in the order of their values: off off, off on, on off, on on.
    assert_eq!(numbers(&figure.chosen, "chosen"), [0.1, 0.1, 0.2, 0.2]);
    assert_eq!(numbers(&figure.chosen, "estimate"), [10.5, 12.5, 14.5, 16.5]);
    // Two factors, each with all eight pooled runs.
    assert_eq!(figure.runs.height(), 16);
    let names: Vec<&str> =
        figure.runs.get_column_names().iter().map(|name| name.as_str()).collect();
    assert_eq!(names, ["factor", "level", "seed", "value", "combination", "chosen"]);
    assert_eq!(text(&figure.runs, "combination", 2), "clip = off, anneal = on");
    assert_eq!(
        (text(&figure.runs, "factor", 8), text(&figure.runs, "level", 8)),
        ("anneal", "off")
    );
    assert_eq!(
        numbers(&figure.runs, "value")[..8],
        [10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.0]
    );
    // Shares strictly above 9, 12 and 15, factors and levels in the order of their names.
    let names: Vec<&str> =
        figure.survival.get_column_names().iter().map(|name| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "factor",
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
    assert_eq!(
        numbers(&figure.survival, "estimate"),
        [1.0, 0.5, 0.0, 1.0, 0.75, 0.5, 1.0, 0.25, 0.0, 1.0, 1.0, 0.5]
    );
    // clip off above 12: none with seed 0, one of two with seed 1.
    assert_eq!(
        (float(&figure.survival, "low", 7), float(&figure.survival, "high", 7)),
        (Some(0.0), Some(0.5))
    );
    assert_eq!((count(&figure.survival, "n", 0), count(&figure.survival, "replicates", 0)), (4, 2));
    assert_eq!(numbers(&figure.effects, "estimate"), [4.0, 2.0]);
    // Seed 0 chooses, seed 1 is pooled.
    let fresh = with(SelectionRule::FreshSeeds { tuning: 1 });
    let figure = figure_one(&toggles(), columns, &Thresholds::Even(101), &fresh).unwrap();
    assert_eq!(numbers(&figure.runs, "value")[..4], [11.0, 13.0, 15.0, 17.0]);
    assert_eq!(figure.survival.height(), 4 * 101);
    let thresholds = numbers(&figure.survival, "tau");
    assert_eq!((thresholds[0], thresholds[50], thresholds[100]), (11.0, 14.0, 17.0));
    assert_eq!(float(&figure.survival, "low", 0), None);
    let nested = with(SelectionRule::NestedBootstrap);
    let error = figure_one(&toggles(), columns, &Thresholds::Even(101), &nested).unwrap_err();
    assert!(matches!(error, AnalysisError::NothingToPool));
}

#[test]
fn figure_one_counts_runs_without_a_value() {
    let factors = [factor("clip")];
    let columns = FigureOneColumns {
        factors: &factors,
        tuning: "rate",
        levels: &[],
        replicate: "seed",
        value: "value",
    };
    // clip on chooses by seed 0 and has no value in seed 1; a level that no factor lists is left out.
    let frame = df!(
        "clip" => ["off", "off", "on", "on", "other"],
        "rate" => [0.1, 0.1, 0.1, 0.1, 0.1],
        "seed" => [0u32, 1, 0, 1, 0],
        "value" => [1.0, 2.0, 3.0, f64::NAN, 100.0],
    )
    .unwrap();
    let fresh = with(SelectionRule::FreshSeeds { tuning: 1 });
    let figure = figure_one(&frame, columns, &Thresholds::At(vec![1.5]), &fresh).unwrap();
    assert_eq!(figure.runs.height(), 2);
    assert_eq!(count(&figure.survival, "missing", 1), 1);
    assert_eq!(float(&figure.survival, "estimate", 0), Some(1.0));
    assert_eq!(float(&figure.survival, "estimate", 1), None);
    assert_eq!(float(&figure.effects, "estimate", 0), None);
}

#[test]
fn threads_and_row_order_show_nowhere() {
    let frame = equal_levels(3, 3, 5);
    let rows = IdxSize::try_from(frame.height()).unwrap();
    let order: Vec<IdxSize> = (0..rows).map(|row| row * 17 % rows).collect();
    let shuffled = frame.take(&IdxCa::from_slice("".into(), &order)).unwrap();
    let toggled = toggles();
    let factors = [factor("clip"), factor("anneal")];
    let columns = FigureOneColumns {
        factors: &factors,
        tuning: "rate",
        levels: &[],
        replicate: "seed",
        value: "value",
    };
    let all_of = |frame: &DataFrame, toggled: &DataFrame, threads| {
        let bootstrap = Bootstrap { threads, ..Bootstrap::curves() };
        let mut tables = Vec::new();
        for (rule, estimator) in [
            (SelectionRule::Naive, Estimator::Iqm),
            (SelectionRule::FreshSeeds { tuning: 2 }, Estimator::Median),
            (SelectionRule::NestedBootstrap, Estimator::Mean),
            (SelectionRule::NestedBootstrap, Estimator::Median),
        ] {
            let options = SelectionOptions { bootstrap, estimator, ..with(rule) };
            tables.push(select(frame, BY_ARM, &options).unwrap());
            tables.push(tuning_sensitivity(frame, BY_ARM, &options).unwrap());
        }
        let options = SelectionOptions { bootstrap, ..with(SelectionRule::Naive) };
        let figure = figure_one(toggled, columns, &Thresholds::Even(101), &options).unwrap();
        tables.extend([figure.chosen, figure.runs, figure.survival, figure.effects]);
        tables
    };
    let reference = all_of(&frame, &toggled, 1);
    for other in [
        all_of(&frame, &toggled, 3),
        all_of(&shuffled, &toggled.reverse(), 1),
        all_of(&shuffled, &toggled.reverse(), 7),
    ] {
        for (reference, other) in reference.iter().zip(&other) {
            assert!(reference.equals_missing(other), "{reference} is not {other}");
        }
    }
}
