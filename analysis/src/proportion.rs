//! Intervals of a share.

use super::student::incomplete_beta;
use super::{AnalysisError, Interval, probability};

/// The interval of Clopper and Pearson (1934, Biometrika 26, 404-413) of a share: its ends are the
/// probabilities at which so many successes, or more, or fewer, have a probability of half the
/// level's complement. It covers at least what it says. `None` without trials, or where there are more
/// successes than trials.
///
/// # Errors
/// When the level is not in (0, 1).
pub fn clopper_pearson(
    successes: u64,
    trials: u64,
    level: f64,
) -> Result<Option<Interval>, AnalysisError> {
    probability("the level of an interval", level)?;
    let Some(failures) = trials.checked_sub(successes).filter(|_| trials > 0) else {
        return Ok(None);
    };
    let tail = (1.0 - level) / 2.0;
    // Counts stay far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    let (successes, failures) = (successes as f64, failures as f64);
    // At least so many successes have probability I_p(k, n - k + 1), more of them I_p(k + 1, n - k).
    let low = if successes > 0.0 { crossing(successes, failures + 1.0, tail) } else { 0.0 };
    let high = if failures > 0.0 { crossing(successes + 1.0, failures, 1.0 - tail) } else { 1.0 };
    Ok(Some(Interval { low, high }))
}

/// Where the beta distribution function reaches a probability, by bisection to the last bits.
fn crossing(alpha: f64, beta: f64, probability: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if incomplete_beta(alpha, beta, middle, 1.0 - middle) < probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}
