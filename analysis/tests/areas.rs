//! Areas under curves against closed forms and numpy's trapezoidal rule.

use analysis::{AnalysisError, CurveColumns, areas};
use polars::df;
use polars::prelude::*;

const COLUMNS: CurveColumns<'static> = CurveColumns {
    groups: &["arm"],
    run: "run",
    replicate: "replicate",
    x: "steps",
    value: "value",
};

/// Rows of (arm, run, replicate, steps, value).
fn frame(rows: &[(&str, &str, u64, f64, Option<f64>)]) -> DataFrame {
    df!(
        "arm" => rows.iter().map(|row| row.0).collect::<Vec<_>>(),
        "run" => rows.iter().map(|row| row.1).collect::<Vec<_>>(),
        "replicate" => rows.iter().map(|row| row.2).collect::<Vec<_>>(),
        "steps" => rows.iter().map(|row| row.3).collect::<Vec<_>>(),
        "value" => rows.iter().map(|row| row.4).collect::<Vec<_>>(),
    )
    .unwrap()
}

fn heights(table: &DataFrame) -> Vec<Option<f64>> {
    table.column("area").unwrap().f64().unwrap().iter().collect()
}

#[test]
fn an_area_is_numpys() {
    // numpy 2.2.6: trapezoid([1, 4, 2, 8], [0, 1, 3, 4]) / 4 = 13.5 / 4.
    let rows = [
        ("a", "r", 0, 3.0, Some(2.0)),
        ("a", "r", 0, 0.0, Some(1.0)),
        ("a", "r", 0, 4.0, Some(8.0)),
        ("a", "r", 0, 1.0, Some(4.0)),
    ];
    let table = areas(&frame(&rows), COLUMNS, None).unwrap();
    let names: Vec<&str> = table.get_column_names().iter().map(|name| name.as_str()).collect();
    assert_eq!(names, ["arm", "run", "replicate", "from", "to", "area"]);
    assert_eq!(heights(&table), [Some(3.375)]);
    // From the middle of the first piece, height 2.5, to that of the last one, height 5.
    let part = areas(&frame(&rows), COLUMNS, Some((0.5, 3.5))).unwrap();
    assert_eq!(heights(&part), [Some((3.25 * 0.5 + 6.0 + 3.5 * 0.5) / 3.0)]);
}

#[test]
fn a_run_that_does_not_cover_the_range_is_missing() {
    let rows = [
        ("a", "long", 0, 0.0, Some(0.0)),
        ("a", "long", 0, 10.0, Some(10.0)),
        ("a", "short", 1, 0.0, Some(0.0)),
        ("a", "short", 1, 5.0, Some(100.0)),
        ("a", "short", 1, 10.0, None),
        ("a", "late", 2, 2.0, Some(1.0)),
        ("a", "late", 2, 10.0, Some(1.0)),
        ("b", "none", 0, 0.0, Some(f64::NAN)),
    ];
    // The range starts with the last run, at 2; each in the order of the names.
    let table = areas(&frame(&rows), COLUMNS, None).unwrap();
    assert_eq!(table.column("from").unwrap().f64().unwrap().get(0), Some(2.0));
    assert_eq!(heights(&table), [Some(1.0), Some(6.0), None, None]);
    let whole = areas(&frame(&rows), COLUMNS, Some((0.0, 10.0))).unwrap();
    assert_eq!(heights(&whole), [None, Some(5.0), None, None]);
}

#[test]
fn points_at_the_same_place_count_as_their_mean() {
    let rows = [
        ("a", "r", 0, -0.0, Some(1.0)),
        ("a", "r", 0, 0.0, Some(3.0)),
        ("a", "r", 0, 1.0, Some(4.0)),
    ];
    assert_eq!(heights(&areas(&frame(&rows), COLUMNS, None).unwrap()), [Some(3.0)]);
}

#[test]
fn what_has_no_area_is_an_error() {
    let rows = [("a", "r", 0, 1.0, Some(1.0))];
    assert!(matches!(
        areas(&frame(&rows), COLUMNS, None),
        Err(AnalysisError::Range { from: 1.0, to: 1.0 })
    ));
    let error = areas(&frame(&rows), COLUMNS, Some((3.0, 2.0))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a range from 3 to 2 has no length; name one that runs upwards and that the curves cover"
    );
    let rows = [("a", "r", 0, 1.0, Some(1.0)), ("a", "r", 1, 2.0, Some(1.0))];
    let error = areas(&frame(&rows), COLUMNS, None).unwrap_err();
    assert_eq!(error.to_string(), "the rows of run `r` have several replicates; a run has one");
    assert_eq!(areas(&frame(&[]), COLUMNS, None).unwrap().height(), 0);
}
