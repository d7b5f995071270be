//! Point estimates of a sample without missing values.

/// What is estimated from a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Estimator {
    /// The arithmetic mean.
    Mean,
    /// The interquartile mean, see [`iqm`].
    Iqm,
    /// The median.
    Median,
}

impl Estimator {
    /// Its name in tables and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Iqm => "iqm",
            Self::Median => "median",
        }
    }

    /// Its name in prose.
    pub fn words(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Iqm => "interquartile mean (IQM)",
            Self::Median => "median",
        }
    }

    /// Its value for a sample; `None` where the sample is empty.
    pub fn of(self, sample: &[f64]) -> Option<f64> {
        match self {
            Self::Mean => mean(sample),
            Self::Iqm => iqm(sample),
            Self::Median => median(sample),
        }
    }
}

// Samples are far smaller than 2^53.
#[allow(clippy::cast_precision_loss)]
pub(super) fn count(number: usize) -> f64 {
    number as f64
}

/// The arithmetic mean; `None` of an empty sample.
pub fn mean(sample: &[f64]) -> Option<f64> {
    if sample.is_empty() { None } else { Some(sample.iter().sum::<f64>() / count(sample.len())) }
}

/// The interquartile mean as rliable defines it, `scipy.stats.trim_mean(sample, 0.25)`: sort, drop
/// `floor(n / 4)` values at either end, take the plain mean of the rest. Up to three values it is
/// the mean.
pub fn iqm(sample: &[f64]) -> Option<f64> {
    let sorted = sorted(sample);
    let cut = sorted.len() / 4;
    mean(&sorted[cut..sorted.len() - cut])
}

/// The median; the mean of the middle two where their number is even.
pub fn median(sample: &[f64]) -> Option<f64> {
    let sorted = sorted(sample);
    let middle = sorted.len() / 2;
    if sorted.is_empty() {
        None
    } else if sorted.len() % 2 == 1 {
        Some(sorted[middle])
    } else {
        mean(&sorted[middle - 1..=middle])
    }
}

/// The sample standard deviation, with the divisor `n - 1`; `None` below two values.
pub fn sd(sample: &[f64]) -> Option<f64> {
    if sample.len() < 2 {
        return None;
    }
    let mean = mean(sample)?;
    let squares: f64 = sample.iter().map(|value| (value - mean) * (value - mean)).sum();
    Some((squares / count(sample.len() - 1)).sqrt())
}

/// The quantile of a sorted sample with linear interpolation between order statistics
/// (`numpy.quantile`, method `linear`); `None` of an empty sample.
pub fn quantile(sorted: &[f64], probability: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let position = count(last) * probability.clamp(0.0, 1.0);
    // Lies in 0..=last after the clamp.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let below = position.floor() as usize;
    let (low, high) = (sorted[below], sorted[(below + 1).min(last)]);
    let weight = position - count(below);
    // Both branches as numpy has them, so that the result is exact at either end.
    Some(if weight >= 0.5 {
        high - (high - low) * (1.0 - weight)
    } else {
        low + (high - low) * weight
    })
}

fn sorted(sample: &[f64]) -> Vec<f64> {
    let mut sorted = sample.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}
