//! The standard normal distribution.

use super::student;

/// Probability that a standard normal variable lies at or below `x`.
pub(super) fn cdf(x: f64) -> f64 {
    student::survival(-x, f64::INFINITY)
}

/// The value that a standard normal variable lies at or below with a probability; infinite for 0
/// and 1, not a number outside.
pub(super) fn quantile(probability: f64) -> f64 {
    if probability > 0.5 {
        // Exact for numbers in [0.5, 1], and leaves one tail to solve for.
        return -quantile(1.0 - probability);
    }
    if probability <= 0.0 || probability.is_nan() {
        return if probability == 0.0 { f64::NEG_INFINITY } else { f64::NAN };
    }
    if probability >= 0.5 {
        return 0.0;
    }
    // Abramowitz and Stegun 26.2.23 errs by less than 4.5e-4 ...
    let log = probability.ln();
    let t = (-2.0 * log).sqrt();
    let upper = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let lower = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    let mut x = upper / lower - t;
    // ... and Newton's steps on the logarithm, which is concave and nearly a parabola in the tail,
    // square that error each.
    for _ in 0..4 {
        let below = cdf(x);
        let density = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
        if density <= 0.0 || below <= 0.0 {
            break;
        }
        x -= (below.ln() - log) * (below / density);
    }
    x
}

#[cfg(test)]
mod tests {
    use super::{cdf, quantile};

    // scipy 1.17.1 (special.ndtr, special.ndtri), printed by tests/fixtures/regression.py.

    fn close(found: f64, expected: f64) {
        let error = (found - expected).abs() / expected.abs();
        assert!(error <= 1e-14, "{found} is not {expected}: {error}");
    }

    #[test]
    fn quantiles_are_those_of_scipy() {
        close(quantile(1e-300), -37.047_096_299_361_2);
        close(quantile(1e-20), -9.262_340_089_798_409);
        close(quantile(1e-9), -5.997_807_015_007_686_5);
        close(quantile(0.001), -3.090_232_306_167_813);
        close(quantile(0.025), -1.959_963_984_540_054_5);
        close(quantile(0.1), -1.281_551_565_544_600_4);
        close(quantile(0.3), -0.524_400_512_708_040_9);
        close(quantile(0.75), 0.674_489_750_196_081_7);
        close(quantile(0.9), 1.281_551_565_544_600_4);
        close(quantile(0.975), 1.959_963_984_540_054);
        close(quantile(0.999_999), 4.753_424_308_817_087);
        // 1e-5 below the middle, of which 64 bits keep eleven digits.
        assert!((quantile(0.499_99) + 2.506_628_274_896_000_8e-5).abs() < 2e-16);
        assert_eq!(quantile(0.5), 0.0);
        assert_eq!(quantile(0.0), f64::NEG_INFINITY);
        assert_eq!(quantile(1.0), f64::INFINITY);
        assert!(quantile(-0.1).is_nan() && quantile(1.1).is_nan() && quantile(f64::NAN).is_nan());
    }

    #[test]
    fn probabilities_are_those_of_scipy() {
        // The argument's last bit is worth a thousand of the result's here.
        let error = cdf(-30.0) / 4.906_713_927_147_908e-198 - 1.0;
        assert!(error.abs() <= 1e-13, "{error}");
        close(cdf(-8.0), 6.220_960_574_271_74e-16);
        close(cdf(-1.5), 0.066_807_201_268_858_07);
        close(cdf(0.0), 0.5);
        close(cdf(0.3), 0.617_911_422_188_952_6);
        close(cdf(2.0), 0.977_249_868_051_820_8);
        close(cdf(6.0), 0.999_999_999_013_412_3);
    }
}
