//! Leaderboards against the published ones of HELM, and on tables small enough to count by hand.

use std::fs;
use std::path::Path;

use analysis::{
    Better, Bootstrap, LeaderboardColumns, Ties, coverage, head_to_head, mean_scores,
    mean_win_rates,
};
use polars::prelude::*;

mod published;

fn few() -> Bootstrap {
    Bootstrap { resamples: 200, threads: 1, ..Bootstrap::tables() }
}

/// Three models: b and c tie on the first scenario, a has nothing on the second.
fn small() -> DataFrame {
    df!(
        "model" => ["a", "b", "c"],
        "accuracy" => [Some(0.9), Some(0.5), Some(0.5)],
        "error" => [None, Some(0.1), Some(0.4)],
    )
    .unwrap()
}

const SCENARIOS: &[(&str, Better)] = &[("accuracy", Better::Higher), ("error", Better::Lower)];
const COLUMNS: LeaderboardColumns<'_> =
    LeaderboardColumns { model: "model", scenarios: SCENARIOS, excluded: &[] };

fn floats(frame: &DataFrame, column: &str) -> Vec<Option<f64>> {
    frame.column(column).unwrap().f64().unwrap().iter().collect()
}

fn estimates(columns: &LeaderboardColumns<'_>, frame: &DataFrame, ties: Ties) -> Vec<Option<f64>> {
    floats(&mean_win_rates(frame, columns, ties, &few()).unwrap(), "estimate")
}

#[test]
fn ties_count_as_their_rule_says() {
    // On the first scenario a wins both, b and c tie; on the second b beats c.
    let of = |ties| estimates(&COLUMNS, &small(), ties);
    assert_eq!(of(Ties::Half), [Some(1.0), Some(0.625), Some(0.125)]);
    assert_eq!(of(Ties::Lost), [Some(1.0), Some(0.5), Some(0.0)]);
    assert_eq!(of(Ties::Won), [Some(1.0), Some(0.75), Some(0.25)]);
    // c stands below b, which is enough to win where higher is better.
    assert_eq!(of(Ties::RowOrder), [Some(1.0), Some(0.5), Some(0.25)]);
    // Where lower is better the order is reversed: b wins.
    let lower = LeaderboardColumns { scenarios: &[("accuracy", Better::Lower)], ..COLUMNS };
    assert_eq!(estimates(&lower, &small(), Ties::RowOrder), [Some(0.0), Some(1.0), Some(0.5)]);
}

#[test]
fn what_is_excluded_does_not_compete() {
    let columns = LeaderboardColumns { excluded: &[("a", "accuracy")], ..COLUMNS };
    let table = mean_win_rates(&small(), &columns, Ties::Half, &few()).unwrap();
    assert_eq!(floats(&table, "estimate"), [None, Some(0.75), Some(0.25)]);
    let scenarios: Vec<u64> =
        table.column("scenarios").unwrap().u64().unwrap().iter().flatten().collect();
    assert_eq!(scenarios, [0, 2, 2]);
    // Both of b's rates, 0.5 and 1, are drawn alone in some resamples.
    assert_eq!((floats(&table, "low")[1], floats(&table, "high")[1]), (Some(0.5), Some(1.0)));
    assert_eq!(floats(&table, "low")[0], None);
    let slip = LeaderboardColumns { excluded: &[("d", "accuracy")], ..COLUMNS };
    let error = mean_win_rates(&small(), &slip, Ties::Half, &few()).unwrap_err();
    assert_eq!(error.to_string(), "column `model` has no group `d`");
}

#[test]
fn models_meet_on_the_scenarios_that_both_have() {
    let table = head_to_head(&small(), &COLUMNS, Ties::Half).unwrap();
    // a-b, a-c, b-a, b-c, c-a, c-b
    let expected = [1.0, 1.0, 0.0, 0.75, 0.0, 0.25].map(Some);
    assert_eq!(floats(&table, "estimate"), expected);
    let scenarios: Vec<u64> =
        table.column("scenarios").unwrap().u64().unwrap().iter().flatten().collect();
    assert_eq!(scenarios, [1, 1, 1, 2, 1, 2]);
}

#[test]
fn holes_are_named() {
    let table = coverage(&small(), &COLUMNS).unwrap();
    assert_eq!(floats(&table, "coverage"), [Some(1.0), Some(2.0 / 3.0), Some(5.0 / 6.0)]);
    let holes: Vec<Option<&str>> = table.column("holes").unwrap().str().unwrap().iter().collect();
    assert_eq!(holes, [Some(""), Some("a"), None]);
}

#[test]
fn scores_of_different_directions_have_no_mean() {
    let error = mean_scores(&small(), &COLUMNS, &few()).unwrap_err().to_string();
    assert!(error.contains("higher for all"), "{error}");
}

/// A published board: its frame, its column of models, its columns of scenarios, and the published
/// aggregate in the second column.
fn board(path: &Path) -> (DataFrame, Vec<String>, Vec<Option<f64>>) {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    // Some tables end with empty lines.
    let rows: Vec<Vec<&str>> = lines.filter(|row| row.len() == header.len()).collect();
    let models: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    let number = |text: &str| (text != "-").then(|| text.parse::<f64>().unwrap());
    let mut columns = vec![Column::new("model".into(), models)];
    for (place, name) in header.iter().enumerate().skip(1) {
        let values: Vec<Option<f64>> = rows.iter().map(|row| number(row[place])).collect();
        columns.push(Column::new((*name).into(), values));
    }
    let frame = DataFrame::new(rows.len(), columns).unwrap();
    let published = floats(&frame, header[1]);
    (frame, header[2..].iter().map(|name| (*name).to_owned()).collect(), published)
}

/// Rows whose published rate lies outside of what any rule for ties gives, rows without ties, and
/// those of them that agree to three decimals.
fn compare(
    frame: &DataFrame,
    published: &[Option<f64>],
    columns: &LeaderboardColumns<'_>,
) -> (usize, usize, usize) {
    let [low, high] = [Ties::Lost, Ties::Won].map(|ties| estimates(columns, frame, ties));
    let (mut outside, mut free, mut equal) = (0, 0, 0);
    for (row, published) in published.iter().enumerate() {
        let Some(published) = published else { continue };
        let (low, high) = (low[row].unwrap(), high[row].unwrap());
        // Published with three decimals.
        let half = 0.0005 + 1e-9;
        let inside = (low - half..=high + half).contains(published);
        outside += usize::from(!inside);
        if high - low < 1e-12 {
            free += 1;
            equal += usize::from((low - published).abs() <= half);
        }
    }
    (outside, free, equal)
}

/// Scenarios on which HELM v0.4.0 called T0pp strongly contaminated (its contamination.yaml).
const CONTAMINATED: [&str; 6] =
    ["BoolQ", "HellaSwag", "OpenbookQA", "XSUM", "CNN/DailyMail", "IMDB"];

#[test]
fn win_rates_of_helm_classic_are_the_published_ones() {
    let Some(folder) = published::data("helm/classic_v0.4.0") else { return };
    let tables = [
        ("accuracy", Better::Higher),
        ("calibration", Better::Lower),
        ("robustness", Better::Higher),
        ("fairness", Better::Higher),
        ("efficiency", Better::Lower),
    ];
    let (mut rows, mut outside, mut free, mut equal) = (0, vec![], vec![], vec![]);
    let mut outside_without = vec![];
    for (name, better) in tables {
        let (frame, scenarios, published) = board(&folder.join(format!("{name}.tsv")));
        let scenarios: Vec<(&str, Better)> =
            scenarios.iter().map(|name| (name.as_str(), better)).collect();
        let contaminated = |scenario: &&str| {
            CONTAMINATED.iter().any(|name| scenario.starts_with(&format!("{name} - ")))
        };
        let names = scenarios.iter().map(|(name, _)| *name);
        // Efficiency has no row of T0pp's.
        let models = frame.column("model").unwrap().str().unwrap();
        let there = models.iter().any(|model| model == Some("T0pp (11B)"));
        let excluded: Vec<(&str, &str)> =
            names.filter(|_| there).filter(contaminated).map(|name| ("T0pp (11B)", name)).collect();
        let columns =
            LeaderboardColumns { model: "model", scenarios: &scenarios, excluded: &excluded };
        rows += published.iter().flatten().count();
        let found = compare(&frame, &published, &columns);
        outside.push(found.0);
        free.push(found.1);
        equal.push(found.2);
        let without = LeaderboardColumns { excluded: &[], ..columns };
        outside_without.push(compare(&frame, &published, &without).0);
    }
    assert_eq!(rows, 275);
    assert_eq!(outside, [0; 5]);
    assert_eq!(free, equal);
    assert_eq!(free, [5, 7, 9, 7, 21]);
    // Without the rule 93 rows cannot be had by any treatment of ties.
    assert_eq!(outside_without, [18, 14, 24, 20, 17]);
}

#[test]
fn coverage_of_helm_classic_is_876_of_1072_cells() {
    let Some(folder) = published::data("helm/classic_v0.4.0") else { return };
    let (frame, scenarios, _) = board(&folder.join("accuracy.tsv"));
    let scenarios: Vec<(&str, Better)> =
        scenarios.iter().map(|name| (name.as_str(), Better::Higher)).collect();
    let columns = LeaderboardColumns { model: "model", scenarios: &scenarios, excluded: &[] };
    let table = coverage(&frame, &columns).unwrap();
    let last = table.height() - 1;
    let number = |column: &str| table.column(column).unwrap().u64().unwrap().get(last);
    assert_eq!((number("results"), number("cells")), (Some(876), Some(1072)));
}

#[test]
fn win_rates_of_helm_lite_are_the_published_ones() {
    let Some(folder) = published::data("helm/lite_capabilities") else { return };
    let (frame, scenarios, published) = board(&folder.join("helm_lite_leaderboard.tsv"));
    let scenarios: Vec<(&str, Better)> =
        scenarios.iter().map(|name| (name.as_str(), Better::Higher)).collect();
    let columns = LeaderboardColumns { model: "model", scenarios: &scenarios, excluded: &[] };
    assert_eq!(published.iter().flatten().count(), 91);
    assert_eq!(compare(&frame, &published, &columns), (0, 4, 4));
    // Values were rounded before we compare them, so that some ties are ours alone.
    let half = estimates(&columns, &frame, Ties::Half);
    let largest = half
        .iter()
        .zip(&published)
        .map(|(found, published)| (found.unwrap() - published.unwrap()).abs())
        .fold(0.0, f64::max);
    assert!((0.002..0.0035).contains(&largest), "{largest}");
}

#[test]
fn mean_scores_of_helm_capabilities_are_the_published_ones() {
    let Some(folder) = published::data("helm/lite_capabilities") else { return };
    let (frame, scenarios, published) = board(&folder.join("helm_capabilities_leaderboard.tsv"));
    let scenarios: Vec<(&str, Better)> =
        scenarios.iter().map(|name| (name.as_str(), Better::Higher)).collect();
    let columns = LeaderboardColumns { model: "model", scenarios: &scenarios, excluded: &[] };
    let table = mean_scores(&frame, &columns, &few()).unwrap();
    let found = floats(&table, "estimate");
    assert_eq!(found.len(), 65);
    for (found, published) in found.iter().zip(&published) {
        let (found, published) = (found.unwrap(), published.unwrap());
        // Half of the last digit of the mean, and of those that it is a mean of.
        assert!((found - published).abs() <= 0.001, "{found} is not {published}");
    }
}
