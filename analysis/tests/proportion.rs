//! Intervals of a share.

use analysis::clopper_pearson;

#[test]
fn ends_are_those_of_two_datasets() {
    // ResNet-50 on ImageNet-v2 MatchedFrequency and on ImageNet's validation set; computed apart
    // from this code.
    for (successes, trials, low, high) in
        [(6333, 10_000, 0.62377, 0.64276), (38_065, 50_000, 0.75754, 0.76503)]
    {
        let found = clopper_pearson(successes, trials, 0.95).unwrap().unwrap();
        assert!((found.low - low).abs() < 6e-6, "{found:?}");
        assert!((found.high - high).abs() < 6e-6, "{found:?}");
    }
    // Without successes the upper end solves (1 - p)^n = 0.025.
    let none = clopper_pearson(0, 10, 0.95).unwrap().unwrap();
    assert_eq!(none.low, 0.0);
    assert!((none.high - (1.0 - 0.025_f64.powf(0.1))).abs() < 1e-12, "{none:?}");
    assert_eq!(clopper_pearson(10, 10, 0.95).unwrap().unwrap().high, 1.0);
    assert_eq!(clopper_pearson(0, 0, 0.95).unwrap(), None);
    assert_eq!(clopper_pearson(3, 2, 0.95).unwrap(), None);
    assert!(clopper_pearson(1, 2, 1.0).is_err());
}
