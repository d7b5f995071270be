//! Selective accuracy against the package that HELM uses.
//!
//! Golden numbers: uncertainty-calibration 0.1.4, printed by `fixtures/calibration.py`.

use analysis::{AnalysisError, Selection, selective_accuracy};

/// Sixty answers by a recipe that the fixture shares.
fn recipe() -> Vec<(f64, bool)> {
    let outcomes = "001001010100010010101000101001010001010010110010100101100101";
    let confidences = (0..60_u32).map(|i| f64::from((37 * i + 11) % 101) / 100.0);
    confidences.zip(outcomes.bytes().map(|digit| digit == b'1')).collect()
}

fn found(answers: &[(f64, bool)], selection: Selection) -> Option<(f64, f64)> {
    let found = selective_accuracy(answers, selection).unwrap();
    found.map(|found| (found.area, found.most_confident))
}

fn close(found: Option<(f64, f64)>, expected: (f64, f64)) {
    let found = found.unwrap();
    assert!((found.0 - expected.0).abs() < 1e-12, "{found:?} {expected:?}");
    assert!((found.1 - expected.1).abs() < 1e-12, "{found:?} {expected:?}");
}

#[test]
fn the_given_order_is_that_of_helm() {
    let all = recipe();
    for (n, area, top) in [
        (1, 0.0, 0.0),
        (9, 0.6652116402116401, 1.0),
        (10, 0.6932539682539682, 1.0),
        (11, 0.6178341860160043, 1.0),
        (60, 0.700529079166022, 1.0),
    ] {
        close(found(&all[..n], Selection::GivenOrder), (area, top));
        // Confidences are all different, so that the area is the same.
        let expected = found(&all[..n], Selection::Expected).unwrap();
        assert!((expected.0 - area).abs() < 1e-12, "{n}");
    }
}

#[test]
fn a_tenth_is_a_tenth() {
    // Twenty answers, of which the two most confident are right and the third is wrong.
    let answers: Vec<(f64, bool)> =
        (0..20_u32).map(|i| (1.0 - f64::from(i) / 20.0, i < 2)).collect();
    assert_eq!(found(&answers, Selection::Expected).unwrap().1, 1.0);
    // HELM takes three.
    assert_eq!(found(&answers, Selection::GivenOrder).unwrap().1, 2.0 / 3.0);
}

#[test]
fn ties_do_not_depend_on_the_order() {
    let ordered = [(0.5, true), (0.5, false), (0.9, true), (0.5, true)];
    let other = [(0.5, false), (0.9, true), (0.5, true), (0.5, true)];
    // By hand: one right answer, then thirds of two: 1, (1 + 2/3)/2, (1 + 4/3)/3, 3/4.
    let area = (1.0 + 5.0 / 6.0 + 7.0 / 9.0 + 0.75) / 4.0;
    close(found(&ordered, Selection::Expected), (area, 1.0));
    close(found(&other, Selection::Expected), (area, 1.0));
    // In the order that is given: 1, 1, 2/3, 3/4 and 1, 1/2, 2/3, 3/4.
    close(found(&ordered, Selection::GivenOrder), ((2.0 + 2.0 / 3.0 + 0.75) / 4.0, 1.0));
    close(found(&other, Selection::GivenOrder), ((1.5 + 2.0 / 3.0 + 0.75) / 4.0, 1.0));
    // A negative zero is a zero.
    let zeros = [(0.0, false), (-0.0, true)];
    close(found(&zeros, Selection::Expected), (0.5, 0.5));
}

#[test]
fn nothing_has_no_accuracy() {
    assert_eq!(found(&[], Selection::Expected), None);
    assert_eq!(found(&[], Selection::GivenOrder), None);
    let error = selective_accuracy(&[(f64::NAN, true)], Selection::Expected);
    assert!(matches!(error, Err(AnalysisError::Setting { name: "a confidence", .. })));
}
