//! Running normalisation of observations and rewards, in each published variant.
//!
//! A normaliser is plain data: it can be cloned, frozen, stored and restored, and two normalisers
//! with equal fields behave equally.

mod observation;
mod reward;
mod statistics;

pub use observation::{ObservationNormalization, ObservationNormalizer, StatisticsOrder};
pub use reward::{RewardNormalizer, RewardScaling};
pub use statistics::{RunningMeanStd, Welford};

/// Added to the standard deviation (release) or to the variance (Gymnasium, Baselines) before
/// dividing; 1e-8 in all three.
pub(crate) const EPSILON: f64 = 1e-8;

/// The value limited to `[-bound, bound]`, or as it is without a bound. NaN stays NaN.
pub(crate) fn clip(value: f64, bound: Option<f64>) -> f64 {
    match bound {
        Some(bound) if value > bound => bound,
        Some(bound) if value < -bound => -bound,
        _ => value,
    }
}
