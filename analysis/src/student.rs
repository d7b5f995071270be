//! Student's t distribution, central and not, with any positive number of degrees of freedom.

/// Terms of the continued fraction at most; it converges within about the square root of the
/// degrees of freedom.
const MOST_TERMS: u32 = 10_000;
/// Bounds of the integration step behind [`power`], in units of ln s.
const SHORTEST_STEP: f64 = 1e-4;
const LONGEST_STEP: f64 = 0.1;
/// Points on either side at most; with the shortest step and one degree of freedom fewer suffice.
const MOST_POINTS: u32 = 1_000_000;
/// Below, a density is nothing beside its largest value of 1.
const LEAST_LOG_DENSITY: f64 = -42.0;

/// Probability that a t variable lies above `t`; infinite degrees of freedom make it a normal one.
pub(super) fn survival(t: f64, degrees: f64) -> f64 {
    if degrees.is_infinite() {
        return 0.5 * libm::erfc(t * std::f64::consts::FRAC_1_SQRT_2);
    }
    let square = t * t;
    // One tail of two; DLMF 8.17 with both arguments, so that neither loses its digits near 1.
    let tail = if square.is_infinite() {
        0.0
    } else {
        0.5 * incomplete_beta(
            degrees / 2.0,
            0.5,
            degrees / (degrees + square),
            square / (degrees + square),
        )
    };
    if t < 0.0 { 1.0 - tail } else { tail }
}

/// Probability that an F variable lies above `f`, both degrees of freedom positive and finite.
pub(super) fn f_survival(f: f64, numerator: f64, denominator: f64) -> f64 {
    if f <= 0.0 {
        return 1.0;
    }
    let rest = numerator * f;
    let sum = denominator + rest;
    if sum.is_infinite() {
        return 0.0;
    }
    incomplete_beta(denominator / 2.0, numerator / 2.0, denominator / sum, rest / sum)
}

/// The value that a t variable exceeds with a probability in (0, 0.5]; infinite for 0.
pub(super) fn upper_quantile(probability: f64, degrees: f64) -> f64 {
    if probability <= 0.0 {
        return f64::INFINITY;
    }
    let (mut t, mut next) = (0.0, 1.0);
    while survival(next, degrees) > probability {
        t = next;
        next *= 2.0;
    }
    // Survival is convex above zero, so that Newton's steps from the left never overshoot.
    for _ in 0..100 {
        let step = (survival(t, degrees) - probability) / density(t, degrees);
        t += step;
        if step.abs() <= 1e-15 * (1.0 + t) {
            break;
        }
    }
    t
}

fn density(t: f64, degrees: f64) -> f64 {
    if degrees.is_infinite() {
        return (-0.5 * t * t).exp() / std::f64::consts::TAU.sqrt();
    }
    let log_constant = libm::lgamma(0.5 * (degrees + 1.0))
        - libm::lgamma(0.5 * degrees)
        - 0.5 * (degrees * std::f64::consts::PI).ln();
    (log_constant - 0.5 * (degrees + 1.0) * (t * t / degrees).ln_1p()).exp()
}

/// Probability that a noncentral t variable lies above `critical`: the power of a one-sided t test
/// whose statistic is expected at `noncentrality`.
///
/// Given the scaled chi variable s in the denominator, the statistic exceeds the critical value
/// with the normal probability of `noncentrality - critical * s`; this is its mean over s. Over the
/// logarithm of s the integrand is entire and dies off at either end, where the trapezoidal rule
/// converges faster than any power of its step (Trefethen and Weideman 2014, SIAM Review 56,
/// 385-458).
pub(super) fn power(noncentrality: f64, critical: f64, degrees: f64) -> f64 {
    if noncentrality.is_infinite() {
        return if noncentrality > 0.0 { 1.0 } else { 0.0 };
    }
    if critical == f64::INFINITY {
        return 0.0;
    }
    let given = |s: f64| survival(critical * s - noncentrality, f64::INFINITY);
    if degrees.is_infinite() {
        return given(1.0);
    }
    // Half the standard deviation of ln s, about half the width of the normal probability's step,
    // and short beside the strip of the complex plane in which both decay.
    let step = (0.5 / (2.0 * degrees).sqrt())
        .min(0.5 / noncentrality.abs())
        .clamp(SHORTEST_STEP, LONGEST_STEP);
    let (mut weighted, mut total) = (0.0, 0.0);
    for (first, direction) in [(0, 1.0), (1, -1.0)] {
        for point in first..MOST_POINTS {
            let log_s = direction * step * f64::from(point);
            let s = log_s.exp();
            // Its density up to a constant, which the division below finds.
            let log_density = degrees * (log_s - 0.5 * (s * s - 1.0));
            if log_density < LEAST_LOG_DENSITY {
                break;
            }
            let density = log_density.exp();
            weighted += density * given(s);
            total += density;
        }
    }
    weighted / total
}

/// Variance of a sum of means of independent samples, and its degrees of freedom after Satterthwaite
/// (1946, Biometrics Bulletin 2, 110-114), as Welch's test has them.
///
/// Each sample has the variance of one of its values and their number, two at least. Where nothing
/// varies, the degrees are those of the smallest sample.
pub(super) fn satterthwaite(samples: impl Iterator<Item = (f64, f64)>) -> (f64, f64) {
    let (mut variance, mut squares, mut fewest) = (0.0, 0.0, f64::INFINITY);
    for (of_one, n) in samples {
        let of_mean = of_one / n;
        variance += of_mean;
        squares += of_mean * of_mean / (n - 1.0);
        fewest = fewest.min(n - 1.0);
    }
    if squares == 0.0 {
        (variance, fewest.max(1.0))
    } else {
        (variance, variance.powi(2) / squares)
    }
}

/// The regularised incomplete beta function `I_x(a, b)`, with `rest = 1 - x`.
pub(super) fn incomplete_beta(a: f64, b: f64, x: f64, rest: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if rest <= 0.0 {
        return 1.0;
    }
    // Where the fraction converges slowly, its mirror image converges fast.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(b, a, rest, x);
    }
    let log_front =
        libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b) + a * x.ln() + b * rest.ln();
    log_front.exp() / a / continued_fraction(a, b, x)
}

/// DLMF 8.17.22 by the modified Lentz method.
fn continued_fraction(a: f64, b: f64, x: f64) -> f64 {
    let nonzero = |value: f64| if value == 0.0 { f64::MIN_POSITIVE } else { value };
    let (mut fraction, mut c, mut d) = (1.0, 1.0, 0.0);
    for term in 1..=MOST_TERMS {
        let m = f64::from(term / 2);
        let coefficient = if term % 2 == 0 {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        d = 1.0 / nonzero(1.0 + coefficient * d);
        c = nonzero(1.0 + coefficient / c);
        fraction *= c * d;
        if (c * d - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    fraction
}

#[cfg(test)]
mod tests {
    use super::{f_survival, power, satterthwaite, survival, upper_quantile};

    fn close(found: f64, expected: f64, tolerance: f64) {
        let error = (found - expected).abs() / expected.abs();
        assert!(error <= tolerance, "{found} is not {expected}: {error}");
    }

    // scipy 1.17.1, printed by tests/fixtures/claims.py.

    #[test]
    fn survival_is_that_of_scipy() {
        close(survival(2.0, 1.0), 0.147_583_617_650_433_26, 1e-13);
        close(survival(2.0, 4.0), 0.058_058_261_758_407_78, 1e-13);
        close(survival(0.1, 4.0), 0.462_577_920_469_726_6, 1e-13);
        close(survival(12.0, 4.0), 0.000_138_214_274_251_486_5, 1e-13);
        close(survival(1.96, 1e6), 0.024_998_033_792_634_926, 1e-9);
        close(survival(-1.3, 2.7), 0.853_273_678_148_077_3, 1e-13);
        close(survival(50.0, 3.0), 8.808_576_020_635_984e-6, 1e-13);
        close(survival(1.96, f64::INFINITY), 0.024_997_895_148_220_435, 1e-13);
        close(survival(0.0, 3.0), 0.5, 0.0);
        assert_eq!(survival(f64::INFINITY, 3.0), 0.0);
        assert_eq!(survival(f64::NEG_INFINITY, 3.0), 1.0);
    }

    #[test]
    fn quantiles_are_those_of_scipy() {
        close(upper_quantile(0.025, 1.0), 12.706_204_736_174_705, 1e-12);
        close(upper_quantile(0.025, 4.0), 2.776_445_105_197_794_3, 1e-12);
        close(upper_quantile(0.025, 7.25), 2.348_194_849_105_371_7, 1e-12);
        close(upper_quantile(0.006_25, 4.0), 4.314_656_048_886_739, 1e-12);
        close(upper_quantile(1e-9, 12.0), 15.894_813_362_266_058, 1e-12);
        close(upper_quantile(0.025, 1e5), 1.959_987_707_534_61, 1e-9);
        assert!(upper_quantile(0.5, 3.0).abs() < 1e-14);
        assert_eq!(upper_quantile(0.0, 3.0), f64::INFINITY);
    }

    // scipy 1.17.1, printed by tests/fixtures/regression.py.
    #[test]
    fn f_survival_is_that_of_scipy() {
        close(f_survival(0.5, 1.0, 3.0), 0.530_477_770_932_957, 1e-13);
        close(f_survival(3.7, 2.0, 7.0), 0.080_089_285_224_230_91, 1e-13);
        close(f_survival(40.0, 6.0, 9.0), 5.462_355_457_962_573e-6, 1e-13);
        close(f_survival(500.0, 3.0, 1000.0), 2.097_130_800_882_832_7e-198, 1e-10);
        assert_eq!(f_survival(0.0, 2.0, 7.0), 1.0);
        assert_eq!(f_survival(f64::INFINITY, 2.0, 7.0), 0.0);
    }

    #[test]
    fn power_is_that_of_scipy() {
        close(power(2.8, 12.706, 1.0), 0.173_934_388_498_752_4, 1e-12);
        close(power(3.0, 2.776, 4.0), 0.619_377_729_892_148_3, 1e-12);
        close(power(2.0, 2.0, 30.5), 0.506_441_021_838_365_9, 1e-12);
        close(power(-1.0, 2.0, 9.0), 0.003_563_495_088_947_093, 1e-12);
        close(power(2.8, 1.96, 5000.0), 0.799_528_057_634_299_3, 1e-12);
        assert_eq!(power(f64::INFINITY, 2.0, 3.0), 1.0);
        assert_eq!(power(f64::NEG_INFINITY, 2.0, 3.0), 0.0);
    }

    #[test]
    fn survival_of_f_is_that_of_scipy() {
        // scipy 1.17.1, printed by tests/fixtures/factorial.py.
        close(f_survival(3.2, 1.0, 8.0), 0.111_434_289_370_609_35, 1e-13);
        close(f_survival(1.7, 2.0, 36.0), 0.197_021_227_693_486_7, 1e-13);
        close(f_survival(0.4, 6.0, 5.0), 0.852_242_102_486_719, 1e-13);
        close(f_survival(250.0, 3.0, 12.0), 4.442_850_795_245_609e-11, 1e-12);
        assert_eq!(f_survival(0.0, 3.0, 12.0), 1.0);
    }

    #[test]
    fn degrees_of_a_sum_of_means_have_their_closed_form() {
        // Equal samples of n values: the degrees add up. One without variance counts for none.
        let (variance, degrees) = satterthwaite([(3.0, 5.0), (3.0, 5.0)].into_iter());
        close(variance, 1.2, 1e-15);
        close(degrees, 8.0, 1e-15);
        close(satterthwaite([(3.0, 5.0), (0.0, 9.0)].into_iter()).1, 4.0, 1e-15);
        assert_eq!(satterthwaite([(0.0, 5.0), (0.0, 9.0)].into_iter()), (0.0, 4.0));
    }
}
