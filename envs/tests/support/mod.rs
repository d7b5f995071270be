//! Reading of the committed fixtures, which `fixtures/generate.py` writes.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::str::FromStr;

/// Rows of a fixture, each a list of cells.
pub fn rows(name: &str) -> Vec<Vec<String>> {
    let path = format!("{}/tests/fixtures/{name}.csv", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

/// The values of a cell.
pub fn values<T: FromStr<Err: std::fmt::Debug>>(cell: &str) -> Vec<T> {
    cell.split_whitespace().map(|value| value.parse().unwrap()).collect()
}

/// The single value of a cell.
pub fn value<T: FromStr<Err: std::fmt::Debug>>(cell: &str) -> T {
    cell.parse().unwrap()
}

/// Values that were stored as `f32`, widened.
pub fn widened(cell: &str) -> Vec<f64> {
    values::<f32>(cell).into_iter().map(f64::from).collect()
}

/// Largest difference relative to `max(1, |expected|)`.
pub fn difference(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let pairs = found.iter().zip(expected);
    pairs.map(|(f, e)| (f - e).abs() / e.abs().max(1.0)).fold(0.0, f64::max)
}

/// Asserts that two lists agree within `tolerance`, relative to `max(1, |expected|)`.
#[track_caller]
pub fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    let difference = difference(found, expected);
    assert!(difference <= tolerance, "{found:?} is {difference:e} away from {expected:?}");
}
